//! Runbooks that are read, and what is said of those that are not.

use super::*;
use crate::runbook::{On, RunbookKind};

/// The good configuration with these tables in the place of its last one.
fn with(tables: &str) -> Result<Config, Vec<String>> {
    let text = GOOD.replacen("[[plan.loss]]", &format!("{tables}[[plan.loss]]"), 1);
    read(&text).map_err(|Problems(problems)| {
        let one = |p: &Problem| format!("{}:{} {}: {} | {}", p.place.line, p.place.column, p.key, p.what, p.right);
        problems.iter().map(one).collect()
    })
}

const FENCE: &str =
    "[[plan.failover]]\nstep = \"fence\"\nkind = \"fake-fence\"\nprobe = \"orders-db\"\non = \"old-active\"\n";
const PROMOTE: &str =
    "[[plan.failover]]\nstep = \"promote\"\nkind = \"fake-promote\"\nprobe = \"orders-db\"\non = \"new-active\"\n";
const TRAFFIC: &str = "[[plan.failover]]\nstep = \"dns\"\nkind = \"fake-traffic\"\nprobe = \"door\"\n";
const LOOK: &str = "[[plan.failover]]\nstep = \"look\"\nkind = \"fake-look\"\n";

fn steps(of: &[&str]) -> String {
    of.concat()
}

#[test]
fn a_runbook_is_read_with_what_its_kinds_say() {
    let text = steps(&[FENCE, PROMOTE, TRAFFIC, LOOK])
        .replace("kind = \"fake-look\"", "kind = \"fake-look\"\ngroup = \"g\"\nexpect = \"5s\"\ndeadline = \"7s\"");
    let config = with(&text).unwrap();
    let books = config.runbooks.get(&PlanId::new("payments")).unwrap();
    let book = books.get(RunbookKind::Failover).unwrap();
    assert!(books.get(RunbookKind::Switchover).is_none());
    let names: Vec<&str> = book.steps.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["fence", "promote", "dns", "look"]);
    let fence = &book.steps[0];
    assert_eq!(
        (fence.role, fence.on.as_ref(), fence.deadline),
        (StepRole::Fence, Some(&On::OldActive), Span::secs(30))
    );
    assert_eq!(fence.probe.as_deref(), Some("orders-db"));
    assert!(book.steps[1].is_point_of_no_return());
    let look = &book.steps[3];
    assert_eq!((look.deadline, look.expect, look.group.as_deref()), (Span::secs(7), Some(Span::secs(5)), Some("g")));
}

#[test]
fn secrets_of_steps_are_known_by_their_place() {
    let look = LOOK.to_owned() + "token = { env = \"TOKEN\" }\n";
    let config = with(&steps(&[FENCE, PROMOTE, &look])).unwrap();
    let secret = config.secrets.iter().find(|s| s.key.contains("failover")).unwrap();
    assert_eq!((secret.key.as_str(), secret.place.line), ("plan[payments].failover[#3].token", 39));
}

#[test]
fn what_is_pinned_reads_as_the_same_plan() {
    let text =
        steps(&[FENCE, PROMOTE, TRAFFIC, LOOK]) + "[[plan.confirm]]\nwhat = \"routes\"\nby = \"me\"\non = 2026-02-01\n";
    let config = with(&text).unwrap();
    let id = PlanId::new("payments");
    let pinned = pinned(&config, &id).unwrap();
    let again = parse_with(&[&FAKE], "pinned", &pinned).unwrap_or_else(|p| panic!("{p}\n{pinned}"));
    assert_eq!(again.runbooks, config.runbooks);
    assert_eq!(format!("{:?}", again.plans), format!("{:?}", config.plans));
    assert!(super::super::pinned(&config, &PlanId::new("other")).is_none());
    // A site that only another plan has is elsewhere for this one.
    let other = GOOD
        .replace("here = \"west\"", "here = \"mars\"")
        .replace("[[plan.loss]]", &format!("{text}[[plan.loss]]"))
        + "[[plan]]\nname = \"other\"\ntier = 1\nstrategy = \"pilot-light\"\nobjectives = { rpo = \"30s\", rto = \"5m\" }\n\
           sites = { mars = \"x\", moon = \"y\" }\nhome = \"mars\"\n";
    let config = read(&other).unwrap_or_else(|p| panic!("{p}"));
    let text = super::super::pinned(&config, &id).unwrap();
    assert!(text.contains("here = \"elsewhere\""), "{text}");
    assert!(!text.contains("moon"));
}

#[test]
fn each_mistake_of_a_step_has_its_place() {
    let table: &[(String, &[&str])] = &[
        (
            steps(&[FENCE, PROMOTE, LOOK]).replace("fake-look", "fake-lok"),
            &["38:8 plan[payments].failover[#3].kind: unknown value \"fake-lok\" | did you mean \"fake-look\"?"],
        ),
        (
            steps(&[FENCE, PROMOTE, LOOK]).replace("step = \"look\"\n", ""),
            &[
                "36:1 plan[payments].failover[#3].step: `step` is missing | add `step = ...`: Its name, unique in its runbook: what it does, in your words",
            ],
        ),
        (
            steps(&[FENCE, PROMOTE, LOOK]).replace("on = \"old-active\"", "on = \"old-activ\""),
            &["30:6 plan[payments].failover[#1].on: the plan has no site \"old-activ\" | did you mean \"old-active\"?"],
        ),
        (
            steps(&[FENCE, PROMOTE, LOOK])
                .replace("probe = \"orders-db\"\non = \"old", "probe = \"orders-bd\"\non = \"old"),
            &[
                "29:9 plan[payments].failover[#1].probe: the plan has no probe \"orders-bd\" | did you mean \"orders-db\"?",
            ],
        ),
        (
            steps(&[FENCE, PROMOTE, LOOK]).replace("probe = \"orders-db\"\non = \"old", "probe = \"door\"\non = \"old"),
            &[
                "29:9 plan[payments].failover[#1].probe: \"door\" is a probe of kind \"fake-dns\": fake-fence cannot act on it | a probe of kind fake-db",
            ],
        ),
        (
            steps(&[&FENCE.replace("probe = \"orders-db\"\n", ""), PROMOTE, LOOK]),
            &[
                "26:1 plan[payments].failover[#1].probe: `probe` is missing | add `probe = ...`: The probe whose system it acts on, where its kind acts on one",
            ],
        ),
        (
            steps(&[FENCE, PROMOTE, LOOK]) + "changes = \"bad\"\n",
            &["39:11 plan[payments].failover[#3].changes: bad is bad | good"],
        ),
        (
            steps(&[FENCE, PROMOTE, LOOK]) + "deadline = \"0s\"\nexpcet = \"1s\"\n",
            &[
                "39:12 plan[payments].failover[#3].deadline: 0s is out of range | above 0 and at most 1d",
                "40:1 plan[payments].failover[#3].expcet: unknown key `expcet` | did you mean `expect`?",
            ],
        ),
        // The order of things.
        (
            steps(&[PROMOTE, FENCE, LOOK]),
            &[
                "26:1 plan[payments].failover[#1]: promotes before anything is fenced: two sites could take writes | put a fence before it, or say why not: because = \"...\"",
            ],
        ),
        (
            steps(&[FENCE, TRAFFIC, PROMOTE, LOOK]),
            &[
                "31:1 plan[payments].failover[#2]: moves traffic before the site takes writes | put it after the promotion, or say why not: because = \"...\"",
            ],
        ),
        (
            steps(&[FENCE, PROMOTE]),
            &[
                "31:1 plan[payments].failover[#2]: nothing verifies the service after this step | end with a step that looks, such as sql-check, http, clients-moved or wait-for",
            ],
        ),
        (
            steps(&[FENCE, PROMOTE, LOOK, LOOK]),
            &["40:8 plan[payments].failover[#4].step: step 3 has that name already | give each step its own name"],
        ),
        (
            steps(&[FENCE, &(PROMOTE.to_owned() + "group = \"g\"\n"), &(LOOK.to_owned() + "group = \"g\"\n")]),
            &[
                "36:9 plan[payments].failover[#2].group: a promotion cannot run side by side with other steps | take it out of the group",
            ],
        ),
        (
            steps(&[&FENCE.replace("old-active", "new-active"), &PROMOTE.replace("new-active", "old-active"), LOOK]),
            &[
                "30:6 plan[payments].failover[#1].on: fences the site that takes over | on = \"old-active\"",
                "35:6 plan[payments].failover[#2].on: promotes the site that is being left | on = \"new-active\"",
            ],
        ),
        // A rehearsal on what users use: the lanes of the plan's own probes.
        (
            (FENCE.to_owned() + "changes = \"east\"\n").replace("plan.failover", "plan.drill"),
            &[
                "26:1 plan[payments].drill[#1]: a drill must not change east: the plan itself uses it | point it at a copy, or say why it is safe: because = \"...\"",
            ],
        ),
    ];
    for (tables, expected) in table {
        let told = with(tables).err().unwrap_or_default();
        assert_eq!(told, *expected, "\n{tables}");
    }
}

#[test]
fn an_author_who_says_why_is_believed() {
    let promote = PROMOTE.to_owned() + "because = \"the storage layer fences\"\n";
    assert!(with(&steps(&[&promote, LOOK])).is_ok());
    let drill = FENCE.to_owned() + "changes = \"east\"\nbecause = \"a copy of the zone\"\n";
    assert!(with(&drill.replace("plan.failover", "plan.drill")).is_ok());
    let copy = FENCE.to_owned() + "changes = \"copy-of-east\"\n";
    assert!(with(&copy.replace("plan.failover", "plan.drill")).is_ok());
}

#[test]
fn a_plan_with_runbooks_holds_no_password() {
    let url = "postgres://me:hunter2@db/x";
    let text = GOOD.replace("east = \"one\", west = \"two\"", &format!("east = \"{url}\", west = \"two\"")).replacen(
        "[[plan.loss]]",
        &format!("{}[[plan.loss]]", steps(&[FENCE, PROMOTE, LOOK])),
        1,
    );
    let Err(Problems(told)) = read(&text) else { panic!("it was read") };
    let [one] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((one.place.line, one.key.as_str()), (15, "plan[payments].probe[orders-db].at.east"));
    assert!(!one.to_string().contains("hunter2"), "{one}");
    // Without runbooks nothing is pinned.
    assert!(read(&GOOD.replace("east = \"one\", west", &format!("east = \"{url}\", west"))).is_ok());
}

#[test]
fn a_step_that_names_a_broken_probe_adds_no_noise() {
    let text = GOOD.replace("at = { east = \"one\", west = \"two\" }", "at = { east = \"bad\" }").replacen(
        "[[plan.loss]]",
        &format!("{}[[plan.loss]]", steps(&[FENCE, PROMOTE, LOOK])),
        1,
    );
    let Err(Problems(told)) = read(&text) else { panic!("it was read") };
    assert_eq!(told.len(), 1, "{told:?}");
}
