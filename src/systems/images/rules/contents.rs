//! Every image that is there is whole, so that it can be pulled.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Bearing, Facts, Finding, Reason, Rule, Verdict};

use super::super::options::Registry;
use super::super::signals::{MISSING, PRESENT, UNVERIFIED};
use super::{Bench, Piece, Stock, bounded, images, lanes, list_of};

const ID: RuleId = RuleId::new("images.contents");

/// Judges the content of one registry's images: of every platform that has to be there, the manifest, the configuration,
/// which was pulled, and each layer.
pub struct Contents;

impl Rule for Contents {
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

struct View<'a> {
    bench: Bench<'a>,
    registry: &'a Registry,
    at: Now,
    takes_over: bool,
}

fn judge(bench: Bench<'_>, registry: &Registry, stock: &Stock, at: Now) -> Vec<Finding> {
    let Some(all) = &stock.pieces else { return Vec::new() };
    let active = bench.active();
    let takes_over = registry.sites.iter().any(|s| *s != active);
    let view = View { bench, registry, at, takes_over };
    let present: Vec<&str> = stock.held.iter().filter(|h| h.outcome == PRESENT).map(|h| h.image.as_str()).collect();
    let mut bad = Vec::new();
    let (mut verified, mut parts) = (0, 0);
    for image in &present {
        let pieces: Vec<&Piece> = all.iter().filter(|p| p.image == **image).collect();
        let needed: Vec<&Piece> = pieces.iter().copied().filter(|p| bench.images.needs(&p.platform)).collect();
        verified += needed.iter().map(|p| p.verified).sum::<i64>();
        parts += needed.iter().map(|p| p.parts).sum::<i64>();
        bad.extend(view.image(image, &pieces, &needed));
    }
    if verified < parts && bad.is_empty() {
        let sites = registry.names();
        let sentence = format!("{verified} of {parts} parts of the images in {sites} have been looked at");
        return vec![
            bench
                .finding(ID, registry.subject(), Verdict::Unknown, UNVERIFIED, &sentence)
                .because(&format!("registry {}", registry.at), &sentence, at)
                .next("wait for the next look, or give this probe a longer timeout"),
        ];
    }
    if bad.is_empty() && !present.is_empty() {
        let (n, sites) = (images(present.len()), registry.names());
        let sentence = format!("{n} in {sites} could be pulled: all {parts} parts are there");
        return vec![bench.finding(ID, registry.subject(), Verdict::Ready, "whole", &sentence).because(
            &format!("registry {}", registry.at),
            &format!("{verified} parts"),
            at,
        )];
    }
    bounded(bad, |verdict, n| {
        let sentence = format!("{} more in {} are not whole", images(n), registry.names());
        bench.finding(ID, registry.subject(), verdict, "more", &sentence)
    })
}

impl View<'_> {
    fn finding(&self, image: &str, verdict: Verdict, code: &str, sentence: &str, pieces: &[&Piece]) -> Finding {
        let start = self.bench.finding(ID, self.registry.subject_of(image), verdict, code, sentence);
        let each = |f: Finding, p: &&Piece| {
            let platform = if p.platform.is_empty() { "its platform" } else { &p.platform };
            let said = if p.detail.is_empty() { p.outcome.clone() } else { format!("{}: {}", p.outcome, p.detail) };
            let value = format!("{said} ({} of {} parts)", p.verified, p.parts);
            f.because(&format!("{} {platform}", self.registry.at.pull(image)), &value, self.at)
        };
        pieces.iter().fold(start, each)
    }

    /// What is wrong with one image; `None` where nothing is, or nothing is known to be.
    fn image(&self, image: &str, pieces: &[&Piece], needed: &[&Piece]) -> Option<Finding> {
        let sites = self.registry.names();
        if pieces.is_empty() {
            let sentence = format!("what {image} in {sites} is made of was not read");
            let nothing =
                self.bench.finding(ID, self.registry.subject_of(image), Verdict::Unknown, "malformed", &sentence);
            return Some(
                nothing
                    .because(&self.registry.at.pull(image), &"nothing", self.at)
                    .next("this is a fault in lifeboat: report it"),
            );
        }
        let asked = &self.bench.images.platforms;
        let known = pieces.iter().all(|p| !p.platform.is_empty());
        let has = |platform: &String| {
            pieces.iter().any(|p| p.platform == *platform || p.platform.starts_with(&format!("{platform}:")))
        };
        let lacking: Vec<&String> = asked.iter().filter(|p| known && !has(p)).collect();
        if !lacking.is_empty() {
            let lacking = list_of(&lacking);
            let sentence = format!("{image} in {sites} is not there for {lacking}");
            return Some(self.worst(
                image,
                "platform-missing",
                &sentence,
                pieces,
                &format!("push {image} for {lacking}"),
            ));
        }
        let broken: Vec<&Piece> = needed.iter().copied().filter(|p| p.outcome == MISSING).collect();
        if let Some(first) = broken.first() {
            let platform = if first.platform.is_empty() { String::new() } else { format!(" for {}", first.platform) };
            let sentence = format!("{image}{platform} in {sites} cannot be pulled: {} is missing", first.detail);
            let next = format!("push it again, all of it: {}", self.registry.at.pull(image));
            // Where nobody says which platforms are needed, one that is whole may be enough.
            if asked.is_empty() && needed.iter().any(|p| p.outcome == PRESENT) {
                let finding = self.finding(image, Verdict::Degraded, "incomplete-platform", &sentence, &broken);
                return Some(
                    finding.next(&format!("{next}; or name the platforms that are needed: platforms = [...]")),
                );
            }
            return Some(self.worst(image, "incomplete", &sentence, &broken, &next));
        }
        let failed = needed.iter().copied().find(|p| p.outcome != PRESENT && p.outcome != UNVERIFIED)?;
        let code = Reason::ALL.iter().map(|r| r.code()).find(|code| *code == failed.outcome).unwrap_or("malformed");
        let sentence = format!("whether {image} in {sites} is whole is not known: {}", failed.detail);
        let next = format!("try it by hand: skopeo inspect docker://{}", self.registry.at.pull(image));
        Some(self.finding(image, Verdict::Unknown, code, &sentence, &[failed]).next(&next))
    }

    /// Not ready where a site could take over that pulls from here; else a site that runs cannot restart.
    fn worst(&self, image: &str, code: &str, sentence: &str, pieces: &[&Piece], next: &str) -> Finding {
        let verdict = if self.takes_over { Verdict::NotReady } else { Verdict::Degraded };
        let finding = self.finding(image, verdict, code, sentence, pieces).next(next);
        if !self.takes_over {
            return finding;
        }
        let consent = format!("{image} in {} cannot be pulled", self.registry.names());
        finding.bearing(Bearing::Consent(consent.into())).losing(&format!("image {image}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Desk, index, worse};
    use super::*;

    const BOTH: [&str; 2] = ["linux/amd64=a", "linux/arm64=b"];

    fn judged(platforms: &[&str], west: (crate::readiness::Row, Vec<crate::readiness::Row>)) -> String {
        let desk = Desk::needing(platforms, &["api:1"]);
        let desk = desk.with("east", vec![index("api:1", &BOTH)]).with("west", vec![west]);
        desk.judge(&Contents).remove(1)
    }

    #[test]
    fn whole_or_not() {
        let broken = |platform: &str, outcome: &str| worse(index("api:1", &BOTH), platform, outcome);
        assert_eq!(judged(&[], index("api:1", &BOTH)), "ready whole");
        assert_eq!(judged(&[], broken("linux/arm64", MISSING)), "degraded incomplete-platform");
        assert_eq!(judged(&["linux/amd64"], broken("linux/arm64", MISSING)), "ready whole");
        assert_eq!(judged(&["linux/arm64"], broken("linux/arm64", MISSING)), "not ready incomplete");
        let both = worse(broken("linux/arm64", MISSING), "linux/amd64", MISSING);
        assert_eq!(judged(&[], both), "not ready incomplete");
        assert_eq!(judged(&[], broken("linux/arm64", UNVERIFIED)), "unknown unverified");
        assert_eq!(judged(&[], broken("linux/arm64", "timed-out")), "unknown timed-out");
        assert_eq!(judged(&[], broken("linux/arm64", "gibberish")), "unknown malformed");
        assert_eq!(judged(&["linux/s390x"], index("api:1", &BOTH)), "not ready platform-missing");
        assert_eq!(judged(&[], (index("api:1", &BOTH).0, vec![])), "unknown malformed");
    }

    #[test]
    fn the_active_site_only_degrades() {
        let east = worse(worse(index("api:1", &BOTH), "linux/arm64", MISSING), "linux/amd64", MISSING);
        let desk = Desk::new(&["api:1"]).with("east", vec![east]).with("west", vec![index("api:1", &BOTH)]);
        assert_eq!(desk.judge(&Contents), ["degraded incomplete", "ready whole"]);
    }
}
