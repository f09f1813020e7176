//! Making, checking and migrating the file.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::clock;
use crate::plan::SafeText;

use super::{FILE, Limits, StoreError};

/// How long one process waits for another's transaction: those are short.
pub(super) const BUSY: Duration = Duration::from_secs(2);

/// Kibibytes of the file that a connection keeps in memory: it appends, and reads once.
const CACHE: i64 = 256;

/// What a file is: who it says that it belongs to, and how it came to its present form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Says in the file's header whose it is: four letters.
    pub(super) application: i64,
    /// One script per version of the schema; a file of version n gets those from n on.
    pub(super) scripts: &'static [&'static str],
}

/// The history: "LFBT".
const HISTORY: Form =
    Form { application: 0x4c46_4254, scripts: &[include_str!("schema_1.sql"), include_str!("schema_2.sql")] };

/// Makes directory and file where they are missing. Returns the file's path.
pub(super) fn file(dir: &Path, name: &str) -> Result<PathBuf, StoreError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| StoreError::Directory { path, source }
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
    let path = dir.join(name);
    create(dir, &path).map_err(failed(&path))?;
    Ok(path)
}

/// Makes directory and file where they are missing, and returns a connection to write with, and what to tell the user.
pub(super) fn prepare(dir: &Path, limits: &Limits) -> Result<(PathBuf, Connection, Vec<SafeText>), StoreError> {
    let path = file(dir, FILE)?;
    let network = network(dir);
    let mut conn = connect(&path, false).map_err(|e| StoreError::of(&path, e))?;
    migrate(&mut conn, &path, HISTORY)?;
    let journal = if network.is_some() { "delete" } else { "wal" };
    // Where it keeps another mode, that is slower, and sound.
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

/// Makes the file, unless it is there. SQLite would make it readable for everyone; its other files take their mode from
/// this one. It belongs to this user alone, except in a directory that its group may write in: there the operators of
/// this host share it. (Such a directory is set-group-ID, so that all their files are that group's.)
pub(super) fn create(dir: &Path, path: &Path) -> std::io::Result<()> {
    let shared = is_shared(dir)?;
    let made = std::fs::OpenOptions::new()
        .create_new(true)
        .append(true)
        .mode(0o600)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0))
        .open(path);
    match made {
        // The user's mask does not decide who else is an operator.
        Ok(file) if shared => file.set_permissions(std::fs::Permissions::from_mode(0o660)),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            // A link in a directory that others may write in could lead anywhere. It is not opened to find out: closing
            // it would let go of every lock that another connection of this process has on it (fcntl(2)).
            if std::fs::symlink_metadata(path)?.file_type().is_symlink() {
                return Err(rustix::io::Errno::LOOP.into());
            }
            Ok(rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK)?)
        }
        Err(e) => Err(e),
    }
}

/// Whether the operators of this host share a directory: its group may write in it.
pub(super) fn is_shared(dir: &Path) -> std::io::Result<bool> {
    Ok(std::fs::metadata(dir)?.permissions().mode() & 0o020 != 0)
}

/// A second connection, to read with while the other writes.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    connect(path, true).map_err(|e| StoreError::of(path, e))
}

pub(super) fn connect(path: &Path, read_only: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "synchronous", "normal")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "query_only", read_only)?;
    conn.pragma_update(None, "cache_size", -CACHE)?;
    // What is in the log is in the history: moving it takes five flushes of the disk, for which the end of a session would
    // wait. It is moved whenever the log has grown to a thousand pages.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(conn)
}

/// Switches the journal's mode, which is kept in the file. Another process that opens the file at the same moment holds
/// a lock for which SQLite does not wait here, so this asks again, for as long as any other lock is waited for. Returns
/// the mode that the file has then: a file system that cannot share memory keeps the one that it has.
pub(super) fn set_journal(conn: &Connection, mode: &str) -> rusqlite::Result<String> {
    let start = clock::now();
    loop {
        let done = conn.pragma_update_and_check(None, "journal_mode", mode, |r| r.get::<_, String>(0));
        let busy = |e: &rusqlite::Error| e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy);
        match done {
            Ok(mode) => return Ok(mode),
            Err(e) if busy(&e) && clock::now().since(start) < BUSY => {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            Err(e) => return Err(e),
        }
    }
}

/// Brings the schema up to date, in one transaction that starts with the lock: of two processes one migrates, and the
/// other finds it done.
pub(super) fn migrate(conn: &mut Connection, path: &Path, form: Form) -> Result<(), StoreError> {
    let Form { application: ours, scripts } = form;
    let known = i64::try_from(scripts.len()).unwrap_or(i64::MAX);
    let fail = |e| StoreError::of(path, e);
    let versions = |conn: &Connection| -> rusqlite::Result<(i64, i64, i64)> {
        let pragma = |name| conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
        let tables = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, tables))
    };
    let judge = |(application, version, tables): (i64, i64, i64)| {
        if application != ours && (application, version, tables) != (0, 0, 0) {
            return Err(StoreError::Damaged { path: path.to_path_buf(), why: "it belongs to another program".into() });
        }
        if version > known {
            return Err(StoreError::Newer { path: path.to_path_buf(), found: version, known });
        }
        Ok(version)
    };
    // These are three looks, between which another process may migrate: only the usual answer is taken from them.
    let (application, version, _) = versions(conn).map_err(fail)?;
    if application == ours && version == known {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    let version = judge(versions(&tx).map_err(fail)?)?;
    for script in scripts.iter().skip(usize::try_from(version).unwrap_or(usize::MAX)) {
        tx.execute_batch(script).map_err(fail)?;
    }
    tx.pragma_update(None, "application_id", ours).map_err(fail)?;
    tx.pragma_update(None, "user_version", known).map_err(fail)?;
    tx.commit().map_err(fail)
}

/// The name of the file system in memory that a directory is on (`statfs(2)`): what is kept there is gone after a reboot.
/// `None` for those that last, and where it cannot be told.
#[must_use]
pub fn in_memory(dir: &Path) -> Option<&'static str> {
    kind(dir, &[(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")])
}

/// The name of the network file system that a directory is on (`statfs(2)`); `None` for local ones. WAL needs memory
/// shared between processes of one host, so there the history uses a rollback journal.
#[must_use]
pub fn network(dir: &Path) -> Option<&'static str> {
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
    kind(dir, KINDS)
}

/// The name of the first of these kinds that a directory's file system is of.
fn kind(dir: &Path, kinds: &[(u64, &'static str)]) -> Option<&'static str> {
    let stat = rustix::fs::statfs(dir).ok()?;
    #[expect(clippy::cast_sign_loss, reason = "a magic number, not a quantity")]
    let found = stat.f_type as u64 & 0xffff_ffff;
    kinds.iter().find(|(magic, _)| *magic == found).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn form(scripts: &'static [&'static str]) -> Form {
        Form { application: HISTORY.application, scripts }
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        Connection::open(&path).unwrap();
        (dir, path)
    }

    #[test]
    fn an_older_schema_is_brought_up_to_date_and_keeps_its_rows() {
        let (_dir, path) = file();
        const ONE: &str = "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (7);";
        const TWO: &str = "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 1;";
        let mut conn = connect(&path, false).unwrap();
        migrate(&mut conn, &path, form(&[ONE])).unwrap();
        migrate(&mut conn, &path, form(&[ONE, TWO])).unwrap();
        migrate(&mut conn, &path, form(&[ONE, TWO])).unwrap();
        let sum: i64 = conn.query_row("SELECT x + y FROM a", [], |r| r.get(0)).unwrap();
        assert_eq!(sum, 8);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let (_dir, path) = file();
        let mut conn = connect(&path, false).unwrap();
        migrate(&mut conn, &path, form(&["CREATE TABLE a (x INTEGER) STRICT;"])).unwrap();
        const BAD: &[&str] = &["", "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);"];
        assert!(migrate(&mut conn, &path, form(BAD)).is_err());
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
        migrate(&mut conn, &path, form(&["", "", ""])).unwrap();
        let refused = migrate(&mut conn, &path, form(&[""])).unwrap_err().to_string();
        assert!(
            refused.ends_with("written by a newer lifeboat (schema 3, this one knows 1): use that one"),
            "{refused}"
        );
        let (_dir, path) = file();
        let mut conn = connect(&path, false).unwrap();
        conn.execute_batch("CREATE TABLE someone_else (x)").unwrap();
        let refused = migrate(&mut conn, &path, HISTORY).unwrap_err().to_string();
        assert!(refused.contains("it belongs to another program"), "{refused}");
    }

    #[test]
    fn local_file_systems_are_not_network_ones() {
        assert_eq!(network(Path::new("/proc")), None);
        assert_eq!(network(Path::new("/does/not/exist")), None);
    }
}
