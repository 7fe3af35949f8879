//! What came to be known since a plan was made, as a log tells it: versions that were taken back (G6), a domain in both tools (G7), and
//! what cannot be undone (G10). From the log alone, apart from what the machine remembers; whether two scopes overlap and how long a reading
//! counts is reckoned by the same functions, which have properties of their own (`controller/core/tests/core/scopes.rs`).

use std::collections::{BTreeMap, BTreeSet};

use controller_core::beyond::SuffixesSeen;
use controller_core::fleet::Rollout;
use controller_core::forest::Forests;
use controller_core::plan::TargetPlan;
use controller_core::recipe::PhaseWork;
use controller_core::scope;
use controller_core::tenant::{AgentSeen, Configuration, Observation};
use protocol::facts::{Facts, ProvisioningAgentFacts};
use protocol::settings::ConnectSettings;
use protocol::step::{Product, ServedDomain, Step};
use protocol::{DomainName, TargetId, TenantId, Timestamp, Version};

/// Work that is about to change something, with what its server and all others told of themselves.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) rollout: &'a Rollout,
    pub(crate) target: &'a TargetId,
    pub(crate) part: &'a TargetPlan,
    pub(crate) phase: &'a PhaseWork,
    pub(crate) facts: &'a BTreeMap<TargetId, Facts>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Since {
    /// Versions that are taken back just now: these stand in no log, and whoever watches tells them.
    pub(crate) recalled: BTreeSet<(Product, Version)>,
    tenants: BTreeMap<TenantId, Observation>,
    /// Configurations of each tenant, as whoever was shown their jobs last saw them, and when.
    configured: BTreeMap<TenantId, Vec<(Timestamp, Configuration)>>,
    forests: Forests,
    settings: BTreeMap<TargetId, (Timestamp, ConnectSettings)>,
    /// The domains of agents that were registered here for the first time, by a step that saw all of it. Of every other one nobody knows
    /// what it serves.
    serves: BTreeMap<TargetId, BTreeSet<DomainName>>,
}

impl Since {
    /// Somebody has read a tenant. What was read later stands; what a narrower look did not see of its synchronization stays as well.
    pub(crate) fn read(&mut self, observation: &Observation) {
        let mut newest = observation.clone();
        if let Some(before) = self.tenants.get(&newest.tenant) {
            if before.at > newest.at {
                return;
            }
            if newest.organization.seen().is_none() && before.organization.seen().is_some() {
                newest.organization = before.organization.clone();
            }
        }
        // Whoever is shown less has seen no configuration disabled: of a name, all stand as they were while the jobs of one are not seen.
        if let Some(all) = newest.configurations.seen() {
            let before = self.configured.remove(&newest.tenant).unwrap_or_default();
            let mut names: BTreeMap<String, Vec<(Timestamp, Configuration)>> = BTreeMap::new();
            for one in all {
                let own = names.entry(one.name.to_lowercase()).or_default();
                own.push((newest.at, one.clone()));
            }
            for (name, own) in &mut names {
                let old = before
                    .iter()
                    .filter(|(_, one)| one.name.to_lowercase() == *name);
                let old: Vec<_> = old.cloned().collect();
                if !old.is_empty() && own.iter().any(|(_, one)| one.jobs.seen().is_none()) {
                    *own = old;
                }
            }
            let all = names.into_values().flatten().collect();
            self.configured.insert(newest.tenant.clone(), all);
        }
        self.tenants.insert(newest.tenant.clone(), newest);
    }

    /// A Connect server tells what it synchronizes.
    pub(crate) fn synchronizes(
        &mut self,
        target: &TargetId,
        settings: ConnectSettings,
        at: Timestamp,
    ) {
        self.settings.insert(target.clone(), (at, settings));
    }

    /// A step came to its end as it was meant to, or otherwise, on a server that had told these facts before.
    pub(crate) fn ends(
        &mut self,
        (target, facts): (&TargetId, Option<&Facts>),
        step: &Step,
        applied: bool,
    ) {
        let names = |domains: &[ServedDomain]| -> Vec<DomainName> {
            domains.iter().map(|domain| domain.name.clone()).collect()
        };
        let agent = facts.and_then(|facts| facts.provisioning_agent.as_ref());
        let had = agent.is_some_and(ProvisioningAgentFacts::is_configured);
        if let Step::RegisterProvisioningAgent(register) = step {
            // Of one that was configured before others may be left, and of one that nobody saw to its end any.
            if !applied || (had && !self.serves.contains_key(target)) {
                self.serves.remove(target);
                return;
            }
            let serves = self.serves.entry(target.clone()).or_default();
            serves.extend(names(&register.domains));
        } else if let Step::GuideProvisioningAgent(_) = step {
            self.serves.remove(target);
        } else if let (Step::AddDomains(add), Some(serves)) = (step, self.serves.get_mut(target)) {
            // Whether or not it saw them: it may have got that far.
            serves.extend(names(&add.domains));
        }
    }

    /// A server tells what it is: an agent that is configured no more, or with another tenant, serves nothing of what it was given.
    pub(crate) fn reports(&mut self, target: &TargetId, before: Option<&Facts>, now: &Facts) {
        let tenant = |facts: &Facts| {
            let agent = facts.provisioning_agent.as_ref();
            let agent = agent.filter(|agent| agent.is_configured())?;
            agent.tenant.clone()
        };
        let (was, is) = (before.and_then(tenant), tenant(now));
        if is.is_none() || (was.is_some() && was != is) {
            self.serves.remove(target);
        }
    }

    /// Whoever comes under this name next is another one.
    pub(crate) fn forget(&mut self, target: &TargetId) {
        self.serves.remove(target);
    }

    /// A server has read the names of a domain's forest.
    pub(crate) fn lists(&mut self, domain: DomainName, seen: SuffixesSeen) {
        self.forests.insert(domain, seen);
    }

    /// G6: nothing that was taken back is brought onto a server, or put to work there, and nothing older than what is there.
    /// Gives how often that was asked.
    pub(crate) fn is_fit(&self, change: Change<'_>) -> Result<u64, String> {
        let target = change.target;
        let facts = change.facts.get(target);
        let mut asked = 0;
        for artifact in change.part.artifacts() {
            asked += 1;
            let (product, version) = (artifact.product, artifact.version);
            if self.recalled.contains(&(product, version)) {
                return Err(format!(
                    "G6: {target} is brought to {version} of {}, which was taken back",
                    product.as_str()
                ));
            }
            let agent = facts.and_then(|facts| facts.provisioning_agent.as_ref());
            let connect = facts.and_then(|facts| facts.connect.as_ref());
            let there = match product {
                Product::ProvisioningAgent => agent.and_then(|agent| agent.version),
                Product::Connect => connect.and_then(|connect| connect.version),
            };
            if let Some(there) = there.filter(|there| *there > version) {
                return Err(format!(
                    "G6: {target} has {there} of {} and is brought to {version}",
                    product.as_str()
                ));
            }
        }
        Ok(asked)
    }

    /// G7: a domain that Connect covers too is configured for cloud sync only where what was read within a day shows no object in both.
    /// Gives how often that was asked.
    pub(crate) fn is_in_one_tool(&self, change: Change<'_>, at: Timestamp) -> Result<u64, String> {
        let tenant = &change.part.tenant;
        let Some(part) = change.rollout.plan.tenants.get(tenant) else {
            return Ok(0);
        };
        let mut asked = 0;
        for domain in change.phase.configures() {
            for entry in part.wants.shares(&self.forests, &domain) {
                asked += 1;
                self.is_disjoint((tenant, &domain, &entry.servers), change.facts, at)
                    .map_err(|why| {
                        format!(
                            "G7: {} is made to serve {domain}, which is in both tools: {why}",
                            change.target
                        )
                    })?;
            }
        }
        Ok(asked)
    }

    fn is_disjoint(
        &self,
        (tenant, domain, servers): (&TenantId, &DomainName, &[TargetId]),
        facts: &BTreeMap<TargetId, Facts>,
        at: Timestamp,
    ) -> Result<(), String> {
        let seen = self.tenants.get(tenant).ok_or("nobody has read it")?;
        if at.since(seen.at) > scope::FRESH {
            return Err(format!("it was read at {}", seen.at));
        }
        let (cloud, _) = scope::of_cloud_sync(seen, domain)?;
        if cloud.included.is_empty() {
            return Ok(());
        }
        for server in servers {
            let own = facts.get(server);
            let own = own.ok_or_else(|| format!("{server} never told what it has"))?;
            if own.connect.is_none() {
                continue;
            }
            let (told, settings) = self
                .settings
                .get(server)
                .ok_or_else(|| format!("{server} never told what it synchronizes"))?;
            if at.since(*told) > scope::FRESH {
                return Err(format!("{server} told at {told} what it synchronizes"));
            }
            let connect = scope::of_connect(settings, domain)?;
            if let Some(both) = cloud.overlap(&connect) {
                return Err(format!("what lies below {both} is in both by {server}"));
            }
        }
        Ok(())
    }

    /// G10: what cannot be undone stands in the plan and was accepted by its number. Gives how often that was asked.
    pub(crate) fn is_accepted(&self, change: Change<'_>) -> Result<u64, String> {
        let (rollout, target) = (change.rollout, change.target);
        let acts = &rollout.plan.irreversible;
        if acts.len() > rollout.irreversible as usize {
            return Err(format!(
                "G10: {target} is worked on, {} acts cannot be undone, and {} were accepted",
                acts.len(),
                rollout.irreversible
            ));
        }
        let mut asked = u64::from(!acts.is_empty());
        for (domain, _) in change.ends() {
            asked += 1;
            if !acts.iter().any(|act| act.contains(domain.as_str())) {
                return Err(format!(
                    "G10: {target} is of the last agents of {domain}, and no act of the plan names it"
                ));
            }
        }
        Ok(asked)
    }

    /// G10: the last agent of a domain goes once no configuration of it is at work any more, as its tenant was read. Gives how often that
    /// was asked: where a configuration of the domain was read, and no other agent may serve it.
    pub(crate) fn is_at_rest(&self, change: Change<'_>) -> Result<u64, String> {
        let (target, tenant) = (change.target, &change.part.tenant);
        let mut asked = 0;
        for (domain, leaving) in change.ends() {
            let configured = self.configured.get(tenant).into_iter().flatten();
            let own: Vec<_> = configured.filter(|(_, one)| one.is_of(domain)).collect();
            // What nothing works of any more serves nobody.
            if own.is_empty()
                || !change.is_there(target)
                || self.may_go_on(change, (domain, leaving))
            {
                continue;
            }
            asked += 1;
            if own
                .iter()
                .any(|(at, one)| one.at_work(*at).next().is_some())
            {
                return Err(format!(
                    "G10: {target} is of the last agents of {domain}, and its tenant has a configuration at work for it"
                ));
            }
        }
        Ok(asked)
    }

    /// Another agent may serve the domain: one that stays and of which nobody knows that it serves others alone, or one that the tenant
    /// lists as active and nobody here knows.
    fn may_go_on(&self, change: Change<'_>, (domain, leaving): (&DomainName, &[TargetId])) -> bool {
        let parts = &change.rollout.plan.targets;
        let stays = change.facts.keys().any(|other| {
            let goes = leaving.contains(other)
                || parts
                    .get(other)
                    .is_some_and(|part: &TargetPlan| part.retires());
            let others = self.serves.get(other);
            !goes && change.is_there(other) && others.is_none_or(|served| served.contains(domain))
        });
        let strange = self.tenants.get(&change.part.tenant).is_some_and(|seen| {
            let listed = seen.agents.seen().into_iter().flatten();
            let mut active = listed.filter(|agent| agent.is_active());
            let known = |agent: &AgentSeen| change.facts.keys().any(|own| agent.is(own));
            active.any(|agent| !known(agent))
        });
        stays || strange
    }

    /// G10: synchronization of a tenant that was read as off is switched on by a plan that names that alone. What was read after a failover
    /// was planned holds it not: an emergency waits for nothing that a tenant shows. Gives how often that was asked.
    pub(crate) fn is_on(&self, change: Change<'_>) -> Result<u64, String> {
        let (plan, part) = (&change.rollout.plan, change.part);
        let mut phases = part.phases.iter();
        let at = phases.position(|phase| std::ptr::eq(phase, change.phase));
        let makes = part.makes_active() && at.is_some_and(|at| part.claims_active(at));
        let seen = self.tenants.get(&part.tenant);
        let seen = seen.and_then(|seen| seen.organization.seen());
        let Some(organization) = seen.filter(|_| makes && plan.off.is_none()) else {
            return Ok(0);
        };
        let named = plan
            .irreversible
            .iter()
            .any(|act| act.contains("switched on"));
        if !organization.sync_enabled && !named {
            return Err(format!(
                "G10: {} switches synchronization of its tenant on, and no act of the plan names that",
                change.target
            ));
        }
        Ok(1)
    }
}

impl<'a> Change<'a> {
    /// Domains that end with it: nobody is to serve them any more, and it is one of those that go.
    fn ends(self) -> impl Iterator<Item = (&'a DomainName, &'a [TargetId])> {
        let domains = self.rollout.plan.domains.iter();
        let left = domains.filter(move |(_, of)| {
            self.part.retires() && of.servers.is_empty() && of.leaving.contains(self.target)
        });
        left.map(|(domain, of)| (domain, of.leaving.as_slice()))
    }

    /// An agent is there that is registered with the tenant of this work.
    fn is_there(self, server: &TargetId) -> bool {
        let facts = self.facts.get(server);
        let agent = facts.and_then(|facts| facts.provisioning_agent.as_ref());
        agent.is_some_and(|agent| {
            agent.is_there() && agent.tenant.as_ref() == Some(&self.part.tenant)
        })
    }
}
