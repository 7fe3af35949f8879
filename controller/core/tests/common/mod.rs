//! What the models of this folder share: the facts of a server that has these products.

use protocol::facts::{ConnectFacts, Facts, HostFacts, ProvisioningAgentFacts};

/// A server in order, with these products.
pub(crate) fn facts(
    provisioning_agent: Option<ProvisioningAgentFacts>,
    connect: Option<ConnectFacts>,
) -> Facts {
    Facts {
        simulated: true,
        agent_version: "0".to_owned(),
        host: HostFacts {
            os: "Windows".to_owned(),
            build: 20348,
            domain: None,
            domain_controller: false,
            reboot_pending: false,
        },
        provisioning_agent,
        connect,
        unread: Vec::new(),
    }
}
