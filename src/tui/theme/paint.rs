//! A theme's file: how each role is painted.

use ratatui::style::{Modifier, Style};
use schemars::JsonSchema;
use serde::Deserialize;

use super::colour::{Colour, Depth, degrade};
use super::role::Role;

/// How one role is painted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Paint {
    /// The colour of the text; else that of `plain`.
    pub fg: Option<Colour>,
    /// The colour of the text where the terminal has only sixteen; else the nearest to `fg`.
    pub fg16: Option<Colour>,
    /// The colour behind it; else that of `plain`. That of `plain` fills the screen.
    pub bg: Option<Colour>,
    /// Bold.
    pub bold: bool,
    /// Faint, where the terminal can.
    pub dim: bool,
    /// Underlined.
    pub underline: bool,
    /// With text and background exchanged.
    pub reverse: bool,
}

/// A theme: every role and how it is painted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Paints {
    /// Text.
    pub plain: Paint,
    /// The verdict ready.
    pub ready: Paint,
    /// The verdict degraded.
    pub degraded: Paint,
    /// The verdict not ready.
    pub not_ready: Paint,
    /// The verdict unknown.
    pub unknown: Paint,
    /// Not judged yet.
    pub looking: Paint,
    /// A line that must not be overlooked.
    pub banner: Paint,
    /// The title of a screen.
    pub title: Paint,
    /// The heading of a column or a section.
    pub heading: Paint,
    /// Rules and frames.
    pub border: Paint,
    /// What is less important.
    pub dim: Paint,
    /// What is to be noticed: keys, the cursor's mark.
    pub accent: Paint,
    /// What the cursor is on.
    pub selected: Paint,
    /// A dangerous key.
    pub danger: Paint,
    /// The limit in a chart.
    pub limit: Paint,
    /// The line of a chart.
    pub chart: Paint,
}

impl Paints {
    const fn of(&self, role: Role) -> Paint {
        match role {
            Role::Plain => self.plain,
            Role::Ready => self.ready,
            Role::Degraded => self.degraded,
            Role::NotReady => self.not_ready,
            Role::Unknown => self.unknown,
            Role::Looking => self.looking,
            Role::Banner => self.banner,
            Role::Title => self.title,
            Role::Heading => self.heading,
            Role::Border => self.border,
            Role::Dim => self.dim,
            Role::Accent => self.accent,
            Role::Selected => self.selected,
            Role::Danger => self.danger,
            Role::Limit => self.limit,
            Role::Chart => self.chart,
        }
    }

    /// The style of a role on a terminal with so many colours.
    pub(super) fn style(&self, role: Role, depth: Depth) -> Style {
        let (paint, plain) = (self.of(role), self.plain);
        let own = paint.fg.is_some() || paint.fg16.is_some();
        let (fg, fg16) = if own { (paint.fg, paint.fg16) } else { (plain.fg, plain.fg16) };
        let fg = if depth == Depth::Ansi16 { fg16.or(fg) } else { fg };
        let mut style = Style::new();
        if let Some(fg) = fg.and_then(|c| degrade(c.0, depth)) {
            style = style.fg(fg);
        }
        if let Some(bg) = paint.bg.or(plain.bg).and_then(|c| degrade(c.0, depth)) {
            style = style.bg(bg);
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
