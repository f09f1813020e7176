//! What `doctor` says of an endpoint beyond a look: whether it lets us in, and how much must be believed.

use super::signals::{NOT_LET_IN, OK};
use crate::readiness::{Examined, Verdict};

/// What an answer means for seeing. What it means for the service is `check`'s to say.
pub(super) fn outcome(server: &str, outcome: &'static str, detail: &str) -> Option<Examined> {
    match outcome {
        NOT_LET_IN => Some(Examined::bad(
            Verdict::NotReady,
            NOT_LET_IN,
            &format!("{server} does not let lifeboat in: {detail}"),
            "give the probe `basic`, `token` or a header that it accepts, or an address that needs none",
        )),
        "certificate-expired" | "certificate-name" | "unknown-issuer" => {
            let next = "mend the certificate; where an authority of your own signed it: roots = \"/path/to/ca.pem\"";
            Some(Examined::bad(Verdict::NotReady, outcome, &format!("{server}: {detail}"), next))
        }
        OK => Some(Examined::well("let-in", &format!("{server} answers as it should"))),
        // Another status or content than was wanted is an answer too.
        _ => Some(Examined::well("let-in", &format!("{server} answers: {detail}"))),
    }
}

/// How much of what it says must be believed without proof, and what is given away to ask it.
pub(super) fn trust(server: &str, encrypted: bool, any_certificate: bool, secret: bool) -> Option<Examined> {
    if encrypted && any_certificate {
        let sentence = format!("any certificate of {server} is accepted: whoever answers there is believed");
        let next = "name the authority that signed it, in place of insecure: roots = \"/path/to/ca.pem\"";
        return Some(Examined::bad(Verdict::Degraded, "certificate-unchecked", &sentence, next));
    }
    (!encrypted && secret).then(|| {
        let sentence = format!("the password or token for {server} goes over the network without TLS");
        Examined::bad(Verdict::Degraded, "password-in-clear", &sentence, "ask it by https")
    })
}
