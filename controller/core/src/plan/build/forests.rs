//! What a preflight has read of a forest, beside what its tenant has shown: UPN suffixes, and from when on a KDS root key may be used.

use std::collections::BTreeMap;

use protocol::step::Step;
use protocol::{DomainName, TargetId};

use crate::beyond::{Beyond, KeySeen};
use crate::plan::TargetPlan;
use crate::plan::told::Told;
use crate::tenant::{Kept, Read, Seen, Suffix};
use crate::topology::{ConnectEntry, Tenant};

/// What becomes of the names of users when Connect is installed (the vendor's article, step E7): said before the wizard, in the
/// plan and on the page of the wizard that asks for it in the middle. Each suffix of a forest has its line: its domains' names
/// and those that were added.
pub(in crate::plan) fn suffixes(
    beyond: &Beyond,
    entry: &ConnectEntry,
    tenant: &Tenant,
    targets: &mut BTreeMap<TargetId, TargetPlan>,
    warnings: &mut Vec<String>,
) {
    let installs: Vec<&TargetId> = entry
        .members()
        .filter(|server| {
            targets
                .get(server)
                .is_some_and(TargetPlan::installs_connect)
        })
        .collect();
    if installs.is_empty() {
        return;
    }
    let forests = entry.forest_names();
    let told = Told::of(beyond, &forests, &tenant.id);
    warnings.extend(told.mends.iter().cloned());
    for server in installs {
        let Some(part) = targets.get_mut(server) else {
            continue;
        };
        part.why.extend(told.suffixes.iter().cloned());
        let steps = part.phases.iter_mut().flat_map(|phase| &mut phase.steps);
        for step in steps {
            if let Step::GuideConnect(guide) = step {
                told.put_into(&mut guide.text);
            }
        }
    }
}

/// How one suffix stands in a tenant, in a sentence with what follows from that; and whether somebody has to mend it, before what.
pub(in crate::plan) fn suffix(name: &str, seen: Option<&Seen>, before: &str) -> (String, bool) {
    let onmicrosoft = "its users would sign in with onmicrosoft.com names";
    let Ok(domain) = name.parse::<DomainName>() else {
        return (
            format!(
                "{name} can be no domain of a tenant: give its users another suffix before {before}; until then {onmicrosoft}"
            ),
            true,
        );
    };
    let suffix = seen.and_then(|seen| Some((seen.observation.suffix(&domain)?, seen)));
    match suffix {
        None => (
            format!(
                "whether {name} is a verified domain of the tenant is not known (entrain tenant read): where it is not, {onmicrosoft}"
            ),
            false,
        ),
        Some((Suffix::Verified, seen)) => {
            let Read { at, by } = seen.read(Kept::Domains);
            let words =
                format!("{name} is a verified domain of the tenant, as {by} read it at {at}");
            (words, false)
        }
        Some((Suffix::NotVerified, _)) => (
            format!(
                "{name} was added to the tenant and is not verified: put the TXT record that the admin center shows into its DNS, and verify it before {before}; until then {onmicrosoft}"
            ),
            true,
        ),
        Some((Suffix::NotAdded, _)) => (
            format!(
                "{name} is no domain of the tenant: add it (admin center, Custom domain names), put its TXT record into DNS and verify it before {before}; until then {onmicrosoft}"
            ),
            true,
        ),
    }
}

/// The UPN suffixes of a domain's forest that are no verified domains of the tenant, where an agent has told the ones and somebody has
/// read the other: users who have them sign in otherwise than at home (product facts 1.7 [P]). How many have them is PF57's to tell.
pub(super) fn unverified(beyond: &Beyond, domain: &DomainName, seen: Option<&Seen>) -> Vec<String> {
    let (Some(read), Some(_)) = (
        beyond.suffixes.get(domain),
        seen.filter(|seen| seen.observation.domains.seen().is_some()),
    ) else {
        return Vec::new();
    };
    let words = |name: &String| {
        let (words, mends) = suffix(name, seen, "users who have it are synchronized");
        mends.then(|| format!("{domain}: {words}"))
    };
    read.names.iter().filter_map(words).collect()
}

/// From when on an agent can be registered as its gMSA at all: the account's password comes from a KDS root key, which is usable ten
/// hours after its start (product facts 1.6 [S]). Nobody asks the time here, so a time that was over when it was read is said so.
pub(super) fn earliest(beyond: &Beyond, home: &DomainName) -> String {
    match beyond.keys.get(home) {
        None => format!(
            "a KDS root key of {home}'s forest whose ten hours are over: when it was made is not seen (entrain preflight asks); a new one (Add-KdsRootKey -EffectiveImmediately) is usable ten hours after it was made, and no gMSA is made before"
        ),
        Some(KeySeen {
            at,
            by,
            usable_from,
        }) if usable_from <= at => format!(
            "no KDS root key: that of {home}'s forest is usable since {usable_from}, as {by} read it at {at}"
        ),
        Some(KeySeen {
            at,
            by,
            usable_from,
        }) => format!(
            "earliest start of a registration in {home}: {usable_from}, when the ten hours of its forest's KDS root key are over, as {by} read it at {at}"
        ),
    }
}
