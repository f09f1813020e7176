//! From a tree without mistakes to plans.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize as _;

use crate::plan::{Contact, Here, Loss, Plan, PlanId, ProbeDecl, ProbeId, SafeText, Site, SiteId};

use super::meaning::{ELSEWHERE, INTERVAL, Meaning, Probe, TIMEOUT};
use super::options::{ContactTable, Defaults, File, PlanTable, ProbeTable};
use super::tree::Node;
use super::{Config, Source};

/// Builds the plans. An error means that the schema and the types disagree: a fault of the program, not of the file.
pub(super) fn build(root: &Node, meaning: Meaning, source: Source) -> Result<Config, String> {
    let file = File::deserialize(root.json()).map_err(|e| format!("passed the schema, but: {e}"))?;
    let here = match file.here {
        None => Here::Unsaid,
        Some(name) if name.0 == ELSEWHERE => Here::Elsewhere,
        Some(name) => Here::Site(SiteId::new(&name.0)),
    };
    if file.plan.len() != meaning.plans.len() {
        return Err("not every plan was read".to_owned());
    }
    let plans =
        file.plan.into_iter().zip(meaning.plans).map(|(table, probes)| plan(table, probes, &file.defaults, &here));
    Ok(Config {
        plans: plans.collect::<Result<_, _>>()?,
        here,
        state: file.state.map(PathBuf::from),
        theme: file.theme.map(|t| t.0),
        secrets: meaning.secrets,
        sources: vec![source],
    })
}

fn plan(table: PlanTable, probes: Vec<Probe>, defaults: &Defaults, here: &Here) -> Result<Arc<Plan>, String> {
    let id = PlanId::new(&table.name.0);
    if table.probe.len() != probes.len() {
        return Err(format!("not every probe of {id} was read"));
    }
    let words = |v: &serde_json::Value| SafeText::new(v.as_str().unwrap_or_default());
    let sites: Vec<Site> =
        table.sites.iter().map(|(name, what)| Site { id: SiteId::new(name), what: words(what) }).collect();
    let here = match here {
        Here::Site(site) if !sites.iter().any(|s| s.id == *site) => Here::Elsewhere,
        Here::Site(_) | Here::Elsewhere | Here::Unsaid => here.clone(),
    };
    let decl = |(table, probe): (ProbeTable, Probe)| {
        if table.kind != probe.kind.name {
            return Err(format!("probe {} of {id} was read as another kind", table.name.0));
        }
        Ok(ProbeDecl {
            id: ProbeId::new(&id, &table.name.0),
            kind: probe.kind.name,
            area: probe.kind.area,
            weight: table.weight,
            interval: table.interval.or(defaults.interval).unwrap_or(INTERVAL),
            timeout: table.timeout.or(defaults.timeout).unwrap_or(TIMEOUT),
            options: probe.declared.options,
            lanes: probe.declared.lanes,
        })
    };
    let probes = table.probe.into_iter().zip(probes).map(decl).collect::<Result<_, _>>()?;
    let contact = |c: ContactTable| Contact { role: c.role.0, reach: c.reach.0, after: c.after };
    Ok(Arc::new(Plan {
        tier: table.tier,
        strategy: table.strategy,
        objectives: table.objectives,
        sites,
        home: SiteId::new(&table.home.0),
        here,
        requires: table.requires.unwrap_or_else(|| table.strategy.requires().to_vec()),
        probes,
        contacts: table.contact.into_iter().map(contact).collect(),
        losses: table.loss.into_iter().map(|l| Loss { what: l.what.0, why: l.why.0 }).collect(),
        id,
    }))
}
