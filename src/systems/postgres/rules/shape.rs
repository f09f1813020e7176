//! What a server says has the shape that the other rules judge.

use crate::plan::{Now, Plan, RuleId, SignalId};
use crate::readiness::signals::{FLUSHED, INSTANCE, RECEIVED, REPLAYED, SYSTEM_ID, TIMELINE, WRITABLE};
use crate::readiness::{About, Facts, Finding, Reason, Rule, Seen, Value, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::{
    ARCHIVER, COMMIT_OVERRIDES, PAUSE, RECEIVER, SENDERS, SETTINGS, SKEW, SLOTS, SYNC_WAITS,
};

use super::view::{Role, Server, servers};

const ID: RuleId = RuleId::new("postgres.shape");

/// A rule that needs a value and finds another kind of it (a NULL, a column that a pooler rewrote, a question that a managed
/// service answers with nothing: trap 12) stays silent; so this one says it. Without it a server that does not say whether it
/// takes writes would be neither primary nor standby, and nothing would be judged of it at all.
pub struct Shape;

impl Rule for Shape {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        Server::of(facts, about, now).and_then(judge).into_iter().collect()
    }
}

/// A kind of value.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Int,
    Number,
    Text,
    Lsn,
    Rows,
}

impl Kind {
    const fn fits(self, value: &Value) -> bool {
        matches!(
            (self, value),
            (Self::Bool, Value::Bool(_))
                | (Self::Int, Value::Int(_))
                | (Self::Number, Value::Number(_))
                | (Self::Text, Value::Text(_))
                | (Self::Lsn, Value::Lsn(_))
                | (Self::Rows, Value::Rows(_))
        )
    }
}

const ALL: [(SignalId, Kind); 6] = [
    (WRITABLE, Kind::Bool),
    (SYSTEM_ID, Kind::Text),
    (INSTANCE, Kind::Text),
    (TIMELINE, Kind::Int),
    (SKEW, Kind::Number),
    (SETTINGS, Kind::Rows),
];
const PRIMARY: [(SignalId, Kind); 6] = [
    (FLUSHED, Kind::Lsn),
    (SENDERS, Kind::Rows),
    (SLOTS, Kind::Rows),
    (COMMIT_OVERRIDES, Kind::Rows),
    (SYNC_WAITS, Kind::Rows),
    (ARCHIVER, Kind::Rows),
];
const STANDBY: [(SignalId, Kind); 4] =
    [(RECEIVED, Kind::Lsn), (REPLAYED, Kind::Lsn), (RECEIVER, Kind::Rows), (PAUSE, Kind::Text)];

/// Settings that a rule needs; without them it would stay silent.
const PRIMARY_SETTINGS: [&str; 2] = ["synchronous_standby_names", "synchronous_commit"];
const STANDBY_SETTINGS: [&str; 1] = ["recovery_min_apply_delay"];

fn judge(server: Server<'_>) -> Option<Finding> {
    let (role, settings): (&[(SignalId, Kind)], &[&str]) = match server.role() {
        Role::Primary => (&PRIMARY, &PRIMARY_SETTINGS),
        Role::Standby => (&STANDBY, &STANDBY_SETTINGS),
        Role::Unknown => (&[], &[]),
    };
    let odd = |what: &str, shown: &dyn std::fmt::Display, at: Now| {
        let why = format!("{}: {what} makes no sense: {shown}", server.server());
        server
            .finding(ID, Verdict::Unknown, Reason::Malformed.code(), &why)
            .because(&format!("{} {what}", server.site), shown, at)
            .next("check what answers there: a pooler, a proxy or a managed service may answer otherwise")
    };
    for (signal, kind) in ALL.iter().chain(role) {
        // What was not read at all, the rule `reach` says.
        if let Seen::Value { value, reading, .. } = server.seen(signal)
            && !kind.fits(value)
        {
            return Some(odd(signal.as_str(), value, reading.asked));
        }
    }
    if let Some((_, at)) = server.rows(&SETTINGS) {
        for name in settings {
            if server.setting(name).is_none() {
                return Some(odd(name, &"not among the settings", at));
            }
        }
    }
    None
}
