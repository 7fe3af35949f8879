//! What is looked at behind the work: each probe of a verification where it passes, where it fails, and where it cannot tell.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::cell::Cell;
use std::time::Duration;

use agent_core::op::{Op, Outcome, Script};
use agent_core::procedure::{Cx, Next};
use agent_core::run::Conclusion;
use agent_core::{product, step};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, Finding, Severity, Verdict};
use protocol::facts::ServiceState;
use protocol::signed::Ending;
use protocol::step::{CollectSupport, Product, Step, VerifyConnect, VerifyProvisioningAgent};
use protocol::{DomainName, ServiceOptions, Version};

use crate::common::{drive_bundle, drive_with, manifest_on, target, tenant};
use crate::preflight::drive_behind;

const CONNECT: Version = Version::new(2, 6, 92, 0);

fn server(faults: &[Fault]) -> Twin {
    let installed = Installed::Connect {
        version: CONNECT,
        staging: false,
    };
    twin_of(installed, faults)
}

fn twin_of(installed: Installed, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed,
        person: Some(tenant()),
        faults: faults.iter().copied().collect(),
    })
}

/// Verifies, with other answers of the module than the model's where they are given.
fn verify(
    twin: &mut Twin,
    forests: &[&str],
    instead: Option<Outcome>,
) -> (Conclusion, Vec<Finding>) {
    let forests: Vec<DomainName> = forests.iter().map(|name| name.parse().unwrap()).collect();
    let step = Step::VerifyConnect(VerifyConnect {
        at_least: Version::new(1, 0, 0, 0),
        staging: None,
        forests,
        password_sync: false,
        soaked_seconds: None,
    });
    let inspects = |op: &Op| {
        matches!(
            op,
            Op::Script {
                script: Script::InspectConnect,
                ..
            }
        )
    };
    let (conclusion, journal, _) =
        drive_with(
            vec![step],
            twin,
            None,
            "value",
            |op, outcome| match &instead {
                Some(other) if inspects(op) => other.clone(),
                _ => outcome,
            },
        );
    let probed = journal.into_iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings),
        _ => None,
    });
    (conclusion, probed.flatten().collect())
}

fn of<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    let found = findings.iter().find(|one| one.id == id);
    found.unwrap_or_else(|| panic!("{id} was not asked: {findings:?}"))
}

const ASKED: [&str; 8] = [
    "PV26", "PV27", "PV28", "PV29", "PV33", "PV34", "PV37", "WZ02",
];

#[test]
fn each_probe_of_the_engine_fails_where_its_fault_is_and_passes_elsewhere() {
    for (fault, id, read) in [
        (Fault::LegacyIdentity, "PV26", "ServiceAccount"),
        (Fault::CertificateDue, "PV27", "1011 of ADSync, 5 hours ago"),
        (Fault::RunFailed, "PV29", "Export: completed-export-errors"),
        (
            Fault::AutoUpgradeSuspended,
            "PV33",
            "UpgradeNotSupportedLocalDbSizeExceeded",
        ),
        (
            Fault::AutoUpgradeFailed,
            "PV34",
            "302 of Microsoft Entra Connect Upgrade",
        ),
        (Fault::WizardTraceErrors, "PV37", "4 in trace-"),
        (Fault::OldLocalDb, "WZ02", "SQL Server 2012"),
    ] {
        let (conclusion, findings) = verify(&mut server(&[fault]), &[], None);
        // They warn: what is installed is verified all the same.
        assert_eq!(conclusion.ending, Ending::Completed, "{fault:?}");
        for asked in ASKED {
            let fails = of(&findings, asked).verdict == Verdict::Fail;
            assert_eq!(fails, asked == id, "{fault:?} {asked}");
        }
        let finding = of(&findings, id);
        assert!(finding.read.contains(read), "{}", finding.read);
    }
}

/// The way by cmdlets is an order (2.10 [P]): a registration alone leaves the cycle running into it, or off.
#[test]
fn the_advice_on_the_identity_has_the_vendors_whole_order() {
    let (_, findings) = verify(&mut server(&[Fault::LegacyIdentity]), &[], None);
    let fix = &of(&findings, "PV26").fix;
    let mut rest = fix.as_str();
    for part in [
        "Set-ADSyncScheduler -SyncCycleEnabled $false",
        "Add-EntraApplicationRegistration",
        "Add-ADSyncApplicationRegistration",
        "Get-ADSyncEntraConnectorCredential",
        "Set-ADSyncScheduler -SyncCycleEnabled $true",
        "1014",
    ] {
        let (_, behind) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("{part}: {fix}"));
        rest = behind;
    }
}

/// What a verification behind a soak of ten minutes comes to, of either product.
fn soaked(product: Product, faults: &[Fault]) -> (Ending, Vec<Finding>) {
    soaked_as(product, false, faults, |_, outcome| outcome)
}

/// The same of a server of Connect in that mode, with other answers than the model's.
fn soaked_as(
    product: Product,
    staging: bool,
    faults: &[Fault],
    instead: impl Fn(&Op, Outcome) -> Outcome,
) -> (Ending, Vec<Finding>) {
    soaked_for(product, (staging, 600), faults, instead)
}

fn soaked_for(
    product: Product,
    (staging, seconds): (bool, u32),
    faults: &[Fault],
    instead: impl Fn(&Op, Outcome) -> Outcome,
) -> (Ending, Vec<Finding>) {
    let (mut one, step) = soaks(product, (staging, seconds), faults);
    let (conclusion, journal, _) = drive_with(vec![step], &mut one, None, "value", instead);
    let probed = journal.into_iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings),
        _ => None,
    });
    (conclusion.ending, probed.flatten().collect())
}

/// A server whose product soaks, and what is looked at behind that.
fn soaks(product: Product, (staging, seconds): (bool, u32), faults: &[Fault]) -> (Twin, Step) {
    let version = Version::new(2, 6, 92, 0);
    let tenant = tenant();
    let (installed, step) = match product {
        Product::Connect => (
            Installed::Connect { version, staging },
            Step::VerifyConnect(VerifyConnect {
                at_least: version,
                staging: Some(staging),
                forests: Vec::new(),
                password_sync: false,
                soaked_seconds: Some(seconds),
            }),
        ),
        Product::ProvisioningAgent => (
            Installed::ProvisioningAgent {
                version,
                tenant: tenant.clone(),
            },
            Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
                tenant,
                at_least: version,
                gmsa: None,
                own_rights: None,
                options: ServiceOptions::default(),
                soaked_seconds: Some(seconds),
            }),
        ),
    };
    (twin_of(installed, faults), step)
}

#[test]
fn errors_that_a_product_logged_while_it_soaked_fail_it_and_earlier_ones_warn() {
    for (product, early, id) in [
        (Product::ProvisioningAgent, Fault::AgentLogsErrors, "PV08"),
        (Product::Connect, Fault::CertificateDue, "PV27"),
        (Product::Connect, Fault::AutoUpgradeFailed, "PV34"),
    ] {
        let (ending, findings) = soaked(product, &[early]);
        assert_eq!(ending, Ending::Completed, "{id} {findings:?}");
        assert_eq!(of(&findings, id).severity, Severity::Warn);
        let (ending, findings) = soaked(product, &[Fault::ErrorsWhileWatched]);
        assert!(matches!(ending, Ending::Failed(_)), "{id} {ending:?}");
        let finding = of(&findings, id);
        assert!(
            finding.blocks() && finding.read.ends_with("; 1 while it soaked (600 s)"),
            "{finding:?}"
        );
    }
}

#[test]
fn what_cannot_be_read_behind_a_soak_is_a_question_for_a_person() {
    for (product, fault, says) in [
        (Product::ProvisioningAgent, Fault::LogsUnreadable, "PV08"),
        (Product::Connect, Fault::LogsUnreadable, "PV27"),
        (Product::Connect, Fault::CycleOverdue, "SK01"),
    ] {
        let (ending, _) = soaked(product, &[fault]);
        assert!(
            matches!(&ending, Ending::Inconclusive(why) if why.contains(says)
                && why.contains("while it soaked cannot be told")),
            "{ending:?}"
        );
    }
}

/// A look that comes hours late asks that the service has run as long as the soak was to take, and no longer: a restart of Windows in
/// between, which no event calls an unexpected end, does not fail a product that has come back since and stood that long again.
#[test]
fn a_restart_of_windows_before_a_late_look_fails_only_where_the_service_has_not_stood_since() {
    for product in [Product::Connect, Product::ProvisioningAgent] {
        for (minutes, verdict) in [(25, Verdict::Pass), (5, Verdict::Fail)] {
            let age = Duration::from_secs(minutes * 60);
            let (mut one, step) = soaks(product, (false, 600), &[]);
            let restarted = |op: &Op, outcome| match op {
                Op::ServiceAge { .. } => Outcome::Age(Some(age)),
                _ => outcome,
            };
            let late = Some(Duration::from_secs(5 * 3600));
            let perform = |cx: &mut Cx<'_>| step::perform(&step, cx);
            let (next, noted, _) = drive_behind(late, &mut one, perform, restarted);
            let finding = of(&noted, "PV07");
            assert_eq!(finding.verdict, verdict, "{product:?}: {finding:?}");
            assert_eq!(finding.blocks(), verdict == Verdict::Fail, "{finding:?}");
            assert_eq!(finding.wanted, "for 600 s at least");
            assert_eq!(
                matches!(next, Next::Complete(_)),
                verdict == Verdict::Pass,
                "{product:?} {minutes}: {next:?}"
            );
        }
    }
}

/// A cycle runs every half hour: a run that has not ended is no run that broke off, whatever word stands in its place, and the newest of
/// that profile that has ended is the one that is judged.
#[test]
fn a_run_that_is_under_way_is_not_judged() {
    let (conclusion, findings) = verify(&mut server(&[Fault::RunUnderWay]), &[], None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let runs = of(&findings, "PV29");
    assert_eq!(runs.verdict, Verdict::Pass);
    assert_eq!(
        runs.read,
        "all 2 ended with success; 1 under way, which is not judged"
    );
    let told = |rows: serde_json::Value| {
        let line = serde_json::json!({ "runs": rows });
        let instead = Outcome::Script { lines: vec![line] };
        let (conclusion, findings) = verify(&mut server(&[]), &[], Some(instead));
        let runs = of(&findings, "PV29");
        let blocks = matches!(&conclusion.ending, Ending::Failed(why) if why.contains("PV29"));
        (runs.verdict, runs.read.clone(), blocks)
    };
    let run = |result: &str, ended: bool| serde_json::json!({ "run": "corp, Export", "result": result, "ended": ended });
    let success = "all 1 ended with success";
    for (rows, verdict, read, blocks) in [
        (
            vec![run("", false), run("success", true)],
            Verdict::Pass,
            success,
            false,
        ),
        (
            vec![run("in-progress", true), run("success", true)],
            Verdict::Pass,
            success,
            false,
        ),
        (
            vec![run("", true), run("success", true)],
            Verdict::Pass,
            success,
            false,
        ),
        // One that ended badly stays what it is while the next runs, and is past where a newer one ended well.
        (
            vec![run("in-progress", false), run("stopped-server", true)],
            Verdict::Fail,
            "corp, Export: stopped-server",
            true,
        ),
        (
            vec![run("success", true), run("stopped-server", true)],
            Verdict::Pass,
            success,
            false,
        ),
        (
            vec![run("stopped-server", true), run("success", true)],
            Verdict::Fail,
            "corp, Export: stopped-server",
            true,
        ),
        (
            vec![run("in-progress", false)],
            Verdict::CannotTell,
            "no run has ended yet",
            false,
        ),
        (
            Vec::new(),
            Verdict::CannotTell,
            "no run is recorded yet",
            false,
        ),
    ] {
        let seen = told(serde_json::json!(rows));
        assert_eq!((seen.0, seen.2), (verdict, blocks), "{rows:?}: {}", seen.1);
        assert!(seen.1.starts_with(read), "{rows:?}: {}", seen.1);
    }
}

#[test]
fn an_active_server_passes_no_soak_without_its_cycles() {
    let (ending, findings) = soaked(Product::Connect, &[]);
    assert_eq!(ending, Ending::Completed);
    let cycles = of(&findings, "SK01");
    assert_eq!(cycles.read, "the last one was due to begin 5 minutes ago");
    // It is suspended now, though a cycle began a moment ago.
    let (ending, findings) = soaked(Product::Connect, &[Fault::SchedulerSuspended]);
    assert!(
        matches!(&ending, Ending::Failed(why) if why.contains("PV24")),
        "{ending:?}"
    );
    assert_eq!(of(&findings, "SK01").verdict, Verdict::Pass);
    // Of the provisioning agent it is said that nobody saw them, and it goes on.
    let (ending, findings) = soaked(Product::ProvisioningAgent, &[]);
    assert_eq!(ending, Ending::Completed);
    let cycles = of(&findings, "SK01");
    assert_eq!(
        (cycles.verdict, cycles.severity),
        (Verdict::CannotTell, Severity::Info)
    );
}

/// A soak is counted in cycles of the product, not in half hours: where the scheduler is set slower, the look behind it waits.
#[test]
fn a_soak_takes_the_cycles_of_a_scheduler_that_is_set_slower() {
    for (every, next, waits) in [(30, 25, 0), (180, 175, 5 * 60 / 5)] {
        let waited = Cell::new(0);
        let slow = |op: &Op, outcome| match op {
            Op::Script {
                script: Script::ReadConnectScheduler,
                ..
            } => Outcome::Script {
                lines: vec![serde_json::json!({
                    "stagingModeEnabled": false, "syncCycleEnabled": true, "schedulerSuspended": false,
                    "nextInMinutes": next, "everyMinutes": every,
                })],
            },
            Op::Wait { time } if *time == Duration::from_secs(300) => {
                waited.set(waited.get() + 1);
                outcome
            }
            _ => outcome,
        };
        let (ending, findings) = soaked_for(Product::Connect, (false, 3600), &[], slow);
        assert_eq!(ending, Ending::Completed);
        assert_eq!(waited.get(), waits, "every {every} minutes");
        assert_eq!(of(&findings, "SK01").verdict, Verdict::Pass);
    }
}

/// The cycle's switch lies in the tenant, so that a staging server is not held by it (product facts 2.12); the active one is.
#[test]
fn a_scheduler_that_is_off_warns_behind_the_soak_of_a_staging_server() {
    for (staging, blocks) in [(true, false), (false, true)] {
        let off = |op: &Op, outcome| match op {
            Op::Script {
                script: Script::ReadConnectScheduler,
                ..
            } => Outcome::Script {
                lines: vec![serde_json::json!({
                    "stagingModeEnabled": staging, "syncCycleEnabled": false, "schedulerSuspended": false,
                    "nextInMinutes": -90, "everyMinutes": 30,
                })],
            },
            _ => outcome,
        };
        let (ending, findings) = soaked_as(Product::Connect, staging, &[], off);
        assert_eq!(
            matches!(&ending, Ending::Failed(why) if why.contains("PV24")),
            blocks,
            "{ending:?}"
        );
        assert_eq!(ending == Ending::Completed, staging, "{ending:?}");
        for id in ["PV24", "SK01"] {
            let finding = of(&findings, id);
            assert_eq!(
                (finding.verdict, finding.severity == Severity::Block),
                (Verdict::Fail, blocks),
                "{finding:?}"
            );
        }
    }
}

#[test]
fn an_updater_that_stopped_while_its_agent_soaked_fails_it() {
    let stopped = |soaked_seconds| {
        let tenant = tenant();
        let version = Version::new(2, 6, 92, 0);
        let step = Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
            tenant: tenant.clone(),
            at_least: version,
            gmsa: None,
            own_rights: None,
            options: ServiceOptions::default(),
            soaked_seconds,
        });
        let mut one = twin_of(Installed::ProvisioningAgent { version, tenant }, &[]);
        one.set_service(product::UPDATER_SERVICE, ServiceState::NotRunning);
        let (conclusion, journal, _) =
            drive_with(vec![step], &mut one, None, "value", |_, outcome| outcome);
        let failed = journal.iter().find_map(|event| match event {
            Event::StepFailed { failure, .. } => Some(failure.findings.clone()),
            _ => None,
        });
        let blocking = failed.unwrap_or_default().into_iter().map(|one| one.id);
        (conclusion.ending, blocking.collect::<Vec<_>>())
    };
    // Without a soak it is no less of PV04, which both services answer for (6).
    for soaked in [None, Some(600)] {
        let (ending, blocking) = stopped(soaked);
        assert!(
            matches!(&ending, Ending::Failed(why) if why.contains("PV04")),
            "{ending:?}"
        );
        let of_updater = blocking.iter().any(|id| id == "PV20");
        assert_eq!(of_updater, soaked.is_some(), "{blocking:?}");
    }
}

/// PV35: where the topology plans password hash synchronization, each planned forest's connector has it on.
#[test]
fn password_hash_synchronization_that_is_planned_is_read_back() {
    let own = target().home_domain().unwrap();
    let verify = |faults: &[Fault], forests: &[&str], instead: Option<Outcome>| {
        let step = Step::VerifyConnect(VerifyConnect {
            at_least: Version::new(1, 0, 0, 0),
            staging: None,
            forests: forests.iter().map(|name| name.parse().unwrap()).collect(),
            password_sync: true,
            soaked_seconds: None,
        });
        let mut one = server(faults);
        one.asked(&step);
        let (conclusion, journal, _) = drive_with(
            vec![step],
            &mut one,
            None,
            "value",
            |op, outcome| match op {
                Op::Script {
                    script: Script::InspectConnect,
                    input,
                    ..
                } => {
                    assert_eq!(input["passwords"], true);
                    instead.clone().unwrap_or(outcome)
                }
                _ => outcome,
            },
        );
        let findings = journal.into_iter().filter_map(|event| match event {
            Event::Probed { findings, .. } => Some(findings),
            _ => None,
        });
        let findings: Vec<Finding> = findings.flatten().collect();
        (conclusion.ending, of(&findings, "PV35").clone())
    };
    let both = [own.as_str(), "legacy.local"];
    let (ending, finding) = verify(&[], &both, None);
    assert_eq!(
        (ending, finding.verdict),
        (Ending::Completed, Verdict::Pass)
    );
    assert_eq!(finding.read, "on for 2 connectors");
    let (ending, finding) = verify(&[Fault::PasswordSyncOff], &both, None);
    assert!(matches!(ending, Ending::Failed(why) if why.contains("PV35")));
    assert!(
        finding.blocks() && finding.read.contains("off for"),
        "{}",
        finding.read
    );
    // What the module does not tell, or of a connector that has another name, stops nothing and is not taken for on.
    let line = |passwords: serde_json::Value| {
        let lines = vec![serde_json::json!({ "passwords": passwords })];
        Some(Outcome::Script { lines })
    };
    for (instead, says) in [
        (
            line(serde_json::json!({ "why": "is not recognized" })),
            "is not recognized",
        ),
        (
            line(serde_json::json!([{ "connector": "other", "on": true }])),
            "no connector is named",
        ),
        (
            line(serde_json::json!([{ "connector": "other" }])),
            "did not say (passwords)",
        ),
        (
            Some(Outcome::Failed("the module was not found".to_owned())),
            "not found",
        ),
    ] {
        let (ending, finding) = verify(&[], &both, instead);
        assert_eq!(
            (ending, finding.verdict),
            (Ending::Completed, Verdict::CannotTell)
        );
        assert!(finding.read.contains(says), "{}", finding.read);
    }
}

#[test]
fn without_the_tenants_connector_nothing_is_verified_and_a_forests_name_that_is_missing_warns() {
    let own = target().home_domain().unwrap().to_string();
    let (conclusion, findings) = verify(&mut server(&[]), &[&own], None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(of(&findings, "PV28").verdict, Verdict::Pass);

    let (conclusion, findings) = verify(&mut server(&[]), &[&own, "legacy.local"], None);
    assert_eq!(
        conclusion.ending,
        Ending::Completed,
        "somebody may have renamed it"
    );
    let finding = of(&findings, "PV28");
    assert_eq!(
        (finding.verdict, finding.severity),
        (Verdict::Fail, Severity::Warn)
    );
    assert!(
        finding.read.ends_with("none for legacy.local"),
        "{}",
        finding.read
    );

    let (conclusion, _) = verify(&mut server(&[Fault::TenantConnectorMissing]), &[&own], None);
    let Ending::Failed(why) = conclusion.ending else {
        panic!("not failed: {conclusion:?}")
    };
    assert!(
        why.contains("PV28") && why.contains("the tenant's"),
        "{why}"
    );
}

/// An older version has not every cmdlet, and one that answers in another shape has told nothing.
#[test]
fn what_the_module_does_not_tell_is_not_passed_and_stops_nothing() {
    let why = serde_json::json!({ "why": "the term is not recognized" });
    let odd = serde_json::json!({
        "identity": why, "connectors": [{ "name": "corp" }], "runs": [], "autoUpgrade": "Enabled",
        "certificates": "none", "upgrades": [{}], "trace": why,
    });
    let answers = [
        Outcome::Failed("PowerShell did not start".to_owned()),
        Outcome::Script { lines: Vec::new() },
        Outcome::Script {
            lines: vec![serde_json::json!({})],
        },
        Outcome::Script { lines: vec![odd] },
    ];
    for answer in answers {
        let (conclusion, findings) = verify(&mut server(&[]), &["corp.test"], Some(answer));
        assert_eq!(conclusion.ending, Ending::Completed);
        // The list of programs is Windows' own.
        for id in ASKED.into_iter().filter(|id| *id != "WZ02") {
            let finding = of(&findings, id);
            assert_eq!(
                finding.verdict,
                Verdict::CannotTell,
                "{id}: {}",
                finding.read
            );
            assert!(!finding.blocks(), "{id}");
        }
    }
}

/// Logs are collected by the product's own tools, stay on the server, and are told by path, size and digest.
#[test]
fn logs_are_collected_where_the_agent_is_registered_and_stay_there() {
    let server = |installed, faults: &[Fault]| {
        Twin::new(Profile {
            target: target(),
            installed,
            person: None,
            faults: faults.iter().copied().collect(),
        })
    };
    let version = Version::new(1, 1, 2334, 0);
    let registered = |tenant| Installed::ProvisioningAgent { version, tenant };
    let elsewhere = "77aa0000-0000-0000-0000-000000000000".parse().unwrap();
    let steps = || vec![Step::CollectSupport(CollectSupport { tenant: tenant() })];

    let (conclusion, ..) = drive_with(
        steps(),
        &mut server(registered(tenant()), &[]),
        None,
        "value",
        |_, outcome| outcome,
    );
    assert_eq!(conclusion.ending, Ending::Completed);
    let summary = &conclusion.steps[0].summary;
    assert!(
        summary.starts_with(r"C:\ProgramData\Entrain\support\")
            && summary.contains("3320 KiB, SHA-256 "),
        "{summary}"
    );

    for (mut other, why) in [
        (server(Installed::Nothing, &[]), "not on this server"),
        (
            server(Installed::Unregistered { version }, &[]),
            "never registered",
        ),
        (server(registered(elsewhere), &[]), "another tenant"),
        (
            server(registered(tenant()), &[Fault::ToolsMissing]),
            "AADCloudSyncTools was not loaded",
        ),
    ] {
        let (conclusion, ..) = drive_with(steps(), &mut other, None, "value", |_, outcome| outcome);
        let Ending::Failed(said) = &conclusion.ending else {
            panic!("not failed: {conclusion:?}")
        };
        assert!(said.contains(why), "{said}");
    }
}

/// A plan was made on facts: an agent whose own probe shows others does nothing, and says that a new plan is needed.
#[test]
fn a_server_that_is_no_longer_what_the_plan_read_is_left_as_it_is() {
    let steps = || {
        vec![Step::VerifyConnect(VerifyConnect {
            at_least: Version::new(1, 0, 0, 0),
            staging: None,
            forests: Vec::new(),
            password_sync: false,
            soaked_seconds: None,
        })]
    };
    let run = |essence, server: &mut Twin| {
        let bundle = manifest_on(Some(essence), steps());
        drive_bundle(
            bundle,
            server,
            None,
            "value",
            |_, _| {},
            |_, outcome| outcome,
        )
    };
    let mut one = server(&[]);
    let (_, journal, _) = drive_with(steps(), &mut one, None, "value", |_, outcome| outcome);
    let facts = journal.into_iter().find_map(|event| match event {
        Event::FactsReported(facts) => Some(facts),
        _ => None,
    });
    let essence = facts.expect("a run begins with facts").essence();
    let (conclusion, ..) = run(essence, &mut one);
    assert_eq!(conclusion.ending, Ending::Completed);

    // The same server in the other mode.
    let mut other = Twin::new(Profile {
        installed: Installed::Connect {
            version: CONNECT,
            staging: true,
        },
        ..one.profile().clone()
    });
    let (conclusion, journal, _) = run(essence, &mut other);
    let Ending::Failed(why) = conclusion.ending else {
        panic!("not failed: {conclusion:?}")
    };
    assert!(
        why.contains("no longer what the plan took it to be"),
        "{why}"
    );
    let begun = journal
        .iter()
        .any(|event| matches!(event, Event::StepBegun { .. }));
    assert!(!begun, "no step was begun");
}

/// Verifies with that answer of the scheduler, and that newest run of a connector.
fn scheduled(
    staging: bool,
    enabled: bool,
    suspended: bool,
    result: &str,
) -> (Ending, Vec<Finding>) {
    let step = Step::VerifyConnect(VerifyConnect {
        at_least: Version::new(1, 0, 0, 0),
        staging: None,
        forests: Vec::new(),
        password_sync: false,
        soaked_seconds: None,
    });
    let scheduler = serde_json::json!({ "stagingModeEnabled": staging, "syncCycleEnabled": enabled, "schedulerSuspended": suspended });
    let runs = serde_json::json!({ "runs": [{ "run": "corp.test Delta Import", "result": result, "ended": true }] });
    let instead = |op: &Op, outcome| match op {
        Op::Script {
            script: Script::ReadConnectScheduler,
            ..
        } => Outcome::Script {
            lines: vec![scheduler.clone()],
        },
        Op::Script {
            script: Script::InspectConnect,
            ..
        } => Outcome::Script {
            lines: vec![runs.clone()],
        },
        _ => outcome,
    };
    let (conclusion, journal, _) = drive_with(vec![step], &mut server(&[]), None, "value", instead);
    let probed = journal.into_iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings),
        _ => None,
    });
    (conclusion.ending, probed.flatten().collect())
}

/// Nothing reaches the tenant while its active server's cycle is off: that is not verified. The setting is the tenant's, so a staging
/// server shows the same and is not stopped by it.
#[test]
fn an_active_server_whose_cycle_is_off_is_not_verified() {
    for (staging, enabled, suspended, blocks) in [
        (false, true, false, None),
        (false, false, false, Some(true)),
        (false, false, true, Some(true)),
        (false, true, true, Some(false)),
        (true, false, false, Some(false)),
        (true, true, true, Some(false)),
    ] {
        let (ending, findings) = scheduled(staging, enabled, suspended, "success");
        let finding = of(&findings, "PV24");
        let case = format!("staging {staging}, enabled {enabled}, suspended {suspended}");
        assert_eq!(finding.verdict == Verdict::Pass, blocks.is_none(), "{case}");
        assert_eq!(finding.blocks(), blocks == Some(true), "{case}");
        let failed = matches!(&ending, Ending::Failed(why) if why.contains("PV24"));
        assert_eq!(failed, blocks == Some(true), "{case}: {ending:?}");
    }
}

/// A run that broke off on the server that exports blocks; one that came to its end with errors of single objects warns.
#[test]
fn a_run_that_broke_off_blocks_where_the_server_exports() {
    for (staging, result, verdict, blocks) in [
        (false, "success", Verdict::Pass, false),
        (false, "completed-export-errors", Verdict::Fail, false),
        (false, "stopped-server-down", Verdict::Fail, true),
        (false, "no-start-connection", Verdict::Fail, true),
        (true, "stopped-server-down", Verdict::Fail, false),
    ] {
        let (ending, findings) = scheduled(staging, true, false, result);
        let finding = of(&findings, "PV29");
        assert_eq!(
            (finding.verdict, finding.blocks()),
            (verdict, blocks),
            "{result}"
        );
        assert_eq!(
            matches!(ending, Ending::Failed(_)),
            blocks,
            "{result}: {ending:?}"
        );
    }
}
