//! What a check found, kept so that the next one can say what changed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::{Area, PlanId, ProbeId, RuleId, SafeText, Subject};
use crate::readiness::{PlanStatus, Verdict};

/// One plan as a check found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The plan.
    pub plan: PlanId,
    /// When it was judged, by the wall clock.
    pub at: DateTime<Utc>,
    /// Its readiness.
    pub readiness: Verdict,
    /// The words of its situation.
    pub situation: SafeText,
    /// The areas that were in the roll-up.
    pub areas: Vec<(Area, Verdict)>,
    /// What was found, without sentences and evidence.
    pub findings: Vec<CheckedFinding>,
}

/// One finding as a check found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedFinding {
    /// The rule.
    pub rule: RuleId,
    /// The probe; `None` for what spans probes.
    pub probe: Option<ProbeId>,
    /// What it is about.
    pub subject: Subject,
    /// The area.
    pub area: Area,
    /// The verdict.
    pub verdict: Verdict,
    /// The code.
    pub code: String,
}

impl CheckedFinding {
    fn same_thing(&self, other: &Self) -> bool {
        self.rule == other.rule && self.probe == other.probe && self.subject == other.subject && self.area == other.area
    }

    /// What it is about, for people: `orders-db west`; the area alone where it spans probes and is about the plan.
    #[must_use]
    pub fn about(&self) -> String {
        match (&self.probe, self.subject == Subject::whole()) {
            (Some(probe), true) => probe.name.to_string(),
            (Some(probe), false) => format!("{} {}", probe.name, self.subject),
            (None, true) => self.area.name().to_owned(),
            (None, false) => self.subject.to_string(),
        }
    }
}

/// One thing that is not as it was at the last check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Difference {
    /// The plan's readiness.
    Readiness {
        /// What it was.
        from: Verdict,
        /// What it is.
        to: Verdict,
    },
    /// What is going on.
    Situation {
        /// What it was.
        from: SafeText,
        /// What it is.
        to: SafeText,
    },
    /// The verdict of an area; `None` where it was not in the roll-up.
    Area {
        /// The area.
        area: Area,
        /// What it was.
        from: Option<Verdict>,
        /// What it is.
        to: Option<Verdict>,
    },
    /// A finding; `None` where there was none, or is none now.
    Finding {
        /// The area.
        area: Area,
        /// What it is about.
        about: SafeText,
        /// Verdict and code as they were.
        from: Option<(Verdict, String)>,
        /// Verdict and code as they are.
        to: Option<(Verdict, String)>,
    },
}

impl Checked {
    /// What is worth keeping of a status.
    #[must_use]
    pub fn of(status: &PlanStatus) -> Self {
        let finding = |f: &crate::readiness::Finding| CheckedFinding {
            rule: f.rule.clone(),
            probe: f.probe.clone(),
            subject: f.subject.clone(),
            area: f.area,
            verdict: f.verdict,
            code: f.code.to_string(),
        };
        Self {
            plan: status.plan.id.clone(),
            at: status.at.wall,
            readiness: status.readiness,
            situation: status.situation.words().into(),
            areas: status.areas.iter().filter_map(|a| Some((a.area, a.verdict?))).collect(),
            findings: status.findings.iter().map(finding).collect(),
        }
    }

    /// What is different in `self` from `before`: readiness, situation, areas, then findings. Findings that were and are
    /// ready are no news, whatever their code.
    #[must_use]
    pub fn differences(&self, before: &Self) -> Vec<Difference> {
        let mut all = Vec::new();
        if before.readiness != self.readiness {
            all.push(Difference::Readiness { from: before.readiness, to: self.readiness });
        }
        if before.situation != self.situation {
            all.push(Difference::Situation { from: before.situation.clone(), to: self.situation.clone() });
        }
        for area in Area::ALL {
            let of = |c: &Self| c.areas.iter().find(|(a, _)| *a == area).map(|(_, v)| *v);
            let (from, to) = (of(before), of(self));
            if from != to {
                all.push(Difference::Area { area, from, to });
            }
        }
        let told = |f: &CheckedFinding| (f.verdict, f.code.clone());
        let bad = |f: Option<&CheckedFinding>| f.is_some_and(|f| f.verdict != Verdict::Ready);
        // One rule may find several things about one subject: those are told apart by their codes.
        let paired = |list: &[CheckedFinding], f: &CheckedFinding| {
            let same: Vec<_> = list.iter().filter(|b| b.same_thing(f)).cloned().collect();
            same.iter()
                .find(|b| b.code == f.code)
                .or(match same.as_slice() {
                    [one] => Some(one),
                    [] | [..] => None,
                })
                .cloned()
        };
        for now in &self.findings {
            let was = paired(&before.findings, now);
            let differs = was.as_ref().is_none_or(|w| w.verdict != now.verdict || w.code != now.code);
            if differs && (bad(Some(now)) || bad(was.as_ref())) {
                all.push(Difference::Finding {
                    area: now.area,
                    about: now.about().into(),
                    from: was.as_ref().map(told),
                    to: Some(told(now)),
                });
            }
        }
        for was in before.findings.iter().filter(|w| w.verdict != Verdict::Ready) {
            if paired(&self.findings, was).is_none() {
                all.push(Difference::Finding {
                    area: was.area,
                    about: was.about().into(),
                    from: Some(told(was)),
                    to: None,
                });
            }
        }
        all
    }
}
