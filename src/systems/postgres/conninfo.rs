//! libpq's connection strings: a URL or `key=value` pairs, as text, without files and without the environment.
//!
//! Follows the chapter "Connection Strings" of PostgreSQL's documentation of libpq.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// The keys that count here.
pub const KEYS: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "service",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "connect_timeout",
    "target_session_attrs",
    "application_name",
    "options",
    "channel_binding",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
];

/// Keys that libpq knows and that change nothing for a look: taken and ignored.
const IGNORED: &[&str] = &[
    "client_encoding",
    "fallback_application_name",
    "gsslib",
    "gssdelegation",
    "krbsrvname",
    "sslcompression",
    "sslsni",
    "sslcertmode",
    "load_balance_hosts",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "min_protocol_version",
    "max_protocol_version",
];

/// Keys that libpq knows and that ask for something we do not do, with the one value that asks for nothing.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("gssencmode", "disable"),
    ("sslnegotiation", "postgres"),
    ("replication", "false"),
    ("require_auth", ""),
    ("requirepeer", ""),
    ("requiressl", "0"),
    ("sslpassword", ""),
    ("sslcrl", ""),
    ("sslcrldir", ""),
    ("scram_client_key", ""),
    ("scram_server_key", ""),
    ("sslkeylogfile", ""),
    ("oauth_issuer", ""),
    ("oauth_client_id", ""),
    ("oauth_client_secret", ""),
    ("oauth_scope", ""),
];

/// What is wrong with a connection string. Holds nothing of its values: one may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ConnInfoError {
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub right: String,
}

fn fault<T>(what: impl Into<String>, right: impl Into<String>) -> Result<T, ConnInfoError> {
    Err(ConnInfoError { what: what.into(), right: right.into() })
}

/// The parameters of a connection string, by key; the password apart. Prints without the password.
#[derive(Clone, Default)]
pub struct Params {
    values: BTreeMap<&'static str, String>,
    password: Option<SecretString>,
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.values).finish()
    }
}

impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        let open = |p: &Self| p.password.as_ref().map(|s| s.expose_secret().to_owned());
        self.values == other.values && open(self) == open(other)
    }
}

impl Params {
    /// Reads a connection string: a URL where it begins with `postgres://` or `postgresql://`, else `key=value` pairs.
    ///
    /// # Errors
    /// What is wrong, without any value of the string.
    pub fn parse(text: &str) -> Result<Self, ConnInfoError> {
        let text = text.trim();
        match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
            Some(rest) => Self::from_url(rest),
            // Another program's URL; in pairs, "://" may stand in a value.
            None if text.split_once("://").is_some_and(|(scheme, _)| !scheme.contains(['=', ' '])) => {
                fault("not a PostgreSQL address", "postgres://user@host:5432/database, or host=... dbname=... user=...")
            }
            None => Self::from_pairs(text),
        }
    }

    /// The value of a key; `None` for one that is not given. Never the password.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The password that stands in the string itself.
    #[must_use]
    pub const fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// The same with what is missing taken from `defaults`.
    #[must_use]
    pub fn or(mut self, defaults: Self) -> Self {
        for (key, value) in defaults.values {
            self.values.entry(key).or_insert(value);
        }
        self.password = self.password.or(defaults.password);
        self
    }

    /// Sets one parameter; an empty value unsets it, as libpq takes it.
    ///
    /// # Errors
    /// An unknown key, with the nearest; a key that asks for what we do not do.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConnInfoError> {
        if key == "password" {
            self.password = (!value.is_empty()).then(|| SecretString::from(value.to_owned()));
            return Ok(());
        }
        if let Some(known) = KEYS.iter().find(|k| **k == key) {
            if value.is_empty() {
                self.values.remove(known);
            } else {
                self.values.insert(known, value.to_owned());
            }
            return Ok(());
        }
        if IGNORED.contains(&key) {
            return Ok(());
        }
        if let Some((name, harmless)) = UNSUPPORTED.iter().find(|(k, _)| *k == key) {
            let fine = value.is_empty() || value == *harmless || (*name == "gssencmode" && value == "prefer");
            return if fine { Ok(()) } else { fault(format!("{name} is not supported"), format!("leave {name} out")) };
        }
        let nearest = nearest(key);
        match nearest {
            Some(near) => {
                fault(format!("unknown connection parameter \"{}\"", shown(key)), format!("did you mean {near}?"))
            }
            None => fault(format!("unknown connection parameter \"{}\"", shown(key)), KEYS.join(", ")),
        }
    }

    fn from_url(rest: &str) -> Result<Self, ConnInfoError> {
        let mut params = Self::default();
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(r, q)| (r, Some(q)));
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
        let (user_info, hosts) = authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u), h));
        if let Some(info) = user_info {
            let (user, password) = info.split_once(':').map_or((info, None), |(u, p)| (u, Some(p)));
            params.set("user", &decode(user)?)?;
            if let Some(password) = password {
                params.set("password", &decode(password)?)?;
            }
        }
        let mut names = Vec::new();
        let mut ports = Vec::new();
        for one in hosts.split(',') {
            let (host, port) = split_host(one)?;
            names.push(decode(host)?);
            ports.push(port.to_owned());
        }
        if names.iter().any(|n| !n.is_empty()) {
            params.set("host", &names.join(","))?;
        }
        if ports.iter().any(|p| !p.is_empty()) {
            params.set("port", &ports.join(","))?;
        }
        if let Some(name) = path {
            params.set("dbname", &decode(name)?)?;
        }
        for pair in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return fault("a URL parameter without a value", "?key=value&key=value");
            };
            let (key, value) = (decode(key)?, decode(value)?);
            if key == "ssl" && value == "true" {
                params.set("sslmode", "require")?;
            } else {
                params.set(&key, &value)?;
            }
        }
        Ok(params)
    }

    fn from_pairs(text: &str) -> Result<Self, ConnInfoError> {
        let mut params = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let Some((key, tail)) = rest.split_once('=') else {
                return fault("a connection parameter without \"=\"", "key=value pairs with blanks between, or a URL");
            };
            let (value, tail) = quoted_value(tail.trim_start())?;
            params.set(key.trim_end(), &value)?;
            rest = tail.trim_start();
        }
        Ok(params)
    }

    /// As `key=value` pairs that are read back as the same; with the password only on request.
    #[must_use]
    pub fn to_pairs(&self, with_password: bool) -> String {
        let mut out = String::new();
        let password = self.password.as_ref().filter(|_| with_password).map(|s| ("password", s.expose_secret()));
        for (key, value) in self.values.iter().map(|(k, v)| (*k, v.as_str())).chain(password) {
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            out.push_str(&format!("{key}='{value}' "));
        }
        out.trim_end().to_owned()
    }

    /// Whom it names, for people: `db.east.example.com:5432`; several with commas. Never a secret.
    #[must_use]
    pub fn server(&self) -> String {
        let ports: Vec<&str> = self.get("port").map_or_else(Vec::new, |p| p.split(',').collect());
        match self.get("host").or_else(|| self.get("hostaddr")) {
            Some(hosts) => {
                let of = |(n, host): (usize, &str)| {
                    let port = ports.get(n).or(ports.first()).filter(|p| !p.is_empty()).unwrap_or(&"5432");
                    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
                };
                hosts.split(',').enumerate().map(of).collect::<Vec<_>>().join(",")
            }
            None => self.get("service").map_or_else(|| "the default server".to_owned(), |s| format!("service {s}")),
        }
    }
}

/// A key as an error may show it: a malformed string can put a secret where a key should be.
fn shown(key: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    if key.len() <= 30 && key.chars().all(|c| plain(&c)) && nearest(key).is_some() {
        key.to_owned()
    } else {
        "...".to_owned()
    }
}

fn nearest(key: &str) -> Option<&'static str> {
    let scored = KEYS.iter().map(|k| (distance(k, key), *k));
    scored.min().filter(|(d, k)| *d <= 3 && *d < k.len()).map(|(_, k)| k)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (cb, up) in b.iter().zip(row.iter().skip(1)) {
            let here = (diagonal + usize::from(ca != *cb)).min(up + 1).min(left + 1);
            diagonal = *up;
            left = here;
            next.push(here);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// `host`, `host:port`, `[v6]:port`.
fn split_host(one: &str) -> Result<(&str, &str), ConnInfoError> {
    if let Some(v6) = one.strip_prefix('[') {
        return match v6.split_once(']') {
            Some((host, "")) => Ok((host, "")),
            Some((host, tail)) => match tail.strip_prefix(':') {
                Some(port) => Ok((host, port)),
                None => fault("something else than a port after \"]\"", "[2001:db8::1]:5432"),
            },
            None => fault("an address that begins with \"[\" and does not end", "[2001:db8::1]:5432"),
        };
    }
    match one.split_once(':') {
        Some((_, port)) if port.contains(':') => fault("an IPv6 address without brackets", "[2001:db8::1]:5432"),
        Some((host, port)) => Ok((host, port)),
        None => Ok((one, "")),
    }
}

/// Percent-decoding (RFC 3986); what it gives must be UTF-8 without NUL.
fn decode(text: &str) -> Result<String, ConnInfoError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (digit(bytes.next()), digit(bytes.next())) {
            (Some(high), Some(low)) if high | low != 0 => out.push(high << 4 | low),
            _ => return fault("a \"%\" that is no percent-encoding", "write \"%\" as %25"),
        }
    }
    String::from_utf8(out).or_else(|_| fault("a percent-encoding that is not UTF-8", "encode the text's UTF-8 bytes"))
}

/// One value of a pair, quoted or not, and what follows it.
fn quoted_value(text: &str) -> Result<(String, &str), ConnInfoError> {
    let quoted = text.strip_prefix('\'');
    let body = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                if let Some((_, next)) = chars.next() {
                    value.push(next);
                }
            }
            '\'' if quoted.is_some() => return Ok((value, body.get(at + 1..).unwrap_or_default())),
            c if c.is_ascii_whitespace() && quoted.is_none() => return Ok((value, body.get(at..).unwrap_or_default())),
            c => value.push(c),
        }
    }
    if quoted.is_some() { fault("a quoted value that does not end", "key='value'") } else { Ok((value, "")) }
}

#[cfg(test)]
#[path = "conninfo_tests.rs"]
mod tests;
