//! A bundle that only asks, of a server with both products: what blocks one is told, and the other is asked all the same.
#![expect(
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;

use agent_twin::{Fault, Installed, Twin};
use protocol::event::{Event, Failure, Verdict};
use protocol::signed::{Ending, StepEnding};
use protocol::step::{Fix, Product, SignIn, Step};

use crate::common::{CONNECT, drive};
use crate::preflight::{preflight, twin};

fn server(faults: &[Fault]) -> Twin {
    let installed = Installed::Connect {
        version: CONNECT,
        staging: false,
    };
    twin("sync-01", installed, faults)
}

/// What `entrain preflight` asks of such a server.
fn asks() -> Vec<Step> {
    vec![
        preflight(Product::ProvisioningAgent, SignIn::Token, false),
        preflight(Product::Connect, SignIn::Wizard, true),
        Step::ReadConnectSettings,
    ]
}

fn failures(journal: &[Event]) -> Vec<(u16, Failure)> {
    let failed = journal.iter().filter_map(|event| match event {
        Event::StepFailed { step, failure, .. } => Some((step.0, (**failure).clone())),
        _ => None,
    });
    failed.collect()
}

fn probed(journal: &[Event]) -> BTreeSet<String> {
    let told = journal.iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings.iter().map(|one| one.id.clone())),
        _ => None,
    });
    told.flatten().collect()
}

#[test]
fn what_blocks_one_product_leaves_the_other_ones_questions_asked() {
    let fresh = server(&[Fault::VaultDisabled, Fault::ConsoleOpen]);
    let (conclusion, journal, actions) = drive(asks(), &mut fresh.clone(), None);
    let Ending::Failed(why) = &conclusion.ending else {
        panic!("{:?}", conclusion.ending)
    };
    // Both are in the run's last word, and the settings were read as well.
    assert!(why.contains("PF14") && why.contains("PF73"), "{why}");
    let all = probed(&journal);
    for id in ["PF14", "PF41", "PF73"] {
        assert!(all.contains(id), "{id}: {all:?}");
    }
    let settings = |event: &Event| matches!(event, Event::ConnectSettingsRead { .. });
    assert!(journal.iter().any(settings));
    let [(step, failure)] = failures(&journal).try_into().unwrap();
    let blocking: BTreeSet<&str> = failure.findings.iter().map(|one| one.id.as_str()).collect();
    assert_eq!((step, blocking), (2, BTreeSet::from(["PF14", "PF73"])));
    assert!(
        failure
            .findings
            .iter()
            .all(|one| one.verdict == Verdict::Fail)
    );
    let endings: Vec<StepEnding> = conclusion.steps.iter().map(|one| one.ending).collect();
    assert_eq!(endings, [StepEnding::Failed; 3]);
    assert!(conclusion.steps[0].summary.starts_with("PF14"));
    // Whoever is cut off in between has not forgotten what blocked.
    for cut in 0..actions {
        let (after, journal, _) = drive(asks(), &mut fresh.clone(), Some(cut));
        assert_eq!(after.ending, conclusion.ending, "cut at {cut}");
        let records = |of: &agent_core::run::Conclusion| -> Vec<(StepEnding, String)> {
            let all = of.steps.iter();
            all.map(|one| (one.ending, one.summary.clone())).collect()
        };
        assert_eq!(records(&after), records(&conclusion), "cut at {cut}");
        assert_eq!(failures(&journal), [(2, failure.clone())], "cut at {cut}");
    }
}

#[test]
fn where_nothing_blocks_it_completes_and_where_the_last_alone_blocks_that_one_fails() {
    let (conclusion, journal, _) = drive(asks(), &mut server(&[]), None);
    assert_eq!(conclusion.ending, Ending::Completed, "{journal:?}");
    let steps = asks()[..2].to_vec();
    let (conclusion, journal, _) = drive(steps, &mut server(&[Fault::ConsoleOpen]), None);
    assert_eq!(failures(&journal)[0].0, 1);
    assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
    let Ending::Failed(why) = &conclusion.ending else {
        panic!("{:?}", conclusion.ending)
    };
    assert!(why.contains("PF73") && !why.contains("before it"), "{why}");
}

/// Before a change nothing is begun behind what blocks, whatever stands there.
#[test]
fn before_a_change_a_preflight_that_blocks_ends_the_run() {
    let mut steps = asks();
    let Step::Preflight(first) = &mut steps[0] else {
        panic!("a preflight")
    };
    first.may_fix = vec![Fix::Tls12];
    let (_, journal, _) = drive(steps, &mut server(&[Fault::VaultDisabled]), None);
    assert_eq!(failures(&journal)[0].0, 0);
    assert!(!probed(&journal).contains("PF41"));
}
