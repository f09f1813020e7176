//! The rows of a cluster's application: enough to ask whether the data are there, new and sound.

use super::rng::Rng;
use super::time::Moment;
use std::time::Duration;

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

/// How many customers there are.
pub const CUSTOMERS: i64 = 120;

/// The rows before the world began.
#[must_use]
pub fn orders(rng: &mut Rng, count: i64) -> Vec<Order> {
    let row = |id: i64| {
        let ago = Duration::from_secs(u64::try_from(count.saturating_sub(id)).unwrap_or(0).saturating_mul(37));
        order(rng, id, Moment::before(ago))
    };
    (1..=count).map(row).collect()
}

/// One more.
pub fn order(rng: &mut Rng, id: i64, placed: Moment) -> Order {
    let most = u64::try_from(CUSTOMERS).unwrap_or(1);
    let number = |n: u64| i64::try_from(n).unwrap_or(1);
    Order { id, customer: number(rng.within(1, most + 1)), cents: number(rng.within(300, 25_000)), placed }
}

/// What the application does to its own rows when it goes wrong: every second amount turns negative.
pub fn spoil(orders: &mut [Order]) {
    for order in orders.iter_mut().filter(|o| o.id % 2 == 0) {
        order.cents = -order.cents.abs();
    }
}
