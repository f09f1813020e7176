//! `dns-update`: moves the record to a site's answers.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tokio::time::Instant;

use crate::clock;
use crate::net::{HttpClient, HttpPolicy, Net};
use crate::plan::{Now, SafeText, SiteId, Span};
use crate::readiness::{Gap, Value};
use crate::runbook::{
    Acted, Authorized, Class, Condition, Held, Identity, Observation, Preview, StepIx, StepState, Yield,
};
use crate::systems::{Executing, Executor, Fault, Lane as _, Scene};

use super::super::askers::Server;
use super::super::endpoint::EndpointLane;
use super::super::options::{self, Dns, SiteAnswer, shown};
use super::super::{parse, signals};
use super::edit::{Change, Kind, Values};
use super::options::{Update, Way, checked, raw};
use super::rfc2136::{self, Fate};
use super::survey::{Followers, Misses, Survey, addresses, servers, survey};
use super::{powerdns, script};

/// The names of the step's own conditions.
mod ids {
    /// Whether what is there now was read from where it will be changed.
    pub const PRIMARY: &str = "primary";
    /// Whether the record names a site of the plan.
    pub const RECORD: &str = "record";
    /// Whether all authoritative servers that can be reached have the same.
    pub const AGREE: &str = "servers-agree";
    /// Whether something answers at the addresses that it is moved to.
    pub const ENDPOINTS: &str = "endpoints";
    /// Whether resolvers follow soon enough.
    pub const TTL: &str = "ttl";
}

/// Moves the record.
pub struct DnsUpdate {
    ix: StepIx,
    net: Arc<Net>,
    http: HttpClient,
    dns: Dns,
    update: Update,
    site: SiteAnswer,
    found: Option<Vec<Server>>,
    seen: Option<Seen>,
    misses: Misses,
}

/// What the newest preview saw: an act changes exactly this.
struct Seen {
    primary: Option<SocketAddr>,
    change: Change,
}

/// Opens the step. Connects nowhere.
///
/// # Errors
/// Where another version of this program pinned it, and this one does not understand it.
pub fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let (dns, site) = dns_of(scene, ix)?;
    let options = scene.step(ix).map(|s| s.options.clone()).unwrap_or_default();
    let update = raw(&options).and_then(|raw| checked(&dns, &raw)).map_err(first)?;
    let tls = match &update.way {
        Way::PowerDns(api) => api.tls.clone(),
        Way::Rfc2136 { .. } => Default::default(),
    };
    let policy = HttpPolicy { tls, largest: 4 << 20, keep: false, follow: false };
    let net = Arc::clone(&scene.net);
    let http = HttpClient::new(Arc::clone(&net), policy);
    Ok(Box::new(DnsUpdate { ix, net, http, dns, update, site, found: None, seen: None, misses: Misses::new() }))
}

/// The probe of a step, and what it answers for the step's site.
pub fn dns_of(scene: &Scene, ix: StepIx) -> Result<(Dns, SiteAnswer), Fault> {
    let fault = |key: &str, what: &str| Fault::new(&[key], what, "open a new run");
    let step = scene.step(ix).ok_or_else(|| fault("step", "no such step"))?;
    let probe = scene.probe(step).ok_or_else(|| fault("probe", "no such probe"))?;
    let dns = probe.options::<Dns>().ok_or_else(|| fault("probe", "no dns probe"))?;
    let site = dns.site(scene.site(step)).ok_or_else(|| fault("on", "the probe has no answer for this site"))?;
    Ok((dns.clone(), site.clone()))
}

fn first(faults: Vec<Fault>) -> Fault {
    let none = || Fault::new(&[], "not understood", "open a new run");
    faults.into_iter().next().unwrap_or_else(none)
}

impl Executor for DnsUpdate {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move {
            let endpoints = self.endpoints(scene, deadline);
            let (endpoints, looked) = tokio::join!(endpoints, self.look(None, deadline));
            self.shown(looked, endpoints)
        })
    }

    fn act<'a>(&'a mut self, authorized: Authorized, _: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            // Used up here: there is no second message for it.
            drop(authorized);
            let Some(seen) = self.seen.take() else {
                return Acted::NotSent { why: "the record was not read right before".into() };
            };
            let sent = match (&self.update.way, seen.primary) {
                (Way::Rfc2136 { key, .. }, Some(primary)) => {
                    rfc2136::send(&self.net, primary, &seen.change, key, deadline).await
                }
                (Way::Rfc2136 { .. }, None) => Fate::NotSent("the primary's address is not known".to_owned()),
                (Way::PowerDns(api), _) => powerdns::send(&mut self.http, api, &seen.change, deadline).await,
            };
            let left = Box::new(left(&seen.change));
            let text = |t: String| SafeText::new(&t);
            match sent {
                Fate::Done(said) => Acted::Returned { said: text(said), left },
                Fate::Refused(said) => Acted::Refused { said: text(said) },
                Fate::NotSent(why) => Acted::NotSent { why: text(why) },
                Fate::Unclear(why) => Acted::Unclear { why: text(why), left },
            }
        })
    }

    fn observe<'a>(&'a mut self, _: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(async move {
            let known = self.found.clone();
            let looked = self.look(known, deadline).await;
            looked.survey.count(&mut self.misses);
            let (held, why) = looked.survey.judge(&self.site, Some(&self.misses));
            let mut seen = Observation::new(held, &why, clock::now());
            if held == Held::Holds {
                let followers = Followers::ask(&self.net, &self.dns, &self.site, deadline).await;
                seen.waits = Some(SafeText::new(&followers.map_or_else(|gap| gap.to_string(), |f| f.words())));
                seen.left.facts.push(SafeText::new(&why));
            }
            seen
        })
    }

    fn commands(&self, scene: &Scene) -> Vec<String> {
        let opened = &scene.state.opened;
        let other: &SiteId = if self.site.site == opened.to { &opened.from } else { &opened.to };
        script::commands(&self.update, &self.dns, &self.site, self.dns.site(other))
    }
}

/// What the way back needs: what was there before, with its times to live.
fn left(change: &Change) -> Yield {
    let kept =
        json!({ "record": change.name, "zone": change.zone, "was": change.old.json(), "now": change.new.json() });
    let fact = SafeText::new(&format!("{}: {}", change.name, change.words()));
    Yield { kept, facts: vec![fact], ..Yield::default() }
}

/// What one look brought.
struct Looked {
    survey: Survey,
    /// The primary's addresses, or why they are not known. Empty where the way has none.
    primary: Result<Vec<SocketAddr>, Gap>,
}

impl DnsUpdate {
    /// Asks the primary and every authoritative server; those that were found before, where they are given.
    async fn look(&mut self, known: Option<Vec<Server>>, deadline: Instant) -> Looked {
        let names = parse::fqdn(&self.dns.record).and_then(|record| Ok((record, parse::fqdn(&self.update.zone)?)));
        let (record, zone) = match names {
            Ok(names) => names,
            Err(gap) => return Looked { survey: Survey { said: vec![], unfound: Some(gap) }, primary: Ok(vec![]) },
        };
        let primary = match &self.update.way {
            Way::Rfc2136 { server, .. } => addresses(&self.net, server, deadline).await,
            Way::PowerDns(_) => Ok(Vec::new()),
        };
        let own = primary.as_ref().map_or(&[][..], Vec::as_slice);
        let found = match known {
            Some(known) => Ok(known),
            None => servers(&self.net, &self.dns, &zone, own, deadline).await,
        };
        let (mut all, unfound) = match found {
            Ok(found) => (found, None),
            Err(gap) => (Vec::new(), Some(gap)),
        };
        self.found = unfound.is_none().then(|| all.clone());
        for addr in own.iter().filter(|a| !all.iter().any(|s| s.addr == **a)).copied().collect::<Vec<_>>() {
            all.push(Server { name: addr.ip().to_string(), addr });
        }
        let said = survey(&self.net, &record, &zone, all, deadline).await;
        Looked { survey: Survey { said, unfound }, primary }
    }

    /// What a look shows.
    fn shown(&mut self, looked: Looked, endpoints: Option<Condition>) -> Preview {
        let at = clock::now();
        let Looked { survey, primary } = looked;
        let addresses = primary.clone().unwrap_or_default();
        let at_primary = survey.answers().find(|(s, _)| addresses.contains(&s.addr));
        let (place, basis) = match &self.update.way {
            Way::Rfc2136 { server, .. } => (format!("{}:{}", server.host, server.port), at_primary.map(|(_, v)| v)),
            Way::PowerDns(api) => (api.zone.to_string(), survey.agreed()),
        };
        let basis = basis.cloned();
        let old = basis.clone().unwrap_or_default();
        let change = Change::to(&self.update.zone, &self.dns.record, &self.site, old.clone(), self.update.ttl);
        let address = at_primary.map(|(s, _)| s.addr);
        let unread = basis.is_none().then(|| self.unread(&survey, &primary));
        let mut conditions = vec![self.primary(unread.as_deref(), at)];
        conditions.push(self.record(basis.as_ref(), at));
        conditions.push(agree(&survey, at));
        conditions.extend(self.ttl(basis.as_ref(), at));
        conditions.extend(endpoints);
        let mut identity = Identity::default().with("zone", &self.update.zone);
        let only = match addresses.as_slice() {
            [only] => Some(*only),
            _ => None, // none, or any of several
        };
        let server = match &self.update.way {
            Way::Rfc2136 { .. } => address.or(only).map(|a| a.to_string()),
            Way::PowerDns(_) => Some(place.clone()),
        };
        identity = match server {
            Some(server) => identity.with("server", &server),
            None => identity.unread("server", unread.as_deref().unwrap_or("its address is not known")),
        };
        for kind in Kind::ALL {
            identity = match &unread {
                Some(why) => identity.unread(kind.word(), why),
                None => identity.with(kind.word(), &old.mark(kind)),
            };
        }
        let (already, why) = survey.judge(&self.site, None);
        let role = match &basis {
            Some(values) => format!("{}; {why}; {}", values.words(), serials(&survey)),
            None => format!("not read; {why}"),
        };
        let actions = match &unread {
            Some(why) => vec![format!("; what is there now was not read, and what would be sent depends on it: {why}")],
            None => script::actions(&self.update, &change, address),
        };
        let actions = actions.iter().map(|l| SafeText::new(l)).collect();
        let left = if already == Held::Holds {
            Yield { facts: vec![SafeText::new(&why)], ..Yield::default() }
        } else {
            Yield::default()
        };
        self.seen = basis.is_some().then_some(Seen { primary: address, change });
        Preview {
            target: SafeText::new(&format!("{} at {place}", self.dns.record)),
            role: SafeText::new(&role),
            identity,
            actions,
            challenge: format!("{} to {}", self.dns.record, self.site.site),
            conditions,
            already,
            left,
            at,
        }
    }

    /// Why what is there now was not read: who did not answer, or that they differ.
    fn unread(&self, survey: &Survey, primary: &Result<Vec<SocketAddr>, Gap>) -> String {
        match (&self.update.way, primary) {
            (Way::Rfc2136 { .. }, Ok(addresses)) => {
                let own = survey.said.iter().filter(|s| addresses.contains(&s.addr));
                own.filter_map(|s| s.values.as_ref().err()).map(ToString::to_string).collect::<Vec<_>>().join("; ")
            }
            (Way::Rfc2136 { .. }, Err(gap)) => gap.to_string(),
            (Way::PowerDns(_), _) if survey.answers().next().is_some() => "the servers differ".to_owned(),
            (Way::PowerDns(_), _) => survey.silent(),
        }
    }

    /// What is there now must have been read from where it is changed, or from all who serve it.
    fn primary(&self, unread: Option<&str>, at: Now) -> Condition {
        let what = match &self.update.way {
            Way::Rfc2136 { server, .. } => {
                format!("{}:{} answers for {} with authority", server.host, server.port, self.update.zone)
            }
            Way::PowerDns(_) => format!("the authoritative servers say what {} is now", self.dns.record),
        };
        let (held, why) = unread.map_or((Held::Holds, "read just now"), |why| (Held::Unknown, why));
        Condition::new(ids::PRIMARY, Class::Identity, &what, held, &why, at)
    }

    /// What the plan does not know may be somebody else's change.
    fn record(&self, values: Option<&Values>, at: Now) -> Condition {
        let what = format!("{} names a site of the plan", self.dns.record);
        let (held, why) = match values {
            None => (Held::Unknown, "not read".to_owned()),
            Some(values) => match self.dns.answers.iter().find(|a| values.are(a)) {
                Some(site) => (Held::Holds, site.site.to_string()),
                None => (Held::Fails, values.words()),
            },
        };
        Condition::new(ids::RECORD, Class::Risk, &what, held, &why, at).accepted_by("overwrite")
    }

    /// How long resolvers keep what is there now, against the limit of the plan.
    fn ttl(&self, values: Option<&Values>, at: Now) -> Option<Condition> {
        let most = self.dns.max_ttl?;
        let what = format!("resolvers follow within {most}");
        let (held, why) = match values.map(|v| v.ttl().map(|secs| Span::secs(u64::from(secs)))) {
            Some(Some(ttl)) => (Held::of(ttl <= most), format!("the time to live is {ttl}")),
            Some(None) => (Held::Unknown, "there is no record that has one".to_owned()),
            None => (Held::Unknown, "not read".to_owned()),
        };
        Some(Condition::new(ids::TTL, Class::Advice, &what, held, &why, at))
    }

    /// Whether something answers at every address of the site. Services that earlier steps start need not answer yet.
    fn endpoints<'a>(&self, scene: &'a Scene, deadline: Instant) -> impl Future<Output = Option<Condition>> + use<'a> {
        let lane = self.endpoint_lane(scene);
        let site = self.site.site.clone();
        let earlier = scene.state.steps.iter().take(self.ix.place());
        let to_come = earlier.map(|s| s.state).any(|s| !matches!(s, StepState::Done(_) | StepState::Skipped));
        async move {
            let look = lane?.look(deadline).await;
            let rows = look.observed.iter().find(|o| o.signal == signals::ENDPOINTS).map(|o| &o.value);
            let (held, why) = match rows {
                Some(Ok(Value::Rows(rows))) => {
                    let text = |row: &crate::readiness::Row, column| {
                        row.text(column).ok().flatten().map_or(String::new(), |t| t.as_str().to_owned())
                    };
                    let one = |row| format!("{} {}", text(row, "address"), text(row, "outcome"));
                    let good = !rows.is_empty() && rows.iter().all(|r| text(r, "outcome") == signals::OK);
                    (Held::of(good), rows.iter().map(one).collect::<Vec<_>>().join(", "))
                }
                Some(Err(gap)) => (Held::Unknown, gap.to_string()),
                Some(Ok(_)) | None => (Held::Unknown, "not looked at".to_owned()),
            };
            let what = format!("every endpoint of {site} answers");
            let condition = Condition::new(ids::ENDPOINTS, Class::Risk, &what, held, &why, clock::now());
            let condition = condition.accepted_by("dead endpoint");
            Some(if to_come { condition.later() } else { condition })
        }
    }

    fn endpoint_lane(&self, scene: &Scene) -> Option<EndpointLane> {
        if !self.dns.visits(&self.site.site) {
            return None;
        }
        let endpoint = self.dns.endpoint.clone()?;
        let lanes = &scene.probe(scene.step(self.ix)?)?.lanes;
        let site = Some(&self.site.site);
        let decl = lanes.iter().find(|l| l.subject.site.as_ref() == site && l.expects.contains(&signals::ENDPOINTS))?;
        let named = endpoint.server_name.as_deref().and_then(|n| options::name(n).ok());
        let name = named.unwrap_or_else(|| self.dns.record.clone());
        Some(EndpointLane { net: Arc::clone(&self.net), decl: decl.clone(), answer: self.site.clone(), endpoint, name })
    }
}

fn agree(survey: &Survey, at: Now) -> Condition {
    let what = "all authoritative servers that can be reached have the same";
    let answers = survey.answers().count();
    let silent = survey.silent();
    let (held, why) = match survey.agreed() {
        None if answers == 0 => (Held::Unknown, silent),
        None => {
            let each = survey.answers().map(|(s, v)| format!("{}: {}", s.who(), v.words()));
            (Held::Fails, each.collect::<Vec<_>>().join("; "))
        }
        Some(_) if survey.unfound.is_some() => (Held::Unknown, silent),
        Some(_) if silent.is_empty() => (Held::Holds, format!("{answers} of {answers}")),
        Some(_) => (Held::Holds, format!("{answers} of {}; not seen: {silent}", survey.said.len())),
    };
    Condition::new(ids::AGREE, Class::Advice, what, held, &why, at)
}

fn serials(survey: &Survey) -> String {
    let one = |s: &super::survey::Said| Some(format!("{} at {}", s.serial?, shown(s.addr)));
    let all: Vec<String> = survey.said.iter().filter_map(one).collect();
    if all.is_empty() { "no serial was read".to_owned() } else { format!("serial {}", all.join(", ")) }
}
