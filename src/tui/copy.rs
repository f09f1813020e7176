//! Copying through the terminal: OSC 52, which works over SSH too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The longest sequence that is sent, in bytes: terminals drop longer ones, some silently, and a slow link must not choke.
const LONGEST: usize = 64 * 1024;
/// Room for what goes around the text.
const AROUND: usize = 64;

/// The bytes that ask a terminal to put a text on the clipboard (xterm's control sequences, "Manipulate Selection Data").
/// The text is encoded, so nothing in it reaches the terminal as a control. Where it is too long, its beginning is taken.
///
/// `tmux`: whether tmux is in between. It takes the sequence itself where its `set-clipboard` is on, and hands the wrapped
/// one through where its `allow-passthrough` is; which of the two, only its owner knows.
#[must_use]
pub fn sequence(text: &str, tmux: bool) -> Vec<u8> {
    let most = (LONGEST / if tmux { 2 } else { 1 } - AROUND) / 4 * 3;
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let encoded = STANDARD.encode(text.get(..end).unwrap_or_default());
    let plain = format!("\x1b]52;c;{encoded}\x07");
    let wrapped = if tmux { format!("\x1bPtmux;\x1b{plain}\x1b\\") } else { String::new() };
    [plain, wrapped].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> String {
        let inner = bytes.strip_prefix(b"\x1b]52;c;").unwrap().strip_suffix(b"\x07").unwrap();
        String::from_utf8(STANDARD.decode(inner).unwrap()).unwrap()
    }

    #[test]
    fn the_text_is_encoded_whatever_it_holds() {
        let text = "wal\x07\x1b]0;x\x07 für db.west";
        let bytes = sequence(text, false);
        assert_eq!(decoded(&bytes), text);
        let inside = &bytes[7..bytes.len() - 1];
        assert!(inside.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b)), "only base64 is sent");
    }

    #[test]
    fn it_is_bounded() {
        let text = "ü".repeat(100_000);
        for tmux in [false, true] {
            assert!(sequence(&text, tmux).len() <= 64 * 1024);
        }
        let whole = decoded(&sequence(&text, false));
        assert!(whole.len() > 48_000 && text.starts_with(&whole));
    }

    #[test]
    fn tmux_is_told_both_ways() {
        let bytes = sequence("a", true);
        assert_eq!(bytes, b"\x1b]52;c;YQ==\x07\x1bPtmux;\x1b\x1b]52;c;YQ==\x07\x1b\\");
    }
}
