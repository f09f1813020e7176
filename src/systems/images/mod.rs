//! Container images: whether each site's registry has every image that is deployed, the same as where the service runs,
//! and whole.

mod auth;
mod contents;
mod lane;
mod login;
pub mod options;
mod parse;
mod quiet;
mod read;
mod registry;
pub mod rules;
pub mod signals;

use std::sync::Arc;

use schemars::JsonSchema as _;

use crate::net::Net;
use crate::plan::{Area, Plan, ProbeDecl};

use super::{KindArea, Lane, Pace, ProbeKind, System};
use lane::RegistryLane;
use options::{Images, ImagesOptions};

/// The descriptor.
pub static SYSTEM: System =
    System { name: "images", probes: &[IMAGES], signals: signals::SIGNALS, rules: rules::RULES, steps: &[] };

const IMAGES: ProbeKind = ProbeKind {
    name: "images",
    area: KindArea::Fixed(Area::Images),
    pace: Pace::SLOW,
    schema: |generator| ImagesOptions::json_schema(generator),
    read: read::read,
    open,
};

/// Opens the lanes that were declared. Connects nowhere.
fn open(_: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    let Some(images) = probe.options::<Images>() else { return Vec::new() };
    let lane = |(decl, registry)| Box::new(RegistryLane::new(net, decl, images, registry)) as Box<dyn Lane>;
    probe.lanes.iter().filter_map(|decl| Some((decl, images.of_lane(decl)?))).map(lane).collect()
}
