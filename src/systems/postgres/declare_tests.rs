use proptest::prelude::*;

use super::*;

#[test]
fn one_query_is_one_query() {
    for good in [
        "SELECT max(at) FROM t",
        "  select max(at) from t ; ",
        "-- newest\nWITH x AS (SELECT 1) SELECT max(at) FROM x;",
        "SELECT max(at) FROM t WHERE a = ';' AND \"b;\" = 1 /* ; */",
        "SELECT 'it''s'::timestamptz",
    ] {
        assert_eq!(one_query(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        ";",
        "DELETE FROM t",
        "SELECT 1; SELECT 2",
        "SELECT 1 ; -- done",
        "SELECT 1) AS v) q; DROP TABLE t; --",
        "SELECT (1",
        "SELECT 'x",
        "SELECT $$;$$",
        "SELECT E'\\'; DROP TABLE t; --'",
        "selection",
        "/* SELECT",
        "SELECT \"x",
    ] {
        assert!(one_query(bad).is_err(), "{bad}");
    }
}

/// What comes up from backups has a primary and no standby; anything else needs both.
#[test]
fn one_server_is_enough_only_at_home_and_where_nothing_replicates() {
    use crate::plan::Strategy::{BackupRestore, PilotLight, WarmStandby};
    let sites = [SiteId::new("east"), SiteId::new("west")];
    let objectives = crate::plan::Objectives { rpo: Span::secs(60), rto: Span::secs(300) };
    let id = crate::plan::ProbeId::new(&crate::plan::PlanId::new("shop"), "db");
    let of = |strategy, mode: &str, site: &str| {
        let context = ReadContext {
            id: &id,
            sites: &sites,
            home: &sites[0],
            strategy,
            objectives: &objectives,
            area: crate::plan::Area::Replication,
            interval: std::time::Duration::from_secs(5),
            timeout: std::time::Duration::from_secs(3),
        };
        let options = serde_json::json!({ "mode": mode, "at": { site: "postgres://u@a/d" } });
        read(&context, options).is_ok()
    };
    assert!(of(BackupRestore, "replicating", "east"));
    assert!(!of(BackupRestore, "replicating", "west"));
    assert!(!of(BackupRestore, "logical", "east"));
    assert!(!of(PilotLight, "replicating", "east") && !of(WarmStandby, "replicating", "east"));
}

proptest! {
    #[test]
    fn never_panics(text in ".*|[-'\"/*;() a-zE\\\\$\n]*") {
        let _ = one_query(&text);
    }
}
