//! Signed documents: JSON in DSSE envelopes, verified before they are parsed. They outlive wire versions and can be
//! read without this program: each names its own format.

mod approval;
mod checkpoint;
mod envelope;
mod manifest;
mod receipt;
mod release;
mod root;
mod verify;

pub use approval::Approval;
pub use checkpoint::Checkpoint;
pub use envelope::{BadEnvelope, Envelope, Signature, pre_authentication_encoding};
pub use manifest::{ApprovalProof, ArtifactKind, ArtifactRef, Assumed, Manifest, Phase, work_leaf};
pub use receipt::{Ending, Receipt, StepEnding, StepRecord};
pub use release::{AgentRelease, ReleaseFile};
pub use root::{ControllerKind, MOST_OVERRIDE_OPERATORS, Role, RoleKeys, TrustRoot};
pub use verify::{Document, Refused, Verified, sign, take_up, verify, verify_root_update};
