//! Builds a plan.

mod agents;
mod connects;
pub(super) mod forests;
mod successor;

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::{Finding, Verdict as FindingVerdict};
use protocol::facts::{Facts, ProvisioningAgentFacts};
use protocol::probe::tenant as catalogue;
use protocol::signed::Phase;
use protocol::step::{Permission, Product, Step};
use protocol::{DomainName, TargetId, TenantId, Version};
use serde::{Deserialize, Serialize};

use crate::beyond::Beyond;
use crate::facts::{self, Fleetwide};
use crate::finding::Place;
use crate::plan::last_agent;
use crate::plan::{DomainPlan, Kind, LanePlan, Limits, Plan, TargetPlan, TenantPart, exporting};
use crate::policy::{Policy, Selector};
use crate::recipe::discover::Askers;
use crate::recipe::{Answer, Artifacts, PhaseWork, discover};
use crate::roster::Roster;
use crate::scope::{self, Question};
use crate::tenant::{self, Probed, Seen, Wants, WantsConnect};
use crate::topology::{AgentGroup, Change, ConnectEntry, Overlap, Service, Tenant, Topology};

/// What a plan is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Bring about what the topology says.
    Install,
    /// Verify what is there.
    Verify,
    /// Ask each server whether it is ready, and change nothing.
    Preflight,
    /// Ask each domain's directory for servers, and change nothing.
    Discover,
    /// Collect logs for whoever supports the products, and change nothing.
    Support,
    /// Upgrade Entrain's own agents.
    Agents,
}

/// Everything that a plan reads.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Checked topology.
    pub topology: &'a Topology,
    /// Policy.
    pub policy: &'a Policy,
    /// Facts.
    pub known: &'a Fleetwide,
    /// Newest artifacts.
    pub artifacts: &'a Artifacts,
    /// Agents and their releases: what a plan that upgrades them reads.
    pub roster: Option<&'a Roster>,
    /// The release that such a plan is for; the newest that was not withdrawn where none is named.
    pub release: Option<Version>,
    /// What tenants and directories showed when they were last asked.
    pub beyond: &'a Beyond,
    /// What for.
    pub purpose: Purpose,
    /// Servers that this is about; empty for all.
    pub only: &'a BTreeSet<TargetId>,
}

const NOT_ENROLLED: &str = "held: not enrolled; bring the agent onto it with a join file";

const NOT_ASKED: &str = "this is not about it";

const NEVER_REPORTED: &str = "held: it has never reported its facts";

impl<'a> Inputs<'a> {
    /// About every server, where nothing was seen beyond them.
    #[must_use]
    pub const fn of(
        topology: &'a Topology,
        policy: &'a Policy,
        known: &'a Fleetwide,
        artifacts: &'a Artifacts,
        purpose: Purpose,
    ) -> Self {
        Self {
            topology,
            policy,
            known,
            artifacts,
            roster: None,
            release: None,
            beyond: Beyond::NOTHING,
            purpose,
            only: const { &BTreeSet::new() },
        }
    }

    /// What a server last reported.
    pub(super) fn reported(&self, server: &TargetId) -> Option<&'a Facts> {
        let facts = self.known.get(server)?.facts.as_ref();
        facts.map(|(_, facts)| facts)
    }

    /// Why nothing can be said of a server, whatever is asked: it is not enrolled, this is not about it, it was said to be off, or it has never
    /// told what it is, of which an upgrade of its agent alone needs nothing.
    pub(super) fn unanswerable(&self, server: &TargetId) -> Option<Answer> {
        let why = match self.known.get(server) {
            None => NOT_ENROLLED,
            Some(_) if !self.is_about(server) => NOT_ASKED,
            Some(_) if self.beyond.said_off.contains(server) => SAID_OFF,
            Some(known) if known.facts.is_none() && self.purpose != Purpose::Agents => {
                NEVER_REPORTED
            }
            Some(_) => return None,
        };
        Some(Answer::Nothing(why.to_owned()))
    }

    fn is_about(&self, target: &TargetId) -> bool {
        self.only.is_empty() || self.only.contains(target)
    }

    /// The servers of a Connect entry, but for those that were said to be off and were not seen since: what they told last counts for nothing.
    pub(super) fn members(&self, entry: &'a ConnectEntry) -> impl Iterator<Item = &'a TargetId> {
        let off = &self.beyond.said_off;
        entry.members().filter(|server| !off.contains(*server))
    }
}

struct Member {
    lane: String,
    labels: BTreeMap<String, String>,
    domains: BTreeSet<DomainName>,
    /// Goes after the others of its lane: the active Connect server, after those that are staging; an agent that serves,
    /// after those that do not yet.
    last: bool,
    /// Its provisioning agent goes for good: after everything else.
    leaves: bool,
}

/// Builds the plan.
#[must_use]
pub fn plan(inputs: Inputs<'_>) -> Plan {
    let Inputs {
        topology,
        policy,
        known,
        purpose,
        ..
    } = inputs;
    let mut members = BTreeMap::new();
    let mut targets = BTreeMap::new();
    let (mut alarms, mut warnings) = (Vec::new(), Vec::new());
    // Nobody asks for servers unless that is what the plan is for.
    let askers = match purpose {
        Purpose::Discover => discover::askers(topology, known, &inputs.beyond.said_off),
        Purpose::Install
        | Purpose::Verify
        | Purpose::Preflight
        | Purpose::Support
        | Purpose::Agents => Askers::new(),
    };
    agents::agents(inputs, &askers, &mut targets, &mut members);
    warnings.extend(agents::strange(known, &targets));
    if matches!(purpose, Purpose::Install | Purpose::Verify) {
        warnings.extend(agents::unequal(topology, known));
    }
    connects::connects(
        inputs,
        &askers,
        &mut targets,
        &mut members,
        &mut alarms,
        &mut warnings,
    );
    let kind = match purpose {
        Purpose::Install => Kind::Install,
        Purpose::Verify => Kind::Verify,
        Purpose::Preflight => Kind::Preflight,
        Purpose::Discover => Kind::Discover,
        Purpose::Support => Kind::Support,
        Purpose::Agents => Kind::Agents,
    };
    let waves = waves(policy, &targets, &members);
    let with_work: usize = waves.iter().map(Vec::len).sum();
    let services = Services::of(topology, known);
    let domains = domains_of(topology, &services, known);
    let irreversible = match kind {
        Kind::Install => irreversible(topology, &services.all, known, inputs.beyond, &targets),
        Kind::Verify
        | Kind::Preflight
        | Kind::Discover
        | Kind::Support
        | Kind::Switch
        | Kind::Swing
        | Kind::Agents
        | Kind::Eligibility
        | Kind::Undo
        | Kind::Transition => Vec::new(),
    };
    let sites = match kind {
        Kind::Install | Kind::Agents => policy.site_rules(topology),
        Kind::Verify
        | Kind::Preflight
        | Kind::Discover
        | Kind::Support
        | Kind::Switch
        | Kind::Swing
        | Kind::Eligibility
        | Kind::Undo
        | Kind::Transition => BTreeMap::new(),
    };
    let tenants = match kind {
        Kind::Install | Kind::Preflight => tenants(inputs, &mut targets, Asked::Every),
        Kind::Verify
        | Kind::Discover
        | Kind::Support
        | Kind::Switch
        | Kind::Swing
        | Kind::Agents
        | Kind::Eligibility
        | Kind::Undo
        | Kind::Transition => BTreeMap::new(),
    };
    let changes = matches!(kind, Kind::Install | Kind::Agents);
    let change_required = topology
        .tenants
        .values()
        .any(|tenant| tenant.change == Change::Required);
    let lanes = lanes(topology);
    let exports = match kind {
        Kind::Install => exporting::now(inputs, &lanes),
        Kind::Verify
        | Kind::Preflight
        | Kind::Discover
        | Kind::Support
        | Kind::Switch
        | Kind::Swing
        | Kind::Agents
        | Kind::Eligibility
        | Kind::Undo
        | Kind::Transition => BTreeMap::new(),
    };
    let mut plan = Plan {
        format: 1,
        kind,
        topology: topology.digest,
        policy: policy.digest,
        facts: facts::digest(known, topology.targets()),
        lanes,
        waves,
        domains,
        limits: Limits {
            in_flight: policy.in_flight,
            failures: policy.failures.of(with_work),
            canary: policy.canary,
            unreachable: policy.unreachable,
        },
        need: policy.need,
        change_required: change_required && changes,
        targets,
        alarms,
        warnings,
        irreversible,
        waits: Vec::new(),
        compares: Vec::new(),
        off: None,
        sites,
        tenants,
        owners: owners(topology),
        readiness: BTreeMap::new(),
        exports,
    };
    let ends = plan.targets.keys().filter_map(|target| {
        let why = last_agent::still_configured(&plan, target, known, inputs.beyond)?;
        Some((target.clone(), format!("held: {why}")))
    });
    let ends: Vec<(TargetId, String)> = ends.collect();
    for (target, why) in ends {
        add_reason(&mut plan.targets, &target, &why);
    }
    plan
}

/// Who answers for each domain of which that is written.
pub(super) fn owners(topology: &Topology) -> BTreeMap<DomainName, String> {
    let written = topology.domains.iter();
    written
        .filter_map(|(domain, written)| Some((domain.clone(), written.owner.clone()?)))
        .collect()
}

/// Which servers of a domain serve it now, and which run for a domain that is not known.
fn serving(
    domain: &DomainName,
    service: &Service,
    known: &Fleetwide,
) -> (Vec<TargetId>, Vec<TargetId>) {
    let all: BTreeSet<&TargetId> = service.servers.iter().chain(&service.leaving).collect();
    let (mut serving, mut running) = (Vec::new(), Vec::new());
    for target in all {
        let Some(known) = known.get(target) else {
            continue;
        };
        let facts = known.facts.as_ref();
        let agent = facts.and_then(|(_, facts)| facts.provisioning_agent.as_ref());
        if !agent.is_some_and(ProvisioningAgentFacts::serves) {
            continue;
        }
        match &known.domains {
            Some(domains) if domains.contains(domain) => serving.push(target.clone()),
            // Registered at the wizard: what a person gave it there nobody has said.
            Some(domains) if domains.is_empty() => running.push(target.clone()),
            // Somebody else registered it, and may have given it more than is known.
            Some(_) if known.untold => running.push(target.clone()),
            Some(_) => {}
            None => running.push(target.clone()),
        }
    }
    (serving, running)
}

/// Which tenants a plan asks about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    /// Those of the topology.
    Every,
    /// The one whose Connect servers it is about.
    One(&'a TenantId),
    /// That one, whose active server is gone: it is said, and stops nothing. A second active server is held by its facts (G1); all
    /// else the person meets at the wizard, and nothing synchronizes meanwhile.
    Emergency(&'a TenantId),
}

/// What is wanted of each tenant, with what it was seen to be, and what that means for its targets.
pub(super) fn tenants(
    inputs: Inputs<'_>,
    targets: &mut BTreeMap<TargetId, TargetPlan>,
    asked: Asked<'_>,
) -> BTreeMap<TenantId, TenantPart> {
    let (one, emergency) = match asked {
        Asked::Every => (None, false),
        Asked::One(one) => (Some(one), false),
        Asked::Emergency(one) => (Some(one), true),
    };
    let Inputs {
        topology,
        known,
        beyond,
        artifacts,
        ..
    } = inputs;
    let part = |(name, tenant): (&String, &Tenant)| {
        let mut wants = wants(topology, beyond, name, tenant);
        // What is signed in is what a plan brings: no agent is configured before it has the version.
        let chosen = artifacts.get(&Product::ProvisioningAgent);
        wants.agent = topology
            .wanted
            .provisioning_agent
            .or(chosen.map(|artifact| artifact.version));
        let used = !wants.serves.is_empty() || !wants.connect.is_empty();
        let asked = one.is_none_or(|one| *one == tenant.id);
        (used && asked).then(|| (tenant.id.clone(), wants))
    };
    let all: Vec<(TenantId, Wants)> = topology.tenants.iter().filter_map(part).collect();
    let mut parts = BTreeMap::new();
    for (id, wants) in all {
        let seen = beyond.tenants.get(&id);
        let mut found = Vec::new();
        if let Some(seen) = seen {
            found = tenant::findings(&seen.observation, &wants, known, beyond);
        }
        let own = targets
            .values_mut()
            .filter(|part| part.tenant == id && !part.is_read_only());
        for part in own {
            let stops = found.iter().filter(|one| tenant::stops(one, part, 0));
            let stops = stops.filter(|_| !emergency);
            let held: Vec<String> = stops
                .map(|one| {
                    format!(
                        "held: {} of its tenant: {}; {} (G8)",
                        one.finding.id, one.finding.read, one.finding.fix
                    )
                })
                .collect();
            part.why.extend(held);
            let domains: BTreeSet<DomainName> =
                part.phases.iter().flat_map(PhaseWork::configures).collect();
            for domain in &domains {
                part.why.extend(shared(inputs, &wants, domain, seen));
                part.why.extend(maybe_shared(inputs, &wants.name, domain));
            }
        }
        let part = TenantPart {
            said: said(&wants, seen, &found),
            blocks: found.iter().any(|one| one.finding.blocks()),
            wants,
        };
        parts.insert(id, part);
    }
    parts
}

/// What is said of a domain that is about to be configured, where Connect takes all of a forest whose other trees nobody has read (G7).
fn maybe_shared(
    inputs: Inputs<'_>,
    tenant: &str,
    domain: &DomainName,
) -> impl Iterator<Item = String> {
    let entries = inputs.topology.connect.iter();
    let own = entries.filter(move |(_, entry)| entry.tenant.value == tenant);
    own.flat_map(move |(name, entry)| {
        let untold = entry.may_take(&inputs.beyond.suffixes, domain);
        untold.into_iter().map(move |forest| {
            format!(
                "whether {domain} is another tree of the forest {forest}, of which [connect.{name}] takes everything, cannot be told: entrain preflight of its servers reads the forest's domains; where it is one, trees = {{ \"{forest}\" = [\"{domain}\"] }} of that entry says so (G7)"
            )
        })
    })
}

fn wants(topology: &Topology, beyond: &Beyond, name: &str, tenant: &Tenant) -> Wants {
    let groups = topology
        .agents
        .values()
        .filter(|group| group.tenant.value == name);
    let serves: BTreeSet<DomainName> = groups
        .flat_map(|group| &group.serves)
        .map(|(domain, _)| domain.clone())
        .collect();
    let hashes = serves.iter().filter(|domain| {
        let written = topology.domains.get(*domain);
        written.is_some_and(|one| one.permissions.contains(&Permission::PasswordHashSync))
    });
    let hashes = hashes.cloned().collect();
    let entries = topology
        .connect
        .iter()
        .filter(|(_, entry)| entry.tenant.value == name);
    let connect = entries.map(|(name, entry)| WantsConnect {
        name: name.clone(),
        forests: entry.forest_names(),
        trees: entry.trees.values().flatten().cloned().collect(),
        read: serves
            .iter()
            .filter(|domain| entry.forest_of(domain).is_none())
            .filter(|domain| entry.takes(&beyond.suffixes, domain).is_some())
            .cloned()
            .collect(),
        servers: entry.members().cloned().collect(),
        gone: entry.gone.clone(),
    });
    let connect = connect.collect();
    Wants {
        name: name.to_owned(),
        sign_in: Some(tenant.sign_in),
        agent: None,
        serves,
        hashes,
        connect,
    }
}

/// How a domain that is about to be configured stands to Connect (G7), in a sentence for each entry.
fn shared(
    inputs: Inputs<'_>,
    wants: &Wants,
    domain: &DomainName,
    seen: Option<&Seen>,
) -> Vec<String> {
    let sentence = |entry| {
        let question = Question {
            domain,
            wants,
            entry,
            seen: seen.map(|seen| &seen.observation),
        };
        match question.answer(inputs.beyond, inputs.known, None) {
            scope::Verdict::Disjoint(words) => {
                format!(
                    "{domain} is in both tools, in units that are disjoint: {words} (G7); asked once more before it is configured"
                )
            }
            scope::Verdict::Overlap(words) => {
                format!(
                    "held: {domain} is in both tools: {words}; {} (G7)",
                    catalogue::PF67.fix
                )
            }
            scope::Verdict::CannotTell(why) => format!(
                "held: {domain} is in both tools, and whether their units are disjoint cannot be told: {why} (G7)"
            ),
        }
    };
    let mut said = Vec::new();
    for entry in wants.shares(&inputs.beyond.suffixes, domain) {
        said.push(sentence(entry));
        let written = inputs.topology.connect.get(&entry.name);
        if let Some((overlap, _)) = written.and_then(|written| written.overlap.get(domain)) {
            said.push(declared_overlap(domain, &entry.name, *overlap));
        }
    }
    said
}

/// What people decide and do where an entry says that a domain is meant to be in both tools (product facts 3 [P]).
fn declared_overlap(domain: &DomainName, entry: &str, overlap: Overlap) -> String {
    let shown = overlap.shown();
    let people = match overlap {
        Overlap::Pilot => {
            "whoever runs Connect stops the cycle (Stop-ADSyncSyncCycle; Set-ADSyncScheduler -SyncCycleEnabled $false) and makes, for each type of object and forest, an inbound rule that sets cloudNoFlow to True and an outbound one of link type JoinNoFlow, before the domain is configured, and releases the cycle once they are saved (Set-ADSyncScheduler -SyncCycleEnabled $true: its setting lies in the tenant, for every server of it); its objects must have mS-DS-ConsistencyGuid by then (PF60), and a change of a reference ignores cloudNoFlow"
        }
        Overlap::Moved => {
            "nobody makes one of its Connect servers active again before cloud sync's jobs are stopped; after two weeks Connect is taken off"
        }
    };
    format!(
        "decided by whoever wrote the topology: {domain} is in both tools on purpose, since [connect.{entry}] has overlap for {shown}: {people}; where both take one unit it is held all the same, and goes on by override G7 (G7)"
    )
}

/// What is said of a tenant in a plan.
fn said(wants: &Wants, seen: Option<&Seen>, found: &[Probed]) -> Vec<String> {
    let Some(seen) = seen else {
        return vec![format!(
            "not seen in tenant: nobody has read it (entrain tenant read {}); what is asked of it is not answered, and stops nothing",
            wants.name
        )];
    };
    let open: Vec<&Finding> = found
        .iter()
        .map(|one| &one.finding)
        .filter(|finding| finding.verdict != FindingVerdict::Pass)
        .collect();
    let passed = found.len() - open.len();
    let mut said = vec![format!(
        "as {} read it at {}: {passed} of {} answers pass",
        seen.by,
        seen.observation.at,
        found.len()
    )];
    said.extend(seen.kept_in_words());
    said.extend(open.into_iter().map(tenant::sentence));
    said
}

/// G10: the last agent of a domain goes, or the last Connect server of a tenant; or synchronization begins in a tenant.
fn irreversible(
    topology: &Topology,
    served: &BTreeMap<DomainName, Service>,
    known: &Fleetwide,
    beyond: &Beyond,
    targets: &BTreeMap<TargetId, TargetPlan>,
) -> Vec<String> {
    let has_agent = |host: &TargetId| {
        let facts = known.get(host).and_then(|known| known.facts.as_ref());
        let agent = facts.and_then(|(_, facts)| facts.provisioning_agent.as_ref());
        agent.is_some_and(|agent| !agent.is_removed())
    };
    let left = served.iter().filter(|(_, service)| service.is_abandoned());
    let goes = |(domain, service): (&DomainName, &Service)| {
        let leaving = service.leaving.iter();
        let going: Vec<String> = leaving
            .filter(|host| {
                has_agent(host) && targets.get(host).is_some_and(|part| !part.is_read_only())
            })
            .map(|host| host.to_string())
            .collect();
        (!going.is_empty()).then(|| {
            let mut groups = topology.agents.values();
            // One that was taken out of `serves` is known by whoever still serves it.
            let serves = |group: &&AgentGroup| {
                group.serves.iter().any(|(one, _)| one == domain)
                    || group.retired.iter().any(|(host, _)| service.leaving.contains(host))
            };
            let tenant = groups
                .find(serves)
                .and_then(|group| topology.tenants.get(&group.tenant.value));
            let seen = tenant.and_then(|tenant| beyond.tenants.get(&tenant.id));
            let before = last_agent::before(domain, seen);
            let going = going.join(", ");
            let others: Vec<String> = tenant
                .map(|tenant| last_agent::untold((known, beyond), targets, &tenant.id, &service.leaving))
                .unwrap_or_default();
            match others.as_slice() {
                [] => format!(
                    "{domain}: its last provisioning agent is taken off ({going}); what it synchronized stays in the tenant, and nothing follows the directory any more; {before}"
                ),
                others => format!(
                    "{domain}: its last provisioning agent that is known to serve it is taken off ({going}); whether {} serves it too is not known: where it does not, what was synchronized stays in the tenant, and nothing follows the directory any more; {before}",
                    others.join(" or ")
                ),
            }
        })
    };
    let mut acts: Vec<String> = left.filter_map(goes).collect();
    for entry in topology
        .connect
        .values()
        .filter(|entry| entry.servers.is_empty())
    {
        let going: Vec<&str> = entry
            .members()
            .filter(|server| targets.get(server).is_some_and(TargetPlan::removes_connect))
            .map(TargetId::as_str)
            .collect();
        if !going.is_empty() {
            let tenant = topology.tenants.get(&entry.tenant.value);
            let moved = tenant.and_then(|tenant| beyond.moved.get(&tenant.id));
            let after = match moved {
                Some(moved) => format!(
                    "rollout {} has moved the tenant to cloud sync, and no Connect is there any more to which it could go back",
                    moved.rollout
                ),
                None => "what it synchronized stays in the tenant, and nothing follows the directory any more".to_owned(),
            };
            acts.push(format!(
                "tenant {}: its last Connect server is taken off ({}); {after}",
                entry.tenant.value,
                going.join(", ")
            ));
        }
    }
    for entry in topology.connect.values() {
        acts.extend(successor::left_without(entry, known, targets));
        acts.extend(switches_on(topology, beyond, entry, targets));
    }
    acts
}

/// The act (G10) of a plan that makes a server of an entry active whose tenant's synchronization was seen to be off.
pub(super) fn switches_on(
    topology: &Topology,
    beyond: &Beyond,
    entry: &ConnectEntry,
    targets: &BTreeMap<TargetId, TargetPlan>,
) -> Option<String> {
    let tenant = topology.tenants.get(&entry.tenant.value)?;
    let seen = beyond.tenants.get(&tenant.id)?;
    let off = !seen.observation.organization.seen()?.sync_enabled;
    let mut members = entry.members();
    let starts = members.any(|server| targets.get(server).is_some_and(TargetPlan::makes_active));
    (off && starts).then(|| switched_on(&entry.tenant.value))
}

/// The act that cannot be undone of whatever makes a server active in a tenant whose synchronization is off.
pub(crate) fn switched_on(tenant: &str) -> String {
    format!(
        "tenant {tenant}: directory synchronization is switched on for it for the first time, by the wizard"
    )
}

pub(super) fn lanes(topology: &Topology) -> BTreeMap<String, LanePlan> {
    let lane =
        |kind: &str, name: &str, tenant: &str, covers: Vec<DomainName>, own: Vec<TargetId>| {
            let of = topology.tenants.get(tenant)?;
            let plan = LanePlan {
                tenant_name: tenant.to_owned(),
                tenant: of.id.clone(),
                cloud: of.cloud,
                covers,
                connect: own,
            };
            Some((format!("{kind}.{name}"), plan))
        };
    let names = |list: &[(DomainName, Place)]| list.iter().map(|(name, _)| name.clone()).collect();
    let groups = topology.agents.iter().filter_map(|(name, group)| {
        let covers = names(&group.serves);
        lane("agents", name, &group.tenant.value, covers, Vec::new())
    });
    let entries = topology.connect.iter().filter_map(|(name, entry)| {
        let own = entry.members().chain(&entry.gone).cloned().collect();
        lane(
            "connect",
            name,
            &entry.tenant.value,
            names(&entry.forests),
            own,
        )
    });
    groups.chain(entries).collect()
}

/// Adds a sentence to what a plan says of a server.
fn add_reason(targets: &mut BTreeMap<TargetId, TargetPlan>, server: &TargetId, why: &str) {
    if let Some(part) = targets.get_mut(server) {
        part.why.push(why.to_owned());
    }
}

/// Who serves each domain: those that the topology says, and those that no `serves` names any more and agents of it were made to serve. No
/// way to take a domain from an agent is documented, so that these serve it until they go.
pub(super) struct Services {
    all: BTreeMap<DomainName, Service>,
    /// Those that no `serves` names any more.
    dropped: BTreeSet<DomainName>,
}

impl Services {
    pub(super) fn of(topology: &Topology, known: &Fleetwide) -> Self {
        let mut all = topology.served();
        let mut dropped: BTreeMap<DomainName, Service> = BTreeMap::new();
        for group in topology.agents.values() {
            let stay = group.hosts.iter().map(|one| (one, false));
            let leave = group.retired.iter().map(|one| (one, true));
            for ((host, place), leaves) in stay.chain(leave) {
                let domains = known.get(host).and_then(|known| known.domains.as_ref());
                let domains = domains.into_iter().flatten();
                for domain in domains.filter(|domain| !all.contains_key(*domain)) {
                    let service = dropped.entry(domain.clone()).or_insert_with(|| Service {
                        place: place.clone(),
                        servers: BTreeSet::new(),
                        leaving: BTreeSet::new(),
                    });
                    let servers = if leaves {
                        &mut service.leaving
                    } else {
                        &mut service.servers
                    };
                    servers.insert(host.clone());
                }
            }
        }
        let names = dropped.keys().cloned().collect();
        all.extend(dropped);
        Self {
            all,
            dropped: names,
        }
    }
}

/// Who serves each domain, as far as is known.
pub(super) fn domains_of(
    topology: &Topology,
    services: &Services,
    known: &Fleetwide,
) -> BTreeMap<DomainName, DomainPlan> {
    // What nobody is to serve any more holds no upgrade of those that still do, and one that goes leaves one of them.
    let least = |domain: &DomainName, service: &Service| {
        let least = topology.min_serving(domain, service);
        if !services.dropped.contains(domain) {
            return least;
        }
        let others = service.servers.len().saturating_sub(1);
        least.min(u32::try_from(others).unwrap_or(u32::MAX))
    };
    let part = |(domain, service): (&DomainName, &Service)| {
        let (serving, running) = serving(domain, service, known);
        let part = DomainPlan {
            servers: service.servers.iter().cloned().collect(),
            serving,
            running,
            min_serving: least(domain, service),
            leaving: service.leaving.iter().cloned().collect(),
        };
        (domain.clone(), part)
    };
    services.all.iter().map(part).collect()
}

/// Servers that a directory or the tenant names as Connect servers and that the entry does not: whether one of them is active cannot be
/// told (G1).
pub(super) fn strangers(
    beyond: &Beyond,
    entry: &ConnectEntry,
    tenant: &TenantId,
    known: &Fleetwide,
) -> Vec<String> {
    let servers: Vec<&TargetId> = entry.members().chain(entry.gone.iter()).collect();
    let strange = beyond.strange_connect(tenant, &entry.forest_names(), &servers, known);
    strange
        .iter()
        .map(|(name, shown)| stranger(name, shown))
        .collect()
}

/// What is said of one.
pub(crate) fn stranger(name: &str, shown: &str) -> String {
    format!(
        "whether {name} is an active Connect server cannot be told (G1): it is named by {shown}; enroll it and add it to `servers`, or to `gone` when it is known that Connect is off it for good"
    )
}

pub(crate) fn installs_active(part: &TargetPlan) -> bool {
    part.installs_connect() && part.makes_active()
}

/// Why nothing happens on a Connect server whose service is stopped and disabled. Its mode is changed by its wizard alone, with a sign-in to
/// the tenant (product facts 2.11 [P]), so that the way without the network to the tenant is none.
pub(super) const FENCED: &str = "held: ADSync is stopped and disabled on it, as a failover leaves the server that was active. Whoever starts it makes a second active server (G1), and its mode is changed by its wizard alone, which as far as is known wants it started: so Connect is taken off it (list it under `retired` in place of `servers`, plan and apply), and installed anew as a staging server, once it is under `servers` again";

/// Why nothing is planned for a server that a failover, or whoever revoked its agent, took for gone.
pub(super) const SAID_OFF: &str = "held: it was said to be off and was not seen since, so what it told last counts for nothing; its agent's next session lifts it";

/// Why no Connect is installed where its tenant has left it.
const MOVED: &str =
    "held: its tenant was moved to cloud sync, and no Connect is on it; take it out of `servers`";

/// Why a readiness run is in a plan.
const READINESS: &str = "asked whether it is ready; nothing is changed";

fn inspection(steps: Vec<Step>, why: &str) -> Answer {
    Answer::Do {
        phases: vec![PhaseWork {
            phase: Phase::Inspect,
            steps,
            artifacts: Vec::new(),
        }],
        why: vec![why.to_owned()],
        people: Vec::new(),
    }
}

pub(super) fn part(
    tenant: protocol::TenantId,
    known: Option<&facts::Known>,
    lane: String,
    domains: Vec<DomainName>,
    answer: Answer,
) -> TargetPlan {
    let facts = known.and_then(|known| known.facts.as_ref());
    let essence = facts.map(|(_, facts)| facts.essence());
    // One that could not be read is reported as 0.
    let build = facts.map(|(_, facts)| facts.host.build);
    let build = build.filter(|build| *build != 0);
    let (phases, why, people, left_out) = match answer {
        Answer::Do {
            phases,
            mut why,
            people,
        } => {
            why.extend(may_set(&phases));
            (phases, why, people, false)
        }
        Answer::Nothing(why) => (Vec::new(), vec![why], Vec::new(), true),
    };
    TargetPlan {
        tenant,
        key: known.map(|known| known.key),
        essence,
        lane,
        build,
        site: None,
        domains,
        phases,
        soak_seconds: 0,
        why,
        people,
        left_out,
    }
}

/// What a target's preflights may set themselves, where something is not as it must be.
fn may_set(phases: &[PhaseWork]) -> Option<String> {
    let steps = phases.iter().flat_map(|work| &work.steps);
    let fixes = steps.flat_map(|step| {
        if let Step::Preflight(preflight) = step {
            preflight.may_fix.as_slice()
        } else {
            &[]
        }
    });
    let fixes: BTreeSet<&str> = fixes.map(|fix| fix.as_str()).collect();
    (!fixes.is_empty()).then(|| {
        format!(
            "where it is not as it must be, Entrain sets (may_fix): {}; what was there is recorded, and entrain undo puts it back; what a group policy sets is left",
            fixes.into_iter().collect::<Vec<_>>().join(", ")
        )
    })
}

fn waves(
    policy: &Policy,
    targets: &BTreeMap<TargetId, TargetPlan>,
    members: &BTreeMap<TargetId, Member>,
) -> Vec<Vec<TargetId>> {
    let mut left: Vec<&TargetId> = targets
        .iter()
        .filter(|(_, part)| !part.left_out)
        .map(|(target, _)| target)
        .collect();
    // Who goes for good waits for everybody else, whatever wave its labels name.
    let leaves = |target: &&TargetId| members.get(*target).is_some_and(|member| member.leaves);
    let (leaving, staying): (Vec<&TargetId>, Vec<&TargetId>) = left.into_iter().partition(leaves);
    left = staying;
    let mut waves = Vec::new();
    let mut selectors = policy.waves.clone();
    if !selectors.contains(&Selector::Rest) {
        selectors.push(Selector::Rest);
    }
    for selector in &selectors {
        let taken = |target: &&TargetId| match (selector, members.get(*target)) {
            (Selector::Rest, _) => true,
            (Selector::Labels(labels), Some(member)) => labels
                .iter()
                .all(|(label, value)| member.labels.get(label) == Some(value)),
            (Selector::Domains(domains), Some(member)) => !member.domains.is_disjoint(domains),
            (Selector::Labels(_) | Selector::Domains(_), None) => false,
        };
        let (mut wave, rest): (Vec<&TargetId>, Vec<&TargetId>) = left.into_iter().partition(taken);
        left = rest;
        wave.sort_by_key(|target| {
            (
                members
                    .get(*target)
                    .map(|member| (member.lane.as_str(), member.last)),
                *target,
            )
        });
        if !wave.is_empty() {
            waves.push(wave.into_iter().cloned().collect());
        }
    }
    if !leaving.is_empty() {
        let lane = |target: &&TargetId| members.get(*target).map(|member| member.lane.as_str());
        let mut wave = leaving;
        wave.sort_by_key(|target| (lane(target), *target));
        waves.push(wave.into_iter().cloned().collect());
    }
    waves
}
