//! What a person must type, and what they let run: bound to what was shown.

use super::super::*;
use super::bench::*;
use crate::plan::{Bytes, Span};

/// An approval of step 1, as it was shown.
fn approved(shown: &Preview, consents: Vec<Consent>, waived: Vec<Waiver>) -> Approval {
    let bounds = vec![Bound::of(ix(0), shown, &runbook())];
    let (from, to, typed) = (ix(0), ix(0), "do 1".to_owned());
    Approval { from, to, shown: 1, bounds, consents, waived, typed, lasts: Span::secs(300) }
}

fn changed(approval: &Approval, now: &Preview) -> Vec<Changed> {
    holds_still(approval, ix(0), now, &runbook()).unwrap_err()
}

fn consent(most: Option<Span>) -> Vec<Consent> {
    let ceiling = Amount { span: most, bytes: None };
    vec![Consent { step: ix(0), condition: "loss".into(), typed: "risk it".to_owned(), ceiling }]
}

fn with(condition: Condition) -> Preview {
    let mut shown = preview(ix(0), at(1));
    shown.conditions.push(condition);
    shown
}

#[test]
fn what_is_as_it_was_shown_holds_still() {
    let shown = preview(ix(0), at(1));
    let mut newer = shown.clone();
    newer.at = at(9);
    newer.role = "standby, streaming".into();
    newer.conditions[0].why = "read again".into();
    newer.conditions[0].at = at(9);
    assert_eq!(holds_still(&approved(&shown, vec![], vec![]), ix(0), &newer, &runbook()), Ok(()));
}

#[test]
fn not_covered() {
    let shown = preview(ix(0), at(1));
    let approval = approved(&shown, vec![], vec![]);
    assert_eq!(holds_still(&approval, ix(1), &shown, &runbook()), Err(vec![Changed::NotCovered(ix(1))]));
    let unbound = Approval { to: ix(1), ..approval.clone() };
    assert_eq!(holds_still(&unbound, ix(1), &shown, &runbook()), Err(vec![Changed::NotCovered(ix(1))]));
    let outside = Approval { from: ix(1), to: ix(1), ..approval };
    assert_eq!(holds_still(&outside, ix(0), &shown, &runbook()), Err(vec![Changed::NotCovered(ix(0))]));
}

#[test]
fn another_action_another_target_other_options() {
    let shown = preview(ix(0), at(1));
    let approval = approved(&shown, vec![], vec![]);
    let mut now = shown.clone();
    now.actions.push("and that".into());
    assert_eq!(changed(&approval, &now), [Changed::Action]);
    let mut now = shown.clone();
    now.target = "another".into();
    assert_eq!(changed(&approval, &now), [Changed::Action]);
    let mut edited = runbook();
    edited.steps[0].options = serde_json::json!({ "name": "fence", "force": true });
    assert_eq!(holds_still(&approval, ix(0), &shown, &edited), Err(vec![Changed::Action]));
    let mut now = shown.clone();
    now.identity = Identity::default().with("system", &"id 2").with("started", &"today");
    let said = "started was nothing, is today; system was id 1, is id 2";
    let mut found = changed(&approval, &now);
    let Some(Changed::Identity(words)) = found.pop() else { panic!("{found:?}") };
    let mut words: Vec<&str> = words.split("; ").collect();
    words.sort_unstable();
    assert_eq!(words.join("; "), said);
    assert!(found.is_empty());
}

#[test]
fn a_target_that_could_not_be_read_again_is_no_other_target_and_not_the_same() {
    let shown = preview(ix(0), at(1));
    let approval = approved(&shown, vec![], vec![]);
    let mut now = shown.clone();
    now.identity = now.identity.unread("system", "db.west: no answer in time");
    now.actions = vec!["not known".into()];
    let said = |all: &[Changed]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let silent = "what was approved could not be read again: system (db.west: no answer in time)";
    assert_eq!(said(&changed(&approval, &now)), [silent]);
    // What was read, and is another, is said all the same.
    now.identity = now.identity.with("started", &"today");
    let another = "the target is another one than was approved: started was nothing, is today";
    assert_eq!(said(&changed(&approval, &now)), [another, silent]);
    // Even an approval of what nobody could read lets nothing run.
    now.identity = shown.identity.clone().unread("system", "db.west: no answer in time");
    assert_eq!(said(&changed(&approved(&now, vec![], vec![]), &now)), [silent]);
}

#[test]
fn an_identity_that_does_not_hold_is_never_accepted() {
    for held in [Held::Fails, Held::Unknown] {
        let mut now = preview(ix(0), at(1));
        now.conditions[0].held = held;
        let mut consents = consent(None);
        consents[0].condition = "right".into();
        let waived = vec![Waiver { step: ix(0), condition: "right".into(), reason: "x".into() }];
        let found = changed(&approved(&now, consents, waived), &now);
        assert!(matches!(found[..], [Changed::Condition { .. }]), "{found:?}");
    }
}

#[test]
fn a_risk_holds_or_is_accepted_up_to_its_ceiling() {
    let loss = |held, secs: u64| with(risk("loss", held, Some(Span::secs(secs)), at(1)));
    let shown = loss(Held::Fails, 20);
    let most = || consent(Some(Span::secs(30)));
    let approval = approved(&shown, most(), vec![]);
    let ok = |approval: &Approval, now: &Preview| holds_still(approval, ix(0), now, &runbook()).is_ok();
    assert!(ok(&approval, &loss(Held::Fails, 30)));
    assert!(ok(&approval, &loss(Held::Holds, 99)), "what holds is no risk");
    let found = changed(&approval, &loss(Held::Fails, 31));
    assert!(matches!(found[..], [Changed::Ceiling { .. }]), "{found:?}");
    let unknown = with(risk("loss", Held::Fails, None, at(1)));
    assert!(matches!(changed(&approval, &unknown)[..], [Changed::Ceiling { .. }]), "no size is within no ceiling");
    assert!(ok(&approved(&shown, consent(None), vec![]), &unknown), "any size was accepted");
    let found = changed(&approved(&shown, vec![], vec![]), &shown);
    assert!(matches!(found[..], [Changed::Condition { .. }]), "{found:?}");
    // Accepted while nobody could say; now it is seen to fail.
    let found = changed(&approved(&loss(Held::Unknown, 20), most(), vec![]), &loss(Held::Fails, 20));
    assert!(matches!(found[..], [Changed::Condition { .. }]), "{found:?}");
    let mut other = most();
    other[0].step = ix(1);
    assert!(!ok(&approved(&shown, other, vec![]), &shown), "the consent is another step's");
}

#[test]
fn advice_holds_or_is_waived() {
    let ttl = |held| with(advice("ttl", held, at(1)));
    let waived = || vec![Waiver { step: ix(0), condition: "ttl".into(), reason: "it will do".into() }];
    let ok = |shown: Held, now: Held, waived| {
        holds_still(&approved(&ttl(shown), vec![], waived), ix(0), &ttl(now), &runbook()).is_ok()
    };
    assert!(ok(Held::Holds, Held::Holds, vec![]));
    assert!(ok(Held::Fails, Held::Fails, waived()));
    assert!(ok(Held::Fails, Held::Unknown, waived()));
    assert!(!ok(Held::Holds, Held::Fails, vec![]));
    assert!(!ok(Held::Holds, Held::Unknown, vec![]));
    assert!(!ok(Held::Unknown, Held::Fails, waived()), "it got worse");
}

#[test]
fn a_condition_that_is_new_or_gone() {
    let shown = with(advice("ttl", Held::Holds, at(1)));
    let found = changed(&approved(&shown, vec![], vec![]), &preview(ix(0), at(1)));
    assert_eq!(found[0].to_string(), "ttl: unknown: it was not read again");
    let approval = approved(&preview(ix(0), at(1)), vec![], vec![]);
    assert!(holds_still(&approval, ix(0), &shown, &runbook()).is_ok(), "new, and it holds");
    let found = changed(&approval, &with(risk("loss", Held::Unknown, None, at(1))));
    assert!(matches!(found[..], [Changed::Condition { .. }]), "new, and it does not");
}

#[test]
fn what_accepts_a_risk() {
    let known = risk("loss", Held::Fails, Some(Span::secs(51)), at(1));
    assert_eq!(accepted(&known, "risk it 1m").unwrap().span, Some(Span::secs(60)));
    assert_eq!(accepted(&known, "  risk it  51s ").unwrap().span, Some(Span::secs(51)));
    for wrong in ["", "risk it", "risk it 50s", "risk it51s", "risk it unknown", "risk it 1", "accept 1m"] {
        assert_eq!(accepted(&known, wrong), None, "{wrong}");
    }
    let unknown = risk("loss", Held::Unknown, None, at(1)).amounting(Amount::default());
    assert_eq!(accepted(&unknown, "risk it unknown"), Some(Amount::default()));
    assert_eq!(accepted(&unknown, "risk it 1h"), None);
    let plain = risk("fence", Held::Unknown, None, at(1));
    assert_eq!(accepted(&plain, " risk it "), Some(Amount::default()));
    assert_eq!(accepted(&plain, "risk it 1h"), None);
    assert_eq!(accepted(&advice("ttl", Held::Fails, at(1)), ""), None, "what has no words cannot be accepted");
    let words = [&known, &unknown, &plain].map(expected_words);
    assert_eq!(words, ["risk it 3m", "risk it unknown", "risk it"]);
    for (risk, words) in [known, unknown, plain].iter().zip(&words) {
        assert!(accepted(risk, words).is_some(), "what we ask for is accepted: {words}");
    }
}

#[test]
fn amounts() {
    let of = |span: Option<u64>| Amount { span: span.map(Span::secs), bytes: Some(Bytes(9)) };
    assert!(of(Some(3)).within(of(Some(3))) && of(Some(3)).within(of(None)) && of(None).within(of(None)));
    assert!(!of(Some(4)).within(of(Some(3))) && !of(None).within(of(Some(3))));
}

#[test]
fn the_prompt_names_the_most_dangerous_target() {
    let now = at(1);
    let steps: Vec<_> = (0..5).map(|p| (ix(p), preview(ix(p), now))).collect();
    assert_eq!(prompt(&runbook(), &steps).challenge, "do 4");
    assert_eq!(prompt(&runbook(), &steps[..2]).challenge, "do 1");
    assert_eq!(prompt(&runbook(), &[]), Prompt::default());
}

#[test]
fn what_earlier_steps_make_true_is_not_asked_for_yet() {
    let later = |p: usize| {
        let mut shown = preview(ix(p), at(1));
        shown.conditions.push(risk("fence", Held::Unknown, None, at(1)).later());
        shown.conditions.push(advice("ttl", Held::Fails, at(1)).later());
        (ix(p), shown)
    };
    let asked = prompt(&runbook(), &[later(0), later(1)]);
    let of = |all: &[(StepIx, Condition)]| all.iter().map(|(ix, c)| format!("{ix} {}", c.id)).collect::<Vec<_>>();
    assert_eq!((of(&asked.risks), of(&asked.advice)), (vec!["1 fence".to_owned()], vec!["1 ttl".to_owned()]));
    let (_, mut there) = later(0);
    there.already = Held::Holds;
    assert_eq!(prompt(&runbook(), &[(ix(0), there)]).risks, [], "nothing will be done");
}

#[test]
fn which_change_is_for_the_worse() {
    use Held::{Fails, Holds, Unknown};
    let all = [Holds, Unknown, Fails];
    let found: Vec<_> = all.iter().flat_map(|a| all.map(|b| (*a, b))).filter(|(a, b)| worse(*a, *b)).collect();
    assert_eq!(found, [(Holds, Unknown), (Holds, Fails), (Unknown, Fails)]);
}

#[test]
fn what_is_there_already_must_still_be_the_right_target() {
    let now = at(1);
    let identity =
        Condition::new("cluster", Class::Identity, "it is of the plan's cluster", Held::Fails, &"another", now);
    let risk = Condition::new("loss", Class::Risk, "nothing is lost", Held::Fails, &"5s", now).accepted_by("lose");
    let mut there = preview(ix(0), now);
    (there.already, there.conditions) = (Held::Holds, vec![identity, risk]);
    let wanted = prompt(&runbook(), &[(ix(0), there.clone())]);
    assert_eq!((wanted.blocked.len(), wanted.risks.len()), (1, 0), "{wanted:?}");
    there.conditions.remove(0);
    assert_eq!(prompt(&runbook(), &[(ix(0), there)]), Prompt { challenge: wanted.challenge, ..Prompt::default() });
}

/// What is shown of fence and promotion of the run book, in one range.
fn fence_and_promotion(silent: bool) -> Vec<(StepIx, Preview)> {
    let (mut fence, mut promote) = (preview(ix(0), at(1)), preview(ix(3), at(1)));
    if silent {
        let reachable = Condition::new("reachable", Class::Risk, "it answers", Held::Unknown, &"silent", at(1));
        fence.conditions.push(reachable.accepted_by("assumed fence"));
    }
    let later = Condition::new("fence", Class::Risk, "it is fenced", Held::Unknown, &"a step before this one", at(1));
    promote.conditions.push(later.accepted_by("no fence").later());
    vec![(ix(0), fence), (ix(1), preview(ix(1), at(1))), (ix(2), preview(ix(2), at(1))), (ix(3), promote)]
}

#[test]
fn a_range_over_a_fence_that_may_be_assumed_says_where_it_stops() {
    let wanted = prompt(&runbook(), &fence_and_promotion(true));
    assert_eq!(wanted.risks.len(), 1, "the fence itself is accepted now, the promotion over it is not: {wanted:?}");
    let (stop, why) = wanted.stops.unwrap();
    assert_eq!(stop, ix(3));
    assert!(
        why.as_str()
            .starts_with("unless step 1 proves its fence, the run stops before step 4, promote, and asks again")
    );
    // One that answers is stopped, or turned away.
    assert_eq!(prompt(&runbook(), &fence_and_promotion(false)).stops, None);
    // One that a person puts up is only said to be one.
    let mut by_person = runbook();
    by_person.steps[0].verified = Verified::ByPerson;
    assert!(prompt(&by_person, &fence_and_promotion(false)).stops.is_some());
    // Without the promotion in it there is nothing to announce; and what is there already is known.
    assert_eq!(prompt(&runbook(), &fence_and_promotion(true)[..3]).stops, None);
    let mut there = fence_and_promotion(true);
    there[0].1.already = Held::Holds;
    assert_eq!(prompt(&runbook(), &there).stops, None);
}
