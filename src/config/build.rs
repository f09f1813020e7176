//! From a tree without mistakes to plans.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize as _;

use crate::plan::{
    Area, Confirm, Contact, Copies, CopyPlace, DeclaredCopy, Here, Loss, Plan, PlanId, Practice, ProbeDecl, SafeText,
    Site, SiteId,
};

use crate::runbook::RunbookKind;

use super::meaning::{ELSEWHERE, Meaning};
use super::options::{ConfirmTable, ContactTable, CopyTable, File, PlanTable};
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
    let practice = file.practice.map(|p| Practice::read(&p.own)).transpose();
    let practice = practice.map_err(|_| "a practice world's addresses were not looked at".to_owned())?.map(Arc::new);
    let mut runbooks = BTreeMap::new();
    let mut plans = Vec::new();
    for (table, read) in file.plan.into_iter().zip(meaning.plans) {
        let looked_through = [RunbookKind::Failover, RunbookKind::Switchover];
        let books = looked_through.iter().filter(|k| read.runbooks.get(**k).is_some());
        let books = books.map(|k| SafeText::new(k.word())).collect();
        let built = plan(table, read.probes, books, &here, practice.clone())?;
        if !read.runbooks.by_kind.is_empty() {
            runbooks.insert(built.id.clone(), Arc::new(read.runbooks));
        }
        plans.push(built);
    }
    Ok(Config {
        plans,
        runbooks,
        here,
        state: file.state.map(PathBuf::from),
        practice: practice.is_some(),
        theme: None,
        mouse: file.mouse,
        secrets: meaning.secrets,
        warnings: Vec::new(),
        sources: vec![source],
    })
}

fn plan(
    table: PlanTable,
    probes: Vec<ProbeDecl>,
    runbooks: Vec<SafeText>,
    here: &Here,
    practice: Option<Arc<Practice>>,
) -> Result<Arc<Plan>, String> {
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
    if table.probe.iter().zip(&probes).any(|(t, p)| t.kind != p.kind || *t.name.0 != *p.id.name) {
        return Err(format!("a probe of {id} was read as another one"));
    }
    let contact = |c: ContactTable| Contact { role: c.role.0, reach: c.reach.0, after: c.after };
    let requires = table.requires.unwrap_or_else(|| table.strategy.requires().to_vec());
    let home = SiteId::new(&table.home.0);
    // What people make sure of is mostly that the other site could take over.
    let standby = requires.contains(&Area::Standby) || probes.iter().any(|p| p.area == Area::Standby);
    let usual = if standby { Area::Standby } else { requires.first().copied().unwrap_or(Area::Standby) };
    let confirm = |c: ConfirmTable| Confirm {
        what: c.what.0,
        area: c.area.unwrap_or(usual),
        on: c.on,
        by: c.by.0,
        lasts: c.lasts,
    };
    let copy = |c: CopyTable| DeclaredCopy {
        what: c.what.0,
        place: CopyPlace::new(c.medium, c.site.map(|s| SiteId::new(&s.0)).as_ref(), c.offsite, &home),
        on: c.on,
        by: c.by.map(|b| b.0),
        lasts: c.lasts,
    };
    let copies = Copies { rule: table.copies, declared: table.copy.into_iter().map(copy).collect() };
    Ok(Arc::new(Plan {
        tier: table.tier,
        strategy: table.strategy,
        objectives: table.objectives,
        sites,
        home,
        here,
        requires,
        probes,
        contacts: table.contact.into_iter().map(contact).collect(),
        confirms: table.confirm.into_iter().map(confirm).collect(),
        copies,
        runbooks,
        practice,
        lost_with: table
            .lost_with
            .into_iter()
            .flat_map(|(site, servers)| servers.into_iter().map(move |s| (SiteId::new(&site), s.0)))
            .collect(),
        losses: table.loss.into_iter().map(|l| Loss { what: l.what.0, why: l.why.0 }).collect(),
        id,
    }))
}
