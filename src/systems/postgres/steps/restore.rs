//! `restore`: the newest sound backup, into the database of the site that takes over, by a command; verified by a query.
//!
//! The command runs beside the looks for its effect: what has arrived so far is seen in the database's size. It is let run to
//! its end, whatever becomes of the process that began it, and no other runner takes the run before; how it ended is known
//! to that process alone. A restore that was cut short leaves a database that is not empty, and is not begun again.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::control::{self, AT_ONCE, Job};
use super::place::{Known, Place, Who};
use super::{
    about, ids, intended, keys, opened, other, own_commands, place, probe_options, shown, sound, stranger, traits,
};
use crate::clock;
use crate::net::{Ended, Exit};
use crate::plan::{Bytes, Now, ProbeDecl, Program, SafeText, SignalId, SiteId, Span};
use crate::readiness::{Gap, Reason, Row, Value as Answer};
use crate::runbook::{
    Acted, Authorized, Class, Condition, Danger, Held, Identity, Observation, On, Preview, StepIx, StepRole, Yield,
};
use crate::systems::postgres::declare;
use crate::systems::postgres::options::steps::{FILE, Into, RestoreOptions};
use crate::systems::postgres::options::{Mode, PostgresOptions};
use crate::systems::{Executing, Executor, Fault, Look, Scene, StepContext, StepTraits, kind};

/// What a `backup-files` probe reads of its newest backup, and of reading it in full.
const NEWEST: SignalId = SignalId::new("backup.files.newest");
const FORM: SignalId = SignalId::new("backup.files.form");
const DECODE: SignalId = SignalId::new("backup.files.decode");
/// The kind of the probe that `from` names.
const BACKUPS: &str = "backup-files";

/// Reads the keys of a step.
pub(super) fn read(context: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options: RestoreOptions = keys(value, "the keys of a restore step")?;
    let mut faults = Vec::new();
    if let Some(probe) = probe_options(context, &mut faults)
        && probe.mode != Mode::Restored
    {
        let right = "a probe with mode = \"restored\"";
        faults.push(Fault::new(&["probe"], "its probe's database is kept by replication", right));
    }
    if context.on == Some(&On::OldActive) {
        faults.push(Fault::new(&["on"], "restores into the site that is being left", "on = \"new-active\""));
    }
    let from = context.probes.iter().find(|p| *p.id.name == *options.from);
    if from.is_none_or(|p| p.kind != BACKUPS) {
        let names: Vec<&str> = context.probes.iter().filter(|p| p.kind == BACKUPS).map(|p| &*p.id.name).collect();
        let right = if names.is_empty() { "a backup-files probe of this plan".to_owned() } else { names.join(", ") };
        faults.push(Fault::new(&["from"], "no backup-files probe of this name", &right));
    }
    for fault in Fault::of_program(&program(&options, "x")) {
        let path: Vec<&str> = fault.path.iter().map(|p| if p == "argv" { "command" } else { p.as_str() }).collect();
        faults.push(Fault::new(&path, &fault.what, &fault.right));
    }
    if !options.command.iter().any(|w| w.contains(FILE)) {
        faults.push(Fault::new(&["command"], "does not say which file", "put {file} where its path belongs"));
    }
    if let Err(what) = declare::one_query(&options.verify) {
        faults.push(Fault::new(&["verify"], what, "one SELECT that gives true where the data is there"));
    }
    let mut traits = traits(context, StepRole::Restore, Danger::Changes, Span::secs(14_400));
    traits.secrets.extend(program(&options, "x").secrets());
    sound(traits, faults)
}

fn program(options: &RestoreOptions, file: &str) -> Program {
    Program {
        argv: options.command.iter().map(|w| w.replace(FILE, file)).collect(),
        environment: options.environment.clone(),
        ssh: options.ssh.clone(),
        nice: false,
    }
}

/// Opens a step's executor.
pub(super) fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let (place, probe) = place(scene, ix)?;
    let options: RestoreOptions = opened(scene, ix, "the keys of a restore step")?;
    let from = scene.plan.probes.iter().find(|p| *p.id.name == *options.from && p.kind == BACKUPS).cloned();
    let from = from.ok_or_else(|| Fault::new(&["from"], "no such probe", "a backup-files probe of the plan"))?;
    Ok(Box::new(Restore { place, probe, options, from, ix, file: None, job: Job::default() }))
}

struct Restore {
    place: Place,
    probe: PostgresOptions,
    options: RestoreOptions,
    from: ProbeDecl,
    ix: StepIx,
    /// The backup that was shown last.
    file: Option<Backup>,
    /// The command.
    job: Job,
}

/// A backup to restore.
#[derive(Clone, Debug, PartialEq)]
struct Backup {
    path: String,
    size: Option<Bytes>,
    at: Option<chrono::DateTime<chrono::Utc>>,
    /// Whether it was read to its end and is good.
    read: bool,
}

impl Backup {
    fn words(&self) -> String {
        let size = self.size.map(|b| format!(", {b}")).unwrap_or_default();
        let at = self.at.map(|t| format!(", begun {}", t.format("%Y-%m-%d %H:%M:%SZ"))).unwrap_or_default();
        format!("{}{size}{at}", self.path)
    }
}

/// Which backup to restore: the newest; the newest that was read in full, where the newest is known to be bad.
fn pick(look: &Look, directory: &str) -> Result<Backup, String> {
    let row = |signal: &SignalId| -> Result<Option<Row>, String> {
        let observed = look.observed.iter().find(|o| o.signal == *signal).map(|o| &o.value);
        match observed {
            Some(Ok(Answer::Rows(rows))) => Ok(rows.first().cloned()),
            Some(Ok(_)) | None => Ok(None),
            Some(Err(gap)) => Err(gap.to_string()),
        }
    };
    let text = |row: &Row, column| row.text(column).ok().flatten().map(|t| t.to_string());
    let newest = row(&NEWEST)?.ok_or("there is no backup")?;
    let name = text(&newest, "name").ok_or("the newest backup has no name")?;
    let path = |name: &str| format!("{}/{name}", directory.trim_end_matches('/'));
    if text(&newest, "kind").is_some_and(|kind| kind != "backup" && kind != "full") {
        return Err(format!("{name} builds on others: one file is not the whole backup"));
    }
    let (form, decode) = (row(&FORM)?, row(&DECODE).unwrap_or_default());
    let broken = form.as_ref().is_some_and(|f| f.bool("whole").ok().flatten() == Some(false));
    let state = decode.as_ref().and_then(|d| text(d, "state"));
    let sound = decode.as_ref().and_then(|d| text(d, "sound"));
    if broken || state.as_deref() == Some("bad") {
        return match sound {
            Some(sound) if sound != name => Ok(Backup { path: path(&sound), size: None, at: None, read: true }),
            Some(_) | None => Err(format!("{name} is known to be bad, and no other was read in full")),
        };
    }
    let size = match newest.get("size") {
        Some(Answer::Bytes(bytes)) => Some(*bytes),
        Some(_) | None => None,
    };
    let at = match newest.get("at") {
        Some(Answer::Time(at)) => Some(*at),
        Some(_) | None => None,
    };
    let read = sound.as_deref() == Some(name.as_str());
    Ok(Backup { path: path(&name), size, at, read })
}

/// What a database that is to be restored into holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    database: String,
    objects: u64,
    size: u64,
}

const CONTENTS: &str = "SELECT current_database(), (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'm', 'S', 'v', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
     AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')), \
     (SELECT sum(pg_relation_size(c.oid)) FROM pg_class c WHERE c.relkind IN ('r', 'i', 'm', 't'))";

impl Executor for Restore {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move { shown(self.look(scene, deadline).await, &self.place, &self.challenge()) })
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            drop(authorized);
            self.begin(scene, deadline).await
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(self.see(scene, deadline))
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        let newest = format!("{}/NEWEST", self.directory());
        vec![
            format!("# the newest backup in {}, into an empty database:", self.directory()),
            control::words(&program(&self.options, &newest)),
            "# This must give true:".to_owned(),
            self.place.psql(None, &self.options.verify),
        ]
    }
}

impl Restore {
    fn challenge(&self) -> String {
        format!("restore {}", self.place.named())
    }

    fn directory(&self) -> String {
        self.from.lanes.first().map(|l| l.server.to_string()).unwrap_or_default()
    }

    async fn backup(&self, scene: &Scene, deadline: Instant) -> Result<Backup, String> {
        let probe_kind = kind(self.from.kind).ok_or("no such kind of probe")?;
        let lane = (probe_kind.open)(&scene.plan, &self.from, &scene.net).into_iter().next();
        let mut lane = lane.ok_or("its probe has no lane")?;
        let look = lane.look(deadline).await;
        pick(&look, &self.directory())
    }

    async fn contents(&self, scene: &Scene, deadline: Instant) -> Result<(Known, Contents), Gap> {
        let (known, mut session) = self.place.known(&scene.net, deadline).await?;
        let tables = session.read(&[CONTENTS.to_owned()], deadline).await?;
        session.close().await;
        let row = tables.first().and_then(|t| t.first());
        let cell = |at: usize| row.and_then(|r| r.get(at)).and_then(Option::as_deref);
        let objects = cell(1).and_then(|n| n.parse().ok());
        let size = cell(2).and_then(|n| n.parse().ok()).unwrap_or(0);
        let contents = cell(0).zip(objects).map(|(d, objects)| Contents { database: d.to_owned(), objects, size });
        contents.map(|c| (known, c)).ok_or_else(|| Reason::Malformed.into())
    }

    async fn look(&mut self, scene: &Scene, deadline: Instant) -> Result<Preview, Gap> {
        let (backup, target) =
            futures_util::future::join(self.backup(scene, deadline), self.contents(scene, deadline)).await;
        let (known, contents) = target?;
        let now = clock::now();
        let mut conditions = vec![
            Condition::new(
                "writable",
                Class::Identity,
                "it takes writes",
                Held::of(!known.seen.recovery),
                &known.seen.words(),
                now,
            ),
            inactive(&self.place.site, &scene.state.opened.from, now),
            self.empty(&contents, now),
        ];
        conditions.extend(self.distinct(scene, &known, deadline).await);
        conditions.extend(own_commands(scene, self.ix, &self.place, true, now));
        conditions.extend(sound_backup(&backup, now));
        self.file = backup.ok();
        let actions = match &self.file {
            Some(file) => vec![SafeText::new(&control::words(&program(&self.options, &file.path)))],
            None => Vec::new(),
        };
        let size = Bytes(contents.size);
        Ok(Preview {
            target: SafeText::new(&format!("{}, database {}", self.place.server(), contents.database)),
            role: SafeText::new(&format!("{}; {} tables and sequences, {size}", known.seen.words(), contents.objects)),
            identity: known.identity().with("database", &contents.database),
            actions,
            challenge: self.challenge(),
            conditions,
            // What is there already may be of any day.
            already: Held::Fails,
            left: Yield::default(),
            at: now,
        })
    }

    fn empty(&self, contents: &Contents, now: Now) -> Condition {
        let what = "the database is empty";
        let why = format!("{} tables, views and sequences of users are in {}", contents.objects, contents.database);
        let held = Held::of(contents.objects == 0);
        match self.options.into {
            Into::Empty => Condition::new("empty", Class::Identity, what, held, &why, now),
            Into::Replace => Condition::new("empty", Class::Risk, what, held, &why, now).accepted_by("overwrite"),
        }
    }

    /// That it is not the database that is being left, under another name.
    async fn distinct(&self, scene: &Scene, known: &Known, deadline: Instant) -> Option<Condition> {
        let old = other(scene, &self.probe, &self.place.site)?;
        let what = "it is not the database that is being left";
        let (theirs, session) = old.known(&scene.net, deadline).await.ok()?;
        session.close().await;
        let held = Held::of(!theirs.seen.is(&known.seen));
        Some(Condition::new(ids::DISTINCT, Class::Identity, what, held, &theirs.address, clock::now()))
    }

    async fn begin(&mut self, scene: &Scene, deadline: Instant) -> Acted {
        let not_sent = |why: &str| Acted::NotSent { why: SafeText::new(why) };
        let Some(approved) = intended(scene, self.ix) else {
            return not_sent("nothing says on which server it was approved");
        };
        let Some(file) = self.file.clone() else { return not_sent("no backup was shown") };
        let (known, contents) = match self.contents(scene, deadline).await {
            Ok(both) => both,
            Err(gap) => return not_sent(&about(&self.place, &gap)),
        };
        let now: Identity = known.identity().with("database", &contents.database);
        if let Some(differs) = stranger(approved, &now) {
            return not_sent(&format!("another server than was approved: {differs}"));
        }
        if self.options.into == Into::Empty && contents.objects > 0 {
            return not_sent("the database is not empty any more");
        }
        let program = program(&self.options, &file.path);
        if let Err(acted) = self.job.begin(scene, &program, deadline).await {
            return acted;
        }
        let left = Box::new(Yield {
            facts: vec![SafeText::new(&format!("restored from {}", file.words()))],
            kept: json!({ "file": file.path }),
            ..Yield::default()
        });
        self.job.wait(deadline.min(Instant::now() + AT_ONCE)).await;
        match self.job.said(&program) {
            Some(Ok(said)) => Acted::Returned { said, left },
            Some(Err(Acted::Failed { said, .. })) => {
                let first =
                    self.job.ended().and_then(|ended| ended.as_ref().ok()).map(|exit| complaint(exit, &program));
                Acted::Failed { said: first.map_or(said, |first| SafeText::new(&first)), left }
            }
            Some(Err(Acted::Unclear { why, .. })) => Acted::Unclear { why, left },
            Some(Err(acted)) => acted,
            None => Acted::Returned { said: "begun".into(), left },
        }
    }

    async fn see(&mut self, scene: &Scene, deadline: Instant) -> Observation {
        let observed = |held, why: &str| Observation::new(held, why, clock::now());
        let argv = program(&self.options, self.file.as_ref().map_or("", |f| f.path.as_str()));
        let soon = Instant::now() + std::time::Duration::from_millis(200);
        self.job.wait(soon).await;
        let words = match self.job.ended() {
            Some(Ok(exit)) if exit.ended == Ended::Code(0) => "the command ended well".to_owned(),
            Some(Ok(exit)) => {
                let mut seen = observed(Held::Fails, &complaint(exit, &argv));
                seen.over = true;
                return seen;
            }
            Some(Err(gap)) => return observed(Held::Unknown, &gap.to_string()),
            None if self.job.runs() => {
                let size = self.contents(scene, deadline).await.map(|(_, c)| Bytes(c.size).to_string());
                let whole = self.file.as_ref().and_then(|f| f.size).map(|b| format!("; the backup has {b}"));
                let so_far = size.unwrap_or_else(|gap| gap.to_string());
                let mut seen = observed(Held::Unknown, "the command runs");
                let waits = format!("the command: {so_far} in the database so far{}", whole.unwrap_or_default());
                seen.waits = Some(SafeText::new(&waits));
                return seen;
            }
            // Of another process: nothing says how it ended.
            None => {
                return observed(Held::Unknown, "the command was begun by another process, which knew how it ended");
            }
        };
        let asked = async {
            let mut session = self.place.open(&scene.net, Who::Looking, deadline).await?;
            let query = self.options.verify.trim().trim_end_matches(';').to_owned();
            let tables = session.read(&[query], deadline).await?;
            session.close().await;
            Ok::<_, Gap>(tables.first().and_then(|t| t.first()?.first()?.clone()))
        };
        match asked.await {
            Err(gap) => observed(Held::Unknown, &format!("{words}; the query: {gap}")),
            Ok(answer) if answer.as_deref() == Some("t") => {
                let mut seen = observed(Held::Holds, &format!("{words}, and the query gives true"));
                seen.left = super::left_by(super::acted(scene, self.ix)).unwrap_or_default();
                seen
            }
            Ok(answer) => {
                let given = answer.unwrap_or_else(|| "nothing".to_owned());
                observed(Held::Fails, &format!("{words}, but the query gives {given}, not true"))
            }
        }
    }
}

/// Why a restore failed: its first word of an error, for the last line is often only the end of a statement.
fn complaint(exit: &Exit, program: &Program) -> String {
    let text = String::from_utf8_lossy(&exit.stderr);
    match text.lines().find(|l| l.to_ascii_lowercase().contains("error")) {
        Some(line) => format!("{}: {}: {line}", program.shown(), exit.ended),
        None => exit.failed(program).detail.to_string(),
    }
}

fn inactive(site: &SiteId, from: &SiteId, now: Now) -> Condition {
    let what = "it is not the site that is being left";
    Condition::new("inactive", Class::Identity, what, Held::of(site != from), site, now)
}

fn sound_backup(backup: &Result<Backup, String>, now: Now) -> Vec<Condition> {
    let what = "there is a backup to restore";
    match backup {
        Err(why) => vec![Condition::new("backup", Class::Identity, what, Held::Fails, why, now)],
        Ok(backup) => {
            let why = if backup.read { "it was read to its end" } else { "nobody has read it to its end" };
            let held = if backup.read { Held::Holds } else { Held::Unknown };
            vec![
                Condition::new("backup", Class::Identity, what, Held::Holds, &backup.words(), now),
                Condition::new("whole", Class::Advice, "the backup can be read to its end", held, &why, now),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::Observed;

    fn look(decode: Option<(&str, Option<&str>)>, whole: Option<bool>) -> Look {
        let newest = Row::default().with("name", Answer::text("b.dump")).with("size", Answer::Bytes(Bytes(9)));
        let form = Row::default().with("whole", whole.map_or(Answer::Null, Answer::Bool));
        let mut look = Look::default();
        look.push(&NEWEST, Ok(Answer::Rows(vec![newest])));
        look.push(&FORM, Ok(Answer::Rows(vec![form])));
        if let Some((state, sound)) = decode {
            let row = Row::default().with("state", Answer::text(state));
            let row = row.with("sound", sound.map_or(Answer::Null, Answer::text));
            look.push(&DECODE, Ok(Answer::Rows(vec![row])));
        }
        look
    }

    #[test]
    fn the_newest_that_is_not_known_to_be_bad() {
        let of = |look: &Look| pick(look, "/srv/").map(|b| (b.path, b.read));
        assert_eq!(of(&look(None, None)), Ok(("/srv/b.dump".to_owned(), false)));
        assert_eq!(of(&look(Some(("good", Some("b.dump"))), Some(true))), Ok(("/srv/b.dump".to_owned(), true)));
        assert_eq!(of(&look(Some(("bad", Some("a.dump"))), Some(true))), Ok(("/srv/a.dump".to_owned(), true)));
        assert!(of(&look(Some(("bad", None)), Some(true))).is_err());
        assert!(of(&look(None, Some(false))).is_err());
        assert!(of(&Look::default()).is_err());
        let mut part = look(None, None);
        let row = Row::default().with("name", Answer::text("i.dump")).with("kind", Answer::text("incremental"));
        part.observed[0].value = Ok(Answer::Rows(vec![row]));
        assert!(of(&part).is_err());
        let gap = Observed { signal: NEWEST, value: Err(Reason::FileUnreadable.into()), as_of: None };
        assert!(of(&Look { asked: None, observed: vec![gap] }).is_err());
    }

    #[test]
    fn the_first_error_is_told() {
        let of = |text: &str| {
            let exit = Exit { ended: Ended::Code(1), stdout: Vec::new(), stderr: text.as_bytes().to_vec() };
            complaint(&exit, &program(&RestoreOptions::default(), "x"))
        };
        assert!(of("pg_restore: error: no such file\nCommand was: CREATE (\n);\n").ends_with("error: no such file"));
        assert!(of("odd\n").ends_with(": odd"));
    }

    #[test]
    fn a_database_with_something_in_it_is_left_alone() {
        let now = clock::now();
        let none = sound_backup(&Err("there is no backup".to_owned()), now);
        assert_eq!((none[0].class, none[0].held), (Class::Identity, Held::Fails));
        assert_eq!(inactive(&SiteId::new("east"), &SiteId::new("east"), now).held, Held::Fails);
        let options = RestoreOptions {
            command: vec!["pg_restore".into(), "-d".into(), "x".into(), "{file}".into()],
            ..RestoreOptions::default()
        };
        assert_eq!(program(&options, "/srv/b.dump").argv[3], "/srv/b.dump");
    }
}
