//! What a plan asks for beforehand: the anchors of objects where both tools serve a domain, and installers that nobody has brought.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Purpose, plan, render};
use controller_core::policy::Policy;
use controller_core::recipe::Artifacts;
use controller_core::topology::parse;
use protocol::facts::ProvisioningAgentFacts;
use protocol::key::SigningKey;
use protocol::step::{BothTools, Step};
use protocol::{TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// A group that serves a parent and its child, and the entry of Connect that follows.
fn planned(
    entry: &str,
    purpose: Purpose,
    there: bool,
    artifacts: &Artifacts,
) -> (String, Vec<Vec<BothTools>>) {
    let text = format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[agents.one]\nserves = [\"a.test\", \"emea.a.test\"]\nhosts = [\"s1.a.test\"]\n{entry}\n"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let agent = there.then(|| ProvisioningAgentFacts {
        version: Some(Version::new(1, 1, 2505, 0)),
        options: None,
        ..common::old_agent()
    });
    let host: TargetId = "s1.a.test".parse().unwrap();
    let mut known = Fleetwide::new();
    known.insert(
        host.clone(),
        Known {
            facts: Some((NOW, common::facts(agent, None))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        },
    );
    let plan = plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        artifacts,
        purpose,
    ));
    let steps = plan.targets[&host]
        .phases
        .iter()
        .flat_map(|phase| &phase.steps);
    let asked = steps.filter_map(|step| match step {
        Step::Preflight(preflight) => Some(preflight.both_tools.clone()),
        _ => None,
    });
    let asked = asked.collect();
    (render(&plan), asked)
}

fn both(entry: &str) -> Vec<BothTools> {
    let (_, asked) = planned(entry, Purpose::Install, false, &common::artifacts());
    let (first, later) = asked.split_first().unwrap();
    assert!(
        !later.is_empty() && later.iter().all(Vec::is_empty),
        "it is counted once"
    );
    first.clone()
}

#[test]
fn anchors_are_asked_for_where_connect_synchronizes_a_served_domain() {
    let entry = |rest: &str| {
        format!("[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\"]\n{rest}")
    };
    let one = |domain: &str, units: &[&str]| BothTools {
        domain: domain.parse().unwrap(),
        units: units.iter().map(|unit| (*unit).to_owned()).collect(),
        connect_goes: false,
    };
    assert_eq!(both(""), []);
    assert_eq!(
        both("[connect.main]\nforests = [\"b.test\"]\nservers = [\"c1.b.test\"]"),
        [],
        "another forest"
    );
    assert_eq!(
        both(&entry("")),
        [one("a.test", &[]), one("emea.a.test", &[])]
    );
    // Only what Connect synchronizes, each domain its own part of it.
    let units = "settings = { units = { \"a.test\" = [\"OU=Staff,DC=a,DC=test\", \"ou=x, dc=emea, dc=a, dc=test\"] } }";
    assert_eq!(
        both(&entry(units)),
        [
            one("a.test", &["OU=Staff,DC=a,DC=test"]),
            one("emea.a.test", &["ou=x, dc=emea, dc=a, dc=test"]),
        ]
    );
    let units = "settings = { units = { \"a.test\" = [\"OU=x,DC=emea,DC=a,DC=test\"] } }";
    assert_eq!(
        both(&entry(units)),
        [one("emea.a.test", &["OU=x,DC=emea,DC=a,DC=test"])]
    );
    // Where the last server of Connect goes, every object changes tools.
    let goes =
        both("[connect.main]\nforests = [\"a.test\"]\nservers = []\nretired = [\"c1.a.test\"]");
    assert!(
        goes.len() == 2 && goes.iter().all(|both| both.connect_goes),
        "{goes:?}"
    );
    // Whoever asks for nothing but this is answered also where the agent is there.
    let (_, asked) = planned(&entry(""), Purpose::Preflight, true, &common::artifacts());
    assert_eq!(asked[0].len(), 2);
}

#[test]
fn a_plan_without_an_installer_says_how_a_person_brings_it() {
    let (said, _) = planned("", Purpose::Install, false, &Artifacts::new());
    for part in [
        "s1.a.test: no setup of the provisioning agent is in the artifact store",
        "\nbring the setup of the provisioning agent\n",
        "  [Admin center] sign in at the Microsoft Entra admin center: https://entra.microsoft.com;",
        "  [Agents] on the left: Agents\n",
        "entrain artifact add AADConnectProvisioningAgentSetup.exe --accept-terms",
        "  ends when: the artifact store",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(
        !said.contains("Connect Sync agent"),
        "nobody asked for it:\n{said}"
    );
    let (said, _) = planned("", Purpose::Install, false, &common::artifacts());
    assert!(!said.contains("bring the setup"), "{said}");
}
