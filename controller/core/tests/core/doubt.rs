//! An agent that was copied or put back: its server is held, and an alarm stands, until its name is free. What an agent does
//! by itself never looks like it; `tests/sim` and the stories look at that.

use std::time::Duration;

use controller_core::doubt::Doubt;
use controller_core::fleet::{Cause, Fleet, Gate, Live};
use controller_core::plan::Plan;
use controller_core::record::Record;
use controller_core::roster::Roster;
use protocol::event::{Event, Section};
use protocol::key::{PublicKey, SigningKey};
use protocol::signed::Ending;
use protocol::{Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const ROLLOUT: RolloutId = RolloutId(1);

struct World {
    fleet: Fleet,
    roster: Roster,
    live: Live,
    plan: Plan,
    target: TargetId,
    key: PublicKey,
    records: Vec<Record>,
}

impl World {
    /// A server without a product, and a rollout that installs one.
    fn new() -> Self {
        let (plan, target, key) = common::one_server(NOW);
        let mut world = Self {
            fleet: Fleet::new(),
            roster: Roster::default(),
            live: Live {
                connected: [target.clone()].into(),
                began: NOW,
                ..Live::default()
            },
            plan,
            target,
            key,
            records: Vec::new(),
        };
        world.take(common::enrolled(&world.target, key));
        world.take(common::applied(ROLLOUT, &world.plan));
        world
    }

    fn take(&mut self, record: Record) {
        self.fleet.apply(&record, Some(&self.plan), NOW);
        self.roster.apply(&record, NOW);
        self.records.push(record);
    }

    fn doubt(&mut self, doubt: Doubt) {
        let at = ["10.0.0.5", "10.0.0.6"];
        self.take(Record::AgentDoubted {
            target: self.target.clone(),
            key: self.key.fingerprint(),
            doubt,
            at: at.map(str::to_owned).to_vec(),
        });
    }

    fn hold(&self) -> String {
        let hold = self.fleet.hold(ROLLOUT, &self.target, &self.live, NOW);
        hold.map(|hold| hold.why).unwrap_or_default()
    }

    fn is_offered(&self) -> bool {
        !self.fleet.decide(&self.live, NOW).is_empty()
    }
}

#[test]
fn a_doubted_agent_is_offered_nothing_until_its_name_is_free() {
    for (doubt, said) in [
        (Doubt::Twice, "two agents with its key"),
        (Doubt::WentBack, "went back"),
        (Doubt::Forked, "forked"),
    ] {
        let mut world = World::new();
        assert!(world.is_offered() && world.fleet.alarms(NOW).is_empty());
        world.doubt(doubt);
        assert!(!world.is_offered());
        assert!(world.hold().contains(said), "{}", world.hold());
        let alarms = world.fleet.alarms(NOW);
        assert_eq!(alarms.len(), 1);
        for part in [
            "s1.a.test",
            said,
            "10.0.0.5 and 10.0.0.6",
            "agents replace s1.a.test",
        ] {
            assert!(alarms[0].contains(part), "{alarms:?}");
        }
        // It is told once: what is seen later says nothing new.
        world.doubt(Doubt::Forked);
        assert_eq!(world.fleet.alarms(NOW), alarms);
        // A restart of the controller is a replay.
        let mut again = Fleet::new();
        for record in &world.records {
            again.apply(record, Some(&world.plan), NOW);
        }
        assert_eq!(again.alarms(NOW), alarms);

        world.take(Record::AgentReplaced {
            target: world.target.clone(),
            by: "root".to_owned(),
        });
        assert!(world.fleet.alarms(NOW).is_empty(), "the old key is revoked");
        assert!(world.roster.is_revoked(&world.key.fingerprint()));
        world.take(common::enrolled(
            &world.target,
            SigningKey::generate().public(),
        ));
        assert!(world.is_offered(), "{}", world.hold());
    }
}

/// A run that is under way when the agent is doubted gets no leave: its copy would get it as well.
#[test]
fn a_doubted_agent_gets_no_leave() {
    let mut world = World::new();
    let phase = world.plan.targets[&world.target].phases[0].phase;
    let (bundle, generation) = (BundleId(Digest::ZERO), Generation(1));
    world.take(Record::BundleIssued {
        rollout: ROLLOUT,
        target: world.target.clone(),
        generation,
        phase,
        bundle,
        expires: NOW.plus(Duration::from_secs(3600)),
    });
    let accepted = Event::BundleAccepted {
        bundle,
        generation,
        rollout: ROLLOUT,
        phase,
        change: None,
    };
    world.take(common::told(&world.target, 1, NOW, &accepted));
    let section = Section {
        outage: false,
        gmsa: None,
    };
    let (step, attempt) = (StepIndex(0), Attempt(1));
    let target = world.target.clone();
    world
        .fleet
        .asks_permit(&target, generation, step, attempt, section.clone());
    assert!(world.is_offered(), "leave is given");
    world.doubt(Doubt::Twice);
    assert!(!world.is_offered(), "what it asked for is forgotten");
    world
        .fleet
        .asks_permit(&target, generation, step, attempt, section.clone());
    assert!(!world.is_offered());
    let gate = Gate {
        generation,
        step,
        attempt,
        section,
        lapses: None,
        earlier: None,
    };
    let hold = world
        .fleet
        .permit_hold(&target, &gate, &Default::default(), &world.live, NOW);
    assert!(hold.unwrap().why.contains("two agents with its key"));
}

/// What its copies may do is unknown, whatever it was at; what has come to its end is shown as that.
#[test]
fn a_doubted_agent_is_shown_as_held_while_it_is_at_work() {
    let mut world = World::new();
    let (generation, phase) = (
        Generation(1),
        world.plan.targets[&world.target].phases[0].phase,
    );
    world.take(Record::BundleIssued {
        rollout: ROLLOUT,
        target: world.target.clone(),
        generation,
        phase,
        bundle: BundleId(Digest::ZERO),
        expires: NOW.plus(Duration::from_secs(3600)),
    });
    assert!(world.fleet.doubted().is_empty());
    world.doubt(Doubt::Forked);
    assert!(world.fleet.doubted().contains_key(&world.target));
    let row = |world: &World| {
        let view = world.fleet.view(ROLLOUT, &world.live, NOW);
        view.expect("it is there").targets.remove(0)
    };
    let shown = row(&world);
    assert_eq!(shown.state, "held");
    assert!(shown.detail.starts_with("offered: ") && shown.detail.contains("forked"));
    assert_eq!(shown.lifts.map(|lifts| lifts.cause), Some(Cause::Doubted));
    let ended = Event::RunFinished {
        generation,
        ending: Ending::Failed("it broke".to_owned()),
        receipt: String::new(),
    };
    world.take(common::told(&world.target, 1, NOW, &ended));
    let shown = row(&world);
    assert_eq!((shown.state.as_str(), shown.lifts), ("failed", None));
}
