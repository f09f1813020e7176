//! What somebody made sure of stands for a while, and then nobody knows.
//!
//! It never makes an area ready by itself: an area that the plan requires needs a probe that counts
//! (`rules/required.rs`), and a word of a person alone in any other area is no more than degraded.

use crate::plan::{Area, Confirm, Now, Plan, RuleId, Span, Standing, Subject};
use crate::readiness::{Finding, Verdict};

const ID: RuleId = RuleId::new("confirm");

/// One finding for each confirmation.
#[must_use]
pub(in crate::readiness) fn confirm(plan: &Plan, now: Now) -> Vec<Finding> {
    plan.confirms.iter().map(|c| one(plan, c, now)).collect()
}

fn one(plan: &Plan, confirm: &Confirm, now: Now) -> Finding {
    let Confirm { what, area, on, by, lasts } = confirm;
    let make = |verdict, code: &'static str, sentence: &str| {
        Finding::new(ID, *area, Subject::part(what.as_str()), verdict, code, sentence).because(
            "confirmed",
            &format!("on {on} by {by}, for {lasts}"),
            now,
        )
    };
    let again = format!("make sure of it again, and write the day into the plan's confirmation: on = {}", today(now));
    match on.standing(*lasts, now.wall) {
        Standing::Future => {
            make(Verdict::Unknown, "confirmed-ahead", &format!("\"{what}\" is dated {on}, which is still to come"))
                .next("write the day on which it was made sure of")
        }
        Standing::RunOut(over) => {
            let sentence = format!("\"{what}\" was last confirmed on {on}: its {lasts} ran out {}", ago(over));
            make(Verdict::Unknown, "confirmation-expired", &sentence).next(&again)
        }
        Standing::Holds(left) if left.0 <= lasts.0 / 10 => {
            let sentence = format!("\"{what}\" was confirmed on {on} and stands for {} more", days(left));
            make(Verdict::Degraded, "confirmation-expires", &sentence).next(&again)
        }
        Standing::Holds(_) if !looked_at(plan, *area) => {
            let sentence = format!("\"{what}\" was confirmed on {on}, and nothing else is known of {area}");
            make(Verdict::Degraded, "confirmed-alone", &sentence)
                .next(&format!("add a probe for {area}, or count the confirmation in another area: area = ..."))
        }
        Standing::Holds(left) => {
            let sentence = format!("\"{what}\" was confirmed on {on} and stands for {} more", days(left));
            make(Verdict::Ready, "confirmed", &sentence)
        }
    }
}

/// Whether a probe says something of this area too. Where the plan requires it and none does, `required` says so.
fn looked_at(plan: &Plan, area: Area) -> bool {
    plan.requires(area) || plan.probes.iter().any(|p| p.area == area)
}

/// The day of now, as it would be written into the configuration.
fn today(now: Now) -> String {
    now.wall.format("%Y-%m-%d").to_string()
}

/// In whole days, from one day on: a screen of days stays still.
fn days(span: Span) -> String {
    match span.0.as_secs() / 86_400 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        n => format!("{n} days"),
    }
}

fn ago(span: Span) -> String {
    if span.0.as_secs() < 86_400 { "today".to_owned() } else { format!("{} ago", days(span)) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::{BootTime, Copies, Here, Objectives, PlanId, Site, SiteId, Strategy};
    use crate::readiness::{area_verdict, rules};

    fn plan(requires: Vec<Area>) -> Plan {
        let confirm = Confirm {
            what: "VPC routes copied".into(),
            area: Area::Standby,
            on: "2026-11-01".parse().unwrap(),
            by: "Ada".into(),
            lasts: Span::secs(20 * 86_400),
        };
        Plan {
            id: PlanId::new("shop"),
            tier: 1,
            strategy: Strategy::WarmStandby,
            objectives: Objectives { rpo: Span::secs(30), rto: Span::secs(300) },
            sites: ["east", "west"].map(|s| Site { id: SiteId::new(s), what: "".into() }).to_vec(),
            home: SiteId::new("east"),
            here: Here::Elsewhere,
            requires,
            probes: vec![],
            contacts: vec![],
            losses: vec![],
            confirms: vec![confirm],
            copies: Copies::default(),
            runbooks: Vec::new(),
            lost_with: Vec::new(),
            practice: None,
        }
    }

    fn at(wall: &str) -> Now {
        Now { wall: wall.parse().unwrap(), boot: BootTime(Duration::from_secs(1_000)) }
    }

    #[test]
    fn it_stands_for_a_while_and_then_nobody_knows() {
        let of = |wall| {
            let [f] = confirm(&plan(vec![Area::Standby]), at(wall)).try_into().unwrap();
            assert_eq!(f.verdict == Verdict::Ready, f.next.is_none());
            format!("{}: {}", f.verdict, f.sentence)
        };
        assert_eq!(
            of("2026-11-02T00:00:00Z"),
            "ready: \"VPC routes copied\" was confirmed on 2026-11-01 and stands for 19 days more"
        );
        assert_eq!(
            of("2026-11-19T12:00:00Z"),
            "degraded: \"VPC routes copied\" was confirmed on 2026-11-01 and stands for 1 day more"
        );
        assert_eq!(
            of("2026-11-24T00:00:00Z"),
            "unknown: \"VPC routes copied\" was last confirmed on 2026-11-01: its 20d ran out 3 days ago"
        );
        assert_eq!(
            of("2026-10-01T00:00:00Z"),
            "unknown: \"VPC routes copied\" is dated 2026-11-01, which is still to come"
        );
    }

    #[test]
    fn a_word_alone_makes_no_area_ready() {
        let now = at("2026-11-02T00:00:00Z");
        let all = |plan: &Plan| [rules::required(plan), confirm(plan, now)].concat();
        let required = plan(vec![Area::Standby]);
        assert_eq!(area_verdict(&required, Area::Standby, &all(&required)), Some(Verdict::Unknown));
        let not_required = plan(vec![Area::Dns]);
        assert_eq!(area_verdict(&not_required, Area::Standby, &all(&not_required)), Some(Verdict::Degraded));
    }
}
