//! A program to run: its words, its environment, and on which host.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// A program and its arguments, run without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program, by an absolute path or by a name to look for in `PATH`, and its arguments.
    pub argv: Vec<String>,
    /// What its environment holds beside the usual. It does not cross `ssh`.
    pub environment: BTreeMap<String, EnvValue>,
    /// The host to run it on; here where there is none.
    pub ssh: Option<Ssh>,
    /// Whether everything else goes first.
    pub nice: bool,
}

impl Program {
    /// What is run where, for people: `pgbackrest on backup@db.west`. Arguments are left out: they can be long.
    #[must_use]
    pub fn shown(&self) -> String {
        let name = self.argv.first().map_or("", |p| p.rsplit('/').next().unwrap_or(p));
        match &self.ssh {
            Some(ssh) => format!("{name} on {}", ssh.host()),
            None => format!("{name} here"),
        }
    }
}

impl Program {
    /// What is wrong with it: the key below the probe's table where it stands, and what.
    #[must_use]
    pub fn faults(&self) -> Vec<(Vec<String>, ProgramError)> {
        let mut faults = Vec::new();
        let path = |path: &[&str]| path.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        if let Err(e) = check_argv(&self.argv) {
            faults.push((path(&["argv"]), e));
        }
        for (name, value) in &self.environment {
            let plain = if let EnvValue::Plain(value) = value { value.as_str() } else { "" };
            let checked = check_env_name(name).and(if plain.contains('\0') { Err(ProgramError::Nul) } else { Ok(()) });
            if let Err(e) = checked {
                faults.push((path(&["environment", name]), e));
            }
        }
        let Some(ssh) = &self.ssh else { return faults };
        if !self.environment.is_empty() {
            faults.push((path(&["environment"]), ProgramError::Environment));
        }
        if let Err(e) = ssh.check() {
            faults.push((path(&["ssh"]), e));
        }
        let files = ssh.table().map(|t| [("config", &t.config), ("identity", &t.identity)]);
        for (key, file) in files.into_iter().flatten() {
            if let Some(file) = file.as_ref().filter(|f| !f.starts_with('/')) {
                faults.push((path(&["ssh", key]), ProgramError::RelativeFile(file.clone())));
            }
        }
        faults
    }

    /// The secrets in its environment: their keys below the probe's table, and where they are.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, SecretRef)> {
        let secret = |(name, value): (&String, &EnvValue)| match value {
            EnvValue::Plain(_) => None,
            EnvValue::Secret(secret) => Some((format!("environment.{name}"), secret.clone())),
        };
        self.environment.iter().filter_map(secret).collect()
    }
}

/// A value of an environment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EnvValue {
    /// As it stands; never a secret.
    Plain(String),
    /// A secret, read when the program is run.
    Secret(SecretRef),
}

impl fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // People write secrets where none belong.
            Self::Plain(_) => f.write_str("Plain(..)"),
            Self::Secret(secret) => write!(f, "Secret({secret})"),
        }
    }
}

/// A host that is reached with the `ssh` of this machine, as its user would: "backup@db.west.example.com" or a table.
/// Keys, jump hosts and shared connections are the business of ssh's own configuration. No password is ever asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Ssh {
    /// The host, with a user before an `@`.
    Host(String),
    /// The host, and what else is needed.
    Table(SshTable),
}

/// A host, and what ssh needs to know beyond its own configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshTable {
    /// The host as ssh takes it: a name, an address or an alias of its configuration, with a user before an `@`.
    pub host: String,
    /// The port, where ssh's configuration does not say it.
    pub port: Option<u16>,
    /// The private key's file, where ssh's configuration does not say it.
    pub identity: Option<String>,
    /// The configuration file of ssh, instead of the user's own.
    pub config: Option<String>,
    /// Send the words of the program alone, without `timeout` before them: for a key that the host restricts to one exact
    /// command. What hangs there then goes on hanging.
    #[serde(default)]
    pub bare: bool,
}

/// Why words cannot be a program, an environment or a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// No words.
    #[error("names no program")]
    Empty,
    /// A path that depends on where it is looked at from.
    #[error("{0:?} is neither an absolute path nor a bare name")]
    Relative(String),
    /// A text that no program can be given.
    #[error("holds a NUL")]
    Nul,
    /// A name that no environment can hold.
    #[error("{0:?} is no name for an environment variable")]
    EnvName(String),
    /// A host that ssh would take for something else.
    #[error("{0:?} is no host")]
    Host(String),
    /// An environment for a program on another host.
    #[error("an environment does not cross ssh")]
    Environment,
    /// A file by a path that depends on where it is looked at from.
    #[error("{0:?} is not an absolute path")]
    RelativeFile(String),
}

impl ProgramError {
    /// What would be right.
    #[must_use]
    pub const fn right(&self) -> &'static str {
        match self {
            Self::Empty => "a program and its arguments, one word each: [\"/usr/local/bin/check\", \"-v\"]",
            Self::Relative(_) => "a path that starts with /, or a name to look for in PATH",
            Self::Nul => "take it out",
            Self::EnvName(_) => "letters, digits and '_', the first no digit",
            Self::Host(_) => "a name, an address or an alias of ssh's, with a user before an '@'",
            Self::Environment => "set it on that host, in what is run there",
            Self::RelativeFile(_) => "start it with /",
        }
    }
}

impl Ssh {
    /// The host, with the user where one is named.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Host(host) | Self::Table(SshTable { host, .. }) => host,
        }
    }

    /// What is said beyond the host.
    #[must_use]
    pub const fn table(&self) -> Option<&SshTable> {
        match self {
            Self::Host(_) => None,
            Self::Table(table) => Some(table),
        }
    }

    /// Whether ssh can take it for a host and nothing else.
    ///
    /// # Errors
    /// [`ProgramError::Host`] where it is empty, looks like an option, or holds what no host name can.
    pub fn check(&self) -> Result<(), ProgramError> {
        let host = self.host();
        let fits = |c: char| !c.is_whitespace() && !c.is_control() && !"'\"\\`$;&|<>(){}*?!#".contains(c);
        let (user, name) = host.rsplit_once('@').unwrap_or(("-", host));
        let bad = user.is_empty() || name.is_empty() || name.starts_with('-') || host.starts_with('-');
        if bad || !host.chars().all(fits) {
            return Err(ProgramError::Host(host.to_owned()));
        }
        Ok(())
    }
}

/// Whether words name a program that can be run from anywhere.
///
/// # Errors
/// No words; a path that is not absolute; a NUL.
pub fn check_argv(argv: &[String]) -> Result<(), ProgramError> {
    let program = argv.first().filter(|p| !p.is_empty()).ok_or(ProgramError::Empty)?;
    if argv.iter().any(|w| w.contains('\0')) {
        return Err(ProgramError::Nul);
    }
    if program.contains('/') && !program.starts_with('/') {
        return Err(ProgramError::Relative(program.clone()));
    }
    Ok(())
}

/// Whether a text can name an environment variable (POSIX, "Environment Variable Definition").
///
/// # Errors
/// [`ProgramError::EnvName`].
pub fn check_env_name(name: &str) -> Result<(), ProgramError> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(ProgramError::EnvName(name.to_owned()))
}

/// One word for a POSIX shell that must take it as it is (POSIX, "Single-Quotes").
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn a_program_is_named_so_that_it_does_not_depend_on_the_directory() {
        for good in [&["check_tcp", "-H", ""][..], &["/usr/bin/x"]] {
            assert_eq!(check_argv(&words(good)), Ok(()));
        }
        for bad in [&[][..], &[""], &["./x"], &["bin/x"], &["x", "a\0b"]] {
            assert!(check_argv(&words(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_host_is_never_an_option() {
        for good in ["db.west", "backup@db.west", "backup@2001:db8::1", "o'brien".replace('\'', "-").as_str()] {
            assert_eq!(Ssh::Host(good.to_owned()).check(), Ok(()), "{good}");
        }
        for bad in ["", "-oProxyCommand=x", "a@-oProxyCommand=x", "@h", "u@", "a b", "a;b", "a\nb", "$(x)"] {
            assert!(Ssh::Host(bad.to_owned()).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_environment_has_names() {
        assert!(check_env_name("PGBACKREST_REPO1_CIPHER_PASS").is_ok());
        for bad in ["", "1A", "A=B", "A B", "é"] {
            assert!(check_env_name(bad).is_err(), "{bad}");
        }
        let plain = EnvValue::Plain("hunter2".to_owned());
        assert!(!format!("{plain:?}").contains("hunter2"));
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, quoted_word) in [
            ("info", "info"),
            ("--output=json", "--output=json"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(rm)", "'$(rm)'"),
            ("it's", r"'it'\''s'"),
            ("~", "'~'"),
            ("a\nb", "'a\nb'"),
        ] {
            assert_eq!(quoted(word), quoted_word);
        }
    }
}
