//! What `doctor` says of pgBackRest beyond a look: its version, its configuration, and each repository.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use tokio::time::Instant;

use super::options::PgbackrestOptions;
use crate::net::Net;
use crate::plan::Program;
use crate::readiness::{Examined, Gap, Row, Verdict};
use crate::systems::examine;

/// Where pgBackRest reads its configuration, where nothing says another place (its documentation, "--config").
const USUAL: [&str; 2] = ["/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf"];
/// Settings that hold a secret (its documentation, "Configuration Reference").
const SECRETS: [&str; 5] = ["cipher-pass", "s3-key", "azure-key", "gcs-key", "sftp-private-key-passphrase"];

/// Asks; `repos` is what the look before heard, where it got that far. Reads only: neither `check` nor `verify` is run.
pub(super) async fn ask(
    net: &Net,
    options: &PgbackrestOptions,
    repos: Option<&[Row]>,
    deadline: Instant,
) -> Vec<Examined> {
    let mut version = options.program(&[]);
    version.argv.clone_from(&options.argv);
    let mut found = examine::program(net, &version, repos.is_some(), deadline).await;
    found.extend(options.ssh.is_none().then(|| configuration(&version)).flatten());
    let Some(repos) = repos else { return found };
    version.argv.push("version".to_owned());
    found.extend(examine::version(net, &version, known, deadline).await);
    for row in repos {
        found
            .push(repository(&options.stanza, row).unwrap_or_else(|gap| Examined::gap(&gap, options.shown().as_str())));
    }
    found
}

/// `info` as this program reads it came with 2.32.
fn known(version: Option<(u32, u32)>) -> Option<&'static str> {
    match version {
        Some((2, 32..)) => None,
        Some((2, _)) => Some("lifeboat reads what 2.32 and later say"),
        Some(_) | None => Some("lifeboat knows 2"),
    }
}

/// Its configuration, where that holds secrets that everybody here can read.
fn configuration(program: &Program) -> Option<Examined> {
    let mut words = program.argv.iter();
    let mut named = None;
    while let Some(word) = words.next() {
        named = match word.strip_prefix("--config") {
            Some("") => words.next().map(PathBuf::from),
            Some(rest) => rest.strip_prefix('=').map(PathBuf::from).or(named),
            None => named,
        };
    }
    let file = named.into_iter().chain(USUAL.map(PathBuf::from)).find(|f| f.exists())?;
    let shown = file.display();
    let open = std::fs::metadata(&file).ok()?.mode() & 0o004 != 0;
    let text = std::fs::read_to_string(&file).ok()?;
    let secret = text.lines().filter_map(|l| l.split_once('=')).find(|(k, _)| SECRETS.iter().any(|s| k.contains(s)));
    Some(match secret {
        Some((key, _)) if open => Examined::bad(
            Verdict::Degraded,
            "readable-by-all",
            &format!("every user of this machine can read {} in {shown}", key.trim()),
            &format!("chmod o-r {shown}"),
        ),
        Some(_) | None => Examined::well("configuration", &format!("its configuration is {shown}")),
    })
}

/// Whether a repository can be read from here: it is there, and its key opens it. The codes are those of `info`.
fn repository(stanza: &str, row: &Row) -> Result<Examined, Gap> {
    let repo = row.int("repo")?.unwrap_or_default();
    let backups = row.int("backups")?.unwrap_or_default();
    let text = |column: &str| Ok::<_, Gap>(row.text(column)?.map(|t| t.to_string()).unwrap_or_default());
    let (cipher, message) = (text("cipher")?, text("message")?);
    let encrypted = if cipher == "none" { "not encrypted".to_owned() } else { format!("its key opens {cipher}") };
    Ok(match row.int("code")? {
        // Neither of these keeps it from seeing: no backup yet, or one of a database that was made anew.
        Some(0 | 2 | 4 | 5) => {
            Examined::well("repository", &format!("repo{repo} can be read: {backups} backups, {encrypted}"))
        }
        Some(1 | 3) => Examined::bad(
            Verdict::NotReady,
            "no-stanza",
            &format!("repo{repo} has no stanza {stanza}: {message}"),
            &format!(
                "see repo{repo}-path in its configuration; where it is new: pgbackrest --stanza={stanza} stanza-create"
            ),
        ),
        Some(_) | None => Examined::bad(
            Verdict::NotReady,
            "repository-unreadable",
            &format!("repo{repo} cannot be read from here: {message}"),
            &format!(
                "see who may read repo{repo}-path, and repo{repo}-cipher-pass: the key that a restore would need here"
            ),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::Value;

    #[test]
    fn each_code_of_a_repository_has_its_meaning() {
        let row = |code| {
            let row = Row::default().with("repo", Value::Int(2)).with("backups", Value::Int(3));
            row.with("cipher", Value::text("aes-256-cbc"))
                .with("code", Value::Int(code))
                .with("message", Value::text("m"))
        };
        for (code, want) in [
            (0, "repository"),
            (2, "repository"),
            (1, "no-stanza"),
            (3, "no-stanza"),
            (99, "repository-unreadable"),
            (7, "repository-unreadable"),
        ] {
            assert_eq!(repository("main", &row(code)).unwrap().code, want, "{code}");
        }
        assert!(repository("main", &Row::default()).is_err());
        assert_eq!((known(Some((2, 45))), known(Some((2, 31))).is_some(), known(None).is_some()), (None, true, true));
    }
}
