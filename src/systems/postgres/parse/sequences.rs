//! A logical subscriber's sequences, and how far each must go: replication carries rows, and not the sequences that
//! numbered them.

use super::{Cells, Table, malformed};
use crate::readiness::Gap;

/// The most sequences that one step sets.
pub const MOST: usize = 2_000;

/// A sequence of users: names are quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// With its schema.
    pub name: String,
    /// The table and column that it numbers, where it is owned by one.
    pub of: Option<(String, String)>,
    /// By how much it steps; below zero it descends.
    pub step: i64,
    /// Whether the role that acts may set it.
    pub may_set: bool,
    /// Whether that role may read the table.
    pub may_read: bool,
}

/// The question that [`sequences`] reads. `role` is the role that acts, quoted as a text.
#[must_use]
pub fn question(role: &str) -> String {
    let id = format!("(SELECT oid FROM pg_roles WHERE rolname = {role})");
    format!(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), \
         quote_ident(m.nspname) || '.' || quote_ident(t.relname), quote_ident(a.attname), q.seqincrement, \
         has_sequence_privilege({id}, c.oid, 'UPDATE'), has_table_privilege({id}, t.oid, 'SELECT') \
         FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid \
         AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') \
         LEFT JOIN pg_class t ON t.oid = d.refobjid LEFT JOIN pg_namespace m ON m.oid = t.relnamespace \
         LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
         WHERE c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS \
         (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e') \
         ORDER BY 1 LIMIT {}",
        MOST + 1
    )
}

/// Reads the answer to [`question`].
///
/// # Errors
/// `Malformed`.
pub fn sequences(table: &Table) -> Result<Vec<Sequence>, Gap> {
    let one = |row: &Vec<Option<String>>| {
        let cells = Cells(row);
        let of = cells.text(1)?.zip(cells.text(2)?).map(|(t, c)| (t.to_owned(), c.to_owned()));
        Ok(Sequence {
            name: cells.text(0)?.ok_or_else(|| malformed("a sequence without a name"))?.to_owned(),
            step: cells.int(3)?.ok_or_else(|| malformed("a sequence without a step"))?,
            may_set: cells.bool(4)?.unwrap_or(false),
            may_read: of.is_none() || cells.bool(5)?.unwrap_or(false),
            of,
        })
    };
    table.iter().map(one).collect()
}

/// A sequence's newest value, as SQL: NULL where none was drawn, or where the role may not read it.
#[must_use]
pub fn last_value(name: &str) -> String {
    let text = super::super::options::steps::quoted_text(name);
    format!(
        "CASE WHEN has_sequence_privilege({text}, 'SELECT,USAGE') THEN pg_sequence_last_value({text}::regclass) END"
    )
}

impl Sequence {
    /// The question for its newest value, and the newest value in its column; of a role that may read both.
    #[must_use]
    pub fn values(&self) -> String {
        let most = match &self.of {
            Some((table, column)) => {
                let end = if self.step < 0 { "min" } else { "max" };
                format!("(SELECT {end}({column})::bigint FROM {table})")
            }
            None => "NULL".to_owned(),
        };
        format!("SELECT {}, {most}", last_value(&self.name))
    }

    /// Of two values the one further on.
    #[must_use]
    pub fn further(&self, a: Option<i64>, b: Option<i64>) -> Option<i64> {
        if self.step < 0 { [a, b].into_iter().flatten().min() } else { [a, b].into_iter().flatten().max() }
    }

    /// How far it must be when the newest value that anybody saw is `newest`: the margin beyond it.
    #[must_use]
    pub fn target(&self, newest: i64, margin: u64) -> i64 {
        let margin = i64::try_from(margin).unwrap_or(i64::MAX);
        newest.saturating_add(self.step.saturating_mul(margin))
    }

    /// Whether it is there, or beyond.
    #[must_use]
    pub fn reached(&self, last: Option<i64>, target: i64) -> bool {
        last.is_some_and(|last| if self.step < 0 { last <= target } else { last >= target })
    }

    /// What is shown of how it would be set.
    #[must_use]
    pub fn shown(&self, margin: u64) -> String {
        let newest = match &self.of {
            Some((table, column)) => format!("newest of max({column}) in {table} and its value at the publisher"),
            None => "its value at the publisher, where that answers".to_owned(),
        };
        format!("SELECT setval('{}', {newest}, and {margin} steps of {} more)", self.name, self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(step: i64) -> Sequence {
        let of = Some(("public.orders".to_owned(), "n".to_owned()));
        Sequence { name: "public.orders_n_seq".to_owned(), of, step, may_set: true, may_read: true }
    }

    #[test]
    fn both_directions_go_on() {
        let up = one(1);
        assert_eq!(up.target(41, 1_000), 1_041);
        assert_eq!(up.further(Some(3), Some(5)), Some(5));
        assert!(up.reached(Some(1_041), 1_041) && !up.reached(Some(1_040), 1_041) && !up.reached(None, 1));
        let down = one(-2);
        assert_eq!(down.target(-10, 100), -210);
        assert_eq!(down.further(Some(-3), Some(-5)), Some(-5));
        assert!(down.reached(Some(-210), -210) && !down.reached(Some(-208), -210));
        assert_eq!(up.target(i64::MAX, 5), i64::MAX);
        assert_eq!(up.further(None, None), None);
    }

    #[test]
    fn a_sequence_without_a_column_has_only_its_value() {
        let free = Sequence { of: None, ..one(1) };
        assert!(free.values().ends_with(", NULL"), "{}", free.values());
        assert!(one(-1).values().contains("min(n)"));
    }

    #[test]
    fn rows_are_sequences() {
        let cell = |t: &str| Some(t.to_owned());
        let table = vec![
            vec![cell("public.s"), None, None, cell("1"), cell("t"), None],
            vec![cell("public.t_n_seq"), cell("public.t"), cell("n"), cell("5"), cell("f"), cell("f")],
        ];
        let read = sequences(&table).unwrap();
        assert!(read[0].may_read && read[0].may_set && read[0].of.is_none());
        assert!(!read[1].may_read && !read[1].may_set);
        assert!(sequences(&vec![vec![None]]).is_err());
    }
}
