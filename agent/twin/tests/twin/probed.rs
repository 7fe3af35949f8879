//! Each probe behind the work has a run on a model in which it passes and one in which it fails, by its own id. The catalogue
//! says which there are: one that nobody added a run for fails here. What a preflight asks is held to the same in
//! `preflight.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use agent_core::op::{Op, Outcome};
use agent_core::run::Action;
use agent_core::{catalogue, product};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, Finding, Verdict};
use protocol::facts::ServiceState;
use protocol::signed::Ending;
use protocol::step::{
    AwaitFullSync, Cloud, DirectoryRights, ExportLimits, GuideConnectRemoval,
    InstallProvisioningAgent, OwnRights, RegisterProvisioningAgent, ReviewConnectExports,
    ServedDomain, SetProvisioningAgentOptions, SignIn, Step, VerifyConnect,
    VerifyProvisioningAgent, VerifyProvisioningAgentRemoved,
};
use protocol::{Digest, ServiceOptions, TenantId, Version};

use crate::common::{NEWEST, drive_beside, target, tenant, text};
use crate::{transition, trouble};

/// Asked before anything is touched.
const OF_A_PREFLIGHT: [&str; 3] = ["PF", "SEC", "CU"];

/// What no server shows: it is told with who looks, and is never passed or failed. Why none shows it.
const OF_NOBODY_HERE: [(&str, &str); 3] = [
    (
        "CR06",
        "the database lies on another server, and is looked at by nobody once the engine that knew its name is gone",
    ),
    (
        "CR07",
        "what signed in to the tenant shows there alone, and under which name is known to the engine that is gone",
    ),
    (
        "TR14",
        "jobs and counts lie in the tenant: `entrain tenant read` shows the jobs, and no source names a way to both counts",
    ),
];

/// Before what is wanted.
const OLD: Version = Version::new(1, 1, 2334, 0);

fn elsewhere() -> TenantId {
    "77aa0000-0000-0000-0000-000000000000".parse().unwrap()
}

fn on(installed: Installed, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed,
        person: Some(tenant()),
        faults: faults.iter().copied().collect(),
    })
}

fn probed(journal: Vec<Event>) -> Vec<Finding> {
    let findings = journal.into_iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings),
        _ => None,
    });
    findings.flatten().collect()
}

/// What the probes of a run say, where the modelled person reads each task.
fn run(mut twin: Twin, steps: Vec<Step>) -> Vec<Finding> {
    let all = steps.clone();
    let reads = move |action: &Action, twin: &mut Twin| {
        if let Action::Journal(Event::StepBegun { step, .. }) = action {
            twin.asked(&all[usize::from(step.0)]);
        }
    };
    let (_, journal, _) = drive_beside(steps, &mut twin, None, "value", reads, |_, one| one);
    probed(journal)
}

/// What is waited for behind the wizard's work goes on until somebody would be asked, and then is over.
fn waited(faults: &[Fault]) -> Vec<Finding> {
    let mut twin = crate::switch::server(true, faults);
    let step = Step::AwaitFullSync(AwaitFullSync {
        within_minutes: 30,
        text: text(),
    });
    let ends = |action: &Action, twin: &mut Twin| {
        if let Action::Journal(Event::TaskOpened { .. }) = action {
            twin.set_faults(std::collections::BTreeSet::new());
        }
    };
    let (_, journal, _) = drive_beside(vec![step], &mut twin, None, "value", ends, |_, one| one);
    probed(journal)
}

fn domains() -> Vec<ServedDomain> {
    let domain = |name: &str| ServedDomain {
        name: name.parse().unwrap(),
        preferred_dcs: Vec::new(),
        rights: DirectoryRights::Ask,
        permissions: Vec::new(),
    };
    vec![domain("corp.contoso.com"), domain("emea.corp.contoso.com")]
}

/// A provisioning agent that is registered and was given its options, but for those that are asked and not set.
fn agent(
    version: Version,
    tenant_of: TenantId,
    sets: bool,
    spoil: impl Fn(&mut Twin),
) -> Vec<Finding> {
    let options = ServiceOptions {
        proxy: Some("http://proxy.contoso.com:8080".parse().unwrap()),
        fips_exempt: true,
        ldap_timeout_millis: Some(60_000),
        referral_chasing: true,
    };
    let mut twin = on(
        Installed::ProvisioningAgent {
            version,
            tenant: tenant_of,
        },
        &[],
    );
    spoil(&mut twin);
    let set = Step::SetProvisioningAgentOptions(SetProvisioningAgentOptions {
        options: options.clone(),
    });
    let verify = Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
        tenant: tenant(),
        at_least: NEWEST,
        gmsa: Some(product::DEFAULT_GMSA.parse().unwrap()),
        own_rights: Some(OwnRights {
            home_domain: "corp.contoso.com".parse().unwrap(),
            replicates: domains()[..1].to_vec(),
        }),
        options,
        soaked_seconds: Some(600),
    });
    let steps = if sets {
        vec![set, verify]
    } else {
        vec![verify]
    };
    run(twin, steps)
}

fn faulty(fault: Fault) -> impl Fn(&mut Twin) {
    move |twin| twin.set_faults([fault].into())
}

fn agent_with(spoil: impl Fn(&mut Twin)) -> Vec<Finding> {
    agent(NEWEST, tenant(), true, spoil)
}

/// An agent that is registered by its cmdlets.
fn registered(faults: &[Fault]) -> Vec<Finding> {
    let install = Step::InstallProvisioningAgent(InstallProvisioningAgent {
        artifact: Digest::of(b"setup"),
        cloud: Cloud::Commercial,
        at_least: NEWEST,
        environment: None,
    });
    let register = Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
        target: target(),
        tenant: tenant(),
        cloud: Cloud::Commercial,
        sign_in: SignIn::Token,
        gmsa: None,
        home_domain: "corp.contoso.com".parse().unwrap(),
        domains: domains(),
        proxy: None,
        wizard: text(),
    });
    run(on(Installed::Nothing, faults), vec![install, register])
}

/// A Connect server that is to be active.
fn connect(version: Version, staging: bool, faults: &[Fault]) -> Vec<Finding> {
    verified_on(on(Installed::Connect { version, staging }, faults))
}

fn verified_on(twin: Twin) -> Vec<Finding> {
    let verify = Step::VerifyConnect(VerifyConnect {
        at_least: NEWEST,
        staging: Some(false),
        forests: vec!["corp.contoso.com".parse().unwrap()],
        password_sync: true,
        soaked_seconds: Some(600),
    });
    run(twin, vec![verify])
}

fn connect_with(fault: Fault) -> Vec<Finding> {
    connect(NEWEST, false, &[fault])
}

/// A staging server whose pending exports are counted.
fn reviewed(faults: &[Fault]) -> Vec<Finding> {
    let review = Step::ReviewConnectExports(ReviewConnectExports {
        limits: ExportLimits {
            add: 1,
            update: 5,
            delete: 0,
        },
        max_age_minutes: 120,
        overridden: None,
    });
    let staging = Installed::Connect {
        version: NEWEST,
        staging: true,
    };
    run(on(staging, faults), vec![review])
}

fn settings(faults: &[Fault]) -> Vec<Finding> {
    let staging = Installed::Connect {
        version: NEWEST,
        staging: true,
    };
    run(on(staging, faults), vec![Step::ReadConnectSettings])
}

/// What a removal leaves, on a server that never had the product and on one that has it still.
fn agent_gone(there: bool) -> Vec<Finding> {
    let verify = Step::VerifyProvisioningAgentRemoved(VerifyProvisioningAgentRemoved {
        target: target(),
        gmsa: Some(product::DEFAULT_GMSA.parse().unwrap()),
        home_domain: "corp.contoso.com".parse().unwrap(),
    });
    let twin = if there {
        let installed = Installed::ProvisioningAgent {
            version: NEWEST,
            tenant: tenant(),
        };
        on(installed, &[])
    } else {
        on(Installed::Nothing, &[Fault::GmsaWithoutServer])
    };
    run(twin, vec![verify])
}

fn connect_gone(there: bool) -> Vec<Finding> {
    let twin = if there {
        let installed = Installed::Connect {
            version: NEWEST,
            staging: true,
        };
        on(installed, &[Fault::PassThroughAgent])
    } else {
        on(Installed::Nothing, &[])
    };
    run(twin, vec![Step::VerifyConnectRemoved])
}

/// A server from which a person takes Connect; an agent of pass-through authentication goes before, after a few looks.
fn removed(faults: &[Fault]) -> Vec<Finding> {
    let installed = Installed::Connect {
        version: NEWEST,
        staging: true,
    };
    let guide = Step::GuideConnectRemoval(GuideConnectRemoval {
        text: text(),
        pass_through: text(),
    });
    let reads = |action: &Action, twin: &mut Twin| {
        if let Action::Journal(Event::StepBegun { .. }) = action {
            twin.asked(&guide);
        }
    };
    let looks = std::cell::Cell::new(0);
    let goes = |op: &Op, outcome: Outcome| match op {
        Op::Service { name } if name == product::PASS_THROUGH_SERVICE => {
            looks.set(looks.get() + 1);
            if looks.get() > 3 {
                Outcome::Service(None)
            } else {
                outcome
            }
        }
        _ => outcome,
    };
    let mut twin = on(installed, faults);
    let steps = vec![guide.clone()];
    let (conclusion, journal, _) = drive_beside(steps, &mut twin, None, "value", reads, goes);
    assert_eq!(conclusion.ending, Ending::Completed, "{faults:?}");
    probed(journal)
}

/// A tenant that moves to cloud sync, to its end or to where something stops it.
fn moved(mut twin: Twin) -> Vec<Finding> {
    let (_, journal, _) =
        transition::moved(transition::steps(), &mut twin, None, true, |_, one| one);
    probed(journal)
}

/// An upgrade of Connect whose wizard takes long, until what is wrong with it is mended.
fn long(faults: &[Fault]) -> Vec<Finding> {
    let version = Version::new(1, 0, 0, 0);
    let staging = false;
    let mut twin = on(Installed::Connect { version, staging }, faults);
    let (_, journal) = trouble::mended(trouble::upgrade(NEWEST), &mut twin, 130);
    probed(journal)
}

/// What is told where all is well.
fn sound(id: &str) -> Option<Vec<Finding>> {
    Some(match id {
        "PV10" | "PV21" => registered(&[]),
        "PV02" | "PV03" | "PV04" | "PV05" | "PV06" | "PV07" | "PV08" | "PV09" | "PV16" | "PV17"
        | "PV18" | "PV20" | "MO01" => agent_with(|_| {}),
        "PV22" | "PV23" | "PV24" | "PV25" | "PV26" | "PV27" | "PV28" | "PV29" | "PV33" | "PV34"
        | "PV35" | "PV37" | "WZ02" | "SK01" | "MO02" => connect(NEWEST, false, &[]),
        "PV30" | "PV31" | "SW01" => reviewed(&[]),
        "PV32" => settings(&[]),
        "UN01" | "UN02" | "UN03" | "UN04" => removed(&[]),
        "WZ01" => long(&[]),
        "WZ03" => waited(&[]),
        // A wizard whose end is seen is not looked into: of a half, what the other half is about is well.
        "TR12" => moved(transition::server(&[Fault::TransitionLeavesNoAgent])),
        "TR13" => moved(transition::server(&[Fault::TransitionStopsHalfWay])),
        _ if id.starts_with("TR") => moved(transition::server(&[])),
        _ if id.starts_with("RM") => agent_gone(false),
        _ if id.starts_with("CR") => connect_gone(false),
        _ => return None,
    })
}

/// What is told where the one thing is wrong that this probe is for.
fn spoiled(id: &str) -> Option<Vec<Finding>> {
    let since = transition::SINCE;
    let fault = |fault| moved(transition::server(&[fault]));
    Some(match id {
        "PV02" => {
            let module = format!("{}\\{}", product::AGENT_FOLDER, product::AGENT_MODULE);
            agent_with(move |twin| twin.lose_file(&module))
        }
        "PV03" => agent(OLD, tenant(), true, |_| {}),
        "PV04" => agent_with(faulty(Fault::ServiceStopped)),
        "PV05" => agent_with(|twin| twin.set_account("CORP\\svcOther")),
        "PV06" => agent(NEWEST, elsewhere(), true, |_| {}),
        "PV07" => agent_with(faulty(Fault::ServiceRestarts)),
        "PV08" => agent_with(faulty(Fault::AgentLogsErrors)),
        "PV09" => agent_with(faulty(Fault::TraceShowsException)),
        "MO01" => agent_with(faulty(Fault::TokenNotTaken)),
        "PV10" => registered(&[Fault::DomainNotKept]),
        "PV16" | "PV17" => agent(NEWEST, tenant(), false, |_| {}),
        "PV18" => agent_with(faulty(Fault::RightsMissing)),
        "PV20" => agent_with(|twin| {
            twin.set_service(product::UPDATER_SERVICE, ServiceState::NotRunning);
        }),
        "PV21" => registered(&[Fault::SecretLeft]),
        "PV22" => connect_with(Fault::EngineEnds),
        "PV23" => connect(OLD, false, &[]),
        "PV24" => connect_with(Fault::SchedulerSuspended),
        "PV25" => connect(NEWEST, true, &[]),
        "PV26" => connect_with(Fault::LegacyIdentity),
        "PV27" => connect_with(Fault::CertificateDue),
        "PV28" => connect_with(Fault::TenantConnectorMissing),
        "PV29" => connect_with(Fault::RunFailed),
        "MO02" => connect_with(Fault::HistoryGone),
        "PV30" => reviewed(&[Fault::FullSyncDue]),
        "PV31" => reviewed(&[Fault::DeletionsPending]),
        "PV32" => settings(&[Fault::SettingsUnreadable]),
        "PV33" => connect_with(Fault::AutoUpgradeSuspended),
        "PV34" => connect_with(Fault::AutoUpgradeFailed),
        "PV35" => connect_with(Fault::PasswordSyncOff),
        "PV37" => connect_with(Fault::WizardTraceErrors),
        "SW01" => reviewed(&[Fault::CycleOverdue]),
        "SK01" => connect(
            NEWEST,
            false,
            &[Fault::SchedulerSuspended, Fault::CycleOverdue],
        ),
        "UN01" => removed(&[Fault::PassThroughAgent]),
        "UN02" => removed(&[Fault::HealthAgent]),
        "UN03" => removed(&[Fault::SeamlessSignOn]),
        "UN04" => removed(&[Fault::DeviceWriteback]),
        "WZ01" => long(&[Fault::WizardScriptError]),
        "WZ02" => connect_with(Fault::OldLocalDb),
        "WZ03" => waited(&[Fault::FullSyncDue]),
        "TR01" => moved(transition::server_of(
            Version::new(2, 6, 84, 0),
            false,
            tenant(),
            &[],
        )),
        "TR02" => fault(Fault::SecondForest),
        "TR03" => fault(Fault::ScopeTooLarge),
        "TR04" => fault(Fault::ManyUnits),
        "TR05" => fault(Fault::CustomRules),
        "TR06" => fault(Fault::GroupFilter),
        "TR07" => fault(Fault::CustomPrincipalName),
        "TR08" => fault(Fault::DirectoryExtensions),
        "TR09" => fault(Fault::DeviceSync),
        "TR10" => fault(Fault::DeviceWriteback),
        "TR11" => moved(transition::server_of(since, true, tenant(), &[])),
        "TR12" => fault(Fault::TransitionStopsHalfWay),
        "TR13" => fault(Fault::TransitionLeavesNoAgent),
        "TR14" => moved(transition::server(&[])),
        _ if id.starts_with("RM") => agent_gone(true),
        _ if id.starts_with("CR") => connect_gone(true),
        _ => return None,
    })
}

/// The updater may run and its entry be gone, by which it would be taken off (1.3, 1.12 [P]: there are three).
#[test]
fn an_entry_that_windows_does_not_list_is_named() {
    let told = agent_with(faulty(Fault::UpdaterNotListed));
    let updater = told.iter().find(|one| one.id == "PV20").unwrap();
    assert_eq!(updater.verdict, Verdict::Fail);
    assert_eq!(
        updater.read,
        "Running; not listed: Microsoft Entra Connect Agent Updater"
    );
}

/// The pages disagree in which folder the wizard is: where none is seen, the engine's version stands alone.
#[test]
fn the_wizards_version_is_told_beside_the_engines() {
    let read = |told: Vec<Finding>| {
        let version = told.into_iter().find(|one| one.id == "PV23").unwrap();
        (version.verdict, version.read)
    };
    let (verdict, seen) = read(connect(NEWEST, false, &[]));
    assert_eq!(verdict, Verdict::Pass);
    assert_eq!(seen, format!("{NEWEST}, its wizard {NEWEST}"));
    let mut twin = on(
        Installed::Connect {
            version: NEWEST,
            staging: false,
        },
        &[],
    );
    twin.lose_file(product::CONNECT_WIZARDS[0]);
    let (verdict, seen) = read(verified_on(twin));
    assert_eq!(verdict, Verdict::Pass);
    assert!(
        seen.ends_with("its wizard is in none of the folders that are known"),
        "{seen}"
    );
}

fn verdicts(told: &[Finding], id: &str) -> Vec<Verdict> {
    let of = told.iter().filter(|finding| finding.id == id);
    of.map(|finding| finding.verdict).collect()
}

#[test]
fn every_probe_behind_the_work_passes_on_one_model_and_fails_on_another() {
    let behind = catalogue::ALL
        .iter()
        .map(|probe| probe.id)
        .filter(|id| !OF_A_PREFLIGHT.iter().any(|family| id.starts_with(family)));
    for id in behind {
        let (Some(well), Some(wrong)) = (sound(id), spoiled(id)) else {
            panic!("{id} has no run in which it passes and one in which it fails")
        };
        let told = (verdicts(&well, id), verdicts(&wrong, id));
        let expected = match id {
            _ if OF_NOBODY_HERE.iter().any(|(none, _)| *none == id) => {
                (Verdict::CannotTell, Verdict::CannotTell)
            }
            // Two servers are compared by the controller: what it cannot compare is not equal.
            "PV32" => (Verdict::Pass, Verdict::CannotTell),
            _ => (Verdict::Pass, Verdict::Fail),
        };
        // A wizard in time is not looked into.
        let silent = id == "WZ01" && told.0.is_empty();
        assert!(
            silent || told.0.contains(&expected.0) && told.0.iter().all(|one| *one == expected.0),
            "{id} where all is well: {well:#?}"
        );
        assert!(
            told.1.contains(&expected.1),
            "{id} where it is not: {wrong:#?}"
        );
        let fails = wrong
            .iter()
            .find(|one| one.id == id && one.verdict == expected.1);
        assert!(
            !fails.unwrap().read.is_empty() && !fails.unwrap().fix.is_empty(),
            "{id}"
        );
    }
}
