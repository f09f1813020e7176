//! The certificate that an endpoint shows is good for a while.

use crate::plan::{Now, Plan, RuleId, Span};
use crate::readiness::{About, Facts, Finding, Reason, Rule, Verdict};

use super::{Asked, endpoints};

const ID: RuleId = RuleId::new("endpoint.certificate");

/// An expired one is proof even where any certificate is accepted: whoever is sent to that site does not accept it. Where the
/// handshake failed over it, the rule `endpoint.answers` says so.
pub struct Certificate;

impl Rule for Certificate {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        endpoints(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        Asked::of(facts, about, now).and_then(judge).into_iter().collect()
    }
}

fn judge(asked: Asked<'_>) -> Option<Finding> {
    let warn = asked.options.expiry_warn()?;
    let row = asked.row?;
    let refused = |reason: Reason| matches!(row.text("outcome"), Ok(Some(o)) if o.as_str() == reason.code());
    let (what, site) = (asked.what(), asked.site);
    let make = |verdict, code, sentence: &str| {
        let mut finding = asked.finding(ID, verdict, code, sentence);
        finding.subject = crate::plan::Subject::part_of(site.clone(), "certificate");
        finding
    };
    let until = match row.time("not_after") {
        Ok(Some(until)) => until,
        // By plain HTTP there is none, and of one that broke the handshake nothing more may be known.
        Ok(None) if !asked.options.is_tls() => return None,
        Ok(None) | Err(_) => {
            let why = format!("until when the certificate of {what} is good could not be read");
            return Some(
                make(Verdict::Unknown, "expiry-unread", &why)
                    .because(&format!("{site} certificate"), &"no date", asked.at)
                    .next("look at it: openssl s_client -connect ... | openssl x509 -noout -dates"),
            );
        }
    };
    if refused(Reason::CertificateExpired) {
        return None;
    }
    let name = |column| row.text(column).ok().flatten().unwrap_or_default();
    let shown = |f: Finding| {
        f.because(
            &format!("{site} certificate"),
            &format!("good until {}", until.format("%Y-%m-%d %H:%M:%SZ")),
            asked.at,
        )
        .because(
            &format!("{site} certificate is of, by"),
            &format!("{}, {}", name("subject"), name("issuer")),
            asked.at,
        )
    };
    let Ok(left) = until.signed_duration_since(asked.now.wall).to_std() else {
        let why = format!("the certificate of {what} has expired: clients refuse it");
        return Some(
            shown(make(Verdict::NotReady, "certificate-expired", &why))
                .next("renew it now, and see why nothing renewed it by itself"),
        );
    };
    let left = Span(left);
    if left < warn {
        let why = format!("the certificate of {what} expires in {}", left.coarse());
        return Some(
            shown(make(Verdict::Degraded, "certificate-expires", &why))
                .next("renew it, and see why nothing renewed it by itself"),
        );
    }
    let why = format!("the certificate of {what} is good for more than {warn}");
    Some(shown(make(Verdict::Ready, "certificate", &why)))
}
