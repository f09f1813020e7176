//! Starts a configuration: asks little, finds out much, writes what `config check` accepts and `check` runs.

mod ask;
mod clusters;
pub mod draft;
mod servers;

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use crate::config;
use crate::net::Net;

use super::args::InitArgs;
use ask::{Asker, addresses, name, resolvers, span};
use draft::{Database, Draft, Record};
use servers::pair;

/// How long one server is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Asks, looks, writes.
///
/// # Errors
/// A file that is there already; questions without a terminal; what cannot be written.
pub fn run(args: &InitArgs, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let path = config::find(path)?;
    let to_stdout = args.print;
    if !to_stdout && path.exists() {
        bail!(
            "{}: is there already; nothing was changed (--config names another, --print writes none)",
            path.display()
        );
    }
    if !args.yes && !std::io::stdin().is_terminal() {
        bail!("questions need a terminal; --yes takes every default");
    }
    let (mut input, mut err) = (std::io::stdin().lock(), std::io::stderr().lock());
    let mut asker = Asker { input: &mut input, out: &mut err, yes: args.yes };
    let runtime = super::runtime(None)?;
    let draft = runtime.block_on(gather(args, &mut asker));
    runtime.shutdown_background();
    let draft = draft?;
    let text = draft.document();
    config::parse("what init wrote", &text).context("the answers make no configuration; nothing was written")?;
    if to_stdout {
        super::print(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    write(&path, &text)?;
    asker.say(&format!("written: {}", path.display()))?;
    if let Some(variable) = draft.database.as_ref().and_then(|d| d.password_env.as_ref()) {
        asker.say(&format!(
            "the password is not in it: export {variable}=..., or put it into ~/.pgpass and remove the line"
        ))?;
    }
    asker.say("next: lifeboat doctor, then lifeboat check, then lifeboat")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a new file, whole or not at all, that only this user reads.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let shown = path.display();
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| dir.display().to_string())?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let made = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // A link fails where somebody was faster; renaming would replace their file.
        std::fs::hard_link(&beside, path)
    };
    let done = made();
    let _ = std::fs::remove_file(&beside);
    done.with_context(|| format!("{shown}: cannot be written"))
}

/// What the clusters or the servers told: the database, the clusters, and what the service may be called.
struct Told {
    database: Option<Database>,
    patroni: Option<draft::Clusters>,
    called: Option<String>,
}

/// Finds out who keeps the data, from whatever address there is.
async fn tell(net: &Arc<Net>, args: &InitArgs, asker: &mut Asker<'_>) -> anyhow::Result<Told> {
    let mut given = args.addresses.clone();
    if given.is_empty() {
        let question = "A database server, as psql takes it (postgres://user@host/database), or the REST API of a \
                        Patroni (http://host:8008); empty for none";
        given.extend(Some(asker.ask(question, "")?).filter(|a| !a.is_empty()));
    }
    let (rest, servers): (Vec<String>, Vec<String>) = given.into_iter().partition(|a| clusters::is_rest(a));
    if rest.len() > 2 || servers.len() > 2 {
        bail!("a plan has two sites: at most two addresses of Patroni, and at most two of database servers");
    }
    let found = match rest.is_empty() {
        true => None,
        false => Some(clusters::find(net, &rest, args.roots.as_deref(), asker).await?),
    };
    let (database, called) = match (servers.split_first(), &found) {
        (Some((first, more)), _) => {
            let (database, called) = pair(net, first, more.first().map(String::as_str), asker).await?;
            (Some(database), called)
        }
        (None, Some(found)) => (clusters::database(net, found, asker).await?, None),
        (None, None) => (None, None),
    };
    let called = called.filter(|n| name(n).is_ok() && n != "postgres");
    let (patroni, scope) = found.map_or((None, None), |f| (Some(f.clusters), f.scope));
    Ok(Told { database, patroni, called: called.or(scope).filter(|n| name(n).is_ok()) })
}

async fn gather(args: &InitArgs, asker: &mut Asker<'_>) -> anyhow::Result<Draft> {
    let net = Net::new();
    let Told { mut database, patroni, called } = tell(&net, args, asker).await?;
    let usual = called.unwrap_or_else(|| "service".to_owned());
    let plan = asker.ask_for("The service's name", args.plan.as_deref().unwrap_or(&usual), name)?;
    let home = asker.ask_for("The site where it normally runs", args.home.as_deref().unwrap_or("home"), name)?;
    let different = |text: &str| {
        let text = name(text)?;
        if text == home { Err(format!("another one than {home}")) } else { Ok(text) }
    };
    let other = asker.ask_for("The site that would take over", args.other.as_deref().unwrap_or("dr"), different)?;
    let rpo = asker.ask_for("The most recent work that may be lost (RPO)", "30s", span)?;
    let rto = asker.ask_for("How long a failover may take (RTO)", "5m", span)?;
    if let Some(variable) = database.as_mut().and_then(|d| d.password_env.as_mut()) {
        *variable = format!("{}_DB_PASSWORD", plan.to_uppercase().replace(['-', '.'], "_"));
    }
    let record = record(&net, args, asker).await?;
    Ok(Draft { plan, sites: [home, other], rpo, rto, database, patroni, record })
}

/// The record that moves traffic, with what it answers now.
async fn record(net: &Arc<Net>, args: &InitArgs, asker: &mut Asker<'_>) -> anyhow::Result<Option<Record>> {
    let asked = asker.ask("The DNS name that users use; empty for none", args.record.as_deref().unwrap_or(""))?;
    if asked.is_empty() {
        return Ok(None);
    }
    let now = match net.addresses(&asked, Instant::now() + PATIENCE).await {
        Ok(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        Err(gap) => {
            asker.say(&format!("  it does not resolve: {}", gap.detail))?;
            Vec::new()
        }
    };
    let home = asker.ask_for("  what it answers when traffic goes home", &now.join(", "), addresses)?;
    let apart = |text: &str| {
        let other = addresses(text)?;
        let same = other.iter().find(|a| home.contains(a));
        same.map_or(Ok(other.clone()), |same| Err(format!("{same} is what it answers at home")))
    };
    let question = "  what it would answer after a failover; empty if you do not know it yet";
    let other = asker.ask_for(question, &args.answer.join(", "), apart)?;
    let question = "  the resolvers that your users use; empty for this machine's";
    let resolvers = asker.ask_for(question, &args.resolver.join(", "), resolvers)?;
    Ok(Some(Record { name: asked, answers: [home, other], resolvers }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Span;

    #[test]
    fn a_file_that_is_there_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep").join("c.toml");
        write(&path, "one").unwrap();
        assert!(write(&path, "two").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[tokio::test]
    async fn wrong_answers_are_asked_again_and_the_end_of_the_answers_writes_nothing() {
        let args = InitArgs::default();
        let mut input: &[u8] = b"\nno spaces!\nshop\neast\neast\nwest\n0s\n10s\n\n\n";
        let mut out = Vec::new();
        let draft = gather(&args, &mut Asker { input: &mut input, out: &mut out, yes: false }).await.unwrap();
        assert_eq!((draft.plan.as_str(), draft.sites), ("shop", ["east".to_owned(), "west".to_owned()]));
        assert_eq!((draft.rpo, draft.rto, draft.database, draft.record), (Span::secs(10), Span::secs(300), None, None));
        let said = String::from_utf8(out).unwrap();
        for part in ["letters, digits", "another one than east", "at least 1s"] {
            assert!(said.contains(part), "{said}");
        }
        let mut input: &[u8] = b"\nshop\n";
        let ended = gather(&args, &mut Asker { input: &mut input, out: &mut Vec::new(), yes: false }).await;
        assert!(ended.is_err_and(|e| e.to_string().contains("nothing was written")));
    }
}
