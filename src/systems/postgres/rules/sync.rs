//! Whether every commit waits for the standby, and whether commits hang for want of one.

use std::time::Duration;

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Gap, Proof, Row, Rule, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::queries::BY;
use crate::systems::postgres::signals::{COMMIT_OVERRIDES, SENDERS, SETTINGS, SYNC_WAITS};

use super::view::{Matched, Role, Server, sender_of, servers};

const ID: RuleId = RuleId::new("postgres.sync");
/// A commit that waits this long for a standby hangs.
const HANGS: Duration = Duration::from_secs(10);

/// RPO 0 holds only if the *DR* node is synchronous and `synchronous_commit` is lowered nowhere that can be seen: in the
/// setting, for a role or for a database. With `ANY k (...)` a commit waits for any `k`, so a member of the quorum has every
/// commit only where all of the named must answer. A session may still lower it for itself; nobody can see that from
/// outside. A missing synchronous standby leaves a primary that answers while every commit hangs.
pub struct Sync;

impl Rule for Sync {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(primary) = Server::writer(facts, about, now) else { return Vec::new() };
        let Some((names, at)) = primary.setting("synchronous_standby_names") else { return Vec::new() };
        let mut findings: Vec<Finding> = hanging(primary, names, at).into_iter().collect();
        for standby in primary.others().filter(|o| o.role() != Role::Primary) {
            findings.extend(zero(primary, standby, names, at));
        }
        findings
    }
}

/// Commits that hang.
fn hanging(primary: Server<'_>, names: &str, at: Now) -> Option<Finding> {
    let site = primary.site;
    if names.trim().is_empty() {
        return None;
    }
    let next = "ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf(); or bring the standby back";
    let (rows, then) = primary.rows(&SENDERS)?;
    let any = |row: &Row| -> Result<bool, Gap> {
        Ok(row.text("sync_state")?.is_some_and(|s| matches!(s.as_str(), "sync" | "quorum")))
    };
    let present: Result<Vec<bool>, Gap> = rows.iter().map(any).collect();
    match present {
        Err(gap) => return Some(primary.senseless(ID, "pg_stat_replication", &gap, then)),
        Ok(present) if !present.contains(&true) => {
            return Some(
                primary
                    .finding(
                        ID,
                        Verdict::NotReady,
                        "sync-missing",
                        "no synchronous standby is there: every commit hangs",
                    )
                    .because(&format!("{site} synchronous_standby_names"), &names, at)
                    .because(&format!("{site} pg_stat_replication.sync_state"), &"neither sync nor quorum", then)
                    .next(next),
            );
        }
        Ok(_) => {}
    }
    let (waits, then) = primary.rows(&SYNC_WAITS)?;
    let [row] = waits else {
        let gap = Gap::new(crate::readiness::Reason::Malformed, "not one row");
        return Some(primary.senseless(ID, "waits for SyncRep", &gap, then));
    };
    match (row.int("count"), row.span("oldest")) {
        (Ok(Some(count)), Ok(oldest)) => {
            let oldest = oldest.filter(|o| count > 0 && o.0 > HANGS)?;
            Some(
                primary
                    .finding(ID, Verdict::NotReady, "sync-waits", "commits hang: they wait for a synchronous standby")
                    .because(&format!("{site} sessions that wait for SyncRep"), &count, then)
                    .because(&format!("{site} the longest waits for"), &oldest.coarse(), then)
                    .next(next),
            )
        }
        (Ok(None), _) => None,
        (Err(gap), _) | (_, Err(gap)) => Some(primary.senseless(ID, "waits for SyncRep", &gap, then)),
    }
}

/// Whether every commit waits for this standby. Silent where the plan does not ask for it and it is not so.
fn zero(primary: Server<'_>, standby: Server<'_>, names: &str, at: Now) -> Option<Finding> {
    let site = standby.site;
    match proof(primary, standby, names) {
        Ok(()) => Some(
            standby
                .finding(ID, Verdict::Ready, "synchronous", &format!("every commit waits until {site} has it"))
                .because(&format!("{} synchronous_standby_names", primary.site), &names, at)
                .proving(Proof::ZeroLoss { seen: at, since: since(primary, at) }),
        ),
        Err(Some(why)) if primary.rpo_is_zero() => Some(
            standby
                .finding(ID, Verdict::NotReady, "not-synchronous", &format!("RPO is 0, and not every commit waits for {site}: {why}"))
                .because(&format!("{} synchronous_standby_names", primary.site), &names, at)
                .next("set synchronous_standby_names to the standby's name and synchronous_commit to on, and lower it nowhere"),
        ),
        // Not read: the rule `reach` says so, and nothing is proven.
        Err(_) => None,
    }
}

/// The first look since which every commit was seen to wait: nothing that decides it has changed since.
fn since(primary: Server<'_>, at: Now) -> Now {
    let held = [&SETTINGS, &COMMIT_OVERRIDES].map(|signal| primary.held_since(signal).unwrap_or(at));
    held.into_iter().max_by_key(|since| since.boot).unwrap_or(at)
}

/// # Errors
/// The reason why it is not so; `None` where something was not read.
fn proof(primary: Server<'_>, standby: Server<'_>, names: &str) -> Result<(), Option<String>> {
    let level = |s: &str| matches!(s, "on" | "remote_apply");
    let no = |why: &str| Err(Some(why.to_owned()));
    let (commit, _) = primary.setting("synchronous_commit").ok_or(None)?;
    if let Some((_, by)) = commit.split_once(BY) {
        return no(&format!("synchronous_commit is set for the {by} that looks, which hides what others get"));
    }
    if !level(commit) {
        return no(&format!("synchronous_commit is {commit}"));
    }
    let (overrides, _) = primary.rows(&COMMIT_OVERRIDES).ok_or(None)?;
    for row in overrides {
        match (row.text("scope"), row.text("setting")) {
            (_, Ok(Some(setting))) if level(setting.as_str()) => {}
            (Ok(Some(scope)), Ok(Some(setting))) => return no(&format!("synchronous_commit is {setting} for {scope}")),
            (_, _) => return no("where synchronous_commit is set makes no sense"),
        }
    }
    if standby.setting("fsync").ok_or(None)?.0 != "on" {
        return no("fsync is off on the standby");
    }
    let (Ok(Matched::Rows(rows)), _) = sender_of(primary, standby).ok_or(None)? else {
        return no("the primary has no sender that is known to be its");
    };
    // Several standbys may carry one name: then fewer than all of them make a quorum.
    let (senders, _) = primary.rows(&SENDERS).ok_or(None)?;
    let quorum = senders.iter().filter(|r| matches!(r.text("sync_state"), Ok(Some(s)) if s.as_str() == "quorum"));
    let quorum = quorum.count();
    for row in rows {
        let Ok(Some(state)) = row.text("sync_state") else { return no("its sync_state could not be read") };
        match state.as_str() {
            "sync" => {}
            "quorum" if all_must_answer(names, quorum) => {}
            "quorum" => return no("it is one of a quorum, and a commit may wait for the others"),
            other => return no(&format!("its sync_state is {other}")),
        }
    }
    Ok(())
}

/// Whether `ANY k (...)` waits for all that it names, and for all `there` are of them. A `*` names any number.
fn all_must_answer(names: &str, there: usize) -> bool {
    let names = names.trim();
    let Some((keyword, rest)) = names.split_at_checked(3) else { return false };
    if !keyword.eq_ignore_ascii_case("any") {
        return false;
    }
    let Some((count, list)) = rest.split_once('(') else { return false };
    let (Ok(count), Some(list)) = (count.trim().parse::<usize>(), list.trim_end().strip_suffix(')')) else {
        return false;
    };
    !list.contains(['*', '"']) && count >= list.split(',').count().max(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_quorum_has_every_commit_only_where_all_must_answer() {
        assert!(all_must_answer("ANY 2 (a, b)", 2));
        assert!(all_must_answer("any 1 (west)", 1));
        assert!(!all_must_answer("ANY 1 (west)", 2), "two standbys of one name");
        for not in ["ANY 1 (a, b)", "ANY 2 (*)", "FIRST 2 (a, b)", "a, b", "", "ANY 2 (\"a,b\", c)", "ANY", "ANY x (a)"]
        {
            assert!(!all_must_answer(not, 1), "{not}");
        }
    }
}
