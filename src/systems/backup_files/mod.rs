//! Backups that are files in a directory: dumps, archives, copies. The newest one's age, size, form and, where it is asked
//! for, whether it can be read to its end; retention, chains, and the last restore that was proven.

mod decode;
mod memory;
pub mod options;
mod parse;
mod probe;
mod read;
pub mod rules;
pub mod signals;
mod survey;
mod tools;

use std::sync::Arc;

use schemars::JsonSchema;

use crate::net::Net;
use crate::plan::{Area, LaneDecl, Plan, ProbeDecl};
use crate::readiness::{Gap, PlanStatus, Reading, Reason, Value, Verdict};

use super::{KindArea, Lane, Pace, ProbeKind, System};
use memory::Memory;
use options::{BackupFiles, BackupFilesOptions, Decode};
use parse::rows::Decoding;
use probe::FilesLane;

/// The descriptor.
pub static SYSTEM: System = System {
    name: "backup_files",
    probes: &[ProbeKind {
        name: "backup-files",
        area: KindArea::Fixed(Area::Backup),
        pace: Pace::SLOW,
        schema: BackupFilesOptions::json_schema,
        read: read::read,
        open,
    }],
    signals: signals::SIGNALS,
    rules: rules::RULES,
    steps: &[],
};

/// Opens the lane that was declared. Touches no file.
fn open(_: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    let Some(files) = probe.options::<BackupFiles>() else { return Vec::new() };
    let files = Arc::new(files.clone());
    let memory = net.state().and_then(Memory::of);
    let lane = |decl: &LaneDecl| -> Box<dyn Lane> {
        Box::new(FilesLane::new(decl.clone(), Arc::clone(&files), memory.clone()))
    };
    probe.lanes.iter().map(lane).collect()
}

/// Whether a probe asks for backups to be read in full.
#[must_use]
pub fn decodes(probe: &ProbeDecl) -> bool {
    probe.options::<BackupFiles>().is_some_and(|f| f.decode == Decode::Newest)
}

/// Whether something of a plan is still to be read in full, by what was judged.
#[must_use]
pub fn unread(status: &PlanStatus) -> bool {
    let waits = |code: &str| matches!(code, "not-read-yet" | "reading" | "unreadable-before");
    status.findings.iter().any(|f| f.rule == rules::DECODES && waits(&f.code))
}

/// What came of reading in full, by the readings of one look; `None` while it is under way.
#[must_use]
pub fn decoded(readings: &[Reading]) -> Option<(Verdict, String)> {
    let value = readings.iter().find(|r| r.key.signal == signals::DECODE).map(|r| &r.value);
    let row = match value {
        Some(Ok(Value::Rows(rows))) => match rows.first() {
            Some(row) => Decoding::read(row),
            None => return Some((Verdict::Unknown, "there is no backup that is whole".to_owned())),
        },
        Some(Err(gap)) => Err(gap.clone()),
        Some(Ok(_)) | None => Err(Gap::from(Reason::Absent)),
    };
    let said = match row {
        Ok(row) => {
            let took = row.took.map(|t| format!(" in {t}")).unwrap_or_default();
            match row.state.as_str() {
                "waiting" | "running" | "bad-before" => return None,
                "good" => (Verdict::Ready, format!("{} was read to its end{took}", row.name)),
                "bad" => (Verdict::NotReady, format!("{} cannot be read: {}", row.name, row.detail)),
                _ => (Verdict::Unknown, format!("{} could not be read in full: {}", row.name, row.detail)),
            }
        }
        Err(gap) => (Verdict::Unknown, gap.to_string()),
    };
    Some(said)
}
