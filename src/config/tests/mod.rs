//! Bad configurations and exactly what is said of them.

use std::any::Any;
use std::collections::BTreeMap;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::plan::{Area, LaneDecl, ProbeDecl, ProbeOptions, SafeText, SiteId, Span, Strategy, Subject, Weight};
use crate::runbook::{Danger, RetrySafety, StepRole, Verified};
use crate::systems::{Declared, Fault, KindArea, Pace, ProbeKind, StepKind, StepTraits};

mod practice;
mod runbooks;

/// Options with something of everything that an option type may hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their shape matters here")]
struct FakeOptions {
    /// Where.
    at: BTreeMap<String, String>,
    /// Its password.
    password: Option<SecretRef>,
    /// How.
    #[serde(default)]
    mode: Mode,
    /// At most.
    max_age: Option<Span>,
    /// At least.
    min_size: Option<crate::plan::Bytes>,
    /// Several.
    answers: Option<BTreeMap<String, Vec<String>>>,
    /// A port.
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// One.
    #[default]
    Replicating,
    /// Other.
    Restored,
}

impl ProbeOptions for FakeOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

static FAKE: System = System {
    name: "fake",
    probes: &[
        fake("fake-db", KindArea::Fixed(Area::Replication), Pace::USUAL),
        fake("fake-dns", KindArea::Fixed(Area::Dns), Pace::USUAL),
        fake("fake-any", KindArea::Declared, Pace::SLOW),
    ],
    signals: &[],
    rules: &[],
    steps: &[
        fake_step("fake-fence", StepRole::Fence, &["fake-db"]),
        fake_step("fake-promote", StepRole::Promote, &["fake-db"]),
        fake_step("fake-traffic", StepRole::Traffic, &["fake-dns"]),
        fake_step("fake-look", StepRole::Verify, &[]),
    ],
};

/// Options of a step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FakeStepOptions {
    /// What it changes.
    changes: Option<String>,
    /// Its token.
    token: Option<SecretRef>,
}

const fn fake_step(name: &'static str, role: StepRole, probes: &'static [&'static str]) -> StepKind {
    StepKind {
        name,
        probes,
        schema: |g| g.subschema_for::<FakeStepOptions>(),
        read: match role {
            StepRole::Fence => |_, options| traits(StepRole::Fence, options),
            StepRole::Promote => |_, options| traits(StepRole::Promote, options),
            StepRole::Traffic => |_, options| traits(StepRole::Traffic, options),
            _ => |_, options| traits(StepRole::Verify, options),
        },
        open: |_, _| Err(Fault::new(&[], "a fake opens nothing", "")),
    }
}

fn traits(role: StepRole, options: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options: FakeStepOptions = serde_json::from_value(options.clone()).unwrap();
    if options.changes.as_deref() == Some("bad") {
        return Err(vec![Fault::new(&["changes"], "bad is bad", "good")]);
    }
    let danger = match role {
        StepRole::Promote => Danger::Irreversible,
        StepRole::Verify => Danger::None,
        _ => Danger::Changes,
    };
    Ok(StepTraits {
        role,
        danger,
        retry: RetrySafety::ReadBack,
        verified: Verified::ByLooking,
        deadline: Span::secs(30),
        touches: options.changes.iter().map(|c| SafeText::new(c)).collect(),
        secrets: options.token.into_iter().map(|t| ("token".to_owned(), t)).collect(),
    })
}

const fn fake(name: &'static str, area: KindArea, pace: Pace) -> ProbeKind {
    ProbeKind {
        name,
        area,
        pace,
        schema: |g| g.subschema_for::<FakeOptions>(),
        read: |context, value| {
            let options: FakeOptions = serde_json::from_value(value).unwrap();
            let bad = |(site, at): (&String, &String)| {
                let path = vec!["at".to_owned(), site.clone()];
                at.contains("bad").then(|| Fault { path, what: format!("{at} is bad"), right: "good".to_owned() })
            };
            let faults: Vec<Fault> = options.at.iter().filter_map(bad).collect();
            if !faults.is_empty() {
                return Err(faults);
            }
            assert!(context.sites.len() > 1);
            let lane = |site: &String| LaneDecl {
                subject: Subject::site(SiteId::new(site)),
                server: SafeText::new(site),
                expects: [].into(),
            };
            Ok(Declared {
                lanes: options.at.keys().map(lane).collect(),
                secrets: options.password.iter().map(|s| ("password".to_owned(), s.clone())).collect(),
                options: Arc::new(options),
            })
        },
        open: |_, _, _| Vec::new(),
    }
}

fn read(text: &str) -> Result<Config, Problems> {
    parse_with(&[&FAKE], "c.toml", text)
}

const GOOD: &str = r#"here = "west"
state = "/var/lib/lifeboat"
[defaults]
interval = "4s"
[[plan]]
name = "payments"
tier = 1
strategy = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites = { west = "aws us-west-2", east = "aws us-east-1" }
home = "east"
[[plan.probe]]
name = "orders-db"
kind = "fake-db"
at = { east = "one", west = "two" }
password = { env = "PW" }
[[plan.probe]]
name = "door"
kind = "fake-dns"
weight = "advice"
interval = "1h"
at = { east = "one" }
[[plan.contact]]
role = "database on-call"
reach = "pager"
[[plan.loss]]
what = "events"
why = "kept in one site"
"#;

#[test]
fn a_good_configuration_is_read() {
    let config = read(GOOD).unwrap_or_else(|p| panic!("{p}"));
    let plan = &config.plans[0];
    assert_eq!((plan.id.as_str(), plan.tier, plan.strategy), ("payments", 1, Strategy::WarmStandby));
    assert_eq!(plan.sites.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["west", "east"], "in the file's order");
    assert_eq!((plan.home.as_str(), &plan.here), ("east", &Here::Site(SiteId::new("west"))));
    assert_eq!(plan.requires, Strategy::WarmStandby.requires());
    let [db, door] = plan.probes.as_slice() else { panic!("{:?}", plan.probes) };
    assert_eq!((db.kind, db.area, db.weight, db.lanes.len()), ("fake-db", Area::Replication, Weight::Full, 2));
    assert_eq!((db.interval, db.timeout), (Span::secs(4), Span::secs(3)));
    assert_eq!((door.interval, door.weight, door.area), (Span::secs(3_600), Weight::Advice, Area::Dns));
    assert_eq!((plan.contacts[0].after, plan.losses[0].why.as_str()), (Span::default(), "kept in one site"));
    let [secret] = config.secrets.as_slice() else { panic!("{:?}", config.secrets) };
    assert_eq!(secret.key, "plan[payments].probe[orders-db].password");
    assert_eq!((secret.place.line, secret.place.column), (16, 12));
    assert_eq!(config.state, Some("/var/lib/lifeboat".into()));
}

/// Replaces one line of the good configuration, and says what is told of it: place, key, what, right.
fn faults(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    let problems = match read(&text) {
        Ok(_) => return Vec::new(),
        Err(Problems(problems)) => problems,
    };
    let one = |p: &Problem| format!("{}:{} {}: {} | {}", p.place.line, p.place.column, p.key, p.what, p.right);
    problems.iter().map(one).collect()
}

#[test]
fn each_mistake_has_its_place_and_what_would_be_right() {
    let db = "plan[payments].probe[orders-db]";
    let table: &[(&str, &str, String)] = &[
        ("home = \"east\"", "hom = \"east\"", "5:1 plan[payments].home: `home` is missing | add `home = ...`: The site where it normally runs\n11:1 plan[payments].hom: unknown key `hom` | did you mean `home`?".into()),
        ("home = \"east\"", "home = \"est\"", "11:8 plan[payments].home: the plan has no site \"est\" | did you mean \"east\"?".into()),
        ("here = \"west\"", "here = \"wset\"", "1:8 here: no plan has a site \"wset\" | did you mean \"west\"?".into()),
        ("here = \"west\"", "here = \"mars\"", "1:8 here: no plan has a site \"mars\" | one of \"west\", \"east\", \"elsewhere\"".into()),
        ("state = \"/var", "state = \"var", "2:9 state: \"var/lib/lifeboat\" is not an absolute path | start it with /".into()),
        ("interval = \"4s\"", "interval = \"4 parsecs\"", "4:12 defaults.interval: \"4 parsecs\" is not a duration | write numbers with units, such as \"30s\", \"1h30m\" or \"250ms\"".into()),
        ("interval = \"4s\"", "interval = 4", "4:12 defaults.interval: expected a duration such as \"30s\", found the integer 4 | ".into()),
        ("interval = \"4s\"", "interval = \"0s\"", "4:12 defaults.interval: 0s is out of range | above 0 and at most 1h".into()),
        ("interval = \"1h\"", "interval = \"61m\"", "21:12 plan[payments].probe[door].interval: 1h1m is out of range | above 0 and at most 1h".into()),
        ("interval = \"4s\"", "interval = \"14s\"", format!("12:1 {db}.interval: interval 14s + timeout 3s is 17s, more than half the RPO of 30s | at most 15s together: a replication probe must see a loss before it is too large")),
        ("name = \"payments\"", "name = \"pay ments\"", "6:8 plan[#1].name: \"pay ments\" is not a name | write letters, digits, '.', '_' and '-', at most 63, the first a letter or digit".into()),
        ("tier = 1", "tier = 0", "7:8 plan[payments].tier: the integer 0 is out of range | a number from 1 to 9".into()),
        ("tier = 1", "tier = \"1\"", "7:8 plan[payments].tier: expected an integer, found a string | ".into()),
        ("tier = 1", "tier = 99999999999999999999", "7:8 plan[payments].tier: an integer beyond 64 bits is out of range | a number from 1 to 9".into()),
        ("\"warm-standby\"", "\"warm_stanby\"", "8:12 plan[payments].strategy: unknown value \"warm_stanby\" | did you mean \"warm-standby\"?".into()),
        ("\"warm-standby\"", "\"active-active\"", "8:12 plan[payments].strategy: \"active-active\" is not supported: the rules assume that one site takes writes | \"warm-standby\", \"pilot-light\" or \"backup-restore\"".into()),
        ("rpo = \"30s\", ", "", "9:14 plan[payments].objectives.rpo: `rpo` is missing | add `rpo = ...`: Recovery point objective: the most recent work that may be lost, as time".into()),
        ("rto = \"5m\"", "rto = \"0s\"", "9:35 plan[payments].objectives.rto: 0s is out of range | no failover takes no time".into()),
        ("west = \"aws us-west-2\", east = \"aws us-east-1\"", "east = \"x\"", "1:8 here: no plan has a site \"west\" | one of \"east\", \"elsewhere\"\n10:9 plan[payments].sites: has 1 key | at least 2\n15:22 plan[payments].probe[orders-db].at.west: the plan has no site \"west\" | one of \"east\"".into()),
        ("west = \"aws us-west-2\",", "west = \"x\", elsewhere = \"y\",", "10:23 plan[payments].sites.elsewhere: no site can be named \"elsewhere\" | `here` says it of a machine in none".into()),
        ("west = \"aws us-west-2\",", "west = \"\", \"a b\" = \"y\",", "10:18 plan[payments].sites.west: is empty | write something, or leave the key out\n10:22 plan[payments].sites.\"a b\": \"a b\" is not a name | write letters, digits, '.', '_' and '-', at most 63, the first a letter or digit".into()),
        ("home = \"east\"", "home = \"east\"\nrequires = [\"dns\", \"disk\", \"dns\"]", "12:20 plan[payments].requires[#2]: unknown value \"disk\" | one of \"replication\", \"backup\", \"standby\", \"images\" or \"dns\"\n12:28 plan[payments].requires[#3]: is there twice | remove one".into()),
        ("home = \"east\"", "home = \"east\"\nrequires = []", "12:12 plan[payments].requires: 0 items | at least 1".into()),
        ("kind = \"fake-db\"", "kind = \"fakedb\"", format!("14:8 {db}.kind: unknown value \"fakedb\" | did you mean \"fake-db\"?")),
        ("kind = \"fake-db\"", "# kind", format!("12:1 {db}.kind: `kind` is missing | add `kind = ...`: fake-db, fake-dns, fake-any")),
        ("name = \"door\"", "name = \"orders-db\"", "18:8 plan[payments].probe[orders-db].name: the name \"orders-db\" is taken by line 13 | give each its own name".into()),
        ("west = \"two\"", "wets = \"two\"", format!("15:22 {db}.at.wets: the plan has no site \"wets\" | did you mean \"west\"?")),
        ("west = \"two\"", "west = \"bad\"", format!("15:29 {db}.at.west: bad is bad | good")),
        ("at = { east = \"one\", west = \"two\" }", "site = \"east\"", format!("12:1 {db}.at: `at` is missing | add `at = ...`: Where\n15:1 {db}.site: unknown key `site` | known here: name, kind, weight, interval, timeout, at, password, mode, max_age, min_size, answers, port")),
        ("{ env = \"PW\" }", "{ evn = \"PW\" }", format!("16:14 {db}.password.evn: unknown key `evn` | did you mean `env`?")),
        ("{ env = \"PW\" }", "{ env = \"PW\", file = \"/x\" }", format!("16:12 {db}.password: says it more than once | only one of `env`, `file` or `command`")),
        ("{ env = \"PW\" }", "{}", format!("16:12 {db}.password: is empty | one of `env`, `file` or `command`")),
        ("{ env = \"PW\" }", "\"hunter2\"", format!("16:12 {db}.password: expected a table, found a string | ")),
        ("{ env = \"PW\" }", "{ env = \"PW\" }\nmode = \"restore\"", format!("17:8 {db}.mode: unknown value \"restore\" | did you mean \"restored\"?")),
        ("{ env = \"PW\" }", "{ env = \"PW\" }\nmax_age = 1979-05-27", format!("17:11 {db}.max_age: expected a duration such as \"30s\", found a date or a time | ")),
        ("{ env = \"PW\" }", "{ env = \"PW\" }\nmin_size = \"1 furlong\"", format!("17:12 {db}.min_size: \"1 furlong\" is not a size | write a number and a unit, such as \"16MiB\" or \"1.5GB\"")),
        ("{ env = \"PW\" }", "{ env = \"PW\" }\nport = 70000", format!("17:8 {db}.port: the integer 70000 is out of range | a number from 0 to 65535")),
        ("{ env = \"PW\" }", "{ env = \"PW\" }\nanswers = { east = [\"é\", 1.5] }", format!("17:26 {db}.answers.east[#2]: expected a string, found the number 1.5 | ")),
        ("weight = \"advice\"", "weigth = \"advice\"", "20:1 plan[payments].probe[door].weigth: unknown key `weigth` | did you mean `weight`?".into()),
        ("role = \"database on-call\"", "after = \"-1s\"", "23:1 plan[payments].contact[#1].role: `role` is missing | add `role = ...`: Their part\n24:9 plan[payments].contact[#1].after: \"-1s\" is not a duration | write numbers with units, such as \"30s\", \"1h30m\" or \"250ms\"".into()),
        ("[[plan.loss]]", "[[plan.confirm]]\nwhat = \"routes\"\non = 2026-02-01\nfor = \"0s\"\n[[plan.loss]]", "26:1 plan[payments].confirm[#1].by: `by` is missing | add `by = ...`: By whom\n29:7 plan[payments].confirm[#1].for: 0s is out of range | how long it stands: \"90d\"".into()),
        ("[[plan.loss]]", "[[plan.copy]]\nwhat = \"tapes\"\non = \"yesterday\"\nsite = \"wets\"\nmedium = \"paper\"\n[[plan.loss]]", "28:6 plan[payments].copy[#1].on: \"yesterday\" is not a day | write year, month and day, such as 2026-11-01\n29:8 plan[payments].copy[#1].site: the plan has no site \"wets\" | did you mean \"west\"?\n30:10 plan[payments].copy[#1].medium: unknown value \"paper\" | one of \"disk\", \"object-store\", \"tape\" or \"optical\"".into()),
        ("[[plan.loss]]", "[[plan.copy]]\nwhat = \"tapes\"\non = 7\n[[plan.loss]]", "28:6 plan[payments].copy[#1].on: expected a day such as 2026-11-01, found the integer 7 | ".into()),
        ("[[plan.loss]]", "[plan.loss]", "26:1 plan[payments].loss: expected an array, found a table | ".into()),
        ("home = \"east\"", "home = ", "11:8 : not TOML: string values must be quoted, expected literal string | ".into()),
        ("home = \"east\"", "tier = 2", "11:1 : not TOML: duplicate key | ".into()),
    ];
    let mut wrong = String::new();
    for (from, to, expected) in table {
        let told = faults(from, to).join("\n");
        if told != *expected {
            wrong += &format!("{from} -> {to}\n  told:     {told}\n  expected: {expected}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// A probe of a kind that serves any area, with these lines more, in place of the good configuration's second one.
fn any(lines: &str) -> Result<ProbeDecl, Vec<String>> {
    let (from, to) =
        ("kind = \"fake-dns\"\nweight = \"advice\"\ninterval = \"1h\"\n", format!("kind = \"fake-any\"\n{lines}\n"));
    match read(&GOOD.replacen(from, &to, 1)) {
        Ok(config) => Ok(config.plans[0].probes[1].clone()),
        Err(_) => Err(faults(from, &to)),
    }
}

#[test]
fn a_kind_that_serves_any_area_is_told_which() {
    assert_eq!(any("area = \"standby\"").unwrap().area, Area::Standby);
    assert_eq!(
        any("").unwrap_err(),
        [
            "17:1 plan[payments].probe[door].area: `area` is missing | add `area = ...`: The column that its findings count in: for kinds that serve any"
        ]
    );
    assert_eq!(
        any("area = \"stanby\"").unwrap_err(),
        ["20:8 plan[payments].probe[door].area: unknown value \"stanby\" | did you mean \"standby\"?"]
    );
    // What replicates must look often, whatever its kind.
    assert_eq!(any("area = \"replication\"").unwrap_err().len(), 1);
    assert_eq!(any("area = \"replication\"\ninterval = \"5s\"\ntimeout = \"5s\"").unwrap().area, Area::Replication);
    let told = faults("kind = \"fake-db\"", "kind = \"fake-db\"\narea = \"backup\"");
    assert!(told[0].contains("unknown key `area`"), "{told:?}");
}

#[test]
fn a_kind_has_a_pace_of_its_own_unless_the_probe_says_otherwise() {
    let times = |probe: ProbeDecl| (probe.interval, probe.timeout);
    assert_eq!(times(any("area = \"images\"").unwrap()), (Span::secs(60), Span::secs(30)));
    assert_eq!(times(any("area = \"images\"\ninterval = \"7s\"").unwrap()), (Span::secs(7), Span::secs(30)));
    assert_eq!(times(any("area = \"images\"\ntimeout = \"2s\"").unwrap()), (Span::secs(60), Span::secs(2)));
    // A default that is longer still holds; one that is shorter is a database's.
    let text =
        GOOD.replacen("interval = \"4s\"", "interval = \"10m\"\ntimeout = \"40s\"", 1).replace("fake-db", "fake-dns");
    let text = text.replace("kind = \"fake-dns\"\nweight", "area = \"dns\"\nkind = \"fake-any\"\nweight");
    let config = read(&text).unwrap_or_else(|p| panic!("{p}"));
    let [db, door] = config.plans[0].probes.as_slice() else { panic!("two probes") };
    assert_eq!((db.interval, db.timeout), (Span::secs(600), Span::secs(40)));
    assert_eq!((door.interval, door.timeout), (Span::secs(3_600), Span::secs(40)));
    assert_eq!(config.plans[0].stale_after(door), std::time::Duration::from_secs(3 * 3_600));
    let schema = schema::of(&[&FAKE]);
    let about =
        |kind: &str| schema.pointer(&format!("/$defs/probe.{kind}/properties/interval/description")).unwrap().clone();
    assert_eq!(about("fake-dns"), "How often to look, instead of the default.");
    assert_eq!(
        about("fake-any"),
        "How often to look, instead of the default. Without it: 1m, or the default where that is longer."
    );
}

#[test]
fn an_rpo_of_zero_is_kept_by_other_means_than_looking_often() {
    assert!(faults("rpo = \"30s\"", "rpo = \"0s\"").is_empty());
    // Only what replicates must look often.
    assert!(faults("rpo = \"30s\"", "rpo = \"14s\"").is_empty());
    assert_eq!(faults("rpo = \"30s\"", "rpo = \"13s\"").len(), 1);
}

#[test]
fn many_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("here =", "heer =")
        .replace("interval = \"4s\"", "interval = \"4\"")
        .replace("tier = 1", "teir = 1")
        .replace("home = \"east\"", "home = \"easst\"")
        .replace("fake-dns", "fake_dsn")
        .replace("west = \"two\"", "west = \"bad\"")
        .replace("reach =", "rech =");
    let Problems(problems) = read(&text).unwrap_err();
    let places: Vec<usize> = problems.iter().map(|p| p.place.line).collect();
    assert_eq!(places, [1, 4, 5, 7, 11, 15, 19, 23, 25], "{}", Problems(problems));
}

#[test]
fn a_problem_is_a_block_with_the_line_and_a_caret_and_no_secret() {
    let text = GOOD.replace("\"two\"", "\"postgres://u:hunter2@bad/é\"").replace("{ env = \"PW\" }", "\"hunter2\"");
    let problems = read(&text).unwrap_err();
    assert!(!format!("{problems} {problems:?}").contains("hunter2"), "{problems}");
    let problems = read(&GOOD.replace("\"two\"", "\"postgres://u:hunter2@bad/é\"")).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "c.toml:15:29: plan[payments].probe[orders-db].at.west: postgres://u:***@bad/é is bad\n  \
         15 | at = { east = \"one\", west = \"postgres://u:***@bad/é\" }\n     \
         |                             ^^^^^^^^^^^^^^^^^^^^^^^^\n  \
         help: good\n\n1 mistake\n"
    );
}

#[test]
fn hostile_text_reaches_no_terminal() {
    let problems = read("here = \"\u{1b}[31m\"\n\"a\u{1b}]0;x\\u0007\" = 1\n").unwrap_err();
    assert!(!problems.to_string().contains(|c: char| c.is_control() && c != '\n'), "{problems:?}");
    let long = format!("here = \"{}\" # {}", "x".repeat(500), "y".repeat(100_000));
    assert!(read(&long).unwrap_err().to_string().len() < 5_000);
}

#[test]
fn a_file_of_nothing_but_mistakes_stays_readable() {
    let text: String = (0..5_000).map(|i| format!("k{i} = {i}\n")).collect();
    let Problems(problems) = read(&text).unwrap_err();
    assert_eq!(problems.len(), 1_001);
    assert!(problems[1_000].what.as_str().contains("more mistakes"));
}

/// Keywords that the checker carries out, and those that only describe.
const KEYWORDS: [&str; 27] = [
    "$ref",
    "$schema",
    "$defs",
    "title",
    "description",
    "default",
    "examples",
    "type",
    "format",
    "pattern",
    "const",
    "enum",
    "oneOf",
    "anyOf",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "deprecated",
];
const FORMATS: [&str; 11] =
    ["date", "duration", "size", "name", "uint8", "uint16", "uint32", "uint64", "int32", "int64", "double"];

fn walk(schema: &Value, at: &str) {
    let Value::Object(map) = schema else { return assert!(schema.is_boolean(), "{at}") };
    assert!(!map.is_empty(), "{at}: says nothing");
    for (key, value) in map {
        assert!(KEYWORDS.contains(&key.as_str()), "{at}: the checker does not know {key}");
        match key.as_str() {
            "properties" | "$defs" => {
                value.as_object().unwrap().iter().for_each(|(k, v)| walk(v, &format!("{at}/{key}/{k}")));
            }
            "items" | "additionalProperties" => walk(value, &format!("{at}/{key}")),
            "oneOf" | "anyOf" => value.as_array().unwrap().iter().for_each(|v| walk(v, &format!("{at}/{key}"))),
            "format" => assert!(FORMATS.contains(&value.as_str().unwrap()), "{at}: the checker does not know {value}"),
            "pattern" => assert_eq!(map["format"], "name", "{at}: no pattern is checked but a name's"),
            "type" => assert!(!value.to_string().contains("null"), "{at}: TOML has no null"),
            _ => {}
        }
    }
    if map.contains_key("properties") {
        assert_eq!(map.get("additionalProperties"), Some(&Value::Bool(false)), "{at}: unknown keys would pass");
    }
}

#[test]
fn the_checker_knows_every_word_of_the_schema() {
    walk(&schema::of(&[&FAKE]), "");
    walk(&schema(), "");
    let text = schema().to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|r| r.split('"').next()) {
        assert!(schema().pointer(reference).is_some(), "{reference} leads nowhere");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|.*|([a-z\\[\\]\\{\\}=\\.\"' \n,0-9#]|plan|probe|name|at|\\[\\[){0,60}") {
        let _ = read(&text);
    }

    #[test]
    fn no_change_of_a_good_text_makes_it_panic(at in 0..GOOD.len(), cut in 0_usize..40, put in "[a-z\"'=\\[\\]{}.\n\u{0}é]{0,6}") {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(problems) = read(&text) {
            let _ = problems.to_string();
            for p in &problems.0 {
                prop_assert!(p.place.line <= text.matches('\n').count() + 1);
                let line = text.split('\n').nth(p.place.line.saturating_sub(1)).unwrap();
                prop_assert!(p.place.column <= line.chars().count() + 1, "{p}");
            }
        }
    }
}
