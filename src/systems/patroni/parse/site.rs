//! From the answers of a site's members to the readings of its lane.

use std::time::Duration;

use crate::plan::{SafeText, SignalId};
use crate::readiness::signals::{FLUSHED, INSTANCE, LAST_COMMIT, RECEIVED, REPLAYED, SYSTEM_ID, TIMELINE, WRITABLE};
use crate::readiness::{Gap, Reason, Value};
use crate::systems::Observed;

use super::super::signals::{CLUSTER, HISTORY, LEADER, NO_STREAM, NODES, OVERVIEW, SETTINGS, STREAM, UNSAID};
use super::{Cluster, Listed, Node, Settings, Switch};

/// For so long a cluster may be without a primary before that is said: a switchover takes one to three seconds where
/// PostgreSQL stops at once, and more under load.
const HANDOVER: Duration = Duration::from_secs(10);

/// What one look at a site brought.
#[derive(Clone, Debug)]
pub struct Told {
    /// Every configured member, in the order of the configuration.
    pub nodes: Vec<Node>,
    /// What the first member that answered said of its cluster.
    pub cluster: Result<Cluster, Gap>,
    /// Its dynamic configuration.
    pub settings: Result<Settings, Gap>,
    /// Its history.
    pub history: Result<Vec<Switch>, Gap>,
}

/// Where the leader of a cluster is.
enum Led<'a> {
    /// It is one of the site's members.
    Here,
    /// It is a member of another site: one cluster that spans sites.
    Elsewhere,
    /// It is no member that the probe names.
    Stranger(&'a Listed),
    /// Nobody can say.
    Unknown,
}

/// What is known of the site beside the look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The members of the probe's other sites, as they are shown.
    pub elsewhere: &'a [String],
    /// For how long looks have found no primary, the first such look included (then zero).
    pub without_primary: Duration,
}

impl Told {
    /// The members that take writes.
    pub fn writers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| n.writes())
    }

    /// The primary: the one that Patroni calls leader, where two take writes; else the one on the highest timeline.
    fn primary(&self) -> Option<&Node> {
        let leader = self.cluster.as_ref().ok().and_then(Cluster::leader);
        let leads = |n: &&Node| leader.is_some_and(|l| n.name.as_ref() == Some(&l.name));
        self.writers().find(leads).or_else(|| self.writers().max_by_key(|n| n.timeline))
    }

    /// The standby that the site would go on with: the leader of a standby cluster, else the one that holds most.
    fn standby(&self) -> Option<&Node> {
        let able = || self.nodes.iter().filter(|n| !n.writes() && n.holds().is_some());
        able().find(|n| n.is_standby_leader()).or_else(|| able().max_by_key(|n| n.holds()))
    }

    /// Where the leader of this cluster is.
    fn led(&self, asked: Asked<'_>) -> Led<'_> {
        let leader = self.cluster.as_ref().ok().and_then(Cluster::leader).filter(|l| l.role.as_str() == "leader");
        let Some(leader) = leader else { return Led::Unknown };
        let is = |shown: &str| leader.api.as_ref().is_some_and(|a| a.as_str() == shown);
        if self.nodes.iter().any(|n| n.name.as_ref() == Some(&leader.name) || is(n.member.as_str())) {
            Led::Here
        } else if asked.elsewhere.iter().any(|m| is(m)) {
            Led::Elsewhere
        // A member of before 4.0 does not say its name, and its address may be another one than the cluster knows.
        } else if self.nodes.iter().all(|n| n.name.is_some()) {
            Led::Stranger(leader)
        } else {
            Led::Unknown
        }
    }

    /// Whether a member of the site takes writes.
    fn writable(&self, asked: Asked<'_>) -> Result<bool, Gap> {
        if self.writers().next().is_some() {
            return Ok(true);
        }
        let led = self.led(asked);
        let settled = self.nodes.iter().any(Node::is_standby_leader)
            || self.settings.as_ref().is_ok_and(|s| s.standby_cluster)
            || matches!(led, Led::Elsewhere);
        let seen = self.standby().is_some();
        if settled && seen {
            return Ok(false);
        }
        if let Some(dark) = self.nodes.iter().find(|n| !n.answered()) {
            let others = if seen { "no member answers as primary, and " } else { "" };
            let words = dark.detail.as_ref().map_or("no answer", SafeText::as_str);
            let reason = reason(dark);
            return Err(Gap::new(reason, &format!("{others}{words}")));
        }
        let states: Vec<String> = self
            .nodes
            .iter()
            .map(|n| format!("{} is {}", n.called(), n.state.as_ref().map_or("unknown", SafeText::as_str)))
            .collect();
        if !seen {
            let why = format!("no member's PostgreSQL answers: {}", states.join(", "));
            return Err(Gap::new(Reason::StartingUp, &why));
        }
        if let Led::Stranger(leader) = led {
            let api = leader.api.as_ref().map_or("its address", SafeText::as_str);
            let why = format!("its leader {} is none of the probe's members: name {api}", leader.name);
            return Err(Gap::new(Reason::Absent, &why));
        }
        if asked.without_primary < HANDOVER {
            return Err(Gap::new(Reason::StartingUp, "no member takes writes at this look; asking again"));
        }
        Ok(false)
    }

    /// Why a standby's or a primary's reading is not there.
    fn unseen(&self) -> Gap {
        match self.nodes.iter().find(|n| !n.answered()) {
            Some(dark) => Gap::new(reason(dark), dark.detail.as_ref().map_or("no answer", SafeText::as_str)),
            None => Gap::new(Reason::StartingUp, "no member's PostgreSQL answers"),
        }
    }
}

/// The reason of a member that did not answer. That nobody listens proves nothing of its PostgreSQL, which may well run on
/// without Patroni.
fn reason(dark: &Node) -> Reason {
    let of = |code: &str| Reason::ALL.iter().copied().find(|r| r.code() == code);
    match of(dark.outcome.as_str()) {
        Some(Reason::Refused) | None => Reason::Unreachable,
        Some(reason) => reason,
    }
}

/// The same for what no member answered.
fn softened(gap: Gap) -> Gap {
    if gap.reason == Reason::Refused { Gap { reason: Reason::Unreachable, ..gap } } else { gap }
}

/// The readings of a look: every signal, with a value or a gap.
#[must_use]
pub fn observed(told: &Told, asked: Asked<'_>) -> Vec<Observed> {
    let mut out = Vec::new();
    let mut push = |signal: SignalId, value: Result<Value, Gap>| out.push(Observed { signal, value, as_of: None });
    let writable = told.writable(asked);
    let primary = told.primary();
    let node = primary.or_else(|| told.standby());
    let lacking = |what: &str| Gap::new(Reason::Absent, &format!("/patroni does not say the {what}"));
    let of = |what: &str, value: Option<Value>| match (node, value) {
        (_, Some(value)) => Ok(value),
        (Some(_), None) => Err(lacking(what)),
        (None, None) => Err(told.unseen()),
    };
    let not_of_a_primary = |what: &str, value: Option<Value>| match primary {
        Some(_) => Ok(Value::NotApplicable),
        None => of(what, value),
    };
    let flushed = match (primary, &writable) {
        (Some(p), _) => p.location.map(Value::Lsn).ok_or_else(|| lacking("position")),
        (None, Ok(_)) => Ok(Value::NotApplicable),
        (None, Err(gap)) => Err(gap.clone()),
    };
    push(FLUSHED, flushed);
    push(WRITABLE, writable.map(Value::Bool));
    push(RECEIVED, not_of_a_primary("received position", node.and_then(Node::holds).map(Value::Lsn)));
    // Before anything was replayed there is nothing behind what was received.
    push(REPLAYED, not_of_a_primary("replayed position", node.and_then(|n| n.replayed).map(Value::Lsn)));
    push(SYSTEM_ID, of("system identifier", node.and_then(|n| n.system_id.clone()).map(Value::Text)));
    push(TIMELINE, of("timeline", node.and_then(|n| n.timeline).map(Value::Int)));
    push(INSTANCE, of("start time", node.and_then(instance)));
    let commit = node.map(|n| n.replayed_at.map_or(Value::Null, Value::Time));
    push(LAST_COMMIT, not_of_a_primary("last commit", commit));
    push(STREAM, not_of_a_primary("stream", node.map(stream)));
    push(NODES, Ok(Value::Rows(told.nodes.iter().map(Node::row).collect())));
    let cluster = told.cluster.clone().map_err(softened);
    let leader = cluster.as_ref().map(|c| c.leader().map_or(Value::Null, |l| Value::Text(l.name.clone())));
    push(LEADER, leader.map_err(Gap::clone));
    push(OVERVIEW, cluster.as_ref().map(|c| Value::Rows(vec![c.overview.row()])).map_err(Gap::clone));
    push(CLUSTER, cluster.map(|c| Value::Rows(c.members.iter().map(Listed::row).collect())));
    push(SETTINGS, told.settings.as_ref().map(|s| Value::Rows(vec![s.row()])).map_err(|g| softened(g.clone())));
    let history = told.history.as_ref().map(|h| Value::Rows(h.iter().map(Switch::row).collect()));
    push(HISTORY, history.map_err(|g| softened(g.clone())));
    out
}

/// Which running server it is, the same by whatever address it was asked.
fn instance(node: &Node) -> Option<Value> {
    let started = node.started.as_ref()?;
    let scope = node.scope.as_ref().map_or("", SafeText::as_str);
    let name = node.name.as_ref().map_or("", SafeText::as_str);
    Some(Value::text(&format!("{scope}/{name} started {started}")))
}

fn stream(node: &Node) -> Value {
    match &node.replication_state {
        Some(state) => Value::Text(state.clone()),
        None if node.says_replication_state() => Value::text(NO_STREAM),
        None => Value::text(UNSAID),
    }
}
