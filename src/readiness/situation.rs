//! What is going on now.

use serde::{Deserialize, Serialize};

use crate::plan::{LaneId, Now, SiteId};

use super::{Active, ActiveSite, Facts, Reason, Seen, Value, signals};

/// What is going on with a plan. When it is not `Normal`, the board leads with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Situation {
    /// Nothing has been looked at yet, or not since this machine was suspended.
    Starting,
    /// The service runs at home.
    Normal,
    /// The active site's database does not answer; nobody can say whether it still takes writes.
    PrimaryUnreachable {
        /// The site.
        site: SiteId,
        /// When it last answered, where that is known.
        since: Option<Now>,
    },
    /// The active site's database lives, or was not asked at all: it is lifeboat that is not let in. No outage.
    PrimaryUnseen {
        /// The site.
        site: SiteId,
        /// When it was last seen, where that is known.
        since: Option<Now>,
        /// Why it is not seen.
        why: Reason,
    },
    /// The active site's database is down: its address answers that nobody listens.
    PrimaryDown {
        /// The site.
        site: SiteId,
        /// When it last answered, where that is known.
        since: Option<Now>,
    },
    /// Two sites of one cluster take writes.
    SplitBrain {
        /// The sites.
        sites: Vec<SiteId>,
    },
    /// Traffic goes to another site than writes.
    Disagree {
        /// Where writes go.
        database: SiteId,
        /// Where traffic goes.
        traffic: SiteId,
    },
    /// Every database that was asked answers, and none takes writes.
    NoPrimary,
    /// The service runs, but not where it normally does.
    AwayFromHome {
        /// Where it runs.
        site: SiteId,
    },
}

impl Situation {
    /// The words of the design: `primary unreachable`.
    #[must_use]
    pub const fn words(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Normal => "normal",
            Self::PrimaryUnreachable { .. } => "primary unreachable",
            Self::PrimaryUnseen { .. } => "primary not seen",
            Self::PrimaryDown { .. } => "primary down",
            Self::SplitBrain { .. } => "split brain",
            Self::Disagree { .. } => "traffic and database disagree",
            Self::NoPrimary => "no primary",
            Self::AwayFromHome { .. } => "away from home",
        }
    }

    /// Whether situation and gate lead on the board: something is wrong with the service itself.
    #[must_use]
    pub const fn leads(&self) -> bool {
        match self {
            Self::Starting | Self::Normal | Self::PrimaryUnseen { .. } | Self::AwayFromHome { .. } => false,
            Self::PrimaryUnreachable { .. }
            | Self::PrimaryDown { .. }
            | Self::SplitBrain { .. }
            | Self::Disagree { .. }
            | Self::NoPrimary => true,
        }
    }
}

/// Names what is going on.
#[must_use]
pub fn situation(facts: &Facts<'_>, active: &Active, now: Now) -> Situation {
    if !active.split.is_empty()
        && let ActiveSite::Several(sites) = &active.database
    {
        return Situation::SplitBrain { sites: sites.clone() };
    }
    match (&active.database, &active.traffic) {
        // An earlier session saw it; this one has not heard of it yet, good or bad.
        (ActiveSite::LastSeen(site), _) if unasked(facts, site, now) => Situation::Starting,
        (ActiveSite::LastSeen(site), _) => gone(facts, site.clone(), now),
        (ActiveSite::Unknown, _) => presumed(facts, now).map_or(Situation::Starting, |site| gone(facts, site, now)),
        (ActiveSite::Nowhere, _) => Situation::NoPrimary,
        (ActiveSite::At(database), ActiveSite::At(traffic)) if database != traffic => {
            Situation::Disagree { database: database.clone(), traffic: traffic.clone() }
        }
        (ActiveSite::At(site), _) | (ActiveSite::NotProbed, ActiveSite::At(site)) if *site != facts.plan.home => {
            Situation::AwayFromHome { site: site.clone() }
        }
        (ActiveSite::NotProbed, ActiveSite::Unknown | ActiveSite::Nowhere | ActiveSite::LastSeen(_)) => {
            Situation::Starting
        }
        (ActiveSite::At(_) | ActiveSite::Several(_) | ActiveSite::NotProbed, _) => Situation::Normal,
    }
}

/// The lanes that show whether a site's database takes writes, with what is seen of them.
fn writers<'a>(facts: &'a Facts<'a>, now: Now) -> impl Iterator<Item = (LaneId, &'a SiteId, Seen<'a>)> {
    facts.plan.probes.iter().flat_map(move |probe| {
        let lanes = probe.lanes.iter().filter(|l| l.expects.contains(&signals::WRITABLE));
        lanes.filter_map(move |lane| {
            let id = probe.lane_id(lane);
            let seen = facts.seen(&id.key(signals::WRITABLE), now);
            Some((id, lane.subject.site.as_ref()?, seen))
        })
    })
}

/// Whether no look at the site's databases has come back yet, or none since a good one: where the newest look was good and
/// is too old, it was us who did not ask, as after a suspend.
fn unasked(facts: &Facts<'_>, site: &SiteId, now: Now) -> bool {
    writers(facts, now).filter(|(_, s, _)| *s == site).all(|(lane, _, seen)| match seen {
        Seen::Never => true,
        Seen::Stale { .. } => facts.readings.outcomes(&lane).next_back().is_some_and(|o| o.gap.is_none()),
        Seen::Value { .. } | Seen::Gap { .. } => false,
    })
}

/// Where the primary must be, though nobody ever saw it: every other site answers that it is a standby.
fn presumed(facts: &Facts<'_>, now: Now) -> Option<SiteId> {
    let mut blind: Vec<&SiteId> = Vec::new();
    let mut standbys = 0;
    for (_, site, seen) in writers(facts, now) {
        match seen {
            Seen::Value { value: Value::Bool(false), .. } => standbys += 1,
            Seen::Gap { .. } | Seen::Stale { .. } => {
                if !blind.contains(&site) {
                    blind.push(site);
                }
            }
            Seen::Value { .. } | Seen::Never => {}
        }
    }
    match blind.as_slice() {
        [site] if standbys > 0 => Some((*site).clone()),
        [] | [..] => None,
    }
}

/// Down, by proof, or merely without an answer.
fn gone(facts: &Facts<'_>, site: SiteId, now: Now) -> Situation {
    let since = facts.last_active.filter(|(s, _)| *s == site).map(|(_, at)| *at);
    let refused = writers(facts, now).any(|(lane, s, seen)| {
        let Seen::Gap { gap, .. } = seen else { return false };
        let proven = match gap.reason == Reason::Refused {
            true => facts.refused_twice(&lane),
            false => gap.reason == Reason::ShuttingDown,
        };
        *s == site && proven
    });
    if refused {
        return Situation::PrimaryDown { site, since };
    }
    match shut_out(facts, &site, now) {
        Some(why) => Situation::PrimaryUnseen { site, since, why },
        None => Situation::PrimaryUnreachable { site, since },
    }
}

/// Why every database of a site does not let us look, where each said so itself, and so lives; or where our own secret is
/// missing, and so it was not asked.
fn shut_out(facts: &Facts<'_>, site: &SiteId, now: Now) -> Option<Reason> {
    let login = [Reason::WrongPassword, Reason::NoAccess, Reason::NoPrivilege, Reason::SecretUnavailable];
    let mut why = None;
    for (_, _, seen) in writers(facts, now).filter(|(_, s, _)| *s == site) {
        match seen {
            Seen::Gap { gap, .. } if login.contains(&gap.reason) => why = why.or(Some(gap.reason)),
            Seen::Value { .. } => {}
            // One that is silent may be gone: that leads.
            Seen::Gap { .. } | Seen::Stale { .. } | Seen::Never => return None,
        }
    }
    why
}
