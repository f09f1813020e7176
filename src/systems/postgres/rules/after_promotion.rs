//! What would bite after the standby was promoted.

use crate::plan::{Now, Plan, RuleId, SafeText, SignalId};
use crate::readiness::{About, Bearing, Facts, Finding, Gap, Rule, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::{COLLATIONS, MISSING_EXTENSIONS, SUBSCRIPTIONS, UNLOGGED};

use super::view::{Server, servers};

const ID: RuleId = RuleId::new("postgres.after-promotion");

/// Avoids trap 16 (promoted, but hanging) and reads the rest of what only shows after a promotion: on the standby,
/// beforehand, with the standby's own words. What is a fact of life and not a fault is `Ready`, and shows at the gate and in
/// the loss manifest only; trap 15: a read-only default is no fence, but it does stop applications after a promotion.
pub struct AfterPromotion;

impl Rule for AfterPromotion {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(standby) = Server::standby(facts, about, now) else { return Vec::new() };
        let mut found = Vec::new();
        found.extend(synchronous(standby));
        found.extend(read_only(standby));
        found.extend(archiving(standby));
        found.extend(timeline(standby));
        found.extend(scheduled(standby));
        found.extend(unlogged(standby));
        found.extend(named(standby));
        found
    }
}

fn make(standby: Server<'_>, part: &str, verdict: Verdict, code: &'static str, sentence: &str) -> Finding {
    let mut finding = standby.finding(ID, verdict, code, sentence);
    finding.subject = standby.part(part);
    finding
}

fn consent(what: &str) -> Bearing {
    Bearing::Consent(SafeText::new(what))
}

fn synchronous(standby: Server<'_>) -> Option<Finding> {
    let (names, at) = standby.setting("synchronous_standby_names")?;
    let site = standby.site;
    (!names.trim().is_empty()).then(|| {
        let why = format!("once promoted, commits in {site} hang until a synchronous standby is there");
        make(standby, "synchronous_standby_names", Verdict::Degraded, "would-hang", &why)
            .because(&format!("{site} synchronous_standby_names"), &names, at)
            .next(&format!(
                "on {}: ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()",
                standby.server()
            ))
            .bearing(consent(&why))
    })
}

fn read_only(standby: Server<'_>) -> Option<Finding> {
    let (setting, at) = standby.setting("default_transaction_read_only")?;
    let site = standby.site;
    (setting == "on").then(|| {
        let why = format!("once promoted, sessions in {site} are read-only unless they say otherwise");
        make(standby, "default_transaction_read_only", Verdict::Degraded, "would-be-read-only", &why)
            .because(&format!("{site} default_transaction_read_only"), &setting, at)
            .next(&format!(
                "on {}: ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf()",
                standby.server()
            ))
            .bearing(consent(&why))
    })
}

fn archiving(standby: Server<'_>) -> Option<Finding> {
    let (mine, at) = standby.setting("archive_mode")?;
    let (theirs, _) = standby.primary()?.setting("archive_mode")?;
    let site = standby.site;
    (mine == "off" && theirs != "off").then(|| {
        let why = format!("the primary archives its log, and {site} would not");
        make(standby, "archive_mode", Verdict::Degraded, "would-not-archive", &why)
            .because(&format!("{site} archive_mode"), &mine, at)
            .next("set archive_mode and archive_command on the standby as on the primary, then restart it")
    })
}

fn timeline(standby: Server<'_>) -> Option<Finding> {
    let (target, at) = standby.setting("recovery_target_timeline")?;
    let site = standby.site;
    (!matches!(target, "latest" | "")).then(|| {
        let why = format!("{site} would not follow another site's promotion");
        make(standby, "recovery_target_timeline", Verdict::Degraded, "would-not-follow", &why)
            .because(&format!("{site} recovery_target_timeline"), &target, at)
            .next("ALTER SYSTEM SET recovery_target_timeline = 'latest', then restart the standby")
    })
}

fn scheduled(standby: Server<'_>) -> Option<Finding> {
    let (libraries, at) = standby.setting("shared_preload_libraries")?;
    let site = standby.site;
    libraries.split(',').any(|l| l.trim().trim_matches('"') == "pg_cron").then(|| {
        let why = format!("once promoted, the jobs of pg_cron start in {site}");
        make(standby, "pg_cron", Verdict::Ready, "jobs-start", &why)
            .because(&format!("{site} shared_preload_libraries"), &libraries, at)
            .bearing(consent(&why))
    })
}

fn unlogged(standby: Server<'_>) -> Option<Finding> {
    let (count, at) = standby.int(&UNLOGGED)?;
    let site = standby.site;
    (count > 0).then(|| {
        let why = format!("unlogged tables are empty in {site} after a promotion");
        make(standby, "unlogged tables", Verdict::Ready, "unlogged", &why)
            .because(&format!("{site} unlogged tables"), &count, at)
            .losing(&format!("the content of {count} unlogged tables"))
    })
}

/// What comes as a list of names.
fn named(standby: Server<'_>) -> Vec<Finding> {
    let site = standby.site;
    let mut found = Vec::new();
    let list = |signal: SignalId, column: &str| -> Option<(Result<Vec<String>, Gap>, Now)> {
        let (rows, at) = standby.rows(&signal)?;
        let names = rows.iter().map(|r| Ok(r.text(column)?.map_or_else(String::new, |t| t.to_string())));
        Some((names.collect(), at))
    };
    match list(SUBSCRIPTIONS, "name") {
        Some((Ok(names), at)) if !names.is_empty() => {
            let why = format!("once promoted, subscriptions start in {site}: {}", names.join(", "));
            found.push(
                make(standby, "subscriptions", Verdict::Ready, "subscriptions-start", &why)
                    .because(&format!("{site} pg_subscription"), &names.join(", "), at)
                    .bearing(consent(&why)),
            );
        }
        Some((Err(gap), at)) => found.push(standby.senseless(ID, "pg_subscription", &gap, at)),
        Some((Ok(_), _)) | None => {}
    }
    match list(MISSING_EXTENSIONS, "name") {
        Some((Ok(names), at)) if !names.is_empty() => {
            let why = format!("{site} lacks the files of extensions that the database uses: {}", names.join(", "));
            found.push(
                make(standby, "extensions", Verdict::Degraded, "extensions-missing", &why)
                    .because(&format!("{site} pg_available_extension_versions"), &"no row", at)
                    .next("install the packages of these extensions on the standby's host")
                    .bearing(consent(&why)),
            );
        }
        Some((Err(gap), at)) => found.push(standby.senseless(ID, "pg_extension", &gap, at)),
        Some((Ok(_), _)) | None => {}
    }
    match list(COLLATIONS, "database") {
        Some((Ok(names), at)) if !names.is_empty() => {
            let why =
                format!("{site} sorts text by another version than the indexes were built with: {}", names.join(", "));
            found.push(
                make(standby, "collations", Verdict::Degraded, "collation-mismatch", &why)
                    .because(&format!("{site} pg_database_collation_actual_version()"), &"differs", at)
                    .next("use the primary's version of the C library or ICU; else REINDEX after a promotion, before writing")
                    .bearing(consent(&why)),
            );
        }
        Some((Err(gap), at)) => found.push(standby.senseless(ID, "collations", &gap, at)),
        Some((Ok(_), _)) | None => {}
    }
    found
}
