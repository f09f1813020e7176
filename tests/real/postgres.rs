use super::pg::{PgPair, until};

#[test]
fn a_pair_starts_and_replicates() {
    let pair = PgPair::start();
    pair.primary.sql("CREATE TABLE t AS SELECT 1 AS n");
    until("the row arrives", || pair.standby.sql("SELECT count(*) FROM pg_class WHERE relname = 't'") == "1");
    assert_eq!(pair.standby.sql("SELECT pg_is_in_recovery()"), "t");
}
