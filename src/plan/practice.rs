//! The practice world's own addresses: the only ones that a practice configuration may name, and that are ever reached from
//! it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The addresses that belong to a practice world. All of them are loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Practice {
    own: BTreeSet<SocketAddr>,
}

/// Why a text is no address of a practice world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOwn {
    /// No address and port.
    #[error("{0:?} is no address with a port")]
    NoAddress(String),
    /// An address that other machines have, or a port that is none.
    #[error("{0} is not a loopback address with a port")]
    Elsewhere(SocketAddr),
}

impl Practice {
    /// The world that has these addresses, each written `127.0.0.1:40001`.
    ///
    /// # Errors
    /// The place of each that is none, and why.
    pub fn read(own: &[String]) -> Result<Self, Vec<(usize, NotOwn)>> {
        let (mut found, mut faults) = (BTreeSet::new(), Vec::new());
        for (at, text) in own.iter().enumerate() {
            match text.parse::<SocketAddr>() {
                Err(_) => faults.push((at, NotOwn::NoAddress(text.clone()))),
                Ok(addr) if !addr.ip().is_loopback() || addr.port() == 0 => faults.push((at, NotOwn::Elsewhere(addr))),
                Ok(addr) => drop(found.insert(addr)),
            }
        }
        if faults.is_empty() { Ok(Self { own: found }) } else { Err(faults) }
    }

    /// Whether this address belongs to it.
    #[must_use]
    pub fn has(&self, addr: SocketAddr) -> bool {
        self.own.contains(&addr)
    }

    /// Whether a server belongs to it: an address, never a name, and its port where one is given.
    #[must_use]
    pub fn owns(&self, host: &str, port: Option<u16>) -> bool {
        let Ok(ip) = host.parse() else { return false };
        match port {
            Some(port) => self.has(SocketAddr::new(ip, port)),
            None => self.own.iter().any(|addr| addr.ip() == ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|t| (*t).to_owned()).collect()
    }

    #[test]
    fn only_loopback_addresses_with_a_port_can_be_its_own() {
        let bad = ["127.0.0.1", "localhost:80", "10.0.0.1:5432", "127.0.0.1:0", "0.0.0.0:80", "[2001:db8::1]:80"];
        for text in bad {
            assert!(Practice::read(&texts(&[text])).is_err(), "{text}");
        }
        let faults = Practice::read(&texts(&["127.0.0.1:1", "10.0.0.1:2", "x"])).unwrap_err();
        assert_eq!(faults.iter().map(|f| f.0).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_server_is_its_own_by_address_and_port_never_by_name() {
        let world = Practice::read(&texts(&["127.0.0.1:4001", "127.0.0.2:4002", "[::1]:4003"])).unwrap();
        assert!(world.owns("127.0.0.1", Some(4001)) && world.owns("::1", Some(4003)) && world.owns("127.0.0.2", None));
        assert!(!world.owns("127.0.0.1", Some(4002)) && !world.owns("localhost", Some(4001)));
        assert!(!world.owns("127.0.0.3", None) && !world.owns("10.0.0.1", None));
    }
}
