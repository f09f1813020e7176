//! Numbers that look random and follow from a seed.

/// `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): small, and the same on every
/// machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The numbers of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The next number from `least` to below `below`; `least` where there is none between.
    pub const fn within(&mut self, least: u64, below: u64) -> u64 {
        match below.saturating_sub(least) {
            0 => least,
            width => least + self.next() % width,
        }
    }

    /// A stream of numbers of its own, so that one part's draws do not move another's.
    #[must_use]
    pub fn fork(&self, name: &str) -> Self {
        // FNV-1a over the name, mixed into the seed.
        let hash =
            name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
        let mut other = Self(self.0 ^ hash);
        other.next();
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_it_all() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        assert_eq!((a.next(), a.within(3, 9)), (b.next(), b.within(3, 9)));
        assert!((0..1_000).all(|_| (3..9).contains(&a.within(3, 9))));
        assert_eq!(a.within(5, 5), 5);
        assert_ne!(Rng::new(7).fork("a").next(), Rng::new(7).fork("b").next());
        // The published first number of seed 0.
        assert_eq!(Rng::new(0).next(), 0xE220_A839_7B1D_CDAF);
    }
}
