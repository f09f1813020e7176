//! The options of the steps that act on PostgreSQL.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{Program, SecretRef, Span, Ssh, check_argv};

/// An application's own login, with which a fence is put to the test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppLogin {
    /// Its role.
    pub user: String,
    /// Where its password is.
    pub password: Option<SecretRef>,
}

/// What differs from site to site: said once, for a run from the plan's home (a failback: to it), or as a table with one for
/// each site. A run in the other direction does not act by what was said once: that would be done at the wrong site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "one, or a table with one for each site: { SITE = ... }")]
pub enum PerSite<T> {
    /// Said once.
    Once(T),
    /// One for each site.
    Each(BTreeMap<String, T>),
}

impl<T> PerSite<T> {
    /// That of this site; `None` where only others have one.
    #[must_use]
    pub fn at(&self, site: &str) -> Option<&T> {
        match self {
            Self::Once(one) => Some(one),
            Self::Each(all) => all.get(site),
        }
    }

    /// All of them, with the site where they name it.
    pub fn all(&self) -> Vec<(Option<&str>, &T)> {
        match self {
            Self::Once(one) => vec![(None, one)],
            Self::Each(all) => all.iter().map(|(site, one)| (Some(site.as_str()), one)).collect(),
        }
    }
}

/// A command and its arguments. No shell.
pub type Argv = Vec<String>;

/// How application roles are turned away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BlockBy {
    /// By `reject` lines before all others of `pg_hba.conf`: of this server alone. The role that acts writes that file: a
    /// superuser, or one with `pg_read_server_files`, `pg_write_server_files`, `pg_signal_backend`, and `EXECUTE` on
    /// `pg_read_file(text)` and `pg_reload_conf()`.
    #[default]
    PgHba,
    /// By `ALTER ROLE ... NOLOGIN`: less to be allowed, but it is replicated. The new primary turns them away too, until
    /// a `postgres-unfence` step there lets them in after the promotion.
    Nologin,
}

/// Options of a `postgres-fence` step. With `stop` it aims at a proven fence, with `app_roles` at a blocked one, with
/// neither at an assumed one: then it only records that the server does not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FenceOptions {
    /// The command that stops the server, and its arguments. No shell.
    pub stop: Option<PerSite<Argv>>,
    /// The command that says whether it is stopped: `pg_controldata`, whose words are read (with it, a loss of nothing can
    /// be proven), or one whose exit code says it.
    pub check: Option<PerSite<Argv>>,
    /// The exit code of `check` that means stopped; else 3, as of `systemctl is-active` and `pg_ctl status`.
    pub stopped: Option<i32>,
    /// The host to run both on. Without: this machine.
    pub ssh: Option<PerSite<Ssh>>,
    /// The application roles to turn away.
    #[serde(default)]
    pub app_roles: Vec<String>,
    /// How they are turned away.
    #[serde(default)]
    pub by: BlockBy,
    /// The login of one of them, to see it refused.
    pub app: Option<AppLogin>,
}

/// Options of a `postgres-unfence` step. What it undoes, the fence of the same run left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnfenceOptions {
    /// For a server that the fence stopped: the command that starts it, and its arguments. No shell.
    pub start: Option<PerSite<Argv>>,
    /// The host to run it on. Without: this machine.
    pub ssh: Option<PerSite<Ssh>>,
    /// The login of an application role, to see it let in.
    pub app: Option<AppLogin>,
}

/// Options of a `postgres-promote` step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteOptions {
    /// The system identifier of the cluster (`pg_controldata`), for the day when nothing else of it answers.
    pub system_identifier: Option<String>,
}

/// Options of a `clients-moved` step: whose sessions are counted. Where both are given, both must fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientsOptions {
    /// The applications' roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Their `application_name`.
    #[serde(default)]
    pub applications: Vec<String>,
    /// How many sessions there normally are; else as many as a `postgres-fence` of the same run found, or as the old
    /// primary had when this step was first shown.
    pub sessions: Option<u64>,
    /// Which part of them must be there again; else half of them.
    pub share: Option<f64>,
}

/// Options of a `sql-check` step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlCheckStepOptions {
    /// What the probe's query must give, where that is not what the probe expects.
    pub gives: Option<super::check::Expected>,
    /// How far numbers may be apart.
    pub tolerance: Option<f64>,
}

/// Options of a `postgres-rejoin` step: one command, which brings the old primary back as a standby and starts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejoinOptions {
    /// A command that ends in `pg_rewind` and a start: what both servers share stays. Before version 16 it begins with a
    /// `CHECKPOINT` at the new primary, or `pg_rewind` may not see that it was promoted and do nothing.
    pub rewind: Option<PerSite<Argv>>,
    /// A command that makes the standby anew, from a base backup.
    pub basebackup: Option<PerSite<Argv>>,
    /// The host to run it on. Without: this machine.
    pub ssh: Option<PerSite<Ssh>>,
}

/// Options of a `sequences-advance` step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SequencesOptions {
    /// By how many values each sequence goes beyond the newest that anybody saw; else 1000.
    pub margin: Option<u64>,
}

/// Options of a `subscription-detach` step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetachOptions {
    /// The subscriptions to take away; else those of the probe, or every one of its database.
    #[serde(default)]
    pub subscriptions: Vec<String>,
}

/// What may be in the database that a backup is restored into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Into {
    /// No table and no sequence of users: else nothing is done.
    #[default]
    Empty,
    /// Anything: the command removes what is in its way (`pg_restore --clean`), and a person accepts that.
    Replace,
}

/// Options of a `restore` step: the newest sound backup of a `backup-files` probe, into the database of its own probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreOptions {
    /// The `backup-files` probe whose newest sound backup is restored. Its directory is one that the command can read.
    pub from: String,
    /// The command and its arguments, with `{file}` where the backup's path belongs. No shell.
    pub command: Vec<String>,
    /// What its environment holds beside PATH, HOME and the like: texts, or where secrets are (`PGPASSWORD`).
    #[serde(default)]
    pub environment: BTreeMap<String, crate::plan::EnvValue>,
    /// The host to run it on. Without: this machine.
    pub ssh: Option<Ssh>,
    /// What may be in the database before.
    #[serde(default)]
    pub into: Into,
    /// One SELECT that gives true where the data is there.
    pub verify: String,
}

/// The word in a restore's command that stands for the backup's path.
pub const FILE: &str = "{file}";

/// A program without environment.
#[must_use]
pub fn program(argv: &[String], ssh: Option<&Ssh>) -> Program {
    Program { argv: argv.to_vec(), environment: BTreeMap::new(), ssh: ssh.cloned(), nice: false }
}

/// What is wrong with a step's command, and what would be right.
#[must_use]
pub fn command_fault(argv: &[String]) -> Option<(String, &'static str)> {
    check_argv(argv).err().map(|e| (e.to_string(), e.right()))
}

/// Whether a role's name can stand in `pg_hba.conf`, quoted, and mean that role and nothing else.
#[must_use]
pub fn plain_role(name: &str) -> bool {
    let special = name.starts_with(['/', '+', '@']);
    !name.is_empty() && name.len() < 64 && !special && !name.chars().any(|c| c.is_control() || c == '"' || c == '\\')
}

/// How long `pg_promote` waits on the server, in seconds: two thirds of what the step may take, and a minute at most.
#[must_use]
pub fn promote_wait(deadline: Span) -> u64 {
    (deadline.0.as_secs().saturating_mul(2) / 3).clamp(1, 60)
}

/// A name as SQL takes it.
#[must_use]
pub fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL takes it, whatever `standard_conforming_strings` says.
#[must_use]
pub fn quoted_text(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!(" E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_end_their_quotes() {
        assert_eq!(quoted_name("a\"b"), "\"a\"\"b\"");
        assert_eq!(quoted_text("it's"), "'it''s'");
        assert_eq!(quoted_text("a\\'b"), " E'a\\\\''b'");
    }

    #[test]
    fn only_plain_names_stand_in_a_file_of_lines() {
        for good in ["shop", "Shop Role", "all", "replication", "o'brien"] {
            assert!(plain_role(good), "{good}");
        }
        for bad in ["", "a\"b", "a\nb", "/^x", "+group", "@file", "a\\b"] {
            assert!(!plain_role(bad), "{bad}");
        }
    }

    #[test]
    fn the_server_waits_less_than_we_do() {
        for (deadline, wait) in [(0, 1), (1, 1), (30, 20), (90, 60), (600, 60)] {
            assert_eq!(promote_wait(Span::secs(deadline)), wait);
        }
    }
}
