//! A plan as it was declared.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Area, Copies, Day, LaneId, PlanId, Practice, ProbeId, ProbedCopy, SafeText, SignalId, SiteId, Span, Strategy,
    Subject,
};

/// What a plan promises to whoever depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objectives {
    /// Recovery point objective: the most recent work that may be lost, as time.
    pub rpo: Span,
    /// Recovery time objective: how long a failover may take.
    pub rto: Span,
}

/// A named place where the service can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name: `east`.
    pub id: SiteId,
    /// What it is, in the operator's words: `aws us-east-1`.
    pub what: SafeText,
}

/// Where this machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Here {
    /// In one of the sites, and lost with it.
    Site(SiteId),
    /// In none of them.
    Elsewhere,
    /// The configuration does not say.
    Unsaid,
}

/// Whether a probe's findings count in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// They do.
    #[default]
    Full,
    /// They cap at `Degraded`, and a gap of theirs does not hide the rest.
    Advice,
}

/// A person or a rota to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Their part: `database on-call`.
    pub role: SafeText,
    /// How to reach them.
    pub reach: SafeText,
    /// When: so long after T0.
    pub after: Span,
}

/// Something that the plan knows will not survive a failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What will be lost.
    pub what: SafeText,
    /// Why.
    pub why: SafeText,
}

/// Something that no probe can see and that somebody made sure of. It stands for a while, and then nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// What was made sure of: `VPC routes copied to the west`.
    pub what: SafeText,
    /// The column that it counts in.
    pub area: Area,
    /// When.
    pub on: Day,
    /// By whom.
    pub by: SafeText,
    /// For how long it stands.
    pub lasts: Span,
}

/// A probe's own options, typed by its system. Pure: rules read limits from here (`max_ttl`, `apply_delay`) by
/// downcasting to the type that their system owns.
pub trait ProbeOptions: fmt::Debug + Send + Sync + Any {
    /// The options as their own type, for `downcast_ref`.
    fn as_any(&self) -> &dyn Any;

    /// The copies of the plan's data that this probe looks at, for the rule that counts them; none where it looks at
    /// something else.
    fn copies(&self) -> &[ProbedCopy] {
        &[]
    }
}

/// One lane of a probe: what it looks at, and every signal that each look must bring or say why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneDecl {
    /// What of the probe.
    pub subject: Subject,
    /// What it talks to, for people: `db.west.example.com:5432`. Never a secret.
    pub server: SafeText,
    /// The signals of every look. What does not apply (a standby's receiver on a primary) is read as
    /// `Value::NotApplicable`, so that a missing reading always means something.
    pub expects: Arc<[SignalId]>,
}

/// One probe as it was declared.
#[derive(Clone, Debug)]
pub struct ProbeDecl {
    /// Its id.
    pub id: ProbeId,
    /// Its kind: `postgres`, `dns`.
    pub kind: &'static str,
    /// The board's column that it counts in.
    pub area: Area,
    /// Whether its findings count in full.
    pub weight: Weight,
    /// How often it looks.
    pub interval: Span,
    /// How long one look may take, connecting included.
    pub timeout: Span,
    /// Its options.
    pub options: Arc<dyn ProbeOptions>,
    /// What it looks at.
    pub lanes: Vec<LaneDecl>,
}

impl ProbeDecl {
    /// The id of one of its lanes.
    #[must_use]
    pub fn lane_id(&self, lane: &LaneDecl) -> LaneId {
        LaneId { probe: self.id.clone(), subject: lane.subject.clone() }
    }

    /// The options as type `T`; `None` where this probe is of another kind.
    #[must_use]
    pub fn options<T: ProbeOptions>(&self) -> Option<&T> {
        self.options.as_any().downcast_ref()
    }
}

/// One protected service.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub id: PlanId,
    /// 1 is the most important.
    pub tier: u8,
    /// How it means to survive.
    pub strategy: Strategy,
    /// What it promises.
    pub objectives: Objectives,
    /// Where it can run.
    pub sites: Vec<Site>,
    /// Where it normally runs.
    pub home: SiteId,
    /// Where this machine is.
    pub here: Here,
    /// The areas that must be ready: the strategy's, unless the plan lists its own.
    pub requires: Vec<Area>,
    /// Its probes.
    pub probes: Vec<ProbeDecl>,
    /// Whom to call.
    pub contacts: Vec<Contact>,
    /// What it knows will not survive.
    pub losses: Vec<Loss>,
    /// What somebody made sure of.
    pub confirms: Vec<Confirm>,
    /// What it says about the copies of its data.
    pub copies: Copies,
    /// The runbooks that it has and that are looked through all the time: `failover`, `switchover`.
    pub runbooks: Vec<SafeText>,
    /// What else is lost with a site: servers by name or address, such as a name server that stands there.
    pub lost_with: Vec<(SiteId, SafeText)>,
    /// The practice world that it is of, where its sites are simulated: then nothing else may be reached from it.
    pub practice: Option<Arc<Practice>>,
}

impl Plan {
    /// Whether the plan requires this area.
    #[must_use]
    pub fn requires(&self, area: Area) -> bool {
        self.requires.contains(&area)
    }

    /// How old a reading of this probe may be before it counts as unknown: three intervals, and never above half the
    /// RPO for replication, but no less than one look can take.
    #[must_use]
    pub fn stale_after(&self, probe: &ProbeDecl) -> Duration {
        let three = probe.interval.0.saturating_mul(3);
        let most = if probe.area == Area::Replication && !self.objectives.rpo.0.is_zero() {
            three.min(self.objectives.rpo.0 / 2)
        } else {
            three
        };
        most.max(probe.interval.0.saturating_add(probe.timeout.0))
    }

    /// The probe with this id.
    #[must_use]
    pub fn probe(&self, id: &ProbeId) -> Option<&ProbeDecl> {
        self.probes.iter().find(|p| p.id == *id)
    }

    /// The site with this name.
    #[must_use]
    pub fn site(&self, name: &str) -> Option<&SiteId> {
        self.sites.iter().map(|s| &s.id).find(|s| s.as_str() == name)
    }
}
