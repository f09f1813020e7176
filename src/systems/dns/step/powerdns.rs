//! PowerDNS's HTTP API (authoritative server, `/api/v1`, version 4 and later). It has no compare-and-swap: the record is
//! read right before and right after.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::net::{HttpAnswer, HttpClient, HttpRequest, Net};
use crate::plan::SafeText;
use crate::readiness::{Gap, Reason};

use super::edit::{Change, Kind, Values};
use super::options::Api;
use super::rfc2136::Fate;

/// The header of the key.
const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A zone, as far as it is read.
#[derive(Deserialize)]
struct Zone {
    rrsets: Vec<RrSet>,
}

#[derive(Deserialize)]
struct RrSet {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    ttl: u32,
    records: Vec<Content>,
}

#[derive(Deserialize)]
struct Content {
    content: String,
    #[serde(default)]
    disabled: bool,
}

/// An error, as it is answered with 4xx.
#[derive(Deserialize)]
struct Said {
    error: String,
}

/// Changes the record, once: where it is still what was shown.
pub async fn send(http: &mut HttpClient, api: &Api, change: &Change, deadline: Instant) -> Fate {
    let key = match key(http.net(), api, deadline).await {
        Ok(key) => key,
        Err(gap) => return Fate::NotSent(gap.to_string()),
    };
    match read(http, api, &key, &change.name, deadline).await {
        Err(Failed::Refused(said)) => return Fate::Refused(said),
        Err(Failed::Gap(gap)) => return Fate::NotSent(gap.to_string()),
        Ok(now) if !now.same(&change.old) => {
            let (now, old) = (now.words(), change.old.words());
            return Fate::NotSent(format!("the record has {now} by the API, and not {old} as it was shown"));
        }
        Ok(_) => {}
    }
    let mut request = request(Method::PATCH, api.zone.clone(), &key);
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.body = change.patch().to_string().into_bytes().into();
    let answer = match http.ask(&request, deadline).await {
        Ok(answer) => answer,
        Err(gap) => return unanswered(&gap),
    };
    match answer.status {
        200..=299 => {
            let back = read(http, api, &key, &change.name, deadline).await;
            let back = match back {
                Ok(values) if values.same(&change.new) => format!("read back: {}", values.words()),
                Ok(values) => format!("but read back: {}", values.words()),
                Err(Failed::Refused(why)) => format!("not read back: {why}"),
                Err(Failed::Gap(gap)) => format!("not read back: {gap}"),
            };
            Fate::Done(format!("HTTP {}; {back}", answer.status))
        }
        400..=499 => Fate::Refused(said(&answer)),
        _ => Fate::Unclear(format!("{}: whether it was done is not known", said(&answer))),
    }
}

/// Where no connection came about, nothing was sent.
fn unanswered(gap: &Gap) -> Fate {
    #[expect(clippy::wildcard_enum_match_arm, reason = "of any other failure nobody knows how far it came")]
    match gap.reason {
        Reason::Refused
        | Reason::Unreachable
        | Reason::UnknownIssuer
        | Reason::CertificateExpired
        | Reason::CertificateName => Fate::NotSent(gap.to_string()),
        _ => Fate::Unclear(gap.to_string()),
    }
}

async fn key(net: &Net, api: &Api, deadline: Instant) -> Result<HeaderValue, Gap> {
    let secret = net.secret(&api.key, deadline).await?;
    let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| {
        let why = format!("{}: it holds a character that HTTP cannot carry", api.key);
        Gap::new(Reason::SecretUnavailable, &why)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn request(method: Method, url: Url, key: &HeaderValue) -> HttpRequest {
    HttpRequest::new(method, url).with(KEY, key.clone())
}

/// Why the record could not be read.
enum Failed {
    /// The API says no.
    Refused(String),
    /// It does not answer, or not sensibly.
    Gap(Gap),
}

async fn read(
    http: &mut HttpClient,
    api: &Api,
    key: &HeaderValue,
    name: &str,
    deadline: Instant,
) -> Result<Values, Failed> {
    let mut url = api.zone.clone();
    url.query_pairs_mut().append_pair("rrset_name", &format!("{name}."));
    let answer = http.ask(&request(Method::GET, url, key), deadline).await.map_err(Failed::Gap)?;
    match answer.status {
        200 => answer.json::<Zone>().map(|zone| values(zone, name)).map_err(Failed::Gap),
        400..=499 => Err(Failed::Refused(said(&answer))),
        _ => Err(Failed::Gap(answer.refusal())),
    }
}

/// What is at the record. Older versions answer with the whole zone.
fn values(zone: Zone, name: &str) -> Values {
    let text = |t: &str| t.strip_suffix('.').unwrap_or(t).to_ascii_lowercase();
    let mut out = Values::default();
    for set in zone.rrsets.into_iter().filter(|s| text(&s.name) == name) {
        let Some(kind) = Kind::from_word(&set.kind) else { continue };
        for record in set.records.into_iter().filter(|r| !r.disabled) {
            // An address is written in many ways; a name in upper and lower case.
            let ip: Option<std::net::IpAddr> = record.content.parse().ok();
            out.add(kind, set.ttl, ip.map_or_else(|| text(&record.content), |ip| ip.to_string()));
        }
    }
    out
}

/// The API's own words, or its status.
fn said(answer: &HttpAnswer) -> String {
    let gap = answer.refusal();
    let own = match serde_json::from_slice::<Said>(&answer.body) {
        Ok(said) => said.error,
        Err(_) => return gap.detail.to_string(),
    };
    format!("{}: {}", gap.detail, SafeText::new(&own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_record_itself_counts_and_only_what_is_served() {
        let zone: Zone = serde_json::from_value(serde_json::json!({ "name": "dr.test.", "rrsets": [
            { "name": "other.dr.test.", "type": "A", "ttl": 9, "records": [{ "content": "192.0.2.9", "disabled": false }] },
            { "name": "Shop.dr.test.", "type": "A", "ttl": 20, "records": [
                { "content": "192.0.2.10", "disabled": false }, { "content": "192.0.2.11", "disabled": true }] },
            { "name": "shop.dr.test.", "type": "AAAA", "ttl": 20, "records": [{ "content": "2001:DB8:0:0::10" }] },
            { "name": "shop.dr.test.", "type": "TXT", "ttl": 20, "records": [{ "content": "\"x\"" }] },
        ] }))
        .unwrap();
        assert_eq!(values(zone, "shop.dr.test").words(), "A 192.0.2.10 (20s), AAAA 2001:db8::10 (20s)");
    }

    #[test]
    fn nothing_was_sent_only_where_no_connection_came_about() {
        assert!(matches!(unanswered(&Reason::Refused.into()), Fate::NotSent(_)));
        for reason in [Reason::TimedOut, Reason::Reset, Reason::Malformed, Reason::TooLarge] {
            assert!(matches!(unanswered(&reason.into()), Fate::Unclear(_)), "{reason:?}");
        }
    }
}
