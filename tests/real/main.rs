//! Against real servers.

#[path = "../support/postgres.rs"]
mod pg;
mod postgres;
mod postgres_tls;
