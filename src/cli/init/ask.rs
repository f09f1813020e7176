//! Questions to a person, and what is an answer to them.

use std::io::{BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::bail;

use crate::plan::Span;

/// Who answers questions.
pub(super) struct Asker<'a> {
    pub(super) input: &'a mut dyn BufRead,
    pub(super) out: &'a mut dyn Write,
    /// Takes every default.
    pub(super) yes: bool,
}

impl Asker<'_> {
    /// Asks, and takes the default where nothing is typed. The end of the input is a person who leaves.
    pub(super) fn ask(&mut self, question: &str, default: &str) -> anyhow::Result<String> {
        if self.yes {
            return Ok(default.to_owned());
        }
        let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        write!(self.out, "{question}{shown}: ")?;
        self.out.flush()?;
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            bail!("nothing was written: the answers ended");
        }
        let line = line.trim();
        Ok(if line.is_empty() { default.to_owned() } else { line.to_owned() })
    }

    /// Asks until the answer is one.
    pub(super) fn ask_for<T>(
        &mut self,
        question: &str,
        default: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        loop {
            match read(&self.ask(question, default)?) {
                Ok(answer) => return Ok(answer),
                Err(why) if self.yes => bail!("{question}: {why}"),
                Err(why) => self.say(&format!("  {why}"))?,
            }
        }
    }

    pub(super) fn say(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{text}")?;
        Ok(())
    }
}

/// A name as the configuration takes it.
pub(super) fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if text.is_empty() || text.len() > 63 || !text.chars().all(plain) {
        return Err("letters, digits, '_' and '-', at most 63".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn span(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|e: crate::plan::SpanError| e.to_string())?;
    if span.0 < Duration::from_secs(1) { Err("at least 1s".to_owned()) } else { Ok(span) }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).filter(|t| !t.is_empty())
}

/// What a record answers: addresses, or the name that it is another name of.
pub(super) fn addresses(text: &str) -> Result<Vec<String>, String> {
    let host = |t: &str| t.len() <= 253 && t.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let is = |t: &str| t.parse::<IpAddr>().is_ok() || host(t) && t.contains(|c: char| c.is_ascii_alphabetic());
    match split(text).find(|t| !is(t)) {
        Some(bad) => Err(format!("{bad:?} is neither an address nor a name; several with commas between")),
        None => Ok(split(text).map(str::to_owned).collect()),
    }
}

/// Resolvers, each by its address.
pub(super) fn resolvers(text: &str) -> Result<Vec<String>, String> {
    let is = |t: &str| t.parse::<IpAddr>().is_ok() || t.parse::<SocketAddr>().is_ok();
    match split(text).find(|t| !is(t)) {
        Some(bad) => Err(format!("{bad:?} is no address: 1.1.1.1 or 127.0.0.1:5353")),
        None => Ok(split(text).map(str::to_owned).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_resolvers_are_what_a_configuration_takes() {
        assert_eq!(addresses("192.0.2.1, 2001:db8::1").unwrap(), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(addresses("front.west.example.com").unwrap().len(), 1);
        assert_eq!(addresses("").unwrap().len(), 0);
        assert!(addresses("192.0.2.1; rm").is_err() && addresses("300.1.2.3").is_err());
        assert_eq!(resolvers("1.1.1.1 [::1]:53 127.0.0.1:5353").unwrap().len(), 3);
        assert!(resolvers("dns.google").is_err());
    }
}
