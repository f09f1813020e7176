//! What would be lost is within the plan's RPO.

use crate::plan::{Area, Now, Plan, ProbeDecl, RuleId, Subject};
use crate::readiness::signals::{FRESH_AS_OF, WRITABLE};
use crate::readiness::{Active, Bound, Exposure, Finding, Verdict, signals};

const ID: RuleId = RuleId::new("exposure");

/// One finding per database that could take over; and one per probe of databases of which none could: a primary alone is
/// not ready for anything. Where two sites write, the situation says so, and which of them could take over is no question yet.
#[must_use]
pub(in crate::readiness) fn exposure(plan: &Plan, exposures: &[Exposure], active: &Active, now: Now) -> Vec<Finding> {
    let holds_data =
        |p: &&ProbeDecl| [WRITABLE, FRESH_AS_OF].iter().any(|s| p.lanes.iter().any(|l| l.expects.contains(s)));
    // What manages a database is no second measure of it.
    let counts = |p: &&ProbeDecl| p.area == Area::Replication || exposures.is_empty();
    let without = |p: &&ProbeDecl| !exposures.iter().any(|e| e.probe == p.id);
    let alone = plan.probes.iter().filter(holds_data).filter(counts).filter(without);
    let alone = alone.filter(|p| !active.split.contains(&p.id));
    // Where backups are what a service would come up from, no database has to take over.
    let alone = alone.filter(|_| !exposures.iter().any(|e| by_backup(plan, e)));
    let alone = alone.map(|p| {
        let why = format!("{}: no database of another site is seen that could take over", p.id.name);
        Finding::new(ID, p.area, Subject::whole(), Verdict::Unknown, "no-candidate", &why)
            .of(&p.id)
            .next("add the other site's server to the probe; if it is there, see why it is no standby")
    });
    exposures.iter().map(|e| judge(plan, e, now)).chain(alone).collect()
}

/// Whether its own content says how fresh it is: it is restored, and there are no positions of a primary.
fn dated_by_content(plan: &Plan, e: &Exposure) -> bool {
    plan.probe(&e.probe).is_some_and(|p| {
        p.lanes
            .iter()
            .filter(|l| l.subject.site.as_ref() == Some(&e.to))
            .any(|l| l.expects.contains(&signals::FRESH_AS_OF) && !l.expects.contains(&signals::RECEIVED))
    })
}

/// Whether a backup bounds it, that would have to be restored.
fn by_backup(plan: &Plan, e: &Exposure) -> bool {
    let backs_up = |p: &ProbeDecl| p.lanes.iter().any(|l| l.expects.contains(&signals::BACKUP_REACH));
    plan.probe(&e.probe).is_some_and(backs_up)
}

fn judge(plan: &Plan, e: &Exposure, now: Now) -> Finding {
    let area = plan.probe(&e.probe).map_or(Area::Replication, |p| p.area);
    let subject = Subject::site(e.to.clone());
    let key = crate::plan::Key { probe: e.probe.clone(), subject: subject.clone(), signal: signals::EXPOSURE };
    let goal = e.goal;
    let make = |verdict, code: &'static str, sentence: &str| {
        Finding::new(ID, area, subject.clone(), verdict, code, sentence)
            .of(&e.probe)
            .charted(key.clone(), Some(goal.0.as_secs_f64()))
    };
    let at = e.since.unwrap_or(now);
    let finding = match &e.bound {
        Bound::Zero => {
            make(Verdict::Ready, "zero-loss", &format!("nothing would be lost: every commit waits for {}", e.to))
        }
        Bound::Unknown { why } => {
            make(Verdict::Unknown, "loss-unknown", &format!("what would be lost is unknown: {why}")).next(
                if by_backup(plan, e) {
                    "mend what keeps the probe from seeing the backup, or make one; say where it is kept; let a postgres probe look at \
                     the primary: that dates the log"
                } else if dated_by_content(plan, e) {
                    "mend what keeps the probe from reading how fresh the database is"
                } else {
                    "keep lifeboat running: it bounds the loss by its own history of the primary's positions"
                },
            )
        }
        // While the primary cannot be seen nobody knows that the standby lacks anything: the bound is no proof.
        Bound::AtMost { span } | Bound::ByLastCommit { span } if *span > goal && e.growing => make(
            Verdict::Unknown,
            "loss-unbounded",
            &format!("the primary cannot be seen, so the loss can no longer be bounded within {goal}"),
        )
        .next("find out whether the primary lives; the line failover says what could be started"),
        Bound::AtMost { span } | Bound::ByContent { span } | Bound::ByLastCommit { span } if goal.0.is_zero() => make(
            Verdict::NotReady,
            "loss-not-zero",
            &format!(
                "RPO is 0, but up to {} could be lost: {} is not synchronous for every commit",
                span.upper(),
                e.to
            ),
        )
        .next("make the standby synchronous, or set an RPO that asynchronous replication can hold"),
        Bound::AtMost { span } | Bound::ByContent { span } | Bound::ByLastCommit { span } if *span > goal => make(
            Verdict::NotReady,
            "loss-above-rpo",
            &format!("up to {} would be lost; the objective is {goal}", span.upper()),
        )
        .next(if by_backup(plan, e) {
            "make a backup now, and make them more often than the RPO; or archive the log as well"
        } else {
            "see why the standby is behind: receiver, slot, network, or the primary itself"
        }),
        Bound::ByLastCommit { .. } => make(
            Verdict::Degraded,
            "loss-by-last-commit",
            "what would be lost is known only by the last replayed commit's own clock",
        )
        .next("keep lifeboat running: it bounds the loss by its own history of the primary's positions"),
        Bound::AtMost { .. } | Bound::ByContent { .. } => {
            make(Verdict::Ready, "loss-within-rpo", &format!("the loss is bounded within the objective of {goal}"))
        }
    };
    // A loss has its cause elsewhere; that there is none leads.
    let finding = if finding.verdict == Verdict::Ready { finding } else { finding.following() };
    let finding = match e.missing {
        Some(bytes) => finding.because("log not at the standby, when the primary was last seen", &bytes, at),
        None => finding,
    };
    match e.bound.span() {
        Some(span) => finding.because("upper bound", &format_args!("<= {}", span.upper()), at),
        None => finding,
    }
}
