//! What a look at a server of a logical replication asks.
//!
//! `pg_subscription` shows a role without superuser rights all but `subconninfo`; before version 14 not its `oid` either,
//! so there it is joined by name.

/// One statement of such a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// Types are named with their schema, the same on both sites.
    SearchPath,
    /// `pg_subscription` with its workers and errors.
    Subscriptions,
    /// `pg_subscription.subpublications`.
    Taken,
    /// `pg_subscription_rel`.
    Subscribed,
    /// `pg_publication`.
    Publications,
    /// `pg_publication_tables`, and leaves.
    Published,
    /// `pg_class` and `pg_attribute`.
    Tables,
    /// `pg_sequence` and values.
    Sequences,
    /// `pg_replication_slots`, logical.
    Slots,
    /// Large objects, unlogged tables, materialized views.
    Leftovers,
    /// The columns of some tables.
    Columns,
    /// `pg_show_replication_origin_status()`, which is the superuser's unless granted: last, because an error ends the
    /// message.
    Origins,
}

/// The most tables that are compared between sites.
pub const MOST_TABLES: usize = 5_000;
/// The most sequences that are compared between sites.
pub const MOST_SEQUENCES: usize = 2_000;
/// The most tables whose columns are compared.
pub const MOST_DIFFERING: usize = 20;

/// The statements of a look, in the order in which they are sent; what names types comes right after the setting that it
/// needs, for a statement that fails ends a transaction.
pub const LOGICAL: &[Ask] = &[
    Ask::SearchPath,
    Ask::Tables,
    Ask::Columns,
    Ask::Subscriptions,
    Ask::Taken,
    Ask::Subscribed,
    Ask::Publications,
    Ask::Published,
    Ask::Sequences,
    Ask::Slots,
    Ask::Leftovers,
    Ask::Origins,
];

/// Tables and sequences of users: not the system's, not of this session, not an extension's own.
const OF_USERS: &str = "c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
     AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')";
const NAME: &str = "quote_ident(n.nspname) || '.' || quote_ident(c.relname)";
const COLUMN_LIST: &str = "(SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) \
     || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END, ', ' ORDER BY a.attname) \
     FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)";
const OF_HERE: &str = "JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()";

impl Ask {
    /// How many columns its rows have.
    #[must_use]
    pub const fn columns(self) -> usize {
        match self {
            Self::SearchPath => 0,
            Self::Subscriptions => 10,
            Self::Taken | Self::Origins | Self::Columns => 2,
            Self::Subscribed | Self::Leftovers => 3,
            Self::Published | Self::Tables => 4,
            Self::Publications => 5,
            Self::Sequences => 6,
            Self::Slots => 7,
        }
    }

    /// The statement for a server of this version (`server_version_num`); `None` where it needs more than a version.
    #[must_use]
    pub fn sql(self, version: i64) -> Option<String> {
        let text = match self {
            Self::SearchPath => "SET LOCAL search_path = pg_catalog".to_owned(),
            Self::Subscriptions => subscriptions(version),
            Self::Taken => {
                format!("SELECT s.subname, p FROM pg_subscription s {OF_HERE} CROSS JOIN unnest(s.subpublications) p")
            }
            Self::Subscribed => format!(
                "SELECT w.subname, {NAME}, r.srsubstate FROM pg_subscription_rel r \
                 JOIN pg_class c ON c.oid = r.srrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                 JOIN (SELECT DISTINCT subid, subname FROM pg_stat_subscription) w ON w.subid = r.srsubid"
            ),
            Self::Publications => {
                "SELECT pubname, pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication".to_owned()
            }
            Self::Published => published(version),
            Self::Tables => format!(
                "SELECT {NAME}, left(encode(sha256(convert_to(coalesce({COLUMN_LIST}, ''), 'UTF8')), 'hex'), 16), \
                 c.relkind = 'r', c.relreplident = 'f' OR EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid \
                 AND i.indisvalid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident \
                 ELSE false END) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p') AND {OF_USERS} LIMIT {}",
                MOST_TABLES + 1
            ),
            Self::Sequences => format!(
                "SELECT {NAME}, CASE WHEN has_sequence_privilege(c.oid, 'SELECT,USAGE') THEN pg_sequence_last_value(c.oid) END, \
                 q.seqstart, q.seqincrement, q.seqcycle, has_sequence_privilege(c.oid, 'SELECT,USAGE') \
                 FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE {OF_USERS} LIMIT {}",
                MOST_SEQUENCES + 1
            ),
            Self::Slots => {
                let invalid = match version {
                    170_000.. => "invalidation_reason IS NOT NULL",
                    160_000.. => "coalesce(conflicting, false)",
                    _ => "false",
                };
                format!(
                    "SELECT slot_name, active, wal_status, confirmed_flush_lsn, safe_wal_size, \
                     CASE WHEN pg_is_in_recovery() THEN NULL \
                     ELSE pg_wal_lsn_diff(pg_current_wal_flush_lsn(), restart_lsn) END, {invalid} \
                     FROM pg_replication_slots WHERE slot_type = 'logical' AND NOT temporary AND database = current_database()"
                )
            }
            Self::Leftovers => format!(
                "SELECT (SELECT count(*) FROM (SELECT 1 FROM pg_largeobject_metadata LIMIT 1000) l), \
                 count(*) FILTER (WHERE c.relpersistence = 'u' AND c.relkind = 'r'), \
                 count(*) FILTER (WHERE c.relkind = 'm') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE {}",
                OF_USERS.replace("c.relpersistence = 'p'", "c.relkind IN ('r', 'm')")
            ),
            Self::Columns => return None,
            Self::Origins => "SELECT substr(external_id, 4), remote_lsn FROM pg_show_replication_origin_status() \
                 WHERE external_id ~ '^pg_[0-9]+$'"
                .to_owned(),
        };
        Some(text)
    }
}

/// The sequences that a look cannot read, by schema and name: those of [`Ask::Sequences`] that the role has no privilege
/// on. The question is asked of sequences alone, in whatever order the planner takes the conditions.
#[must_use]
pub fn closed_sequences() -> String {
    format!(
        "SELECT quote_ident(n.nspname), quote_ident(c.relname) FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OF_USERS} \
         AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'SELECT,USAGE') END \
         ORDER BY 1, 2 LIMIT {MOST_SEQUENCES}"
    )
}

fn subscriptions(version: i64) -> String {
    let same = if version >= 140_000 { "w.subid = s.oid" } else { "w.subname = s.subname" };
    // A parallel worker of a streamed transaction is not the one that applies.
    let leader = if version >= 160_000 { " AND w.leader_pid IS NULL" } else { "" };
    let (errors, stats, disable) = if version >= 150_000 {
        (
            "e.apply_error_count + e.sync_error_count",
            " LEFT JOIN pg_stat_subscription_stats e ON e.subid = s.oid",
            "s.subdisableonerr",
        )
    } else {
        ("NULL", "", "NULL")
    };
    format!(
        "SELECT s.subname, s.subenabled, s.subslotname, w.pid IS NOT NULL, w.received_lsn, w.latest_end_lsn, \
         extract(epoch FROM clock_timestamp() - b.backend_start), {errors}, {disable}, \
         coalesce(w.subid, (SELECT min(i.subid) FROM pg_stat_subscription i WHERE i.subname = s.subname)) \
         FROM pg_subscription s {OF_HERE} \
         LEFT JOIN pg_stat_subscription w ON {same} AND w.relid IS NULL{leader} \
         LEFT JOIN pg_stat_activity b ON b.pid = w.pid{stats}"
    )
}

fn published(version: i64) -> String {
    let partial = if version >= 150_000 {
        "p.rowfilter IS NOT NULL OR cardinality(p.attnames) < (SELECT count(*) FROM pg_attribute a \
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')"
    } else {
        "false"
    };
    format!(
        "WITH direct AS (SELECT p.pubname, c.oid, {partial} AS partial FROM pg_publication_tables p \
         JOIN pg_namespace o ON o.nspname = p.schemaname JOIN pg_class c ON c.relnamespace = o.oid AND c.relname = p.tablename), \
         covered AS (SELECT pubname, oid, true AS direct, partial FROM direct UNION ALL \
         SELECT v.pubname, t.relid, false, v.partial FROM direct v JOIN pg_class k ON k.oid = v.oid AND k.relkind = 'p' \
         CROSS JOIN pg_partition_tree(v.oid) t WHERE t.isleaf) \
         SELECT v.pubname, {NAME}, v.direct, v.partial FROM covered v JOIN pg_class c ON c.oid = v.oid \
         JOIN pg_namespace n ON n.oid = c.relnamespace"
    )
}

/// The statement for the columns of some tables, by the names that [`Ask::Tables`] gave; `None` where there are none.
#[must_use]
pub fn columns(tables: &[String]) -> Option<String> {
    // A name is the server's own word, and still quoted as anybody's.
    let quoted: Vec<String> = tables
        .iter()
        .filter(|t| !t.contains(['\\', '\0']))
        .take(MOST_DIFFERING)
        .map(|t| format!("'{}'", t.replace('\'', "''")))
        .collect();
    (!quoted.is_empty()).then(|| {
        format!(
            "SELECT {NAME}, {COLUMN_LIST} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND {OF_USERS} AND {NAME} IN ({})",
            quoted.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_quotes() {
        let sql = columns(&["public.\"it's\"".to_owned(), "a\\'; DROP".to_owned()]).unwrap();
        assert!(sql.ends_with("IN ('public.\"it''s\"')"), "{sql}");
        assert_eq!(columns(&[]), None);
    }
}
