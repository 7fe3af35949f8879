//! A full import and synchronization behind the work at Connect's wizard is waited for: nobody is asked while it goes on, and whoever is
//! asked need not answer for it to go on.
#![expect(
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use agent_core::op::{Op, Outcome};
use agent_core::procedure::{Host, Next, Procedure, Want};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::Digest;
use protocol::event::{Completion, Event, Finding, Severity, Verdict};
use protocol::signed::{Ending, StepEnding};
use protocol::step::{AwaitFullSync, ConnectWork, GuideConnect, StageConnect, Step};
use serde_json::json;

use crate::common::{CONNECT, drive, text};
use crate::switch::server;

const A_DAY: u32 = 24 * 60;

fn step(within_minutes: u32) -> Step {
    Step::AwaitFullSync(AwaitFullSync {
        within_minutes,
        text: text(),
    })
}

/// How a wait went.
struct Went {
    completion: Completion,
    summary: String,
    /// What was told of it, and whether it stopped anything.
    told: Vec<(Verdict, String)>,
    /// What people were asked, by the first page.
    asked: Vec<String>,
    /// Minutes that went by until then, and in all.
    asked_after: Option<u64>,
    minutes: u64,
}

/// Drives the step; `says` tells what a look at the scheduler finds, by its number, and `attests` whether a person answers.
fn wait(
    twin: &mut Twin,
    step: &Step,
    attests: bool,
    mut says: impl FnMut(u32, &mut Twin, Outcome) -> Outcome,
) -> Went {
    let mut went = Went {
        completion: Completion::AlreadySo,
        summary: String::new(),
        told: Vec::new(),
        asked: Vec::new(),
        asked_after: None,
        minutes: 0,
    };
    let (host, mut run, mut looks, mut seconds) = (Host::model("0"), Procedure::new(false), 0, 0);
    for _ in 0..10_000 {
        let want = match run.next(step, &[], &host) {
            Next::Complete(complete) => {
                went.completion = complete.completion;
                went.summary = complete.summary;
                went.minutes = seconds / 60;
                return went;
            }
            Next::Want(want) => want,
            other => panic!("it neither waits nor ends: {other:?}"),
        };
        match want {
            Want::Op(op) => {
                let (outcome, _) = twin.perform(&op, &BTreeMap::new());
                if let Op::Wait { time } = &op {
                    seconds += time.as_secs();
                }
                let is_look = matches!(op, Op::Script { .. });
                looks += u32::from(is_look);
                run.add(if is_look {
                    says(looks, twin, outcome)
                } else {
                    outcome
                });
            }
            Want::Findings(findings) => {
                let read = |one: &Finding| {
                    assert!(
                        one.id == "WZ03" && one.severity == Severity::Warn,
                        "{one:?}"
                    );
                    (one.verdict, one.read.clone())
                };
                went.told.extend(findings.iter().map(read));
                run.add(Outcome::Done);
            }
            Want::Task(text) => {
                went.asked.push(text.pages[0].lines.join("; "));
                went.asked_after.get_or_insert(seconds / 60);
                run.add(Outcome::Done);
                if attests {
                    run.attest("anna".to_owned());
                }
            }
            other => panic!("it wants {other:?}"),
        }
    }
    panic!("it does not end: {:?}", went.told);
}

fn as_it_is(_: u32, _: &mut Twin, outcome: Outcome) -> Outcome {
    outcome
}

fn due(full: &[&str], (initial, running, enabled): (bool, bool, bool)) -> Outcome {
    due_at_a_wizard(false, full, (initial, running, enabled))
}

/// The same, where a wizard is open or not: an open one keeps the scheduler suspended.
fn due_at_a_wizard(
    open: bool,
    full: &[&str],
    (initial, running, enabled): (bool, bool, bool),
) -> Outcome {
    Outcome::Script {
        lines: vec![json!({
            "stagingModeEnabled": true, "syncCycleEnabled": enabled, "schedulerSuspended": open,
            "full": full, "initial": initial, "running": running,
        })],
    }
}

#[test]
fn where_nothing_is_due_and_nothing_runs_nobody_waits() {
    let went = wait(&mut server(true, &[]), &step(A_DAY), false, as_it_is);
    assert_eq!(went.completion, Completion::AlreadySo);
    assert_eq!(
        went.told,
        [(Verdict::Pass, "none is due, and none runs".to_owned())]
    );
    assert!(
        went.asked.is_empty() && went.minutes < 2,
        "{}",
        went.minutes
    );
}

#[test]
fn one_that_goes_on_is_waited_for_with_a_line_that_says_so_and_nobody_is_asked() {
    // It is due, then a run of it is under way, then the next one; between two runs there is a moment with none.
    let course = |look: u32, _: &mut Twin, _: Outcome| match look {
        1..=20 => due(&["full synchronization of corp"], (false, false, true)),
        21..=40 => due(&[], (false, true, true)),
        41 => due(&[], (false, false, true)),
        42..=60 => due(&[], (false, true, true)),
        _ => due(&[], (false, false, true)),
    };
    let went = wait(&mut server(true, &[]), &step(A_DAY), false, course);
    assert_eq!(went.completion, Completion::AlreadySo);
    assert!(went.asked.is_empty());
    assert!(went.minutes >= 4 * 60, "{}", went.minutes);
    let words: Vec<&str> = went.told.iter().map(|(_, read)| read.as_str()).collect();
    assert_eq!(
        words,
        [
            "full synchronization of corp: waited for",
            "none is due any more, and none runs"
        ]
    );
    assert!(
        went.summary.contains("waited for, and over"),
        "{}",
        went.summary
    );
    // A cycle that is to be a full one is due as well.
    let first = |look: u32, _: &mut Twin, _: Outcome| due(&[], (look < 5, false, true));
    let went = wait(&mut server(true, &[]), &step(A_DAY), false, first);
    assert!(
        went.told[0].1.contains("the next cycle is a full one"),
        "{:?}",
        went.told
    );
}

#[test]
fn whoever_is_asked_is_told_why_and_it_goes_on_by_itself_all_the_same() {
    type Says = fn(u32) -> Outcome;
    let cases: [(u32, Says, &str, u64, Verdict); 4] = [
        // It takes longer than it may.
        (
            A_DAY,
            |look| {
                due(
                    if look < 400 {
                        &["full import of corp"]
                    } else {
                        &[]
                    },
                    (false, false, true),
                )
            },
            "full import of corp: not over after 24 hours",
            A_DAY.into(),
            Verdict::Fail,
        ),
        // No cycle does it.
        (
            A_DAY,
            |look| {
                due(
                    if look < 40 {
                        &["full import of corp"]
                    } else {
                        &[]
                    },
                    (false, false, false),
                )
            },
            "the cycle is off, so nothing does it",
            0,
            Verdict::Fail,
        ),
        // Somebody switches the cycle off while it is waited for.
        (
            A_DAY,
            |look| {
                due(
                    if look < 40 {
                        &["full import of corp"]
                    } else {
                        &[]
                    },
                    (false, false, look < 13),
                )
            },
            "the cycle is off, so nothing does it",
            50,
            Verdict::Fail,
        ),
        // It cannot be told.
        (
            A_DAY,
            |look| {
                if look < 40 {
                    Outcome::Failed("Get-ADSyncConnectorRunStatus is not recognized".to_owned())
                } else {
                    due(&[], (false, false, true))
                }
            },
            "is not recognized",
            0,
            Verdict::CannotTell,
        ),
    ];
    for (within, says, why, after, verdict) in cases {
        let looks = |look: u32, _: &mut Twin, _: Outcome| says(look);
        let went = wait(&mut server(true, &[]), &step(within), false, looks);
        assert_eq!(went.completion, Completion::AlreadySo, "{why}");
        assert!(
            went.asked.len() == 1 && went.asked[0].contains(why),
            "{:?}",
            went.asked
        );
        // Each round of looking takes as long as its pause.
        let asked_after = went.asked_after.unwrap();
        assert!(
            (after..=after + 60).contains(&asked_after),
            "{why}: {asked_after}"
        );
        let asks = &went.told[went.told.len() - 2];
        assert!(asks.0 == verdict && asks.1.contains(why), "{:?}", went.told);
        assert_eq!(went.told.last().unwrap().0, Verdict::Pass, "{why}");
        // A named person says that it is over, or that it is not to be waited for.
        let went = wait(&mut server(true, &[]), &step(within), true, |look, _, _| {
            says(look)
        });
        let by = "anna".to_owned();
        assert_eq!(went.completion, Completion::Attested { by }, "{why}");
        assert!(went.summary.contains("no probe"), "{}", went.summary);
    }
}

/// An open wizard keeps the scheduler suspended, and somebody is about to close it: nobody is asked before it stood open for long.
#[test]
fn a_wizard_that_is_still_open_is_waited_for_before_anybody_is_asked() {
    let full = ["full import of corp"];
    let course = |open: std::ops::Range<u32>, until: u32| {
        move |look: u32, _: &mut Twin, _: Outcome| {
            let full: &[&str] = if look < until { &full } else { &[] };
            due_at_a_wizard(open.contains(&look), full, (false, false, true))
        }
    };
    // Open from the start, and once more in the middle: each time it is closed soon.
    for open in [0..4, 20..24] {
        let mut twin = server(true, &[]);
        let went = wait(&mut twin, &step(A_DAY), false, course(open.clone(), 40));
        assert!(went.asked.is_empty(), "{open:?}: {:?}", went.asked);
        assert_eq!(went.completion, Completion::AlreadySo, "{open:?}");
    }
    // It is left open.
    for (open, after) in [(0..60, 30), (12..60, 80)] {
        let mut twin = server(true, &[]);
        let went = wait(&mut twin, &step(A_DAY), false, course(open.clone(), 80));
        assert!(
            went.asked.len() == 1 && went.asked[0].contains("the scheduler is suspended"),
            "{open:?}: {:?}",
            went.asked
        );
        let asked_after = went.asked_after.unwrap();
        assert!(
            (after..=after + 20).contains(&asked_after),
            "{open:?}: {asked_after}"
        );
        assert_eq!(went.told.last().unwrap().0, Verdict::Pass, "{open:?}");
    }
    // However often one is opened and closed, it is waited for no longer than it may be.
    let flaps = |look: u32, _: &mut Twin, _: Outcome| {
        due_at_a_wizard(
            look.is_multiple_of(2),
            if look < 900 { &full } else { &[] },
            (false, false, true),
        )
    };
    let went = wait(&mut server(true, &[]), &step(A_DAY), false, flaps);
    assert!(
        went.asked.len() == 1 && went.asked[0].contains("not over after 24 hours"),
        "{:?}",
        went.asked
    );
    assert!(went.asked_after.unwrap() <= u64::from(A_DAY));
}

/// The wizard shows its last page while the scheduler answers already: its end is when it is closed, and nobody is asked for anything
/// besides.
#[test]
fn a_wizard_on_its_last_page_is_not_taken_for_done() {
    for (work, staging) in [
        (ConnectWork::UpgradeStaging, true),
        (ConnectWork::UpgradeActive, false),
    ] {
        let steps = vec![
            Step::StageConnect(StageConnect {
                artifact: Digest::of(b"msi"),
            }),
            Step::GuideConnect(GuideConnect {
                work,
                at_least: CONNECT,
                text: text(),
                release: Some(Box::new(text())),
            }),
            step(A_DAY),
        ];
        let mut one = server(staging, &[Fault::FullSyncFollows]);
        let (conclusion, journal, actions) = drive(steps.clone(), &mut one, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{work:?}");
        assert_eq!(conclusion.steps[1].ending, StepEnding::SeenDone, "{work:?}");
        let opened = |journal: &[Event]| {
            let journal = journal.iter();
            journal
                .filter(|event| matches!(event, Event::TaskOpened { .. }))
                .count()
        };
        assert_eq!(opened(&journal), 1, "{work:?}: {journal:?}");
        // An agent that is cut off meanwhile takes it for done no earlier: it asks the person once more at most.
        for cut in 0..actions {
            let mut one = server(staging, &[Fault::FullSyncFollows]);
            let (conclusion, journal, _) = drive(steps.clone(), &mut one, Some(cut));
            assert_eq!(
                conclusion.ending,
                Ending::Completed,
                "{work:?}, cut at {cut}"
            );
            let opened = opened(&journal);
            assert!(
                (1..=2).contains(&opened),
                "{work:?}, cut at {cut}: {opened}"
            );
        }
    }
}

/// Each of the model's faults that is about it; the row of the catalogue passes on a server in order.
#[test]
fn the_model_has_each_of_these() {
    for (fault, asks, verdict) in [
        (Fault::FullSyncDue, true, Verdict::Fail),
        (Fault::NextCycleFull, true, Verdict::Fail),
        (Fault::DueUnreadable, true, Verdict::CannotTell),
    ] {
        let went = wait(&mut server(true, &[fault]), &step(A_DAY), true, as_it_is);
        assert_eq!(!went.asked.is_empty(), asks, "{fault:?}");
        assert_eq!(went.told[0].0, verdict, "{fault:?}");
    }
    // Where no engine runs there is nothing to wait for: the verification behind it says why.
    let mut halted = server(true, &[]);
    halted.set_service(
        agent_core::product::CONNECT_SERVICE,
        protocol::facts::ServiceState::NotRunning,
    );
    let bare = Twin::new(Profile {
        installed: Installed::Nothing,
        ..server(true, &[]).profile().clone()
    });
    for mut twin in [halted, bare] {
        let none = |_: u32, _: &mut Twin, _: Outcome| unreachable!("nobody asks what is not there");
        let went = wait(&mut twin, &step(A_DAY), false, none);
        assert!(
            went.told.is_empty() && went.summary.contains("no engine runs"),
            "{}",
            went.summary
        );
    }
}
