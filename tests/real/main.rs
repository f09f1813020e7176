//! Tests against real servers on loopback, and against servers that fail on purpose. They need root and the packages
//! that `tests/all.sh` installs; a missing server fails a test, never skips it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/faults/mod.rs"]
mod faults;
#[path = "../support/postgres.rs"]
mod pg;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/watch.rs"]
mod watch;

mod check_bin;
mod dns;
mod dns_endpoints;
mod dns_zones;
mod faults_work;
mod lab_faults;
mod matrix;
mod no_false_red;
mod postgres;
mod postgres_lane;
mod postgres_majors;
mod postgres_peers;
mod postgres_tls;
mod round_trips;
mod secrets;
mod ssh;
mod traps;
