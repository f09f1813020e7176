//! Mistakes, each with its place.

use std::fmt;

/// Where something stands in a file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 where the problem is with the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 where the problem is with the file as a whole.
    pub column: usize,
    /// How many characters it is long, at least one.
    pub length: usize,
    /// The text of that line, with whatever may be a secret masked; empty where the problem is with the file.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.file) } else { write!(f, "{}:{}:{}", self.file, self.line, self.column) }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Which key: `plan[payments].probe[orders-db].at.west`. Empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong: what was found.
    pub what: String,
    /// What would be right; empty where nothing can be said.
    pub right: String,
}

impl fmt::Display for Problem {
    /// A block of lines: place and key, what, the source line with a caret, what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column, length, text, .. } = &self.place;
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        writeln!(f, "{}", self.what)?;
        if *line > 0 {
            let gutter = line.to_string();
            let width = gutter.len();
            writeln!(f, "  {gutter} | {text}")?;
            writeln!(f, "  {:width$} | {:indent$}{}", "", "", "^".repeat(*length), indent = column.saturating_sub(1))?;
        }
        if self.right.is_empty() { Ok(()) } else { writeln!(f, "  help: {}", self.right) }
    }
}

/// Every mistake of a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// One problem with a file as a whole.
    #[must_use]
    pub fn with_file(file: &str, what: &str, right: &str) -> Self {
        let place = Place { file: file.to_owned(), line: 0, column: 0, length: 1, text: String::new() };
        Self(vec![Problem { place, key: String::new(), what: what.to_owned(), right: right.to_owned() }])
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        let n = self.0.len();
        writeln!(f, "{n} {}", if n == 1 { "mistake" } else { "mistakes" })
    }
}
