//! Every image of the list is in every site's registry, and the same one as where the service runs.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict, one_look};

use super::super::options::{Registry, Wanted};
use super::super::parse::reference::short;
use super::super::signals::{MISSING, NOT_UNDERSTOOD, PRESENT};
use super::same::{Same, same};
use super::{Bench, Held, Stock, bounded, images, lanes, list_of};

const ID: RuleId = RuleId::new("images.presence");

/// Judges one registry: of a site that could take over, held against that of the site where the service runs.
pub struct Presence;

impl Rule for Presence {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        lanes(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(bench) = Bench::of(facts, about, now) else { return Vec::new() };
        let Some(registry) = bench.registry(about) else { return Vec::new() };
        let Some((stock, at)) = bench.stock(registry) else { return Vec::new() };
        match stock {
            Err(gap) => vec![bench.unreadable(ID, registry, &gap, at)],
            Ok(stock) => judge(bench, registry, &stock, at),
        }
    }
}

/// One registry, and what it is held against.
struct View<'a> {
    bench: Bench<'a>,
    registry: &'a Registry,
    at: Now,
    /// Whether a site pulls from it that could take over.
    takes_over: bool,
    /// The registry of the site where the service runs, where it is another.
    against: Option<&'a Registry>,
    /// What that one has; `None` where nothing fresh is known.
    there: Option<Stock>,
    /// Whether one of the two was looked at before the list changed, and will be again any moment.
    settling: bool,
}

/// Whether the older of two looks is not overdue yet: each registry is asked by the list as it is then.
fn settling(bench: Bench<'_>, one: Now, other: Now) -> bool {
    let older = if one.boot < other.boot { one } else { other };
    matches!(bench.images.wanted, Wanted::From(_)) && bench.now.since(older) <= one_look(bench.probe)
}

fn judge(bench: Bench<'_>, registry: &Registry, stock: &Stock, at: Now) -> Vec<Finding> {
    let active = bench.active();
    let takes_over = registry.sites.iter().any(|s| *s != active);
    let against = bench.images.of_site(&active).filter(|r| *r != registry).filter(|_| takes_over);
    let there = against.and_then(|r| bench.stock(r));
    let settling = there.as_ref().is_some_and(|(_, then)| settling(bench, at, *then));
    let there = there.and_then(|(stock, _)| stock.ok());
    let view = View { bench, registry, at, takes_over, against, there, settling };
    let mut bad: Vec<Finding> = stock.held.iter().filter_map(|held| view.judge(held, stock)).collect();
    bad.extend(view.not_asked(stock));
    if bad.is_empty() {
        return vec![view.good(stock)];
    }
    bounded(bad, |verdict, n| {
        let sentence = format!("{} more in {} are not as they should be", images(n), registry.names());
        bench.finding(ID, registry.subject(), verdict, "more", &sentence)
    })
}

impl View<'_> {
    fn finding(&self, held: &Held, verdict: Verdict, code: &str, sentence: &str) -> Finding {
        let value = match &held.digest {
            Some(digest) => format!("{} {}", held.outcome, short(digest)),
            None if held.detail.is_empty() => held.outcome.clone(),
            None => format!("{}: {}", held.outcome, held.detail),
        };
        let what = self.registry.at.pull(&held.image);
        self.bench
            .finding(ID, self.registry.subject_of(&held.image), verdict, code, sentence)
            .because(&what, &value, self.at)
    }

    /// What is wrong with one image; `None` where nothing is.
    fn judge(&self, held: &Held, stock: &Stock) -> Option<Finding> {
        let (image, sites) = (&held.image, self.registry.names());
        match held.outcome.as_str() {
            PRESENT => self.compared(held, stock),
            MISSING => Some(self.missing(held)),
            NOT_UNDERSTOOD => Some(
                self.finding(held, Verdict::Unknown, NOT_UNDERSTOOD, &format!("{image} of the list: {}", held.detail))
                    .next("mend the list: every image as it follows `at`, with a tag or a digest"),
            ),
            gap => Some(
                self.finding(held, Verdict::Unknown, gap, &format!("{image} in {sites}: {}", held.detail))
                    .next(&format!("try it by hand: skopeo inspect --raw docker://{}", self.registry.at.pull(image))),
            ),
        }
    }

    fn missing(&self, held: &Held) -> Finding {
        let (image, sites) = (&held.image, self.registry.names());
        let pull = self.registry.at.pull(image);
        if !self.takes_over {
            let sentence = format!("{image} is not in {sites}, where the service runs: a restart there cannot pull it");
            return self
                .finding(held, Verdict::Degraded, "missing-active", &sentence)
                .next(&format!("push it again: {pull}"));
        }
        let source = self.against.filter(|_| !self.missing_there(image));
        let (code, sentence, next) = match (source, self.against) {
            (Some(from), _) => {
                let copy = format!("copy it: skopeo copy --all docker://{} docker://{pull}", from.at.pull(image));
                ("missing", format!("{image} is not in {sites}"), copy)
            }
            (None, Some(other)) => {
                let sentence = format!("{image} is neither in {sites} nor in {}", other.names());
                (
                    "missing-everywhere",
                    sentence,
                    "see whether the list of images is right; then push the image".to_owned(),
                )
            }
            (None, None) => ("missing", format!("{image} is not in {}", self.registry.at), format!("push it: {pull}")),
        };
        self.finding(held, Verdict::NotReady, code, &sentence)
            .next(&next)
            .bearing(Bearing::Consent(format!("{image} is not in {sites}").into()))
            .losing(&format!("image {image}"))
    }

    fn missing_there(&self, image: &str) -> bool {
        self.there.as_ref().and_then(|t| t.of(image)).is_some_and(|h| h.outcome == MISSING)
    }

    /// A present image, held against the one where the service runs.
    fn compared(&self, held: &Held, stock: &Stock) -> Option<Finding> {
        let against = self.against?;
        let (image, sites, others) = (&held.image, self.registry.names(), against.names());
        let unknown = |why: &str| {
            let sentence = format!("{image} is in {sites}; whether it is the same as in {others} is not known: {why}");
            let next = format!("see to the registry {} first", against.at);
            Some(self.finding(held, Verdict::Unknown, "not-compared", &sentence).next(&next))
        };
        if held.pinned && held.digest.is_some() {
            return None;
        }
        let Some(there) = &self.there else { return unknown("nothing is known of that registry") };
        let own = match there.of(image) {
            Some(own) => own,
            None if self.settling => return None,
            None => return unknown("it was not asked for there yet"),
        };
        match own.outcome.as_str() {
            PRESENT => {}
            // There is nothing to compare with, and that registry's own finding says so.
            MISSING => return None,
            _ => return unknown("that registry does not say"),
        }
        let own_pieces: Vec<_> = there.pieces_of(image).collect();
        let pieces: Vec<_> = stock.pieces_of(image).collect();
        let evidence =
            |f: Finding| f.because(&against.at.pull(image), &short(own.digest.as_deref().unwrap_or_default()), self.at);
        let copy = format!(
            "copy it again: skopeo copy --all docker://{} docker://{}",
            against.at.pull(image),
            self.registry.at.pull(image)
        );
        match same(own, &own_pieces, held, &pieces, self.bench.images) {
            Same::Yes => None,
            Same::Unknown(why) => unknown(why),
            Same::No(which) => {
                let sentence = format!("{image} in {sites} is another build than in {others}: {which}");
                let consent = format!("{image} in {sites} is another build than in {others}");
                Some(
                    evidence(self.finding(held, Verdict::NotReady, "stale", &sentence))
                        .next(&copy)
                        .bearing(Bearing::Consent(consent.into()))
                        .losing(&format!("image {image} as it runs in {others}")),
                )
            }
            // A platform that the configuration asks for is the rule of contents' to miss.
            Same::Lacks(_) if !self.bench.images.platforms.is_empty() => None,
            Same::Lacks(platforms) => {
                let single = held.index == Some(false) && own.index == Some(true);
                let code = if single { "single-platform" } else { "platforms-missing" };
                let how = if single { "a single-platform copy" } else { "a part of the image" };
                let lacking = list_of(&platforms);
                let sentence = format!("{image} in {sites} is {how}: {others} has {lacking} too");
                let next = format!("{copy}; or name the platforms that are needed: platforms = [\"linux/amd64\"]");
                Some(evidence(self.finding(held, Verdict::Degraded, code, &sentence)).next(&next))
            }
        }
    }

    /// Images that the other registry was asked for and this one not, though it was its turn since the list changed.
    fn not_asked(&self, stock: &Stock) -> Vec<Finding> {
        if self.settling {
            return Vec::new();
        }
        let there = self.there.iter().flat_map(|t| &t.held);
        let new = there.filter(|h| stock.of(&h.image).is_none() && h.outcome != NOT_UNDERSTOOD);
        let finding = |held: &Held| {
            let sentence = format!("{} was not asked for in {} yet", held.image, self.registry.names());
            self.bench
                .finding(ID, self.registry.subject_of(&held.image), Verdict::Unknown, "not-asked", &sentence)
                .because(&self.registry.at.pull(&held.image), &"not asked for", self.at)
                .next("wait for the next look, or poll now (r)")
        };
        new.map(finding).collect()
    }

    fn good(&self, stock: &Stock) -> Finding {
        let what = match stock.held.as_slice() {
            [one] => format!("{} is", one.image),
            all => format!("all {} are", images(all.len())),
        };
        let as_there = match (self.against, self.takes_over) {
            (Some(other), _) if self.there.is_some() => format!(", as in {}", other.names()),
            _ => String::new(),
        };
        let sentence = format!("{what} in {}{as_there}", self.registry.names());
        let finding = self.bench.finding(ID, self.registry.subject(), Verdict::Ready, "present", &sentence);
        finding.because(&format!("registry {}", self.registry.at), &images(stock.held.len()), self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Desk, held, image, index};
    use super::*;

    const BOTH: [&str; 2] = ["linux/amd64=a", "linux/arm64=b"];

    #[test]
    fn all_there_and_the_same() {
        let desk =
            Desk::new(&["api:1"]).with("east", vec![index("api:1", &BOTH)]).with("west", vec![index("api:1", &BOTH)]);
        let found = desk.findings(&Presence);
        let sentences: Vec<&str> = found.iter().map(|f| f.sentence.as_str()).collect();
        assert_eq!(sentences, ["api:1 is in east", "api:1 is in west, as in east"]);
        assert!(found.iter().all(|f| f.verdict == Verdict::Ready));
    }

    #[test]
    fn missing_where_it_would_be_needed() {
        let gone = || (held("api:1", MISSING, None, false), vec![]);
        let desk = Desk::new(&["api:1"]).with("east", vec![index("api:1", &BOTH)]).with("west", vec![gone()]);
        assert_eq!(desk.judge(&Presence), ["ready present", "not ready missing"]);
        let found = desk.findings(&Presence).remove(1);
        assert_eq!(found.sentence.as_str(), "api:1 is not in west");
        assert_eq!(
            found.next.unwrap().as_str(),
            "copy it: skopeo copy --all docker://east.example.com/shop/api:1 docker://west.example.com/shop/api:1"
        );
        assert_eq!(found.loses[0].as_str(), "image api:1");
        assert_eq!(found.subject.to_string(), "west api:1");
        let nowhere = Desk::new(&["api:1"]).with("east", vec![gone()]).with("west", vec![gone()]);
        assert_eq!(nowhere.judge(&Presence), ["degraded missing-active", "not ready missing-everywhere"]);
        let only_here = Desk::new(&["api:1"]).with("east", vec![gone()]).with("west", vec![index("api:1", &BOTH)]);
        assert_eq!(only_here.judge(&Presence), ["degraded missing-active", "ready present"]);
    }

    #[test]
    fn stale_single_platform_and_partial() {
        let judged = |west| {
            let desk = Desk::new(&["api:1"]).with("east", vec![index("api:1", &BOTH)]).with("west", vec![west]);
            desk.judge(&Presence).remove(1)
        };
        assert_eq!(judged(image("api:1", "linux/amd64=a")), "degraded single-platform");
        assert_eq!(judged(image("api:1", "linux/amd64=x")), "not ready stale");
        assert_eq!(judged(index("api:1", &["linux/amd64=x", "linux/arm64=b"])), "not ready stale");
        assert_eq!(judged(index("api:1", &["linux/amd64=a"])), "degraded platforms-missing");
        assert_eq!(judged(index("api:1", &["linux/amd64=a", "linux/arm64=b", "linux/s390x=c"])), "ready present");
        assert_eq!(judged((held("api:1", "forbidden", None, false), vec![])), "unknown forbidden");
        assert_eq!(judged((held("api:1", "timed-out", None, false), vec![])), "unknown timed-out");
        assert_eq!(judged((held("api:1", "gibberish", None, false), vec![])), "unknown gibberish");
        assert_eq!(judged((held("api:1", PRESENT, Some("9"), true), vec![])), "unknown not-compared");
    }

    #[test]
    fn what_cannot_be_compared_is_not_called_the_same() {
        let west = || vec![index("api:1", &BOTH)];
        assert_eq!(Desk::new(&["api:1"]).with("west", west()).judge(&Presence), ["unknown not-compared"]);
        let gap = vec![(held("api:1", "timed-out", None, false), vec![])];
        let desk = Desk::new(&["api:1"]).with("east", gap).with("west", west());
        assert_eq!(desk.judge(&Presence), ["unknown timed-out", "unknown not-compared"]);
        // What is asked for by digest is what it is.
        let pinned = format!("api@sha256:{}", "a".repeat(64));
        let desk = Desk::new(&[&pinned]).with("west", vec![index(&pinned, &BOTH)]);
        assert_eq!(desk.judge(&Presence), ["ready present"]);
    }

    #[test]
    fn a_list_that_changes_and_one_that_cannot_be_understood() {
        let desk = Desk::new(&["api:1"])
            .with("east", vec![index("api:1", &BOTH), index("api:2", &BOTH)])
            .with("west", vec![index("api:1", &BOTH)]);
        assert_eq!(desk.judge(&Presence), ["ready present", "unknown not-asked"]);
        // A file that was written between the two looks: each was asked by what it said then, and will be again.
        let changed = |ago| {
            Desk::from_file()
                .ago(ago)
                .with("east", vec![index("api:1", &BOTH), index("api:2", &BOTH)])
                .with("west", vec![index("api:1", &BOTH), index("api:0", &BOTH)])
                .judge(&Presence)
        };
        assert_eq!(changed(90), ["ready present", "ready present"]);
        assert_eq!(changed(91), ["ready present", "unknown not-compared", "unknown not-asked"]);
        let odd = || (held("ghcr.io/x", NOT_UNDERSTOOD, None, false), vec![]);
        let desk = Desk::new(&["api:1"]).with("west", vec![odd()]);
        assert_eq!(desk.judge(&Presence), ["unknown not-understood"]);
        assert_eq!(Desk::new(&["api:1"]).with("west", vec![]).judge(&Presence), ["unknown malformed"]);
    }

    #[test]
    fn one_registry_for_all() {
        let desk = Desk::shared(&["api:1"]).with("one", vec![index("api:1", &BOTH)]);
        assert_eq!(desk.judge(&Presence), ["ready present"]);
        let gone = (held("api:1", MISSING, None, false), vec![]);
        let found = Desk::shared(&["api:1"]).with("one", vec![gone]).findings(&Presence).remove(0);
        assert_eq!((found.verdict, found.subject.to_string().as_str()), (Verdict::NotReady, "api:1"));
    }

    #[test]
    fn many_are_counted() {
        let names: Vec<String> = (0..30).map(|i| format!("api:{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let gone = names.iter().map(|n| (held(n, MISSING, None, false), vec![])).collect();
        let east = names.iter().map(|n| index(n, &BOTH)).collect();
        let found = Desk::new(&names).with("east", east).with("west", gone).findings(&Presence);
        assert_eq!(found.len(), 1 + 20 + 1);
        let last = found.last().unwrap();
        assert_eq!(last.sentence.as_str(), "10 images more in west are not as they should be");
        assert_eq!(last.loses.len(), 10);
    }
}
