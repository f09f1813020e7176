//! Writing into a buffer, never outside of it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{Line, cut, width};
use crate::tui::theme::{Role, Theme};

/// Writes text of roles into a part of a buffer. Whatever does not fit is cut with an ellipsis.
pub struct Pen<'a> {
    buf: &'a mut Buffer,
    theme: &'a Theme,
    area: Rect,
}

impl std::fmt::Debug for Pen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pen").field("area", &self.area).finish_non_exhaustive()
    }
}

impl<'a> Pen<'a> {
    /// A pen for `area`, as far as it is inside the buffer.
    #[must_use]
    pub fn new(buf: &'a mut Buffer, theme: &'a Theme, area: Rect) -> Self {
        let area = area.intersection(buf.area);
        Self { buf, theme, area }
    }

    /// A pen for a part of this one's area, given from its upper left corner.
    pub fn part(&mut self, x: u16, y: u16, cols: u16, rows: u16) -> Pen<'_> {
        let area = self.place(x, y, cols, rows);
        Pen::new(self.buf, self.theme, area)
    }

    /// Where a part of this pen's area is on the screen.
    #[must_use]
    pub fn place(&self, x: u16, y: u16, cols: u16, rows: u16) -> Rect {
        Rect {
            x: self.area.x.saturating_add(x),
            y: self.area.y.saturating_add(y),
            width: cols.min(self.area.width.saturating_sub(x)),
            height: rows.min(self.area.height.saturating_sub(y)),
        }
    }

    /// Columns.
    #[must_use]
    pub const fn cols(&self) -> u16 {
        self.area.width
    }

    /// Rows.
    #[must_use]
    pub const fn rows(&self) -> u16 {
        self.area.height
    }

    /// Writes one text at a column and a row, cut to `cells`; returns the column after it.
    pub fn put(&mut self, x: u16, y: u16, text: &str, cells: u16, role: Role) -> u16 {
        let cells = cells.min(self.area.width.saturating_sub(x));
        if cells == 0 || y >= self.area.height {
            return x;
        }
        let text = cut(text, usize::from(cells));
        // The distance to what stands beside it is no part of a text: not underlined, and not reversed. A banner is.
        let words = if role == Role::Banner { text.as_str() } else { text.trim_matches(' ') };
        let indent = if words.len() == text.len() { 0 } else { text.len() - text.trim_start_matches(' ').len() };
        let (at, row, most) = (self.area.x + x, self.area.y + y, usize::from(cells));
        if words.len() < text.len() {
            self.buf.set_stringn(at, row, &text, most, self.theme.style(Role::Plain));
        }
        let inward = u16::try_from(indent).unwrap_or(0);
        if !words.is_empty() {
            self.buf.set_stringn(at + inward, row, words, most.saturating_sub(indent), self.theme.style(role));
        }
        x.saturating_add(u16::try_from(width(&text)).unwrap_or(cells))
    }

    /// Writes a line of pieces from a column on; returns the column after it.
    pub fn line(&mut self, mut x: u16, y: u16, line: &Line) -> u16 {
        for (text, role) in line {
            x = self.put(x, y, text, u16::MAX, *role);
        }
        x
    }

    /// Writes a text that ends at column `right`.
    pub fn put_right(&mut self, right: u16, y: u16, text: &str, role: Role) {
        let w = u16::try_from(width(text)).unwrap_or(u16::MAX);
        self.put(right.saturating_sub(w), y, text, w, role);
    }

    /// A horizontal rule.
    pub fn rule(&mut self, y: u16) {
        let line = "─".repeat(usize::from(self.area.width));
        self.put(0, y, &line, self.area.width, Role::Border);
    }

    /// A vertical rule.
    pub fn upright(&mut self, x: u16) {
        for y in 0..self.area.height {
            self.put(x, y, "│", 1, Role::Border);
        }
    }

    /// Fills the area with blanks of one role.
    pub fn fill(&mut self, role: Role) {
        let blank = " ".repeat(usize::from(self.area.width));
        for y in self.area.top()..self.area.bottom() {
            for x in self.area.left()..self.area.right() {
                if let Some(cell) = self.buf.cell_mut((x, y)) {
                    // A style only adds: what lies under an overlay must not colour it.
                    cell.reset();
                }
            }
        }
        for y in 0..self.area.height {
            self.put(0, y, &blank, self.area.width, role);
        }
    }

    /// Blanks out the area and draws a frame with a title around it; returns the pen for what is inside.
    pub fn framed(&mut self, title: &str) -> Pen<'_> {
        self.fill(Role::Plain);
        let (w, h) = (self.area.width, self.area.height);
        let bar = "─".repeat(usize::from(w.saturating_sub(2)));
        self.put(0, 0, &format!("┌{bar}┐"), w, Role::Border);
        for y in 1..h.saturating_sub(1) {
            self.put(0, y, "│", 1, Role::Border);
            self.put(w.saturating_sub(1), y, "│", 1, Role::Border);
        }
        self.put(0, h.saturating_sub(1), &format!("└{bar}┘"), w, Role::Border);
        self.put(2, 0, &format!(" {title} "), w.saturating_sub(4), Role::Title);
        self.part(2, 1, w.saturating_sub(4), h.saturating_sub(2))
    }
}

/// Replaces everything that is not ASCII, for terminals and fonts that have nothing else.
pub fn to_ascii(buf: &mut Buffer) {
    for cell in &mut buf.content {
        if !cell.symbol().is_ascii() {
            let plain = match cell.symbol() {
                "●" => "*",
                "▲" => "!",
                "✖" => "x",
                "▌" => ">",
                "─" => "-",
                "│" => "|",
                "┌" | "┐" | "└" | "┘" => "+",
                "…" => "~",
                "→" | "▶" => ">",
                "○" => "o",
                "–" => "-",
                "·" | "•" => ".",
                "▁" | "▂" | "▃" => ".",
                "▄" | "▅" | "▆" => "o",
                "▇" | "█" => "#",
                _ => "?", // a remote's own words: one sign for one cell
            };
            cell.set_symbol(plain);
        }
    }
}
