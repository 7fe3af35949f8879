//! A tenant moves from Connect to cloud sync: the limits of the wizard's task, the person at the wizard, and what shows of its
//! end.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use agent_core::op::{Op, Outcome};
use agent_core::run::{Action, Conclusion, Run};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, Finding, Verdict};
use protocol::signed::{Ending, Manifest, StepEnding, Verified, verify};
use protocol::step::{GuideTransition, Step, VerifyConnect, VerifyProvisioningAgent};
use protocol::task::TaskText;
use protocol::{ServiceOptions, TenantId, Version};

use crate::common::{NOW, drive, host, leave, manifest, target, tenant, text};

pub(crate) const SINCE: Version = Version::new(2, 6, 91, 0);

pub(crate) fn server_of(
    version: Version,
    staging: bool,
    person: TenantId,
    faults: &[Fault],
) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::Connect { version, staging },
        person: Some(person),
        faults: faults.iter().copied().collect(),
    })
}

pub(crate) fn server(faults: &[Fault]) -> Twin {
    server_of(SINCE, false, tenant(), faults)
}

pub(crate) fn guide() -> Step {
    let titled = |title: &str| TaskText {
        title: title.to_owned(),
        ..text()
    };
    Step::GuideTransition(GuideTransition {
        target: target(),
        tenant: tenant(),
        preferred_dcs: Vec::new(),
        home_domain: "corp.contoso.com".parse().unwrap(),
        text: titled("wizard"),
        doubts: titled("doubts"),
        afterwards: titled("afterwards"),
    })
}

pub(crate) fn steps() -> Vec<Step> {
    let any = Version::new(0, 0, 0, 0);
    vec![
        Step::CheckTransition,
        guide(),
        Step::ReportFacts,
        Step::VerifyConnect(VerifyConnect {
            at_least: any,
            staging: Some(true),
            forests: Vec::new(),
            password_sync: false,
            soaked_seconds: None,
        }),
        Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
            tenant: tenant(),
            at_least: any,
            gmsa: None,
            own_rights: None,
            options: ServiceOptions::default(),
            soaked_seconds: None,
        }),
    ]
}

/// Drives a run with the person at the wizard, and anna, who says what nobody sees: of the wizard only when `hasty`, as soon as
/// the person has left it.
pub(crate) fn moved(
    steps: Vec<Step>,
    twin: &mut Twin,
    cut: Option<usize>,
    hasty: bool,
    instead: impl Fn(&Op, Outcome) -> Outcome,
) -> (Conclusion, Vec<Event>, usize) {
    let (bytes, role) = manifest(steps.clone());
    let verified = || -> Verified<Manifest> { verify(&bytes, &role).unwrap() };
    let mut journal: Vec<Event> = Vec::new();
    let mut run = Run::new(verified(), host(), &[], NOW);
    let mut open = None;
    let mut actions = 0;
    loop {
        let action = run.poll_action().unwrap();
        if Some(actions) == cut {
            run = Run::new(verified(), host(), &journal, NOW);
            actions += 1;
            continue;
        }
        actions += 1;
        assert!(actions < 3000, "the run does not end: {:?}", journal.last());
        match action {
            Action::Journal(event) => {
                match &event {
                    Event::StepBegun { step, .. } => {
                        twin.asked(&steps[usize::from(step.0)]);
                        open = None;
                    }
                    Event::TaskOpened { text, step, .. } => {
                        open = Some((text.title.clone(), *step));
                    }
                    _ => {}
                }
                journal.push(event);
            }
            Action::Perform { number, op } => {
                let (outcome, _) = twin.perform(&op, &Default::default());
                run.handle_outcome(number, instead(&op, outcome), NOW);
                let left = !twin.changes.is_empty();
                if let (Some((title, step)), Op::Wait { .. }) = (&open, &op)
                    && (title != "wizard" || hasty && left)
                {
                    run.handle_attested(*step, "anna".to_owned());
                    open = None;
                }
            }
            Action::AskPermit { step, attempt, .. } => {
                run.handle_permit(step, attempt, leave(None), NOW)
            }
            Action::AskSecret { .. } => panic!("no secret is asked for"),
            Action::Finish(conclusion) => return (conclusion, journal, actions),
        }
    }
}

fn tasks(journal: &[Event]) -> Vec<(String, usize)> {
    let opened = journal.iter().filter_map(|event| match event {
        Event::TaskOpened { text, .. } => Some((text.title.clone(), text.pages.len())),
        _ => None,
    });
    opened.collect()
}

fn titles(journal: &[Event]) -> Vec<String> {
    let mut titles: Vec<String> = tasks(journal).into_iter().map(|(title, _)| title).collect();
    titles.dedup();
    titles
}

fn finding(journal: &[Event], id: &str) -> Option<Finding> {
    let of = |finding: &&Finding| finding.id == id;
    journal.iter().rev().find_map(|event| match event {
        Event::Probed { findings, .. } => findings.iter().find(of).cloned(),
        _ => None,
    })
}

fn failed(conclusion: &Conclusion) -> &str {
    match &conclusion.ending {
        Ending::Failed(why) => why,
        other => panic!("not failed: {other:?}"),
    }
}

/// Asks a server for its limits alone; what it would be without its faults is told by the step.
fn checked(twin: &mut Twin) -> (Conclusion, Vec<Event>) {
    let (conclusion, journal, _) =
        moved(vec![Step::CheckTransition], twin, None, false, |_, one| one);
    assert!(twin.changes.is_empty(), "it only asks: {:?}", twin.changes);
    (conclusion, journal)
}

#[test]
fn a_person_moves_the_tenant_and_what_shows_of_the_end_is_seen() {
    let mut one = server(&[]);
    let (conclusion, journal, _) = moved(steps(), &mut one, None, false, |_, one| one);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(one.staging(), Some(true));
    assert!(one.serves() && !one.exports());
    assert_eq!(one.changes, ["wizard of Connect: transition to cloud sync"]);
    assert_eq!(titles(&journal), ["wizard", "afterwards"]);
    let summary = &conclusion.steps[1].summary;
    assert_eq!(conclusion.steps[1].ending, StepEnding::SeenDone);
    for words in ["Connect is staging", "anna says: no probe sees it"] {
        assert!(summary.contains(words), "{words}: {summary}");
    }
    for id in ["TR01", "TR03", "TR06", "TR10", "PV25", "PV06"] {
        let seen = finding(&journal, id).unwrap_or_else(|| panic!("{id}"));
        assert_eq!(seen.verdict, Verdict::Pass, "{seen:?}");
    }
    assert_eq!(
        finding(&journal, "TR14").unwrap().verdict,
        Verdict::CannotTell
    );
    // The section's end tells what became of the gMSA, for whoever changes it next (G3).
    let left = journal.iter().find_map(|event| match event {
        Event::SectionLeft { gmsa, .. } => gmsa.clone(),
        _ => None,
    });
    assert!(left.is_some_and(|change| change.readers.is_some()));
    // Where it is so already, nobody is sent to the wizard again, and what no probe sees is still asked.
    let (conclusion, journal, _) = moved(vec![guide()], &mut one, None, false, |_, one| one);
    assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
    assert_eq!(titles(&journal), ["afterwards"]);
    assert_eq!(one.changes.len(), 1);
}

#[test]
fn a_cut_in_the_move_ends_as_without_it() {
    let (_, _, actions) = moved(steps(), &mut server(&[]), None, false, |_, one| one);
    for cut in 0..actions {
        let mut one = server(&[]);
        let (after, journal, _) = moved(steps(), &mut one, Some(cut), false, |_, one| one);
        assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
        assert_eq!(
            one.changes,
            ["wizard of Connect: transition to cloud sync"],
            "cut at {cut}"
        );
        assert_eq!(one.staging(), Some(true), "cut at {cut}");
        assert!(titles(&journal).contains(&"afterwards".to_owned()));
    }
}

/// Each limit, broken by itself, is told by its own probe; nobody is sent to the wizard, and nothing is changed.
#[test]
fn a_server_beyond_one_limit_is_not_eligible_by_that_one() {
    let broken = [
        (Fault::SecondForest, "TR02", "corp, fabrikam"),
        (Fault::ScopeTooLarge, "TR03", "2400"),
        (Fault::ManyUnits, "TR04", "31 of corp"),
        (Fault::CustomRules, "TR05", "In from AD - Sales"),
        (Fault::GroupFilter, "TR06", "there is one"),
        (Fault::CustomPrincipalName, "TR07", "mail"),
        (Fault::DirectoryExtensions, "TR08", "DirectoryExtension"),
        (Fault::DeviceSync, "TR09", "DeviceWriteUp"),
        (Fault::DeviceWriteback, "TR10", "DeviceWriteBack"),
    ];
    for (fault, id, read) in broken {
        let (conclusion, journal) = checked(&mut server(&[fault]));
        assert!(failed(&conclusion).contains(id), "{fault:?}");
        let failing: Vec<String> = journal
            .iter()
            .filter_map(|event| match event {
                Event::Probed { findings, .. } => Some(findings),
                _ => None,
            })
            .flatten()
            .filter(|finding| finding.verdict != Verdict::Pass)
            .map(|finding| finding.id.clone())
            .collect();
        assert_eq!(failing, [id], "{fault:?}");
        let seen = finding(&journal, id).unwrap();
        assert!(seen.blocks() && seen.read.contains(read), "{seen:?}");
        assert!(!seen.fix.is_empty());
        let mut one = server(&[fault]);
        let (conclusion, journal, _) = moved(vec![guide()], &mut one, None, false, |_, one| one);
        assert!(failed(&conclusion).contains(id), "{fault:?}");
        assert!(tasks(&journal).is_empty() && one.changes.is_empty());
    }
    let old = Version::new(2, 6, 84, 0);
    let (conclusion, _) = checked(&mut server_of(old, false, tenant(), &[]));
    assert!(failed(&conclusion).contains("TR01"));
}

#[test]
fn the_task_is_never_opened_on_a_staging_server() {
    let mut staging = server_of(SINCE, true, tenant(), &[]);
    let (conclusion, journal, _) = moved(vec![guide()], &mut staging, None, false, |_, one| one);
    assert!(failed(&conclusion).contains("TR11"), "{conclusion:?}");
    assert!(tasks(&journal).is_empty() && staging.changes.is_empty());
    // Nor where nobody can tell: the engine of a fenced one does not answer.
    let mut fenced = server(&[]);
    drive(vec![Step::FenceConnect], &mut fenced, None);
    fenced.changes.clear();
    let (conclusion, journal, _) = moved(vec![guide()], &mut fenced, None, false, |_, one| one);
    assert!(failed(&conclusion).contains("TR11"), "{conclusion:?}");
    assert!(tasks(&journal).is_empty() && fenced.changes.is_empty());
}

#[test]
fn what_cannot_be_told_is_looked_at_by_a_named_person_before_the_wizard() {
    let mut one = server(&[Fault::SettingsUnreadable, Fault::DirectoryUnreadable]);
    let (conclusion, journal, _) = moved(steps(), &mut one, None, false, |_, one| one);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(titles(&journal), ["doubts", "wizard", "afterwards"]);
    for id in ["TR03", "TR05"] {
        let seen = finding(&journal, id).unwrap();
        assert_eq!(seen.verdict, Verdict::CannotTell, "{seen:?}");
        assert!(!seen.blocks() && !seen.fix.is_empty());
    }
    assert_eq!(tasks(&journal)[0].1, 2, "a page for each");
    let check = &conclusion.steps[0].summary;
    assert!(check.contains("a person looks at TR03, TR05"), "{check}");
    let summary = &conclusion.steps[1].summary;
    assert!(summary.contains("of TR03, TR05, anna says"), "{summary}");
}

/// The person leaves the wizard half way and says that it is done: what can be read says otherwise.
#[test]
fn a_wizard_that_stopped_half_way_is_told_by_what_is_missing() {
    for (fault, id, says, passes) in [
        (
            Fault::TransitionStopsHalfWay,
            "TR12",
            "Connect is still active",
            "TR13",
        ),
        (
            Fault::TransitionLeavesNoAgent,
            "TR13",
            "nothing synchronizes the tenant",
            "TR12",
        ),
    ] {
        let mut one = server(&[fault]);
        let (conclusion, journal, _) = moved(steps(), &mut one, None, true, |_, one| one);
        let why = failed(&conclusion);
        assert!(why.contains(says), "{fault:?}: {why}");
        let seen = finding(&journal, id).unwrap();
        assert_eq!(seen.verdict, Verdict::Fail, "{seen:?}");
        assert!(!seen.fix.is_empty());
        assert_eq!(finding(&journal, passes).unwrap().verdict, Verdict::Pass);
        assert_eq!(titles(&journal), ["wizard"], "nobody is asked for counts");
    }
}

/// Whoever says so of a wizard that stopped hears why, as far as the wizard's trace or the agent's own logs show it.
#[test]
fn a_wizard_that_stopped_half_way_fails_with_the_known_error_that_the_logs_show() {
    for (faults, id, known, line) in [
        (
            &[Fault::LogonAsServiceRefused][..],
            "TR13",
            "KE18",
            "requested logon type",
        ),
        (
            &[Fault::TransitionStopsHalfWay, Fault::WizardTraceErrors],
            "TR12",
            "KC03",
            "Unable to validate credentials",
        ),
        (
            &[Fault::TransitionLeavesNoAgent, Fault::WizardTraceErrors],
            "TR13",
            "KC03",
            "Unable to validate credentials",
        ),
    ] {
        let mut one = server(faults);
        let (_, journal, _) = moved(vec![guide()], &mut one, None, true, |_, one| one);
        let failure = journal.iter().find_map(|event| match event {
            Event::StepFailed { failure, .. } => Some(failure),
            _ => None,
        });
        let failure = failure.unwrap();
        assert_eq!(failure.known.as_ref().unwrap().id, known, "{faults:?}");
        assert!(failure.lines[0].contains(line), "{:?}", failure.lines);
        let seen = finding(&journal, id).unwrap();
        assert!(
            seen.fix.contains(known) && seen.read.contains(line),
            "{seen:?}"
        );
        assert!(!seen.read.contains("admin@"), "{seen:?}");
    }
}

#[test]
fn an_open_wizard_is_not_at_its_end() {
    let mut one = server(&[Fault::SchedulerSuspended]);
    let (conclusion, journal, _) = moved(steps(), &mut one, None, true, |_, one| one);
    assert!(
        failed(&conclusion).contains("the wizard is open"),
        "{conclusion:?}"
    );
    assert_eq!(finding(&journal, "TR12").unwrap().verdict, Verdict::Fail);
}

/// G9: an agent of another tenant ends it, whoever says what.
#[test]
fn a_wizard_that_registered_elsewhere_fails() {
    let other: TenantId = "77aa0000-0000-0000-0000-000000000000".parse().unwrap();
    let mut one = server_of(SINCE, false, other, &[]);
    let (conclusion, journal, _) = moved(steps(), &mut one, None, false, |_, one| one);
    let why = failed(&conclusion);
    assert!(
        why.contains("another tenant") && why.contains("G9"),
        "{why}"
    );
    assert_eq!(titles(&journal), ["wizard"]);
}

/// Where nothing can be read a person's word stands, with their name.
#[test]
fn where_nothing_shows_of_the_end_it_is_attested_by_name() {
    let mut one = server(&[]);
    let unread = |op: &Op, outcome: Outcome| match op {
        Op::Service { name } if name == agent_core::product::AGENT_SERVICE => {
            Outcome::Failed("denied".to_owned())
        }
        _ => outcome,
    };
    let (conclusion, journal, _) = moved(vec![guide()], &mut one, None, true, unread);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert!(matches!(conclusion.steps[0].ending, StepEnding::Attested));
    assert!(conclusion.steps[0].summary.contains("attested by anna"));
    assert_eq!(
        finding(&journal, "TR13").unwrap().verdict,
        Verdict::CannotTell
    );
}
