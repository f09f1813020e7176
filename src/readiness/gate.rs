//! Whether a runbook could be started now.

use serde::{Deserialize, Serialize};

use crate::plan::{Area, LaneDecl, Now, ProbeId, SafeText, SiteId, Subject, Weight};

use super::{Active, ActiveSite, Bearing, Bound, Exposure, Facts, Finding, Proof, Situation, Verdict, signals};

/// The answer to "could it be started now?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "why")]
pub enum Gate {
    /// Yes.
    Go,
    /// Yes, if a person accepts each of these.
    Consent(Vec<SafeText>),
    /// No, for each of these.
    No(Vec<SafeText>),
    /// Nobody can say, for each of these.
    Unknown(Vec<SafeText>),
}

impl Gate {
    /// `GO`, `GO with consent`, `no`, `unknown`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Go => "GO",
            Self::Consent(_) => "GO with consent",
            Self::No(_) => "no",
            Self::Unknown(_) => "unknown",
        }
    }

    /// What must be accepted, or what is in the way.
    #[must_use]
    pub fn reasons(&self) -> &[SafeText] {
        match self {
            Self::Go => &[],
            Self::Consent(why) | Self::No(why) | Self::Unknown(why) => why,
        }
    }
}

/// A plan's gates. Runbooks follow later; until then these are the conditions that any runbook of the kind would have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gates {
    /// The site that would take over.
    pub to: Option<SiteId>,
    /// Unplanned: uses only what can be proven without the site that is lost.
    pub failover: Gate,
    /// Planned: nothing may be lost, so both sites must be seen.
    pub switchover: Gate,
}

/// Judges both gates.
#[must_use]
pub fn gates(
    facts: &Facts<'_>,
    active: &Active,
    situation: &Situation,
    exposures: &[Exposure],
    findings: &[Finding],
    now: Now,
) -> Gates {
    let Some(to) = super::exposure::candidate(facts, active, situation, findings) else {
        let none = Gate::No(vec!["the plan has no other site".into()]);
        return Gates { to: None, failover: none.clone(), switchover: none };
    };
    let failover = failover(facts, active, situation, exposures, findings, &to, now);
    let switchover = switchover(facts, active, situation, findings, &failover, &to);
    let failover = looked_through(facts, "failover", now).map_or(failover.clone(), |r| both(&failover, &r));
    let switchover = looked_through(facts, "switchover", now).map_or(switchover.clone(), |r| planned(&switchover, &r));
    Gates { to: Some(to), failover, switchover }
}

/// What a runbook's own conditions said when it was looked through last; nothing where the plan has no such runbook. What
/// was not looked through lately nobody can say.
fn looked_through(facts: &Facts<'_>, name: &str, now: Now) -> Option<Gate> {
    facts.plan.runbooks.iter().find(|r| r.as_str() == name)?;
    let newest = facts.rehearsed.iter().find(|r| r.lost.is_none() && r.runbook.as_str() == name);
    let stands = newest.filter(|r| r.stands(now)).map(|r| r.gate.clone());
    let unknown = || Gate::Unknown(vec![SafeText::new(&format!("the {name} runbook was not looked through lately"))]);
    Some(stands.unwrap_or_else(unknown))
}

/// What two gates say together: no where one does, else unknown where one is, else with the consents of both.
fn both(facts: &Gate, runbook: &Gate) -> Gate {
    let reasons = |is: fn(&Gate) -> bool| {
        let mut why: Vec<SafeText> =
            [facts, runbook].into_iter().filter(|g| is(g)).flat_map(Gate::reasons).cloned().collect();
        once(&mut why);
        why
    };
    let no = reasons(|g| matches!(g, Gate::No(_)));
    let unknown = reasons(|g| matches!(g, Gate::Unknown(_)));
    let consent = reasons(|g| matches!(g, Gate::Consent(_)));
    if !no.is_empty() {
        Gate::No(no)
    } else if !unknown.is_empty() {
        Gate::Unknown(unknown)
    } else if !consent.is_empty() {
        Gate::Consent(consent)
    } else {
        Gate::Go
    }
}

/// The same for what is planned: where the situation alone forbids it, nothing else needs to be said.
fn planned(facts: &Gate, runbook: &Gate) -> Gate {
    if matches!(facts, Gate::No(_)) { facts.clone() } else { both(facts, runbook) }
}

fn failover(
    facts: &Facts<'_>,
    active: &Active,
    situation: &Situation,
    exposures: &[Exposure],
    findings: &[Finding],
    to: &SiteId,
    now: Now,
) -> Gate {
    let (mut no, mut unknown, mut consent) = (Vec::new(), Vec::new(), Vec::new());
    if let Situation::SplitBrain { .. } = situation {
        no.push(SafeText::new("two sites take writes: stop one of them first"));
    }
    let about_target = |f: &&Finding| f.subject.site.as_ref().is_none_or(|s| s == to);
    let advice = |id: &ProbeId| facts.plan.probe(id).is_some_and(|p| p.weight == Weight::Advice);
    for finding in findings.iter().filter(about_target) {
        match &finding.failover {
            Bearing::None => {}
            Bearing::Consent(what) => consent.push(what.clone()),
            Bearing::Blocks(what) if finding.probe.as_ref().is_some_and(advice) => consent.push(what.clone()),
            Bearing::Blocks(what) => no.push(what.clone()),
        }
    }
    let holds_data = |l: &LaneDecl| [signals::WRITABLE, signals::FRESH_AS_OF].iter().any(|s| l.expects.contains(s));
    let databases: Vec<_> = facts.plan.probes.iter().filter(|p| p.lanes.iter().any(holds_data)).collect();
    if databases.is_empty() {
        unknown.push(SafeText::new("no probe looks at a database that could take over"));
    }
    for probe in databases {
        let proof = |f: &&Finding| {
            f.probe.as_ref() == Some(&probe.id)
                && f.subject.site.as_ref() == Some(to)
                && f.proves == Some(Proof::Promotable)
        };
        let subject = Subject::site(to.clone());
        let writes_there = matches!(facts.bool(probe, &subject, &signals::WRITABLE, now), Some((true, _)));
        if !writes_there && !findings.iter().any(|f| proof(&f)) {
            let why = SafeText::new(&format!("{}: nothing proves that {to} could be promoted", probe.id.name));
            if advice(&probe.id) { &mut consent } else { &mut unknown }.push(why);
        }
    }
    for exposure in exposures.iter().filter(|e| e.to == *to) {
        match &exposure.bound {
            Bound::Zero => {}
            Bound::Unknown { why } => consent.push(SafeText::new(&format!("an unknown loss: {why}"))),
            Bound::AtMost { span } | Bound::ByLastCommit { span } | Bound::ByContent { span } => {
                consent.push(SafeText::new(&format!("lose <= {}", span.upper())));
            }
        }
    }
    match (&active.database, situation) {
        (_, Situation::PrimaryUnseen { site, .. }) => {
            consent
                .push(SafeText::new(&format!("{site} does not let lifeboat look, so its fence can only be assumed")));
        }
        (ActiveSite::LastSeen(site), _) | (_, Situation::PrimaryUnreachable { site, .. }) => {
            consent.push(SafeText::new(&format!("{site} does not answer, so its fence can only be assumed")));
        }
        (_, _) => {}
    }
    for list in [&mut no, &mut unknown, &mut consent] {
        once(list);
    }
    if !no.is_empty() {
        Gate::No(no)
    } else if !unknown.is_empty() {
        Gate::Unknown(unknown)
    } else if !consent.is_empty() {
        Gate::Consent(consent)
    } else {
        Gate::Go
    }
}

/// Keeps the first of what is said more than once.
fn once(list: &mut Vec<SafeText>) {
    let mut seen = Vec::new();
    list.retain(|t| {
        let new = !seen.contains(t);
        if new {
            seen.push(t.clone());
        }
        new
    });
}

fn switchover(
    facts: &Facts<'_>,
    active: &Active,
    situation: &Situation,
    findings: &[Finding],
    failover: &Gate,
    to: &SiteId,
) -> Gate {
    // What is going on is reason enough: all else that is wrong follows from it, or stands at the failover.
    if situation.leads() {
        return Gate::No(vec![SafeText::new(situation.words())]);
    }
    let mut no = Vec::new();
    if !matches!(active.database, ActiveSite::At(_)) {
        no.push(SafeText::new("the active site's database must answer"));
    }
    let broken = |f: &&Finding| f.area == Area::Replication && f.verdict == Verdict::NotReady;
    let caused = findings.iter().any(|f| broken(&f) && !f.follows);
    no.extend(findings.iter().filter(broken).filter(|f| !(caused && f.follows)).map(|f| f.sentence.clone()));
    // What a person may accept in a disaster is no plan: a record that cannot be moved, or a site that serves nobody.
    let advice = |id: &ProbeId| facts.plan.probe(id).is_some_and(|p| p.weight == Weight::Advice);
    no.extend(
        findings
            .iter()
            .filter(|f| f.area == Area::Dns && f.verdict == Verdict::NotReady && f.failover != Bearing::None)
            .filter(|f| f.subject.site.as_ref().is_none_or(|s| s == to) && !f.probe.as_ref().is_some_and(advice))
            .map(|f| f.sentence.clone()),
    );
    if let Gate::No(why) = failover {
        no.extend(why.iter().cloned());
    }
    if !no.is_empty() {
        once(&mut no);
        return Gate::No(no);
    }
    let unknown: Vec<_> = findings
        .iter()
        .filter(|f| f.area == Area::Replication && f.verdict == Verdict::Unknown)
        .map(|f| f.sentence.clone())
        .collect();
    match failover {
        Gate::Unknown(why) => Gate::Unknown(why.clone()),
        Gate::Go | Gate::Consent(_) | Gate::No(_) if !unknown.is_empty() => Gate::Unknown(unknown),
        Gate::Go | Gate::Consent(_) | Gate::No(_) => Gate::Go,
    }
}
