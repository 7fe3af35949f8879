//! An abort while a person works, or is to work, in a section that keeps others from something: the run ends all the same, and
//! what that person may have done by then is told as unknown.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use agent_core::op::{Op, Outcome};
use agent_core::run::Action;
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, GmsaChange, Section};
use protocol::signed::{Ending, StepEnding};
use protocol::step::{
    AddDomains, AwaitFullSync, DirectoryRights, GuideProvisioningAgent, RegisterProvisioningAgent,
    ServedDomain, SignIn, Step,
};

use crate::common::{NEWEST, NOW, target, tenant, text};
use crate::orders::{Story, asks_leave, install, register, wizard};
use crate::transition;

/// The wizard makes the product's own gMSA: nobody else changes that meanwhile (G3).
fn own_gmsa() -> Step {
    let Step::GuideProvisioningAgent(guide) = wizard() else {
        unreachable!()
    };
    Step::GuideProvisioningAgent(GuideProvisioningAgent {
        gmsa: None,
        ..guide
    })
}

/// The cmdlets make it, once it is sure that the change before is readable.
fn own_gmsa_by_cmdlets() -> Step {
    let Step::RegisterProvisioningAgent(register) = register() else {
        unreachable!()
    };
    let domains = vec![ServedDomain {
        name: register.home_domain.clone(),
        preferred_dcs: Vec::new(),
        rights: DirectoryRights::Ask,
        permissions: Vec::new(),
    }];
    Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
        gmsa: None,
        domains,
        ..register
    })
}

/// Domains are added at the wizard of an agent that serves.
fn more_domains() -> Step {
    Step::AddDomains(AddDomains {
        tenant: tenant(),
        sign_in: SignIn::Wizard,
        proxy: None,
        domains: vec![ServedDomain {
            name: "emea.corp.contoso.com".parse().unwrap(),
            preferred_dcs: Vec::new(),
            rights: DirectoryRights::Handover,
            permissions: Vec::new(),
        }],
        wizard: text(),
    })
}

/// A run of these steps on a server to whose wizard nobody comes.
fn story(installed: Installed, steps: Vec<Step>) -> Story {
    let mut twin = Twin::new(Profile {
        target: target(),
        installed,
        person: None,
        faults: [].into(),
    });
    for step in &steps {
        twin.asked(step);
    }
    Story::on(twin, steps)
}

fn serving() -> Installed {
    Installed::ProvisioningAgent {
        version: NEWEST,
        tenant: tenant(),
    }
}

fn unregistered() -> Installed {
    Installed::Unregistered { version: NEWEST }
}

fn connect() -> Installed {
    Installed::Connect {
        version: transition::SINCE,
        staging: false,
    }
}

/// The change of another server. Where who may read it is not told, nobody can see that it has arrived.
fn change(readers: Option<&str>) -> GmsaChange {
    GmsaChange {
        by: "sync-02.corp.contoso.com".parse().unwrap(),
        name: "provAgentgMSA$".parse().ok(),
        readers: readers.map(|one| vec![one.to_owned()]),
    }
}

impl Story {
    /// Goes on until it asks for leave for a section that claims something; secrets that it asks for come.
    fn asks(&mut self) -> Section {
        loop {
            let stop =
                |action: &Action| asks_leave(action) || matches!(action, Action::AskSecret { .. });
            match self.until(stop) {
                Some(Action::AskSecret { number, wanted, .. }) => {
                    self.run.handle_secret(number, &wanted, Ok(()), self.now);
                }
                Some(Action::AskPermit { section, .. }) => return section,
                other => panic!("no leave was asked for: {other:?}"),
            }
        }
    }

    /// Leave comes for what it asks, told of the last change of the gMSA object.
    fn given(&mut self, after: Option<GmsaChange>) {
        self.run.ask_again(self.now);
        self.enters_after(after);
    }

    /// Goes on until it waits. What a secret says of itself is not looked at here.
    fn waits(&mut self) {
        loop {
            let asks = |op: &Op| matches!(op, Op::SecretsFit { .. } | Op::Wait { .. });
            match self.until(|action| matches!(action, Action::Perform { op, .. } if asks(op))) {
                Some(Action::Perform {
                    number,
                    op: Op::SecretsFit { .. },
                }) => {
                    let now = self.now;
                    self.run.handle_outcome(number, Outcome::Exists(true), now);
                }
                Some(_) => return,
                None => panic!("it does not wait"),
            }
        }
    }

    fn opened(&self) -> usize {
        self.has(|event| matches!(event, Event::TaskOpened { .. }))
    }

    /// What it told of the sections that it left.
    fn left(&self) -> Vec<Option<GmsaChange>> {
        let left = self.journal.iter().filter_map(|event| {
            if let Event::SectionLeft { gmsa, .. } = event {
                Some(gmsa.clone())
            } else {
                None
            }
        });
        left.collect()
    }

    /// What it told that it does not know.
    fn questions(&self) -> Vec<String> {
        let told = self.journal.iter().filter_map(|event| {
            if let Event::StepInconclusive { question, .. } = event {
                Some(question.clone())
            } else {
                None
            }
        });
        told.collect()
    }

    /// It was aborted, and ends without doing anything more. What its last step is told to have come to.
    fn breaks_off(&mut self) -> (StepEnding, String) {
        let changes = self.twin.changes.len();
        let begun = |story: &Self| story.has(|event| matches!(event, Event::StepBegun { .. }));
        let before = begun(self);
        let conclusion = self.conclusion().expect("it ends");
        assert_eq!(conclusion.ending, Ending::Aborted);
        assert_eq!((self.twin.changes.len(), begun(self)), (changes, before));
        let mut steps = conclusion.steps.into_iter();
        let last = steps
            .rfind(|one| one.ending != StepEnding::NotBegun)
            .unwrap();
        (last.ending, last.summary)
    }
}

#[test]
fn what_is_aborted_while_a_person_is_at_work_in_a_section_that_claims_something_ends() {
    for (steps, installed) in [
        (vec![own_gmsa()], unregistered()),
        (vec![install(), own_gmsa()], Installed::Nothing),
        (vec![more_domains()], serving()),
        (vec![transition::guide()], connect()),
    ] {
        let name = steps.last().unwrap().title();
        let mut story = story(installed, steps);
        let section = story.asks();
        assert!(section.outage || section.gmsa.is_some(), "{name}");
        story.given(None);
        story.waits();
        assert!(story.opened() > 0, "{name}");
        story.run.abort(NOW);
        let (ending, summary) = story.breaks_off();
        assert_eq!(ending, StepEnding::Inconclusive, "{name}");
        assert!(summary.contains("is not known"), "{name}: {summary}");
        // It is told where it is looked for, and not in the receipt alone.
        assert_eq!(story.questions(), [summary], "{name}");
        // What was done to the object is unknown, which whoever changes it next is told.
        assert_eq!(story.left(), [None], "{name}");
    }
}

/// Nothing is unknown of a server at which a step only looks: whether a person is asked meanwhile, or nobody.
#[test]
fn what_only_looks_is_aborted_without_a_doubt() {
    for (more, asked) in [(Some(Fault::SchedulerSuspended), 1), (None, 0)] {
        let mut twin = Twin::new(Profile {
            target: target(),
            installed: connect(),
            person: None,
            faults: [Fault::FullSyncDue].into_iter().chain(more).collect(),
        });
        let wait = Step::AwaitFullSync(AwaitFullSync {
            within_minutes: 24 * 60,
            text: text(),
        });
        twin.asked(&wait);
        let mut story = Story::on(twin, vec![wait]);
        let told = |action: &Action| {
            if asked == 0 {
                matches!(action, Action::Journal(Event::Probed { .. }))
            } else {
                matches!(action, Action::Journal(Event::TaskOpened { .. }))
            }
        };
        assert!(story.until(told).is_some());
        story.waits();
        story.run.abort(NOW);
        let (ending, summary) = story.breaks_off();
        assert_eq!(ending, StepEnding::Inconclusive);
        assert_eq!(
            summary,
            "aborted before its end was seen: it only looks, and nothing was changed"
        );
        assert!(story.questions().is_empty());
        assert_eq!(story.opened(), asked);
    }
}

/// What another server changed is not readable here yet, or nobody can see it: nothing was done, so that change still stands.
#[test]
fn what_is_aborted_while_it_waits_for_the_change_before_ends_and_that_change_stands() {
    for (unseen, tasks) in [(change(None), 1), (change(Some("S-1-5-21-1-2-3-1111")), 0)] {
        for (steps, installed) in [
            (vec![own_gmsa()], unregistered()),
            (vec![own_gmsa_by_cmdlets()], unregistered()),
            (vec![transition::guide()], connect()),
        ] {
            let name = steps[0].title();
            let mut story = story(installed, steps);
            let section = story.asks();
            assert!(section.gmsa.is_some(), "{name}");
            story.given(Some(unseen.clone()));
            story.waits();
            assert_eq!(story.opened(), tasks, "{name}");
            story.run.abort(NOW);
            let (_, summary) = story.breaks_off();
            assert_eq!(summary, "", "{name}: nothing was done");
            assert!(story.questions().is_empty(), "{name}");
            assert_eq!(story.left(), [Some(unseen.clone())], "{name}");
            assert!(story.twin.changes.is_empty(), "{name}");
        }
    }
}

/// An earlier life of the agent may have had a person at the wizard: what that one did is not known either.
#[test]
fn what_was_cut_off_and_is_aborted_before_anything_is_done_anew_tells_that_it_does_not_know() {
    let mut story = story(unregistered(), vec![own_gmsa()]);
    story.asks();
    story.given(None);
    story.waits();
    story.restart();
    story.run.resume(NOW);
    // It has its leave still, and asks for none.
    story.waits();
    story.run.abort(NOW);
    let (_, summary) = story.breaks_off();
    assert!(summary.contains("is not known"), "{summary}");
    assert_eq!(story.left(), [None]);
}

/// It looks at something when the abort comes: nobody is shown work behind that.
#[test]
fn what_is_aborted_before_a_person_is_shown_the_work_shows_none() {
    let mut story = story(connect(), vec![transition::guide()]);
    story.asks();
    story.given(None);
    let performs = |action: &Action| matches!(action, Action::Perform { .. });
    let Some(Action::Perform { number, op }) = story.until(performs) else {
        panic!("it does not look")
    };
    story.run.abort(NOW);
    assert_eq!(story.run.poll_action(), None, "it is busy");
    let (outcome, _) = story.twin.perform(&op, &Default::default());
    story.run.handle_outcome(number, outcome, NOW);
    story.breaks_off();
    assert_eq!(story.opened(), 0);
    assert_eq!(story.left().len(), 1);
}
