//! What the readings of PostgreSQL servers mean. One file per rule; each names the traps of the field that it avoids.
//!
//! The traps are numbered as in the tests' table (`tests/scenarios/traps.rs`). No rule here judges by `*_lag` columns
//! or by an amount of log alone: those freeze, vanish and jump while nothing is wrong, and stay small while all is.

use crate::readiness::Rule;

mod after_promotion;
mod archiver;
mod check;
mod conflicts;
mod identity;
mod logical;
mod parity;
mod promotable;
mod receiver;
mod replay;
mod restored;
mod rewind;
mod sender;
mod shape;
mod skew;
mod slots;
mod sync;
mod timeline;
mod view;

pub use check::is_expected;

/// Every rule.
pub static RULES: &[&dyn Rule] = &[
    &shape::Shape,
    &identity::Identity,
    &receiver::Receiver,
    &sender::Sender,
    &replay::Replay,
    &conflicts::Conflicts,
    &slots::Slots,
    &timeline::Timeline,
    &sync::Sync,
    &parity::Parity,
    &promotable::Promotable,
    &after_promotion::AfterPromotion,
    &rewind::Rewind,
    &archiver::Archiver,
    &skew::Skew,
    &restored::Restored,
    &logical::roles::Roles,
    &logical::subscription::Subscription,
    &logical::slots::Slots,
    &logical::tables::Tables,
    &logical::sequences::Sequences,
    &logical::drift::Drift,
    &logical::leftovers::Leftovers,
    &check::Check,
];
