//! Who restarts a server where Windows waits for it: the rule of its site, and what the plan makes of it.

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{
    Appointment, Brings, Inputs, Plan, Purpose, TargetPlan, plan, render, timetable,
};
use controller_core::policy;
use controller_core::taken::Taken;
use controller_core::topology::{Document, parse};
use protocol::facts::{ConnectFacts, Facts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::step::{RestartBy, Step};
use protocol::{TargetId, Timestamp, Version};

use crate::common;

const WINDOW: &str =
    "[site.ams]\nwindow = { days = [\"Sat\"], from = \"22:00\", to = \"04:00\" }\n";

fn document(text: &str) -> Document {
    Document {
        file: "t.toml".to_owned(),
        text: text.to_owned(),
    }
}

/// One agent host and one Connect server, of that site, which has that line.
fn topology(site: &str) -> String {
    format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[site.ams]\nzone = \"Europe/Amsterdam\"\n{site}\n[agents.a]\nsite = \"ams\"\nserves = [\"a.test\"]\nhosts = [\"h1.a.test\"]\n[domain.\"a.test\"]\nallow_outage = true\n[connect.main]\nsite = \"ams\"\nforests = [\"c.test\"]\nservers = [\"s1.c.test\"]\nsettings = \"express\"\n"
    )
}

fn planned(topology: &str, policy: &str, facts: &Facts, purpose: Purpose) -> Plan {
    let (topology, findings) = parse(&[document(topology)]);
    assert!(findings.is_empty(), "{findings:?}");
    let (policy, findings) = policy::parse(&document(policy));
    assert!(findings.is_empty(), "{findings:?}");
    let entry = |target: TargetId| {
        let known = Known {
            facts: Some((Timestamp::from_millis(0), facts.clone())),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (target, known)
    };
    let known: Fleetwide = topology.targets().into_iter().map(entry).collect();
    plan(Inputs::of(
        &topology,
        &policy,
        &known,
        &common::artifacts(),
        purpose,
    ))
}

fn part<'a>(plan: &'a Plan, target: &str) -> &'a TargetPlan {
    &plan.targets[&target.parse().expect("a name")]
}

/// The kinds of a target's steps, phase by phase.
fn kinds(part: &TargetPlan) -> Vec<Vec<&str>> {
    let phases = part.phases.iter();
    phases
        .map(|phase| phase.steps.iter().map(Step::kind).collect())
        .collect()
}

/// Who restarts it, of every restart in its plan, and why a person does.
fn who(part: &TargetPlan) -> Vec<Option<&str>> {
    let steps = part.phases.iter().flat_map(|phase| &phase.steps);
    let mut found = Vec::new();
    for step in steps {
        if let Step::RestartServer(restart) = step {
            found.push(match &restart.by {
                RestartBy::Agent => None,
                RestartBy::Person(text) => Some(text.why.as_str()),
            });
        }
    }
    found
}

fn restarts_are_announced(part: &TargetPlan) -> bool {
    let steps = part.phases.iter().flat_map(|phase| &phase.steps);
    let mut steps = steps;
    steps.any(|step| matches!(step, Step::Preflight(preflight) if preflight.restarts))
}

#[test]
fn the_sites_rule_says_who_restarts_a_server() {
    let nothing = common::facts(None, None);
    let install = |site: &str, policy: &str, facts: &Facts| {
        planned(&topology(site), policy, facts, Purpose::Install)
    };
    let plan = install("reboot = \"window\"", WINDOW, &nothing);
    let agent = part(&plan, "h1.a.test");
    assert_eq!(who(agent), [None, None, None]);
    assert_eq!(
        kinds(agent)[..2],
        [
            vec![
                "preflight",
                "restart-server",
                "install-provisioning-agent",
                "restart-server"
            ],
            vec!["preflight", "restart-server", "register-provisioning-agent"],
        ]
    );
    assert!(
        agent
            .why
            .iter()
            .any(|why| why.contains("window of site ams"))
    );
    // Before the appointment at the wizard of Connect the look stops.
    let connect = part(&plan, "s1.c.test");
    assert_eq!(
        kinds(connect)[..2],
        [
            vec!["preflight", "restart-server", "stage-connect"],
            vec!["preflight", "guide-connect"],
        ]
    );

    let never = install("reboot = \"never\"", WINDOW, &nothing);
    for target in ["h1.a.test", "s1.c.test"] {
        assert!(who(part(&never, target)).is_empty());
        assert!(
            !restarts_are_announced(part(&never, target)),
            "it stops there"
        );
    }
    let mut controller = nothing.clone();
    controller.host.domain_controller = true;
    for (site, policy, facts, says) in [
        ("", WINDOW, &nothing, "the rule of site ams"),
        ("reboot = \"ask\"", WINDOW, &nothing, "the rule of site ams"),
        ("reboot = \"window\"", "", &nothing, "no window"),
        (
            "reboot = \"window\"",
            WINDOW,
            &controller,
            "domain controller",
        ),
    ] {
        let plan = install(site, policy, facts);
        let agent = part(&plan, "h1.a.test");
        let who = who(agent);
        let asked = |why: &Option<&str>| why.is_some_and(|why| why.contains(says));
        assert!(who.len() == 3 && who.iter().all(asked), "{site}: {who:?}");
        assert!(agent.people.iter().any(|line| line.contains(says)));
        assert!(restarts_are_announced(agent));
        // Most servers wait for none: it is no appointment of its own, and no part of the whole.
        let said = render(&plan);
        let line = "which is in none of these times: a person restarts it, of ";
        assert!(said.contains(line), "{said}");
        let people = timetable(&plan, Taken::NOTHING).appointments;
        let restarts = |one: &Appointment| {
            one.brings == Brings::Person("restart Windows where it waits for it")
        };
        assert!(!people.iter().any(restarts), "{people:?}");
    }
    assert!(!render(&plan).contains("a person restarts it"));
}

/// A removal has a restart before it, which its own look would stop at, and one behind it, by the same rule (exit codes 3010 and 1641).
#[test]
fn the_rule_is_that_of_a_removal_too() {
    let facts = common::facts(
        Some(ProvisioningAgentFacts {
            version: Some(Version::new(1, 1, 2505, 0)),
            ..common::old_agent()
        }),
        None,
    );
    let retired = |site: &str| {
        topology(site).replace(
            "hosts = [\"h1.a.test\"]",
            "hosts = []\nretired = [\"h1.a.test\"]",
        )
    };
    let removal = |site: &str| {
        let plan = planned(&retired(site), WINDOW, &facts, Purpose::Install);
        let part = part(&plan, "h1.a.test").clone();
        let first = kinds(&part)[0].iter().map(ToString::to_string).collect();
        (part, first)
    };
    let around: Vec<String> = [
        "restart-server",
        "remove-provisioning-agent",
        "restart-server",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    let (part, steps): (_, Vec<String>) = removal("reboot = \"window\"");
    assert_eq!(steps, around);
    assert_eq!(who(&part), [None, None]);
    let says = |lines: &[String], words: &str| lines.iter().any(|line| line.contains(words));
    assert!(says(&part.why, "window of site ams"), "{:?}", part.why);
    let (part, steps) = removal("reboot = \"ask\"");
    assert_eq!(steps, around);
    assert!(who(&part).iter().all(Option::is_some));
    assert!(
        says(&part.people, "the rule of site ams"),
        "{:?}",
        part.people
    );
    let (part, steps) = removal("reboot = \"never\"");
    assert_eq!(steps, around[1..2]);
    assert!(who(&part).is_empty());
}

#[test]
fn what_changes_nothing_restarts_nothing() {
    let serving = common::facts(
        Some(ProvisioningAgentFacts {
            version: Some(Version::new(1, 1, 2505, 0)),
            ..common::old_agent()
        }),
        Some(ConnectFacts {
            version: Some(Version::new(2, 6, 92, 0)),
            service: Some(ServiceState::Running),
            staging: Some(false),
            cycle_enabled: Some(true),
            suspended: Some(false),
        }),
    );
    let topology = topology("reboot = \"window\"");
    for purpose in [Purpose::Install, Purpose::Verify, Purpose::Preflight] {
        let plan = planned(&topology, WINDOW, &serving, purpose);
        for part in plan.targets.values() {
            assert!(part.is_read_only() && who(part).is_empty());
            assert!(!part.why.iter().any(|why| why.contains("restart")));
        }
    }
    // Without a site nobody has said anything: the preflight stops there, as the owner of the server is to restart it.
    let bare = topology_without_site();
    let plan = planned(&bare, "", &common::facts(None, None), Purpose::Install);
    assert!(who(part(&plan, "h1.a.test")).is_empty());
}

fn topology_without_site() -> String {
    topology("").replace("site = \"ams\"\n", "")
}
