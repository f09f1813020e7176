//! A server's control commands: what stops it, what starts it, what brings it back, and what says whether it is stopped.

use std::time::Duration;

use tokio::time::Instant;

use crate::net::{Ended, Exit, Net, Outliving};
use crate::plan::{Program, SafeText, quoted};
use crate::readiness::{Gap, Reason};
use crate::runbook::Acted;
use crate::systems::Scene;
use crate::systems::postgres::parse::server::{Control, control};

/// How long an act waits for a program that takes long: what fails at once is told at once.
pub(super) const AT_ONCE: Duration = Duration::from_millis(500);

/// What a check said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// It is stopped; by its control file, where the check showed that.
    Stopped(Option<Control>, String),
    /// It is not.
    Runs(String),
    /// Nobody can say; what its control file holds, where the check showed that.
    Unknown(Option<Control>, String),
}

impl Check {
    /// The cluster whose data directory was looked at, by its system identifier.
    pub(super) fn system(&self) -> Option<&str> {
        match self {
            Self::Stopped(control, _) | Self::Unknown(control, _) => control.as_ref().map(|c| c.system.as_str()),
            Self::Runs(_) => None,
        }
    }

    /// Whether it was a standby's data directory that was looked at: no primary's, however equal their system identifiers are.
    pub(super) fn is_standbys(&self) -> bool {
        match self {
            Self::Stopped(control, _) | Self::Unknown(control, _) => control.as_ref().is_some_and(Control::is_standbys),
            Self::Runs(_) => false,
        }
    }

    /// The same, held against the cluster that is meant: the control file of another one proves nothing, and neither does one
    /// that nobody can compare.
    pub(super) fn of(self, meant: Option<&str>) -> Self {
        match (self, meant) {
            (Self::Stopped(Some(control), words), Some(meant)) if control.system == meant => {
                Self::Stopped(Some(control), words)
            }
            (Self::Stopped(Some(control), words), Some(meant)) => {
                let words = format!("{words}, but it is of the cluster {}, not {meant}", control.system);
                Self::Unknown(Some(control), words)
            }
            (Self::Stopped(Some(control), words), None) => {
                let words = format!("{words}, of the cluster {}: nothing to compare that with", control.system);
                Self::Unknown(Some(control), words)
            }
            (other @ (Self::Stopped(None, _) | Self::Runs(_) | Self::Unknown(..)), _) => other,
        }
    }
}

/// A program's words as one would type them.
pub(super) fn words(program: &Program) -> String {
    let words = program.argv.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" ");
    match &program.ssh {
        Some(ssh) => format!("ssh {} {}", ssh.host(), quoted(&words)),
        None => words,
    }
}

/// The program of a step, one at a time. It is let run to its end, whatever becomes of this process, and keeps other
/// runners from the run until then.
#[derive(Debug, Default)]
pub(super) struct Job {
    running: Option<Outliving>,
    ended: Option<Result<Exit, Gap>>,
}

impl Job {
    /// Starts it, once.
    pub(super) async fn begin(&mut self, scene: &Scene, program: &Program, deadline: Instant) -> Result<(), Acted> {
        self.wait(Instant::now()).await;
        if let Some(running) = &self.running {
            let pid = running.pid().unwrap_or_default();
            return Err(Acted::NotSent { why: format!("process {pid} of the attempt before has not ended").into() });
        }
        self.ended = None;
        self.running = Some(scene.start(program, deadline).await?);
        Ok(())
    }

    /// Waits for its end, until `deadline`.
    pub(super) async fn wait(&mut self, deadline: Instant) {
        if let Some(running) = &mut self.running
            && let Some(ended) = running.exit_by(deadline).await.transpose()
        {
            self.ended = Some(ended);
            self.running = None;
        }
    }

    /// How it ended, where that was heard; `None` also where this process began none.
    pub(super) const fn ended(&self) -> Option<&Result<Exit, Gap>> {
        self.ended.as_ref()
    }

    /// Whether it was under way when it was last asked.
    pub(super) const fn runs(&self) -> bool {
        self.running.is_some()
    }

    /// What it said last, while it runs.
    pub(super) fn says(&self) -> Option<SafeText> {
        self.running.as_ref()?.said(1).pop()
    }

    /// Starts it, and waits for its end until shortly before `deadline`: the rest is for looking.
    pub(super) async fn act(&mut self, scene: &Scene, program: &Program, deadline: Instant) -> Result<SafeText, Acted> {
        self.begin(scene, program, deadline).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        self.wait(Instant::now() + (left - left / 10)).await;
        self.said(program).unwrap_or_else(|| {
            let pid = self.running.as_ref().and_then(Outliving::pid).unwrap_or_default();
            let why = format!("process {pid} is not done: it goes on by itself, and holds the run until it ends");
            Err(Acted::Unclear { why: SafeText::new(&why), left: Box::default() })
        })
    }

    /// What its end says of the call; `None` while there is none.
    pub(super) fn said(&self, program: &Program) -> Option<Result<SafeText, Acted>> {
        Some(match self.ended.as_ref()? {
            Ok(exit) => match exit.ended {
                Ended::Code(0) => Ok(format!("{}: {}", program.shown(), exit.ended).into()),
                Ended::Code(_) => Err(Acted::Failed { said: exit.failed(program).detail, left: Box::default() }),
                // Somebody else ended it: what it did before that is not known.
                Ended::Signal(_) => Err(Acted::Unclear { why: exit.failed(program).detail, left: Box::default() }),
            },
            Err(gap) if not_begun(gap.reason) => Err(Acted::NotSent { why: gap.detail.clone() }),
            Err(gap) => Err(Acted::Unclear { why: gap.detail.clone(), left: Box::default() }),
        })
    }
}

/// Reasons for which a program was not even begun.
const fn not_begun(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotRunnable
            | Reason::SecretUnavailable
            | Reason::NotConfigured
            | Reason::HostKey
            | Reason::SshDenied
            | Reason::SshRefused
    )
}

/// Asks whether the server is stopped.
pub(super) async fn check(net: &Net, program: &Program, stopped: i32, deadline: Instant) -> Check {
    read(net.run(program, deadline).await, program, stopped)
}

fn read(ran: Result<Exit, Gap>, program: &Program, stopped: i32) -> Check {
    let exit = match ran {
        Ok(exit) => exit,
        Err(gap) => return Check::Unknown(None, gap.to_string()),
    };
    if let Some(control) = control(&String::from_utf8_lossy(&exit.stdout)) {
        let words = format!("its control file says \"{}\"", control.state);
        return if control.is_shut_down() {
            Check::Stopped(Some(control), words)
        } else {
            // It runs, or it crashed: the file does not tell.
            Check::Unknown(Some(control), words)
        };
    }
    let said = exit.complaint();
    match exit.ended {
        Ended::Code(code) if code == stopped => Check::Stopped(None, format!("{}: {}", program.shown(), exit.ended)),
        Ended::Code(0) => Check::Runs(format!("{}: {}", program.shown(), exit.ended)),
        Ended::Code(_) | Ended::Signal(_) => {
            Check::Unknown(None, format!("{}: {}: {said}", program.shown(), exit.ended))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::postgres::options::steps::program;

    fn of(code: i32, output: &str) -> Check {
        let exit = Exit { ended: Ended::Code(code), stdout: output.as_bytes().to_vec(), stderr: Vec::new() };
        read(Ok(exit), &program(&["/usr/bin/x".to_owned()], None), 3)
    }

    #[test]
    fn a_check_says_stopped_or_it_says_nothing() {
        assert!(matches!(of(3, "inactive"), Check::Stopped(None, _)));
        assert!(matches!(of(0, "active"), Check::Runs(_)));
        assert!(matches!(of(1, "no such unit"), Check::Unknown(None, _)));
        let text = |state: &str| {
            format!(
                "Database system identifier: 7\nDatabase cluster state: {state}\nLatest checkpoint location: 0/28\n"
            )
        };
        assert!(matches!(of(0, &text("shut down")), Check::Stopped(Some(_), _)));
        assert!(matches!(of(0, &text("in production")), Check::Unknown(Some(_), _)));
        for state in ["shut down in recovery", "in archive recovery"] {
            let standbys = of(0, &text(state));
            assert!(matches!(standbys, Check::Unknown(Some(_), _)) && standbys.is_standbys(), "{state}");
        }
        assert!(!of(0, &text("shut down")).is_standbys() && !of(0, &text("in production")).is_standbys());
        let gap = read(Err(Reason::TimedOut.into()), &program(&[], None), 3);
        assert!(matches!(gap, Check::Unknown(None, _)));
    }

    #[test]
    fn the_control_file_of_another_cluster_proves_nothing() {
        let text =
            "Database system identifier: 7\nDatabase cluster state: shut down\nLatest checkpoint location: 0/28\n";
        assert!(matches!(of(0, text).of(Some("7")), Check::Stopped(Some(_), _)));
        for meant in [Some("8"), None] {
            let check = of(0, text).of(meant);
            assert_eq!(check.system(), Some("7"));
            assert!(matches!(check, Check::Unknown(Some(_), _)), "{meant:?}");
        }
        assert!(matches!(of(3, "inactive").of(None), Check::Stopped(None, _)));
    }

    #[test]
    fn words_are_as_one_would_type_them() {
        let argv = ["systemctl", "stop", "postgresql@15-main"].map(str::to_owned);
        assert_eq!(words(&program(&argv, None)), "systemctl stop postgresql@15-main");
        let ssh = crate::plan::Ssh::Host("root@db.east".to_owned());
        assert_eq!(words(&program(&argv, Some(&ssh))), "ssh root@db.east 'systemctl stop postgresql@15-main'");
    }
}
