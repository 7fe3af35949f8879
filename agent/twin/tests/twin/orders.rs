//! What a run does when somebody or something steps in: abort, pause, a restart, leave that comes late, a link that is away,
//! and time that runs out.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::op::{Op, Outcome};
use agent_core::procedure::Host;
use agent_core::run::{Action, Conclusion, Run};
use agent_twin::{Installed, Profile, Twin};
use protocol::event::{Completion, Event, GmsaChange};
use protocol::secret::SecretKind;
use protocol::signed::{
    AgentRelease, Ending, Manifest, ReleaseFile, RoleKeys, Verified, sign, verify,
};
use protocol::step::*;
use protocol::task::TaskText;
use protocol::{Attempt, Digest, StepIndex, Timestamp, Version};

use crate::common::{NEWEST, NOW, PUBLISHER, leave, manifest, target, tenant};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) fn install() -> Step {
    Step::InstallProvisioningAgent(InstallProvisioningAgent {
        artifact: Digest::of(b"setup"),
        cloud: Cloud::Commercial,
        at_least: NEWEST,
        environment: None,
    })
}

/// The wizard with an account that was made beforehand: a section that keeps nobody from anything.
pub(crate) fn wizard() -> Step {
    Step::GuideProvisioningAgent(GuideProvisioningAgent {
        target: target(),
        tenant: tenant(),
        gmsa: Some("svcEntraSync$".parse().unwrap()),
        preferred_dcs: Vec::new(),
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

pub(crate) fn register() -> Step {
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

pub(crate) struct Story {
    bytes: Vec<u8>,
    role: RoleKeys,
    pub(crate) twin: Twin,
    pub(crate) run: Run,
    pub(crate) journal: Vec<Event>,
    pub(crate) now: Timestamp,
    /// The newest number under which something was asked of the shell.
    number: Option<u64>,
}

impl Story {
    /// A run of these steps on a server that has an agent of that version, or none.
    pub(crate) fn new(steps: Vec<Step>, installed: Option<Version>) -> Self {
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
        Self::on(twin, steps)
    }

    /// A run of these steps on that server.
    pub(crate) fn on(twin: Twin, steps: Vec<Step>) -> Self {
        let (bytes, role) = manifest(steps);
        let run = Run::new(verify(&bytes, &role).unwrap(), host(), &[], NOW);
        Self {
            bytes,
            role,
            twin,
            run,
            journal: Vec::new(),
            now: NOW,
            number: None,
        }
    }

    fn verified(&self) -> Verified<Manifest> {
        verify(&self.bytes, &self.role).unwrap()
    }

    /// The agent ends, and comes back with nothing but its journal.
    pub(crate) fn restart(&mut self) {
        self.run = Run::held(self.verified(), host(), &self.journal, self.now);
        self.number = None;
    }

    /// Lets the run go on until it wants something for which `stop` says so, or nothing.
    pub(crate) fn until(&mut self, stop: impl Fn(&Action) -> bool) -> Option<Action> {
        for _ in 0..2000 {
            let action = self.run.poll_action()?;
            if let Action::Journal(event) = &action {
                let own = self.verified().generation;
                assert!(event.generation().is_none_or(|of| of == own));
                self.journal.push(event.clone());
            }
            if let Action::Perform { number, .. } | Action::AskSecret { number, .. } = &action {
                let before = self.number.replace(*number);
                assert!(before < Some(*number), "a number is given once");
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

    pub(crate) fn conclusion(&mut self) -> Option<Conclusion> {
        match self.until(|action| matches!(action, Action::Finish(_))) {
            Some(Action::Finish(conclusion)) => {
                assert_eq!(self.run.poll_action(), None, "nothing is behind the end");
                Some(conclusion)
            }
            _ => None,
        }
    }

    pub(crate) fn ending(&mut self) -> Option<Ending> {
        self.conclusion().map(|conclusion| conclusion.ending)
    }
}

fn host() -> Host {
    Host::model("0")
}

pub(crate) const OLD: Version = Version::new(1, 1, 1373, 0);

pub(crate) fn asks_leave(action: &Action) -> bool {
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
    assert_eq!(story.run.poll_action(), None, "a setup is not left alone");
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
    story.run.handle_permit(step, attempt, leave(None), NOW);
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
    story.run.handle_permit(step, attempt, leave(None), NOW);
    assert_eq!(story.run.poll_action(), None, "nothing was entered");
    story.run.resume(NOW);
    assert!(story.until(asks_leave).is_some());
    // As after a welcome: the controller may have heard nothing of it.
    story.run.ask_again(NOW);
    assert!(story.until(asks_leave).is_some());
    story.run.handle_permit(step, attempt, leave(None), NOW);
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

pub(crate) fn is_install(action: &Action) -> bool {
    matches!(
        action,
        Action::Perform {
            op: Op::Install { .. },
            ..
        }
    )
}

fn is_wait(action: &Action) -> bool {
    matches!(
        action,
        Action::Perform {
            op: Op::Wait { .. },
            ..
        }
    )
}

impl Story {
    /// It asks for leave and gets it.
    pub(crate) fn enters(&mut self) {
        self.enters_after(None);
    }

    /// The same, told of the last change of the gMSA object.
    pub(crate) fn enters_after(&mut self, after: Option<GmsaChange>) {
        let Some(Action::AskPermit { step, attempt, .. }) = self.until(asks_leave) else {
            panic!("no leave was asked for")
        };
        self.run
            .handle_permit(step, attempt, leave(after), self.now);
    }

    pub(crate) fn has(&self, event: impl Fn(&Event) -> bool) -> usize {
        self.journal.iter().filter(|one| event(one)).count()
    }

    /// The number of the secret that it asks for.
    fn secret(&mut self) -> u64 {
        match self.until(|action| matches!(action, Action::AskSecret { .. })) {
            Some(Action::AskSecret { number, .. }) => number,
            other => panic!("no secret: {other:?}"),
        }
    }
}

/// Another installation is under way: it waits, out of service, and an abort does not leave it there.
#[test]
fn an_outage_that_was_entered_is_finished_before_an_abort_ends_it() {
    let mut story = Story::new(vec![install(), Step::ReportFacts], Some(OLD));
    story.enters();
    let Some(Action::Perform { number, .. }) = story.until(is_install) else {
        panic!("no setup")
    };
    story
        .run
        .handle_outcome(number, Outcome::Exited { code: 1618 }, NOW);
    let Some(Action::Perform { number, .. }) = story.until(is_wait) else {
        panic!("it does not wait")
    };
    story.run.abort(NOW);
    assert_eq!(story.run.poll_action(), None, "it is out of service");
    story.run.handle_outcome(number, Outcome::Done, NOW);
    assert_eq!(story.ending(), Some(Ending::Aborted));
    assert_eq!(
        story.has(|event| matches!(event, Event::SectionLeft { .. })),
        1
    );
    assert_eq!(
        story.has(|event| matches!(event, Event::StepCompleted { .. })),
        1
    );
    let begun = story.has(|event| matches!(event, Event::StepBegun { .. }));
    assert_eq!(begun, 1, "the next step is not begun");
    assert_eq!(story.twin.changes.len(), 1);
}

#[test]
fn leave_for_another_step_or_try_and_leave_that_nobody_asked_for_are_not_used() {
    let mut story = Story::new(vec![install()], Some(OLD));
    let number = story.fetch();
    let entered = |story: &Story| story.has(|event| matches!(event, Event::SectionEntered { .. }));
    // It is at that step and did not ask.
    story
        .run
        .handle_permit(StepIndex(0), Attempt(1), leave(None), NOW);
    assert_eq!(story.run.poll_action(), None);
    story.run.handle_outcome(number, Outcome::Done, NOW);
    assert!(story.until(asks_leave).is_some());
    for (step, attempt) in [(1, 1), (0, 2), (0, 0)] {
        let (step, attempt) = (StepIndex(step), Attempt(attempt));
        story.run.handle_permit(step, attempt, leave(None), NOW);
        assert_eq!(story.run.poll_action(), None);
    }
    assert_eq!(entered(&story), 0);
    story
        .run
        .handle_permit(StepIndex(0), Attempt(1), leave(None), NOW);
    assert!(story.until(is_install).is_some());
    assert_eq!(entered(&story), 1);
}

/// What is being done goes on over a pause, and is done once.
#[test]
fn an_operation_that_runs_is_not_begun_again_when_the_run_goes_on() {
    let mut story = Story::new(vec![install(), Step::ReportFacts], None);
    let Some(Action::Perform { number, op }) = story.until(is_install) else {
        panic!("no setup")
    };
    story.run.pause();
    story.run.resume(NOW);
    assert_eq!(story.run.poll_action(), None);
    story.run.pause();
    let (outcome, _) = story.twin.perform(&op, &BTreeMap::new());
    story.run.handle_outcome(number, outcome, NOW);
    assert!(story.until(|_| false).is_none(), "no further step begins");
    let begun = |story: &Story| story.has(|event| matches!(event, Event::StepBegun { .. }));
    assert_eq!(begun(&story), 1);
    story.run.resume(NOW);
    assert_eq!(story.ending(), Some(Ending::Completed));
    assert_eq!((begun(&story), story.twin.changes.len()), (2, 1));
    // An outcome of nothing that is waited for is dropped.
    story
        .run
        .handle_outcome(number, Outcome::Failed("late".to_owned()), NOW);
    assert_eq!(story.run.poll_action(), None);
}

#[test]
fn what_is_paused_and_then_aborted_while_it_is_busy_ends_with_that() {
    let mut story = Story::new(vec![install(), Step::ReportFacts], None);
    let Some(Action::Perform { number, op }) = story.until(is_install) else {
        panic!("no setup")
    };
    story.run.pause();
    story.run.abort(NOW);
    assert_eq!(story.run.poll_action(), None, "a setup is not left alone");
    let (outcome, _) = story.twin.perform(&op, &BTreeMap::new());
    story.run.handle_outcome(number, outcome, NOW);
    assert_eq!(story.ending(), Some(Ending::Aborted));
    let begun = story.has(|event| matches!(event, Event::StepBegun { .. }));
    assert_eq!(begun, 1, "the next step is not begun");
}

/// After a welcome it is asked again under another number, since nobody knows whether the first ask was heard.
#[test]
fn an_answer_to_an_ask_that_was_made_again_since_is_dropped() {
    let mut story = Story::new(vec![install(), register()], None);
    let first = story.secret();
    assert!(story.run.awaits_secret(first));
    story.run.ask_again(NOW);
    let second = story.secret();
    assert_ne!(first, second);
    assert!(story.run.awaits_secret(second) && !story.run.awaits_secret(first));
    let received = |story: &Story| story.has(|event| matches!(event, Event::SecretReceived { .. }));
    let wanted = SecretKind::AccessToken { tenant: tenant() };
    story.run.handle_secret(first, &wanted, Ok(()), NOW);
    assert_eq!(story.run.poll_action(), None);
    // A pause does not take back the ask.
    story.run.pause();
    story.run.resume(NOW);
    assert!(story.run.awaits_secret(second));
    story.run.handle_secret(second, &wanted, Ok(()), NOW);
    assert!(story.until(asks_leave).is_some(), "it goes on");
    assert_eq!(received(&story), 1);
    // One that was refused is told by the step, and was not received.
    let mut story = Story::new(vec![install(), register()], None);
    let number = story.secret();
    story
        .run
        .handle_secret(number, &wanted, Err("nobody gave it".to_owned()), NOW);
    let ending = story.ending();
    assert!(
        matches!(&ending, Some(Ending::Failed(why)) if why.contains("nobody gave it")),
        "{ending:?}"
    );
    assert_eq!(received(&story), 0);
}

/// Each is good for the whole of its last moment.
#[test]
fn a_bundle_and_a_step_have_all_of_their_time() {
    let moment = Duration::from_millis(1);
    // Waiting for leave, and for the bytes, it expires behind its end.
    let end = NOW.plus(HOUR * 24);
    let mut waits = Story::new(vec![install()], Some(OLD));
    assert!(waits.until(asks_leave).is_some());
    let mut fetches = Story::new(vec![install()], None);
    fetches.fetch();
    for story in [&mut waits, &mut fetches] {
        assert_eq!(story.run.poll_timeout(), Some(end.plus(moment)));
        story.run.handle_timeout(end);
        assert_eq!(story.run.poll_action(), None);
        story.run.handle_timeout(end.plus(moment));
        assert_eq!(story.ending(), Some(Ending::Expired));
        assert_eq!(story.run.poll_timeout(), None);
    }
    // A step that is busy fails at its limit, and not before.
    let mut story = Story::new(vec![install()], None);
    assert!(story.until(is_install).is_some());
    let due = story.run.poll_timeout().unwrap();
    assert_eq!(due, NOW.plus(install().time_limit()));
    story.run.handle_timeout(due.minus(moment));
    assert_eq!(story.run.poll_action(), None);
    story.run.handle_timeout(due);
    assert!(matches!(story.ending(), Some(Ending::Failed(_))));
    // Its time begins when the bytes are here, and not anew with each thing that it does.
    let mut story = Story::new(vec![install()], None);
    let number = story.fetch();
    story.now = NOW.plus(HOUR * 5);
    story.run.handle_outcome(number, Outcome::Done, story.now);
    let Some(Action::Perform { number, .. }) = story.until(is_install) else {
        panic!("no setup")
    };
    let due = story.now.plus(install().time_limit());
    assert_eq!(story.run.poll_timeout(), Some(due));
    story.now = story.now.plus(Duration::from_secs(600));
    let busy = Outcome::Exited { code: 1618 };
    story.run.handle_outcome(number, busy, story.now);
    assert!(story.until(is_wait).is_some());
    assert_eq!(story.run.poll_timeout(), Some(due));
    // A step begins until its bundle ends.
    for (late, wanted) in [
        (Duration::ZERO, Ending::Completed),
        (moment, Ending::Expired),
    ] {
        let mut story = Story::new(vec![Step::ReportFacts, install()], None);
        let first = |action: &Action| matches!(action, Action::Journal(Event::StepBegun { .. }));
        assert!(story.until(first).is_some());
        story.now = end.plus(late);
        assert_eq!(story.ending(), Some(wanted));
    }
}

#[test]
fn a_word_counts_for_the_step_that_waits_for_it_and_for_no_other() {
    let mut story = Story::new(vec![install(), wizard()], None);
    story.enters();
    let goes_on = |story: &mut Story| {
        let Some(Action::Perform { number, .. }) = story.until(is_wait) else {
            panic!("it does not wait")
        };
        number
    };
    let number = goes_on(&mut story);
    let at = story.run.current_step().map(|(step, _)| step);
    assert_eq!(at, Some(StepIndex(1)));
    story.run.handle_attested(StepIndex(0), "bob".to_owned());
    story.run.handle_outcome(number, Outcome::Done, NOW);
    let number = goes_on(&mut story);
    story.run.handle_attested(StepIndex(1), "anna".to_owned());
    story.run.handle_outcome(number, Outcome::Done, NOW);
    story.ending();
    let completions: Vec<&Completion> = story
        .journal
        .iter()
        .filter_map(|event| match event {
            Event::StepCompleted { completion, .. } => Some(completion),
            _ => None,
        })
        .collect();
    let anna = Completion::Attested {
        by: "anna".to_owned(),
    };
    assert_eq!(completions, [&Completion::Applied, &anna]);
}

/// It looks at the server first, and is aborted meanwhile: the secret behind that look is not asked for.
#[test]
fn what_is_aborted_within_a_step_asks_for_nothing_more_in_it() {
    let mut story = Story::new(vec![install(), register()], None);
    let begins = |action: &Action| matches!(action, Action::Journal(Event::StepBegun { step, .. }) if *step == StepIndex(1));
    assert!(story.until(begins).is_some());
    let performs = |action: &Action| matches!(action, Action::Perform { .. });
    let Some(Action::Perform { number, op }) = story.until(performs) else {
        panic!("it does not look")
    };
    story.run.abort(NOW);
    assert_eq!(story.run.poll_action(), None, "it is busy");
    // Nor does an outcome of something before count for it.
    let late = Outcome::Failed("late".to_owned());
    story.run.handle_outcome(number - 1, late, NOW);
    assert_eq!(story.run.poll_action(), None);
    let (outcome, _) = story.twin.perform(&op, &BTreeMap::new());
    story.run.handle_outcome(number, outcome, NOW);
    assert_eq!(story.ending(), Some(Ending::Aborted));
    assert_eq!(
        story.has(|event| matches!(event, Event::SecretAsked { .. })),
        0
    );
    assert_eq!(
        story.has(|event| matches!(event, Event::StepFailed { .. })),
        0
    );
}

/// A newer trust root names another publisher while a run is under way.
#[test]
fn who_may_replace_the_agent_is_whom_the_newest_root_names() {
    let steps = || {
        let version = Version::new(0, 9, 0, 0);
        let release = AgentRelease {
            format: 1,
            version,
            issued: NOW,
            files: vec![ReleaseFile {
                platform: AgentRelease::this_platform(),
                sha256: Digest::of(b"agent"),
                chunks: Digest::ZERO,
                size: 5,
            }],
        };
        let release = sign(&release, &[&*PUBLISHER]).to_json();
        let release = String::from_utf8(release).unwrap();
        vec![
            Step::ReportFacts,
            Step::UpgradeAgent(UpgradeAgent { version, release }),
        ]
    };
    let mut story = Story::new(steps(), None);
    assert!(
        matches!(story.ending(), Some(Ending::Failed(_))),
        "nobody may"
    );
    let mut story = Story::new(steps(), None);
    story.run.trust(RoleKeys {
        keys: vec![PUBLISHER.public()],
        threshold: 1,
    });
    story.enters();
    assert_eq!(story.ending(), Some(Ending::Completed));
    assert_eq!(story.twin.agent(), Some(Version::new(0, 9, 0, 0)));
    // The section of the switch keeps nobody from anything: behind it the new version waits until its controller lets it go on.
    let mut story = Story::new(steps(), None);
    let publisher = || RoleKeys {
        keys: vec![PUBLISHER.public()],
        threshold: 1,
    };
    story.run.trust(publisher());
    story.enters();
    let switches = |action: &Action| {
        matches!(
            action,
            Action::Perform {
                op: Op::SwitchAgent { .. },
                ..
            }
        )
    };
    assert!(story.until(switches).is_some());
    story.restart();
    story.run.trust(publisher());
    assert_eq!(story.run.poll_action(), None, "it is held");
    story.run.resume(NOW);
    assert!(story.run.poll_action().is_some());
}

/// What the server has become is told where a step may have changed it, and nothing is asked of it in vain.
#[test]
fn facts_are_reported_behind_what_may_have_changed_them_alone() {
    let behind = |story: &Story| {
        let last = |of: fn(&Event) -> bool| story.journal.iter().rposition(of);
        let facts = last(|event| matches!(event, Event::FactsReported(_)));
        facts > last(|event| matches!(event, Event::StepCompleted { .. }))
    };
    let mut reads = Story::new(vec![Step::ReportFacts], None);
    assert_eq!(reads.ending(), Some(Ending::Completed));
    assert!(!behind(&reads), "nothing was changed");
    let mut changes = Story::new(vec![Step::ReportFacts, install()], None);
    assert_eq!(changes.ending(), Some(Ending::Completed));
    assert!(behind(&changes));
    // The second step would change something, and is not begun.
    let mut ended = Story::new(vec![Step::ReportFacts, install()], None);
    let begins = |action: &Action| matches!(action, Action::Journal(Event::StepBegun { .. }));
    assert!(ended.until(begins).is_some());
    ended.run.pause();
    assert!(ended.until(|_| false).is_none());
    ended.run.abort(NOW);
    assert_eq!(ended.ending(), Some(Ending::Aborted));
    assert_eq!(
        ended.has(|event| matches!(event, Event::StepCompleted { .. })),
        1
    );
    assert!(!behind(&ended), "what was not begun has changed nothing");
}
