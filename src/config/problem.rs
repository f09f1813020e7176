//! Mistakes, each with its place.

use std::fmt;
use std::ops::Range;

use unicode_width::UnicodeWidthChar as _;

use crate::plan::{SafeText, mask};

/// Where something stands in a file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 where the problem is with the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 where the problem is with the file as a whole.
    pub column: usize,
    /// The line, or the part of a long one around the place, with whatever may be a secret masked.
    pub excerpt: String,
    /// How many cells of the excerpt stand before the place.
    pub indent: usize,
    /// How many cells of the excerpt the place takes; at least one.
    pub width: usize,
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
    /// What is wrong: what was found. Holds no secret.
    pub what: SafeText,
    /// What would be right; empty where nothing can be said.
    pub right: SafeText,
}

impl fmt::Display for Problem {
    /// A block of lines: place, key and what; the source line with a caret; what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, excerpt, indent, width, .. } = &self.place;
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        writeln!(f, "{}", self.what)?;
        if *line > 0 {
            let gutter = line.to_string();
            writeln!(f, "  {gutter} | {excerpt}")?;
            writeln!(f, "  {:g$} | {:indent$}{}", "", "", "^".repeat(*width), g = gutter.len())?;
        }
        if self.right.as_str().is_empty() { Ok(()) } else { writeln!(f, "  help: {}", self.right) }
    }
}

/// Every mistake of a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// One problem with a file as a whole.
    #[must_use]
    pub fn with_file(file: &str, what: &str, right: &str) -> Self {
        let file = SafeText::new(file).to_string();
        let place = Place { file, line: 0, column: 0, excerpt: String::new(), indent: 0, width: 1 };
        Self(vec![Problem { place, key: String::new(), what: what.into(), right: right.into() }])
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

/// A text whose places can be told.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    name: String,
    text: &'a str,
    starts: Vec<usize>,
    secrets: Vec<Range<usize>>,
}

/// The most characters of one line that are shown.
const SHOWN: usize = 120;

impl<'a> Lines<'a> {
    pub(super) fn new(name: &str, text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Self { name: SafeText::new(name).to_string(), text, starts, secrets: mask::secrets(text) }
    }

    /// The place of a byte range.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let span = self.visible(span);
        let line = self.starts.partition_point(|s| *s <= span.start).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let rest = self.text.get(start..).unwrap_or_default();
        let text = rest.get(..rest.find('\n').unwrap_or(rest.len())).unwrap_or_default().trim_end_matches('\r');
        let column = self.text.get(start..span.start.min(start + text.len())).map_or(0, |t| t.chars().count());
        let (excerpt, indent, width) = self.excerpt(start, text, column, &span);
        Place { file: self.name.clone(), line, column: column + 1, excerpt, indent, width }
    }

    /// The range without a byte order mark and not beyond the last line's text: "unclosed" is reported at the very end.
    fn visible(&self, span: &Range<usize>) -> Range<usize> {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let last = self.text.trim_end_matches(['\r', '\n']).len();
        let start = if start > last { last } else { start };
        start..span.end.max(start)
    }

    /// The part of a line that is shown, and where in it the place is, in cells.
    fn excerpt(&self, start: usize, text: &str, column: usize, span: &Range<usize>) -> (String, usize, usize) {
        let skip = if text.chars().count() > SHOWN { column.saturating_sub(SHOWN / 2) } else { 0 };
        let (mut out, mut indent, mut width) = (String::new(), 0, 0);
        if skip > 0 {
            out.push('…');
            indent += 1;
        }
        let mut masked: Option<&Range<usize>> = None;
        for (i, c) in text.char_indices().skip(skip).take(SHOWN) {
            let at = start + i;
            let (shown, cells) = match self.secret_at(at) {
                Some(s) if masked == Some(s) => ("", 0),
                Some(s) => {
                    masked = Some(s);
                    ("***", 3)
                }
                None if c.is_control() || c.width().unwrap_or(0) == 0 => (" ", 1),
                None => {
                    masked = None;
                    out.push(c);
                    ("", c.width().unwrap_or(1))
                }
            };
            out.push_str(shown);
            if at < span.start {
                indent += cells;
            } else if at < span.end {
                width += cells;
            }
        }
        (out, indent, width.max(1))
    }

    fn secret_at(&self, at: usize) -> Option<&Range<usize>> {
        let after = self.secrets.partition_point(|r| r.start <= at);
        // Ranges may overlap, but only a few at one place.
        self.secrets.get(..after)?.iter().rev().take(8).find(|r| r.contains(&at))
    }
}

/// What collects problems.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) lines: Lines<'a>,
    problems: Vec<Problem>,
    more: usize,
}

/// More problems than this are counted, not shown: nobody reads them, and the file is probably another one.
const MOST: usize = 1_000;

impl<'a> Report<'a> {
    pub(super) fn new(lines: Lines<'a>) -> Self {
        Self { lines, problems: Vec::new(), more: 0 }
    }

    /// Takes one problem. Whatever in the words looks like a secret is masked.
    pub(super) fn add(&mut self, span: &Range<usize>, key: &str, what: &str, right: &str) {
        if self.problems.len() >= MOST {
            self.more += 1;
            return;
        }
        let place = self.lines.place(span);
        let (what, right) = (mask::masked(what).0.into(), mask::masked(right).0.into());
        self.problems.push(Problem { place, key: key.to_owned(), what, right });
    }

    /// Whether something is wrong with exactly this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.problems.iter().any(|p| p.key == key)
    }

    /// The keys with problems so far.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(|p| p.key.as_str())
    }

    /// Every problem in the order of the file; `Ok` where there is none.
    pub(super) fn done(mut self) -> Result<(), Problems> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by_key(|p| (p.place.line, p.place.column));
        self.problems.dedup();
        if self.more > 0 {
            let more = format!("{} more mistakes are not shown", self.more);
            self.problems.extend(Problems::with_file(&self.lines.name, &more, "is this the right file?").0);
        }
        Err(Problems(self.problems))
    }
}
