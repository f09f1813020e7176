//! Logical replication: what a subscriber has, and what it will never get.
//!
//! It carries rows of published tables and nothing else: no DDL, no sequences, no large objects, no unlogged tables, no
//! roles. The subscriber takes writes all the time, so which site is the publisher is seen by who has the subscription.

use std::fmt::Display;

use crate::plan::{Now, Plan, SafeText, SignalId};
use crate::readiness::{About, Finding, Gap, Row};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::logical::{SLOTS, SUBSCRIPTIONS};

use super::view::{Role, Server, servers};

pub(super) mod drift;
pub(super) mod leftovers;
pub(super) mod roles;
pub(super) mod sequences;
pub(super) mod slots;
pub(super) mod subscription;
pub(super) mod tables;

/// How many names a sentence gives.
const NAMED: usize = 4;

fn about(plan: &Plan) -> Vec<About> {
    servers(plan, Mode::Logical)
}

/// The subscriptions of a server; `None` where it has none, or where they were not read.
fn subscriptions(server: Server<'_>) -> Option<(&[Row], Now)> {
    server.rows(&SUBSCRIPTIONS).filter(|(rows, _)| !rows.is_empty())
}

/// A server that subscribes, with the only publisher that is seen.
fn pair<'a>(subscriber: Server<'a>) -> Option<(Server<'a>, Server<'a>)> {
    subscriptions(subscriber)?;
    Some((subscriber, subscriber.primary()?))
}

/// The slot of this name, at the publisher.
fn slot<'a>(publisher: Server<'a>, name: &str) -> Option<(Result<Option<&'a Row>, Gap>, Now)> {
    let (rows, at) = publisher.rows(&SLOTS)?;
    let mut found = Ok(None);
    for row in rows {
        match name_in(row, "slot") {
            Ok(own) if own.as_str() == name => found = Ok(Some(row)),
            Ok(_) => {}
            Err(gap) => return Some((Err(gap), at)),
        }
    }
    Some((found, at))
}

/// A column of words that is never NULL.
fn name_in(row: &Row, column: &str) -> Result<SafeText, Gap> {
    row.text(column)?.ok_or_else(|| null(column))
}

/// A column of truth values that is never NULL.
fn flag_in(row: &Row, column: &str) -> Result<bool, Gap> {
    row.bool(column)?.ok_or_else(|| null(column))
}

fn null(column: &str) -> Gap {
    Gap::new(crate::readiness::Reason::Malformed, &format!("column {column} is NULL"))
}

/// `orders, items and 3 more`.
fn list<T: Display>(names: &[T]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A table of a server, read row by row.
fn read<T>(
    server: Server<'_>,
    signal: &SignalId,
    row: impl Fn(&Row) -> Result<T, Gap>,
) -> Option<(Result<Vec<T>, Gap>, Now)> {
    let (rows, at) = server.rows(signal)?;
    Some((rows.iter().map(row).collect(), at))
}

/// Whatever makes no sense is said once, by the rule that reads it.
fn said(rule: &crate::plan::RuleId, server: Server<'_>, at: Now, found: Result<Vec<Finding>, Gap>) -> Vec<Finding> {
    found.unwrap_or_else(|gap| vec![server.senseless(rule.clone(), "answer", &gap, at)])
}

/// The older of two moments.
fn older(a: Now, b: Now) -> Now {
    if a.boot < b.boot { a } else { b }
}

fn is_publisher(server: Server<'_>) -> bool {
    server.role() == Role::Primary
}
