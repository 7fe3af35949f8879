//! Connect's mode is changed by a person, and what a staging server would export is counted before.
#![expect(
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use agent_core::op::{Op, Outcome, Service};
use agent_core::run::{Action, Conclusion};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::Version;
use protocol::event::{Event, Finding, Verdict};
use protocol::facts::ServiceState;
use protocol::settings::{ConnectSettings, SettingsPart};
use protocol::signed::{Ending, StepEnding};
use protocol::step::{
    ConnectWork, ExportLimits, GuideConnect, ReviewConnectExports, Step, VerifyConnect,
};

use crate::common::{NEWEST, drive, drive_beside, drive_with, target, tenant, text};

pub(crate) fn server(staging: bool, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::Connect {
            version: NEWEST,
            staging,
        },
        person: Some(tenant()),
        faults: faults.iter().copied().collect(),
    })
}

fn review() -> Step {
    Step::ReviewConnectExports(ReviewConnectExports {
        limits: ExportLimits {
            add: 1,
            update: 5,
            delete: 0,
        },
        max_age_minutes: 120,
        overridden: None,
    })
}

fn switch(work: ConnectWork) -> Vec<Step> {
    let mut steps = vec![
        Step::GuideConnect(GuideConnect {
            work,
            at_least: Version::new(1, 0, 0, 0),
            text: text(),
            release: None,
        }),
        Step::VerifyConnect(VerifyConnect {
            at_least: NEWEST,
            staging: Some(work.staging()),
            forests: Vec::new(),
            password_sync: false,
            soaked_seconds: None,
        }),
    ];
    if !work.staging() {
        steps.insert(0, review());
    }
    steps
}

/// The person reads the task that a step opens.
fn done(
    steps: Vec<Step>,
    server: &mut Twin,
    cut: Option<usize>,
) -> (Conclusion, Vec<Event>, usize) {
    let all = steps.clone();
    let reads = move |action: &Action, twin: &mut Twin| {
        if let Action::Journal(Event::StepBegun { step, .. }) = action {
            twin.asked(&all[usize::from(step.0)]);
        }
    };
    drive_beside(steps, server, cut, "value", reads, |_, outcome| outcome)
}

fn failed(conclusion: &Conclusion) -> &str {
    match &conclusion.ending {
        Ending::Failed(why) => why,
        other => panic!("not failed: {other:?}"),
    }
}

const WAYS: [(ConnectWork, bool); 2] = [
    (ConnectWork::SwitchToStaging, false),
    (ConnectWork::SwitchToActive, true),
];

#[test]
fn a_person_switches_the_mode_and_the_scheduler_shows_it() {
    for (work, staging) in WAYS {
        let mut one = server(staging, &[]);
        let steps = switch(work);
        let guided = steps.len() - 2;
        let (conclusion, journal, _) = done(steps.clone(), &mut one, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{work:?}");
        assert_eq!(conclusion.steps[guided].ending, StepEnding::SeenDone);
        assert_eq!(one.staging(), Some(!staging));
        let opened = journal.iter();
        let opened = opened.filter(|event| matches!(event, Event::TaskOpened { .. }));
        assert_eq!(opened.count(), 1);
        // Where the mode is so already, nobody is asked.
        let again = steps[guided..].to_vec();
        let (conclusion, journal, _) = done(again, &mut one, None);
        assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
        assert!(
            !journal
                .iter()
                .any(|event| matches!(event, Event::TaskOpened { .. }))
        );
    }
}

#[test]
fn a_cut_in_a_switch_ends_as_without_it() {
    for (work, staging) in WAYS {
        let mut whole = server(staging, &[]);
        let (_, _, actions) = done(switch(work), &mut whole, None);
        for cut in 0..actions {
            let mut one = server(staging, &[]);
            let (after, ..) = done(switch(work), &mut one, Some(cut));
            assert_eq!(after.ending, Ending::Completed, "{work:?}, cut at {cut}");
            assert_eq!(one.changes, whole.changes, "{work:?}, cut at {cut}");
        }
    }
}

#[test]
fn what_a_staging_server_would_export_stops_it_where_it_is_too_much_too_old_or_not_told() {
    for (fault, id, says) in [
        (Fault::DeletionsPending, "PV31", "7 to delete"),
        (Fault::ExportsUnreadable, "PV31", "csexport"),
        (Fault::FullSyncDue, "PV30", "due for corp"),
        (Fault::NextCycleFull, "PV30", "the next cycle is a full one"),
        (Fault::CycleOverdue, "SW01", "630 minutes ago"),
        (Fault::SchedulerSuspended, "SW01", "suspended"),
    ] {
        let mut one = server(true, &[fault]);
        let (conclusion, journal, _) = done(switch(ConnectWork::SwitchToActive), &mut one, None);
        let why = failed(&conclusion);
        let failure = journal.iter().find_map(|event| match event {
            Event::StepFailed { failure, .. } => Some(format!("{failure:?}")),
            _ => None,
        });
        let failure = failure.unwrap();
        assert!(
            failure.contains(id) && failure.contains(says),
            "{fault:?}: {failure}"
        );
        assert!(!why.is_empty());
        assert!(one.changes.is_empty(), "{fault:?}: {:?}", one.changes);
        assert_eq!(one.staging(), Some(true), "{fault:?}");
    }
}

#[test]
fn nothing_is_counted_while_a_cycle_runs() {
    let mut one = server(true, &[]);
    one.run_cycle(2);
    let (conclusion, ..) = drive(vec![review()], &mut one, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(
        conclusion.steps[0].summary,
        "1 to add, 5 to update, 0 to delete, over 2 connectors"
    );
}

/// What a run told of the server's settings, and the finding beside it.
fn told(journal: &[Event]) -> (ConnectSettings, Finding) {
    let settings = journal.iter().find_map(|event| match event {
        Event::ConnectSettingsRead { settings, .. } => Some((**settings).clone()),
        _ => None,
    });
    let findings = journal.iter().find_map(|event| match event {
        Event::Probed { findings, .. } => findings.first().cloned(),
        _ => None,
    });
    (
        settings.expect("settings were told"),
        findings.expect("a finding was told"),
    )
}

#[test]
fn settings_are_read_in_either_mode_and_nothing_is_changed() {
    let read = |staging, faults: &[Fault]| {
        let mut one = server(staging, faults);
        let (conclusion, journal, _) = drive(vec![Step::ReadConnectSettings], &mut one, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{faults:?}");
        assert!(one.changes.is_empty());
        (told(&journal), conclusion.steps[0].summary.clone())
    };
    let ((active, finding), summary) = read(false, &[]);
    assert_eq!(
        (finding.id.as_str(), finding.verdict),
        ("PV32", Verdict::Pass)
    );
    assert!(active.unread.is_empty() && !active.settings.is_empty());
    assert!(summary.contains("settings, digest"), "{summary}");
    let ((staging, _), _) = read(true, &[]);
    assert_eq!(active, staging, "the mode is no setting");
    let ((other, _), _) = read(true, &[Fault::SettingsDiffer]);
    assert_ne!(active.digest, other.digest);
    let only: Vec<&str> = other
        .settings
        .iter()
        .filter(|one| !active.settings.contains(one))
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(
        only,
        [
            "container OU=Trainees,DC=corp,DC=contoso,DC=com of corp of corp",
            "inbound rule \"In from AD - Sales\" of corp, scope",
        ]
    );
    let ((off, _), _) = read(true, &[Fault::PasswordSyncOff]);
    assert_ne!(active.digest, off.digest);
}

/// The step completes: whoever compares does not take for equal what could not be read.
#[test]
fn what_cannot_be_read_of_the_settings_is_told_as_that() {
    // The module of an engine that is fenced does not answer.
    let mut fenced = server(true, &[]);
    drive(vec![Step::FenceConnect], &mut fenced, None);
    for (mut one, parts) in [
        (
            server(true, &[Fault::SettingsUnreadable]),
            &[SettingsPart::Rules][..],
        ),
        (fenced, &SettingsPart::ALL),
    ] {
        let (conclusion, journal, _) = drive(vec![Step::ReadConnectSettings], &mut one, None);
        assert_eq!(conclusion.ending, Ending::Completed);
        let (settings, finding) = told(&journal);
        let unread: Vec<_> = settings.unread.iter().map(|one| one.part).collect();
        assert_eq!(unread, parts, "{settings:?}");
        assert_eq!(finding.verdict, Verdict::CannotTell);
        assert!(!finding.blocks(), "the controller holds");
        assert!(finding.read.contains("not readable"), "{}", finding.read);
    }
}

#[test]
fn a_cut_while_settings_are_read_reads_them_again() {
    let steps = || vec![Step::ReadConnectSettings];
    let (_, whole, actions) = drive(steps(), &mut server(true, &[]), None);
    for cut in 0..actions {
        let mut one = server(true, &[]);
        let (after, journal, _) = drive(steps(), &mut one, Some(cut));
        assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
        assert_eq!(told(&journal).0, told(&whole).0, "cut at {cut}");
        assert!(one.changes.is_empty());
    }
}

#[test]
fn the_active_server_has_nothing_pending_to_be_counted() {
    let mut one = server(false, &[Fault::DeletionsPending]);
    let (conclusion, ..) = drive(vec![review()], &mut one, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(conclusion.steps[0].summary.contains("active already"));
}

#[test]
fn an_open_wizard_on_a_server_that_must_stay_staging_stops_its_verification() {
    for (staging, stops) in [(Some(true), true), (None, false)] {
        let verify = Step::VerifyConnect(VerifyConnect {
            at_least: NEWEST,
            staging,
            forests: Vec::new(),
            password_sync: false,
            soaked_seconds: None,
        });
        let mut one = server(true, &[Fault::SchedulerSuspended]);
        let (conclusion, ..) = drive(vec![verify], &mut one, None);
        assert_eq!(conclusion.ending != Ending::Completed, stops, "{staging:?}");
    }
}

/// A server that was said to be off is back: its engine is stopped and kept from running, once.
#[test]
fn a_fence_stops_and_disables_the_engine_whatever_is_cut() {
    let mut whole = server(false, &[]);
    let fence = vec![Step::FenceConnect, Step::ReportFacts];
    let (conclusion, _, actions) = drive(fence.clone(), &mut whole, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(!whole.exports());
    assert_eq!(whole.changes, ["disable ADSync"]);
    for cut in 0..actions {
        let mut one = server(false, &[]);
        let (after, ..) = drive(fence.clone(), &mut one, Some(cut));
        assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
        assert_eq!(one.changes, whole.changes, "cut at {cut}");
    }
    // What its agent reports then counts as no active server.
    let (again, journal, _) = drive(fence, &mut whole, None);
    assert_eq!(again.steps[0].ending, StepEnding::AlreadySo);
    let told = journal.iter().find_map(|event| match event {
        Event::FactsReported(facts) => facts.connect.clone(),
        _ => None,
    });
    let told = told.unwrap();
    assert!(told.is_fenced());
    assert_eq!((told.staging, told.mode()), (None, Some(true)));
}

#[test]
fn an_engine_that_does_not_stop_is_told_and_not_taken_for_fenced() {
    let mut one = server(false, &[]);
    let (conclusion, ..) = drive_with(
        vec![Step::FenceConnect],
        &mut one,
        None,
        "value",
        |op, outcome| match op {
            // Told to stop and kept from being started, and still stopping.
            Op::Service { .. } => Outcome::Service(Some(Service {
                state: ServiceState::NotRunning,
                account: "NT SERVICE\\ADSync".to_owned(),
                automatic: false,
            })),
            _ => outcome,
        },
    );
    assert!(failed(&conclusion).contains("still runs"));
}
