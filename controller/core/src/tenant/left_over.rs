//! PV39: whether the identity of a server that Connect is off for good is left in the tenant. That its engine is gone, other probes tell.

use std::collections::BTreeSet;

use protocol::TargetId;
use protocol::event::Finding;
use protocol::probe::controller::PV39;

use super::identity::Let;
use super::{Identity, Observation, Part, WantsConnect};
use crate::beyond::{Beyond, is};
use crate::facts::{Fleetwide, Known};

/// How a server stands to Connect.
enum Stands {
    /// It has it, or nobody knows.
    MayHave,
    /// It reports none, since then in each report.
    None(protocol::Timestamp),
    /// It is said to be gone for good, and reports nothing.
    Gone,
}

fn stands(target: &TargetId, known: &Fleetwide, gone: &BTreeSet<TargetId>) -> Stands {
    let known = known.get(target);
    let facts = known.and_then(|known| known.facts.as_ref());
    match (known.and_then(Known::without_connect), facts) {
        (Some(since), _) => Stands::None(since),
        (None, None) if gone.contains(target) => Stands::Gone,
        (None, _) => Stands::MayHave,
    }
}

/// PV39, of each server that reports no Connect or is said to be gone for good: where an identity names it, where it is one of the
/// tenant's and told of its Connect before, and where it is `gone`. A reading that is older than the server's report says nothing of
/// the time after.
#[must_use]
pub fn left_over(
    seen: &Observation,
    known: &Fleetwide,
    entries: &[WantsConnect],
    beyond: &Beyond,
) -> Vec<Finding> {
    let gone: &BTreeSet<TargetId> = &entries.iter().flat_map(|one| one.gone.clone()).collect();
    let members: BTreeSet<&TargetId> = entries.iter().flat_map(|one| &one.servers).collect();
    let all: BTreeSet<&TargetId> = known.keys().chain(gone).collect();
    let unread = [
        why(&seen.connect_accounts),
        why(&seen.applications),
        why(&seen.assigned),
    ];
    let unread = unread.into_iter().flatten().next();
    // Servers of the tenant whose identity has any name account for as many.
    let unnamed = |server: &&&TargetId| {
        let facts = known.get(**server).and_then(|known| known.facts.as_ref());
        let mut named = seen.identities().filter_map(|one| one.server);
        facts.is_some_and(|(_, facts)| facts.connect.is_some())
            && !named.any(|name| is(name, server))
    };
    // A user whose name has no server's in it is none of Connect's: cloud sync has one of its own with that role ([K]).
    let nameless = |one: &Identity<'_>| one.server.is_none() && one.by != Let::Account;
    let nameless = seen.identities().filter(nameless).count();
    let nameless = nameless.saturating_sub(members.iter().filter(unnamed).count());
    let judge = |target: &&TargetId| {
        let reported = match stands(target, known, gone) {
            Stands::MayHave => return None,
            Stands::None(at) => Some(at),
            Stands::Gone => None,
        };
        let names = |one: &Identity<'_>| one.server.is_some_and(|name| is(name, target));
        let own: Vec<Identity<'_>> = seen.identities().filter(names).collect();
        let told =
            beyond.applications.contains_key(*target) || beyond.settings.contains_key(*target);
        let was = gone.contains(*target) || (told && members.contains(target));
        if own.is_empty() && !was {
            return None;
        }
        // A short name may be another server's, which has Connect.
        let other = own.iter().find_map(|one| {
            let name = one.server?;
            let mut others = all
                .iter()
                .filter(|other| *other != target && is(name, other));
            let has = others.find(|other| matches!(stands(other, known, gone), Stands::MayHave));
            has.map(|other| (one.shown(), other.to_string()))
        });
        // One that was seen before the report may be gone since, however young the reading is that keeps it.
        let is_since =
            |one: &&Identity<'_>| reported.is_none_or(|at| seen.seen_at(one.by.part()) >= at);
        let since: Vec<&Identity<'_>> = own.iter().filter(is_since).collect();
        let shows = |all: &[&Identity<'_>]| {
            let all: Vec<String> = all.iter().map(|one| one.shown()).collect();
            all.join(", ")
        };
        let told = if let Some((one, other)) = other {
            Err(format!("{target}: {one} may be of {other}"))
        } else if !own.is_empty() && since.is_empty() {
            let shown = shows(&own.iter().collect::<Vec<_>>());
            Err(format!(
                "{target}: {shown} was there when the tenant was read, which was before the server reported that it has no Connect"
            ))
        } else if own.is_empty()
            && let Some(why) = unread
        {
            Err(format!("{target}: {why}"))
        } else if own.is_empty() && nameless > 0 {
            Err(format!(
                "{target}: no identity names it, and {nameless} in the tenant name no server: one of them may be of it"
            ))
        } else {
            Ok(since)
        };
        Some(PV39.judge_gently(
            told,
            |left| match left.is_empty() {
                true => format!("{target}: no identity in the tenant names it"),
                false => format!("{target}: left in the tenant: {}", shows(left)),
            },
            Vec::is_empty,
        ))
    };
    all.iter().filter_map(judge).collect()
}

fn why<T>(part: &Part<T>) -> Option<&str> {
    match part {
        Part::Seen(_) => None,
        Part::NotSeen(why) => Some(why),
    }
}
