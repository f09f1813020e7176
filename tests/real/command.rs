//! Real plugins, real scripts, here and over a real ssh: what they say is what the board shows.

use std::net::TcpListener;
use std::time::Duration;

use lifeboat::readiness::{Finding, PlanStatus, Verdict};

use crate::faults::Server;
use crate::process::with_argument;
use crate::sshd::Sshd;
use crate::watch::{Watch, describe};

const PLUGINS: &str = "/usr/lib/nagios/plugins";
const LIMIT: Duration = Duration::from_secs(20);

/// A plan with one command.
fn plan(name: &str, keys: &str) -> String {
    format!(
        "[[plan]]\nname = \"{name}\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
         sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"standby\"]\n[[plan.probe]]\n\
         name = \"probe\"\nkind = \"command\"\narea = \"standby\"\ninterval = \"1h\"\ntimeout = \"10s\"\n{keys}\n"
    )
}

fn argv(words: &[&str]) -> String {
    format!("argv = {words:?}")
}

fn script(text: &str) -> String {
    argv(&["sh", "-c", text])
}

/// What the command said, once it was judged.
fn said(watch: &Watch, name: &str) -> Finding {
    let of = |s: &PlanStatus| s.findings.iter().find(|f| f.rule.as_str() == "command.says").cloned();
    watch.until(name, "judged", LIMIT, |s| of(s).is_some());
    let status = watch.newest(name).unwrap();
    assert_eq!(status.readiness, of(&status).unwrap().verdict, "{}", describe(&status));
    of(&status).unwrap()
}

#[test]
fn plugins_and_scripts_say_how_things_stand() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port().to_string();
    let closed = Server::refused();
    let shut = closed.addr.port().to_string();
    let plugin = |name: &str| format!("{PLUGINS}/{name}");
    let json = "echo '{\"verdict\": \"degraded\", \"summary\": \"3 of 4 brokers\", \"next\": \"start the fourth\", \
                \"values\": {\"brokers\": {\"value\": 3}}}'; exit 1";
    let stale = "echo '{\"verdict\": \"ready\", \"summary\": \"all fine\", \"as_of\": \"2020-01-01T00:00:00Z\"}'";
    let plans = [
        plan("open", &argv(&[&plugin("check_tcp"), "-H", "127.0.0.1", "-p", &open, "-w", "5", "-c", "9"])),
        plan("shut", &argv(&[&plugin("check_tcp"), "-H", "127.0.0.1", "-p", &shut])),
        plan("warning", &argv(&[&plugin("check_dummy"), "1", "a little"])),
        plan("dunno", &argv(&[&plugin("check_dummy"), "3"])),
        plan(
            "procs",
            &format!("{}\nchart = \"procs\"", argv(&[&plugin("check_procs"), "-w", "1:99999", "-c", "1:99999"])),
        ),
        plan("json", &format!("{}\nformat = \"json\"", script(json))),
        plan("stale", &format!("{}\nformat = \"json\"\nmax_age = \"1h\"", script(stale))),
        plan(
            "secret",
            &format!(
                "{}\nenvironment = {{ TOKEN = {{ command = [\"echo\", \"hunter2\"] }} }}",
                script("echo \"OK with $TOKEN\"")
            ),
        ),
        plan("children", &script("sleep 600 & echo 'OK: started'")),
    ];
    let watch = Watch::start(&plans.concat());
    let told = |name: &str| {
        let finding = said(&watch, name);
        (finding.verdict, finding.sentence.to_string())
    };
    let opened = said(&watch, "open");
    assert_eq!(opened.verdict, Verdict::Ready, "{opened:?}");
    assert!(opened.sentence.as_str().starts_with("probe: TCP OK - "), "{}", opened.sentence);
    assert!(opened.chart.as_ref().is_some_and(|(key, _)| key.signal.as_str() == "command.value"), "{opened:?}");
    assert!(opened.evidence.iter().any(|e| e.what.as_str() == "time"), "{:?}", opened.evidence);
    assert_eq!(told("shut").0, Verdict::NotReady);
    assert_eq!(told("warning"), (Verdict::Degraded, "probe: WARNING: a little".to_owned()));
    assert_eq!(told("dunno").0, Verdict::Unknown);
    assert_eq!(told("procs").0, Verdict::Ready);
    let json = said(&watch, "json");
    assert_eq!((json.verdict, json.next.as_ref().map(|n| n.as_str())), (Verdict::Degraded, Some("start the fourth")));
    assert_eq!((told("stale").0, said(&watch, "stale").code.as_ref()), (Verdict::Unknown, "too-old"));
    assert_eq!(told("secret"), (Verdict::Ready, "probe: OK with ***".to_owned()));
    assert_eq!(told("children"), (Verdict::Ready, "probe: OK: started".to_owned()));
}

#[test]
fn a_command_runs_on_another_host_and_what_hangs_there_ends_there() {
    let sshd = Sshd::start();
    let over = |keys: String| format!("{keys}\n{}", sshd.toml());
    // A length of sleep that nobody else sleeps for.
    let mark = format!("{}.777", 200_000 + std::process::id());
    let hang = plan("hang", &over(argv(&["sleep", &mark]))).replace("timeout = \"10s\"", "timeout = \"2s\"");
    let plans = [
        plan("plugin", &over(argv(&[&format!("{PLUGINS}/check_dummy"), "0", "it's $HOME; fine"]))),
        plan("critical", &over(argv(&[&format!("{PLUGINS}/check_dummy"), "2"]))),
        plan("bare", &over(script("echo OK: $0 >&1")).replace("config =", "bare = true, config =")),
        hang,
    ];
    let watch = Watch::start(&plans.concat());
    let plugin = said(&watch, "plugin");
    assert_eq!((plugin.verdict, plugin.sentence.as_str()), (Verdict::Ready, "probe: OK: it's $HOME; fine"));
    assert_eq!(said(&watch, "critical").verdict, Verdict::NotReady);
    assert_eq!(said(&watch, "bare").verdict, Verdict::Ready);
    let timed_out = |s: &PlanStatus| s.findings.iter().any(|f| f.code == "timed-out");
    watch.until("hang", "timed out", LIMIT, timed_out);
    crate::pg::until("it is gone there", || with_argument(&mark).is_empty());
}
