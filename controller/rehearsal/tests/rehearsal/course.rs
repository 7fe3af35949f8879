//! What a rehearsal tells an operator.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_twin::Fault;
use controller_core::facts::Fleetwide;
use controller_core::fleet::{Cause, Fleet, Live};
use controller_core::plan::Plan;
use controller_core::readiness::{Named, Standing};
use controller_core::record::{Order, Record};
use controller_core::tenant::{Configuration, Observation, Part, Units};
use protocol::event::Event;
use protocol::step::Product;
use protocol::{Digest, TargetId};
use rehearsal::{Ask, ROLLOUT, Rails, Stands, World, rehearse, rehearse_as, render};

use crate::common::{NOW, OLD, TENANT, agent, facts, planned, swapped, target, topology};

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

pub(crate) fn ask() -> Ask {
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
        "\n    2 after ",
        "waits on the way",
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
    // None of the courses is done: that says nothing of how long the plan takes.
    assert_eq!(rehearsal.seconds, [0; 0]);
    let [stop] = rehearsal.stopped.as_slice() else {
        panic!("one reason: {:?}", rehearsal.stopped)
    };
    assert_eq!(stop.courses, 3);
    assert!(stop.why.starts_with("s1.corp.test failed: "), "{stop:?}");
    let said = render(&rehearsal, &plan);
    for words in [
        "none of 3 courses came to its end",
        "STOPS in 3 of 3, after ",
        "waves, in a course that stopped",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    println!("{said}");
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
    let middle = |plan: &_, known: &_| rehearse(plan, known, &ask(), 101).seconds[50];
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
    until_watched(World::new(plan, known, ask()), canary)
}

/// The same of a world that has begun.
pub(crate) fn until_watched(mut world: World, canary: &TargetId) -> World {
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

/// Who is away stays away, who is frozen waits for the end of that, and what is not carried out on models is said.
#[test]
fn what_a_controller_knows_is_taken_into_its_rehearsal() {
    let (plan, known) = estate();
    let (away, frozen) = (target("s2.new.test"), target("s1.gone.test"));
    // A controller that carries the same plan out, knows who is away and frozen, and stands still.
    let mut world = World::new(&plan, &known, ask());
    world.leaves(&away);
    let until = NOW.plus(Duration::from_secs(6 * 3600));
    world.freeze(&frozen, Some(until));
    world.stands_still(true).expect("it goes on just now");
    let stands = Stands::of(&plan, &world.fleet, &world.live, NOW);
    assert_eq!(stands.away, BTreeSet::from([away.clone()]));
    assert_eq!(stands.frozen, BTreeMap::from([(frozen.clone(), until)]));
    for words in [
        "has frozen the whole fleet",
        "`apply` refuses this plan until then",
        "runs beside it",
    ] {
        let said = stands.beside.iter().any(|one| one.contains(words));
        assert!(said, "{words}: {:?}", stands.beside);
    }
    let rehearsal = rehearse_as(&plan, &known, &stands, &ask(), 1);
    let left = &rehearsal.course.left;
    assert!(
        matches!(left.as_slice(), [one] if one.target == away
            && ["pending", "held"].contains(&one.state.as_str())),
        "{left:?}"
    );
    assert!(
        rehearsal.course.seconds > 6 * 3600,
        "the freeze is waited for"
    );
    // All but the one that is away would begin at once, but for the freeze of the fleet: the machine itself says so.
    let held = &rehearsal.course.held;
    assert!(
        held.iter()
            .any(|one| one.cause == Cause::FleetFrozen && one.servers > 5),
        "{held:?}"
    );
    let said = render(&rehearsal, &plan);
    for words in [
        "servers: an operator has frozen the whole fleet (something is wrong everywhere); `entrain thaw --all` lifts it; what follows",
        "but those who are away now, and stay away: s2.new.test",
        "frozen: s1.gone.test until",
        "STANDS NOW: an operator has frozen the whole fleet",
        "begins at 2026-",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // By then the freeze is over.
    let later = NOW.plus(Duration::from_secs(7 * 3600));
    let stands = Stands::of(&plan, &world.fleet, &world.live, later);
    assert!(stands.frozen.is_empty());
    let course = rehearse(&plan, &known, &ask(), 1).course;
    assert_eq!(course.left, []);
}

/// The plan for those servers alone, as another part of the same estate.
fn part_of(plan: &Plan, keep: &[&str]) -> Plan {
    let mut part = plan.clone();
    let kept = |target: &TargetId| keep.iter().any(|name| target.as_str().starts_with(name));
    for (target, of) in &mut part.targets {
        if !kept(target) {
            of.phases.clear();
        }
    }
    for wave in &mut part.waves {
        wave.retain(&kept);
    }
    part
}

/// Four upgrades in one domain, of which one may be out: two in a rollout that is under way, and two in the plan that is rehearsed. They
/// go one after another, whichever rollout they are of, and the course is longer by what the other one still does.
#[test]
fn another_rollout_goes_on_beside_a_rehearsal_from_where_it_is() {
    let text = "[agents.one]\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\", \"s2.corp.test\"]\n[agents.two]\nserves = [\"corp.test\"]\nhosts = [\"s3.corp.test\", \"s4.corp.test\"]\n";
    let (whole, known) = planned(&topology(text), POLICY, |_| facts(Some(agent(OLD)), None));
    let (first, second) = (
        part_of(&whole, &["s1", "s2"]),
        part_of(&whole, &["s3", "s4"]),
    );
    let alone = rehearse(&second, &known, &ask(), 1);
    assert_eq!(alone.course.left, []);
    let mut world = World::new(&first, &known, ask());
    let out = |world: &World| {
        let inside = |name| world.inside(&target(name)).is_some();
        inside("s1.corp.test") || inside("s2.corp.test")
    };
    while world.step() && !out(&world) {}
    let now = world.now;
    let at_begin = Ask {
        begin: now,
        ..ask()
    };
    let stands = Stands::of(&second, &world.fleet, &world.live, now);
    assert_eq!(stands.others.len(), 1);
    assert_eq!(stands.beside, [""; 0]);
    let beside = rehearse_as(&second, world.fleet.known(), &stands, &at_begin, 1);
    assert_eq!(beside.course.left, [], "{beside:?}");
    let lowest = beside.lowest[&"corp.test".parse().expect("a name")];
    assert_eq!(lowest, 3, "one is out at a time (G2)");
    assert!(
        beside.course.seconds > alone.course.seconds,
        "{} and {} s alone",
        beside.course.seconds,
        alone.course.seconds
    );
    let waited = beside.course.waited.iter().map(|one| one.cause);
    assert!(
        waited.clone().any(|cause| cause == Cause::ServiceComesBack),
        "{:?}",
        waited.collect::<Vec<_>>()
    );
    // What people do there is the other rollout's, and so are its servers.
    assert!(
        beside
            .course
            .hands
            .iter()
            .all(|hand| second.targets[&hand.target].phases.len() > 1)
    );
    let said = render(&beside, &second);
    assert!(
        said.contains("beside it goes r1 (1 server under way)"),
        "{said}"
    );

    // When the other one is paused it holds nothing; once both of its servers are done it says nothing more.
    world.order(Order::Pause).expect("it runs");
    let stands = Stands::of(&second, &world.fleet, &world.live, now);
    let paused = rehearse_as(&second, world.fleet.known(), &stands, &at_begin, 1);
    assert_eq!(paused.course.left, []);
    assert!(paused.course.seconds < beside.course.seconds);
    assert!(render(&paused, &second).contains("r1, which is paused"));
    world
        .order(Order::Resume {
            after_restore: false,
        })
        .expect("it is paused");
    while world.step() && !world.is_over() {}
    let stands = Stands::of(&second, &world.fleet, &world.live, world.now);
    assert!(stands.others.is_empty());
}

/// A canary of the other rollout that has failed holds what is behind it, in the rehearsal as there; and a part of it that is done stays
/// done.
#[test]
fn what_has_come_to_its_end_in_another_rollout_is_not_done_again_beside_a_rehearsal() {
    let (plan, known) = estate();
    let (first, second) = (
        part_of(&plan, &["s1.corp", "s2.corp", "s3.corp"]),
        part_of(&plan, &["s1.new", "s2.new"]),
    );
    let faults = BTreeSet::from([Fault::LogonRightMissing]);
    let broken = Ask {
        faults: BTreeMap::from([(target("s1.corp.test"), faults)]),
        ..ask()
    };
    let mut world = World::new(&first, &known, broken);
    while world.step() {}
    let work = &world.fleet.rollouts()[&ROLLOUT].work;
    assert_eq!(work[&target("s1.corp.test")].state.word(), "failed");
    let stands = Stands::of(&second, &world.fleet, &world.live, world.now);
    let [other] = stands.others.as_slice() else {
        panic!("{stands:?}")
    };
    assert_eq!(other.failed, [target("s1.corp.test")]);
    let begin = Ask {
        begin: world.now,
        ..ask()
    };
    let rehearsal = rehearse_as(&second, world.fleet.known(), &stands, &begin, 1);
    assert_eq!(rehearsal.course.left, [], "{rehearsal:?}");
}

/// Two configurations of its domain block an agent (PF65, G8): the rehearsal holds those whom that is about, with what lifts it, and
/// carries the others out. A tenant that nobody read holds nobody.
#[test]
fn what_a_tenant_was_read_to_hold_holds_in_a_rehearsal() {
    let (plan, known) = estate();
    let mut fleet = Fleet::new();
    let configuration = |name: &str| Configuration {
        name: name.to_owned(),
        jobs: Part::Seen(Vec::new()),
        domain: Part::Seen("new.test".to_owned()),
        guard: Part::NotSeen("403".to_owned()),
        units: Part::Seen(Units::Whole),
    };
    let tenant = TENANT.parse().expect("a tenant");
    let mut seen = Observation::unseen_all(&tenant, NOW, "403");
    seen.configurations = Part::Seen(vec![configuration("one"), configuration("two")]);
    let read = Record::TenantSeen {
        observation: Box::new(seen),
        by: "anna".to_owned(),
    };
    fleet.apply(&read, None, NOW);
    let mut live = Live::default();
    for target in known.keys() {
        live.came(target.clone(), NOW);
    }
    let stands = Stands::of(&plan, &fleet, &live, NOW);
    let rehearsal = rehearse_as(&plan, &known, &stands, &ask(), 1);
    let left = &rehearsal.course.left;
    let names: Vec<&str> = left.iter().map(|one| one.target.as_str()).collect();
    // Whoever goes for good waits for them, in a wave behind theirs.
    assert_eq!(
        names,
        ["s1.new.test", "s2.new.test", "s0.gone.test"],
        "{left:?}"
    );
    let first = &left[0].why;
    assert!(
        first.contains("PF65") && first.contains("entrain tenant read"),
        "{first}"
    );
    assert!(render(&rehearsal, &plan).contains("holds what it was last read to hold"));
    assert_eq!(rehearse(&plan, &known, &ask(), 1).course.left, []);
}

type Log = Vec<(protocol::Timestamp, Record)>;

/// Each rule that a log tells of, broken in a log that held it before.
#[test]
fn a_log_in_which_a_rule_is_broken_is_found_at_that_entry() {
    // Where a domain's administrator gives a credential, steps change its gMSA.
    let text = format!("{TOPOLOGY}\n[domain.\"new.test\"]\ndirectory = \"ask\"\n");
    let (plan, known) = planned(&topology(&text), POLICY, |server: &TargetId| {
        let bare = server.as_str().ends_with("new.test");
        facts((!bare).then(|| agent(OLD)), None)
    });
    let mut world = World::new(&plan, &known, ask());
    while world.step() && !world.is_over() {}
    let holds = |log: &Log| {
        let (mut fleet, mut rails) = (Fleet::new(), Rails::default());
        for (at, record) in log {
            rails.stored(&fleet, record, *at)?;
            fleet.apply(record, world.plan_of(record), *at);
        }
        Ok::<_, String>(rails.asked)
    };
    let asked = holds(&world.log).expect("it holds");
    assert!(
        asked.g2 > 3 && asked.g3 > 0 && asked.g5 > 10 && asked.g9 > 3,
        "{asked:?}"
    );
    let event = |record: &Record| {
        let Record::TargetEvent { target, body, .. } = record else {
            return None;
        };
        Some((target.clone(), Event::from_body(body.as_bytes())?))
    };
    let first = |is: &dyn Fn(&Record) -> bool| {
        world
            .log
            .iter()
            .position(|(_, record)| is(record))
            .expect("it is there")
    };
    let broken = |change: &dyn Fn(&mut Log), says: &str| {
        let mut log = world.log.clone();
        change(&mut log);
        let held = holds(&log);
        assert!(
            held.as_ref().is_err_and(|why| why.contains(says)),
            "{says}: {held:?}"
        );
    };
    // Two of a domain of three, of which two must serve, get leave at once.
    let outage = |record: &Record, of: &str| matches!(record, Record::PermitGiven { section, target, .. } if section.outage && target.as_str() == of);
    let one = first(&|record| outage(record, "s1.corp.test"));
    let two = first(&|record| outage(record, "s2.corp.test"));
    let (earlier, later) = (one.min(two), one.max(two));
    broken(
        &|log| {
            let leave = log[later].1.clone();
            let at = log[earlier].0;
            log.insert(earlier + 1, (at, leave));
        },
        "G2: ",
    );
    // A section without leave, and a bundle twice.
    broken(&|log| drop(log.remove(earlier)), "without leave");
    let issued = first(&|record| matches!(record, Record::BundleIssued { .. }));
    broken(&|log| log.insert(issued + 1, log[issued].clone()), "G5: ");
    // Two change one gMSA.
    let changes = |record: &Record| matches!(record, Record::PermitGiven { section, .. } if section.gmsa.is_some());
    let leave = first(&changes);
    broken(
        &|log| {
            let (at, mut other) = log[leave].clone();
            if let Record::PermitGiven { target: of, .. } = &mut other {
                *of = target("s3.corp.test");
            }
            log.insert(leave + 1, (at, other));
        },
        "G3: ",
    );
    // It is registered elsewhere by then.
    let entered = first(&|record| {
        event(record).is_some_and(|(of, event)| {
            of.as_str() == "s1.corp.test" && matches!(event, Event::SectionEntered { .. })
        })
    });
    broken(
        &|log| {
            let facts = log.iter().take(entered).rev().find_map(|(at, record)| {
                let (of, event) = event(record)?;
                let Event::FactsReported(mut facts) = event else {
                    return None;
                };
                facts.provisioning_agent.as_mut()?.tenant =
                    "77aa0000-0000-0000-0000-000000000000".parse().ok();
                (of.as_str() == "s1.corp.test").then_some((*at, facts))
            });
            let (at, facts) = facts.expect("it told its facts");
            let body = String::from_utf8(Event::FactsReported(facts).to_body()).expect("text");
            let (_, mut told) = log[entered].clone();
            if let Record::TargetEvent { body: of, .. } = &mut told {
                *of = body;
            }
            log.insert(entered, (at, told));
        },
        "G9: ",
    );
}

/// Two servers that change places, both ordered to become active.
#[test]
fn a_log_in_which_two_become_active_is_found_at_that_entry() {
    let (plan, known) = swapped();
    let mut world = World::new(&plan, &known, ask());
    while world.step() && !world.is_over() {}
    let holds = |log: &Log| {
        let (mut fleet, mut rails) = (Fleet::new(), Rails::default());
        for (at, record) in log {
            rails.stored(&fleet, record, *at)?;
            fleet.apply(record, world.plan_of(record), *at);
        }
        Ok::<_, String>(rails.asked.g1)
    };
    assert!(holds(&world.log).expect("it holds") > 0);
    // What the first told of its staging mode is left out: for all that the log says it is active still.
    let log: Vec<_> = world
        .log
        .iter()
        .filter(|(at, record)| {
            let facts = matches!(record, Record::TargetEvent { target, body, .. }
                if target.as_str() == "c1.corp.test" && body.contains("\"staging\":true"));
            *at == NOW || !facts
        })
        .cloned()
        .collect();
    let held = holds(&log);
    assert!(
        held.as_ref().is_err_and(|why| why.starts_with("G1: ")),
        "{held:?}"
    );
}

/// The models know nothing of what a preflight found: a rehearsal says what is taken to be mended, and who would be left.
#[test]
fn what_a_preflight_found_to_block_is_said_to_be_taken_as_mended() {
    let (mut plan, known) = estate();
    let before = rehearse(&plan, &known, &ask(), 1);
    assert!(!before.assumed.contains("mended") && before.beside.is_empty());
    assert!(render(&before, &plan).contains("everything would be done\n"));
    for server in ["s1.new.test", "s2.new.test"] {
        let blocked = Standing::Blocked {
            by: Named {
                at: NOW,
                rollout: ROLLOUT,
                receipt: Digest::ZERO,
            },
            blocks: vec!["PF07 (memory: 2 GB; the server's owner: give it more)".to_owned()],
            untold: Vec::new(),
            attested: Vec::new(),
        };
        plan.readiness.insert(target(server), blocked);
    }
    let rehearsal = rehearse(&plan, &known, &ask(), 1);
    assert!(rehearsal.assumed.contains("found to block is mended"));
    assert_eq!(rehearsal.beside.len(), 1, "{:?}", rehearsal.beside);
    let said = render(&rehearsal, &plan);
    for words in [
        "2 servers would be left",
        "PF07 (memory",
        "s1.new.test, s2.new.test",
        "everything would be done, once what",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
