//! From a reference to a secret, into a type that cannot print.

use std::process::Stdio;

use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use crate::plan::SecretRef;
use crate::readiness::{Gap, Reason};

/// No secret is larger; what is, is the wrong file.
const LARGEST: u64 = 64 * 1024;

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

/// Runs a secret's command, without a shell, and takes its standard output. It is killed when nobody waits for it.
async fn command(argv: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = argv.split_first() else { return Err("names no program".to_owned()) };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| words(&e))?;
    let Some(stdout) = child.stdout.take() else { return Err("has no output".to_owned()) };
    let value = bounded(stdout).await?;
    let status = child.wait().await.map_err(|e| words(&e))?;
    if status.success() { Ok(value) } else { Err(format!("failed: {status}")) }
}

/// Reads to the end, to a limit, and drops one trailing line break.
async fn bounded(from: impl AsyncRead + Unpin) -> Result<String, String> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes).await.map_err(|e| words(&e))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(format!("larger than {} KiB", LARGEST / 1024));
    }
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

    use secrecy::ExposeSecret;

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
}
