//! What a practice server refuses, with the codes of the real one (PostgreSQL's documentation, appendix A).

use pgwire::error::{ErrorInfo, PgWireError};

/// An error, as a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// SQLSTATE.
    pub code: &'static str,
    /// The message.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
    /// Whether the session ends with it.
    pub fatal: bool,
}

impl SqlError {
    /// An error that ends the statement.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, fatal: false }
    }

    /// An error that ends the session.
    #[must_use]
    pub fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self { fatal: true, ..Self::new(code, message) }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What this server does not speak.
    #[must_use]
    pub fn unsupported(what: &str) -> Self {
        Self::new("0A000", format!("the practice server does not support {what}"))
    }

    /// A function that is not there, or not with such arguments.
    #[must_use]
    pub fn no_function(name: &str) -> Self {
        Self::new("42883", format!("function {name}(...) does not exist"))
            .hint("No function matches the given name and argument types. You might need to add explicit type casts.")
    }

    /// A value that its type does not have.
    #[must_use]
    pub fn bad_text(kind: &str, text: &str) -> Self {
        Self::new("22P02", format!("invalid input syntax for type {kind}: \"{text}\""))
    }

    /// What the role may not.
    #[must_use]
    pub fn denied(what: &str) -> Self {
        Self::new("42501", format!("permission denied for {what}"))
    }

    /// As the protocol's library takes it.
    #[must_use]
    pub fn info(self) -> ErrorInfo {
        let severity = if self.fatal { "FATAL" } else { "ERROR" };
        let mut info = ErrorInfo::new(severity.to_owned(), self.code.to_owned(), self.message);
        info.hint = self.hint;
        info
    }
}

impl From<SqlError> for PgWireError {
    fn from(e: SqlError) -> Self {
        Self::UserError(Box::new(e.info()))
    }
}

/// Why a statement did not come to its end.
#[derive(Clone, Debug)]
pub enum Stop {
    /// It failed.
    Error(SqlError),
    /// It waits, and is to be tried again then.
    Wait(Wait),
}

impl From<SqlError> for Stop {
    fn from(e: SqlError) -> Self {
        Self::Error(e)
    }
}

/// What a statement waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wait {
    /// So many seconds.
    Sleep(f64),
    /// That this server is promoted, so many seconds at most.
    Promotion(f64),
    /// An advisory lock.
    Lock(i64),
}
