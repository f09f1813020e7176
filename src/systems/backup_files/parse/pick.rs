//! Which of the files that are there is the newest backup.

use std::cmp::Reverse;
use std::collections::HashMap;

use chrono::{DateTime, Duration, NaiveDateTime, TimeDelta, Utc};

use super::super::options::{BackupFiles, Kind, Zone};
use super::pattern::Stamp;

/// How far a file's time may be ahead of ours without being of the future: what clocks of two machines differ by.
pub const SKEW: TimeDelta = TimeDelta::minutes(2);
/// What names end with while a file is written or copied, by the tools that do that.
pub const UNFINISHED: [&str; 7] = [".partial", ".tmp", ".part", ".filepart", ".temp", ".inprogress", ".incomplete"];

/// Local time to UTC by this machine's rules; `None` where there was no such moment.
pub type ToUtc<'a> = &'a dyn Fn(NaiveDateTime) -> Option<DateTime<Utc>>;

/// A file or a directory whose name is one of a backup's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// What it is in its chain.
    pub kind: Kind,
    /// The time that its name tells.
    pub stamp: Option<Stamp>,
    /// When it was last written, by the clock of whoever holds it.
    pub modified: DateTime<Utc>,
    /// Its size; of a directory, that of all files in it.
    pub size: u64,
    /// Whether it is a directory.
    pub directory: bool,
    /// What tells it from another of the same name: device and inode.
    pub identity: (u64, u64),
    /// Whether something beside it says that it is being written.
    pub unfinished: bool,
}

/// What told the start of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Its name.
    Name,
    /// The day in its name, and its time of writing within that day.
    Day,
    /// Its time of writing: the end of the backup, not the start.
    Mtime,
}

impl By {
    /// The word for it in readings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Day => "day",
            Self::Mtime => "mtime",
        }
    }
}

/// A backup with its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// What was found.
    pub found: Found,
    /// When it was begun, as well as that is known.
    pub at: DateTime<Utc>,
    /// What told that.
    pub by: By,
}

/// What was picked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picked {
    /// The newest that is whole as far as names tell, and can be restored with what is there.
    pub newest: Option<Dated>,
    /// The one that it needs: itself where it stands alone.
    pub base: Option<Dated>,
    /// The one of its kind before `base`.
    pub previous: Option<Dated>,
    /// How many stand alone and are not being written.
    pub kept: usize,
    /// When the oldest of those was begun.
    pub oldest: Option<DateTime<Utc>>,
    /// The newest that is being written.
    pub writing: Option<String>,
    /// One that is dated in the future.
    pub future: Option<String>,
    /// One whose name tells a later time than its last write.
    pub late: Option<String>,
    /// Those that build on a full backup that is not there, newest first.
    pub orphans: Vec<String>,
}

/// Picks. `sizes` are those of the look before, `now` is the wall clock.
#[must_use]
pub fn pick(
    options: &BackupFiles,
    found: Vec<Found>,
    sizes: &HashMap<String, u64>,
    to_utc: ToUtc<'_>,
    now: DateTime<Utc>,
) -> Picked {
    let mut out = Picked::default();
    let mut all: Vec<Dated> = Vec::with_capacity(found.len());
    for found in found {
        let (at, by) = date(options, &found, to_utc, &mut out);
        all.push(Dated { found, at, by });
    }
    all.sort_by_cached_key(|d| (Reverse(d.at), Reverse(d.found.modified), Reverse(d.found.name.clone())));
    let settle = Duration::from_std(options.settle.0).unwrap_or(Duration::MAX);
    let mut done: Vec<Dated> = Vec::with_capacity(all.len());
    for dated in all {
        let f = &dated.found;
        if dated.at > now + SKEW || f.modified > now + SKEW {
            out.future = out.future.or(Some(dated.found.name));
        } else if f.unfinished || now - f.modified < settle || sizes.get(&f.name).is_some_and(|s| *s < f.size) {
            out.writing = out.writing.or(Some(dated.found.name));
        } else {
            done.push(dated);
        }
    }
    let alone: Vec<&Dated> = done.iter().filter(|d| d.found.kind.stands_alone()).collect();
    out.kept = alone.len();
    out.oldest = alone.last().map(|d| d.at);
    // What a part builds on was begun before it. Both are sorted, the newest first.
    let base_of = |part: &Dated| alone.get(alone.partition_point(|full| full.at > part.at)).copied();
    for part in &done {
        let itself = part.found.kind.stands_alone();
        match if itself { Some(part) } else { base_of(part) } {
            Some(base) if out.newest.is_none() => {
                out.newest = Some(part.clone());
                out.base = Some(base.clone());
                out.previous = alone.iter().skip_while(|d| d.found.name != base.found.name).nth(1).copied().cloned();
            }
            Some(_) => {}
            None => out.orphans.push(part.found.name.clone()),
        }
    }
    out
}

/// When a backup was begun. What is unsure makes it older, never younger, but for a day: then it is taken to have been begun
/// when it was written, or at that day's end.
fn date(options: &BackupFiles, found: &Found, to_utc: ToUtc<'_>, out: &mut Picked) -> (DateTime<Utc>, By) {
    let utc = |clock: NaiveDateTime, offset: Option<i32>| match (offset, options.zone) {
        (Some(offset), _) | (None, Zone::Offset(offset)) => {
            clock.checked_sub_signed(TimeDelta::seconds(i64::from(offset))).map(|t| t.and_utc())
        }
        (None, Zone::Local) => to_utc(clock),
    };
    let Some(stamp) = found.stamp else { return (found.modified, By::Mtime) };
    let Some(start) = utc(stamp.clock, stamp.offset) else { return (found.modified, By::Mtime) };
    if start > found.modified + SKEW {
        out.late.get_or_insert_with(|| found.name.clone());
        return (found.modified, By::Mtime);
    }
    if stamp.exact {
        return (start, By::Name);
    }
    let end = stamp.clock.checked_add_signed(TimeDelta::days(1)).and_then(|c| utc(c, stamp.offset)).unwrap_or(start);
    (found.modified.min(end), By::Day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::plan::{Area, Objectives, PlanId, ProbeId, SiteId, Span};
    use crate::systems::ReadContext;
    use crate::systems::backup_files::read;

    fn options(more: serde_json::Value) -> BackupFiles {
        let mut options = json!({ "site": "west", "location": "/b", "max_age": "26h" });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "nightly");
        let (interval, timeout) = (Span::secs(5).0, Span::secs(3).0);
        let ctx = ReadContext {
            id: &id,
            strategy: crate::plan::Strategy::WarmStandby,
            sites: &sites,
            home: &sites[0],
            objectives: &objectives,
            area: Area::Backup,
            interval,
            timeout,
        };
        read::read(&ctx, options).unwrap().options.as_any().downcast_ref::<BackupFiles>().unwrap().clone()
    }

    fn now() -> DateTime<Utc> {
        "2026-11-21T06:00:00Z".parse().unwrap()
    }

    fn found(options: &BackupFiles, name: &str, minutes: i64, size: u64) -> Found {
        let (kind, stamp) = options.names.iter().find_map(|(k, p)| p.read(name).map(|s| (*k, s))).unwrap();
        let modified = now() - TimeDelta::minutes(minutes);
        let name = name.to_owned();
        Found { name, kind, stamp, modified, size, directory: false, identity: (0, 0), unfinished: false }
    }

    #[test]
    fn what_grew_since_the_last_look_is_being_written() {
        let o = options(json!({ "pattern": "a*" }));
        let sizes = HashMap::from([("a2".to_owned(), 5)]);
        let all = |size| vec![found(&o, "a1", 60, 9), found(&o, "a2", 30, size)];
        let of = |size| pick(&o, all(size), &sizes, &|_| None, now());
        assert_eq!(of(6).newest.unwrap().found.name, "a1");
        assert_eq!(of(6).writing.as_deref(), Some("a2"));
        assert_eq!(of(5).newest.unwrap().found.name, "a2");
    }

    #[test]
    fn the_zone_of_names_is_minded() {
        let at = |zone: &str, name: &str| {
            let o = options(json!({ "pattern": "a{%Y%m%d%H}", "zone": zone }));
            let one = vec![found(&o, name, 60, 9)];
            let local = |clock: NaiveDateTime| Some((clock - TimeDelta::hours(5)).and_utc());
            let picked = pick(&o, one, &HashMap::new(), &local, now()).newest.unwrap();
            format!("{} {}", picked.at.format("%d %H:%M"), picked.by.name())
        };
        assert_eq!(at("utc", "a2026112104"), "21 04:00 name");
        assert_eq!(at("+02:00", "a2026112106"), "21 04:00 name");
        assert_eq!(at("local", "a2026112104"), "20 23:00 name");
        assert_eq!(at("utc", "a2026112106"), "21 05:00 mtime", "a name cannot be later than the last write");
    }

    #[test]
    fn the_base_of_a_chain_is_the_last_full_one_before() {
        let o = options(json!({ "chain": { "full": "f*", "differential": "d*", "incremental": "i*" } }));
        let of = |all: &[(&str, i64)]| {
            let all = all.iter().map(|(name, minutes)| found(&o, name, *minutes, 1)).collect();
            let picked = pick(&o, all, &HashMap::new(), &|_| None, now());
            let name = |d: Option<Dated>| d.map_or_else(|| "-".to_owned(), |d| d.found.name);
            format!("{} {} {} {:?}", name(picked.newest), name(picked.base), name(picked.previous), picked.orphans)
        };
        assert_eq!(of(&[("f1", 90), ("i1", 80), ("f2", 70), ("d2", 60), ("i2", 50)]), "i2 f2 f1 []");
        assert_eq!(of(&[("i0", 99), ("f1", 90)]), "f1 f1 - [\"i0\"]");
        assert_eq!(of(&[("i0", 99), ("d0", 90)]), "- - - [\"d0\", \"i0\"]");
        assert_eq!(of(&[]), "- - - []");
    }

    proptest! {
        /// Whatever is there: what is picked is whole, not of the future, and nothing that is whole is newer.
        #[test]
        fn the_newest_is_the_newest(ages in prop::collection::vec((-20_i64..200, 0_u64..3), 0..30)) {
            let o = options(json!({ "pattern": "a*" }));
            let all: Vec<Found> =
                ages.iter().enumerate().map(|(i, (age, size))| found(&o, &format!("a{i}"), *age, *size)).collect();
            let picked = pick(&o, all.clone(), &HashMap::new(), &|_| None, now());
            let whole = all.iter().filter(|f| now() - f.modified >= TimeDelta::minutes(1));
            prop_assert_eq!(picked.newest.map(|d| d.at), whole.clone().map(|f| f.modified).max());
            prop_assert_eq!(picked.kept, whole.count());
            prop_assert_eq!(picked.future.is_some(), ages.iter().any(|(age, _)| *age < -2));
        }
    }
}
