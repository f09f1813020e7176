//! What images are made of, remembered: content with a digest never changes, so it is read once; that it is still there is
//! asked for again every `verify_every`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::net::HttpClient;
use crate::plan::BootTime;
use crate::readiness::{Gap, Row, Value};

use super::options::Images;
use super::parse::manifest::{Child, Manifest};
use super::parse::reference::short;
use super::registry::{Asker, Content, Done, Kind, Task};
use super::signals;

/// After how many times `verify_every` a part that nobody could ask for again counts as not verified.
const OVERDUE: u32 = 3;

/// An image whose content is to be verified.
#[derive(Clone, Debug)]
pub struct Present {
    /// As it is written in the list.
    pub image: String,
    /// Its manifest.
    pub top: Content,
}

/// Whether a part is there.
#[derive(Clone, Debug)]
struct Part {
    there: bool,
    seen: BootTime,
}

/// What was found out about one registry's content.
#[derive(Debug, Default)]
pub struct Memory {
    manifests: HashMap<Content, Arc<Manifest>>,
    parts: HashMap<Content, Part>,
    platforms: HashMap<String, String>,
    /// Why a part could not be asked for in this look.
    failed: HashMap<Content, Gap>,
}

impl Memory {
    /// Finds out what is not known or no longer sure, until the deadline, and forgets what no image needs any more.
    pub async fn verify(
        &mut self,
        asker: &Asker,
        clients: &mut [HttpClient],
        present: &[Present],
        images: &Images,
        deadline: Instant,
    ) {
        self.failed.clear();
        let every = images.verify_every.0;
        let now = clock::now().boot;
        let unknown = present.iter().map(|p| &p.top).filter(|top| !self.manifests.contains_key(top));
        let tasks = unique(unknown.cloned().map(Task::Read));
        self.take(asker.work(clients, tasks, deadline).await);
        let mut children = Vec::new();
        for top in present.iter().map(|p| &p.top) {
            for child in self.children(top, images) {
                if !self.manifests.contains_key(&child) {
                    children.push(Task::Read(child));
                } else if self.due(&child, every, now) {
                    children.push(Task::Check(Kind::Manifest, child));
                }
            }
        }
        self.take(asker.work(clients, unique(children), deadline).await);
        let mut rest = Vec::new();
        for single in self.singles(present, images) {
            for (kind, part) in self.blobs(&single) {
                if self.due(&part, every, now) {
                    rest.push(Task::Check(kind, part));
                }
            }
        }
        self.take(asker.work(clients, unique(rest), deadline).await);
        self.forget(present, images);
    }

    fn take(&mut self, done: Vec<Done>) {
        let seen = clock::now().boot;
        for one in done {
            let (content, there) = match one {
                Done::Found(..) => continue,
                Done::Read(content, Ok(Some(manifest))) => {
                    self.manifests.insert(content.clone(), Arc::new(manifest));
                    (content, Ok(true))
                }
                Done::Read(content, Ok(None)) => (content, Ok(false)),
                Done::Read(content, Err(gap)) => (content, Err(gap)),
                Done::Checked(content, there, platform) => {
                    if let Some(platform) = platform {
                        self.platforms.insert(content.digest.clone(), platform);
                    }
                    (content, there)
                }
            };
            match there {
                Ok(there) => drop(self.parts.insert(content, Part { there, seen })),
                Err(gap) => drop(self.failed.insert(content, gap)),
            }
        }
    }

    /// Whether a part is to be asked for: never seen, missing, or seen too long ago.
    fn due(&self, content: &Content, every: Duration, now: BootTime) -> bool {
        self.parts.get(content).is_none_or(|p| !p.there || now.0.saturating_sub(p.seen.0) >= every)
    }

    /// The platforms of an image that have to be there, as contents.
    fn children(&self, top: &Content, images: &Images) -> Vec<Content> {
        match self.manifests.get(top).map(Arc::as_ref) {
            Some(Manifest::Index(children)) => {
                children.iter().filter(|c| needed(c, images)).map(|c| of(top, &c.digest)).collect()
            }
            Some(Manifest::Single { .. }) | None => Vec::new(),
        }
    }

    /// The manifests of single platforms whose parts have to be there.
    fn singles(&self, present: &[Present], images: &Images) -> Vec<Content> {
        let mut all = Vec::new();
        for top in present.iter().map(|p| &p.top) {
            match self.manifests.get(top).map(Arc::as_ref) {
                Some(Manifest::Single { .. }) => all.push(top.clone()),
                Some(Manifest::Index(_)) => all.extend(self.children(top, images)),
                None => {}
            }
        }
        all
    }

    fn blobs(&self, single: &Content) -> Vec<(Kind, Content)> {
        match self.manifests.get(single).map(Arc::as_ref) {
            Some(Manifest::Single { config, layers }) => {
                let layers = layers.iter().map(|l| (Kind::Layer, of(single, l)));
                std::iter::once((Kind::Config, of(single, config))).chain(layers).collect()
            }
            Some(Manifest::Index(_)) | None => Vec::new(),
        }
    }

    fn forget(&mut self, present: &[Present], images: &Images) {
        let mut kept: HashSet<Content> = present.iter().map(|p| p.top.clone()).collect();
        for single in self.singles(present, images) {
            kept.extend(self.blobs(&single).into_iter().map(|(_, part)| part));
            kept.insert(single);
        }
        self.manifests.retain(|c, _| kept.contains(c));
        self.parts.retain(|c, _| kept.contains(c));
        let digests: HashSet<&str> = kept.iter().map(|c| c.digest.as_str()).collect();
        self.platforms.retain(|digest, _| digests.contains(digest.as_str()));
    }

    /// The rows of [`signals::CONTENTS`].
    #[must_use]
    pub fn rows(&self, present: &[Present], images: &Images) -> Vec<Row> {
        let mut rows = Vec::new();
        for Present { image, top } in present {
            match self.manifests.get(top).map(Arc::as_ref) {
                None => rows.push(self.row(image, "", top, images)),
                Some(Manifest::Single { config, .. }) => {
                    let platform = self.platforms.get(config).map_or("", String::as_str);
                    rows.push(self.row(image, platform, top, images));
                }
                Some(Manifest::Index(children)) => {
                    rows.extend(children.iter().map(|c| self.row(image, &c.platform, &of(top, &c.digest), images)));
                }
            }
        }
        rows
    }

    /// One platform's row.
    fn row(&self, image: &str, platform: &str, single: &Content, images: &Images) -> Row {
        let now = clock::now().boot;
        let overdue = images.verify_every.0.saturating_mul(OVERDUE);
        let mut parts = vec![(Kind::Manifest, single.clone())];
        parts.extend(self.blobs(single));
        let (mut verified, mut missing, mut failed) = (0_usize, Vec::new(), None);
        for (kind, part) in &parts {
            let known = self.parts.get(part).filter(|p| now.0.saturating_sub(p.seen.0) < overdue);
            match known {
                Some(Part { there: false, .. }) => missing.push((*kind, part)),
                Some(Part { there: true, .. }) => verified += 1,
                None => failed = failed.or_else(|| self.failed.get(part)),
            }
        }
        let (outcome, detail) = match (missing.first(), failed) {
            (Some((kind, part)), _) => {
                let what = match kind {
                    Kind::Manifest => "the manifest",
                    Kind::Config => "the configuration",
                    Kind::Layer => "the layer",
                };
                let more = if missing.len() > 1 { format!(" and {} more", missing.len() - 1) } else { String::new() };
                (signals::MISSING, format!("{what} {}{more}", short(&part.digest)))
            }
            (None, Some(gap)) => (gap.reason.code(), gap.detail.as_str().to_owned()),
            (None, None) if verified < parts.len() => (signals::UNVERIFIED, String::new()),
            (None, None) => (signals::PRESENT, String::new()),
        };
        let config = match self.manifests.get(single).map(Arc::as_ref) {
            Some(Manifest::Single { config, .. }) => Value::text(config),
            Some(Manifest::Index(_)) | None => Value::Null,
        };
        let count = |n: usize| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        Row::default()
            .with("image", Value::text(image))
            .with("platform", Value::text(platform))
            .with("digest", Value::text(&single.digest))
            .with("config", config)
            .with("outcome", Value::text(outcome))
            .with("detail", Value::text(&detail))
            .with("parts", count(parts.len()))
            .with("verified", count(verified))
    }
}

fn of(top: &Content, digest: &str) -> Content {
    Content { repository: Arc::clone(&top.repository), digest: digest.to_owned() }
}

/// Whether a platform of an index has to be there, by the configuration.
fn needed(child: &Child, images: &Images) -> bool {
    images.needs(&child.platform)
}

/// Every task once: images share layers.
fn unique(tasks: impl IntoIterator<Item = Task>) -> Vec<Task> {
    let mut seen = HashSet::new();
    let content = |task: &Task| match task {
        Task::Read(content) | Task::Check(_, content) => Some(content.clone()),
        Task::Find(..) => None,
    };
    tasks.into_iter().filter(|t| content(t).is_none_or(|c| seen.insert(c))).collect()
}
