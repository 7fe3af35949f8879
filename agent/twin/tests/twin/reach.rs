//! A link that is cut at each moment of a run: nothing begins until it is back and somebody has said that it goes on, what was begun
//! comes to its end, and the end is the same as without the cut.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::op::{Op, Outcome, Script};
use agent_core::run::{Action, Conclusion};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::Event;
use protocol::secret::{Secret, SecretKind};
use protocol::signed::{Ending, StepEnding};
use protocol::step::{ConnectWork, Fix, Step};

use crate::common::{NOW, leave, target, tenant};
use crate::cut_off::own;
use crate::mended;
use crate::orders::{HOUR, OLD, Story, asks_leave, install, is_install, register, wizard};
use crate::run::connect_steps;

/// What an operation writes on the server, by its name.
fn writes(op: &Op) -> bool {
    matches!(
        op,
        Op::SetRegistry { .. }
            | Op::ClearRegistry { .. }
            | Op::RequireRestart
            | Op::EnableService { .. }
            | Op::RestartService { .. }
            | Op::Stage { .. }
            | Op::Install { .. }
            | Op::Script {
                script: Script::ConfigureProvisioningAgent,
                ..
            }
    )
}

/// What stood when the link was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Its step had begun with its work, or was in its section: it comes to its end.
    Work,
    /// Between two works: nothing more begins.
    Gate,
}

/// A run whose link is cut before what it asked for at that place has come.
struct Link {
    story: Story,
    secrets: BTreeMap<SecretKind, Secret>,
    cut: Option<usize>,
    asked: usize,
    /// What was so at the cut, once it was cut.
    at: Option<At>,
    up: bool,
    /// Somebody has said that it goes on, or it was never cut: leave and secrets are given.
    said: bool,
    /// A fetch waits for the link.
    fetch: Option<u64>,
    /// An ask for leave, or for a secret, that has no answer yet.
    pending: Option<Action>,
    /// The step that is under way has written on its server, or a person is at its work.
    wrote: bool,
}

impl Link {
    fn new(twin: &Twin, steps: &[Step], cut: Option<usize>) -> Self {
        let mut twin = twin.clone();
        for step in steps {
            twin.asked(step);
        }
        Self {
            story: Story::on(twin, steps.to_vec()),
            secrets: BTreeMap::new(),
            cut,
            asked: 0,
            at: None,
            up: true,
            said: true,
            fetch: None,
            pending: None,
            wrote: false,
        }
    }

    /// Something is under way, and the link is cut if it is to be.
    fn asks(&mut self) {
        if Some(self.asked) == self.cut {
            let entered = self.count(|event| matches!(event, Event::SectionEntered { .. }));
            let left = self.count(|event| matches!(event, Event::SectionLeft { .. }));
            let busy = self.wrote || entered > left;
            self.at = Some(if busy { At::Work } else { At::Gate });
            self.up = false;
            self.said = false;
            self.story.run.out_of_reach();
        }
        self.asked += 1;
    }

    fn count(&self, event: impl Fn(&Event) -> bool) -> usize {
        self.story.has(event)
    }

    /// Steps that change the server and were begun so far.
    fn begun(&self, steps: &[Step]) -> usize {
        self.count(|event| {
            if let Event::StepBegun { step, .. } = event {
                !steps[usize::from(step.0)].is_read_only()
            } else {
                false
            }
        })
    }

    /// Goes on until it waits, or ends.
    fn go_on(&mut self) -> Option<Conclusion> {
        for _ in 0..2000 {
            match self.story.run.poll_action()? {
                Action::Journal(event) => {
                    if let Event::StepBegun { .. } | Event::StepCompleted { .. } = &event {
                        self.wrote = false;
                    }
                    // A person is at it from here on, in a section or not.
                    self.wrote |= matches!(event, Event::TaskOpened { .. });
                    self.story.journal.push(event);
                }
                Action::Perform { number, op } => {
                    let (outcome, _) = self.story.twin.perform(&op, &self.secrets);
                    self.wrote |= writes(&op);
                    if !op.is_glance() {
                        self.asks();
                    }
                    if !self.up && matches!(op, Op::Fetch { .. }) {
                        self.fetch = Some(number);
                        continue;
                    }
                    self.story.run.handle_outcome(number, outcome, NOW);
                }
                ask @ (Action::AskPermit { .. } | Action::AskSecret { .. }) => {
                    self.asks();
                    if self.said {
                        self.given(ask);
                    } else {
                        self.pending = Some(ask);
                    }
                }
                Action::Finish(conclusion) => return Some(conclusion),
            }
        }
        panic!("the run does not end");
    }

    /// What it asked for comes.
    fn given(&mut self, ask: Action) {
        if let Action::AskPermit { step, attempt, .. } = ask {
            let leave = leave(None);
            self.story.run.handle_permit(step, attempt, leave, NOW);
        } else if let Action::AskSecret { number, wanted, .. } = ask {
            let secret = Secret {
                user: "admin".to_owned(),
                value: "value".to_owned(),
            };
            self.secrets.insert(wanted.clone(), secret);
            self.story.run.handle_secret(number, &wanted, Ok(()), NOW);
        }
    }

    /// It is said that it goes on, and what it has asked for comes.
    fn resumed(&mut self) {
        self.said = true;
        self.story.run.resume(NOW);
        if let Some(ask) = self.pending.take() {
            self.given(ask);
        }
    }

    /// The link is back, and the agent was welcomed. A fetch comes to its end before anything is said.
    fn welcomed(&mut self) {
        self.up = true;
        if let Some(number) = self.fetch.take() {
            self.story.run.handle_outcome(number, Outcome::Done, NOW);
        }
        self.story.run.ask_again(NOW);
    }
}

fn twin(installed: Installed, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed,
        person: Some(tenant()),
        faults: faults.iter().copied().collect(),
    })
}

fn old() -> Installed {
    Installed::ProvisioningAgent {
        version: OLD,
        tenant: tenant(),
    }
}

fn fixes() -> Step {
    let home = ["corp.contoso.com"];
    Step::Preflight(mended::preflight(None, &home, vec![Fix::Tls12]))
}

/// What is done to servers in these stories: one that is mended and installed, an upgrade in its section, a registration by cmdlets,
/// one by a person at a wizard, whose account was made before or is made by it, and Connect.
fn courses() -> Vec<(&'static str, Twin, Vec<Step>)> {
    let fresh = || twin(Installed::Nothing, &[]);
    let facts = Step::ReportFacts;
    vec![
        (
            "mended and installed",
            twin(Installed::Nothing, &[Fault::TlsOff]),
            vec![fixes(), install(), facts.clone()],
        ),
        ("upgraded", twin(old(), &[]), vec![install(), facts.clone()]),
        (
            "registered",
            fresh(),
            vec![install(), register(), facts.clone()],
        ),
        (
            "registered by a person",
            fresh(),
            vec![install(), wizard(), facts.clone()],
        ),
        (
            "registered with an account of its own",
            fresh(),
            vec![install(), own(), facts],
        ),
        (
            "Connect, whose wizard is in no section",
            fresh(),
            connect_steps(ConnectWork::InstallActive),
        ),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Resume,
    Abort,
    Pause,
}

#[test]
fn a_link_that_is_cut_at_any_moment_lets_nothing_begin_until_somebody_says_so() {
    for (name, server, steps) in courses() {
        let mut whole = Link::new(&server, &steps, None);
        let conclusion = whole.go_on().expect("it ends");
        assert_eq!(conclusion.ending, Ending::Completed, "{name}");
        let (wanted, moments) = (whole.story.twin.changes, whole.asked);
        let mut held = 0;
        for cut in 0..moments {
            for word in [Word::Resume, Word::Abort, Word::Pause] {
                let shown = format!("{name}, cut at {cut}, then {word:?}");
                let mut link = Link::new(&server, &steps, Some(cut));
                // It does what it may by itself.
                let mut conclusion = link.go_on();
                let at = link.at.expect("it was cut");
                let (changes, begun) = (link.story.twin.changes.clone(), link.begun(&steps));
                if conclusion.is_none() && link.story.run.waits_for_its_controller() {
                    held += 1;
                }
                if conclusion.is_none() {
                    link.welcomed();
                    conclusion = link.go_on();
                    assert_eq!(link.begun(&steps), begun, "{shown}");
                    assert_eq!(link.story.twin.changes, changes, "{shown}");
                }
                if conclusion.is_none() {
                    match word {
                        Word::Resume => link.resumed(),
                        Word::Abort => link.story.run.abort(NOW),
                        Word::Pause => link.story.run.pause(),
                    }
                    conclusion = link.go_on();
                } else {
                    assert_eq!(link.story.twin.changes, wanted, "{shown}: nothing was left");
                }
                if word == Word::Pause && conclusion.is_none() {
                    assert_eq!(link.begun(&steps), begun, "{shown}");
                    assert_eq!(link.story.twin.changes, changes, "{shown}");
                    link.resumed();
                    conclusion = link.go_on();
                }
                let conclusion = conclusion.unwrap_or_else(|| panic!("{shown}: it does not end"));
                if conclusion.ending == Ending::Aborted {
                    assert_eq!(word, Word::Abort, "{shown}");
                    assert_eq!(link.begun(&steps), begun, "{shown}");
                    assert_eq!(link.story.twin.changes, changes, "{shown}");
                } else {
                    assert_eq!(conclusion.ending, Ending::Completed, "{shown}");
                    assert_eq!(link.story.twin.changes, wanted, "{shown}: {at:?}");
                }
            }
        }
        // An upgrade asks for its bytes and for leave before it does anything: it waits for those.
        assert_eq!(held > 0, name != "upgraded", "{name}: {held}");
    }
}

/// What it goes by is looked at anew: while it was cut off somebody has put the product there, and it serves by now.
#[test]
fn what_was_held_within_its_step_goes_by_what_is_so_when_it_goes_on() {
    let steps = [install(), Step::ReportFacts];
    let server = twin(Installed::Nothing, &[]);
    let mut whole = Link::new(&server, &steps, None);
    whole.go_on().expect("it ends");
    let mut held = 0;
    for cut in 0..whole.asked {
        let mut link = Link::new(&server, &steps, Some(cut));
        if link.go_on().is_some() {
            continue;
        }
        // What it fetches comes to its end before anybody says that it goes on.
        link.welcomed();
        let ended = link.go_on().is_some();
        if ended || !link.story.run.waits_for_its_controller() || link.begun(&steps) == 0 {
            continue;
        }
        held += 1;
        link.story.twin = twin(old(), &[]);
        for step in &steps {
            link.story.twin.asked(step);
        }
        link.resumed();
        let conclusion = link.go_on().expect("it ends");
        assert_eq!(conclusion.ending, Ending::Completed, "cut at {cut}");
        let entered = link.count(|event| matches!(event, Event::SectionEntered { .. }));
        assert_eq!(
            entered, 1,
            "cut at {cut}: what serves goes out of service by leave"
        );
    }
    assert!(held > 0, "it was held within its step");
}

/// The rule itself, told by what stood at the cut and not by what the run says of itself.
#[test]
fn what_stands_at_a_gate_when_the_link_is_cut_changes_nothing_by_itself() {
    for (name, server, steps) in courses() {
        let mut whole = Link::new(&server, &steps, None);
        whole.go_on().expect("it ends");
        let (mut gates, mut works) = (0, 0);
        for cut in 0..whole.asked {
            let shown = format!("{name}, cut at {cut}");
            let mut link = Link::new(&server, &steps, Some(cut));
            // All that was done when the cut came, which is before what was asked for then has come.
            let mut before = Link::new(&server, &steps, None);
            before.stop_at(cut);
            link.go_on();
            match link.at.expect("it was cut") {
                At::Gate => {
                    gates += 1;
                    let changes = &before.story.twin.changes;
                    assert_eq!(&link.story.twin.changes, changes, "{shown}");
                    let begun = before.begun(&steps);
                    assert_eq!(link.begun(&steps), begun, "{shown}");
                }
                At::Work => {
                    works += 1;
                    let completed = |event: &Event| matches!(event, Event::StepCompleted { .. });
                    let more = link.count(completed) > before.count(completed);
                    let waits = link.pending.is_some() || link.fetch.is_some();
                    assert!(more || waits, "{shown}: its step comes to its end");
                    assert_eq!(link.begun(&steps), before.begun(&steps), "{shown}");
                }
            }
        }
        assert!(gates > 0 && works > 0, "{name}: {gates} {works}");
    }
}

impl Link {
    /// Goes as far as to what is asked for at that place, and no further.
    fn stop_at(&mut self, place: usize) {
        while let Some(action) = self.story.run.poll_action() {
            let mut answer = None;
            match action {
                Action::Journal(event) => {
                    self.story.journal.push(event);
                    continue;
                }
                Action::Perform { number, op } => {
                    let (outcome, _) = self.story.twin.perform(&op, &self.secrets);
                    if op.is_glance() {
                        self.story.run.handle_outcome(number, outcome, NOW);
                        continue;
                    }
                    answer = Some((number, outcome));
                }
                ask @ (Action::AskPermit { .. } | Action::AskSecret { .. }) => {
                    self.pending = Some(ask);
                }
                Action::Finish(_) => return,
            }
            if self.asked == place {
                return;
            }
            self.asked += 1;
            if let Some((number, outcome)) = answer {
                self.story.run.handle_outcome(number, outcome, NOW);
            } else if let Some(ask) = self.pending.take() {
                self.given(ask);
            }
        }
    }
}

/// A setup on a fresh server enters no section: it is held between its fetch, which has ended, and the setup.
fn held() -> Story {
    let mut story = Story::new(vec![install(), Step::ReportFacts], None);
    let fetches = |action: &Action| {
        matches!(
            action,
            Action::Perform {
                op: Op::Fetch { .. },
                ..
            }
        )
    };
    let Some(Action::Perform { number, .. }) = story.until(fetches) else {
        panic!("no fetch")
    };
    story.run.out_of_reach();
    story.run.handle_outcome(number, Outcome::Done, NOW);
    assert_eq!(story.until(is_install), None);
    assert!(story.run.waits_for_its_controller());
    story
}

/// Whoever is held uses none of its step's time, and its bundle's end ends it there.
#[test]
fn what_is_held_lasts_as_long_as_its_bundle_and_not_as_its_step() {
    let mut story = held();
    let due = story.run.poll_timeout().expect("its bundle ends");
    assert!(due > NOW.plus(HOUR * 24), "{due}");
    story.run.handle_timeout(NOW.plus(HOUR * 23));
    assert_eq!(story.run.poll_action(), None);
    // An hour is all that a setup has: it begins with the word.
    story.now = NOW.plus(HOUR * 23);
    story.run.resume(story.now);
    assert_eq!(story.run.poll_timeout(), Some(story.now.plus(HOUR)));
    assert_eq!(story.ending(), Some(Ending::Completed));
    assert_eq!(story.twin.changes.len(), 1);

    for word in [false, true] {
        let mut story = held();
        story.now = due.plus(Duration::from_millis(1));
        if word {
            // The word comes before anybody has looked at the time.
            story.run.resume(story.now);
        } else {
            story.run.handle_timeout(story.now);
        }
        let conclusion = story.conclusion().expect("it ends");
        assert_eq!(conclusion.ending, Ending::Expired);
        assert_eq!(conclusion.steps[0].ending, StepEnding::Inconclusive);
        assert_eq!(conclusion.steps[0].summary, "", "nothing was done");
        assert!(story.twin.changes.is_empty());
    }
}

#[test]
fn a_pause_that_is_heard_first_holds_what_was_held() {
    let mut story = held();
    story.run.ask_again(NOW);
    story.run.pause();
    assert_eq!(story.run.poll_action(), None);
    // It is cut off once more, and hears the same.
    story.run.out_of_reach();
    story.run.pause();
    assert_eq!(story.run.poll_action(), None);
    assert!(story.twin.changes.is_empty());
    story.run.resume(NOW);
    assert_eq!(story.ending(), Some(Ending::Completed));
}

/// Its agent ends meanwhile and comes back: it is held as every other one that was started again.
#[test]
fn what_is_held_and_restarted_is_held() {
    let mut story = held();
    story.restart();
    assert_eq!(story.until(asks_leave), None);
    story.run.out_of_reach();
    assert_eq!(story.run.poll_action(), None);
    assert!(story.twin.changes.is_empty());
    story.run.resume(NOW);
    assert_eq!(story.ending(), Some(Ending::Completed));
    assert_eq!(story.twin.changes.len(), 1);
}

/// It was told to end before the link was cut, and was busy with looking: there is nothing to wait for, and nothing is begun.
#[test]
fn what_was_aborted_before_the_cut_ends_where_it_would_be_held() {
    let steps = vec![fixes(), install(), Step::ReportFacts];
    let mut story = Story::on(twin(Installed::Nothing, &[Fault::TlsOff]), steps);
    let begun = |action: &Action| matches!(action, Action::Journal(Event::StepBegun { .. }));
    assert!(story.until(begun).is_some());
    let looks = |action: &Action| {
        let Action::Perform { op, .. } = action else {
            return false;
        };
        matches!(op, Op::Script { .. })
    };
    let Some(Action::Perform { number, op }) = story.until(looks) else {
        panic!("it does not look")
    };
    story.run.abort(NOW);
    assert_eq!(story.run.poll_action(), None, "it is busy");
    story.run.out_of_reach();
    let (outcome, _) = story.twin.perform(&op, &BTreeMap::new());
    story.run.handle_outcome(number, outcome, NOW);
    assert_eq!(story.ending(), Some(Ending::Aborted));
    assert!(story.twin.changes.is_empty(), "{:?}", story.twin.changes);
}
