//! Servers that fail on purpose, each in one known way, on loopback ports of their own.
//!
//! Every server is bounded (it sends so many bytes, then stops) and ends when its [`Server`] is dropped. No fault needs
//! root or a network namespace: a black hole is a listening socket whose accept queue is full, so that the kernel drops
//! every further SYN, as a firewall does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

pub mod bytes;
pub mod dns;
pub mod http;
pub mod postgres;
pub mod proxy;
pub mod tls;

pub use bytes::Bytes;

/// 100 MB: what an honest answer never has.
pub const HUGE: u64 = 100_000_000;
/// How long any single connection to a fault server may last.
pub const LIFE: Duration = Duration::from_secs(60);

/// A task that ends when this is dropped.
#[derive(Debug)]
pub struct Task(JoinHandle<()>);

impl Task {
    /// Starts one.
    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a server saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    connections: Arc<AtomicUsize>,
    questions: Arc<Mutex<Vec<Instant>>>,
}

impl Seen {
    fn connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    fn question(&self) {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }

    /// How many TCP connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// When each question (a PostgreSQL query, an HTTP request, a DNS message) arrived.
    pub fn questions(&self) -> Vec<Instant> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A running fault. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    /// Where it listens, or does not.
    pub addr: SocketAddr,
    /// What it saw.
    pub seen: Seen,
    _held: Held,
}

/// What keeps a fault alive.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop")]
enum Held {
    Tasks(Vec<Task>),
    Bound(TcpSocket),
    Full(TcpListener, Vec<TcpStream>),
}

impl Server {
    /// A port that is bound, so that nobody else takes it, and that nobody listens on: `ECONNREFUSED`, and port
    /// unreachable for datagrams.
    pub fn refused() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(loopback()).unwrap();
        let addr = socket.local_addr().unwrap();
        Self { addr, seen: Seen::default(), _held: Held::Bound(socket) }
    }

    /// A listening socket whose accept queue is full: every SYN is dropped, nothing ever answers.
    pub async fn black_hole() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(loopback()).unwrap();
        let listener = socket.listen(0).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut held = Vec::new();
        // Connections that the kernel completes by itself fill the queue; the first one that hangs shows that it is full.
        while let Ok(done) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(addr)).await {
            held.push(done.unwrap());
            assert!(held.len() < 16, "the accept queue never fills");
        }
        Self { addr, seen: Seen::default(), _held: Held::Full(listener, held) }
    }

    /// Whatever connects is served by `serve`, each in a task of its own.
    pub async fn tcp<F, W>(serve: F) -> Self
    where
        F: Fn(TcpStream, Seen) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        Self::listening(listener, None, serve)
    }

    fn listening<F, W>(listener: TcpListener, udp: Option<Task>, serve: F) -> Self
    where
        F: Fn(TcpStream, Seen) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let addr = listener.local_addr().unwrap();
        let seen = Seen::default();
        let tasks = vec![accept(listener, seen.clone(), serve)].into_iter().chain(udp).collect();
        Self { addr, seen, _held: Held::Tasks(tasks) }
    }

    /// One port number for both datagrams and connections.
    async fn both() -> (TcpListener, UdpSocket) {
        for _ in 0..64 {
            let udp = UdpSocket::bind(loopback()).await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                return (tcp, udp);
            }
        }
        panic!("no port is free for both UDP and TCP");
    }
}

fn accept<F, W>(listener: TcpListener, seen: Seen, serve: F) -> Task
where
    F: Fn(TcpStream, Seen) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    Task::spawn(async move {
        // Dropped with this task, and every connection with it.
        let mut sessions = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            seen.connection();
            while sessions.try_join_next().is_some() {}
            let work = serve(stream, seen.clone());
            sessions.spawn(async move {
                let _ = tokio::time::timeout(LIFE, work).await;
            });
        }
    })
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
