//! Who is let in: `pg_hba.conf` first, then the password, then whether the role may log in (PostgreSQL's order).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::sink::{Sink, SinkExt as _};
use pgwire::api::auth::sasl::SASLState;
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramAuth, gen_salted_password};
use pgwire::api::auth::{
    AuthSource, LoginInfo, Password, ServerParameterProvider, StartupHandler, finish_authentication,
    protocol_negotiation, save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, PgWireConnectionState};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::startup::{Authentication, PasswordMessageFamily, SecretKey};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use secrecy::ExposeSecret as _;

use super::error::SqlError;
use super::exec::{Exec, Own, Seat};
use super::session::Session;
use super::statement;
use crate::practice::world::hba::Method;
use crate::practice::world::sessions;
use crate::practice::world::settings::VERSION_TEXT;

/// How far a login is.
#[derive(Default)]
pub(super) enum Login {
    /// Nothing was said yet.
    #[default]
    Begins,
    /// A password is being proven.
    Proves(Box<Proof>),
    /// It is over.
    Over,
}

/// A password being proven.
pub(super) struct Proof {
    scram: ScramAuth,
    state: SASLState,
}

/// The password of one role, salted.
struct Known(Password);

impl Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known(..)")
    }
}

#[async_trait]
impl AuthSource for Known {
    async fn get_password(&self, _: &LoginInfo) -> PgWireResult<Password> {
        Ok(self.0.clone())
    }
}

/// What a server says of itself to whoever it let in.
struct Parameters(BTreeMap<&'static str, String>);

impl ServerParameterProvider for Parameters {
    fn server_parameters<C: ClientInfo>(&self, _: &C) -> Option<std::collections::HashMap<String, String>> {
        Some(self.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }
}

/// Who wants in, as it says itself.
struct Guest {
    user: String,
    database: String,
    application: String,
    options: String,
    from: SocketAddr,
}

impl Guest {
    fn of<C: ClientInfo>(client: &C) -> Result<Self, SqlError> {
        let said = client.metadata();
        let text = |name: &str| said.get(name).cloned();
        let user = text("user")
            .ok_or_else(|| SqlError::fatal("28000", "no PostgreSQL user name specified in startup packet"))?;
        if text("replication").is_some_and(|r| r != "false" && r != "off" && r != "0") {
            return Err(SqlError { fatal: true, ..SqlError::unsupported("replication connections") });
        }
        Ok(Self {
            database: text("database").unwrap_or_else(|| user.clone()),
            application: text("application_name").unwrap_or_default(),
            options: text("options").unwrap_or_default(),
            from: client.socket_addr(),
            user,
        })
    }
}

#[async_trait]
impl StartupHandler for Session {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                let guest = Guest::of(client)?;
                match self.method(&guest)? {
                    Method::Trust => self.let_in(client, &guest).await,
                    Method::Scram => {
                        let scram = ScramAuth::new(Arc::new(self.known(&guest.user)));
                        let proof = Proof { scram, state: SASLState::Initial };
                        self.state.lock().await.login = Login::Proves(Box::new(proof));
                        let mechanisms = vec!["SCRAM-SHA-256".to_owned()];
                        client.send(PgWireBackendMessage::Authentication(Authentication::SASL(mechanisms))).await?;
                        Ok(())
                    }
                    Method::Reject => Err(rejected(&guest, true).into()),
                }
            }
            PgWireFrontendMessage::PasswordMessageFamily(said) => {
                let guest = Guest::of(client)?;
                let mut state = self.state.lock().await;
                let Login::Proves(proof) = &mut state.login else {
                    return Err(SqlError::fatal("08P01", "a password that nobody asked for").into());
                };
                let said = if matches!(proof.state, SASLState::Initial) {
                    let first = said.into_sasl_initial_response()?;
                    if first.auth_method != "SCRAM-SHA-256" {
                        return Err(SqlError::fatal(
                            "08P01",
                            "client selected an invalid SASL authentication mechanism",
                        )
                        .into());
                    }
                    proof.state = SASLState::ScramClientFirstReceived;
                    PasswordMessageFamily::SASLInitialResponse(first)
                } else {
                    PasswordMessageFamily::SASLResponse(said.into_sasl_response()?)
                };
                let wrong = |e: PgWireError| match e {
                    PgWireError::InvalidPassword(_) => {
                        SqlError::fatal("28P01", format!("password authentication failed for user \"{}\"", guest.user))
                            .into()
                    }
                    other => other,
                };
                let (answer, next, _) =
                    proof.scram.process_scram_message(client, said, &proof.state).await.map_err(wrong)?;
                client.send(PgWireBackendMessage::Authentication(answer)).await?;
                proof.state = next;
                if matches!(proof.state, SASLState::Finished) {
                    state.login = Login::Over;
                    drop(state);
                    return self.let_in(client, &guest).await;
                }
                Ok(())
            }
            _ => Err(SqlError::fatal("08P01", "expected a startup or a password message").into()),
        }
    }
}

impl Session {
    /// How this guest is to prove itself.
    fn method(&self, guest: &Guest) -> Result<Method, SqlError> {
        let method = self.shared.with(|w| {
            w.server(self.server).and_then(|(_, s)| s.rules.method(&guest.database, &guest.user, guest.from.ip()))
        });
        method.ok_or_else(|| rejected(guest, false))
    }

    /// The password that proves this role; one that nobody knows where there is none, as the real one does.
    fn known(&self, user: &str) -> Known {
        let password = self.shared.with(|w| w.server(self.server)?.1.catalog.role(user)?.password.clone());
        let salt = ring::digest::digest(&ring::digest::SHA256, format!("practice {user}").as_bytes());
        let salt = salt.as_ref().get(..16).unwrap_or_default().to_vec();
        let salted = match password {
            Some(password) => gen_salted_password(password.expose_secret(), &salt, SCRAM_ITERATIONS),
            None => {
                let mut none = vec![0; 32];
                let random = ring::rand::SystemRandom::new();
                // Without randomness nobody proves it all the same: the proof would have to be of zeroes.
                let _ = ring::rand::SecureRandom::fill(&random, &mut none);
                none
            }
        };
        Known(Password::new(Some(salt), salted))
    }

    /// It proved who it is: whether it may log in, and with what it asks for.
    async fn let_in<C>(&self, client: &mut C, guest: &Guest) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let mut own = Own::new();
        let seat = self.shared.with(|w| {
            let gone = || SqlError::fatal("57P03", "the database system is shutting down");
            let now = w.clock().now();
            let (cluster, server) = w.server(self.server).ok_or_else(gone)?;
            let unknown = || SqlError::fatal("28000", format!("role \"{}\" does not exist", guest.user));
            let role = server.catalog.role(&guest.user).ok_or_else(unknown)?;
            if !role.login {
                return Err(SqlError::fatal("28000", format!("role \"{}\" is not permitted to log in", guest.user)));
            }
            if ![cluster.database, "postgres", "template1"].contains(&guest.database.as_str()) {
                return Err(SqlError::fatal("3D000", format!("database \"{}\" does not exist", guest.database)));
            }
            let most = server.settings.get("max_connections").and_then(|s| s.value.parse().ok()).unwrap_or(100);
            if server.sessions.iter().count() >= most {
                return Err(SqlError::fatal("53300", "sorry, too many clients already"));
            }
            let mut seat = Seat {
                server: self.server,
                pid: 0,
                user: guest.user.clone(),
                database: guest.database.clone(),
                from: guest.from,
            };
            options(w, &seat, &mut own, now, guest)?;
            let server = w.server_mut(self.server).ok_or_else(gone)?;
            seat.pid = server.sessions.open(sessions::Session {
                pid: 0,
                role: guest.user.clone(),
                database: guest.database.clone(),
                application: guest.application.clone(),
                from: guest.from,
                since: now,
                query: None,
                active: false,
                real: true,
            });
            Ok(seat)
        })?;
        let mut random = [0; 32];
        let source = ring::rand::SystemRandom::new();
        ring::rand::SecureRandom::fill(&source, &mut random)
            .map_err(|_| SqlError::fatal("XX000", "no random numbers"))?;
        let key = match client.protocol_version() {
            ProtocolVersion::PROTOCOL3_0 => {
                let [a, b, c, d, ..] = random;
                SecretKey::I32(i32::from_be_bytes([a, b, c, d]))
            }
            _ => SecretKey::Bytes(random.to_vec().into()),
        };
        client.set_pid_and_secret_key(seat.pid, key.clone());
        let (handle, guard) = self.manager.register(seat.pid, key);
        client.session_extensions().insert(handle);
        client.session_extensions().insert(guard);
        let parameters = self.parameters(&seat, guest);
        {
            let mut state = self.state.lock().await;
            state.seat = Some(seat);
            state.own = own;
            state.login = Login::Over;
        }
        finish_authentication(client, &parameters).await
    }

    fn parameters(&self, seat: &Seat, guest: &Guest) -> Parameters {
        let (recovery, superuser) = self.shared.with(|w| {
            let server = w.server(self.server).map(|(_, s)| s);
            let superuser = server.and_then(|s| s.catalog.role(&seat.user)).is_some_and(|r| r.superuser);
            (server.is_some_and(crate::practice::world::server::Server::in_recovery), superuser)
        });
        let on = |yes: bool| if yes { "on" } else { "off" }.to_owned();
        let text = |t: &str| t.to_owned();
        Parameters(BTreeMap::from([
            ("application_name", guest.application.clone()),
            ("client_encoding", text("UTF8")),
            ("DateStyle", text("ISO, MDY")),
            ("default_transaction_read_only", text("off")),
            ("in_hot_standby", on(recovery)),
            ("integer_datetimes", text("on")),
            ("IntervalStyle", text("postgres")),
            ("is_superuser", on(superuser)),
            ("scram_iterations", SCRAM_ITERATIONS.to_string()),
            ("search_path", text("\"$user\", public")),
            ("server_encoding", text("UTF8")),
            ("server_version", text(VERSION_TEXT)),
            ("session_authorization", seat.user.clone()),
            ("standard_conforming_strings", text("on")),
            ("TimeZone", text("Etc/UTC")),
        ]))
    }
}

/// Turned away by `pg_hba.conf`, in the real one's words.
fn rejected(guest: &Guest, by_a_line: bool) -> SqlError {
    let who = format!(
        "host \"{}\", user \"{}\", database \"{}\", no encryption",
        guest.from.ip(),
        guest.user,
        guest.database
    );
    if by_a_line {
        SqlError::fatal("28000", format!("pg_hba.conf rejects connection for {who}"))
    } else {
        SqlError::fatal("28000", format!("no pg_hba.conf entry for {who}"))
    }
}

/// `-c name=value` of the startup message, and the settings that it names outright.
fn options(
    world: &mut crate::practice::world::World,
    seat: &Seat,
    own: &mut Own,
    now: crate::practice::world::time::Moment,
    guest: &Guest,
) -> Result<(), SqlError> {
    let mut effects = Vec::new();
    let mut exec = Exec::new(world, seat, own, (now, now), &[], &mut effects);
    let mut words = guest.options.split_whitespace();
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("-c").or_else(|| word.strip_prefix("--")) {
            Some("") => words.next(),
            Some(pair) => Some(pair),
            None => None,
        };
        let Some((name, value)) = pair.and_then(|p| p.split_once('=')) else {
            return Err(SqlError::fatal("42601", format!("invalid command-line argument for server process: {word}")));
        };
        match statement::set(&mut exec, name, Some(value)) {
            Ok(()) => {}
            Err(super::error::Stop::Error(e)) => return Err(SqlError { fatal: true, ..e }),
            Err(super::error::Stop::Wait(_)) => {}
        }
    }
    if !guest.application.is_empty() {
        own.insert("application_name".to_owned(), guest.application.clone());
    }
    Ok(())
}
