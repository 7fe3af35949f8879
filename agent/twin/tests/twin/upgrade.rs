//! The agent replaces itself: with each fault, with releases that are not its publisher's, and with every cut.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use agent_core::op::{Launcher, Op, Outcome};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::key::SigningKey;
use protocol::signed::{AgentRelease, Ending, ReleaseFile, StepEnding, sign};
use protocol::step::{Step, UpgradeAgent};
use protocol::{Digest, Version};

use crate::common::{NOW, PUBLISHER, drive, drive_with, target};

const NEW: Version = Version::new(0, 9, 0, 0);

fn release(version: Version, platform: &str, key: &SigningKey) -> String {
    let release = AgentRelease {
        format: 1,
        version,
        issued: NOW,
        files: vec![ReleaseFile {
            platform: platform.to_owned(),
            sha256: Digest::of(b"agent"),
            chunks: Digest::ZERO,
            size: 5,
        }],
    };
    String::from_utf8(sign(&release, &[key]).to_json()).expect("JSON is text")
}

fn step(version: Version, release: String) -> Vec<Step> {
    vec![Step::UpgradeAgent(UpgradeAgent { version, release })]
}

fn upgrade() -> Vec<Step> {
    step(
        NEW,
        release(NEW, &AgentRelease::this_platform(), &PUBLISHER),
    )
}

fn server(faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::Nothing,
        person: None,
        faults: faults.iter().copied().collect(),
    })
}

fn switches(server: &Twin) -> usize {
    let changes = server.changes.iter();
    changes
        .filter(|change| change.starts_with("agent "))
        .count()
}

fn why(ending: &Ending) -> &str {
    match ending {
        Ending::Failed(why) => why,
        other => panic!("it did not fail: {other:?}"),
    }
}

#[test]
fn an_agent_is_replaced_and_one_that_is_as_new_is_left_alone() {
    let mut one = server(&[]);
    let (conclusion, ..) = drive(upgrade(), &mut one, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(conclusion.steps[0].ending, StepEnding::Applied);
    assert_eq!((one.agent(), switches(&one)), (Some(NEW), 1));
    let (conclusion, ..) = drive(upgrade(), &mut one, None);
    assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
    let older = Version::new(0, 8, 0, 0);
    let older = step(
        older,
        release(older, &AgentRelease::this_platform(), &PUBLISHER),
    );
    let (conclusion, ..) = drive(older, &mut one, None);
    assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
    assert_eq!((one.agent(), switches(&one)), (Some(NEW), 1));
}

/// The agent ends with the switch: wherever that is, and wherever it is killed besides, it is switched once.
#[test]
fn whatever_cuts_it_off_the_agent_is_switched_once() {
    let (.., actions) = drive(upgrade(), &mut server(&[]), None);
    for cut in 0..actions {
        let mut server = server(&[]);
        let (conclusion, ..) = drive(upgrade(), &mut server, Some(cut));
        assert_eq!(conclusion.ending, Ending::Completed, "cut before {cut}");
        assert_eq!(conclusion.steps[0].ending, StepEnding::Applied);
        assert_eq!(switches(&server), 1, "cut before {cut}");
    }
}

#[test]
fn a_version_that_crashes_is_given_up_once_and_its_reason_told() {
    let (.., actions) = drive(upgrade(), &mut server(&[Fault::NewAgentCrashes]), None);
    for cut in (0..actions).map(Some).chain([None]) {
        let mut server = server(&[Fault::NewAgentCrashes]);
        let (conclusion, ..) = drive(upgrade(), &mut server, cut);
        let why = why(&conclusion.ending);
        assert!(
            why.contains("version 0.9.0.0 was given up") && why.contains("ended 3 times"),
            "{cut:?}: {why}"
        );
        assert_eq!((server.agent(), switches(&server)), (None, 1), "{cut:?}");
    }
    // What was given up under another bundle says nothing about this one.
    let mut again = server(&[Fault::NewAgentCrashes]);
    drive(upgrade(), &mut again, None);
    let other = |_: &Op, outcome| match outcome {
        Outcome::Launcher(mut launcher) => {
            launcher
                .given_up
                .iter_mut()
                .for_each(|gone| gone.mark.0 += 1);
            Outcome::Launcher(launcher)
        }
        other => other,
    };
    let (conclusion, ..) = drive_with(upgrade(), &mut again, Some(1), "value", other);
    assert_eq!(switches(&again), 2);
    assert!(why(&conclusion.ending).contains("runs all the same"));
}

#[test]
fn a_version_on_trial_is_not_done_before_its_launcher_keeps_it() {
    let mut one = server(&[]);
    drive(upgrade(), &mut one, None);
    let looks = std::cell::Cell::new(0);
    let trial = |_: &Op, outcome| match outcome {
        Outcome::Launcher(launcher) => {
            looks.set(looks.get() + 1);
            Outcome::Launcher(Launcher {
                on_trial: looks.get() < 9,
                ..launcher
            })
        }
        other => other,
    };
    let (conclusion, ..) = drive_with(upgrade(), &mut one, None, "value", trial);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(looks.get() >= 9);
}

#[test]
fn what_its_publisher_did_not_sign_is_no_release() {
    let here = AgentRelease::this_platform();
    let thief = SigningKey::generate();
    let cases = [
        (step(NEW, release(NEW, &here, &thief)), "0 valid signatures"),
        (step(NEW, "{}".to_owned()), "not its publisher's"),
        (
            step(NEW, release(Version::new(0, 7, 0, 0), &here, &PUBLISHER)),
            "is of version 0.7.0.0, and the step of 0.9.0.0",
        ),
        (
            step(NEW, release(NEW, "plan9-mips", &PUBLISHER)),
            "no program for",
        ),
    ];
    for (steps, wanted) in cases {
        let mut server = server(&[]);
        let (conclusion, ..) = drive(steps, &mut server, None);
        let why = why(&conclusion.ending);
        assert!(why.contains(wanted), "{why}");
        assert!(server.changes.is_empty());
    }
}

#[test]
fn an_agent_without_its_launcher_is_upgraded_by_hand() {
    let mut server = server(&[Fault::NoLauncher]);
    let (conclusion, ..) = drive(upgrade(), &mut server, None);
    assert!(why(&conclusion.ending).contains("replace its program by hand"));
    assert!(server.changes.is_empty());
}

/// A newer agent may be what can read a server that this one cannot.
#[test]
fn an_agent_that_cannot_read_its_server_is_upgraded_all_the_same() {
    let mut one = server(&[]);
    let unread = |op: &Op, outcome| match op {
        Op::Registry { .. } | Op::RegistryKey { .. } => {
            Outcome::Failed("access is denied (5)".to_owned())
        }
        _ => outcome,
    };
    let (conclusion, ..) = drive_with(upgrade(), &mut one, None, "value", unread);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!((one.agent(), switches(&one)), (Some(NEW), 1));
    // Nothing else is done on what cannot be read.
    let mut more = upgrade();
    more.push(Step::ReportFacts);
    let mut other = server(&[]);
    let (conclusion, ..) = drive_with(more, &mut other, None, "value", unread);
    assert!(matches!(conclusion.ending, Ending::Inconclusive(_)));
    assert!(other.changes.is_empty());
}
