//! DNS: the record that moves traffic, asked of every authoritative server and of the resolvers that users use, and
//! the endpoints that it could name.

use super::System;

/// The descriptor.
pub static SYSTEM: System = System { name: "dns", probes: &[], signals: &[], rules: &[] };
