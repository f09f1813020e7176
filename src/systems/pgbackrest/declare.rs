//! From the options of a `pgbackrest` probe to its lane, or to everything that is wrong with them.

use std::sync::Arc;

use super::options::{Pgbackrest, PgbackrestOptions};
use super::signals;
use crate::plan::{LaneDecl, SiteId, Subject};
use crate::systems::{Declared, Fault, ReadContext};

/// Reads the options of one probe.
///
/// # Errors
/// Every fault of meaning.
pub(super) fn read(context: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let options: PgbackrestOptions = serde_json::from_value(value)
        .map_err(|e| vec![Fault::new(&[], &e.to_string(), "the keys of a pgbackrest probe")])?;
    let mut program = options.program(&[]);
    program.argv.clone_from(&options.argv);
    let mut faults = Fault::of_program(&program);
    let stanza = &options.stanza;
    if stanza.is_empty() || stanza.starts_with('-') || stanza.contains(['/', '\0', '\n']) {
        faults.push(Fault::new(
            &["stanza"],
            &format!("{stanza:?} is no stanza"),
            "the name in brackets in its configuration",
        ));
    }
    for (key, table) in &options.repos {
        if !key.parse::<u16>().is_ok_and(|n| (1..=256).contains(&n) && n.to_string() == *key) {
            let right = "the number in repo1-path: 1 to 256";
            faults.push(Fault::new(&["repos", key], &format!("{key:?} is no repository's number"), right));
        }
        if let Some(site) = table.site.as_deref().filter(|s| !context.sites.iter().any(|known| known.as_str() == *s)) {
            let known: Vec<&str> = context.sites.iter().map(SiteId::as_str).collect();
            let what = format!("the plan has no site {site:?}");
            faults.push(Fault::new(&["repos", key, "site"], &what, &known.join(", ")));
        }
    }
    let limits = [
        ("max_age", Some(options.max_age)),
        ("max_full_age", Some(options.max_full_age)),
        ("max_wal_age", options.max_wal_age),
    ];
    for (key, limit) in limits {
        if limit.is_some_and(|l| l.0.is_zero()) {
            faults.push(Fault::new(&[key], "0s is out of range", "nothing is that fresh"));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let lane = LaneDecl {
        subject: options.site.as_deref().map_or_else(Subject::whole, |s| Subject::site(SiteId::new(s))),
        server: options.shown(),
        expects: signals::SIGNALS.iter().map(|s| s.id.clone()).collect(),
    };
    let secrets = program.secrets();
    let options = Pgbackrest::new(options, context.home);
    Ok(Declared { options: Arc::new(options), lanes: vec![lane], secrets })
}
