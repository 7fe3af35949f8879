//! Where two answers of the machine are close to each other: what was taken up counts as begun though nobody told more, whoever
//! has leave may be in its section, and a place at a site is held by those alone who hold one.

use std::time::Duration;

use controller_core::fleet::Cause;
use controller_core::plan::{Purpose, Wait};
use controller_core::record::{Order, Record};
use protocol::event::{Event, Finding, Owner, Section, Severity, Verdict};
use protocol::facts::Facts;
use protocol::refusal::Refusal;
use protocol::signed::{Ending, Phase};
use protocol::{Attempt, Generation, Version};

use crate::common;
use crate::estate::{DAY, NOW, WIDE, World, agent, bundle, id, name};

const S1: &str = "s1.a.test";
const S2: &str = "s2.a.test";
const S3: &str = "s3.a.test";
const T1: &str = "t1.b.test";
const MINUTE: Duration = Duration::from_secs(60);

fn upgraded() -> Facts {
    common::facts(Some(agent(Version::new(1, 1, 2000, 0))), None)
}

fn assumed(world: &World) -> Option<protocol::Digest> {
    let of = &world.fleet.known()[&name(S1)];
    let manifest = world.fleet.manifest(id(1), &name(S1), 0, of.key, world.now);
    let manifest = manifest.expect("it has that phase");
    manifest.assumed.map(|assumed| assumed.essence)
}

/// It took up its bundle, and nothing more was heard of it: what it is by then may be what the bundle has made of it.
#[test]
fn who_took_up_a_bundle_and_fell_silent_may_have_been_changed_by_it() {
    for replaced in [false, true] {
        let mut world = World::upgrading(WIDE);
        let planned = assumed(&world);
        world.issues();
        world.accepts(S1);
        if replaced {
            let (target, by) = (name(S1), "root".to_owned());
            world.take(Record::AgentReplaced { target, by });
            world.enrolls(&name(S1));
        } else {
            world.leaves(S1);
            world.now = world.now.plus(3 * DAY);
            world.issues();
            assert_eq!(world.word(1, S1), "unknown");
            world.comes(S1);
        }
        world.reports(S1, upgraded());
        world.retry(1, S1).expect("it may be tried again");
        assert_ne!(assumed(&world), planned, "replaced {replaced}");
        assert_eq!(assumed(&world), Some(upgraded().essence()));
    }
    // What was only offered has changed nothing.
    let mut world = World::upgrading(WIDE);
    let planned = assumed(&world);
    world.issues();
    world.leaves(S1);
    world.now = world.now.plus(3 * DAY);
    world.issues();
    world.comes(S1);
    world.reports(S1, upgraded());
    assert_eq!(assumed(&world), planned);
}

/// Leave that was given and not taken up counts as long as it lasts, and no longer.
#[test]
fn a_frozen_server_with_leave_may_be_in_its_section_until_that_lapses() {
    let mut world = World::upgrading("[limit]\nfailures = \"20\"\nin_flight = 1\ncanary = 0\n");
    assert_eq!(world.issues(), [S1]);
    world.works(S1);
    world.take(Record::PermitGiven {
        target: name(S1),
        generation: world.generation(S1),
        step: world.changing(S1),
        attempt: Attempt(0),
        section: Section {
            outage: true,
            gmsa: None,
        },
        lapses: NOW.plus(2 * MINUTE),
        rests_on: Vec::new(),
    });
    world.freezes(S1, NOW.plus(30 * DAY));
    let stands = |world: &World| world.row(1, S1).lifts.map(|lifts| lifts.cause);
    assert!(world.fleet.may_be_in_a_section(&name(S1), world.now));
    assert_eq!(stands(&world), None);
    world.now = NOW.plus(2 * MINUTE).minus(Duration::from_millis(1));
    assert_eq!(stands(&world), None);
    world.now = NOW.plus(2 * MINUTE);
    assert!(!world.fleet.may_be_in_a_section(&name(S1), world.now));
    assert_eq!(stands(&world), Some(Cause::ServerFrozen));
}

/// What would have to be lifted for a place is said of those who hold one: at a site in any rollout that changes something, else in
/// the own one.
#[test]
fn a_full_site_is_held_by_those_alone_who_hold_its_places() {
    let one_at_a_time = format!("{WIDE}[site.ams]\nmax_in_flight = 1\n");
    let root = |world: &World, rollout: u32, target: &str| {
        let hold = world.hold(rollout, target);
        let root = hold.behind.as_ref();
        let root = root.map(|(target, cause)| (target.to_string(), *cause));
        (hold.cause, root)
    };
    // Another rollout's server holds the only place, and is away in the middle of its work.
    let mut world = World::new();
    world.applies(1, Purpose::Install, &one_at_a_time, &[S1]);
    world.applies(2, Purpose::Install, &one_at_a_time, &[S2]);
    assert_eq!(world.issues(), [S1]);
    world.works(S1);
    assert_eq!(root(&world, 2, S2), (Cause::SiteFull, None));
    world.leaves(S1);
    world.now = world.now.plus(10 * MINUTE);
    let away = Some((S1.to_owned(), Cause::AwayAtWork));
    assert_eq!(root(&world, 2, S2), (Cause::SiteFull, away.clone()));
    // One that only looks holds no place there, and goes on.
    world.applies(3, Purpose::Verify, WIDE, &[S3]);
    assert_eq!(world.issues(), [S3]);
    world.accepts(S3);
    assert_eq!(root(&world, 2, S2), (Cause::SiteFull, away));

    // The places of a rollout are its own, whatever goes on in another.
    let mut world = World::new();
    let one = WIDE.replace("in_flight = 20", "in_flight = 1");
    world.applies(1, Purpose::Install, &one, &[S1, S2]);
    world.applies(2, Purpose::Install, WIDE, &[T1]);
    assert_eq!(world.issues(), [S1, T1]);
    world.works(S1);
    world.works(T1);
    world.leaves(S1);
    world.now = world.now.plus(10 * MINUTE);
    let away = Some((S1.to_owned(), Cause::AwayAtWork));
    assert_eq!(root(&world, 1, S2), (Cause::InFlight, away));
}

/// Whoever is tried again, and may be at the run before, holds a place in the rollout's failures and none at its site.
#[test]
fn a_full_site_is_not_held_by_a_run_that_may_yet_speak() {
    let one_at_a_time = format!("{WIDE}[site.ams]\nmax_in_flight = 1\n");
    let mut world = World::upgrading(&one_at_a_time);
    assert_eq!(world.issues(), [S1, T1, "t2.b.test"]);
    world.works(S1);
    world.leaves(S1);
    world.now = world.now.plus(3 * DAY);
    assert_eq!(world.issues()[0], S2);
    world.works(S2);
    world.freezes(S2, world.now.plus(30 * DAY));
    world.retry(1, S1).expect("it may be tried again");
    world.comes(S1);
    world.leaves(S1);
    assert!(world.work(1, S1).unheard);
    let hold = world.hold(1, S3);
    assert_eq!(
        (hold.cause, hold.behind),
        (Cause::SiteFull, Some((name(S2), Cause::ServerFrozen)))
    );
}

/// At a site beside its own: how many, in which rollout, and whether in others too.
#[test]
fn a_full_site_names_the_rollouts_that_have_work_there() {
    let two = format!("{WIDE}[site.ams]\nmax_in_flight = 2\n");
    let mut world = World::new();
    world.applies(1, Purpose::Install, &two, &[S1, S2]);
    // It has nobody under way there.
    world.applies(2, Purpose::Install, &two, &[T1]);
    world.applies(3, Purpose::Install, &two, &[S3]);
    assert_eq!(world.issues(), [S1, S2, T1]);
    let why = world.hold(3, S3).why;
    assert!(why.contains("(2 of them in r1)"), "{why}");
    world.is_done(1, S2);
    let mut world = World::new();
    world.applies(1, Purpose::Install, &two, &[S1]);
    world.applies(2, Purpose::Install, &two, &[S2]);
    world.applies(3, Purpose::Install, &two, &[S3]);
    assert_eq!(world.issues(), [S1, S2]);
    let why = world.hold(3, S3).why;
    assert!(why.contains("(2 of them in r1 and others)"), "{why}");
}

/// What failed and was heard to its end may not fail twice; what went unknown may, until somebody says what became of it.
#[test]
fn a_run_that_may_yet_speak_is_one_that_was_not_heard_to_its_end() {
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.fails(S1);
    world.retry(1, S1).expect("it may be tried again");
    assert!(!world.work(1, S1).unheard);

    let two = WIDE.replace("failures = \"20\"", "failures = \"1\"");
    let mut world = World::upgrading(&two);
    assert_eq!(world.issues(), [S1]);
    world.works(S1);
    world.leaves(S1);
    world.now = world.now.plus(3 * DAY);
    world.issues();
    world.retry(1, S1).expect("it may be tried again");
    assert!(world.work(1, S1).unheard);
    assert_eq!(world.hold(1, S2).cause, Cause::MayYetFail);
    // Taking up another bundle says that the run before has ended.
    let mut back = World::upgrading(&two);
    back.issues();
    back.works(S1);
    back.leaves(S1);
    back.now = back.now.plus(3 * DAY);
    back.issues();
    back.retry(1, S1).expect("it may be tried again");
    back.comes(S1);
    assert_eq!(back.issues(), [S1]);
    assert!(back.work(1, S1).unheard);
    back.accepts(S1);
    assert!(!back.work(1, S1).unheard);
    let skip = Order::Skip {
        target: name(S1),
        reason: "its disk is lost".to_owned(),
    };
    world.order(1, skip).expect("it may be left out");
    assert!(!world.work(1, S1).unheard, "nothing of it is waited for");
    assert_eq!(world.issues(), [S2]);
}

/// Of servers that wait for each other's phases none goes on without the other: a retry takes no place away from them.
#[test]
fn a_retry_gives_up_the_place_of_whoever_waits_for_nobody() {
    let mut world = World::new();
    let mut plan = world.plan_of(Purpose::Install, WIDE, &[]);
    plan.waits.push(Wait {
        target: name(S1),
        phase: Phase::Prove,
        place: None,
        other: name(S2),
        done: Phase::Prepare,
        until: None,
        why: "the other one is not ready".to_owned(),
    });
    world.begins(1, &plan);
    world.issues();
    for target in [S1, S2, S3] {
        world.accepts(target);
        world.finishes(target, Ending::Failed("it broke".to_owned()));
        world.retry(1, target).expect("it may be tried again");
    }
    let anew = [S1, S2, S3].map(|target| world.work(1, target).anew);
    assert_eq!(anew, [false, false, true]);
}

/// Whether Connect signs in as an application is known where a probe could tell, and not where it could not.
#[test]
fn what_could_not_be_told_of_an_identity_is_not_taken_for_an_answer() {
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.accepts(S1);
    let finding = |verdict| Finding {
        id: "PV26".to_owned(),
        what: "how Connect signs in".to_owned(),
        read: String::new(),
        wanted: "as an application".to_owned(),
        verdict,
        severity: Severity::Warn,
        fix: String::new(),
        owner: Owner::Tenant,
    };
    let known = |world: &World| world.fleet.beyond().applications.get(&name(S1)).copied();
    for (verdict, now) in [
        (Verdict::CannotTell, None),
        (Verdict::Pass, Some(true)),
        (Verdict::CannotTell, Some(true)),
        (Verdict::Fail, Some(false)),
    ] {
        let generation = world.generation(S1);
        let step = world.changing(S1);
        world.tells(
            S1,
            &Event::Probed {
                generation,
                step,
                findings: vec![finding(verdict)],
            },
        );
        assert_eq!(known(&world), now, "{verdict:?}");
    }
}

/// A log of an earlier release has a plan for a server beside a bundle that was refused, which was a failure then: it is not offered
/// anew behind that plan.
#[test]
fn what_waits_to_be_offered_anew_is_over_where_a_later_plan_has_the_server() {
    let mut world = World::new();
    world.applies(1, Purpose::Install, WIDE, &[S1]);
    assert_eq!(world.issues(), [S1]);
    let generation = world.generation(S1);
    world.tells(
        S1,
        &Event::BundleRefused {
            bundle: bundle(&name(S1), generation),
            refusal: Refusal::Busy {
                open: Generation(77),
            },
        },
    );
    assert_eq!(world.word(1, S1), "pending");
    world.applies(2, Purpose::Install, WIDE, &[S1]);
    assert_eq!(world.word(1, S1), "aborted");
    let done = Event::RunFinished {
        generation: Generation(77),
        ending: Ending::Completed,
        receipt: String::new(),
    };
    world.tells(S1, &done);
    assert_eq!(world.issues(), [S1]);
    assert_eq!(
        (world.word(1, S1), world.word(2, S1)),
        ("aborted", "offered")
    );
}
