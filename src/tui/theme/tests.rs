//! The embedded themes, by the figures: contrast, and what people with another sense of colour see.

use ratatui::style::{Color, Modifier, Style};

use super::colour::from_256;
use super::*;
use crate::readiness::Verdict;

const ROLES: [Role; 16] = [
    Role::Plain,
    Role::Ready,
    Role::Degraded,
    Role::NotReady,
    Role::Unknown,
    Role::Looking,
    Role::Banner,
    Role::Title,
    Role::Heading,
    Role::Border,
    Role::Dim,
    Role::Accent,
    Role::Selected,
    Role::Danger,
    Role::Limit,
    Role::Chart,
];
const DEPTHS: [Depth; 3] = [Depth::True, Depth::Ansi256, Depth::Ansi16];
const WHITE: [f64; 3] = [1.0; 3];
const BLACK: [f64; 3] = [0.0; 3];

/// xterm's values of the sixteen, in their order.
const SIXTEEN: [(u8, u8, u8); 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

/// Linear light of a colour, from 0 to 1; `None` for the terminal's own.
fn light(colour: Color) -> Option<[f64; 3]> {
    let index = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    let (r, g, b) = match colour {
        Color::Reset => return None,
        Color::Rgb(r, g, b) => (r, g, b),
        Color::Indexed(i) if i >= 16 => from_256(i),
        Color::Indexed(i) => SIXTEEN[usize::from(i)],
        named => SIXTEEN[index.iter().position(|c| *c == named).unwrap()],
    };
    // IEC 61966-2-1, as WCAG 2.2 uses it for relative luminance.
    let linear = |v: u8| {
        let v = f64::from(v) / 255.0;
        if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    };
    Some([linear(r), linear(g), linear(b)])
}

/// WCAG 2.2: contrast ratio of relative luminances, from 1 to 21.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let luminance = |[r, g, b]: [f64; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    a.max(b) / a.min(b)
}

/// The contrast of a style on a terminal whose own text and background are these.
fn contrast_of(style: Style, text: [f64; 3], paper: [f64; 3]) -> f64 {
    let fg = style.fg.and_then(light).unwrap_or(text);
    contrast(fg, style.bg.and_then(light).unwrap_or(paper))
}

fn theme(name: &str, depth: Depth) -> Theme {
    Theme::named(name, &[], depth)
}

#[test]
fn the_formula_gives_its_known_values() {
    assert!((contrast(WHITE, BLACK) - 21.0).abs() < 1e-9);
    // The lightest grey that passes 4.5 on white.
    let grey = light(Color::Rgb(0x76, 0x76, 0x76)).unwrap();
    assert!((contrast(grey, WHITE) - 4.54).abs() < 0.01);
}

#[test]
fn the_embedded_themes_are_read_and_differ() {
    for (name, text) in THEMES.iter().zip(TEXTS) {
        let read: Result<Paints, _> = toml::from_str(text);
        assert_eq!(read.unwrap(), theme(name, Depth::True).paints, "{name}");
        assert_ne!(theme(name, Depth::True).paints, Paints::default(), "{name}");
    }
    assert_eq!(theme("no such theme", Depth::True).paints, theme("default", Depth::True).paints);
    let own = [Own { name: "light".into(), paints: Paints::default() }];
    assert_eq!(Theme::named("light", &own, Depth::True).paints, Paints::default());
    for text in ["[redy]\nbold = true", "[ready]\nfg = \"mauve-ish\"", "[ready]\nbolt = true"] {
        assert!(toml::from_str::<Paints>(text).is_err(), "{text}");
    }
}

#[test]
fn without_colours_there_are_none() {
    for role in ROLES {
        assert_eq!(theme("mono", Depth::True).style(role).fg, None);
        for name in THEMES {
            let style = theme(name, Depth::Mono).style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{name} {role:?}");
        }
    }
}

#[test]
fn light_is_read_on_white() {
    for depth in DEPTHS {
        let light = theme("light", depth);
        for role in ROLES {
            let ratio = contrast_of(light.style(role), BLACK, WHITE);
            assert!(ratio >= 4.5, "{role:?} at {depth:?}: {ratio:.2}");
            assert!(!light.style(role).add_modifier.contains(Modifier::DIM), "{role:?} may be fainter than it says");
        }
    }
    // What it is for: the default's own colours cannot be read there.
    let default = theme("default", Depth::Ansi16);
    assert!(contrast_of(default.style(Role::Ready), BLACK, WHITE) < 3.0);
}

#[test]
fn default_fixes_no_colour() {
    // The terminal's own sixteen, which its owner has set to be readable; nothing that could miss its background.
    let fixed = |c: Color| matches!(c, Color::Rgb(..) | Color::Indexed(16..));
    for role in ROLES {
        let style = theme("default", Depth::True).style(role);
        assert!(style.bg.is_none() && !style.fg.is_some_and(fixed), "{role:?}");
    }
}

#[test]
fn high_contrast_is_high_whatever_the_terminal_and_never_faint() {
    for depth in DEPTHS {
        for (text, paper) in [(WHITE, BLACK), (BLACK, WHITE)] {
            for role in ROLES {
                let style = theme("high-contrast", depth).style(role);
                let ratio = contrast_of(style, text, paper);
                assert!(ratio >= 7.0, "{role:?} at {depth:?}: {ratio:.2}");
                assert!(!style.add_modifier.contains(Modifier::DIM), "{role:?}");
            }
        }
    }
    for depth in [Depth::Mono, Depth::Ansi16, Depth::True] {
        let style = theme("high-contrast", depth).style(Role::NotReady);
        assert!(style.add_modifier.contains(Modifier::REVERSED), "not ready is told without colour too");
    }
}

/// Full loss of one kind of cone, on linear RGB: Machado, Oliveira and Fernandes, "A Physiologically-based Model for
/// Simulation of Color Vision Deficiency", IEEE TVCG 15(6), 2009, severity 1.0.
const PROTANOPIA: [[f64; 3]; 3] =
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]];
const DEUTERANOPIA: [[f64; 3]; 3] =
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]];
const TRITANOPIA: [[f64; 3]; 3] =
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]];

fn seen_with(matrix: &[[f64; 3]; 3], rgb: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| (row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2]).clamp(0.0, 1.0))
}

/// CIE 1976 L*a*b* under D65, of linear sRGB.
fn lab([r, g, b]: [f64; 3]) -> [f64; 3] {
    let f = |t: f64| if t > 216.0 / 24_389.0 { t.cbrt() } else { (24_389.0 / 27.0 * t + 16.0) / 116.0 };
    let x = f((0.412_456_4 * r + 0.357_576_1 * g + 0.180_437_5 * b) / 0.950_47);
    let y = f(0.212_672_9 * r + 0.715_152_2 * g + 0.072_175 * b);
    let z = f((0.019_333_9 * r + 0.119_192 * g + 0.950_304_1 * b) / 1.088_83);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// How far two colours are apart: CIE 1976; 2.3 is what can just be told apart side by side.
fn apart(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (lab(a), lab(b));
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn the_verdicts_of_high_contrast_stay_apart_for_everybody() {
    let senses =
        [("protanopia", PROTANOPIA, 25.0), ("deuteranopia", DEUTERANOPIA, 25.0), ("tritanopia", TRITANOPIA, 15.0)];
    for depth in [Depth::True, Depth::Ansi256] {
        let theme = theme("high-contrast", depth);
        let seen = |v: Verdict| light(theme.style(Role::of(v)).fg.unwrap()).unwrap();
        for (i, a) in Verdict::ALL.into_iter().enumerate() {
            for b in Verdict::ALL.into_iter().skip(i + 1) {
                for (name, matrix, least) in &senses {
                    let distance = apart(seen_with(matrix, seen(a)), seen_with(matrix, seen(b)));
                    assert!(distance >= *least, "{a} and {b} with {name} at {depth:?}: {distance:.1}");
                }
            }
        }
    }
    // What it is for: with the default's own red and green, deuteranopia leaves little but the lightness.
    let hue =
        |c: Color| lab(seen_with(&DEUTERANOPIA, light(c).unwrap()))[1..].iter().map(|v| v.signum()).collect::<Vec<_>>();
    assert_eq!(hue(Color::Red), hue(Color::Green));
}

#[test]
fn the_verdicts_of_every_theme_differ_at_every_depth() {
    // Glyph and word always go with them; a style of their own comes on top, as far as there are styles.
    for name in ["default", "light", "high-contrast"] {
        for depth in DEPTHS {
            let styles = Verdict::ALL.map(|v| theme(name, depth).style(Role::of(v)));
            for (i, a) in styles.iter().enumerate() {
                assert!(styles.iter().skip(i + 1).all(|b| a != b), "{name} at {depth:?}");
            }
        }
    }
    for (i, a) in Verdict::ALL.into_iter().enumerate() {
        assert!(Verdict::ALL.into_iter().skip(i + 1).all(|b| glyph(a) != glyph(b) && a.word() != b.word()));
    }
}
