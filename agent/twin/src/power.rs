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
    /// It has changed its server, and does not know yet: at each change that it makes.
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
    /// Of [`Moment::Changed`], what had been changed each time that it came: it comes once more with what is in none of them.
    #[serde(default)]
    pub came: Vec<Vec<String>>,
}

impl PowerCut {
    /// Whether it is to come, where these changes were just made.
    #[must_use]
    pub fn is_due(&self, step: &str, at: Moment, changes: &[String]) -> bool {
        let new = |change: &String| self.came.iter().all(|made| !made.contains(change));
        self.step == step && self.at == at && (at != Moment::Changed || changes.iter().any(new))
    }
}
