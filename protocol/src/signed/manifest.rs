//! The manifest: what a bundle says. One bundle is one phase of one target's work.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{Fingerprint, Generation, PlanId, RolloutId, TargetId, TenantId};
use crate::merkle;
use crate::signed::verify::{Document, Refused};
use crate::step::{Product, Step};
use crate::time::Timestamp;
use crate::version::Version;

/// The part of a target's work that one bundle holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reads only: changes nothing on the target.
    Inspect,
    /// Any time, no person: preflight, bytes, installer.
    Prepare,
    /// Needs a sign-in or a person.
    Register,
    /// Verifies, and says which grade was seen.
    Prove,
    /// Takes a product off the target.
    Remove,
    /// Verifies once more, when the product has run for a while.
    Soak,
}

impl Phase {
    /// The phase in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inspect => "inspect",
            Self::Prepare => "prepare",
            Self::Register => "register",
            Self::Prove => "prove",
            Self::Remove => "remove",
            Self::Soak => "soak",
        }
    }
}

/// What kind of file an artifact is, by its content and not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// A Windows executable (PE).
    Exe,
    /// A Windows Installer package.
    Msi,
}

/// A file that a bundle needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRef {
    /// SHA-256 of the whole file.
    pub sha256: Digest,
    /// SHA-256 of the list of chunk digests, each 32 bytes, chunks of 1 MiB.
    pub chunks: Digest,
    /// Size in bytes.
    pub size: u64,
    /// What it is.
    pub kind: ArtifactKind,
    /// Which product it installs, read out of the file.
    pub product: Product,
    /// The product version read out of the file.
    pub version: Version,
}

/// What the controller took the target to be when it issued this bundle. The agent refuses when its own probe differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// Digest of the lasting part of the target's facts ([`crate::facts::Facts::essence`]).
    pub essence: Digest,
}

/// An approval and the proof that it covers this bundle's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalProof {
    /// The approval's envelope, as its JSON text.
    pub approval: String,
    /// From this bundle's work to the approved Merkle root.
    pub proof: merkle::Proof,
}

/// What a bundle says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of this document.
    pub format: u32,
    /// The tenant that the target belongs to.
    pub tenant: TenantId,
    /// For whom it is, by name.
    pub target: TargetId,
    /// For whom it is, by key: identity is the enrolled key.
    pub target_key: Fingerprint,
    /// Number of this bundle among the target's bundles.
    pub generation: Generation,
    /// The rollout it belongs to.
    pub rollout: RolloutId,
    /// The plan it carries out.
    pub plan: PlanId,
    /// The operator's change number, where one was given.
    pub change: Option<String>,
    /// Which phase of the work.
    pub phase: Phase,
    /// When it was signed.
    pub issued: Timestamp,
    /// Earliest acceptance.
    pub not_before: Timestamp,
    /// Latest acceptance, and latest start of each step.
    pub expires: Timestamp,
    /// What the target was taken to be; absent where any state will do (read-only phases).
    pub assumed: Option<Assumed>,
    /// What to do, in order. A kind that an agent does not know is refused by its name.
    pub steps: Vec<Step>,
    /// Files that the steps name by digest.
    pub artifacts: Vec<ArtifactRef>,
    /// The approval, where the trust root asks for one.
    pub approval: Option<ApprovalProof>,
}

impl Document for Manifest {
    const PAYLOAD_TYPE: &'static str = "application/vnd.entrain.bundle+json";
    const FORMAT: u32 = 1;

    fn format(&self) -> u32 {
        self.format
    }

    fn explain(payload: &[u8]) -> Option<Refused> {
        let kinds: Kinds = serde_json::from_slice(payload).ok()?;
        let unknown = kinds
            .steps
            .into_iter()
            .find(|step| !Step::KINDS.contains(&step.kind.as_str()))?;
        Some(Refused::UnknownStep(
            unknown.kind.chars().take(80).collect(),
        ))
    }
}

/// Just the kinds of the steps, whatever else the document says.
#[derive(Deserialize)]
struct Kinds {
    steps: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

#[derive(Serialize)]
struct Leaf<'a> {
    tenant: &'a TenantId,
    target: &'a TargetId,
    target_key: &'a Fingerprint,
    phase: Phase,
    steps: &'a [Step],
    artifacts: &'a [ArtifactRef],
}

/// The Merkle leaf of one phase of one target's work: without generation and dates, so that a retry of approved work
/// needs no new approval.
///
/// # Panics
/// Never: a leaf has only string keys.
#[must_use]
pub fn work_leaf(
    tenant: &TenantId,
    target: &TargetId,
    target_key: &Fingerprint,
    phase: Phase,
    steps: &[Step],
    artifacts: &[ArtifactRef],
) -> Digest {
    let leaf = Leaf {
        tenant,
        target,
        target_key,
        phase,
        steps,
        artifacts,
    };
    merkle::leaf(&serde_json::to_vec(&leaf).expect("a leaf with string keys serializes"))
}

impl Manifest {
    /// The Merkle leaf of this bundle's work.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        work_leaf(
            &self.tenant,
            &self.target,
            &self.target_key,
            self.phase,
            &self.steps,
            &self.artifacts,
        )
    }
}
