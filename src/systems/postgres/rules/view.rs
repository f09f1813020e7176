//! How these rules look at the servers of one probe.

use std::time::Duration;

use crate::plan::{Area, Key, LaneDecl, Lsn, Now, Plan, ProbeDecl, RuleId, SignalId, SiteId, Span, Subject};
use crate::readiness::signals::{INSTANCE, SYSTEM_ID, TIMELINE, WRITABLE};
use crate::readiness::{About, Facts, Finding, Gap, Row, Seen, Value, Verdict};
use crate::systems::postgres::options::{Mode, PostgresOptions};
use crate::systems::postgres::signals::{RECEIVER, SENDERS, SETTINGS, SLOTS, STARTED};

/// Every server of every probe of this mode.
pub(super) fn servers(plan: &Plan, mode: Mode) -> Vec<About> {
    let of = |p: &&ProbeDecl| p.options::<PostgresOptions>().is_some_and(|o| o.mode == mode);
    let lanes = plan.probes.iter().filter(of).flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
    lanes
        .filter(|(_, l)| l.subject.site.is_some())
        .map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() })
        .collect()
}

/// One server, with its neighbours.
#[derive(Clone, Copy)]
pub(super) struct Server<'a> {
    facts: &'a Facts<'a>,
    pub probe: &'a ProbeDecl,
    pub options: &'a PostgresOptions,
    lane: &'a LaneDecl,
    pub site: &'a SiteId,
    pub now: Now,
}

/// What a server is, by its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It takes writes.
    Primary,
    /// It is in recovery.
    Standby,
    /// It did not say.
    Unknown,
}

impl<'a> Server<'a> {
    pub fn of(facts: &'a Facts<'a>, about: &About, now: Now) -> Option<Self> {
        let probe = facts.plan.probe(about.probe.as_ref()?)?;
        let lane = probe.lanes.iter().find(|l| l.subject == about.subject)?;
        let options = probe.options::<PostgresOptions>()?;
        Some(Self { facts, probe, options, lane, site: lane.subject.site.as_ref()?, now })
    }

    /// The same, where it is a standby.
    pub fn standby(facts: &'a Facts<'a>, about: &About, now: Now) -> Option<Self> {
        Self::of(facts, about, now).filter(|s| s.role() == Role::Standby)
    }

    /// The same, where it is a primary.
    pub fn writer(facts: &'a Facts<'a>, about: &About, now: Now) -> Option<Self> {
        Self::of(facts, about, now).filter(|s| s.role() == Role::Primary)
    }

    /// The probe's other servers.
    pub fn others(self) -> impl Iterator<Item = Self> {
        let lanes = self.probe.lanes.iter().filter(move |l| l.subject != self.lane.subject);
        lanes.filter_map(move |lane| Some(Self { lane, site: lane.subject.site.as_ref()?, ..self }))
    }

    /// The primary among the others, where exactly one is seen.
    pub fn primary(self) -> Option<Self> {
        let mut writers = self.others().filter(|o| o.role() == Role::Primary);
        writers.next().filter(|_| writers.next().is_none())
    }

    pub fn role(self) -> Role {
        match self.bool(&WRITABLE) {
            Some((true, _)) => Role::Primary,
            Some((false, _)) => Role::Standby,
            None => Role::Unknown,
        }
    }

    /// The name of what it talks to, for people.
    pub fn server(self) -> &'a str {
        self.lane.server.as_str()
    }

    /// The host of what it talks to, without the port.
    pub fn host(self) -> &'a str {
        let server = self.server();
        match server.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
                host.trim_start_matches('[').trim_end_matches(']')
            }
            Some(_) | None => server,
        }
    }

    /// Whether `address` and `port`, as another server sees them, are this server's. Several servers may share a host; and
    /// where the probe names several, the one that answered says which it is.
    pub fn listens_at(self, address: &str, port: Option<i64>) -> bool {
        let server = self.server();
        if server.contains(',') {
            return self.text(&INSTANCE).is_some_and(|(instance, _)| answered_at(server, instance, address, port));
        }
        let own = server.rsplit_once(':').and_then(|(_, p)| p.parse::<i64>().ok());
        self.is_at(address) && port.is_none_or(|p| own.is_none_or(|o| o == p))
    }

    /// Whether `address`, as another server sees it, is this server's host: by name, by address, or by the address that
    /// the server itself says it listens on.
    pub fn is_at(self, address: &str) -> bool {
        let own = self.text(&INSTANCE).is_some_and(|(i, _)| {
            i.strip_prefix(address).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ' ', '/', '|', ']']))
        });
        !address.is_empty() && (self.host().eq_ignore_ascii_case(address) || own)
    }

    pub fn bool(self, signal: &SignalId) -> Option<(bool, Now)> {
        self.facts.bool(self.probe, &self.lane.subject, signal, self.now).map(|(v, r)| (v, r.asked))
    }

    pub fn int(self, signal: &SignalId) -> Option<(i64, Now)> {
        self.facts.int(self.probe, &self.lane.subject, signal, self.now).map(|(v, r)| (v, r.asked))
    }

    pub fn lsn(self, signal: &SignalId) -> Option<(Lsn, Now)> {
        self.facts.lsn(self.probe, &self.lane.subject, signal, self.now).map(|(v, r)| (v, r.asked))
    }

    pub fn text(self, signal: &SignalId) -> Option<(&'a str, Now)> {
        self.facts.text(self.probe, &self.lane.subject, signal, self.now).map(|(v, r)| (v.as_str(), r.asked))
    }

    pub fn rows(self, signal: &SignalId) -> Option<(&'a [Row], Now)> {
        self.facts.rows(self.probe, &self.lane.subject, signal, self.now).map(|(v, r)| (v, r.asked))
    }

    pub fn value(self, signal: &SignalId) -> Option<(&'a Value, Now)> {
        self.facts.value(self.probe, &self.lane.subject, signal, self.now).map(|(v, r)| (v, r.asked))
    }

    pub fn seen(self, signal: &SignalId) -> Seen<'a> {
        self.facts.seen(&self.probe.lane_id(self.lane).key(signal.clone()), self.now)
    }

    /// The key of one of its signals, for a chart.
    pub fn key(self, signal: &SignalId) -> Key {
        self.probe.lane_id(self.lane).key(signal.clone())
    }

    pub fn held_since(self, signal: &SignalId) -> Option<Now> {
        self.facts.held_since(self.probe, &self.lane.subject, signal, self.now)
    }

    pub fn was_seen_to_move(self, signal: &SignalId) -> bool {
        self.facts.was_seen_to_move(self.probe, &self.lane.subject, signal)
    }

    /// How long ago the newest position was asked for that its primary had and `lsn` covers: what lies beyond is younger.
    pub fn written_beyond(self, lsn: Lsn) -> Option<Duration> {
        let (system, _) = self.facts.text(self.probe, &self.lane.subject, &SYSTEM_ID, self.now)?;
        let (timeline, _) = self.int(&TIMELINE)?;
        self.facts.written_beyond(self.probe, system, timeline, lsn, self.now)
    }

    /// The table of the look before, with when it was asked for: for what one look alone does not prove.
    pub fn rows_before(self, signal: &SignalId) -> Option<(&'a [Row], Now)> {
        match self.facts.before(self.probe, &self.lane.subject, signal)? {
            (Value::Rows(rows), asked) => Some((rows, asked)),
            (_, _) => None,
        }
    }

    /// One of the settings, as `pg_settings` gives it; `None` where it was not read.
    pub fn setting(self, name: &str) -> Option<(&'a str, Now)> {
        let (rows, at) = self.rows(&SETTINGS)?;
        let column = |row: &'a Row, column: &str| match row.get(column) {
            Some(Value::Text(t)) => Some(t.as_str()),
            Some(_) | None => None,
        };
        let row = rows.iter().find(|r| column(r, "name") == Some(name))?;
        Some((column(row, "setting")?, at))
    }

    /// A setting that is a whole number.
    pub fn number(self, name: &str) -> Option<(i64, Now)> {
        let (setting, at) = self.setting(name)?;
        Some((setting.parse().ok()?, at))
    }

    /// Whether it follows by the archive alone: nothing to stream from, and a command that fetches.
    pub fn by_archive(self) -> bool {
        let is = |name, what| self.setting(name).is_some_and(|(s, _)| s == what);
        is("primary_conninfo", "unset") && is("restore_command", "set")
    }

    /// How long it had been what it is at `at`, by its own clock; `None` where that is not known.
    pub fn up_for(self, at: Now) -> Option<Duration> {
        let (started, read) = self.facts.time(self.probe, &self.lane.subject, &STARTED, self.now)?;
        let then = read.as_of?.signed_duration_since(started).to_std().ok()?;
        Some(then.saturating_add(at.since(read.asked)))
    }

    /// The only row of its receiver; `Ok(None)` where there is none.
    pub fn receiver(self) -> Option<(Result<Option<&'a Row>, Gap>, Now)> {
        let (rows, at) = self.rows(&RECEIVER)?;
        let one = match rows {
            [] => Ok(None),
            [row] => Ok(Some(row)),
            [..] => Err(Gap::new(crate::readiness::Reason::Malformed, "more than one receiver")),
        };
        Some((one, at))
    }

    pub fn part(self, part: &str) -> Subject {
        Subject::part_of(self.site.clone(), part)
    }

    pub fn area(self) -> Area {
        self.probe.area
    }

    pub fn rpo_is_zero(self) -> bool {
        self.facts.plan.objectives.rpo.0.is_zero()
    }

    pub fn rto(self) -> std::time::Duration {
        self.facts.plan.objectives.rto.0
    }

    /// The clusters whose primary was seen before, by the history; oldest first.
    pub fn known_clusters(self) -> impl Iterator<Item = &'a str> {
        self.facts.clocks.get(&self.probe.id).into_iter().flat_map(|c| c.segments()).map(|s| s.system.as_str())
    }

    pub fn finding(self, rule: RuleId, verdict: Verdict, code: &'static str, sentence: &str) -> Finding {
        Finding::new(rule, self.area(), self.lane.subject.clone(), verdict, code, sentence).of(&self.probe.id)
    }

    /// What was read and makes no sense: never `Ready`.
    pub fn senseless(self, rule: RuleId, what: &str, gap: &Gap, at: Now) -> Finding {
        self.finding(rule, Verdict::Unknown, "malformed", &format!("{}: {what} makes no sense: {gap}", self.server()))
            .because(&format!("{} {what}", self.site), gap, at)
            .next("check what answers there: a pooler or a proxy may change answers")
    }
}

/// How a primary's senders show one standby.
pub(super) enum Matched<'a> {
    /// These rows are it; all of them, where several carry its name.
    Rows(Vec<&'a Row>),
    /// No row is it.
    Missing,
    /// There are rows, and nothing says which is it.
    Unclear,
}

/// The rows of a primary's `pg_stat_replication` that are this standby: by the configured name, else by the standby's
/// address, else of several the only one that has the standby's `cluster_name`, else the only row there is when only one
/// standby is expected and something of its own says that it is it: a standby that feeds this one, or a program that only
/// receives log, has a row as well.
///
/// # Errors
/// Where a row makes no sense.
pub(super) fn sender_of<'a>(primary: Server<'a>, standby: Server<'a>) -> Option<(Result<Matched<'a>, Gap>, Now)> {
    let (rows, at) = primary.rows(&SENDERS)?;
    Some((find_sender(primary, standby, rows), at))
}

/// Whether the look before, at least [`APART`] earlier, missed this standby's sender as well.
pub(super) fn missed_before(primary: Server<'_>, standby: Server<'_>, at: Now) -> bool {
    let Some((rows, then)) = primary.rows_before(&SENDERS) else { return false };
    at.since(then) >= APART && matches!(find_sender(primary, standby, rows), Ok(Matched::Missing))
}

/// PostgreSQL's default `wal_retrieve_retry_interval`: how long a standby waits before it tries its primary again.
const RETRY: Duration = Duration::from_secs(5);
/// Where it is set to more than this, a missing stream is said all the same.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// What a reconnection may take beyond the wait.
const CONNECTS: Duration = Duration::from_secs(3);

/// The server that was started so lately that a stream between the two need not be there again yet: a standby whose primary
/// went away waits before it tries again.
pub(super) fn just_started<'a>(primary: Server<'a>, standby: Server<'a>, at: Now) -> Option<(Server<'a>, Span)> {
    // A standby that is down will not come back by itself.
    if matches!(standby.seen(&WRITABLE), Seen::Gap { gap, .. } if gap.reason.verdict() == Verdict::NotReady) {
        return None;
    }
    let retry = standby.number("wal_retrieve_retry_interval").and_then(|(ms, _)| u64::try_from(ms).ok());
    let grace = retry.map_or(RETRY, Duration::from_millis).min(LONGEST_RETRY).saturating_add(CONNECTS);
    let young = |s: Server<'a>| s.up_for(at).filter(|up| *up <= grace).map(|up| (s, Span(up)));
    young(primary).or_else(|| young(standby))
}

/// Whether a standby answered a moment ago and does not now, which proves nothing yet: it may be restarting.
pub(super) fn just_fell_silent(standby: Server<'_>, at: Now) -> bool {
    match standby.seen(&WRITABLE) {
        Seen::Value { reading, failing: Some(_), .. } => at.since(reading.asked) <= RETRY.saturating_add(CONNECTS),
        Seen::Value { .. } | Seen::Gap { .. } | Seen::Stale { .. } | Seen::Never => false,
    }
}

/// The finding that a stream is not there again yet. Never `Ready`; and where the grace is over, the stream is missing.
pub(super) fn reconnecting(
    rule: RuleId,
    of: Server<'_>,
    standby: Server<'_>,
    started: (Server<'_>, Span),
    at: Now,
) -> Finding {
    let (server, up) = started;
    let why = if server.role() == Role::Primary {
        format!("the primary in {} was just started, and {} has not reconnected yet", server.site, standby.site)
    } else {
        format!("the standby in {} was just started, and does not stream yet", standby.site)
    };
    of.finding(rule, Verdict::Degraded, RECONNECTING, &why)
        .following()
        .because(&format!("{} up for", server.site), &up.coarse(), at)
        .next("wait: a standby tries again every wal_retrieve_retry_interval, 5 s unless it is set")
}

/// What a stream that is not there again yet is called.
pub(super) const RECONNECTING: &str = "reconnecting";

/// Whether the one of several servers that answered, which says `ADDRESS:PORT` of itself before anything else, is at this
/// address and port. A name is nobody's address: it fits where it is the only one at the port that answered.
fn answered_at(servers: &str, instance: &str, address: &str, port: Option<i64>) -> bool {
    let Some((own, own_port)) = instance.split(' ').next().and_then(|i| i.rsplit_once(':')) else { return false };
    if port.is_some_and(|p| own_port.parse() != Ok(p)) || address.is_empty() {
        return false;
    }
    let bare = |host: &str| host.trim_matches(['[', ']']).to_ascii_lowercase();
    let (wanted, own) = (bare(address), bare(own));
    if wanted.parse::<std::net::IpAddr>().is_ok() {
        return wanted == own;
    }
    let at_port = servers.split(',').filter_map(|s| s.trim().rsplit_once(':')).filter(|(_, p)| *p == own_port);
    let names: std::collections::BTreeSet<String> = at_port.map(|(host, _)| bare(host)).collect();
    names.len() == 1 && names.contains(&wanted)
}

/// Whether something that the standby says of itself fits the primary or this row: whom it streams from, through which
/// slot, under which name. A standby that says nothing just now has nothing against it.
fn confirmed(primary: Server<'_>, standby: Server<'_>, row: &Row) -> Result<bool, Gap> {
    let Some((Ok(receiver), _)) = standby.receiver() else { return Ok(true) };
    let name = cluster_name(standby);
    let named = !name.is_empty() && row.text("application_name")?.is_some_and(|n| n.as_str() == name);
    let Some(receiver) = receiver else { return Ok(named) };
    let from_here = match receiver.text("sender_host")? {
        Some(host) => primary.listens_at(host.as_str(), receiver.int("sender_port")?),
        None => false,
    };
    let slot = receiver.text("slot_name")?.filter(|s| !s.as_str().is_empty());
    let mut slotted = false;
    if let (Some(slot), Some((slots, _))) = (slot, primary.rows(&SLOTS)) {
        for other in slots {
            slotted |= other.text("slot_name")?.is_some_and(|n| n == slot) && other.bool("active")? == Some(true);
        }
    }
    Ok(named || from_here || slotted)
}

/// Two looks that are closer than this are one: a standby that restarts is away for longer.
pub(super) const APART: Duration = Duration::from_millis(900);

/// What a server calls itself; empty where it does not say.
fn cluster_name(server: Server<'_>) -> &str {
    server.setting("cluster_name").map_or("", |(name, _)| name)
}

fn find_sender<'a>(primary: Server<'a>, standby: Server<'a>, rows: &'a [Row]) -> Result<Matched<'a>, Gap> {
    if let Some(name) = standby.options.standby_names.get(standby.site.as_str()) {
        let mut found = Vec::new();
        for row in rows {
            if row.text("application_name")?.is_some_and(|n| n.as_str() == name) {
                found.push(row);
            }
        }
        return Ok(if found.is_empty() { Matched::Missing } else { Matched::Rows(found) });
    }
    let mut others = Vec::new();
    for row in rows {
        // A base backup under way is no standby.
        if row.text("state")?.is_some_and(|s| s.as_str() == "backup") {
            continue;
        }
        others.push(row);
    }
    let mut found = Vec::new();
    for row in &others {
        if row.text("client_addr")?.is_some_and(|a| standby.is_at(a.as_str())) {
            found.push(*row);
        }
    }
    // What receives log beside it, at the same address or behind one: the standby's own name tells them apart.
    let own = standby.setting("cluster_name").map(|(name, _)| name).filter(|name| !name.is_empty());
    let mut named = Vec::new();
    for row in if found.is_empty() { &others } else { &found } {
        if let (Some(own), Some(name)) = (own, row.text("application_name")?)
            && name.as_str() == own
        {
            named.push(*row);
        }
    }
    let siblings = primary.others().count();
    // A receiver goes by its server's cluster_name unless told otherwise. It tells standbys from what else streams from the
    // same address: Barman's receiver, a member of the primary's own cluster.
    let name = cluster_name(standby);
    let shared = standby.others().any(|o| o.role() == Role::Standby && cluster_name(o) == name);
    if found.len() != 1 && !name.is_empty() && !shared {
        let mut named = Vec::new();
        for row in &others {
            if row.text("application_name")?.is_some_and(|n| n.as_str() == name) {
                named.push(*row);
            }
        }
        if let [only] = named.as_slice() {
            return Ok(Matched::Rows(vec![*only]));
        }
    }
    Ok(match (found.as_slice(), others.as_slice()) {
        (_, []) => Matched::Missing,
        ([_], _) => Matched::Rows(found),
        (_, [_, _, ..]) if named.len() == 1 => Matched::Rows(named),
        ([], [only]) if siblings == 1 && confirmed(primary, standby, only)? => Matched::Rows(vec![*only]),
        (_, _) => Matched::Unclear,
    })
}

#[cfg(test)]
mod tests {
    use super::answered_at;

    #[test]
    fn of_several_servers_the_one_that_answered_is_meant() {
        let at =
            |servers, address, port| answered_at(servers, "10.0.1.1:5432 since 2026-01-01T00:00:00Z", address, port);
        assert!(at("10.0.1.1:5432,10.0.1.2:5432", "10.0.1.1", Some(5432)));
        assert!(at("10.0.1.1:5432,10.0.1.2:5432", "10.0.1.1", None));
        assert!(!at("10.0.1.1:5432,10.0.1.2:5432", "10.0.1.2", Some(5432)), "that is another member");
        assert!(!at("10.0.1.1:5432,10.0.1.1:5433", "10.0.1.1", Some(5433)), "that is another server of the host");
        // Which of two names answered, nobody here can say; of one it is plain.
        assert!(!at("n1:5432,n2:5432", "n2", Some(5432)));
        assert!(at("n1:5432,n2:5433", "N1", Some(5432)));
        assert!(!at("n1:5432,n2:5432", "", Some(5432)));
    }
}
