//! What `doctor` asks of a server beyond a look: version, each privilege by name, its clock, what expires.

use std::sync::Arc;

use tokio::time::Instant;

use super::client::{self, Connection};
use super::grants::{self, Reads};
use super::parse::Table;
use super::target::{Host, SslMode, Target};
use crate::clock;
use crate::net::{Net, ServerCertificate};
use crate::plan::Now;
use crate::readiness::{Examined, Gap, Reason, Verdict, expiry};

/// The majors whose views this program knows.
const MAJORS: std::ops::RangeInclusive<i64> = 13..=18;
/// A server's clock that is further off than this, in seconds, makes its own dates misleading.
const SKEW: f64 = 1.0;

/// Functions that a look calls, beside what the roles of `pg_monitor` give.
const FUNCTIONS: [&str; 4] =
    ["pg_control_system()", "pg_control_checkpoint()", "pg_control_recovery()", "pg_ls_archive_statusdir()"];
/// The predefined roles that a look needs, all of them in `pg_monitor` (PostgreSQL's documentation, "Predefined Roles").
const ROLES: [&str; 2] = ["pg_read_all_stats", "pg_read_all_settings"];

/// The question: one row.
fn question() -> String {
    let functions = FUNCTIONS.map(|f| format!("has_function_privilege('{f}', 'execute')")).join(", ");
    let roles = ROLES.map(|r| format!("pg_has_role('{r}', 'usage')")).join(", ");
    format!(
        "SELECT current_setting('server_version'), current_user, r.rolsuper, extract(epoch FROM r.rolvaliduntil), \
         extract(epoch FROM clock_timestamp()), s.ssl, s.version, pg_is_in_recovery(), {roles}, {functions} \
         FROM pg_roles r, pg_stat_ssl s WHERE r.rolname = current_user AND s.pid = pg_backend_pid()"
    )
}

/// Columns before the privileges.
const FIXED: usize = 8;

/// Asks over an open connection, for what a lane reads.
pub(super) async fn ask(connection: &mut Connection, reads: &Reads, server: &str, deadline: Instant) -> Vec<Examined> {
    connection.renew();
    let asked = clock::now();
    let told = match tokio::time::timeout_at(deadline, connection.tell(&question())).await {
        Ok(Ok(told)) => told,
        Ok(Err(gap)) => return vec![Examined::gap(&gap, server)],
        Err(_) => return vec![Examined::gap(&Reason::TimedOut.into(), server)],
    };
    if let Some(e) = &told.failed {
        return vec![Examined::gap(&super::faults::gap_of(e), server)];
    }
    let views = !matches!(reads, Reads::Query(_));
    let mut found = read(&told.tables, connection.settings_taken, views, (asked, clock::now()), server);
    if let Some((role, standby)) = who(&told.tables) {
        found.extend(grants::missing(connection, reads, (&role, standby), server, deadline).await);
    }
    found
}

/// Who looks, and whether it is a standby that was asked.
fn who(tables: &[Table]) -> Option<(String, bool)> {
    let row = tables.iter().flatten().next()?;
    Some((row.get(1)?.clone()?, row.get(7)?.as_deref() == Some("t")))
}

/// Judges the answer; `views` says whether the lane reads the server's own views.
fn read(
    tables: &[Table],
    settings_taken: bool,
    views: bool,
    (asked, answered): (Now, Now),
    server: &str,
) -> Vec<Examined> {
    let row = tables.iter().flatten().next().filter(|row| row.len() == FIXED + ROLES.len() + FUNCTIONS.len());
    let Some(row) = row else {
        return vec![Examined::gap(&Gap::new(Reason::Malformed, "another answer than was asked for"), server)];
    };
    let text = |n: usize| row.get(n).and_then(Option::as_deref);
    let yes = |n: usize| text(n) == Some("t");
    let number = |n: usize| text(n).and_then(|t| t.parse::<f64>().ok());
    let role = text(1).unwrap_or("the role that looks");
    let mut found = vec![version(text(0).unwrap_or_default()), superuser(role, yes(2))];
    let date = |seconds: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a date; infinity saturates and is no date")]
        chrono::DateTime::from_timestamp(seconds as i64, 0)
    };
    if let Some(until) = number(3).filter(|s| s.is_finite()).and_then(date) {
        found.push(expiry(&format!("{role}'s password"), until, answered));
    }
    found.push(number(4).map_or_else(
        || Examined::gap(&Gap::new(Reason::Malformed, "the server's clock is no number"), server),
        |theirs| skew(theirs, asked, answered),
    ));
    found.push(if yes(5) {
        Examined::well("encrypted", &format!("encrypted with {}", text(6).unwrap_or("TLS")))
    } else {
        let next = "add sslmode=verify-full to the connection string, if the network between is not yours alone";
        Examined::bad(Verdict::Degraded, "not-encrypted", "the connection is not encrypted", next)
    });
    if !settings_taken {
        let next = "point the probe past the pooler: behind one, role and positions may be another server's";
        found.push(Examined::bad(Verdict::Degraded, "pooler", "a pooler stands in between", next));
    }
    // A query of the user's needs what it reads, and none of the privileges that looking at a server needs.
    if views {
        found.extend(privileges(role, &|n| yes(FIXED + n), yes(7)));
    }
    found
}

fn version(text: &str) -> Examined {
    let major = text.split(['.', ' ']).next().and_then(|m| m.parse::<i64>().ok());
    let shown = text.split(' ').next().unwrap_or(text);
    match major {
        Some(major) if MAJORS.contains(&major) => Examined::well("version", &format!("PostgreSQL {shown}")),
        Some(_) | None => Examined::bad(
            Verdict::Degraded,
            "version-unknown",
            &format!("PostgreSQL {shown} is none that this program was tested with"),
            &format!("compare what it shows with the server's views; it knows {} to {}", MAJORS.start(), MAJORS.end()),
        ),
    }
}

fn superuser(role: &str, is: bool) -> Examined {
    if is {
        let next = format!(
            "look as a role that only has pg_monitor: CREATE ROLE lifeboat LOGIN IN ROLE pg_monitor; now it is {role}"
        );
        Examined::bad(Verdict::Degraded, "superuser", &format!("{role} is a superuser: more than looking needs"), &next)
    } else {
        Examined::well("role", &format!("looks as {role}, which is no superuser"))
    }
}

/// The server's clock against ours; it was read somewhere between asking and the answer.
fn skew(theirs: f64, asked: Now, answered: Now) -> Examined {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a date are exact enough in a double")]
    let seconds = |at: Now| at.wall.timestamp_micros() as f64 / 1e6;
    let off = if theirs < seconds(asked) {
        theirs - seconds(asked)
    } else if theirs > seconds(answered) {
        theirs - seconds(answered)
    } else {
        0.0
    };
    if off.abs() < SKEW {
        return Examined::well("clock", "its clock and this machine's agree within 1 s");
    }
    let (size, side) = (off.abs(), if off > 0.0 { "ahead of" } else { "behind" });
    let sentence = format!("its clock is {size:.1} s {side} this machine's");
    Examined::bad(
        Verdict::Degraded,
        "clock-skew",
        &sentence,
        "have both follow the same time (chrony, systemd-timesyncd)",
    )
}

/// Each privilege by name; only what is missing is bad, with the statement that gives it.
fn privileges(role: &str, has: &dyn Fn(usize) -> bool, standby: bool) -> Vec<Examined> {
    let mut found = Vec::new();
    let at = if standby { " on the primary, from where it is replicated" } else { "" };
    let quoted = format!("\"{}\"", role.replace('"', "\"\""));
    for (n, name) in ROLES.iter().enumerate().filter(|(n, _)| !has(*n)) {
        let _ = n;
        let next = format!("GRANT pg_monitor TO {quoted};{at} (or {name} alone)");
        found.push(Examined::bad(Verdict::NotReady, "privilege-missing", &format!("{role} lacks {name}"), &next));
    }
    for (_, name) in FUNCTIONS.iter().enumerate().filter(|(n, _)| !has(ROLES.len() + n)) {
        let next = format!("GRANT EXECUTE ON FUNCTION {name} TO {quoted};{at}");
        let sentence = format!("{role} may not execute {name}");
        found.push(Examined::bad(Verdict::NotReady, "privilege-missing", &sentence, &next));
    }
    if found.is_empty() {
        let all = ROLES.iter().chain(&FUNCTIONS).copied().collect::<Vec<_>>().join(", ");
        found.push(Examined::well("privileges", &format!("{role} has all that looking needs: {all}")));
    }
    found
}

/// When the certificate of a server ends; nothing where none is used. A connection of its own, which ends after the
/// handshake.
pub(super) async fn certificate(net: &Arc<Net>, target: &Target, host: &Host, deadline: Instant) -> Option<Examined> {
    if target.sslmode == SslMode::Disable {
        return None;
    }
    let read = tokio::time::timeout_at(deadline, client::certificate(net, target, host, deadline)).await;
    match read.unwrap_or_else(|_| Err(Reason::TimedOut.into())) {
        Ok(Some(ServerCertificate { subject, not_after, .. })) => {
            Some(expiry(&format!("the certificate of {subject}"), not_after, clock::now()))
        }
        Ok(None) => None,
        Err(gap) => Some(Examined::gap(&gap, &host.shown())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: i64) -> Now {
        let wall = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
        Now { wall, boot: crate::plan::BootTime(Duration::from_secs(u64::try_from(seconds).unwrap())) }
    }

    fn codes(row: &[&str]) -> Vec<(Verdict, &'static str)> {
        let row = row.iter().map(|c| (*c != "-").then(|| (*c).to_owned())).collect();
        read(&[vec![row]], true, true, (at(1_000), at(1_001)), "db:5432").iter().map(|e| (e.verdict, e.code)).collect()
    }

    const WELL: [&str; 14] =
        ["15.18 (Debian)", "lifeboat", "f", "-", "1000.5", "t", "TLSv1.3", "f", "t", "t", "t", "t", "t", "t"];

    #[test]
    fn a_server_that_can_be_seen_into() {
        let all = codes(&WELL);
        assert!(all.iter().all(|(v, _)| *v == Verdict::Ready), "{all:?}");
        assert_eq!(
            all.iter().map(|(_, c)| *c).collect::<Vec<_>>(),
            ["version", "role", "clock", "encrypted", "privileges"]
        );
    }

    #[test]
    fn each_fault_has_its_code() {
        for (column, value, code, verdict) in [
            (0, "12.3", "version-unknown", Verdict::Degraded),
            (2, "t", "superuser", Verdict::Degraded),
            (3, "900", "expired", Verdict::NotReady),
            (3, "90000", "expires-soon", Verdict::Degraded),
            (4, "990", "clock-skew", Verdict::Degraded),
            (4, "1003", "clock-skew", Verdict::Degraded),
            (4, "-", "malformed", Verdict::Unknown),
            (5, "f", "not-encrypted", Verdict::Degraded),
            (8, "f", "privilege-missing", Verdict::NotReady),
            (12, "f", "privilege-missing", Verdict::NotReady),
        ] {
            let mut row = WELL;
            row[column] = value;
            let all = codes(&row);
            assert!(all.contains(&(verdict, code)), "{column} {value}: {all:?}");
            assert_eq!(all.iter().filter(|(v, _)| *v != Verdict::Ready).count(), 1, "{column} {value}: {all:?}");
        }
        assert_eq!(codes(&WELL[..3]), [(Verdict::Unknown, "malformed")]);
    }

    #[test]
    fn what_is_missing_is_named_with_its_grant() {
        let all = privileges("dr \"x\"", &|n| n != 1 && n != 5, true);
        let next: Vec<&str> = all.iter().map(|e| e.next.as_ref().unwrap().as_str()).collect();
        assert_eq!(
            next,
            [
                "GRANT pg_monitor TO \"dr \"\"x\"\"\"; on the primary, from where it is replicated (or pg_read_all_settings alone)",
                "GRANT EXECUTE ON FUNCTION pg_ls_archive_statusdir() TO \"dr \"\"x\"\"\"; on the primary, from where it is replicated",
            ]
        );
    }
}
