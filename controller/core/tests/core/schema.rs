//! The published schema against the parser: each knows what the other knows.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::policy;
use controller_core::topology::{Document, check, json_schema, parse};
use serde_json::Value;

const TENANT: &str = "id = \"3f0c8a4e-0000-0000-0000-000000000000\"";

fn findings(text: String) -> Vec<String> {
    let document = Document {
        file: "t.toml".to_owned(),
        text,
    };
    let (_, findings) = parse(&[document]);
    findings.into_iter().map(|finding| finding.what).collect()
}

/// The named tables of the schema with a header in which a key of theirs can be written.
fn tables(schema: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, table) in schema["properties"].as_object().unwrap() {
        let inner = &table["additionalProperties"];
        if inner.is_object() {
            let instance = if name == "domain" { "\"a.test\"" } else { "x" };
            found.push((format!("[{name}.{instance}]"), inner.clone()));
        } else {
            found.push((format!("[{name}]"), table.clone()));
        }
    }
    found
}

#[test]
fn the_parser_knows_every_key_of_the_schema_and_no_other() {
    let schema = json_schema();
    let mut keys = 0;
    for (header, table) in tables(&schema) {
        for key in table["properties"].as_object().unwrap().keys() {
            let unknown = format!("unknown key \"{key}\"");
            let said = findings(format!("{header}\n{key} = 0\n"));
            assert!(
                !said.iter().any(|what| what.contains(&unknown)),
                "{header} {key}: {said:?}"
            );
            keys += 1;
        }
        let said = findings(format!("{header}\nno_such_key = 0\n"));
        assert!(
            said.iter()
                .any(|what| what.contains("unknown key \"no_such_key\"")),
            "{header}: {said:?}"
        );
    }
    assert!(keys > 25, "{keys} keys were looked at");
}

#[test]
fn the_parser_takes_every_word_of_the_schemas_lists_and_no_other() {
    for (header, table) in tables(&json_schema()) {
        for (key, value) in table["properties"].as_object().unwrap() {
            let listed = value.get("enum").or_else(|| value["items"].get("enum"));
            let Some(words) = listed.and_then(Value::as_array) else {
                continue;
            };
            let written = |word: &str| {
                if value.get("enum").is_some() {
                    format!("\"{word}\"")
                } else {
                    format!("[\"{word}\"]")
                }
            };
            let refused = |word: &str| {
                let id = if header.starts_with("[tenant") {
                    TENANT
                } else {
                    ""
                };
                let text = format!("{header}\n{id}\n{key} = {}\n", written(word));
                findings(text).iter().any(|what| what.contains(word))
            };
            for word in words {
                let word = word.as_str().unwrap();
                assert!(!refused(word), "{header} {key} = {word} is refused");
            }
            assert!(refused("no-such-word"), "{header} {key} takes any word");
        }
    }
}

/// As much of JSON Schema as the published one uses.
fn validate(schema: &Value, value: &Value, at: &str) {
    if let Some(kind) = schema["type"].as_str() {
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "boolean" => value.is_boolean(),
            other => panic!("type {other} is not looked at"),
        };
        assert!(fits, "{at} is no {kind}: {value}");
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value}");
    }
    if let Some(items) = value.as_array() {
        for item in items {
            validate(&schema["items"], item, at);
        }
    }
    let Some(table) = value.as_object().filter(|_| schema["type"] == "object") else {
        return;
    };
    for required in schema["required"].as_array().into_iter().flatten() {
        let required = required.as_str().unwrap();
        assert!(table.contains_key(required), "{at} lacks {required}");
    }
    for (key, value) in table {
        let known = schema["properties"].get(key);
        let rest = &schema["additionalProperties"];
        let inner = known.or_else(|| rest.is_object().then_some(rest));
        let inner = inner.unwrap_or_else(|| panic!("{at}.{key} is not in the schema"));
        validate(inner, value, &format!("{at}.{key}"));
    }
}

#[test]
fn the_examples_fit_the_schema_and_the_parser() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    for name in ["minimal.toml", "estate.toml"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let value: toml::Value = toml::from_str(&text).unwrap();
        validate(&json_schema(), &serde_json::to_value(value).unwrap(), name);
        assert_eq!(findings(text), [""; 0], "{name}");
    }
}

/// The policy of the examples is for the larger topology of the examples.
#[test]
fn the_example_of_a_policy_fits_the_topology_beside_it() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let document = |name: &str| Document {
        file: name.to_owned(),
        text: std::fs::read_to_string(folder.join(name)).unwrap(),
    };
    let (topology, findings) = parse(&[document("estate.toml")]);
    assert!(findings.is_empty(), "{findings:?}");
    let (policy, mut findings) = policy::parse(&document("policy.toml"));
    findings.extend(policy::check(&policy, &topology));
    assert!(findings.is_empty(), "{findings:?}");
    assert!(policy.site_rules(&topology)["ams"].window.is_some());
}

#[test]
fn what_can_be_read_around_a_mistake_is_checked_and_nothing_is_missed_that_may_lie_in_it() {
    let document = |text: &str| Document {
        file: "t.toml".to_owned(),
        text: text.to_owned(),
    };
    let text = r#"
[tenant.main]
id = "not-a-guid"
cloud = "comercial"
[tenant.gov]
id = 77aa
[site.ams]
reboot = true
[domain."corp.contoso.com"]
allow_outage = "yes"
min_serving = 2
[agents.corp]
tenant = "main"
serves = ["corp.contoso.com"]
hosts = ["a.corp.contoso.com", "a.corp.contoso.com", "under score"]
may_fix = ["tls13"]
[agents.gov]
tenant = "gov"
site = "ams"
serves = 7
hosts = ["b.agency.test"]
[product]
connect = 3
"#;
    let (topology, mut findings) = parse(&[document(text)]);
    findings.extend(check(&topology, None));
    findings.sort();
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    for finding in &findings {
        assert!(!finding.fix.is_empty(), "no mend is named: {finding}");
    }
    let expected = [
        (
            "3:6",
            "id: \"not-a-guid\" is not a tenant id",
            "write \"3f0c8a4e-",
        ),
        (
            "4:9",
            "\"comercial\" is none of commercial, us-government, china",
            "write \"commercial\"",
        ),
        ("6:", "", "correct this line"),
        (
            "8:10",
            "reboot must be text in quotes",
            "write \"never\" or \"ask\" or \"window\"",
        ),
        (
            "10:16",
            "allow_outage must be true or false",
            "write allow_outage = true",
        ),
        (
            "15:32",
            "a.corp.contoso.com stands twice",
            "remove one of the two",
        ),
        (
            "15:54",
            "is not a fully qualified DNS name",
            "write \"ams-sync-01.corp.contoso.com\"",
        ),
        (
            "16:12",
            "\"tls13\" is none of tls12, vaultsvc",
            "write \"tls12\"",
        ),
        ("20:10", "serves must be a list", "write serves = ["),
        (
            "23:11",
            "product.connect must be a table",
            "write [product.connect]",
        ),
    ];
    for (place, what, fix) in expected {
        assert!(
            said.iter()
                .any(|said| said.starts_with(&format!("t.toml:{place}"))
                    && said.contains(what)
                    && said.contains(fix)),
            "{place} {what} {fix}: {said:#?}"
        );
    }
    assert_eq!(said.len(), expected.len(), "{said:#?}");
}

#[test]
fn a_broken_header_hides_its_own_table_and_no_other() {
    let text = "[tenant.main\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[agents.x]\nserves = [\"a.test\"]\nhost = []\n";
    let document = Document {
        file: "t.toml".to_owned(),
        text: text.to_owned(),
    };
    let (topology, mut findings) = parse(&[document]);
    findings.extend(check(&topology, None));
    let places: Vec<(usize, String)> = findings
        .iter()
        .map(|finding| (finding.place.line, finding.what.clone()))
        .collect();
    assert_eq!(places.len(), 2, "{places:?}");
    assert_eq!(places[0].0, 1, "{places:?}");
    assert_eq!(
        places[1],
        (5, "unknown key \"host\" in [agents.x]".to_owned())
    );
}

#[test]
fn a_topology_that_names_no_server_is_told_and_what_cannot_be_read_is_not_called_empty() {
    let told = |text: &str| {
        let (topology, _) = parse(&[Document {
            file: "t.toml".to_owned(),
            text: text.to_owned(),
        }]);
        let remarks = check(&topology, None);
        let lines: Vec<String> = remarks.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let empty = told("");
    assert!(
        empty.starts_with("t.toml:1:1: warning: no server is named"),
        "{empty}"
    );
    let tenant = told("[tenant.t]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n");
    assert!(tenant.contains("no server is named"), "{tenant}");
    let broken = told("[agents.corp\n");
    assert!(!broken.contains("no server is named"), "{broken}");
}
