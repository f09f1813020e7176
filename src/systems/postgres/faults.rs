//! From the errors of a connection to gaps.

use tokio_postgres::error::DbError;

use super::stream::Broken;
use crate::net::gap_of_tls;
use crate::readiness::{Gap, Reason};

/// The gap for a failed connection or query.
pub(super) fn gap_of(e: &tokio_postgres::Error) -> Gap {
    if let Some(db) = e.as_db_error() {
        return gap_of_db(db);
    }
    if e.is_closed() {
        return Reason::Reset.into();
    }
    if let Some(io) = io_error(e) {
        return gap_of_io(io);
    }
    let why = std::error::Error::source(e).map(ToString::to_string).unwrap_or_default();
    // The driver's kinds of errors are known by their words only.
    match e.to_string().as_str() {
        "invalid configuration" if why.contains("password missing") => {
            Gap::new(Reason::SecretUnavailable, "the server asks for a password, and none is configured")
        }
        "authentication error" => Gap::new(Reason::NoAccess, &why),
        "unexpected message from server" | "error parsing response from server" => Gap::new(Reason::Malformed, &why),
        words => Gap::new(Reason::QueryFailed, &format!("{words}: {why}")),
    }
}

fn io_error<'a>(e: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut at = Some(e);
    while let Some(e) = at {
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        at = e.source();
    }
    None
}

/// The gap for a stream that broke.
pub(super) fn gap_of_io(e: &std::io::Error) -> Gap {
    use std::io::ErrorKind as K;
    if let Some(broken) = e.get_ref().and_then(|inner| inner.downcast_ref::<Broken>()) {
        let reason = match broken {
            Broken::TooLarge => Reason::TooLarge,
            Broken::Malformed => Reason::Malformed,
        };
        return Gap::new(reason, &broken.to_string());
    }
    if crate::net::is_tls(e) {
        return gap_of_tls(e);
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "ErrorKind is open; what is not named is a broken connection")]
    match e.kind() {
        K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof | K::NotConnected => {
            Reason::Reset.into()
        }
        // The frame reader's own word for a stream that ends within a frame.
        K::Other if e.to_string().contains("bytes remaining on stream") => Reason::Reset.into(),
        K::ConnectionRefused => Reason::Refused.into(),
        K::TimedOut => Reason::TimedOut.into(),
        K::InvalidData | K::InvalidInput => Gap::new(Reason::Malformed, &e.to_string()),
        _ => Gap::new(Reason::Unreachable, &e.to_string()),
    }
}

/// The gap for what the server itself says (PostgreSQL's documentation, appendix A, error codes).
pub(super) fn gap_of_db(e: &DbError) -> Gap {
    let code = e.code().code();
    let message = e.message();
    let reason = match code {
        "28P01" => Reason::WrongPassword,
        "28000" => Reason::NoAccess,
        // One code for starting, for a standby with hot_standby = off and for stopping; only the words differ, and they
        // may be translated. What is not recognised is the milder one.
        "57P03" if message.contains("shutting down") => Reason::ShuttingDown,
        "57P03" => Reason::StartingUp,
        "57P01" | "57P02" => Reason::ShuttingDown,
        "53300" => Reason::TooManyConnections,
        "3D000" => Reason::NoSuchDatabase,
        "42501" => Reason::NoPrivilege,
        "57014" | "55P03" => Reason::TimedOut,
        _ => Reason::QueryFailed,
    };
    let detail = e.detail().filter(|d| d.len() < 200).map(|d| format!(" ({d})")).unwrap_or_default();
    Gap::new(reason, &format!("{}: {message}{detail} [{code}]", reason.words()))
}
