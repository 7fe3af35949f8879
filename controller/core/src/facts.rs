//! What targets last reported.

use std::collections::{BTreeMap, BTreeSet};

use protocol::facts::{Facts, ProvisioningAgentFacts};
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
    /// else registered it and none was looked for since, none where a person registered it at the wizard: an agent shows them in a signed-in session alone.
    #[serde(default)]
    pub domains: Option<BTreeSet<DomainName>>,
    /// A registration that Entrain began on it did not come to its end, for all that was heard: what it shows of one may be half of it.
    /// Its agent knows that better, and tells it with its facts; one of an earlier release does not.
    #[serde(default)]
    pub owes: bool,
    /// Somebody else configured that agent, before Entrain did anything to it: the cmdlets and the wizard leave what is there, so that it
    /// may serve more than [`Self::domains`], also once Entrain has registered it anew.
    #[serde(default)]
    pub untold: bool,
    /// Since when it says that products are not there.
    #[serde(default)]
    pub without: Without,
}

/// Since when a server says, in each report that tells, that a product is not there; `None` where it is, or nobody told yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Without {
    /// Connect.
    pub connect: Option<Timestamp>,
    /// The provisioning agent.
    pub agent: Option<Timestamp>,
}

impl Without {
    /// Takes up a report. What it could not read it does not tell: that begins nothing and ends nothing.
    pub fn told(&mut self, facts: &Facts, at: Timestamp) {
        let takes = |since: &mut Option<Timestamp>, is_there: bool| match is_there {
            true => *since = None,
            false if facts.unread.is_empty() => *since = since.or(Some(at)),
            false => {}
        };
        takes(&mut self.connect, facts.connect.is_some());
        takes(&mut self.agent, has_agent(facts));
    }
}

/// What cmdlets leave behind is no agent.
fn has_agent(facts: &Facts) -> bool {
    let agent = facts.provisioning_agent.as_ref();
    agent.is_some_and(|agent| !agent.is_removed())
}

impl Known {
    /// One that has not reported yet.
    #[must_use]
    pub const fn of(key: Fingerprint) -> Self {
        Self {
            key,
            facts: None,
            domains: None,
            owes: false,
            untold: false,
            without: Without {
                connect: None,
                agent: None,
            },
        }
    }

    /// All that its agent serves is known: [`Self::domains`] is told, and nobody else has configured it.
    #[must_use]
    pub fn tells_all(&self) -> bool {
        let told = self.domains.as_ref().is_some_and(|all| !all.is_empty());
        told && !self.untold
    }

    /// Whether a domain was on its agent already when a step adds it: true where it was made to serve it, false where it cannot be on it, and
    /// `None` where nobody knows, since somebody else or an earlier try may have added it.
    #[must_use]
    pub(crate) fn had(&self, domain: &DomainName) -> Option<bool> {
        if self
            .domains
            .as_ref()
            .is_some_and(|all| all.contains(domain))
        {
            return Some(true);
        }
        let facts = self.facts.as_ref().map(|(_, facts)| facts);
        let bare = facts.is_some_and(|facts| {
            let agent = facts.provisioning_agent.as_ref();
            let configured = agent.is_some_and(ProvisioningAgentFacts::is_configured);
            facts.unread.is_empty() && !configured && self.domains.is_none()
        });
        ((self.tells_all() || bare) && !self.owes).then_some(false)
    }

    /// Since when it says that it has no Connect; `None` where it has it, or nobody knows.
    #[must_use]
    pub fn without_connect(&self) -> Option<Timestamp> {
        let (at, facts) = self.facts.as_ref()?;
        let none = facts.connect.is_none() && facts.unread.is_empty();
        none.then(|| self.without.connect.unwrap_or(*at))
    }

    /// Since when it says that it has no provisioning agent; `None` where it has one, or nobody knows.
    #[must_use]
    pub fn without_agent(&self) -> Option<Timestamp> {
        let (at, facts) = self.facts.as_ref()?;
        let none = !has_agent(facts) && facts.unread.is_empty();
        none.then(|| self.without.agent.unwrap_or(*at))
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
