//! The parts of the hosts of provisioning agents.

use std::collections::BTreeMap;

use protocol::facts::ProvisioningAgentFacts;
use protocol::step::{Product, Step};
use protocol::{DomainName, TargetId};

use crate::facts::Fleetwide;
use crate::plan::build::forests::{earliest, unverified};
use crate::plan::build::{Inputs, Member, NEVER_REPORTED, Purpose, READINESS, inspection, part};
use crate::plan::{TargetPlan, lane};
use crate::recipe::discover::Askers;
use crate::recipe::restart::Rule;
use crate::recipe::{Answer, agent, cloud_sync, discover, removal, support};
use crate::topology::{AgentGroup, Topology};
use crate::tunables;

pub(super) fn agents(
    inputs: Inputs<'_>,
    askers: &Askers,
    targets: &mut BTreeMap<TargetId, TargetPlan>,
    members: &mut BTreeMap<TargetId, Member>,
) {
    let Inputs {
        topology,
        known,
        artifacts,
        purpose,
        ..
    } = inputs;
    for (name, group) in &topology.agents {
        let Some(tenant) = topology.tenants.get(&group.tenant.value) else {
            continue;
        };
        let stay = group.hosts.iter().map(|(host, _)| (host, false));
        let leave = group.retired.iter().map(|(host, _)| (host, true));
        for (host, leaves) in stay.chain(leave) {
            let known = known.get(host);
            let facts = inputs.reported(host);
            let answer = match (facts, purpose) {
                _ if let Some(answer) = inputs.unanswerable(host) => answer,
                // Whatever is on the server, and whether it could be read.
                (_, Purpose::Agents) => agent::answer(inputs.roster, inputs.release, host),
                (None, _) => Answer::Nothing(NEVER_REPORTED.to_owned()),
                (Some(_), Purpose::Discover) => discover::answer(askers, host),
                (Some(facts), Purpose::Support) => support::answer(tenant, facts),
                (Some(facts), Purpose::Install) if leaves => {
                    let mut answer = removal::answer(topology, group, tenant, host, facts);
                    let site = group.site.as_ref();
                    let rule = Rule::of(topology, inputs.policy, site, host, facts);
                    rule.into_iter().for_each(|rule| rule.put_into(&mut answer));
                    answer
                }
                (Some(facts), Purpose::Verify) if leaves => {
                    match removal::verification(topology, group, host, facts) {
                        Ok(steps) => inspection(steps, "verified; nothing is changed"),
                        Err(why) => Answer::Nothing(why),
                    }
                }
                (Some(_), Purpose::Preflight) if leaves => {
                    Answer::Nothing("it is retired: there is nothing to be ready for".to_owned())
                }
                (Some(facts), Purpose::Install) => {
                    let before = cloud_sync::Before {
                        serving: known.and_then(|known| known.domains.as_ref()),
                        owes: known.is_some_and(|known| known.owes),
                        given: inputs.beyond.given.get(host),
                    };
                    let mut answer = cloud_sync::answer(
                        (topology, &inputs.beyond.suffixes),
                        group,
                        tenant,
                        host,
                        facts,
                        &before,
                        artifacts,
                    );
                    let site = group.site.as_ref();
                    let rule = Rule::of(topology, inputs.policy, site, host, facts);
                    rule.into_iter().for_each(|rule| rule.put_into(&mut answer));
                    answer
                }
                (Some(facts), Purpose::Verify) => {
                    let newest = artifacts.get(&protocol::step::Product::ProvisioningAgent);
                    let newest = newest.map(|newest| newest.version);
                    let steps =
                        cloud_sync::verification(topology, group, tenant, host, facts, newest);
                    inspection(steps, "verified; nothing is changed")
                }
                (Some(facts), Purpose::Preflight) => {
                    let read = (topology, &inputs.beyond.suffixes);
                    match cloud_sync::readiness(read, group, tenant, host, facts) {
                        Ok(steps) => inspection(steps, READINESS),
                        Err(why) => Answer::Nothing(why),
                    }
                }
            };
            let domains = group
                .serves
                .iter()
                .map(|(domain, _)| domain.clone())
                .collect();
            let mut part = part(
                tenant.id.clone(),
                known,
                lane::of_group(name),
                domains,
                answer,
            );
            part.assume(purpose);
            if part.registers()
                && let Some(facts) = facts
                && let Ok(home) = cloud_sync::home_of(host, facts)
            {
                part.people.push(earliest(inputs.beyond, &home));
                let seen = inputs.beyond.tenants.get(&tenant.id);
                for (domain, _) in &group.serves {
                    part.why.extend(unverified(inputs.beyond, domain, seen));
                }
            }
            part.site = group.site.as_ref().map(|site| site.value.clone());
            part.soak(inputs.policy.soak.seconds(Product::ProvisioningAgent));
            // Who adds to those that serve goes before who is taken out of service for its upgrade: that may need them (G2).
            let serves = facts
                .and_then(|facts| facts.provisioning_agent.as_ref())
                .is_some_and(ProvisioningAgentFacts::serves);
            let last = serves && !part.is_read_only();
            targets.insert(host.clone(), part);
            members.insert(
                host.clone(),
                Member {
                    lane: lane::of_group(name),
                    labels: group.labels.clone(),
                    domains: group.serves.iter().map(|(name, _)| name.clone()).collect(),
                    last,
                    leaves,
                },
            );
        }
    }
}

/// Domains whose agents have different registry options that nobody wrote down (PV17).
pub(super) fn unequal(topology: &Topology, known: &Fleetwide) -> Vec<String> {
    let domains = |group: &AgentGroup| -> Vec<DomainName> {
        group.serves.iter().map(|(name, _)| name.clone()).collect()
    };
    let groups: Vec<(&AgentGroup, Vec<DomainName>)> = topology
        .agents
        .values()
        .map(|group| (group, domains(group)))
        .collect();
    let agents = groups.iter().flat_map(|(group, domains)| {
        group.hosts.iter().filter_map(move |(target, _)| {
            let (_, facts) = known.get(target)?.facts.as_ref()?;
            let agent = facts.provisioning_agent.as_ref()?;
            let there = agent.is_there();
            let seen = agent.options.as_ref().filter(|_| there)?;
            Some(tunables::Agent {
                target,
                domains,
                owned: &group.options,
                seen,
            })
        })
    });
    let all = tunables::unequal(agents);
    all.iter().map(tunables::Unequal::sentence).collect()
}

/// Agents that somebody else registered, and that are upgraded or taken off: what they serve is not known, or what beside the domains that
/// Entrain has added, and Entrain sees it nowhere.
pub(super) fn strange(known: &Fleetwide, targets: &BTreeMap<TargetId, TargetPlan>) -> Vec<String> {
    let touched = |part: &TargetPlan| {
        let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
        steps.any(|step| {
            matches!(
                step,
                Step::InstallProvisioningAgent(_) | Step::RemoveProvisioningAgent(_)
            )
        })
    };
    let unknown = |target: &TargetId| {
        let known = known.get(target)?;
        let (_, facts) = known.facts.as_ref()?;
        let agent = facts.provisioning_agent.as_ref()?;
        let own = known.owes || agent.owes_registration.is_some();
        let strange = known.untold || known.domains.is_none() && !own;
        let some = known.domains.as_ref().is_some_and(|all| !all.is_empty());
        (strange && agent.is_configured()).then_some(some)
    };
    let of = |some: bool| -> Vec<&str> {
        let all = targets
            .iter()
            .filter(|(target, part)| touched(part) && unknown(target) == Some(some));
        all.map(|(target, _)| target.as_str()).collect()
    };
    let all = [(of(false), "what"), (of(true), "what else")];
    let all = all.into_iter().filter(|(names, _)| !names.is_empty());
    all.map(|(names, what)| {
        format!(
            "{}: registered by somebody else, so {what} is served there is not known; it may be HR or on-premises applications too. Before the upgrade or removal look in the portal: Cloud sync, Agents, and the enterprise applications that provision through an agent. What is served there stands still meanwhile",
            names.join(", ")
        )
    })
    .collect()
}
