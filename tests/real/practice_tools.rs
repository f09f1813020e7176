//! Debian's own tools on the practice world's servers: what `dig`, `nsupdate`, `skopeo` and `curl` make of them.

use std::process::{Command, Output};

use base64::Engine as _;
use lifeboat::practice::others::KEY;
use lifeboat::practice::world::network::Site;
use serde_json::Value;

#[path = "../support/practice.rs"]
#[expect(dead_code, reason = "the fast tests use all of it")]
mod practice;

use crate::dns::support::dig;
use crate::registry::sha256;
use practice::{Practice, SECRET};

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn dig_reads_the_authority_and_the_resolvers() {
    let practice = Practice::start(1.0);
    let at = practice.at("dns");
    assert_eq!(dig(at, "shop.practice.example", "A"), "127.0.1.1");
    assert!(dig(at, "practice.example", "SOA").starts_with("ns1.practice.example. hostmaster.practice.example. "));
    assert_eq!(dig(at, "practice.example", "NS"), "ns1.practice.example.");
    let (server, port) = (format!("@{}", at.ip()), at.port().to_string());
    let ask = |more: &[&str]| said(&run("dig", &[&[&server, "-p", &port, "+tries=1", "+time=2"], more].concat()));
    let full = ask(&["shop.practice.example", "A", "+tcp", "+dnssec"]);
    assert!(
        full.contains("flags: qr aa rd;") && full.contains("status: NOERROR") && full.contains("EDNS: version: 0"),
        "{full}"
    );
    assert!(ask(&["nope.practice.example"]).contains("status: NXDOMAIN"));
    assert!(ask(&["example.com"]).contains("status: REFUSED"));
    assert!(ask(&["practice.example", "AXFR"]).contains("Transfer failed"));
    assert!(ask(&["shop.practice.example", "+opcode=notify"]).contains("status: NOTIMP"));
    assert!(ask(&["shop.practice.example", "+edns=1", "+noednsnegotiation"]).contains("status: BADVERS"));
    for resolver in ["resolver-1", "resolver-2"] {
        let at = practice.at(resolver);
        let full =
            said(&run("dig", &[&format!("@{}", at.ip()), "-p", &at.port().to_string(), "shop.practice.example"]));
        assert!(full.contains("flags: qr rd ra;") && full.contains("127.0.1.1"), "{full}");
    }
}

#[test]
fn nsupdate_moves_a_record_and_resolvers_follow() {
    let practice = Practice::start(10.0);
    let at = practice.at("dns");
    let update = |key: &str, before: &str| {
        let script = format!(
            "server {} {}\nzone practice.example\n{before}update delete shop.practice.example. A\n\
             update add shop.practice.example. 30 A 127.0.2.1\nsend\n",
            at.ip(),
            at.port()
        );
        let file = practice.dir.path().join("update");
        std::fs::write(&file, script).unwrap();
        let mut arguments = vec!["-t", "3"];
        if !key.is_empty() {
            arguments.extend(["-y", key]);
        }
        arguments.push(file.to_str().unwrap());
        let output = run("nsupdate", &arguments);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let base64 = base64::engine::general_purpose::STANDARD;
    let right = format!("hmac-sha256:{KEY}:{}", base64.encode(SECRET));
    let wrong = format!("hmac-sha256:{KEY}:{}", base64.encode(b"something else"));
    let (done, why) = update("", "");
    assert!(!done && why.contains("REFUSED"), "{why}");
    let (done, why) = update(&wrong, "");
    assert!(!done && why.contains("BADSIG"), "{why}");
    let (done, why) = update(&format!("hmac-sha256:stranger:{}", base64.encode(SECRET)), "");
    assert!(!done && why.contains("BADKEY"), "{why}");
    let (done, why) = update(&right, "prereq nxrrset shop.practice.example. A\n");
    assert!(!done && why.contains("YXRRSET"), "{why}");
    let (done, why) = update(&right, "prereq yxrrset shop.practice.example. A 127.0.2.1\n");
    assert!(!done && why.contains("NXRRSET"), "{why}");
    assert_eq!(dig(at, "shop.practice.example", "A"), "127.0.1.1");
    let (done, why) = update(&right, "prereq yxrrset shop.practice.example. A 127.0.1.1\n");
    assert!(done, "{why}");
    assert_eq!(dig(at, "shop.practice.example", "A"), "127.0.2.1");
    practice.until("users follow", |w| w.log().iter().any(|h| h.what.to_string() == "the users of shop go to west"));
    assert_eq!(dig(practice.at("resolver-1"), "shop.practice.example", "A"), "127.0.2.1");
}

#[test]
fn skopeo_reads_both_registries() {
    let practice = Practice::start(1.0);
    let image = |registry: &str, name: &str| format!("docker://{}/{name}", practice.at(registry));
    let skopeo = |arguments: &[&str]| run("skopeo", &[&["--insecure-policy"], arguments].concat());
    let raw = |registry| {
        let output = skopeo(&["inspect", "--tls-verify=false", "--raw", &image(registry, "shop/api:1.42.0")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert_eq!(raw("registry-east"), raw("registry-west"));
    let index: Value = serde_json::from_slice(&raw("registry-west")).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    let output = skopeo(&["inspect", "--tls-verify=false", &image("registry-west", "shop/api:1.42.0")]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(shown["Digest"].as_str().unwrap(), sha256(&raw("registry-west")));
    assert_eq!((shown["Architecture"].as_str(), shown["RepoTags"][0].as_str()), (Some("amd64"), Some("1.42.0")));
    let copied = practice.dir.path().join("copied");
    let to = format!("dir:{}", copied.display());
    let output =
        skopeo(&["copy", "-q", "--all", "--src-tls-verify=false", &image("registry-west", "shop/api:1.42.0"), &to]);
    assert!(output.status.success(), "every part is pulled and checked: {}", String::from_utf8_lossy(&output.stderr));
    let missing = |name: &str| {
        let output = skopeo(&["inspect", "--tls-verify=false", &image("registry-west", name)]);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(missing("shop/api:9").contains("manifest unknown"), "{}", missing("shop/api:9"));
    assert!(missing("shop/nope:1").contains("name unknown"), "{}", missing("shop/nope:1"));
    let from = practice.dir.path().join("copied").display().to_string();
    let pushed = skopeo(&[
        "copy",
        "-q",
        "--dest-tls-verify=false",
        &format!("dir:{from}"),
        &image("registry-west", "shop/api:2"),
    ]);
    assert!(!pushed.status.success(), "it is for reading");
}

#[test]
fn curl_reads_patroni_and_the_endpoints() {
    let practice = Practice::start(1.0);
    let curl = |url: &str, more: &[&str]| {
        let output = run("curl", &[&["-sS", "-m", "5", "-w", "\n%{http_code}", url], more].concat());
        let text = said(&output);
        let (body, status) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{output:?}"));
        (status.to_owned(), body.to_owned())
    };
    let api = |path: &str| format!("http://{}{path}", practice.at("patroni-catalog-east-1"));
    assert_eq!(curl(&api("/primary"), &[]).0, "200");
    assert_eq!(curl(&api("/replica"), &[]).0, "503");
    assert_eq!(curl(&api("/primary"), &["-X", "OPTIONS"]).0, "200");
    assert_eq!(curl(&api("/config"), &["-X", "PUT", "-d", "{}"]).0, "501");
    assert_eq!(curl(&api("/config"), &["-X", "PATCH", "-d", "nonsense"]).0, "400");
    let refused = curl(&api("/switchover"), &["-d", "{\"leader\":\"x\",\"candidate\":\"y\"}"]);
    assert_eq!(refused, ("412".to_owned(), "leader name does not match".to_owned()));
    let moved = curl(
        &api("/switchover"),
        &["-m", "30", "-d", "{\"leader\":\"catalog-east-1\",\"candidate\":\"catalog-east-2\"}"],
    );
    assert_eq!(moved, ("200".to_owned(), "Successfully switched over to \"catalog-east-2\"".to_owned()));
    let web = |site: Site, path: &str| {
        let (east, west, port) = practice.traffic;
        let ip = if site == Site::East { east } else { west };
        curl(&format!("http://{ip}:{port}{path}"), &[]).0
    };
    assert_eq!((web(Site::East, "/healthz"), web(Site::West, "/healthz")), ("200".to_owned(), "200".to_owned()));
    assert_eq!((web(Site::East, "/ready"), web(Site::West, "/ready")), ("200".to_owned(), "503".to_owned()));
    assert_eq!(web(Site::East, "/nothing"), "404");
}
