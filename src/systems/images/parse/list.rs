//! The list of images that a pipeline writes.

use crate::readiness::{Gap, Reason};

use super::super::options::At;
use super::reference::{self, Image};

/// Most images of one list.
pub const MOST: usize = 500;

/// One entry: an image, or what was written and why it cannot be understood.
pub type Entry = Result<Image, (String, String)>;

/// Reads a list: a JSON array of strings, or one image a line, where `#` begins a comment and empty lines are nothing. An
/// image may be written with one of the registries before it, as it is deployed. Every image once.
///
/// # Errors
/// `Malformed`: no UTF-8, or JSON of another shape. `Absent`: no image in it. `TooLarge`: more than [`MOST`].
pub fn read(bytes: &[u8], registries: &[At]) -> Result<Vec<Entry>, Gap> {
    let text = std::str::from_utf8(bytes).map_err(|_| Gap::new(Reason::Malformed, "the list is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<String> = if text.trim_start().starts_with(['[', '{']) {
        serde_json::from_str(text)
            .map_err(|e| Gap::new(Reason::Malformed, &format!("the list is no JSON array of strings: {e}")))?
    } else {
        let line = |l: &str| l.split('#').next().unwrap_or_default().trim().to_owned();
        text.lines().map(line).filter(|l| !l.is_empty()).collect()
    };
    let mut entries: Vec<Entry> = Vec::new();
    for line in lines {
        let entry = entry(line.trim(), registries);
        if !entries.contains(&entry) {
            entries.push(entry);
        }
        if entries.len() > MOST {
            return Err(Gap::new(Reason::TooLarge, &format!("the list has more than {MOST} images")));
        }
    }
    if entries.is_empty() { Err(Gap::new(Reason::Absent, "the list has no image in it")) } else { Ok(entries) }
}

fn entry(text: &str, registries: &[At]) -> Entry {
    let own = |at: &At| text.strip_prefix(&at.to_string())?.strip_prefix('/');
    let below = registries.iter().filter_map(own).min_by_key(|rest| rest.len());
    let wrong = |why: String| (text.to_owned(), why);
    match below {
        Some(rest) => reference::read(rest).map_err(wrong),
        None if reference::names_a_registry(text) => {
            Err(wrong("it is in a registry that no site of this probe names: give it a probe of its own".to_owned()))
        }
        None => reference::read(text).map_err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<String>, Reason> {
        let registries = ["registry.east.example.com/shop", "registry.west.example.com"];
        let registries: Vec<At> = registries.iter().map(|t| At::read(t, false).unwrap()).collect();
        let shown = |e: &Entry| match e {
            Ok(image) => image.written.clone(),
            Err((text, _)) => format!("!{text}"),
        };
        read(text.as_bytes(), &registries).map(|all| all.iter().map(shown).collect()).map_err(|g| g.reason)
    }

    #[test]
    fn lines_and_json() {
        let lines = "# deployed\napi:1 # the front\n\nregistry.east.example.com/shop/worker:2\r\napi:1\n";
        assert_eq!(of(lines).unwrap(), ["api:1", "worker:2"]);
        assert_eq!(of(r#"["api:1", "registry.west.example.com/worker:2"]"#).unwrap(), ["api:1", "worker:2"]);
        assert_eq!(of("ghcr.io/other/x:1\nAPI\n").unwrap(), ["!ghcr.io/other/x:1", "!API"]);
        assert_eq!(of("\u{feff}api:1").unwrap(), ["api:1"]);
    }

    #[test]
    fn what_is_no_list_is_a_gap() {
        assert_eq!(of(""), Err(Reason::Absent));
        assert_eq!(of("# nothing\n"), Err(Reason::Absent));
        assert_eq!(of("[]"), Err(Reason::Absent));
        assert_eq!(of(r#"{"images": []}"#), Err(Reason::Malformed));
        assert_eq!(of(r#"["api:1", 7]"#), Err(Reason::Malformed));
        assert_eq!(of(r#"["api:1""#), Err(Reason::Malformed));
        assert_eq!(read(b"\xff", &[]).unwrap_err().reason, Reason::Malformed);
        let many: String = (0..=MOST).map(|i| format!("api:{i}\n")).collect();
        assert_eq!(of(&many), Err(Reason::TooLarge));
    }
}
