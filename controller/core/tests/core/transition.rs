//! A tenant moves from Connect to cloud sync: what may be planned, what is held meanwhile, and what is so afterwards.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;

use controller_core::beyond::{Beyond, DirectorySeen, KEPT, Moved};
use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Decision, Fleet, Live};
use controller_core::plan::{
    Inputs, Kind, Plan, Purpose, eligibility, plan, render, switch, transition,
};
use controller_core::policy::Policy;
use controller_core::record::{Order, Record};
use controller_core::tenant::{Configuration, Job, Observation, Part};
use controller_core::topology::{Topology, check, parse};
use protocol::event::{Completion, DiscoveredServer, Event};
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::{Ending, Phase};
use protocol::step::{Product, Step};
use protocol::{BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, TenantId, Timestamp};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const SERVERS: [&str; 2] = ["c1.a.test", "c2.a.test"];
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

fn topology_of(cloud: &str, forests: &[&str], entry: &str) -> Topology {
    let text = format!(
        "[tenant.main]\nid = \"{TENANT}\"\n{cloud}[connect.main]\nforests = {forests:?}\n{entry}"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let errors = check(&topology, None);
    let errors = errors
        .iter()
        .filter(|finding| finding.severity == controller_core::finding::Severity::Error);
    assert_eq!(errors.count(), 0);
    topology
}

fn topology() -> Topology {
    topology_of("", &["a.test"], &format!("servers = {SERVERS:?}\n"))
}

fn facts(staging: Option<bool>) -> Facts {
    let connect = ConnectFacts {
        version: Some(common::CONNECT),
        service: Some(ServiceState::Running),
        staging,
        cycle_enabled: Some(true),
        suspended: None,
    };
    common::facts(None, Some(connect))
}

fn known_of(modes: [Option<Facts>; 2]) -> Fleetwide {
    let entry = |(server, facts): (&str, Option<Facts>)| {
        let entry = Known {
            facts: facts.map(|facts| (NOW, facts)),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (server.parse().unwrap(), entry)
    };
    SERVERS.into_iter().zip(modes).map(entry).collect()
}

/// The first is active, the other is staging.
fn known() -> Fleetwide {
    known_of([Some(facts(Some(false))), Some(facts(Some(true)))])
}

fn inputs<'a>(
    topology: &'a Topology,
    policy: &'a Policy,
    known: &'a Fleetwide,
    beyond: &'a Beyond,
    purpose: Purpose,
) -> Inputs<'a> {
    Inputs {
        topology,
        policy,
        known,
        artifacts: Box::leak(Box::new(common::artifacts())),
        roster: None,
        release: None,
        beyond,
        purpose,
        only: const { &BTreeSet::new() },
    }
}

fn moves(topology: &Topology, known: &Fleetwide, server: &str) -> Result<Plan, String> {
    let policy = Policy::default();
    let inputs = inputs(topology, &policy, known, Beyond::NOTHING, Purpose::Verify);
    transition(inputs, &server.parse().unwrap())
}

fn moved_beyond() -> Beyond {
    let moved = Moved {
        rollout: RolloutId(4),
        target: "c1.a.test".parse().unwrap(),
        at: NOW,
    };
    Beyond {
        moved: [(TENANT.parse().unwrap(), moved)].into(),
        ..Beyond::default()
    }
}

#[test]
fn the_plan_says_the_order_what_is_brought_and_what_cannot_be_undone() {
    let plan = moves(&topology(), &known(), "c1.a.test").unwrap();
    assert_eq!(plan.kind, Kind::Transition);
    assert!(plan.kind.changes());
    let said = render(&plan);
    for words in [
        "move a tenant from Connect to cloud sync",
        "cannot be undone (G10)\n  tenant 3f0c8a4e-0000-0000-0000-000000000000: cloud sync's jobs for the domains of a.test are started for the first time",
        "    prepare  ask whether Connect may move to cloud sync\n    register preflight, move from Connect to cloud sync by wizard, report facts\n    prove    verify Connect, verify provisioning agent",
        "c2.a.test  (connect.main)\n    inspect  verify Connect, report facts",
        "none of its Connect servers is active, and that is meant (G1)",
        "kept in staging mode for two weeks",
        "a Domain Admin of forest a.test",
        "a Hybrid Identity Administrator of tenant 3f0c8a4e",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    // What stops the agent's setup is asked before the wizard runs it (G8), and G9 stands in the same step.
    let part = &plan.targets[&"c1.a.test".parse().unwrap()];
    let register = &part.phases[1];
    assert_eq!(register.phase, Phase::Register);
    assert!(matches!(
        &register.steps[0],
        Step::Preflight(preflight) if preflight.product == Product::ProvisioningAgent && preflight.tenant.as_str() == TENANT
    ));
    assert!(part.phases[0].is_read_only() && part.moves() && !part.makes_active());
    assert!(!part.claims_active(0) && part.claims_active(1) && part.moves_in(1));
}

#[test]
fn a_cloud_of_which_no_source_tells_is_said_so() {
    for (cloud, says) in [
        ("cloud = \"us-government\"\n", "us-government"),
        ("cloud = \"china\"\n", "china"),
    ] {
        let topology = topology_of(cloud, &["a.test"], &format!("servers = {SERVERS:?}\n"));
        let plan = moves(&topology, &known(), "c1.a.test").unwrap();
        let warning = plan.warnings.first().unwrap();
        assert!(warning.contains(says) && warning.contains("unverified"));
    }
}

#[test]
fn nothing_is_planned_where_the_server_is_not_the_one_active_one() {
    let topology = topology();
    let two = topology_of(
        "",
        &["a.test", "b.test"],
        &format!("servers = {SERVERS:?}\n"),
    );
    let active = || Some(facts(Some(false)));
    let staging = || Some(facts(Some(true)));
    let mut unread = facts(Some(true));
    unread.unread = vec!["the service ADSync could not be read: denied".to_owned()];
    for (topology, server, known, says) in [
        (&topology, "x.a.test", known(), "is no server"),
        (
            &topology,
            "c2.a.test",
            known(),
            "entrain transition c1.a.test",
        ),
        (
            &topology,
            "c1.a.test",
            known_of([active(), active()]),
            "both active (G1)",
        ),
        (
            &topology,
            "c1.a.test",
            known_of([staging(), staging()]),
            "entrain swap c1.a.test",
        ),
        (
            &topology,
            "c1.a.test",
            known_of([active(), Some(facts(None))]),
            "cannot be told (G1)",
        ),
        (
            &topology,
            "c1.a.test",
            known_of([active(), None]),
            "never reported (G1)",
        ),
        (
            &topology,
            "c1.a.test",
            known_of([active(), Some(unread)]),
            "cannot be told (G1): the service",
        ),
        (&two, "c1.a.test", known(), "takes one"),
    ] {
        let why = moves(topology, &known, server).unwrap_err();
        assert!(why.contains(says), "{says}: {why}");
    }
    // A server that a directory names, and nobody here knows, may be the second active one.
    let seen = DirectorySeen {
        at: NOW,
        by: "c1.a.test".parse().unwrap(),
        servers: vec![DiscoveredServer {
            name: "c9.a.test".to_owned(),
            product: Product::Connect,
            source: "a description".to_owned(),
        }],
        unread: Vec::new(),
        earlier: Vec::new(),
    };
    let beyond = Beyond {
        directories: [("a.test".parse().unwrap(), seen)].into(),
        ..Beyond::default()
    };
    let (policy, known) = (Policy::default(), known());
    let asked = inputs(&topology, &policy, &known, &beyond, Purpose::Verify);
    let why = transition(asked, &"c1.a.test".parse().unwrap()).unwrap_err();
    assert!(why.contains("c9.a.test") && why.contains("(G1)"), "{why}");
    // Nor a second time.
    let beyond = moved_beyond();
    let asked = inputs(&topology, &policy, &known, &beyond, Purpose::Verify);
    let why = transition(asked, &"c1.a.test".parse().unwrap()).unwrap_err();
    assert!(
        why.contains("was moved from Connect to cloud sync by rollout r4"),
        "{why}"
    );
}

#[test]
fn eligibility_is_asked_of_active_servers_and_changes_nothing() {
    let topology = topology();
    let policy = Policy::default();
    let asks = |known: &Fleetwide, beyond: &Beyond| {
        eligibility(inputs(&topology, &policy, known, beyond, Purpose::Verify))
    };
    let plan = asks(&known(), Beyond::NOTHING);
    assert_eq!(plan.kind, Kind::Eligibility);
    assert!(!plan.kind.changes() && plan.irreversible.is_empty());
    let part = &plan.targets[&"c1.a.test".parse().unwrap()];
    assert!(part.is_read_only());
    assert_eq!(part.phases[0].steps, [Step::CheckTransition]);
    assert_eq!(
        plan.targets.len(),
        1,
        "the active server answers for its tenant"
    );
    assert_eq!(plan.waves, [["c1.a.test".parse::<TargetId>().unwrap()]]);
    let plan = asks(
        &known_of([Some(facts(None)), Some(facts(Some(true)))]),
        Beyond::NOTHING,
    );
    assert!(plan.waves.is_empty());
    let why = |server: &str| plan.targets[&server.parse().unwrap()].why.join("; ");
    assert!(why("c1.a.test").contains("cannot be told (G1)"));
    assert!(why("c2.a.test").contains("no server of its tenant is seen to be active"));
    let plan = asks(&known(), &moved_beyond());
    assert!(plan.waves.is_empty());
}

#[test]
fn what_the_topology_rules_out_is_asked_of_no_server() {
    let servers = format!("servers = {SERVERS:?}\n");
    let topology = topology_of("", &["a.test", "b.test"], &servers);
    let policy = Policy::default();
    let known = known();
    let asked = inputs(&topology, &policy, &known, Beyond::NOTHING, Purpose::Verify);
    let plan = eligibility(asked);
    assert!(plan.waves.is_empty());
    for (server, part) in &plan.targets {
        let why = part.why.join("; ");
        assert!(why.contains("has 2 forests"), "{server}: {why}");
    }
    assert_eq!(plan.targets.len(), 2);
}

/// A fleet in which the tenant is to be moved by rollout 1, and its other server to become active by rollout 2.
struct World {
    fleet: Fleet,
    live: Live,
    generation: Generation,
}

impl World {
    fn new() -> Self {
        let (topology, known) = (topology(), known());
        let mut world = Self {
            fleet: Fleet::new(),
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
            world.fleet.apply(&enrolled, None, NOW);
        }
        let moves = moves(&topology, &known, "c1.a.test").unwrap();
        let policy = Policy::default();
        let asked = inputs(&topology, &policy, &known, Beyond::NOTHING, Purpose::Verify);
        let swap = switch(asked, &"c2.a.test".parse().unwrap()).unwrap();
        for (rollout, plan) in [(1, moves), (2, swap)] {
            let applied = common::applied(RolloutId(rollout), &plan);
            world.fleet.apply(&applied, Some(&plan), NOW);
        }
        world.reports("c1.a.test", false);
        world.reports("c2.a.test", true);
        world
    }

    fn tells(&mut self, server: &str, event: &Event) {
        let record = common::told(&server.parse().unwrap(), 1, NOW, event);
        self.fleet.apply(&record, None, NOW);
    }

    fn reports(&mut self, server: &str, staging: bool) {
        self.tells(
            server,
            &Event::FactsReported(Box::new(facts(Some(staging)))),
        );
    }

    fn begins(&mut self, rollout: u32, server: &str) -> Generation {
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
        self.fleet.apply(&issued, None, NOW);
        self.generation
    }

    fn ends(&mut self, server: &str, generation: Generation, ending: Ending) {
        let finished = Event::RunFinished {
            generation,
            ending,
            receipt: String::new(),
        };
        self.tells(server, &finished);
    }

    fn runs(&mut self, rollout: u32, server: &str) {
        let generation = self.begins(rollout, server);
        self.ends(server, generation, Ending::Completed);
    }

    fn offered(&self, rollout: u32, server: &str) -> bool {
        let decisions = self.fleet.decide(&self.live, NOW).into_iter();
        let mut issued = decisions.filter(|decision| {
            matches!(decision, Decision::Issue { rollout: of, target, .. } if of.0 == rollout && target.as_str() == server)
        });
        issued.next().is_some()
    }

    fn hold(&self, rollout: u32, server: &str) -> String {
        let target = server.parse().unwrap();
        let hold = self
            .fleet
            .hold(RolloutId(rollout), &target, &self.live, NOW);
        hold.map(|hold| hold.why).unwrap_or_default()
    }

    fn moved() -> Self {
        let mut world = Self::new();
        for _ in 0..2 {
            world.runs(1, "c1.a.test");
        }
        world.reports("c1.a.test", true);
        world.runs(1, "c1.a.test");
        world
    }
}

#[test]
fn while_a_person_moves_the_tenant_none_active_is_meant_and_none_becomes_active() {
    let mut world = World::new();
    assert!(world.fleet.alarms(NOW).is_empty() && world.fleet.transitions().is_empty());
    world.runs(1, "c1.a.test");
    assert!(
        world.offered(1, "c1.a.test"),
        "{}",
        world.hold(1, "c1.a.test")
    );
    let generation = world.begins(1, "c1.a.test");
    // The other rollout has looked at its staging server, and may go on with it as far as it is concerned.
    world.runs(2, "c2.a.test");
    world.reports("c1.a.test", true);
    assert!(
        world.fleet.alarms(NOW).is_empty(),
        "{:?}",
        world.fleet.alarms(NOW)
    );
    let order = Order::Resolve {
        target: "c1.a.test".parse().unwrap(),
        reason: "it was put into staging mode".to_owned(),
        off: false,
    };
    let resolved = Record::Ordered {
        rollout: RolloutId(2),
        order,
        by: "root".to_owned(),
    };
    world.fleet.apply(&resolved, None, NOW);
    // It reads the settings once more, and is then held before anybody is asked to make it active.
    world.runs(2, "c2.a.test");
    let why = world.hold(2, "c2.a.test");
    assert!(
        why.contains("is being moved to cloud sync on c1.a.test"),
        "{why}"
    );
    assert!(!world.offered(2, "c2.a.test"));
    // The wizard stopped half way: nothing of it is meant any more.
    world.ends(
        "c1.a.test",
        generation,
        Ending::Failed("half way".to_owned()),
    );
    let alarms = world.fleet.alarms(NOW);
    assert!(
        alarms[0].contains("no Connect server of tenant"),
        "{alarms:?}"
    );
    assert!(world.fleet.transitions().is_empty());
}

/// Which domains the wizard gave the agent that it brought nobody has told; somebody else has registered it no more than one at the wizard of
/// cloud sync.
#[test]
fn the_agent_that_a_move_has_brought_was_registered_by_nobody_else() {
    let mut world = World::new();
    world.runs(1, "c1.a.test");
    let generation = world.begins(1, "c1.a.test");
    let target: TargetId = "c1.a.test".parse().unwrap();
    let of = &world.fleet.rollouts()[&RolloutId(1)];
    let mut steps = of.plan.targets[&target].phases[of.work[&target].phase]
        .steps
        .iter();
    let at = steps.position(|step| matches!(step, Step::GuideTransition(_)));
    let mut with = facts(Some(true));
    with.provisioning_agent = Some(common::old_agent());
    let reports = Event::FactsReported(Box::new(with));
    // Its own step tells it before it is over.
    world.tells("c1.a.test", &reports);
    let completed = Event::StepCompleted {
        generation,
        step: StepIndex(at.unwrap().try_into().unwrap()),
        completion: Completion::SeenDone,
        summary: String::new(),
        grade: None,
    };
    world.tells("c1.a.test", &completed);
    world.ends("c1.a.test", generation, Ending::Completed);
    world.tells("c1.a.test", &reports);
    let known = &world.fleet.known()[&target];
    assert!(!known.untold && !known.owes, "{known:?}");
    assert_eq!(known.domains, Some(BTreeSet::new()));
}

#[test]
fn once_it_is_moved_none_active_is_no_alarm_and_one_that_is_active_is() {
    let mut world = World::moved();
    assert!(
        world.fleet.alarms(NOW).is_empty(),
        "{:?}",
        world.fleet.alarms(NOW)
    );
    let said = world.fleet.transitions();
    for words in [
        "was moved from Connect to cloud sync by rollout r1",
        "kept in staging mode on c1.a.test for two weeks",
        &NOW.plus(KEPT).to_string(),
        "write its servers under `retired`",
        "its jobs were not read since (entrain tenant read)",
    ] {
        assert!(said[0].contains(words), "{words}: {said:?}");
    }
    // What the tenant shows since is told with it.
    let job = |quarantined| Job {
        template: "AD2AADProvisioning".to_owned(),
        status: "Active".to_owned(),
        quarantined,
        last_success: Some(NOW),
    };
    let configuration = |name: &str, quarantined| Configuration {
        name: name.to_owned(),
        jobs: Part::Seen(vec![job(quarantined)]),
        domain: Part::NotSeen("not asked".to_owned()),
        guard: Part::NotSeen("not asked".to_owned()),
        units: Part::NotSeen("not asked".to_owned()),
    };
    let tenant: TenantId = TENANT.parse().unwrap();
    let at = NOW.plus(std::time::Duration::from_secs(60));
    let observation = Observation {
        configurations: Part::Seen(vec![
            configuration("a.test", false),
            configuration("b.a.test", true),
        ]),
        ..Observation::unseen_all(&tenant, at, "not asked")
    };
    let seen = Record::TenantSeen {
        observation: Box::new(observation),
        by: "anna".to_owned(),
    };
    world.fleet.apply(&seen, None, at);
    let said = world.fleet.transitions();
    assert!(
        said[0].contains("of its 2 jobs 1 have run lately"),
        "{said:?}"
    );
    // Somebody makes a server active by hand: both tools may write the same objects.
    world.reports("c2.a.test", false);
    let alarms = world.fleet.alarms(NOW);
    assert!(
        alarms[0].starts_with("G7") && alarms[0].contains("c2.a.test"),
        "{alarms:?}"
    );
    // A verification after that says that the tenant is with Connect again.
    let (topology, known) = (
        topology(),
        known_of([Some(facts(Some(true))), Some(facts(Some(false)))]),
    );
    let policy = Policy::default();
    let asked = inputs(&topology, &policy, &known, Beyond::NOTHING, Purpose::Verify);
    let verifies = plan(asked);
    let applied = common::applied(RolloutId(3), &verifies);
    world.fleet.apply(&applied, Some(&verifies), NOW);
    world.runs(3, "c1.a.test");
    assert_eq!(
        world.fleet.transitions().len(),
        1,
        "a staging one says nothing of it"
    );
    world.runs(3, "c2.a.test");
    assert!(world.fleet.transitions().is_empty() && world.fleet.alarms(NOW).is_empty());
}

#[test]
fn plans_after_a_move_know_of_it() {
    let (policy, beyond) = (Policy::default(), moved_beyond());
    let staging = || known_of([Some(facts(Some(true))), Some(facts(Some(true)))]);
    let installs = |topology: &Topology, known: &Fleetwide, beyond: &Beyond| {
        plan(inputs(topology, &policy, known, beyond, Purpose::Install))
    };
    let topology = topology();
    let before = installs(&topology, &staging(), Beyond::NOTHING);
    assert!(before.alarms[0].contains("no Connect server"));
    let after = installs(&topology, &staging(), &beyond);
    assert!(after.alarms.is_empty(), "{:?}", after.alarms);
    let warning = after.warnings.join("; ");
    assert!(warning.contains("for two weeks") && warning.contains("`retired`"));
    // No Connect is installed there again as if none were there for want of one.
    let express = topology_of(
        "",
        &["a.test"],
        "servers = [\"c1.a.test\"]\nsettings = \"express\"\n",
    );
    let bare = known_of([Some(common::facts(None, None)), None]);
    let part = |plan: &Plan| plan.targets[&"c1.a.test".parse().unwrap()].clone();
    assert!(part(&installs(&express, &bare, Beyond::NOTHING)).makes_active());
    let held = part(&installs(&express, &bare, &beyond));
    assert!(held.left_out && held.why[0].contains("was moved to cloud sync"));
    // The last of its servers is retired: what is lost is the way back, and that is what is approved.
    let retired = topology_of("", &["a.test"], "servers = []\nretired = [\"c1.a.test\"]\n");
    let gone = installs(&retired, &staging(), &beyond);
    assert!(gone.alarms.is_empty());
    assert!(
        gone.irreversible[0].contains("rollout r4 has moved the tenant"),
        "{:?}",
        gone.irreversible
    );
    // Whoever goes back to Connect is told what else there is to stop.
    let known = staging();
    let asked = inputs(&topology, &policy, &known, &beyond, Purpose::Verify);
    let back = switch(asked, &"c2.a.test".parse().unwrap()).unwrap();
    assert!(back.warnings[0].contains("(G7)"), "{:?}", back.warnings);
}
