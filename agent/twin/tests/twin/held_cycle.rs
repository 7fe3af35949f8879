//! A cycle of Connect that somebody has held before the wizard of an upgrade: it is theirs to release, whichever life of the agent sees the
//! end of the wizard.
#![expect(
    clippy::panic,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use agent_core::held::Held;
use agent_core::op::Op;
use agent_core::run::{Action, Conclusion};
use agent_twin::Fault;
use protocol::event::Event;
use protocol::signed::{Ending, Phase};
use protocol::step::Step;
use protocol::{BundleId, Digest, Generation, RolloutId};

use crate::common::{NOW, drive};
use crate::orders::Story;
use crate::run::{RELEASE, UPGRADES, read_by_person, releasing};

fn is_release(event: &Event) -> bool {
    matches!(event, Event::TaskOpened { text, .. } if text.title == RELEASE)
}

/// What the agent has read before the wizard, one that was started anew behind it knows as well.
#[test]
fn whoever_held_it_is_known_wherever_the_agent_was_killed() {
    for (work, staging) in UPGRADES {
        let steps: Vec<Step> = releasing(work).into_iter().take(3).collect();
        let mut whole = read_by_person(work, staging, &[]);
        whole.hold_cycle();
        let fresh = whole.clone();
        let (uncut, _, actions) = drive(steps.clone(), &mut whole, None);
        // How the end of the wizard was seen may be told otherwise; what is told of the cycle is the same.
        let of_cycle = |conclusion: &Conclusion| {
            let (_, cycle) = conclusion.steps[2].summary.split_once("; ").unwrap();
            cycle.to_owned()
        };
        for cut in 0..actions {
            let mut server = fresh.clone();
            let (after, journal, _) = drive(steps.clone(), &mut server, Some(cut));
            assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
            assert!(!journal.iter().any(is_release), "cut at {cut}: {journal:?}");
            assert_eq!(of_cycle(&after), of_cycle(&uncut), "cut at {cut}");
            assert_eq!(server.changes, whole.changes, "cut at {cut}");
        }
    }
}

/// A run that is retried behind the wizard is another one, and is told what its rollout knows.
#[test]
fn a_retry_behind_the_wizard_asks_nobody_either() {
    for (work, staging) in UPGRADES {
        let steps: Vec<Step> = releasing(work).into_iter().take(3).collect();
        let mut server = read_by_person(work, staging, &[]);
        server.hold_cycle();
        let (_, journal, _) = drive(steps.clone(), &mut server, None);
        let mut held = Held::default();
        journal.iter().for_each(|event| held.hear(event));
        // The journal of a test begins behind the acceptance of its bundle.
        assert!(!held.before_the_wizard());
        let accepted = Event::BundleAccepted {
            bundle: BundleId(Digest::ZERO),
            generation: Generation(1),
            rollout: RolloutId(1),
            phase: Phase::Register,
            change: None,
        };
        held.hear(&accepted);
        journal.iter().for_each(|event| held.hear(event));
        assert!(held.before_the_wizard());
        server.asked(&steps[2]);
        for (known, asks) in [(held, 0), (Held::default(), 1)] {
            let mut story = Story::on(server.clone(), steps.clone());
            story.run = story.run.behind_a_held_cycle(known.before_the_wizard());
            assert_eq!(story.ending(), Some(Ending::Completed));
            let asked = story.journal.iter().filter(|event| is_release(event));
            assert_eq!(asked.count(), asks);
        }
    }
}

/// Whoever held it has released it before the wizard, which a later life of the agent has read: what is off behind the wizard is the
/// wizard's, for the life behind that as well.
#[test]
fn what_was_released_before_the_wizard_is_held_by_nobody() {
    for (work, staging) in UPGRADES {
        let steps: Vec<Step> = releasing(work).into_iter().take(3).collect();
        let mut server = read_by_person(work, staging, &[Fault::CycleHeld]);
        server.tell_person(true);
        server.hold_cycle();
        let mut story = Story::on(server, steps);
        let waits = |action: &Action| {
            matches!(
                action,
                Action::Perform {
                    op: Op::Wait { .. },
                    ..
                }
            )
        };
        assert!(story.until(waits).is_some());
        story.twin.release_cycle();
        story.restart();
        story.run.resume(NOW);
        let Some(Action::Perform { number, op }) = story.until(waits) else {
            panic!("nobody is at the wizard")
        };
        story.twin.tell_person(false);
        let (outcome, _) = story.twin.perform(&op, &BTreeMap::new());
        story.run.handle_outcome(number, outcome, NOW);
        let asks = |action: &Action| matches!(action, Action::Journal(event) if is_release(event));
        assert!(story.until(asks).is_some(), "the wizard has left it off");
        story.restart();
        story.run.resume(NOW);
        assert!(story.until(asks).is_some(), "in a later life as well");
        assert_eq!(story.ending(), Some(Ending::Completed));
    }
}
