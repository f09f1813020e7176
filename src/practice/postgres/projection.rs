//! What a query gives and what it is ordered by: names, places, aliases.

use sqlparser::ast::{Expr, OrderBy, OrderByKind, SelectItem, SelectItemQualifiedWildcardKind, SetExpr};

use super::error::{SqlError, Stop};
use super::exec::{Relation, folded};
use super::select::parts;
use super::value::Type;

/// How rows are ordered: down, NULLs first.
pub(super) type Orders = Vec<(bool, bool)>;

/// What a query gives, one by one.
pub(super) enum Item<'q> {
    /// An expression, and its name.
    Expr(&'q Expr, String),
    /// A column of `*`.
    Column(usize, String),
}

pub(super) fn items<'q>(projection: &'q [SelectItem], from: &Relation) -> Result<Vec<Item<'q>>, Stop> {
    let columns = |table: Option<&str>| -> Vec<Item<'q>> {
        let mine = from.columns.iter().enumerate().filter(|(_, c)| table.map_or(!c.hidden, |t| c.table == t));
        mine.map(|(at, c)| Item::Column(at, c.name.clone())).collect()
    };
    let mut out = Vec::new();
    for item in projection {
        match item {
            SelectItem::Wildcard(_) => out.extend(columns(None)),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let table = parts(name)?.pop().unwrap_or_default();
                let own = columns(Some(&table));
                if own.is_empty() {
                    return Err(missing_table(&table).into());
                }
                out.extend(own);
            }
            SelectItem::UnnamedExpr(expr) => out.push(Item::Expr(expr, named(expr))),
            SelectItem::ExprWithAlias { expr, alias } => out.push(Item::Expr(expr, folded(alias))),
            _ => return Err(SqlError::unsupported("such a column").into()),
        }
    }
    Ok(out)
}

/// A table that is not in FROM.
pub(super) fn missing_table(table: &str) -> SqlError {
    SqlError::new("42P01", format!("missing FROM-clause entry for table \"{table}\""))
}

/// The name of a column that was given none.
fn named(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded).unwrap_or_default(),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => named(inner),
        Expr::Function(f) => f.name.0.last().and_then(|p| p.as_ident()).map(folded).unwrap_or_default(),
        Expr::Cast { expr, data_type, .. } => match named(expr).as_str() {
            "?column?" => {
                super::expr::type_of(data_type).map_or("?column?".to_owned(), |(t, _)| column_of(t).to_owned())
            }
            name => name.to_owned(),
        },
        Expr::Case { else_result, .. } => match else_result.as_deref().map(named) {
            Some(name) if name != "?column?" => name,
            Some(_) | None => "case".to_owned(),
        },
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Position { .. } => "position".to_owned(),
        Expr::Trim { .. } => "btrim".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.as_slice() {
                [SelectItem::UnnamedExpr(expr)] => named(expr),
                [SelectItem::ExprWithAlias { alias, .. }] => folded(alias),
                _ => "?column?".to_owned(),
            },
            _ => "?column?".to_owned(),
        },
        _ => "?column?".to_owned(),
    }
}

/// What a cast names its column: the type's name in `pg_type`.
const fn column_of(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::Int2 => "int2",
        Type::Int4 => "int4",
        Type::Int8 => "int8",
        Type::Float8 => "float8",
        Type::Time => "timestamptz",
        Type::Char => "char",
        other => other.name(),
    }
}

/// What a row is ordered by.
pub(super) enum Key<'q> {
    /// One of what is given.
    Item(usize),
    /// An expression of its own.
    Expr(&'q Expr),
}

pub(super) fn ordering<'q>(order: Option<&'q OrderBy>, items: &[Item<'_>]) -> Result<(Vec<Key<'q>>, Orders), Stop> {
    let Some(order) = order else { return Ok((Vec::new(), Orders::new())) };
    let OrderByKind::Expressions(exprs) = &order.kind else {
        return Err(SqlError::unsupported("ORDER BY ALL").into());
    };
    let mut keys = Vec::new();
    let mut orders = Orders::new();
    for by in exprs {
        orders.push(direction(&by.options));
        keys.push(match position(&by.expr) {
            Some(n) if n == 0 || n > items.len() => {
                return Err(SqlError::new("42P10", format!("ORDER BY position {n} is not in select list")).into());
            }
            Some(n) => Key::Item(n - 1),
            None => match name_of(&by.expr).and_then(|name| items.iter().position(|i| i.name() == name)) {
                Some(at) => Key::Item(at),
                None => Key::Expr(&by.expr),
            },
        });
    }
    Ok((keys, orders))
}

impl Item<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Expr(_, name) | Self::Column(_, name) => name,
        }
    }
}

fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(folded(ident)),
        _ => None,
    }
}

/// An expression that is only the name of something that is given.
pub(super) fn aliased<'q>(expr: &Expr, items: &[Item<'q>]) -> Option<&'q Expr> {
    let name = name_of(expr)?;
    items.iter().find_map(|i| match i {
        Item::Expr(e, own) if *own == name && !matches!(e, Expr::Identifier(_)) => Some(*e),
        Item::Expr(..) | Item::Column(..) => None,
    })
}

/// `1`, where a place in the select list is meant.
pub(super) fn position(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            sqlparser::ast::Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn direction(options: &sqlparser::ast::OrderByOptions) -> (bool, bool) {
    let down = options.asc == Some(false);
    (down, options.nulls_first.unwrap_or(down))
}
