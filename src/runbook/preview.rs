//! What a step would do, to what, and what it did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Bytes, Lsn, Now, SafeText};

use super::{Class, Condition, Digest, Held};

/// How the mark of a target begins that could not be read.
const UNREAD: &str = "not read: ";

/// What a target is known by. Another value of any of these is another target: system identifier, resolved address,
/// postmaster start. What a step may change (role, timeline) is a condition instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity(pub BTreeMap<SafeText, SafeText>);

impl Identity {
    /// With one more mark.
    #[must_use]
    pub fn with(mut self, what: &str, value: &dyn std::fmt::Display) -> Self {
        self.0.insert(SafeText::new(what), SafeText::new(&value.to_string()));
        self
    }

    /// With one more mark, of which nobody could say what it is now. That is no other target, and not the same one either.
    #[must_use]
    pub fn unread(self, what: &str, why: &str) -> Self {
        self.with(what, &format!("{UNREAD}{why}"))
    }

    /// Why a mark could not be read, where it could not.
    #[must_use]
    pub fn why_unread<'a>(&'a self, what: &SafeText) -> Option<&'a str> {
        self.0.get(what).and_then(|mark| mark.as_str().strip_prefix(UNREAD))
    }
}

/// What a step would do now: re-read from its target, and changing nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The host, server or record that it would act on, as people name it: `db.west.example.com:5432`.
    pub target: SafeText,
    /// What the target is, as just re-read: `standby, streaming, timeline 4`.
    pub role: SafeText,
    /// What the target is known by.
    pub identity: Identity,
    /// The exact SQL, request or command, a line each. Never a secret.
    pub actions: Vec<SafeText>,
    /// What the person who approves types: it names the target.
    pub challenge: String,
    /// What must hold, judged.
    pub conditions: Vec<Condition>,
    /// Whether its effect is there already: then it is recorded as such, and nothing is done.
    pub already: Held,
    /// What its effect leaves behind, where it is there already: a fence that somebody else put up.
    #[serde(default)]
    pub left: Yield,
    /// When it was read.
    pub at: Now,
}

impl Preview {
    /// Whether a condition still matters: of a step whose effect is there already, only that it is the right target.
    #[must_use]
    pub fn asks(&self, condition: &Condition) -> bool {
        self.already != Held::Holds || condition.class == Class::Identity
    }

    /// The digest of what would be done: actions and target. What is merely read newly (ages, readings) is not in it.
    #[must_use]
    pub fn digest(&self, options: &Value) -> Digest {
        let options = options.to_string();
        let mut parts: Vec<&[u8]> = vec![options.as_bytes(), self.target.as_str().as_bytes()];
        parts.extend(self.actions.iter().map(|a| a.as_str().as_bytes()));
        Digest::of(&parts)
    }
}

/// How sure it is that the old primary takes no writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// It does not answer, or could not be reached: no proof at all.
    Assumed,
    /// It turns application roles away, survives a restart, and a write of an application role was refused.
    Blocked,
    /// It is stopped, or demoted, and that was seen.
    Proven,
}

impl Strength {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Assumed => "assumed",
            Self::Blocked => "blocked",
            Self::Proven => "proven",
        }
    }
}

/// A fence that a step put up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// How sure it is.
    pub strength: Strength,
    /// What it rests on.
    pub why: SafeText,
}

/// What was measured to be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The last position of the old primary that anybody saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Lsn>,
    /// The position that the new primary held when it was promoted.
    pub held: Lsn,
    /// Log that is known to be lost: the former without the latter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Bytes>,
    /// Whether `seen` is where its log ended, by its shutdown checkpoint or by where it stood once it took no writes. Else
    /// it may have written more than anybody saw.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
}

impl Loss {
    /// What was lost, in words that claim no more than was seen.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { held, end, .. } = self;
        let unseen = "; what it wrote after that, nobody saw";
        match (self.missing, end) {
            (Some(Bytes(0)), true) => format!("nothing: all up to {held} is there"),
            (Some(bytes), true) => format!("{bytes} of log after {held}"),
            (Some(Bytes(0)), false) => format!("nothing that was seen: all up to {held} is there{unseen}"),
            (Some(bytes), false) => format!("at least {bytes} of log after {held}{unseen}"),
            (None, _) => format!("nobody saw how far the old primary was; all up to {held} is there"),
        }
    }
}

/// What a step leaves to the steps after it, and to the record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Yield {
    /// A fence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
    /// A measured loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// What its way back needs: the record's old values, the lines that were put before pg_hba.conf's.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub kept: Value,
    /// Facts worth keeping, in words: `LSN 0/3000148 before, timeline 4 -> 5`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<SafeText>,
    /// When its effect was read to be there, where the step had to look further before it ended: a host that does not answer
    /// costs its timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Box<Now>>,
}

/// What became of the call itself. Whether the effect is there is another question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Acted {
    /// The remote said that it did it.
    Returned {
        /// Its words.
        said: SafeText,
        /// What it leaves behind.
        #[serde(default)]
        left: Box<Yield>,
    },
    /// The remote said no: nothing was done.
    Refused {
        /// Its words.
        said: SafeText,
    },
    /// Nothing was sent.
    NotSent {
        /// Why.
        why: SafeText,
    },
    /// The remote did something and said that it failed: part of it may be done. Whether the effect is there all the same is
    /// looked at once, and not waited for.
    Failed {
        /// Its words.
        said: SafeText,
        /// What it leaves behind, as far as that is known.
        #[serde(default)]
        left: Box<Yield>,
    },
    /// It was sent, and how it ended is not known: timed out, cut off, or unclear words.
    Unclear {
        /// Why.
        why: SafeText,
        /// What it leaves behind, as far as that is known.
        #[serde(default)]
        left: Box<Yield>,
    },
}

impl Acted {
    /// What the call left behind.
    #[must_use]
    pub fn left(&self) -> Option<&Yield> {
        match self {
            Self::Returned { left, .. } | Self::Failed { left, .. } | Self::Unclear { left, .. } => Some(left),
            Self::Refused { .. } | Self::NotSent { .. } => None,
        }
    }

    /// Whether nothing more comes of it by itself: its effect is looked at once, and not waited for.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::NotSent { .. } | Self::Failed { .. } => true,
            Self::Returned { .. } | Self::Unclear { .. } => false,
        }
    }
}

/// Whether a step's effect is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Whether it is.
    pub held: Held,
    /// What was seen, in words.
    pub why: SafeText,
    /// What that leaves behind.
    pub left: Yield,
    /// Progress in words, for a step that takes long: what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<SafeText>,
    /// Whether looking again is of no use: what was to bring it about has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
    /// When it was seen.
    pub at: Now,
}

impl Observation {
    /// An observation that leaves nothing behind.
    #[must_use]
    pub fn new(held: Held, why: &str, at: Now) -> Self {
        Self { held, why: SafeText::new(why), left: Yield::default(), waits: None, over: false, at }
    }
}
