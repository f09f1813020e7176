//! Turning application roles away, letting them in again, and seeing which of the two holds.

use std::sync::Arc;

use tokio::time::Instant;

use super::ids;
use super::place::{Place, Sent, Session, Who};
use crate::net::Net;
use crate::plan::{Now, SecretRef};
use crate::readiness::{Gap, Reason};
use crate::runbook::{Acted, Class, Condition, Held};
use crate::systems::postgres::options::steps::{BlockBy, quoted_name, quoted_text};
use crate::systems::postgres::parse::hba;

/// What the role that acts lacks is named by the statement that gives it; a superuser lacks nothing.
const MISSING: &[(BlockBy, &str, &str)] = &[
    (BlockBy::PgHba, "pg_has_role(r.oid, 'pg_read_server_files', 'usage')", "GRANT pg_read_server_files TO {}"),
    (BlockBy::PgHba, "pg_has_role(r.oid, 'pg_write_server_files', 'usage')", "GRANT pg_write_server_files TO {}"),
    (BlockBy::PgHba, "pg_has_role(r.oid, 'pg_read_all_settings', 'usage')", "GRANT pg_read_all_settings TO {}"),
    (
        BlockBy::PgHba,
        "has_function_privilege(r.oid, 'pg_read_file(text)', 'execute')",
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {}",
    ),
    (
        BlockBy::PgHba,
        "has_function_privilege(r.oid, 'pg_reload_conf()', 'execute')",
        "GRANT EXECUTE ON FUNCTION pg_reload_conf() TO {}",
    ),
    (BlockBy::Nologin, "r.rolcreaterole", "ALTER ROLE {} CREATEROLE"),
];
const SIGNAL: (&str, &str) = ("pg_has_role(r.oid, 'pg_signal_backend', 'usage')", "GRANT pg_signal_backend TO {}");

/// Texts as a list in SQL.
fn list(roles: &[String]) -> String {
    roles.iter().map(|r| quoted_text(r)).collect::<Vec<_>>().join(", ")
}

/// Client sessions of these roles; walsenders are none.
fn sessions_of(roles: &[String]) -> String {
    format!(
        "usename IN ({}) AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend'",
        list(roles)
    )
}

/// Ends the sessions of these roles.
fn end_sessions(roles: &[String]) -> String {
    format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {}", sessions_of(roles))
}

/// What would be done, a line each, for people to read before they approve.
pub(super) fn actions(by: BlockBy, roles: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    match by {
        BlockBy::PgHba => {
            out.push("-- before all other lines of pg_hba.conf (a copy goes to pg_hba.conf.lifeboat):".to_owned());
            out.extend(hba::lines(roles));
            out.push("SELECT pg_reload_conf()".to_owned());
        }
        BlockBy::Nologin => out.extend(roles.iter().map(|r| format!("ALTER ROLE {} NOLOGIN", quoted_name(r)))),
    }
    out.push(end_sessions(roles));
    out
}

/// What undoing it would do.
pub(super) fn reverse(by: BlockBy, roles: &[String]) -> Vec<String> {
    match by {
        BlockBy::PgHba => {
            let mut out = vec!["-- out of pg_hba.conf:".to_owned()];
            out.extend(hba::lines(roles));
            out.push("SELECT pg_reload_conf()".to_owned());
            out
        }
        BlockBy::Nologin => roles.iter().map(|r| format!("ALTER ROLE {} LOGIN", quoted_name(r))).collect(),
    }
}

/// What was read of the roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles {
    /// The statements that give the role that acts what it lacks; `None` where there is no such role.
    lacks: Option<Vec<String>>,
    /// Application roles that do not exist.
    unknown: Vec<String>,
    /// Application roles that may not log in now.
    nologin: Vec<String>,
    /// Client sessions of the application roles.
    pub(super) sessions: u64,
    /// Roles with client sessions that would not be turned away.
    pub(super) others: Vec<String>,
}

/// Reads what blocking needs, with the credentials that look.
pub(super) async fn roles(
    session: &mut Session,
    by: BlockBy,
    roles: &[String],
    act: &str,
    deadline: Instant,
) -> Result<Roles, Gap> {
    let needs: Vec<(&str, &str)> =
        MISSING.iter().filter(|(b, ..)| *b == by).map(|(_, t, g)| (*t, *g)).chain([SIGNAL]).collect();
    let tests: Vec<String> = needs.iter().map(|(test, _)| format!("r.rolsuper OR {test}")).collect();
    let own = quoted_text(act);
    let questions = [
        format!("SELECT {} FROM pg_roles r WHERE r.rolname = {own}", tests.join(", ")),
        format!("SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname IN ({})", list(roles)),
        format!("SELECT count(*) FROM pg_stat_activity WHERE {}", sessions_of(roles)),
        format!(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE backend_type = 'client backend' \
             AND usename NOT IN ({}, {own}, current_user)",
            list(roles)
        ),
    ];
    let tables = session.read(&questions, deadline).await?;
    let [own, known, sessions, others] = tables.as_slice() else { return Err(Reason::Malformed.into()) };
    let yes = |cell: Option<&Option<String>>| cell.is_some_and(|c| c.as_deref() == Some("t"));
    let quoted = quoted_name(act);
    let lacks = own.first().map(|row| {
        let missing = needs.iter().enumerate().filter(|(at, _)| !yes(row.get(*at)));
        missing.map(|(_, (_, grant))| grant.replace("{}", &quoted)).collect()
    });
    let name = |row: &Vec<Option<String>>| row.first().cloned().flatten();
    let names: Vec<String> = known.iter().filter_map(name).collect();
    Ok(Roles {
        lacks,
        unknown: roles.iter().filter(|r| !names.contains(r)).cloned().collect(),
        nologin: known.iter().filter(|row| !yes(row.get(1))).filter_map(name).collect(),
        sessions: sessions.first().and_then(name).and_then(|n| n.parse().ok()).unwrap_or(u64::MAX),
        others: others.iter().filter_map(name).collect(),
    })
}

impl Roles {
    /// Whether the role that acts may, and whether the application roles are what they are taken for.
    pub(super) fn conditions(&self, by: BlockBy, act: &str, now: Now) -> Vec<Condition> {
        let user = quoted_name(act);
        let (held, why) = match &self.lacks {
            None => (Held::Fails, format!("there is no such role: CREATE ROLE {user} LOGIN")),
            Some(lacks) if lacks.is_empty() => (Held::Holds, "it has all that this needs".to_owned()),
            Some(lacks) => (Held::Fails, lacks.join("; ")),
        };
        let what = format!("{user} may turn application roles away");
        let privilege = Condition::new(ids::PRIVILEGE, Class::Identity, &what, held, &why, now);
        // A role that could not log in before would be let in by undoing this.
        let odd: Vec<String> = self
            .unknown
            .iter()
            .map(|r| format!("there is no role {r}"))
            .chain(self.nologin.iter().filter(|_| by == BlockBy::Nologin).map(|r| format!("{r} may not log in")))
            .collect();
        let what = "the application roles exist, and log in";
        let why = if odd.is_empty() { "they do".to_owned() } else { odd.join("; ") };
        vec![privilege, Condition::new("roles", Class::Identity, what, Held::of(odd.is_empty()), &why, now)]
    }
}

/// Turns these roles away, or lets them in again, and says what became of it. Everything is sent in one message, once.
pub(super) async fn act(
    session: &mut Session,
    by: BlockBy,
    roles: &[String],
    away: bool,
    deadline: Instant,
) -> Result<String, Acted> {
    let not_sent = |why: &str| Acted::NotSent { why: why.into() };
    let mut message: Vec<String> = Vec::new();
    match by {
        BlockBy::PgHba => {
            let read = ["SELECT current_setting('hba_file'), pg_read_file(current_setting('hba_file'))".to_owned()];
            let tables = session.read(&read, deadline).await.map_err(|gap| not_sent(gap.detail.as_str()))?;
            let row = tables.first().and_then(|t| t.first());
            let cell = |at: usize| row.and_then(|r| r.get(at)).and_then(Option::as_deref);
            let (Some(path), Some(text)) = (cell(0), cell(1)) else {
                return Err(not_sent("pg_hba.conf cannot be read"));
            };
            let lines = hba::lines(roles);
            let other = if away { hba::fenced(text, &lines) } else { hba::unfenced(text, &lines) };
            if let Some(new) = other.map_err(|e| not_sent(&e.to_string()))? {
                // First to a file beside it: a full disk ends the message there, and leaves the file that counts alone.
                message.push(hba::write(text, &format!("{path}.lifeboat")));
                message.push(hba::write(&new, path));
            }
            message.push("SELECT pg_reload_conf()".to_owned());
            if away {
                // The postmaster reads it in its own time; a session that slips in before is ended with the others.
                message.push("SELECT pg_sleep(1)".to_owned());
            }
        }
        BlockBy::Nologin => {
            let word = if away { "NOLOGIN" } else { "LOGIN" };
            message.extend(roles.iter().map(|r| format!("ALTER ROLE {} {word}", quoted_name(r))));
        }
    }
    if away {
        message.push(end_sessions(roles));
    }
    // What `ALTER ROLE` does is undone with its transaction; what was written into a file is not.
    let undone = |done: usize| by == BlockBy::Nologin || done == 0;
    match session.send(&message.join("; "), deadline).await {
        Sent::Done(tables, _) => {
            let ended = tables.last().and_then(|t| t.first()?.first()?.clone()).filter(|_| away);
            Ok(ended.map_or_else(|| "done".to_owned(), |n| format!("done; {n} sessions were ended")))
        }
        Sent::No { gap, done, .. } if undone(done) => Err(Acted::Refused { said: gap.detail }),
        Sent::No { gap, .. } | Sent::Unclear(gap) => Err(Acted::Unclear { why: gap.detail, left: Box::default() }),
    }
}

/// What became of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// It was let in, or asked for a password: it may log in.
    In(&'static str),
    /// It was turned away, in the server's words.
    Turned(String),
    /// Nobody can say.
    Unknown(String),
}

/// Tries to log in as an application's role, on a fresh connection, which does nothing and ends at once.
pub(super) async fn log_in(
    place: &Place,
    net: &Arc<Net>,
    user: &str,
    secret: Option<&SecretRef>,
    deadline: Instant,
) -> Login {
    match place.open(net, Who::App(user, secret), deadline).await {
        Ok(session) => {
            session.close().await;
            Login::In("is let in")
        }
        Err(gap) => judged(&gap, secret.is_some()),
    }
}

/// What a failed login says. PostgreSQL asks `pg_hba.conf` before it asks for a password, and whether a role may log in
/// after it; both turn away with one code, and only the words tell a fence from a line that was never there.
fn judged(gap: &Gap, has_secret: bool) -> Login {
    let words = gap.detail.as_str();
    match gap.reason {
        Reason::NoAccess if words.contains("rejects connection") || words.contains("not permitted to log in") => {
            Login::Turned(words.to_owned())
        }
        Reason::SecretUnavailable if !has_secret => Login::In("is asked for its password"),
        Reason::WrongPassword => Login::In("is asked for its password, and the one at hand is wrong"),
        _ => Login::Unknown(words.to_owned()),
    }
}

/// Whether these roles are turned away (or let in again): each by a login of its own, and no session of theirs is left.
pub(super) async fn turned(
    place: &Place,
    net: &Arc<Net>,
    by: BlockBy,
    roles: &[String],
    app: Option<(&str, Option<&SecretRef>)>,
    away: bool,
    deadline: Instant,
) -> (Held, String) {
    let mut said = Vec::new();
    let mut all = Held::Holds;
    let mut note = |held: Held, words: String| {
        all = all.and(held);
        if held == Held::Holds {
            said.push(words);
        } else {
            said.insert(0, words);
        }
    };
    for role in roles {
        let login = app.filter(|(user, _)| user == role);
        // Whether a role may log in is known only after its password was right.
        if by == BlockBy::Nologin && login.is_none() {
            continue;
        }
        match log_in(place, net, role, login.and_then(|(_, secret)| secret), deadline).await {
            Login::In(words) => note(Held::of(!away), format!("{role} {words}")),
            Login::Turned(words) => note(Held::of(away), format!("{role} is turned away: {words}")),
            Login::Unknown(words) => note(Held::Unknown, format!("{role}: not known: {words}")),
        }
    }
    match state(place, net, roles, deadline).await {
        Err(gap) => note(Held::Unknown, format!("its sessions cannot be read: {gap}")),
        Ok((sessions, may)) => {
            if away {
                note(Held::of(sessions == 0), format!("{sessions} of their sessions are left"));
            }
            if by == BlockBy::Nologin {
                let fine = if away { may == 0 } else { may == roles.len() };
                note(Held::of(fine), format!("{may} of {} may log in", roles.len()));
            }
        }
    }
    (all, said.join("; "))
}

/// How many sessions these roles have, and how many of them may log in.
async fn state(place: &Place, net: &Arc<Net>, roles: &[String], deadline: Instant) -> Result<(u64, usize), Gap> {
    let mut session = place.open(net, Who::Looking, deadline).await?;
    let questions = [format!(
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE {}), \
         (SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname IN ({}))",
        sessions_of(roles),
        list(roles)
    )];
    let tables = session.read(&questions, deadline).await?;
    session.close().await;
    let row = tables.first().and_then(|t| t.first());
    let cell = |at: usize| row.and_then(|r| r.get(at)).and_then(Option::as_deref);
    let (Some(sessions), Some(may)) = (cell(0).and_then(|n| n.parse().ok()), cell(1).and_then(|n| n.parse().ok()))
    else {
        return Err(Reason::Malformed.into());
    };
    Ok((sessions, may))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_words_prove_a_fence() {
        let of = |reason, words: &str, secret| judged(&Gap::new(reason, words), secret);
        let turned = of(Reason::NoAccess, "pg_hba.conf rejects connection for host \"::1\"", false);
        assert!(matches!(turned, Login::Turned(_)));
        assert!(matches!(of(Reason::NoAccess, "role \"shop\" is not permitted to log in", true), Login::Turned(_)));
        // There may never have been a line for us: no word about others.
        assert!(matches!(of(Reason::NoAccess, "no pg_hba.conf entry for host", false), Login::Unknown(_)));
        assert!(matches!(of(Reason::TimedOut, "", false), Login::Unknown(_)));
        assert!(matches!(of(Reason::Refused, "", false), Login::Unknown(_)));
        assert!(matches!(of(Reason::SecretUnavailable, "asks for a password", false), Login::In(_)));
        assert!(matches!(of(Reason::SecretUnavailable, "environment variable X: not set", true), Login::Unknown(_)));
        assert!(matches!(of(Reason::WrongPassword, "", true), Login::In(_)));
    }

    #[test]
    fn what_is_lacking_is_named_by_the_statement_that_gives_it() {
        let now = crate::clock::now();
        let roles = Roles { lacks: Some(vec!["GRANT a TO \"x\"".into()]), ..Roles::default() };
        let [privilege, names] = <[Condition; 2]>::try_from(roles.conditions(BlockBy::PgHba, "x", now)).unwrap();
        assert_eq!((privilege.held, privilege.why.as_str()), (Held::Fails, "GRANT a TO \"x\""));
        assert_eq!(names.held, Held::Holds);
        let roles = Roles { lacks: Some(Vec::new()), nologin: vec!["shop".into()], ..Roles::default() };
        assert_eq!(roles.conditions(BlockBy::PgHba, "x", now)[1].held, Held::Holds);
        assert_eq!(roles.conditions(BlockBy::Nologin, "x", now)[1].held, Held::Fails);
        assert_eq!(Roles::default().conditions(BlockBy::PgHba, "x", now)[0].held, Held::Fails);
    }
}
