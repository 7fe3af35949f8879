//! Drift: what a server was last left as by a rollout, against what it reports now. Only what the topology owns is
//! compared: version, tenant, account, service, scheduler; and agents of one domain with each other in what must be equal on all of
//! them, where nobody owns it. A product that upgraded itself is told and not fought.

use std::collections::BTreeMap;

use protocol::facts::{ConnectFacts, ProvisioningAgentFacts, ServiceState};
use protocol::step::{Product, Step, VerifyConnect, VerifyProvisioningAgent};
use protocol::{RolloutId, TargetId, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, TargetState, VersionsLeft};
use crate::plan::{Kind, TargetPlan};
use crate::tunables;

/// One thing that is not as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftRow {
    /// Where.
    pub target: TargetId,
    /// The rollout that left it so.
    pub rollout: RolloutId,
    /// Of which product.
    pub product: Product,
    /// What.
    pub what: String,
    /// As it was left.
    pub wanted: String,
    /// As it is.
    pub seen: String,
    /// The product's own doing, which is accepted and not fought.
    pub accepted: bool,
    /// Who brings it back, and how; empty where it is accepted.
    #[serde(default)]
    pub mend: String,
    /// True where a plan of the topology brings it back.
    #[serde(default)]
    pub planned: bool,
    /// When the server reported it.
    pub reported: Timestamp,
}

/// One difference, before it is known where.
struct Difference {
    product: Product,
    what: &'static str,
    wanted: String,
    seen: String,
    mend: Mend,
}

/// Who brings something back.
enum Mend {
    /// Nobody: it is the product's own doing.
    Accepted,
    /// A plan of the topology, in these words.
    Plan(&'static str),
    /// A person, in these words.
    Person(&'static str),
}

impl Mend {
    const fn words(&self) -> &'static str {
        match self {
            Self::Accepted => "",
            Self::Plan(words) | Self::Person(words) => words,
        }
    }
}

/// A server of which nothing can be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// Which.
    pub target: TargetId,
    /// Why, in a sentence fragment.
    pub why: String,
}

/// What is other than it was left, and of whom nothing can be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// Everything that is not as the last rollout left it, where that is known.
    pub drift: Vec<DriftRow>,
    /// Servers of which nothing can be said: their rows are no drift, and no answer either.
    pub untold: Vec<Untold>,
    /// How many servers were compared.
    pub compared: usize,
}

/// What servers were last left as.
enum Left<'a> {
    /// As that part of that rollout wanted it.
    So(RolloutId, &'a TargetPlan, VersionsLeft),
    /// Nobody knows, for that reason.
    Untold(String),
}

/// The newest rollout that left a server as it wanted it. Those that only looked and found something else, or were ended
/// before anything was begun, have left it as it was.
fn left<'a>(fleet: &'a Fleet, target: &TargetId) -> Left<'a> {
    for (id, rollout) in fleet.rollouts().iter().rev() {
        let leaves = match rollout.plan.kind {
            Kind::Install | Kind::Verify | Kind::Switch | Kind::Swing | Kind::Transition => true,
            Kind::Preflight
            | Kind::Discover
            | Kind::Support
            | Kind::Agents
            | Kind::Eligibility
            | Kind::Undo => false,
        };
        let work = rollout.work.get(target).filter(|_| leaves);
        let Some((part, work)) = rollout.plan.targets.get(target).zip(work) else {
            continue;
        };
        if matches!(work.state, TargetState::Done(_)) {
            return Left::So(*id, part, work.left);
        }
        let changed = work.tried
            || part
                .phases
                .iter()
                .take(work.phase)
                .any(|one| !one.is_read_only());
        let goes_on = !work.state.is_terminal() && !part.is_read_only();
        if goes_on {
            return Left::Untold(format!("{id} is not over on it"));
        }
        if changed {
            let word = work.state.word();
            return Left::Untold(format!(
                "{id} has begun to change it and ended as {word}: how it was left is not known"
            ));
        }
    }
    Left::Untold("no rollout has left it in a known state".to_owned())
}

/// Of whom nothing can be said: no rollout has left them in a known state, or they have not told what they are.
#[must_use]
pub fn untold(fleet: &Fleet) -> Vec<Untold> {
    let why = |target: &TargetId, told: bool| match left(fleet, target) {
        Left::Untold(why) => Some(why),
        Left::So(..) if !told => Some("it has not reported what it is".to_owned()),
        Left::So(_, part, _) => verified_last(part)
            .is_empty()
            .then(|| "its last rollout verified nothing on it".to_owned()),
    };
    let all = fleet.known().iter().filter_map(|(target, known)| {
        let why = why(target, known.facts.is_some())?;
        let target = target.clone();
        Some(Untold { target, why })
    });
    all.collect()
}

/// What is other than it was left, with whom that cannot be said of.
#[must_use]
pub fn drifted(fleet: &Fleet) -> Drifted {
    let untold = untold(fleet);
    Drifted {
        drift: drift(fleet),
        compared: fleet.known().len().saturating_sub(untold.len()),
        untold,
    }
}

/// Everything that is not as the last rollout left it, where that is known: [`untold`] names the others.
#[must_use]
pub fn drift(fleet: &Fleet) -> Vec<DriftRow> {
    let mut rows = Vec::new();
    let mut odd = odd(fleet);
    for (target, known) in fleet.known() {
        let Some((reported, facts)) = &known.facts else {
            continue;
        };
        let Left::So(rollout, part, versions) = left(fleet, target) else {
            continue;
        };
        let mut differences = Vec::new();
        for step in verified_last(part) {
            if let Step::VerifyProvisioningAgent(wanted) = step {
                agent(
                    wanted,
                    (part, versions),
                    facts.provisioning_agent.as_ref(),
                    &mut differences,
                );
            } else if let Step::VerifyConnect(wanted) = step {
                connect(
                    wanted,
                    (part, versions),
                    facts.connect.as_ref(),
                    &mut differences,
                );
            } else if let Step::VerifyProvisioningAgentRemoved(_) = step {
                let back = facts.provisioning_agent.as_ref();
                differences.extend(back.filter(|agent| !agent.is_removed()).map(returned));
            } else if let Step::VerifyConnectRemoved = step {
                differences.extend(facts.connect.as_ref().map(came_back));
            }
        }
        differences.extend(odd.remove(target));
        rows.extend(differences.into_iter().map(|one| DriftRow {
            target: target.clone(),
            rollout,
            product: one.product,
            what: one.what.to_owned(),
            wanted: one.wanted,
            seen: one.seen,
            accepted: matches!(one.mend, Mend::Accepted),
            mend: one.mend.words().to_owned(),
            planned: matches!(one.mend, Mend::Plan(_)),
            reported: *reported,
        }));
    }
    rows.sort_by_key(|row| row.accepted);
    rows
}

/// Agents whose registry options, which nobody wrote down, are otherwise than those of most agents of a domain (PV17).
fn odd(fleet: &Fleet) -> BTreeMap<TargetId, Difference> {
    let agents = fleet.known().iter().filter_map(|(target, known)| {
        let (_, facts) = known.facts.as_ref()?;
        let Left::So(_, part, _) = left(fleet, target) else {
            return None;
        };
        let owned = verified_last(part).iter().find_map(|step| {
            if let Step::VerifyProvisioningAgent(wanted) = step {
                Some(&wanted.options)
            } else {
                None
            }
        })?;
        let agent = facts.provisioning_agent.as_ref()?;
        let there = agent.is_there();
        let seen = agent.options.as_ref().filter(|_| there)?;
        Some(tunables::Agent {
            target,
            domains: &part.domains,
            owned,
            seen,
        })
    });
    let mut odd = BTreeMap::new();
    for unequal in tunables::unequal(agents) {
        for (target, words) in unequal.odd() {
            odd.entry(target.clone()).or_insert_with(|| Difference {
                product: Product::ProvisioningAgent,
                what: "registry options beside those of other agents of a domain",
                wanted: format!("equal on every agent of {}", unequal.domain),
                seen: words.to_owned(),
                mend: Mend::Person(
                    "whoever runs the topology writes them as options of its groups, and a plan sets them; or whoever runs the servers makes them equal",
                ),
            });
        }
    }
    odd
}

/// The steps of the last phase that verifies: what an earlier one held, the work itself may have changed since.
fn verified_last(part: &TargetPlan) -> &[Step] {
    let verifies = |step: &Step| {
        matches!(
            step,
            Step::VerifyProvisioningAgent(_)
                | Step::VerifyConnect(_)
                | Step::VerifyProvisioningAgentRemoved(_)
                | Step::VerifyConnectRemoved
        )
    };
    let mut phases = part.phases.iter().rev();
    let last = phases.find(|phase| phase.steps.iter().any(verifies));
    last.map_or(&[], |phase| &phase.steps)
}

fn show<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "not readable".to_owned(), ToString::to_string)
}

fn state(service: Option<ServiceState>) -> String {
    match service {
        Some(ServiceState::Running) => "running",
        Some(ServiceState::NotRunning) => "not running",
        Some(ServiceState::Disabled) => "disabled",
        None => "not there",
    }
    .to_owned()
}

/// The version that the rollout itself installed; where it found one that would do, the one that it found.
fn brought(
    product: Product,
    (part, left): (&TargetPlan, VersionsLeft),
    at_least: Version,
) -> Version {
    let mut artifacts = part.phases.iter().flat_map(|phase| &phase.artifacts);
    let own = artifacts.find(|artifact| artifact.product == product);
    let own = own.map(|artifact| artifact.version);
    own.or(left.of_product(product)).unwrap_or(at_least)
}

fn version(
    product: Product,
    was: (&TargetPlan, VersionsLeft),
    at_least: Version,
    seen: Option<Version>,
) -> Option<Difference> {
    let installed = brought(product, was, at_least);
    let older = seen.is_none_or(|seen| seen < at_least);
    let newer = seen.is_some_and(|seen| seen > installed);
    (older || newer).then(|| Difference {
        product,
        what: if older {
            "version"
        } else {
            "version: the product upgraded itself, or somebody did"
        },
        wanted: if older {
            format!("{at_least} or later")
        } else {
            installed.to_string()
        },
        seen: show(seen.as_ref()),
        mend: match product {
            _ if newer => Mend::Accepted,
            Product::ProvisioningAgent => Mend::Plan("a plan upgrades it in place"),
            Product::Connect => Mend::Plan("a plan opens the upgrade for a person at the wizard"),
        },
    })
}

/// A Connect server's mode shows only while it runs, so nobody but a person starts it (G1).
fn service(product: Product, seen: Option<ServiceState>) -> Option<Difference> {
    let mend = match (product, seen) {
        (_, Some(ServiceState::Running)) => return None,
        (Product::ProvisioningAgent, Some(ServiceState::NotRunning)) => {
            Mend::Plan("a plan starts it")
        }
        (Product::ProvisioningAgent, Some(ServiceState::Disabled)) => {
            Mend::Plan("a plan sets it to start with Windows, and starts it")
        }
        (Product::ProvisioningAgent, None) => Mend::Person(
            "whoever runs the server repairs the product or takes it off; a plan then installs it",
        ),
        (Product::Connect, Some(ServiceState::NotRunning)) => Mend::Person(
            "whoever runs the server starts ADSync, once no other server of the tenant is active (G1)",
        ),
        (Product::Connect, Some(ServiceState::Disabled)) => Mend::Person(
            "whoever disabled it: a fence is left as it is; see that no other server of the tenant is active (G1) before it is enabled",
        ),
        (Product::Connect, None) => {
            Mend::Person("whoever runs the server runs the wizard's repair, or takes it off")
        }
    };
    Some(Difference {
        product,
        what: "service",
        wanted: "running".to_owned(),
        seen: state(seen),
        mend,
    })
}

/// What keeps the agent within its support (PV04).
fn updater(seen: Option<ServiceState>) -> Option<Difference> {
    let mend = match seen? {
        ServiceState::Running => return None,
        ServiceState::NotRunning => "a plan starts it; the agent goes on meanwhile",
        ServiceState::Disabled => {
            "a plan sets it to start with Windows, and starts it; the agent goes on meanwhile"
        }
    };
    Some(Difference {
        product: Product::ProvisioningAgent,
        what: "service of the updater",
        wanted: "running".to_owned(),
        seen: state(seen),
        mend: Mend::Plan(mend),
    })
}

fn gone(product: Product, at_least: Version) -> Difference {
    Difference {
        product,
        what: "the product",
        wanted: format!("{at_least} or later"),
        seen: "gone".to_owned(),
        mend: match product {
            Product::ProvisioningAgent => Mend::Plan("a plan installs and registers it"),
            Product::Connect => {
                Mend::Plan("a plan opens the installation for a person at the wizard")
            }
        },
    }
}

/// It was taken off, and is there again.
fn returned(agent: &ProvisioningAgentFacts) -> Difference {
    Difference {
        product: Product::ProvisioningAgent,
        what: "the product",
        wanted: "gone".to_owned(),
        seen: agent
            .version
            .map_or_else(|| "there".to_owned(), |version| version.to_string()),
        mend: Mend::Plan("a plan takes it off again, while the server stands under `retired`"),
    }
}

/// Connect was taken off, and is there again: it may be active beside the tenant's own server (G1).
fn came_back(connect: &ConnectFacts) -> Difference {
    let version = connect.version;
    let version = version.map_or_else(|| "there".to_owned(), |version| version.to_string());
    let mode = match (connect.is_fenced(), connect.mode()) {
        (true, _) => "stopped and disabled",
        (false, Some(true)) => "staging",
        (false, Some(false)) => "active",
        (false, None) => "whether it is active cannot be told",
    };
    Difference {
        product: Product::Connect,
        what: "the product",
        wanted: "gone".to_owned(),
        seen: format!("{version}, {mode}"),
        mend: Mend::Plan(
            "a plan opens its removal for a person again, while the server stands under `retired`; where it is active, another server is made active first: entrain swap",
        ),
    }
}

fn agent(
    wanted: &VerifyProvisioningAgent,
    was: (&TargetPlan, VersionsLeft),
    seen: Option<&ProvisioningAgentFacts>,
    differences: &mut Vec<Difference>,
) {
    let product = Product::ProvisioningAgent;
    let Some(seen) = seen else {
        return differences.push(gone(product, wanted.at_least));
    };
    differences.extend(version(product, was, wanted.at_least, seen.version));
    differences.extend(service(product, seen.service));
    differences.extend(updater(seen.updater));
    if let Some(options) = &seen.options
        && let lacking = wanted.options.lacking(options)
        && !lacking.is_empty()
    {
        differences.push(Difference {
            product,
            what: "options of its service",
            wanted: lacking.join(", "),
            seen: options.to_string(),
            mend: Mend::Plan("a plan sets them, and restarts the service while others serve"),
        });
    }
    if seen.tenant.as_ref() != Some(&wanted.tenant) {
        differences.push(Difference {
            product,
            what: "tenant",
            wanted: wanted.tenant.to_string(),
            seen: seen
                .tenant
                .as_ref()
                .map_or_else(|| "not registered".to_owned(), ToString::to_string),
            mend: match seen.tenant {
                None => Mend::Plan("a plan registers it; a person signs in"),
                Some(_) => Mend::Person(
                    "refused (G9): whoever owns the server takes the agent off, or corrects the topology",
                ),
            },
        });
    }
    let same = seen.runs_as(wanted.gmsa.as_ref());
    if !same {
        differences.push(Difference {
            product,
            what: "account of the service",
            wanted: wanted.gmsa.as_ref().map_or_else(
                || "a group managed service account".to_owned(),
                ToString::to_string,
            ),
            seen: show(seen.account.as_ref()),
            mend: Mend::Plan(
                "a plan sets it anew; a person signs in, and the service is restarted while others serve",
            ),
        });
    }
}

fn connect(
    wanted: &VerifyConnect,
    was: (&TargetPlan, VersionsLeft),
    seen: Option<&ConnectFacts>,
    differences: &mut Vec<Difference>,
) {
    let product = Product::Connect;
    let Some(seen) = seen else {
        return differences.push(gone(product, wanted.at_least));
    };
    differences.extend(version(product, was, wanted.at_least, seen.version));
    differences.extend(service(product, seen.service));
    if seen.cycle_enabled == Some(false) {
        differences.push(Difference {
            product,
            what: "scheduler",
            wanted: "its cycle enabled".to_owned(),
            seen: "its cycle is off".to_owned(),
            mend: Mend::Person(
                "whoever runs Connect: Set-ADSyncScheduler -SyncCycleEnabled $true; its settings are the tenant's, and Entrain never changes them",
            ),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a plan brings back is started by it; an engine of Connect is left to a person, whose mode nobody can read (G1).
    #[test]
    fn a_stopped_service_names_who_brings_it_back() {
        use ServiceState::{Disabled, NotRunning, Running};
        for (product, state, planned, words) in [
            (
                Product::ProvisioningAgent,
                Some(NotRunning),
                true,
                "starts it",
            ),
            (
                Product::ProvisioningAgent,
                Some(Disabled),
                true,
                "start with Windows",
            ),
            (Product::ProvisioningAgent, None, false, "repairs"),
            (Product::Connect, Some(NotRunning), false, "(G1)"),
            (Product::Connect, Some(Disabled), false, "fence"),
            (Product::Connect, None, false, "repair"),
        ] {
            let row = service(product, state).unwrap();
            assert!(row.mend.words().contains(words), "{}", row.mend.words());
            assert_eq!(matches!(row.mend, Mend::Plan(_)), planned, "{state:?}");
        }
        assert!(service(Product::Connect, Some(Running)).is_none());
    }
}
