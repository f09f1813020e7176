//! Positions in PostgreSQL's write-ahead log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Bytes;

/// A log sequence number: a byte position in the write-ahead log (PostgreSQL's `pg_lsn`, shown as `16/B374D848`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lsn(pub u64);

/// Why a text is not a log sequence number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log sequence number such as \"16/B374D848\"")]
pub struct LsnError;

impl Lsn {
    /// How far `self` is ahead of `behind`; zero where it is not ahead.
    #[must_use]
    pub const fn ahead_of(self, behind: Self) -> Bytes {
        Bytes(self.0.saturating_sub(behind.0))
    }
}

impl FromStr for Lsn {
    type Err = LsnError;

    fn from_str(text: &str) -> Result<Self, LsnError> {
        let (high, low) = text.split_once('/').ok_or(LsnError)?;
        let half = |s: &str| {
            if s.is_empty() || s.len() > 8 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(LsnError);
            }
            u64::from_str_radix(s, 16).map_err(|_| LsnError)
        };
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(n: u64) {
            prop_assert_eq!(Lsn(n).to_string().parse(), Ok(Lsn(n)));
        }

        #[test]
        fn garbage_never_panics(text in ".*") {
            let _ = text.parse::<Lsn>();
        }
    }

    #[test]
    fn refuses_what_postgres_never_prints() {
        for bad in ["", "/", "0/", "123456789/0", "0/+1", "0x1/0"] {
            assert_eq!(bad.parse::<Lsn>(), Err(LsnError), "{bad}");
        }
    }
}
