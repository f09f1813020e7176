//! Lines that fit a terminal.

use unicode_width::UnicodeWidthStr;

/// Breaks one line between words so that each part fits `width` cells; every part but the first is indented. A word that
/// is longer than a line is left whole: it is an address or a statement, to be copied.
pub(super) fn wrap(line: &str, width: Option<usize>, indent: usize) -> Vec<String> {
    let Some(width) = width.filter(|w| *w > indent + 20) else { return vec![line.to_owned()] };
    if line.width() <= width {
        return vec![line.to_owned()];
    }
    let lead: String = line.chars().take_while(|c| *c == ' ').collect();
    let mut lines = Vec::new();
    let mut part = lead.clone();
    let mut empty = true;
    for word in line.split(' ').skip(lead.len()) {
        let more = usize::from(!empty) + word.width();
        if !empty && part.width() + more > width {
            lines.push(part.trim_end().to_owned());
            part = " ".repeat(indent);
            empty = true;
        }
        if !empty {
            part.push(' ');
        }
        part.push_str(word);
        empty = false;
    }
    lines.push(part);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn breaks_between_words_and_indents() {
        let text = "  one two three four five six seven eight nine";
        assert_eq!(wrap(text, Some(30), 4), ["  one two three four five six", "    seven eight nine"]);
        assert_eq!(wrap(text, None, 4), [text]);
        assert_eq!(wrap("✖ aa bb", Some(80), 4), ["✖ aa bb"]);
    }

    proptest! {
        #[test]
        fn words_are_kept_and_lines_fit(words in prop::collection::vec("[a-z✖é]{1,30}", 1..40), width in 40_usize..120) {
            let lines = wrap(&words.join(" "), Some(width), 4);
            prop_assert!(lines.iter().all(|l| l.width() <= width), "{lines:?}");
            let back: Vec<&str> = lines.iter().flat_map(|l| l.split_whitespace()).collect();
            prop_assert_eq!(back, words);
        }
    }
}
