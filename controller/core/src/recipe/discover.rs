//! Which server asks which directories for servers: one for each domain, which is in it or works for it.

use std::collections::{BTreeMap, BTreeSet};

use protocol::signed::Phase;
use protocol::step::{DiscoverServers, Step};
use protocol::{DomainName, GmsaName, TargetId};

use crate::facts::Fleetwide;
use crate::recipe::{Answer, PhaseWork};
use crate::topology::Topology;

/// What each server that asks is to ask.
pub(crate) type Askers = BTreeMap<TargetId, DiscoverServers>;

/// Who asks what: a server of the domain itself before one that only works for it, else nobody.
pub(crate) fn askers(topology: &Topology, known: &Fleetwide, off: &BTreeSet<TargetId>) -> Askers {
    let mut askers = Askers::new();
    let targets = topology.targets();
    for domain in topology.covered_domains() {
        let Some(target) = asker(&domain, topology, &targets, (known, off)) else {
            continue;
        };
        let asks = askers.entry(target).or_insert_with(|| DiscoverServers {
            domains: Vec::new(),
            preferred_dcs: BTreeMap::new(),
            accounts: accounts(topology),
        });
        let preferred = topology.domains.get(&domain);
        let preferred = preferred.map(|written| written.preferred_dcs.clone());
        if let Some(preferred) = preferred.filter(|all| !all.is_empty()) {
            asks.preferred_dcs.insert(domain.clone(), preferred);
        }
        asks.domains.push(domain);
    }
    askers
}

fn asker(
    domain: &DomainName,
    topology: &Topology,
    targets: &BTreeSet<TargetId>,
    (known, off): (&Fleetwide, &BTreeSet<TargetId>),
) -> Option<TargetId> {
    let groups = topology.agents.values().filter(|group| {
        let mut served = group.serves.iter();
        served.any(|(served, _)| served == domain)
    });
    let hosts = groups.flat_map(|group| group.hosts.iter().map(|(host, _)| host));
    let entries = topology.connect.values().filter(|entry| {
        let mut forests = entry.forests.iter();
        forests.any(|(forest, _)| forest == domain)
    });
    let servers = entries.flat_map(|entry| entry.members());
    let work_for_it = hosts.chain(servers).cloned().collect::<Vec<_>>();
    let home = |target: &TargetId| {
        let facts = known.get(target)?.facts.as_ref();
        let told = facts.and_then(|(_, facts)| facts.host.domain.clone());
        told.or_else(|| target.home_domain())
    };
    // One that was said to be off is asked nothing until it was seen again.
    let answers = |target: &TargetId| {
        let reported = known.get(target).is_some_and(|known| known.facts.is_some());
        reported && !off.contains(target)
    };
    let mut own = targets.iter().filter(|target| answers(target));
    let in_it = own.find(|target| home(target).as_ref() == Some(domain));
    let works = || {
        let mut works = work_for_it.into_iter();
        works.find(|target| answers(target))
    };
    in_it.cloned().or_else(works)
}

fn accounts(topology: &Topology) -> Vec<GmsaName> {
    let named = topology
        .agents
        .values()
        .filter_map(|group| group.gmsa.clone());
    let mut named: Vec<GmsaName> = named.collect();
    named.sort();
    named.dedup();
    named
}

/// What one server is to ask.
pub(crate) fn answer(askers: &Askers, target: &TargetId) -> Answer {
    let Some(asks) = askers.get(target) else {
        return Answer::Nothing("another server asks".to_owned());
    };
    let names: Vec<&str> = asks.domains.iter().map(DomainName::as_str).collect();
    let why = format!(
        "it asks the directory of {}; nothing is changed",
        names.join(", ")
    );
    Answer::Do {
        phases: vec![PhaseWork {
            phase: Phase::Inspect,
            steps: vec![Step::DiscoverServers(asks.clone())],
            artifacts: Vec::new(),
        }],
        why: vec![why],
        people: Vec::new(),
    }
}
