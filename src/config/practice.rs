//! What a practice configuration may name: its own world's addresses, and nothing else. A real configuration with the mark of
//! practice is refused, place by place: its runs would look as if nothing could happen.

use std::ops::Range;

use crate::plan::{Practice, servers_in};

use super::check::{below, item};
use super::problem::Report;
use super::tree::{Kind, Node};

/// Keys under which programs are named, or hosts to run them on, or what is not this configuration's own.
const OUTSIDE: [&str; 12] = [
    "argv",
    "command",
    "stop",
    "start",
    "rewind",
    "basebackup",
    "ssh",
    "service",
    "env",
    "docker_config",
    "images_from",
    "decode",
];
/// Keys under which servers stand, with or without a scheme before them.
const SERVERS: [&str; 5] = ["at", "server", "servers", "resolvers", "answers"];
/// Probes whose servers are found outside of the configuration where it names none.
const MUST_NAME: [(&str, &[&str]); 1] = [("dns", &["resolvers", "servers"])];

/// What is right of every address.
const RIGHT: &str = "only `lifeboat demo` writes practice configurations: take `practice` out of any other";

/// Holds a whole file with `practice` in it against the addresses that are the practice world's own.
pub(super) fn judge(root: &Node, practice: &Node, report: &mut Report<'_>) {
    let own = practice.get("own").map_or(&[][..], Node::items);
    let texts: Vec<String> = own.iter().map(|n| n.text().unwrap_or_default().to_owned()).collect();
    let world = match Practice::read(&texts) {
        Ok(world) => world,
        Err(faults) => {
            for (at, fault) in faults {
                let span = own.get(at).map_or(&practice.span, |n| &n.span);
                report.add(span, &format!("practice.own[#{}]", at + 1), &fault.to_string(), RIGHT);
            }
            return;
        }
    };
    if root.get("state").is_none() {
        report.add(&practice.span, "practice", "practice without a state directory of its own", "add `state = ...`");
    }
    let mut judge = Judge { world: &world, report };
    for (at, plan) in root.get("plan").map_or(&[][..], Node::items).iter().enumerate() {
        let key = item("plan", at, plan);
        judge.walk(&key, plan, false);
        for (i, probe) in plan.get("probe").map_or(&[][..], Node::items).iter().enumerate() {
            judge.unnamed(&item(&below(&key, "probe"), i, probe), probe);
        }
    }
}

struct Judge<'a, 'r, 't> {
    world: &'a Practice,
    report: &'r mut Report<'t>,
}

impl Judge<'_, '_, '_> {
    fn strange(&mut self, span: &Range<usize>, key: &str, what: &str) {
        if !self.report.has(key) {
            self.report.add(span, key, &format!("{what} is not of the practice world"), RIGHT);
        }
    }

    /// Looks at everything below a node: programs, and whatever names a server. `servers` says that its texts do.
    fn walk(&mut self, key: &str, node: &Node, servers: bool) {
        match &node.kind {
            Kind::String(text) if servers || text.contains("://") => self.servers(&node.span, key, text),
            Kind::Array(items) => {
                for (i, one) in items.iter().enumerate() {
                    self.walk(&item(key, i, one), one, servers);
                }
            }
            Kind::Table(entries) => {
                for entry in entries {
                    let key = below(key, &entry.key);
                    if OUTSIDE.contains(&entry.key.as_str()) {
                        self.strange(&entry.key_span, &key, &format!("`{}`", entry.key));
                    } else {
                        self.walk(&key, &entry.node, servers || SERVERS.contains(&entry.key.as_str()));
                    }
                }
            }
            Kind::String(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Boolean(_) | Kind::Datetime(_) => {}
        }
    }

    fn servers(&mut self, span: &Range<usize>, key: &str, text: &str) {
        let strange = servers_in(text).into_iter().find(|(host, port)| !self.world.owns(host, *port));
        if let Some((host, _)) = strange {
            self.strange(span, key, &format!("{host:?} in {text:?}"));
        }
    }

    /// Whom a probe would ask that the configuration does not name.
    fn unnamed(&mut self, key: &str, probe: &Node) {
        let kind = probe.get("kind").and_then(Node::text);
        for (_, keys) in MUST_NAME.iter().filter(|(of, _)| Some(*of) == kind) {
            for wanted in keys.iter().filter(|k| probe.get(k).is_none_or(|n| n.items().is_empty())) {
                self.strange(&probe.span, &below(key, wanted), &format!("whoever is asked without `{wanted}`"));
            }
        }
    }
}
