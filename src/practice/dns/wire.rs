//! Datagrams at a port of loopback, which meets whoever sends some as the world says.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::practice::door::Reaches;
use crate::practice::shared::Shared;
use crate::practice::world::World;
use crate::practice::world::network::Reach;

/// The longest question that is read.
const LONGEST: usize = 4_096;

/// How much later than it could a server answers.
pub fn slow(shared: &Shared, name: &str) -> Duration {
    shared.with(|w| w.endpoints.get(name).map(|e| e.slow)).unwrap_or_default()
}

/// A port that is ours for as long as this lives: while nobody answers, datagrams to it are refused.
#[derive(Debug)]
pub struct Datagrams {
    held: std::net::UdpSocket,
    address: SocketAddr,
}

impl Datagrams {
    /// Takes this port.
    ///
    /// # Errors
    /// It is taken.
    pub fn reserve(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { held: refusing(address)?, address })
    }

    /// Answers whoever sends a datagram, for as long as it is polled.
    ///
    /// # Errors
    /// The port was lost to another process, in the moment in which it changes hands.
    pub async fn serve<A>(self, shared: Shared, reaches: Reaches, name: &'static str, answer: A) -> io::Result<()>
    where
        A: Fn(&[u8]) -> Option<Vec<u8>>,
    {
        // Only one socket can have the port at a time.
        let mut has = Has::Refuses(self.held);
        loop {
            let reach = shared.with(|w| reaches(w));
            let other = |w: &mut World| Some(()).filter(|()| reaches(w) != reach);
            if reach == Reach::Refused {
                if let Has::Answers(socket) = has {
                    drop(socket);
                    has = Has::Refuses(refusing(self.address)?);
                }
                shared.until(other).await;
                continue;
            }
            let socket = match has {
                Has::Answers(socket) => socket,
                Has::Refuses(held) => {
                    drop(held);
                    Arc::new(UdpSocket::bind(self.address).await?)
                }
            };
            let mut changed = std::pin::pin!(shared.until(other));
            let mut late = tokio::task::JoinSet::new();
            let mut bytes = vec![0; LONGEST];
            loop {
                tokio::select! {
                    biased;
                    () = &mut changed => break,
                    come = socket.recv_from(&mut bytes) => {
                        // What an earlier answer came back with (nobody listens there any more) is no question.
                        let Ok((length, from)) = come else { continue };
                        let reply = bytes.get(..length).filter(|_| reach == Reach::Open).and_then(&answer);
                        let Some(reply) = reply else { continue };
                        let (socket, by) = (Arc::clone(&socket), slow(&shared, name));
                        late.spawn(async move {
                            tokio::time::sleep(by).await;
                            socket.send_to(&reply, from).await
                        });
                    }
                    Some(_) = late.join_next() => {}
                }
            }
            late.shutdown().await;
            has = Has::Answers(socket);
        }
    }
}

/// The socket that has the port.
enum Has {
    Refuses(std::net::UdpSocket),
    Answers(Arc<UdpSocket>),
}

/// A socket that has the port and refuses: connected to a peer that sends nothing, so that for everybody else nobody is there.
fn refusing(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    // The discard port; nothing is ever sent.
    socket.connect((address.ip(), 9))?;
    Ok(socket)
}
