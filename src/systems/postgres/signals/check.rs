//! What a `sql-check` reads.

use crate::plan::SignalId;
use crate::readiness::signals::Signal;

/// What the query gave, one row: `value` text or null, `type` text (`pg_typeof`). No row, several rows and several columns
/// are gaps.
pub const VALUE: SignalId = SignalId::new("sql-check.value");
/// The same as a number, where it is one.
pub const NUMBER: SignalId = SignalId::new("sql-check.number");

/// Every signal, with unit and meaning.
pub const SIGNALS: &[Signal] = &[
    Signal::new(VALUE, "rows", "what the query gave, with its type"),
    Signal::charted(NUMBER, "count", "what the query gave, as a number"),
];
