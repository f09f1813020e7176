//! Whether two registries have the same image under one name. Like is compared with like: an index with an index; what
//! was copied for one platform only is found in the index that it came from.

use super::super::options::Images;
use super::super::parse::reference::short;
use super::{Held, Piece};

/// What comparing one image in two registries shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// The same content, for every platform.
    Yes,
    /// Another build: a sentence fragment that says which instead of which.
    No(String),
    /// The same, but not for these platforms.
    Lacks(Vec<String>),
    /// It is not known, because of this.
    Unknown(&'static str),
}

/// Compares what `other` has with what `own` has, the one that counts.
pub(super) fn same(own: &Held, own_pieces: &[&Piece], other: &Held, other_pieces: &[&Piece], images: &Images) -> Same {
    if own.digest.is_some() && own.digest == other.digest {
        return Same::Yes;
    }
    let (Some(own_digest), Some(digest)) = (&own.digest, &other.digest) else {
        return Same::Unknown("no digest was given");
    };
    let (Some(own_index), Some(index)) = (own.index, other.index) else {
        return Same::Unknown("nobody says whether it has several platforms");
    };
    // An index that could not be read has one piece: itself.
    let read = |index: bool, top: &String, pieces: &[&Piece]| {
        !pieces.is_empty()
            && pieces.iter().all(|p| if index { p.digest.as_ref() != Some(top) } else { p.config.is_some() })
    };
    if !read(own_index, own_digest, own_pieces) || !read(index, digest, other_pieces) {
        return Same::Unknown("its content could not be read");
    }
    let (mut same, mut lacking, mut differing, mut unclear) = (0, Vec::new(), false, false);
    for own in own_pieces.iter().filter(|p| images.needs(&p.platform)) {
        let nobody_says = |p: &&&Piece| own.platform.is_empty() || p.platform.is_empty();
        let alike = other_pieces.iter().filter(|p| p.platform == own.platform || nobody_says(p));
        if other_pieces.iter().any(|p| equal(own, p) == Some(true)) {
            same += 1;
            continue;
        }
        for piece in alike {
            differing = true;
            unclear = unclear || equal(own, piece).is_none();
        }
        lacking.push(if own.platform.is_empty() { short(own_digest).to_owned() } else { own.platform.clone() });
    }
    match lacking.is_empty() {
        true => Same::Yes,
        false if unclear => Same::Unknown("its content could not be read"),
        // Where platforms are named, which of them are there is judged by itself.
        false if differing || (same == 0 && images.platforms.is_empty()) => {
            Same::No(format!("{} instead of {}", short(digest), short(own_digest)))
        }
        false => Same::Lacks(lacking),
    }
}

/// Whether it is the same manifest, or the same image wrapped anew: its configuration names every layer's content. `None`
/// where a manifest differs that could not be read.
fn equal(a: &Piece, b: &Piece) -> Option<bool> {
    match (&a.digest, &b.digest, &a.config, &b.config) {
        (Some(a), Some(b), _, _) if a == b => Some(true),
        (_, _, Some(a), Some(b)) => Some(a == b),
        (_, _, _, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{held, image, index, options};
    use super::*;

    /// Compares what east has with what west has, each as manifests with platforms: `linux/amd64=A` is configuration A.
    fn of(own: &[&str], other: &[&str]) -> Same {
        of_needing(&[], own, other)
    }

    fn of_needing(platforms: &[&str], own: &[&str], other: &[&str]) -> Same {
        let images = options(platforms);
        let read = |what: &[&str]| {
            let (held, pieces) = if let ["single", one] = what { image("api:1", one) } else { index("api:1", what) };
            (
                super::super::held(&held).unwrap(),
                pieces.iter().map(|p| super::super::piece(p).unwrap()).collect::<Vec<_>>(),
            )
        };
        let ((own, own_pieces), (other, other_pieces)) = (read(own), read(other));
        let refs = |pieces: &'static [Piece]| pieces.iter().collect::<Vec<_>>();
        same(&own, &refs(own_pieces.leak()), &other, &refs(other_pieces.leak()), &images)
    }

    const BOTH: [&str; 2] = ["linux/amd64=a", "linux/arm64=b"];

    #[test]
    fn index_against_index() {
        assert_eq!(of(&BOTH, &BOTH), Same::Yes);
        // Another index of the same images: an attestation more, another order.
        assert_eq!(of(&BOTH, &["linux/arm64=b", "linux/amd64=a"]), Same::Yes);
        assert!(matches!(of(&BOTH, &["linux/amd64=a", "linux/arm64=x"]), Same::No(_)));
        assert_eq!(of(&BOTH, &["linux/amd64=a"]), Same::Lacks(vec!["linux/arm64".into()]));
        assert_eq!(of(&["linux/amd64=a"], &BOTH), Same::Yes);
        assert!(matches!(of(&BOTH, &["linux/amd64=x", "linux/arm64=y"]), Same::No(_)));
        assert!(matches!(of(&BOTH, &["linux/amd64=x"]), Same::No(_)), "another build for one, and none for the other");
    }

    #[test]
    fn single_platform_copies_are_not_stale_ones() {
        assert_eq!(of(&BOTH, &["single", "linux/amd64=a"]), Same::Lacks(vec!["linux/arm64".into()]));
        assert!(matches!(of(&BOTH, &["single", "linux/amd64=x"]), Same::No(_)));
        assert_eq!(of(&["single", "linux/amd64=a"], &BOTH), Same::Yes);
        assert!(matches!(of(&["single", "linux/amd64=x"], &BOTH), Same::No(_)));
        assert_eq!(of(&["linux/amd64=a"], &["single", "linux/amd64=a"]), Same::Yes);
    }

    #[test]
    fn image_against_image() {
        assert_eq!(of(&["single", "linux/amd64=a"], &["single", "linux/amd64=a"]), Same::Yes);
        let Same::No(words) = of(&["single", "linux/amd64=a"], &["single", "linux/amd64=b"]) else { panic!() };
        assert!(words.contains(" instead of sha256:"), "{words}");
    }

    #[test]
    fn what_was_not_read_of_a_platform_is_not_called_another_build() {
        let images = options(&[]);
        let (held, mut pieces) = index("api:1", &BOTH);
        let (other, others) = image("api:1", "linux/amd64=x");
        let compared = |own: &[crate::readiness::Row]| {
            let read = |rows: &[crate::readiness::Row]| {
                rows.iter().map(|p| super::super::piece(p).unwrap()).collect::<Vec<_>>()
            };
            let (own, others) = (read(own), read(&others));
            let (held, other) = (super::super::held(&held).unwrap(), super::super::held(&other).unwrap());
            same(&held, &own.iter().collect::<Vec<_>>(), &other, &others.iter().collect::<Vec<_>>(), &images)
        };
        assert!(matches!(compared(&pieces), Same::No(_)));
        pieces[0].set("config", crate::readiness::Value::Null);
        assert!(matches!(compared(&pieces), Same::Unknown(_)));
    }

    #[test]
    fn only_needed_platforms_count() {
        assert_eq!(of_needing(&["linux/amd64"], &BOTH, &["linux/amd64=a", "linux/arm64=x"]), Same::Yes);
        assert_eq!(of_needing(&["linux/amd64"], &BOTH, &["single", "linux/amd64=a"]), Same::Yes);
        assert!(matches!(of_needing(&["linux/arm64"], &BOTH, &["linux/amd64=a", "linux/arm64=x"]), Same::No(_)));
        assert!(matches!(of_needing(&["linux/arm64"], &BOTH, &["single", "linux/amd64=a"]), Same::Lacks(_)));
    }

    #[test]
    fn what_cannot_be_read_is_not_compared() {
        let images = options(&[]);
        let (one, other) = (held("api:1", "present", Some("1"), true), held("api:1", "present", Some("2"), true));
        let (one, other) = (super::super::held(&one).unwrap(), super::super::held(&other).unwrap());
        assert!(matches!(same(&one, &[], &other, &[], &images), Same::Unknown(_)));
        assert_eq!(same(&one, &[], &one, &[], &images), Same::Yes);
    }
}
