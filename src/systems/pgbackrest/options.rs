//! The options of `kind = "pgbackrest"`.

use std::any::Any;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{
    CopyPlace, EnvValue, Medium, ProbeOptions, ProbedCopy, Program, SafeText, SiteId, Span, Ssh, Subject,
};

/// Options of a `pgbackrest` probe, as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgbackrestOptions {
    /// The stanza.
    pub stanza: String,
    /// The program, and what goes before its own arguments: `["sudo", "-n", "-u", "postgres", "pgbackrest"]`. Without:
    /// `pgbackrest`.
    #[serde(default = "pgbackrest")]
    pub argv: Vec<String>,
    /// The site where it is run: where a restore would begin. The key that it finds there must open every repository.
    pub site: Option<String>,
    /// The host to run it on. Without: this machine.
    pub ssh: Option<Ssh>,
    /// What its environment holds beside PATH, HOME and the like: texts, or where secrets are.
    #[serde(default)]
    pub environment: BTreeMap<String, EnvValue>,
    /// Where its repositories are, by number. All that it knows are looked at, named here or not; one that is named here
    /// must be there.
    #[serde(default)]
    pub repos: BTreeMap<String, RepoTable>,
    /// The `postgres` probe of this plan that looks at the database that is backed up. Without: the only one there is.
    pub database: Option<String>,
    /// How old the newest backup of any type may be, from its end. Without: 26h.
    #[serde(default = "a_day_and_more")]
    pub max_age: Span,
    /// How old the newest full backup may be. Without: 32d.
    #[serde(default = "a_month_and_more")]
    pub max_full_age: Span,
    /// How long the log that the primary has written may stay out of the archive; where no probe looks at the primary, how
    /// old the newest archived segment may be. Without: 15m, and for an unseen primary no limit, because an idle database
    /// archives nothing.
    pub max_wal_age: Option<Span>,
    /// How many full backups there must be. Without: 1.
    #[serde(default = "one")]
    #[schemars(range(max = 12))]
    pub min_full: u32,
    /// Let everything else go first.
    #[serde(default)]
    pub nice: bool,
}

/// Where a repository is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepoTable {
    /// The site that it is in, where it is one of the plan's.
    pub site: Option<String>,
    /// What it is kept on. Without: "disk".
    #[serde(default)]
    pub medium: Medium,
    /// Whether it survives the loss of the home site. Without: where its site is another one.
    pub offsite: Option<bool>,
}

fn pgbackrest() -> Vec<String> {
    vec!["pgbackrest".to_owned()]
}

const fn a_day_and_more() -> Span {
    Span::secs(26 * 3_600)
}

const fn a_month_and_more() -> Span {
    Span::secs(32 * 86_400)
}

const fn one() -> u32 {
    1
}

/// How long written log may stay out of the archive where nothing is said: an archiver that retries comes through.
pub const MAX_WAL_AGE: Span = Span::secs(15 * 60);

impl PgbackrestOptions {
    /// The program with its own arguments.
    #[must_use]
    pub fn program(&self, arguments: &[&str]) -> Program {
        let mut argv = self.argv.clone();
        argv.push(format!("--stanza={}", self.stanza));
        argv.extend(arguments.iter().map(|a| (*a).to_owned()));
        Program { argv, environment: self.environment.clone(), ssh: self.ssh.clone(), nice: self.nice }
    }

    /// What is looked at, for people.
    #[must_use]
    pub fn shown(&self) -> SafeText {
        let on = self.ssh.as_ref().map_or_else(|| "here".to_owned(), |s| format!("on {}", s.host()));
        SafeText::new(&format!("pgbackrest {} {on}", self.stanza))
    }

    /// What findings about one repository are about.
    #[must_use]
    pub fn subject(&self, repo: i64) -> Subject {
        let table = self.repos.get(&repo.to_string());
        let site = table.and_then(|r| r.site.as_deref()).or(self.site.as_deref().filter(|_| table.is_none()));
        Subject { site: site.map(SiteId::new), part: Some(format!("{} repo{repo}", self.stanza).into()) }
    }
}

/// Options of a `pgbackrest` probe, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pgbackrest {
    /// As they are written.
    pub written: PgbackrestOptions,
    /// The copies: one for each repository that is named.
    pub copies: Vec<ProbedCopy>,
}

impl Pgbackrest {
    /// With its copies, in a plan with this home.
    #[must_use]
    pub fn new(written: PgbackrestOptions, home: &SiteId) -> Self {
        let copy = |(key, table): (&String, &RepoTable)| {
            let site = table.site.as_deref().map(SiteId::new);
            let subject = written.subject(key.parse().ok()?);
            Some(ProbedCopy { subject, place: CopyPlace::new(table.medium, site.as_ref(), table.offsite, home) })
        };
        let copies = written.repos.iter().filter_map(copy).collect();
        Self { written, copies }
    }
}

impl ProbeOptions for Pgbackrest {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn copies(&self) -> &[ProbedCopy] {
        &self.copies
    }
}
