//! What a plan says of time: how long its steps usually take, who serves meanwhile, and who is needed when.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::Fleet;
use controller_core::plan::{
    Brings, Inputs, Plan, Purpose, TOKEN_LIFE, plan, render, render_by, timetable,
};
use controller_core::policy::{self, Policy};
use controller_core::record::Record;
use controller_core::taken::Taken;
use controller_core::topology::parse;
use protocol::event::{Completion, Event};
use protocol::facts::{ConnectFacts, Facts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::Phase;
use protocol::step::Product;
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

fn target(name: &str) -> TargetId {
    name.parse().unwrap()
}

/// An agent of that version that serves, or a server without one.
fn facts(version: Option<Version>) -> Facts {
    let agent = version.map(|version| ProvisioningAgentFacts {
        version: Some(version),
        options: None,
        ..common::old_agent()
    });
    common::facts(agent, None)
}

/// One group for each domain, with so many servers of these facts and what Entrain made them serve.
fn planned(domains: &[&str], servers: u32, facts: &Facts, made: bool, policy: &Policy) -> Plan {
    let mut text = format!("[tenant.main]\nid = \"{TENANT}\"\n");
    for domain in domains {
        let hosts = (1..=servers).map(|n| format!("\"s{n}.{domain}\""));
        let hosts = hosts.collect::<Vec<_>>().join(", ");
        let group = domain.replace('.', "-");
        text.push_str(&format!(
            "[agents.{group}]\nserves = [\"{domain}\"]\nhosts = [{hosts}]\n"
        ));
    }
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let known = |target: TargetId| {
        let domain = target.home_domain().unwrap();
        let known = Known {
            facts: Some((NOW, facts.clone())),
            domains: made.then(|| BTreeSet::from([domain])),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (target, known)
    };
    let known: Fleetwide = topology.targets().into_iter().map(known).collect();
    plan(Inputs::of(
        &topology,
        policy,
        &known,
        &common::artifacts(),
        Purpose::Install,
    ))
}

fn quick() -> Policy {
    Policy {
        in_flight: 100,
        ..Policy::default()
    }
}

#[test]
fn what_ran_on_this_fleet_takes_the_place_of_the_estimate_and_the_plan_stays_the_same() {
    let plan = planned(&["a.test"], 1, &facts(None), false, &Policy::default());
    let (before, id) = (render(&plan), plan.id());
    let row = |said: &str, title: &str| {
        let line = said
            .lines()
            .find(|line| line.trim_start().starts_with(title) && line.contains(" fleet"));
        line.unwrap_or_else(|| panic!("no {title} in\n{said}"))
            .to_owned()
    };
    let setup = "install provisioning agent";
    assert!(row(&before, setup).contains("an estimate: none has run on this fleet yet"));

    let mut fleet = Fleet::new();
    let server = target("s1.a.test");
    let key = SigningKey::generate().public();
    fleet.apply(&common::enrolled(&server, key), None, NOW);
    let mut index = 0;
    for (number, minutes) in (1..).zip([11, 40, 12]) {
        let (rollout, generation) = (RolloutId(number), Generation(u64::from(number)));
        fleet.apply(&common::applied(rollout, &plan), Some(&plan), NOW);
        let issued = Record::BundleIssued {
            rollout,
            target: server.clone(),
            generation,
            phase: Phase::Prepare,
            bundle: BundleId(Digest::ZERO),
            expires: NOW.plus(Duration::from_secs(86_400)),
        };
        fleet.apply(&issued, None, NOW);
        let step = StepIndex(1);
        let begun = Event::StepBegun {
            generation,
            step,
            attempt: Attempt(1),
            kind: "install-provisioning-agent".to_owned(),
        };
        let ended = Event::StepCompleted {
            generation,
            step,
            completion: Completion::Applied,
            summary: String::new(),
            grade: None,
        };
        // The agent's own clock counts: both came here in one breath.
        let end = NOW.plus(Duration::from_secs(60 * minutes));
        for (at, event) in [(NOW, begun), (end, ended)] {
            index += 1;
            fleet.apply(&common::told(&server, index, at, &event), None, NOW);
        }
    }
    let after = render_by(&plan, fleet.taken());
    let line = row(&after, setup);
    assert!(
        line.contains("12 min") && line.contains("the median of its last 3 runs on this fleet"),
        "{line}"
    );
    assert!(row(&after, "preflight").contains("an estimate"));
    assert_eq!(plan.id(), id, "what was taken is no part of a plan");
    assert!(timetable(&plan, fleet.taken()).all > timetable(&plan, Taken::NOTHING).all);
}

/// Two Connect servers are upgraded in place: a full synchronization may come behind each.
#[test]
fn what_nobody_can_tell_is_said_and_not_counted() {
    let text = format!(
        "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\", \"c2.a.test\"]\n"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let known = |name: &str| {
        let connect = ConnectFacts {
            version: Some(Version::new(2, 5, 79, 0)),
            service: Some(ServiceState::Running),
            staging: Some(name == "c2.a.test"),
            cycle_enabled: Some(true),
            suspended: Some(false),
        };
        let known = Known {
            facts: Some((NOW, common::facts(None, Some(connect)))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (target(name), known)
    };
    let known: Fleetwide = ["c1.a.test", "c2.a.test"].map(known).into();
    let plan = plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &common::artifacts(),
        Purpose::Install,
    ));
    let table = timetable(&plan, Taken::NOTHING);
    let both = BTreeSet::from([target("c1.a.test"), target("c2.a.test")]);
    assert_eq!(table.untold, both);
    let said = render(&plan);
    for line in [
        "  wait for Connect's full synchronization on c1.a.test  not known   it has not run there yet: minutes or many hours, by how much there is\n",
        "  wait for Connect's full synchronization on c2.a.test  not known ",
        ", and without the full synchronization of c1.a.test, c2.a.test, whose time is not known\n",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

#[test]
fn servers_that_serve_meanwhile_are_named() {
    let old = facts(Some(Version::new(1, 1, 1000, 0)));
    let said = render(&planned(&["a.test"], 3, &old, true, &Policy::default()));
    for line in [
        "  a.test: at least 2 of 3 agents\n",
        "    serve it now: s1.a.test, s2.a.test, s3.a.test\n",
        "    while s1.a.test is changed: s2.a.test, s3.a.test\n",
        "    while s3.a.test is changed: s1.a.test, s2.a.test\n",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    // Whom somebody else registered serves nobody knows whom.
    let said = render(&planned(&["a.test"], 2, &old, false, &Policy::default()));
    assert!(
        said.contains("so whether they serve it is not known: s1.a.test, s2.a.test\n")
            && !said.contains("serve it now"),
        "{said}"
    );
    let said = render(&planned(
        &["a.test"],
        2,
        &facts(None),
        false,
        &Policy::default(),
    ));
    assert!(
        said.contains("    nobody is known to serve it now\n"),
        "{said}"
    );
}

#[test]
fn one_token_covers_as_many_servers_as_are_through_in_its_life() {
    // Twelve domains of one server: they change nothing of each other's.
    let domains: Vec<String> = (1..=12).map(|n| format!("d{n}.test")).collect();
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    let plan = planned(&domains, 1, &facts(None), false, &quick());
    let table = timetable(&plan, Taken::NOTHING);
    let mut covered = BTreeSet::new();
    for one in &table.appointments {
        assert_eq!(one.brings, Brings::Token);
        assert!(one.until <= one.due + TOKEN_LIFE, "{one:?}");
        for target in &one.covers {
            assert!(covered.insert(target.clone()), "{target} needs one token");
        }
    }
    assert_eq!(covered.len(), 12);
    let due: Vec<Duration> = table.appointments.iter().map(|one| one.due).collect();
    assert!(
        due.is_sorted() && due[0] > Duration::ZERO,
        "it is prepared first: {due:?}"
    );
    // One domain of twelve servers: they register one after the other, since they change one gMSA (G3).
    let shared = planned(&["a.test"], 12, &facts(None), false, &quick());
    let turns = timetable(&shared, Taken::NOTHING);
    assert!(turns.appointments.len() > 1, "{turns:?}");
    let said = render(&shared);
    let first = turns.appointments[0].covers.len();
    assert!(
        said.contains(&format!(
            "one access token of tenant main for {first} servers"
        )) && said.contains(&format!(
            "(entrain secret give --tenant main --count {first} --for "
        )) && said.contains("which is not the vendor's word"),
        "{said}"
    );
}

/// A product that is watched holds no place of those that are under way (and a wave waits for its end).
#[test]
fn two_products_are_watched_at_the_same_time() {
    let one = Policy {
        in_flight: 1,
        ..Policy::default()
    };
    let (watched, findings) = policy::parse(&common::document(
        "limit = { in_flight = 1 }\nsoak = { cloud-sync = \"60 cycles\" }\n",
    ));
    assert!(findings.is_empty(), "{findings:?}");
    let all = |policy: &Policy| {
        let plan = planned(&["a.test", "b.test"], 1, &facts(None), false, policy);
        timetable(&plan, Taken::NOTHING).all
    };
    let (bare, soaked) = (all(&one), all(&watched));
    let watch = Duration::from_secs(u64::from(watched.soak.seconds(Product::ProvisioningAgent)));
    assert!(
        watch > bare && soaked >= bare + watch,
        "{bare:?} {soaked:?}"
    );
    assert!(soaked < bare + 2 * watch, "{bare:?} {soaked:?}");
}
