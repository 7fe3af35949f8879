//! Why something does not come about: a wizard that takes long and a service that does not run are looked into, and what the
//! logs show of a known error is told with cause, fix and line.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::cell::Cell;
use std::collections::BTreeSet;

use agent_core::op::{Log, Op, Outcome, Script};
use agent_core::product;
use agent_core::run::Action;
use agent_twin::{Fault, Installed, Twin};
use protocol::event::{Event, Failure, Finding, Severity, Verdict};
use protocol::facts::ServiceState;
use protocol::signed::Ending;
use protocol::step::{
    AddDomains, ConnectWork, DirectoryRights, GuideConnect, GuideConnectRemoval,
    GuideProvisioningAgent, ServedDomain, SetProvisioningAgentOptions, SignIn, StageConnect,
    StartProvisioningAgent, Step, VerifyConnect, VerifyProvisioningAgent,
};
use protocol::{Digest, ServiceOptions, Version};

use crate::common::{
    NEWEST, drive_at_most, drive_beside, drive_with, manifest, server, target, tenant, text,
};

pub(crate) fn upgrade(at_least: Version) -> Vec<Step> {
    vec![
        Step::StageConnect(StageConnect {
            artifact: Digest::of(b"msi"),
        }),
        Step::GuideConnect(GuideConnect {
            work: ConnectWork::UpgradeActive,
            at_least,
            text: text(),
            release: None,
        }),
    ]
}

fn register() -> Vec<Step> {
    vec![Step::GuideProvisioningAgent(GuideProvisioningAgent {
        target: target(),
        tenant: tenant(),
        gmsa: None,
        preferred_dcs: Vec::new(),
        home_domain: target().home_domain().unwrap(),
        domains: Vec::new(),
        text: text(),
    })]
}

fn findings(journal: &[Event]) -> Vec<Finding> {
    let probed = journal.iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings.clone()),
        _ => None,
    });
    probed.flatten().collect()
}

/// Drives a wizard whose trouble is mended after so many looks at a clock.
pub(crate) fn mended(steps: Vec<Step>, twin: &mut Twin, after: u32) -> (Ending, Vec<Event>) {
    let waits = Cell::new(0);
    let mend = |action: &Action, server: &mut Twin| {
        if let Action::Perform {
            op: Op::Wait { .. },
            ..
        } = action
        {
            waits.set(waits.get() + 1);
            if waits.get() == after {
                server.set_faults(BTreeSet::new());
            }
        }
    };
    let (conclusion, journal, _) =
        drive_beside(steps, twin, None, "value", mend, |_, outcome| outcome);
    (conclusion.ending, journal)
}

#[test]
fn a_wizard_that_takes_long_tells_the_known_error_of_its_trace_once() {
    let old = |version, faults: &[Fault]| {
        server(
            Installed::Connect {
                version,
                staging: false,
            },
            faults,
        )
    };
    let before = Version::new(1, 0, 0, 0);
    let broken = Version::new(2, 6, 91, 0);
    for (fault, version, known) in [
        (Fault::WizardIdentityRefused, before, Some("KC02")),
        (Fault::WizardScriptError, before, Some("KC11")),
        (Fault::WizardDatabaseLeft, before, Some("KC04")),
        (Fault::PassThroughNotEnabled, before, None),
    ] {
        // Before the trace is read twice, and so that it is.
        let (ending, journal) = mended(upgrade(NEWEST), &mut old(version, &[fault]), 130);
        assert_eq!(ending, Ending::Completed, "{fault:?}");
        let told: Vec<Finding> = findings(&journal);
        let Some(known) = known else {
            assert_eq!(told, [], "{fault:?}");
            continue;
        };
        let [finding] = told.as_slice() else {
            panic!("{fault:?}: {told:?}")
        };
        assert_eq!(finding.id, "WZ01");
        assert_eq!(
            (finding.verdict, finding.severity),
            (Verdict::Fail, Severity::Warn)
        );
        assert!(finding.fix.contains(known), "{}", finding.fix);
        assert!(finding.read.starts_with("[ERROR]"), "{}", finding.read);
        assert!(!finding.read.contains("admin"), "{}", finding.read);
    }
    // The version that has the fault, in an installation whose engine is there and which is not done.
    let mut one = old(broken, &[Fault::PassThroughNotEnabled]);
    let newer = Version::new(2, 6, 92, 0);
    let waits = Cell::new(0);
    let mend = |action: &Action, server: &mut Twin| {
        if let Action::Perform {
            op: Op::Wait { .. },
            ..
        } = action
        {
            waits.set(waits.get() + 1);
            if waits.get() == 70 {
                *server = old(newer, &[]);
            }
        }
    };
    let (conclusion, journal, _) = drive_beside(
        upgrade(newer),
        &mut one,
        None,
        "value",
        mend,
        |_, outcome| outcome,
    );
    assert_eq!(conclusion.ending, Ending::Completed);
    let told = findings(&journal);
    assert!(told[0].fix.contains("KC09"), "{told:?}");
}

/// A wizard that ends in time is left alone, and so is one whose trace shows nothing that is known: it is read every half hour, for
/// as long as the work is open.
#[test]
fn a_trace_is_read_when_a_wizard_is_long_and_not_before() {
    let read = Cell::new(0);
    let count = |op: &Op, outcome| {
        if let Op::ReadLog {
            log: Log::ConnectTrace,
            ..
        } = op
        {
            read.set(read.get() + 1);
        }
        outcome
    };
    for (rounds, reads) in [(3, 0), (59, 0), (62, 1), (400, 6), (2_900, 48)] {
        let mut one = server(
            Installed::Connect {
                version: Version::new(1, 0, 0, 0),
                staging: false,
            },
            &[],
        );
        one.take_rounds(rounds);
        read.set(0);
        let (conclusion, journal, _) = drive_at_most(
            50_000,
            manifest(upgrade(NEWEST)),
            &mut one,
            (None, "value"),
            |_, _| {},
            count,
        );
        assert_eq!(conclusion.ending, Ending::Completed);
        assert_eq!(read.get(), reads, "{rounds}");
        assert_eq!(findings(&journal), []);
    }
}

/// Somebody keeps an appointment on the next day: what stops the wizard then is told, once for each error, and what is found again in
/// the days after is not.
#[test]
fn what_stops_a_wizard_on_the_next_day_is_told_once_for_each_error() {
    // In rounds of half a minute: nobody is there for a day, then one error follows another, which stays for two days.
    const DAY: u32 = 2 * 60 * 24;
    let course = [
        (DAY, Some(Fault::WizardScriptError)),
        (DAY + 100, Some(Fault::WizardIdentityRefused)),
        (DAY + 200, Some(Fault::WizardScriptError)),
        (3 * DAY, None),
    ];
    let mut one = server(
        Installed::Connect {
            version: Version::new(1, 0, 0, 0),
            staging: false,
        },
        &[],
    );
    one.take_rounds(4 * DAY);
    let waits = Cell::new(0);
    let mend = |action: &Action, server: &mut Twin| {
        if let Action::Perform {
            op: Op::Wait { .. },
            ..
        } = action
        {
            waits.set(waits.get() + 1);
            for (at, fault) in course {
                if waits.get() == at {
                    server.set_faults(fault.into_iter().collect());
                }
            }
        }
    };
    let (conclusion, journal, _) = drive_at_most(
        60 * DAY as usize,
        manifest(upgrade(NEWEST)),
        &mut one,
        (None, "value"),
        mend,
        |_, outcome| outcome,
    );
    assert_eq!(conclusion.ending, Ending::Completed);
    let told = findings(&journal);
    let [first, second] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert!(first.id == "WZ01" && first.fix.contains("KC11"), "{told:?}");
    assert!(second.fix.contains("KC02"), "{told:?}");
}

/// A trace goes on, and what is over stays in it: a second error behind the first one is told as well, each once however often it is read.
#[test]
fn an_error_that_comes_behind_another_one_in_the_trace_is_told_as_well() {
    let first = Fault::WizardScriptError;
    let (second, third) = (Fault::WizardDatabaseLeft, Fault::WizardDatabaseInGroup);
    let course: [(u32, &[Fault]); 3] = [
        (70, &[first, second]),
        (200, &[first, second, third]),
        (330, &[]),
    ];
    let mut one = server(
        Installed::Connect {
            version: Version::new(1, 0, 0, 0),
            staging: false,
        },
        &[first],
    );
    let waits = Cell::new(0);
    let mend = |action: &Action, server: &mut Twin| {
        if let Action::Perform {
            op: Op::Wait { .. },
            ..
        } = action
        {
            waits.set(waits.get() + 1);
            for (at, faults) in course {
                if waits.get() == at {
                    server.set_faults(faults.iter().copied().collect());
                }
            }
        }
    };
    let (conclusion, journal, _) = drive_beside(
        upgrade(NEWEST),
        &mut one,
        None,
        "value",
        mend,
        |_, outcome| outcome,
    );
    assert_eq!(conclusion.ending, Ending::Completed);
    let told = findings(&journal);
    let [script, left, group] = told.as_slice() else {
        panic!("{told:?}")
    };
    for (finding, known, line) in [
        (script, "KC11", "script error"),
        (left, "KC04", "already contains data"),
        (group, "KC06", "Error 25009"),
    ] {
        assert_eq!(
            (finding.id.as_str(), finding.verdict),
            ("WZ01", Verdict::Fail)
        );
        assert!(
            finding.fix.contains(known) && finding.read.contains(line),
            "{told:?}"
        );
    }
}

/// Two at once, of two places: the page that is blocked hides nothing of what the trace shows.
#[test]
fn a_blocked_page_hides_nothing_of_the_trace() {
    let version = Version::new(1, 1, 2334, 0);
    let faults = [Fault::IeEscOn, Fault::RegistrationScriptsRefused];
    let mut one = server(Installed::Unregistered { version }, &faults);
    let (ending, journal) = mended(register(), &mut one, 130);
    assert_eq!(ending, Ending::Completed);
    let told = findings(&journal);
    let ids = ["KE14", "KE12"].map(|id| told.iter().filter(|one| one.fix.contains(id)).count());
    assert_eq!((told.len(), ids), (2, [1, 1]), "{told:?}");
}

#[test]
fn a_registration_that_takes_long_tells_that_its_page_is_blocked() {
    let version = Version::new(1, 1, 2334, 0);
    let mut one = server(Installed::Unregistered { version }, &[Fault::IeEscOn]);
    let (ending, journal) = mended(register(), &mut one, 70);
    assert_eq!(ending, Ending::Completed);
    let told = findings(&journal);
    assert!(told[0].fix.contains("KE14"), "{told:?}");
    assert!(told[0].read.contains("enhanced security"), "{told:?}");
}

#[test]
fn a_removal_that_takes_long_tells_the_known_error_of_the_wizards_trace() {
    let steps = vec![Step::GuideConnectRemoval(GuideConnectRemoval {
        text: text(),
        pass_through: text(),
    })];
    let mut one = server(
        Installed::Connect {
            version: NEWEST,
            staging: true,
        },
        &[Fault::WizardTraceErrors],
    );
    one.asked(&steps[0]);
    one.take_rounds(65);
    let (conclusion, journal, _) = drive_with(steps, &mut one, None, "value", |_, outcome| outcome);
    assert_eq!(conclusion.ending, Ending::Completed);
    let told = findings(&journal).into_iter();
    // Who depends on the server was told before the wizard.
    let told: Vec<Finding> = told.filter(|one| one.id == "WZ01").collect();
    assert!(told[0].fix.contains("KC03"), "{told:?}");
}

fn failure(journal: &[Event]) -> Failure {
    let failed = journal.iter().find_map(|event| match event {
        Event::StepFailed { failure, .. } => Some((**failure).clone()),
        _ => None,
    });
    failed.expect("the step failed")
}

#[test]
fn a_service_that_does_not_run_fails_with_the_known_error_that_windows_recorded() {
    let connect = Step::VerifyConnect(VerifyConnect {
        at_least: Version::new(1, 0, 0, 0),
        staging: None,
        forests: Vec::new(),
        password_sync: false,
        soaked_seconds: None,
    });
    let agent = Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
        tenant: tenant(),
        at_least: Version::new(1, 0, 0, 0),
        gmsa: None,
        own_rights: None,
        options: protocol::options::ServiceOptions::default(),
        soaked_seconds: None,
    });
    let with_connect = Installed::Connect {
        version: Version::new(2, 6, 1, 0),
        staging: false,
    };
    let with_agent = Installed::ProvisioningAgent {
        version: NEWEST,
        tenant: tenant(),
    };
    for (step, installed, fault, probe, known) in [
        (
            connect,
            &with_connect,
            Fault::EngineEnds,
            "PV22",
            Some(("KC01", "DiagnosticSource")),
        ),
        (
            agent.clone(),
            &with_agent,
            Fault::LogonAsServiceRefused,
            "PV04",
            Some(("KE18", "requested logon type")),
        ),
        (agent, &with_agent, Fault::ServiceStopped, "PV04", None),
    ] {
        let mut one = server(installed.clone(), &[fault]);
        let (conclusion, journal, _) =
            drive_with(vec![step], &mut one, None, "value", |_, outcome| outcome);
        assert!(matches!(conclusion.ending, Ending::Failed(_)), "{fault:?}");
        let failure = failure(&journal);
        assert!(failure.what.contains(probe), "{}", failure.what);
        let Some((known, line)) = known else {
            // Nothing is said where nothing is known.
            assert_eq!(failure.known, None);
            continue;
        };
        assert_eq!(failure.known.as_ref().unwrap().id, known);
        assert!(failure.lines[0].contains(line), "{:?}", failure.lines);
        assert!(!failure.lines[0].contains("operator"));
        let finding = failure.findings.iter().find(|one| one.id == probe);
        assert!(finding.unwrap().fix.contains(known));
    }
}

/// What stopped is started, and Windows starts it from then on; who runs is left running, and who is another tenant's is left.
#[test]
fn the_services_of_a_registered_agent_are_started_and_started_by_windows() {
    let agent = |installed: &Installed, faults: &[Fault]| server(installed.clone(), faults);
    let version = NEWEST;
    let own = Installed::ProvisioningAgent {
        version,
        tenant: tenant(),
    };
    let start = || {
        vec![Step::StartProvisioningAgent(StartProvisioningAgent {
            tenant: tenant(),
        })]
    };
    let run = |one: &mut Twin| {
        let (conclusion, journal, _) =
            drive_with(start(), one, None, "value", |_, outcome| outcome);
        let entered = journal
            .iter()
            .any(|event| matches!(event, Event::SectionEntered { .. }));
        assert!(!entered, "nothing is taken out of service");
        (conclusion, journal)
    };
    for (state, changes) in [
        (ServiceState::Running, &[][..]),
        (
            ServiceState::NotRunning,
            &["restart AADConnectProvisioningAgent"],
        ),
        (
            ServiceState::Disabled,
            &[
                "automate AADConnectProvisioningAgent",
                "restart AADConnectProvisioningAgent",
            ],
        ),
    ] {
        let mut one = agent(&own, &[]);
        one.set_service(product::AGENT_SERVICE, state);
        let before = one.changes.len();
        let (conclusion, _) = run(&mut one);
        assert_eq!(conclusion.ending, Ending::Completed, "{state:?}");
        assert_eq!(one.changes[before..], *changes, "{state:?}");
        assert!(one.serves(), "{state:?}");
        let (conclusion, _) = run(&mut one);
        assert!(conclusion.steps[0].summary.contains("its services run"));
    }
    let mut updater = agent(&own, &[]);
    updater.set_service(product::UPDATER_SERVICE, ServiceState::Disabled);
    let (conclusion, _) = run(&mut updater);
    assert!(
        conclusion.steps[0]
            .summary
            .contains("AzureADConnectAgentUpdater was started"),
        "{conclusion:?}"
    );

    let elsewhere = Installed::ProvisioningAgent {
        version,
        tenant: "77aa0000-0000-0000-0000-000000000000".parse().unwrap(),
    };
    for (installed, words) in [
        (Installed::Nothing, "not installed"),
        (Installed::Unregistered { version }, "never registered"),
        (elsewhere, "another tenant"),
    ] {
        let mut one = agent(&installed, &[]);
        one.set_service(product::AGENT_SERVICE, ServiceState::NotRunning);
        let before = one.changes.len();
        let (conclusion, _) = run(&mut one);
        let Ending::Failed(why) = conclusion.ending else {
            panic!("not failed: {conclusion:?}")
        };
        assert!(why.contains(words), "{why}");
        assert_eq!(one.changes.len(), before);
    }
    let (conclusion, journal) = run(&mut agent(&own, &[Fault::LogonAsServiceRefused]));
    assert!(matches!(conclusion.ending, Ending::Failed(_)));
    assert_eq!(failure(&journal).known.unwrap().id, "KE18");
}

/// A service that serves, and that Windows does not let start again behind a change of its options or behind new domains: the failure
/// tells why, as far as a log shows it.
#[test]
fn a_service_that_does_not_come_back_from_a_restart_fails_with_what_the_logs_show() {
    let options = || {
        Step::SetProvisioningAgentOptions(SetProvisioningAgentOptions {
            options: ServiceOptions {
                ldap_timeout_millis: Some(60_000),
                ..ServiceOptions::default()
            },
        })
    };
    let domains = || {
        Step::AddDomains(AddDomains {
            tenant: tenant(),
            sign_in: SignIn::Token,
            proxy: None,
            domains: vec![ServedDomain {
                name: "b.contoso.com".parse().unwrap(),
                preferred_dcs: Vec::new(),
                rights: DirectoryRights::Handover,
                permissions: Vec::new(),
            }],
            wizard: text(),
        })
    };
    let steps: [(&dyn Fn() -> Step, &str); 2] = [
        (&options, "the options are set, and the service"),
        (&domains, "the domains were added, and the service"),
    ];
    for (step, words) in steps {
        for (fault, known) in [
            (Fault::LogonAsServiceRefused, Some("KE18")),
            (Fault::ServiceStopped, None),
        ] {
            let mut one = server(
                Installed::ProvisioningAgent {
                    version: NEWEST,
                    tenant: tenant(),
                },
                &[],
            );
            // It comes with the restart.
            let comes = |action: &Action, server: &mut Twin| {
                if let Action::Perform {
                    op:
                        Op::RestartService { .. }
                        | Op::Script {
                            script: Script::ConfigureProvisioningAgent,
                            ..
                        },
                    ..
                } = action
                {
                    server.set_faults(BTreeSet::from([fault]));
                }
            };
            let (conclusion, journal, _) =
                drive_beside(vec![step()], &mut one, None, "value", comes, |_, one| one);
            assert!(matches!(conclusion.ending, Ending::Failed(_)), "{words}");
            let failure = failure(&journal);
            assert!(failure.what.starts_with(words), "{}", failure.what);
            assert_eq!(failure.findings[0].id, "PV04");
            let told = failure.known.as_ref().map(|known| known.id.as_str());
            assert_eq!(told, known, "{words}");
            if known.is_some() {
                let line = &failure.lines[0];
                assert!(line.contains("requested logon type"), "{line}");
            }
        }
    }
}

/// What cannot be read stands in no way of what was seen.
#[test]
fn a_log_that_cannot_be_read_explains_nothing_and_hides_nothing() {
    let step = Step::VerifyConnect(VerifyConnect {
        at_least: Version::new(1, 0, 0, 0),
        staging: None,
        forests: Vec::new(),
        password_sync: false,
        soaked_seconds: None,
    });
    let mut one = server(
        Installed::Connect {
            version: NEWEST,
            staging: false,
        },
        &[Fault::EngineEnds],
    );
    let unread = |op: &Op, outcome| match op {
        Op::ReadLog { .. }
        | Op::Script {
            script: agent_core::op::Script::ReadErrors,
            ..
        } => Outcome::Failed("access is denied".to_owned()),
        _ => outcome,
    };
    let (_, journal, _) = drive_with(vec![step], &mut one, None, "value", unread);
    let failure = failure(&journal);
    assert!(failure.what.starts_with("PV22"), "{}", failure.what);
    assert_eq!((failure.known, failure.lines.len()), (None, 0));
}

/// The facts tell of an updater only where it does not run: a plan starts it then, and `status --drift` says it (PV04).
#[test]
fn the_facts_tell_of_an_updater_that_does_not_run_and_of_no_other() {
    for state in [
        None,
        Some(ServiceState::NotRunning),
        Some(ServiceState::Disabled),
    ] {
        let own = Installed::ProvisioningAgent {
            version: NEWEST,
            tenant: tenant(),
        };
        let mut one = server(own, &[]);
        if let Some(state) = state {
            one.set_service(product::UPDATER_SERVICE, state);
        }
        let steps = vec![Step::ReportFacts];
        let (_, journal, _) = drive_with(steps, &mut one, None, "value", |_, outcome| outcome);
        let told = journal.iter().find_map(|event| match event {
            Event::FactsReported(facts) => facts.provisioning_agent.as_ref(),
            _ => None,
        });
        assert_eq!(told.unwrap().updater, state);
    }
}
