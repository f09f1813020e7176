//! Who asks a registry: the configuration's user, or whom Docker's configuration file names.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::net::{Net, ask_helper};
use crate::readiness::{Gap, Reason};

use super::options::{At, LoginFrom};
use super::parse::docker::{self, Found};

/// The most of Docker's configuration file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Who asks, with what proves it.
#[derive(Clone, Debug)]
pub enum Login {
    /// A user and a password.
    User(String, SecretString),
    /// A token that is exchanged for others (OAuth 2).
    Refresh(SecretString),
    /// Nobody.
    Nobody,
}

impl Login {
    /// Who that is, in a sentence.
    #[must_use]
    pub fn who(&self) -> String {
        match self {
            Self::User(user, _) => format!("user {user}"),
            Self::Refresh(_) => "the token of docker login".to_owned(),
            Self::Nobody => "nobody (no user is configured)".to_owned(),
        }
    }
}

/// Finds out who asks this registry. Read anew each time: tokens and files change.
///
/// # Errors
/// `SecretUnavailable`.
pub async fn find(net: &Net, from: &LoginFrom, at: &At, deadline: Instant) -> Result<Login, Gap> {
    match from {
        LoginFrom::Nobody => Ok(Login::Nobody),
        LoginFrom::User(login) => Ok(Login::User(login.user.clone(), net.secret(&login.password, deadline).await?)),
        LoginFrom::Docker(path) => docker(net, path.as_deref(), at, deadline).await,
    }
}

async fn docker(net: &Net, path: Option<&str>, at: &At, deadline: Instant) -> Result<Login, Gap> {
    let Some(file) = path.map(PathBuf::from).or_else(usual) else { return Ok(Login::Nobody) };
    let gap = |why: &str| Gap::new(Reason::SecretUnavailable, &format!("{}: {why}", file.display()));
    let mut bytes = Vec::new();
    match tokio::fs::File::open(&file).await {
        // Nobody has to have such a file; one that is named has to be there.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && path.is_none() => return Ok(Login::Nobody),
        Err(e) => return Err(gap(&e.kind().to_string())),
        Ok(open) => {
            open.take(LARGEST + 1).read_to_end(&mut bytes).await.map_err(|e| gap(&e.kind().to_string()))?;
        }
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(gap("larger than any such file"));
    }
    let found = match docker::read(&bytes, at)? {
        Found::Helper { name, server, certain } => {
            let program = format!("docker-credential-{name}");
            net.admit_outside(&program)?;
            let answer = ask_helper(&program, &["get"], &server, deadline).await?;
            let said = answer.output.expose_secret();
            match docker::helper(&name, answer.success, said)? {
                Found::Nobody if certain => {
                    let why = format!("docker-credential-{name} knows no user of {server}");
                    return Err(Gap::new(Reason::SecretUnavailable, &why));
                }
                found => found,
            }
        }
        found => found,
    };
    Ok(match found {
        Found::User(user, password) => Login::User(user, SecretString::from(password)),
        Found::Refresh(token) => Login::Refresh(SecretString::from(token)),
        Found::Helper { .. } | Found::Nobody => Login::Nobody,
    })
}

/// Where Docker keeps its configuration.
fn usual() -> Option<PathBuf> {
    let named = std::env::var_os("DOCKER_CONFIG").filter(|v| !v.is_empty()).map(PathBuf::from);
    let dir = named.or_else(|| Some(directories::BaseDirs::new()?.home_dir().join(".docker")));
    dir.map(|d| d.join("config.json"))
}
