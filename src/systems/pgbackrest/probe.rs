//! Asks pgBackRest.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::examine;
use super::options::{Pgbackrest, PgbackrestOptions};
use super::parse::{self, Stanza, wal};
use super::signals;
use crate::clock;
use crate::net::{Ended, Net};
use crate::plan::{LaneDecl, Plan, ProbeDecl, Span};
use crate::readiness::signals::{BACKUP_REACH, BACKUP_SIZE};
use crate::readiness::{Gap, Row, Value};
use crate::systems::{Examining, Lane, Look, Looking};

/// Opens the lane that was declared. Runs nothing.
pub(super) fn open(_: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    let Some(options) = probe.options::<Pgbackrest>() else { return Vec::new() };
    let lane = |decl: &LaneDecl| -> Box<dyn Lane> {
        Box::new(PgbackrestLane {
            net: Arc::clone(net),
            decl: decl.clone(),
            options: options.written.clone(),
            repos: None,
        })
    };
    probe.lanes.iter().map(lane).collect()
}

struct PgbackrestLane {
    net: Arc<Net>,
    decl: LaneDecl,
    options: PgbackrestOptions,
    /// What the look before heard of the repositories, where it got that far.
    repos: Option<Vec<Row>>,
}

impl Lane for PgbackrestLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            match self.stanza(deadline).await {
                Ok(stanza) => {
                    self.repos = Some(stanza.repos());
                    self.read(&stanza, deadline).await
                }
                Err(gap) => {
                    self.repos = None;
                    Look::failed(&self.decl, &gap)
                }
            }
        })
    }

    fn examine(&mut self, deadline: Instant) -> Examining<'_> {
        Box::pin(examine::ask(&self.net, &self.options, self.repos.as_deref(), deadline))
    }
}

impl PgbackrestLane {
    async fn output(&self, arguments: &[&str], deadline: Instant) -> Result<Vec<u8>, Gap> {
        let program = self.options.program(arguments);
        let exit = self.net.run(&program, deadline).await?;
        if exit.ended == Ended::Code(0) { Ok(exit.stdout) } else { Err(exit.failed(&program)) }
    }

    async fn stanza(&self, deadline: Instant) -> Result<Stanza, Gap> {
        let output = self
            .output(&["--output=json", "--log-level-console=off", "--log-level-stderr=error", "info"], deadline)
            .await?;
        parse::info(&self.options.stanza, &output)
    }

    async fn read(&self, stanza: &Stanza, deadline: Instant) -> Look {
        let archives = self.archives(stanza, deadline).await;
        assemble(stanza, &self.options, archives, clock::now().wall)
    }

    /// Lists the log that the newest backups need, and what follows.
    async fn archives(&self, stanza: &Stanza, deadline: Instant) -> Result<BTreeMap<i64, wal::Found>, Gap> {
        let mut all = BTreeMap::new();
        for wanted in stanza.listings()? {
            let repo = format!("--repo={}", wanted.repo);
            let mut listings = Vec::new();
            for directory in &wanted.directories {
                let path = format!("archive/{}/{}/{directory}", self.options.stanza, wanted.archive);
                let arguments = [
                    repo.as_str(),
                    "--output=json",
                    "--log-level-console=off",
                    "--log-level-stderr=error",
                    "repo-ls",
                    path.as_str(),
                ];
                listings.push(wal::listing(&self.output(&arguments, deadline).await?)?);
            }
            all.insert(wanted.repo, wanted.span.find(&listings)?);
        }
        Ok(all)
    }
}

/// The look that these answers make.
pub(super) fn assemble(
    stanza: &Stanza,
    options: &PgbackrestOptions,
    archives: Result<BTreeMap<i64, wal::Found>, Gap>,
    now: DateTime<Utc>,
) -> Look {
    let mut look = Look::default();
    let age = stanza.newest().map_or(Value::NotApplicable, |stop| {
        Value::Span(Span::secs(u64::try_from(now.timestamp().saturating_sub(stop)).unwrap_or(0)))
    });
    look.push(&signals::STANZA, Ok(Value::Rows(vec![stanza.row()])));
    look.push(&signals::REPOS, Ok(Value::Rows(stanza.repos())));
    look.push(&signals::BACKUPS, stanza.backups().map(Value::Rows));
    look.push(&signals::AGE, Ok(age));
    look.push(&BACKUP_SIZE, Ok(stanza.size()));
    let reaches = archives.as_ref().map_err(Gap::clone).and_then(|found| stanza.reaches(options, found));
    look.push(&BACKUP_REACH, reaches.map(Value::Rows));
    look.push(&signals::ARCHIVE, archives.map(|found| Value::Rows(stanza.archives(&found))));
    look
}
