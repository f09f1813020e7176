//! What `doctor` found, as text and as JSON.

use serde::Serialize;

use crate::readiness::{Examined, Verdict, worst};

use super::text::Out;
use super::{Style, exit_code};

/// What was found of one thing: `payments/orders-db east`, `this machine`.
#[derive(Clone, Debug)]
pub struct Examination {
    /// What was examined.
    pub about: String,
    /// What was found.
    pub found: Vec<Examined>,
}

/// The verdict of all: `Ready` where nothing was found that is not as it should be.
fn verdict(all: &[Examination]) -> Verdict {
    worst(all.iter().flat_map(|e| &e.found).map(|f| f.verdict)).unwrap_or(Verdict::Unknown)
}

/// As text, in the order in which it was examined, and the exit code that says the worst. The last line counts.
#[must_use]
pub fn doctor(all: &[Examination], style: Style) -> (String, u8) {
    let mut out = Out { text: String::new(), style };
    for one in all {
        for found in one.found.iter().filter(|f| !style.quiet || f.verdict != Verdict::Ready) {
            let next = found.next.as_ref().map(|n| format!(" -> {n}")).unwrap_or_default();
            out.line("", Some(found.verdict), &format!("  {}: {}{next}", one.about, found.sentence));
        }
    }
    let count = |v| all.iter().flat_map(|e| &e.found).filter(|f| f.verdict == v).count();
    let counted: Vec<String> =
        Verdict::ALL.into_iter().filter(|v| count(*v) > 0).map(|v| format!("{} {v}", count(v))).collect();
    if !(style.quiet && verdict(all) == Verdict::Ready) {
        out.line("", None, &format!("{} examined: {}", all.len(), counted.join(", ")));
    }
    (out.text, exit_code(verdict(all)))
}

#[derive(Serialize)]
struct Document<'a> {
    lifeboat: &'static str,
    schema: u32,
    verdict: Verdict,
    exit_code: u8,
    examined: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    about: &'a str,
    verdict: Verdict,
    code: &'static str,
    sentence: &'a str,
    next: Option<&'a str>,
}

/// As one JSON document; a field is never renamed, removed or given another meaning without a new `schema`.
///
/// # Errors
/// None that these types can make; the serialiser's are passed on all the same.
pub fn doctor_json(all: &[Examination], quiet: bool) -> Result<(String, u8), serde_json::Error> {
    let mut lines = Vec::new();
    for (about, found) in all.iter().flat_map(|e| e.found.iter().map(move |f| (e.about.as_str(), f))) {
        if !quiet || found.verdict != Verdict::Ready {
            let next = found.next.as_ref().map(crate::plan::SafeText::as_str);
            let Examined { verdict, code, sentence, .. } = found;
            lines.push(Line { about, verdict: *verdict, code, sentence: sentence.as_str(), next });
        }
    }
    let document = Document {
        lifeboat: env!("CARGO_PKG_VERSION"),
        schema: 1,
        verdict: verdict(all),
        exit_code: exit_code(verdict(all)),
        examined: lines,
    };
    Ok((serde_json::to_string_pretty(&document)? + "\n", document.exit_code))
}
