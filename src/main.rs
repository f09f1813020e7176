//! Stands in until the command line is merged: the board on a plan without probes.

use std::process::ExitCode;
use std::sync::Arc;

use lifeboat::app::{Memory, Model, Polled};
use lifeboat::cli::watch::{Backstage, Loaded, Options, watch};
use lifeboat::plan::{Here, LaneId, Objectives, Plan, PlanId, Site, SiteId, Span, Strategy};
use lifeboat::tui::run::{Failure, Notice};
use tokio::sync::mpsc::Sender;

#[derive(Debug)]
struct Nothing;

impl Backstage for Nothing {
    fn start(&mut self, _: &[Arc<Plan>], _: Sender<Polled>, _: Sender<Notice>) {}
    fn poll_now(&mut self, _: &[LaneId]) {}
    fn remember(&mut self, _: Vec<Memory>) {}
}

fn main() -> ExitCode {
    let load = move || {
        let text = std::env::args().nth(2).and_then(|p| std::fs::read_to_string(p).ok()).unwrap_or_default();
        if text.contains("plam") {
            return Err(Failure { text: "lifeboat.toml:1:3: unknown key `plam`".into(), status: 65 });
        }
        let site = |s| Site { id: SiteId::new(s), what: "here".into() };
        let plan = Plan {
            id: PlanId::new("payments"),
            tier: 1,
            strategy: Strategy::WarmStandby,
            objectives: Objectives { rpo: Span::secs(30), rto: Span::secs(300) },
            sites: vec![site("east"), site("west")],
            home: SiteId::new("east"),
            here: Here::Elsewhere,
            requires: Strategy::WarmStandby.requires().to_vec(),
            probes: Vec::new(),
            contacts: Vec::new(),
            losses: Vec::new(),
        };
        Ok(Loaded { plans: vec![Arc::new(plan)], theme: None, back: Box::new(Nothing) })
    };
    let model = Model::new(Vec::new(), [], lifeboat::clock::boot_id());
    watch(&Options::default(), model, Box::new(load))
}
