use proptest::prelude::*;

use super::*;

#[test]
fn one_query_is_one_query() {
    for good in [
        "SELECT max(at) FROM t",
        "  select max(at) from t ; -- done",
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

proptest! {
    #[test]
    fn never_panics(text in ".*|[-'\"/*;() a-zE\\\\$\n]*") {
        let _ = one_query(&text);
    }
}
