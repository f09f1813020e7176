//! From what was seen of an endpoint to observed values.

use std::time::Duration;

use super::options::{HttpOptions, JsonCheck};
use super::signals::{BANNER, CONTENT, ISSUER, NOT_LET_IN, OK, RESULT, STATUS, TOOK};
use crate::plan::{SafeText, Span};
use crate::readiness::{Gap, Reason, Row, Value};
use crate::systems::Look;

/// What came of one look.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// One of the outcomes, or the code of a reason.
    pub outcome: &'static str,
    /// In words.
    pub detail: String,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The certificate.
    pub certificate: Option<Shown>,
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Whom it names.
    pub subject: SafeText,
    /// Who signed it.
    pub issuer: SafeText,
    /// Until when it is good.
    pub not_after: chrono::DateTime<chrono::Utc>,
}

impl Seen {
    /// As a look that took so long.
    #[must_use]
    pub fn look(self, took: Duration) -> Look {
        let text = |t: Option<&SafeText>| t.map_or(Value::Null, |t| Value::Text(t.clone()));
        let certificate = self.certificate.as_ref();
        let row = Row::default()
            .with("outcome", Value::text(self.outcome))
            .with("detail", Value::text(&self.detail))
            .with("status", self.status.map_or(Value::Null, |s| Value::Int(i64::from(s))))
            .with("subject", text(certificate.map(|c| &c.subject)))
            .with("issuer", text(certificate.map(|c| &c.issuer)))
            .with("not_after", certificate.map_or(Value::Null, |c| Value::Time(c.not_after)));
        let mut look = Look::default();
        look.push(&RESULT, Ok(Value::Rows(vec![row])));
        look.push(&TOOK, Ok(Value::Span(Span(took))));
        look
    }
}

/// What the endpoint itself showed where it broke off over its certificate: a fact about it, and no failure to look.
#[must_use]
pub const fn over_certificate(reason: Reason) -> bool {
    matches!(reason, Reason::CertificateExpired | Reason::CertificateName | Reason::UnknownIssuer)
}

/// What is right of an answer by HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Right<'a> {
    /// The status; any from 200 to 299 without.
    pub status: Option<u16>,
    /// Words that the content must hold.
    pub contains: Option<&'a str>,
    /// A value that the content's JSON must hold.
    pub json: Option<&'a JsonCheck>,
}

/// Judges an answer to a probe against what is right.
///
/// # Errors
/// As [`judged`].
pub fn http(options: &HttpOptions, status: u16, body: &[u8]) -> Result<(&'static str, String), Gap> {
    let HttpOptions { status: right, contains, json, .. } = options;
    judged(Right { status: *right, contains: contains.as_deref(), json: json.as_ref() }, status, body)
}

/// Judges an answer by HTTP against what is right.
///
/// # Errors
/// `Malformed` where JSON is wanted and it is none.
pub fn judged(right: Right<'_>, status: u16, body: &[u8]) -> Result<(&'static str, String), Gap> {
    let is = right.status.map_or((200..300).contains(&status), |right| right == status);
    if !is {
        let outcome = if matches!(status, 401 | 403 | 407 | 429) { NOT_LET_IN } else { STATUS };
        let wanted = right.status.map_or_else(|| "200 to 299".to_owned(), |s| s.to_string());
        return Ok((outcome, format!("HTTP {status}, and {wanted} is right")));
    }
    if let Some(words) = right.contains
        && !holds(body, words.as_bytes())
    {
        return Ok((CONTENT, format!("the answer does not hold {words:?}")));
    }
    if let Some(check) = right.json {
        let json: serde_json::Value = serde_json::from_slice(body)
            .map_err(|e| Gap::new(Reason::Malformed, &format!("the answer is no JSON (line {})", e.line())))?;
        let found = json.pointer(&check.pointer);
        if !found.is_some_and(|value| check.equals.is(value)) {
            // Of what stands there only a word: an answer may hold anything.
            let shown = match found {
                None => "nothing".to_owned(),
                Some(serde_json::Value::Array(_)) => "a list".to_owned(),
                Some(serde_json::Value::Object(_)) => "an object".to_owned(),
                Some(value) => value.to_string().chars().take(80).collect(),
            };
            return Ok((CONTENT, format!("{} is {shown}, and {} is right", check.pointer, check.equals)));
        }
    }
    Ok((OK, format!("HTTP {status}")))
}

fn holds(body: &[u8], words: &[u8]) -> bool {
    words.is_empty() || body.windows(words.len()).any(|w| w == words)
}

/// Judges a greeting, as far as it came.
#[must_use]
pub fn banner(wanted: &str, came: &[u8]) -> (&'static str, String) {
    if came.starts_with(wanted.as_bytes()) {
        return (OK, format!("says {wanted:?}"));
    }
    let shown = String::from_utf8_lossy(came.get(..came.len().min(80)).unwrap_or_default()).into_owned();
    let what = if shown.is_empty() { "nothing".to_owned() } else { format!("{:?}", SafeText::new(&shown)) };
    (BANNER, format!("says {what}, and {wanted:?} is right"))
}

/// Judges who signed a certificate.
#[must_use]
pub fn issuer(wanted: Option<&str>, shown: &Shown) -> (&'static str, String) {
    match wanted {
        Some(wanted) if !shown.issuer.as_str().contains(wanted) => {
            (ISSUER, format!("signed by {}, and {wanted:?} is right", shown.issuer))
        }
        Some(_) | None => (OK, format!("signed by {}", shown.issuer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: serde_json::Value) -> HttpOptions {
        let mut all = serde_json::json!({ "at": {} });
        all.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn an_answer_is_held_against_what_is_right() {
        let of = |json, status, body: &str| http(&options(json), status, body.as_bytes()).map(|(outcome, _)| outcome);
        let none = || serde_json::json!({});
        assert_eq!(of(none(), 204, ""), Ok(OK));
        assert_eq!(of(none(), 301, ""), Ok(STATUS));
        assert_eq!(of(none(), 503, ""), Ok(STATUS));
        assert_eq!(of(none(), 401, ""), Ok(NOT_LET_IN));
        assert_eq!(of(serde_json::json!({ "status": 401 }), 401, ""), Ok(OK));
        assert_eq!(of(serde_json::json!({ "status": 200 }), 204, ""), Ok(STATUS));
        let words = || serde_json::json!({ "contains": "ready" });
        assert_eq!(of(words(), 200, "all ready now"), Ok(OK));
        assert_eq!(of(words(), 200, "rea"), Ok(CONTENT));
        let json = || serde_json::json!({ "json": { "pointer": "/db/lag", "equals": 0 } });
        assert_eq!(of(json(), 200, r#"{"db":{"lag":0}}"#), Ok(OK));
        assert_eq!(of(json(), 200, r#"{"db":{"lag":"0"}}"#), Ok(CONTENT));
        assert_eq!(of(json(), 200, r#"{"db":[]}"#), Ok(CONTENT));
        assert_eq!(of(json(), 200, "<html>").unwrap_err().reason, Reason::Malformed);
    }

    #[test]
    fn a_greeting_is_shown_safely() {
        assert_eq!(banner("220 ", b"220 mail"), (OK, "says \"220 \"".to_owned()));
        assert_eq!(banner("220", b"").1, "says nothing, and \"220\" is right");
        assert_eq!(banner("220", b"\x1b[31m5").1, "says \"5\", and \"220\" is right");
    }
}
