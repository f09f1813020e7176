//! A plan with registries and what they have, for the tests of rules.

use std::time::Duration;

use serde_json::json;

use crate::plan::{Area, SiteId, Subject};
use crate::readiness::{Finding, Row, Rule, Value};
use crate::systems::bench::{Bench, now};
use crate::systems::images::options::Images;
use crate::systems::images::signals;

pub(super) struct Desk(Bench);

fn two(platforms: &[&str], images: &[&str]) -> serde_json::Value {
    json!({
        "at": { "east": "east.example.com/shop", "west": "west.example.com/shop" },
        "images": images, "platforms": platforms,
    })
}

/// Options of two registries.
pub(super) fn options(platforms: &[&str]) -> Images {
    Desk::of(two(platforms, &["api:1"])).0.options()
}

impl Desk {
    fn of(options: serde_json::Value) -> Self {
        Self(Bench::of("images", Area::Images, options).unwrap())
    }

    pub(super) fn new(images: &[&str]) -> Self {
        Self::needing(&[], images)
    }

    pub(super) fn needing(platforms: &[&str], images: &[&str]) -> Self {
        Self::of(two(platforms, images))
    }

    pub(super) fn shared(images: &[&str]) -> Self {
        Self::of(json!({ "at": { "east": "one.example.com", "west": "one.example.com" }, "images": images }))
    }

    pub(super) fn from_file() -> Self {
        let mut options = two(&[], &[]);
        options["images_from"] = json!("/srv/images.txt");
        options["images_max_age"] = json!("7d");
        Self::of(options)
    }

    fn subject(name: &str) -> Subject {
        if name == "one" { Subject::part("one.example.com") } else { Subject::site(SiteId::new(name)) }
    }

    /// The same, asked for so many seconds before it is judged.
    pub(super) fn ago(self, seconds: u64) -> Self {
        Self(self.0.when(now(), now().plus(Duration::from_secs(seconds))))
    }

    /// What a registry has: for each image its manifest's row and its contents' rows.
    pub(super) fn with(self, name: &str, all: Vec<(Row, Vec<Row>)>) -> Self {
        let of = || Self::subject(name);
        let count = Value::Int(i64::try_from(all.len()).unwrap());
        let (manifests, contents): (Vec<Row>, Vec<Vec<Row>>) = all.into_iter().unzip();
        let bench = self.0.read(of(), &signals::MANIFESTS, Ok(Value::Rows(manifests)));
        let bench = bench.read(of(), &signals::CONTENTS, Ok(Value::Rows(contents.into_iter().flatten().collect())));
        Self(bench.read(of(), &signals::COUNT, Ok(count)))
    }

    pub(super) fn listing(self, name: &str, rows: Vec<Row>) -> Self {
        Self(self.0.read(Self::subject(name), &signals::LIST, Ok(Value::Rows(rows))))
    }

    pub(super) fn findings(&self, rule: &dyn Rule) -> Vec<Finding> {
        self.0.findings(&[rule])
    }

    pub(super) fn judge(&self, rule: &dyn Rule) -> Vec<String> {
        self.0.coded(&[rule])
    }
}

/// A digest made of a name.
fn digest(of: &str) -> String {
    let hex: String = of.bytes().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex:0<64.64}")
}

pub(super) fn held(image: &str, outcome: &str, digest_of: Option<&str>, index: bool) -> Row {
    Row::default()
        .with("image", Value::text(image))
        .with("pinned", Value::Bool(image.contains('@')))
        .with("outcome", Value::text(outcome))
        .with("detail", Value::text(""))
        .with("digest", digest_of.map_or(Value::Null, |d| Value::text(&digest(d))))
        .with("index", digest_of.map_or(Value::Null, |_| Value::Bool(index)))
}

fn piece(image: &str, platform: &str, manifest: &str, config: &str) -> Row {
    Row::default()
        .with("image", Value::text(image))
        .with("platform", Value::text(platform))
        .with("digest", Value::text(&digest(manifest)))
        .with("config", Value::text(&digest(config)))
        .with("outcome", Value::text(signals::PRESENT))
        .with("detail", Value::text(""))
        .with("parts", Value::Int(3))
        .with("verified", Value::Int(3))
}

/// An index of these platforms, each `linux/amd64=CONFIG`.
pub(super) fn index(image: &str, platforms: &[&str]) -> (Row, Vec<Row>) {
    let pieces = platforms.iter().map(|p| {
        let (platform, config) = p.split_once('=').unwrap();
        piece(image, platform, &format!("m{config}"), config)
    });
    (held(image, signals::PRESENT, Some(&platforms.join(",")), true), pieces.collect())
}

/// One image, `linux/amd64=CONFIG`.
pub(super) fn image(image: &str, one: &str) -> (Row, Vec<Row>) {
    let (platform, config) = one.split_once('=').unwrap();
    let manifest = format!("m{config}");
    (held(image, signals::PRESENT, Some(&manifest), false), vec![piece(image, platform, &manifest, config)])
}

/// The same with another outcome for one platform.
pub(super) fn worse((held, mut pieces): (Row, Vec<Row>), platform: &str, outcome: &str) -> (Row, Vec<Row>) {
    for row in pieces.iter_mut().filter(|r| r.get("platform") == Some(&Value::text(platform))) {
        row.set("outcome", Value::text(outcome));
        row.set("verified", Value::Int(2));
    }
    (held, pieces)
}

pub(super) fn listed(source: &str, age: i64, count: i64) -> Row {
    Row::default()
        .with("source", Value::text(source))
        .with("count", Value::Int(count))
        .with("written", Value::Time(now().wall - chrono::Duration::seconds(age)))
}
