//! What may be asked of a cluster: another configuration, another leader.

use chrono::{DateTime, NaiveDateTime};
use serde_json::{Map, Value};

use super::{Manual, Scope};
use crate::practice::world::World;
use crate::practice::world::server::Process;
use crate::practice::world::time::{Moment, WorldClock};

/// An answer: its status and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said(pub u16, pub String);

impl Said {
    fn new(status: u16, text: &str) -> Self {
        Self(status, text.to_owned())
    }
}

/// A change of leader that has begun, and whose end whoever asked waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    member: String,
    leader: Option<&'static str>,
    candidate: Option<String>,
    action: &'static str,
}

impl World {
    /// `PATCH /config` at a member: what is null is taken away, objects are merged, the rest is replaced. Gives the whole.
    pub fn patroni_patch(&mut self, name: &str, change: &Map<String, Value>) -> Option<Value> {
        let scope = self.patroni.scope_of_mut(name)?;
        merge(&mut scope.config, change);
        Some(Value::Object(scope.config.clone()))
    }

    /// `POST /switchover` or `/failover` at a member (`api.py`, `do_POST_failover`): begins it.
    ///
    /// # Errors
    /// The answer, where it is answered at once.
    pub fn patroni_move(&mut self, name: &str, action: &'static str, body: &Map<String, Value>) -> Result<Begun, Said> {
        let clock = *self.clock();
        let runs: Vec<&'static str> = self
            .patroni
            .members()
            .map(|(m, _)| m)
            .filter(|m| self.server(m).is_some_and(|(_, s)| s.process == Process::Up))
            .collect();
        let scope = self.patroni.scope_of_mut(name).ok_or_else(|| Said::new(503, ""))?;
        let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
        let (leader, candidate) = (text("leader"), text("candidate").or_else(|| text("member")));
        let bad = |text: &str| Err(Said::new(400, text));
        if action == "failover" && candidate.is_none() {
            return bad("Failover could be performed only to a specific candidate");
        }
        if action == "switchover" && leader.is_none() {
            return bad("Switchover could be performed only from a specific leader");
        }
        let scheduled = match text("scheduled_at") {
            None => None,
            Some(_) if action == "failover" => return bad("Failover can't be scheduled"),
            Some(_) if scope.paused() => return bad("Can't schedule switchover in the paused state"),
            Some(at) => Some(schedule(&at, &clock)?),
        };
        if scope.paused() && candidate.is_none() {
            return bad("Switchover is possible only to a specific candidate in a paused state");
        }
        let action = if leader.is_some() { "switchover" } else { action };
        if leader == candidate {
            return bad("Switchover target and source are the same");
        }
        let why = scope.impossible(leader.as_deref(), candidate.as_deref(), action, &runs);
        if let Some(why) = why.filter(|_| scheduled.is_none()) {
            return Err(Said(412, why));
        }
        let later = scheduled.is_some();
        scope.failover = Some(Manual { from: leader, to: candidate.clone(), scheduled });
        if later {
            return Err(Said::new(202, "Switchover scheduled"));
        }
        Ok(Begun { member: name.to_owned(), leader: scope.leader, candidate, action })
    }

    /// What became of a change of leader (`api.py`, `poll_failover_result`); `None` while it is under way.
    #[must_use]
    pub fn patroni_moved(&self, begun: &Begun) -> Option<Said> {
        let scope = self.patroni.scope_of(&begun.member)?;
        let stem = begun.action.trim_end_matches("over");
        match scope.leader.filter(|l| Some(*l) != begun.leader) {
            Some(leader) => Some(Said(
                200,
                match begun.candidate.as_deref().filter(|c| *c != leader) {
                    None => format!("Successfully {stem}ed over to \"{leader}\""),
                    Some(other) => format!("{}ed over to \"{leader}\" instead of \"{other}\"", title(stem)),
                },
            )),
            None if scope.failover.is_none() => Some(Said(503, format!("{} failed", title(begun.action)))),
            None => None,
        }
    }

    /// `DELETE /switchover` at a member.
    pub fn patroni_unschedule(&mut self, name: &str) -> Said {
        let of = self.patroni.scope_of_mut(name);
        match of.and_then(|s| s.failover.take_if(|f| f.scheduled.is_some())) {
            Some(_) => Said::new(200, "scheduled switchover deleted"),
            None => Said::new(404, "no switchover is scheduled"),
        }
    }
}

impl Scope {
    /// Why nobody could take over, as Patroni says it before it tries (`api.py`, `is_failover_possible`). `runs`: those whose
    /// Patroni answers.
    fn impossible(&self, leader: Option<&str>, candidate: Option<&str>, action: &str, runs: &[&str]) -> Option<String> {
        if leader.is_some() && leader != self.leader {
            return Some("leader name does not match".to_owned());
        }
        let able = match candidate {
            Some(name) if !self.members.contains(&name) => return Some("candidate does not exists".to_owned()),
            Some(name) => runs.contains(&name),
            None => {
                let others: Vec<&&str> = self.members.iter().filter(|m| Some(**m) != self.leader).collect();
                if others.is_empty() {
                    return Some(format!("{action} is not possible: cluster does not have members except leader"));
                }
                others.into_iter().any(|m| runs.contains(m))
            }
        };
        (!able).then(|| format!("{action} is not possible: no good candidates have been found"))
    }
}

/// When a switchover is to be made (`api.py`, `parse_schedule`), and how that was written.
fn schedule(text: &str, clock: &WorldClock) -> Result<(Moment, String), Said> {
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| {
        if NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").is_ok() {
            Said::new(400, "Timezone information is mandatory for the scheduled switchover")
        } else {
            Said::new(422, "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601")
        }
    })?;
    let ahead = at.to_utc().signed_duration_since(clock.wall(clock.now())).to_std();
    let ahead = ahead.map_err(|_| Said::new(422, "Cannot schedule switchover in the past"))?;
    Ok((clock.now().plus(ahead), at.to_rfc3339()))
}

fn merge(into: &mut Map<String, Value>, change: &Map<String, Value>) {
    for (key, value) in change {
        if value.is_null() {
            into.shift_remove(key);
        } else if let (Some(old), Some(new)) = (into.get_mut(key).and_then(Value::as_object_mut), value.as_object()) {
            merge(old, new);
        } else {
            into.insert(key.clone(), value.clone());
        }
    }
}

fn title(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
