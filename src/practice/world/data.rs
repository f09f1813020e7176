//! The rows of a cluster's application: enough to ask whether the data are there, new and sound.

use std::sync::Arc;
use std::time::Duration;

use super::rng::Rng;
use super::time::Moment;

/// A row of `public.orders`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// `id`, drawn from `orders_id_seq`.
    pub id: i64,
    /// `customer_id`, of `public.customers`.
    pub customer: i64,
    /// `cents`: what it costs. Never negative, unless the application went wrong.
    pub cents: i64,
    /// `placed_at`.
    pub placed: Moment,
}

/// The rows of `public.orders`, by `id`. Servers of a cluster share those that were there when the world began.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    first: Arc<[Order]>,
    later: Vec<Order>,
}

impl Orders {
    /// The rows before the world began.
    #[must_use]
    pub fn new(rng: &mut Rng, count: i64) -> Self {
        let row = |id: i64| {
            let ago = Duration::from_secs(u64::try_from(count.saturating_sub(id)).unwrap_or(0).saturating_mul(37));
            order(rng, id, Moment::before(ago))
        };
        Self { first: (1..=count).map(row).collect(), later: Vec::new() }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Order> {
        self.first.iter().chain(&self.later)
    }

    /// The newest.
    #[must_use]
    pub fn last(&self) -> Option<&Order> {
        self.later.last().or_else(|| self.first.last())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len().saturating_add(self.later.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more.
    pub fn push(&mut self, order: Order) {
        self.later.push(order);
    }

    /// What the application does to its own rows when it goes wrong: every second amount turns negative.
    pub fn spoil(&mut self) {
        let first = Arc::make_mut(&mut self.first);
        for order in first.iter_mut().chain(&mut self.later).filter(|o| o.id % 2 == 0) {
            order.cents = -order.cents.abs();
        }
    }
}

/// How many customers there are.
pub const CUSTOMERS: i64 = 120;

/// One more.
pub fn order(rng: &mut Rng, id: i64, placed: Moment) -> Order {
    let most = u64::try_from(CUSTOMERS).unwrap_or(1);
    let number = |n: u64| i64::try_from(n).unwrap_or(1);
    Order { id, customer: number(rng.within(1, most + 1)), cents: number(rng.within(300, 25_000)), placed }
}
