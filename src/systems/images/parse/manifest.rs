//! Manifests (OCI image specification 1.1, Docker image manifest version 2, schema 2).

use serde::Deserialize;

use crate::readiness::{Gap, Reason};

use super::reference::is_digest;

/// What we can read; all four must be asked for, or a registry answers with a child of the index, or not at all.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const SINGLES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

/// Most manifests of an index, and most layers of a manifest.
const MOST: usize = 500;

/// Whether a media type, with or without parameters, is that of an index; `None` where it is neither index nor manifest.
#[must_use]
pub fn is_index(media_type: &str) -> Option<bool> {
    let bare = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is = |known: &[&str]| known.contains(&bare.as_str());
    if is(&INDEXES) { Some(true) } else { is(&SINGLES).then_some(false) }
}

/// A manifest's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// One manifest per platform. What no machine runs (attestations, signatures) is left out.
    Index(Vec<Child>),
    /// One image.
    Single {
        /// Its configuration's digest.
        config: String,
        /// Its layers' digests, each once; without those that are never in a registry (foreign layers).
        layers: Vec<String>,
    },
}

/// One platform of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// `linux/amd64`; empty where the index does not say.
    pub platform: String,
    /// Its manifest.
    pub digest: String,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    #[serde(rename = "schemaVersion")]
    schema_version: Option<u64>,
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
struct RawDescriptor {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    digest: String,
    platform: Option<RawPlatform>,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

/// A platform, as an index and as an image's configuration say it.
#[derive(Deserialize)]
struct RawPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
}

impl RawPlatform {
    fn canonical(&self) -> String {
        let (Some(os), Some(architecture)) = (&self.os, &self.architecture) else { return String::new() };
        let mut text = canonical_platform(&format!("{os}/{architecture}/{}", self.variant.as_deref().unwrap_or("")));
        // Builds of Windows are platforms of their own.
        if let Some(version) = self.os_version.as_deref().filter(|v| !v.is_empty()) {
            text = format!("{text}:{version}");
        }
        text
    }
}

/// `linux/arm64/v8` and `linux/arm64` are one platform: `linux/arm64`.
#[must_use]
pub fn canonical_platform(text: &str) -> String {
    let text = text.trim_end_matches('/').to_ascii_lowercase();
    match text.as_str() {
        "linux/arm64/v8" => "linux/arm64".to_owned(),
        "linux/amd64/v1" => "linux/amd64".to_owned(),
        "linux/arm/v7" => "linux/arm".to_owned(),
        _ => text,
    }
}

/// Reads a manifest.
///
/// # Errors
/// `Malformed`: neither an index nor a manifest that we know, or one with impossible content.
pub fn read(bytes: &[u8]) -> Result<Manifest, Gap> {
    let malformed = |why: &str| Gap::new(Reason::Malformed, &format!("the manifest {why}"));
    let raw: Raw = serde_json::from_slice(bytes).map_err(|e| malformed(&format!("cannot be read: {e}")))?;
    if raw.schema_version != Some(2) {
        return Err(malformed("is not of schema version 2"));
    }
    let said = raw.media_type.as_deref().map(|t| is_index(t).ok_or_else(|| malformed(&format!("is of type {t:?}"))));
    let said = said.transpose()?;
    match (raw.manifests, raw.config, raw.layers) {
        (Some(manifests), None, None) if said != Some(false) => index(manifests),
        (None, Some(config), Some(layers)) if said != Some(true) => single(config, layers),
        _ => Err(malformed("is neither an index nor an image")),
    }
}

fn digest(descriptor: &RawDescriptor) -> Result<String, Gap> {
    if is_digest(&descriptor.digest) {
        return Ok(descriptor.digest.clone());
    }
    Err(Gap::new(Reason::Malformed, &format!("the manifest names {:?}, which is no digest", descriptor.digest)))
}

fn index(manifests: Vec<RawDescriptor>) -> Result<Manifest, Gap> {
    if manifests.len() > MOST {
        return Err(Gap::new(Reason::TooLarge, &format!("an index of more than {MOST} manifests")));
    }
    let mut children = Vec::new();
    for descriptor in &manifests {
        let digest = digest(descriptor)?;
        let platform = descriptor.platform.as_ref().map(RawPlatform::canonical).unwrap_or_default();
        let reference = descriptor.annotations.contains_key("vnd.docker.reference.type");
        let child = Child { platform, digest };
        if child.platform != "unknown/unknown" && !reference && !children.contains(&child) {
            children.push(child);
        }
    }
    if children.is_empty() {
        return Err(Gap::new(Reason::Malformed, "an index without any image in it"));
    }
    Ok(Manifest::Index(children))
}

fn single(config: RawDescriptor, layers: Vec<RawDescriptor>) -> Result<Manifest, Gap> {
    if layers.len() > MOST {
        return Err(Gap::new(Reason::TooLarge, &format!("a manifest of more than {MOST} layers")));
    }
    let foreign = |l: &RawDescriptor| {
        let media = l.media_type.as_deref().unwrap_or_default();
        !l.urls.is_empty() || media.contains(".foreign.") || media.contains(".nondistributable.")
    };
    let mut kept = Vec::new();
    for layer in layers.iter().filter(|l| !foreign(l)) {
        let digest = digest(layer)?;
        if !kept.contains(&digest) {
            kept.push(digest);
        }
    }
    Ok(Manifest::Single { config: digest(&config)?, layers: kept })
}

/// The platform that an image's configuration says it is for; empty where it does not say.
#[must_use]
pub fn platform_of_config(bytes: &[u8]) -> String {
    serde_json::from_slice::<RawPlatform>(bytes).map(|p| p.canonical()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As a real registry served it.
    const INDEX: &str = include_str!("../../../../tests/fixtures/oci/manifest_index.json");

    fn of(value: &serde_json::Value) -> Result<Manifest, Reason> {
        read(value.to_string().as_bytes()).map_err(|g| g.reason)
    }

    fn d(c: char) -> String {
        format!("sha256:{}", c.to_string().repeat(64))
    }

    #[test]
    fn a_real_index() {
        let Manifest::Index(children) = read(INDEX.as_bytes()).unwrap() else { panic!("no index") };
        let shown: Vec<String> = children.iter().map(|c| format!("{} {}", c.platform, &c.digest[..11])).collect();
        assert_eq!(shown, ["linux/amd64 sha256:e20e", "linux/arm64 sha256:4a19"]);
    }

    #[test]
    fn attestations_are_no_platform() {
        let index = json!({ "schemaVersion": 2, "manifests": [
            { "digest": d('a'), "platform": { "os": "linux", "architecture": "arm64", "variant": "v8" } },
            { "digest": d('b'), "platform": { "os": "unknown", "architecture": "unknown" } },
            { "digest": d('c'), "platform": { "os": "windows", "architecture": "amd64", "os.version": "10.0.1" } },
        ]});
        let right = [("linux/arm64", 'a'), ("windows/amd64:10.0.1", 'c')];
        let right = right.map(|(p, c)| Child { platform: p.into(), digest: d(c) });
        assert_eq!(of(&index), Ok(Manifest::Index(right.to_vec())));
    }

    #[test]
    fn one_image() {
        let image = json!({ "schemaVersion": 2, "mediaType": SINGLES[1], "config": { "digest": d('c') }, "layers": [
            { "digest": d('1') }, { "digest": d('2'), "urls": ["https://example.com/x"] }, { "digest": d('1') },
        ]});
        assert_eq!(of(&image), Ok(Manifest::Single { config: d('c'), layers: vec![d('1')] }));
    }

    #[test]
    fn what_is_no_manifest_is_malformed() {
        for bad in [
            json!({}),
            json!([]),
            json!({ "schemaVersion": 1, "fsLayers": [] }),
            json!({ "schemaVersion": 2 }),
            json!({ "schemaVersion": 2, "manifests": [] }),
            json!({ "schemaVersion": 2, "manifests": [{ "digest": "sha256:12" }] }),
            json!({ "schemaVersion": 2, "mediaType": SINGLES[0], "manifests": [{ "digest": d('a') }] }),
            json!({ "schemaVersion": 2, "mediaType": "text/html", "config": { "digest": d('c') }, "layers": [] }),
            json!({ "schemaVersion": 2, "config": { "digest": d('c') } }),
        ] {
            assert_eq!(of(&bad), Err(Reason::Malformed), "{bad}");
        }
        assert_eq!(read(b"<html>").unwrap_err().reason, Reason::Malformed);
    }

    #[test]
    fn media_types_and_platforms() {
        assert_eq!(is_index("application/vnd.oci.image.index.v1+json; charset=utf-8"), Some(true));
        assert_eq!(is_index(SINGLES[1]), Some(false));
        assert_eq!(is_index("text/html"), None);
        assert_eq!(ACCEPT.split(", ").filter_map(is_index).filter(|i| *i).count(), 2);
        assert_eq!(ACCEPT.split(", ").filter_map(is_index).count(), 4);
        assert_eq!(platform_of_config(br#"{"os":"linux","architecture":"arm64","variant":"v8"}"#), "linux/arm64");
        assert_eq!(platform_of_config(b"{}"), "");
    }
}
