//! Why a step failed today is told by what was written while it ran: what its trace has from before is of other work, and what ran and
//! did not come to its end is looked into like what failed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;

use agent_core::op::{Log, Op, Outcome, Script};
use agent_core::product;
use agent_core::run::Action;
use agent_twin::{Fault, Installed, Twin};
use protocol::event::{Event, Failure, Finding};
use protocol::facts::ServiceState;
use protocol::signed::Ending;
use protocol::step::{
    Cloud, DirectoryRights, GuideProvisioningAgent, InstallProvisioningAgent, Permission,
    RegisterProvisioningAgent, RemoveProvisioningAgent, ServedDomain, SignIn,
    StartProvisioningAgent, Step, VerifyProvisioningAgent,
};
use protocol::{Digest, ServiceOptions, Timestamp};
use serde_json::json;

use crate::common::{NEWEST, drive_beside, drive_with, server, serving, target, tenant, text};

/// Lines of the agent that are known: KE02 and KE03.
const KE02: &str = "[ERROR] Failed changing Windows service credentials to gMSA";
const KE03: &str = "[ERROR] Unable to install service account pGMSA_1a2b$ after 6 retries";

fn unregistered() -> Twin {
    server(Installed::Unregistered { version: NEWEST }, &[])
}

fn register() -> Step {
    Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
        target: target(),
        tenant: tenant(),
        cloud: Cloud::Commercial,
        sign_in: SignIn::Token,
        gmsa: None,
        proxy: None,
        home_domain: target().home_domain().unwrap(),
        domains: vec![ServedDomain {
            name: target().home_domain().unwrap(),
            preferred_dcs: Vec::new(),
            rights: DirectoryRights::Handover,
            permissions: vec![Permission::PasswordHashSync],
        }],
        wizard: text(),
    })
}

fn failure(journal: &[Event]) -> Failure {
    let failed = journal.iter().find_map(|event| match event {
        Event::StepFailed { failure, .. } => Some((**failure).clone()),
        _ => None,
    });
    failed.unwrap_or_else(|| panic!("nothing failed: {journal:?}"))
}

fn known(failure: &Failure) -> Option<&str> {
    failure.known.as_ref().map(|known| known.id.as_str())
}

const fn is_cmdlets(op: &Op) -> bool {
    matches!(
        op,
        Op::Script {
            script: Script::ConfigureProvisioningAgent,
            ..
        }
    )
}

/// A registration whose cmdlets end so, and during which the agent writes these lines.
fn registers(one: &mut Twin, ends: &Outcome, writes: &[&str]) -> Failure {
    let beside = |action: &Action, server: &mut Twin| {
        if let Action::Perform { op, .. } = action
            && is_cmdlets(op)
        {
            writes.iter().for_each(|line| server.write_trace(line));
        }
    };
    let answer = |op: &Op, outcome| {
        if is_cmdlets(op) {
            return ends.clone();
        }
        outcome
    };
    let (conclusion, journal, _) =
        drive_beside(vec![register()], one, None, "value", beside, answer);
    assert!(
        matches!(conclusion.ending, Ending::Failed(_)),
        "{conclusion:?}"
    );
    failure(&journal)
}

#[test]
fn a_line_of_an_earlier_failure_is_no_cause_of_todays() {
    let unknown = Outcome::Script {
        lines: vec![json!({
            "error": { "at": "Add-AADCloudSyncGMSA", "kind": "other", "message": "One or more errors occurred." }
        })],
    };
    for (writes, told) in [
        (&[][..], None),
        (&["[INFO] ends"], None),
        (&[KE03], Some("KE03")),
    ] {
        let mut one = unregistered();
        one.write_trace(KE02);
        let failed = registers(&mut one, &unknown, writes);
        assert_eq!(known(&failed), told, "{writes:?}: {failed:?}");
        assert!(!failed.lines.iter().any(|line| line == KE02), "{failed:?}");
    }
}

/// The same of a service that does not start, and of one whose registration the server does not show.
#[test]
fn what_a_service_wrote_in_an_earlier_life_does_not_say_why_it_does_not_start_now() {
    let start = Step::StartProvisioningAgent(StartProvisioningAgent { tenant: tenant() });
    for (writes, told) in [(None, None), (Some(KE03), Some("KE03"))] {
        let mut one = serving(&[Fault::ServiceStopped]);
        one.set_service(product::AGENT_SERVICE, ServiceState::NotRunning);
        one.write_trace(KE02);
        let beside = |action: &Action, server: &mut Twin| {
            if let (
                Action::Perform {
                    op: Op::RestartService { .. },
                    ..
                },
                Some(line),
            ) = (action, writes)
            {
                server.write_trace(line);
            }
        };
        let steps = vec![start.clone()];
        let (_, journal, _) =
            drive_beside(steps, &mut one, None, "value", beside, |_, outcome| outcome);
        let failed = failure(&journal);
        assert_eq!(known(&failed), told, "{failed:?}");
    }
    // The cmdlets say that all is well, and nothing is there.
    let well = Outcome::Script {
        lines: vec![json!({ "done": true })],
    };
    let mut one = unregistered();
    one.write_trace(KE02);
    let beside = |action: &Action, server: &mut Twin| {
        if let Action::Perform { op, .. } = action
            && is_cmdlets(op)
        {
            server.set_faults(BTreeSet::from([Fault::NoKdsKey]));
        }
    };
    let answer = |op: &Op, outcome| {
        if is_cmdlets(op) {
            return well.clone();
        }
        outcome
    };
    let steps = vec![register()];
    let (_, journal, _) = drive_beside(steps, &mut one, None, "value", beside, answer);
    let failed = failure(&journal);
    assert_eq!(known(&failed), None, "{failed:?}");
    assert!(!failed.lines.iter().any(|line| line == KE02), "{failed:?}");
}

/// At a verification the step began after it all: of several known lines the newest one counts.
#[test]
fn of_several_known_lines_the_newest_is_told() {
    let mut one = serving(&[]);
    one.set_service(product::AGENT_SERVICE, ServiceState::NotRunning);
    for line in [KE03, KE02, KE02, "[INFO] ends"] {
        one.write_trace(line);
    }
    let verify = Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
        at_least: NEWEST,
        tenant: tenant(),
        gmsa: None,
        own_rights: None,
        options: ServiceOptions::default(),
        soaked_seconds: None,
    });
    let (_, journal, _) = drive_with(vec![verify], &mut one, None, "value", |_, outcome| outcome);
    let failed = failure(&journal);
    assert_eq!(known(&failed), Some("KE02"), "{failed:?}");
    let probed = journal.iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings),
        _ => None,
    });
    let trace: Vec<&Finding> = probed.flatten().filter(|one| one.id == "PV09").collect();
    assert!(trace[0].read.starts_with(KE02), "{trace:?}");
    assert!(trace[0].fix.contains("KE02"), "{trace:?}");
}

/// Nobody who is at the wizard is told of what stood in the trace before they came to it.
#[test]
fn a_wizard_is_told_of_what_came_behind_its_beginning() {
    let guide = Step::GuideProvisioningAgent(GuideProvisioningAgent {
        target: target(),
        tenant: tenant(),
        gmsa: None,
        preferred_dcs: Vec::new(),
        home_domain: target().home_domain().unwrap(),
        domains: Vec::new(),
        text: text(),
    });
    let mut one = server(
        Installed::Unregistered { version: NEWEST },
        &[Fault::RegistrationScriptsRefused],
    );
    one.write_trace(KE02);
    let waits = std::cell::Cell::new(0);
    let beside = |action: &Action, server: &mut Twin| {
        if let Action::Perform {
            op: Op::Wait { .. },
            ..
        } = action
        {
            waits.set(waits.get() + 1);
            match waits.get() {
                70 => server.write_trace(KE03),
                130 => server.set_faults(BTreeSet::new()),
                _ => {}
            }
        }
    };
    let steps = vec![guide];
    let (conclusion, journal, _) =
        drive_beside(steps, &mut one, None, "value", beside, |_, outcome| outcome);
    assert_eq!(conclusion.ending, Ending::Completed);
    let probed = journal.iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings),
        _ => None,
    });
    let told: Vec<&Finding> = probed.flatten().filter(|one| one.id == "WZ01").collect();
    assert!(
        told.iter().any(|one| one.fix.contains("KE03"))
            && !told.iter().any(|one| one.fix.contains("KE02")),
        "{told:?}"
    );
}

/// What Windows recorded before the step is of other work as well.
#[test]
fn what_was_recorded_before_the_step_explains_nothing_of_it() {
    let began = Timestamp::from_millis(1_790_000_000_000);
    let late = Outcome::Failed("PowerShell took longer than 1800 s and was ended".to_owned());
    for (minutes, told) in [(-120, None), (0, Some("KE03"))] {
        let mut one = unregistered();
        one.set_clock(Timestamp::from_millis(began.as_millis() + minutes * 60_000));
        one.record_error(KE03);
        one.set_clock(began);
        let failed = registers(&mut one, &late, &[]);
        assert_eq!(known(&failed), told, "{failed:?}");
    }
}

/// Cmdlets that are ended after their time ran: it is not said that they could not be run, and what the agent wrote says why.
#[test]
fn cmdlets_that_hang_are_looked_into() {
    let late = Outcome::Failed("PowerShell took longer than 1800 s and was ended".to_owned());
    for (writes, told) in [(&[][..], None), (&[KE03][..], Some("KE03"))] {
        let mut one = unregistered();
        one.write_trace(KE02);
        let failed = registers(&mut one, &late, writes);
        assert_eq!(known(&failed), told, "{failed:?}");
        assert!(
            failed
                .what
                .starts_with("the cmdlets were not run to their end: PowerShell took longer"),
            "{failed:?}"
        );
    }
}

fn installs(one: &mut Twin, ends: &Outcome, log: &[&str]) -> Failure {
    let install = Step::InstallProvisioningAgent(InstallProvisioningAgent {
        artifact: Digest::of(b"setup"),
        at_least: NEWEST,
        cloud: Cloud::Commercial,
        environment: None,
    });
    let answer = |op: &Op, outcome| match op {
        Op::Install { .. } => ends.clone(),
        Op::ReadLog {
            log: Log::ProvisioningAgentSetup,
            ..
        } => Outcome::Lines(log.iter().map(|line| (*line).to_owned()).collect()),
        _ => outcome,
    };
    let (_, journal, _) = drive_with(vec![install], one, None, "value", answer);
    failure(&journal)
}

#[test]
fn a_setup_that_does_not_end_or_leaves_nothing_is_looked_into() {
    let late = || Outcome::Failed("it has not ended within 2 hours: setup.exe (12)".to_owned());
    let shown = "Error: the Credential Manager service (VaultSvc) is disabled";
    for (ends, log, what, told) in [
        (
            late(),
            &["Burn", shown, "cleaning up"][..],
            "the setup was not run to its end: it has not ended within 2 hours",
            Some("KE05"),
        ),
        (late(), &["Burn"], "the setup was not run to its end", None),
        (
            Outcome::Exited { code: 0 },
            &["Burn", shown],
            "the setup said it succeeded, but the agent's executable is not there",
            Some("KE05"),
        ),
    ] {
        // The model puts the files down whatever is answered of it, but for a system that it refuses.
        let mut one = server(Installed::Nothing, &[Fault::SetupRefusesSystem]);
        let failed = installs(&mut one, &ends, log);
        assert!(failed.what.starts_with(what), "{failed:?}");
        assert_eq!(known(&failed), told, "{failed:?}");
        assert_eq!(
            failed.lines.first().map(String::as_str),
            told.map(|_| shown).or(Some("Burn")),
            "{failed:?}"
        );
    }
}

/// What could not be taken off is told with what its setup wrote.
#[test]
fn a_removal_that_does_not_end_is_looked_into() {
    let remove = Step::RemoveProvisioningAgent(RemoveProvisioningAgent { tenant: tenant() });
    let shown = "Error 1921: the service could not be stopped (model)";
    let mut one = serving(&[]);
    let answer = |op: &Op, outcome| match op {
        Op::Uninstall { .. } => {
            Outcome::Failed("it has not ended within 2 hours: msiexec.exe (12)".to_owned())
        }
        Op::Programs { .. } => Outcome::Programs(vec![agent_core::op::Program {
            id: "{00000000-0000-0000-0000-000000000001}".to_owned(),
            name: "Microsoft Entra Provisioning Agent Package".to_owned(),
            kind: agent_core::op::ProgramKind::Bundle,
        }]),
        Op::ReadLog {
            log: Log::ProvisioningAgentRemoval,
            ..
        } => Outcome::Lines(vec!["Burn".to_owned(), shown.to_owned()]),
        _ => outcome,
    };
    let (_, journal, _) = drive_with(vec![remove], &mut one, None, "value", answer);
    let failed = failure(&journal);
    assert!(
        failed.what.contains("still listed") && failed.what.contains("has not ended"),
        "{failed:?}"
    );
    assert!(failed.lines.iter().any(|line| line == shown), "{failed:?}");
}

/// An updater is a service of its own: what is wrong with the agent's says nothing of it.
#[test]
fn an_updater_that_does_not_start_is_not_explained_by_the_agents_service() {
    let start = Step::StartProvisioningAgent(StartProvisioningAgent { tenant: tenant() });
    let mut one = serving(&[Fault::LogonAsServiceRefused]);
    one.set_service(product::UPDATER_SERVICE, ServiceState::NotRunning);
    one.write_trace(KE02);
    let names = std::cell::RefCell::new(Vec::new());
    let answer = |op: &Op, outcome| match op {
        Op::RestartService { name } if name == product::UPDATER_SERVICE => {
            Outcome::Failed("it did not start within 180 s".to_owned())
        }
        Op::Script {
            script: Script::ReadErrors,
            input,
            ..
        } => {
            names.borrow_mut().push(input["names"].clone());
            outcome
        }
        _ => outcome,
    };
    let (_, journal, _) = drive_with(vec![start], &mut one, None, "value", answer);
    let failed = failure(&journal);
    assert!(
        failed
            .what
            .starts_with("AzureADConnectAgentUpdater does not start"),
        "{failed:?}"
    );
    assert_eq!(known(&failed), None, "{failed:?}");
    assert!(
        failed.findings.iter().all(|one| one.id != "PV04"),
        "{failed:?}"
    );
    assert_eq!(
        *names.borrow(),
        [json!([
            "AzureADConnectAgentUpdater",
            "AzureADConnectAgentUpdater.exe"
        ])]
    );
}
