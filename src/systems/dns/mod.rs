//! DNS: the record that moves traffic, asked of every authoritative server and of the resolvers that users use, and
//! the endpoints that it could name.

mod askers;
mod authoritative;
mod endpoint;
mod exchange;
#[cfg(test)]
mod fake;
pub mod options;
mod parse;
mod place;
mod read;
mod report;
mod resolver;
pub mod rules;
pub mod signals;
mod step;

pub use read::{AUTHORITATIVE, SYSTEM_RESOLVERS};

use std::sync::Arc;

use schemars::JsonSchema;

use crate::net::Net;
use crate::plan::{Area, LaneDecl, Plan, ProbeDecl};

use super::{KindArea, Lane, Pace, ProbeKind, System};
use authoritative::AuthoritativeLane;
use endpoint::EndpointLane;
use options::{Dns, DnsOptions, shown};
use resolver::ResolverLane;

/// The descriptor.
pub static SYSTEM: System = System {
    name: "dns",
    probes: &[ProbeKind {
        name: "dns",
        area: KindArea::Fixed(Area::Dns),
        pace: Pace::USUAL,
        schema: DnsOptions::json_schema,
        read: read::read,
        open,
    }],
    signals: signals::SIGNALS,
    rules: rules::RULES,
    steps: step::STEPS,
};

/// Opens the lanes that were declared. Connects nowhere.
fn open(_: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    let Some(dns) = probe.options::<Dns>() else { return Vec::new() };
    probe.lanes.iter().map(|lane| open_lane(lane, dns, net)).collect()
}

fn open_lane(lane: &LaneDecl, dns: &Dns, net: &Arc<Net>) -> Box<dyn Lane> {
    let net = Arc::clone(net);
    let decl = lane.clone();
    if lane.expects.contains(&signals::SERVERS) {
        return Box::new(AuthoritativeLane::new(net, decl, dns.clone()));
    }
    let answer = lane.subject.site.as_ref().and_then(|site| dns.site(site));
    if let (Some(answer), Some(endpoint)) = (answer, &dns.endpoint) {
        let (answer, endpoint) = (answer.clone(), endpoint.clone());
        let named = endpoint.server_name.as_deref().and_then(|n| options::name(n).ok());
        let name = named.unwrap_or_else(|| dns.record.clone());
        return Box::new(EndpointLane { net, decl, answer, endpoint, name });
    }
    let part = lane.subject.part.as_deref().unwrap_or_default();
    let resolver = dns.resolvers.iter().copied().find(|r| shown(*r) == part);
    Box::new(ResolverLane { net, decl, dns: dns.clone(), resolver })
}
