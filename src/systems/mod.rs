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
use crate::plan::{Area, LaneDecl, Now, Objectives, Plan, ProbeDecl, ProbeId, ProbeOptions, SignalId, SiteId};
use crate::readiness::signals::Signal;
use crate::readiness::{Gap, Rule, Value};

pub mod dns;
pub mod postgres;

/// Every system, in the order of the documentation.
pub static SYSTEMS: &[&System] = &[&dns::SYSTEM, &postgres::SYSTEM];

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
}

/// Opens a probe's lanes.
pub type OpenLanes = fn(&Plan, &ProbeDecl, &Arc<Net>) -> Vec<Box<dyn Lane>>;

/// One way to look at a system: a `kind` in the configuration.
pub struct ProbeKind {
    /// The kind's name.
    pub name: &'static str,
    /// The column that its findings count in.
    pub area: Area,
    /// The JSON Schema of its own keys, beside those that every probe has (`name kind weight interval timeout`).
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Reads its own keys. They have been checked against the schema; what is left are faults of meaning.
    pub read: fn(&ReadContext<'_>, serde_json::Value) -> Result<Declared, Vec<Fault>>,
    /// Opens its lanes, one for each that was declared, in that order. Starts nothing and connects nowhere.
    pub open: OpenLanes,
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
    /// The plan's objectives.
    pub objectives: &'a Objectives,
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

/// One connection's worth of a probe: owned by one task, polled by it, never twice at once.
pub trait Lane: Send {
    /// Looks once. Must be done by `deadline`, connecting included; whoever calls drops it shortly after, so nothing may
    /// be lost by being dropped at any await. Keeps its connection for the next look where that is sound.
    fn look(&mut self, deadline: tokio::time::Instant) -> Looking<'_>;
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
