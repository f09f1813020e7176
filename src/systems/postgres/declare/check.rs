//! From the options of a `sql-check` probe to its lanes, or to everything that is wrong with them.

use std::sync::Arc;

use super::{fault, one_query, site_lanes, sites_of};
use crate::systems::postgres::options::check::{Expected, SqlCheckOptions};
use crate::systems::postgres::signals::check::SIGNALS;
use crate::systems::{Declared, Fault, ReadContext};

/// Reads the options of one probe.
///
/// # Errors
/// Every fault of meaning.
pub(in crate::systems::postgres) fn read(
    context: &ReadContext<'_>,
    value: serde_json::Value,
) -> Result<Declared, Vec<Fault>> {
    let options: SqlCheckOptions =
        serde_json::from_value(value).map_err(|e| vec![fault(&[], e.to_string(), "the keys of a sql-check probe")])?;
    let mut faults = Vec::new();
    let expects = SIGNALS.iter().map(|s| s.id.clone()).collect();
    let lanes = site_lanes(context, &options.at, expects, &mut faults);
    sites_of(context, "at", options.at.keys(), &mut faults);
    if options.at.is_empty() {
        faults.push(fault(&["at"], "no server", "at = { site = \"postgres://...\" }"));
    }
    if let Err(what) = one_query(&options.query) {
        faults.push(fault(&["query"], what, "one SELECT that gives one row of one column"));
    }
    if options.expect.is_none() && options.at.len() == 1 {
        faults.push(fault(
            &["expect"],
            "nothing to hold the value against",
            "expect = ..., or a server of each of two sites to compare",
        ));
    }
    match (options.tolerance, &options.expect) {
        (Some(t), _) if !t.is_finite() || t < 0.0 => {
            faults.push(fault(&["tolerance"], "no distance", "a number of at least 0"));
        }
        (Some(_), Some(Expected::Text(_) | Expected::Bool(_))) => {
            faults.push(fault(&["tolerance"], "only numbers are near each other", "leave it out"));
        }
        (Some(_) | None, _) => {}
    }
    if let Some(Expected::Fraction(n)) = options.expect
        && !n.is_finite()
    {
        faults.push(fault(&["expect"], "no number", "a finite number"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let secrets = options.password.iter().map(|s| ("password".to_owned(), s.clone())).collect();
    Ok(Declared { options: Arc::new(options), lanes, secrets })
}
