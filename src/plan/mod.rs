//! The words of a plan: ids, sites, objectives, tiers, strategies, areas, time, bytes, positions, safe text.
//!
//! PURE: nothing here knows a clock, a file, a network or a terminal. Everything above builds on these types.
#![deny(clippy::wildcard_enum_match_arm)]

mod area;
mod bytes;
mod copies;
mod day;
mod declared;
mod ids;
mod lost;
mod lsn;
pub mod mask;
mod now;
mod practice;
mod program;
mod safe_text;
mod secret_ref;
mod span;
mod strategy;
mod wal;

pub use area::Area;
pub use bytes::{Bytes, BytesError};
pub use copies::{Copies, CopyPlace, CopyRule, DeclaredCopy, Medium, ProbedCopy};
pub use day::{Day, DayError, Standing};
pub use declared::{Confirm, Contact, Here, LaneDecl, Loss, Objectives, Plan, ProbeDecl, ProbeOptions, Site, Weight};
pub use ids::{Key, LaneId, PlanId, ProbeId, RuleId, SignalId, SiteId, Subject};
pub use lost::{Lost, servers_in};
pub use lsn::{Lsn, LsnError};
pub use now::{BootTime, Now};
pub use practice::{NotOwn, Practice};
pub use program::{EnvValue, Program, ProgramError, Ssh, SshTable, check_argv, check_env_name, quoted};
pub use safe_text::SafeText;
pub use secret_ref::SecretRef;
pub use span::{Span, SpanError};
pub use strategy::Strategy;
pub use wal::{WalSegment, WalSegmentError};
