//! From Patroni's answers to readings. 3.x and 4.x, as they were seen; what makes no sense is a gap.
//!
//! Nothing of an answer is repeated in a gap: `/config` may hold passwords.

mod answers;
mod json;
mod said;
mod site;
mod table;

pub use answers::{Cluster, differ, history};
pub use said::{Said, Sent, said};
pub use site::{Asked, Told, observed};
pub use table::{Listed, Node, Overview, Settings, Switch, rows};

#[cfg(test)]
mod tests;
