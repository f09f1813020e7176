//! From the options of a `barman` probe to its lane, or to everything that is wrong with them.

use std::sync::Arc;

use super::options::{Barman, BarmanOptions};
use super::signals;
use crate::plan::{LaneDecl, SiteId, Subject};
use crate::systems::{Declared, Fault, ReadContext};

/// Reads the options of one probe.
///
/// # Errors
/// Every fault of meaning.
pub(super) fn read(context: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let options: BarmanOptions = serde_json::from_value(value)
        .map_err(|e| vec![Fault::new(&[], &e.to_string(), "the keys of a barman probe")])?;
    let mut program = options.program(&[]);
    program.argv.clone_from(&options.argv);
    let mut faults = Fault::of_program(&program);
    let server = &options.server;
    if server.is_empty() || server.starts_with('-') || server == "all" || server.contains(['/', '\0', '\n']) {
        let right = "the name in brackets in Barman's configuration";
        faults.push(Fault::new(&["server"], &format!("{server:?} is no server"), right));
    }
    for (key, limit) in [("max_age", options.max_age), ("max_wal_age", options.max_wal_age)] {
        if limit.0.is_zero() {
            faults.push(Fault::new(&[key], "0s is out of range", "nothing is that fresh"));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let lane = LaneDecl {
        subject: Subject { site: options.site.as_deref().map(SiteId::new), part: Some(server.as_str().into()) },
        server: options.shown(),
        expects: signals::SIGNALS.iter().map(|s| s.id.clone()).collect(),
    };
    let secrets = program.secrets();
    let options = Barman::new(options, context.home);
    Ok(Declared { options: Arc::new(options), lanes: vec![lane], secrets })
}
