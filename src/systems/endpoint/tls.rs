//! The lane that reads one site's certificate.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};

use super::examine;
use super::http::MARGIN;
use super::options::TlsOptions;
use super::parse::{self, Seen, Shown, over_certificate};
use super::tcp::target;
use crate::clock;
use crate::net::{Net, ServerCertificate, ServerKey, TcpTarget, TlsPolicy, gap_of_tls};
use crate::plan::LaneDecl;
use crate::readiness::{Examined, Gap, Reason, expiry};
use crate::systems::examine::addresses;
use crate::systems::{Examining, Lane, Look, Looking};

/// Shakes hands with one server.
pub(super) struct TlsLane {
    net: Arc<Net>,
    decl: LaneDecl,
    options: TlsOptions,
    target: Option<TcpTarget>,
    /// What the look before saw.
    seen: Option<Seen>,
}

impl TlsLane {
    pub(super) fn new(net: Arc<Net>, decl: LaneDecl, options: &TlsOptions) -> Self {
        let target = target(&decl, &options.at);
        Self { net, decl, options: options.clone(), target, seen: None }
    }

    async fn work(&mut self, deadline: Instant) -> Result<Look, Gap> {
        self.seen = None;
        let target = self.target.clone();
        let target = target.as_ref().ok_or_else(|| Gap::new(Reason::Bug, "its address was not checked"))?;
        let _permit = self.net.permit(&ServerKey::new(&target.host, target.port)).await;
        let roots = self.options.roots.as_ref().map(Into::into);
        let asked = clock::now();
        let verified = self.shake(target, &TlsPolicy { roots, ..TlsPolicy::default() }, deadline).await;
        let took = clock::now().since(asked);
        let seen = match verified {
            Ok(shown) => {
                let (outcome, detail) = parse::issuer(self.options.issuer.as_deref(), &shown);
                Seen { outcome, detail, status: None, certificate: Some(shown) }
            }
            // What it shows is read once more, whoever signed it: until when, and by whom.
            Err(gap) if over_certificate(gap.reason) => {
                let any = TlsPolicy { accept_any: true, ..TlsPolicy::default() };
                let certificate = self.shake(target, &any, deadline).await.ok();
                Seen { outcome: gap.reason.code(), detail: gap.detail.as_str().to_owned(), status: None, certificate }
            }
            Err(gap) => return Err(gap),
        };
        self.seen = Some(seen.clone());
        Ok(seen.look(took))
    }

    async fn shake(&self, target: &TcpTarget, policy: &TlsPolicy, deadline: Instant) -> Result<Shown, Gap> {
        let config = self.net.tls(policy).await?;
        let name = self.options.server_name.clone().unwrap_or_else(|| target.host.clone());
        let name = ServerName::try_from(name).map_err(|e| Gap::new(Reason::TlsFailed, &e.to_string()))?;
        let stream = self.net.connect(target, deadline).await?;
        let secured = tokio_rustls::TlsConnector::from(config).connect(name, stream).await;
        let secured = secured.map_err(|e| match crate::net::is_tls(&e) {
            true => gap_of_tls(&e),
            false => Gap::new(Reason::Reset, "connected, and cut off before TLS was agreed on"),
        })?;
        let leaf = secured.get_ref().1.peer_certificates().and_then(|c| c.first());
        let leaf = leaf.ok_or_else(|| Gap::new(Reason::TlsFailed, "it shows no certificate"))?;
        let ServerCertificate { subject, issuer, not_after } = ServerCertificate::from_der(leaf)?;
        Ok(Shown { subject, issuer, not_after })
    }
}

impl Lane for TlsLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            let close = deadline.checked_sub(MARGIN).unwrap_or(deadline);
            let late = || Err(Gap::new(Reason::TimedOut, "no answer in time"));
            let done = timeout_at(close, self.work(close)).await.unwrap_or_else(|_| late());
            done.unwrap_or_else(|gap| Look::failed(&self.decl, &gap))
        })
    }

    fn examine(&mut self, deadline: Instant) -> Examining<'_> {
        Box::pin(self.examined(deadline))
    }
}

impl TlsLane {
    async fn examined(&self, deadline: Instant) -> Vec<Examined> {
        let Some(target) = &self.target else { return Vec::new() };
        let server = format!("{}:{}", target.host, target.port);
        let mut found = Vec::new();
        if let Some(seen) = &self.seen {
            found.extend(examine::outcome(&server, seen.outcome, &seen.detail));
            if let Some(shown) = &seen.certificate {
                let what = format!("the certificate of {server}, signed by {}", shown.issuer);
                found.push(expiry(&what, shown.not_after, clock::now()));
            }
        }
        found.extend(addresses(&self.net, target, deadline).await);
        found
    }
}
