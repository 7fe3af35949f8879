//! An agent that is installed and not configured, whose service somebody has disabled: whatever registers it starts that service at its end,
//! so it is set to start before anything is asked of a person.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be, and looks at some events alone"
)]

use std::cell::Cell;

use agent_core::op::{Op, Outcome};
use agent_core::product;
use agent_twin::{Fault, Installed, Twin};
use protocol::event::Event;
use protocol::facts::ServiceState;
use protocol::signed::Ending;

use crate::common::{NEWEST, drive, drive_with, server};
use crate::orders::{register, wizard};

const AUTOMATE: &str = "automate AADConnectProvisioningAgent";

fn disabled(faults: &[Fault]) -> Twin {
    let mut server = server(Installed::Unregistered { version: NEWEST }, faults);
    server.set_service(product::AGENT_SERVICE, ServiceState::Disabled);
    // Whoever is at the wizard takes the account that stands in the task.
    server.choose_account("svcEntraSync$");
    server
}

/// It tells that the service is disabled and set to start.
fn tells(event: &Event) -> bool {
    let Event::Probed { findings, .. } = event else {
        return false;
    };
    let read = "AADConnectProvisioningAgent is disabled; Entrain sets it to start with Windows now";
    findings
        .iter()
        .any(|one| one.id == "PV04" && one.read == read && !one.blocks())
}

/// How often a person was asked for a secret, or to come to a wizard.
fn asked(journal: &[Event]) -> usize {
    let asks =
        |event: &&Event| matches!(event, Event::SecretAsked { .. } | Event::TaskOpened { .. });
    journal.iter().filter(asks).count()
}

/// By the cmdlets, at the wizard, and at the wizard in place of the cmdlets: it ends well, and a person gives once.
#[test]
fn a_disabled_service_is_set_to_start_before_its_agent_is_registered() {
    for (step, faults) in [
        (register(), &[][..]),
        (wizard(), &[]),
        (register(), &[Fault::TranscriptionOn]),
    ] {
        let mut server = disabled(faults);
        let (conclusion, journal, _) = drive(vec![step.clone()], &mut server, None);
        let what = format!("{} {faults:?}", step.kind());
        assert_eq!(
            conclusion.ending,
            Ending::Completed,
            "{what}: {conclusion:?}"
        );
        assert_eq!(asked(&journal), 1, "{what}: {journal:?}");
        let automated = server.changes.iter().filter(|one| *one == AUTOMATE);
        assert_eq!(automated.count(), 1, "{what}: {:?}", server.changes);
        assert_eq!(server.changes[0], AUTOMATE, "{what}: before anything else");
        assert!(server.serves(), "{what}");
        // Told before it is done, and so whatever comes of the step.
        let told = journal.iter().position(tells);
        let first = journal.iter().position(|event| {
            matches!(event, Event::SecretAsked { .. } | Event::TaskOpened { .. })
        });
        assert!(told.is_some() && told < first, "{what}: {journal:?}");
    }
    // One that only does not run is started by the registration itself.
    let mut server = disabled(&[]);
    server.set_service(product::AGENT_SERVICE, ServiceState::NotRunning);
    let (conclusion, ..) = drive(vec![register()], &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(!server.changes.iter().any(|one| one == AUTOMATE));
}

/// Where that cannot be done nobody is asked for anything, and it is said who mends it.
#[test]
fn a_service_that_cannot_be_set_to_start_fails_before_anybody_is_asked() {
    for step in [register(), wizard()] {
        let kind = step.kind();
        let mut server = disabled(&[]);
        let refuses = |op: &Op, outcome| match op {
            Op::AutomateService { .. } => Outcome::Failed("access is denied (model)".to_owned()),
            _ => outcome,
        };
        let (conclusion, journal, _) = drive_with(vec![step], &mut server, None, "value", refuses);
        assert_eq!(asked(&journal), 0, "{kind}: {journal:?}");
        assert!(matches!(conclusion.ending, Ending::Failed(_)), "{kind}");
        let why = journal.iter().find_map(|event| match event {
            Event::StepFailed { failure, .. } => Some(failure.what.clone()),
            _ => None,
        });
        let why = why.unwrap();
        assert!(
            why.contains("access is denied (model)")
                && why.contains("set its start type to Automatic on the server, or where a group policy sets it, and retry"),
            "{kind}: {why}"
        );
    }
}

/// What disables it while a person is waited for is met once more, before what was given is used.
#[test]
fn a_service_that_is_disabled_meanwhile_is_set_to_start_before_the_cmdlets() {
    let mut server = disabled(&[]);
    let automated = Cell::new(0);
    // A policy takes it back after the first time.
    let takes_back = |op: &Op, mut outcome: Outcome| {
        if matches!(op, Op::AutomateService { .. }) {
            automated.set(automated.get() + 1);
        }
        if let (Op::Service { name }, Outcome::Service(Some(service))) = (op, &mut outcome)
            && name == product::AGENT_SERVICE
            && automated.get() == 1
        {
            service.state = ServiceState::Disabled;
        }
        outcome
    };
    let (conclusion, journal, _) =
        drive_with(vec![register()], &mut server, None, "value", takes_back);
    let told = journal.iter().filter(|event| tells(event));
    assert_eq!(told.count(), 2, "{journal:?}");
    assert_eq!(automated.get(), 2);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
}
