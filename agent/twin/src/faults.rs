//! What can be wrong with a twin. Each fault is one that the product facts name.

use serde::{Deserialize, Serialize};

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The service `VaultSvc` is disabled (PF14).
    VaultDisabled,
    /// A group policy takes "Log on as a service" away: setup ends with 1603 (1.13).
    LogonRightMissing,
    /// The gMSA has other encryption types than the server (1.13).
    GmsaEncryption,
    /// The server may not retrieve the gMSA's password (PF51).
    GmsaNotAllowed,
    /// Windows waits for a restart (PF19).
    RebootPending,
    /// The server has no desktop (PF03).
    ServerCore,
    /// Module logging is on, which would record a secret.
    ModuleLogging,
    /// The machine execution policy is Unrestricted (PF12).
    PolicyUnrestricted,
    /// The sign-in hosts do not answer (PF26).
    CloudBlocked,
    /// No domain controller answers on 389 (PF23).
    DirectoryBlocked,
    /// No domain controller is found by DNS: it has no such record (PF22).
    DnsBlocked,
    /// DNS does not answer (PF22).
    DnsSilent,
    /// TLS 1.2 and strong cryptography are off (PF15, PF17).
    TlsOff,
    /// Another installation runs and does not end (exit code 1618).
    InstallerBusy,
    /// The setup ends well and asks for a restart of Windows (exit code 3010).
    SetupWantsRestart,
    /// The newest trace of the agent shows an exception (PV09).
    TraceShowsException,
    /// The module does not keep the last domain that it was given (PV10).
    DomainNotKept,
    /// The account that signs in must use multi-factor authentication.
    MfaDemanded,
    /// The module signs nobody in by a token, which is in no documentation (MO01).
    TokenNotTaken,
    /// The module demands a credential to add a domain.
    DomainCredentialDemanded,
    /// The module of Connect's engine has no cmdlet that tells its history of runs (MO02, PV29).
    HistoryGone,
    /// The wizard was left open: the scheduler is suspended (PV24).
    SchedulerSuspended,
    /// The staging server would delete objects (PV31).
    DeletionsPending,
    /// The product's tools that count pending exports fail (PV31).
    ExportsUnreadable,
    /// A rule and a filter are others than on a server without this fault (PV32).
    SettingsDiffer,
    /// A default rule was edited in place: it says something else than on a server without this fault (CU04).
    DefaultRuleEdited,
    /// The product's module does not tell its rules (PV32).
    SettingsUnreadable,
    /// Password hash synchronization is off (PV35).
    PasswordSyncOff,
    /// A full synchronization is still due on the staging server (PV30).
    FullSyncDue,
    /// The next cycle of the staging server is a full one (PV30).
    NextCycleFull,
    /// A cycle of the engine runs while its history is read (PV29).
    RunUnderWay,
    /// The last cycle of the staging server is long ago (SW01).
    CycleOverdue,
    /// The agent's service stopped and does not start.
    ServiceStopped,
    /// No KDS root key is usable.
    NoKdsKey,
    /// The secure channel to the domain is broken (PF05).
    SecureChannelBroken,
    /// The agent's account lacks an administrator's rights (PF06).
    NotElevated,
    /// Windows is a client (PF01).
    ClientWindows,
    /// Windows Server 2012 R2 (PF02).
    OldWindows,
    /// The server is in no domain (PF04).
    NotJoined,
    /// 2 GB of memory (PF07, PF08).
    LittleMemory,
    /// 1 GB of free disk (PF75).
    LittleDisk,
    /// .NET Framework 4.6.2 (PF09, PF10).
    OldDotNet,
    /// Windows PowerShell 4.0 (PF11).
    OldPowerShell,
    /// The machine execution policy lets no script run (PF13).
    PolicyRestricted,
    /// The machine execution policy lets signed scripts alone run (PF12, PF13).
    PolicyAllSigned,
    /// That policy refuses the module of a product that is there: a file of it is not signed (model).
    ModuleRefused,
    /// TLS 1.2 is off for servers (PF16).
    TlsServerOff,
    /// Strong cryptography is off for 32-bit .NET (PF18).
    CryptoX86Off,
    /// Another installation runs while it is looked for (PF20).
    InstallerRunning,
    /// The clocks of server and domain controller are 50 minutes apart (PF21).
    ClockWrong,
    /// The domain controller is read-only (PF25).
    ReadOnlyController,
    /// A domain controller that the topology prefers is read-only, and its clock is wrong; those that DNS names are well (PF21, PF25).
    PreferredControllerReadOnly,
    /// The registration hosts do not answer (PF27).
    RegistrationBlocked,
    /// The hosts of revocation do not answer (PF28).
    RevocationBlocked,
    /// A policy keeps Windows' public roots from coming by themselves, and somebody put them beside the company's (PF29).
    RootsByPolicy,
    /// A proxy opens TLS connections (PF29).
    TlsInspected,
    /// The proxy that the product is told to use inspects TLS (PF29).
    ProxyInspects,
    /// That proxy answers in the hosts' place, by a certificate of its own name under a public root (PF29).
    ProxyShowsOther,
    /// The system has a proxy (PF30).
    ProxySet,
    /// Whatever proxy is asked demands a sign-in (PF26, PF30).
    ProxyDemandsSignIn,
    /// Whatever proxy is asked lets nothing through (PF26).
    ProxyRefuses,
    /// Internet Explorer enhanced security is on (PF33).
    IeEscOn,
    /// A group policy names who may log on as a service (PF34).
    LogonRightByPolicy,
    /// Outgoing NTLM is allowed (PF35).
    NtlmAllowed,
    /// The FIPS policy is on (PF36).
    FipsOn,
    /// A DCOM permission is missing (PF37).
    DcomBroken,
    /// A DCOM permission is there without a byte (PF37).
    DcomEmpty,
    /// PowerShell transcription is on (PF38, SEC1).
    TranscriptionOn,
    /// The server is a domain controller (PF39).
    DomainController,
    /// The other tool is on the server (PF42).
    OtherTool,
    /// The forest's schema is that of Windows Server 2008 R2 (PF46).
    OldSchema,
    /// The forest's schema is that of Windows Server 2012 R2 (PF46).
    SchemaBefore2016,
    /// The forest's level is Windows 2000 (PF47).
    OldForest,
    /// Every domain controller is Windows Server 2008 R2 (PF48).
    OldControllers,
    /// The KDS root key is two hours old (PF49).
    KdsKeyYoung,
    /// The gMSA does not name this server (PF50).
    GmsaWithoutServer,
    /// The gMSA has RC4 alone (PF52).
    GmsaRc4Only,
    /// A policy leaves AES alone to Kerberos on the server (PF52).
    KerberosAesAlone,
    /// A policy leaves RC4 alone to Kerberos on the server (PF52).
    KerberosWithoutAes,
    /// The gMSA lacks a right of replication on the domain (PF54, PV18).
    RightsMissing,
    /// The gMSA has the rights of replication, and none of any other set (PF54, PV18).
    SetsMissing,
    /// The domain's NetBIOS name has a dot (PF55).
    DottedNetbios,
    /// A gMSA names a group whose members may retrieve its password, one of them of another domain.
    ReadersByGroup,
    /// The forest has a second domain, whose NetBIOS name has a dot (PF55).
    ChildNetbiosDotted,
    /// The forest has a second domain, of which no controller answers (PF24).
    ChildBlocked,
    /// The domain controller's name lies outside its domain (PF56).
    DisjointName,
    /// The directory's recycle bin is off (PF59).
    NoRecycleBin,
    /// There is no TPM (PF70).
    NoTpm,
    /// The SQL Server that Connect is to use does not answer by TCP (PF71).
    SqlUnreachable,
    /// It does not let the server's account log in (PF71).
    SqlLoginRefused,
    /// Its collation tells upper from lower case (PF71).
    SqlCollation,
    /// It is SQL Server 2012 (PF71).
    SqlOld,
    /// The database holds somebody else's tables (PF71).
    SqlForeign,
    /// The engine's configuration file was edited (PF72).
    EditedConfiguration,
    /// It was copied in, with its edit and the time of that (PF72).
    CopiedConfiguration,
    /// A synchronization runs, and the wizard is open (PF73).
    EngineBusy,
    /// Synchronization Service Manager was left open (PF73).
    ConsoleOpen,
    /// The newest export of settings is a week old (PF74).
    ExportOld,
    /// Default rules of Connect are disabled (CU01).
    DefaultRulesDisabled,
    /// A full synchronization is due on a server that is to be upgraded (CU02).
    OverridesSet,
    /// A full import and synchronization takes days (CU03).
    FullRunLong,
    /// A full synchronization follows the work at the wizard of Connect, and ends after a while (WZ03).
    FullSyncFollows,
    /// Connect's cmdlets tell neither what is due nor what runs (WZ03).
    DueUnreadable,
    /// An upgrade left the wizard of Connect as it was (PV23).
    WizardLeftOld,
    /// The person at the wizard of an upgrade clears "Start the synchronization process" (PV24).
    CycleHeld,
    /// PowerShell runs in a constrained language mode (SEC2).
    ConstrainedLanguage,
    /// Application control is enforced (SEC3).
    ApplicationControl,
    /// The server's account may not sign in to the directory.
    DirectoryUnreadable,
    /// The person at the wizard takes a staging server out of staging mode (G1).
    UpgradeActivates,
    /// What other servers change in the directory is seen late here.
    ReplicationSlow,
    /// The setup that Windows kept for the removal is gone (1.12).
    BundleCacheMissing,
    /// The bundle's removal leaves the agent and the updater, as before 1.1.972.0 (1.11, 1.12).
    BundleLeavesPackages,
    /// A removal ends with 1603.
    RemovalFails,
    /// Windows does not list the updater of the agent (PV20).
    UpdaterNotListed,
    /// The agent's service is still there after the removal.
    AgentServiceStays,
    /// The install folder is still there after the removal.
    FolderStays,
    /// The configuration file of the agent's service is no XML (1.7).
    ConfigurationBroken,
    /// The configuration file of the agent's service may not be written.
    ConfigurationReadOnly,
    /// The password of the domain's administrator has expired (PF53).
    CredentialExpired,
    /// The password of the domain's administrator ends within hours (PF53).
    CredentialEnds,
    /// Whoever gave a credential for the domain administers neither it nor its forest (PF53).
    CredentialOfNobody,
    /// No domain controller speaks TLS (PF53).
    LdapsBlocked,
    /// Users and groups lack the attribute by which both tools know them (PF60).
    AnchorsMissing,
    /// The domain's administrator may not grant the account its rights (1.6).
    PermissionsRefused,
    /// An agent of pass-through authentication is on the Connect server (2.16).
    PassThroughAgent,
    /// Windows still lists Connect after its removal.
    ConnectListed,
    /// Connect's engine was installed where somebody chose (2.5), and its removal leaves the program there (CR03).
    EngineElsewhere,
    /// The directory names a Connect server that nobody knows (2.9).
    StrangeConnect,
    /// The product's service ends and is started again by itself (PV07).
    ServiceRestarts,
    /// machine.config names another proxy than the system (PF31).
    MachineProxyDiffers,
    /// machine.config does not let the engine sign in at its proxy (PF31).
    MachineProxyAnonymous,
    /// A proxy refuses the product's web service (PF32).
    WebServiceRefused,
    /// The agent wrote errors to its event log (PV08).
    AgentLogsErrors,
    /// The product logs errors while it is watched (PV08, PV27, PV34).
    ErrorsWhileWatched,
    /// Windows does not let the product's events be read (PV08, PV27, PV34).
    LogsUnreadable,
    /// A cmdlet leaves a secret in a temporary file (PV21).
    SecretLeft,
    /// The engine signs in as an account (PV26).
    LegacyIdentity,
    /// The certificate with which the engine signs in is to be rotated (PV27).
    CertificateDue,
    /// The tenant's connector is gone (PV28).
    TenantConnectorMissing,
    /// The newest run of a connector ended with errors (PV29).
    RunFailed,
    /// The product suspended its upgrade by itself (PV33).
    AutoUpgradeSuspended,
    /// The upgrade by itself failed (PV34).
    AutoUpgradeFailed,
    /// The wizard's trace shows errors (PV37).
    WizardTraceErrors,
    /// The domain holds more objects than are supported (PF58).
    DomainTooLarge,
    /// A group of the domain has more members than cloud sync supports (PF58).
    GroupTooLarge,
    /// Users have suffixes that can be no verified domain (PF57).
    SuffixUnverifiable,
    /// The tools of the provisioning agent are not there (1.9).
    ToolsMissing,
    /// Windows does not let the agent restart it.
    RestartRefused,
    /// A new version of Entrain's agent crashes at its start: its launcher goes back.
    NewAgentCrashes,
    /// Entrain's agent was not started by its launcher.
    NoLauncher,
    /// Whatever asks for a restart asks again after it.
    RestartPendingAgain,
    /// The engine ends as it starts, since an edited configuration file was kept (PV22, 2.15).
    EngineEnds,
    /// The account of the agent's service may not log on as a service (PV04, 1.13).
    LogonAsServiceRefused,
    /// The wizard cannot register the application with which the engine signs in (2.15).
    WizardIdentityRefused,
    /// The sign-in page of the wizard ends with a script error (2.15).
    WizardScriptError,
    /// A database of an earlier installation stops the wizard (2.15).
    WizardDatabaseLeft,
    /// The wizard does not enable pass-through authentication (2.15, 2.6.91.0 alone).
    PassThroughNotEnabled,
    /// LocalDB of SQL Server 2012 is left (2.15).
    OldLocalDb,
    /// A group policy sets whatever of it is otherwise than it must be: TLS 1.2, strong cryptography, VaultSvc, PowerShell's policy and
    /// logging, application control, NTLM, FIPS and Kerberos (PF12 to PF17, PF35, PF36, PF38, PF52, SEC1, SEC3).
    SetByPolicy,
    /// A preference item of a group policy sets TLS 1.2, strong cryptography and VaultSvc (PF14 to PF18), which no resultant set of
    /// policy tells.
    SetByPreference,
    /// The ECMA Connector Host stands beside the agent (PF76).
    EcmaHost,
    /// The agent has an option of HR inbound provisioning (PF76).
    HrInbound,
    /// Connect is connected to a second forest (TR02).
    SecondForest,
    /// More objects are in scope than the wizard's task takes (TR03).
    ScopeTooLarge,
    /// More organizational units are included than the wizard's task takes (TR04).
    ManyUnits,
    /// There is a rule of one's own (TR05).
    CustomRules,
    /// Users are filtered by a group (TR06).
    GroupFilter,
    /// Another attribute becomes the user principal name (TR07).
    CustomPrincipalName,
    /// Directory extensions are synchronized (TR08).
    DirectoryExtensions,
    /// Devices are synchronized (TR09).
    DeviceSync,
    /// Devices are written back (TR10).
    DeviceWriteback,
    /// The wizard that moves to cloud sync ends with the agent there and Connect still active (TR12).
    TransitionStopsHalfWay,
    /// The wizard that moves to cloud sync ends with Connect staging and the agent not registered (TR13).
    TransitionLeavesNoAgent,
    /// A domain controller answers on 389, and neither on 445 nor on 3268 (PF23, PF24).
    DirectoryPortsBlocked,
    /// No datagram comes through to a domain controller (PF24).
    DatagramsBlocked,
    /// No port of the dynamic range of a domain controller answers (PF24).
    DynamicRpcBlocked,
    /// A domain controller that the topology prefers does not answer, and those that DNS names do (PF23).
    PreferredControllerSilent,
    /// The first domain controller that DNS names does not answer, as one that is stale or behind a firewall, and the others do (PF22).
    FirstControllerSilent,
    /// The services of Connect Health are on the Connect server (UN02).
    HealthAgent,
    /// The computer account of seamless single sign-on is in the directory (UN03).
    SeamlessSignOn,
    /// Windows refuses what would be set: a registry value of its own, the note that it is to be restarted, and that a disabled
    /// service may start (PF14 to PF17).
    SettingRefused,
    /// The setup does not take the system, whatever the probes read (1.13).
    SetupRefusesSystem,
    /// Somebody gave the agent's service another logon by hand: the gMSA is not set (1.13).
    LogonGivenByHand,
    /// A domain controller answers the agent too slowly (1.13).
    DirectorySlow,
    /// The product's registration scripts are refused, whatever the probes read of policies (1.13).
    RegistrationScriptsRefused,
    /// Another version of Newtonsoft.Json is loaded than the module expects (1.4).
    OtherJsonAssembly,
    /// A connector's configuration is of an earlier version than its assembly (2.15).
    ConnectorOutdated,
    /// The database is in an availability group while the wizard sets it up: error 25009 (2.7).
    WizardDatabaseInGroup,
    /// An upgrade that the product began by itself broke off before it began: `PreUpgradeFailure` (2.15).
    UpgradeBrokeOff,
    /// The cmdlets of Connect are not found (2.15).
    CmdletsNotFound,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 190] = [
        Self::VaultDisabled,
        Self::LogonRightMissing,
        Self::GmsaEncryption,
        Self::GmsaNotAllowed,
        Self::RebootPending,
        Self::ServerCore,
        Self::ModuleLogging,
        Self::PolicyUnrestricted,
        Self::CloudBlocked,
        Self::DirectoryBlocked,
        Self::DnsBlocked,
        Self::DnsSilent,
        Self::TlsOff,
        Self::InstallerBusy,
        Self::SetupWantsRestart,
        Self::TraceShowsException,
        Self::DomainNotKept,
        Self::MfaDemanded,
        Self::TokenNotTaken,
        Self::DomainCredentialDemanded,
        Self::HistoryGone,
        Self::ServiceStopped,
        Self::SchedulerSuspended,
        Self::DeletionsPending,
        Self::ExportsUnreadable,
        Self::SettingsDiffer,
        Self::DefaultRuleEdited,
        Self::SettingsUnreadable,
        Self::PasswordSyncOff,
        Self::FullSyncDue,
        Self::NextCycleFull,
        Self::RunUnderWay,
        Self::CycleOverdue,
        Self::NoKdsKey,
        Self::SecureChannelBroken,
        Self::NotElevated,
        Self::ClientWindows,
        Self::OldWindows,
        Self::NotJoined,
        Self::LittleMemory,
        Self::LittleDisk,
        Self::OldDotNet,
        Self::OldPowerShell,
        Self::PolicyRestricted,
        Self::PolicyAllSigned,
        Self::ModuleRefused,
        Self::TlsServerOff,
        Self::CryptoX86Off,
        Self::InstallerRunning,
        Self::ClockWrong,
        Self::ReadOnlyController,
        Self::PreferredControllerReadOnly,
        Self::RegistrationBlocked,
        Self::RevocationBlocked,
        Self::RootsByPolicy,
        Self::TlsInspected,
        Self::ProxyInspects,
        Self::ProxyShowsOther,
        Self::ProxySet,
        Self::ProxyDemandsSignIn,
        Self::ProxyRefuses,
        Self::IeEscOn,
        Self::LogonRightByPolicy,
        Self::NtlmAllowed,
        Self::FipsOn,
        Self::DcomBroken,
        Self::DcomEmpty,
        Self::TranscriptionOn,
        Self::DomainController,
        Self::OtherTool,
        Self::OldSchema,
        Self::SchemaBefore2016,
        Self::OldForest,
        Self::OldControllers,
        Self::KdsKeyYoung,
        Self::GmsaWithoutServer,
        Self::GmsaRc4Only,
        Self::KerberosAesAlone,
        Self::KerberosWithoutAes,
        Self::RightsMissing,
        Self::SetsMissing,
        Self::DottedNetbios,
        Self::ReadersByGroup,
        Self::ChildNetbiosDotted,
        Self::ChildBlocked,
        Self::DisjointName,
        Self::NoRecycleBin,
        Self::NoTpm,
        Self::SqlUnreachable,
        Self::SqlLoginRefused,
        Self::SqlCollation,
        Self::SqlOld,
        Self::SqlForeign,
        Self::EditedConfiguration,
        Self::CopiedConfiguration,
        Self::EngineBusy,
        Self::ConsoleOpen,
        Self::ExportOld,
        Self::DefaultRulesDisabled,
        Self::OverridesSet,
        Self::FullRunLong,
        Self::FullSyncFollows,
        Self::DueUnreadable,
        Self::WizardLeftOld,
        Self::CycleHeld,
        Self::ConstrainedLanguage,
        Self::ApplicationControl,
        Self::DirectoryUnreadable,
        Self::UpgradeActivates,
        Self::ReplicationSlow,
        Self::BundleCacheMissing,
        Self::BundleLeavesPackages,
        Self::RemovalFails,
        Self::UpdaterNotListed,
        Self::AgentServiceStays,
        Self::FolderStays,
        Self::ConfigurationBroken,
        Self::ConfigurationReadOnly,
        Self::CredentialExpired,
        Self::CredentialEnds,
        Self::CredentialOfNobody,
        Self::LdapsBlocked,
        Self::AnchorsMissing,
        Self::PermissionsRefused,
        Self::PassThroughAgent,
        Self::ConnectListed,
        Self::EngineElsewhere,
        Self::StrangeConnect,
        Self::ServiceRestarts,
        Self::MachineProxyDiffers,
        Self::MachineProxyAnonymous,
        Self::WebServiceRefused,
        Self::AgentLogsErrors,
        Self::ErrorsWhileWatched,
        Self::LogsUnreadable,
        Self::SecretLeft,
        Self::LegacyIdentity,
        Self::CertificateDue,
        Self::TenantConnectorMissing,
        Self::RunFailed,
        Self::AutoUpgradeSuspended,
        Self::AutoUpgradeFailed,
        Self::WizardTraceErrors,
        Self::DomainTooLarge,
        Self::GroupTooLarge,
        Self::SuffixUnverifiable,
        Self::ToolsMissing,
        Self::RestartRefused,
        Self::NewAgentCrashes,
        Self::NoLauncher,
        Self::RestartPendingAgain,
        Self::EngineEnds,
        Self::LogonAsServiceRefused,
        Self::WizardIdentityRefused,
        Self::WizardScriptError,
        Self::WizardDatabaseLeft,
        Self::PassThroughNotEnabled,
        Self::OldLocalDb,
        Self::SetByPolicy,
        Self::SetByPreference,
        Self::EcmaHost,
        Self::HrInbound,
        Self::SecondForest,
        Self::ScopeTooLarge,
        Self::ManyUnits,
        Self::CustomRules,
        Self::GroupFilter,
        Self::CustomPrincipalName,
        Self::DirectoryExtensions,
        Self::DeviceSync,
        Self::DeviceWriteback,
        Self::TransitionStopsHalfWay,
        Self::TransitionLeavesNoAgent,
        Self::DirectoryPortsBlocked,
        Self::DatagramsBlocked,
        Self::DynamicRpcBlocked,
        Self::PreferredControllerSilent,
        Self::FirstControllerSilent,
        Self::HealthAgent,
        Self::SeamlessSignOn,
        Self::SettingRefused,
        Self::SetupRefusesSystem,
        Self::LogonGivenByHand,
        Self::DirectorySlow,
        Self::RegistrationScriptsRefused,
        Self::OtherJsonAssembly,
        Self::ConnectorOutdated,
        Self::WizardDatabaseInGroup,
        Self::UpgradeBrokeOff,
        Self::CmdletsNotFound,
    ];
}
