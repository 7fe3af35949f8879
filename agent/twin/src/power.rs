//! When a model's server loses its power: told by a story, each moment once.

use serde::{Deserialize, Serialize};

/// A moment within a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// It is about to begin.
    Begins,
    /// It asks its server for the first time.
    Asks,
    /// It has changed its server, and does not know yet.
    Changed,
    /// It has ended well.
    Ended,
}

impl Moment {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Begins, Self::Asks, Self::Changed, Self::Ended];
}

/// A power cut that is to come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerCut {
    /// Kind of the step, as the manifest spells it.
    pub step: String,
    /// When within it.
    pub at: Moment,
}
