//! Leave that lapses before it is made use of: the word was late, or the disk took its time. Nothing is done by it.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::op::Outcome;
use agent_core::run::{Action, Leave};
use protocol::Attempt;
use protocol::event::{Event, GmsaChange};
use protocol::signed::Ending;

use crate::common::{NOW, leave};
use crate::cut_off::own;
use crate::orders::{HOUR, OLD, Story, asks_leave, install, is_install};

/// As long as leave is good for whoever enters by it: what is left of its 120 seconds is for the words on their way.
const GOOD: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(1);

fn entered(event: &Event) -> bool {
    matches!(event, Event::SectionEntered { .. })
}

fn left(event: &Event) -> bool {
    matches!(event, Event::SectionLeft { .. })
}

/// The number under which the setup is to be begun, nothing of it having been performed.
fn setup(story: &mut Story) -> u64 {
    let Some(Action::Perform { number, .. }) = story.until(is_install) else {
        panic!("no setup")
    };
    number
}

/// More than a glance: what was journaled before it is on disk.
fn acts(action: &Action) -> bool {
    matches!(action, Action::Perform { op, .. } if !op.is_glance())
}

#[test]
fn nothing_is_begun_behind_a_flush_that_took_longer_than_the_leave_lasts() {
    let mut story = Story::new(vec![install()], Some(OLD));
    story.enters();
    let number = setup(&mut story);
    assert!(!story.run.may_perform(number, NOW.plus(GOOD)));
    story.now = NOW.plus(GOOD);
    let Some(Action::AskPermit { step, attempt, .. }) = story.until(asks_leave) else {
        panic!("it does not ask again")
    };
    assert_eq!(attempt, Attempt(1), "it is the same try");
    assert_eq!((story.has(entered), story.has(left)), (1, 1));
    assert!(story.twin.changes.is_empty());
    // An outcome of what was not performed is nobody's.
    let done = Outcome::Exited { code: 0 };
    story.run.handle_outcome(number, done, story.now);
    assert_eq!(story.run.poll_action(), None);
    story
        .run
        .handle_permit(step, attempt, leave(None), story.now);
    let Some(Action::Perform { number, op }) = story.until(is_install) else {
        panic!("no setup")
    };
    assert!(story.run.may_perform(number, story.now));
    // Once something was begun the section is told, and lasts until it is left.
    assert!(story.run.may_perform(number, story.now.plus(HOUR)));
    let (outcome, _) = story.twin.perform(&op, &BTreeMap::new());
    story.run.handle_outcome(number, outcome, story.now);
    assert_eq!(story.ending(), Some(Ending::Completed));
    assert_eq!((story.has(entered), story.has(left)), (2, 2));
    assert_eq!(story.twin.changes.len(), 1);
}

#[test]
fn leave_is_good_for_all_of_its_time_but_what_words_take() {
    let mut story = Story::new(vec![install()], Some(OLD));
    story.enters();
    let number = setup(&mut story);
    assert!(story.run.may_perform(number, NOW.plus(GOOD).minus(MOMENT)));
    assert_eq!((story.has(entered), story.has(left)), (1, 0));
}

/// A word that waited for its agent, or that the controller could not say at once, leaves nothing of the leave.
#[test]
fn leave_that_comes_too_late_is_asked_for_again_and_enters_nothing() {
    let late = |lasts: Duration, came: Duration| Leave {
        after: None,
        lasts,
        came,
    };
    let all = GOOD * 2;
    for (lasts, came) in [(all, GOOD), (all, HOUR), (GOOD, MOMENT), (MOMENT, MOMENT)] {
        let mut story = Story::new(vec![install()], Some(OLD));
        let Some(Action::AskPermit { step, attempt, .. }) = story.until(asks_leave) else {
            panic!("no leave was asked for")
        };
        let leave = late(lasts, came);
        story.run.handle_permit(step, attempt, leave, NOW);
        assert!(story.until(asks_leave).is_some(), "{lasts:?} {came:?}");
        assert_eq!(story.has(entered), 0);
    }
    // What it has waited is counted.
    let mut story = Story::new(vec![install()], Some(OLD));
    let Some(Action::AskPermit { step, attempt, .. }) = story.until(asks_leave) else {
        panic!("no leave was asked for")
    };
    let half = late(all, GOOD / 2);
    story.run.handle_permit(step, attempt, half, NOW);
    let number = setup(&mut story);
    assert!(!story.run.may_perform(number, NOW.plus(GOOD / 2)));
}

/// What another server did to the gMSA object stands as if nobody had entered since.
#[test]
fn whoever_leaves_with_nothing_done_tells_the_change_before() {
    let change = GmsaChange {
        by: "sync-02.corp.contoso.com".parse().expect("a name"),
        name: None,
        readers: Some(vec!["S-1-5-21-1".to_owned()]),
    };
    let mut story = Story::new(vec![install(), own()], None);
    story.enters_after(Some(change.clone()));
    let Some(Action::Perform { number, .. }) = story.until(acts) else {
        panic!("it does nothing")
    };
    assert_eq!(story.has(entered), 1);
    assert!(!story.run.may_perform(number, NOW.plus(GOOD)));
    assert!(story.until(asks_leave).is_some());
    let told = |event: &Event| matches!(event, Event::SectionLeft { gmsa: Some(one), .. } if *one == change);
    assert_eq!(story.has(told), 1);
}

#[test]
fn whoever_is_aborted_meanwhile_ends_there() {
    let mut story = Story::new(vec![install()], Some(OLD));
    story.enters();
    let number = setup(&mut story);
    story.run.abort(NOW);
    assert!(!story.run.may_perform(number, NOW.plus(GOOD)));
    assert_eq!(story.ending(), Some(Ending::Aborted));
    assert_eq!((story.has(entered), story.has(left)), (1, 1));
    assert!(story.twin.changes.is_empty());
    let unknown = |event: &Event| matches!(event, Event::StepInconclusive { .. });
    assert_eq!(story.has(unknown), 0, "nothing was done");
}

#[test]
fn a_clock_that_is_set_back_lengthens_no_leave_and_one_that_is_set_forward_ends_it() {
    let mut story = Story::new(vec![install()], Some(OLD));
    story.enters();
    let number = setup(&mut story);
    let hour = 3_600_000;
    story.run.clock_was_set(-hour);
    let back = NOW.minus(HOUR);
    assert!(!story.run.may_perform(number, back.plus(GOOD)));
    // Set forward, it may have stood still.
    let mut story = Story::new(vec![install()], Some(OLD));
    story.enters();
    let number = setup(&mut story);
    story.run.clock_was_set(hour);
    assert!(!story.run.may_perform(number, NOW.plus(HOUR)));
}

/// A section that an earlier life has entered is claimed until it is left: leave for it does not lapse.
#[test]
fn whoever_is_in_its_section_from_before_needs_no_fresh_leave() {
    let mut story = Story::new(vec![install(), own()], None);
    story.enters();
    let enters = |action: &Action| matches!(action, Action::Journal(Event::SectionEntered { .. }));
    assert!(story.until(enters).is_some());
    story.restart();
    story.run.resume(NOW);
    let asks = story.until(|action| asks_leave(action) || acts(action));
    let Some(Action::AskPermit { step, attempt, .. }) = asks else {
        panic!("it does not ask: {asks:?}")
    };
    let old = Leave {
        after: None,
        lasts: GOOD * 2,
        came: HOUR,
    };
    story.run.handle_permit(step, attempt, old, NOW);
    let Some(Action::Perform { number, .. }) = story.until(acts) else {
        panic!("it does nothing")
    };
    assert!(story.run.may_perform(number, NOW.plus(HOUR)));
}
