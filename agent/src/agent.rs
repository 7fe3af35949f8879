//! One agent: feeds the run with what the world says and carries out what it wants. It owns journal, state and run; the
//! session and the operations are tasks that report to it.

mod arrivals;
mod certificates;
mod entries;
mod looks;
mod offers;
mod opened;
mod orders;
mod secrets;
mod work;

use std::sync::Arc;
use std::time::Duration;

use agent_core::clock::Clock;
use agent_core::held::Held;
use agent_core::lives::Lives;
use agent_core::op::Outcome;
use agent_core::procedure::Host;
use agent_core::run::Run;
use agent_core::stood::Stood;
use link::{Connection, Endpoint};
use protocol::event::{Event, Freeze};
use protocol::facts::Facts;
use protocol::secret::{Secret, SecretKind};
use protocol::signed::Refused;
use protocol::wire::latest::{BundleAnswer, ControlUp};
use protocol::{BundleId, Digest, EventIndex, Generation, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use self::looks::Pulse;
use self::offers::Superseding;
use crate::beside::Beside;
use crate::exec::{Exec, Secrets};
use crate::journal::{Journal, JournalError};
use crate::session::{self, Dial, Session};
use crate::state::{State, StateError};

/// How often an agent tells that its product serves. A third of what guard rail G2 calls fresh.
const PULSE: Duration = Duration::from_secs(20);

/// Pulses between two looks at what the server is: a quarter of an hour. What changed is reported.
const LOOK_EVERY: u32 = 45;

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
    /// Whether somebody held Connect's cycle before a wizard.
    held: Held,
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

    /// No run is under way that changes the server: what is other than before is not its doing.
    fn changes_nothing(&self) -> bool {
        self.run.as_ref().is_none_or(Run::only_reads)
    }

    fn run_of(&mut self, generation: Generation) -> Option<&mut Run> {
        self.run
            .as_mut()
            .filter(|run| run.generation() == generation)
    }
}
