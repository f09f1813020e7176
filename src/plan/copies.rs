//! The copies of a plan's data: how many there are, on what, and where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Day, SafeText, SiteId, Span, Subject};

/// What a copy is kept on. Two copies on one medium share the hazards of that medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Medium {
    /// Disks, in a server or behind one: local, NFS, block storage.
    #[default]
    Disk,
    /// An object store: S3 and what speaks like it.
    ObjectStore,
    /// Tape.
    Tape,
    /// Optical discs.
    Optical,
}

impl Medium {
    /// The name in configuration and in sentences.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::ObjectStore => "object-store",
            Self::Tape => "tape",
            Self::Optical => "optical",
        }
    }
}

/// How many copies a plan asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CopyRule {
    /// Three copies, production included, on two media, one of them off the home site.
    #[serde(rename = "3-2-1")]
    ThreeTwoOne,
}

/// Where a copy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlace {
    /// What it is kept on.
    pub medium: Medium,
    /// The site that it is in, where it is one of the plan's.
    pub site: Option<SiteId>,
    /// Whether it survives the loss of the home site.
    pub offsite: bool,
}

impl CopyPlace {
    /// A copy in a site, or in none of the plan's. It is offsite where the configuration says so, else where its site is
    /// another one than the home; a place in no site is offsite only when that is said.
    #[must_use]
    pub fn new(medium: Medium, site: Option<&SiteId>, offsite: Option<bool>, home: &SiteId) -> Self {
        let offsite = offsite.unwrap_or_else(|| site.is_some_and(|s| s != home));
        Self { medium, site: site.cloned(), offsite }
    }
}

/// One copy that a probe looks at. It counts where a finding about its subject proves it
/// ([`Proof::Copy`](crate::readiness::Proof::Copy)) and none about it is worse than degraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedCopy {
    /// What the findings are about that judge it.
    pub subject: Subject,
    /// Where it is.
    pub place: CopyPlace,
}

/// One copy that no probe sees: somebody vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredCopy {
    /// What it is: `weekly tapes in the vault`.
    pub what: SafeText,
    /// Where it is.
    pub place: CopyPlace,
    /// When somebody last made sure that it is there.
    pub on: Day,
    /// Who that was.
    pub by: Option<SafeText>,
    /// For how long their word holds.
    pub lasts: Span,
}

/// What a plan says about its copies as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// How many it asks for; `None` where it does not.
    pub rule: Option<CopyRule>,
    /// The copies that no probe sees.
    pub declared: Vec<DeclaredCopy>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsite_is_another_site_than_home_unless_it_is_said() {
        let (east, west) = (SiteId::new("east"), SiteId::new("west"));
        let of = |site, said| CopyPlace::new(Medium::Disk, site, said, &east).offsite;
        assert!(of(Some(&west), None));
        assert!(!of(Some(&east), None));
        assert!(!of(None, None));
        assert!(of(None, Some(true)));
        assert!(!of(Some(&west), Some(false)));
    }
}
