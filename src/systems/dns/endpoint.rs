//! The lane that visits a site's addresses: TCP, TLS with the certificate's expiry, HTTP status.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::net::{Net, ServerCertificate, ServerKey, TlsPolicy, gap_of_hyper, gap_of_tls};
use crate::plan::{LaneDecl, SafeText};
use crate::readiness::{Gap, Reason, Row, Value};
use crate::systems::{Lane, Look, Looking};

use super::options::{Endpoint, SiteAnswer};
use super::{parse, signals};

/// How long before the deadline a visit ends.
const MARGIN: Duration = Duration::from_millis(100);
/// A refused connection is tried once more after this: a server that restarts refuses for a moment.
const REFUSED_AGAIN: Duration = Duration::from_millis(300);
/// The most of an HTTP head that is read.
const LARGEST_HEAD: usize = 16 * 1024;

/// Visits every address of one site.
pub struct EndpointLane {
    /// The machinery.
    pub net: Arc<Net>,
    /// What was declared.
    pub decl: LaneDecl,
    /// The site's addresses and names.
    pub answer: SiteAnswer,
    /// What must answer.
    pub endpoint: Endpoint,
    /// The name for SNI, the certificate and HTTP.
    pub name: String,
}

/// What one visit saw.
#[derive(Debug)]
struct Visit {
    stage: &'static str,
    failed: Option<Gap>,
    not_after: Option<DateTime<Utc>>,
    status: Option<u16>,
}

impl Lane for EndpointLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            let close = deadline.checked_sub(MARGIN).unwrap_or(deadline);
            match self.visits(close).await {
                Ok(look) => look,
                Err(gap) => Look::failed(&self.decl, &gap),
            }
        })
    }
}

impl EndpointLane {
    async fn visits(&self, deadline: Instant) -> Result<Look, Gap> {
        let mut addresses = self.answer.addresses.clone();
        for name in &self.answer.names {
            addresses.extend(self.net.addresses(name, deadline).await?);
        }
        addresses.retain(|ip| ip.is_ipv4() || !self.endpoint.skip_ipv6);
        if addresses.is_empty() {
            return Err(Gap::new(Reason::Absent, "no address to visit: IPv6 is left out"));
        }
        let tls = match self.endpoint.tls {
            true => Some(self.net.tls(&policy(&self.endpoint)).await?),
            false => None,
        };
        let each = addresses.iter().map(|ip| self.visit(*ip, tls.clone(), deadline));
        let visits = futures_util::future::join_all(each).await;
        let expiry = visits.iter().filter_map(|(_, v)| v.not_after).min();
        let rows = visits.iter().map(|(addr, visit)| self.row(*addr, visit)).collect();
        let mut look = Look::default();
        look.push(&signals::ENDPOINTS, Ok(Value::Rows(rows)));
        look.push(&signals::EXPIRY, Ok(expiry.map_or(Value::NotApplicable, Value::Time)));
        Ok(look)
    }

    async fn visit(&self, ip: IpAddr, tls: Option<Arc<ClientConfig>>, deadline: Instant) -> (SocketAddr, Visit) {
        let addr = SocketAddr::new(ip, self.endpoint.port());
        let mut visit = Visit { stage: "tcp", failed: None, not_after: None, status: None };
        let key = ServerKey::new(&ip.to_string(), addr.port());
        let going = async {
            let _permit = self.net.permit(&key).await;
            self.go(addr, tls, deadline, &mut visit).await
        };
        let late = || Err(Gap::new(Reason::TimedOut, &format!("{addr}: no answer in time")));
        let done = timeout_at(deadline, going).await.unwrap_or_else(|_| late());
        visit.failed = done.err();
        (addr, visit)
    }

    /// As far as it goes; what was seen on the way is in `visit`.
    async fn go(
        &self,
        addr: SocketAddr,
        tls: Option<Arc<ClientConfig>>,
        deadline: Instant,
        visit: &mut Visit,
    ) -> Result<(), Gap> {
        let stream = match self.net.connect_at(addr, deadline).await {
            Err(gap) if gap.reason == Reason::Refused => {
                tokio::time::sleep(REFUSED_AGAIN).await;
                self.net.connect_at(addr, deadline).await?
            }
            other => other?,
        };
        match tls {
            None => self.http(stream, addr, visit).await,
            Some(config) => {
                visit.stage = "tls";
                let name = ServerName::try_from(self.name.clone())
                    .map_err(|e| Gap::new(Reason::TlsFailed, &format!("{}: {e}", self.name)))?;
                let secured = tokio_rustls::TlsConnector::from(config).connect(name, stream).await;
                let secured = secured.map_err(|e| gap_of_tls(&e))?;
                let leaf = secured.get_ref().1.peer_certificates().and_then(|c| c.first());
                visit.not_after = leaf.and_then(|c| ServerCertificate::from_der(c).ok()).map(|c| c.not_after);
                if visit.not_after.is_none() {
                    return Err(Gap::new(Reason::TlsFailed, "the certificate cannot be read"));
                }
                self.http(secured, addr, visit).await
            }
        }
    }

    async fn http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        addr: SocketAddr,
        visit: &mut Visit,
    ) -> Result<(), Gap> {
        let Some(path) = &self.endpoint.http else {
            visit.stage = "done";
            return Ok(());
        };
        visit.stage = "http";
        let broken = |e: hyper::Error| gap_of_hyper(&e, addr);
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let request = http::Request::get(path.as_str())
            .header(http::header::HOST, &self.name)
            .header(http::header::USER_AGENT, "lifeboat")
            .header(http::header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|e| Gap::new(Reason::Bug, &format!("request: {e}")))?;
        let response = async { sender.send_request(request).await };
        tokio::pin!(response, connection);
        let response = tokio::select! {
            response = &mut response => response,
            // The connection may end together with the answer.
            ended = &mut connection => match ended {
                Ok(()) => response.await,
                Err(e) => Err(e),
            },
        };
        let status = response.map_err(broken)?.status().as_u16();
        visit.status = Some(status);
        visit.stage = "done";
        Ok(())
    }

    fn row(&self, addr: SocketAddr, visit: &Visit) -> Row {
        let wrong = visit.status.filter(|s| !self.endpoint.accepts(*s));
        let (outcome, detail) = match (&visit.failed, wrong) {
            (Some(gap), _) => (parse::code(gap), gap.detail.clone()),
            (None, Some(status)) => (signals::WRONG_STATUS, SafeText::new(&format!("{addr}: HTTP {status}"))),
            (None, None) => (signals::OK, SafeText::new("answers")),
        };
        Row::default()
            .with("address", Value::text(&addr.to_string()))
            .with("stage", Value::text(visit.stage))
            .with("outcome", Value::text(outcome))
            .with("detail", Value::Text(detail))
            .with("not_after", visit.not_after.map_or(Value::Null, Value::Time))
            .with("status", visit.status.map_or(Value::Null, |s| Value::Int(i64::from(s))))
    }
}

fn policy(endpoint: &Endpoint) -> TlsPolicy {
    TlsPolicy { accept_any: endpoint.insecure, roots: endpoint.roots.as_ref().map(Into::into), ..TlsPolicy::default() }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::plan::{SiteId, Subject};

    fn lane(port: u16, tls: bool, http: Option<&str>) -> EndpointLane {
        let site = SiteId::new("east");
        let endpoint = serde_json::json!({ "port": port, "tls": tls, "http": http });
        EndpointLane {
            net: Net::new(),
            decl: LaneDecl {
                subject: Subject::site(site.clone()),
                server: "endpoints".into(),
                expects: [signals::ENDPOINTS, signals::EXPIRY].into(),
            },
            answer: SiteAnswer { site, addresses: vec!["127.0.0.1".parse().unwrap()], names: vec![] },
            endpoint: serde_json::from_value(endpoint).unwrap(),
            name: "shop.example.com".into(),
        }
    }

    async fn served(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
            }
        });
        port
    }

    async fn seen(lane: &EndpointLane, tls: Option<Arc<ClientConfig>>) -> (Row, Visit) {
        let deadline = Instant::now() + Duration::from_secs(2);
        let (addr, visit) = lane.visit("127.0.0.1".parse().unwrap(), tls, deadline).await;
        (lane.row(addr, &visit), visit)
    }

    fn outcome(row: &Row) -> String {
        format!("{} {}", row.text("stage").unwrap().unwrap(), row.text("outcome").unwrap().unwrap())
    }

    #[tokio::test]
    async fn http_answers_and_their_faults() {
        for (answer, right) in [
            (&b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..], "done ok"),
            (b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", "done ok"),
            (b"HTTP/1.1 503 Nope\r\ncontent-length: 0\r\n\r\n", "done status"),
            (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "http malformed"),
            (b"", "http reset"),
        ] {
            let lane = lane(served(answer).await, false, Some("/healthz"));
            assert_eq!(outcome(&seen(&lane, None).await.0), right, "{}", String::from_utf8_lossy(answer));
        }
    }

    #[tokio::test]
    async fn a_closed_port_and_a_hanging_server() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        assert_eq!(outcome(&seen(&lane(port, false, None), None).await.0), "tcp refused");
        let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lane = lane(hangs.local_addr().unwrap().port(), false, Some("/"));
        assert_eq!(outcome(&seen(&lane, None).await.0), "http timed-out");
    }

    #[tokio::test]
    async fn tls_with_its_expiry() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["shop.example.com".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2090, 1, 2);
        let certificate = params.self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        });
        let with = |roots: rustls::RootCertStore| {
            let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
            let builder = builder.with_safe_default_protocol_versions().unwrap();
            Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
        };
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let lane = lane(port, true, Some("/"));
        let (row, visit) = seen(&lane, with(roots)).await;
        assert_eq!(outcome(&row), "done ok", "{visit:?}");
        assert_eq!(row.time("not_after").unwrap().unwrap().to_rfc3339(), "2090-01-02T00:00:00+00:00");
        let (row, visit) = seen(&lane, with(rustls::RootCertStore::empty())).await;
        assert_eq!(visit.stage, "tls");
        assert_ne!(row.text("outcome").unwrap().unwrap().as_str(), "ok");
    }
}
