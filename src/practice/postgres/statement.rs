//! Statements, one at a time: what is not a query, and what the server does not let be done.

use sqlparser::ast::{
    AlterRoleOperation, CopyOption, CopySource, CopyTarget, DiscardObject, Expr, ResetStatement, RoleOption, Set,
    SetExpr, Statement, TableObject, TransactionAccessMode, TransactionMode, Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::catalogue;
use super::error::{SqlError, Stop};
use super::exec::{Changed, Effect, Exec, Relation, Scope, folded};
use super::select::parts;
use super::value::{Datum, Type};

/// What came of a statement.
#[derive(Debug)]
pub enum Done {
    /// Rows, under this tag.
    Rows(Relation, &'static str),
    /// It is done: its tag, and how many rows that was about.
    Did(String, Option<usize>),
    /// A transaction begins.
    Begin,
    /// It is to be committed, or undone.
    End(bool),
}

/// Reads a message of statements. As with the real server, none is run where one cannot be read.
///
/// # Errors
/// 42601; 0A000 for what the real server knows and this one does not.
pub fn parse(text: &str) -> Result<Vec<Statement>, SqlError> {
    let dialect = PostgreSqlDialect {};
    let wrong = |e: &dyn std::fmt::Display| SqlError::new("42601", format!("syntax error: {e}"));
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(|e| wrong(&e))?;
    let mut out = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        let next = parser.peek_token().token;
        if next == Token::EOF {
            return Ok(out);
        }
        let word = if let Token::Word(word) = &next { word.value.to_uppercase() } else { String::new() };
        let unknown = |e: &dyn std::fmt::Display| {
            if ELSEWHERE.contains(&word.as_str()) { SqlError::unsupported(&format!("this {word}")) } else { wrong(e) }
        };
        out.push(parser.parse_statement().map_err(|e| unknown(&e))?);
        let after = parser.peek_token().token;
        if after != Token::EOF && after != Token::SemiColon {
            return Err(unknown(&format!("near \"{after}\"")));
        }
    }
}

/// What begins statements that the real server has, and that are not worked out here.
const ELSEWHERE: &[&str] = &[
    "ALTER",
    "ANALYZE",
    "CALL",
    "CHECKPOINT",
    "CLOSE",
    "CLUSTER",
    "COMMENT",
    "CREATE",
    "DECLARE",
    "DO",
    "DROP",
    "EXPLAIN",
    "FETCH",
    "GRANT",
    "IMPORT",
    "LISTEN",
    "LOAD",
    "LOCK",
    "MERGE",
    "MOVE",
    "NOTIFY",
    "REASSIGN",
    "REFRESH",
    "REINDEX",
    "REVOKE",
    "SECURITY",
    "TRUNCATE",
    "UNLISTEN",
    "VACUUM",
];

/// The words that a statement begins with: what it is called in messages.
fn verb(statement: &Statement) -> String {
    let text = statement.to_string();
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default().to_uppercase();
    match first.as_str() {
        "CREATE" | "ALTER" | "DROP" => format!("{first} {}", words.next().unwrap_or_default().to_uppercase()),
        _ => first,
    }
}

/// Runs a statement.
///
/// # Errors
/// What the real server would say, or that it is not supported; or what is to be waited for first.
pub fn run(exec: &mut Exec<'_>, statement: &Statement) -> Result<Done, Stop> {
    let did = |tag: &str| Ok(Done::Did(tag.to_owned(), None));
    match statement {
        Statement::Query(query) => match query.body.as_ref() {
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. } | SetExpr::Values(_) => {
                if !query.locks.is_empty() {
                    writable(exec, "SELECT FOR UPDATE")?;
                }
                Ok(Done::Rows(exec.query(query, None)?, "SELECT"))
            }
            _ => refused(exec, statement),
        },
        Statement::Set(set) => {
            assign(exec, set)?;
            did("SET")
        }
        Statement::ShowVariable { variable } => {
            let name = variable.iter().map(folded).collect::<Vec<_>>().join("_");
            show(exec, &name).map(|relation| Done::Rows(relation, "SHOW"))
        }
        Statement::Reset(ResetStatement { reset }) => {
            match reset {
                sqlparser::ast::Reset::ALL => {
                    let names: Vec<String> = exec.own.keys().cloned().collect();
                    for name in names {
                        change(exec, &name, None, false);
                    }
                }
                sqlparser::ast::Reset::ConfigurationParameter(name) => {
                    let name = parts(name)?.join(".");
                    set(exec, &name, None)?;
                }
            }
            did("RESET")
        }
        Statement::Discard { object_type: DiscardObject::ALL } => {
            exec.own.clear();
            did("DISCARD ALL")
        }
        Statement::Deallocate { .. } => did("DEALLOCATE"),
        Statement::StartTransaction { modes, .. } => {
            transaction(exec, modes)?;
            Ok(Done::Begin)
        }
        Statement::Commit { .. } => Ok(Done::End(true)),
        Statement::Rollback { savepoint: None, .. } => Ok(Done::End(false)),
        Statement::AlterRole { name, operation: AlterRoleOperation::WithOptions { options } } => {
            alter_role(exec, &folded(name), options)?;
            did("ALTER ROLE")
        }
        Statement::Copy {
            source: CopySource::Query(query),
            to: true,
            target: CopyTarget::File { filename },
            options,
            ..
        } => {
            if !exec.role()?.has("pg_write_server_files") {
                let what = "permission denied to COPY to a file";
                return Err(SqlError::new("42501", what)
                    .hint("Only roles with privileges of the \"pg_write_server_files\" role may COPY to a file.")
                    .into());
            }
            let relation = exec.query(query, None)?;
            let text = csv(&relation, options)?;
            let at = exec.seat.server;
            if let Some(server) = exec.world.server_mut(at) {
                server.files.insert(filename.clone(), text);
            }
            Ok(Done::Did("COPY".to_owned(), Some(relation.rows.len())))
        }
        Statement::Insert(insert) => {
            let table = match &insert.table {
                TableObject::TableName(name) => parts(name)?.pop().unwrap_or_default(),
                _ => return refused(exec, statement),
            };
            let rows = match insert.source.as_ref().map(|q| q.body.as_ref()) {
                Some(SetExpr::Values(values))
                    if table == "orders" && insert.returning.is_none() && insert.on.is_none() =>
                {
                    &values.rows
                }
                _ => return refused(exec, statement),
            };
            writable(exec, "INSERT")?;
            if !catalogue::may_write(exec.role()?) {
                return Err(SqlError::denied(&format!("table {table}")).into());
            }
            let names = insert.columns.iter().map(parts).collect::<Result<Vec<_>, _>>()?;
            let names: Vec<&str> = names.iter().filter_map(|p| p.last().map(String::as_str)).collect();
            if names != ["customer_id", "cents"] {
                return Err(
                    SqlError::unsupported("INSERT INTO orders with other columns than (customer_id, cents)").into()
                );
            }
            for row in rows.iter() {
                let values = row.iter().map(|e| exec.eval(e, &Scope::EMPTY)).collect::<Result<Vec<_>, _>>()?;
                let [customer, cents] = values.as_slice() else {
                    return Err(
                        SqlError::new("42601", "INSERT has another number of expressions than target columns").into()
                    );
                };
                let number = |d: &Datum| -> Result<i64, Stop> {
                    let missing = || SqlError::new("23502", "null value violates not-null constraint");
                    Ok(d.clone().cast(Type::Int4)?.as_int().ok_or_else(missing)?)
                };
                let effect = Effect::Order(number(customer)?, number(cents)?);
                exec.effects.push(effect);
            }
            Ok(Done::Did("INSERT 0".to_owned(), Some(rows.len())))
        }
        other => refused(exec, other),
    }
}

/// What would write, or is not worked out here. In recovery and in a read-only transaction the former is said first.
fn refused(exec: &Exec<'_>, statement: &Statement) -> Result<Done, Stop> {
    let verb = verb(statement);
    let writes = [
        "INSERT", "UPDATE", "DELETE", "TRUNCATE", "MERGE", "GRANT", "REVOKE", "COMMENT", "LOCK", "VACUUM", "ANALYZE",
        "WITH",
    ];
    let ddl = ["CREATE", "ALTER", "DROP"].iter().any(|w| verb.starts_with(w));
    if writes.contains(&verb.as_str()) || ddl {
        writable(exec, &verb)?;
    }
    Err(SqlError::unsupported(&verb).into())
}

/// Whether anything may be written.
fn writable(exec: &Exec<'_>, what: &str) -> Result<(), Stop> {
    let is_on = |name: &str| exec.setting(name).is_some_and(|v| v == "on");
    if exec.here()?.1.in_recovery() || is_on("transaction_read_only") || is_on("default_transaction_read_only") {
        return Err(SqlError::new("25006", format!("cannot execute {what} in a read-only transaction")).into());
    }
    Ok(())
}

fn alter_role(exec: &mut Exec<'_>, name: &str, options: &[RoleOption]) -> Result<(), Stop> {
    writable(exec, "ALTER ROLE")?;
    let (_, server) = exec.here()?;
    let missing = || SqlError::new("42704", format!("role \"{name}\" does not exist"));
    let target = server.catalog.role(name).ok_or_else(missing)?;
    let own = exec.role()?;
    if !own.superuser && (!own.createrole || target.superuser) {
        return Err(SqlError::new("42501", "permission denied to alter role").into());
    }
    for option in options {
        match option {
            RoleOption::Login(may) => exec.effects.push(Effect::Login(name.to_owned(), *may)),
            _ => return Err(SqlError::unsupported("this ALTER ROLE").into()),
        }
    }
    Ok(())
}

fn transaction(exec: &mut Exec<'_>, modes: &[TransactionMode]) -> Result<(), Stop> {
    for mode in modes {
        if let TransactionMode::AccessMode(mode) = mode {
            let only = *mode == TransactionAccessMode::ReadOnly;
            if !only && exec.here()?.1.in_recovery() {
                return Err(SqlError::new("25001", "cannot set transaction read-write mode during recovery").into());
            }
            change(exec, "transaction_read_only", Some(if only { "on" } else { "off" }), true);
        }
    }
    Ok(())
}

fn assign(exec: &mut Exec<'_>, assignment: &Set) -> Result<(), Stop> {
    match assignment {
        Set::SetTransaction { modes, .. } => transaction(exec, modes),
        Set::SingleAssignment { scope, variable, values, .. } => {
            let name = parts(variable)?.join(".");
            let mut texts = Vec::new();
            for value in values {
                texts.push(match value {
                    Expr::Identifier(ident) => folded(ident),
                    Expr::Value(v) if matches!(v.value, Value::Null) => "default".to_owned(),
                    other => exec.eval(other, &Scope::EMPTY)?.as_text().unwrap_or_default(),
                });
            }
            let value = texts.join(", ");
            let value = (!value.eq_ignore_ascii_case("default")).then_some(value);
            let local = matches!(scope, Some(sqlparser::ast::ContextModifier::Local));
            set_as(exec, &name, value.as_deref(), local)
        }
        Set::SetTimeZone { local, value } => {
            let text = match value {
                Expr::Identifier(ident) => ident.value.clone(),
                other => exec.eval(other, &Scope::EMPTY)?.as_text().unwrap_or_default(),
            };
            set_as(exec, "TimeZone", Some(&text), *local)
        }
        Set::SetNames { charset_name, .. } => set_as(exec, "client_encoding", Some(&charset_name.value), false),
        _ => Err(SqlError::unsupported("this SET").into()),
    }
}

/// What a session may set for itself.
const OWN: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "lock_timeout",
    "search_path",
    "standard_conforming_strings",
    "statement_timeout",
    "synchronous_commit",
    "timezone",
    "transaction_isolation",
    "transaction_read_only",
    "transaction_timeout",
    "work_mem",
];

/// Sets something for this session, or takes it back.
///
/// # Errors
/// 42704 for what there is not, 55P02 for what a session cannot set, 22023 for a value that is none.
pub(super) fn set(exec: &mut Exec<'_>, name: &str, value: Option<&str>) -> Result<(), Stop> {
    set_as(exec, name, value, false)
}

fn set_as(exec: &mut Exec<'_>, name: &str, value: Option<&str>, local: bool) -> Result<(), Stop> {
    let lower = name.to_ascii_lowercase();
    if !OWN.contains(&lower.as_str()) && !lower.contains('.') {
        return Err(if exec.setting(name).is_some() {
            SqlError::new("55P02", format!("parameter \"{name}\" cannot be changed now")).into()
        } else {
            SqlError::new("42704", format!("unrecognized configuration parameter \"{name}\"")).into()
        });
    }
    let bad = |value: &str| SqlError::new("22023", format!("invalid value for parameter \"{name}\": \"{value}\""));
    if let Some(value) = value {
        let fine = match lower.as_str() {
            "timezone" => ["utc", "etc/utc", "gmt"].contains(&value.to_ascii_lowercase().as_str()),
            "client_encoding" => {
                ["utf8", "utf-8", "unicode", "sql_ascii"].contains(&value.to_ascii_lowercase().as_str())
            }
            _ if lower.ends_with("_timeout") => millis(value).is_some(),
            _ => true,
        };
        if !fine {
            return Err(bad(value).into());
        }
    }
    let switch = lower.ends_with("read_only") || lower == "jit";
    let read = value.map(|v| match Datum::text(v).as_bool() {
        Some(on) if switch => if on { "on" } else { "off" }.to_owned(),
        _ => v.to_owned(),
    });
    change(exec, &lower, read.as_deref(), local);
    Ok(())
}

fn change(exec: &mut Exec<'_>, name: &str, value: Option<&str>, local: bool) {
    let before = exec.own.get(name).cloned();
    exec.changed.push(Changed { name: name.to_owned(), before, local });
    match value {
        Some(value) => exec.own.insert(name.to_owned(), value.to_owned()),
        None => exec.own.remove(name),
    };
}

/// A timeout as settings write it, in milliseconds.
#[must_use]
pub(super) fn millis(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.trim().parse().ok()?;
    let unit = match text.get(digits.len()..)?.trim() {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a timeout, checked not to be negative"
    )]
    (number >= 0.0).then_some((number * unit).round() as u64)
}

fn show(exec: &Exec<'_>, name: &str) -> Result<Relation, Stop> {
    if name == "all" {
        let relation = catalogue::table(exec, &["pg_settings".to_owned()])?;
        let rows = relation.rows.into_iter().map(|r| r.into_iter().take(2).chain([Datum::text("")]).collect());
        let columns = [("name", Type::Text), ("setting", Type::Text), ("description", Type::Text)];
        return Ok(Relation::of("", &columns, rows.collect()));
    }
    let name = match name {
        "transaction_isolation_level" => "transaction_isolation",
        "time_zone" => "TimeZone",
        other => other,
    };
    let unknown = || SqlError::new("42704", format!("unrecognized configuration parameter \"{name}\""));
    let value = exec.setting(name).ok_or_else(unknown)?;
    if super::functions::HIDDEN.contains(&name) && !exec.role()?.has("pg_read_all_settings") {
        return Err(SqlError::new("42501", format!("permission denied to examine \"{name}\"")).into());
    }
    Ok(Relation::of("", &[(name, Type::Text)], vec![vec![Datum::text(value)]]))
}

/// Rows as `COPY ... (FORMAT csv)` writes them.
fn csv(relation: &Relation, options: &[CopyOption]) -> Result<String, SqlError> {
    let (mut format, mut delimiter, mut null, mut quote) = (String::new(), ',', String::new(), '"');
    for option in options {
        match option {
            CopyOption::Format(name) => format = folded(name),
            CopyOption::Delimiter(c) => delimiter = *c,
            CopyOption::Null(text) => null.clone_from(text),
            CopyOption::Quote(c) => quote = *c,
            _ => return Err(SqlError::unsupported("this option of COPY")),
        }
    }
    if format != "csv" {
        return Err(SqlError::unsupported("COPY in other formats than csv"));
    }
    let mut out = String::new();
    for row in &relation.rows {
        let cell = |d: &Datum| match d.shown() {
            None => null.clone(),
            Some(text) => {
                let odd = text.is_empty() && null.is_empty() || text.contains([delimiter, quote, '\n', '\r']);
                if odd { format!("{quote}{}{quote}", text.replace(quote, &format!("{quote}{quote}"))) } else { text }
            }
        };
        let cells: Vec<String> = row.iter().map(cell).collect();
        out.push_str(&cells.join(&delimiter.to_string()));
        out.push('\n');
    }
    Ok(out)
}
