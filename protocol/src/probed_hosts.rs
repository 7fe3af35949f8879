//! What the controller's data on clouds say otherwise than the constants of an agent: which hosts its probes ask.

use serde::{Deserialize, Serialize};

use crate::id::DomainName;

/// Hosts of a cloud that a preflight asks, in place of the agent's own (PF26, PF27, PF28). Each list stands for itself: one that is empty asks
/// nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbedHosts {
    /// Where people and products sign in, on 443.
    pub sign_in: Vec<DomainName>,
    /// Of the product itself, on 443.
    pub product: Vec<DomainName>,
    /// Zones below which an agent of a tenant registers, on 443.
    pub registration: Vec<DomainName>,
    /// Of certificate revocation lists and answers, on 80.
    pub revocation: Vec<DomainName>,
}

impl ProbedHosts {
    /// How many names the longest list has.
    #[must_use]
    pub fn longest(&self) -> usize {
        let lists = [
            &self.sign_in,
            &self.product,
            &self.registration,
            &self.revocation,
        ];
        lists.into_iter().map(Vec::len).max().unwrap_or_default()
    }
}
