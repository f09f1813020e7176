//! `dns-moved`: waits until every resolver that users use answers with the site. It changes nothing.

use std::sync::Arc;

use tokio::time::Instant;

use crate::clock;
use crate::net::Net;
use crate::plan::SafeText;
use crate::readiness::Gap;
use crate::runbook::{Acted, Authorized, Held, Identity, Observation, Preview, StepIx, Yield};
use crate::systems::{Executing, Executor, Fault, Scene};

use super::super::options::{Dns, SiteAnswer};
use super::script;
use super::survey::{Followers, Misses};
use super::update::dns_of;

/// Waits for the resolvers.
pub struct DnsMoved {
    net: Arc<Net>,
    dns: Dns,
    site: SiteAnswer,
    misses: Misses,
}

/// Opens the step. Connects nowhere.
///
/// # Errors
/// Where another version of this program pinned it, and this one does not understand it.
pub fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let (dns, site) = dns_of(scene, ix)?;
    Ok(Box::new(DnsMoved { net: Arc::clone(&scene.net), dns, site, misses: Misses::new() }))
}

impl DnsMoved {
    async fn look(&self, deadline: Instant) -> Result<Followers, Gap> {
        Followers::ask(&self.net, &self.dns, &self.site, deadline).await
    }
}

impl Executor for DnsMoved {
    fn preview<'a>(&'a mut self, _: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move {
            let at = clock::now();
            let (already, role) = match self.look(deadline).await {
                // A resolver that is silent once may be slow: only what all of them say is true already.
                Ok(all) => (all.judge(Some(&Misses::new())), all.words()),
                Err(gap) => (Held::Unknown, gap.to_string()),
            };
            let (record, site) = (&self.dns.record, &self.site.site);
            let asked = self.dns.resolvers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let asked = if asked.is_empty() { "the system's resolvers".to_owned() } else { asked };
            Preview {
                target: SafeText::new(record),
                role: SafeText::new(&role),
                identity: Identity::default().with("record", record).with("site", site),
                actions: vec![SafeText::new(&format!("ask {asked} for {record} until each answers with {site}"))],
                challenge: record.clone(),
                conditions: Vec::new(),
                already,
                left: Yield::default(),
                at,
            }
        })
    }

    fn act<'a>(&'a mut self, authorized: Authorized, _: &'a Scene, _: Instant) -> Executing<'a, Acted> {
        drop(authorized);
        let said = SafeText::new("it only looks");
        Box::pin(std::future::ready(Acted::Returned { said, left: Box::default() }))
    }

    fn observe<'a>(&'a mut self, _: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(async move {
            let looked = self.look(deadline).await;
            let at = clock::now();
            match looked {
                Err(gap) => Observation::new(Held::Unknown, &gap.to_string(), at),
                Ok(all) => {
                    all.count(&mut self.misses);
                    let mut seen = Observation::new(all.judge(Some(&self.misses)), &all.words(), at);
                    if seen.held == Held::Holds {
                        seen.left.facts.push(seen.why.clone());
                    } else {
                        seen.waits = Some(seen.why.clone());
                    }
                    seen
                }
            }
        })
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        let heading = format!("# until each answers with {}", self.site.site);
        std::iter::once(heading).chain(script::look(&self.dns, None)).collect()
    }
}
