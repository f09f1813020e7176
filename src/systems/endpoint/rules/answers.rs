//! What must answer at a site answers, as it must, and fast enough.

use crate::plan::{Now, Plan, RuleId, SafeText};
use crate::readiness::{About, Bearing, Facts, Finding, Gap, Reason, Row, Rule, Verdict};
use crate::systems::endpoint::signals::{BANNER, CONTENT, ISSUER, NOT_LET_IN, OK, STATUS, TOOK};

use super::{Asked, endpoints};

const ID: RuleId = RuleId::new("endpoint.answers");

/// An answer that is another than the right one is proof. One that turns this program away is not: users may be let in.
pub struct Answers;

impl Rule for Answers {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        endpoints(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(asked) = Asked::of(facts, about, now) else { return Vec::new() };
        let senseless = |gap: &Gap| {
            asked
                .finding(ID, Verdict::Unknown, Reason::Malformed.code(), &format!("{}: {gap}", asked.what()))
                .because("what was read", gap, asked.at)
                .next("report it: this is a fault in lifeboat")
        };
        let read = asked.row.ok_or_else(|| Gap::new(Reason::Malformed, "no row was read"));
        let found = read.and_then(|row| judge(asked, row)).unwrap_or_else(|gap| senseless(&gap));
        vec![found]
    }
}

fn judge(asked: Asked<'_>, row: &Row) -> Result<Finding, Gap> {
    let text = |column| row.text(column)?.ok_or_else(|| Gap::new(Reason::Malformed, &format!("no {column}")));
    let (outcome, detail): (SafeText, SafeText) = (text("outcome")?, text("detail")?);
    let (what, site) = (asked.what(), asked.site);
    let make = |verdict, code, sentence: &str| {
        let finding = asked.finding(ID, verdict, code, sentence).because(&format!("{site} answer"), &detail, asked.at);
        let key = asked.probe.lane_id(asked.lane).key(TOOK);
        finding.charted(key, asked.options.max_latency().map(|m| m.0.as_secs_f64()))
    };
    // A failover to a site where it is so is a person's choice.
    let proof = |code, why: &str, next: &str| {
        make(Verdict::NotReady, code, why).next(next).bearing(Bearing::Consent(SafeText::new(why)))
    };
    Ok(match outcome.as_str() {
        OK => {
            return slow(asked, &detail)
                .map_or_else(|| Ok(make(Verdict::Ready, "answers", &format!("{what} answers"))), Ok);
        }
        STATUS => proof("wrong-status", &format!("{what} answers {detail}"), "see the log of what serves there"),
        CONTENT => proof(
            "wrong-content",
            &format!("{what}: {detail}"),
            "see what serves there: it may be another version or page",
        ),
        BANNER => proof("wrong-banner", &format!("{what} {detail}"), "find out what listens there"),
        ISSUER => proof(
            "wrong-issuer",
            &format!("the certificate of {what} is {detail}"),
            "find out who replaced it: a proxy in between, or another authority",
        ),
        NOT_LET_IN => make(Verdict::Unknown, "not-let-in", &format!("{what} does not let lifeboat in: {detail}"))
            .next("check the credentials and headers of the probe, or say which status is right: status = ..."),
        code if code == Reason::CertificateExpired.code() => proof(
            "certificate-expired",
            &format!("the certificate of {what} has expired: clients refuse it"),
            "renew it now, and see why nothing renewed it by itself",
        ),
        code if code == Reason::CertificateName.code() => proof(
            "certificate-name",
            &format!("the certificate of {what} is for another name: clients refuse it"),
            "have it made for this name, or use the name that it is for",
        ),
        code if code == Reason::UnknownIssuer.code() => make(
            Verdict::Unknown,
            "unknown-issuer",
            &format!("the certificate of {what} is signed by nobody that is trusted here"),
        )
        .next("name the authority's file: roots = \"...\"; if clients trust it no more than lifeboat does, replace it"),
        _ => return Err(Gap::new(Reason::Malformed, "an outcome that is none")),
    })
}

fn slow(asked: Asked<'_>, detail: &SafeText) -> Option<Finding> {
    let most = asked.options.max_latency()?;
    let (took, reading) = asked.facts.span(asked.probe, &asked.lane.subject, &TOOK, asked.now)?;
    (took > most.0).then(|| {
        let key = asked.probe.lane_id(asked.lane).key(TOOK);
        let took = crate::plan::Span(took);
        asked
            .finding(ID, Verdict::Degraded, "slow", &format!("{} answers after {took}, more than {most}", asked.what()))
            .because(&format!("{} answer", asked.site), detail, asked.at)
            .because(&format!("{} took", asked.site), &took, reading.asked)
            .next("look at the load there, and at the network in between")
            .charted(key, Some(most.0.as_secs_f64()))
    })
}
