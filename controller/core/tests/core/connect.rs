//! G1 at the moment of action: two rollouts of two topologies cannot make two servers of one tenant active.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Decision, Fleet, Live, TargetState};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::record::{Order, Record};
use controller_core::topology::{check, parse};
use protocol::event::Event;
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::Ending;
use protocol::step::{ConnectWork, Step};
use protocol::{BundleId, Digest, Generation, RolloutId, TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const NEWEST: Version = Version::new(2, 6, 92, 0);

fn facts(connect: Option<Option<bool>>) -> Facts {
    let connect = connect.map(|staging| ConnectFacts {
        version: Some(NEWEST),
        service: Some(ServiceState::Running),
        staging,
        cycle_enabled: Some(true),
        suspended: Some(false),
    });
    common::facts(None, connect)
}

fn express(server: &str, known: &Fleetwide) -> Plan {
    let document = common::document(format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"{server}\"]\nsettings = \"express\"\n"
    ));
    let (topology, findings) = parse(&[document]);
    assert!(findings.is_empty() && check(&topology, None).is_empty());
    plan(Inputs::of(
        &topology,
        &Policy::default(),
        known,
        &common::artifacts(),
        Purpose::Install,
    ))
}

struct World {
    fleet: Fleet,
    live: Live,
}

impl World {
    /// Two enrolled servers without Connect, and a rollout of a topology of its own for each.
    fn new() -> Self {
        let servers: [TargetId; 2] = ["c1.a.test".parse().unwrap(), "c2.a.test".parse().unwrap()];
        let mut known = Fleetwide::new();
        let mut fleet = Fleet::new();
        for server in &servers {
            let key = SigningKey::generate().public();
            let entry = Known {
                facts: Some((NOW, facts(None))),
                ..Known::of(key.fingerprint())
            };
            known.insert(server.clone(), entry);
            let enrolled = common::enrolled(server, key);
            fleet.apply(&enrolled, None, NOW);
        }
        for (server, rollout) in servers.iter().zip(1..) {
            let plan = express(server.as_str(), &known);
            let applied = common::applied(RolloutId(rollout), &plan);
            fleet.apply(&applied, Some(&plan), NOW);
        }
        let live = Live {
            connected: servers.into_iter().collect(),
            began: NOW,
            ..Live::default()
        };
        Self { fleet, live }
    }

    fn reports(&mut self, server: &str, connect: Option<Option<bool>>) {
        self.tells(server, &Event::FactsReported(Box::new(facts(connect))));
    }

    fn tells(&mut self, server: &str, event: &Event) {
        let record = common::told(&server.parse().unwrap(), 1, NOW, event);
        self.fleet.apply(&record, None, NOW);
    }

    fn offered(&self) -> Vec<String> {
        let decisions = self.fleet.decide(&self.live, NOW);
        let issued = decisions.into_iter().filter_map(|decision| match decision {
            Decision::Issue { target, .. } => Some(target.to_string()),
            Decision::Permit { .. }
            | Decision::Degraded { .. }
            | Decision::Unknown { .. }
            | Decision::Away { .. }
            | Decision::PassedOver { .. } => None,
        });
        issued.collect()
    }

    fn issue(&mut self, server: &str) {
        let rollouts = self.fleet.rollouts();
        let target: TargetId = server.parse().unwrap();
        let (id, rollout) = rollouts
            .iter()
            .find(|(_, rollout)| rollout.work.contains_key(&target))
            .unwrap();
        let issued = Record::BundleIssued {
            rollout: *id,
            phase: rollout.plan.targets[&target].phases[0].phase,
            target,
            generation: Generation(1),
            bundle: BundleId(Digest::ZERO),
            expires: NOW,
        };
        self.fleet.apply(&issued, None, NOW);
    }

    fn hold(&self, rollout: u32, server: &str) -> String {
        let target = server.parse().unwrap();
        let hold = self
            .fleet
            .hold(RolloutId(rollout), &target, &self.live, NOW);
        hold.map(|hold| hold.why).unwrap_or_default()
    }
}

#[test]
fn of_two_that_could_begin_at_once_one_does() {
    let mut world = World::new();
    assert_eq!(world.offered(), ["c1.a.test"], "one turn, one claim");
    // Both are between their phases, as a log of earlier days may show them: the one that was ordered first goes on.
    for (server, rollout) in [("c1.a.test", 1), ("c2.a.test", 2)] {
        world.issue(server);
        world.tells(
            server,
            &Event::RunFinished {
                generation: Generation(1),
                ending: Ending::Completed,
                receipt: String::new(),
            },
        );
        assert_eq!(world.fleet.rollouts()[&RolloutId(rollout)].work.len(), 1);
    }
    assert_eq!(world.offered(), ["c1.a.test"]);
    assert!(world.hold(2, "c2.a.test").contains("is being made"));
}

#[test]
fn an_active_server_whose_agent_is_gone_keeps_its_claim_until_a_person_says_that_it_is_off() {
    for revoked in [true, false] {
        let mut world = World::new();
        world.reports("c1.a.test", Some(Some(false)));
        let target: TargetId = "c1.a.test".parse().unwrap();
        let by = "root".to_owned();
        let gone = if revoked {
            Record::AgentRevoked {
                key: SigningKey::generate().public().fingerprint(),
                target: target.clone(),
                by: by.clone(),
            }
        } else {
            Record::AgentReplaced {
                target: target.clone(),
                by: by.clone(),
            }
        };
        world.fleet.apply(&gone, None, NOW);
        assert!(world.offered().is_empty());
        let why = world.hold(2, "c2.a.test");
        assert!(
            why.contains("when it was last heard of") && why.contains("--off"),
            "{why}"
        );
        world
            .fleet
            .apply(&Record::SaidOff { target, by }, None, NOW);
        assert_eq!(world.offered(), ["c2.a.test"]);
    }
}

#[test]
fn a_server_that_went_silent_on_its_way_to_active_keeps_its_claim_until_it_is_resolved() {
    let mut world = World::new();
    world.issue("c1.a.test");
    let target: TargetId = "c1.a.test".parse().unwrap();
    let generation = Generation(1);
    world.fleet.apply(
        &Record::WentUnknown {
            target: target.clone(),
            generation,
        },
        None,
        NOW,
    );
    assert!(world.offered().is_empty());
    assert!(world.hold(2, "c2.a.test").contains("may have become"));
    let order = Order::Resolve {
        target,
        reason: "it is scrap".to_owned(),
        off: false,
    };
    let resolved = Record::Ordered {
        rollout: RolloutId(1),
        order,
        by: "root".to_owned(),
    };
    world.fleet.apply(&resolved, None, NOW);
    assert_eq!(world.offered(), ["c2.a.test"]);
}

#[test]
fn while_one_server_is_on_the_way_to_active_no_other_begins() {
    let mut world = World::new();
    world.issue("c1.a.test");
    assert_eq!(world.offered(), [""; 0]);
    assert!(world.hold(2, "c2.a.test").contains("G1"));
}

#[test]
fn an_active_server_or_one_that_cannot_be_told_holds_and_a_staging_one_does_not() {
    for (staging, holds) in [(Some(false), true), (None, true), (Some(true), false)] {
        let mut world = World::new();
        world.reports("c1.a.test", Some(staging));
        let held = world.hold(2, "c2.a.test").contains("G1");
        assert_eq!(held, holds, "{staging:?}");
        let offered = world.offered().contains(&"c2.a.test".to_owned());
        assert_eq!(offered, !holds, "{staging:?}");
    }
}

/// The wizard may have left it in staging mode, and its installation goes on: a person is about to make it active.
#[test]
fn one_that_is_being_installed_as_active_keeps_its_claim_also_while_it_reads_as_staging() {
    let mut world = World::new();
    world.issue("c1.a.test");
    world.reports("c1.a.test", Some(Some(true)));
    assert_eq!(world.offered(), [""; 0]);
    assert!(world.hold(2, "c2.a.test").contains("is being made"));
    // Between its phases too, until somebody leaves it out.
    let ended = Event::RunFinished {
        generation: Generation(1),
        ending: Ending::Completed,
        receipt: String::new(),
    };
    world.tells("c1.a.test", &ended);
    assert_eq!(world.offered(), ["c1.a.test"]);
    assert!(world.hold(2, "c2.a.test").contains("is being made"));
    let order = Order::Skip {
        target: "c1.a.test".parse().unwrap(),
        reason: "it stays as it is".to_owned(),
    };
    let (rollout, by) = (RolloutId(1), "root".to_owned());
    let skipped = Record::Ordered { rollout, order, by };
    world.fleet.apply(&skipped, None, NOW);
    assert_eq!(world.offered(), ["c2.a.test"]);
}

/// A plan over two servers of one tenant that have an older version, named so that the active one comes first by name.
fn upgrade(modes: [Option<bool>; 2]) -> Plan {
    upgrade_of(modes, Some(true))
}

/// The same, where the scheduler told that of its cycle.
fn upgrade_of(modes: [Option<bool>; 2], cycle_enabled: Option<bool>) -> Plan {
    let document = common::document("[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\", \"c2.a.test\"]\nsettings = { sign_in = \"password-hash-sync\" }\n".to_owned());
    let (topology, findings) = parse(&[document]);
    assert!(findings.is_empty(), "{findings:?}");
    let mut known = Fleetwide::new();
    for (server, mode) in ["c1.a.test", "c2.a.test"].into_iter().zip(modes) {
        let mut facts = facts(Some(mode));
        if let Some(connect) = &mut facts.connect {
            connect.version = Some(Version::new(2, 5, 79, 0));
            connect.cycle_enabled = cycle_enabled;
        }
        let key = SigningKey::generate().public();
        let entry = Known {
            facts: Some((NOW, facts)),
            ..Known::of(key.fingerprint())
        };
        known.insert(server.parse().unwrap(), entry);
    }
    plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &common::artifacts(),
        Purpose::Install,
    ))
}

#[test]
fn staging_servers_are_upgraded_before_the_active_one_and_each_keeps_its_mode() {
    let plan = upgrade([Some(false), Some(true)]);
    let order: Vec<String> = plan.waves[0].iter().map(ToString::to_string).collect();
    assert_eq!(order, ["c2.a.test", "c1.a.test"]);
    for (server, work) in [
        ("c1.a.test", ConnectWork::UpgradeActive),
        ("c2.a.test", ConnectWork::UpgradeStaging),
    ] {
        let part = &plan.targets[&server.parse::<TargetId>().unwrap()];
        assert!(!part.makes_active(), "an upgrade makes nobody active (G1)");
        let steps = part.phases.iter().flat_map(|phase| &phase.steps);
        let guided: Vec<_> = steps
            .filter_map(|step| match step {
                Step::GuideConnect(guide) => Some((guide.work, guide.at_least)),
                _ => None,
            })
            .collect();
        assert_eq!(guided, [(work, NEWEST)], "{server}");
        assert!(part.why[0].contains("2.5.79.0"), "{:?}", part.why);
    }
}

/// Whether the wizard starts the cycle lies in the tenant: no page has a staging server stop the active one, or end what somebody held.
#[test]
fn the_pages_of_an_upgrade_leave_the_cycle_as_it_is_but_on_the_active_server() {
    let cases = [
        (
            Some(true),
            [
                "leave \"Start",
                "clear \"Start the synchronization process\" only where",
            ],
        ),
        (Some(false), ["clear \"Start", "clear \"Start"]),
        (None, ["\"Start", "\"Start"]),
    ];
    for (cycle, [on_staging, on_active]) in cases {
        let plan = upgrade_of([Some(false), Some(true)], cycle);
        for (server, wanted) in [("c2.a.test", on_staging), ("c1.a.test", on_active)] {
            let part = &plan.targets[&server.parse::<TargetId>().unwrap()];
            let steps = part.phases.iter().flat_map(|phase| &phase.steps);
            let text = steps.filter_map(|step| match step {
                Step::GuideConnect(guide) => Some(&guide.text),
                _ => None,
            });
            let pages = text.flat_map(|text| &text.pages);
            let lines: Vec<&String> = pages.flat_map(|page| &page.lines).collect();
            let start = lines
                .iter()
                .filter(|line| line.contains("\"Start the sync"));
            let start: Vec<&&String> = start.collect();
            assert!(
                start.len() == 1 && start[0].starts_with(wanted) && start[0].contains("tenant"),
                "{server} {cycle:?}: {start:?}"
            );
            // It may be held by the time when somebody sits at the wizard.
            let since = lines
                .iter()
                .filter(|line| line.contains("somebody holds the tenant's cycle by now"));
            assert_eq!(
                since.count(),
                usize::from(cycle == Some(true)),
                "{server} {cycle:?}: {lines:?}"
            );
            // On the active server the verification fails for as long as it is off, whoever holds it and since when.
            let fails = |words: &str| words.contains("the verification at the end fails (PV24)");
            let active = server == "c1.a.test";
            assert_eq!(
                lines.iter().any(|line| fails(line)),
                active && cycle == Some(true),
                "{server} {cycle:?}: {lines:?}"
            );
            assert_eq!(
                part.why.iter().any(|why| fails(why)),
                active && cycle.is_some(),
                "{server} {cycle:?}: {:?}",
                part.why
            );
            // Nobody is told to release what somebody else holds.
            let releases = lines
                .iter()
                .any(|line| line.contains("Set-ADSyncScheduler"));
            assert_eq!(
                releases,
                cycle != Some(false),
                "{server} {cycle:?}: {lines:?}"
            );
        }
    }
}

/// The alarms stand in the plan, and in the fleet's state as soon as servers tell, whatever was planned.
#[test]
fn two_active_servers_none_and_what_cannot_be_told_raise_an_alarm() {
    let (active, staging) = (Some(false), Some(true));
    for (modes, alarm, warning) in [
        ([active, staging], "", ""),
        ([active, active], "active at once: c1.a.test, c2.a.test", ""),
        ([staging, staging], "no Connect server of tenant main", ""),
        (
            [active, None],
            "",
            "whether c2.a.test of tenant main is active cannot be told",
        ),
    ] {
        let plan = upgrade(modes);
        let report = controller_core::plan::render(&plan);
        for (said, wanted, label) in [
            (&plan.alarms, alarm, "ALARM G1"),
            (&plan.warnings, warning, "WARNING G1"),
        ] {
            assert_eq!(said.is_empty(), wanted.is_empty(), "{modes:?}: {said:?}");
            assert!(said.iter().all(|said| said.contains(wanted)), "{said:?}");
            assert_eq!(report.contains(label), !wanted.is_empty(), "{report}");
        }
        let mut world = World::new();
        assert_eq!(world.fleet.alarms(NOW), [""; 0]);
        world.reports("c1.a.test", Some(modes[0]));
        world.reports("c2.a.test", Some(modes[1]));
        let alarms = world.fleet.alarms(NOW);
        let wanted = [alarm, warning]
            .concat()
            .replace("main", "3f0c8a4e-0000-0000-0000-000000000000");
        assert_eq!(
            alarms.is_empty(),
            wanted.is_empty(),
            "{modes:?}: {alarms:?}"
        );
        assert!(
            alarms.iter().all(|said| said.contains(&wanted)),
            "{alarms:?}"
        );
    }
}

#[test]
fn a_server_whose_mode_cannot_be_told_is_not_upgraded() {
    let plan = upgrade([None, Some(true)]);
    let part = &plan.targets[&"c1.a.test".parse::<TargetId>().unwrap()];
    assert!(
        part.left_out && part.why[0].contains("G1"),
        "{:?}",
        part.why
    );
}

#[test]
fn a_connect_server_of_two_tenants_is_found() {
    let text = "[tenant.one]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[tenant.two]\nid = \"77aa0000-0000-0000-0000-000000000000\"\n\
        [connect.one]\ntenant = \"one\"\nforests = [\"a.test\"]\nservers = [\"c1.a.test\"]\nsettings = \"express\"\n\
        [connect.two]\ntenant = \"two\"\nforests = [\"a.test\"]\nservers = [\"c1.a.test\"]\nsettings = \"express\"\n";
    let document = common::document(text.to_owned());
    let (topology, _) = parse(&[document]);
    let found = check(&topology, None);
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(
        told.iter()
            .any(|one| one.contains("c1.a.test") && one.contains("(G9)")),
        "{told:?}"
    );
}

/// Who goes may be the active one until it has told otherwise: express settings would make a second (G1).
#[test]
fn beside_a_retired_server_that_never_reported_none_is_installed_with_express_settings() {
    let text = "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"new.a.test\"]\nretired = [\"old.a.test\"]\nsettings = \"express\"\n";
    let (topology, _) = parse(&[common::document(text)]);
    let findings: Vec<String> = check(&topology, None)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        findings
            .iter()
            .any(|one| one.contains("has 2 servers, those that go included")),
        "{findings:?}"
    );
    let key = SigningKey::generate().public().fingerprint();
    let new: TargetId = "new.a.test".parse().unwrap();
    let known = Fleetwide::from([(
        new.clone(),
        Known {
            facts: Some((NOW, common::facts(None, None))),
            ..Known::of(key)
        },
    )]);
    let plan = plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &common::artifacts(),
        Purpose::Install,
    ));
    let part = &plan.targets[&new];
    assert!(part.phases.is_empty(), "{part:?}");
    assert!(
        part.why[0].contains("old.a.test is active cannot be told"),
        "{:?}",
        part.why
    );
}

/// What a server tells of its scheduler at a moment.
fn scheduler_told(
    fleet: &mut Fleet,
    staging: bool,
    suspended: Option<bool>,
    cycle_enabled: Option<bool>,
    at: Timestamp,
) {
    let mut told = facts(Some(Some(staging)));
    let connect = told.connect.as_mut().unwrap();
    (connect.suspended, connect.cycle_enabled) = (suspended, cycle_enabled);
    let event = Event::FactsReported(Box::new(told));
    let record = common::told(&"c1.a.test".parse().unwrap(), 1, at, &event);
    fleet.apply(&record, None, at);
}

fn about_scheduler(fleet: &Fleet, at: Timestamp) -> Vec<String> {
    let mut alarms = fleet.alarms(at);
    alarms.retain(|alarm| alarm.contains("7 days") || alarm.contains("also on a staging"));
    alarms
}

/// A wizard that was left open, or a cycle that is off: after its time it is an alarm, on the active server and on a staging
/// one, and it lifts by itself when a later look shows otherwise. What was not told changes nothing.
#[test]
fn a_scheduler_that_stands_for_too_long_is_an_alarm_and_lifts_by_itself() {
    let on = (Some(false), Some(true));
    for staging in [false, true] {
        for (told, hours, said) in [
            ((Some(true), Some(true)), 2, "is suspended since"),
            (
                (Some(false), Some(false)),
                24,
                "cycle of Connect is off since",
            ),
        ] {
            let mut fleet = Fleet::new();
            let after = |hours: u64| NOW.plus(Duration::from_secs(hours * 3600));
            scheduler_told(&mut fleet, staging, told.0, told.1, NOW);
            // Told again, and once not told: it stands since it was seen first.
            scheduler_told(&mut fleet, staging, told.0, told.1, after(1));
            scheduler_told(&mut fleet, staging, None, None, after(1));
            assert!(about_scheduler(&fleet, after(hours - 1)).is_empty());
            let alarms = about_scheduler(&fleet, after(hours));
            assert_eq!(alarms.len(), 1, "{alarms:?}");
            let wanted = "c1.a.test: the";
            assert!(alarms[0].starts_with(wanted), "{alarms:?}");
            assert!(alarms[0].contains(&format!("{said} {NOW}")), "{alarms:?}");
            assert!(alarms[0].contains("must run every 7 days"), "{alarms:?}");
            let late = about_scheduler(&fleet, after(7 * 24));
            assert!(late[0].contains("had to run by"), "{late:?}");
            scheduler_told(&mut fleet, staging, on.0, on.1, after(hours));
            assert!(about_scheduler(&fleet, after(1000)).is_empty());
        }
    }
    // An engine that is stopped and disabled runs no cycle, and is not meant to.
    let mut fleet = Fleet::new();
    scheduler_told(&mut fleet, true, Some(true), Some(false), NOW);
    let mut fenced = facts(Some(None));
    fenced.connect.as_mut().unwrap().service = Some(ServiceState::Disabled);
    let event = Event::FactsReported(Box::new(fenced));
    let record = common::told(&"c1.a.test".parse().unwrap(), 2, NOW, &event);
    fleet.apply(&record, None, NOW);
    let late = NOW.plus(Duration::from_secs(1_000_000));
    assert!(about_scheduler(&fleet, late).is_empty());
}

/// The console is told also where the module says nothing of its scheduler: who has it open keeps the product from its upgrade all the same.
#[test]
fn an_open_console_is_an_alarm_where_the_module_does_not_tell_of_the_scheduler() {
    let after = |minutes: u64| NOW.plus(Duration::from_secs(minutes * 60));
    let mut fleet = Fleet::new();
    let mut told = facts(Some(None));
    told.connect.as_mut().unwrap().suspended = None;
    told.console_open = true;
    let event = Event::FactsReported(Box::new(told));
    let record = common::told(&"c1.a.test".parse().unwrap(), 1, NOW, &event);
    fleet.apply(&record, None, NOW);
    let said = |at: Timestamp| {
        let mut alarms = fleet.alarms(at);
        alarms.retain(|alarm| alarm.contains("miisclient.exe"));
        alarms.len()
    };
    assert_eq!((said(after(119)), said(after(120))), (0, 1));
}

/// A console that was left open suspends nothing, and keeps the product from its upgrade: an alarm of its own, which lifts once a look
/// finds it closed. Where nobody looked it is as it was.
#[test]
fn a_console_that_was_left_open_is_an_alarm_and_lifts_by_itself() {
    let after = |minutes: u64| NOW.plus(Duration::from_secs(minutes * 60));
    let mut fleet = Fleet::new();
    let tells = |fleet: &mut Fleet, open: bool, looked: bool, at: Timestamp| {
        let mut told = facts(Some(Some(true)));
        told.connect.as_mut().unwrap().suspended = looked.then_some(false);
        told.connect.as_mut().unwrap().cycle_enabled = Some(true);
        told.console_open = open;
        let event = Event::FactsReported(Box::new(told));
        let record = common::told(&"c1.a.test".parse().unwrap(), 1, at, &event);
        fleet.apply(&record, None, at);
    };
    let said = |fleet: &Fleet, at: Timestamp| {
        let mut alarms = fleet.alarms(at);
        alarms.retain(|alarm| alarm.contains("miisclient.exe"));
        alarms
    };
    tells(&mut fleet, true, true, NOW);
    tells(&mut fleet, false, false, after(60));
    assert!(said(&fleet, after(119)).is_empty());
    let alarms = said(&fleet, after(120));
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    for words in [
        "c1.a.test: Synchronization Service Manager",
        &format!("is open since {NOW}"),
        "UpgradeAbortedSyncExeInUse",
        "PF73",
    ] {
        assert!(alarms[0].contains(words), "{words}: {alarms:?}");
    }
    assert!(
        about_scheduler(&fleet, after(10_000)).is_empty(),
        "no cycle waits for it"
    );
    tells(&mut fleet, false, true, after(121));
    assert!(said(&fleet, after(10_000)).is_empty());
}

/// While guided work has the wizard open there is a task, and no alarm; it is counted from the end of that work on.
#[test]
fn guided_work_at_the_wizard_is_no_alarm() {
    let mut world = World::new();
    let after = |hours: u64| NOW.plus(Duration::from_secs(hours * 3600));
    world.issue("c1.a.test");
    scheduler_told(&mut world.fleet, false, Some(true), Some(true), NOW);
    assert!(about_scheduler(&world.fleet, after(5)).is_empty());
    let finished = Event::RunFinished {
        generation: Generation(1),
        ending: Ending::Completed,
        receipt: String::new(),
    };
    let record = common::told(&"c1.a.test".parse().unwrap(), 2, after(5), &finished);
    world.fleet.apply(&record, None, after(5));
    assert!(about_scheduler(&world.fleet, after(6)).is_empty());
    let alarms = about_scheduler(&world.fleet, after(7));
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms[0].contains(&format!("since {NOW}")), "{alarms:?}");
}

/// Guided work that broke off left the cycle held: nobody waits for a day, and the one who ordered it is named.
#[test]
fn a_cycle_that_broken_work_left_held_is_an_alarm_at_once() {
    let mut world = World::new();
    world.issue("c1.a.test");
    scheduler_told(&mut world.fleet, false, Some(false), Some(false), NOW);
    assert!(about_scheduler(&world.fleet, NOW).is_empty(), "it goes on");
    let finished = Event::RunFinished {
        generation: Generation(1),
        ending: Ending::Failed("the server was switched off".to_owned()),
        receipt: String::new(),
    };
    world.tells("c1.a.test", &finished);
    let alarms = about_scheduler(&world.fleet, NOW);
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    for part in [
        "of root ended as failed",
        "Set-ADSyncScheduler -SyncCycleEnabled $true",
    ] {
        assert!(alarms[0].contains(part), "{alarms:?}");
    }
    scheduler_told(&mut world.fleet, false, Some(false), Some(true), NOW);
    assert!(about_scheduler(&world.fleet, NOW).is_empty());
}

/// What was on before an upgrade comes back; what was off stays off, and is told.
#[test]
fn an_upgrade_asks_for_the_release_of_a_cycle_that_was_on_alone() {
    for (cycle, asked, told) in [
        (Some(true), true, "its cycle is on, and is waited for"),
        (Some(false), false, "its cycle is off as this is planned"),
        (
            None,
            false,
            "cannot be told: nobody is asked to switch it on",
        ),
    ] {
        let plan = upgrade_of([Some(false), Some(true)], cycle);
        for part in plan.targets.values() {
            let steps = part.phases.iter().flat_map(|phase| &phase.steps);
            let guide = steps.filter_map(|step| match step {
                Step::GuideConnect(guide) => Some(guide),
                _ => None,
            });
            let guides: Vec<_> = guide.collect();
            assert_eq!(guides.len(), 1);
            assert_eq!(guides[0].release.is_some(), asked, "{cycle:?}");
            assert!(
                part.why.iter().any(|why| why.contains(told)),
                "{:?}",
                part.why
            );
        }
    }
}

#[test]
fn what_an_earlier_release_told_of_connect_keeps_its_bytes() {
    let old = r#"{"version":null,"service":"running","staging":true,"cycle_enabled":true}"#;
    let read: ConnectFacts = serde_json::from_str(old).unwrap();
    assert_eq!(read.suspended, None);
    assert_eq!(serde_json::to_string(&read).unwrap(), old);
}

/// It outlives the agent that told it, until a person says that the server is off.
#[test]
fn the_mode_that_a_server_told_last_is_what_is_said_of_it_and_of_its_tenant() {
    let mut world = World::new();
    let target: TargetId = "c1.a.test".parse().unwrap();
    let tenant = "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap();
    let other = "77aa0000-0000-0000-0000-000000000000".parse().unwrap();
    let says = |world: &World| {
        assert!(!world.fleet.has_active_connect(&other));
        (
            world.fleet.last_mode(&target),
            world.fleet.has_active_connect(&tenant),
        )
    };
    assert_eq!(says(&world), (None, false));
    for (mode, active) in [(Some(true), false), (None, false), (Some(false), true)] {
        world.reports("c1.a.test", Some(mode));
        assert_eq!(says(&world), (Some(mode), active));
    }
    let by = "root".to_owned();
    let revoked = Record::AgentRevoked {
        key: SigningKey::generate().public().fingerprint(),
        target: target.clone(),
        by: by.clone(),
    };
    world.fleet.apply(&revoked, None, NOW);
    assert_eq!(says(&world), (Some(Some(false)), true));
    let off = Record::SaidOff {
        target: target.clone(),
        by,
    };
    world.fleet.apply(&off, None, NOW);
    assert_eq!(says(&world), (None, false));
    // One that has no Connect any more told of none.
    world.reports("c1.a.test", Some(Some(true)));
    world.reports("c1.a.test", None);
    assert_eq!(says(&world), (None, false));
}

/// Grades above "configured" are those of the provisioning agent: nothing waits for Connect to be registered.
#[test]
fn connect_that_was_installed_is_done_without_a_grade_that_it_cannot_show() {
    let mut world = World::new();
    let target: TargetId = "c1.a.test".parse().unwrap();
    let state = |world: &World| {
        let work = &world.fleet.rollouts()[&RolloutId(1)].work[&target];
        work.state.clone()
    };
    while state(&world) == TargetState::Pending {
        world.issue("c1.a.test");
        let ended = Event::RunFinished {
            generation: Generation(1),
            ending: Ending::Completed,
            receipt: String::new(),
        };
        world.tells("c1.a.test", &ended);
    }
    assert_eq!(state(&world), TargetState::Done(None));
}
