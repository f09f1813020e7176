//! The options of `http`, `tcp` and `tls` probes.

mod steps;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{ProbeOptions, SecretRef, Span};

pub use steps::{CheckOptions, HttpStepOptions, NotifyOptions};

const fn fourteen_days() -> Span {
    Span::secs(14 * 86_400)
}

/// How an endpoint is asked by HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// The answer with its content.
    #[default]
    Get,
    /// The answer without its content.
    Head,
}

/// A value of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Fraction(f64),
    /// Words.
    Text(String),
}

impl Scalar {
    /// Whether a JSON value is this one. A number is no text, and text no number.
    #[must_use]
    pub fn is(&self, value: &serde_json::Value) -> bool {
        match self {
            Self::Bool(b) => value.as_bool() == Some(*b),
            Self::Whole(n) => value.as_i64() == Some(*n) || whole(value) == Some(*n),
            Self::Fraction(n) => value.as_f64() == Some(*n),
            Self::Text(t) => value.as_str() == Some(t),
        }
    }
}

/// `5.0` as 5.
fn whole(value: &serde_json::Value) -> Option<i64> {
    let n = value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15)?;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    Some(n as i64)
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Whole(n) => write!(f, "{n}"),
            Self::Fraction(n) => write!(f, "{n}"),
            Self::Text(t) => write!(f, "{t:?}"),
        }
    }
}

/// A value that the answer's JSON must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonCheck {
    /// Where: a JSON pointer (RFC 6901), such as "/status".
    pub pointer: String,
    /// What must stand there.
    pub equals: Scalar,
}

/// The value of a header: as it is, or where the secret is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderText {
    /// As it is.
    Plain(String),
    /// Where it is to be found.
    Secret(SecretRef),
}

/// Who asks, by HTTP basic authentication (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user.
    pub user: String,
    /// Where the user's password is.
    pub password: SecretRef,
}

/// Options of an `http` probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpOptions {
    /// The URL of each site: `http` or `https`.
    pub at: BTreeMap<String, String>,
    /// How it is asked: "GET" or "HEAD".
    #[serde(default)]
    pub method: Method,
    /// The HTTP status that is right. Without it: any from 200 to 299.
    pub status: Option<u16>,
    /// Words that the content must hold.
    pub contains: Option<String>,
    /// A value that the content's JSON must hold.
    pub json: Option<JsonCheck>,
    /// More headers: each as it is, or where the secret is.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderText>,
    /// Who asks, by HTTP basic authentication.
    pub basic: Option<Basic>,
    /// Who asks: where a bearer token is.
    pub token: Option<SecretRef>,
    /// Whether redirects are followed: at most five, never from `https` to `http`.
    #[serde(default)]
    pub follow: bool,
    /// An answer that takes longer is degraded.
    pub max_latency: Option<Span>,
    /// Warn when the certificate expires within this.
    #[serde(default = "fourteen_days")]
    pub expiry_warn: Span,
    /// A PEM file of authorities to trust, instead of the system's.
    pub roots: Option<String>,
    /// Accept any certificate; its expiry is still judged.
    #[serde(default)]
    pub insecure: bool,
}

/// Options of a `tcp` probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpOptions {
    /// What must be listening at each site: `host:port`.
    pub at: BTreeMap<String, String>,
    /// What it says first, by itself. Without it: connecting is enough, which the kernel of a frozen server still allows.
    pub banner: Option<String>,
    /// An answer that takes longer is degraded.
    pub max_latency: Option<Span>,
}

/// Options of a `tls` probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsOptions {
    /// What speaks TLS at each site: `host:port`.
    pub at: BTreeMap<String, String>,
    /// The name for SNI and the certificate. Without it: the host.
    pub server_name: Option<String>,
    /// Words that the issuer's name must hold.
    pub issuer: Option<String>,
    /// Warn when the certificate expires within this.
    #[serde(default = "fourteen_days")]
    pub expiry_warn: Span,
    /// A PEM file of authorities to trust, instead of the system's.
    pub roots: Option<String>,
}

/// The options of any of the three.
#[derive(Clone, Debug, PartialEq)]
pub enum Endpoint {
    /// `http`.
    Http(HttpOptions),
    /// `tcp`.
    Tcp(TcpOptions),
    /// `tls`.
    Tls(TlsOptions),
}

impl Endpoint {
    /// Above how long an answer is slow.
    #[must_use]
    pub const fn max_latency(&self) -> Option<Span> {
        match self {
            Self::Http(o) => o.max_latency,
            Self::Tcp(o) => o.max_latency,
            Self::Tls(_) => None,
        }
    }

    /// Within how long of its end a certificate is worth a warning; `None` where there is none to judge.
    #[must_use]
    pub const fn expiry_warn(&self) -> Option<Span> {
        match self {
            Self::Http(o) => Some(o.expiry_warn),
            Self::Tcp(_) => None,
            Self::Tls(o) => Some(o.expiry_warn),
        }
    }

    /// Whether its look must bring a certificate.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        match self {
            Self::Tls(_) => true,
            Self::Http(_) | Self::Tcp(_) => false,
        }
    }
}

impl ProbeOptions for Endpoint {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A host and a port: `db.example.com:5432`, `192.0.2.1:25`, `[2001:db8::1]:443`.
#[must_use]
pub fn host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|p| *p > 0)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
        None => host.to_owned(),
    };
    let sound = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    (sound || host.contains(':') && text.starts_with('[')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_host_and_a_port() {
        assert_eq!(host_port("db.example.com:5432"), Some(("db.example.com".to_owned(), 5_432)));
        assert_eq!(host_port("[2001:db8::1]:443"), Some(("2001:db8::1".to_owned(), 443)));
        for bad in
            ["", "host", "host:", ":80", "host:0", "host:99999", "2001:db8::1:443", "[::1:443", "a b:80", "http://x:80"]
        {
            assert_eq!(host_port(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_number_is_no_text() {
        let json = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert!(Scalar::Whole(5).is(&json("5")) && Scalar::Whole(5).is(&json("5.0")));
        assert!(!Scalar::Whole(5).is(&json("\"5\"")) && !Scalar::Text("5".into()).is(&json("5")));
        assert!(Scalar::Bool(true).is(&json("true")) && !Scalar::Bool(true).is(&json("\"true\"")));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*|[\\[\\]a-f0-9:.]*") {
            let _ = host_port(&text);
        }
    }
}
