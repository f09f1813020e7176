//! PostgreSQL servers of the practice world: the real protocol, and SQL over a catalogue that is made of the world.
//!
//! Whatever is asked is worked out: no statement is known by its text. What is not spoken is refused as the real server
//! refuses what it does not have.

mod aggregate;
mod catalogue;
mod error;
mod exec;
mod expr;
mod from;
mod functions;
mod login;
mod operate;
mod projection;
mod select;
mod session;
mod statement;
mod tables;
mod value;
mod wire;
mod written;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use pgwire::api::ConnectionManager;

use super::door::Door;
use super::shared::Shared;

/// Serves a PostgreSQL server of the world at this door, for as long as it is polled.
///
/// # Errors
/// The door's port cannot be listened on.
pub async fn serve(door: Door, shared: Shared, server: &'static str) -> std::io::Result<()> {
    let port = door.port();
    shared.with(|w| {
        if let Some(server) = w.server_mut(server) {
            server.port = port;
        }
    });
    let manager = Arc::new(ConnectionManager::new());
    let within = shared.clone();
    door.serve(shared, Arc::new(move |w| w.reach_of(server)), move |stream, _| {
        wire::serve(stream, within.clone(), server, Arc::clone(&manager))
    })
    .await
}
