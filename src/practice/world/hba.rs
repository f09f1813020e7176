//! `pg_hba.conf`: the first line that fits decides (PostgreSQL's documentation, "The pg_hba.conf File").

use std::net::IpAddr;

/// The file as a practice server begins with it.
pub const USUAL: &str = "# TYPE  DATABASE        USER            ADDRESS                 METHOD\n\
    local   all             all                                     peer\n\
    host    replication     replicator      127.0.0.1/32            scram-sha-256\n\
    host    all             all             127.0.0.1/32            scram-sha-256\n\
    host    all             all             ::1/128                 scram-sha-256\n";

/// How a connection is to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Not at all.
    Trust,
    /// By a password, which is not sent.
    Scram,
    /// It is turned away.
    Reject,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    databases: Vec<Word>,
    users: Vec<Word>,
    addresses: Addresses,
    method: Method,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Addresses {
    All,
    Net(IpAddr, u32),
}

/// The lines that count for connections over TCP without encryption: all that a practice server has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Line>);

/// What is wrong with a file: the line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub usize);

impl Rules {
    /// Reads a file. As the server does, a file with a fault is not taken at all.
    ///
    /// # Errors
    /// The first line with a fault.
    pub fn read(text: &str) -> Result<Self, Fault> {
        let mut lines = Vec::new();
        for (at, text) in text.lines().enumerate() {
            match line(text) {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => {}
                Err(()) => return Err(Fault(at + 1)),
            }
        }
        Ok(Self(lines))
    }

    /// How this user is to prove itself; `None` where no line fits.
    #[must_use]
    pub fn method(&self, database: &str, user: &str, from: IpAddr) -> Option<Method> {
        let names = |words: &[Word], name: &str| {
            words
                .iter()
                .any(|w| (!w.quoted && w.text == "all") || (w.text == name && (w.quoted || w.text != "replication")))
        };
        let fits = |l: &&Line| names(&l.databases, database) && names(&l.users, user) && l.addresses.has(from);
        self.0.iter().find(fits).map(|l| l.method)
    }
}

impl Addresses {
    fn has(&self, from: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Net(net, bits) => match (net, from) {
                (IpAddr::V4(net), IpAddr::V4(from)) => {
                    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(*bits)).unwrap_or(0);
                    net.to_bits() & mask == from.to_bits() & mask
                }
                (IpAddr::V6(net), IpAddr::V6(from)) => {
                    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(*bits)).unwrap_or(0);
                    net.to_bits() & mask == from.to_bits() & mask
                }
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
            },
        }
    }
}

/// One line; `None` where it says nothing, or nothing about TCP.
fn line(text: &str) -> Result<Option<Line>, ()> {
    let fields = fields(text)?;
    let Some(kind) = fields.first().and_then(|f| f.first()) else { return Ok(None) };
    let field = |at: usize| fields.get(at).cloned().ok_or(());
    let one = |at: usize| field(at)?.first().map(|w| w.text.clone()).ok_or(());
    let tcp = match kind.text.as_str() {
        "host" | "hostnossl" | "hostnogssenc" => true,
        "local" | "hostssl" | "hostgssenc" => false,
        _ => return Err(()),
    };
    if !tcp {
        field(3)?;
        return Ok(None);
    }
    let address = one(3)?;
    let addresses = match address.split_once('/') {
        _ if address == "all" => Addresses::All,
        _ if address == "samehost" || address == "samenet" => {
            Addresses::Net(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8)
        }
        Some((net, bits)) => Addresses::Net(net.parse().map_err(drop)?, bits.parse().map_err(drop)?),
        None => return Err(()),
    };
    let method = match one(4)?.as_str() {
        "trust" => Method::Trust,
        "scram-sha-256" | "md5" | "password" => Method::Scram,
        "reject" => Method::Reject,
        _ => return Err(()),
    };
    Ok(Some(Line { databases: field(1)?, users: field(2)?, addresses, method }))
}

/// Words apart by blanks, each a list apart by commas; quotes keep both from counting.
fn fields(text: &str) -> Result<Vec<Vec<Word>>, ()> {
    let mut out: Vec<Vec<Word>> = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none_or(|c| *c == '#') {
            return Ok(out);
        }
        let mut list = Vec::new();
        loop {
            let mut word = Word { text: String::new(), quoted: false };
            while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != ',' && *c != '#') {
                if c != '"' {
                    word.text.push(c);
                    continue;
                }
                word.quoted = true;
                loop {
                    match chars.next() {
                        Some('"') if chars.next_if_eq(&'"').is_some() => word.text.push('"'),
                        Some('"') => break,
                        Some(c) => word.text.push(c),
                        None => return Err(()),
                    }
                }
            }
            list.push(word);
            if chars.next_if_eq(&',').is_none() {
                break;
            }
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
        }
        out.push(list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn the_first_line_that_fits_decides() {
        let usual = Rules::read(USUAL).unwrap();
        assert_eq!(usual.method("orders", "shop", FROM), Some(Method::Scram));
        assert_eq!(usual.method("orders", "shop", "10.0.0.1".parse().unwrap()), None);
        let fence = format!(
            "# a fence\nlocal all \"shop\",\"o\"\"b\" reject\nhost all \"shop\",\"o\"\"b\" all reject\n{USUAL}"
        );
        let fenced = Rules::read(&fence).unwrap();
        assert_eq!(fenced.method("orders", "shop", FROM), Some(Method::Reject));
        assert_eq!(fenced.method("orders", "o\"b", FROM), Some(Method::Reject));
        assert_eq!(fenced.method("orders", "lifeboat", FROM), Some(Method::Scram));
        // A quoted `all` is a role of that name.
        let odd = Rules::read("host all \"all\" all reject\nhost all all all trust\n").unwrap();
        assert_eq!(odd.method("orders", "shop", FROM), Some(Method::Trust));
        assert_eq!(odd.method("orders", "all", FROM), Some(Method::Reject));
    }

    #[test]
    fn a_fault_is_told_by_its_line() {
        for (text, at) in
            [("hots all all all trust", 1), ("\nhost all all", 2), ("host all all all magic", 1), ("host \"a", 1)]
        {
            assert_eq!(Rules::read(text), Err(Fault(at)), "{text}");
        }
    }
}
