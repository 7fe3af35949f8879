//! What a rehearsal tells an operator.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_twin::Fault;
use controller_core::facts::Fleetwide;
use controller_core::plan::Plan;
use controller_core::record::Record;
use protocol::TargetId;
use protocol::step::Product;
use rehearsal::{Ask, ROLLOUT, World, rehearse, render};

use crate::common::{NOW, OLD, agent, facts, planned, target, topology};

const TOPOLOGY: &str = r#"
[agents.corp]
serves = ["corp.test"]
hosts = ["s1.corp.test", "s2.corp.test", "s3.corp.test"]
[agents.new]
labels = { ring = "2" }
serves = ["new.test"]
hosts = ["s1.new.test", "s2.new.test"]
[agents.gone]
serves = ["gone.test"]
hosts = ["s1.gone.test", "s2.gone.test"]
retired = ["s0.gone.test"]
"#;

const POLICY: &str =
    "waves = [{ rest = true }]\n[limit]\nfailures = \"5\"\nin_flight = 4\ncanary = 1\n";

fn ask() -> Ask {
    Ask {
        begin: NOW,
        person: Some(Duration::from_secs(600)),
        faults: BTreeMap::new(),
        seed: 1,
    }
}

fn estate() -> (
    controller_core::plan::Plan,
    controller_core::facts::Fleetwide,
) {
    planned(&topology(TOPOLOGY), POLICY, |server: &TargetId| {
        let bare = server.as_str().ends_with("new.test");
        facts((!bare).then(|| agent(OLD)), None)
    })
}

#[test]
fn a_plan_is_carried_out_with_its_duration_its_people_and_who_serves() {
    let (plan, known) = estate();
    let rehearsal = rehearse(&plan, &known, &ask(), 9);
    let course = &rehearsal.course;
    assert_eq!(course.left, [], "{course:?}");
    assert_eq!(rehearsal.seconds.len(), 9);
    assert!(rehearsal.seconds.is_sorted());
    assert!(rehearsal.seconds.contains(&course.seconds));
    assert!(
        rehearsal.seconds[0] < rehearsal.seconds[8],
        "servers differ"
    );
    // Two registrations wait for a person, who takes about ten minutes for each.
    let tokens: Vec<_> = course
        .hands
        .iter()
        .filter(|hand| hand.what.contains("token"))
        .collect();
    assert_eq!(tokens.len(), 2, "{:?}", course.hands);
    assert!(course.seconds > 600);
    // G2: upgrades go one by one, the retired server last, and new servers come into service.
    let domain = |name: &str| &course.serving[&name.parse().expect("a name")];
    assert_eq!(domain("corp.test").lowest(), 2);
    assert_eq!(
        domain("new.test").course.last().map(|(_, count)| *count),
        Some(2)
    );
    // Who goes later serves until then.
    assert_eq!(domain("gone.test").lowest(), 2);
    let (first, last) = (course.waves[0], course.waves[1]);
    assert!(
        last.0 >= first.1,
        "who goes for good waits for the others: {:?}",
        course.waves
    );
    let said = render(&rehearsal, &plan);
    for words in [
        "9 courses took",
        "corp.test: 3 before, 3 after, never fewer than 2; 2 of 3 that stay must",
        "everything would be done",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // The same seed gives the same course.
    assert_eq!(rehearse(&plan, &known, &ask(), 9), rehearsal);
}

/// Three are to serve and two do: without the third nobody gets leave for an upgrade (G2), and there is one place.
#[test]
fn who_adds_to_the_service_goes_before_who_is_taken_out_of_it() {
    let text = "[agents.corp]\nlabels = { ring = \"1\" }\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\", \"s2.corp.test\"]\n\
        [agents.more]\nserves = [\"corp.test\"]\nhosts = [\"s3.corp.test\"]\n";
    for waves in ["[{ rest = true }]", "[{ ring = \"1\" }, { rest = true }]"] {
        let policy =
            format!("waves = {waves}\n[limit]\nfailures = \"3\"\nin_flight = 1\ncanary = 1\n");
        let (plan, known) = planned(&topology(text), &policy, |server| {
            let bare = server.as_str().starts_with("s3");
            facts((!bare).then(|| agent(OLD)), None)
        });
        let course = rehearse(&plan, &known, &ask(), 1).course;
        if waves.contains("ring") {
            // What a policy orders is not turned round: the rehearsal tells that it cannot be.
            assert!(
                course.left.iter().any(|left| left.why.contains("(G2)")),
                "{course:?}"
            );
        } else {
            assert_eq!(course.left, [], "{course:?}");
            assert_eq!(
                course.serving[&"corp.test".parse().expect("a name")].lowest(),
                2
            );
        }
    }
}

#[test]
fn what_would_fail_and_what_that_holds_is_told_with_its_fix() {
    let (plan, known) = estate();
    let canary = target("s1.corp.test");
    let faults = BTreeMap::from([(canary.clone(), BTreeSet::from([Fault::LogonRightMissing]))]);
    let rehearsal = rehearse(&plan, &known, &Ask { faults, ..ask() }, 3);
    let left = &rehearsal.course.left;
    let of = |name: &str| left.iter().find(|left| left.target == target(name));
    let failed = of("s1.corp.test").expect("it fails");
    assert_eq!(failed.state, "failed");
    assert!(
        failed.why.contains("1603") && failed.why.contains("fix:"),
        "{failed:?}"
    );
    assert!(
        of("s2.corp.test")
            .expect("it is held")
            .why
            .contains("canary")
    );
    assert!(of("s1.new.test").is_none(), "other groups go on");
    // Nobody comes: whoever needs a person waits to the end of its bundle.
    let rehearsal = rehearse(
        &plan,
        &known,
        &Ask {
            person: None,
            ..ask()
        },
        1,
    );
    let left = &rehearsal.course.left;
    let waits = left
        .iter()
        .filter(|left| left.target.as_str().ends_with("new.test"));
    assert!(waits.count() >= 1, "{left:?}");
    assert!(!left.iter().any(|left| left.target == canary));
}

/// A product that was changed is watched for its cycles, and verified once more; only then its target is done, and what waits
/// behind it begins.
#[test]
fn a_product_is_watched_before_its_target_is_done() {
    let text =
        "[agents.corp]\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\", \"s2.corp.test\"]\n";
    let old = |_: &TargetId| facts(Some(agent(OLD)), None);
    let (plan, known) = planned(&topology(text), POLICY, old);
    // One course differs from another by chance; the middle of many does not.
    let middle = |plan: &_, known: &_| rehearse(plan, known, &ask(), 41).seconds[20];
    let without = middle(&plan, &known);
    let policy = format!("soak = {{ cloud-sync = \"5 cycles\" }}\n{POLICY}");
    let (plan, known) = planned(&topology(text), &policy, old);
    let course = rehearse(&plan, &known, &ask(), 1).course;
    assert_eq!(course.left, [], "{course:?}");
    // The canary's ten minutes, then the other's.
    let more = middle(&plan, &known) - without;
    assert!((1200..1320).contains(&more), "{more}");
    let said = controller_core::plan::render(&plan);
    assert!(
        said.contains("soak     verify provisioning agent"),
        "{said}"
    );
    // A service that is restarted meanwhile failed, and nothing goes behind it.
    let canary = target("s1.corp.test");
    let faults = BTreeMap::from([(canary.clone(), BTreeSet::from([Fault::ServiceRestarts]))]);
    let course = rehearse(&plan, &known, &Ask { faults, ..ask() }, 1).course;
    let of = |name: &str| course.left.iter().find(|left| left.target == target(name));
    let failed = of("s1.corp.test").expect("it fails");
    assert!(failed.why.contains("PV07"), "{failed:?}");
    assert!(
        of("s2.corp.test")
            .expect("it is held")
            .why
            .contains("canary")
    );
    // What only reads is not watched.
    let newest = |_: &TargetId| facts(Some(agent(crate::common::NEWEST)), None);
    let (plan, _) = planned(&topology(text), &policy, newest);
    assert!(plan.targets.values().all(|part| part.soak_seconds == 0));
}

/// Up to the moment at which a server's product is watched.
fn watched(plan: &Plan, known: &Fleetwide, canary: &TargetId) -> World {
    let mut world = World::new(plan, known, ask());
    let soaks = |world: &World| {
        let view = world.fleet.view(ROLLOUT, &world.live, world.now);
        let rows = view.into_iter().flat_map(|view| view.targets);
        rows.filter(|row| row.target == *canary)
            .any(|row| row.state == "soaking")
    };
    while !soaks(&world) {
        assert!(world.step(), "it is never watched");
    }
    world
}

/// A service that stops while it is watched has failed before the watch ends, and nothing goes behind it; one that comes back
/// by itself, as an upgrade by itself makes it, is watched on.
#[test]
fn a_product_that_gets_worse_while_it_is_watched_fails_at_that_moment() {
    let text =
        "[agents.corp]\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\", \"s2.corp.test\"]\n";
    let policy = format!("soak = {{ cloud-sync = \"10 cycles\" }}\n{POLICY}");
    let old = |_: &TargetId| facts(Some(agent(OLD)), None);
    let (plan, known) = planned(&topology(text), &policy, old);
    let (canary, next) = (target("s1.corp.test"), target("s2.corp.test"));
    let word = |world: &World, of: &TargetId| {
        let work = &world.fleet.rollouts()[&ROLLOUT].work[of];
        (work.state.word(), work.since)
    };
    let stopped = BTreeSet::from([Fault::ServiceStopped]);
    let issued = |world: &World| {
        let to_next = |record: &Record| matches!(record, Record::BundleIssued { target, .. } if *target == next);
        world.log.iter().any(|(_, record)| to_next(record))
    };

    let mut world = watched(&plan, &known, &canary);
    let begun = world.now;
    world.run_until(begun.plus(Duration::from_secs(100)), |_| {});
    world.set_faults(&canary, stopped.clone());
    world.run_until(begun.plus(Duration::from_secs(86_400)), |_| {});
    let (state, since) = word(&world, &canary);
    assert_eq!(state, "failed");
    let after = since.since(begun).as_secs();
    assert!(
        (400..=401).contains(&after),
        "the watch ends after 1200 s: {after}"
    );
    assert!(!issued(&world), "its lane waits for it");
    let mut words = world.log.iter().filter_map(|(_, record)| {
        let Record::Degraded { why, .. } = record else {
            return None;
        };
        Some(why.as_str())
    });
    assert_eq!(
        words.next(),
        Some("while it was watched: its service does not run")
    );
    assert_eq!(words.next(), None);
    let (before, after) = world.restart_controller();
    assert_eq!(
        format!("{before:?}"),
        format!("{after:?}"),
        "the log tells the same"
    );

    // Two minutes are no failure.
    let mut world = watched(&plan, &known, &canary);
    let begun = world.now;
    world.set_faults(&canary, stopped);
    world.run_until(begun.plus(Duration::from_secs(120)), |_| {});
    world.set_faults(&canary, BTreeSet::new());
    world.run_until(begun.plus(Duration::from_secs(86_400)), |_| {});
    assert_eq!(word(&world, &canary).0, "done");
    assert_eq!(word(&world, &next).0, "done");

    // Another process of the service is one too many.
    let mut world = watched(&plan, &known, &canary);
    let begun = world.now;
    world.restarts_service(&canary, Product::ProvisioningAgent);
    world.run_until(begun.plus(Duration::from_secs(600)), |_| {});
    assert_eq!(word(&world, &canary).0, "failed");
    assert!(!issued(&world));
}
