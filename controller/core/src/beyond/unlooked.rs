//! Where nobody has looked for servers: what is found is as complete as who was asked.

use std::collections::{BTreeMap, BTreeSet};

use protocol::step::Step;
use protocol::{DomainName, TargetId, TenantId, Timestamp};

use crate::plan::Plan;
use crate::tenant::Read;

/// Where a plan that asks for servers leaves somebody unasked, a sentence each: domains of its groups and entries, by when each directory was `asked` last and
/// by whom, and their tenants, by when each was `read` last.
#[must_use]
pub fn unlooked(
    plan: &Plan,
    asked: &[(DomainName, Timestamp, TargetId)],
    read: &BTreeMap<TenantId, Read>,
) -> Vec<String> {
    const NOBODY: &str = "of the servers that are in it or work for it none is enrolled, has reported its facts and was not said to be off";
    let phases = plan.targets.values().flat_map(|part| &part.phases);
    let steps = phases.flat_map(|phase| &phase.steps);
    let asks: BTreeSet<&DomainName> = steps
        .filter_map(|step| {
            if let Step::DiscoverServers(asks) = step {
                Some(&asks.domains)
            } else {
                None
            }
        })
        .flatten()
        .collect();
    let covered = plan.lanes.values().flat_map(|lane| &lane.covers);
    let covered: BTreeSet<&DomainName> = covered.collect();
    let of_domain = |domain: &DomainName| {
        let last = asked.iter().find(|(name, ..)| name == domain);
        match (last, asks.contains(domain)) {
            (Some(_), true) => None,
            (Some((_, at, by)), false) => Some(format!(
                "{domain}: nobody asks its directory now: {NOBODY}; what is listed of it is as {by} read it at {at}"
            )),
            (None, true) => Some(format!("{domain}: no agent has read its directory")),
            (None, false) => Some(format!(
                "{domain}: no agent has read its directory, and none can now: {NOBODY}"
            )),
        }
    };
    let mut words: Vec<String> = covered.into_iter().filter_map(of_domain).collect();
    let lanes = plan.lanes.values();
    let tenants: BTreeSet<(&str, &TenantId)> = lanes
        .map(|lane| (lane.tenant_name.as_str(), &lane.tenant))
        .collect();
    let never = tenants.iter().filter(|(_, id)| !read.contains_key(*id));
    words.extend(never.map(|(name, id)| {
        format!(
            "tenant {name} ({id}): it was never read, so whoever is named by its agents, accounts and applications alone is not listed: entrain tenant read {name} TOPOLOGY"
        )
    }));
    words
}
