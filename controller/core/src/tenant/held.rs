//! What an observation of a tenant shows, held against what the fleet reports: the probes that neither answers alone (PV11 to PV14,
//! PV36, RM08), and what stands out beside them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::{Finding, Verdict};
use protocol::facts::ServiceState;
use protocol::known::{KE13, KE17};
use protocol::probe::controller as catalogue;
use protocol::{DomainName, TargetId};
use serde::{Deserialize, Serialize};

use super::access::{AGENTS, APPLICATIONS, DOMAINS, ORGANIZATION};
use super::listed::Listed;
use super::{Configuration, Health, JOB, Kept, Observation, Part};
use crate::facts::Fleetwide;

/// The job that synchronizes password hashes (1.8 [P]).
const HASHES: &str = "AD2AADPasswordHash";

/// How many active agents a domain has at least (PV12).
const LEAST: usize = 2;

/// A remark on what a tenant showed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remark {
    /// The probe: those of section 6 of the product facts, or `TN` for Entrain's own.
    pub id: String,
    /// What is so.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// Servers whose agents are registered with the tenant, and the domains that they serve, where that is known.
type Registered<'a> = BTreeMap<&'a TargetId, Option<&'a BTreeSet<DomainName>>>;

fn registered<'a>(seen: &Observation, known: &'a Fleetwide) -> Registered<'a> {
    let own = known.iter().filter(|(_, known)| {
        let facts = known.facts.as_ref().map(|(_, facts)| facts);
        let agent = facts.and_then(|facts| facts.provisioning_agent.as_ref());
        agent.is_some_and(|agent| {
            let there = agent.is_there();
            there && agent.tenant.as_ref() == Some(&seen.tenant)
        })
    });
    own.map(|(target, known)| (target, known.domains.as_ref()))
        .collect()
}

/// The server reports that its agent's service runs.
fn runs(target: &TargetId, known: &Fleetwide) -> bool {
    let facts = known.get(target).and_then(|known| known.facts.as_ref());
    let agent = facts.and_then(|(_, facts)| facts.provisioning_agent.as_ref());
    agent.is_some_and(|agent| agent.service == Some(ServiceState::Running))
}

/// The answers to the probes that take both, a tenant's reading and what servers report. `connect` says whether a server of the tenant
/// is to be its active Connect server, `hashes` of which domains password hashes are to be synchronized.
#[must_use]
pub fn held(
    seen: &Observation,
    known: &Fleetwide,
    connect: bool,
    hashes: &BTreeSet<DomainName>,
) -> Vec<Finding> {
    let ours = registered(seen, known);
    let all: BTreeSet<&TargetId> = known.keys().collect();
    let mut found = Vec::new();
    let mut serving: BTreeMap<&DomainName, usize> = BTreeMap::new();
    // Servers of each domain of which it is not clear whether the tenant lists their agent as active.
    let mut unclear: BTreeMap<&DomainName, Vec<&str>> = BTreeMap::new();
    for (target, domains) in &ours {
        let agent = match &seen.agents {
            Part::Seen(_) => {
                let listed = seen.listed(target, &all);
                match listed.unclear() {
                    Some(why) => Err(format!("{target}: {why}")),
                    None => Ok(listed.once()),
                }
            }
            Part::NotSeen(why) => Err(format!("{target}: {why}")),
        };
        let domains = domains.iter().flat_map(|domains| domains.iter());
        match &agent {
            Ok(Some(agent)) if agent.is_active() => {
                domains.for_each(|domain| *serving.entry(domain).or_default() += 1);
            }
            Ok(_) => {}
            Err(_) => {
                domains.for_each(|domain| unclear.entry(domain).or_default().push(target.as_str()))
            }
        }
        let unlisted = matches!(agent, Ok(None));
        let mut finding = catalogue::PV11.judge_gently(
            agent,
            |agent| match agent {
                Some(agent) => format!("{target}: the tenant calls its agent {}", agent.status),
                None => format!("{target}: the tenant does not list its agent"),
            },
            |agent| agent.is_some_and(super::AgentSeen::is_active),
        );
        // Of one that does not run nobody wonders.
        if unlisted && runs(target, known) {
            finding.fix = format!("{}; {}", KE17.sentence(), finding.fix);
        }
        found.push(finding);
    }
    found.extend(taken_off(seen, known, &all));
    let domains: BTreeSet<&DomainName> = ours.values().flatten().copied().flatten().collect();
    for domain in domains {
        let active = match &seen.agents {
            Part::Seen(_) => {
                let active = serving.get(domain).copied().unwrap_or(0);
                let unclear = unclear.get(domain).map(Vec::as_slice).unwrap_or_default();
                if active < LEAST && active + unclear.len() >= LEAST {
                    Err(format!(
                        "{domain}: {active} active agents in the tenant, and it is not clear which entry is that of {}",
                        unclear.join(", ")
                    ))
                } else {
                    Ok(active)
                }
            }
            Part::NotSeen(why) => Err(format!("{domain}: {why}")),
        };
        found.push(catalogue::PV12.judge_gently(
            active,
            |active| format!("{domain}: {active} active agents in the tenant"),
            |active| *active >= LEAST,
        ));
        found.extend(jobs(seen, domain, hashes.contains(domain)));
    }
    if connect {
        found.push(synchronized(seen));
    }
    found
}

/// PV36. Cloud sync may move that time too: where a job of it has run, a time that is young proves nothing of Connect, and one that is
/// old does.
fn synchronized(seen: &Observation) -> Finding {
    let earlier = seen.earlier.get(&Kept::Organization);
    let of = earlier.map_or_else(String::new, |read| {
        format!(", as it was seen at {}", read.at)
    });
    let last = match &seen.organization {
        Part::Seen(organization) => match organization.last_sync {
            Some(at) if seen.is_lately(at) && seen.cloud_sync_may_have_run() => Err(format!(
                "the tenant's last synchronization: {at}{of}; cloud sync runs there too or its jobs were not seen, and whether it moves that time is not documented"
            )),
            last => Ok(last),
        },
        Part::NotSeen(why) => Err(why.clone()),
    };
    catalogue::PV36.judge_gently(
        last,
        |last| {
            let last = last.map_or_else(|| "never".to_owned(), |at| at.to_string());
            format!("the tenant's last synchronization by Connect: {last}{of}")
        },
        |last| last.is_some_and(|at| seen.is_lately(at)),
    )
}

/// RM08, of each server that reports no agent: where it tells by what the cmdlets left that one was registered with this tenant, or the
/// tenant lists one of its name. A reading that is older than the report says nothing of the time after.
fn taken_off<'a>(
    seen: &'a Observation,
    known: &'a Fleetwide,
    all: &'a BTreeSet<&TargetId>,
) -> impl Iterator<Item = Finding> + 'a {
    known.iter().filter_map(move |(target, known)| {
        let (reported, facts) = known.facts.as_ref()?;
        let agent = facts.provisioning_agent.as_ref();
        if !facts.unread.is_empty() || agent.is_some_and(|agent| !agent.is_removed()) {
            return None;
        }
        let was_ours = agent.is_some_and(|agent| agent.tenant.as_ref() == Some(&seen.tenant));
        let entries = match &seen.agents {
            Part::Seen(_) => Ok(seen.listed(target, all)),
            Part::NotSeen(why) => Err(format!("{target}: {why}")),
        };
        // A name that it shares says nothing of it by itself.
        let own = |agent: &&super::AgentSeen| all.iter().filter(|one| agent.is(one)).count() == 1;
        let is_listed = match &entries {
            Ok(Listed::Once(_)) => true,
            Ok(Listed::Several(agents)) => agents.iter().any(own),
            Ok(Listed::Absent | Listed::Shared(..)) | Err(_) => false,
        };
        if !was_ours && !is_listed {
            return None;
        }
        let gone = known.without_agent().unwrap_or(*reported);
        let entries = entries.and_then(|entries| {
            if seen.at < gone {
                return Err(format!(
                    "{target}: the tenant was read before the server reported that it has no agent"
                ));
            }
            match entries {
                Listed::Absent => Ok(Vec::new()),
                Listed::Once(agent) => Ok(vec![agent]),
                Listed::Several(agents) if agents.iter().any(own) => Ok(agents),
                Listed::Several(_) | Listed::Shared(..) => {
                    let why = entries.unclear().unwrap_or_default();
                    Err(format!("{target}: {why}"))
                }
            }
        });
        Some(catalogue::RM08.judge(
            entries,
            |entries| match entries.as_slice() {
                [] => format!("{target}: the tenant lists no agent of it"),
                [agent] => format!(
                    "{target}: it has no agent, and the tenant lists one, which it calls {}",
                    agent.status
                ),
                several => format!(
                    "{target}: it has no agent, and the tenant lists {} active ones by its name",
                    several.len()
                ),
            },
            Vec::is_empty,
        ))
    })
}

/// PV13 and PV14, of one domain. A job that is not there has no health. `wanted` says whether its password hashes are to be
/// synchronized.
fn jobs(seen: &Observation, domain: &DomainName, wanted: bool) -> Vec<Finding> {
    let (exists, health) = (&catalogue::PV13, &catalogue::PV14);
    let fails = |read: String| exists.finding(read, Verdict::Fail);
    let configuration: &Configuration = match (&seen.configurations, seen.configuration(domain)) {
        (Part::NotSeen(why), _) => {
            let why = format!("{domain}: {why}");
            return vec![exists.judge_gently(Err::<(), _>(why), |()| String::new(), |()| false)];
        }
        (Part::Seen(_), None) => {
            return vec![fails(format!(
                "{domain}: no configuration of that name in the tenant"
            ))];
        }
        (Part::Seen(_), Some(configuration)) => configuration,
    };
    let all = match &configuration.jobs {
        Part::Seen(all) => all,
        Part::NotSeen(why) => {
            let why = format!("{domain}: its jobs were not seen: {why}");
            return vec![exists.judge_gently(Err::<(), _>(why), |()| String::new(), |()| false)];
        }
    };
    let Some(job) = seen.job(domain) else {
        return vec![fails(format!(
            "{domain}: its configuration has no job {JOB}"
        ))];
    };
    // Where the domain's permissions do not say that password hashes are wanted, none need be there.
    let hashes = all.iter().any(|job| job.template == HASHES);
    let more = if hashes { "and" } else { "without" };
    let there = format!("{domain}: {JOB} is there, {more} {HASHES}");
    let there = if wanted && !hashes {
        fails(format!(
            "{there}, and its permissions have password-hash-sync"
        ))
    } else {
        exists.finding(there, Verdict::Pass)
    };
    let (read, verdict) = match job.health(seen.at) {
        Health::Quarantined => ("its job is in quarantine".to_owned(), Verdict::Fail),
        Health::Runs(at) => (format!("its job succeeded at {at}"), Verdict::Pass),
        Health::Late => {
            let read = "its job has not succeeded within 15 minutes";
            (read.to_owned(), Verdict::Fail)
        }
        Health::Stopped(status) => (
            format!("its job is not at work: its status is {status}"),
            Verdict::Fail,
        ),
        Health::Untold(status) => {
            let why =
                format!("{domain}: the status of its job is {status}, which is not known here");
            let untold = health.judge_gently(Err::<(), _>(why), |()| String::new(), |()| false);
            return vec![there, untold];
        }
    };
    let mut health = health.finding(format!("{domain}: {read}"), verdict);
    if job.is_quarantined() {
        health.fix = KE13.sentence();
    }
    vec![there, health]
}

/// What stands out beside the probes: agents that are no server's here, and what was not seen.
#[must_use]
pub fn beside(seen: &Observation, known: &Fleetwide) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let listed = seen.agents.seen().into_iter().flatten();
    for agent in listed.filter(|agent| agent.is_active()) {
        if !known.keys().any(|target| agent.is(target)) {
            remarks.push(Remark {
                id: "TN01".to_owned(),
                what: format!(
                    "{}: active in the tenant, and no server of this fleet",
                    agent.machine
                ),
                fix: "bring it in with a join file, or have it taken off: whoever runs it can change what is synchronized".to_owned(),
            });
        }
    }
    for (what, why, permission) in unseen(seen) {
        remarks.push(Remark {
            id: "TN02".to_owned(),
            what: format!("not seen in the tenant: {what}: {why}"),
            fix: format!("read it with an account or an application that may: {permission}"),
        });
    }
    remarks
}

fn unseen(seen: &Observation) -> Vec<(&'static str, &str, &'static str)> {
    fn why<T>(part: &Part<T>) -> Option<&str> {
        match part {
            Part::Seen(_) => None,
            Part::NotSeen(why) => Some(why),
        }
    }
    let parts = [
        ("agents", why(&seen.agents), &AGENTS),
        ("configurations", why(&seen.configurations), &APPLICATIONS),
        ("organization", why(&seen.organization), &ORGANIZATION),
        ("domains", why(&seen.domains), &DOMAINS),
    ];
    let unseen = parts.into_iter();
    unseen
        .filter_map(|(what, why, need)| Some((what, why?, need.permission)))
        .collect()
}
