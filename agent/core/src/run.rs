//! One run: the carrying-out of one verified bundle. It decides what is next and how to go on after a cut; it performs
//! nothing.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::event::{Completion, Event, Failure, GmsaChange, Grade, Section};
use protocol::secret::SecretKind;
use protocol::signed::{Ending, Manifest, RoleKeys, StepEnding, StepRecord, Verified};
use protocol::step::Step;
use protocol::{Attempt, Generation, StepIndex, Timestamp};

use crate::op::{Op, Outcome};
use crate::procedure::{Complete, Gate, Host, Next, Procedure, Want};
use crate::step::facts;

mod asks_on;
mod reach;

/// What the shell is to do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Journal this before doing what comes behind it.
    Journal(Event),
    /// Perform an operation and bring its outcome under this number.
    Perform {
        /// To be given back with the outcome.
        number: u64,
        /// What to do.
        op: Op,
    },
    /// Ask the controller for leave.
    AskPermit {
        /// The step.
        step: StepIndex,
        /// The try.
        attempt: Attempt,
        /// For what.
        section: Section,
    },
    /// Ask for a secret.
    AskSecret {
        /// To be given back with the answer.
        number: u64,
        /// The step.
        step: StepIndex,
        /// The try.
        attempt: Attempt,
        /// Which.
        wanted: SecretKind,
    },
    /// The run is over: write the receipt. Secrets are forgotten.
    Finish(Conclusion),
}

/// What a word may take from the controller to here, and the one that answers it back: a session is given up when nothing was heard
/// for half of that, and whoever has none counts as inside a section until it is back and says.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// Leave for a section, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leave {
    /// The last change of the section's gMSA object, by another server.
    pub after: Option<GmsaChange>,
    /// For how long the controller keeps the place for whoever does not enter, counted from when it said so.
    pub lasts: Duration,
    /// How long ago it came, by a clock that nobody sets.
    pub came: Duration,
}

impl Leave {
    /// Until when a section may be entered by it: what is told of that must be stored before the place is given to another.
    fn good_until(&self, now: Timestamp) -> Option<Timestamp> {
        let good = self
            .lasts
            .checked_sub(ON_ITS_WAY.saturating_add(self.came))?;
        Some(now.plus(good)).filter(|until| now < *until)
    }
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// How it ended.
    pub ending: Ending,
    /// Highest grade that was seen.
    pub grade: Option<Grade>,
    /// Step by step.
    pub steps: Vec<StepRecord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Probing whether the server is what the plan took it to be.
    Assuming,
    /// At a step.
    At(usize),
    /// Probing what the server has become.
    Reporting,
    /// Over.
    Over,
}

/// What is told of a step that only looks, which an abort has ended.
const UNSEEN: &str = "aborted before its end was seen: it only looks, and nothing was changed";

/// What is told of a step that an abort has ended while a person may have been at its work.
const BROKEN_OFF: &str = "aborted before its end was seen: what was done by then, at a wizard say, is not known; look at the server before it is planned again";

/// What an operation means for whoever waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpKind {
    /// It acts, or looks.
    Busy,
    /// It lets time pass.
    Idle,
    /// It brings an artifact, which takes as long as the link does: the step's own time does not run.
    Fetch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Waiting {
    Nothing,
    Op {
        number: u64,
        kind: OpKind,
        /// It begins an installer, or waits for one: nothing ends that.
        installs: bool,
    },
    Permit,
    Secret {
        number: u64,
    },
}

/// A section that an earlier life of the agent is in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LeftOpen {
    step: StepIndex,
    section: Section,
    /// A person was asked to do its work: what another server did to its gMSA object before was readable by then.
    at_work: bool,
}

/// One run.
#[derive(Debug)]
pub struct Run {
    manifest: Verified<Manifest>,
    host: Host,
    stage: Stage,
    procedure: Procedure,
    records: Vec<StepRecord>,
    /// Preflights that have blocked, where what stands behind them was asked all the same.
    blocked: Vec<(usize, Failure)>,
    grade: Option<Grade>,
    section: Option<Section>,
    /// The last change of the gMSA object of that section, as it was told with the leave.
    after: Option<GmsaChange>,
    /// The section was entered and nothing was begun in it yet: until when that may be.
    unused: Option<Timestamp>,
    /// A section that an earlier life of the agent entered and did not leave: it is finished before anything else, and that it is
    /// left is told with the step's end at the latest.
    left_open: Option<LeftOpen>,
    /// Connect's cycle was held before the wizard, by the last word on it.
    held_before: bool,
    /// This life of the agent has begun the step that is under way.
    begun: bool,
    waiting: Waiting,
    step_begun: Timestamp,
    /// Since when the product stands as it was proven, as far as the journal tells.
    stood_since: Option<Timestamp>,
    /// The step that is under way, where it began after the end of its override: it is carried out without.
    plain: Option<Step>,
    next_number: u64,
    paused: bool,
    /// Its session has ended, and nobody has said since that it goes on.
    out_of_reach: bool,
    /// The step that is under way has done something to the server, or had a person asked to, in this life of the agent.
    touched: bool,
    aborted: bool,
    ending: Option<Ending>,
    actions: VecDeque<Action>,
}

impl Run {
    /// Begins, or goes on with, the run of `manifest`. `history` is what the journal holds of this generation, in order.
    #[must_use]
    pub fn new(
        manifest: Verified<Manifest>,
        host: Host,
        history: &[Event],
        now: Timestamp,
    ) -> Self {
        Self::take_up(manifest, host, history, now, false)
    }

    /// As [`Self::new`], paused from the start: after a restart nothing begins before it is known that it may. A section that
    /// was entered is no beginning: its step goes on to its end, since the product is out of service meanwhile.
    #[must_use]
    pub fn held(
        manifest: Verified<Manifest>,
        host: Host,
        history: &[Event],
        now: Timestamp,
    ) -> Self {
        Self::take_up(manifest, host, history, now, true)
    }

    fn take_up(
        manifest: Verified<Manifest>,
        host: Host,
        history: &[Event],
        now: Timestamp,
        paused: bool,
    ) -> Self {
        let records = manifest
            .steps
            .iter()
            .zip(0_u16..)
            .map(|(step, index)| not_begun(step, index))
            .collect();
        let generation = manifest.generation;
        let mut run = Self {
            manifest,
            host,
            stage: Stage::Assuming,
            procedure: Procedure::new(false).of_run(generation),
            records,
            blocked: Vec::new(),
            grade: None,
            section: None,
            after: None,
            unused: None,
            left_open: None,
            held_before: false,
            begun: false,
            waiting: Waiting::Nothing,
            step_begun: now,
            stood_since: None,
            plain: None,
            next_number: 0,
            paused,
            out_of_reach: false,
            touched: false,
            aborted: false,
            ending: None,
            actions: VecDeque::new(),
        };
        run.replay(history);
        run.advance(now);
        run
    }

    /// The same of a product that stands as it was proven since then ([`crate::stood::Stood`]): what is looked at behind a soak reaches
    /// back to there.
    #[must_use]
    pub const fn standing_since(mut self, since: Option<Timestamp>) -> Self {
        self.stood_since = since;
        self
    }

    /// The same where the journal tells, of this rollout, whether somebody held Connect's cycle before the wizard
    /// ([`crate::held::Held`]): an earlier run may have come behind it.
    #[must_use]
    pub const fn behind_a_held_cycle(mut self, held: bool) -> Self {
        self.held_before = held;
        self
    }

    /// Nothing of its bundle changes anything.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        self.manifest.steps.iter().all(Step::is_read_only)
    }

    /// The generation of the bundle.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.manifest.generation
    }

    /// The bundle.
    #[must_use]
    pub const fn manifest(&self) -> &Verified<Manifest> {
        &self.manifest
    }

    /// A newer trust root names another publisher of agents.
    pub fn trust(&mut self, publisher: RoleKeys) {
        self.host.publisher = publisher;
    }

    /// The step that is under way.
    #[must_use]
    pub fn current_step(&self) -> Option<(StepIndex, &Step)> {
        match self.stage {
            Stage::At(at) => Some((index(at), self.manifest.steps.get(at)?)),
            Stage::Assuming | Stage::Reporting | Stage::Over => None,
        }
    }

    /// Gives the next thing to do, until `None`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The outcome of an operation. One that nobody waits for any more is dropped.
    pub fn handle_outcome(&mut self, number: u64, outcome: Outcome, now: Timestamp) {
        if matches!(self.waiting, Waiting::Op { number: waited, .. } if waited == number) {
            self.answered(outcome, now);
        }
    }

    /// Leave was given for the section that this step asked for. What is too old to be made use of is asked for again.
    pub fn handle_permit(
        &mut self,
        step: StepIndex,
        attempt: Attempt,
        leave: Leave,
        now: Timestamp,
    ) {
        let current = matches!(self.stage, Stage::At(at) if index(at) == step && self.records[at].attempts == attempt);
        // Leave that comes after a pause is not used: when the run goes on, it asks again.
        if self.waiting != Waiting::Permit || !current || self.paused {
            return;
        }
        // What an earlier life has entered is claimed until it is left.
        if !self.left_unfinished() {
            self.unused = leave.good_until(now);
            if self.unused.is_none() {
                return self.ask_again(now);
            }
        }
        let after = leave.after;
        self.step_begun = now;
        if let Some(section) = self.section.clone() {
            let generation = self.generation();
            self.actions
                .push_back(Action::Journal(Event::SectionEntered {
                    generation,
                    step,
                    section,
                }));
        }
        self.after.clone_from(&after);
        self.answered(Outcome::Permit { after }, now);
    }

    /// To be asked just before an operation is performed that is more than a glance, when all that was journaled before it is on disk.
    /// False where the leave for its section has lapsed before anything was done in it: then it is not performed. The section is left as it was
    /// found, and leave is asked for again.
    pub fn may_perform(&mut self, number: u64, now: Timestamp) -> bool {
        let waited = matches!(self.waiting, Waiting::Op { number: of, .. } if of == number);
        let Some(until) = self.unused.take() else {
            return true;
        };
        let Stage::At(at) = self.stage else {
            return true;
        };
        if now < until || !waited {
            return true;
        }
        self.waiting = Waiting::Nothing;
        self.procedure.take_back_leave();
        // What another server did to the gMSA object before still stands (G3).
        let before = self.after.take();
        self.leave_section(at, before);
        self.advance(now);
        false
    }

    /// Tells whether the run still waits for the secret that it asked for under this number.
    #[must_use]
    pub fn awaits_secret(&self, number: u64) -> bool {
        self.waiting == Waiting::Secret { number }
    }

    /// The secret came, or was refused. An answer to an ask that was made again since is dropped.
    pub fn handle_secret(
        &mut self,
        number: u64,
        wanted: &SecretKind,
        came: Result<(), String>,
        now: Timestamp,
    ) {
        if !self.awaits_secret(number) {
            return;
        }
        let Stage::At(at) = self.stage else { return };
        let outcome = match came {
            Ok(()) => {
                let received = Event::SecretReceived {
                    generation: self.generation(),
                    step: index(at),
                    wanted: wanted.clone(),
                };
                self.actions.push_back(Action::Journal(received));
                Outcome::Done
            }
            Err(why) => Outcome::Failed(why),
        };
        self.step_begun = now;
        self.answered(outcome, now);
    }

    /// A named person says that a step is done. It counts where the step waits for a person; its own probe goes first.
    pub fn handle_attested(&mut self, step: StepIndex, by: String) {
        if matches!(self.stage, Stage::At(at) if index(at) == step) {
            self.procedure.attest(by);
        }
    }

    /// Asks again for what was asked of a controller that did not hear it: to be called after each welcome.
    pub fn ask_again(&mut self, now: Timestamp) {
        if matches!(self.waiting, Waiting::Permit | Waiting::Secret { .. }) {
            self.waiting = Waiting::Nothing;
            self.advance(now);
        }
    }

    /// Begins no further step and asks for no leave until [`Self::resume`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on.
    pub fn resume(&mut self, now: Timestamp) {
        if !self.paused && !self.out_of_reach {
            return;
        }
        // What was not asked while it was paused is asked now; an ask for a secret still stands.
        if self.paused && self.waiting == Waiting::Permit {
            self.waiting = Waiting::Nothing;
        }
        self.paused = false;
        self.back_in_reach(now);
        self.advance(now);
    }

    /// Ends the run at its next gate: between steps, or where it waits for leave, a secret or a person. A section in which the
    /// agent itself is at work is finished first; one in which a person is, or nobody was yet, is left as it is.
    pub fn abort(&mut self, now: Timestamp) {
        self.aborted = true;
        let idle = match self.waiting {
            Waiting::Permit | Waiting::Secret { .. } => true,
            Waiting::Op { kind, .. } => self.is_gate(kind),
            // Nothing is asked for, and it is not over: it is held.
            Waiting::Nothing => matches!(self.stage, Stage::At(_)),
        };
        if idle {
            self.waiting = Waiting::Nothing;
            self.break_off(now);
        }
    }

    /// Whether an abort ends the run at an operation of this kind. A person may take weeks, and would keep whatever the section
    /// claims for as long.
    fn is_gate(&self, kind: OpKind) -> bool {
        kind != OpKind::Busy && (self.procedure.gate().is_some() || !self.in_section())
    }

    /// Ends what was aborted at a gate. What a person has done by then is not known, and is journaled as that, so that whoever plans
    /// next sees it and not the receipt alone; where nothing was done, what another server did to the gMSA object before still stands
    /// (G3). A step that only looks leaves nothing that would not be known.
    fn break_off(&mut self, now: Timestamp) {
        let cut_off = self.left_unfinished();
        if let Stage::At(at) = self.stage {
            let looks = self.manifest.steps.get(at).is_some_and(Step::is_read_only);
            match self.procedure.gate() {
                _ if looks => {
                    if self.begun {
                        self.close_record(at, StepEnding::Inconclusive, UNSEEN);
                    }
                    self.leave_section(at, None);
                }
                Some(Gate::Untouched) => {
                    let change = self.after.take();
                    self.leave_section(at, change);
                }
                Some(Gate::Unknown) => self.not_known(at),
                // It was cut off in the middle of its own work, and has looked at nothing since.
                None if cut_off => self.not_known(at),
                None => {}
            }
        }
        self.end(Ending::Aborted, now);
    }

    /// Tells that what the step has done by now is not known.
    fn not_known(&mut self, at: usize) {
        self.close_record(at, StepEnding::Inconclusive, BROKEN_OFF);
        self.leave_section(at, None);
        let event = Event::StepInconclusive {
            generation: self.generation(),
            step: index(at),
            question: BROKEN_OFF.to_owned(),
        };
        self.actions.push_back(Action::Journal(event));
    }

    /// Checks the step's time limit, and at a gate the bundle's own.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let Stage::At(at) = self.stage else { return };
        if self.is_unhurried() {
            if now > self.manifest.expires && !self.in_section() {
                self.waiting = Waiting::Nothing;
                self.end(Ending::Expired, now);
            }
            return;
        }
        let limit = self.manifest.steps[at].time_limit();
        if now >= self.step_begun.plus(limit) {
            let installs = matches!(self.waiting, Waiting::Op { installs: true, .. });
            self.waiting = Waiting::Nothing;
            // One that is ended in the middle leaves a product that is neither old nor new.
            let left = if installs {
                "; the installer that was begun was not ended and may still run: look at the server before a retry"
            } else {
                ""
            };
            let failure = Failure::plain(format!(
                "it took longer than {} minutes{left}",
                limit.as_secs() / 60
            ));
            self.failed(at, failure, now);
        }
    }

    /// The server's clock was set by so many milliseconds: the time of the step that is under way goes on as if it had not
    /// been. The bundle's own end is a moment of the calendar, and stays where it is.
    pub fn clock_was_set(&mut self, millis: i64) {
        let begun = self.step_begun.as_millis().saturating_add(millis);
        self.step_begun = Timestamp::from_millis(begun);
        // One that was set forward may be one that stood still, with its server: then leave has lapsed meanwhile.
        if let Some(until) = self.unused.filter(|_| millis < 0) {
            let until = until.as_millis().saturating_add(millis);
            self.unused = Some(Timestamp::from_millis(until));
        }
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.stage {
            // At a gate, for leave or paused, the bundle's time runs; the step's own begins with the leave.
            Stage::At(_) if self.is_unhurried() => {
                let end = self.manifest.expires.plus(Duration::from_millis(1));
                // A section that was entered is finished behind that end as well.
                (!self.in_section()).then_some(end)
            }
            Stage::At(at) => Some(self.step_begun.plus(self.manifest.steps[at].time_limit())),
            Stage::Assuming | Stage::Reporting | Stage::Over => None,
        }
    }

    /// Waits for something that is not the step's own: only the bundle's end bounds it.
    const fn is_unhurried(&self) -> bool {
        matches!(
            self.waiting,
            Waiting::Permit
                | Waiting::Nothing
                | Waiting::Op {
                    kind: OpKind::Fetch,
                    ..
                }
        )
    }

    /// A section that was entered and keeps somebody from something, in this life or in an earlier one.
    fn in_section(&self) -> bool {
        let own = self.section.as_ref().is_some_and(claims);
        (own || self.left_unfinished()) && self.waiting != Waiting::Permit
    }

    /// An earlier life entered such a section at the step that is under way.
    fn left_unfinished(&self) -> bool {
        let at_it = |step: StepIndex| matches!(self.stage, Stage::At(at) if index(at) == step);
        self.left_open
            .as_ref()
            .is_some_and(|open| at_it(open.step) && claims(&open.section))
    }

    /// An earlier life got leave for this section and has not left it: it counts at the controller until then, and is finished
    /// without asking again. What others changed of a gMSA object before is told with the leave (G3), and was waited for before
    /// anybody was asked to work: whoever had not come that far has changed nothing, and asks.
    fn still_has_leave(&self, section: &Section) -> bool {
        let (Some(open), true) = (&self.left_open, self.left_unfinished()) else {
            return false;
        };
        let same = section.gmsa == open.section.gmsa && open.at_work;
        (section.gmsa.is_none() || same) && (open.section.outage || !section.outage)
    }

    /// An earlier life began the step that is under way, and nothing has been looked at since.
    fn is_cut_off(&self) -> bool {
        matches!(self.stage, Stage::At(at) if !self.begun && self.records[at].attempts.0 > 0)
    }

    /// Takes up what the journal says was done; what was begun and not finished is begun again, from its probe.
    fn replay(&mut self, history: &[Event]) {
        let mut probed = asks_on::Probed::new();
        for event in history {
            match event {
                Event::StepBegun { step, attempt, .. } => {
                    let at = usize::from(step.0);
                    probed.remove(&at);
                    if let Some(record) = self.records.get_mut(at) {
                        record.attempts = *attempt;
                        record.ending = StepEnding::Inconclusive;
                        self.stage = Stage::At(at);
                    }
                }
                Event::StepCompleted {
                    step,
                    completion,
                    summary,
                    grade,
                    ..
                } => {
                    let at = usize::from(step.0);
                    if let Some(record) = self.records.get_mut(at) {
                        record.ending = ending_of(completion);
                        record.summary.clone_from(summary);
                        self.grade = self.grade.max(*grade);
                        self.stage = Stage::At(at + 1);
                    }
                    self.went_on_behind(at, &probed);
                }
                Event::Probed { step, findings, .. } => {
                    let told = probed.entry(usize::from(step.0)).or_default();
                    told.extend(findings.iter().cloned());
                }
                Event::StepFailed { step, failure, .. } => {
                    let at = usize::from(step.0);
                    // It says what blocked before it as well.
                    self.blocked.clear();
                    self.close_record(at, StepEnding::Failed, &failure.what);
                    self.ending = Some(self.failed_at(at, &failure.what));
                    self.stage = Stage::Reporting;
                }
                Event::StepInconclusive { step, question, .. } => {
                    self.close_record(usize::from(step.0), StepEnding::Inconclusive, question);
                    self.ending = Some(Ending::Inconclusive(question.clone()));
                    self.stage = Stage::Reporting;
                }
                Event::SectionEntered { step, section, .. } => {
                    self.left_open = Some(LeftOpen {
                        step: *step,
                        section: section.clone(),
                        at_work: false,
                    });
                }
                Event::SectionLeft { .. } => self.left_open = None,
                Event::CycleBeforeWizard { held, .. } => self.held_before = *held,
                Event::TaskOpened { step, text, .. } => {
                    // Other work that was shown was to look at what was done before.
                    let own = self.manifest.steps.get(usize::from(step.0));
                    let own = own.and_then(Step::guided_work);
                    let open = self.left_open.as_mut().filter(|open| open.step == *step);
                    if let Some(open) = open {
                        // How its end is seen may be told otherwise.
                        open.at_work |= own.is_some_and(|own| own.title == text.title);
                    }
                }
                Event::FactsReported(_)
                | Event::BundleAccepted { .. }
                | Event::BundleRefused { .. }
                | Event::SecretAsked { .. }
                | Event::SecretReceived { .. }
                | Event::Discovered { .. }
                | Event::ForestRead { .. }
                | Event::ConnectSettingsRead { .. }
                | Event::ConnectExportRead { .. }
                | Event::RunFinished { .. }
                | Event::Frozen(_)
                | Event::Thawed
                | Event::ServiceRestarted { .. } => {}
            }
        }
        if matches!(self.stage, Stage::At(at) if at >= self.records.len()) {
            self.ending = Some(Ending::Completed);
            self.stage = Stage::Reporting;
        }
    }

    fn procedure_of(&self, resumed: bool) -> Procedure {
        Procedure::new(resumed).of_run(self.generation())
    }

    fn procedure_from_the_start(&self, at: usize, now: Timestamp) -> Procedure {
        let mut later = self.manifest.steps.iter().skip(at + 1);
        let restarts = later.any(|step| matches!(step, Step::RestartServer(_)));
        self.procedure_of(self.is_cut_off())
            .before_a_restart(restarts)
            .behind(self.stood_since.map(|since| now.since(since)))
            .behind_a_held_cycle(self.held_before)
    }

    fn close_record(&mut self, at: usize, ending: StepEnding, summary: &str) {
        if let Some(record) = self.records.get_mut(at) {
            record.ending = ending;
            summary.clone_into(&mut record.summary);
        }
    }

    fn answered(&mut self, outcome: Outcome, now: Timestamp) {
        let kind = match self.waiting {
            Waiting::Op { kind, .. } => kind,
            Waiting::Nothing | Waiting::Permit | Waiting::Secret { .. } => OpKind::Busy,
        };
        let gate = self.is_gate(kind);
        if kind == OpKind::Fetch {
            self.step_begun = now;
        }
        self.waiting = Waiting::Nothing;
        self.procedure.add(outcome);
        if gate && self.aborted {
            self.break_off(now);
        } else {
            self.advance(now);
        }
    }

    fn advance(&mut self, now: Timestamp) {
        while self.waiting == Waiting::Nothing {
            match self.stage {
                Stage::Assuming => self.assume(now),
                Stage::At(at) => {
                    if !self.at_step(at, now) {
                        return;
                    }
                }
                Stage::Reporting => self.report(),
                Stage::Over => return,
            }
        }
    }

    /// Probes the server and compares it with what the bundle assumes.
    fn assume(&mut self, now: Timestamp) {
        let assumed = self.manifest.assumed.clone();
        let mut essence = None;
        let next = self.procedure.drive(&[], &self.host, |cx| {
            let facts = facts::probe(cx)?;
            cx.note_facts(&facts)?;
            essence = Some(facts.essence());
            Ok(Complete::new(Completion::AlreadySo, ""))
        });
        match next {
            Next::Complete(_) => {
                self.procedure = self.procedure_of(false);
                let differs = assumed.is_some_and(|assumed| Some(assumed.essence) != essence);
                if differs {
                    let why = "the server is no longer what the plan took it to be; plan again on its new facts";
                    self.end(Ending::Failed(why.to_owned()), now);
                } else {
                    self.stage = Stage::At(0);
                }
            }
            Next::Want(want) => self.want(want, None),
            Next::Failed(failure) => self.end(Ending::Failed(failure.what), now),
            // An agent that cannot read its server is upgraded all the same: a newer one may be what can.
            Next::CannotTell(_) if self.upgrades_the_agent() => {
                self.procedure = self.procedure_of(false);
                self.stage = Stage::At(0);
            }
            Next::CannotTell(question) => self.end(Ending::Inconclusive(question), now),
        }
    }

    /// Nothing but the agent itself is changed.
    fn upgrades_the_agent(&self) -> bool {
        let itself = |step: &Step| matches!(step, Step::UpgradeAgent(_));
        self.manifest.assumed.is_none() && self.manifest.steps.iter().all(itself)
    }

    /// Goes on with a step; false when nothing more can be done now.
    fn at_step(&mut self, at: usize, now: Timestamp) -> bool {
        if !self.begun {
            // What was aborted meanwhile waits for no resume: it ends here.
            let held = self.paused || self.may_not_begin(at);
            if held && !self.aborted && !self.left_unfinished() {
                return false;
            }
            if !self.begin(at, now) {
                return true;
            }
        }
        let manifest = &self.manifest;
        let step = self.plain.as_ref().unwrap_or(&manifest.steps[at]);
        match self.procedure.next(step, &manifest.artifacts, &self.host) {
            Next::Want(Want::Permit(section)) if self.still_has_leave(&section) => {
                self.section = Some(section);
                self.step_begun = now;
                self.procedure.add(Outcome::Permit { after: None });
            }
            // A gate: what was aborted asks for nothing more.
            Next::Want(Want::Permit(_) | Want::Secret { .. })
                if self.aborted && !self.section.as_ref().is_some_and(claims) =>
            {
                self.break_off(now);
            }
            // Nobody is shown work for it any more, nor looked for at work that was shown.
            Next::Want(Want::Task(_) | Want::Op(Op::Wait { .. }))
                if self.aborted && self.procedure.gate().is_some() =>
            {
                self.break_off(now);
            }
            Next::Want(want) if self.may_not_touch(at, &want) => {
                if !self.aborted {
                    return false;
                }
                self.break_off(now);
            }
            Next::Want(want) => {
                self.touched |= reach::touches(&want);
                self.want(want, Some(at));
            }
            Next::Complete(complete) if self.ends_blocked(at) => {
                self.failed(at, Failure::plain(complete.summary), now);
            }
            Next::Complete(complete) => self.completed(at, complete),
            Next::Failed(failure) => self.failed(at, *failure, now),
            Next::CannotTell(question) if !self.blocked.is_empty() => {
                self.failed(at, Failure::plain(question), now);
            }
            Next::CannotTell(question) => {
                self.leave_section(at, None);
                self.close_record(at, StepEnding::Inconclusive, &question);
                let event = Event::StepInconclusive {
                    generation: self.generation(),
                    step: index(at),
                    question: question.clone(),
                };
                self.actions.push_back(Action::Journal(event));
                self.end(Ending::Inconclusive(question), now);
            }
        }
        true
    }

    /// Records the beginning of a step, unless the run ends here.
    fn begin(&mut self, at: usize, now: Timestamp) -> bool {
        if !self.left_unfinished() {
            if self.aborted {
                self.end(Ending::Aborted, now);
                return false;
            }
            if now > self.manifest.expires {
                self.end(Ending::Expired, now);
                return false;
            }
        }
        self.procedure = self.procedure_from_the_start(at, now);
        self.begun = true;
        self.touched = false;
        let record = &mut self.records[at];
        record.attempts = record.attempts.next();
        record.ending = StepEnding::Inconclusive;
        let event = Event::StepBegun {
            generation: self.manifest.generation,
            step: index(at),
            attempt: record.attempts,
            kind: record.kind.clone(),
        };
        self.step_begun = now;
        // A procedure has no clock: what holds for it is settled at its beginning, as its bundle's end is.
        self.plain = self.manifest.steps[at].without_lapsed_override(now);
        self.actions.push_back(Action::Journal(event));
        true
    }

    fn want(&mut self, want: Want, at: Option<usize>) {
        let generation = self.generation();
        let step = index(at.unwrap_or(0));
        let attempt = at.map_or(Attempt(0), |at| self.records[at].attempts);
        match want {
            Want::Op(op) => {
                let number = self.next_number;
                self.next_number += 1;
                self.waiting = Waiting::Op {
                    number,
                    kind: kind_of(&op),
                    installs: matches!(
                        op,
                        Op::Install { .. } | Op::Uninstall { .. } | Op::AwaitInstaller
                    ),
                };
                self.actions.push_back(Action::Perform { number, op });
            }
            Want::Permit(section) => {
                self.section = Some(section.clone());
                self.waiting = Waiting::Permit;
                if !self.paused {
                    self.actions.push_back(Action::AskPermit {
                        step,
                        attempt,
                        section,
                    });
                }
            }
            Want::Leave(gmsa) => {
                // After a restart the section is not known here, and what it did is told all the same.
                if let Some(at) = at {
                    if gmsa.is_some() && self.section.is_none() {
                        self.section = Some(Section {
                            outage: false,
                            gmsa: None,
                        });
                    }
                    self.leave_section(at, gmsa);
                }
                self.procedure.add(Outcome::Done);
            }
            Want::Secret { wanted, why } => {
                let number = self.next_number;
                self.next_number += 1;
                self.waiting = Waiting::Secret { number };
                let event = Event::SecretAsked {
                    generation,
                    step,
                    attempt,
                    wanted: wanted.clone(),
                    why,
                };
                self.actions.push_back(Action::Journal(event));
                self.actions.push_back(Action::AskSecret {
                    number,
                    step,
                    attempt,
                    wanted,
                });
            }
            Want::Task(text) => {
                self.actions.push_back(Action::Journal(Event::TaskOpened {
                    generation,
                    step,
                    text,
                }));
                self.procedure.add(Outcome::Done);
            }
            Want::Findings(findings) => {
                self.actions.push_back(Action::Journal(Event::Probed {
                    generation,
                    step,
                    findings,
                }));
                self.procedure.add(Outcome::Done);
            }
            Want::Servers {
                domain,
                servers,
                unread,
            } => {
                self.actions.push_back(Action::Journal(Event::Discovered {
                    generation,
                    step,
                    domain,
                    servers,
                    unread,
                }));
                self.procedure.add(Outcome::Done);
            }
            Want::Forest {
                domain,
                suffixes,
                kds_usable_from,
                netbios,
            } => {
                let (suffixes, more) = match suffixes {
                    Some((suffixes, more)) => (Some(suffixes), more),
                    None => (None, 0),
                };
                self.actions.push_back(Action::Journal(Event::ForestRead {
                    generation,
                    step,
                    domain,
                    suffixes,
                    more,
                    kds_usable_from,
                    netbios,
                }));
                self.procedure.add(Outcome::Done);
            }
            Want::Settings(settings) => {
                self.actions
                    .push_back(Action::Journal(Event::ConnectSettingsRead {
                        generation,
                        step,
                        settings,
                    }));
                self.procedure.add(Outcome::Done);
            }
            Want::Export(export) => {
                self.actions
                    .push_back(Action::Journal(Event::ConnectExportRead {
                        generation,
                        step,
                        export,
                    }));
                self.procedure.add(Outcome::Done);
            }
            Want::CycleBeforeWizard { held } => {
                self.actions
                    .push_back(Action::Journal(Event::CycleBeforeWizard {
                        generation,
                        step,
                        held,
                    }));
                self.procedure.add(Outcome::Done);
            }
            Want::Facts(facts) => {
                self.actions
                    .push_back(Action::Journal(Event::FactsReported(facts)));
                self.procedure.add(Outcome::Done);
            }
        }
    }

    fn leave_section(&mut self, at: usize, gmsa: Option<GmsaChange>) {
        let open = self.left_open.take();
        self.after = None;
        self.unused = None;
        if self.section.take().is_some() || open.is_some() {
            let left = Event::SectionLeft {
                generation: self.generation(),
                step: index(at),
                gmsa,
            };
            self.actions.push_back(Action::Journal(left));
        }
    }

    fn completed(&mut self, at: usize, complete: Complete) {
        self.leave_section(at, None);
        self.close_record(at, ending_of(&complete.completion), &complete.summary);
        self.grade = self.grade.max(complete.grade);
        let event = Event::StepCompleted {
            generation: self.generation(),
            step: index(at),
            completion: complete.completion,
            summary: complete.summary,
            grade: complete.grade,
        };
        self.actions.push_back(Action::Journal(event));
        self.procedure = self.procedure_of(false);
        self.begun = false;
        if at + 1 < self.records.len() {
            self.stage = Stage::At(at + 1);
        } else {
            self.ending = Some(Ending::Completed);
            self.stage = Stage::Reporting;
        }
    }

    fn failed(&mut self, at: usize, mut failure: Failure, now: Timestamp) {
        self.leave_section(at, None);
        let over = self.manifest.steps[at].overridden();
        if let Some(over) = over.filter(|_| self.plain.is_some()) {
            failure.what.push_str(&format!(
                "; what would have let it pass {} ended at {}",
                over.sentence(),
                over.until
            ));
        }
        let Some(failure) = self.goes_on_behind(at, failure) else {
            return;
        };
        let failure = self.with_what_blocked(failure);
        self.close_record(at, StepEnding::Failed, &failure.what);
        let ending = self.failed_at(at, &failure.what);
        let event = Event::StepFailed {
            generation: self.generation(),
            step: index(at),
            failure: Box::new(failure),
        };
        self.actions.push_back(Action::Journal(event));
        self.end(ending, now);
    }

    /// How a run ends whose step failed, the same in the life that saw it fail and in a later one.
    fn failed_at(&self, at: usize, what: &str) -> Ending {
        let title = self.manifest.steps.get(at).map(Step::title);
        Ending::Failed(format!("{}: {what}", title.unwrap_or_default()))
    }

    fn end(&mut self, ending: Ending, now: Timestamp) {
        self.ending = Some(ending);
        self.procedure = self.procedure_of(self.is_cut_off());
        self.stage = Stage::Reporting;
        self.paused = false;
        self.advance(now);
    }

    /// Probes the server once more where a step may have changed it, then concludes. Where the step that is ended was cut off
    /// in an earlier life, an installer of it may be at work still: the run is not over before that one.
    fn report(&mut self) {
        let changed = self
            .manifest
            .steps
            .iter()
            .zip(&self.records)
            .any(|(step, record)| !step.is_read_only() && record.attempts.0 > 0);
        if changed {
            let mut runs = None;
            let next = self.procedure.drive(&[], &self.host, |cx| {
                if cx.resumed() {
                    runs = cx.perform(Op::AwaitInstaller)?.err();
                }
                let facts = facts::probe(cx)?;
                cx.note_facts(&facts)?;
                Ok(Complete::new(Completion::AlreadySo, ""))
            });
            if let Next::Want(want) = next {
                self.want(want, None);
                return;
            }
            let last = self.records.iter_mut().rfind(|one| one.attempts.0 > 0);
            if let (Some(why), Some(record)) = (runs, last) {
                record.summary = format!(
                    "whether an installer that was begun still runs: {why}; look at the server before a retry"
                );
            }
        }
        self.stage = Stage::Over;
        let conclusion = Conclusion {
            ending: self.ending.take().unwrap_or(Ending::Completed),
            grade: self.grade,
            steps: std::mem::take(&mut self.records),
        };
        self.actions.push_back(Action::Finish(conclusion));
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other operation keeps its step busy"
)]
const fn kind_of(op: &Op) -> OpKind {
    match op {
        Op::Wait { .. } => OpKind::Idle,
        Op::Fetch { .. } | Op::FetchRelease { .. } => OpKind::Fetch,
        _ => OpKind::Busy,
    }
}

/// It keeps somebody from something.
const fn claims(section: &Section) -> bool {
    section.outage || section.gmsa.is_some()
}

fn not_begun(step: &Step, at: u16) -> StepRecord {
    StepRecord {
        step: StepIndex(at),
        kind: step.kind().to_owned(),
        ending: StepEnding::NotBegun,
        attempts: Attempt(0),
        summary: String::new(),
    }
}

const fn ending_of(completion: &Completion) -> StepEnding {
    match completion {
        Completion::Applied => StepEnding::Applied,
        Completion::AlreadySo => StepEnding::AlreadySo,
        Completion::SeenDone => StepEnding::SeenDone,
        Completion::Attested { .. } => StepEnding::Attested,
    }
}

fn index(at: usize) -> StepIndex {
    StepIndex(u16::try_from(at).expect("the guard bounds the number of steps"))
}
