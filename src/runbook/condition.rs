//! What must hold for a step: three-valued, in three classes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::plan::{Bytes, Now, SafeText, Span};

/// Whether something holds. Not knowing is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// It was seen to hold.
    Holds,
    /// It was seen not to hold.
    Fails,
    /// Nobody can say.
    Unknown,
}

impl Held {
    /// Holds or fails.
    #[must_use]
    pub const fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Unknown => "unknown",
        }
    }

    /// Both: fails where one fails, else unknown where one is.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fails, _) | (_, Self::Fails) => Self::Fails,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Holds, Self::Holds) => Self::Holds,
        }
    }
}

/// Whether `now` is worse than `then`: what held does not, or what was unknown is now seen to fail.
#[must_use]
pub const fn worse(then: Held, now: Held) -> bool {
    match (then, now) {
        (Held::Holds, Held::Fails | Held::Unknown) | (Held::Unknown, Held::Fails) => true,
        (_, Held::Holds) | (Held::Fails | Held::Unknown, Held::Unknown) | (Held::Fails, Held::Fails) => false,
    }
}

/// What a person may do about a condition that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Nothing: it would be the wrong thing to the wrong server. Never waived.
    Identity,
    /// Accept it by name, up to a ceiling, with words of its own.
    Risk,
    /// Waive it, with a reason.
    Advice,
}

impl Class {
    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Risk => "risk",
            Self::Advice => "advice",
        }
    }
}

/// Names a condition of a step: `in-recovery`, `loss`, `fence`. Stable: consents and scripts refer to it.
pub type ConditionId = Cow<'static, str>;

/// How much a risk amounts to, where it has a size. What is not known has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// As time: an upper bound of the work lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// As data: log that is known to be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Bytes>,
}

impl Amount {
    /// Whether it is known to be within a ceiling. An unknown amount is within none, except where the ceiling itself
    /// says that any amount is accepted: it has no span.
    #[must_use]
    pub fn within(self, ceiling: Self) -> bool {
        match (self.span, ceiling.span) {
            (_, None) => true,
            (Some(now), Some(most)) => now <= most,
            (None, Some(_)) => false,
        }
    }
}

/// One condition, judged: what must hold, whether it does, and by what reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Its name, unique in its step.
    pub id: ConditionId,
    /// What may be done when it does not hold.
    pub class: Class,
    /// What must hold: `west is in recovery`.
    pub what: SafeText,
    /// Whether it does.
    pub held: Held,
    /// What was read, or why nothing was.
    pub why: SafeText,
    /// When that was read.
    pub at: Now,
    /// How much the risk amounts to, where it has a size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// What a person types to accept this risk: `lose 51s`, `assumed fence`. Empty for what is no risk.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub consent: String,
    /// Whether earlier steps of the run make it true: it need not hold yet when a range is approved, only when the step
    /// is about to act.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub later: bool,
}

impl Condition {
    /// A condition of this class.
    #[must_use]
    pub fn new(
        id: impl Into<ConditionId>,
        class: Class,
        what: &str,
        held: Held,
        why: &dyn std::fmt::Display,
        at: Now,
    ) -> Self {
        Self {
            id: id.into(),
            class,
            what: SafeText::new(what),
            held,
            why: SafeText::new(&why.to_string()),
            at,
            amount: None,
            consent: String::new(),
            later: false,
        }
    }

    /// With how much the risk amounts to.
    #[must_use]
    pub fn amounting(mut self, amount: Amount) -> Self {
        self.amount = Some(amount);
        self
    }

    /// With what a person types to accept it.
    #[must_use]
    pub fn accepted_by(mut self, words: &str) -> Self {
        words.clone_into(&mut self.consent);
        self
    }

    /// As one that earlier steps make true.
    #[must_use]
    pub const fn later(mut self) -> Self {
        self.later = true;
        self
    }
}
