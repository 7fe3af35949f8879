//! A checkpoint: the controller signs the head of its log.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::Epoch;
use crate::signed::verify::Document;
use crate::time::Timestamp;

/// The head of the controller's log at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Format of this document.
    pub format: u32,
    /// Life of the log.
    pub epoch: Epoch,
    /// Last entry covered.
    pub index: u64,
    /// Chain head after that entry.
    pub chain: Digest,
    /// When it was signed.
    pub at: Timestamp,
}

impl Document for Checkpoint {
    const PAYLOAD_TYPE: &'static str = "application/vnd.entrain.checkpoint+json";
    const FORMAT: u32 = 1;

    fn format(&self) -> u32 {
        self.format
    }
}
