//! Which of several rollouts answers for a server, and whose words its row has: one tells nothing of what another is at.

use controller_core::fleet::Why;
use controller_core::plan::{Kind, Purpose};
use controller_core::record::Order;
use protocol::event::{Finding, Severity, Verdict};
use protocol::probe::controller as catalogue;

use crate::estate::{WIDE, World, id, name};

const S1: &str = "s1.a.test";
const S2: &str = "s2.a.test";
const T1: &str = "t1.b.test";

fn asked(world: &World, target: &str) -> Why {
    let why = world.fleet.why(&name(target), &world.live, world.now);
    why.expect("it is there")
}

fn answers(world: &World, target: &str, rollout: u32) {
    let why = asked(world, target).answer;
    assert!(why.starts_with(&format!("r{rollout}, ")), "{why}");
}

/// A look that came to its end.
fn looks(world: &mut World, number: u32, target: &str) {
    let mut looked = world.plan_of(Purpose::Verify, WIDE, &[target]);
    looked.kind = Kind::Discover;
    world.begins(number, &looked);
    world.is_done(number, target);
}

fn skipped(target: &str) -> Order {
    Order::Skip {
        target: name(target),
        reason: "later".to_owned(),
    }
}

/// Whoever broke off, was not asked all, or was found to lack something that blocks is not ready, whatever else it answered.
#[test]
fn a_server_is_ready_that_answered_all_and_that_nothing_blocks() {
    let mut world = World::new();
    world.applies(1, Purpose::Preflight, WIDE, &[S1]);
    assert_eq!(world.issues(), [S1]);
    world.accepts(S1);
    assert!(!asked(&world, S1).is_ready() && !world.row(1, S1).is_done());
    world.is_done(1, S1);
    let ready = asked(&world, S1);
    assert!(ready.done && ready.is_ready() && world.row(1, S1).is_done());
    let of = |severity, verdict| Finding {
        severity,
        ..catalogue::PF43.finding("it", verdict)
    };
    let passes = of(Severity::Block, Verdict::Pass);
    for (findings, unasked, is) in [
        (
            vec![passes.clone(), of(Severity::Warn, Verdict::Fail)],
            0,
            true,
        ),
        (
            vec![passes.clone(), of(Severity::Block, Verdict::Fail)],
            0,
            false,
        ),
        (
            vec![passes.clone(), of(Severity::Block, Verdict::CannotTell)],
            0,
            false,
        ),
        (vec![passes], 1, false),
    ] {
        let why = Why {
            unasked: vec!["what Connect needs was not asked".to_owned(); unasked],
            findings,
            ..ready.clone()
        };
        assert_eq!(why.is_ready(), is, "{why:?}");
    }
    let mut world = World::new();
    world.applies(1, Purpose::Preflight, WIDE, &[S1]);
    world.issues();
    world.fails(S1);
    let broke = asked(&world, S1);
    assert!(!broke.done && !broke.is_ready(), "{broke:?}");
    // A rollout that does nothing on it makes nobody ready.
    assert!(!Why::of(&name(S1), String::new()).is_ready());
}

/// Its turn has not come, and nothing is open there: it waits for something all the same.
#[test]
fn what_waits_for_its_turn_answers_before_a_newer_look_that_is_over() {
    let mut world = World::new();
    world.applies(1, Purpose::Verify, WIDE, &[S1]);
    world.order(1, Order::Pause).expect("it may be paused");
    looks(&mut world, 2, S1);
    answers(&world, S1, 1);
}

/// What an abort has not ended yet goes on to its next gate.
#[test]
fn what_is_at_work_after_an_abort_answers_before_a_newer_look_that_is_over() {
    let mut world = World::new();
    world.applies(1, Purpose::Verify, WIDE, &[S1]);
    world.order(1, Order::Pause).expect("it may be paused");
    looks(&mut world, 2, S1);
    world
        .order(
            1,
            Order::Resume {
                after_restore: false,
            },
        )
        .expect("it goes on");
    assert_eq!(world.issues(), [S1]);
    world.works(S1);
    world.order(1, Order::Abort).expect("it may be aborted");
    answers(&world, S1, 1);
    assert_eq!(world.row(1, S1).state, "running");
}

/// Both wait for their turn, and nothing was begun by either.
#[test]
fn a_change_that_has_not_begun_answers_before_a_newer_look() {
    let mut world = World::new();
    world.applies(1, Purpose::Install, WIDE, &[S1]);
    world.order(1, Order::Pause).expect("it may be paused");
    let mut looked = world.plan_of(Purpose::Verify, WIDE, &[S1]);
    looked.kind = Kind::Discover;
    world.begins(2, &looked);
    answers(&world, S1, 1);
}

/// Somebody has said what became of the change: nothing waits for it any more.
#[test]
fn a_failed_look_answers_before_a_change_that_was_left_out() {
    let mut world = World::new();
    world.applies(1, Purpose::Install, WIDE, &[S1]);
    assert_eq!(world.issues(), [S1]);
    world.fails(S1);
    world.order(1, skipped(S1)).expect("it may be skipped");
    world.applies(2, Purpose::Verify, WIDE, &[S1]);
    assert_eq!(world.issues(), [S1]);
    world.fails(S1);
    answers(&world, S1, 2);
    let others = asked(&world, S1).others;
    assert!(others[0].starts_with("r1, "), "{others:?}");
}

/// A change that failed has made nothing good.
#[test]
fn a_failure_behind_another_one_is_named_beside_it() {
    let mut world = World::new();
    for number in [1, 2] {
        world.applies(number, Purpose::Install, WIDE, &[S1]);
        assert_eq!(world.issues(), [S1]);
        world.fails(S1);
        if number == 1 {
            world.order(1, skipped(S1)).expect("it may be skipped");
        }
    }
    answers(&world, S1, 2);
    let others = asked(&world, S1).others;
    assert_eq!(others.len(), 1, "{others:?}");
    assert!(others[0].starts_with("r1, "), "{others:?}");
}

/// Whoever has failed waits for a word, and is named before those who come by themselves.
#[test]
fn of_those_who_are_waited_for_whoever_failed_is_named_first() {
    let free = "waves = [{ domains = [\"a.test\"] }, { rest = true }]\n[limit]\nfailures = \"20\"\nin_flight = 20\ncanary = 9\n";
    let mut world = World::upgrading(free);
    world.issues();
    world.works(S1);
    world.works(S2);
    world.fails("s3.a.test");
    world.is_done(1, "s4.a.test");
    let why = asked(&world, T1).answer;
    let said = format!("; it waits for 2 more: s3.a.test is failed, {S2} is running");
    assert!(why.ends_with(&said), "{why}");
}

/// What is over in one rollout is stopped by no pause of another.
#[test]
fn what_is_done_is_not_shown_as_held_by_the_pause_of_a_later_rollout() {
    let mut world = World::new();
    let mut looked = world.plan_of(Purpose::Verify, WIDE, &[S1]);
    looked.kind = Kind::Discover;
    world.begins(1, &looked);
    world.is_done(1, S1);
    let before = world.row(1, S1);
    world.applies(2, Purpose::Install, WIDE, &[S1]);
    assert_eq!(world.issues(), [S1]);
    world.works(S1);
    world.order(2, Order::Pause).expect("it may be paused");
    assert!(world.row(2, S1).detail.contains("next gate"));
    let row = world.row(1, S1);
    assert_eq!((row.state, row.detail), (before.state, before.detail));
    assert_eq!(
        world.fleet.open(&name(S1)).map(|open| open.rollout),
        Some(id(2))
    );
}
