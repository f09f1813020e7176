//! A registry's HTTP API (OCI distribution specification 1.1), for reading: `GET` and `HEAD`.

use http::header::{ACCEPT, ALLOW, ETAG, LINK};
use http::{HeaderMap, HeaderName};
use serde_json::json;

use super::http::{Answer, Asked, answer, with};
use super::world::network::Site;
use super::world::registry::{Registries, Repository};

const JSON: &str = "application/json; charset=utf-8";
/// How many tags one page has, where nobody asks for fewer.
const PAGE: usize = 100;

/// What a site's registry answers.
#[must_use]
pub fn says(registries: &Registries, site: Site, asked: &Asked) -> Answer {
    let answer = looked_up(registries, site, asked);
    with(answer, HeaderName::from_static("docker-distribution-api-version"), "registry/2.0")
}

fn looked_up(registries: &Registries, site: Site, asked: &Asked) -> Answer {
    let Some(path) = asked.path().strip_prefix("/v2/").or((asked.path() == "/v2").then_some("")) else {
        return answer(404, "text/plain; charset=utf-8", "404 page not found\n");
    };
    if !asked.reads() {
        let said = refused(405, "UNSUPPORTED", "the operation is unsupported: this registry is for reading");
        return with(said, ALLOW, "GET, HEAD");
    }
    if path.is_empty() {
        return answer(200, JSON, "{}");
    }
    if path == "_catalog" {
        let names: Vec<&str> = registries.names(site).collect();
        return answer(200, JSON, json!({ "repositories": names }).to_string());
    }
    let parts = ["/manifests/", "/blobs/"].iter().find_map(|kind| {
        let (name, reference) = path.rsplit_once(kind)?;
        Some((name, *kind, reference))
    });
    let (name, kind, reference) = match (parts, path.strip_suffix("/tags/list")) {
        (Some(parts), _) => parts,
        (None, Some(name)) => (name, "/tags/", "list"),
        (None, None) => return answer(404, "text/plain; charset=utf-8", "404 page not found\n"),
    };
    let Some(repository) = registries.repository(site, name) else {
        return refused(404, "NAME_UNKNOWN", "repository name not known to registry");
    };
    match kind {
        "/manifests/" => manifest(repository, reference, &asked.head.headers),
        "/blobs/" => blob(repository, reference),
        _ => tags(repository, name, asked.head.uri.query().unwrap_or_default()),
    }
}

/// An error as the specification has it ("Error Codes").
fn refused(status: u16, code: &str, message: &str) -> Answer {
    let error = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    answer(status, JSON, error.to_string())
}

fn manifest(repository: &Repository, reference: &str, headers: &HeaderMap) -> Answer {
    let Some((digest, manifest)) = repository.manifest(reference) else {
        return refused(404, "MANIFEST_UNKNOWN", "manifest unknown");
    };
    let accepts = |value: &str| {
        value.split(',').any(|one| {
            let kind = one.split(';').next().unwrap_or_default().trim();
            kind == manifest.media || kind == "*/*" || kind == "application/*"
        })
    };
    // A client that names no index is not given one, as Debian's docker-registry does it.
    if !headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).any(accepts) {
        return refused(404, "MANIFEST_UNKNOWN", "found, but the accept header does not support its media type");
    }
    let said = answer(200, manifest.media, manifest.bytes.clone());
    named(said, digest)
}

fn blob(repository: &Repository, digest: &str) -> Answer {
    let hex = digest.strip_prefix("sha256:").filter(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()));
    match (hex, repository.blob(digest)) {
        (None, _) => refused(400, "DIGEST_INVALID", "provided digest is no sha256"),
        (Some(_), None) => refused(404, "BLOB_UNKNOWN", "blob unknown to registry"),
        (Some(_), Some(bytes)) => named(answer(200, "application/octet-stream", bytes.to_vec()), digest),
    }
}

fn named(answer: Answer, digest: &str) -> Answer {
    let answer = with(answer, ETAG, &format!("\"{digest}\""));
    with(answer, HeaderName::from_static("docker-content-digest"), digest)
}

/// One page of the tags, and where the next one is (RFC 5988).
fn tags(repository: &Repository, name: &str, query: &str) -> Answer {
    let value =
        |key: &str| url::form_urlencoded::parse(query.as_bytes()).find(|(k, _)| k == key).map(|(_, v)| v.into_owned());
    let n = match value("n").map(|n| n.parse::<usize>()) {
        None => PAGE,
        Some(Ok(n)) => n,
        Some(Err(_)) => return refused(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested"),
    };
    let last = value("last").unwrap_or_default();
    let after: Vec<&str> = repository.tags().filter(|t| *t > last.as_str()).collect();
    let page: Vec<&str> = after.iter().copied().take(n).collect();
    let said = answer(200, JSON, json!({ "name": name, "tags": page }).to_string());
    match page.last().filter(|_| page.len() < after.len()) {
        Some(last) => with(said, LINK, &format!("</v2/{name}/tags/list?n={n}&last={last}>; rel=\"next\"")),
        None => said,
    }
}
