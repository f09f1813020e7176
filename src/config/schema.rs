//! The one schema: derived from option types, joined from the configuration's own and every system's.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::plan::Span;
use crate::runbook::RunbookKind;
use crate::systems::{KindArea, ProbeKind, StepKind, System};

use super::options;

/// The keys that every step has; its kind's own keys stand beside them.
pub(super) const COMMON_STEP: [&str; 8] = ["step", "kind", "probe", "on", "expect", "deadline", "group", "because"];

/// The keys that every probe has; its kind's own keys stand beside them.
pub(super) const COMMON: [&str; 6] = ["name", "kind", "weight", "area", "interval", "timeout"];

/// The JSON Schema (2020-12) of a whole configuration file.
pub(super) fn of(systems: &[&System]) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let common = generator.root_schema_for::<options::ProbeTable>().to_value();
    // Only what probes refer to is wanted of their common keys; the table itself is joined into each kind's.
    drop(generator.definitions_mut().remove("ProbeTable"));
    let mut kinds: Vec<(String, Value)> = Vec::new();
    for kind in systems.iter().flat_map(|s| s.probes) {
        kinds.push((format!("probe.{}", kind.name), probe(&mut generator, kind, &common)));
    }
    let common = generator.root_schema_for::<options::StepTable>().to_value();
    drop(generator.definitions_mut().remove("StepTable"));
    let mut steps: Vec<(String, Value)> = Vec::new();
    for kind in systems.iter().flat_map(|s| s.steps) {
        steps.push((format!("step.{}", kind.name), step(&mut generator, kind, &common)));
    }
    let mut root = generator.into_root_schema_for::<options::File>().to_value();
    let refer = |kinds: &[(String, Value)]| -> Value {
        let items: Vec<Value> = kinds.iter().map(|(name, _)| json!({ "$ref": format!("#/$defs/{name}") })).collect();
        json!({ "oneOf": items })
    };
    let (probes, runbook) = (refer(&kinds), refer(&steps));
    if let Some(definitions) = root.get_mut("$defs").and_then(Value::as_object_mut) {
        definitions.remove("ProbeTable");
        definitions.remove("StepTable");
        definitions.extend(kinds);
        definitions.extend(steps);
    }
    if let Some(plan) = root.pointer_mut("/$defs/PlanTable/properties") {
        let runbooks = RunbookKind::ALL.map(|k| (k.word(), runbook.clone()));
        for (key, items) in runbooks.into_iter().chain([("probe", probes)]) {
            if let Some(list) = plan.get_mut(key).and_then(Value::as_object_mut) {
                list.insert("items".to_owned(), items);
            }
        }
    }
    if let Some(table) = root.as_object_mut() {
        table.insert("title".to_owned(), Value::from("Lifeboat configuration"));
    }
    without_null(&mut root);
    root
}

/// The JSON Schema (2020-12) of another file.
pub(super) fn of_type<T: JsonSchema>() -> Value {
    let mut root = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value();
    without_null(&mut root);
    root
}

/// The schema of one kind of step: its own keys and those that every step has.
fn step(generator: &mut SchemaGenerator, kind: &StepKind, common: &Value) -> Value {
    let own = own(generator, kind.schema);
    let mut properties = table(common, "properties");
    properties.insert("kind".to_owned(), json!({ "const": kind.name, "type": "string" }));
    let mut required = vec![Value::from("step"), Value::from("kind")];
    if kind.probes.is_empty() {
        properties.shift_remove("probe");
    } else {
        required.push(Value::from("probe"));
    }
    join(&own, properties, required)
}

/// The schema of a kind's own keys.
fn own(generator: &mut SchemaGenerator, schema: fn(&mut SchemaGenerator) -> schemars::Schema) -> Value {
    let own = schema(generator).to_value();
    let name = own.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"));
    name.and_then(|name| generator.definitions().get(name).cloned()).unwrap_or(own)
}

/// The schema of one kind of probe: its own keys and those that every probe has.
fn probe(generator: &mut SchemaGenerator, kind: &ProbeKind, common: &Value) -> Value {
    let own = own(generator, kind.schema);
    let mut properties = table(common, "properties");
    properties.insert("kind".to_owned(), json!({ "const": kind.name, "type": "string" }));
    let mut required = vec![Value::from("name"), Value::from("kind")];
    match kind.area {
        KindArea::Fixed(_) => drop(properties.shift_remove("area")),
        KindArea::Declared => required.push(Value::from("area")),
    }
    for (key, least) in [("interval", kind.pace.interval), ("timeout", kind.pace.timeout)] {
        if let (Some(least), Some(property)) = (least, properties.get_mut(key)) {
            at_least(property, least);
        }
    }
    join(&own, properties, required)
}

/// A table with the keys that all of its sort have, and its kind's own.
fn join(own: &Value, mut properties: Map<String, Value>, mut required: Vec<Value>) -> Value {
    properties.extend(table(own, "properties"));
    required.extend(own.get("required").and_then(Value::as_array).into_iter().flatten().cloned());
    let mut schema = Map::new();
    if let Some(description) = own.get("description") {
        schema.insert("description".to_owned(), description.clone());
    }
    schema.insert("type".to_owned(), Value::from("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("required".to_owned(), Value::Array(required));
    schema.insert("additionalProperties".to_owned(), Value::from(false));
    // Alternatives that hold for the table as a whole; there is nothing else that an option type may derive to.
    for key in ["oneOf", "anyOf", "minProperties"] {
        if let Some(value) = own.get(key) {
            schema.insert(key.to_owned(), value.clone());
        }
    }
    Value::Object(schema)
}

/// Says of an interval or a timeout what holds where it is left out.
fn at_least(property: &mut Value, least: Span) {
    let Some(property) = property.as_object_mut() else { return };
    let about = property.get("description").and_then(Value::as_str).unwrap_or_default();
    let about = format!("{about} Without it: {least}, or the default where that is longer.");
    property.insert("description".to_owned(), Value::from(about));
}

fn table(schema: &Value, key: &str) -> Map<String, Value> {
    schema.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// TOML has no null: what is optional is left out.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    map.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(any)) = map.get_mut("anyOf") {
                any.retain(|s| s.get("type").is_none_or(|t| t != "null"));
                if let [Value::Object(one)] = any.as_slice() {
                    let one = one.clone();
                    map.remove("anyOf");
                    for (key, value) in one {
                        map.entry(key).or_insert(value);
                    }
                }
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
