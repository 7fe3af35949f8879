//! What was seen beyond the servers' own facts: in tenants, by whoever read them; in directories, by agents that asked.

use std::collections::BTreeMap;

use protocol::event::DiscoveredServer;
use protocol::step::Product;
use protocol::{DomainName, TargetId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::tenant::{Seen, Tenants};

/// What a domain's directory showed when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectorySeen {
    /// When it was told.
    pub at: Timestamp,
    /// Which server asked.
    pub by: TargetId,
    /// Servers that it names.
    pub servers: Vec<DiscoveredServer>,
    /// What could not be read, each a sentence.
    pub unread: Vec<String>,
}

/// Directories as they were last asked, by domain.
pub type Directories = BTreeMap<DomainName, DirectorySeen>;

/// Everything of that kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Tenants.
    pub tenants: Tenants,
    /// Directories.
    pub directories: Directories,
}

/// Whether a name of a directory or a tenant is that server: the whole name, or its first label where there is no more. A
/// NetBIOS name has the first 15 signs of it ([K]).
#[must_use]
pub fn is(name: &str, target: &TargetId) -> bool {
    let whole = target.as_str();
    if name.contains('.') {
        return whole.eq_ignore_ascii_case(name);
    }
    let first = whole.split('.').next().unwrap_or_default();
    let netbios = first.get(..15).unwrap_or(first);
    [first, netbios]
        .iter()
        .any(|own| own.eq_ignore_ascii_case(name))
}

impl Beyond {
    /// Takes up what was seen in a tenant. What was seen later stands; and what a narrower look did not see, and does not change
    /// by the hour, stays as it was seen before.
    pub(crate) fn saw(&mut self, mut seen: Seen) {
        if let Some(before) = self.tenants.get(&seen.observation.tenant) {
            let before = &before.observation;
            if before.at > seen.observation.at {
                return;
            }
            let now = &mut seen.observation;
            if now.organization.seen().is_none() && before.organization.seen().is_some() {
                now.organization = before.organization.clone();
            }
            if now.domains.seen().is_none() && before.domains.seen().is_some() {
                now.domains = before.domains.clone();
            }
        }
        self.tenants.insert(seen.observation.tenant.clone(), seen);
    }

    /// Servers that the directories of these forests name as Connect servers and that are none of those: each with what shows
    /// it and when. Whether one of them is active cannot be told (guard rail G1).
    #[must_use]
    pub fn strange_connect<'a>(
        &'a self,
        forests: &[DomainName],
        known: impl Fn(&str) -> bool,
    ) -> Vec<(&'a str, String)> {
        let within = |domain: &DomainName| forests.iter().any(|forest| domain.is_within(forest));
        let seen = self.directories.iter().filter(|(domain, _)| within(domain));
        let servers = seen.flat_map(|(domain, seen)| {
            let connect = seen.servers.iter();
            let connect = connect.filter(|server| server.product == Product::Connect);
            connect.map(move |server| {
                let shown = format!("{} in {domain}, read at {}", server.source, seen.at);
                (server.name.as_str(), shown)
            })
        });
        servers.filter(|(name, _)| !known(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_a_servers_first_label_and_a_long_one_its_whole() {
        let target: TargetId = "s1.a.test".parse().unwrap();
        assert!(is("S1", &target) && is("s1.A.test", &target));
        assert!(!is("s1.b.test", &target) && !is("s2", &target));
        let long: TargetId = "amsterdam-sync-01.a.test".parse().unwrap();
        assert!(is("AMSTERDAM-SYNC-", &long) && is("amsterdam-sync-01", &long));
        assert!(!is("amsterdam-sync", &long));
    }
}
