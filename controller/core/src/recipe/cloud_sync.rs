//! The provisioning agent: install or upgrade (prepare), register, prove.

use std::collections::{BTreeMap, BTreeSet};

use protocol::facts::{Facts, ProvisioningAgentFacts, ServiceState};
use protocol::signed::Phase;
use protocol::step::{
    AddDomains, BothTools, Cloud, DirectoryRights, GuideProvisioningAgent,
    InstallProvisioningAgent, OwnRights, Permission, Preflight, Product, RegisterProvisioningAgent,
    ServedDomain, SetProvisioningAgentOptions, SignIn, StartProvisioningAgent, Step,
    VerifyProvisioningAgent,
};
use protocol::task::{self, Page, TaskText};
use protocol::{DomainName, GmsaName, ProxyAddress, ServiceOptions, TargetId, Version};

use crate::beyond::{GivenOf, account_of};
use crate::clouds::Works;
use crate::finding::Place;
use crate::forest::Forests;
use crate::links;
use crate::recipe::{Answer, Artifacts, PhaseWork, download, unread};
use crate::topology::{AgentGroup, ConnectSettings, Tenant, Topology};
use crate::versions::Certainty;

/// The gMSA that a domain's administrator makes when none is named and no credential is given (product facts 1.6).
const DEFAULT_GMSA: &str = "provAgentgMSA$";

/// What is known of what Entrain did to the agent on a host before.
#[derive(Debug)]
pub struct Before<'a> {
    /// The domains that it was made to serve, as [`crate::facts::Known::domains`] has them.
    pub serving: Option<&'a BTreeSet<DomainName>>,
    /// A registration did not come to its end, for all that was heard.
    pub owes: bool,
    /// What its account was given of them.
    pub given: Option<&'a GivenOf>,
}

/// What is to be done on one host of a group.
#[must_use]
pub fn answer(
    (topology, read): (&Topology, &Forests),
    group: &AgentGroup,
    tenant: &Tenant,
    host: &TargetId,
    facts: &Facts,
    before: &Before<'_>,
    artifacts: &Artifacts,
) -> Answer {
    let Some(artifact) = artifacts.get(&Product::ProvisioningAgent) else {
        return Answer::Nothing(download::missing(Product::ProvisioningAgent).to_owned());
    };
    let wanted = topology
        .wanted
        .provisioning_agent
        .unwrap_or(artifact.version);
    if let Some(answer) = unread(facts) {
        return answer;
    }
    // What was taken off leaves its tenant in the registry.
    let agent = facts.provisioning_agent.as_ref();
    let agent = agent.filter(|agent| !agent.is_removed());
    if let Some(other) = agent
        .and_then(|agent| agent.tenant.as_ref())
        .filter(|other| **other != tenant.id)
    {
        return Answer::Nothing(format!(
            "refused: the agent on it is registered with another tenant, {other} (G9); uninstall it or correct the topology"
        ));
    }
    let home = match home_of(host, facts) {
        Ok(home) => home,
        Err(why) => return Answer::Nothing(why),
    };
    let version = agent.and_then(|agent| agent.version);
    let installed = version.is_some_and(|version| version >= wanted);
    let configured = agent
        .is_some_and(|agent| agent.is_configured() && agent.tenant.as_ref() == Some(&tenant.id));
    // Behind an account that cmdlets set before they were broken off, domains may be missing.
    let broken_off = configured && agent.is_some_and(|agent| agent.owes_registration.is_some());
    // The account that another one took the place of is set by the cmdlets that register.
    let its_own = agent.is_some_and(|agent| agent.runs_as(group.gmsa.as_ref()));
    let registered = configured && its_own && !broken_off;
    let gmsa = service_account(topology, group, &home);
    // The wizard that a person meets is that of the agent which is there then.
    let at_wizard = version.filter(|_| installed).unwrap_or(artifact.version);
    let served = served(topology, group);
    // What the domains hold was counted before the setup: a later phase does not count it again.
    let preflight = |phase| {
        let mut preflight = readiness_of((topology, read), group, tenant, host, facts, &home);
        preflight.census &= phase == Phase::Prepare;
        if phase != Phase::Prepare {
            preflight.both_tools.clear();
        }
        preflight.may_fix = group.may_fix.iter().copied().collect();
        Step::Preflight(preflight)
    };
    // Edits of the service's configuration file that nobody wrote down: an upgrade finds them there, and they are to be there after it.
    let upgrades = !installed && version.is_some();
    let there = carried(&group.options, agent);
    let owned = if upgrades {
        there.clone()
    } else {
        group.options.clone()
    };
    let verify = PhaseWork {
        phase: Phase::Prove,
        steps: vec![Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
            tenant: tenant.id.clone(),
            at_least: wanted,
            gmsa: group.gmsa.clone(),
            own_rights: own_rights(topology, group, &home),
            options: owned.clone(),
            soaked_seconds: None,
        })],
        artifacts: Vec::new(),
    };
    let options = if owned.is_empty() {
        Vec::new()
    } else {
        vec![Step::SetProvisioningAgentOptions(
            SetProvisioningAgentOptions {
                options: owned.clone(),
            },
        )]
    };
    let mut phases = Vec::new();
    let mut why = Vec::new();
    let mut people = Vec::new();
    if !installed {
        let install = InstallProvisioningAgent {
            artifact: artifact.sha256,
            cloud: tenant.cloud,
            at_least: wanted,
            environment: tenant.about.environment_otherwise(tenant.cloud),
        };
        phases.push(PhaseWork {
            phase: Phase::Prepare,
            steps: [
                vec![
                    preflight(Phase::Prepare),
                    Step::InstallProvisioningAgent(install),
                ],
                // The file that they stand in is laid down by the setup, and an old one forgets them in an update.
                options.clone(),
            ]
            .concat(),
            artifacts: vec![artifact.clone()],
        });
        why.push(match version {
            Some(version) => format!(
                "version {version} is there, {wanted} is wanted: upgrade in place, no sign-in"
            ),
            None => format!(
                "no provisioning agent is there: install {}",
                artifact.version
            ),
        });
        if let Some(version) = version {
            people.push(rights_of_an_upgrade(topology, group, gmsa.as_ref()));
            why.extend(edits_of_an_upgrade(version, &group.options, &owned, agent));
        }
        if tenant.cloud == Cloud::UsGovernment {
            why.push(format!(
                "the setup is told its cloud, ENVIRONMENTNAME={}; {}",
                tenant.about.environment.value,
                links::US_GOVERNMENT
            ));
        }
        if let Some(environment) = tenant.about.environment_otherwise(tenant.cloud) {
            why.push(format!(
                "the setup is told ENVIRONMENTNAME={environment}, as the controller's clouds.toml says otherwise than its release: an agent of an earlier release refuses that"
            ));
        }
        if tenant.about.environment.certainty == Certainty::Unverified {
            why.push(format!(
                "the setup's value for the cloud {} is unverified: {}",
                tenant.cloud.as_str(),
                tenant.about.environment.source
            ));
        }
    }
    let lacking = agent
        .and_then(|agent| agent.options.as_ref())
        .map(|seen| group.options.lacking(seen));
    if installed
        && !options.is_empty()
        && lacking.as_ref().is_none_or(|lacking| !lacking.is_empty())
    {
        phases.push(PhaseWork {
            phase: Phase::Prepare,
            steps: [vec![preflight(Phase::Prepare)], options].concat(),
            artifacts: Vec::new(),
        });
        why.push(match lacking {
            Some(lacking) => format!(
                "its service lacks {}: set, and the service is restarted while others serve",
                lacking.join(", ")
            ),
            None => "the options of its service could not be read: looked at once more".to_owned(),
        });
    }
    // A registration restarts the service itself, unless it is disabled.
    let state = agent.and_then(|agent| agent.service);
    let starts = match state {
        Some(ServiceState::Disabled) => configured,
        Some(ServiceState::NotRunning) => registered,
        Some(ServiceState::Running) | None => false,
    };
    // It is started beside the agent's own service, which goes on.
    let updater = agent.and_then(|agent| agent.updater).filter(|_| configured);
    let starts = starts || updater.is_some();
    if starts {
        let start = StartProvisioningAgent {
            tenant: tenant.id.clone(),
        };
        phases.push(PhaseWork {
            phase: Phase::Prepare,
            steps: vec![
                preflight(Phase::Prepare),
                Step::StartProvisioningAgent(start),
            ],
            artifacts: Vec::new(),
        });
        why.extend(
            state
                .filter(|state| *state != ServiceState::Running)
                .map(|state| {
                    format!(
                        "its service is {}; nothing of it is in service meanwhile",
                        brought_back(state)
                    )
                }),
        );
        why.extend(updater.map(|state| {
            format!(
                "its updater is {}; the agent goes on meanwhile (PV04)",
                brought_back(state)
            )
        }));
    }
    if !registered {
        let step = register(
            host,
            tenant,
            &home,
            (at_wizard, gmsa.as_ref()),
            &served,
            group.gmsa.as_ref(),
            there.proxy.as_ref(),
        );
        let (by, chosen) = sign_in_words(tenant);
        why.push(match agent.filter(|_| configured) {
            Some(_) if broken_off => format!(
                "its registration by cmdlets was begun and has not come to its end, so that domains may be missing behind its account: gone on with {by}, what is there stays, and the service is restarted; {chosen}"
            ),
            Some(agent) => format!(
                "its service runs as {} and not as {}: set anew {by}, and the service is restarted while others serve; {chosen}",
                agent.account.as_deref().unwrap_or("an account that is not told"),
                group
                    .gmsa
                    .as_ref()
                    .map_or("a group managed service account".to_owned(), ToString::to_string),
            ),
            None => format!("not registered with tenant {}: {by}; {chosen}", tenant.id),
        });
        if state == Some(ServiceState::Disabled) && !starts {
            why.push(
                "its service is disabled: set to start with Windows before anything is asked for, since the registration starts it"
                    .to_owned(),
            );
        }
        let way = tenant.about.sign_in.way(tenant.sign_in);
        if way.works == Works::Unverified {
            why.push(format!(
                "signing in by {} is unverified in the cloud {}: {}",
                tenant.sign_in.as_str(),
                tenant.cloud.as_str(),
                way.source
            ));
        }
        people.extend(bring(
            tenant,
            tenant.sign_in,
            &served,
            (at_wizard, gmsa.as_ref()),
        ));
        people.extend(of_home(group, host, &home, gmsa.as_ref()));
        people.extend(rights_by_hand(tenant.sign_in, gmsa.as_ref(), &served));
        people.extend(writeback_by_hand(topology, &served));
        phases.push(PhaseWork {
            phase: Phase::Register,
            // Days may lie between two phases: each looks before it changes something (G8).
            steps: vec![preflight(Phase::Register), step],
            artifacts: Vec::new(),
        });
    }
    let mut known = true;
    if registered {
        // At the wizard a person gives the domains, and no probe sees them: to look there again would take the agent out of service for nothing.
        let by_hand = tenant.sign_in == SignIn::Wizard;
        let unsaid = |all: &BTreeSet<DomainName>| by_hand && all.is_empty() && !before.owes;
        let serving = before.serving.filter(|all| !unsaid(all));
        let mut domains = Domains::of(&served, serving, group.adopt);
        known = domains.known;
        why.extend(domains.remarks(host, by_hand));
        let account = agent.and_then(account_of);
        let (lacking, remarks) = rights_lacking(tenant, &served, serving, (before.given, account));
        why.extend(remarks);
        if !domains.missing.is_empty() {
            people.extend(rights_by_hand(
                tenant.sign_in,
                gmsa.as_ref(),
                &domains.missing,
            ));
        }
        // Rights that are given now may be the first of that kind.
        let given_now: Vec<ServedDomain> =
            domains.missing.iter().chain(&lacking).cloned().collect();
        people.extend(writeback_by_hand(topology, &given_now));
        // The same cmdlets add what is not there, and give the rights of what is.
        domains.missing.extend(lacking);
        if !domains.missing.is_empty() {
            people.extend(bring(
                tenant,
                tenant.sign_in,
                &domains.missing,
                (at_wizard, gmsa.as_ref()),
            ));
            phases.push(PhaseWork {
                phase: Phase::Register,
                steps: vec![
                    preflight(Phase::Register),
                    Step::AddDomains(AddDomains {
                        tenant: tenant.id.clone(),
                        sign_in: tenant.sign_in,
                        proxy: there.proxy.clone(),
                        wizard: added_by_hand(tenant, (at_wizard, gmsa.as_ref()), &domains.missing),
                        domains: domains.missing,
                    }),
                ],
                artifacts: Vec::new(),
            });
        }
    }
    if phases.is_empty() {
        let version = version.unwrap_or(wanted);
        // What it serves is no part of a verification without a signed-in session.
        let verified = if known {
            "verified"
        } else {
            "verified but for its domains"
        };
        why.push(format!(
            "version {version} is there and registered: {verified}, nothing is changed"
        ));
        if version > artifact.version {
            why.push(format!(
                "{version} is newer than the artifact: accepted, not installed by us"
            ));
        }
    }
    phases.push(verify);
    Answer::Do {
        phases,
        why,
        people,
    }
}

/// What is done to a service that does not run, in words.
const fn brought_back(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Disabled => "disabled: set to start with Windows, and started",
        ServiceState::NotRunning | ServiceState::Running => "not running: started",
    }
}

/// The server's domain, as it says itself, else as its name tells.
pub(crate) fn home_of(host: &TargetId, facts: &Facts) -> Result<DomainName, String> {
    let home = facts.host.domain.clone().or_else(|| host.home_domain());
    home.ok_or_else(|| "refused: the server is in no domain, and its name tells none".to_owned())
}

/// The one that is named, or the default that the domain's administrator makes; none where the installer makes its own.
pub(super) fn service_account(
    topology: &Topology,
    group: &AgentGroup,
    home: &DomainName,
) -> Option<GmsaName> {
    // A credential is asked for of the domains that are served, and of no other: the agent has the same rule.
    let ask = serves(group, home)
        && topology
            .domains
            .get(home)
            .is_some_and(|domain| domain.rights == DirectoryRights::Ask);
    match (&group.gmsa, ask) {
        (Some(named), _) => Some(named.clone()),
        (None, true) => None,
        (None, false) => DEFAULT_GMSA.parse().ok(),
    }
}

fn serves(group: &AgentGroup, domain: &DomainName) -> bool {
    group.serves.iter().any(|(name, _)| name == domain)
}

/// What people must know of a server whose own domain its agents do not serve, or whose name does not tell its domain.
fn of_home(
    group: &AgentGroup,
    host: &TargetId,
    home: &DomainName,
    gmsa: Option<&GmsaName>,
) -> Vec<String> {
    let mut people = Vec::new();
    if let Some(account) = gmsa.filter(|_| !serves(group, home)) {
        people.push(format!(
            "the administrator of {home}, where {account} lives, makes it there beforehand: entrain handover {home}; no credential of a domain that is not served is asked for"
        ));
    }
    if host.home_domain().as_ref() != Some(home) {
        people.push(format!(
            "{host} is a member of {home}, which its name does not tell: --member {host}={home} with each entrain handover"
        ));
    }
    people
}

fn served(topology: &Topology, group: &AgentGroup) -> Vec<ServedDomain> {
    let domain = |name: &DomainName| {
        let written = topology.domains.get(name);
        ServedDomain {
            name: name.clone(),
            preferred_dcs: written
                .map(|domain| domain.preferred_dcs.clone())
                .unwrap_or_default(),
            rights: written.map_or(DirectoryRights::Handover, |domain| domain.rights),
            permissions: written
                .filter(|domain| domain.rights == DirectoryRights::Ask)
                .map(|domain| domain.permissions.iter().copied().collect())
                .unwrap_or_default(),
        }
    };
    group.serves.iter().map(|(name, _)| domain(name)).collect()
}

/// Who gives an account that was made beforehand its rights, where no credential does it: a person at the wizard gives none.
fn rights_by_hand(
    sign_in: SignIn,
    gmsa: Option<&GmsaName>,
    served: &[ServedDomain],
) -> Option<String> {
    let account = gmsa?;
    let wizard = sign_in == SignIn::Wizard;
    let by_hand = served
        .iter()
        .filter(|domain| wizard || domain.permissions.is_empty());
    let names: Vec<&str> = by_hand.map(|domain| domain.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "afterwards, the administrator of each served domain ({}) gives {account} its rights there: part 3 of entrain handover DOMAIN; the product does not since 1.1.2334.0, and without them nothing synchronizes",
            names.join(", ")
        )
    })
}

/// Rights alone switch no writeback of passwords on: the cmdlet that does asks for a Global Administrator's credential (1.4 [R]), and so it
/// is nothing that runs unattended (1.5 [R]).
fn writeback_by_hand(topology: &Topology, served: &[ServedDomain]) -> Option<String> {
    let wants = |domain: &&ServedDomain| {
        topology.domains.get(&domain.name).is_some_and(|written| {
            let sets = [Permission::PasswordWriteback, Permission::All];
            sets.iter().any(|set| written.permissions.contains(set))
        })
    };
    let names: Vec<&str> = served
        .iter()
        .filter(wants)
        .map(|domain| domain.name.as_str())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "afterwards, where passwords are to be written back ({}): the rights switch nothing on. A Global Administrator does, on a server of an agent: {}, with a credential of that role; it runs unattended nowhere",
            names.join(", "),
            crate::handover::SWITCH_WRITEBACK_ON
        )
    })
}

/// Rights are given on a clean installation alone, and an upgrade adds none (product facts 1.6 [P]).
fn rights_of_an_upgrade(
    topology: &Topology,
    group: &AgentGroup,
    gmsa: Option<&GmsaName>,
) -> String {
    let account = gmsa.map_or("the agent's account".to_owned(), ToString::to_string);
    let wants = |(name, _): &&(DomainName, Place)| {
        topology.domains.get(name).is_some_and(|domain| {
            let own = [Permission::UserGroupCreateDelete, Permission::All];
            own.iter().any(|one| domain.permissions.contains(one))
        })
    };
    let names: Vec<&str> = group
        .serves
        .iter()
        .filter(wants)
        .map(|(name, _)| name.as_str())
        .collect();
    let whose = if names.is_empty() {
        "where users or groups are to be made in the directory (it is written for no domain)"
            .to_owned()
    } else {
        format!("in {}", names.join(", "))
    };
    format!(
        "after the upgrade, the administrator of the domain gives {account} the rights {} by hand {whose}: part 3 of entrain handover DOMAIN; the product gives rights on a clean installation alone",
        Permission::UserGroupCreateDelete.cmdlet_word()
    )
}

/// The first version whose setup keeps edits of the service's configuration file (product facts 1.11 [R]).
const KEEPS_EDITS: Version = Version::new(1, 1, 1365, 0);

/// What is owned of the service's options, and beside it what its configuration file was found to say: an upgrade must not lose it, the
/// service reaches the cloud by it, and the cmdlets, which do not read that file, are told it.
fn carried(owned: &ServiceOptions, agent: Option<&ProvisioningAgentFacts>) -> ServiceOptions {
    let mut all = owned.clone();
    if let Some(seen) = agent.and_then(|agent| agent.options.as_ref()) {
        all.proxy = all.proxy.or_else(|| seen.proxy.clone());
        all.fips_exempt |= seen.fips_exempt;
    }
    all
}

/// What becomes of such edits, in sentences. Whether the older or the newer setup of the two resets the file is not said by the release
/// note (1.11 [R]): from before that version every edit may be lost, and what Entrain cannot read of them with it.
fn edits_of_an_upgrade(
    version: Version,
    owned: &ServiceOptions,
    all: &ServiceOptions,
    agent: Option<&ProvisioningAgentFacts>,
) -> Vec<String> {
    let mut why = Vec::new();
    let loses = version < KEEPS_EDITS;
    if owned != all {
        let edits = ServiceOptions {
            proxy: all.proxy.clone().filter(|_| owned.proxy.is_none()),
            fips_exempt: all.fips_exempt && !owned.fips_exempt,
            ..ServiceOptions::default()
        };
        let how = if loses {
            format!(
                "the setup may lose them in an upgrade from before {KEEPS_EDITS}, so they are looked at after it, and set again"
            )
        } else {
            format!(
                "the setup keeps them since {KEEPS_EDITS}; they are looked at after it, and set again if not"
            )
        };
        why.push(format!(
            "its configuration file was edited by hand ({edits}): {how}; write it as options of its group"
        ));
    }
    if !loses {
        return why;
    }
    why.push(match agent.and_then(|agent| agent.options.as_ref()) {
        Some(_) => format!(
            "{version} is older than {KEEPS_EDITS}: any other edit of AADConnectProvisioningAgent.exe.config may be lost in this upgrade; copy the file before"
        ),
        None => format!(
            "{version} is older than {KEEPS_EDITS}, and its configuration file could not be read: a proxy or any other edit of AADConnectProvisioningAgent.exe.config that is no option of its group may be lost in this upgrade; look at the file, and copy it before"
        ),
    });
    why
}

/// Domains that a registered agent serves and whose written rights it was not given, as far as Entrain gave them; and what cannot be
/// told of the rest, or brought.
fn rights_lacking(
    tenant: &Tenant,
    served: &[ServedDomain],
    serving: Option<&BTreeSet<DomainName>>,
    (given, account): (Option<&GivenOf>, Option<&str>),
) -> (Vec<ServedDomain>, Vec<String>) {
    let (mut lacking, mut remarks) = (Vec::new(), Vec::new());
    let there = |domain: &&ServedDomain| serving.is_none_or(|all| all.contains(&domain.name));
    for domain in served.iter().filter(there) {
        let name = &domain.name;
        if domain.permissions.is_empty() && domain.preferred_dcs.is_empty() {
            continue;
        }
        let words = |all: &[Permission]| {
            let words: Vec<&str> = all.iter().map(|one| one.as_str()).collect();
            words.join(", ")
        };
        let Some(is) = given.and_then(|given| given.get(name)) else {
            remarks.push(format!(
                "which rights its account was given in {name}, and which domain controllers it prefers there, cannot be told: no cmdlet of the product shows it, and Entrain did not give them. See the wizard's page \"Connect Active Directory\", and have its administrator run part 3 of entrain handover {name}"
            ));
            continue;
        };
        if is.preferred_dcs.is_none() && !domain.preferred_dcs.is_empty() {
            remarks.push(format!(
                "which domain controllers the agent prefers in {name} cannot be told: the product takes them when a domain is added, it may have been on the agent before, and no cmdlet of the product shows them. See the wizard's page \"Connect Active Directory\", and set them there"
            ));
        }
        let prefers = is.preferred_dcs.as_ref();
        if prefers.is_some_and(|all| *all != domain.preferred_dcs) {
            remarks.push(format!(
                "the preferred domain controllers of {name} are written otherwise than they were given: the product takes them when a domain is added, and no cmdlet that changes them later is documented. Set them at the wizard's page \"Connect Active Directory\"; no probe sees it"
            ));
        }
        if is.is_of_another(account) && !domain.permissions.is_empty() {
            let (own, account) = (is.account.as_deref(), account.unwrap_or_default());
            remarks.push(format!(
                "which rights {account} was given in {name} cannot be told: Entrain gave them to {}, as which the service does not run any more, and no cmdlet of the product shows them. Have its administrator run part 3 of entrain handover {name}",
                own.unwrap_or_default()
            ));
            continue;
        }
        let missing: Vec<Permission> = domain
            .permissions
            .iter()
            .copied()
            .filter(|one| {
                !is.permissions.contains(one) && !is.permissions.contains(&Permission::All)
            })
            .collect();
        if missing.is_empty() {
            continue;
        }
        if tenant.sign_in == SignIn::Wizard {
            remarks.push(format!(
                "its account was not given {} in {name}, and the wizard gives no rights: its administrator runs part 3 of entrain handover {name}",
                words(&missing)
            ));
            continue;
        }
        remarks.push(format!(
            "its account was not given {} in {name}: given in a signed-in session with the domain's credential, and its service is restarted while others serve",
            words(&missing)
        ));
        lacking.push(domain.clone());
    }
    (lacking, remarks)
}

/// Which domains a registered agent is to serve and does not, as far as Entrain made it serve them.
struct Domains {
    missing: Vec<ServedDomain>,
    left_over: Vec<DomainName>,
    known: bool,
}

impl Domains {
    /// Where somebody else registered the agent, all of them are looked for where that is wanted: the cmdlets add what is not there.
    fn of(served: &[ServedDomain], serving: Option<&BTreeSet<DomainName>>, adopt: bool) -> Self {
        let Some(serving) = serving else {
            return Self {
                missing: served.iter().filter(|_| adopt).cloned().collect(),
                left_over: Vec::new(),
                known: false,
            };
        };
        let missing = served
            .iter()
            .filter(|domain| !serving.contains(&domain.name));
        let wanted = |name: &&DomainName| !served.iter().any(|domain| domain.name == **name);
        Self {
            missing: missing.cloned().collect(),
            left_over: serving.iter().filter(wanted).cloned().collect(),
            known: true,
        }
    }

    fn remarks(&self, host: &TargetId, by_hand: bool) -> Vec<String> {
        let mut remarks = Vec::new();
        let nobody = if by_hand {
            "since nobody has said what it was given at the wizard"
        } else {
            "since Entrain did not register it"
        };
        if !self.known && self.missing.is_empty() {
            remarks.push(format!(
                "which domains it serves is not known, {nobody}: the wizard's page \"Connect Active Directory\" lists them; adopt = true of its group has those of `serves` added that are not there"
            ));
        }
        if !self.missing.is_empty() {
            let names: Vec<&str> = self
                .missing
                .iter()
                .map(|domain| domain.name.as_str())
                .collect();
            remarks.push(format!(
                "it is not known to serve {}: looked at in a signed-in session and added, and its service is restarted while others serve",
                names.join(", ")
            ));
        }
        for name in &self.left_over {
            remarks.push(format!(
                "{name} is still configured on it: no way to take a domain from an agent that stays is documented. Whoever runs the tenant disables the configuration of {name}; or {host} is retired and set up anew"
            ));
        }
        remarks
    }
}

/// Domains are added at the wizard of an agent that is registered (the vendor's article, steps A8 to A16).
fn added_by_hand(
    tenant: &Tenant,
    at: (Version, Option<&GmsaName>),
    missing: &[ServedDomain],
) -> TaskText {
    let names: Vec<&str> = missing.iter().map(|domain| domain.name.as_str()).collect();
    let mut text = wizard(tenant, at, missing, UNDOCUMENTED);
    text.title = format!("add {} to the provisioning agent", names.join(", "));
    for page in &mut text.pages {
        if page.title == "Configure Service Account" {
            page.lines = vec!["keep the account that is shown".to_owned()];
        }
    }
    text.seen_by = task::unseen("an agent shows its domains in a signed-in session alone");
    text
}

/// The way to sign in, and why this one: what the data on clouds choose, or what the topology writes, and which others do not work.
fn sign_in_words(tenant: &Tenant) -> (String, String) {
    let way = match tenant.sign_in {
        SignIn::Token => "by the cmdlets, with an access token that a person gives once".to_owned(),
        SignIn::Credential => "by the cmdlets, with a password-only account".to_owned(),
        SignIn::Wizard => format!(
            "by a person at the wizard (cloud {})",
            tenant.cloud.as_str()
        ),
    };
    let of_cloud = &tenant.about.sign_in;
    let why = if tenant.sign_in == of_cloud.chosen {
        format!(
            "{} is the way that clouds.toml chooses for the cloud {}",
            tenant.sign_in.as_str(),
            tenant.cloud.as_str()
        )
    } else {
        format!(
            "the topology writes {} in place of {}, which clouds.toml chooses for the cloud {}",
            tenant.sign_in.as_str(),
            of_cloud.chosen.as_str(),
            tenant.cloud.as_str()
        )
    };
    let mut refused: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in [SignIn::Token, SignIn::Credential, SignIn::Wizard] {
        let about = of_cloud.way(one);
        if about.works == Works::No {
            refused.entry(&about.source).or_default().push(one.as_str());
        }
    }
    let refused = refused.into_iter();
    let refused: String = refused
        .map(|(source, ways)| format!("; {} is refused there: {source}", ways.join(" and ")))
        .collect();
    (way, format!("{why}{refused}"))
}

/// The first version whose wizard wants no Domain Administrator where account and permissions were supplied (product facts 0.1, 1.11 [R]).
const WANTS_NO_ADMINISTRATOR: Version = Version::new(1, 1, 2505, 0);

/// Whether a wizard of that version may add a domain that is handed over without its administrator. Where the product makes its account,
/// none was supplied.
fn spares_administrator(at: Version, gmsa: Option<&GmsaName>) -> bool {
    at >= WANTS_NO_ADMINISTRATOR && gmsa.is_some()
}

/// What a person who adds domains at a wizard of that version brings of a domain that is handed over.
fn handed_over(domain: &DomainName, at: Version, gmsa: Option<&GmsaName>) -> String {
    let beforehand = format!(
        "the administrator of {domain} does the directory's part beforehand: entrain handover {domain}"
    );
    if spares_administrator(at, gmsa) {
        return format!(
            "{beforehand}; and is within reach where it asks for one of them: since {WANTS_NO_ADMINISTRATOR} the wizard does not where the account and its permissions were supplied, and part 3 gives most of those only once an agent serves {domain}"
        );
    }
    let why = match gmsa {
        Some(_) => format!(
            "the wizard of {at} wants a Domain Administrator there, as each does before {WANTS_NO_ADMINISTRATOR}"
        ),
        None => "the wizard wants a Domain Administrator where no account was made beforehand"
            .to_owned(),
    };
    format!(
        "{beforehand}; and signs in at the server, on the page \"Connect Active Directory\" of {domain}: {why}. The credential does not reach Entrain"
    )
}

/// What is brought to sign in, and of each domain; `wizard` is the version of the wizard that is taken, and the account that it is given.
fn bring(
    tenant: &Tenant,
    sign_in: SignIn,
    served: &[ServedDomain],
    (wizard, gmsa): (Version, Option<&GmsaName>),
) -> Vec<String> {
    let mut people = vec![match sign_in {
        SignIn::Token => format!(
            "an access token of a Hybrid Identity Administrator of tenant {} (good for 60-90 minutes)",
            tenant.id
        ),
        SignIn::Credential => format!(
            "a password-only Hybrid Identity Administrator of tenant {}",
            tenant.id
        ),
        SignIn::Wizard => format!(
            "a Hybrid Identity Administrator of tenant {}, at the server",
            tenant.id
        ),
    }];
    for domain in served {
        people.push(match domain.rights {
            DirectoryRights::Ask if sign_in == SignIn::Wizard => {
                format!("a domain administrator of {}, at the server", domain.name)
            }
            DirectoryRights::Ask => format!(
                "user name and password of a domain administrator of {}, which each server asks for anew",
                domain.name
            ),
            DirectoryRights::Handover if sign_in == SignIn::Wizard => {
                handed_over(&domain.name, wizard, gmsa)
            }
            DirectoryRights::Handover => format!(
                "the administrator of {0} does the directory's part beforehand: entrain handover {0}",
                domain.name
            ),
        });
    }
    people
}

/// How the wizard is started. The install folder is a fact (1.3 [P], [S]: names and folders changed unevenly, 7.19); what the wizard's own
/// program and its entry in the start menu are called is in none. Secondary sources name both ([S], unverified), and one saw a newer
/// setup make no such entry.
const WIZARD: &str = "start the wizard, on the server: it lies in the agent's install folder, C:\\Program Files\\Microsoft Azure AD Connect Provisioning Agent, or where InstallDir of the agent's registry key says (PV02). Its program there is AADConnectProvisioningAgentWizard.exe, and its entry in the start menu \"AAD Connect Provisioning Agent Wizard\", where there is one: both names are unverified";

/// Why the wizard is work for a person.
const UNDOCUMENTED: &str =
    "the vendor documents no sign-in without a person for this cloud or account";

/// Why the wizard takes the place of the cmdlets.
const LOGGED: &str = "a policy on this server writes the parameters of cmdlets to a log, so no secret was asked for; without that policy a retry takes the cmdlets";

fn register(
    host: &TargetId,
    tenant: &Tenant,
    home: &DomainName,
    at: (Version, Option<&GmsaName>),
    served: &[ServedDomain],
    named: Option<&GmsaName>,
    proxy: Option<&ProxyAddress>,
) -> Step {
    match tenant.sign_in {
        SignIn::Token | SignIn::Credential => {
            Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
                target: host.clone(),
                tenant: tenant.id.clone(),
                cloud: tenant.cloud,
                sign_in: tenant.sign_in,
                gmsa: named.cloned(),
                home_domain: home.clone(),
                domains: served.to_vec(),
                proxy: proxy.cloned(),
                wizard: wizard(tenant, at, served, LOGGED),
            })
        }
        SignIn::Wizard => Step::GuideProvisioningAgent(GuideProvisioningAgent {
            target: host.clone(),
            tenant: tenant.id.clone(),
            gmsa: at.1.cloned(),
            home_domain: home.clone(),
            preferred_dcs: preferred_of(home, served),
            domains: served.iter().map(|domain| domain.name.clone()).collect(),
            text: wizard(tenant, at, served, UNDOCUMENTED),
        }),
    }
}

/// Which controllers of the server's own domain are preferred, where its agents serve it.
fn preferred_of(home: &DomainName, served: &[ServedDomain]) -> Vec<TargetId> {
    let own = served.iter().find(|domain| domain.name == *home);
    own.map(|domain| domain.preferred_dcs.clone())
        .unwrap_or_default()
}

/// The wizard of the provisioning agent, page by page (the vendor's article, steps A7 to A17).
fn wizard(
    tenant: &Tenant,
    (version, gmsa): (Version, Option<&GmsaName>),
    served: &[ServedDomain],
    why: &str,
) -> TaskText {
    let page = |title: &str, lines: Vec<String>| Page {
        title: title.to_owned(),
        lines,
    };
    let account = match gmsa {
        Some(name) => format!("choose the custom gMSA and enter {name}"),
        None => "choose \"Create gMSA\" and sign in as a domain administrator".to_owned(),
    };
    let mut directories =
        vec!["a domain that stands under \"Configured domains\" needs nothing".to_owned()];
    for domain in served {
        let name = &domain.name;
        let spares = spares_administrator(version, gmsa);
        directories.push(if spares && domain.rights == DirectoryRights::Handover {
            format!(
                "otherwise enter {name}, choose \"Add directory\"; since {WANTS_NO_ADMINISTRATOR} it wants no Domain Administrator where the account and its permissions were supplied: where it asks for one all the same, its administrator signs in there"
            )
        } else {
            format!(
                "otherwise enter {name}, choose \"Add directory\", sign in as its administrator"
            )
        });
        if !domain.preferred_dcs.is_empty() {
            let dcs: Vec<&str> = domain.preferred_dcs.iter().map(TargetId::as_str).collect();
            directories.push(format!(
                "preferred domain controllers of {}: {}",
                domain.name,
                dcs.join(", ")
            ));
        }
    }
    directories.push("Next".to_owned());
    let rights = gmsa.map(|account| page("Afterwards: rights of the account", vec![
        format!("the wizard gives {account} no rights (since 1.1.2334.0): the administrator of each domain that was added gives them, by part 3 of entrain handover DOMAIN"),
    ]));
    let mut text = TaskText {
        title: format!("register the provisioning agent with tenant {}", tenant.id),
        why: why.to_owned(),
        bring: bring(tenant, SignIn::Wizard, served, (version, gmsa)),
        pages: vec![
            page("Before", vec![
                WIZARD.to_owned(),
                "Internet Explorer enhanced security must be off while the sign-in page shows".to_owned(),
                "in Windows PowerShell, as yourself: Get-ExecutionPolicy -List; each line but Process says Undefined or RemoteSigned, else have it set where it is made: CurrentUser is your own, which no probe has read".to_owned(),
            ]),
            page("Splash", vec!["agree to the license and conditions; the files are installed already".to_owned(), "Next".to_owned()]),
            page("Select Extension", vec![
                "choose \"HR-driven provisioning (Workday and SuccessFactors) / Microsoft Entra Connect cloud sync\"".to_owned(),
                "not \"On-premises application provisioning\"".to_owned(),
            ]),
            page("Sign in", vec![format!("sign in as a Hybrid Identity Administrator of tenant {}", tenant.id)]),
            page("Configure Service Account", vec![account]),
            page("Connect Active Directory", directories),
            page("Configuration complete", vec!["Confirm".to_owned()]),
            page("Verified", vec![
                "wait for the notice that the agent configuration was successfully verified".to_owned(),
                "Exit; close the first splash if it is still there".to_owned(),
                links::PROVISIONING_AGENT.to_string(),
            ]),
        ],
        seen_by: format!("the server names tenant {} and its service runs as a gMSA", tenant.id),
    };
    text.pages.extend(rights);
    text
}

/// What is asked of one host before anything is touched, and fixes nothing.
fn readiness_of(
    (topology, read): (&Topology, &Forests),
    group: &AgentGroup,
    tenant: &Tenant,
    host: &TargetId,
    facts: &Facts,
    home: &DomainName,
) -> Preflight {
    Preflight {
        target: host.clone(),
        product: Product::ProvisioningAgent,
        present: facts.provisioning_agent.is_some(),
        cloud: tenant.cloud,
        tenant: tenant.id.clone(),
        sign_in: tenant.sign_in,
        domains: served(topology, group),
        gmsa: service_account(topology, group, home),
        own_rights: facts
            .provisioning_agent
            .as_ref()
            .and_then(|_| own_rights(topology, group, home)),
        census: facts.provisioning_agent.is_none(),
        both_tools: both_tools(topology, read, group),
        database: None,
        chosen: Vec::new(),
        demands_tls: false,
        stays: false,
        may_fix: Vec::new(),
        will_fix: Vec::new(),
        // What the service's own file says is how it reaches the cloud, whoever wrote it.
        options: carried(
            &group.options,
            facts
                .provisioning_agent
                .as_ref()
                .filter(|agent| !agent.is_removed()),
        ),
        proxy_signs_in: false,
        restarts: false,
        hosts: tenant
            .about
            .hosts_otherwise(tenant.cloud, Product::ProvisioningAgent),
        overridden: None,
    }
}

/// Domains of a group that lie in a forest of Connect, with the part of them that Connect synchronizes.
fn both_tools(topology: &Topology, read: &Forests, group: &AgentGroup) -> Vec<BothTools> {
    let mut both = Vec::new();
    for (domain, _) in &group.serves {
        for entry in topology.connect.values() {
            let Some(forest) = entry.takes(read, domain) else {
                continue;
            };
            let written = match &entry.settings {
                ConnectSettings::Custom(settings) => settings.units.get(forest),
                ConnectSettings::Express | ConnectSettings::Unwritten => None,
            };
            let units = match written {
                None => Vec::new(),
                Some(written) if written.is_empty() => Vec::new(),
                Some(written) => {
                    let own = written.iter().filter(|unit| lies_in(unit, domain));
                    let units: Vec<String> = own.cloned().collect();
                    if units.is_empty() {
                        // Connect synchronizes nothing of this domain.
                        continue;
                    }
                    units
                }
            };
            both.push(BothTools {
                domain: domain.clone(),
                units,
                connect_goes: entry.servers.is_empty(),
            });
        }
    }
    both
}

/// Whether an object of that distinguished name lies in a domain itself, and not in a child of it.
fn lies_in(unit: &str, domain: &DomainName) -> bool {
    domain_of(unit).eq_ignore_ascii_case(domain.as_str())
}

/// The DNS name of the domain that a distinguished name ends in.
pub(super) fn domain_of(unit: &str) -> String {
    let parts = unit.split(',').map(str::trim);
    let labels = parts.filter_map(|part| {
        let (kind, label) = part.split_once('=')?;
        kind.eq_ignore_ascii_case("dc").then_some(label)
    });
    labels.collect::<Vec<_>>().join(".")
}

/// The questions to one host alone, for whoever wants to know whether it is ready.
///
/// # Errors
/// A sentence that says why nothing can be asked.
pub fn readiness(
    (topology, read): (&Topology, &Forests),
    group: &AgentGroup,
    tenant: &Tenant,
    host: &TargetId,
    facts: &Facts,
) -> Result<Vec<Step>, String> {
    let home = home_of(host, facts)?;
    let mut preflight = readiness_of((topology, read), group, tenant, host, facts, &home);
    preflight.will_fix = group.may_fix.iter().copied().collect();
    Ok(vec![Step::Preflight(preflight)])
}

/// What a verification of one host holds, whatever a plan would change.
#[must_use]
pub fn verification(
    topology: &Topology,
    group: &AgentGroup,
    tenant: &Tenant,
    host: &TargetId,
    facts: &Facts,
    newest: Option<Version>,
) -> Vec<Step> {
    let at_least = topology
        .wanted
        .provisioning_agent
        .or(newest)
        .unwrap_or(Version::new(0, 0, 0, 0));
    vec![Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
        tenant: tenant.id.clone(),
        at_least,
        gmsa: group.gmsa.clone(),
        own_rights: home_of(host, facts)
            .ok()
            .and_then(|home| own_rights(topology, group, &home)),
        options: group.options.clone(),
        soaked_seconds: None,
    })]
}

/// What the account must have been given, where it was made beforehand: named, or by a domain's administrator. A domain whose
/// permissions are not written down may synchronize password hashes.
fn own_rights(topology: &Topology, group: &AgentGroup, home: &DomainName) -> Option<OwnRights> {
    service_account(topology, group, home)?;
    // A domain that is handed over has no rights to be given; what is written of it is read back all the same.
    let written = |mut domain: ServedDomain| {
        if let Some(written) = topology.domains.get(&domain.name) {
            domain.permissions = written.permissions.iter().copied().collect();
        }
        domain
    };
    Some(OwnRights {
        home_domain: home.clone(),
        replicates: served(topology, group).into_iter().map(written).collect(),
    })
}
