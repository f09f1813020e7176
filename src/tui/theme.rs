//! From roles to what the terminal can show.

use std::sync::LazyLock;

use ratatui::style::{Color, Modifier, Style};
use serde::{Deserialize, Serialize};

use crate::readiness::Verdict;

/// What a piece of text is, which decides how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Text.
    Plain,
    /// The verdict ready.
    Ready,
    /// The verdict degraded.
    Degraded,
    /// The verdict not ready.
    NotReady,
    /// The verdict unknown.
    Unknown,
    /// Not judged yet.
    Looking,
    /// A line that must not be overlooked.
    Banner,
    /// The title of a screen.
    Title,
    /// The heading of a column or a section.
    Heading,
    /// Rules and frames.
    Border,
    /// What is less important.
    Dim,
    /// What is to be noticed: keys, the cursor's mark.
    Accent,
    /// What the cursor is on.
    Selected,
    /// A dangerous key.
    Danger,
    /// The limit in a chart.
    Limit,
    /// The line of a chart.
    Chart,
}

impl Role {
    /// The role of a verdict.
    #[must_use]
    pub const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ready => Self::Ready,
            Verdict::Degraded => Self::Degraded,
            Verdict::NotReady => Self::NotReady,
            Verdict::Unknown => Self::Unknown,
        }
    }
}

/// The glyph that always goes with a verdict, so that colour is never the only sign.
#[must_use]
pub const fn glyph(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ready => "●",
        Verdict::Degraded => "▲",
        Verdict::NotReady => "✖",
        Verdict::Unknown => "?",
    }
}

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

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Paint {
    fg: Option<Colour>,
    bold: bool,
    dim: bool,
    underline: bool,
    reverse: bool,
}

#[derive(Clone, Copy, Debug)]
struct Colour(Color);

impl<'de> Deserialize<'de> for Colour {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse::<Color>().map(Self).map_err(|_| {
            serde::de::Error::custom(format!(
                "\"{text}\" is no colour: write a name of the sixteen, #rrggbb, or 0 to 255"
            ))
        })
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Paints {
    plain: Paint,
    ready: Paint,
    degraded: Paint,
    not_ready: Paint,
    unknown: Paint,
    looking: Paint,
    banner: Paint,
    title: Paint,
    heading: Paint,
    border: Paint,
    dim: Paint,
    accent: Paint,
    selected: Paint,
    danger: Paint,
    limit: Paint,
    chart: Paint,
}

/// How everything looks on this terminal.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    paints: Paints,
    depth: Depth,
    /// Only ASCII reaches the terminal.
    pub ascii: bool,
}

const DEFAULT: &str = include_str!("../../themes/default.toml");
const MONO: &str = include_str!("../../themes/mono.toml");

impl Theme {
    /// The embedded theme with this name; the default for a name that is none.
    #[must_use]
    pub fn named(name: &str, depth: Depth, ascii: bool) -> Self {
        // Read once, not for every frame. The embedded ones are tested; a plain screen is better than none.
        static READ: LazyLock<[Paints; 2]> =
            LazyLock::new(|| [DEFAULT, MONO].map(|t| toml::from_str(t).unwrap_or_default()));
        let [default, mono] = *READ;
        Self { paints: if name == "mono" { mono } else { default }, depth, ascii }
    }

    /// Reads a theme.
    ///
    /// # Errors
    /// Where the text is no TOML, names no role or no colour.
    pub fn parse(text: &str, depth: Depth, ascii: bool) -> Result<Self, toml::de::Error> {
        Ok(Self { paints: toml::from_str(text)?, depth, ascii })
    }

    /// The style of a role.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        let p = &self.paints;
        let paint = match role {
            Role::Plain => p.plain,
            Role::Ready => p.ready,
            Role::Degraded => p.degraded,
            Role::NotReady => p.not_ready,
            Role::Unknown => p.unknown,
            Role::Looking => p.looking,
            Role::Banner => p.banner,
            Role::Title => p.title,
            Role::Heading => p.heading,
            Role::Border => p.border,
            Role::Dim => p.dim,
            Role::Accent => p.accent,
            Role::Selected => p.selected,
            Role::Danger => p.danger,
            Role::Limit => p.limit,
            Role::Chart => p.chart,
        };
        let mut style = Style::new();
        if let Some(fg) = paint.fg.and_then(|c| degrade(c.0, self.depth)) {
            style = style.fg(fg);
        }
        for (on, modifier) in [
            (paint.bold, Modifier::BOLD),
            (paint.dim, Modifier::DIM),
            (paint.underline, Modifier::UNDERLINED),
            (paint.reverse, Modifier::REVERSED),
        ] {
            if on {
                style = style.add_modifier(modifier);
            }
        }
        style
    }
}

/// The nearest colour that the terminal has.
fn degrade(colour: Color, depth: Depth) -> Option<Color> {
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

const fn from_256(i: u8) -> (u8, u8, u8) {
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
        (true, true, true) | (false, false, false) => Color::Gray,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::view::THEMES;

    #[test]
    fn the_embedded_themes_are_sound() {
        for (name, text) in THEMES.iter().zip([DEFAULT, MONO]) {
            assert!(Theme::parse(text, Depth::True, false).is_ok(), "{name}");
        }
        assert!(Theme::parse("[redy]\nbold = true", Depth::True, false).is_err());
        assert!(Theme::parse("[ready]\nfg = \"mauve-ish\"", Depth::True, false).is_err());
        let mono = Theme::parse(MONO, Depth::True, false).unwrap();
        for role in [Role::Ready, Role::NotReady, Role::Unknown, Role::Accent, Role::Chart] {
            assert_eq!(mono.style(role).fg, None);
        }
    }

    #[test]
    fn colours_follow_the_terminal() {
        assert_eq!(Depth::detect(Some("1"), Some("xterm-256color"), Some("truecolor")), Depth::Mono);
        assert_eq!(Depth::detect(Some(""), Some("xterm-256color"), None), Depth::Ansi256);
        assert_eq!(Depth::detect(None, Some("xterm"), Some("truecolor")), Depth::True);
        assert_eq!(Depth::detect(None, Some("linux"), None), Depth::Ansi16);
        assert_eq!(Depth::detect(None, Some("dumb"), None), Depth::Mono);
        assert_eq!(degrade(Color::Rgb(255, 20, 20), Depth::Ansi16), Some(Color::Red));
        assert_eq!(degrade(Color::Rgb(255, 0, 0), Depth::Ansi256), Some(Color::Indexed(196)));
        assert_eq!(degrade(Color::Red, Depth::Mono), None);
    }
}
