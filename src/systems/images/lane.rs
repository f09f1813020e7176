//! The lane that asks one registry for every image of the list.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::clock;
use crate::net::{HttpClient, Net};
use crate::plan::{LaneDecl, SafeText};
use crate::readiness::{Examined, Gap, Reason, Row, Value, Verdict, expiry};
use crate::systems::{Examining, Lane, Look, Looking, Resting};

use super::contents::{Memory, Present};
use super::options::{At, Images, LoginFrom, Registry, Wanted};
use super::parse::list::{self, Entry};
use super::registry::{Asker, Content, Done, Held, Task};
use super::signals;

/// How long before the deadline a look stops asking.
const MARGIN: Duration = Duration::from_millis(150);
/// The largest list that is read, in bytes.
const LARGEST_LIST: u64 = 1 << 20;

/// Asks one registry.
pub struct RegistryLane {
    decl: LaneDecl,
    images: Images,
    registry: Registry,
    asker: Asker,
    clients: Vec<HttpClient>,
    memory: Memory,
    /// Each image of the look before, and why it could not be read.
    found: Vec<(String, Option<Gap>)>,
}

/// The list, and where it came from.
struct Listed {
    source: SafeText,
    written: Option<DateTime<Utc>>,
    entries: Vec<Entry>,
}

impl Lane for RegistryLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            let close = deadline.checked_sub(MARGIN).unwrap_or(deadline);
            let look = match self.ask(close).await {
                Ok(look) => look,
                Err(gap) => Look::failed(&self.decl, &gap),
            };
            // One connection is kept for the next look; the others served this one.
            self.clients.iter_mut().skip(1).for_each(HttpClient::close);
            look
        })
    }

    fn rest(&mut self) -> Resting<'_> {
        self.clients.iter_mut().for_each(HttpClient::close);
        Box::pin(std::future::ready(()))
    }

    fn examine(&mut self, _: Instant) -> Examining<'_> {
        Box::pin(self.examined())
    }
}

impl RegistryLane {
    /// For this registry. Opens nothing.
    pub fn new(net: &Arc<Net>, decl: &LaneDecl, images: &Images, registry: &Registry) -> Self {
        Self {
            decl: decl.clone(),
            images: images.clone(),
            registry: registry.clone(),
            asker: Asker::new(net, registry, images),
            clients: Asker::clients(net, images),
            memory: Memory::default(),
            found: Vec::new(),
        }
    }

    /// What the look before saw of the server, and who asked.
    async fn examined(&mut self) -> Vec<Examined> {
        let server = self.registry.at.server().to_owned();
        let (certificate, who) = self.asker.introduction().await;
        let mut found = vec![Examined::well("asks-as", &format!("{server} is asked by {who}"))];
        if let Some(certificate) = certificate {
            let what = format!("the certificate of {server}");
            found.push(expiry(&what, certificate.not_after, clock::now()));
        }
        if self.images.insecure && self.registry.at.tls {
            let sentence = format!("any certificate of {server} is accepted: whoever answers there is believed");
            let next = "name the authority that signed it: roots = \"/path/to/ca.pem\"";
            found.push(Examined::bad(Verdict::Degraded, "certificate-unchecked", &sentence, next));
        }
        if !self.registry.at.tls && matches!(self.registry.login, LoginFrom::User(_)) {
            let sentence = format!("the password for {server} goes over the network without TLS");
            let next = "give the registry a certificate, or ask it as nobody: anonymous = true";
            found.push(Examined::bad(Verdict::Degraded, "password-in-clear", &sentence, next));
        }
        if let Some(end) = self.asker.login_end().await {
            found.push(expiry(&format!("the token for {server}"), end, clock::now()));
        }
        found.extend(self.pulls());
        found
    }

    /// Which images may be pulled from here, by the look before: one sentence for those that may, one for each reason.
    fn pulls(&self) -> Vec<Examined> {
        let server = self.registry.at.server();
        let mut found = Vec::new();
        let may = self.found.iter().filter(|(_, gap)| gap.is_none()).count();
        if may > 0 {
            found.push(Examined::well("pull", &format!("{server} lets {may} of {} images be read", self.found.len())));
        }
        let mut told: Vec<Reason> = Vec::new();
        for (image, gap) in &self.found {
            let Some(gap) = gap.as_ref().filter(|g| !told.contains(&g.reason)) else { continue };
            told.push(gap.reason);
            let same = self.found.iter().filter(|(_, g)| g.as_ref().is_some_and(|g| g.reason == gap.reason)).count();
            let more = if same > 1 { format!(" and {} more", same - 1) } else { String::new() };
            let sentence = format!("{image}{more}: {}", gap.detail);
            let next = crate::readiness::advice(gap.reason, server);
            found.push(Examined::bad(gap.reason.verdict(), gap.reason.code(), &sentence, &next));
        }
        found
    }

    async fn ask(&mut self, deadline: Instant) -> Result<Look, Gap> {
        self.found.clear();
        let listed = listed(&self.images, deadline).await?;
        self.asker.quiet.willing()?;
        let found = self.find(&listed.entries, deadline).await?;
        self.found = told(&listed.entries, &found);
        let mut present = Vec::new();
        for (entry, held) in listed.entries.iter().zip(&found) {
            if let (Ok(image), Some(Ok(Held::Present { digest, .. }))) = (entry, held) {
                let repository = self.registry.at.repository(&image.name).into();
                present.push(Present {
                    image: image.written.clone(),
                    top: Content { repository, digest: digest.clone() },
                });
            }
        }
        self.memory.verify(&self.asker, &mut self.clients, &present, &self.images, deadline).await;
        if self.asker.quiet.willing().is_ok() {
            self.asker.quiet.answered_all();
        }
        let count = |n: usize| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        let list = Row::default()
            .with("source", Value::Text(listed.source))
            .with("count", count(listed.entries.len()))
            .with("written", listed.written.map_or(Value::Null, Value::Time));
        let manifests = listed.entries.iter().zip(&found).map(|(entry, held)| manifest_row(entry, held.as_ref()));
        let mut look = Look::default();
        look.push(&signals::LIST, Ok(Value::Rows(vec![list])));
        look.push(&signals::MANIFESTS, Ok(Value::Rows(manifests.collect())));
        look.push(&signals::CONTENTS, Ok(Value::Rows(self.memory.rows(&present, &self.images))));
        look.push(&signals::COUNT, Ok(count(present.len())));
        Ok(look)
    }

    /// What every image stands for. The first one is asked for alone: where nobody answers, nobody is asked again.
    async fn find(&mut self, entries: &[Entry], deadline: Instant) -> Result<Vec<Option<Result<Held, Gap>>>, Gap> {
        let images = entries.iter().enumerate().filter_map(|(i, e)| Some((i, e.as_ref().ok()?)));
        let mut tasks: Vec<Task> = images.map(|(i, image)| Task::Find(i, image.clone())).collect();
        let rest = tasks.split_off(tasks.len().min(1));
        let mut found: Vec<Option<Result<Held, Gap>>> = entries.iter().map(|_| None).collect();
        for tasks in [tasks, rest] {
            for done in self.asker.work(&mut self.clients, tasks, deadline).await {
                if let Done::Found(at, held) = done
                    && let Some(slot) = found.get_mut(at)
                {
                    *slot = Some(held);
                }
            }
            let gaps = found.iter().flatten().filter_map(|held| held.as_ref().err());
            if let Some(gap) = gaps
                .clone()
                .find(|gap| of_the_server(gap.reason))
                .filter(|_| !found.iter().flatten().any(Result::is_ok))
            {
                return Err(gap.clone());
            }
        }
        Ok(found)
    }
}

/// The list, from wherever it comes.
async fn listed(images: &Images, deadline: Instant) -> Result<Listed, Gap> {
    match &images.wanted {
        Wanted::Listed(listed) => Ok(Listed {
            source: "configuration".into(),
            written: None,
            entries: listed.iter().cloned().map(Ok).collect(),
        }),
        Wanted::From(path) => {
            let late = |_| Gap::new(Reason::TimedOut, &format!("{path}: the disk gave no answer in time"));
            tokio::time::timeout_at(deadline, from_file(images, path)).await.map_err(late)?
        }
    }
}

async fn from_file(images: &Images, path: &str) -> Result<Listed, Gap> {
    let gap = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Gap::new(Reason::FileUnreadable, &format!("{path}: there is no such file")),
        kind => Gap::new(Reason::FileUnreadable, &format!("{path}: {kind}")),
    };
    let file = tokio::fs::File::open(path).await.map_err(gap)?;
    let written = file.metadata().await.map_err(gap)?.modified().map_err(gap)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_LIST + 1).read_to_end(&mut bytes).await.map_err(gap)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST_LIST {
        return Err(Gap::new(Reason::TooLarge, &format!("{path}: larger than any list of images")));
    }
    let registries: Vec<At> = images.registries.iter().map(|r| r.at.clone()).collect();
    let entries =
        list::read(&bytes, &registries).map_err(|gap| Gap::new(gap.reason, &format!("{path}: {}", gap.detail)))?;
    Ok(Listed { source: SafeText::new(path), written: Some(written.into()), entries })
}

/// Whether a gap says something of the registry as a whole, and not of one image.
fn of_the_server(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Refused
            | Reason::Unreachable
            | Reason::TimedOut
            | Reason::Reset
            | Reason::UnknownIssuer
            | Reason::CertificateExpired
            | Reason::CertificateName
            | Reason::TlsFailed
            | Reason::SecretUnavailable
            | Reason::WrongPassword
            | Reason::TooManyRequests
            | Reason::Malformed
            | Reason::TooLarge
    )
}

/// Each image that was asked for, and why it could not be read. One that is missing was read: that is the answer.
fn told(entries: &[Entry], found: &[Option<Result<Held, Gap>>]) -> Vec<(String, Option<Gap>)> {
    let asked = entries.iter().zip(found).filter_map(|(entry, held)| Some((entry.as_ref().ok()?, held.as_ref()?)));
    asked.map(|(image, held)| (image.written.clone(), held.as_ref().err().cloned())).collect()
}

fn manifest_row(entry: &Entry, held: Option<&Result<Held, Gap>>) -> Row {
    let late = Gap::new(Reason::TimedOut, "not asked for within the time of a look");
    let (image, pinned) = match entry {
        Ok(image) => (image.written.as_str(), image.pinned),
        Err((text, _)) => (text.as_str(), false),
    };
    let (outcome, detail, digest, index) = match (entry, held) {
        (Err((_, why)), _) => (signals::NOT_UNDERSTOOD, SafeText::new(why), Value::Null, Value::Null),
        (Ok(_), None) => (late.reason.code(), late.detail, Value::Null, Value::Null),
        (Ok(_), Some(Err(gap))) => (gap.reason.code(), gap.detail.clone(), Value::Null, Value::Null),
        (Ok(_), Some(Ok(Held::Missing(said)))) => (signals::MISSING, said.clone(), Value::Null, Value::Null),
        (Ok(_), Some(Ok(Held::Present { digest, index }))) => {
            (signals::PRESENT, SafeText::default(), Value::text(digest), Value::Bool(*index))
        }
    };
    Row::default()
        .with("image", Value::text(image))
        .with("pinned", Value::Bool(pinned))
        .with("outcome", Value::text(outcome))
        .with("detail", Value::Text(detail))
        .with("digest", digest)
        .with("index", index)
}
