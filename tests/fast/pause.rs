//! The steps that wait, `manual` and `wait-for`, in a run that obeys every rule of the journal.

use std::sync::Arc;
use std::time::Duration;

use lifeboat::clock;
use lifeboat::plan::{Area, Plan};
use lifeboat::readiness::rules::RUNBOOK;
use lifeboat::readiness::{PlanStatus, Verdict};
use lifeboat::runbook::{Command, Held, Outcome, RunbookKind, StepIx, Strength};

use crate::acting::{Run, within};
use crate::two_sites;

fn run(kind: &str, keys: &str) -> Run {
    let text = format!(
        "[[plan]]\nname = \"payments\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
         sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"dns\"]\n\
         [[plan.switchover]]\nstep = \"it\"\nkind = \"{kind}\"\n{keys}\n"
    );
    Run::open(&text, RunbookKind::Switchover, "east", "west")
}

#[tokio::test]
async fn a_person_does_it_and_says_so() {
    let keys =
        "instructions = [\"pull the plug of db1\", \"see its lamp go out\"]\nrole = \"fence\"\non = \"old-active\"";
    let run = run("manual", keys);
    let mut step = run.step(0);
    let shown = step.approve().await.unwrap();
    assert_eq!(
        shown.actions.iter().map(|a| a.as_str()).collect::<Vec<_>>(),
        ["pull the plug of db1", "see its lamp go out"]
    );
    assert_eq!((shown.challenge.as_str(), shown.already), ("east", Held::Unknown));
    step.act(within(5)).await.unwrap();
    let seen = step.look().await;
    assert_eq!((seen.held, seen.waits.is_some()), (Held::Unknown, true));
    let say = |done| Command::Confirm { step: StepIx(0), done, words: "the lamp is out".to_owned() };
    run.command(say(false)).unwrap();
    assert_eq!(step.look().await.held, Held::Fails);
    run.command(say(true)).unwrap();
    let seen = step.look().await;
    assert_eq!((seen.held, seen.why.as_str()), (Held::Holds, "said: the lamp is out"));
    // Nobody but a person saw it.
    assert_eq!(seen.left.fence.map(|f| f.strength), Some(Strength::Assumed));
}

/// The plan of the other tests, judged now.
fn judged(received: u64) -> Arc<PlanStatus> {
    judged_of(two_sites::plan("payments"), received)
}

fn judged_of(plan: Arc<Plan>, received: u64) -> Arc<PlanStatus> {
    let mut model = two_sites::model(&[Arc::clone(&plan)], clock::now());
    let now = clock::now();
    for poll in [two_sites::primary(&plan, "east", now, 1_000), two_sites::standby(&plan, "west", now, received)] {
        model.polled(poll);
    }
    model.settle(clock::now());
    Arc::clone(&model.snapshot(clock::now()).plans[0])
}

#[tokio::test]
async fn it_waits_until_the_plan_is_judged_well_by_what_was_read_since() {
    let mut run = run("wait-for", "area = \"replication\"");
    // Not looked at; and then not well.
    assert_eq!(run.step(0).look().await.held, Held::Unknown);
    run.status = Some(judged(1_000));
    let before = run.status.clone();
    assert_eq!(run.step(0).preview().await.already, Held::Holds, "{:?}", run.step(0).preview().await);
    run.status = Some(judged(0));
    let mut step = run.step(0);
    assert_ne!(step.preview().await.already, Held::Holds);
    step.approve().await.unwrap();
    step.act(within(5)).await.unwrap();
    drop(step);
    // What was good before it began proves nothing of now.
    run.status = before;
    let stale = run.step(0).look().await;
    assert_eq!(stale.held, Held::Unknown, "{stale:?}");
    assert!(stale.why.as_str().contains("not judged since the last step"), "{stale:?}");
    run.status = Some(judged(1_000));
    let seen = run.step(0).look().await;
    assert_eq!((seen.held, seen.waits), (Held::Holds, None), "{}", seen.why);
}

#[tokio::test]
async fn what_no_runner_looks_through_is_not_waited_for() {
    let mut plan = Plan::clone(&two_sites::plan("payments"));
    plan.runbooks = vec!["switchover".into()];
    let plan = Arc::new(plan);
    let mut run = run("wait-for", "area = \"replication\"");
    let status = judged_of(plan, 1_000);
    let rehearsal = status.findings.iter().find(|f| f.rule == RUNBOOK).unwrap();
    assert_eq!((rehearsal.area, rehearsal.verdict), (Area::Replication, Verdict::Unknown));
    run.status = Some(status);
    let seen = run.step(0).look().await;
    assert_eq!(seen.held, Held::Holds, "{}", seen.why);
}

#[tokio::test]
async fn a_finding_that_is_not_there_is_never_well() {
    let mut none = run("wait-for", "finding = \"dns.traffic\"");
    none.status = Some(judged(1_000));
    let seen = none.step(0).look().await;
    assert_eq!((seen.held, seen.why.as_str()), (Held::Unknown, "no finding says anything of it"));
    let mut situation = run("wait-for", "situation = \"normal\"");
    situation.status = Some(judged(1_000));
    let ended = situation.step(0).preview().await;
    assert_eq!(ended.already, Held::Holds, "{ended:?}");
    let mut other = run("wait-for", "situation = \"no-primary\"");
    other.status = Some(judged(1_000));
    assert_eq!(other.step(0).preview().await.already, Held::Fails);
    // Nobody judges the plan any more: nobody can say.
    assert_eq!(other.step(0).carry_out(Duration::from_millis(300)).await.outcome, Outcome::Indeterminate);
}

#[test]
fn what_cannot_be_waited_for_is_refused_with_its_place() {
    let refused = |keys: &str| {
        let text = format!(
            "[[plan]]\nname = \"p\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
             sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"dns\"]\n\
             [[plan.switchover]]\nstep = \"it\"\nkind = \"wait-for\"\n{keys}\n"
        );
        lifeboat::config::parse("c.toml", &text).unwrap_err().to_string()
    };
    assert!(refused("").contains("waits for one thing"));
    assert!(refused("area = \"dns\"\nsituation = \"normal\"").contains("waits for one thing"));
    assert!(refused("finding = \"dns.trafic\"").contains("there is no rule \"dns.trafic\""));
    assert!(refused("area = \"dns\"\nof = \"door\"").contains("the plan has no probe \"door\""));
    assert!(refused("situation = \"normal\"\non = \"west\"").contains("a situation is the whole plan's"));
}
