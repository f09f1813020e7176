//! One folder per outside system.
//!
//! In each: `options.rs signals.rs parse.rs rules/` are PURE; `client.rs probe.rs` do I/O; `mod.rs` is its descriptor.
//! Adding a system is one folder and one line in [`SYSTEMS`], a fixture, and a section in `config.example.toml`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::{Schema, SchemaGenerator};

use crate::net::Net;
use crate::plan::{
    Area, LaneDecl, Now, Objectives, Plan, ProbeDecl, ProbeId, ProbeOptions, Program, ProgramError, SignalId, SiteId,
    Span, Strategy,
};
use crate::readiness::signals::Signal;
use crate::readiness::{Examined, Gap, Rule, Value};

pub mod backup_files;
pub mod barman;
#[cfg(test)]
pub(crate) mod bench;
pub mod command;
pub mod dns;
pub mod endpoint;
mod examine;
pub mod images;
pub mod patroni;
pub mod pause;
pub mod pgbackrest;
pub mod postgres;
mod step;

pub use step::{
    Executing, Executor, Guarding, OpenStep, Scene, StepContext, StepKind, StepTraits, fence_of, newest, unreadable,
};

/// Every system, in the order of the documentation.
pub static SYSTEMS: &[&System] = &[
    &backup_files::SYSTEM,
    &barman::SYSTEM,
    &command::SYSTEM,
    &dns::SYSTEM,
    &endpoint::SYSTEM,
    &images::SYSTEM,
    &patroni::SYSTEM,
    &pause::SYSTEM,
    &pgbackrest::SYSTEM,
    &postgres::SYSTEM,
];

/// What one outside system brings.
pub struct System {
    /// Its folder's name.
    pub name: &'static str,
    /// The ways to look at it.
    pub probes: &'static [ProbeKind],
    /// The signals that it reads.
    pub signals: &'static [Signal],
    /// The rules that judge them.
    pub rules: &'static [&'static dyn Rule],
    /// What a runbook can do with it.
    pub steps: &'static [StepKind],
}

/// Opens a probe's lanes.
pub type OpenLanes = fn(&Plan, &ProbeDecl, &Arc<Net>) -> Vec<Box<dyn Lane>>;

/// One way to look at a system: a `kind` in the configuration.
pub struct ProbeKind {
    /// The kind's name.
    pub name: &'static str,
    /// The column that its findings count in.
    pub area: KindArea,
    /// How often it looks, and for how long at most, where the probe itself does not say.
    pub pace: Pace,
    /// The JSON Schema of its own keys, beside those that every probe has (`name kind weight interval timeout`, and
    /// `area` where the kind serves any).
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Reads its own keys. They have been checked against the schema; what is left are faults of meaning.
    pub read: fn(&ReadContext<'_>, serde_json::Value) -> Result<Declared, Vec<Fault>>,
    /// Opens its lanes, one for each that was declared, in that order. Starts nothing and connects nowhere.
    pub open: OpenLanes,
}

/// The column that the findings of a kind count in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KindArea {
    /// This one, whatever is looked at.
    Fixed(Area),
    /// The one that the probe's required key `area` names: the kind serves any.
    Declared,
}

impl KindArea {
    /// The one area of the kind, where it has one.
    #[must_use]
    pub const fn fixed(self) -> Option<Area> {
        match self {
            Self::Fixed(area) => Some(area),
            Self::Declared => None,
        }
    }
}

/// The least interval and timeout of a kind, where a probe does not say its own: what takes seconds to look at, and
/// changes in hours, is not asked every few seconds because `[defaults]` says so of databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// `[defaults]` `interval` holds only where it is longer than this.
    pub interval: Option<Span>,
    /// `[defaults]` `timeout` holds only where it is longer than this.
    pub timeout: Option<Span>,
}

impl Pace {
    /// As `[defaults]` says.
    pub const USUAL: Self = Self { interval: None, timeout: None };
    /// For what takes long and changes seldom, backups and images: a minute, and half of one for a look.
    pub const SLOW: Self = Self { interval: Some(Span::secs(60)), timeout: Some(Span::secs(30)) };
}

/// What a probe's options are read in.
#[derive(Clone, Copy, Debug)]
pub struct ReadContext<'a> {
    /// The probe.
    pub id: &'a ProbeId,
    /// The plan's sites.
    pub sites: &'a [SiteId],
    /// The plan's home.
    pub home: &'a SiteId,
    /// The plan's strategy.
    pub strategy: Strategy,
    /// The plan's objectives.
    pub objectives: &'a Objectives,
    /// The column that the probe's findings count in.
    pub area: Area,
    /// How often the probe looks.
    pub interval: Duration,
    /// How long one look may take.
    pub timeout: Duration,
}

/// A probe's options and what they look at.
#[derive(Debug)]
pub struct Declared {
    /// The options.
    pub options: Arc<dyn ProbeOptions>,
    /// The lanes.
    pub lanes: Vec<LaneDecl>,
    /// Where its secrets are, for `config check` to try: the key in the probe's table, and the reference.
    pub secrets: Vec<(String, crate::plan::SecretRef)>,
}

/// A fault of meaning in a probe's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, below the probe's table: `["at", "west"]`. Empty for the table itself.
    pub path: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub right: String,
}

impl Fault {
    /// The fault of a key below the probe's table.
    #[must_use]
    pub fn new(path: &[&str], what: &str, right: &str) -> Self {
        Self { path: path.iter().map(|p| (*p).to_owned()).collect(), what: what.to_owned(), right: right.to_owned() }
    }

    /// What is wrong with a program that a probe runs.
    #[must_use]
    pub fn of_program(program: &Program) -> Vec<Self> {
        let of =
            |(path, e): (Vec<String>, ProgramError)| Self { path, what: e.to_string(), right: e.right().to_owned() };
        program.faults().into_iter().map(of).collect()
    }
}

/// One value of a look.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The signal.
    pub signal: SignalId,
    /// The value, or why there is none.
    pub value: Result<Value, Gap>,
    /// When it was true by the remote's own clock, where it says so.
    pub as_of: Option<DateTime<Utc>>,
}

/// What one look at one lane brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// When the question itself was sent, where the lane knows better than its caller: after connecting.
    pub asked: Option<Now>,
    /// What was observed. An expected signal that is missing becomes the gap `Absent`.
    pub observed: Vec<Observed>,
}

impl Look {
    /// A look in which every expected signal failed for one reason.
    #[must_use]
    pub fn failed(lane: &LaneDecl, gap: &Gap) -> Self {
        let of = |signal: &SignalId| Observed { signal: signal.clone(), value: Err(gap.clone()), as_of: None };
        Self { asked: None, observed: lane.expects.iter().map(of).collect() }
    }

    /// The look with one more value.
    pub fn push(&mut self, signal: &SignalId, value: Result<Value, Gap>) {
        self.observed.push(Observed { signal: signal.clone(), value, as_of: None });
    }
}

/// A look under way.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Look> + Send + 'a>>;

/// An examination under way.
pub type Examining<'a> = Pin<Box<dyn Future<Output = Vec<Examined>> + Send + 'a>>;

/// A lane that lets go of what it keeps.
pub type Resting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One connection's worth of a probe: owned by one task, polled by it, never twice at once.
pub trait Lane: Send {
    /// Looks once. Must be done by `deadline`, connecting included; whoever calls drops it shortly after, so nothing may
    /// be lost by being dropped at any await. Keeps its connection for the next look where that is sound.
    fn look(&mut self, deadline: tokio::time::Instant) -> Looking<'_>;

    /// The next look is a minute away or more: gives back what is kept only to make that one cheap, at the server too.
    /// Whoever calls drops it after a second.
    fn rest(&mut self) -> Resting<'_> {
        Box::pin(std::future::ready(()))
    }

    /// What `doctor` asks beyond a look, right after one: versions, each permission by name, clocks, what expires. Reads
    /// only. Nothing, where a look says it all.
    fn examine(&mut self, deadline: tokio::time::Instant) -> Examining<'_> {
        let _ = deadline;
        Box::pin(std::future::ready(Vec::new()))
    }
}

/// The kind of step with this name.
#[must_use]
pub fn step_kind(name: &str) -> Option<&'static StepKind> {
    SYSTEMS.iter().flat_map(|s| s.steps).find(|k| k.name == name)
}

/// Every rule of every system.
#[must_use]
pub fn rules() -> Vec<&'static dyn Rule> {
    SYSTEMS.iter().flat_map(|s| s.rules.iter().copied()).collect()
}

/// The kind with this name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static ProbeKind> {
    SYSTEMS.iter().flat_map(|s| s.probes).find(|k| k.name == name)
}
