//! The module of an installed agent is asked which cmdlets and parameters it has, before a secret is asked for and before anything is
//! touched. What it lacks ends the step with the words that are true; what it has besides is told.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use agent_core::op::{Op, Outcome, Script};
use agent_core::run::{Action, Conclusion};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, Finding, Severity, Verdict};
use protocol::signed::{Ending, StepEnding};
use protocol::step::{
    AddDomains, Cloud, DirectoryRights, Permission, RegisterProvisioningAgent, ServedDomain,
    SignIn, Step, VerifyProvisioningAgent,
};
use protocol::{ServiceOptions, Version};
use serde_json::{Value, json};

use crate::common::{NEWEST, drive_beside, target, tenant, text};

fn domain(rights: DirectoryRights, permissions: &[Permission]) -> ServedDomain {
    ServedDomain {
        name: "corp.contoso.com".parse().unwrap(),
        preferred_dcs: Vec::new(),
        rights,
        permissions: permissions.to_vec(),
    }
}

fn register(sign_in: SignIn, served: ServedDomain) -> Step {
    Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
        target: target(),
        tenant: tenant(),
        cloud: Cloud::Commercial,
        sign_in,
        gmsa: Some("svcEntraSync$".parse().unwrap()),
        home_domain: "corp.contoso.com".parse().unwrap(),
        domains: vec![served],
        proxy: None,
        wizard: text(),
    })
}

fn add(sign_in: SignIn) -> Step {
    Step::AddDomains(AddDomains {
        tenant: tenant(),
        sign_in,
        proxy: None,
        domains: vec![domain(DirectoryRights::Ask, &[])],
        wizard: text(),
    })
}

/// A server whose agent was installed, and registered where that is asked.
fn server(registered: bool, faults: &[Fault]) -> Twin {
    let version = NEWEST;
    let installed = if registered {
        let tenant = tenant();
        Installed::ProvisioningAgent { version, tenant }
    } else {
        Installed::Unregistered { version }
    };
    Twin::new(Profile {
        target: target(),
        installed,
        person: Some(tenant()),
        faults: faults.iter().copied().collect(),
    })
}

type Told = (Conclusion, Vec<Event>);

fn run(
    step: Step,
    twin: &mut Twin,
    beside: impl Fn(&Action, &mut Twin),
    instead: impl Fn(&mut Vec<Value>),
) -> Told {
    let (conclusion, journal, _) = drive_beside(
        vec![step],
        twin,
        None,
        "value",
        beside,
        |op, outcome| match (op, outcome) {
            (
                Op::Script {
                    script: Script::ReadModule,
                    ..
                },
                Outcome::Script { mut lines },
            ) => {
                instead(&mut lines);
                Outcome::Script { lines }
            }
            (_, outcome) => outcome,
        },
    );
    (conclusion, journal)
}

fn plainly(step: Step, twin: &mut Twin) -> Told {
    run(step, twin, |_, _| {}, |_| {})
}

fn asked(journal: &[Event]) -> bool {
    let asks = |event: &Event| matches!(event, Event::SecretAsked { .. });
    journal.iter().any(asks)
}

fn probed(journal: &[Event]) -> Option<Finding> {
    let found = journal.iter().find_map(|event| match event {
        Event::Probed { findings, .. } => findings.iter().find(|one| one.id == "MO01"),
        _ => None,
    });
    found.cloned()
}

fn found(journal: &[Event]) -> Finding {
    probed(journal).unwrap()
}

fn without(cmdlet: &'static str) -> impl Fn(&mut Vec<Value>) {
    move |lines| {
        lines.retain(|line| line["cmdlet"] != cmdlet);
        let count = lines.last().unwrap()["cmdlets"].as_u64().unwrap();
        *lines.last_mut().unwrap() = json!({ "cmdlets": count - 1 });
    }
}

/// No source documents the sign-in by a token (1.4 [M]): a version without it is found out before anybody gives one.
#[test]
fn a_module_without_the_token_is_found_before_one_is_asked_for() {
    let handover = || domain(DirectoryRights::Handover, &[]);
    for (registered, by) in [
        (
            false,
            &(|way| register(way, handover())) as &dyn Fn(SignIn) -> Step,
        ),
        (true, &add),
    ] {
        let mut lacks = server(registered, &[Fault::TokenNotTaken]);
        let before = lacks.changes.clone();
        let (conclusion, journal) = plainly(by(SignIn::Token), &mut lacks);
        let Ending::Failed(why) = &conclusion.ending else {
            panic!("{conclusion:?}")
        };
        for part in [
            "the module of provisioning agent 1.1.2505.0 does not take",
            "Connect-AADCloudSyncAzureAD takes no -AccessToken -TenantId -UserPrincipalName",
            "nothing was asked for or changed",
            "sign_in = \"wizard\"",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert!(!asked(&journal));
        assert_eq!(lacks.changes, before);
        // Another way that it takes goes on.
        let (conclusion, journal) = plainly(by(SignIn::Credential), &mut lacks);
        assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
        assert!(asked(&journal));
        let (conclusion, _) = plainly(by(SignIn::Token), &mut server(registered, &[]));
        assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    }
}

/// A cmdlet that is missing stops whoever needs it, and nobody else.
#[test]
fn a_missing_cmdlet_stops_whoever_would_call_it() {
    let gives = "Set-AADCloudSyncPermissions";
    let written = domain(DirectoryRights::Ask, &[Permission::BasicRead]);
    let mut one = server(false, &[]);
    let (conclusion, journal) = run(
        register(SignIn::Token, written),
        &mut one,
        |_, _| {},
        without(gives),
    );
    let Ending::Failed(why) = &conclusion.ending else {
        panic!("{conclusion:?}")
    };
    assert!(
        why.contains("no cmdlet Set-AADCloudSyncPermissions"),
        "{why}"
    );
    assert!(!asked(&journal) && one.changes.is_empty());
    // The list of domains is read for the record alone.
    for lacks in [gives, "Get-AADCloudSyncDomains"] {
        let needs_none = register(SignIn::Token, domain(DirectoryRights::Ask, &[]));
        let (conclusion, _) = run(
            needs_none,
            &mut server(false, &[]),
            |_, _| {},
            without(lacks),
        );
        assert_eq!(conclusion.ending, Ending::Completed, "{lacks}");
    }
}

/// Whether a domain can be added without a credential is unverified: a module that says that it demands one is believed.
#[test]
fn a_module_that_demands_a_credential_for_a_domain_is_a_question_for_a_person() {
    let demands = |lines: &mut Vec<Value>| {
        let adds = |line: &&mut Value| line["cmdlet"] == "Add-AADCloudSyncADDomain";
        for line in lines.iter_mut().filter(adds) {
            let parameters = line["parameters"].as_array_mut().unwrap();
            let credential = parameters
                .iter_mut()
                .find(|one| one["name"] == "Credential");
            credential.unwrap()["mandatory"] = json!(true);
        }
    };
    for (rights, asks) in [
        (DirectoryRights::Handover, true),
        (DirectoryRights::Ask, false),
    ] {
        let mut one = server(false, &[]);
        let step = register(SignIn::Token, domain(rights, &[]));
        let (conclusion, journal) = run(step, &mut one, |_, _| {}, demands);
        let ending = &conclusion.steps[0].ending;
        if asks {
            assert_eq!(*ending, StepEnding::Inconclusive, "{conclusion:?}");
            assert!(!asked(&journal) && one.changes.is_empty());
        } else {
            assert_eq!(conclusion.ending, Ending::Completed);
        }
    }
}

/// Hours may lie between the question and the leave, and the product upgrades itself: the script asks once more before it signs in.
#[test]
fn a_module_that_changed_meanwhile_signs_nobody_in() {
    let mut one = server(false, &[]);
    let changes = |action: &Action, twin: &mut Twin| {
        if let Action::Journal(Event::SecretAsked { .. }) = action {
            twin.set_faults([Fault::TokenNotTaken].into());
        }
    };
    let step = register(SignIn::Token, domain(DirectoryRights::Handover, &[]));
    let (conclusion, journal) = run(step, &mut one, changes, |_| {});
    let Ending::Failed(why) = &conclusion.ending else {
        panic!("{conclusion:?}")
    };
    assert!(
        why.contains("the module has changed since it was asked (Connect-AADCloudSyncAzureAD of this version takes no -AccessToken)"),
        "{why}"
    );
    assert!(why.contains("nobody is signed in"), "{why}");
    assert!(asked(&journal) && one.changes.is_empty());
}

/// What cannot be read is never taken for there.
#[test]
fn a_module_that_does_not_tell_stops_before_anything_is_asked() {
    let mut one = server(false, &[]);
    let step = register(SignIn::Token, domain(DirectoryRights::Handover, &[]));
    let (conclusion, journal) = run(step, &mut one, |_, _| {}, |lines| drop(lines.pop()));
    let Ending::Failed(why) = &conclusion.ending else {
        panic!("{conclusion:?}")
    };
    assert!(
        why.contains("did not tell its cmdlets: the script did not"),
        "{why}"
    );
    assert!(!asked(&journal) && one.changes.is_empty());
}

/// Each verification tells the module as it was found, by its version: what it lacks of the table, and what it has besides.
#[test]
fn a_verification_tells_the_module_as_it_was_found() {
    let verify = || {
        Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
            tenant: tenant(),
            at_least: Version::new(1, 0, 0, 0),
            gmsa: None,
            own_rights: None,
            options: ServiceOptions::default(),
            soaked_seconds: None,
        })
    };
    let (conclusion, journal) = plainly(verify(), &mut server(true, &[]));
    assert_eq!(conclusion.ending, Ending::Completed);
    let finding = found(&journal);
    assert_eq!(finding.verdict, Verdict::Pass);
    assert_eq!(
        finding.read,
        "version 1.1.2505.0, 7 cmdlets: takes every call; besides Set-AADCloudSyncPasswordWritebackConfiguration -Enable -Credential, Set-AADCloudSyncPermissions -EACredential, Set-AADCloudSyncRestrictedPermissions -Credential"
    );
    let (conclusion, journal) = plainly(verify(), &mut server(true, &[Fault::TokenNotTaken]));
    assert_eq!(conclusion.ending, Ending::Completed);
    let finding = found(&journal);
    assert_eq!(
        (finding.verdict, finding.severity),
        (Verdict::Fail, Severity::Warn)
    );
    assert!(
        finding.read.contains("takes no -AccessToken"),
        "{}",
        finding.read
    );
    let (_, journal) = run(
        verify(),
        &mut server(true, &[]),
        |_, _| {},
        |lines| drop(lines.pop()),
    );
    assert_eq!(found(&journal).verdict, Verdict::CannotTell);
}

/// A preflight tells it where an agent is installed, before its registration or an upgrade, and stops nobody: whoever needs a call that
/// the module does not take is stopped by its own step.
#[test]
fn a_preflight_tells_the_module_where_there_is_one() {
    let preflight = || {
        let step = json!({
            "kind": "preflight",
            "args": {
                "target": target(), "product": "provisioning-agent", "present": true, "cloud": "commercial", "tenant": tenant(),
                "sign_in": "token", "domains": [domain(DirectoryRights::Ask, &[])], "gmsa": null, "may_fix": [],
            }
        });
        serde_json::from_value::<Step>(step).unwrap()
    };
    let (_, journal) = plainly(preflight(), &mut server(false, &[]));
    assert_eq!(found(&journal).verdict, Verdict::Pass);
    let (conclusion, journal) = plainly(preflight(), &mut server(false, &[Fault::TokenNotTaken]));
    assert_eq!(found(&journal).verdict, Verdict::Fail);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    let mut bare = Twin::new(Profile {
        target: target(),
        installed: Installed::Nothing,
        person: None,
        faults: [Fault::TokenNotTaken].into(),
    });
    let (_, journal) = plainly(preflight(), &mut bare);
    assert_eq!(probed(&journal), None);
}
