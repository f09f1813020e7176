//! SQL over the world, without a socket.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::error::{SqlError, Stop, Wait};
use super::exec::{Effect, Exec, Own, Seat};
use super::statement::{self, Done};
use crate::plan::{BootTime, Now};
use crate::practice::world::event::Event;
use crate::practice::world::{Setup, World};
use crate::systems::postgres::queries::logical::LOGICAL;
use crate::systems::postgres::queries::{Ask, REPLICATING};

const EAST: &str = "orders-east-1";
const WEST: &str = "orders-west-1";

fn at(millis: u64) -> Now {
    let wall = chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap() + Duration::from_millis(millis);
    Now { wall, boot: BootTime(Duration::from_secs(1_000) + Duration::from_millis(millis)) }
}

fn world() -> World {
    let password = Arc::new(|role: &str| SecretString::from(format!("{role}!")));
    let mut world = World::new(&Setup::usual(7, 1.0, password), at(0));
    world.advance(at(5_000));
    world
}

struct Asked {
    rows: Vec<Vec<Option<String>>>,
    columns: Vec<(String, super::value::Type)>,
    effects: Vec<Effect>,
}

fn asks(world: &mut World, server: &'static str, user: &str, sql: &str) -> Result<Asked, Stop> {
    let database = world.server(server).unwrap().0.database;
    let seat = Seat {
        server,
        pid: 4_242,
        user: user.to_owned(),
        database: database.to_owned(),
        from: "127.0.0.1:40000".parse().unwrap(),
    };
    let (mut own, mut effects) = (Own::new(), Vec::new());
    let mut last = Asked { rows: Vec::new(), columns: Vec::new(), effects: Vec::new() };
    let now = world.clock().now();
    for one in statement::parse(sql).map_err(Stop::Error)? {
        let mut exec = Exec::new(world, &seat, &mut own, (now, now), &[], &mut effects);
        if let Done::Rows(relation, _) = statement::run(&mut exec, &one)? {
            last.rows = relation.rows.iter().map(|r| r.iter().map(super::value::Datum::shown).collect()).collect();
            last.columns = relation.columns.iter().map(|c| (c.name.clone(), c.ty)).collect();
        }
    }
    last.effects = effects;
    Ok(last)
}

fn ask(world: &mut World, server: &'static str, sql: &str) -> Vec<Vec<Option<String>>> {
    match asks(world, server, "lifeboat", sql) {
        Ok(asked) => asked.rows,
        Err(stop) => panic!("{sql}: {stop:?}"),
    }
}

fn one(world: &mut World, server: &'static str, sql: &str) -> String {
    let rows = ask(world, server, sql);
    rows.first().and_then(|r| r.first()).cloned().flatten().unwrap_or_else(|| "NULL".to_owned())
}

fn refusal(world: &mut World, server: &'static str, user: &str, sql: &str) -> SqlError {
    match asks(world, server, user, sql) {
        Err(Stop::Error(e)) => e,
        Err(Stop::Wait(wait)) => panic!("{sql}: waits: {wait:?}"),
        Ok(asked) => panic!("{sql}: {:?}", asked.rows),
    }
}

#[test]
fn every_statement_of_a_look_is_answered_in_both_roles() {
    let mut world = world();
    for server in [EAST, WEST] {
        let all = REPLICATING.iter().copied().chain(LOGICAL.iter().copied().map(Ask::Logical));
        let all = all.filter_map(|a| Some((a, a.sql(170_006)?)));
        for (ask, sql) in all {
            match asks(&mut world, server, "lifeboat", &sql) {
                Ok(asked) => {
                    let wide = asked.rows.iter().map(Vec::len).find(|n| *n != ask.columns());
                    assert_eq!(wide, None, "{ask:?} at {server}");
                }
                // Only the superuser may ask this of the real one, too.
                Err(Stop::Error(e)) => {
                    assert_eq!((e.code, format!("{ask:?}")), ("42501", "Logical(Origins)".to_owned()), "{sql}")
                }
                Err(Stop::Wait(wait)) => panic!("{ask:?}: {wait:?}"),
            }
        }
    }
}

#[test]
fn the_steps_questions_are_answered() {
    use crate::systems::postgres::parse::server::{IDENTITY, promotable_question};
    let mut world = world();
    let row = ask(&mut world, EAST, IDENTITY);
    assert_eq!(row[0].len(), 6);
    assert_eq!((row[0][1].as_deref(), row[0][3].as_deref()), (Some("f"), Some("1")));
    let row = ask(&mut world, WEST, IDENTITY);
    assert_eq!((row[0][1].as_deref(), row[0][3].as_deref()), (Some("t"), Some("1")));
    let row = ask(&mut world, WEST, &promotable_question("'lifeboat_act'", 170_006));
    let cells: Vec<_> = row[0].iter().map(Option::as_deref).collect();
    assert_eq!(cells[..5], [Some("not paused"), Some(""), None, Some("t"), Some("t")]);
    assert_eq!(cells[5], Some("streaming"));
    assert!(cells[6].is_some() && cells[7].is_some_and(|ago| ago.parse::<f64>().is_ok()), "{cells:?}");
    assert_eq!(cells[8], Some("off"));
    let row = ask(&mut world, EAST, &promotable_question("'nobody'", 170_006));
    let cells: Vec<_> = row[0].iter().map(Option::as_deref).collect();
    assert_eq!(
        cells,
        [None, Some(""), Some("orders_east_2\norders_west_1"), None, None, None, None, None, Some("off")]
    );
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('shop') AND pid <> pg_backend_pid() \
         AND coalesce(backend_type, 'client backend') = 'client backend'";
    assert_eq!(one(&mut world, EAST, sessions), "11");
    let census = "SELECT usename, application_name, count(*) FROM pg_stat_activity \
         WHERE coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid() \
         GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 100";
    let rows = ask(&mut world, EAST, census);
    assert_eq!(rows[0].iter().map(|c| c.as_deref().unwrap()).collect::<Vec<_>>(), ["shop", "checkout", "8"]);
    let rights = "SELECT r.rolsuper OR pg_has_role(r.oid, 'pg_read_server_files', 'usage'), \
         r.rolsuper OR has_function_privilege(r.oid, 'pg_read_file(text)', 'execute'), r.rolsuper OR r.rolcreaterole \
         FROM pg_roles r WHERE r.rolname = 'lifeboat_act'";
    assert_eq!(ask(&mut world, EAST, rights)[0], [Some("t".into()), Some("t".into()), Some("t".into())]);
}

#[test]
fn queries_are_worked_out_and_not_known() {
    let mut world = world();
    for (sql, gives) in [
        ("SELECT 1 + 2 * 3", "7"),
        ("SELECT 7 / 2", "3"),
        ("SELECT 7.0 / 2", "3.5000000000000000"),
        ("SELECT 'a' || 1", "a1"),
        ("SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.id = 5 AND o.cents < 0", "0"),
        ("SELECT max(id) - min(id) + 1 = count(*) FROM orders", "t"),
        (
            "SELECT string_agg(slot_name, ',' ORDER BY slot_name DESC) FROM pg_replication_slots",
            "orders_west_1,orders_east_2",
        ),
        ("SELECT (SELECT count(*) FROM generate_series(1, 10) g WHERE g > 7)", "3"),
        ("WITH a AS (SELECT 1 AS x UNION ALL SELECT 2) SELECT sum(x) FROM a", "3"),
        ("SELECT CASE WHEN NULL THEN 1 ELSE 2 END", "2"),
        ("SELECT coalesce(NULL, nullif('a', 'a'), 'b')", "b"),
        ("SELECT 'x' LIKE 'y%' OR 'abc' LIKE 'a_c'", "t"),
        ("SELECT 'pg_12' ~ '^pg_[0-9]+$'", "t"),
        ("SELECT ('x' || left('0000001F00', 8))::bit(32)::int", "31"),
        ("SELECT pg_typeof(now())::text", "timestamp with time zone"),
        (
            "SELECT pg_typeof(q.v)::text FROM (SELECT (SELECT max(placed_at) FROM orders) AS v) q",
            "timestamp with time zone",
        ),
        ("SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = 'orders')", "t"),
        ("SELECT 'pg_class'::regclass = 1259", "t"),
        ("SELECT x FROM (VALUES (2), (1)) v(x) ORDER BY 1 LIMIT 1", "1"),
        ("SELECT count(DISTINCT usename) FROM pg_stat_activity WHERE usename IS NOT NULL", "2"),
        ("SELECT now() - interval '1 minute' < now()", "t"),
        ("SELECT substring('abcdef' from 2 for 3)", "bcd"),
        ("SELECT convert_from(decode('aMOkCg==', 'base64'), 'UTF8')", "hä\n"),
        ("SELECT left(encode(sha256(convert_to('', 'UTF8')), 'hex'), 8)", "e3b0c442"),
        ("SELECT host(inet_server_addr())", "127.0.0.1"),
        ("SELECT pg_wal_lsn_diff('0/20', '0/10')", "16"),
        ("SELECT date_trunc('day', timestamptz '2026-01-02 03:04:05+00')", "2026-01-02 00:00:00+00"),
        ("SELECT 3 = ANY (ARRAY[1, 3])", "t"),
        ("SELECT 4 IN (1, NULL)", "NULL"),
        ("SHOW server_version_num", "170006"),
    ] {
        assert_eq!(one(&mut world, EAST, sql), gives, "{sql}");
    }
}

#[test]
fn what_is_not_there_is_refused_as_the_real_one_does() {
    let mut world = world();
    for (sql, code) in [
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT nothing FROM orders", "42703"),
        ("SELECT nothing FROM orders WHERE false", "42703"),
        ("SELECT x.id FROM orders", "42P01"),
        ("SELECT no_such(1)", "42883"),
        ("SELECT lower(1, 2)", "42883"),
        ("SELECT pid FROM pg_stat_activity a, pg_locks l", "42702"),
        ("SELECT usename, count(*) FROM pg_stat_activity", "42803"),
        ("SELECT 'a'::int", "22P02"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT (SELECT id FROM orders)", "21000"),
        ("SELEC 1", "42601"),
        ("SELECT 1 FROM", "42601"),
        ("CREATE TABLE x (a int)", "0A000"),
        ("UPDATE orders SET cents = 1", "0A000"),
        ("VACUUM", "0A000"),
        ("SELECT row_number() OVER () FROM orders", "0A000"),
        ("SELECT pg_promote()", "42501"),
        ("SELECT * FROM pg_authid", "42501"),
        ("INSERT INTO orders (customer_id, cents) VALUES (1, 2)", "42501"),
        ("ALTER ROLE shop NOLOGIN", "42501"),
        ("SET no_such_thing = 1", "42704"),
        ("SHOW no_such_thing", "42704"),
        ("SET port = 1", "55P02"),
        ("SELECT count(*) FROM orders a, orders b, orders c", "54001"),
    ] {
        let refused = refusal(&mut world, EAST, "lifeboat", sql);
        assert_eq!(refused.code, code, "{sql}: {}", refused.message);
    }
    for (sql, code) in [
        ("INSERT INTO orders (customer_id, cents) VALUES (1, 2)", "25006"),
        ("DELETE FROM orders", "25006"),
        ("ALTER ROLE shop NOLOGIN", "25006"),
        ("CREATE TABLE x (a int)", "25006"),
        ("SELECT pg_current_wal_lsn()", "55000"),
        ("SELECT pg_walfile_name('0/1')", "55000"),
        ("BEGIN READ WRITE", "25001"),
    ] {
        assert_eq!(refusal(&mut world, WEST, "postgres", sql).code, code, "{sql}");
    }
    assert_eq!(refusal(&mut world, EAST, "lifeboat_act", "SELECT pg_promote(true, 60)").code, "55000");
    assert_eq!(refusal(&mut world, EAST, "lifeboat_act", "SELECT pg_is_wal_replay_paused()").code, "55000");
    assert_eq!(refusal(&mut world, EAST, "replicator", "SELECT count(*) FROM orders").code, "42501");
    assert_eq!(
        refusal(
            &mut world,
            EAST,
            "shop",
            "SET default_transaction_read_only = on; INSERT INTO orders (customer_id, cents) VALUES (1, 2)"
        )
        .code,
        "25006"
    );
}

#[test]
fn names_and_types_are_those_of_postgres() {
    use super::value::Type as T;
    let mut world = world();
    let sql = "SELECT pid, usename AS who, count(*) OVER_IS_A_NAME, extract(epoch FROM now()), now()::text, \
         CASE WHEN true THEN NULL ELSE pg_current_wal_lsn() END, 'x', NULL FROM pg_stat_activity GROUP BY 1, 2";
    let asked = asks(&mut world, EAST, "lifeboat", sql).unwrap_or_else(|s| panic!("{s:?}"));
    let names: Vec<&str> = asked.columns.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["pid", "who", "over_is_a_name", "extract", "now", "pg_current_wal_lsn", "?column?", "?column?"]);
    let types: Vec<T> = asked.columns.iter().map(|(_, t)| *t).collect();
    assert_eq!(types, [T::Int4, T::Name, T::Int8, T::Numeric, T::Text, T::Lsn, T::Text, T::Text]);
    // Without rows, too, and without doing anything.
    let asked = asks(
        &mut world,
        EAST,
        "lifeboat_act",
        "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE false",
    );
    let asked = asked.unwrap_or_else(|s| panic!("{s:?}"));
    assert_eq!(asked.columns.iter().map(|(_, t)| *t).collect::<Vec<_>>(), [T::Int4, T::Bool]);
}

#[test]
fn a_fence_of_either_kind_works_as_on_the_real_one() {
    let mut world = world();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename IN ('shop') AND pid <> pg_backend_pid()";
    let asked = asks(&mut world, EAST, "lifeboat_act", &format!("ALTER ROLE \"shop\" NOLOGIN; {end}"))
        .unwrap_or_else(|s| panic!("{s:?}"));
    assert_eq!(asked.rows, [[Some("11".to_owned())]]);
    assert_eq!(asked.effects, [Effect::Login("shop".into(), false)]);
    world.alter_login(EAST, "shop", false).unwrap();
    world.advance(at(8_000));
    assert_eq!(world.cluster("orders").unwrap().applications.connected, None, "nobody is let in");
    assert_eq!(
        one(&mut world, WEST, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'shop'"),
        "f",
        "it is replicated"
    );
    world.alter_login(EAST, "shop", true).unwrap();
    world.advance(at(11_000));
    assert_eq!(world.cluster("orders").unwrap().applications.connected, Some(EAST));

    use crate::systems::postgres::parse::hba;
    let read = "SELECT current_setting('hba_file'), pg_read_file(current_setting('hba_file'))";
    let row = asks(&mut world, EAST, "lifeboat_act", read).unwrap_or_else(|s| panic!("{s:?}")).rows.remove(0);
    let (path, text) = (row[0].clone().unwrap(), row[1].clone().unwrap());
    let fenced = hba::fenced(&text, &hba::lines(&["shop".to_owned()])).unwrap().unwrap();
    let message = format!(
        "{}; {}; SELECT pg_reload_conf()",
        hba::write(&text, &format!("{path}.lifeboat")),
        hba::write(&fenced, &path)
    );
    asks(&mut world, EAST, "lifeboat_act", &message).unwrap_or_else(|s| panic!("{s:?}"));
    let server = world.server(EAST).unwrap().1;
    assert_eq!(server.files.get(&path), Some(&fenced));
    assert_eq!(server.files.get(&format!("{path}.lifeboat")), Some(&text));
    use crate::practice::world::hba::Method;
    assert_eq!(server.rules.method("orders", "shop", "127.0.0.1".parse().unwrap()), Some(Method::Reject));
    assert_eq!(server.rules.method("orders", "lifeboat", "127.0.0.1".parse().unwrap()), Some(Method::Scram));
    let west = world.server(WEST).unwrap().1;
    assert_eq!(
        west.rules.method("orders", "shop", "127.0.0.1".parse().unwrap()),
        Some(Method::Scram),
        "a file is not replicated"
    );
}

#[test]
fn a_promotion_is_waited_for_and_loses_what_was_not_received() {
    let mut world = world();
    world.happen(Event::SiteLost(crate::practice::world::network::Site::East));
    world.advance(at(6_000));
    let stop = asks(&mut world, WEST, "lifeboat_act", "SELECT pg_promote(true, 60)").err();
    assert!(matches!(stop, Some(Stop::Wait(Wait::Promotion(s))) if s == 60.0));
    assert_eq!(one(&mut world, WEST, "SELECT pg_is_in_recovery()"), "t");
    world.advance(at(9_000));
    assert_eq!(one(&mut world, WEST, "SELECT pg_is_in_recovery()"), "f");
    assert_eq!(one(&mut world, WEST, "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"), "00000002");
    let before = one(&mut world, WEST, "SELECT pg_current_wal_flush_lsn()");
    one(&mut world, WEST, "SELECT pg_logical_emit_message(true, 'lifeboat', 'does a commit come back?')");
    assert_ne!(one(&mut world, WEST, "SELECT pg_current_wal_flush_lsn()"), before);
    let lost = world.log().iter().find_map(|h| match &h.what {
        crate::practice::world::event::What::Promoted { lost, .. } => Some(*lost),
        _ => None,
    });
    assert!(lost.unwrap().bytes > 0, "what was on its way is gone");
}

#[test]
fn advisory_locks_are_kept_through_a_promotion_and_given_back_with_a_session() {
    let mut world = world();
    assert_eq!(one(&mut world, WEST, "SELECT pg_try_advisory_lock(77)"), "t");
    let mine = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() \
         AND classid::bigint << 32 | objid::bigint = 77";
    assert_eq!(one(&mut world, WEST, mine), "1");
    world.promote(WEST).unwrap();
    world.advance(at(9_000));
    assert_eq!(one(&mut world, WEST, mine), "1");
    world.server_mut(WEST).unwrap().sessions.close(4_242);
    assert_eq!(one(&mut world, WEST, mine), "0");
}

#[test]
fn garbage_never_panics() {
    use proptest::prelude::*;
    let words = "SELECT|FROM|WHERE|orders|pg_class|(|)|,|*|1|'a'|NULL|=|<|AND|NOT|count|max|id|relname|AS|x|JOIN|ON|GROUP BY|ORDER BY|LIMIT|CASE|WHEN|THEN|END|::int|::text|||+|-|/|now|unnest|ARRAY[1]|IN|EXISTS|LIKE|UNION ALL";
    let config = ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() };
    let world = world();
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let words: Vec<&'static str> = words.split('|').filter(|w| !w.is_empty()).collect();
    let some = proptest::collection::vec(proptest::sample::select(words), 1..14);
    runner
        .run(&some, |words| {
            let mut world = world.clone();
            let _ = asks(&mut world, EAST, "lifeboat", &format!("SELECT {}", words.join(" ")));
            Ok(())
        })
        .unwrap();
}
