//! What Barman itself finds wrong, and whether it works for this server at all.

use crate::plan::{Now, Plan, RuleId, SafeText};
use crate::readiness::{About, Facts, Finding, Gap, Rule, Verdict};
use crate::systems::barman::signals::{CHECKS, STATUS};

use super::view::{View, needed, probes};

const ID: RuleId = RuleId::new("barman.checks");
/// Checks that fail only against a limit that somebody set, or where the backups are of another cluster: proof.
const PROOF: [&str; 4] = ["backup_maximum_age", "backup_minimum_size", "systemid_coherence", "wal_maximum_age"];

/// Most of `barman check` is about the way to the database. That may be down, and the backups good: it degrades. On a
/// passive node the check is about another Barman, which is said. An unset limit counts as right there, so `OK` is no
/// proof of age: the rule about backups has a limit of its own.
pub struct Checks;

impl Rule for Checks {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        probes(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, now) else { return Vec::new() };
        judge(view).unwrap_or_else(|gap| Some(view.senseless(ID, &gap))).into_iter().collect()
    }
}

fn judge(view: View<'_>) -> Result<Option<Finding>, Gap> {
    let facts = view.facts;
    let Some((checks, read)) = facts.rows(view.probe, view.subject, &CHECKS, view.now) else { return Ok(None) };
    let Some(([status], _)) = facts.rows(view.probe, view.subject, &STATUS, view.now) else { return Ok(None) };
    let name = format!("server {}", view.options.server);
    let mut failed: Vec<(SafeText, SafeText)> = Vec::new();
    for check in checks.iter() {
        if !needed(check.bool("ok"), "ok")? {
            failed.push((needed(check.text("check"), "check")?, check.text("hint")?.unwrap_or_default()));
        }
    }
    let passive = needed(status.bool("passive"), "passive")?;
    let make = |verdict, code, sentence: &str| {
        let finding = view.finding(ID, verdict, code, sentence).because(
            "barman check",
            &format!("{} of {} failed", failed.len(), checks.len()),
            read.asked,
        );
        let finding =
            if passive { finding.because("passive node", &"it copies another Barman", read.asked) } else { finding };
        failed
            .iter()
            .take(6)
            .fold(finding, |f, (check, hint)| f.because(check.as_str(), &format!("FAILED {hint}"), read.asked))
    };
    if needed(status.bool("disabled"), "disabled")? || !needed(status.bool("active"), "active")? {
        let sentence = format!("{name} is switched off in Barman: no backup is taken and no log kept");
        return Ok(Some(
            make(Verdict::NotReady, "switched-off", &sentence)
                .next("set active = true, and see why disabled: barman diagnose"),
        ));
    }
    let proof = failed.iter().find(|(check, _)| PROOF.contains(&check.as_str()));
    let names: Vec<&str> = failed.iter().map(|(check, _)| check.as_str()).collect();
    Ok(Some(match (proof, failed.first()) {
        (Some((check, hint)), _) => {
            make(Verdict::NotReady, "check-failed", &format!("barman says of {name}: {check} failed, {hint}"))
                .next("run barman check by hand and mend what it says")
        }
        (None, Some(_)) => {
            make(Verdict::Degraded, "check-failed", &format!("barman check of {name} failed: {}", names.join(", ")))
                .next("run barman check by hand and mend what it says; the backups that are there stay good")
        }
        (None, None) => make(Verdict::Ready, "check-passed", &format!("barman check of {name} passes")),
    }))
}
