//! What readings of Patroni mean. One file each.
//!
//! Each says in its documentation which of Patroni's traps it avoids: (1) the lags of a standby cluster are relative to its
//! own leader; (2) a dead leader's lags are frozen, and its entry stays until the lock ends; (3) an unknown lag is no lag of
//! zero; (4) the active site's list never shows the standby cluster; (5) maintenance mode; (8) no guard against two active
//! clusters; (9) the failsafe; (10) `running` without streaming; (11) what was left over: a pause, a scheduled switchover.

mod candidates;
mod dcs;
mod history;
mod identity;
mod leader;
mod members;
mod mode;
mod promotable;
mod role;
mod shape;
mod stream;
mod sync;
mod view;

use crate::readiness::Rule;

/// Every rule of Patroni.
pub static RULES: &[&dyn Rule] = &[
    &shape::Shape,
    &members::Members,
    &leader::Leader,
    &identity::Identity,
    &role::Role,
    &stream::Stream,
    &history::History,
    &candidates::Candidates,
    &sync::Sync,
    &mode::Mode,
    &dcs::Dcs,
    &promotable::Promotable,
];
