//! The steps that act on PostgreSQL: what each would do, does once, and is seen to have done.
//!
//! Looking uses the probe's own credentials. Acting uses `act_as`, resolved within the act alone, on a connection without
//! any option that keeps it from writing; who answers there is read again on that very connection and compared with who was
//! approved, and what acts is sent once.

mod block;
mod check;
mod clients;
mod commit;
mod control;
mod detach;
mod fence;
mod lock;
mod place;
mod promote;
mod rejoin;
mod restore;
mod sequences;
mod unfence;

use schemars::JsonSchema as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use self::place::{Known, Place};
use super::options::steps::{
    Argv, ClientsOptions, DetachOptions, FenceOptions, PerSite, PromoteOptions, RejoinOptions, RestoreOptions,
    SequencesOptions, SqlCheckStepOptions, UnfenceOptions, command_fault, program,
};
use super::options::{ActAs, Mode, PostgresOptions};
use crate::plan::{Now, Program, SafeText, SiteId, Span, Ssh};
use crate::readiness::Gap;
use crate::runbook::{
    Acted, Class, Condition, Danger, Held, Identity, On, Preview, RetrySafety, RunbookKind, StepIx, StepRole, Verified,
    Yield,
};
use crate::systems::{Fault, Scene, StepContext, StepKind, StepTraits, unreadable};

/// The kinds of steps.
pub(super) const STEPS: &[StepKind] = &[
    StepKind {
        name: FENCE,
        probes: &["postgres"],
        schema: |generator| FenceOptions::json_schema(generator),
        read: fence::read,
        open: fence::open,
    },
    StepKind {
        name: "postgres-unfence",
        probes: &["postgres"],
        schema: |generator| UnfenceOptions::json_schema(generator),
        read: unfence::read,
        open: unfence::open,
    },
    StepKind {
        name: "postgres-promote",
        probes: &["postgres"],
        schema: |generator| PromoteOptions::json_schema(generator),
        read: promote::read,
        open: promote::open,
    },
    StepKind {
        name: "postgres-rejoin",
        probes: &["postgres"],
        schema: |generator| RejoinOptions::json_schema(generator),
        read: rejoin::read,
        open: rejoin::open,
    },
    StepKind {
        name: "sequences-advance",
        probes: &["postgres"],
        schema: |generator| SequencesOptions::json_schema(generator),
        read: sequences::read,
        open: sequences::open,
    },
    StepKind {
        name: "subscription-detach",
        probes: &["postgres"],
        schema: |generator| DetachOptions::json_schema(generator),
        read: detach::read,
        open: detach::open,
    },
    StepKind {
        name: "clients-moved",
        probes: &["postgres"],
        schema: |generator| ClientsOptions::json_schema(generator),
        read: clients::read,
        open: clients::open,
    },
    StepKind {
        name: "restore",
        probes: &["postgres"],
        schema: |generator| RestoreOptions::json_schema(generator),
        read: restore::read,
        open: restore::open,
    },
    StepKind {
        name: "sql-check",
        probes: &["sql-check"],
        schema: |generator| SqlCheckStepOptions::json_schema(generator),
        read: check::read,
        open: check::open,
    },
];

/// The kind whose steps a `postgres-unfence` undoes.
const FENCE: &str = "postgres-fence";

/// The options of a kind, from its keys.
fn keys<T: DeserializeOwned + Default>(value: &Value, what: &str) -> Result<T, Vec<Fault>> {
    if value.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(value.clone()).map_err(|e| vec![Fault::new(&[], &e.to_string(), what)])
}

/// The options of the step at this place.
fn opened<T: DeserializeOwned + Default>(scene: &Scene, ix: StepIx, what: &str) -> Result<T, Fault> {
    let step = scene.step(ix).ok_or_else(|| Fault::new(&[], "no such step", "a step of the runbook"))?;
    keys(&step.options, what).map_err(|mut f| f.pop().unwrap_or_else(|| Fault::new(&[], "not read", what)))
}

/// What most kinds are. Whatever a step of a probe changes, it changes at one of the probe's addresses.
fn traits(context: &StepContext<'_>, role: StepRole, danger: Danger, deadline: Span) -> StepTraits {
    let lanes = context.probe.map_or(&[][..], |p| &p.lanes);
    let touches = if danger == Danger::None { Vec::new() } else { lanes.iter().map(|l| l.server.clone()).collect() };
    StepTraits {
        role,
        danger,
        retry: RetrySafety::ReadBack,
        verified: Verified::ByLooking,
        deadline,
        touches,
        secrets: Vec::new(),
    }
}

/// The probe's options, and the sites whose server a step may act on: each names one server.
fn probe_options<'a>(context: &StepContext<'a>, faults: &mut Vec<Fault>) -> Option<&'a PostgresOptions> {
    let Some(options) = context.probe.and_then(|p| p.options::<PostgresOptions>()) else {
        faults.push(Fault::new(&["probe"], "no probe to act on", "probe = \"the name of a postgres probe\""));
        return None;
    };
    for (site, text) in &options.at {
        if text.params().is_ok_and(|p| Place::hosts(&p) > 1) {
            let what = format!("its probe names several servers in {site}: a step acts on one");
            faults.push(Fault::new(&["probe"], &what, "a probe of one server for each site"));
        }
    }
    Some(options)
}

/// The credentials that act; a step that sends SQL does not do without.
fn acting<'a>(options: &'a PostgresOptions, faults: &mut Vec<Fault>) -> Option<&'a ActAs> {
    if options.act_as.is_none() {
        faults.push(Fault::new(
            &["probe"],
            "its probe says not as whom to act",
            "act_as = { user = \"failover\", password = { command = [...] } } in the probe",
        ));
    }
    options.act_as.as_ref()
}

/// Only physical replication has it.
fn physical(options: &PostgresOptions, faults: &mut Vec<Fault>) {
    if options.mode != Mode::Replicating {
        faults.push(Fault::new(
            &["probe"],
            "its probe's database is no physical standby",
            "a probe with mode = \"replicating\"",
        ));
    }
}

/// Only logical replication has it.
fn logical(options: &PostgresOptions, faults: &mut Vec<Fault>) {
    if options.mode != Mode::Logical {
        let right = "a probe with mode = \"logical\"";
        faults.push(Fault::new(&["probe"], "its probe's database is no logical subscriber", right));
    }
}

/// What is wrong with the commands of a step, and with where they are run: each key with its value.
fn command_faults(
    context: &StepContext<'_>,
    commands: &[(&'static str, &Option<PerSite<Argv>>)],
    ssh: &Option<PerSite<Ssh>>,
    faults: &mut Vec<Fault>,
) {
    let mut wrong = |key: &'static str, site: Option<&str>, what: &str, right: &str| {
        let path: Vec<&str> = [key].into_iter().chain(site).collect();
        faults.push(Fault::new(&path, what, right));
    };
    let known = |site: Option<&str>| site.is_none_or(|s| context.sites.iter().any(|k| k.as_str() == s));
    let sites = || context.sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(", ");
    for (key, argv) in commands.iter().filter_map(|(key, argv)| Some((*key, argv.as_ref()?))) {
        for (site, argv) in argv.all() {
            if !known(site) {
                wrong(key, site, "no site of the plan", &sites());
            } else if let Some((what, right)) = command_fault(argv) {
                wrong(key, site, &what, right);
            }
        }
    }
    for (site, ssh) in ssh.iter().flat_map(PerSite::all) {
        if !known(site) {
            wrong("ssh", site, "no site of the plan", &sites());
        } else if let Err(e) = ssh.check() {
            wrong("ssh", site, &e.to_string(), e.right());
        }
    }
}

/// What a step's key names for its site, as a program; `None` where the step has no such key.
fn command(
    site: &SiteId,
    key: &str,
    argv: Option<&PerSite<Argv>>,
    ssh: Option<&PerSite<Ssh>>,
) -> Result<Option<Program>, Fault> {
    let missing =
        |key: &str| Fault::new(&[key], &format!("nothing for {site}"), "one for each site that it may act on");
    let Some(argv) = argv else { return Ok(None) };
    let argv = argv.at(site.as_str()).ok_or_else(|| missing(key))?;
    let ssh = ssh.map(|ssh| ssh.at(site.as_str()).ok_or_else(|| missing("ssh"))).transpose()?;
    Ok(Some(program(argv, ssh)))
}

/// Whether a step's commands are those of the site that it acts on. What was said once was said for a run from home, or of a
/// failback for one to it; by the same words a run in the other direction would act on the wrong site.
fn own_commands(scene: &Scene, ix: StepIx, place: &Place, once: bool, now: Now) -> Option<Condition> {
    let (opened, home) = (&scene.state.opened, &scene.plan.home);
    let fixed = matches!(scene.step(ix)?.on, Some(On::Site(_)));
    let (direction, as_written) = match opened.kind {
        RunbookKind::Failover | RunbookKind::Switchover | RunbookKind::Drill => ("a run from", opened.from == *home),
        RunbookKind::Failback => ("a run to", opened.to == *home),
    };
    if !once || fixed || as_written {
        return None;
    }
    let what = format!("its commands are those of {}", place.site);
    let (from, to) = (&opened.from, &opened.to);
    let why = format!(
        "they were written for {direction} {home}, and this one goes from {from} to {to}: give each site its own, \
         ssh = {{ {from} = \"...\", {to} = \"...\" }}, or the commands likewise"
    );
    Some(Condition::new("own-commands", Class::Identity, &what, Held::Fails, &why, now))
}

/// Whether a step's commands were said once, and not for each site: by the host that they run on, where that is another one,
/// else by their own words.
fn said_once(commands: &[&Option<PerSite<Argv>>], ssh: Option<&PerSite<Ssh>>) -> bool {
    match ssh {
        Some(PerSite::Each(_)) => false,
        Some(PerSite::Once(_)) => true,
        None => commands.iter().any(|argv| matches!(argv, Some(PerSite::Once(_)))),
    }
}

/// Faults, or what was read.
fn sound<T>(value: T, faults: Vec<Fault>) -> Result<T, Vec<Fault>> {
    if faults.is_empty() { Ok(value) } else { Err(faults) }
}

/// The server that a step is about, and the probe's options.
fn place(scene: &Scene, ix: StepIx) -> Result<(Place, PostgresOptions), Fault> {
    let wrong = |what: &str| Fault::new(&["probe"], what, "the configuration as it was when the run was opened");
    let step = scene.step(ix).ok_or_else(|| wrong("no such step"))?;
    let probe = scene.probe(step).ok_or_else(|| wrong("no such probe"))?;
    let options = probe.options::<PostgresOptions>().ok_or_else(|| wrong("not a postgres probe"))?;
    let site = scene.site(step);
    let place = at(options, site).ok_or_else(|| wrong(&format!("no server in {site}")))?;
    Ok((place, options.clone()))
}

/// The server of a site.
fn at(options: &PostgresOptions, site: &SiteId) -> Option<Place> {
    Place::new(site, options.at.get(site.as_str())?, options.password.as_ref())
}

/// The server of the other site of the run.
fn other(scene: &Scene, options: &PostgresOptions, site: &SiteId) -> Option<Place> {
    let opened = &scene.state.opened;
    let other = if *site == opened.from { &opened.to } else { &opened.from };
    at(options, other).filter(|_| other != site)
}

/// Until when a server is waited for that may be gone: as long as a look of the probe may take. A step that waited for its
/// whole time at each look would make a black hole cost minutes.
fn patient(scene: &Scene, ix: StepIx, deadline: Instant) -> Instant {
    let probe = scene.step(ix).and_then(|step| scene.probe(step));
    probe.map_or(deadline, |p| deadline.min(Instant::now() + p.timeout.0))
}

/// Whom the newest attempt of a step was to act on: from its intent.
fn intended(scene: &Scene, ix: StepIx) -> Option<&Identity> {
    let attempt = scene.state.steps.get(ix.place())?.attempts.last()?;
    Some(&attempt.identity).filter(|i| !i.0.is_empty())
}

/// What the newest attempt's call left behind, as the journal has it.
fn acted(scene: &Scene, ix: StepIx) -> Option<&Acted> {
    let attempt = scene.state.steps.get(ix.place())?.attempts.last()?;
    attempt.acted.as_ref().map(|(acted, _)| acted)
}

/// What a call left behind.
fn left_by(acted: Option<&Acted>) -> Option<Yield> {
    acted?.left().cloned()
}

/// A mark of an identity.
fn mark<'a>(identity: &'a Identity, name: &str) -> Option<&'a str> {
    identity.0.iter().find(|(k, _)| k.as_str() == name).map(|(_, v)| v.as_str())
}

/// Why a server is not the one that was approved; `None` where it is.
fn stranger(approved: &Identity, now: &Identity) -> Option<String> {
    let differs = approved.0.iter().filter(|(k, v)| now.0.get(*k) != Some(*v));
    let words = differs.map(|(k, v)| {
        let is = now.0.get(k).map_or("nothing", SafeText::as_str);
        format!("{k} was {v}, is {is}")
    });
    Some(words.collect::<Vec<_>>().join("; ")).filter(|w| !w.is_empty())
}

/// Names of the conditions that several of these steps have.
mod ids {
    pub(super) const DIRECT: &str = "direct";
    pub(super) const CLUSTER: &str = "cluster";
    pub(super) const DISTINCT: &str = "distinct";
    pub(super) const PRIVILEGE: &str = "privilege";
}

/// That no pooler stands in between: behind one, another server may answer the next message.
fn direct(known: &Known, at: crate::plan::Now) -> Condition {
    let why = if known.direct { "it took this session's settings" } else { "a pooler answers" };
    Condition::new(ids::DIRECT, Class::Identity, "the server itself answers", Held::of(known.direct), &why, at)
}

/// What a step would do, or that its server cannot be read.
fn shown(looked: Result<Preview, Gap>, place: &Place, challenge: &str) -> Preview {
    looked.unwrap_or_else(|gap| {
        let server = place.server();
        unreadable(&server, &format!("{server} answers"), Vec::new(), challenge, &gap)
    })
}

/// A gap in words, after whom it is about.
fn about(place: &Place, gap: &Gap) -> String {
    gap.about(&place.server())
}

#[cfg(test)]
mod tests {
    use crate::config;

    /// What is said of one step of a failover with these lines, where its probe is `db` with these more.
    fn told(kind: &str, lines: &str, probe: &str) -> Vec<String> {
        let text = format!(
            "here = \"elsewhere\"\n[[plan]]\nname = \"lab\"\ntier = 1\nstrategy = \"pilot-light\"\n\
             objectives = {{ rpo = \"30s\", rto = \"5m\" }}\nsites = {{ east = \"a\", west = \"b\" }}\nhome = \"east\"\n\
             requires = [\"replication\"]\n[[plan.probe]]\nname = \"db\"\nkind = \"postgres\"\n\
             at = {{ east = \"host=e user=u\", west = \"host=w user=u\" }}\n{probe}\n\
             [[plan.failover]]\nstep = \"x\"\nkind = \"{kind}\"\nprobe = \"db\"\non = \"new-active\"\nbecause = \"a test\"\n{lines}\n"
        );
        match config::parse("t", &text) {
            Ok(_) => Vec::new(),
            Err(config::Problems(all)) => {
                let key = |k: &str| k.rsplit(']').next().unwrap_or(k).trim_start_matches('.').to_owned();
                all.iter().map(|p| format!("{}: {}", key(&p.key), p.what)).collect()
            }
        }
    }

    const ACTS: &str = "act_as = { user = \"failover\" }";

    #[test]
    fn each_mistake_of_a_step_is_told_where_it_is() {
        let none: Vec<String> = Vec::new();
        assert_eq!(told("postgres-promote", "", ACTS), none);
        assert_eq!(told("postgres-promote", "", ""), ["probe: its probe says not as whom to act"]);
        assert_eq!(
            told("postgres-promote", "system_identifier = \"x\"", ACTS),
            ["system_identifier: no system identifier"]
        );
        assert_eq!(told("postgres-fence", "", ""), none);
        assert_eq!(
            told("postgres-fence", "stop = [\"./x\"]", ""),
            ["stop: \"./x\" is neither an absolute path nor a bare name"]
        );
        assert_eq!(told("postgres-fence", "check = [\"x\"]", ""), ["check: nothing is stopped"]);
        assert_eq!(
            told("postgres-fence", "app_roles = [\"shop\"]", ACTS),
            ["app: nothing would put the fence to the test"]
        );
        assert_eq!(
            told("postgres-fence", "app_roles = [\"shop\"]\napp = { user = \"other\" }", ACTS),
            ["app.user: is none of app_roles"]
        );
        assert_eq!(told("postgres-rejoin", "", ""), ["rewind: one command, and one only, brings it back"]);
        assert_eq!(told("clients-moved", "", ""), [": counts nobody's sessions"]);
        assert_eq!(told("clients-moved", "roles = [\"shop\"]\nshare = 2.0", ""), ["share: no part of a whole"]);
        assert_eq!(told("sequences-advance", "", ACTS), ["probe: its probe's database is no logical subscriber"]);
        let mistakes = told("restore", "from = \"none\"\ncommand = [\"pg_restore\"]\nverify = \"DROP TABLE x\"", "");
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
    }
}
