//! A `sql-check`: one query, and what it gives.

use std::sync::Arc;
use std::time::Duration;

use super::{Asked, Kept, ServerLane, What, in_transaction, outcome};
use crate::net::Net;
use crate::plan::{LaneDecl, Plan, ProbeDecl};
use crate::readiness::{Gap, Reason};
use crate::systems::postgres::options::check::SqlCheckOptions;
use crate::systems::postgres::parse;
use crate::systems::postgres::queries::check;
use crate::systems::{Lane, Look};

/// Opens the lanes of a `sql-check`, in the order of its declaration.
pub(in crate::systems::postgres) fn open(_: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    let Some(options) = probe.options::<SqlCheckOptions>() else { return Vec::new() };
    let lane = |decl: &LaneDecl| -> Box<dyn Lane> {
        let site = decl.subject.site.as_ref().map_or("", |s| s.as_str());
        let what = What::Check(check(&options.query));
        Box::new(ServerLane::new(net, decl, options.at.get(site), options.password.as_ref(), what, probe.timeout.0))
    };
    probe.lanes.iter().map(lane).collect()
}

pub(super) async fn ask(kept: &mut Kept, timeout: Duration, query: &str) -> Result<Asked, Gap> {
    let (message, before) = in_transaction([query], timeout.mul_f64(0.9), kept.connection.settings_taken);
    let asked = crate::clock::now();
    let mut told = kept.connection.tell(&message).await?;
    let failed = outcome(&told)?.map(|(_, gap)| gap);
    let missing = || failed.clone().unwrap_or_else(|| Gap::new(Reason::Malformed, "fewer answers than questions"));
    let table = told.tables.drain(..).nth(before);
    let observed = parse::check::check(table.as_ref().ok_or_else(missing));
    Ok(Asked { look: Look { asked: Some(asked), observed }, recovery: None, good: failed.is_none() })
}
