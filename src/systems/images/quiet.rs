//! Leaving a registry alone for as long as it asks (HTTP 429, RFC 6585 section 4, with `Retry-After`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock;
use crate::net::HttpAnswer;
use crate::plan::Now;
use crate::readiness::{Gap, Reason};

/// For how long a registry is left alone that does not say for how long; doubled each time.
const QUIET: Duration = Duration::from_secs(60);
/// The longest of those doubled pauses.
const MOST: Duration = Duration::from_secs(15 * 60);
/// The longest pause that a registry may ask for.
const ASKED_MOST: Duration = Duration::from_secs(24 * 3_600);

/// Whether one server may be asked now.
#[derive(Debug)]
pub struct Quiet {
    server: String,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    until: Option<Now>,
    next: Duration,
}

impl Quiet {
    /// It may.
    #[must_use]
    pub fn new(server: &str) -> Self {
        Self { server: server.to_owned(), state: State { until: None, next: QUIET }.into() }
    }

    /// Nothing, or that the server asked to be left alone until later.
    ///
    /// # Errors
    /// `TooManyRequests`, with until when.
    pub fn willing(&self) -> Result<(), Gap> {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.until {
            Some(until) if clock::now().boot < until.boot => Err(self.too_many(until)),
            Some(_) | None => Ok(()),
        }
    }

    /// Forgets earlier refusals: everything was answered.
    pub fn answered_all(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State { until: None, next: QUIET };
    }

    /// Leaves the server alone for as long as its answer says. Gives the gap that this leaves.
    pub fn hush(&self, answer: &HttpAnswer) -> Gap {
        let now = clock::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = answer.retry_after(now).map(|d| d.min(ASKED_MOST)).filter(|d| !d.is_zero());
        let until = now.plus(asked.unwrap_or(state.next));
        *state = State { until: Some(until), next: (state.next * 2).min(MOST) };
        self.too_many(until)
    }

    fn too_many(&self, until: Now) -> Gap {
        let (server, until) = (&self.server, until.wall.format("%H:%M:%SZ"));
        Gap::new(Reason::TooManyRequests, &format!("{server}: asked too often; it is left alone until {until}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(patience: Option<&'static str>) -> HttpAnswer {
        let header = |text| (http::header::RETRY_AFTER, http::HeaderValue::from_static(text));
        HttpAnswer {
            status: 429,
            headers: patience.map(header).into_iter().collect(),
            body: vec![],
            certificate: None,
            url: "https://registry.example.com/v2/".parse().unwrap(),
            asked: clock::now(),
        }
    }

    /// For how many seconds it is left alone.
    fn left_alone(quiet: &Quiet) -> u64 {
        let until = quiet.state.lock().unwrap().until.unwrap();
        until.since(clock::now()).as_secs_f64().round() as u64
    }

    #[test]
    fn it_is_left_alone_for_as_long_as_it_says_and_longer_each_time_where_it_does_not() {
        let quiet = Quiet::new("registry.example.com");
        assert!(quiet.willing().is_ok());
        let gap = quiet.hush(&answer(Some("17")));
        assert_eq!((gap.reason, left_alone(&quiet)), (Reason::TooManyRequests, 17));
        assert_eq!(quiet.willing().unwrap_err().reason, Reason::TooManyRequests);
        quiet.hush(&answer(Some("99999999")));
        assert_eq!(left_alone(&quiet), 86_400);
        quiet.answered_all();
        assert!(quiet.willing().is_ok());
        let each: Vec<u64> = (0..6)
            .map(|_| {
                quiet.hush(&answer(None));
                left_alone(&quiet)
            })
            .collect();
        assert_eq!(each, [60, 120, 240, 480, 900, 900]);
        quiet.hush(&answer(Some("0")));
        assert_eq!(left_alone(&quiet), 900, "no pause at all is none");
    }
}
