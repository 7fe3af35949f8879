//! What targets last reported.

use std::collections::{BTreeMap, BTreeSet};

use protocol::facts::Facts;
use protocol::{Digest, DomainName, Fingerprint, TargetId, Timestamp};
use serde::{Deserialize, Serialize};

/// What is known of one enrolled target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The enrolled key.
    pub key: Fingerprint,
    /// Last facts and when they came; `None` before the first report.
    pub facts: Option<(Timestamp, Facts)>,
    /// Domains that its provisioning agent was made to serve, as cmdlets that Entrain ran say or a named person; `None` where somebody
    /// else registered it, none where a person registered it at the wizard: an agent shows them in a signed-in session alone.
    #[serde(default)]
    pub domains: Option<BTreeSet<DomainName>>,
}

impl Known {
    /// One that has not reported yet.
    #[must_use]
    pub const fn of(key: Fingerprint) -> Self {
        Self {
            key,
            facts: None,
            domains: None,
        }
    }
}

/// All enrolled targets.
pub type Fleetwide = BTreeMap<TargetId, Known>;

/// The digest of what a plan read: keys, essences and domains, no times and no liveness.
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
            known.domains.as_ref(),
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
