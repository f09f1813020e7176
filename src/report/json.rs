//! The report for programs.
//!
//! One document, in this order of fields; new fields may be added at any place, a field is never renamed, removed or given
//! another meaning without a new [`SCHEMA`]:
//!
//! | field | meaning |
//! |---|---|
//! | `lifeboat` | the program's version |
//! | `schema` | the version of this format |
//! | `machine`, `at` | who looked, and when it was judged (RFC 3339, UTC) |
//! | `verdict`, `exit_code` | the worst readiness of all plans, and what the program exits with |
//! | `areas` | the areas that were asked for; `null` for all |
//! | `plans[]` | in the order of the configuration |
//! | `.plan`, `.tier`, `.strategy`, `.home` | as configured |
//! | `.practice` | whether its sites are simulated |
//! | `.readiness` | `ready`, `degraded`, `not-ready` or `unknown` |
//! | `.situation` | `is`, and `site`, `sites`, `database`, `traffic` or `since` where they apply |
//! | `.leads` | whether situation and gates come before readiness |
//! | `.gates` | `to`, `failover` and `switchover`: `is` (`go`, `consent`, `no`, `unknown`) and `why`; `null` within areas |
//! | `.active` | where writes (`database`) and `traffic` go, as observed |
//! | `.exposures[]` | per probe and site: `bound`, `seconds` (`null`: unknown), `goal_seconds`, `growing`, bytes `missing`, `at_last_rate`, `backlog` |
//! | `.estimate` | `at_least_seconds`, `goal_seconds`, its measured `parts`, and what is `unmeasured` |
//! | `.losses[]` | `what`, `why`, and whether it was `observed` or is declared |
//! | `.contacts[]` | whom to call: `role`, `reach`, and `after_seconds` from the beginning of the outage |
//! | `.areas[]` | `area`, `required`, `verdict` (`null`: neither required nor probed) |
//! | `.findings[]` | worst first: `rule`, `code`, `verdict`, `area`, `probe`, `site`, `part`, `sentence`, `age_seconds` of its oldest fact, `evidence[]` with `what`, `value`, `age_seconds`; `next`, what to do |
//! | `.changes` | since the last check, or the one of `--since`: `since` and `what[]`; `null` where there was none |
//! | `.timeline[]` | with `--since`, what changed in that time: `at`, `from`, `to`, `situation`, `why` |

use serde::Serialize;

use crate::app::Difference;
use crate::plan::{Area, Bytes, Now, ProbeId, SafeText, SiteId};
use crate::readiness::{Active, Bound, Finding, Gates, LossItem, PlanStatus, Situation, Verdict};

use super::{PlanReport, Report};

/// The version of the format.
pub const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    lifeboat: &'static str,
    schema: u32,
    machine: &'a str,
    at: String,
    verdict: Verdict,
    exit_code: u8,
    areas: Option<&'a [Area]>,
    plans: Vec<PlanJson<'a>>,
}

#[derive(Serialize)]
struct PlanJson<'a> {
    plan: &'a str,
    tier: u8,
    strategy: &'static str,
    home: &'a SiteId,
    practice: bool,
    readiness: Verdict,
    situation: SituationJson<'a>,
    leads: bool,
    gates: Option<&'a Gates>,
    active: &'a Active,
    exposures: Vec<ExposureJson<'a>>,
    estimate: EstimateJson<'a>,
    losses: &'a [LossItem],
    contacts: Vec<ContactJson<'a>>,
    areas: Vec<AreaJson>,
    findings: Vec<FindingJson<'a>>,
    changes: Option<ChangesJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    timeline: Vec<ChangeJson<'a>>,
}

#[derive(Serialize)]
struct SituationJson<'a> {
    is: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a SiteId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sites: Option<&'a [SiteId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'a SiteId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<&'a SiteId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

#[derive(Serialize)]
struct ExposureJson<'a> {
    probe: &'a str,
    to: &'a SiteId,
    bound: &'static str,
    seconds: Option<f64>,
    why: Option<&'a SafeText>,
    goal_seconds: f64,
    growing: bool,
    missing: Option<Bytes>,
    at_last_rate: Option<Bytes>,
    backlog: Option<Bytes>,
}

#[derive(Serialize)]
struct EstimateJson<'a> {
    at_least_seconds: f64,
    goal_seconds: f64,
    parts: Vec<PartJson<'a>>,
    unmeasured: &'a [SafeText],
}

#[derive(Serialize)]
struct ContactJson<'a> {
    role: &'a SafeText,
    reach: &'a SafeText,
    after_seconds: f64,
}

#[derive(Serialize)]
struct PartJson<'a> {
    what: &'a SafeText,
    seconds: f64,
}

#[derive(Serialize)]
struct AreaJson {
    area: Area,
    required: bool,
    verdict: Option<Verdict>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    rule: &'a str,
    code: &'a str,
    verdict: Verdict,
    area: Area,
    probe: Option<&'a str>,
    site: Option<&'a SiteId>,
    part: Option<&'a str>,
    sentence: &'a SafeText,
    age_seconds: Option<f64>,
    evidence: Vec<EvidenceJson<'a>>,
    next: Option<&'a SafeText>,
}

#[derive(Serialize)]
struct EvidenceJson<'a> {
    what: &'a SafeText,
    value: &'a SafeText,
    age_seconds: f64,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    at: String,
    from: Option<Verdict>,
    to: Verdict,
    situation: &'static str,
    why: &'a SafeText,
}

#[derive(Serialize)]
struct ChangesJson {
    since: String,
    what: Vec<Difference>,
}

/// The report as one JSON document with a line break at its end: indented, or all of it in one line.
///
/// # Errors
/// None that these types can make; the serialiser's are passed on all the same.
pub fn json(report: &Report, one_line: bool) -> Result<String, serde_json::Error> {
    let whole = report.areas.is_empty();
    let document = Document {
        lifeboat: env!("CARGO_PKG_VERSION"),
        schema: SCHEMA,
        machine: &report.machine,
        at: moment(report.at),
        verdict: report.verdict(),
        exit_code: report.exit_code(),
        areas: (!whole).then_some(report.areas.as_slice()),
        plans: report.plans.iter().map(|p| plan(p, report.at, whole)).collect(),
    };
    let text = if one_line { serde_json::to_string(&document) } else { serde_json::to_string_pretty(&document) };
    text.map(|text| text + "\n")
}

fn plan(report: &PlanReport, now: Now, whole: bool) -> PlanJson<'_> {
    let status = &report.status;
    PlanJson {
        plan: status.plan.id.as_str(),
        tier: status.plan.tier,
        strategy: status.plan.strategy.name(),
        home: &status.plan.home,
        practice: status.plan.practice.is_some(),
        readiness: status.readiness,
        situation: situation(&status.situation),
        leads: status.situation.leads(),
        gates: whole.then_some(&status.gates),
        active: &status.active,
        exposures: exposures(status),
        estimate: EstimateJson {
            at_least_seconds: status.estimate.at_least.0.as_secs_f64(),
            goal_seconds: status.estimate.goal.0.as_secs_f64(),
            parts: (status.estimate.parts.iter())
                .map(|(what, span)| PartJson { what, seconds: span.0.as_secs_f64() })
                .collect(),
            unmeasured: &status.estimate.unmeasured,
        },
        losses: &status.losses,
        contacts: (status.plan.contacts.iter())
            .map(|c| ContactJson { role: &c.role, reach: &c.reach, after_seconds: c.after.0.as_secs_f64() })
            .collect(),
        areas: (status.areas.iter())
            .map(|a| AreaJson { area: a.area, required: status.plan.requires(a.area), verdict: a.verdict })
            .collect(),
        findings: status.findings.iter().map(|f| finding(f, now)).collect(),
        changes: report
            .before
            .as_ref()
            .map(|b| ChangesJson { since: b.at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), what: report.differences() }),
        timeline: (report.timeline.iter())
            .map(|c| ChangeJson {
                at: moment(c.at),
                from: c.from,
                to: c.to,
                situation: c.situation.words(),
                why: &c.why,
            })
            .collect(),
    }
}

fn situation(situation: &Situation) -> SituationJson<'_> {
    let plain = |is| SituationJson { is, site: None, sites: None, database: None, traffic: None, since: None };
    match situation {
        Situation::Starting => plain("starting"),
        Situation::Normal => plain("normal"),
        Situation::PrimaryUnreachable { site, since } => {
            SituationJson { site: Some(site), since: since.map(moment), ..plain("primary-unreachable") }
        }
        Situation::PrimaryUnseen { site, since, .. } => {
            SituationJson { site: Some(site), since: since.map(moment), ..plain("primary-unseen") }
        }
        Situation::PrimaryDown { site, since } => {
            SituationJson { site: Some(site), since: since.map(moment), ..plain("primary-down") }
        }
        Situation::SplitBrain { sites } => SituationJson { sites: Some(sites), ..plain("split-brain") },
        Situation::Disagree { database, traffic } => {
            SituationJson { database: Some(database), traffic: Some(traffic), ..plain("disagree") }
        }
        Situation::NoPrimary => plain("no-primary"),
        Situation::AwayFromHome { site } => SituationJson { site: Some(site), ..plain("away-from-home") },
    }
}

fn exposures(status: &PlanStatus) -> Vec<ExposureJson<'_>> {
    let of = |bound: &Bound| match bound {
        Bound::Zero => "zero",
        Bound::AtMost { .. } => "at-most",
        Bound::ByLastCommit { .. } => "by-last-commit",
        Bound::ByContent { .. } => "by-content",
        Bound::Unknown { .. } => "unknown",
    };
    status
        .exposures
        .iter()
        .map(|e| ExposureJson {
            probe: name(&e.probe),
            to: &e.to,
            bound: of(&e.bound),
            seconds: e.bound.span().map(|s| s.0.as_secs_f64()),
            why: match &e.bound {
                Bound::Unknown { why } => Some(why),
                Bound::Zero | Bound::AtMost { .. } | Bound::ByLastCommit { .. } | Bound::ByContent { .. } => None,
            },
            goal_seconds: e.goal.0.as_secs_f64(),
            growing: e.growing,
            missing: e.missing,
            at_last_rate: e.at_last_rate,
            backlog: e.backlog,
        })
        .collect()
}

fn finding(finding: &Finding, now: Now) -> FindingJson<'_> {
    FindingJson {
        rule: finding.rule.as_str(),
        code: &finding.code,
        verdict: finding.verdict,
        area: finding.area,
        probe: finding.probe.as_ref().map(name),
        site: finding.subject.site.as_ref(),
        part: finding.subject.part.as_deref(),
        sentence: &finding.sentence,
        age_seconds: finding.oldest().map(|at| now.since(at).as_secs_f64()),
        evidence: (finding.evidence.iter())
            .map(|e| EvidenceJson { what: &e.what, value: &e.value, age_seconds: now.since(e.at).as_secs_f64() })
            .collect(),
        next: finding.next.as_ref(),
    }
}

fn name(probe: &ProbeId) -> &str {
    &probe.name
}

fn moment(at: Now) -> String {
    at.wall.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
