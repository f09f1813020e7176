//! Everything that is declared and remembered, as one document, for whoever wants to keep or to study it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::app::{Change, Checked, History};
use crate::clock;
use crate::config;
use crate::plan::{Area, Key, Plan, SafeText, SiteId};
use crate::readiness::Verdict;
use crate::store::{self, Store};

use super::args::ExportArgs;

/// The version of the format: new fields may be added at any place, a field is never renamed, removed or given another
/// meaning without a new one.
pub const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    lifeboat: &'static str,
    schema: u32,
    at: String,
    plans: Vec<PlanJson<'a>>,
}

#[derive(Serialize)]
struct PlanJson<'a> {
    plan: &'a str,
    tier: u8,
    strategy: &'static str,
    rpo_seconds: f64,
    rto_seconds: f64,
    home: &'a SiteId,
    practice: bool,
    sites: Vec<(&'a SiteId, &'a SafeText)>,
    requires: &'a [Area],
    probes: Vec<ProbeJson<'a>>,
    last_active: Option<ActiveJson>,
    last_check: Option<Checked>,
    changes: Vec<ChangeJson>,
    series: Vec<SeriesJson>,
}

#[derive(Serialize)]
struct ProbeJson<'a> {
    name: &'a str,
    kind: &'static str,
    area: Area,
    interval_seconds: f64,
    timeout_seconds: f64,
    looks_at: Vec<String>,
}

#[derive(Serialize)]
struct ActiveJson {
    site: SiteId,
    at: String,
}

#[derive(Serialize)]
struct ChangeJson {
    at: String,
    from: Option<Verdict>,
    to: Verdict,
    situation: &'static str,
    why: SafeText,
}

#[derive(Serialize)]
struct SeriesJson {
    probe: String,
    subject: String,
    signal: String,
    points: Vec<(String, f64)>,
}

/// Prints the document. Looks at no remote, and reads no secret.
///
/// # Errors
/// A configuration with mistakes, a plan that is not there, a history that cannot be read.
pub fn run(args: &ExportArgs, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = config::load(&config::find(path)?)?;
    let plans = super::check::choose(args.plans.iter().map(String::as_str), &config.plans);
    let plans = match plans {
        Ok(plans) => plans,
        Err(why) => {
            super::report(&anyhow!(why));
            return Ok(ExitCode::from(super::EXIT_USAGE));
        }
    };
    // A history that was never begun is an empty one; this command makes none.
    let store = match config.state.clone().or_else(store::default_dir) {
        Some(dir) if dir.join(store::FILE).exists() => Some(store::open(&dir)?),
        Some(_) | None => None,
    };
    let text = document(&plans, store.as_ref(), args)?;
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn document(plans: &[Arc<Plan>], store: Option<&Store>, args: &ExportArgs) -> anyhow::Result<String> {
    let now = clock::now().wall;
    let from = args.since.map(|s| now - TimeDelta::from_std(s.0).unwrap_or_default());
    let ids: Vec<_> = plans.iter().map(|p| p.id.clone()).collect();
    let history = store.map(|s| s.history(&ids)).transpose()?.unwrap_or_default();
    let mut all = Vec::new();
    for plan in plans {
        let last_check = store.map(|s| s.check_before(&plan.id, "", None)).transpose()?.flatten();
        all.push(of(plan, &history, last_check, from));
    }
    let document = Document { lifeboat: env!("CARGO_PKG_VERSION"), schema: SCHEMA, at: moment(now), plans: all };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn of<'a>(plan: &'a Plan, history: &History, last_check: Option<Checked>, from: Option<DateTime<Utc>>) -> PlanJson<'a> {
    let in_time = |at: DateTime<Utc>| from.is_none_or(|from| at >= from);
    let change = |c: &Change| ChangeJson {
        at: moment(c.at.wall),
        from: c.from,
        to: c.to,
        situation: c.situation.words(),
        why: c.why.clone(),
    };
    let series = |(key, points): &(Key, Vec<(crate::plan::Now, f64)>)| SeriesJson {
        probe: key.probe.name.to_string(),
        subject: key.subject.to_string(),
        signal: key.signal.to_string(),
        points: points.iter().filter(|(at, _)| in_time(at.wall)).map(|(at, v)| (moment(at.wall), *v)).collect(),
    };
    PlanJson {
        plan: plan.id.as_str(),
        tier: plan.tier,
        strategy: plan.strategy.name(),
        rpo_seconds: plan.objectives.rpo.0.as_secs_f64(),
        rto_seconds: plan.objectives.rto.0.as_secs_f64(),
        home: &plan.home,
        practice: plan.practice.is_some(),
        sites: plan.sites.iter().map(|s| (&s.id, &s.what)).collect(),
        requires: &plan.requires,
        probes: (plan.probes.iter())
            .map(|p| ProbeJson {
                name: &p.id.name,
                kind: p.kind,
                area: p.area,
                interval_seconds: p.interval.0.as_secs_f64(),
                timeout_seconds: p.timeout.0.as_secs_f64(),
                looks_at: p.lanes.iter().map(|l| format!("{}: {}", l.subject, l.server)).collect(),
            })
            .collect(),
        last_active: (history.active.get(&plan.id))
            .map(|(site, at, _)| ActiveJson { site: site.clone(), at: moment(at.wall) }),
        last_check,
        changes: history.changes.iter().filter(|c| c.plan == plan.id && in_time(c.at.wall)).map(change).collect(),
        series: history.series.iter().filter(|(key, _)| key.probe.plan == plan.id).map(series).collect(),
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
