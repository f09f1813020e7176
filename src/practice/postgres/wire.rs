//! The protocol: messages in, answers out. The library reads and writes them; this says what is in them.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{BufMut as _, BytesMut};
use futures_util::StreamExt as _;
use futures_util::sink::{Sink, SinkExt as _};
use futures_util::stream;
use pgwire::api::cancel::DefaultCancelHandler;
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{
    DescribePortalResponse, DescribeStatementResponse, FieldFormat, FieldInfo, QueryResponse, Response, Tag,
};
use pgwire::api::stmt::{QueryParser, StoredStatement};
use pgwire::api::store::PortalStore;
use pgwire::api::{
    ClientInfo, ClientPortalStore, ConnectionManager, NoopHandler, PgWireConnectionState, Type as WireType,
};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::data::DataRow;
use pgwire::messages::response::NoticeResponse;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::server::{negotiate_tls, process_error, process_message};
use sqlparser::ast::Statement;
use tokio::net::TcpStream;

use super::error::SqlError;
use super::exec::Relation;
use super::session::{Says, Session, terminated};
use super::statement::{self, Done};
use super::value::{Datum, Type, V};
use crate::practice::shared::Shared;

/// Serves one connection to its end.
pub(super) async fn serve(tcp: TcpStream, shared: Shared, server: &'static str, manager: Arc<ConnectionManager>) {
    let session = Arc::new(Session::new(&shared, server, &manager));
    let guard = Leaves(Arc::clone(&session));
    // A connection that breaks is nobody's to be told.
    let _ = talk(tcp, &session, &manager).await;
    drop(guard);
}

/// Takes a session off the server's list, however its connection ends.
struct Leaves(Arc<Session>);

impl Drop for Leaves {
    fn drop(&mut self) {
        // Nobody else holds the lock any more once the connection is over, or it is dropped in the middle.
        let pid = self.0.state.try_lock().ok().and_then(|s| s.seat.as_ref().map(|s| s.pid));
        let server = self.0.server;
        if let Some(pid) = pid {
            self.0.shared.with(|w| w.server_mut(server).map(|s| s.sessions.close(pid)));
        }
    }
}

async fn talk(tcp: TcpStream, session: &Arc<Session>, manager: &Arc<ConnectionManager>) -> std::io::Result<()> {
    let Some(mut socket) = negotiate_tls::<Statement>(tcp, None).await? else { return Ok(()) };
    let cancel = Arc::new(DefaultCancelHandler::new(Arc::clone(manager)));
    let copy = Arc::new(NoopHandler);
    loop {
        let (pid, _) = socket.pid_and_secret_key();
        let begins = matches!(
            socket.state(),
            PgWireConnectionState::AwaitingStartup | PgWireConnectionState::AuthenticationInProgress
        );
        let ended = async { if begins { std::future::pending().await } else { session.ended(pid).await } };
        let mut ended = std::pin::pin!(ended);
        let message = tokio::select! {
            biased;
            () = &mut ended => None,
            message = socket.next() => Some(message),
        };
        let Some(message) = message else {
            return process_error(&mut socket, terminated().into(), true).await;
        };
        let Some(Ok(message)) = message else { return Ok(()) };
        if matches!(message, PgWireFrontendMessage::Terminate(_)) {
            return Ok(());
        }
        let extended = message.is_extended_query();
        let over = matches!(message, PgWireFrontendMessage::CancelRequest(_));
        let handled = {
            let handling = process_message(
                message,
                &mut socket,
                Arc::clone(session),
                Arc::clone(session),
                Arc::clone(session),
                Arc::clone(&copy),
                Arc::clone(&cancel),
            );
            tokio::select! {
                biased;
                handled = handling => Some(handled),
                () = &mut ended => None,
            }
        };
        match handled {
            None => return process_error(&mut socket, terminated().into(), true).await,
            Some(Ok(())) if over => return Ok(()),
            Some(Ok(())) => {}
            // Whoever is not let in is told why, and no more.
            Some(Err(e)) => {
                let fatal = begins || matches!(&e, PgWireError::UserError(info) if info.is_fatal());
                process_error(&mut socket, e, extended || fatal).await?;
                if fatal {
                    return socket.close().await;
                }
            }
        }
    }
}

fn warning(code: &str, words: String) -> PgWireBackendMessage {
    let info = ErrorInfo::new("WARNING".to_owned(), code.to_owned(), words);
    PgWireBackendMessage::NoticeResponse(NoticeResponse::from(info))
}

#[async_trait]
impl SimpleQueryHandler for Session {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (said, failed) = self.message(query).await;
        let mut out = Vec::new();
        for says in said {
            if let Some(response) = response(client, says, &Format::UnifiedText).await? {
                out.push(response);
            }
        }
        match failed {
            Some(e) if e.fatal => return Err(e.into()),
            Some(e) => out.push(Response::Error(Box::new(e.info()))),
            None if out.is_empty() => out.push(Response::EmptyQuery),
            None => {}
        }
        Ok(out)
    }
}

/// What is answered; warnings are sent by themselves.
async fn response<C>(client: &mut C, says: Says, format: &Format) -> PgWireResult<Option<Response>>
where
    C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
    C::Error: Debug,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    Ok(match says {
        Says::Warning(code, words) => {
            client.feed(warning(code, words)).await?;
            None
        }
        Says::Began => Some(Response::TransactionStart(Tag::new("BEGIN"))),
        Says::Ended(tag) => Some(Response::TransactionEnd(Tag::new(tag))),
        Says::Done(Done::Rows(relation, tag)) => Some(Response::Query(rows(relation, tag, format)?)),
        Says::Done(Done::Did(tag, rows)) => {
            let tag = Tag::new(&tag);
            Some(Response::Execution(match rows {
                Some(n) => tag.with_rows(n),
                None => tag,
            }))
        }
        // A session says these itself.
        Says::Done(Done::Begin | Done::End(_)) => None,
    })
}

fn fields(relation: &Relation, format: &Format) -> Vec<FieldInfo> {
    let formats: Vec<FieldFormat> = match format {
        Format::UnifiedText => vec![FieldFormat::Text; relation.columns.len()],
        Format::UnifiedBinary => vec![FieldFormat::Binary; relation.columns.len()],
        Format::Individual(codes) => codes.iter().map(|c| FieldFormat::from(*c)).collect(),
    };
    let field = |(at, column): (usize, &super::exec::Column)| {
        let ty = if column.ty == Type::Unknown { Type::Text } else { column.ty };
        let wire = WireType::from_oid(ty.oid()).unwrap_or(WireType::TEXT);
        let format = formats.get(at).copied().unwrap_or(FieldFormat::Text);
        FieldInfo::new(column.name.clone(), None, None, wire, format).with_type_size(ty.length())
    };
    relation.columns.iter().enumerate().map(field).collect()
}

fn rows(relation: Relation, tag: &str, format: &Format) -> PgWireResult<QueryResponse> {
    let fields = Arc::new(fields(&relation, format));
    let mut out = Vec::with_capacity(relation.rows.len());
    for row in &relation.rows {
        let mut data = BytesMut::new();
        for (datum, field) in row.iter().zip(fields.iter()) {
            let bytes = match field.format() {
                FieldFormat::Text => datum.shown().map(String::into_bytes),
                FieldFormat::Binary => binary(datum)?,
            };
            match bytes {
                None => data.put_i32(-1),
                Some(bytes) => {
                    data.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                    data.put_slice(&bytes);
                }
            }
        }
        let count = i16::try_from(row.len()).map_err(|_| SqlError::new("54011", "too many columns"))?;
        out.push(Ok(DataRow::new(data, count)));
    }
    let mut response = QueryResponse::new(fields, stream::iter(out));
    response.set_command_tag(tag);
    Ok(response)
}

/// 2000-01-01 in microseconds since 1970: from when PostgreSQL counts.
const EPOCH: i64 = 946_684_800_000_000;

/// A value in the binary format, where it has one here.
fn binary(datum: &Datum) -> Result<Option<Vec<u8>>, SqlError> {
    let none = || SqlError::unsupported(&format!("the binary format of {}", datum.ty.name()));
    Ok(Some(match (&datum.v, datum.ty) {
        (V::Null, _) => return Ok(None),
        (V::Bool(b), _) => vec![u8::from(*b)],
        (V::Int(n), Type::Int2) => i16::try_from(*n).map_err(|_| none())?.to_be_bytes().to_vec(),
        (V::Int(n), Type::Int4) => i32::try_from(*n).map_err(|_| none())?.to_be_bytes().to_vec(),
        (V::Int(n), Type::Oid | Type::Xid | Type::Regclass | Type::Regtype) => {
            u32::try_from(*n).map_err(|_| none())?.to_be_bytes().to_vec()
        }
        (V::Int(n), _) => n.to_be_bytes().to_vec(),
        (V::Float(f), _) => f.to_be_bytes().to_vec(),
        (V::Lsn(lsn), _) => lsn.0.to_be_bytes().to_vec(),
        (V::Time(micros), _) => micros.saturating_sub(EPOCH).to_be_bytes().to_vec(),
        (V::Bytes(bytes), _) => bytes.clone(),
        (V::Text(text), t) if t.is_text() || t == Type::Void => text.clone().into_bytes(),
        _ => return Err(none()),
    }))
}

/// Reads statements of the extended protocol; what they give, the session says.
pub(super) struct Parser;

#[async_trait]
impl QueryParser for Parser {
    type Statement = Statement;

    async fn parse_sql<C>(&self, _: &C, sql: &str, _: &[Option<WireType>]) -> PgWireResult<Option<Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let mut statements = statement::parse(sql)?;
        if statements.len() > 1 {
            let what = "cannot insert multiple commands into a prepared statement";
            return Err(SqlError::new("42601", what).into());
        }
        Ok(statements.pop())
    }

    fn get_parameter_types(&self, statement: &Self::Statement) -> PgWireResult<Vec<WireType>> {
        Ok(vec![WireType::TEXT; parameters(statement)])
    }

    fn get_result_schema(&self, _: &Self::Statement, _: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        Ok(Vec::new())
    }
}

/// How many parameters a statement names.
fn parameters(statement: &Statement) -> usize {
    let text = statement.to_string();
    let numbers = text.split('$').skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()
    });
    numbers.max().unwrap_or(0)
}

/// The parameters of a portal: texts, and of the binary ones those that are plain.
fn bound(portal: &Portal<Statement>) -> Result<Vec<Datum>, SqlError> {
    let mut out = Vec::new();
    for (at, bytes) in portal.parameters.iter().enumerate() {
        let ty = portal.statement.parameter_types.get(at).cloned().flatten().unwrap_or(WireType::UNKNOWN);
        let own = Type::ALL.iter().copied().find(|t| t.oid() == ty.oid()).unwrap_or(Type::Unknown);
        let Some(bytes) = bytes else {
            out.push(Datum::null(own));
            continue;
        };
        let binary = match &portal.parameter_format {
            Format::UnifiedText => false,
            Format::UnifiedBinary => true,
            Format::Individual(codes) => codes.get(at) == Some(&1),
        };
        let unreadable =
            || SqlError::new("22P03", format!("incorrect binary data format in bind parameter {}", at + 1));
        let v = match (binary, own) {
            (false, _) | (true, Type::Text | Type::Name | Type::Unknown) => {
                let text = String::from_utf8(bytes.to_vec()).map_err(|_| unreadable())?;
                out.push(if own == Type::Unknown || own.is_text() {
                    Datum::new(Type::Unknown, V::Text(text))
                } else {
                    Datum::new(Type::Unknown, V::Text(text)).cast(own)?
                });
                continue;
            }
            (true, Type::Bool) => V::Bool(bytes.first() == Some(&1)),
            (true, Type::Int2 | Type::Int4 | Type::Int8 | Type::Oid) => {
                let n = match bytes.len() {
                    2 => bytes.as_ref().try_into().map(|b| i64::from(i16::from_be_bytes(b))).ok(),
                    4 => bytes.as_ref().try_into().map(|b| i64::from(i32::from_be_bytes(b))).ok(),
                    8 => bytes.as_ref().try_into().map(i64::from_be_bytes).ok(),
                    _ => None,
                };
                V::Int(n.ok_or_else(unreadable)?)
            }
            (true, _) => return Err(SqlError::unsupported("this binary parameter")),
        };
        out.push(Datum::new(own, v));
    }
    Ok(out)
}

#[async_trait]
impl ExtendedQueryHandler for Session {
    type Statement = Statement;
    type QueryParser = Parser;

    fn query_parser(&self) -> Arc<Parser> {
        Arc::new(Parser)
    }

    async fn do_describe_statement<C>(
        &self,
        _: &mut C,
        target: &StoredStatement<Self::Statement>,
    ) -> PgWireResult<DescribeStatementResponse>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let count = parameters(&target.statement);
        let types = (0..count).map(|at| target.parameter_types.get(at).cloned().flatten().unwrap_or(WireType::TEXT));
        let relation = self.described(&target.statement, count).await?;
        let fields = relation.map(|r| fields(&r, &Format::UnifiedText)).unwrap_or_default();
        Ok(DescribeStatementResponse::new(types.collect(), fields))
    }

    async fn do_describe_portal<C>(
        &self,
        _: &mut C,
        target: &Portal<Self::Statement>,
    ) -> PgWireResult<DescribePortalResponse>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let relation = self.described(&target.statement.statement, target.parameters.len()).await?;
        let fields = relation.map(|r| fields(&r, &target.result_column_format)).unwrap_or_default();
        Ok(DescribePortalResponse::new(fields))
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Self::Statement>, _: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let said = self.portal(&portal.statement.statement, &bound(portal)?).await?;
        let mut last = Response::EmptyQuery;
        for says in said {
            if let Some(response) = response(client, says, &portal.result_column_format).await? {
                last = response;
            }
        }
        Ok(last)
    }
}
