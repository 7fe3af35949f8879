//! The receipt: an agent's signed last word on a run.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::event::Grade;
use crate::id::{
    Attempt, BundleId, Epoch, EventIndex, Generation, PlanId, RolloutId, StepIndex, TargetId,
    TenantId,
};
use crate::signed::manifest::Phase;
use crate::signed::verify::Document;
use crate::time::Timestamp;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Every step completed.
    Completed,
    /// A step failed; the text says which and why.
    Failed(String),
    /// A probe could not tell; the text is the question for a person.
    Inconclusive(String),
    /// Ended by an operator before the last step.
    Aborted,
    /// Its time ran out before the last step.
    Expired,
}

/// How one step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepEnding {
    /// It was carried out, and a probe saw it.
    Applied,
    /// A probe saw that it was so already.
    AlreadySo,
    /// A person did it, and a probe saw it.
    SeenDone,
    /// A person says that it is done; no probe saw it.
    Attested,
    /// It failed.
    Failed,
    /// A probe could not tell.
    Inconclusive,
    /// Never begun.
    NotBegun,
}

/// One step's line in a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// Which step.
    pub step: StepIndex,
    /// Its kind, by name.
    pub kind: String,
    /// How it ended.
    pub ending: StepEnding,
    /// Tries begun.
    pub attempts: Attempt,
    /// What was seen, in a sentence.
    pub summary: String,
}

/// The agent's account of a finished run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Format of this document.
    pub format: u32,
    /// True when the server is a model.
    pub simulated: bool,
    /// Who ran it.
    pub target: TargetId,
    /// Tenant of the target.
    pub tenant: TenantId,
    /// The bundle: digest of its envelope's bytes.
    pub bundle: BundleId,
    /// Its generation.
    pub generation: Generation,
    /// Its rollout.
    pub rollout: RolloutId,
    /// Its plan.
    pub plan: PlanId,
    /// Its phase.
    pub phase: Phase,
    /// Change number, as the bundle carried it.
    pub change: Option<String>,
    /// When the run was begun.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// Grade that was seen, if one was.
    pub grade: Option<Grade>,
    /// Step by step.
    pub steps: Vec<StepRecord>,
    /// Journal epoch.
    pub epoch: Epoch,
    /// First event of the run.
    pub first_event: EventIndex,
    /// Last event before this receipt.
    pub last_event: EventIndex,
    /// Chain head after that event.
    pub chain: Digest,
    /// Digest of the previous receipt's envelope; zero for the first.
    pub previous: Digest,
    /// Version of the agent.
    pub agent_version: String,
}

impl Document for Receipt {
    const PAYLOAD_TYPE: &'static str = "application/vnd.entrain.receipt+json";
    const FORMAT: u32 = 1;

    fn format(&self) -> u32 {
        self.format
    }
}
