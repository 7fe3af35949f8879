//! The newest document of settings that Connect's wizard has exported on this server (product facts 2.6 [P]), for the comparison of
//! two of them. Its form is in no source: it is read as whatever JSON it is. What a value names is shown where it is a name, a number
//! or a truth value; of any other text a digest is told, and where its name speaks of a secret, nothing but that it is there.

use protocol::exported::{ExportedRow, ExportedSettings};
use protocol::settings::concealed;
use serde_json::Value;

use crate::op::Export;
use crate::procedure::{Cx, Flow};

/// Longest text that is shown as a name.
const NAME: usize = 80;

/// Parts of a member's name by which a secret may stand behind it. One too many costs a row of a comparison.
const SECRET: [&str; 10] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "credential",
    "token",
    "passphrase",
    "privatekey",
    "certificate",
    "connectionstring",
];

/// Members by which an element of a list is known, in the order of preference ([K]): its place in the list says nothing.
const NAMES: [&str; 4] = ["name", "displayname", "identifier", "id"];

/// Reads and records it. Gives what there is to say of it.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn read(cx: &mut Cx<'_>) -> Flow<String> {
    let export = match cx.connect_export()? {
        Ok(Some(export)) => export,
        Ok(None) => return Ok("no exported settings are there".to_owned()),
        Err(why) => return Ok(format!("the exported settings cannot be read: {why}")),
    };
    let exported = told(&export);
    let mut said = format!(
        "exported settings {}, {} bytes, sha256 {}",
        exported.file, exported.bytes, exported.sha256
    );
    if let Some(why) = &exported.unread {
        said.push_str(&format!(", not compared: {why}"));
    }
    cx.note_export(&exported)?;
    Ok(said)
}

/// What a document says, as rows.
fn told(export: &Export) -> ExportedSettings {
    let read = export.text.as_ref().map_err(Clone::clone);
    let read = read.and_then(|text| {
        // PowerShell writes a mark before UTF-8.
        let text = text.trim_start_matches('\u{feff}');
        let value: Value = serde_json::from_str(text).map_err(|_| "it is no JSON".to_owned())?;
        if !value.is_object() && !value.is_array() {
            return Err("it holds no settings".to_owned());
        }
        let mut rows = Vec::new();
        rows_of("", &value, &mut rows);
        Ok(rows)
    });
    ExportedSettings::of(
        (export.file.clone(), export.written),
        (export.bytes, export.sha256),
        read,
    )
}

fn rows_of(path: &str, value: &Value, rows: &mut Vec<ExportedRow>) {
    let row = |path: &str, value: &str| ExportedRow {
        path: path.to_owned(),
        value: value.to_owned(),
    };
    match value {
        Value::Object(members) if members.is_empty() => rows.push(row(path, "empty")),
        Value::Array(all) if all.is_empty() => rows.push(row(path, "empty")),
        Value::Object(members) => {
            for (name, value) in members {
                let below = if path.is_empty() {
                    shown(name)
                } else {
                    format!("{path}.{}", shown(name))
                };
                // Whatever lies below it, also by how much there is.
                if is_secret(name) && !value.is_null() {
                    rows.push(row(&below, "withheld"));
                } else {
                    rows_of(&below, value, rows);
                }
            }
        }
        Value::Array(all) => {
            for (at, one) in all.iter().enumerate() {
                rows_of(&format!("{path}[{}]", key_of(all, at, one)), one, rows);
            }
        }
        Value::Null => rows.push(row(path, "null")),
        Value::Bool(is) => rows.push(row(path, &is.to_string())),
        Value::Number(number) => rows.push(row(path, &number.to_string())),
        Value::String(text) => rows.push(row(path, &shown(text))),
    }
}

/// An element by its own name, where no other element of the list has it; a text by itself, since the order of names means
/// nothing; anything else by its place.
fn key_of(all: &[Value], at: usize, one: &Value) -> String {
    let named = |one: &Value| {
        let members = one.as_object()?;
        NAMES.iter().find_map(|wanted| {
            let mut all = members.iter();
            let (_, value) = all.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
            value.as_str().map(ToOwned::to_owned)
        })
    };
    if let Some(name) = named(one) {
        let mut same = all
            .iter()
            .filter(|other| named(other).as_ref() == Some(&name));
        if same.next().is_some() && same.next().is_none() {
            return shown(&name);
        }
    }
    one.as_str().map_or_else(|| at.to_string(), shown)
}

fn is_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    SECRET.iter().any(|word| plain.contains(word))
}

/// A text as it is told: names of objects of the product and of a directory's containers as they are, all else by its digest. Where a
/// person may be named, an `@` or an account's backslash stands.
fn shown(text: &str) -> String {
    let plain = |sign: char| {
        sign.is_ascii_alphanumeric()
            || matches!(sign, ' ' | '-' | '_' | '.' | ',' | '=' | ':' | '{' | '}')
    };
    let lower = text.to_ascii_lowercase();
    let person = lower.starts_with("cn=");
    if text.chars().count() <= NAME && text.chars().all(plain) && !person {
        return text.to_owned();
    }
    format!("{} signs, sha256 {}", text.chars().count(), concealed(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::{Digest, Timestamp};
    use serde_json::json;

    use super::*;

    fn export(value: &Value) -> ExportedSettings {
        of_text(&value.to_string())
    }

    fn of_text(text: &str) -> ExportedSettings {
        told(&Export {
            file: "Applied-SynchronizationPolicy-1.JSON".to_owned(),
            written: Timestamp::from_millis(0),
            bytes: text.len() as u64,
            sha256: Digest::of(text.as_bytes()),
            text: Ok(text.to_owned()),
        })
    }

    fn rows(value: &Value) -> Vec<String> {
        let rows = export(value).rows.into_iter();
        rows.map(|row| format!("{} = {}", row.path, row.value))
            .collect()
    }

    #[test]
    fn elements_go_by_their_names_and_the_order_of_a_list_means_nothing() {
        let one = json!({ "connectors": [{ "name": "a.test", "enabled": true }, { "name": "b.test", "enabled": false }], "units": ["OU=B,DC=a", "OU=A,DC=a"] });
        let other = json!({ "units": ["OU=A,DC=a", "OU=B,DC=a"], "connectors": [{ "enabled": false, "name": "b.test" }, { "name": "a.test", "enabled": true }] });
        assert_eq!(export(&one).says, export(&other).says);
        assert_eq!(
            rows(&one),
            [
                "connectors[a.test].enabled = true",
                "connectors[a.test].name = a.test",
                "connectors[b.test].enabled = false",
                "connectors[b.test].name = b.test",
                "units[OU=A,DC=a] = OU=A,DC=a",
                "units[OU=B,DC=a] = OU=B,DC=a",
            ]
        );
        // Two of one name stay two.
        let twice = json!([{ "name": "x", "v": 1 }, { "name": "x", "v": 2 }]);
        assert!(
            rows(&twice).contains(&"[1].v = 2".to_owned()),
            "{:?}",
            rows(&twice)
        );
    }

    /// No value of a member that speaks of a secret is told, not even as a digest: a short one could be found by trying.
    #[test]
    fn what_may_be_a_secret_is_withheld_and_people_are_not_named() {
        let said = rows(&json!({
            "credentials": { "user": "CORP\\anna", "password": "hunter2", "pin": 1234 },
            "ClientSecret": "s3cr3t", "access_token": ["t0k3n"], "caConnectionString": "Server=x;Pwd=y",
            "filter": "Anna Berg@contoso.com", "manager": "CN=Anna Berg,OU=Staff,DC=a",
        }));
        for hidden in ["hunter2", "1234", "s3cr3t", "t0k3n", "Pwd", "anna", "Anna"] {
            assert!(
                said.iter().all(|row| !row.contains(hidden)),
                "{hidden}: {said:?}"
            );
        }
        for digest in ["hunter2", "s3cr3t", "t0k3n", "1234"].map(concealed) {
            assert!(said.iter().all(|row| !row.contains(&digest)), "{said:?}");
        }
        assert!(
            said.contains(&"credentials = withheld".to_owned()),
            "{said:?}"
        );
        assert!(
            said.contains(&"access_token = withheld".to_owned()),
            "{said:?}"
        );
        let filter = said.iter().find(|row| row.starts_with("filter = "));
        assert!(
            filter.is_some_and(|row| row.contains("21 signs, sha256 ")),
            "{said:?}"
        );
    }

    #[test]
    fn what_is_no_document_is_said_and_is_never_empty() {
        for (text, why) in [("", "no JSON"), ("{", "no JSON"), ("7", "no settings")] {
            let told = of_text(text);
            assert!(told.unread.is_some_and(|one| one.contains(why)), "{text}");
        }
        assert_eq!(of_text("\u{feff}{\"a\":1}").rows.len(), 1);
        assert_eq!(of_text("{}").rows[0].value, "empty");
        let deep = "[".repeat(4000);
        assert!(of_text(&deep).unread.is_some());
    }

    proptest! {
        /// Each value that decides anything shows: another one has another digest.
        #[test]
        fn another_value_is_another_digest(one in "\\PC{1,120}", other in "\\PC{1,120}") {
            let of = |text: &str| export(&json!({ "rule": { "expression": text } })).says;
            prop_assert_eq!(of(&one) == of(&other), one == other);
        }
    }
}
