//! Taking secrets out of a configuration's text, so that the rest can be given away.

/// What stands in a secret's place.
const MASK: &str = "***";

/// Keys whose value is a secret, wherever they stand: in TOML, in a connection string, in a URL's query.
const KEYS: [&str; 9] =
    ["password", "passwd", "pwd", "pgpassword", "sslpassword", "secret", "token", "access_key", "passphrase"];

/// Replaces passwords in URLs (`scheme://user:PASSWORD@host`), in connection strings (`password=...`, quoted or not), in
/// URLs' queries (`?password=...`) and in inline values of keys that name a secret. References to secrets
/// (`{ env = "NAME" }`) stay: they hold none. Returns the text and how many were replaced; rather one too many.
#[must_use]
pub fn mask(text: &str) -> (String, usize) {
    let mut out = String::with_capacity(text.len());
    let mut count = 0;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = out.chars().next_back();
        let secret = if let Some(after) = rest.strip_prefix("://") {
            out.push_str("://");
            userinfo(after).map(|(keep, secret)| (3 + keep, secret))
        } else if before.is_none_or(|b| !b.is_ascii_alphanumeric()) {
            keyed(rest)
        } else {
            None
        };
        let taken = if rest.starts_with("://") { 3 } else { 0 };
        match secret {
            Some((keep, secret)) => {
                out.push_str(rest.get(taken..keep).unwrap_or_default());
                out.push_str(MASK);
                count += 1;
                rest = rest.get(keep + secret..).unwrap_or_default();
            }
            None if taken > 0 => rest = rest.get(taken..).unwrap_or_default(),
            None => {
                out.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    (out, count)
}

/// The password of a URL, after its `://`: how many bytes to keep, and how many are secret.
fn userinfo(after: &str) -> Option<(usize, usize)> {
    // A password may hold anything but what ends the string; a stray slash in it does not end it for libpq either.
    let end = after.find(['"', '\'', '\n', ' ', '\t']).unwrap_or(after.len());
    let authority = after.get(..end)?;
    let at = authority.rfind('@')?;
    let colon = authority.get(..at)?.find(':')?;
    let user = authority.get(..colon)?;
    // The colon of a port, and an `@` that only comes later, in a query.
    let secret = at - colon - 1;
    (secret > 0 && !user.contains(['/', '?'])).then_some((colon + 1, secret))
}

/// A value that a key names as secret, at the start of `rest`: how many bytes to keep, and how many are secret.
fn keyed(rest: &str) -> Option<(usize, usize)> {
    let name: usize = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
    let key = rest.get(..name)?.to_ascii_lowercase().replace('-', "_");
    if !KEYS.iter().any(|k| key == *k || key.ends_with(&format!("_{k}"))) {
        return None;
    }
    let mut at = name;
    // A quoted TOML key.
    if rest.get(at..)?.starts_with(['"', '\'']) {
        at += 1;
    }
    at += blank(rest.get(at..)?);
    at += usize::from(rest.get(at..)?.starts_with('='));
    if !rest.get(..at)?.ends_with('=') {
        return None;
    }
    at += blank(rest.get(at..)?);
    let value = rest.get(at..)?;
    let (open, len) = if let Some(v) = value.strip_prefix("\"\"\"") {
        (3, v.find("\"\"\"").unwrap_or(v.len()))
    } else if let Some(v) = value.strip_prefix("'''") {
        (3, v.find("'''").unwrap_or(v.len()))
    } else if let Some(v) = value.strip_prefix("\\\"") {
        (2, v.find("\\\"").unwrap_or(v.len()))
    } else if let Some(quote @ ('"' | '\'')) = value.chars().next() {
        (1, quoted(value.get(1..)?, quote))
    } else if value.starts_with('{') {
        // `{ env = "NAME" }`: a reference.
        return None;
    } else {
        (0, value.find(['"', '\'', '\n', ' ', '\t', '&', '#', ',', ']', '}']).unwrap_or(value.len()))
    };
    (len > 0).then_some((at + open, len))
}

fn blank(text: &str) -> usize {
    text.bytes().take_while(|b| matches!(b, b' ' | b'\t')).count()
}

/// Bytes up to the quote that is not escaped.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return i,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let cases = [
            ("east = \"postgres://u:s3cret@db:5432/x\"", "east = \"postgres://u:***@db:5432/x\""),
            ("\"postgres://u:s3:c@r/et@db/x\"", "\"postgres://u:***@db/x\""),
            (
                "\"postgres://u@db:5432/x?password=s3cret&sslmode=require\"",
                "\"postgres://u@db:5432/x?password=***&sslmode=require\"",
            ),
            ("\"host=db password=s3cret user=u\"", "\"host=db password=*** user=u\""),
            ("\"host=db password = 's3 cret' user=u\"", "\"host=db password = '***' user=u\""),
            ("\"host=db password='s3\\' cret' user=u\"", "\"host=db password='***' user=u\""),
            ("password = \"s3cret\"", "password = \"***\""),
            ("PGPASSWORD=s3cret", "PGPASSWORD=***"),
            ("\"password\" = 's3cret'", "\"password\" = '***'"),
            ("api_token = \"\"\"s3\ncret\"\"\"", "api_token = \"\"\"***\"\"\""),
        ];
        for (text, masked) in cases {
            assert_eq!(mask(text), (masked.to_owned(), 1), "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_is_left_alone() {
        for text in [
            "password = { env = \"ORDERS_DB_PASSWORD\" }",
            "\"postgres://lifeboat@db.east.example.com:5432/orders\"",
            "\"http://10.0.1.1:8008\", \"http://10.1.1.1:8008\"",
            "compass = \"north\"",
            "# the password is elsewhere",
            "name = \"ünïcode 🚢\"",
        ] {
            assert_eq!(mask(text), (text.to_owned(), 0));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".*") {
            let (out, count) = mask(&text);
            prop_assert!(count > 0 || out == text);
        }

        #[test]
        fn no_password_of_a_url_is_left(secret in "[a-zA-Z0-9/:@?!$%^&*()+=~-]{8,30}x") {
            let (out, _) = mask(&format!("at = \"postgres://me:{secret}@db.example.com/orders\""));
            prop_assert!(!out.contains(&secret), "{out}");
        }
    }
}
