//! A tenant moves from Connect Sync to cloud sync, by the task of Connect's wizard on the active server (product facts 3, the
//! migration tool [P]): the task's limits are judged, a person goes through the wizard, and what shows of its end is verified.

use protocol::facts::Facts;
use protocol::signed::Phase;
use protocol::step::{
    Cloud, DirectoryRights, GuideTransition, Preflight, Product, ServedDomain, SignIn, Step,
    VerifyConnect, VerifyProvisioningAgent,
};
use protocol::task::{self, Page, TaskText};
use protocol::{DomainName, ServiceOptions, TargetId, Version};

use crate::recipe::PhaseWork;
use crate::topology::{ConnectEntry, Tenant, Topology};

/// What only asks whether a server is within the limits.
#[must_use]
pub(crate) fn asks() -> PhaseWork {
    phase(Phase::Inspect, vec![Step::CheckTransition])
}

/// What the active server does.
#[must_use]
pub(crate) fn moves(
    topology: &Topology,
    entry: &ConnectEntry,
    tenant: &Tenant,
    server: &TargetId,
    home: &DomainName,
    facts: &Facts,
) -> Vec<PhaseWork> {
    let preflight = Step::Preflight(Preflight {
        target: server.clone(),
        // The wizard installs the agent on this server: what stops its setup stops the wizard half way.
        product: Product::ProvisioningAgent,
        present: facts.provisioning_agent.is_some(),
        cloud: tenant.cloud,
        tenant: tenant.id.clone(),
        sign_in: SignIn::Wizard,
        domains: domains(topology, entry, home),
        gmsa: None,
        own_rights: None,
        census: false,
        both_tools: Vec::new(),
        database: None,
        chosen: Vec::new(),
        demands_tls: false,
        stays: false,
        may_fix: Vec::new(),
        will_fix: Vec::new(),
        options: ServiceOptions::default(),
        proxy_signs_in: false,
        restarts: false,
        hosts: tenant
            .about
            .hosts_otherwise(tenant.cloud, Product::ProvisioningAgent),
        overridden: None,
    });
    let guide = Step::GuideTransition(GuideTransition {
        target: server.clone(),
        tenant: tenant.id.clone(),
        home_domain: home.clone(),
        preferred_dcs: preferred(topology, home),
        text: wizard(entry, tenant, server),
        doubts: doubts(server),
        afterwards: afterwards(entry, tenant, server),
    });
    let any = Version::new(0, 0, 0, 0);
    vec![
        phase(Phase::Prepare, vec![Step::CheckTransition]),
        phase(Phase::Register, vec![preflight, guide, Step::ReportFacts]),
        phase(
            Phase::Prove,
            vec![
                Step::VerifyConnect(VerifyConnect {
                    at_least: any,
                    staging: Some(true),
                    forests: entry.forest_names(),
                    password_sync: false,
                    soaked_seconds: None,
                }),
                Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
                    tenant: tenant.id.clone(),
                    at_least: any,
                    gmsa: None,
                    own_rights: None,
                    options: ServiceOptions::default(),
                    soaked_seconds: None,
                }),
            ],
        ),
    ]
}

/// What a person brings to the wizard.
#[must_use]
pub(crate) fn bring(entry: &ConnectEntry, tenant: &Tenant) -> Vec<String> {
    let mut bring = vec![
        format!("a Hybrid Identity Administrator of tenant {}", tenant.id),
        "a local administrator of the server who is in ADSyncAdmins".to_owned(),
    ];
    let forests = entry.forests.iter();
    bring.extend(
        forests.map(|(forest, _)| format!("a Domain Admin of forest {forest}, for the wizard")),
    );
    bring
}

/// What cannot be undone of it (guard rail G10), a sentence each.
#[must_use]
pub(crate) fn irreversible(
    entry: &ConnectEntry,
    tenant: &Tenant,
    server: &TargetId,
) -> Vec<String> {
    let forests: Vec<&str> = entry
        .forests
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    vec![format!(
        "tenant {}: cloud sync's jobs for the domains of {} are started for the first time, by the wizard on {server}; what they have written stays, also where Connect is made active again",
        tenant.id,
        forests.join(", ")
    )]
}

/// What is not known of the task in a tenant's cloud.
#[must_use]
pub(crate) fn unverified(tenant: &Tenant) -> Option<String> {
    (tenant.cloud != Cloud::Commercial).then(|| {
        format!(
            "whether the wizard has the task \"Transition to Cloud Sync\" in the {} cloud is in no source (unverified): look on the page of additional tasks before people are called together",
            tenant.cloud.as_str()
        )
    })
}

fn preferred(topology: &Topology, domain: &DomainName) -> Vec<TargetId> {
    let written = topology.domains.get(domain);
    written
        .map(|domain| domain.preferred_dcs.clone())
        .unwrap_or_default()
}

fn domains(topology: &Topology, entry: &ConnectEntry, home: &DomainName) -> Vec<ServedDomain> {
    let mut names = vec![home.clone()];
    for forest in entry.forest_names() {
        if !names.contains(&forest) {
            names.push(forest);
        }
    }
    let domain = |name: DomainName| ServedDomain {
        preferred_dcs: preferred(topology, &name),
        name,
        // Its administrator is at the wizard.
        rights: DirectoryRights::Ask,
        permissions: Vec::new(),
    };
    names.into_iter().map(domain).collect()
}

fn phase(phase: Phase, steps: Vec<Step>) -> PhaseWork {
    PhaseWork {
        phase,
        steps,
        artifacts: Vec::new(),
    }
}

fn page(title: &str, lines: &[&str]) -> Page {
    Page {
        title: title.to_owned(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

/// The wizard's task, in the order in which the facts tell it; its pages' own names are in no source but for the task's.
fn wizard(entry: &ConnectEntry, tenant: &Tenant, server: &TargetId) -> TaskText {
    let sign_in = format!(
        "sign in as a Hybrid Identity Administrator of tenant {}; Next",
        tenant.id
    );
    let administrators: Vec<String> = entry
        .forest_names()
        .iter()
        .map(|forest| format!("give a Domain Admin of forest {forest}; Next"))
        .collect();
    let administrators: Vec<&str> = administrators.iter().map(String::as_str).collect();
    TaskText {
        title: format!("move tenant {} from Connect to cloud sync, on {server}", tenant.id),
        why: "the vendor offers the move through Connect's wizard alone".to_owned(),
        bring: bring(entry, tenant),
        pages: vec![
            page(
                "Before",
                &[
                    "this server must be the tenant's active one: where the wizard shows staging mode, stop here",
                    "wizard, View or Export Current Configuration: export it, and keep the file off the server",
                    "note in the admin center how many users and groups come from Connect: they are compared at the end",
                    "close Synchronization Service Manager",
                ],
            ),
            page("Welcome", &["start Microsoft Entra Connect; Configure"]),
            page(
                "Additional tasks",
                &[
                    "Transition to Cloud Sync; Next",
                    "where the task is missing or the wizard says that this server is not eligible, stop here, and say so: entrain abort",
                ],
            ),
            page("Connect to Microsoft Entra ID", &[&sign_in]),
            page("Domain Admin of each forest", &administrators),
            page(
                "Agent and configurations",
                &[
                    "the wizard installs the provisioning agent and registers it",
                    "it creates one configuration for each domain, disabled",
                ],
            ),
            page(
                "Provision on demand",
                &[
                    "check a user and a group of each domain as the wizard asks; go on only where each is as it was",
                    "whoever stops here leaves Connect active; the agent and the disabled configurations stay, and are taken off by hand",
                ],
            ),
            page(
                "Staging mode and start",
                &[
                    "the wizard sets Connect to staging mode, then starts cloud sync's jobs: their first start cannot be undone (G10)",
                ],
            ),
            page(
                "Counts",
                &["compare the total counts that the wizard shows of Connect and cloud sync"],
            ),
            page(
                "Complete",
                &["Exit: an open wizard keeps the scheduler suspended"],
            ),
        ],
        seen_by: "the scheduler, which must say staging and be suspended no more, and the provisioning agent on this server, registered with the tenant and running".to_owned(),
    }
}

/// The agent adds a page for each limit that it could not tell.
fn doubts(server: &TargetId) -> TaskText {
    TaskText {
        title: format!("look at limits of the move to cloud sync that {server} does not tell"),
        why: "no documented way reads them: a person looks, and says that they hold".to_owned(),
        bring: vec!["a local administrator of the server who is in ADSyncAdmins".to_owned()],
        pages: vec![page(
            "Before the wizard",
            &[
                "each page below is a limit of the wizard's task: where all of them hold, say so: entrain tasks attest",
                "where one does not hold, the tenant stays with Connect: entrain abort",
            ],
        )],
        seen_by: task::said(),
    }
}

fn afterwards(entry: &ConnectEntry, tenant: &Tenant, server: &TargetId) -> TaskText {
    let forests: Vec<String> = entry
        .forest_names()
        .iter()
        .map(ToString::to_string)
        .collect();
    let jobs = format!(
        "Entra Connect, Cloud sync: one configuration for each domain of {}, enabled, and its last run without errors",
        forests.join(", ")
    );
    TaskText {
        title: format!("say that cloud sync took over from {server}"),
        why: "whether its jobs run, and how many objects they have, shows in the tenant alone"
            .to_owned(),
        bring: vec![format!(
            "somebody who sees the admin center of tenant {}",
            tenant.id
        )],
        pages: vec![page(
            "Microsoft Entra admin center",
            &[
                &jobs,
                "as many users and groups come from the directory as before the move",
                "then say so: entrain tasks attest; entrain tenant read brings what the tenant shows into the log",
            ],
        )],
        seen_by: task::said(),
    }
}
