//! How a step procedure is written and driven. A procedure is a plain function over a [`Cx`]: each thing it wants from
//! the world is either in the record of outcomes already, or ends this pass with the want as data. When the outcome has
//! come, the function runs again from its start over the longer record. It has no state of its own, so what it does next
//! follows from the step and the record alone.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an outcome of any other kind is the executor's mistake, and is told as that"
)]

mod asks;
mod notes;

use std::time::Duration;

use protocol::event::{Completion, DiscoveredServer, Failure, Finding, GmsaChange, Grade, Section};
use protocol::exported::ExportedSettings;
use protocol::facts::Facts;
use protocol::secret::SecretKind;
use protocol::settings::ConnectSettings;
use protocol::signed::{AgentRelease, ArtifactRef, Refused, RoleKeys, Verified, verify};
use protocol::step::Step;
use protocol::task::TaskText;
use protocol::{DomainName, Generation, Timestamp};

use crate::op::{Op, Outcome};
use crate::step;

/// What a procedure waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// An operation on the server.
    Op(Op),
    /// Leave for a section.
    Permit(Section),
    /// The section's end, to be recorded, with what it did to a gMSA object.
    Leave(Option<GmsaChange>),
    /// A secret from a person.
    Secret {
        /// Which.
        wanted: SecretKind,
        /// What for.
        why: String,
    },
    /// Work for a person, to be recorded; its end is probed.
    Task(Box<TaskText>),
    /// Answers of probes, to be recorded.
    Findings(Vec<Finding>),
    /// Servers that a directory names, to be recorded, with what could not be read.
    Servers {
        /// The domain that was asked.
        domain: DomainName,
        /// The servers.
        servers: Vec<DiscoveredServer>,
        /// What could not be read.
        unread: Vec<String>,
    },
    /// What a forest's directory shows, to be recorded.
    Forest {
        /// The domain that was asked.
        domain: DomainName,
        /// Its UPN suffixes, and how many more there are; absent where they were not read.
        suffixes: Option<(Vec<String>, u32)>,
        /// From when on a KDS root key may be used.
        kds_usable_from: Option<Timestamp>,
        /// Its NetBIOS name.
        netbios: Option<String>,
    },
    /// What decides what Connect Sync synchronizes, to be recorded.
    Settings(Box<ConnectSettings>),
    /// Settings that Connect's wizard has exported, to be recorded.
    Export(Box<ExportedSettings>),
    /// Whether Connect's cycle is held before the wizard of an upgrade, to be recorded.
    CycleBeforeWizard {
        /// It is off.
        held: bool,
    },
    /// Facts, to be recorded.
    Facts(Box<Facts>),
}

/// Why a pass over a procedure ended before its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    /// It waits.
    Want(Box<Want>),
    /// A round of polling is over: forget its outcomes and begin the next.
    Again {
        /// How many outcomes to keep.
        keep: usize,
        /// How many rounds are over by now, where they are counted.
        rounds: Option<u32>,
    },
    /// A person's word ends the polling: it takes the place of the round's outcomes.
    Attested {
        /// How many outcomes to keep before it.
        keep: usize,
    },
    /// It failed.
    Failed(Box<Failure>),
    /// A probe could not tell; a person must say.
    CannotTell(String),
}

/// A place in a section at which an abort may end its step: nothing of the step's own is half done there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Nothing was done in the section yet.
    Untouched,
    /// A person, or an earlier life of the agent, may have done something: what, is not known.
    Unknown,
}

/// What a procedure's parts return.
pub type Flow<T> = Result<T, Stop>;

/// What a probe read, or why it could not.
pub type Reading<T> = Result<T, String>;

/// The end of a procedure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    /// How it came to be so.
    pub completion: Completion,
    /// What was seen.
    pub summary: String,
    /// The grade that was seen.
    pub grade: Option<Grade>,
}

impl Complete {
    /// A completion without a grade.
    #[must_use]
    pub fn new(completion: Completion, summary: impl Into<String>) -> Self {
        Self {
            completion,
            summary: summary.into(),
            grade: None,
        }
    }
}

/// Fails the step with a plain sentence.
///
/// # Errors
/// Always.
pub fn fail<T>(what: impl Into<String>) -> Flow<T> {
    Err(Stop::Failed(Box::new(Failure::plain(what))))
}

/// What a procedure sees: its bundle's artifacts and the outcomes so far.
#[derive(Debug)]
pub struct Cx<'a> {
    artifacts: &'a [ArtifactRef],
    host: &'a Host,
    record: &'a [Outcome],
    at: usize,
    resumed: bool,
    generation: Generation,
    restart_follows: bool,
    stood: Option<Duration>,
    cycle_was_held: bool,
    attested: Option<&'a str>,
    /// Work for a person was shown in this pass.
    shown: bool,
    /// What is asked for just now comes before anything is done.
    untouched: bool,
    /// Where this pass ends, if it ends at one.
    gate: Option<Gate>,
}

impl Cx<'_> {
    /// The outcome at this place of the record, or the end of this pass with the want. The want is made only then: a
    /// procedure goes through its whole record in every pass.
    fn take(&mut self, want: impl FnOnce() -> Want) -> Flow<&Outcome> {
        let Some(outcome) = self.record.get(self.at) else {
            return Err(Stop::Want(Box::new(want())));
        };
        self.at += 1;
        Ok(outcome)
    }

    fn op<T>(
        &mut self,
        op: impl FnOnce() -> Op,
        read: impl FnOnce(&Outcome) -> Option<T>,
    ) -> Flow<Reading<T>> {
        let outcome = self.take(|| Want::Op(op()))?;
        Ok(match outcome {
            Outcome::Failed(why) => Err(why.clone()),
            other => {
                read(other).ok_or_else(|| "the executor gave an outcome of another kind".to_owned())
            }
        })
    }

    /// True when the step was begun before by an earlier life of the agent.
    #[must_use]
    pub const fn resumed(&self) -> bool {
        self.resumed
    }

    /// The generation of the bundle whose step this is; 0 where it is no bundle's.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// True when a later step of the run restarts Windows, if that waits for it.
    #[must_use]
    pub const fn restart_follows(&self) -> bool {
        self.restart_follows
    }

    /// How long the product had stood as it was proven when the step began, by the journal of the server's agent; `None` where that tells
    /// nothing of it.
    #[must_use]
    pub const fn stood(&self) -> Option<Duration> {
        self.stood
    }

    /// True when it is recorded that Connect's cycle was held before the wizard: by an earlier life of the agent, or an earlier run.
    #[must_use]
    pub const fn cycle_was_held(&self) -> bool {
        self.cycle_was_held
    }

    /// True when the server is a model.
    #[must_use]
    pub const fn simulated(&self) -> bool {
        self.host.simulated
    }

    /// Version of the agent.
    #[must_use]
    pub fn agent_version(&self) -> &str {
        &self.host.agent_version
    }

    /// The platform that the agent was built for, as releases name it.
    #[must_use]
    pub fn platform(&self) -> &str {
        &self.host.platform
    }

    /// A release of the agent, where its publisher has signed it.
    ///
    /// # Errors
    /// When the publisher of the pinned trust root has not.
    pub fn release(&self, envelope: &str) -> Result<Verified<AgentRelease>, Refused> {
        verify(envelope.as_bytes(), &self.host.publisher)
    }

    /// The artifact of that digest, as the bundle describes it.
    ///
    /// # Errors
    /// When the bundle lacks it.
    pub fn artifact(&self, sha256: &protocol::Digest) -> Flow<ArtifactRef> {
        match self
            .artifacts
            .iter()
            .find(|artifact| artifact.sha256 == *sha256)
        {
            Some(artifact) => Ok(artifact.clone()),
            None => fail(format!(
                "the bundle does not describe the artifact {}",
                sha256.short()
            )),
        }
    }

    /// Waits for leave to enter a section; tells what changed the same gMSA object before.
    ///
    /// # Errors
    /// While it is not given.
    pub fn enter(&mut self, section: Section) -> Flow<Option<GmsaChange>> {
        Ok(match self.take(|| Want::Permit(section))? {
            Outcome::Permit { after } => after.clone(),
            _ => None,
        })
    }

    /// Leaves the section.
    ///
    /// # Errors
    /// Until it is recorded.
    pub fn leave(&mut self, gmsa: Option<GmsaChange>) -> Flow<()> {
        self.take(|| Want::Leave(gmsa)).map(drop)
    }

    /// Waits for a secret; its value stays with the executor. Gives the user name that came with it.
    ///
    /// # Errors
    /// While it has not come, or when it was refused.
    pub fn secret(&mut self, wanted: SecretKind, why: &str) -> Flow<()> {
        match self.take(|| Want::Secret {
            wanted: wanted.clone(),
            why: why.to_owned(),
        })? {
            Outcome::Failed(why) => {
                let what = format!("the secret was not given ({wanted}): {why}");
                fail(what)
            }
            _ => Ok(()),
        }
    }

    /// Opens work for a person.
    ///
    /// # Errors
    /// Until it is recorded.
    pub fn task(&mut self, text: &TaskText) -> Flow<()> {
        self.gate = Some(Gate::Unknown);
        self.take(|| Want::Task(Box::new(text.clone())))?;
        self.gate = None;
        self.shown = true;
        Ok(())
    }

    /// Asks for something before anything is done in the section that was entered: whoever waits in it waits at a gate.
    ///
    /// # Errors
    /// As what is asked has it.
    pub fn untouched<T>(&mut self, ask: impl FnOnce(&mut Self) -> Flow<T>) -> Flow<T> {
        self.untouched = true;
        let asked = ask(self)?;
        self.untouched = false;
        Ok(asked)
    }

    /// Lets time pass until a person's work is looked at again. What no person was shown is waited for like the step's own work.
    fn wait_for_a_person(&mut self, every: Duration) -> Flow<()> {
        self.gate = self.shown.then_some(Gate::Unknown);
        self.take(|| Want::Op(Op::Wait { time: every })).map(drop)
    }

    /// The gate at which this pass has ended with a want. What an earlier life of the agent has done is not known here.
    fn gate_at(&self, want: &Want) -> Option<Gate> {
        let waits = matches!(want, Want::Task(_) | Want::Op(Op::Wait { .. }));
        let untouched = (self.untouched && waits).then_some(if self.resumed {
            Gate::Unknown
        } else {
            Gate::Untouched
        });
        untouched.or(self.gate.filter(|_| waits))
    }

    /// Polls until `probe` gives something, or a named person attests that it is so.
    ///
    /// # Errors
    /// While it has not.
    pub fn until<T>(
        &mut self,
        every: Duration,
        probe: impl FnOnce(&mut Self) -> Flow<Option<T>>,
    ) -> Flow<Result<T, String>> {
        let keep = self.at;
        if let Some(Outcome::Attested { by }) = self.record.get(self.at) {
            self.at += 1;
            return Ok(Err(by.clone()));
        }
        if let Some(seen) = probe(self)? {
            return Ok(Ok(seen));
        }
        if self.attested.is_some() {
            return Err(Stop::Attested { keep });
        }
        self.wait_for_a_person(every)?;
        Err(Stop::Again { keep, rounds: None })
    }

    /// As [`Self::until`], with the number of rounds that are over told to the probe. Whoever waits again behind it begins to
    /// count anew.
    ///
    /// # Errors
    /// While it has not.
    pub fn until_counting<T>(
        &mut self,
        every: Duration,
        probe: impl FnOnce(&mut Self, u32) -> Flow<Option<T>>,
    ) -> Flow<Result<T, String>> {
        let keep = self.at;
        let over = match self.record.get(self.at) {
            Some(Outcome::Attested { by }) => {
                self.at += 1;
                return Ok(Err(by.clone()));
            }
            Some(Outcome::Rounds(over)) => {
                self.at += 1;
                *over
            }
            _ => 0,
        };
        if let Some(seen) = probe(self, over)? {
            return Ok(Ok(seen));
        }
        if self.attested.is_some() {
            return Err(Stop::Attested { keep });
        }
        self.wait_for_a_person(every)?;
        Err(Stop::Again {
            keep,
            rounds: Some(over.saturating_add(1)),
        })
    }

    /// Tries up to `times`, with a pause between, until `act` gives something; `None` when all tries were in vain.
    ///
    /// # Errors
    /// While the outcomes are not there.
    pub fn retry<T>(
        &mut self,
        times: u32,
        pause: Duration,
        mut act: impl FnMut(&mut Self) -> Flow<Option<T>>,
    ) -> Flow<Option<T>> {
        for left in (0..times).rev() {
            if let Some(value) = act(self)? {
                return Ok(Some(value));
            }
            if left > 0 {
                self.take(|| Want::Op(Op::Wait { time: pause }))?;
            }
        }
        Ok(None)
    }
}

/// What a procedure does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// It waits.
    Want(Want),
    /// It is complete.
    Complete(Complete),
    /// It failed.
    Failed(Box<Failure>),
    /// A probe could not tell.
    CannotTell(String),
}

/// One step's procedure with its record.
#[derive(Debug)]
pub struct Procedure {
    record: Vec<Outcome>,
    resumed: bool,
    generation: Generation,
    /// A later step of the run restarts Windows where that waits for it.
    restart_follows: bool,
    /// How long the product had stood as it was proven when the step began.
    stood: Option<Duration>,
    /// It is recorded that Connect's cycle was held before the wizard.
    cycle_was_held: bool,
    attested: Option<String>,
    /// Works for people that were shown since this life of the agent began the step.
    tasks: u32,
    /// Where it waits, if that is one.
    gate: Option<Gate>,
}

impl Procedure {
    /// Begins with an empty record. `resumed` says that an earlier life of the agent began the step.
    #[must_use]
    pub const fn new(resumed: bool) -> Self {
        Self {
            record: Vec::new(),
            resumed,
            generation: Generation(0),
            restart_follows: false,
            stood: None,
            cycle_was_held: false,
            attested: None,
            tasks: 0,
            gate: None,
        }
    }

    /// The same as a step of that bundle's run.
    #[must_use]
    pub const fn of_run(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    /// The same where a later step of the run restarts Windows, if that waits for it.
    #[must_use]
    pub const fn before_a_restart(mut self, follows: bool) -> Self {
        self.restart_follows = follows;
        self
    }

    /// The same of a product that had stood for so long as it was proven.
    #[must_use]
    pub const fn behind(mut self, stood: Option<Duration>) -> Self {
        self.stood = stood;
        self
    }

    /// The same where it is recorded, or not, that Connect's cycle was held before the wizard.
    #[must_use]
    pub const fn behind_a_held_cycle(mut self, held: bool) -> Self {
        self.cycle_was_held = held;
        self
    }

    /// Adds the outcome of what was wanted last.
    pub fn add(&mut self, outcome: Outcome) {
        self.record.push(outcome);
    }

    /// Takes back the leave that was added last, with what was looked at since: it is wanted again.
    pub fn take_back_leave(&mut self) {
        let is_leave = |outcome: &Outcome| matches!(outcome, Outcome::Permit { .. });
        if let Some(at) = self.record.iter().rposition(is_leave) {
            self.record.truncate(at);
        }
    }

    /// Notes that a named person says that the step is done.
    pub fn attest(&mut self, by: String) {
        self.attested = Some(by);
    }

    /// Where it waits, if an abort may end it there though it is in a section.
    #[must_use]
    pub const fn gate(&self) -> Option<Gate> {
        self.gate
    }

    /// Runs over the record and tells what is next.
    pub fn next(&mut self, step: &Step, artifacts: &[ArtifactRef], host: &Host) -> Next {
        self.drive(artifacts, host, |cx| step::perform(step, cx))
    }

    /// As [`Self::next`], for any procedure.
    pub fn drive(
        &mut self,
        artifacts: &[ArtifactRef],
        host: &Host,
        mut procedure: impl FnMut(&mut Cx<'_>) -> Flow<Complete>,
    ) -> Next {
        loop {
            let mut cx = Cx {
                artifacts,
                host,
                record: &self.record,
                at: 0,
                resumed: self.resumed,
                generation: self.generation,
                restart_follows: self.restart_follows,
                stood: self.stood,
                cycle_was_held: self.cycle_was_held,
                attested: self.attested.as_deref(),
                shown: false,
                untouched: false,
                gate: None,
            };
            let ended = procedure(&mut cx);
            self.gate = match &ended {
                Err(Stop::Want(want)) => cx.gate_at(want),
                _ => None,
            };
            match ended {
                Ok(complete) => return Next::Complete(complete),
                Err(Stop::Want(want)) => {
                    // A word that was said while other work of this step was shown is not about this one. Before the first it
                    // is: an agent that was started again shows the same work again, and hears what was said of it.
                    if matches!(*want, Want::Task(_)) {
                        if self.tasks > 0 {
                            self.attested = None;
                        }
                        self.tasks += 1;
                    }
                    return Next::Want(*want);
                }
                Err(Stop::Again { keep, rounds }) => {
                    self.record.truncate(keep);
                    self.record.extend(rounds.map(Outcome::Rounds));
                }
                Err(Stop::Attested { keep }) => {
                    self.record.truncate(keep);
                    // One word ends one wait.
                    let by = self.attested.take().unwrap_or_default();
                    self.record.push(Outcome::Attested { by });
                }
                Err(Stop::Failed(failure)) => return Next::Failed(failure),
                Err(Stop::CannotTell(question)) => return Next::CannotTell(question),
            }
        }
    }
}

/// What the agent is.
#[derive(Debug, Clone)]
pub struct Host {
    /// True when the server is a model.
    pub simulated: bool,
    /// Version of the agent.
    pub agent_version: String,
    /// The platform that it was built for, as releases name it.
    pub platform: String,
    /// Who signs its releases, by the pinned trust root.
    pub publisher: RoleKeys,
}

impl Host {
    /// A model of a server, whose agent no publisher upgrades.
    #[must_use]
    pub fn model(agent_version: &str) -> Self {
        Self {
            simulated: true,
            agent_version: agent_version.to_owned(),
            platform: AgentRelease::this_platform(),
            publisher: RoleKeys {
                keys: Vec::new(),
                threshold: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::RegistryValue;

    const HOST: fn() -> Host = || Host::model("0");

    fn drive(procedure: &mut Procedure) -> Next {
        procedure.drive(&[], &HOST(), |cx| {
            let first = cx.number("k", "a")?;
            let seen = cx.until(Duration::from_secs(1), |cx| {
                Ok(cx.number("k", "b")?.ok().flatten())
            })?;
            Ok(Complete::new(
                Completion::Applied,
                format!("{first:?} {seen:?}"),
            ))
        })
    }

    fn number(value: Option<u32>) -> Outcome {
        Outcome::Registry(value.map(RegistryValue::Number))
    }

    #[test]
    fn polling_keeps_only_the_last_round() {
        let mut procedure = Procedure::new(false);
        assert!(matches!(
            drive(&mut procedure),
            Next::Want(Want::Op(Op::Registry { .. }))
        ));
        procedure.add(number(Some(1)));
        for _ in 0..100 {
            assert!(matches!(
                drive(&mut procedure),
                Next::Want(Want::Op(Op::Registry { .. }))
            ));
            procedure.add(number(None));
            assert!(matches!(
                drive(&mut procedure),
                Next::Want(Want::Op(Op::Wait { .. }))
            ));
            procedure.add(Outcome::Done);
        }
        assert!(matches!(
            drive(&mut procedure),
            Next::Want(Want::Op(Op::Registry { .. }))
        ));
        assert!(procedure.record.len() <= 2);
        procedure.add(number(Some(2)));
        let Next::Complete(complete) = drive(&mut procedure) else {
            panic!("not complete")
        };
        assert_eq!(complete.summary, "Ok(Some(1)) Ok(2)");
    }

    /// A round's outcomes are forgotten but for their number; what follows the wait keeps its outcomes, and the waits before and
    /// behind it have rounds of their own.
    #[test]
    fn a_wait_that_counts_its_rounds_forgets_them() {
        let drive = |procedure: &mut Procedure| {
            procedure.drive(&[], &HOST(), |cx| {
                let probe = |cx: &mut Cx<'_>, over: u32| -> Flow<Option<u32>> {
                    let seen = cx.number("k", "b")?.ok().flatten();
                    Ok(seen.or((over == 2).then_some(over)))
                };
                let first = cx.until_counting(Duration::from_secs(1), probe)?;
                let between = cx.number("k", "between")?;
                let second = cx.until_counting(Duration::from_secs(1), probe)?;
                let summary = format!("{first:?} {between:?} {second:?}");
                Ok(Complete::new(Completion::Applied, summary))
            })
        };
        let wants = |next: &Next, wanted: &str| match next {
            Next::Want(Want::Op(Op::Registry { value, .. })) => value == wanted,
            _ => false,
        };
        let mut procedure = Procedure::new(false);
        for _ in 0..2 {
            assert!(wants(&drive(&mut procedure), "b"));
            procedure.add(number(None));
            assert!(matches!(
                drive(&mut procedure),
                Next::Want(Want::Op(Op::Wait { .. }))
            ));
            procedure.add(Outcome::Done);
        }
        assert!(wants(&drive(&mut procedure), "b"));
        assert_eq!(procedure.record, [Outcome::Rounds(2)]);
        procedure.add(number(None));
        assert!(wants(&drive(&mut procedure), "between"));
        procedure.add(number(Some(7)));
        assert!(wants(&drive(&mut procedure), "b"));
        assert_eq!(procedure.record.len(), 3);
        procedure.add(number(None));
        drive(&mut procedure);
        procedure.add(Outcome::Done);
        // A word takes the place of the rounds.
        procedure.attest("anna".to_owned());
        let Next::Complete(complete) = drive(&mut procedure) else {
            panic!("not complete")
        };
        assert_eq!(complete.summary, "Ok(2) Ok(Some(7)) Err(\"anna\")");
    }

    #[test]
    fn attestation_ends_the_polling_at_its_next_round() {
        let mut procedure = Procedure::new(false);
        procedure.add(number(None));
        procedure.add(number(None));
        procedure.attest("anna".to_owned());
        let Next::Complete(complete) = drive(&mut procedure) else {
            panic!("not complete")
        };
        assert_eq!(complete.summary, "Ok(None) Err(\"anna\")");
    }

    /// A word on the first work, whose end a probe saw before it was used, is no word on the second; one that an agent hears
    /// again after its restart, before it has shown anything, is.
    #[test]
    fn a_word_is_about_the_work_that_was_shown() {
        let text = TaskText {
            title: String::new(),
            why: String::new(),
            bring: Vec::new(),
            pages: Vec::new(),
            seen_by: String::new(),
        };
        let drive = |procedure: &mut Procedure| {
            procedure.drive(&[], &HOST(), |cx| {
                for value in ["a", "b"] {
                    cx.task(&text)?;
                    let seen = cx.until(Duration::from_secs(1), |cx| {
                        Ok(cx.number("k", value)?.ok().flatten())
                    })?;
                    if value == "b" {
                        return Ok(Complete::new(Completion::Applied, format!("{seen:?}")));
                    }
                }
                fail("it returned before")
            })
        };
        let is_task = |next: Next| matches!(next, Next::Want(Want::Task(_)));
        let mut procedure = Procedure::new(false);
        assert!(is_task(drive(&mut procedure)));
        procedure.add(Outcome::Done);
        procedure.attest("anna".to_owned());
        assert!(!is_task(drive(&mut procedure)));
        procedure.add(number(Some(1)));
        assert!(is_task(drive(&mut procedure)), "a probe saw the first");
        procedure.add(Outcome::Done);
        assert!(matches!(
            drive(&mut procedure),
            Next::Want(Want::Op(Op::Registry { .. }))
        ));
        procedure.add(number(None));
        assert!(
            matches!(drive(&mut procedure), Next::Want(Want::Op(Op::Wait { .. }))),
            "nobody has said anything of the second"
        );
        let mut again = Procedure::new(true);
        again.attest("anna".to_owned());
        assert!(is_task(drive(&mut again)));
        again.add(Outcome::Done);
        assert!(!is_task(drive(&mut again)));
        again.add(number(None));
        assert!(
            is_task(drive(&mut again)),
            "the word of before the restart ends the first"
        );
    }

    /// A word that comes during a pause takes the place of the round, so that what follows reads its own outcomes.
    #[test]
    fn what_follows_an_attested_wait_reads_its_own_outcomes() {
        let drive = |procedure: &mut Procedure| {
            procedure.drive(&[], &HOST(), |cx| {
                let by = cx.until(Duration::from_secs(1), |cx| {
                    Ok(cx.number("k", "b")?.ok().flatten())
                })?;
                let after = cx.number("k", "c")?;
                let summary = format!("{by:?} {after:?}");
                Ok(Complete::new(Completion::Applied, summary))
            })
        };
        let mut procedure = Procedure::new(false);
        procedure.add(number(None));
        assert!(matches!(
            drive(&mut procedure),
            Next::Want(Want::Op(Op::Wait { .. }))
        ));
        procedure.attest("anna".to_owned());
        procedure.add(Outcome::Done);
        procedure.add(number(None));
        assert!(matches!(
            drive(&mut procedure),
            Next::Want(Want::Op(Op::Registry { .. }))
        ));
        procedure.add(number(Some(3)));
        let Next::Complete(complete) = drive(&mut procedure) else {
            panic!("not complete")
        };
        assert_eq!(complete.summary, "Err(\"anna\") Ok(Some(3))");
    }
}
