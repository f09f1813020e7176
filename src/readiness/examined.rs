//! What `doctor` found: whether this program can see what it must, which is another question than whether a failover
//! would work.

use crate::plan::SafeText;

use super::{Gap, Verdict, advice, advice_of};

/// One thing that was examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// `NotReady` keeps it from seeing; `Degraded` will, or takes more trust than it needs.
    pub verdict: Verdict,
    /// What it is, for scripts: `privilege-missing`.
    pub code: &'static str,
    /// One sentence for people.
    pub sentence: SafeText,
    /// What to do; always there when the verdict is not `Ready`.
    pub next: Option<SafeText>,
}

impl Examined {
    /// Something that is as it should be.
    #[must_use]
    pub fn well(code: &'static str, sentence: &str) -> Self {
        Self { verdict: Verdict::Ready, code, sentence: SafeText::new(sentence), next: None }
    }

    /// Something that is not, and what to do about it.
    #[must_use]
    pub fn bad(verdict: Verdict, code: &'static str, sentence: &str, next: &str) -> Self {
        Self { verdict, code, sentence: SafeText::new(sentence), next: Some(SafeText::new(next)) }
    }

    /// Something that could not be read from this server.
    #[must_use]
    pub fn gap(gap: &Gap, server: &str) -> Self {
        let sentence = if gap.detail.as_str().contains(server) { gap.detail.to_string() } else { gap.about(server) };
        Self::bad(gap.reason.verdict(), gap.reason.code(), &sentence, &advice(gap.reason, server))
    }

    /// Something that a probe of this kind could not read from this server.
    #[must_use]
    pub fn gap_of(kind: &str, gap: &Gap, server: &str) -> Self {
        Self { next: Some(SafeText::new(&advice_of(kind, gap.reason, server))), ..Self::gap(gap, server) }
    }
}

/// Days that a certificate or a password may still be good for without a word.
const SOON: i64 = 14;

/// Judges when something ends: a certificate, a password. `what` names it.
#[must_use]
pub fn expiry(what: &str, until: chrono::DateTime<chrono::Utc>, now: crate::plan::Now) -> Examined {
    let days = until.signed_duration_since(now.wall).num_days();
    let date = until.format("%Y-%m-%d");
    if until <= now.wall {
        return Examined::bad(Verdict::NotReady, "expired", &format!("{what} expired on {date}"), "renew it now");
    }
    if days < SOON {
        let sentence = format!("{what} expires in {days} days, on {date}");
        return Examined::bad(Verdict::Degraded, "expires-soon", &sentence, "renew it before that");
    }
    Examined::well("good-until", &format!("{what} is good until {date}"))
}
