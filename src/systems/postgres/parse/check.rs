//! From the answer to a `sql-check`'s query to observed values.

use super::{Cells, Table, malformed};
use crate::readiness::{Gap, Reason, Row, Value};
use crate::systems::Observed;
use crate::systems::postgres::signals::check::{NUMBER, VALUE};

/// Types whose values are numbers.
const NUMERIC: [&str; 6] = ["smallint", "integer", "bigint", "numeric", "real", "double precision"];

/// Whether a type's values are numbers.
#[must_use]
pub fn is_number(kind: &str) -> bool {
    NUMERIC.contains(&kind)
}

/// Both signals. `table` has two rows at most: the type of the first column, then every column.
#[must_use]
pub fn check(table: Result<&Table, Gap>) -> Vec<Observed> {
    let read = table.and_then(one);
    let number = read.as_ref().map(|(value, kind)| as_number(value.as_deref(), kind)).map_err(Clone::clone);
    let value = read.map(|(value, kind)| {
        let shown = value.as_deref().map_or(Value::Null, Value::text);
        Value::Rows(vec![Row::default().with("value", shown).with("type", Value::text(&kind))])
    });
    let of = |signal, value| Observed { signal, value, as_of: None };
    vec![of(VALUE, value), of(NUMBER, number)]
}

fn one(table: &Table) -> Result<(Option<String>, String), Gap> {
    let row = match table.as_slice() {
        [] => return Err(Gap::new(Reason::Absent, "the query gives no row")),
        [row] => row,
        [..] => return Err(malformed("the query gives more than one row")),
    };
    if row.len() != 2 {
        return Err(malformed(&format!("the query gives {} columns, not one", row.len().saturating_sub(1))));
    }
    let cells = Cells(row);
    let kind = cells.text(0)?.ok_or_else(|| malformed("a value without a type"))?;
    let value = cells.text(1)?;
    if value.is_some_and(|v| v.len() > 900) {
        return Err(Gap::new(Reason::TooLarge, "the query gives a value of more than 900 bytes"));
    }
    Ok((value.map(str::to_owned), kind.to_owned()))
}

fn as_number(value: Option<&str>, kind: &str) -> Value {
    let number = value.filter(|_| is_number(kind)).and_then(|v| v.parse::<f64>().ok()).filter(|n| n.is_finite());
    number.map_or(Value::NotApplicable, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &[&[Option<&str>]]) -> Result<String, String> {
        let table: Table = rows.iter().map(|r| r.iter().map(|c| c.map(str::to_owned)).collect()).collect();
        match check(Ok(&table)).swap_remove(0).value {
            Ok(Value::Rows(rows)) => Ok(format!("{} {}", rows[0].get("type").unwrap(), rows[0].get("value").unwrap())),
            Ok(other) => panic!("{other:?}"),
            Err(gap) => Err(gap.to_string()),
        }
    }

    #[test]
    fn one_row_of_one_column() {
        assert_eq!(read(&[&[Some("bigint"), Some("5")]]), Ok("bigint 5".to_owned()));
        assert_eq!(read(&[&[Some("text"), None]]), Ok("text NULL".to_owned()));
        assert_eq!(read(&[]), Err("the query gives no row".to_owned()));
        assert_eq!(
            read(&[&[Some("text"), Some("a")], &[Some("text"), Some("b")]]),
            Err("the query gives more than one row".to_owned())
        );
        assert_eq!(
            read(&[&[Some("text"), Some("a"), Some("b")]]),
            Err("the query gives 2 columns, not one".to_owned())
        );
        assert_eq!(read(&[&[None, Some("a")]]), Err("a value without a type".to_owned()));
    }
}
