//! How a registry wants to be told who asks (RFC 9110 section 11.6.1, RFC 6750, the distribution project's token
//! authentication).

use serde::Deserialize;

use crate::readiness::{Gap, Reason};

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A user and a password with every request.
    Basic,
    /// A token, which is fetched elsewhere.
    Bearer {
        /// Where.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// For what, where the registry says it.
        scope: Option<String>,
        /// Why the token that came with the request is not enough.
        error: Option<String>,
    },
}

impl Challenge {
    /// Reads one `WWW-Authenticate` header, which may hold several challenges. A bearer's wins; `None` where there is
    /// none that we know.
    #[must_use]
    pub fn read(header: &str) -> Option<Self> {
        let mut basic = None;
        for (scheme, parameters) in challenges(header) {
            let of = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            match scheme.as_str() {
                "bearer" => {
                    if let Some(realm) = of("realm") {
                        return Some(Self::Bearer {
                            realm,
                            service: of("service"),
                            scope: of("scope"),
                            error: of("error"),
                        });
                    }
                }
                "basic" => basic = Some(Self::Basic),
                _ => {}
            }
        }
        basic
    }
}

type Parameters = Vec<(String, String)>;

/// Splits a header into schemes with their parameters.
fn challenges(header: &str) -> Vec<(String, Parameters)> {
    let mut found: Vec<(String, Parameters)> = Vec::new();
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',', '\t']).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let tail = tail.trim_start();
        if let Some(value) = tail.strip_prefix('=').filter(|_| !word.is_empty()) {
            let (value, after) = self::value(value.trim_start());
            if let Some((_, parameters)) = found.last_mut() {
                parameters.push((word.to_ascii_lowercase(), value));
            }
            rest = after;
        } else {
            if !word.is_empty() {
                found.push((word.to_ascii_lowercase(), Vec::new()));
            }
            rest = tail;
        }
        rest = rest.trim_start_matches([',', ' ', '\t']);
        // A sign that belongs to nothing.
        rest = rest.strip_prefix('=').unwrap_or(rest);
    }
    found
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c => out.push(c),
        }
    }
    (out, "")
}

/// What a token server answers.
#[derive(Deserialize)]
pub struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// For how long a token is good where the server does not say, in seconds.
const USUAL: u64 = 60;

impl TokenAnswer {
    /// The token, and for how many seconds it is good.
    ///
    /// # Errors
    /// `Malformed` where there is none.
    pub fn read(bytes: &[u8]) -> Result<(String, u64), Gap> {
        let malformed = || Gap::new(Reason::Malformed, "the token server's answer has no token in it");
        let answer: Self = serde_json::from_slice(bytes).map_err(|_| malformed())?;
        let token = answer.token.or(answer.access_token).filter(|t| !t.is_empty()).ok_or_else(malformed)?;
        Ok((token, answer.expires_in.unwrap_or(USUAL)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_as_they_come() {
        let real = include_str!("../../../../tests/fixtures/oci/auth_401.txt");
        let header = real.lines().find_map(|l| l.strip_prefix("Www-Authenticate: ")).unwrap();
        assert_eq!(Challenge::read(header), Some(Challenge::Basic));
        let hub = "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",\
                   scope=\"repository:library/nginx:pull,push\", error=\"insufficient_scope\"";
        let right = Challenge::Bearer {
            realm: "https://auth.docker.io/token".into(),
            service: Some("registry.docker.io".into()),
            scope: Some("repository:library/nginx:pull,push".into()),
            error: Some("insufficient_scope".into()),
        };
        assert_eq!(Challenge::read(hub), Some(right.clone()));
        assert_eq!(Challenge::read(&format!("Basic realm=\"x, y\", {hub}")), Some(right));
        let bare = Challenge::read("bearer realm=https://a/b").unwrap();
        assert!(matches!(bare, Challenge::Bearer { realm, .. } if realm == "https://a/b"));
        for none in
            ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "=,=\"", "Digest realm=\"x\"", "\"", ",,,", "==="]
        {
            assert_eq!(Challenge::read(none), None, "{none}");
        }
    }

    #[test]
    fn tokens() {
        assert_eq!(TokenAnswer::read(br#"{"token":"a","expires_in":300}"#).unwrap(), ("a".into(), 300));
        assert_eq!(TokenAnswer::read(br#"{"access_token":"b"}"#).unwrap(), ("b".into(), 60));
        for bad in [&b"{}"[..], b"", b"[]", br#"{"token":""}"#, br#"{"token":7}"#] {
            assert_eq!(TokenAnswer::read(bad).unwrap_err().reason, Reason::Malformed);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic_or_hang(text in "\\PC{0,40}|[Bbearsic =,\"\\\\]{0,40}") {
            challenges(&text);
        }
    }
}
