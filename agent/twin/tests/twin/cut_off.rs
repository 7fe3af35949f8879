//! An agent that ends in the middle of a step and comes back: what it was in is finished before anything ends or waits, and
//! what it only began is not said to be over while its installer is at work.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::op::{Op, Outcome};
use agent_core::run::{Action, Conclusion};
use agent_twin::{Installed, Profile, Twin};
use protocol::Attempt;
use protocol::event::{Event, GmsaChange};
use protocol::signed::{Ending, StepEnding};
use protocol::step::{GuideProvisioningAgent, Step};

use crate::common::{NOW, leave, target, tenant};
use crate::orders::{HOUR, OLD, Story, asks_leave, install, is_install, wizard};

fn awaits_installer(action: &Action) -> bool {
    matches!(
        action,
        Action::Perform {
            op: Op::AwaitInstaller,
            ..
        }
    )
}

fn entered(event: &Event) -> bool {
    matches!(event, Event::SectionEntered { .. })
}

fn left(event: &Event) -> bool {
    matches!(event, Event::SectionLeft { .. })
}

fn completed(event: &Event) -> bool {
    matches!(event, Event::StepCompleted { .. })
}

/// Whether the setup did its work before its agent was gone, or had not begun it.
#[derive(Clone, Copy)]
enum Setup {
    Done,
    NotBegun,
}

/// An upgrade under leave for an outage; the agent ends while the setup runs, and comes back without its controller.
fn cut_off(setup: Setup) -> Story {
    let mut story = Story::new(vec![install(), Step::ReportFacts], Some(OLD));
    story.enters();
    let Some(Action::Perform { op, .. }) = story.until(is_install) else {
        panic!("no setup")
    };
    if let Setup::Done = setup {
        story.twin.perform(&op, &BTreeMap::new());
    }
    story.restart();
    story
}

fn ends(conclusion: &Conclusion) -> Vec<(StepEnding, Attempt)> {
    let steps = conclusion.steps.iter();
    steps.map(|step| (step.ending, step.attempts)).collect()
}

#[test]
fn a_section_of_an_earlier_life_is_finished_before_an_abort_ends_its_run() {
    for (setup, ended) in [
        (Setup::Done, StepEnding::AlreadySo),
        (Setup::NotBegun, StepEnding::Applied),
    ] {
        let mut story = cut_off(setup);
        story.run.abort(NOW);
        let wants = |action: &Action| matches!(action, Action::Perform { .. } | Action::Finish(_));
        let first = story.until(wants).unwrap();
        assert!(awaits_installer(&first), "{first:?}");
        let Action::Perform { number, .. } = first else {
            unreachable!()
        };
        // The installer works on: nothing is over, and nobody else may go out.
        assert_eq!(story.run.poll_action(), None);
        story.run.abort(NOW);
        assert_eq!(story.run.poll_action(), None);
        assert_eq!(story.has(left), 0);
        story.run.handle_outcome(number, Outcome::Done, NOW);
        let conclusion = story.conclusion().unwrap();
        assert_eq!(conclusion.ending, Ending::Aborted);
        let none = (StepEnding::NotBegun, Attempt(0));
        assert_eq!(ends(&conclusion), [(ended, Attempt(2)), none]);
        assert_eq!((story.has(entered), story.has(left)), (1, 1));
        assert_eq!(story.twin.changes.len(), 1, "the setup ran once");
    }
}

#[test]
fn a_section_of_an_earlier_life_is_finished_while_nobody_lets_the_run_go_on() {
    for setup in [Setup::Done, Setup::NotBegun] {
        let mut story = cut_off(setup);
        let asked = story.until(asks_leave);
        assert_eq!(asked, None, "it has leave, and nobody is there to ask");
        assert_eq!((story.has(entered), story.has(left)), (1, 1));
        assert_eq!((story.has(completed), story.twin.changes.len()), (1, 1));
        let begun = |event: &Event| matches!(event, Event::StepBegun { .. });
        assert_eq!(
            story.has(begun),
            2,
            "the next step waits for its controller"
        );
        // A pause and a freeze hold what comes behind it, and nothing of it.
        story.run.pause();
        assert_eq!(story.run.poll_action(), None);
        story.run.resume(NOW);
        assert_eq!(story.conclusion().unwrap().ending, Ending::Completed);
    }
}

#[test]
fn a_section_is_finished_behind_the_end_of_its_bundle() {
    let mut story = Story::new(vec![install(), Step::ReportFacts], Some(OLD));
    story.enters();
    assert!(story.until(is_install).is_some());
    story.now = NOW.plus(HOUR * 24 * 30);
    story.restart();
    let due = story.run.poll_timeout();
    assert!(due.is_none_or(|due| due > story.now), "{due:?}");
    assert_eq!(story.until(asks_leave), None);
    assert_eq!((story.has(left), story.has(completed)), (1, 1));
    story.run.resume(story.now);
    let conclusion = story.conclusion().unwrap();
    assert_eq!(conclusion.ending, Ending::Expired);
    assert_eq!(conclusion.steps[0].ending, StepEnding::Applied);
}

/// The wizard that makes a gMSA of the product's own.
pub(crate) fn own() -> Step {
    let Step::GuideProvisioningAgent(guide) = wizard() else {
        unreachable!()
    };
    Step::GuideProvisioningAgent(GuideProvisioningAgent {
        gmsa: None,
        ..guide
    })
}

fn opened(action: &Action) -> bool {
    matches!(action, Action::Journal(Event::TaskOpened { .. }))
}

/// What the run told that it did to the gMSA object.
fn changes(story: &Story) -> Vec<Option<&GmsaChange>> {
    let told = story.journal.iter().filter_map(|event| {
        if let Event::SectionLeft { gmsa, .. } = event {
            Some(gmsa.as_ref())
        } else {
            None
        }
    });
    told.collect()
}

/// A person is at the wizard, under leave to change a gMSA object, and the agent comes back without its controller: its claim was
/// never free, so it watches on, and tells the end; an abort ends that, as it ends every wait for a person.
#[test]
fn whoever_has_a_wizard_open_that_changes_a_gmsa_finishes_it_without_asking() {
    for (aborted, meanwhile) in [(false, false), (true, false), (false, true)] {
        let mut story = Story::new(vec![install(), own(), Step::ReportFacts], None);
        story.twin = Twin::new(Profile {
            target: target(),
            installed: Installed::Nothing,
            person: Some(tenant()),
            faults: [].into(),
        });
        story.enters();
        assert!(story.until(opened).is_some());
        if meanwhile {
            // The person comes to the end while no agent runs.
            let seconds = Duration::from_secs(60);
            for _ in 0..50 {
                story
                    .twin
                    .perform(&Op::Wait { time: seconds }, &BTreeMap::new());
            }
        }
        story.restart();
        if aborted {
            story.run.abort(NOW);
        }
        let ends = |action: &Action| asks_leave(action) || matches!(action, Action::Finish(_));
        let ended = story.until(ends);
        assert_eq!((story.has(entered), story.has(left)), (1, 1));
        let told = changes(&story);
        if aborted {
            // It watches nobody any more: what the person has done by then is not known.
            assert_eq!(told, [None]);
            assert_eq!(story.has(completed), 1, "it does not tell that it is done");
            let Some(Action::Finish(conclusion)) = ended else {
                panic!("{ended:?}")
            };
            assert_eq!(conclusion.ending, Ending::Aborted);
            continue;
        }
        assert_eq!(ended, None, "it has leave, and nobody is there to ask");
        assert!(
            told[0].is_some_and(|change| change.name.is_some()),
            "{told:?}"
        );
        assert_eq!(story.has(completed), 2, "the next step waits");
        story.run.resume(NOW);
        assert_eq!(story.conclusion().unwrap().ending, Ending::Completed);
    }
}

/// Whether somebody works is told by what the step is, and by no word of its text: that is for people.
#[test]
fn work_whose_title_is_that_of_a_look_is_work_all_the_same() {
    let Step::GuideProvisioningAgent(mut guide) = own() else {
        unreachable!()
    };
    guide.text.title = "see that the change of svcSync$ is made".to_owned();
    let mut story = Story::new(vec![install(), Step::GuideProvisioningAgent(guide)], None);
    story.enters();
    assert!(story.until(opened).is_some());
    story.restart();
    let stops = |action: &Action| {
        let waits = matches!(
            action,
            Action::Perform {
                op: Op::Wait { .. },
                ..
            }
        );
        asks_leave(action) || waits
    };
    assert!(
        story
            .until(stops)
            .is_some_and(|action| !asks_leave(&action)),
        "a person may be at the wizard: it has leave"
    );
}

/// Until the change of another server is readable nobody works: it has done nothing, and what that change was is told with the leave.
#[test]
fn whoever_waited_for_another_ones_change_when_it_was_cut_off_asks_again() {
    let mut story = Story::new(vec![install(), own()], None);
    let Some(Action::AskPermit { step, attempt, .. }) = story.until(asks_leave) else {
        panic!("no leave was asked for")
    };
    let change = GmsaChange {
        by: "sync-09.corp.contoso.com".parse().unwrap(),
        name: None,
        readers: None,
    };
    story
        .run
        .handle_permit(step, attempt, leave(Some(change)), NOW);
    let looks = |action: &Action| {
        if let Action::Journal(Event::TaskOpened { text, .. }) = action {
            text.title.contains("has reached")
        } else {
            false
        }
    };
    assert!(story.until(looks).is_some(), "a person looks");
    story.restart();
    assert_eq!(story.until(asks_leave), None, "it is held");
    story.run.resume(NOW);
    assert!(story.until(asks_leave).is_some());
}

/// Nobody was asked to work yet: what others did to the object is told with the leave (G3), which is asked for again, and an abort is
/// heard there.
#[test]
fn whoever_has_not_begun_to_change_a_gmsa_asks_again() {
    let cut = || {
        let mut story = Story::new(vec![install(), own()], None);
        story.enters();
        let is_entered =
            |action: &Action| matches!(action, Action::Journal(Event::SectionEntered { .. }));
        assert!(story.until(is_entered).is_some());
        story.restart();
        assert_eq!(story.until(asks_leave), None, "it is held");
        story
    };
    let mut story = cut();
    story.run.resume(NOW);
    assert!(story.until(asks_leave).is_some());
    let mut story = cut();
    story.run.abort(NOW);
    let conclusion = story.conclusion().unwrap();
    assert_eq!(conclusion.ending, Ending::Aborted);
    assert_eq!(conclusion.steps[1].ending, StepEnding::Inconclusive);
    // It has looked at nothing since: what its section left is not known, and is told before that ends.
    let unknown = |event: &Event| matches!(event, Event::StepInconclusive { .. });
    assert_eq!((story.has(left), story.has(unknown)), (1, 1));
}

/// No section keeps anybody from anything; the setup runs on all the same.
#[test]
fn a_run_is_not_over_while_an_installer_of_an_earlier_life_is_at_work() {
    let cut = || {
        let mut story = Story::new(vec![install(), Step::ReportFacts], None);
        assert!(story.until(is_install).is_some());
        story.restart();
        assert_eq!(story.run.poll_action(), None, "it is held");
        story
    };
    let mut aborted = cut();
    aborted.run.abort(NOW);
    let mut expired = cut();
    expired.now = NOW.plus(HOUR * 25);
    let late = expired.now;
    expired.run.resume(late);
    for (mut story, ending) in [(aborted, Ending::Aborted), (expired, Ending::Expired)] {
        let wants = |action: &Action| matches!(action, Action::Perform { .. } | Action::Finish(_));
        let first = story.until(wants).unwrap();
        assert!(awaits_installer(&first), "{first:?}");
        let Action::Perform { number, .. } = first else {
            unreachable!()
        };
        assert_eq!(story.run.poll_action(), None);
        let why = "setup.exe (4711) has not ended".to_owned();
        story.run.handle_outcome(number, Outcome::Failed(why), late);
        let conclusion = story.conclusion().unwrap();
        assert_eq!(conclusion.ending, ending);
        let none = (StepEnding::NotBegun, Attempt(0));
        assert_eq!(
            ends(&conclusion),
            [(StepEnding::Inconclusive, Attempt(1)), none]
        );
        let said = &conclusion.steps[0].summary;
        assert!(
            said.contains("4711") && said.contains("look at the server"),
            "{said}"
        );
    }
}
