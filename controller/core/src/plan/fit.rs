//! Holds what is known of versions against a plan by which a Connect server becomes active or moves its tenant (guard rails G4 and
//! G6, PF43). What is to be installed is held against it where that is brought onto a server.

use std::collections::BTreeSet;

use protocol::event::Verdict;
use protocol::probe::controller as catalogue;
use protocol::step::{Permission, Product, Step};
use protocol::{TargetId, Timestamp, Version};

use crate::facts::Fleetwide;
use crate::plan::{Kind, Plan, TargetPlan};
use crate::tenant::sentence;
use crate::versions::{Ended, Versions};

/// What lifts it.
const LIFTS: &str = "a newer version on it lifts it (entrain plan, or entrain swing where another server is active; behind an abort of what holds it), or a versions.toml beside the controller's state that no longer says so, and the controller's restart";

/// Has a plan say what is known of the version of Connect on each of its servers, and warn of what is said of one that becomes
/// active.
///
/// # Errors
/// Where the vendor itself says that such a version is recalled, below a floor, or not supported any more; of a floor of tasks beside
/// synchronization, and of an end of support, where there is time to bring another one onto it.
pub fn judge(
    plan: &mut Plan,
    known: &Fleetwide,
    versions: &Versions,
    now: Timestamp,
) -> Result<(), String> {
    if let Some(why) = refuses(plan, known, versions, now) {
        return Err(why);
    }
    match plan.kind {
        Kind::Install
        | Kind::Verify
        | Kind::Preflight
        | Kind::Switch
        | Kind::Swing
        | Kind::Eligibility
        | Kind::Transition => {}
        // What they do rests on no version of a product.
        Kind::Discover | Kind::Support | Kind::Agents | Kind::Undo => return Ok(()),
    }
    let mut warnings = Vec::new();
    let ended = ended(plan);
    for (target, part) in &plan.targets {
        let Some(version) = activated(part, known, target) else {
            continue;
        };
        if let Ok(Some(why)) = versions.may_be_active(version, ended, now) {
            warnings.push(format!(
                "{target} is to be active with Connect {why} (G4): it is said, and holds nothing (G6)"
            ));
        }
    }
    plan.warnings.extend(warnings);
    for (target, part) in &mut plan.targets {
        if part.left_out {
            continue;
        }
        if let Some(version) = installed(known, target) {
            let finding = versions.finding(version, now);
            if finding.verdict == Verdict::Fail {
                part.why.push(sentence(&finding));
            }
        }
    }
    Ok(())
}

/// Why no part of a plan may begin: a server of it would be active with a version that the vendor speaks against.
#[must_use]
pub fn refuses(
    plan: &Plan,
    known: &Fleetwide,
    versions: &Versions,
    now: Timestamp,
) -> Option<String> {
    let ended = ended(plan);
    plan.targets.iter().find_map(|(target, part)| {
        let version = activated(part, known, target)?;
        let why = versions.may_be_active(version, ended, now).err()?;
        Some(refusal(target, &why))
    })
}

/// Why the agent that a part brings onto its server may not be brought any more: it breaks what its domains use in its cloud (PF44).
/// Rights that no credential gives are not in a plan's steps; `check` has asked of them.
pub(crate) fn breaks(part: &TargetPlan, versions: &Versions) -> Option<String> {
    let agents = part.artifacts();
    let mut agents = agents.filter(|artifact| artifact.product == Product::ProvisioningAgent);
    let version = agents.next()?.version;
    let steps = part.phases.iter().flat_map(|phase| &phase.steps);
    let mut preflights = steps.filter_map(|step| {
        if let Step::Preflight(preflight) = step {
            Some(preflight)
        } else {
            None
        }
    });
    preflights.find_map(|preflight| {
        let mut domains = preflight.domains.iter();
        domains.find_map(|domain| {
            let uses: BTreeSet<Permission> = domain.permissions.iter().copied().collect();
            let agent = (Product::ProvisioningAgent, version);
            let why = versions
                .may_use(agent, preflight.cloud, Some(&uses))
                .err()?;
            let probe = &catalogue::PF44;
            Some(format!(
                "{} for {}: {why} (G6); {}",
                probe.id, domain.name, probe.fix
            ))
        })
    })
}

/// Why a phase of a target may not begin by what is known of versions now: the server that becomes active by it, or for which the
/// active one goes to staging mode by it, has a version that the vendor speaks against, or one that cannot be read.
pub(crate) fn holds(
    plan: &Plan,
    (target, phase): (&TargetId, usize),
    known: &Fleetwide,
    versions: &Versions,
    now: Timestamp,
) -> Option<String> {
    let part = plan.targets.get(target)?;
    let is_about = |server: &TargetId, other: &TargetPlan| {
        if server == target {
            other.switches_to_active_in(phase) || other.moves_in(phase)
        } else {
            part.switches_to_staging_in(phase) && other.switches_to_active()
        }
    };
    let mut about = plan
        .targets
        .iter()
        .filter(|(server, other)| is_about(server, other));
    about.find_map(|(server, other)| match installed(known, server) {
        Some(version) => {
            let why = versions.may_be_active(version, ended(plan), now).err()?;
            Some(refusal(server, &why))
        }
        // Whether a tenant may move is asked by a step, which says what it could not read.
        None if other.moves() => None,
        None => Some(format!(
            "the version of Connect on {server} cannot be read, so whether it is above the floor is not known (G4); its next report of facts lifts it"
        )),
    })
}

fn refusal(target: &TargetId, why: &str) -> String {
    format!("{target} is not to be active with Connect {why} (G4, G6); {LIFTS}")
}

/// Where there is nobody else to be active, or nobody shall be any more, an end of support is no reason to wait, nor is what the wizard's tasks lack.
const fn ended(plan: &Plan) -> Ended {
    if plan.off.is_some() || matches!(plan.kind, Kind::Transition) {
        Ended::Warns
    } else {
        Ended::Blocks
    }
}

/// The version with which a server becomes active or moves its tenant: the higher of the one that is brought onto it before and the one it has.
fn activated(part: &TargetPlan, known: &Fleetwide, target: &TargetId) -> Option<Version> {
    if !part.switches_to_active() && !part.moves() {
        return None;
    }
    let mut brought = part.artifacts();
    let brought = brought.find(|artifact| artifact.product == Product::Connect);
    let brought = brought.map(|artifact| artifact.version);
    brought.max(installed(known, target))
}

fn installed(known: &Fleetwide, target: &TargetId) -> Option<Version> {
    let (_, facts) = known.get(target)?.facts.as_ref()?;
    facts.connect.as_ref()?.version
}
