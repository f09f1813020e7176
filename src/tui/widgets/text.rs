//! Text by cells: cutting and wrapping.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::tui::theme::Role;

/// A piece of text and what it is.
pub type Piece = (String, Role);

/// One line of pieces.
pub type Line = Vec<Piece>;

/// Cells that a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text, or as much of it as fits in `cells` with an ellipsis at its end.
#[must_use]
pub fn cut(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    if cells == 0 {
        return String::new();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w > cells - 1 {
            break;
        }
        used += w;
        out.push(c);
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// The text in lines of at most `cells`, broken between words; a word longer than a line is broken where it must be.
#[must_use]
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let w = width(word);
        if used > 0 && used + 1 + w <= cells {
            line.push(' ');
            line.push_str(word);
            used += 1 + w;
            continue;
        }
        if used > 0 {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        for c in word.chars() {
            let cw = c.width().unwrap_or(0);
            if used > 0 && used + cw > cells {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += cw;
        }
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// The text as it is, blanks and all, in lines of at most `cells`: for what is carried out to the letter.
#[must_use]
pub fn exact(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(2);
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w > cells {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        line.push(c);
        used += w;
    }
    lines.push(line);
    lines
}

/// The text wrapped into lines of one role; the first after `head`, the others indented as far.
#[must_use]
pub fn hanging(head: &[Piece], text: &str, role: Role, cells: usize) -> Vec<Line> {
    let indent: usize = head.iter().map(|(t, _)| width(t)).sum::<usize>().min(cells / 2);
    let mut out = Vec::new();
    for (i, line) in wrap(text, cells.saturating_sub(indent)).into_iter().enumerate() {
        let mut pieces = if i == 0 { head.to_vec() } else { vec![(" ".repeat(indent), Role::Plain)] };
        pieces.push((line, role));
        out.push(pieces);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cuts_by_cells_and_says_so() {
        assert_eq!(cut("payments", 8), "payments");
        assert_eq!(cut("payments", 5), "paym…");
        assert_eq!(cut("a b c", 3), "a…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字", 1), "…");
        assert_eq!(cut("x", 0), "");
    }

    #[test]
    fn wraps_between_words() {
        assert_eq!(wrap("the active database is down", 10), ["the active", "database", "is down"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("", 4), [""]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked(text in "\\PC{0,60}", cells in 2_usize..40) {
            prop_assert!(width(&cut(&text, cells)) <= cells);
            prop_assert_eq!(exact(&text, cells).concat(), text.clone());
            for line in wrap(&text, cells).into_iter().chain(exact(&text, cells)) {
                prop_assert!(line.chars().map(|c| c.width().unwrap_or(0)).sum::<usize>() <= cells);
            }
        }
    }
}
