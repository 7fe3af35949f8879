//! What goes on around whoever stands still, what does not, and the words for both.

use std::time::Duration;

use controller_core::doubt::Doubt;
use controller_core::fleet::{Cause, Lifter, Lifts, TargetState, UNREACHABLE_AFTER};
use controller_core::plan::{Kind, Purpose};
use controller_core::record::{Order, Record};
use protocol::event::{Event, GmsaObject, Section};
use protocol::secret::SecretKind;
use protocol::signed::Ending;
use protocol::step::{AddDomains, SignIn, Step};
use protocol::task::TaskText;
use protocol::{Attempt, Generation, StepIndex};

use crate::estate::{DAY, NOW, WIDE, World, id, name};

const S1: &str = "s1.a.test";
const S2: &str = "s2.a.test";
const T1: &str = "t1.b.test";

/// One domain after the other, each with a canary.
const IN_WAVES: &str = "waves = [{ domains = [\"a.test\"] }, { rest = true }]\n[limit]\nfailures = \"20\"\nin_flight = 20\ncanary = 1\n";

/// Whatever another rollout has open there.
#[test]
fn an_abort_ends_also_what_another_rollout_looks_at() {
    let mut world = World::upgrading(IN_WAVES);
    world.applies(2, Purpose::Verify, WIDE, &[S2, T1]);
    world.issues();
    assert_eq!(
        world.fleet.open(&name(S2)).map(|open| open.rollout),
        Some(id(2))
    );
    world.order(1, Order::Abort).expect("it may be aborted");
    assert_eq!(
        [S2, T1].map(|one| world.word(1, one)),
        ["aborted", "aborted"]
    );
    world.accepts(S1);
    world.finishes(S1, Ending::Aborted);
    assert!(world.fleet.rollouts()[&id(1)].is_over());
    // The other one goes on.
    world.is_done(2, S2);
}

#[test]
fn a_frozen_server_is_no_canary_and_no_wave_waits_for_it() {
    let mut world = World::upgrading(IN_WAVES);
    world.freezes(S1, NOW.plus(30 * DAY));
    assert_eq!(world.issues(), [S2], "another one is the canary");
    for target in [S2, "s3.a.test", "s4.a.test"] {
        world.is_done(1, target);
    }
    assert_eq!(world.word(1, T1), "offered", "the next wave goes on");
    assert_eq!(
        world.fleet.rollouts()[&id(1)]
            .work
            .values()
            .filter(|work| work.state.is_bad())
            .count(),
        0
    );
    assert_eq!(world.word(1, S1), "pending");
    assert!(world.hold(1, S1).why.contains("anna has frozen it"));
    // It comes in its turn, though its wave is over.
    world.tells(S1, &Event::Thawed);
    assert_eq!(world.issues(), [S1]);
}

#[test]
fn a_canary_that_is_frozen_between_two_phases_holds_nobody_and_one_that_failed_does() {
    let mut world = World::upgrading(IN_WAVES);
    assert_eq!(world.issues(), [S1]);
    world.accepts(S1);
    world.ends(S1);
    world.freezes(S1, NOW.plus(30 * DAY));
    assert_eq!(world.issues(), [S2]);
    // What failed has shown something, frozen or not.
    let mut world = World::upgrading(IN_WAVES);
    world.issues();
    world.fails(S1);
    world.freezes(S1, NOW.plus(30 * DAY));
    assert_eq!(world.issues(), [""; 0]);
    assert!(world.hold(1, S2).why.contains("the canary s1.a.test"));
}

/// What it is in the middle of it brings to its end; it begins nothing more, for two weeks perhaps.
#[test]
fn a_rollout_goes_on_around_a_server_that_is_frozen_in_the_middle_of_its_work() {
    let mut world = World::upgrading(IN_WAVES);
    world.issues();
    world.works(S1);
    let (generation, step) = (world.generation(S1), world.changing(S1));
    let section = Section {
        outage: true,
        gmsa: None,
    };
    world.tells(
        S1,
        &Event::SectionEntered {
            generation,
            step,
            section,
        },
    );
    world.freezes(S1, NOW.plus(30 * DAY));
    assert_eq!(world.issues(), [""; 0], "a section comes to its end first");
    assert_eq!(world.row(1, S1).lifts, None);
    let gmsa = None;
    world.tells(
        S1,
        &Event::SectionLeft {
            generation,
            step,
            gmsa,
        },
    );
    assert_eq!(world.issues(), [S2], "another one is the canary");
    let row = world.row(1, S1);
    assert_eq!(row.state, "running");
    assert_eq!(
        row.lifts.map(|lifts| lifts.cause),
        Some(Cause::ServerFrozen)
    );
    // Its step goes on; once that has ended it stands, and is shown as that.
    assert!(row.detail.contains("goes on to its next gate"));
    world.completes(S1);
    let row = world.row(1, S1);
    assert_eq!(row.state, "held");
    assert!(
        row.detail.starts_with("anna has frozen it"),
        "{}",
        row.detail
    );
    assert_eq!(
        row.lifts.map(|lifts| lifts.cause),
        Some(Cause::ServerFrozen)
    );
    for target in [S2, "s3.a.test", "s4.a.test"] {
        world.is_done(1, target);
    }
    assert_eq!(world.word(1, T1), "offered", "the next wave goes on");
    for target in [T1, "t2.b.test"] {
        world.is_done(1, target);
    }
    let view = world
        .fleet
        .view(id(1), &world.live, world.now)
        .expect("it is there");
    assert_eq!(view.state, "held");
    // Thawed, it goes on where it was.
    world.tells(S1, &Event::Thawed);
    world.ends(S1);
    world.is_done(1, S1);
}

/// Whoever waits for a person or for a secret is named to all who wait behind, with who that is.
#[test]
fn nobody_is_told_that_it_comes_by_itself_behind_somebody_who_waits_for_a_person() {
    let text = TaskText {
        title: "sign in".to_owned(),
        why: String::new(),
        bring: Vec::new(),
        pages: Vec::new(),
        seen_by: String::new(),
    };
    let tenant = World::new().plan_of(Purpose::Install, WIDE, &[]).targets[&name(S1)]
        .tenant
        .clone();
    let person = [Lifter::ServerAdministrator, Lifter::Operator];
    for (guided, cause, who) in [
        (true, Cause::AwaitsPerson, &person[..]),
        (false, Cause::AwaitsSecret, &person[1..]),
    ] {
        let mut world = World::upgrading(IN_WAVES);
        world.issues();
        world.works(S1);
        let (generation, step) = (world.generation(S1), world.changing(S1));
        world.tells(
            S1,
            &if guided {
                Event::TaskOpened {
                    generation,
                    step,
                    text: Box::new(text.clone()),
                }
            } else {
                Event::SecretAsked {
                    generation,
                    step,
                    attempt: Attempt(1),
                    wanted: SecretKind::AccessToken {
                        tenant: tenant.clone(),
                    },
                    why: "why".to_owned(),
                }
            },
        );
        assert_eq!(world.issues(), [""; 0]);
        let own = world.row(1, S1).lifts.expect("somebody is to act");
        assert_eq!((own.cause, own.who.as_slice()), (cause, who));
        for (target, behind) in [(S2, Cause::CanaryHeld), (T1, Cause::WaveHeld)] {
            let row = world.row(1, target);
            assert_eq!(row.state, "held");
            let lifts = row.lifts.expect("something lifts it");
            assert_eq!((lifts.cause, lifts.who.as_slice()), (behind, who));
            assert!(lifts.what.contains(S1), "{lifts:?}");
        }
        let view = world.fleet.view(id(1), &world.live, world.now);
        let view = view.expect("it is there");
        // The own wait is one row, those behind it another.
        let own = world.row(1, S1).lifts.expect("somebody is to act").what;
        let first = who[0].as_str();
        let behind = format!("5 for {S1} ({}) first: {own} ({first})", world.word(1, S1));
        assert_eq!(view.waits_for(), [behind, format!("1 for {own} ({first})")]);
        let hold = world.hold(1, S2);
        let said = format!(" is {}: ", world.word(1, S1));
        assert!(
            hold.why.starts_with("the canary s1.a.test of ") && hold.why.contains(&said),
            "{hold:?}"
        );
        assert_eq!(view.state, "running", "its work is a person's just now");
    }
}

/// A limit that none of those under way frees by itself is lifted by what lifts these, or by the limit.
#[test]
fn a_place_that_somebody_who_is_away_holds_comes_free_by_its_return_or_a_resolve() {
    let site =
        "[limit]\nfailures = \"20\"\nin_flight = 20\ncanary = 0\n[site.ams]\nmax_in_flight = 2\n";
    let narrow = "[limit]\nfailures = \"20\"\nin_flight = 2\ncanary = 0\n";
    let few = "[limit]\nfailures = \"2\"\nin_flight = 2\ncanary = 0\n";
    for (policy, cause, order) in [
        (site, Cause::SiteFull, None),
        (narrow, Cause::InFlight, Some("limits --in-flight")),
        (few, Cause::MayYetFail, Some("limits --failures")),
    ] {
        let mut world = World::upgrading(policy);
        world.issues();
        for target in [S1, S2] {
            world.works(target);
        }
        let waits = "s3.a.test";
        let lifters = |world: &World| world.row(1, waits).lifts.expect("something lifts it").who;
        assert_eq!(world.hold(1, waits).cause, cause);
        assert_eq!(lifters(&world)[0], Lifter::Work);
        world.leaves(S1);
        world.now = world.now.plus(UNREACHABLE_AFTER);
        assert!(world.hold(1, waits).in_turn, "the other one goes on");
        world.leaves(S2);
        world.now = world.now.plus(UNREACHABLE_AFTER);
        let hold = world.hold(1, waits);
        assert_eq!((hold.cause, hold.in_turn), (cause, false));
        assert!(
            hold.why.contains("s1.a.test is unreachable: away since"),
            "{hold:?}"
        );
        let lifts = world.row(1, waits).lifts.expect("something lifts it");
        let who = [Lifter::Agent, Lifter::ServerAdministrator, Lifter::Operator];
        assert_eq!(lifts.who, who);
        assert!(lifts.what.contains("entrain resolve"), "{lifts:?}");
        assert!(
            order.is_none_or(|order| lifts.what.contains(order)),
            "{lifts:?}"
        );
        for target in [T1, "t2.b.test"] {
            if cause == Cause::SiteFull {
                world.is_done(1, target);
            }
        }
        let view = world.fleet.view(id(1), &world.live, world.now);
        assert_eq!(view.expect("it is there").state, "held");
    }
}

/// Leave for a section waits for who is in one; where that one is away, for its return.
#[test]
fn leave_behind_a_section_of_somebody_who_is_away_does_not_come_by_itself() {
    let gmsa = GmsaObject {
        domain: "a.test".parse().expect("a domain"),
        name: None,
    };
    let section = Section {
        outage: false,
        gmsa: Some(gmsa),
    };
    let mut world = World::upgrading(WIDE);
    world.issues();
    for target in [S1, S2] {
        world.works(target);
    }
    let (generation, step) = (world.generation(S1), world.changing(S1));
    world.tells(
        S1,
        &Event::SectionEntered {
            generation,
            step,
            section: section.clone(),
        },
    );
    let (generation, step) = (world.generation(S2), world.changing(S2));
    world
        .fleet
        .asks_permit(&name(S2), generation, step, Attempt(1), section);
    let row = world.row(1, S2);
    assert_eq!(row.state, "running");
    assert_eq!(row.lifts.expect("something lifts it").who[0], Lifter::Work);
    world.leaves(S1);
    world.now = world.now.plus(UNREACHABLE_AFTER);
    let row = world.row(1, S2);
    assert_eq!(row.state, "held");
    let lifts = row.lifts.expect("something lifts it");
    assert_eq!(lifts.cause, Cause::GmsaBusy);
    let who = [
        Lifter::Agent,
        Lifter::ServerAdministrator,
        Lifter::Operator,
        Lifter::Approvers,
    ];
    assert_eq!(lifts.who, who);
    assert!(
        lifts.what.contains("entrain resolve") && lifts.what.ends_with("or override G3"),
        "{lifts:?}"
    );
}

/// A rollout that waits for a server that never comes back reads as held, and says by whom.
#[test]
fn a_rollout_that_waits_for_a_dead_server_alone_is_held() {
    let mut world = World::upgrading(IN_WAVES);
    world.issues();
    world.works(S1);
    world.leaves(S1);
    let state = |world: &World| {
        let view = world.fleet.view(id(1), &world.live, world.now);
        view.expect("it is there").state
    };
    assert_eq!(state(&world), "running", "it may be restarting");
    world.now = world.now.plus(UNREACHABLE_AFTER);
    assert_eq!(world.issues(), [""; 0]);
    assert_eq!(state(&world), "held");
    assert_eq!(
        world.row(1, S1).lifts.map(|lifts| lifts.cause),
        Some(Cause::AwayAtWork)
    );
    world.comes(S1);
    assert_eq!(state(&world), "running");
}

/// Nobody is told that it comes by itself where somebody has to do something.
#[test]
fn whoever_waits_behind_one_that_is_held_is_told_what_lifts_that() {
    let mut world = World::upgrading(IN_WAVES);
    world.take(Record::AgentDoubted {
        target: name(S1),
        key: world.fleet.known()[&name(S1)].key,
        doubt: Doubt::Forked,
        at: vec!["10.0.0.1".to_owned()],
    });
    for (target, cause) in [(S2, "canary-held"), (T1, "wave-held")] {
        let hold = world.hold(1, target);
        assert!(!hold.in_turn && hold.why.contains(S1), "{hold:?}");
        assert!(hold.why.contains("its agent's journal forked"), "{hold:?}");
        let row = world.row(1, target);
        assert_eq!(row.state, "held");
        let lifts: Lifts = row.lifts.expect("something lifts it");
        assert_eq!(
            serde_json::to_string(&lifts.cause).expect("a name"),
            format!("\"{cause}\"")
        );
        assert!(
            lifts.what.contains(S1) && lifts.what.contains("agents replace"),
            "{lifts:?}"
        );
        assert_eq!(lifts.who, [Lifter::Operator, Lifter::ServerAdministrator]);
    }
    let view = world.fleet.view(id(1), &world.live, world.now);
    assert_eq!(view.expect("it is there").state, "held");
    // One that goes on by itself is waited for as before.
    let mut world = World::upgrading(IN_WAVES);
    world.issues();
    for target in [S2, T1] {
        assert!(world.hold(1, target).in_turn);
        assert_eq!(world.row(1, target).state, "pending");
    }
    // Away in the middle of its work: its agent is what everybody waits for.
    world.works(S1);
    world.leaves(S1);
    world.now = world.now.plus(UNREACHABLE_AFTER);
    let lifts = world.row(1, S2).lifts.expect("something lifts it");
    assert_eq!(
        lifts.who,
        [Lifter::Agent, Lifter::ServerAdministrator, Lifter::Operator]
    );
}

#[test]
fn an_agent_that_was_taken_away_in_the_middle_is_not_called_silent() {
    let mut world = World::upgrading(WIDE);
    world.issues();
    for target in [S1, S2] {
        world.works(target);
    }
    world.take(Record::AgentRevoked {
        target: name(S1),
        key: world.fleet.known()[&name(S1)].key,
        by: "root".to_owned(),
    });
    world.leaves(S2);
    world.now = world.now.plus(3 * DAY);
    world.issues();
    assert_eq!(
        world.row(1, S2).detail,
        "silent beyond the end of its bundle"
    );
    let said = world.row(1, S1).detail;
    assert!(
        said.contains("revoked or replaced") && !said.contains("silent"),
        "{said}"
    );
}

/// Nothing more comes of what an agent has not, or has under another key.
#[test]
fn an_unknown_server_that_is_back_is_resolved_unless_its_run_may_still_speak() {
    let resolve = |target: &str| Order::Resolve {
        target: name(target),
        reason: "it was looked at".to_owned(),
        off: false,
    };
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.works(S1);
    // What was offered to this one never came to it.
    for target in [S1, S2] {
        world.leaves(target);
    }
    world.now = world.now.plus(3 * DAY);
    world.issues();
    for target in [S1, S2] {
        world.comes(target);
        assert_eq!(world.word(1, target), "unknown");
    }
    let refused = world.order(1, resolve(S1)).expect_err("it may be at it");
    assert!(refused.contains("in the middle of"), "{refused}");
    assert_eq!(world.order(1, resolve(S2)), Ok(()));
    // And one that was replaced since tells nothing of that run.
    let (target, by) = (name(S1), "root".to_owned());
    world.take(Record::AgentReplaced { target, by });
    world.enrolls(&name(S1));
    assert_eq!(world.order(1, resolve(S1)), Ok(()));
}

#[test]
fn a_pending_server_is_skipped_whatever_another_rollout_has_open_there() {
    let skip = Order::Skip {
        target: name(S2),
        reason: "it goes".to_owned(),
    };
    let mut world = World::upgrading(IN_WAVES);
    world.applies(2, Purpose::Verify, WIDE, &[S2]);
    world.issues();
    assert!(world.fleet.open(&name(S2)).is_some());
    assert_eq!(world.order(1, skip.clone()), Ok(()));
    assert_eq!(world.word(1, S2), "skipped");
    assert!(
        world
            .order(2, skip)
            .expect_err("its own")
            .contains("under way")
    );
}

#[test]
fn a_freeze_that_is_over_is_not_what_holds_a_server_that_is_away() {
    let mut world = World::upgrading(WIDE);
    world.freezes(S1, NOW.plus(DAY));
    world.leaves(S1);
    world.now = NOW.plus(DAY).minus(Duration::from_secs(1));
    assert!(world.hold(1, S1).why.contains("frozen it until"));
    world.now = NOW.plus(DAY);
    let hold = world.hold(1, S1);
    assert!(hold.why.starts_with("it is not connected"), "{hold:?}");
}

/// What takes a secret is named as what it is.
#[test]
fn a_run_that_has_its_secret_shows_the_step_that_it_was_for() {
    let mut world = World::new();
    let mut plan = world.plan_of(Purpose::Install, WIDE, &[S1]);
    let part = plan.targets.get_mut(&name(S1)).expect("it has a part");
    let adds = Step::AddDomains(AddDomains {
        tenant: part.tenant.clone(),
        sign_in: SignIn::Token,
        proxy: None,
        domains: Vec::new(),
        wizard: TaskText {
            title: String::new(),
            why: String::new(),
            bring: Vec::new(),
            pages: Vec::new(),
            seen_by: String::new(),
        },
    });
    part.phases[0].steps.push(adds);
    let step = StepIndex(u16::try_from(part.phases[0].steps.len() - 1).expect("a few"));
    world.begins(1, &plan);
    world.issues();
    world.works(S1);
    let wanted = SecretKind::AccessToken {
        tenant: plan.targets[&name(S1)].tenant.clone(),
    };
    let generation = Generation(1);
    world.tells(
        S1,
        &Event::SecretAsked {
            generation,
            step,
            attempt: Attempt(1),
            wanted: wanted.clone(),
            why: "why".to_owned(),
        },
    );
    world.tells(
        S1,
        &Event::SecretReceived {
            generation,
            step,
            wanted,
        },
    );
    let TargetState::Running { kind, .. } = &world.work(1, S1).state else {
        panic!("{:?}", world.work(1, S1).state);
    };
    assert_eq!(
        kind,
        plan.targets[&name(S1)].phases[0]
            .steps
            .last()
            .expect("one")
            .kind()
    );
}

/// Nobody has to know the rule by heart.
#[test]
fn a_plan_whose_policy_has_no_deadline_says_how_long_whoever_is_away_is_waited_for() {
    let world = World::new();
    let said = |policy: &str| {
        let plan = world.plan_of(Purpose::Install, policy, &[]);
        controller_core::plan::render(&plan)
    };
    let bundle = "is waited for until its bundle ends, which is days";
    assert!(said(WIDE).contains(bundle));
    let some = said(&format!("{WIDE}unreachable = \"3h\"\n"));
    assert!(
        some.contains("is waited for for 3h") && !some.contains(bundle),
        "{some}"
    );
}

/// What an order has stopped is shown as that, in every view, and by what it goes on.
#[test]
fn what_a_pause_or_a_freeze_of_the_fleet_has_stopped_is_shown_as_held() {
    let by = || "anna".to_owned();
    let freeze = Record::FleetFrozen {
        why: "sign-ins fail".to_owned(),
        by: by(),
    };
    let thaw = Record::FleetThawed { by: by() };
    let paused = |order: Order| Record::Ordered {
        rollout: id(1),
        order,
        by: by(),
    };
    let both = [
        (freeze, thaw, Cause::FleetFrozen, "entrain thaw --all"),
        (
            paused(Order::Pause),
            paused(Order::Resume {
                after_restore: false,
            }),
            Cause::Paused,
            "entrain resume",
        ),
    ];
    for (stop, go_on, cause, lifts) in both {
        let mut world = World::upgrading(IN_WAVES);
        world.issues();
        world.works(S1);
        assert_eq!(world.row(1, S1).lifts, None);
        world.take(stop);
        let row = world.row(1, S1);
        assert_eq!(row.state, "running", "its step goes on");
        assert!(
            row.detail.contains("; goes on to its next gate: "),
            "{}",
            row.detail
        );
        assert_eq!(row.lifts.map(|lifts| lifts.cause), Some(cause));
        world.completes(S1);
        let row = world.row(1, S1);
        assert_eq!(row.state, "held");
        assert!(row.detail.contains(lifts), "{}", row.detail);
        let why = world
            .fleet
            .why(&name(S1), &world.live, world.now)
            .expect("it is there");
        assert!(
            why.answer.contains("held: ") && why.answer.contains(lifts),
            "{}",
            why.answer
        );
        assert_eq!(why.lifts.map(|lifts| lifts.cause), Some(cause));
        let view = |world: &World| world.fleet.view(id(1), &world.live, world.now);
        let view = view(&world).expect("it is there");
        assert_ne!(view.state, "running");
        assert!(
            view.waits_for()
                .iter()
                .any(|one| one.contains("an operator"))
        );
        // In a section it goes on to the end of that.
        world.enters(S1);
        assert_eq!(world.row(1, S1).state, "running");
        world.take(go_on);
        let row = world.row(1, S1);
        assert_eq!((row.state.as_str(), row.lifts), ("running", None));
    }
}

/// Asked of a server, the rollout answers in which it is not at its end; the others are named.
#[test]
fn why_answers_from_the_rollout_that_is_not_at_its_end() {
    let mut world = World::upgrading(IN_WAVES);
    world.issues();
    let asked = |world: &World, target: &str| {
        let why = world.fleet.why(&name(target), &world.live, world.now);
        why.expect("it is there")
    };
    // A second one does nothing on it.
    let mut other = world.plan_of(Purpose::Verify, WIDE, &["t2.b.test"]);
    other.kind = Kind::Eligibility;
    world.begins(2, &other);
    let why = asked(&world, S2);
    assert!(why.answer.starts_with("r1, "), "{}", why.answer);
    assert!(why.lifts.is_some(), "it waits for its canary");
    assert!(why.others.is_empty(), "{:?}", why.others);
    // One that is newer, and at its end there, is named beside.
    let mut looked = world.plan_of(Purpose::Verify, WIDE, &[S2]);
    looked.kind = Kind::Preflight;
    world.begins(3, &looked);
    world.is_done(3, S2);
    let why = asked(&world, S2);
    assert!(why.answer.starts_with("r1, "), "{}", why.answer);
    assert_eq!(why.others.len(), 1);
    assert!(
        why.others[0].starts_with("r3, ") && why.others[0].contains("done"),
        "{:?}",
        why.others
    );
    // Where nothing goes on, the newest that has work on it answers.
    world.order(1, Order::Abort).expect("it may be aborted");
    let why = asked(&world, S2);
    assert!(why.answer.starts_with("r3, "), "{}", why.answer);
    assert!(why.others.is_empty(), "{:?}", why.others);
}

/// A look is told behind what changes something, and what it found does not mend what failed before.
#[test]
fn why_tells_a_change_before_a_look_and_no_look_as_the_end_of_a_failure() {
    let asked = |world: &World| {
        let why = world.fleet.why(&name(S1), &world.live, world.now);
        why.expect("it is there").answer
    };
    let mut world = World::new();
    world.applies(1, Purpose::Install, WIDE, &[S1]);
    world.issues();
    world.works(S1);
    world.applies(2, Purpose::Verify, WIDE, &[S1]);
    assert!(asked(&world).starts_with("r1, "), "both go on");
    let mut world = World::new();
    world.applies(1, Purpose::Verify, WIDE, &[S1]);
    world.issues();
    world.fails(S1);
    let mut looked = world.plan_of(Purpose::Verify, WIDE, &[S1]);
    looked.kind = Kind::Discover;
    world.begins(2, &looked);
    world.is_done(2, S1);
    assert!(asked(&world).starts_with("r1, "), "it has failed still");
}

/// An earlier failure that nothing has made good is not hidden by a later one.
#[test]
fn why_names_an_earlier_failure_beside_the_one_that_it_answers_from() {
    let mut world = World::new();
    for (number, purpose) in [(1, Purpose::Verify), (2, Purpose::Install)] {
        world.applies(number, purpose, WIDE, &[S1]);
        assert_eq!(world.issues(), [S1]);
        world.fails(S1);
    }
    let why = world.fleet.why(&name(S1), &world.live, world.now);
    let why = why.expect("it is there");
    assert!(why.answer.starts_with("r2, "), "{}", why.answer);
    assert_eq!(why.others.len(), 1, "{:?}", why.others);
    assert!(why.others[0].starts_with("r1, "), "{:?}", why.others);
    // Work that came to its end has.
    world.applies(3, Purpose::Install, WIDE, &[S1]);
    world.is_done(3, S1);
    let why = world.fleet.why(&name(S1), &world.live, world.now);
    let why = why.expect("it is there");
    assert!(why.answer.starts_with("r3, "), "{}", why.answer);
    assert!(why.others.is_empty(), "{:?}", why.others);
}

fn skipped(target: &str) -> Order {
    Order::Skip {
        target: name(target),
        reason: "later".to_owned(),
    }
}

/// A look that found nothing hides no failure before it, and no end that nothing has made good since.
#[test]
fn a_look_hides_no_failure_and_what_made_it_good_does() {
    let asked = |world: &World, of: Option<u32>| {
        let (live, now) = (&world.live, world.now);
        let why = world.fleet.why_in(of.map(id), &name(S1), live, now);
        why.expect("it is there")
    };
    let looks = |world: &mut World, number: u32| {
        let mut looked = world.plan_of(Purpose::Verify, WIDE, &[S1]);
        looked.kind = Kind::Discover;
        world.begins(number, &looked);
        world.is_done(number, S1);
    };
    let mut world = World::upgrading(IN_WAVES);
    world.issues();
    world.fails(S1);
    looks(&mut world, 2);
    let why = asked(&world, None);
    assert!(
        why.answer.starts_with("r1, ") && why.answer.contains("failed"),
        "{}",
        why.answer
    );
    assert!(why.failure.is_some());
    assert!(why.others[0].starts_with("r2, "), "{:?}", why.others);
    assert_eq!(
        why.orders,
        [
            format!("entrain retry r1 {S1}"),
            format!("entrain skip r1 {S1} --reason WHY")
        ]
    );
    // Asked for by its number, the look answers for itself.
    let looked = asked(&world, Some(2));
    assert!(looked.answer.starts_with("r2, ") && looked.failure.is_none());
    assert_eq!((looked.orders.len(), looked.others.len()), (0, 0));
    // Skipped after it had begun, it is still what became of it.
    world.order(1, skipped(S1)).expect("it may be skipped");
    looks(&mut world, 3);
    let why = asked(&world, None);
    assert!(
        why.answer.starts_with("r1, ") && why.answer.contains("skipped: later"),
        "{}",
        why.answer
    );
    assert_eq!(why.orders, [""; 0]);
    // Made good since, it is named no more.
    world.order(1, Order::Abort).expect("it may be aborted");
    world.applies(4, Purpose::Install, WIDE, &[S1]);
    world.is_done(4, S1);
    let why = asked(&world, None);
    assert!(why.answer.starts_with("r4, "), "{}", why.answer);
    assert!(why.others.is_empty(), "{:?}", why.others);
    // A failure of what came after that is named beside, and answers.
    world.applies(5, Purpose::Verify, WIDE, &[S1]);
    world.issues();
    world.accepts(S1);
    world.breaks(S1);
    world.finishes(S1, Ending::Failed("it does not run".to_owned()));
    let why = asked(&world, None);
    assert!(why.answer.starts_with("r5, "), "{}", why.answer);
    // Of a server that a rollout does not name it says that.
    let (live, now) = (&world.live, world.now);
    let why = world.fleet.why_in(Some(id(4)), &name(T1), live, now);
    let why = why.expect("it is known");
    assert!(
        why.answer.starts_with("r4 does nothing on it"),
        "{}",
        why.answer
    );
}

/// Of whom nothing is known there is no answer, whatever rollout is named.
#[test]
fn why_says_that_nothing_was_applied_to_whoever_is_enrolled_and_knows_nobody_else() {
    let mut world = World::new();
    let asked = |world: &World, target: &str, of: Option<u32>| {
        let (live, now) = (&world.live, world.now);
        let why = world.fleet.why_in(of.map(id), &name(target), live, now);
        why.map(|why| why.answer)
    };
    let enrolled = "it is enrolled, and no rollout has it".to_owned();
    assert_eq!(asked(&world, S1, None), Some(enrolled.clone()));
    let mut plan = world.plan_of(Purpose::Install, WIDE, &[]);
    plan.targets.remove(&name(S1));
    world.begins(1, &plan);
    assert_eq!(asked(&world, S1, None), Some(enrolled));
    assert_eq!(
        asked(&world, S1, Some(1)),
        Some("r1 does not name it".to_owned())
    );
    for of in [None, Some(1)] {
        assert_eq!(asked(&world, "nobody.a.test", of), None);
    }
}

/// Whoever waits for a wave is told of all of it that waits for somebody, each by the word that its own answer has.
#[test]
fn whoever_waits_for_several_is_told_of_all_of_them_and_what_may_be_ordered() {
    const FREE: &str = "waves = [{ domains = [\"a.test\"] }, { rest = true }]\n[limit]\nfailures = \"20\"\nin_flight = 20\ncanary = 9\n";
    let mut world = World::upgrading(FREE);
    world.issues();
    world.works(S1);
    for target in [S2, "s3.a.test"] {
        world.fails(target);
    }
    world.is_done(1, "s4.a.test");
    let asked = |world: &World, target: &str| {
        let why = world.fleet.why(&name(target), &world.live, world.now);
        why.expect("it is there")
    };
    let why = asked(&world, T1);
    let said = format!("; it waits for 2 more: {S2} is failed, s3.a.test is failed");
    assert!(why.answer.ends_with(&said), "{}", why.answer);
    assert!(why.answer.contains(&format!("{S1} is running")));
    let orders = [S2, "s3.a.test"].map(|target| {
        [
            format!("entrain retry r1 {target}"),
            format!("entrain skip r1 {target} --reason WHY"),
        ]
    });
    assert_eq!(why.orders, orders.concat());
    for order in [S2, "s3.a.test"] {
        world.order(1, skipped(order)).expect("it may be skipped");
    }
    let why = asked(&world, T1);
    assert!(!why.answer.contains("more: "), "{}", why.answer);
    assert_eq!(why.orders, [""; 0]);
}

/// Of the canaries those are named that are waited for, and nobody of whom the end is known.
#[test]
fn whoever_waits_for_canaries_is_told_of_those_that_are_not_through() {
    let mut world = World::upgrading("[limit]\nfailures = \"20\"\nin_flight = 20\ncanary = 2\n");
    world.issues();
    world.works(S1);
    world.fails(S2);
    let asked = |world: &World| {
        let why = world.fleet.why(&name("s3.a.test"), &world.live, world.now);
        why.expect("it is there")
    };
    let why = asked(&world);
    assert!(
        why.answer.contains("it waits for 1 more: ")
            && why.answer.contains(S1)
            && why.answer.contains(S2),
        "{}",
        why.answer
    );
    assert_eq!(
        why.orders,
        [
            format!("entrain retry r1 {S2}"),
            format!("entrain skip r1 {S2} --reason WHY")
        ]
    );
    world.order(1, skipped(S2)).expect("it may be skipped");
    let why = asked(&world);
    assert!(
        why.answer.contains(S1) && !why.answer.contains(S2),
        "{}",
        why.answer
    );
    assert_eq!(why.orders, [""; 0]);
}

/// A plan in which nobody has work says so, and what is the same of all of them once.
#[test]
fn a_plan_without_work_says_that_there_is_nothing_to_apply_and_once_why() {
    let plan = World::new().plan_of(Purpose::Agents, WIDE, &[]);
    assert!(plan.is_empty());
    let said = controller_core::plan::render(&plan);
    assert!(said.contains("there is nothing to apply"), "{said}");
    assert_eq!(said.matches("no release of the agent").count(), 1, "{said}");
    let all = format!("{} servers: ", plan.targets.len());
    assert!(said.contains(&all) && said.contains(S1), "{said}");
    let plan = World::new().plan_of(Purpose::Install, WIDE, &[]);
    assert!(!plan.is_empty());
    assert!(!controller_core::plan::render(&plan).contains("nothing to apply"));
}
