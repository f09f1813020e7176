//! The standby is on the primary's timeline.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::signals::TIMELINE;
use crate::readiness::{About, Facts, Finding, Rule, Verdict};
use crate::systems::postgres::options::Mode;

use super::view::{Server, servers};

const ID: RuleId = RuleId::new("postgres.timeline");

/// Avoids trap 6: the control file's timeline is that of the last checkpoint; the receiver's and the log file's names
/// count. Two looks are compared only when neither is older than the other's newest change: during a switchover one half
/// is seen first.
pub struct Timeline;

impl Rule for Timeline {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        Server::standby(facts, about, now).and_then(judge).into_iter().collect()
    }
}

fn judge(standby: Server<'_>) -> Option<Finding> {
    let primary = standby.primary()?;
    let (mine, at) = standby.int(&TIMELINE)?;
    let (theirs, then) = primary.int(&TIMELINE)?;
    let site = standby.site;
    let make = |verdict, code, sentence: &str| {
        standby.finding(ID, verdict, code, sentence).because(&format!("{site} timeline"), &mine, at).because(
            &format!("{} timeline", primary.site),
            &theirs,
            then,
        )
    };
    if mine == theirs {
        return Some(make(Verdict::Ready, "same-timeline", &format!("{site} is on the primary's timeline")));
    }
    let changed = |s: Server<'_>| s.held_since(&TIMELINE);
    let crossed =
        changed(primary).is_some_and(|c| at.boot < c.boot) || changed(standby).is_some_and(|c| then.boot < c.boot);
    if crossed {
        let why = format!("{site} was last seen on another timeline, before the primary's changed");
        return Some(make(Verdict::Unknown, "timeline-changing", &why).next("wait for the next look"));
    }
    let why = format!("{site} is on timeline {mine}, the primary on {theirs}: it does not follow");
    let next = if mine < theirs {
        "set recovery_target_timeline = 'latest' on the standby; if it has passed the fork: pg_rewind, or rebuild it"
    } else {
        "this primary is older than what the standby follows: find out who was promoted, and when"
    };
    Some(make(Verdict::NotReady, "other-timeline", &why).next(next))
}
