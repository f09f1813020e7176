//! What a lane of a logical replication keeps between two looks, and asks because of another site's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Asked, Kept, ask_all};
use crate::plan::{SignalId, SiteId};
use crate::readiness::{Gap, Row, Value};
use crate::systems::postgres::options::PostgresOptions;
use crate::systems::postgres::parse::{self, logical::Memory};
use crate::systems::postgres::queries::Ask;
use crate::systems::postgres::queries::logical::{Ask as L, LOGICAL, columns};
use crate::systems::postgres::signals::logical::TABLES;
use crate::systems::{Look, Observed};

/// The digests of every site's tables, as last seen: what differs is asked for in detail, and nothing else is.
pub(super) type Digests = Arc<Mutex<BTreeMap<SiteId, BTreeMap<String, String>>>>;

/// One site's side of a logical replication.
pub(super) struct Logical {
    site: SiteId,
    wanted: Vec<String>,
    digests: Digests,
    memory: Memory,
}

impl Logical {
    pub(super) fn new(site: Option<&SiteId>, options: &PostgresOptions, digests: &Digests) -> Self {
        Self {
            site: site.cloned().unwrap_or_else(|| SiteId::new("")),
            wanted: options.subscriptions.clone(),
            digests: Arc::clone(digests),
            memory: Memory::default(),
        }
    }

    pub(super) async fn ask(&mut self, kept: &mut Kept, timeout: Duration) -> Result<Asked, Gap> {
        let version = kept.connection.version;
        let detail = columns(&self.differing());
        let of = |ask: Ask| {
            let sql = if ask == Ask::Logical(L::Columns) { detail.clone() } else { ask.sql(version) };
            Some((ask, sql?))
        };
        let own = LOGICAL.iter().copied().map(Ask::Logical);
        let asks = [Ask::Head, Ask::Control].into_iter().chain(own).filter_map(of).collect::<Vec<_>>();
        let (answers, asked, _) = ask_all(kept, timeout, &asks).await?;
        let recovery = parse::in_recovery(&answers);
        let observed = parse::logical::logical(&answers, &self.wanted, &mut self.memory, asked);
        self.remember(&observed);
        Ok(Asked { look: Look { asked: Some(asked), observed }, recovery, good: true })
    }

    fn remember(&self, observed: &[Observed]) {
        let rows = |signal: &SignalId| observed.iter().find(|o| o.signal == *signal).map(|o| &o.value);
        let Some(Ok(Value::Rows(rows))) = rows(&TABLES) else { return };
        let text = |row: &Row, column: &str| row.text(column).ok().flatten().map(|t| t.to_string());
        let digests = rows.iter().filter_map(|row| Some((text(row, "table")?, text(row, "digest")?))).collect();
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).insert(self.site.clone(), digests);
    }

    /// The tables of this site that had another digest at another site.
    fn differing(&self) -> Vec<String> {
        let all = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = all.get(&self.site) else { return Vec::new() };
        let others = || all.iter().filter(|(site, _)| **site != self.site).map(|(_, tables)| tables);
        let differs = |table: &String, digest: &String| others().any(|o| o.get(table).is_some_and(|d| d != digest));
        own.iter().filter(|(table, digest)| differs(table, digest)).map(|(table, _)| table.clone()).collect()
    }
}
