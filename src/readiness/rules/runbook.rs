//! Could the plan's runbooks be started? By their own conditions, as they were last looked through.

use crate::plan::{Area, Now, Plan, RuleId, SafeText, Subject};
use crate::readiness::{Facts, Finding, Gate, Rehearsed, Verdict};

/// The rule that says whether runbooks could be started.
pub const RUNBOOK: RuleId = RuleId::new("runbook");

/// The code of a runbook that was not looked through yet: at the start of a session, right after the first looks.
pub const NOT_YET: &str = "not-looked-through";

/// What a failover or a switchover would be told if it were started now; one finding for each runbook, and one for the
/// failover with the active site assumed to be lost.
#[must_use]
pub(in crate::readiness) fn runbook(facts: &Facts<'_>, now: Now) -> Vec<Finding> {
    let plan = facts.plan;
    let mut out = Vec::new();
    for name in &plan.runbooks {
        let newest = facts.rehearsed.iter().find(|r| r.lost.is_none() && r.runbook == *name);
        out.push(of(plan, name, newest, now));
    }
    // Without the site that would be lost: only what was looked through, once a day.
    let lost = facts.rehearsed.iter().filter(|r| r.lost.is_some() && plan.runbooks.contains(&r.runbook));
    out.extend(lost.map(|r| of(plan, &r.runbook, Some(r), now)));
    out
}

/// The column that it counts in: that of the other site, where the plan has one.
fn area(plan: &Plan) -> Area {
    let standby = plan.requires(Area::Standby) || plan.probes.iter().any(|p| p.area == Area::Standby);
    if standby { Area::Standby } else { plan.requires.first().copied().unwrap_or(Area::Standby) }
}

fn of(plan: &Plan, name: &SafeText, newest: Option<&Rehearsed>, now: Now) -> Finding {
    let finding = |verdict, code: &'static str, sentence: &str| {
        let subject = match newest.and_then(|r| r.lost.as_ref()) {
            Some(site) => Subject::part(&format!("{name} without {site}")),
            None => Subject::part(name.as_str()),
        };
        Finding::new(RUNBOOK, area(plan), subject, verdict, code, sentence)
    };
    let without = newest.and_then(|r| r.lost.as_ref()).map(|s| format!(" without {s}")).unwrap_or_default();
    let look = format!("lifeboat run {} {name} --dry-run shows each step", plan.id);
    let Some(newest) = newest else {
        return finding(Verdict::Unknown, NOT_YET, &format!("the {name} runbook was not looked through yet"))
            .next(&look);
    };
    if !newest.stands(now) {
        let sentence = format!("the {name} runbook{without} was not looked through lately");
        return finding(Verdict::Unknown, "stale", &sentence)
            .because("looked through", &newest.gate.word(), newest.at)
            .next(&look);
    }
    let planned = name.as_str() != "failover";
    let (verdict, code, sentence) = match &newest.gate {
        Gate::Go => (
            Verdict::Ready,
            "could-start",
            format!("the {name} runbook{without} could be started, as last looked through"),
        ),
        Gate::Consent(why) => {
            let what = format!(
                "the {name} runbook{without} could be started, as last looked through, with consent to {} of its risks",
                why.len()
            );
            (Verdict::Ready, "could-start", what)
        }
        // Nothing is lost by a switchover that cannot be done today.
        Gate::No(why) => {
            let verdict = if planned { Verdict::Degraded } else { Verdict::NotReady };
            (verdict, "could-not-start", format!("the {name} runbook{without} could not be started: {}", first(why)))
        }
        Gate::Unknown(why) => {
            let verdict = if planned { Verdict::Degraded } else { Verdict::Unknown };
            let what = format!("nobody can say whether the {name} runbook{without} could be started: {}", first(why));
            (verdict, "cannot-tell", what)
        }
    };
    let mut finding = finding(verdict, code, &sentence).because("its gate", &newest.gate.word(), newest.at);
    for why in newest.gate.reasons() {
        finding = finding.because("condition", why, newest.at);
    }
    if verdict == Verdict::Ready { finding } else { finding.next(&look).following() }
}

fn first(why: &[SafeText]) -> String {
    let first = why.first().map(ToString::to_string).unwrap_or_default();
    if why.len() > 1 { format!("{first} (+{})", why.len() - 1) } else { first }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::plan::{BootTime, Copies, Here, Objectives, PlanId, Site, SiteId, Span, Strategy};
    use crate::readiness::{Readings, judge};

    fn plan(runbooks: &[&str]) -> std::sync::Arc<Plan> {
        std::sync::Arc::new(Plan {
            id: PlanId::new("shop"),
            tier: 1,
            strategy: Strategy::PilotLight,
            objectives: Objectives { rpo: Span::secs(30), rto: Span::secs(300) },
            sites: ["east", "west"].map(|s| Site { id: SiteId::new(s), what: "".into() }).to_vec(),
            home: SiteId::new("east"),
            here: Here::Elsewhere,
            requires: vec![Area::Dns],
            probes: vec![],
            contacts: vec![],
            losses: vec![],
            confirms: vec![],
            copies: Copies::default(),
            runbooks: runbooks.iter().map(|r| SafeText::new(r)).collect(),
            lost_with: Vec::new(),
            practice: None,
        })
    }

    fn at(secs: u64) -> Now {
        let wall = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default();
        Now { wall, boot: BootTime(Duration::ZERO) }.plus(Duration::from_secs(secs))
    }

    fn rehearsed(runbook: &str, lost: Option<&str>, gate: Gate) -> Rehearsed {
        Rehearsed { runbook: runbook.into(), lost: lost.map(SiteId::new), gate, at: at(1_000) }
    }

    /// The findings, and the gates, at so many seconds.
    fn of(plan: &std::sync::Arc<Plan>, rehearsed: &[Rehearsed], secs: u64) -> (Vec<(Verdict, String)>, Gate, Gate) {
        let (readings, clocks, boot) = (Readings::default(), HashMap::new(), SafeText::new("boot"));
        let facts = Facts {
            plan,
            readings: &readings,
            clocks: &clocks,
            last_active: None,
            boot: &boot,
            watching: false,
            rehearsed,
        };
        let found = runbook(&facts, at(secs)).into_iter().map(|f| (f.verdict, f.code.to_string())).collect();
        let status = judge(plan, &facts, &[], None, at(secs));
        (found, status.gates.failover, status.gates.switchover)
    }

    fn why(words: &str) -> Vec<SafeText> {
        vec![words.into()]
    }

    #[test]
    fn what_was_not_looked_through_lately_is_unknown_and_so_is_its_gate() {
        let plan = plan(&["failover"]);
        let (found, failover, _) = of(&plan, &[], 1_001);
        assert_eq!(found, [(Verdict::Unknown, NOT_YET.to_owned())]);
        assert!(
            matches!(&failover, Gate::Unknown(why) if why.iter().any(|w| w.as_str().contains("not looked through")))
        );
        let known = [rehearsed("failover", None, Gate::Go)];
        assert_eq!(of(&plan, &known, 1_360).0, [(Verdict::Ready, "could-start".to_owned())]);
        let (found, failover, _) = of(&plan, &known, 1_361);
        assert_eq!(found, [(Verdict::Unknown, "stale".to_owned())]);
        assert!(
            matches!(&failover, Gate::Unknown(why) if why.iter().any(|w| w.as_str().contains("not looked through")))
        );
        // Another boot's moment is no moment of this one.
        assert_eq!(of(&plan, &known, 999).0, [(Verdict::Unknown, "stale".to_owned())]);
        // A plan without runbooks is asked nothing.
        assert!(of(&self::plan(&[]), &known, 1_001).0.is_empty());
    }

    #[test]
    fn each_gate_has_its_verdict() {
        let plan = plan(&["failover", "switchover"]);
        let verdicts = |gate: &Gate| {
            let known = [rehearsed("failover", None, gate.clone()), rehearsed("switchover", None, gate.clone())];
            of(&plan, &known, 1_010).0.into_iter().map(|(v, _)| v).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(&Gate::Go), [Verdict::Ready; 2]);
        assert_eq!(verdicts(&Gate::Consent(why("lose 5s"))), [Verdict::Ready; 2]);
        assert_eq!(verdicts(&Gate::No(why("wrong cluster"))), [Verdict::NotReady, Verdict::Degraded]);
        assert_eq!(verdicts(&Gate::Unknown(why("silent"))), [Verdict::Unknown, Verdict::Degraded]);
    }

    #[test]
    fn without_the_active_site_stands_for_a_day() {
        let plan = plan(&["failover"]);
        let known = [
            rehearsed("failover", None, Gate::Go),
            rehearsed("failover", Some("east"), Gate::No(why("the key is kept in east"))),
        ];
        let verdicts = |secs| of(&plan, &known, secs).0.into_iter().map(|(v, _)| v).collect::<Vec<_>>();
        assert_eq!(verdicts(1_010), [Verdict::Ready, Verdict::NotReady]);
        assert_eq!(verdicts(1_000 + 25 * 3_600 + 1), [Verdict::Unknown, Verdict::Unknown]);
    }

    #[test]
    fn a_gate_takes_the_worse_word_of_facts_and_runbook() {
        let plan = plan(&["failover"]);
        let (_, gate, _) = of(&plan, &[rehearsed("failover", None, Gate::No(why("wrong cluster")))], 1_010);
        assert_eq!(gate, Gate::No(why("wrong cluster")), "no is said, whatever is unknown besides");
        // That no database is looked at stays unknown, though the runbook would go.
        let (_, gate, _) = of(&plan, &[rehearsed("failover", None, Gate::Go)], 1_010);
        assert!(matches!(gate, Gate::Unknown(_)), "{gate:?}");
    }
}
