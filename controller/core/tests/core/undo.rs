//! What Entrain has set of prerequisites is put back by a plan of its own: for one server, without a path or a value in it.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Kind, Plan, Purpose, render, undo};
use controller_core::policy::Policy;
use controller_core::topology::parse;
use protocol::facts::{ConnectFacts, ProvisioningAgentFacts, ServiceState};
use protocol::step::{Fix, Step, UndoFixes};
use protocol::{Digest, Fingerprint, Timestamp};

use crate::common;

const TOPOLOGY: &str = "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\nchange = \"required\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\nretired = [\"s2.a.test\"]\nmay_fix = [\"tls12\"]\n[connect.main]\nforests = [\"b.test\"]\nservers = [\"s3.a.test\"]\nmay_fix = [\"tls12\"]\n";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    Unknown,
    Nothing,
    Agent,
    Connect,
}

fn planned(server: &str, has: Has, fixes: &[Fix], anyway: bool) -> Result<Plan, String> {
    let (topology, findings) = parse(&[common::document(TOPOLOGY)]);
    assert!(findings.is_empty(), "{findings:?}");
    let mut known = Fleetwide::new();
    if has != Has::Unknown {
        let agent = (has == Has::Agent).then_some(ProvisioningAgentFacts {
            version: Some(common::AGENT),
            tenant: None,
            service: Some(ServiceState::Running),
            account: None,
            options: None,
            updater: None,
            owes_registration: None,
        });
        let connect = (has == Has::Connect).then_some(ConnectFacts {
            version: Some(common::CONNECT),
            service: Some(ServiceState::Running),
            staging: Some(true),
            cycle_enabled: None,
            suspended: None,
        });
        let mut entry = Known::of(Fingerprint(Digest::of(server.as_bytes())));
        entry.facts = Some((Timestamp::from_millis(0), common::facts(agent, connect)));
        known.insert(server.parse().unwrap(), entry);
    }
    let artifacts = common::artifacts();
    let policy = Policy::default();
    let inputs = Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Verify);
    let fixes: BTreeSet<Fix> = fixes.iter().copied().collect();
    undo(inputs, &server.parse().unwrap(), &fixes, anyway)
}

#[test]
fn the_step_names_the_prerequisite_and_nothing_else() {
    let plan = planned("s2.a.test", Has::Nothing, &Fix::ALL, false).unwrap();
    assert_eq!(plan.kind, Kind::Undo);
    assert!(plan.change_required && plan.warnings.is_empty());
    let part = &plan.targets[&"s2.a.test".parse().unwrap()];
    assert!(part.essence.is_some() && !part.is_read_only());
    let step = &part.phases[0].steps[0];
    assert_eq!(
        *step,
        Step::UndoFixes(UndoFixes {
            fixes: Fix::ALL.to_vec(),
            anyway: false,
        })
    );
    assert_eq!(
        serde_json::to_string(step).unwrap(),
        r#"{"kind":"undo-fixes","args":{"fixes":["tls12","vaultsvc"]}}"#
    );
}

#[test]
fn a_server_that_has_a_product_or_is_not_known_is_refused() {
    for (server, has, words) in [
        (
            "s1.a.test",
            Has::Agent,
            "the provisioning agent is on s1.a.test",
        ),
        ("s1.a.test", Has::Connect, "Connect Sync is on s1.a.test"),
        ("s1.a.test", Has::Unknown, "is not enrolled"),
        ("s3.a.test", Has::Connect, "Connect Sync is on s3.a.test"),
        ("s4.a.test", Has::Nothing, "is no host of a group"),
        ("s9.a.test", Has::Nothing, "is no host of a group"),
    ] {
        let why = planned(server, has, &Fix::ALL, false).unwrap_err();
        assert!(why.contains(words), "{words}: {why}");
    }
    let plan = planned("s1.a.test", Has::Agent, &Fix::ALL, true).unwrap();
    let said = plan.warnings.join("\n");
    for words in [
        "the provisioning agent is on s1.a.test and needs what is put back",
        "may_fix of [agents.a] lists tls12: the next rollout sets that again on s1.a.test",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Under an agent that serves, the plan says who serves meanwhile, as its leave is counted (G2).
    let served: Vec<String> = plan.domains.keys().map(ToString::to_string).collect();
    assert!(!served.is_empty());
    let report = render(&plan);
    assert!(report.contains("serving meanwhile"), "{report}");
    for domain in served {
        assert!(report.contains(&format!("{domain}: at least")), "{report}");
    }
    // So it is on a server of a Connect entry.
    let plan = planned("s3.a.test", Has::Connect, &Fix::ALL, true).unwrap();
    let said = plan.warnings.join("\n");
    for words in [
        "Connect Sync is on s3.a.test and needs what is put back",
        "may_fix of [connect.main] lists tls12: the next rollout sets that again on s3.a.test",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let part = &plan.targets[&"s3.a.test".parse().unwrap()];
    assert_eq!(part.lane, "connect.main");
    let report = render(&plan);
    for words in [
        "connect.main: now ",
        "while what was set is put back, no mode is changed: ",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert!(plan.domains.is_empty(), "no agent of it serves any");
    // Nothing sets again what `may_fix` does not list.
    let plan = planned("s1.a.test", Has::Nothing, &[Fix::Vaultsvc], false).unwrap();
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}
