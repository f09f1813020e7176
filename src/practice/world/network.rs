//! Sites, and who reaches whom.

use std::collections::BTreeSet;
use std::fmt;

/// A site of the practice world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// Home.
    East,
    /// Where things fail over to.
    West,
}

impl Site {
    /// Both.
    pub const ALL: [Self; 2] = [Self::East, Self::West];

    /// Its name in plans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::East => "east",
            Self::West => "west",
        }
    }

    /// The one that it is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::East => Self::West,
            Self::West => Self::East,
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a server of the world meets whoever connects from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// It answers.
    Open,
    /// Nobody listens: connections are refused, and open ones end.
    Refused,
    /// It takes connections and says nothing, neither on new ones nor on open ones.
    Hangs,
    /// A black hole: no connection comes about, and open ones fall silent.
    Cut,
}

/// What is cut.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Sites that nobody reaches.
    cut: BTreeSet<Site>,
    /// Whether the sites reach each other no more; from here both are reached.
    parted: bool,
}

impl Network {
    /// Whether a site is reached from here.
    #[must_use]
    pub fn reaches(&self, site: Site) -> bool {
        !self.cut.contains(&site)
    }

    /// Whether what is in one site reaches what is in another. Within a site it always does.
    #[must_use]
    pub fn between(&self, a: Site, b: Site) -> bool {
        a == b || (!self.parted && self.reaches(a) && self.reaches(b))
    }

    /// Cuts a site off from everybody, or heals that.
    pub fn cut(&mut self, site: Site, cut: bool) {
        if cut {
            self.cut.insert(site);
        } else {
            self.cut.remove(&site);
        }
    }

    /// Parts the sites from each other, or heals that.
    pub const fn part(&mut self, parted: bool) {
        self.parted = parted;
    }
}
