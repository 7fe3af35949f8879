//! The trust root: which keys may do what. Thresholds come from here and from nowhere else.

use serde::{Deserialize, Serialize};

use crate::key::PublicKey;
use crate::signed::verify::Document;
use crate::time::Timestamp;

/// The keys of one role and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleKeys {
    /// Public keys that have the role.
    pub keys: Vec<PublicKey>,
    /// Distinct keys that must sign; 0 with no keys means that nobody may.
    pub threshold: u32,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Signs trust roots. Kept offline.
    pub root: RoleKeys,
    /// Signs bundle manifests and checkpoints. Held by the controller.
    pub bundle: RoleKeys,
    /// Approves plans. With keys here, an agent runs no bundle without their approval.
    pub approver: RoleKeys,
    /// Signs agent releases. Without keys no agent upgrade is accepted.
    pub publisher: RoleKeys,
}

/// Whether servers are real or models of servers. Fixed when a controller is initialized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControllerKind {
    /// Drives real servers and refuses models of servers.
    Real,
    /// Drives models of servers, and says so everywhere.
    Simulated,
}

impl ControllerKind {
    /// The kind in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Simulated => "simulated",
        }
    }
}

/// The document that an agent pins when it enrolls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustRoot {
    /// Format of this document.
    pub format: u32,
    /// Counts up by one with each new root.
    pub version: u32,
    /// Real or simulated.
    pub kind: ControllerKind,
    /// When it was signed.
    pub issued: Timestamp,
    /// When it stops being valid.
    pub expires: Timestamp,
    /// Keys and thresholds.
    pub roles: Role,
    /// The authority's certificates, DER in base64: they vouch for the controller's and the agents' certificates.
    pub authority: Vec<String>,
    /// How many different operators must say an override before the controller follows it, 1 to 5. Where approvers are named their
    /// threshold counts too. Left out where it is one, so that a version that does not know it reads every root but those that ask for more.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub override_operators: u32,
}

/// Most operators that a root may ask for: more would be nobody.
pub const MOST_OVERRIDE_OPERATORS: u32 = 5;

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_one(asked: &u32) -> bool {
    *asked == 1
}

impl Document for TrustRoot {
    const PAYLOAD_TYPE: &'static str = "application/vnd.entrain.trust-root+json";
    const FORMAT: u32 = 1;

    fn format(&self) -> u32 {
        self.format
    }
}
