//! When a rollout begins: a moment that comes, for which the machine asks to be woken.

use std::time::Duration;

use controller_core::calendar::written;
use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Decision, Fleet, Live};
use controller_core::plan::{Inputs, Purpose, plan};
use controller_core::policy::{self, Policy};
use controller_core::record::{Order, Record};
use controller_core::topology::parse;
use protocol::key::SigningKey;
use protocol::{RolloutId, TargetId, Timestamp};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

#[test]
fn a_rollout_that_was_applied_for_later_begins_then_and_not_before() {
    let text = "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n";
    let (topology, _) = parse(&[common::document(text)]);
    let target: TargetId = "s1.a.test".parse().unwrap();
    let key = SigningKey::generate().public();
    let known = Fleetwide::from([(
        target.clone(),
        Known {
            facts: Some((NOW, common::facts(None, None))),
            ..Known::of(key.fingerprint())
        },
    )]);
    let plan = plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &common::artifacts(),
        Purpose::Install,
    ));
    let begins = NOW.plus(Duration::from_secs(3600));
    let mut fleet = Fleet::new();
    fleet.apply(&common::enrolled(&target, key), None, NOW);
    let applied = Record::Applied {
        rollout: RolloutId(1),
        plan: plan.id(),
        by: "root".to_owned(),
        change: None,
        irreversible: 0,
        not_before: Some(begins),
    };
    fleet.apply(&applied, Some(&plan), NOW);
    let live = Live {
        connected: [target.clone()].into(),
        ..Live::default()
    };
    assert!(fleet.decide(&live, NOW).is_empty());
    assert_eq!(fleet.poll_timeout(&live, NOW), Some(begins));
    let view = fleet.view(RolloutId(1), &live, NOW).unwrap();
    assert_eq!(view.state, "scheduled");
    assert!(view.targets[0].detail.contains("it begins at"), "{view:?}");
    let issues = |fleet: &Fleet, now| {
        let decisions = fleet.decide(&live, now);
        matches!(decisions.as_slice(), [Decision::Issue { .. }])
    };
    assert!(issues(&fleet, begins));
    // Aborted before, it never begins.
    let order = Record::Ordered {
        rollout: RolloutId(1),
        order: Order::Abort,
        by: "root".to_owned(),
    };
    fleet.apply(&order, None, NOW);
    assert!(!issues(&fleet, begins));
}

#[test]
fn a_moment_is_written_with_its_offset_or_its_zone() {
    let winter = written("2026-11-28T22:00+01:00").unwrap();
    assert_eq!(
        written("2026-11-28T22:00[Europe/Amsterdam]").unwrap(),
        winter
    );
    for bad in [
        "",
        "22:00",
        "2026-11-28T22:00",
        "2026-11-28T25:00+01:00",
        "tomorrow",
    ] {
        let why = written(bad).unwrap_err();
        assert!(why.contains("Europe/Amsterdam"), "{bad}: {why}");
    }
}

#[test]
fn a_soak_is_so_many_cycles_and_anything_else_is_told_with_its_place() {
    let read = |text: &str| {
        let (policy, findings) = policy::parse(&common::document(text));
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        (policy.soak, findings)
    };
    let (soak, findings) = read("soak = { cloud-sync = \"5 cycles\", connect = \"1 cycle\" }");
    assert_eq!((soak.cloud_sync, soak.connect), (5, 1));
    assert!(findings.is_empty(), "{findings:?}");
    for bad in [
        "\"5\"",
        "\"five cycles\"",
        "\"1001 cycles\"",
        "\"-1 cycles\"",
    ] {
        let (_, findings) = read(&format!("soak = {{ connect = {bad} }}"));
        assert!(
            findings[0].contains("t.toml:1:") && findings[0].contains("cycles"),
            "{findings:?}"
        );
    }
}
