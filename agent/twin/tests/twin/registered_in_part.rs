//! A registration that ends between its account and its domains: the server shows a tenant and a service account then, and no domain.
//! What comes after goes on from there, and does not take that for the whole.

use std::collections::BTreeSet;

use agent_core::op::{Op, Outcome, Script};
use agent_core::run::Action;
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::ServiceOptions;
use protocol::event::{Completion, Event, Grade};
use protocol::signed::{Ending, StepEnding};
use protocol::step::{
    DirectoryRights, Permission, RegisterProvisioningAgent, ServedDomain, Step,
    VerifyProvisioningAgent,
};

use crate::common::{NEWEST, drive, drive_beside, target, tenant};
use crate::orders::register;

const DOMAIN: &str = "corp.contoso.com";

/// Adds one domain, whose administrator has handed over what it takes.
fn steps(rights: DirectoryRights) -> Vec<Step> {
    let Step::RegisterProvisioningAgent(register) = register() else {
        unreachable!()
    };
    vec![Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
        domains: vec![ServedDomain {
            name: register.home_domain.clone(),
            preferred_dcs: Vec::new(),
            rights,
            permissions: match rights {
                DirectoryRights::Ask => vec![Permission::BasicRead],
                DirectoryRights::Handover => Vec::new(),
            },
        }],
        ..register
    })]
}

fn verify() -> Step {
    Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
        tenant: tenant(),
        at_least: NEWEST,
        gmsa: None,
        own_rights: None,
        options: ServiceOptions::default(),
        soaked_seconds: None,
    })
}

fn server(faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::Unregistered { version: NEWEST },
        person: None,
        faults: faults.iter().copied().collect(),
    })
}

/// It fails at the domain, or at the rights in it; the next try adds what is missing.
#[test]
fn a_registration_that_failed_behind_its_account_is_gone_on_with() {
    for (fault, rights) in [
        (Fault::DirectorySlow, DirectoryRights::Handover),
        (Fault::OtherJsonAssembly, DirectoryRights::Handover),
        (Fault::DomainCredentialDemanded, DirectoryRights::Handover),
        (Fault::PermissionsRefused, DirectoryRights::Ask),
    ] {
        let mut server = server(&[fault]);
        let (conclusion, ..) = drive(steps(rights), &mut server, None);
        assert_ne!(conclusion.ending, Ending::Completed, "{fault:?}");
        assert!(server.serves(), "{fault:?}: the account was set before");
        // It is tried again while that lasts: nothing is taken for done.
        let (conclusion, ..) = drive(steps(rights), &mut server, None);
        assert_ne!(conclusion.ending, Ending::Completed, "{fault:?}");
        server.set_faults(BTreeSet::new());
        let (conclusion, ..) = drive(steps(rights), &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{fault:?}");
        assert_eq!(conclusion.steps[0].ending, StepEnding::Applied, "{fault:?}");
        assert_eq!(server.domains(), [DOMAIN], "{fault:?}");
        if rights == DirectoryRights::Ask {
            let granted = format!("grant BasicRead in {DOMAIN}");
            assert!(server.changes.contains(&granted), "{:?}", server.changes);
        }
        // What has come to its end is not done once more.
        let changes = server.changes.clone();
        let (conclusion, ..) = drive(steps(rights), &mut server, None);
        assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
        assert_eq!(server.changes, changes);
    }
}

/// It shows a tenant, an account and a running service, and serves nothing: whoever verifies it sees that.
#[test]
fn a_registration_that_failed_behind_its_account_is_verified_as_unfinished() {
    for (fault, rights) in [
        (Fault::DirectorySlow, DirectoryRights::Handover),
        (Fault::DomainCredentialDemanded, DirectoryRights::Handover),
        (Fault::PermissionsRefused, DirectoryRights::Ask),
    ] {
        let mut server = server(&[fault]);
        drive(steps(rights), &mut server, None);
        server.set_faults(BTreeSet::new());
        let changes = server.changes.clone();
        let (conclusion, journal, _) = drive(vec![verify()], &mut server, None);
        assert!(
            matches!(&conclusion.ending, Ending::Failed(why) if why.contains("PV06")),
            "{fault:?}: {:?}",
            conclusion.ending
        );
        assert_ne!(conclusion.grade, Some(Grade::Registered), "{fault:?}");
        let finding = journal.iter().find_map(|event| {
            let Event::StepFailed { failure, .. } = event else {
                return None;
            };
            failure.findings.iter().find(|one| one.id == "PV06")
        });
        let finding = finding.expect("it is told");
        assert!(finding.read.contains("not come to its end"), "{finding:?}");
        assert!(finding.fix.contains("plan again"), "{finding:?}");
        assert_eq!(server.changes, changes, "it only looks");
        // What is gone on with is whole.
        drive(steps(rights), &mut server, None);
        let (conclusion, ..) = drive(vec![verify()], &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{fault:?}");
    }
}

/// It is set anew under another account, and that is broken off behind the account: what it served it serves still, and nobody takes it out of
/// service without leave.
#[test]
fn an_agent_that_is_registered_anew_counts_as_one_that_serves_where_that_was_broken_off() {
    for (installed, serves) in [
        (Installed::Unregistered { version: NEWEST }, false),
        (
            Installed::ProvisioningAgent {
                version: NEWEST,
                tenant: tenant(),
            },
            true,
        ),
    ] {
        let mut twin = Twin::new(Profile {
            target: target(),
            installed,
            person: None,
            faults: [Fault::DirectorySlow].into(),
        });
        let Step::RegisterProvisioningAgent(register) = steps(DirectoryRights::Handover).remove(0)
        else {
            unreachable!()
        };
        let anew = Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
            gmsa: "svcOther$".parse().ok(),
            ..register
        });
        for _ in 0..2 {
            let (conclusion, journal, _) = drive(vec![anew.clone()], &mut twin, None);
            assert_ne!(conclusion.ending, Ending::Completed);
            let last = journal.iter().rev().find_map(|event| {
                if let Event::FactsReported(facts) = event {
                    facts.provisioning_agent.clone()
                } else {
                    None
                }
            });
            let last = last.expect("it reports what it has become");
            assert!(last.owes_registration.is_some(), "{last:?}");
            assert_eq!(last.serves(), serves, "{last:?}");
            let out = |event: &Event| matches!(event, Event::SectionEntered { section, .. } if section.outage);
            assert_eq!(journal.iter().any(out), serves, "{serves}");
        }
    }
}

/// The agent ends while the cmdlets run, and they with it, behind the account and before the domain.
#[test]
fn a_registration_that_was_killed_behind_its_account_is_gone_on_with() {
    let at_cmdlets = |action: &Action| {
        matches!(
            action,
            Action::Perform {
                op: Op::Script {
                    script: Script::ConfigureProvisioningAgent,
                    ..
                },
                ..
            }
        )
    };
    let whole = {
        let mut server = server(&[]);
        let (.., actions) = drive(steps(DirectoryRights::Handover), &mut server, None);
        actions
    };
    let mut seen = false;
    for cut in 0..whole {
        let mut one = server(&[]);
        // The cmdlets run as far as the account in the moment before the agent ends, where they are what comes next.
        let in_part = std::cell::Cell::new(false);
        let counted = std::cell::Cell::new(0);
        let (conclusion, journal, _) = drive_beside(
            steps(DirectoryRights::Handover),
            &mut one,
            Some(cut),
            "value",
            |action, twin| {
                let now = counted.replace(counted.get() + 1);
                // The model breaks off by a fault that is gone again once it has.
                if now + 1 == cut && at_cmdlets(action) {
                    twin.set_faults([Fault::DirectorySlow].into());
                    in_part.set(true);
                } else {
                    twin.set_faults(BTreeSet::new());
                }
            },
            |_, outcome| outcome,
        );
        assert_eq!(conclusion.ending, Ending::Completed, "cut at {cut}");
        assert_eq!(one.domains(), [DOMAIN], "cut at {cut}");
        let applied = |event: &Event| matches!(event, Event::StepCompleted { completion, .. } if *completion == Completion::Applied);
        assert!(
            !in_part.get() || journal.iter().any(applied),
            "cut at {cut}: {journal:?}"
        );
        seen |= in_part.get();
    }
    assert!(seen, "no cut falls behind the cmdlets");
}

/// A policy that records parameters has come since: a person does it at the wizard, and what the cmdlets left is not taken for that.
#[test]
fn what_cmdlets_left_is_not_taken_for_a_persons_work() {
    let mut server = server(&[Fault::DirectorySlow]);
    let (conclusion, ..) = drive(steps(DirectoryRights::Handover), &mut server, None);
    assert_ne!(conclusion.ending, Ending::Completed);
    server.set_faults([Fault::ModuleLogging].into());
    let mut story = crate::orders::Story::on(server, steps(DirectoryRights::Handover));
    let Some(Action::AskPermit { step, attempt, .. }) = story.until(crate::orders::asks_leave)
    else {
        panic!("no leave was asked for")
    };
    story.run.handle_permit(
        step,
        attempt,
        crate::common::leave(None),
        crate::common::NOW,
    );
    let waits = |action: &Action| {
        matches!(
            action,
            Action::Perform {
                op: Op::Wait { .. },
                ..
            }
        )
    };
    let Some(Action::Perform { number, .. }) = story.until(waits) else {
        panic!("it does not wait for a person's word")
    };
    let shown = story.journal.iter().find_map(|event| {
        if let Event::TaskOpened { text, .. } = event {
            Some(text.seen_by.clone())
        } else {
            None
        }
    });
    assert!(shown.is_some_and(|by| by.starts_with("no probe")));
    let now = story.now;
    story.run.handle_outcome(number, Outcome::Done, now);
    story.run.handle_attested(step, "anna".to_owned());
    let conclusion = story.conclusion().expect("it ends");
    assert_eq!(conclusion.steps[0].ending, StepEnding::Attested);
    // What she did is whole: nobody does it once more.
    let mut server = story.twin;
    let (conclusion, ..) = drive(steps(DirectoryRights::Handover), &mut server, None);
    assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
}
