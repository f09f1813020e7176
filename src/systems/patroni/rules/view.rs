//! How these rules look at the sites of one probe.

use std::time::Duration;

use crate::plan::{Area, LaneDecl, Lsn, Now, Plan, ProbeDecl, RuleId, SignalId, SiteId, Subject};
use crate::readiness::signals::{INSTANCE, SYSTEM_ID, WRITABLE};
use crate::readiness::{About, Facts, Finding, Gap, Row, Seen, Value, Verdict};
use crate::systems::patroni::options::Patroni;
use crate::systems::patroni::parse::{Listed, Node, Overview, Settings, Switch, rows};
use crate::systems::patroni::signals::{CLUSTER, HISTORY, NODES, OVERVIEW, SETTINGS};

/// For so long something must have been so that a switchover or a restart brings about for a moment.
pub(super) const MOMENT: Duration = Duration::from_secs(4);
/// How far apart two looks are that prove together what one does not.
const APART: Duration = Duration::from_millis(900);

/// A table with when it was asked for, or why it cannot be understood.
pub(super) type Table<T> = Option<Result<(Vec<T>, Now), Gap>>;

/// Every site of every probe of this kind.
pub(super) fn sites(plan: &Plan) -> Vec<About> {
    let probes = plan.probes.iter().filter(|p| p.options::<Patroni>().is_some());
    let lanes = probes.flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
    lanes.map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() }).collect()
}

/// One site's Patroni, with its neighbours.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    facts: &'a Facts<'a>,
    pub probe: &'a ProbeDecl,
    lane: &'a LaneDecl,
    pub site: &'a SiteId,
    pub now: Now,
}

impl<'a> Site<'a> {
    pub fn of(facts: &'a Facts<'a>, about: &About, now: Now) -> Option<Self> {
        let probe = facts.plan.probe(about.probe.as_ref()?)?;
        probe.options::<Patroni>()?;
        let lane = probe.lanes.iter().find(|l| l.subject == about.subject)?;
        Some(Self { facts, probe, lane, site: lane.subject.site.as_ref()?, now })
    }

    /// The probe's other sites.
    pub fn others(self) -> impl Iterator<Item = Self> {
        let lanes = self.probe.lanes.iter().filter(move |l| l.subject != self.lane.subject);
        lanes.filter_map(move |lane| Some(Self { lane, site: lane.subject.site.as_ref()?, ..self }))
    }

    /// Whether a member of it takes writes; `None` where nobody can say.
    pub fn writes(self) -> Option<bool> {
        self.bool(&WRITABLE).map(|(w, _)| w)
    }

    /// The site among the others that takes writes, where exactly one does.
    pub fn active(self) -> Option<Self> {
        let mut writers = self.others().filter(|o| o.writes() == Some(true));
        writers.next().filter(|_| writers.next().is_none())
    }

    /// Whether the site is one that could take over: it takes no writes, and either another site does or it is told to
    /// follow one.
    pub fn stands_by(self) -> bool {
        self.writes() == Some(false) && (self.active().is_some() || self.is_standby_cluster() == Some(true))
    }

    /// Whether its configuration tells it to follow another cluster; `None` where it could not be read.
    pub fn is_standby_cluster(self) -> Option<bool> {
        self.settings()?.ok().map(|(s, _)| s.standby_cluster)
    }

    /// Whether it and the active site are members of one and the same cluster of Patroni.
    pub fn shares_cluster_with(self, other: Self) -> bool {
        let names = |s: Self| match s.cluster() {
            Some(Ok((members, _))) => Some(members.into_iter().map(|m| m.name).collect::<Vec<_>>()),
            Some(Err(_)) | None => None,
        };
        let system = |s: Self| s.text(&SYSTEM_ID).map(|(t, _)| t);
        let same_system = system(self).is_some() && system(self) == system(other);
        let (mine, theirs) = (names(self), names(other));
        same_system && mine.as_ref().is_some_and(|m| !m.is_empty()) && mine == theirs
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

    pub fn value(self, signal: &SignalId) -> Option<(&'a Value, Now)> {
        self.facts.value(self.probe, &self.lane.subject, signal, self.now).map(|(v, r)| (v, r.asked))
    }

    /// The value that the newest look brought, also where it says that it does not apply; `None` where that failed and what is fresh is from an earlier one.
    pub fn newest(self, signal: &SignalId) -> Option<&'a Value> {
        match self.facts.seen(&self.probe.lane_id(self.lane).key(signal.clone()), self.now) {
            Seen::Value { value, failing: None, .. } => Some(value),
            Seen::Value { .. } | Seen::Gap { .. } | Seen::Stale { .. } | Seen::Never => None,
        }
    }

    /// The value of the look before, at least a second earlier than `at`.
    pub fn before(self, signal: &SignalId, at: Now) -> Option<&'a Value> {
        let (value, then) = self.facts.before(self.probe, &self.lane.subject, signal)?;
        (at.since(then) >= APART).then_some(value)
    }

    /// Whether a signal has had its value for longer than a [`MOMENT`], as of its newest reading.
    pub fn lasts(self, signal: &SignalId) -> bool {
        self.lasts_for(signal, MOMENT)
    }

    /// Whether a signal has had its value for so long, as of its newest reading.
    pub fn lasts_for(self, signal: &SignalId, length: Duration) -> bool {
        let since = self.facts.held_since(self.probe, &self.lane.subject, signal, self.now);
        since.zip(self.value(signal)).is_some_and(|(since, (_, at))| at.since(since) >= length)
    }

    fn table<T>(self, signal: &SignalId, read: impl Fn(&Row) -> Result<T, Gap>) -> Table<T> {
        let (found, reading) = self.facts.rows(self.probe, &self.lane.subject, signal, self.now)?;
        Some(rows(found, read).map(|r| (r, reading.asked)))
    }

    fn table_before<T>(self, signal: &SignalId, at: Now, read: impl Fn(&Row) -> Result<T, Gap>) -> Option<Vec<T>> {
        match self.before(signal, at)? {
            Value::Rows(found) => rows(found, read).ok(),
            _ => None,
        }
    }

    fn one<T>(self, signal: &SignalId, read: impl Fn(&Row) -> Result<T, Gap>) -> Option<Result<(T, Now), Gap>> {
        let lacking = || Gap::new(crate::readiness::Reason::Malformed, "no row");
        Some(self.table(signal, read)?.and_then(|(rows, at)| Ok((rows.into_iter().next().ok_or_else(lacking)?, at))))
    }

    pub fn nodes(self) -> Table<Node> {
        self.table(&NODES, Node::read)
    }

    /// What the members said at the look before.
    pub fn nodes_before(self, at: Now) -> Option<Vec<Node>> {
        self.table_before(&NODES, at, Node::read)
    }

    pub fn cluster(self) -> Table<Listed> {
        self.table(&CLUSTER, Listed::read)
    }

    /// The members as the DCS had them at the look before.
    pub fn cluster_before(self, at: Now) -> Option<Vec<Listed>> {
        self.table_before(&CLUSTER, at, Listed::read)
    }

    pub fn history(self) -> Table<Switch> {
        self.table(&HISTORY, Switch::read)
    }

    pub fn overview(self) -> Option<Result<(Overview, Now), Gap>> {
        self.one(&OVERVIEW, Overview::read)
    }

    pub fn settings(self) -> Option<Result<(Settings, Now), Gap>> {
        self.one(&SETTINGS, Settings::read)
    }

    /// Which running server it is.
    pub fn instance(self) -> Option<(&'a str, Now)> {
        self.text(&INSTANCE)
    }

    /// A finding about the site.
    pub fn finding(self, rule: RuleId, verdict: Verdict, code: &'static str, sentence: &str) -> Finding {
        Finding::new(rule, Area::Standby, self.lane.subject.clone(), verdict, code, sentence).of(&self.probe.id)
    }

    /// A finding about a part of the site: a member.
    pub fn finding_of(self, rule: RuleId, part: &str, verdict: Verdict, code: &'static str, sentence: &str) -> Finding {
        Finding { subject: Subject::part_of(self.site.clone(), part), ..self.finding(rule, verdict, code, sentence) }
    }

    /// The finding for a reading that cannot be understood: `Unknown`, never silence.
    pub fn senseless(self, rule: RuleId, what: &str, gap: &Gap) -> Finding {
        let why = format!("{}: what was read of {what} cannot be understood: {gap}", self.site);
        self.finding(rule, Verdict::Unknown, "malformed", &why).next("this is a fault in lifeboat: report it")
    }
}

/// What several names are called in a sentence: `a, b and c`.
pub(super) fn list<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => {
            format!("{} and {}", most.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref())
        }
    }
}
