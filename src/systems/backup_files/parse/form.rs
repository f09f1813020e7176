//! What the first and last bytes of a backup say: its format, and whether it was written to its end.

/// Bytes of the start that are enough: a tar's magic ends at 263 (POSIX ustar).
pub const HEAD: usize = 1_024;
/// Bytes of the end that are enough: a plain dump's last line, and a tar's two blocks of zeros.
pub const TAIL: usize = 4_096;

/// What a backup is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `pg_dump -Fc`: `PGDMP`.
    Custom,
    /// `pg_dump -Fd`: a directory with a `toc.dat`.
    Directory,
    /// A tar (POSIX ustar), of `pg_dump -Ft` or of anything else.
    Tar,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The LZ4 frame format.
    Lz4,
    /// The .xz file format.
    Xz,
    /// bzip2.
    Bzip2,
    /// SQL.
    Plain,
    /// PGP or age: nobody here can look inside.
    Encrypted,
    /// Something else that is known: an archive, a database's own file.
    Other(&'static str),
    /// Text that is no SQL.
    Text,
    /// Nothing but zeros.
    Zeros,
    /// Nothing at all.
    Empty,
    /// Anything else.
    Unknown,
}

impl Format {
    /// The name in readings and sentences.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Custom => "pg_dump custom",
            Self::Directory => "pg_dump directory",
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Plain => "plain SQL",
            Self::Encrypted => "encrypted",
            Self::Other(name) => name,
            Self::Text => "text",
            Self::Zeros => "zeros",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }
}

/// What the ends of a backup say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What it is.
    pub format: Format,
    /// What its extension promises, where that is something else.
    pub promised: Option<Format>,
    /// Whether it was written to its end; `None` where its ends do not tell.
    pub whole: Option<bool>,
    /// Why it is not whole; what it is, where that is not known; else empty.
    pub detail: String,
}

const MAGIC: [(&[u8], Format); 17] = [
    (b"PGDMP", Format::Custom),
    (&[0x1f, 0x8b, 0x08], Format::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Format::Zstd),
    (&[0x04, 0x22, 0x4d, 0x18], Format::Lz4),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Format::Xz),
    (b"BZh", Format::Bzip2),
    (b"age-encryption.org/", Format::Encrypted),
    (b"-----BEGIN PGP MESSAGE", Format::Encrypted),
    (b"-----BEGIN AGE ENCRYPTED FILE", Format::Encrypted),
    (b"Salted__", Format::Encrypted),
    (b"PK\x03\x04", Format::Other("zip")),
    (b"7z\xbc\xaf\x27\x1c", Format::Other("7z")),
    (b"SQLite format 3\0", Format::Other("SQLite database")),
    (b"REDIS", Format::Other("Redis RDB")),
    (b"XBSTCK", Format::Other("xbstream")),
    (b"BORG_SEG", Format::Other("borg segment")),
    (&[0x6d, 0xe2, 0x99, 0x81], Format::Other("mongodump archive")),
];

/// How SQL dumps begin: comments, meta-commands of psql, statements.
const SQL: [&str; 12] =
    ["--", "/*", "\\restrict", "SET ", "BEGIN", "CREATE ", "INSERT ", "COPY ", "DROP ", "PRAGMA ", "START ", "USE "];

/// The format of a file by its first bytes.
#[must_use]
pub fn format(head: &[u8]) -> Format {
    if head.is_empty() {
        return Format::Empty;
    }
    if let Some((_, format)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return *format;
    }
    if head.get(257..262) == Some(b"ustar") {
        return Format::Tar;
    }
    if head.iter().all(|b| *b == 0) {
        return Format::Zeros;
    }
    // A packet of RFC 9580: a session key encrypted to a public key (tag 1) or by a passphrase (tag 3), old or new header.
    if matches!(head.first(), Some(0x84..=0x87 | 0x8c..=0x8f | 0xc1 | 0xc3)) {
        return Format::Encrypted;
    }
    match text(head) {
        Some(text) => {
            let text = text.trim_start_matches('\u{feff}').trim_start();
            if SQL.iter().any(|s| text.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s))) {
                Format::Plain
            } else {
                Format::Text
            }
        }
        None => Format::Unknown,
    }
}

/// Bytes as text, where they are text; a character may be cut off at the end.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => std::str::from_utf8(bytes.get(..e.valid_up_to())?).ok()?,
        Err(_) => return None,
    };
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().all(plain).then_some(text)
}

/// What a name's extension promises; `None` where it may be anything, as `.dump` may.
#[must_use]
pub fn promised(name: &str) -> Option<Format> {
    let name = name.to_ascii_lowercase();
    let all = [
        (".gz", Format::Gzip),
        (".tgz", Format::Gzip),
        (".zst", Format::Zstd),
        (".zstd", Format::Zstd),
        (".lz4", Format::Lz4),
        (".xz", Format::Xz),
        (".bz2", Format::Bzip2),
        (".sql", Format::Plain),
        (".tar", Format::Tar),
        (".gpg", Format::Encrypted),
        (".pgp", Format::Encrypted),
        (".age", Format::Encrypted),
        (".enc", Format::Encrypted),
        (".zip", Format::Other("zip")),
    ];
    all.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, f)| f)
}

/// What the ends of a file say. `head` is its first bytes, up to [`HEAD`], `tail` its last, up to [`TAIL`].
#[must_use]
pub fn file(name: &str, size: u64, head: &[u8], tail: &[u8]) -> Form {
    let format = format(head);
    let promised = promised(name).filter(|p| *p != format);
    let (whole, detail) = whole(format, size, head, tail);
    Form { format, promised, whole, detail }
}

/// What a directory says by its table of contents: `None` where there is none.
#[must_use]
pub fn directory(toc: Option<&[u8]>) -> Form {
    let form =
        |whole, detail: &str| Form { format: Format::Directory, promised: None, whole, detail: detail.to_owned() };
    match toc {
        None => form(Some(false), "it has no toc.dat, which pg_dump writes last"),
        Some(head) if format(head) == Format::Custom => form(None, ""),
        Some(_) => form(Some(false), "its toc.dat is none of pg_dump's"),
    }
}

/// The dumps that say at their end that they are complete: how they begin, and what stands among the last lines. Newer minor
/// releases of pg_dump print another line after it.
const ENDS: [(&str, &str); 4] = [
    ("PostgreSQL database dump", "PostgreSQL database dump complete"),
    ("PostgreSQL database cluster dump", "PostgreSQL database cluster dump complete"),
    ("MySQL dump", "Dump completed"),
    ("MariaDB dump", "Dump completed"),
];

/// Whether a stream of SQL was written to its end: `None` where it does not say.
#[must_use]
pub fn sql_complete(head: &[u8], tail: &[u8]) -> Option<bool> {
    let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
    ENDS.iter().find(|(begin, _)| head.contains(begin)).map(|(_, end)| tail.contains(end))
}

fn whole(format: Format, size: u64, head: &[u8], tail: &[u8]) -> (Option<bool>, String) {
    let zeros = |at: Option<&[u8]>| at.is_some_and(|b| b.iter().all(|b| *b == 0));
    let last = |n: usize| tail.len().checked_sub(n).and_then(|from| tail.get(from..));
    let ends = |whole: bool, why: &str| (Some(whole), if whole { String::new() } else { why.to_owned() });
    match format {
        Format::Tar => ends(zeros(last(1_024)), "a tar ends with two blocks of zeros, this one does not"),
        Format::Xz => {
            // Padding is in fours of zeros (.xz file format 2.2).
            let end = tail.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
            ends(tail.get(..end).is_some_and(|t| t.ends_with(b"YZ")), "it lacks the footer of an xz")
        }
        Format::Lz4 => {
            // Frame descriptor, FLG bit 2: four bytes of checksum follow the end mark.
            let checksum = head.get(4).is_some_and(|flags| flags & 0x04 != 0);
            let mark = if checksum { last(8).and_then(|t| t.get(..4)) } else { last(4) };
            ends(zeros(mark), "it lacks the end mark of an lz4")
        }
        Format::Gzip => gzip(size, last(4)),
        Format::Plain => match sql_complete(head, tail) {
            Some(whole) => ends(whole, "it does not say at its end that the dump is complete"),
            None => (None, String::new()),
        },
        Format::Zeros => (Some(false), "it begins with nothing but zeros".to_owned()),
        Format::Empty => (Some(false), "it is empty".to_owned()),
        Format::Text => {
            let line = text(head).and_then(|t| t.lines().find(|l| !l.trim().is_empty())).unwrap_or_default();
            (None, format!("it begins with {:?}", line.chars().take(80).collect::<String>()))
        }
        Format::Custom
        | Format::Directory
        | Format::Zstd
        | Format::Bzip2
        | Format::Encrypted
        | Format::Other(_)
        | Format::Unknown => (None, String::new()),
    }
}

/// The trailer of a gzip holds the size of what is inside, modulo 2^32 (RFC 1952 section 2.3.1); deflate shrinks to 1:1032 at
/// best.
fn gzip(size: u64, trailer: Option<&[u8]>) -> (Option<bool>, String) {
    let Some(inside) = trailer.and_then(|t| <[u8; 4]>::try_from(t).ok()).map(u32::from_le_bytes) else {
        return (Some(false), "it is shorter than any gzip".to_owned());
    };
    if size < 20 {
        return (Some(false), "it is shorter than any gzip".to_owned());
    }
    // A header may hold a name of 255 bytes; what is inside an empty one takes two bytes.
    if inside == 0 && size < 300 {
        return (Some(false), "it holds nothing: what was piped into gzip failed".to_owned());
    }
    if u64::from(inside) > size.saturating_mul(1_032) {
        return (Some(false), "its last bytes are no trailer of a gzip".to_owned());
    }
    (None, String::new())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formats_by_their_first_bytes() {
        let of = |bytes: &[u8]| format(bytes).name();
        assert_eq!(of(b"PGDMP\x01\x0e\x00"), "pg_dump custom");
        assert_eq!(of(&[0x1f, 0x8b, 8, 0]), "gzip");
        assert_eq!(of(b"--\n-- PostgreSQL database dump\n--\n"), "plain SQL");
        assert_eq!(of("\u{feff}set names utf8;".as_bytes()), "plain SQL");
        assert_eq!(of(b"pg_dump: error: connection to server failed"), "text");
        assert_eq!(of(b""), "empty");
        assert_eq!(of(&[0; 512]), "zeros");
        assert_eq!(of(&[0x85, 0x01, 0x0c]), "encrypted");
        assert_eq!(of(&[0xff, 0xfe, 0]), "unknown");
        let mut tar = vec![b'x'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(of(&tar), "tar");
        // A character that the end of what was read cuts in two is no binary.
        assert_eq!(of(&"-- é".as_bytes()[..4]), "plain SQL");
    }

    #[test]
    fn ends_that_tell() {
        let of = |name: &str, head: &[u8], tail: &[u8]| file(name, 10_000, head, tail).whole;
        let sql = b"--\n-- PostgreSQL database dump\n--\n";
        assert_eq!(of("a.sql", sql, b"--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n"), Some(true));
        assert_eq!(of("a.sql", sql, b"COPY t FROM stdin;\n1\n2"), Some(false));
        assert_eq!(of("a.sql", b"INSERT INTO t", b"x"), None);
        assert_eq!(of("a.xz", b"\xfd7zXZ\0", b"\x04YZ\0\0\0\0"), Some(true));
        assert_eq!(of("a.xz", b"\xfd7zXZ\0", b"abcd"), Some(false));
        assert_eq!(of("a.lz4", &[4, 0x22, 0x4d, 0x18, 0x64], &[9, 0, 0, 0, 0, 1, 2, 3, 4]), Some(true));
        assert_eq!(of("a.lz4", &[4, 0x22, 0x4d, 0x18, 0x60], &[9, 0, 0, 0, 0]), Some(true));
        assert_eq!(of("a.lz4", &[4, 0x22, 0x4d, 0x18, 0x60], &[9, 0, 0, 0, 1]), Some(false));
        let gz = |size, tail: &[u8]| file("a.gz", size, &[0x1f, 0x8b, 8], tail).whole;
        assert_eq!(gz(20, &[0; 8]), Some(false), "what a failed pg_dump leaves behind gzip");
        assert_eq!(gz(5, &[1, 2, 3, 4]), Some(false));
        assert_eq!(gz(1_000, &[0xff, 0xff, 0xff, 0xff]), Some(false), "no trailer");
        assert_eq!(gz(1_000, &[0, 0x10, 0, 0]), None);
    }

    #[test]
    fn what_an_extension_promises_is_held_against_what_is_there() {
        let of = |name: &str, head: &[u8]| file(name, 100, head, head).promised.map(Format::name);
        assert_eq!(of("a.sql.gz", b"-- SQL"), Some("gzip"));
        assert_eq!(of("a.SQL", b"-- SQL"), None);
        assert_eq!(of("a.dump", b"-- SQL"), None);
        assert_eq!(of("a.sql", b"PGDMP"), Some("plain SQL"));
    }

    #[test]
    fn directories_have_their_table_of_contents_last() {
        assert_eq!(directory(None).whole, Some(false));
        assert_eq!(directory(Some(b"PGDMP")).whole, None);
        assert_eq!(directory(Some(b"")).whole, Some(false));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(head in prop::collection::vec(any::<u8>(), 0..600), tail in prop::collection::vec(any::<u8>(), 0..40), magic in 0..MAGIC.len()) {
            let _ = file("a.gz", 100, &head, &tail);
            let _ = file("a", 100, &[MAGIC[magic].0, &head].concat(), &tail);
            let _ = directory(Some(&head));
        }
    }
}
