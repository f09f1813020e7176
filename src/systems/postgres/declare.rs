//! From the options of a `postgres` probe to its lanes, or to everything that is wrong with them.

use std::sync::Arc;

use super::conninfo::Params;
use super::options::{Mode, PostgresOptions};
use super::target::{Found, Target};
use super::{parse, signals};
use crate::plan::{LaneDecl, SafeText, SiteId, Span, Subject};
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
    let lanes = lanes(context, &options, &mut faults);
    sites(context, &options, &mut faults);
    match options.mode {
        Mode::Replicating => replicating(context, &options, &mut faults),
        Mode::Restored => restored(&options, &mut faults),
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let secrets = options.password.iter().map(|s| ("password".to_owned(), s.clone())).collect();
    Ok(Declared { options: Arc::new(options), lanes, secrets })
}

fn lanes(context: &ReadContext<'_>, options: &PostgresOptions, faults: &mut Vec<Fault>) -> Vec<LaneDecl> {
    let mut lanes = Vec::new();
    let mut taken: Vec<(String, String)> = Vec::new();
    for (site, text) in &options.at {
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
            expects: match options.mode {
                Mode::Replicating => parse::expected().into_iter().chain([signals::ACCEPTS]).collect(),
                Mode::Restored => signals::RESTORED.iter().map(|s| s.id.clone()).collect(),
            },
        });
    }
    // Home first: the order in which people think of them.
    lanes.sort_by_key(|l| l.subject.site.as_ref() != Some(context.home));
    lanes
}

fn sites(context: &ReadContext<'_>, options: &PostgresOptions, faults: &mut Vec<Fault>) {
    let names: Vec<&str> = context.sites.iter().map(SiteId::as_str).collect();
    for (key, site) in
        options.at.keys().map(|s| ("at", s)).chain(options.standby_names.keys().map(|s| ("standby_names", s)))
    {
        if !names.contains(&site.as_str()) {
            faults.push(fault(&[key, site], format!("no site \"{site}\" in this plan"), names.join(", ")));
        }
    }
    if options.at.is_empty() {
        faults.push(fault(&["at"], "no server", "at = { site = \"postgres://...\" }"));
    }
    if options.act_as.as_ref().is_some_and(|a| a.user.is_empty()) {
        faults.push(fault(&["act_as", "user"], "no user", "the role that may promote"));
    }
}

fn replicating(context: &ReadContext<'_>, options: &PostgresOptions, faults: &mut Vec<Fault>) {
    if options.at.len() == 1 {
        faults.push(fault(
            &["at"],
            "one server cannot replicate to itself",
            "a server for each of two sites, or mode = \"restored\"",
        ));
    }
    if options.freshness_query.is_some() {
        faults.push(fault(
            &["freshness_query"],
            "only a restored database is dated by a query",
            "mode = \"restored\", or leave it out",
        ));
    }
    let rpo = context.objectives.rpo.0;
    let slowest = context.interval.saturating_add(context.timeout);
    if !rpo.is_zero() && slowest > rpo / 2 {
        let what =
            format!("interval and timeout together are {}, more than half the RPO of {}", Span(slowest), Span(rpo));
        faults.push(fault(&["interval"], what, format!("at most {} together", Span(rpo / 2))));
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
fn one_query(text: &str) -> Result<(), &'static str> {
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
