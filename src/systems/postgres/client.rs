//! One connection to one server: opened, asked and dropped within a deadline.
//!
//! The driver's connection is polled by whoever asks, inside the ask: no task of its own, nothing that wakes up between
//! two looks. Whatever goes wrong, the connection is dropped, and the next look opens another.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Empty};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::config::{ChannelBinding as Binding, SslMode as DriverSslMode, SslNegotiation};
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::tls::TlsConnect as _;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::faults::{gap_of, gap_of_io};
use super::parse::Table;
use super::stream::{Agreed, Budget, Guarded};
use super::target::{ChannelBinding, Host, SslMode, Target};
use crate::net::{self, Net, ServerCertificate, gap_of_tls};
use crate::readiness::{Gap, Reason};

/// The most rows that the answers of one look may have.
const MOST_ROWS: usize = 20_000;

/// An open connection.
pub(super) struct Connection {
    client: tokio_postgres::Client,
    driver: tokio_postgres::Connection<Empty, Guarded>,
    budget: Budget,
    /// Where it leads.
    pub(super) address: std::net::SocketAddr,
    /// Whether it was asked to be encrypted.
    encrypted: bool,
    /// Whether the server (or the pooler before it) took our session's settings.
    pub(super) settings_taken: bool,
    /// Its version as `server_version_num`, or the oldest that we know where it does not say.
    pub(super) version: i64,
}

/// How a connection is opened, beside its target.
#[derive(Clone, Copy, Debug)]
pub(super) struct How<'a> {
    pub(super) net: &'a Net,
    pub(super) target: &'a Target,
    pub(super) password: Option<&'a SecretString>,
    /// How long one statement may take on the server.
    pub(super) statement: Duration,
    pub(super) deadline: Instant,
}

/// The session's settings: bounded by the server as well as by us. That a look cannot write is each message's own word
/// (`SET TRANSACTION READ ONLY`): as a session's setting it would hide what the server's other sessions get.
pub(super) fn session(statement: Duration) -> [(&'static str, String); 3] {
    [
        ("statement_timeout", statement.as_millis().max(1).to_string()),
        // Shorter, so that one statement behind a lock leaves time for the others.
        ("lock_timeout", (statement / 4).as_millis().max(1).to_string()),
        ("jit", "off".to_owned()),
    ]
}

/// Opens a connection to one host: each of its addresses in turn, each with its share of the time.
pub(super) async fn open(how: How<'_>, host: &Host) -> Result<Connection, Gap> {
    how.net.admit(&host.name, Some(host.port))?;
    let addresses = match host.address {
        Some(address) => vec![address],
        None => how.net.addresses(&host.name, how.deadline).await?,
    };
    let mut failed: Option<Gap> = None;
    let count = addresses.len();
    for (n, address) in addresses.into_iter().enumerate() {
        let deadline = share(how.deadline, count - n);
        let tried = open_at(How { deadline, ..how }, host, (address, host.port).into());
        match tokio::time::timeout_at(deadline, tried).await.unwrap_or_else(|_| Err(Reason::TimedOut.into())) {
            Ok(connection) => return Ok(connection),
            Err(gap) => failed = Some(more_telling(failed, gap)),
        }
    }
    Err(failed.unwrap_or_else(|| Gap::new(Reason::Unreachable, &format!("{}: no address", host.name))))
}

/// A fair share of the time that is left, for the first of `among`.
pub(super) fn share(deadline: Instant, among: usize) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    now + left / u32::try_from(among.max(1)).unwrap_or(u32::MAX)
}

/// Of two gaps the one that says more. A refused connection proves a stopped server only where every address refuses.
pub(super) fn more_telling(first: Option<Gap>, second: Gap) -> Gap {
    match first {
        Some(first) if first.reason != Reason::Refused => first,
        Some(_) | None => second,
    }
}

/// libpq's order of trying: `allow` plain first, `prefer` TLS first; the other where the first is refused.
async fn open_at(how: How<'_>, host: &Host, address: std::net::SocketAddr) -> Result<Connection, Gap> {
    let order: &[bool] = match how.target.sslmode {
        SslMode::Disable => &[false],
        SslMode::Allow => &[false, true],
        SslMode::Prefer => &[true, false],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[true],
    };
    let mut first: Option<Gap> = None;
    for encrypted in order {
        match open_with(how, host, address, *encrypted, true).await {
            Ok(connection) => return Ok(connection),
            Err(gap) if worth_another(gap.reason) => first = Some(first.unwrap_or(gap)),
            Err(gap) => return Err(gap),
        }
    }
    Err(first.unwrap_or_else(|| Reason::Bug.into()))
}

/// Whether the other kind of encryption could help: TLS failed, or this kind is not let in.
const fn worth_another(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoAccess
            | Reason::UnknownIssuer
            | Reason::CertificateExpired
            | Reason::CertificateName
            | Reason::TlsFailed
    )
}

async fn open_with(
    how: How<'_>,
    host: &Host,
    address: std::net::SocketAddr,
    encrypted: bool,
    settings: bool,
) -> Result<Connection, Gap> {
    let budget = Budget::new();
    let tcp = how.net.connect_at(address, how.deadline).await?;
    keep_alive(&tcp, how);
    let stream = if encrypted { encrypt(how, host, tcp, &budget).await? } else { Guarded::plain(tcp, budget.clone()) };
    let mut config = tokio_postgres::Config::new();
    config
        .user(&how.target.user)
        .dbname(&how.target.dbname)
        .application_name(&how.target.application_name)
        // Encryption is agreed on already; this hands the stream over as it is.
        .ssl_mode(DriverSslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct)
        .channel_binding(match how.target.channel_binding {
            ChannelBinding::Disable => Binding::Disable,
            ChannelBinding::Prefer => Binding::Prefer,
            ChannelBinding::Require => Binding::Require,
        });
    if let Some(password) = how.password {
        config.password(password.expose_secret());
    }
    if settings {
        let own = session(how.statement).map(|(name, value)| format!("-c {name}={value}")).join(" ");
        config.options(how.target.options.as_ref().map_or_else(|| own.clone(), |more| format!("{more} {own}")));
    }
    match config.connect_raw(tokio::io::empty(), Agreed(stream)).await {
        Ok((client, driver)) => {
            let version = driver.parameter("server_version").and_then(version_num).unwrap_or(130_000);
            Ok(Connection { client, driver, budget, address, encrypted, settings_taken: settings, version })
        }
        // Poolers refuse startup options (protocol violation); the settings then go with each message.
        Err(e) if settings && e.code().is_some_and(|c| c.code() == "08P01") => {
            Box::pin(open_with(how, host, address, encrypted, false)).await
        }
        Err(e) => Err(gap_of(&e)),
    }
}

/// The request for TLS that opens a connection (PostgreSQL's documentation, "SSLRequest").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The request for encryption by GSSAPI that may open a connection instead (PostgreSQL's documentation, "GSSENCRequest").
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

/// Whether the server lets new sessions in: begins a connection, has it answered by a process of its own, and leaves
/// before saying who it is. It asks for GSSAPI: who leaves after that is not logged, but who leaves after a yes to TLS is,
/// look after look. What does not know the word, an old pooler, is asked for TLS.
///
/// # Errors
/// `TimedOut` where it is accepted by the kernel and answered by nobody: the postmaster hangs.
pub(super) async fn knock(net: &Net, address: std::net::SocketAddr, deadline: Instant) -> Result<(), Gap> {
    let knocked = async {
        if let Ok(b'G' | b'N') = greet(net.reach(address, deadline).await?, &GSS_REQUEST).await {
            return Ok(());
        }
        match greet(net.reach(address, deadline).await?, &SSL_REQUEST).await? {
            b'S' | b'N' => Ok(()),
            b'E' => Err(Gap::new(Reason::QueryFailed, "the server turns new sessions away: see its log")),
            _ => Err(Gap::new(Reason::Malformed, "the peer does not speak PostgreSQL's protocol")),
        }
    };
    let silent = || Gap::new(Reason::TimedOut, "new sessions get no answer; those that are open live on");
    tokio::time::timeout_at(deadline, knocked).await.unwrap_or_else(|_| Err(silent()))
}

/// The one byte that answers a request for encryption.
async fn greet(mut tcp: TcpStream, request: &[u8]) -> Result<u8, Gap> {
    tcp.write_all(request).await.map_err(|e| gap_of_io(&e))?;
    tcp.read_u8().await.map_err(|e| gap_of_io(&e))
}

/// Asks for TLS (PostgreSQL's documentation, "SSL Session Encryption") and shakes hands.
async fn encrypt(how: How<'_>, host: &Host, mut tcp: TcpStream, budget: &Budget) -> Result<Guarded, Gap> {
    let broken = |e: std::io::Error| gap_of_io(&e);
    tcp.write_all(&SSL_REQUEST).await.map_err(broken)?;
    match tcp.read_u8().await.map_err(broken)? {
        b'S' => {}
        b'N' if how.target.sslmode == SslMode::Prefer => return Ok(Guarded::plain(tcp, budget.clone())),
        b'N' => return Err(Gap::new(Reason::TlsFailed, "the server does not offer TLS")),
        // A server that cannot even fork says so in the old protocol, before any encryption.
        b'E' => return Err(Gap::new(Reason::QueryFailed, "the server refused before encryption: see its log")),
        _ => return Err(Gap::new(Reason::Malformed, "the peer does not speak PostgreSQL's protocol")),
    }
    let config = how.net.tls(&how.target.tls).await?;
    let mut maker = MakeRustlsConnect::new((*config).clone());
    let name = if host.name.is_empty() { "localhost" } else { &host.name };
    let connect = match tokio_postgres::tls::MakeTlsConnect::<TcpStream>::make_tls_connect(&mut maker, name) {
        Ok(connect) => connect,
        Err(never) => match never {},
    };
    let stream =
        connect.connect(tcp).await.map_err(|e| if net::is_tls(&e) { gap_of_tls(&e) } else { gap_of_io(&e) })?;
    Ok(Guarded::tls(stream, budget.clone()))
}

/// The certificate that a host shows, at the first of its addresses; `None` where it offers no TLS. Ends right after the
/// handshake, before saying who asks.
pub(super) async fn certificate(
    net: &Net,
    target: &Target,
    host: &Host,
    deadline: Instant,
) -> Result<Option<ServerCertificate>, Gap> {
    let address = match host.address {
        Some(address) => address,
        None => match net.addresses(&host.name, deadline).await?.first() {
            Some(address) => *address,
            None => return Err(Gap::new(Reason::Unreachable, &format!("{}: no address", host.name))),
        },
    };
    net.admit(&host.name, Some(host.port))?;
    let mut tcp = net.connect_at((address, host.port).into(), deadline).await?;
    tcp.write_all(&SSL_REQUEST).await.map_err(|e| gap_of_io(&e))?;
    if tcp.read_u8().await.map_err(|e| gap_of_io(&e))? != b'S' {
        return Ok(None);
    }
    let config = net.tls(&target.tls).await?;
    let name = if host.name.is_empty() { "localhost" } else { &host.name };
    let name = rustls::pki_types::ServerName::try_from(name.to_owned())
        .map_err(|e| Gap::new(Reason::TlsFailed, &format!("{name}: {e}")))?;
    let connecting = tokio_rustls::TlsConnector::from(config).connect(name, tcp);
    let stream = connecting.await.map_err(|e| if net::is_tls(&e) { gap_of_tls(&e) } else { gap_of_io(&e) })?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    shown.map(|der| ServerCertificate::from_der(der)).transpose()
}

/// Lets the kernel give up a silent peer between two looks. What it does not take is no reason to fail.
fn keep_alive(tcp: &TcpStream, how: How<'_>) {
    use rustix::net::sockopt;
    let k = how.target.keepalives;
    let _ = sockopt::set_tcp_nodelay(tcp, true);
    let _ = sockopt::set_socket_keepalive(tcp, k.on);
    if k.on {
        let _ = sockopt::set_tcp_keepidle(tcp, k.idle);
        let _ = sockopt::set_tcp_keepintvl(tcp, k.interval);
        let _ = sockopt::set_tcp_keepcnt(tcp, k.count);
    }
    let unacknowledged = k.user_timeout.unwrap_or(how.statement.saturating_mul(2)).as_millis();
    let _ = sockopt::set_tcp_user_timeout(tcp, u32::try_from(unacknowledged).unwrap_or(u32::MAX));
}

/// `15.18 (Debian ...)`, `16beta1`, `18.4` as `server_version_num`.
fn version_num(text: &str) -> Option<i64> {
    let digits = |s: &str| s.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<i64>().ok();
    let major = digits(text)?;
    let minor = text.split_once('.').and_then(|(_, rest)| digits(rest)).unwrap_or(0);
    (10..1_000).contains(&major).then(|| major * 10_000 + minor.min(9_999))
}

/// What became of one message of several statements.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The rows of every statement that was completed, in order.
    pub(super) tables: Vec<Table>,
    /// Why the next one failed, where one did; nothing after it was run.
    pub(super) failed: Option<tokio_postgres::Error>,
    /// When the first statement that gave rows was complete.
    pub(super) first: Option<crate::plan::Now>,
    /// What the server warned of last: a commit whose wait for a standby was cut short is told so, and by nothing else.
    pub(super) warned: Option<crate::plan::SafeText>,
}

impl Told {
    /// The error that the server itself gave for the failing statement, where the connection is still good.
    pub(super) fn db_error(&self) -> Option<&DbError> {
        self.failed.as_ref()?.as_db_error().filter(|db| is(db, Severity::Error, "ERROR"))
    }
}

/// Whether a message is of this severity. Poolers and others that speak for a server leave the field out that is never
/// translated (PostgreSQL's documentation, "Error and Notice Message Fields", `V`); what they say, they say in English.
fn is(message: &DbError, severity: Severity, word: &str) -> bool {
    message.parsed_severity().map_or_else(|| message.severity() == word, |said| said == severity)
}

impl Connection {
    /// Says goodbye, so that the server has nothing to log, and closes. May wait for a peer that is gone.
    pub(super) async fn close(self) {
        let Self { client, mut driver, .. } = self;
        drop(client);
        // What the server says meanwhile is nobody's answer.
        while let Some(Ok(_)) = std::future::poll_fn(|cx| driver.poll_message(cx)).await {}
    }

    /// Asks the server to give up what this connection waits for (PostgreSQL's documentation, "Canceling Requests in
    /// Progress"): over a connection of its own, and without an answer.
    pub(super) async fn cancel(&mut self, how: How<'_>, host: &Host) -> Result<(), Gap> {
        let tcp = how.net.connect_at(self.address, how.deadline).await?;
        let budget = Budget::new();
        let stream =
            if self.encrypted { encrypt(how, host, tcp, &budget).await? } else { Guarded::plain(tcp, budget.clone()) };
        let token = self.client.cancel_token();
        token.cancel_query_raw(tokio::io::empty(), Agreed(stream)).await.map_err(|e| gap_of(&e))
    }

    /// A new look begins: its answers may bring so many bytes again.
    pub(super) fn renew(&self) {
        self.budget.renew();
    }

    /// Sends one message of statements and reads what comes.
    ///
    /// # Errors
    /// `TooLarge` where there are too many rows. What the server or the connection fails with is in [`Told`].
    pub(super) async fn tell(&mut self, sql: &str) -> Result<Told, Gap> {
        let Self { client, driver, .. } = self;
        let asking = async {
            let mut told = Told::default();
            let stream = match client.simple_query_raw(sql).await {
                Ok(stream) => stream,
                Err(e) => return Ok(Told { failed: Some(e), ..told }),
            };
            let mut stream = pin!(stream);
            let mut table = Table::new();
            let mut rows = 0_usize;
            while let Some(message) = stream.next().await {
                match message {
                    Ok(SimpleQueryMessage::Row(row)) => {
                        rows += 1;
                        if rows > MOST_ROWS {
                            return Err(Gap::new(Reason::TooLarge, "more than 20000 rows in one answer"));
                        }
                        table.push((0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect());
                    }
                    Ok(SimpleQueryMessage::CommandComplete(_)) => {
                        if !table.is_empty() {
                            told.first.get_or_insert_with(crate::clock::now);
                        }
                        told.tables.push(std::mem::take(&mut table));
                    }
                    // Column names; and whatever the driver adds later.
                    Ok(_) => {}
                    Err(e) => {
                        told.failed = Some(e);
                        break;
                    }
                }
            }
            Ok(told)
        };
        drive(driver, asking).await
    }
}

/// Runs `asking` while polling the connection that it asks through. Where the connection ends, what it had delivered is
/// read first: a server's last words are worth more than "closed".
async fn drive(
    driver: &mut tokio_postgres::Connection<Empty, Guarded>,
    asking: impl Future<Output = Result<Told, Gap>>,
) -> Result<Told, Gap> {
    let mut asking = pin!(asking);
    let mut warned = None;
    let told = std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(told) = asking.as_mut().poll(cx) {
                return Poll::Ready(told);
            }
            let ended = match Pin::new(&mut *driver).poll_message(cx) {
                // What was read just now may have completed the answer.
                Poll::Pending => return asking.as_mut().poll(cx),
                Poll::Ready(Some(Ok(tokio_postgres::AsyncMessage::Notice(notice)))) => {
                    if is(&notice, Severity::Warning, "WARNING") {
                        warned = Some(crate::plan::SafeText::new(notice.message()));
                    }
                    continue;
                }
                // Notifications say nothing that anybody asks for.
                Poll::Ready(Some(Ok(_))) => continue,
                Poll::Ready(Some(Err(e))) => Some(e),
                Poll::Ready(None) => None,
            };
            return match (asking.as_mut().poll(cx), ended) {
                (Poll::Ready(Ok(told)), Some(e))
                    if told.failed.as_ref().is_some_and(tokio_postgres::Error::is_closed) =>
                {
                    Poll::Ready(Ok(Told { failed: Some(e), ..told }))
                }
                (Poll::Ready(told), _) => Poll::Ready(told),
                (Poll::Pending, Some(e)) => Poll::Ready(Ok(Told { failed: Some(e), ..Told::default() })),
                (Poll::Pending, None) => Poll::Ready(Err(Reason::Reset.into())),
            };
        }
    })
    .await?;
    Ok(Told { warned, ..told })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_server_prints_them() {
        let of = version_num;
        assert_eq!(of("15.18 (Debian 15.18-0+deb12u1)"), Some(150_018));
        assert_eq!(of("16beta1"), Some(160_000));
        assert_eq!(of("18.4"), Some(180_004));
        assert_eq!(of("nonsense"), None);
        assert_eq!(of("9999999999999999999999"), None);
    }

    #[test]
    fn refused_is_told_only_where_all_refuse() {
        let of = |a: Reason, b: Reason| more_telling(Some(a.into()), b.into()).reason;
        assert_eq!(of(Reason::Refused, Reason::TimedOut), Reason::TimedOut);
        assert_eq!(of(Reason::TimedOut, Reason::Refused), Reason::TimedOut);
        assert_eq!(of(Reason::Refused, Reason::Refused), Reason::Refused);
    }
}
