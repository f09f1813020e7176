//! A caching resolver: it remembers what it was told for as long as it may.

use std::collections::BTreeMap;
use std::time::Duration;

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use super::zone::{Answer, MOST_LINKS, Zone, target};

/// What a resolver was told of one name and type.
#[derive(Clone, Debug)]
struct Kept {
    code: ResponseCode,
    records: Vec<Record>,
    authorities: Vec<Record>,
    /// When it ends, as time since the world began.
    until: Duration,
}

/// A caching resolver, which asks the zone's server, and remembers.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    kept: BTreeMap<(Name, RecordType), Kept>,
}

impl Resolver {
    /// Forgets everything.
    pub fn flush(&mut self) {
        self.kept.clear();
    }

    /// What it answers now, as time since the world began. `zone` is what it can ask; none where the server is out of its
    /// reach. Without `recurse` it tells what it remembers.
    pub fn answer(&mut self, zone: Option<&Zone>, question: &Query, recurse: bool, now: Duration) -> Answer {
        if question.query_class() != DNSClass::IN {
            return Answer::bare(ResponseCode::Refused);
        }
        if matches!(question.query_type(), RecordType::ANY | RecordType::AXFR | RecordType::IXFR) {
            return Answer::bare(ResponseCode::NotImp);
        }
        self.kept.retain(|_, kept| kept.until > now);
        let mut said = Answer::bare(ResponseCode::NoError);
        let mut at = question.name().clone();
        for _ in 0..MOST_LINKS {
            let kept = match self.link(zone, &at, question.query_type(), recurse, now) {
                Ok(kept) => kept,
                Err(code) => return Answer::bare(code),
            };
            let left = u32::try_from(kept.until.saturating_sub(now).as_secs()).unwrap_or(u32::MAX);
            let aged = |r: &Record| {
                let mut record = r.clone();
                record.ttl = record.ttl.min(left);
                record
            };
            said.code = kept.code;
            said.answers.extend(kept.records.iter().map(aged));
            said.authorities = kept.authorities.iter().map(aged).collect();
            let alias = kept.records.iter().find(|r| r.record_type() == RecordType::CNAME).and_then(target);
            match alias.filter(|_| question.query_type() != RecordType::CNAME) {
                Some(target) => at = target,
                None => break,
            }
        }
        said
    }

    /// One link of the chain: as it is remembered, or as the server says it now.
    fn link(
        &mut self,
        zone: Option<&Zone>,
        name: &Name,
        kind: RecordType,
        recurse: bool,
        now: Duration,
    ) -> Result<Kept, ResponseCode> {
        let alias = self.kept.get(&(name.clone(), RecordType::CNAME)).filter(|k| !k.records.is_empty());
        if let Some(kept) = self.kept.get(&(name.clone(), kind)).or(alias) {
            return Ok(kept.clone());
        }
        if !recurse {
            return Err(ResponseCode::Refused);
        }
        let said = zone.ok_or(ResponseCode::ServFail)?.answer(&Query::query(name.clone(), kind));
        if !said.authoritative {
            return Err(said.code);
        }
        let records: Vec<Record> = said.answers.into_iter().filter(|r| r.name == *name).collect();
        let (code, authorities) =
            if records.is_empty() { (said.code, said.authorities) } else { (ResponseCode::NoError, Vec::new()) };
        let ttl = records.iter().chain(&authorities).map(|r| r.ttl).min().unwrap_or(0);
        let until = now + Duration::from_secs(u64::from(ttl));
        let found = records.first().map_or(kind, Record::record_type);
        let kept = Kept { code, records, authorities, until };
        if ttl > 0 {
            self.kept.insert((name.clone(), found), kept.clone());
        }
        Ok(kept)
    }
}
