//! Names of images (the grammar of the OCI distribution specification, "Pulling manifests").

/// An image as it is asked for: a name below a registry's prefix, with a tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Image {
    /// As it was written: `api:1.42.0`.
    pub written: String,
    /// Its name: `api`.
    pub name: String,
    /// Its tag, or its digest, which wins over a tag beside it.
    pub reference: String,
    /// Whether it is asked for by digest: then it is the same wherever it is.
    pub pinned: bool,
}

/// Longest name of a repository, and of an image below a prefix.
const LONGEST_NAME: usize = 255;
/// Longest tag.
const LONGEST_TAG: usize = 128;

/// Checks a name: parts of lower-case letters and digits, with `.`, `_`, `__` and `-` between them, separated by `/`.
///
/// # Errors
/// What is wrong with it.
pub fn name(text: &str) -> Result<(), String> {
    let part = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().next_back())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
            && !part.contains("..")
            && !part.contains("___")
    };
    if text.len() <= LONGEST_NAME && text.split('/').all(part) {
        return Ok(());
    }
    Err(format!("{text:?} is no name: lower-case letters and digits, with '.', '_' and '-' between them, and '/'"))
}

/// Whether a text is a digest: `sha256:` and 64 hexadecimal digits, or `sha512:` and 128.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    let length = match text.split_once(':') {
        Some(("sha256", hex)) => (hex, 64),
        Some(("sha512", hex)) => (hex, 128),
        _ => return false,
    };
    let (hex, length) = length;
    hex.len() == length && hex.chars().all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f'))
}

/// A digest short enough for a sentence: `sha256:1234abcd1234`.
#[must_use]
pub fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

fn is_tag(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    first
        && text.len() <= LONGEST_TAG
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Reads `name:tag`, `name@digest` or `name:tag@digest`.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str) -> Result<Image, String> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) if is_digest(digest) => (rest, Some(digest)),
        Some((_, digest)) => return Err(format!("{digest:?} is no digest: sha256: and 64 hexadecimal digits")),
        None => (text, None),
    };
    let (bare, tag) = match rest.rsplit_once(':') {
        Some((bare, tag)) if !tag.contains('/') => (bare, Some(tag)),
        Some(_) | None => (rest, None),
    };
    if let Some(tag) = tag.filter(|t| !is_tag(t)) {
        return Err(format!("{tag:?} is no tag"));
    }
    name(bare)?;
    let Some(reference) = digest.or(tag) else {
        return Err(format!("{text:?} has neither a tag nor a digest: nobody could say which build is meant"));
    };
    Ok(Image {
        written: text.to_owned(),
        name: bare.to_owned(),
        reference: reference.to_owned(),
        pinned: digest.is_some(),
    })
}

/// Whether a reference names a registry by itself, as Docker decides it: the first part has a dot or a port, or is
/// `localhost`.
#[must_use]
pub fn names_a_registry(text: &str) -> bool {
    text.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:d6a34d0dee5b03edc522995b7f9e9e1bbb8cbab2790957b81ea8986f8ba75565";

    #[test]
    fn references() {
        let of = |text: &str| read(text).map(|i| (i.name, i.reference, i.pinned));
        assert_eq!(of("api:1.42.0"), Ok(("api".into(), "1.42.0".into(), false)));
        assert_eq!(of("team/api__x:v1"), Ok(("team/api__x".into(), "v1".into(), false)));
        assert_eq!(of(&format!("worker@{DIGEST}")), Ok(("worker".into(), DIGEST.into(), true)));
        assert_eq!(of(&format!("worker:1@{DIGEST}")), Ok(("worker".into(), DIGEST.into(), true)));
        for bad in [
            "",
            "api",
            ":1",
            "Api:1",
            "api:",
            "api:a b",
            "api@sha256:12",
            "a//b:1",
            "/a:1",
            "a:1/",
            "a..b:1",
            "-a:1",
            "api:-1",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(!is_digest(&DIGEST.to_uppercase()));
        assert_eq!(short(DIGEST), "sha256:d6a34d0dee5b");
    }

    #[test]
    fn registries_in_references() {
        for yes in ["ghcr.io/a/b:1", "localhost/a:1", "host:5000/a:1"] {
            assert!(names_a_registry(yes), "{yes}");
        }
        for no in ["api:1.42.0", "team/api:1", "api@sha256:12"] {
            assert!(!names_a_registry(no), "{no}");
        }
    }
}
