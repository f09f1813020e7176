//! Lifeboat: could this service fail over right now, what would it lose, and how long would it take?
//!
//! # The map of the house
//!
//! `plan` has the words; `readiness` judges readings; `app` owns everything that is known and shown: these three are
//! pure, with time as an argument. `systems` holds one folder per outside system, with its options, signals, parsing and
//! rules (pure) and its client and probes (I/O). `net` is TLS, resolving, limits and secrets; `store` is history and
//! recordings; `config` turns a file into plans. `collect` polls on time. `report` prints a snapshot and `tui` draws it.
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
//! | `app`, pure | `readiness`, `plan` |
//! | `clock` | `plan` |
//! | `store` | `app`, `readiness`, `plan`, `clock` |
//! | `net` | `readiness`, `plan`, `clock` |
//! | `systems` | `net`, `readiness`, `plan`, `clock` |
//! | `config` | `systems`, `plan` |
//! | `collect` | `config`, `systems`, `net`, `app`, `readiness`, `plan`, `clock` |
//! | `report` | `app`, `readiness`, `plan` |
//! | `tui` | `systems`, `app`, `readiness`, `plan`, `clock` |
//! | `cli` | `tui`, `report`, `collect`, `config`, `systems`, `net`, `store`, `app`, `readiness`, `plan`, `clock` |
//! | `main` | `cli` |

pub mod app;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod config;
pub mod net;
pub mod plan;
pub mod readiness;
pub mod report;
pub mod store;
pub mod systems;
pub mod tui;
