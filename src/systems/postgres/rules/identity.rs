//! The servers of a probe are two, and of one cluster.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::signals::{INSTANCE, SYSTEM_ID, WRITABLE};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict};
use crate::systems::postgres::options::Mode;

use super::view::{Role, Server, servers};

const ID: RuleId = RuleId::new("postgres.identity");

/// Avoids trap 8 (an old primary still answers as a primary, with the same system identifier: two writers are looked
/// for in every round), trap 10 (in recovery is not yet a standby of *this* primary) and trap 17 (one server behind both
/// addresses).
pub struct Identity;

impl Rule for Identity {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        Server::of(facts, about, now).and_then(judge).into_iter().collect()
    }
}

fn judge(server: Server<'_>) -> Option<Finding> {
    let site = server.site;
    let system = server.text(&SYSTEM_ID);
    let instance = server.text(&INSTANCE);
    for other in server.others() {
        if let (Some((mine, at)), Some((theirs, then))) = (instance, other.text(&INSTANCE))
            && mine == theirs
        {
            let (a, b) = if site < other.site { (site, other.site) } else { (other.site, site) };
            let why = format!("the addresses of {a} and {b} lead to one and the same server");
            return Some(
                server
                    .finding(ID, Verdict::NotReady, "same-server", &why)
                    .because(&format!("{site} instance"), &mine, at)
                    .because(&format!("{} instance", other.site), &theirs, then)
                    .next("give each site the address of its own server: no virtual address, proxy or multi-host URL")
                    .bearing(Bearing::Blocks(why.as_str().into())),
            );
        }
    }
    let (system, at) = system?;
    // A standby is measured against the primary; without a primary, against the others.
    let against: Vec<Server<'_>> = match (server.role(), server.primary()) {
        (Role::Standby, Some(primary)) => vec![primary],
        (Role::Primary, _) => server.others().filter(|o| o.role() == Role::Primary).collect(),
        (Role::Standby | Role::Unknown, _) => server.others().collect(),
    };
    for other in &against {
        if let Some((theirs, then)) = other.text(&SYSTEM_ID)
            && theirs != system
        {
            let (a, b) = if site < other.site { (site, other.site) } else { (other.site, site) };
            let why = format!("{a} and {b} are different clusters: nothing of one is in the other");
            return Some(
                server
                    .finding(ID, Verdict::NotReady, "other-cluster", &why)
                    .because(&format!("{site} system identifier"), &system, at)
                    .because(&format!("{} system identifier", other.site), &theirs, then)
                    .next(&if server.role() == Role::Standby {
                        format!("rebuild {site} from the primary: pg_basebackup -R")
                    } else {
                        "find out which of them is the service before either is touched; then rebuild the other"
                            .to_owned()
                    })
                    .bearing(Bearing::Blocks(why.as_str().into())),
            );
        }
    }
    if server.role() == Role::Primary {
        return second_writer(server);
    }
    let mut known = server.known_clusters().peekable();
    if known.peek().is_some() && !known.any(|k| k == system) {
        let why = format!("{site} is another cluster than the primary that was last seen");
        return Some(
            server
                .finding(ID, Verdict::NotReady, "other-cluster", &why)
                .because(&format!("{site} system identifier"), &system, at)
                .next(&format!("compare SELECT system_identifier FROM pg_control_system() in {site} and in a backup"))
                .bearing(Bearing::Consent(why.as_str().into())),
        );
    }
    None
}

/// A second server that takes writes. The situation says `split brain` where both were seen to do so at one time; until
/// then it may be a switchover of which one half was seen.
fn second_writer(server: Server<'_>) -> Option<Finding> {
    let site = server.site;
    let other = server.others().find(|o| o.role() == Role::Primary)?;
    let (_, seen) = server.bool(&WRITABLE)?;
    let (_, there) = other.bool(&WRITABLE)?;
    let since = server.held_since(&WRITABLE)?;
    let before = other.held_since(&WRITABLE)?;
    // Both were seen to write at one time: the situation says so, and waiting is no advice any more.
    if seen.boot >= before.boot && there.boot >= since.boot && other.text(&SYSTEM_ID).is_some() {
        return None;
    }
    let why = format!("{site} and {} both answered as primary", other.site);
    Some(
        server
            .finding(ID, Verdict::Unknown, "second-writer", &why)
            .because(&format!("{site} takes writes, first seen"), &"yes", since)
            .because(&format!("{} takes writes, first seen", other.site), &"yes", before)
            .next("wait for the next look; if both stay, stop one: every write on the losing side is found by hand"),
    )
}
