//! Builds the plan of a swing upgrade (product facts 2.13 [P]): a staging Connect server is brought to the wanted version, becomes
//! the active one, and the one before is upgraded or taken off. It is a swap, planned on what its server will be by then, with
//! the recipes of an upgrade, an installation and a removal before and behind it.

use protocol::TargetId;
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::signed::Phase;
use protocol::step::Product;
use serde::{Deserialize, Serialize};

use crate::active::Modes;
use crate::facts;
use crate::plan::build::forests::suffixes;
use crate::plan::build::{Asked, tenants};
use crate::plan::import::imports;
use crate::plan::switch::{counted, entry_of, switch};
use crate::plan::{Inputs, Kind, Plan, Wait};
use crate::recipe::connect_removal::{self, Successor};
use crate::recipe::restart::Rule;
use crate::recipe::{Answer, PhaseWork, connect};
use crate::topology::{ConnectEntry, ConnectSettings, Tenant};

/// What becomes of the server that was active before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Afterwards {
    /// It is upgraded in place and stays, as a staging server.
    Upgrade,
    /// Connect is taken off it.
    Remove,
}

/// A recipe's part of a swing: phases that stand before a server's part of the swap, or behind it.
struct Part {
    phases: Vec<PhaseWork>,
    why: Vec<String>,
    people: Vec<String>,
}

/// Builds the plan by which `to` is brought to the wanted version and becomes the active Connect server of its tenant, and the one
/// before is seen to.
///
/// # Errors
/// As for a swap, and where nothing is to be upgraded or taken off, where a recipe has no way there, or where the topology says
/// of the server before something else than `then`.
pub fn swing(inputs: Inputs<'_>, to: &TargetId, then: Afterwards) -> Result<Plan, String> {
    let topology = inputs.topology;
    let (name, entry, tenant) = entry_of(topology, to)?;
    let newest = inputs.artifacts.get(&Product::Connect);
    let newest = newest.map(|newest| newest.version);
    let wanted = topology.wanted.connect.or(newest).ok_or(
        "no installer of Connect Sync is in the artifact store, and no version of it is wanted",
    )?;
    let before = brought(inputs, entry, tenant, to, wanted)?;
    // What the swap finds when its turn has come.
    let mut then_known = inputs.known.clone();
    if before.is_some()
        && let Some(known) = then_known.get_mut(to)
        && let Some((_, facts)) = &mut known.facts
    {
        let is = facts.connect.clone();
        facts.connect = Some(ConnectFacts {
            version: Some(newest.map_or(wanted, |newest| newest.max(wanted))),
            service: Some(ServiceState::Running),
            staging: is.as_ref().map_or(Some(true), |connect| connect.staging),
            cycle_enabled: Some(true),
            suspended: Some(false),
        });
    }
    let mut plan = switch(
        Inputs {
            known: &then_known,
            ..inputs
        },
        to,
    )?;
    let mut parts = plan.targets.iter();
    let from = parts.find(|(_, part)| part.switches_to_staging());
    let from = from.map(|(from, _)| from.clone()).ok_or_else(|| {
        format!(
            "no server of tenant {} is active, so none goes to staging mode first: entrain plan upgrades what is staging, then entrain swap {to} makes it active",
            tenant.id
        )
    })?;
    let behind = seen_to(inputs, (name, entry), tenant, (to, &from), then)?;
    if before.is_none() && behind.is_none() {
        return Err(format!(
            "{to} and {from} have the wanted version {wanted}: nothing is to be upgraded; entrain swap {to} makes it active"
        ));
    }
    plan.kind = Kind::Swing;
    plan.facts = facts::digest(inputs.known, entry.members().cloned());
    if let (Some(_), ConnectSettings::Custom(settings)) = (
        before.as_ref().filter(|_| !has_connect(inputs, to)),
        &entry.settings,
    ) && settings.import.is_none()
    {
        plan.warnings.push(format!(
            "no `import` is written in the settings of [connect.{name}]: rules and filters that were changed on {from} are not on {to} unless somebody carries them over; what differs holds the swap (G4)"
        ));
    }
    let soak = inputs.policy.soak.seconds(Product::Connect);
    let there = match &before {
        Some(_) => format!("then it is staging with Connect {wanted} or later"),
        None => format!("Connect {wanted} or later is there (staging)"),
    };
    comes_before(&mut plan, to, before, soak);
    if let Some(part) = plan.targets.get_mut(to) {
        let (known, why) = (inputs.known.get(to), &mut part.why);
        let facts = known.and_then(|known| known.facts.as_ref());
        part.essence = facts.map(|(_, facts)| facts.essence());
        why.push(counted(entry, &there));
        why.push(format!(
            "it waits until {from} is seen in staging mode (G1), and until rules, filters and settings of both are equal or their difference is approved (G4)"
        ));
    }
    comes_behind(&mut plan, (to, &from), behind, then, soak);
    // What of the tenant stops whom is said of the whole work, behind the reasons of all its parts.
    plan.tenants = tenants(inputs, &mut plan.targets, Asked::One(&tenant.id));
    let (targets, warnings) = (&mut plan.targets, &mut plan.warnings);
    suffixes(inputs.beyond, entry, tenant, targets, warnings);
    imports(inputs.beyond, entry, targets);
    Ok(plan)
}

fn has_connect(inputs: Inputs<'_>, server: &TargetId) -> bool {
    inputs
        .reported(server)
        .is_some_and(|facts| facts.connect.is_some())
}

/// A recipe's answer, with the restarts that the server's site allows.
///
/// # Errors
/// With the recipe's reason, where it has no way.
fn taken(
    inputs: Inputs<'_>,
    entry: &ConnectEntry,
    server: &TargetId,
    facts: &Facts,
    mut answer: Answer,
) -> Result<Part, String> {
    let (topology, policy) = (inputs.topology, inputs.policy);
    let rule = Rule::of(topology, policy, entry.site.as_ref(), server, facts);
    rule.into_iter().for_each(|rule| rule.put_into(&mut answer));
    match answer {
        Answer::Do {
            phases,
            why,
            people,
        } => Ok(Part {
            phases,
            why,
            people,
        }),
        Answer::Nothing(why) => Err(format!("{server}: {why}")),
    }
}

/// Whether a plan leaves Connect on that server alone, since it is a host of provisioning agents too.
fn hosts_agents(inputs: Inputs<'_>, server: &TargetId) -> Result<(), String> {
    let mut groups = inputs.topology.agents.values();
    let hosts = groups.any(|group| {
        let mut all = group.hosts.iter().chain(&group.retired);
        all.any(|(host, _)| host == server)
    });
    if hosts {
        return Err(format!(
            "{server} is a host of provisioning agents too, and Connect on such a host is upgraded or taken off by hand; entrain swap changes who is active"
        ));
    }
    Ok(())
}

/// How the server that becomes active gets the wanted version; `None` where it has it, or where a swap has its own word on what
/// it is.
fn brought(
    inputs: Inputs<'_>,
    entry: &ConnectEntry,
    tenant: &Tenant,
    to: &TargetId,
    wanted: protocol::Version,
) -> Result<Option<Part>, String> {
    let Some(facts) = inputs.reported(to).filter(|facts| facts.unread.is_empty()) else {
        return Ok(None);
    };
    let is_fit = |connect: &ConnectFacts| {
        let old = connect.version.is_some_and(|version| version < wanted);
        connect.is_fenced() || connect.mode() != Some(true) || !old
    };
    if facts.connect.as_ref().is_some_and(is_fit) {
        return Ok(None);
    }
    hosts_agents(inputs, to)?;
    let newest = inputs.artifacts.get(&Product::Connect);
    if newest.is_none_or(|newest| newest.version < wanted) {
        return Err(format!(
            "no installer of Connect {wanted} or later is in the artifact store: entrain artifact add FILE --accept-terms"
        ));
    }
    let mut modes = Modes::new();
    for server in inputs.members(entry) {
        let facts = inputs.reported(server);
        if let Some(connect) = facts.and_then(|facts| facts.connect.as_ref()) {
            modes.insert(server.clone(), connect.mode());
        }
    }
    // A person would install the one that is to be active, and there would be nobody to swap with.
    if facts.connect.is_none() && crate::active::active(&modes).is_empty() {
        return Err(format!(
            "no Connect is on {to}, and no server of tenant {} is active: entrain plan installs it",
            tenant.id
        ));
    }
    // Whoever has never told what it is stands against the swap; so does a server that only a directory names.
    let told = (&modes, &[][..], &[][..]);
    let (topology, artifacts) = (inputs.topology, inputs.artifacts);
    let answer = connect::answer(topology, entry, tenant, to, facts, told, artifacts);
    taken(inputs, entry, to, facts, answer).map(Some)
}

/// What becomes of the server before, planned on what it is when it was seen in staging mode; `None` where it has the wanted
/// version and stays.
fn seen_to(
    inputs: Inputs<'_>,
    (name, entry): (&str, &ConnectEntry),
    tenant: &Tenant,
    (to, from): (&TargetId, &TargetId),
    then: Afterwards,
) -> Result<Option<Part>, String> {
    let retired = entry.retired.iter().any(|(server, _)| server == from);
    match (then, retired) {
        (Afterwards::Upgrade, true) => {
            return Err(format!(
                "{from} is retired in [connect.{name}]: say that Connect is taken off it once {to} is active (--retire), or take it out of `retired`"
            ));
        }
        (Afterwards::Remove, false) => {
            return Err(format!(
                "{from} stands in `servers` of [connect.{name}], so the next plan would install Connect on it again: write it into `retired` instead"
            ));
        }
        (Afterwards::Upgrade, false) | (Afterwards::Remove, true) => {}
    }
    let facts = inputs.reported(from);
    let mut facts = facts
        .cloned()
        .ok_or("the active server has never reported")?;
    if let Some(connect) = &mut facts.connect {
        connect.staging = Some(true);
    }
    let answer = match then {
        // The swap before it has made another one active.
        Afterwards::Remove => {
            let successor = Successor::Swapped(to.clone());
            connect_removal::answer(tenant, from, &facts, &successor)
        }
        Afterwards::Upgrade => {
            let told = (&Modes::new(), &[][..], &[][..]);
            let (topology, artifacts) = (inputs.topology, inputs.artifacts);
            connect::answer(topology, entry, tenant, from, &facts, told, artifacts)
        }
    };
    let part = taken(inputs, entry, from, &facts, answer)?;
    // The swap itself verifies what it has become.
    if part.phases.iter().all(PhaseWork::is_read_only) {
        return Ok(None);
    }
    hosts_agents(inputs, from)?;
    Ok(Some(part))
}

/// Puts an upgrade or an installation before the part that a server has in the swap; the other one is read when that is done.
fn comes_before(plan: &mut Plan, to: &TargetId, before: Option<Part>, soak: u32) {
    let by = before.as_ref().map_or(0, |before| before.phases.len());
    named(plan, to, by);
    let Some(part) = plan.targets.get_mut(to) else {
        return;
    };
    // It is watched as the active server, while the one before is left as it was.
    part.soak(soak);
    part.why.clear();
    let Some(before) = before else { return };
    part.phases.splice(0..0, before.phases);
    part.why = before.why;
    part.people.splice(0..0, before.people);
    let reads_first = plan.waits.iter().find(|wait| wait.other == *to).cloned();
    let last = by.saturating_sub(1);
    if let Some(wait) = reads_first {
        plan.waits.push(Wait {
            phase: Phase::Prepare,
            place: Some(0),
            done: Phase::Prove,
            until: Some(last),
            why: format!("{to} is not seen with the wanted version yet (G4)"),
            ..wait
        });
    }
}

/// Has each wait and comparison of the swap name the place of its phases, since a server's work will have several of one name:
/// `by` more stand before those of the server that becomes active.
fn named(plan: &mut Plan, to: &TargetId, by: usize) {
    let targets = &plan.targets;
    let place = |target: &TargetId, phase: Phase| {
        let part = targets.get(target)?;
        let more = if target == to { by } else { 0 };
        Some(part.place_of(phase, None)? + more)
    };
    for wait in &mut plan.waits {
        wait.place = place(&wait.target, wait.phase);
        wait.until = place(&wait.other, wait.done);
    }
    for compare in &mut plan.compares {
        compare.place = place(&compare.target, compare.phase);
    }
}

/// Puts what becomes of the server before behind its part in the swap; it begins when the other one is seen to be fit.
fn comes_behind(
    plan: &mut Plan,
    (to, from): (&TargetId, &TargetId),
    behind: Option<Part>,
    then: Afterwards,
    soak: u32,
) {
    let last = plan.targets.get(to).and_then(|part| {
        let last = part.phases.len().checked_sub(1)?;
        Some((last, part.phases.get(last)?.phase))
    });
    let Some(part) = plan.targets.get_mut(from) else {
        return;
    };
    part.why = vec![format!(
        "it is the tenant's active server: a person puts it into staging mode, once {to} has the wanted version, what it would export is counted and within the limits, and the settings of both are equal or their difference is approved (G4)"
    )];
    let (Some(behind), Some((last, done))) = (behind, last) else {
        part.why
            .push("it has the wanted version and stays, as a staging server".to_owned());
        return;
    };
    let place = part.phases.len();
    let Some(phase) = behind.phases.first().map(|work| work.phase) else {
        return;
    };
    part.phases.extend(behind.phases);
    part.soak(soak);
    let until = match then {
        Afterwards::Upgrade => "upgraded",
        Afterwards::Remove => "taken off",
    };
    // Its recipe speaks of what it is by then.
    let whys = behind.why.into_iter();
    part.why.extend(whys.map(|why| format!("then: {why}")));
    part.why.push(format!(
        "that begins when {to} is verified as the active server, and until it is {until} and seen so `entrain status` says it: a forgotten old server that becomes active again overwrites what the new one writes"
    ));
    part.people.extend(behind.people);
    plan.waits.push(Wait {
        target: from.clone(),
        phase,
        place: Some(place),
        other: to.clone(),
        done,
        until: Some(last),
        why: format!("{to} is not verified as the active server yet, so this one is left as it is"),
    });
}
