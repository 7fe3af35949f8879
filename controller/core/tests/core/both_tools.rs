//! A domain in both tools, as a topology says it (guard rail G7): what `check` refuses, what it lets pass since it is said to be
//! meant, and what the plan says of that.

use controller_core::beyond::{Beyond, SuffixesSeen};
use controller_core::facts::{Fleetwide, Known};
use controller_core::finding::Severity;
use controller_core::plan::{Inputs, Plan, Purpose, plan, render};
use controller_core::policy::Policy;
use controller_core::topology::{Overlap, check, json_schema, parse};
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::step::{BothTools, Step};
use protocol::{TargetId, Timestamp};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// An agent that serves a child domain of a forest, whose Connect entry says so much.
fn document(agents: &str, entry: &str) -> String {
    format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[tenant.other]\nid = \"3f0c8a4e-0000-0000-0000-000000000001\"\n{agents}\n[domain.\"emea.a.test\"]\nallow_outage = true\n[connect.main]\ntenant = \"main\"\nforests = [\"a.test\", \"b.test\"]\n{entry}\n"
    )
}

const AGENTS: &str =
    "[agents.a]\ntenant = \"main\"\nserves = [\"emea.a.test\"]\nhosts = [\"s1.a.test\"]";
const SERVERS: &str = "servers = [\"c1.a.test\"]";

/// Everything that is found, by severity; what concerns custom settings alone is no matter here.
fn found(agents: &str, entry: &str) -> Vec<(Severity, String)> {
    let (topology, mut findings) = parse(&[common::document(document(agents, entry))]);
    findings.extend(check(&topology, None));
    let findings = findings.into_iter();
    findings
        .map(|one| (one.severity, one.to_string()))
        .collect()
}

fn of_rail(agents: &str, entry: &str) -> Vec<(Severity, String)> {
    let mut found = found(agents, entry);
    found.retain(|(_, said)| said.contains("(G7)"));
    found
}

#[test]
fn a_domain_of_which_both_take_everything_is_refused_unless_that_is_said_to_be_meant() {
    let with = |settings: &str| format!("{SERVERS}\nsettings = {settings}");
    let root = r#"{ units = { "a.test" = ["DC=emea, DC=a,dc=TEST"] } }"#;
    for whole in [
        "{ start = true }",
        root,
        r#"{ units = { "b.test" = ["OU=x,DC=b,DC=test"] } }"#,
    ] {
        let told = of_rail(AGENTS, &with(whole));
        let [(Severity::Error, said)] = &told[..] else {
            panic!("{whole}: {told:#?}");
        };
        for words in [
            "emea.a.test is served by provisioning agents, and lies in the forest a.test",
            "an object must be in the scope of one tool alone (G7)",
            "as it is written Connect takes all of emea.a.test",
            r#"overlap = { "emea.a.test" = "pilot" }"#,
            "cloudNoFlow",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        for (word, shown) in [
            ("pilot", Overlap::Pilot.shown()),
            ("moved", Overlap::Moved.shown()),
        ] {
            let entry = format!(
                "{}\noverlap = {{ \"emea.a.test\" = \"{word}\" }}",
                with(whole)
            );
            let told = of_rail(AGENTS, &entry);
            let [(Severity::Warning, said)] = &told[..] else {
                panic!("{whole}, {word}: {told:#?}");
            };
            assert!(said.contains(shown), "{said}");
            assert!(said.contains("goes on by override G7 alone"), "{said}");
        }
        // That of another domain says nothing of this one.
        let entry = format!("{}\noverlap = {{ \"b.test\" = \"pilot\" }}", with(whole));
        let told = of_rail(AGENTS, &entry);
        assert!(matches!(&told[..], [(Severity::Error, _)]), "{told:#?}");
    }
}

#[test]
fn what_may_be_disjoint_or_goes_is_not_refused() {
    let custom = |settings: &str| format!("{SERVERS}\nsettings = {settings}");
    let units = custom(r#"{ units = { "a.test" = ["OU=Staff,DC=emea,DC=a,DC=test"] } }"#);
    // The root of the forest is another tree than its child domain.
    let above = custom(r#"{ units = { "a.test" = ["DC=a,DC=test"] } }"#);
    let pilots = custom(r#"{ pilot_groups = { "a.test" = "CN=p,DC=a,DC=test" } }"#);
    // The file that the wizard imports has the filters.
    let imports = custom(r#"{ import = "MigratedPolicy.json" }"#);
    let whole = custom("{ start = true }");
    let goes = "servers = []\nretired = [\"c1.a.test\"]\nsettings = { start = true }";
    let leaving = "[agents.a]\ntenant = \"main\"\nserves = [\"emea.a.test\"]\nhosts = []\nretired = [\"s1.a.test\"]";
    let stranger =
        "[agents.a]\ntenant = \"other\"\nserves = [\"emea.a.test\"]\nhosts = [\"s1.a.test\"]";
    for (agents, entry) in [
        (AGENTS, SERVERS),
        (AGENTS, &units),
        (AGENTS, &above),
        (AGENTS, &pilots),
        (AGENTS, &imports),
        (AGENTS, goes),
        (leaving, &whole),
        (stranger, &whole),
    ] {
        let told = of_rail(agents, entry);
        assert!(
            matches!(&told[..], [(Severity::Warning, _)]),
            "{agents} {entry}: {told:#?}"
        );
    }
    // A domain of its own forest is in one tool.
    let apart = "[agents.a]\ntenant = \"main\"\nserves = [\"c.test\"]\nhosts = [\"s1.c.test\"]\n[domain.\"c.test\"]\nallow_outage = true";
    let text =
        document(apart, &whole).replace("[domain.\"emea.a.test\"]\nallow_outage = true\n", "");
    let (topology, _) = parse(&[common::document(text)]);
    assert!(
        check(&topology, None)
            .iter()
            .all(|one| !one.what.contains("(G7)"))
    );
}

#[test]
fn what_is_declared_is_read_with_care() {
    let entry = |overlap: &str| format!("{SERVERS}\noverlap = {overlap}");
    for (overlap, severity, says) in [
        (
            r#"{ "emea.a.test" = "pilo" }"#,
            Severity::Error,
            "write \"pilot\"",
        ),
        (
            r#"{ "emea.a.test" = true }"#,
            Severity::Error,
            "must be text",
        ),
        (r#"{ "emea" = "pilot" }"#, Severity::Error, "overlap"),
        (r#"["emea.a.test"]"#, Severity::Error, "must be a table"),
        (
            r#"{ "emea.c.test" = "pilot" }"#,
            Severity::Error,
            "overlap of \"main\" names emea.c.test, which lies in none of its forests\n    fix: did you mean \"emea.a.test\"?",
        ),
        (
            r#"{ "b.test" = "moved" }"#,
            Severity::Warning,
            "names b.test, which no agents of its tenant serve",
        ),
    ] {
        let told = found(AGENTS, &entry(overlap));
        assert!(
            told.iter()
                .any(|(one, said)| *one == severity && said.contains(says)),
            "{overlap}: {told:#?}"
        );
    }
    let words = &json_schema()["properties"]["connect"]["additionalProperties"]["properties"]["overlap"]
        ["additionalProperties"]["enum"];
    for word in words.as_array().unwrap() {
        let told = found(AGENTS, &entry(&format!("{{ \"emea.a.test\" = {word} }}")));
        assert!(
            told.iter().all(|(one, _)| *one == Severity::Warning),
            "{word}: {told:#?}"
        );
    }
}

/// It is said in the plan what people decide and do; what holds the domain at the action stands beside it.
#[test]
fn the_plan_says_what_was_decided_and_is_held_all_the_same() {
    let said = |overlap: &str| {
        let entry = format!("{SERVERS}\nsettings = {{ start = true }}\n{overlap}");
        let (topology, findings) = parse(&[common::document(document(AGENTS, &entry))]);
        assert!(findings.is_empty(), "{findings:?}");
        let known = Known {
            facts: Some((NOW, common::facts(None, None))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        let known = Fleetwide::from([("s1.a.test".parse().unwrap(), known)]);
        let (policy, artifacts) = (Policy::default(), common::artifacts());
        let inputs = Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Install);
        render(&plan(inputs))
    };
    let none = said("");
    assert!(
        !none.contains("decided by whoever wrote the topology"),
        "{none}"
    );
    for (word, people) in [
        (
            "pilot",
            "an inbound rule that sets cloudNoFlow to True and an outbound one of link type JoinNoFlow",
        ),
        (
            "moved",
            "nobody makes one of its Connect servers active again",
        ),
    ] {
        let told = said(&format!("overlap = {{ \"emea.a.test\" = \"{word}\" }}"));
        for words in [
            "held: emea.a.test is in both tools, and whether their units are disjoint cannot be told",
            "decided by whoever wrote the topology: emea.a.test is in both tools on purpose",
            people,
            "goes on by override G7",
        ] {
            assert!(told.contains(words), "{word}, {words}: {told}");
        }
    }
}

const TREE: &str =
    "[agents.a]\ntenant = \"main\"\nserves = [\"fab.test\"]\nhosts = [\"s1.a.test\"]";

/// A plan of [`TREE`] beside that entry, where servers have read these names of these forests, and so many more.
fn plan_of(entry: &str, read: &[(&str, &[&str], u32)]) -> Plan {
    plan_for(entry, read, Purpose::Install)
}

fn plan_for(entry: &str, read: &[(&str, &[&str], u32)], purpose: Purpose) -> Plan {
    let (topology, findings) = parse(&[common::document(document(TREE, entry))]);
    assert!(findings.is_empty(), "{findings:?}");
    let of = |name: &str, connect: Option<ConnectFacts>| {
        let known = Known {
            facts: Some((NOW, common::facts(None, connect))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (name.parse::<TargetId>().expect("a name"), known)
    };
    let mut known = Fleetwide::from([of("s1.a.test", None)]);
    if purpose == Purpose::Verify {
        let connect = ConnectFacts {
            version: Some(common::CONNECT),
            service: Some(ServiceState::Running),
            staging: Some(false),
            cycle_enabled: Some(true),
            suspended: None,
        };
        let (name, connect) = of("c1.a.test", Some(connect));
        known.insert(name, connect);
    }
    let mut beyond = Beyond::default();
    for (forest, names, more) in read {
        let seen = SuffixesSeen {
            at: NOW,
            by: "c1.a.test".parse().expect("a name"),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            more: *more,
        };
        beyond
            .suffixes
            .insert(forest.parse().expect("a name"), seen);
    }
    let (policy, artifacts) = (Policy::default(), common::artifacts());
    plan(Inputs {
        beyond: &beyond,
        ..Inputs::of(&topology, &policy, &known, &artifacts, purpose)
    })
}

/// What users have as suffixes stands among the names of a forest: that a domain's own forest has no such name decides. Where a tree was
/// read, a verification of the one Connect server reads what it synchronizes, which lifts that hold.
#[test]
fn a_suffix_of_users_is_no_tree_and_a_tree_that_was_read_can_be_verified() {
    let whole = format!("{SERVERS}\nsettings = {{ start = true }}\n");
    let of_a = ("a.test", &["a.test", "fab.test"][..], 0);
    let reads = |read: &[(&str, &[&str], u32)]| {
        let plan = plan_for(&whole, read, Purpose::Verify);
        let phases = &plan.targets[&"c1.a.test".parse::<TargetId>().unwrap()].phases;
        let mut steps = phases.iter().flat_map(|phase| &phase.steps);
        steps.any(|step| *step == Step::ReadConnectSettings)
    };
    let held = "held: fab.test is in both tools";
    assert!(render(&plan_of(&whole, &[of_a])).contains(held));
    assert!(reads(&[of_a]));
    let own = ("fab.test", &["fab.test"][..], 0);
    assert!(!render(&plan_of(&whole, &[of_a, own])).contains(held));
    assert!(!reads(&[of_a, own]));
}

/// Another tree of a forest has a name of its own: the topology says it, or a preflight of Connect has read it, or it cannot be told.
#[test]
fn a_further_tree_of_a_forest_is_in_both_tools_too() {
    let whole = format!("{SERVERS}\nsettings = {{ start = true }}\n");
    assert!(of_rail(TREE, &whole).is_empty());
    let written = |of: &str| format!("{whole}trees = {{ \"{of}\" = [\"fab.test\"] }}\n");
    let told = of_rail(TREE, &written("a.test"));
    let [(Severity::Error, said)] = &told[..] else {
        panic!("{told:#?}");
    };
    let words = "fab.test is served by provisioning agents, and lies in the forest a.test";
    assert!(said.contains(words), "{said}");
    let strange = found(TREE, &written("c.test"));
    let words = "trees of \"main\" names c.test, which is none of its forests";
    assert!(
        strange
            .iter()
            .any(|(one, said)| *one == Severity::Error && said.contains(words)),
        "{strange:#?}"
    );

    let planned = |entry: &str, read: Option<(&[&str], u32)>| {
        let read = read.map(|(names, more)| ["a.test", "b.test"].map(|of| (of, names, more)));
        render(&plan_of(entry, read.as_ref().map_or(&[], |read| &read[..])))
    };
    let asks = "whether fab.test is another tree of the forest a.test, of which [connect.main] takes everything, cannot be told";
    let held =
        "held: fab.test is in both tools, and whether their units are disjoint cannot be told";
    for (entry, read, says, silent) in [
        (whole.clone(), None, Some(asks), held),
        // A list that was cut off says nothing of what it lacks.
        (whole.clone(), Some((&["a.test"][..], 1)), Some(asks), held),
        (whole.clone(), Some((&["a.test"][..], 0)), None, asks),
        (
            whole.clone(),
            Some((&["a.test", "FAB.test"][..], 0)),
            Some(held),
            asks,
        ),
        (written("a.test"), None, Some(held), asks),
        // Where units are chosen, nothing of another tree is taken.
        (
            format!(
                "{SERVERS}\nsettings = {{ units = {{ \"a.test\" = [\"OU=x,DC=a,DC=test\"], \"b.test\" = [\"OU=x,DC=b,DC=test\"] }} }}\n"
            ),
            None,
            None,
            asks,
        ),
    ] {
        let told = planned(&entry, read);
        assert!(
            says.is_none_or(|says| told.contains(says)),
            "{says:?}: {told}"
        );
        assert!(!told.contains(silent), "{silent}: {told}");
    }
}

/// Anchors are counted where Connect takes a domain (PF60): of a tree that was read as of one that is written.
#[test]
fn anchors_are_asked_for_in_a_tree_that_was_read() {
    let whole = format!("{SERVERS}\nsettings = {{ start = true }}\n");
    let units = format!(
        "{SERVERS}\nsettings = {{ units = {{ \"a.test\" = [\"OU=x,DC=fab,DC=test\", \"OU=y,DC=a,DC=test\"] }} }}\n"
    );
    let asked = |entry: &str, read: &[(&str, &[&str], u32)], purpose| {
        let plan = plan_for(entry, read, purpose);
        let part = &plan.targets[&"s1.a.test".parse::<TargetId>().expect("a name")];
        let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
        let asked = steps.find_map(|step| {
            if let Step::Preflight(preflight) = step {
                Some(preflight.both_tools.clone())
            } else {
                None
            }
        });
        asked.expect("a preflight")
    };
    let of_a = ("a.test", &["a.test", "fab.test"][..], 0);
    let own = ("fab.test", &["fab.test"][..], 0);
    for purpose in [Purpose::Install, Purpose::Preflight] {
        assert!(asked(&whole, &[], purpose).is_empty());
        assert!(asked(&whole, &[of_a, own], purpose).is_empty());
        let one = |units: &[&str]| BothTools {
            domain: "fab.test".parse().expect("a name"),
            units: units.iter().map(|unit| (*unit).to_owned()).collect(),
            connect_goes: false,
        };
        assert_eq!(asked(&whole, &[of_a], purpose), [one(&[])]);
        assert_eq!(
            asked(&units, &[of_a], purpose),
            [one(&["OU=x,DC=fab,DC=test"])]
        );
    }
}
