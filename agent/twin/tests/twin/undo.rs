//! What was set as a prerequisite is put back: to what it was, once, and only where it is still what Entrain set; with every cut.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use agent_core::op::{Op, Outcome, RegistryValue};
use agent_core::product;
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::Event;
use protocol::facts::ServiceState;
use protocol::signed::{Ending, StepEnding};
use protocol::step::{Cloud, Fix, Preflight, Product, SignIn, Step, UndoFixes};

use crate::common::{NEWEST, drive, drive_with, target, tenant};
use crate::mended;

const BOTH: [Fix; 2] = [Fix::Tls12, Fix::Vaultsvc];

/// What Entrain may set, and the names of its notes.
const VALUES: [(&str, &str, &str); 5] = [
    (product::TLS12_CLIENT_KEY, "Enabled", "Tls12ClientEnabled"),
    (
        product::TLS12_CLIENT_KEY,
        "DisabledByDefault",
        "Tls12ClientDisabledByDefault",
    ),
    (product::TLS12_SERVER_KEY, "Enabled", "Tls12ServerEnabled"),
    (
        product::TLS12_SERVER_KEY,
        "DisabledByDefault",
        "Tls12ServerDisabledByDefault",
    ),
    (
        product::DOTNET_CRYPTO_KEY,
        "SchUseStrongCrypto",
        "DotNetStrongCrypto",
    ),
];

fn server(installed: Installed, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed,
        person: None,
        faults: faults.iter().copied().collect(),
    })
}

/// One on which TLS 1.2 is off for clients and not set otherwise, and the service disabled.
fn spoiled() -> Twin {
    let faults = [Fault::VaultDisabled, Fault::TlsOff];
    let mut server = server(Installed::Nothing, &faults);
    for (key, value, _) in &VALUES[1..4] {
        let op = Op::ClearRegistry {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        assert_eq!(server.perform(&op, &BTreeMap::new()).0, Outcome::Done);
    }
    server.changes.clear();
    server
}

fn fixes() -> Vec<Step> {
    vec![Step::Preflight(Preflight {
        target: target(),
        product: Product::ProvisioningAgent,
        present: false,
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
        may_fix: BOTH.to_vec(),
        will_fix: Vec::new(),
        options: protocol::ServiceOptions::default(),
        proxy_signs_in: false,
        restarts: true,
        hosts: None,
        overridden: None,
    })]
}

fn undoes(anyway: bool) -> Vec<Step> {
    vec![Step::UndoFixes(UndoFixes {
        fixes: BOTH.to_vec(),
        anyway,
    })]
}

fn read(server: &mut Twin, key: &str, value: &str) -> Option<RegistryValue> {
    let op = Op::Registry {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    match server.perform(&op, &BTreeMap::new()).0 {
        Outcome::Registry(value) => value,
        other => panic!("{other:?}"),
    }
}

fn put(server: &mut Twin, key: &str, value: &str, data: RegistryValue) {
    let op = Op::SetRegistry {
        key: key.to_owned(),
        value: value.to_owned(),
        data,
    };
    assert_eq!(server.perform(&op, &BTreeMap::new()).0, Outcome::Done);
}

/// Every value that is set, and whether the service may be started.
fn state(server: &mut Twin) -> (Vec<Option<RegistryValue>>, bool) {
    let values = VALUES.map(|(key, value, _)| read(server, key, value));
    let op = Op::Service {
        name: product::VAULT_SERVICE.to_owned(),
    };
    let disabled = match server.perform(&op, &BTreeMap::new()).0 {
        Outcome::Service(Some(service)) => service.state == ServiceState::Disabled,
        other => panic!("{other:?}"),
    };
    (values.to_vec(), disabled)
}

fn notes(server: &mut Twin) -> usize {
    let names = VALUES.iter().map(|(.., note)| *note);
    let names = names.chain(["VaultSvc"]);
    names
        .filter(|note| read(server, product::SET_KEY, note).is_some())
        .count()
}

/// The spoiled server once Entrain has set what it may, and what it was before.
fn mended() -> (Twin, (Vec<Option<RegistryValue>>, bool)) {
    let mut server = spoiled();
    let before = state(&mut server);
    drive(fixes(), &mut server, None);
    server.restart();
    assert_ne!(state(&mut server), before);
    assert_eq!(notes(&mut server), 6);
    (server, before)
}

fn summary(journal: &[Event]) -> &str {
    let summary = journal.iter().find_map(|event| match event {
        Event::StepCompleted { summary, .. } => Some(summary.as_str()),
        _ => None,
    });
    summary.expect("a step completed")
}

#[test]
fn every_setting_becomes_what_it_was_and_its_note_goes() {
    let (mut server, before) = mended();
    let (conclusion, journal, _) = drive(undoes(false), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(conclusion.steps[0].ending, StepEnding::Applied);
    assert_eq!(state(&mut server), before);
    assert_eq!(notes(&mut server), 0);
    let said = summary(&journal);
    for words in [
        "Enabled of Client put back from 1 to 0, which holds once Windows was restarted",
        "Enabled of Server put back from 1 to absent;",
        "VaultSvc put back from Manual to Disabled",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // A second time there is nothing to do.
    let changes = server.changes.len();
    let (conclusion, journal, _) = drive(undoes(false), &mut server, None);
    assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
    assert!(summary(&journal).contains("nothing of it is noted"));
    assert_eq!(server.changes.len(), changes);
}

#[test]
fn one_prerequisite_is_put_back_and_the_other_is_left_with_its_note() {
    let (mut server, before) = mended();
    let only = Step::UndoFixes(UndoFixes {
        fixes: vec![Fix::Vaultsvc],
        anyway: false,
    });
    drive(vec![only], &mut server, None);
    let (values, disabled) = state(&mut server);
    assert!(disabled && values != before.0);
    assert_eq!(notes(&mut server), 5);
}

/// A text is put back as the type that it was: one whose variables Windows replaces is no plain text (REG_EXPAND_SZ).
#[test]
fn a_text_is_put_back_with_the_type_that_it_had() {
    let (key, value, _) = VALUES[2];
    for was in [
        RegistryValue::Expandable("%TLS_SERVER%".to_owned()),
        RegistryValue::Text("%TLS_SERVER%".to_owned()),
        RegistryValue::Expandable("0".to_owned()),
    ] {
        let mut server = spoiled();
        put(&mut server, key, value, was.clone());
        let before = state(&mut server);
        let (_, journal, _) = drive(fixes(), &mut server, None);
        assert_eq!(
            read(&mut server, key, value),
            Some(RegistryValue::Number(1))
        );
        let words = match &was {
            RegistryValue::Expandable(text) => format!("(was {text:?} (REG_EXPAND_SZ))"),
            RegistryValue::Text(text) => format!("(was {text:?})"),
            other => panic!("{other:?}"),
        };
        let told = summary(&journal);
        assert!(told.contains(&words), "{words}: {told}");
        server.restart();
        let (conclusion, ..) = drive(undoes(false), &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{was:?}");
        assert_eq!(
            (state(&mut server), notes(&mut server)),
            (before, 0),
            "{was:?}"
        );
    }
}

#[test]
fn what_is_so_again_already_loses_its_note_alone() {
    let (mut server, before) = mended();
    put(
        &mut server,
        product::TLS12_CLIENT_KEY,
        "Enabled",
        RegistryValue::Number(0),
    );
    let (conclusion, journal, _) = drive(undoes(false), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(
        summary(&journal).contains("Enabled of Client is 0 again already"),
        "{journal:?}"
    );
    assert_eq!((state(&mut server), notes(&mut server)), (before, 0));
}

#[test]
fn what_somebody_else_has_changed_since_is_left_and_told() {
    let (mut server, before) = mended();
    let other = RegistryValue::Number(0xFFFF_FFFF);
    let key = product::TLS12_CLIENT_KEY;
    put(&mut server, key, "Enabled", other.clone());
    let automate = Op::AutomateService {
        name: product::VAULT_SERVICE.to_owned(),
    };
    server.perform(&automate, &BTreeMap::new());
    let (conclusion, journal, _) = drive(undoes(false), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let said = summary(&journal);
    for words in [
        "Enabled of Client was left: Entrain set 1, and somebody has made it 4294967295 since",
        "VaultSvc was left: Entrain set it to Manual, and somebody has made it Automatic since",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let (values, disabled) = state(&mut server);
    assert_eq!((values[0].clone(), disabled), (Some(other), false));
    assert_eq!(values[1..], before.0[1..]);
    assert_eq!(notes(&mut server), 2);
}

#[test]
fn nothing_is_put_back_under_a_product_unless_that_is_said() {
    let faults = [Fault::VaultDisabled, Fault::TlsOff];
    let agent = Installed::ProvisioningAgent {
        version: NEWEST,
        tenant: tenant(),
    };
    let connect = Installed::Connect {
        version: protocol::Version::new(2, 6, 92, 0),
        staging: true,
    };
    for (installed, name) in [
        (agent, "the provisioning agent is on this server"),
        (connect, "Connect Sync is on this server"),
    ] {
        let mut server = server(installed, &faults);
        let before = state(&mut server);
        // As it was when the server had no product yet.
        for (key, value, note) in VALUES {
            let was = match read(&mut server, key, value) {
                None => "\"absent\"".to_owned(),
                Some(RegistryValue::Number(number)) => {
                    format!("{{\"value\":{{\"number\":{number}}}}}")
                }
                Some(other) => panic!("{other:?}"),
            };
            let set = u32::from(value != "DisabledByDefault");
            let text = RegistryValue::Text(format!("{{\"was\":{was},\"set\":{set}}}"));
            put(&mut server, product::SET_KEY, note, text);
            put(&mut server, key, value, RegistryValue::Number(set));
        }
        server.changes.clear();
        let (conclusion, ..) = drive(undoes(false), &mut server, None);
        let Ending::Failed(why) = &conclusion.ending else {
            panic!("{conclusion:?}")
        };
        assert!(why.contains(name) && why.contains("--anyway"), "{why}");
        assert!(server.changes.is_empty(), "{:?}", server.changes);
        assert_eq!(notes(&mut server), 5);
        let (conclusion, journal, _) = drive(undoes(true), &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed);
        assert_eq!(state(&mut server), before);
        // Under an agent that serves it is out of service meanwhile, under leave (G2).
        let entered = |event: &Event| matches!(event, Event::SectionEntered { section, .. } if section.outage);
        let serves = name.contains("provisioning agent");
        assert_eq!(
            journal.iter().filter(|event| entered(event)).count(),
            usize::from(serves),
            "{name}"
        );
    }
}

#[test]
fn what_a_policy_sets_by_now_is_left_and_a_note_that_is_none_is_a_question() {
    let (mut server, _) = mended();
    let now = state(&mut server);
    server.set_faults([Fault::SetByPolicy].into());
    let (conclusion, journal, _) = drive(undoes(false), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(
        summary(&journal).contains("policy \"Servers: hardening\" sets it"),
        "{}",
        summary(&journal)
    );
    let left = state(&mut server);
    assert_eq!((left.0[0].clone(), left.1), (now.0[0].clone(), now.1));

    for note in ["Tls12ServerEnabled", "VaultSvc"] {
        let (mut server, _) = mended();
        let text = RegistryValue::Text("{\"was\":\"absent\",\"set\":1,\"key\":\"x\"}".to_owned());
        put(&mut server, product::SET_KEY, note, text);
        let now = state(&mut server);
        let (conclusion, ..) = drive(undoes(false), &mut server, None);
        let Ending::Inconclusive(why) = &conclusion.ending else {
            panic!("{conclusion:?}")
        };
        assert!(why.contains(note), "{why}");
        assert_eq!(state(&mut server), now);
    }
}

/// What Windows did not let Entrain set is nobody's to put back: whoever sets it later has set it.
#[test]
fn what_could_not_be_set_leaves_no_note_and_an_undo_leaves_alone_what_somebody_set_then() {
    let mut server = spoiled();
    let before = state(&mut server);
    let refused = [Fault::VaultDisabled, Fault::TlsOff, Fault::SettingRefused];
    server.set_faults(refused.into());
    let (conclusion, journal, _) = drive(fixes(), &mut server, None);
    let Ending::Failed(why) = &conclusion.ending else {
        panic!("{conclusion:?}")
    };
    assert!(why.contains("PF14") && why.contains("PF17"), "{why}");
    // A value that needs a restart, one that needs none since it is Connect's, and the service: each of the three ways.
    let connect = mended::preflight(None, &["corp.contoso.com"], vec![Fix::Tls12]);
    let (_, of_connect, _) = drive(vec![Step::Preflight(connect)], &mut server, None);
    let told = format!("{journal:?} {of_connect:?}");
    for words in [
        "Enabled was left as it is: that a restart is needed could not be noted: access is denied",
        "SchUseStrongCrypto was left as it is: that a restart is needed could not be noted: access is denied",
        "SchUseStrongCrypto could not be set: access is denied",
        "VaultSvc could not be enabled: access is denied",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(
        (state(&mut server), notes(&mut server)),
        (before.clone(), 0)
    );
    // Wherever it is cut off meanwhile, too.
    let mut fresh = spoiled();
    fresh.set_faults(refused.into());
    let (_, _, actions) = drive(fixes(), &mut fresh.clone(), None);
    for cut in 0..actions {
        let mut server = fresh.clone();
        drive(fixes(), &mut server, Some(cut));
        let left = (state(&mut server), notes(&mut server));
        assert_eq!(left, (before.clone(), 0), "cut at {cut}");
    }

    // Their administrator sets all of it.
    server.set_faults([].into());
    for (key, value, _) in VALUES {
        let set = u32::from(value != "DisabledByDefault");
        put(&mut server, key, value, RegistryValue::Number(set));
    }
    let enable = Op::EnableService {
        name: product::VAULT_SERVICE.to_owned(),
    };
    server.perform(&enable, &BTreeMap::new());
    let theirs = state(&mut server);
    let (conclusion, journal, _) = drive(undoes(false), &mut server, None);
    assert_eq!(conclusion.steps[0].ending, StepEnding::AlreadySo);
    assert!(summary(&journal).contains("nothing of it is noted"));
    assert_eq!(state(&mut server), theirs);
}

/// An act that was answered as failed and took all the same is Entrain's, and is put back.
#[test]
fn what_reads_as_set_though_that_was_answered_as_failed_keeps_its_note() {
    let mut server = spoiled();
    let before = state(&mut server);
    let untold = |op: &Op, outcome| {
        let own = |key: &str| key == product::SET_KEY;
        match op {
            Op::SetRegistry { key, .. } if own(key) => outcome,
            Op::SetRegistry { .. } | Op::EnableService { .. } => {
                Outcome::Failed("no answer within 60 s".to_owned())
            }
            _ => outcome,
        }
    };
    let (_, journal, _) = drive_with(fixes(), &mut server, None, "value", untold);
    let told = format!("{journal:?}");
    assert!(
        told.contains("it reads as set all the same, and what it was stays noted"),
        "{told}"
    );
    assert_ne!(state(&mut server), before);
    assert_eq!(notes(&mut server), 6);
    server.restart();
    let (conclusion, ..) = drive(undoes(false), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!((state(&mut server), notes(&mut server)), (before, 0));
}

/// Wherever the agent is killed while it sets, what was there before is kept; and wherever it is killed while it puts that back, it is
/// put back once.
#[test]
fn whatever_cuts_it_off_nothing_of_what_was_is_lost() {
    let fresh = spoiled();
    let before = state(&mut fresh.clone());
    let (_, _, actions) = drive(fixes(), &mut fresh.clone(), None);
    for cut in 0..actions {
        let mut server = fresh.clone();
        drive(fixes(), &mut server, Some(cut));
        server.restart();
        let (conclusion, ..) = drive(undoes(false), &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed, "cut at {cut}");
        let left = (state(&mut server), notes(&mut server));
        assert_eq!(left, (before.clone(), 0), "cut at {cut}");
    }
    let (fresh, _) = mended();
    let (_, _, actions) = drive(undoes(false), &mut fresh.clone(), None);
    for cut in 0..actions {
        let mut server = fresh.clone();
        server.changes.clear();
        let (conclusion, ..) = drive(undoes(false), &mut server, Some(cut));
        assert_eq!(conclusion.ending, Ending::Completed, "cut at {cut}");
        let left = (state(&mut server), notes(&mut server));
        assert_eq!(left, (before.clone(), 0), "cut at {cut}");
        let changes: std::collections::BTreeSet<&String> = server.changes.iter().collect();
        let same = "clear Enabled";
        let cleared = server.changes.iter().filter(|one| *one == same).count();
        assert!(cleared <= 1, "cut at {cut}: {changes:?}");
    }
}
