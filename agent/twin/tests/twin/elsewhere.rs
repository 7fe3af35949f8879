//! An engine of Connect in a folder that somebody chose at the wizard (product facts 2.5): its service alone tells where, and every look
//! at the engine goes by that.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be, and looks at single operations"
)]

use std::collections::BTreeSet;

use agent_core::op::{Op, Outcome, RegistryValue};
use agent_core::product;
use agent_core::run::{Action, Conclusion};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::Event;
use protocol::facts::Facts;
use protocol::signed::{Ending, StepEnding};
use protocol::step::{ConnectWork, GuideConnect, GuideConnectRemoval, StageConnect, Step};
use protocol::task::Page;
use protocol::{Digest, Version};

use crate::common::{CONNECT, drive, drive_beside, drive_with, target, tenant, text};

fn server(installed: Installed, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed,
        person: Some(tenant()),
        faults: faults.iter().copied().collect::<BTreeSet<_>>(),
    })
}

fn stage() -> Step {
    Step::StageConnect(StageConnect {
        artifact: Digest::of(b"msi"),
    })
}

fn guide(line: &str) -> Step {
    let mut text = text();
    text.pages.push(Page {
        title: "Install required components".to_owned(),
        lines: vec![line.to_owned()],
    });
    Step::GuideConnect(GuideConnect {
        work: ConnectWork::InstallActive,
        at_least: CONNECT,
        text,
        release: None,
    })
}

fn facts(journal: &[Event]) -> Facts {
    let told = journal.iter().rev().find_map(|event| match event {
        Event::FactsReported(facts) => Some((**facts).clone()),
        _ => None,
    });
    told.unwrap()
}

/// A bundle whose person reads the page.
fn done(steps: &[Step], twin: &mut Twin) -> (Conclusion, Vec<Event>) {
    let all = steps.to_vec();
    let reads = move |action: &Action, twin: &mut Twin| {
        if let Action::Journal(Event::StepBegun { step, .. }) = action {
            twin.asked(&all[usize::from(step.0)]);
        }
    };
    let instead = |_: &Op, outcome| outcome;
    let (conclusion, journal, _) =
        drive_beside(steps.to_vec(), twin, None, "value", reads, instead);
    (conclusion, journal)
}

#[test]
fn an_installation_at_another_location_comes_to_its_end() {
    for (line, program) in [
        (
            r#"tick "Specify a custom installation location": E:\Tools\Connect"#,
            r"E:\Tools\Connect\Bin\miiserver.exe",
        ),
        (
            r#"leave "Specify a custom installation location" clear"#,
            r"C:\Program Files\Microsoft Azure AD Sync\Bin\miiserver.exe",
        ),
    ] {
        let mut twin = server(Installed::Nothing, &[]);
        let (conclusion, journal) = done(&[stage(), guide(line), Step::ReportFacts], &mut twin);
        assert_eq!(conclusion.ending, Ending::Completed, "{line}");
        assert_eq!(conclusion.steps[1].ending, StepEnding::SeenDone, "{line}");
        let seen = facts(&journal).connect.unwrap();
        assert_eq!(seen.version, Some(CONNECT), "{line}");
        // It was read there, and nowhere else.
        twin.lose_file(program);
        let (_, journal, _) = drive(vec![Step::ReportFacts], &mut twin, None);
        assert_eq!(facts(&journal).connect.unwrap().version, None, "{line}");
    }
}

/// A later engine in the folder that somebody chose is one: an older installer is not staged over it (G6).
#[test]
fn an_installer_is_held_against_the_engine_wherever_that_lies() {
    let later = Version::new(2, 7, 0, 0);
    for faults in [&[][..], &[Fault::EngineElsewhere]] {
        let installed = Installed::Connect {
            version: later,
            staging: true,
        };
        let (conclusion, ..) = drive(vec![stage()], &mut server(installed, faults), None);
        assert!(
            matches!(conclusion.ending, Ending::Failed(ref why) if why.contains("2.7.0.0")),
            "{faults:?}: {conclusion:?}"
        );
    }
}

/// A service that names no folder of a local drive, or whose entry cannot be read, leaves open what is there: it is neither absent nor
/// what lies in the usual folder.
#[test]
fn an_engine_whose_folder_cannot_be_told_is_a_question() {
    let odd = |text: &str| Outcome::Registry(Some(RegistryValue::Text(text.to_owned())));
    for told in [
        odd(r"\\server\share\Bin\miiserver.exe"),
        odd("miiserver.exe"),
        Outcome::Registry(Some(RegistryValue::Other)),
        Outcome::Failed("access is denied (5)".to_owned()),
    ] {
        let instead = |op: &Op, outcome: Outcome| match op {
            Op::Registry { key, .. } if key == product::CONNECT_SERVICE_KEY => told.clone(),
            _ => outcome,
        };
        let removal = Step::GuideConnectRemoval(GuideConnectRemoval {
            text: text(),
            pass_through: text(),
        });
        for step in [stage(), removal] {
            let installed = Installed::Connect {
                version: CONNECT,
                staging: true,
            };
            let mut twin = server(installed, &[]);
            let kind = step.kind();
            let (conclusion, journal, _) =
                drive_with(vec![step], &mut twin, None, "value", instead);
            assert!(
                matches!(conclusion.ending, Ending::Inconclusive(ref why) if why.contains("lies")),
                "{kind} {told:?}: {conclusion:?}"
            );
            assert!(twin.changes.is_empty(), "{kind}");
            let opened = |event: &Event| matches!(event, Event::TaskOpened { .. });
            assert!(!journal.iter().any(opened), "{kind}");
        }
    }
}
