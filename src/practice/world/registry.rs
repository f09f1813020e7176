//! Two registries of images: content by its digest, tags that point to it, and copies that follow from east to west.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::Tick;
use super::network::Site;

/// The media types that are served (OCI image specification 1.1).
mod media {
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
}

/// The platforms that every image is built for.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];
/// How long a copy to the other site takes, in model time.
const COPIES_WITHIN: Duration = Duration::from_secs(20);

/// A manifest or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its media type.
    pub media: &'static str,
    /// Its bytes, of which the digest is.
    pub bytes: Vec<u8>,
}

/// One repository: `shop/api`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    tags: BTreeMap<String, String>,
    manifests: BTreeMap<String, Manifest>,
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Repository {
    /// Its tags, sorted.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.keys().map(String::as_str)
    }

    /// A manifest by a tag or a digest, with its digest.
    #[must_use]
    pub fn manifest(&self, reference: &str) -> Option<(&str, &Manifest)> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        self.manifests.get_key_value(digest).map(|(d, m)| (d.as_str(), m))
    }

    /// A blob by its digest.
    #[must_use]
    pub fn blob(&self, digest: &str) -> Option<&[u8]> {
        self.blobs.get(digest).map(Vec::as_slice)
    }

    fn blob_of(&mut self, bytes: Vec<u8>) -> (String, usize) {
        let (digest, size) = (digest_of(&bytes), bytes.len());
        self.blobs.insert(digest.clone(), bytes);
        (digest, size)
    }

    fn manifest_of(&mut self, media: &'static str, manifest: &Value) -> (String, usize) {
        let bytes = manifest.to_string().into_bytes();
        let (digest, size) = (digest_of(&bytes), bytes.len());
        self.manifests.insert(digest.clone(), Manifest { media, bytes });
        (digest, size)
    }

    /// Builds an image of every platform and puts a tag on it. The same build has the same digests wherever it is made.
    fn build(&mut self, name: &str, tag: &str, build: &str) {
        let images: Vec<Value> = ARCHITECTURES.iter().map(|a| self.platform(name, build, a)).collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media::INDEX, "manifests": images });
        let (digest, _) = self.manifest_of(media::INDEX, &index);
        self.tags.insert(tag.to_owned(), digest);
    }

    /// One platform's image, as the index names it.
    fn platform(&mut self, name: &str, build: &str, architecture: &str) -> Value {
        let base = layer("rootfs/etc/os-release", b"NAME=practice\n");
        let own = layer("app/VERSION", format!("{name} {build} {architecture}\n").as_bytes());
        let ids: Vec<String> = [&base, &own].map(|tar| digest_of(tar)).into();
        let config = json!({
            "created": "2026-01-01T00:00:00Z", "architecture": architecture, "os": "linux",
            "config": { "Cmd": ["/app/run"], "Labels": { "practice": "true", "build": build } },
            "rootfs": { "type": "layers", "diff_ids": ids },
        });
        let (config, config_size) = self.blob_of(config.to_string().into_bytes());
        let layers: Vec<Value> = [base, own]
            .map(|tar| {
                let (digest, size) = self.blob_of(gzip(&tar));
                json!({ "mediaType": media::LAYER, "digest": digest, "size": size })
            })
            .into();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST,
            "config": { "mediaType": media::CONFIG, "digest": config, "size": config_size }, "layers": layers,
        });
        let (digest, size) = self.manifest_of(media::MANIFEST, &manifest);
        let platform = json!({ "architecture": architecture, "os": "linux" });
        json!({ "mediaType": media::MANIFEST, "digest": digest, "size": size, "platform": platform })
    }
}

/// The SHA-256 digest of some bytes, as registries write it.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    let hex: String = digest(&SHA256, bytes).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// A tar of one file (POSIX ustar).
fn layer(path: &str, content: &[u8]) -> Vec<u8> {
    let mut head = vec![0_u8; 512];
    let mut put = |at: usize, text: &[u8]| head.iter_mut().skip(at).zip(text).for_each(|(to, from)| *to = *from);
    put(0, path.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
    let mut put = |at: usize, text: &[u8]| head.iter_mut().skip(at).zip(text).for_each(|(to, from)| *to = *from);
    put(148, format!("{sum:06o}\0 ").as_bytes());
    let mut tar = head;
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512) + 1_024, 0);
    tar
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    // Memory takes what is written; the bytes as they are would be a layer of another type, and be found as such.
    writer.write_all(bytes).and_then(|()| writer.finish()).unwrap_or_default()
}

/// A copy that is under way: which repository and tag, and when it arrives in model time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Copying {
    name: String,
    tag: String,
    at: Duration,
}

/// Both sites' registries. What is pushed in east is copied to west.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    east: BTreeMap<String, Repository>,
    west: BTreeMap<String, Repository>,
    under_way: Vec<Copying>,
    pushed: u64,
    stalled: bool,
    model: Duration,
}

impl Registries {
    /// A site's repository by its name.
    #[must_use]
    pub fn repository(&self, site: Site, name: &str) -> Option<&Repository> {
        self.of(site).get(name)
    }

    /// The names of a site's repositories, sorted.
    pub fn names(&self, site: Site) -> impl Iterator<Item = &str> {
        self.of(site).keys().map(String::as_str)
    }

    const fn of(&self, site: Site) -> &BTreeMap<String, Repository> {
        match site {
            Site::East => &self.east,
            Site::West => &self.west,
        }
    }

    const fn of_mut(&mut self, site: Site) -> &mut BTreeMap<String, Repository> {
        match site {
            Site::East => &mut self.east,
            Site::West => &mut self.west,
        }
    }

    /// Puts an image where it was copied long ago: in both sites.
    pub fn stock(&mut self, name: &str, tag: &str, build: &str) {
        for site in Site::ALL {
            self.of_mut(site).entry(name.to_owned()).or_default().build(name, tag, build);
        }
    }

    /// A pipeline pushes another build under a tag in east, from where it is copied to west.
    pub fn push(&mut self, name: &str, tag: &str) {
        self.pushed = self.pushed.saturating_add(1);
        let build = format!("build {} of {tag}", self.pushed);
        self.east.entry(name.to_owned()).or_default().build(name, tag, &build);
        let at = self.model + COPIES_WITHIN;
        self.under_way.retain(|c| c.name != name || c.tag != tag);
        self.under_way.push(Copying { name: name.to_owned(), tag: tag.to_owned(), at });
    }

    /// Copying to west stalls, or goes on.
    pub const fn stall(&mut self, stalled: bool) {
        self.stalled = stalled;
    }

    /// A tag is gone in a site, as a clean-up that is too eager leaves it.
    pub fn untag(&mut self, site: Site, name: &str, tag: &str) {
        if let Some(repository) = self.of_mut(site).get_mut(name)
            && let Some(digest) = repository.tags.remove(tag)
        {
            repository.manifests.remove(&digest);
        }
    }

    /// Time goes by: what is under way arrives, unless copying stalls or the sites are not `joined`.
    pub(super) fn tick(&mut self, tick: Tick, joined: bool) {
        self.model = tick.model;
        if self.stalled || !joined {
            return;
        }
        let (arrived, waiting): (Vec<Copying>, Vec<Copying>) =
            self.under_way.drain(..).partition(|c| c.at <= tick.model);
        self.under_way = waiting;
        for copy in arrived {
            let Some(from) = self.east.get(&copy.name).cloned() else { continue };
            let to = self.west.entry(copy.name).or_default();
            to.blobs.extend(from.blobs);
            to.manifests.extend(from.manifests);
            to.tags.extend(from.tags.get_key_value(&copy.tag).map(|(t, d)| (t.clone(), d.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_build_has_the_same_digest_in_both_sites() {
        let mut registries = Registries::default();
        registries.stock("shop/api", "1.42.0", "b1");
        let top = |r: &Registries, site, tag: &str| {
            r.repository(site, "shop/api").and_then(|r| r.manifest(tag)).map(|(d, _)| d.to_owned())
        };
        let first = top(&registries, Site::East, "1.42.0").unwrap();
        assert_eq!(top(&registries, Site::West, "1.42.0").unwrap(), first);
        registries.push("shop/api", "1.43.0");
        registries.tick(Tick::test(19), true);
        assert_eq!(top(&registries, Site::West, "1.43.0"), None);
        registries.stall(true);
        registries.tick(Tick::test(30), true);
        registries.stall(false);
        registries.tick(Tick::test(30), false);
        assert_eq!(top(&registries, Site::West, "1.43.0"), None, "stalled, and parted");
        registries.tick(Tick::test(31), true);
        assert_eq!(top(&registries, Site::West, "1.43.0"), top(&registries, Site::East, "1.43.0"));
        registries.untag(Site::West, "shop/api", "1.42.0");
        assert_eq!(top(&registries, Site::West, "1.42.0"), None);
        assert_eq!(top(&registries, Site::West, &first), None, "its manifest is gone with it");
        assert_eq!(
            registries.repository(Site::East, "shop/api").unwrap().tags().collect::<Vec<_>>(),
            ["1.42.0", "1.43.0"]
        );
    }

    #[test]
    fn every_part_has_the_digest_that_names_it() {
        let mut registries = Registries::default();
        registries.stock("shop/api", "1.42.0", "b1");
        let repository = registries.repository(Site::West, "shop/api").unwrap();
        let (digest, index) = repository.manifest("1.42.0").unwrap();
        assert_eq!(digest, digest_of(&index.bytes));
        let index: Value = serde_json::from_slice(&index.bytes).unwrap();
        let mut parts = 0;
        for child in index["manifests"].as_array().unwrap() {
            let (_, manifest) = repository.manifest(child["digest"].as_str().unwrap()).unwrap();
            assert_eq!(child["size"], manifest.bytes.len());
            let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
            for part in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
                let blob = repository.blob(part["digest"].as_str().unwrap()).unwrap();
                assert_eq!(
                    (part["digest"].as_str().unwrap(), part["size"].as_u64()),
                    (&*digest_of(blob), Some(blob.len() as u64))
                );
                parts += 1;
            }
        }
        assert_eq!(parts, 6);
    }
}
