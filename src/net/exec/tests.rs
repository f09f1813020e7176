use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::net::Net;
use crate::plan::SecretRef;

fn program(argv: &[&str]) -> Program {
    let argv = argv.iter().map(|w| (*w).to_owned()).collect();
    Program { argv, environment: BTreeMap::new(), ssh: None, nice: false }
}

fn sh(script: &str) -> Program {
    program(&["sh", "-c", script])
}

async fn run_within(program: &Program, limit: Duration) -> Result<Exit, Gap> {
    Net::new().run(program, Instant::now() + limit).await
}

async fn run_it(program: &Program) -> Result<Exit, Gap> {
    run_within(program, Duration::from_secs(20)).await
}

/// Whether a process that is not a zombie has this number.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether this process has a child that nobody waited for.
fn zombies() -> bool {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().any(|e| {
        let stat = std::fs::read_to_string(e.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(&format!("Z {own} ")))
    })
}

#[tokio::test]
async fn output_errors_and_the_code_come_back() {
    let exit = run_it(&sh("echo out; echo first >&2; echo last >&2; exit 3")).await.unwrap();
    assert_eq!((exit.ended, exit.stdout.as_slice()), (Ended::Code(3), b"out\n".as_slice()));
    assert_eq!(exit.complaint().as_str(), "last");
    let gap = exit.failed(&sh(""));
    assert_eq!((gap.reason, gap.detail.as_str()), (Reason::ProgramFailed, "sh here: exit code 3: last"));
    let silent = run_it(&sh("exit 1")).await.unwrap();
    assert_eq!(silent.failed(&sh("")).detail.as_str(), "sh here: exit code 1: it said nothing");
}

#[tokio::test]
async fn words_are_not_for_a_shell() {
    let exit = run_it(&program(&["printf", "%s|", "$(id)", "a b", "*", ""])).await.unwrap();
    assert_eq!(exit.stdout, b"$(id)|a b|*||");
}

#[tokio::test]
async fn a_signal_is_told_from_a_code() {
    let exit = run_it(&sh("kill -SEGV $$")).await.unwrap();
    assert_eq!(exit.ended, Ended::Signal(11));
    assert_eq!(exit.ended.to_string(), "killed by signal 11 (segmentation fault)");
    assert_eq!(run_it(&sh("exit 139")).await.unwrap().ended, Ended::Code(139));
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let why = |argv: &'static str| async move {
        let gap = run_it(&program(&[argv])).await.unwrap_err();
        (gap.reason, gap.detail.to_string())
    };
    assert_eq!(why("/no/such").await, (Reason::NotRunnable, "such here: there is no such program".into()));
    assert_eq!(why("no-such-program-at-all").await.0, Reason::NotRunnable);
    assert_eq!(why("/etc/passwd").await, (Reason::NotRunnable, "passwd here: not executable by this user".into()));
    assert_eq!(why("/").await.0, Reason::NotRunnable);
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "\u{7f}no header\n").unwrap();
    std::fs::set_permissions(&plain, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let gap = run_it(&program(&[plain.to_str().unwrap()])).await.unwrap_err();
    assert!(gap.detail.as_str().contains("neither a binary nor a script"), "{gap}");
    assert_eq!(run_it(&program(&[])).await.unwrap_err().reason, Reason::NotConfigured);
}

#[tokio::test]
async fn a_program_finds_little_around_it() {
    let exit = run_it(&sh("pwd; env | cut -d= -f1; ps -o pgid= -p $$; echo $$; cat")).await.unwrap();
    let text = String::from_utf8(exit.stdout).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("/"));
    let left: Vec<&str> = lines.collect();
    let allowed = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR"];
    // A shell adds PWD, OLDPWD, SHLVL and _ of its own.
    let known = |n: &&&str| allowed.contains(*n) || ["LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"].contains(*n);
    let names = left.iter().take_while(|l| l.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect::<Vec<_>>();
    assert!(names.iter().all(known), "{names:?}");
    assert!(names.contains(&&"LC_ALL") && names.contains(&&"PATH"), "{names:?}");
    let rest: Vec<&str> = left.iter().skip(names.len()).map(|l| l.trim()).collect();
    assert_eq!(rest[0], rest[1], "it leads a group of its own");
}

#[tokio::test]
async fn secrets_go_into_the_environment_and_not_into_what_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pw");
    std::fs::write(&file, "hunter2\n").unwrap();
    let mut with = sh("echo \"it is $PASS.$PASS\"; echo \"$PASS\" >&2; echo $PLAIN; [ \"$PASS\" = hunter2 ]");
    with.environment.insert("PASS".into(), EnvValue::Secret(SecretRef::File(file.display().to_string())));
    with.environment.insert("PLAIN".into(), EnvValue::Plain("plain".into()));
    let exit = run_it(&with).await.unwrap();
    assert_eq!((exit.ended, exit.stdout.as_slice()), (Ended::Code(0), b"it is ***.***\nplain\n".as_slice()));
    assert_eq!(exit.stderr, b"***\n");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(run_it(&with).await.unwrap_err().reason, Reason::SecretUnavailable);
}

#[tokio::test]
async fn a_flood_is_a_gap_and_ends() {
    let gap = run_it(&sh("yes; true")).await.unwrap_err();
    assert_eq!((gap.reason, gap.detail.as_str()), (Reason::TooLarge, "sh here: more than 1024 KiB of output"));
    let gap = run_it(&sh("yes >&2; true")).await.unwrap_err();
    assert_eq!((gap.reason, gap.detail.as_str()), (Reason::TooLarge, "sh here: more than 64 KiB of errors"));
    let much = run_it(&sh("head -c 1048576 /dev/zero")).await.unwrap();
    assert_eq!(much.stdout.len(), LARGEST_OUTPUT);
}

#[tokio::test]
async fn what_hangs_is_killed_with_all_it_started_and_leaves_no_zombie() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let script = sh(&format!(
        "sleep 600 & echo $! >{0}; (trap '' TERM; sleep 601) & echo $! >>{0}; echo $$ >>{0}; wait",
        pids.display()
    ));
    let written = || std::fs::read_to_string(&pids).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    // At the deadline.
    let gap = run_within(&script, Duration::from_millis(700)).await.unwrap_err();
    assert_eq!((gap.reason, gap.detail.as_str()), (Reason::TimedOut, "sh here: not done in time"));
    assert_eq!(written().len(), 3);
    until("all are dead", || written().iter().all(|p| !lives(p))).await;
    // When nobody waits any more.
    std::fs::remove_file(&pids).unwrap();
    let net = Net::new();
    let task = tokio::spawn({
        let (net, script) = (Arc::clone(&net), script.clone());
        async move { net.run(&script, Instant::now() + Duration::from_secs(60)).await }
    });
    until("it runs", || written().len() == 3).await;
    task.abort();
    until("all are dead", || written().iter().all(|p| !lives(p))).await;
    until("no zombie is left", || !zombies()).await;
}

#[tokio::test]
async fn grandchildren_that_hold_the_output_open_delay_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let started = Instant::now();
    let exit = run_it(&sh(&format!("sleep 600 & echo $! >{}; echo done; exit 2", pid.display()))).await.unwrap();
    assert_eq!((exit.ended, exit.stdout.as_slice()), (Ended::Code(2), b"done\n".as_slice()));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let left = std::fs::read_to_string(&pid).unwrap();
    until("it is dead", || !lives(left.trim())).await;
    // One in a session of its own escapes the group; it delays nothing either.
    let exit = run_it(&sh(&format!("setsid sleep 600 & echo $! >{}; echo done", pid.display()))).await.unwrap();
    assert_eq!((exit.ended, exit.stdout.as_slice()), (Ended::Code(0), b"done\n".as_slice()));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let left = std::fs::read_to_string(&pid).unwrap().trim().to_owned();
    std::process::Command::new("kill").args(["-9", &left]).status().unwrap();
}

#[tokio::test]
async fn many_at_once_run_by_turns_and_all_end() {
    let net = Net::new();
    let runs = (0..60).map(|i| {
        let net = Arc::clone(&net);
        async move { net.run(&sh(&format!("echo {i}")), Instant::now() + Duration::from_secs(60)).await.unwrap().stdout }
    });
    let all = futures_util::future::join_all(runs).await;
    assert!(all.iter().enumerate().all(|(i, out)| *out == format!("{i}\n").into_bytes()));
}

#[tokio::test]
async fn a_program_reads_its_input_or_leaves_it() {
    let net = Net::new();
    let with = |script: &'static str, input: Vec<u8>| {
        let net = Arc::clone(&net);
        async move { net.run_with(&sh(script), Some(&input), Instant::now() + Duration::from_secs(20)).await.unwrap() }
    };
    assert_eq!(with("cat", b"registry.example.com".to_vec()).await.stdout, b"registry.example.com");
    assert_eq!(with("cat | wc -c", vec![b'x'; 500_000]).await.stdout.trim_ascii(), b"500000");
    assert_eq!(with("exit 4", vec![b'x'; 500_000]).await.ended, Ended::Code(4));
}

#[tokio::test]
async fn nice_goes_behind() {
    let nice = Program { nice: true, ..sh("sleep 0.2; nice") };
    let exit = run_it(&nice).await.unwrap();
    let plain: i32 = String::from_utf8(run_it(&sh("nice")).await.unwrap().stdout).unwrap().trim().parse().unwrap();
    assert_eq!(String::from_utf8(exit.stdout).unwrap().trim(), NICE.max(plain).to_string());
}

#[test]
fn a_secret_is_masked_wherever_it_stands() {
    let of = |text: &str, secret: &str| {
        let mut bytes = text.as_bytes().to_vec();
        mask(&mut bytes, &SecretString::from(secret.to_owned()));
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(of("hunter2", "hunter2"), "***");
    assert_eq!(of("a hunter2 b hunter2", "hunter2\n"), "a *** b ***");
    assert_eq!(of("hunter", "hunter2"), "hunter");
    assert_eq!(of("a b", "a"), "a b");
}

#[test]
fn a_name_stands_for_the_file_that_would_be_run() {
    let sh = find_program("sh").unwrap();
    assert!(sh.is_absolute() && sh.ends_with("sh"), "{}", sh.display());
    assert_eq!(find_program("/bin/sh"), Some("/bin/sh".into()));
    for none in ["no-such-program-here", "/no/such/file", "/etc/passwd"] {
        assert_eq!(find_program(none), None, "{none}");
    }
}
