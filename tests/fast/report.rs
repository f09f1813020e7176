//! Reports, by their exact text.

use std::sync::Arc;

use lifeboat::app::Checked;
use lifeboat::plan::{Area, Now, Plan};
use lifeboat::readiness::{Gap, PlanStatus, Reason, Verdict};
use lifeboat::report::{self, PlanReport, Report, Style};
use unicode_width::UnicodeWidthStr;

use super::two_sites::{at, failed, model, plan, primary, standby};

/// All is well.
pub fn healthy(plan: &Arc<Plan>) -> PlanStatus {
    let mut model = model(std::slice::from_ref(plan), at(0));
    for seconds in [0, 5, 10] {
        model.polled(primary(plan, "east", at(seconds), 1_000 + seconds));
        model.polled(standby(plan, "west", at(seconds), 1_000 + seconds));
    }
    model.settle(at(11));
    model.status(&plan.id).unwrap().as_ref().clone()
}

/// The primary does not answer any more, and the standby lacks something.
pub fn in_trouble(plan: &Arc<Plan>) -> PlanStatus {
    let mut model = model(std::slice::from_ref(plan), at(0));
    let gone = Gap::new(Reason::TimedOut, "no answer within 3s");
    for seconds in (0..60).step_by(5) {
        model.polled(match seconds {
            0..20 => primary(plan, "east", at(seconds), 1_000_000 * (1 + seconds)),
            _ => failed(plan, "east", at(seconds), &gone),
        });
        model.polled(standby(plan, "west", at(seconds), 1_000_000 * (1 + seconds.min(10))));
        model.settle(at(seconds));
    }
    model.settle(at(62));
    model.status(&plan.id).unwrap().as_ref().clone()
}

fn of(now: Now, plans: Vec<PlanStatus>) -> Report {
    let plans = plans.into_iter().map(|status| PlanReport { status, before: None, timeline: Vec::new() }).collect();
    Report { at: now, machine: "bastion".into(), areas: Vec::new(), plans }
}

const TERMINAL: Style = Style { width: Some(80), colour: false, ascii: false, quiet: false };

#[test]
fn a_healthy_plan_on_80_columns() {
    let text = report::text(&of(at(11), vec![healthy(&plan("payments"))]), TERMINAL);
    insta::assert_snapshot!(text, @r"
    ● ready  payments  active: east  RPO now: <= 1s (goal 30s)  RTO now: ? (goal 5m)
      ● ready  payments/replication/orders-db west: the loss is bounded within the
          objective of 30s
      ● ready  payments/replication/orders-db east: db.east.example.com:5432: looked
          at
      ● ready  payments/replication/orders-db west: db.west.example.com:5432: looked
          at
    ");
}

#[test]
fn a_plan_in_trouble_leads_with_what_is_going_on() {
    let text = report::text(&of(at(62), vec![in_trouble(&plan("payments"))]), TERMINAL);
    insta::assert_snapshot!(text, @r"
    ? unknown  payments  active: east, not answering  RPO now: <= 52s, growing (goal
        30s)  RTO now: ? (goal 5m)
      situation: primary unreachable, last seen 47 s ago
      failover to west: unknown: orders-db: nothing proves that west could be
          promoted
      switchover to west: no: primary unreachable
      ? unknown  payments/replication east: the active database in east does not
          answer; it may still take writes -> find out from a second place whether
          it lives; the line failover says what could be started
      ? unknown  payments/replication/orders-db east: db.east.example.com:5432: no
          answer within 3s (7.0 s old) -> check from another machine whether
          db.east.example.com:5432 is alive; this network or that host
      ? unknown  payments/replication/orders-db west: the primary cannot be seen, so
          the loss can no longer be bounded within 30s (52 s old) -> find out
          whether the primary lives; the line failover says what could be started
      ● ready  payments/replication/orders-db west: db.west.example.com:5432: looked
          at (7.0 s old)
      would not survive: commits, at most the last 52s: at least 5.0 MB of log;
          about 52.0 MB at the last rate: orders-db: not proven to have reached west
      would not survive: scheduled events: kept in the primary site only (declared)
      call at once: database on-call, pager: db
      call after 15m: incident commander, +1 555 0100
    ");
    assert!(text.lines().all(|l| l.width() <= 80));
}

#[test]
fn elsewhere_each_finding_is_one_line_and_the_worst_plan_comes_first() {
    let report = of(at(62), vec![healthy(&plan("mail")), in_trouble(&plan("payments"))]);
    let text = report::text(&report, Style { ascii: true, ..Style::default() });
    insta::assert_snapshot!(text, @r"
    ? unknown  payments  active: east, not answering  RPO now: <= 52s, growing (goal 30s)  RTO now: ? (goal 5m)
      situation: primary unreachable, last seen 47 s ago
      failover to west: unknown: orders-db: nothing proves that west could be promoted
      switchover to west: no: primary unreachable
      ? unknown  payments/replication east: the active database in east does not answer; it may still take writes -> find out from a second place whether it lives; the line failover says what could be started
      ? unknown  payments/replication/orders-db east: db.east.example.com:5432: no answer within 3s (7.0 s old) -> check from another machine whether db.east.example.com:5432 is alive; this network or that host
      ? unknown  payments/replication/orders-db west: the primary cannot be seen, so the loss can no longer be bounded within 30s (52 s old) -> find out whether the primary lives; the line failover says what could be started
      * ready  payments/replication/orders-db west: db.west.example.com:5432: looked at (7.0 s old)
      would not survive: commits, at most the last 52s: at least 5.0 MB of log; about 52.0 MB at the last rate: orders-db: not proven to have reached west
      would not survive: scheduled events: kept in the primary site only (declared)
      call at once: database on-call, pager: db
      call after 15m: incident commander, +1 555 0100
    * ready  mail  active: east  RPO now: <= 1s (goal 30s)  RTO now: ? (goal 5m)
      * ready  mail/replication/orders-db west: the loss is bounded within the objective of 30s (52 s old)
      * ready  mail/replication/orders-db east: db.east.example.com:5432: looked at (52 s old)
      * ready  mail/replication/orders-db west: db.west.example.com:5432: looked at (52 s old)
    ");
}

#[test]
fn quiet_says_only_what_is_not_ready() {
    let quiet = Style { quiet: true, ..TERMINAL };
    assert_eq!(report::text(&of(at(11), vec![healthy(&plan("mail"))]), quiet), "");
    let text = report::text(&of(at(62), vec![healthy(&plan("mail")), in_trouble(&plan("payments"))]), quiet);
    assert!(!text.contains("mail") && !text.contains("● ready"), "{text}");
}

#[test]
fn colour_goes_with_glyph_and_word_and_changes_no_line() {
    let report = of(at(62), vec![healthy(&plan("mail")), in_trouble(&plan("payments"))]);
    let coloured = report::text(&report, Style { colour: true, ..TERMINAL });
    assert!(coloured.contains("\x1b[32m● ready\x1b[0m  mail"), "{coloured}");
    let mut plain = coloured;
    for code in ["\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[35m", "\x1b[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, report::text(&report, TERMINAL));
}

#[test]
fn a_report_about_some_areas_says_that_it_is() {
    let mut report = of(at(11), vec![report::within(&healthy(&plan("mail")), &[Area::Replication])]);
    report.areas = vec![Area::Replication];
    let text = report::text(&report, TERMINAL);
    assert_eq!(text.lines().next().unwrap(), "● ready  mail  looked at replication only", "{text}");
}

#[test]
fn what_changed_since_the_last_check_is_said() {
    let plan = plan("payments");
    let mut report = of(at(62), vec![in_trouble(&plan)]);
    report.plans[0].before = Some(Checked::of(&healthy(&plan)));
    let text = report::text(&report, Style { width: None, ..TERMINAL });
    let changes: Vec<&str> = text.lines().filter(|l| l.contains("since 2026-11-20")).collect();
    insta::assert_snapshot!(changes.join("\n"), @r"
    since 2026-11-20 08:00Z: payments ready -> unknown
    since 2026-11-20 08:00Z: payments normal -> primary unreachable
    since 2026-11-20 08:00Z: payments/replication ready -> unknown
    since 2026-11-20 08:00Z: payments/replication east: nothing -> unknown (primary-unreachable)
    since 2026-11-20 08:00Z: payments/replication orders-db east: ready (answers) -> unknown (timed-out)
    since 2026-11-20 08:00Z: payments/replication orders-db west: ready (loss-within-rpo) -> unknown (loss-unbounded)
    ");
    // Nothing changed, nothing said.
    report.plans[0].before = Some(Checked::of(&in_trouble(&plan)));
    assert!(!report::text(&report, TERMINAL).contains("since 2026"));
}

#[test]
fn the_worst_plan_decides_the_exit_code_and_never_the_greater_number() {
    use Verdict::{Degraded, NotReady, Ready, Unknown};
    let with = |verdicts: &[Verdict]| {
        let mut plans = Vec::new();
        for verdict in verdicts {
            plans.push(PlanStatus { readiness: *verdict, ..healthy(&plan("payments")) });
        }
        of(at(11), plans).exit_code()
    };
    assert_eq!(with(&[Ready, Ready]), 0);
    assert_eq!(with(&[Ready, Degraded]), 1);
    assert_eq!(with(&[Degraded, Unknown, Ready]), 3);
    assert_eq!(with(&[Unknown, NotReady, Degraded]), 2);
    assert_eq!(with(&[]), 3);
}

#[test]
fn json_has_its_fields_in_their_order() {
    let plan = plan("payments");
    let mut report = of(at(62), vec![in_trouble(&plan)]);
    report.plans[0].before = Some(Checked::of(&healthy(&plan)));
    let text = report::json(&report, false).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields = |v: &serde_json::Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(fields(&value), "lifeboat schema machine at verdict exit_code areas plans");
    let plan = &value["plans"][0];
    assert_eq!(
        fields(plan),
        "plan tier strategy home practice readiness situation leads gates active exposures estimate losses contacts areas findings changes"
    );
    assert_eq!(fields(&plan["gates"]), "to failover switchover");
    assert_eq!(fields(&plan["active"]), "database traffic split");
    assert_eq!(
        fields(&plan["exposures"][0]),
        "probe to bound seconds why goal_seconds growing missing at_last_rate backlog"
    );
    assert_eq!(fields(&plan["estimate"]), "at_least_seconds goal_seconds parts unmeasured");
    assert_eq!(
        fields(&plan["findings"][0]),
        "rule code verdict area probe site part sentence age_seconds evidence next"
    );
    assert_eq!(fields(&plan["findings"][0]["evidence"][0]), "what value age_seconds");
    assert_eq!(fields(&plan["losses"][0]), "what why observed");
    assert_eq!(fields(&plan["areas"][0]), "area required verdict");
    assert_eq!(fields(&plan["changes"]), "since what");
    assert_eq!(value["schema"], 1);
    assert_eq!(value["at"], "2026-11-20T08:01:02.000Z");
    assert_eq!((&value["verdict"], &value["exit_code"]), (&"unknown".into(), &3.into()));
    assert_eq!(plan["situation"]["is"], "primary-unreachable");
    assert_eq!(plan["exposures"][0]["seconds"], 52.0);
    let ages: Vec<_> = (plan["findings"].as_array().unwrap().iter())
        .map(|f| (f["code"].as_str().unwrap(), f["age_seconds"].as_f64().unwrap()))
        .collect();
    assert_eq!(ages, [("primary-unreachable", 0.0), ("timed-out", 7.0), ("loss-unbounded", 52.0), ("answers", 7.0)]);
    assert_eq!(report::json(&report, false).unwrap(), text, "the same report is the same text");
}

#[test]
fn within_areas_only_those_count() {
    let plan = plan("payments");
    let status = in_trouble(&plan);
    let dns = report::within(&status, &[Area::Dns]);
    assert_eq!((dns.readiness, dns.findings.len()), (Verdict::Unknown, 0));
    let replication = report::within(&status, &[Area::Replication]);
    assert_eq!((replication.readiness, &replication.findings), (status.readiness, &status.findings));
    assert!(report::restrict(&plan, &[Area::Dns]).is_none(), "nothing there to judge");
    assert_eq!(report::restrict(&plan, &[Area::Replication]).unwrap().probes.len(), 1);
    let mut report = of(at(62), vec![replication]);
    report.areas = vec![Area::Replication];
    let value: serde_json::Value = serde_json::from_str(&report::json(&report, false).unwrap()).unwrap();
    assert_eq!((&value["areas"][0], &value["plans"][0]["gates"]), (&"replication".into(), &serde_json::Value::Null));
}

#[test]
fn nagios_says_the_worst_first_and_then_the_figures() {
    let report = of(at(62), vec![healthy(&plan("mail")), in_trouble(&plan("payments"))]);
    let text = report::nagios(&report, true);
    let first = text.lines().next().unwrap();
    insta::assert_snapshot!(first);
    assert_eq!(text.matches('|').count(), 1, "only the figures begin with a bar: {text}");
    let well = report::nagios(&of(at(11), vec![healthy(&plan("mail"))]), true);
    insta::assert_snapshot!(well);
}

#[test]
fn prometheus_has_every_state_and_no_series_twice() {
    let report = of(at(62), vec![healthy(&plan("mail")), in_trouble(&plan("payments"))]);
    let text = report::prometheus(&report);
    insta::assert_snapshot!(text);
    let mut series: Vec<&str> =
        text.lines().filter(|l| !l.starts_with('#')).map(|l| l.rsplit_once(' ').unwrap().0).collect();
    let all = series.len();
    series.sort_unstable();
    series.dedup();
    assert_eq!(series.len(), all);
}

#[test]
fn markdown_is_a_table_and_what_is_not_ready() {
    let plan = plan("payments");
    let mut report = of(at(62), vec![healthy(&super::two_sites::plan("mail")), in_trouble(&plan)]);
    report.plans[1].before = Some(Checked::of(&healthy(&plan)));
    insta::assert_snapshot!(report::markdown(&report, false));
    // A remote's text is no markup.
    let mut finding = report.plans[1].status.findings[0].clone();
    finding.sentence = "<script>|[x](http://y)`".into();
    report.plans[1].status.findings = vec![finding];
    let text = report::markdown(&report, true);
    assert!(text.contains(r"\<script\>\|\[x\](http://y)\`"), "{text}");
    assert!(!text.contains("mail"), "{text}");
}
