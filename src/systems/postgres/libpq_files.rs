//! The text of libpq's files: the password file and the connection service file.

/// The password for a server, from the text of a password file: the first line `host:port:database:user:password` that
/// matches, where `*` matches all, and `\` takes the next character as it is.
#[must_use]
pub fn password(text: &str, host: &str, port: u16, database: &str, user: &str) -> Option<String> {
    let port = port.to_string();
    let wanted = [host, &port, database, user];
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let mut rest = line.strip_suffix('\r').unwrap_or(line);
        let mut matches = true;
        for want in wanted {
            let Some((field, star, tail)) = field(rest) else {
                matches = false;
                break;
            };
            rest = tail;
            matches = matches && (star || field == want);
        }
        if matches {
            let mut password = String::new();
            let mut chars = rest.chars();
            while let Some(c) = chars.next() {
                match c {
                    '\\' => password.extend(chars.next()),
                    // libpq ends the password here too.
                    ':' => break,
                    c => password.push(c),
                }
            }
            return Some(password);
        }
    }
    None
}

/// One field up to its colon, whether it is a bare `*`, and the rest.
fn field(text: &str) -> Option<(String, bool, &str)> {
    let mut out = String::new();
    let mut escaped = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                escaped = true;
                out.push(chars.next()?.1);
            }
            ':' => {
                let star = out == "*" && !escaped;
                return Some((out, star, text.get(at + 1..)?));
            }
            c => out.push(c),
        }
    }
    None
}

/// The parameters of one service, from the text of a service file (INI: `[name]`, then `key=value` lines). `None` where
/// the service is not in it.
#[must_use]
pub fn service(text: &str, name: &str) -> Option<Vec<(String, String)>> {
    let mut found: Option<Vec<(String, String)>> = None;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.split_once(']')).map(|(s, _)| s) {
            if found.is_some() {
                break;
            }
            if section == name {
                found = Some(Vec::new());
            }
        } else if let (Some(found), Some((key, value))) = (&mut found, line.split_once('=')) {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_line_that_matches_wins() {
        let file =
            "# comment\nother:*:*:*:no\ndb.example.com:5432:orders:me:first\n*:*:*:me:a\\:b\\\\c:junk\n\\*:*:*:x:no\n";
        let of = |host, port, db, user| password(file, host, port, db, user);
        assert_eq!(of("db.example.com", 5432, "orders", "me").as_deref(), Some("first"));
        assert_eq!(of("db.example.com", 5433, "orders", "me").as_deref(), Some("a:b\\c"));
        assert_eq!(of("anything", 1, "x", "x"), None, "an escaped star is a star");
        assert_eq!(of("anything", 1, "x", "you"), None);
        assert_eq!(password("::1:5432:d:u:p", "::1", 5432, "d", "u"), None);
        assert_eq!(password("\\:\\:1:5432:d:u:p\r\n", "::1", 5432, "d", "u").as_deref(), Some("p"));
    }

    #[test]
    fn a_service_ends_where_the_next_begins() {
        let file = "[a]\nhost=x\n# no\n[b]\nhost = y\nport=1\n[c]\nhost=z";
        assert_eq!(service(file, "b"), Some(vec![("host".into(), "y".into()), ("port".into(), "1".into())]));
        assert_eq!(service(file, "d"), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in ".*", name in ".*") {
            let _ = password(&text, &name, 1, &name, &name);
            let _ = service(&text, &name);
        }
    }
}
