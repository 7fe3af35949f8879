//! Connect is taken off by a person at its wizard; who else depends on the server is asked before.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use agent_core::op::{Op, Outcome, Program, ProgramKind};
use agent_core::product;
use agent_core::run::{Action, Conclusion};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, Finding, Verdict};
use protocol::signed::{Ending, StepEnding};
use protocol::step::{GuideConnectRemoval, Step};
use protocol::task::TaskText;

use crate::common::{
    NEWEST, drive, drive_beside, drive_until_attested, drive_with, target, tenant, text,
};

fn server(faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::Connect {
            version: NEWEST,
            staging: true,
        },
        person: Some(tenant()),
        faults: faults.iter().copied().collect(),
    })
}

fn steps() -> Vec<Step> {
    let pass_through = TaskText {
        title: "not the last one".to_owned(),
        ..text()
    };
    vec![
        Step::GuideConnectRemoval(GuideConnectRemoval {
            text: text(),
            pass_through,
        }),
        Step::VerifyConnectRemoved,
    ]
}

/// The person reads the task that a step opens.
fn done(
    server: &mut Twin,
    cut: Option<usize>,
    instead: impl Fn(&Op, Outcome) -> Outcome,
) -> (Conclusion, Vec<Event>, usize) {
    let all = steps();
    let reads = move |action: &Action, twin: &mut Twin| {
        if let Action::Journal(Event::StepBegun { step, .. }) = action {
            twin.asked(&all[usize::from(step.0)]);
        }
    };
    drive_beside(steps(), server, cut, "value", reads, instead)
}

fn tasks(journal: &[Event]) -> Vec<String> {
    let opened = journal.iter().filter_map(|event| match event {
        Event::TaskOpened { text, .. } => Some(text.title.clone()),
        _ => None,
    });
    opened.collect()
}

fn verdict(journal: &[Event], id: &str) -> Option<Verdict> {
    let of = |finding: &Finding| (finding.id == id).then_some(finding.verdict);
    journal.iter().find_map(|event| match event {
        Event::Probed { findings, .. } => findings.iter().find_map(of),
        _ => None,
    })
}

#[test]
fn a_person_removes_it_and_the_probes_see_that_it_is_gone() {
    let mut one = server(&[]);
    let (conclusion, journal, _) = done(&mut one, None, |_, outcome| outcome);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(conclusion.steps[0].ending, StepEnding::SeenDone);
    assert_eq!(one.staging(), None);
    assert_eq!(tasks(&journal), ["wizard"]);
    assert_eq!(verdict(&journal, "CR01"), Some(Verdict::Pass));
    assert_eq!(verdict(&journal, "CR07"), Some(Verdict::CannotTell));
    let (conclusion, journal, _) = done(&mut one, None, |_, outcome| outcome);
    assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
    assert!(tasks(&journal).is_empty(), "nobody is asked twice");
}

/// Engine and service may be gone while the wizard still takes off the rest.
#[test]
fn a_removal_that_is_not_through_yet_is_waited_for() {
    let mut one = server(&[]);
    let looks = std::cell::Cell::new(0);
    let instead = |op: &Op, outcome: Outcome| match (op, outcome) {
        (Op::Programs { .. }, Outcome::Programs(programs)) if programs.is_empty() => {
            looks.set(looks.get() + 1);
            let listed = Program {
                id: "{C1}".to_owned(),
                name: product::CONNECT_PROGRAMS[0].to_owned(),
                kind: ProgramKind::Package,
            };
            Outcome::Programs(if looks.get() < 6 {
                vec![listed]
            } else {
                programs
            })
        }
        (_, outcome) => outcome,
    };
    let (conclusion, journal, _) = done(&mut one, None, instead);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(conclusion.steps[0].ending, StepEnding::SeenDone);
    assert_eq!(verdict(&journal, "CR01"), Some(Verdict::Pass));
}

#[test]
fn where_people_sign_in_through_the_server_a_named_person_says_first_that_another_one_does() {
    let mut one = server(&[Fault::PassThroughAgent]);
    let waits = std::cell::Cell::new(0);
    let instead = |op: &Op, outcome: Outcome| match (op, outcome) {
        // In the first pause somebody says it.
        (Op::Wait { .. }, outcome) => {
            waits.set(waits.get() + 1);
            outcome
        }
        (_, outcome) => outcome,
    };
    // Without a word nothing goes on: the wizard's pages are not even shown.
    let all = steps();
    let shown = std::cell::RefCell::new(Vec::new());
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drive_beside(
            all,
            &mut one,
            None,
            "value",
            |action, _| {
                if let Action::Journal(Event::TaskOpened { text, .. }) = action {
                    shown.borrow_mut().push(text.title.clone());
                }
            },
            instead,
        )
    }));
    assert!(result.is_err(), "the run does not end by itself");
    assert_eq!(shown.into_inner(), ["not the last one"]);
    assert!(one.changes.is_empty() && waits.get() > 100);
    // Or that agent is gone as well: then nobody depends on it.
    let looks = std::cell::Cell::new(0);
    let taken_off = |op: &Op, outcome: Outcome| match op {
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
    let mut one = server(&[Fault::PassThroughAgent]);
    let (conclusion, journal, _) = done(&mut one, None, taken_off);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(tasks(&journal), ["not the last one", "wizard"]);
}

#[test]
fn what_is_still_there_afterwards_fails_with_its_probe() {
    let mut one = server(&[Fault::ConnectListed]);
    let (conclusion, journal, _) = done(&mut one, None, |_, outcome| outcome);
    assert!(matches!(conclusion.ending, Ending::Failed(ref why) if why.contains("CR01")));
    assert_eq!(verdict(&journal, "CR01"), Some(Verdict::Fail));
    // Each other probe fails where what it looks for is there.
    let engine = format!(r"{}\{}", product::CONNECT_BIN, product::CONNECT_PROGRAM);
    for (path, id) in [(engine.as_str(), "CR03"), (product::CONNECT_DATA, "CR04")] {
        let mut one = server(&[]);
        done(&mut one, None, |_, outcome| outcome);
        let there = |op: &Op, outcome: Outcome| match op {
            Op::PathExists { path: of } if of == path => Outcome::Exists(true),
            _ => outcome,
        };
        let verify = vec![Step::VerifyConnectRemoved];
        let (_, journal, _) = drive_with(verify, &mut one, None, "value", there);
        assert_eq!(verdict(&journal, id), Some(Verdict::Fail), "{id}");
    }
    let mut there = server(&[Fault::PassThroughAgent]);
    let (conclusion, journal, _) = drive(vec![Step::VerifyConnectRemoved], &mut there, None);
    assert!(matches!(conclusion.ending, Ending::Failed(_)));
    for id in ["CR01", "CR02", "CR05"] {
        assert_eq!(verdict(&journal, id), Some(Verdict::Fail), "{id}");
    }
}

/// Where somebody chose the folder, the service alone tells it, and goes with the removal: it is noted before, so that what is left
/// there is seen whenever the agent was cut off, and however often it is verified.
#[test]
fn an_engine_in_a_folder_that_somebody_chose_is_looked_for_there() {
    const LEFT: &str = r"D:\Connect\Bin\miiserver.exe";
    let elsewhere = || server(&[Fault::EngineElsewhere]);
    let word = |twin: &mut Twin, cut| {
        let all = steps();
        let reads = move |action: &Action, twin: &mut Twin| {
            if let Action::Journal(Event::StepBegun { step, .. }) = action {
                twin.asked(&all[usize::from(step.0)]);
            }
        };
        drive_until_attested(steps(), twin, cut, reads)
    };
    let (_, journal, actions) = word(&mut elsewhere(), None);
    assert_eq!(verdict(&journal, "CR03"), Some(Verdict::Fail));
    for cut in 0..actions {
        let mut one = elsewhere();
        let (conclusion, journal, _) = word(&mut one, Some(cut));
        assert!(
            matches!(conclusion.ending, Ending::Failed(ref why) if why.contains("CR03")),
            "cut {cut}: {conclusion:?}"
        );
        let read = journal.iter().find_map(|event| match event {
            Event::Probed { findings, .. } => findings.iter().find(|finding| finding.id == "CR03"),
            _ => None,
        });
        assert_eq!(read.unwrap().read, LEFT, "cut {cut}");
        // Somebody clears it away; whoever verifies looks there all the same.
        one.lose_file(LEFT);
        let verify = || vec![Step::VerifyConnectRemoved];
        let (conclusion, ..) = drive(verify(), &mut one, None);
        assert_eq!(conclusion.ending, Ending::Completed, "cut {cut}");
        assert_eq!(
            one.changes,
            ["owes FolderOfConnectEngine", "wizard of Connect: remove"],
            "cut {cut}"
        );
    }
}

#[test]
fn a_cut_in_the_removal_ends_as_without_it() {
    let (_, _, actions) = done(&mut server(&[]), None, |_, outcome| outcome);
    for cut in 0..actions {
        let mut one = server(&[]);
        let (conclusion, ..) = done(&mut one, Some(cut), |_, outcome| outcome);
        assert_eq!(conclusion.ending, Ending::Completed, "cut {cut}");
        assert_eq!(
            one.changes,
            ["owes FolderOfConnectEngine", "wizard of Connect: remove"],
            "cut {cut}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_a_question() {
    for name in [product::CONNECT_SERVICE, product::PASS_THROUGH_SERVICE] {
        let mut one = server(&[]);
        let unread = |op: &Op, outcome: Outcome| match op {
            Op::Service { name: of } if of == name => Outcome::Failed("denied".to_owned()),
            _ => outcome,
        };
        let (conclusion, journal, _) = done(&mut one, None, unread);
        assert!(
            matches!(conclusion.ending, Ending::Inconclusive(_)),
            "{name}"
        );
        assert!(tasks(&journal).is_empty() && one.changes.is_empty());
    }
}
