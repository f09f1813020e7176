//! Whatever must answer at each site, beside what has a system of its own: `http`, `tcp`, `tls`. And the steps that send a
//! request (`http`) or a message (`notify`).
//!
//! Each look opens a connection of its own, as a user would: one that is kept proves neither that new ones are let in nor
//! that the certificate is still the one that was seen.

mod examine;
mod http;
mod http_step;
pub mod judge;
mod notify;
pub mod options;
mod parse;
mod read;
pub mod rules;
pub mod signals;
mod tcp;
mod tls;

use std::sync::Arc;

use schemars::JsonSchema as _;

use self::options::{Endpoint, HttpOptions, TcpOptions, TlsOptions};
use super::{KindArea, Lane, Pace, ProbeKind, System};
use crate::net::Net;
use crate::plan::{Plan, ProbeDecl};

/// The descriptor.
pub static SYSTEM: System = System {
    name: "endpoint",
    probes: &[HTTP, TCP, TLS],
    signals: signals::SIGNALS,
    rules: rules::RULES,
    steps: &[http_step::HTTP, notify::NOTIFY],
};

const HTTP: ProbeKind = ProbeKind {
    name: "http",
    area: KindArea::Declared,
    pace: Pace::USUAL,
    schema: |generator| HttpOptions::json_schema(generator),
    read: read::http,
    open,
};

const TCP: ProbeKind = ProbeKind {
    name: "tcp",
    area: KindArea::Declared,
    pace: Pace::USUAL,
    schema: |generator| TcpOptions::json_schema(generator),
    read: read::tcp,
    open,
};

const TLS: ProbeKind = ProbeKind {
    name: "tls",
    area: KindArea::Declared,
    pace: Pace::SLOW,
    schema: |generator| TlsOptions::json_schema(generator),
    read: read::tls,
    open,
};

/// Opens the lanes that were declared. Connects nowhere.
fn open(_: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    let Some(endpoint) = probe.options::<Endpoint>() else { return Vec::new() };
    probe
        .lanes
        .iter()
        .map(|lane| -> Box<dyn Lane> {
            let (net, decl) = (Arc::clone(net), lane.clone());
            match endpoint {
                Endpoint::Http(options) => Box::new(http::HttpLane::new(net, decl, options)),
                Endpoint::Tcp(options) => Box::new(tcp::TcpLane::new(net, decl, options)),
                Endpoint::Tls(options) => Box::new(tls::TlsLane::new(net, decl, options)),
            }
        })
        .collect()
}
