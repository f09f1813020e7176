//! One file per subcommand; the only place that prints.

pub mod args;
pub mod check;
pub mod console;
pub mod replay;

/// Exit code of a command line that makes no sense (BSD's `EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;
/// Exit code of everything else that fails (BSD's `EX_SOFTWARE`).
pub const EXIT_FAILED: u8 = 70;
