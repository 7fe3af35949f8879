//! A domain in both tools (guard rail G7): what a topology says of it already. Which units the agents take stands in no topology, so
//! that what is written of Connect alone is judged here; the scopes themselves are asked before the domain is configured (`scope.rs`).

use protocol::DomainName;

use crate::finding::{Finding, Severity, nearest};
use crate::scope::Dn;
use crate::topology::model::{
    AgentGroup, ConnectEntry, ConnectSettings, Overlap, Service, Topology,
};

/// What an entry takes of one domain, as far as it is written. What stands on its servers may be another matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Every unit of it: no scope of agents is disjoint from that.
    Whole,
    /// Some units, the members of a group, or what an imported file says.
    Part,
    /// Nothing is written.
    Unwritten,
}

impl Takes {
    fn of(entry: &ConnectEntry, forest: &DomainName, domain: &DomainName) -> Self {
        let settings = match &entry.settings {
            ConnectSettings::Express => return Self::Whole,
            ConnectSettings::Unwritten => return Self::Unwritten,
            ConnectSettings::Custom(settings) => settings,
        };
        let written = settings.units_of(forest);
        let units = written.unwrap_or_default();
        let root = Dn::of(domain);
        let names_root = units
            .iter()
            .any(|unit| Dn::read(unit) == Some(root.clone()));
        // Filters of the domains come with a file of exported settings (product facts 2.6 [P]).
        let elsewhere = settings.pilot_groups.contains_key(forest)
            || (written.is_none() && settings.import.is_some());
        if !elsewhere && (units.is_empty() || names_root) {
            Self::Whole
        } else {
            Self::Part
        }
    }
}

/// Refuses a domain of which, as it is written, both tools take everything, unless its entry says why that is meant; says of every
/// other one that is in both what will be asked.
pub(super) fn check(topology: &Topology, findings: &mut Vec<Finding>) {
    let served = topology.served();
    for (domain, service) in &served {
        for (name, entry) in &topology.connect {
            findings.extend(one(topology, (domain, service), name, entry));
        }
    }
    for (name, entry) in &topology.connect {
        let forests = || entry.forests.iter().map(|(forest, _)| forest);
        let strange = entry
            .trees
            .keys()
            .find(|of| !forests().any(|one| one == *of));
        if let Some(strange) = strange
            && !topology.gaps.text
            && !topology.gaps.lists
        {
            let known = forests().map(DomainName::as_str);
            findings.push(Finding {
                place: entry.place.clone(),
                severity: Severity::Error,
                what: format!("trees of \"{name}\" names {strange}, which is none of its forests"),
                fix: match nearest(strange.as_str(), known) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => "name a forest by its root, with the roots of its other trees: trees = { \"corp.contoso.com\" = [\"fabrikam.com\"] }".to_owned(),
                },
            });
        }
        for (domain, (_, place)) in &entry.overlap {
            let finding = |severity, what, fix| Finding {
                place: place.clone(),
                severity,
                what,
                fix,
            };
            if topology.gaps.text || topology.gaps.lists {
                continue;
            }
            if entry.forest_of(domain).is_none() {
                let fix = match nearest(domain.as_str(), served.keys().map(DomainName::as_str)) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => "name a domain of its forests, or take it out".to_owned(),
                };
                let what = format!(
                    "overlap of \"{name}\" names {domain}, which lies in none of its forests"
                );
                findings.push(finding(Severity::Error, what, fix));
            } else if !stays_served(topology, domain, entry) {
                findings.push(finding(
                    Severity::Warning,
                    format!("overlap of \"{name}\" names {domain}, which no agents of its tenant serve: nothing overlaps there"),
                    "take it out once it is over".to_owned(),
                ));
            }
        }
    }
}

/// Whether agents of the entry's tenant go on serving a domain.
fn stays_served(topology: &Topology, domain: &DomainName, entry: &ConnectEntry) -> bool {
    let serves = |group: &AgentGroup| group.serves.iter().any(|(one, _)| one == domain);
    topology.agents.values().any(|group| {
        group.tenant.value == entry.tenant.value && !group.hosts.is_empty() && serves(group)
    })
}

/// What is said of one domain beside one entry; nothing where it lies in none of its forests.
fn one(
    topology: &Topology,
    (domain, service): (&DomainName, &Service),
    name: &str,
    entry: &ConnectEntry,
) -> Option<Finding> {
    let forest = entry.forest_of(domain)?;
    let (_, place) = entry.forests.iter().find(|(one, _)| one == forest)?;
    let mut groups = topology.agents.values();
    let one_tenant = groups.any(|group| {
        group.tenant.value == entry.tenant.value
            && group.serves.iter().any(|(one, _)| one == domain)
    });
    let what = format!(
        "{domain} is served by provisioning agents, and lies in the forest {forest} of Connect entry \"{name}\": an object must be in the scope of one tool alone (G7)"
    );
    let asked = "what the tenant (entrain tenant read) and the Connect servers (entrain plan --verify) tell is asked before the domain is configured, and holds it until they are";
    let declared = entry.overlap.get(domain).map(|(overlap, _)| *overlap);
    let (severity, what, fix) = if !one_tenant {
        // What two tenants take of one object is no conflict of theirs that could be probed here.
        let fix = "make sure that the scopes are disjoint; those of two tenants are not probed";
        (Severity::Warning, what, fix.to_owned())
    } else if let Some(overlap) = declared {
        let what = format!(
            "{what}; that they overlap is meant, as its entry says: {}",
            overlap.shown()
        );
        let fix = format!(
            "nothing now: a server that is to be configured for {domain} is held all the same where both take one unit, and goes on by override G7 alone; take the line out of `overlap` once it is over"
        );
        (Severity::Warning, what, fix)
    } else if Takes::of(entry, forest, domain) != Takes::Whole {
        let fix = format!("have both take units that are disjoint: {asked}");
        (Severity::Warning, what, fix)
    } else if entry.servers.is_empty()
        || !stays_served(topology, domain, entry)
        || service.is_abandoned()
    {
        // One of the two goes: until it is gone both take it, and nothing new is configured.
        let fix = format!("let the one that goes be gone before the other one takes it: {asked}");
        (Severity::Warning, what, fix)
    } else {
        let what = format!("{what}, and as it is written Connect takes all of {domain}");
        let fix = format!(
            "write `units` for {forest} that the agents' scope is disjoint from, or take {domain} out of `serves`; where it is meant, write overlap = {{ \"{domain}\" = \"pilot\" }} for {}, or \"moved\" for {}",
            Overlap::Pilot.shown(),
            Overlap::Moved.shown()
        );
        (Severity::Error, what, fix)
    };
    Some(Finding {
        place: place.clone(),
        severity,
        what,
        fix,
    })
}
