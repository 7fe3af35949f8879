//! Behind a failover: what the lost server told last counts for nothing until it is seen again.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;

use controller_core::fleet::{Decision, Fleet, Live, TargetState};
use controller_core::plan::{Afterwards, transition};
use controller_core::plan::{Inputs, Plan, Purpose, failover, plan, render, swing, switch};
use controller_core::policy::Policy;
use controller_core::record::{Order, Record};
use controller_core::topology::{Topology, check, parse};
use protocol::event::Event;
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::Ending;
use protocol::step::{Product, Step};
use protocol::{BundleId, Digest, Generation, RolloutId, TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const LOST: &str = "c1.a.test";
const SECOND: &str = "c2.a.test";
const THIRD: &str = "c3.a.test";

fn topology() -> Topology {
    let text = format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"{LOST}\", \"{SECOND}\", \"{THIRD}\"]\nsettings = {{}}\n"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    assert!(check(&topology, None).is_empty());
    topology
}

fn name(server: &str) -> TargetId {
    server.parse().unwrap()
}

fn facts(staging: bool) -> Facts {
    let connect = ConnectFacts {
        version: Some(common::CONNECT),
        service: Some(ServiceState::Running),
        staging: Some(staging),
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    common::facts(None, Some(connect))
}

/// A fleet whose active server is gone, and whose second one was made active in its place.
struct World {
    fleet: Fleet,
    live: Live,
    topology: Topology,
    generation: Generation,
}

impl World {
    fn before() -> Self {
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                connected: [SECOND, THIRD].map(name).into(),
                began: NOW,
                ..Live::default()
            },
            topology: topology(),
            generation: Generation(0),
        };
        for server in [LOST, SECOND, THIRD] {
            let key = SigningKey::generate().public();
            world.records(common::enrolled(&name(server), key), None);
            world.reports(server, server != LOST);
        }
        world
    }

    fn new() -> Self {
        let mut world = Self::before();
        let plan = world.instead(SECOND, LOST).unwrap();
        world.begins(1, plan, Some(LOST));
        world.goes_active(1, SECOND);
        world
    }

    fn records(&mut self, record: Record, plan: Option<Plan>) {
        self.fleet.apply(&record, plan.as_ref(), NOW);
    }

    fn tells(&mut self, server: &str, event: &Event) {
        self.records(common::told(&name(server), 1, NOW, event), None);
    }

    fn reports(&mut self, server: &str, staging: bool) {
        self.tells(server, &Event::FactsReported(Box::new(facts(staging))));
    }

    /// Its agent has a session again; what it told before is so again, and it tells nothing.
    fn comes_back(&mut self, server: &str) {
        let (target, version) = (name(server), "0.1.0".to_owned());
        self.records(Record::AgentSeen { target, version }, None);
        self.live.came(name(server), NOW);
    }

    fn begins(&mut self, rollout: u32, plan: Plan, off: Option<&str>) {
        assert_eq!(self.fleet.works_on(&plan), None);
        let by = || "root".to_owned();
        for (rollout, order) in self.fleet.ends_elsewhere(&plan, NOW) {
            let by = by();
            self.records(Record::Ordered { rollout, order, by }, None);
        }
        if let Some(off) = off {
            let (target, by) = (name(off), by());
            self.records(Record::SaidOff { target, by }, None);
            self.live.left(&name(off), NOW);
        }
        self.records(common::applied(RolloutId(rollout), &plan), Some(plan));
    }

    /// What may be offered now, with the phase of each.
    fn offered(&self) -> BTreeSet<(u32, String, usize)> {
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
        issued.collect()
    }

    /// Carries out the next phase of a server, which must be offered.
    fn runs(&mut self, rollout: u32, server: &str) {
        let target = name(server);
        let of = &self.fleet.rollouts()[&RolloutId(rollout)];
        let place = of.work[&target].phase;
        let phase = of.plan.targets[&target].phases[place].phase;
        let why = self
            .fleet
            .hold(RolloutId(rollout), &target, &self.live, NOW);
        assert!(
            self.offered()
                .contains(&(rollout, server.to_owned(), place)),
            "{server} {place}: {why:?}"
        );
        self.generation = self.generation.next();
        let generation = self.generation;
        let issued = Record::BundleIssued {
            rollout: RolloutId(rollout),
            phase,
            target,
            generation,
            bundle: BundleId(Digest::ZERO),
            expires: NOW.plus(std::time::Duration::from_secs(3600)),
        };
        self.records(issued, None);
        let finished = Event::RunFinished {
            generation,
            ending: Ending::Completed,
            receipt: String::new(),
        };
        self.tells(server, &finished);
    }

    /// The server that is to be active comes to the end of its part.
    fn goes_active(&mut self, rollout: u32, server: &str) {
        let phases = self.fleet.rollouts()[&RolloutId(rollout)].plan.targets[&name(server)]
            .phases
            .clone();
        for phase in phases {
            self.runs(rollout, server);
            if phase
                .steps
                .iter()
                .any(|step| matches!(step, Step::GuideConnect(_)))
            {
                self.reports(server, false);
            }
        }
    }

    fn asks<T>(&self, of: impl FnOnce(Inputs<'_>) -> T) -> T {
        let mut artifacts = common::artifacts();
        artifacts.get_mut(&Product::Connect).unwrap().version = Version::new(2, 6, 100, 0);
        let policy = Policy::default();
        of(Inputs {
            beyond: self.fleet.beyond(),
            ..Inputs::of(
                &self.topology,
                &policy,
                self.fleet.known(),
                &artifacts,
                Purpose::Install,
            )
        })
    }

    fn instead(&self, to: &str, off: &str) -> Result<Plan, String> {
        let artifacts = common::artifacts();
        let policy = Policy::default();
        let inputs = Inputs {
            beyond: self.fleet.beyond(),
            ..Inputs::of(
                &self.topology,
                &policy,
                self.fleet.known(),
                &artifacts,
                Purpose::Verify,
            )
        };
        failover(inputs, &name(to), &name(off))
    }

    fn swaps(&self, to: &str) -> Result<Plan, String> {
        let artifacts = common::artifacts();
        let policy = Policy::default();
        let inputs = Inputs {
            beyond: self.fleet.beyond(),
            ..Inputs::of(
                &self.topology,
                &policy,
                self.fleet.known(),
                &artifacts,
                Purpose::Verify,
            )
        };
        switch(inputs, &name(to))
    }
}

#[test]
fn a_plan_behind_a_failover_has_no_alarm_and_no_work_for_the_lost_server() {
    let world = World::new();
    assert_eq!(world.fleet.alarms(NOW), Vec::<String>::new());
    let upgrade = world.asks(plan);
    assert_eq!(upgrade.alarms, Vec::<String>::new());
    let said = render(&upgrade);
    assert!(
        upgrade.targets[&name(LOST)].phases.is_empty()
            && upgrade.targets[&name(LOST)].why[0].contains("said to be off"),
        "{said}"
    );
    assert!(
        said.contains("now c2.a.test exports; c3.a.test stands by in staging mode; c1.a.test was said to be off before"),
        "{said}"
    );
    // Others are upgraded beside the fence that waits for the lost one.
    for server in [SECOND, THIRD] {
        assert!(!upgrade.targets[&name(server)].is_read_only(), "{said}");
    }
    assert_eq!(world.fleet.works_on(&upgrade), None);
    // Nor does a move to cloud sync, or a swing, meet it.
    let moved = world.asks(|inputs| transition(inputs, &name(SECOND)));
    let about_it = moved.as_ref().err().filter(|why| why.contains(LOST));
    assert_eq!(about_it, None);
    let swung = world.asks(|inputs| swing(inputs, &name(THIRD), Afterwards::Upgrade));
    let swung = swung.unwrap();
    assert!(
        swung.targets[&name(SECOND)].switches_to_staging(),
        "{swung:?}"
    );
    assert!(swung.targets[&name(LOST)].phases.is_empty());
}

#[test]
fn the_server_that_took_its_place_is_the_one_that_is_swapped_or_replaced() {
    let world = World::new();
    let swap = world.swaps(THIRD).unwrap();
    assert!(swap.targets[&name(SECOND)].switches_to_staging());
    assert!(swap.targets[&name(LOST)].phases.is_empty());
    assert_eq!(world.fleet.works_on(&swap), None);
    let why = world.swaps(LOST).unwrap_err();
    assert!(why.contains("said to be off"), "{why}");
}

/// The second failover ends the first, by which the lost server would have been fenced: it carries that on itself.
#[test]
fn a_second_failover_goes_its_way_and_fences_both() {
    let mut world = World::new();
    let again = world.instead(THIRD, SECOND).unwrap();
    assert_eq!(again.alarms, Vec::<String>::new());
    world.begins(2, again, Some(SECOND));
    world.goes_active(2, THIRD);
    assert_eq!(world.fleet.alarms(NOW), Vec::<String>::new());
    for server in [LOST, SECOND] {
        world.comes_back(server);
        assert!(
            world.offered().contains(&(2, server.to_owned(), 0)),
            "{server}: {:?} {:?}",
            world.offered(),
            world
                .fleet
                .hold(RolloutId(2), &name(server), &world.live, NOW)
        );
        let part = &world.fleet.rollouts()[&RolloutId(2)].plan.targets[&name(server)];
        assert!(part.phases[0].steps.contains(&Step::FenceConnect));
        assert_eq!(part.essence, None, "no changed fact stands against it");
    }
}

/// A plan that was made before the first failover, and whose part on the lost server was applied once that was aborted, would be offered
/// there before the fence of the second.
#[test]
fn a_second_failover_ends_what_was_begun_on_whoever_was_said_to_be_off_before() {
    let before = World::before();
    let only = BTreeSet::from([name(LOST)]);
    let upgrade = before.asks(|inputs| {
        plan(Inputs {
            only: &only,
            ..inputs
        })
    });
    assert!(!upgrade.targets[&name(LOST)].is_read_only());
    let mut world = World::new();
    let (rollout, order, by) = (RolloutId(1), Order::Abort, "root".to_owned());
    world.records(Record::Ordered { rollout, order, by }, None);
    world.begins(2, upgrade, None);
    let again = world.instead(THIRD, SECOND).unwrap();
    world.begins(3, again, Some(SECOND));
    world.goes_active(3, THIRD);
    world.comes_back(LOST);
    let of_lost: Vec<_> = world
        .offered()
        .into_iter()
        .filter(|(_, server, _)| server == LOST)
        .collect();
    assert_eq!(of_lost, [(3, LOST.to_owned(), 0)]);
    let state = &world.fleet.rollouts()[&RolloutId(2)].work[&name(LOST)].state;
    assert!(matches!(state, TargetState::Resolved(_)), "{state:?}");
}

/// An agent tells only what has changed: that it is back must be seen without that.
#[test]
fn whoever_is_back_counts_as_what_it_told_last() {
    let mut world = World::new();
    let order = Order::Abort;
    let (rollout, by) = (RolloutId(1), "root".to_owned());
    world.records(Record::Ordered { rollout, order, by }, None);
    world.comes_back(LOST);
    let both = "2 servers";
    let alarms = world.fleet.alarms(NOW);
    assert!(alarms.iter().any(|one| one.contains(both)), "{alarms:?}");
    let install = world.asks(plan);
    assert!(
        install.alarms.iter().any(|one| one.contains(both)),
        "{:?}",
        install.alarms
    );
    assert!(
        world
            .instead(THIRD, SECOND)
            .unwrap_err()
            .contains("c1.a.test is active")
    );
    // And as what it tells from then on.
    world.reports(LOST, true);
    assert_eq!(world.asks(plan).alarms, Vec::<String>::new());
}

/// Nobody is taken for off before somebody has said so.
#[test]
fn the_word_is_the_operators() {
    let mut world = World::before();
    world.reports(SECOND, false);
    let install = world.asks(plan);
    assert!(install.alarms.iter().any(|one| one.contains("2 servers")));
    let (target, by) = (name(LOST), "root".to_owned());
    world.records(Record::SaidOff { target, by }, None);
    assert_eq!(world.asks(plan).alarms, Vec::<String>::new());
}
