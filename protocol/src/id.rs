//! Typed names and numbers. A bare string or integer never stands for one of these.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Says why a text is no such id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not {wanted}")]
pub struct BadId {
    text: String,
    wanted: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $wanted:literal, $normalize:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of this id, in its normal form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let normalize: fn(&str) -> Option<String> = $normalize;
                normalize(text)
                    .map(Self)
                    .ok_or_else(|| BadId { text: text.chars().take(80).collect(), wanted: $wanted })
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A Microsoft Entra tenant, by its GUID in lower case.
    TenantId,
    "a tenant id (a GUID such as 3f0c8a4e-0000-0000-0000-000000000000)",
    guid
);
text_id!(
    /// One server, by its fully qualified DNS name in lower case.
    TargetId,
    "a fully qualified DNS name such as ams-sync-01.corp.contoso.com",
    dns_name
);
text_id!(
    /// An Active Directory domain, by its DNS name in lower case.
    DomainName,
    "a DNS domain name such as corp.contoso.com",
    dns_name
);
text_id!(
    /// A group managed service account, by its sAMAccountName with the trailing `$`.
    GmsaName,
    "a gMSA name of at most 15 characters and a trailing $, such as svcEntraSync$",
    gmsa_name
);

text_id!(
    /// A cloud, as `ENVIRONMENTNAME` of the provisioning agent's setup names it (product facts 1.2).
    EnvironmentName,
    "the name of a cloud, of at most 32 letters and digits, such as AzureCloud",
    environment_name
);

impl TargetId {
    /// The domain part of the server's name: where its computer account is expected.
    #[must_use]
    pub fn home_domain(&self) -> Option<DomainName> {
        self.0
            .split_once('.')
            .and_then(|(_, domain)| domain.parse().ok())
    }
}

impl DomainName {
    /// Tells whether this domain is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self == other
            || self
                .0
                .strip_suffix(&other.0)
                .is_some_and(|rest| rest.ends_with('.'))
    }
}

fn guid(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hex = groups
        .iter()
        .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    (lengths == [8, 4, 4, 4, 12] && hex).then(|| text.to_ascii_lowercase())
}

fn dns_name(text: &str) -> Option<String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let well_formed = text.len() <= 253 && text.contains('.') && text.split('.').all(label);
    well_formed.then(|| text.to_ascii_lowercase())
}

fn gmsa_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('$')?;
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'.';
    ((1..=15).contains(&name.len()) && name.bytes().all(allowed)).then(|| text.to_owned())
}

/// It stands on a command line: nothing in it could begin another argument.
fn environment_name(text: &str) -> Option<String> {
    let allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ((1..=32).contains(&text.len()) && allowed).then(|| text.to_owned())
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number_id!(
    /// Number of a target's bundles; it only grows.
    Generation, u64, ""
);
number_id!(
    /// Number of a rollout at its controller, shown as `r7`.
    RolloutId, u32, "r"
);
number_id!(
    /// Place of a step in its bundle, from 0.
    StepIndex, u16, ""
);
number_id!(
    /// Which try of a step this is, from 1.
    Attempt, u16, ""
);
number_id!(
    /// One life of a log or journal: a new one begins when the old one was lost or restored.
    Epoch, u64, ""
);
impl Epoch {
    /// The epoch of a new log or journal, from the operating system's randomness: a new one, or a clone's, never has the old one's.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    #[must_use]
    pub fn by_chance() -> Self {
        // It stands in records, whose JSON operators read with SQL: whole numbers have a sign there, and one above that loses digits.
        Self(chance() >> 1)
    }
}

/// Any number, from the operating system's randomness.
///
/// # Panics
/// When the operating system has no randomness to give.
#[must_use]
pub fn chance() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives randomness");
    u64::from_le_bytes(bytes)
}

number_id!(
    /// Place of an event in a journal, from 1; 0 means "none yet".
    EventIndex, u64, ""
);

impl FromStr for RolloutId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let digits = text.strip_prefix('r').unwrap_or(text);
        let bad = |_| BadId {
            text: text.chars().take(80).collect(),
            wanted: "a rollout such as r7",
        };
        digits.parse().map(Self).map_err(bad)
    }
}

macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

digest_id!(
    /// The SHA-256 digest of a public key: who somebody is.
    Fingerprint
);
digest_id!(
    /// The digest of a bundle's signed bytes.
    BundleId
);
digest_id!(
    /// The digest of a stored plan.
    PlanId
);

impl GmsaName {
    /// The gMSA that an account of a service names, such as `CORP\svcSync$`; none where it is no gMSA.
    #[must_use]
    pub fn of_account(account: &str) -> Option<Self> {
        account.rsplit('\\').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_lower_case() {
        let target: TargetId = "AMS-Sync-01.Corp.Contoso.com".parse().unwrap();
        assert_eq!(target.as_str(), "ams-sync-01.corp.contoso.com");
        assert_eq!(target.home_domain().unwrap().as_str(), "corp.contoso.com");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in ["", "single", "a..b", "-a.b", "a b.c", "a.b;calc.exe"] {
            assert!(bad.parse::<TargetId>().is_err(), "{bad}");
        }
        assert!("svcEntraSync".parse::<GmsaName>().is_err());
        let own: GmsaName = "svcSync$".parse().unwrap();
        assert_eq!(GmsaName::of_account(r"CORP\svcSync$"), Some(own));
        assert_eq!(GmsaName::of_account("LocalSystem"), None);
        assert!("3f0c8a4e".parse::<TenantId>().is_err());
    }

    #[test]
    fn a_child_domain_lies_within_its_parent() {
        let parent: DomainName = "contoso.com".parse().unwrap();
        let child: DomainName = "emea.contoso.com".parse().unwrap();
        let other: DomainName = "notcontoso.com".parse().unwrap();
        assert!(child.is_within(&parent));
        assert!(!other.is_within(&parent));
    }
}
