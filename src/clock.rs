//! The only reader of clocks.
//!
//! Everything else takes [`Now`] as an argument; `.clippy.toml` forbids the standard clocks elsewhere.

use std::time::Duration;

use crate::plan::{BootTime, Now, SafeText};

/// This moment by both clocks: the wall clock, and Linux's `CLOCK_BOOTTIME`, which counts suspended time and cannot be
/// set.
#[must_use]
pub fn now() -> Now {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let secs = u64::try_from(boot.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(boot.tv_nsec).unwrap_or(0);
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let wall = chrono::Utc::now();
    Now { wall, boot: BootTime(Duration::new(secs, nanos)) }
}

/// Which boot of which machine this is (Linux `/proc/sys/kernel/random/boot_id`); boot times compare only within one.
/// Empty where the kernel does not say, and then no two processes share a boot.
#[must_use]
pub fn boot_id() -> SafeText {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| SafeText::new(&format!("process {}", std::process::id())), |id| SafeText::new(id.trim()))
}
