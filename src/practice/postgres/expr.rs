//! Expressions, worked out over one row or one group of rows.

use std::cmp::Ordering;

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, TrimWhereField, Value,
};

use super::aggregate;
use super::error::{SqlError, Stop};
use super::exec::{Exec, Scope, folded};
use super::functions;
use super::operate::{among, and, extract, like, match_any, negate, operate, truth, truth_datum, unary};
use super::projection::missing_table;
use super::select::parts;
use super::value::{Datum, Type, V, compare, type_named};

/// The type that a cast names, and the width that it gives bits.
pub(super) fn type_of(data_type: &DataType) -> Result<(Type, Option<u32>), SqlError> {
    let text = data_type.to_string().to_lowercase();
    let (name, rest) = text.split_once('(').map_or((text.as_str(), ""), |(n, r)| (n, r));
    let width = rest.split(')').next().and_then(|n| n.parse().ok());
    let array = text.ends_with("[]");
    let ty = match (name.trim().trim_end_matches("[]"), array) {
        ("text" | "varchar", true) => Some(Type::TextArray),
        ("name", true) => Some(Type::NameArray),
        ("int" | "integer" | "int4", true) => Some(Type::IntArray),
        (_, true) => None,
        (name, false) => type_named(name.trim_matches('"')),
    };
    let missing = || SqlError::new("42704", format!("type \"{}\" does not exist", name.trim()));
    Ok((ty.ok_or_else(missing)?, width.filter(|_| ty == Some(Type::Bits))))
}

impl Exec<'_> {
    /// Whether a condition holds; NULL does not.
    pub(super) fn holds(&mut self, condition: &Expr, scope: &Scope<'_>) -> Result<bool, Stop> {
        let datum = self.eval(condition, scope)?;
        truth(&datum).map(|b| b == Some(true)).map_err(Stop::from)
    }

    /// Works out an expression.
    ///
    /// # Errors
    /// What the real server would say, or what is not supported.
    pub fn eval(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Datum, Stop> {
        self.spend()?;
        self.deeper(|this| this.eval_here(expr, scope))
    }

    fn eval_here(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Datum, Stop> {
        match expr {
            Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => self.eval(inner, scope),
            Expr::Value(value) => Ok(self.literal(&value.value)?),
            Expr::Identifier(ident) => Ok(column(scope, None, &folded(ident))?),
            Expr::CompoundIdentifier(idents) => {
                let names: Vec<String> = idents.iter().map(folded).collect();
                match names.as_slice() {
                    [table, name] | [_, table, name] => Ok(column(scope, Some(table), name)?),
                    _ => Err(SqlError::unsupported("such a name").into()),
                }
            }
            Expr::UnaryOp { op, expr } => {
                let datum = self.eval(expr, scope)?;
                unary(op, &datum).map_err(Stop::from)
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, scope),
            Expr::IsNull(e) => Ok(Datum::bool(self.eval(e, scope)?.is_null())),
            Expr::IsNotNull(e) => Ok(Datum::bool(!self.eval(e, scope)?.is_null())),
            Expr::IsTrue(e) => Ok(Datum::bool(self.truth(e, scope)? == Some(true))),
            Expr::IsNotTrue(e) => Ok(Datum::bool(self.truth(e, scope)? != Some(true))),
            Expr::IsFalse(e) => Ok(Datum::bool(self.truth(e, scope)? == Some(false))),
            Expr::IsNotFalse(e) => Ok(Datum::bool(self.truth(e, scope)? != Some(false))),
            Expr::IsUnknown(e) => Ok(Datum::bool(self.truth(e, scope)?.is_none())),
            Expr::IsNotUnknown(e) => Ok(Datum::bool(self.truth(e, scope)?.is_some())),
            Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => {
                let (a, b) = (self.eval(a, scope)?, self.eval(b, scope)?);
                let same = match (a.is_null(), b.is_null()) {
                    (true, true) => true,
                    (false, false) => compare(&a, &b)? == Some(Ordering::Equal),
                    (true, false) | (false, true) => false,
                };
                Ok(Datum::bool(same == matches!(expr, Expr::IsNotDistinctFrom(..))))
            }
            Expr::InList { expr, list, negated } => {
                let own = self.eval(expr, scope)?;
                let items = list.iter().map(|e| self.eval(e, scope)).collect::<Result<Vec<_>, _>>()?;
                Ok(negate(among(&own, &items, Ordering::is_eq)?, *negated))
            }
            Expr::InSubquery { expr, subquery, negated } => {
                let own = self.eval(expr, scope)?;
                let items = self.column_of(subquery, scope)?;
                Ok(negate(among(&own, &items, Ordering::is_eq)?, *negated))
            }
            Expr::AnyOp { left, compare_op, right, .. } => {
                let own = self.eval(left, scope)?;
                let items = self.items_of(right, scope)?;
                Ok(truth_datum(match_any(&own, compare_op, &items)?))
            }
            Expr::AllOp { left, compare_op, right } => {
                let own = self.eval(left, scope)?;
                let items = self.items_of(right, scope)?;
                let mut all = Some(true);
                for item in &items {
                    all = and(all, truth(&operate(&own, compare_op, item)?)?);
                }
                Ok(truth_datum(all))
            }
            Expr::Between { expr, negated, low, high } => {
                let own = self.eval(expr, scope)?;
                let (low, high) = (self.eval(low, scope)?, self.eval(high, scope)?);
                let above = compare(&own, &low)?.map(Ordering::is_ge);
                let below = compare(&own, &high)?.map(Ordering::is_le);
                Ok(negate(and(above, below), *negated))
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, scope, false).map(|held| negate(held, *negated))
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, scope, true).map(|held| negate(held, *negated))
            }
            Expr::Cast { expr, data_type, .. } => {
                let (ty, width) = type_of(data_type)?;
                let datum = self.eval(expr, scope)?;
                self.cast(datum, ty, width)
            }
            Expr::TypedString(typed) => {
                let (ty, width) = type_of(&typed.data_type)?;
                let datum = self.literal(&typed.value.value)?;
                self.cast(datum, ty, width)
            }
            Expr::Interval(interval) if interval.leading_field.is_none() => {
                Ok(self.eval(&interval.value, scope)?.cast(Type::Interval)?)
            }
            Expr::Extract { field, expr, .. } => {
                let datum = self.eval(expr, scope)?;
                Ok(extract(field, &datum)?)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                let operand = operand.as_deref().map(|e| self.eval(e, scope)).transpose()?;
                let mut ty = Type::Unknown;
                for case in conditions {
                    let fits = match &operand {
                        Some(own) => {
                            let other = self.eval(&case.condition, scope)?;
                            compare(own, &other)? == Some(Ordering::Equal)
                        }
                        None => self.holds(&case.condition, scope)?,
                    };
                    // For types alone each branch is asked, since any may be taken.
                    if fits || self.dry {
                        let datum = self.eval(&case.result, scope)?;
                        if !self.dry {
                            return Ok(datum);
                        }
                        ty = if ty == Type::Unknown { datum.ty } else { ty };
                    }
                }
                let last = match else_result {
                    Some(e) => self.eval(e, scope)?,
                    None => Datum::null(Type::Unknown),
                };
                Ok(if self.dry && ty != Type::Unknown { Datum::null(ty) } else { last })
            }
            Expr::Exists { subquery, negated } => {
                let any = !self.query(subquery, Some(scope))?.rows.is_empty();
                Ok(Datum::bool(any != *negated))
            }
            Expr::Subquery(query) => {
                let relation = self.query(query, Some(scope))?;
                let [column] = relation.columns.as_slice() else {
                    return Err(SqlError::new("42601", "subquery must return only one column").into());
                };
                let mut rows = relation.rows.into_iter();
                let first = rows.next().and_then(|r| r.into_iter().next());
                if rows.next().is_some() {
                    let what = "more than one row returned by a subquery used as an expression";
                    return Err(SqlError::new("21000", what).into());
                }
                Ok(first.unwrap_or(Datum::null(column.ty)))
            }
            Expr::Array(array) => {
                let items = array.elem.iter().map(|e| self.eval(e, scope)).collect::<Result<Vec<_>, _>>()?;
                let int = items.first().is_some_and(|d| d.ty.is_int());
                let ty = if int { Type::IntArray } else { Type::TextArray };
                Ok(Datum::new(ty, V::Array(items.into_iter().map(|d| d.v).collect())))
            }
            Expr::Function(function) => {
                let name = functions::plain(&parts(&function.name)?)?;
                if function.over.is_some() || !function.within_group.is_empty() {
                    return Err(SqlError::unsupported("window functions").into());
                }
                if aggregate::is(&name) {
                    return self.aggregate(&name, function, scope);
                }
                if function.filter.is_some() {
                    let what = format!("FILTER specified, but {name} is not an aggregate function");
                    return Err(SqlError::new("42809", what).into());
                }
                let args = self.arguments(&function.args, scope, &name)?;
                functions::call(self, &name, args)
            }
            Expr::Ceil { expr, .. } => {
                let arg = self.eval(expr, scope)?;
                functions::call(self, "ceil", vec![arg])
            }
            Expr::Floor { expr, .. } => {
                let arg = self.eval(expr, scope)?;
                functions::call(self, "floor", vec![arg])
            }
            Expr::Position { expr, r#in } => {
                let (part, whole) = (self.eval(expr, scope)?, self.eval(r#in, scope)?);
                functions::call(self, "strpos", vec![whole, part])
            }
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let mut args = vec![self.eval(expr, scope)?];
                args.push(match substring_from {
                    Some(from) => self.eval(from, scope)?,
                    None => Datum::int(1),
                });
                if let Some(count) = substring_for {
                    args.push(self.eval(count, scope)?);
                }
                functions::call(self, "substr", args)
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters: None } => {
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "btrim",
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                };
                let mut args = vec![self.eval(expr, scope)?];
                if let Some(what) = trim_what {
                    args.push(self.eval(what, scope)?);
                }
                functions::call(self, name, args)
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                let zone = self.eval(time_zone, scope)?.as_text().unwrap_or_default();
                if !["utc", "etc/utc", "gmt"].contains(&zone.to_lowercase().as_str()) {
                    return Err(SqlError::unsupported("time zones other than UTC").into());
                }
                self.eval(timestamp, scope)
            }
            _ => Err(SqlError::unsupported("such an expression").into()),
        }
    }

    fn truth(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Option<bool>, Stop> {
        let datum = self.eval(expr, scope)?;
        truth(&datum).map_err(Stop::from)
    }

    /// The arguments of a function.
    pub(super) fn arguments(
        &mut self,
        args: &FunctionArguments,
        scope: &Scope<'_>,
        name: &str,
    ) -> Result<Vec<Datum>, Stop> {
        let list = match args {
            FunctionArguments::None => return Ok(Vec::new()),
            FunctionArguments::List(list) if list.clauses.is_empty() && list.duplicate_treatment.is_none() => list,
            FunctionArguments::List(_) | FunctionArguments::Subquery(_) => {
                return Err(SqlError::new("42809", format!("{name} is not an aggregate function")).into());
            }
        };
        let mut out = Vec::new();
        for arg in &list.args {
            let (FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
            | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }) = arg
            else {
                return Err(SqlError::no_function(name).into());
            };
            // COALESCE asks no further than it must.
            let enough = name == "coalesce" && !self.dry && out.last().is_some_and(|d: &Datum| !d.is_null());
            if enough {
                break;
            }
            out.push(self.eval(expr, scope)?);
        }
        Ok(out)
    }

    fn literal(&mut self, value: &Value) -> Result<Datum, SqlError> {
        Ok(match value {
            Value::Number(text, _) => match text.parse::<i64>() {
                Ok(n) => Datum::new(if i32::try_from(n).is_ok() { Type::Int4 } else { Type::Int8 }, V::Int(n)),
                Err(_) => Datum::new(Type::Unknown, V::Text(text.clone())).cast(Type::Numeric)?,
            },
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) | Value::UnicodeStringLiteral(text) => {
                Datum::new(Type::Unknown, V::Text(text.clone()))
            }
            Value::DollarQuotedString(text) => Datum::new(Type::Unknown, V::Text(text.value.clone())),
            Value::Boolean(b) => Datum::bool(*b),
            Value::Null => Datum::null(Type::Unknown),
            Value::Placeholder(name) => {
                let n = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
                let missing = || SqlError::new("42P02", format!("there is no parameter {name}"));
                let at = n.and_then(|n| n.checked_sub(1)).ok_or_else(missing)?;
                match self.parameters.get(at) {
                    Some(datum) => datum.clone(),
                    None if self.dry => Datum::null(Type::Unknown),
                    None => return Err(missing()),
                }
            }
            _ => return Err(SqlError::unsupported("such a literal")),
        })
    }

    fn cast(&mut self, datum: Datum, ty: Type, width: Option<u32>) -> Result<Datum, Stop> {
        // The catalogue knows what relations are called.
        if ty == Type::Regclass && datum.ty.is_text() && !datum.is_null() {
            let name = datum.as_text().unwrap_or_default();
            if name.parse::<i64>().is_err() {
                return super::catalogue::regclass(self, &name);
            }
        }
        if datum.ty == Type::Regclass && ty.is_text() {
            return super::catalogue::regclass_name(self, &datum);
        }
        let cast = datum.cast(ty)?;
        Ok(match (cast.v, width) {
            (V::Bits(bits, own), Some(width)) => {
                let bits = if own > width { bits >> (own - width) } else { bits.checked_shl(width - own).unwrap_or(0) };
                Datum::new(ty, V::Bits(bits, width))
            }
            (v, _) => Datum::new(ty, v),
        })
    }

    fn like(&mut self, expr: &Expr, pattern: &Expr, scope: &Scope<'_>, fold: bool) -> Result<Option<bool>, Stop> {
        let (own, pattern) = (self.eval(expr, scope)?, self.eval(pattern, scope)?);
        Ok(like(&own, &pattern, fold))
    }

    /// The one column of a subquery.
    fn column_of(&mut self, query: &sqlparser::ast::Query, scope: &Scope<'_>) -> Result<Vec<Datum>, Stop> {
        let relation = self.query(query, Some(scope))?;
        if relation.columns.len() != 1 {
            return Err(SqlError::new("42601", "subquery has too many columns").into());
        }
        Ok(relation.rows.into_iter().flatten().collect())
    }

    /// What `ANY` and `ALL` go through: an array, or a subquery's column.
    fn items_of(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Vec<Datum>, Stop> {
        if let Expr::Subquery(query) = expr {
            return self.column_of(query, scope);
        }
        let datum = self.eval(expr, scope)?;
        let datum = if datum.ty == Type::Unknown { datum.cast(Type::TextArray)? } else { datum };
        match datum.v {
            V::Array(items) => {
                let ty = match datum.ty {
                    Type::IntArray => Type::Int4,
                    Type::NameArray => Type::Name,
                    _ => Type::Unknown,
                };
                Ok(items.into_iter().map(|v| Datum::new(ty, v)).collect())
            }
            V::Null => Ok(Vec::new()),
            _ => Err(SqlError::new("42809", "op ANY/ALL (array) requires array on right side").into()),
        }
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, scope: &Scope<'_>) -> Result<Datum, Stop> {
        match op {
            BinaryOperator::And | BinaryOperator::Or => {
                let is_and = matches!(op, BinaryOperator::And);
                let a = self.truth(left, scope)?;
                if a == Some(!is_and) && !self.dry {
                    return Ok(Datum::bool(!is_and));
                }
                let b = self.truth(right, scope)?;
                Ok(truth_datum(if is_and { and(a, b) } else { and(a.map(|x| !x), b.map(|x| !x)).map(|x| !x) }))
            }
            _ => {
                let (a, b) = (self.eval(left, scope)?, self.eval(right, scope)?);
                Ok(operate(&a, op, &b)?)
            }
        }
    }
}

/// A column by its name.
fn column(scope: &Scope<'_>, table: Option<&str>, name: &str) -> Result<Datum, SqlError> {
    let mut at = Some(scope);
    let mut table_seen = false;
    while let Some(scope) = at {
        let fits = |c: &&super::exec::Column| c.name == name && table.map_or(!c.hidden, |t| c.table == t);
        let mut found = scope.columns.iter().enumerate().filter(|(_, c)| fits(c));
        if let Some((n, column)) = found.next() {
            if found.next().is_some() {
                return Err(SqlError::new("42702", format!("column reference \"{name}\" is ambiguous")));
            }
            return Ok(scope.row.get(n).cloned().unwrap_or(Datum::null(column.ty)));
        }
        table_seen |= table.is_some_and(|t| scope.columns.iter().any(|c| c.table == t));
        at = scope.up;
    }
    Err(match table {
        Some(table) if !table_seen => missing_table(table),
        Some(table) => SqlError::new("42703", format!("column {table}.{name} does not exist")),
        None => SqlError::new("42703", format!("column \"{name}\" does not exist")),
    })
}
