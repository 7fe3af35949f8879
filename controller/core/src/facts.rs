//! What targets last reported.

use std::collections::BTreeMap;

use protocol::facts::Facts;
use protocol::{Digest, Fingerprint, TargetId, Timestamp};
use serde::{Deserialize, Serialize};

/// What is known of one enrolled target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The enrolled key.
    pub key: Fingerprint,
    /// Last facts and when they came; `None` before the first report.
    pub facts: Option<(Timestamp, Facts)>,
}

/// All enrolled targets.
pub type Fleetwide = BTreeMap<TargetId, Known>;

/// The digest of what a plan read: keys and essences, no times and no liveness.
///
/// # Panics
/// Never: the parts serialize.
#[must_use]
pub fn digest(known: &Fleetwide, targets: impl IntoIterator<Item = TargetId>) -> Digest {
    let essence = |target: &TargetId| {
        let known = known.get(target)?;
        Some((
            known.key,
            known.facts.as_ref().map(|(_, facts)| facts.essence()),
        ))
    };
    let read: BTreeMap<TargetId, _> = targets
        .into_iter()
        .map(|target| {
            let essence = essence(&target);
            (target, essence)
        })
        .collect();
    Digest::of(&serde_json::to_vec(&read).expect("names and digests serialize"))
}
