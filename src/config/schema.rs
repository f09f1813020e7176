//! The one schema: derived from option types, joined from the configuration's own and every system's.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::systems::{ProbeKind, System};

use super::options;

/// The keys that every probe has; its kind's own keys stand beside them.
pub(super) const COMMON: [&str; 5] = ["name", "kind", "weight", "interval", "timeout"];

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
    let mut root = generator.into_root_schema_for::<options::File>().to_value();
    let items: Vec<Value> = kinds.iter().map(|(name, _)| json!({ "$ref": format!("#/$defs/{name}") })).collect();
    if let Some(definitions) = root.get_mut("$defs").and_then(Value::as_object_mut) {
        definitions.remove("ProbeTable");
        definitions.extend(kinds);
    }
    if let Some(probes) = root.pointer_mut("/$defs/PlanTable/properties/probe").and_then(Value::as_object_mut) {
        probes.insert("items".to_owned(), json!({ "oneOf": items }));
    }
    if let Some(table) = root.as_object_mut() {
        table.insert("title".to_owned(), Value::from("Lifeboat configuration"));
    }
    without_null(&mut root);
    root
}

/// The schema of one kind of probe: its own keys and those that every probe has.
fn probe(generator: &mut SchemaGenerator, kind: &ProbeKind, common: &Value) -> Value {
    let mut own = (kind.schema)(generator).to_value();
    if let Some(name) = own.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
        own = generator.definitions().get(name).cloned().unwrap_or(own);
    }
    let mut properties = table(common, "properties");
    properties.insert("kind".to_owned(), json!({ "const": kind.name, "type": "string" }));
    properties.extend(table(&own, "properties"));
    let mut required = vec![Value::from("name"), Value::from("kind")];
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
