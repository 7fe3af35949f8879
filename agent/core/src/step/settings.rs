//! What decides what Connect Sync synchronizes, read for the comparison of two servers (guard rail G4, PV32). Connectors are
//! known by their names, since their ids are an installation's own; what a filter compares with, a constant or an expression
//! is told as a digest, since people may be named in it.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::event::Completion;
use protocol::settings::{ConnectSettings, Setting, SettingsPart, UnreadPart, concealed};
use serde_json::Value;

use crate::catalogue;
use crate::op::Script;
use crate::procedure::{Complete, Cx, Flow, Reading};
use crate::step::connect_module::{self, Use};
use crate::step::{exported, trouble};

/// A rule of a large installation has a hundred attribute flows, and the module reads each by itself.
const READ_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Reads, and records what was read. What could not be read stops nothing here: whoever compares does not take it for equal.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn read(cx: &mut Cx<'_>) -> Flow<Complete> {
    let module = connect_module::probe(Use::Settings, cx)?;
    let lines = cx.script(
        Script::ReadConnectSettings,
        serde_json::json!({}),
        Vec::new(),
        READ_LIMIT,
    )?;
    let settings = match &lines {
        Ok(lines) => normalized(lines),
        Err(why) => ConnectSettings::untold(why),
    };
    let summary = said(&settings);
    let reading = if settings.unread.is_empty() {
        Ok(summary.clone())
    } else {
        Err(summary.clone())
    };
    let mut finding = catalogue::PV32.judge_gently(reading, Clone::clone, |_| true);
    // Whether both tell the same is the controller's to say, who has heard both.
    "readable on this server".clone_into(&mut finding.wanted);
    let refused = lines.as_ref().err().and_then(|why| trouble::of_script(why));
    if let Some(trouble) = refused {
        finding.fix = trouble.known.sentence();
    }
    cx.note(&[finding, module])?;
    cx.note_settings(&settings)?;
    let exported = exported::read(cx)?;
    Ok(Complete::new(
        Completion::AlreadySo,
        format!("{summary}; {exported}"),
    ))
}

fn said(settings: &ConnectSettings) -> String {
    let number = settings.settings.len() + settings.beyond as usize;
    let mut said = format!(
        "{number} settings, digest {}",
        &settings.digest.to_string()[..12]
    );
    for unread in &settings.unread {
        said.push_str(&format!(
            "; {} not readable: {}",
            unread.part.as_str(),
            unread.why
        ));
    }
    said
}

/// The part that a line of the script is of.
fn part_of(line: &Value) -> Option<SettingsPart> {
    let has = |name: &str| line[name].is_string();
    Some(if has("connector") || has("partition") {
        SettingsPart::Connectors
    } else if has("rule") {
        SettingsPart::Rules
    } else if has("setting") {
        SettingsPart::Installation
    } else if has("feature") {
        SettingsPart::TenantFeatures
    } else if has("passwords") {
        SettingsPart::PasswordSync
    } else {
        return None;
    })
}

/// The script's lines as settings. Where a line lacks something, its part is unread.
fn normalized(lines: &[Value]) -> ConnectSettings {
    let Some((last, lines)) = lines.split_last() else {
        return ConnectSettings::untold("the script said nothing");
    };
    if !last["unread"].is_object() {
        let why = last["error"]["message"].as_str();
        return ConnectSettings::untold(why.unwrap_or("the script did not come to its end"));
    }
    let mut unread = BTreeMap::new();
    for part in SettingsPart::ALL {
        let name = serde_json::to_value(part).unwrap_or_default();
        let why = &last["unread"][name.as_str().unwrap_or_default()];
        if !why.is_null() {
            let why = why.as_str().unwrap_or("no reason was told");
            unread.insert(part, why.to_owned());
        }
    }
    let mut settings = Vec::new();
    let mut of = BTreeMap::<SettingsPart, Vec<&Value>>::new();
    for line in lines {
        match part_of(line) {
            Some(part) => of.entry(part).or_default().push(line),
            None => return ConnectSettings::untold("the script said what is not known here"),
        }
    }
    let connectors = Connectors::of(of.get(&SettingsPart::Connectors));
    for part in SettingsPart::ALL {
        if unread.contains_key(&part) {
            continue;
        }
        let lines = of.get(&part).map_or(&[][..], Vec::as_slice);
        match settings_of(part, lines, &connectors) {
            Ok(read) => settings.extend(read),
            Err(why) => drop(unread.insert(part, why)),
        }
    }
    let unread = unread.into_iter();
    let unread = unread.map(|(part, why)| UnreadPart { part, why });
    ConnectSettings::of(settings, unread.collect())
}

/// Names of connectors by their ids.
struct Connectors(BTreeMap<String, String>);

impl Connectors {
    fn of(lines: Option<&Vec<&Value>>) -> Self {
        let name = |line: &&Value| Some((id(&line["id"])?, text(line, "connector").ok()?));
        let lines = lines.into_iter().flatten();
        Self(lines.filter_map(name).collect())
    }

    fn named(&self, line: &Value) -> Reading<String> {
        let name = id(&line["of"]).and_then(|id| self.0.get(&id).cloned());
        let unknown = || "a rule is of a connector that was not named".to_owned();
        name.ok_or_else(unknown)
    }
}

fn id(value: &Value) -> Option<String> {
    let id = value.as_str()?.trim_matches(['{', '}']);
    (!id.is_empty()).then(|| id.to_lowercase())
}

fn lacks(name: &str) -> String {
    format!("the script did not say ({name})")
}

fn text(line: &Value, name: &str) -> Reading<String> {
    let text = line[name].as_str().ok_or_else(|| lacks(name))?;
    Ok(text.to_owned())
}

fn flag(line: &Value, name: &str) -> Reading<bool> {
    line[name].as_bool().ok_or_else(|| lacks(name))
}

fn rows<'a>(line: &'a Value, name: &str) -> Reading<&'a Vec<Value>> {
    line[name].as_array().ok_or_else(|| lacks(name))
}

/// Texts of a list, sorted: in which order the module names them means nothing.
fn texts(line: &Value, name: &str) -> Reading<Vec<String>> {
    let one = |value: &Value| {
        let text = value.as_str().ok_or_else(|| lacks(name))?;
        Ok(text.to_owned())
    };
    let mut all: Vec<String> = rows(line, name)?.iter().map(one).collect::<Reading<_>>()?;
    all.sort();
    Ok(all)
}

const fn on(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn settings_of(
    part: SettingsPart,
    lines: &[&Value],
    connectors: &Connectors,
) -> Reading<Vec<Setting>> {
    let setting = |name: String, value: String| Setting { part, name, value };
    let mut all = Vec::new();
    // A forest may have none that is on; all else has at least one line.
    if lines.is_empty() && part != SettingsPart::PasswordSync {
        return Err("the script said nothing of it".to_owned());
    }
    let mut defaults = Vec::new();
    for line in lines {
        match part {
            SettingsPart::Connectors if line["connector"].is_string() => {
                let name = text(line, "connector")?;
                let (objects, attributes) = (texts(line, "objects")?, texts(line, "attributes")?);
                all.push(setting(format!("connector {name}"), text(line, "type")?));
                let of = |what: &str| format!("connector {name}, {what}");
                all.push(setting(of("object types"), objects.join(", ")));
                let number = attributes.len();
                let digest = concealed(&attributes.join("\n"));
                let value = format!("{number}, sha256 {digest}");
                all.push(setting(of("attributes"), value));
            }
            SettingsPart::Connectors => {
                let partition = format!("{} of {}", text(line, "partition")?, text(line, "of")?);
                let name = |what: &str| format!("partition {partition}{what}");
                let selected = flag(line, "selected")?;
                let value = if selected { "selected" } else { "not selected" };
                all.push(setting(name(""), value.to_owned()));
                if selected {
                    let classes = texts(line, "classes")?.join(", ");
                    all.push(setting(name(", object types"), classes));
                    for (list, value) in [("included", "included"), ("excluded", "excluded")] {
                        for container in texts(line, list)? {
                            let name = format!("container {container} of {partition}");
                            all.push(setting(name, value.to_owned()));
                        }
                    }
                }
            }
            SettingsPart::Rules => {
                let rule = Rule::of(line, connectors)?;
                if rule.default {
                    defaults.push((rule.precedence, rule.name.clone()));
                    all.push(setting(rule.name.clone(), rule.whole()));
                } else {
                    let own = rule.parts().into_iter();
                    all.extend(own.map(|(name, value)| setting(name, value)));
                }
            }
            SettingsPart::Installation => {
                all.push(setting(text(line, "setting")?, text(line, "value")?));
            }
            SettingsPart::TenantFeatures => {
                let value = on(flag(line, "on")?);
                all.push(setting(text(line, "feature")?, value.to_owned()));
            }
            SettingsPart::PasswordSync => {
                let name = format!("connector {}", text(line, "passwords")?);
                all.push(setting(name, on(flag(line, "on")?).to_owned()));
            }
        }
    }
    if part == SettingsPart::Rules {
        // Of two rules that give one attribute the lower number wins: between forests, the one that was added first. Their
        // numbers differ where their order does not.
        defaults.sort();
        let order: Vec<String> = defaults.into_iter().map(|(_, name)| name).collect();
        let value = format!(
            "{} rules, sha256 {}",
            order.len(),
            concealed(&order.join("\n"))
        );
        all.push(setting("order of the default rules".to_owned(), value));
    }
    Ok(all)
}

/// A synchronization rule.
struct Rule {
    name: String,
    default: bool,
    precedence: i64,
    /// Whether it is in force, what it joins, and whether password hashes go along.
    head: String,
    scope: String,
    join: String,
    /// What flows, by the attribute that it flows to.
    flows: Vec<(String, String)>,
    tag: String,
}

impl Rule {
    fn of(line: &Value, connectors: &Connectors) -> Reading<Self> {
        let state = if flag(line, "disabled")? {
            "disabled"
        } else {
            "enabled"
        };
        let passwords = match text(line, "passwords")?.to_lowercase().as_str() {
            "true" => ", with passwords",
            _ => "",
        };
        let head = format!(
            "{state}, {} to {}, {}{passwords}",
            text(line, "source")?,
            text(line, "target")?,
            text(line, "link")?
        );
        let mut scope = groups(line, "scope", scope)?;
        // One of the groups is enough, and all of a group's conditions must hold: their order means nothing.
        scope.sort();
        let mut flows: Vec<(String, String)> = rows(line, "flows")?
            .iter()
            .map(flow)
            .collect::<Reading<_>>()?;
        flows.sort();
        Ok(Self {
            name: format!(
                "{} rule \"{}\" of {}",
                text(line, "direction")?.to_lowercase(),
                text(line, "rule")?,
                connectors.named(line)?
            ),
            default: flag(line, "default")?,
            precedence: line["precedence"]
                .as_i64()
                .ok_or_else(|| lacks("precedence"))?,
            head,
            scope: scope.join(" or "),
            // The first group by which one object is found is the last that is tried.
            join: groups(line, "join", join)?.join(" or else "),
            flows,
            tag: text(line, "tag")?,
        })
    }

    /// A default rule, whose text is the vendor's: whether it is in force, and a digest by which a change shows.
    fn whole(&self) -> String {
        let all = serde_json::json!([self.head, self.scope, self.join, self.flows, self.tag]);
        let digest = concealed(&all.to_string());
        format!("default, {}, sha256 {digest}", self.head)
    }

    /// A rule of one's own, part by part.
    fn parts(&self) -> Vec<(String, String)> {
        let name = &self.name;
        let head = format!("custom, precedence {}, {}", self.precedence, self.head);
        let none = |text: &str| {
            if text.is_empty() {
                "none".to_owned()
            } else {
                text.to_owned()
            }
        };
        let mut parts = vec![
            (name.clone(), head),
            (format!("{name}, scope"), none(&self.scope)),
            (format!("{name}, join"), none(&self.join)),
        ];
        let flows = self.flows.iter();
        parts.extend(flows.map(|(to, how)| (format!("{name}, flow to {to}"), how.clone())));
        parts
    }
}

/// Groups of conditions, each as one text whose conditions are sorted.
fn groups(
    line: &Value,
    name: &str,
    condition: impl Fn(&Value) -> Reading<String>,
) -> Reading<Vec<String>> {
    let group = |group: &Value| {
        let conditions = rows(group, "all")?.iter().map(&condition);
        let mut conditions: Vec<String> = conditions.collect::<Reading<_>>()?;
        conditions.sort();
        Ok(conditions.join(" and "))
    };
    rows(line, name)?.iter().map(group).collect()
}

fn scope(condition: &Value) -> Reading<String> {
    let value = match text(condition, "value")? {
        empty if empty.is_empty() => String::new(),
        value => format!(" sha256 {}", concealed(&value)),
    };
    let (attribute, operator) = (text(condition, "attribute")?, text(condition, "operator")?);
    Ok(format!("{attribute} {operator}{value}"))
}

fn join(condition: &Value) -> Reading<String> {
    let exact = if flag(condition, "exact")? {
        " (case counts)"
    } else {
        ""
    };
    let (source, target) = (text(condition, "source")?, text(condition, "target")?);
    Ok(format!("{source} = {target}{exact}"))
}

fn flow(flow: &Value) -> Reading<(String, String)> {
    let mut how = text(flow, "kind")?;
    let direct = how.eq_ignore_ascii_case("direct");
    let sources = rows(flow, "from")?.iter();
    let sources: Vec<&str> = sources.filter_map(Value::as_str).collect();
    // Of what is no attribute, a constant may stand in the source's place.
    if direct {
        how.push_str(&format!(" from {}", sources.join(", ")));
    } else {
        let expression = text(flow, "expression")?;
        let all = serde_json::json!([sources, expression]);
        how.push_str(&format!(" sha256 {}", concealed(&all.to_string())));
    }
    how.push_str(&format!(", {}", text(flow, "merge")?));
    if flag(flow, "once")? {
        how.push_str(", once");
    }
    Ok((text(flow, "to")?, how))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What a server says whose connector has that id.
    fn server(id: &str) -> Vec<Value> {
        let tenant = "b891884f-051e-4a83-95af-2544101c9083";
        let rule = |name: &str, default: bool, of: &str, precedence: u32| {
            json!({
                "rule": name, "of": of, "direction": "Inbound", "precedence": precedence, "default": default,
                "disabled": false, "tag": "", "source": "user", "target": "person", "link": "Join", "passwords": "True",
                "scope": [
                    { "all": [
                        { "attribute": "department", "operator": "EQUAL", "value": "Anna Berg" },
                        { "attribute": "mail", "operator": "ISNOTNULL", "value": "" },
                    ] },
                    { "all": [{ "attribute": "country", "operator": "EQUAL", "value": "NL" }] },
                ],
                "join": [{ "all": [{ "source": "objectSID", "target": "objectSID", "exact": false }] }],
                "flows": [
                    { "to": "mail", "from": ["mail"], "kind": "Direct", "once": false, "expression": "", "merge": "Update" },
                    { "to": "title", "from": ["title"], "kind": "Expression", "once": true, "expression": "Left([title],8)", "merge": "Update" },
                ],
            })
        };
        vec![
            json!({ "connector": "corp.test", "id": id, "type": "AD", "objects": ["user", "group"], "attributes": ["mail", "title"] }),
            json!({ "connector": "corp - AAD", "id": tenant, "type": "Extensible2", "objects": ["user"], "attributes": ["mail"] }),
            json!({ "partition": "corp.test", "of": "corp.test", "selected": true, "classes": ["user", "group"], "included": ["OU=B,DC=corp,DC=test", "OU=A,DC=corp,DC=test"], "excluded": ["OU=X,OU=A,DC=corp,DC=test"] }),
            json!({ "partition": "emea.corp.test", "of": "corp.test", "selected": false, "classes": [], "included": [], "excluded": [] }),
            rule("In from AD - User", true, id, 100),
            rule("Out to AAD - User", true, tenant, 101),
            rule(
                "In - Only Sales",
                false,
                &format!("{{{}}}", id.to_uppercase()),
                50,
            ),
            json!({ "setting": "Microsoft.SynchronizationOption.AnchorAttribute", "value": "mS-DS-ConsistencyGuid" }),
            json!({ "feature": "PasswordHashSync", "on": true }),
            json!({ "passwords": "corp.test", "on": true }),
        ]
    }

    fn ended(mut lines: Vec<Value>, unread: Value) -> ConnectSettings {
        lines.push(json!({ "unread": unread }));
        normalized(&lines)
    }

    const ONE: &str = "6a1f0000-0000-0000-0000-000000000001";
    const OTHER: &str = "7b2e0000-0000-0000-0000-000000000002";

    #[test]
    fn two_servers_with_other_ids_say_the_same_and_nobody_is_named() {
        let one = ended(server(ONE), json!({}));
        assert!(one.unread.is_empty(), "{one:?}");
        assert_eq!(one, ended(server(OTHER), json!({})));
        let said = format!("{one:?}");
        for words in [
            "container OU=A,DC=corp,DC=test of corp.test of corp.test",
            "inbound rule \\\"In - Only Sales\\\" of corp.test, scope",
            " and mail ISNOTNULL",
            "or department EQUAL sha256 ",
            "Direct from mail, Update",
            "custom, precedence 50, enabled, user to person, Join, with passwords",
            "2, sha256 ",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        for hidden in [ONE, OTHER, "Anna", "Left("] {
            assert!(!said.contains(hidden), "{hidden}: {said}");
        }
    }

    /// Each value that decides anything, changed by itself, is another digest.
    #[test]
    fn every_value_counts() {
        let whole = ended(server(ONE), json!({})).digest;
        let ids = ["id", "of", "connector", "partition"];
        let mut changed = 0;
        for at in 0..server(ONE).len() {
            let names: Vec<String> = server(ONE)[at]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect();
            for name in names.iter().filter(|name| !ids.contains(&name.as_str())) {
                let mut lines = server(ONE);
                let default = lines[at]["default"] == true;
                let idle = lines[at]["selected"] == false && name != "selected";
                let value = &mut lines[at][name];
                *value = match value.clone() {
                    Value::String(text) => json!(format!("{text}x")),
                    Value::Bool(is) => json!(!is),
                    Value::Number(number) => json!(number.as_i64().unwrap() + 2),
                    Value::Array(mut all) => {
                        all.pop();
                        json!(all)
                    }
                    other @ (Value::Null | Value::Object(_)) => other,
                };
                // Whether hashes go along is a word of which one counts; of a partition that is not selected nothing does.
                let only_order = default && name == "precedence" && at != 4;
                let tag_of_custom = !default && name == "tag";
                if only_order || tag_of_custom || idle {
                    continue;
                }
                changed += 1;
                let other = ended(lines, json!({}));
                assert_ne!(other.digest, whole, "line {at}, {name}");
            }
        }
        assert!(changed > 40, "{changed}");
    }

    #[test]
    fn what_is_missing_makes_its_part_unread_and_nothing_else() {
        let mut lines = server(ONE);
        lines[4].as_object_mut().unwrap().remove("flows");
        let read = ended(lines, json!({ "password-sync": "no" }));
        let unread: Vec<_> = read.unread.iter().map(|one| one.part).collect();
        assert_eq!(unread, [SettingsPart::Rules, SettingsPart::PasswordSync]);
        assert!(read.unread[0].why.contains("(flows)"), "{read:?}");
        assert!(read.settings.iter().all(|one| !unread.contains(&one.part)));
        // Without the connectors' names no rule can be told apart from another server's.
        let read = ended(server(ONE)[2..].to_vec(), json!({ "connectors": "no" }));
        assert!(
            read.unread
                .iter()
                .any(|one| one.part == SettingsPart::Rules)
        );
        for nothing in [
            vec![],
            server(ONE),
            vec![json!({ "error": { "at": "x", "message": "the module was not found" } })],
            vec![json!({ "other": 1 }), json!({ "unread": {} })],
        ] {
            assert_eq!(normalized(&nothing).unread.len(), SettingsPart::ALL.len());
        }
        let empty = ended(Vec::new(), json!({}));
        assert_eq!(empty.unread.len(), 4, "nothing said is nothing read");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_order_of_lines_conditions_and_flows_changes_nothing(
            mut lines in Just(server(ONE)).prop_shuffle(),
            turn in any::<bool>(),
        ) {
            let whole = ended(server(ONE), json!({}));
            if turn {
                for line in &mut lines {
                    for name in ["scope", "flows", "objects", "attributes", "included", "classes"] {
                        if let Some(all) = line[name].as_array_mut() {
                            all.reverse();
                        }
                    }
                    if let Some(all) = line["scope"].as_array_mut() {
                        for group in all {
                            group["all"].as_array_mut().unwrap().reverse();
                        }
                    }
                }
            }
            prop_assert_eq!(whole, ended(lines, json!({})));
        }
    }
}
