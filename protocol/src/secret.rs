//! Secrets on their way from an operator to one step of one run. The agent asks when the step is due, with a fresh key
//! that its identity has signed; what is sealed to that key the controller cannot open.

use std::fmt;
use std::time::Duration;

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

impl SecretKind {
    /// The option of `entrain secret give` that names whose secret it is.
    #[must_use]
    pub fn option(&self) -> String {
        match self {
            Self::AccessToken { tenant } | Self::TenantCredential { tenant } => {
                format!("--tenant {tenant}")
            }
            Self::DomainCredential { domain } => format!("--domain {domain}"),
        }
    }

    /// What is typed, without anything of whose it is.
    #[must_use]
    pub const fn value(&self) -> &'static str {
        match self {
            Self::AccessToken { .. } => "access token",
            Self::TenantCredential { .. } => "password of the tenant's administrator",
            Self::DomainCredential { .. } => "password of the domain's administrator",
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
/// takes the token can tell whether it is true: its signature is that service's to verify and is not looked at here. Nothing
/// rests on it but a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Tenant that issued it (claim `tid`).
    pub tenant: Option<TenantId>,
    /// When it lapses (claim `exp`).
    pub expires: Option<Timestamp>,
    /// Whom it is for (claim `aud`): an address, or the id of an application.
    pub audience: Option<String>,
    /// Rights that a person has lent it (claim `scp`); absent in a token that an application got for itself.
    pub scopes: Option<Vec<String>>,
    /// Rights that an application has for itself (claim `roles`); absent in a person's token, but for roles of the resource.
    pub roles: Option<Vec<String>>,
}

/// The id of Microsoft Graph as an application, the same in every cloud ([K]): a token may name it in place of the service's address.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// The end of the address of the application that registers provisioning agents (product facts 1.4 [M]): its host is known
/// for the commercial cloud alone. That this is the audience of its tokens is inferred there ([I]).
const REGISTRATION: &str = "/registerapp";

/// The right that the vendor's own recipe asks for (product facts 1.4 [M]).
const IMPERSONATION: &str = "user_impersonation";

/// A claim as it may be shown: short, and nothing that steers a terminal.
fn shown(claim: &str) -> String {
    let plain = claim.chars().filter(|sign| sign.is_ascii_graphic());
    plain.take(120).collect()
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
        let scopes = claims["scp"].as_str();
        let roles = claims["roles"].as_array();
        let role = |one: &serde_json::Value| one.as_str().map(ToOwned::to_owned);
        Some(Self {
            audience: claims["aud"].as_str().map(ToOwned::to_owned),
            scopes: scopes.map(|all| all.split_whitespace().map(ToOwned::to_owned).collect()),
            roles: roles.map(|all| all.iter().filter_map(role).collect()),
            tenant: claims["tid"]
                .as_str()
                .and_then(|tenant| tenant.parse().ok()),
            expires: expires
                .and_then(|seconds| seconds.checked_mul(1000))
                .map(Timestamp::from_millis),
        })
    }

    /// Whether it is for the registration of agents; `None` where its audience is no address, since no source names the
    /// application's id.
    #[must_use]
    pub fn is_for_registration(&self) -> Option<bool> {
        let address = self.audience.as_ref()?.to_lowercase();
        let address = address.strip_prefix("https://")?;
        Some(address.trim_end_matches('/').ends_with(REGISTRATION))
    }

    /// Every right that it says it has: a person's, lent, and an application's own. `None` where it says nothing of either.
    #[must_use]
    pub fn granted(&self) -> Option<Vec<String>> {
        if self.scopes.is_none() && self.roles.is_none() {
            return None;
        }
        let all = [&self.scopes, &self.roles].into_iter().flatten().flatten();
        Some(all.cloned().collect())
    }

    /// Whether it is for Microsoft Graph at that host: by its address, or by the application's id, which is the same in every cloud.
    /// One that says nothing of it may be.
    ///
    /// # Errors
    /// With whom it says that it is for.
    pub fn is_for_graph(&self, host: &str) -> Result<(), String> {
        let Some(audience) = &self.audience else {
            return Ok(());
        };
        let lower = audience.to_lowercase();
        let address = lower.strip_prefix("https://");
        let address = address.map(|rest| rest.trim_end_matches('/'));
        let address = address.map(|rest| rest.strip_suffix(":443").unwrap_or(rest));
        if address == Some(&host.to_lowercase()) || lower == GRAPH {
            return Ok(());
        }
        Err(shown(audience))
    }

    /// What it does not tell, or tells otherwise than is expected, a sentence each.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.tenant.is_none() {
            doubts.push("of which tenant it is cannot be told (tid)".to_owned());
        }
        if self.expires.is_none() {
            doubts.push("when it lapses cannot be told (exp)".to_owned());
        }
        let audience = self.audience.as_deref().map(shown);
        match (self.is_for_registration(), audience) {
            (Some(true), _) => {}
            (Some(false), audience) => doubts.push(format!(
                "it is for {} (aud), and the vendor's own recipe gets one for .../registerapp: no agent may be registered with it",
                audience.unwrap_or_default()
            )),
            (None, Some(audience)) => doubts.push(format!(
                "whether {audience} is the application that registers agents cannot be told (aud)"
            )),
            (None, None) => doubts.push("whom it is for cannot be told (aud)".to_owned()),
        }
        match &self.scopes {
            Some(scopes) if scopes.iter().any(|scope| scope == IMPERSONATION) => {}
            Some(_) => doubts.push(format!(
                "it lends no {IMPERSONATION} (scp), which a registration is expected to need"
            )),
            None => doubts.push(
                "it lends no person's rights (scp): a token that an application got for itself is not expected to register an agent"
                    .to_owned(),
            ),
        }
        doubts
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
    /// G9), or one that has lapsed (PF63).
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
        if let Some(other) = token.tenant.as_ref().filter(|other| *other != tenant) {
            return Err(format!(
                "the token is of tenant {other}, and {tenant} is wanted (G9): sign in to that tenant for it"
            ));
        }
        if let Some(expires) = token.expires.filter(|expires| *expires <= now) {
            return Err(format!("the token lapsed at {expires}: get a new one"));
        }
        Ok(())
    }

    /// The same of a secret that answers every question for so long: a token must outlive that. Gives what cannot be told of
    /// it, a sentence each.
    ///
    /// # Errors
    /// As [`Self::fits`].
    pub fn fits_for(
        &self,
        secret: &Secret,
        now: Timestamp,
        lasts: Duration,
    ) -> Result<Vec<String>, String> {
        self.fits(secret, now)?;
        let Self::AccessToken { .. } = self else {
            return Ok(Vec::new());
        };
        let Some(token) = AccessToken::read(&secret.value) else {
            return Ok(vec![
                "the token is opaque: of which tenant it is, whom it is for and when it lapses cannot be told".to_owned(),
            ]);
        };
        let ends = now.plus(lasts);
        if let Some(expires) = token.expires.filter(|expires| *expires < ends) {
            return Err(format!(
                "the token lapses at {expires}, and what it is to answer lasts until {ends} (PF63): get a new one, or take fewer servers into one appointment"
            ));
        }
        Ok(token.doubts())
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

    /// A token as the vendor's recipe gets it, which lapses at this second, with one claim put differently.
    fn registration(expires: u64, claim: &str, value: serde_json::Value) -> String {
        let mut claims = serde_json::json!({
            "tid": MINE, "exp": expires, "aud": "https://proxy.cloudwebappproxy.net/registerapp", "scp": "user_impersonation",
        });
        claims[claim] = value;
        token(&claims.to_string())
    }

    fn fits_for(value: &str, minutes: u64) -> Result<Vec<String>, String> {
        let secret = Secret {
            user: "admin@contoso.com".to_owned(),
            value: value.to_owned(),
        };
        let wanted = SecretKind::AccessToken {
            tenant: MINE.parse().unwrap(),
        };
        let lasts = Duration::from_secs(minutes * 60);
        wanted.fits_for(&secret, Timestamp::from_millis(1_000_000), lasts)
    }

    #[test]
    fn a_token_must_outlive_the_appointment() {
        let good = registration(1_000 + 3_600, "x", serde_json::Value::Null);
        assert_eq!(fits_for(&good, 60), Ok(Vec::new()));
        let why = fits_for(&good, 61).unwrap_err();
        assert!(why.contains("PF63") && !why.contains(&good), "{why}");
    }

    #[test]
    fn a_token_for_another_application_or_for_an_id_is_doubted() {
        let audience = |audience: &str| registration(9_000, "aud", audience.into());
        for other in [
            "https://graph.microsoft.com",
            "https://graph.windows.net/",
            "https://proxy.cloudwebappproxy.net/registerapp/else",
        ] {
            let doubts = fits_for(&audience(other), 5).unwrap();
            assert!(
                doubts[0].contains(other) && doubts[0].contains(".../registerapp"),
                "{doubts:?}"
            );
        }
        assert_eq!(
            fits_for(
                &audience("https://PROXY.cloudwebappproxy.net/registerApp/"),
                5
            ),
            Ok(Vec::new())
        );
        let doubts = fits_for(&audience("77aa0000-0000-0000-0000-000000000000"), 5).unwrap();
        assert!(doubts[0].contains("cannot be told (aud)"), "{doubts:?}");
    }

    #[test]
    fn rights_are_a_persons_or_an_applications_own_and_a_token_is_for_one_host_of_graph() {
        let read =
            |claims: serde_json::Value| AccessToken::read(&token(&claims.to_string())).unwrap();
        let lent = read(serde_json::json!({ "scp": "User.Read.All Policy.Read.All" }));
        assert_eq!(
            lent.granted().unwrap(),
            ["User.Read.All", "Policy.Read.All"]
        );
        let own = read(serde_json::json!({ "roles": ["Domain.Read.All"] }));
        assert_eq!(own.granted().unwrap(), ["Domain.Read.All"]);
        assert_eq!(read(serde_json::json!({})).granted(), None);
        let is_for = |audience: &str, host: &str| {
            read(serde_json::json!({ "aud": audience })).is_for_graph(host)
        };
        for good in [
            "https://graph.microsoft.us",
            "https://GRAPH.microsoft.us/",
            "https://graph.microsoft.us:443/",
            "00000003-0000-0000-c000-000000000000",
        ] {
            assert_eq!(is_for(good, "graph.microsoft.us"), Ok(()), "{good}");
        }
        for other in [
            "https://graph.microsoft.com",
            "https://dod-graph.microsoft.us",
            "https://graph.microsoft.us.example",
            "http://graph.microsoft.us",
            "https://management.azure.com/",
            "77aa0000-0000-0000-0000-000000000000",
        ] {
            let said = is_for(other, "graph.microsoft.us");
            assert_eq!(said, Err(other.to_owned()));
        }
        let silent = read(serde_json::json!({}));
        assert_eq!(silent.is_for_graph("graph.microsoft.us"), Ok(()));
    }

    #[test]
    fn what_cannot_be_told_of_a_token_is_said() {
        let said = |value: &str| fits_for(value, 5).unwrap().join("; ");
        assert!(said("opaque").contains("is opaque"));
        let nothing = said(&token("{}"));
        for claim in ["(tid)", "(exp)", "(aud)", "(scp)"] {
            assert!(nothing.contains(claim), "{claim}: {nothing}");
        }
        let other = registration(9_000, "scp", "User.Read".into());
        assert!(said(&other).contains("no user_impersonation"));
        // Nothing that steers a terminal comes out of a claim.
        let evil = registration(9_000, "aud", "a\u{1b}[2Jb".into());
        assert!(!said(&evil).contains('\u{1b}'));
    }

    #[test]
    fn of_a_password_nothing_is_read() {
        let wanted = SecretKind::TenantCredential {
            tenant: MINE.parse().unwrap(),
        };
        let secret = Secret {
            user: "admin@contoso.com".to_owned(),
            value: registration(1, "tid", OTHER.into()),
        };
        let now = Timestamp::from_millis(1_000_000);
        assert_eq!(
            wanted.fits_for(&secret, now, Duration::ZERO),
            Ok(Vec::new())
        );
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
