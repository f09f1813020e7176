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
    use std::collections::HashMap;
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;
    use crate::plan::{
        Area, BootTime, Here, Key, Objectives, PlanId, ProbeId, SafeText, Site, Span, Strategy, Subject, Weight,
    };
    use crate::readiness::{Reading, Readings, Verdict};
    use crate::systems::ReadContext;
    use crate::systems::endpoint::read;
    use crate::systems::endpoint::signals::{SIGNALS, TOOK};

    fn now() -> Now {
        Now { wall: DateTime::from_timestamp(1_800_000_000, 0).unwrap(), boot: BootTime(Duration::from_secs(1_000)) }
    }

    /// What the rules say of a TLS endpoint in `west` that reads like this.
    fn judged(result: Value) -> Vec<(Verdict, String)> {
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "gate");
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(3));
        let (home, area) = (&sites[0], Area::Standby);
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
        let declared = read::tls(&ctx, serde_json::json!({ "at": { "west": "gate.example.com:443" } })).unwrap();
        let probe = ProbeDecl {
            id: id.clone(),
            kind: "tls",
            area,
            weight: Weight::Full,
            interval: interval.into(),
            timeout: timeout.into(),
            options: declared.options,
            lanes: declared.lanes,
        };
        let lane = probe.lane_id(&probe.lanes[0]);
        let plan = Plan {
            id: PlanId::new("shop"),
            tier: 1,
            strategy: Strategy::WarmStandby,
            objectives,
            sites: sites.iter().map(|s| Site { id: s.clone(), what: SafeText::default() }).collect(),
            home: home.clone(),
            here: Here::Elsewhere,
            requires: vec![area],
            probes: vec![probe],
            contacts: vec![],
            losses: vec![],
            confirms: vec![],
            copies: Default::default(),
            runbooks: Vec::new(),
            lost_with: Vec::new(),
            practice: None,
        };
        let mut readings = Readings::default();
        let of = |signal, value| {
            let key = Key { probe: id.clone(), subject: Subject::site(sites[1].clone()), signal };
            Reading { key, value: Ok(value), asked: now(), answered: now(), as_of: None }
        };
        assert_eq!(SIGNALS.len(), 2);
        readings.take(&lane, now(), vec![of(RESULT, result), of(TOOK, Value::Span(Span::millis(3)))]);
        let clocks = HashMap::new();
        let boot = SafeText::default();
        let facts = Facts {
            plan: &plan,
            readings: &readings,
            clocks: &clocks,
            last_active: None,
            boot: &boot,
            watching: false,
            rehearsed: &[],
        };
        let all = RULES.iter().flat_map(|r| r.applies(&plan).into_iter().map(move |about| (r, about)));
        let found: Vec<Finding> = all.flat_map(|(rule, about)| rule.judge(&facts, &about, now())).collect();
        for f in &found {
            assert!(f.verdict == Verdict::Ready || f.next.is_some(), "what to do is always said: {f:?}");
        }
        found.into_iter().map(|f| (f.verdict, f.code.into_owned())).collect()
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
