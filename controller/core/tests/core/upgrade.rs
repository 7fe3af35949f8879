//! Plans that upgrade Entrain's own agents: who gets the newest release, and who is left alone and why.

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Kind, Plan, Purpose, plan, render};
use controller_core::policy::{self, Policy};
use controller_core::record::Record;
use controller_core::roster::Roster;
use controller_core::topology::parse;
use protocol::key::SigningKey;
use protocol::signed::Phase;
use protocol::step::Step;
use protocol::{TargetId, Timestamp, Version};

use crate::common::{self, NEXT_AGENT};

const TOPOLOGY: &str = "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\nchange = \"required\"\n[site.ams]\nzone = \"Europe/Amsterdam\"\n[agents.a]\nlabels = { ring = \"lab\" }\nsite = \"ams\"\nserves = [\"a.test\"]\nhosts = [\"h1.a.test\", \"h2.a.test\", \"h3.a.test\"]\n[connect.main]\nforests = [\"c.test\"]\nservers = [\"s1.c.test\"]\nsettings = \"express\"\n";

const POLICY: &str = "waves = [{ ring = \"lab\" }, { rest = true }]\n[site.ams]\nwindow = { days = [\"Sat\"], from = \"22:00\", to = \"04:00\" }\n";

const NOW: Timestamp = Timestamp::from_millis(0);

/// The plan where each server has an agent of that version, and none of them could read anything of its server.
fn planned(policy: &str, has: &[(&str, &str)], releases: &[Version]) -> Plan {
    planned_with(policy, has, releases, None, &[])
}

/// The same, where that release is asked for, and those were withdrawn.
fn planned_with(
    policy: &str,
    has: &[(&str, &str)],
    releases: &[Version],
    release: Option<Version>,
    withdrawn: &[Version],
) -> Plan {
    let (topology, findings) = parse(&[common::document(TOPOLOGY)]);
    assert!(findings.is_empty(), "{findings:?}");
    let (policy, findings) = if policy.is_empty() {
        (Policy::default(), Vec::new())
    } else {
        policy::parse(&common::document(policy))
    };
    assert!(findings.is_empty(), "{findings:?}");
    let mut roster = Roster::default();
    let mut known = Fleetwide::new();
    for (name, version) in has {
        let target: TargetId = name.parse().expect("a name");
        let key = SigningKey::generate().public();
        roster.apply(&common::enrolled(&target, key), NOW);
        if !version.is_empty() {
            let seen = Record::AgentSeen {
                target: target.clone(),
                version: (*version).to_owned(),
            };
            roster.apply(&seen, NOW);
        }
        known.insert(target, Known::of(key.fingerprint()));
    }
    for version in releases {
        roster.apply(&common::released(*version), NOW);
    }
    for version in withdrawn {
        let record = Record::ReleaseWithdrawn {
            version: *version,
            reason: "it loses its connection".to_owned(),
            by: "ann".to_owned(),
        };
        roster.apply(&record, NOW);
    }
    let artifacts = common::artifacts();
    plan(Inputs {
        roster: Some(&roster),
        release,
        ..Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Agents)
    })
}

#[test]
fn every_older_agent_gets_the_newest_release_by_waves_and_nothing_of_the_products_is_touched() {
    let has = [
        ("h1.a.test", "0.1.0"),
        ("h2.a.test", "0.2.0"),
        ("h3.a.test", "0.3.0"),
        ("s1.c.test", "0.1.9"),
    ];
    let older = [Version::new(0, 1, 9, 0), Version::new(0, 1, 10, 0)];
    let plan = planned(POLICY, &has, &[older[1], NEXT_AGENT, older[0]]);
    assert_eq!(plan.kind, Kind::Agents);
    let names = |wave: &Vec<TargetId>| wave.iter().map(ToString::to_string).collect::<Vec<_>>();
    let waves: Vec<Vec<String>> = plan.waves.iter().map(names).collect();
    assert_eq!(waves, [["h1.a.test"], ["s1.c.test"]]);
    for target in ["h1.a.test", "s1.c.test"] {
        let part = &plan.targets[&target.parse().unwrap()];
        let [work] = part.phases.as_slice() else {
            panic!("{part:?}");
        };
        assert_eq!((work.phase, part.essence), (Phase::Prepare, None));
        let [Step::UpgradeAgent(upgrade)] = work.steps.as_slice() else {
            panic!("{work:?}");
        };
        assert_eq!(upgrade.version, NEXT_AGENT);
        assert_eq!(upgrade.release, NEXT_AGENT.to_string());
    }
    let why = |target: &str| plan.targets[&target.parse().unwrap()].why.join("; ");
    assert_eq!(why("h2.a.test"), "its agent is 0.2.0.0 already");
    assert_eq!(why("h3.a.test"), "its agent is 0.3.0.0 already");
    // It changes servers: their sites' hours hold, and the change number that their tenant asks for.
    assert!(plan.sites.contains_key("ams") && plan.change_required);
    assert!(plan.irreversible.is_empty() && plan.alarms.is_empty());
    let text = render(&plan);
    assert!(text.contains("upgrade Entrain's own agents"), "{text}");
    assert!(!text.contains("a target is done at grade"), "{text}");
}

#[test]
fn without_a_release_or_a_version_that_can_be_read_nothing_happens_and_it_is_said_why() {
    let why = |version: &str, releases: &[Version]| {
        let plan = planned("", &[("h1.a.test", version)], releases);
        assert!(plan.waves.is_empty());
        // A server that never came is named too.
        let other = "h2.a.test".parse().unwrap();
        assert!(plan.targets[&other].why[0].contains("not enrolled"));
        plan.targets[&"h1.a.test".parse().unwrap()].why.join("; ")
    };
    assert!(why("0.1.0", &[]).contains("entrain release add"));
    assert!(why("next", &[NEXT_AGENT]).contains("which is no version"));
    assert!(why("", &[NEXT_AGENT]).contains("has not come yet"));
}

#[test]
fn a_release_is_chosen_or_withdrawn_and_no_agent_goes_back() {
    let older = Version::new(0, 1, 9, 0);
    let both = [older, NEXT_AGENT];
    let has = [("h1.a.test", "0.1.0"), ("h2.a.test", "0.2.0")];
    let why = |plan: &Plan, target: &str| plan.targets[&target.parse().unwrap()].why.join("; ");
    // The newest that stands, or the one that is named.
    assert_eq!(planned("", &has, &both).release(), Some(NEXT_AGENT));
    let chosen = planned_with("", &has, &both, Some(older), &[]);
    assert_eq!(chosen.release(), Some(older));
    assert_eq!(why(&chosen, "h2.a.test"), "its agent is 0.2.0.0 already");
    assert_eq!(
        planned_with("", &has, &both, None, &[NEXT_AGENT]).release(),
        Some(older)
    );
    // Nothing is planned with one that was withdrawn, or is not there; and nothing where none stands.
    for (wanted, withdrawn, said) in [
        (
            Some(NEXT_AGENT),
            &[NEXT_AGENT][..],
            "was withdrawn by ann at 1970-01-01T00:00:00.000Z: it loses its connection",
        ),
        (
            Some(Version::new(7, 0, 0, 0)),
            &[],
            "release 7.0.0.0 is not in the artifact store",
        ),
        (None, &both, "no release of the agent that stands"),
    ] {
        let plan = planned_with("", &has, &both, wanted, withdrawn);
        assert_eq!(plan.release(), None);
        assert!(why(&plan, "h1.a.test").contains(said), "{plan:?}");
    }
}

/// Whoever takes a release back says why, and has what goes with it aborted.
#[test]
fn a_release_is_withdrawn_once_with_a_reason_and_what_goes_with_it_is_named() {
    let mut roster = Roster::default();
    roster.apply(&common::released(NEXT_AGENT), NOW);
    assert_eq!(roster.may_withdraw(NEXT_AGENT, "it hangs"), Ok(()));
    let unsaid = roster.may_withdraw(NEXT_AGENT, "  ").unwrap_err();
    assert_eq!(unsaid, "why it is withdrawn is not said: --reason");
    let other = roster.may_withdraw(Version::new(7, 0, 0, 0), "it hangs");
    assert!(other.unwrap_err().contains("not in the artifact store"));
    roster.apply(
        &Record::ReleaseWithdrawn {
            version: NEXT_AGENT,
            reason: "it hangs".to_owned(),
            by: "ann".to_owned(),
        },
        NOW,
    );
    let again = roster.may_withdraw(NEXT_AGENT, "it hangs").unwrap_err();
    assert!(again.contains("was withdrawn by ann"), "{again}");

    let older = Version::new(0, 1, 9, 0);
    let has = [("h1.a.test", "0.1.0")];
    let newest = planned("", &has, &[NEXT_AGENT]);
    let before = planned("", &has, &[older]);
    let mut fleet = controller_core::fleet::Fleet::new();
    let target: TargetId = "h1.a.test".parse().unwrap();
    let key = SigningKey::generate().public();
    fleet.apply(&common::enrolled(&target, key), None, NOW);
    let ids = [1, 2, 3].map(protocol::RolloutId);
    for (id, plan) in ids.into_iter().zip([&newest, &before, &newest]) {
        fleet.apply(&common::applied(id, plan), Some(plan), NOW);
    }
    let aborted = Record::Ordered {
        rollout: ids[0],
        order: controller_core::record::Order::Abort,
        by: "ann".to_owned(),
    };
    fleet.apply(&aborted, None, NOW);
    assert_eq!(fleet.with_release(NEXT_AGENT), [ids[2]]);
    assert_eq!(fleet.with_release(older), [ids[1]]);
}

/// Whatever is on a server by the time of a retry, its agent is upgraded.
#[test]
fn an_upgrade_that_is_tried_again_rests_on_no_facts_either() {
    let plan = planned("", &[("h1.a.test", "0.1.0")], &[NEXT_AGENT]);
    let target: TargetId = "h1.a.test".parse().unwrap();
    let key = SigningKey::generate().public();
    let mut fleet = controller_core::fleet::Fleet::new();
    fleet.apply(&common::enrolled(&target, key), None, NOW);
    let rollout = protocol::RolloutId(1);
    fleet.apply(&common::applied(rollout, &plan), Some(&plan), NOW);
    let facts = protocol::event::Event::FactsReported(Box::new(common::facts(None, None)));
    fleet.apply(&common::told(&target, 1, NOW, &facts), None, NOW);
    let assumed = |fleet: &controller_core::fleet::Fleet| {
        let manifest = fleet.manifest(rollout, &target, 0, key.fingerprint(), NOW);
        manifest.expect("it has work").assumed
    };
    assert_eq!(assumed(&fleet), None);
    let issued = Record::BundleIssued {
        rollout,
        target: target.clone(),
        generation: protocol::Generation(1),
        phase: Phase::Prepare,
        bundle: protocol::BundleId(protocol::Digest::ZERO),
        expires: NOW.plus(std::time::Duration::from_secs(60)),
    };
    fleet.apply(&issued, None, NOW);
    let accepted = protocol::event::Event::BundleAccepted {
        bundle: protocol::BundleId(protocol::Digest::ZERO),
        generation: protocol::Generation(1),
        rollout,
        phase: Phase::Prepare,
        change: None,
    };
    fleet.apply(&common::told(&target, 2, NOW, &accepted), None, NOW);
    assert_eq!(assumed(&fleet), None);
}
