//! From the options as written to what is meant, with every fault of meaning at once.

use std::sync::Arc;

use crate::plan::{LaneDecl, SafeText, SecretRef, Span};
use crate::systems::{Declared, Fault, ReadContext};

use super::options::{At, Images, ImagesOptions, Login, LoginFrom, Registry, Wanted};
use super::parse::list::MOST;
use super::parse::manifest::canonical_platform;
use super::parse::reference;
use super::signals;

/// Reads a probe's own keys.
///
/// # Errors
/// Every fault of meaning.
pub fn read(ctx: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let raw: ImagesOptions =
        serde_json::from_value(value).map_err(|e| vec![fault(&[], e.to_string(), "see lifeboat config schema")])?;
    let secrets = secrets(&raw);
    let images = checked(ctx, raw)?;
    let lane = |registry: &Registry| LaneDecl {
        subject: registry.subject(),
        server: SafeText::new(&format!("registry {}", registry.at)),
        expects: [signals::LIST, signals::MANIFESTS, signals::CONTENTS, signals::COUNT].into(),
    };
    let lanes = images.registries.iter().map(lane).collect();
    Ok(Declared { options: Arc::new(images), lanes, secrets })
}

fn fault(path: &[&str], what: String, right: &str) -> Fault {
    Fault { path: path.iter().map(|p| (*p).to_owned()).collect(), what, right: right.to_owned() }
}

fn secrets(raw: &ImagesOptions) -> Vec<(String, SecretRef)> {
    let own = raw.password.iter().map(|secret| ("password".to_owned(), secret.clone()));
    let each = raw.logins.iter().map(|(site, login)| (format!("logins.{site}.password"), login.password.clone()));
    own.chain(each).collect()
}

fn checked(ctx: &ReadContext<'_>, raw: ImagesOptions) -> Result<Images, Vec<Fault>> {
    let mut faults = Vec::new();
    let registries = registries(ctx, &raw, &mut faults);
    let wanted = wanted(&raw, &registries, &mut faults);
    let mut platforms = Vec::new();
    for text in &raw.platforms {
        let parts: Vec<&str> = text.split('/').collect();
        if !(2..=3).contains(&parts.len()) || parts.iter().any(|p| p.is_empty()) {
            faults.push(fault(&["platforms"], format!("{text:?} is no platform"), "os/architecture: \"linux/amd64\""));
        }
        platforms.push(canonical_platform(text));
    }
    if raw.images_max_age.is_some() && raw.images_from.is_none() {
        let right = "add images_from, or drop images_max_age";
        faults.push(fault(&["images_max_age"], "an age without a file".to_owned(), right));
    }
    if raw.insecure && raw.roots.is_some() {
        let right = "roots alone: the certificate is then checked";
        faults.push(fault(&["insecure"], "roots and insecure together".to_owned(), right));
    }
    if !registries.is_empty() && registries.iter().all(|r| !r.at.tls) {
        for (key, there) in [("roots", raw.roots.is_some()), ("insecure", raw.insecure)] {
            if there {
                faults.push(fault(&[key], format!("{key} without TLS"), "registries with TLS, or drop it"));
            }
        }
    }
    if raw.verify_every.0 < ctx.interval {
        let what = format!("verify_every {} is shorter than the interval {}", raw.verify_every, Span(ctx.interval));
        faults.push(fault(&["verify_every"], what, "an hour or so: every layer of every image is asked for"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Images {
        registries,
        home: ctx.home.clone(),
        wanted,
        platforms,
        images_max_age: raw.images_max_age,
        verify_every: raw.verify_every,
        roots: raw.roots,
        insecure: raw.insecure,
    })
}

/// Every registry once, with its sites and who asks it.
fn registries(ctx: &ReadContext<'_>, raw: &ImagesOptions, faults: &mut Vec<Fault>) -> Vec<Registry> {
    let common = common_login(raw, faults);
    for (site, _) in raw.logins.iter().filter(|(site, _)| !raw.at.contains_key(*site)) {
        let right = "a site that is in at";
        faults.push(fault(&["logins", site], format!("{site} has no registry here"), right));
    }
    let mut registries: Vec<Registry> = Vec::new();
    // Sites that the plan does not have are said by whoever reads the plan.
    for site in ctx.sites {
        let Some(text) = raw.at.get(site.as_str()) else { continue };
        let at = match At::read(text, raw.http) {
            Ok(at) => at,
            Err(why) => {
                let right = "a registry and what stands before its images: \"registry.example.com/shop\"";
                faults.push(fault(&["at", site.as_str()], why, right));
                continue;
            }
        };
        let login = raw.logins.get(site.as_str()).map_or_else(|| common.clone(), |l| LoginFrom::User(l.clone()));
        match registries.iter_mut().find(|r| r.at == at) {
            Some(shared) if shared.login == login => shared.sites.push(site.clone()),
            Some(shared) => {
                let what = format!("the registry of {}, asked by another user", shared.names());
                faults.push(fault(&["logins", site.as_str()], what, "one user for one registry"));
            }
            None => registries.push(Registry { sites: vec![site.clone()], at, login }),
        }
    }
    let known = |s: &&String| ctx.sites.iter().any(|k| k.as_str() == s.as_str());
    if raw.at.keys().filter(known).all(|s| s == ctx.home.as_str()) {
        let what = format!("no registry of another site than {}", ctx.home);
        let right = "the registry that each site would pull from, above all of those that could take over";
        faults.push(fault(&["at"], what, right));
    }
    registries
}

fn common_login(raw: &ImagesOptions, faults: &mut Vec<Fault>) -> LoginFrom {
    let named = raw.user.is_some() || raw.password.is_some();
    if raw.anonymous && (named || raw.docker_config.is_some()) {
        let right = "anonymous alone, or without it";
        faults.push(fault(&["anonymous"], "anonymous, and somebody who asks".to_owned(), right));
    }
    match (&raw.user, &raw.password) {
        (Some(user), Some(password)) => {
            if raw.docker_config.is_some() {
                let what = "a user, and Docker's configuration file".to_owned();
                faults.push(fault(&["docker_config"], what, "one of the two"));
            }
            if user.is_empty() || user.contains(':') {
                let right = "the user's name, as docker login takes it";
                faults.push(fault(&["user"], format!("{user:?} is no user"), right));
            }
            LoginFrom::User(Login { user: user.clone(), password: password.clone() })
        }
        (Some(_), None) => {
            let right = "password = { env = \"NAME\" }, { file = ... } or { command = [...] }";
            faults.push(fault(&["user"], "a user without a password".to_owned(), right));
            LoginFrom::Nobody
        }
        (None, Some(_)) => {
            faults.push(fault(&["password"], "a password without a user".to_owned(), "add user = \"...\""));
            LoginFrom::Nobody
        }
        (None, None) if raw.anonymous => LoginFrom::Nobody,
        (None, None) => LoginFrom::Docker(raw.docker_config.clone()),
    }
}

fn wanted(raw: &ImagesOptions, registries: &[Registry], faults: &mut Vec<Fault>) -> Wanted {
    match (&raw.images_from, raw.images.is_empty()) {
        (Some(path), true) if !path.is_empty() => return Wanted::From(path.clone()),
        (Some(_), true) => faults.push(fault(&["images_from"], "an empty path".to_owned(), "the path of a file")),
        (Some(_), false) => {
            faults.push(fault(&["images_from"], "images, and a file of images".to_owned(), "one of the two"));
        }
        (None, true) => {
            let right = "images = [\"api:1.42.0\"], or images_from = \"/path\"";
            faults.push(fault(&[], "no images".to_owned(), right));
        }
        (None, false) => {}
    }
    if raw.images.len() > MOST {
        faults.push(fault(&["images"], format!("{} images", raw.images.len()), &format!("at most {MOST} in a probe")));
    }
    let mut images: Vec<reference::Image> = Vec::new();
    for text in &raw.images {
        let below = |r: &Registry| text.strip_prefix(&r.at.to_string())?.strip_prefix('/').map(str::to_owned);
        if let Some(rest) = registries.iter().find_map(below) {
            let what = format!("{text:?} names a registry: every site has its own");
            faults.push(fault(&["images"], what, &format!("{rest:?}")));
            continue;
        }
        match reference::read(text) {
            Ok(_) if reference::names_a_registry(text) => {
                let right = "only what follows at; an image of another registry has a probe of its own";
                faults.push(fault(&["images"], format!("{text:?} names a registry"), right));
            }
            Ok(image) if images.contains(&image) => {
                faults.push(fault(&["images"], format!("{text:?} is there twice"), "each image once"));
            }
            Ok(image) => images.push(image),
            Err(why) => faults.push(fault(&["images"], why, "\"api:1.42.0\" or \"api@sha256:...\"")),
        }
    }
    Wanted::Listed(images)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::plan::{Area, Objectives, PlanId, ProbeId, SiteId};

    fn try_read(value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "images");
        let (interval, timeout) = (Duration::from_secs(60), Duration::from_secs(30));
        let [home, _] = &sites;
        let area = Area::Images;
        read(
            &ReadContext {
                id: &id,
                strategy: crate::plan::Strategy::WarmStandby,
                sites: &sites,
                home,
                objectives: &objectives,
                area,
                interval,
                timeout,
            },
            value,
        )
    }

    fn faults(value: serde_json::Value) -> String {
        let shown = |f: &Fault| format!("{}: {}; {}", f.path.join("."), f.what, f.right);
        try_read(value).unwrap_err().iter().map(shown).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_example_of_the_design() {
        let declared = try_read(json!({
            "at": { "east": "registry.east.example.com/shop", "west": "registry.west.example.com/shop" },
            "images": ["api:1.42.0", "worker:1.42.0"],
        }))
        .unwrap();
        let subjects: Vec<String> = declared.lanes.iter().map(|l| format!("{} {}", l.subject, l.server)).collect();
        assert_eq!(
            subjects,
            ["east registry registry.east.example.com/shop", "west registry registry.west.example.com/shop"]
        );
        assert!(declared.secrets.is_empty());
        let images = declared.options.as_any().downcast_ref::<Images>().unwrap();
        assert_eq!(images.registries[0].login, LoginFrom::Docker(None));
    }

    #[test]
    fn one_registry_for_all_is_one_lane() {
        let declared = try_read(json!({
            "at": { "east": "ghcr.io/acme", "west": "https://ghcr.io/acme/" },
            "images_from": "/srv/deploy/images.txt", "user": "acme", "password": { "env": "PAT" },
        }))
        .unwrap();
        assert_eq!(declared.lanes.len(), 1);
        assert_eq!(declared.lanes[0].subject.to_string(), "ghcr.io/acme");
        assert_eq!(declared.secrets, [("password".to_owned(), SecretRef::Env("PAT".into()))]);
    }

    #[test]
    fn every_fault_at_once_with_what_would_be_right() {
        let found = faults(json!({
            "at": { "east": "a b/c", "west": "https://registry.west/Shop" },
            "images": ["api", "ghcr.io/acme/api:1", "Api:1", "worker:1", "worker:1"],
            "platforms": ["amd64"],
            "user": "dr", "logins": { "north": { "user": "a", "password": { "env": "B" } } },
            "anonymous": true, "insecure": true, "roots": "/x", "images_max_age": "1d", "verify_every": "1s",
        }));
        insta::assert_snapshot!(found, @r#"
        anonymous: anonymous, and somebody who asks; anonymous alone, or without it
        user: a user without a password; password = { env = "NAME" }, { file = ... } or { command = [...] }
        logins.north: north has no registry here; a site that is in at
        at.east: "a b" is no host; a registry and what stands before its images: "registry.example.com/shop"
        at.west: "Shop" is no name: lower-case letters and digits, with '.', '_' and '-' between them, and '/'; a registry and what stands before its images: "registry.example.com/shop"
        images: "api" has neither a tag nor a digest: nobody could say which build is meant; "api:1.42.0" or "api@sha256:..."
        images: "ghcr.io/acme/api:1" names a registry; only what follows at; an image of another registry has a probe of its own
        images: "Api" is no name: lower-case letters and digits, with '.', '_' and '-' between them, and '/'; "api:1.42.0" or "api@sha256:..."
        images: "worker:1" is there twice; each image once
        platforms: "amd64" is no platform; os/architecture: "linux/amd64"
        images_max_age: an age without a file; add images_from, or drop images_max_age
        insecure: roots and insecure together; roots alone: the certificate is then checked
        verify_every: verify_every 1s is shorter than the interval 1m; an hour or so: every layer of every image is asked for
        "#);
    }

    #[test]
    fn impossible_combinations() {
        let of = |more: serde_json::Value| {
            let mut options =
                json!({ "at": { "east": "a.example.com", "west": "b.example.com" }, "images": ["api:1"] });
            options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            faults(options)
        };
        let logins = json!({ "west": { "user": "a", "password": { "env": "B" } } });
        let all = [
            json!({ "images": [] }),
            json!({ "images_from": "/x" }),
            json!({ "at": { "east": "a.example.com" } }),
            json!({ "http": true, "roots": "/x" }),
            json!({ "images": ["a.example.com/api:1"] }),
            json!({ "password": { "env": "X" } }),
            json!({ "at": { "east": "x.lan", "west": "x.lan" }, "logins": logins }),
        ];
        insta::assert_snapshot!(all.map(of).join("\n"), @r#"
        : no images; images = ["api:1.42.0"], or images_from = "/path"
        images_from: images, and a file of images; one of the two
        at: no registry of another site than east; the registry that each site would pull from, above all of those that could take over
        roots: roots without TLS; registries with TLS, or drop it
        images: "a.example.com/api:1" names a registry: every site has its own; "api:1"
        password: a password without a user; add user = "..."
        logins.west: the registry of east, asked by another user; one user for one registry
        "#);
    }
}
