//! Operators have set a rule aside: what blocks is told and passed, by whom is in every word of it, and what is another
//! rule's blocks as before.
#![expect(
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use agent_core::run::Conclusion;
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::Event;
use protocol::signed::Ending;
use protocol::step::{
    Cloud, ExportLimits, Fix, InstallProvisioningAgent, Preflight, Product, ReviewConnectExports,
    SignIn, Step,
};
use protocol::{Digest, Overridden, TenantId, Timestamp, Version};

use crate::common::{NEWEST, NOW, drive, target, tenant};

fn over(until: Timestamp) -> Overridden {
    Overridden {
        by: vec!["anna".to_owned(), "bob".to_owned()],
        reason: "memory comes on Monday".to_owned(),
        change: "CHG0042117".to_owned(),
        until,
    }
}

fn in_force() -> Option<Overridden> {
    Some(over(NOW.plus(Duration::from_secs(3600))))
}

fn preflight(product: Product, present: bool, overridden: Option<Overridden>) -> Preflight {
    Preflight {
        target: target(),
        product,
        present,
        cloud: Cloud::Commercial,
        tenant: tenant(),
        sign_in: SignIn::Token,
        domains: Vec::new(),
        gmsa: None,
        own_rights: None,
        census: false,
        both_tools: Vec::new(),
        database: None,
        chosen: Vec::new(),
        demands_tls: false,
        stays: false,
        may_fix: Vec::new(),
        will_fix: Vec::new(),
        options: protocol::ServiceOptions::default(),
        proxy_signs_in: false,
        restarts: false,
        hosts: None,
        overridden,
    }
}

/// The preflight, and an installation behind it.
fn install(preflight: Preflight) -> Vec<Step> {
    vec![
        Step::Preflight(preflight),
        Step::InstallProvisioningAgent(InstallProvisioningAgent {
            artifact: Digest::of(b"setup"),
            cloud: Cloud::Commercial,
            at_least: NEWEST,
            environment: None,
        }),
    ]
}

fn server(installed: Installed, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed,
        person: None,
        faults: faults.iter().copied().collect(),
    })
}

fn failed(conclusion: &Conclusion) -> &str {
    match &conclusion.ending {
        Ending::Failed(why) => why,
        other => panic!("not failed: {other:?}"),
    }
}

/// Which findings were told that block.
fn blocking(journal: &[Event]) -> Vec<String> {
    let mut ids = Vec::new();
    for event in journal {
        if let Event::Probed { findings, .. } = event {
            let block = findings.iter().filter(|finding| finding.blocks());
            ids.extend(block.map(|finding| finding.id.clone()));
        }
    }
    ids
}

fn says_who(said: &str, rule: &str) {
    for part in [rule, "OVERRIDDEN", "anna and bob", "CHG0042117", "Monday"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn what_blocks_is_told_and_passed_where_g8_is_overridden() {
    let faults = [Fault::SecureChannelBroken, Fault::LittleMemory];
    let mut held = server(Installed::Nothing, &faults);
    let steps = install(preflight(Product::ProvisioningAgent, false, None));
    let (conclusion, journal, _) = drive(steps, &mut held, None);
    assert!(failed(&conclusion).contains("PF07"));
    assert!(held.changes.is_empty());
    let stopped_by = blocking(&journal);
    assert_eq!(stopped_by, ["PF05", "PF07"]);

    let mut passed = server(Installed::Nothing, &faults);
    let steps = install(preflight(Product::ProvisioningAgent, false, in_force()));
    let (conclusion, journal, actions) = drive(steps.clone(), &mut passed, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(!passed.changes.is_empty());
    assert_eq!(blocking(&journal), stopped_by, "told as before");
    let said = &conclusion.steps[0].summary;
    says_who(said, "G8");
    assert!(said.contains("PF05, PF07"), "{said}");
    let told = journal
        .iter()
        .any(|event| matches!(event, Event::StepCompleted { summary, .. } if summary == said));
    assert!(told, "the journal says it too");
    for cut in 0..actions {
        let mut one = server(Installed::Nothing, &faults);
        let (after, ..) = drive(steps.clone(), &mut one, Some(cut));
        assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
        says_who(&after.steps[0].summary, "G8");
    }
}

#[test]
fn where_nothing_blocks_an_override_says_nothing() {
    let mut sound = server(Installed::Nothing, &[]);
    let steps = install(preflight(Product::ProvisioningAgent, false, in_force()));
    let (conclusion, ..) = drive(steps, &mut sound, None);
    let said = &conclusion.steps[0].summary;
    assert!(said.contains("none blocks") && !said.contains("OVERRIDDEN"));
}

#[test]
fn what_is_no_finding_of_g8_blocks_all_the_same() {
    let elsewhere: TenantId = "77aa0000-0000-0000-0000-000000000000"
        .parse()
        .expect("a tenant");
    let registered = Installed::ProvisioningAgent {
        version: Version::new(1, 1, 1373, 0),
        tenant: elsewhere,
    };
    let connect = Installed::Connect {
        version: NEWEST,
        staging: true,
    };
    for (product, installed, faults, id) in [
        // Another tenant's (G9).
        (
            Product::ProvisioningAgent,
            registered,
            &[Fault::LittleMemory][..],
            "PF40",
        ),
        // Somebody else at the other end of a sign-in.
        (
            Product::ProvisioningAgent,
            Installed::Nothing,
            &[Fault::LittleMemory, Fault::TlsInspected],
            "PF29",
        ),
        // Not the server that the plan was made for: who is active was decided on another one (G1).
        (Product::Connect, connect, &[Fault::OldDotNet], "PF41"),
    ] {
        let mut one = server(installed, faults);
        let steps = install(preflight(product, false, in_force()));
        let (conclusion, journal, _) = drive(steps, &mut one, None);
        let why = failed(&conclusion);
        assert!(why.contains(id), "{id}: {why}");
        assert!(one.changes.is_empty(), "{id}");
        let others = blocking(&journal).len();
        assert!(others > 1, "{id}: all of them are told");
        let failure = journal.iter().find_map(|event| match event {
            Event::StepFailed { failure, .. } => Some(failure.findings.len()),
            _ => None,
        });
        assert_eq!(failure, Some(1), "{id}: it alone stopped it");
    }
}

#[test]
fn a_prerequisite_is_mended_where_what_else_blocks_is_overridden() {
    let faults = [Fault::LittleMemory, Fault::VaultDisabled];
    for (overridden, mended) in [(None, false), (in_force(), true)] {
        let mut one = server(Installed::Nothing, &faults);
        let preflight = Preflight {
            may_fix: vec![Fix::Vaultsvc],
            ..preflight(Product::ProvisioningAgent, false, overridden)
        };
        let (conclusion, ..) = drive(vec![Step::Preflight(preflight)], &mut one, None);
        assert_eq!(conclusion.ending == Ending::Completed, mended);
        assert_eq!(!one.changes.is_empty(), mended);
    }
}

#[test]
fn a_step_that_begins_after_the_end_of_its_override_is_carried_out_without() {
    // Its last moment is the one before the end.
    for (until, passes) in [(NOW, false), (NOW.plus(Duration::from_millis(1)), true)] {
        let mut one = server(Installed::Nothing, &[Fault::LittleMemory]);
        let steps = install(preflight(
            Product::ProvisioningAgent,
            false,
            Some(over(until)),
        ));
        let (conclusion, ..) = drive(steps, &mut one, None);
        assert_eq!(conclusion.ending == Ending::Completed, passes);
        if !passes {
            let why = failed(&conclusion);
            assert!(
                why.contains("PF07") && why.contains("anna and bob"),
                "{why}"
            );
            assert!(why.contains(&format!("ended at {until}")), "{why}");
            assert!(one.changes.is_empty());
        }
    }
}

fn review(overridden: Option<Overridden>) -> Vec<Step> {
    vec![Step::ReviewConnectExports(ReviewConnectExports {
        limits: ExportLimits {
            add: 1,
            update: 5,
            delete: 0,
        },
        max_age_minutes: 120,
        overridden,
    })]
}

#[test]
fn what_would_be_exported_is_told_and_passed_where_g4_is_overridden() {
    for (fault, id, says) in [
        (Fault::DeletionsPending, "PV31", "7 to delete"),
        (Fault::ExportsUnreadable, "PV31", "nothing was counted"),
        (Fault::FullSyncDue, "PV30", "due for corp"),
        (Fault::NextCycleFull, "PV30", "the next cycle is a full one"),
        (Fault::CycleOverdue, "SW01", "630 minutes ago"),
    ] {
        let staging = Installed::Connect {
            version: NEWEST,
            staging: true,
        };
        let mut held = server(staging.clone(), &[fault]);
        let (conclusion, before, _) = drive(review(None), &mut held, None);
        assert!(!failed(&conclusion).contains("OVERRIDDEN"), "{fault:?}");
        let mut passed = server(staging, &[fault]);
        let (conclusion, after, _) = drive(review(in_force()), &mut passed, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{fault:?}");
        let said = &conclusion.steps[0].summary;
        says_who(said, "G4");
        assert!(
            said.contains(id) && said.contains(says),
            "{fault:?}: {said}"
        );
        assert_eq!(blocking(&before), blocking(&after), "{fault:?}");
    }
}
