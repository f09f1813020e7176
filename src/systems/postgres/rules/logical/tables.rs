//! Every table of the publisher is published, subscribed to, and copied.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::plan::{Now, Plan, RuleId, SafeText};
use crate::readiness::{About, Bearing, Facts, Finding, Gap, Proof, Row, Rule, Verdict};
use crate::systems::postgres::rules::view::Server;
use crate::systems::postgres::signals::ACCEPTS;
use crate::systems::postgres::signals::logical::{PUBLICATIONS, PUBLISHED, SUBSCRIBED, TABLES, TAKEN};

use super::{about, flag_in, list, name_in, older, pair, read, said, subscriptions};

/// What a publication may leave out.
const KINDS: [&str; 4] = ["inserts", "updates", "deletes", "truncates"];
const ID: RuleId = RuleId::new("postgres.logical-tables");

/// A table that was added to a publication is silently absent until it is created at the subscriber and the publication is
/// refreshed; one that nobody published is silently absent for ever. Without a primary key an update fails, and it fails *on
/// the publisher*. A subscriber whose tables are all there is what a failover would go to.
pub struct Tables;

impl Rule for Tables {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        about(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(subscriber) = Server::of(facts, about, now) else { return Vec::new() };
        if subscriptions(subscriber).is_none() {
            return Vec::new();
        }
        let mut found: Vec<Finding> = copied(subscriber);
        if let Some((_, publisher)) = pair(subscriber)
            && let Some((_, at)) = publisher.rows(&PUBLISHED)
        {
            found.extend(said(&ID, publisher, at, compared(subscriber, publisher)));
        }
        found
    }
}

/// A table of a subscription, and how far it is.
struct Subscribed {
    subscription: SafeText,
    table: SafeText,
    state: SafeText,
}

/// The subscriptions that count, with their tables.
fn subscribed(subscriber: Server<'_>) -> Option<(Result<Vec<Subscribed>, Gap>, Now)> {
    let (rows, _) = subscriptions(subscriber)?;
    let names: Result<Vec<SafeText>, Gap> = rows.iter().map(|r| name_in(r, "name")).collect();
    let (all, at) = read(subscriber, &SUBSCRIBED, |r| {
        Ok(Subscribed {
            subscription: name_in(r, "subscription")?,
            table: name_in(r, "table")?,
            state: name_in(r, "state")?,
        })
    })?;
    let own = names.and_then(|names| Ok(all?.into_iter().filter(|s| names.contains(&s.subscription)).collect()));
    Some((own, at))
}

fn part(server: Server<'_>, finding: Finding, part: &str) -> Finding {
    Finding { subject: server.part(part), ..finding }
}

/// What the subscriber alone says: whether what it subscribed to is there.
fn copied(subscriber: Server<'_>) -> Vec<Finding> {
    let Some((tables, at)) = subscribed(subscriber) else { return Vec::new() };
    let site = subscriber.site;
    let tables = match tables {
        Ok(tables) => tables,
        Err(gap) => return vec![subscriber.senseless(ID, "pg_subscription_rel", &gap, at)],
    };
    let what = format!("{site} pg_subscription_rel.srsubstate");
    let in_state = |states: &[&str]| -> Vec<&SafeText> {
        tables.iter().filter(|t| states.contains(&t.state.as_str())).map(|t| &t.table).collect()
    };
    let (empty, catching, ready) = (in_state(&["i", "d"]), in_state(&["f", "s"]), in_state(&["r"]));
    let mut found = Vec::new();
    if tables.is_empty() {
        let why = format!("the subscriptions of {site} hold no table");
        found.push(
            subscriber
                .finding(ID, Verdict::NotReady, "no-tables", &why)
                .because(&what, &"no row", at)
                .next(
                    "ALTER PUBLICATION ... ADD TABLE at the publisher, then ALTER SUBSCRIPTION ... REFRESH PUBLICATION",
                )
                .bearing(Bearing::Blocks(SafeText::new(&why))),
        );
    }
    if empty.len() + catching.len() + ready.len() != tables.len() {
        let gap = Gap::new(crate::readiness::Reason::Malformed, "a state that is none");
        found.push(subscriber.senseless(ID, "pg_subscription_rel", &gap, at));
    }
    if !empty.is_empty() {
        let why = format!("{} not copied to {site} yet: {}", tables_are(empty.len()), list(&empty));
        let mut finding = subscriber
            .finding(ID, Verdict::NotReady, "tables-not-copied", &why)
            .because(&what, &"i or d", at)
            .next(&format!("wait for the copy; if it does not end, see the log of {}", subscriber.server()))
            .bearing(Bearing::Consent(SafeText::new(&why)));
        finding = finding.losing(&format!("the rows of {}, not copied yet", list(&empty)));
        found.push(part(subscriber, finding, "tables not copied"));
    } else if !catching.is_empty() {
        let why = format!("{} copied and still catching up in {site}: {}", tables_are(catching.len()), list(&catching));
        let finding =
            subscriber.finding(ID, Verdict::Degraded, "tables-catching-up", &why).because(&what, &"f or s", at);
        found.push(part(subscriber, finding.next("wait until each is in state r"), "tables not copied"));
    }
    // A frozen postmaster answers on the connection that is kept, and to nobody else.
    if found.is_empty() && matches!(subscriber.bool(&ACCEPTS), Some((true, _))) {
        found.push(
            subscriber
                .finding(
                    ID,
                    Verdict::Ready,
                    "tables-copied",
                    &format!("all {} subscribed tables are copied to {site}", tables.len()),
                )
                .because(&what, &"r", at)
                .proving(Proof::Promotable),
        );
    }
    found
}

fn tables_are(count: usize) -> String {
    if count == 1 { "1 table is".to_owned() } else { format!("{count} tables are") }
}

fn published(row: &Row) -> Result<(SafeText, SafeText, bool, bool), Gap> {
    Ok((name_in(row, "publication")?, name_in(row, "table")?, flag_in(row, "direct")?, flag_in(row, "partial")?))
}

/// The tables that need not be replicated. What is no pattern the configuration refuses.
fn unreplicated(patterns: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in patterns.iter().filter_map(|p| Glob::new(p).ok()) {
        set.add(glob);
    }
    set.build().unwrap_or_else(|_| GlobSet::empty())
}

fn compared(subscriber: Server<'_>, publisher: Server<'_>) -> Result<Vec<Finding>, Gap> {
    let (Some((own, then)), Some((taken, _)), Some((offered, at)), Some((tables, _)), Some((publications, _))) = (
        subscribed(subscriber),
        read(subscriber, &TAKEN, |r| Ok((name_in(r, "subscription")?, name_in(r, "publication")?))),
        read(publisher, &PUBLISHED, published),
        read(publisher, &TABLES, |r| Ok((name_in(r, "table")?, flag_in(r, "leaf")?, flag_in(r, "identity")?))),
        read(publisher, &PUBLICATIONS, |r| Ok((name_in(r, "name")?, KINDS.map(|what| (what, flag_in(r, what)))))),
    ) else {
        return Ok(Vec::new());
    };
    let (own, taken, offered, tables, publications) = (own?, taken?, offered?, tables?, publications?);
    let (site, to) = (publisher.site, subscriber.site);
    let counts: Vec<&SafeText> = own.iter().map(|t| &t.subscription).collect();
    let named = |s: &SafeText| counts.is_empty() || counts.contains(&s);
    let takes = |p: &SafeText| taken.iter().any(|(s, t)| t == p && named(s));
    let ignored = unreplicated(&subscriber.options.unreplicated);
    let mut found = Vec::new();
    let mut put = |at: Now, verdict, code, why: &str, evidence: (&str, &str), next: &str, loses: Option<String>| {
        let mut finding = publisher
            .finding(ID, verdict, code, why)
            .because(&format!("{site} {}", evidence.0), &evidence.1, at)
            .next(next);
        if verdict == Verdict::NotReady {
            finding = finding.bearing(Bearing::Consent(SafeText::new(why)));
        }
        if let Some(loses) = loses {
            finding = finding.losing(&loses);
        }
        // It is the subscriber that lacks it.
        finding.subject = subscriber.part(code);
        found.push(finding);
    };
    let gone: Vec<&SafeText> =
        taken.iter().filter(|(s, p)| named(s) && !publications.iter().any(|(n, _)| n == p)).map(|(_, p)| p).collect();
    if !gone.is_empty() {
        let why = format!("{site} has no publication {}: changes stop", list(&gone));
        put(
            at,
            Verdict::NotReady,
            "publication-missing",
            &why,
            ("pg_publication", "no row"),
            "CREATE PUBLICATION it again at the publisher",
            None,
        );
    }
    let missing: Vec<&SafeText> = offered
        .iter()
        .filter(|(p, table, direct, _)| *direct && takes(p) && !own.iter().any(|o| o.table == *table))
        .map(|(_, table, ..)| table)
        .collect();
    if !missing.is_empty() {
        let why = format!("published and not subscribed to, so not in {to}: {}", list(&missing));
        let next =
            format!("on {}: create the table, then ALTER SUBSCRIPTION ... REFRESH PUBLICATION", subscriber.server());
        put(
            older(at, then),
            Verdict::NotReady,
            "tables-not-subscribed",
            &why,
            ("pg_publication_tables", "has them"),
            &next,
            Some(format!("the rows of {}", list(&missing))),
        );
    }
    let reaches = |table: &SafeText| offered.iter().any(|(p, t, ..)| t == table && takes(p));
    let unpublished: Vec<&SafeText> = tables
        .iter()
        .filter(|(table, leaf, _)| *leaf && !reaches(table) && !ignored.is_match(table.as_str()))
        .map(|(table, ..)| table)
        .collect();
    if !unpublished.is_empty() {
        let why = format!("in no publication that {to} takes: {}", list(&unpublished));
        let next = "ALTER PUBLICATION ... ADD TABLE and REFRESH PUBLICATION; what need not be there: unreplicated = [\"schema.table\"]";
        put(
            at,
            Verdict::NotReady,
            "tables-not-published",
            &why,
            ("pg_publication_tables", "no row"),
            next,
            Some(format!("the rows of {}", list(&unpublished))),
        );
    }
    let partial: Vec<&SafeText> = offered
        .iter()
        .filter(|(p, table, _, partial)| *partial && takes(p) && !ignored.is_match(table.as_str()))
        .map(|(_, table, ..)| table)
        .collect();
    if !partial.is_empty() {
        let why = format!("only some rows or columns are published of: {}", list(&partial));
        let next = "take the row filter or the column list away, or name the table in `unreplicated`";
        put(
            at,
            Verdict::Degraded,
            "tables-partial",
            &why,
            ("pg_publication_tables", "a filter or a list"),
            next,
            Some(format!("the rest of {}", list(&partial))),
        );
    }
    let mut published_changes: Vec<&SafeText> = Vec::new();
    for (name, kinds) in publications.iter().filter(|(name, _)| takes(name)) {
        let mut lacking = Vec::new();
        for (what, published) in kinds {
            match published {
                Ok(true) if ["updates", "deletes"].contains(what) => published_changes.push(name),
                Ok(true) => {}
                Ok(false) => lacking.push(*what),
                Err(gap) => return Err(gap.clone()),
            }
        }
        if !lacking.is_empty() {
            let why = format!("the publication {name} leaves out {}: the sites drift apart", lacking.join(" and "));
            let next = format!(
                "on {}: ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')",
                publisher.server()
            );
            put(
                at,
                Verdict::Degraded,
                "publication-partial",
                &why,
                ("pg_publication", "leaves something out"),
                &next,
                None,
            );
        }
    }
    let keyless: Vec<&SafeText> = tables
        .iter()
        .filter(|(table, leaf, identity)| {
            *leaf && !identity && offered.iter().any(|(p, t, ..)| t == table && published_changes.contains(&p))
        })
        .map(|(table, ..)| table)
        .collect();
    if !keyless.is_empty() {
        let why = format!("no replica identity, so that updates and deletes fail in {site}: {}", list(&keyless));
        let next = format!("on {}: ALTER TABLE ... ADD PRIMARY KEY, or REPLICA IDENTITY FULL", publisher.server());
        put(
            at,
            Verdict::Degraded,
            "no-replica-identity",
            &why,
            ("pg_class.relreplident", "n, or d without a primary key"),
            &next,
            None,
        );
    }
    Ok(found)
}
