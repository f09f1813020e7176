//! What libpq looks for outside the connection string: the environment, the service file, the password file and the
//! certificates in `~/.postgresql`.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::conninfo::{ConnInfoError, Params};
use super::libpq_files;
use super::target::{Found, Host, Target};
use crate::readiness::{Gap, Reason};

/// An environment: a variable's value by its name.
pub type Env = fn(&str) -> Option<String>;

/// The process's own environment.
#[must_use]
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// Variables and the parameters that they stand for.
const VARIABLES: &[(&str, &str)] = &[
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGOPTIONS", "options"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
];

/// A target with where its password file is.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// What to connect to.
    pub target: Target,
    /// The password file that counts, whether or not it exists.
    pub passfile: Option<PathBuf>,
}

/// Fills in what the connection string leaves open, in libpq's order: the string, the service, the environment, defaults.
///
/// # Errors
/// `NotConfigured`, with what does not fit together.
pub async fn gather(params: &Params, env: Env) -> Result<Gathered, Gap> {
    let wrong = |e: ConnInfoError| Gap::new(Reason::NotConfigured, &format!("{}: {}", e.what, e.right));
    let home = env("HOME").map(PathBuf::from);
    let mut all = params.clone();
    if let Some(name) = params.get("service").map(str::to_owned).or_else(|| env("PGSERVICE")) {
        all = all.or(service(&name, home.as_deref(), env).await?);
    }
    let mut rest = Params::default();
    for (variable, key) in VARIABLES {
        if let Some(value) = env(variable) {
            rest.set(key, &value).map_err(wrong)?;
        }
    }
    let all = all.or(rest);
    let mut found = Found { user: env("USER").or_else(|| env("LOGNAME")), ..Found::default() };
    let mut passfile = all.get("passfile").map(PathBuf::from);
    if let Some(home) = home {
        passfile = passfile.or_else(|| Some(home.join(".pgpass")));
        let dir = home.join(".postgresql");
        let root = dir.join("root.crt");
        if exists(&root).await {
            found.root = Some(root);
        }
        let pair = (dir.join("postgresql.crt"), dir.join("postgresql.key"));
        if exists(&pair.0).await && exists(&pair.1).await {
            found.client = Some(pair);
        }
    }
    let target = Target::new(&all, &found).map_err(wrong)?;
    if let Some((_, key)) = &target.tls.client {
        key_is_private(key).await?;
    }
    Ok(Gathered { target, passfile })
}

async fn exists(path: &Path) -> bool {
    tokio::fs::metadata(path).await.is_ok_and(|m| m.is_file())
}

/// libpq refuses a key that others can read: `0600`, or `0640` where root owns it.
async fn key_is_private(path: &Path) -> Result<(), Gap> {
    let meta = tokio::fs::metadata(path)
        .await
        .map_err(|e| Gap::new(Reason::TlsFailed, &format!("{}: {e}", path.display())))?;
    let open = if meta.uid() == 0 { 0o037 } else { 0o077 };
    if meta.mode() & open == 0 {
        return Ok(());
    }
    let why = format!("{}: others can read this key; chmod 0600 it", path.display());
    Err(Gap::new(Reason::TlsFailed, &why))
}

async fn service(name: &str, home: Option<&Path>, env: Env) -> Result<Params, Gap> {
    let own = env("PGSERVICEFILE").map(PathBuf::from).or_else(|| Some(home?.join(".pg_service.conf")));
    let system = env("PGSYSCONFDIR").map_or_else(|| PathBuf::from("/etc/postgresql-common"), PathBuf::from);
    let wrong = |why: &str| Gap::new(Reason::NotConfigured, &format!("service {name}: {why}"));
    for path in own.into_iter().chain([system.join("pg_service.conf")]) {
        let Ok(text) = tokio::fs::read_to_string(&path).await else { continue };
        let Some(pairs) = libpq_files::service(&text, name) else { continue };
        let mut params = Params::default();
        for (key, value) in pairs {
            if key == "service" {
                return Err(wrong("a service within a service"));
            }
            params.set(&key, &value).map_err(|e| wrong(&format!("{}: {}", e.what, e.right)))?;
        }
        return Ok(params);
    }
    Err(wrong("not found in any service file"))
}

/// The password file's password for one server. `None` where there is none.
///
/// # Errors
/// `SecretUnavailable` where the file cannot be read or others can read it: libpq ignores it then, and so would fail later
/// with less to say.
pub async fn passfile(path: &Path, host: &Host, target: &Target) -> Result<Option<SecretString>, Gap> {
    let wrong = |why: &str| Gap::new(Reason::SecretUnavailable, &format!("password file {}: {why}", path.display()));
    let meta = match tokio::fs::metadata(path).await {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(wrong(&e.to_string())),
    };
    if !meta.is_file() {
        return Err(wrong("not a plain file"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(wrong("others can read it; chmod 0600 it"));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(|e| wrong(&e.to_string()))?;
    let found = libpq_files::password(&text, &host.name, host.port, &target.dbname, &target.user);
    Ok(found.map(SecretString::from))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn file(dir: &tempfile::TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn some_env(name: &str) -> Option<String> {
        let value = match name {
            "PGHOST" => "env.example.com",
            "PGUSER" => "env-user",
            "PGPASSWORD" => "env-password",
            "PGSSLMODE" => "verify-full",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[tokio::test]
    async fn the_string_comes_before_the_environment() {
        let got = gather(&Params::parse("user=me dbname=d").unwrap(), some_env).await.unwrap().target;
        assert_eq!((got.user.as_str(), got.hosts[0].name.as_str()), ("me", "env.example.com"));
        assert_eq!(got.password.unwrap().expose_secret(), "env-password");
        assert!(!got.tls.any_name);
    }

    #[tokio::test]
    async fn nothing_at_all_is_not_configured() {
        let gap = gather(&Params::default(), |_| None).await.unwrap_err();
        assert_eq!(gap.reason, Reason::NotConfigured);
        let gap = gather(&Params::parse("user=u service=none").unwrap(), |_| None).await.unwrap_err();
        assert_eq!(gap.reason, Reason::NotConfigured);
    }

    #[tokio::test]
    async fn a_password_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let target = gather(&Params::parse("host=h user=u dbname=d").unwrap(), |_| None).await.unwrap().target;
        let open = file(&dir, "open", "h:5432:d:u:p", 0o644);
        assert_eq!(passfile(&open, &target.hosts[0], &target).await.unwrap_err().reason, Reason::SecretUnavailable);
        let closed = file(&dir, "closed", "h:5432:d:u:p", 0o600);
        let got = passfile(&closed, &target.hosts[0], &target).await.unwrap();
        assert_eq!(got.unwrap().expose_secret(), "p");
        assert!(passfile(&dir.path().join("no"), &target.hosts[0], &target).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_client_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let key = file(&dir, "key", "k", 0o644);
        let text = format!("user=u sslcert={0} sslkey={0}", key.display());
        assert_eq!(gather(&Params::parse(&text).unwrap(), |_| None).await.unwrap_err().reason, Reason::TlsFailed);
    }
}
