//! One lane per site. All members are asked at once for `/patroni`, beside that in turn for what the DCS holds, until one
//! answers: a member that hangs costs its own answer, and a DCS that hangs hides no member.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::Method;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::clock;
use crate::net::{HttpClient, HttpPolicy, HttpRequest, Net, ServerCertificate, TlsPolicy};
use crate::plan::{LaneDecl, Now, Plan, ProbeDecl, SafeText};
use crate::readiness::{Examined, Gap, Reason, Verdict};
use crate::systems::examine::{certificate, clock_of};
use crate::systems::{Examining, Lane, Look, Looking};

use super::options::{Member, Patroni};
use super::parse::{Asked, Cluster, Node, Settings, Switch, Told, history, observed};

/// How long one member may be silent about `/cluster` before the next is asked beside it.
const NEXT_AFTER: Duration = Duration::from_millis(500);

/// Opens the lanes of a probe, in the order of its declaration. Connects nowhere.
pub(super) fn open(_: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    let Some(options) = probe.options::<Patroni>() else { return Vec::new() };
    let policy = policy(options);
    let lane = |decl: &LaneDecl| -> Box<dyn Lane> {
        let members = decl.subject.site.as_ref().map_or(&[][..], |site| options.members(site));
        let client = || HttpClient::new(Arc::clone(net), policy.clone());
        let asker =
            |member: &Member| Asker { member: member.clone(), own: client(), dcs: client(), last: None, manner: None };
        Box::new(SiteLane {
            members: members.iter().map(asker).collect(),
            timeout: probe.timeout.0,
            elsewhere: others(options, decl),
            turn: 0,
            without_primary: None,
            listed: Vec::new(),
        })
    };
    probe.lanes.iter().map(lane).collect()
}

/// How the REST API is asked.
pub(super) fn policy(options: &Patroni) -> HttpPolicy {
    let tls = TlsPolicy {
        accept_any: options.insecure,
        roots: options.roots.as_ref().map(PathBuf::from),
        client: options.client.as_ref().map(|(c, k)| (PathBuf::from(c), PathBuf::from(k))),
        ..TlsPolicy::default()
    };
    HttpPolicy { tls, ..HttpPolicy::default() }
}

/// The members of the sites that are not this lane's, as they are shown.
fn others(options: &Patroni, lane: &LaneDecl) -> Vec<String> {
    let others = options.sites.iter().filter(|s| Some(&s.site) != lane.subject.site.as_ref());
    others.flat_map(|s| s.members.iter().map(|m| m.shown.clone())).collect()
}

/// One member, and how it is asked: for itself, and for what the DCS holds.
struct Asker {
    member: Member,
    own: HttpClient,
    dcs: HttpClient,
    /// What it said when it last answered.
    last: Option<Node>,
    /// How it answered at this look, or why not.
    manner: Option<Result<Manner, Gap>>,
}

/// What an answer shows beside what it says.
pub(super) struct Manner {
    asked: Now,
    answered: Now,
    /// The member's own clock, in whole seconds.
    pub(super) date: Option<DateTime<Utc>>,
    certificate: Option<ServerCertificate>,
}

/// The Patroni of one site.
struct SiteLane {
    members: Vec<Asker>,
    timeout: Duration,
    /// The members of the other sites.
    elsewhere: Vec<String>,
    /// Who is asked first for what the DCS holds: who answered last.
    turn: usize,
    /// Since when every member answers, and none takes writes.
    without_primary: Option<Now>,
    /// Every member that the last look heard of: its name, and its REST API where it says it.
    listed: Vec<(SafeText, Option<SafeText>)>,
}

/// What one member says of its cluster.
pub(super) struct Held {
    pub(super) cluster: Cluster,
    pub(super) settings: Result<Settings, Gap>,
    pub(super) history: Result<Vec<Switch>, Gap>,
}

impl Lane for SiteLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            let asked = clock::now();
            // Given up before the look is, so that what did come is not lost with what did not.
            let until = deadline.checked_sub(self.timeout / 10).unwrap_or(deadline);
            let mut own = Vec::new();
            let mut dcs = Vec::new();
            for asker in &mut self.members {
                own.push(node(&mut asker.own, &asker.member, asker.last.as_ref(), until));
                dcs.push((&mut asker.dcs, &asker.member));
            }
            let count = dcs.len().max(1);
            let turn = self.turn % count;
            dcs.rotate_left(turn);
            let (said, held) = tokio::join!(join_all(own), in_turn(dcs, until));
            let (nodes, manners): (Vec<Node>, Vec<_>) = said.into_iter().unzip();
            let told = match held {
                Ok((index, held)) => {
                    self.turn = (turn + index) % count;
                    let Held { cluster, settings, history } = held;
                    Told { nodes, cluster: Ok(cluster), settings, history }
                }
                Err(gap) => {
                    self.turn = 0;
                    Told { nodes, cluster: Err(gap.clone()), settings: Err(gap.clone()), history: Err(gap) }
                }
            };
            if let Ok(cluster) = &told.cluster {
                self.listed = cluster.members.iter().map(|m| (m.name.clone(), m.api.clone())).collect();
            }
            for ((asker, node), manner) in self.members.iter_mut().zip(&told.nodes).zip(manners) {
                asker.manner = Some(manner);
                if node.answered() {
                    asker.last = Some(node.clone());
                }
            }
            if told.writers().next().is_some() {
                self.without_primary = None;
            } else if told.nodes.iter().all(Node::answered) {
                self.without_primary = self.without_primary.or(Some(asked));
            }
            let without_primary = self.without_primary.map_or(Duration::ZERO, |since| asked.since(since));
            Look {
                asked: Some(asked),
                observed: observed(&told, Asked { elsewhere: &self.elsewhere, without_primary }),
            }
        })
    }

    fn examine(&mut self, _: Instant) -> Examining<'_> {
        let mut found: Vec<Examined> = self.members.iter().flat_map(examined).collect();
        found.extend(self.unnamed());
        Box::pin(std::future::ready(found))
    }
}

impl SiteLane {
    /// The members that the cluster lists and the probe does not name, where all that answer go by the addresses that the
    /// cluster tells. Behind another address nobody can say who is who.
    fn unnamed(&self) -> Vec<Examined> {
        let named = |api: &SafeText| self.members.iter().any(|m| m.member.shown == api.as_str());
        if !self.listed.iter().filter_map(|(_, api)| api.as_ref()).any(named) {
            return Vec::new();
        }
        let unnamed = self.listed.iter().filter_map(|(name, api)| Some((name, api.as_ref().filter(|a| !named(a))?)));
        let bad = |(name, api): (&SafeText, &SafeText)| {
            let sentence =
                format!("{name} at {api} is a member that the probe does not name: it is seen through others alone");
            Examined::bad(Verdict::Degraded, "member-unnamed", &sentence, "add it to the probe's `at`")
        };
        unnamed.map(bad).collect()
    }
}

/// What a member says of itself and how, or why it does not.
async fn node(
    client: &mut HttpClient,
    member: &Member,
    last: Option<&Node>,
    until: Instant,
) -> (Node, Result<Manner, Gap>) {
    let told = async {
        let (body, manner) = get(client, &member.url, "patroni", until).await?;
        Ok((Node::of(&member.shown, &body, manner.date)?, manner))
    };
    match told.await {
        Ok((node, manner)) => (node, Ok(manner)),
        Err(gap) => (Node::silent(&member.shown, &gap, last), Err(gap)),
    }
}

/// Asks one member after the other for what the DCS holds, the next one as soon as one fails or is slow. Gives the first
/// answer, and whose it is.
pub(super) async fn in_turn(members: Vec<(&mut HttpClient, &Member)>, until: Instant) -> Result<(usize, Held), Gap> {
    let mut waiting = members.into_iter().enumerate();
    let mut asking = FuturesUnordered::new();
    let mut telling: Option<Gap> = None;
    loop {
        if let Some((index, (client, member))) = waiting.next() {
            asking.push(async move { (index, held(client, member, until).await) });
        }
        let more = waiting.len() > 0;
        loop {
            tokio::select! {
                next = asking.next() => match next {
                    Some((index, Ok(held))) => return Ok((index, held)),
                    Some((_, Err(gap))) => {
                        telling = Some(match telling {
                            Some(first) if first.reason != Reason::Refused => first,
                            Some(_) | None => gap,
                        });
                        if more { break }
                    }
                    None => return Err(telling.unwrap_or_else(|| Reason::NotConfigured.into())),
                },
                () = tokio::time::sleep(NEXT_AFTER), if more => break,
            }
        }
    }
}

async fn held(client: &mut HttpClient, member: &Member, until: Instant) -> Result<Held, Gap> {
    let (body, _) = get(client, &member.url, "cluster", until).await?;
    let cluster = Cluster::of(&member.shown, &body)?;
    let settings = get(client, &member.url, "config", until).await.and_then(|(body, _)| Settings::of(&body));
    let history = get(client, &member.url, "history", until).await.and_then(|(body, _)| history(&body));
    Ok(Held { cluster, settings, history })
}

/// One answer as JSON, and how it came.
pub(super) async fn get(
    client: &mut HttpClient,
    base: &Url,
    path: &str,
    until: Instant,
) -> Result<(Value, Manner), Gap> {
    let mut url = base.clone();
    url.set_path(path);
    let answer = client.ask(&HttpRequest::new(Method::GET, url), until).await?.success()?;
    let date = answer.header("date").and_then(|d| DateTime::parse_from_rfc2822(d).ok());
    let manner = Manner {
        asked: answer.asked,
        answered: clock::now(),
        date: date.map(|d| d.with_timezone(&Utc)),
        certificate: answer.certificate.clone(),
    };
    Ok((answer.json()?, manner))
}

/// What `doctor` says of a member after a look.
fn examined(asker: &Asker) -> Vec<Examined> {
    let server = &asker.member.shown;
    let manner = match &asker.manner {
        None => return vec![Examined::gap(&Gap::new(Reason::TimedOut, "it was not asked in time"), server)],
        Some(Err(gap)) => return vec![Examined::gap(gap, server)],
        Some(Ok(manner)) => manner,
    };
    let mut found = Vec::new();
    if let Some(node) = &asker.last {
        let version = node.version.as_ref().map_or("of no version", |v| v.as_str());
        let called = node.called();
        found.push(match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
            Some(3 | 4) => Examined::well("version", &format!("{server} is {called}, Patroni {version}")),
            Some(_) | None => Examined::bad(
                Verdict::Degraded,
                "version-unknown",
                &format!("{server} is Patroni {version}; lifeboat knows 3 and 4"),
                "compare what it shows with patronictl list before you rely on it",
            ),
        });
    }
    found.push(match (asker.member.url.scheme(), &manner.certificate) {
        ("https", Some(shown)) => certificate(server, shown, manner.answered),
        (_, _) => Examined::bad(
            Verdict::Degraded,
            "not-encrypted",
            &format!("{server} answers without TLS: who listens on the way reads its configuration too"),
            "set restapi.certfile and restapi.keyfile in Patroni, and write https:// in the probe",
        ),
    });
    found.extend(manner.date.and_then(|date| clock_of(server, date, manner.asked, manner.answered)));
    found
}
