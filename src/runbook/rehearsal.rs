//! A runbook looked through without a run: what each step would do now, and whether it could be started.

use crate::plan::{Now, PlanId, SafeText, SiteId};
use crate::readiness::Gate;

use super::{Class, Condition, Expected, Held, Preview, Runbook, StepIx};

/// What a runbook would do now. Nothing was changed to find out.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsal {
    /// The plan.
    pub plan: PlanId,
    /// The steps.
    pub runbook: Runbook,
    /// The site that is active, or was.
    pub from: SiteId,
    /// The site that would take over.
    pub to: SiteId,
    /// The site that was assumed to be lost: nothing of it was asked.
    pub lost: Option<SiteId>,
    /// What is expected.
    pub expected: Expected,
    /// What each step would do, in order.
    pub steps: Vec<(StepIx, Preview)>,
    /// Each step as commands to copy.
    pub commands: Vec<(StepIx, Vec<String>)>,
    /// When.
    pub at: Now,
    /// Whether the sites are simulated.
    pub practice: bool,
}

impl Rehearsal {
    /// Whether the runbook could be started now, by its own conditions: no where something that nobody may waive fails,
    /// unknown where such a thing cannot be told, with consent where risks would have to be accepted or advice waived.
    /// What earlier steps make true is not asked of later ones.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.gate_of(|_| true)
    }

    /// The same without the loss, for whoever judges that by newer readings.
    #[must_use]
    pub fn gate_but_loss(&self) -> Gate {
        self.gate_of(|c| c.id != super::guard::ids::LOSS)
    }

    fn gate_of(&self, counts: impl Fn(&Condition) -> bool) -> Gate {
        let (mut no, mut unknown, mut consent) = (Vec::new(), Vec::new(), Vec::new());
        for (ix, preview) in &self.steps {
            for condition in
                preview.conditions.iter().filter(|c| preview.asks(c) && c.held != Held::Holds && !c.later && counts(c))
            {
                let list = match (condition.class, condition.held) {
                    (Class::Identity, Held::Fails) => &mut no,
                    (Class::Identity, Held::Unknown | Held::Holds) => &mut unknown,
                    (Class::Risk | Class::Advice, _) => &mut consent,
                };
                let words = self.words(*ix, condition);
                if !list.contains(&words) {
                    list.push(words);
                }
            }
        }
        if self.steps.len() < self.runbook.steps.len() {
            unknown.push("not every step could be looked at in time".into());
        }
        if !no.is_empty() {
            Gate::No(no)
        } else if !unknown.is_empty() {
            Gate::Unknown(unknown)
        } else if !consent.is_empty() {
            Gate::Consent(consent)
        } else {
            Gate::Go
        }
    }

    fn words(&self, ix: StepIx, condition: &Condition) -> SafeText {
        let name = self.runbook.step(ix).map(|s| s.name.as_str()).unwrap_or_default();
        let held = condition.held.word();
        let why = condition.why.as_str();
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        SafeText::new(&format!("{name}: {} {held}{why}", condition.what))
    }
}
