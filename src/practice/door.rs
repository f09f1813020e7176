//! A port of loopback that meets whoever connects as the world says: it answers, refuses, hangs, or is a black hole.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::shared::Shared;
use super::world::World;
use super::world::network::Reach;

/// How the world meets whoever comes to a door.
pub type Reaches = Arc<dyn Fn(&World) -> Reach + Send + Sync>;

/// A port that is ours for as long as this lives, whether anybody listens on it or not: while nobody does, connections to
/// it are refused.
#[derive(Debug)]
pub struct Door {
    _held: TcpSocket,
    address: SocketAddr,
    /// Whoever comes before it is served waits here, and is not refused.
    first: Option<TcpListener>,
}

impl Door {
    /// Takes a free port of 127.0.0.1. Whoever comes from now on waits until it is served.
    ///
    /// # Errors
    /// There is none.
    pub fn reserve() -> io::Result<Self> {
        Self::take((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Takes this port.
    ///
    /// # Errors
    /// It is taken, or its address is none of this machine's.
    pub fn take(at: SocketAddr) -> io::Result<Self> {
        let held = socket(at)?;
        let address = held.local_addr()?;
        let first = Some(socket(address)?.listen(QUEUE)?);
        Ok(Self { _held: held, address, first })
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves whoever comes, for as long as it is polled. What `serve` gives for a connection is polled only while the world
    /// lets it answer, and dropped, with its connection, once connections are refused; it must do all its work itself.
    ///
    /// # Errors
    /// The port cannot be listened on.
    pub async fn serve<S, F>(mut self, shared: Shared, reaches: Reaches, serve: S) -> io::Result<()>
    where
        S: Fn(TcpStream, SocketAddr) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let gate = watch::Sender::new(Reach::Open);
        let mut guests = JoinSet::new();
        loop {
            let reach = shared.with(|w| reaches(w));
            gate.send_replace(reach);
            let other = |w: &mut World| Some(reaches(w)).filter(|now| *now != reach);
            match reach {
                Reach::Refused => {
                    self.first = None;
                    guests.shutdown().await;
                    shared.until(other).await;
                }
                Reach::Cut => {
                    self.first = None;
                    // No connection comes about: one waits to be taken, nobody takes it, and there is no room for another
                    // (Linux drops what opens a connection while the queue is full). Who was quicker than ours waits there
                    // just as well, and then ours never comes about.
                    let _full = socket(self.address)?.listen(0)?;
                    let first = TcpStream::connect(self.address);
                    let filled = async {
                        let _waits = first.await;
                        std::future::pending::<()>().await;
                    };
                    tokio::select! {
                        _ = shared.until(other) => {}
                        () = filled => {}
                    }
                }
                Reach::Open | Reach::Hangs => {
                    let listener = match self.first.take() {
                        Some(listener) => listener,
                        None => socket(self.address)?.listen(QUEUE)?,
                    };
                    let mut changed = std::pin::pin!(shared.until(other));
                    loop {
                        tokio::select! {
                            biased;
                            _ = &mut changed => break,
                            come = listener.accept() => {
                                // One that left again before it was taken is nobody's loss.
                                if let Ok((stream, from)) = come {
                                    guests.spawn(Gated::new(serve(stream, from), &gate));
                                }
                            }
                            Some(_) = guests.join_next() => {}
                        }
                    }
                    if shared.with(|w| reaches(w)) == Reach::Refused {
                        // Those who came and were not taken yet are turned away with the others.
                        guests.shutdown().await;
                    }
                }
            }
        }
    }
}

/// How many connections may wait to be taken.
const QUEUE: u32 = 128;

fn socket(at: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // What holds the port and what listens on it are two sockets.
    socket.set_reuseport(true)?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    Ok(socket)
}

/// A future that is polled only while a gate is open.
struct Gated<F> {
    inner: Pin<Box<F>>,
    gate: watch::Receiver<Reach>,
    turns: BoxStream<'static, Reach>,
}

impl<F: Future<Output = ()>> Gated<F> {
    fn new(inner: F, gate: &watch::Sender<Reach>) -> Self {
        let turns = futures_util::stream::unfold(gate.subscribe(), async |mut gate| {
            gate.changed().await.ok()?;
            let reach = *gate.borrow_and_update();
            Some((reach, gate))
        });
        Self { inner: Box::pin(inner), gate: gate.subscribe(), turns: turns.boxed() }
    }
}

impl<F: Future<Output = ()>> Future for Gated<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Asked until it waits, so that the next turn of the gate wakes this.
        while let Poll::Ready(turn) = self.turns.poll_next_unpin(cx) {
            if turn.is_none() {
                return Poll::Ready(());
            }
        }
        let reach = *self.gate.borrow();
        match reach {
            Reach::Open => self.inner.as_mut().poll(cx),
            Reach::Hangs | Reach::Cut => Poll::Pending,
            Reach::Refused => Poll::Ready(()),
        }
    }
}
