//! Another Connect server becomes the active one: what may be planned, and what is held at the moment of action.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use controller_core::beyond::{Beyond, DirectorySeen};
use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{
    Cause, Decision, Fleet, Lifter, Live, TargetState, UNREACHABLE_AFTER,
};
use controller_core::plan::{Inputs, Plan, Purpose, failover, plan, render, switch};
use controller_core::policy::Policy;
use controller_core::record::{Order, Record};
use controller_core::topology::{Topology, check, parse};
use protocol::event::{DiscoveredServer, Event};
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::refusal::Refusal;
use protocol::settings::{ConnectSettings, Setting, SettingsPart, UnreadPart};
use protocol::signed::{Ending, Phase};
use protocol::step::{Product, Step};
use protocol::{BundleId, Digest, Generation, RolloutId, TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const SERVERS: [&str; 3] = ["c1.a.test", "c2.a.test", "c3.a.test"];

fn topology(more: &str) -> Topology {
    let text = format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = {SERVERS:?}\n{more}"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    assert!(check(&topology, None).is_empty());
    topology
}

fn facts(staging: Option<bool>, version: Version) -> Facts {
    let connect = ConnectFacts {
        version: Some(version),
        service: Some(ServiceState::Running),
        staging,
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    common::facts(None, Some(connect))
}

/// The first is active, the others are staging.
fn known() -> Fleetwide {
    let entry = |(number, server): (usize, &&str)| {
        let entry = Known {
            facts: Some((NOW, facts(Some(number != 0), common::CONNECT))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (server.parse().unwrap(), entry)
    };
    SERVERS.iter().enumerate().map(entry).collect()
}

fn change(known: &mut Fleetwide, server: &str, facts: Option<Facts>) {
    let entry = known.get_mut(&server.parse().unwrap()).unwrap();
    entry.facts = facts.map(|facts| (NOW, facts));
}

fn to(server: &str, topology: &Topology, known: &Fleetwide) -> Result<Plan, String> {
    let inputs = Inputs {
        topology,
        policy: &Policy::default(),
        known,
        artifacts: &common::artifacts(),
        roster: None,
        release: None,
        beyond: controller_core::beyond::Beyond::NOTHING,
        purpose: Purpose::Verify,
        only: &std::collections::BTreeSet::new(),
    };
    switch(inputs, &server.parse().unwrap())
}

#[test]
fn the_plan_says_the_order_and_what_a_person_brings() {
    let topology = topology("pending_exports = { add = 50, update = 500, max_age = \"45m\" }\n");
    let plan = to("c2.a.test", &topology, &known()).unwrap();
    let said = render(&plan);
    for words in [
        "make another Connect server the active one",
        "c2.a.test  (connect.main)\n    prepare  verify Connect, count Connect's pending exports, read Connect's settings\n    inspect  read Connect's settings\n    register count Connect's pending exports, switch Connect's mode by wizard, report facts\n    prove    verify Connect",
        "at most 50 to add, 500 to update and 0 to delete (G4)",
        "it waits until c1.a.test is seen in staging mode (G1)",
        "c1.a.test  (connect.main)\n    prepare  read Connect's settings\n    register read Connect's settings, switch Connect's mode by wizard, report facts\n    prove    verify Connect",
        "c3.a.test  (connect.main)\n    inspect  verify Connect, report facts",
        "people bring",
        "a Hybrid Identity Administrator of tenant 3f0c8a4e",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let reviews = plan.targets[&"c2.a.test".parse().unwrap()].phases[2]
        .steps
        .clone();
    assert!(matches!(
        &reviews[0],
        Step::ReviewConnectExports(review) if review.max_age_minutes == 45 && review.limits.delete == 0
    ));
    // The one that becomes active must be connected to every forest, before and after.
    let steps = plan.targets[&"c2.a.test".parse().unwrap()].phases.iter();
    let verified = steps.flat_map(|phase| &phase.steps).filter_map(|step| {
        let Step::VerifyConnect(verify) = step else {
            return None;
        };
        Some(verify.forests.clone())
    });
    let forests = topology.connect["main"].forest_names();
    assert_eq!(verified.collect::<Vec<_>>(), [forests.clone(), forests]);
    assert_eq!(plan, to("c2.a.test", &topology, &known_as(&plan)).unwrap());
}

/// Keys differ between two fleets of these tests; a plan is the same on the same ones.
fn known_as(plan: &Plan) -> Fleetwide {
    let mut known = known();
    for (server, entry) in &mut known {
        entry.key = plan.targets[server].key.unwrap();
    }
    known
}

#[test]
fn where_it_is_not_clear_who_is_active_nothing_is_planned() {
    let topology = topology("");
    let with = |server: &str, facts: Option<Facts>| {
        let mut known = known();
        change(&mut known, server, facts);
        known
    };
    let newest = |staging| Some(facts(staging, common::CONNECT));
    let old = Some(facts(Some(true), Version::new(2, 5, 79, 0)));
    let none = Some(common::facts(None, None));
    for (wanted, known, says) in [
        ("c1.a.test", known(), "is active already"),
        ("x.a.test", known(), "is no server"),
        ("c2.a.test", with("c3.a.test", None), "never reported (G1)"),
        (
            "c2.a.test",
            with("c3.a.test", newest(None)),
            "cannot be told (G1)",
        ),
        (
            "c2.a.test",
            with("c3.a.test", newest(Some(false))),
            "are both active (G1)",
        ),
        (
            "c2.a.test",
            with("c2.a.test", old),
            "before it becomes active (G4)",
        ),
        (
            "c2.a.test",
            with("c2.a.test", none),
            "no Connect is on c2.a.test",
        ),
    ] {
        let why = to(wanted, &topology, &known).unwrap_err();
        assert!(why.contains(says), "{says}: {why}");
    }
}

#[test]
fn where_none_is_active_one_is_made_active_without_another() {
    let mut known = known();
    change(
        &mut known,
        "c1.a.test",
        Some(facts(Some(true), common::CONNECT)),
    );
    let plan = to("c2.a.test", &topology(""), &known).unwrap();
    assert!(plan.waits.is_empty());
    assert!(render(&plan).contains("no server of the tenant is active"));
    let other = &plan.targets[&"c1.a.test".parse().unwrap()];
    assert!(other.is_read_only());
}

#[test]
fn a_preferred_server_that_is_staging_is_proposed_and_nothing_more() {
    let plan_of = |more: &str| {
        plan(Inputs::of(
            &topology(more),
            &Policy::default(),
            &known(),
            &common::artifacts(),
            Purpose::Install,
        ))
    };
    let plan = plan_of("prefer_active = \"c3.a.test\"\n");
    assert!(
        plan.warnings
            .iter()
            .any(|one| one.contains("entrain swap c3.a.test"))
    );
    assert!(plan.targets.values().all(|part| part.is_read_only()));
    assert!(
        plan_of("prefer_active = \"c1.a.test\"\n")
            .warnings
            .is_empty()
    );
    assert!(plan_of("").warnings.is_empty());
}

#[test]
fn a_limit_that_is_no_time_is_told_with_its_place() {
    let text = format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = {SERVERS:?}\npending_exports = {{ max_age = \"5m\" }}\n"
    );
    let (_, findings) = parse(&[common::document(text)]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].what.contains("max_age") && findings[0].fix.contains("30m"));
    assert_eq!(findings[0].place.line, 6);
}

/// A fleet with two rollouts: one makes the second server active, the other the third.
struct World {
    fleet: Fleet,
    live: Live,
    generation: Generation,
    /// What a server's rules are when they are read; one that is not named here cannot tell.
    rules: BTreeMap<String, String>,
    /// All that was recorded, with the plan of what was applied.
    log: Vec<(Record, Option<Plan>)>,
}

fn settings(rules: Option<&String>) -> ConnectSettings {
    let setting = |part, name: &str, value: &str| Setting {
        part,
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let mut all = vec![setting(
        SettingsPart::PasswordSync,
        "connector a.test",
        "on",
    )];
    let Some(rules) = rules else {
        let unread = UnreadPart {
            part: SettingsPart::Rules,
            why: "the module names no ScopeFilter".to_owned(),
        };
        return ConnectSettings::of(all, vec![unread]);
    };
    all.push(setting(
        SettingsPart::Rules,
        "inbound rule \"Sales\"",
        rules,
    ));
    ConnectSettings::of(all, Vec::new())
}

impl World {
    fn new() -> Self {
        let topology = topology("");
        let known = known();
        let mut world = Self {
            fleet: Fleet::new(),
            rules: SERVERS
                .iter()
                .map(|server| ((*server).to_owned(), "precedence 50".to_owned()))
                .collect(),
            log: Vec::new(),
            live: Live {
                connected: SERVERS.iter().map(|one| one.parse().unwrap()).collect(),
                began: NOW,
                ..Live::default()
            },
            generation: Generation(0),
        };
        for server in SERVERS {
            let enrolled =
                common::enrolled(&server.parse().unwrap(), SigningKey::generate().public());
            world.records(enrolled, None);
        }
        for (server, rollout) in [("c2.a.test", 1), ("c3.a.test", 2)] {
            let plan = to(server, &topology, &known).unwrap();
            let applied = common::applied(RolloutId(rollout), &plan);
            world.records(applied, Some(plan));
        }
        for (number, server) in SERVERS.into_iter().enumerate() {
            world.reports(server, number != 0);
        }
        world
    }

    fn tells(&mut self, server: &str, event: &Event) {
        let record = common::told(&server.parse().unwrap(), 1, NOW, event);
        self.records(record, None);
    }

    fn records(&mut self, record: Record, plan: Option<Plan>) {
        self.fleet.apply(&record, plan.as_ref(), NOW);
        self.log.push((record, plan));
    }

    fn orders(&mut self, rollout: u32, order: Order) -> Result<(), String> {
        let rollout = RolloutId(rollout);
        self.fleet.may_order(rollout, &order, &self.live, NOW)?;
        let by = "root".to_owned();
        self.records(Record::Ordered { rollout, order, by }, None);
        Ok(())
    }

    fn reports(&mut self, server: &str, staging: bool) {
        let facts = facts(Some(staging), common::CONNECT);
        self.tells(server, &Event::FactsReported(Box::new(facts)));
    }

    /// What may be offered now, but for what only reads.
    fn offered(&self) -> Vec<(u32, String, usize)> {
        let decisions = self.fleet.decide(&self.live, NOW).into_iter();
        let issued = decisions.filter_map(|decision| match decision {
            Decision::Issue {
                rollout,
                target,
                phase,
                ..
            } => Some((rollout.0, target.to_string(), phase)),
            Decision::Permit { .. }
            | Decision::Degraded { .. }
            | Decision::Unknown { .. }
            | Decision::Away { .. }
            | Decision::PassedOver { .. } => None,
        });
        let acts = |(rollout, target, _): &(u32, String, usize)| {
            let plan = &self.fleet.rollouts()[&RolloutId(*rollout)].plan;
            !plan.targets[&target.parse().unwrap()].is_read_only()
        };
        issued.filter(acts).collect()
    }

    fn issue(&mut self, rollout: u32, server: &str) -> Generation {
        let target: TargetId = server.parse().unwrap();
        let of = &self.fleet.rollouts()[&RolloutId(rollout)];
        let phase = of.plan.targets[&target].phases[of.work[&target].phase].phase;
        self.generation = self.generation.next();
        let issued = Record::BundleIssued {
            rollout: RolloutId(rollout),
            phase,
            target,
            generation: self.generation,
            bundle: BundleId(Digest::ZERO),
            expires: NOW,
        };
        self.records(issued, None);
        self.generation
    }

    /// A run from its beginning to its end; a step that reads settings tells what they are.
    fn runs(&mut self, rollout: u32, server: &str) {
        let target: TargetId = server.parse().unwrap();
        let of = &self.fleet.rollouts()[&RolloutId(rollout)];
        let steps = &of.plan.targets[&target].phases[of.work[&target].phase].steps;
        let reads = steps.contains(&Step::ReadConnectSettings);
        let generation = self.issue(rollout, server);
        if reads {
            let read = Event::ConnectSettingsRead {
                generation,
                step: protocol::StepIndex(0),
                settings: Box::new(settings(self.rules.get(server))),
            };
            self.tells(server, &read);
        }
        self.ends(server, generation);
    }

    /// The digest that a hold names.
    fn difference(&self, rollout: u32, server: &str) -> Digest {
        let why = self.hold(rollout, server);
        let named = why.split_once(&format!("entrain accept r{rollout} "));
        let (_, rest) = named.unwrap_or_else(|| panic!("no difference: {why}"));
        rest.split(' ').next().unwrap().parse().unwrap()
    }

    fn accepts(&mut self, rollout: u32, difference: Digest) -> Result<(), String> {
        let reason = "it is meant".to_owned();
        self.orders(rollout, Order::AcceptDifference { difference, reason })
    }

    fn retries(&mut self, rollout: u32, server: &str) -> Result<(), String> {
        let target = server.parse().ok();
        self.orders(rollout, Order::Retry { target })
    }

    fn ends(&mut self, server: &str, generation: Generation) {
        let finished = Event::RunFinished {
            generation,
            ending: Ending::Completed,
            receipt: String::new(),
        };
        self.tells(server, &finished);
    }

    fn hold(&self, rollout: u32, server: &str) -> String {
        let target = server.parse().unwrap();
        let hold = self
            .fleet
            .hold(RolloutId(rollout), &target, &self.live, NOW);
        hold.map(|hold| hold.why).unwrap_or_default()
    }

    /// Both staging servers were counted, and the active one was put into staging mode for both.
    fn between() -> Self {
        let mut world = Self::new();
        world.runs(1, "c2.a.test");
        world.runs(2, "c3.a.test");
        world.runs(1, "c1.a.test");
        world.runs(1, "c1.a.test");
        world.reports("c1.a.test", true);
        world.runs(1, "c1.a.test");
        world.runs(2, "c1.a.test");
        world.runs(2, "c1.a.test");
        world.runs(1, "c2.a.test");
        world.runs(2, "c3.a.test");
        world
    }
}

#[test]
fn the_active_server_waits_for_the_count_and_the_other_for_staging_mode() {
    let mut world = World::new();
    let first = (1, "c2.a.test".to_owned(), 0);
    assert!(world.offered().contains(&first));
    // It is read beside the count, and nothing of it is changed before.
    assert!(world.offered().contains(&(1, "c1.a.test".to_owned(), 0)));
    world.runs(1, "c1.a.test");
    assert!(world.hold(1, "c1.a.test").contains("(G4)"));
    world.runs(1, "c2.a.test");
    assert!(world.offered().contains(&(1, "c1.a.test".to_owned(), 1)));
    assert!(world.hold(1, "c2.a.test").contains("G1"));
    // Its bundle is over, and nobody has seen it in staging mode.
    world.runs(1, "c1.a.test");
    assert!(world.offered().contains(&(1, "c2.a.test".to_owned(), 1)));
    world.runs(1, "c2.a.test");
    assert!(world.hold(1, "c2.a.test").contains("G1"));
    world.reports("c1.a.test", true);
    assert!(world.offered().contains(&(1, "c2.a.test".to_owned(), 2)));
}

#[test]
fn of_two_servers_that_could_become_active_one_does() {
    let mut world = World::between();
    let claims: Vec<_> = world
        .offered()
        .into_iter()
        .filter(|one| one.1 != "c1.a.test" && one.2 == 2)
        .collect();
    assert_eq!(
        claims,
        [(1, "c2.a.test".to_owned(), 2)],
        "one breath, one claim"
    );
    let generation = world.issue(1, "c2.a.test");
    assert!(world.hold(2, "c3.a.test").contains("is being made"));
    world.reports("c2.a.test", false);
    world.ends("c2.a.test", generation);
    assert!(
        world
            .hold(2, "c3.a.test")
            .contains("is the tenant's active")
    );
}

/// Its work came to its end: that somebody has put it back into staging mode since leaves no wizard open there.
#[test]
fn a_switch_that_came_to_its_end_claims_nothing_any_more() {
    let mut world = World::between();
    world.runs(1, "c2.a.test");
    world.reports("c2.a.test", false);
    world.runs(1, "c2.a.test");
    let hold = world.hold(2, "c3.a.test");
    assert!(
        hold.contains("is the tenant's active Connect server"),
        "{hold}"
    );
    world.reports("c2.a.test", true);
    assert_eq!(world.hold(2, "c3.a.test"), "");
    // The first rollout looks at that server beside, and its turn comes first: one bundle at a time (G5).
    let offered = world.offered();
    assert!(
        !offered.iter().any(|one| one.1 == "c3.a.test"),
        "{offered:?}"
    );
    let looks = world.issue(1, "c3.a.test");
    let hold = world.hold(2, "c3.a.test");
    assert!(hold.contains("bundle") && hold.contains("(G5)"), "{hold}");
    world.ends("c3.a.test", looks);
    let offered = world.offered();
    assert!(
        offered.contains(&(2, "c3.a.test".to_owned(), 2)),
        "{offered:?}"
    );
}

#[test]
fn one_that_went_silent_while_it_was_taken_out_of_staging_mode_keeps_its_claim() {
    let mut world = World::between();
    let generation = world.issue(1, "c2.a.test");
    let target = "c2.a.test".parse().unwrap();
    let silent = Record::WentUnknown { target, generation };
    world.fleet.apply(&silent, None, NOW);
    assert!(world.hold(2, "c3.a.test").contains("may have become"));
    assert!(
        world.offered().iter().all(|one| one.1 == "c1.a.test"),
        "{:?}",
        world.offered()
    );
}

/// Counted and read, so that the active server would go first.
fn counted(rules: &[(&str, &str)]) -> World {
    let mut world = World::new();
    for (server, rules) in rules {
        world
            .rules
            .insert((*server).to_owned(), (*rules).to_owned());
    }
    world.runs(1, "c1.a.test");
    world.runs(1, "c2.a.test");
    world
}

const FIRST: (u32, &str, usize) = (1, "c1.a.test", 1);
const SECOND: (u32, &str, usize) = (1, "c2.a.test", 2);

fn is_offered(world: &World, (rollout, server, phase): (u32, &str, usize)) -> bool {
    world
        .offered()
        .contains(&(rollout, server.to_owned(), phase))
}

#[test]
fn where_settings_differ_the_active_server_stays_active_until_that_difference_is_approved() {
    let mut world = counted(&[("c2.a.test", "precedence 60")]);
    assert!(!is_offered(&world, FIRST));
    let why = world.hold(1, "c1.a.test");
    for words in [
        "c1.a.test and c2.a.test differ in 1: rules: inbound rule \"Sales\" (G4)",
        "entrain diff c1.a.test c2.a.test",
        "`entrain retry r1 c1.a.test` or `entrain retry r1 c2.a.test` reads anew",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    let seen = world.fleet.view(RolloutId(1), &world.live, NOW).unwrap();
    let row = seen
        .targets
        .iter()
        .find(|row| row.target.as_str() == "c1.a.test");
    assert_eq!(row.unwrap().state, "held");
    let difference = world.difference(1, "c1.a.test");
    // Another one, without a reason, or in another rollout, is not approved.
    let other = world.accepts(1, Digest::ZERO).unwrap_err();
    assert!(other.contains(&difference.to_string()), "{other}");
    assert!(world.accepts(2, difference).is_err());
    let silent = Order::AcceptDifference {
        difference,
        reason: " ".to_owned(),
    };
    assert!(world.orders(1, silent).unwrap_err().contains("--reason"));
    assert!(!is_offered(&world, FIRST));
    world.accepts(1, difference).unwrap();
    assert!(is_offered(&world, FIRST));
    // The approval holds for the other half too, while nothing changes.
    world.runs(1, "c1.a.test");
    world.reports("c1.a.test", true);
    world.runs(1, "c2.a.test");
    assert!(is_offered(&world, SECOND), "{}", world.hold(1, "c2.a.test"));
}

#[test]
fn a_difference_that_came_after_the_approval_holds_the_other_server() {
    let mut world = counted(&[("c2.a.test", "precedence 60")]);
    let before = world.difference(1, "c1.a.test");
    world.accepts(1, before).unwrap();
    world.runs(1, "c1.a.test");
    world.reports("c1.a.test", true);
    world
        .rules
        .insert("c2.a.test".to_owned(), "precedence 70".to_owned());
    world.runs(1, "c2.a.test");
    assert!(!is_offered(&world, SECOND));
    let after = world.difference(1, "c2.a.test");
    assert_ne!(before, after);
    assert!(world.accepts(1, before).is_err(), "it stands no more");
    // Mended on that server, and read again.
    world
        .rules
        .insert("c2.a.test".to_owned(), "precedence 60".to_owned());
    world.retries(1, "c2.a.test").unwrap();
    assert!(is_offered(&world, (1, "c2.a.test", 1)));
    world.runs(1, "c2.a.test");
    assert!(is_offered(&world, SECOND));
}

#[test]
fn whoever_waits_for_equal_settings_reads_them_once_more() {
    let mut world = counted(&[("c2.a.test", "precedence 60")]);
    // It was mended on the staging server, whose next phase waits for the active one.
    world
        .rules
        .insert("c2.a.test".to_owned(), "precedence 50".to_owned());
    world.retries(1, "c2.a.test").unwrap();
    assert!(
        is_offered(&world, (1, "c2.a.test", 0)),
        "{:?}",
        world.offered()
    );
    world.runs(1, "c2.a.test");
    assert!(is_offered(&world, FIRST));
    // The other way round, on the active one.
    let mut world = counted(&[("c1.a.test", "precedence 60")]);
    world
        .rules
        .insert("c1.a.test".to_owned(), "precedence 50".to_owned());
    world.retries(1, "c1.a.test").unwrap();
    world.runs(1, "c1.a.test");
    assert!(is_offered(&world, FIRST));
    // What changes a server is not done again.
    world.runs(1, "c1.a.test");
    let refused = world.retries(1, "c1.a.test").unwrap_err();
    assert!(refused.contains("nothing to retry"), "{refused}");
}

#[test]
fn what_cannot_be_read_is_not_equal_also_where_both_cannot_tell() {
    for untold in [&["c2.a.test"][..], &["c1.a.test", "c2.a.test"]] {
        let mut world = World::new();
        for server in untold {
            world.rules.remove(*server);
        }
        world.runs(1, "c1.a.test");
        world.runs(1, "c2.a.test");
        assert!(!is_offered(&world, FIRST));
        let why = world.hold(1, "c1.a.test");
        let says = "cannot be told: rules of";
        assert!(why.contains(says) && why.contains("ScopeFilter"), "{why}");
        // A person's word, on the record.
        world.accepts(1, world.difference(1, "c1.a.test")).unwrap();
        assert!(is_offered(&world, FIRST));
    }
    // Who was not read at all is not compared with what it told another rollout.
    let mut world = World::new();
    world.runs(2, "c1.a.test");
    let generation = world.issue(1, "c1.a.test");
    world.ends("c1.a.test", generation);
    world.runs(1, "c2.a.test");
    let why = world.hold(1, "c1.a.test");
    assert!(why.contains("c1.a.test synchronizes was not read"), "{why}");
    assert!(!is_offered(&world, FIRST));
}

#[test]
fn a_controller_that_starts_anew_holds_and_has_approved_the_same() {
    let mut world = counted(&[("c2.a.test", "precedence 60")]);
    let again = |world: &World| {
        let mut fleet = Fleet::new();
        for (record, plan) in &world.log {
            let text = serde_json::to_string(record).unwrap();
            fleet.apply(&serde_json::from_str(&text).unwrap(), plan.as_ref(), NOW);
        }
        fleet
    };
    let same = |world: &World| {
        let fleet = again(world);
        for server in SERVERS {
            let server = server.parse().unwrap();
            let hold = |fleet: &Fleet| fleet.hold(RolloutId(1), &server, &world.live, NOW);
            assert_eq!(hold(&fleet), hold(&world.fleet), "{server}");
        }
        assert_eq!(fleet.settings(), world.fleet.settings());
        assert_eq!(
            fleet.decide(&world.live, NOW),
            world.fleet.decide(&world.live, NOW)
        );
    };
    same(&world);
    world.retries(1, "c2.a.test").unwrap();
    same(&world);
    world.runs(1, "c2.a.test");
    world.accepts(1, world.difference(1, "c1.a.test")).unwrap();
    same(&world);
    assert!(is_offered(&world, FIRST));
}

/// Nobody reads a server that is off: what it told last counts, and where it never told, a person's word.
#[test]
fn a_failover_is_compared_with_what_the_lost_server_told_last() {
    for (told, held) in [
        (None, false),
        (Some("precedence 50"), false),
        (Some("precedence 60"), true),
    ] {
        let plan = instead("c1.a.test", &known()).unwrap();
        let mut world = World::new();
        if let Some(rules) = told {
            world.rules.insert("c1.a.test".to_owned(), rules.to_owned());
            world.runs(1, "c1.a.test");
        }
        for rollout in [1, 2] {
            world.orders(rollout, Order::Abort).unwrap();
        }
        let off = Record::SaidOff {
            target: "c1.a.test".parse().unwrap(),
            by: "root".to_owned(),
        };
        world.records(off, None);
        world.records(common::applied(RolloutId(3), &plan), Some(plan));
        world.runs(3, "c2.a.test");
        let why = world.hold(3, "c2.a.test");
        assert_eq!(why.contains("differ in 1"), held, "{told:?}: {why}");
        assert_eq!(is_offered(&world, (3, "c2.a.test", 1)), !held, "{told:?}");
    }
}

fn instead(off: &str, known: &Fleetwide) -> Result<Plan, String> {
    let topology = topology("");
    let inputs = Inputs {
        topology: &topology,
        policy: &Policy::default(),
        known,
        artifacts: &common::artifacts(),
        roster: None,
        release: None,
        beyond: controller_core::beyond::Beyond::NOTHING,
        purpose: Purpose::Verify,
        only: &std::collections::BTreeSet::new(),
    };
    failover(inputs, &"c2.a.test".parse().unwrap(), &off.parse().unwrap())
}

#[test]
fn a_failover_names_who_is_off_and_fences_it_whatever_it_is_by_then() {
    let plan = instead("c1.a.test", &known()).unwrap();
    let said = render(&plan);
    for words in [
        "c1.a.test is off: whoever knows that it is says so",
        "--off c1.a.test",
        "prepare  stop and disable Connect, report facts",
        "an abort of this rollout takes this away",
        "who is off is waited for by nobody",
        "count Connect's pending exports, switch Connect's mode by wizard",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let fenced = &plan.targets[&"c1.a.test".parse().unwrap()];
    assert_eq!(
        fenced.essence, None,
        "no changed fact stands against the fence"
    );
    assert!(plan.waits.is_empty(), "the one does not wait for the other");
    // Nobody stops what is not enrolled.
    let mut known = known();
    known.remove(&"c1.a.test".parse().unwrap());
    let plan = instead("c1.a.test", &known).unwrap();
    assert!(plan.warnings.iter().any(|one| one.contains("not enrolled")));
}

#[test]
fn a_failover_is_no_way_round_the_swap() {
    let mut two = known();
    change(
        &mut two,
        "c3.a.test",
        Some(facts(Some(false), common::CONNECT)),
    );
    for (off, known, says) in [
        ("c3.a.test", known(), "was staging when it last reported"),
        ("x.a.test", known(), "is no server of"),
        ("c1.a.test", two, "is active: entrain swap"),
    ] {
        let why = instead(off, &known).unwrap_err();
        assert!(why.contains(says), "{says}: {why}");
    }
}

/// A server whose engine is stopped and disabled is no active one, becomes none, and is not started again by a plan.
#[test]
fn a_fenced_server_counts_as_not_active_and_is_left_alone() {
    let fenced = || {
        let mut facts = facts(None, common::CONNECT);
        facts.connect.as_mut().unwrap().service = Some(ServiceState::Disabled);
        Some(facts)
    };
    let mut known = known();
    change(&mut known, "c1.a.test", fenced());
    change(
        &mut known,
        "c2.a.test",
        Some(facts(Some(false), common::CONNECT)),
    );
    let swapped = to("c3.a.test", &topology(""), &known).unwrap();
    assert!(swapped.warnings.is_empty());
    assert!(
        to("c1.a.test", &topology(""), &known)
            .unwrap_err()
            .contains("fenced")
    );
    for purpose in [Purpose::Install, Purpose::Verify] {
        let plan = plan(Inputs::of(
            &topology(""),
            &Policy::default(),
            &known,
            &common::artifacts(),
            purpose,
        ));
        let part = &plan.targets[&"c1.a.test".parse().unwrap()];
        assert!(
            part.left_out && part.why[0].contains("stopped and disabled"),
            "{part:?}"
        );
        assert!(plan.alarms.is_empty(), "{:?}", plan.alarms);
    }
}

/// The run is over, and a person may still sit at the wizard that it opened.
#[test]
fn a_switch_that_was_ended_early_keeps_its_claim_until_a_later_swap_has_looked() {
    let mut world = World::between();
    let generation = world.issue(1, "c2.a.test");
    let order = Record::Ordered {
        rollout: RolloutId(1),
        order: Order::Abort,
        by: "root".to_owned(),
    };
    world.fleet.apply(&order, None, NOW);
    let finished = Event::RunFinished {
        generation,
        ending: Ending::Aborted,
        receipt: String::new(),
    };
    world.tells("c2.a.test", &finished);
    world.reports("c2.a.test", true);
    let why = world.hold(2, "c3.a.test");
    assert!(
        why.contains("may still be taken out of staging mode"),
        "{why}"
    );
    assert!(world.offered().iter().all(|one| one.1 != "c3.a.test"));
    // The other swap inspects it; a person's word would do as well.
    world.runs(2, "c2.a.test");
    assert!(
        world.hold(2, "c3.a.test").is_empty(),
        "{}",
        world.hold(2, "c3.a.test")
    );
    assert!(world.offered().contains(&(2, "c3.a.test".to_owned(), 2)));
}

/// Whatever becomes of the other try: somebody may sit at the wizard that the first one opened.
#[test]
fn a_switch_that_is_tried_again_keeps_the_claim_of_its_first_try() {
    let lost = || {
        let mut world = World::between();
        let generation = world.issue(1, "c2.a.test");
        let target: TargetId = "c2.a.test".parse().unwrap();
        world.live.left(&target, NOW);
        world.records(Record::WentUnknown { target, generation }, None);
        assert_eq!(world.retries(1, "c2.a.test"), Ok(()));
        world
    };
    let claimed = |world: &World| {
        let why = world.hold(2, "c3.a.test");
        assert!(why.contains("c2.a.test") && why.contains("G1"), "{why}");
        assert!(!is_offered(world, (2, "c3.a.test", 2)));
    };
    // It cannot be offered at once.
    let world = lost();
    claimed(&world);
    // The bundle of the other try never came there, or was refused.
    let mut world = lost();
    let generation = world.issue(1, "c2.a.test");
    let target: TargetId = "c2.a.test".parse().unwrap();
    world.records(Record::Withdrawn { target, generation }, None);
    claimed(&world);
    let mut world = lost();
    world.issue(1, "c2.a.test");
    world.tells(
        "c2.a.test",
        &Event::BundleRefused {
            bundle: BundleId(Digest::ZERO),
            refusal: Refusal::OverLimit("65 steps".to_owned()),
        },
    );
    claimed(&world);
    // What was refused before anything of it was begun claims nothing.
    let mut world = World::between();
    world.issue(1, "c2.a.test");
    world.tells(
        "c2.a.test",
        &Event::BundleRefused {
            bundle: BundleId(Digest::ZERO),
            refusal: Refusal::OverLimit("65 steps".to_owned()),
        },
    );
    assert_eq!(world.hold(2, "c3.a.test"), "");
}

#[test]
fn what_a_person_says_of_the_first_half_counts_and_the_machine_still_asks_what_is_so() {
    for seen in [false, true] {
        let mut world = World::new();
        world.runs(1, "c2.a.test");
        world.runs(1, "c1.a.test");
        let generation = world.issue(1, "c1.a.test");
        let target: TargetId = "c1.a.test".parse().unwrap();
        let silent = Record::WentUnknown {
            target: target.clone(),
            generation,
        };
        world.fleet.apply(&silent, None, NOW);
        let resolved = Record::Ordered {
            rollout: RolloutId(1),
            order: Order::Resolve {
                target,
                reason: "it is staging".to_owned(),
                off: false,
            },
            by: "root".to_owned(),
        };
        world.fleet.apply(&resolved, None, NOW);
        world.runs(1, "c2.a.test");
        if seen {
            world.reports("c1.a.test", true);
        }
        let held = world.hold(1, "c2.a.test");
        assert_eq!(held.contains("G1"), !seen, "{held}");
    }
}

/// What a server waits for of one that is away comes by nothing of its own: the hold says since when and what lifts it, and that does.
#[test]
fn a_wait_for_a_server_that_is_away_is_lifted_by_its_return_or_by_what_an_operator_says() {
    let cause = |world: &World, server: &str| {
        let target = server.parse().unwrap();
        let hold = world.fleet.hold(RolloutId(1), &target, &world.live, NOW);
        hold.map(|hold| (hold.cause, hold.in_turn))
    };
    let (first, second): (TargetId, TargetId) =
        ("c1.a.test".parse().unwrap(), "c2.a.test".parse().unwrap());
    let long_ago = NOW.minus(UNREACHABLE_AFTER);
    let goes_on = Some((Cause::OtherGoesOn, true));
    let away = Some((Cause::OtherAway, false));

    let mut world = World::new();
    world.runs(1, "c1.a.test");
    assert_eq!(cause(&world, "c1.a.test"), goes_on);
    // It may be restarting.
    world.live.left(&second, NOW);
    assert_eq!(cause(&world, "c1.a.test"), goes_on);
    world.live.left(&second, long_ago);
    assert_eq!(cause(&world, "c1.a.test"), away);
    let said = format!(
        "is pending, and away since {long_ago}; its return lifts it, or abort this rollout, and swap again"
    );
    let why = world.hold(1, "c1.a.test");
    assert!(why.ends_with(&said), "{why}");
    let shown = world.fleet.view(RolloutId(1), &world.live, NOW).unwrap();
    let row = shown.targets.into_iter().find(|row| row.target == first);
    let who = row.unwrap().lifts.unwrap().who;
    assert_eq!(who, [Lifter::Agent, Lifter::Operator]);
    world.live.came(second.clone(), NOW);
    assert_eq!(cause(&world, "c1.a.test"), goes_on);
    world.runs(1, "c2.a.test");
    assert!(is_offered(&world, FIRST));

    // The other half waits for a change of mode, of which a person may say what became of it.
    let generation = world.issue(1, "c1.a.test");
    world.live.left(&first, long_ago);
    assert_eq!(cause(&world, "c2.a.test"), away);
    let why = world.hold(1, "c2.a.test");
    assert!(why.contains("is offered, and away since") && why.contains("or a resolve of it"));
    let mut said = world.fleet.clone();
    let order = Order::Resolve {
        target: first.clone(),
        reason: "it is staging".to_owned(),
        off: false,
    };
    assert_eq!(
        said.may_order(RolloutId(1), &order, &world.live, NOW),
        Ok(())
    );
    let (rollout, by) = (RolloutId(1), "root".to_owned());
    said.apply(&Record::Ordered { rollout, order, by }, None, NOW);
    assert_eq!(said.hold(RolloutId(1), &second, &world.live, NOW), None);
    // Or the rollout waits for nobody any more, and it comes back all the same.
    let limits = Order::Limits {
        in_flight: None,
        failures: None,
        unreachable: Some(60),
    };
    world.orders(1, limits).unwrap();
    let late = world.fleet.decide(&world.live, NOW);
    let late = late.into_iter().find_map(|one| match one {
        Decision::PassedOver { target, away, .. } => Some((target, away)),
        Decision::Issue { .. }
        | Decision::Away { .. }
        | Decision::Permit { .. }
        | Decision::Degraded { .. }
        | Decision::Unknown { .. } => None,
    });
    assert_eq!(late, Some((first.clone(), Some(long_ago))));
    for away_since in [Some(long_ago), None] {
        let record = Record::PassedOver {
            rollout: RolloutId(1),
            target: first.clone(),
            away: away_since,
        };
        world.records(record, None);
        let expected = if away_since.is_some() { away } else { goes_on };
        assert_eq!(cause(&world, "c2.a.test"), expected);
        world.live.came(first.clone(), NOW);
    }
    world.ends("c1.a.test", generation);
    assert_eq!(cause(&world, "c2.a.test"), None);
}

#[test]
fn two_works_on_one_server_do_not_go_together() {
    let world = World::new();
    let plan = to("c2.a.test", &topology(""), &known()).unwrap();
    let (rollout, _) = world
        .fleet
        .works_on(&plan)
        .expect("another rollout is under way");
    assert_eq!(rollout, RolloutId(1));
    assert_eq!(Fleet::new().works_on(&plan), None);
    // Aborted, also where a server is away with its bundle: an emergency does not wait for that.
    let mut world = World::new();
    world.issue(1, "c2.a.test");
    for rollout in [1, 2] {
        let abort = Record::Ordered {
            rollout: RolloutId(rollout),
            order: Order::Abort,
            by: "root".to_owned(),
        };
        world.fleet.apply(&abort, None, NOW);
    }
    assert_eq!(world.fleet.works_on(&plan), None);
}

/// The active server is lost in the middle of a rollout. Whatever was made of that: the failover may be applied, and the fence
/// waits for nothing of it when the server is back and speaks of its run.
#[test]
fn a_failover_ends_what_the_lost_server_was_in() {
    let lost: TargetId = "c1.a.test".parse().unwrap();
    let plan = instead("c1.a.test", &known()).unwrap();
    for how in ["it goes on", "aborted", "unknown", "resolved"] {
        let mut world = World::new();
        // The other server's part in it is over, or it would still stand against this.
        let refused = world.fleet.works_on(&plan).expect("the other is in r1");
        assert_eq!(
            refused,
            (RolloutId(1), "c2.a.test".parse().unwrap()),
            "{how}"
        );
        world.orders(1, Order::Abort).unwrap();
        world.runs(2, "c3.a.test");
        world.runs(2, "c1.a.test");
        let generation = world.issue(2, "c1.a.test");
        let bundle = BundleId(Digest::ZERO);
        let accepted = Event::BundleAccepted {
            bundle,
            generation,
            rollout: RolloutId(2),
            phase: Phase::Register,
            change: None,
        };
        world.tells("c1.a.test", &accepted);
        world.live.left(&lost, NOW);
        let target = lost.clone();
        match how {
            "aborted" => world.orders(2, Order::Abort).unwrap(),
            "unknown" => world.records(Record::WentUnknown { target, generation }, None),
            "resolved" => {
                let reason = "it burned".to_owned();
                world
                    .orders(
                        2,
                        Order::Resolve {
                            target,
                            reason,
                            off: false,
                        },
                    )
                    .unwrap();
            }
            _ => {}
        }
        assert_eq!(world.fleet.works_on(&plan), None, "{how}");
        let ends = world.fleet.ends_elsewhere(&plan, NOW);
        // What the lost server was in, and the swap by which the third one would go on without it.
        let swap = ends.iter().filter(|(_, order)| *order == Order::Abort);
        assert_eq!(swap.count(), usize::from(how != "aborted"), "{how}");
        let words = ends.iter().filter(|(_, order)| *order != Order::Abort);
        assert_eq!(words.count(), usize::from(how != "resolved"), "{how}");
        for (rollout, order) in ends {
            assert_eq!(rollout, RolloutId(2), "{how}");
            let by = "root".to_owned();
            world.records(Record::Ordered { rollout, order, by }, None);
        }
        let (target, by) = (lost.clone(), "root".to_owned());
        world.records(Record::SaidOff { target, by }, None);
        world.records(common::applied(RolloutId(3), &plan), Some(plan.clone()));
        // It is back, and tells what it did in the run that it was lost in.
        world.tells(
            "c1.a.test",
            &Event::StepBegun {
                generation,
                step: protocol::StepIndex(1),
                attempt: protocol::Attempt(2),
                kind: "guide-connect".to_owned(),
            },
        );
        world.live.came(lost.clone(), NOW);
        assert_eq!(world.hold(3, "c1.a.test"), "", "{how}");
        assert!(is_offered(&world, (3, "c1.a.test", 0)), "{how}");
        let state = &world.fleet.rollouts()[&RolloutId(2)].work[&lost].state;
        assert!(
            matches!(state, TargetState::Resolved(_)),
            "{how}: {state:?}"
        );
    }
    // Whoever is not off is not ended.
    let swap = to("c2.a.test", &topology(""), &known()).unwrap();
    assert!(World::new().fleet.ends_elsewhere(&swap, NOW).is_empty());
}

/// What makes nobody active goes on without the server that is off: of that one alone it is said what became of it.
#[test]
fn a_failover_aborts_swaps_and_no_other_work() {
    let (topology, known) = (topology(""), known());
    let mut world = World::new();
    let (policy, artifacts) = (Policy::default(), common::artifacts());
    let looks = plan(Inputs::of(
        &topology,
        &policy,
        &known,
        &artifacts,
        Purpose::Verify,
    ));
    world.records(common::applied(RolloutId(3), &looks), Some(looks));
    let failover = instead("c1.a.test", &known).unwrap();
    let ends = world.fleet.ends_elsewhere(&failover, NOW);
    let of = |abort: bool| -> Vec<u32> {
        let own = ends
            .iter()
            .filter(|(_, order)| (*order == Order::Abort) == abort);
        own.map(|(id, _)| id.0).collect()
    };
    assert_eq!((of(true), of(false)), (vec![1, 2], vec![1, 2, 3]));
}

/// A server that was fenced by a failover is no part of a later swap, which would wait for its engine.
#[test]
fn a_swap_leaves_a_fenced_server_out() {
    let mut known = known();
    let mut fenced = facts(None, common::CONNECT);
    fenced.connect.as_mut().unwrap().service = Some(ServiceState::Disabled);
    change(&mut known, "c1.a.test", Some(fenced));
    change(
        &mut known,
        "c2.a.test",
        Some(facts(Some(false), common::CONNECT)),
    );
    let plan = to("c3.a.test", &topology(""), &known).unwrap();
    assert!(plan.targets[&"c1.a.test".parse().unwrap()].left_out);
    assert!(!plan.waves[0].iter().any(|one| one.as_str() == "c1.a.test"));
}

/// A directory names a Connect server that the topology does not: nobody is made active beside it (G1), until it is written
/// that Connect is off it.
#[test]
fn a_server_that_only_the_directory_names_may_be_the_active_one() {
    let mut beyond = Beyond::default();
    let seen = DirectorySeen {
        at: NOW,
        by: "c1.a.test".parse().unwrap(),
        servers: vec![DiscoveredServer {
            name: "OLD-SYNC-99".to_owned(),
            product: Product::Connect,
            source: "the description of MSOL_1".to_owned(),
        }],
        unread: Vec::new(),
        earlier: Vec::new(),
    };
    beyond.directories.insert("a.test".parse().unwrap(), seen);
    let inputs = |topology: &Topology, known: &Fleetwide, to: &str| {
        let inputs = Inputs {
            topology,
            policy: &Policy::default(),
            known,
            artifacts: &common::artifacts(),
            roster: None,
            release: None,
            beyond: &beyond,
            purpose: Purpose::Install,
            only: &std::collections::BTreeSet::new(),
        };
        (plan(inputs).warnings, switch(inputs, &to.parse().unwrap()))
    };
    let open = topology("");
    let (warnings, swap) = inputs(&open, &known(), "c2.a.test");
    let said = swap.unwrap_err();
    assert!(
        said.contains("OLD-SYNC-99") && said.contains("(G1)"),
        "{said}"
    );
    assert!(
        warnings.iter().any(|one| one.contains("OLD-SYNC-99")),
        "{warnings:?}"
    );
    let closed = topology("gone = [\"old-sync-99.a.test\"]\n");
    let (warnings, swap) = inputs(&closed, &known(), "c2.a.test");
    assert!(swap.is_ok() && warnings.is_empty(), "{warnings:?}");
    // No server is installed to be active either.
    let mut none = known();
    for server in ["c1.a.test", "c2.a.test", "c3.a.test"] {
        change(&mut none, server, Some(common::facts(None, None)));
    }
    for (more, refused) in [("", true), ("gone = [\"old-sync-99.a.test\"]\n", false)] {
        let topology = topology(&format!(
            "settings = {{ sign_in = \"password-hash-sync\" }}\n{more}"
        ));
        let plan = plan(Inputs {
            topology: &topology,
            policy: &Policy::default(),
            known: &none,
            artifacts: &common::artifacts(),
            roster: None,
            release: None,
            beyond: &beyond,
            purpose: Purpose::Install,
            only: &std::collections::BTreeSet::new(),
        });
        let why = plan.targets[&"c1.a.test".parse().unwrap()].why.join("; ");
        assert_eq!(
            why.contains("refused: whether OLD-SYNC-99"),
            refused,
            "{why}"
        );
    }
}

/// Nobody was sent to its wizard yet: that its exports could not be counted keeps no other from becoming active.
#[test]
fn a_count_that_failed_claims_nothing() {
    let mut world = World::new();
    let generation = world.issue(1, "c2.a.test");
    let failed = Event::RunFinished {
        generation,
        ending: Ending::Failed("x".to_owned()),
        receipt: String::new(),
    };
    world.tells("c2.a.test", &failed);
    world.runs(2, "c3.a.test");
    world.runs(2, "c1.a.test");
    world.runs(2, "c1.a.test");
    world.reports("c1.a.test", true);
    world.runs(2, "c1.a.test");
    world.runs(2, "c3.a.test");
    assert_eq!(world.hold(2, "c3.a.test"), "");
}

/// Its exports are counted, and nobody is sent to its wizard: what it tells of itself is so meanwhile.
#[test]
fn a_count_that_goes_on_claims_nothing() {
    let mut world = World::new();
    for (rollout, server) in [(1, "c2.a.test"), (2, "c3.a.test"), (1, "c1.a.test")] {
        world.runs(rollout, server);
    }
    world.runs(1, "c1.a.test");
    world.reports("c1.a.test", true);
    for (rollout, server) in [
        (1, "c1.a.test"),
        (2, "c1.a.test"),
        (2, "c1.a.test"),
        (2, "c3.a.test"),
    ] {
        world.runs(rollout, server);
    }
    world.issue(1, "c2.a.test");
    assert_eq!(world.hold(2, "c3.a.test"), "", "the second half of a count");
    let generation = world.fleet.open(&"c2.a.test".parse().unwrap());
    let generation = generation.unwrap().generation;
    world.ends("c2.a.test", generation);
    world.issue(1, "c2.a.test");
    assert!(world.hold(2, "c3.a.test").contains("is being made"));
}

/// The wizard was closed and what it made was seen: a server that is put back into staging mode by then is on its way nowhere.
#[test]
fn a_switch_that_came_to_its_end_claims_nothing_more() {
    let mut world = World::between();
    let generation = world.issue(1, "c2.a.test");
    world.reports("c2.a.test", false);
    world.ends("c2.a.test", generation);
    assert!(
        world
            .hold(2, "c3.a.test")
            .contains("is the tenant's active")
    );
    world.reports("c2.a.test", true);
    assert_eq!(world.hold(2, "c3.a.test"), "");
}

/// Neither of the two comes to its end without the other: a site takes both at once, or its limit is no order.
#[test]
fn servers_that_change_places_need_a_place_each_at_their_site() {
    let text = format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[site.ams]\nzone = \"Europe/Amsterdam\"\n[connect.main]\nsite = \"ams\"\nforests = [\"a.test\"]\nservers = {SERVERS:?}\n"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let plan = to("c2.a.test", &topology, &known()).unwrap();
    let mut there = 0;
    for target in plan.waves.iter().flatten() {
        there += u32::from(plan.targets[target].site.is_some());
    }
    assert!(there >= 2, "{there}");
    let mut world = World::new();
    world.records(common::applied(RolloutId(3), &plan), Some(plan));
    let may = |in_flight| {
        let site = "ams".to_owned();
        let order = Order::SiteLimit { site, in_flight };
        world
            .fleet
            .may_order(RolloutId(3), &order, &world.live, NOW)
    };
    let why = may(there - 1).unwrap_err();
    assert!(why.contains("need a place each at once"), "{why}");
    assert_eq!((may(there), may(there + 1)), (Ok(()), Ok(())));
    // Of one whose servers stand at no site there is nothing to say.
    let site = "ams".to_owned();
    let order = Order::SiteLimit { site, in_flight: 9 };
    let none = world
        .fleet
        .may_order(RolloutId(1), &order, &world.live, NOW);
    let why = none.unwrap_err();
    assert!(
        why.contains("none of its servers stands at a site"),
        "{why}"
    );
}
