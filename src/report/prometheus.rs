//! The report for Prometheus: text exposition format 0.0.4, for the node exporter's textfile collector.
//!
//! | metric | labels | value |
//! |---|---|---|
//! | `lifeboat_build_info` | `version` | 1 |
//! | `lifeboat_checked_timestamp_seconds` | | when it was judged; alert on its age |
//! | `lifeboat_practice` | `plan` | 1 for each plan whose sites are simulated |
//! | `lifeboat_readiness` | `plan`, `tier`, `readiness` | 1 for the one that holds, else 0 |
//! | `lifeboat_area_readiness` | `plan`, `area`, `readiness` | the same, of each area that is judged |
//! | `lifeboat_situation` | `plan`, `situation` | 1 |
//! | `lifeboat_gate` | `plan`, `runbook`, `to`, `gate` | 1; not within areas |
//! | `lifeboat_exposure_seconds` | `plan`, `probe`, `to` | upper bound of the loss; `NaN` where nobody can say |
//! | `lifeboat_objective_seconds` | `plan`, `objective` | `rpo` and `rto` |
//! | `lifeboat_estimate_at_least_seconds` | `plan` | lower bound of a failover's duration; absent where nothing of it was measured |
//! | `lifeboat_finding` | `plan`, `area`, `rule`, `code`, `probe`, `site`, `part`, `readiness` | 1 for each that is not ready |
//!
//! No sentences: a label whose text changes with every look makes a new series each time.

use std::fmt::Write as _;

use crate::readiness::{Finding, Verdict};

use super::{PlanReport, Report};

/// One metric with its samples, which the format wants together.
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// The report as metrics.
#[must_use]
pub fn prometheus(report: &Report) -> String {
    let whole = report.areas.is_empty();
    let of = |f: &dyn Fn(&PlanReport) -> Samples| report.plans.iter().flat_map(f).collect::<Samples>();
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a date are exact in a double")]
    let at = report.at.wall.timestamp_millis() as f64 / 1_000.0;
    let metrics = [
        Metric { name: "build_info", help: "The program that looked.", samples: vec![(version, 1.0)] },
        Metric { name: "checked_timestamp_seconds", help: "When it was judged.", samples: vec![(Vec::new(), at)] },
        Metric { name: "practice", help: "The plan's sites are simulated.", samples: of(&practice) },
        Metric { name: "readiness", help: "Whether the plan could fail over.", samples: of(&readiness) },
        Metric { name: "area_readiness", help: "The same, of one area.", samples: of(&areas) },
        Metric { name: "situation", help: "What is going on.", samples: of(&situation) },
        Metric {
            name: "gate",
            help: "Whether a runbook could be started.",
            samples: if whole { of(&gates) } else { Vec::new() },
        },
        Metric { name: "exposure_seconds", help: "Upper bound of the loss by failing over.", samples: of(&exposures) },
        Metric { name: "objective_seconds", help: "What the plan allows.", samples: of(&objectives) },
        Metric {
            name: "estimate_at_least_seconds",
            help: "Lower bound of the time that a failover takes.",
            samples: of(&estimate),
        },
        Metric { name: "finding", help: "What is not ready.", samples: of(&findings) },
    ];
    let mut out = String::new();
    for metric in metrics.iter().filter(|m| !m.samples.is_empty()) {
        let Metric { name, help, samples } = metric;
        out.push_str(&format!("# HELP lifeboat_{name} {help}\n# TYPE lifeboat_{name} gauge\n"));
        for (labels, value) in samples {
            let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escaped(v))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            // Writing into a string cannot fail.
            let _ = writeln!(out, "lifeboat_{name}{labels} {value}");
        }
    }
    out
}

type Samples = Vec<(Vec<(&'static str, String)>, f64)>;

/// A label's value as the format writes it: backslash, quote and line feed are escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A verdict as a label.
const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ready => "ready",
        Verdict::Degraded => "degraded",
        Verdict::NotReady => "not-ready",
        Verdict::Unknown => "unknown",
    }
}

fn plan(report: &PlanReport) -> (&'static str, String) {
    ("plan", report.status.plan.id.to_string())
}

/// One sample for each verdict: 1 for the one that holds.
fn states(labels: &[(&'static str, String)], holds: Verdict) -> Samples {
    let of = |v: Verdict| {
        let mut labels = labels.to_vec();
        labels.push(("readiness", word(v).to_owned()));
        (labels, if v == holds { 1.0 } else { 0.0 })
    };
    Verdict::ALL.into_iter().map(of).collect()
}

fn practice(report: &PlanReport) -> Samples {
    report.status.plan.practice.iter().map(|_| (vec![plan(report)], 1.0)).collect()
}

fn readiness(report: &PlanReport) -> Samples {
    let labels = [plan(report), ("tier", report.status.plan.tier.to_string())];
    states(&labels, report.status.readiness)
}

fn areas(report: &PlanReport) -> Samples {
    let of = |a: &crate::readiness::AreaStatus| {
        let labels = [plan(report), ("area", a.area.name().to_owned())];
        a.verdict.map(|v| states(&labels, v)).unwrap_or_default()
    };
    report.status.areas.iter().flat_map(of).collect()
}

fn situation(report: &PlanReport) -> Samples {
    vec![(vec![plan(report), ("situation", report.status.situation.words().replace(' ', "-"))], 1.0)]
}

fn gates(report: &PlanReport) -> Samples {
    let gates = &report.status.gates;
    let to = gates.to.as_ref().map(ToString::to_string).unwrap_or_default();
    [("failover", &gates.failover), ("switchover", &gates.switchover)]
        .into_iter()
        .map(|(runbook, gate)| {
            let gate = gate.word().to_lowercase().replace(' ', "-");
            (vec![plan(report), ("runbook", runbook.to_owned()), ("to", to.clone()), ("gate", gate)], 1.0)
        })
        .collect()
}

fn exposures(report: &PlanReport) -> Samples {
    let of = |e: &crate::readiness::Exposure| {
        let labels = vec![plan(report), ("probe", e.probe.name.to_string()), ("to", e.to.to_string())];
        (labels, e.bound.span().map_or(f64::NAN, |s| s.0.as_secs_f64()))
    };
    report.status.exposures.iter().map(of).collect()
}

fn objectives(report: &PlanReport) -> Samples {
    let objectives = &report.status.plan.objectives;
    [("rpo", objectives.rpo), ("rto", objectives.rto)]
        .into_iter()
        .map(|(name, goal)| (vec![plan(report), ("objective", name.to_owned())], goal.0.as_secs_f64()))
        .collect()
}

fn estimate(report: &PlanReport) -> Samples {
    let estimate = &report.status.estimate;
    if estimate.parts.is_empty() {
        return Vec::new();
    }
    vec![(vec![plan(report)], estimate.at_least.0.as_secs_f64())]
}

fn findings(report: &PlanReport) -> Samples {
    let of = |f: &Finding| {
        let site = f.subject.site.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![
            plan(report),
            ("area", f.area.name().to_owned()),
            ("rule", f.rule.as_str().to_owned()),
            ("code", f.code.to_string()),
            ("probe", f.probe.as_ref().map(|p| p.name.to_string()).unwrap_or_default()),
            ("site", site),
            ("part", f.subject.part.as_deref().unwrap_or_default().to_owned()),
            ("readiness", word(f.verdict).to_owned()),
        ]
    };
    let mut all: Samples = Vec::new();
    for labels in report.status.findings.iter().filter(|f| f.verdict != Verdict::Ready).map(of) {
        // The same series twice would have the whole file refused.
        if !all.iter().any(|(l, _)| *l == labels) {
            all.push((labels, 1.0));
        }
    }
    all
}
