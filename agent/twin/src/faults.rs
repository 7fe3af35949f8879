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
    /// No domain controller is found by DNS (PF22).
    DnsBlocked,
    /// TLS 1.2 and strong cryptography are off (PF15, PF17).
    TlsOff,
    /// Another installation runs and does not end (exit code 1618).
    InstallerBusy,
    /// The account that signs in must use multi-factor authentication.
    MfaDemanded,
    /// The module demands a credential to add a domain.
    DomainCredentialDemanded,
    /// The agent's service stopped and does not start.
    ServiceStopped,
    /// No KDS root key is usable.
    NoKdsKey,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 17] = [
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
        Self::TlsOff,
        Self::InstallerBusy,
        Self::MfaDemanded,
        Self::DomainCredentialDemanded,
        Self::ServiceStopped,
        Self::NoKdsKey,
    ];
}
