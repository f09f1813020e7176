//! The lane of a directory of backups. A file system that hangs costs it one thread, however often it is asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::clock;
use crate::plan::{LaneDecl, Now, SignalId, Span};
use crate::readiness::signals::{BACKUP_AGE, BACKUP_REACH, BACKUP_SIZE, RESTORE_RATE};
use crate::readiness::{Examined, Gap, Reason, Restorable, Value, Verdict};
use crate::systems::{Examining, Lane, Look, Looking};

use super::decode::Decoder;
use super::memory::Memory;
use super::options::{BackupFiles, Decode};
use super::parse::rows::{Ends, Newest, Proven};
use super::signals::{DECODE, FORM, LISTING, NEWEST, PROOF};
use super::survey::{Known, Survey, Target, known, survey};
use super::tools;

/// What looks at a directory: blocks, and may hang.
type Surveyor = fn(&BackupFiles, &HashMap<String, u64>, DateTime<Utc>, &AtomicBool) -> Result<Survey, Gap>;

/// Looks at one directory.
pub struct FilesLane {
    surveyor: Surveyor,
    decl: LaneDecl,
    options: Arc<BackupFiles>,
    /// The sizes of the look before.
    sizes: Arc<HashMap<String, u64>>,
    under_way: Option<UnderWay>,
    decoder: Option<Decoder>,
    /// What earlier processes found when they read backups in full.
    memory: Option<Memory>,
    /// What the look before found, for `doctor`.
    seen: Option<Seen>,
}

/// What a look found of the directory and of its newest backup.
struct Seen {
    entries: i64,
    matching: i64,
    target: Option<Target>,
}

impl Seen {
    /// Whether a backup is still to come, rather than overlooked.
    const fn expects_more(&self) -> bool {
        self.matching > 0 || self.entries == 0
    }

    fn directory(&self, options: &BackupFiles) -> Examined {
        let (here, entries, matching) = (&options.location, self.entries, self.matching);
        if matching == 0 && entries > 0 {
            let sentence = format!("{here} can be read, but none of its {entries} entries has the name of a backup");
            let next = "compare the probe's pattern or chain with the names there";
            return Examined::bad(Verdict::Degraded, "nothing-matches", &sentence, next);
        }
        Examined::well("directory", &format!("{here} can be read: {matching} of {entries} entries are backups"))
    }
}

/// A survey that has not come back yet.
struct UnderWay {
    task: JoinHandle<Result<(Survey, Known), Gap>>,
    since: Now,
    stop: Arc<AtomicBool>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl FilesLane {
    /// A lane, which keeps in this memory what it finds when it reads backups in full. Touches no file of the directory yet.
    #[must_use]
    pub fn new(decl: LaneDecl, options: Arc<BackupFiles>, memory: Option<Memory>) -> Self {
        let decoder = (options.decode == Decode::Newest).then(|| Decoder::new(memory.clone()));
        let memory = memory.filter(|_| decoder.is_some());
        Self { surveyor: survey, decl, options, sizes: Arc::default(), under_way: None, decoder, memory, seen: None }
    }

    async fn survey(&mut self, deadline: Instant) -> Result<(Survey, Known, Now), Gap> {
        // What an earlier look asked is old by now; but two at once would hang twice.
        if let Some(earlier) = &mut self.under_way {
            let since = earlier.since;
            if timeout_at(deadline, &mut earlier.task).await.is_err() {
                let silent = Span(clock::now().since(since)).coarse();
                let what = format!("{} does not answer: a look has hung for {silent}", self.options.location);
                return Err(Gap::new(Reason::TimedOut, &what));
            }
            self.under_way = None;
        }
        let since = clock::now();
        let stop = Arc::new(AtomicBool::new(false));
        let (options, sizes, flag) = (Arc::clone(&self.options), Arc::clone(&self.sizes), Arc::clone(&stop));
        let (surveyor, memory) = (self.surveyor, self.memory.clone());
        let task = tokio::task::spawn_blocking(move || {
            let survey = surveyor(&options, &sizes, since.wall, &flag)?;
            let known = memory.as_ref().zip(survey.target.as_ref()).map(|(m, t)| known(&options, m, t));
            Ok((survey, known.unwrap_or_default()))
        });
        let under_way = self.under_way.insert(UnderWay { task, since, stop });
        let done = timeout_at(deadline, &mut under_way.task).await;
        let Ok(done) = done else {
            let what = format!("{} did not answer in time", self.options.location);
            return Err(Gap::new(Reason::TimedOut, &what));
        };
        self.under_way = None;
        let (survey, known) = done.map_err(|_| Gap::new(Reason::Bug, "the look panicked"))??;
        Ok((survey, known, since))
    }

    fn look_of(&mut self, survey: Survey, known: Known, asked: Now) -> Look {
        let mut look = Look { asked: Some(asked), observed: Vec::new() };
        let (entries, matching) = (survey.listing.entries, survey.listing.matching);
        self.seen = Some(Seen { entries, matching, target: survey.target.clone() });
        let newest = Newest::of(&survey.picked);
        let age = newest.as_ref().map(|n| (asked.wall - n.own.at).to_std().unwrap_or_default());
        look.push(&BACKUP_AGE, Ok(age.map_or(Value::NotApplicable, |a| Value::Span(Span(a)))));
        let reach = Restorable {
            place: self.decl.server.clone(),
            site: Some(self.options.site.clone()),
            offsite: self.options.offsite,
            at: newest.as_ref().map(|n| n.own.at),
            more: false,
            log: None,
        };
        look.push(&BACKUP_REACH, Ok(Value::Rows(vec![reach.row()])));
        look.push(&BACKUP_SIZE, Ok(newest.as_ref().map_or(Value::NotApplicable, |n| Value::Bytes(n.base.size))));
        look.push(&NEWEST, Ok(Value::Rows(newest.map(Newest::row).into_iter().collect())));
        look.push(&LISTING, Ok(Value::Rows(vec![survey.listing.row()])));
        look.push(&FORM, Ok(Value::Rows(survey.ends.into_iter().map(Ends::row).collect())));
        let decode = match (&mut self.decoder, survey.target) {
            (None, _) => Value::NotApplicable,
            (Some(_), None) => Value::Rows(Vec::new()),
            (Some(decoder), Some(target)) => Value::Rows(vec![decoder.consider(&target, known).row()]),
        };
        look.push(&DECODE, Ok(decode));
        let rate = match &survey.proof {
            Some(Ok(Some(proof))) => proof.rate(),
            Some(Ok(None) | Err(_)) | None => None,
        };
        look.push(&RESTORE_RATE, Ok(rate.map_or(Value::NotApplicable, Value::Number)));
        let proof = match survey.proof {
            None => Ok(Value::NotApplicable),
            Some(read) => read.map(|p| Value::Rows(p.map(|p| Proven::of(p).row()).into_iter().collect())),
        };
        look.push(&PROOF, proof);
        self.sizes = Arc::new(survey.sizes);
        look
    }
}

impl Lane for FilesLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            self.seen = None;
            match self.survey(deadline).await {
                Ok((survey, known, asked)) => self.look_of(survey, known, asked),
                Err(gap) => Look::failed(&self.decl, &gap),
            }
        })
    }

    fn examine(&mut self, deadline: Instant) -> Examining<'_> {
        Box::pin(async move {
            let wanted = if self.decoder.is_some() { self.seen.as_ref() } else { None };
            let mut found: Vec<Examined> = self.seen.iter().map(|seen| seen.directory(&self.options)).collect();
            match wanted.and_then(|seen| seen.target.as_ref()) {
                Some(target) => found.extend(tools::reads(target, deadline).await),
                None if self.decoder.is_some() && self.seen.as_ref().is_some_and(Seen::expects_more) => {
                    found.push(tools::untried());
                }
                None => {}
            }
            found
        })
    }
}

/// What a directory's lane expects of each look.
pub const EXPECTS: [SignalId; 9] =
    [BACKUP_AGE, BACKUP_REACH, BACKUP_SIZE, RESTORE_RATE, NEWEST, LISTING, FORM, DECODE, PROOF];

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::plan::{Area, Objectives, PlanId, ProbeId, SiteId};
    use crate::systems::ReadContext;
    use crate::systems::backup_files::read;

    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    static RELEASED: AtomicBool = AtomicBool::new(false);

    /// As a file system does whose server is gone: says nothing until it is back.
    fn hangs(
        options: &BackupFiles,
        sizes: &HashMap<String, u64>,
        now: DateTime<Utc>,
        stop: &AtomicBool,
    ) -> Result<Survey, Gap> {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        while !RELEASED.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        survey(options, sizes, now, stop)
    }

    fn lane(location: &str) -> FilesLane {
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "nightly");
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(3));
        let ctx = ReadContext {
            id: &id,
            strategy: crate::plan::Strategy::WarmStandby,
            sites: &sites,
            home: &sites[0],
            objectives: &objectives,
            area: Area::Backup,
            interval,
            timeout,
        };
        let options = json!({ "site": "west", "location": location, "pattern": "a*", "max_age": "26h" });
        let declared = read::read(&ctx, options).unwrap();
        let files = declared.options.as_any().downcast_ref::<BackupFiles>().unwrap().clone();
        FilesLane::new(declared.lanes[0].clone(), Arc::new(files), None)
    }

    fn reason(look: &Look) -> Option<Reason> {
        look.observed.first().and_then(|o| o.value.as_ref().err()).map(|g| g.reason)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_directory_that_hangs_costs_one_thread_and_no_look_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut lane = lane(&dir.path().display().to_string());
        lane.surveyor = hangs;
        for _ in 0..3 {
            let begun = clock::now();
            let look = lane.look(Instant::now() + Duration::from_millis(100)).await;
            assert!(clock::now().since(begun) < Duration::from_secs(2));
            assert_eq!(reason(&look), Some(Reason::TimedOut));
            assert_eq!(look.observed.len(), EXPECTS.len());
        }
        assert_eq!(BEGUN.load(Ordering::SeqCst), 1, "one survey hangs, no second one is begun");
        RELEASED.store(true, Ordering::SeqCst);
        let before = clock::now();
        let look = lane.look(Instant::now() + Duration::from_secs(10)).await;
        assert_eq!(reason(&look), None);
        // What the hung one found is old: it was asked anew.
        assert_eq!(BEGUN.load(Ordering::SeqCst), 2);
        assert!(look.asked.unwrap().boot >= before.boot);
    }

    #[tokio::test]
    async fn every_look_brings_every_signal() {
        let dir = tempfile::tempdir().unwrap();
        let mut lane = lane(&dir.path().display().to_string());
        for _ in 0..2 {
            let look = lane.look(Instant::now() + Duration::from_secs(10)).await;
            let brought: Vec<&SignalId> = look.observed.iter().map(|o| &o.signal).collect();
            assert!(EXPECTS.iter().all(|s| brought.contains(&s)), "{brought:?}");
            std::fs::write(dir.path().join("a"), "x").unwrap();
        }
        let mut gone = self::lane("/no/such/directory");
        let look = gone.look(Instant::now() + Duration::from_secs(10)).await;
        assert_eq!(reason(&look), Some(Reason::Absent));
    }
}
