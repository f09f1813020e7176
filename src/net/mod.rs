//! TLS, our own resolver, bounded connections, per-server limits, secrets.

mod connect;
mod limits;
mod resolve;
mod secret;
mod tls;

pub use connect::{TcpTarget, connect, gap_of_io};
pub use limits::{Permit, ServerKey};
pub use secret::resolve as resolve_secret;
pub use tls::{ServerCertificate, TlsPolicy, gap_of_tls, is_tls};

use std::sync::Arc;

/// What every lane shares: the resolver for our own connections, trusted roots, and limits per server.
#[derive(Debug)]
pub struct Net {
    limits: limits::Limits,
    resolver: resolve::Resolver,
    tls: tls::Tls,
}

impl Net {
    /// Makes it. Reads no file and opens no socket: roots and resolver configuration are read when first needed.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            limits: limits::Limits::default(),
            resolver: resolve::Resolver::default(),
            tls: tls::Tls::default(),
        })
    }
}
