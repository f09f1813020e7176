//! A TCP proxy between the binary and a real server: delay, black hole, cut after so many bytes, RST, and rewriting of
//! PostgreSQL's answers; counts round trips.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use super::bytes::hang;
use super::postgres::message;
use super::{HUGE, Seen, Task, loopback};

/// What is done to what passes. May be changed while connections are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Pass,
    /// Every piece is held for this long, each way.
    Delay(Duration),
    /// Nothing passes any more, either way, and new connections are taken and never answered: a firewall that drops,
    /// after the handshake.
    Swallow,
    /// So many bytes of the server's answers pass, then the connection is reset.
    CutAfter(u64),
    /// Every open connection is reset, and every new one.
    Reset,
    /// PostgreSQL, without TLS: every column of every row is NULL.
    Nulls,
    /// PostgreSQL, without TLS: no rows.
    NoRows,
    /// PostgreSQL, without TLS: the first row of an answer over and over, until 100 MB were sent.
    Huge,
}

/// A running proxy. Dropping it ends it and every connection through it.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What it saw.
    pub seen: Seen,
    mode: watch::Sender<Mode>,
    turns: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    _task: Task,
}

impl Proxy {
    /// Starts one before `upstream`.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (mode, watching) = watch::channel(Mode::Pass);
        let seen = Seen::default();
        let (turns, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let link = Link { mode: watching, turns: Arc::clone(&turns), answered: Arc::clone(&answered) };
        let noticed = seen.clone();
        let task = Task::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                noticed.connection();
                while sessions.try_join_next().is_some() {}
                sessions.spawn(link.clone().carry(client, upstream));
            }
        });
        Self { addr, seen, mode, turns, answered, _task: task }
    }

    /// From now on, and for what is open too.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How often the client spoke after the server had: the round trips that were waited for, the TCP handshake not
    /// counted.
    pub fn round_trips(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// How many bytes the servers sent.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Link {
    mode: watch::Receiver<Mode>,
    turns: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

/// Whose turn it is.
const CLIENT: u64 = 1;
const SERVER: u64 = 2;

impl Link {
    async fn carry(mut self, mut client: TcpStream, upstream: SocketAddr) {
        let _ = client.set_nodelay(true);
        if *self.mode.borrow() == Mode::Swallow {
            self.until_not_swallowing().await;
            return;
        }
        let cut = if *self.mode.borrow() == Mode::Reset {
            true
        } else if let Ok(mut server) = TcpStream::connect(upstream).await {
            let _ = server.set_nodelay(true);
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            let turn = AtomicU64::new(SERVER);
            let mut mode = self.mode.clone();
            tokio::select! {
                () = self.clone().requests(from_client, to_server, &turn) => false,
                cut = self.clone().answers(from_server, to_client, &turn) => cut,
                _ = mode.wait_for(|m| *m == Mode::Reset) => true,
            }
        } else {
            true
        };
        if cut {
            client.set_zero_linger().unwrap();
        }
    }

    async fn until_not_swallowing(&mut self) {
        let _ = self.mode.wait_for(|m| *m != Mode::Swallow).await;
    }

    async fn hold(&mut self) {
        let delay = if let Mode::Delay(by) = &*self.mode.borrow() { Some(*by) } else { None };
        if let Some(by) = delay {
            sleep(by).await;
        }
        self.until_not_swallowing().await;
    }

    async fn requests(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, turn: &AtomicU64) {
        let mut piece = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from.read(&mut piece).await {
            self.hold().await;
            if turn.swap(CLIENT, Ordering::Relaxed) == SERVER {
                self.turns.fetch_add(1, Ordering::Relaxed);
            }
            if to.write_all(&piece[..n]).await.is_err() {
                return;
            }
        }
    }

    /// Whether the connection is to be reset after it.
    async fn answers(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, turn: &AtomicU64) -> bool {
        let mut piece = vec![0; 1 << 16];
        let mut rewrite = Rewrite::default();
        let mut passed = 0_u64;
        while let Ok(n @ 1..) = from.read(&mut piece).await {
            self.hold().await;
            turn.store(SERVER, Ordering::Relaxed);
            self.answered.fetch_add(n as u64, Ordering::Relaxed);
            let mode = self.mode.borrow().clone();
            let out = rewrite.rewrite(&piece[..n], &mode);
            if let Mode::CutAfter(limit) = mode
                && passed + out.len() as u64 > limit
            {
                let left = usize::try_from(limit.saturating_sub(passed)).unwrap_or(0).min(out.len());
                let _ = to.write_all(&out[..left]).await;
                return true;
            }
            passed += out.len() as u64;
            if to.write_all(&out).await.is_err() {
                return false;
            }
            if let Some(row) = rewrite.flood.take() {
                let block = row.repeat((1 << 20) / row.len() + 1);
                let mut sent = 0;
                while sent < HUGE {
                    if to.write_all(&block).await.is_err() {
                        return false;
                    }
                    sent += block.len() as u64;
                }
                hang(&mut from).await;
                return false;
            }
        }
        false
    }
}

/// Takes PostgreSQL's answers apart into messages, once the client was let in.
#[derive(Default)]
struct Rewrite {
    held: Vec<u8>,
    flood: Option<Vec<u8>>,
}

impl Rewrite {
    fn rewrite(&mut self, piece: &[u8], mode: &Mode) -> Vec<u8> {
        if !matches!(mode, Mode::Nulls | Mode::NoRows | Mode::Huge) {
            let mut out = std::mem::take(&mut self.held);
            out.extend_from_slice(piece);
            return out;
        }
        self.held.extend_from_slice(piece);
        let mut out = Vec::new();
        loop {
            // The answer to an SSLRequest is one byte and no message.
            if self.held.first() == Some(&b'N') && self.held.len() == 1 {
                out.append(&mut self.held);
            }
            let Some(head) = self.held.first_chunk::<5>() else { return out };
            let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize + 1;
            if self.held.len() < len {
                return out;
            }
            let rest = self.held.split_off(len);
            let one = std::mem::replace(&mut self.held, rest);
            match (one[0], mode) {
                (b'D', Mode::Nulls) => {
                    let columns = u16::from_be_bytes([one[5], one[6]]);
                    let mut body = columns.to_be_bytes().to_vec();
                    body.extend(std::iter::repeat_n(0xff, 4 * usize::from(columns)));
                    out.extend_from_slice(&message(b'D', &body));
                }
                (b'D', Mode::NoRows) => {}
                (b'D', Mode::Huge) => {
                    // The rest of the answer never comes.
                    self.flood = Some(one);
                    return out;
                }
                _ => out.extend_from_slice(&one),
            }
        }
    }
}
