//! Colours, and what a terminal makes of them.

use std::borrow::Cow;

use ratatui::style::Color;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// None, or none are wanted.
    Mono,
    /// The sixteen.
    Ansi16,
    /// 256.
    Ansi256,
    /// 24 bits.
    True,
}

impl Depth {
    /// By `NO_COLOR`, `TERM` and `COLORTERM`, as <https://no-color.org> and terminals define them. The terminal itself
    /// is not asked: that would delay the first frame, and stall on one that does not answer.
    #[must_use]
    pub fn detect(no_color: Option<&str>, term: Option<&str>, colorterm: Option<&str>) -> Self {
        if no_color.is_some_and(|v| !v.is_empty()) {
            return Self::Mono;
        }
        let term = term.unwrap_or("");
        if term.is_empty() || term == "dumb" || term.starts_with("vt1") || term.starts_with("vt2") {
            return Self::Mono;
        }
        if colorterm.is_some_and(|c| c == "truecolor" || c == "24bit") || term.ends_with("-direct") {
            return Self::True;
        }
        if term.contains("256color") { Self::Ansi256 } else { Self::Ansi16 }
    }
}

/// A colour as a theme writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub(super) Color);

/// What is wrong with a text that is no colour, and what would be right; the two parts after a colon.
const NO_COLOUR: &str = "no colour: write one of the sixteen (green, light-red, ...), \"#rrggbb\", or \"0\" to \"255\"";

impl Colour {
    /// Reads a name of the sixteen, `#rrggbb`, or a number of the 256.
    ///
    /// # Errors
    /// What the text is not, and what would be right.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map(Self).map_err(|_| NO_COLOUR)
    }
}

impl<'de> Deserialize<'de> for Colour {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).map_err(|what| serde::de::Error::custom(format!("{text:?} is {what}")))
    }
}

impl JsonSchema for Colour {
    fn schema_name() -> Cow<'static, str> {
        "Colour".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "colour",
                       "description": "A name of the sixteen, \"#rrggbb\", or a number of the 256 in quotes." })
    }
}

/// The nearest colour that the terminal has.
pub(super) fn degrade(colour: Color, depth: Depth) -> Option<Color> {
    match (depth, colour) {
        (Depth::Mono, _) => None,
        (Depth::Ansi256, Color::Rgb(r, g, b)) => Some(Color::Indexed(to_256(r, g, b))),
        (Depth::Ansi16, Color::Rgb(r, g, b)) => Some(to_16(r, g, b)),
        (Depth::Ansi16, Color::Indexed(i)) => {
            let (r, g, b) = from_256(i);
            Some(if i < 16 { Color::Indexed(i) } else { to_16(r, g, b) })
        }
        (_, other) => Some(other),
    }
}

/// xterm's 6x6x6 cube.
const fn to_256(r: u8, g: u8, b: u8) -> u8 {
    const fn step(v: u8) -> u8 {
        if v < 48 {
            0
        } else if v < 115 {
            1
        } else {
            (v - 35) / 40
        }
    }
    16 + 36 * step(r) + 6 * step(g) + step(b)
}

pub(super) const fn from_256(i: u8) -> (u8, u8, u8) {
    const fn level(v: u8) -> u8 {
        if v == 0 { 0 } else { 55 + v * 40 }
    }
    if i >= 232 {
        let v = 8 + (i - 232) * 10;
        return (v, v, v);
    }
    let i = i.saturating_sub(16);
    (level(i / 36), level(i / 6 % 6), level(i % 6))
}

fn to_16(r: u8, g: u8, b: u8) -> Color {
    let max = r.max(g).max(b);
    if max < 64 {
        return Color::Black;
    }
    let on = |v: u8| v > max / 2;
    match (on(r), on(g), on(b)) {
        (true, false, false) => Color::Red,
        (false, true, false) => Color::Green,
        (true, true, false) => Color::Yellow,
        (false, false, true) => Color::Blue,
        (true, false, true) => Color::Magenta,
        (false, true, true) => Color::Cyan,
        (true, true, true) if max > 240 => Color::White,
        (true, true, true) | (false, false, false) => Color::Gray,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_terminal() {
        assert_eq!(Depth::detect(Some("1"), Some("xterm-256color"), Some("truecolor")), Depth::Mono);
        assert_eq!(Depth::detect(Some(""), Some("xterm-256color"), None), Depth::Ansi256);
        assert_eq!(Depth::detect(None, Some("xterm"), Some("truecolor")), Depth::True);
        assert_eq!(Depth::detect(None, Some("linux"), None), Depth::Ansi16);
        assert_eq!(Depth::detect(None, Some("dumb"), None), Depth::Mono);
        assert_eq!(degrade(Color::Rgb(255, 20, 20), Depth::Ansi16), Some(Color::Red));
        assert_eq!(degrade(Color::Rgb(255, 0, 0), Depth::Ansi256), Some(Color::Indexed(196)));
        assert_eq!(degrade(Color::Rgb(255, 255, 255), Depth::Ansi16), Some(Color::White));
        assert_eq!(degrade(Color::Red, Depth::Mono), None);
    }
}
