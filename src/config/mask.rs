//! Secrets that were written where they do not belong are never echoed.

use std::ops::Range;

/// Words that name a secret when a value follows them.
const WORDS: [&str; 8] = ["password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "api_key"];
/// What stands in the place of a secret.
const MASK: &str = "***";

/// Where in `text` secrets may stand, as byte ranges in order: passwords in URLs, values of keys whose names say so.
/// Rather too many than one too few.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (i, sign) in text.match_indices("://") {
        found.extend(in_url(text, i + sign.len()));
    }
    let lower = text.to_ascii_lowercase();
    for word in WORDS {
        for (i, _) in lower.match_indices(word) {
            found.extend(after_word(text, i + word.len()));
        }
    }
    found.retain(|r| !r.is_empty());
    found.sort_by_key(|r| r.start);
    found
}

/// The text with every secret replaced.
pub(super) fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for range in secrets(text) {
        if range.end <= at {
            continue;
        }
        if range.start >= at {
            out.push_str(text.get(at..range.start).unwrap_or_default());
            out.push_str(MASK);
        }
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// The password of a URL whose authority starts at `start`.
fn in_url(text: &str, start: usize) -> Option<Range<usize>> {
    let rest = text.get(start..)?;
    let line = rest.get(..rest.find(['"', '\n']).unwrap_or(rest.len()))?;
    let word = line.get(..line.find(char::is_whitespace).unwrap_or(line.len()))?;
    // A password with a blank in it makes no URL, yet is a password.
    let at = word.rfind('@').or_else(|| line.rfind('@'))?;
    let colon = line.get(..at)?.find(':')?;
    Some(start + colon + 1..start + at)
}

/// The values after a word that names a secret, which ends at `end`.
fn after_word(text: &str, end: usize) -> Vec<Range<usize>> {
    let Some(rest) = text.get(end..) else { return Vec::new() };
    let tail = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let tail = tail.trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
    let Some(tail) = tail.strip_prefix('=') else { return Vec::new() };
    let value = tail.trim_start_matches([' ', '\t']);
    let start = text.len() - value.len();
    match value.chars().next() {
        Some('{') => {
            let table = value.get(..value.find(['}', '\n']).unwrap_or(value.len())).unwrap_or_default();
            in_reference(table).into_iter().map(|r| start + r.start..start + r.end).collect()
        }
        Some('[') => {
            let length = value.find(['\n', ']']).unwrap_or(value.len());
            Vec::from_iter(Some(start + 1..start + length))
        }
        Some(_) | None => Vec::from_iter(Some(start..start + length(value))),
    }
}

/// The strings of an inline table that is meant to be a reference to a secret, but those that a reference may have.
fn in_reference(table: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (i, _) in table.match_indices('=') {
        let key = table.get(..i).unwrap_or_default().trim_end();
        let key = key.rsplit(['{', ',', ' ', '\t']).next().unwrap_or_default();
        let value = table.get(i + 1..).unwrap_or_default();
        let start = i + 1 + (value.len() - value.trim_start().len());
        if !matches!(key, "env" | "file" | "command") {
            found.push(start..start + length(value.trim_start()));
        }
    }
    found
}

/// How long a value is: a TOML string, or a bare word of a connection string.
fn length(value: &str) -> usize {
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inner) = value.strip_prefix(quotes) {
            return inner.find(quotes).map_or(value.len(), |i| i + 2 * quotes.len());
        }
    }
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let mut escaped = false;
            for (i, c) in value.char_indices().skip(1) {
                match c {
                    '\n' => return i,
                    '\\' if quote == '"' => escaped = !escaped,
                    c if c == quote && !escaped => return i + 1,
                    _ => escaped = false,
                }
            }
            value.len()
        }
        Some(_) | None => {
            value.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '&' | ',' | '}')).unwrap_or(value.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_echoed() {
        for (text, shown) in [
            (r#"at = "postgres://u:hunter2@db/x""#, r#"at = "postgres://u:***@db/x""#),
            (r#"at = 'postgres://u:hun'ter2@db/x'"#, r#"at = 'postgres://u:***@db/x'"#),
            (r#"at = "postgres://u:p@ss:w@db:5432/x""#, r#"at = "postgres://u:***@db:5432/x""#),
            (r#"at = "postgres://u:my pass@db/x""#, r#"at = "postgres://u:***@db/x""#),
            (r#"at = "host=db password=hunter2 user=u""#, r#"at = "host=db password=*** user=u""#),
            (r#"at = "host=db password='hunter 2' user=u""#, r#"at = "host=db password=*** user=u""#),
            (r#"at = "postgres://db/x?password=hunter2&user=u""#, r#"at = "postgres://db/x?password=***&user=u""#),
            (r#"password = "hunter\"2" # x"#, r#"password = *** # x"#),
            (r#"  "Password"='hunter2'"#, r#"  "Password"=***"#),
            (r#"password = { value = "hunter2" }"#, r#"password = { value = *** }"#),
            (r#"password = ["hunter2"]"#, r#"password = [***]"#),
            ("password = \"\"\"hun\nter2\"\"\"\nx", "password = ***\nx"),
            (r#"pasword_token = hunter2"#, r#"pasword_token = ***"#),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            r#"password = { env = "ORDERS_DB_PASSWORD" }"#,
            r#"password = { command = ["op", "read", "op://x/y"] }"#,
            r#"at = { east = ["http://10.0.1.1:8008"], mail = "me@example.com" }"#,
            "# the password is elsewhere",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
