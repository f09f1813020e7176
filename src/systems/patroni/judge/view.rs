//! One site's cluster, as it was just asked.

use crate::plan::{Lsn, SafeText, SiteId};
use crate::readiness::{Gap, Reason};
use crate::runbook::{Held, Identity};

use super::super::options::Member;
use super::super::parse::{Listed, Node, Switch, Told, differ};
use super::{Before, so};

/// The mark of a cluster that stays whatever is done to it.
pub(super) const SYSTEM: &str = "system identifier";

/// The mark of who leads.
pub const LEADER: &str = "leader";

/// One site's cluster, as it was just asked.
#[derive(Clone, Debug)]
pub struct View {
    /// The site.
    pub site: SiteId,
    /// Its configured members.
    pub members: Vec<Member>,
    /// What they say; `nodes` in the order of `members`.
    pub told: Told,
    /// Whether each of them has taken in that the cluster is in maintenance mode, where it answered.
    pub paused: Vec<Option<bool>>,
}

impl View {
    /// The cluster's name in Patroni, where a member says it.
    #[must_use]
    pub fn scope(&self) -> Option<&SafeText> {
        self.told.nodes.iter().find_map(|n| n.scope.as_ref())
    }

    /// The cluster for people: `dr in west`.
    #[must_use]
    pub fn called(&self) -> String {
        self.scope().map_or_else(|| self.site.to_string(), |scope| format!("{scope} in {}", self.site))
    }

    /// What says that it is this cluster, whatever is done to it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let mut identity = Identity::default().with("site", &self.site);
        if let Some(scope) = self.scope() {
            identity = identity.with("cluster", scope);
        }
        if let Some(system) = self.system() {
            identity = identity.with(SYSTEM, system);
        }
        identity
    }

    /// The system identifier, where every member that answers says the same.
    pub(super) fn system(&self) -> Option<&SafeText> {
        let mut said = self.told.nodes.iter().filter_map(|n| n.system_id.as_ref());
        let first = said.next()?;
        said.all(|other| other == first).then_some(first)
    }

    /// With the leader and the end of its history: another leader, a restart or a promotion makes it another target.
    pub(super) fn identity_with(&self, leader: &Listed) -> Identity {
        let mut identity = self.identity().with(LEADER, &leader.name);
        if let Some(started) = self.node(leader).and_then(|n| n.started.as_ref()) {
            identity = identity.with("leader started", started);
        }
        if let Ok(history) = &self.told.history {
            let last = history.last();
            let end = last.map_or_else(|| "none ended".to_owned(), |s| format!("{} ended at {}", s.timeline, s.lsn));
            identity = identity.with("timeline", &end);
        }
        identity
    }

    /// What a member that the DCS lists says of itself; `None` where the probe does not name it.
    pub(super) fn node(&self, listed: &Listed) -> Option<&Node> {
        self.place(listed).and_then(|at| self.told.nodes.get(at))
    }

    /// Its place among the configured members.
    pub(super) fn place(&self, listed: &Listed) -> Option<usize> {
        let is = |n: &Node| n.name.as_ref() == Some(&listed.name) || listed.api.as_ref() == Some(&n.member);
        self.told.nodes.iter().position(is)
    }

    /// The name of a member: as the DCS has it, else its own, else its address.
    pub(super) fn name(&self, node: &Node) -> String {
        let listed = self.told.cluster.as_ref().ok().and_then(|c| {
            c.members.iter().find(|m| node.name.as_ref() == Some(&m.name) || m.api.as_ref() == Some(&node.member))
        });
        listed.map_or_else(|| node.called().to_owned(), |l| l.name.to_string())
    }

    /// The names of these members, with `and` between.
    pub(super) fn names<'a>(&self, nodes: impl Iterator<Item = &'a Node>) -> String {
        nodes.map(|n| self.name(n)).collect::<Vec<_>>().join(" and ")
    }

    /// The member that leads, by the DCS.
    pub(super) fn leader(&self) -> Option<&Listed> {
        self.told.cluster.as_ref().ok().and_then(|c| c.leader())
    }

    /// Where a request is best sent: to the leader where it answers, else to the first that does.
    pub(super) fn addressee(&self) -> Option<usize> {
        let answers = |at: &usize| self.told.nodes.get(*at).is_some_and(Node::answered);
        let leader = self.leader().and_then(|l| self.place(l)).filter(answers);
        leader.or_else(|| (0..self.told.nodes.len()).find(answers))
    }

    /// The members of which nobody can say yet whether they take writes: they answer, and their PostgreSQL does not, though
    /// it runs or is about to stop.
    pub(super) fn undecided(&self) -> impl Iterator<Item = &Node> {
        let down = |n: &Node| n.state.as_ref().is_some_and(|s| !matches!(s.as_str(), "running" | "stopping"));
        self.told.nodes.iter().filter(move |n| n.answered() && !n.writes() && n.holds().is_none() && !down(n))
    }

    /// The members that do not answer.
    pub(super) fn silent(&self) -> impl Iterator<Item = &Node> {
        self.told.nodes.iter().filter(|n| !n.answered())
    }

    /// The greatest position that a member that answers holds or has written.
    pub(super) fn position(&self) -> Option<Lsn> {
        self.told.nodes.iter().filter_map(|n| n.location.max(n.holds())).max()
    }

    /// What is so now, to tell the effect by.
    pub(super) fn before(&self, to: Option<usize>, other: Option<&Self>) -> Before {
        let leader = self.leader();
        let node = leader.and_then(|l| self.node(l));
        Before {
            leader: leader.map(|l| l.name.clone()),
            leader_at: node.map(|n| n.member.clone()),
            asked: to.and_then(|at| self.members.get(at)).map(|m| SafeText::new(&m.shown)),
            timeline: node.and_then(|n| n.timeline),
            position: node.and_then(|n| n.location.or(n.holds())),
            elsewhere: other.and_then(|o| o.told.writers().filter_map(|n| n.location).max()),
        }
    }

    /// Whether this site and another are one database and on one history: where a timeline ended in both, it ended at the
    /// same position, and neither is beyond where the other left its timeline.
    ///
    /// # Errors
    /// Why they cannot be compared.
    pub(super) fn compared(&self, other: &Self) -> Result<(Held, String), Gap> {
        let (mine, theirs) = (self.said()?, other.said()?);
        if mine.system != theirs.system {
            let why = format!("{} is {} here and {} there", SYSTEM, mine.system, theirs.system);
            return Ok(so(false, why));
        }
        if let Some((a, b)) = differ(mine.history, theirs.history) {
            let why = format!(
                "they went apart: timeline {} ended at {} in {} and at {} in {}",
                a.timeline, a.lsn, self.site, b.lsn, other.site
            );
            return Ok(so(false, why));
        }
        for (one, two, place) in [(&mine, &theirs, &self.site), (&theirs, &mine, &other.site)] {
            if let Some(why) = one.beyond(two, place) {
                return Ok(so(false, why));
            }
        }
        let on =
            format!("{SYSTEM} {}, timelines {} and {}, no end differs", mine.system, mine.timeline, theirs.timeline);
        Ok(so(true, on))
    }

    fn said(&self) -> Result<Position<'_>, Gap> {
        let missing = |what: &str| {
            let why = self.silent().find_map(|n| n.detail.clone()).map_or_else(String::new, |d| format!(" ({d})"));
            Gap::new(Reason::Absent, &format!("{} does not say its {what}{why}", self.site))
        };
        let system = self.system().ok_or_else(|| missing(SYSTEM))?;
        let furthest = self
            .told
            .nodes
            .iter()
            .filter(|n| n.timeline.is_some())
            .max_by_key(|n| (n.timeline, n.location.max(n.holds())));
        let furthest = furthest.ok_or_else(|| missing("timeline"))?;
        let timeline = furthest.timeline.ok_or_else(|| missing("timeline"))?;
        let history = self.told.history.as_ref().map_err(Gap::clone)?;
        // A leader that takes writes records where the timeline before its own ended (`ha.py`, `update_cluster_history`), and
        // a member answers from what it last read: without that entry two histories look alike that are not.
        let before = timeline - 1;
        if before > 0 && self.told.writers().next().is_some() && history.iter().all(|s| s.timeline != before) {
            return Err(missing(&format!("history: the end of timeline {before} is not in it yet")));
        }
        Ok(Position { system, timeline, at: furthest.location.max(furthest.holds()), history })
    }
}

/// Where a site is on its history.
struct Position<'a> {
    system: &'a SafeText,
    timeline: i64,
    at: Option<Lsn>,
    history: &'a [Switch],
}

impl Position<'_> {
    /// Why this one cannot be on the other's history: it is on a timeline that the other left before it got so far.
    fn beyond(&self, other: &Self, place: &SiteId) -> Option<String> {
        let ended = other.history.iter().find(|s| s.timeline == self.timeline)?;
        let at = self.at.filter(|at| self.timeline < other.timeline && *at > ended.lsn)?;
        Some(format!(
            "{place} is on timeline {} at {at}, and the other site left that timeline at {}",
            self.timeline, ended.lsn
        ))
    }
}
