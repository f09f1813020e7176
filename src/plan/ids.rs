//! Names of things. Two things are the same when their ids are equal; nothing is found by position.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id with this name.
            #[must_use]
            pub fn new(name: &str) -> Self {
                Self(name.into())
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name_type! {
    /// A plan's name.
    PlanId
}
name_type! {
    /// A site's name: `east`, `west`.
    SiteId
}

macro_rules! static_name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Cow<'static, str>);

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                // Nearly always constants: equal ones are the same text at the same place, which costs no comparing.
                std::ptr::eq(self.as_str(), other.as_str()) || self.0 == other.0
            }
        }

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        impl $name {
            /// The id with this name, as a constant.
            #[must_use]
            pub const fn new(name: &'static str) -> Self {
                Self(Cow::Borrowed(name))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

static_name_type! {
    /// The name of a measured quantity: `replication.lag`, `dns.ttl`.
    SignalId
}
static_name_type! {
    /// A rule's name: `postgres.slots`, `dns.ttl`. Stable: scripts match on it.
    RuleId
}

/// One configured probe: unique within its plan, and with the plan's name unique everywhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProbeId {
    /// The plan that it belongs to.
    pub plan: PlanId,
    /// Its `name` in the configuration.
    pub name: Arc<str>,
}

impl ProbeId {
    /// The probe `name` of plan `plan`.
    #[must_use]
    pub fn new(plan: &PlanId, name: &str) -> Self {
        Self { plan: plan.clone(), name: name.into() }
    }
}

impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.plan, self.name)
    }
}

impl fmt::Debug for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.plan, self.name)
    }
}

/// What a reading or a finding is about: a site, a part of it (member, slot, resolver, image), both or, where it is
/// the plan as a whole, neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The site, where the subject belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteId>,
    /// The part: a resolver's address, a slot's name, an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Arc<str>>,
}

impl Subject {
    /// The plan as a whole.
    #[must_use]
    pub const fn whole() -> Self {
        Self { site: None, part: None }
    }

    /// A site as a whole.
    #[must_use]
    pub const fn site(site: SiteId) -> Self {
        Self { site: Some(site), part: None }
    }

    /// A part that belongs to no site.
    #[must_use]
    pub fn part(part: &str) -> Self {
        Self { site: None, part: Some(part.into()) }
    }

    /// A part of a site.
    #[must_use]
    pub fn part_of(site: SiteId, part: &str) -> Self {
        Self { site: Some(site), part: Some(part.into()) }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.site, &self.part) {
            (None, None) => f.write_str("plan"),
            (Some(site), None) => f.pad(site.as_str()),
            (None, Some(part)) => f.pad(part),
            (Some(site), Some(part)) => write!(f, "{site} {part}"),
        }
    }
}

/// One thing that a probe looks at with one connection of its own, polled by one task: a server of a site, a
/// resolver, an endpoint. A hung remote costs one lane.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaneId {
    /// The probe.
    pub probe: ProbeId,
    /// What of the probe.
    pub subject: Subject,
}

impl LaneId {
    /// The key of one of this lane's signals.
    #[must_use]
    pub fn key(&self, signal: SignalId) -> Key {
        Key { probe: self.probe.clone(), subject: self.subject.clone(), signal }
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.probe, self.subject)
    }
}

impl fmt::Debug for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Which quantity, of what, seen by which probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The probe that looks.
    pub probe: ProbeId,
    /// What it is about.
    pub subject: Subject,
    /// The quantity.
    pub signal: SignalId,
}

impl Key {
    /// The lane that reads this key.
    #[must_use]
    pub fn lane(&self) -> LaneId {
        LaneId { probe: self.probe.clone(), subject: self.subject.clone() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.probe, self.subject, self.signal)
    }
}
