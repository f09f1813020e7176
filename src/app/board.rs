//! What the board says about one plan, as text without style; and its order.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::{Area, BootTime, Now, PlanId, Span};
use crate::readiness::{ActiveSite, Bound, Gate, PlanStatus, Situation, Verdict};

use super::guided::Runs;

/// The order of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// Worst first.
    Worst,
    /// By name.
    Name,
    /// By tier.
    Tier,
    /// The largest exposure for its objective first.
    Rpo,
}

impl Sort {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::Worst, Self::Name, Self::Tier, Self::Rpo];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worst => "worst",
            Self::Name => "name",
            Self::Tier => "tier",
            Self::Rpo => "rpo",
        }
    }

    /// What it does.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Worst => "worst first, then by tier",
            Self::Name => "by name",
            Self::Tier => "the most important first",
            Self::Rpo => "the largest exposure for its objective first",
        }
    }
}

/// Counts ages to one moment in coarse steps, and remembers when the next of them changes.
#[derive(Debug)]
pub struct Ages {
    now: Now,
    next: Cell<Option<BootTime>>,
}

impl Ages {
    /// Ages at `now`.
    #[must_use]
    pub const fn at(now: Now) -> Self {
        Self { now, next: Cell::new(None) }
    }

    /// The moment.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }

    /// How long ago that was, in steps of five seconds to two minutes, then of minutes, hours and days, so that a
    /// screen that shows ages stays still.
    #[must_use]
    pub fn of(&self, at: Now) -> String {
        let age = self.now.since(at).as_secs();
        let step = match age {
            0..120 => 5,
            120..7_200 => 60,
            7_200..172_800 => 3_600,
            172_800.. => 86_400,
        };
        let shown = age / step * step;
        self.wake(BootTime(at.boot.0.saturating_add(Duration::from_secs(shown + step))));
        if shown == 0 { "now".into() } else { Span::secs(shown).coarse() }
    }

    /// The age, where it is more than `quiet`; a younger one is not worth its bytes.
    #[must_use]
    pub fn beyond(&self, at: Now, quiet: Duration) -> Option<String> {
        if self.now.since(at) > quiet {
            return Some(self.of(at));
        }
        self.wake(BootTime(at.boot.0.saturating_add(quiet).saturating_add(Duration::from_millis(1))));
        None
    }

    /// What is shown changes by itself at that moment.
    pub fn wake(&self, at: BootTime) {
        self.next.set(Some(self.next.get().map_or(at, |n| n.min(at))));
    }

    /// When the first of the ages that were asked for changes.
    #[must_use]
    pub fn next(&self) -> Option<BootTime> {
        self.next.get()
    }
}

/// Whether the plan's first looks are not all in yet.
#[must_use]
pub fn looking(status: &PlanStatus) -> bool {
    matches!(status.situation, Situation::Starting) && status.findings.iter().any(|f| f.code == "never-read")
}

/// How bad a plan is, the smaller the worse: trouble, then not ready, unknown, still looking, degraded, ready.
#[must_use]
pub fn rank(status: &PlanStatus) -> u8 {
    if status.situation.leads() {
        return 0;
    }
    match status.readiness {
        Verdict::NotReady => 1,
        Verdict::Unknown if looking(status) => 3,
        Verdict::Unknown => 2,
        Verdict::Degraded => 4,
        Verdict::Ready => 5,
    }
}

/// Whether `new` is worse than `old` in anything that a frozen screen must not hide.
#[must_use]
pub fn worsened(old: &PlanStatus, new: &PlanStatus) -> bool {
    let gate = |g: &Gate| match g {
        Gate::Go => 0,
        Gate::Consent(_) => 1,
        Gate::Unknown(_) => 2,
        Gate::No(_) => 3,
    };
    let verdict = |v: Option<Verdict>| match v {
        None | Some(Verdict::Ready) => 0,
        Some(Verdict::Degraded) => 1,
        Some(Verdict::Unknown) => 2,
        Some(Verdict::NotReady) => 3,
    };
    rank(new) < rank(old)
        || Area::ALL.iter().any(|a| verdict(new.area(*a)) > verdict(old.area(*a)))
        || (rpo(old).1 == Some(true) && rpo(new).1 != Some(true))
        || gate(&new.gates.failover) > gate(&old.gates.failover)
        || (new.situation.leads() && new.situation.words() != old.situation.words())
}

/// Whether the plan matches what was typed: each word is in its name, sites, verdict, situation or reason.
#[must_use]
pub fn matches(status: &PlanStatus, filter: &str) -> bool {
    if filter.is_empty() {
        return true;
    }
    let mut text = format!("{} {} {} ", status.plan.id, status.readiness.word(), status.situation.words());
    for site in &status.plan.sites {
        text.push_str(site.id.as_str());
        text.push(' ');
    }
    if let Some(why) = status.why() {
        text.push_str(why.sentence.as_str());
    }
    let text = text.to_lowercase();
    filter.to_lowercase().split_whitespace().all(|word| text.contains(word))
}

/// The places of the plans by what never changes, so that ordering them anew is a stable sort by one number.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    by_name: Vec<usize>,
    by_tier: Vec<usize>,
}

impl Orders {
    /// The orders of these plans.
    pub fn of<'a>(statuses: impl Iterator<Item = &'a Arc<PlanStatus>>) -> Self {
        let plans: Vec<_> = statuses.map(|s| &s.plan).enumerate().collect();
        let mut by_name = plans.clone();
        by_name.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        let mut by_tier = plans;
        by_tier.sort_by(|(_, a), (_, b)| a.tier.cmp(&b.tier).then_with(|| a.id.cmp(&b.id)));
        let places = |plans: Vec<(usize, _)>| plans.into_iter().map(|(place, _)| place).collect();
        Self { by_name: places(by_name), by_tier: places(by_tier) }
    }

    /// The places of the plans that match, in order. Ties go by tier and name, so that nothing flickers. A plan with an open
    /// run is as bad as one in trouble.
    #[must_use]
    pub fn rows<'a>(
        &self,
        status: impl Fn(usize) -> Option<&'a Arc<PlanStatus>>,
        open: impl Fn(&PlanId) -> bool,
        filter: &str,
        sort: Sort,
    ) -> Vec<usize> {
        let order = if sort == Sort::Name { &self.by_name } else { &self.by_tier };
        let plans = order.iter().filter_map(|place| Some((*place, status(*place)?)));
        let plans = plans.filter(|(_, s)| matches(s, filter));
        match sort {
            Sort::Name | Sort::Tier => plans.map(|(place, _)| place).collect(),
            Sort::Worst => {
                let rank = |s: &PlanStatus| if open(&s.plan.id) { 0 } else { rank(s) };
                let mut ranked: Vec<_> = plans.map(|(place, s)| (rank(s), place)).collect();
                ranked.sort_by_key(|(rank, _)| *rank);
                ranked.into_iter().map(|(_, place)| place).collect()
            }
            Sort::Rpo => {
                let mut shares: Vec<_> = plans.map(|(place, s)| (share(s), place)).collect();
                shares.sort_by(|(a, _), (b, _)| b.total_cmp(a));
                shares.into_iter().map(|(_, place)| place).collect()
            }
        }
    }
}

/// Whether a plan that was judged anew may have another row, or counts among others in the header.
#[must_use]
pub fn moves(old: &PlanStatus, new: &PlanStatus, sort: Sort) -> bool {
    rank(old) != rank(new)
        || old.readiness != new.readiness
        || looking(old) != looking(new)
        || (sort == Sort::Rpo && share(old).total_cmp(&share(new)).is_ne())
}

/// The exposure as a share of the objective; unknown is the largest.
fn share(status: &PlanStatus) -> f64 {
    let Some(e) = status.exposure() else { return -1.0 };
    e.bound.span().map_or(f64::INFINITY, |s| s.0.as_secs_f64() / e.goal.0.as_secs_f64().max(0.001))
}

/// What the board says about one plan, but for ages. Two equal faces need no new frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Face {
    /// The site that is active.
    pub active: String,
    /// Whether that site is fine.
    pub active_ok: bool,
    /// The readiness; `None` while the first looks are under way.
    pub readiness: Option<Verdict>,
    /// In trouble: what is going on, in capitals.
    pub situation: Option<String>,
    /// In trouble: the failover gate with its reasons.
    pub failover: String,
    /// In trouble: the switchover gate.
    pub switchover: String,
    /// The exposure and its objective.
    pub rpo: (String, String),
    /// Whether the exposure is within its objective; `None` where nobody can say.
    pub rpo_ok: Option<bool>,
    /// The estimate and its objective.
    pub rto: (String, String),
    /// Whether the estimate is within its objective, as far as it is measured.
    pub rto_ok: Option<bool>,
    /// The areas.
    pub areas: [Option<Verdict>; 5],
    /// The reason.
    pub why: String,
}

/// Makes the face of a plan.
#[must_use]
pub fn face(status: &PlanStatus) -> Face {
    let (active, active_ok) = active(status);
    let looking = looking(status);
    let leads = status.situation.leads();
    let (rpo, rpo_ok) = rpo(status);
    let goal = status.estimate.goal;
    let measured = !status.estimate.parts.is_empty();
    Face {
        active,
        active_ok,
        readiness: (!looking).then_some(status.readiness),
        situation: leads.then(|| status.situation.words().to_uppercase()),
        failover: if leads { gate(&status.gates.failover) } else { String::new() },
        switchover: if leads { status.gates.switchover.word().to_owned() } else { String::new() },
        rpo: (rpo, status.plan.objectives.rpo.to_string()),
        rpo_ok,
        rto: (if measured { format!(">={}", status.estimate.at_least) } else { "?".into() }, goal.to_string()),
        rto_ok: measured.then_some(status.estimate.at_least <= goal),
        areas: Area::ALL.map(|a| status.area(a)),
        why: if looking { looking_words(status) } else { why(status) },
    }
}

fn looking_words(status: &PlanStatus) -> String {
    let lanes: usize = status.plan.probes.iter().map(|p| p.lanes.len()).sum();
    let waiting = status.findings.iter().filter(|f| f.code == "never-read").count();
    format!("{} of {lanes} answered", lanes.saturating_sub(waiting))
}

fn why(status: &PlanStatus) -> String {
    let more = status.findings.iter().filter(|f| f.verdict != Verdict::Ready).count();
    match status.why() {
        Some(f) if more > 1 => format!("{}  (+{})", f.sentence, more - 1),
        Some(f) => f.sentence.to_string(),
        None => String::new(),
    }
}

/// A gate in one line: its word and its reasons.
#[must_use]
pub fn gate(gate: &Gate) -> String {
    let reasons: Vec<&str> = gate.reasons().iter().map(crate::plan::SafeText::as_str).collect();
    if reasons.is_empty() { gate.word().to_owned() } else { format!("{}: {}", gate.word(), reasons.join("; ")) }
}

fn active(status: &PlanStatus) -> (String, bool) {
    let of = |site: &ActiveSite| match site {
        ActiveSite::At(s) => Some((s.to_string(), true)),
        ActiveSite::LastSeen(s) => Some((s.to_string(), false)),
        ActiveSite::Several(all) => {
            Some((all.iter().map(ToString::to_string).collect::<Vec<_>>().join("+"), status.active.split.is_empty()))
        }
        ActiveSite::Nowhere => Some(("none".into(), false)),
        ActiveSite::Unknown => Some(("?".into(), true)),
        ActiveSite::NotProbed => None,
    };
    of(&status.active.database).or_else(|| of(&status.active.traffic)).unwrap_or_else(|| ("-".into(), true))
}

fn rpo(status: &PlanStatus) -> (String, Option<bool>) {
    let Some(e) = status.exposure() else {
        return (if looking(status) { "?" } else { "-" }.into(), None);
    };
    match &e.bound {
        Bound::Zero => ("0".into(), Some(true)),
        Bound::Unknown { .. } => ("?".into(), None),
        Bound::AtMost { span } | Bound::ByLastCommit { span } | Bound::ByContent { span } => {
            let shown = Span::secs(span.0.as_secs() + u64::from(span.0.subsec_nanos() > 0));
            let within = *span <= e.goal;
            (format!("<={shown}"), Some(within))
        }
    }
}

/// Rows of the terminal that a plan takes on the board: in trouble, situation and gate need a second line where the
/// screen is narrow; an open run and what leads beside it do anywhere.
#[must_use]
pub fn height(status: &PlanStatus, cols: u16, open: bool) -> usize {
    let leads = status.situation.leads();
    if leads && (cols < 150 || open) { 2 } else { 1 }
}

/// The first row to draw, so that the cursor is among the `rows` that fit, moved as little as possible from `top`.
#[must_use]
pub fn fit(shown: &[Arc<PlanStatus>], runs: &Runs, top: usize, cursor: usize, rows: usize, cols: u16) -> usize {
    let mut left = rows;
    let mut first = cursor;
    for (index, status) in shown.iter().enumerate().take(cursor + 1).rev() {
        let h = height(status, cols, runs.open_of(&status.plan.id).is_some());
        if h > left {
            break;
        }
        left -= h;
        first = index;
    }
    top.clamp(first, cursor.max(first))
}
