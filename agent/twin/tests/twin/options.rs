//! Options of the agent's service are set and survive updates; domains are added to an agent that is registered.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use agent_core::op::{Op, Outcome};
use agent_core::run::{Action, Conclusion};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Completion, Event, Finding, Verdict};
use protocol::options::ServiceOptions;
use protocol::signed::{Ending, StepEnding};
use protocol::step::{
    AddDomains, Cloud, DirectoryRights, InstallProvisioningAgent, Permission, ServedDomain,
    SetProvisioningAgentOptions, SignIn, Step, VerifyProvisioningAgent,
};
use protocol::{Digest, Version};

use crate::common::{NEWEST, drive, drive_beside, drive_with, target, tenant, text};

const OLD: Version = Version::new(1, 1, 1300, 0);

fn server(installed: Installed, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed,
        person: None,
        faults: faults.iter().copied().collect(),
    })
}

fn serving(version: Version, faults: &[Fault]) -> Twin {
    let mut twin = server(
        Installed::ProvisioningAgent {
            version,
            tenant: tenant(),
        },
        &[],
    );
    twin.set_faults(faults.iter().copied().collect());
    twin
}

fn wanted() -> ServiceOptions {
    ServiceOptions {
        proxy: Some("http://proxy.contoso.com:8080".parse().unwrap()),
        fips_exempt: true,
        ldap_timeout_millis: Some(60_000),
        referral_chasing: true,
    }
}

fn set() -> Step {
    Step::SetProvisioningAgentOptions(SetProvisioningAgentOptions { options: wanted() })
}

fn verify() -> Step {
    Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
        tenant: tenant(),
        at_least: OLD,
        gmsa: None,
        own_rights: None,
        options: wanted(),
        soaked_seconds: None,
    })
}

fn findings(journal: &[Event]) -> BTreeMap<String, Finding> {
    let probed = journal.iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings.clone()),
        _ => None,
    });
    probed.flatten().map(|one| (one.id.clone(), one)).collect()
}

fn why(conclusion: &Conclusion) -> &str {
    match &conclusion.ending {
        Ending::Failed(why) | Ending::Inconclusive(why) => why,
        other => panic!("it ended: {other:?}"),
    }
}

#[test]
fn options_are_set_with_what_was_before_and_the_service_is_restarted_under_leave_once() {
    let mut twin = serving(NEWEST, &[]);
    let (conclusion, journal, _) = drive(vec![verify()], &mut twin, None);
    assert!(why(&conclusion).contains("PV16"), "{conclusion:?}");
    assert_eq!(findings(&journal)["PV17"].verdict, Verdict::Fail);
    let (conclusion, journal, _) = drive(vec![set(), verify()], &mut twin, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(conclusion.steps[0].ending, StepEnding::Applied);
    let entered = journal.iter();
    let entered = entered.filter(|event| matches!(event, Event::SectionEntered { .. }));
    assert_eq!(entered.count(), 1);
    assert_eq!(
        twin.changes,
        [
            "owes RestartOfProvisioningAgent",
            "edit AADConnectProvisioningAgent.exe.config",
            "set LdapConnectionTimeoutInMilliseconds",
            "set ReferralChasingOptions",
            "restart AADConnectProvisioningAgent",
            "owes no more RestartOfProvisioningAgent",
        ]
    );
    let told = journal.iter().find_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings.clone()),
        _ => None,
    });
    assert!(told.unwrap()[0].read.contains("(before: none)"));
    let before = twin.changes.len();
    let (conclusion, ..) = drive(vec![set(), verify()], &mut twin, None);
    assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
    assert_eq!(twin.changes.len(), before, "nothing is done twice");
}

/// Before the agent is registered nobody depends on it: no leave is asked for.
#[test]
fn an_agent_that_does_not_serve_yet_needs_no_leave() {
    let mut twin = server(Installed::Unregistered { version: NEWEST }, &[]);
    let (conclusion, journal, _) = drive(vec![set()], &mut twin, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(
        !journal
            .iter()
            .any(|event| matches!(event, Event::SectionEntered { .. }))
    );
}

/// Updates from before 1.1.1365.0 may bring a file of their own (1.11 [R]).
#[test]
fn options_come_through_an_update_that_forgets_them() {
    let update = |at_least| {
        Step::InstallProvisioningAgent(InstallProvisioningAgent {
            artifact: Digest::of(b"setup"),
            cloud: Cloud::Commercial,
            at_least,
            environment: None,
        })
    };
    let kept = Version::new(1, 1, 1586, 0);
    for (from, ending) in [(OLD, StepEnding::Applied), (kept, StepEnding::AlreadySo)] {
        let mut twin = serving(from, &[]);
        drive(vec![set()], &mut twin, None);
        let (conclusion, ..) = drive(vec![update(NEWEST), set(), verify()], &mut twin, None);
        assert_eq!(conclusion.ending, Ending::Completed);
        assert_eq!(conclusion.steps[1].ending, ending, "{from}");
    }
    // Nobody sets them again: what was edited is gone, and the verification that wants it says so.
    let mut twin = serving(OLD, &[]);
    drive(vec![set()], &mut twin, None);
    let (conclusion, ..) = drive(vec![update(NEWEST), verify()], &mut twin, None);
    assert!(why(&conclusion).contains("PV16"), "{conclusion:?}");
}

#[test]
fn a_cut_ends_as_without_it_and_the_service_knows_what_was_set() {
    let mut whole = serving(NEWEST, &[]);
    let (_, _, actions) = drive(vec![set(), verify()], &mut whole, None);
    for cut in 0..actions {
        let mut twin = serving(NEWEST, &[]);
        let (conclusion, ..) = drive(vec![set(), verify()], &mut twin, Some(cut));
        assert_eq!(conclusion.ending, Ending::Completed, "cut {cut}");
        let place = |what: &str| {
            twin.changes
                .iter()
                .rposition(|change| change.starts_with(what))
        };
        assert!(
            place("restart") > place("edit") && place("restart") > place("set Referral"),
            "cut {cut}: {:?}",
            twin.changes
        );
        let edits = twin.changes.iter().filter(|what| what.starts_with("edit"));
        assert_eq!(edits.count(), 1, "cut {cut}");
    }
}

#[test]
fn each_fault_of_the_options_says_what_where_and_leaves_the_file_alone() {
    for (fault, said) in [
        (
            Fault::ConfigurationReadOnly,
            "could not be written: access is denied",
        ),
        (Fault::ServiceStopped, "the service did not come back"),
    ] {
        let mut twin = serving(NEWEST, &[fault]);
        // A service that does not start again was running before.
        let instead = |op: &Op, outcome: Outcome| match (op, outcome) {
            (Op::Service { .. }, Outcome::Service(Some(mut service))) => {
                service.state = protocol::facts::ServiceState::Running;
                Outcome::Service(Some(service))
            }
            (_, outcome) => outcome,
        };
        let (conclusion, ..) = drive_with(vec![set()], &mut twin, None, "value", instead);
        assert!(why(&conclusion).contains(said), "{conclusion:?}");
    }
    let mut twin = server(
        Installed::Unregistered { version: NEWEST },
        &[Fault::ConfigurationBroken],
    );
    let (conclusion, ..) = drive(vec![set()], &mut twin, None);
    assert!(matches!(conclusion.ending, Ending::Inconclusive(_)));
    assert!(why(&conclusion).contains("is no XML"), "{conclusion:?}");
    assert!(twin.changes.is_empty());
}

fn added(sign_in: SignIn, permissions: Vec<Permission>) -> Step {
    Step::AddDomains(AddDomains {
        tenant: tenant(),
        sign_in,
        proxy: None,
        domains: vec![ServedDomain {
            name: "emea.corp.contoso.com".parse().unwrap(),
            preferred_dcs: Vec::new(),
            rights: DirectoryRights::Ask,
            permissions,
        }],
        wizard: text(),
    })
}

#[test]
fn a_domain_is_added_and_its_rights_granted_and_nothing_else_of_the_agent_changes() {
    let rights = vec![Permission::BasicRead, Permission::PasswordWriteback];
    let mut twin = serving(NEWEST, &[]);
    let (conclusion, journal, _) = drive(vec![added(SignIn::Token, rights)], &mut twin, None);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(twin.domains(), ["emea.corp.contoso.com"]);
    assert_eq!(
        twin.changes,
        [
            "add domain emea.corp.contoso.com",
            "grant BasicRead in emea.corp.contoso.com",
            "grant PasswordWriteBack in emea.corp.contoso.com",
        ]
    );
    assert_eq!(findings(&journal)["PV10"].verdict, Verdict::Pass);
    let asked = journal
        .iter()
        .filter(|event| matches!(event, Event::SecretAsked { .. }));
    assert_eq!(
        asked.count(),
        2,
        "the token, and the administrator of the domain"
    );
}

/// A right that is written later is given in a domain that the agent serves already; what it has is given without a change.
#[test]
fn a_domain_that_is_there_is_given_the_rights_that_came_to_be_written() {
    let first = vec![Permission::BasicRead];
    let more = vec![Permission::BasicRead, Permission::UserGroupCreateDelete];
    let mut twin = serving(NEWEST, &[]);
    let (conclusion, ..) = drive(vec![added(SignIn::Token, first)], &mut twin, None);
    assert!(
        conclusion.steps[0]
            .summary
            .starts_with("added: emea.corp.contoso.com;")
    );
    let before = twin.changes.len();
    let (conclusion, ..) = drive(vec![added(SignIn::Token, more)], &mut twin, None);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(
        twin.changes[before..],
        ["grant UserGroupCreateDelete in emea.corp.contoso.com"]
    );
    assert!(
        conclusion.steps[0]
            .summary
            .starts_with("there already, and given its written rights: emea.corp.contoso.com;"),
        "{conclusion:?}"
    );
    assert_eq!(twin.domains(), ["emea.corp.contoso.com"]);
}

/// A credential that will not do is no cmdlet's to find out: leave is not asked for, nothing is changed, and the finding says
/// what is wrong with it.
#[test]
fn a_credential_that_will_not_do_is_not_given_to_a_cmdlet() {
    for (fault, said) in [
        (Fault::CredentialExpired, "the password has expired"),
        (Fault::CredentialEnds, "its password ends 2026-09-21T"),
        (
            Fault::CredentialOfNobody,
            "neither in Domain Admins of emea.corp.contoso.com nor in Enterprise Admins",
        ),
    ] {
        let mut twin = serving(NEWEST, &[fault]);
        let (tried, ran) = (std::cell::Cell::new(0), std::cell::Cell::new(false));
        let step = added(SignIn::Token, Vec::new());
        let (conclusion, journal, _) =
            drive_with(vec![step], &mut twin, None, "value", |op, outcome| {
                if op.secrets().len() == 1 && matches!(op, Op::Search(_)) {
                    tried.set(tried.get() + 1);
                }
                // A module is asked for its cmdlets beforehand, and is given nothing.
                let given = matches!(op, Op::Script { .. }) && !op.secrets().is_empty();
                ran.set(ran.get() || given);
                outcome
            });
        let why = why(&conclusion);
        assert!(
            why.contains("PF53") && why.contains(said),
            "{fault:?}: {why}"
        );
        assert!(!ran.get() && twin.changes.is_empty(), "{fault:?}");
        let told = &findings(&journal)["PF53"];
        assert!(told.blocks() && told.what.contains("(emea.corp.contoso.com)"));
        let asked = |event: &Event| matches!(event, Event::SectionEntered { .. });
        assert!(
            !journal.iter().any(asked),
            "{fault:?}: no outage for nothing"
        );
        if fault == Fault::CredentialExpired {
            // Each try counts towards a lockout.
            assert_eq!(tried.get(), 1);
        }
    }
}

/// Without TLS the credential is not tried at all: that is no reason to stop, since the cmdlet has its own way.
#[test]
fn a_credential_that_cannot_be_tried_over_tls_is_told_as_not_tried() {
    let mut twin = serving(NEWEST, &[Fault::LdapsBlocked]);
    let step = added(SignIn::Token, Vec::new());
    let (conclusion, journal, _) = drive(vec![step], &mut twin, None);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    let told = &findings(&journal)["PF53"];
    assert_eq!(told.verdict, Verdict::CannotTell);
    assert!(!told.blocks() && told.read.contains("without TLS nothing is sent"));
    // Where one will do, it says for how long.
    let step = added(SignIn::Token, Vec::new());
    let (_, journal, _) = drive(vec![step], &mut serving(NEWEST, &[]), None);
    let told = &findings(&journal)["PF53"];
    assert_eq!(told.verdict, Verdict::Pass);
    assert!(
        told.read.ends_with("in Domain Admins; nothing of it ends"),
        "{told:?}"
    );
    assert!(
        !format!("{journal:?}").contains("value\""),
        "the password is in no event"
    );
}

#[test]
fn a_cut_while_a_domain_is_added_adds_it_once() {
    let step = || vec![added(SignIn::Token, Vec::new())];
    let mut whole = serving(NEWEST, &[]);
    let (_, _, actions) = drive(step(), &mut whole, None);
    for cut in 0..actions {
        let mut twin = serving(NEWEST, &[]);
        let (conclusion, ..) = drive(step(), &mut twin, Some(cut));
        assert_eq!(conclusion.ending, Ending::Completed, "cut {cut}");
        assert_eq!(
            twin.changes,
            ["add domain emea.corp.contoso.com"],
            "cut {cut}"
        );
    }
}

#[test]
fn rights_that_are_refused_stop_the_step_at_the_cmdlet() {
    let mut twin = serving(NEWEST, &[Fault::PermissionsRefused]);
    let step = added(SignIn::Token, vec![Permission::All]);
    let (conclusion, ..) = drive(vec![step], &mut twin, None);
    let why = why(&conclusion);
    assert!(
        why.contains("Set-AADCloudSyncPermissions") && why.contains("Access is denied"),
        "{why}"
    );
}

/// At the wizard no probe sees it: only a named person ends it, and the receipt says so.
#[test]
fn at_the_wizard_a_persons_word_is_all_there_is() {
    let mut twin = serving(NEWEST, &[]);
    let attested = std::cell::Cell::new(false);
    let steps = vec![added(SignIn::Wizard, Vec::new())];
    let (conclusion, journal, _) = drive_beside(
        steps,
        &mut twin,
        None,
        "value",
        |action, _| {
            if let Action::Perform {
                op: Op::Wait { .. },
                ..
            } = action
            {
                attested.set(true);
            }
        },
        |op, outcome| match op {
            Op::Wait { .. } => Outcome::Attested {
                by: "anna".to_owned(),
            },
            _ => outcome,
        },
    );
    assert!(attested.get());
    // The wizard restarts the service as well: others must serve meanwhile.
    let entered = journal
        .iter()
        .position(|event| matches!(event, Event::SectionEntered { .. }));
    let shown = journal
        .iter()
        .position(|event| matches!(event, Event::TaskOpened { .. }));
    assert!(entered.is_some() && entered < shown, "{journal:?}");
    assert_eq!(conclusion.ending, Ending::Completed);
    let ended = journal.iter().find_map(|event| match event {
        Event::StepCompleted { completion, .. } => Some(completion.clone()),
        _ => None,
    });
    assert_eq!(
        ended,
        Some(Completion::Attested {
            by: "anna".to_owned()
        })
    );
}

#[test]
fn an_agent_that_is_not_registered_gets_no_domain() {
    let mut twin = server(Installed::Unregistered { version: NEWEST }, &[]);
    let (conclusion, ..) = drive(vec![added(SignIn::Token, Vec::new())], &mut twin, None);
    assert!(why(&conclusion).contains("not registered"));
    assert!(twin.changes.is_empty());
}

#[test]
fn a_service_that_was_restarted_while_it_soaked_fails_with_its_probe() {
    for (faults, verdict) in [
        (&[][..], Verdict::Pass),
        (&[Fault::ServiceRestarts], Verdict::Fail),
    ] {
        let mut twin = serving(NEWEST, faults);
        let step = Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
            tenant: tenant(),
            at_least: OLD,
            gmsa: None,
            own_rights: None,
            options: ServiceOptions::default(),
            soaked_seconds: Some(600),
        });
        let (conclusion, journal, _) = drive(vec![step], &mut twin, None);
        assert_eq!(findings(&journal)["PV07"].verdict, verdict);
        assert_eq!(
            conclusion.ending == Ending::Completed,
            verdict == Verdict::Pass
        );
    }
}

/// A service that does not come back is no success: a retry restarts it once more, though everything reads as wanted.
#[test]
fn a_restart_that_failed_is_owed_to_the_next_try() {
    let mut twin = serving(NEWEST, &[]);
    let down = std::cell::Cell::new(true);
    let fails = |op: &Op, outcome: Outcome| match op {
        Op::RestartService { .. } if down.get() => Outcome::Failed("it did not start".to_owned()),
        _ => outcome,
    };
    let (conclusion, ..) = drive_with(vec![set()], &mut twin, None, "value", fails);
    assert!(why(&conclusion).contains("a retry restarts it once more"));
    // Who only looks is told that the service may not know them.
    let (conclusion, journal, _) = drive(vec![verify()], &mut twin, None);
    assert!(why(&conclusion).contains("PV16"), "{conclusion:?}");
    assert!(
        findings(&journal)["PV16"]
            .read
            .contains("could not be read")
    );
    down.set(false);
    let before = twin.changes.len();
    let (conclusion, ..) = drive_with(vec![set(), verify()], &mut twin, None, "value", fails);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert!(twin.changes[before..].contains(&"restart AADConnectProvisioningAgent".to_owned()));
    assert!(
        !twin.changes[before..]
            .iter()
            .any(|change| change.starts_with("edit"))
    );
}

/// A proxy that a hand wrote in another form than the product's page shows is in use: it is told, held against what an upgrade leaves, and
/// replaced only where the topology names one.
#[test]
fn a_proxy_of_another_form_is_told_and_an_upgrade_that_loses_it_fails() {
    const HAND: &str = "<configuration><system.net><defaultProxy enabled=\"true\"><proxy proxyaddress=\"https://proxy.contoso.com:8443\"/></defaultProxy></system.net></configuration>";
    let update = || {
        Step::InstallProvisioningAgent(InstallProvisioningAgent {
            artifact: Digest::of(b"setup"),
            cloud: Cloud::Commercial,
            at_least: NEWEST,
            environment: None,
        })
    };
    let plain = || {
        Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
            tenant: tenant(),
            at_least: OLD,
            gmsa: None,
            own_rights: None,
            options: ServiceOptions::default(),
            soaked_seconds: None,
        })
    };
    let kept = Version::new(1, 1, 1365, 0);
    for (before, keeps) in [(OLD, false), (kept, true)] {
        let mut twin = serving(before, &[]);
        twin.edit_configuration(HAND);
        let (conclusion, ..) = drive(vec![update()], &mut twin, None);
        let step = &conclusion.steps[0];
        let ending = if keeps {
            StepEnding::Applied
        } else {
            StepEnding::Failed
        };
        assert_eq!(step.ending, ending, "{conclusion:?}");
        assert!(
            step.summary.contains("https://proxy.contoso.com:8443"),
            "{step:?}"
        );
    }
    let mut twin = serving(NEWEST, &[]);
    twin.edit_configuration(HAND);
    let (conclusion, journal, _) = drive(vec![plain()], &mut twin, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let told = &findings(&journal)["PV16"];
    assert_eq!(told.verdict, Verdict::CannotTell);
    assert!(told.read.contains("8443"), "{told:?}");
    let (conclusion, ..) = drive(vec![set()], &mut twin, None);
    let summary = &conclusion.steps[0].summary;
    assert!(
        summary.contains("in place of") && summary.contains("8443"),
        "{summary}"
    );
    let (conclusion, journal, _) = drive(vec![verify()], &mut twin, None);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(findings(&journal)["PV16"].verdict, Verdict::Pass);
}
