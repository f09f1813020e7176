//! A first configuration as a text: what was found and said, with a comment for every choice. Pure.

use crate::plan::Span;

/// What is known of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The plan's name.
    pub plan: String,
    /// The site where it normally runs, and the one that would take over.
    pub sites: [String; 2],
    /// Objectives.
    pub rpo: Span,
    /// Objectives.
    pub rto: Span,
    /// The database, where there is one.
    pub database: Option<Database>,
    /// The clusters that Patroni manages, where there are.
    pub patroni: Option<Clusters>,
    /// The record that moves traffic, where there is one.
    pub record: Option<Record>,
}

/// A database and its standby, as `key=value` pairs without a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Of each site; the second may not be known.
    pub at: [Option<String>; 2],
    /// The variable that the password is in, where it is in one.
    pub password_env: Option<String>,
    /// What was found out about it, a line each.
    pub notes: Vec<String>,
    /// The name under which the primary sees the other site's server, where addresses cannot tell it from others.
    pub standby_name: Option<String>,
    /// Why it cannot be looked at as it is written here, where that was tried in vain.
    pub doubt: Option<String>,
}

impl Database {
    /// Whether it can be looked at.
    fn is_sure(&self) -> bool {
        self.doubt.is_none() && self.at.iter().all(Option::is_some)
    }
}

/// Clusters that Patroni manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// The members' REST APIs of each site; the second site's may not be known.
    pub at: [Vec<String>; 2],
    /// A PEM file of authorities for `https`, instead of the system's.
    pub roots: Option<String>,
    /// What was found out about them, a line each.
    pub notes: Vec<String>,
}

/// A record and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// What it answers when traffic goes to each site; the second may not be known.
    pub answers: [Vec<String>; 2],
    /// The resolvers that users use; none for this machine's.
    pub resolvers: Vec<String>,
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|t| quoted(t)).collect::<Vec<_>>().join(", "))
}

impl Draft {
    /// The areas that something looks at, which are those that it can insist on from the start.
    fn looked_at(&self) -> Vec<&'static str> {
        let database = self.database.as_ref().is_some_and(Database::is_sure);
        let patroni = self.patroni.as_ref().is_some_and(|p| p.at.iter().all(|m| !m.is_empty()));
        let record = self.record.as_ref().is_some_and(|r| r.answers.iter().all(|a| !a.is_empty()));
        [(database, "replication"), (patroni, "standby"), (record, "dns")]
            .into_iter()
            .filter_map(|(is, area)| is.then_some(area))
            .collect()
    }

    /// The configuration.
    #[must_use]
    pub fn document(&self) -> String {
        let mut out = Lines::default();
        self.head(&mut out);
        if let Some(database) = &self.database {
            self.database(database, &mut out);
        }
        if let Some(clusters) = &self.patroni {
            self.clusters(clusters, &mut out);
        }
        if let Some(record) = &self.record {
            self.record(record, &mut out);
        }
        for text in [
            "",
            "# Whom to call, and how long after the outage began.",
            "# [[plan.contact]]",
            "# role  = \"database on-call\"",
            "# reach = \"pager: databases\"",
            "# after = \"0s\"",
        ] {
            out.line(text);
        }
        out.text
    }

    fn head(&self, out: &mut Lines) {
        let [home, other] = &self.sites;
        for text in [
            "# Lifeboat's configuration, begun by `lifeboat init`.",
            "#   lifeboat config check     every mistake, with its place",
            "#   lifeboat config schema    every key",
            "#   lifeboat doctor           can it see what it must, from here?",
            "#   lifeboat check            one look; its exit code is the verdict",
            "#   lifeboat                  the board",
            "",
            "# The site that this machine is in, and is lost with; \"elsewhere\" where it is in none of them.",
            "here = \"elsewhere\"",
            "",
            "[[plan]]",
        ] {
            out.line(text);
        }
        out.line(&format!("name       = {}", quoted(&self.plan)));
        out.line("tier       = 1                     # 1 is the most important");
        out.line("strategy   = \"warm-standby\"        # or \"pilot-light\", \"backup-restore\"");
        out.line("# The most recent work that may be lost, and how long a failover may take.");
        out.line(&format!("objectives = {{ rpo = \"{}\", rto = \"{}\" }}", self.rpo, self.rto));
        out.line("# Each site's name, and what it is in your words.");
        out.line(&format!("sites      = {{ {home} = \"where it normally runs\", {other} = \"where it would go\" }}"));
        out.line(&format!("home       = {}", quoted(home)));
        let areas: Vec<String> = self.looked_at().iter().map(ToString::to_string).collect();
        out.line("# A warm standby needs \"replication\", \"backup\", \"standby\", \"images\" and \"dns\";");
        out.line("# what it needs and nothing looks at is unknown.");
        if areas.is_empty() {
            out.line("# requires = [\"replication\"]     # instead, what this service needs");
        } else {
            out.line(
                "# Only these are insisted on, for nothing else is looked at so far: add the rest, then remove this line.",
            );
            out.line(&format!("requires   = {}", list(&areas)));
        }
    }

    fn database(&self, database: &Database, out: &mut Lines) {
        let [home, other] = &self.sites;
        out.line("");
        out.notes(&database.notes);
        if let Some(doubt) = &database.doubt {
            out.notes(&[format!("It could not be asked when this was written: {doubt}")]);
            out.line("# Mend that, uncomment the lines below, and add \"replication\" to `requires`.");
        } else if !database.is_sure() {
            out.line(
                "# The other site's address is not known yet: put it in, uncomment, and add \"replication\" to `requires`.",
            );
        }
        let lead = lead(database.is_sure());
        let at = |n: usize| {
            let text = database.at.get(n).cloned().flatten();
            quoted(&text.unwrap_or_else(|| "host='...'".to_owned()))
        };
        out.line(&format!("{lead}[[plan.probe]]"));
        out.line(&format!("{lead}name = \"database\""));
        out.line(&format!("{lead}kind = \"postgres\""));
        out.line("# The role needs pg_monitor, no more: CREATE ROLE lifeboat LOGIN IN ROLE pg_monitor");
        out.line(&format!("{lead}at.{home} = {}", at(0)));
        out.line(&format!("{lead}at.{other} = {}", at(1)));
        if let Some(name) = &database.standby_name {
            out.line("# It shares its address with servers of the other site, so its name tells: mend it when another one leads.");
            out.line(&format!("{lead}standby_names.{other} = {}", quoted(name)));
        }
        match &database.password_env {
            Some(variable) => out.line(&format!("{lead}password = {{ env = {} }}", quoted(variable))),
            None => out.line("# password = { env = \"NAME\" }       # else PGPASSWORD or ~/.pgpass, as libpq does"),
        }
        self.pace(lead, out);
    }

    fn clusters(&self, clusters: &Clusters, out: &mut Lines) {
        out.line("");
        out.notes(&clusters.notes);
        let known = clusters.at.iter().all(|m| !m.is_empty());
        if !known {
            out.line(
                "# The other site's cluster is not known yet: put in its members, uncomment, and add \"standby\" to `requires`.",
            );
        }
        let lead = lead(known);
        out.line(&format!("{lead}[[plan.probe]]"));
        out.line(&format!("{lead}name = \"cluster\""));
        out.line(&format!("{lead}kind = \"patroni\""));
        out.line("# Every member of each site: one that is not named is seen through the others alone.");
        for (site, members) in self.sites.iter().zip(&clusters.at) {
            out.line(&format!("{lead}at.{site} = {}", list(members)));
        }
        match &clusters.roots {
            Some(file) => out.line(&format!("{lead}roots = {}", quoted(file))),
            None => {
                out.line("# roots = \"/etc/patroni/ca.pem\"     # whom to trust for https, instead of the system's")
            }
        }
        self.pace(lead, out);
    }

    fn record(&self, record: &Record, out: &mut Lines) {
        out.line("");
        let known = record.answers.iter().all(|a| !a.is_empty());
        if !known {
            out.line(
                "# What it answers at each site is not known yet: put it in, uncomment, and add \"dns\" to `requires`.",
            );
        }
        let lead = lead(known);
        out.line(&format!("{lead}[[plan.probe]]"));
        out.line(&format!("{lead}name = \"front-door\""));
        out.line(&format!("{lead}kind = \"dns\""));
        out.line(&format!("{lead}record = {}", quoted(&record.name)));
        for (site, answers) in self.sites.iter().zip(&record.answers) {
            out.line(&format!("{lead}answers.{site} = {}", list(answers)));
        }
        if record.resolvers.is_empty() {
            out.line("# resolvers = [\"1.1.1.1\"]            # those that your users use; else this machine's");
        } else {
            out.line(&format!("{lead}resolvers = {}", list(&record.resolvers)));
        }
        out.line("# max_ttl = \"60s\"                    # the most time that an old answer may live");
    }

    /// Looks must come often enough to see a loss before it is too large.
    fn pace(&self, lead: &str, out: &mut Lines) {
        if self.rpo.0 < std::time::Duration::from_secs(16) {
            let share = Span(self.rpo.0 / 4);
            out.line(&format!("{lead}interval = \"{share}\""));
            out.line(&format!("{lead}timeout = \"{share}\""));
        }
    }
}

/// What a line begins with: nothing where it holds, a comment's sign where something is missing yet.
const fn lead(holds: bool) -> &'static str {
    if holds { "" } else { "# " }
}

/// A text that grows by lines.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// Comments; what a server said cannot end one.
    fn notes(&mut self, notes: &[String]) {
        for note in notes {
            self.line(&format!("# {}", note.replace(char::is_control, " ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Draft {
        Draft {
            plan: "shop".into(),
            sites: ["east".into(), "west".into()],
            rpo: Span::secs(30),
            rto: Span::secs(300),
            database: Some(Database {
                at: [Some("host='a' user='lifeboat'".into()), Some("host='b' user='lifeboat'".into())],
                password_env: Some("SHOP_DB_PASSWORD".into()),
                notes: vec!["PostgreSQL 15".into()],
                standby_name: Some("n4".into()),
                doubt: None,
            }),
            patroni: Some(Clusters {
                at: [vec!["http://a:8008".into()], vec!["http://b:8008".into(), "http://c:8008".into()]],
                roots: None,
                notes: vec!["Patroni 4\nis = \"not a key\"".into()],
            }),
            record: Some(Record {
                name: "shop.example.com".into(),
                answers: [vec!["192.0.2.1".into()], vec!["192.0.2.2".into()]],
                resolvers: vec!["127.0.0.1:5353".into()],
            }),
        }
    }

    fn areas(draft: &Draft) -> Vec<String> {
        let text = draft.document();
        let config = crate::config::parse("draft", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        config.plans[0].probes.iter().map(|p| p.area.name().to_owned()).collect()
    }

    #[test]
    fn whatever_is_known_the_configuration_has_no_mistakes() {
        assert_eq!(areas(&whole()), ["replication", "standby", "dns"]);
        let tight = Draft { rpo: Span::secs(2), ..whole() };
        assert_eq!(areas(&tight), ["replication", "standby", "dns"]);
        let mut half = whole();
        if let Some(database) = &mut half.database {
            database.doubt = Some("no such role".into());
        }
        assert_eq!(areas(&half), ["standby", "dns"]);
        if let Some(database) = &mut half.database {
            database.at[1] = None;
        }
        if let Some(clusters) = &mut half.patroni {
            clusters.at[1].clear();
        }
        assert_eq!(areas(&half), ["dns"]);
        if let Some(record) = &mut half.record {
            record.answers[1].clear();
        }
        assert_eq!(areas(&half), [""; 0]);
        assert_eq!(areas(&Draft { database: None, patroni: None, record: None, ..whole() }), [""; 0]);
    }

    #[test]
    fn what_it_comments_out_can_be_uncommented() {
        let mut half = whole();
        half.database.as_mut().unwrap().at[1] = None;
        let text = half.document();
        let more: String = (text.lines())
            .map(|l| match l.strip_prefix("# ") {
                Some(rest)
                    if [
                        "[[plan.probe]]",
                        "name = \"d",
                        "kind = \"p",
                        "at.",
                        "standby_names.",
                        "password = { env = \"S",
                    ]
                    .iter()
                    .any(|p| rest.starts_with(p)) =>
                {
                    format!("{}\n", rest.replace("host='...'", "host=b user=u"))
                }
                _ => format!("{l}\n"),
            })
            .collect();
        let config = crate::config::parse("draft", &more).unwrap_or_else(|e| panic!("{e}\n{more}"));
        assert_eq!(config.plans[0].probes.len(), 3, "{more}");
    }
}
