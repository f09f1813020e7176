//! FROM: tables, functions that give rows, subqueries, and how they are joined.

use std::cmp::Ordering;

use sqlparser::ast::{
    FunctionArg, FunctionArgExpr, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor, TableWithJoins,
};

use super::error::{SqlError, Stop};
use super::exec::{Column, Exec, Relation, Scope, folded};
use super::select::parts;
use super::value::{Datum, Type, compare};
use super::{catalogue, tables};

impl Exec<'_> {
    /// The rows of FROM.
    pub(super) fn from(&mut self, from: &[TableWithJoins], up: Option<&Scope<'_>>) -> Result<Relation, Stop> {
        let mut relation = Relation { columns: Vec::new(), rows: vec![Vec::new()] };
        for table in from {
            relation = self.join(relation, &table.relation, Kind::Inner, &JoinConstraint::None, up)?;
            for join in &table.joins {
                let (kind, constraint) = match &join.join_operator {
                    JoinOperator::Join(c) | JoinOperator::Inner(c) | JoinOperator::CrossJoin(c) => (Kind::Inner, c),
                    JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (Kind::Left, c),
                    _ => return Err(SqlError::unsupported("RIGHT and FULL JOIN").into()),
                };
                relation = self.join(relation, &join.relation, kind, constraint, up)?;
            }
        }
        Ok(relation)
    }

    fn join(
        &mut self,
        left: Relation,
        factor: &TableFactor,
        kind: Kind,
        constraint: &JoinConstraint,
        up: Option<&Scope<'_>>,
    ) -> Result<Relation, Stop> {
        let lateral = is_lateral(factor);
        // What it gives depends on the row beside it, or is worked out once. Its columns are known without a row, too.
        let nulls = left.nulls();
        let mut right = {
            let was = self.dry;
            self.dry |= lateral;
            let scope = Scope { columns: &left.columns, row: &nulls, group: None, up };
            let relation = self.factor(factor, &scope);
            self.dry = was;
            relation?
        };
        let mut columns = left.columns.clone();
        let using = using(constraint, &left.columns, &right.columns)?;
        columns.extend(right.columns.iter().enumerate().map(|(at, c)| {
            let hidden = c.hidden || using.iter().any(|(_, r)| *r == at);
            Column { hidden, ..c.clone() }
        }));
        let padding = right.nulls();
        let mut rows = Vec::new();
        for own in &left.rows {
            if lateral {
                let scope = Scope { columns: &left.columns, row: own, group: None, up };
                right.rows = self.factor(factor, &scope)?.rows;
            }
            let mut matched = false;
            for theirs in &right.rows {
                self.spend()?;
                let both: Vec<Datum> = own.iter().chain(theirs).cloned().collect();
                let fits = match constraint {
                    JoinConstraint::None => true,
                    JoinConstraint::On(condition) => {
                        let scope = Scope { columns: &columns, row: &both, group: None, up };
                        self.holds(condition, &scope)?
                    }
                    JoinConstraint::Using(_) => {
                        let mut all = true;
                        for (l, r) in &using {
                            let pair = own.get(*l).zip(theirs.get(*r));
                            let same = pair.map(|(a, b)| compare(a, b)).transpose()?.flatten();
                            all &= same == Some(Ordering::Equal);
                        }
                        all
                    }
                    JoinConstraint::Natural => return Err(SqlError::unsupported("NATURAL JOIN").into()),
                };
                if fits {
                    matched = true;
                    rows.push(both);
                }
            }
            if !matched && kind == Kind::Left {
                rows.push(own.iter().chain(&padding).cloned().collect());
            }
        }
        Ok(Relation { columns, rows })
    }

    fn factor(&mut self, factor: &TableFactor, beside: &Scope<'_>) -> Result<Relation, Stop> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let mut relation = self.table(name)?;
                if let Some(alias) = alias {
                    rename(&mut relation, alias);
                }
                Ok(relation)
            }
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.function_table(name, &args.args, *with_ordinality, alias.as_ref(), beside)
            }
            TableFactor::Function { name, args, with_ordinality, alias, .. } => {
                self.function_table(name, args, *with_ordinality, alias.as_ref(), beside)
            }
            TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality, .. } => {
                let [array] = array_exprs.as_slice() else {
                    return Err(SqlError::unsupported("unnest of several arrays").into());
                };
                let arg = self.eval(array, beside)?;
                let relation = tables::unnest(&arg)?;
                Ok(finished("unnest", relation, *with_ordinality, alias.as_ref()))
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => {
                let up = if *lateral { Some(beside) } else { beside.up };
                let mut relation = self.query(subquery, up)?;
                for column in &mut relation.columns {
                    column.table = String::new();
                }
                if let Some(alias) = alias {
                    rename(&mut relation, alias);
                }
                Ok(relation)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.from(std::slice::from_ref(table_with_joins), beside.up)
            }
            _ => Err(SqlError::unsupported("such a table").into()),
        }
    }

    fn table(&mut self, name: &ObjectName) -> Result<Relation, Stop> {
        let parts = parts(name)?;
        if let [name] = parts.as_slice()
            && let Some((_, relation)) = self.named.iter().rev().find(|(n, _)| n == name)
        {
            let mut relation = relation.clone();
            for column in &mut relation.columns {
                column.table.clone_from(name);
            }
            return Ok(relation);
        }
        catalogue::table(self, &parts)
    }

    fn function_table(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        ordinality: bool,
        alias: Option<&TableAlias>,
        beside: &Scope<'_>,
    ) -> Result<Relation, Stop> {
        let name = super::functions::plain(&parts(name)?)?;
        let mut values = Vec::new();
        for arg in args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
                return Err(SqlError::unsupported("named arguments").into());
            };
            values.push(self.eval(expr, beside)?);
        }
        let relation = tables::call(self, &name, &values)?;
        Ok(finished(&name, relation, ordinality, alias))
    }
}

/// How rows are joined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inner,
    Left,
}

fn is_lateral(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { args, .. } => args.is_some(),
        TableFactor::Function { .. } | TableFactor::UNNEST { .. } => true,
        TableFactor::Derived { lateral, .. } => *lateral,
        _ => false,
    }
}

/// A function's rows as a table: named after it or its alias, and so is its column where it is one.
fn finished(name: &str, mut relation: Relation, ordinality: bool, alias: Option<&TableAlias>) -> Relation {
    let one = relation.columns.len() == 1;
    for column in &mut relation.columns {
        name.clone_into(&mut column.table);
    }
    if one
        && let Some(column) = relation.columns.first_mut()
        && (column.name.is_empty() || alias.is_some())
    {
        column.name = alias.map_or_else(|| name.to_owned(), |a| folded(&a.name));
    }
    if ordinality {
        relation.columns.push(Column {
            table: name.to_owned(),
            name: "ordinality".to_owned(),
            ty: Type::Int8,
            hidden: false,
        });
        for (n, row) in (1_i64..).zip(&mut relation.rows) {
            row.push(Datum::int(n));
        }
    }
    if let Some(alias) = alias {
        rename(&mut relation, alias);
    }
    relation
}

/// Gives a table, and its columns, the names of its alias.
pub(super) fn rename(relation: &mut Relation, alias: &TableAlias) {
    for column in &mut relation.columns {
        column.table = folded(&alias.name);
    }
    for (column, new) in relation.columns.iter_mut().zip(&alias.columns) {
        column.name = folded(&new.name);
    }
}

/// The pairs of columns that `USING` names.
fn using(constraint: &JoinConstraint, left: &[Column], right: &[Column]) -> Result<Vec<(usize, usize)>, SqlError> {
    let JoinConstraint::Using(names) = constraint else { return Ok(Vec::new()) };
    let mut pairs = Vec::new();
    for name in names {
        let name = parts(name)?.pop().unwrap_or_default();
        let at = |of: &[Column]| of.iter().position(|c| c.name == name && !c.hidden);
        let pair = at(left).zip(at(right));
        let missing = || SqlError::new("42703", format!("column \"{name}\" specified in USING clause does not exist"));
        pairs.push(pair.ok_or_else(missing)?);
    }
    Ok(pairs)
}
