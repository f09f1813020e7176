//! What is no mistake and will disappoint: warnings of `config check`.

use crate::plan::{Area, Plan, Weight};

use super::check::{below, item};
use super::problem::{Problem, Report};
use super::tree::{Kind, Node};

/// Every warning about these plans, which were read from `root`, in the order of the file.
pub(super) fn warnings<'p>(root: &Node, plans: impl Iterator<Item = &'p Plan>, mut report: Report<'_>) -> Vec<Problem> {
    let tables = root.get("plan").map_or(&[][..], Node::items);
    for (i, (table, plan)) in tables.iter().zip(plans).enumerate() {
        of_plan(&item("plan", i, table), table, plan, &mut report);
    }
    report.done().err().map(|p| p.0).unwrap_or_default()
}

fn of_plan(key: &str, table: &Node, plan: &Plan, report: &mut Report<'_>) {
    if plan.probes.is_empty() {
        let right = "add a [[plan.probe]] for each of these areas: ";
        let right = format!("{right}{}", plan.requires.iter().map(|a| a.name()).collect::<Vec<_>>().join(", "));
        return report.add(&table.span, key, "no probe looks at this plan: it will always be unknown", &right);
    }
    for area in &plan.requires {
        if let Some((what, right)) = unprobed(plan, *area) {
            let at = table.get("requires").or(table.get("strategy")).unwrap_or(table);
            report.add(&at.span, key, &what, &right);
        }
    }
    let probes = table.get("probe").map_or(&[][..], Node::items);
    for entry in table.get("sites").map_or(&[][..], Node::entries) {
        if !probes.iter().any(|p| mentions(p, &entry.key)) {
            let what = format!("no probe looks at anything in {}", entry.key);
            let key = below(&below(key, "sites"), &entry.key);
            report.add(&entry.key_span, &key, &what, "name what is there in a probe, or take the site out");
        }
    }
}

/// What is wrong and right where a required area has no probe that counts.
fn unprobed(plan: &Plan, area: Area) -> Option<(String, String)> {
    let of: Vec<_> = plan.probes.iter().filter(|p| p.area == area).collect();
    if of.iter().any(|p| p.weight == Weight::Full) {
        return None;
    }
    let what = if of.is_empty() {
        format!("{area} is required and has no probe: the plan will always be unknown")
    } else {
        format!("{area} is required and has probes of weight advice alone: the plan will always be unknown")
    };
    Some((what, format!("add a probe for {area}, or list what the plan requires: requires = [...]")))
}

/// Whether a probe names a site: as a key, as in `at`, or as a value, as in `site`.
fn mentions(node: &Node, site: &str) -> bool {
    match &node.kind {
        Kind::String(text) => text == site,
        Kind::Array(items) => items.iter().any(|n| mentions(n, site)),
        Kind::Table(entries) => entries.iter().any(|e| e.key == site || mentions(&e.node, site)),
        Kind::Integer(_) | Kind::Float(_) | Kind::Boolean(_) | Kind::Datetime(_) => false,
    }
}
