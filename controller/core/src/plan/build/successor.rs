//! Who is to be active once the active Connect server of an entry is taken off, and what that means for its tenant (G1, G10).

use std::collections::BTreeMap;

use protocol::facts::{ConnectFacts, Facts};
use protocol::step::Product;
use protocol::{TargetId, Version};

use crate::active::Modes;
use crate::facts::Fleetwide;
use crate::plan::TargetPlan;
use crate::plan::build::Inputs;
use crate::recipe::connect_removal::Successor;
use crate::recipe::download;
use crate::topology::{ConnectEntry, ConnectSettings, Tenant};

/// Who takes the place of an active server that is retired. Another one that has Connect becomes active first. Where none has, the one that
/// takes its database over can be installed behind its removal alone (product facts 2.7 [P]): then all is there before that would be asked for
/// behind it, so that the tenant is without a server for no longer than the two wizards take.
pub(super) fn successor(
    inputs: Inputs<'_>,
    entry: &ConnectEntry,
    tenant: &Tenant,
    (server, facts): (&TargetId, &Facts),
    strangers: &[String],
) -> Successor {
    let Some((first, _)) = entry.servers.first() else {
        return Successor::Nobody;
    };
    let said_off = |other: &TargetId| inputs.beyond.said_off.contains(other);
    let stay = || entry.servers.iter().map(|(other, _)| other);
    let connect = |other: &TargetId| inputs.reported(other)?.connect.as_ref();
    let there = stay().filter_map(|other| {
        let connect = connect(other).filter(|connect| !connect.is_fenced());
        Some((other, connect.filter(|_| !said_off(other))?.mode()))
    });
    let there: Vec<(&TargetId, Option<bool>)> = there.collect();
    let staging = there.iter().find(|(_, mode)| *mode == Some(true));
    match staging.or(there.first()) {
        Some((other, Some(false))) => {
            return Successor::NotYet(format!(
                "{other} is active as well: set one of the two to staging mode before anything else (G1)"
            ));
        }
        Some((other, Some(true) | None)) => return Successor::Swapped((*other).clone()),
        None => {}
    }
    let ConnectSettings::Custom(settings) = &entry.settings else {
        return Successor::NotYet(format!(
            "no other server has Connect: write custom settings (settings = {{ }}), by which entrain plan installs Connect on {first} as a staging server, and entrain swap {first} makes it active then"
        ));
    };
    let beside = |other: &TargetId, then: &str| {
        Successor::NotYet(format!(
            "no other server has Connect: entrain plan installs Connect on {other} as a staging server, and entrain swap {other} makes it active then{then}"
        ))
    };
    let Some(heir) = entry.heir_of(server) else {
        return beside(first, "");
    };
    // Beside one that is installed without anybody's database nobody has to be without a server.
    let is_free = |other: &&TargetId| {
        let facts = inputs.reported(other);
        let bare = facts.is_some_and(|facts| facts.connect.is_none());
        let waits = settings.heir_of(server, std::iter::once(*other)).is_some();
        bare && !waits && !said_off(other)
    };
    if let Some(other) = stay().find(is_free) {
        return beside(other, &format!(", before its database goes to {heir}"));
    }
    match holds(inputs, entry, tenant, (heir, facts), strangers) {
        Some(why) => Successor::NotYet(format!(
            "{heir} is to take its database over, which begins with its removal: {why}"
        )),
        None => Successor::TakesOver(heir.clone()),
    }
}

/// What would hold the installation of a server that takes a database over, once the one before has left it.
fn holds(
    inputs: Inputs<'_>,
    entry: &ConnectEntry,
    tenant: &Tenant,
    (heir, facts): (&TargetId, &Facts),
    strangers: &[String],
) -> Option<String> {
    if inputs.beyond.said_off.contains(heir) {
        return Some(format!(
            "{heir} was said to be off and was not seen since; its agent's next session lifts it"
        ));
    }
    if let Some(untold) = inputs
        .members(entry)
        .find(|one| inputs.reported(one).is_none())
    {
        return Some(format!(
            "{untold} has never reported, so what Connect is on it is not known (G1); enroll it, or take it out of the entry"
        ));
    }
    if let Some(why) = inputs.reported(heir).and_then(|facts| facts.unread.first()) {
        return Some(format!("what {heir} is cannot be told: {why}"));
    }
    if let Some(stranger) = strangers.first() {
        return Some(stranger.clone());
    }
    if let Some(moved) = inputs.beyond.moved.get(&tenant.id) {
        return Some(moved.sentence(&entry.tenant.value));
    }
    let Some(installer) = inputs.artifacts.get(&Product::Connect) else {
        return Some(download::missing(Product::Connect).to_owned());
    };
    older(installer.version, facts.connect.as_ref()?.version)
}

/// Why an installer cannot take the database of that version over: it is never older (product facts 2.7 [P]).
fn older(installer: Version, database: Option<Version>) -> Option<String> {
    match database {
        Some(database) if installer < database => Some(format!(
            "the installer {installer} is older than the {database} whose database it is, and cannot take that over; entrain artifact add brings a newer one"
        )),
        Some(_) => None,
        None => Some(
            "the version of Connect cannot be read, and an older installer cannot take its database over"
                .to_owned(),
        ),
    }
}

/// Whether Connect is taken off the last servers of an entry that have it, and another one waits for a database of theirs.
pub(super) fn makes_way(
    entry: &ConnectEntry,
    modes: &Modes,
    targets: &BTreeMap<TargetId, TargetPlan>,
) -> bool {
    let goes = |server: &TargetId| targets.get(server).is_some_and(TargetPlan::removes_connect);
    let is_awaited = |server: &TargetId| entry.heir_of(server).is_some();
    modes.keys().all(goes) && modes.keys().any(is_awaited)
}

/// The acts (G10) by which an entry's active server goes before another one is active.
pub(super) fn left_without(
    entry: &ConnectEntry,
    known: &Fleetwide,
    targets: &BTreeMap<TargetId, TargetPlan>,
) -> Vec<String> {
    let is_active = |server: &TargetId| {
        let facts = known.get(server).and_then(|known| known.facts.as_ref());
        let connect = facts.and_then(|(_, facts)| facts.connect.as_ref());
        connect.and_then(ConnectFacts::mode) == Some(false)
    };
    let going = entry.retired.iter().map(|(server, _)| server);
    let going = going.filter(|server| {
        is_active(server)
            && targets
                .get(*server)
                .is_some_and(TargetPlan::removes_connect)
    });
    let act = |server: &TargetId| {
        let heir = entry.heir_of(server)?;
        Some(format!(
            "tenant {}: its active Connect server {server} is taken off, and {heir} takes its database over: nothing is synchronized until {heir} is installed onto that, which the plan after this one does, and is made active (entrain swap {heir})",
            entry.tenant.value
        ))
    };
    going.filter_map(act).collect()
}
