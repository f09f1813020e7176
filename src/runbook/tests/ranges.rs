//! Which steps belong together, and how far an approval is offered.

use super::super::*;
use super::bench::*;

/// A runbook by letters: `c` changes, `!` is a point of no return; the same letter after it is the same group.
fn of(text: &str) -> Runbook {
    let steps = text.split(' ').map(|word| {
        let danger = if word.starts_with('!') { Danger::Irreversible } else { Danger::Changes };
        let group = word.get(1..).filter(|g| !g.is_empty());
        step(word, StepRole::Other, danger, group)
    });
    Runbook { kind: RunbookKind::Failover, steps: steps.collect() }
}

fn range(text: &str, from: usize) -> (usize, usize) {
    let range = of(text).default_range(ix(from));
    (range.start().place(), range.end().place())
}

#[test]
fn up_to_the_point_of_no_return_and_from_it() {
    assert_eq!(range("c c ! c", 0), (0, 1));
    assert_eq!(range("c c ! c", 1), (1, 1));
    assert_eq!(range("c c ! c", 2), (2, 3));
    assert_eq!(range("c c ! c", 3), (3, 3));
    assert_eq!(range("! c ! c", 0), (0, 1), "each point of no return has an approval of its own");
    assert_eq!(range("c c", 0), (0, 1));
    assert_eq!(range("!", 0), (0, 0));
}

#[test]
fn groups_are_not_cut() {
    assert_eq!(range("c ca ca ! c", 0), (0, 2));
    assert_eq!(range("c ca !a c", 0), (0, 0), "the group with the point of no return is left out whole");
    assert_eq!(range("c ca !a c", 1), (1, 2), "and is offered whole");
    assert_eq!(range("ca !a c", 0), (0, 1));
    assert_eq!(range("!a !a c", 0), (0, 1));
    assert_eq!(range("ca cb !b", 0), (0, 0));
}

#[test]
fn beside() {
    let of = |text: &str, at: usize| {
        let range = of(text).beside(ix(at));
        (range.start().place(), range.end().place())
    };
    assert_eq!(of("c ca ca c", 0), (0, 0));
    assert_eq!((of("c ca ca c", 1), of("c ca ca c", 2)), ((1, 2), (1, 2)));
    assert_eq!(of("ca cb ca", 0), (0, 0), "only those in a row");
    assert_eq!(of("ca", 0), (0, 0));
    assert_eq!(of("ca", 7), (7, 7));
}

#[test]
fn sites_and_words() {
    use crate::plan::SiteId;
    let (east, west) = (SiteId::new("east"), SiteId::new("west"));
    let site = |on: On| on.site(&east, &west).clone();
    assert_eq!((site(On::OldActive), site(On::NewActive)), (east.clone(), west.clone()));
    assert_eq!(site(On::Site(SiteId::new("north"))).as_str(), "north");
    assert_eq!(
        [On::OldActive, On::NewActive, On::Site(west)].map(|o| o.word().to_owned()),
        ["old-active", "new-active", "west"]
    );
    for kind in RunbookKind::ALL {
        assert_eq!(RunbookKind::from_word(kind.word()), Some(kind));
    }
    assert_eq!(RunbookKind::from_word("failure"), None);
    assert!(RunId::fits("payments-failover-1.a_b") && !RunId::fits(".hidden") && !RunId::fits("a/b"));
    assert!(!RunId::fits("") && !RunId::fits(&"a".repeat(121)));
}
