//! What a preflight asked of a server, and whether that is what the topology at hand would ask: an answer counts for its own question.

use protocol::signed::{StepEnding, StepRecord};
use protocol::step::{Preflight, Product, ServedDomain, Step};
use protocol::{DomainName, TargetId};

use crate::plan::{Inputs, lane};
use crate::recipe::{cloud_sync, connect};

/// What was asked, and what was not, though it was to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    preflights: Vec<Preflight>,
    /// What was to be asked and was not, a sentence each, with the product that it is about.
    pub unasked: Vec<(Product, String)>,
}

impl Asked {
    /// Of a run of these steps, as its receipt tells how each ended. Agents of an earlier release end at the first preflight
    /// that blocks: what stands behind it was never begun.
    #[must_use]
    pub fn of(steps: &[Step], records: &[StepRecord]) -> Self {
        let mut all = Self::default();
        for (step, at) in steps.iter().zip(0_u16..) {
            let mut own = records.iter().filter(|record| record.step.0 == at);
            let begun = own.all(|record| record.ending != StepEnding::NotBegun);
            if let Step::Preflight(asked) = step {
                if begun {
                    all.preflights.push(asked.clone());
                    continue;
                }
                let why = format!(
                    "what {} needs was not asked: the run had ended before; entrain preflight asks it once the agent on the server is upgraded, or what blocks is mended",
                    named(asked.product)
                );
                all.unasked.push((asked.product, why));
            } else if !begun && *step == Step::ReadConnectSettings {
                let why = "the settings of Connect Sync were not read: the run had ended before";
                all.unasked.push((Product::Connect, why.to_owned()));
            }
        }
        all
    }

    /// What was to be asked and was not, of whichever product.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let all = self.unasked.iter();
        all.map(|(_, sentence)| sentence.clone()).collect()
    }

    /// How what would be asked now differs from what was, in words; `None` where it is the same.
    #[must_use]
    pub fn differs(&self, now: &Preflight) -> Option<String> {
        let own = |asked: &&Preflight| asked.product == now.product;
        let Some(then) = self.preflights.iter().find(own) else {
            return Some(format!("what {} needs was not asked", named(now.product)));
        };
        // What blocks an upgrade alone was asked whether or not one is planned: that told more.
        let told = Preflight {
            stays: then.stays || now.stays,
            ..then.clone()
        };
        if told == *now {
            return None;
        }
        let mut said = domains(&then.domains, &now.domains);
        let mut other = |differs: bool, what: &str| {
            if differs {
                said.push(format!("{what} was another one"));
            }
        };
        other(
            then.tenant != now.tenant || then.cloud != now.cloud,
            "the tenant",
        );
        other(then.sign_in != now.sign_in, "sign_in");
        other(then.gmsa != now.gmsa, "gmsa");
        other(
            (then.options.proxy != now.options.proxy) || then.proxy_signs_in != now.proxy_signs_in,
            "the proxy",
        );
        other(then.database != now.database, "the database");
        other(then.will_fix != now.will_fix, "may_fix");
        other(
            then.own_rights != now.own_rights,
            "what its account must have",
        );
        other(then.demands_tls != now.demands_tls, "the installer");
        other(then.stays && !now.stays, "whether it is upgraded");
        other(
            then.both_tools != now.both_tools,
            "whether Connect synchronizes its domains",
        );
        other(then.present != now.present, "what is installed");
        other(then.hosts != now.hosts, "the list of the cloud's hosts");
        if said.is_empty() {
            said.push("other arguments".to_owned());
        }
        Some(said.join(", "))
    }
}

/// A product, as a sentence names it.
const fn named(product: Product) -> &'static str {
    match product {
        Product::ProvisioningAgent => "the provisioning agent",
        Product::Connect => "Connect Sync",
    }
}

/// What was asked of domains otherwise than it would be now.
fn domains(then: &[ServedDomain], now: &[ServedDomain]) -> Vec<String> {
    let in_them = |all: &[ServedDomain], name: &DomainName| {
        let found = all.iter().find(|domain| domain.name == *name);
        found.cloned()
    };
    let mut said = Vec::new();
    for domain in now {
        match in_them(then, &domain.name) {
            None => said.push(format!("{} was not asked", domain.name)),
            Some(before) if before != *domain => {
                said.push(format!("{} was asked otherwise", domain.name));
            }
            Some(_) => {}
        }
    }
    let gone = then
        .iter()
        .filter(|domain| in_them(now, &domain.name).is_none());
    said.extend(gone.map(|domain| format!("{} was asked too", domain.name)));
    said
}

/// What a preflight would ask of a server now, for the product that its part in a plan is about. Nobody is asked about what is retired,
/// or before its facts are known.
#[must_use]
pub(super) fn would_ask(inputs: Inputs<'_>, target: &TargetId, lane: &str) -> Option<Preflight> {
    let Inputs {
        topology,
        known,
        beyond,
        artifacts,
        ..
    } = inputs;
    let (_, facts) = known.get(target)?.facts.as_ref()?;
    let (product, name) = lane::whose(lane)?;
    let steps = if product == Product::ProvisioningAgent {
        let (_, group) = topology
            .agents
            .iter()
            .find(|(own, _)| own.as_str() == name)?;
        let tenant = topology.tenants.get(&group.tenant.value)?;
        group.hosts.iter().find(|(host, _)| host == target)?;
        cloud_sync::readiness((topology, &beyond.suffixes), group, tenant, target, facts).ok()?
    } else {
        let (_, entry) = topology
            .connect
            .iter()
            .find(|(own, _)| own.as_str() == name)?;
        let tenant = topology.tenants.get(&entry.tenant.value)?;
        entry.servers.iter().find(|(server, _)| server == target)?;
        let newest = artifacts.get(&Product::Connect);
        connect::readiness(
            entry,
            tenant,
            target,
            facts,
            newest.map(|newest| newest.version),
        )
    };
    steps.into_iter().find_map(|step| {
        if let Step::Preflight(asks) = step {
            Some(asks)
        } else {
            None
        }
    })
}
