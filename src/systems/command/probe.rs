//! Runs the command.

use std::sync::Arc;

use tokio::time::Instant;

use super::options::{CommandOptions, Format};
use super::parse;
use super::signals;
use crate::net::{Ended, Net};
use crate::plan::{LaneDecl, Plan, ProbeDecl};
use crate::readiness::{Examined, Gap, Value};
use crate::systems::{Examining, Lane, Look, Looking, examine};

/// Opens the lane that was declared. Runs nothing.
pub(super) fn open(_: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    let Some(options) = probe.options::<CommandOptions>() else { return Vec::new() };
    let lane = |decl: &LaneDecl| -> Box<dyn Lane> {
        let (net, decl, options) = (Arc::clone(net), decl.clone(), options.clone());
        Box::new(CommandLane { net, decl, options, reported: false })
    };
    probe.lanes.iter().map(lane).collect()
}

struct CommandLane {
    net: Arc<Net>,
    decl: LaneDecl,
    options: CommandOptions,
    /// Whether it said something at the look before.
    reported: bool,
}

impl Lane for CommandLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            let report = self.report(deadline).await;
            self.reported = report.is_ok();
            match report {
                Ok(report) => self.read(report),
                Err(gap) => Look::failed(&self.decl, &gap),
            }
        })
    }

    fn examine(&mut self, deadline: Instant) -> Examining<'_> {
        Box::pin(async move {
            let program = self.options.program();
            let mut found = examine::program(&self.net, &program, self.reported, deadline).await;
            if self.reported {
                let format = match self.options.format {
                    Format::Nagios => "an exit code and a line, as Nagios plugins do",
                    Format::Json => "a JSON object",
                };
                found.push(Examined::well("understood", &format!("{} says {format}", program.shown())));
            }
            found
        })
    }
}

impl CommandLane {
    async fn report(&self, deadline: Instant) -> Result<parse::Report, Gap> {
        let program = self.options.program();
        let exit = self.net.run(&program, deadline).await?;
        let Ended::Code(code) = exit.ended else { return Err(exit.failed(&program)) };
        let read = match self.options.format {
            Format::Nagios => parse::nagios(code, &exit.stdout),
            Format::Json => parse::json(code, &exit.stdout),
        };
        match read {
            Ok(report) => Ok(report),
            Err(parse::Not::ItsCode) => Err(exit.failed(&program)),
            Err(parse::Not::Said(gap)) => Err(Gap::new(gap.reason, &format!("{}: {}", program.shown(), gap.detail))),
        }
    }

    fn read(&self, report: parse::Report) -> Look {
        let mut look = Look::default();
        let drawn = parse::drawn(&report.values, self.options.chart.as_deref());
        look.push(&signals::VERDICT, Ok(Value::text(report.verdict)));
        look.push(&signals::SAYS, Ok(Value::Text(report.says)));
        look.push(&signals::NEXT, Ok(report.next.map_or(Value::NotApplicable, Value::Text)));
        look.push(&signals::VALUES, Ok(Value::Rows(report.values)));
        look.push(&signals::VALUE, drawn);
        look.push(&signals::AS_OF, Ok(report.as_of.map_or(Value::NotApplicable, Value::Time)));
        for observed in &mut look.observed {
            observed.as_of = report.as_of;
        }
        look
    }
}
