//! `pg_hba.conf` with the lines of a fence before all others, and without them (PostgreSQL's documentation, "The
//! pg_hba.conf File": the first line that fits decides).

/// Before the lines of a fence.
const BEGIN: &str = "# lifeboat fence: begin";
/// After them.
const END: &str = "# lifeboat fence: end";

/// The most of a file that is written back, in bytes.
const MOST: usize = 1 << 20;

/// The lines that turn these roles away, whatever they connect to and from wherever.
#[must_use]
pub fn lines(roles: &[String]) -> Vec<String> {
    let names = roles.iter().map(|r| format!("\"{r}\"")).collect::<Vec<_>>().join(",");
    vec![BEGIN.to_owned(), format!("local all {names} reject"), format!("host all {names} all reject"), END.to_owned()]
}

/// Why a file cannot be written back as it is by `COPY`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HbaError {
    /// Bytes that `COPY` would write in another form.
    #[error("pg_hba.conf holds characters that SQL cannot write back as they are (line {0})")]
    Odd(usize),
    /// No such file is honest.
    #[error("pg_hba.conf is larger than 1 MiB")]
    TooLarge,
    /// Somebody wrote into the fence.
    #[error("the fence in pg_hba.conf was changed by hand: put it right by hand")]
    Changed,
}

/// Whether each line comes back as it is: what `COPY` quotes, or converts between encodings, would not.
///
/// # Errors
/// The first line that would not.
pub fn check(text: &str) -> Result<(), HbaError> {
    if text.len() > MOST {
        return Err(HbaError::TooLarge);
    }
    let odd = |line: &str| line == "\\." || line.chars().any(|c| !c.is_ascii() || (c.is_control() && c != '\t'));
    // `lines` would take a carriage return for part of a line's end.
    match text.split('\n').position(odd) {
        Some(at) => Err(HbaError::Odd(at + 1)),
        None => Ok(()),
    }
}

/// Whether a fence stands in it.
#[must_use]
pub fn is_fenced(text: &str) -> bool {
    text.lines().any(|l| l == BEGIN)
}

/// The file with these lines before all others; `None` where they stand there already.
///
/// # Errors
/// What [`check`] finds; another fence than this one.
pub fn fenced(text: &str, lines: &[String]) -> Result<Option<String>, HbaError> {
    check(text)?;
    let block = lines.join("\n");
    if text.starts_with(&format!("{block}\n")) {
        return Ok(None);
    }
    if is_fenced(text) {
        return Err(HbaError::Changed);
    }
    Ok(Some(format!("{block}\n{text}")))
}

/// The file without exactly these lines; `None` where no fence stands in it.
///
/// # Errors
/// What [`check`] finds; a fence that is not exactly these lines.
pub fn unfenced(text: &str, lines: &[String]) -> Result<Option<String>, HbaError> {
    check(text)?;
    if !is_fenced(text) {
        return Ok(None);
    }
    let block = format!("{}\n", lines.join("\n"));
    match text.split_once(&block) {
        Some((before, after)) if !is_fenced(after) && !is_fenced(before) => Ok(Some(format!("{before}{after}"))),
        Some(_) | None => Err(HbaError::Changed),
    }
}

/// The SQL that writes a text that was [`check`]ed into a file of the server's. Its lines come from a base64 text, so that
/// nothing of them is SQL; quote and delimiter are characters that none of them has, so that `COPY` adds none.
#[must_use]
pub fn write(text: &str, path: &str) -> String {
    use base64::Engine as _;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let coded = base64::engine::general_purpose::STANDARD.encode(text);
    let path = path.replace('\'', "''");
    format!(
        "COPY (SELECT nullif(l, '') FROM unnest(string_to_array(convert_from(decode('{coded}', 'base64'), 'UTF8'), E'\\n')) \
         WITH ORDINALITY AS t(l, n) ORDER BY n) TO '{path}' (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01', NULL '')"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shop() -> Vec<String> {
        lines(&["shop".to_owned(), "Re ports".to_owned()])
    }

    #[test]
    fn the_lines_of_a_fence() {
        assert_eq!(shop()[1], "local all \"shop\",\"Re ports\" reject");
        assert_eq!(shop()[2], "host all \"shop\",\"Re ports\" all reject");
    }

    #[test]
    fn a_fence_stands_first_and_once() {
        let text = "# comment\nhost all all all trust\n";
        let with = fenced(text, &shop()).unwrap().unwrap();
        assert!(with.starts_with(BEGIN) && with.ends_with(text));
        assert_eq!(fenced(&with, &shop()), Ok(None), "it stands already");
        assert_eq!(fenced(&with, &lines(&["other".to_owned()])), Err(HbaError::Changed));
        assert_eq!(unfenced(&with, &shop()), Ok(Some(text.to_owned())));
        assert_eq!(unfenced(text, &shop()), Ok(None));
        assert_eq!(unfenced(&with.replace("reject", "trust"), &shop()), Err(HbaError::Changed));
    }

    #[test]
    fn what_sql_would_change_is_refused() {
        for (text, line) in [("a\r\n", 1), ("a\nb\u{1}", 2), ("ü", 1), ("a\n\\.\n", 2)] {
            assert_eq!(check(text), Err(HbaError::Odd(line)), "{text:?}");
        }
        assert_eq!(check("\thost\tall \"a,b\" all trust\n\n"), Ok(()));
        assert_eq!(check(&"x".repeat(MOST + 1)), Err(HbaError::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_put_is_taken_away_again(text in "([ -~\t]{0,20}\n){0,8}") {
            prop_assume!(check(&text).is_ok());
            let with = fenced(&text, &shop()).unwrap().unwrap();
            prop_assert_eq!(unfenced(&with, &shop()).unwrap(), Some(text));
        }
    }
}
