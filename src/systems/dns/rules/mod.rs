//! What readings of DNS mean. One file each.

mod authority;
mod endpoints;
mod resolvers;
mod serials;
mod signatures;
mod stale;
mod traffic;
mod ttl;

use crate::plan::{LaneDecl, Now, Plan, ProbeDecl, SafeText, SignalId, Subject};
use crate::readiness::{About, Facts, Finding, Gap, Kept, Row, Rule, Verdict};

use super::options::Dns;
use super::place::Answered;
use super::{AUTHORITATIVE, signals};

/// Every rule of DNS.
pub static RULES: &[&dyn Rule] = &[
    &authority::Authority,
    &serials::Serials,
    &signatures::Signatures,
    &ttl::Ttl,
    &traffic::Traffic,
    &resolvers::Resolvers,
    &stale::Stale,
    &endpoints::Endpoints,
];

/// What a rule about lanes that bring `signal` applies to.
fn lanes_with(plan: &Plan, signal: &SignalId) -> Vec<About> {
    let dns = plan.probes.iter().filter(|p| p.options::<Dns>().is_some());
    let lanes = dns.flat_map(|p| p.lanes.iter().filter(|l| l.expects.contains(signal)).map(move |l| (p, l)));
    lanes.map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() }).collect()
}

/// What a rule about whole probes applies to.
fn probes(plan: &Plan) -> Vec<About> {
    let dns = plan.probes.iter().filter(|p| p.options::<Dns>().is_some());
    dns.map(|p| About { probe: Some(p.id.clone()), subject: Subject::whole() }).collect()
}

/// The probe of a finding, and its options.
fn probe_of<'a>(facts: &Facts<'a>, about: &About) -> Option<(&'a ProbeDecl, &'a Dns)> {
    let probe = facts.plan.probe(about.probe.as_ref()?)?;
    Some((probe, probe.options::<Dns>()?))
}

/// The lane that asks the authoritative servers.
fn authoritative() -> Subject {
    Subject::part(AUTHORITATIVE)
}

/// The lanes that ask resolvers.
fn resolvers(probe: &ProbeDecl) -> impl Iterator<Item = &LaneDecl> {
    probe.lanes.iter().filter(|l| l.expects.contains(&signals::ANSWER))
}

/// A fresh answer of a lane: of a resolver, or of the authoritative servers.
fn answer<'a>(
    facts: &Facts<'a>,
    probe: &ProbeDecl,
    subject: &Subject,
    now: Now,
) -> Option<Result<(Vec<Answered>, &'a Kept), Gap>> {
    let signal = if *subject == authoritative() { signals::CHAIN } else { signals::ANSWER };
    let (rows, reading) = facts.rows(probe, subject, &signal, now)?;
    Some(Answered::read(rows).map(|a| (a, reading)))
}

/// A column of words; empty for NULL.
fn words(row: &Row, column: &str) -> Result<String, Gap> {
    Ok(row.text(column)?.map_or(String::new(), |t: SafeText| t.as_str().to_owned()))
}

/// The finding for a reading that this program made itself and cannot read: `Unknown`, never silence.
fn unreadable(finding: impl Fn(Verdict, &'static str, &str) -> Finding, gap: &Gap) -> Finding {
    finding(Verdict::Unknown, "malformed", &format!("the reading cannot be understood: {gap}"))
        .next("this is a fault in lifeboat: report it")
}

/// What several names are called in a sentence: `a, b and c`.
fn list<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => {
            format!("{} and {}", most.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod bench;
