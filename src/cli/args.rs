//! The command line's words.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::plan::{Area, Span};
use crate::runbook::RunId;
use crate::runbook::RunbookKind;

/// Shows live whether a service could fail over right now, what it would lose and how long it would take.
///
/// Without a command: the board.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "lifeboat",
    version,
    max_term_width = 100,
    after_help = "Exit codes of `check`, `decode` and `doctor`: 0 ready, 1 degraded, 2 not ready, 3 unknown. Of all commands: 64 usage, \
                  65 configuration, 70 anything else."
)]
pub struct CommandLine {
    /// The configuration; else LIFEBOAT_CONFIG, else ~/.config/lifeboat/config.toml (XDG_CONFIG_HOME).
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Appends what happens behind the scenes to this file; never to the screen
    #[arg(long, global = true, value_name = "FILE", env = "LIFEBOAT_LOG")]
    pub log: Option<PathBuf>,
    /// How much of it
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info", env = "LIFEBOAT_LOG_LEVEL",
          value_parser = ["error", "warn", "info", "debug"])]
    pub log_level: String,
    /// What the board takes, where no command is given.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// The command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command other than the board.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Looks once at everything and prints the verdicts; the exit code is the worst of them
    Check(CheckArgs),
    /// Checks the configuration, or prints its schema
    Config {
        /// Which.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Plays a recorded session, frame by frame
    Replay(ReplayArgs),
    /// Starts a configuration: asks little, finds out much, writes it with a comment for every choice
    Init(InitArgs),
    /// Examines whether it can see what it must: reachability, TLS, versions, each permission, clocks, expiry; reads only
    Doctor(DoctorArgs),
    /// Practises on simulated sites: nothing to install or configure, nothing real, and nothing left behind
    Demo(DemoArgs),
    /// Starts a guided run of a plan's runbook, or looks it through without changing anything
    Run(RunArgs),
    /// Reads the newest backup of every probe with `decode` in full, waits for it, and keeps the result for the next check
    Decode(DecodeArgs),
    /// Lists what ran and what is open; proves or exports a run's journal
    Runs(RunsArgs),
    /// Watches an open run, or goes on with it
    Attach {
        /// Which
        #[arg(value_name = "RUN")]
        run: String,
        /// How it looks.
        #[command(flatten)]
        look: LookArgs,
        /// Only watches: binds no dangerous key
        #[arg(long)]
        read_only: bool,
    },
    /// Prints all that is declared and remembered of the plans as one JSON document; no secret, no look
    Export(ExportArgs),
    /// Carries out the approved steps of one run; the board and `run` start it
    #[command(hide = true)]
    Runner(RunnerArgs),
    /// Prints completions for a shell
    Completions {
        /// Which.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, for `man -l -`
    Man,
}

/// Options of `init`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct InitArgs {
    /// A database server as psql takes it, or the REST API of a Patroni (http://host:8008); the other site's too, where it
    /// cannot be found from the first
    #[arg(value_name = "ADDRESS", num_args = 0..=4)]
    pub addresses: Vec<String>,
    /// The service's name
    #[arg(long, value_name = "NAME")]
    pub plan: Option<String>,
    /// The site where it normally runs
    #[arg(long, value_name = "SITE")]
    pub home: Option<String>,
    /// The site that would take over
    #[arg(long, value_name = "SITE")]
    pub other: Option<String>,
    /// The DNS name that users use
    #[arg(long, value_name = "NAME")]
    pub record: Option<String>,
    /// What that name would answer after a failover; may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    pub answer: Vec<String>,
    /// A resolver that users use; may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    pub resolver: Vec<String>,
    /// A PEM file of authorities to trust for https, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub roots: Option<String>,
    /// Asks nothing and takes every default
    #[arg(long, short)]
    pub yes: bool,
    /// Prints the configuration instead of writing it
    #[arg(long)]
    pub print: bool,
}

/// Options of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// Only these plans
    #[arg(value_name = "PLAN")]
    pub plans: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: DoctorFormat,
    /// Prints only what is not as it should be
    #[arg(long, short)]
    pub quiet: bool,
    /// How long everything may take, at most
    #[arg(long, value_name = "DURATION", default_value = "50s", value_parser = limit)]
    pub timeout: Span,
}

/// How `doctor` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Options of `demo`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct DemoArgs {
    /// What happens, twenty seconds after the start; more can be let begin by `:practice` on the board
    #[arg(long, value_name = "NAME", default_value = "healthy")]
    pub scenario: String,
    /// Tells of every scenario, and what a good commander would do
    #[arg(long)]
    pub list: bool,
    /// What everything follows from that looks random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many seconds go by in the practice world in a second, from 0.1 to 100
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Starts the practice world without the board, and prints the path of its configuration
    #[arg(long)]
    pub serve: bool,
    /// Binds no dangerous key
    #[arg(long)]
    pub read_only: bool,
    /// How it looks.
    #[command(flatten)]
    pub look: LookArgs,
    /// The directory of the world, made by the process that this one was.
    #[arg(long, value_name = "DIR", hide = true)]
    pub home: Option<PathBuf>,
}

/// How fast a practice world goes.
fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=100.0).contains(&speed) { Ok(speed) } else { Err("must be from 0.1 to 100".to_owned()) }
}

/// Options of `run`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RunArgs {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Which of its runbooks
    #[arg(value_name = "RUNBOOK",
          value_parser = PossibleValuesParser::new(RunbookKind::ALL.map(RunbookKind::word)).try_map(|k| RunbookKind::from_word(&k).ok_or("no such runbook")))]
    pub runbook: RunbookKind,
    /// Shows what each step would do and whether it could be started; changes nothing. Exits 0 go, 1 go with consent,
    /// 2 no, 3 unknown
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: asks nothing of that site, as if it were gone
    #[arg(long, value_name = "SITE", requires = "dry_run")]
    pub assume_lost: Option<String>,
    /// Prints the whole runbook as commands to copy, without secrets; asks nobody
    #[arg(long, conflicts_with = "dry_run")]
    pub print: bool,
    /// The site that shall take over, where there are several
    #[arg(long, value_name = "SITE")]
    pub to: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: DoctorFormat,
    /// Prints only what does not hold
    #[arg(long, short)]
    pub quiet: bool,
    /// How long a dry run may take, at most
    #[arg(long, value_name = "DURATION", default_value = "50s", value_parser = limit)]
    pub timeout: Span,
    /// How it looks.
    #[command(flatten)]
    pub look: LookArgs,
}

/// Options of `decode`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct DecodeArgs {
    /// Only these plans
    #[arg(value_name = "PLAN")]
    pub plans: Vec<String>,
    /// Goes on when the session that it was started in ends: how `check` starts it.
    #[arg(long, hide = true)]
    pub background: bool,
}

/// Options of `runs`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RunsArgs {
    /// Only of this plan
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// Only those that are open
    #[arg(long)]
    pub open: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: RunsFormat,
    /// What else
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
}

/// What to do with a run.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum RunsCommand {
    /// Proves that nothing of its journal was changed, and nothing left out of the middle; exits 2 where something was
    Verify {
        /// Which
        #[arg(value_name = "RUN")]
        run: String,
        /// The head that an export shows: proves that nothing was removed from the end since, either
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
    /// Prints it for the record
    Export {
        /// Which
        #[arg(value_name = "RUN")]
        run: String,
        /// How
        #[arg(long, value_enum, default_value_t = RunsFormat::Markdown)]
        format: RunsFormat,
    },
    /// Takes note of how it ended: until then no other failover of its plan can be started
    Acknowledge {
        /// Which
        #[arg(value_name = "RUN")]
        run: String,
        /// In your words
        #[arg(value_name = "WORDS")]
        reason: String,
    },
}

/// How runs are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RunsFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// For a ticket or a wiki page.
    Markdown,
}

/// Options of `export`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ExportArgs {
    /// Only these plans
    #[arg(value_name = "PLAN")]
    pub plans: Vec<String>,
    /// Only what was remembered within that time: 24h, 7d
    #[arg(long, value_name = "DURATION", value_parser = past)]
    pub since: Option<Span>,
}

/// Options of `runner`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RunnerArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = run_id)]
    pub run: RunId,
    /// The state directory
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
}

fn run_id(text: &str) -> Result<RunId, String> {
    if RunId::fits(text) { Ok(RunId::new(text)) } else { Err("no run's name".to_owned()) }
}

/// What to do with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Reports every mistake at once, each with its place; tries to read each secret; contacts no server
    Check,
    /// Prints the JSON Schema of the configuration
    Schema,
    /// Prints a theme, to start one of your own from: write it to themes/NAME.toml beside the configuration
    Theme {
        /// Which.
        #[arg(value_parser = crate::app::view::THEMES, default_value = "default")]
        name: String,
    },
}

/// Options of the board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct WatchArgs {
    /// Binds no dangerous key
    #[arg(long)]
    pub read_only: bool,
    /// Writes the session's events to a new file, for `replay`
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// How it looks.
    #[command(flatten)]
    pub look: LookArgs,
}

/// How a screen looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct LookArgs {
    /// Draws with ASCII characters only
    #[arg(long)]
    pub ascii: bool,
    /// The theme, instead of the configuration's: default, light, high-contrast, mono, or one of themes/NAME.toml beside
    /// the configuration
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
}

/// Options of `replay`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ReplayArgs {
    /// The recording.
    pub file: PathBuf,
    /// Prints the report of the moment at which it ends, instead of playing it; exits as `check` would have
    #[arg(long)]
    pub print: bool,
    /// How many times faster than it happened
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub speed: u32,
    /// How it looks.
    #[command(flatten)]
    pub look: LookArgs,
}

/// Options of `check`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct CheckArgs {
    /// Only these plans
    #[arg(value_name = "PLAN")]
    pub plans: Vec<String>,
    /// Only this plan; may be given more than once
    #[arg(long = "plan", value_name = "PLAN")]
    pub only_plans: Vec<String>,
    /// Only this area; may be given more than once
    #[arg(long = "area", value_name = "AREA",
          value_parser = PossibleValuesParser::new(Area::ALL.map(Area::name)).try_map(|a| Area::from_name(&a).ok_or("no such area")))]
    pub areas: Vec<Area>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Prints only what is not ready
    #[arg(long, short)]
    pub quiet: bool,
    /// How long everything may take, at most
    #[arg(long, value_name = "DURATION", default_value = "50s", value_parser = limit)]
    pub timeout: Span,
    /// Compares with the check of that long ago instead of the last one, and lists what changed since: 24h, 7d
    #[arg(long, value_name = "DURATION", value_parser = past)]
    pub since: Option<Span>,
    /// Looks again and again, this often, until it is interrupted; prints what changed, or a JSON document a line
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "30s", require_equals = true,
          value_parser = limit, conflicts_with = "since")]
    pub watch: Option<Span>,
}

impl CheckArgs {
    /// The plans asked for, both ways of naming them together; empty means every plan.
    pub fn plans(&self) -> impl Iterator<Item = &str> {
        self.plans.iter().chain(&self.only_plans).map(String::as_str)
    }
}

/// How `check` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// A monitoring plugin's output: Nagios, Icinga, Naemon.
    Nagios,
    /// Metrics for the node exporter's textfile collector.
    Prometheus,
    /// For a ticket, a chat or a wiki page.
    Markdown,
}

/// A duration above zero and up to an hour.
fn limit(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|e: crate::plan::SpanError| e.to_string())?;
    if span.0.is_zero() || span > Span::secs(3_600) {
        return Err("must be above 0 and at most 1h".to_owned());
    }
    Ok(span)
}

/// A duration above zero and up to as long as changes are kept.
fn past(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|e: crate::plan::SpanError| e.to_string())?;
    if span.0.is_zero() || span > Span::secs(400 * 86_400) {
        return Err("must be above 0 and at most 400d".to_owned());
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn config_may_stand_anywhere() {
        for line in [["lifeboat", "--config", "x", "check"], ["lifeboat", "check", "--config", "x"]] {
            let args = CommandLine::try_parse_from(line).unwrap();
            assert_eq!(args.config, Some(PathBuf::from("x")));
            assert!(matches!(args.command, Some(Command::Check(_))));
        }
    }

    #[test]
    fn check_names_plans_both_ways_and_limits_its_time() {
        let line = "lifeboat check payments --plan mail --area dns --format json --timeout 5s -q";
        let args = CommandLine::try_parse_from(line.split(' ')).unwrap();
        let Some(Command::Check(check)) = args.command else { panic!("not a check") };
        assert_eq!(check.plans().collect::<Vec<_>>(), ["payments", "mail"]);
        assert_eq!((check.areas.as_slice(), check.format), (&[Area::Dns][..], Format::Json));
        assert_eq!((check.timeout, check.quiet), (Span::secs(5), true));
        for bad in [
            "check --timeout 0s",
            "check --timeout 2h",
            "check --timeout 5",
            "check --area disk",
            "chek",
            "check --since 0s",
            "check --since=1h --watch",
        ] {
            let line = format!("lifeboat {bad}");
            assert!(CommandLine::try_parse_from(line.split(' ')).is_err(), "{bad}");
        }
    }
}
