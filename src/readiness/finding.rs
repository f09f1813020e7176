//! What a rule found.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::plan::{Area, Key, Now, ProbeId, RuleId, SafeText, Subject};

/// The answer to "could it take over right now?".
///
/// No order is derived on purpose: roll-up and exit codes order these differently, and each has one named function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Yes, by fresh evidence for everything that is required.
    Ready,
    /// Yes, but something is wrong that should be mended.
    Degraded,
    /// No, and this is the proof.
    NotReady,
    /// Nobody can say: no data, stale data, no permission.
    Unknown,
}

impl Verdict {
    /// All four.
    pub const ALL: [Self; 4] = [Self::NotReady, Self::Unknown, Self::Degraded, Self::Ready];

    /// The word that always goes with the colour and the glyph.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::NotReady => "not ready",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// What a finding is about, for scripts: stable, lower case, `slot-lost`.
pub type Code = Cow<'static, str>;

/// What a finding means for an unplanned failover, which may use only what can be proven without the lost site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bearing {
    /// Nothing.
    #[default]
    None,
    /// It could start if a person accepts this.
    Consent(SafeText),
    /// It must not start.
    Blocks(SafeText),
}

/// Something that a finding proves and that other judgements build on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Every commit waits until this site has it. That alone is not RPO 0: what was committed before it was so must have
    /// arrived, and whoever looked must have looked lately.
    ZeroLoss {
        /// When it was last seen to be so.
        seen: Now,
        /// The first look since which it was seen to be so.
        since: Now,
    },
    /// The site's database could be promoted now: it is a standby, it answers, and it may be promoted.
    Promotable,
    /// The site's database follows by an archive alone: promoted, it first fetches all that the archive holds beyond it.
    Fetches,
    /// A copy of the data is there, recent enough, and nothing of it that was looked at is broken.
    Copy,
}

/// One fact that a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where it was read: `west pg_stat_wal_receiver.status`.
    pub what: SafeText,
    /// What was read.
    pub value: SafeText,
    /// When it was asked for; its age counts from here.
    pub at: Now,
}

/// What a rule found about one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// The probe whose readings were judged; `None` for what spans probes.
    pub probe: Option<ProbeId>,
    /// What it is about.
    pub subject: Subject,
    /// The column that it counts in.
    pub area: Area,
    /// The verdict.
    pub verdict: Verdict,
    /// What it is, for scripts.
    pub code: Code,
    /// One sentence for people, naming the thing and the proof. Without ages: those are the evidence's.
    pub sentence: SafeText,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// What to do next; always there when the verdict is not `Ready`.
    pub next: Option<SafeText>,
    /// What it means for a failover.
    pub failover: Bearing,
    /// What it proves for other judgements.
    pub proves: Option<Proof>,
    /// Named things that would not survive a failover, for the loss manifest.
    pub loses: Vec<SafeText>,
    /// Whether it follows from something that has a finding of its own, where that was found: causes lead among equals.
    #[serde(default)]
    pub follows: bool,
    /// The signal whose history shows this best, and the limit that it is held against, in the signal's unit.
    pub chart: Option<(Key, Option<f64>)>,
}

impl Finding {
    /// A finding without evidence yet.
    #[must_use]
    pub fn new(
        rule: RuleId,
        area: Area,
        subject: Subject,
        verdict: Verdict,
        code: impl Into<Code>,
        sentence: &str,
    ) -> Self {
        Self {
            rule,
            probe: None,
            subject,
            area,
            verdict,
            code: code.into(),
            sentence: SafeText::new(sentence),
            evidence: Vec::new(),
            next: None,
            failover: Bearing::None,
            proves: None,
            loses: Vec::new(),
            follows: false,
            chart: None,
        }
    }

    /// With the probe whose readings were judged.
    #[must_use]
    pub fn of(mut self, probe: &ProbeId) -> Self {
        self.probe = Some(probe.clone());
        self
    }

    /// With one more fact.
    #[must_use]
    pub fn because(mut self, what: &str, value: &dyn std::fmt::Display, at: Now) -> Self {
        // Most have one fact, and a vector that grows by itself makes room for four.
        self.evidence.reserve_exact(1);
        self.evidence.push(Evidence { what: SafeText::new(what), value: SafeText::new(&value.to_string()), at });
        self
    }

    /// With what to do next.
    #[must_use]
    pub fn next(mut self, what: &str) -> Self {
        self.next = Some(SafeText::new(what));
        self
    }

    /// With what it means for a failover.
    #[must_use]
    pub fn bearing(mut self, bearing: Bearing) -> Self {
        self.failover = bearing;
        self
    }

    /// With what it proves.
    #[must_use]
    pub const fn proving(mut self, proof: Proof) -> Self {
        self.proves = Some(proof);
        self
    }

    /// With one more thing that would not survive a failover.
    #[must_use]
    pub fn losing(mut self, what: &str) -> Self {
        self.loses.push(SafeText::new(what));
        self
    }

    /// As what follows from something else: its cause, where that was found, comes first.
    #[must_use]
    pub const fn following(mut self) -> Self {
        self.follows = true;
        self
    }

    /// With the signal whose history shows it best.
    #[must_use]
    pub fn charted(mut self, key: Key, limit: Option<f64>) -> Self {
        self.chart = Some((key, limit));
        self
    }

    /// When the oldest fact was asked for; `None` where nothing was ever read.
    #[must_use]
    pub fn oldest(&self) -> Option<Now> {
        self.evidence.iter().map(|e| e.at).min_by_key(|n| n.boot)
    }

    /// The identity of a finding over time: the same rule about the same thing.
    #[must_use]
    pub fn identity(&self) -> (RuleId, Option<ProbeId>, Subject) {
        (self.rule.clone(), self.probe.clone(), self.subject.clone())
    }
}
