//! From the options as written to what is meant, with every fault of meaning at once.

use std::sync::Arc;

use crate::plan::{LaneDecl, SafeText, SiteId, Span, Subject};
use crate::systems::{Declared, Fault, ReadContext};

use super::options::{Member, Patroni, PatroniOptions, SiteMembers};
use super::signals;

/// Most members of one site.
pub(super) const MOST_MEMBERS: usize = 16;

fn fault(path: &[&str], what: impl Into<String>, right: impl Into<String>) -> Fault {
    Fault { path: path.iter().map(|p| (*p).to_owned()).collect(), what: what.into(), right: right.into() }
}

/// Reads a probe's own keys.
///
/// # Errors
/// Every fault of meaning.
pub fn read(ctx: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let raw: PatroniOptions =
        serde_json::from_value(value).map_err(|e| vec![fault(&[], e.to_string(), "the keys of a patroni probe")])?;
    let mut faults = Vec::new();
    let patroni = checked(ctx, &raw, &mut faults);
    in_time(ctx, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let lanes = patroni.sites.iter().map(lane).collect();
    Ok(Declared { options: Arc::new(patroni), lanes, secrets: Vec::new() })
}

/// One lane per site: what its members say is judged together.
fn lane(site: &SiteMembers) -> LaneDecl {
    let names: Vec<&str> = site.members.iter().map(|m| m.shown.as_str()).collect();
    LaneDecl {
        subject: Subject::site(site.site.clone()),
        server: SafeText::new(&format!("Patroni in {}, {}", site.site, names.join(", "))),
        expects: signals::SIGNALS.iter().map(|s| s.id.clone()).collect(),
    }
}

fn checked(ctx: &ReadContext<'_>, raw: &PatroniOptions, faults: &mut Vec<Fault>) -> Patroni {
    let names: Vec<&str> = ctx.sites.iter().map(SiteId::as_str).collect();
    let mut sites = Vec::new();
    let mut taken: Vec<(String, String)> = Vec::new();
    for (site, urls) in &raw.at {
        if !names.contains(&site.as_str()) {
            faults.push(fault(&["at", site], format!("no site \"{site}\" in this plan"), names.join(", ")));
        }
        if urls.is_empty() || urls.len() > MOST_MEMBERS {
            let what = format!("{} members", urls.len());
            faults.push(fault(&["at", site], what, format!("from 1 to {MOST_MEMBERS}, each with its URL")));
        }
        let mut members: Vec<Member> = Vec::new();
        for url in urls {
            match Member::read(url) {
                Err(what) => faults.push(fault(&["at", site], what, "\"http://10.1.1.1:8008\"")),
                Ok(member) => {
                    if let Some((other, _)) = taken.iter().find(|(_, shown)| *shown == member.shown) {
                        let what = format!("{} is a member of {other} already", member.shown);
                        faults.push(fault(&["at", site], what, "each member once"));
                    }
                    taken.push((site.clone(), member.shown.clone()));
                    members.push(member);
                }
            }
        }
        sites.push(SiteMembers { site: SiteId::new(site), members });
    }
    if raw.at.len() < 2 {
        let right = "at = { east = [\"http://10.0.1.1:8008\"], west = [\"http://10.1.1.1:8008\"] }";
        faults.push(fault(&["at"], "a standby cluster is judged against the active one: two sites are needed", right));
    }
    // Home first: the order in which people think of them.
    sites.sort_by_key(|s| s.site != *ctx.home);
    let client = match (&raw.client_certificate, &raw.client_key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        (None, None) => None,
        (Some(_), None) => {
            faults.push(fault(&["client_certificate"], "a certificate without its key", "client_key = \"/path\""));
            None
        }
        (None, Some(_)) => {
            faults.push(fault(&["client_key"], "a key without its certificate", "client_certificate = \"/path\""));
            None
        }
    };
    if raw.insecure && raw.roots.is_some() {
        faults.push(fault(&["roots"], "any certificate is accepted, so no authority is asked", "one of the two"));
    }
    if raw.act_as.as_ref().is_some_and(|a| a.user.is_empty() || a.user.contains(':')) {
        faults.push(fault(
            &["act_as", "user"],
            "no user",
            "restapi.authentication.username of Patroni, without a colon",
        ));
    }
    Patroni { sites, roots: raw.roots.clone(), client, insecure: raw.insecure, act_as: raw.act_as.clone() }
}

/// The positions that a look brings bound what would be lost: no finer than what is looked at.
fn in_time(ctx: &ReadContext<'_>, faults: &mut Vec<Fault>) {
    let rpo = ctx.objectives.rpo.0;
    let slowest = ctx.interval.saturating_add(ctx.timeout);
    if !rpo.is_zero() && slowest > rpo / 2 {
        let what =
            format!("interval and timeout together are {}, more than half the RPO of {}", Span(slowest), Span(rpo));
        faults.push(fault(&["interval"], what, format!("at most {} together", Span(rpo / 2))));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::plan::{Objectives, PlanId, ProbeId};

    fn read_with(rpo: u64, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(rpo), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "dr-cluster");
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(3));
        let home = &sites[1];
        let area = crate::plan::Area::Standby;
        read(
            &ReadContext {
                id: &id,
                strategy: crate::plan::Strategy::WarmStandby,
                sites: &sites,
                home,
                objectives: &objectives,
                area,
                interval,
                timeout,
            },
            value,
        )
    }

    #[test]
    fn a_lane_per_site_home_first() {
        let at = json!({ "east": ["http://10.0.1.1"], "west": ["http://10.1.1.1:8008", "http://10.1.1.2:8008"] });
        let declared = read_with(30, json!({ "at": at })).unwrap();
        let lanes: Vec<(String, &str)> =
            declared.lanes.iter().map(|l| (l.subject.to_string(), l.server.as_str())).collect();
        let west = ("west".to_owned(), "Patroni in west, 10.1.1.1:8008, 10.1.1.2:8008");
        assert_eq!(lanes, [west, ("east".to_owned(), "Patroni in east, 10.0.1.1:8008")]);
        assert!(declared.lanes.iter().all(|l| l.expects.len() == signals::SIGNALS.len()));
    }

    #[test]
    fn every_fault_is_said() {
        let faults = |rpo, value| {
            let said = |f: Fault| format!("{}: {}", f.path.join("."), f.what);
            read_with(rpo, value).unwrap_err().into_iter().map(said).collect::<Vec<_>>().join("\n")
        };
        let at = json!({ "east": ["http://x", "tcp://y", "http://x:8008"], "north": [] });
        let said = faults(30, json!({ "at": at, "client_key": "/k", "insecure": true, "roots": "/r" }));
        for what in [
            "at.east: neither http nor https",
            "at.east: x:8008 is a member of east already",
            "at.north: no site \"north\" in this plan",
            "at.north: 0 members",
            "client_key: a key without its certificate",
            "roots: any certificate is accepted, so no authority is asked",
        ] {
            assert!(said.contains(what), "{what} is not in\n{said}");
        }
        assert!(faults(30, json!({ "at": { "east": ["http://x"] } })).contains("two sites are needed"));
        let at = json!({ "east": ["http://x"], "west": ["http://y"] });
        assert!(faults(10, json!({ "at": at, "client_certificate": "/c" })).contains("more than half the RPO"));
    }
}
