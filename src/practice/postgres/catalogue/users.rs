//! The tables of the applications: `public.orders`, `public.customers`, and the sequence that numbers orders.

use super::{Needs, Rows, Table};
use crate::practice::postgres::error::Stop;
use crate::practice::postgres::exec::Exec;
use crate::practice::postgres::value::{Datum, Type, V};
use crate::practice::world::data::CUSTOMERS;
use crate::practice::world::roles::{ACT, APP, LOOK, Role};

use Type::{Bool, Int4, Int8, Text, Time};

/// The number of `orders` in `pg_class`.
pub(super) const ORDERS: i64 = 16_401;
/// The number of `customers`.
pub(super) const PEOPLE: i64 = 16_395;
/// The number of `orders_id_seq`.
pub(in crate::practice::postgres) const SEQUENCE: i64 = 16_400;

/// Whether a role was let read the applications' tables.
pub(in crate::practice::postgres) fn may_read(role: &Role) -> bool {
    may_write(role) || [LOOK, ACT].contains(&role.name.as_str()) || role.has("pg_read_all_data")
}

/// Whether a role may write them: it owns them, or is a superuser.
pub(in crate::practice::postgres) fn may_write(role: &Role) -> bool {
    role.superuser || role.name == APP
}

pub(super) const TABLES: &[Table] = &[
    Table::new("orders", COLUMNS, orders).needs(Needs::Grant),
    Table::new("customers", CUSTOMER_COLUMNS, customers).needs(Needs::Grant),
    Table::new("orders_id_seq", SEQUENCE_COLUMNS, sequence).needs(Needs::Grant),
];

pub(super) const COLUMNS: super::Columns = &[("id", Int8), ("customer_id", Int4), ("cents", Int4), ("placed_at", Time)];
pub(super) const CUSTOMER_COLUMNS: super::Columns = &[("id", Int4), ("name", Text)];
const SEQUENCE_COLUMNS: super::Columns = &[("last_value", Int8), ("log_cnt", Int8), ("is_called", Bool)];

fn orders(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (_, server) = exec.here()?;
    let row = |o: &crate::practice::world::data::Order| {
        vec![
            Datum::int(o.id),
            Datum::new(Int4, V::Int(o.customer)),
            Datum::new(Int4, V::Int(o.cents)),
            exec.time(o.placed),
        ]
    };
    Ok(server.catalog.orders.iter().map(row).collect())
}

fn customers(_: &Exec<'_>) -> Result<Rows, Stop> {
    Ok((1..=CUSTOMERS).map(|id| vec![Datum::new(Int4, V::Int(id)), Datum::text(format!("customer {id}"))]).collect())
}

fn sequence(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let last = exec.here()?.1.catalog.orders.last().map_or(1, |o| o.id);
    Ok(vec![vec![Datum::int(last), Datum::int(0), Datum::bool(true)]])
}
