//! What a twin is like at its birth.

use std::collections::BTreeSet;

use protocol::{TargetId, TenantId, Version};
use serde::{Deserialize, Serialize};

use crate::faults::Fault;

/// What is installed on a twin from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Installed {
    /// Neither product.
    Nothing,
    /// A provisioning agent that is registered and runs.
    ProvisioningAgent {
        /// Its version.
        version: Version,
        /// Its tenant.
        tenant: TenantId,
    },
    /// A provisioning agent that was never registered.
    Unregistered {
        /// Its version.
        version: Version,
    },
    /// Connect Sync, configured.
    Connect {
        /// Its version.
        version: Version,
        /// Staging, or else active.
        staging: bool,
    },
}

/// A twin at its birth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name of the server; its domain is the name's domain part.
    pub target: TargetId,
    /// What is installed.
    pub installed: Installed,
    /// Tenant in which the modelled person completes a wizard; absent when nobody comes.
    pub person: Option<TenantId>,
    /// What is wrong.
    #[serde(default)]
    pub faults: BTreeSet<Fault>,
}
