//! The world, as its servers share it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::world::World;
use crate::clock;

/// How often the world goes on by itself, in real time.
const BEAT: Duration = Duration::from_millis(20);

/// The world behind a lock that is held for moments only, and never across a wait.
#[derive(Clone, Debug)]
pub struct Shared {
    world: Arc<Mutex<World>>,
    beat: watch::Sender<u64>,
}

impl Shared {
    /// Shares a world.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), beat: watch::Sender::new(0) }
    }

    /// Looks at the world as it is now, or changes it. Must not wait for anything.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(clock::now());
        act(&mut world)
    }

    /// Waits until `done` says something of the world, looking again whenever it went on.
    pub async fn until<T>(&self, mut done: impl FnMut(&mut World) -> Option<T>) -> T {
        let mut beat = self.beat.subscribe();
        loop {
            if let Some(found) = self.with(&mut done) {
                return found;
            }
            if beat.changed().await.is_err() {
                // The sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Keeps the world going. Never ends; one task does it.
    pub async fn keep_going(&self) {
        let mut every = tokio::time::interval(BEAT);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.with(|_| ());
            self.beat.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}
