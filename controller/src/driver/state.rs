//! What the driver owns, and how that is made from the log and goes on with each record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use controller_core::fleet::{Fleet, Live};
use controller_core::plan::Plan;
use controller_core::record::Record;
use controller_core::roster::Roster;
use controller_core::versions::Versions;
use protocol::wire::latest::ControlDown;
use protocol::{Digest, Epoch, Generation, PlanId, TargetId, Timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::authority::Authority;
use crate::driver::Batch;
use crate::driver::arrivals::CatchingUp;
use crate::driver::felt::Felt;
use crate::driver::progress::Progress;
use crate::driver::refusals::Refused;
use crate::session::Registry;
use crate::store::{Entry, Store, StoreError};

/// A question for a secret that is open just now.
#[derive(Debug)]
pub struct OpenAsk {
    /// Who asks.
    pub target: TargetId,
    /// The signed ask.
    pub envelope: Vec<u8>,
    /// Where the sealed answer goes.
    pub answer: oneshot::Sender<protocol::wire::latest::SecretAnswer>,
}

/// Everything that the driver owns.
#[derive(Debug)]
pub struct Core {
    /// Rollouts and claims.
    pub fleet: Fleet,
    /// Agents, tokens, artifacts.
    pub roster: Roster,
    /// This moment.
    pub live: Live,
    /// Stored plans.
    pub plans: BTreeMap<PlanId, Plan>,
    /// Epoch of the log.
    pub epoch: Epoch,
    /// Progress by target, and of which of its bundles that is.
    pub(super) progress: BTreeMap<TargetId, (Generation, Progress)>,
    /// Open questions for secrets.
    pub asks: BTreeMap<u64, OpenAsk>,
    /// What was refused lately, oldest first.
    pub refusals: VecDeque<Refused>,
    /// Nothing can be stored just now: since when, and why.
    pub unstored: Option<String>,
    /// Agents with a session of which not all is here that they have journaled. Nothing is decided about them on what they were
    /// before.
    pub(super) catching_up: BTreeMap<TargetId, CatchingUp>,
    /// How old pulses are.
    pub(super) felt: Felt,
    /// How old leave is that was given.
    pub(super) leaves: Felt,
    pub(super) next_ask: u64,
    pub(super) authority: Arc<Authority>,
    pub(super) sessions: Arc<Registry>,
}

/// Makes the state from the log's records.
///
/// # Errors
/// When a stored plan cannot be read.
pub(super) async fn rebuild(
    store: &Store,
    records: Vec<(Timestamp, Record)>,
    authority: Arc<Authority>,
    sessions: Arc<Registry>,
    versions: Option<Arc<Versions>>,
) -> Result<Core, StoreError> {
    let mut core = Core {
        fleet: Fleet::new(),
        roster: Roster::default(),
        live: Live {
            began: crate::now(),
            versions,
            ..Live::default()
        },
        plans: BTreeMap::new(),
        epoch: Epoch(0),
        progress: BTreeMap::new(),
        asks: BTreeMap::new(),
        refusals: VecDeque::new(),
        unstored: None,
        next_ask: 1,
        catching_up: BTreeMap::new(),
        felt: Felt::default(),
        leaves: Felt::default(),
        authority,
        sessions,
    };
    for (at, record) in records {
        if let Record::PlanStored { plan, .. } = &record {
            let bytes = store.blob_of("plan", plan.0).await?;
            let parsed = serde_json::from_slice(&bytes).map_err(|_| StoreError::Blob {
                path: store.path().to_owned(),
                what: "plan",
                digest: plan.0,
            })?;
            core.plans.insert(*plan, parsed);
        }
        core.fold(&record, at);
    }
    // When it was given nobody knows by the clock of this process.
    let now = Instant::now();
    let leave: Vec<TargetId> = core.fleet.with_leave().cloned().collect();
    for target in leave {
        core.gives_leave(&target, now);
    }
    Ok(core)
}

impl Core {
    /// What an operator must see at once.
    #[must_use]
    pub fn alarms(&self, now: Timestamp) -> Vec<String> {
        let unstored = self.unstored.iter().cloned();
        unstored.chain(self.fleet.alarms(now)).collect()
    }

    fn fold(&mut self, record: &Record, at: Timestamp) {
        if let Record::Begun { epoch } | Record::Restored { epoch, .. } = record {
            self.epoch = *epoch;
        }
        let mut applied = None;
        if let Record::Applied { plan, .. } = record {
            applied = self.plans.get(plan);
        }
        self.fleet.apply(record, applied, at);
        self.roster.apply(record, at);
    }

    /// Adds a record to the batch and takes it up.
    pub fn record(&mut self, batch: &mut Batch, record: Record) {
        self.fold(&record, batch.now);
        batch.entries.push(Entry {
            at: batch.now,
            record,
        });
    }

    /// The authority.
    #[must_use]
    pub fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authority)
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> Arc<Registry> {
        Arc::clone(&self.sessions)
    }

    pub(super) fn say(&self, batch: &mut Batch, target: TargetId, word: ControlDown) {
        batch.words.push((target, word));
    }

    /// The size in bytes of an accepted file with that digest: an installer, or a program of a release.
    #[must_use]
    pub fn stored_size(&self, sha256: &Digest) -> Option<u64> {
        let installer = self.roster.artifacts().get(sha256);
        installer
            .map(|artifact| artifact.artifact.size)
            .or_else(|| self.roster.program(sha256).map(|file| file.size))
    }
}
