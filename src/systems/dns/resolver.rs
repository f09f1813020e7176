//! The lane that asks one resolver, as its users do.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::RecordType;
use tokio::time::{Instant, timeout_at};

use crate::net::Net;
use crate::plan::{LaneDecl, SafeText};
use crate::readiness::signals::TRAFFIC;
use crate::readiness::{Gap, Reason, Row, Value};
use crate::systems::{Lane, Look, Looking};

use super::askers::{not_asked, system_resolvers};
use super::exchange::ask;
use super::options::{Dns, shown};
use super::place::{Answered, place};
use super::{parse, signals};

/// Asks one resolver, or the system's.
pub struct ResolverLane {
    /// The machinery.
    pub net: Arc<Net>,
    /// What was declared.
    pub decl: LaneDecl,
    /// The options.
    pub dns: Dns,
    /// The resolver; `None` for the system's.
    pub resolver: Option<SocketAddr>,
}

impl Lane for ResolverLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            match self.answer(deadline).await {
                Ok(look) => look,
                Err(gap) => Look::failed(&self.decl, &not_asked(gap)),
            }
        })
    }
}

impl ResolverLane {
    async fn answer(&self, deadline: Instant) -> Result<Look, Gap> {
        let resolvers = match self.resolver {
            Some(one) => vec![one],
            None => timeout_at(deadline, system_resolvers()).await.map_err(|_| Gap::from(Reason::TimedOut))??,
        };
        let mut failed: Option<Gap> = None;
        // As the C library does: the first, and the next where that one does not answer.
        for resolver in resolvers {
            match self.both(resolver, deadline).await {
                Ok(look) => return Ok(look),
                Err(gap) if gap.reason == Reason::NxDomain => return Err(gap),
                Err(gap) => failed = failed.or(Some(gap)),
            }
        }
        Err(failed.unwrap_or_else(|| Reason::NotConfigured.into()))
    }

    /// Asks for both families at once. Where one fails, the look fails: half of the users would.
    async fn both(&self, resolver: SocketAddr, deadline: Instant) -> Result<Look, Gap> {
        let name = parse::fqdn(&self.dns.record)?;
        let asked = [RecordType::A, RecordType::AAAA].map(|kind| Query::query(name.clone(), kind));
        let [a, aaaa] = &asked;
        let (a, aaaa) =
            tokio::join!(ask(&self.net, resolver, a, true, deadline), ask(&self.net, resolver, aaaa, true, deadline));
        let who = shown(resolver);
        let (mut answer, mut replies): (Vec<Row>, Vec<Row>) = (Vec::new(), Vec::new());
        let mut answered: Vec<Answered> = Vec::new();
        for (kind, message) in [(RecordType::A, a?), (RecordType::AAAA, aaaa?)] {
            if let Some(gap) = parse::gap(&message, &who) {
                return Err(gap);
            }
            let chain = parse::chain(&message, &name, kind, None)?;
            let family = if kind == RecordType::A { "A" } else { "AAAA" };
            answer.extend(chain.links.iter().map(|l| l.row(family)));
            replies.push(reply(family, &who, chain.arrives(), &message));
            answered.extend(chain.links.into_iter().map(|l| Answered::of(family, l)));
        }
        let mut look = Look::default();
        look.push(&TRAFFIC, Ok(place(&self.dns, &answered).value()));
        look.push(&signals::ANSWER, Ok(Value::Rows(answer)));
        look.push(&signals::REPLIES, Ok(Value::Rows(replies)));
        Ok(look)
    }
}

fn reply(family: &str, resolver: &str, arrives: bool, message: &Message) -> Row {
    Row::default()
        .with("family", Value::text(family))
        .with("resolver", Value::text(resolver))
        .with("outcome", Value::text(if arrives { signals::OK } else { signals::NO_DATA }))
        .with("stale", parse::stale(message).map_or(Value::Null, |text: SafeText| Value::Text(text)))
}
