//! What `doctor` says of the programs that read backups in full: whether they are here, and new enough.

use std::path::Path;
use std::process::Stdio;

use tokio::time::{Instant, timeout_at};

use super::decode::{Tool, tool};
use super::parse::form::Format;
use super::survey::Target;
use crate::net::find_program;
use crate::readiness::{Examined, Verdict};

/// Whether the newest backup can be read in full on this machine. Of a dump of `pg_dump` its table of contents is read,
/// which an older `pg_restore` refuses; nothing more.
pub(super) async fn reads(target: &Target, deadline: Instant) -> Vec<Examined> {
    let form = target.format.name();
    let Some(Tool { name, .. }) = tool(target) else { return vec![itself(target)] };
    let Some(path) = find_program(name) else {
        let sentence = format!("{name} is not on this machine: {}, {form}, cannot be read in full", target.name);
        let next = match name {
            "pg_restore" => "install PostgreSQL's client programs, of the newest major that dumps are made with",
            _ => "install it, or have backups written in another form",
        };
        return vec![Examined::bad(Verdict::Degraded, "no-tool", &sentence, next)];
    };
    let version = run(&path, &["--version"], None, deadline).await.unwrap_or_else(|why| why);
    let version = version.trim_start_matches(['*', ' ']);
    if name != "pg_restore" {
        return vec![Examined::well("tool", &format!("{form} is read in full by {name}: {version}"))];
    }
    match run(&path, &["--list"], Some(&target.identity.path), deadline).await {
        Ok(_) => vec![Examined::well("tool", &format!("{} is understood by {version}", target.name))],
        Err(why) => {
            let sentence = format!("{version} does not understand {}: {why}", target.name);
            let next = "where its version is the reason: install the client programs of the major that made it";
            vec![Examined::bad(Verdict::Degraded, "tool-fails", &sentence, next)]
        }
    }
}

/// Of what no program is needed for.
fn itself(target: &Target) -> Examined {
    let (name, form) = (&target.name, target.format.name());
    match target.format {
        Format::Gzip | Format::Zstd | Format::Plain => {
            Examined::well("tool", &format!("{form} is read in full by lifeboat itself"))
        }
        Format::Encrypted => {
            let sentence = format!("{name} is encrypted: lifeboat has no key, and cannot read it in full");
            let next = "have a rehearsal prove it: restore_proof";
            Examined::bad(Verdict::Degraded, "no-tool", &sentence, next)
        }
        // Those with a tool do not come here; of the rest `check` says what is wrong.
        Format::Custom | Format::Directory | Format::Tar | Format::Lz4 | Format::Xz | Format::Bzip2 => {
            Examined::well("tool", &format!("{form} is read by a program"))
        }
        Format::Other(_) | Format::Text | Format::Zeros | Format::Empty | Format::Unknown => {
            let sentence = format!("{name} is {form}: nothing here reads that in full");
            Examined::bad(Verdict::Degraded, "no-tool", &sentence, "see what writes it, and the probe's pattern")
        }
    }
}

/// Where there is no backup yet, nobody knows what it will take.
pub(super) fn untried() -> Examined {
    let sentence = "no backup is there yet: what it takes to read one in full is not known";
    Examined::bad(Verdict::Degraded, "no-backup", sentence, "run this again when there is one")
}

/// The first line of what a program prints, or of what it complains of.
async fn run(program: &Path, arguments: &[&str], file: Option<&Path>, deadline: Instant) -> Result<String, String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).args(file).env("LC_ALL", "C").current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
    let out = timeout_at(deadline, command.output()).await.map_err(|_| "no answer in time".to_owned())?;
    let out = out.map_err(|e| e.to_string())?;
    let first = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("it said nothing");
        line.chars().take(200).collect::<String>()
    };
    if out.status.success() { Ok(first(&out.stdout)) } else { Err(first(&out.stderr)) }
}
