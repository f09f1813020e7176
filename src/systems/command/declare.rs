//! From the options of a `command` probe to its lane, or to everything that is wrong with them.

use std::sync::Arc;

use super::options::{CommandOptions, Format};
use super::signals;
use crate::plan::{LaneDecl, SafeText, SiteId, Subject};
use crate::systems::{Declared, Fault, ReadContext};

/// Reads the options of one probe.
///
/// # Errors
/// Every fault of meaning.
pub(super) fn read(_: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let options: CommandOptions = serde_json::from_value(value)
        .map_err(|e| vec![Fault::new(&[], &e.to_string(), "the keys of a command probe")])?;
    let program = options.program();
    let mut faults = Fault::of_program(&program);
    if options.max_age.is_some_and(|age| age.0.is_zero()) {
        faults.push(Fault::new(&["max_age"], "0s is out of range", "nothing is that fresh"));
    }
    if options.max_age.is_some() && options.format == Format::Nagios {
        let what = "a plugin of Nagios does not say when what it says was true";
        faults.push(Fault::new(&["max_age"], what, "leave it out, or format = \"json\""));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let lane = LaneDecl {
        subject: options.site.as_deref().map_or_else(Subject::whole, |s| Subject::site(SiteId::new(s))),
        server: SafeText::new(&program.shown()),
        expects: signals::SIGNALS.iter().map(|s| s.id.clone()).collect(),
    };
    let secrets = program.secrets();
    Ok(Declared { options: Arc::new(options), lanes: vec![lane], secrets })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::plan::{Area, Objectives, PlanId, ProbeId, Span};

    fn told(value: serde_json::Value) -> Vec<String> {
        let id = ProbeId::new(&PlanId::new("shop"), "x");
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let (interval, timeout) = (Duration::from_secs(30), Duration::from_secs(15));
        let home = &sites[0];
        let area = Area::Standby;
        let ctx = ReadContext {
            id: &id,
            strategy: crate::plan::Strategy::WarmStandby,
            sites: &sites,
            home,
            objectives: &objectives,
            area,
            interval,
            timeout,
        };
        match read(&ctx, value) {
            Ok(declared) => {
                let lane = &declared.lanes[0];
                let secrets = declared.secrets.iter().map(|(k, s)| format!("; {k}: {s}")).collect::<String>();
                vec![format!("{}: {}{secrets}", lane.subject, lane.server)]
            }
            Err(faults) => faults.iter().map(|f| format!("{}: {}", f.path.join("."), f.what)).collect(),
        }
    }

    #[test]
    fn a_lane_or_every_fault() {
        assert_eq!(told(json!({ "argv": ["/opt/check_x", "-v"] })), ["plan: check_x here"]);
        let far = json!({ "argv": ["check"], "site": "west", "ssh": { "host": "ops@mq", "port": 22 }, "format": "json", "max_age": "1h" });
        assert_eq!(told(far), ["west: check on ops@mq"]);
        let secret = json!({ "argv": ["check"], "environment": { "A": "b", "TOKEN": { "env": "T" } } });
        assert_eq!(told(secret), ["plan: check here; environment.TOKEN: environment variable T"]);
        assert_eq!(told(json!({ "argv": [] })), ["argv: names no program"]);
        assert_eq!(told(json!({ "argv": ["a", "b\0"] })), ["argv: holds a NUL"]);
        let wrong = json!({ "argv": ["./x"], "environment": { "A B": "c" }, "max_age": "1h",
                            "ssh": { "host": "-oProxyCommand=x", "identity": "key", "config": "/c" } });
        assert_eq!(
            told(wrong),
            [
                "argv: \"./x\" is neither an absolute path nor a bare name",
                "environment.A B: \"A B\" is no name for an environment variable",
                "environment: an environment does not cross ssh",
                "ssh: \"-oProxyCommand=x\" is no host",
                "ssh.identity: \"key\" is not an absolute path",
                "max_age: a plugin of Nagios does not say when what it says was true",
            ]
        );
    }
}
