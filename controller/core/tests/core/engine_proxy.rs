//! The proxy that Connect's engine is to go through, from the topology to the questions at the server and the pages for people.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::facts::{Fleetwide, Known};
use controller_core::finding::Severity;
use controller_core::plan::{Inputs, Plan, Purpose, plan, render};
use controller_core::policy::Policy;
use controller_core::topology::{check, parse};
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::step::{Preflight, Step};
use protocol::{Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const PROXY: &str = "http://proxy.a.test:3128";

fn document(more: &str) -> String {
    format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\"]\n{more}"
    )
}

/// Everything that is said of a topology, by severity.
fn said(more: &str) -> Vec<(Severity, String)> {
    let (topology, mut findings) = parse(&[common::document(document(more))]);
    findings.extend(check(&topology, None));
    let say = |finding: &controller_core::finding::Finding| (finding.severity, finding.to_string());
    findings.iter().map(say).collect()
}

fn old_engine() -> Facts {
    let connect = ConnectFacts {
        version: Some(Version::new(2, 5, 79, 0)),
        service: Some(ServiceState::Running),
        staging: Some(false),
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    common::facts(None, Some(connect))
}

fn planned(more: &str, facts: Facts, purpose: Purpose) -> Plan {
    let (topology, findings) = parse(&[common::document(document(more))]);
    assert!(findings.is_empty(), "{findings:?}");
    let server = "c1.a.test".parse().unwrap();
    let known = Known {
        facts: Some((NOW, facts)),
        ..Known::of(SigningKey::generate().public().fingerprint())
    };
    plan(Inputs::of(
        &topology,
        &Policy::default(),
        &Fleetwide::from([(server, known)]),
        &common::artifacts(),
        purpose,
    ))
}

fn preflights(plan: &Plan) -> Vec<&Preflight> {
    let phases = plan.targets.values().flat_map(|part| &part.phases);
    let steps = phases.flat_map(|phase| &phase.steps);
    let own = steps.filter_map(|step| match step {
        Step::Preflight(preflight) => Some(preflight),
        _ => None,
    });
    own.collect()
}

#[test]
fn what_is_written_of_it_is_read_or_told_with_its_place() {
    let none: Vec<(Severity, String)> = Vec::new();
    let custom = "settings = { service_account = \"A\\\\svc$\" }\n";
    for fine in [
        String::new(),
        format!("proxy = \"{PROXY}\"\n"),
        format!("proxy = \"{PROXY}\"\nsettings = \"express\"\n"),
        format!("proxy = \"{PROXY}\"\nproxy_sign_in = true\n{custom}"),
        // What is there already has its account, which the preflight reads.
        format!("proxy = \"{PROXY}\"\nproxy_sign_in = true\n"),
        format!("proxy = \"{PROXY}\"\nproxy_sign_in = false\nsettings = {{ }}\n"),
    ] {
        assert_eq!(said(&fine), none, "{fine}");
    }
    for (bad, says, place) in [
        ("proxy = \"proxy.a.test\"\n", "proxy", "6"),
        (
            "proxy = \"http://anna:secret@proxy.a.test:3128\"\n",
            "proxy",
            "6",
        ),
        ("proxy_sign_in = true\n", "no proxy is written", "3"),
    ] {
        let told = said(bad);
        assert_eq!(told.len(), 1, "{bad}: {told:?}");
        assert!(
            told[0].0 == Severity::Error
                && told[0].1.contains(says)
                && told[0].1.contains(&format!(":{place}")),
            "{bad}: {told:?}"
        );
    }
    // The account of the engine is chosen at the first installation.
    for settings in ["settings = \"express\"\n", "settings = { }\n"] {
        let told = said(&format!(
            "proxy = \"{PROXY}\"\nproxy_sign_in = true\n{settings}"
        ));
        let errors: Vec<&(Severity, String)> =
            told.iter().filter(|one| one.0 == Severity::Error).collect();
        assert!(
            errors.len() == 1
                && errors[0].1.contains("domain account")
                && errors[0].1.contains("service_account"),
            "{settings}: {told:?}"
        );
    }
}

#[test]
fn each_preflight_asks_for_it_and_each_appointment_begins_with_it() {
    let nothing = || common::facts(None, None);
    let custom = "settings = { service_account = \"A\\\\svc$\" }\n";
    let express = "settings = \"express\"\n";
    for (settings, facts) in [
        (express, nothing()),
        (custom, nothing()),
        (custom, old_engine()),
    ] {
        for signs_in in [false, settings == custom] {
            let written = format!("proxy = \"{PROXY}\"\nproxy_sign_in = {signs_in}\n{settings}");
            let plan = planned(&written, facts.clone(), Purpose::Install);
            let asked = preflights(&plan);
            assert_eq!(asked.len(), 2, "{written}");
            for preflight in asked {
                let proxy = preflight.options.proxy.as_ref().map(ToString::to_string);
                assert_eq!(proxy.as_deref(), Some(PROXY), "{written}");
                assert_eq!(preflight.proxy_signs_in, signs_in, "{written}");
                assert!(preflight.may_fix.is_empty(), "the server's owner writes it");
            }
            let report = render(&plan);
            assert!(
                report.contains("machine.config") && report.contains(PROXY),
                "{report}"
            );
            assert_eq!(
                report.contains("useDefaultCredentials"),
                signs_in,
                "{report}"
            );
            let steps = plan.targets.values().flat_map(|part| &part.phases);
            let mut steps = steps.flat_map(|phase| &phase.steps);
            let text = steps.find_map(|step| match step {
                Step::GuideConnect(guide) => Some(&guide.text),
                _ => None,
            });
            let first = &text.unwrap().pages[0];
            let lines = first.lines.join("\n");
            for word in ["machine.config", "<defaultProxy", PROXY, "6 minutes"] {
                assert!(lines.contains(word), "{word}: {lines}");
            }
            assert_eq!(lines.contains("demands a sign-in"), signs_in, "{lines}");
        }
    }
    // Who only asks whether a server is ready asks for it too, and what is not planned is not asked for.
    let plan = planned(
        &format!("proxy = \"{PROXY}\"\n{custom}"),
        nothing(),
        Purpose::Preflight,
    );
    assert!(
        preflights(&plan)
            .iter()
            .all(|one| one.options.proxy.is_some())
    );
    let plan = planned(custom, nothing(), Purpose::Install);
    assert!(
        preflights(&plan)
            .iter()
            .all(|one| one.options.is_empty() && !one.proxy_signs_in)
    );
    assert!(!render(&plan).contains("machine.config"));
}
