//! Both halves of the agent's core on a modelled server: every recipe's steps, every fault, and a cut between any two
//! actions.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};

use agent_core::op::{Op, Outcome, RegistryValue, Script};
use agent_core::run::Action;
use agent_twin::{Fault, Installed, Profile, Twin};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use protocol::event::{Event, Grade, Verdict};
use protocol::secret::SecretKind;
use protocol::signed::{Ending, StepEnding};
use protocol::step::*;
use protocol::{Digest, Version};

use crate::common::{CONNECT, NEWEST, drive, drive_beside, drive_with, target, tenant, text};

fn domains(rights: DirectoryRights) -> Vec<ServedDomain> {
    let domain = |name: &str| ServedDomain {
        name: name.parse().unwrap(),
        preferred_dcs: Vec::new(),
        rights,
        permissions: Vec::new(),
    };
    vec![domain("corp.contoso.com"), domain("emea.corp.contoso.com")]
}

fn preflight(product: Product, sign_in: SignIn, may_fix: Vec<Fix>) -> Step {
    Step::Preflight(Preflight {
        target: target(),
        product,
        present: false,
        cloud: Cloud::Commercial,
        tenant: tenant(),
        sign_in,
        domains: domains(DirectoryRights::Handover),
        gmsa: Some("svcEntraSync$".parse().unwrap()),
        own_rights: None,
        census: true,
        both_tools: Vec::new(),
        database: None,
        chosen: Vec::new(),
        demands_tls: false,
        stays: false,
        may_fix,
        will_fix: Vec::new(),
        options: protocol::ServiceOptions::default(),
        proxy_signs_in: false,
        restarts: false,
        hosts: None,
        overridden: None,
    })
}

pub(crate) fn agent_steps(sign_in: SignIn, may_fix: Vec<Fix>) -> Vec<Step> {
    let home_domain = "corp.contoso.com".parse().unwrap();
    let register = match sign_in {
        SignIn::Token | SignIn::Credential => {
            Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
                target: target(),
                tenant: tenant(),
                cloud: Cloud::Commercial,
                sign_in,
                gmsa: None,
                home_domain,
                domains: domains(DirectoryRights::Ask),
                proxy: None,
                wizard: text(),
            })
        }
        SignIn::Wizard => Step::GuideProvisioningAgent(GuideProvisioningAgent {
            target: target(),
            tenant: tenant(),
            gmsa: None,
            preferred_dcs: Vec::new(),
            home_domain,
            domains: Vec::new(),
            text: text(),
        }),
    };
    vec![
        preflight(Product::ProvisioningAgent, sign_in, may_fix),
        Step::InstallProvisioningAgent(InstallProvisioningAgent {
            artifact: Digest::of(b"setup"),
            cloud: Cloud::Commercial,
            at_least: NEWEST,
            environment: None,
        }),
        register,
        Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
            tenant: tenant(),
            at_least: NEWEST,
            gmsa: None,
            own_rights: None,
            options: protocol::ServiceOptions::default(),
            soaked_seconds: None,
        }),
    ]
}

/// An installation with express settings, or an upgrade in place.
pub(crate) fn connect_steps(work: ConnectWork) -> Vec<Step> {
    let mut preflight = preflight(Product::Connect, SignIn::Wizard, Vec::new());
    if let Step::Preflight(preflight) = &mut preflight {
        let upgrades = [ConnectWork::UpgradeActive, ConnectWork::UpgradeStaging];
        preflight.present = upgrades.contains(&work);
    }
    vec![
        preflight,
        Step::StageConnect(StageConnect {
            artifact: Digest::of(b"setup"),
        }),
        Step::GuideConnect(GuideConnect {
            work,
            at_least: NEWEST,
            text: text(),
            release: None,
        }),
        Step::VerifyConnect(VerifyConnect {
            at_least: NEWEST,
            staging: Some(work.staging()),
            forests: Vec::new(),
            password_sync: false,
            soaked_seconds: None,
        }),
    ]
}

pub(crate) fn twin(faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::Nothing,
        person: Some(tenant()),
        faults: faults.iter().copied().collect(),
    })
}

#[test]
fn each_recipe_ends_well_on_a_server_in_order() {
    for sign_in in [SignIn::Token, SignIn::Credential, SignIn::Wizard] {
        let (conclusion, ..) = drive(agent_steps(sign_in, Vec::new()), &mut twin(&[]), None);
        assert_eq!(conclusion.ending, Ending::Completed, "{sign_in:?}");
        assert_eq!(conclusion.grade, Some(Grade::Registered));
    }
    let install = connect_steps(ConnectWork::InstallActive);
    let (conclusion, ..) = drive(install, &mut twin(&[]), None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(conclusion.grade, Some(Grade::Configured));
    let mut second = twin(&[]);
    second.tick_staging();
    let install = connect_steps(ConnectWork::InstallStaging);
    let (conclusion, ..) = drive(install, &mut second, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(conclusion.steps[2].summary.ends_with("staging"));
    for (work, staging) in UPGRADES {
        let (conclusion, journal, _) =
            drive(connect_steps(work), &mut old_connect(staging, &[]), None);
        assert_eq!(conclusion.ending, Ending::Completed, "{work:?}");
        let mode = if staging { "staging" } else { "active" };
        assert!(
            conclusion.steps[2].summary.ends_with(mode),
            "{conclusion:?}"
        );
        assert!(
            journal
                .iter()
                .any(|event| matches!(event, Event::TaskOpened { .. }))
        );
    }
}

pub(crate) const UPGRADES: [(ConnectWork, bool); 2] = [
    (ConnectWork::UpgradeStaging, true),
    (ConnectWork::UpgradeActive, false),
];

/// A server with an older Connect, and a person who comes to the wizard.
fn old_connect(staging: bool, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::Connect {
            version: Version::new(1, 0, 0, 0),
            staging,
        },
        person: Some(tenant()),
        faults: faults.iter().copied().collect(),
    })
}

/// The person at the wizard forgets the tick, or sets it where it must not be.
#[test]
fn an_installation_that_ends_in_the_other_mode_fails_loudly() {
    for (work, ticks, words) in [
        (ConnectWork::InstallStaging, false, "(G1)"),
        (ConnectWork::InstallActive, true, "is staging now"),
    ] {
        let mut server = twin(&[]);
        if ticks {
            server.tick_staging();
        }
        let (conclusion, ..) = drive(connect_steps(work), &mut server, None);
        let Ending::Failed(why) = conclusion.ending else {
            panic!("not failed: {conclusion:?}")
        };
        assert!(why.contains(words), "{why}");
    }
}

/// A word says that it is done, and not in which mode: the verification holds the mode that was meant.
#[test]
fn a_verification_holds_the_mode_that_was_meant() {
    for (staging, wanted, holds) in [
        (true, Some(true), true),
        (true, Some(false), false),
        (false, Some(true), false),
        (false, None, true),
    ] {
        let verify = Step::VerifyConnect(VerifyConnect {
            at_least: Version::new(1, 0, 0, 0),
            staging: wanted,
            forests: Vec::new(),
            password_sync: false,
            soaked_seconds: None,
        });
        let (conclusion, ..) = drive(vec![verify], &mut old_connect(staging, &[]), None);
        let ended = conclusion.ending == Ending::Completed;
        assert_eq!(ended, holds, "{staging} {wanted:?}: {conclusion:?}");
        if !holds {
            assert!(matches!(&conclusion.ending, Ending::Failed(why) if why.contains("PV25")));
        }
    }
}

#[test]
fn an_upgrade_that_makes_a_staging_server_active_fails_loudly() {
    let steps = connect_steps(ConnectWork::UpgradeStaging);
    let mut server = old_connect(true, &[Fault::UpgradeActivates]);
    let (conclusion, ..) = drive(steps, &mut server, None);
    let Ending::Failed(why) = conclusion.ending else {
        panic!("not failed: {conclusion:?}")
    };
    assert!(why.contains("(G1)"), "{why}");
}

#[test]
fn an_upgrade_does_not_begin_while_the_engine_is_busy_or_the_settings_are_not_exported() {
    for (fault, id) in [(Fault::EngineBusy, "PF73"), (Fault::ExportOld, "PF74")] {
        let steps = connect_steps(ConnectWork::UpgradeActive);
        let mut server = old_connect(false, &[fault]);
        let (conclusion, ..) = drive(steps, &mut server, None);
        let Ending::Failed(why) = conclusion.ending else {
            panic!("not failed: {conclusion:?}")
        };
        assert!(why.contains(id), "{why}");
        assert!(server.changes.is_empty(), "{:?}", server.changes);
    }
}

#[test]
fn a_cut_in_an_upgrade_of_connect_ends_as_without_it() {
    for (work, staging) in UPGRADES {
        let mut whole = old_connect(staging, &[]);
        let fresh = whole.clone();
        let (_, _, actions) = drive(connect_steps(work), &mut whole, None);
        for cut in 0..actions {
            let mut server = fresh.clone();
            let (after, ..) = drive(connect_steps(work), &mut server, Some(cut));
            assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
            assert_eq!(server.changes, whole.changes, "cut at {cut}");
        }
    }
}

/// The work of whoever releases the cycle.
pub(crate) const RELEASE: &str = "release the cycle";

/// An upgrade in place that waits for the release of the cycle, which was on before.
pub(crate) fn releasing(work: ConnectWork) -> Vec<Step> {
    let mut steps = connect_steps(work);
    for step in &mut steps {
        if let Step::GuideConnect(guide) = step {
            let mut release = text();
            RELEASE.clone_into(&mut release.title);
            guide.release = Some(Box::new(release));
        }
    }
    steps
}

/// A server with an older Connect, whose person has read what is to be done.
pub(crate) fn read_by_person(work: ConnectWork, staging: bool, faults: &[Fault]) -> Twin {
    let mut server = old_connect(staging, faults);
    for step in releasing(work) {
        if matches!(step, Step::GuideConnect(_)) {
            server.asked(&step);
        }
    }
    server
}

/// The wizard was told not to start: the step opens the release as work of its own, and ends when the scheduler shows it. Where
/// the cycle was left on nobody is asked.
#[test]
fn an_upgrade_sees_the_cycle_held_and_released() {
    for (work, staging) in UPGRADES {
        for (faults, titles) in [(&[][..], 1), (&[Fault::CycleHeld], 2)] {
            let mut server = read_by_person(work, staging, faults);
            let (conclusion, journal, _) = drive(releasing(work), &mut server, None);
            assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
            let guided = &conclusion.steps[2];
            assert!(
                guided
                    .summary
                    .ends_with("its cycle is on, as it was before"),
                "{guided:?}"
            );
            let asked: Vec<&str> = journal
                .iter()
                .filter_map(|event| match event {
                    Event::TaskOpened { text, .. } => Some(text.title.as_str()),
                    _ => None,
                })
                .collect();
            assert_eq!(asked.len(), titles, "{asked:?}");
            let held = titles == 2;
            assert_eq!(
                asked.last() == Some(&"release the cycle"),
                held,
                "{asked:?}"
            );
            let released = server.changes.iter().any(|one| one.starts_with("release"));
            assert_eq!(released, held, "{:?}", server.changes);
        }
    }
}

/// Somebody has held the cycle on purpose since the plan saw it on: what was planned to be released is theirs, and nobody is asked to. What
/// is off behind the wizard alone may be the wizard's doing.
#[test]
fn a_cycle_that_somebody_has_held_since_the_plan_is_not_released() {
    for (work, staging) in UPGRADES {
        let steps: Vec<Step> = releasing(work).into_iter().take(3).collect();
        let mut server = read_by_person(work, staging, &[]);
        server.hold_cycle();
        let (conclusion, journal, _) = drive(steps.clone(), &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
        let guided = &conclusion.steps[2];
        assert!(
            guided.summary.contains("off before the wizard")
                && guided.summary.contains("whoever held it releases it")
                && guided.summary.contains("fails by PV24"),
            "{guided:?}"
        );
        let asked = journal.iter().filter_map(|event| match event {
            Event::TaskOpened { text, .. } => Some(text.title.as_str()),
            _ => None,
        });
        assert!(!asked.clone().any(|title| title == "release the cycle"));
        assert_eq!(asked.count(), 1);
        assert!(
            !server.changes.iter().any(|one| one.starts_with("release")),
            "{:?}",
            server.changes
        );
        // Behind the wizard: the version is the new one.
        server.asked(&steps[2]);
        let (conclusion, journal, _) = drive(steps, &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
        let asks = journal.iter().any(
            |event| matches!(event, Event::TaskOpened { text, .. } if text.title == "release the cycle"),
        );
        assert!(asks, "{work:?}");
    }
}

/// Where nobody asks for the release (the cycle was off before) what the wizard left held is told by the verification, and is
/// left as it is.
#[test]
fn a_cycle_that_was_off_before_stays_off_and_is_told() {
    let mut server = old_connect(true, &[Fault::CycleHeld]);
    let steps = connect_steps(ConnectWork::UpgradeStaging);
    let (conclusion, journal, _) = drive(steps, &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let told = journal.iter().any(|event| match event {
        Event::Probed { findings, .. } => findings
            .iter()
            .any(|one| one.id == "PV24" && one.read.contains("cycle enabled: false")),
        _ => false,
    });
    assert!(told, "{journal:?}");
    assert!(!server.changes.iter().any(|one| one.starts_with("release")));
}

#[test]
fn a_cut_between_held_and_released_ends_as_without_it() {
    for (work, staging) in UPGRADES {
        let mut whole = read_by_person(work, staging, &[Fault::CycleHeld]);
        let fresh = whole.clone();
        let (_, _, actions) = drive(releasing(work), &mut whole, None);
        assert!(whole.changes.iter().any(|one| one.starts_with("release")));
        for cut in 0..actions {
            let mut server = fresh.clone();
            let (after, ..) = drive(releasing(work), &mut server, Some(cut));
            assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
            assert_eq!(server.changes, whole.changes, "cut at {cut}");
        }
    }
}

#[test]
fn a_second_run_changes_nothing() {
    let mut twin = twin(&[]);
    drive(agent_steps(SignIn::Token, Vec::new()), &mut twin, None);
    let changes = twin.changes.len();
    let (conclusion, journal, _) = drive(agent_steps(SignIn::Token, Vec::new()), &mut twin, None);
    assert_eq!(twin.changes.len(), changes);
    assert!(
        conclusion
            .steps
            .iter()
            .all(|step| step.ending == StepEnding::AlreadySo)
    );
    assert!(
        !journal
            .iter()
            .any(|event| matches!(event, Event::SecretAsked { .. }))
    );
}

#[test]
fn a_cut_before_any_action_ends_as_without_it_and_repeats_no_change() {
    for steps in [
        agent_steps(SignIn::Token, Vec::new()),
        agent_steps(SignIn::Wizard, vec![Fix::Tls12, Fix::Vaultsvc]),
        connect_steps(ConnectWork::InstallActive),
        connect_steps(ConnectWork::InstallStaging),
    ] {
        let mut whole = twin(&[Fault::VaultDisabled]);
        if !matches!(steps[2], Step::GuideProvisioningAgent(_)) {
            whole = twin(&[]);
        }
        if matches!(&steps[2], Step::GuideConnect(guide) if guide.work.staging()) {
            whole.tick_staging();
        }
        let fresh = whole.clone();
        let (conclusion, _, actions) = drive(steps.clone(), &mut whole, None);
        assert_eq!(conclusion.ending, Ending::Completed);
        for cut in 0..actions {
            let mut server = fresh.clone();
            let (after, journal, _) = drive(steps.clone(), &mut server, Some(cut));
            assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
            assert_eq!(after.grade, conclusion.grade, "cut at {cut}");
            assert_eq!(server.changes, whole.changes, "cut at {cut}");
            let completed: Vec<_> = journal
                .iter()
                .filter_map(|event| match event {
                    Event::StepCompleted { step, .. } => Some(step.0),
                    _ => None,
                })
                .collect();
            let once: BTreeSet<_> = completed.iter().copied().collect();
            assert_eq!(
                once.len(),
                completed.len(),
                "a step completed twice, cut at {cut}"
            );
        }
    }
}

/// What each fault must show: the probe or known error by its id, and the number of the step that stops.
fn expected(fault: Fault) -> Option<(&'static str, u16)> {
    Some(match fault {
        Fault::VaultDisabled => ("PF14", 0),
        Fault::LogonRightMissing => ("KE01", 1),
        Fault::GmsaEncryption => ("KE03", 2),
        Fault::GmsaNotAllowed | Fault::NoKdsKey => ("PF51", 0),
        Fault::RebootPending => ("PF19", 0),
        Fault::ServerCore => ("PF03", 0),
        Fault::PolicyUnrestricted => ("PF12", 0),
        Fault::CloudBlocked => ("PF26", 0),
        Fault::DirectoryBlocked => ("PF23", 0),
        Fault::DnsBlocked => ("PF22", 0),
        Fault::TlsOff => ("PF17", 0),
        Fault::InstallerBusy => ("1618", 1),
        Fault::MfaDemanded => ("KE07", 2),
        Fault::DomainCredentialDemanded => ("credential", 2),
        Fault::ServiceStopped => ("PV04", 3),
        // Either a single probe's, or a story of its own: all in `preflight.rs` but for module logging, above.
        _ => return None,
    })
}

#[test]
fn where_a_log_would_record_the_secret_none_is_asked_for_and_a_person_does_it_at_the_wizard() {
    for fault in [Fault::ModuleLogging, Fault::TranscriptionOn] {
        recorded(fault);
    }
    // A policy that cannot be read counts as one, and one that came after the secret still counts.
    let policy = |op: &Op| matches!(op, Op::Registry { key, .. } if key.contains("Transcription"));
    for from in [0, 2] {
        let looks = std::cell::Cell::new(0);
        let mut server = twin(&[]);
        let steps = agent_steps(SignIn::Token, Vec::new());
        let (conclusion, journal, _) =
            drive_with(steps, &mut server, None, "value", |op, outcome| {
                if !policy(op) {
                    return outcome;
                }
                looks.set(looks.get() + 1);
                if looks.get() > from {
                    Outcome::Failed("access denied".to_owned())
                } else {
                    outcome
                }
            });
        assert_eq!(
            conclusion.steps[2].ending,
            StepEnding::SeenDone,
            "{conclusion:?}"
        );
        assert!(!server.changes.contains(&"add gMSA".to_owned()));
        let asked = |event: &Event| matches!(event, Event::SecretAsked { .. });
        assert_eq!(journal.iter().any(asked), from == 2);
    }
}

fn recorded(fault: Fault) {
    let mut server = twin(&[fault]);
    let steps = agent_steps(SignIn::Token, Vec::new());
    let (conclusion, journal, actions) = drive(steps.clone(), &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(conclusion.grade, Some(Grade::Registered));
    assert_eq!(conclusion.steps[2].ending, StepEnding::SeenDone);
    let asked = |event: &Event| matches!(event, Event::SecretAsked { .. });
    assert!(!journal.iter().any(asked), "a secret was asked for");
    for cut in 0..actions {
        let mut again = twin(&[fault]);
        let (after, journal, _) = drive(steps.clone(), &mut again, Some(cut));
        assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
        assert_eq!(again.changes, server.changes, "cut at {cut}");
        assert!(!journal.iter().any(asked), "cut at {cut}");
    }
}

#[test]
fn each_fault_stops_where_it_must_and_says_why() {
    for fault in Fault::ALL {
        let mut steps = agent_steps(SignIn::Credential, Vec::new());
        if fault == Fault::DomainCredentialDemanded
            && let Step::RegisterProvisioningAgent(register) = &mut steps[2]
        {
            register.domains = domains(DirectoryRights::Handover);
        }
        if fault == Fault::ServiceStopped {
            steps.remove(2);
        }
        let mut server = if fault == Fault::ServiceStopped {
            let mut twin = Twin::new(Profile {
                target: target(),
                installed: Installed::ProvisioningAgent {
                    version: NEWEST,
                    tenant: tenant(),
                },
                person: None,
                faults: BTreeSet::new(),
            });
            twin.set_faults([fault].into());
            twin
        } else {
            twin(&[fault])
        };
        let Some((id, step)) = expected(fault) else {
            continue;
        };
        let (conclusion, journal, _) = drive(steps, &mut server, None);
        assert_ne!(conclusion.ending, Ending::Completed, "{fault:?}");
        let shown = journal.iter().find_map(|event| match event {
            Event::StepFailed { step, failure, .. } => Some((step.0, format!("{failure:?}"))),
            Event::StepInconclusive { step, question, .. } => Some((step.0, question.clone())),
            _ => None,
        });
        let (at, shown) = shown.expect("a step says why");
        let step = if fault == Fault::ServiceStopped {
            step - 1
        } else {
            step
        };
        assert_eq!(at, step, "{fault:?}: {shown}");
        assert!(shown.contains(id), "{fault:?} must show {id}: {shown}");
        if step == 0 {
            assert!(
                server.changes.is_empty(),
                "{fault:?} blocks before anything is touched"
            );
        }
    }
}

#[test]
fn prerequisites_that_may_be_fixed_are_fixed_with_their_old_value() {
    let mut server = twin(&[Fault::VaultDisabled, Fault::TlsOff]);
    let steps = agent_steps(SignIn::Token, vec![Fix::Tls12, Fix::Vaultsvc]);
    let fresh = server.clone();
    let (conclusion, _, actions) = drive(steps.clone(), &mut server, None);
    // What was off explicitly is on after a restart alone: until then the installation would time out.
    let Ending::Failed(why) = &conclusion.ending else {
        panic!("not failed")
    };
    for part in [
        "PF19",
        "Enabled of Client set to 1 (was 0)",
        "VaultSvc set from Disabled to Manual",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    // Whoever is cut off in between does not forget that a restart is needed, and tells all the same what was set, and what it was.
    let sets = |sentence: &&str| sentence.contains(" set to ") || sentence.contains(" set from ");
    let set: Vec<&str> = why.split("; ").filter(sets).collect();
    assert!(set.len() > 2, "{why}");
    for cut in 0..actions {
        let mut server = fresh.clone();
        let (after, ..) = drive(steps.clone(), &mut server, Some(cut));
        let Ending::Failed(why) = after.ending else {
            panic!("cut at {cut}: {:?}", after.ending)
        };
        assert!(why.contains("PF19"), "cut at {cut}: {why}");
        let mut told: Vec<&str> = why.split("; ").filter(sets).collect();
        told.sort_unstable();
        let mut all = set.clone();
        all.sort_unstable();
        assert_eq!(told, all, "cut at {cut}");
    }
    server.restart();
    let (conclusion, ..) = drive(steps, &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
}

/// G6 where it is done: whatever a bundle says, what is there is not replaced by something older.
#[test]
fn nothing_is_downgraded() {
    let newer = Version::new(3, 0, 0, 0);
    let agent = Installed::ProvisioningAgent {
        version: newer,
        tenant: tenant(),
    };
    let connect = Installed::Connect {
        version: newer,
        staging: true,
    };
    let install = Step::InstallProvisioningAgent(InstallProvisioningAgent {
        artifact: Digest::of(b"setup"),
        cloud: Cloud::Commercial,
        at_least: Version::new(3, 0, 1, 0),
        environment: None,
    });
    let stage = Step::StageConnect(StageConnect {
        artifact: Digest::of(b"msi"),
    });
    for (installed, step, older) in [(agent, install, NEWEST), (connect, stage, CONNECT)] {
        let mut server = Twin::new(Profile {
            target: target(),
            installed,
            person: None,
            faults: BTreeSet::new(),
        });
        let fetches = std::cell::Cell::new(0);
        let (conclusion, ..) = drive_with(vec![step], &mut server, None, "", |op, outcome| {
            let fetch = matches!(op, Op::Fetch { .. } | Op::Stage { .. } | Op::Install { .. });
            fetches.set(fetches.get() + u32::from(fetch));
            outcome
        });
        let Ending::Failed(why) = conclusion.ending else {
            panic!("not failed: {conclusion:?}")
        };
        assert!(why.contains("version 3.0.0.0 of "), "{why}");
        assert!(
            why.contains(&format!("is of {older}: nothing is downgraded (G6)")),
            "{why}"
        );
        assert!(server.changes.is_empty() && fetches.get() == 0);
    }
}

/// The setup's exit codes (product facts 1.2), on a server where it did its work and on one where it did none.
#[test]
fn every_exit_code_of_the_setup_is_what_it_means() {
    for (code, there, says) in [
        (0, true, Ok("version 99.0.0.0 installed")),
        (0, false, Err("the agent's executable is not there")),
        (1638, true, Ok("version 99.0.0.0 installed")),
        (1638, false, Err("the agent's executable is not there")),
        (3010, true, Ok("Windows asks for a restart")),
        (1641, true, Ok("Windows asks for a restart")),
        (3010, false, Err("the agent's executable is not there")),
        (1602, true, Err("exit code 1602 (cancelled)")),
        (
            1603,
            false,
            Err("exit code 1603 (fatal error of the inner package)"),
        ),
        (1618, false, Err("exit code 1618")),
        (5, true, Err("exit code 5")),
    ] {
        let faults: &[Fault] = if there { &[] } else { &[Fault::InstallerBusy] };
        let mut server = twin(faults);
        let steps = agent_steps(SignIn::Token, Vec::new())[..2].to_vec();
        let (conclusion, ..) =
            drive_with(steps, &mut server, None, "value", |op, outcome| match op {
                Op::Install { .. } => Outcome::Exited { code },
                _ => outcome,
            });
        match (says, &conclusion.ending) {
            (Ok(says), Ending::Completed) => assert!(
                conclusion.steps[1]
                    .summary
                    .contains(&says.replace("99.0.0.0", &NEWEST.to_string())),
                "{code}: {conclusion:?}"
            ),
            (Err(says), Ending::Failed(why)) => assert!(why.contains(says), "{code}: {why}"),
            (says, ending) => panic!("{code}: {says:?} was due, {ending:?} came"),
        }
    }
}

/// The recipe's two phases: between them lies the restart that the setup asks for.
#[test]
fn after_a_setup_that_wants_a_restart_the_registration_waits_for_it() {
    let steps = agent_steps(SignIn::Token, Vec::new());
    let prepare = steps[..2].to_vec();
    let register = vec![steps[0].clone(), steps[2].clone()];
    let mut server = twin(&[Fault::SetupWantsRestart]);
    let (conclusion, ..) = drive(prepare, &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(conclusion.steps[1].summary.contains("asks for a restart"));
    let before = server.changes.clone();
    let (conclusion, journal, _) = drive(register.clone(), &mut server, None);
    let Ending::Failed(why) = conclusion.ending else {
        panic!("not failed: {conclusion:?}")
    };
    assert!(why.contains("PF19"), "{why}");
    assert_eq!(server.changes, before);
    let asked = |event: &Event| matches!(event, Event::SecretAsked { .. });
    assert!(!journal.iter().any(asked), "a secret was asked for");
    server.restart();
    let (conclusion, ..) = drive(register, &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(conclusion.grade, Some(Grade::Registered));
}

/// Where the plan has the restart, it stops nothing: the run goes on by itself to its end.
#[test]
fn a_run_that_restarts_windows_itself_is_stopped_by_no_restart_that_is_waited_for() {
    let restart = Step::RestartServer(RestartServer {
        by: RestartBy::Agent,
    });
    let steps = agent_steps(SignIn::Token, Vec::new());
    let mut ready = steps[0].clone();
    if let Step::Preflight(preflight) = &mut ready {
        preflight.restarts = true;
    }
    let steps = vec![
        ready,
        restart.clone(),
        steps[1].clone(),
        restart,
        steps[2].clone(),
    ];
    for faults in [
        &[Fault::RebootPending][..],
        &[Fault::SetupWantsRestart],
        &[Fault::RebootPending, Fault::SetupWantsRestart],
    ] {
        let mut server = twin(faults);
        let (conclusion, journal, _) = drive(steps.clone(), &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{faults:?}");
        let changes = server.changes.iter();
        let restarts = changes.filter(|change| *change == "restart Windows");
        assert_eq!(restarts.count(), faults.len());
        let noted = journal.iter().find_map(|event| match event {
            Event::Probed { findings, .. } => findings.iter().find(|one| one.id == "PF19"),
            _ => None,
        });
        assert!(!noted.unwrap().blocks(), "{noted:?}");
    }
}

/// The setup's exit code is its word that Windows is to restart, also where Windows itself shows nothing of it: it is restarted where
/// the plan has that, and elsewhere what comes next waits for whoever restarts it.
#[test]
fn a_restart_that_the_setup_alone_asks_for_comes_before_anything_else() {
    let restart = Step::RestartServer(RestartServer {
        by: RestartBy::Agent,
    });
    let steps = agent_steps(SignIn::Token, Vec::new());
    for code in [3010, 1641] {
        let alone = |op: &Op, outcome| match op {
            Op::Install { .. } => Outcome::Exited { code },
            _ => outcome,
        };
        let mut server = twin(&[]);
        let with = vec![
            steps[0].clone(),
            steps[1].clone(),
            restart.clone(),
            steps[2].clone(),
        ];
        let (conclusion, ..) = drive_with(with, &mut server, None, "value", alone);
        assert_eq!(conclusion.ending, Ending::Completed, "{code}");
        let changes = server.changes.iter();
        let restarts = changes.filter(|change| *change == "restart Windows");
        assert_eq!(restarts.count(), 1, "{code}: {:?}", server.changes);

        let mut server = twin(&[]);
        let prepare = steps[..2].to_vec();
        let (conclusion, ..) = drive_with(prepare, &mut server, None, "value", alone);
        assert_eq!(conclusion.ending, Ending::Completed, "{code}");
        let register = vec![steps[0].clone(), steps[2].clone()];
        let (conclusion, ..) = drive(register.clone(), &mut server, None);
        let Ending::Failed(why) = conclusion.ending else {
            panic!("{code}: not failed: {conclusion:?}")
        };
        assert!(why.contains("PF19"), "{code}: {why}");
        server.restart();
        let (conclusion, ..) = drive(register, &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{code}");
    }
}

/// An agent that is killed between a setup's exit code and its note cannot know what the setup asked for: it says that.
#[test]
fn what_a_setup_asked_for_is_unknown_behind_a_kill() {
    let alone = |op: &Op, outcome| match op {
        Op::Install { .. } => Outcome::Exited { code: 3010 },
        _ => outcome,
    };
    let steps = agent_steps(SignIn::Token, Vec::new())[..2].to_vec();
    let told = (0..400).rev().find_map(|cut| {
        let mut server = twin(&[]);
        let cut = Some(cut);
        let (conclusion, ..) = drive_with(steps.clone(), &mut server, cut, "value", alone);
        assert_eq!(conclusion.ending, Ending::Completed, "{cut:?}");
        let summary = conclusion.steps[1].summary.clone();
        summary.contains("is not known").then_some(summary)
    });
    let told = told.unwrap();
    assert!(
        told.ends_with("whether that asked for a restart of Windows is not known"),
        "{told}"
    );
}

/// That Windows is to restart could not be noted: it is said, and what was installed stays so.
#[test]
fn a_restart_that_could_not_be_noted_is_said() {
    let mut server = twin(&[]);
    let steps = agent_steps(SignIn::Token, Vec::new())[..2].to_vec();
    let (conclusion, ..) = drive_with(steps, &mut server, None, "value", |op, outcome| match op {
        Op::Install { .. } => Outcome::Exited { code: 3010 },
        Op::RequireRestart => Outcome::Failed("access is denied".to_owned()),
        _ => outcome,
    });
    assert_eq!(conclusion.ending, Ending::Completed);
    let summary = &conclusion.steps[1].summary;
    assert!(
        summary.ends_with(
            "; Windows asks for a restart; that it asks could not be noted: access is denied"
        ),
        "{summary}"
    );
}

/// What the agent's own trace and its module say after the registration is told, and stops nothing: both are worth a look
/// and neither is a fact of which the form is known.
#[test]
fn the_trace_and_the_listed_domains_are_read_back() {
    for (faults, id, verdict, read) in [
        (&[][..], "PV09", Verdict::Pass, "none in 1 lines"),
        (
            &[Fault::TraceShowsException],
            "PV09",
            Verdict::Fail,
            "LdapException",
        ),
        (&[], "PV10", Verdict::Pass, "every planned domain"),
        (
            &[Fault::DomainNotKept],
            "PV10",
            Verdict::Fail,
            "not listed: emea.corp.contoso.com",
        ),
    ] {
        let steps = agent_steps(SignIn::Token, Vec::new());
        let (conclusion, journal, _) = drive(steps, &mut twin(faults), None);
        assert_eq!(conclusion.ending, Ending::Completed, "{faults:?}");
        let found: Vec<_> = journal
            .iter()
            .filter_map(|event| match event {
                Event::Probed { findings, .. } => Some(findings),
                _ => None,
            })
            .flatten()
            .filter(|finding| finding.id == id)
            .collect();
        assert_eq!(found.len(), 1, "{id}: {found:?}");
        assert_eq!(found[0].verdict, verdict, "{faults:?}");
        assert!(found[0].read.contains(read), "{id}: {}", found[0].read);
    }
}

/// Ends a run on a server of which one reading fails; the run's question, and what was asked for and done meanwhile.
fn unread(steps: Vec<Step>, server: &mut Twin, fails: impl Fn(&Op) -> bool) -> (String, bool) {
    let before = server.changes.clone();
    let (conclusion, journal, _) = drive_with(steps, server, None, "value", |op, outcome| {
        if fails(op) {
            Outcome::Failed("access denied".to_owned())
        } else {
            outcome
        }
    });
    assert_eq!(server.changes, before);
    let asked = |event: &Event| matches!(event, Event::SecretAsked { .. });
    match conclusion.ending {
        Ending::Inconclusive(question) => (question, journal.iter().any(asked)),
        other => panic!("not a question: {other:?}"),
    }
}

/// Only *not applied* lets a step act: what cannot be read is not taken for absent.
#[test]
fn what_cannot_be_read_is_a_question_and_nothing_is_done_or_asked_for() {
    let registered = || {
        Twin::new(Profile {
            target: target(),
            installed: Installed::ProvisioningAgent {
                version: NEWEST,
                tenant: tenant(),
            },
            person: None,
            faults: BTreeSet::new(),
        })
    };
    type Fails = fn(&Op) -> bool;
    let readings: [(&str, Fails); 3] = [
        (
            "the service",
            |op| matches!(op, Op::Service { name } if name == "AADConnectProvisioningAgent"),
        ),
        ("the version", |op| matches!(op, Op::FileVersion { .. })),
        (
            "the tenant",
            |op| matches!(op, Op::Registry { value, .. } if value == "TenantID"),
        ),
    ];
    for sign_in in [SignIn::Token, SignIn::Wizard] {
        let all = agent_steps(sign_in, Vec::new());
        for (what, fails) in readings {
            for step in [&all[1], &all[2], &all[3]] {
                let (question, asked) = unread(vec![step.clone()], &mut registered(), fails);
                assert!(question.contains(what), "{step:?}: {question}");
                assert!(!asked, "{step:?}");
            }
        }
    }
    // An id that is none is nobody's tenant, and no proof that there is none.
    let steps = vec![agent_steps(SignIn::Token, Vec::new())[2].clone()];
    let (conclusion, ..) =
        drive_with(
            steps,
            &mut registered(),
            None,
            "value",
            |op, outcome| match op {
                Op::Registry { value, .. } if value == "TenantID" => {
                    Outcome::Registry(Some(RegistryValue::Text("contoso".to_owned())))
                }
                _ => outcome,
            },
        );
    assert!(
        matches!(&conclusion.ending, Ending::Inconclusive(question) if question.contains("contoso")),
        "{conclusion:?}"
    );
    let upgrade = connect_steps(ConnectWork::UpgradeStaging);
    let engine = |op: &Op| matches!(op, Op::FileVersion { .. });
    for step in &upgrade[2..] {
        let mut server = old_connect(true, &[]);
        let (question, _) = unread(vec![step.clone()], &mut server, engine);
        assert!(question.contains("the version of Connect"), "{question}");
    }
}

/// Between an ask and its answer lie days: whoever finished the wizard meanwhile has done it.
#[test]
fn what_somebody_did_while_the_secret_was_waited_for_is_not_done_again() {
    for (by_hand, ends_well) in [
        (tenant(), true),
        (
            "77aa0000-0000-0000-0000-000000000000".parse().unwrap(),
            false,
        ),
    ] {
        let steps = agent_steps(SignIn::Token, Vec::new())[..3].to_vec();
        let mut server = twin(&[]);
        let at_ask = |action: &Action, server: &mut Twin| {
            if matches!(action, Action::AskSecret { .. }) {
                server.register_by_hand(&by_hand);
            }
        };
        let as_it_is = |_: &Op, outcome| outcome;
        let (conclusion, journal, _) =
            drive_beside(steps, &mut server, None, "value", at_ask, as_it_is);
        assert_eq!(
            conclusion.ending == Ending::Completed,
            ends_well,
            "{conclusion:?}"
        );
        let by_cmdlets = |change: &String| change == "add gMSA";
        assert!(
            !server.changes.iter().any(by_cmdlets),
            "{:?}",
            server.changes
        );
        // The section that was entered is left in either case.
        let entered = |event: &&Event| matches!(event, Event::SectionEntered { .. });
        let left = |event: &&Event| matches!(event, Event::SectionLeft { .. });
        assert_eq!(
            journal.iter().filter(entered).count(),
            journal.iter().filter(left).count()
        );
    }
}

/// Leave may come hours after the token: one that has lapsed by then is asked for anew, and not used.
#[test]
fn a_token_that_lapsed_before_the_leave_came_is_asked_for_anew() {
    let steps = agent_steps(SignIn::Token, Vec::new());
    let looks = std::cell::Cell::new(0);
    let (conclusion, journal, _) = drive_with(
        steps,
        &mut twin(&[]),
        None,
        "value",
        |op, outcome| match op {
            Op::SecretsFit { .. } => {
                looks.set(looks.get() + 1);
                Outcome::Exists(looks.get() > 1)
            }
            _ => outcome,
        },
    );
    assert_eq!(conclusion.ending, Ending::Completed);
    let order: Vec<&str> = journal
        .iter()
        .filter_map(|event| match event {
            Event::SecretAsked {
                wanted: SecretKind::AccessToken { .. },
                ..
            } => Some("asked"),
            Event::SectionEntered { .. } => Some("entered"),
            Event::SectionLeft { .. } => Some("left"),
            _ => None,
        })
        .collect();
    assert_eq!(
        order,
        ["asked", "entered", "left", "asked", "entered", "left"]
    );
}

/// Where the preflight is not asked, the product itself refuses what it lacks: a model that said yes would prove nothing.
#[test]
fn a_server_that_lacks_something_fails_as_the_product_would() {
    for (fault, step, words) in [
        (Fault::ServerCore, 1, "KE04"),
        (Fault::ClientWindows, 1, "KE04"),
        (Fault::OldWindows, 1, "KE04"),
        (Fault::OldDotNet, 1, "KE20"),
        (Fault::VaultDisabled, 1, "KE05"),
        (Fault::LogonRightMissing, 1, "KE01"),
        (Fault::TlsOff, 2, "timed out"),
        (Fault::CloudBlocked, 2, "timed out"),
        (Fault::RegistrationBlocked, 2, "timed out"),
        (Fault::TlsInspected, 2, "certificate is invalid"),
        (Fault::PolicyUnrestricted, 2, "security error"),
        (Fault::GmsaNotAllowed, 2, "may not retrieve the password"),
        (Fault::NoKdsKey, 2, "KE10"),
        (Fault::DirectoryBlocked, 2, "LDAP server is unavailable"),
        (Fault::DnsBlocked, 2, "LDAP server is unavailable"),
    ] {
        let steps = agent_steps(SignIn::Token, Vec::new())[1..3].to_vec();
        let (conclusion, journal, _) = drive(steps, &mut twin(&[fault]), None);
        let Ending::Failed(_) = conclusion.ending else {
            panic!("{fault:?}: not failed: {conclusion:?}")
        };
        let shown = journal.iter().find_map(|event| match event {
            Event::StepFailed { step, failure, .. } => Some((step.0 + 1, format!("{failure:?}"))),
            _ => None,
        });
        let (at, shown) = shown.unwrap();
        assert_eq!(at, step, "{fault:?}: {shown}");
        assert!(shown.contains(words), "{fault:?}: {shown}");
        // What the cloud refuses has a known cause as well.
        let cause = match words {
            "timed out" | "certificate is invalid" => "KE11",
            "security error" => "KE12",
            other => other,
        };
        assert!(shown.contains(cause), "{fault:?}: {shown}");
    }
    // The wizard's sign-in page is blocked: whoever comes cannot finish.
    let mut server = twin(&[Fault::IeEscOn]);
    let steps = agent_steps(SignIn::Wizard, Vec::new())[1..2].to_vec();
    drive(steps, &mut server, None);
    let wait = Op::Wait {
        time: std::time::Duration::from_secs(30),
    };
    for _ in 0..20 {
        server.perform(&wait, &BTreeMap::new());
    }
    assert!(
        !server
            .changes
            .iter()
            .any(|change| change.contains("wizard"))
    );
    server.set_faults(BTreeSet::new());
    for _ in 0..20 {
        server.perform(&wait, &BTreeMap::new());
    }
    assert!(
        server
            .changes
            .iter()
            .any(|change| change.contains("wizard"))
    );
}

/// A wizard with a gMSA that was made beforehand ends when the service runs as that very account.
#[test]
fn the_wizard_ends_with_the_account_that_was_planned() {
    let mut steps = agent_steps(SignIn::Wizard, Vec::new());
    if let Step::GuideProvisioningAgent(guide) = &mut steps[2] {
        guide.gmsa = Some("svcEntraSync$".parse().unwrap());
    }
    let mut server = twin(&[]);
    server.choose_account("svcEntraSync$");
    let (conclusion, ..) = drive(steps, &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert!(
        conclusion.steps[2].summary.contains("svcEntraSync$"),
        "{conclusion:?}"
    );
}

/// The rights of an account that was made beforehand are read where they can be, and what nobody could read is said; no
/// grade rests on either.
#[test]
fn the_rights_of_an_account_that_was_made_beforehand_are_read_back() {
    let domain = |name: &str| ServedDomain {
        name: name.parse().unwrap(),
        preferred_dcs: Vec::new(),
        rights: DirectoryRights::Handover,
        permissions: Vec::new(),
    };
    let rights = |replicates: &[&str]| OwnRights {
        home_domain: target().home_domain().unwrap(),
        replicates: replicates.iter().map(|name| domain(name)).collect(),
    };
    let own = target().home_domain().unwrap().to_string();
    let other = "emea.corp.contoso.com";
    let missing = [Fault::RightsMissing];
    let (pass, fail, unknown) = (Verdict::Pass, Verdict::Fail, Verdict::CannotTell);
    for (rights, faults, expected, says) in [
        (None, &[][..], vec![], ""),
        (
            Some(rights(&[&own, other])),
            &[],
            vec![pass, pass],
            "has them",
        ),
        (
            Some(rights(&[&own])),
            &missing,
            vec![fail],
            "Replicating Directory Changes All",
        ),
        // Its groups in another domain are not seen from here.
        (
            Some(rights(&[other])),
            &missing,
            vec![unknown],
            "are not looked up",
        ),
        // No password hash is synchronized: what else it needs is not read.
        (Some(rights(&[])), &[], vec![unknown], "not read"),
        (
            Some(rights(&[&own])),
            &[Fault::DirectoryUnreadable],
            vec![unknown],
            "could not sign in",
        ),
    ] {
        let mut steps = agent_steps(SignIn::Token, Vec::new());
        if let Step::VerifyProvisioningAgent(verify) = &mut steps[3] {
            verify.own_rights = rights;
        }
        let (conclusion, journal, _) = drive(steps, &mut twin(faults), None);
        assert_eq!(conclusion.ending, Ending::Completed);
        let probed = journal.iter().filter_map(|event| match event {
            Event::Probed { findings, .. } => Some(findings),
            _ => None,
        });
        let found: Vec<_> = probed.flatten().filter(|one| one.id == "PV18").collect();
        let verdicts: Vec<_> = found.iter().map(|one| one.verdict).collect();
        assert_eq!(verdicts, expected, "{found:?}");
        for finding in found {
            assert!(finding.read.contains(says), "{}", finding.read);
            assert_eq!(finding.fix.contains("handover"), finding.verdict != pass);
        }
    }
}

/// Where password hashes are written, an account that lacks their rights is not verified (PV18).
#[test]
fn an_agent_whose_account_cannot_synchronize_what_is_written_is_not_verified() {
    use protocol::step::Permission;
    let own = target().home_domain().unwrap();
    let (hashes, writeback, read) = (
        Permission::PasswordHashSync,
        Permission::PasswordWriteback,
        Permission::BasicRead,
    );
    for (written, faults, fails) in [
        (hashes, &[Fault::RightsMissing][..], true),
        (hashes, &[Fault::SetsMissing], false),
        (hashes, &[], false),
        (writeback, &[Fault::SetsMissing], true),
        (writeback, &[Fault::RightsMissing], false),
        (writeback, &[], false),
        (read, &[Fault::SetsMissing], false),
    ] {
        let mut steps = agent_steps(SignIn::Token, Vec::new());
        if let Step::VerifyProvisioningAgent(verify) = &mut steps[3] {
            verify.own_rights = Some(protocol::step::OwnRights {
                home_domain: own.clone(),
                replicates: vec![protocol::step::ServedDomain {
                    name: own.clone(),
                    preferred_dcs: Vec::new(),
                    rights: protocol::step::DirectoryRights::Handover,
                    permissions: vec![written],
                }],
            });
        }
        let (conclusion, ..) = drive(steps, &mut twin(faults), None);
        let failed = matches!(&conclusion.ending, Ending::Failed(why) if why.contains("PV18"));
        assert_eq!(failed, fails, "{written:?} {faults:?}: {conclusion:?}");
    }
}

/// Behind a registration that is well a secret that lies about stops everything; errors in the agent's own log warn.
#[test]
fn a_secret_that_was_left_is_found_and_errors_of_the_log_are_told() {
    let probed = |journal: &[Event], id: &str| {
        let all = journal.iter().filter_map(|event| match event {
            Event::Probed { findings, .. } => Some(findings),
            _ => None,
        });
        let found = all.flatten().find(|one| one.id == id);
        found.map(|one| (one.verdict, one.read.clone()))
    };
    let steps = || agent_steps(SignIn::Token, Vec::new());
    let (conclusion, journal, _) = drive(steps(), &mut twin(&[]), None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let none = "none; 1 files or processes could not be looked at".to_owned();
    assert_eq!(probed(&journal, "PV21"), Some((Verdict::Pass, none)));
    let noise = "none; 2 about performance counters".to_owned();
    assert_eq!(probed(&journal, "PV08"), Some((Verdict::Pass, noise)));

    let (conclusion, journal, _) = drive(steps(), &mut twin(&[Fault::SecretLeft]), None);
    let Ending::Failed(why) = &conclusion.ending else {
        panic!("not failed: {conclusion:?}")
    };
    assert!(
        why.contains(r"a secret was left in C:\Windows\Temp\module-1.log"),
        "{why}"
    );
    assert_eq!(
        probed(&journal, "PV21").map(|(verdict, _)| verdict),
        Some(Verdict::Fail)
    );

    // Also where the cmdlets failed, or left something for a person to decide.
    for (fault, why) in [
        (Fault::GmsaNotAllowed, "Add-AADCloudSyncGMSA failed"),
        (Fault::DomainCredentialDemanded, "demands a credential"),
    ] {
        let mut steps = steps();
        if fault == Fault::DomainCredentialDemanded
            && let Step::RegisterProvisioningAgent(register) = &mut steps[2]
        {
            register.domains = domains(DirectoryRights::Handover);
        }
        // A preflight would have stopped the first one.
        steps.remove(0);
        let server = &mut twin(&[Fault::SecretLeft, fault]);
        let (conclusion, ..) = drive(steps, server, None);
        let Ending::Failed(said) = &conclusion.ending else {
            panic!("not failed: {conclusion:?}")
        };
        assert!(
            said.contains(why) && said.contains("a secret was left in"),
            "{said}"
        );
    }

    let (conclusion, journal, _) = drive(steps(), &mut twin(&[Fault::AgentLogsErrors]), None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let (verdict, read) = probed(&journal, "PV08").unwrap();
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        read.starts_with("1, the newest 12016, 3 hours ago"),
        "{read}"
    );
}

/// Nothing is mended on a server that something else stops.
#[test]
fn a_server_that_is_stopped_anyway_is_left_as_it_is() {
    let mut server = twin(&[Fault::ServerCore, Fault::VaultDisabled, Fault::TlsOff]);
    let steps = agent_steps(SignIn::Token, vec![Fix::Tls12, Fix::Vaultsvc]);
    let (conclusion, ..) = drive(steps, &mut server, None);
    let Ending::Failed(why) = &conclusion.ending else {
        panic!("not failed: {conclusion:?}")
    };
    assert!(why.contains("PF03") && why.contains("PF14"), "{why}");
    assert!(server.changes.is_empty(), "{:?}", server.changes);
}

/// What a group policy sets is left as it is and the policy is named; where that cannot be told, nothing is set either.
#[test]
fn what_a_policy_sets_is_left_and_the_policy_is_named() {
    let fixes = || vec![Fix::Tls12, Fix::Vaultsvc];
    let blocking = |journal: &[Event]| {
        let failed = journal.iter().find_map(|event| match event {
            Event::StepFailed { failure, .. } => Some(failure.findings.clone()),
            _ => None,
        });
        failed.expect("the preflight fails")
    };
    let faults = [Fault::VaultDisabled, Fault::TlsOff, Fault::SetByPolicy];
    let mut server = twin(&faults);
    let steps = agent_steps(SignIn::Token, fixes());
    let (_, journal, _) = drive(steps, &mut server, None);
    let ids: BTreeSet<String> = blocking(&journal)
        .iter()
        .map(|one| one.id.clone())
        .collect();
    let wanted = ["PF14", "PF15", "PF17"].map(ToOwned::to_owned);
    assert_eq!(ids, wanted.into());
    for finding in blocking(&journal) {
        assert!(
            finding.read.contains("\"Servers: hardening\""),
            "{finding:?}"
        );
        assert!(
            finding.fix.contains("changed where it is made"),
            "{finding:?}"
        );
    }
    assert!(server.changes.is_empty(), "{:?}", server.changes);

    let untold = |op: &Op, outcome| match (op, outcome) {
        (
            Op::Script {
                script: Script::InspectPolicies,
                ..
            },
            Outcome::Script { mut lines },
        ) => {
            let why = serde_json::json!({ "why": "no resultant set of policy is recorded" });
            lines[0]["values"] = why;
            Outcome::Script { lines }
        }
        (_, outcome) => outcome,
    };
    let mut server = twin(&[Fault::VaultDisabled]);
    let steps = agent_steps(SignIn::Token, fixes());
    let (_, journal, _) = drive_with(steps, &mut server, None, "value", untold);
    let [finding] = blocking(&journal).try_into().unwrap();
    assert!(
        finding.read.contains("no resultant set of policy"),
        "{finding:?}"
    );
    assert!(
        finding.fix.starts_with("it is left as it is"),
        "{finding:?}"
    );
    assert!(server.changes.is_empty(), "{:?}", server.changes);
}

/// What stands on the setup's command line (product facts 1.2).
#[test]
fn the_setup_is_told_the_cloud() {
    for (cloud, environment) in [
        (Cloud::Commercial, "AzureCloud"),
        (Cloud::UsGovernment, "AzureUSGovernment"),
        (Cloud::China, "AzureChinaCloud"),
    ] {
        let mut steps = agent_steps(SignIn::Wizard, Vec::new())[..2].to_vec();
        if let Step::InstallProvisioningAgent(install) = &mut steps[1] {
            install.cloud = cloud;
        }
        let seen = std::cell::RefCell::new(Vec::new());
        let (conclusion, ..) = drive_with(steps, &mut twin(&[]), None, "value", |op, outcome| {
            if let Op::Install { arguments, .. } = op {
                seen.borrow_mut().push(arguments.join(" "));
            }
            outcome
        });
        assert_eq!(conclusion.ending, Ending::Completed);
        let wanted = format!("/quiet /norestart ENVIRONMENTNAME={environment}");
        assert_eq!(seen.into_inner(), [wanted]);
    }
}

/// The controller's data on clouds may say otherwise than the agent's constants: what is asked and what the setup is told is theirs then.
#[test]
fn what_the_data_on_clouds_say_otherwise_is_what_the_setup_is_told_and_the_probes_ask() {
    let name = |text: &str| text.parse().unwrap();
    let mut steps = agent_steps(SignIn::Wizard, Vec::new())[..2].to_vec();
    if let Step::Preflight(preflight) = &mut steps[0] {
        preflight.hosts = Some(Box::new(protocol::ProbedHosts {
            sign_in: vec![name("login.cloud.test")],
            product: vec![name("download.cloud.test")],
            registration: vec![name("zone.cloud.test")],
            revocation: vec![name("crl.cloud.test")],
        }));
    }
    if let Step::InstallProvisioningAgent(install) = &mut steps[1] {
        install.environment = Some("AzureElsewhere".parse().unwrap());
    }
    let seen = std::cell::RefCell::new((Vec::new(), Vec::new()));
    let (conclusion, ..) = drive_with(steps, &mut twin(&[]), None, "value", |op, outcome| {
        if let Op::Install { arguments, .. } = op {
            seen.borrow_mut().0.push(arguments.join(" "));
        }
        if let Op::Reach {
            host,
            port: port @ (80 | 443),
        } = op
        {
            seen.borrow_mut().1.push(format!("{host}:{port}"));
        }
        outcome
    });
    assert_eq!(conclusion.ending, Ending::Completed);
    let (setup, asked) = seen.into_inner();
    assert_eq!(setup, ["/quiet /norestart ENVIRONMENTNAME=AzureElsewhere"]);
    let tenant = tenant();
    assert_eq!(
        asked,
        [
            "login.cloud.test:443".to_owned(),
            "download.cloud.test:443".to_owned(),
            format!("{tenant}.registration.zone.cloud.test:443"),
            format!("{tenant}.bootstrap.zone.cloud.test:443"),
            "crl.cloud.test:80".to_owned(),
        ]
    );
    // Nothing else than letters and digits comes onto a command line, and nothing but a name of DNS is asked.
    for bad in [
        "Azure Cloud",
        "Azure/quiet",
        "a=b",
        "",
        "\"x\"",
        &"a".repeat(33),
    ] {
        let read = bad.parse::<protocol::EnvironmentName>();
        assert!(read.is_err(), "{bad}");
    }
    let step = r#"{"sign_in":["https://x/"],"product":[],"registration":[],"revocation":[]}"#;
    assert!(serde_json::from_str::<protocol::ProbedHosts>(step).is_err());
}

/// The cmdlets are given the domain controllers that the topology prefers, in its order, and for the other domains none.
#[test]
fn the_cmdlets_are_given_the_domain_controllers_that_are_preferred() {
    let mut steps = agent_steps(SignIn::Token, Vec::new());
    let preferred = ["dc2.corp.contoso.com", "dc1.corp.contoso.com"];
    if let Step::RegisterProvisioningAgent(register) = &mut steps[2] {
        let names = preferred.iter().map(|name| name.parse().unwrap());
        register.domains[0].preferred_dcs = names.collect();
    }
    let seen = std::cell::RefCell::new(Vec::new());
    let (conclusion, ..) = drive_with(steps, &mut twin(&[]), None, "value", |op, outcome| {
        if let Op::Script {
            script: Script::ConfigureProvisioningAgent,
            input,
            ..
        } = op
        {
            let domains = input["domains"].as_array().unwrap().iter();
            let given = domains.map(|domain| domain["preferredDomainControllers"].clone());
            seen.borrow_mut().extend(given);
        }
        outcome
    });
    assert_eq!(conclusion.ending, Ending::Completed);
    let none: [&str; 0] = [];
    assert_eq!(
        seen.into_inner(),
        [serde_json::json!(preferred), serde_json::json!(none)]
    );
}

#[test]
fn a_token_of_another_tenant_registers_nothing() {
    let token = |tenant: &str| {
        let part = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
        let claims = format!("{{\"tid\":\"{tenant}\"}}");
        format!("{}.{}.c2ln", part("{}"), part(&claims))
    };
    let steps = agent_steps(SignIn::Token, Vec::new());
    let foreign = token("77aa0000-0000-0000-0000-000000000000");
    let mut server = twin(&[]);
    let as_it_is = |_: &Op, outcome| outcome;
    let (conclusion, journal, _) = drive_with(steps.clone(), &mut server, None, &foreign, as_it_is);
    assert!(
        matches!(conclusion.ending, Ending::Failed(_)),
        "{conclusion:?}"
    );
    assert!(
        !server.changes.iter().any(|change| change.contains("gMSA")),
        "{:?}",
        server.changes
    );
    assert!(!format!("{journal:?}").contains(&foreign));
    let own = token(tenant().as_str());
    let (conclusion, ..) = drive_with(steps, &mut twin(&[]), None, &own, as_it_is);
    assert_eq!(conclusion.ending, Ending::Completed);
}

#[test]
fn a_host_of_another_tenant_is_left_as_it_is() {
    let mut server = Twin::new(Profile {
        target: target(),
        installed: Installed::ProvisioningAgent {
            version: Version::new(1, 1, 1373, 0),
            tenant: "77aa0000-0000-0000-0000-000000000000".parse().unwrap(),
        },
        person: None,
        faults: BTreeSet::new(),
    });
    let (conclusion, ..) = drive(agent_steps(SignIn::Token, Vec::new()), &mut server, None);
    let Ending::Failed(why) = conclusion.ending else {
        panic!("not failed")
    };
    assert!(why.contains("PF40"), "{why}");
    assert!(server.changes.is_empty());
}
