//! The options of the configuration itself. Its JSON Schema is derived from these types; those of the probes come from
//! the systems.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::plan::{Area, CopyRule, Day, Medium, Objectives, SafeText, Span, Strategy, Weight};

/// A name that other things refer to: letters, digits, `.`, `_` and `-`, at most 63, starting with a letter or digit.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Name(pub(super) String);

impl Name {
    /// Whether a text can be a name.
    pub(super) fn fits(text: &str) -> bool {
        let mut chars = text.chars();
        text.len() <= 63
            && chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
            && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    }
}

/// Whether a text can be a name: letters, digits, `.`, `_` and `-`, at most 63, starting with a letter or digit.
#[must_use]
pub fn is_name(text: &str) -> bool {
    Name::fits(text)
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "name", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
                       "description": "A name: letters, digits, '.', '_' and '-', at most 63." })
    }
}

/// Text for people: shown, never interpreted.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Words(pub(super) SafeText);

impl JsonSchema for Words {
    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": 500, "description": "Text for people." })
    }
}

/// The configuration of Lifeboat.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The site that this machine is in: a site's name, or "elsewhere".
    pub(super) here: Option<Name>,
    /// The directory for state, shared by the operators of this host; else the user's own.
    pub(super) state: Option<String>,
    /// The theme of the screen: "default", "light", "high-contrast", "mono", or one of your own: "NAME" for themes/NAME.toml
    /// beside the configuration.
    #[expect(dead_code, reason = "read with its place; here for its schema")]
    pub(super) theme: Option<Name>,
    /// Whether the board takes the mouse: the wheel scrolls, a click selects, a click on what is selected opens it. With
    /// `false` the terminal keeps it for selecting text; so it does while shift is held, in most terminals.
    #[serde(default = "yes")]
    pub(super) mouse: bool,
    /// Marks the configuration of a practice world. Only `lifeboat demo` writes it.
    pub(super) practice: Option<PracticeTable>,
    /// What holds for every probe that does not say otherwise.
    #[serde(default)]
    #[expect(dead_code, reason = "read where a probe's kind is known; here for its schema")]
    pub(super) defaults: Defaults,
    /// The plans: one protected service each.
    #[schemars(length(min = 1))]
    pub(super) plan: Vec<PlanTable>,
}

/// The practice world that a configuration belongs to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PracticeTable {
    /// The addresses that are its own, all of them loopback: `127.0.0.1:40001`. Whatever else the configuration names is
    /// refused, and so is every program.
    #[schemars(length(min = 1))]
    pub(super) own: Vec<String>,
}

/// What holds for every probe that does not say otherwise.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read where a probe's kind is known; here for its schema")]
pub(super) struct Defaults {
    /// How often to look; 5s where it is not said. Kinds that look at what changes seldom have a longer one of their
    /// own: then the longer of the two holds. From 1m on, databases are asked over a new connection each time: one that
    /// rests so long is not kept.
    pub(super) interval: Option<Span>,
    /// How long one look may take, connecting included; 3s where it is not said. Kinds whose looks take long have a
    /// longer one of their own: then the longer of the two holds.
    pub(super) timeout: Option<Span>,
}

/// One protected service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanTable {
    /// Its name, unique among plans.
    pub(super) name: Name,
    /// How important it is; 1 is the most important.
    #[schemars(range(min = 1, max = 9))]
    pub(super) tier: u8,
    /// How it means to survive; it says which areas must be ready.
    pub(super) strategy: Strategy,
    /// What it promises.
    pub(super) objectives: Objectives,
    /// Where it can run: each site's name, and what it is in your words. At least two.
    #[schemars(with = "BTreeMap<String, Words>", extend("minProperties" = 2))]
    pub(super) sites: Map<String, Value>,
    /// The site where it normally runs.
    pub(super) home: Name,
    /// The areas that must be ready, instead of those that the strategy requires.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(super) requires: Option<Vec<Area>>,
    /// The ways to look at it.
    #[serde(default)]
    pub(super) probe: Vec<ProbeTable>,
    /// Whom to call.
    #[serde(default)]
    pub(super) contact: Vec<ContactTable>,
    /// What it knows will not survive.
    #[serde(default)]
    pub(super) loss: Vec<LossTable>,
    /// What somebody made sure of.
    #[serde(default)]
    pub(super) confirm: Vec<ConfirmTable>,
    /// How many copies of the data there must be. "3-2-1": three, production included, on two media, one off the home
    /// site. Without it, nobody counts them.
    pub(super) copies: Option<CopyRule>,
    /// Copies that no probe sees.
    #[serde(default)]
    pub(super) copy: Vec<CopyTable>,
    /// What else would be lost with a site, beside what probes look at there: name servers, hosts that secrets come from.
    /// `--assume-lost` refuses them.
    #[serde(default)]
    pub(super) lost_with: BTreeMap<String, Vec<Words>>,
    /// The steps of an unplanned failover, in order.
    #[serde(default)]
    #[expect(dead_code, reason = "read where a step's kind is known; here for its schema")]
    pub(super) failover: Vec<StepTable>,
    /// The steps of a planned switchover, in order.
    #[serde(default)]
    #[expect(dead_code, reason = "read where a step's kind is known; here for its schema")]
    pub(super) switchover: Vec<StepTable>,
    /// The steps of the way back home, in order.
    #[serde(default)]
    #[expect(dead_code, reason = "read where a step's kind is known; here for its schema")]
    pub(super) failback: Vec<StepTable>,
    /// The steps of a rehearsal, in order. It must not touch what users use.
    #[serde(default)]
    #[expect(dead_code, reason = "read where a step's kind is known; here for its schema")]
    pub(super) drill: Vec<StepTable>,
}

/// What every step has, beside the keys of its kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "read where a step's kind is known; here for its schema")]
pub(super) struct StepTable {
    /// Its name, unique in its runbook: what it does, in your words.
    pub(super) step: Words,
    /// What it does.
    pub(super) kind: String,
    /// The probe whose system it acts on, where its kind acts on one.
    pub(super) probe: Option<Name>,
    /// The site that it is about: "old-active", "new-active", or a site's name. Without it, the site that takes over.
    pub(super) on: Option<Name>,
    /// How long it normally takes; the estimate counts with it until runs have measured it.
    pub(super) expect: Option<Span>,
    /// How long acting and looking for the effect may take; then nobody knows, and a person decides. Each kind has one.
    pub(super) deadline: Option<Span>,
    /// Steps in a row with the same group run side by side.
    pub(super) group: Option<Name>,
    /// Why this step does what would be refused otherwise, such as promoting without a fence before it.
    pub(super) because: Option<Words>,
}

/// What every probe has, beside the keys of its kind.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ProbeTable {
    /// Its name, unique in the plan.
    pub(super) name: Name,
    /// What it looks at.
    pub(super) kind: String,
    /// Whether its findings count in full, or are advice: then they cap at degraded.
    #[serde(default)]
    #[expect(dead_code, reason = "read where the probe is; here for its schema")]
    pub(super) weight: Weight,
    /// The column that its findings count in: for kinds that serve any.
    #[expect(dead_code, reason = "read where the kind is known; here for its schema")]
    pub(super) area: Option<Area>,
    /// How often to look, instead of the default.
    #[expect(dead_code, reason = "read where the kind is known; here for its schema")]
    pub(super) interval: Option<Span>,
    /// How long one look may take, instead of the default.
    #[expect(dead_code, reason = "read where the kind is known; here for its schema")]
    pub(super) timeout: Option<Span>,
}

/// A person or a rota to call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactTable {
    /// Their part.
    pub(super) role: Words,
    /// How to reach them.
    pub(super) reach: Words,
    /// When to call: so long after T0; at once where it is not said.
    #[serde(default)]
    pub(super) after: Span,
}

/// Something that will not survive a failover.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LossTable {
    /// What will be lost.
    pub(super) what: Words,
    /// Why.
    pub(super) why: Words,
}

/// Something that no probe can see and that somebody made sure of. It stands for a while, and is unknown after that.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfirmTable {
    /// What was made sure of.
    pub(super) what: Words,
    /// When. Write the new day here when it was made sure of again.
    pub(super) on: Day,
    /// By whom.
    pub(super) by: Words,
    /// For how long it stands; 90d where it is not said.
    #[serde(rename = "for", default = "ninety_days")]
    pub(super) lasts: Span,
    /// The area that it counts in; "standby" where the plan has it, else the first that it requires. It never makes an
    /// area ready by itself.
    pub(super) area: Option<Area>,
}

const fn yes() -> bool {
    true
}

const fn ninety_days() -> Span {
    Span::secs(90 * 86_400)
}

/// A copy of the data that no probe sees, such as tapes in a vault.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CopyTable {
    /// What it is.
    pub(super) what: Words,
    /// What it is kept on.
    #[serde(default)]
    pub(super) medium: Medium,
    /// The site that it is in, where it is one of the plan's.
    pub(super) site: Option<Name>,
    /// Whether it survives the loss of the home site; where it is not said, a copy in another site does.
    pub(super) offsite: Option<bool>,
    /// When somebody last made sure that it is there. It is unknown once that is too long ago.
    pub(super) on: Day,
    /// Who that was.
    pub(super) by: Option<Words>,
    /// For how long their word holds; 31d where it is not said.
    #[serde(rename = "for", default = "thirty_one_days")]
    pub(super) lasts: Span,
}

const fn thirty_one_days() -> Span {
    Span::secs(31 * 86_400)
}
