//! Aggregates: over the rows of a group, each a scope of its own.

use std::cmp::Ordering;

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
};

use super::error::{SqlError, Stop};
use super::exec::{Exec, Scope, folded};
use super::value::{Datum, Type, V, compare, level};

const NAMES: &[&str] =
    &["count", "sum", "min", "max", "avg", "string_agg", "array_agg", "bool_and", "bool_or", "every"];

/// Whether a function is an aggregate.
#[must_use]
pub(super) fn is(name: &str) -> bool {
    NAMES.contains(&name)
}

fn is_aggregate(function: &Function) -> bool {
    function.name.0.last().and_then(|p| p.as_ident()).is_some_and(|i| is(&folded(i)))
}

/// The expressions that an expression is made of, but those of subqueries.
fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Nested(e)
        | Expr::IsNull(e)
        | Expr::IsNotNull(e)
        | Expr::IsTrue(e)
        | Expr::IsNotTrue(e)
        | Expr::IsFalse(e)
        | Expr::IsNotFalse(e)
        | Expr::IsUnknown(e)
        | Expr::IsNotUnknown(e)
        | Expr::Collate { expr: e, .. }
        | Expr::UnaryOp { expr: e, .. }
        | Expr::Cast { expr: e, .. }
        | Expr::Extract { expr: e, .. }
        | Expr::Ceil { expr: e, .. }
        | Expr::Floor { expr: e, .. }
        | Expr::Trim { expr: e, .. }
        | Expr::InSubquery { expr: e, .. } => vec![e],
        Expr::IsDistinctFrom(a, b)
        | Expr::IsNotDistinctFrom(a, b)
        | Expr::BinaryOp { left: a, right: b, .. }
        | Expr::AnyOp { left: a, right: b, .. }
        | Expr::AllOp { left: a, right: b, .. }
        | Expr::Like { expr: a, pattern: b, .. }
        | Expr::ILike { expr: a, pattern: b, .. }
        | Expr::Position { expr: a, r#in: b }
        | Expr::AtTimeZone { timestamp: a, time_zone: b } => vec![a, b],
        Expr::Between { expr, low, high, .. } => vec![expr, low, high],
        Expr::InList { expr, list, .. } => std::iter::once(expr.as_ref()).chain(list).collect(),
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            [Some(expr), substring_from.as_ref(), substring_for.as_ref()]
                .into_iter()
                .flatten()
                .map(AsRef::as_ref)
                .collect()
        }
        Expr::Case { operand, conditions, else_result, .. } => {
            let pairs = conditions.iter().flat_map(|c| [&c.condition, &c.result]);
            operand.iter().map(AsRef::as_ref).chain(pairs).chain(else_result.iter().map(AsRef::as_ref)).collect()
        }
        Expr::Array(array) => array.elem.iter().collect(),
        Expr::Function(f) => args(f).into_iter().chain(f.filter.as_deref()).collect(),
        _ => Vec::new(),
    }
}

fn args(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let expr = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref e))
        | &FunctionArg::Named { arg: FunctionArgExpr::Expr(ref e), .. }
        | &FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(ref e), .. } => Some(e),
        _ => None,
    };
    list.args.iter().filter_map(expr).collect()
}

/// Whether an aggregate stands in an expression.
pub(super) fn within(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(f) if is_aggregate(f)) || children(expr).into_iter().any(within)
}

/// A column that stands outside of aggregates and is not grouped by.
pub(super) fn ungrouped(expr: &Expr, by: &[&Expr]) -> Option<String> {
    if by.contains(&expr) {
        return None;
    }
    match expr {
        Expr::Function(f) if is_aggregate(f) => None,
        Expr::Identifier(ident) => {
            let name = folded(ident);
            // `a.x` is grouped by where `x` is asked for.
            let last =
                |e: &&Expr| matches!(e, Expr::CompoundIdentifier(p) if p.last().map(folded).as_ref() == Some(&name));
            (!by.iter().any(last)).then_some(name)
        }
        Expr::CompoundIdentifier(parts) => {
            let last = parts.last().map(folded)?;
            let same = |e: &&Expr| matches!(e, Expr::Identifier(i) if folded(i) == last);
            let name = || parts.iter().map(folded).collect::<Vec<_>>().join(".");
            (!by.iter().any(same)).then(name)
        }
        other => children(other).into_iter().find_map(|e| ungrouped(e, by)),
    }
}

impl Exec<'_> {
    /// An aggregate over the rows of its group.
    pub(super) fn aggregate(&mut self, name: &str, function: &Function, scope: &Scope<'_>) -> Result<Datum, Stop> {
        let Some(group) = scope.group else {
            return Err(SqlError::new("42803", "aggregate functions are not allowed here").into());
        };
        let FunctionArguments::List(list) = &function.args else {
            return Err(SqlError::no_function(name).into());
        };
        let all = matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        let exprs = args(function);
        let wrong = if all { name != "count" } else { exprs.is_empty() || exprs.len() != list.args.len() };
        if wrong {
            return Err(SqlError::no_function(name).into());
        }
        let mut order = Vec::new();
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::OrderBy(by) => order.extend(by),
                _ => return Err(SqlError::unsupported("such an aggregate").into()),
            }
        }
        let mut rows: Vec<(Vec<Datum>, Vec<Datum>)> = Vec::new();
        let nothing: Vec<Datum> = scope.columns.iter().map(|c| Datum::null(c.ty)).collect();
        for row in group {
            let own = Scope { columns: scope.columns, row, group: None, up: scope.up };
            if let Some(filter) = &function.filter
                && !self.holds(filter, &own)?
            {
                continue;
            }
            let values = exprs.iter().map(|e| self.eval(e, &own)).collect::<Result<Vec<_>, _>>()?;
            let keys = order.iter().map(|o| self.eval(&o.expr, &own)).collect::<Result<Vec<_>, _>>()?;
            rows.push((values, keys));
        }
        let down: Vec<bool> = order.iter().map(|o| o.options.asc == Some(false)).collect();
        rows.sort_by(|(_, a), (_, b)| {
            let pairs = a.iter().zip(b).zip(&down);
            let ordered = pairs.map(|((x, y), down)| {
                let order = compare(x, y).ok().flatten().unwrap_or(Ordering::Equal);
                if *down { order.reverse() } else { order }
            });
            ordered.fold(Ordering::Equal, Ordering::then)
        });
        // The type that it has without rows, too.
        let own = Scope { columns: scope.columns, row: &nothing, group: None, up: scope.up };
        let was = std::mem::replace(&mut self.dry, true);
        let typed = exprs.first().map(|e| self.eval(e, &own)).transpose();
        self.dry = was;
        let ty = typed.ok().flatten().map_or(Type::Unknown, |d| d.ty);
        let mut values: Vec<Datum> =
            rows.iter().filter_map(|(v, _)| v.first().cloned()).filter(|d| !d.is_null()).collect();
        if matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct)) {
            let mut seen: Vec<Datum> = Vec::new();
            values.retain(|d| {
                let new = !seen.contains(d);
                if new {
                    seen.push(d.clone());
                }
                new
            });
        }
        let count = |n: usize| Datum::int(i64::try_from(n).unwrap_or(i64::MAX));
        Ok(match name {
            "count" => count(if all { rows.len() } else { values.len() }),
            "min" | "max" => {
                let mut best: Option<Datum> = None;
                for value in values {
                    let order = best.as_ref().map(|b| compare(&value, b)).transpose()?.flatten();
                    let better = if name == "min" { Ordering::Less } else { Ordering::Greater };
                    if best.is_none() || order == Some(better) {
                        best = Some(value);
                    }
                }
                best.unwrap_or(Datum::null(ty))
            }
            "sum" | "avg" => sum(name, ty, &values)?,
            "bool_and" | "every" | "bool_or" => {
                let truths: Vec<bool> = values.iter().filter_map(Datum::as_bool).collect();
                let held = if name == "bool_or" { truths.contains(&true) } else { !truths.contains(&false) };
                if truths.is_empty() { Datum::null(Type::Bool) } else { Datum::bool(held) }
            }
            "string_agg" => {
                let between = rows.first().and_then(|(v, _)| v.get(1)).and_then(Datum::as_text).unwrap_or_default();
                let texts: Vec<String> = values.iter().filter_map(Datum::as_text).collect();
                if texts.is_empty() { Datum::null(Type::Text) } else { Datum::text(texts.join(&between)) }
            }
            _ => {
                let array = if ty.is_int() { Type::IntArray } else { Type::TextArray };
                let items: Vec<V> = rows.into_iter().filter_map(|(v, _)| v.into_iter().next()).map(|d| d.v).collect();
                if items.is_empty() { Datum::null(array) } else { Datum::new(array, V::Array(items)) }
            }
        })
    }
}

fn sum(name: &str, ty: Type, values: &[Datum]) -> Result<Datum, SqlError> {
    let range = || SqlError::new("22003", "value out of range");
    // `sum` of int is bigint, of bigint numeric (PostgreSQL's documentation, "Aggregate Functions").
    let result = match (name, ty) {
        ("sum", Type::Int2 | Type::Int4) => Type::Int8,
        (_, Type::Float8) => Type::Float8,
        (_, Type::Interval) => Type::Interval,
        (_, t) if t.is_number() || t == Type::Unknown => Type::Numeric,
        (_, t) => return Err(SqlError::new("42883", format!("function {name}({}) does not exist", t.name()))),
    };
    if values.is_empty() {
        return Ok(Datum::null(result));
    }
    if matches!(result, Type::Float8) {
        let total: f64 = values.iter().filter_map(Datum::as_float).sum();
        #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
        let n = values.len() as f64;
        return Ok(Datum::new(result, V::Float(if name == "avg" { total / n } else { total })));
    }
    let count = i128::try_from(values.len()).unwrap_or(1);
    if result == Type::Interval {
        let micros = |d: &Datum| if let V::Interval(n) = d.v { i128::from(n) } else { 0 };
        let total: i128 = values.iter().map(micros).sum();
        let total = if name == "avg" { total / count } else { total };
        return Ok(Datum::new(result, V::Interval(i64::try_from(total).map_err(|_| range())?)));
    }
    let mut total = (0_i128, 0_u32);
    for value in values {
        let next = value.as_decimal().ok_or_else(range)?;
        let (a, b) = level(total, next).ok_or_else(range)?;
        total = (a.checked_add(b).ok_or_else(range)?, total.1.max(next.1));
    }
    if name == "avg" {
        let (units, scale) = total;
        let more = 16_u32.saturating_sub(scale);
        let units = units.checked_mul(10_i128.pow(more)).ok_or_else(range)? / count;
        return Ok(Datum::new(Type::Numeric, V::Decimal(units, scale + more)));
    }
    Datum::new(Type::Numeric, V::Decimal(total.0, total.1)).cast(result)
}
