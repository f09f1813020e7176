//! Making, checking and migrating the file.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::clock;
use crate::plan::SafeText;

use super::{FILE, Limits, StoreError};

/// How long one process waits for another's transaction: those are short.
const BUSY: Duration = Duration::from_secs(2);

/// Says in the file's header whose it is: "LFBT".
const APPLICATION: i64 = 0x4c46_4254;

/// One script per version of the schema; a file of version n gets those from n on.
const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql")];

/// Makes directory and file where they are missing, and returns a connection to write with, and what to tell the user.
pub(super) fn prepare(dir: &Path, limits: &Limits) -> Result<(PathBuf, Connection, Vec<SafeText>), StoreError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| StoreError::Directory { path, source }
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
    let path = dir.join(FILE);
    // SQLite would make it readable for everyone; its other files take their mode from this one.
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0))
        .open(&path)
        .map_err(failed(&path))?;
    let network = network(dir);
    let mut conn = connect(&path, false).map_err(|e| StoreError::of(&path, e))?;
    migrate(&mut conn, &path, MIGRATIONS)?;
    let journal = if network.is_some() { "delete" } else { "wal" };
    set_journal(&conn, journal).map_err(|e| StoreError::of(&path, e))?;
    conn.pragma_update(None, "max_page_count", limits.pages).map_err(|e| StoreError::of(&path, e))?;
    let notes = network
        .map(|name| {
            SafeText::new(&format!(
                "{} is on a network file system ({name}): history works, more slowly; keep it local if you can",
                dir.display()
            ))
        })
        .into_iter()
        .collect();
    Ok((path, conn, notes))
}

/// A second connection, to read with while the other writes.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    connect(path, true).map_err(|e| StoreError::of(path, e))
}

fn connect(path: &Path, read_only: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "synchronous", "normal")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "query_only", read_only)?;
    Ok(conn)
}

/// Switches the journal's mode, which is kept in the file. Another process that opens the file at the same moment holds
/// a lock for which SQLite does not wait here, so this asks again, for as long as any other lock is waited for.
fn set_journal(conn: &Connection, mode: &str) -> rusqlite::Result<()> {
    let start = clock::now();
    loop {
        let done = conn.pragma_update_and_check(None, "journal_mode", mode, |r| r.get::<_, String>(0));
        let busy = |e: &rusqlite::Error| e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy);
        match done {
            // A file system that cannot share memory keeps the mode that it has; that is slower, and sound.
            Ok(_) => return Ok(()),
            Err(e) if busy(&e) && clock::now().since(start) < BUSY => {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            Err(e) => return Err(e),
        }
    }
}

/// Brings the schema up to date, in one transaction that starts with the lock: of two processes one migrates, and the
/// other finds it done.
fn migrate(conn: &mut Connection, path: &Path, scripts: &[&str]) -> Result<(), StoreError> {
    let known = i64::try_from(scripts.len()).unwrap_or(i64::MAX);
    let fail = |e| StoreError::of(path, e);
    let versions = |conn: &Connection| -> rusqlite::Result<(i64, i64, i64)> {
        let pragma = |name| conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
        let tables = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, tables))
    };
    let judge = |(application, version, tables): (i64, i64, i64)| {
        let ours = application == APPLICATION || (application == 0 && version == 0 && tables == 0);
        if !ours {
            return Err(StoreError::Damaged { path: path.to_path_buf(), why: "it belongs to another program".into() });
        }
        if version > known {
            return Err(StoreError::Newer { path: path.to_path_buf(), found: version, known });
        }
        Ok(version)
    };
    // These are three looks, between which another process may migrate: only the usual answer is taken from them.
    let (application, version, _) = versions(conn).map_err(fail)?;
    if application == APPLICATION && version == known {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    let version = judge(versions(&tx).map_err(fail)?)?;
    for script in scripts.iter().skip(usize::try_from(version).unwrap_or(usize::MAX)) {
        tx.execute_batch(script).map_err(fail)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION).map_err(fail)?;
    tx.pragma_update(None, "user_version", known).map_err(fail)?;
    tx.commit().map_err(fail)
}

/// The name of the network file system that a directory is on (`statfs(2)`); `None` for local ones. WAL needs memory
/// shared between processes of one host, so there the history uses a rollback journal.
fn network(dir: &Path) -> Option<&'static str> {
    const KINDS: &[(u64, &str)] = &[
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x5346_414f, "AFS"),
        (0x00c3_6400, "Ceph"),
        (0x0bd0_0bd0, "Lustre"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "FUSE"),
        (0x7375_7245, "Coda"),
    ];
    let stat = rustix::fs::statfs(dir).ok()?;
    #[expect(clippy::cast_sign_loss, reason = "a magic number, not a quantity")]
    let kind = stat.f_type as u64 & 0xffff_ffff;
    KINDS.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        Connection::open(&path).unwrap();
        (dir, path)
    }

    #[test]
    fn an_older_schema_is_brought_up_to_date_and_keeps_its_rows() {
        let (_dir, path) = file();
        let one = "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (7);";
        let two = "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 1;";
        let mut conn = connect(&path, false).unwrap();
        migrate(&mut conn, &path, &[one]).unwrap();
        migrate(&mut conn, &path, &[one, two]).unwrap();
        migrate(&mut conn, &path, &[one, two]).unwrap();
        let sum: i64 = conn.query_row("SELECT x + y FROM a", [], |r| r.get(0)).unwrap();
        assert_eq!(sum, 8);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let (_dir, path) = file();
        let mut conn = connect(&path, false).unwrap();
        migrate(&mut conn, &path, &["CREATE TABLE a (x INTEGER) STRICT;"]).unwrap();
        let bad = ["", "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);"];
        assert!(migrate(&mut conn, &path, &bad).is_err());
        let (version, tables): (i64, i64) = conn
            .query_row("SELECT (SELECT user_version FROM pragma_user_version), count(*) FROM sqlite_schema", [], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })
            .unwrap();
        assert_eq!((version, tables), (1, 1));
    }

    #[test]
    fn a_newer_schema_and_another_program_are_refused_with_the_reason() {
        let (_dir, path) = file();
        let mut conn = connect(&path, false).unwrap();
        migrate(&mut conn, &path, &["", "", ""]).unwrap();
        let refused = migrate(&mut conn, &path, &[""]).unwrap_err().to_string();
        assert!(
            refused.ends_with("written by a newer lifeboat (schema 3, this one knows 1): use that one"),
            "{refused}"
        );
        let (_dir, path) = file();
        let mut conn = connect(&path, false).unwrap();
        conn.execute_batch("CREATE TABLE someone_else (x)").unwrap();
        let refused = migrate(&mut conn, &path, MIGRATIONS).unwrap_err().to_string();
        assert!(refused.contains("it belongs to another program"), "{refused}");
    }

    #[test]
    fn local_file_systems_are_not_network_ones() {
        assert_eq!(network(Path::new("/proc")), None);
        assert_eq!(network(Path::new("/does/not/exist")), None);
    }
}
