//! One observation, or the typed reason why it could not be made.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::{Key, Now, SafeText};

use super::{Value, Verdict};

/// One observation of a signal about a subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What was observed.
    pub key: Key,
    /// The value, or why there is none.
    pub value: Result<Value, Gap>,
    /// When the question was sent. Bounds are counted from here.
    pub asked: Now,
    /// When the answer was complete.
    pub answered: Now,
    /// When the value was true by the remote's own clock, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<DateTime<Utc>>,
}

/// Why an observation could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Gap {
    /// The kind of reason; scripts match on its code.
    pub reason: Reason,
    /// One sentence fragment for people, with the remote's own words where it said something.
    pub detail: SafeText,
}

impl Gap {
    /// A gap with this reason and detail; the detail is sanitised.
    #[must_use]
    pub fn new(reason: Reason, detail: &str) -> Self {
        let detail = if detail.is_empty() { reason.words() } else { detail };
        Self { reason, detail: SafeText::new(detail) }
    }

    /// What it says beside `what` (a server, as people name it), where that is named already: without it at the beginning.
    #[must_use]
    pub fn beside(&self, what: &str) -> &str {
        let detail = self.detail.as_str();
        // A server may be named by more than its address: `ns1 192.0.2.1:53`.
        let address = what.rsplit(' ').next().unwrap_or(what);
        let mut names = [what, address].into_iter().filter(|w| !w.is_empty());
        names.find_map(|w| detail.strip_prefix(w)?.strip_prefix(": ")).unwrap_or(detail)
    }

    /// What it says of `what`, which is named once.
    #[must_use]
    pub fn about(&self, what: &str) -> String {
        format!("{what}: {}", self.beside(what))
    }
}

impl From<Reason> for Gap {
    fn from(reason: Reason) -> Self {
        Self::new(reason, "")
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident, $code:literal, $words:literal, $verdict:ident;)*) => {
        /// The kinds of reasons why an observation could not be made. Each has one code, one phrase and one verdict.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code, for scripts: `wrong-password`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The phrase for people.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }

            /// What a gap of this kind means for whoever needs the observation. `NotReady` only where the gap itself
            /// is proof that the remote cannot serve.
            #[must_use]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict,)* }
            }
        }
    };
}

reasons! {
    /// The configuration asks for nothing here.
    NotConfigured, "not-configured", "not configured", Unknown;
    /// The secret could not be read.
    SecretUnavailable, "secret-unavailable", "the secret cannot be read", Unknown;
    /// A file of this machine that the configuration names is missing, or may not be read.
    FileUnreadable, "file-unreadable", "the file cannot be read", Unknown;
    /// SQLSTATE 28P01, HTTP 401.
    WrongPassword, "wrong-password", "password refused", Unknown;
    /// SQLSTATE 28000: no `pg_hba.conf` line, or a role that may not log in.
    NoAccess, "no-access", "the server does not let this role in from here", Unknown;
    /// SQLSTATE 42501, or columns that are NULL for want of `pg_monitor`.
    NoPrivilege, "no-privilege", "not allowed to read this", Unknown;
    /// HTTP 403.
    Forbidden, "forbidden", "not allowed", Unknown;
    /// HTTP 429: the server wants to be asked less often.
    TooManyRequests, "too-many-requests", "asked too often", Unknown;
    /// SQLSTATE 3D000.
    NoSuchDatabase, "no-such-database", "no such database", NotReady;
    /// SQLSTATE 57P03 while starting.
    StartingUp, "starting-up", "the server is starting up", Unknown;
    /// SQLSTATE 57P03 while stopping, or 57P01.
    ShuttingDown, "shutting-down", "the server is shutting down", Unknown;
    /// SQLSTATE 53300.
    TooManyConnections, "too-many-connections", "the server has no connection left", Unknown;
    /// The address answered that nobody listens: proof of a stopped server.
    Refused, "refused", "connection refused", NotReady;
    /// No route, or no such host.
    Unreachable, "unreachable", "cannot be reached", Unknown;
    /// Nothing came within the deadline.
    TimedOut, "timed-out", "no answer in time", Unknown;
    /// The connection was cut in the middle.
    Reset, "reset", "the connection was cut", Unknown;
    /// The certificate was signed by nobody that is trusted here.
    UnknownIssuer, "unknown-issuer", "certificate signed by an unknown issuer", Unknown;
    /// The certificate is past its date.
    CertificateExpired, "certificate-expired", "certificate expired", Unknown;
    /// The certificate is for another name.
    CertificateName, "certificate-name", "certificate is for another name", Unknown;
    /// TLS could not be agreed on for another reason.
    TlsFailed, "tls-failed", "TLS failed", Unknown;
    /// The answer makes no sense.
    Malformed, "malformed", "the answer makes no sense", Unknown;
    /// The answer lacks what was asked for.
    Absent, "absent", "not in the answer", Unknown;
    /// The answer is larger than anything honest.
    TooLarge, "too-large", "the answer is too large", Unknown;
    /// The query itself failed for a reason of the server's.
    QueryFailed, "query-failed", "the query failed", Unknown;
    /// DNS: the name does not exist (RFC 1035 RCODE 3).
    NxDomain, "nxdomain", "the name does not exist", NotReady;
    /// DNS: the server failed (RCODE 2).
    ServFail, "servfail", "the server answered SERVFAIL", Unknown;
    /// DNS: the server refuses to answer (RCODE 5).
    DnsRefused, "dns-refused", "the server answered REFUSED", Unknown;
    /// A program is missing, or may not be executed, here or on the host where it should run.
    NotRunnable, "not-runnable", "the program cannot be run", Unknown;
    /// A program ended in another way than it should: by a signal, or with a code that says nothing.
    ProgramFailed, "program-failed", "the program failed", Unknown;
    /// ssh knows another key of this host, or none.
    HostKey, "host-key", "ssh does not know this host by its key", Unknown;
    /// ssh's server lets this user in with none of the keys at hand.
    SshDenied, "ssh-denied", "ssh does not let this user in", Unknown;
    /// Nobody listens for ssh: no proof about what was to be asked there.
    SshRefused, "ssh-refused", "nobody listens for ssh there", Unknown;
    /// A fault of this program; never the remote's.
    Bug, "bug", "a fault in lifeboat itself", Unknown;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_about_is_named_once() {
        let gap = Gap::new(Reason::Refused, "192.0.2.1:5432: connection refused");
        assert_eq!(gap.about("192.0.2.1:5432"), "192.0.2.1:5432: connection refused");
        assert_eq!(gap.about("db 192.0.2.1:5432"), "db 192.0.2.1:5432: connection refused");
        // Which address of a name it was is worth knowing.
        assert_eq!(gap.about("db.east:5432"), "db.east:5432: 192.0.2.1:5432: connection refused");
        assert_eq!(gap.beside("192.0.2.1:5432"), "connection refused");
        assert_eq!(gap.beside("192.0.2.1:543"), "192.0.2.1:5432: connection refused");
        assert_eq!(Gap::from(Reason::TimedOut).about("x"), "x: no answer in time");
    }
}
