//! The step `command`: runs a program that does something, once, and looks for its effect by another.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema as _;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::Instant;

use super::options::CommandStepOptions;
use crate::clock;
use crate::net::{Ended, Net, Outliving, executable};
use crate::plan::{EnvValue, Program, SafeText, Span, Ssh, quoted};
use crate::readiness::Gap;
use crate::runbook::{
    Acted, Authorized, Class, Condition, Danger, Held, Identity, Observation, Preview, RetrySafety, StepIx, StepRole,
    Verified, Yield,
};
use crate::systems::{Executing, Executor, Fault, Scene, StepContext, StepKind, StepTraits, fence_of, newest};

/// How many of the last lines of its output are kept.
const KEPT: usize = 8;
/// How long one check may take at most.
const LOOK: Duration = Duration::from_secs(30);

/// ssh's own exit code (ssh(1), "EXIT STATUS").
const SSH_LOST: i32 = 255;

/// The kind.
pub(super) const COMMAND: StepKind = StepKind {
    name: "command",
    probes: &[],
    schema: |generator| CommandStepOptions::json_schema(generator),
    read,
    open,
};

fn parsed(value: &Value) -> Result<CommandStepOptions, Fault> {
    CommandStepOptions::deserialize(value).map_err(|e| Fault::new(&[], &e.to_string(), "the keys of a command step"))
}

fn read(_: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options = parsed(value).map_err(|fault| vec![fault])?;
    let program = options.program();
    let mut faults = Fault::of_program(&program);
    let mut secrets = program.secrets();
    if let Some(checker) = options.checker() {
        let renamed = |path: Vec<String>| -> Vec<String> {
            let own = |word: String| match word.as_str() {
                "argv" => "check".to_owned(),
                "environment" => "check_environment".to_owned(),
                _ => word,
            };
            path.into_iter().map(own).collect()
        };
        let of_check = Fault::of_program(&checker).into_iter().map(|f| Fault { path: renamed(f.path), ..f });
        // What is wrong with the host is said once.
        faults.extend(of_check.filter(|f| f.path.first().is_some_and(|p| p.starts_with("check"))));
        secrets.extend(checker.secrets().into_iter().map(|(key, secret)| (format!("check_{key}"), secret)));
    } else if !options.check_environment.is_empty() {
        faults.push(Fault::new(&["check_environment"], "there is no check that it is for", "check = [...]"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(StepTraits {
        role: options.role,
        danger: options.danger,
        retry: if options.check.is_some() { RetrySafety::ReadBack } else { RetrySafety::Never },
        verified: Verified::ByLooking,
        deadline: Span::secs(300),
        touches: options
            .ssh
            .iter()
            .filter(|_| options.danger > Danger::None)
            .map(|s| SafeText::new(s.host()))
            .collect(),
        secrets,
    })
}

fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let options = parsed(scene.step(ix).map_or(&Value::Null, |s| &s.options))?;
    Ok(Box::new(CommandStep { options, ix, running: None }))
}

/// Runs a program.
struct CommandStep {
    options: CommandStepOptions,
    ix: StepIx,
    /// What this process started.
    running: Option<Outliving>,
}

/// A command line for people and for a shell, with what is plain of its environment.
fn line(program: &Program) -> String {
    let environment = program.environment.iter().filter_map(|(name, value)| match value {
        EnvValue::Plain(value) => Some(format!("{name}={}", quoted(value))),
        EnvValue::Secret(_) => None,
    });
    let words = program.argv.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" ");
    let remote = match &program.ssh {
        None => words,
        Some(ssh) => {
            let table = ssh.table();
            let option = |flag: &str, value: Option<String>| value.map(|v| format!("{flag} {} ", quoted(&v)));
            let options = [
                option("-F", table.and_then(|t| t.config.clone())),
                option("-i", table.and_then(|t| t.identity.clone())),
                option("-p", table.and_then(|t| t.port).map(|p| p.to_string())),
            ];
            format!(
                "ssh {}{} {}",
                options.into_iter().flatten().collect::<String>(),
                quoted(ssh.host()),
                quoted(&words)
            )
        }
    };
    environment.chain([remote]).collect::<Vec<_>>().join(" ")
}

/// Where a program that is run here is: its path, or the first of its name in `PATH`.
fn found(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|p| executable(p));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| executable(p))
}

/// What a file is known by: another one in its place is another program.
fn mark(path: &Path) -> String {
    match std::fs::metadata(path) {
        Ok(m) => format!("{}, {} bytes, changed {}.{:09}", path.display(), m.len(), m.mtime(), m.mtime_nsec()),
        Err(e) => format!("{}, {}", path.display(), e.kind()),
    }
}

impl CommandStep {
    /// What says whether the effect is there; `None` without a check.
    async fn looked(&self, net: &Net, deadline: Instant) -> Option<Result<(bool, String), Gap>> {
        let checker = self.options.checker()?;
        let left = deadline.saturating_duration_since(Instant::now());
        let until = Instant::now() + left.saturating_sub(left / 10).min(LOOK);
        Some(net.run(&checker, until).await.map(|exit| {
            let (shown, said) = (checker.shown(), exit.complaint());
            let words = if said.as_str().is_empty() { String::new() } else { format!(": {said}") };
            (exit.ended == Ended::Code(0), format!("{shown}: {}{words}", exit.ended))
        }))
    }

    async fn run(&mut self, scene: &Scene, deadline: Instant) -> Acted {
        if let Some(before) = &mut self.running
            && !matches!(before.ended_by(Instant::now()).await, Ok(Some(_)))
        {
            let pid = before.pid().unwrap_or_default();
            return Acted::NotSent { why: format!("process {pid} of the attempt before has not ended").into() };
        }
        let program = self.options.program();
        let running = match scene.start(&program, deadline).await {
            Ok(running) => self.running.insert(running),
            Err(acted) => return acted,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        // What is left of the deadline is for looking.
        let ended = running.ended_by(Instant::now() + (left - left / 10)).await;
        let facts = running.said(KEPT);
        let said = facts.last().map_or_else(String::new, |l| format!(": {l}"));
        let pid = running.pid().unwrap_or_default();
        let left = Box::new(Yield { facts, ..Yield::default() });
        match ended {
            Ok(Some(Ended::Code(0))) => Acted::Returned { said: SafeText::new(&format!("exit code 0{said}")), left },
            // Of ssh it says that the connection was lost, and nothing of the program.
            Ok(Some(Ended::Code(code))) if program.ssh.is_none() || code != SSH_LOST => {
                Acted::Failed { said: SafeText::new(&format!("exit code {code}{said}")), left }
            }
            Ok(Some(ended)) => Acted::Unclear { why: SafeText::new(&format!("{ended}{said}")), left },
            Ok(None) => {
                let why =
                    format!("process {pid} is not done: it goes on by itself, and holds the run until it ends{said}");
                Acted::Unclear { why: SafeText::new(&why), left }
            }
            Err(gap) => Acted::Unclear { why: SafeText::new(&gap.to_string()), left },
        }
    }

    /// What the program's own end says, where no check does.
    async fn by_its_end(&mut self, scene: &Scene) -> (Held, String) {
        if let Some(running) = &mut self.running {
            let ended = running.ended_by(Instant::now()).await;
            return match ended {
                Ok(Some(Ended::Code(0))) => {
                    (Held::Holds, "exit code 0; nothing else says how to look for the effect".to_owned())
                }
                Ok(Some(Ended::Code(code))) if self.options.ssh.is_none() || code != SSH_LOST => {
                    (Held::Fails, format!("exit code {code}; what it did before that is done"))
                }
                Ok(Some(ended)) => (Held::Unknown, format!("{ended}: half of it may be done")),
                Ok(None) => (Held::Unknown, format!("process {} is not done", running.pid().unwrap_or_default())),
                Err(gap) => (Held::Unknown, gap.to_string()),
            };
        }
        match newest(&scene.state, self.ix).and_then(|a| a.acted.as_ref()).map(|(acted, _)| acted) {
            Some(Acted::Returned { said, .. }) => {
                (Held::Holds, format!("{said}; nothing else says how to look for the effect"))
            }
            Some(Acted::Refused { said: why } | Acted::Failed { said: why, .. } | Acted::NotSent { why }) => {
                (Held::Fails, why.to_string())
            }
            Some(Acted::Unclear { why, .. }) => (Held::Unknown, why.to_string()),
            None => (Held::Unknown, "whether it was started is not known, and there is no check".to_owned()),
        }
    }

    fn yielded(&self, scene: &Scene, held: Held, looked: bool, why: &SafeText) -> Yield {
        let role = scene.step(self.ix).map_or(StepRole::Other, |s| s.role);
        // What the call left behind is kept with it.
        let kept = newest(&scene.state, self.ix).and_then(|a| a.acted.as_ref()).and_then(|(acted, _)| acted.left());
        let known: &[SafeText] = kept.map_or(&[], |left| &left.facts);
        let mut facts = self.running.as_ref().map_or_else(Vec::new, |r| r.said(KEPT));
        facts.retain(|line| !known.contains(line));
        Yield { fence: fence_of(role, looked, why).filter(|_| held == Held::Holds), facts, ..Yield::default() }
    }

    fn target(&self) -> String {
        self.options.ssh.as_ref().map_or_else(|| "this machine".to_owned(), |s: &Ssh| s.host().to_owned())
    }
}

/// The program's own name.
fn name(program: &Program) -> String {
    let first = program.argv.first().map_or("", String::as_str);
    first.rsplit('/').next().unwrap_or(first).to_owned()
}

impl Executor for CommandStep {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move {
            let looked = self.looked(&scene.net, deadline).await;
            let by_looking = looked.is_some();
            let at = clock::now();
            let program = self.options.program();
            let mut identity = Identity::default().with("host", &self.target());
            let mut conditions = Vec::new();
            if program.ssh.is_none() {
                let path = found(program.argv.first().map_or("", String::as_str));
                let (held, why) = match &path {
                    Some(path) => (Held::Holds, path.display().to_string()),
                    None => (Held::Fails, "there is no such program, or this user may not run it".to_owned()),
                };
                if let Some(path) = &path {
                    identity = identity.with("program", &mark(path));
                }
                let what = format!("{} can be run here", name(&program));
                conditions.push(Condition::new("runnable", Class::Identity, &what, held, &why, at));
            }
            let (already, role) = match looked {
                None => (Held::Unknown, "nothing says how to look for its effect".to_owned()),
                Some(Ok((holds, said))) => (Held::of(holds), said),
                Some(Err(gap)) => (Held::Unknown, gap.to_string()),
            };
            let role = SafeText::new(&role);
            let mut actions = vec![SafeText::new(&line(&program))];
            for (name, value) in &program.environment {
                if let EnvValue::Secret(secret) = value {
                    actions.push(SafeText::new(&format!("with {name} from {secret}")));
                }
            }
            Preview {
                target: SafeText::new(&self.target()),
                left: self.yielded(scene, already, by_looking, &role),
                role,
                identity,
                actions,
                challenge: name(&program),
                conditions,
                already,
                at,
            }
        })
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            let acted = self.run(scene, deadline).await;
            drop(authorized);
            acted
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(async move {
            let looked = self.looked(&scene.net, deadline).await;
            let by_looking = looked.is_some();
            let (held, why) = match looked {
                Some(Ok((holds, said))) => (Held::of(holds), said),
                Some(Err(gap)) => (Held::Unknown, gap.to_string()),
                None => self.by_its_end(scene).await,
            };
            let mut seen = Observation::new(held, &why, clock::now());
            seen.left = self.yielded(scene, held, by_looking, &seen.why);
            seen
        })
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        let program = self.options.program();
        let secrets = program.environment.iter().filter_map(|(name, value)| match value {
            EnvValue::Plain(_) => None,
            EnvValue::Secret(secret) => Some(format!("# Set {name} from {secret} first.")),
        });
        let check = self.options.checker().map(|c| format!("# Its effect, by exit code 0: {}", line(&c)));
        secrets.chain([line(&program)]).chain(check).collect()
    }
}
