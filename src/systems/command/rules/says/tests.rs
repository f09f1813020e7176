use serde_json::json;

use crate::plan::{Area, SafeText};
use crate::readiness::{Gap, Reason, Row, Value, Verdict};
use crate::systems::Look;
use crate::systems::bench::{Bench, at};
use crate::systems::command::rules::RULES;
use crate::systems::command::signals::{AS_OF, NEXT, SAYS, VALUE, VALUES, VERDICT};

fn look(verdict: &str, as_of: Value) -> Look {
    let row = Row::default()
        .with("name", Value::text("depth"))
        .with("value", Value::Number(12.5))
        .with("unit", Value::text("s"))
        .with("warn", Value::text("10"))
        .with("crit", Value::text("20"));
    let mut look = Look::default();
    look.push(&VERDICT, Ok(Value::text(verdict)));
    look.push(&SAYS, Ok(Value::text("the queue is 12 deep")));
    look.push(&NEXT, Ok(Value::NotApplicable));
    look.push(&VALUES, Ok(Value::Rows(vec![row])));
    look.push(&VALUE, Ok(Value::Number(12.5)));
    look.push(&AS_OF, Ok(as_of));
    look
}

fn bench(options: serde_json::Value, look: Look) -> Bench {
    let mut all = json!({ "argv": ["check_queue"], "site": "west" });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    Bench::of("command", Area::Standby, all).unwrap().look(look)
}

fn told(options: serde_json::Value, look: Look) -> String {
    bench(options, look).told(RULES).join("\n")
}

#[test]
fn the_verdict_is_the_commands() {
    for (word, told_word) in
        [("ready", "ready"), ("degraded", "degraded"), ("not-ready", "not ready"), ("unknown", "unknown")]
    {
        let of = told(json!({}), look(word, Value::NotApplicable));
        assert_eq!(of, format!("{told_word} says-{word}: look: the queue is 12 deep"));
    }
    let odd = bench(json!({}), look("green", Value::NotApplicable)).findings(RULES);
    assert_eq!(odd[0].verdict, Verdict::Unknown);
}

#[test]
fn its_numbers_are_evidence_and_one_is_drawn() {
    let found = bench(json!({}), look("degraded", Value::NotApplicable)).findings(RULES).remove(0);
    assert_eq!(found.evidence[1].value.as_str(), "12.5s, warn 10, crit 20");
    assert_eq!(found.chart.as_ref().and_then(|(_, limit)| *limit), Some(20.0));
    assert_eq!(found.next.as_ref().map(SafeText::as_str), Some("run it by hand: check_queue here"));
    assert_eq!(found.subject.to_string(), "west");
    let mut advised = look("degraded", Value::NotApplicable);
    advised.observed[2].value = Ok(Value::text("start the consumer"));
    let found = bench(json!({}), advised).findings(RULES).remove(0);
    assert_eq!(found.next.as_ref().map(SafeText::as_str), Some("start the consumer"));
    // A named number's own limit, not the first one's.
    let found = bench(json!({ "chart": "other" }), look("ready", Value::NotApplicable)).findings(RULES).remove(0);
    assert_eq!(found.chart.and_then(|(_, limit)| limit), None);
}

#[test]
fn what_is_dated_counts_for_as_long_as_the_plan_says() {
    let dated = |max_age: Option<&str>, ago| {
        let options = max_age.map_or(json!({ "format": "json" }), |a| json!({ "format": "json", "max_age": a }));
        told(options, look("ready", Value::Time(at(ago))))
    };
    assert!(dated(Some("1h"), 3_600).starts_with("ready says-ready"));
    assert_eq!(dated(Some("1h"), 3_601), "unknown too-old: look says nothing newer than 1h: the queue is 12 deep");
    assert!(dated(Some("1h"), -299).starts_with("ready"));
    assert!(dated(Some("1h"), -301).starts_with("unknown from-the-future"));
    assert!(dated(None, 1).starts_with("unknown no-threshold"));
    let undated = told(json!({ "format": "json", "max_age": "1h" }), look("ready", Value::NotApplicable));
    assert!(undated.starts_with("unknown no-date"), "{undated}");
}

#[test]
fn a_gap_is_left_to_reach() {
    let mut failed = look("ready", Value::NotApplicable);
    for observed in &mut failed.observed {
        observed.value = Err(Gap::from(Reason::TimedOut));
    }
    assert_eq!(told(json!({}), failed), "");
}
