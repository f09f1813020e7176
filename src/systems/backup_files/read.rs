//! From the options as written to what is meant, with every fault of meaning at once.

use std::sync::Arc;

use crate::plan::{CopyPlace, LaneDecl, ProbedCopy, SafeText, SiteId, Subject};
use crate::systems::{Declared, Fault, ReadContext};

use super::options::{BackupFiles, BackupFilesOptions, Kind, Zone};
use super::parse::pattern::{self, NamePattern};
use super::probe::EXPECTS;

/// Reads a probe's own keys.
///
/// # Errors
/// Every fault of meaning.
pub fn read(ctx: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let raw: BackupFilesOptions =
        serde_json::from_value(value).map_err(|e| vec![fault(&[], &e.to_string(), "see lifeboat config schema")])?;
    let files = checked(ctx, raw)?;
    let lane = LaneDecl {
        subject: Subject::site(files.site.clone()),
        server: SafeText::new(&files.location),
        expects: EXPECTS.into(),
    };
    Ok(Declared { options: Arc::new(files), lanes: vec![lane], secrets: Vec::new() })
}

fn fault(path: &[&str], what: &str, right: &str) -> Fault {
    Fault { path: path.iter().map(|p| (*p).to_owned()).collect(), what: what.to_owned(), right: right.to_owned() }
}

fn checked(ctx: &ReadContext<'_>, raw: BackupFilesOptions) -> Result<BackupFiles, Vec<Fault>> {
    let mut faults = Vec::new();
    let site = ctx.sites.iter().find(|s| s.as_str() == raw.site).cloned();
    if site.is_none() {
        let right = format!("one of {}", ctx.sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(", "));
        faults.push(fault(&["site"], &format!("the plan has no site {:?}", raw.site), &right));
    }
    for (key, path) in [("location", Some(&raw.location)), ("restore_proof", raw.restore_proof.as_ref())] {
        match path {
            Some(path) if path.contains("://") => faults.push(fault(
                &[key],
                &format!("{path:?} is no path of this machine's"),
                "a path; mount what is remote, or look at it where it is",
            )),
            Some(path) if !path.starts_with('/') => {
                faults.push(fault(&[key], &format!("{path:?} is not an absolute path"), "start it with /"));
            }
            Some(_) | None => {}
        }
    }
    let names = names(&raw, &mut faults);
    let zone = match raw.zone.as_deref() {
        None | Some("utc") => Some(Zone::Offset(0)),
        Some("local") => Some(Zone::Local),
        Some(text) => pattern::offset(text).map(Zone::Offset),
    };
    if zone.is_none() {
        let what = format!("{:?} is no time zone", raw.zone.as_deref().unwrap_or_default());
        faults.push(fault(&["zone"], &what, "\"utc\", \"local\" or an offset such as \"+02:00\""));
    }
    if raw.zone.is_some() && !names.iter().any(|(_, p)| p.has_time()) {
        faults.push(fault(
            &["zone"],
            "no name tells a time",
            "a time in the pattern, such as {%Y-%m-%dT%H%M}, or no zone",
        ));
    }
    for (key, span) in [("max_age", raw.max_age), ("max_proof_age", raw.max_proof_age)] {
        if span.0.is_zero() {
            faults.push(fault(&[key], "0s is out of range", "the longest that may pass, such as \"26h\""));
        }
    }
    if raw.settle.0 >= raw.max_age.0 && !raw.max_age.0.is_zero() {
        let what = format!("settle {} is not below max_age {}", raw.settle, raw.max_age);
        faults.push(fault(&["settle"], &what, "a minute is plenty where the tool writes without a pause"));
    }
    match (site, zone) {
        (Some(site), Some(zone)) if faults.is_empty() => {
            let place = CopyPlace::new(raw.medium, Some(&site), raw.offsite, ctx.home);
            Ok(BackupFiles {
                copies: vec![ProbedCopy { subject: Subject::site(site.clone()), place }],
                site,
                offsite: raw.offsite,
                location: raw.location,
                names,
                max_age: raw.max_age,
                min_size: raw.min_size,
                max_shrink: raw.max_shrink,
                keep: raw.keep,
                zone,
                settle: raw.settle,
                decode: raw.decode,
                restore_proof: raw.restore_proof,
                max_proof_age: raw.max_proof_age,
            })
        }
        (_, _) => Err(faults),
    }
}

fn names(raw: &BackupFilesOptions, faults: &mut Vec<Fault>) -> Vec<(Kind, NamePattern)> {
    let mut names = Vec::new();
    let mut add = |path: &[&str], kind, text: &String| match NamePattern::new(text) {
        Ok(pattern) => names.push((kind, pattern)),
        Err(why) => faults.push(fault(path, &format!("{text:?}: {why}"), "such as \"orders_{%Y-%m-%dT%H%M}.dump\"")),
    };
    match (&raw.pattern, &raw.chain) {
        (Some(pattern), None) => add(&["pattern"], Kind::Backup, pattern),
        (None, Some(chain)) => {
            // What is named most exactly is tried first: a glob for full ones often matches the others, too.
            if let Some(text) = &chain.incremental {
                add(&["chain", "incremental"], Kind::Incremental, text);
            }
            if let Some(text) = &chain.differential {
                add(&["chain", "differential"], Kind::Differential, text);
            }
            add(&["chain", "full"], Kind::Full, &chain.full);
            if chain.incremental.is_none() && chain.differential.is_none() {
                faults.push(fault(
                    &["chain"],
                    "a chain of full backups alone",
                    "pattern = ... instead, or name what builds on them",
                ));
            }
        }
        (Some(_), Some(_)) => faults.push(fault(&["pattern"], "pattern and chain together", "one of them")),
        (None, None) => {
            faults.push(fault(&["pattern"], "nothing says what backups are called", "pattern = \"orders_*.dump\""));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::options::Decode;
    use super::*;
    use crate::plan::{Area, Medium, Objectives, PlanId, ProbeId, ProbeOptions as _, Span};

    fn try_read(value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "nightly");
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(3));
        let [home, _] = &sites;
        read(
            &ReadContext {
                id: &id,
                strategy: crate::plan::Strategy::WarmStandby,
                sites: &sites,
                home,
                objectives: &objectives,
                area: Area::Backup,
                interval,
                timeout,
            },
            value,
        )
    }

    fn faults(value: serde_json::Value) -> Vec<String> {
        let shown = |f: &Fault| format!("{}: {}; {}", f.path.join("."), f.what, f.right);
        try_read(value).unwrap_err().iter().map(shown).collect()
    }

    #[test]
    fn the_example_of_the_design() {
        let declared = try_read(json!({
            "site": "west", "location": "/srv/backups/orders", "pattern": "orders_*.dump", "max_age": "26h", "min_size": "1GiB",
        }))
        .unwrap();
        let files = declared.options.as_any().downcast_ref::<BackupFiles>().unwrap();
        assert_eq!((files.max_shrink, files.decode, files.settle), (30, Decode::Never, Span::secs(60)));
        let [copy] = files.copies() else { panic!() };
        assert!(copy.place.offsite);
        assert_eq!(copy.place.medium, Medium::Disk);
        assert_eq!(copy.subject, declared.lanes[0].subject);
    }

    #[test]
    fn every_fault_at_once_with_what_would_be_right() {
        let found = faults(json!({
            "site": "wset", "location": "s3://b/x", "pattern": "{%Y}.dump", "max_age": "0s", "zone": "CEST",
            "restore_proof": "proof.json", "max_proof_age": "0s",
        }));
        insta::assert_snapshot!(found.join("\n"), @r#"
        site: the plan has no site "wset"; one of east, west
        location: "s3://b/x" is no path of this machine's; a path; mount what is remote, or look at it where it is
        restore_proof: "proof.json" is not an absolute path; start it with /
        pattern: "{%Y}.dump": the time does not tell the day: it needs %Y, %m and %d, or %F, or %s; such as "orders_{%Y-%m-%dT%H%M}.dump"
        zone: "CEST" is no time zone; "utc", "local" or an offset such as "+02:00"
        zone: no name tells a time; a time in the pattern, such as {%Y-%m-%dT%H%M}, or no zone
        max_age: 0s is out of range; the longest that may pass, such as "26h"
        max_proof_age: 0s is out of range; the longest that may pass, such as "26h"
        "#);
    }

    #[test]
    fn names_are_said_once() {
        let of = |more: serde_json::Value| {
            let mut all = json!({ "site": "west", "location": "/b", "max_age": "1d" });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            faults(all)
        };
        assert!(of(json!({}))[0].contains("nothing says"));
        assert!(of(json!({ "pattern": "a", "chain": { "full": "b" } }))[0].contains("together"));
        assert!(of(json!({ "chain": { "full": "b" } }))[0].contains("alone"));
        assert!(of(json!({ "chain": { "full": "[", "incremental": "{%Y" } })).len() == 2);
        assert!(of(json!({ "pattern": "a*", "settle": "2d" }))[0].contains("settle"));
    }
}
