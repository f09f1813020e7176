//! The marker that whoever restored a backup leaves.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::plan::{Bytes, SafeText, Span};
use crate::readiness::{Gap, Reason};

/// The largest marker that is read.
pub const LARGEST: usize = 64 * 1_024;

/// What a marker says.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// When a backup was restored.
    pub at: DateTime<Utc>,
    /// Whether the marker's content said so; else its time of writing.
    pub said: bool,
    /// Which backup.
    pub backup: Option<SafeText>,
    /// How long it took.
    pub took: Option<Span>,
    /// How much was restored.
    pub bytes: Option<Bytes>,
}

#[derive(Deserialize)]
struct Content {
    at: DateTime<Utc>,
    backup: Option<String>,
    took: Option<Span>,
    bytes: Option<Bytes>,
}

/// Reads a marker. Fields that are not known are left alone: whoever writes it may add their own.
///
/// # Errors
/// `Malformed` where it is neither empty nor such JSON.
pub fn read(content: &[u8], modified: DateTime<Utc>) -> Result<Proof, Gap> {
    if content.iter().all(u8::is_ascii_whitespace) {
        return Ok(Proof { at: modified, said: false, backup: None, took: None, bytes: None });
    }
    let Content { at, backup, took, bytes } = serde_json::from_slice(content).map_err(|e| {
        let what = format!("the marker of the last restore is not what it should be: {e}; {{\"at\": \"2026-11-01T02:30:00Z\"}} is the least");
        Gap::new(Reason::Malformed, &what)
    })?;
    Ok(Proof { at, said: true, backup: backup.map(SafeText::from), took, bytes })
}

impl Proof {
    /// How fast that was, in bytes a second; `None` where it does not say.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let (took, bytes) = (self.took?.0.as_secs_f64(), self.bytes?.0);
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        (took > 0.0 && bytes > 0).then(|| bytes as f64 / took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers() {
        let modified = "2026-11-20T00:00:00Z".parse().unwrap();
        let of = |text: &str| read(text.as_bytes(), modified);
        assert_eq!(of("\n").unwrap(), Proof { at: modified, said: false, backup: None, took: None, bytes: None });
        let full = of(
            r#"{"at": "2026-11-01T02:30:00+02:00", "backup": "a.dump", "took": "10m", "bytes": 6000000, "by": "Ada"}"#,
        )
        .unwrap();
        assert_eq!(full.at, "2026-11-01T00:30:00Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(full.rate(), Some(10_000.0));
        assert_eq!(
            of(r#"{"at": "2026-11-01T02:30:00Z", "took": 600, "bytes": "1MB"}"#).unwrap().took,
            Some(Span::secs(600))
        );
        assert_eq!(of(r#"{"at": "2026-11-01T02:30:00Z", "took": 0, "bytes": 7}"#).unwrap().rate(), None);
        for bad in
            ["{}", "yes", "[]", r#"{"at": "yesterday"}"#, r#"{"at": "2026-11-01T02:30:00Z", "bytes": -1}"#, "\u{0}"]
        {
            assert_eq!(of(bad).unwrap_err().reason, Reason::Malformed, "{bad}");
        }
    }
}
