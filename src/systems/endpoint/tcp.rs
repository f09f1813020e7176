//! The lane that connects to one site, and may hear its greeting.

use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout_at};

use super::http::MARGIN;
use super::options::{TcpOptions, host_port};
use super::parse::{self, Seen};
use super::signals::OK;
use crate::clock;
use crate::net::{Net, ServerKey, TcpTarget};
use crate::plan::LaneDecl;
use crate::readiness::{Gap, Reason};
use crate::systems::examine::addresses;
use crate::systems::{Examining, Lane, Look, Looking};

/// Where a site listens; `None` only where nobody checked the options.
pub(super) fn target(decl: &LaneDecl, at: &std::collections::BTreeMap<String, String>) -> Option<TcpTarget> {
    let (host, port) = host_port(at.get(decl.subject.site.as_ref()?.as_str())?)?;
    Some(TcpTarget { host, port })
}

/// Connects to one listener.
pub(super) struct TcpLane {
    net: Arc<Net>,
    decl: LaneDecl,
    target: Option<TcpTarget>,
    banner: Option<String>,
}

impl TcpLane {
    pub(super) fn new(net: Arc<Net>, decl: LaneDecl, options: &TcpOptions) -> Self {
        let target = target(&decl, &options.at);
        Self { net, decl, target, banner: options.banner.clone() }
    }

    async fn work(&self, deadline: Instant) -> Result<Look, Gap> {
        let target = self.target.as_ref().ok_or_else(|| Gap::new(Reason::Bug, "its address was not checked"))?;
        let _permit = self.net.permit(&ServerKey::new(&target.host, target.port)).await;
        let asked = clock::now();
        let mut stream = self.net.connect(target, deadline).await?;
        let Some(wanted) = &self.banner else {
            let seen = Seen { outcome: OK, detail: "connected".to_owned(), ..Seen::default() };
            return Ok(seen.look(clock::now().since(asked)));
        };
        let mut came = Vec::with_capacity(wanted.len());
        let mut some = [0_u8; 256];
        // No more is read than it takes to tell.
        while came.len() < wanted.len() && wanted.as_bytes().starts_with(&came) {
            let silent = || Gap::new(Reason::TimedOut, "connected, and no greeting came in time");
            match timeout_at(deadline, stream.read(&mut some)).await.map_err(|_| silent())? {
                Ok(0) => break,
                Ok(n) => came.extend_from_slice(some.get(..n).unwrap_or_default()),
                Err(_) => return Err(Gap::new(Reason::Reset, "connected, and cut off before its greeting")),
            }
        }
        let (outcome, detail) = parse::banner(wanted, &came);
        Ok(Seen { outcome, detail, ..Seen::default() }.look(clock::now().since(asked)))
    }
}

impl Lane for TcpLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            let close = deadline.checked_sub(MARGIN).unwrap_or(deadline);
            let late = || Err(Gap::new(Reason::TimedOut, "no answer in time"));
            let done = timeout_at(close, self.work(close)).await.unwrap_or_else(|_| late());
            done.unwrap_or_else(|gap| Look::failed(&self.decl, &gap))
        })
    }

    fn examine(&mut self, deadline: Instant) -> Examining<'_> {
        Box::pin(async move {
            match &self.target {
                Some(target) => addresses(&self.net, target, deadline).await.into_iter().collect(),
                None => Vec::new(),
            }
        })
    }
}
