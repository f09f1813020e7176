//! `lifeboat doctor` of every kind of probe: what it says where all is well, and what of a fault. Those that need a whole
//! lab of their own (pgBackRest, Barman, Patroni) are examined where that lab is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;

use crate::doctor::{examined, faults_of, line};
use crate::endpoints::{self, says, shop, web};
use crate::faults::Server;
use crate::faults::tls::{Authority, Certificate};
use crate::lab_faults::url;
use crate::pg::{PgPair, PgTwo};
use crate::registry::{Extras, PASSWORD, Registry, USER};
use crate::sshd::Sshd;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn plan(probes: &[(&str, String)]) -> String {
    let mut text = "here = \"elsewhere\"\n[[plan]]\nname = \"lab\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = { rpo = \
        \"30s\", rto = \"5m\" }\nsites = { east = \"home\", west = \"away\" }\nhome = \"east\"\nrequires = [\"standby\"]\n"
        .to_owned();
    for (name, keys) in probes {
        text += &format!("[[plan.probe]]\nname = \"{name}\"\ninterval = \"5s\"\ntimeout = \"5s\"\n{keys}\n");
    }
    text
}

fn script(dir: &Path, name: &str, text: &str, bits: u32) -> String {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    mode(&path, bits);
    path.display().to_string()
}

#[test]
fn programs_here_and_over_ssh() {
    let dir = tempfile::Builder::new().prefix("lifeboat-dp-").tempdir_in("/tmp").unwrap();
    mode(dir.path(), 0o755);
    let sshd = Sshd::start();
    let command =
        |argv: &[&str], more: &str| format!("kind = \"command\"\narea = \"standby\"\nargv = {argv:?}\n{more}");
    let good = script(dir.path(), "good", "echo fine", 0o755);
    let open = script(dir.path(), "open", "echo fine", 0o777);
    let silent = script(dir.path(), "silent", "exit 77", 0o755);
    let slow = script(dir.path(), "slow", "sleep 4.2; echo at last", 0o755);
    // What people put into ssh's configuration to be rid of a question.
    let loose = sshd.toml_with(sshd.port(), "user", "known_nobody");
    let file = loose.rsplit_once("config = \"").unwrap().1.split('"').next().unwrap().to_owned();
    let mut text = fs::read_to_string(&file).unwrap().replace("StrictHostKeyChecking yes", "StrictHostKeyChecking no");
    text += "UserKnownHostsFile /dev/null\n";
    fs::write(&file, text).unwrap();
    let configuration = plan(&[
        ("good", command(&[&good], "")),
        ("named", command(&["echo", "fine"], "")),
        ("open", command(&[&open], "")),
        ("missing", command(&["no-such-check-anywhere"], "")),
        ("silent", command(&[&silent], "")),
        ("slow", command(&[&slow], "")),
        ("there", command(&["echo", "fine"], &sshd.toml())),
        ("loose", command(&["echo", "fine"], &loose)),
        ("stranger", command(&["echo", "fine"], &sshd.toml_with(sshd.port(), "stranger", "known_hosts"))),
        ("other-host", command(&["echo", "fine"], &sshd.toml_with(sshd.port(), "user", "known_other"))),
    ]);
    let (code, found) = examined(&configuration, &[]);
    assert_eq!(code, 3, "{found:#?}");
    for (probe, faults) in [
        ("good", &[][..]),
        ("named", &[]),
        ("there", &[]),
        ("open", &["writable-by-all"]),
        ("missing", &["not-runnable"]),
        ("silent", &["program-failed"]),
        ("slow", &["slow"]),
        ("loose", &["host-key-unchecked"]),
        ("stranger", &["ssh-denied"]),
        ("other-host", &["host-key"]),
    ] {
        assert_eq!(faults_of(&found, probe), faults, "{probe}: {found:#?}");
    }
    assert!(line(&found, "good", "program").sentence.contains(&good));
    assert!(line(&found, "there", "ssh").sentence.contains(&format!("127.0.0.1 at port {}", sshd.port())));
    let next = &line(&found, "loose", "host-key-unchecked").next;
    assert!(next.contains(&format!("ssh-keyscan -p {} 127.0.0.1", sshd.port())), "{next}");
}

#[test]
fn endpoints_their_certificates_tokens_and_addresses() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("lab authority");
    let roots = authority.write(dir.path()).display().to_string();
    let (plain, good, expired, skewed) = runtime.block_on(async {
        (
            web(None, shop).await,
            web(Some(authority.server(Certificate::Good)), shop).await,
            web(Some(authority.server(Certificate::Expired)), shop).await,
            web(None, |_| says("200 OK\r\ndate: Sat, 28 Nov 2020 12:00:00 GMT", "")).await,
        )
    });
    let token = |name: &str, seconds: i64| {
        let end = lifeboat::clock::now().wall.timestamp() + seconds;
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{end}}}"));
        let path = dir.path().join(name);
        fs::write(&path, format!("e30.{claims}.c2ln")).unwrap();
        format!("token = {{ file = \"{}\" }}", path.display())
    };
    let http = |server: &Server, path: &str, more: &str| {
        format!("kind = \"http\"\nat = {{ west = \"http://127.0.0.1:{}{path}\" }}\n{more}", server.addr.port())
    };
    let https = |server: &Server, more: &str| {
        format!("kind = \"http\"\nat = {{ west = \"https://localhost:{}/health\" }}\n{more}", server.addr.port())
    };
    let trusted = |more: &str| format!("roots = \"{roots}\"\n{more}");
    let tls = |server: &Server| {
        format!("kind = \"tls\"\nat = {{ west = \"localhost:{}\" }}\nroots = \"{roots}\"", server.addr.port())
    };
    let tcp = format!("kind = \"tcp\"\nat = {{ west = \"127.0.0.1:{}\" }}", plain.addr.port());
    let (code, found) = examined(
        &endpoints::configuration(&[
            ("health", http(&plain, "/health", "")),
            ("closed", http(&plain, "/secret", "")),
            ("down", http(&plain, "/down", "")),
            ("clear", http(&plain, "/health", &token("far", 90 * 86_400))),
            ("skewed", http(&skewed, "/", "")),
            ("https", https(&good, &trusted(""))),
            ("any", https(&good, "insecure = true")),
            ("strange", https(&good, "")),
            ("expired", https(&expired, &trusted(""))),
            ("soon", https(&good, &trusted(&token("soon", 5 * 86_400)))),
            ("over", https(&good, &trusted(&token("over", -5)))),
            ("tls", tls(&good)),
            ("tls-expired", tls(&expired)),
            ("tcp", tcp),
        ]),
        &[],
    );
    assert_eq!(code, 2);
    for (probe, faults) in [
        ("health", &[][..]),
        ("closed", &["not-let-in"]),
        // That it is down is no fault of seeing: check says that.
        ("down", &[]),
        ("clear", &["password-in-clear"]),
        ("skewed", &["clock-skew"]),
        ("https", &[]),
        ("tcp", &[]),
        ("tls-expired", &["certificate-expired", "expired"]),
    ] {
        assert_eq!(faults_of(&found, probe), faults, "{probe}: {found:#?}");
    }
    for (probe, code, verdict) in [
        ("https", "good-until", "ready"),
        ("tls", "good-until", "ready"),
        ("any", "certificate-unchecked", "degraded"),
        ("strange", "unknown-issuer", "not-ready"),
        ("expired", "certificate-expired", "not-ready"),
        ("soon", "expires-soon", "degraded"),
        ("over", "expired", "not-ready"),
    ] {
        assert_eq!(line(&found, probe, code).verdict, verdict, "{probe}: {found:#?}");
    }
    assert!(line(&found, "soon", "expires-soon").sentence.contains("the token for localhost"), "{found:#?}");
    assert!(line(&found, "tls", "good-until").sentence.contains("lab authority"), "{found:#?}");
}

#[test]
fn directories_of_backups_and_what_reads_them() {
    let dumps = crate::backup_files::Dumps::make();
    let dir = tempfile::Builder::new().prefix("lifeboat-df-").tempdir_in("/tmp").unwrap();
    let mut plans = vec!["here = \"elsewhere\"\n".to_owned()];
    let mut add = |name: &str, more: &str| {
        let own = dir.path().join(name);
        fs::create_dir(&own).unwrap();
        plans.push(crate::backup_files::plan(name, &own, more));
        own
    };
    let decode = "decode = \"newest\"";
    for (name, dump) in [("custom", "custom"), ("compressed", "xz"), ("own", "zstd"), ("directory", "directory")] {
        dumps.put(dump, &add(name, decode).join("b1"), 3_600);
    }
    dumps.put("custom", &add("strange", decode).join("other-name"), 3_600);
    add("empty", decode);
    // What a pg_dump writes that this machine's pg_restore is too old for: the version is the two bytes after PGDMP.
    let mut newer = dumps.bytes("custom");
    newer[6] = 99;
    crate::backup_files::write(&add("newer", decode).join("b1"), &newer, 3_600);
    fs::remove_dir(add("gone", "")).unwrap();
    let text = plans.concat();
    let (code, found) = examined(&text, &[]);
    assert_eq!(code, 3, "{found:#?}");
    let codes = |plan: &str| {
        let mine = found.iter().filter(|f| f.about.starts_with(&format!("{plan}/")));
        mine.map(|f| format!("{} {}", f.verdict, f.code)).collect::<Vec<_>>()
    };
    for (plan, wanted) in [
        ("custom", "ready tool"),
        ("compressed", "ready tool"),
        ("own", "ready tool"),
        ("directory", "ready tool"),
        ("strange", "degraded nothing-matches"),
        ("empty", "degraded no-backup"),
        ("newer", "degraded tool-fails"),
        ("gone", "unknown absent"),
    ] {
        assert!(codes(plan).iter().any(|c| c == wanted), "{plan} {wanted}: {found:#?}");
    }
    assert!(!codes("custom").iter().any(|c| !c.starts_with("ready")), "{found:#?}");
    let newer = found.iter().find(|f| f.code == "tool-fails").unwrap();
    assert!(newer.sentence.contains("unsupported version (1.99)"), "{newer:?}");
    // On a machine without the programs.
    let (_, found) = examined(&text, &[("PATH", "/nowhere")]);
    let missing = found.iter().filter(|f| f.code == "no-tool").map(|f| f.about.as_str()).collect::<Vec<_>>();
    assert_eq!(missing.len(), 4, "custom, directory, newer and compressed: {missing:?}");
}

#[test]
fn registries_who_asks_them_and_what_may_be_pulled() {
    let registry = Registry::start();
    let closed = Registry::with(&Extras { password: true, ..Extras::default() }, None);
    for r in [&registry, &closed] {
        r.push("team/api", "v1", "one");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (file("right", PASSWORD), file("wrong", "guess"));
    let images = |r: &Registry, more: &str| {
        format!("kind = \"images\"\nat = {{ west = \"http://{}/team\" }}\nimages = [\"api:v1\"]\n{more}", r.host())
    };
    let user = |password: &str| format!("user = \"{USER}\"\npassword = {{ file = \"{password}\" }}");
    let (code, found) = examined(
        &plan(&[
            ("free", images(&registry, "")),
            ("closed", images(&closed, &user(&right))),
            ("wrong", images(&closed, &user(&wrong))),
            ("nobody", images(&closed, "anonymous = true")),
        ]),
        &[],
    );
    assert_eq!(code, 3, "{found:#?}");
    assert_eq!(faults_of(&found, "free"), [""; 0], "{found:#?}");
    assert!(line(&found, "free", "pull").sentence.ends_with("lets 1 of 1 images be read"), "{found:#?}");
    assert_eq!(faults_of(&found, "closed"), ["password-in-clear"]);
    for probe in ["wrong", "nobody"] {
        assert!(faults_of(&found, probe).contains(&"wrong-password"), "{probe}: {found:#?}");
    }
    assert!(!format!("{found:?}").contains(PASSWORD));
}

#[test]
fn a_query_that_may_not_be_asked_is_told_with_its_grant() {
    let pair = PgPair::start();
    for sql in [
        "CREATE TABLE sales (at timestamptz); INSERT INTO sales VALUES (now()); GRANT SELECT ON sales TO lifeboat",
        "CREATE TABLE \"Hidden Sales\" (at timestamptz)",
        "CREATE SCHEMA vault; CREATE TABLE vault.sales_log (at timestamptz); GRANT SELECT ON vault.sales_log TO lifeboat",
        "CREATE TABLE secret (at timestamptz)",
    ] {
        pair.primary.sql(sql);
    }
    pair.in_step();
    let check = |query: &str, site: &str| {
        let server = if site == "east" { &pair.primary } else { &pair.standby };
        let at = url(server, "lifeboat");
        format!("kind = \"sql-check\"\narea = \"standby\"\nat = {{ {site} = \"{at}\" }}\nquery = {query:?}\nexpect = 0")
    };
    let restored = format!(
        "kind = \"postgres\"\nmode = \"restored\"\nat = {{ west = \"{}\" }}\nfreshness_query = \"SELECT max(at) FROM secret\"",
        url(&pair.primary, "lifeboat")
    );
    let text = plan(&[
        ("may", check("SELECT count(*) FROM sales", "east")),
        ("table", check("SELECT count(*) FROM sales, Secret", "east")),
        ("schema", check("SELECT count(*) FROM vault.sales_log", "west")),
        ("restored", restored),
    ]);
    let (code, found) = examined(&text, &[]);
    assert_eq!(code, 2, "{found:#?}");
    assert_eq!(faults_of(&found, "may"), ["not-encrypted"], "no privilege of pg_monitor is asked for: {found:#?}");
    assert_eq!(line(&found, "table", "privilege-missing").next, "GRANT SELECT ON public.secret TO \"lifeboat\";");
    let next = &line(&found, "schema", "privilege-missing").next;
    assert_eq!(next, "GRANT USAGE ON SCHEMA vault TO \"lifeboat\"; on the primary, from where it is replicated");
    assert_eq!(line(&found, "restored", "privilege-missing").next, "GRANT SELECT ON public.secret TO \"lifeboat\";");
    // What it says helps.
    pair.primary.sql(&line(&found, "table", "privilege-missing").next);
    pair.primary.sql("GRANT USAGE ON SCHEMA vault TO \"lifeboat\"");
    pair.in_step();
    let (code, found) = examined(&text, &[]);
    assert_eq!(code, 1, "{found:#?}");
    assert!(!found.iter().any(|f| f.code == "privilege-missing"), "{found:#?}");
}

#[test]
fn sequences_that_a_logical_replication_leaves_behind_must_be_readable() {
    let two = PgTwo::start();
    crate::postgres_logical::shop(&two);
    let text = crate::postgres_logical::text(&two, "");
    let (code, found) = examined(&text, &[]);
    assert_eq!(code, 1, "{found:#?}");
    assert!(found.iter().filter(|f| f.code == "sequences" && f.verdict == "ready").count() == 2, "{found:#?}");
    for sql in
        ["CREATE SCHEMA \"S x\"; CREATE SEQUENCE \"S x\".one", "REVOKE SELECT ON SEQUENCE orders_id_seq FROM lifeboat"]
    {
        two.west.sql(sql);
    }
    let (code, found) = examined(&text, &[]);
    assert_eq!(code, 2, "{found:#?}");
    let grants: Vec<&str> = found.iter().filter(|f| f.code == "privilege-missing").map(|f| f.next.as_str()).collect();
    let wanted = [
        "GRANT SELECT ON SEQUENCE \"S x\".one TO \"lifeboat\";",
        "GRANT SELECT ON SEQUENCE public.orders_id_seq TO \"lifeboat\";",
    ];
    assert_eq!(grants, wanted, "{found:#?}");
    grants.iter().for_each(|g| drop(two.west.sql(g)));
    assert_eq!(examined(&text, &[]).0, 1);
}
