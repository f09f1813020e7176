//! Queries: FROM, WHERE, GROUP BY, HAVING, SELECT, DISTINCT, ORDER BY, LIMIT, and UNION.

use std::cmp::Ordering;

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, LimitClause, ObjectName, OrderBy, OrderByKind, Query, Select, SetExpr, SetOperator,
    SetQuantifier,
};

use super::aggregate;
use super::error::{SqlError, Stop};
use super::exec::{Column, Exec, Relation, Scope, folded};
use super::from::rename;
use super::projection::{Item, Key, Orders, aliased, direction, items, ordering, position};
use super::value::{Datum, Type, V, compare};

/// The parts of a name, folded; what PostgreSQL has no such names for is refused.
pub(super) fn parts(name: &ObjectName) -> Result<Vec<String>, SqlError> {
    name.0.iter().map(|p| p.as_ident().map(folded).ok_or_else(|| SqlError::unsupported("such a name"))).collect()
}

/// A row on its way to the result, and what it is ordered by.
struct Out {
    row: Vec<Datum>,
    keys: Vec<Datum>,
}

impl Exec<'_> {
    /// Works out a query.
    ///
    /// # Errors
    /// What the real server would say, or what is not supported.
    pub fn query(&mut self, query: &Query, up: Option<&Scope<'_>>) -> Result<Relation, Stop> {
        self.deeper(|this| this.query_here(query, up))
    }

    fn query_here(&mut self, query: &Query, up: Option<&Scope<'_>>) -> Result<Relation, Stop> {
        if query.fetch.is_some() || !query.pipe_operators.is_empty() {
            return Err(SqlError::unsupported("FETCH and pipes").into());
        }
        let before = self.named.len();
        if let Some(with) = &query.with {
            if with.recursive {
                return Err(SqlError::unsupported("WITH RECURSIVE").into());
            }
            for cte in &with.cte_tables {
                let mut relation = self.query(&cte.query, up)?;
                rename(&mut relation, &cte.alias);
                self.named.push((folded(&cte.alias.name), relation));
            }
        }
        let relation = match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, query.order_by.as_ref(), up),
            other => self.set(other, up).and_then(|relation| self.reordered(relation, query.order_by.as_ref())),
        };
        self.named.truncate(before);
        let mut relation = relation?;
        self.limit(&mut relation, query.limit_clause.as_ref(), up)?;
        Ok(relation)
    }

    fn set(&mut self, set: &SetExpr, up: Option<&Scope<'_>>) -> Result<Relation, Stop> {
        match set {
            SetExpr::Select(select) => self.select(select, None, up),
            SetExpr::Query(query) => self.query(query, up),
            SetExpr::Values(values) => {
                let mut rows = Vec::new();
                for row in &values.rows {
                    let scope = Scope { up, ..Scope::EMPTY };
                    rows.push(row.iter().map(|e| self.eval(e, &scope)).collect::<Result<Vec<_>, _>>()?);
                }
                let first = rows.first().map_or(&[][..], |r| r);
                let name = |(n, d): (usize, &Datum)| (format!("column{}", n + 1), d.ty);
                let names: Vec<(String, Type)> = first.iter().enumerate().map(name).collect();
                let names: Vec<(&str, Type)> = names.iter().map(|(n, t)| (n.as_str(), *t)).collect();
                if rows.iter().any(|r| r.len() != names.len()) {
                    return Err(SqlError::new("42601", "VALUES lists must all be the same length").into());
                }
                Ok(Relation::of("", &names, rows))
            }
            SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right } => {
                let mut relation = self.set(left, up)?;
                let other = self.set(right, up)?;
                if relation.columns.len() != other.columns.len() {
                    return Err(SqlError::new("42601", "each UNION query must have the same number of columns").into());
                }
                for (own, theirs) in relation.columns.iter_mut().zip(&other.columns) {
                    if own.ty == Type::Unknown {
                        own.ty = theirs.ty;
                    }
                }
                relation.rows.extend(other.rows);
                if *set_quantifier != SetQuantifier::All {
                    relation.rows = distinct(std::mem::take(&mut relation.rows));
                }
                Ok(relation)
            }
            _ => Err(SqlError::unsupported("such a query").into()),
        }
    }

    fn select(&mut self, select: &Select, order: Option<&OrderBy>, up: Option<&Scope<'_>>) -> Result<Relation, Stop> {
        if !select.named_window.is_empty() || select.into.is_some() || !select.lateral_views.is_empty() {
            return Err(SqlError::unsupported("windows and SELECT INTO").into());
        }
        let mut from = self.from(&select.from, up)?;
        if let Some(condition) = &select.selection {
            let rows = std::mem::take(&mut from.rows);
            let mut kept = Vec::new();
            for row in rows {
                let scope = Scope { columns: &from.columns, row: &row, group: None, up };
                if self.holds(condition, &scope)? {
                    kept.push(row);
                }
            }
            from.rows = kept;
        }
        let items = items(&select.projection, &from)?;
        let grouped = self.group_by(select, &items)?;
        let nothing = from.nulls();
        let dry = Scope { columns: &from.columns, row: &nothing, group: Some(&[]), up };
        let columns = self.result_columns(&items, &dry)?;
        let (keys, orders) = ordering(order, &items)?;
        let mut out: Vec<Out> = Vec::new();
        match grouped {
            None => {
                for row in &from.rows {
                    let scope = Scope { columns: &from.columns, row, group: None, up };
                    out.push(self.out(&items, &keys, &scope)?);
                }
            }
            Some(by) => {
                for group in self.groups(&from, &by, up)? {
                    let first = group.first().unwrap_or(&nothing);
                    let scope = Scope { columns: &from.columns, row: first, group: Some(&group), up };
                    if let Some(having) = &select.having
                        && !self.holds(having, &scope)?
                    {
                        continue;
                    }
                    out.push(self.out(&items, &keys, &scope)?);
                }
            }
        }
        match &select.distinct {
            None | Some(Distinct::All) => {}
            Some(Distinct::Distinct) => {
                let mut seen: Vec<Vec<Datum>> = Vec::new();
                out.retain(|o| {
                    let new = !seen.contains(&o.row);
                    if new {
                        seen.push(o.row.clone());
                    }
                    new
                });
            }
            Some(Distinct::On(_)) => return Err(SqlError::unsupported("DISTINCT ON").into()),
        }
        sort(&mut out, &orders)?;
        let mut relation = Relation { columns, rows: out.into_iter().map(|o| o.row).collect() };
        learn(&mut relation);
        Ok(relation)
    }

    fn out(&mut self, items: &[Item<'_>], keys: &[Key<'_>], scope: &Scope<'_>) -> Result<Out, Stop> {
        let mut row = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Expr(expr, _) => row.push(self.eval(expr, scope)?),
                Item::Column(at, _) => row.push(scope.row.get(*at).cloned().unwrap_or(Datum::null(Type::Unknown))),
            }
        }
        let mut ordered = Vec::with_capacity(keys.len());
        for key in keys {
            ordered.push(match key {
                Key::Item(at) => row.get(*at).cloned().unwrap_or(Datum::null(Type::Unknown)),
                Key::Expr(expr) => self.eval(expr, scope)?,
            });
        }
        Ok(Out { row, keys: ordered })
    }

    /// What is grouped by; `None` where nothing is grouped.
    fn group_by<'q>(&mut self, select: &'q Select, items: &[Item<'q>]) -> Result<Option<Vec<&'q Expr>>, Stop> {
        let GroupByExpr::Expressions(exprs, modifiers) = &select.group_by else {
            return Err(SqlError::unsupported("GROUP BY ALL").into());
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("grouping sets").into());
        }
        let any = |e: &Expr| aggregate::within(e);
        let aggregates = items.iter().any(|i| matches!(i, Item::Expr(e, _) if any(e))) || select.having.is_some();
        if exprs.is_empty() && !aggregates {
            return Ok(None);
        }
        let mut by = Vec::new();
        for expr in exprs {
            by.push(match position(expr) {
                Some(n) => match n.checked_sub(1).and_then(|n| items.get(n)) {
                    Some(Item::Expr(e, _)) => *e,
                    _ => {
                        return Err(
                            SqlError::new("42P10", format!("GROUP BY position {n} is not in select list")).into()
                        );
                    }
                },
                None => aliased(expr, items).unwrap_or(expr),
            });
        }
        for item in items {
            if let Item::Expr(expr, _) = item
                && let Some(column) = aggregate::ungrouped(expr, &by)
            {
                let what = format!(
                    "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
                );
                return Err(SqlError::new("42803", what).into());
            }
        }
        Ok(Some(by))
    }

    fn groups(&mut self, from: &Relation, by: &[&Expr], up: Option<&Scope<'_>>) -> Result<Vec<Vec<Vec<Datum>>>, Stop> {
        if by.is_empty() {
            return Ok(vec![from.rows.clone()]);
        }
        let mut groups: Vec<(Vec<Datum>, Vec<Vec<Datum>>)> = Vec::new();
        for row in &from.rows {
            let scope = Scope { columns: &from.columns, row, group: None, up };
            let key = by.iter().map(|e| self.eval(e, &scope)).collect::<Result<Vec<_>, _>>()?;
            match groups.iter_mut().find(|(k, _)| *k == key) {
                Some((_, rows)) => rows.push(row.clone()),
                None => groups.push((key, vec![row.clone()])),
            }
        }
        Ok(groups.into_iter().map(|(_, rows)| rows).collect())
    }

    /// Names and types of what a query gives; types are those of a row of NULLs, by a run without effects.
    fn result_columns(&mut self, items: &[Item<'_>], scope: &Scope<'_>) -> Result<Vec<Column>, Stop> {
        let was = std::mem::replace(&mut self.dry, true);
        let mut columns = Vec::new();
        let mut failed = None;
        for item in items {
            let (name, ty) = match item {
                Item::Column(at, name) => (name.clone(), scope.columns.get(*at).map_or(Type::Unknown, |c| c.ty)),
                Item::Expr(expr, name) => match self.eval(expr, scope) {
                    Ok(datum) => (name.clone(), datum.ty),
                    // A name that means nothing is an error with no rows, too; what only NULLs cannot do is none.
                    Err(Stop::Error(e)) if ["42703", "42P01", "42883", "42702", "42704", "0A000"].contains(&e.code) => {
                        failed = failed.or(Some(Stop::Error(e)));
                        continue;
                    }
                    Err(_) => (name.clone(), Type::Unknown),
                },
            };
            columns.push(Column { table: String::new(), name, ty, hidden: false });
        }
        self.dry = was;
        failed.map_or(Ok(columns), Err)
    }

    fn limit(
        &mut self,
        relation: &mut Relation,
        clause: Option<&LimitClause>,
        up: Option<&Scope<'_>>,
    ) -> Result<(), Stop> {
        let (limit, offset) = match clause {
            None => return Ok(()),
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                (limit.as_ref(), offset.as_ref().map(|o| &o.value))
            }
            Some(_) => return Err(SqlError::unsupported("such a LIMIT").into()),
        };
        let scope = Scope { up, ..Scope::EMPTY };
        let mut number = |expr: Option<&Expr>| -> Result<Option<usize>, Stop> {
            let Some(expr) = expr else { return Ok(None) };
            let n = self.eval(expr, &scope)?.as_int();
            match n.map(usize::try_from) {
                Some(Err(_)) => Err(SqlError::new("2201W", "LIMIT must not be negative").into()),
                Some(Ok(n)) => Ok(Some(n)),
                None => Ok(None),
            }
        };
        let (limit, offset) = (number(limit)?, number(offset)?);
        if let Some(n) = offset {
            relation.rows.drain(..n.min(relation.rows.len()));
        }
        if let Some(n) = limit {
            relation.rows.truncate(n);
        }
        Ok(())
    }

    /// A result that is ordered by its own columns.
    fn reordered(&mut self, relation: Relation, order: Option<&OrderBy>) -> Result<Relation, Stop> {
        let Some(order) = order else { return Ok(relation) };
        let OrderByKind::Expressions(exprs) = &order.kind else {
            return Err(SqlError::unsupported("ORDER BY ALL").into());
        };
        let mut orders = Orders::new();
        let mut out: Vec<Out> = relation.rows.into_iter().map(|row| Out { row, keys: Vec::new() }).collect();
        for by in exprs {
            orders.push(direction(&by.options));
            for o in &mut out {
                let scope = Scope { columns: &relation.columns, row: &o.row, group: None, up: None };
                let key = match position(&by.expr).and_then(|n| o.row.get(n.checked_sub(1)?)) {
                    Some(datum) => datum.clone(),
                    None => self.eval(&by.expr, &scope)?,
                };
                o.keys.push(key);
            }
        }
        sort(&mut out, &orders)?;
        Ok(Relation { columns: relation.columns, rows: out.into_iter().map(|o| o.row).collect() })
    }
}

fn sort(out: &mut [Out], orders: &Orders) -> Result<(), Stop> {
    let mut failed = None;
    out.sort_by(|a, b| {
        for ((x, y), (down, nulls_first)) in a.keys.iter().zip(&b.keys).zip(orders) {
            let order = match (x.is_null(), y.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) if *nulls_first => return Ordering::Less,
                (true, false) => return Ordering::Greater,
                (false, true) if *nulls_first => return Ordering::Greater,
                (false, true) => return Ordering::Less,
                (false, false) => match compare(x, y) {
                    Ok(order) => order.unwrap_or(Ordering::Equal),
                    Err(e) => {
                        failed = Some(e);
                        Ordering::Equal
                    }
                },
            };
            let order = if *down { order.reverse() } else { order };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    });
    failed.map_or(Ok(()), |e| Err(e.into()))
}

fn distinct(rows: Vec<Vec<Datum>>) -> Vec<Vec<Datum>> {
    let mut out: Vec<Vec<Datum>> = Vec::new();
    for row in rows {
        if !out.contains(&row) {
            out.push(row);
        }
    }
    out
}

/// Types that were not known without rows are those of the first row that has one.
fn learn(relation: &mut Relation) {
    for (at, column) in relation.columns.iter_mut().enumerate() {
        if column.ty == Type::Unknown {
            let known = relation.rows.iter().filter_map(|r| r.get(at)).find(|d| d.ty != Type::Unknown);
            column.ty = known.map_or(Type::Text, |d| d.ty);
        }
    }
    // Literals are texts in a result.
    for row in &mut relation.rows {
        for (datum, column) in row.iter_mut().zip(&relation.columns) {
            if datum.ty == Type::Unknown && (column.ty.is_text() || matches!(datum.v, V::Null)) {
                datum.ty = column.ty;
            }
        }
    }
}
