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

#[path = "../support/acting.rs"]
mod acting;
#[path = "../support/faults/mod.rs"]
mod faults;
#[path = "../support/patroni.rs"]
mod patroni_lab;
#[path = "../support/postgres.rs"]
mod pg;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/registry.rs"]
mod registry;
#[path = "../support/sshd.rs"]
mod sshd;
#[path = "../support/token.rs"]
mod token;
#[path = "../support/traps.rs"]
mod trap_list;
#[path = "../support/watch.rs"]
mod watch;

mod all_healthy;
mod backup_files;
mod barman;
mod check_bin;
mod command;
mod command_step;
mod dns;
mod dns_endpoints;
mod dns_steps;
mod dns_zones;
mod doctor;
mod doctor_kinds;
mod endpoints;
mod faults_work;
mod fence_ways;
mod healthy;
mod http_step;
mod images;
mod init;
mod lab_faults;
mod matrix;
mod matrix_exec;
mod matrix_images;
mod matrix_logical;
mod patroni;
mod patroni_matrix;
mod patroni_steps;
mod pgbackrest;
mod postgres;
mod postgres_lane;
mod postgres_logical;
mod postgres_majors;
mod postgres_peers;
mod postgres_tls;
mod practice;
mod practice_tools;
mod promotion;
mod round_trips;
mod runner;
mod runner_clock;
mod runner_together;
mod secrets;
mod shared_state;
mod sql_check;
mod ssh;
mod steps_postgres;
mod steps_postgres_after;
mod traps;
