//! One answer of the REST API each.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use url::Url;

use crate::plan::{Bytes, Lsn, SafeText, Span};
use crate::readiness::Gap;

use super::json::{Object, senseless, tagged, time};
use super::{Listed, Node, Overview, Settings, Switch};

/// Most members and switches of one answer that are kept.
const MOST: usize = 256;

impl Node {
    /// `GET /patroni`. `date` is the answer's `Date` header: the member's own clock, which `dcs_last_seen` is held against,
    /// so that a difference between that clock and ours is no age.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn of(member: &str, body: &Value, date: Option<DateTime<Utc>>) -> Result<Self, Gap> {
        let top = Object::of(body, "/patroni")?;
        let mut node = Self::blank(SafeText::new(member));
        node.state = Some(top.word("state")?);
        let role = top.word("role")?;
        node.role = Some(if role.as_str() == "master" { "primary".into() } else { role });
        if let Some(patroni) = top.object("patroni")? {
            node.name = patroni.text("name")?;
            node.scope = patroni.text("scope")?;
            node.version = patroni.text("version")?;
        }
        if let Some(xlog) = top.object("xlog")? {
            node.location = xlog.position("location")?;
            node.received = xlog.position("received_location")?;
            node.replayed = xlog.position("replayed_location")?;
            node.replayed_at = xlog.time("replayed_timestamp")?;
            node.replay_paused = xlog.flag("paused")?;
            if node.location.is_some() && node.holds().is_some() {
                return Err(senseless("/patroni", "the positions of a primary and of a standby at once"));
            }
        }
        // Zero is what a member says that has not found out yet.
        node.timeline = top.int("timeline")?.filter(|t| *t > 0);
        node.replication_state = top.text("replication_state")?;
        node.senders = senders(top)?;
        node.unlocked = top.flag("cluster_unlocked")?;
        node.failsafe = top.flag("failsafe_mode_is_active")?;
        node.watchdog_failed = top.flag("watchdog_failed")?;
        node.pending_restart = top.flag("pending_restart")?;
        node.nofailover = may_not_lead(top)?;
        node.dcs_age = top.int("dcs_last_seen")?.zip(date).map(|(seen, date)| {
            let age = date.timestamp().saturating_sub(seen);
            Span(Duration::from_secs(u64::try_from(age).unwrap_or(0)))
        });
        node.system_id = top.text("database_system_identifier")?;
        node.started = top.text("postmaster_start_time")?;
        let started = node.started.as_ref().and_then(|t| time(t.as_str()));
        node.up_for = started.zip(date).and_then(|(s, d)| d.signed_duration_since(s).to_std().ok()).map(Span);
        Ok(node)
    }
}

/// The names of those that stream from a member.
fn senders(top: Object<'_>) -> Result<SafeText, Gap> {
    let mut names = Vec::new();
    for row in top.array("replication")?.into_iter().flatten().take(MOST) {
        let row = Object::of(row, "/patroni, replication")?;
        if row.text("state")?.is_some_and(|s| s.as_str() == "streaming") {
            names.extend(row.text("application_name")?);
        }
    }
    Ok(names.iter().map(SafeText::as_str).collect::<Vec<_>>().join(",").into())
}

/// Whether a member's tags keep it from becoming leader.
fn may_not_lead(of: Object<'_>) -> Result<bool, Gap> {
    let tags = of.object("tags")?;
    let priority = tags.and_then(|t| t.get("failover_priority")).and_then(Value::as_f64);
    Ok(tagged(tags, "nofailover") || priority.is_some_and(|p| p <= 0.0))
}

/// `GET /cluster`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// The members.
    pub members: Vec<Listed>,
    /// What is said beside them.
    pub overview: Overview,
}

impl Cluster {
    /// Reads it. `via` is the member that answered.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn of(via: &str, body: &Value) -> Result<Self, Gap> {
        let top = Object::of(body, "/cluster")?;
        let members = top.array("members")?.ok_or_else(|| senseless("/cluster", "no members"))?;
        if members.len() > MOST {
            return Err(senseless("/cluster", "more members than any cluster has"));
        }
        let members = members.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
        if members.iter().filter(|m| m.leads()).count() > 1 {
            return Err(senseless("/cluster", "more than one leader"));
        }
        let scheduled = top.object("scheduled_switchover")?;
        let of = |name| scheduled.map(|s| s.text(name)).transpose().map(Option::flatten);
        let overview = Overview {
            via: via.into(),
            paused: top.flag("pause")?,
            scheduled_at: of("at")?,
            scheduled_from: of("from")?,
            scheduled_to: of("to")?,
        };
        Ok(Self { members, overview })
    }

    /// The member that holds the leader lock.
    #[must_use]
    pub fn leader(&self) -> Option<&Listed> {
        self.members.iter().find(|m| m.leads())
    }
}

impl Listed {
    /// Whether it holds the leader lock.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(self.role.as_str(), "leader" | "standby_leader")
    }
}

fn listed(value: &Value) -> Result<Listed, Gap> {
    let member = Object::of(value, "/cluster, member")?;
    // 4.x gives the lag of what was received beside the lag of what was replayed; 3.x gives one.
    let lag = match member.get("receive_lag") {
        Some(_) => member.lag("receive_lag")?,
        None => member.lag("lag")?,
    };
    let api = member.text("api_url")?.and_then(|u| {
        let url = Url::parse(u.as_str()).ok()?;
        Some(SafeText::new(&format!("{}:{}", url.host_str()?, url.port_or_known_default()?)))
    });
    Ok(Listed {
        name: member.word("name")?,
        role: member.word("role")?,
        state: member.text("state")?.unwrap_or_default(),
        api,
        timeline: member.int("timeline")?.filter(|t| *t > 0),
        lag: lag.map(Bytes),
        pending_restart: member.flag("pending_restart")?,
        nofailover: may_not_lead(member)?,
    })
}

/// `GET /history`. Entries have three to five fields; only what is needed of them is held to its type.
///
/// # Errors
/// `Malformed`.
pub fn history(body: &Value) -> Result<Vec<Switch>, Gap> {
    let wrong = |why: &str| senseless("/history", why);
    let entries = body.as_array().ok_or_else(|| wrong("no list"))?;
    let switch = |entry: &Value| {
        let fields = entry.as_array().ok_or_else(|| wrong("an entry that is no list"))?;
        let timeline = fields.first().and_then(Value::as_i64).filter(|t| *t > 0);
        Ok(Switch {
            timeline: timeline.ok_or_else(|| wrong("an entry without a timeline"))?,
            lsn: fields.get(1).and_then(Value::as_u64).map(Lsn).ok_or_else(|| wrong("an entry without a position"))?,
            leader: fields.get(4).and_then(Value::as_str).map(SafeText::new),
        })
    };
    let newest = entries.len().saturating_sub(MOST);
    entries.iter().skip(newest).map(switch).collect()
}

/// The first timeline whose end both histories have, where they differ: both ends of it. Timelines are numbers that two
/// clusters may give to different histories: where each one ended is compared, not its number alone.
#[must_use]
pub fn differ<'a>(mine: &'a [Switch], theirs: &'a [Switch]) -> Option<(&'a Switch, &'a Switch)> {
    mine.iter().find_map(|m| theirs.iter().find(|t| t.timeline == m.timeline && t.lsn != m.lsn).map(|t| (m, t)))
}

impl Settings {
    /// `GET /config`; Patroni's defaults where nothing is set. What may hold a secret is only said to be there.
    ///
    /// # Errors
    /// `Malformed`, with the setting's name and nothing of what it holds.
    pub fn of(body: &Value) -> Result<Self, Gap> {
        let top = Object::of(body, "/config")?;
        let span = |name, default| top.seconds(name).map(|s| s.map_or(Span::secs(default), Span));
        let standby = top.object("standby_cluster")?;
        let port = |s: Object<'_>| match s.get("port") {
            None => Ok(None),
            Some(Value::Number(n)) => Ok(Some(SafeText::new(&n.to_string()))),
            Some(Value::String(t)) => Ok(Some(SafeText::new(t))),
            Some(Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_)) => {
                Err(senseless("/config", "standby_cluster.port is no port"))
            }
        };
        let text = |name| standby.map(|s| s.text(name)).transpose().map(Option::flatten);
        let upstream_port = standby.map(port).transpose()?.flatten();
        let upstream_host = text("host")?;
        let restores = standby.is_some_and(|s| s.get("restore_command").is_some());
        let synchronous_mode = match top.get("synchronous_mode") {
            None | Some(Value::Bool(false)) => "off",
            Some(Value::Bool(true)) => "on",
            Some(Value::String(s)) => match s.to_ascii_lowercase().as_str() {
                "quorum" => "quorum",
                "on" | "true" | "yes" => "on",
                "off" | "false" | "no" => "off",
                _ => return Err(senseless("/config", "synchronous_mode is neither off, on nor quorum")),
            },
            Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                return Err(senseless("/config", "synchronous_mode is neither off, on nor quorum"));
            }
        };
        Ok(Self {
            ttl: span("ttl", 30)?,
            loop_wait: span("loop_wait", 10)?,
            retry_timeout: span("retry_timeout", 10)?,
            maximum_lag: top
                .int("maximum_lag_on_failover")?
                .map_or(Bytes(1 << 20), |b| Bytes(u64::try_from(b).unwrap_or(0))),
            synchronous_mode: synchronous_mode.into(),
            synchronous_strict: top.flag("synchronous_mode_strict")?,
            failsafe_mode: top.flag("failsafe_mode")?,
            // As Patroni itself decides it: an empty section is none.
            standby_cluster: upstream_host.is_some() || upstream_port.is_some() || restores,
            upstream_host,
            upstream_port,
            upstream_slot: text("primary_slot_name")?,
            restores,
        })
    }
}
