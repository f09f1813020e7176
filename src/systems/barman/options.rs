//! The options of `kind = "barman"`.

use std::any::Any;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{
    CopyPlace, EnvValue, Medium, ProbeOptions, ProbedCopy, Program, SafeText, SiteId, Span, Ssh, Subject,
};

/// Options of a `barman` probe, as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BarmanOptions {
    /// The server, as Barman's configuration names it.
    pub server: String,
    /// The program, and what goes before its own arguments: `["sudo", "-n", "-u", "barman", "barman"]`. Barman refuses to
    /// be run by anybody but its own user. Without: `barman`.
    #[serde(default = "barman")]
    pub argv: Vec<String>,
    /// The site where Barman keeps its backups.
    pub site: Option<String>,
    /// The host to run it on. Without: this machine.
    pub ssh: Option<Ssh>,
    /// What its environment holds beside PATH, HOME and the like: texts, or where secrets are.
    #[serde(default)]
    pub environment: BTreeMap<String, EnvValue>,
    /// The `postgres` probe of this plan that looks at the database that is backed up. Without: the only one there is.
    pub database: Option<String>,
    /// How old the newest complete backup may be, from its end. Without: 26h. Barman's own limit may be unset, and then its
    /// check calls every age right.
    #[serde(default = "a_day_and_more")]
    pub max_age: Span,
    /// How long log that the primary has written may stay out of the catalogue, while no more comes. Without: 15m.
    #[serde(default = "quarter_of_an_hour")]
    pub max_wal_age: Span,
    /// How many complete backups there must be. Without: 1.
    #[serde(default = "one")]
    pub min_backups: u32,
    /// What the backups are kept on. Without: "disk".
    #[serde(default)]
    pub medium: Medium,
    /// Whether they survive the loss of the home site. Without: where `site` is another one.
    pub offsite: Option<bool>,
    /// Let everything else go first.
    #[serde(default)]
    pub nice: bool,
}

fn barman() -> Vec<String> {
    vec!["barman".to_owned()]
}

const fn a_day_and_more() -> Span {
    Span::secs(26 * 3_600)
}

const fn quarter_of_an_hour() -> Span {
    Span::secs(15 * 60)
}

const fn one() -> u32 {
    1
}

impl BarmanOptions {
    /// The program with its own arguments, which come before the server's name.
    #[must_use]
    pub fn program(&self, arguments: &[&str]) -> Program {
        let mut argv = self.argv.clone();
        argv.extend(["-f", "json"].map(str::to_owned));
        argv.extend(arguments.iter().map(|a| (*a).to_owned()));
        Program { argv, environment: self.environment.clone(), ssh: self.ssh.clone(), nice: self.nice }
    }

    /// What is looked at, for people.
    #[must_use]
    pub fn shown(&self) -> SafeText {
        let on = self.ssh.as_ref().map_or_else(|| "here".to_owned(), |s| format!("on {}", s.host()));
        SafeText::new(&format!("barman {} {on}", self.server))
    }
}

/// Options of a `barman` probe, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barman {
    /// As they are written.
    pub written: BarmanOptions,
    /// The one copy.
    pub copies: Vec<ProbedCopy>,
}

impl Barman {
    /// With its copy, in a plan with this home.
    #[must_use]
    pub fn new(written: BarmanOptions, home: &SiteId) -> Self {
        let site = written.site.as_deref().map(SiteId::new);
        let subject = Subject { site: site.clone(), part: Some(written.server.as_str().into()) };
        let place = CopyPlace::new(written.medium, site.as_ref(), written.offsite, home);
        Self { written, copies: vec![ProbedCopy { subject, place }] }
    }
}

impl ProbeOptions for Barman {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn copies(&self) -> &[ProbedCopy] {
        &self.copies
    }
}
