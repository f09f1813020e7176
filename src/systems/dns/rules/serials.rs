//! Every server of a zone has the same SOA serial: one that is behind keeps answering with the old site.

use crate::plan::{Area, Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Gap, Row, Rule, Verdict};

use super::super::signals::SERVERS;
use super::{lanes_with, list, probe_of, unreadable, words};

const ID: RuleId = RuleId::new("dns.serials");

/// Compares the serials of each zone.
pub struct Serials;

impl Rule for Serials {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        lanes_with(plan, &SERVERS)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((probe, _)) = probe_of(facts, about) else { return Vec::new() };
        let Some((rows, reading)) = facts.rows(probe, &about.subject, &SERVERS, now) else { return Vec::new() };
        let make = |verdict, code: &'static str, sentence: &str| {
            Finding::new(ID, Area::Dns, about.subject.clone(), verdict, code, sentence).of(&probe.id)
        };
        let read = |row: &Row| Ok((words(row, "zone")?, words(row, "address")?, row.int("serial")?));
        let known = match rows.iter().map(read).collect::<Result<Vec<_>, Gap>>() {
            Err(gap) => return vec![unreadable(make, &gap)],
            Ok(all) => {
                all.into_iter().filter_map(|(z, a, s)| Some((z, a, u32::try_from(s?).ok()?))).collect::<Vec<_>>()
            }
        };
        let mut zones: Vec<&String> = known.iter().map(|(z, _, _)| z).collect();
        zones.sort();
        zones.dedup();
        let mut differing = Vec::new();
        for zone in zones {
            let of: Vec<_> = known.iter().filter(|(z, _, _)| z == zone).collect();
            let Some(newest) = of.iter().map(|(_, _, s)| *s).reduce(|a, b| if newer(b, a) { b } else { a }) else {
                continue;
            };
            let mut behind: Vec<&str> =
                of.iter().filter(|(_, _, s)| *s != newest).map(|(_, a, _)| a.as_str()).collect();
            behind.dedup();
            if behind.is_empty() {
                continue;
            }
            let verb = if behind.len() == 1 { "is" } else { "are" };
            let sentence = format!("{} {verb} behind in zone {zone}: the newest serial is {newest}", list(&behind));
            let finding = make(Verdict::Degraded, "serials-differ", &sentence);
            let each = |f: Finding, (_, address, serial): &&(String, String, u32)| {
                f.because(&format!("{address} SOA serial"), serial, reading.asked)
            };
            differing.push(
                of.iter()
                    .fold(finding, each)
                    .next("see why the zone is not transferred: NOTIFY, allow-transfer, the secondary's log"),
            );
        }
        if differing.is_empty() && !known.is_empty() {
            let first = known.first().map_or(0, |(_, _, s)| *s);
            return vec![
                make(Verdict::Ready, "serials-equal", "every server that answers has the same serial").because(
                    "SOA serial",
                    &first,
                    reading.asked,
                ),
            ];
        }
        differing
    }
}

/// Whether serial `a` is newer than `b` (RFC 1982 section 3.2).
fn newer(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, server};
    use super::*;

    #[test]
    fn names_who_is_behind() {
        let equal = vec![server("ns0", "ok", Some(7)), server("ns1", "ok", Some(7)), server("ns2", "timed-out", None)];
        assert_eq!(Bench::new().servers(equal).judge(&Serials), ["ready serials-equal"]);
        let drift = vec![server("ns0", "ok", Some(8)), server("ns1", "ok", Some(7))];
        let found = Bench::new().servers(drift).findings(&Serials);
        assert_eq!(found[0].verdict, Verdict::Degraded);
        assert_eq!(found[0].sentence.as_str(), "ns1 is behind in zone example.com: the newest serial is 8");
        let silent = vec![server("ns0", "timed-out", None)];
        assert!(Bench::new().servers(silent).judge(&Serials).is_empty());
    }

    #[test]
    fn serials_wrap() {
        assert!(newer(1, u32::MAX));
        assert!(!newer(u32::MAX, 1));
        assert!(newer(2_026_112_102, 2_026_112_101));
    }
}
