//! From the options of a `postgres` probe to its lanes, or to everything that is wrong with them.

pub(super) mod check;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::conninfo::Params;
use super::options::{ConnText, Mode, PostgresOptions, Sequences};
use super::target::{Found, Target};
use super::{parse, signals};
use crate::plan::{LaneDecl, SafeText, SignalId, SiteId, Span, Strategy, Subject};
use crate::systems::{Declared, Fault, ReadContext};

fn fault(path: &[&str], what: impl Into<String>, right: impl Into<String>) -> Fault {
    Fault { path: path.iter().map(|p| (*p).to_owned()).collect(), what: what.into(), right: right.into() }
}

/// Reads the options of one probe.
///
/// # Errors
/// Every fault of meaning.
pub(super) fn read(context: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let options: PostgresOptions =
        serde_json::from_value(value).map_err(|e| vec![fault(&[], e.to_string(), "the keys of a postgres probe")])?;
    let mut faults = Vec::new();
    let expects = match options.mode {
        Mode::Replicating => parse::expected().into_iter().chain([signals::ACCEPTS]).collect(),
        Mode::Logical => parse::logical::expected().into_iter().chain([signals::ACCEPTS]).collect(),
        Mode::Restored => signals::RESTORED.iter().map(|s| s.id.clone()).collect(),
    };
    let lanes = site_lanes(context, &options.at, expects, &mut faults);
    sites(context, &options, &mut faults);
    match options.mode {
        Mode::Replicating => replicating(context, &options, &mut faults),
        Mode::Restored => restored(&options, &mut faults),
        Mode::Logical => logical(context, &options, &mut faults),
    }
    if options.mode != Mode::Logical {
        only_logical(&options, &mut faults);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let secrets = options.password.iter().map(|s| ("password".to_owned(), s.clone())).collect();
    Ok(Declared { options: Arc::new(options), lanes, secrets })
}

/// One lane for each site's server.
fn site_lanes(
    context: &ReadContext<'_>,
    at: &BTreeMap<String, ConnText>,
    expects: Arc<[SignalId]>,
    faults: &mut Vec<Fault>,
) -> Vec<LaneDecl> {
    let mut lanes = Vec::new();
    let mut taken: Vec<(String, String)> = Vec::new();
    for (site, text) in at {
        let checked = text.params().and_then(|params| {
            // What the environment may still give is no fault here.
            let found = Found { user: Some("somebody".to_owned()), ..Found::default() };
            let target = Target::new(&params, &found)?;
            Ok((params, target))
        });
        let (params, target): (Params, Target) = match checked {
            Ok(both) => both,
            Err(e) => {
                faults.push(fault(&["at", site], e.what, e.right));
                continue;
            }
        };
        if params.get("host").or(params.get("hostaddr")).is_some() {
            for host in &target.hosts {
                let shown = host.shown();
                if let Some((other, _)) = taken.iter().find(|(s, h)| *h == shown && s != site) {
                    let what = format!("{shown} is the server of site {other} too");
                    faults.push(fault(&["at", site], what, "each site's own server"));
                }
                taken.push((site.clone(), shown));
            }
        }
        lanes.push(LaneDecl {
            subject: Subject::site(SiteId::new(site)),
            server: SafeText::new(&params.server()),
            expects: expects.clone(),
        });
    }
    // Home first: the order in which people think of them.
    lanes.sort_by_key(|l| l.subject.site.as_ref() != Some(context.home));
    lanes
}

fn sites(context: &ReadContext<'_>, options: &PostgresOptions, faults: &mut Vec<Fault>) {
    sites_of(context, "at", options.at.keys(), faults);
    sites_of(context, "standby_names", options.standby_names.keys(), faults);
    if options.at.is_empty() {
        faults.push(fault(&["at"], "no server", "at = { site = \"postgres://...\" }"));
    }
    if options.act_as.as_ref().is_some_and(|a| a.user.is_empty()) {
        faults.push(fault(&["act_as", "user"], "no user", "the role that may promote"));
    }
}

/// Keys that are sites must be the plan's.
fn sites_of<'k>(
    context: &ReadContext<'_>,
    key: &str,
    sites: impl Iterator<Item = &'k String>,
    faults: &mut Vec<Fault>,
) {
    let names: Vec<&str> = context.sites.iter().map(SiteId::as_str).collect();
    for site in sites {
        if !names.contains(&site.as_str()) {
            faults.push(fault(&[key, site], format!("no site \"{site}\" in this plan"), names.join(", ")));
        }
    }
}

fn replicating(context: &ReadContext<'_>, options: &PostgresOptions, faults: &mut Vec<Fault>) {
    // What comes up from backups has a primary, and no standby.
    let alone = context.strategy == Strategy::BackupRestore && options.at.keys().all(|s| s == context.home.as_str());
    if options.at.len() == 1 && !alone {
        faults.push(fault(
            &["at"],
            "one server cannot replicate to itself",
            "a server for each of two sites, or mode = \"restored\"; one at home where the strategy is backup-restore",
        ));
    }
    if options.freshness_query.is_some() {
        faults.push(fault(
            &["freshness_query"],
            "only a restored database is dated by a query",
            "mode = \"restored\", or leave it out",
        ));
    }
    often_enough(context, faults);
}

/// A loss must be seen before it is too large.
fn often_enough(context: &ReadContext<'_>, faults: &mut Vec<Fault>) {
    let rpo = context.objectives.rpo.0;
    let slowest = context.interval.saturating_add(context.timeout);
    if !rpo.is_zero() && slowest > rpo / 2 {
        let what =
            format!("interval and timeout together are {}, more than half the RPO of {}", Span(slowest), Span(rpo));
        faults.push(fault(&["interval"], what, format!("at most {} together", Span(rpo / 2))));
    }
}

fn logical(context: &ReadContext<'_>, options: &PostgresOptions, faults: &mut Vec<Fault>) {
    if options.at.len() == 1 {
        faults.push(fault(
            &["at"],
            "one server cannot replicate to itself",
            "the publisher's site and the subscriber's",
        ));
    }
    for (key, given) in [
        ("freshness_query", options.freshness_query.is_some()),
        ("apply_delay", options.apply_delay.is_some()),
        ("standby_names", !options.standby_names.is_empty()),
    ] {
        if given {
            faults.push(fault(&[key], "says nothing in logical replication", "leave it out"));
        }
    }
    for (at, pattern) in options.unreplicated.iter().enumerate() {
        if globset::Glob::new(pattern).is_err() || !pattern.contains('.') {
            let what = format!("\"{pattern}\" names no tables");
            faults.push(fault(&["unreplicated", &at.to_string()], what, "schema.table, such as \"audit.*\""));
        }
    }
    often_enough(context, faults);
}

fn only_logical(options: &PostgresOptions, faults: &mut Vec<Fault>) {
    for (key, given) in [
        ("subscriptions", !options.subscriptions.is_empty()),
        ("unreplicated", !options.unreplicated.is_empty()),
        ("sequences", options.sequences != Sequences::default()),
    ] {
        if given {
            faults.push(fault(&[key], "only logical replication has it", "mode = \"logical\", or leave it out"));
        }
    }
}

fn restored(options: &PostgresOptions, faults: &mut Vec<Fault>) {
    match &options.freshness_query {
        None => faults.push(fault(
            &["freshness_query"],
            "nothing says how fresh a restored database is",
            "freshness_query = \"SELECT max(updated_at) FROM orders\"",
        )),
        Some(query) => {
            if let Err(what) = one_query(query) {
                faults.push(fault(&["freshness_query"], what, "one SELECT that gives one timestamp with time zone"));
            }
        }
    }
    if options.apply_delay.is_some() {
        faults.push(fault(&["apply_delay"], "a restored database applies nothing", "leave it out"));
    }
}

/// Whether a text is one query: begins with SELECT or WITH, and ends at the first semicolon that stands outside of
/// quotes and comments. The server holds it to reading: it runs in a read-only transaction.
pub(super) fn one_query(text: &str) -> Result<(), &'static str> {
    let mut depth = 0_i32;
    let mut first = String::new();
    let mut word_over = false;
    let mut ended = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("--") {
            rest.find('\n').map_or("", |at| rest.get(at..).unwrap_or_default())
        } else if rest.starts_with("/*") {
            after(rest, 2, "*/").ok_or("a comment does not end")?
        } else if c == '\'' {
            if first.eq_ignore_ascii_case("e") || rest.contains('\\') {
                return Err("a string with backslashes");
            }
            after(rest, 1, "'").ok_or("a string does not end")?
        } else if c == '"' {
            after(rest, 1, "\"").ok_or("a quoted name does not end")?
        } else if c == '$' {
            return Err("a dollar sign");
        } else {
            if ended && !c.is_whitespace() {
                return Err("more than one statement");
            }
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                ';' => ended = true,
                c if c.is_ascii_alphabetic() && !word_over => first.push(c),
                _ => {}
            }
            word_over = word_over || (!first.is_empty() && !c.is_ascii_alphabetic());
            // A closing parenthesis too many would end the one that the query is put into.
            if depth < 0 {
                return Err("a parenthesis too many");
            }
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        };
        // What ends the statement is cut off at the end of the text, and nowhere else.
        if ended {
            return Err("something after the semicolon");
        }
        word_over = word_over || !first.is_empty();
        rest = skipped;
    }
    if depth != 0 {
        return Err("a parenthesis is not closed");
    }
    if !first.eq_ignore_ascii_case("select") && !first.eq_ignore_ascii_case("with") {
        return Err("not a SELECT");
    }
    Ok(())
}

/// What follows `end` after the first `from` bytes.
fn after<'a>(text: &'a str, from: usize, end: &str) -> Option<&'a str> {
    let body = text.get(from..)?;
    body.get(body.find(end)? + end.len()..)
}

#[cfg(test)]
#[path = "declare_tests.rs"]
mod tests;
