//! Every expected reading is there, fresh, and no gap: the rule that makes a false green impossible.

use crate::plan::{LaneDecl, Now, Plan, ProbeDecl, RuleId, Span};
use crate::readiness::{About, Evidence, Facts, Finding, Gap, Reason, Rule, Seen, Verdict, worst};

/// One finding per lane: what it could not see, by the worst of its expected keys.
pub struct Reach;

const ID: RuleId = RuleId::new("reach");

impl Rule for Reach {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        let lanes = plan.probes.iter().flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
        lanes.map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() }).collect()
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(probe) = about.probe.as_ref().and_then(|id| facts.plan.probe(id)) else { return Vec::new() };
        let Some(lane) = probe.lanes.iter().find(|l| l.subject == about.subject) else { return Vec::new() };
        vec![judge_lane(facts, probe, lane, now)]
    }
}

/// What one expected key adds: nothing where it is fresh.
enum Trouble<'a> {
    Gap(&'a Gap, Now),
    Stale(Now),
    Never,
}

impl Trouble<'_> {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Gap(gap, _) => gap.reason.verdict(),
            Self::Stale(_) | Self::Never => Verdict::Unknown,
        }
    }
}

fn judge_lane(facts: &Facts<'_>, probe: &ProbeDecl, lane: &LaneDecl, now: Now) -> Finding {
    let id = probe.lane_id(lane);
    let mut oldest: Option<Now> = None;
    let mut failing: Option<&Gap> = None;
    let mut troubles: Vec<(&str, Trouble<'_>)> = Vec::new();
    for signal in lane.expects.iter() {
        match facts.seen_in(probe, &id, signal, now) {
            Seen::Value { reading, failing: gap, .. } => {
                failing = failing.or(gap);
                oldest =
                    Some(oldest.map_or(reading.asked, |o| if reading.asked.boot < o.boot { reading.asked } else { o }));
            }
            Seen::Gap { gap, at } => troubles.push((signal.as_str(), Trouble::Gap(gap, at))),
            Seen::Stale { at } => troubles.push((signal.as_str(), Trouble::Stale(at))),
            Seen::Never => troubles.push((signal.as_str(), Trouble::Never)),
        }
    }
    let make = |verdict, code: &'static str, sentence: &str| {
        Finding::new(ID, probe.area, lane.subject.clone(), verdict, code, sentence).of(&probe.id)
    };
    let what = &lane.server;
    if let Some(verdict) = worst(troubles.iter().map(|(_, t)| t.verdict())) {
        let blind = troubles.len() == lane.expects.len();
        let Some((signal, trouble)) = troubles.into_iter().find(|(_, t)| t.verdict() == verdict) else {
            return make(Verdict::Unknown, "bug", "a fault in lifeboat itself");
        };
        let of = |detail: &str| match (
            blind,
            detail.starts_with(what.as_str())
                || what.as_str().split(' ').next_back().is_some_and(|w| detail.starts_with(w)),
        ) {
            (true, true) => detail.to_owned(),
            (true, false) => format!("{what}: {detail}"),
            (false, _) => format!("{what}, {signal}: {}", detail.strip_prefix(&format!("{what}: ")).unwrap_or(detail)),
        };
        let with = |f: Finding, at: Now, value: &str| {
            let evidence =
                Evidence { what: format!("{} {}", probe.id.name, lane.subject).into(), value: value.into(), at };
            Finding { evidence: vec![evidence], ..f }
        };
        return match trouble {
            Trouble::Gap(gap, at) if gap.reason == Reason::Refused && !facts.refused_twice(&id) => with(
                make(Verdict::Unknown, gap.reason.code(), &of(&format!("{}; asking again", gap.detail))),
                at,
                gap.reason.words(),
            )
            .next("wait for the next look"),
            Trouble::Gap(gap, at) => {
                with(make(verdict, gap.reason.code(), &of(gap.detail.as_str())), at, gap.reason.words())
                    .next(&advice_of(probe.kind, gap.reason, what.as_str()))
            }
            Trouble::Stale(at) => {
                let limit = Span(facts.plan.stale_after(probe));
                with(make(Verdict::Unknown, "stale", &of(&format!("nothing newer than {limit}"))), at, "stale")
                    .next("poll now (r); if it stays, the look hangs: see the probe's timeout")
            }
            Trouble::Never => {
                let seen = facts.readings.outcomes(&id).len() > 0;
                let (code, words) =
                    if seen { ("absent", "the look did not bring it") } else { ("never-read", "not read yet") };
                make(Verdict::Unknown, code, &of(words)).next("wait for the first look, or poll now (r)")
            }
        };
    }
    let Some(oldest) = oldest else {
        return make(Verdict::Unknown, "nothing-expected", &format!("{what}: the probe expects no reading"))
            .next("this is a fault in lifeboat: report it");
    };
    let bad = facts.readings.outcomes(&id).filter(|o| o.gap.is_some()).count();
    let good_since = facts.readings.outcomes(&id).rev().take_while(|o| o.gap.is_none()).count();
    let evidence = |f: Finding| f.because(&format!("{} {}", probe.id.name, lane.subject), &"read", oldest);
    if bad >= 2 && good_since < 3 {
        let last = facts.readings.outcomes(&id).rev().find_map(|o| o.gap.as_ref());
        let why = last.map_or("no answer", |g| g.beside(what.as_str()));
        let sentence = format!("{what}: {bad} of the last 5 looks failed, last: {why}");
        return evidence(make(Verdict::Degraded, "flapping", &sentence))
            .next("look at the network between here and there, and at the server's load");
    }
    match failing {
        Some(gap) => evidence(make(
            Verdict::Ready,
            "answered-before",
            &format!("{what}: the last look failed ({}), an earlier one still stands", gap.beside(what.as_str())),
        )),
        None => evidence(make(Verdict::Ready, "answers", &format!("{what}: looked at"))),
    }
}

/// What to do about a gap of a probe of this kind: what a database grants, a file system does otherwise.
#[must_use]
pub fn advice_of(kind: &str, reason: Reason, server: &str) -> String {
    let files = kind == "backup-files";
    if files && reason == Reason::NoPrivilege {
        return format!("let whoever looks read {server}");
    }
    if files && reason == Reason::Absent {
        return format!("mount it, or mend the location: {server}");
    }
    if files && matches!(reason, Reason::Unreachable | Reason::TimedOut | Reason::QueryFailed) {
        return format!("see whether the file system of {server} is well: its mount, its server, its disk");
    }
    advice(reason, server)
}

/// What to do about a gap that `server` left.
#[must_use]
pub fn advice(reason: Reason, server: &str) -> String {
    match reason {
        Reason::NotConfigured => "configure it, or take it out of the plan's requires".into(),
        Reason::SecretUnavailable => "run lifeboat config check: it names the secret".into(),
        Reason::FileUnreadable => "see that the file is there, and that the user of lifeboat may read it".into(),
        Reason::WrongPassword => "check the password that the configuration names, and the role on the server".into(),
        Reason::NoAccess => format!("let this role and this address in: pg_hba.conf on {server}"),
        Reason::NoPrivilege => "grant it: GRANT pg_monitor TO the role that looks".into(),
        Reason::Forbidden => format!("give the user that lifeboat asks as the right to read this at {server}"),
        Reason::TooManyRequests => "give this probe a longer interval, or ask as a user with a higher limit".into(),
        Reason::NoSuchDatabase => "check the database's name; if it is right, the database is gone".into(),
        Reason::StartingUp => "wait; if it lasts, see the server's log: recovery, or hot_standby = off".into(),
        Reason::ShuttingDown => "find out who stops it".into(),
        Reason::TooManyConnections => "end idle sessions on the server: SELECT pid, state FROM pg_stat_activity".into(),
        Reason::Refused => format!("start the server at {server}, or find out who stopped it"),
        Reason::Unreachable | Reason::TimedOut => {
            format!("check from another machine whether {server} is alive; this network or that host")
        }
        Reason::Reset => "look at what is in between: proxy, firewall, pooler".into(),
        Reason::UnknownIssuer => "name the authority that signed it (sslrootcert), if it is the right server".into(),
        Reason::CertificateExpired => "renew the certificate".into(),
        Reason::CertificateName => "use the name that the certificate is for, or mend the certificate".into(),
        Reason::TlsFailed => "check what the port speaks, and which TLS versions".into(),
        Reason::Malformed | Reason::Absent | Reason::TooLarge => {
            format!("check what answers at {server}: it may be something else")
        }
        Reason::QueryFailed => "see the server's log".into(),
        Reason::NxDomain => "create the record, or mend its name".into(),
        Reason::ServFail => format!("look at {server}: it cannot resolve the name"),
        Reason::DnsRefused => format!("allow this machine to ask {server}, or ask another server"),
        Reason::NotRunnable => "install the program there, or name it by its full path".into(),
        Reason::ProgramFailed => format!("run it by hand as this user, and see what it says: {server}"),
        Reason::HostKey => "compare the host's key with its administrator's, then put it into known_hosts".into(),
        Reason::SshDenied => {
            "put this user's public key into the host's authorized_keys; try it with ssh -o BatchMode=yes".into()
        }
        Reason::SshRefused => "start sshd there, or mend the port".into(),
        Reason::Bug => "report it: this is a fault in lifeboat".into(),
    }
}
