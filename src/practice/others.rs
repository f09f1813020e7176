//! The world's servers that are no PostgreSQL, with their ports.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::dns::Server;
use super::door::{Door, Reaches};
use super::patroni::RestUser;
use super::shared::Shared;
use super::world::dns::front;
use super::world::network::Site;
use super::world::patroni::APIS;
use super::world::{NAME_SERVERS, World};
use super::{dns, endpoints, files, http, patroni, registry};

/// The name of the key that may change the zone.
pub const KEY: &str = "failover";

/// What may change something.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The secret of the key [`KEY`], for HMAC with SHA-256.
    pub tsig: secrecy::SecretSlice<u8>,
    /// Who may change something at Patroni's REST API; nobody has to say who asks where there is none.
    pub patroni: Option<RestUser>,
}

/// Their ports are taken, and they answer once they are polled.
pub struct Others {
    /// Everything that listens, by its name in the world.
    pub servers: Vec<(&'static str, SocketAddr)>,
    /// Where the records of services lead to: east, west, and the port there.
    pub traffic: (IpAddr, IpAddr, u16),
    /// What serves; each goes on until it is dropped, or fails where its port is lost.
    pub tasks: Vec<BoxFuture<'static, io::Result<()>>>,
}

/// Takes a port for each server. Backups are kept in a directory of `backups` for each series, and are there once this is done.
///
/// # Errors
/// No port is free, an address of loopback is none of this machine's, or the disk takes no files.
pub async fn open(shared: &Shared, backups: &Path, secrets: &Secrets) -> io::Result<Others> {
    let mut others =
        Others { servers: Vec::new(), traffic: (front(Site::East), front(Site::West), 0), tasks: Vec::new() };
    others.name_servers(shared, secrets)?;
    others.registries(shared)?;
    others.web(shared)?;
    others.patroni(shared, secrets)?;
    let directories = files::Directories::open(shared.clone(), backups.to_owned()).await?;
    others.tasks.push(Box::pin(directories.keep()));
    Ok(others)
}

impl Others {
    fn name_servers(&mut self, shared: &Shared, secrets: &Secrets) -> io::Result<()> {
        use secrecy::ExposeSecret as _;
        let authority = Server::authority(KEY, secrets.tsig.expose_secret()).map_err(io::Error::other)?;
        let resolvers = (0..NAME_SERVERS.len().saturating_sub(1)).map(Server::Resolver);
        for server in std::iter::once(authority).chain(resolvers) {
            let (door, datagrams) = dns::reserve()?;
            self.servers.push((server.name(), door.address()));
            self.tasks.push(Box::pin(server.serve(door, datagrams, shared.clone())));
        }
        Ok(())
    }

    fn registries(&mut self, shared: &Shared) -> io::Result<()> {
        for (name, site) in [("registry-east", Site::East), ("registry-west", Site::West)] {
            self.http(name, Door::reserve()?, shared, move |world, asked| {
                registry::says(&world.registries, site, asked)
            });
        }
        Ok(())
    }

    /// Both sites' endpoints: the same port at an address of each.
    fn web(&mut self, shared: &Shared) -> io::Result<()> {
        let (east, west, _) = self.traffic;
        let mut tried = Err(io::Error::other("no port is free at both addresses"));
        for _ in 0..64 {
            let first = Door::take((east, 0).into())?;
            tried = Door::take((west, first.port()).into()).map(|second| (first, second));
            if tried.is_ok() {
                break;
            }
        }
        let (first, second) = tried?;
        self.traffic.2 = first.port();
        for (name, site, door) in [("web-east", Site::East, first), ("web-west", Site::West, second)] {
            self.http(name, door, shared, move |world, asked| endpoints::says(world, name, site, asked));
        }
        Ok(())
    }

    /// A server that answers at once, by what the world is.
    fn http<A>(&mut self, name: &'static str, door: Door, shared: &Shared, answer: A)
    where
        A: Fn(&World, &http::Asked) -> http::Answer + Clone + Send + Sync + 'static,
    {
        self.servers.push((name, door.address()));
        let reaches: Reaches = Arc::new(move |w: &World| w.reach_of_endpoint(name));
        let world = shared.clone();
        let serve = move |stream, _| {
            let (world, answer) = (world.clone(), answer.clone());
            http::serve(stream, world.clone(), name, move |asked| std::future::ready(world.with(|w| answer(w, &asked))))
        };
        self.tasks.push(Box::pin(door.serve(shared.clone(), reaches, serve)));
    }

    fn patroni(&mut self, shared: &Shared, secrets: &Secrets) -> io::Result<()> {
        for (name, member) in APIS {
            let door = Door::reserve()?;
            shared.with(|w| w.patroni.listens(member, door.port()));
            self.servers.push((name, door.address()));
            let reaches: Reaches = Arc::new(move |w: &World| w.patroni_reach(member));
            let (world, user) = (shared.clone(), secrets.patroni.clone());
            let serve = move |stream, _| {
                let (world, user) = (world.clone(), user.clone());
                http::serve(stream, world.clone(), name, move |asked| {
                    let (world, user) = (world.clone(), user.clone());
                    async move { patroni::says(&world, member, user.as_ref(), asked).await }
                })
            };
            self.tasks.push(Box::pin(door.serve(shared.clone(), reaches, serve)));
        }
        Ok(())
    }
}
