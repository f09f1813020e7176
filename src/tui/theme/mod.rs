//! From roles to what the terminal can show.

mod colour;
mod paint;
mod role;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use ratatui::style::Style;

use crate::app::view::THEMES;

pub use colour::{Colour, Depth};
pub use paint::{Paint, Paints};
pub use role::{Role, glyph, held_glyph, step_glyph};

/// A theme of the user's own, under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its name; it hides an embedded one of that name.
    pub name: String,
    /// How it looks.
    pub paints: Paints,
}

/// The texts of the embedded themes, in the order of [`THEMES`].
pub const TEXTS: [&str; THEMES.len()] = [
    include_str!("../../../themes/default.toml"),
    include_str!("../../../themes/light.toml"),
    include_str!("../../../themes/high-contrast.toml"),
    include_str!("../../../themes/mono.toml"),
];

/// The embedded themes, each read when it is first used, and once. They are tested; a plain screen is better than none.
static EMBEDDED: [LazyLock<Paints>; THEMES.len()] = [
    LazyLock::new(|| read(TEXTS[0])),
    LazyLock::new(|| read(TEXTS[1])),
    LazyLock::new(|| read(TEXTS[2])),
    LazyLock::new(|| read(TEXTS[3])),
];

fn read(text: &str) -> Paints {
    toml::from_str(text).unwrap_or_default()
}

/// The text of an embedded theme.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    THEMES.iter().position(|t| *t == name).and_then(|i| TEXTS.get(i)).copied()
}

/// How everything looks on this terminal.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    paints: Paints,
    depth: Depth,
}

impl Theme {
    /// The theme with this name: one of the user's own, else an embedded one, else the default.
    #[must_use]
    pub fn named(name: &str, own: &[Own], depth: Depth) -> Self {
        let at = THEMES.iter().position(|t| *t == name);
        let embedded = at.and_then(|i| EMBEDDED.get(i)).or(EMBEDDED.first()).map(|p| **p);
        let paints = own.iter().find(|o| o.name == name).map(|o| o.paints).or(embedded).unwrap_or_default();
        Self { paints, depth }
    }

    /// The style of a role.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.paints.style(role, self.depth)
    }
}
