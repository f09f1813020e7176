//! The readings of one probe, as the rules look at them.

use crate::plan::{Area, Now, Plan, ProbeDecl, RuleId, Subject};
use crate::readiness::{About, Facts, Finding, Gap, Reason, Verdict, signals};
use crate::systems::barman::options::{Barman, BarmanOptions};

/// What a rule about whole probes applies to.
pub(super) fn probes(plan: &Plan) -> Vec<About> {
    let ours = plan.probes.iter().filter(|p| p.options::<Barman>().is_some());
    let lanes = ours.flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
    lanes.map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() }).collect()
}

/// One probe and what was read of it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) probe: &'a ProbeDecl,
    pub(super) options: &'a BarmanOptions,
    pub(super) subject: &'a Subject,
    pub(super) now: Now,
}

/// A column that is never NULL.
pub(super) fn needed<T>(value: Result<Option<T>, Gap>, column: &str) -> Result<T, Gap> {
    value?.ok_or_else(|| Gap::new(Reason::Malformed, &format!("{column} is NULL")))
}

impl<'a> View<'a> {
    pub(super) fn of(facts: &'a Facts<'a>, about: &'a About, now: Now) -> Option<Self> {
        let probe = facts.plan.probe(about.probe.as_ref()?)?;
        let options = &probe.options::<Barman>()?.written;
        Some(Self { facts, probe, options, subject: &about.subject, now })
    }

    /// The probe that looks at the database that is backed up: the one that is named, else the only one there is.
    pub(super) fn database(&self) -> Option<&'a ProbeDecl> {
        let looks = |p: &&ProbeDecl| p.lanes.iter().any(|l| l.expects.contains(&signals::FLUSHED));
        let mut found = self.facts.plan.probes.iter().filter(looks);
        if let Some(name) = &self.options.database {
            return found.find(|p| *p.id.name == **name);
        }
        found.next().filter(|_| found.next().is_none())
    }

    pub(super) fn finding(&self, rule: RuleId, verdict: Verdict, code: &'static str, sentence: &str) -> Finding {
        Finding::new(rule, Area::Backup, self.subject.clone(), verdict, code, sentence).of(&self.probe.id)
    }

    /// For what this program read itself and cannot read back: never silence.
    pub(super) fn senseless(&self, rule: RuleId, gap: &Gap) -> Finding {
        self.finding(rule, Verdict::Unknown, "malformed", &format!("the reading cannot be understood: {gap}"))
            .because("barman", gap, self.now)
            .next("this is a fault in lifeboat: report it")
    }
}
