//! What a look at a command reads: what it says.

use crate::plan::SignalId;
use crate::readiness::signals::Signal;

/// Its verdict: `ready`, `degraded`, `not-ready` or `unknown`.
pub const VERDICT: SignalId = SignalId::new("command.verdict");
/// Its one line.
pub const SAYS: SignalId = SignalId::new("command.says");
/// What it advises. Not applicable where it advises nothing.
pub const NEXT: SignalId = SignalId::new("command.next");
/// The numbers that it tells, one row each: `name` text, `value` number or null, `unit` text, `warn` and `crit` text or
/// null (ranges, as they were told), `min` and `max` number or null.
pub const VALUES: SignalId = SignalId::new("command.values");
/// The number whose history is drawn. Not applicable where it tells none.
pub const VALUE: SignalId = SignalId::new("command.value");
/// When what it says was true. Not applicable where it does not say.
pub const AS_OF: SignalId = SignalId::new("command.as_of");

/// Every signal, with unit and meaning.
pub const SIGNALS: &[Signal] = &[
    Signal::new(VERDICT, "text", "what a command says of readiness"),
    Signal::new(SAYS, "text", "a command's one line"),
    Signal::new(NEXT, "text", "what a command advises"),
    Signal::new(VALUES, "rows", "the numbers that a command tells"),
    Signal::charted(VALUE, "number", "the number of a command whose history is drawn"),
    Signal::new(AS_OF, "time", "when what a command says was true"),
];
