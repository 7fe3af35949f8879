//! Whoever is away: an abort ends without it, a rollout goes on around it when its policy says for how long it waits, and what
//! it may be at stays claimed until it is back, its bundle has ended, or somebody says that the server is off.

mod at_work;
mod restored;

use std::time::Duration;

use controller_core::fleet::{Decision, Fleet, Live, Pulse, TargetView, UNREACHABLE_AFTER};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::{Order, Record};
use controller_core::topology::parse;
use protocol::event::{Event, GmsaObject, Section};
use protocol::signed::Ending;
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, limits,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const FIRST: RolloutId = RolloutId(1);
const SECOND: RolloutId = RolloutId(2);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const HOUR: Duration = Duration::from_secs(3600);
const STEP: StepIndex = StepIndex(0);

struct World {
    fleet: Fleet,
    live: Live,
    now: Timestamp,
    plan: Plan,
    log: Vec<(Timestamp, Record)>,
    told: u64,
}

fn name(text: &str) -> TargetId {
    text.parse().expect("a name")
}

impl World {
    /// Two domains with two old agents each, one domain after the other, all of them here.
    fn new(limit: &str) -> Self {
        let topology = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n[agents.b]\nserves = [\"b.test\"]\nhosts = [\"t1.b.test\", \"t2.b.test\"]\n"
        );
        let (topology, findings) = parse(&[common::document(topology)]);
        assert!(findings.is_empty(), "{findings:?}");
        let text = format!(
            "waves = [{{ domains = [\"a.test\"] }}, {{ rest = true }}]\n[limit]\nfailures = \"3\"\nin_flight = 2\ncanary = 1\n{limit}\n"
        );
        let (policy, findings) = policy::parse(&common::document(text));
        assert!(findings.is_empty(), "{findings:?}");
        let (known, enrolled) = common::enroll(&topology, NOW, |_| common::old());
        let plan = plan(Inputs::of(
            &topology,
            &policy,
            &known,
            &common::artifacts(),
            Purpose::Install,
        ));
        let mut live = Live {
            began: NOW.minus(HOUR),
            ..Live::default()
        };
        for target in known.keys() {
            live.came(target.clone(), NOW);
            let pulse = Pulse {
                serving: true,
                at: NOW,
            };
            live.pulses.insert(target.clone(), pulse);
        }
        let mut world = Self {
            fleet: Fleet::new(),
            live,
            now: NOW,
            plan,
            log: Vec::new(),
            told: 0,
        };
        for record in enrolled {
            world.take(record);
        }
        world.take(common::applied(FIRST, &world.plan));
        world
    }

    fn take(&mut self, record: Record) {
        self.fleet.apply(&record, Some(&self.plan), self.now);
        self.log.push((self.now, record));
    }

    fn order(&mut self, order: Order) {
        let may = self.fleet.may_order(FIRST, &order, &self.live, self.now);
        assert_eq!(may, Ok(()), "{order:?}");
        self.take(Record::Ordered {
            rollout: FIRST,
            order,
            by: "root".to_owned(),
        });
    }

    /// Records what the machine wants, until it wants nothing more. Who was offered something, in order.
    fn decide(&mut self) -> Vec<String> {
        let mut offered = Vec::new();
        loop {
            let decisions = self.fleet.decide(&self.live, self.now);
            assert_eq!(decisions, self.fleet.decide_among_all(&self.live, self.now));
            if decisions.is_empty() {
                return offered;
            }
            for decision in decisions {
                self.carry_out(decision, &mut offered);
            }
            for rollout in self.fleet.rollouts().values() {
                assert!(rollout.work.is_counted_right());
            }
        }
    }

    fn carry_out(&mut self, decision: Decision, offered: &mut Vec<String>) {
        match decision {
            Decision::Issue {
                rollout,
                target,
                phase,
                ..
            } => {
                offered.push(target.to_string());
                let generation = self.fleet.next_generation(&target);
                self.take(Record::BundleIssued {
                    rollout,
                    target: target.clone(),
                    generation,
                    phase: self.plan.targets[&target].phases[phase].phase,
                    bundle: bundle(&target, generation),
                    expires: self.now.plus(24 * HOUR),
                });
            }
            Decision::Unknown { target, generation } => {
                self.take(Record::WentUnknown { target, generation });
            }
            Decision::Away {
                rollout,
                target,
                since,
            } => self.take(Record::Away {
                rollout,
                target,
                since,
            }),
            Decision::PassedOver {
                rollout,
                target,
                away,
            } => self.take(Record::PassedOver {
                rollout,
                target,
                away,
            }),
            Decision::Permit { .. } | Decision::Degraded { .. } => {
                panic!("nobody asks for leave, and nothing is watched")
            }
        }
    }

    fn tells(&mut self, target: &TargetId, event: &Event) {
        self.told += 1;
        let record = common::told(target, self.told, self.now, event);
        self.take(record);
    }

    fn generation(&self, target: &TargetId) -> Generation {
        self.fleet.open(target).expect("it is open").generation
    }

    /// It accepts what it was offered, and is within a section in which it is out of service and changes a gMSA.
    fn works(&mut self, target: &TargetId) {
        let open = self.fleet.open(target).expect("it is open").clone();
        let generation = open.generation;
        for event in [
            Event::BundleAccepted {
                bundle: open.bundle,
                generation,
                rollout: open.rollout,
                phase: open.phase,
                change: None,
            },
            Event::StepBegun {
                generation,
                step: STEP,
                attempt: Attempt(1),
                kind: "upgrade-provisioning-agent".to_owned(),
            },
            Event::SectionEntered {
                generation,
                step: STEP,
                section: section(),
            },
        ] {
            self.tells(target, &event);
        }
    }

    fn finishes(&mut self, target: &TargetId, ending: Ending) {
        let event = Event::RunFinished {
            generation: self.generation(target),
            ending,
            receipt: String::new(),
        };
        self.tells(target, &event);
    }

    /// Every phase of its work comes to its end.
    fn is_done(&mut self, target: &TargetId) {
        for _ in 0..self.plan.targets[target].phases.len() {
            let graded = Event::StepCompleted {
                generation: self.generation(target),
                step: STEP,
                completion: protocol::event::Completion::AlreadySo,
                summary: String::new(),
                grade: Some(protocol::event::Grade::Registered),
            };
            self.tells(target, &graded);
            self.finishes(target, Ending::Completed);
            self.decide();
        }
        assert_eq!(self.row(target).state, "done");
    }

    fn leaves(&mut self, target: &TargetId) {
        self.live.left(target, self.now);
        self.fleet.forget_asked(target);
    }

    /// The controller begins anew on its log; everybody but one is back at once.
    fn restarts_without(&mut self, lost: &TargetId) {
        let mut fleet = Fleet::new();
        for (at, record) in &self.log {
            fleet.apply(record, Some(&self.plan), *at);
        }
        self.fleet = fleet;
        let here = self.live.connected.clone();
        self.live = Live {
            began: self.now,
            ..Live::default()
        };
        for target in here.into_iter().filter(|target| target != lost) {
            let pulse = Pulse {
                serving: true,
                at: self.now,
            };
            self.live.pulses.insert(target.clone(), pulse);
            self.live.came(target, self.now);
        }
    }

    fn passes(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        for pulse in self.live.pulses.values_mut() {
            pulse.at = self.now;
        }
    }

    fn row(&self, target: &TargetId) -> TargetView {
        let view = self.fleet.view(FIRST, &self.live, self.now);
        let mut rows = view.expect("it is there").targets.into_iter();
        rows.find(|row| row.target == *target).expect("it has it")
    }

    fn standing(&self) -> String {
        let view = self.fleet.view(FIRST, &self.live, self.now);
        view.expect("it is there").standing()
    }

    /// What another server would wait for, if it asked for leave.
    fn leave(&mut self, target: &TargetId, rollout: RolloutId) -> String {
        let generation = self.generation(target);
        assert_eq!(
            self.fleet.open(target).map(|open| open.rollout),
            Some(rollout)
        );
        self.fleet
            .asks_permit(target, generation, STEP, Attempt(1), section());
        let asked = self.fleet.asked_now();
        let gates = asked.clone().into_iter().filter(|_| false).collect();
        let alone = self
            .fleet
            .permit_hold(target, &asked[target], &gates, &self.live, self.now);
        assert!(alone.is_none_or(|hold| !hold.why.contains("(G3)")));
        let row = self.fleet.why(target, &self.live, self.now);
        self.fleet.forget_asked(target);
        row.expect("it is known").answer
    }

    /// The log tells the same fleet, whoever is here.
    fn is_what_the_log_tells(&self) {
        let mut replayed = Fleet::new();
        for (at, record) in &self.log {
            replayed.apply(record, Some(&self.plan), *at);
        }
        assert_eq!(format!("{replayed:?}"), format!("{:?}", self.fleet));
        for live in [&Live::default(), &self.live] {
            assert_eq!(
                replayed.view(FIRST, live, self.now),
                self.fleet.view(FIRST, live, self.now)
            );
        }
    }
}

fn bundle(target: &TargetId, generation: Generation) -> BundleId {
    BundleId(Digest::of(format!("{target}{generation}").as_bytes()))
}

fn section() -> Section {
    Section {
        outage: true,
        gmsa: Some(GmsaObject {
            domain: "a.test".parse().expect("a domain"),
            name: None,
        }),
    }
}

/// The canary is in the middle of its work and away, and the rollout is aborted.
fn aborted() -> (World, TargetId, TargetId) {
    let mut world = World::new("");
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    assert_eq!(
        world.decide(),
        ["s1.a.test"],
        "the canary of the first wave"
    );
    world.works(&lost);
    world.leaves(&lost);
    world.decide();
    assert_eq!(world.standing(), "running");
    world.order(Order::Abort);
    world.decide();
    (world, lost, other)
}

#[test]
fn an_abort_ends_at_once_without_whoever_is_away_and_its_word_takes_the_place_of_unknown() {
    let (mut world, lost, other) = aborted();
    assert_eq!(world.standing(), "aborted, 1 unknown");
    assert_eq!(world.row(&other).state, "aborted");
    let row = world.row(&lost);
    assert_eq!((row.state.as_str(), row.terminal), ("unknown", true));
    let end = NOW.plus(24 * HOUR).plus(limits::CLOCK_TOLERANCE);
    assert_eq!(
        row.detail,
        format!(
            "it was away when the rollout was aborted, and may be at work until {end}: its return says what became of it, or `entrain resolve r1 s1.a.test --reason WHY`"
        )
    );
    world.is_what_the_log_tells();

    world.live.came(lost.clone(), world.now);
    assert_eq!(
        world.row(&lost).detail,
        "it is back, and has not said yet what became of it"
    );
    let generation = world.generation(&lost);
    world.tells(
        &lost,
        &Event::SectionLeft {
            generation,
            step: STEP,
            gmsa: None,
        },
    );
    assert_ne!(world.row(&lost).state, "unknown", "it is heard");
    world.decide();
    world.finishes(&lost, Ending::Aborted);
    world.decide();
    assert_eq!(world.standing(), "aborted");
    assert_eq!(world.row(&lost).state, "aborted");
    world.is_what_the_log_tells();
}

#[test]
fn what_it_did_before_it_heard_of_the_abort_is_told_as_it_is() {
    let (mut world, lost, _) = aborted();
    world.passes(HOUR);
    world.live.came(lost.clone(), world.now);
    world.finishes(&lost, Ending::Failed("it broke".to_owned()));
    world.decide();
    assert_eq!(world.standing(), "aborted");
    assert_eq!(world.row(&lost).state, "failed");
    world.is_what_the_log_tells();
}

#[test]
fn what_it_may_be_at_stays_claimed_behind_its_bundle_until_the_time_of_its_step_is_over() {
    let (mut world, lost, other) = aborted();
    world.take(common::applied(SECOND, &world.plan));
    let held = |world: &World| {
        let hold = world.fleet.hold(SECOND, &lost, &world.live, world.now);
        hold.map(|hold| hold.why).unwrap_or_default()
    };
    assert_eq!(
        held(&world),
        "rollout r1 has a bundle open on it; its end lifts it (G5)"
    );
    assert!(
        world
            .fleet
            .may_order(FIRST, &skip(&lost), &world.live, world.now)
            .is_err(),
        "it may be at work"
    );
    // Nobody waits for it, but nobody changes the same gMSA meanwhile either.
    world.passes(UNREACHABLE_AFTER);
    assert_eq!(world.decide(), [other.as_str()]);
    assert!(
        world
            .leave(&other, SECOND)
            .contains("s1.a.test changes the same gMSA in a.test")
    );
    world.passes(25 * HOUR);
    world.decide();
    assert_eq!(world.fleet.open(&lost), None);
    assert!(
        held(&world).starts_with("it is not connected"),
        "{}",
        held(&world)
    );
    assert_eq!(world.standing(), "aborted, 1 unknown");
    let detail = world.row(&lost).detail;
    assert!(
        detail.starts_with(
            "silent beyond the end of its bundle; its bundle ended while it was in a section"
        ) && detail.contains("entrain resolve r1 s1.a.test --off --reason WHY"),
        "{detail}"
    );
    world.is_what_the_log_tells();
}

fn skip(target: &TargetId) -> Order {
    Order::Skip {
        target: target.clone(),
        reason: "x".to_owned(),
    }
}

#[test]
fn the_word_that_it_is_off_frees_what_it_claimed() {
    let (mut world, lost, other) = aborted();
    world.order(Order::Resolve {
        target: lost.clone(),
        reason: "the server is scrap".to_owned(),
        off: true,
    });
    world.decide();
    assert_eq!(world.standing(), "aborted");
    assert_eq!(world.row(&lost).state, "resolved");
    world.take(common::applied(SECOND, &world.plan));
    world.passes(UNREACHABLE_AFTER);
    assert_eq!(world.decide(), [other.as_str()]);
    assert!(!world.leave(&other, SECOND).contains("s1.a.test"));
    world.is_what_the_log_tells();
}

#[test]
fn a_bundle_that_it_never_took_is_withdrawn_when_it_is_back() {
    let mut world = World::new("");
    let lost = name("s1.a.test");
    world.decide();
    world.leaves(&lost);
    world.order(Order::Abort);
    world.decide();
    assert_eq!(world.standing(), "aborted, 1 unknown");
    world.live.came(lost.clone(), world.now);
    let word = world
        .fleet
        .unaccepted(&lost, Generation(0), &world.live, world.now);
    let Some(controller_core::fleet::Unaccepted::Withdraw(generation)) = word else {
        panic!("{word:?}");
    };
    world.take(Record::Withdrawn {
        target: lost.clone(),
        generation,
    });
    world.decide();
    assert_eq!(world.standing(), "aborted");
    assert_eq!(world.row(&lost).state, "aborted");
    world.is_what_the_log_tells();
}

/// A log that was put back tells of work whose agent nobody has met since; its bundle may have ended long ago.
#[test]
fn an_abort_after_a_restore_ends_without_whoever_does_not_come_back() {
    for later in [Duration::ZERO, 25 * HOUR] {
        let mut world = World::new("");
        let lost = name("s1.a.test");
        world.decide();
        world.works(&lost);
        world.take(Record::Restored {
            epoch: protocol::Epoch(2),
            parent: protocol::Epoch(1),
            made: world.now,
            by: "root".to_owned(),
        });
        world.passes(later);
        world.leaves(&lost);
        world.order(Order::Abort);
        world.decide();
        assert_eq!(world.standing(), "aborted, 1 unknown");
        assert!(world.fleet.unmet().contains(&lost));
        world.is_what_the_log_tells();
    }
}

/// Behind the end of a bundle nothing else keeps its claims: who has just left may be in its section all the same.
#[test]
fn what_outlasted_its_bundle_stays_claimed_until_it_was_waited_for() {
    let mut world = World::new("");
    let lost = name("s1.a.test");
    world.decide();
    world.works(&lost);
    world.passes(25 * HOUR);
    world.decide();
    world.order(Order::Abort);
    world.leaves(&lost);
    world.decide();
    assert_eq!(world.standing(), "aborted, 1 unknown");
    assert!(world.fleet.open(&lost).is_some(), "it may be at work");
    world.is_what_the_log_tells();

    let due = world.fleet.poll_timeout(&world.live, world.now);
    let waited = world.now.plus(UNREACHABLE_AFTER);
    assert!(due.is_some_and(|due| due <= waited.plus(Duration::from_millis(1))));
    world.passes(UNREACHABLE_AFTER + Duration::from_millis(1));
    world.decide();
    assert_eq!(world.standing(), "aborted, 1 unknown");
    assert!(world.fleet.open(&lost).is_none(), "it was waited for");
    world.is_what_the_log_tells();
}

/// After a start nobody had the time to come yet.
#[test]
fn after_a_restart_of_the_controller_an_abort_gives_agents_the_time_to_come_back() {
    let mut world = World::new("");
    let lost = name("s1.a.test");
    world.decide();
    world.works(&lost);
    world.live = Live {
        began: world.now,
        ..Live::default()
    };
    world.order(Order::Abort);
    assert_eq!(world.decide(), [""; 0]);
    assert_eq!(world.standing(), "aborted", "not over");
    assert_eq!(world.row(&lost).state, "unreachable");
    let due = world.fleet.poll_timeout(&world.live, world.now);
    assert_eq!(due, Some(world.now.plus(UNREACHABLE_AFTER)));
    world.passes(UNREACHABLE_AFTER);
    world.decide();
    assert_eq!(world.standing(), "aborted, 1 unknown");
}

#[test]
fn a_wave_waits_for_whoever_is_away_without_a_deadline() {
    let mut world = World::new("");
    let lost = name("s1.a.test");
    world.decide();
    world.works(&lost);
    world.leaves(&lost);
    world.passes(23 * HOUR);
    assert_eq!(world.decide(), [""; 0]);
    assert_eq!(world.row(&lost).state, "unreachable");
}

#[test]
fn a_rollout_goes_on_around_whoever_is_away_for_as_long_as_its_policy_waits() {
    let mut world = World::new("unreachable = \"3h\"");
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.decide();
    world.works(&lost);
    world.leaves(&lost);
    let due = world.now.plus(3 * HOUR);
    world.passes(3 * HOUR - Duration::from_millis(1));
    assert_eq!(world.decide(), [""; 0], "it may be back");
    assert_eq!(world.fleet.poll_timeout(&world.live, world.now), Some(due));
    world.passes(Duration::from_millis(1));
    assert_eq!(world.decide(), [other.as_str()], "another is the canary");
    let row = world.row(&lost);
    assert_eq!((row.state.as_str(), row.bad), ("unreachable", true));
    assert!(
        row.detail.ends_with(&format!(
            "away since {NOW}, longer than the 3h that this rollout waits: the others go on around it, and it counts as failed; its return lifts it"
        )),
        "{}",
        row.detail
    );
    // What it may be at stays claimed.
    assert!(world.fleet.open(&lost).is_some());
    assert!(
        world
            .leave(&other, FIRST)
            .contains("s1.a.test changes the same gMSA in a.test")
    );
    world.is_what_the_log_tells();

    // The wave is done without it, and the next one begins with its canary.
    world.is_done(&other);
    assert_eq!(world.row(&name("t1.b.test")).state, "offered");
    // Two of three failures are thinkable: one more may be under way, and no second one.
    assert_eq!(world.row(&name("t2.b.test")).state, "pending");

    // It is back: it counts as under way, and goes on where it was.
    world.live.came(lost.clone(), world.now);
    world.decide();
    let row = world.row(&lost);
    assert_eq!((row.state.as_str(), row.bad), ("running", false));
    world.is_done(&lost);
    world.is_what_the_log_tells();
}

#[test]
fn the_deadline_of_whoever_is_away_goes_on_when_the_controller_restarts() {
    let mut world = World::new("unreachable = \"3h\"");
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.decide();
    world.works(&lost);
    world.leaves(&lost);
    let told = world.now.plus(UNREACHABLE_AFTER);
    assert_eq!(world.fleet.poll_timeout(&world.live, world.now), Some(told));
    world.passes(UNREACHABLE_AFTER);
    assert_eq!(world.decide(), [""; 0]);
    let noted = world.log.len();
    world.passes(HOUR);
    assert_eq!(world.decide(), [""; 0]);
    assert_eq!(world.log.len(), noted, "it is told once");
    // Twice, since whoever restarts is restarted again.
    for _ in 0..2 {
        world.restarts_without(&lost);
        assert_eq!(world.decide(), [""; 0]);
        let row = world.row(&lost);
        assert_eq!(row.state, "unreachable");
        assert!(
            row.detail.ends_with(&format!("away since {NOW}")),
            "{}",
            row.detail
        );
    }
    let due = NOW.plus(3 * HOUR);
    world.passes(UNREACHABLE_AFTER);
    assert_eq!(world.fleet.poll_timeout(&world.live, world.now), Some(due));
    world.now = due.minus(Duration::from_millis(1));
    world.passes(Duration::ZERO);
    assert_eq!(world.decide(), [""; 0], "it may be back");
    world.passes(Duration::from_millis(1));
    assert_eq!(world.decide(), [other.as_str()]);
    assert!(
        world
            .row(&lost)
            .detail
            .contains(&format!("away since {NOW}, longer than the 3h"))
    );
    world.is_what_the_log_tells();
}

#[test]
fn whoever_was_away_for_too_long_when_the_controller_comes_back_has_time_to_come_all_the_same() {
    let mut world = World::new("unreachable = \"3h\"");
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.decide();
    world.works(&lost);
    world.leaves(&lost);
    world.passes(UNREACHABLE_AFTER);
    world.decide();
    world.passes(5 * HOUR);
    world.restarts_without(&lost);
    assert_eq!(world.decide(), [""; 0]);
    let due = world.now.plus(UNREACHABLE_AFTER);
    assert_eq!(world.fleet.poll_timeout(&world.live, world.now), Some(due));
    world.passes(UNREACHABLE_AFTER);
    assert_eq!(world.decide(), [other.as_str()]);
    assert!(world.row(&lost).bad);
    world.is_what_the_log_tells();
}

#[test]
fn whoever_is_back_after_a_restart_is_waited_for_anew_when_it_leaves_again() {
    let mut world = World::new("unreachable = \"3h\"");
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.decide();
    world.works(&lost);
    world.leaves(&lost);
    world.passes(UNREACHABLE_AFTER);
    world.decide();
    world.passes(5 * HOUR);
    world.restarts_without(&lost);
    world.live.came(lost.clone(), world.now);
    assert_eq!(world.decide(), [""; 0]);
    assert_eq!(world.row(&lost).state, "running");
    let again = world.now;
    world.leaves(&lost);
    world.passes(UNREACHABLE_AFTER);
    world.decide();
    world.restarts_without(&lost);
    world.now = again.plus(3 * HOUR).minus(Duration::from_millis(1));
    world.passes(Duration::ZERO);
    assert_eq!(world.decide(), [""; 0]);
    world.passes(Duration::from_millis(1));
    assert_eq!(world.decide(), [other.as_str()]);
    world.is_what_the_log_tells();
}

/// Since when it is away nobody knows who was not there: the least that is sure counts.
#[test]
fn whoever_left_just_before_a_restart_or_during_it_is_away_since_the_restart() {
    let mut world = World::new("unreachable = \"3h\"");
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.decide();
    world.works(&lost);
    world.leaves(&lost);
    world.passes(UNREACHABLE_AFTER - Duration::from_millis(1));
    assert_eq!(world.decide(), [""; 0]);
    world.passes(2 * HOUR);
    world.restarts_without(&lost);
    let began = world.now;
    world.passes(3 * HOUR - Duration::from_millis(1));
    assert_eq!(world.decide(), [""; 0]);
    world.passes(Duration::from_millis(1));
    assert_eq!(world.decide(), [other.as_str()]);
    let row = world.row(&lost);
    let since = format!("away since {began}, longer than the 3h");
    assert!(row.detail.contains(&since), "{}", row.detail);
    world.is_what_the_log_tells();
}

/// Where it was since the backup nobody knows.
#[test]
fn a_restored_log_tells_of_nobody_that_it_is_away() {
    let mut world = World::new("unreachable = \"3h\"");
    let lost = name("s1.a.test");
    world.decide();
    world.works(&lost);
    world.leaves(&lost);
    world.passes(UNREACHABLE_AFTER);
    world.decide();
    let away = |world: &World| world.fleet.rollouts()[&FIRST].work[&lost].away;
    assert_eq!(away(&world), Some(NOW));
    world.take(Record::Restored {
        epoch: protocol::Epoch(2),
        parent: protocol::Epoch(1),
        made: world.now,
        by: "root".to_owned(),
    });
    assert_eq!(away(&world), None);
    assert!(world.fleet.rollouts()[&FIRST].work.is_counted_right());
}

#[test]
fn whoever_is_away_between_two_phases_is_passed_over_as_well() {
    let mut world = World::new("unreachable = \"1h\"");
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.decide();
    world.leaves(&lost);
    world.finishes(&lost, Ending::Completed);
    world.passes(HOUR);
    assert_eq!(world.decide(), [other.as_str()]);
    let row = world.row(&lost);
    assert_eq!(row.state, "unreachable");
    assert!(
        row.detail.starts_with("between two phases; away since"),
        "{}",
        row.detail
    );
    world.live.came(lost.clone(), world.now);
    assert_eq!(world.decide(), [lost.as_str()], "it goes on");
    world.is_what_the_log_tells();
}

#[test]
fn what_is_passed_over_counts_against_the_failure_limit() {
    let mut world = World::new("unreachable = \"1h\"");
    world.order(Order::Limits {
        in_flight: None,
        failures: Some(1),
        unreachable: None,
    });
    let lost = name("s1.a.test");
    world.decide();
    world.leaves(&lost);
    world.passes(HOUR);
    assert_eq!(world.decide(), [""; 0]);
    let row = world.row(&name("s2.a.test"));
    assert!(
        row.detail
            .starts_with("1 of at most 1 failures have happened"),
        "{}",
        row.detail
    );
}

#[test]
fn the_deadline_of_a_rollout_that_runs_is_changed_by_its_limits() {
    let limits = |unreachable| Order::Limits {
        in_flight: None,
        failures: None,
        unreachable: Some(unreachable),
    };
    let mut world = World::new("");
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.decide();
    world.leaves(&lost);
    world.passes(2 * HOUR);
    assert_eq!(world.decide(), [""; 0]);
    world.order(limits(3600));
    assert_eq!(world.decide(), [other.as_str()]);
    assert!(world.row(&lost).bad);
    // A longer one: it is waited for again.
    world.order(limits(4 * 3600));
    world.decide();
    assert!(!world.row(&lost).bad);
    world.passes(2 * HOUR);
    world.decide();
    assert!(world.row(&lost).bad);
    world.order(limits(0));
    world.passes(12 * HOUR);
    world.decide();
    assert!(!world.row(&lost).bad, "nobody is given up");
    world.is_what_the_log_tells();
}

#[test]
fn a_target_whose_bundle_has_ended_meanwhile_is_unknown_and_keeps_nobody_waiting() {
    let mut world = World::new("unreachable = \"2d\"");
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.decide();
    world.leaves(&lost);
    world.passes(25 * HOUR);
    assert_eq!(world.decide(), [""; 0]);
    assert_eq!(world.row(&lost).state, "unknown");
    world.passes(23 * HOUR);
    assert_eq!(world.decide(), [other.as_str()]);
    let row = world.row(&lost);
    assert_eq!(row.state, "unknown");
    assert!(
        row.detail.contains("the others go on around it"),
        "{}",
        row.detail
    );
    world.is_what_the_log_tells();
}

#[test]
fn how_long_a_rollout_waits_is_written_in_days_hours_or_minutes() {
    let read = |text: &str| {
        let document = common::document(format!("[limit]\nunreachable = \"{text}\"\n"));
        let (policy, findings) = policy::parse(&document);
        let said = findings.into_iter().next().map(|one| one.what);
        (policy.unreachable, said)
    };
    for (text, seconds) in [
        ("3d", Some(3 * 86_400)),
        ("12h", Some(12 * 3600)),
        ("90m", Some(90 * 60)),
        ("never", None),
    ] {
        assert_eq!(read(text), (seconds, None), "{text}");
    }
    for text in ["1m", "91d", "99999999999d", "4294967295d"] {
        let said = read(text).1.expect("it is refused");
        assert!(
            said.starts_with(&format!("unreachable: \"{text}\" is ")),
            "{said}"
        );
    }
    let said = read("3 days").1;
    assert_eq!(
        said.as_deref(),
        Some("unreachable: \"3 days\" is no number of days, hours or minutes")
    );
}

/// After a start nobody has left, and whoever does not come is waited for from then on, for as long as anybody else.
#[test]
fn whoever_does_not_come_back_after_a_restart_is_passed_over_from_then_on() {
    let mut world = World::new("unreachable = \"3h\"");
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.decide();
    world.works(&lost);
    world.passes(2 * HOUR);
    let began = world.now;
    world.live = Live {
        began,
        ..Live::default()
    };
    for target in ["s2.a.test", "t1.b.test", "t2.b.test"] {
        world.live.came(name(target), began);
    }
    world.passes(3 * HOUR - Duration::from_millis(1));
    assert_eq!(world.decide(), [""; 0], "it may come");
    assert!(!world.row(&lost).bad);
    let due = world.fleet.poll_timeout(&world.live, world.now);
    assert_eq!(due, Some(began.plus(3 * HOUR)));
    world.passes(Duration::from_millis(1));
    assert_eq!(world.decide(), [other.as_str()], "another is the canary");
    let row = world.row(&lost);
    assert!(row.bad && row.detail.contains(&format!("away since {began}")));
    world.is_what_the_log_tells();
}

/// Those that are here, and those that left just now, are in the middle of their work as well.
#[test]
fn nobody_else_is_passed_over_with_whoever_never_came() {
    let mut world = World::new("unreachable = \"3h\"");
    let (lost, here) = (name("s1.a.test"), name("s2.a.test"));
    world.order(Order::Limits {
        in_flight: Some(4),
        failures: Some(4),
        unreachable: None,
    });
    world.decide();
    world.is_done(&lost);
    assert_eq!(world.row(&here).state, "offered");
    world.works(&here);
    world.take(common::applied(SECOND, &world.plan));
    world.decide();
    let began = world.now;
    world.live = Live {
        began,
        ..Live::default()
    };
    world.live.came(here.clone(), began);
    world.passes(3 * HOUR);
    world.decide();
    let (here_row, all) = (world.row(&here), world.fleet.rollouts());
    assert!(!here_row.bad, "it is here");
    let passed =
        |rollout: RolloutId, target: &TargetId| all[&rollout].work[target].is_passed_over();
    assert!(
        passed(SECOND, &lost),
        "its second work is under way, and it never came"
    );
    assert!(!passed(FIRST, &lost), "its first is done");
    // One that left lately is waited for from then on.
    let mut world = World::new("unreachable = \"3h\"");
    world.decide();
    world.works(&lost);
    world.live = Live {
        began: world.now,
        ..Live::default()
    };
    world.live.came(lost.clone(), world.now);
    world.passes(2 * HOUR);
    world.leaves(&lost);
    world.passes(HOUR);
    world.decide();
    assert!(!world.row(&lost).bad);
    world.passes(2 * HOUR);
    world.decide();
    assert!(world.row(&lost).bad);
}

/// What becomes of those is not their agents' to say: nothing was offered to them, or they are at their end.
#[test]
fn whoever_was_offered_nothing_or_is_done_is_not_passed_over() {
    let mut world = World::new("unreachable = \"1h\"");
    let (done, later) = (name("s1.a.test"), name("t1.b.test"));
    world.decide();
    world.is_done(&done);
    world.leaves(&done);
    world.leaves(&later);
    world.passes(2 * HOUR);
    world.decide();
    for target in [&done, &later] {
        let row = world.row(target);
        assert!(
            !row.bad && !row.detail.contains("go on around it"),
            "{row:?}"
        );
    }
    world.is_what_the_log_tells();
}

/// A second restore takes nothing of what was told since the first: whoever tells that its run was aborted holds it by that as before.
#[test]
fn what_was_told_between_two_restores_counts_behind_the_second() {
    let restored = |world: &World| Record::Restored {
        epoch: protocol::Epoch(2),
        parent: protocol::Epoch(1),
        made: world.now,
        by: "root".to_owned(),
    };
    let resume = Order::Resume {
        after_restore: true,
    };
    let may_resume = |world: &World| {
        world
            .fleet
            .may_order(FIRST, &resume, &world.live, world.now)
    };
    let mut world = World::new("");
    let first = name("s1.a.test");
    world.decide();
    world.works(&first);
    let record = restored(&world);
    world.take(record);
    assert_eq!(may_resume(&world), Ok(()));
    world.finishes(&first, Ending::Aborted);
    let told = may_resume(&world).unwrap_err();
    assert!(
        told.contains("aborted after the backup") && told.contains(first.as_str()),
        "{told}"
    );
    let record = restored(&world);
    world.take(record);
    assert_eq!(may_resume(&world).unwrap_err(), told);
}
