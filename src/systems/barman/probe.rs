//! Asks Barman.

use std::sync::Arc;

use tokio::time::Instant;

use super::options::{Barman, BarmanOptions};
use super::parse;
use super::signals;
use crate::clock;
use crate::net::{Ended, Net};
use crate::plan::{Bytes, LaneDecl, Plan, ProbeDecl, Span};
use crate::readiness::signals::{BACKUP_REACH, BACKUP_SIZE};
use crate::readiness::{Examined, Gap, Value};
use crate::systems::{Examining, Lane, Look, Looking, examine};

/// Opens the lane that was declared. Runs nothing.
pub(super) fn open(_: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    let Some(options) = probe.options::<Barman>() else { return Vec::new() };
    let lane = |decl: &LaneDecl| -> Box<dyn Lane> {
        let (net, decl, options) = (Arc::clone(net), decl.clone(), options.written.clone());
        Box::new(BarmanLane { net, decl, options, listed: None })
    };
    probe.lanes.iter().map(lane).collect()
}

struct BarmanLane {
    net: Arc<Net>,
    decl: LaneDecl,
    options: BarmanOptions,
    /// How many backups the look before was told of, where it got that far.
    listed: Option<usize>,
}

impl Lane for BarmanLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            self.listed = None;
            match self.read(deadline).await {
                Ok(look) => look,
                Err(gap) => Look::failed(&self.decl, &gap),
            }
        })
    }

    fn examine(&mut self, deadline: Instant) -> Examining<'_> {
        Box::pin(self.examined(deadline))
    }
}

impl BarmanLane {
    /// What a command said. It ends with 1 where a check failed and where it has an error to tell: both are in its output.
    async fn output(&self, arguments: &[&str], deadline: Instant) -> Result<Vec<u8>, Gap> {
        let program = self.options.program(arguments);
        let exit = self.net.run(&program, deadline).await?;
        match exit.ended {
            Ended::Code(0) => Ok(exit.stdout),
            Ended::Code(1) if exit.stdout.trim_ascii().starts_with(b"{") => Ok(exit.stdout),
            Ended::Code(_) | Ended::Signal(_) => Err(exit.failed(&program)),
        }
    }

    async fn read(&mut self, deadline: Instant) -> Result<Look, Gap> {
        let server = self.options.server.clone();
        let server = server.as_str();
        let mut look = Look::default();
        let all = parse::backups(server, &self.output(&["list-backup", server], deadline).await?)?;
        self.listed = Some(all.len());
        let complete = all.iter().filter(|b| b.complete()).count();
        let now = clock::now().wall;
        let newest = all.iter().find(|b| b.complete());
        let ended = newest.map(|backup| backup.end()).transpose()?.flatten();
        let age = ended.map(|end| Span((now - end).to_std().unwrap_or_default()));
        let size = newest.and_then(|backup| backup.size_bytes);
        look.push(&BACKUP_SIZE, Ok(size.map_or(Value::NotApplicable, |s| Value::Bytes(Bytes(s)))));
        look.push(&signals::BACKUPS, parse::rows(&all).map(Value::Rows));
        look.push(&signals::COMPLETE, Ok(Value::Int(i64::try_from(complete).unwrap_or(i64::MAX))));
        look.push(&signals::AGE, Ok(age.map_or(Value::NotApplicable, Value::Span)));
        let shown = match newest {
            Some(backup) => Some(self.output(&["show-backup", server, &backup.id], deadline).await),
            None => None,
        };
        let shown = shown.map(|s| s.and_then(|output| parse::newest(server, &output)));
        let reach = match &shown {
            Some(Err(gap)) => Err(gap.clone()),
            Some(Ok((row, wal))) => parse::reach(&self.options, ended, Some((row, wal))),
            None => parse::reach(&self.options, None, None),
        };
        look.push(&BACKUP_REACH, reach.map(|row| Value::Rows(vec![row])));
        let (row, wal) = match shown {
            None => (Ok(Value::NotApplicable), Ok(Value::NotApplicable)),
            Some(Ok((row, wal))) => (Ok(Value::Rows(vec![row])), Ok(wal)),
            Some(Err(gap)) => (Err(gap.clone()), Err(gap)),
        };
        look.push(&signals::NEWEST, row);
        look.push(&signals::WAL, wal);
        let status = self.output(&["status", server], deadline).await;
        look.push(&signals::STATUS, status.and_then(|o| parse::status(server, &o)).map(|row| Value::Rows(vec![row])));
        // Last: it may take its 30 s where the database does not answer.
        let checks = self.output(&["check", server], deadline).await;
        look.push(&signals::CHECKS, checks.and_then(|o| parse::checks(server, &o)).map(Value::Rows));
        Ok(look)
    }

    async fn examined(&self, deadline: Instant) -> Vec<Examined> {
        let mut program = self.options.program(&[]);
        program.argv.clone_from(&self.options.argv);
        let mut found = examine::program(&self.net, &program, self.listed.is_some(), deadline).await;
        let Some(listed) = self.listed else { return found };
        program.argv.push("--version".to_owned());
        found.extend(examine::version(&self.net, &program, known, deadline).await);
        let sentence = format!("its configuration names {}, and {listed} backups are listed", self.options.server);
        found.push(Examined::well("server", &sentence));
        found
    }
}

/// What this program reads is what Barman 3 says.
const fn known(version: Option<(u32, u32)>) -> Option<&'static str> {
    match version {
        Some((3, _)) => None,
        Some(_) | None => Some("lifeboat knows 3"),
    }
}
