//! What a person types for a run: each text beside what is wanted of it.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, Utc};

use crate::app::update::App;
use crate::plan::{Now, SafeText};
use crate::runbook::{
    Bound, Command, Condition, MOST_AGE, Moment, Prompt, RunId, Shown, StepIx, accepted, expected_words, prompt,
    step_in,
};

use super::PromptId;
use super::pace::{Beat, Pace};
use super::runs::Known;

/// Most characters of a text that is typed.
const TYPED: usize = 200;
/// Characters of a reason or a moment that have room beside their label, and of a ceiling: `  up to 12m`.
const TEXT: usize = 20;
const CEILING: usize = 12;
/// What a person says of an effect.
const SEEN: &[&str] = &["done", "not done"];

/// What is typed for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// A run is opened, as [`super::Opening`] says.
    Open,
    /// What was shown of a range may run.
    Approve {
        /// The run.
        run: RunId,
        /// Where in the journal stands what was shown.
        shown: u64,
        /// What of it was shown to whoever types: another one disarms what they typed.
        bounds: Vec<Bound>,
        /// What names the target.
        challenge: String,
    },
    /// An approval is taken back.
    Withdraw(RunId),
    /// A person says whether a step's effect is there.
    Confirm(RunId, StepIx),
    /// A step is left out.
    Skip(RunId, StepIx),
    /// The run turns back.
    TurnBack(RunId),
    /// The run is ended.
    Abort(RunId),
    /// A person takes note of how it ended.
    Acknowledge(RunId),
    /// Something is noted.
    Note(RunId),
    /// T0 is another moment.
    Date(RunId),
}

impl Purpose {
    /// The run, where there is one already.
    #[must_use]
    pub const fn run(&self) -> Option<&RunId> {
        match self {
            Self::Open => None,
            Self::Approve { run, .. }
            | Self::Withdraw(run)
            | Self::Confirm(run, _)
            | Self::Skip(run, _)
            | Self::TurnBack(run)
            | Self::Abort(run)
            | Self::Acknowledge(run)
            | Self::Note(run)
            | Self::Date(run) => Some(run),
        }
    }

    /// What it is, in words.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Open => "open a run".to_owned(),
            Self::Approve { .. } => "approve".to_owned(),
            Self::Withdraw(_) => "take the approval back: nothing more is begun".to_owned(),
            Self::Confirm(_, step) => format!("is the effect of step {step} there?"),
            Self::Skip(_, step) => format!("skip step {step}"),
            Self::TurnBack(_) => "turn back: promote nothing, undo the fence".to_owned(),
            Self::Abort(_) => "abort the run".to_owned(),
            Self::Acknowledge(_) => "take note of how it ended".to_owned(),
            Self::Note(_) => "note".to_owned(),
            Self::Date(_) => "since when users are without service (T0)".to_owned(),
        }
    }
}

/// Names a text across frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldId {
    /// Why.
    Why,
    /// Why another run shall give way.
    Preempt,
    /// What names the target.
    Name,
    /// A risk that is accepted.
    Risk(StepIx, String),
    /// Advice that is not followed.
    Advice(StepIx, String),
    /// Whether an effect is there.
    Seen,
    /// A moment.
    When,
}

/// What is wanted of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// Exactly these words.
    Words(String),
    /// Any words.
    Reason,
    /// Words and a ceiling that accept this risk as it is now.
    Accepts(Box<Condition>),
    /// One of these.
    Either(&'static [&'static str]),
    /// A moment that is past.
    Moment,
}

impl Wanted {
    /// Whether a text is what is wanted.
    #[must_use]
    pub fn takes(&self, text: &str, now: Now) -> bool {
        let text = text.trim();
        match self {
            Self::Words(words) => !words.is_empty() && text == words,
            Self::Reason => !text.is_empty(),
            Self::Accepts(risk) => accepted(risk, text).is_some(),
            Self::Either(words) => words.contains(&text),
            Self::Moment => moment(text, now).is_some(),
        }
    }

    /// How many characters of it have room from the start, so that a prompt does not grow while somebody types.
    #[must_use]
    pub fn room(&self) -> usize {
        let chars = |text: &str| text.chars().count();
        match self {
            Self::Words(words) => chars(words),
            // With the ceiling after it, which is shown once it is typed.
            Self::Accepts(risk) => chars(&expected_words(risk)) + risk.amount.map_or(0, |_| CEILING),
            Self::Reason | Self::Moment => TEXT,
            Self::Either(words) => words.iter().map(|w| chars(w)).max().unwrap_or_default(),
        }
    }

    /// What to type.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Words(words) => format!("type \"{words}\""),
            Self::Reason => "say why".to_owned(),
            Self::Accepts(risk) => match risk.amount {
                Some(_) => format!("type \"{}\" (or another ceiling)", expected_words(risk)),
                None => format!("type \"{}\"", expected_words(risk)),
            },
            Self::Either(words) => format!("type \"{}\"", words.join("\" or \"")),
            Self::Moment => "type a time (UTC): 03:12, 03:12:40, or 2026-03-01T03:12:40Z".to_owned(),
        }
    }
}

/// One text and what is wanted of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub id: FieldId,
    /// What it is for.
    pub label: String,
    /// What is wanted.
    pub wanted: Wanted,
}

/// What is being typed. Bound to what it was begun for: nothing that moves on the screen changes that.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// What for.
    pub purpose: Purpose,
    /// The text that the keys go to.
    pub at: FieldId,
    /// Why return did nothing, or why what was typed is gone.
    pub said: Option<String>,
    typed: Vec<(FieldId, String)>,
    pace: Pace,
    last: Now,
}

impl Form {
    /// A form for this, as far as there is anything to type.
    #[must_use]
    pub fn new(purpose: Purpose, fields: &[Field], now: Now) -> Option<Self> {
        let at = fields.first()?.id.clone();
        Some(Self { purpose, at, said: None, typed: Vec::new(), pace: Pace::default(), last: now })
    }

    /// The text of a field.
    #[must_use]
    pub fn text(&self, id: &FieldId) -> &str {
        self.typed.iter().find(|(known, _)| known == id).map_or("", |(_, text)| text)
    }

    /// Whether anything is typed.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.typed.iter().all(|(_, text)| text.is_empty())
    }

    /// Changes the text that the keys go to.
    fn edit(&mut self, change: impl FnOnce(&mut String)) {
        match self.typed.iter_mut().find(|(known, _)| *known == self.at) {
            Some((_, text)) => change(text),
            None => {
                let mut text = String::new();
                change(&mut text);
                self.typed.push((self.at.clone(), text));
            }
        }
    }

    /// Takes a character.
    pub fn key(&mut self, c: char, now: Now) {
        self.expire(now);
        self.last = now;
        self.said = None;
        match self.pace.key(now) {
            Beat::Typed => self.edit(|text| {
                if text.chars().count() < TYPED {
                    text.push(c);
                }
            }),
            Beat::Pasted => self.pasted(),
        }
    }

    /// Text was pasted: none of it counts, nor what was typed in the same place.
    pub fn pasted(&mut self) {
        self.edit(String::clear);
        self.pace.anew();
        self.said = Some("that came all at once: pasted, or a slow link. Type it, key by key".to_owned());
    }

    /// Takes something away from what is typed.
    pub fn shorten(&mut self, now: Now, how: fn(&mut String)) {
        self.expire(now);
        self.last = now;
        self.said = None;
        self.edit(how);
        if self.text(&self.at).is_empty() {
            self.pace.anew();
        }
    }

    /// What was typed long ago is gone: whoever typed it may have left.
    pub fn expire(&mut self, now: Now) -> bool {
        let old = now.since(self.last) > MOST_AGE || now.boot < self.last.boot;
        let gone = old && !self.is_blank();
        if gone {
            self.clear(&format!("what was typed more than {} s ago is gone: type it again", MOST_AGE.as_secs()));
        }
        gone
    }

    /// Forgets everything that was typed.
    pub fn clear(&mut self, why: &str) {
        self.typed.clear();
        self.pace.anew();
        self.said = Some(why.to_owned());
    }

    /// Forgets what names the target, so that it is typed again.
    pub fn clear_name(&mut self) {
        self.typed.retain(|(id, _)| *id != FieldId::Name);
        self.pace.anew();
    }

    /// Goes to another field.
    pub fn go(&mut self, to: FieldId) {
        if self.at != to {
            self.at = to;
            self.pace.anew();
        }
    }

    /// Moves among the fields.
    pub fn step(&mut self, fields: &[Field], by: isize) {
        let at = fields.iter().position(|f| f.id == self.at).unwrap_or(0);
        let to = at.saturating_add_signed(by).min(fields.len().saturating_sub(1));
        if let Some(field) = fields.get(to) {
            self.go(field.id.clone());
        }
    }

    /// Return: whether everything is typed as it is wanted, by somebody who typed it. Else goes to where something is
    /// missing, and says what.
    pub fn enter(&mut self, fields: &[Field], now: Now) -> bool {
        if self.expire(now) {
            return false;
        }
        self.last = now;
        self.said = None;
        let Some(field) = fields.iter().find(|f| f.id == self.at) else {
            // What it was typed for is not asked for any more.
            if let Some(first) = fields.first() {
                self.go(first.id.clone());
            }
            return false;
        };
        if !self.pace.ends(now) {
            self.pasted();
            return false;
        }
        if !field.wanted.takes(self.text(&field.id), now) {
            self.said = Some(field.wanted.hint());
            return false;
        }
        let missing = fields.iter().find(|f| !f.wanted.takes(self.text(&f.id), now));
        let last = fields.last().map(|f| &f.id);
        match (missing, last) {
            (Some(missing), _) => self.go(missing.id.clone()),
            (None, Some(last)) if *last != self.at => self.go(last.clone()),
            (None, _) => return true,
        }
        false
    }

    /// What must have been on the screen, all of it, for this to be taken.
    #[must_use]
    pub fn prompt(&self, app: &App) -> Option<PromptId> {
        match &self.purpose {
            Purpose::Open => app.view.opening.as_ref().map(|o| PromptId::Opening(o.plan.clone(), o.kind)),
            Purpose::Approve { run, shown, .. } => Some(PromptId::Range(run.clone(), *shown)),
            Purpose::Withdraw(run)
            | Purpose::Confirm(run, _)
            | Purpose::Skip(run, _)
            | Purpose::TurnBack(run)
            | Purpose::Abort(run)
            | Purpose::Acknowledge(run)
            | Purpose::Note(run)
            | Purpose::Date(run) => Some(PromptId::Words(run.clone())),
        }
    }

    /// What is wanted, in order, as things stand.
    #[must_use]
    pub fn fields(&self, app: &App) -> Vec<Field> {
        fields(&self.purpose, app)
    }

    /// The command that was typed.
    #[must_use]
    pub fn command(&self, fields: &[Field], now: Now) -> Option<Command> {
        let text = |id: FieldId| self.text(&id).trim().to_owned();
        Some(match &self.purpose {
            Purpose::Open => return None,
            Purpose::Approve { shown, .. } => {
                let mut risks = Vec::new();
                let mut waived = Vec::new();
                for field in fields {
                    let typed = self.text(&field.id).trim().to_owned();
                    match &field.id {
                        FieldId::Risk(step, id) => risks.push((*step, id.clone(), typed)),
                        FieldId::Advice(step, id) => waived.push((*step, id.clone(), typed)),
                        FieldId::Why | FieldId::Preempt | FieldId::Name | FieldId::Seen | FieldId::When => {}
                    }
                }
                Command::Approve { shown: *shown, risks, waived, typed: text(FieldId::Name) }
            }
            Purpose::Withdraw(_) => Command::Withdraw { reason: text(FieldId::Why) },
            Purpose::Confirm(_, step) => {
                Command::Confirm { step: *step, done: text(FieldId::Seen) == "done", words: text(FieldId::Why) }
            }
            Purpose::Skip(_, step) => Command::Skip { step: *step, reason: text(FieldId::Why) },
            Purpose::TurnBack(_) => Command::TurnBack { reason: text(FieldId::Why) },
            Purpose::Abort(_) => Command::Abort { reason: text(FieldId::Why) },
            Purpose::Acknowledge(_) => Command::Acknowledge { reason: text(FieldId::Why) },
            Purpose::Note(_) => Command::Note { text: text(FieldId::Why) },
            Purpose::Date(_) => {
                let at = moment(&text(FieldId::When), now)?;
                Command::Date { t0: Moment { at, why: SafeText::new(&text(FieldId::Why)) } }
            }
        })
    }
}

fn reason(label: &str) -> Field {
    Field { id: FieldId::Why, label: label.to_owned(), wanted: Wanted::Reason }
}

fn words(label: &str, words: &str) -> Field {
    Field { id: FieldId::Name, label: label.to_owned(), wanted: Wanted::Words(words.to_owned()) }
}

/// What is wanted for this, in order, as things stand.
pub(super) fn fields(purpose: &Purpose, app: &App) -> Vec<Field> {
    match purpose {
        Purpose::Open => {
            let Some(opening) = &app.view.opening else { return Vec::new() };
            let mut out = vec![reason(&format!("why this {}", opening.kind))];
            if let Some(run) = &opening.preempts {
                let label = format!("why {run} gives way");
                out.push(Field { id: FieldId::Preempt, label, wanted: Wanted::Reason });
            }
            out.push(words("the plan", opening.plan.as_str()));
            out
        }
        Purpose::Approve { run, .. } => {
            let Some((_, wanted)) = app.runs.get(run).and_then(prompt_of) else { return Vec::new() };
            if !wanted.blocked.is_empty() {
                return Vec::new();
            }
            let mut out = Vec::new();
            for (step, risk) in &wanted.risks {
                let id = FieldId::Risk(*step, risk.id.to_string());
                let label = format!("step {step} {}", in_words(risk));
                out.push(Field { id, label, wanted: Wanted::Accepts(Box::new(risk.clone())) });
            }
            for (step, advice) in &wanted.advice {
                let id = FieldId::Advice(*step, advice.id.to_string());
                let label = format!("step {step} {}", in_words(advice));
                out.push(Field { id, label, wanted: Wanted::Reason });
            }
            out.push(words("the target", &wanted.challenge));
            out
        }
        Purpose::Withdraw(_) => vec![reason("why")],
        Purpose::Confirm(..) => {
            let seen = Field { id: FieldId::Seen, label: "its effect is".to_owned(), wanted: Wanted::Either(SEEN) };
            vec![seen, reason("what you saw")]
        }
        Purpose::Skip(_, step) => vec![reason("why"), words("to skip", &format!("skip {step}"))],
        Purpose::TurnBack(_) => vec![reason("why"), words("to turn back", "turn back")],
        Purpose::Abort(_) => vec![reason("why"), words("to end the run", "abort")],
        Purpose::Acknowledge(_) => vec![reason("in your words")],
        Purpose::Note(_) => vec![reason("note")],
        Purpose::Date(_) => {
            let when = Field { id: FieldId::When, label: "T0".to_owned(), wanted: Wanted::Moment };
            vec![when, reason("why then")]
        }
    }
}

/// A condition that does not hold: `risk: nothing is lost: fails: <= 51s, beyond 30s`.
fn in_words(condition: &Condition) -> String {
    format!("{}: {}: {}: {}", condition.class.word(), condition.what, condition.held.word(), condition.why)
}

/// What was shown of a run and waits for an approval, and what it takes.
#[must_use]
pub fn prompt_of(known: &Known) -> Option<(&Shown, Prompt)> {
    let shown = known.state.shown.as_ref()?;
    Some((shown, prompt(&known.state.opened.runbook, &shown.steps)))
}

/// What an approval of it would be bound to.
#[must_use]
pub(super) fn bounds_of(known: &Known, shown: &Shown) -> Vec<Bound> {
    let runbook = &known.state.opened.runbook;
    shown.steps.iter().map(|(ix, preview)| Bound::of(*ix, preview, runbook)).collect()
}

/// Whether a person can say of this step whether its effect is there.
#[must_use]
pub(super) fn can_confirm(known: &Known, step: StepIx) -> bool {
    use crate::runbook::{Outcome, Verified};
    step_in(&known.state, step).is_some_and(|(plan, status)| {
        let newest = status.attempts.last();
        let open = newest.is_some_and(|a| a.end.as_ref().is_none_or(|(end, ..)| end.outcome == Outcome::Indeterminate));
        !status.state.is_over() && (plan.verified == Verified::ByPerson || open)
    })
}

/// The moment that a person means: a time of day is the newest such one that is past.
fn moment(text: &str, now: Now) -> Option<DateTime<Utc>> {
    let text = text.trim().trim_end_matches(['Z', 'z']);
    let time = ["%H:%M", "%H:%M:%S"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok());
    let at = match time {
        Some(time) => {
            let today = now.wall.date_naive().and_time(time).and_utc();
            if today > now.wall { today.checked_sub_signed(chrono::Duration::days(1))? } else { today }
        }
        None => DateTime::parse_from_rfc3339(&format!("{text}Z")).ok()?.to_utc(),
    };
    let week = Duration::from_secs(7 * 86_400);
    let past = now.wall.signed_duration_since(at).to_std().ok()?;
    (past <= week).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::BootTime;

    fn now() -> Now {
        Now {
            wall: DateTime::parse_from_rfc3339("2026-03-01T14:02:11Z").unwrap().to_utc(),
            boot: BootTime(Duration::from_secs(9)),
        }
    }

    #[test]
    fn a_time_of_day_is_the_newest_that_is_past() {
        let at = |text: &str| moment(text, now()).map(|at| at.to_rfc3339());
        assert_eq!(at("14:01").as_deref(), Some("2026-03-01T14:01:00+00:00"));
        assert_eq!(at("14:02:12").as_deref(), Some("2026-02-28T14:02:12+00:00"), "not in the future");
        assert_eq!(at("2026-03-01T14:00:00Z").as_deref(), Some("2026-03-01T14:00:00+00:00"));
        for text in ["", "soon", "25:00", "2026-03-01T14:02:12Z", "2025-03-01T14:00:00Z"] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
