//! What Patroni answers to a request that changes something: plain text, beside the changed configuration.

use crate::plan::SafeText;

/// Which request it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// `POST /switchover` or `POST /failover`.
    Move,
    /// `PATCH /config`.
    Config,
}

/// What the answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Patroni says that it is done.
    Done(SafeText),
    /// Patroni says no, before it did anything.
    Refused(SafeText),
    /// It may have been done.
    Unclear(SafeText),
}

/// Reads an answer (Patroni, "REST API"; `api.py`, `do_POST_failover`, `poll_failover_result` and `do_PATCH_config`).
///
/// A 503 is not clear even where it says `failed`: the leader may have stepped down by then. Whatever is changed is looked
/// for afterwards; this is what the call itself said. The body of a changed configuration is not repeated: it may hold
/// passwords.
#[must_use]
pub fn said(asked: Sent, status: u16, body: &[u8]) -> Said {
    let words = words(status, body);
    match (asked, status) {
        (Sent::Config, 200) => Said::Done("HTTP 200: the configuration is changed".into()),
        (Sent::Move, 200) => Said::Done(words),
        (Sent::Config, 409) => Said::Refused(
            "HTTP 409: somebody else changed the configuration at that moment; nothing was changed".into(),
        ),
        (_, 400..=499) => Said::Refused(words),
        (_, _) => Said::Unclear(words),
    }
}

/// The status, and the first line of a plain text. Pages of HTML say nothing more than the status.
fn words(status: u16, body: &[u8]) -> SafeText {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    let plain = !line.starts_with('<') && !line.starts_with('{');
    let cut: String = line.chars().take(300).collect();
    SafeText::new(&if plain && !cut.is_empty() { format!("HTTP {status}: {cut}") } else { format!("HTTP {status}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_that_was_seen() {
        let done = |text: &str| Said::Done(text.into());
        let refused = |text: &str| Said::Refused(text.into());
        let unclear = |text: &str| Said::Unclear(text.into());
        for (asked, status, body, means) in [
            (
                Sent::Move,
                200,
                "Successfully switched over to \"n2\"",
                done("HTTP 200: Successfully switched over to \"n2\""),
            ),
            (
                Sent::Move,
                200,
                "Failed over to \"n3\" instead of \"n2\"",
                done("HTTP 200: Failed over to \"n3\" instead of \"n2\""),
            ),
            (Sent::Move, 202, "Switchover scheduled", unclear("HTTP 202: Switchover scheduled")),
            (
                Sent::Move,
                400,
                "Switchover is possible only to a specific candidate in a paused state",
                refused("HTTP 400: Switchover is possible only to a specific candidate in a paused state"),
            ),
            (Sent::Move, 412, "leader name does not match", refused("HTTP 412: leader name does not match")),
            (Sent::Move, 503, "Switchover status unknown", unclear("HTTP 503: Switchover status unknown")),
            (Sent::Move, 503, "Switchover failed", unclear("HTTP 503: Switchover failed")),
            (Sent::Move, 401, "no auth header received", refused("HTTP 401: no auth header received")),
            (Sent::Move, 504, "<html>\n<b>Gateway Timeout</b>", unclear("HTTP 504")),
            (Sent::Config, 200, "{\"password\": \"hunter2\"}", done("HTTP 200: the configuration is changed")),
            (Sent::Config, 401, "not authenticated", refused("HTTP 401: not authenticated")),
            (
                Sent::Config,
                409,
                "<!DOCTYPE HTML>",
                refused("HTTP 409: somebody else changed the configuration at that moment; nothing was changed"),
            ),
            (Sent::Config, 503, "", unclear("HTTP 503")),
            (Sent::Config, 302, "x\u{1b}[31my", unclear("HTTP 302: xy")),
        ] {
            assert_eq!(said(asked, status, body.as_bytes()), means, "{status} {body}");
        }
    }
}
