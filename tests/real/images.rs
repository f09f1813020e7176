//! The `images` probe on real registries, and what goes wrong between two of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lifeboat::net::Net;
use lifeboat::plan::Plan;
use lifeboat::readiness::{Facts, Gap, PlanStatus, Reading, Readings, Reason, Row, Value, Verdict, judge};
use lifeboat::systems::images::signals;
use lifeboat::systems::{self, Lane, Look};
use lifeboat::{clock, config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::faults::Server;
use crate::pg::until;
use crate::registry::{Extras, INDEX, MANIFEST, PASSWORD, Registry, UNCOMPRESSED, USER, copy};
use crate::token::{Counting, TokenServer};

/// A plan with one `images` probe, its lanes, and what they read.
struct Rig {
    plan: Arc<Plan>,
    lanes: Vec<Box<dyn Lane>>,
    readings: Readings,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    fn new(options: &str) -> Self {
        let text = format!(
            "here = \"elsewhere\"\n[[plan]]\nname = \"shop\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \
             \"30s\", rto = \"5m\" }}\nsites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = \
             [\"images\"]\n[[plan.probe]]\nname = \"images\"\nkind = \"images\"\ntimeout = \"3s\"\n{options}\n"
        );
        let config = config::parse("test.toml", &text).unwrap_or_else(|e| panic!("{e}"));
        let plan = Arc::clone(&config.plans[0]);
        let lanes = (systems::kind("images").unwrap().open)(&plan, &plan.probes[0], &Net::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { plan, lanes, readings: Readings::default(), runtime }
    }

    /// One look of every lane, and the plan's status by it.
    fn look(&mut self) -> PlanStatus {
        self.look_changed(|_, _| {})
    }

    /// The same, with readings changed on their way.
    fn look_changed(&mut self, change: impl Fn(usize, &mut Vec<Reading>)) -> PlanStatus {
        let asked = clock::now();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
        let all = futures_util::future::join_all(self.lanes.iter_mut().map(|l| l.look(deadline)));
        let looks: Vec<Look> = self.runtime.block_on(all);
        let took = clock::now().since(asked);
        assert!(took <= Duration::from_millis(3_200), "a look took {took:?}, its deadline is 3 s");
        let probe = &self.plan.probes[0];
        for (i, (decl, look)) in probe.lanes.iter().zip(looks).enumerate() {
            let lane = probe.lane_id(decl);
            let reading = |o: systems::Observed| Reading {
                key: lane.key(o.signal),
                value: o.value,
                asked,
                answered: clock::now(),
                as_of: o.as_of,
            };
            let mut readings: Vec<Reading> = look.observed.into_iter().map(reading).collect();
            assert_eq!(readings.len(), decl.expects.len(), "every look brings every expected signal");
            change(i, &mut readings);
            self.readings.take(&lane, asked, readings);
        }
        let (clocks, boot) = (std::collections::HashMap::new(), "boot".into());
        let facts = Facts {
            plan: &self.plan,
            readings: &self.readings,
            clocks: &clocks,
            last_active: None,
            boot: &boot,
            watching: false,
            rehearsed: &[],
        };
        judge(&self.plan, &facts, &systems::rules(), None, clock::now())
    }

    /// What one more look finds, worst first, `Ready` left out.
    fn found(&mut self) -> Vec<String> {
        let status = self.look();
        let bad = status.findings.iter().filter(|f| f.verdict != Verdict::Ready);
        bad.map(|f| format!("{} {}/{} [{}] {}", f.verdict, f.rule, f.code, f.subject, f.sentence)).collect()
    }

    /// That the newest finding reads like this, and nothing else is wrong.
    fn finds(&mut self, right: &[&str]) {
        let found = self.found();
        let matches = found.len() == right.len() && found.iter().zip(right).all(|(f, r)| f.starts_with(r));
        assert!(matches, "found:\n{}\nright:\n{}", found.join("\n"), right.join("\n"));
    }
}

/// Two registries, the image `shop/api:1` in both.
struct Pair {
    east: Registry,
    west: Registry,
}

impl Pair {
    fn start() -> Self {
        let pair = Self { east: Registry::start(), west: Registry::start() };
        pair.east.push("shop/api", "1", "one");
        copy(true, &format!("{}/shop/api:1", pair.east.host()), &format!("{}/shop/api:1", pair.west.host()));
        pair
    }

    fn rig(&self, more: &str) -> Rig {
        Rig::new(&format!("{}\nimages = [\"api:1\"]\n{more}", self.at()))
    }

    fn at(&self) -> String {
        format!(
            "http = true\nanonymous = true\nat = {{ east = \"{}/shop\", west = \"{}/shop\" }}",
            self.east.host(),
            self.west.host()
        )
    }
}

#[test]
fn what_goes_wrong_between_two_registries() {
    let mut pair = Pair::start();
    let mut rig = pair.rig("");
    rig.finds(&[]);
    let status = rig.look();
    assert_eq!(status.readiness, Verdict::Ready);
    let sentences: Vec<&str> = status.findings.iter().map(|f| f.sentence.as_str()).collect();
    assert!(sentences.contains(&"api:1 is in west, as in east"), "{sentences:?}");
    assert!(sentences.contains(&"1 image in west could be pulled: all 6 parts are there"), "{sentences:?}");

    // The tag moves on in east alone: another build.
    let (newer, _) = pair.east.push("shop/api", "1", "two");
    rig.finds(&["not ready images.presence/stale [west api:1] api:1 in west is another build than in east: sha256:"]);
    assert!(rig.found()[0].ends_with(&format!(" instead of {}", &newer[..19])));

    // Copied without --all: this machine's platform only.
    let (from, to) = (format!("{}/shop/api:1", pair.east.host()), format!("{}/shop/api:1", pair.west.host()));
    copy(false, &from, &to);
    rig.finds(&["degraded images.presence/single-platform [west api:1] api:1 in west is a single-platform copy: east"]);
    let mut needing = pair.rig("platforms = [\"linux/arm64\"]");
    let lacking = "not ready images.contents/platform-missing [west api:1] api:1 in west is not there for linux/arm64";
    if std::env::consts::ARCH == "x86_64" {
        needing.finds(&[lacking]);
    }
    copy(true, &from, &to);
    rig.finds(&[]);
    needing.finds(&[]);

    // Layers that are compressed on the way make another manifest of the same image.
    pair.east.push("shop/raw", "1", UNCOMPRESSED);
    let [raw, copied] = [&pair.east, &pair.west].map(|r| format!("{}/shop/raw:1", r.host()));
    copy(true, &raw, &copied);
    let digest = |r: &Registry| r.ask(http::Method::HEAD, "shop/raw/manifests/1", Some(INDEX), vec![]).headers;
    assert_ne!(digest(&pair.east)["docker-content-digest"], digest(&pair.west)["docker-content-digest"]);
    Rig::new(&format!("{}\nimages = [\"raw:1\"]", pair.at())).finds(&[]);

    // A tag that was never pushed, in a repository that is there, and in one that is not.
    let list = |images: &str| Rig::new(&format!("{}\nimages = {images}", pair.at()));
    pair.east.push("shop/worker", "1", "one");
    list("[\"worker:1\"]").finds(&["not ready images.presence/missing [west worker:1] worker:1 is not in west"]);
    list("[\"api:9\"]").finds(&[
        "not ready images.presence/missing-everywhere [west api:9] api:9 is neither in west nor in east",
        "degraded images.presence/missing-active [east api:9] api:9 is not in east",
    ]);
    let digest = pair.west.ask(http::Method::HEAD, "shop/api/manifests/1", Some(INDEX), vec![]);
    let digest = digest.header("docker-content-digest").unwrap().to_owned();
    list(&format!("[\"api@{digest}\"]")).finds(&[]);

    // Hang, and gone.
    pair.west.signal("-STOP");
    let mut fresh = pair.rig("");
    let found = fresh.found();
    assert!(found[0].starts_with("unknown reach/timed-out [west]"), "{found:?}");
    pair.west.signal("-CONT");
    fresh.finds(&[]);
    pair.west.stop();
    let mut fresh = pair.rig("");
    assert!(fresh.found()[0].starts_with("unknown reach/refused [west]"), "once may be a restart");
    assert!(fresh.found()[0].starts_with("not ready reach/refused [west]"));
}

/// Law 1: a key that never comes, comes as a gap or as nonsense, a table without a column: never ready.
#[test]
fn nothing_is_ready_without_all_of_its_evidence() {
    let pair = Pair::start();
    let mut ready = Vec::new();
    let mut try_with = |what: String, change: &dyn Fn(usize, &mut Vec<Reading>)| {
        let status = pair.rig("").look_changed(change);
        if status.readiness == Verdict::Ready {
            ready.push(what);
        }
    };
    try_with("all of it".to_owned(), &|_, _| {});
    for (lane, of) in [(0, "east"), (1, "west")] {
        for signal in [signals::LIST, signals::MANIFESTS, signals::CONTENTS, signals::COUNT] {
            let there = |r: &Reading| r.key.signal == signal;
            try_with(format!("{of} without {signal}"), &|i, all| all.retain(|r| i != lane || !there(r)));
            let with = |value: Result<Value, Gap>| {
                move |i: usize, all: &mut Vec<Reading>| {
                    all.iter_mut().filter(|r| i == lane && there(r)).for_each(|r| r.value = value.clone());
                }
            };
            try_with(format!("{of} {signal} timed out"), &with(Err(Reason::TimedOut.into())));
            // How many there are is for the chart alone, and a list in the configuration is what it is.
            if signal != signals::COUNT && signal != signals::LIST {
                for value in [Value::Null, Value::NotApplicable, Value::Bool(true), Value::Rows(vec![Row::default()])] {
                    try_with(format!("{of} {signal} {value:?}"), &with(Ok(value)));
                }
                try_with(format!("{of} {signal} empty"), &with(Ok(Value::Rows(vec![]))));
            }
        }
        for (signal, columns) in [
            (signals::MANIFESTS, ["image", "pinned", "outcome", "detail", "digest", "index"].as_slice()),
            (signals::CONTENTS, &["image", "platform", "digest", "config", "outcome", "detail", "parts", "verified"]),
        ] {
            for column in columns {
                try_with(format!("{of} {signal} without {column}"), &|i, all| {
                    for reading in all.iter_mut().filter(|r| i == lane && r.key.signal == signal) {
                        let Ok(Value::Rows(rows)) = &mut reading.value else { panic!() };
                        let mut some = rows.to_vec();
                        some.iter_mut().for_each(|row| assert!(row.remove(column).is_some()));
                        reading.value = Ok(Value::Rows(some));
                    }
                });
            }
        }
    }
    assert_eq!(ready, ["all of it"]);
}

#[test]
fn an_image_that_cannot_be_pulled_is_found() {
    let pair = Pair::start();
    let mut rig = pair.rig("verify_every = \"60s\"");
    rig.finds(&[]);
    let head = |what: &str| pair.west.ask(http::Method::HEAD, what, Some(MANIFEST), vec![]).status;
    // The same build again, for its digests.
    let (_, parts) = pair.east.push("shop/api", "1", "one");
    let [manifest, config, layer] = parts.as_slice() else { panic!("{parts:?}") };
    // The layer goes away: what was seen within the hour is believed, a new session finds it at once.
    pair.west.delete("shop/api", "blobs", layer);
    assert_eq!(head(&format!("shop/api/blobs/{layer}")), 404);
    let incomplete = "degraded images.contents/incomplete-platform [west api:1] api:1 for linux/amd64 in west cannot be \
                      pulled: the layer sha256:";
    pair.rig("").finds(&[incomplete]);
    let needed =
        "not ready images.contents/incomplete [west api:1] api:1 for linux/amd64 in west cannot be pulled: the layer";
    pair.rig("platforms = [\"linux/amd64\"]").finds(&[needed]);
    pair.rig("platforms = [\"linux/arm64\"]").finds(&[]);
    pair.west.delete("shop/api", "blobs", config);
    let both = "not ready images.contents/incomplete [west api:1] api:1 for linux/amd64 in west cannot be pulled: the \
                configuration sha256:";
    pair.rig("platforms = [\"linux/amd64\"]").finds(&[both]);
    pair.west.delete("shop/api", "manifests", manifest);
    let manifest = "degraded images.contents/incomplete-platform [west api:1] api:1 for linux/amd64 in west cannot be \
                    pulled: the manifest sha256:";
    let mut rig = pair.rig("");
    rig.finds(&[manifest]);
    // Mended, and seen at the next look: what is missing is asked for every time.
    let (from, to) = (format!("{}/shop/api:1", pair.east.host()), format!("{}/shop/api:1", pair.west.host()));
    copy(true, &from, &to);
    rig.finds(&[]);
}

#[test]
fn a_list_that_a_pipeline_writes() {
    let pair = Pair::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("images.txt");
    let rig = || Rig::new(&format!("{}\nimages_from = \"{}\"\nimages_max_age = \"1d\"", pair.at(), path.display()));
    let found = rig().found();
    assert!(found.iter().all(|f| f.starts_with("unknown reach/file-unreadable")) && found.len() == 2, "{found:?}");
    fs::write(&path, "# nothing yet\n").unwrap();
    assert!(rig().found().iter().all(|f| f.starts_with("unknown reach/absent")));
    let mut rig = rig();
    fs::write(&path, format!("api:1\n{}/shop/api:1 # as it is deployed\n", pair.east.host())).unwrap();
    rig.finds(&[]);
    fs::write(&path, "[\"api:1\", \"worker:2\"]").unwrap();
    rig.finds(&[
        "not ready images.presence/missing-everywhere [west worker:2]",
        "degraded images.presence/missing-active [east worker:2]",
    ]);
    fs::write(&path, "api:1\nghcr.io/elsewhere/x:1\n").unwrap();
    let found = rig.found();
    assert!(found.iter().all(|f| f.starts_with("unknown images.presence/not-understood")), "{found:?}");
    fs::write(&path, "api:1\n").unwrap();
    let old = std::process::Command::new("touch").args(["-d", "2 days ago"]).arg(&path).status().unwrap();
    assert!(old.success());
    rig.finds(&["degraded images.list/list-old [plan] the list of images, "]);
}

#[test]
fn one_registry_for_all_sites() {
    let registry = Registry::start();
    registry.push("api", "1", "one");
    let host = registry.host();
    let mut rig = Rig::new(&format!(
        "http = true\nanonymous = true\nimages = [\"api:1\"]\nat = {{ east = \"{host}\", west = \"{host}\" }}"
    ));
    let spof =
        format!("degraded images.shared/single-point-of-failure [plan] east and west pull from one registry, {host}");
    rig.finds(&[&spof]);
    let (_, parts) = registry.push("api", "1", "one");
    registry.delete("api", "blobs", &parts[2]);
    let mut rig = Rig::new(&format!(
        "http = true\nanonymous = true\nimages = [\"api:1\"]\nplatforms = [\"linux/amd64\"]\n\
         at = {{ east = \"{host}\", west = \"{host}\" }}"
    ));
    rig.finds(&[
        "not ready images.contents/incomplete [api:1] api:1 for linux/amd64 in east and west cannot be",
        &spof,
    ]);
}

/// An authority's PEM file, and a certificate of its for 127.0.0.1 with its key.
struct Pki {
    dir: tempfile::TempDir,
}

impl Pki {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
        write("ca.pem", ca.pem());
        write("cert.pem", certificate.pem());
        write("key.pem", key.serialize_pem());
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn registry(&self) -> Registry {
        let (certificate, key) = (self.path("cert.pem"), self.path("key.pem"));
        let extras = Extras { password: true, tls: Some((&certificate, &key)), ..Extras::default() };
        Registry::with(&extras, Some(&self.path("ca.pem")))
    }
}

/// A program of this name in a directory, and a `PATH` with that first.
fn helper(dir: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn who_asks_over_tls() {
    let pki = Pki::new();
    let (east, west) = (pki.registry(), pki.registry());
    for registry in [&east, &west] {
        registry.push("shop/api", "1", "one");
    }
    let ca = pki.path("ca.pem").display().to_string();
    let at =
        format!("at = {{ east = \"{}/shop\", west = \"{}/shop\" }}\nimages = [\"api:1\"]", east.host(), west.host());
    let with = |more: &str| Rig::new(&format!("{at}\nroots = \"{ca}\"\n{more}"));
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let password = file("password", &format!("{PASSWORD}\n"));
    let user = |password: &str| format!("user = \"{USER}\"\npassword = {{ file = \"{password}\" }}");
    with(&user(&password)).finds(&[]);
    let all = |rig: &mut Rig, right: &str| {
        let found = rig.found();
        assert!(found.len() == 2 && found.iter().all(|f| f.starts_with(right)), "{right}: {found:?}");
        assert!(!found.iter().any(|f| f.contains(PASSWORD)), "{found:?}");
    };
    all(&mut with("anonymous = true"), "unknown reach/wrong-password");
    all(&mut with(&user("/no/such/file")), "unknown reach/secret-unavailable");
    // A wrong password, and the right one later: it is read anew.
    let changing = file("changing", "wrong");
    let mut rig = with(&user(&changing));
    all(&mut rig, "unknown reach/wrong-password");
    file("changing", PASSWORD);
    rig.finds(&[]);
    // Docker's own file, with the password in it, and with a helper that gives it.
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let auths = format!(
        "{{\"auths\": {{\"{}\": {{\"auth\": \"{auth}\"}}, \"https://{}/v2/\": {{\"auth\": \"{auth}\"}}}}}}",
        east.host(),
        west.host()
    );
    with(&format!("docker_config = \"{}\"", file("config.json", &auths))).finds(&[]);
    let named = format!("lifeboat-test-{}", std::process::id());
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let script = format!(
        "test \"$1\" = get || exit 1\nread server\ncase $server in {}) ;; *) echo 'credentials not found in native \
         keychain'; exit 1 ;; esac\necho '{{\"ServerURL\": \"x\", \"Username\": \"{USER}\", \"Secret\": \"{PASSWORD}\"}}'",
        [east.host(), west.host()].join("|")
    );
    helper(&bin, &format!("docker-credential-{named}"), &script);
    // The helper is looked for in PATH, which every thread of this process shares: it is the binary that is asked.
    let store = file("store.json", &format!("{{\"credsStore\": \"{named}\"}}"));
    let config = file(
        "lifeboat.toml",
        &format!(
            "here = \"elsewhere\"\n[[plan]]\nname = \"shop\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \
             \"30s\", rto = \"5m\" }}\nsites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = \
             [\"images\"]\n[[plan.probe]]\nname = \"images\"\nkind = \"images\"\n{at}\nroots = \"{ca}\"\ndocker_config = \
             \"{store}\"\n"
        ),
    );
    let checked = |path: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_lifeboat"))
            .args(["--config", &config, "check"])
            .env("PATH", path)
            .env("XDG_STATE_HOME", dir.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let usual = std::env::var("PATH").unwrap();
    let (code, said) = checked(&format!("{}:{usual}", bin.display()));
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = checked(&usual);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&format!("docker-credential-{named}")), "{said}");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lifeboat"))
        .args(["--config", &config, "doctor"])
        .env("PATH", format!("{}:{usual}", bin.display()))
        .env("XDG_STATE_HOME", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(&format!("{} is asked by user {USER}", east.host())), "{said}");
    assert!(said.contains(&format!("the certificate of {} is good until", west.host())), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    // TLS: nobody that is trusted here signed it; any certificate will do.
    all(&mut Rig::new(&format!("{at}\n{}", user(&password))), "unknown reach/unknown-issuer");
    Rig::new(&format!("{at}\ninsecure = true\n{}", user(&password))).finds(&[]);
}

#[test]
fn tokens() {
    let plain = Registry::start();
    for repository in ["shop/api", "shop/worker", "dr/api", "dr/worker"] {
        plain.push(repository, "1", "one");
    }
    let tokens = TokenServer::start();
    let registry = tokens.registry(plain.data());
    let host = registry.host();
    let rig = |more: &str| {
        let at = format!("at = {{ east = \"{host}/shop\", west = \"{host}/dr\" }}");
        Rig::new(&format!("http = true\nimages = [\"api:1\", \"worker:1\"]\n{at}\n{more}"))
    };
    let spof = "degraded images.shared/single-point-of-failure";
    let password = |secret: &str| format!("user = \"{USER}\"\npassword = {{ command = [\"echo\", \"{secret}\"] }}");
    let mut with = rig(&password(PASSWORD));
    with.finds(&[spof]);
    assert_eq!(tokens.asked(), 4, "one token for each repository");
    with.finds(&[spof]);
    assert_eq!(tokens.asked(), 4, "tokens are kept until they end");
    // Of a second, all but a quarter is used.
    tokens.lifetime(1);
    let mut short = rig(&password(PASSWORD));
    short.finds(&[spof]);
    let fetched = clock::now();
    until("the tokens have ended", || clock::now().since(fetched) > Duration::from_secs(1));
    short.finds(&[spof]);
    assert_eq!(tokens.asked(), 4 + 8, "a token that has ended is fetched anew");
    tokens.lifetime(300);
    // Tokens that the registry does not accept: it says no; the next ones are good.
    tokens.garbles(true);
    let forbidden = "unknown images.presence/forbidden";
    let mut garbled = rig(&password(PASSWORD));
    let found = garbled.found();
    assert_eq!(found.iter().filter(|f| f.starts_with(forbidden)).count(), 4, "{found:?}");
    tokens.garbles(false);
    garbled.finds(&[spof]);
    // A token without the right is no error of the token server's.
    let found = rig("anonymous = true").found();
    assert_eq!(found.iter().filter(|f| f.starts_with(forbidden)).count(), 4, "{found:?}");
    assert!(found.iter().any(|f| f.contains("nobody (no user is configured) may not pull dr/api")), "{found:?}");
    let found = rig(&password("wrong")).found();
    assert!(found.iter().all(|f| f.starts_with("unknown reach/wrong-password")), "{found:?}");
    assert!(found[0].contains("did not accept user dr") && !found[0].contains("wrong)"), "{found:?}");
    // The refresh token of `docker login`.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    fs::write(&file, format!("{{\"auths\": {{\"{host}\": {{\"identitytoken\": \"{PASSWORD}\"}}}}}}")).unwrap();
    rig(&format!("docker_config = \"{}\"", file.display())).finds(&[spof]);
    // The token server wants to be left alone.
    tokens.busy(true);
    let mut tired = rig(&password(PASSWORD));
    let found = tired.found();
    assert!(found.iter().all(|f| f.starts_with("unknown reach/too-many-requests")), "{found:?}");
    let asked = tokens.asked();
    tired.found();
    assert_eq!(tokens.asked(), asked, "it is left alone");
}

#[test]
fn a_registry_that_wants_to_be_left_alone() {
    let pair = Pair::start();
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let busy = servers.block_on(Server::http(429, None));
    let options = format!(
        "http = true\nanonymous = true\nimages = [\"api:1\"]\nat = {{ east = \"{}/shop\", west = \"{}/shop\" }}",
        pair.east.host(),
        busy.addr
    );
    let mut rig = Rig::new(&options);
    for _ in 0..3 {
        let found = rig.found();
        assert!(found[0].starts_with("unknown reach/too-many-requests [west]"), "{found:?}");
    }
    assert_eq!(busy.seen.questions().len(), 1, "it is left alone");
}

/// What a healthy registry is asked once everything is known: one question an image.
#[test]
fn a_warm_look_asks_for_nothing_twice() {
    let pair = Pair::start();
    let counting = Counting::start(pair.west.port);
    let options = format!(
        "http = true\nanonymous = true\nimages = [\"api:1\"]\nat = {{ east = \"{}/shop\", west = \"127.0.0.1:{}/shop\" }}",
        pair.east.host(),
        counting.port
    );
    let mut rig = Rig::new(&options);
    rig.finds(&[]);
    let cold = counting.asked();
    assert_eq!(cold, 1 + 1 + 2 + 2 + 2, "the tag, the index, two manifests, two configurations, two layers");
    for _ in 0..3 {
        rig.finds(&[]);
    }
    assert_eq!(counting.asked(), cold + 3);
    println!("{cold} questions cold, 1 warm, {} connections", counting.connections());
}
