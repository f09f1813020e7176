//! What the readings of endpoints mean.

use crate::plan::{LaneDecl, Now, Plan, ProbeDecl, RuleId, SiteId};
use crate::readiness::{About, Facts, Finding, Row, Rule, Value, Verdict};
use crate::systems::endpoint::options::Endpoint;
use crate::systems::endpoint::signals::RESULT;

mod answers;
mod certificate;

/// Every rule.
pub static RULES: &[&dyn Rule] = &[&answers::Answers, &certificate::Certificate];

/// One endpoint of one site, with what was read of it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    facts: &'a Facts<'a>,
    probe: &'a ProbeDecl,
    options: &'a Endpoint,
    lane: &'a LaneDecl,
    site: &'a SiteId,
    /// The one row; `None` where what was read is no such thing.
    row: Option<&'a Row>,
    at: Now,
    now: Now,
}

fn endpoints(plan: &Plan) -> Vec<About> {
    let probes = plan.probes.iter().filter(|p| p.options::<Endpoint>().is_some());
    let lanes = probes.flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
    lanes.map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() }).collect()
}

impl<'a> Asked<'a> {
    fn of(facts: &'a Facts<'a>, about: &About, now: Now) -> Option<Self> {
        let probe = facts.plan.probe(about.probe.as_ref()?)?;
        let lane = probe.lanes.iter().find(|l| l.subject == about.subject)?;
        let (value, reading) = facts.value(probe, &lane.subject, &RESULT, now)?;
        let row = match value {
            Value::Rows(rows) => rows.first().filter(|_| rows.len() == 1),
            Value::NotApplicable
            | Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Number(_)
            | Value::Text(_)
            | Value::Bytes(_)
            | Value::Span(_)
            | Value::Lsn(_)
            | Value::Time(_) => None,
        };
        let options = probe.options::<Endpoint>()?;
        Some(Self { facts, probe, options, lane, site: lane.subject.site.as_ref()?, row, at: reading.asked, now })
    }

    /// What it is called: the probe's name and the server.
    fn what(self) -> String {
        format!("{} in {} ({})", self.probe.id.name, self.site, self.lane.server)
    }

    fn finding(self, rule: RuleId, verdict: Verdict, code: &'static str, sentence: &str) -> Finding {
        Finding::new(rule, self.probe.area, self.lane.subject.clone(), verdict, code, sentence).of(&self.probe.id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::{Area, SiteId, Span, Subject};
    use crate::readiness::Verdict;
    use crate::systems::bench::{Bench, now};
    use crate::systems::endpoint::signals::{SIGNALS, TOOK};

    /// What the rules say of a TLS endpoint in `west` that reads like this.
    fn judged(result: Value) -> Vec<(Verdict, String)> {
        let options = serde_json::json!({ "at": { "west": "gate.example.com:443" } });
        let west = || Subject::site(SiteId::new("west"));
        assert_eq!(SIGNALS.len(), 2);
        let bench = Bench::of("tls", Area::Standby, options).unwrap();
        let bench = bench.read(west(), &RESULT, Ok(result)).read(west(), &TOOK, Ok(Value::Span(Span::millis(3))));
        bench.findings(RULES).into_iter().map(|f| (f.verdict, f.code.into_owned())).collect()
    }

    fn good() -> Row {
        Row::default()
            .with("outcome", Value::text("ok"))
            .with("detail", Value::text("signed by CN=lab"))
            .with("status", Value::Null)
            .with("subject", Value::text("gate"))
            .with("issuer", Value::text("CN=lab"))
            .with("not_after", Value::Time(now().wall + Duration::from_secs(90 * 86_400)))
    }

    #[test]
    fn nothing_that_makes_no_sense_is_ready() {
        let bad = |value: Value| {
            let found = judged(value.clone());
            assert!(found.iter().any(|(v, _)| *v != Verdict::Ready), "{value:?}: {found:?}");
        };
        assert!(judged(Value::Rows(vec![good()])).iter().all(|(v, _)| *v == Verdict::Ready));
        for odd in [Value::Null, Value::Bool(true), Value::Rows(vec![]), Value::Rows(vec![good(), good()])] {
            bad(odd);
        }
        for column in ["outcome", "detail", "not_after"] {
            bad(Value::Rows(vec![good().with(column, Value::Null)]));
            let mut without = good();
            without.remove(column);
            bad(Value::Rows(vec![without]));
            bad(Value::Rows(vec![good().with(column, Value::Int(1))]));
        }
        bad(Value::Rows(vec![good().with("outcome", Value::text("splendid"))]));
        let past = Value::Time(now().wall - Duration::from_secs(1));
        assert!(
            judged(Value::Rows(vec![good().with("not_after", past)]))
                .contains(&(Verdict::NotReady, "certificate-expired".to_owned()))
        );
    }
}
