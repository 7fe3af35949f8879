//! Agents that are not the only one with their key, or not the one that they were: a copied folder, a cloned server, a disk
//! that was put back. What was seen is a record; nothing with that key goes on before an operator has freed the name.

use protocol::{Fingerprint, TargetId, Timestamp};
use serde::{Deserialize, Serialize};

/// What was seen of an agent. Each is seen on a connection whose peer was alive when it contradicted what is stored: no
/// restart of an agent or a controller, no other address and no packet that came late looks like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// Its journal ends before what it has told, or is of another life: its disk was put back.
    WentBack,
    /// Its journal holds something else where the stored one goes on: it was copied, and both have gone on.
    Forked,
    /// Two held a session at once: an agent dials when its last connection has ended.
    Twice,
}

impl Doubt {
    /// What was seen, in a sentence fragment.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::WentBack => {
                "its agent's journal went back: a snapshot or a copy of its disk was put in place"
            }
            Self::Forked => {
                "its agent's journal forked: it was copied, and more than one copy has gone on"
            }
            Self::Twice => {
                "two agents with its key answered at once: its folder or its server was copied"
            }
        }
    }
}

/// An agent that is doubted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubted {
    /// The key: of another one nothing is said.
    pub key: Fingerprint,
    /// What was seen.
    pub doubt: Doubt,
    /// Where, the one that came last at the end.
    pub at: Vec<String>,
    /// When it was seen first.
    pub since: Timestamp,
}

impl Doubted {
    /// What was seen, and what lifts it.
    #[must_use]
    pub fn sentence(&self, target: &TargetId) -> String {
        format!(
            "{} (seen at {}, from {}); every agent with that key is held: take the copies off, then `entrain agents replace {target}` and enroll the one that stays with a new key",
            self.doubt.what(),
            self.since,
            self.at.join(" and "),
        )
    }
}
