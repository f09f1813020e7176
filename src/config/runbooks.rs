//! Runbooks: steps by their kinds, and what `validate` refuses of them together, each at its place.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::plan::{LaneDecl, ProbeDecl, ProbeId, SafeText, SiteId, Span};
use crate::runbook::{On, Runbook, RunbookKind, Runbooks, StepPlan, validate};
use crate::systems::{Fault, StepContext, StepKind, StepTraits};

use super::Secret;
use super::check::{below, item};
use super::meaning::{PlanContext, Reader, locate, named, span_of};
use super::schema::COMMON_STEP;
use super::tree::{Kind, Node};

/// The longest deadline of a step: what takes longer is two steps.
const LONGEST: Span = Span::secs(86_400);

impl<'s> Reader<'s, '_, '_> {
    /// The runbooks of a plan. A step with mistakes is missing, and then the runbook as a whole is not judged.
    pub(super) fn runbooks(&mut self, plan: &PlanContext<'s>, node: &'s Node, probes: &[ProbeDecl]) -> Runbooks {
        let mut by_kind = BTreeMap::new();
        for kind in RunbookKind::ALL {
            let steps = node.get(kind.word()).map_or(&[][..], Node::items);
            if steps.is_empty() {
                continue;
            }
            let list = below(&plan.key, kind.word());
            let names: Vec<&str> = node
                .get("probe")
                .map_or(&[][..], Node::items)
                .iter()
                .filter_map(|p| p.get("name").and_then(Node::text))
                .collect();
            let mut read = Vec::new();
            for (i, step) in steps.iter().enumerate() {
                read.extend(self.step(plan, kind, &item(&list, i, step), step, probes, &names));
            }
            if read.len() == steps.len() {
                let (runbook, touches): (Vec<_>, Vec<_>) = read.into_iter().unzip();
                let runbook = Runbook { kind, steps: runbook };
                self.judge(&list, steps, &runbook, &touches, plan, probes);
                by_kind.insert(kind, runbook);
            }
        }
        if !by_kind.is_empty() {
            self.no_passwords(&plan.key, node);
        }
        Runbooks { plan: plan.id.clone(), by_kind }
    }

    fn step(
        &mut self,
        plan: &PlanContext<'s>,
        runbook: RunbookKind,
        key: &str,
        step: &'s Node,
        probes: &[ProbeDecl],
        names: &[&str],
    ) -> Option<(StepPlan, Vec<SafeText>)> {
        let name = step.get("kind").and_then(Node::text);
        let kind = self.systems.iter().flat_map(|s| s.steps).find(|k| Some(k.name) == name);
        let on = self.on(plan, key, step);
        let deadline = self.span(key, step, "deadline");
        let expect = self.span(key, step, "expect");
        let kind: &StepKind = kind?;
        let probe = match step.get("probe").and_then(|n| Some((n, n.text()?))) {
            None => None,
            Some((node, wanted)) => {
                let key = below(key, "probe");
                if !names.contains(&wanted) {
                    let right = named(wanted, names.iter().copied());
                    self.report.add(&node.span, &key, &format!("the plan has no probe {wanted:?}"), &right);
                    return None;
                }
                // One with mistakes of its own is missing; those are told where they are.
                let probe = probes.iter().find(|p| *p.id.name == *wanted)?;
                if !kind.probes.contains(&probe.kind) {
                    let what =
                        format!("{wanted:?} is a probe of kind {:?}: {} cannot act on it", probe.kind, kind.name);
                    let right = format!("a probe of kind {}", kind.probes.join(" or "));
                    self.report.add(&node.span, &key, &what, &right);
                    return None;
                }
                Some(probe)
            }
        };
        if self.report.keys().any(|k| k == key || k.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))) {
            return None;
        }
        let own = step.entries().iter().filter(|e| !COMMON_STEP.contains(&e.key.as_str()));
        let options = Value::Object(own.map(|e| (e.key.clone(), e.node.json())).collect());
        let context = StepContext { runbook, sites: &plan.sites, home: &plan.home, probe, probes, on: on.as_ref() };
        match (kind.read)(&context, &options) {
            Ok(traits) => {
                self.step_secrets(plan, key, step, &traits);
                let words = |n: &str| step.get(n).and_then(Node::text).map(SafeText::new);
                let StepTraits { role, danger, retry, verified, touches, .. } = traits;
                let step = StepPlan {
                    name: words("step").unwrap_or_default(),
                    kind: kind.name.to_owned(),
                    probe: probe.map(|p| p.id.name.to_string()),
                    on,
                    options,
                    role,
                    danger,
                    retry,
                    verified,
                    expect,
                    deadline: deadline.unwrap_or(traits.deadline),
                    group: step.get("group").and_then(Node::text).map(str::to_owned),
                    because: words("because"),
                };
                Some((step, touches))
            }
            Err(faults) => {
                for Fault { path, what, right } in faults {
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    let (span, key) = locate(step, key, &path);
                    if !self.report.has(&key) {
                        self.report.add(span, &key, &what, &right);
                    }
                }
                None
            }
        }
    }

    fn step_secrets(&mut self, plan: &PlanContext<'s>, key: &str, step: &Node, traits: &StepTraits) {
        for (path, secret) in &traits.secrets {
            let path: Vec<&str> = path.split('.').collect();
            let (span, key) = locate(step, key, &path);
            let place = self.report.lines.place(span);
            let probe = ProbeId::new(&plan.id, step.get("step").and_then(Node::text).unwrap_or("?"));
            self.secrets.push(Secret { probe, key, secret: secret.clone(), place });
        }
    }

    fn on(&mut self, plan: &PlanContext<'s>, key: &str, step: &'s Node) -> Option<On> {
        let node = step.get("on")?;
        match node.text()? {
            "old-active" => Some(On::OldActive),
            "new-active" => Some(On::NewActive),
            site if plan.sites.iter().any(|s| s.as_str() == site) => Some(On::Site(SiteId::new(site))),
            other => {
                let known = ["old-active", "new-active"].into_iter().chain(plan.sites.iter().map(SiteId::as_str));
                let right = named(other, known.collect::<Vec<_>>().into_iter());
                self.report.add(&node.span, &below(key, "on"), &format!("the plan has no site {other:?}"), &right);
                None
            }
        }
    }

    fn span(&mut self, key: &str, step: &'s Node, name: &str) -> Option<Span> {
        let node = step.get(name)?;
        let span = span_of(Some(node))?;
        if span.0.is_zero() || span > LONGEST {
            let shown = if span.0.is_zero() { "0s".to_owned() } else { span.to_string() };
            let what = format!("{shown} is out of range");
            self.report.add(&node.span, &below(key, name), &what, "above 0 and at most 1d");
            return None;
        }
        Some(span)
    }

    /// What is wrong with the steps together.
    fn judge(
        &mut self,
        list: &str,
        nodes: &'s [Node],
        runbook: &Runbook,
        touches: &[Vec<SafeText>],
        plan: &PlanContext<'s>,
        probes: &[ProbeDecl],
    ) {
        let own = validate::OfPlan {
            addresses: probes.iter().flat_map(|p| &p.lanes).map(|l: &LaneDecl| l.server.clone()).collect(),
            by_patroni: sites_of(probes, "patroni"),
            sites: &plan.sites,
            home: &plan.home,
        };
        for fault in validate::validate(runbook, touches, &own) {
            let Some(node) = nodes.get(fault.step.place()) else { continue };
            let key = item(list, fault.step.place(), node);
            let (span, key) = match fault.key {
                Some(name) => locate(node, &key, &[name]),
                None => (&node.span, key),
            };
            if !self.report.has(&key) {
                self.report.add(span, &key, &fault.what, &fault.right);
            }
        }
    }

    /// A run is pinned to its plan in the journal, and a journal holds no secret.
    fn no_passwords(&mut self, key: &str, node: &Node) {
        match &node.kind {
            Kind::String(text) if holds_password(text) => {
                let what = "holds a password, and a plan with runbooks is written into the journal of each run";
                let right = "password = { env = \"NAME\" }, { file = \"...\" } or { command = [...] }, or ~/.pgpass";
                if !self.report.has(key) {
                    self.report.add(&node.span, key, what, right);
                }
            }
            Kind::Array(items) => {
                for (i, node) in items.iter().enumerate() {
                    self.no_passwords(&item(key, i, node), node);
                }
            }
            Kind::Table(entries) => {
                for entry in entries {
                    self.no_passwords(&below(key, &entry.key), &entry.node);
                }
            }
            Kind::String(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Boolean(_) | Kind::Datetime(_) => {}
        }
    }
}

/// Whether a text is a connection string with a password in it: `scheme://user:secret@host`, or `password=secret`.
fn holds_password(text: &str) -> bool {
    let in_url = text.split_once("://").is_some_and(|(scheme, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
            && user.and_then(|u| u.split_once(':')).is_some_and(|(_, secret)| !secret.is_empty())
    });
    let words = text.split(|c: char| c.is_whitespace() || c == '?' || c == '&');
    let in_words = words
        .filter_map(|w| w.split_once('='))
        .any(|(name, secret)| name.eq_ignore_ascii_case("password") && !secret.is_empty());
    in_url || in_words
}

/// The sites that probes of this kind look at.
fn sites_of(probes: &[ProbeDecl], kind: &str) -> Vec<SiteId> {
    let lanes = probes.iter().filter(|p| p.kind == kind).flat_map(|p| &p.lanes);
    lanes.filter_map(|l| l.subject.site.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_seen_wherever_libpq_takes_them() {
        for text in [
            "postgres://lifeboat:hunter2@db.east/orders",
            "host=db password=hunter2 dbname=x",
            "postgres://lifeboat@db/orders?sslmode=require&password=hunter2",
        ] {
            assert!(holds_password(text), "{text}");
        }
        for text in [
            "postgres://lifeboat@db.east:5432/orders",
            "http://[2001:db8::1]:8008",
            "runbook: see https://wiki/x@y",
            "password of the vault",
            "password=",
        ] {
            assert!(!holds_password(text), "{text}");
        }
    }
}
