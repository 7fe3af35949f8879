//! One agent: feeds the run with what the world says and carries out what it wants. It owns journal, state and run; the
//! session and the operations are tasks that report to it.

use std::sync::Arc;
use std::time::Duration;

use agent_core::clock::Clock;
use agent_core::guard::{self, Answer, Standing};
use agent_core::lives::Lives;
use agent_core::op::{Op, Outcome};
use agent_core::procedure::{Complete, Cx, Flow, Host, Next, Procedure, Want};
use agent_core::product;
use agent_core::run::{Action, Conclusion, Leave, Run};
use agent_core::step::facts;
use agent_core::stood::Stood;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use link::seal::SealingKey;
use link::{Connection, Endpoint};
use protocol::event::{Completion, Event, Freeze};
use protocol::facts::{Facts, ProvisioningAgentFacts, ServiceState};
use protocol::refusal::Refusal;
use protocol::secret::{Secret, SecretAsk, SecretKind};
use protocol::signed::{
    AgentRelease, Ending, Manifest, Receipt, Refused, Verified, sign, take_up, verify_root_update,
};
use protocol::step::Product;
use protocol::wire::latest::{
    BundleAnswer, ControlDown, ControlUp, EventsDown, EventsUp, Hello, Opening, SecretAnswer,
    Welcome,
};
use protocol::{
    Attempt, BundleId, Digest, EventIndex, Generation, RolloutId, StepIndex, Timestamp, causes,
    limits,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::artifact::{self, Wanted};
use crate::beside::{Beside, EndsWithRun};
use crate::exec::{Exec, Secrets};
use crate::freeze;
use crate::journal::{Journal, JournalError};
use crate::session::{self, Dial, Inbound, Session};
use crate::state::{State, StateError};

/// How long a renewal of an expired certificate may take: the agent does nothing else meanwhile.
const RENEWAL: Duration = Duration::from_secs(10);

/// How often an agent tells that its product serves. A third of what guard rail G2 calls fresh.
const PULSE: Duration = Duration::from_secs(20);

/// Pulses between two looks at what the server is: a quarter of an hour. What changed is reported.
const LOOK_EVERY: u32 = 45;

/// How long an ask for a secret stays open: as long as the longest step may wait for a person.
const SECRET_LIFE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Messages from tasks to the agent.
const REPORTS: usize = 64;

/// Why an agent cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The bundle under way is no longer good.
    #[error("the bundle that is under way cannot be read again")]
    Bundle(#[source] Refused),
    /// No socket.
    #[error("could not open a UDP socket")]
    Socket(#[source] std::io::Error),
    /// The controller's address.
    #[error(transparent)]
    Enroll(#[from] crate::enroll::EnrollError),
}

/// How fast modelled time goes: real time is modelled time divided by this; 0 lets no time pass.
#[derive(Debug, Clone, Copy)]
pub struct Speed(pub u32);

/// How an agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// Another version was put in its place.
    Replaced,
}

#[derive(Debug)]
enum Report {
    /// The launcher has the new version: this agent ends, and its next life tells what came of it.
    Replaced,
    Outcome {
        generation: Generation,
        number: u64,
        outcome: Outcome,
    },
    Secret {
        number: u64,
        wanted: SecretKind,
        came: Result<Secret, String>,
    },
    Pulse(Pulse),
    Facts(Box<Facts>),
}

/// What a short look at the products shows.
#[derive(Debug)]
struct Pulse {
    /// The provisioning agent serves.
    serving: bool,
    /// State of Connect's service; `None` where it could not be read.
    connect: Option<Option<ServiceState>>,
    /// How long the process of each product has run, where that could be read.
    ages: Vec<(Product, Option<Duration>)>,
    /// When that was, counted from the agent's beginning.
    at: Duration,
    /// How many sections were left when the look was begun.
    sections_left: u64,
}

/// A fence that is good, and waits for the end of the run that is open.
#[derive(Debug)]
struct Superseding {
    envelope: Vec<u8>,
    generation: Generation,
    rollout: RolloutId,
    /// Generation of the run that it waits for.
    open: Generation,
}

/// What an offer comes to.
enum Offered {
    Answered(BundleAnswer),
    /// What is under way ends first.
    Waits(Superseding),
}

struct Progress {
    step: StepIndex,
    text: String,
    percent: Option<u8>,
}

/// One agent.
pub struct Agent {
    state: State,
    journal: Journal,
    host: Host,
    exec: Arc<Exec>,
    speed: Speed,
    /// Why there was no session when one was tried last.
    unreached: Option<String>,
    run: Option<Run>,
    run_begun: (Timestamp, EventIndex),
    /// Since when the products stand as they were proven.
    stood: Stood,
    newest: Option<(Generation, BundleId)>,
    previous_receipt: Digest,
    last_facts: Option<Facts>,
    /// Processes of the products as they were seen between runs.
    lives: Lives,
    /// Its beginning, from which `lives` and `clock` count.
    born: tokio::time::Instant,
    /// The server's clock, which may be set.
    clock: Clock,
    /// What the server's administrator has set, as it was journaled.
    frozen: Option<Freeze>,
    /// The operator has paused the rollout of the run.
    held_by_rollout: bool,
    /// That the run waits for its controller was told.
    told_waiting: bool,
    secrets: Secrets,
    /// Its launcher goes back to the version before, unless an event behind this one was stored.
    trial: Option<EventIndex>,
    /// On trial, this life has told once more what the server's administrator has set.
    restated: bool,
    /// Another version was put in its place.
    replaced: bool,
    session: Option<Session>,
    sent: EventIndex,
    /// Last event that the controller says it has stored, in this session.
    stored: EventIndex,
    dial: watch::Sender<Dial>,
    link: watch::Sender<Option<Connection>>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    tasks: JoinSet<()>,
    asking: Option<AbortHandle>,
    /// An ask for leave, and the event that must be stored first: until then the controller may take it for one from within the section
    /// that was left before.
    asks_leave: Option<(EventIndex, ControlUp)>,
    /// The end of a section: once it is stored, what the product does since is told at once, as others may wait for it.
    left_section: Option<EventIndex>,
    /// How many sections were left since its beginning: a look that was begun in one of them is not told behind its end.
    sections_left: u64,
    /// A script or a fetch that runs, and ends with its run.
    beside: Beside,
    /// A fence that waits for the end of the run that is open, and where its answer goes.
    superseding: Option<(Superseding, oneshot::Sender<BundleAnswer>)>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Agent({})", self.state.target)
    }
}

/// The system's clock.
#[must_use]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Agent {
    /// Takes up what the folder holds: the journal, and the run that was under way.
    ///
    /// # Errors
    /// When a file cannot be read or was altered.
    pub fn open(state: State, exec: Exec, speed: Speed) -> Result<Self, AgentError> {
        let mut journal = Journal::open(&state.folder().join("journal"), crate::enroll::new_epoch)?;
        let host = Host {
            simulated: state.simulated(),
            agent_version: exec.agent_version(),
            platform: AgentRelease::this_platform(),
            publisher: state.root.roles.publisher.clone(),
        };
        let history = journal.events()?;
        let mut newest = None;
        let mut open = None;
        let mut previous_receipt = Digest::ZERO;
        let mut begun = (now(), EventIndex(0));
        let mut last_facts = None;
        let mut frozen = None;
        let mut stood = Stood::default();
        for (index, at, event) in &history {
            stood.hear(event, *at);
            match event {
                Event::BundleAccepted {
                    bundle, generation, ..
                } => {
                    newest = Some((*generation, *bundle));
                    open = Some((*generation, *bundle));
                    begun = (*at, *index);
                }
                Event::RunFinished { receipt, .. } => {
                    open = None;
                    previous_receipt = Digest::of(receipt.as_bytes());
                }
                Event::FactsReported(facts) => last_facts = Some((**facts).clone()),
                Event::Frozen(freeze) => frozen = Some(freeze.clone()),
                Event::Thawed => frozen = None,
                Event::BundleRefused { .. }
                | Event::StepBegun { .. }
                | Event::SectionEntered { .. }
                | Event::SectionLeft { .. }
                | Event::SecretAsked { .. }
                | Event::SecretReceived { .. }
                | Event::TaskOpened { .. }
                | Event::Probed { .. }
                | Event::Discovered { .. }
                | Event::ForestRead { .. }
                | Event::ConnectSettingsRead { .. }
                | Event::ConnectExportRead { .. }
                | Event::CycleBeforeWizard { .. }
                | Event::StepCompleted { .. }
                | Event::StepFailed { .. }
                | Event::StepInconclusive { .. }
                | Event::ServiceRestarted { .. } => {}
            }
        }
        let mut run = None;
        if let Some((generation, bundle)) = open {
            let envelope = state.bundle(generation, &bundle.0)?;
            // It was verified when it was taken. A newer root may name other keys since: what goes on is what goes on in one life.
            let manifest: Verified<Manifest> =
                take_up(&envelope, &bundle.0).map_err(AgentError::Bundle)?;
            let of_run: Vec<Event> = history
                .into_iter()
                .map(|(_, _, event)| event)
                .filter(|event| event.generation() == Some(generation))
                .collect();
            tracing::info!(target_name = %state.target, %generation, events = of_run.len(), "a run goes on");
            // Whether its rollout still goes on is known with the next welcome, and what its administrator has set, at once.
            let held = Run::held(manifest, host.clone(), &of_run, now());
            run = Some(held.standing_since(stood.since()));
        }
        let held_by_rollout = run.is_some();
        let hello = Hello {
            target: state.target.clone(),
            agent_version: host.agent_version.clone(),
            simulated: host.simulated,
            head: journal.head(),
            generation: newest.map_or(Generation(0), |(generation, _)| generation),
            root_version: state.root.version,
        };
        let dial = Dial {
            identity: state.identity(),
            authority: state.authority(),
            controller: state.controller.clone(),
            hello,
        };
        let trial = exec.on_trial().then(|| journal.head().index);
        if trial.is_some() {
            tracing::warn!(target_name = %state.target, version = %host.agent_version, "this version is on trial");
        }
        Ok(Self {
            trial,
            restated: false,
            replaced: false,
            state,
            journal,
            host,
            exec: Arc::new(exec),
            speed,
            unreached: None,
            run,
            run_begun: begun,
            stood,
            newest,
            previous_receipt,
            last_facts,
            lives: Lives::default(),
            born: tokio::time::Instant::now(),
            clock: Clock::default(),
            frozen,
            held_by_rollout,
            told_waiting: false,
            secrets: Secrets::new(),
            session: None,
            sent: EventIndex(0),
            stored: EventIndex(0),
            dial: watch::channel(dial).0,
            link: watch::channel(None).0,
            reports: mpsc::channel(REPORTS),
            tasks: JoinSet::new(),
            asking: None,
            asks_leave: None,
            left_section: None,
            sections_left: 0,
            beside: Beside::default(),
            superseding: None,
        })
    }

    /// Runs until `stop` changes to true, or another version was put in its place.
    ///
    /// # Errors
    /// When journal or state cannot be written: nothing was done that is not in the journal.
    pub async fn run(
        mut self,
        endpoint: Endpoint,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Ended, AgentError> {
        self.look_at_freeze();
        self.renew_expired(&endpoint).await;
        let (inbound, mut arriving) = mpsc::channel(REPORTS);
        let mut sessions = JoinSet::new();
        sessions.spawn(session::keep(
            endpoint.clone(),
            self.dial.subscribe(),
            inbound,
        ));
        let mut pulses = 0_u32;
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.carry_out().await?;
            self.supersede().await?;
            let now = self.now();
            let due = self.run.as_ref().and_then(Run::poll_timeout);
            let due = due.map(|at| at.since(now));
            tokio::select! {
                Some(inbound) = arriving.recv() => self.arrived(inbound).await?,
                Some(report) = self.reports.1.recv() => self.reported(report),
                _ = pulse.tick() => {
                    self.pulse();
                    pulses += 1;
                    if pulses.is_multiple_of(LOOK_EVERY) {
                        self.look_around();
                    }
                    self.look_at_freeze();
                    self.renew_expired(&endpoint).await;
                }
                () = tokio::time::sleep(due.unwrap_or(Duration::MAX / 4)), if due.is_some() => {
                    let now = self.now();
                    if let Some(run) = &mut self.run {
                        run.handle_timeout(now);
                    }
                }
                // A dropped sender means that whoever could stop it is gone.
                () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
            }
            while self.tasks.try_join_next().is_some() {}
            if self.replaced {
                break;
            }
        }
        self.link.send_replace(None);
        sessions.shutdown().await;
        Ok(if self.replaced {
            Ended::Replaced
        } else {
            Ended::Stopped
        })
    }

    /// The server's clock, for the run: whoever has set it has not set what the step under way has taken.
    fn now(&mut self) -> Timestamp {
        let now = now();
        if let Some(millis) = self.clock.look(now, self.born.elapsed()) {
            tracing::warn!(target_name = %self.state.target, seconds = millis / 1000, "this server's clock was set; time limits of steps go on as they were");
            if let Some(run) = &mut self.run {
                run.clock_was_set(millis);
            }
        }
        now
    }

    fn follow_certificate(&self) {
        let identity = self.state.identity();
        self.dial.send_modify(|dial| dial.identity = identity);
    }

    fn journal(&mut self, event: &Event) -> EventIndex {
        if let Event::FactsReported(facts) = event {
            self.last_facts = Some((**facts).clone());
        }
        let at = now();
        self.stood.hear(event, at);
        self.journal.append(event, at)
    }

    /// Makes what was journaled lasting, then shows it to the session and to the next hello.
    fn publish(&mut self) -> Result<(), AgentError> {
        self.journal.sync()?;
        let head = self.journal.head();
        let generation = self
            .newest
            .map_or(Generation(0), |(generation, _)| generation);
        self.dial.send_if_modified(|dial| {
            let moved = dial.hello.head != head || dial.hello.generation != generation;
            dial.hello.head = head;
            dial.hello.generation = generation;
            moved
        });
        self.send_events()
    }

    /// Sends what the controller lacks, as far as the session takes it. While a frame is on its way, what would not fill
    /// another waits for its answer: the controller stores and answers each, and a fleet tells all of its news at once.
    /// Only what is on disk and in the next hello may be sent, so this is for [`Self::publish`] alone.
    fn send_events(&mut self) -> Result<(), AgentError> {
        let Some(session) = &self.session else {
            return Ok(());
        };
        while self.sent < self.journal.head().index {
            let news = self.journal.head().index.0 - self.sent.0;
            if self.sent > self.stored && news < limits::MAX_EVENTS_PER_FRAME as u64 {
                return Ok(());
            }
            let Ok(slot) = session.events.try_reserve() else {
                return Ok(());
            };
            let (first, mut entries) = self.journal.after(self.sent)?;
            let mut bytes = 0;
            let fit = entries
                .iter()
                .take(limits::MAX_EVENTS_PER_FRAME)
                .take_while(|entry| {
                    bytes += entry.body.len() + 32;
                    bytes <= limits::MAX_FRAME_BYTES / 2
                });
            let count = fit.count().max(1);
            entries.truncate(count);
            self.sent = EventIndex(self.sent.0 + count as u64);
            slot.send(EventsUp::Entries {
                epoch: self.journal.head().epoch,
                first,
                entries,
            });
        }
        Ok(())
    }

    /// Carries out what the run wants, in its order: what is to be journaled is on disk before what comes behind it. A
    /// glance alone is answered on the spot and does not wait for the disk, so that a step of glances is written and sent
    /// in one go.
    async fn carry_out(&mut self) -> Result<(), AgentError> {
        while let Some(action) = self.run.as_mut().and_then(Run::poll_action) {
            match action {
                Action::Journal(event) => {
                    let index = self.journal(&event);
                    if let Event::SectionLeft { .. } = event {
                        self.left_section = Some(index);
                        self.sections_left += 1;
                    }
                    let of = |step: &StepIndex| {
                        let run = self.run.as_ref()?;
                        run.manifest().steps.get(usize::from(step.0))
                    };
                    if let Event::StepBegun { step, .. } = &event {
                        of(step).inspect(|step| self.exec.begun(step));
                    } else if let Event::StepCompleted { step, .. } = &event {
                        of(step).inspect(|step| self.exec.ended(step));
                    }
                }
                Action::Perform {
                    number,
                    op: Op::SecretsFit { secrets },
                } => {
                    let now = self.now();
                    let good = |kind: &SecretKind| {
                        let secret = self.secrets.get(kind);
                        secret.is_some_and(|secret| !kind.has_lapsed(secret, now))
                    };
                    let fit = secrets.iter().all(good);
                    self.outcome(number, Outcome::Exists(fit));
                }
                Action::Perform { number, op } if op.is_glance() => {
                    let (outcome, _) = self.exec.perform(&op, &Secrets::new()).await;
                    self.outcome(number, outcome);
                }
                Action::Perform { number, op } => {
                    self.publish()?;
                    // The disk may have taken its time.
                    let now = self.now();
                    let run = self.run.as_mut();
                    if run.is_some_and(|run| run.may_perform(number, now)) {
                        self.perform(number, op).await;
                    } else {
                        tracing::warn!(target_name = %self.state.target, "leave has lapsed before anything was done by it; it is asked for again");
                    }
                }
                Action::AskPermit {
                    step,
                    attempt,
                    section,
                } => {
                    self.publish()?;
                    let generation = self.run.as_ref().map_or(Generation(0), Run::generation);
                    let ask = ControlUp::PermitAsked {
                        generation,
                        step,
                        attempt,
                        section,
                    };
                    self.asks_leave = Some((self.journal.head().index, ask));
                    self.ask_leave();
                }
                Action::AskSecret {
                    number,
                    step,
                    attempt,
                    wanted,
                } => {
                    self.publish()?;
                    self.ask_secret(number, step, attempt, wanted);
                }
                Action::Finish(conclusion) => self.finish(conclusion).await,
            }
        }
        self.tell_waiting();
        self.publish()
    }

    /// Tells that nothing begins while the agent is cut off, once.
    fn tell_waiting(&mut self) {
        let waits = self
            .run
            .as_ref()
            .filter(|run| run.waits_for_its_controller());
        if let Some(run) = waits.filter(|_| !self.told_waiting) {
            tracing::info!(target_name = %self.state.target, generation = %run.generation(), "a run waits for its controller: nothing more begins while it is cut off");
        }
        self.told_waiting = waits.is_some();
    }

    /// Says something on the control stream. What is lost with the session is asked again after the next welcome.
    fn say(&self, word: ControlUp) {
        if let Some(session) = &self.session
            && session.control.try_send(word).is_err()
        {
            tracing::debug!(target_name = %self.state.target, "the control stream is full or gone");
        }
    }

    /// Asks for the leave that the run waits for, once all that was journaled before is stored.
    fn ask_leave(&mut self) {
        let stored = self.stored;
        if let Some((_, ask)) = self.asks_leave.take_if(|(behind, _)| *behind <= stored) {
            self.say(ask);
        }
    }

    fn progress(&self, progress: Progress) {
        let Some(run) = &self.run else { return };
        let Some(session) = &self.session else { return };
        let Progress {
            step,
            text,
            percent,
        } = progress;
        let up = EventsUp::Progress {
            generation: run.generation(),
            step,
            percent,
            text,
        };
        // The latest wins, and none at all does no harm.
        drop(session.events.try_send(up));
    }

    async fn perform(&mut self, number: u64, op: Op) {
        let Some(run) = &self.run else { return };
        let generation = run.generation();
        let step = run.current_step().map_or(StepIndex(0), |(step, _)| step);
        if let Some(text) = announce(&op) {
            self.progress(Progress {
                step,
                text,
                percent: None,
            });
        }
        let exec = Arc::clone(&self.exec);
        let mut secrets = Secrets::new();
        let wanted = op.secrets();
        let named = self
            .secrets
            .iter()
            .filter(|(kind, _)| wanted.contains(kind));
        secrets.extend(named.map(|(kind, secret)| (kind.clone(), secret.clone())));
        let folder = self.state.folder().to_owned();
        let link = self.link.subscribe();
        let reports = self.reports.0.clone();
        let speed = self.speed;
        let progress = self.session.as_ref().map(|session| session.events.clone());
        // An installer goes on: half of it is no product.
        let wanted = Wanted::by(&op);
        let ends_with_run = matches!(op, Op::Script { .. }) || wanted.is_some();
        let part = wanted.map(|wanted| artifact::part(&folder, &wanted.sha256));
        // A run that was broken off still looks at the server: what it was at before ends here.
        if ends_with_run {
            self.beside.end().await;
        }
        let (alive, over) = oneshot::channel::<()>();
        let task = self.tasks.spawn(async move {
            let _alive = alive;
            let outcome = if let Some(wanted) = wanted {
                let told = std::sync::atomic::AtomicU8::new(0);
                let tell = |percent: u8| {
                    // Every tenth at most: progress must not crowd out facts.
                    if percent / 10 > told.swap(percent, std::sync::atomic::Ordering::Relaxed) / 10
                        && let Some(events) = &progress
                    {
                        let text = "fetching the artifact".to_owned();
                        let up = EventsUp::Progress {
                            generation,
                            step,
                            percent: Some(percent),
                            text,
                        };
                        drop(events.try_send(up));
                    }
                };
                match (artifact::fetch(&folder, &wanted, link, tell).await, &op) {
                    (Ok(path), Op::Fetch { artifact }) => {
                        match exec.accept_artifact(&path, artifact) {
                            Ok(()) => Outcome::Done,
                            Err(why) => Outcome::Failed(why),
                        }
                    }
                    // Its publisher has signed these very bytes.
                    (Ok(_), _) => Outcome::Done,
                    (Err(error), _) => Outcome::Failed(causes(&error)),
                }
            } else {
                let (outcome, time) = exec.perform(&op, &secrets).await;
                // A model of a server answers at once and says how long it would have taken.
                if let Some(real) = time.checked_div(speed.0)
                    && !real.is_zero()
                {
                    tokio::time::sleep(real).await;
                }
                outcome
            };
            let replaced = matches!(op, Op::SwitchAgent { .. }) && outcome == Outcome::Done;
            let report = if replaced {
                Report::Replaced
            } else {
                Report::Outcome {
                    generation,
                    number,
                    outcome,
                }
            };
            drop(reports.send(report).await);
        });
        if ends_with_run {
            self.beside.begins(EndsWithRun {
                number,
                task,
                over,
                part,
            });
        }
    }

    fn ask_secret(&mut self, number: u64, step: StepIndex, attempt: Attempt, wanted: SecretKind) {
        let (Some(run), Some(session)) = (&self.run, &self.session) else {
            return;
        };
        let Ok(sealing) = SealingKey::generate() else {
            return;
        };
        let ask = SecretAsk {
            format: 1,
            target: self.state.target.clone(),
            bundle: BundleId(run.manifest().digest()),
            generation: run.generation(),
            step,
            attempt,
            wanted: wanted.clone(),
            expires: now().plus(SECRET_LIFE),
            key: BASE64_STANDARD.encode(sealing.public()),
        };
        let envelope = sign(&ask, &[&self.state.key]).to_json();
        let digest = Digest::of(&envelope);
        let connection = session.connection.clone();
        let reports = self.reports.0.clone();
        // An ask that was made before is withdrawn with its stream.
        if let Some(before) = self.asking.take() {
            before.abort();
        }
        let asking = self.tasks.spawn(async move {
            let answer = async {
                let (mut send, mut receive) = connection.open().await?;
                send.send(&Opening::Secret { ask: envelope }).await?;
                send.finish();
                receive.expect::<SecretAnswer>().await
            };
            let came = match answer.await {
                Ok(SecretAnswer::Sealed {
                    encapsulated,
                    ciphertext,
                }) => open(&sealing, &digest, encapsulated, &ciphertext),
                Ok(SecretAnswer::Refused(why)) => Err(why),
                // Cut off: it is asked again after the next welcome, under a new key.
                Err(_) => return,
            };
            drop(
                reports
                    .send(Report::Secret {
                        number,
                        wanted,
                        came,
                    })
                    .await,
            );
        });
        self.asking = Some(asking);
    }

    async fn finish(&mut self, conclusion: Conclusion) {
        let Some(run) = self.run.take() else {
            return;
        };
        self.secrets.clear();
        if !run.only_reads() {
            self.lives.forget();
        }
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
        self.asks_leave = None;
        // One that is still under way is of a step that was given up: it must not go on beside the next try.
        self.beside.end().await;
        let manifest = run.manifest();
        // Nobody tries these again: what has come of them in an earlier life goes as well.
        if matches!(conclusion.ending, Ending::Aborted | Ending::Expired) {
            for wanted in &manifest.artifacts {
                artifact::forget(&artifact::part(self.state.folder(), &wanted.sha256));
            }
        }
        let head = self.journal.head();
        let receipt = Receipt {
            format: 1,
            simulated: self.host.simulated,
            target: self.state.target.clone(),
            tenant: manifest.tenant.clone(),
            bundle: BundleId(manifest.digest()),
            generation: manifest.generation,
            rollout: manifest.rollout,
            plan: manifest.plan,
            phase: manifest.phase,
            change: manifest.change.clone(),
            begun: self.run_begun.0,
            ended: now(),
            ending: conclusion.ending.clone(),
            grade: conclusion.grade,
            steps: conclusion.steps,
            epoch: head.epoch,
            first_event: self.run_begun.1,
            last_event: head.index,
            chain: head.chain,
            previous: self.previous_receipt,
            agent_version: self.host.agent_version.clone(),
        };
        let envelope = sign(&receipt, &[&self.state.key]).to_json();
        self.previous_receipt = Digest::of(&envelope);
        let generation = manifest.generation;
        let receipt = String::from_utf8(envelope).expect("JSON is UTF-8");
        self.journal(&Event::RunFinished {
            generation,
            ending: conclusion.ending,
            receipt,
        });
        tracing::info!(target_name = %self.state.target, %generation, "a run ended");
    }

    fn reported(&mut self, report: Report) {
        let now = self.now();
        match report {
            Report::Replaced => self.replaced = true,
            Report::Outcome {
                generation,
                number,
                outcome,
            } => {
                if self.run_of(generation).is_some() {
                    self.beside.has_told(number);
                    self.outcome(number, outcome);
                }
            }
            Report::Secret {
                number,
                wanted,
                came,
            } => {
                if let Some(run) = &mut self.run
                    && run.awaits_secret(number)
                {
                    let came = came.map(|secret| {
                        self.secrets.insert(wanted.clone(), secret);
                    });
                    run.handle_secret(number, &wanted, came, now);
                }
            }
            Report::Pulse(pulse) => self.felt(&pulse),
            // A run that changes the server reports for itself.
            Report::Facts(facts)
                if self.changes_nothing() && self.last_facts.as_ref() != Some(&*facts) =>
            {
                self.journal(&Event::FactsReported(facts));
            }
            Report::Facts(_) => {}
        }
    }

    /// Tells that the product serves. What the last facts say and is no more so is probed anew; that a service runs in another
    /// process is told, where no run has done that.
    fn felt(&mut self, pulse: &Pulse) {
        let last = self.last_facts.as_ref();
        let serves = |facts: &Facts| {
            let agent = facts.provisioning_agent.as_ref();
            agent.is_some_and(ProvisioningAgentFacts::serves)
        };
        let connect = |facts: &Facts| facts.connect.as_ref().and_then(|connect| connect.service);
        let differs = last.is_some_and(|facts| {
            let read = pulse.connect;
            serves(facts) != pulse.serving || read.is_some_and(|state| state != connect(facts))
        });
        let mut anew = Vec::new();
        for (product, age) in &pulse.ages {
            // What a run restarts is told by its steps.
            if self.changes_nothing() && self.lives.look(*product, *age, pulse.at) {
                anew.push(*product);
            }
        }
        if differs || !anew.is_empty() {
            self.look_around();
        }
        for product in anew {
            tracing::warn!(target_name = %self.state.target, product = product.as_str(), "its service was started anew");
            self.journal(&Event::ServiceRestarted { product });
        }
        // What was seen within a section is of before its end, and another look is told for that.
        let within = pulse.sections_left != self.sections_left;
        if let Some(session) = self.session.as_ref().filter(|_| !within) {
            let serving = pulse.serving;
            drop(session.events.try_send(EventsUp::Pulse { serving }));
        }
    }

    async fn arrived(&mut self, inbound: Inbound) -> Result<(), AgentError> {
        match inbound {
            Inbound::Welcomed { welcome, session } => self.welcomed(&welcome, session)?,
            Inbound::Offer { envelope, answer } => self.offer(envelope, answer).await?,
            Inbound::Control { word, came } => self.control(word, came.elapsed())?,
            Inbound::Acknowledged(EventsDown::Acknowledged { index }) => {
                self.journal.acknowledged(index);
                self.stored = self.stored.max(index);
                self.prove(index);
                self.publish()?;
                self.ask_leave();
                if self.left_section.take_if(|left| *left <= index).is_some() {
                    self.pulse();
                }
            }
            Inbound::Lost(ended) => {
                if self.session.take().is_some() {
                    tracing::info!(target_name = %self.state.target, why = %ended, "the session ended");
                } else {
                    // Told once, and again when it is another reason: it is tried over and over.
                    let why = ended.to_string();
                    if self.unreached.as_ref() == Some(&why) {
                        tracing::debug!(target_name = %self.state.target, %why, "no session");
                    } else {
                        tracing::warn!(target_name = %self.state.target, %why, "no session with the controller");
                        self.unreached = Some(why);
                    }
                }
                self.link.send_replace(None);
                // As after a start: what stands for its rollout is said with the next welcome, and heard before it goes on.
                if let Some(run) = &mut self.run {
                    self.held_by_rollout = true;
                    run.out_of_reach();
                }
                // It is asked again after the next welcome.
                self.asks_leave = None;
                // It is offered again after the next welcome, if it still is to be.
                self.superseding = None;
                // Nobody has looked meanwhile, perhaps for days.
                self.lives.forget();
            }
        }
        Ok(())
    }

    /// An event of this life is stored, so that the controller can be reached and understands what this version says.
    fn prove(&mut self, stored: EventIndex) {
        if self.trial.is_none_or(|begun| stored <= begun) {
            return;
        }
        match self.exec.prove() {
            Ok(()) => {
                tracing::info!(target_name = %self.state.target, version = %self.host.agent_version, "this version has proved itself");
                self.trial = None;
            }
            // The next event and the next pulse are other tries.
            Err(error) => {
                tracing::error!(%error, "the launcher could not be told that this version works")
            }
        }
    }

    fn welcomed(&mut self, welcome: &Welcome, session: Session) -> Result<(), AgentError> {
        let stored = welcome.stored;
        let ours = self.journal.chain_at(stored.index)?;
        if stored.epoch != self.journal.head().epoch || ours != Some(stored.chain) {
            // The controller decides the same from our hello; this is the second line.
            tracing::error!(target_name = %self.state.target, "the controller has stored another journal than this one");
            session.connection.close(
                protocol::wire::close::Close::RolledBack,
                "the journals differ",
            );
            return Ok(());
        }
        let difference = now().as_millis() - welcome.now_millis;
        if difference.unsigned_abs()
            > u64::from(limits::CLOCK_TOLERANCE.subsec_millis())
                + limits::CLOCK_TOLERANCE.as_secs() * 1000
        {
            tracing::warn!(
                seconds = difference / 1000,
                "this server's clock differs from the controller's"
            );
        }
        tracing::info!(target_name = %self.state.target, stored = %stored.index, "welcomed");
        self.unreached = None;
        (self.sent, self.stored) = (stored.index, stored.index);
        // The answer to what was stored may have been lost with a session.
        self.prove(stored.index);
        if self.trial.is_some() && !self.restated {
            // Something of this life must be stored, whatever the server shows and its run waits for.
            self.restated = true;
            let event = self.frozen.clone().map_or(Event::Thawed, Event::Frozen);
            self.journal(&event);
        }
        self.link.send_replace(Some(session.connection.clone()));
        self.session = Some(session);
        self.publish()?;
        let now = self.now();
        if let Some(run) = &mut self.run {
            run.ask_again(now);
        }
        self.pulse();
        self.look_around();
        Ok(())
    }

    /// Takes up what the server's administrator has set or lifted. A run waits at its next gate meanwhile.
    fn look_at_freeze(&mut self) {
        let at = now();
        let frozen = freeze::read(self.state.folder(), at);
        if freeze::is_told(frozen.as_ref(), self.frozen.as_ref(), at) {
            return;
        }
        match &frozen {
            Some(freeze) => {
                tracing::warn!(target_name = %self.state.target, until = %freeze.until, by = %freeze.by, why = %freeze.why, "this server is frozen");
                self.journal(&Event::Frozen(freeze.clone()));
            }
            None => {
                tracing::info!(target_name = %self.state.target, "this server is frozen no more");
                self.journal(&Event::Thawed);
            }
        }
        self.frozen = frozen;
        let now = self.now();
        if let Some(run) = &mut self.run {
            if self.frozen.is_some() {
                run.pause();
            } else if !self.held_by_rollout {
                run.resume(now);
            }
        }
    }

    /// Gives the run an outcome. A step may end with it and the next one begin: a freeze that was set meanwhile comes first.
    fn outcome(&mut self, number: u64, outcome: Outcome) {
        self.look_at_freeze();
        let now = self.now();
        if let Some(run) = &mut self.run {
            run.handle_outcome(number, outcome, now);
        }
    }

    /// Takes up a fence for which the run that was open has ended by now.
    async fn supersede(&mut self) -> Result<(), AgentError> {
        if self.run.is_none()
            && let Some((waits, answer)) = self.superseding.take()
        {
            self.offer(waits.envelope, answer).await?;
        }
        Ok(())
    }

    /// A fence that waits is not to begin: its rollout was aborted, or is paused. It is refused for the run that it waits for, whose end
    /// nobody else waits for.
    fn refuse_waiting(&mut self, is: impl FnOnce(&Superseding) -> bool) {
        let Some((waits, answer)) = self.superseding.take_if(|(waits, _)| is(waits)) else {
            return;
        };
        let refusal = Refusal::Busy { open: waits.open };
        let refused = self.refuse(&waits.envelope, refusal);
        drop(answer.send(refused));
    }

    /// Takes up what is offered, and answers it; what has no answer yet waits for the end of what is under way.
    async fn offer(
        &mut self,
        envelope: Vec<u8>,
        answer: oneshot::Sender<BundleAnswer>,
    ) -> Result<(), AgentError> {
        let answered = self.offered(&envelope);
        // Store, then say.
        self.carry_out().await?;
        match answered {
            Offered::Answered(answered) => drop(answer.send(answered)),
            Offered::Waits(waits) => self.superseding = Some((waits, answer)),
        }
        Ok(())
    }

    /// Answers an offer, or ends what is under way first: then there is no answer yet.
    fn offered(&mut self, envelope: &[u8]) -> Offered {
        self.look_at_freeze();
        let public = self.state.key.public();
        let standing = Standing {
            target: &self.state.target,
            key: &public,
            root: &self.state.root,
            newest: self.newest,
            open: self.run.as_ref().map(Run::generation),
            frozen: self.frozen.as_ref().map(|freeze| freeze.until),
            now: now(),
        };
        let refusal = match guard::consider(envelope, &standing) {
            Answer::AcceptedBefore => return Offered::Answered(BundleAnswer::Accepted),
            Answer::Refuse(refusal) => refusal,
            Answer::Supersede { open, fence } => {
                tracing::warn!(target_name = %self.state.target, generation = %open, "a run ends, since this server is to be fenced");
                let now = self.now();
                if let Some(run) = &mut self.run {
                    run.abort(now);
                }
                return Offered::Waits(Superseding {
                    envelope: envelope.to_vec(),
                    generation: fence.generation,
                    rollout: fence.rollout,
                    open,
                });
            }
            Answer::Accept(manifest) => match self.state.keep_bundle(manifest.generation, envelope)
            {
                Ok(()) => {
                    self.begin(*manifest);
                    return Offered::Answered(BundleAnswer::Accepted);
                }
                Err(error) => Refusal::CannotStore(causes(&error)),
            },
        };
        Offered::Answered(self.refuse(envelope, refusal))
    }

    /// Journals a refusal, and tells it.
    fn refuse(&mut self, envelope: &[u8], refusal: Refusal) -> BundleAnswer {
        tracing::warn!(target_name = %self.state.target, %refusal, "a bundle was refused");
        let bundle = BundleId(Digest::of(envelope));
        let text = refusal.to_string();
        self.journal(&Event::BundleRefused { bundle, refusal });
        BundleAnswer::Refused(text)
    }

    fn begin(&mut self, manifest: Verified<Manifest>) {
        let bundle = BundleId(manifest.digest());
        let (generation, rollout, phase) = (manifest.generation, manifest.rollout, manifest.phase);
        let index = self.journal(&Event::BundleAccepted {
            bundle,
            generation,
            rollout,
            phase,
            change: manifest.change.clone(),
        });
        self.newest = Some((generation, bundle));
        self.held_by_rollout = false;
        let now = self.now();
        self.run_begun = (now, index);
        let run = Run::new(manifest, self.host.clone(), &[], now);
        let run = run.standing_since(self.stood.since());
        if !run.only_reads() {
            self.lives.forget();
        }
        self.run = Some(run);
    }

    /// Hears a word that came so long ago.
    fn control(&mut self, word: ControlDown, came: Duration) -> Result<(), AgentError> {
        let now = self.now();
        match word {
            ControlDown::PermitGiven {
                generation,
                step,
                attempt,
                lapses_millis,
                after,
            } => {
                // Leave that comes to a frozen server is not used.
                self.look_at_freeze();
                if let Some(run) = self.run_of(generation) {
                    let lasts = Duration::from_millis(lapses_millis);
                    let leave = Leave { after, lasts, came };
                    run.handle_permit(step, attempt, leave, now);
                }
            }
            ControlDown::Pause { rollout } => {
                self.refuse_waiting(|waits| waits.rollout == rollout);
                if let Some(run) = &mut self.run
                    && run.manifest().rollout == rollout
                {
                    self.held_by_rollout = true;
                    run.pause();
                }
            }
            ControlDown::Resume { rollout } => {
                self.look_at_freeze();
                if let Some(run) = &mut self.run
                    && run.manifest().rollout == rollout
                {
                    self.held_by_rollout = false;
                    // The server's own administrator comes before the rollout's operator.
                    if self.frozen.is_none() {
                        run.resume(now);
                    }
                }
            }
            ControlDown::Abort { generation } => {
                self.refuse_waiting(|waits| waits.generation == generation);
                if let Some(run) = self.run_of(generation) {
                    run.abort(now);
                }
            }
            ControlDown::Attested {
                generation,
                step,
                by,
            } => {
                if let Some(run) = self.run_of(generation) {
                    run.handle_attested(step, by);
                }
            }
            ControlDown::Certificate(issued) => {
                self.state.renewed(crate::enroll::certificate(&issued))?;
                self.follow_certificate();
                tracing::info!(target_name = %self.state.target, "the certificate was renewed");
            }
            ControlDown::Root { envelope } => match verify_root_update(&envelope, &self.state.root)
            {
                Ok(root) => {
                    self.state.repin(&envelope, root.into_inner())?;
                    self.host.publisher = self.state.root.roles.publisher.clone();
                    if let Some(run) = &mut self.run {
                        run.trust(self.host.publisher.clone());
                    }
                }
                Err(error) => tracing::error!(%error, "a newer trust root was refused"),
            },
            ControlDown::Welcome(_) => tracing::debug!("a second welcome was ignored"),
        }
        Ok(())
    }

    /// No run is under way that changes the server: what is other than before is not its doing.
    fn changes_nothing(&self) -> bool {
        self.run.as_ref().is_none_or(Run::only_reads)
    }

    fn run_of(&mut self, generation: Generation) -> Option<&mut Run> {
        self.run
            .as_mut()
            .filter(|run| run.generation() == generation)
    }

    /// Looks at the products shortly, beside whatever a run does: nothing that takes time is asked.
    fn pulse(&mut self) {
        if self.session.is_some() {
            self.prove(self.stored);
            self.renew_in_time();
            let (born, sections_left) = (self.born, self.sections_left);
            self.probe(move |cx| {
                let agent = facts::provisioning_agent(cx)?.found;
                let connect = cx.service(product::CONNECT_SERVICE)?.ok();
                let mut ages = Vec::new();
                for (product, service) in [
                    (Product::ProvisioningAgent, product::AGENT_SERVICE),
                    (Product::Connect, product::CONNECT_SERVICE),
                ] {
                    ages.extend(cx.service_age(service)?.ok().map(|age| (product, age)));
                }
                Ok(Report::Pulse(Pulse {
                    serving: agent.is_some_and(|agent| agent.serves()),
                    connect: connect.map(|service| service.map(|service| service.state)),
                    ages,
                    at: born.elapsed(),
                    sections_left,
                }))
            });
        }
    }

    /// Renews a certificate that ended while the agent was away. Where the controller does not answer it is tried again
    /// with the next pulse; the work of an open bundle goes on meanwhile.
    async fn renew_expired(&mut self, endpoint: &Endpoint) {
        if self.session.is_some() || now() < self.state.certificate.expires {
            return;
        }
        tracing::warn!(target_name = %self.state.target, "the certificate has expired; renewing");
        let renewing = crate::enroll::renew_expired(&mut self.state, endpoint);
        match tokio::time::timeout(RENEWAL, renewing).await {
            Ok(Ok(())) => self.follow_certificate(),
            Ok(Err(error)) => tracing::warn!("it could not be renewed: {}", causes(&error)),
            Err(_) => tracing::warn!("it could not be renewed: the controller does not answer"),
        }
    }

    /// Asks for a new certificate from half of its life on, in long sessions as well.
    fn renew_in_time(&self) {
        if now() >= self.state.certificate.renew_after {
            match crate::enroll::request(&self.state.key) {
                Ok(request) => self.say(ControlUp::RenewalAsked { request }),
                Err(error) => tracing::error!(%error, "could not make a certificate request"),
            }
        }
    }

    /// Probes what the server is; it is reported where it is not what was reported last.
    fn look_around(&mut self) {
        if self.changes_nothing() {
            self.probe(|cx| Ok(Report::Facts(Box::new(facts::probe(cx)?))));
        }
    }

    /// Drives a probe outside of any run and reports what it found.
    fn probe(&mut self, look: impl Fn(&mut Cx<'_>) -> Flow<Report> + Send + 'static) {
        let exec = Arc::clone(&self.exec);
        let host = self.host.clone();
        let reports = self.reports.0.clone();
        self.tasks.spawn(async move {
            let mut found = None;
            let mut procedure = Procedure::new(false);
            loop {
                let next = procedure.drive(&[], &host, |cx| {
                    found = Some(look(cx)?);
                    Ok(Complete::new(Completion::AlreadySo, ""))
                });
                let Next::Want(Want::Op(op)) = next else {
                    break;
                };
                procedure.add(exec.perform(&op, &Secrets::new()).await.0);
            }
            if let Some(report) = found {
                drop(reports.send(report).await);
            }
        });
    }
}

fn open(
    sealing: &SealingKey,
    ask: &Digest,
    encapsulated: Vec<u8>,
    ciphertext: &[u8],
) -> Result<Secret, String> {
    let plain = sealing
        .open(ask, encapsulated, ciphertext)
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&plain)
        .map_err(|_| "what was sealed is no secret of this kind".to_owned())
}

/// What an operation looks like to somebody who watches; nothing for the quick ones.
fn announce(op: &Op) -> Option<String> {
    match op {
        Op::Fetch { .. } => Some("fetching the artifact".to_owned()),
        Op::Install { .. } => Some("the setup runs".to_owned()),
        Op::RestartService { name } => Some(format!("restarting {name}")),
        Op::RestartServer => Some("Windows restarts".to_owned()),
        Op::FetchRelease { .. } => Some("fetching the agent's new version".to_owned()),
        Op::SwitchAgent { version, .. } => Some(format!("the agent becomes {version}")),
        Op::Uninstall { program, .. } => Some(format!("taking off {}", program.name)),
        Op::AwaitInstaller => Some("waiting for an installer that was begun before".to_owned()),
        Op::Script { script, .. } => Some(format!("PowerShell: {script:?}")),
        Op::Wait { time } => Some(format!("looking again in {} s", time.as_secs())),
        Op::Machine
        | Op::Registry { .. }
        | Op::RegistryKey { .. }
        | Op::SetRegistry { .. }
        | Op::ClearRegistry { .. }
        | Op::RequireRestart
        | Op::Service { .. }
        | Op::ServiceAge { .. }
        | Op::EnableService { .. }
        | Op::AutomateService { .. }
        | Op::DisableService { .. }
        | Op::FileText { .. }
        | Op::ConnectExport
        | Op::ReplaceText { .. }
        | Op::FileVersion { .. }
        | Op::Programs { .. }
        | Op::PathExists { .. }
        | Op::Stage { .. }
        | Op::SecretsFit { .. }
        | Op::Launcher
        | Op::ReadLog { .. }
        | Op::Reach { .. }
        | Op::ReachThrough { .. }
        | Op::LookThrough { .. }
        | Op::ReachByDatagram { .. }
        | Op::ReachByRpc { .. }
        | Op::Search(_)
        | Op::Census(_)
        | Op::LargeGroups(_)
        | Op::FindDomainControllers { .. } => None,
    }
}
