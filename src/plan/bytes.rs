//! Amounts of data.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of data in bytes. Written `512MiB` or `1.5GB` in configuration, shown with one decimal on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// Why a text is not an amount of data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size: write a number and a unit, such as \"16MiB\" or \"1.5GB\"")]
pub struct BytesError;

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl FromStr for Bytes {
    type Err = BytesError;

    fn from_str(text: &str) -> Result<Self, BytesError> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(BytesError)?;
        let (number, unit) = text.split_at(split);
        let unit = unit.trim();
        let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(BytesError)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.len() > 9 || fraction.contains('.') {
            return Err(BytesError);
        }
        let whole: u64 = whole.parse().map_err(|_| BytesError)?;
        let mut total = whole.checked_mul(*factor).ok_or(BytesError)?;
        if !fraction.is_empty() {
            let digits: u64 = fraction.parse().map_err(|_| BytesError)?;
            let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| BytesError)?);
            let part = u128::from(digits) * u128::from(*factor) / scale;
            total = total.checked_add(u64::try_from(part).map_err(|_| BytesError)?).ok_or(BytesError)?;
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Bytes {
    /// One decimal in decimal units, as operators read them: `0 B`, `9.9 MB`, `1.2 GB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        let (unit, factor) = match n {
            0..1_000 => return write!(f, "{n} B"),
            1_000..1_000_000 => ("kB", 1_000_u64),
            1_000_000..1_000_000_000 => ("MB", 1_000_000),
            1_000_000_000..1_000_000_000_000 => ("GB", 1_000_000_000),
            1_000_000_000_000.. => ("TB", 1_000_000_000_000),
        };
        let tenths = u128::from(n) * 10 / u128::from(factor);
        write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"16MiB\"")
            }
            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Bytes, E> {
                v.parse().map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Bytes, E> {
                Ok(Bytes(v))
            }
            fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<Bytes, E> {
                u64::try_from(v).map(Bytes).map_err(|_| E::custom("a size cannot be negative"))
            }
        }
        d.deserialize_any(Visitor)
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "size", "description": "An amount of data, such as \"16MiB\" or \"1.5GB\"." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!("1GiB".parse(), Ok(Bytes(1 << 30)));
        assert_eq!("1.5 GB".parse(), Ok(Bytes(1_500_000_000)));
        assert_eq!("16mib".parse(), Ok(Bytes(16 << 20)));
        for bad in ["", "12", "MiB", "1.5", "-1B", "1..5B", "1 furlong", "99999999999TB"] {
            assert_eq!(bad.parse::<Bytes>(), Err(BytesError), "{bad}");
        }
    }

    #[test]
    fn shows_one_decimal() {
        assert_eq!(Bytes(999).to_string(), "999 B");
        assert_eq!(Bytes(9_961_472).to_string(), "9.9 MB");
        assert_eq!(Bytes(u64::MAX).to_string(), "18446744.0 TB");
    }
}
