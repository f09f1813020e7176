//! What a registry says when it does not give what was asked for.

use serde::Deserialize;

use crate::plan::SafeText;

#[derive(Deserialize)]
struct Body {
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: String,
    #[serde(default)]
    message: Option<String>,
}

/// A registry's own error (OCI distribution specification, "Error Codes").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its code: `MANIFEST_UNKNOWN`.
    pub code: SafeText,
    /// Its words.
    pub message: SafeText,
}

impl Refusal {
    /// Reads the first error of a body; `None` where it is no registry's.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let body: Body = serde_json::from_slice(bytes).ok()?;
        let first = body.errors.into_iter().next()?;
        let message = first.message.as_deref().unwrap_or_default();
        Some(Self { code: SafeText::new(&first.code), message: SafeText::new(message) })
    }

    /// Whether it proves that what was asked for is not there: the manifest, the name, or the content.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.code.as_str(), "MANIFEST_UNKNOWN" | "NAME_UNKNOWN" | "NOT_FOUND" | "BLOB_UNKNOWN")
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.message.as_str().is_empty() {
            return write!(f, "{}", self.code);
        }
        write!(f, "{}: {}", self.code, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_real_registry_says() {
        for (text, code, missing) in [
            (include_str!("../../../../tests/fixtures/oci/manifest_unknown.json"), "MANIFEST_UNKNOWN", true),
            (include_str!("../../../../tests/fixtures/oci/name_unknown.json"), "NAME_UNKNOWN", true),
            (
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}"#,
                "UNAUTHORIZED",
                false,
            ),
            (r#"{"errors":[{"code":"DENIED"}]}"#, "DENIED", false),
        ] {
            let refusal = Refusal::read(text.as_bytes()).unwrap();
            assert_eq!((refusal.code.as_str(), refusal.is_missing()), (code, missing));
        }
        for none in ["", "<html>404</html>", "{}", r#"{"errors":[]}"#, r#"{"errors":"MANIFEST_UNKNOWN"}"#] {
            assert_eq!(Refusal::read(none.as_bytes()), None, "{none}");
        }
    }
}
