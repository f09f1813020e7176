//! Rows that are equal, kept once: the servers of a fleet are set up alike.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{Row, Value};

/// Rows that nobody else holds are forgotten once there are so many, and twice as many as were left the last time.
const LOOK_THROUGH: usize = 512;

/// The rows of tables, each once. One owner: the application's state.
#[derive(Debug, Default)]
pub struct Pool {
    rows: HashMap<u64, Row>,
    left: usize,
}

impl Pool {
    /// Replaces each row of a table by an equal one that is there already, and takes in the others. Rows with a moment or
    /// a position are passed by: they are never the same twice.
    pub fn share(&mut self, value: &mut Value) {
        let Value::Rows(rows) = value else { return };
        for row in rows.iter_mut() {
            let Some(print) = print(row) else { continue };
            match self.rows.get(&print) {
                Some(known) if known == row => *row = known.clone(),
                // Two rows with one print: the first stays, and the other is not shared.
                Some(_) => {}
                None => {
                    self.rows.insert(print, row.clone());
                }
            }
        }
        rows.shrink_to_fit();
        if self.rows.len() > LOOK_THROUGH.max(self.left.saturating_mul(2)) {
            self.rows.retain(|_, row| row.is_shared());
            self.left = self.rows.len();
        }
    }
}

/// What equal rows have in common; `None` for one that no other equals.
fn print(row: &Row) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    for (name, value) in row.columns() {
        name.hash(&mut hasher);
        std::mem::discriminant(value).hash(&mut hasher);
        match value {
            Value::NotApplicable | Value::Null => {}
            Value::Bool(b) => b.hash(&mut hasher),
            Value::Int(n) => n.hash(&mut hasher),
            Value::Text(t) => t.hash(&mut hasher),
            Value::Number(_) | Value::Bytes(_) | Value::Span(_) | Value::Lsn(_) | Value::Time(_) | Value::Rows(_) => {
                return None;
            }
        }
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(setting: &str) -> Value {
        Value::Rows(vec![Row::default().with("name", Value::text("fsync")).with("setting", Value::text(setting))])
    }

    fn row(value: &Value) -> &Row {
        let Value::Rows(rows) = value else { panic!("a table") };
        &rows[0]
    }

    #[test]
    fn equal_rows_are_one_and_others_are_left_alone() {
        let mut pool = Pool::default();
        let (mut a, mut b, mut c) = (table("on"), table("on"), table("off"));
        for value in [&mut a, &mut b, &mut c] {
            pool.share(value);
        }
        assert_eq!((row(&a).holders(), row(&b).holders(), row(&c).holders()), (3, 3, 2), "the pool holds one each");
        assert_eq!((&a, &b, &c), (&table("on"), &table("on"), &table("off")));
    }

    #[test]
    fn what_nobody_holds_any_more_is_forgotten() {
        let mut pool = Pool::default();
        let mut kept = table("on");
        pool.share(&mut kept);
        for n in 0..10 * LOOK_THROUGH {
            pool.share(&mut table(&n.to_string()));
        }
        assert!(pool.rows.len() <= LOOK_THROUGH);
        pool.share(&mut kept);
        assert_eq!(row(&kept).holders(), 2, "what is held was not forgotten");
    }

    #[test]
    fn what_changes_with_every_look_is_not_taken_in() {
        let mut pool = Pool::default();
        let age = Value::Span(crate::plan::Span::secs(1));
        pool.share(&mut Value::Rows(vec![Row::default().with("age", age)]));
        pool.share(&mut Value::Int(1));
        assert_eq!(pool.rows.len(), 0);
    }
}
