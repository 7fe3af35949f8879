//! How domains are served while somebody is out of service (G2).

use std::collections::{BTreeMap, BTreeSet};

use protocol::{DomainName, RolloutId, TargetId, Timestamp};

use crate::fleet::hold::{Cause, Hold};
use crate::fleet::live::Live;
use crate::fleet::state::{Fleet, Gate, Rollout, TargetState, Work};
use crate::fleet::turn::{Budget, Turn};
use crate::tenant::{AgentSeen, Part};

impl Fleet {
    /// Who serves and is to be taken out of service waits, in no place that somebody else could use, for those of its rollout
    /// that are about to serve the same domain: without them it would get no leave (G2).
    pub(super) fn first_others(
        &self,
        (id, rollout): (RolloutId, &Rollout),
        target: &TargetId,
        (turn, budget): (&Turn<'_>, &Budget<'_>),
        (live, now): (&Live, Timestamp),
    ) -> Option<Hold> {
        let serves = |target: &TargetId| live.serves(target, now);
        if serves(target) != Some(true) {
            return None;
        }
        let short = self.short_of_service(target, &self.gates, live, now)?;
        let comes = |other: &&TargetId| {
            let work = rollout.work.get(*other);
            let part = rollout.plan.targets.get(*other);
            // Whoever waits for others itself, for this one perhaps, is not waited for: the wait would look as if it passed.
            let free = |work: &Work| {
                let wave = rollout.work.wave_of(other);
                let waits = wave
                    .zip(part)
                    .and_then(|(wave, part)| turn.waits(other, wave, part));
                work.has_begun() || work.state != TargetState::Pending || waits.is_none()
            };
            serves(other) == Some(false)
                && self.freeze_in_force(other, live, now).is_none()
                && work.is_some_and(|work| !work.state.is_terminal() && free(work))
                && part.is_some_and(|part| !part.is_read_only() && !part.retires())
        };
        let other = short.servers.into_iter().find(comes)?;
        let why = short.why;
        let why = format!("{why}; {other} is to serve it too and goes first");
        let hold = Hold::of(Cause::OthersServeFirst, why);
        let its = self.stuck((id, rollout), other, (live, now), (turn, budget));
        Some(match its {
            Some(its) => hold.through((other.clone(), its)),
            None => hold,
        })
    }

    /// The first domain that would be served by too few while a target is out of service (G2); `None` where none would.
    pub(super) fn short_of_service(
        &self,
        target: &TargetId,
        gates: &BTreeMap<TargetId, Gate>,
        live: &Live,
        now: Timestamp,
    ) -> Option<Short<'_>> {
        let meanwhile = self.meanwhile(target, gates, live, now).into_iter();
        let short = |of: &Meanwhile<'_>| of.serving < of.minimum as usize;
        meanwhile.into_iter().find(short).map(|of| Short {
            why: format!(
                "{} other agents are seen to serve {} ({}), {} must keep serving; more that serve lift it (G2)",
                of.serving, of.domain, of.source, of.minimum
            ),
            out: of.out,
            servers: of.servers,
        })
    }

    /// How each domain of a target would be served while it is out of service, and who says so.
    pub(super) fn meanwhile(
        &self,
        target: &TargetId,
        gates: &BTreeMap<TargetId, Gate>,
        live: &Live,
        now: Timestamp,
    ) -> Vec<Meanwhile<'_>> {
        let out: BTreeSet<&TargetId> = self
            .inside(target, gates, (live, now))
            .filter(|(_, section)| section.outage)
            .map(|(other, _)| other)
            .collect();
        let domains = self.domains_of(target).into_iter();
        let of_domain = domains.map(|(domain, servers, minimum)| {
            let serves = |server: &&TargetId| {
                let counts = *server != target && !out.contains(*server);
                counts && live.serves(server, now) == Some(true)
            };
            let serving: Vec<&TargetId> = servers.iter().copied().filter(serves).collect();
            Meanwhile {
                domain,
                serving: serving.len(),
                minimum,
                source: self.source_of(target, &serving),
                out: servers
                    .iter()
                    .copied()
                    .filter(|server| out.contains(*server))
                    .collect(),
                servers,
            }
        });
        of_domain.collect()
    }

    /// On what it rests that servers serve: each agent's own word, and beside it what their tenant showed when it was last read.
    /// What a tenant lists is as old as that, and never counts for a pulse.
    fn source_of(&self, target: &TargetId, serving: &[&TargetId]) -> String {
        const OWN: &str = "by their own pulses";
        let parts = self.rollouts.values().rev();
        let part = parts.filter_map(|rollout| rollout.plan.targets.get(target));
        let tenant = part.map(|part| &part.tenant).next();
        let Some(seen) = tenant.and_then(|tenant| self.beyond.tenants.get(tenant)) else {
            return format!("{OWN}; not seen in tenant");
        };
        let observation = &seen.observation;
        if let Part::NotSeen(why) = &observation.agents {
            return format!("{OWN}; not seen in tenant: {why}");
        }
        let all: BTreeSet<&TargetId> = self.known.keys().collect();
        let active = |server: &&&TargetId| {
            let listed = observation.agent(server, &all);
            listed.is_some_and(AgentSeen::is_active)
        };
        format!(
            "{OWN}; the tenant listed {} of them as active when {} read it at {}",
            serving.iter().filter(active).count(),
            seen.by,
            observation.at
        )
    }

    /// Every domain that a target serves by any rollout's plan, newest plan first, with the servers whose service counts while
    /// it is out: work on a host counts in each.
    pub(crate) fn domains_of(&self, target: &TargetId) -> Vec<(&DomainName, Vec<&TargetId>, u32)> {
        let mut seen = BTreeSet::new();
        let mut domains = Vec::new();
        for rollout in self.rollouts.values().rev() {
            let named = rollout.serves.get(target).into_iter().flatten();
            for (domain, part) in named.filter_map(|name| rollout.plan.domains.get_key_value(name))
            {
                // Who goes later still serves while somebody who stays is out.
                if part.servers.contains(target) && seen.insert(domain) {
                    let all = part.servers.iter().chain(&part.leaving).collect();
                    domains.push((domain, all, part.min_serving));
                }
                // Who goes for good leaves at least one that serves, unless nobody is to stay.
                if part.leaving.contains(target) && seen.insert(domain) {
                    let minimum = part.min_serving.max(u32::from(!part.servers.is_empty()));
                    domains.push((domain, part.servers.iter().collect(), minimum));
                }
            }
        }
        domains
    }
}

/// Too few would serve a domain.
pub(super) struct Short<'a> {
    /// All of its servers.
    pub(super) servers: Vec<&'a TargetId>,
    pub(super) why: String,
    /// Who of them is out of service, and comes back.
    pub(super) out: Vec<&'a TargetId>,
}

/// How a domain would be served while somebody is out of service.
pub(super) struct Meanwhile<'a> {
    pub(super) domain: &'a DomainName,
    /// All of its servers.
    pub(super) servers: Vec<&'a TargetId>,
    /// How many of them are seen to serve.
    pub(super) serving: usize,
    pub(super) minimum: u32,
    /// Who says so.
    pub(super) source: String,
    /// Who of them is out of service, and comes back.
    pub(super) out: Vec<&'a TargetId>,
}

impl Meanwhile<'_> {
    pub(super) fn sentence(&self) -> String {
        format!(
            "{} other agents serve {} ({}), {} must",
            self.serving, self.domain, self.source, self.minimum
        )
    }
}
