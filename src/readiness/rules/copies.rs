//! Three copies, two media, one offsite: counted by what is seen of each copy, not by what was planned.
//!
//! Production counts as one copy, on disk, in the home site. A copy that a probe looks at counts where a finding proves it
//! ([`Proof::Copy`]) and nothing about it is worse than degraded; a declared one for as long as somebody's word for it
//! holds. Replicas do not count: what is deleted on the primary is deleted there a moment later.

use crate::plan::{
    CopyPlace, CopyRule, DeclaredCopy, Medium, Now, Plan, ProbeDecl, ProbedCopy, RuleId, Standing, Subject,
};
use crate::readiness::{Finding, Proof, Verdict};

const ID: RuleId = RuleId::new("copies");

/// What is known of one copy.
enum State {
    Counts,
    /// It does not, and this is why.
    Broken(String),
    /// Nobody can say, and this is why.
    Unseen(String),
}

struct Counted {
    name: String,
    place: CopyPlace,
    probed: bool,
    state: State,
}

/// The finding, where the plan asks for a number of copies. `findings` are those of the systems, before any cap.
#[must_use]
pub(in crate::readiness) fn copies(plan: &Plan, findings: &[Finding], now: Now) -> Vec<Finding> {
    let Some(CopyRule::ThreeTwoOne) = plan.copies.rule else { return Vec::new() };
    let probed = plan.probes.iter().flat_map(|p| p.options.copies().iter().map(move |c| (p, c)));
    let all: Vec<Counted> =
        probed.map(|(p, c)| seen(p, c, findings)).chain(plan.copies.declared.iter().map(|c| said(c, now))).collect();
    vec![judge(plan, &all, now)]
}

fn seen(probe: &ProbeDecl, copy: &ProbedCopy, findings: &[Finding]) -> Counted {
    let about = |f: &&Finding| f.probe.as_ref() == Some(&probe.id) && touches(&f.subject, &copy.subject);
    let of = |verdict| findings.iter().filter(about).find(move |f| f.verdict == verdict);
    let proven = findings.iter().filter(about).any(|f| f.proves == Some(Proof::Copy) && f.subject == copy.subject);
    let state = match (of(Verdict::NotReady), of(Verdict::Unknown)) {
        (Some(f), _) => State::Broken(f.sentence.to_string()),
        (None, Some(f)) => State::Unseen(f.sentence.to_string()),
        (None, None) if proven => State::Counts,
        (None, None) => State::Unseen("nothing was seen of it yet".to_owned()),
    };
    Counted {
        name: format!("{} ({})", probe.id.name, place(&copy.place)),
        place: copy.place.clone(),
        probed: true,
        state,
    }
}

/// Whether what is said of `a` bears on `b`: they are the same, or one is the site or the plan that holds the other.
fn touches(a: &Subject, b: &Subject) -> bool {
    a == b || *a == Subject::whole() || (a.site == b.site && (a.part.is_none() || b.part.is_none()))
}

fn said(copy: &DeclaredCopy, now: Now) -> Counted {
    let state = match copy.on.standing(copy.lasts, now.wall) {
        Standing::Holds(_) => State::Counts,
        Standing::RunOut(_) => State::Unseen(format!("last confirmed on {}, for {}", copy.on, copy.lasts)),
        Standing::Future => State::Unseen(format!("confirmed on {}, which is still to come", copy.on)),
    };
    Counted { name: format!("{} ({})", copy.what, place(&copy.place)), place: copy.place.clone(), probed: false, state }
}

fn place(place: &CopyPlace) -> String {
    let site = place.site.as_ref().map(|s| format!(" in {s}")).unwrap_or_default();
    format!("{}{site}{}", place.medium.name(), if place.offsite { ", offsite" } else { "" })
}

/// What a set of copies lacks; empty where it is enough.
fn lacks<'a>(copies: impl Iterator<Item = &'a Counted>) -> Vec<String> {
    let (mut count, mut media, mut offsite) = (1, vec![Medium::Disk], false);
    for copy in copies {
        count += 1;
        media.push(copy.place.medium);
        offsite |= copy.place.offsite;
    }
    media.sort_unstable();
    media.dedup();
    let mut lacks = Vec::new();
    if count < 3 {
        lacks.push(format!("{count} of 3 copies"));
    }
    if media.len() < 2 {
        lacks.push("all on disk".to_owned());
    }
    if !offsite {
        lacks.push("none offsite".to_owned());
    }
    lacks
}

fn judge(plan: &Plan, all: &[Counted], now: Now) -> Finding {
    let counts = |c: &&Counted| matches!(c.state, State::Counts);
    let names = all.iter().filter(counts).map(|c| c.name.as_str());
    let counted = std::iter::once("production").chain(names).collect::<Vec<_>>().join(", ");
    let not = all.iter().filter_map(|c| match &c.state {
        State::Counts => None,
        State::Broken(why) | State::Unseen(why) => Some(format!("{}: {why}", c.name)),
    });
    let not = not.collect::<Vec<_>>().join("; ");
    let but = if not.is_empty() { String::new() } else { format!("; not counted: {not}") };
    let lacking = lacks(all.iter().filter(counts));
    let perhaps = lacks(all.iter().filter(|c| !matches!(c.state, State::Broken(_))));
    let lack = lacking.join(", ");
    let seen = all.iter().any(|c| c.probed && counts(&c));
    let (verdict, code, sentence, next) = if lacking.is_empty() && seen {
        (Verdict::Ready, "copies-enough", format!("3-2-1 holds: {counted}{but}"), None)
    } else if lacking.is_empty() {
        let sentence = format!("3-2-1 holds by what people say alone: {counted}{but}");
        (Verdict::Degraded, "copies-unseen", sentence, Some("let a probe look at one of the copies".to_owned()))
    } else if perhaps.is_empty() {
        let sentence = format!("3-2-1 cannot be told: {lack} for certain ({counted}){but}");
        (
            Verdict::Unknown,
            "copies-unknown",
            sentence,
            Some("see why these copies cannot be seen, or confirm them anew".to_owned()),
        )
    } else {
        let sentence = format!("3-2-1 does not hold: {lack} ({counted}){but}");
        let next = if not.is_empty() {
            "add a copy that has what is missing: "
        } else {
            "mend the copies that do not count, or add one: "
        };
        let what = "another site, another medium; a probe's `medium` and `offsite` say what it is, [[plan.copy]] what no probe sees";
        (Verdict::Degraded, "copies-too-few", sentence, Some(format!("{next}{what}")))
    };
    let finding = Finding::new(ID, crate::plan::Area::Backup, Subject::whole(), verdict, code, &sentence).because(
        "production",
        &format!("disk in {}", plan.home),
        now,
    );
    let each = |f: Finding, c: &Counted| match &c.state {
        State::Counts => f.because(&c.name, &"counts", now),
        State::Broken(why) | State::Unseen(why) => f.because(&c.name, why, now),
    };
    let finding = all.iter().fold(finding, each);
    match next {
        Some(next) => finding.next(&next),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::plan::{
        Area, BootTime, Copies, Here, Medium, Objectives, PlanId, ProbeId, ProbeOptions, Site, SiteId, Span, Strategy,
        Weight,
    };

    #[derive(Debug)]
    struct Holds(Vec<ProbedCopy>);

    impl ProbeOptions for Holds {
        fn as_any(&self) -> &dyn Any {
            self
        }
        fn copies(&self) -> &[ProbedCopy] {
            &self.0
        }
    }

    fn now() -> Now {
        Now { wall: "2026-11-21T06:00:00Z".parse().unwrap(), boot: BootTime(Duration::from_secs(1_000)) }
    }

    fn probe(name: &str, site: &str, medium: Medium) -> ProbeDecl {
        let (site, home) = (SiteId::new(site), SiteId::new("east"));
        let copy = ProbedCopy {
            subject: Subject::site(site.clone()),
            place: CopyPlace::new(medium, Some(&site), None, &home),
        };
        ProbeDecl {
            id: ProbeId::new(&PlanId::new("shop"), name),
            kind: "backup",
            area: Area::Backup,
            weight: Weight::Full,
            interval: Span::secs(5),
            timeout: Span::secs(3),
            options: Arc::new(Holds(vec![copy])),
            lanes: vec![],
        }
    }

    fn plan(probes: Vec<ProbeDecl>, declared: Vec<DeclaredCopy>) -> Plan {
        Plan {
            id: PlanId::new("shop"),
            tier: 1,
            strategy: Strategy::WarmStandby,
            objectives: Objectives { rpo: Span::secs(30), rto: Span::secs(300) },
            sites: ["east", "west"].map(|s| Site { id: SiteId::new(s), what: "".into() }).to_vec(),
            home: SiteId::new("east"),
            here: Here::Elsewhere,
            requires: vec![Area::Backup],
            probes,
            contacts: vec![],
            losses: vec![],
            confirms: vec![],
            copies: Copies { rule: Some(CopyRule::ThreeTwoOne), declared },
            runbooks: Vec::new(),
            lost_with: Vec::new(),
            practice: None,
        }
    }

    fn tapes(on: &str) -> DeclaredCopy {
        let place = CopyPlace::new(Medium::Tape, None, Some(true), &SiteId::new("east"));
        DeclaredCopy {
            what: "vault tapes".into(),
            place,
            on: on.parse().unwrap(),
            by: None,
            lasts: Span::secs(864_000),
        }
    }

    fn found(probe: &ProbeDecl, verdict: Verdict, proves: bool) -> Finding {
        let subject = probe.options.copies()[0].subject.clone();
        let f = Finding::new(RuleId::new("x"), Area::Backup, subject, verdict, "x", "it is 3 d old").of(&probe.id);
        if proves { f.proving(Proof::Copy) } else { f }
    }

    fn told(plan: &Plan, findings: &[Finding]) -> String {
        let [f] = copies(plan, findings, now()).try_into().unwrap();
        assert_eq!(f.verdict == Verdict::Ready, f.next.is_none());
        format!("{} {}: {}", f.verdict, f.code, f.sentence)
    }

    #[test]
    fn only_a_plan_that_asks_is_judged() {
        let mut plan = plan(vec![], vec![]);
        assert_eq!(
            told(&plan, &[]),
            "degraded copies-too-few: 3-2-1 does not hold: 1 of 3 copies, all on disk, none offsite (production)"
        );
        plan.copies.rule = None;
        assert!(copies(&plan, &[], now()).is_empty());
    }

    #[test]
    fn a_copy_counts_where_it_is_proven_and_nothing_about_it_is_broken() {
        let (near, far) = (probe("near", "east", Medium::Disk), probe("far", "west", Medium::ObjectStore));
        let plan = plan(vec![near.clone(), far.clone()], vec![]);
        let good = [found(&near, Verdict::Ready, true), found(&far, Verdict::Degraded, true)];
        assert_eq!(
            told(&plan, &good),
            "ready copies-enough: 3-2-1 holds: production, near (disk in east), far (object-store in west, offsite)"
        );
        let broken = [&good[..], &[found(&far, Verdict::NotReady, false)]].concat();
        assert_eq!(
            told(&plan, &broken),
            "degraded copies-too-few: 3-2-1 does not hold: 2 of 3 copies, all on disk, none offsite \
             (production, near (disk in east)); not counted: far (object-store in west, offsite): it is 3 d old"
        );
        let unseen = [&good[..], &[found(&far, Verdict::Unknown, false)]].concat();
        assert!(told(&plan, &unseen).starts_with("unknown copies-unknown"));
        assert!(told(&plan, &good[..1]).starts_with("unknown copies-unknown"), "never seen");
        // A finding without the proof is no copy, however green.
        let unproven = [good[0].clone(), found(&far, Verdict::Ready, false)];
        assert!(told(&plan, &unproven).starts_with("unknown copies-unknown"));
        // What is said of the whole probe bears on each of its copies; what is said of another part does not.
        let whole = Finding { subject: Subject::whole(), ..broken[2].clone() };
        assert!(told(&plan, &[&good[..], &[whole]].concat()).starts_with("degraded"));
        let elsewhere = Finding { subject: Subject::part_of(SiteId::new("east"), "x"), ..broken[2].clone() };
        assert!(told(&plan, &[&good[..], &[elsewhere]].concat()).starts_with("ready"));
    }

    #[test]
    fn a_declared_copy_counts_for_as_long_as_the_word_for_it_holds() {
        let near = probe("near", "east", Medium::Disk);
        let good = [found(&near, Verdict::Ready, true)];
        let with = |on| told(&plan(vec![near.clone()], vec![tapes(on)]), &good);
        assert!(with("2026-11-15").starts_with("ready"), "{}", with("2026-11-15"));
        assert_eq!(
            with("2026-10-01"),
            "unknown copies-unknown: 3-2-1 cannot be told: 2 of 3 copies, all on disk, none offsite for certain \
             (production, near (disk in east)); not counted: vault tapes (tape, offsite): last confirmed on 2026-10-01, \
             for 10d"
        );
        assert!(with("2027-10-01").starts_with("unknown"));
        let alone = plan(vec![], vec![tapes("2026-11-15"), tapes("2026-11-16")]);
        assert!(told(&alone, &[]).starts_with("degraded copies-unseen"));
    }
}
