//! What may happen to the world, and what did.

use std::fmt;
use std::time::Duration;

use super::network::Site;
use super::time::Moment;
use crate::plan::{Bytes, Lsn, Span};

/// What a scenario's script, or a person who trains, lets happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nobody reaches a site any more; what runs in it runs on.
    SiteCut(Site),
    /// A site is reached again.
    SiteHealed(Site),
    /// A site loses its power: every process in it ends, and nobody reaches it.
    SiteLost(Site),
    /// Power and network are back, and every process starts again.
    SiteReturns(Site),
    /// The sites reach each other no more; both are reached from here.
    Parted,
    /// They reach each other again.
    Joined,
    /// A server stops.
    Stops(&'static str),
    /// A server starts.
    Starts(&'static str),
    /// A server takes connections and says nothing.
    Freezes(&'static str),
    /// It goes on where it stopped.
    Thaws(&'static str),
    /// A standby's receiver dies, with what was received replayed: nothing shows a lag.
    ReceiverDies(&'static str),
    /// It is started again.
    ReceiverReturns(&'static str),
    /// A standby receives so many bytes a second at most.
    LinkSlows(&'static str, u64),
    /// As much as comes.
    LinkRecovers(&'static str),
    /// Replay pauses at a standby.
    ReplayPauses(&'static str),
    /// It goes on.
    ReplayResumes(&'static str),
    /// A cluster's application spoils its own rows, and that is replicated faithfully.
    DataSpoils(&'static str),
    /// A cluster's primary writes so many bytes a second.
    Writes(&'static str, u64),
    /// A cluster's archiving fails, or works again.
    ArchivingFails(&'static str, bool),
    /// The applications of a cluster run in a site now, as they do once traffic goes there.
    ApplicationsMove(&'static str, Site),
    /// A server that is no PostgreSQL takes so much longer to answer.
    Slows(&'static str, Duration),
    /// An application says that it is not well, or that it is.
    Fails(&'static str, bool),
    /// The backups of a series are cut off, from the one on that is taken now; or they are whole again.
    BackupsTruncate(&'static str, bool),
    /// A pipeline pushes a build under a tag: repository, tag. It is copied to west.
    ImagePushed(&'static str, &'static str),
    /// Images are not copied to west any more, or they are.
    CopyingStalls(bool),
    /// A tag is deleted in a site: repository, tag.
    ImageDeleted(Site, &'static str, &'static str),
    /// A service's record gets another time to live, in seconds.
    TtlSet(&'static str, u32),
    /// Somebody points a service's record to a site by hand.
    Pointed(&'static str, Site),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SiteCut(site) => write!(f, "nobody reaches {site} any more"),
            Self::SiteHealed(site) => write!(f, "{site} is reached again"),
            Self::SiteLost(site) => write!(f, "{site} is lost"),
            Self::SiteReturns(site) => write!(f, "{site} is back"),
            Self::Parted => write!(f, "the sites reach each other no more"),
            Self::Joined => write!(f, "the sites reach each other again"),
            Self::Stops(name) => write!(f, "{name} stops"),
            Self::Starts(name) => write!(f, "{name} starts"),
            Self::Freezes(name) => write!(f, "{name} hangs"),
            Self::Thaws(name) => write!(f, "{name} goes on"),
            Self::ReceiverDies(name) => write!(f, "the receiver of {name} dies"),
            Self::ReceiverReturns(name) => write!(f, "the receiver of {name} is back"),
            Self::LinkSlows(name, rate) => write!(f, "{name} receives {} a second at most", Bytes(*rate)),
            Self::LinkRecovers(name) => write!(f, "{name} receives as much as comes"),
            Self::ReplayPauses(name) => write!(f, "replay pauses at {name}"),
            Self::ReplayResumes(name) => write!(f, "replay goes on at {name}"),
            Self::DataSpoils(name) => write!(f, "the applications of {name} spoil their own rows"),
            Self::Writes(name, rate) => write!(f, "{name} writes {} a second", Bytes(*rate)),
            Self::ArchivingFails(name, true) => write!(f, "archiving fails in {name}"),
            Self::ArchivingFails(name, false) => write!(f, "archiving works in {name}"),
            Self::ApplicationsMove(name, site) => write!(f, "the applications of {name} run in {site}"),
            Self::Slows(name, by) => write!(f, "{name} answers {} later", Span(*by)),
            Self::Fails(name, true) => write!(f, "{name} says that it is not well"),
            Self::Fails(name, false) => write!(f, "{name} is well"),
            Self::BackupsTruncate(name, true) => write!(f, "backups of {name} are cut off, and nobody says so"),
            Self::BackupsTruncate(name, false) => write!(f, "backups of {name} are whole"),
            Self::ImagePushed(name, tag) => write!(f, "{name}:{tag} was pushed"),
            Self::CopyingStalls(true) => write!(f, "images are not copied to west any more"),
            Self::CopyingStalls(false) => write!(f, "images are copied to west"),
            Self::ImageDeleted(site, name, tag) => write!(f, "{name}:{tag} was deleted in {site}"),
            Self::TtlSet(name, ttl) => write!(f, "the record of {name} may be kept for {ttl} s"),
            Self::Pointed(name, site) => write!(f, "the record of {name} points to {site}"),
        }
    }
}

/// What happened: by the script, or by somebody's own doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An event.
    Event(Event),
    /// A standby was promoted.
    Promoted {
        /// Which.
        server: &'static str,
        /// Its timeline from now on.
        timeline: u32,
        /// Where the new timeline begins.
        at: Lsn,
        /// What the old primary had flushed and this one never received.
        lost: Lost,
    },
    /// A role may log in, or may not: `ALTER ROLE` on this server.
    Login {
        /// Where.
        server: &'static str,
        /// Which role.
        role: String,
        /// Whether it may.
        may: bool,
    },
    /// `pg_hba.conf` was read again, with a fence in it or without.
    Reloaded(&'static str),
    /// Sessions of a role were ended.
    Ended(&'static str, String, u64),
    /// The applications of a cluster have their sessions at this server.
    Connected(&'static str, &'static str),
    /// The applications of a cluster lost them.
    Disconnected(&'static str, &'static str),
    /// A server follows another now, on that one's timeline.
    Rejoined(&'static str, &'static str),
    /// An update changed the zone, whose serial is this now.
    ZoneChanged(u32),
    /// The users of a service all go to a site now: every resolver leads there.
    Traffic(&'static str, Site),
    /// A Patroni cluster was told to change its configuration, or its leader: by which member, and what.
    Patroni(String, String),
}

/// What is lost for good, as nobody but the world can know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Write-ahead log.
    pub bytes: u64,
    /// Rows that were committed.
    pub rows: u64,
}

/// One line of the world's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Its number, from 0.
    pub n: usize,
    /// When, in model time since the world began.
    pub model: Duration,
    /// When, in real time.
    pub at: Moment,
    /// What.
    pub what: What,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Promoted { server, timeline, at, lost } => {
                write!(f, "{server} was promoted to timeline {timeline} at {at}; ")?;
                write!(f, "{} of the log and {} rows were lost", Bytes(lost.bytes), lost.rows)
            }
            Self::Login { server, role, may: true } => write!(f, "{role} may log in at {server}"),
            Self::Login { server, role, may: false } => write!(f, "{role} may not log in at {server}"),
            Self::Reloaded(server) => write!(f, "{server} read its configuration again"),
            Self::Ended(server, role, n) => write!(f, "{n} sessions of {role} were ended at {server}"),
            Self::Connected(cluster, server) => write!(f, "the applications of {cluster} are connected to {server}"),
            Self::Disconnected(cluster, server) => write!(f, "the applications of {cluster} lost {server}"),
            Self::Rejoined(server, upstream) => write!(f, "{server} follows {upstream}"),
            Self::ZoneChanged(serial) => write!(f, "the zone was changed, to serial {serial}"),
            Self::Traffic(service, site) => write!(f, "the users of {service} go to {site}"),
            Self::Patroni(member, asked) => write!(f, "{member} was asked: {asked}"),
        }
    }
}
