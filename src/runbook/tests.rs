//! The core by itself: no disk, no network, no clock.

mod admitting;
mod approving;
mod bench;
mod deciding;
mod folding;
mod guarding;
mod model;
mod properties;
mod proving;
mod ranges;
mod turning;
