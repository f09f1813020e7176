//! Where writes and traffic go: always observed, never configured.

use serde::{Deserialize, Serialize};

use crate::plan::{BootTime, Now, ProbeDecl, ProbeId, SafeText, SiteId};

use super::lsn_clock::Sole;
use super::{Facts, Seen, Value, signals};

/// One answer to "where?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Site {
    /// At this site, by fresh evidence.
    At(SiteId),
    /// At several at once.
    Several(Vec<SiteId>),
    /// Nowhere: everything answers, and nothing takes it.
    Nowhere,
    /// It was last seen here, and does not answer now.
    LastSeen(SiteId),
    /// Nobody can say.
    Unknown,
    /// No probe looks at it.
    NotProbed,
}

impl Site {
    /// The site, where there is exactly one, seen now or last.
    #[must_use]
    pub const fn one(&self) -> Option<&SiteId> {
        match self {
            Self::At(site) | Self::LastSeen(site) => Some(site),
            Self::Several(_) | Self::Nowhere | Self::Unknown | Self::NotProbed => None,
        }
    }
}

/// Where a plan's writes and traffic go now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// The site whose database takes writes.
    pub database: Site,
    /// The site that traffic goes to, by what resolvers answer.
    pub traffic: Site,
    /// The probes in which two sites of one cluster take writes at once.
    pub split: Vec<ProbeId>,
}

/// A server that was seen to take writes.
struct Writer<'a> {
    site: SiteId,
    instance: Option<&'a SafeText>,
    system: Option<&'a SafeText>,
    /// Seen to take writes from here to here, at least.
    from: BootTime,
    to: BootTime,
}

/// Observes where a plan is active.
#[must_use]
pub fn active(facts: &Facts<'_>, now: Now) -> Active {
    let mut split = Vec::new();
    let mut databases: Vec<Site> = Vec::new();
    for probe in &facts.plan.probes {
        let lanes: Vec<_> = probe.lanes.iter().filter(|l| l.expects.contains(&signals::WRITABLE)).collect();
        if lanes.is_empty() {
            continue;
        }
        let mut writers: Vec<Writer<'_>> = Vec::new();
        let mut blind = false;
        let mut applies = false;
        for lane in lanes {
            let Some(site) = &lane.subject.site else { continue };
            match facts.seen(&probe.lane_id(lane).key(signals::WRITABLE), now) {
                Seen::Value { value: Value::Bool(true), reading, .. } => {
                    applies = true;
                    let text = |signal| facts.text(probe, &lane.subject, &signal, now).map(|(t, _)| t);
                    let instance = text(signals::INSTANCE);
                    // Two addresses of one server are one writer; the rule `same-server` says so.
                    if instance.is_none() || !writers.iter().any(|w| w.instance == instance) {
                        let since = facts.held_since(probe, &lane.subject, &signals::WRITABLE, now);
                        writers.push(Writer {
                            site: site.clone(),
                            instance,
                            system: text(signals::SYSTEM_ID),
                            from: since.unwrap_or(reading.asked).boot,
                            to: reading.answered.boot,
                        });
                    }
                }
                Seen::Value { value: Value::Bool(false), .. } => applies = true,
                Seen::Value { value: Value::NotApplicable, .. } => {}
                Seen::Value { .. } | Seen::Gap { .. } | Seen::Stale { .. } | Seen::Never => {
                    applies = true;
                    blind = true;
                }
            }
        }
        if !applies {
            continue;
        }
        // The sites are looked at one after the other: of a switchover, one half is seen first. Who was last seen to take
        // writes before another began to is its predecessor, until it is seen again.
        // One of another cluster succeeds nobody: both write.
        let began: Vec<_> = writers.iter().map(|w| (w.system.cloned(), w.from)).collect();
        let succeeds =
            |other: Option<&SafeText>, w: &Writer<'_>| other.is_none() || w.system.is_none() || other == w.system;
        writers.retain(|w| !began.iter().any(|(system, from)| succeeds(system.as_ref(), w) && w.to < *from));
        let cluster = writers.first().and_then(|w| w.system);
        if writers.len() > 1 && cluster.is_some() && writers.iter().all(|w| w.system == cluster) {
            split.push(probe.id.clone());
        }
        databases.push(match writers.as_slice() {
            [writer] => Site::At(writer.site.clone()),
            [] if blind => facts.last_active.map_or(Site::Unknown, |(site, _)| Site::LastSeen(site.clone())),
            [] => Site::Nowhere,
            [..] => Site::Several(writers.into_iter().map(|w| w.site).collect()),
        });
    }
    Active { database: combine(databases), traffic: traffic(facts, now), split }
}

/// Whether every server of a probe answers, one of them alone takes writes, and all are on its timeline.
pub(crate) fn agreed(facts: &Facts<'_>, probe: &ProbeDecl, now: Now) -> Option<Sole> {
    let mut writer: Option<(SafeText, i64)> = None;
    let mut standbys: Vec<(SafeText, i64)> = Vec::new();
    let mut first: Option<Now> = None;
    for lane in probe.lanes.iter().filter(|l| l.expects.contains(&signals::WRITABLE)) {
        let seen = facts.seen(&probe.lane_id(lane).key(signals::WRITABLE), now);
        let Seen::Value { value: Value::Bool(writes), reading, failing: None } = seen else { return None };
        let (system, _) = facts.text(probe, &lane.subject, &signals::SYSTEM_ID, now)?;
        let (timeline, _) = facts.int(probe, &lane.subject, &signals::TIMELINE, now)?;
        let is = (system.clone(), timeline);
        match (writes, &writer) {
            (true, None) => writer = Some(is),
            (true, Some(_)) => return None,
            (false, _) => standbys.push(is),
        }
        first = Some(first.map_or(reading.asked, |f| if reading.asked.boot < f.boot { reading.asked } else { f }));
    }
    let (system, timeline) = writer.filter(|w| standbys.iter().all(|s| s == w))?;
    Some(Sole { system, timeline, boot: facts.boot.clone(), asked: first? })
}

fn traffic(facts: &Facts<'_>, now: Now) -> Site {
    let mut answers = Vec::new();
    for probe in &facts.plan.probes {
        for lane in probe.lanes.iter().filter(|l| l.expects.contains(&signals::TRAFFIC)) {
            match facts.seen(&probe.lane_id(lane).key(signals::TRAFFIC), now) {
                Seen::Value { value: Value::Text(name), .. } => {
                    answers.push(facts.plan.site(name.as_str()).map_or(Site::Unknown, |s| Site::At(s.clone())));
                }
                Seen::Value { value: Value::NotApplicable, .. } => {}
                Seen::Value { .. } | Seen::Gap { .. } | Seen::Stale { .. } | Seen::Never => answers.push(Site::Unknown),
            }
        }
    }
    // One resolver that does not answer does not hide what the others say.
    if answers.iter().any(|a| matches!(a, Site::At(_))) {
        answers.retain(|a| matches!(a, Site::At(_)));
    }
    combine(answers)
}

/// What several observations say together.
fn combine(all: Vec<Site>) -> Site {
    let mut sites: Vec<SiteId> = Vec::new();
    for site in &all {
        match site {
            Site::At(s) | Site::LastSeen(s) => sites.push(s.clone()),
            Site::Several(many) => sites.extend(many.iter().cloned()),
            Site::Nowhere | Site::Unknown | Site::NotProbed => {}
        }
    }
    sites.sort();
    sites.dedup();
    match (all.first(), sites.len()) {
        (None, _) => Site::NotProbed,
        (Some(_), 0) if all.contains(&Site::Unknown) => Site::Unknown,
        (Some(_), 0) => Site::Nowhere,
        (Some(first), 1) if all.iter().all(|s| s == first) => first.clone(),
        (Some(_), 1) => match sites.pop() {
            // Some answer now, some do not: what is seen now leads, unless nobody sees it now.
            Some(site) if all.contains(&Site::At(site.clone())) => Site::At(site),
            Some(site) => Site::LastSeen(site),
            None => Site::Unknown,
        },
        (Some(_), _) => Site::Several(sites),
    }
}
