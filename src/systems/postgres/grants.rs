//! What `doctor` says of privileges on tables and sequences: each that is missing, with the exact statement that gives it.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::client::Connection;
use super::faults::gap_of;
use super::parse::Table;
use super::queries::logical::closed_sequences;
use crate::readiness::{Examined, Gap, Reason, Verdict};

/// Most sequences of one schema that are named one by one.
const MOST_NAMED: usize = 5;

/// What a lane reads beside the server's own views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Nothing.
    Views,
    /// Every sequence of the database: a logical replication leaves them behind.
    Sequences,
    /// What this query of the user's reads, and none of the server's views.
    Query(String),
}

/// The relations that a query may mean and the role may not read: those whose name stands in its text as a word. Which of
/// them it does read, only running it would tell; that the look has done, and it succeeds where none is missing.
fn closed_relations(query: &str) -> String {
    // Names that are not quoted are in small letters.
    let text = format!("{query} {}", query.to_lowercase()).replace('\\', r"\\").replace('\'', "''");
    format!(
        "SELECT quote_ident(n.nspname), quote_ident(c.relname), has_schema_privilege(n.oid, 'USAGE'), \
         has_table_privilege(c.oid, 'SELECT') \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') \
         AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
         AND c.relname = ANY (regexp_split_to_array(E'{text}', E'[^[:alnum:]_$]+')) \
         AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')) \
         ORDER BY 1, 2 LIMIT 100"
    )
}

/// Asks for what is missing; `role` is who looks, `standby` whether the statement must be run on the primary.
pub(super) async fn missing(
    connection: &mut Connection,
    reads: &Reads,
    (role, standby): (&str, bool),
    server: &str,
    deadline: Instant,
) -> Vec<Examined> {
    let question = match reads {
        Reads::Views => return Vec::new(),
        Reads::Sequences => closed_sequences(),
        Reads::Query(query) => closed_relations(query),
    };
    connection.renew();
    let told = match tokio::time::timeout_at(deadline, connection.tell(&question)).await {
        Ok(Ok(told)) => told,
        Ok(Err(gap)) => return vec![Examined::gap(&gap, server)],
        Err(_) => return vec![Examined::gap(&Reason::TimedOut.into(), server)],
    };
    if let Some(e) = &told.failed {
        return vec![Examined::gap(&gap_of(e), server)];
    }
    let role = Role { name: role, at: if standby { " on the primary, from where it is replicated" } else { "" } };
    let found = match reads {
        Reads::Views => Ok(Vec::new()),
        Reads::Sequences => role.sequences(&told.tables),
        Reads::Query(_) => role.relations(&told.tables),
    };
    found.unwrap_or_else(|gap| vec![Examined::gap(&gap, server)])
}

/// Who lacks a privilege, and where a statement that gives it is to be run.
struct Role<'a> {
    name: &'a str,
    at: &'static str,
}

impl Role<'_> {
    fn lacks(&self, what: &str, statement: &str) -> Examined {
        let quoted = format!("\"{}\"", self.name.replace('"', "\"\""));
        let next = format!("{statement} TO {quoted};{}", self.at);
        Examined::bad(Verdict::NotReady, "privilege-missing", &format!("{} may not {what}", self.name), &next)
    }

    fn sequences(&self, tables: &[Table]) -> Result<Vec<Examined>, Gap> {
        let mut schemas: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for [schema, name] in rows(tables)? {
            schemas.entry(schema).or_default().push(name);
        }
        if schemas.is_empty() {
            return Ok(vec![Examined::well("sequences", &format!("{} may read every sequence", self.name))]);
        }
        let of = |(schema, names): (String, Vec<String>)| {
            if names.len() > MOST_NAMED {
                let what = format!("read {} sequences of schema {schema}", names.len());
                return self.lacks(&what, &format!("GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema}"));
            }
            let full = names.iter().map(|n| format!("{schema}.{n}")).collect::<Vec<_>>().join(", ");
            self.lacks(&format!("read {full}"), &format!("GRANT SELECT ON SEQUENCE {full}"))
        };
        Ok(schemas.into_iter().map(of).collect())
    }

    fn relations(&self, tables: &[Table]) -> Result<Vec<Examined>, Gap> {
        let mut found: Vec<Examined> = Vec::new();
        for [schema, name, used, selected] in rows(tables)? {
            if used != "t" {
                let exam = self.lacks(&format!("use schema {schema}"), &format!("GRANT USAGE ON SCHEMA {schema}"));
                if !found.contains(&exam) {
                    found.push(exam);
                }
            }
            if selected != "t" {
                let full = format!("{schema}.{name}");
                found.push(self.lacks(&format!("read {full}"), &format!("GRANT SELECT ON {full}")));
            }
        }
        Ok(found)
    }
}

/// Every row, each cell there.
fn rows<const N: usize>(tables: &[Table]) -> Result<Vec<[String; N]>, Gap> {
    let row = |row: &Vec<Option<String>>| {
        let cells: Option<Vec<String>> = row.iter().cloned().collect();
        cells.and_then(|c| <[String; N]>::try_from(c).ok())
    };
    let all: Option<Vec<[String; N]>> = tables.iter().flatten().map(row).collect();
    all.ok_or_else(|| Gap::new(Reason::Malformed, "another answer than was asked for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[&[&str]]) -> Vec<Table> {
        vec![rows.iter().map(|r| r.iter().map(|c| Some((*c).to_owned())).collect()).collect()]
    }

    fn next(found: &[Examined]) -> Vec<&str> {
        found.iter().map(|e| e.next.as_ref().map_or("", |n| n.as_str())).collect()
    }

    #[test]
    fn each_statement_is_exact() {
        let role = Role { name: "look\"er", at: "" };
        let closed = table(&[&["public", "a"], &["public", "\"B c\""], &["shop", "x"]]);
        let wanted = [
            r#"GRANT SELECT ON SEQUENCE public.a, public."B c" TO "look""er";"#,
            r#"GRANT SELECT ON SEQUENCE shop.x TO "look""er";"#,
        ];
        assert_eq!(next(&role.sequences(&closed).unwrap()), wanted);
        let many: Vec<&[&str]> = vec![
            &["public", "a"],
            &["public", "b"],
            &["public", "c"],
            &["public", "d"],
            &["public", "e"],
            &["public", "f"],
        ];
        let wanted = [r#"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO "look""er";"#];
        assert_eq!(next(&role.sequences(&table(&many)).unwrap()), wanted);
        assert_eq!(role.sequences(&table(&[])).unwrap()[0].code, "sequences");

        let closed = table(&[&["s", "a", "f", "f"], &["s", "b", "f", "t"], &["t", "c", "t", "f"]]);
        let wanted = [
            r#"GRANT USAGE ON SCHEMA s TO "look""er";"#,
            r#"GRANT SELECT ON s.a TO "look""er";"#,
            r#"GRANT SELECT ON t.c TO "look""er";"#,
        ];
        assert_eq!(next(&role.relations(&closed).unwrap()), wanted);
        assert!(role.relations(&table(&[&["s"]])).is_err());
    }

    #[test]
    fn a_query_is_a_text_and_nothing_else() {
        let sql = closed_relations(r"SELECT x FROM Sales WHERE y = 'a\'");
        assert!(
            sql.contains(r"E'SELECT x FROM Sales WHERE y = ''a\\'' select x from sales where y = ''a\\''', E'"),
            "{sql}"
        );
    }
}
