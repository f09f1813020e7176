//! The subscriber's sequences are not behind what the publisher gave out.

use std::collections::BTreeMap;

use crate::plan::{Now, Plan, RuleId, SafeText};
use crate::readiness::{About, Bearing, Facts, Finding, Gap, Row, Rule, Verdict};
use crate::systems::postgres::options::Sequences as Kept;
use crate::systems::postgres::rules::view::Server;
use crate::systems::postgres::signals::logical::SEQUENCES;

use super::{about, flag_in, list, name_in, null, older, pair, read, said};

const ID: RuleId = RuleId::new("postgres.sequences");

/// Sequences are not replicated: at the subscriber each stands where it was created, and after a failover gives out numbers
/// that rows already have.
pub struct Sequences;

impl Rule for Sequences {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        about(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((subscriber, publisher)) = Server::of(facts, about, now).and_then(pair) else { return Vec::new() };
        let (Some((_, at)), Some((_, then))) = (subscriber.rows(&SEQUENCES), publisher.rows(&SEQUENCES)) else {
            return Vec::new();
        };
        said(&ID, subscriber, older(at, then), judge(subscriber, publisher))
    }
}

struct Sequence {
    name: SafeText,
    /// The newest value that was given out; `None` where none was.
    last: Option<i64>,
    step: i64,
    cycles: bool,
    readable: bool,
}

fn sequence(row: &Row) -> Result<Sequence, Gap> {
    Ok(Sequence {
        name: name_in(row, "sequence")?,
        last: row.int("last")?,
        step: row.int("step")?.ok_or_else(|| null("step"))?,
        cycles: flag_in(row, "cycles")?,
        readable: flag_in(row, "readable")?,
    })
}

fn judge(subscriber: Server<'_>, publisher: Server<'_>) -> Result<Vec<Finding>, Gap> {
    let (Some((mine, at)), Some((theirs, then))) =
        (read(subscriber, &SEQUENCES, sequence), read(publisher, &SEQUENCES, sequence))
    else {
        return Ok(Vec::new());
    };
    let (mine, theirs) = (mine?, theirs?);
    let (site, from) = (subscriber.site, publisher.site);
    let at = older(at, then);
    let make = |part: &str, verdict, code, why: &str| {
        let mut f = subscriber.finding(ID, verdict, code, why);
        f.subject = subscriber.part(part);
        f
    };
    let own: BTreeMap<&str, &Sequence> = mine.iter().map(|s| (s.name.as_str(), s)).collect();
    let mut found = Vec::new();
    for (server, all) in [(publisher, &theirs), (subscriber, &mine)] {
        let hidden: Vec<&SafeText> = all.iter().filter(|s| !s.readable).map(|s| &s.name).collect();
        if !hidden.is_empty() {
            let why = format!("{}: these sequences may not be read: {}", server.site, list(&hidden));
            let schema = hidden.first().and_then(|n| n.as_str().split_once('.')).map_or("public", |(schema, _)| schema);
            found.push(
                make(&format!("sequences of {}", server.site), Verdict::Unknown, "no-privilege", &why)
                    .because(&format!("{} has_sequence_privilege()", server.site), &"no", at)
                    .next(&format!(
                        "on {}: GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO the role that looks",
                        server.server()
                    )),
            );
        }
    }
    let mut behind = Vec::new();
    let mut absent = Vec::new();
    // One that cycles gives numbers out again by design.
    for theirs in theirs.iter().filter(|s| s.readable && !s.cycles) {
        let Some(given) = theirs.last else { continue };
        match own.get(theirs.name.as_str()) {
            None => absent.push(theirs.name.clone()),
            Some(mine) if !mine.readable => {}
            Some(mine) => {
                let less = if theirs.step >= 0 { mine.last < Some(given) } else { mine.last.is_none_or(|m| m > given) };
                if less {
                    behind.push((theirs.name.clone(), mine.last, given, theirs.step));
                }
            }
        }
    }
    if !absent.is_empty() {
        let why = format!("{site} lacks the sequences {}", list(&absent));
        found.push(
            make("sequences missing", Verdict::Degraded, "sequences-missing", &why)
                .because(&format!("{site} pg_sequence"), &"no row", at)
                .next("create them there as the publisher has them: logical replication carries no DDL")
                .bearing(Bearing::Consent(SafeText::new(&why))),
        );
    }
    if behind.is_empty() {
        if found.is_empty() && !theirs.is_empty() {
            let why = format!("no sequence of {site} is behind {from}");
            found.push(make("sequences", Verdict::Ready, "sequences", &why).because(
                "sequences compared",
                &theirs.len(),
                at,
            ));
        }
        return Ok(found);
    }
    let names: Vec<&SafeText> = behind.iter().map(|(name, ..)| name).collect();
    let count = if behind.len() == 1 { "1 sequence".to_owned() } else { format!("{} sequences", behind.len()) };
    let why = format!("{count} of {site} would give out numbers that are taken: {}", list(&names));
    let (verdict, when) = match subscriber.options.sequences {
        Kept::KeptAhead => (Verdict::Degraded, "now and from time to time"),
        Kept::SetAtFailover => (Verdict::Ready, "before anything writes there"),
    };
    let sets: Vec<String> =
        behind.iter().take(super::NAMED).map(|(name, _, given, step)| set(name.as_str(), *given, *step)).collect();
    let mut finding = make("sequences", verdict, "sequences-behind", &why)
        .next(&format!("on {}, {when}, with a margin: SELECT {}", subscriber.server(), sets.join(", ")))
        .bearing(Bearing::Consent(SafeText::new(&format!(
            "{count} of {site} must be set before anything writes: {}",
            list(&names)
        ))))
        .losing(&format!("the positions of {count}: {}", list(&names)));
    for (name, mine, given, _) in behind.iter().take(super::NAMED) {
        let mine = mine.map_or_else(|| "never used".to_owned(), |n| n.to_string());
        finding = finding.because(&format!("{name}: {site}, {from}"), &format_args!("{mine}, {given}"), at);
    }
    found.push(finding);
    Ok(found)
}

/// `setval` with a margin of a thousand steps.
fn set(name: &str, given: i64, step: i64) -> String {
    format!("setval('{}', {})", name.replace('\'', "''"), given.saturating_add(step.saturating_mul(1_000)))
}
