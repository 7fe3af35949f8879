//! The parts of Connect servers.

use std::collections::BTreeMap;

use protocol::TargetId;
use protocol::facts::ConnectFacts;
use protocol::step::{Product, Step};

use crate::active;
use crate::active::{Modes, Verdict};
use crate::plan::build::forests::suffixes;
use crate::plan::build::successor::{makes_way, successor};
use crate::plan::build::{
    FENCED, Inputs, MOVED, Member, NEVER_REPORTED, Purpose, READINESS, add_reason, inspection,
    installs_active, part, strangers,
};
use crate::plan::import::imports;
use crate::plan::{TargetPlan, lane, rules};
use crate::recipe::discover::Askers;
use crate::recipe::restart::Rule;
use crate::recipe::{Answer, agent, connect, connect_removal, discover};
use crate::topology::ConnectEntry;

pub(super) fn connects(
    inputs: Inputs<'_>,
    askers: &Askers,
    targets: &mut BTreeMap<TargetId, TargetPlan>,
    members: &mut BTreeMap<TargetId, Member>,
    alarms: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let Inputs {
        topology,
        known,
        artifacts,
        purpose,
        ..
    } = inputs;
    for (name, entry) in &topology.connect {
        let Some(tenant) = topology.tenants.get(&entry.tenant.value) else {
            continue;
        };
        let strangers = strangers(inputs.beyond, entry, &tenant.id, known);
        let mut modes = Modes::new();
        let mut untold = Vec::new();
        for server in inputs.members(entry) {
            let facts = known.get(server).and_then(|known| known.facts.as_ref());
            let Some((_, facts)) = facts else {
                untold.push(server.clone());
                continue;
            };
            if let Some(connect) = &facts.connect {
                modes.insert(server.clone(), connect.mode());
            }
        }
        for server in entry.members() {
            let leaves = entry.retired.iter().any(|(gone, _)| gone == server);
            let host = targets.get(server);
            let host_leaves = members.get(server).is_some_and(|member| member.leaves);
            if host.is_some() && (leaves || host_leaves) {
                let why = if host_leaves {
                    "Connect on it gets no work while it is retired as a host of agents"
                } else {
                    "Connect on it is retired, and is not taken off while it is a host of provisioning agents too: retire it there first"
                };
                add_reason(targets, server, why);
                continue;
            }
            // Either is asked of a server once.
            if host.is_some()
                && matches!(
                    purpose,
                    Purpose::Agents | Purpose::Discover | Purpose::Support
                )
            {
                continue;
            }
            let known = known.get(server);
            let facts = inputs.reported(server);
            let answer = match (facts, purpose) {
                _ if let Some(answer) = inputs.unanswerable(server) => answer,
                // Whatever is on the server, and whether it could be read.
                (_, Purpose::Agents) => agent::answer(inputs.roster, inputs.release, server),
                (None, _) => Answer::Nothing(NEVER_REPORTED.to_owned()),
                (Some(_), Purpose::Discover) => discover::answer(askers, server),
                (Some(_), Purpose::Support) => Answer::Nothing(
                    "no way to collect Connect's logs is documented: look into %ProgramData%\\AADConnect on the server".to_owned(),
                ),
                (Some(facts), Purpose::Install) if leaves => {
                    let successor =
                        successor(inputs, entry, tenant, (server, facts), &strangers);
                    connect_removal::answer(tenant, server, facts, &successor)
                }
                (Some(facts), Purpose::Verify) if leaves && facts.connect.is_none() => {
                    let steps = vec![Step::VerifyConnectRemoved];
                    inspection(steps, "verified; nothing is changed")
                }
                (Some(_), Purpose::Preflight) if leaves => {
                    Answer::Nothing("it is retired: there is nothing to be ready for".to_owned())
                }
                (Some(facts), Purpose::Install | Purpose::Verify)
                    if facts.connect.as_ref().is_some_and(ConnectFacts::is_fenced) =>
                {
                    Answer::Nothing(FENCED.to_owned())
                }
                (Some(facts), Purpose::Install)
                    if facts.connect.is_none() && inputs.beyond.moved.contains_key(&tenant.id) =>
                {
                    Answer::Nothing(MOVED.to_owned())
                }
                (Some(facts), Purpose::Install) => {
                    let modes = (&modes, untold.as_slice(), strangers.as_slice());
                    let mut answer =
                        connect::answer(topology, entry, tenant, server, facts, modes, artifacts);
                    let site = entry.site.as_ref();
                    let rule = Rule::of(topology, inputs.policy, site, server, facts);
                    rule.into_iter().for_each(|rule| rule.put_into(&mut answer));
                    answer
                }
                (Some(facts), Purpose::Verify) => {
                    let has_connect = facts.connect.is_some();
                    let newest = artifacts.get(&protocol::step::Product::Connect);
                    let newest = newest.map(|newest| newest.version);
                    let mut steps = connect::verification(topology, entry, newest);
                    // What it takes is asked of a domain that agents serve as well (G7).
                    // What it exports, whoever imports it compares with; its default rules are held against those of the others.
                    let imports = entry.imports().is_some();
                    let several = entry.members().count() > 1;
                    if has_connect && (imports || several || in_both_tools(inputs, entry)) {
                        steps.push(Step::ReadConnectSettings);
                    }
                    inspection(steps, "verified; nothing is changed")
                }
                (Some(facts), Purpose::Preflight) => {
                    let newest = artifacts.get(&protocol::step::Product::Connect);
                    let newest = newest.map(|newest| newest.version);
                    let mut steps = connect::readiness(entry, tenant, server, facts, newest);
                    if facts.connect.is_some() && entry.members().count() > 1 {
                        steps.push(Step::ReadConnectSettings);
                    }
                    inspection(steps, READINESS)
                }
            };
            let lane = lane::of_entry(name);
            let mut part = part(tenant.id.clone(), known, lane.clone(), Vec::new(), answer);
            part.assume(purpose);
            part.site = entry.site.as_ref().map(|site| site.value.clone());
            part.soak(inputs.policy.soak.seconds(Product::Connect));
            let part = match targets.remove(server) {
                None => part,
                Some(host) => match beside(host, part) {
                    // It stays a member of its group.
                    Beside::Host(host) => {
                        targets.insert(server.clone(), host);
                        continue;
                    }
                    Beside::Connect(part) => part,
                },
            };
            targets.insert(server.clone(), part);
            members.insert(
                server.clone(),
                Member {
                    lane,
                    labels: entry.labels.clone(),
                    domains: entry.forests.iter().map(|(name, _)| name.clone()).collect(),
                    last: modes.get(server) != Some(&Some(true)),
                    leaves,
                },
            );
        }
        if purpose == Purpose::Install {
            suffixes(inputs.beyond, entry, tenant, targets, warnings);
            imports(inputs.beyond, entry, targets);
            rules::compared(inputs, entry, targets);
            let seen = inputs.beyond.tenants.get(&tenant.id);
            let seen = seen.and_then(|seen| seen.observation.organization.seen());
            let mut own = entry.members();
            if seen.is_none() && own.any(|server| targets.get(server).is_some_and(installs_active))
            {
                warnings.push(format!(
                    "whether tenant {} was ever synchronized is not known (entrain tenant read): where it was not, the wizard switches that on, and it cannot be undone (G10)",
                    entry.tenant.value
                ));
            }
        }
        // That none is active does not stand against the plan that makes one active, or that makes way for one.
        let mends = active::active(&modes).is_empty()
            && (makes_way(entry, &modes, targets)
                || entry
                    .members()
                    .any(|server| targets.get(server).is_some_and(TargetPlan::makes_active)));
        if purpose == Purpose::Install
            && let ([now], Some((preferred, _))) =
                (active::active(&modes).as_slice(), &entry.prefer_active)
            && *now != preferred
            && modes.get(preferred) == Some(&Some(true))
        {
            warnings.push(format!(
                "{now} is the active Connect server of tenant {}, and {preferred} is preferred: entrain swap {preferred} proposes the change",
                entry.tenant.value
            ));
        }
        warnings.extend(
            strangers
                .iter()
                .filter(|_| purpose != Purpose::Discover)
                .cloned(),
        );
        let moved = inputs.beyond.moved.get(&tenant.id);
        if let Some(moved) = moved
            && purpose == Purpose::Install
            && !modes.is_empty()
        {
            warnings.push(moved.sentence(&entry.tenant.value));
        }
        match active::look_at(&entry.tenant.value, &modes, moved) {
            Verdict::Holds => {}
            // Where all of them go, none is active in the end.
            Verdict::Broken(why)
                if purpose == Purpose::Install && !mends && !entry.servers.is_empty() =>
            {
                alarms.push(why);
            }
            Verdict::Broken(why) | Verdict::CannotTell(why) => warnings.push(why),
        }
    }
}

/// Whose part a server has that carries both products.
enum Beside {
    /// That of the host of provisioning agents, with what is looked at of Connect.
    Host(TargetPlan),
    /// That of the Connect server.
    Connect(TargetPlan),
}

/// Puts together what a server does that is a host of provisioning agents and a Connect server: both are looked at in one breath,
/// and changed one after the other. A grade is that of its lane's product, so nothing is looked at beside what is changed.
fn beside(mut host: TargetPlan, mut connect: TargetPlan) -> Beside {
    let changes = |part: &TargetPlan| !part.is_read_only();
    match (changes(&host), changes(&connect)) {
        (true, true) => {
            host.why.push(
                "Connect on it waits for the plan after this one: one product is changed at a time"
                    .to_owned(),
            );
            Beside::Host(host)
        }
        (false, true) => {
            connect.domains = host.domains;
            connect.why.push(
                "nothing is to be changed on its provisioning agent, which entrain plan --verify looks at"
                    .to_owned(),
            );
            Beside::Connect(connect)
        }
        (true, false) => {
            host.why.push(
                "Connect on it is left as it is in this plan; entrain plan --verify looks at it"
                    .to_owned(),
            );
            Beside::Host(host)
        }
        (false, false) if host.left_out && !connect.left_out => {
            connect.domains = host.domains;
            connect.why.extend(host.why);
            Beside::Connect(connect)
        }
        (false, false) => {
            let phases = connect.phases.into_iter();
            match host.phases.first_mut() {
                Some(looks) => looks.steps.extend(phases.flat_map(|work| work.steps)),
                None => host.phases.extend(phases),
            }
            let why = connect.why.iter().map(|why| format!("Connect: {why}"));
            host.why.extend(why);
            Beside::Host(host)
        }
    }
}

/// Agents of the same tenant serve a domain of the entry's forests.
fn in_both_tools(inputs: Inputs<'_>, entry: &ConnectEntry) -> bool {
    let groups = inputs.topology.agents.values();
    let mut served = groups
        .filter(|group| group.tenant.value == entry.tenant.value)
        .flat_map(|group| &group.serves);
    served.any(|(domain, _)| entry.takes(&inputs.beyond.suffixes, domain).is_some())
}
