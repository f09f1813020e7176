//! The steps of Patroni, by its REST API: asks the members, lets `judge` judge, and sends one request.

mod declare;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderValue, Method, header};
use hyper::body::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::clock;
use crate::net::{Credentials, HttpAnswer, HttpClient, HttpRequest, Net, NoAnswer};
use crate::plan::{SafeText, SiteId};
use crate::readiness::{Gap, Reason};
use crate::runbook::{Acted, Authorized, Observation, Preview, StepIx, Yield};
use crate::systems::{Executing, Executor, Fault, Scene, newest};

use super::judge::{Before, Case, Kind, LEADER, Planned, Request, View};
use super::options::{Member, Patroni, RestUser};
use super::parse::{Node, Said, Sent, Told, said};
use super::probe::{Held, Manner, get, in_turn, policy};
pub(super) use declare::{DEMOTE, FAILOVER, PAUSE, PROMOTE, RESUME, SWITCHOVER};

/// How long one look at a cluster may take at most, however long the step may: a member that hangs costs no more.
const LOOK: Duration = Duration::from_secs(5);
/// For so long Patroni lets a switchover wait: 20 rounds of at least a second (`api.py`, `poll_failover_result`), and a
/// while to write and read the DCS.
const MOVES: Duration = Duration::from_secs(60);
/// For so long a change of the configuration may take: one read and one write of the DCS.
const CONFIGURES: Duration = Duration::from_secs(20);

/// Carries out one step of Patroni.
struct PatroniStep {
    kind: Box<dyn Kind>,
    ix: StepIx,
    options: Patroni,
    user: Option<RestUser>,
    here: Cluster,
    /// The run's other site, where the step compares.
    there: Option<Cluster>,
    /// Sends the one request.
    sender: HttpClient,
    /// What the newest preview would send, and what was so then.
    planned: Option<(Request, Before)>,
    /// What was so before this process acted.
    before: Option<Before>,
}

/// One site's members, and how each is asked: for itself, and for what the DCS holds.
struct Cluster {
    site: SiteId,
    members: Vec<Asked>,
}

/// One member, and how it is asked.
struct Asked {
    member: Member,
    own: HttpClient,
    dcs: HttpClient,
    /// What it said when it last answered: a member that is silent has a name still.
    last: Option<Node>,
}

/// Opens the executor of a step at this place. Connects nowhere.
fn open(scene: &Scene, ix: StepIx, kind: Box<dyn Kind>, user: Option<RestUser>) -> Result<Box<dyn Executor>, Fault> {
    let missing = |what: &str| Fault::new(&["probe"], what, "a probe with kind = \"patroni\"");
    let step = scene.step(ix).ok_or_else(|| missing("there is no such step"))?;
    let probe = scene.probe(step).ok_or_else(|| missing("the plan has no such probe"))?;
    let options = probe.options::<Patroni>().ok_or_else(|| missing("the probe is of another kind"))?;
    let site = scene.site(step);
    if options.members(site).is_empty() {
        let what = format!("the probe {} names no member in {site}", probe.id.name);
        return Err(Fault::new(&["on"], &what, "a site that the probe looks at"));
    }
    let opened = &scene.state.opened;
    let other = if *site == opened.to { &opened.from } else { &opened.to };
    let there = kind.compares() && other != site && !options.members(other).is_empty();
    Ok(Box::new(PatroniStep {
        kind,
        ix,
        user: user.or_else(|| options.act_as.clone()),
        here: Cluster::of(options, site, &scene.net),
        there: there.then(|| Cluster::of(options, other, &scene.net)),
        sender: HttpClient::new(Arc::clone(&scene.net), policy(options)),
        planned: None,
        before: None,
        options: options.clone(),
    }))
}

impl Cluster {
    fn of(options: &Patroni, site: &SiteId, net: &Arc<Net>) -> Self {
        let client = || HttpClient::new(Arc::clone(net), policy(options));
        let one = |m: &Member| Asked { member: m.clone(), own: client(), dcs: client(), last: None };
        Self { site: site.clone(), members: options.members(site).iter().map(one).collect() }
    }

    /// Asks every member at once, and in turn for what the DCS holds; the one at `last`, which a request was sent to, only
    /// where no other answers.
    async fn ask(&mut self, last: Option<&SafeText>, until: Instant) -> View {
        let mut own = Vec::new();
        let mut dcs = Vec::new();
        for asked in &mut self.members {
            own.push(node(&mut asked.own, &asked.member, asked.last.as_ref(), until));
            dcs.push((&mut asked.dcs, &asked.member));
        }
        dcs.sort_by_key(|(_, m)| last.is_some_and(|at| at.as_str() == m.shown));
        let (said, held) = tokio::join!(join_all(own), in_turn(dcs, until));
        let (nodes, paused): (Vec<Node>, Vec<Option<bool>>) = said.into_iter().unzip();
        let told = match held {
            Ok((_, Held { cluster, settings, history })) => Told { nodes, cluster: Ok(cluster), settings, history },
            Err(gap) => Told { nodes, cluster: Err(gap.clone()), settings: Err(gap.clone()), history: Err(gap) },
        };
        for (asked, node) in self.members.iter_mut().zip(&told.nodes).filter(|(_, n)| n.answered()) {
            asked.last = Some(node.clone());
        }
        let members = self.members.iter().map(|m| m.member.clone()).collect();
        View { site: self.site.clone(), members, told, paused }
    }
}

/// What a member says of itself, and whether it has taken in that the cluster is in maintenance mode.
async fn node(client: &mut HttpClient, member: &Member, last: Option<&Node>, until: Instant) -> (Node, Option<bool>) {
    let told = async {
        let (body, manner): (Value, Manner) = get(client, &member.url, "patroni", until).await?;
        Ok((Node::of(&member.shown, &body, manner.date)?, body.get("pause").and_then(Value::as_bool).unwrap_or(false)))
    };
    match told.await {
        Ok((node, paused)) => (node, Some(paused)),
        Err(gap) => (Node::silent(&member.shown, &gap, last), None),
    }
}

/// When a look ends: before the deadline, so that what came is not lost with what did not.
fn looks_until(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    Instant::now() + left.saturating_sub(left / 10).min(LOOK)
}

impl PatroniStep {
    /// Asks both clusters.
    async fn look(&mut self, last: Option<&SafeText>, deadline: Instant) -> (View, Option<View>) {
        let until = looks_until(deadline);
        let there = async {
            match &mut self.there {
                Some(there) => Some(there.ask(None, until).await),
                None => None,
            }
        };
        tokio::join!(self.here.ask(last, until), there)
    }

    async fn planned(&mut self, scene: &Scene, deadline: Instant) -> Planned {
        let (view, other) = self.look(None, deadline).await;
        let now = clock::now();
        self.kind.plan(Case { view: &view, other: other.as_ref(), state: &scene.state, ix: self.ix, now })
    }

    fn as_preview(&self, planned: Planned) -> Preview {
        let members = self.options.members(&self.here.site);
        let member = planned.request.as_ref().and_then(|r| members.get(r.to));
        let target = member.map_or_else(|| format!("Patroni in {}", self.here.site), |m| m.shown.clone());
        let mut actions: Vec<SafeText> = Vec::new();
        if let Some(request) = &planned.request {
            actions.push(SafeText::new(&request.shown(members)));
            let by = self.user.as_ref().map_or_else(|| "without credentials".to_owned(), |u| format!("as {}", u.user));
            actions.push(SafeText::new(&by));
        }
        Preview {
            target: SafeText::new(&target),
            role: SafeText::new(&planned.role),
            identity: planned.identity,
            actions,
            challenge: planned.challenge,
            conditions: planned.conditions,
            already: planned.already,
            left: planned.left,
            at: clock::now(),
        }
    }

    /// Sends the request of the newest preview, once.
    async fn send(&mut self, net: &Net, deadline: Instant) -> Acted {
        let not_sent = |why: &str| Acted::NotSent { why: SafeText::new(why) };
        let Some((request, before)) = self.planned.take() else {
            return not_sent("nothing was previewed: what would be sent is not known");
        };
        let Some(member) = self.options.members(&self.here.site).get(request.to).cloned() else {
            return not_sent("the member that was previewed is not configured");
        };
        let asked = if request.method == "POST" { Sent::Move } else { Sent::Config };
        let most = if asked == Sent::Move { MOVES } else { CONFIGURES };
        let left = deadline.saturating_duration_since(Instant::now());
        // What is left of the deadline is for looking.
        let until = Instant::now() + (left - left / 3).min(most);
        let message = match message(net, &request, &member, self.user.as_ref(), until).await {
            Ok(message) => message,
            Err(gap) => return not_sent(&gap.to_string()),
        };
        let left: Box<Yield> = Box::new(before.left());
        self.before = Some(before);
        match self.sender.send(&message, until).await {
            Ok(answer) => meaning(asked, &answer, left),
            Err(NoAnswer::NotSent(gap)) => not_sent(&gap.to_string()),
            Err(NoAnswer::Lost(gap)) => Acted::Unclear { why: SafeText::new(&format!("sent, and {gap}")), left },
        }
    }
}

/// The request as it is sent, with its credentials, which are read here and nowhere else.
async fn message(
    net: &Net,
    request: &Request,
    member: &Member,
    user: Option<&RestUser>,
    until: Instant,
) -> Result<HttpRequest, Gap> {
    let credentials = match user {
        Some(RestUser { user, password }) => {
            Some(Credentials::Basic { user: user.clone(), password: net.secret(password, until).await? })
        }
        None => None,
    };
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| Gap::new(Reason::Bug, "a request without a method"))?;
    let mut url = member.url.clone();
    url.set_path(request.path);
    let mut message = HttpRequest::new(method, url).by(credentials);
    message = message.with(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    message.body = Bytes::from(request.body.to_string());
    Ok(message)
}

fn meaning(asked: Sent, answer: &HttpAnswer, left: Box<Yield>) -> Acted {
    match said(asked, answer.status, &answer.body) {
        Said::Done(said) => Acted::Returned { said, left },
        Said::Refused(said) => Acted::Refused { said },
        Said::Unclear(why) => Acted::Unclear { why, left },
    }
}

/// What was so before the newest attempt: what its call left behind; where another process began it and did not come to say
/// more, who led, as its intent has it.
fn left_before(scene: &Scene, ix: StepIx) -> Option<Before> {
    let attempt = newest(&scene.state, ix)?;
    let called = attempt.acted.as_ref().and_then(|(acted, _)| Before::of(acted.left()?));
    called.or_else(|| {
        let leader = attempt.identity.0.get(&SafeText::new(LEADER))?;
        Some(Before { leader: Some(leader.clone()), ..Before::default() })
    })
}

impl Executor for PatroniStep {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move {
            let planned = self.planned(scene, deadline).await;
            self.planned = planned.request.clone().map(|request| (request, planned.before.clone()));
            self.as_preview(planned)
        })
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            let acted = self.send(&scene.net, deadline).await;
            drop(authorized);
            acted
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(async move {
            let before = self.before.clone().or_else(|| left_before(scene, self.ix));
            let asked = before.as_ref().and_then(|b| b.asked.clone());
            let (view, other) = self.look(asked.as_ref(), deadline).await;
            let case = Case { view: &view, other: other.as_ref(), state: &scene.state, ix: self.ix, now: clock::now() };
            self.kind.seen(case, before.as_ref())
        })
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        self.kind.commands(&self.options, &self.here.site, self.user.as_ref().map(|u| u.user.as_str()))
    }
}
