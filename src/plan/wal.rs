//! Names of files in the write-ahead log.

use std::fmt;
use std::str::FromStr;

use super::Lsn;

/// One segment of the log, by its file name: timeline, high half of the position, number within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalSegment {
    /// The timeline.
    pub timeline: u32,
    /// The high half of its positions.
    pub high: u32,
    /// Its number among the segments with that half.
    pub number: u32,
}

/// Why a text names no segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a WAL segment: 24 hexadecimal digits")]
pub struct WalSegmentError;

impl FromStr for WalSegment {
    type Err = WalSegmentError;
    fn from_str(s: &str) -> Result<Self, WalSegmentError> {
        if s.len() != 24 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(WalSegmentError);
        }
        let part = |at: usize| {
            let digits = s.get(at..at + 8).ok_or(WalSegmentError)?;
            u32::from_str_radix(digits, 16).map_err(|_| WalSegmentError)
        };
        Ok(Self { timeline: part(0)?, high: part(8)?, number: part(16)? })
    }
}

impl fmt::Display for WalSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}{:08X}{:08X}", self.timeline, self.high, self.number)
    }
}

impl WalSegment {
    /// The usual size of a segment, in bytes (`wal_segment_size`).
    pub const USUAL_SIZE: u64 = 16 << 20;

    /// Its place in the whole log, where segments have this size in bytes.
    #[must_use]
    pub fn index(self, size: u64) -> u64 {
        let per_half = (1_u64 << 32) / size.max(1);
        u64::from(self.high).saturating_mul(per_half).saturating_add(u64::from(self.number))
    }

    /// The segment at a place on its timeline; the inverse of [`index`](Self::index).
    #[must_use]
    pub fn at(timeline: u32, index: u64, size: u64) -> Self {
        let per_half = ((1_u64 << 32) / size.max(1)).max(1);
        let half = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self { timeline, high: half(index / per_half), number: half(index % per_half) }
    }

    /// The position of its first byte.
    #[must_use]
    pub fn start(self, size: u64) -> Lsn {
        Lsn(self.index(size).saturating_mul(size))
    }

    /// The position after its last byte.
    #[must_use]
    pub fn end(self, size: u64) -> Lsn {
        Lsn(self.index(size).saturating_add(1).saturating_mul(size))
    }

    /// The size of segments, from positions and the segments that hold them: the usual one where it fits, else the only
    /// power of two from 1 MiB to 1 GiB that does.
    #[must_use]
    pub fn size_of(known: &[(Lsn, Self)]) -> Option<u64> {
        let fits = |size: &u64| known.iter().all(|(lsn, segment)| lsn.0 / size == segment.index(*size));
        std::iter::once(Self::USUAL_SIZE).chain((20..=30).map(|bits| 1_u64 << bits)).find(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(text: &str) -> WalSegment {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_read_and_written() {
        let name = "00000002000000010000000A";
        assert_eq!(segment(name), WalSegment { timeline: 2, high: 1, number: 10 });
        assert_eq!(segment(name).to_string(), name);
        for bad in [
            "",
            "0000000200000001000000",
            "00000002000000010000000G",
            "00000002.history",
            "+0000002000000010000000A",
            "é0000002000000010000000",
        ] {
            assert!(bad.parse::<WalSegment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn places_follow_each_other_across_halves() {
        let last = segment("0000000100000000000000FF");
        let next = segment("000000010000000100000000");
        let size = WalSegment::USUAL_SIZE;
        assert_eq!(last.index(size) + 1, next.index(size));
        assert_eq!(WalSegment::at(1, 256, size), next);
        assert_eq!((next.start(size), next.end(size)), (Lsn(0x1_0000_0000), Lsn(0x1_0100_0000)));
        assert_eq!(segment("00000001000000000000003F").index(64 << 20) + 1, next.index(64 << 20));
    }

    #[test]
    fn the_size_is_found() {
        let of = |lsn: u64, name: &str| WalSegment::size_of(&[(Lsn(lsn), segment(name))]);
        assert_eq!(of(0x300_0028, "000000010000000000000003"), Some(16 << 20));
        assert_eq!(of(0x1_3000_0028, "000000010000000100000003"), Some(256 << 20));
        assert_eq!(of(0x300_0028, "000000010000000000000030"), Some(1 << 20));
        assert_eq!(of(0x28, "000000010000000000000000"), Some(16 << 20));
        assert_eq!(of(0x28, "000000010000000000000007"), None);
    }
}
