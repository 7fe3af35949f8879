//! What an observation of a tenant answers to the probes of the catalogue, held against what a plan wants of that tenant. What was not
//! seen is *cannot tell* and stops nothing.

use std::collections::BTreeSet;

use protocol::event::{Finding, Severity, Verdict};
use protocol::probe::{Probe, tenant as catalogue};
use protocol::signed::Phase;
use protocol::step::{Product, SignIn, Step};
use protocol::{DomainName, TargetId, TenantId, Version};
use serde::{Deserialize, Serialize};

use super::{Held, Observation, Part};
use crate::active::{self, Modes};
use crate::beyond::Beyond;
use crate::facts::Fleetwide;
use crate::forest::{self, Forests};
use crate::plan::TargetPlan;
use crate::scope::{self, Question};

/// What a Connect entry of the topology is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantsConnect {
    /// Its name.
    pub name: String,
    /// Its forests.
    pub forests: Vec<DomainName>,
    /// Roots of further trees of these, as they are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trees: Vec<DomainName>,
    /// Domains that agents serve, of which a server had read when it was planned that they lie in further trees of these.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub read: BTreeSet<DomainName>,
    /// Servers that stay and those that go.
    pub servers: Vec<TargetId>,
    /// Servers that Connect is off for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<TargetId>,
}

/// What a plan wants of a tenant: what its findings are judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// Its name in the topology.
    pub name: String,
    /// How its agents are signed in; absent where no plan says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignIn>,
    /// Version of the agents that are signed in; absent where none is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Version>,
    /// Domains that agents serve.
    pub serves: BTreeSet<DomainName>,
    /// Those of them whose password hashes are to be synchronized: their permissions say so.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hashes: BTreeSet<DomainName>,
    /// Connect entries.
    pub connect: Vec<WantsConnect>,
}

impl Wants {
    /// What is known of a tenant that no applied plan has: what agents that are registered with it serve.
    #[must_use]
    pub fn of_fleet(tenant: &TenantId, known: &Fleetwide) -> Self {
        let (mut serves, mut agent) = (BTreeSet::new(), None::<Version>);
        for known in known.values() {
            let facts = known.facts.as_ref().map(|(_, facts)| facts);
            let own = facts.and_then(|facts| facts.provisioning_agent.as_ref());
            let Some(own) = own.filter(|own| own.tenant.as_ref() == Some(tenant)) else {
                continue;
            };
            serves.extend(known.domains.iter().flatten().cloned());
            // The oldest of them is the one that knows least.
            agent = match (agent, own.version) {
                (Some(before), Some(version)) => Some(before.min(version)),
                (before, version) => before.or(version),
            };
        }
        Self {
            name: tenant.to_string(),
            sign_in: None,
            agent,
            serves,
            hashes: BTreeSet::new(),
            connect: Vec::new(),
        }
    }

    /// Entries of Connect in whose forests a domain lies (guard rail G7): as it is written, or as it was read by now. What was read when
    /// it was planned stands until each of its forests was read otherwise.
    pub fn shares<'a>(
        &'a self,
        read: &'a Forests,
        domain: &'a DomainName,
    ) -> impl Iterator<Item = &'a WantsConnect> {
        let within = move |entry: &&WantsConnect| {
            let mut roots = entry.forests.iter().chain(&entry.trees);
            let told: Vec<bool> = entry
                .forests
                .iter()
                .filter_map(|forest| forest::is_of(read, domain, forest))
                .collect();
            roots.any(|root| domain.is_within(root))
                || told.contains(&true)
                || (told.len() < entry.forests.len() && entry.read.contains(domain))
        };
        self.connect.iter().filter(within)
    }
}

/// An answer, and whom it stops where it blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The answer.
    pub finding: Finding,
    /// Servers of this product.
    pub product: Product,
    /// Those that serve this domain alone.
    pub domain: Option<DomainName>,
    /// A server that becomes active mends it.
    pub mended_by_active: bool,
    /// It says that no Connect server is active: what is so for a while where one is to take another one's place.
    pub nobody_active: bool,
}

/// A reading that a part of an observation gives.
fn reading<T>(part: &Part<T>) -> Result<&T, String> {
    match part {
        Part::Seen(seen) => Ok(seen),
        Part::NotSeen(why) => Err(why.clone()),
    }
}

fn names<'a>(all: impl IntoIterator<Item = &'a String>) -> String {
    all.into_iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Every answer.
#[must_use]
pub fn findings(
    seen: &Observation,
    wants: &Wants,
    known: &Fleetwide,
    beyond: &Beyond,
) -> Vec<Probed> {
    let mut all = Vec::new();
    let mut add = |product: Product, finding: Finding| {
        all.push(Probed {
            finding,
            product,
            domain: None,
            mended_by_active: false,
            nobody_active: false,
        });
    };
    let agents = !wants.serves.is_empty();
    if agents {
        add(
            Product::ProvisioningAgent,
            role(seen, Product::ProvisioningAgent, wants.agent),
        );
        add(Product::ProvisioningAgent, demand(seen, wants.sign_in));
    }
    if !wants.connect.is_empty() {
        add(Product::Connect, role(seen, Product::Connect, None));
    }
    let organization = reading(&seen.organization);
    let on = |on: bool| if on { "on" } else { "off" };
    let is_on = catalogue::PF64.judge_gently(
        organization,
        |one| format!("it is {}", on(one.sync_enabled)),
        |one| one.sync_enabled,
    );
    add(
        if agents {
            Product::ProvisioningAgent
        } else {
            Product::Connect
        },
        is_on,
    );
    if !wants.connect.is_empty() {
        add(Product::Connect, members(seen));
        add(Product::Connect, caught(seen));
    }
    for finding in guards(seen) {
        add(Product::ProvisioningAgent, finding);
    }
    for domain in &wants.serves {
        all.push(Probed {
            finding: competing(seen, domain),
            product: Product::ProvisioningAgent,
            domain: Some(domain.clone()),
            mended_by_active: false,
            nobody_active: false,
        });
        for entry in wants.shares(&beyond.suffixes, domain) {
            let question = Question {
                domain,
                wants,
                entry,
                seen: Some(seen),
            };
            let verdict = question.answer(beyond, known, None);
            all.push(Probed {
                finding: overlap(domain, verdict),
                product: Product::ProvisioningAgent,
                domain: Some(domain.clone()),
                mended_by_active: false,
                nobody_active: false,
            });
        }
    }
    all.extend(unplanned(seen, wants, &beyond.suffixes));
    all.extend(
        wants
            .connect
            .iter()
            .map(|entry| active_connect(seen, entry, known, beyond)),
    );
    all
}

/// The first agent that activates a role for whoever is eligible for it (product facts 1.7 [R]).
const ACTIVATES: Version = Version::new(1, 1, 2102, 0);

/// PF61. A Global Administrator will do as well: the page on Connect's prerequisites says so (2.8 [P]), and the agent's older page asked for
/// one (0).
fn role(seen: &Observation, product: Product, agent: Option<Version>) -> Finding {
    let told = reading(&seen.operator).and_then(|account| {
        let roles = [&account.role, &account.global];
        let will_do = |held: Held| match (product, held) {
            (_, Held::Direct) | (Product::ProvisioningAgent, Held::ByGroup) => true,
            (Product::ProvisioningAgent, Held::Eligible) => {
                agent.is_some_and(|agent| agent >= ACTIVATES)
            }
            (_, Held::Not) | (Product::Connect, _) => false,
        };
        let known: Vec<Held> = roles.iter().filter_map(|role| role.seen().copied()).collect();
        if known.iter().any(|held| will_do(*held)) {
            return Ok((account, true));
        }
        // No other role mends that.
        if account.guest || account.synchronized {
            return Ok((account, false));
        }
        for role in roles {
            reading(role)?;
        }
        if product == Product::ProvisioningAgent && agent.is_none() && known.contains(&Held::Eligible)
        {
            return Err(format!(
                "{} is eligible, which an agent takes from {ACTIVATES} on; which version is to sign in is not known",
                account.user
            ));
        }
        Ok((account, false))
    });
    let show = |(account, _): &(&super::Account, bool)| {
        let guest = if account.guest { ", a guest" } else { "" };
        let synchronized = if account.synchronized {
            ", synchronized from a directory"
        } else {
            ""
        };
        let held = account.role.seen().map_or("", |held| held.as_str());
        let global = match account.global.seen() {
            None | Some(Held::Not) => String::new(),
            Some(held) => format!("; of Global Administrator: {}", held.as_str()),
        };
        let eligible = [&account.role, &account.global]
            .iter()
            .any(|role| role.seen() == Some(&Held::Eligible));
        let old = match (product, agent) {
            (Product::ProvisioningAgent, Some(agent)) if eligible && agent < ACTIVATES => {
                format!("; agent {agent} activates no role, {ACTIVATES} and later do")
            }
            (Product::ProvisioningAgent | Product::Connect, _) => String::new(),
        };
        format!("{} {held}{guest}{synchronized}{global}{old}", account.user)
    };
    let pass = |(account, holds): &(&super::Account, bool)| {
        *holds && !account.guest && !account.synchronized
    };
    let mut finding = catalogue::PF61.judge_gently(told, show, pass);
    finding.what = format!("{}, for {}", finding.what, product.as_str());
    finding
}

/// PF62. What the vendor itself demands of administrators stands in no policy of a tenant.
fn demand(seen: &Observation, sign_in: Option<SignIn>) -> Finding {
    let probe = &catalogue::PF62;
    match sign_in {
        Some(SignIn::Credential) => {}
        Some(other) => {
            let read = format!(
                "sign_in is {}: a person signs in, and meets what is demanded",
                other.as_str()
            );
            return probe.judge_gently(Ok(read), String::clone, |_| true);
        }
        None => {
            let why = Err::<(), _>("no plan says how agents are signed in".to_owned());
            return probe.judge_gently(why, |()| String::new(), |()| false);
        }
    }
    let told = reading(&seen.operator).and_then(|account| {
        let demands = reading(&account.demands)?;
        if demands.is_empty() && !account.may_demand.is_empty() {
            return Err(format!(
                "these may, by a condition, a group, an application or a control that is not looked at: {}",
                names(&account.may_demand)
            ));
        }
        Ok((account, demands))
    });
    probe.judge_gently(
        told,
        |(account, demands)| match demands.is_empty() {
            true => format!("no policy demands more of {}", account.user),
            false => format!("of {}: {}", account.user, names(*demands)),
        },
        |(_, demands)| demands.is_empty(),
    )
}

/// PF65, of one domain that agents serve.
fn competing(seen: &Observation, domain: &DomainName) -> Finding {
    let told = reading(&seen.configurations).and_then(|all| {
        let of = |one: &&super::Configuration| {
            one.domain
                .seen()
                .is_some_and(|own| own.eq_ignore_ascii_case(domain.as_str()))
        };
        let own: Vec<&str> = all.iter().filter(of).map(|one| one.name.as_str()).collect();
        // One more would not mend it.
        let unread = all.iter().find_map(|one| match &one.domain {
            Part::NotSeen(why) if own.len() < 2 => Some((&one.name, why)),
            Part::NotSeen(_) | Part::Seen(_) => None,
        });
        match unread {
            Some((name, why)) => Err(format!(
                "which domain configuration {name} is of was not seen: {why}"
            )),
            None => Ok(own),
        }
    });
    let show = |own: &Vec<&str>| match own.as_slice() {
        [] => format!("none is of {domain}"),
        own => format!("{} of {domain}: {}", own.len(), own.join(", ")),
    };
    catalogue::PF65.judge_gently(told, show, |own| own.len() < 2)
}

/// PF65, of domains that no agents are to serve and Connect does: it warns, since what is there may be meant.
fn unplanned(seen: &Observation, wants: &Wants, read: &Forests) -> Vec<Probed> {
    let configurations = seen.configurations.seen().into_iter().flatten();
    let strange = configurations.filter_map(|one| {
        let domain: DomainName = one.domain.seen()?.parse().ok()?;
        let shared =
            !wants.serves.contains(&domain) && wants.shares(read, &domain).next().is_some();
        shared.then_some((one, domain))
    });
    let probed = strange.map(|(one, domain)| {
        let read = format!("configuration {} is of {domain}, which Connect synchronizes and no agents are to serve", one.name);
        let mut finding = catalogue::PF65.judge_gently(Ok(read), String::clone, |_| false);
        finding.severity = Severity::Warn;
        Probed {
            finding,
            product: Product::ProvisioningAgent,
            domain: Some(domain),
            mended_by_active: false,
            nobody_active: false,
        }
    });
    probed.collect()
}

/// PF67. What cannot be told holds by itself, where a phase comes to it (G7); here it is shown.
fn overlap(domain: &DomainName, verdict: scope::Verdict) -> Finding {
    let told = match verdict {
        scope::Verdict::Disjoint(words) => Ok((words, true)),
        scope::Verdict::Overlap(words) => Ok((words, false)),
        scope::Verdict::CannotTell(why) => Err(format!("{domain}: {why}")),
    };
    catalogue::PF67.judge_gently(
        told,
        |(words, _)| format!("{domain}: {words}"),
        |(_, is)| *is,
    )
}

/// PF68.
fn members(seen: &Observation) -> Finding {
    const MOST: usize = 20;
    let told = reading(&seen.sync_accounts);
    catalogue::PF68.judge_gently(
        told,
        |one| format!("{} hold it", one.members),
        |one| one.members < MOST,
    )
}

/// PF69.
fn caught(seen: &Observation) -> Finding {
    let told = reading(&seen.sync_accounts).and_then(|accounts| {
        let none = BTreeSet::new();
        // Nobody is there to be caught: policies for users are none for applications.
        if accounts.members == 0 || seen.only_applications() {
            return Ok((accounts.members, none));
        }
        let caught = reading(&accounts.caught)?;
        if caught.is_empty() && !accounts.may_catch.is_empty() {
            return Err(format!(
                "these may leave them out, by a group or a condition that is not looked at, or since not each was seen to be a user: {}",
                names(&accounts.may_catch)
            ));
        }
        Ok((accounts.members, caught.clone()))
    });
    catalogue::PF69.judge_gently(
        told,
        |(members, caught)| match (members, caught.is_empty()) {
            (0, _) => "nobody holds that role".to_owned(),
            _ if seen.only_applications() => {
                format!("each of the {members} that hold it is an application")
            }
            (_, true) => "each excludes them".to_owned(),
            (_, false) => format!("not excluded by: {}", names(caught)),
        },
        |(_, caught)| caught.is_empty(),
    )
}

/// PV15, of each configuration.
fn guards(seen: &Observation) -> Vec<Finding> {
    let probe: &Probe = &catalogue::PV15;
    let all = match &seen.configurations {
        Part::Seen(all) => all,
        Part::NotSeen(why) => {
            return vec![probe.judge_gently(
                Err::<(), _>(why.clone()),
                |()| String::new(),
                |()| false,
            )];
        }
    };
    let guard = |one: &super::Configuration| {
        let told = reading(&one.guard).and_then(|guard| {
            // The vendor's page names a default (500); whether it holds where nothing is set is not documented.
            guard.ok_or_else(|| {
                "nothing is set; whether the product's default holds then cannot be told".to_owned()
            })
        });
        let mut finding = probe.judge_gently(
            told,
            |guard| {
                let is = if guard.enabled { "on" } else { "off" };
                match guard.threshold {
                    Some(at) => format!("it is {is}, at {at} objects"),
                    None => format!("it is {is}, without a threshold"),
                }
            },
            |guard| guard.enabled && guard.threshold.is_some_and(|at| at > 0),
        );
        finding.read = format!("{}: {}", one.name, finding.read);
        finding
    };
    all.iter().map(guard).collect()
}

/// PF66.
fn active_connect(
    seen: &Observation,
    entry: &WantsConnect,
    known: &Fleetwide,
    beyond: &Beyond,
) -> Probed {
    let mut modes = Modes::new();
    let mut untold: Vec<&str> = Vec::new();
    let servers = entry.servers.iter();
    for server in servers.filter(|server| !beyond.said_off.contains(*server)) {
        match known.get(server).and_then(|known| known.facts.as_ref()) {
            Some((_, facts)) => {
                if let Some(connect) = &facts.connect {
                    modes.insert(server.clone(), connect.mode());
                    if connect.mode().is_none() {
                        untold.push(server.as_str());
                    }
                }
            }
            None => untold.push(server.as_str()),
        }
    }
    let mine: Vec<&TargetId> = entry.servers.iter().chain(&entry.gone).collect();
    let strangers = beyond.strange_connect(&seen.tenant, &entry.forests, &mine, known);
    untold.extend(strangers.iter().map(|(name, _)| name.as_str()));
    let active = active::active(&modes);
    let said: Vec<&str> = active.iter().map(|server| server.as_str()).collect();
    let last = reading(&seen.organization).map(|one| one.last_sync);
    let last =
        last.map_err(|why| format!("when the tenant was last synchronized was not seen: {why}"));
    let cloud = seen.cloud_sync_may_have_run();
    let told = match (active.len(), last) {
        (2.., _) => Ok((format!("active at once: {}", said.join(", ")), false)),
        (_, _) if !untold.is_empty() => Err(format!(
            "whether {} is active is not known",
            untold.join(", ")
        )),
        (1, _) => Ok((format!("{} is active", said.join(", ")), true)),
        (_, Err(why)) => Err(why),
        (_, Ok(Some(at))) if seen.is_lately(at) && !cloud => Ok((
            format!(
                "no server of entry {} is active, and the tenant was synchronized at {at}",
                entry.name
            ),
            false,
        )),
        (_, Ok(Some(at))) if modes.is_empty() => Err(format!(
            "no server of entry {} has Connect, and the tenant was synchronized at {at}",
            entry.name
        )),
        (_, Ok(None)) if modes.is_empty() => Ok((
            "none, and the tenant was never synchronized".to_owned(),
            true,
        )),
        (_, Ok(_)) => Ok((
            format!("no server of entry {} is active", entry.name),
            false,
        )),
    };
    // Two are not mended by a third one.
    let late = seen
        .organization
        .seen()
        .and_then(|one| one.last_sync)
        .is_none_or(|at| !seen.is_lately(at));
    Probed {
        finding: catalogue::PF66.judge_gently(told, |(words, _)| words.clone(), |(_, is)| *is),
        product: Product::Connect,
        domain: None,
        mended_by_active: active.is_empty() && (late || cloud),
        nobody_active: active.is_empty(),
    }
}

/// An answer that does not pass, in a sentence: how grave it is, what was read, and what to do.
#[must_use]
pub fn sentence(finding: &Finding) -> String {
    let word = match (finding.verdict, finding.blocks()) {
        (Verdict::CannotTell, _) => "cannot tell",
        (Verdict::Pass | Verdict::Fail, true) => "blocks",
        (Verdict::Pass | Verdict::Fail, false) => "warns",
    };
    format!(
        "{} {word}: {}: {}; {}",
        finding.id, finding.what, finding.read, finding.fix
    )
}

/// Whether an answer stops a target before its phase `from`: those that need a sign-in by whoever the answer is about, serve that
/// domain, or change that product. PF67 holds by itself, and only what would configure the domain (G7).
#[must_use]
pub fn stops(probed: &Probed, part: &TargetPlan, from: usize) -> bool {
    let Probed {
        finding,
        product,
        domain,
        mended_by_active,
        nobody_active: _,
    } = probed;
    if !part.is_of(*product) || !finding.blocks() || finding.id == catalogue::PF67.id {
        return false;
    }
    if *mended_by_active && part.makes_active() {
        return false;
    }
    if domain
        .as_ref()
        .is_some_and(|domain| !part.domains.contains(domain))
    {
        return false;
    }
    if finding.id == catalogue::PF66.id {
        return true;
    }
    let left = part.phases.iter().skip(from);
    left.filter(|phase| phase.phase == Phase::Register)
        .flat_map(|phase| &phase.steps)
        .any(signs_in)
}

/// Whether a person's sign-in to the tenant belongs to a step.
const fn signs_in(step: &Step) -> bool {
    matches!(
        step,
        Step::RegisterProvisioningAgent(_)
            | Step::AddDomains(_)
            | Step::GuideProvisioningAgent(_)
            | Step::GuideConnect(_)
            | Step::GuideTransition(_)
    )
}
