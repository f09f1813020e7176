//! What a step re-reads of a server before and after it acts, and what its control file says.

use std::time::Duration;

use super::{Table, malformed, one};
use crate::plan::{Bytes, Lsn};
use crate::readiness::Gap;

/// Who and where a server is: one row.
pub const IDENTITY: &str = "SELECT s.system_identifier, pg_is_in_recovery(), extract(epoch FROM pg_postmaster_start_time()), \
     CASE WHEN pg_is_in_recovery() THEN greatest((SELECT received_tli FROM pg_stat_wal_receiver), c.timeline_id, \
     r.min_recovery_end_timeline) ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END, \
     CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) \
     ELSE pg_current_wal_flush_lsn() END, current_user \
     FROM pg_control_system() s, pg_control_checkpoint() c, pg_control_recovery() r";

/// Who and where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The cluster's system identifier.
    pub system: String,
    /// Whether it is in recovery.
    pub recovery: bool,
    /// When its postmaster was started, in seconds since 1970, as the server prints it.
    pub started: String,
    /// The timeline that it writes, or follows.
    pub timeline: i64,
    /// A standby: up to where it holds the log. A primary: up to where it has flushed it. Promotion replays all that was
    /// received, and after a restart the received position alone is too low: the greater of received and replayed.
    pub position: Lsn,
    /// The role that asked.
    pub user: String,
}

impl Seen {
    /// Whether both are one running server: the same cluster's data, and the same start of the same postmaster.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.system == other.system && self.started == other.started
    }

    /// For people: `standby, timeline 4, at 0/3000148`.
    #[must_use]
    pub fn words(&self) -> String {
        let role = if self.recovery { "standby" } else { "primary" };
        format!("{role}, timeline {}, at {}", self.timeline, self.position)
    }
}

/// Reads the answer to [`IDENTITY`].
///
/// # Errors
/// `Malformed`.
pub fn seen(table: &Table) -> Result<Seen, Gap> {
    let cells = one(table)?;
    let missing = || malformed("a column of the server's identity is empty");
    let text = |at: usize| -> Result<String, Gap> { Ok(cells.text(at)?.ok_or_else(missing)?.to_owned()) };
    Ok(Seen {
        system: text(0)?,
        recovery: cells.bool(1)?.ok_or_else(missing)?,
        started: text(2)?,
        timeline: cells.int(3)?.ok_or_else(missing)?,
        position: cells.lsn(4)?.ok_or_else(missing)?,
        user: text(5)?,
    })
}

/// What a server must have for its promotion, beside its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotable {
    /// `not paused`, `pause requested` or `paused`; `None` on a primary.
    pub pause: Option<String>,
    /// `synchronous_standby_names`.
    pub sync_names: String,
    /// Standbys that stream from it, by `application_name`.
    pub standbys: Vec<String>,
    /// Whether the role that acts may log in; `None` where there is no such role.
    pub may_log_in: Option<bool>,
    /// Whether it may execute `pg_promote`.
    pub may_promote: bool,
    /// Whom it streams from now.
    pub upstream: Upstream,
    /// Whether its sessions are read-only unless they say otherwise.
    pub read_only: bool,
}

/// What a standby's `pg_stat_wal_receiver` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// It streams from nobody.
    Nobody,
    /// It streams from this host, and heard from there so long ago.
    Streams(String, Duration),
    /// There is a receiver, of which this role may not see more (without `pg_monitor` its columns are NULL), or which has
    /// not heard anything yet.
    Unseen,
}

/// The question that [`promotable`] reads: one row. `role` is the role that acts, quoted as a text.
#[must_use]
pub fn promotable_question(role: &str, version: i64) -> String {
    let pause = if version >= 140_000 {
        "pg_get_wal_replay_pause_state()"
    } else {
        "CASE WHEN pg_is_wal_replay_paused() THEN 'paused' ELSE 'not paused' END"
    };
    format!(
        "SELECT CASE WHEN pg_is_in_recovery() THEN {pause} END, current_setting('synchronous_standby_names'), \
         (SELECT string_agg(application_name, chr(10)) FROM pg_stat_replication WHERE state = 'streaming'), \
         (SELECT rolcanlogin FROM pg_roles WHERE rolname = {role}), \
         (SELECT has_function_privilege(oid, 'pg_promote(boolean, integer)', 'execute') FROM pg_roles WHERE rolname = {role}), \
         (SELECT coalesce(status, 'unseen') FROM pg_stat_wal_receiver), \
         (SELECT coalesce(sender_host, 'its primary') FROM pg_stat_wal_receiver), \
         (SELECT extract(epoch FROM clock_timestamp() - last_msg_receipt_time) FROM pg_stat_wal_receiver), current_setting('default_transaction_read_only')"
    )
}

/// Reads the answer to [`promotable_question`].
///
/// # Errors
/// `Malformed`.
pub fn promotable(table: &Table) -> Result<Promotable, Gap> {
    let cells = one(table)?;
    Ok(Promotable {
        pause: cells.text(0)?.map(str::to_owned),
        sync_names: cells.text(1)?.unwrap_or_default().trim().to_owned(),
        standbys: cells.text(2)?.unwrap_or_default().lines().map(str::to_owned).collect(),
        may_log_in: cells.bool(3)?,
        may_promote: cells.bool(4)?.unwrap_or(false),
        upstream: upstream(cells.text(5)?, cells.text(6)?, heard(cells.text(7)?)),
        read_only: cells.text(8)? == Some("on"),
    })
}

fn upstream(status: Option<&str>, from: Option<&str>, heard: Option<Duration>) -> Upstream {
    match (status, from, heard) {
        (Some("streaming"), Some(from), Some(ago)) => Upstream::Streams(from.to_owned(), ago),
        (Some("streaming" | "unseen"), ..) => Upstream::Unseen,
        // It tries, waits or stops.
        (Some(_) | None, ..) => Upstream::Nobody,
    }
}

/// Seconds as PostgreSQL writes them; a clock that was set back makes them negative.
fn heard(seconds: Option<&str>) -> Option<Duration> {
    let seconds: f64 = seconds?.parse().ok()?;
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

/// Whether commits would wait for standbys that are not there: how many they wait for, and how many of the named stream
/// (PostgreSQL's documentation, `synchronous_standby_names`). `None` where they wait for none.
#[must_use]
pub fn sync_wait(names: &str, streaming: &[String]) -> Option<(usize, usize)> {
    let names = names.trim();
    if names.is_empty() {
        return None;
    }
    let (head, list) = match names.split_once('(') {
        Some((head, rest)) => (head.trim(), rest.trim_end().trim_end_matches(')')),
        None => ("", names),
    };
    let number = head.rsplit(char::is_whitespace).next().unwrap_or_default();
    let wanted = number.parse::<usize>().unwrap_or(1);
    let named: Vec<String> = list.split(',').map(|n| n.trim().trim_matches('"').to_ascii_lowercase()).collect();
    let fits = |s: &&String| named.iter().any(|n| n == "*" || *n == s.to_ascii_lowercase());
    Some((wanted, streaming.iter().filter(fits).count()))
}

/// What `pg_controldata` prints of a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The system identifier.
    pub system: String,
    /// `shut down`, `shut down in recovery`, `in production`, ...
    pub state: String,
    /// Where its last checkpoint stands: of a server that was shut down, the last record that it wrote.
    pub checkpoint: Lsn,
}

impl Control {
    /// Whether a primary was shut down in good order: then its last record is that checkpoint. A standby that was says so in
    /// other words, and nothing of its primary.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.state == "shut down"
    }

    /// Whether it is a standby's.
    #[must_use]
    pub fn is_standbys(&self) -> bool {
        matches!(self.state.as_str(), "shut down in recovery" | "in archive recovery")
    }

    /// How much of its log a standby lacks that holds the log up to `held`: nothing, once it holds more than where the
    /// shutdown checkpoint begins, for every record before that one is then there.
    #[must_use]
    pub fn missing(&self, held: Lsn) -> Bytes {
        if held > self.checkpoint { Bytes(0) } else { Bytes(self.checkpoint.ahead_of(held).0.max(1)) }
    }
}

/// Reads what `pg_controldata` printed, in C's language; `None` where it is something else.
#[must_use]
pub fn control(text: &str) -> Option<Control> {
    let value = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name))?;
        Some(line.strip_prefix(':')?.trim().to_owned())
    };
    Some(Control {
        system: value("Database system identifier")?,
        state: value("Database cluster state")?,
        checkpoint: value("Latest checkpoint location")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Table {
        vec![cells.iter().map(|c| (*c != "-").then(|| (*c).to_owned())).collect()]
    }

    #[test]
    fn an_identity_is_whole_or_none() {
        let of = |cells: &[&str]| seen(&row(cells));
        let east = of(&["7", "f", "1000.5", "1", "0/3000148", "lifeboat"]).unwrap();
        assert_eq!(east.words(), "primary, timeline 1, at 0/3000148");
        let west = of(&["7", "t", "1000.6", "1", "0/3000100", "lifeboat"]).unwrap();
        assert_eq!(west.words(), "standby, timeline 1, at 0/3000100");
        assert!(!east.is(&west) && east.is(&Seen { recovery: true, ..east.clone() }));
        assert!(of(&["7", "-", "1000.5", "1", "0/3000148", "u"]).is_err());
        assert!(of(&["7", "f", "1000.5"]).is_err());
        assert!(seen(&Vec::new()).is_err());
    }

    #[test]
    fn who_is_waited_for() {
        let up = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(sync_wait("", &up(&["a"])), None);
        assert_eq!(sync_wait("dr1", &[]), Some((1, 0)));
        assert_eq!(sync_wait("dr1, dr2", &up(&["DR2"])), Some((1, 1)));
        assert_eq!(sync_wait("FIRST 2 (a, \"b\", c)", &up(&["b"])), Some((2, 1)));
        assert_eq!(sync_wait("ANY 1 (*)", &up(&["x", "y"])), Some((1, 2)));
        assert_eq!(sync_wait("2(a,b)", &up(&["a", "b"])), Some((2, 2)));
    }

    #[test]
    fn a_control_file() {
        let text = "pg_control version number:            1300\n\
            Database system identifier:           7713314054718077633\n\
            Database cluster state:               shut down\n\
            Latest checkpoint location:           0/17682F8\n";
        let read = control(text).unwrap();
        assert!(read.is_shut_down());
        assert_eq!(read.missing(Lsn(0x17682F8)), Bytes(1), "the checkpoint itself is not there");
        assert_eq!(read.missing(Lsn(0x1768370)), Bytes(0));
        assert_eq!(read.missing(Lsn(0x1768000)), Bytes(0x2F8));
        assert!(!control(&text.replace("shut down", "in production")).unwrap().is_shut_down());
        assert_eq!(control("inactive\n"), None);
    }

    #[test]
    fn what_a_promotion_needs() {
        let read =
            promotable(&row(&["not paused", "", "a\nb", "t", "f", "streaming", "db.east", "1.5", "off"])).unwrap();
        assert_eq!(read.standbys, ["a", "b"]);
        assert_eq!(read.upstream, Upstream::Streams("db.east".to_owned(), Duration::from_millis(1_500)));
        assert!(!read.read_only);
        assert_eq!((read.may_log_in, read.may_promote), (Some(true), false));
        let read = promotable(&row(&["-", "x", "-", "-", "-", "-", "-", "-", "on"])).unwrap();
        assert_eq!((read.may_log_in, read.upstream, read.read_only), (None, Upstream::Nobody, true));
        // A missing permission is no silence.
        assert_eq!(upstream(Some("unseen"), Some("its primary"), None), Upstream::Unseen);
        assert_eq!(upstream(Some("waiting"), Some("db.east"), heard(Some("1"))), Upstream::Nobody);
    }
}
