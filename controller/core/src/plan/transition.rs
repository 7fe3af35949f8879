//! Builds the plan by which a tenant moves from Connect Sync to cloud sync, and the one that asks which tenants may.

use std::collections::{BTreeMap, BTreeSet};

use protocol::TargetId;
use protocol::facts::{ConnectFacts, Facts};

use crate::active::Modes;
use crate::facts;
use crate::plan::build::{Asked, SAID_OFF, lanes, part, strangers, tenants};
use crate::plan::modes::{modes_of, the_one_active};
use crate::plan::switch::{entry_of, stays};
use crate::plan::{Inputs, Kind, LanePlan, Limits, Plan, TargetPlan};
use crate::plan::{exporting, lane};
use crate::recipe::cloud_sync::home_of;
use crate::recipe::{Answer, transition as recipe};
use crate::topology::{Change, ConnectEntry};

/// Builds the plan by which the tenant of `server`, its active Connect server, moves to cloud sync.
///
/// # Errors
/// With the reason and what to do about it, where nothing may be planned: it is not the one active server of its tenant, what
/// the tenant's servers are cannot be told (guard rail G1), or the wizard's task does not take the entry.
pub fn transition(inputs: Inputs<'_>, server: &TargetId) -> Result<Plan, String> {
    let Inputs {
        topology,
        policy,
        known,
        ..
    } = inputs;
    let (name, entry, tenant) = entry_of(topology, server)?;
    if let Some(moved) = inputs.beyond.moved.get(&tenant.id) {
        return Err(moved.sentence(&entry.tenant.value));
    }
    if let Some(too_many) = forests_beyond(name, entry) {
        return Err(too_many);
    }
    if let Some(stranger) = strangers(inputs.beyond, entry, &tenant.id, inputs.known)
        .into_iter()
        .next()
    {
        return Err(stranger);
    }
    let modes = modes_of(inputs, entry, None)?;
    let facts = the_active(inputs, entry, server, &modes)?;
    let home = home_of(server, facts)?;
    let lane = lane::of_entry(name);
    let whose = |server: &TargetId, answer| {
        let mut part = part(
            tenant.id.clone(),
            known.get(server),
            lane.clone(),
            Vec::new(),
            answer,
        );
        part.site = entry.site.as_ref().map(|site| site.value.clone());
        part
    };
    let mut targets: BTreeMap<TargetId, TargetPlan> = BTreeMap::new();
    let answer = Answer::Do {
        phases: recipe::moves(topology, entry, tenant, server, &home, facts),
        why: why(facts),
        people: recipe::bring(entry, tenant),
    };
    targets.insert(server.clone(), whose(server, answer));
    let mut order = vec![server.clone()];
    for other in entry.members().filter(|other| *other != server) {
        let fenced = inputs
            .reported(other)
            .and_then(|facts| facts.connect.as_ref())
            .is_some_and(ConnectFacts::is_fenced);
        let answer = if inputs.beyond.said_off.contains(other) {
            Answer::Nothing(SAID_OFF.to_owned())
        } else {
            stays(fenced, modes.contains_key(other))
        };
        if matches!(answer, Answer::Do { .. }) {
            order.push(other.clone());
        }
        targets.insert(other.clone(), whose(other, answer));
    }
    let plan = Plan {
        change_required: tenant.change == Change::Required,
        warnings: recipe::unverified(tenant).into_iter().collect(),
        irreversible: recipe::irreversible(entry, tenant, server),
        sites: policy.site_rules(topology),
        ..empty(inputs, Kind::Transition, &targets, &BTreeSet::from([lane]))
    };
    let tenants = tenants(inputs, &mut targets, Asked::One(&tenant.id));
    Ok(Plan {
        tenants,
        targets,
        waves: vec![order],
        ..plan
    })
}

/// Builds the plan that asks each active Connect server whether its tenant may move; it changes nothing.
#[must_use]
pub fn eligibility(inputs: Inputs<'_>) -> Plan {
    let Inputs {
        topology, known, ..
    } = inputs;
    let mut targets: BTreeMap<TargetId, TargetPlan> = BTreeMap::new();
    let mut warnings = Vec::new();
    let mut order = Vec::new();
    let mut asked = BTreeSet::new();
    for (name, entry) in &topology.connect {
        let Some(tenant) = topology.tenants.get(&entry.tenant.value) else {
            continue;
        };
        let about = |server: &&TargetId| inputs.only.is_empty() || inputs.only.contains(*server);
        let own: Vec<&TargetId> = entry.members().filter(about).collect();
        if own.is_empty() {
            continue;
        }
        let lane = lane::of_entry(name);
        let moved = inputs.beyond.moved.get(&tenant.id);
        // What the topology says already needs no server's answer.
        let too_many = forests_beyond(name, entry);
        let off = &inputs.beyond.said_off;
        let mode = |server: &TargetId| {
            let facts = inputs.reported(server).filter(|_| !off.contains(server))?;
            Some(facts.connect.as_ref()?.mode())
        };
        let is_active = |server: &TargetId| mode(server) == Some(Some(false));
        let has_active = entry.members().any(is_active);
        for server in own {
            let answer = match mode(server) {
                _ if moved.is_some() => Answer::Nothing("its tenant was moved already".to_owned()),
                _ if too_many.is_some() => Answer::Nothing(too_many.clone().unwrap_or_default()),
                _ if let Some(answer) = inputs.unanswerable(server) => answer,
                Some(Some(false)) => {
                    order.push(server.clone());
                    Answer::Do {
                        phases: vec![recipe::asks()],
                        why: vec![
                            "asked whether its tenant may move to cloud sync; nothing is changed"
                                .to_owned(),
                        ],
                        people: Vec::new(),
                    }
                }
                // The tenant's active server answers for it.
                _ if has_active => continue,
                None => Answer::Nothing("no Connect is on it".to_owned()),
                Some(Some(true)) => Answer::Nothing(
                    "it is staging, and no server of its tenant is seen to be active".to_owned(),
                ),
                Some(None) => Answer::Nothing(
                    "whether it is active cannot be told (G1); see there that ADSync runs and that Get-ADSyncScheduler answers".to_owned(),
                ),
            };
            asked.insert(lane.clone());
            let part = part(
                tenant.id.clone(),
                known.get(server),
                lane.clone(),
                Vec::new(),
                answer,
            );
            targets.insert(server.clone(), part);
        }
        warnings.extend(recipe::unverified(tenant));
    }
    let plan = Plan {
        warnings,
        waves: if order.is_empty() {
            Vec::new()
        } else {
            vec![order]
        },
        ..empty(inputs, Kind::Eligibility, &targets, &asked)
    };
    Plan { targets, ..plan }
}

/// Why the wizard's task does not take this entry's forests, if so.
fn forests_beyond(name: &str, entry: &ConnectEntry) -> Option<String> {
    let forests = entry.forests.len();
    (forests != 1).then(|| {
        format!(
            "[connect.{name}] has {forests} forests, and the wizard's task takes one (product facts 3): this tenant stays with Connect, or is moved by hand, forest by forest"
        )
    })
}

/// A plan over these targets without work.
pub(super) fn empty(
    inputs: Inputs<'_>,
    kind: Kind,
    targets: &BTreeMap<TargetId, TargetPlan>,
    own: &BTreeSet<String>,
) -> Plan {
    let all = u32::try_from(targets.len().max(1)).unwrap_or(u32::MAX);
    let lanes = lanes(inputs.topology);
    let lanes: BTreeMap<String, LanePlan> = lanes
        .into_iter()
        .filter(|(name, _)| own.contains(name))
        .collect();
    let exports = exporting::now(inputs, &lanes);
    Plan {
        format: 1,
        kind,
        topology: inputs.topology.digest,
        policy: inputs.policy.digest,
        facts: facts::digest(inputs.known, targets.keys().cloned()),
        lanes,
        waves: Vec::new(),
        domains: BTreeMap::new(),
        limits: Limits {
            in_flight: all,
            failures: all,
            canary: all,
            unreachable: None,
        },
        need: inputs.policy.need,
        change_required: false,
        targets: BTreeMap::new(),
        alarms: Vec::new(),
        warnings: Vec::new(),
        irreversible: Vec::new(),
        waits: Vec::new(),
        compares: Vec::new(),
        off: None,
        sites: BTreeMap::new(),
        tenants: BTreeMap::new(),
        owners: super::build::owners(inputs.topology),
        readiness: BTreeMap::new(),
        exports,
    }
}

/// The facts of the server, where it is the one that is active.
fn the_active<'a>(
    inputs: Inputs<'a>,
    entry: &ConnectEntry,
    server: &TargetId,
    modes: &Modes,
) -> Result<&'a Facts, String> {
    match the_one_active(modes)? {
        None => Err(format!(
            "no server of tenant {} is active: the wizard's task is on the active server; entrain swap {server} makes it active",
            entry.tenant.value
        )),
        Some(one) if one != server => Err(format!(
            "{server} is not the tenant's active server, where alone the wizard has the task: entrain transition {one}"
        )),
        Some(_) => inputs
            .reported(server)
            .ok_or_else(|| format!("{server} has never reported its facts")),
    }
}

fn why(facts: &Facts) -> Vec<String> {
    let version = facts.connect.as_ref().and_then(|connect| connect.version);
    let version = version.map_or_else(|| "of unknown version".to_owned(), |v| v.to_string());
    vec![
        format!(
            "Connect {version} is there (active): each limit of the wizard's task is judged first, and once more before the wizard"
        ),
        "a person moves the tenant at the wizard; from then on none of its Connect servers is active, and that is meant (G1)".to_owned(),
        "afterwards Connect is kept in staging mode for two weeks, should the tenant have to go back; a topology in which agents serve its domains meanwhile says that this is meant (overlap = { DOMAIN = \"moved\" } of its entry); then leave `servers` empty and write its servers under `retired`, and entrain plan takes Connect off them".to_owned(),
    ]
}
