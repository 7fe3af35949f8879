//! Builds the plan of a change of the active Connect server.

use std::collections::BTreeMap;

use protocol::facts::ConnectFacts;
use protocol::signed::Phase;
use protocol::step::Product;
use protocol::{TargetId, Version};

use crate::active::{Modes, active};
use crate::calendar::SiteRule;
use crate::facts;
use crate::plan::build::{Asked, FENCED, SAID_OFF, lanes, part, strangers, switches_on, tenants};
use crate::plan::{Compare, Inputs, Kind, LanePlan, Limits, Plan, TargetPlan, Wait};
use crate::plan::{exporting, lane};
use crate::recipe::{Answer, switch};
use crate::topology::{Change, ConnectEntry, Tenant, Topology};

/// Builds the plan by which `to` becomes the active Connect server of its tenant.
///
/// # Errors
/// With the reason and what to do about it, where nothing may be planned: it is no staging server, or what the tenant's
/// servers are cannot be told (guard rails G1 and G4).
pub fn switch(inputs: Inputs<'_>, to: &TargetId) -> Result<Plan, String> {
    build(inputs, to, None)
}

/// Builds the plan by which `to` becomes active in place of `off`, which is said to be off. When that one is back, it is
/// fenced before anything else.
///
/// # Errors
/// As [`switch`], and where `off` is no server of the same entry, or was staging when it last reported.
pub fn failover(inputs: Inputs<'_>, to: &TargetId, off: &TargetId) -> Result<Plan, String> {
    build(inputs, to, Some(off))
}

fn build(inputs: Inputs<'_>, to: &TargetId, off: Option<&TargetId>) -> Result<Plan, String> {
    let Inputs {
        topology,
        policy,
        known,
        artifacts,
        ..
    } = inputs;
    let (name, entry, tenant) = entry_of(topology, to)?;
    let reported = |server: &TargetId| {
        let known = known.get(server)?;
        known.facts.as_ref().map(|(_, facts)| facts)
    };
    let connect = |server: &TargetId| reported(server)?.connect.as_ref();
    let is_fenced = |server: &TargetId| connect(server).is_some_and(ConnectFacts::is_fenced);
    if let Some(off) = off {
        if !entry.members().any(|server| server == off) {
            return Err(format!("{off} is no server of [connect.{name}]"));
        }
        if connect(off).is_some_and(|connect| connect.mode() == Some(true)) {
            return Err(format!(
                "{off} was staging when it last reported: it is not the one that is replaced; entrain swap {to}"
            ));
        }
    }
    if let Some(stranger) = strangers(inputs.beyond, entry, &tenant.id, inputs.known)
        .into_iter()
        .next()
    {
        return Err(stranger);
    }
    let is_off = |server: &TargetId| inputs.beyond.said_off.contains(server);
    if is_off(to) {
        return Err(format!(
            "{to} was said to be off and was not seen since: it cannot become active; its agent's next session lifts it"
        ));
    }
    let mut modes = Modes::new();
    for server in entry.members() {
        if Some(server) == off || is_off(server) {
            continue;
        }
        let Some(facts) = reported(server) else {
            return Err(format!(
                "whether {server} is active cannot be told, since it has never reported (G1); enroll it, or take it out of `servers`"
            ));
        };
        if let Some(why) = facts.unread.first() {
            return Err(format!("what {server} is cannot be told (G1): {why}"));
        }
        if let Some(connect) = &facts.connect {
            modes.insert(server.clone(), connect.mode());
        }
    }
    if let Some((server, _)) = modes.iter().find(|(_, staging)| staging.is_none()) {
        return Err(format!(
            "whether {server} is active cannot be told (G1); see there that ADSync runs and that Get-ADSyncScheduler answers"
        ));
    }
    match modes.get(to) {
        None => return Err(format!("no Connect is on {to}; entrain plan installs it")),
        Some(Some(false)) => {
            return Err(format!("{to} is active already: nothing is to be changed"));
        }
        Some(_) => {}
    }
    if is_fenced(to) {
        return Err(format!(
            "ADSync is stopped and disabled on {to}: it was fenced, and cannot become active"
        ));
    }
    let now = active(&modes);
    let from = match now.as_slice() {
        [] => None,
        [from] if off.is_some() => {
            return Err(format!("{from} is active: entrain swap {to} is the way"));
        }
        [from] => Some((*from).clone()),
        [one, other, ..] => {
            return Err(format!(
                "{one} and {other} are both active (G1); set all but one to staging mode before anything else"
            ));
        }
    };
    let version = connect(to)
        .and_then(|connect| connect.version)
        .ok_or_else(|| format!("the version of Connect on {to} cannot be read (G4)"))?;
    let newest = artifacts
        .get(&Product::Connect)
        .map(|newest| newest.version);
    let wanted = topology.wanted.connect.or(newest);
    let wanted = wanted.unwrap_or(Version::new(0, 0, 0, 0));
    let mut warnings = Vec::new();
    let mut at_least = wanted;
    // Where nobody synchronizes, a newer version is brought afterwards; a floor or a recall holds it all the same (G6).
    if version < wanted && off.is_some() {
        at_least = version;
        warnings.push(format!(
            "{to} has Connect {version}, and {wanted} is wanted: it becomes active as it is, since nobody else is; entrain plan upgrades it afterwards (G4)"
        ));
    } else if version < wanted {
        return Err(format!(
            "{to} has Connect {version}, and {wanted} is wanted: it is upgraded before it becomes active (G4): entrain plan does it, or entrain swing {to} does both"
        ));
    }
    let lane = lane::of_entry(name);
    let answer = |phases, why: Vec<String>| Answer::Do {
        phases,
        why,
        people: switch::bring(tenant),
    };
    let whose = |server: &TargetId, answer| {
        part(
            tenant.id.clone(),
            known.get(server),
            lane.clone(),
            Vec::new(),
            answer,
        )
    };
    let mut targets: BTreeMap<TargetId, TargetPlan> = BTreeMap::new();
    let none = match (&from, off) {
        (Some(from), _) => format!("{from} was seen in staging mode before this was asked for"),
        (None, Some(off)) => {
            format!("make sure that {off} is off and stays off until this is done")
        }
        (None, None) => format!("no server of tenant {} is active", tenant.id),
    };
    // Those that are read now, or else whoever told of itself before.
    let others: Vec<TargetId> = match (&from, off) {
        (Some(other), _) | (None, Some(other)) => vec![other.clone()],
        (None, None) => {
            let with_connect = |server: &&TargetId| *server != to && modes.contains_key(*server);
            entry.members().filter(with_connect).cloned().collect()
        }
    };
    let compared = match &from {
        Some(from) => format!(
            "what this server and {from} told of rules, filters and settings was equal, or somebody has approved the difference: entrain diff {from} {to}"
        ),
        None if others.is_empty() => {
            "no other server is there whose rules, filters and settings could be compared"
                .to_owned()
        }
        None => {
            let names: Vec<&str> = others.iter().map(TargetId::as_str).collect();
            format!(
                "rules, filters and settings were compared with what {} told last, as entrain diff shows it; where nothing was told they were not compared: compare the exported settings",
                names.join(", ")
            )
        }
    };
    let before = switch::Before {
        none,
        compared,
        after_another: from.is_some(),
    };
    let compares = |target: &TargetId, other: &TargetId| Compare {
        target: target.clone(),
        phase: Phase::Register,
        place: None,
        other: other.clone(),
        last: from.is_none(),
    };
    let mut compared: Vec<Compare> = others.iter().map(|other| compares(to, other)).collect();
    if let Some(from) = &from {
        compared.push(compares(from, to));
    }
    let phases = switch::becomes_active(entry, tenant, to, &before, at_least);
    let there = format!("Connect {version} is there (staging)");
    let mut why = vec![counted(entry, &there)];
    if let (None, [_, ..]) = (&from, others.as_slice()) {
        why.push("its settings are compared with what others told last, and with nothing where they never did: then a person compares exported settings (G4)".to_owned());
    }
    let mut waits = Vec::new();
    let mut order = vec![to.clone()];
    if let Some(moved) = inputs.beyond.moved.get(&tenant.id) {
        warnings.push(format!(
            "rollout {} has moved the tenant to cloud sync: stop its jobs in the admin center before {to} is active, since an object must be in scope of one tool alone (G7)",
            moved.rollout
        ));
    }
    match (&from, off) {
        (Some(from), _) => {
            why.push(format!(
                "it waits until {from} is seen in staging mode (G1); should it then not be fit, `entrain swap {from}` makes that one active again"
            ));
            let staging = switch::becomes_staging(tenant, from, to);
            let because = format!(
                "it is the tenant's active server: a person puts it into staging mode, once what {to} would export is counted and within the limits, and the settings of both are equal or their difference is approved (G4)"
            );
            targets.insert(from.clone(), whose(from, answer(staging, vec![because])));
            waits.push(Wait {
                target: from.clone(),
                phase: Phase::Register,
                place: None,
                other: to.clone(),
                done: Phase::Prepare,
                until: None,
                why: format!("what {to} would export is not counted yet (G4)"),
            });
            for phase in [Phase::Inspect, Phase::Register] {
                waits.push(Wait {
                    target: to.clone(),
                    phase,
                    place: None,
                    other: from.clone(),
                    done: Phase::Register,
                    until: None,
                    why: format!("{from} is not seen in staging mode yet (G1)"),
                });
            }
            order.push(from.clone());
        }
        (None, Some(off)) => {
            why.push(format!(
                "{off} was active and is said to be off: whoever applies this says so by name, and it is in the log"
            ));
            let mut part = if known.contains_key(off) {
                order.push(off.clone());
                let because = "when it is back, its service is stopped and disabled: until then it may export, and an abort of this rollout takes this away".to_owned();
                whose(off, answer(vec![switch::is_fenced()], vec![because]))
            } else {
                warnings.push(format!(
                    "{off} is not enrolled: nothing stops it when it is back, so take Connect off it first"
                ));
                whose(off, Answer::Nothing("it is not enrolled".to_owned()))
            };
            // Whatever it is by then, it is stopped; and nobody brings anything for that.
            (part.essence, part.people) = (None, Vec::new());
            targets.insert(off.clone(), part);
        }
        (None, None) => {
            why.push("no server of the tenant is active: nothing is synchronized".to_owned());
        }
    }
    targets.insert(to.clone(), whose(to, answer(phases, why)));
    for part in targets.values_mut() {
        part.site = entry.site.as_ref().map(|site| site.value.clone());
    }
    // An emergency waits for no window.
    let sites = match off {
        Some(_) => BTreeMap::new(),
        None => policy.site_rules(topology),
    };
    // The two are under way at once, each waits for the other's phases, and who is only looked at holds neither.
    let sites = sites.into_iter().map(|(site, rule)| {
        let rule = SiteRule {
            max_in_flight: None,
            ..rule
        };
        (site, rule)
    });
    let sites = sites.collect();
    for server in entry.members() {
        if targets.contains_key(server) {
            continue;
        }
        let answer = match off {
            // The failover by which that one was fenced ends with this one, which ends whatever makes another server active.
            Some(_) if is_off(server) && connect(server).is_some() => answer(
                vec![switch::is_fenced()],
                vec!["it was said to be off before: when it is back, its service is stopped and disabled".to_owned()],
            ),
            _ if is_off(server) => Answer::Nothing(SAID_OFF.to_owned()),
            _ => stays(is_fenced(server), modes.contains_key(server)),
        };
        if matches!(answer, Answer::Do { .. }) {
            order.push(server.clone());
        }
        let mut part = whose(server, answer);
        if is_off(server) {
            (part.essence, part.people) = (None, Vec::new());
        }
        targets.insert(server.clone(), part);
    }
    // Each fence is offered when its server comes, before or after any other.
    let changed = targets.values().filter(|part| !part.is_read_only());
    let all = u32::try_from(changed.count()).unwrap_or(u32::MAX);
    let asked = match off {
        Some(_) => Asked::Emergency(&tenant.id),
        None => Asked::One(&tenant.id),
    };
    let tenants = tenants(inputs, &mut targets, asked);
    let irreversible = switches_on(topology, inputs.beyond, entry, &targets);
    let servers = entry.members().cloned();
    let lanes: BTreeMap<String, LanePlan> = lanes(topology)
        .into_iter()
        .filter(|(name, _)| *name == lane)
        .collect();
    let exports = exporting::now(inputs, &lanes);
    Ok(Plan {
        format: 1,
        kind: Kind::Switch,
        topology: topology.digest,
        policy: policy.digest,
        facts: facts::digest(known, servers),
        lanes,
        waves: vec![order],
        domains: BTreeMap::new(),
        limits: Limits {
            in_flight: all,
            // Nothing of it starts more at once, and no failure of one holds back the fence of another.
            failures: all.saturating_mul(2).saturating_add(1),
            canary: all,
            unreachable: None,
        },
        need: policy.need,
        change_required: tenant.change == Change::Required,
        targets,
        alarms: Vec::new(),
        warnings,
        irreversible: irreversible.into_iter().collect(),
        waits,
        compares: compared,
        off: off.cloned(),
        sites,
        tenants,
        owners: super::build::owners(topology),
        readiness: BTreeMap::new(),
        exports,
    })
}

/// What becomes of a server that is staging, as `there` says of it.
pub(super) fn counted(entry: &ConnectEntry, there: &str) -> String {
    let limits = entry.pending_exports.limits;
    format!(
        "{there}: a person takes it out of staging mode; pending exports are counted before, at most {} to add, {} to update and {} to delete (G4)",
        limits.add, limits.update, limits.delete
    )
}

/// The entry that has a server, with its name and its tenant.
///
/// # Errors
/// Where none has it, or its tenant is not described.
pub(super) fn entry_of<'a>(
    topology: &'a Topology,
    server: &TargetId,
) -> Result<(&'a String, &'a ConnectEntry, &'a Tenant), String> {
    let mut entries = topology.connect.iter();
    let entry = entries.find(|(_, entry)| serves(entry, server));
    let (name, entry) = entry.ok_or_else(|| {
        format!("{server} is no server of a [connect.…] entry of this topology; name one that is")
    })?;
    let tenant = topology
        .tenants
        .get(&entry.tenant.value)
        .ok_or_else(|| format!("tenant {} is not described", entry.tenant.value))?;
    Ok((name, entry, tenant))
}

/// What a server does whose entry changes its active one without it.
pub(super) fn stays(is_fenced: bool, has_connect: bool) -> Answer {
    if is_fenced {
        Answer::Nothing(FENCED.to_owned())
    } else if has_connect {
        Answer::Do {
            phases: vec![switch::stays_staging()],
            why: vec!["verified to be staging; nothing is changed".to_owned()],
            people: Vec::new(),
        }
    } else {
        Answer::Nothing("no Connect is on it".to_owned())
    }
}

fn serves(entry: &ConnectEntry, server: &TargetId) -> bool {
    entry.servers.iter().any(|(one, _)| one == server)
}
