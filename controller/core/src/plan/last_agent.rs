//! What stands before the last provisioning agent of a domain goes: its configuration in the tenant is disabled first, or takes nothing any
//! more (product facts 1.10, 1.12).

use std::collections::{BTreeMap, BTreeSet};

use protocol::facts::ProvisioningAgentFacts;
use protocol::{DomainName, TargetId, TenantId};

use crate::beyond::Beyond;
use crate::facts::{Fleetwide, Known};
use crate::plan::{Plan, TargetPlan};
use crate::tenant::{Part, Read, Seen, Units};

/// Servers of a tenant on which an agent is registered with it and stays, of whichever topology.
fn staying<'a>(
    known: &'a Fleetwide,
    targets: &BTreeMap<TargetId, TargetPlan>,
    (tenant, leaving): (&TenantId, &BTreeSet<TargetId>),
) -> impl Iterator<Item = (&'a TargetId, &'a Known)> {
    known.iter().filter(move |(target, known)| {
        let facts = known.facts.as_ref();
        let agent = facts.and_then(|(_, facts)| facts.provisioning_agent.as_ref());
        let own = |agent: &&ProvisioningAgentFacts| agent.tenant.as_ref() == Some(tenant);
        agent
            .filter(own)
            .is_some_and(ProvisioningAgentFacts::is_there)
            && !leaving.contains(*target)
            && targets.get(*target).is_none_or(|part| !part.retires())
    })
}

/// Who may serve a domain besides those of whom it is known: those that stay and of which it is not known what they serve, or what beside
/// that (somebody else or a person at the wizard registered them), and whoever the tenant lists as active and nobody here knows.
pub(super) fn untold(
    (known, beyond): (&Fleetwide, &Beyond),
    targets: &BTreeMap<TargetId, TargetPlan>,
    tenant: &TenantId,
    leaving: &BTreeSet<TargetId>,
) -> Vec<String> {
    let all = staying(known, targets, (tenant, leaving)).filter(|(_, known)| !known.tells_all());
    let mut all: Vec<String> = all.map(|(target, _)| target.to_string()).collect();
    let seen = beyond.tenants.get(tenant);
    all.extend(seen.into_iter().flat_map(|seen| {
        let strange = seen.observation.unknown_agents(known.keys());
        strange.map(|agent| format!("{} (listed by the tenant)", agent.machine))
    }));
    all
}

/// Whether an agent serves the domain that does not go: what the tenant has for it is meant then.
fn goes_on(
    (known, beyond): (&Fleetwide, &Beyond),
    targets: &BTreeMap<TargetId, TargetPlan>,
    (tenant, domain, leaving): (&TenantId, &DomainName, &[TargetId]),
) -> bool {
    let leaving: BTreeSet<TargetId> = leaving.iter().cloned().collect();
    let mut stay = staying(known, targets, (tenant, &leaving));
    stay.any(|(_, known)| {
        known
            .domains
            .as_ref()
            .is_some_and(|all| all.contains(domain))
    }) || !untold((known, beyond), targets, tenant, &leaving).is_empty()
}

/// What the last agent of a domain waits for: the order in which a domain ends has its configuration disabled first (product facts 1.12),
/// and a job whose calls fail is quarantined (1.13 [P]). `None` where none is at work as they were seen last, where nobody has seen them (which whoever
/// accepted the act was told), and where another agent may serve the domain. A reading that is shown less says nothing of them.
pub(crate) fn still_configured(
    plan: &Plan,
    target: &TargetId,
    known: &Fleetwide,
    beyond: &Beyond,
) -> Option<String> {
    let part = plan.targets.get(target)?;
    let facts = known.get(target)?.facts.as_ref();
    let agent = facts.and_then(|(_, facts)| facts.provisioning_agent.as_ref());
    // What nothing works of any more serves nobody.
    if !part.retires() || part.is_read_only() || !agent?.is_there() {
        return None;
    }
    let tenant = &plan.lanes.get(&part.lane)?.tenant_name;
    let all = beyond.configured.get(&part.tenant)?;
    let ends = plan
        .domains
        .iter()
        .filter(|(_, service)| service.servers.is_empty() && service.leaving.contains(target));
    ends.into_iter().find_map(|(domain, service)| {
        let own = all.iter().filter(|(_, one)| one.is_of(domain));
        let mut jobs = own.flat_map(|(read, one)| one.at_work(read.at).map(move |job| (read, one, job)));
        let (Read { at, by }, one, job) = jobs.next()?;
        let of = (&part.tenant, domain, service.leaving.as_slice());
        (!goes_on((known, beyond), &plan.targets, of)).then(|| {
            format!(
                "configuration {} of {domain} is still at work, as {by} read tenant {tenant} at {at} ({} is {}): without an agent its calls fail, and it is quarantined (G10); whoever runs the tenant disables it, with its scope emptied before where what it synchronized is to go; then `entrain tenant read {tenant}` lifts it, by an account that is shown its jobs",
                one.name, job.template, job.status
            )
        })
    })
}

/// What whoever runs the tenant does before, and what is seen of that.
pub(super) fn before(domain: &DomainName, seen: Option<&Seen>) -> String {
    format!(
        "before that, whoever runs the tenant disables the configuration of {domain}, or empties its scope first where what it synchronized is to go: to delete it removes nothing of that; {}",
        stands(domain, seen)
    )
}

/// How the configuration stands, as the tenant was read last.
fn stands(domain: &DomainName, seen: Option<&Seen>) -> String {
    let Some(Seen { observation, by }) = seen else {
        return "not seen in tenant: nobody has read it".to_owned();
    };
    let at = observation.at;
    let all = match &observation.configurations {
        Part::Seen(all) => all,
        Part::NotSeen(why) => {
            return format!("not seen in tenant, as {by} read it at {at}: {why}");
        }
    };
    let own = all.iter().filter(|one| one.is_of(domain));
    let told: Vec<String> = own
        .map(|one| match (&one.units, &one.jobs) {
            (Part::Seen(Units::Nothing), _) => format!("{} takes nothing any more", one.name),
            (_, Part::Seen(jobs)) if jobs.is_empty() => format!("{} has no job", one.name),
            (_, Part::Seen(jobs)) => {
                let jobs = jobs
                    .iter()
                    .map(|job| format!("{} is {}", job.template, job.status));
                let jobs: Vec<String> = jobs.collect();
                format!("{}: {}", one.name, jobs.join(", "))
            }
            (_, Part::NotSeen(why)) => format!("what {} does is not seen: {why}", one.name),
        })
        .collect();
    let told = if told.is_empty() {
        "no configuration of it".to_owned()
    } else {
        told.join("; ")
    };
    format!("as {by} read the tenant at {at}: {told}")
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;

    use super::*;
    use crate::tenant::{Configuration, Job, Observation};

    #[test]
    fn how_the_configuration_of_a_domain_that_ends_stands_is_told_as_it_was_read() {
        let domain: DomainName = "a.test".parse().unwrap();
        let tenant = "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap();
        let at = Timestamp::from_millis(1_790_000_000_000);
        let job = Job {
            template: "AD2AADProvisioning".to_owned(),
            status: "Active".to_owned(),
            quarantined: false,
            last_success: None,
        };
        let of = |name: &str, units: Units, jobs: Vec<Job>| Configuration {
            name: name.to_owned(),
            jobs: Part::Seen(jobs),
            domain: Part::Seen(name.to_owned()),
            guard: Part::Seen(None),
            units: Part::Seen(units),
        };
        let told = |all: Option<Vec<Configuration>>| {
            let mut observation = Observation::unseen_all(&tenant, at, "it is not allowed");
            if let Some(all) = all {
                observation.configurations = Part::Seen(all);
            }
            let by = "anna".to_owned();
            before(&domain, Some(&Seen { observation, by }))
        };
        for (all, said) in [
            (None, "it is not allowed"),
            (Some(Vec::new()), "no configuration of it"),
            (
                Some(vec![of("b.test", Units::Whole, vec![job.clone()])]),
                "no configuration of it",
            ),
            (
                Some(vec![of("A.TEST", Units::Whole, vec![job.clone()])]),
                "A.TEST: AD2AADProvisioning is Active",
            ),
            (
                Some(vec![of("a.test", Units::Nothing, vec![job])]),
                "a.test takes nothing any more",
            ),
        ] {
            let words = told(all);
            assert!(words.contains(said), "{said}: {words}");
        }
        assert!(before(&domain, None).contains("nobody has read it"));
    }
}
