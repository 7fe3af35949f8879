//! Secrets on their way from an operator to one step of one run. The agent asks when the step is due, with a fresh key
//! that its identity has signed; what is sealed to that key the controller cannot open.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Attempt, BundleId, DomainName, Generation, StepIndex, TargetId, TenantId};
use crate::signed::Document;
use crate::time::Timestamp;

/// What a step needs from a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKind {
    /// An access token of a tenant's Hybrid Identity Administrator, with the user's name.
    AccessToken {
        /// The tenant it must be for.
        tenant: TenantId,
    },
    /// User name and password of a tenant's Hybrid Identity Administrator.
    TenantCredential {
        /// The tenant.
        tenant: TenantId,
    },
    /// User name and password of a domain administrator.
    DomainCredential {
        /// The domain.
        domain: DomainName,
    },
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessToken { tenant } => write!(f, "access token for tenant {tenant}"),
            Self::TenantCredential { tenant } => {
                write!(f, "user name and password for tenant {tenant}")
            }
            Self::DomainCredential { domain } => write!(f, "domain administrator of {domain}"),
        }
    }
}

/// The agent's signed question for a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretAsk {
    /// Format of this document.
    pub format: u32,
    /// Who asks.
    pub target: TargetId,
    /// For which bundle.
    pub bundle: BundleId,
    /// Its generation.
    pub generation: Generation,
    /// For which step.
    pub step: StepIndex,
    /// For which try.
    pub attempt: Attempt,
    /// What is needed.
    pub wanted: SecretKind,
    /// When the question lapses.
    pub expires: Timestamp,
    /// Public key of the fresh HPKE key pair (DHKEM X25519, HKDF-SHA256, AES-256-GCM), base64.
    pub key: String,
}

impl Document for SecretAsk {
    const PAYLOAD_TYPE: &'static str = "application/vnd.entrain.secret-ask+json";
    const FORMAT: u32 = 1;

    fn format(&self) -> u32 {
        self.format
    }
}

/// What the operator sealed: HPKE with the digest of the ask's envelope as `info`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Encapsulated key, base64.
    pub encapsulated: String,
    /// Ciphertext, base64.
    pub ciphertext: String,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// The secret itself. It does not print itself, and is serialized only into the sealed form and the child's stdin.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// User principal name or account.
    pub user: String,
    /// Token or password.
    pub value: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
