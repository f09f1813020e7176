//! The options of the configuration itself. Its JSON Schema is derived from these types; those of the probes come from
//! the systems.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::plan::{Area, Objectives, SafeText, Span, Strategy, Weight};

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
    /// The theme of the screen.
    pub(super) theme: Option<Name>,
    /// What holds for every probe that does not say otherwise.
    #[serde(default)]
    pub(super) defaults: Defaults,
    /// The plans: one protected service each.
    #[schemars(length(min = 1))]
    pub(super) plan: Vec<PlanTable>,
}

/// What holds for every probe that does not say otherwise.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    /// How often to look; 5s where it is not said.
    pub(super) interval: Option<Span>,
    /// How long one look may take, connecting included; 3s where it is not said.
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
    pub(super) weight: Weight,
    /// How often to look, instead of the default.
    pub(super) interval: Option<Span>,
    /// How long one look may take, instead of the default.
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
