//! Datagrams at a port of loopback, which meets whoever sends some as the world says.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
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
    socket: std::net::UdpSocket,
}

impl Datagrams {
    /// Takes this port.
    ///
    /// # Errors
    /// It is taken.
    pub fn reserve(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Answers whoever sends a datagram, for as long as it is polled.
    ///
    /// # Errors
    /// The runtime takes no socket, or the kernel does not let the socket change its peer.
    pub async fn serve<A>(self, shared: Shared, reaches: Reaches, name: &'static str, answer: A) -> io::Result<()>
    where
        A: Fn(&[u8]) -> Option<Vec<u8>>,
    {
        let socket = Arc::new(UdpSocket::from_std(self.socket)?);
        let mut bytes = vec![0; LONGEST];
        loop {
            let reach = shared.with(|w| reaches(w));
            let other = |w: &mut World| Some(()).filter(|()| reaches(w) != reach);
            if reach == Reach::Refused {
                // The socket keeps its port, for nobody else to take, and has a peer that sends nothing: for everybody else
                // nobody is there. The peer is the discard port; nothing is ever sent to it.
                socket.connect((Ipv4Addr::LOCALHOST, 9)).await?;
                shared.until(other).await;
                // What came before that is not answered so much later.
                while socket.try_recv(&mut bytes).is_ok() {}
                rustix::net::connect_unspec(&socket)?;
                continue;
            }
            let mut changed = std::pin::pin!(shared.until(other));
            let mut late = tokio::task::JoinSet::new();
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
        }
    }
}
