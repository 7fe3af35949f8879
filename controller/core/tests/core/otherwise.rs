//! A server that is not what its plan took it to be when its turn comes: nobody fights a product that has upgraded itself, nothing is
//! counted as failed, and the others go on.

use controller_core::fleet::{Cause, Lifter, Live, Unaccepted};
use controller_core::plan::Purpose;
use controller_core::record::Order;
use protocol::facts::Facts;
use protocol::refusal::Refusal;
use protocol::signed::Ending;
use protocol::{Generation, ServiceOptions, Version};

use crate::common;
use crate::estate::{DAY, WIDE, World, agent, bundle, id, name};

const S1: &str = "s1.a.test";
const S2: &str = "s2.a.test";

/// The first of each lane goes before the others.
const CANARY: &str = "[limit]\nfailures = \"1\"\nin_flight = 20\ncanary = 1\n";

fn of(version: Version) -> Facts {
    common::facts(Some(agent(version)), None)
}

/// Newer than what the plan read, and not what it wants.
fn between() -> Facts {
    of(Version::new(1, 1, 2000, 0))
}

fn assumed(world: &World) -> Option<protocol::Digest> {
    let key = world.fleet.known()[&name(S1)].key;
    let manifest = world
        .fleet
        .manifest(id(1), &name(S1), 0, key, world.now)
        .expect("it has that phase");
    manifest.assumed.map(|assumed| assumed.essence)
}

fn skip() -> Order {
    Order::Skip {
        target: name(S1),
        reason: "it is planned anew".to_owned(),
    }
}

#[test]
fn a_product_that_upgraded_itself_to_what_is_wanted_or_beyond_it_is_verified_and_not_fought() {
    for version in [common::AGENT, Version::new(1, 1, 2600, 0)] {
        let mut world = World::upgrading(CANARY);
        let is = of(version);
        world.reports(S1, is.clone());
        assert!(world.issues().contains(&S1.to_owned()), "{version}");
        // What it must find is what is there: the setup finds nothing to do, and the proof comes behind it.
        let manifest = assumed(&world);
        assert_eq!(manifest, Some(is.essence()), "{version}");
        world.is_done(1, S1);
        assert_eq!(world.word(1, S1), "done");
        assert_eq!(world.word(1, S2), "offered", "its lane goes on");
    }
}

#[test]
fn a_server_that_is_otherwise_than_planned_waits_for_a_new_plan_and_the_others_go_on() {
    let mut moved = of(common::AGENT);
    if let Some(agent) = &mut moved.provisioning_agent {
        agent.account = Some("A\\other$".to_owned());
    }
    let mut rebuilt = of(Version::new(1, 1, 1373, 0));
    rebuilt.host.build += 1;
    let mut set = of(Version::new(1, 1, 1373, 0));
    if let Some(agent) = &mut set.provisioning_agent {
        agent.options = Some(ServiceOptions {
            referral_chasing: true,
            ..ServiceOptions::default()
        });
    }
    let mut unread = of(Version::new(1, 1, 1373, 0));
    unread.unread.push("access was denied".to_owned());
    for (is, differs) in [
        (
            between(),
            "the version of its provisioning agent is 1.1.2000.0 and was 1.1.1373.0",
        ),
        // Not the version alone.
        (
            moved,
            "the account of that agent is A\\other$ and was A\\provAgentgMSA$",
        ),
        (of(Version::new(1, 1, 1000, 0)), "is 1.1.1000.0 and was"),
        (rebuilt, "the build of Windows is"),
        (
            set,
            "took it to be: options of that agent's service differ; ",
        ),
        (
            unread,
            "took it to be: what could not be read of it differs: access was denied;",
        ),
        (
            common::facts(None, None),
            "its provisioning agent is absent and was there",
        ),
    ] {
        let mut world = World::upgrading(CANARY);
        world.reports(S1, is);
        let offered = world.issues();
        assert!(!offered.contains(&S1.to_owned()), "{differs}: {offered:?}");
        assert!(
            offered.contains(&S2.to_owned()),
            "the canary is another: {offered:?}"
        );
        let hold = world.hold(1, S1);
        assert_eq!(hold.cause, Cause::PlannedOtherwise);
        assert!(hold.why.contains(differs), "{hold:?}");
        assert_eq!(hold.cause.lifters(), [Lifter::Operator]);
        let row = world.row(1, S1);
        assert_eq!((row.state.as_str(), row.bad), ("held", false));
        // With a limit of one failure nothing else would begin if it counted as one.
        world.is_done(1, S2);
        assert_eq!(world.word(1, "s3.a.test"), "offered", "{differs}");

        // Its words name a way that works.
        assert!(
            hold.why.contains(&format!("entrain skip r1 {S1}")),
            "{hold:?}"
        );
        let new = world.plan_of(Purpose::Install, CANARY, &[S1]);
        assert!(world.fleet.works_on(&new).is_some(), "not beside it");
        assert_eq!(world.order(1, skip()), Ok(()));
        assert_eq!(world.fleet.works_on(&new), None);
    }
}

/// What is there is as new as what is wanted, and it is older than what the plan read: somebody went back, which no product does itself.
#[test]
fn a_product_that_went_back_is_not_taken_for_one_that_upgraded_itself() {
    let unregistered = |version| {
        let mut facts = of(version);
        if let Some(agent) = &mut facts.provisioning_agent {
            agent.tenant = None;
        }
        facts
    };
    let mut world = World::new();
    let read = unregistered(Version::new(1, 1, 2700, 0));
    world.knows(S1, read.clone());
    world.reports(S1, read);
    world.applies(1, Purpose::Install, WIDE, &[S1]);
    world.reports(S1, unregistered(Version::new(1, 1, 2600, 0)));
    assert_eq!(world.issues(), [""; 0]);
    assert_eq!(world.hold(1, S1).cause, Cause::PlannedOtherwise);
}

/// Whoever is as the plan read it again is offered its work.
#[test]
fn a_server_that_is_again_as_planned_goes_on() {
    let mut world = World::upgrading(WIDE);
    let planned = assumed(&world);
    world.reports(S1, between());
    assert!(!world.issues().contains(&S1.to_owned()));
    world.reports(S1, of(Version::new(1, 1, 1373, 0)));
    assert_eq!(world.issues(), [S1]);
    assert_eq!(assumed(&world), planned);
}

/// Its agent sees it before the controller does.
#[test]
fn a_run_that_finds_something_else_before_its_first_step_is_no_failure() {
    for (is, suits) in [(between(), false), (of(common::AGENT), true)] {
        let mut world = World::upgrading(CANARY);
        assert!(world.issues().contains(&S1.to_owned()));
        world.accepts(S1);
        world.reports(S1, is.clone());
        let why =
            "the server is no longer what the plan took it to be; plan again on its new facts";
        world.finishes(S1, Ending::Failed(why.to_owned()));
        assert_eq!(world.word(1, S1), "pending");
        let offered = world.issues();
        if suits {
            assert_eq!(offered, [S1]);
            assert_eq!(assumed(&world), Some(is.essence()));
            // Once it says so of what it has told itself, it has failed.
            world.accepts(S1);
            world.finishes(S1, Ending::Failed(why.to_owned()));
            assert_eq!(world.word(1, S1), "failed");
        } else {
            assert_eq!(offered, [S2]);
            assert_eq!(world.hold(1, S1).cause, Cause::PlannedOtherwise);
        }
    }
    // A step was begun, which may have made it so.
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.works(S1);
    world.reports(S1, between());
    world.finishes(S1, Ending::Failed("it broke".to_owned()));
    assert_eq!(world.word(1, S1), "failed");
    // Nor is it one where its run did not fail: what it has ended with stands.
    for (ending, word) in [
        (Ending::Expired, "expired"),
        (Ending::Inconclusive("is it so?".to_owned()), "inconclusive"),
    ] {
        let mut world = World::upgrading(WIDE);
        world.issues();
        world.accepts(S1);
        world.reports(S1, between());
        world.finishes(S1, ending);
        assert_eq!(world.word(1, S1), word);
    }
    // What is tried again goes on from what it has made, and the plan's reading is no matter any more.
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.fails(S1);
    world.retry(1, S1).expect("it may be tried again");
    assert_eq!(world.issues(), [S1]);
    world.accepts(S1);
    world.reports(S1, between());
    world.finishes(S1, Ending::Failed("otherwise".to_owned()));
    assert_eq!(world.word(1, S1), "failed");
    // Whoever has told nothing new, or is aborted meanwhile.
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.accepts(S1);
    world.finishes(S1, Ending::Failed("it cannot be read".to_owned()));
    assert_eq!(world.word(1, S1), "failed");
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.accepts(S1);
    world.order(1, Order::Abort).expect("it may be aborted");
    world.reports(S1, between());
    world.finishes(S1, Ending::Failed("otherwise".to_owned()));
    assert_eq!(world.word(1, S1), "aborted");
}

/// What was issued and not taken up is made anew where its agent would find something else.
#[test]
fn a_bundle_that_nobody_has_taken_up_is_made_anew_on_what_the_server_is_by_then() {
    let unaccepted = |world: &World| {
        let live = Live::clone(&world.live);
        world
            .fleet
            .unaccepted(&name(S1), Generation(0), &live, world.now)
    };
    for (is, again) in [
        (of(Version::new(1, 1, 1373, 0)), true),
        (between(), false),
        (of(common::AGENT), false),
    ] {
        let mut world = World::upgrading(WIDE);
        world.issues();
        let generation = world.generation(S1);
        world.reports(S1, is);
        let wanted = if again {
            Unaccepted::Offer(bundle(&name(S1), generation))
        } else {
            Unaccepted::Withdraw(generation)
        };
        assert_eq!(unaccepted(&world), Some(wanted));
    }
}

/// It failed before anything had begun, and has told something else since its rollout was over.
#[test]
fn a_retry_is_held_against_what_the_server_is_by_then() {
    let mut world = World::new();
    world.applies(1, Purpose::Install, WIDE, &[S1]);
    assert_eq!(world.issues(), [S1]);
    let bundle = bundle(&name(S1), world.generation(S1));
    let refusal = Refusal::OverLimit("65 steps".to_owned());
    world.tells(
        S1,
        &protocol::event::Event::BundleRefused { bundle, refusal },
    );
    assert!(world.fleet.rollouts()[&id(1)].is_over());
    world.now = world.now.plus(DAY);
    world.reports(S1, between());
    world.retry(1, S1).expect("it may be tried again");
    assert_eq!(world.issues(), [""; 0]);
    assert_eq!(world.hold(1, S1).cause, Cause::PlannedOtherwise);
}
