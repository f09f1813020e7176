//! `config.example.toml` is the reference: complete, and right as it stands.

use std::collections::BTreeSet;

use serde_json::Value;

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The key of a line that is a commented-out assignment: `# theme = "mono"`.
fn commented_key(line: &str) -> Option<&str> {
    let (key, value) = line.strip_prefix("# ")?.split_once(" = ")?;
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    (bare && !value.ends_with('.')).then_some(key)
}

#[test]
fn it_parses() {
    if let Err(problems) = lifeboat::config::parse("config.example.toml", EXAMPLE) {
        panic!("{problems}");
    }
}

#[test]
fn every_commented_key_can_be_uncommented_as_it_stands() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let mut tried = 0;
    for (i, line) in lines.iter().enumerate().filter(|(_, line)| commented_key(line).is_some()) {
        let mut changed: Vec<&str> = lines.clone();
        changed[i] = line.strip_prefix("# ").unwrap();
        if let Err(problems) = lifeboat::config::parse("config.example.toml", &changed.join("\n")) {
            panic!("with {line:?}:\n{problems}");
        }
        tried += 1;
    }
    assert!(tried >= 10, "{tried} commented keys were found");
}

/// Every key that the schema knows, as `name` of the last table and the key.
fn keys(schema: &Value, root: &Value, out: &mut BTreeSet<String>, depth: usize) {
    assert!(depth < 20, "the schema goes in circles");
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    for (key, value) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        out.insert(key.clone());
        keys(value, root, out, depth + 1);
    }
    for list in ["oneOf", "anyOf"] {
        for one in schema.get(list).and_then(Value::as_array).into_iter().flatten() {
            keys(one, root, out, depth + 1);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(one @ Value::Object(_)) = schema.get(key) {
            keys(one, root, out, depth + 1);
        }
    }
}

#[test]
fn every_key_of_the_schema_is_in_it_and_explained() {
    let schema = lifeboat::config::schema();
    let mut known = BTreeSet::new();
    keys(&schema, &schema, &mut known, 0);
    for key in known {
        let is = |line: &str| {
            let line = line.strip_prefix("# ").unwrap_or(line);
            line.starts_with(&format!("{key} = "))
                || line.contains(&format!("{{ {key} = "))
                || line.contains(&format!(", {key} = "))
                || line == format!("[[{key}]]")
                || line == format!("[{key}]")
                || line.ends_with(&format!(".{key}]]"))
                || line.ends_with(&format!(".{key}]"))
        };
        assert!(EXAMPLE.lines().any(is), "`{key}` is not in config.example.toml");
    }
}

#[test]
fn every_system_has_a_section() {
    for kind in lifeboat::systems::SYSTEMS.iter().flat_map(|s| s.probes) {
        let line = format!("kind = {:?}", kind.name);
        assert!(EXAMPLE.lines().any(|l| l == line), "no probe with {line}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// With the real systems' readers behind it.
    #[test]
    fn no_change_of_it_makes_the_reader_panic(at in 0..EXAMPLE.len(), cut in 0_usize..60, put in "[a-z\"'=\\[\\]{}.,:/0-9\n\u{0}é]{0,8}") {
        let from = EXAMPLE.floor_char_boundary(at);
        let to = EXAMPLE.floor_char_boundary(at + cut);
        let text = format!("{}{put}{}", &EXAMPLE[..from], &EXAMPLE[to..]);
        if let Err(problems) = lifeboat::config::parse("changed", &text) {
            proptest::prop_assert!(!problems.to_string().is_empty());
        }
    }
}
