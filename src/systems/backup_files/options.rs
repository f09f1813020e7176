//! The options of `kind = "backup-files"`: as they are written, and as they are meant.

use std::any::Any;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{Bytes, Medium, ProbeOptions, ProbedCopy, SiteId, Span};

use super::parse::pattern::NamePattern;

/// Options of a `backup-files` probe, as they are written.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupFilesOptions {
    /// The site where the files are.
    pub site: String,
    /// The directory that they are in, as this machine sees it.
    pub location: String,
    /// What the names of backups look like: `orders_*.dump`, with `*`, `?`, `[0-9]` and `{a,b}`. Where names hold the time of
    /// the start, say so: `orders_{%Y-%m-%dT%H%M}.dump`; it is more exact than the time of writing. Either this or `chain`.
    pub pattern: Option<String>,
    /// Names of full backups and of those that build on them, instead of `pattern`.
    pub chain: Option<ChainOptions>,
    /// How old the newest backup may be.
    pub max_age: Span,
    /// How small the newest backup may be.
    pub min_size: Option<Bytes>,
    /// How much smaller than the one before it the newest backup may be, in percent; 30 where it is not said.
    #[schemars(range(min = 1, max = 100))]
    #[serde(default = "thirty")]
    pub max_shrink: u8,
    /// How many backups must be there; of a chain, full ones.
    #[schemars(range(min = 1, max = 10000))]
    pub keep: Option<u32>,
    /// The time zone of names: "utc", "local" (this machine's) or an offset such as "+02:00"; "utc" where it is not said.
    pub zone: Option<String>,
    /// For how long a file must rest before it counts as written; 1m where it is not said.
    #[serde(default = "one_minute")]
    pub settle: Span,
    /// Whether to read backups in full, in the background and with low priority: only that proves that they can be read.
    #[serde(default)]
    pub decode: Decode,
    /// A file that whoever restored a backup leaves: empty, and then its time of writing counts, or JSON with the fields
    /// `at`, `backup`, `took` and `bytes`, of which `at` must be there.
    pub restore_proof: Option<String>,
    /// How old that proof may be; 31d where it is not said.
    #[serde(default = "thirty_one_days")]
    pub max_proof_age: Span,
    /// What the files are kept on, for the plan's rule about copies.
    #[serde(default)]
    pub medium: Medium,
    /// Whether the files survive the loss of the home site, for the plan's rule about copies; where it is not said, files in
    /// another site do.
    pub offsite: Option<bool>,
}

const fn thirty() -> u8 {
    30
}

const fn one_minute() -> Span {
    Span::secs(60)
}

const fn thirty_one_days() -> Span {
    Span::secs(31 * 86_400)
}

/// The names of backups that build on each other, each as in `pattern`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainOptions {
    /// Full backups.
    pub full: String,
    /// Those that build on the last full one.
    pub differential: Option<String>,
    /// Those that build on the last one of any kind.
    pub incremental: Option<String>,
}

/// Whether backups are read in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decode {
    /// They are not.
    #[default]
    Never,
    /// The newest one is, once.
    Newest,
}

/// The time zone that names are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// So many seconds east of UTC.
    Offset(i32),
    /// This machine's.
    Local,
}

/// What a backup is within its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no chain.
    Backup,
    /// It stands alone.
    Full,
    /// It builds on the last full one.
    Differential,
    /// It builds on the last one of any kind.
    Incremental,
}

impl Kind {
    /// The word for it, in readings and sentences.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Full => "full",
            Self::Differential => "differential",
            Self::Incremental => "incremental",
        }
    }

    /// Whether it can be restored without another.
    #[must_use]
    pub const fn stands_alone(self) -> bool {
        matches!(self, Self::Backup | Self::Full)
    }
}

/// Options of a `backup-files` probe, checked, as they are meant.
#[derive(Clone, Debug)]
pub struct BackupFiles {
    /// The site.
    pub site: SiteId,
    /// The directory: an absolute path.
    pub location: String,
    /// The names of each kind of backup.
    pub names: Vec<(Kind, NamePattern)>,
    /// How old the newest may be.
    pub max_age: Span,
    /// How small the newest may be.
    pub min_size: Option<Bytes>,
    /// How much smaller than the one before the newest may be, in percent.
    pub max_shrink: u8,
    /// How many must be there.
    pub keep: Option<u32>,
    /// The time zone of names.
    pub zone: Zone,
    /// For how long a file must rest.
    pub settle: Span,
    /// Whether to read in full.
    pub decode: Decode,
    /// The marker of a restore: an absolute path.
    pub restore_proof: Option<String>,
    /// How old the proof may be.
    pub max_proof_age: Span,
    /// Whether the files survive the loss of the home site, where that is said.
    pub offsite: Option<bool>,
    /// The copy that this is.
    pub copies: Vec<ProbedCopy>,
}

impl BackupFiles {
    /// The names as they were written, for sentences.
    #[must_use]
    pub fn pattern(&self) -> String {
        self.names.iter().map(|(_, p)| p.to_string()).collect::<Vec<_>>().join(" or ")
    }

    /// Whether backups build on each other.
    #[must_use]
    pub fn has_chain(&self) -> bool {
        self.names.iter().any(|(kind, _)| *kind != Kind::Backup)
    }
}

impl ProbeOptions for BackupFiles {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn copies(&self) -> &[ProbedCopy] {
        &self.copies
    }
}
