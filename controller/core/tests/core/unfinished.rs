//! What one rollout has not come to its end with, for the next one: a run that an agent is still at, a question that nobody has
//! answered, a watch that was to end.

use std::time::Duration;

use controller_core::fleet::{Cause, Decision, TargetState};
use controller_core::plan::Purpose;
use controller_core::record::{Order, Record};
use protocol::event::Event;
use protocol::facts::{Facts, ServiceState};
use protocol::refusal::Refusal;
use protocol::signed::{Ending, Phase};
use protocol::{BundleId, Digest, Generation, RolloutId};

use crate::common;
use crate::estate::{DAY, WIDE, World, agent, bundle, name};

const S1: &str = "s1.a.test";

fn said(order: fn(protocol::TargetId, String) -> Order) -> Order {
    order(name(S1), "it was rebuilt".to_owned())
}

fn resolved(target: protocol::TargetId, reason: String) -> Order {
    Order::Resolve {
        target,
        reason,
        off: false,
    }
}

fn skipped(target: protocol::TargetId, reason: String) -> Order {
    Order::Skip { target, reason }
}

impl World {
    /// Its agent refuses what it was offered, since it is at that run.
    fn is_busy(&mut self, at: Generation) {
        let bundle = bundle(&name(S1), self.generation(S1));
        let refusal = Refusal::Busy { open: at };
        self.tells(S1, &Event::BundleRefused { bundle, refusal });
    }

    fn ends_that(&mut self, generation: Generation) {
        let (ending, receipt) = (Ending::Aborted, String::new());
        let finished = Event::RunFinished {
            generation,
            ending,
            receipt,
        };
        self.tells(S1, &finished);
    }
}

/// It was away in the middle of its work, somebody said what became of it, and it is back in that work.
#[test]
fn a_server_that_is_still_at_a_run_which_was_resolved_is_waited_for() {
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.works(S1);
    let old = world.generation(S1);
    world.leaves(S1);
    world.order(1, said(resolved)).expect("it is away");
    world.applies(2, Purpose::Install, WIDE, &[S1]);
    world.comes(S1);
    assert_eq!(world.issues(), [S1]);
    world.is_busy(old);
    assert_eq!(world.word(2, S1), "pending", "that is no failure");
    assert_eq!(world.issues(), [""; 0], "it is not asked again and again");
    let hold = world.hold(2, S1);
    assert_eq!(hold.cause, Cause::AtAnotherRun);
    assert!(
        hold.in_turn && hold.why.contains(&old.to_string()),
        "{hold:?}"
    );
    // An earlier run's end says nothing of that one.
    world.ends_that(Generation(old.0 - 1));
    assert_eq!(world.issues(), [""; 0]);
    world.ends_that(old);
    assert_eq!(world.issues(), [S1]);
    // Whoever was put in its place is at nothing.
    world.is_busy(old);
    let (target, by) = (name(S1), "root".to_owned());
    world.take(Record::AgentReplaced { target, by });
    world.enrolls(&name(S1));
    assert_eq!(world.issues(), [S1]);
}

/// An agent takes up a bundle when the run before has ended, also where nobody has heard that end.
#[test]
fn whoever_takes_up_a_later_bundle_is_at_no_earlier_run() {
    for later in [false, true] {
        let mut world = World::upgrading(WIDE);
        world.issues();
        world.works(S1);
        let old = world.generation(S1);
        world.leaves(S1);
        world.order(1, said(resolved)).expect("it is away");
        world.applies(2, Purpose::Install, WIDE, &[S1]);
        world.comes(S1);
        assert_eq!(world.issues(), [S1]);
        world.is_busy(old);
        assert_eq!(world.issues(), [""; 0]);
        let generation = if later { Generation(old.0 + 40) } else { old };
        let accepted = Event::BundleAccepted {
            bundle: BundleId(Digest::ZERO),
            generation,
            rollout: RolloutId(900),
            phase: Phase::Prepare,
            change: None,
        };
        world.tells(S1, &accepted);
        let offered = world.issues();
        let wanted: &[&str] = if later { &[S1] } else { &[] };
        assert_eq!(
            offered, wanted,
            "that it took up the run says not that it ended"
        );
    }
}

/// After a restore an agent may be at a run of a rollout that nobody here knows.
#[test]
fn a_run_of_a_rollout_that_is_gone_with_the_log_is_waited_for() {
    let mut world = World::new();
    world.applies(1, Purpose::Install, WIDE, &[S1]);
    let (generation, unknown) = (Generation(41), RolloutId(900));
    let accepted = Event::BundleAccepted {
        bundle: BundleId(Digest::ZERO),
        generation,
        rollout: unknown,
        phase: Phase::Prepare,
        change: None,
    };
    world.tells(S1, &accepted);
    assert_eq!(world.issues(), [S1]);
    assert!(world.generation(S1) > generation);
    world.is_busy(generation);
    assert_eq!(world.issues(), [""; 0]);
    assert_eq!(world.hold(1, S1).cause, Cause::AtAnotherRun);
    world.ends_that(generation);
    assert_eq!(world.issues(), [S1]);
    // After an abort there is nothing to wait for.
    world.order(1, Order::Abort).expect("it may be aborted");
    world.is_busy(generation);
    assert_eq!(world.word(1, S1), "aborted");
}

#[test]
fn whoever_leaves_a_server_out_says_why() {
    let mut world = World::upgrading(WIDE);
    for reason in ["", "  "] {
        let skip = skipped(name(S1), reason.to_owned());
        let refused = world.order(1, skip).expect_err("no reason");
        assert!(
            refused.contains("why it is skipped is not said: --reason"),
            "{refused}"
        );
    }
    world.issues();
    world.works(S1);
    world.leaves(S1);
    let resolve = resolved(name(S1), String::new());
    let refused = world.order(1, resolve).expect_err("no reason");
    assert!(
        refused.contains("why it is resolved is not said"),
        "{refused}"
    );
    assert_eq!(world.order(1, said(resolved)), Ok(()));
}

/// Nobody is asked what would change nothing any more.
#[test]
fn a_question_goes_with_its_rollout_or_to_the_next_one() {
    let asked = || {
        let mut world = World::upgrading(WIDE);
        world.issues();
        world.works(S1);
        world.cannot_tell(S1);
        world.finishes(S1, Ending::Inconclusive("is it so?".to_owned()));
        assert_eq!(world.fleet.tasks(world.now).len(), 1);
        world
    };
    let mut aborted = asked();
    aborted.order(1, Order::Abort).expect("it may be aborted");
    assert!(aborted.fleet.tasks(aborted.now).is_empty());
    assert!(matches!(
        aborted.work(1, S1).state,
        TargetState::Inconclusive(_)
    ));

    // Whoever only looks takes nothing over, nor one that left it out before it began.
    let mut world = asked();
    world.applies(2, Purpose::Verify, WIDE, &[S1]);
    assert_eq!(world.fleet.tasks(world.now).len(), 1);
    world.applies(3, Purpose::Install, WIDE, &[S1]);
    assert!(world.fleet.tasks(world.now).is_empty());
    world.order(3, said(skipped)).expect("it is pending");
    assert_eq!(world.fleet.tasks(world.now).len(), 1);
}

const MINUTE: Duration = Duration::from_secs(60);

fn stopped() -> Facts {
    let mut agent = agent(common::AGENT);
    agent.service = Some(ServiceState::NotRunning);
    common::facts(Some(agent), None)
}

/// A server whose new product is watched for more than a day, and was seen to stand.
fn watched() -> World {
    let policy = format!("soak = {{ cloud-sync = \"800 cycles\" }}\n{WIDE}");
    let mut world = World::new();
    world.applies(1, Purpose::Install, &policy, &[S1]);
    while !world.issues().is_empty() {
        world.accepts(S1);
        world.reports(S1, common::facts(Some(agent(common::AGENT)), None));
        world.ends(S1);
    }
    assert_eq!(world.hold(1, S1).cause, Cause::Watched);
    world
}

/// The look at the end of a watch did not take place: the watch is not forgotten, nor what was seen in it.
#[test]
fn a_watch_whose_last_look_was_not_taken_up_goes_on_as_it_was() {
    for withdrawn in [false, true] {
        let mut world = watched();
        let since = world.work(1, S1).since;
        world.now = world.now.plus(2 * DAY).minus(MINUTE);
        // It comes to a standstill just before the end.
        world.live.came(name(S1), world.now);
        world.reports(S1, stopped());
        let worse = world.now;
        while world.issues().is_empty() {
            world.now = world.now.plus(MINUTE / 4);
            assert!(world.now < worse.plus(5 * MINUTE), "the watch has ended");
        }
        let generation = world.generation(S1);
        if withdrawn {
            let target = name(S1);
            world.take(Record::Withdrawn { target, generation });
        } else {
            world.freezes(S1, world.now.plus(DAY));
            let bundle = bundle(&name(S1), generation);
            let refusal = Refusal::Frozen {
                until: world.now.plus(DAY),
            };
            world.tells(S1, &Event::BundleRefused { bundle, refusal });
        }
        assert_eq!(world.word(1, S1), "pending");
        assert_eq!(world.work(1, S1).since, since, "withdrawn {withdrawn}");
        // It still stands when that counts.
        world.now = worse.plus(DAY);
        world.issues();
        assert_eq!(world.word(1, S1), "failed", "withdrawn {withdrawn}");
    }
}

/// What a bundle of another rollout does to a product is no failure of it: nothing is decided that would not be taken up.
#[test]
fn a_product_that_is_changed_by_another_rollout_meanwhile_does_not_fail_its_watch() {
    let mut world = watched();
    world.now = world.now.plus(MINUTE);
    world.reports(S1, stopped());
    world.applies(2, Purpose::Install, WIDE, &[S1]);
    let planned = world.plan_of(Purpose::Install, WIDE, &[S1]);
    let reads_first = planned.targets[&name(S1)].phases[0].is_read_only();
    assert!(!reads_first);
    let phase = planned.targets[&name(S1)].phases[0].phase;
    world.take(Record::BundleIssued {
        rollout: RolloutId(2),
        target: name(S1),
        generation: Generation(77),
        phase,
        bundle: bundle(&name(S1), Generation(77)),
        expires: world.now.plus(2 * DAY),
    });
    world.works(S1);
    world.now = world.now.plus(DAY);
    let decided = world.fleet.decide(&world.live, world.now);
    let degraded = |one: &Decision| matches!(one, Decision::Degraded { .. });
    assert!(!decided.iter().any(degraded), "{decided:?}");
    assert_eq!(world.word(1, S1), "pending");
}
