use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Value as Json, json};

use crate::plan::Area;
use crate::readiness::signals::BACKUP_REACH;
use crate::readiness::{Finding, Proof, Restorable, Row, Value, Verdict};
use crate::systems::Look;
use crate::systems::bench::{Bench, now};
use crate::systems::pgbackrest::options::PgbackrestOptions;
use crate::systems::pgbackrest::parse::{self, wal};
use crate::systems::pgbackrest::probe::assemble;
use crate::systems::pgbackrest::rules::RULES;
use crate::systems::pgbackrest::signals::ARCHIVE;

const ONE: &str = include_str!("../../../../tests/fixtures/pgbackrest/info.json");
const TWO: &str = include_str!("../../../../tests/fixtures/pgbackrest/info_two_repos.json");
const NO_BACKUP: &str = include_str!("../../../../tests/fixtures/pgbackrest/info_no_backup.json");
const NO_STANZA: &str = include_str!("../../../../tests/fixtures/pgbackrest/info_no_stanza.json");
const WRONG_KEY: &str = include_str!("../../../../tests/fixtures/pgbackrest/info_wrong_key.json");
const UNREADABLE: &str = include_str!("../../../../tests/fixtures/pgbackrest/info_unreadable.json");

/// What `info` said, moved in time so that the sample's first full backup ended `ago` seconds before the judgement.
fn moved(info: &str, ago: i64) -> Json {
    let mut all: Json = serde_json::from_str(info).unwrap();
    let backups = all[0]["backup"].as_array_mut().unwrap();
    let first = backups.iter().map(|b| b["timestamp"]["stop"].as_i64().unwrap()).min().unwrap_or(0);
    let by = now().wall.timestamp() - ago - first;
    for backup in backups {
        for end in ["start", "stop"] {
            let at = backup["timestamp"][end].as_i64().unwrap();
            backup["timestamp"][end] = json!(at + by);
        }
    }
    all
}

/// A look at this, where the archive holds every segment but these, the newest stored `ago` seconds before.
fn look(info: &Json, missing: &[&str], ago: i64) -> Look {
    let stanza = parse::info("main", info.to_string().as_bytes()).unwrap();
    let found = archived(&stanza, missing, ago);
    assemble(&stanza, &written(json!({})), Ok(found), now().wall)
}

fn archived(stanza: &parse::Stanza, missing: &[&str], ago: i64) -> BTreeMap<i64, wal::Found> {
    let mut found = BTreeMap::new();
    for listing in stanza.listings().unwrap() {
        let stored = DateTime::from_timestamp(now().wall.timestamp() - ago, 0).unwrap();
        let (max, size) = (listing.span.max, listing.span.size);
        let all = (0..=max.index(size)).map(|i| crate::plan::WalSegment::at(max.timeline, i, size));
        let there = all.filter(|s| !missing.contains(&s.to_string().as_str())).map(|s| (s, stored)).collect();
        found.insert(listing.repo, listing.span.find(&[there]).unwrap());
    }
    found
}

fn written(options: Json) -> PgbackrestOptions {
    let mut all = json!({ "stanza": "main" });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

/// How far each repository would bring the data back, in seconds before now, with the end of its log.
fn reaches(options: Json, info: &Json, missing: &[&str], ago: i64) -> Vec<String> {
    let stanza = parse::info("main", info.to_string().as_bytes()).unwrap();
    let look = assemble(&stanza, &written(options), Ok(archived(&stanza, missing, ago)), now().wall);
    let reach = look.observed.into_iter().find(|o| o.signal == BACKUP_REACH).unwrap().value.unwrap();
    let Value::Rows(rows) = reach else { panic!("{reach:?}") };
    let told = |row: &Row| {
        let one = Restorable::read(row).unwrap();
        let at = one.at.map_or_else(|| "nothing".to_owned(), |at| (now().wall - at).num_seconds().to_string());
        let site = one.site.map(|s| s.to_string()).unwrap_or_default();
        let log = one.log.map(|l| format!(" {} {}", l.timeline, l.lsn)).unwrap_or_default();
        format!("{} [{site}] {at}{}{log}", one.place, if one.more { "+" } else { "" })
    };
    rows.iter().map(told).collect()
}

#[test]
fn a_repository_reaches_to_the_end_of_its_log_or_to_its_first_gap() {
    let of = |info: &Json, missing: &[&str]| reaches(json!({ "site": "west" }), info, missing, 60).join("; ");
    let mut one = moved(ONE, 3_600);
    let newest = one[0]["backup"].as_array().unwrap().last().unwrap().clone();
    let needed: crate::plan::WalSegment = newest["archive"]["stop"].as_str().unwrap().parse().unwrap();
    let next = |n| crate::plan::WalSegment::at(1, needed.index(16 << 20) + n, 16 << 20);
    one[0]["archive"][0]["max"] = json!(next(4).to_string());
    let end = next(4).end(16 << 20);
    assert_eq!(of(&one, &[]), format!("repo1 of stanza main [west] 60 1 {end}"));
    let sites = json!({ "repos": { "1": { "site": "east" }, "2": { "offsite": true } } });
    let two = reaches(sites, &moved(TWO, 3_600), &[], 60);
    assert!(two[0].starts_with("repo1 of stanza main [east] 60 ") && two[1].starts_with("repo2 of stanza main [] 60 "));
    // The newest backup needs its last segment; after a gap nothing can be restored.
    let ended = now().wall.timestamp() - newest["timestamp"]["stop"].as_i64().unwrap();
    let gap = |n| of(&one, &[next(n).to_string().as_str()]);
    assert_eq!(gap(0), "repo1 of stanza main [west] nothing");
    assert_eq!(gap(1), format!("repo1 of stanza main [west] {ended} 1 {}", next(1).start(16 << 20)));
    assert_eq!(gap(2), format!("repo1 of stanza main [west] {ended}+ 1 {}", next(2).start(16 << 20)));
    // Its log was promoted since: which of it belongs to the backup is not known.
    let mut promoted = one.clone();
    promoted[0]["archive"][0]["max"] = json!("00000002000000000000000F");
    assert_eq!(of(&promoted, &[]), format!("repo1 of stanza main [west] {ended}+"));
    // What cannot be read, or restored, brings nothing back.
    let two = reaches(json!({ "repos": { "2": { "site": "west" } } }), &moved(WRONG_KEY, 3_600), &[], 60);
    assert!(two[0].starts_with("repo1 of stanza main [] 60 "), "{two:?}");
    assert_eq!(two[1], "repo2 of stanza main [west] nothing");
    assert_eq!(of(&moved(NO_BACKUP, 0), &[]), "repo1 of stanza main [west] nothing");
}

fn bench(options: Json, look: Look) -> Bench {
    let mut all = json!({ "stanza": "main" });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    Bench::of("pgbackrest", Area::Backup, all).unwrap().look(look)
}

fn codes(options: Json, look: Look) -> Vec<String> {
    let short = |f: &Finding| format!("{} {} {}", f.subject, f.verdict, f.code);
    bench(options, look).findings(RULES).iter().map(short).collect()
}

#[test]
fn a_healthy_stanza_is_ready_and_its_copies_are_proven() {
    let options = json!({ "site": "west", "repos": { "1": { "site": "east" }, "2": { "medium": "object-store", "offsite": true } } });
    let bench = bench(options, look(&moved(TWO, 3_600), &[], 60));
    let found = bench.findings(RULES);
    assert!(found.iter().all(|f| f.verdict == Verdict::Ready), "{found:#?}");
    let proven: Vec<String> =
        found.iter().filter(|f| f.proves == Some(Proof::Copy)).map(|f| f.subject.to_string()).collect();
    assert_eq!(proven, ["east main repo1", "main repo2"]);
    let copies = bench.plan.probes[0].options.copies();
    assert_eq!(copies.iter().map(|c| c.subject.to_string()).collect::<Vec<_>>(), proven);
    assert_eq!(copies.iter().map(|c| c.place.offsite).collect::<Vec<_>>(), [false, true]);
    let words: Vec<&str> = found.iter().map(|f| f.sentence.as_str()).collect();
    assert!(
        words.contains(&"repo2 of stanza main holds a usable backup within 1d2h, and the key there opens it"),
        "{words:?}"
    );
}

#[test]
fn every_status_of_a_repository_has_its_verdict() {
    assert_eq!(codes(json!({}), look(&moved(NO_STANZA, 0), &[], 0)), ["main repo1 not ready no-stanza"]);
    assert_eq!(codes(json!({}), look(&moved(NO_BACKUP, 0), &[], 0)), ["main repo1 not ready no-backup"]);
    let wrong_key = codes(json!({}), look(&moved(WRONG_KEY, 60), &[], 60));
    assert!(wrong_key.contains(&"main repo2 not ready key-does-not-open".to_owned()), "{wrong_key:?}");
    assert!(wrong_key.contains(&"main repo1 ready backup-recent".to_owned()), "{wrong_key:?}");
    let unreadable = codes(json!({}), look(&moved(UNREADABLE, 60), &[], 60));
    assert!(unreadable.contains(&"main repo1 unknown repo-not-readable".to_owned()), "{unreadable:?}");
    let with = |code: i64, message: &str| {
        let mut info = moved(ONE, 60);
        info[0]["repo"][0]["status"] = json!({ "code": code, "message": message });
        codes(json!({}), look(&info, &[], 60)).remove(0)
    };
    assert_eq!(with(3, "missing stanza data"), "main repo1 not ready no-stanza");
    assert_eq!(with(6, "requested backup not found"), "main repo1 unknown status-not-known");
    assert_eq!(with(42, "new"), "main repo1 unknown status-not-known");
    assert_eq!(with(99, "[ChecksumError] x"), "main repo1 not ready repo-broken");
    let mut encrypted = moved(ONE, 60);
    encrypted[0]["repo"][0] =
        json!({ "key": 1, "cipher": "aes-256-cbc", "status": { "code": 99, "message": "[FormatError] x" } });
    assert_eq!(codes(json!({}), look(&encrypted, &[], 60)).remove(0), "main repo1 not ready key-does-not-open");
    assert_eq!(with(99, "[HostConnectError] x"), "main repo1 unknown repo-not-readable");
    let mut differ = moved(ONE, 60);
    differ[0]["status"]["code"] = json!(5);
    assert!(codes(json!({}), look(&differ, &[], 60)).contains(&"plan not ready databases-differ".to_owned()));
    let named = codes(json!({ "repos": { "1": {}, "2": {} } }), look(&moved(ONE, 60), &[], 60));
    assert!(named.contains(&"main repo2 not ready repo-not-known".to_owned()), "{named:?}");
}

#[test]
fn age_is_that_of_the_newest_usable_backup() {
    let first = |options: Json, info: &Json| codes(options, look(info, &[], 60)).remove(0);
    assert_eq!(first(json!({ "max_age": "1h" }), &moved(ONE, 3_601)), "main repo1 ready backup-recent");
    assert_eq!(first(json!({ "max_age": "1h" }), &moved(ONE, 3_603)), "main repo1 not ready backup-too-old");
    assert_eq!(first(json!({}), &moved(ONE, -400)), "main repo1 unknown from-the-future");
    // The incremental one hangs from the full one: without it, and with page errors in it, neither can be used.
    let mut orphan = moved(ONE, 60);
    orphan[0]["backup"].as_array_mut().unwrap().remove(0);
    assert_eq!(first(json!({}), &orphan), "main repo1 not ready no-usable-backup");
    let mut errors = moved(ONE, 60);
    errors[0]["backup"][0]["error"] = json!(true);
    assert_eq!(first(json!({}), &errors), "main repo1 not ready no-usable-backup");
    // Only the newest has errors: the full one before it still stands.
    let mut newest = moved(ONE, 60);
    newest[0]["backup"][1]["error"] = json!(true);
    let told = codes(json!({}), look(&newest, &[], 60));
    assert_eq!(told[0], "main repo1 ready backup-recent");
    assert!(told.contains(&"main repo1 degraded newest-not-usable".to_owned()), "{told:?}");
    // After an upgrade the backups of the old cluster restore the old cluster.
    let mut upgraded = moved(ONE, 60);
    let db = json!({ "id": 2, "repo-key": 1, "system-id": 1, "version": "16" });
    upgraded[0]["db"].as_array_mut().unwrap().push(db);
    assert_eq!(first(json!({}), &upgraded), "main repo1 not ready no-usable-backup");
}

#[test]
fn full_backups_are_counted_and_dated() {
    let told = |options: Json, info: &Json| codes(options, look(info, &[], 60)).remove(1);
    assert_eq!(told(json!({}), &moved(ONE, 60)), "main repo1 ready fulls");
    assert_eq!(told(json!({ "min_full": 2 }), &moved(ONE, 60)), "main repo1 degraded few-full-backups");
    assert_eq!(told(json!({ "max_full_age": "50s" }), &moved(ONE, 60)), "main repo1 degraded full-too-old");
    let mut shrunk = moved(ONE, 60);
    let mut old = shrunk[0]["backup"][0].clone();
    old["label"] = json!("20261120-021053F");
    old["timestamp"]["stop"] = json!(now().wall.timestamp() - 90_000);
    old["info"]["size"] = json!(60_000_000);
    shrunk[0]["backup"].as_array_mut().unwrap().push(old);
    assert_eq!(told(json!({}), &shrunk), "main repo1 degraded shrunk");
}

#[test]
fn the_log_must_go_on_from_the_newest_backup() {
    let told =
        |options: Json, info: &Json, missing: &[&str], ago: i64| codes(options, look(info, missing, ago)).remove(2);
    let one = moved(ONE, 60);
    assert_eq!(told(json!({}), &one, &[], 60), "main repo1 ready wal-continuous");
    // Older than the newest backup needs: no matter.
    assert_eq!(told(json!({}), &one, &["000000010000000000000004"], 60), "main repo1 ready wal-continuous");
    let mut longer = one.clone();
    longer[0]["archive"][0]["max"] = json!("00000001000000000000000A");
    assert_eq!(told(json!({}), &longer, &["000000010000000000000007"], 60), "main repo1 not ready wal-gap");
    assert_eq!(told(json!({}), &longer, &["000000010000000000000005"], 60), "main repo1 not ready wal-gap");
    let mut shorter = one.clone();
    shorter[0]["archive"][0]["max"] = json!("000000010000000000000004");
    assert_eq!(told(json!({}), &shorter, &[], 60), "main repo1 not ready wal-missing");
    let mut none = one.clone();
    none[0]["archive"][0]["max"] = Json::Null;
    assert_eq!(told(json!({}), &none, &[], 60), "main repo1 not ready no-wal");
    // An idle database archives nothing: age alone is judged only where the plan says how old it may be.
    assert_eq!(told(json!({}), &one, &[], 9_999_999), "main repo1 ready wal-continuous");
    assert_eq!(told(json!({ "max_wal_age": "1h" }), &one, &[], 3_600), "main repo1 ready wal-continuous");
    assert_eq!(told(json!({ "max_wal_age": "1h" }), &one, &[], 3_601), "main repo1 not ready wal-too-old");
    // A backup on an older timeline: what lies between, the history file says.
    let mut promoted = one.clone();
    promoted[0]["archive"][0]["max"] = json!("000000020000000000000007");
    assert_eq!(told(json!({}), &promoted, &[], 60), "main repo1 ready wal-continuous");
}

#[test]
fn copies_at_home_only_are_lost_with_it() {
    let told = codes(json!({ "repos": { "1": { "site": "east" } } }), look(&moved(ONE, 60), &[], 60));
    assert!(told.contains(&"plan not ready all-at-home".to_owned()), "{told:?}");
    let told = codes(json!({ "repos": { "1": { "site": "west" } } }), look(&moved(ONE, 60), &[], 60));
    assert!(!told.iter().any(|t| t.ends_with("all-at-home")), "{told:?}");
    let told = codes(json!({ "database": "orders-db" }), look(&moved(ONE, 60), &[], 60));
    assert!(told.contains(&"plan unknown no-such-probe".to_owned()), "{told:?}");
}

#[test]
fn nothing_is_ready_without_its_log_or_its_backups() {
    let stanza = parse::info("main", ONE.as_bytes()).unwrap();
    let gap = crate::readiness::Gap::from(crate::readiness::Reason::TimedOut);
    let blind = assemble(&stanza, &written(json!({})), Err(gap), now().wall);
    assert!(blind.observed.iter().any(|o| o.signal == ARCHIVE && o.value.is_err()));
    assert!(!codes(json!({}), blind).iter().any(|t| t.contains("wal")));
}

#[test]
fn real_listings_are_read() {
    let listing = wal::listing(include_str!("../../../../tests/fixtures/pgbackrest/repo_ls.json").as_bytes()).unwrap();
    assert!(listing.contains_key(&"000000010000000000000005".parse().unwrap()));
    // That one was taken out, to make a gap.
    assert!(!listing.contains_key(&"000000010000000000000006".parse().unwrap()));
    let stanza = parse::info("main", TWO.as_bytes()).unwrap();
    let wanted = stanza.listings().unwrap();
    assert_eq!(wanted[0].directories, ["0000000100000000"]);
    assert_eq!(wanted[0].archive, "15-1");
    let found = wanted[0].span.find(&[listing]).unwrap();
    assert!(found.newest_at.is_some());
}
