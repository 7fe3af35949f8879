//! The closed set of semantic steps. No argument is a path, a registry key, a service name, a command line or script
//! text: those are constants of the agent.

mod kinds;
mod tells;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::database::ConnectDatabase;
use crate::digest::Digest;
use crate::id::{DomainName, EnvironmentName, GmsaName, TargetId, TenantId};
use crate::options::{ProxyAddress, ServiceOptions};
use crate::overridden::Overridden;
use crate::probed_hosts::ProbedHosts;
use crate::task::TaskText;
use crate::version::Version;

/// The Microsoft cloud of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cloud {
    /// Worldwide.
    Commercial,
    /// US Government.
    UsGovernment,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// The cloud as the topology spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commercial => "commercial",
            Self::UsGovernment => "us-government",
            Self::China => "china",
        }
    }
}

/// How the provisioning agent is signed in to its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignIn {
    /// A person signs in once elsewhere; the access token is handed to the agent, sealed.
    Token,
    /// User name and password of an account without multi-factor authentication, sealed.
    Credential,
    /// A person completes the product's wizard at the server.
    Wizard,
}

impl SignIn {
    /// The way as the topology spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Credential => "credential",
            Self::Wizard => "wizard",
        }
    }
}

/// Which of the two products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Product {
    /// The cloud sync provisioning agent.
    ProvisioningAgent,
    /// Microsoft Entra Connect Sync.
    Connect,
}

impl Product {
    /// The product as people call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProvisioningAgent => "provisioning agent",
            Self::Connect => "Connect Sync",
        }
    }
}

/// Who does the Active Directory part in a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirectoryRights {
    /// The domain's administrator, on their own workstation: no credential reaches Entrain.
    Handover,
    /// The domain's administrator gives a credential, sealed to the server that asks: each server asks anew.
    Ask,
}

/// A set of rights in a domain that the product gives its account (facts 1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Reads everything that is synchronized.
    BasicRead,
    /// Password hashes.
    PasswordHashSync,
    /// Passwords are written back.
    PasswordWriteback,
    /// Exchange hybrid.
    ExchangeHybrid,
    /// Exchange mail public folders.
    ExchangePublicFolders,
    /// Users and groups are made and deleted in the directory.
    UserGroupCreateDelete,
    /// All of them.
    All,
}

impl Permission {
    /// Every set.
    pub const ALL: [Self; 7] = [
        Self::BasicRead,
        Self::PasswordHashSync,
        Self::PasswordWriteback,
        Self::ExchangeHybrid,
        Self::ExchangePublicFolders,
        Self::UserGroupCreateDelete,
        Self::All,
    ];

    /// The set as the topology spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BasicRead => "basic-read",
            Self::PasswordHashSync => "password-hash-sync",
            Self::PasswordWriteback => "password-writeback",
            Self::ExchangeHybrid => "exchange-hybrid",
            Self::ExchangePublicFolders => "exchange-public-folders",
            Self::UserGroupCreateDelete => "user-group-create-delete",
            Self::All => "all",
        }
    }

    /// The set as the product's cmdlet spells it (facts 1.6 [P]).
    #[must_use]
    pub const fn cmdlet_word(self) -> &'static str {
        match self {
            Self::BasicRead => "BasicRead",
            Self::PasswordHashSync => "PasswordHashSync",
            Self::PasswordWriteback => "PasswordWriteBack",
            Self::ExchangeHybrid => "HybridExchangePermissions",
            Self::ExchangePublicFolders => "ExchangeMailPublicFolderPermissions",
            Self::UserGroupCreateDelete => "UserGroupCreateDelete",
            Self::All => "All",
        }
    }
}

/// A domain that the provisioning agent is to serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedDomain {
    /// DNS name of the domain.
    pub name: DomainName,
    /// Domain controllers to prefer, in order; empty leaves the choice to the product.
    pub preferred_dcs: Vec<TargetId>,
    /// Whose rights are used.
    pub rights: DirectoryRights,
    /// Rights that the account is given there, with the credential of the domain's administrator; none are given without
    /// one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
}

/// Probes that must pass before anything is touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preflight {
    /// The server itself, by the name under which the directory knows it.
    pub target: TargetId,
    /// For which product.
    pub product: Product,
    /// True when the product is on the server already, as the plan read it.
    pub present: bool,
    /// Cloud of the tenant: decides which hosts must be reachable.
    pub cloud: Cloud,
    /// Tenant that the server is to belong to; one that is registered elsewhere is refused (guard rail G9).
    pub tenant: TenantId,
    /// Planned way to sign in.
    pub sign_in: SignIn,
    /// Domains that must be found and reached.
    pub domains: Vec<ServedDomain>,
    /// Forests among them of which Connect synchronizes chosen organizational units: there the domains of these units are listed, and
    /// no other one is asked. Of every other forest Connect reads each domain, listed or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<DomainName>,
    /// The installer that follows demands the settings of TLS 1.2 before it installs (2.3.20.0 to 2.4.129.0; product facts 2.8 [R]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub demands_tls: bool,
    /// What is there stays as it is, since it is as new as what would be installed: what an upgrade alone needs of it warns (PF73, PF74; product
    /// facts 5). Agents of an earlier release refuse a step that has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
    /// gMSA that must be usable, where it is made beforehand.
    pub gmsa: Option<GmsaName>,
    /// Rights that the account of an agent that is there must have, where it was made beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_rights: Option<OwnRights>,
    /// Whether the domains' objects are counted: it takes a while, and asks much of a domain controller.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub census: bool,
    /// Domains that both tools serve: whether their users and groups can be known again in the other tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub both_tools: Vec<BothTools>,
    /// Database on a SQL Server that Connect is to use, where it is not installed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<ConnectDatabase>,
    /// Prerequisites that Entrain may set itself.
    pub may_fix: Vec<Fix>,
    /// Prerequisites that another run may set itself, where this one only asks: they stop nothing and are told as its work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub will_fix: Vec<Fix>,
    /// Options that the product's service is to have: a proxy or a FIPS policy that they answer is no finding. Of Connect the proxy
    /// alone: the one that machine.config must name (facts 2.8 [P]).
    #[serde(default, skip_serializing_if = "ServiceOptions::is_empty")]
    pub options: ServiceOptions,
    /// The proxy that is planned for Connect demands a sign-in, which the account of its service does (facts 2.8 [P]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy_signs_in: bool,
    /// A later step of the same phase restarts Windows where it waits for it: then that stops nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarts: bool,
    /// Hosts that the probes ask in place of the agent's own, where the controller's data on clouds say otherwise. Agents of an earlier
    /// release refuse a step that names some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Box<ProbedHosts>>,
    /// Operators let what blocks pass for a while (guard rail G8). What says whose the server is, and what it is, blocks
    /// all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Overridden>,
}

/// A domain that provisioning agents serve and that lies in a forest of Connect: an object that changes tools must have its
/// `mS-DS-ConsistencyGuid` before (facts 3 [P], PF60).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BothTools {
    /// The domain.
    pub domain: DomainName,
    /// Organizational units of it that Connect synchronizes, by their distinguished names; empty means the whole domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    /// True where Connect goes: then every object changes tools, else those of a pilot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub connect_goes: bool,
}

/// Restarts Windows where it waits for a restart (PF19; exit codes 3010 and 1641 of a setup, facts 1.3), once leave was given,
/// and sees that it waits no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartServer {
    /// Who restarts it.
    pub by: RestartBy,
}

/// Who restarts a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartBy {
    /// The agent on it: its site's rule allows it.
    Agent,
    /// A person, when it suits.
    Person(TaskText),
}

/// A prerequisite that Entrain may set on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fix {
    /// TLS 1.2 and strong cryptography for .NET (facts 1.7).
    Tls12,
    /// The Credential Manager service `VaultSvc` must not be disabled (facts 1.7).
    Vaultsvc,
}

impl Fix {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Vaultsvc];

    /// As a topology and an operator write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "tls12",
            Self::Vaultsvc => "vaultsvc",
        }
    }
}

/// Puts back what Entrain has set of prerequisites. Which settings those are, and what each was before, is the agent's own knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoFixes {
    /// Which prerequisites.
    pub fixes: Vec<Fix>,
    /// Also while a product that needs them is on the server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anyway: bool,
}

/// Runs the setup of the provisioning agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallProvisioningAgent {
    /// SHA-256 of the setup executable, among the bundle's artifacts.
    pub artifact: Digest,
    /// Cloud of the tenant.
    pub cloud: Cloud,
    /// An agent of this version or newer counts as installed.
    pub at_least: Version,
    /// What the setup is told of its cloud in place of the agent's own word, where the controller's data on clouds say otherwise. Agents of
    /// an earlier release refuse a step that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
}

/// Sets options of the provisioning agent's service: its configuration file, which exists only after the setup, and its
/// registry values; then restarts it where it runs (facts 1.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetProvisioningAgentOptions {
    /// What they must be; what is not named is left as it is.
    pub options: ServiceOptions,
}

/// Configures the provisioning agent by the product's cmdlets, in one PowerShell process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterProvisioningAgent {
    /// The server itself, by the name under which the directory knows it.
    pub target: TargetId,
    /// Tenant to register with.
    pub tenant: TenantId,
    /// Its cloud.
    pub cloud: Cloud,
    /// Token or credential; the wizard is another step.
    pub sign_in: SignIn,
    /// Pre-created gMSA; absent when the product makes its own.
    pub gmsa: Option<GmsaName>,
    /// Domain of the gMSA: the server's home domain.
    pub home_domain: DomainName,
    /// Domains to serve.
    pub domains: Vec<ServedDomain>,
    /// Proxy of the product, for the cmdlets: they do not read the service's configuration file (facts 1.7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyAddress>,
    /// The wizard, offered in place of the cmdlets where this server's logging would record a secret.
    pub wizard: TaskText,
}

/// Adds domains to a provisioning agent that is registered already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddDomains {
    /// Tenant that it is registered with.
    pub tenant: TenantId,
    /// Way to sign in; with the wizard it is a person's work, whose end no probe sees.
    pub sign_in: SignIn,
    /// Proxy of the product, for the cmdlets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyAddress>,
    /// Domains to add.
    pub domains: Vec<ServedDomain>,
    /// What a person does at the wizard, where the cmdlets are not used.
    pub wizard: TaskText,
}

/// Guides a person through the wizard of the provisioning agent and watches for its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuideProvisioningAgent {
    /// The server itself, by the name under which the directory knows it.
    pub target: TargetId,
    /// Tenant to register with.
    pub tenant: TenantId,
    /// gMSA of the service, where one was made beforehand.
    pub gmsa: Option<GmsaName>,
    /// Domain of the gMSA: the server's home domain.
    pub home_domain: DomainName,
    /// Domain controllers of it to prefer, in order: where they show another server's change of the gMSA, it is readable (guard rail
    /// G3). An agent of before these were told refuses a step that says some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preferred_dcs: Vec<TargetId>,
    /// Domains that the person adds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainName>,
    /// What the person does.
    pub text: TaskText,
}

/// Verifies the provisioning agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyProvisioningAgent {
    /// Tenant it must be registered with.
    pub tenant: TenantId,
    /// Oldest version that will do.
    pub at_least: Version,
    /// gMSA it must run as, where one is named.
    pub gmsa: Option<GmsaName>,
    /// Rights that its account must have, where it was made beforehand: the product does not give them then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_rights: Option<OwnRights>,
    /// Options that its service must have.
    #[serde(default, skip_serializing_if = "ServiceOptions::is_empty")]
    pub options: ServiceOptions,
    /// How long its service must have run without a restart; absent where that is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soaked_seconds: Option<u32>,
}

/// Where an account that was made beforehand must have been given its rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnRights {
    /// Domain of the account: the server's home domain.
    pub home_domain: DomainName,
    /// Domains in which it must have the rights of each set that stands there, and those of replication where none does. The name is
    /// from when those alone were read: an agent of that time reads them of each domain, and warns.
    pub replicates: Vec<ServedDomain>,
}

/// Puts the installer of Connect Sync on the server, for the person who runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConnect {
    /// SHA-256 of the MSI package, among the bundle's artifacts.
    pub artifact: Digest,
}

/// What a person does to Connect Sync at a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectWork {
    /// Installs it: the server becomes active.
    InstallActive,
    /// Installs it with custom settings: the server becomes staging.
    InstallStaging,
    /// Upgrades a staging server in place: it stays staging.
    UpgradeStaging,
    /// Upgrades the active server in place: it stays active.
    UpgradeActive,
    /// Puts the active server into staging mode: it stops exporting.
    SwitchToStaging,
    /// Takes a staging server out of staging mode: it becomes active.
    SwitchToActive,
}

impl ConnectWork {
    /// What the server must be afterwards.
    #[must_use]
    pub const fn staging(self) -> bool {
        match self {
            Self::InstallStaging | Self::UpgradeStaging | Self::SwitchToStaging => true,
            Self::InstallActive | Self::UpgradeActive | Self::SwitchToActive => false,
        }
    }

    /// Whether the mode itself is what changes.
    #[must_use]
    pub const fn switches(self) -> bool {
        matches!(self, Self::SwitchToStaging | Self::SwitchToActive)
    }

    /// Whether an engine is there that is brought to another version.
    #[must_use]
    pub const fn upgrades(self) -> bool {
        matches!(self, Self::UpgradeStaging | Self::UpgradeActive)
    }
}

/// How many objects a staging server may be about to change when it becomes active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportLimits {
    /// Objects that would be added.
    pub add: u32,
    /// Objects that would be updated.
    pub update: u32,
    /// Objects that would be deleted.
    pub delete: u32,
}

/// Counts what a staging server would export if it became active, and holds it against limits (guard rail G4; facts 2.11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewConnectExports {
    /// Over all connectors together.
    pub limits: ExportLimits,
    /// How many minutes ago the last cycle may have begun: what is counted is as old as that.
    pub max_age_minutes: u32,
    /// Operators let what is beyond the limits, or not told, pass for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Overridden>,
}

/// Guides a person through the MSI and the wizard of Connect Sync and watches for its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuideConnect {
    /// What is done, and what the server must be afterwards.
    pub work: ConnectWork,
    /// A server of this version or newer counts as installed.
    pub at_least: Version,
    /// What the person does.
    pub text: TaskText,
    /// What the person does where the cycle is held afterwards: it was on before, or the installation was to leave it off, and the
    /// step ends when it is on. Absent where that is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Box<TaskText>>,
}

/// Waits behind a person's work at the wizard of Connect Sync until no full import or synchronization is due and none runs (facts
/// 2.12, 2.13 [P]): what is counted or verified before is not what comes of that work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitFullSync {
    /// How many minutes nobody is asked for while it goes on.
    pub within_minutes: u32,
    /// What a person looks at where it is not over by then, where the cycle is off, or where none of it can be told.
    pub text: TaskText,
}

/// Starts the services of a provisioning agent that was registered, and has Windows start them by itself (facts 1.3, PV04).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartProvisioningAgent {
    /// Tenant that it belongs to; one that is registered elsewhere is left as it is (guard rail G9).
    pub tenant: TenantId,
}

/// Verifies Connect Sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyConnect {
    /// Oldest version that will do.
    pub at_least: Version,
    /// Whether it must be staging, or else active; absent where any mode will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<bool>,
    /// Forests that it must have a connector for; empty where that is not asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forests: Vec<DomainName>,
    /// Whether password hashes must be synchronized out of each of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub password_sync: bool,
    /// How long its engine must have run without a restart; absent where that is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soaked_seconds: Option<u32>,
}

/// Takes the provisioning agent off a server for good (facts 1.12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveProvisioningAgent {
    /// Tenant that it belongs to; one that is registered elsewhere is left as it is (guard rail G9).
    pub tenant: TenantId,
}

/// Verifies that nothing of the provisioning agent is left that still works, and lists what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyProvisioningAgentRemoved {
    /// The server itself, by the name under which the directory knows it.
    pub target: TargetId,
    /// gMSA that it used, where it is known: the directory tells whether the server may still retrieve the password.
    pub gmsa: Option<GmsaName>,
    /// Domain of the gMSA: the server's home domain.
    pub home_domain: DomainName,
}

/// The domains that a step gives an agent to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// It registers the agent for these; whatever the agent was given before stays.
    Registers(Vec<DomainName>),
    /// It adds these to an agent that is registered.
    Adds(Vec<DomainName>),
}

/// Guides a person through the removal of Connect Sync, which the vendor supports through its wizard alone (facts 2.16), and
/// watches for its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuideConnectRemoval {
    /// What the person does.
    pub text: TaskText,
    /// What a person makes sure of beforehand where an agent of pass-through authentication is on the server: whoever is last
    /// takes everybody's sign-in along.
    pub pass_through: TaskText,
}

/// Asks a domain's controller which servers carry one of the products, as far as the directory shows it; changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoverServers {
    /// Domains to ask.
    pub domains: Vec<DomainName>,
    /// Domain controllers to prefer, in order, of those domains that have some.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub preferred_dcs: BTreeMap<DomainName, Vec<TargetId>>,
    /// gMSAs of provisioning agents beside those that the product names itself.
    pub accounts: Vec<GmsaName>,
}

/// Has the provisioning agent's own tools collect its logs into a file that stays on the server (facts 1.9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectSupport {
    /// Tenant that it must be registered with.
    pub tenant: TenantId,
}

/// Replaces the agent itself by a release of its publisher. The launcher keeps the new version once it was welcomed and had an
/// event acknowledged, and goes back to the one before otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeAgent {
    /// The version, which the release must name too.
    pub version: Version,
    /// The release's envelope, as its JSON text: the publisher's own signature travels with it.
    pub release: String,
}

/// Guides a person through the task of Connect's wizard that moves a tenant from Connect to cloud sync, on its active server, and
/// watches for its end (facts 3, the migration tool [P]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuideTransition {
    /// The server itself, by the name under which the directory knows it.
    pub target: TargetId,
    /// Tenant that the wizard's agent must be registered with.
    pub tenant: TenantId,
    /// Domain of the gMSA that the wizard makes: the server's home domain.
    pub home_domain: DomainName,
    /// Domain controllers of it to prefer, in order, as a wizard of the agent takes them (guard rail G3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preferred_dcs: Vec<TargetId>,
    /// What the person does at the wizard.
    pub text: TaskText,
    /// What a person looks at before, where a limit of the task cannot be told on the server.
    pub doubts: TaskText,
    /// What a person says afterwards, since no probe on a server sees it.
    pub afterwards: TaskText,
}

/// One step of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    content = "args",
    rename_all = "kebab-case",
    deny_unknown_fields
)]
pub enum Step {
    /// Probes the server and reports its facts; changes nothing.
    ReportFacts,
    /// Asks the directory which servers carry one of the products.
    DiscoverServers(DiscoverServers),
    /// Checks what must hold before anything is touched.
    Preflight(Preflight),
    /// Runs the setup of the provisioning agent.
    InstallProvisioningAgent(InstallProvisioningAgent),
    /// Sets options of the provisioning agent's service.
    SetProvisioningAgentOptions(SetProvisioningAgentOptions),
    /// Signs in, sets the service account, adds the domains and restarts the service.
    RegisterProvisioningAgent(RegisterProvisioningAgent),
    /// Adds domains to an agent that is registered already.
    AddDomains(AddDomains),
    /// The same by a person at the wizard.
    GuideProvisioningAgent(GuideProvisioningAgent),
    /// Verifies the provisioning agent.
    VerifyProvisioningAgent(VerifyProvisioningAgent),
    /// Puts the installer of Connect Sync in place.
    StageConnect(StageConnect),
    /// A person installs Connect Sync.
    GuideConnect(GuideConnect),
    /// Verifies Connect Sync.
    VerifyConnect(VerifyConnect),
    /// Counts what a staging server would export.
    ReviewConnectExports(ReviewConnectExports),
    /// Reads what decides what Connect Sync synchronizes: rules, connectors, filters, features.
    ReadConnectSettings,
    /// Stops and disables the service of Connect Sync, so that a server that was said to be off exports nothing any more.
    FenceConnect,
    /// A person takes Connect Sync off the server.
    GuideConnectRemoval(GuideConnectRemoval),
    /// Verifies that Connect Sync is gone.
    VerifyConnectRemoved,
    /// Takes the provisioning agent off the server.
    RemoveProvisioningAgent(RemoveProvisioningAgent),
    /// Verifies that the provisioning agent is gone.
    VerifyProvisioningAgentRemoved(VerifyProvisioningAgentRemoved),
    /// Collects the provisioning agent's logs on the server.
    CollectSupport(CollectSupport),
    /// Restarts Windows where it waits for it.
    RestartServer(RestartServer),
    /// Replaces the agent itself by a newer version.
    UpgradeAgent(UpgradeAgent),
    /// Starts the services of a provisioning agent that stopped.
    StartProvisioningAgent(StartProvisioningAgent),
    /// Asks whether the tenant's active Connect server is within the limits of the wizard's task that moves it to cloud sync.
    CheckTransition,
    /// A person moves the tenant from Connect to cloud sync.
    GuideTransition(GuideTransition),
    /// Puts back what Entrain has set of prerequisites, where it is still what Entrain set.
    UndoFixes(UndoFixes),
    /// Waits until no full import or synchronization of Connect Sync is due and none runs.
    AwaitFullSync(AwaitFullSync),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_with_more_than_its_kind_and_arguments_is_none() {
        let plain = r#"{"kind":"stage-connect","args":{"artifact":"0000000000000000000000000000000000000000000000000000000000000000"}}"#;
        assert!(serde_json::from_str::<Step>(plain).is_ok());
        let more = plain.replace("\"kind\"", "\"more\":1,\"kind\"");
        assert!(serde_json::from_str::<Step>(&more).is_err());
        let within = plain.replace("\"artifact\"", "\"more\":1,\"artifact\"");
        assert!(serde_json::from_str::<Step>(&within).is_err());
    }

    #[test]
    fn kinds_are_spelled_as_the_manifest_spells_them() {
        let step = Step::StageConnect(StageConnect {
            artifact: Digest::ZERO,
        });
        let json = serde_json::to_value(&step).unwrap();
        assert_eq!(json["kind"], step.kind());
        assert_eq!(serde_json::from_value::<Step>(json).unwrap(), step);
        assert_eq!(
            serde_json::to_value(Step::ReportFacts).unwrap()["kind"],
            "report-facts"
        );
    }
}
