//! Builds the plan by which what Entrain has set of prerequisites on one server is put back.

use std::collections::{BTreeMap, BTreeSet};

use protocol::TargetId;
use protocol::facts::ProvisioningAgentFacts;
use protocol::signed::Phase;
use protocol::step::{Fix, Step, UndoFixes};

use crate::finding;
use crate::plan::build::{Services, domains_of, part};
use crate::plan::transition::empty;
use crate::plan::{Inputs, Kind, Plan, lane};
use crate::recipe::{Answer, PhaseWork};
use crate::topology::{At, Change, Topology};

/// Builds the plan by which the agent of `server` puts back what these prerequisites were before Entrain set them; `anyway` also while a
/// product that needs them is there. What was set, and what it was before, the agent knows: the plan names neither.
///
/// # Errors
/// With the reason and what to do about it, where nothing may be planned.
pub fn undo(
    inputs: Inputs<'_>,
    server: &TargetId,
    fixes: &BTreeSet<Fix>,
    anyway: bool,
) -> Result<Plan, String> {
    let topology = inputs.topology;
    let Place {
        lane,
        tenant,
        site,
        may_fix,
        stays,
    } = place_of(topology, server).ok_or_else(|| {
        format!(
            "{server} is no host of a group and no server of a Connect entry in this topology, and prerequisites are set on those alone; name one of `hosts`, `servers` or `retired`"
        )
    })?;
    let tenant = topology.tenants.get(&tenant.value);
    let tenant = tenant.ok_or_else(|| format!("[{lane}] has no tenant"))?;
    let known = inputs.known.get(server).ok_or_else(|| {
        format!("{server} is not enrolled: bring the agent onto it with a join file")
    })?;
    let Some((_, facts)) = &known.facts else {
        return Err(format!("{server} has never reported its facts"));
    };
    let agent = facts.provisioning_agent.as_ref();
    let agent = agent.is_some_and(|agent| !ProvisioningAgentFacts::is_removed(agent));
    let there = if agent {
        Some("the provisioning agent")
    } else {
        facts.connect.as_ref().map(|_| "Connect Sync")
    };
    let mut warnings = Vec::new();
    match there {
        Some(product) if !anyway => {
            return Err(format!(
                "{product} is on {server} and needs what was set: retire it first, or say --anyway"
            ));
        }
        Some(product) => warnings.push(format!(
            "{product} is on {server} and needs what is put back: it may stop working, at the latest when Windows is restarted"
        )),
        None => {}
    }
    let again: Vec<&str> = fixes
        .iter()
        .filter(|fix| may_fix.contains(fix))
        .map(|fix| fix.as_str())
        .collect();
    if !again.is_empty() && stays {
        warnings.push(format!(
            "may_fix of [{lane}] lists {}: the next rollout sets that again on {server}",
            again.join(", ")
        ));
    }
    let words: Vec<&str> = fixes.iter().map(|fix| fix.as_str()).collect();
    let answer = Answer::Do {
        phases: vec![PhaseWork {
            phase: Phase::Prepare,
            steps: vec![
                Step::UndoFixes(UndoFixes {
                    fixes: fixes.iter().copied().collect(),
                    anyway,
                }),
                Step::ReportFacts,
            ],
            artifacts: Vec::new(),
        }],
        why: vec![format!(
            "what Entrain has set of {} is put back to what it was, where it is still as Entrain set it; what somebody else has changed since is left and told",
            words.join(", ")
        )],
        people: Vec::new(),
    };
    let mut own = part(
        tenant.id.clone(),
        Some(known),
        lane.clone(),
        Vec::new(),
        answer,
    );
    own.site = site.map(|site| site.value.clone());
    let targets = BTreeMap::from([(server.clone(), own)]);
    // Under an agent that serves it asks for leave (G2): who serves meanwhile stands in the plan.
    let mut domains = domains_of(
        topology,
        &Services::of(topology, inputs.known),
        inputs.known,
    );
    domains.retain(|_, part| {
        agent
            && part
                .servers
                .iter()
                .chain(&part.leaving)
                .any(|one| one == server)
    });
    let plan = Plan {
        domains,
        change_required: tenant.change == Change::Required,
        warnings,
        sites: inputs.policy.site_rules(topology),
        waves: vec![vec![server.clone()]],
        ..empty(inputs, Kind::Undo, &targets, &BTreeSet::from([lane]))
    };
    Ok(Plan { targets, ..plan })
}

/// Where a server stands in the topology.
struct Place<'a> {
    lane: String,
    tenant: &'a At<String>,
    site: Option<&'a At<String>>,
    may_fix: &'a BTreeSet<Fix>,
    /// Whether it is not to go.
    stays: bool,
}

/// A host of agents that has Connect too is found as that: what is set there is set for either.
fn place_of<'a>(topology: &'a Topology, server: &TargetId) -> Option<Place<'a>> {
    let is = |(one, _): &(TargetId, finding::Place)| one == server;
    let group = topology.agents.iter().find_map(|(name, group)| {
        let stays = group.hosts.iter().any(is);
        (stays || group.retired.iter().any(is)).then(|| Place {
            lane: lane::of_group(name),
            tenant: &group.tenant,
            site: group.site.as_ref(),
            may_fix: &group.may_fix,
            stays,
        })
    });
    group.or_else(|| {
        topology.connect.iter().find_map(|(name, entry)| {
            let stays = entry.servers.iter().any(is);
            (stays || entry.retired.iter().any(is)).then(|| Place {
                lane: lane::of_entry(name),
                tenant: &entry.tenant,
                site: entry.site.as_ref(),
                may_fix: &entry.may_fix,
                stays,
            })
        })
    })
}
