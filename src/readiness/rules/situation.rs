//! What is going on bears on readiness too.

use crate::plan::{Area, Now, RuleId, Subject};
use crate::readiness::{Active, ActiveSite, Facts, Finding, Reason, Situation, Verdict};

const ID: RuleId = RuleId::new("situation");

/// The finding for a situation that is not normal.
#[must_use]
pub(in crate::readiness) fn situation(
    facts: &Facts<'_>,
    situation: &Situation,
    active: &Active,
    now: Now,
) -> Vec<Finding> {
    let plan = facts.plan;
    let make = |area, subject, verdict, code: &'static str, sentence: &str, next: &str| {
        let seen = |s: &ActiveSite| match s {
            ActiveSite::At(site) => site.to_string(),
            ActiveSite::LastSeen(site) => format!("{site}, not answering"),
            ActiveSite::Several(sites) => sites.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "),
            ActiveSite::Nowhere => "nowhere".into(),
            ActiveSite::Unknown => "unknown".into(),
            ActiveSite::NotProbed => "not probed".into(),
        };
        vec![
            Finding::new(ID, area, subject, verdict, code, sentence)
                .because("writes go to", &seen(&active.database), now)
                .because("traffic goes to", &seen(&active.traffic), now)
                .next(next),
        ]
    };
    // A column that nobody probes or requires stays out of the roll-up.
    let home = if plan.requires(Area::Replication) || plan.probes.iter().any(|p| p.area == Area::Replication) {
        Area::Replication
    } else {
        Area::Dns
    };
    match situation {
        Situation::Normal => match &active.database {
            ActiveSite::Several(sites) => {
                let names: Vec<String> = sites.iter().map(ToString::to_string).collect();
                make(
                    Area::Replication,
                    Subject::whole(),
                    Verdict::Degraded,
                    "writers-apart",
                    &format!("the plan's databases take writes in different sites: {}", names.join(", ")),
                    "bring them to one site, or make two plans of them",
                )
            }
            ActiveSite::At(_)
            | ActiveSite::Nowhere
            | ActiveSite::LastSeen(_)
            | ActiveSite::Unknown
            | ActiveSite::NotProbed => Vec::new(),
        },
        Situation::Starting => Vec::new(),
        Situation::PrimaryUnreachable { site, .. } => make(
            Area::Replication,
            Subject::site(site.clone()),
            Verdict::Unknown,
            "primary-unreachable",
            &format!("the active database in {site} does not answer; it may still take writes"),
            "find out from a second place whether it lives; the line failover says what could be started",
        ),
        Situation::PrimaryUnseen { site, why, .. } => make(
            Area::Replication,
            Subject::site(site.clone()),
            Verdict::Unknown,
            "primary-unseen",
            &if *why == Reason::SecretUnavailable {
                format!("the active database in {site} was not asked: {}", why.words())
            } else {
                format!("the active database in {site} answers, but not to lifeboat: {}", why.words())
            },
            "mend lifeboat's login there first: that alone is no reason to fail over",
        ),
        Situation::PrimaryDown { site, .. } => make(
            Area::Replication,
            Subject::site(site.clone()),
            Verdict::NotReady,
            "primary-down",
            &format!("the active database in {site} is down"),
            "restart it, or fail over: the line failover says whether that could start",
        ),
        Situation::SplitBrain { sites } => {
            let names: Vec<String> = sites.iter().map(ToString::to_string).collect();
            make(
                Area::Replication,
                Subject::whole(),
                Verdict::NotReady,
                "split-brain",
                &format!("{} both take writes", names.join(" and ")),
                "stop one of them now; every write on the losing side must be found by hand",
            )
        }
        Situation::Disagree { database, traffic } => make(
            Area::Dns,
            Subject::whole(),
            Verdict::NotReady,
            "disagree",
            &format!("writes go to {database}, traffic goes to {traffic}"),
            "move traffic to where the database takes writes, or the other way round",
        ),
        Situation::NoPrimary => make(
            Area::Replication,
            Subject::whole(),
            Verdict::NotReady,
            "no-primary",
            "every database that was asked answers, and none takes writes",
            "promote one: the line failover says whether that could start",
        ),
        Situation::AwayFromHome { site } => make(
            home,
            Subject::site(site.clone()),
            Verdict::Degraded,
            "away-from-home",
            &format!("the service runs in {site}; its home is {}", plan.home),
            "plan the way back when the home site has caught up",
        ),
    }
}
