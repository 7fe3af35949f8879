//! Waves by domain: the order in which domains are taken stands in the policy.

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::recipe::Artifacts;
use controller_core::topology::{Document, parse};
use protocol::key::SigningKey;
use protocol::{TargetId, Timestamp};

use crate::common;

const TOPOLOGY: &str = r#"
[tenant.main]
id = "3f0c8a4e-0000-0000-0000-000000000000"
[agents.a]
serves = ["a.test", "child.a.test"]
hosts = ["h1.a.test", "h2.a.test"]
[agents.b]
serves = ["b.test"]
hosts = ["h1.b.test"]
[connect.main]
forests = ["c.test"]
servers = ["s1.c.test"]
settings = "express"
"#;

fn document(text: &str) -> Document {
    Document {
        file: "t.toml".to_owned(),
        text: text.to_owned(),
    }
}

fn planned(waves: &str) -> Plan {
    let (topology, findings) = parse(&[document(TOPOLOGY)]);
    assert!(findings.is_empty());
    let (policy, findings) = policy::parse(&document(&format!("waves = {waves}\n")));
    assert!(findings.is_empty(), "{findings:?}");
    let entry = |target: TargetId| {
        let known = Known {
            facts: Some((Timestamp::from_millis(0), common::facts(None, None))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (target, known)
    };
    let known: Fleetwide = topology.targets().into_iter().map(entry).collect();
    plan(Inputs::of(
        &topology,
        &policy,
        &known,
        &Artifacts::new(),
        Purpose::Verify,
    ))
}

fn hosts(plan: &Plan) -> Vec<Vec<&str>> {
    let waves = plan.waves.iter();
    waves
        .map(|wave| wave.iter().map(TargetId::as_str).collect())
        .collect()
}

#[test]
fn domains_are_taken_in_the_order_of_the_policy() {
    let plan = planned(
        r#"[{ domains = ["c.test"] }, { domains = ["b.test"] }, { domains = ["child.a.test"] }]"#,
    );
    assert_eq!(
        hosts(&plan),
        [
            vec!["s1.c.test"],
            vec!["h1.b.test"],
            vec!["h1.a.test", "h2.a.test"]
        ]
    );
    assert!(plan.alarms.is_empty());
}

#[test]
fn a_wave_that_takes_nothing_is_found_with_its_place() {
    let (topology, _) = parse(&[document(TOPOLOGY)]);
    let found = |waves: &str| -> Vec<String> {
        let (policy, findings) = policy::parse(&document(&format!("\nwaves = {waves}\n")));
        assert!(findings.is_empty(), "{findings:?}");
        let findings = policy::check(&policy, &topology);
        findings.iter().map(ToString::to_string).collect()
    };
    let told = found(r#"[{ domains = ["a.tset"] }, { ring = "9" }, { rest = true }]"#);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("t.toml:2:10: error") && told[0].contains("\"a.test\"?"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("t.toml:2:36: warning") && told[1].contains("ring"),
        "{told:?}"
    );
    assert!(found(r#"[{ domains = ["c.test"] }, { rest = true }]"#).is_empty());
}

#[test]
fn a_wave_is_one_thing() {
    let both = "waves = [{ ring = \"1\", domains = [\"a.test\"] }]\n";
    let (_, findings) = policy::parse(&document(both));
    assert_eq!(findings.len(), 1);
}

#[test]
fn what_a_policy_says_of_sites_is_checked_against_the_topology() {
    let text = format!("{TOPOLOGY}[site.ams]\nzone = \"Europe/Amsterdam\"\n[site.lon]\n");
    let (topology, findings) = parse(&[document(&text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let found = |text: &str| -> Vec<String> {
        let (policy, mut findings) = policy::parse(&document(text));
        findings.extend(policy::check(&policy, &topology));
        findings.iter().map(ToString::to_string).collect()
    };
    let window = "window = { days = [\"Sat\", \"Sun\"], from = \"22:00\", to = \"04:00\" }";
    assert_eq!(
        found(&format!("[site.ams]\n{window}\nmax_in_flight = 4\n")),
        [""; 0]
    );
    for (text, place, says) in [
        (
            format!("[site.amst]\n{window}\n"),
            "t.toml:1:7",
            "did you mean \"ams\"?",
        ),
        (
            format!("[site.lon]\n{window}\n"),
            "t.toml:1:7",
            "have no zone",
        ),
        (
            "[site.ams]\nwindow = { days = [\"Saturday\"], from = \"22:00\", to = \"04:00\" }\n"
                .to_owned(),
            "t.toml:2:20",
            "none of Mon, Tue",
        ),
        (
            "[site.ams]\nwindow = { from = \"22\", to = \"04:00\" }\n".to_owned(),
            "t.toml:2:19",
            "no time of day",
        ),
        (
            "[site.ams]\nwindow = { days = [], from = \"22:00\", to = \"04:00\" }\n".to_owned(),
            "t.toml:2:10",
            "on no day",
        ),
        (
            "[limit]\nfailures = \"0\"\n".to_owned(),
            "t.toml:2:12",
            "before anything has failed",
        ),
        (
            "[limit]\nfailures = \"0%\"\n".to_owned(),
            "t.toml:2:12",
            "before anything has failed",
        ),
        (
            "[limit]\nfailures = \"150%\"\n".to_owned(),
            "t.toml:2:12",
            "100% at most",
        ),
        (
            "waves = [{ rest = true }, { domains = [\"a.test\"] }]\n".to_owned(),
            "t.toml:1:27",
            "takes no server",
        ),
        (
            "[site.ams]\nwindow = { days = [\"Sat\"] }\n".to_owned(),
            "t.toml:2:10",
            "from and to",
        ),
        (
            "[site.ams]\nfreeze = [\"2027-01-04/2026-12-15\"]\n".to_owned(),
            "t.toml:2:11",
            "is before",
        ),
        (
            "[site.ams]\nmax_in_flight = 0\n".to_owned(),
            "t.toml:2:17",
            "never start",
        ),
        (
            "[site.ams]\nwindows = 1\n".to_owned(),
            "t.toml:2:1",
            "window",
        ),
    ] {
        let told = found(&text);
        assert!(
            told.iter()
                .any(|one| one.starts_with(place) && one.contains(says)),
            "{text}: {told:?}"
        );
    }
    // It stands in the plan, which is stored.
    let (policy, _) = policy::parse(&document(&format!(
        "[site.ams]\n{window}\nfreeze = [\"2026-12-24\"]\n"
    )));
    let rules = policy.site_rules(&topology);
    let stored = serde_json::to_string(&rules).expect("rules serialize");
    let read: std::collections::BTreeMap<_, _> =
        serde_json::from_str(&stored).expect("they read back");
    assert_eq!(rules, read, "{stored}");
    // A limit alone needs no zone.
    assert_eq!(found("[site.lon]\nmax_in_flight = 2\n"), [""; 0]);
    let (_, findings) = parse(&[document("[site.ams]\nzone = \"Europe/Amsterdan\"\n")]);
    assert!(
        findings
            .iter()
            .any(|one| one.what.contains("is no time zone")),
        "{findings:?}"
    );
}
