//! DNS: the record that moves traffic, asked of every authoritative server and of the resolvers that users use, and
//! the endpoints that it could name.

pub mod options;
mod parse;
mod read;
pub mod signals;

pub use read::{AUTHORITATIVE, SYSTEM_RESOLVERS};

use super::System;

/// The descriptor.
pub static SYSTEM: System = System { name: "dns", probes: &[], signals: signals::SIGNALS, rules: &[] };
