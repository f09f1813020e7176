//! Real registries (Debian's `docker-registry`) in temporary directories, and tiny images of several platforms to push to
//! them. Each is killed when it is dropped.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lifeboat::net::{Credentials, HttpAnswer, HttpClient, HttpPolicy, HttpRequest, Net, TlsPolicy};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::pg::{free_port, until};

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Who may ask a registry with a password.
pub const USER: &str = "dr";
/// The password.
pub const PASSWORD: &str = "s3cret-of-the-lab";

/// A build whose layers are not compressed: copying compresses them, which makes another manifest of the same image.
pub const UNCOMPRESSED: &str = "uncompressed";

/// A registry's extras.
#[derive(Debug, Default)]
pub struct Extras<'a> {
    /// Asks for [`USER`] and [`PASSWORD`].
    pub password: bool,
    /// PEM files of a certificate and its key.
    pub tls: Option<(&'a Path, &'a Path)>,
    /// More of its configuration, as YAML at the top level.
    pub more: String,
    /// The directory of its data, where that is another registry's.
    pub data: Option<PathBuf>,
}

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    pub port: u16,
    scheme: &'static str,
    roots: Option<PathBuf>,
    password: bool,
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Registry {
    /// Plain HTTP, open to all.
    pub fn start() -> Self {
        Self::with(&Extras::default(), None)
    }

    /// With extras; `roots` are the authorities of its certificate.
    pub fn with(extras: &Extras<'_>, roots: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: \
             {}}}, delete: {{enabled: true}}}}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            extras.data.as_ref().map_or_else(|| path("data"), |d| d.display().to_string())
        );
        if let Some((certificate, key)) = extras.tls {
            config.push_str(&format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display()));
        }
        if extras.password {
            let users = Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]).output().expect("htpasswd");
            fs::write(path("users"), users.stdout).unwrap();
            config.push_str(&format!("auth: {{htpasswd: {{realm: dr, path: {}}}}}\n", path("users")));
        }
        config.push_str(&extras.more);
        fs::write(path("config.yml"), config).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("docker-registry, of the package of that name");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let scheme = if extras.tls.is_some() { "https" } else { "http" };
        let roots = roots.map(Path::to_owned);
        let mut registry = Self { child, port, scheme, roots, password: extras.password, dir, runtime };
        let said = registry.dir.path().join("log");
        until("the registry listens", || {
            if let Ok(Some(status)) = registry.child.try_wait() {
                panic!("it ended with {status}: {}", fs::read_to_string(&said).unwrap_or_default());
            }
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        registry
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Ends it; its port is then free.
    pub fn stop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// One request of this registry's API.
    pub fn ask(&self, method: http::Method, path: &str, media: Option<&str>, body: Vec<u8>) -> HttpAnswer {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}://{}/v2/{path}", self.scheme, self.host())
        };
        let mut request = HttpRequest::new(method, url.parse().unwrap());
        if let Some(media) = media {
            for name in [http::header::CONTENT_TYPE, http::header::ACCEPT] {
                request = request.with(name, media.parse().unwrap());
            }
        }
        request.body = body.into();
        if self.password {
            let password = SecretString::from(PASSWORD);
            request = request.by(Some(Credentials::Basic { user: USER.into(), password }));
        }
        let tls = TlsPolicy { roots: self.roots.clone(), ..TlsPolicy::default() };
        let policy = HttpPolicy { tls, keep: false, ..HttpPolicy::default() };
        let deadline = Instant::now() + Duration::from_secs(10);
        self.runtime.block_on(HttpClient::new(Net::new(), policy).ask(&request, deadline)).unwrap()
    }

    /// Uploads content; gives its digest.
    pub fn blob(&self, repository: &str, content: &[u8]) -> String {
        let started = self.ask(http::Method::POST, &format!("{repository}/blobs/uploads/"), None, vec![]);
        assert_eq!(started.status, 202, "{started:?}");
        let location = started.url.join(started.header("location").unwrap()).unwrap();
        let digest = sha256(content);
        let mut target = location;
        target.query_pairs_mut().append_pair("digest", &digest);
        let put = self.ask(http::Method::PUT, target.as_str(), Some("application/octet-stream"), content.to_vec());
        assert_eq!(put.status, 201, "{put:?}");
        digest
    }

    /// Pushes a manifest under a tag, or by its digest; gives its digest.
    pub fn manifest(&self, repository: &str, tag: Option<&str>, media: &str, manifest: &Value) -> String {
        let bytes = manifest.to_string().into_bytes();
        let digest = sha256(&bytes);
        let reference = tag.unwrap_or(&digest);
        let put = self.ask(http::Method::PUT, &format!("{repository}/manifests/{reference}"), Some(media), bytes);
        assert_eq!(put.status, 201, "{}", String::from_utf8_lossy(&put.body));
        digest
    }

    /// Pushes one platform's image; gives its manifest's descriptor and the digests of its configuration and its layer.
    pub fn single(&self, repository: &str, tag: Option<&str>, platform: &str, build: &str) -> (Value, [String; 2]) {
        let (os, architecture) = platform.split_once('/').unwrap();
        let config = json!({
            "architecture": architecture, "os": os, "created": build,
            "rootfs": { "type": "layers", "diff_ids": [] }, "config": {},
        });
        let config = config.to_string().into_bytes();
        let mut layer = format!("layer of {build} for {platform}").into_bytes();
        let kind = if build == UNCOMPRESSED { "tar" } else { "tar+gzip" };
        if build != UNCOMPRESSED {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&layer).unwrap();
            layer = gzip.finish().unwrap();
        }
        let (config_digest, layer_digest) = (self.blob(repository, &config), self.blob(repository, &layer));
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len(),
            },
            "layers": [{
                "mediaType": format!("application/vnd.oci.image.layer.v1.{kind}"), "digest": layer_digest,
                "size": layer.len(),
            }],
        });
        let size = manifest.to_string().len();
        let digest = self.manifest(repository, tag, MANIFEST, &manifest);
        let platform = json!({ "os": os, "architecture": architecture });
        let descriptor = json!({ "mediaType": MANIFEST, "digest": digest, "size": size, "platform": platform });
        (descriptor, [config_digest, layer_digest])
    }

    /// Pushes an image of two platforms; gives the index' digest and the digests of the parts of its first platform.
    pub fn push(&self, repository: &str, tag: &str, build: &str) -> (String, Vec<String>) {
        let (amd, parts) = self.single(repository, None, "linux/amd64", build);
        let (arm, _) = self.single(repository, None, "linux/arm64", build);
        let first = amd["digest"].as_str().unwrap().to_owned();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [amd, arm] });
        let digest = self.manifest(repository, Some(tag), INDEX, &index);
        (digest, std::iter::once(first).chain(parts).collect())
    }

    /// Deletes a manifest or a blob by its digest.
    pub fn delete(&self, repository: &str, folder: &str, digest: &str) {
        let deleted = self.ask(http::Method::DELETE, &format!("{repository}/{folder}/{digest}"), None, vec![]);
        assert_eq!(deleted.status, 202, "{}", String::from_utf8_lossy(&deleted.body));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Copies with skopeo, as an operator would.
pub fn copy(all: bool, from: &str, to: &str) {
    let output = Command::new("skopeo")
        .args(["--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"])
        .args(all.then_some("--all"))
        .args([format!("docker://{from}"), format!("docker://{to}")])
        .output()
        .expect("skopeo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The digest of some content.
pub fn sha256(content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}
