//! What a run does when somebody or something steps in: abort, pause, a restart, leave that comes late, a link that is away,
//! and time that runs out.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::op::{Op, Outcome};
use agent_core::procedure::Host;
use agent_core::run::{Action, Run};
use agent_twin::{Installed, Profile, Twin};
use protocol::event::Event;
use protocol::signed::{Ending, Manifest, RoleKeys, Verified, verify};
use protocol::step::*;
use protocol::task::TaskText;
use protocol::{Digest, Timestamp, Version};

use crate::common::{NEWEST, NOW, manifest, target, tenant};

const HOUR: Duration = Duration::from_secs(3600);
fn install() -> Step {
    Step::InstallProvisioningAgent(InstallProvisioningAgent {
        artifact: Digest::of(b"setup"),
        cloud: Cloud::Commercial,
        at_least: NEWEST,
    })
}

/// The wizard with an account that was made beforehand: a section that keeps nobody from anything.
fn wizard() -> Step {
    Step::GuideProvisioningAgent(GuideProvisioningAgent {
        target: target(),
        tenant: tenant(),
        gmsa: Some("svcEntraSync$".parse().unwrap()),
        home_domain: "corp.contoso.com".parse().unwrap(),
        domains: Vec::new(),
        text: TaskText {
            title: "wizard".to_owned(),
            why: "sign-in".to_owned(),
            bring: Vec::new(),
            pages: Vec::new(),
            seen_by: "TenantID".to_owned(),
        },
    })
}

fn register() -> Step {
    let Step::GuideProvisioningAgent(guide) = wizard() else {
        unreachable!()
    };
    Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
        target: target(),
        tenant: tenant(),
        cloud: Cloud::Commercial,
        sign_in: SignIn::Token,
        gmsa: guide.gmsa,
        home_domain: guide.home_domain,
        domains: Vec::new(),
        proxy: None,
        wizard: guide.text,
    })
}

struct Story {
    bytes: Vec<u8>,
    role: RoleKeys,
    twin: Twin,
    run: Run,
    journal: Vec<Event>,
    now: Timestamp,
}

impl Story {
    /// A run of these steps on a server that has an agent of that version, or none.
    fn new(steps: Vec<Step>, installed: Option<Version>) -> Self {
        let (bytes, role) = manifest(steps);
        let installed = match installed {
            Some(version) => Installed::ProvisioningAgent {
                version,
                tenant: tenant(),
            },
            None => Installed::Nothing,
        };
        let twin = Twin::new(Profile {
            target: target(),
            installed,
            person: None,
            faults: [].into(),
        });
        let run = Run::new(verify(&bytes, &role).unwrap(), host(), &[], NOW);
        Self {
            bytes,
            role,
            twin,
            run,
            journal: Vec::new(),
            now: NOW,
        }
    }

    fn verified(&self) -> Verified<Manifest> {
        verify(&self.bytes, &self.role).unwrap()
    }

    /// The agent ends, and comes back with nothing but its journal.
    fn restart(&mut self) {
        self.run = Run::held(self.verified(), host(), &self.journal, self.now);
    }

    /// Lets the run go on until it wants something for which `stop` says so, or nothing.
    fn until(&mut self, stop: impl Fn(&Action) -> bool) -> Option<Action> {
        for _ in 0..2000 {
            let action = self.run.poll_action()?;
            if let Action::Journal(event) = &action {
                self.journal.push(event.clone());
            }
            if stop(&action) {
                return Some(action);
            }
            if let Action::Perform { number, op } = action {
                let (outcome, _) = self.twin.perform(&op, &BTreeMap::new());
                self.run.handle_outcome(number, outcome, self.now);
            }
        }
        panic!("the run does not end");
    }

    fn fetch(&mut self) -> u64 {
        let action = self.until(|action| {
            matches!(
                action,
                Action::Perform {
                    op: Op::Fetch { .. },
                    ..
                }
            )
        });
        match action {
            Some(Action::Perform { number, .. }) => number,
            other => panic!("no fetch: {other:?}"),
        }
    }

    fn ending(&mut self) -> Option<Ending> {
        match self.until(|action| matches!(action, Action::Finish(_))) {
            Some(Action::Finish(conclusion)) => Some(conclusion.ending),
            _ => None,
        }
    }
}

fn host() -> Host {
    Host::model("0")
}

const OLD: Version = Version::new(1, 1, 1373, 0);

fn asks_leave(action: &Action) -> bool {
    matches!(action, Action::AskPermit { .. })
}

#[test]
fn what_is_aborted_while_it_is_busy_asks_for_nothing_more() {
    // An upgrade of an agent that serves asks for leave behind the fetch; a registration for a token behind its probes.
    let mut story = Story::new(vec![install()], Some(OLD));
    let number = story.fetch();
    story.run.abort(NOW);
    story.run.handle_outcome(number, Outcome::Done, NOW);
    assert_eq!(story.ending(), Some(Ending::Aborted));
    let mut story = Story::new(vec![install(), register()], None);
    let busy = |action: &Action| {
        matches!(
            action,
            Action::Perform {
                op: Op::Install { .. },
                ..
            }
        )
    };
    let Some(Action::Perform { number, op }) = story.until(busy) else {
        panic!("no setup")
    };
    story.run.abort(NOW);
    let (outcome, _) = story.twin.perform(&op, &BTreeMap::new());
    story.run.handle_outcome(number, outcome, NOW);
    assert_eq!(story.ending(), Some(Ending::Aborted));
    let asked = |event: &Event| matches!(event, Event::SecretAsked { .. });
    assert!(!story.journal.iter().any(asked));
    assert_eq!(
        story.twin.changes.len(),
        1,
        "the setup's own end was waited for"
    );
}

#[test]
fn what_is_aborted_while_a_person_works_ends() {
    let mut story = Story::new(vec![install(), wizard()], None);
    let Some(Action::AskPermit { step, attempt, .. }) = story.until(asks_leave) else {
        panic!("no leave was asked for")
    };
    story.run.handle_permit(step, attempt, None, NOW);
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
    story.run.abort(NOW);
    assert_eq!(story.ending(), Some(Ending::Aborted));
}

#[test]
fn after_a_restart_nothing_begins_before_it_may() {
    let mut story = Story::new(vec![Step::ReportFacts, install()], Some(OLD));
    let first = |action: &Action| matches!(action, Action::Journal(Event::StepCompleted { .. }));
    assert!(story.until(first).is_some());
    story.restart();
    assert_eq!(story.run.poll_action(), None);
    story.run.resume(NOW);
    assert!(story.until(asks_leave).is_some());
    // What was begun and cut off is begun again, and that waits just as well.
    story.restart();
    assert_eq!(story.run.poll_action(), None);
    story.run.abort(NOW);
    assert_eq!(story.ending(), Some(Ending::Aborted));
}

#[test]
fn leave_that_comes_after_a_pause_is_asked_for_again() {
    let mut story = Story::new(vec![install()], Some(OLD));
    let Some(Action::AskPermit { step, attempt, .. }) = story.until(asks_leave) else {
        panic!("no leave was asked for")
    };
    story.run.pause();
    story.run.handle_permit(step, attempt, None, NOW);
    assert_eq!(story.run.poll_action(), None, "nothing was entered");
    story.run.resume(NOW);
    assert!(story.until(asks_leave).is_some());
    // As after a welcome: the controller may have heard nothing of it.
    story.run.ask_again(NOW);
    assert!(story.until(asks_leave).is_some());
    story.run.handle_permit(step, attempt, None, NOW);
    assert_eq!(story.ending(), Some(Ending::Completed));
    let entered = |event: &&Event| matches!(event, Event::SectionEntered { .. });
    assert_eq!(story.journal.iter().filter(entered).count(), 1);
}

#[test]
fn a_fetch_takes_as_long_as_the_link_is_away_and_no_longer_than_its_bundle_is_good() {
    let mut story = Story::new(vec![install()], None);
    let number = story.fetch();
    story.now = NOW.plus(HOUR * 5);
    story.run.handle_timeout(story.now);
    assert_eq!(story.run.poll_action(), None);
    story.run.handle_outcome(number, Outcome::Done, story.now);
    assert_eq!(
        story.ending(),
        Some(Ending::Completed),
        "the step's own time began with the bytes"
    );

    let mut story = Story::new(vec![install()], None);
    story.fetch();
    let due = story.run.poll_timeout().unwrap();
    assert!(due > NOW.plus(HOUR * 24), "{due}");
    story.run.handle_timeout(due);
    assert_eq!(story.ending(), Some(Ending::Expired));
    assert!(story.twin.changes.is_empty());
}

#[test]
fn a_step_that_takes_too_long_fails_and_one_that_waits_for_leave_expires() {
    let mut story = Story::new(vec![install()], None);
    let busy = |action: &Action| {
        matches!(
            action,
            Action::Perform {
                op: Op::Install { .. },
                ..
            }
        )
    };
    assert!(story.until(busy).is_some());
    let due = story.run.poll_timeout().unwrap();
    story.run.handle_timeout(due);
    let failed = |event: &Event| matches!(event, Event::StepFailed { failure, .. } if failure.what.starts_with("it took longer than 60 minutes; the installer that was begun was not ended"));
    assert!(matches!(story.ending(), Some(Ending::Failed(_))));
    assert!(story.journal.iter().any(failed));

    let mut story = Story::new(vec![install()], Some(OLD));
    assert!(story.until(asks_leave).is_some());
    story.run.handle_timeout(NOW.plus(HOUR * 23));
    assert_eq!(story.run.poll_action(), None);
    let due = story.run.poll_timeout().unwrap();
    story.run.handle_timeout(due);
    assert_eq!(story.ending(), Some(Ending::Expired));
}
