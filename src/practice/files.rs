//! The backup files of the world, in a directory: each series has one of its own. They are dumps in SQL, compressed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::shared::Shared;
use super::world::World;
use super::world::files::{Backup, Series};
use super::world::rng::Rng;

/// How many rows the first backup of a series has, and how many each later one has more.
const ROWS: u64 = 600;
const MORE: u64 = 12;
/// The time in names, in UTC.
const STAMP: &str = "%Y-%m-%dT%H%M";

/// What names look like, as `pattern` of a `backup-files` probe takes it.
#[must_use]
pub fn pattern(series: &str) -> String {
    format!("{series}_{{{STAMP}}}.dump")
}

/// A file to be there: its name, when it was written, and its content.
type Wanted = (String, DateTime<Utc>, Backup);

/// The directories of every series, and what is in them.
#[derive(Debug)]
pub struct Directories {
    shared: Shared,
    root: PathBuf,
    /// The name that each backup's file got.
    names: BTreeMap<(&'static str, u64), String>,
    /// Which backup each file holds.
    written: BTreeMap<PathBuf, u64>,
}

impl Directories {
    /// In this directory, with all that the world has now.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn open(shared: Shared, root: PathBuf) -> io::Result<Self> {
        let mut new = Self { shared, root, names: BTreeMap::new(), written: BTreeMap::new() };
        new.write().await?;
        Ok(new)
    }

    /// Keeps them as the world has them. Never ends.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn keep(mut self) -> io::Result<()> {
        loop {
            let seen = self.write().await?;
            self.shared.until(|w| Some(()).filter(|()| state(w) != seen)).await;
        }
    }

    /// Makes them as the world has them; gives what that was.
    async fn write(&mut self) -> io::Result<Vec<(&'static str, Vec<u64>)>> {
        let names = &mut self.names;
        let (seen, wanted) = self.shared.with(|w| {
            let w = &*w;
            let all: Vec<_> = w.files.series().iter().map(|s| (s.name, of(w, s, names))).collect();
            (state(w), all)
        });
        let (root, mut written) = (self.root.clone(), std::mem::take(&mut self.written));
        // A disk may be slow; the world is not held up by it.
        let task = tokio::task::spawn_blocking(move || {
            wanted.iter().try_for_each(|(name, all)| put(&root.join(name), name, all, &mut written))?;
            Ok::<_, io::Error>(written)
        });
        self.written = task.await.map_err(io::Error::other)??;
        Ok(seen)
    }
}

/// What is there, to see whether it changes.
fn state(world: &World) -> Vec<(&'static str, Vec<u64>)> {
    world.files.series().iter().map(|s| (s.name, s.backups().iter().map(|b| b.n).collect())).collect()
}

/// What a series has. A file keeps the name that it got, whatever the clock does.
fn of(world: &World, series: &Series, names: &mut BTreeMap<(&'static str, u64), String>) -> Vec<Wanted> {
    let one = |backup: &Backup| {
        let begun = world.clock().wall(backup.begun);
        let name = names.entry((series.name, backup.n));
        let name = name.or_insert_with(|| format!("{}_{}.dump", series.name, begun.format(STAMP))).clone();
        (name, begun, backup.clone())
    };
    series.backups().iter().map(one).collect()
}

/// Writes what is missing in a directory, and deletes what is there too much. Of two of the same minute, which have the same
/// name, the newer one is there. `written` is which backup each file holds.
fn put(dir: &Path, series: &str, wanted: &[Wanted], written: &mut BTreeMap<PathBuf, u64>) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for (at, (name, begun, backup)) in wanted.iter().enumerate() {
        let path = dir.join(name);
        let replaced = wanted.iter().skip(at + 1).any(|(other, ..)| other == name);
        if replaced || written.insert(path.clone(), backup.n) == Some(backup.n) {
            continue;
        }
        let bytes = content(series, backup);
        // Written aside and then named: nobody sees half of a file that is whole.
        let aside = dir.join(format!("{name}.partial"));
        fs::write(&aside, bytes)?;
        fs::File::options().write(true).open(&aside)?.set_modified(SystemTime::from(*begun))?;
        fs::rename(&aside, &path)?;
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !wanted.iter().any(|(name, ..)| entry.file_name().to_str() == Some(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A dump in SQL, as `pg_dump | gzip` leaves it; of one that is not whole the second half is missing.
fn content(series: &str, backup: &Backup) -> Vec<u8> {
    let mut rng = Rng::new(backup.n).fork(series);
    let mut sql = String::from("--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n\n");
    sql.push_str(
        "CREATE TABLE public.orders (id bigint, customer_id bigint, cents bigint, placed_at timestamptz);\n\n",
    );
    sql.push_str("COPY public.orders (id, customer_id, cents, placed_at) FROM stdin;\n");
    for id in 1..=ROWS.saturating_add(backup.n.saturating_mul(MORE)) {
        let (customer, cents, second) = (rng.within(1, 90_000), rng.within(100, 250_000), rng.within(0, 60));
        // Text takes what is written.
        let _ = writeln!(sql, "{id}\t{customer}\t{cents}\t2026-01-01 00:00:{second:02}+00");
    }
    sql.push_str("\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n");
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    // Memory takes what is written.
    let whole = writer.write_all(sql.as_bytes()).and_then(|()| writer.finish()).unwrap_or_default();
    let length = if backup.whole { whole.len() } else { whole.len() / 2 };
    whole.get(..length).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::practice::world::time::Moment;

    fn read(bytes: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn a_whole_one_is_read_to_its_end_and_one_that_was_cut_off_is_not() {
        let backup = |whole| Backup { n: 3, begun: Moment(0), whole };
        let whole = content("orders", &backup(true));
        assert!(read(&whole).unwrap().ends_with("-- PostgreSQL database dump complete\n--\n\n"));
        assert_eq!(whole, content("orders", &backup(true)));
        assert_ne!(whole, content("mail", &backup(true)));
        let cut = content("orders", &backup(false));
        assert!(read(&cut).is_err() && whole.starts_with(&cut));
    }

    #[test]
    fn a_directory_holds_what_the_world_has_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = |n: u64| {
            ("a_".to_owned() + &n.to_string(), DateTime::UNIX_EPOCH, Backup { n, begun: Moment(0), whole: true })
        };
        let mut written = BTreeMap::new();
        put(dir.path(), "orders", &[wanted(1), wanted(2)], &mut written).unwrap();
        put(dir.path(), "orders", &[wanted(2), wanted(3)], &mut written).unwrap();
        let mut names: Vec<String> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["a_2", "a_3"]);
        assert_eq!(fs::metadata(dir.path().join("a_3")).unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH);
        // Another one of the same minute takes the name.
        let mut other = wanted(3);
        (other.2.n, other.2.whole) = (4, false);
        put(dir.path(), "orders", &[wanted(3), other.clone()], &mut written).unwrap();
        assert_eq!(fs::read(dir.path().join("a_3")).unwrap(), content("orders", &other.2));
    }
}
