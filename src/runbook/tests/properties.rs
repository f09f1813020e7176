//! P1 to P9, on clients, runners and journal together, whatever happens in whatever order.
#![expect(clippy::wildcard_enum_match_arm, reason = "each property looks for a few of many kinds of entries")]

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::*;
use super::bench::entry;
use super::model::{Act, Counts, Model};
use crate::plan::{SafeText, Span};

/// Cases of each property.
const CASES: u32 = 10_000;

/// What happens: a few hundred bytes, each event a handful.
fn tape() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

/// One property: a name, what it says, and how a finished play is judged.
macro_rules! property {
    ($(#[doc = $says:literal])+ $name:ident, $judge:expr) => {
        $(#[doc = $says])+
        #[test]
        fn $name() {
            let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
            proptest!(config, |(bytes in tape())| {
                let judge: fn(&Model) -> Result<(), String> = $judge;
                let model = Model::play(&bytes, false);
                prop_assert_eq!(judge(&model), Ok(()));
            });
        }
    };
}

/// The journal as it was when something was done.
fn before<'a>(model: &'a Model, act: &Act) -> &'a [Entry] {
    &model.store.entries[..usize::try_from(act.after).unwrap()]
}

/// The intent of an act, and the approval that it names.
fn approval_of<'a>(model: &'a Model, act: &Act) -> Result<(&'a Entry, &'a Entry, &'a Approval), String> {
    let intent = before(model, act).iter().find_map(|e| match &e.body {
        Body::Intent { attempt, approval, .. } if *attempt == act.attempt => Some((e, *approval)),
        _ => None,
    });
    let (intent, approval) = intent.ok_or_else(|| format!("no intent for {act:?}"))?;
    let given = &model.store.entries[usize::try_from(approval).unwrap() - 1];
    let Body::Approved(approval) = &given.body else { return Err(format!("{given:?} is no approval")) };
    Ok((intent, given, approval))
}

/// What was shown for an approval.
fn shown_for<'a>(model: &'a Model, approval: &Approval, step: StepIx) -> Result<(&'a Entry, &'a Preview), String> {
    let shown = &model.store.entries[usize::try_from(approval.shown).unwrap() - 1];
    let Body::Shown { steps, .. } = &shown.body else { return Err(format!("{shown:?} shows nothing")) };
    let preview = steps.iter().find(|(ix, _)| *ix == step).ok_or("the step was not shown")?;
    Ok((shown, &preview.1))
}

property!(
    /// P1: nothing is done unless an unexpired approval covers the step, every identity condition holds at that moment,
    /// every risk holds or has a consent whose ceiling covers it, and every piece of advice holds or is waived.
    p1_only_what_is_approved_and_still_holds_is_done,
    |model| {
        for act in &model.acts {
            let (_, given, approval) = approval_of(model, act)?;
            let age = act.now.boot.0.checked_sub(given.at.boot.0).ok_or("approved later than done")?;
            if act.boot != given.boot || age > approval.lasts.0 || !approval.covers(act.attempt.step) {
                return Err(format!("{act:?}: expired, or not covered, by {approval:?}"));
            }
            let (shown, preview) = shown_for(model, approval, act.attempt.step)?;
            let fresh = given.at.boot.0.checked_sub(shown.at.boot.0).is_some_and(|age| age <= MOST_AGE);
            if shown.boot != given.boot || !fresh || approval.typed.is_empty() {
                return Err(format!("approved by what was not seen just before: {act:?}"));
            }
            for condition in act.target.conditions.iter().filter(|c| c.held != Held::Holds) {
                let mine = |step: StepIx, id: &str| step == act.attempt.step && id == condition.id;
                // By the words themselves: each risk of the model has a size, and wants `risk it` and a length of time.
                let covered = |c: &Consent| {
                    let most: Option<Span> = c.typed.strip_prefix("risk it ").and_then(|t| t.parse().ok());
                    let now = condition.amount.and_then(|a| a.span);
                    mine(c.step, &c.condition) && c.ceiling.span == most && now.is_some() && now <= most
                };
                let fine = match condition.class {
                    Class::Identity => false,
                    Class::Risk => approval.consents.iter().any(covered),
                    Class::Advice => approval.waived.iter().any(|w| mine(w.step, &w.condition)),
                };
                let then = preview.conditions.iter().find(|c| c.id == condition.id);
                let worsened = then.is_some_and(|then| worse(then.held, condition.held));
                if !fine || worsened {
                    return Err(format!("{act:?}: {condition:?} does not hold"));
                }
            }
        }
        Ok(())
    }
);

property!(
    /// P2: each act follows a durable intent of the same tenure, which was the newest then.
    p2_an_intent_is_durable_before_anything_is_done,
    |model| {
        for act in &model.acts {
            let (intent, ..) = approval_of(model, act)?;
            let newest = before(model, act).iter().map(|e| e.epoch).max();
            if intent.epoch != act.epoch || newest != Some(act.epoch) {
                return Err(format!("{act:?}: intent of {:?}, newest {newest:?}", intent.epoch));
            }
        }
        Ok(())
    }
);

property!(
    /// P3: at most one attempt of a step is open, two open ones are of one declared group, and no attempt acts twice.
    p3_one_attempt_at_a_time_and_each_acts_once,
    |model| {
        let mut done = HashSet::new();
        if let Some(twice) = model.acts.iter().find(|a| !done.insert(a.attempt)) {
            return Err(format!("{} acted twice", twice.attempt));
        }
        let mut open: Vec<AttemptId> = Vec::new();
        for entry in &model.store.entries {
            match &entry.body {
                Body::Intent { attempt, .. } => open.push(*attempt),
                Body::Outcome { attempt, .. } => open.retain(|a| a != attempt),
                _ => {}
            }
            let group = |a: &AttemptId| matches!(a.step.0, 1 | 2);
            let steps: HashSet<StepIx> = open.iter().map(|a| a.step).collect();
            if steps.len() != open.len() || (open.len() > 1 && !open.iter().all(group)) {
                return Err(format!("open at once after {}: {open:?}", entry.seq));
            }
        }
        Ok(())
    }
);

property!(
    /// P4: what is done is what was shown: the same action, on the same target.
    p4_the_target_is_the_one_that_was_shown,
    |model| {
        for act in &model.acts {
            let (intent, _, approval) = approval_of(model, act)?;
            let (_, shown) = shown_for(model, approval, act.attempt.step)?;
            let Body::Intent { identity, .. } = &intent.body else { return Err("no intent".to_owned()) };
            let same = act.target.identity == shown.identity && *identity == shown.identity;
            if !same || act.target.actions != shown.actions || act.target.target != shown.target {
                return Err(format!("{act:?} is not {shown:?}"));
            }
        }
        Ok(())
    }
);

/// P5: where people may only look, nothing is done, whatever the runners try.
#[test]
fn p5_read_only_does_nothing() {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(bytes in tape())| {
        let model = Model::play(&bytes, true);
        prop_assert_eq!(model.acts.len(), 0);
        let acts = |e: &Entry| matches!(e.body, Body::Intent { .. } | Body::Acted { .. } | Body::Outcome { .. });
        prop_assert!(!model.store.entries.iter().any(acts));
    });
}

property!(
    /// P6: what nobody could say the end of is not tried again without an approval that is newer than that.
    p6_indeterminate_is_never_repeated_blindly,
    |model| {
        for (at, entry) in model.store.entries.iter().enumerate() {
            let Body::Intent { attempt, approval, .. } = &entry.body else { continue };
            let last = model.store.entries[..at].iter().rev().find_map(|e| match &e.body {
                Body::Outcome { attempt: a, resolution } if a.step == attempt.step => Some((e.seq, resolution.outcome)),
                _ => None,
            });
            if let Some((seq, outcome)) = last
                && (*approval <= seq || outcome.is_done())
            {
                return Err(format!("{attempt} by the approval {approval}, after {outcome:?} at {seq}"));
            }
        }
        Ok(())
    }
);

property!(
    /// P7: every view that has read the journal is its fold, everything decided fits, and what a runner that is gone left
    /// without an end is indeterminate once another has settled it.
    p7_a_run_is_the_fold_of_its_journal,
    |model| {
        if let Some(strayed) = model.strayed.first() {
            return Err(strayed.clone());
        }
        if let Some(misfit) = model.misfits.first() {
            return Err(format!("{misfit:?}"));
        }
        // Whoever comes next: takes it, and settles.
        let mut state = fold(&model.store.entries).ok_or("no run")?;
        if state.closed.is_some() {
            let open = state.open_attempts().count();
            return if open == 0 { Ok(()) } else { Err(format!("closed with {open} open")) };
        }
        let lost: Vec<AttemptId> = state.open_attempts().map(|a| a.id).collect();
        let (boot, epoch) = (SafeText::new("later"), Epoch(state.epoch.0 + 1));
        let newest = model.store.entries.last().ok_or("empty")?.at;
        let append = |state: &mut RunState, body| {
            let next = entry(state.seq + 1, newest, &boot, epoch, body);
            state.take(&next);
        };
        append(&mut state, Body::Tenure { pid: 2, version: "0.1.0".into() });
        let asker = Asker { now: newest, boot: &boot, epoch: Some(epoch) };
        let settled = decide(&state, Command::Settle, asker).map_err(|e| e.to_string())?;
        settled.into_iter().for_each(|body| append(&mut state, body));
        for attempt in lost {
            let found = state.steps[attempt.step.place()].state;
            if found != StepState::Halted(Outcome::Indeterminate) {
                return Err(format!("{attempt} is {found:?}"));
            }
        }
        if state.open_attempts().next().is_some() { Err("something is open still".to_owned()) } else { Ok(()) }
    }
);

property!(
    /// P8: what is stale changes nothing: an entry that was read before, one of another run, and everything that a tenure
    /// says that is over. Each is named as ignored.
    p8_what_is_stale_changes_nothing,
    |model| {
        let whole = fold(&model.store.entries).ok_or("no run")?;
        let same = |state: &RunState, what: &str| {
            let mut state = state.clone();
            let named = state.ignored.len() == whole.ignored.len() + 1;
            state.ignored.clone_from(&whole.ignored);
            (state.seq, state.newest) = (whole.seq, whole.newest);
            if state == whole && named { Ok(()) } else { Err(format!("{what} changed {whole:?} to {state:?}")) }
        };
        for entry in model.store.entries.iter().rev().take(12) {
            let mut state = whole.clone();
            state.take(entry);
            same(&state, "an entry that was read before")?;
            // Spoken again by a tenure that is over, as if it were the next one.
            let runners = matches!(
                entry.body,
                Body::Shown { .. }
                    | Body::Disarmed { .. }
                    | Body::Intent { .. }
                    | Body::Acted { .. }
                    | Body::Progress { .. }
                    | Body::Outcome { .. }
                    | Body::Released { .. }
                    | Body::Tenure { .. }
            );
            if runners && whole.epoch.0 > 0 {
                let mut late = entry.clone();
                (late.seq, late.epoch) = (whole.seq + 1, Epoch(whole.epoch.0 - 1));
                let mut state = whole.clone();
                state.take(&late);
                same(&state, "a tenure that is over")?;
            }
            let mut foreign = entry.clone();
            (foreign.run, foreign.seq) = (RunId::new("other"), whole.seq + 1);
            let mut state = whole.clone();
            state.take(&foreign);
            same(&state, "another run")?;
        }
        Ok(())
    }
);

property!(
    /// P9: taken back, disarmed, ended or closed at any time before it acts, it does not act: each is one entry, and no
    /// act by that approval follows it.
    p9_what_is_taken_back_does_not_act,
    |model| {
        for act in &model.acts {
            let (_, given, _) = approval_of(model, act)?;
            let since = &before(model, act)[usize::try_from(given.seq).unwrap()..];
            let end = since.iter().find(|e| match &e.body {
                Body::Withdrawn { .. } | Body::Aborting { .. } | Body::Closed(_) | Body::Skipped { .. } => true,
                Body::Disarmed { approval, .. } => *approval == given.seq,
                Body::Approved(_) => true,
                _ => false,
            });
            if let Some(end) = end {
                return Err(format!("{act:?} after {end:?}"));
            }
        }
        Ok(())
    }
);

/// A model in which nothing happens proves nothing: everything that the properties speak of happens, often.
#[test]
fn everything_happens_in_the_model() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_be_bytes()[0]
    };
    let (mut counts, mut acts, mut retried, mut beside, mut closed, mut completed) = (Counts::default(), 0, 0, 0, 0, 0);
    let (mut outcomes, mut settled) = ([0_usize; 5], 0);
    let mut kinds: HashSet<std::mem::Discriminant<Body>> = HashSet::new();
    for _ in 0..3_000 {
        let bytes: Vec<u8> = (0..600).map(|_| random()).collect();
        let model = Model::play(&bytes, false);
        counts.add(model.counts);
        acts += model.acts.len();
        retried += model.acts.iter().filter(|a| a.attempt.nth > 1).count();
        let mut open: Vec<AttemptId> = Vec::new();
        for entry in &model.store.entries {
            kinds.insert(std::mem::discriminant(&entry.body));
            match &entry.body {
                Body::Intent { attempt, .. } => {
                    beside += usize::from(!open.is_empty());
                    open.push(*attempt);
                }
                Body::Outcome { attempt, resolution } => {
                    open.retain(|a| a != attempt);
                    outcomes[resolution.outcome as usize] += 1;
                    settled += usize::from(resolution.why.as_str().contains("runner is gone"));
                }
                Body::Closed(closing) => {
                    closed += 1;
                    completed += usize::from(*closing == Closing::Completed);
                }
                _ => {}
            }
        }
    }
    let told = format!(
        "{counts:?}, {acts} acts, {retried} retries, {beside} side by side, {closed} closed, {completed} completed, \
         {settled} settled, outcomes {outcomes:?}, {} kinds of entries",
        kinds.len()
    );
    println!("{told}");
    let often = [acts / 10, retried, closed, settled, counts.moved, counts.failed_commits, counts.lost_commits];
    let more = [counts.not_started, counts.refused];
    let all = often.iter().chain(&more).chain(&outcomes);
    assert!(all.min() >= Some(&100), "{told}");
    let seldom = [beside, completed, counts.superseded, counts.not_admitted];
    assert!(seldom.iter().min() >= Some(&3), "{told}");
    assert!(kinds.len() >= 19, "{told}");
}
