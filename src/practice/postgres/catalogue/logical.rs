//! Logical replication: there is none here, and its tables say so.

use super::{Columns, Table};
use crate::practice::postgres::value::Type;

use Type::{Bool, Char, Int4, Int8, Name, NameArray, Oid, Text, TextArray, Time};

macro_rules! empty {
    ($name:literal, $columns:ident) => {
        Table::new($name, $columns, |_| Ok(Vec::new()))
    };
}

pub(super) const TABLES: &[Table] = &[
    empty!("pg_subscription", SUBSCRIPTION),
    empty!("pg_stat_subscription", STAT),
    empty!("pg_stat_subscription_stats", STATS),
    empty!("pg_subscription_rel", REL),
    empty!("pg_publication", PUBLICATION),
    empty!("pg_publication_tables", PUBLISHED),
    empty!("pg_largeobject_metadata", LARGE),
];

const SUBSCRIPTION: Columns = &[
    ("oid", Oid),
    ("subdbid", Oid),
    ("subname", Name),
    ("subowner", Oid),
    ("subenabled", Bool),
    ("subdisableonerr", Bool),
    ("subslotname", Name),
    ("subpublications", TextArray),
];
const STAT: Columns = &[
    ("subid", Oid),
    ("subname", Name),
    ("worker_type", Text),
    ("pid", Int4),
    ("leader_pid", Int4),
    ("relid", Oid),
    ("received_lsn", Type::Lsn),
    ("last_msg_send_time", Time),
    ("last_msg_receipt_time", Time),
    ("latest_end_lsn", Type::Lsn),
    ("latest_end_time", Time),
];
const STATS: Columns = &[
    ("subid", Oid),
    ("subname", Name),
    ("apply_error_count", Int8),
    ("sync_error_count", Int8),
    ("stats_reset", Time),
];
const REL: Columns = &[("srsubid", Oid), ("srrelid", Oid), ("srsubstate", Char), ("srsublsn", Type::Lsn)];
const PUBLICATION: Columns = &[
    ("oid", Oid),
    ("pubname", Name),
    ("pubowner", Oid),
    ("puballtables", Bool),
    ("pubinsert", Bool),
    ("pubupdate", Bool),
    ("pubdelete", Bool),
    ("pubtruncate", Bool),
    ("pubviaroot", Bool),
];
const PUBLISHED: Columns =
    &[("pubname", Name), ("schemaname", Name), ("tablename", Name), ("attnames", NameArray), ("rowfilter", Text)];
const LARGE: Columns = &[("oid", Oid), ("lomowner", Oid)];
