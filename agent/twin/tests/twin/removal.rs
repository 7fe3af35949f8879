//! The provisioning agent is taken off: by its bundle, by its packages where that is gone, with every fault and every cut,
//! and what is left afterwards.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use agent_core::op::{Op, Outcome};
use agent_core::product;
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, Finding, Verdict};
use protocol::facts::ServiceState;
use protocol::signed::{Ending, StepEnding};
use protocol::step::{
    RemoveProvisioningAgent, RestartBy, RestartServer, Step, VerifyProvisioningAgentRemoved,
};

use crate::common::{NEWEST, drive, drive_with, target, tenant, text};

/// What Windows lists, the bundle first.
const PACKAGE: &str = "uninstall Microsoft Entra Provisioning Agent Package";
const AGENT: &str = "uninstall Microsoft Entra Provisioning Agent";
const UPDATER: &str = "uninstall Microsoft Entra Connect Agent Updater";

fn steps() -> Vec<Step> {
    vec![
        Step::RemoveProvisioningAgent(RemoveProvisioningAgent { tenant: tenant() }),
        verification(),
    ]
}

fn verification() -> Step {
    Step::VerifyProvisioningAgentRemoved(VerifyProvisioningAgentRemoved {
        target: target(),
        gmsa: Some(product::DEFAULT_GMSA.parse().unwrap()),
        home_domain: "corp.contoso.com".parse().unwrap(),
    })
}

/// A server whose agent is registered and serves.
fn serving(faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::ProvisioningAgent {
            version: NEWEST,
            tenant: tenant(),
        },
        person: None,
        faults: faults.iter().copied().collect(),
    })
}

fn findings(journal: &[Event]) -> BTreeMap<String, Finding> {
    let noted = journal.iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings.clone()),
        _ => None,
    });
    let all = noted.flatten();
    all.map(|finding| (finding.id.clone(), finding)).collect()
}

/// Verdict of each probe of a removal.
fn verdicts(journal: &[Event]) -> Vec<(String, Verdict)> {
    let own = findings(journal).into_iter();
    own.filter(|(id, _)| id.starts_with("RM"))
        .map(|(id, finding)| (id, finding.verdict))
        .collect()
}

/// A removal would end what the agent does for on-premises applications: it waits until that is elsewhere. What HR's option
/// shows is told.
#[test]
fn an_agent_with_another_purpose_is_not_taken_off() {
    let mut server = serving(&[Fault::EcmaHost]);
    let (conclusion, ..) = drive(steps(), &mut server, None);
    let Ending::Failed(why) = &conclusion.ending else {
        unreachable!("not failed: {conclusion:?}")
    };
    assert!(why.contains("PF76") && why.contains("ECMA"), "{why}");
    assert!(server.serves() && server.changes.is_empty());

    let mut server = serving(&[Fault::HrInbound]);
    let (conclusion, journal, _) = drive(steps(), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let told = &findings(&journal)["PF76"];
    assert_eq!(told.verdict, Verdict::Fail);
    assert!(told.read.contains("HR inbound"), "{}", told.read);
}

#[test]
fn the_bundle_takes_everything_along_and_what_is_left_is_listed_with_who_clears_it() {
    let mut server = serving(&[]);
    let (conclusion, journal, _) = drive(steps(), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(server.changes, [PACKAGE]);
    assert_eq!(conclusion.steps[0].ending, StepEnding::Applied);
    assert!(
        conclusion.steps[1].summary.contains("RM05"),
        "{conclusion:?}"
    );
    let (pass, fail) = (Verdict::Pass, Verdict::Fail);
    let expected = [
        ("RM01", pass),
        ("RM02", pass),
        ("RM03", pass),
        ("RM04", pass),
        ("RM05", fail),
        ("RM06", fail),
        ("RM07", fail),
        ("RM08", Verdict::CannotTell),
    ];
    let expected = expected.map(|(id, verdict)| (id.to_owned(), verdict));
    assert_eq!(verdicts(&journal), expected);
    // It served: leave was asked for, and given back.
    let asked = journal
        .iter()
        .filter(|event| matches!(event, Event::SectionEntered { .. }));
    assert_eq!(asked.count(), 1);
    // Facts of a server on which nothing but a key is left say so.
    let (again, ..) = drive(steps(), &mut server, None);
    assert_eq!(again.steps[0].ending, StepEnding::AlreadySo);
    assert_eq!(server.changes, [PACKAGE]);
}

#[test]
fn what_the_bundle_leaves_is_taken_off_by_its_product_code() {
    for (fault, expected) in [
        (Fault::BundleLeavesPackages, vec![PACKAGE, AGENT, UPDATER]),
        // Without its cached setup the bundle stays listed, and the step says why; the agent is gone all the same.
        (Fault::BundleCacheMissing, vec![AGENT, UPDATER]),
    ] {
        let mut server = serving(&[fault]);
        let (conclusion, journal, _) = drive(steps(), &mut server, None);
        assert_eq!(server.changes, expected, "{fault:?}");
        match fault {
            Fault::BundleLeavesPackages => assert_eq!(conclusion.ending, Ending::Completed),
            _ => {
                let Ending::Failed(why) = conclusion.ending else {
                    panic!("{conclusion:?}")
                };
                assert!(
                    why.contains("still listed") && why.contains("cache"),
                    "{why}"
                );
                // The section was left: nobody is held up by a server that is out for good.
                let left = |event: &Event| matches!(event, Event::SectionLeft { .. });
                assert!(journal.iter().any(left), "{journal:?}");
            }
        }
    }
}

#[test]
fn each_fault_of_a_removal_stops_where_it_must_and_says_why() {
    for (fault, words) in [
        (Fault::RemovalFails, "exit code 1603"),
        (Fault::InstallerBusy, "1618"),
        (Fault::NotElevated, "PF06"),
        (Fault::AgentServiceStays, "still there"),
    ] {
        let mut server = serving(&[fault]);
        let (conclusion, ..) = drive(steps(), &mut server, None);
        let Ending::Failed(why) = conclusion.ending else {
            panic!("{fault:?}: {conclusion:?}")
        };
        assert!(why.contains(words), "{fault:?}: {why}");
        if matches!(fault, Fault::NotElevated | Fault::InstallerBusy) {
            assert!(server.changes.is_empty(), "{:?}", server.changes);
        }
    }
    let mut server = serving(&[Fault::SetupWantsRestart]);
    let (conclusion, ..) = drive(steps(), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(
        conclusion.steps[0].summary.contains("restart"),
        "{conclusion:?}"
    );
}

#[test]
fn each_probe_of_a_removal_fails_where_what_it_looks_for_is_there() {
    // On a server on which nothing was taken off, everything that a removal looks for is there.
    let mut server = serving(&[]);
    let (conclusion, journal, _) = drive(vec![verification()], &mut server, None);
    assert!(matches!(conclusion.ending, Ending::Failed(_)));
    let seen = verdicts(&journal);
    for (id, verdict) in &seen {
        let expected = if id == "RM08" {
            Verdict::CannotTell
        } else {
            Verdict::Fail
        };
        assert_eq!(*verdict, expected, "{id}");
    }
    assert_eq!(seen.len(), 8);
    // And on one that never had it and that no account lists, nothing is.
    let mut bare = Twin::new(Profile {
        installed: Installed::Nothing,
        ..serving(&[Fault::GmsaWithoutServer]).profile().clone()
    });
    let (conclusion, journal, _) = drive(vec![verification()], &mut bare, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let failed = |(_, verdict): &(String, Verdict)| *verdict == Verdict::Fail;
    assert!(!verdicts(&journal).iter().any(failed), "{journal:?}");
    // A folder that stays warns, and what cannot be asked of the directory cannot be told.
    let mut server = serving(&[Fault::FolderStays, Fault::DnsBlocked]);
    let (conclusion, journal, _) = drive(steps(), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let seen = findings(&journal);
    assert_eq!(seen["RM04"].verdict, Verdict::Fail);
    assert_eq!(seen["RM07"].verdict, Verdict::CannotTell);
}

#[test]
fn the_agent_of_another_tenant_and_a_list_that_cannot_be_read_leave_everything_as_it_is() {
    let other = "3f0c8a4e-0000-0000-0000-00000000000f".parse().unwrap();
    let mut server = Twin::new(Profile {
        installed: Installed::ProvisioningAgent {
            version: NEWEST,
            tenant: other,
        },
        ..serving(&[]).profile().clone()
    });
    let (conclusion, ..) = drive(steps(), &mut server, None);
    assert!(
        matches!(&conclusion.ending, Ending::Failed(why) if why.contains("G9")),
        "{conclusion:?}"
    );
    assert!(server.changes.is_empty());
    let mut server = serving(&[]);
    let (conclusion, ..) = drive_with(steps(), &mut server, None, "", |op, outcome| match op {
        Op::Programs { .. } => Outcome::Failed("access denied".to_owned()),
        _ => outcome,
    });
    assert!(
        matches!(&conclusion.ending, Ending::Inconclusive(why) if why.contains("access denied")),
        "{conclusion:?}"
    );
    assert!(server.changes.is_empty());
}

/// It is for good: an agent that does not serve just now asks for leave as well.
#[test]
fn a_stopped_agent_is_taken_off_under_leave_and_a_restart_that_is_waited_for_stops_it() {
    let mut server = serving(&[Fault::ServiceStopped]);
    let (conclusion, journal, _) = drive(steps(), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let outage =
        |event: &Event| matches!(event, Event::SectionEntered { section, .. } if section.outage);
    assert!(journal.iter().any(outage), "{journal:?}");
    let mut server = serving(&[Fault::RebootPending]);
    let (conclusion, ..) = drive(steps(), &mut server, None);
    assert!(
        matches!(&conclusion.ending, Ending::Failed(why) if why.contains("PF19")),
        "{conclusion:?}"
    );
    assert!(server.changes.is_empty());
    // Windows says that it asks for a restart, and the service is there until then: a question, and no failure.
    let mut server = serving(&[Fault::SetupWantsRestart, Fault::AgentServiceStays]);
    let (conclusion, ..) = drive(steps(), &mut server, None);
    assert!(
        matches!(&conclusion.ending, Ending::Inconclusive(why) if why.contains("restart the server")),
        "{conclusion:?}"
    );
}

/// The same with a restart before and after it, as the rule of a site puts them there.
fn steps_with_restarts(by: &RestartBy) -> Vec<Step> {
    let restart = || Step::RestartServer(RestartServer { by: by.clone() });
    let mut steps = steps();
    steps.insert(1, restart());
    steps.insert(0, restart());
    steps
}

fn times(server: &Twin, what: &str) -> usize {
    server.changes.iter().filter(|one| *one == what).count()
}

/// What the removal leaves until Windows restarts is gone after it, wherever the agent is cut off; Windows is restarted once, and
/// nothing is taken off twice.
#[test]
fn a_removal_that_asks_for_a_restart_gets_it_and_is_over_behind_it() {
    for (faults, restarts, summary) in [
        (
            vec![],
            0,
            "taken off: Microsoft Entra Provisioning Agent Package",
        ),
        (
            vec![Fault::SetupWantsRestart],
            1,
            "taken off: Microsoft Entra Provisioning Agent Package; Windows asks for a restart",
        ),
        (
            vec![Fault::SetupWantsRestart, Fault::AgentServiceStays],
            1,
            "taken off: Microsoft Entra Provisioning Agent Package; Windows asks for a restart; the agent is there until then",
        ),
    ] {
        let steps = || steps_with_restarts(&RestartBy::Agent);
        let mut whole = serving(&faults);
        let (conclusion, journal, actions) = drive(steps(), &mut whole, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{faults:?}");
        assert_eq!(conclusion.steps[1].summary, summary);
        assert_eq!(times(&whole, "restart Windows"), restarts, "{faults:?}");
        assert_eq!(findings(&journal)["RM02"].verdict, Verdict::Pass);
        for cut in 0..actions {
            let mut server = serving(&faults);
            let (after, journal, _) = drive(steps(), &mut server, Some(cut));
            assert_eq!(
                after.ending,
                Ending::Completed,
                "{faults:?} cut at {cut}: {after:?}"
            );
            assert_eq!(findings(&journal)["RM02"].verdict, Verdict::Pass);
            assert_eq!(times(&server, PACKAGE), 1, "cut at {cut}");
            assert_eq!(
                times(&server, "restart Windows"),
                restarts,
                "{faults:?} cut at {cut}"
            );
        }
    }
}

/// One that Windows waits for already comes first, under leave for an outage, since the agent serves until then (G2).
#[test]
fn a_restart_that_is_waited_for_comes_before_the_removal_under_leave() {
    let mut server = serving(&[Fault::RebootPending]);
    let steps = steps_with_restarts(&RestartBy::Agent);
    let (conclusion, journal, _) = drive(steps, &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let acts: Vec<&str> = server
        .changes
        .iter()
        .map(String::as_str)
        .filter(|change| [PACKAGE, "restart Windows"].contains(change))
        .collect();
    assert_eq!(acts, ["restart Windows", PACKAGE]);
    let sections: Vec<bool> = journal
        .iter()
        .filter_map(|event| match event {
            Event::SectionEntered { section, .. } => Some(section.outage),
            _ => None,
        })
        .collect();
    assert_eq!(sections, [true, true], "of the restart, and of the removal");
}

/// By a person, where the rule says so: asked after leave, and only where Windows waits.
#[test]
fn a_person_restarts_it_behind_a_removal_where_the_rule_asks_one() {
    let by = RestartBy::Person(text());
    let faults = [Fault::SetupWantsRestart, Fault::AgentServiceStays];
    let mut server = Twin::new(Profile {
        person: Some(tenant()),
        ..serving(&faults).profile().clone()
    });
    let steps = steps_with_restarts(&by);
    server.asked(&steps[2]);
    let (conclusion, ..) = drive(steps, &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
    assert_eq!(conclusion.steps[2].ending, StepEnding::SeenDone);
    assert_eq!(times(&server, "restart Windows by hand"), 1);
    assert_eq!(times(&server, "restart Windows"), 0);
}

/// Connect Sync brings the same updater along.
#[test]
fn the_updater_stays_where_connect_uses_it() {
    let mut server = serving(&[Fault::BundleLeavesPackages, Fault::OtherTool]);
    let connect = |op: &Op, outcome: Outcome| match op {
        Op::Service { name } if name == product::CONNECT_SERVICE => {
            Outcome::Service(Some(agent_core::op::Service {
                state: ServiceState::Running,
                account: "NT SERVICE\\ADSync".to_owned(),
                automatic: true,
            }))
        }
        _ => outcome,
    };
    let (conclusion, ..) = drive_with(steps(), &mut server, None, "", connect);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(server.changes, [PACKAGE, AGENT]);
}

#[test]
fn a_cut_in_a_removal_ends_as_without_it_and_takes_nothing_off_twice() {
    for faults in [vec![], vec![Fault::BundleLeavesPackages]] {
        let mut whole = serving(&faults);
        let (_, _, actions) = drive(steps(), &mut whole, None);
        for cut in 0..actions {
            let mut server = serving(&faults);
            let (after, ..) = drive(steps(), &mut server, Some(cut));
            assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
            assert_eq!(server.changes, whole.changes, "cut at {cut}");
        }
    }
}
