//! The command line's words.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::plan::{Area, Span};

/// Shows live whether a service could fail over right now, what it would lose and how long it would take.
///
/// Without a command: the board.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "lifeboat",
    version,
    max_term_width = 100,
    after_help = "Exit codes of `check`: 0 ready, 1 degraded, 2 not ready, 3 unknown. Of all commands: 64 usage, \
                  65 configuration, 70 anything else."
)]
pub struct CommandLine {
    /// The configuration; else LIFEBOAT_CONFIG, else ~/.config/lifeboat/config.toml (XDG_CONFIG_HOME).
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
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
}

/// What to do with the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Reports every mistake at once, each with its place; tries to read each secret; contacts no server
    Check,
    /// Prints the JSON Schema of the configuration
    Schema,
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
    /// The theme, instead of the configuration's
    #[arg(long, value_name = "NAME", value_parser = crate::app::view::THEMES)]
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
}

/// A duration above zero and up to an hour.
fn limit(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|e: crate::plan::SpanError| e.to_string())?;
    if span.0.is_zero() || span > Span::secs(3_600) {
        return Err("must be above 0 and at most 1h".to_owned());
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
        for bad in ["check --timeout 0s", "check --timeout 2h", "check --timeout 5", "check --area disk", "chek"] {
            let line = format!("lifeboat {bad}");
            assert!(CommandLine::try_parse_from(line.split(' ')).is_err(), "{bad}");
        }
    }
}
