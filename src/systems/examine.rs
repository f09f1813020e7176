//! What `doctor` says beyond a look, where more than one system wants it: of programs here and over ssh, of addresses, of
//! what expires.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::clock;
use crate::net::{Ended, Net, ServerCertificate, SshSettings, TcpTarget, find_program};
use crate::plan::{Now, Program, Span, Ssh};
use crate::readiness::{Examined, Gap, Verdict, expiry};

/// Most of a program's version that is shown.
const LONGEST_VERSION: usize = 80;

/// What a program is before it is run: here the file, on another host how ssh gets there. `reached` says whether the look
/// before got that far: a host that was silent is not asked again.
pub(super) async fn program(net: &Net, program: &Program, reached: bool, deadline: Instant) -> Vec<Examined> {
    match &program.ssh {
        None => here(program).into_iter().collect(),
        Some(ssh) => over_ssh(net, ssh, program, reached, deadline).await,
    }
}

/// The program's file. Where there is none, the look has said so.
fn here(program: &Program) -> Option<Examined> {
    let path = find_program(program.argv.first()?)?;
    let shown = path.display();
    let open = |path: &Path| std::fs::metadata(path).is_ok_and(|m| m.mode() & 0o002 != 0 && m.mode() & 0o1000 == 0);
    Some(if open(&path) || path.parent().is_some_and(open) {
        Examined::bad(
            Verdict::Degraded,
            "writable-by-all",
            &format!("every user of this machine can replace {shown}, which lifeboat runs"),
            &format!("chmod o-w {shown}, and the directory that it is in"),
        )
    } else {
        Examined::well("program", &format!("{shown} is there and may be run"))
    })
}

/// How ssh gets to a host, by its own word: to where, with which key, and whether the host's key is checked.
async fn over_ssh(net: &Net, ssh: &Ssh, program: &Program, reached: bool, deadline: Instant) -> Vec<Examined> {
    let host = ssh.host();
    let settings = match net.ssh_settings(ssh, deadline).await {
        Ok(settings) => settings,
        Err(gap) => return vec![Examined::gap(&gap, host)],
    };
    let mut found = vec![Examined::well(
        "ssh",
        &format!("ssh {host} means {}@{} at port {}", settings.user, settings.hostname, settings.port),
    )];
    found.push(host_key(host, &settings));
    found.extend(key(host, &settings));
    if reached && !ssh.table().is_some_and(|t| t.bare) {
        let asked = clock::now();
        let date = Program { argv: vec!["date".into(), "+%s".into()], ..program.clone() };
        if let Ok(exit) = net.run(&date, deadline).await
            && let Some(theirs) = String::from_utf8_lossy(&exit.stdout).trim().parse().ok()
            && let Some(date) = DateTime::from_timestamp(theirs, 0)
        {
            found.extend(clock_of(host, date, asked, clock::now()));
        }
    }
    found
}

fn host_key(host: &str, settings: &SshSettings) -> Examined {
    let files = settings.known_hosts.join(" ");
    if matches!(settings.strict.as_str(), "no" | "off" | "false") {
        let next = format!(
            "take StrictHostKeyChecking no out of ssh's configuration, and put its key into {files}: ssh-keyscan -p {} {}",
            settings.port, settings.hostname
        );
        let sentence = format!("ssh takes any key of {host}: whoever answers there is believed");
        return Examined::bad(Verdict::Degraded, "host-key-unchecked", &sentence, &next);
    }
    Examined::well("host-key", &format!("the key of {host} is checked against {files}"))
}

/// A key that only a person's agent holds is gone when the person logs out.
fn key(host: &str, settings: &SshSettings) -> Option<Examined> {
    let readable = settings.identities.iter().find(|f| std::fs::File::open(f).is_ok());
    if let Some(file) = readable {
        return Some(Examined::well("ssh-key", &format!("ssh offers {host} the key in {file}")));
    }
    std::env::var_os("SSH_AUTH_SOCK").filter(|s| !s.is_empty())?;
    let sentence =
        format!("the key for {host} is in this session's ssh agent alone: without the session nothing is seen");
    let next = "name a key's file: ssh = { host = ..., identity = \"/path\" }";
    Some(Examined::bad(Verdict::Degraded, "agent-only", &sentence, next))
}

/// What a program says of its version, judged by `known`, which is given its first number. Nothing where a host lets only
/// one exact command be run.
pub(super) async fn version(
    net: &Net,
    program: &Program,
    known: fn(Option<(u32, u32)>) -> Option<&'static str>,
    deadline: Instant,
) -> Option<Examined> {
    if program.ssh.as_ref().and_then(Ssh::table).is_some_and(|t| t.bare) {
        return None;
    }
    let said = net.run(program, deadline).await;
    let exit = match said {
        Ok(exit) if exit.ended == Ended::Code(0) => exit,
        Ok(exit) => return Some(Examined::gap(&exit.failed(program), &program.shown())),
        Err(gap) => return Some(Examined::gap(&gap, &program.shown())),
    };
    let text = String::from_utf8_lossy(&exit.stdout);
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    let line: String = line.chars().take(LONGEST_VERSION).collect();
    Some(match known(number(&line)) {
        None => Examined::well("version", &format!("{}: {line}", program.shown())),
        Some(why) => {
            let sentence = format!("{}: {line}: {why}", program.shown());
            let next = "compare what lifeboat shows with what the program itself says before you rely on it";
            Examined::bad(Verdict::Degraded, "version-unknown", &sentence, next)
        }
    })
}

/// The first number with a dot in a text: `2.45` of `pgBackRest 2.45`.
fn number(text: &str) -> Option<(u32, u32)> {
    let mut words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.find_map(|w| {
        let mut parts = w.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

/// Every address that a name stands for, each tried: a client may get any of them. Nothing where there is one alone, which
/// the look itself has tried, nor of `localhost`, which has two by rule (RFC 6761 section 6.3).
pub(super) async fn addresses(net: &Arc<Net>, target: &TcpTarget, deadline: Instant) -> Option<Examined> {
    if target.host.eq_ignore_ascii_case("localhost") {
        return None;
    }
    let all = net.addresses(&target.host, deadline).await.ok()?;
    if all.len() < 2 {
        return None;
    }
    let knock = |ip| async move { net.connect_at((ip, target.port).into(), deadline).await.map(drop) };
    let silent: Vec<Gap> = join_all(all.iter().copied().map(knock)).await.into_iter().filter_map(Result::err).collect();
    Some(each(&target.host, all.len(), &silent))
}

/// What it means that so many of a name's addresses fail.
fn each(host: &str, all: usize, silent: &[Gap]) -> Examined {
    if silent.is_empty() {
        return Examined::well("addresses", &format!("{host} has {all} addresses, and each takes connections"));
    }
    let why: Vec<&str> = silent.iter().map(|gap| gap.detail.as_str()).collect();
    let sentence = format!("{} of the {all} addresses of {host} fail: {}", silent.len(), why.join("; "));
    let next = "mend those servers, or take their addresses out of the name";
    Examined::bad(Verdict::Degraded, "address-silent", &sentence, next)
}

/// Until when a server's certificate is good.
pub(super) fn certificate(server: &str, certificate: &ServerCertificate, now: Now) -> Examined {
    expiry(&format!("the certificate of {server}"), certificate.not_after, now)
}

/// A clock that differs by more than a second. What a server says of its own, as HTTP's `Date` does, is cut to the second;
/// nothing is said of what the round trip leaves open.
pub(super) fn clock_of(server: &str, date: DateTime<Utc>, asked: Now, answered: Now) -> Option<Examined> {
    let behind = asked.wall.signed_duration_since(date) - chrono::Duration::seconds(1);
    let ahead = date.signed_duration_since(answered.wall);
    let (off, which) = if behind > ahead { (behind, "behind") } else { (ahead, "ahead of") };
    (off > chrono::Duration::seconds(1)).then(|| {
        let size = Span::secs(u64::try_from(off.num_seconds()).unwrap_or_default());
        let sentence = format!("the clock of {server} is {size} {which} this machine's");
        let next = "see what keeps time there and here: chronyc tracking";
        Examined::bad(Verdict::Degraded, "clock-skew", &sentence, next)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::BootTime;

    #[test]
    fn a_version_is_found_in_whatever_is_around_it() {
        assert_eq!(number("pgBackRest 2.45"), Some((2, 45)));
        assert_eq!(number("3.4.0 Barman by EnterpriseDB (www.enterprisedb.com)"), Some((3, 4)));
        assert_eq!(number("pg_restore (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some((15, 18)));
        assert_eq!(number("none here."), None);
    }

    #[test]
    fn a_clock_is_off_only_beyond_what_cannot_be_known() {
        let at = |s: i64| Now {
            wall: DateTime::from_timestamp(s, 0).unwrap(),
            boot: BootTime(Duration::from_secs(u64::try_from(s).unwrap())),
        };
        let off = |date| clock_of("x", at(date).wall, at(100), at(103)).map(|e| e.sentence.to_string());
        for fine in [98, 99, 100, 103, 104] {
            assert_eq!(off(fine), None, "{fine}");
        }
        assert!(off(90).unwrap().contains("9s behind") && off(110).unwrap().contains("7s ahead of"));
    }

    #[test]
    fn an_address_that_fails_is_named() {
        let gap = Gap::new(crate::readiness::Reason::Refused, "192.0.2.2:443: connection refused");
        let found = each("shop.example.com", 2, &[gap]);
        assert_eq!((found.code, found.verdict), ("address-silent", Verdict::Degraded));
        assert!(
            found.sentence.as_str().contains("1 of the 2 addresses") && found.sentence.as_str().contains("192.0.2.2")
        );
        assert_eq!(each("shop.example.com", 2, &[]).verdict, Verdict::Ready);
    }

    #[test]
    fn how_ssh_gets_there_is_judged() {
        let settings = |strict: &str| SshSettings {
            user: "backup".into(),
            hostname: "db".into(),
            port: "22".into(),
            strict: strict.into(),
            known_hosts: vec!["/k".into()],
            identities: vec![],
        };
        assert_eq!(host_key("db", &settings("false")).code, "host-key-unchecked");
        for strict in ["true", "ask", "accept-new"] {
            assert_eq!(host_key("db", &settings(strict)).code, "host-key");
        }
    }
}
