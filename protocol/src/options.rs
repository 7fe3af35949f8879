//! Options of the provisioning agent's service that lie in its own configuration file and registry key: what the topology
//! owns of them, and what a server says of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Says why a text is no address of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the address of a proxy, such as http://proxy.contoso.com:8080")]
pub struct BadProxy(String);

/// An HTTP proxy, as `http://host:port` in lower case. Nothing else may stand in it: no user, no path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProxyAddress(String);

impl ProxyAddress {
    /// The address, in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProxyAddress {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let bad = || BadProxy(text.chars().take(80).collect());
        let normal = text.to_ascii_lowercase();
        let rest = normal.strip_prefix("http://").ok_or_else(bad)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(bad)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        let is_host = (1..=253).contains(&host.len()) && host.bytes().all(allowed);
        let port: u16 = port.parse().map_err(|_| bad())?;
        if !is_host || port == 0 {
            return Err(bad());
        }
        Ok(Self(format!("http://{host}:{port}")))
    }
}

impl TryFrom<String> for ProxyAddress {
    type Error = BadProxy;

    fn try_from(text: String) -> Result<Self, BadProxy> {
        text.parse()
    }
}

impl From<ProxyAddress> for String {
    fn from(address: ProxyAddress) -> Self {
        address.0
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Options that the topology owns (product facts 1.7). What is not named is left as it is on the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceOptions {
    /// Proxy of the service, in its configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyAddress>,
    /// True when the service is to be excepted from the FIPS policy, in its configuration file: password hashes need it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fips_exempt: bool,
    /// `LdapConnectionTimeoutInMilliseconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap_timeout_millis: Option<u32>,
    /// True when `ReferralChasingOptions` is to be 96.
    #[serde(default, skip_serializing_if = "is_false")]
    pub referral_chasing: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl ServiceOptions {
    /// Whether nothing is owned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of these is otherwise on a server, each in a few words.
    #[must_use]
    pub fn lacking(&self, seen: &Self) -> Vec<String> {
        let mut lacking = Vec::new();
        if let Some(proxy) = &self.proxy
            && seen.proxy.as_ref() != Some(proxy)
        {
            lacking.push(format!("proxy {proxy}"));
        }
        if self.fips_exempt && !seen.fips_exempt {
            lacking.push("exception from the FIPS policy".to_owned());
        }
        if let Some(millis) = self.ldap_timeout_millis
            && seen.ldap_timeout_millis != Some(millis)
        {
            lacking.push(format!("LDAP timeout of {millis} ms"));
        }
        if self.referral_chasing && !seen.referral_chasing {
            lacking.push("referral chasing".to_owned());
        }
        lacking
    }
}

impl fmt::Display for ServiceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.lacking(&Self::default());
        if words.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_a_port_and_nothing_else() {
        let proxy: ProxyAddress = "HTTP://Proxy.Contoso.com:8080/".parse().unwrap();
        assert_eq!(proxy.as_str(), "http://proxy.contoso.com:8080");
        for bad in [
            "proxy.contoso.com:8080",
            "https://proxy.contoso.com:8080",
            "http://proxy.contoso.com",
            "http://proxy.contoso.com:0",
            "http://user:word@proxy.contoso.com:8080",
            "http://proxy.contoso.com:8080/path",
            "http://pro\"xy:8080",
            "http://:8080",
        ] {
            assert!(bad.parse::<ProxyAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_owned_is_not_missed() {
        let seen = ServiceOptions {
            ldap_timeout_millis: Some(60_000),
            ..ServiceOptions::default()
        };
        assert!(ServiceOptions::default().lacking(&seen).is_empty());
        let wanted = ServiceOptions {
            referral_chasing: true,
            ldap_timeout_millis: Some(30_000),
            ..ServiceOptions::default()
        };
        assert_eq!(
            wanted.lacking(&seen),
            ["LDAP timeout of 30000 ms", "referral chasing"]
        );
    }
}
