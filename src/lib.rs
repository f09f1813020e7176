//! Lifeboat: could this service fail over right now, what would it lose, and how long would it take?
//!
//! # The map of the house
//!
//! `plan` has the words; `readiness` judges readings; `runbook` says what a run may do next; `app` owns everything that is
//! known and shown: these four are pure, with time as an argument. `systems` holds one folder per outside system, with its options, signals, parsing and
//! rules (pure) and its client and probes (I/O). `net` is TLS, resolving, limits and secrets; `store` is history,
//! recordings and the journal of runs; `config` turns a file into plans. `collect` polls on time. `runner`, a process
//! of its own, carries out the approved steps of one run. `report` prints a snapshot and `tui` draws it.
//! `cli` has one file per subcommand, and wires the rest together. `clock` is the only reader of clocks.
//!
//! Everything flows one way: terminal and polls become events, `app::update` alone changes state and returns effects,
//! and a frame, a report or an exit code is made of the snapshot that follows.
//!
//! # Who may use whom
//!
//! From the ground up. A test (`tests/fast/walls.rs`) reads every `use` and path of the sources, and this table.
//!
//! | room | may use |
//! |---|---|
//! | `plan`, pure | nothing |
//! | `readiness`, pure | `plan` |
//! | `runbook`, pure | `readiness`, `plan` |
//! | `app`, pure | `runbook`, `readiness`, `plan` |
//! | `clock` | `plan` |
//! | `store` | `app`, `runbook`, `readiness`, `plan`, `clock` |
//! | `net` | `readiness`, `plan`, `clock` |
//! | `systems` | `net`, `runbook`, `readiness`, `plan`, `clock` |
//! | `config` | `systems`, `runbook`, `plan` |
//! | `collect` | `config`, `systems`, `net`, `app`, `runbook`, `readiness`, `plan`, `clock` |
//! | `runner` | `collect`, `config`, `systems`, `net`, `store`, `app`, `runbook`, `readiness`, `plan`, `clock` |
//! | `report` | `app`, `runbook`, `readiness`, `plan` |
//! | `tui` | `systems`, `app`, `runbook`, `readiness`, `plan`, `clock` |
//! | `practice` | `runbook`, `plan`, `clock` |
//! | `cli` | `practice`, `tui`, `report`, `runner`, `collect`, `config`, `systems`, `net`, `store`, `app`, `runbook`, `readiness`, `plan`, `clock` |
//! | `main` | `cli` |

pub mod app;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod config;
pub mod net;
pub mod plan;
pub mod practice;
pub mod readiness;
pub mod report;
pub mod runbook;
pub mod runner;
pub mod store;
pub mod systems;
pub mod tui;
