//! The primary's log reaches the archive.

use crate::plan::{Area, Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Gap, Row, Rule, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::ARCHIVER;

use super::view::{Server, servers};

const ID: RuleId = RuleId::new("postgres.archiver");

/// Failing is: the newest attempt failed, and segments wait. `failed_count` stays after a repair, and an old
/// `last_archived_time` is normal on an idle server: neither is judged. A failing archiver also keeps a fast shutdown
/// waiting (trap 9), so it stands in the way of a switchover. With `archive_mode = off` all reads zero: not configured,
/// which is no fault unless something follows by the archive.
pub struct Archiver;

impl Rule for Archiver {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(primary) = Server::writer(facts, about, now) else { return Vec::new() };
        let Some((rows, at)) = primary.rows(&ARCHIVER) else { return Vec::new() };
        let made = match rows {
            [row] => judge(primary, row, facts.plan, at),
            [..] => Err(Gap::new(crate::readiness::Reason::Malformed, "not one row")),
        };
        made.unwrap_or_else(|gap| Some(primary.senseless(ID, "pg_stat_archiver", &gap, at))).into_iter().collect()
    }
}

fn judge(primary: Server<'_>, row: &Row, plan: &Plan, at: Now) -> Result<Option<Finding>, Gap> {
    let site = primary.site;
    let follows = primary.others().find(|o| o.by_archive());
    let what = |column: &str| format!("{site} pg_stat_archiver.{column}");
    let make = |verdict, code, sentence: &str| primary.finding(ID, verdict, code, sentence);
    let Some(mode) = row.text("mode")? else {
        return Err(Gap::new(crate::readiness::Reason::Malformed, "mode is NULL"));
    };
    if mode.as_str() == "off" {
        return Ok(match follows {
            Some(standby) => Some(
                make(
                    Verdict::NotReady,
                    "archive-off",
                    &format!("{} follows by the archive, and {site} does not archive", standby.site),
                )
                .because(&format!("{site} archive_mode"), &mode, at)
                .next("set archive_mode = on and archive_command, then restart the primary"),
            ),
            None if plan.requires(Area::Backup) && !plan.probes.iter().any(|p| p.area == Area::Backup) => Some(
                make(Verdict::Ready, "archive-not-configured", &format!("{site} archives no log: not configured"))
                    .because(&format!("{site} archive_mode"), &mode, at),
            ),
            None => None,
        });
    }
    let failed = row.time("last_failed_time")?;
    let archived = row.time("last_archived_time")?;
    let ready = row.int("ready")?;
    let failing = failed.is_some_and(|f| archived.is_none_or(|a| f > a)) && ready != Some(0);
    if !failing {
        return Ok(Some(make(Verdict::Ready, "archiving", &format!("{site} archives its log")).because(
            &what("last_archived_wal"),
            &row.text("last_archived_wal")?.unwrap_or_default(),
            at,
        )));
    }
    let verdict = if follows.is_some() { Verdict::NotReady } else { Verdict::Degraded };
    let finding =
        make(verdict, "archiver-failing", &format!("{site} cannot archive its log: the newest attempt failed"))
            .because(&what("last_failed_wal"), &row.text("last_failed_wal")?.unwrap_or_default(), at)
            .because(&what("failed_count"), &row.int("failed_count")?.unwrap_or(0), at)
            .next(
                "run archive_command by hand for that segment; until it works pg_wal grows, and a fast shutdown waits",
            );
    Ok(Some(match ready {
        Some(n) => finding.because(&format!("{site} segments that wait"), &n, at),
        None => finding,
    }))
}
