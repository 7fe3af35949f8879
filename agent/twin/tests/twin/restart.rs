//! A restart of Windows where it waits for one: by the agent and by a person, with each fault, and with every cut.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use agent_core::op::{Op, Outcome, RegistryValue};
use agent_core::procedure::Host;
use agent_core::run::{Action, Run};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, Section};
use protocol::signed::{Ending, Manifest, StepEnding, Verified, verify};
use protocol::step::{RestartBy, RestartServer, Step};

use crate::common::{
    NEWEST, NOW, drive, drive_beside, drive_with, leave, manifest, target, tenant, text,
};

const ONCE: &str = "restart Windows";

fn by(by: RestartBy) -> Vec<Step> {
    vec![Step::RestartServer(RestartServer { by })]
}

/// A server with an agent that serves, and a person who comes.
fn server(faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::ProvisioningAgent {
            version: NEWEST,
            tenant: tenant(),
        },
        person: Some(tenant()),
        faults: faults.iter().copied().collect(),
    })
}

fn restarts(server: &Twin) -> usize {
    let changes = server.changes.iter();
    changes.filter(|change| *change == ONCE).count()
}

fn sections(journal: &[Event]) -> Vec<&Section> {
    let entered = journal.iter().filter_map(|event| match event {
        Event::SectionEntered { section, .. } => Some(section),
        _ => None,
    });
    entered.collect()
}

/// Every section that was entered was left before its step ended: others may go out again, whatever the agent lived through.
fn is_left(journal: &[Event]) -> bool {
    let mut open = false;
    let mut ends = true;
    for event in journal {
        match event {
            Event::SectionEntered { .. } => open = true,
            Event::SectionLeft { .. } => open = false,
            Event::StepCompleted { .. } | Event::StepFailed { .. } => ends &= !open,
            _ => {}
        }
    }
    ends && !open
}

fn why(ending: &Ending) -> &str {
    match ending {
        Ending::Failed(why) => why,
        other => panic!("it did not fail: {other:?}"),
    }
}

#[test]
fn a_server_that_waits_for_nothing_is_left_alone() {
    for who in [RestartBy::Agent, RestartBy::Person(text())] {
        let mut server = server(&[]);
        let (conclusion, journal, _) = drive(by(who), &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed);
        assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
        assert!(sections(&journal).is_empty() && server.changes.is_empty());
    }
}

#[test]
fn the_agent_restarts_windows_once_out_of_service_and_sees_that_it_waits_no_more() {
    let mut server = server(&[Fault::RebootPending]);
    let (conclusion, journal, _) = drive(by(RestartBy::Agent), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(conclusion.steps[0].ending, StepEnding::Applied);
    assert_eq!(restarts(&server), 1);
    let sections = sections(&journal);
    assert!(
        matches!(sections.as_slice(), [section] if section.outage),
        "{sections:?}"
    );
    assert!(is_left(&journal), "{journal:?}");
    // An agent that does not serve is missed by nobody.
    let mut idle = server_that_is_stopped();
    let (_, journal, _) = drive(by(RestartBy::Agent), &mut idle, None);
    assert!(matches!(self::sections(&journal).as_slice(), [section] if !section.outage));
    assert_eq!(restarts(&idle), 1);
}

fn server_that_is_stopped() -> Twin {
    server(&[Fault::RebootPending, Fault::ServiceStopped])
}

/// The agent ends with Windows: wherever that is, and wherever it is killed besides, Windows is restarted once.
#[test]
fn whatever_cuts_it_off_windows_is_restarted_once() {
    let (.., actions) = drive(
        by(RestartBy::Agent),
        &mut server(&[Fault::RebootPending]),
        None,
    );
    for cut in 0..actions {
        let mut server = server(&[Fault::RebootPending]);
        let (conclusion, journal, _) = drive(by(RestartBy::Agent), &mut server, Some(cut));
        assert_eq!(conclusion.ending, Ending::Completed, "cut before {cut}");
        assert_eq!(restarts(&server), 1, "cut before {cut}");
        assert!(is_left(&journal), "cut before {cut}: {journal:?}");
    }
}

#[test]
fn what_asks_for_a_restart_again_is_a_persons_to_look_at_and_no_circle() {
    let faults = [Fault::RebootPending, Fault::RestartPendingAgain];
    let (.., actions) = drive(by(RestartBy::Agent), &mut server(&faults), None);
    for cut in (0..actions).map(Some).chain([None]) {
        let mut server = server(&faults);
        let (conclusion, journal, _) = drive(by(RestartBy::Agent), &mut server, cut);
        let said = why(&conclusion.ending);
        assert!(
            said.contains("waits for a restart again") && said.contains("RebootPending"),
            "{said}"
        );
        assert!(is_left(&journal), "cut before {cut:?}: {journal:?}");
        assert_eq!(restarts(&server), 1, "cut before {cut:?}");
        // Once that was ended, a retry is free to restart it.
        server.set_faults([Fault::RebootPending].into());
        let (conclusion, ..) = drive(by(RestartBy::Agent), &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed, "cut before {cut:?}");
        assert_eq!(restarts(&server), 2, "cut before {cut:?}");
    }
}

#[test]
fn a_restart_that_windows_refuses_fails_with_its_reason_and_a_retry_tries_again() {
    let mut server = server(&[Fault::RebootPending, Fault::RestartRefused]);
    let (conclusion, ..) = drive(by(RestartBy::Agent), &mut server, None);
    let said = why(&conclusion.ending);
    assert!(said.contains("access is denied"), "{said}");
    assert_eq!(restarts(&server), 0);
    server.set_faults([Fault::RebootPending].into());
    let (conclusion, ..) = drive(by(RestartBy::Agent), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(restarts(&server), 1);
}

#[test]
fn a_person_restarts_it_after_leave_and_the_end_is_seen() {
    let steps = by(RestartBy::Person(text()));
    let mut server = server(&[Fault::RebootPending]);
    server.asked(&steps[0]);
    let (conclusion, journal, _) = drive(steps, &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(conclusion.steps[0].ending, StepEnding::SeenDone);
    let place = |test: fn(&Event) -> bool| journal.iter().position(test).unwrap();
    let leave = place(|event| matches!(event, Event::SectionEntered { .. }));
    let task = place(|event| matches!(event, Event::TaskOpened { .. }));
    assert!(leave < task, "nobody is asked before others serve");
    assert_eq!(restarts(&server), 0);
    assert!(
        server
            .changes
            .contains(&"restart Windows by hand".to_owned())
    );
}

/// An aborted rollout's note may be there still: the next run knows that it has ordered nothing itself, wherever it is cut off.
#[test]
fn a_note_of_an_earlier_run_says_nothing_of_this_one() {
    let left_over = |faults: &[Fault]| {
        let mut server = server(faults);
        let note = Op::SetRegistry {
            key: agent_core::product::OWED_KEY.to_owned(),
            value: agent_core::product::OWED_WINDOWS.to_owned(),
            data: RegistryValue::Number(7),
        };
        server.perform(&note, &BTreeMap::new());
        server
    };
    let pending = [Fault::RebootPending];
    let (.., actions) = drive(by(RestartBy::Agent), &mut left_over(&pending), None);
    for cut in (0..actions).map(Some).chain([None]) {
        let mut server = left_over(&pending);
        let (conclusion, ..) = drive(by(RestartBy::Agent), &mut server, cut);
        assert_eq!(conclusion.ending, Ending::Completed, "cut before {cut:?}");
        assert_eq!(restarts(&server), 1, "cut before {cut:?}");
        let mut quiet = left_over(&[]);
        let (conclusion, ..) = drive(by(RestartBy::Agent), &mut quiet, cut);
        assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
        assert_eq!(restarts(&quiet), 0);
    }
}

/// It waits for a site's window while its service is started again: then leave has to be for an outage.
#[test]
fn who_serves_by_the_time_that_leave_comes_asks_for_an_outage() {
    let mut server = server_that_is_stopped();
    let starts = |action: &Action, server: &mut Twin| {
        if let Action::AskPermit { .. } = action {
            server.set_faults([Fault::RebootPending].into());
        }
    };
    let steps = by(RestartBy::Agent);
    let (conclusion, journal, _) =
        drive_beside(steps, &mut server, None, "", starts, |_, outcome| outcome);
    assert_eq!(conclusion.ending, Ending::Completed);
    let outages: Vec<bool> = sections(&journal)
        .iter()
        .map(|section| section.outage)
        .collect();
    assert_eq!(outages, [false, true]);
    assert!(is_left(&journal) && restarts(&server) == 1);
}

/// Whoever waits for a person to restart Windows ends when the rollout is aborted, though it holds leave for an outage.
#[test]
fn an_abort_ends_the_wait_for_a_person() {
    let (bytes, role) = manifest(by(RestartBy::Person(text())));
    let verified: Verified<Manifest> = verify(&bytes, &role).unwrap();
    let host = Host::model("0");
    let mut server = server(&[Fault::RebootPending]);
    server.asked(&by(RestartBy::Agent)[0]);
    let mut run = Run::new(verified, host, &[], NOW);
    let mut inside = false;
    for _ in 0..200 {
        match run.poll_action().expect("it has something to do") {
            Action::Perform {
                op: Op::Wait { .. },
                ..
            } => run.abort(NOW),
            Action::Perform { number, op } => {
                let (outcome, _) = server.perform(&op, &BTreeMap::new());
                run.handle_outcome(number, outcome, NOW);
            }
            Action::AskPermit { step, attempt, .. } => {
                run.handle_permit(step, attempt, leave(None), NOW)
            }
            Action::Journal(event) => inside |= matches!(event, Event::SectionEntered { .. }),
            Action::AskSecret { .. } => panic!("no secret is needed"),
            Action::Finish(conclusion) => {
                assert!(inside && conclusion.ending == Ending::Aborted);
                return;
            }
        }
    }
    panic!("it does not end");
}

/// What cannot be read is neither a restart that is waited for nor none.
#[test]
fn a_registry_that_cannot_be_read_is_a_question() {
    let mut server = server(&[Fault::RebootPending]);
    let steps = by(RestartBy::Agent);
    let (conclusion, ..) = drive_with(steps, &mut server, None, "", |op, outcome| match op {
        Op::RegistryKey { .. } => Outcome::Failed("access is denied (5)".to_owned()),
        _ => outcome,
    });
    assert!(
        matches!(&conclusion.ending, Ending::Inconclusive(why) if why.contains("could not be read")),
        "{conclusion:?}"
    );
    assert_eq!(restarts(&server), 0);
}
