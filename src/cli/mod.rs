//! One file per subcommand.

pub mod watch;
