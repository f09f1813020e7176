//! From a reference to a secret, into a type that cannot print.

use base64::Engine as _;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use crate::plan::SecretRef;
use crate::readiness::{Gap, Reason};

use super::exec::{self, Broken, Ended};

/// No secret is larger; what is, is the wrong file.
const LARGEST: usize = 64 * 1024;

/// Reads a secret. Never logs it; the gap's words never hold it, nor anything that a secret's command printed.
///
/// # Errors
/// `SecretUnavailable`, with which reference and why.
pub async fn resolve(secret: &SecretRef, deadline: Instant) -> Result<SecretString, Gap> {
    let gap = |why: &str| Gap::new(Reason::SecretUnavailable, &format!("{secret}: {why}"));
    let read = async {
        match secret {
            SecretRef::Env(name) => match std::env::var(name) {
                Ok(value) => Ok(value),
                Err(std::env::VarError::NotPresent) => Err("not set".to_owned()),
                Err(std::env::VarError::NotUnicode(_)) => Err("not UTF-8".to_owned()),
            },
            SecretRef::File(path) => {
                let file = tokio::fs::File::open(path).await.map_err(|e| words(&e))?;
                bounded(file).await
            }
            SecretRef::Command(argv) => command(argv).await,
        }
    };
    match timeout_at(deadline, read).await {
        Err(_) => Err(gap("no answer in time")),
        Ok(Err(why)) => Err(gap(&why)),
        Ok(Ok(value)) if value.is_empty() => Err(gap("empty")),
        Ok(Ok(value)) => Ok(SecretString::from(value)),
    }
}

/// Runs a secret's command, without a shell, and takes its standard output. It gets the whole environment: a password
/// manager's session may be there.
async fn command(argv: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = argv.split_first() else { return Err("names no program".to_owned()) };
    let mut command = tokio::process::Command::new(program);
    // Its errors are not read: they could hold the secret.
    let run = exec::run(command.args(arguments), None, false, LARGEST, 0).await;
    let exit = run.map_err(said)?;
    if exit.ended != Ended::Code(0) {
        return Err(format!("failed: {}", exit.ended));
    }
    text(exit.stdout)
}

/// Why a program gave nothing.
fn said(broken: Broken) -> String {
    match broken {
        Broken::Start(e) => exec::not_started(&e),
        Broken::TooLarge(_, kib) => format!("larger than {kib} KiB"),
        Broken::Lost(e) => words(&e),
    }
}

/// What a credential helper said.
#[derive(Debug)]
pub struct HelperAnswer {
    /// Whether it ended well.
    pub success: bool,
    /// Its standard output, which may hold a secret whether or not it ended well.
    pub output: SecretString,
}

/// Runs a credential helper, which reads from its standard input what it is asked for. It gets the whole environment, as
/// a secret's command does, and is killed at the deadline.
///
/// # Errors
/// `SecretUnavailable`, without anything that it said.
pub async fn ask_helper(
    program: &str,
    arguments: &[&str],
    input: &str,
    deadline: Instant,
) -> Result<HelperAnswer, Gap> {
    let gap = |why: &str| Gap::new(Reason::SecretUnavailable, &format!("{program}: {why}"));
    let mut command = tokio::process::Command::new(program);
    let run = exec::run(command.args(arguments), Some(input.as_bytes()), false, LARGEST, 0);
    let exit = timeout_at(deadline, run).await.map_err(|_| gap("no answer in time"))?;
    let exit = exit.map_err(|broken| gap(&said(broken)))?;
    let output = text(exit.stdout).map_err(|why| gap(&why))?;
    Ok(HelperAnswer { success: exit.ended == Ended::Code(0), output: SecretString::from(output) })
}

/// Until when a token says that it is good: the `exp` of a JSON Web Token (RFC 7519 section 4.1.4). `None` where it is none,
/// or says nothing. Nothing is checked of it: it is the server that believes it or not.
#[must_use]
pub fn token_end(secret: &SecretString) -> Option<DateTime<Utc>> {
    let mut parts = secret.expose_secret().trim().split('.');
    let (_head, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let end = claims.get("exp")?;
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a date; a fraction of one is nothing here")]
    let seconds = end.as_i64().or_else(|| end.as_f64().map(|f| f as i64))?;
    DateTime::from_timestamp(seconds, 0)
}

/// Reads to the end, to a limit.
async fn bounded(from: impl AsyncRead + Unpin) -> Result<String, String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    from.take(most).read_to_end(&mut bytes).await.map_err(|e| words(&e))?;
    if bytes.len() > LARGEST {
        return Err(format!("larger than {} KiB", LARGEST / 1024));
    }
    text(bytes)
}

/// A secret's text without one trailing line break.
fn text(bytes: Vec<u8>) -> Result<String, String> {
    let mut text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// The kind of an error; its own text could hold what was read.
fn words(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn of(secret: SecretRef) -> Result<String, Gap> {
        let read = resolve(&secret, Instant::now() + Duration::from_secs(10)).await?;
        Ok(read.expose_secret().to_owned())
    }

    fn sh(script: &str) -> SecretRef {
        SecretRef::Command(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn a_file_loses_one_line_break_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pw");
        for (content, secret) in [("a b\n", "a b"), ("x\n\n", "x\n"), ("x\r\n", "x"), ("x", "x")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(of(SecretRef::File(path.display().to_string())).await.unwrap(), secret);
        }
        std::fs::write(&path, "s".repeat(70_000)).unwrap();
        let gap = of(SecretRef::File(path.display().to_string())).await.unwrap_err();
        assert!(gap.detail.as_str().ends_with("larger than 64 KiB"), "{gap}");
        assert_eq!(gap.reason, Reason::SecretUnavailable);
    }

    #[tokio::test]
    async fn an_environment_variable() {
        assert!(of(SecretRef::Env("PATH".into())).await.is_ok());
        let gap = of(SecretRef::Env("LIFEBOAT_NO_SUCH_VARIABLE".into())).await.unwrap_err();
        assert_eq!(gap.detail.as_str(), "environment variable LIFEBOAT_NO_SUCH_VARIABLE: not set");
    }

    #[tokio::test]
    async fn a_command_and_its_output_stays_out_of_errors() {
        assert_eq!(of(sh("echo hunter2")).await.unwrap(), "hunter2");
        let gap = of(sh("echo hunter2; echo hunter2 >&2; exit 3")).await.unwrap_err();
        assert!(!format!("{gap:?}").contains("hunter2"), "{gap:?}");
        assert!(gap.detail.as_str().contains('3'), "{gap}");
        assert!(of(sh("yes")).await.unwrap_err().detail.as_str().contains("larger"));
        assert!(of(SecretRef::Command(vec![])).await.is_err());
        assert!(of(SecretRef::Command(vec!["/no/such/program".into()])).await.is_err());
    }

    #[tokio::test]
    async fn a_credential_helper_reads_what_it_is_asked_for() {
        let soon = || Instant::now() + Duration::from_secs(10);
        let ask =
            async |script: &str, deadline| ask_helper("sh", &["-c", script], "registry.example.com", deadline).await;
        let answer = ask("read -r server; echo \"$server hunter2\"", soon()).await.unwrap();
        assert!(answer.success);
        assert_eq!(answer.output.expose_secret(), "registry.example.com hunter2");
        let answer = ask("echo credentials not found; exit 1", soon()).await.unwrap();
        assert!(!answer.success);
        assert_eq!(answer.output.expose_secret(), "credentials not found");
        assert!(!format!("{answer:?}").contains("credentials"));
        let gap = ask("echo hunter2; exec sleep 600", Instant::now() + Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(gap.reason, Reason::SecretUnavailable);
        assert!(!format!("{gap:?}").contains("hunter2"));
        assert!(ask_helper("/no/such/helper", &["get"], "x", soon()).await.is_err());
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_at_the_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = sh(&format!("echo $$ > {}; exec sleep 600", pid.display()));
        let until = |written: bool| {
            let pid = pid.clone();
            async move {
                for _ in 0..500 {
                    let text = std::fs::read_to_string(&pid).unwrap_or_default();
                    let alive = format!("/proc/{}/cmdline", text.trim());
                    if written && text.ends_with('\n') {
                        return;
                    }
                    if !written && std::fs::read(alive).unwrap_or_default().is_empty() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                panic!("written {written}: not within 5 s");
            }
        };
        let deadline = Instant::now() + Duration::from_millis(500);
        let (gap, ()) = tokio::join!(resolve(&script, deadline), until(true));
        assert!(gap.unwrap_err().detail.as_str().ends_with("no answer in time"));
        until(false).await;
    }

    #[test]
    fn a_token_says_when_it_ends() {
        let of = |claims: &str| {
            let part = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
            token_end(&SecretString::from(format!("eyJhbGciOiJIUzI1NiJ9.{part}.c2ln\n")))
        };
        assert_eq!(of(r#"{"sub":"x","exp":1800000000}"#).unwrap().timestamp(), 1_800_000_000);
        assert_eq!(of(r#"{"exp":1800000000.5}"#).unwrap().timestamp(), 1_800_000_000);
        for none in [r#"{"sub":"x"}"#, r#"{"exp":"soon"}"#, "no json"] {
            assert_eq!(of(none), None, "{none}");
        }
        for none in ["", "open sesame", "a.b.c", "a.b"] {
            assert_eq!(token_end(&SecretString::from(none.to_owned())), None, "{none}");
        }
    }
}
