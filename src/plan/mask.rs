//! Taking secrets out of text: of a configuration that is recorded, of what is said about its mistakes.

use std::ops::Range;

/// Words that name a secret where a value follows a key that has them in it.
const WORDS: [&str; 9] =
    ["password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "api_key", "access_key"];
/// What stands in the place of a secret.
const MASK: &str = "***";

/// Where in `text` secrets may stand, as byte ranges in order, which may overlap: passwords in URLs
/// (`scheme://user:PASSWORD@host`), and values of keys whose names say so, in TOML, in a connection string, in a URL's
/// query. Quotes are left out of them. References to secrets (`{ env = "NAME" }`) are none. Rather one too many.
#[must_use]
pub fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (i, sign) in text.match_indices("://") {
        found.extend(in_url(text, i + sign.len()));
    }
    let lower = text.to_ascii_lowercase().replace('-', "_");
    for word in WORDS {
        for (i, _) in lower.match_indices(word) {
            found.extend(after_word(text, i + word.len()));
        }
    }
    found.retain(|r| !r.is_empty());
    found.sort_by_key(|r| r.start);
    found
}

/// The text with every secret replaced, and how many were.
#[must_use]
pub fn masked(text: &str) -> (String, usize) {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut count) = (0, 0);
    for range in secrets(text) {
        if range.end <= at {
            continue;
        }
        if range.start >= at {
            out.push_str(text.get(at..range.start).unwrap_or_default());
            out.push_str(MASK);
            count += 1;
        }
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    (out, count)
}

/// The quote that the string around `at` began with, as far as its line says.
fn quote_around(text: &str, at: usize) -> Option<char> {
    let line = text.get(..at)?.rsplit('\n').next()?;
    let mut open = None;
    let mut escaped = false;
    for c in line.chars() {
        match (open, c) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (None, '"' | '\'') => open = Some(c),
            (Some(quote), c) if quote == c => open = None,
            (Some(_) | None, _) => {}
        }
    }
    open
}

/// The password of a URL whose authority starts at `start`.
fn in_url(text: &str, start: usize) -> Option<Range<usize>> {
    let line = text.get(start..)?.split('\n').next()?;
    let string = match quote_around(text, start) {
        Some(quote) => line.split(quote).next()?,
        None => line.split('"').next()?,
    };
    let first = |s: &str| s.find(char::is_whitespace).unwrap_or(s.len());
    // A password with a blank in it makes no URL, nor one with a quote a TOML string, yet each is a password.
    let at = string.get(..first(string))?.rfind('@').or_else(|| string.rfind('@')).or_else(|| {
        let wide = line.split('"').next()?;
        wide.get(..first(wide))?.rfind('@')
    })?;
    let colon = line.get(..at)?.find(':')?;
    // A port, and an `@` that only comes later.
    (!line.get(..colon)?.contains(['/', '?'])).then_some(start + colon + 1..start + at)
}

/// The values after a word that names a secret, which ends at `end`.
fn after_word(text: &str, end: usize) -> Vec<Range<usize>> {
    let Some(rest) = text.get(end..) else { return Vec::new() };
    let tail = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let tail = tail.trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
    let Some(tail) = tail.strip_prefix('=') else { return Vec::new() };
    let value = tail.trim_start_matches([' ', '\t']);
    let start = text.len() - value.len();
    let around = quote_around(text, end);
    match value.chars().next() {
        Some('{') if around.is_none() => {
            let table = value.get(..value.find(['}', '\n']).unwrap_or(value.len())).unwrap_or_default();
            in_reference(table).into_iter().map(|r| start + r.start..start + r.end).collect()
        }
        Some('[') if around.is_none() => {
            let length = value.find(['\n', ']']).unwrap_or(value.len());
            Vec::from_iter(Some(start + 1..start + length))
        }
        Some(_) | None => {
            let before = text.get(..end).unwrap_or_default();
            let word = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).next().unwrap_or_default();
            let inner = inner(value, around, word.contains(['?', '&']));
            Vec::from_iter(Some(start + inner.start..start + inner.end))
        }
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
            let inner = inner(value.trim_start(), None, false);
            found.push(start + inner.start..start + inner.end);
        }
    }
    found
}

/// What is secret of a value: a TOML string's inside, or a bare word of a connection string, of a query, of an environment.
fn inner(value: &str, around: Option<char>, in_query: bool) -> Range<usize> {
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inner) = value.strip_prefix(quotes) {
            return quotes.len()..quotes.len() + inner.find(quotes).unwrap_or(inner.len());
        }
    }
    if around.is_some()
        && let Some(inner) = value.strip_prefix("\\\"")
    {
        return 2..2 + inner.find("\\\"").unwrap_or(inner.len());
    }
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) if around != Some(quote) => {
            let mut escaped = false;
            for (i, c) in value.char_indices().skip(1) {
                match c {
                    '\n' => return 1..i,
                    // TOML's basic strings and libpq's quoted values know it; a literal string that ends in one ends here.
                    '\\' if quote == '"' || around.is_some() => escaped = !escaped,
                    c if c == quote && !escaped => return 1..i,
                    _ => escaped = false,
                }
            }
            1..value.len()
        }
        Some(_) | None => {
            let ends = |c: char| match around {
                _ if c.is_whitespace() || c == '"' => true,
                Some(quote) => c == quote || in_query && matches!(c, '&' | '#'),
                None => matches!(c, '\'' | ',' | '}' | ']') || in_query && matches!(c, '&' | '#'),
            };
            0..value.find(ends).unwrap_or(value.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (text, shown) in [
            (r#"at = "postgres://u:hunter2@db/x""#, r#"at = "postgres://u:***@db/x""#),
            (r#"at = 'postgres://u:hun'ter2@db/x'"#, r#"at = 'postgres://u:***@db/x'"#),
            (r#"at = "postgres://u:p@ss:w@db:5432/x""#, r#"at = "postgres://u:***@db:5432/x""#),
            (r#"at = "postgres://u:s3:c@r/et@db/x""#, r#"at = "postgres://u:***@db/x""#),
            (r#"at = "postgres://u:my pass@db/x""#, r#"at = "postgres://u:***@db/x""#),
            (r#"at = 'postgres://u:hunter2@db/x', b = 'me@x'"#, r#"at = 'postgres://u:***@db/x', b = 'me@x'"#),
            (r#"at = "host=db password=hunter2 user=u""#, r#"at = "host=db password=*** user=u""#),
            (r#"at = "host=db password=hun&t,e'r#2 user=u""#, r#"at = "host=db password=*** user=u""#),
            (r#"at = "host=db password='hunter 2' user=u""#, r#"at = "host=db password='***' user=u""#),
            (r#"at = "host=db password = 's3\' cret' user=u""#, r#"at = "host=db password = '***' user=u""#),
            (r#"at = 'host=db password=hunter2' # u"#, r#"at = 'host=db password=***' # u"#),
            (r#"at = "postgres://db/x?password=hunter2&user=u""#, r#"at = "postgres://db/x?password=***&user=u""#),
            (
                r#""postgres://u@db:5432/x?password=s3cret&sslmode=require""#,
                r#""postgres://u@db:5432/x?password=***&sslmode=require""#,
            ),
            (r#"password = "hunter\"2" # x"#, r#"password = "***" # x"#),
            (r#"password = 'hunter2\' # x"#, r#"password = '***' # x"#),
            (r#"  "Password"='hunter2'"#, r#"  "Password"='***'"#),
            (r#"password = { value = "hunter2" }"#, r#"password = { value = "***" }"#),
            (r#"password = ["hunter2"]"#, r#"password = [***]"#),
            ("password = \"\"\"hun\nter2\"\"\"\nx", "password = \"\"\"***\"\"\"\nx"),
            ("api-token = \"\"\"s3\ncret\"\"\"", "api-token = \"\"\"***\"\"\""),
            ("pasword_token = hunter2", "pasword_token = ***"),
            ("PGPASSWORD=s3cret", "PGPASSWORD=***"),
        ] {
            assert_eq!(masked(text), (shown.to_owned(), 1), "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            r#"password = { env = "ORDERS_DB_PASSWORD" }"#,
            r#"password = { command = ["op", "read", "op://x/y"] }"#,
            r#"at = { east = ["http://10.0.1.1:8008"], mail = "me@example.com" }"#,
            r#"at = { east = ['http://10.0.1.1:8008'], mail = 'me@example.com' }"#,
            r#""postgres://lifeboat@db.east.example.com:5432/orders""#,
            r#""http://10.0.1.1:8008", "http://10.1.1.1:8008""#,
            r#"compass = "north""#,
            "# the password is elsewhere",
            "name = \"ünïcode 🚢\"",
        ] {
            assert_eq!(masked(text), (text.to_owned(), 0));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".*|[a-z=\"'{}\\[\\] :/@?&-]*(password|://)[=\"'{} a-z:@]*") {
            let (out, count) = masked(&text);
            prop_assert!(count > 0 || out == text);
        }

        #[test]
        fn no_password_is_left(secret in "[a-zA-Z0-9/:@?!$%^&*()+=~,#-]{8,30}x") {
            for around in ["\"", "'"] {
                for text in [
                    format!("postgres://me:{secret}@db.example.com/orders"),
                    format!("host=db password={secret} user=me"),
                ] {
                    let (out, _) = masked(&format!("at = {around}{text}{around}"));
                    prop_assert!(!out.contains(&secret), "{out}");
                }
            }
        }
    }
}
