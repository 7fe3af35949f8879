//! What of a step operators have set aside for a while. It travels inside of the signed bundle, as an argument of the step:
//! the signature authorizes it, and an approval covers it like all other work.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A rule that operators have overridden for one step on one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overridden {
    /// Who said so.
    pub by: Vec<String>,
    /// Why.
    pub reason: String,
    /// Change number.
    pub change: String,
    /// From then on no step begins under it.
    pub until: Timestamp,
}

impl Overridden {
    /// Who answers for it, in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "by override of {} ({}: {})",
            self.by.join(" and "),
            self.change,
            self.reason
        )
    }
}
