//! `lifeboat runs`: what ran and what is open, and the proof of a journal.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use serde_json::json;

use crate::config;
use crate::report;
use crate::runbook::{Asker, Command, Digest, Epoch, RunId, WATCHED, chain, decide, verify};
use crate::store::journal::{Journal, RunSummary};
use crate::store::{self, operator};
use crate::{clock, plan::PlanId};

use super::args::{RunsArgs, RunsCommand, RunsFormat};
use super::print;

/// Runs it.
///
/// # Errors
/// Where there is no journal, or no such run, or it is broken.
pub fn run(args: &RunsArgs, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    match &args.command {
        None => list(&journal(path, true)?, args),
        Some(RunsCommand::Verify { run, head }) => prove(&journal(path, true)?, &named(run)?, head.as_deref()),
        Some(RunsCommand::Export { run, format }) => export(&journal(path, true)?, &named(run)?, *format),
        Some(RunsCommand::Acknowledge { run, reason }) => acknowledge(&journal(path, false)?, &named(run)?, reason),
    }
}

/// The journal of the configuration's state directory.
fn journal(path: Option<&Path>, looks: bool) -> anyhow::Result<Journal> {
    let config = config::load(&config::find(path)?)?;
    let dir = config.state.or_else(store::default_dir);
    let dir = dir.context("no directory for state is known: set `state` in the configuration")?;
    Ok(if looks { Journal::look(&dir)? } else { Journal::open(&dir)? })
}

/// A run's name as it was typed.
///
/// # Errors
/// What can be no run's name.
pub fn named(text: &str) -> anyhow::Result<RunId> {
    if !RunId::fits(text) {
        bail!("{text:?} is no run's name: `lifeboat runs` lists them");
    }
    Ok(RunId::new(text))
}

fn list(journal: &Journal, args: &RunsArgs) -> anyhow::Result<ExitCode> {
    let wanted = |r: &RunSummary| {
        let plan = args.plan.as_ref().is_none_or(|p| PlanId::new(p) == r.plan);
        plan && !(args.open && r.closed.is_some())
    };
    let runs: Vec<RunSummary> = journal.runs()?.into_iter().filter(wanted).collect();
    let lines = runs.iter().map(|r| match journal.state(&r.id) {
        Ok(state) => {
            let unwatched = state.closed.is_some() && !r.lives && state.wants_watch(clock::now(), WATCHED);
            let note = if unwatched { format!("  NOBODY WATCHES {}", state.opened.from) } else { String::new() };
            (r, state.words() + &note)
        }
        Err(e) => (r, format!("cannot be read: {e}")),
    });
    if args.format == RunsFormat::Json {
        let rows: Vec<_> = lines
            .map(|(r, state)| {
                json!({ "run": r.id, "plan": r.plan, "runbook": r.kind, "opened": r.opened, "by": r.by, "state": state,
                        "open": r.closed.is_none(), "closed": r.closed.as_ref().map(|(_, at)| at),
                        "acknowledged": r.acknowledged, "runner": r.lives })
            })
            .collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&rows)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for (r, state) in lines {
        let runner = match (r.closed.is_none(), r.lives) {
            (true, true) => "  runner lives",
            (true, false) => "  NO RUNNER: attach goes on",
            (false, _) => "",
        };
        let practice = if journal.state(&r.id).is_ok_and(|s| s.opened.practice) { "PRACTICE  " } else { "" };
        let note = if r.closed.is_some() && r.kind.is_real() && !r.acknowledged { "  not acknowledged" } else { "" };
        let opened = r.opened.format("%Y-%m-%d %H:%M:%SZ");
        text.push_str(&format!("{practice}{}  {opened}  {}  {state}{runner}{note}\n", r.id, r.by.user));
    }
    if text.is_empty() {
        text.push_str("no runs\n");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn texts(journal: &Journal, run: &RunId) -> anyhow::Result<Vec<String>> {
    let texts = journal.texts(run)?;
    if texts.is_empty() {
        bail!("there is no run {run}: `lifeboat runs` lists them");
    }
    Ok(texts)
}

/// Proves that nothing was changed, and nothing left out but from the end: that takes the head that somebody kept elsewhere.
fn prove(journal: &Journal, run: &RunId, kept: Option<&str>) -> anyhow::Result<ExitCode> {
    let kept = kept.map(digest).transpose()?;
    let texts = texts(journal, run)?;
    match verify(texts.iter().map(String::as_str)) {
        Ok((state, head)) => {
            // Every entry fits the one before; that the newest is the one that was written, the journal itself says.
            journal.state(run)?;
            let whole = format!("{run}: {} entries, each follows from the one before\n", texts.len());
            let (end, status) = end_of(&texts, &head, kept);
            print(&format!("{whole}state {}\nhead  {head}\n{end}\n", state.words()))?;
            Ok(status)
        }
        Err(broken) => {
            print(&format!("{run}: BROKEN at {broken}\n"))?;
            Ok(ExitCode::from(2))
        }
    }
}

/// A head as it was typed.
fn digest(text: &str) -> anyhow::Result<Digest> {
    let digest = serde_json::from_value(json!(text.trim()));
    digest.map_err(|_| anyhow!("{text:?} is no head: an export shows it, 64 hexadecimal digits"))
}

/// What can be said of a journal's end.
fn end_of(texts: &[String], head: &Digest, kept: Option<Digest>) -> (String, ExitCode) {
    let Some(kept) = kept else {
        let words = "end   not proved: entries that were removed from the end cannot be noticed without the head of an \
                     export (--head)";
        return (words.to_owned(), ExitCode::SUCCESS);
    };
    if kept == *head {
        return ("end   proved: the newest entry is the one of this head".to_owned(), ExitCode::SUCCESS);
    }
    let place = texts.iter().position(|text| chain(text) == kept);
    let words = match place {
        Some(at) => {
            let after = texts.len().saturating_sub(at + 1);
            format!("end   ANOTHER HEAD: this one is entry {}'s, and {after} were added since", at + 1)
        }
        None => {
            "end   BROKEN: no entry has this head: entries were removed from the end, or it is another run's".to_owned()
        }
    };
    (words, ExitCode::from(2))
}

fn export(journal: &Journal, run: &RunId, format: RunsFormat) -> anyhow::Result<ExitCode> {
    let texts = texts(journal, run)?;
    let (state, head): (_, Digest) = verify(texts.iter().map(String::as_str))?;
    debug_assert_eq!(texts.last().map(|t| chain(t)), Some(head));
    let text = match format {
        RunsFormat::Text | RunsFormat::Markdown => report::run_markdown(&state, &head),
        RunsFormat::Json => {
            let entries = journal.entries(run, 0)?;
            format!("{}\n", serde_json::to_string_pretty(&report::run_json(&state, &entries, &head))?)
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Takes note of how a run ended, so that another failover of its plan may be started.
fn acknowledge(journal: &Journal, run: &RunId, reason: &str) -> anyhow::Result<ExitCode> {
    let boot = clock::boot_id();
    let state = journal.state(run)?;
    let asker = Asker { now: clock::now(), boot: &boot, epoch: None };
    let bodies = decide(&state, Command::Acknowledge { reason: reason.to_owned() }, asker)?;
    journal.append(run, state.seq, bodies, &operator(), Epoch(state.epoch.0))?;
    print(&format!("{run}: acknowledged\n"))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_that_was_cut_off_is_noticed_by_a_head_that_was_kept() {
        let all: Vec<String> = ["one", "two", "three"].map(str::to_owned).to_vec();
        let (second, newest) = (chain(&all[1]), chain(&all[2]));
        let whole = |texts: &[String], kept| end_of(texts, &chain(texts.last().unwrap()), kept);
        assert_eq!(whole(&all, Some(newest)).1, ExitCode::SUCCESS);
        let (said, status) = whole(&all[..2], Some(newest));
        assert!(status == ExitCode::from(2) && said.contains("removed from the end"), "{said}");
        let (said, status) = whole(&all, Some(second));
        assert!(status == ExitCode::from(2) && said.contains("entry 2's, and 1 were added since"), "{said}");
        let (said, status) = whole(&all[..2], None);
        assert!(status == ExitCode::SUCCESS && said.contains("cannot be noticed without the head"), "{said}");
    }

    #[test]
    fn a_head_is_typed_as_an_export_shows_it() {
        let head = chain("one");
        assert_eq!(digest(&format!(" {head}\n")).unwrap(), head);
        for text in ["", "7", &head.to_string()[1..]] {
            assert!(digest(text).unwrap_err().to_string().contains("is no head"), "{text}");
        }
    }
}
