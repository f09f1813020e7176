//! Can this program see what it must, from this machine, as it is configured?

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::collect;
use crate::config::{self, Config};
use crate::net::{self, Net};
use crate::plan::{Here, Plan};
use crate::readiness::{Examined, Verdict};
use crate::report::{self, Examination, Style};
use crate::store;

use super::args::{DoctorArgs, DoctorFormat};
use super::console::Console;
use super::{EXIT_FAILED, EXIT_USAGE};

/// Free space below which the history is soon full, in bytes.
const LITTLE: u64 = 100 << 20;

/// Examines and prints to standard output.
///
/// # Errors
/// A configuration with mistakes; a runtime that the operating system does not give.
pub fn run(args: &DoctorArgs, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let path = config::find(path)?;
    let config = config::load(&path)?;
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr());
    let err_is_terminal = std::io::IsTerminal::is_terminal(&err);
    let style = Style { quiet: args.quiet, ..super::console::style(false) };
    let mut console = Console { out: &mut out, err: &mut err, style, err_is_terminal };
    let plans = match super::check::choose(args.plans.iter().map(String::as_str), &config.plans) {
        Ok(plans) => plans,
        Err(why) => {
            console.note(&why);
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let runtime = super::runtime(None)?;
    let all = runtime.block_on(examine(args, &config, &path, &plans, &mut console));
    runtime.shutdown_background();
    let (text, code) = match args.format {
        DoctorFormat::Text => report::doctor(&all, style),
        DoctorFormat::Json => report::doctor_json(&all, args.quiet)?,
    };
    Ok(ExitCode::from(match console.print(&text) {
        Ok(_) => code,
        Err(e) => {
            console.note(&format!("the report cannot be written: {e}"));
            EXIT_FAILED
        }
    }))
}

async fn examine(
    args: &DoctorArgs,
    config: &Config,
    path: &Path,
    plans: &[Arc<Plan>],
    console: &mut Console<'_>,
) -> Vec<Examination> {
    let mut all = vec![Examination { about: "configuration".to_owned(), found: vec![readable(path)] }];
    if config.practice {
        let found = vec![Examined::well("practice", report::PRACTICE)];
        all.insert(0, Examination { about: "plans".to_owned(), found });
    }
    let state = config.state.clone().or_else(store::default_dir);
    all.push(Examination { about: "history".to_owned(), found: history(state) });
    all.push(Examination { about: "this machine".to_owned(), found: vec![here(&config.here, plans)] });
    let end = Instant::now() + args.timeout.0;
    all.extend(secrets(config, plans, end).await);
    let mut progress = |done: usize, of: usize| console.progress(&format!("examining: {done} of {of}"));
    let lanes = collect::examine(plans, &Net::of(plans), args.timeout.0, &mut progress).await;
    console.progress("");
    for lane in lanes {
        all.push(Examination { about: lane.lane.to_string(), found: lane.found });
    }
    all.extend(plans.iter().filter(|p| p.probes.is_empty()).map(|p| {
        let found = Examined::bad(Verdict::Unknown, "no-probe", "nothing is looked at", "add a [[plan.probe]]");
        Examination { about: p.id.to_string(), found: vec![found] }
    }));
    all
}

/// The configuration may hold passwords: who else reads it?
fn readable(path: &Path) -> Examined {
    let shown = path.display();
    match std::fs::metadata(path).map(|m| m.permissions().mode()) {
        Ok(mode) if mode & 0o004 != 0 => Examined::bad(
            Verdict::Degraded,
            "readable-by-all",
            &format!("{shown} can be read by every user of this machine"),
            &format!("chmod o-r {shown}, if it names or holds anything that not everybody should know"),
        ),
        Ok(_) => Examined::well("readable", &format!("{shown} has no mistakes, and not everybody can read it")),
        Err(e) => {
            let sentence = format!("{shown}: {e}");
            Examined::bad(Verdict::Unknown, "unreadable", &sentence, "see the file's owner and mode")
        }
    }
}

/// Whether what is remembered will be there tomorrow.
fn history(state: Option<PathBuf>) -> Vec<Examined> {
    let Some(dir) = state else {
        let next = "set `state` in the configuration";
        return vec![Examined::bad(Verdict::Degraded, "no-state", "no directory for the history is known", next)];
    };
    let shown = dir.display();
    let mut found = Vec::new();
    // Nothing is made here: where the directory is not there yet, the nearest that is says what it would be on.
    let there = dir.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"));
    match store::in_memory(there) {
        Some(name) => found.push(Examined::bad(
            Verdict::Degraded,
            "in-memory",
            &format!("{shown} is in memory ({name}): the history is gone after a reboot"),
            "set `state` to a directory on a disk",
        )),
        None => found.push(Examined::well("durable", &format!("{shown} is on a file system that lasts"))),
    }
    match store::network(there) {
        Some(name) => found.push(Examined::bad(
            Verdict::Degraded,
            "on-network",
            &format!("{shown} is on a network file system ({name}): it may hang with the network"),
            "set `state` to a local directory",
        )),
        None => found.push(Examined::well("local", &format!("{shown} is local"))),
    }
    if let Ok(stat) = rustix::fs::statvfs(there) {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < LITTLE {
            let sentence = format!("{shown}: {} left", crate::plan::Bytes(free));
            found.push(Examined::bad(Verdict::Degraded, "little-space", &sentence, "make room, or move `state`"));
        }
    }
    let writable = rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_ok();
    found.push(if writable {
        Examined::well("writable", &format!("{shown} can be written by this user"))
    } else {
        let next = "let this user write there, or set `state` to a directory of its own";
        Examined::bad(Verdict::Degraded, "not-writable", &format!("{shown} cannot be written by this user"), next)
    });
    if dir.join(store::FILE).exists()
        && let Err(e) = store::open(&dir)
    {
        let next = "without it each loss must be measured anew";
        found.push(Examined::bad(Verdict::Degraded, "history", &e.to_string(), next));
    }
    found
}

/// Whether this machine is inside the site that would fail.
fn here(here: &Here, plans: &[Arc<Plan>]) -> Examined {
    match here {
        Here::Elsewhere => Examined::well("elsewhere", "is in no plan's site"),
        Here::Site(site) => {
            let lost: Vec<&str> = plans.iter().filter(|p| p.home == *site).map(|p| p.id.as_str()).collect();
            if lost.is_empty() {
                return Examined::well("other-site", &format!("is in {site}, where no plan normally runs"));
            }
            let sentence = format!("is in {site}, where {} normally runs: it is lost with it", lost.join(", "));
            Examined::bad(Verdict::Degraded, "inside", &sentence, "have lifeboat on a machine of another site too")
        }
        Here::Unsaid => Examined::bad(
            Verdict::Degraded,
            "unsaid",
            "the configuration does not say where it is",
            "set `here` to a site's name or \"elsewhere\"",
        ),
    }
}

/// Whether each secret can be read. The secrets themselves are dropped at once.
async fn secrets(config: &Config, plans: &[Arc<Plan>], end: Instant) -> Vec<Examination> {
    let wanted = config.secrets.iter().filter(|s| plans.iter().any(|p| p.id == s.probe.plan));
    join_all(wanted.map(|s| async move {
        let found = match net::resolve_secret(&s.secret, end).await {
            Ok(_) => Examined::well("secret", "can be read"),
            Err(gap) => Examined::bad(
                Verdict::NotReady,
                gap.reason.code(),
                gap.detail.as_str(),
                "mend it: without it the probe's verdict is unknown",
            ),
        };
        Examination { about: s.key.clone(), found: vec![found] }
    }))
    .await
}
