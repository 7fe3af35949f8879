//! An approval: operators agree to a plan. One document covers all targets' work by its Merkle root.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::PlanId;
use crate::signed::verify::Document;
use crate::time::Timestamp;

/// What approvers sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Format of this document.
    pub format: u32,
    /// The plan.
    pub plan: PlanId,
    /// Merkle root over the work of every target and phase of the plan.
    pub work: Digest,
    /// When it was signed.
    pub issued: Timestamp,
    /// When it stops being valid.
    pub expires: Timestamp,
}

impl Document for Approval {
    const PAYLOAD_TYPE: &'static str = "application/vnd.entrain.approval+json";
    const FORMAT: u32 = 1;

    fn format(&self) -> u32 {
        self.format
    }
}
