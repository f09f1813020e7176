//! The kinds of Patroni's steps, and their options.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::plan::{SafeText, SecretRef, Span};
use crate::runbook::{Danger, On, RetrySafety, StepRole, Verified};
use crate::systems::{Fault, StepContext, StepKind, StepTraits};

use super::super::judge::{Demote, Failover, Pause, Promote, Switchover};
use super::super::options::{DemoteOptions, FailoverOptions, Patroni, PlainOptions, RestUser, SwitchoverOptions};

const PROBES: &[&str] = &["patroni"];

/// `patroni-switchover`.
pub(in super::super) const SWITCHOVER: StepKind = StepKind {
    name: "patroni-switchover",
    probes: PROBES,
    schema: |generator| SwitchoverOptions::json_schema(generator),
    read: |ctx, value| {
        let options: SwitchoverOptions = parsed(value)?;
        let mut faults = placed(ctx);
        faults.extend(named(options.candidate.as_deref()));
        faults.extend(moves(options.role));
        let role = options.role.unwrap_or(StepRole::Other);
        traits(ctx, faults, role, Danger::Changes, options.act_as.as_ref())
    },
    open: |scene, ix| {
        let options: SwitchoverOptions = options(scene, ix)?;
        let user = options.act_as.clone();
        super::open(scene, ix, Box::new(Switchover { options }), user)
    },
};

/// `patroni-failover`.
pub(in super::super) const FAILOVER: StepKind = StepKind {
    name: "patroni-failover",
    probes: PROBES,
    schema: |generator| FailoverOptions::json_schema(generator),
    read: |ctx, value| {
        let options: FailoverOptions = parsed(value)?;
        let mut faults = placed(ctx);
        faults.extend(named(Some(&options.candidate)));
        faults.extend(moves(options.role));
        let role = options.role.unwrap_or(StepRole::Promote);
        traits(ctx, faults, role, Danger::Irreversible, options.act_as.as_ref())
    },
    open: |scene, ix| {
        let options: FailoverOptions = options(scene, ix)?;
        let user = options.act_as.clone();
        super::open(scene, ix, Box::new(Failover { options }), user)
    },
};

/// `patroni-promote-cluster`.
pub(in super::super) const PROMOTE: StepKind = StepKind {
    name: "patroni-promote-cluster",
    probes: PROBES,
    schema: |generator| PlainOptions::json_schema(generator),
    read: |ctx, value| {
        let options: PlainOptions = parsed(value)?;
        let wrong = ctx.on == Some(&On::OldActive);
        let fault = || Fault::new(&["on"], "the old active site is no standby cluster", "on = \"new-active\"");
        let faults = wrong.then(fault).into_iter().collect();
        traits(ctx, faults, StepRole::Promote, Danger::Irreversible, options.act_as.as_ref())
    },
    open: |scene, ix| {
        let options: PlainOptions = options(scene, ix)?;
        super::open(scene, ix, Box::new(Promote), options.act_as)
    },
};

/// `patroni-demote-cluster`.
pub(in super::super) const DEMOTE: StepKind = StepKind {
    name: "patroni-demote-cluster",
    probes: PROBES,
    schema: |generator| DemoteOptions::json_schema(generator),
    read: |ctx, value| {
        let options: DemoteOptions = parsed(value)?;
        let mut faults = placed(ctx);
        if !options.standby_cluster.counts() {
            let what = "neither host nor port nor restore_command: Patroni would take it for none";
            let right = "standby_cluster = { host = \"db.west.example.com\", port = 5432 }";
            faults.push(Fault::new(&["standby_cluster"], what, right));
        }
        traits(ctx, faults, StepRole::Fence, Danger::Changes, options.act_as.as_ref())
    },
    open: |scene, ix| {
        let options: DemoteOptions = options(scene, ix)?;
        let user = options.act_as.clone();
        super::open(scene, ix, Box::new(Demote { options }), user)
    },
};

/// `patroni-pause`.
pub(in super::super) const PAUSE: StepKind = StepKind {
    name: "patroni-pause",
    probes: PROBES,
    schema: |generator| PlainOptions::json_schema(generator),
    read: plain,
    open: |scene, ix| {
        let options: PlainOptions = options(scene, ix)?;
        super::open(scene, ix, Box::new(Pause { begins: true }), options.act_as)
    },
};

/// `patroni-resume`.
pub(in super::super) const RESUME: StepKind = StepKind {
    name: "patroni-resume",
    probes: PROBES,
    schema: |generator| PlainOptions::json_schema(generator),
    read: plain,
    open: |scene, ix| {
        let options: PlainOptions = options(scene, ix)?;
        super::open(scene, ix, Box::new(Pause { begins: false }), options.act_as)
    },
};

fn plain(ctx: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options: PlainOptions = parsed(value)?;
    traits(ctx, placed(ctx), StepRole::Other, Danger::Changes, options.act_as.as_ref())
}

fn parsed<T: DeserializeOwned>(value: &Value) -> Result<T, Vec<Fault>> {
    T::deserialize(value).map_err(|e| vec![Fault::new(&[], &e.to_string(), "the keys of this kind of step")])
}

/// The step's options again, when it is opened.
fn options<T: DeserializeOwned>(scene: &crate::systems::Scene, ix: crate::runbook::StepIx) -> Result<T, Fault> {
    let value = scene.step(ix).map_or(&Value::Null, |s| &s.options);
    T::deserialize(value).map_err(|e| Fault::new(&[], &e.to_string(), "the keys of this kind of step"))
}

/// The site must be said: each of these can be meant for either.
fn placed(ctx: &StepContext<'_>) -> Vec<Fault> {
    match ctx.on {
        Some(_) => Vec::new(),
        None => vec![Fault::new(&[], "`on` is missing: whose cluster?", "on = \"old-active\", or \"new-active\"")],
    }
}

/// A name that a person types, and that stands in a command.
fn named(candidate: Option<&str>) -> Option<Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let wrong = candidate.is_some_and(|c| c.is_empty() || !c.chars().all(fits));
    wrong.then(|| {
        Fault::new(&["candidate"], "no name of a member", "its name in Patroni, as `patronictl list` shows it")
    })
}

fn moves(role: Option<StepRole>) -> Option<Fault> {
    let fits = matches!(role, None | Some(StepRole::Promote | StepRole::Other));
    (!fits).then(|| Fault::new(&["role"], "it does nothing of the kind", "\"promote\" or \"other\""))
}

fn traits(
    ctx: &StepContext<'_>,
    mut faults: Vec<Fault>,
    role: StepRole,
    danger: Danger,
    user: Option<&RestUser>,
) -> Result<StepTraits, Vec<Fault>> {
    if user.is_some_and(|u| u.user.is_empty() || u.user.contains(':')) {
        faults.push(Fault::new(&["act_as", "user"], "no user", "restapi.authentication.username of Patroni"));
    }
    let probe = ctx.probe.and_then(|p| p.options::<Patroni>());
    if let (Some(probe), Some(On::Site(site))) = (probe, ctx.on)
        && probe.members(site).is_empty()
    {
        faults.push(Fault::new(&["on"], &format!("the probe names no member in {site}"), "a site that it looks at"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let members = probe.into_iter().flat_map(|p| &p.sites).filter(|s| match ctx.on {
        Some(On::Site(site)) => s.site == *site,
        Some(On::OldActive | On::NewActive) | None => true,
    });
    let touches = members.flat_map(|s| &s.members).map(|m| SafeText::new(&m.shown)).collect();
    let own = user.map(|u| ("act_as.password".to_owned(), u.password.clone()));
    let secrets: Vec<(String, SecretRef)> = own.into_iter().collect();
    Ok(StepTraits {
        role,
        danger,
        retry: RetrySafety::ReadBack,
        verified: Verified::ByLooking,
        deadline: Span::secs(120),
        touches,
        secrets,
    })
}
