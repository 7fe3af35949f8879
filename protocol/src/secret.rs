//! Secrets on their way from an operator to one step of one run. The agent asks when the step is due, with a fresh key
//! that its identity has signed; what is sealed to that key the controller cannot open.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::id::{Attempt, BundleId, DomainName, Generation, StepIndex, TargetId, TenantId};
use crate::limits;
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

/// What an access token says of itself, for whoever wants to catch a mistake before it is used. Only the service that
/// takes the token can tell whether it is true; nothing rests on it but a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Tenant that issued it (claim `tid`).
    pub tenant: Option<TenantId>,
    /// When it lapses (claim `exp`).
    pub expires: Option<Timestamp>,
}

impl AccessToken {
    /// Reads a JSON Web Token's claims; `None` when it is none, as a token may be opaque.
    #[must_use]
    pub fn read(token: &str) -> Option<Self> {
        let mut parts = token.trim().split('.');
        let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
        let claims = BASE64_URL_SAFE_NO_PAD
            .decode(claims.trim_end_matches('='))
            .ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
        let expires = claims["exp"].as_i64();
        Some(Self {
            tenant: claims["tid"]
                .as_str()
                .and_then(|tenant| tenant.parse().ok()),
            expires: expires
                .and_then(|seconds| seconds.checked_mul(1000))
                .map(Timestamp::from_millis),
        })
    }
}

impl SecretKind {
    /// Tells whether a token that fitted once has lapsed since, as far as it tells that itself.
    #[must_use]
    pub fn has_lapsed(&self, secret: &Secret, now: Timestamp) -> bool {
        let token = match self {
            Self::AccessToken { .. } => AccessToken::read(&secret.value),
            Self::TenantCredential { .. } | Self::DomainCredential { .. } => None,
        };
        let expires = token.and_then(|token| token.expires);
        expires.is_some_and(|expires| expires <= now)
    }

    /// Says why a secret cannot be what is wanted, as far as it tells that itself: a token of another tenant (guard rail
    /// G9), or one that has lapsed.
    ///
    /// # Errors
    /// With a sentence that repeats nothing of the secret but the tenant's id and the time.
    pub fn fits(&self, secret: &Secret, now: Timestamp) -> Result<(), String> {
        if secret.value.trim().is_empty() {
            return Err("nothing was given".to_owned());
        }
        if secret.user.len() + secret.value.len() > limits::MAX_SECRET_BYTES {
            return Err(format!(
                "it is longer than {} bytes, which no token or password is",
                limits::MAX_SECRET_BYTES
            ));
        }
        let Self::AccessToken { tenant } = self else {
            return Ok(());
        };
        let Some(token) = AccessToken::read(&secret.value) else {
            return Ok(());
        };
        if let Some(other) = token.tenant.filter(|other| other != tenant) {
            return Err(format!(
                "the token is of tenant {other}, and {tenant} is wanted (G9): sign in to that tenant for it"
            ));
        }
        if let Some(expires) = token.expires.filter(|expires| *expires <= now) {
            return Err(format!("the token lapsed at {expires}: get a new one"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: &str = "3f0c8a4e-0000-0000-0000-000000000000";
    const OTHER: &str = "77aa0000-0000-0000-0000-000000000000";

    fn fits(value: &str) -> Result<(), String> {
        let secret = Secret {
            user: "admin@contoso.com".to_owned(),
            value: value.to_owned(),
        };
        let wanted = SecretKind::AccessToken {
            tenant: MINE.parse().unwrap(),
        };
        wanted.fits(&secret, Timestamp::from_millis(1_000_000))
    }

    fn token(claims: &str) -> String {
        let part = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
        format!(
            "{}.{}.c2lnbmF0dXJl",
            part("{\"alg\":\"none\"}"),
            part(claims)
        )
    }

    #[test]
    fn a_token_of_another_tenant_or_a_lapsed_one_is_caught_and_not_repeated() {
        let foreign = token(&format!("{{\"tid\":\"{OTHER}\",\"exp\":2000}}"));
        let why = fits(&foreign).unwrap_err();
        assert!(why.contains(OTHER) && why.contains("G9"), "{why}");
        assert!(!why.contains(&foreign), "{why}");
        let lapsed = token(&format!("{{\"tid\":\"{MINE}\",\"exp\":1000}}"));
        assert!(fits(&lapsed).unwrap_err().contains("lapsed"));
        assert!(fits(" ").is_err());
    }

    #[test]
    fn what_is_too_long_is_not_sent() {
        assert!(
            fits(&"x".repeat(limits::MAX_SECRET_BYTES))
                .unwrap_err()
                .contains("longer than")
        );
        assert!(fits(&"x".repeat(8000)).is_ok());
    }

    #[test]
    fn what_a_token_does_not_say_is_left_to_the_service() {
        let good = token(&format!("{{\"tid\":\"{MINE}\",\"exp\":1001}}"));
        for value in [
            &good,
            "opaque",
            "a.b.c",
            "a.!.c",
            &token("{}"),
            &token("[]"),
        ] {
            assert_eq!(fits(value), Ok(()), "{value}");
        }
    }
}
