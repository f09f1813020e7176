//! Every member of a site answers, and its PostgreSQL runs.

use crate::plan::{Now, Plan, RuleId, Subject};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict};
use crate::systems::patroni::parse::{Listed, Node};

use super::view::{Site, list, sites};

const ID: RuleId = RuleId::new("patroni.members");

/// Avoids trap 2 (a dead member stays listed for a while: each is asked itself), trap 3 (an unknown lag) and trap 10 (a
/// replica that is `running` and does not stream). One member less costs redundancy, not the failover: `Degraded`. None
/// that could go on is `NotReady`, once two looks saw it.
pub struct Members;

impl Rule for Members {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now) else { return Vec::new() };
        let (nodes, at) = match site.nodes() {
            None => return Vec::new(),
            Some(Err(gap)) => return vec![site.senseless(ID, "/patroni", &gap)],
            Some(Ok(read)) => read,
        };
        if let Some(finding) = none_left(site, &nodes, at) {
            return vec![finding];
        }
        let before = site.nodes_before(at);
        let mut found: Vec<Finding> =
            nodes.iter().filter_map(|n| silent(site, &nodes, n, before.as_deref(), at)).collect();
        found.extend(nodes.iter().flat_map(|n| remarks(site, n, at)));
        found.extend(states(site, &nodes, at));
        if found.is_empty() {
            let count = nodes.len();
            let what = if count == 1 { "its member answers and runs" } else { "all its members answer and run" };
            let names: Vec<&str> = nodes.iter().map(Node::called).collect();
            found.push(site.finding(ID, Verdict::Ready, "members", &format!("{}: {what}", site.site)).because(
                &format!("{} members", site.site),
                &list(&names),
                at,
            ));
        }
        found
    }
}

/// Whether a member's PostgreSQL is proven not to run, or nobody is there to run it. One that starts, or that does not
/// answer Patroni (which may be one connection too many), is no proof.
fn is_down(node: &Node) -> bool {
    const DOWN: [&str; 6] =
        ["stopped", "crashed", "start failed", "restart failed", "initdb failed", "custom bootstrap failed"];
    match node.answered() {
        false => node.outcome.as_str() == "refused",
        true => silent_database(node) && node.state.as_ref().is_some_and(|s| DOWN.contains(&s.as_str())),
    }
}

/// Whether a member answers and its PostgreSQL does not.
fn silent_database(node: &Node) -> bool {
    node.answered() && !node.writes() && node.holds().is_none()
}

/// No member could go on with the database.
fn none_left(site: Site<'_>, nodes: &[Node], at: Now) -> Option<Finding> {
    if nodes.is_empty() || !nodes.iter().all(is_down) {
        return None;
    }
    let twice = site.nodes_before(at).is_some_and(|b| !b.is_empty() && b.iter().all(is_down));
    let refused = nodes.iter().all(|n| !n.answered());
    let why = match (refused, twice) {
        (true, true) => format!("no Patroni runs in {}: every member refuses the connection", site.site),
        (false, true) => format!("no member in {} has a PostgreSQL that runs", site.site),
        (true, false) => format!("every member in {} refused the connection at this look; asking again", site.site),
        (false, false) => format!("no PostgreSQL ran in {} at this look; asking again", site.site),
    };
    let verdict = if twice { Verdict::NotReady } else { Verdict::Unknown };
    let each = |f: Finding, n: &Node| {
        let said = n.detail.as_ref().or(n.state.as_ref()).map_or("no answer", |s| s.as_str());
        f.because(&format!("{} {}", site.site, n.called()), &said, at)
    };
    let finding = nodes.iter().fold(site.finding(ID, verdict, "all-down", &why), each);
    let finding = finding.next("start Patroni on its members; patronictl list there shows what it waits for");
    Some(if twice { finding.bearing(Bearing::Blocks(why.as_str().into())) } else { finding })
}

/// A member that does not answer, while another does.
fn silent(site: Site<'_>, nodes: &[Node], node: &Node, before: Option<&[Node]>, at: Now) -> Option<Finding> {
    if node.answered() || nodes.iter().all(|n| !n.answered()) {
        return None;
    }
    // What answered at the look before is one lost packet from being well.
    if before.is_some_and(|b| b.iter().any(|n| n.member == node.member && n.answered())) {
        return None;
    }
    let detail = node.detail.as_ref().map_or("no answer", |d| d.as_str());
    let member = &node.member;
    let took_over =
        nodes.iter().find(|n| n.writes()).filter(|_| node.role.as_ref().is_some_and(|r| r.as_str() == "primary"));
    let (code, why, next) = match (took_over, node.outcome.as_str()) {
        (Some(new), _) => (
            "old-primary-silent",
            format!(
                "{} took over from {member}, which does not answer: its PostgreSQL may still take writes",
                new.called()
            ),
            "make sure that the old primary is stopped: look at its host, not only at its Patroni".to_owned(),
        ),
        (None, "refused") => (
            "member-down",
            format!("{member} in {} runs no Patroni: connection refused", site.site),
            format!("start Patroni on {member}; until then nobody there would take part in a failover"),
        ),
        (None, "timed-out" | "unreachable" | "reset") => (
            "member-silent",
            format!("{member} in {} does not answer: {detail}", site.site),
            format!("look at the host of {member}: it hangs, or it cannot be reached from here"),
        ),
        (None, _) => (
            "member-unreadable",
            format!("{member} in {} does not answer as Patroni does: {detail}", site.site),
            format!("check what answers at {member}, and the probe's TLS keys"),
        ),
    };
    Some(
        site.finding_of(ID, member.as_str(), Verdict::Degraded, code, &why)
            .because(&format!("{} {member} GET /patroni", site.site), &detail, at)
            .next(&next),
    )
}

/// What a member says that is worth a word while it runs.
fn remarks(site: Site<'_>, node: &Node, at: Now) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = node.called();
    let make = |code: &'static str, why: &str, field: &str| {
        site.finding_of(ID, name, Verdict::Degraded, code, why).because(
            &format!("{} {name} {field}", site.site),
            &"yes",
            at,
        )
    };
    if node.watchdog_failed {
        let why = format!("{name} in {} could not arm its watchdog: a hung primary would not be stopped", site.site);
        found.push(make("watchdog-failed", &why, "watchdog_failed").next("see Patroni's log there, and /dev/watchdog"));
    }
    if node.pending_restart {
        let why = format!("{name} in {} must be restarted for its settings to count", site.site);
        found
            .push(make("pending-restart", &why, "pending_restart").next(&format!("patronictl restart, member {name}")));
    }
    if node.replay_paused {
        let why = format!("{name} in {} receives log and does not replay it: replay is paused", site.site);
        found.push(
            make("replay-paused", &why, "xlog.paused").next("find out who paused it; Patroni resumes it by itself"),
        );
    }
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// As it should be.
    Good,
    /// On its way somewhere.
    Passing,
    /// It failed.
    Failed,
    /// No word of Patroni's.
    Strange,
}

/// What a member's state means; of `/cluster` and of `/patroni` alike.
fn kind(state: &str) -> State {
    match state {
        "running" | "streaming" | "in archive recovery" => State::Good,
        "starting"
        | "restarting"
        | "stopping"
        | "stopped"
        | "creating replica"
        | "initializing new cluster"
        | "running custom bootstrap script"
        | "starting after custom bootstrap"
        | "unknown" => State::Passing,
        "start failed" | "restart failed" | "stop failed" | "crashed" | "initdb failed" | "custom bootstrap failed" => {
            State::Failed
        }
        _ => State::Strange,
    }
}

/// The members whose PostgreSQL does not run, or does not follow: by what they say themselves, then by what the DCS says.
fn states(site: Site<'_>, nodes: &[Node], at: Now) -> Vec<Finding> {
    let mut found = of_nodes(site, nodes, at);
    let (members, then) = match site.cluster() {
        None => return found,
        Some(Err(gap)) => return vec![site.senseless(ID, "/cluster", &gap)],
        Some(Ok(read)) => read,
    };
    let said: Vec<_> = found.iter().map(|f| f.subject.clone()).collect();
    let before = site.cluster_before(then).unwrap_or_default();
    let says = nodes.iter().find(|n| n.answered()).is_some_and(Node::says_replication_state);
    for member in &members {
        if said.contains(&Subject::part_of(site.site.clone(), member.name.as_str())) {
            continue;
        }
        let old = before.iter().find(|m| m.name == member.name);
        let passed = |is: &dyn Fn(&Listed) -> bool| old.is_some_and(is);
        let state = kind(member.state.as_str());
        let name = member.name.as_str();
        let follows_nobody = says && member.state.as_str() == "running" && !member.leads();
        let (code, why) = match state {
            State::Good if follows_nobody && passed(&|m| m.state == member.state && !m.leads()) => {
                ("member-not-streaming", format!("{name} in {} runs, and follows nobody", site.site))
            }
            State::Good => continue,
            State::Failed => ("member-failed", format!("{name} in {}: {}", site.site, member.state)),
            State::Passing if passed(&|m| kind(m.state.as_str()) != State::Good) => {
                ("member-not-running", format!("{name} in {} is {}", site.site, member.state))
            }
            State::Passing => continue,
            State::Strange => {
                let why = format!("{name} in {} is in a state that lifeboat does not know", site.site);
                found.push(
                    site.finding_of(ID, name, Verdict::Unknown, "state-unknown", &why)
                        .because(&format!("{} {name} state", site.site), &member.state, then)
                        .next("patronictl list there says what it means"),
                );
                continue;
            }
        };
        found.push(
            site.finding_of(ID, name, Verdict::Degraded, code, &why)
                .because(&format!("{} {name} state", site.site), &member.state, then)
                .next(&format!("see the logs of Patroni and PostgreSQL on {name}")),
        );
    }
    found
}

/// By what the members say themselves.
fn of_nodes(site: Site<'_>, nodes: &[Node], at: Now) -> Vec<Finding> {
    let before = site.nodes_before(at).unwrap_or_default();
    let mut found = Vec::new();
    for node in nodes.iter().filter(|n| n.answered()) {
        let state = node.state.as_ref().map_or("", |s| s.as_str());
        let lasting = before.iter().any(|n| n.member == node.member && silent_database(n));
        let (verdict, code) = match kind(state) {
            State::Strange => (Verdict::Unknown, "state-unknown"),
            State::Failed => (Verdict::Degraded, "member-failed"),
            // What is about to pass shows at two looks.
            State::Good | State::Passing if silent_database(node) && lasting => {
                (Verdict::Degraded, "member-not-running")
            }
            State::Good | State::Passing => continue,
        };
        let name = node.called();
        let why = if matches!(state, "unknown" | "running") {
            format!("PostgreSQL of {name} in {} does not answer its Patroni", site.site)
        } else {
            format!("{name} in {} is {state}", site.site)
        };
        found.push(
            site.finding_of(ID, name, verdict, code, &why)
                .because(&format!("{} {name} state", site.site), &state, at)
                .next(&format!("see the logs of Patroni and PostgreSQL on {name}")),
        );
    }
    found
}
