//! `decide`: every refusal is reached, and what is allowed comes out as it should.

use super::super::*;
use super::bench::*;
use crate::plan::{SafeText, Span};

fn refused(result: Result<Vec<Body>, Refusal>) -> Refusal {
    result.unwrap_err()
}

fn text(words: &str) -> String {
    words.to_owned()
}

fn ask(from: usize, to: usize) -> Command {
    Command::Ask { from: ix(from), to: ix(to) }
}

#[test]
fn a_whole_run() {
    let mut b = Bench::held();
    assert_eq!(b.state.phase(), Phase::Waiting(ix(0)));
    b.person(ask(0, 2)).unwrap();
    assert_eq!(b.state.phase(), Phase::Preflight(ix(0), ix(2)));
    b.approved(0, 2);
    assert_eq!(b.state.phase(), Phase::Approved(ix(0)));
    b.begin(0).unwrap();
    assert_eq!(b.state.phase(), Phase::Acting(vec![ix(0)]));
    b.acted(0, 1).unwrap();
    b.end(0, 1, Outcome::Succeeded).unwrap();
    b.begin(1).unwrap();
    b.begin(2).unwrap();
    assert_eq!(b.state.phase(), Phase::Acting(vec![ix(1), ix(2)]));
    b.end(2, 1, Outcome::Succeeded).unwrap();
    b.end(1, 1, Outcome::Succeeded).unwrap();
    assert_eq!(b.state.phase(), Phase::Waiting(ix(3)), "the point of no return needs an approval of its own");
    b.approved(3, 5);
    (3..6).for_each(|p| b.carry_out(p));
    assert_eq!(b.state.phase(), Phase::Finished);
    b.runner(Command::Close).unwrap();
    assert_eq!(b.state.phase(), Phase::Closed);
    b.person(Command::Acknowledge { reason: text("seen") }).unwrap();
    assert_eq!(fold(&b.entries).unwrap(), b.state);
}

#[test]
fn closed_and_open() {
    let mut b = Bench::held();
    assert_eq!(refused(b.person(Command::Acknowledge { reason: text("x") })), Refusal::Open);
    b.person(Command::Abort { reason: text("enough") }).unwrap();
    assert_eq!(refused(b.person(ask(0, 0))), Refusal::Closed);
    assert_eq!(refused(b.begin(0)), Refusal::Closed);
    b.person(Command::Note { text: text("kept all the same") }).unwrap();
    b.runner(Command::Raise { what: "the old primary answers".into() }).unwrap();
    b.runner(Command::Release { why: "over".into() }).unwrap();
}

#[test]
fn ending() {
    let mut b = Bench::held();
    b.approved(0, 2);
    b.begin(0).unwrap();
    assert_eq!(b.person(Command::Abort { reason: text("stop") }).unwrap().len(), 1);
    assert_eq!(b.state.phase(), Phase::Stopping);
    let stop = || Refusal::Ending("stop".into());
    assert_eq!(refused(b.person(ask(0, 0))), stop());
    assert_eq!(refused(b.begin(1)), stop());
    assert_eq!(refused(b.approve(1, "x")), stop());
    assert_eq!(refused(b.runner(Command::Close)), Refusal::InHand(ix(0)));
    b.end(0, 1, Outcome::Succeeded).unwrap();
    b.runner(Command::Close).unwrap();
    assert_eq!(b.state.closed.as_ref().unwrap().0, Closing::Aborted { reason: "stop".into() });
}

#[test]
fn in_hand() {
    let mut b = Bench::held();
    b.approved(0, 2);
    b.begin(0).unwrap();
    let refusals = [
        b.person(ask(0, 0)),
        b.approve(1, "x"),
        b.person(Command::Skip { step: ix(0), reason: text("x") }),
        b.runner(Command::Close),
        b.begin(1).and(Ok(vec![])),
    ];
    for (at, refusal) in refusals.into_iter().enumerate() {
        let expected = if at == 4 { Refusal::NotYet(ix(0)) } else { Refusal::InHand(ix(0)) };
        assert_eq!(refused(refusal), expected);
    }
    b.end(0, 1, Outcome::Succeeded).unwrap();
    b.begin(1).unwrap();
    assert_eq!(refused(b.begin(1)), Refusal::NoStep(ix(1)));
    // What an earlier tenure left open in the same group is settled first.
    b.tenure(2);
    assert_eq!(refused(b.begin(2)), Refusal::InHand(ix(1)));
}

#[test]
fn no_step_and_not_yet() {
    let mut b = Bench::held();
    assert_eq!(refused(b.person(ask(1, 2))), Refusal::NotYet(ix(0)));
    assert_eq!(refused(b.person(ask(0, 6))), Refusal::NoStep(ix(6)));
    assert_eq!(refused(b.person(Command::Skip { step: ix(1), reason: text("x") })), Refusal::NotYet(ix(0)));
    let confirm = |step| Command::Confirm { step: ix(step), done: true, words: text("it is there") };
    assert_eq!(refused(b.person(confirm(9))), Refusal::NoStep(ix(9)));
    assert_eq!(refused(b.person(confirm(0))), Refusal::NoStep(ix(0)), "we look ourselves");
    b.person(confirm(5)).unwrap();
    b.approved(0, 2);
    b.carry_out(0);
    assert_eq!(refused(b.person(ask(0, 2))), Refusal::NoStep(ix(0)));
    assert_eq!(refused(b.begin(0)), Refusal::NoStep(ix(0)));
    assert_eq!(refused(b.begin(3)), Refusal::NotApproved(ix(3)));
    b.begin(1).unwrap();
    b.end(1, 1, Outcome::Indeterminate).unwrap();
    b.person(confirm(1)).unwrap();
    b.person(Command::Skip { step: ix(2), reason: text("of the same group") }).unwrap();
    assert_eq!(refused(b.person(Command::Skip { step: ix(2), reason: text("x") })), Refusal::NoStep(ix(2)));
}

#[test]
fn a_group_is_asked_for_whole() {
    let mut b = Bench::held();
    let bodies = b.person(ask(0, 1)).unwrap();
    assert_eq!(bodies, [Body::Asked { from: ix(0), to: ix(2) }]);
}

#[test]
fn shown_changed_and_old() {
    let mut b = Bench::held();
    b.person(ask(0, 0)).unwrap();
    let (asked, now) = (b.state.seq, b.now);
    let show = |asked, steps| Command::Show { asked, steps };
    assert_eq!(refused(b.runner(show(asked + 1, vec![]))), Refusal::ShownChanged);
    assert_eq!(refused(b.runner(show(asked, vec![(ix(1), preview(ix(1), now))]))), Refusal::ShownChanged);
    b.runner(show(asked, vec![(ix(0), preview(ix(0), now))])).unwrap();
    let shown = b.state.seq;
    assert_eq!(b.state.phase(), Phase::Armed(ix(0), ix(0)));
    assert_eq!(refused(b.approve(shown - 1, "do 1")), Refusal::ShownChanged);
    b.now = at(62);
    assert_eq!(refused(b.approve(shown, "do 1")), Refusal::ShownOld(Span::secs(61)));
    b.now = at(61);
    let boot = std::mem::replace(&mut b.boot, "boot 2".into());
    assert!(matches!(refused(b.approve(shown, "do 1")), Refusal::ShownOld(_)));
    b.boot = boot;
    b.approve(shown, " do 1 ").unwrap();
    // What was shown for a step that is over meanwhile is not what comes next.
    let mut b = Bench::held();
    b.approved(0, 0);
    b.begin(0).unwrap();
    b.end(0, 1, Outcome::Indeterminate).unwrap();
    let shown = b.show(vec![(ix(0), preview(ix(0), at(1)))]);
    b.end(0, 1, Outcome::Succeeded).unwrap();
    assert_eq!(refused(b.approve(shown, "do 1")), Refusal::ShownChanged);
}

#[test]
fn blocked_accepted_waived_and_named() {
    let mut b = Bench::held();
    let now = b.now;
    let shows = |conditions: Vec<Condition>| {
        let mut shown = preview(ix(0), now);
        shown.conditions.extend(conditions);
        vec![(ix(0), shown)]
    };
    let wrong = Condition::new("cluster", Class::Identity, "it is ours", Held::Fails, &"another one", now);
    let shown = b.show(shows(vec![wrong]));
    let said = SafeText::new("step 1, fence: it is ours fails: another one");
    assert_eq!(refused(b.approve(shown, "do 1")), Refusal::Blocked(said));

    let loses = risk("loss", Held::Fails, Some(Span::secs(20)), now);
    let shown = b.show(shows(vec![loses, advice("ttl", Held::Unknown, now)]));
    let approve = |risks: &str, waived: &str, typed: &str| Command::Approve {
        shown,
        risks: vec![(ix(0), text("loss"), text(risks))],
        waived: vec![(ix(0), text("ttl"), text(waived))],
        typed: text(typed),
    };
    for typed in ["", "risk it", "risk it 19s", "risk it unknown", "RISK IT 30s"] {
        let refusal = refused(b.person(approve(typed, "x", "do 1")));
        let (what, expected) = ("no risk".into(), text("risk it 2m"));
        assert_eq!(refusal, Refusal::NotAccepted { step: ix(0), what, expected }, "{typed}");
    }
    let refusal = refused(b.person(approve("risk it 30s", "  ", "do 1")));
    assert_eq!(refusal, Refusal::NotWaived { step: ix(0), what: "well advised".into() });
    for typed in ["", "do", "do 2", "DO 1", "do  1"] {
        let refusal = refused(b.person(approve("risk it 30s", "it will do", typed)));
        assert_eq!(refusal, Refusal::WrongWords(text("do 1")), "{typed}");
    }
    b.person(approve("risk it 30s", "it will do", "do 1")).unwrap();
    let given = &b.state.approval.as_ref().unwrap().approval;
    assert_eq!(given.consents[0].ceiling.span, Some(Span::secs(30)));
    assert_eq!(given.waived[0].reason.as_str(), "it will do");
    assert_eq!(given.lasts, Span::secs(330));
}

#[test]
fn a_target_without_a_name_cannot_be_approved() {
    let mut b = Bench::held();
    let mut nameless = preview(ix(0), b.now);
    nameless.challenge.clear();
    let shown = b.show(vec![(ix(0), nameless)]);
    assert_eq!(refused(b.approve(shown, "")), Refusal::WrongWords(String::new()));
}

#[test]
fn not_approved_used_and_expired() {
    let mut b = Bench::held();
    assert_eq!(refused(b.begin(0)), Refusal::NotApproved(ix(0)));
    assert_eq!(refused(b.runner(Command::Disarm { why: vec![] })), Refusal::NotApproved(ix(0)));
    b.approved(0, 0);
    b.now = at(332);
    assert_eq!(refused(b.begin(0)), Refusal::Expired);
    b.now = at(331);
    let boot = std::mem::replace(&mut b.boot, "boot 2".into());
    assert_eq!(refused(b.begin(0)), Refusal::Expired);
    b.boot = boot;
    b.begin(0).unwrap();
    b.end(0, 1, Outcome::Failed).unwrap();
    assert_eq!(refused(b.begin(0)), Refusal::NotApproved(ix(0)), "a failure uses the approval up");
    // Should it ever still stand there, it would not count twice.
    let mut forged = b.state.clone();
    b.approved(0, 0);
    forged.approval = b.state.approval.clone().map(|g| Given { seq: forged.steps[0].attempts[0].approval, ..g });
    let begin = Command::Begin { step: ix(0), preview: Box::new(preview(ix(0), b.now)) };
    assert_eq!(decide(&forged, begin, b.asker(Some(Epoch(1)))), Err(Refusal::Used(ix(0))));
    b.begin(0).unwrap();
}

/// Whatever client wrote it: an approval that does not follow from what was shown begins nothing.
#[test]
fn an_approval_that_its_words_do_not_give_is_disarmed() {
    let mut b = Bench::held();
    let mut risky = preview(ix(0), b.now);
    risky.conditions.push(risk("loss", Held::Fails, Some(Span::secs(20)), b.now));
    let shown = b.show(vec![(ix(0), risky.clone())]);
    let risks = vec![(ix(0), text("loss"), text("risk it 30s"))];
    let approve = Command::Approve { shown, risks, waived: vec![], typed: text("do 1") };
    let bodies = decide(&b.state, approve, b.asker(None)).unwrap();
    let [Body::Approved(honest)] = &bodies[..] else { panic!("{bodies:?}") };
    type Forge = fn(&mut Approval);
    let forgeries: [(&str, Forge); 6] = [
        ("a ceiling that was not typed", |a| a.consents[0].ceiling.span = Some(Span::secs(9_000))),
        ("no consent", |a| a.consents.clear()),
        ("other words", |a| a.typed = "do 2".to_owned()),
        ("a longer range", |a| a.to = ix(3)),
        ("another identity", |a| a.bounds[0].identity = Identity::default()),
        ("for longer", |a| a.lasts = Span::secs(1_000_000)),
    ];
    for (what, forge) in forgeries {
        let mut forged = honest.clone();
        forge(&mut forged);
        let mut run = Bench { entries: b.entries.clone(), state: b.state.clone(), now: b.now, boot: b.boot.clone() };
        run.append(Epoch(1), Body::Approved(forged));
        let begin = Command::Begin { step: ix(0), preview: Box::new(risky.clone()) };
        let bodies = run.runner(begin).unwrap();
        assert!(matches!(bodies[..], [Body::Disarmed { .. }]), "{what}: {bodies:?}");
    }
    b.append(Epoch(1), bodies[0].clone());
    let begin = Command::Begin { step: ix(0), preview: Box::new(risky) };
    assert!(matches!(b.runner(begin).unwrap()[..], [Body::Intent { .. }]));
}

#[test]
fn not_held_and_no_attempt() {
    let mut b = Bench::held();
    b.approved(0, 0);
    let stale = Some(Epoch(0));
    let acted = Acted::Refused { said: "no".into() };
    let resolution = Resolution { outcome: Outcome::Failed, why: "x".into(), left: Yield::default() };
    let attempt = Bench::attempt(0, 1);
    let all = || {
        [
            Command::Show { asked: 1, steps: vec![] },
            Command::Begin { step: ix(0), preview: Box::new(preview(ix(0), at(1))) },
            Command::Act { attempt, acted: acted.clone() },
            Command::End { attempt, resolution: resolution.clone() },
            Command::Settle,
            Command::Disarm { why: vec![] },
            Command::Close,
            Command::Raise { what: "x".into() },
            Command::Release { why: "x".into() },
        ]
    };
    for who in [None, stale, Some(Epoch(2))] {
        for command in all() {
            assert_eq!(decide(&b.state, command, b.asker(who)), Err(Refusal::NotHeld));
        }
    }
    assert_eq!(refused(b.acted(0, 1)), Refusal::NoAttempt(attempt));
    assert_eq!(refused(b.end(0, 1, Outcome::Failed)), Refusal::NoAttempt(attempt));
    b.begin(0).unwrap();
    assert_eq!(refused(b.acted(0, 2)), Refusal::NoAttempt(Bench::attempt(0, 2)));
    b.acted(0, 1).unwrap();
    assert_eq!(refused(b.acted(0, 1)), Refusal::NoAttempt(attempt), "it acted already");
    assert_eq!(refused(b.end(0, 1, Outcome::AlreadyTrue)), Refusal::NoAttempt(attempt), "only `Begin` says so");
    b.end(0, 1, Outcome::Succeeded).unwrap();
    assert_eq!(refused(b.end(0, 1, Outcome::Failed)), Refusal::NoAttempt(attempt));
    b.runner(Command::Release { why: "done".into() }).unwrap();
    for command in all() {
        assert_eq!(decide(&b.state, command, b.asker(Some(Epoch(1)))), Err(Refusal::NotHeld));
    }
}

#[test]
fn reasons_and_ends() {
    let mut b = Bench::held();
    let empty = || text(" \n");
    for command in [
        Command::Withdraw { reason: empty() },
        Command::Skip { step: ix(0), reason: empty() },
        Command::Abort { reason: empty() },
        Command::Note { text: empty() },
        Command::Date { t0: Moment { at: at(0).wall, why: "".into() } },
        Command::Confirm { step: ix(5), done: true, words: empty() },
    ] {
        assert_eq!(refused(b.person(command)), Refusal::NoReason);
    }
    assert_eq!(refused(b.runner(Command::Close)), Refusal::NotOver(ix(0)));
    b.person(Command::Date { t0: Moment { at: at(5).wall, why: "the load balancer's log".into() } }).unwrap();
    assert_eq!(b.state.t0.at, at(5).wall);
    b.person(Command::Abort { reason: text("x") }).unwrap();
    assert_eq!(refused(b.person(Command::Acknowledge { reason: empty() })), Refusal::NoReason);
}

#[test]
fn what_is_there_already_is_recorded_and_not_done() {
    let mut b = Bench::held();
    b.approved(0, 0);
    let mut there = preview(ix(0), b.now);
    there.already = Held::Holds;
    there.left.facts.push("somebody else did it".into());
    let mut wrong = there.clone();
    wrong.conditions[0].held = Held::Unknown;
    let begin = |p: &Preview| Command::Begin { step: ix(0), preview: Box::new(p.clone()) };
    let bodies = decide(&b.state, begin(&wrong), b.asker(Some(Epoch(1)))).unwrap();
    assert!(matches!(bodies[..], [Body::Disarmed { .. }]), "a target that nobody knows proves nothing: {bodies:?}");
    let bodies = b.runner(begin(&there)).unwrap();
    let [Body::Outcome { resolution, .. }] = &bodies[..] else { panic!("{bodies:?}") };
    assert_eq!((resolution.outcome, resolution.left.facts.len()), (Outcome::AlreadyTrue, 1));
    assert_eq!(b.state.steps[0].state, StepState::Done(Outcome::AlreadyTrue));
}

#[test]
fn a_change_before_the_intent_disarms() {
    let mut b = Bench::held();
    b.approved(0, 0);
    let mut other = preview(ix(0), b.now);
    other.identity = other.identity.with("system", &"another");
    let bodies = b.runner(Command::Begin { step: ix(0), preview: Box::new(other) }).unwrap();
    let [Body::Disarmed { why, .. }] = &bodies[..] else { panic!("{bodies:?}") };
    let said = "step 1: the target is another one than was approved: system was id 1, is another";
    assert_eq!(why[0].as_str(), said);
    assert!(b.state.approval.is_none());
    assert_eq!(b.state.phase(), Phase::Waiting(ix(0)));
    assert_eq!(refused(b.begin(0)), Refusal::NotApproved(ix(0)));
}

#[test]
fn a_new_tenure_settles_what_the_old_one_left() {
    let mut b = Bench::held();
    b.approved(0, 2);
    b.carry_out(0);
    b.begin(1).unwrap();
    b.begin(2).unwrap();
    b.acted(2, 1).unwrap();
    assert_eq!(b.runner(Command::Settle).unwrap(), [], "one's own is not lost");
    b.tenure(2);
    let bodies = b.runner(Command::Settle).unwrap();
    let said = |body: &Body| {
        let Body::Outcome { attempt, resolution } = body else { panic!("{body:?}") };
        (*attempt, resolution.outcome)
    };
    let lost = [(Bench::attempt(1, 1), Outcome::Indeterminate), (Bench::attempt(2, 1), Outcome::Indeterminate)];
    assert_eq!(bodies.iter().map(said).collect::<Vec<_>>(), lost);
    assert_eq!(b.state.phase(), Phase::Halted(ix(1), Outcome::Indeterminate));
    assert_eq!(refused(b.begin(1)), Refusal::NotApproved(ix(1)), "never repeated blindly");
    // Looking settles it.
    b.end(1, 1, Outcome::Succeeded).unwrap();
    b.end(2, 1, Outcome::Succeeded).unwrap();
    assert_eq!(b.state.phase(), Phase::Waiting(ix(3)));
}

#[test]
fn the_last_look_before_the_act() {
    let mut b = Bench::held();
    b.approved(0, 0);
    let attempt = Bench::attempt(0, 1);
    let look = |b: &Bench, p: &Preview, epoch| may_act(&b.state, attempt, p, b.asker(Some(Epoch(epoch))));
    let fine = preview(ix(0), b.now);
    let why = |r: Result<(), Vec<SafeText>>| r.unwrap_err().iter().map(ToString::to_string).collect::<String>();
    assert_eq!(why(look(&b, &fine, 1)), "attempt 1.1 is not open");
    b.begin(0).unwrap();
    look(&b, &fine, 1).unwrap();
    assert_eq!(why(look(&b, &fine, 2)), "this tenure is over");
    let mut worse = fine.clone();
    worse.conditions[0].held = Held::Unknown;
    assert_eq!(why(look(&b, &worse, 1)), "it is the right one: unknown: read");
    b.now = at(400);
    assert_eq!(why(look(&b, &fine, 1)), "the approval has expired");
    b.now = at(10);
    b.person(Command::Withdraw { reason: text("wait") }).unwrap();
    assert_eq!(why(look(&b, &fine, 1)), "no approval holds for step 1");
    let mut b = Bench::held();
    b.approved(0, 0);
    b.begin(0).unwrap();
    b.person(Command::Abort { reason: text("stop") }).unwrap();
    assert_eq!(why(look(&b, &fine, 1)), "the run is being ended: stop");
}

#[test]
fn how_far_it_is_is_kept_coarsely() {
    let mut b = Bench::held();
    b.approved(0, 0);
    b.begin(0).unwrap();
    let attempt = Bench::attempt(0, 1);
    let says = |b: &mut Bench, secs: u64, what: &str| {
        b.now = at(secs);
        b.runner(Command::Progress { attempt, what: what.into() }).map(|bodies| !bodies.is_empty())
    };
    let began = 1;
    assert_eq!(says(&mut b, began + 1, "1 %"), Ok(false), "what is over in a moment has no progress");
    assert_eq!(says(&mut b, began + 5, "5 %"), Ok(true));
    assert_eq!(says(&mut b, began + 9, "9 %"), Ok(false), "not so often");
    assert_eq!(says(&mut b, began + 60, "5 %"), Ok(false), "no news");
    assert_eq!(says(&mut b, began + 60, "60 %"), Ok(true));
    let progress = b.state.steps[0].attempts[0].progress.clone().unwrap();
    assert_eq!((progress.0.as_str(), progress.1), ("60 %", at(began + 60)));
    // A day of it, said at every second, is not many entries.
    let kept = (began + 61..began + 86_400).filter(|secs| says(&mut b, *secs, &secs.to_string()) == Ok(true)).count();
    assert!((200..400).contains(&kept), "{kept}");
    // Only of what is in hand, and only by whoever has it in hand.
    let wrong = Command::Progress { attempt: Bench::attempt(0, 2), what: "x".into() };
    assert_eq!(refused(b.runner(wrong)), Refusal::NoAttempt(Bench::attempt(0, 2)));
    let mine = Command::Progress { attempt, what: "y".into() };
    assert_eq!(refused(b.person(mine.clone())), Refusal::NotHeld);
    b.tenure(2);
    assert_eq!(refused(b.runner(mine.clone())), Refusal::NoAttempt(attempt), "another tenure began it");
    b.runner(Command::Settle).unwrap();
    assert_eq!(refused(b.runner(mine)), Refusal::NoAttempt(attempt), "it has ended");
    assert_eq!(fold(&b.entries).unwrap(), b.state);
}

#[test]
fn a_closed_run_is_taken_to_be_watched_and_for_nothing_else() {
    let mut b = Bench::held();
    b.person(Command::Abort { reason: text("enough") }).unwrap();
    b.tenure(2);
    assert_eq!((b.state.epoch, b.state.held, b.state.ignored.len()), (Epoch(2), true, 0));
    b.runner(Command::Raise { what: "the old primary answers".into() }).unwrap();
    assert_eq!(refused(b.begin(0)), Refusal::Closed);
    assert_eq!(refused(b.person(ask(0, 0))), Refusal::Closed);
    assert_eq!(refused(b.runner(Command::Settle)), Refusal::Closed);
    b.runner(Command::Release { why: "noted".into() }).unwrap();
}
