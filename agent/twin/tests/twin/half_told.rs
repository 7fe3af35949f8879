//! What is read in two halves, of which one is not told: what the other shows stands, and what is untold is said. And what a group
//! policy sets beside what Windows' resultant set of policy tells of it.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use agent_core::op::{Op, Outcome, RegistryValue, Script};
use agent_core::product;
use agent_core::step;
use agent_twin::{Fault, Installed, Twin};
use protocol::event::{Finding, Owner, Verdict};
use protocol::step::{Fix, Product, SignIn, Step};
use serde_json::{Value, json};

use crate::preflight::{drive_with, preflight, twin};

fn one(findings: &[Finding], id: &str) -> Finding {
    let mut all = findings.iter().filter(|one| one.id == id);
    all.next_back().cloned().unwrap()
}

/// What a preflight notes on a model, where `script` says something else of some of its parts.
fn noted(
    step: &Step,
    server: &mut Twin,
    (script, parts): (Script, &[(&str, Value)]),
) -> Vec<Finding> {
    let (_, noted, _) = drive_with(
        server,
        |cx| step::perform(step, cx),
        |op, outcome| match (op, outcome) {
            (Op::Script { script: of, .. }, Outcome::Script { mut lines }) if *of == script => {
                for (name, part) in parts {
                    lines[0][*name] = part.clone();
                }
                Outcome::Script { lines }
            }
            (_, outcome) => outcome,
        },
    );
    noted
}

fn connect(faults: &[Fault]) -> (Step, Twin) {
    (
        preflight(Product::Connect, SignIn::Wizard, true),
        twin(
            "sync-01",
            Installed::Connect {
                version: crate::common::CONNECT,
                staging: false,
            },
            faults,
        ),
    )
}

fn agent(may_fix: Vec<Fix>, faults: &[Fault]) -> (Step, Twin) {
    let mut step = preflight(Product::ProvisioningAgent, SignIn::Token, false);
    if let Step::Preflight(preflight) = &mut step {
        preflight.may_fix = may_fix;
    }
    (step, twin("sync-01", Installed::Nothing, faults))
}

const NOTHING: (Script, &[(&str, Value)]) = (Script::InspectHost, &[]);

/// PF73: what is open stands, whatever the module tells of runs; what it does not tell is said.
#[test]
fn an_open_console_blocks_where_the_module_does_not_tell_of_runs() {
    let (step, mut server) = connect(&[Fault::ConsoleOpen, Fault::ModuleRefused]);
    let idle = one(&noted(&step, &mut server, NOTHING), "PF73");
    assert!(idle.verdict == Verdict::Fail && idle.blocks(), "{idle:?}");
    for words in [
        "miisclient.exe is open",
        "whether a run is under way cannot be told",
        "is not digitally signed",
    ] {
        assert!(idle.read.contains(words), "{words}: {idle:?}");
    }
    // And the other way round.
    let why = json!({ "why": "no such process" });
    let (step, mut server) = connect(&[]);
    let parts = [
        ("open", why.clone()),
        ("runs", json!(["a run of corp is under way"])),
    ];
    let said = (Script::InspectHost, &parts[..]);
    let busy = one(&noted(&step, &mut server, said), "PF73");
    assert!(busy.verdict == Verdict::Fail && busy.blocks(), "{busy:?}");
    assert!(busy.read.contains("no such process"), "{busy:?}");
    // Where neither shows anything and one of them is untold, nobody calls it idle.
    let (step, mut server) = connect(&[]);
    let said = (Script::InspectHost, &parts[..1]);
    let half = one(&noted(&step, &mut server, said), "PF73");
    assert_eq!(half.verdict, Verdict::CannotTell, "{half:?}");
    assert!(!half.blocks(), "{half:?}");
}

/// PF73 and PF74 are what an upgrade needs: of an engine that stays as it is they warn, whatever is read.
#[test]
fn what_an_upgrade_needs_of_the_engine_stops_nobody_who_upgrades_nothing() {
    let faults = [Fault::ConsoleOpen, Fault::EngineBusy, Fault::ExportOld];
    for (stays, untold) in [(false, false), (true, false), (false, true), (true, true)] {
        let (mut step, mut server) = connect(&faults);
        let Step::Preflight(asked) = &mut step else {
            panic!("{step:?}")
        };
        asked.stays = stays;
        let why = json!({ "why": "the folder could not be read" });
        let parts = [("settingsExportHours", why)];
        let said = (Script::InspectHost, &parts[..usize::from(untold)]);
        let all = noted(&step, &mut server, said);
        for id in ["PF73", "PF74"] {
            let own = one(&all, id);
            let verdict = if untold && id == "PF74" {
                Verdict::CannotTell
            } else {
                Verdict::Fail
            };
            assert_eq!((own.verdict, own.blocks()), (verdict, !stays), "{own:?}");
        }
    }
}

/// SEC3: a WDAC that was read stands where AppLocker is not told, and the other way round.
#[test]
fn application_control_that_was_read_stands_where_the_other_kind_is_not_told() {
    let why = json!({ "why": "the service AppIDSvc does not answer" });
    for (parts, shown) in [
        (
            [("codeIntegrity", json!(true)), ("appLocker", why.clone())],
            "WDAC: user mode",
        ),
        (
            [
                ("codeIntegrity", why.clone()),
                ("appLocker", json!(["Exe"])),
            ],
            "AppLocker: Exe",
        ),
    ] {
        let (step, mut server) = agent(Vec::new(), &[]);
        let said = (Script::InspectHost, &parts[..]);
        let control = one(&noted(&step, &mut server, said), "SEC3");
        assert_eq!(control.verdict, Verdict::Fail, "{control:?}");
        assert!(control.read.contains(shown), "{control:?}");
        assert!(control.read.contains("AppIDSvc"), "{control:?}");
        // Nobody has looked whose files an enforced policy lets run.
        assert!(
            !control.wanted.contains("or the vendor's files allowed"),
            "{control:?}"
        );
    }
    let (step, mut server) = agent(Vec::new(), &[]);
    let said = (Script::InspectHost, &[("appLocker", why)][..]);
    let control = one(&noted(&step, &mut server, said), "SEC3");
    assert_eq!(control.verdict, Verdict::CannotTell, "{control:?}");
}

/// SEC2: no script of ours runs in that mode, so the registry alone tells which kind of control a policy sets.
#[test]
fn a_constrained_language_mode_names_the_control_that_a_policy_sets() {
    let locker = format!(r"{}\Script", product::APPLOCKER_KEY);
    let guard = product::CODE_INTEGRITY_KEY.to_owned();
    for (key, value, number, said, owner) in [
        (
            Some(locker.clone()),
            "EnforcementMode",
            1,
            "a group policy has AppLocker enforce its rules for scripts",
            Owner::Directory,
        ),
        (
            Some(guard),
            "DeployConfigCIPolicy",
            1,
            "a group policy deploys WDAC",
            Owner::Directory,
        ),
        (
            Some(locker),
            "EnforcementMode",
            0,
            "no group policy sets AppLocker's rules for scripts as enforced",
            Owner::Server,
        ),
        (None, "", 0, "nor deploys WDAC", Owner::Server),
    ] {
        let (step, mut server) = agent(Vec::new(), &[Fault::ConstrainedLanguage]);
        if let Some(key) = key {
            let op = Op::SetRegistry {
                key,
                value: value.to_owned(),
                data: RegistryValue::Number(number),
            };
            assert_eq!(server.perform(&op, &BTreeMap::new()).0, Outcome::Done);
        }
        let mode = one(&noted(&step, &mut server, NOTHING), "SEC2");
        assert!(mode.verdict == Verdict::Fail && mode.blocks(), "{mode:?}");
        assert!(mode.read.starts_with("ConstrainedLanguage; "), "{mode:?}");
        assert!(mode.read.contains(said), "{said}: {mode:?}");
        assert_eq!(mode.owner, owner, "{mode:?}");
    }
    // What could not be read is said, and taken for nothing.
    let (step, mut server) = agent(Vec::new(), &[Fault::ConstrainedLanguage]);
    let (_, noted, _) = drive_with(
        &mut server,
        |cx| step::perform(&step, cx),
        |op, outcome| match op {
            Op::Registry { key, .. } if key == product::CODE_INTEGRITY_KEY => {
                Outcome::Failed("access denied".to_owned())
            }
            _ => outcome,
        },
    );
    let mode = one(&noted, "SEC2");
    assert!(
        mode.read
            .contains("whether a group policy deploys WDAC cannot be told: access denied"),
        "{mode:?}"
    );
}

/// The next refresh of group policy would put a preference's value back: it is left, and the policy is named.
#[test]
fn what_a_preference_of_a_policy_sets_is_left_and_the_policy_is_named() {
    let fixes = || vec![Fix::Tls12, Fix::Vaultsvc];
    let faults = [Fault::VaultDisabled, Fault::TlsOff, Fault::SetByPreference];
    let (step, mut server) = agent(fixes(), &faults);
    let seen = noted(&step, &mut server, NOTHING);
    for (id, sets) in [
        ("PF14", "it"),
        ("PF15", "Enabled"),
        ("PF17", "SchUseStrongCrypto"),
    ] {
        let finding = one(&seen, id);
        assert!(finding.blocks(), "{finding:?}");
        let named = format!("policy \"Servers: legacy\" sets {sets} by a preference");
        assert!(finding.read.ends_with(&named), "{finding:?}");
        let advice = "have policy \"Servers: legacy\" changed where it is made";
        assert!(finding.fix.starts_with(advice), "{finding:?}");
        assert_eq!(finding.owner, Owner::Directory, "{finding:?}");
    }
    assert!(server.changes.is_empty(), "{:?}", server.changes);

    // Preferences that are there and cannot be read: nothing is set either, and what the resultant set tells is told.
    let why = json!({ "why": "Registry.xml: access denied" });
    let (step, mut server) = agent(fixes(), &[Fault::VaultDisabled]);
    let untold = (Script::InspectPolicies, &[("preferences", why.clone())][..]);
    let vault = one(&noted(&step, &mut server, untold), "PF14");
    assert!(vault.blocks(), "{vault:?}");
    assert!(
        vault
            .read
            .contains("cannot be told: Registry.xml: access denied"),
        "{vault:?}"
    );
    assert!(vault.fix.starts_with("it is left as it is"), "{vault:?}");
    assert!(server.changes.is_empty(), "{:?}", server.changes);
    let (step, mut server) = agent(fixes(), &[Fault::VaultDisabled, Fault::SetByPolicy]);
    let untold = (Script::InspectPolicies, &[("preferences", why)][..]);
    let vault = one(&noted(&step, &mut server, untold), "PF14");
    assert!(
        vault
            .read
            .ends_with("policy \"Servers: hardening\" sets it"),
        "{vault:?}"
    );

    // A whole key that an item takes away or replaces, and a value of another key, which says nothing.
    for (at, value, left) in [
        (
            r"SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL",
            "",
            true,
        ),
        (
            r"SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL",
            "EventLogging",
            false,
        ),
    ] {
        let (step, mut server) = agent(fixes(), &[Fault::TlsOff]);
        let item = json!([{ "at": at, "value": value, "policy": "{6AC1786C}", "local": false }]);
        let said = (Script::InspectPolicies, &[("preferences", item)][..]);
        let seen = noted(&step, &mut server, said);
        let client = one(&seen, "PF15");
        assert_eq!(
            client.read.contains("policy \"{6AC1786C}\""),
            left,
            "{client:?}"
        );
        let set = |change: &String| change == "set Enabled";
        assert_eq!(
            server.changes.iter().any(set),
            !left,
            "{:?}",
            server.changes
        );
    }
}
