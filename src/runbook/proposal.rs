//! What a run would be if it were opened now: from where to where, and what is expected of it.

use crate::plan::{Now, SiteId, Span};
use crate::readiness::{ActiveSite, Exposure, PlanStatus, Situation};

use super::{Expected, RunbookKind};

/// From which site to which a run of this kind would go now.
///
/// # Errors
/// Why nobody can say, or why there is nothing to do.
pub fn ends(status: &PlanStatus, kind: RunbookKind) -> Result<(SiteId, SiteId), String> {
    let (plan, home) = (&status.plan.id, &status.plan.home);
    let to = match kind {
        RunbookKind::Failback => home.clone(),
        RunbookKind::Failover | RunbookKind::Switchover | RunbookKind::Drill => {
            status.gates.to.clone().ok_or_else(|| format!("nobody can say which site of {plan} would take over"))?
        }
    };
    let from = active_site(status, &to)?;
    if from != to {
        return Ok((from, to));
    }
    Err(match kind {
        RunbookKind::Failback => format!("{plan} is at home already, in {home}"),
        RunbookKind::Failover | RunbookKind::Switchover | RunbookKind::Drill => {
            format!("{plan} is active in {to} already")
        }
    })
}

/// The site that is active, or was: by what is seen, by what was seen last, and of two sites the other one.
///
/// # Errors
/// Where two are, or nobody can say.
pub fn active_site(status: &PlanStatus, to: &SiteId) -> Result<SiteId, String> {
    let plan = &status.plan;
    if let ActiveSite::Several(sites) = &status.active.database {
        let sites: Vec<&str> = sites.iter().map(SiteId::as_str).collect();
        return Err(format!("{} take writes at once: stop one of them first", sites.join(" and ")));
    }
    let seen = status.active.database.one().or_else(|| status.active.traffic.one());
    let gone = match &status.situation {
        Situation::PrimaryUnreachable { site, .. }
        | Situation::PrimaryUnseen { site, .. }
        | Situation::PrimaryDown { site, .. } => Some(site),
        Situation::Starting
        | Situation::Normal
        | Situation::SplitBrain { .. }
        | Situation::Disagree { .. }
        | Situation::NoPrimary
        | Situation::AwayFromHome { .. } => None,
    };
    let last = status.last_active.as_ref().map(|(site, _)| site);
    let mut others = plan.sites.iter().map(|s| &s.id).filter(|s| *s != to);
    let other = others.next().filter(|_| others.next().is_none());
    let from = seen.or(gone).or(last).or(other).cloned();
    from.ok_or_else(|| format!("nobody can say which site of {} is active", plan.id))
}

/// What is expected of a run to this site, as it is judged, aged to now. A loss that nobody can bound is worse than any.
#[must_use]
pub fn expected(status: &PlanStatus, to: &SiteId, now: Now) -> Expected {
    let objectives = &status.plan.objectives;
    let mine = || status.exposures.iter().filter(|e| e.to == *to);
    let aged = |e: &Exposure| e.bound.aged(now.since(status.at)).map(Span::upper);
    let unknown = mine().next().is_none() || mine().any(|e| aged(e).is_none());
    Expected {
        loss: if unknown { None } else { mine().filter_map(aged).max() },
        missing: mine().filter_map(|e| e.missing).max(),
        time: (!status.estimate.parts.is_empty()).then_some(status.estimate.at_least),
        rpo: objectives.rpo,
        rto: objectives.rto,
    }
}
