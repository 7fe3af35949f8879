//! The driver: one task owns the fleet, the roster and the live view. Whoever wants something sends it a closure. What a
//! closure and the decisions behind it change is one batch: stored first, and only then said.

mod arrivals;
mod decide;
mod felt;
mod orders;
mod progress;
mod refusals;
mod state;
#[cfg(test)]
mod tests;

pub use progress::Progress;
pub use refusals::Refused;
pub use state::{Core, OpenAsk};

use std::sync::Arc;
use std::time::Duration;

use controller_core::record::Record;
use controller_core::versions::Versions;
use protocol::wire::latest::ControlDown;
use protocol::{TargetId, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::authority::Authority;
use crate::session::Registry;
use crate::store::{Entry, Store, StoreError};
use state::rebuild;

/// Inputs that wait for the driver.
const QUEUE: usize = 4096;

/// Inputs that go into one batch at most, so that no commit grows without bound.
const BATCH: usize = 2048;

/// First and longest pause between two tries to store what decisions want, while nothing can be stored. Each costs a look at
/// the whole log. What somebody asks for is tried at once.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

type After = Box<dyn FnOnce(&Stored) + Send>;
type Work = Box<dyn FnOnce(&mut Core, &mut Batch) + Send>;
type Look = Box<dyn FnOnce(&Core, Timestamp) + Send>;

/// What somebody wants of the driver.
enum Act {
    /// It may change something: whoever watches looks again.
    Change(Work),
    /// It looks, and changes nothing: at what is stored, once the turn's changes are.
    Look(Look),
}

/// What became of a batch: stored, or not and why.
pub type Stored = Result<(), String>;

/// Changes of one turn of the driver, and what is to be said once they are stored.
pub struct Batch {
    /// The time that all of it happened.
    pub now: Timestamp,
    /// The same by the clock that nobody sets.
    pub begun: Instant,
    entries: Vec<Entry>,
    blobs: Vec<Vec<u8>>,
    /// What is said to whom once it is stored, in this order.
    words: Vec<(TargetId, ControlDown)>,
    after: Vec<After>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} entries)", self.entries.len())
    }
}

impl Batch {
    fn new(now: Timestamp) -> Self {
        Self {
            now,
            begun: Instant::now(),
            entries: Vec::new(),
            blobs: Vec::new(),
            words: Vec::new(),
            after: Vec::new(),
        }
    }

    /// Keeps bytes by their digest.
    pub fn keep(&mut self, bytes: Vec<u8>) {
        self.blobs.push(bytes);
    }

    /// Does something once it is known whether the batch is stored.
    pub fn then(&mut self, after: impl FnOnce(&Stored) + Send + 'static) {
        self.after.push(Box::new(after));
    }
}

/// What could not be stored, and when that is tried again.
struct Unstored {
    why: String,
    since: Timestamp,
    pause: Duration,
    again: Instant,
}

impl Unstored {
    fn once_more(before: Option<Self>, why: &str, now: Timestamp) -> Self {
        let (since, pause) = before.map_or((now, PAUSES.0), |before| {
            (before.since, (before.pause * 2).min(PAUSES.1))
        });
        Self {
            why: why.to_owned(),
            since,
            pause,
            again: Instant::now() + pause,
        }
    }

    fn alarm(&self) -> String {
        format!("nothing is stored since {}: {}", self.since, self.why)
    }
}

/// A handle to the driver.
#[derive(Debug, Clone)]
pub struct Hub {
    acts: mpsc::Sender<Act>,
    changes: watch::Receiver<u64>,
}

/// Says that the controller is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the controller is stopping")]
pub struct Stopping;

impl Hub {
    /// Lets the driver do something; the answer comes when `act` sends it.
    ///
    /// # Errors
    /// When the controller is stopping.
    pub async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Core, &mut Batch, oneshot::Sender<T>) + Send + 'static,
    ) -> Result<T, Stopping> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |core, batch| act(core, batch, answer));
        let act = Act::Change(work);
        self.acts.send(act).await.map_err(|_| Stopping)?;
        answered.await.map_err(|_| Stopping)
    }

    /// Looks at what is stored, and changes nothing.
    ///
    /// # Errors
    /// When the controller is stopping.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Core, Timestamp) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        let (answer, answered) = oneshot::channel();
        let look: Look = Box::new(move |core, now| drop(answer.send(look(core, now))));
        let act = Act::Look(look);
        self.acts.send(act).await.map_err(|_| Stopping)?;
        answered.await.map_err(|_| Stopping)
    }

    /// Does something for which no answer is wanted.
    pub async fn tell(&self, act: impl FnOnce(&mut Core, &mut Batch) + Send + 'static) {
        // A controller that is stopping needs no more news.
        drop(self.acts.send(Act::Change(Box::new(act))).await);
    }

    /// Counts up with each turn in which something may have changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

/// Makes the driver's state from the log, and its handle.
///
/// # Errors
/// When a stored plan cannot be read.
pub async fn start(
    store: Store,
    records: Vec<(Timestamp, Record)>,
    authority: Arc<Authority>,
    sessions: Arc<Registry>,
    versions: Arc<Versions>,
) -> Result<(Hub, impl Future<Output = ()> + Send), StoreError> {
    let core = rebuild(&store, records, authority, sessions, Some(versions)).await?;
    let (acts, queue) = mpsc::channel(QUEUE);
    let (changed, changes) = watch::channel(0);
    Ok((Hub { acts, changes }, drive(core, store, queue, changed)))
}

/// How long a turn has taken, by whichever clock says more: this process may have stood meanwhile, which its own clock does not count.
fn took((begun, at): (Instant, Timestamp), now: Timestamp) -> Duration {
    begun.elapsed().max(now.since(at))
}

/// A word as it is said when what it rests on has been stored: leave is counted from before that.
fn once_stored(mut word: ControlDown, took: Duration) -> ControlDown {
    if let ControlDown::PermitGiven { lapses_millis, .. } = &mut word {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        *lapses_millis = lapses_millis.saturating_sub(took);
    }
    word
}

async fn drive(
    mut core: Core,
    store: Store,
    mut queue: mpsc::Receiver<Act>,
    changed: watch::Sender<u64>,
) {
    let mut unstored: Option<Unstored> = None;
    // Something was stored and nothing was decided upon it yet.
    let mut undecided = false;
    loop {
        let due = match &unstored {
            Some(unstored) => Some(unstored.again.saturating_duration_since(Instant::now())),
            None if undecided => Some(Duration::ZERO),
            None => core
                .fleet
                .poll_timeout(&core.live, crate::now())
                .map(|at| at.since(crate::now()).max(Duration::from_millis(50))),
        };
        let lapses = core.leave_lapses();
        let lapses = lapses.map(|at| at.saturating_duration_since(Instant::now()));
        let due = due.into_iter().chain(lapses).min();
        let first = tokio::select! {
            act = queue.recv() => match act {
                Some(act) => Some(act),
                None => return,
            },
            () = tokio::time::sleep(due.unwrap_or(Duration::from_secs(3600))) => None,
        };
        let mut batch = Batch::new(crate::now());
        core.fade(batch.begun);
        // What agents ask for is in no log, and they do not ask again while their session lasts.
        let mut asked = core.fleet.asked_now();
        // Time has passed, or somebody has done something.
        let mut changes = first.is_none();
        let mut looks = Vec::new();
        for act in first
            .into_iter()
            .chain(std::iter::from_fn(|| queue.try_recv().ok()).take(BATCH))
        {
            match act {
                Act::Look(look) => looks.push(look),
                Act::Change(change) => {
                    changes = true;
                    change(&mut core, &mut batch);
                }
            }
        }
        // What is decided while nothing can be stored is decided again: not over and over.
        let waits = |unstored: &Unstored| Instant::now() < unstored.again;
        undecided = unstored.as_ref().is_some_and(waits);
        if !undecided {
            core.decide(&mut batch);
        }
        let news = !batch.entries.is_empty();
        let tried = news || !batch.blobs.is_empty();
        let stored = if tried {
            store
                .append(batch.entries, batch.blobs)
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        } else {
            Ok(())
        };
        if tried && stored.is_ok() && unstored.take().is_some() {
            tracing::info!("what is to be stored can be stored again");
        }
        if let Err(why) = &stored {
            tracing::error!(%why, "a batch could not be stored; nothing of it counts");
            unstored = Some(Unstored::once_more(unstored, why, batch.now));
            // What is in memory is ahead of what is stored: take up the log again.
            asked.extend(core.fleet.asked_now());
            asked.retain(|target, _| core.live.connected.contains(target));
            let rebuilt = async {
                let records = store.records().await?;
                let versions = core.live.versions.clone();
                rebuild(&store, records, core.authority(), core.sessions(), versions).await
            };
            match rebuilt.await {
                Ok(again) => {
                    core.fleet = again.fleet;
                    core.fleet.still_asked(asked);
                    (core.roster, core.plans) = (again.roster, again.plans);
                    core.epoch = again.epoch;
                }
                Err(error) => {
                    tracing::error!(%error, "the log cannot be read; the controller stops");
                    return;
                }
            }
        }
        core.unstored = unstored.as_ref().map(Unstored::alarm);
        if let Some(unstored) = &mut unstored
            && !tried
            && !undecided
        {
            // Nothing is wanted just now.
            unstored.again = Instant::now() + unstored.pause;
        }
        let took = took((batch.begun, batch.now), crate::now());
        let words = batch.words.into_iter().filter(|_| stored.is_ok());
        for (target, word) in words {
            core.sessions().say(&target, once_stored(word, took));
        }
        for after in batch.after {
            after(&stored);
        }
        // Nobody is shown what a failed commit takes back.
        for look in looks {
            look(&core, batch.now);
        }
        if changes || news {
            changed.send_modify(|count| *count += 1);
        }
    }
}
