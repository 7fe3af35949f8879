//! What a target reports of itself. Every field was probed; what could not be probed is `None`.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{DomainName, GmsaName, TenantId};
use crate::options::ServiceOptions;
use crate::version::Version;

/// State of a Windows service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Running.
    Running,
    /// Stopped, starting or stopping.
    NotRunning,
    /// Stopped and disabled.
    Disabled,
}

/// The server itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFacts {
    /// Name of the operating system, as it calls itself.
    pub os: String,
    /// Build number, such as 20348.
    pub build: u32,
    /// The domain that the server is joined to.
    pub domain: Option<DomainName>,
    /// True on a domain controller.
    pub domain_controller: bool,
    /// True when Windows waits for a restart.
    pub reboot_pending: bool,
}

/// What was there of an agent before cmdlets that register it were begun, and did not come to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owed {
    /// It was not configured: no domain is known to be on it.
    First,
    /// It was configured: the cmdlets leave what is there, so that it may serve what it served.
    Anew,
}

/// The cloud sync provisioning agent on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvisioningAgentFacts {
    /// ProductVersion of the agent's executable.
    pub version: Option<Version>,
    /// `TenantID` in the agent's registry key: the tenant it is registered with.
    pub tenant: Option<TenantId>,
    /// The service `AADConnectProvisioningAgent`.
    pub service: Option<ServiceState>,
    /// The account the service runs as.
    pub account: Option<String>,
    /// Options of the service, as far as they are read; `None` where its configuration file could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<ServiceOptions>,
    /// The service `AzureADConnectAgentUpdater` where it does not run, which keeps the agent within its support (PV04, facts 1.3).
    /// Absent where it runs, where there is none of that name, where it could not be read, and by an agent of an earlier release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updater: Option<ServiceState>,
    /// Cmdlets that register it were begun by Entrain and have not come to their end: the account is set before the domains are added, so
    /// that what it shows of a registration may be half of one. None where none were, and by an agent of an earlier release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owes_registration: Option<Owed>,
}

impl ProvisioningAgentFacts {
    /// Tells whether nothing works any more: neither executable nor service are there. What is left is a registry key.
    #[must_use]
    pub const fn is_removed(&self) -> bool {
        self.version.is_none() && self.service.is_none()
    }

    /// Tells whether its configuration came to its end: a tenant is named, and the service has left the account that the
    /// setup gave it. A tenant alone may be left over from an agent that was taken off.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        let account = self.account.as_deref().unwrap_or_default();
        let first = account.get(..10).unwrap_or_default();
        self.tenant.is_some() && !first.eq_ignore_ascii_case("NT SERVICE")
    }

    /// Tells whether it is configured, and anything of it is still there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_configured() && !self.is_removed()
    }

    /// Tells whether the service runs as that gMSA, or, where none is named, as any account with the trailing `$` of one.
    #[must_use]
    pub fn runs_as(&self, gmsa: Option<&GmsaName>) -> bool {
        let account = self.account.as_deref().unwrap_or_default();
        let name = account.rsplit('\\').next().unwrap_or_default();
        match gmsa {
            Some(gmsa) => name.eq_ignore_ascii_case(gmsa.as_str()),
            None => name.ends_with('$'),
        }
    }

    /// Tells whether the agent is configured and its service runs: it may be serving its domains. One whose first registration was broken
    /// off shows the same, and counts as none that serves: its domains may not be on it.
    #[must_use]
    pub fn serves(&self) -> bool {
        let half = self.owes_registration == Some(Owed::First);
        self.is_configured() && !half && self.service == Some(ServiceState::Running)
    }
}

/// Connect Sync on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectFacts {
    /// ProductVersion of `miiserver.exe`, which tells the running version best.
    pub version: Option<Version>,
    /// The service `ADSync`.
    pub service: Option<ServiceState>,
    /// `StagingModeEnabled` of the scheduler; `None` when it could not be asked.
    pub staging: Option<bool>,
    /// `SyncCycleEnabled` of the scheduler.
    pub cycle_enabled: Option<bool>,
    /// `SchedulerSuspended`: a wizard is open, or was left open. `None` when it could not be asked, or by an agent of an
    /// earlier release, which does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,
}

impl ConnectFacts {
    /// Its service is stopped and disabled: it exports nothing, whatever its scheduler would say, and comes back with no
    /// restart of the server.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.service == Some(ServiceState::Disabled)
    }

    /// Whether it counts as staging, or else as active; `None` where that cannot be told. One that is fenced is not active.
    #[must_use]
    pub fn mode(&self) -> Option<bool> {
        if self.is_fenced() {
            Some(true)
        } else {
            self.staging
        }
    }
}

/// What a target last reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// True when the server is a model.
    pub simulated: bool,
    /// Version of the agent that probed.
    pub agent_version: String,
    /// The server.
    pub host: HostFacts,
    /// The provisioning agent, where there is a trace of one.
    pub provisioning_agent: Option<ProvisioningAgentFacts>,
    /// Connect Sync, where there is a trace of it.
    pub connect: Option<ConnectFacts>,
    /// What of the products could not be read, each a sentence. A product of which something could not be read counts as
    /// there.
    pub unread: Vec<String>,
    /// Connect's console, Synchronization Service Manager (`miisclient.exe`), is open: an upgrade in place waits for its end, and an
    /// automatic one is aborted by it (facts 2.13 [P], PF73). False where none was seen, and by an agent of an earlier release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub console_open: bool,
}

type AgentEssence<'a> = (
    Option<Version>,
    &'a Option<TenantId>,
    &'a Option<String>,
    &'a Option<ServiceOptions>,
);

#[derive(Serialize)]
struct Essence<'a> {
    simulated: bool,
    build: u32,
    domain: &'a Option<DomainName>,
    agent: Option<AgentEssence<'a>>,
    connect: Option<(Option<Version>, Option<bool>)>,
    unread: usize,
}

impl Facts {
    /// The digest of what lasts: versions, tenant, accounts, options, modes; no times and no liveness. A plan that was made on one
    /// essence is not carried out on another.
    ///
    /// # Panics
    /// Never: the fields serialize.
    #[must_use]
    pub fn essence(&self) -> Digest {
        let essence = Essence {
            simulated: self.simulated,
            build: self.host.build,
            domain: &self.host.domain,
            agent: self
                .provisioning_agent
                .as_ref()
                .map(|agent| (agent.version, &agent.tenant, &agent.account, &agent.options)),
            connect: self
                .connect
                .as_ref()
                .map(|connect| (connect.version, connect.staging)),
            unread: self.unread.len(),
        };
        Digest::of(&serde_json::to_vec(&essence).expect("plain fields serialize"))
    }
}
