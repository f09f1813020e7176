//! Text from outside, made safe to show.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is safe to print on a terminal: one line, no control characters, no escape sequences, no invisible or
/// direction-changing characters, at most [`SafeText::LIMIT`] bytes. What comes from a remote is made into this when it
/// is read in, and has no way back.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeText(Arc<str>);

impl SafeText {
    /// The most bytes that one text keeps; the rest is replaced by an ellipsis.
    pub const LIMIT: usize = 1_024;

    /// Sanitises `text`. Line breaks and tabs become one space; other control characters, bidirectional overrides and
    /// zero-width characters are dropped; what is over the limit is cut at a character's boundary.
    #[must_use]
    pub fn new(text: &str) -> Self {
        // Nearly all text is of this kind, and is taken as it is.
        if text.len() < Self::LIMIT - 4 && text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Self(text.trim_end().into());
        }
        let mut out = String::with_capacity(text.len().min(Self::LIMIT));
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if out.len() >= Self::LIMIT - 4 {
                out.push('…');
                break;
            }
            match c {
                '\u{1b}' => skip_escape(&mut chars),
                '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                    if !out.ends_with(' ') {
                        out.push(' ');
                    }
                }
                c if c.is_control() || is_invisible(c) => {}
                c => out.push(c),
            }
        }
        Self(out.trim_end().into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Drops the rest of an escape sequence (ECMA-48 CSI and OSC, else one character).
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some(_) | None => {}
    }
}

/// Characters that take no cell or change the direction of their neighbours (Unicode Bidi_Control, format characters,
/// tags, variation selectors).
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

impl From<&str> for SafeText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for SafeText {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for SafeText {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SafeText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(SafeText::new("a\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}b").as_str(), "aredb");
        assert_eq!(SafeText::new("ERROR:  x\n\tat line 1\r\n").as_str(), "ERROR:  x at line 1");
        assert_eq!(SafeText::new("evil\u{202e}gpj.exe\u{200b}").as_str(), "evilgpj.exe");
        assert_eq!(SafeText::new("\u{1b}]52;c;aGk=\u{1b}\\ok").as_str(), "ok");
        assert_eq!(SafeText::new("cut \u{1b}[").as_str(), "cut");
    }

    proptest! {
        #[test]
        fn always_bounded_and_printable(text in "\\PC*|.*") {
            let safe = SafeText::new(&text);
            prop_assert!(safe.as_str().len() <= SafeText::LIMIT);
            prop_assert!(!safe.as_str().chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert_eq!(SafeText::new(safe.as_str()), safe.clone());
        }
    }
}
