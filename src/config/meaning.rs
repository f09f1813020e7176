//! What the schema cannot say: names that refer to each other, times that fit together, and the systems' own faults.
//!
//! It reads the tree leniently, so that a mistake of shape in one place hides no mistake of meaning in another.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

use crate::plan::{Area, Objectives, PlanId, ProbeDecl, ProbeId, SiteId, Span, Strategy};
use crate::runbook::Runbooks;
use crate::systems::{Declared, Fault, Pace, ReadContext, System};

use super::Secret;
use super::check::{below, item};
use super::nearest::nearest;
use super::options::Name;
use super::problem::Report;
use super::schema::COMMON;
use super::tree::{Entry, Node};

/// How often a probe looks where nothing says otherwise.
const INTERVAL: Span = Span::secs(5);
/// How long a look may take where nothing says otherwise.
const TIMEOUT: Span = Span::secs(3);
/// The longest interval and timeout: what looks less often than that is no live view.
const LONGEST: Span = Span::secs(3_600);
/// What `here` says where this machine is in none of the sites; so no site can have this name.
pub(super) const ELSEWHERE: &str = "elsewhere";

/// A plan's probes and runbooks.
pub(super) struct OfPlan {
    pub(super) probes: Vec<ProbeDecl>,
    pub(super) runbooks: Runbooks,
}

/// What was read: for each plan its probes, in the order of the file, and where all secrets are. A probe or a step with
/// mistakes is missing, but then there is a problem.
#[derive(Default)]
pub(super) struct Meaning {
    pub(super) plans: Vec<OfPlan>,
    pub(super) secrets: Vec<Secret>,
}

pub(super) struct Reader<'s, 'r, 't> {
    pub(super) systems: &'s [&'static System],
    pub(super) report: &'r mut Report<'t>,
    /// Probes whose own keys have mistakes of shape.
    broken: HashSet<String>,
    defaults: Times<'s>,
    pub(super) secrets: Vec<Secret>,
}

/// How often and how long, and where it was written.
#[derive(Clone, Copy)]
struct Times<'n> {
    interval: (Span, Option<&'n Node>),
    timeout: (Span, Option<&'n Node>),
}

impl Times<'_> {
    /// The same, but no less than what a kind needs.
    fn at_least(mut self, pace: Pace) -> Self {
        if let Some(least) = pace.interval.filter(|l| *l > self.interval.0) {
            self.interval = (least, None);
        }
        if let Some(least) = pace.timeout.filter(|l| *l > self.timeout.0) {
            self.timeout = (least, None);
        }
        self
    }
}

/// What a plan's probes are read in.
pub(super) struct PlanContext<'n> {
    pub(super) id: PlanId,
    pub(super) key: String,
    pub(super) sites: Vec<SiteId>,
    pub(super) home: SiteId,
    strategy: Strategy,
    objectives: Objectives,
    /// The RPO, where it was said properly.
    rpo: Option<(Span, &'n Node)>,
}

/// Reads the whole tree.
pub(super) fn read(systems: &[&'static System], root: &Node, report: &mut Report<'_>) -> Meaning {
    let broken = report.keys().filter_map(broken_probe).collect();
    let base = Times { interval: (INTERVAL, None), timeout: (TIMEOUT, None) };
    let mut reader = Reader { systems, report, broken, defaults: base, secrets: Vec::new() };
    if let Some(defaults) = root.get("defaults") {
        reader.defaults = reader.times(defaults, "defaults", base);
    }
    reader.state(root);
    let plans = root.get("plan").map_or(&[][..], Node::items);
    reader.unique("plan", plans);
    reader.here(root, plans);
    let plans = plans.iter().enumerate().map(|(i, plan)| reader.plan(&item("plan", i, plan), plan)).collect();
    if let Some(practice) = root.get("practice") {
        super::practice::judge(root, practice, reader.report);
    }
    Meaning { plans, secrets: reader.secrets }
}

/// The probe whose own keys a problem is in: `plan[a].probe[b]` of `plan[a].probe[b].at.west`, nothing of
/// `plan[a].probe[b].interval`.
fn broken_probe(key: &str) -> Option<String> {
    let from = key.find("].probe[")?;
    let rest = key.get(from + 8..)?;
    let end = from + 8 + rest.find(']')? + 1;
    let own = key.get(end..)?.strip_prefix('.').unwrap_or_default();
    let common = COMMON.contains(&own) && own != "kind";
    (!common).then(|| key.get(..end).unwrap_or_default().to_owned())
}

pub(super) fn span_of(node: Option<&Node>) -> Option<Span> {
    node.and_then(Node::text).and_then(|t| t.parse().ok())
}

impl<'s> Reader<'s, '_, '_> {
    fn times(&mut self, table: &'s Node, key: &str, base: Times<'s>) -> Times<'s> {
        let mut one = |name: &str, base: (Span, Option<&'s Node>)| {
            let Some(node) = table.get(name) else { return base };
            let Some(span) = span_of(Some(node)) else { return base };
            if span.0.is_zero() || span > LONGEST {
                let what =
                    format!("{} is out of range", if span.0.is_zero() { "0s".to_owned() } else { span.to_string() });
                self.report.add(&node.span, &below(key, name), &what, "above 0 and at most 1h");
                return base;
            }
            (span, Some(node))
        };
        Times { interval: one("interval", base.interval), timeout: one("timeout", base.timeout) }
    }

    fn state(&mut self, root: &Node) {
        if let Some((node, path)) = root.get("state").and_then(|n| Some((n, n.text()?)))
            && !std::path::Path::new(path).is_absolute()
        {
            self.report.add(&node.span, "state", &format!("{path:?} is not an absolute path"), "start it with /");
        }
    }

    /// Names that must differ.
    pub(super) fn unique(&mut self, key: &str, tables: &[Node]) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for table in tables {
            let Some((node, name)) = table.get("name").and_then(|n| Some((n, n.text()?))) else { continue };
            match seen.get(name) {
                Some(line) => {
                    let what = format!("the name {name:?} is taken by line {line}");
                    self.report.add(&node.span, &format!("{key}[{name}].name"), &what, "give each its own name");
                }
                None => {
                    seen.insert(name, self.report.lines.place(&node.span).line);
                }
            }
        }
    }

    fn here(&mut self, root: &Node, plans: &[Node]) {
        let Some((node, here)) = root.get("here").and_then(|n| Some((n, n.text()?))) else { return };
        let sites: Vec<&str> = plans
            .iter()
            .filter_map(|p| p.get("sites"))
            .flat_map(|s| s.entries().iter().map(|e| e.key.as_str()))
            .collect();
        if here != ELSEWHERE && !sites.contains(&here) && !self.report.has("here") {
            let right = named(here, sites.iter().copied().chain([ELSEWHERE]));
            self.report.add(&node.span, "here", &format!("no plan has a site {here:?}"), &right);
        }
    }

    fn plan(&mut self, key: &str, plan: &'s Node) -> OfPlan {
        let entries = plan.get("sites").map_or(&[][..], Node::entries);
        for entry in entries {
            self.site_name(&below(&below(key, "sites"), &entry.key), entry);
        }
        let sites: Vec<SiteId> = entries.iter().map(|e| SiteId::new(&e.key)).collect();
        let home = plan.get("home").and_then(|n| Some((n, n.text()?)));
        if let Some((node, home)) = home
            && !sites.iter().any(|s| s.as_str() == home)
            && !sites.is_empty()
        {
            self.no_site(&node.span, &below(key, "home"), home, &sites);
        }
        let objectives = plan.get("objectives");
        let rpo = objectives.and_then(|o| o.get("rpo")).and_then(|n| Some((span_of(Some(n))?, n)));
        let rto = objectives.and_then(|o| o.get("rto")).and_then(|n| Some((span_of(Some(n))?, n)));
        if let Some((span, node)) = rto
            && span.0.is_zero()
        {
            let key = below(&below(key, "objectives"), "rto");
            self.report.add(&node.span, &key, "0s is out of range", "no failover takes no time");
        }
        let long = Span(Duration::from_secs(86_400 * 365));
        let fallback = || sites.first().cloned().unwrap_or_else(|| SiteId::new("?"));
        let context = PlanContext {
            id: PlanId::new(plan.get("name").and_then(Node::text).unwrap_or("?")),
            key: key.to_owned(),
            home: home.map(|(_, h)| SiteId::new(h)).filter(|h| sites.contains(h)).unwrap_or_else(fallback),
            // Where it is none, the schema says so.
            strategy: plan
                .get("strategy")
                .and_then(Node::text)
                .and_then(Strategy::from_name)
                .unwrap_or(Strategy::WarmStandby),
            objectives: Objectives { rpo: rpo.map_or(long, |r| r.0), rto: rto.map_or(long, |r| r.0) },
            sites,
            rpo,
        };
        self.said(&context, plan);
        let probes = plan.get("probe").map_or(&[][..], Node::items);
        self.unique(&below(key, "probe"), probes);
        let of = |(i, probe)| self.probe(&context, &item(&below(&context.key, "probe"), i, probe), probe);
        let read: Vec<ProbeDecl> = probes.iter().enumerate().filter_map(of).collect();
        let runbooks = self.runbooks(&context, plan, &read);
        OfPlan { probes: read, runbooks }
    }

    /// What people vouch for: the sites of copies are the plan's, and what stands for no time says nothing.
    fn said(&mut self, plan: &PlanContext<'s>, node: &Node) {
        for entry in node.get("lost_with").map_or(&[][..], Node::entries) {
            if !plan.sites.is_empty() && !plan.sites.iter().any(|s| s.as_str() == entry.key) {
                let key = below(&below(&plan.key, "lost_with"), &entry.key);
                self.no_site(&entry.key_span, &key, &entry.key, &plan.sites);
            }
        }
        for table in ["copy", "confirm"] {
            for (i, entry) in node.get(table).map_or(&[][..], Node::items).iter().enumerate() {
                let key = item(&below(&plan.key, table), i, entry);
                if let Some((node, site)) = entry.get("site").and_then(|n| Some((n, n.text()?)))
                    && !plan.sites.iter().any(|s| s.as_str() == site)
                    && !plan.sites.is_empty()
                {
                    self.no_site(&node.span, &below(&key, "site"), site, &plan.sites);
                }
                if let Some(node) = entry.get("for").filter(|n| span_of(Some(n)).is_some_and(|s| s.0.is_zero())) {
                    self.report.add(
                        &node.span,
                        &below(&key, "for"),
                        "0s is out of range",
                        "how long it stands: \"90d\"",
                    );
                }
            }
        }
    }

    fn site_name(&mut self, key: &str, entry: &Entry) {
        if entry.key == ELSEWHERE {
            self.report.add(
                &entry.key_span,
                key,
                "no site can be named \"elsewhere\"",
                "`here` says it of a machine in none",
            );
        } else if !Name::fits(&entry.key) {
            let right = "write letters, digits, '.', '_' and '-', at most 63, the first a letter or digit";
            self.report.add(&entry.key_span, key, &format!("{:?} is not a name", entry.key), right);
        }
    }

    pub(super) fn no_site(&mut self, span: &Range<usize>, key: &str, found: &str, sites: &[SiteId]) {
        let right = named(found, sites.iter().map(SiteId::as_str));
        self.report.add(span, key, &format!("the plan has no site {found:?}"), &right);
    }

    fn probe(&mut self, plan: &PlanContext<'s>, key: &str, probe: &'s Node) -> Option<ProbeDecl> {
        let name = probe.get("kind").and_then(Node::text);
        let kind = self.systems.iter().flat_map(|s| s.probes).find(|k| Some(k.name) == name);
        let times = self.times(probe, key, self.defaults.at_least(kind.map_or(Pace::USUAL, |k| k.pace)));
        if !plan.sites.is_empty() {
            for entry in probe.get("at").map_or(&[][..], Node::entries) {
                if !plan.sites.iter().any(|s| s.as_str() == entry.key) {
                    self.no_site(&entry.key_span, &below(&below(key, "at"), &entry.key), &entry.key, &plan.sites);
                }
            }
            if let Some((node, site)) = probe.get("site").and_then(|n| Some((n, n.text()?)))
                && !plan.sites.iter().any(|s| s.as_str() == site)
            {
                self.no_site(&node.span, &below(key, "site"), site, &plan.sites);
            }
        }
        let kind = kind?;
        let said = || probe.get("area").and_then(Node::text).and_then(Area::from_name);
        let area = kind.area.fixed().or_else(said)?;
        let too_slow = area == Area::Replication && !self.fits_rpo(plan, key, probe, times);
        // A system may count on a plan with sites, of which its home is one.
        if self.broken.contains(key) || plan.sites.len() < 2 {
            return None;
        }
        let id = ProbeId::new(&plan.id, probe.get("name").and_then(Node::text).unwrap_or("?"));
        let (interval, timeout) = (times.interval.0, times.timeout.0);
        let PlanContext { sites, home, strategy, objectives, .. } = plan;
        let context = ReadContext {
            id: &id,
            sites,
            home,
            strategy: *strategy,
            objectives,
            area,
            interval: interval.0,
            timeout: timeout.0,
        };
        let own = probe.entries().iter().filter(|e| !COMMON.contains(&e.key.as_str()));
        let own = Value::Object(own.map(|e| (e.key.clone(), e.node.json())).collect());
        match (kind.read)(&context, own) {
            Ok(declared) => {
                for (path, secret) in &declared.secrets {
                    let path: Vec<&str> = path.split('.').collect();
                    let (span, key) = locate(probe, key, &path);
                    let place = self.report.lines.place(span);
                    self.secrets.push(Secret { probe: id.clone(), key, secret: secret.clone(), place });
                }
                let weight =
                    probe.get("weight").and_then(|n| serde_json::from_value(n.json()).ok()).unwrap_or_default();
                let Declared { options, lanes, .. } = declared;
                Some(ProbeDecl { id, kind: kind.name, area, weight, interval, timeout, options, lanes })
            }
            Err(faults) => {
                for Fault { path, what, right } in faults {
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    let (span, key) = locate(probe, key, &path);
                    // What is said of one key once need not be said twice in other words.
                    let said = too_slow && matches!(path.as_slice(), ["interval" | "timeout"]);
                    if !said && !self.report.has(&key) {
                        self.report.add(span, &key, &what, &right);
                    }
                }
                None
            }
        }
    }

    /// Exposure can be no finer than what is looked at: between two looks, and until the second one ends, a loss goes
    /// unseen.
    fn fits_rpo(&mut self, plan: &PlanContext<'_>, key: &str, probe: &Node, times: Times<'_>) -> bool {
        let Some((rpo, _)) = plan.rpo.filter(|(rpo, _)| !rpo.0.is_zero()) else { return true };
        let (interval, timeout) = (times.interval, times.timeout);
        let sum = Span(interval.0.0.saturating_add(timeout.0.0));
        if sum.0 <= rpo.0 / 2 {
            return true;
        }
        let written = [("interval", interval.1), ("timeout", timeout.1)];
        let own = written.iter().find(|(name, node)| node.is_some() && probe.get(name).is_some());
        let (name, span) = match own {
            Some((name, Some(node))) => (*name, &node.span),
            Some(_) | None => ("interval", &probe.span),
        };
        let what = format!("interval {} + timeout {} is {sum}, more than half the RPO of {rpo}", interval.0, timeout.0);
        let right =
            format!("at most {} together: a replication probe must see a loss before it is too large", Span(rpo.0 / 2));
        self.report.add(span, &below(key, name), &what, &right);
        false
    }
}

/// What was probably meant, or everything that could be.
pub(super) fn named<'n>(found: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(found, names.clone()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => {
            let mut all: Vec<String> = names.map(|n| format!("{n:?}")).collect();
            all.dedup();
            format!("one of {}", all.join(", "))
        }
    }
}

/// The place and the full key of a path below a table; of the deepest part that is there.
pub(super) fn locate<'n>(table: &'n Node, key: &str, path: &[&str]) -> (&'n Range<usize>, String) {
    let (mut span, mut key, mut node) = (&table.span, key.to_owned(), Some(table));
    for step in path {
        let array = node.map(Node::items).filter(|i| !i.is_empty());
        if let (Some(items), Ok(index)) = (array, step.parse::<usize>()) {
            node = items.get(index);
            key = format!("{key}[#{}]", index + 1);
        } else {
            node = node.and_then(|n| n.get(step));
            key = below(&key, step);
        }
        span = node.map_or(span, |n| &n.span);
    }
    (span, key)
}
