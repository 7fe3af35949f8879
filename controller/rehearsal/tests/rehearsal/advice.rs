//! What the words of a failure tell an operator to do, done: the plan that follows ends with what was wanted.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_twin::Fault;
use controller_core::fleet::TargetState;
use controller_core::record::Order;
use controller_core::topology::Topology;
use protocol::TargetId;
use protocol::event::Grade;
use rehearsal::{Ask, ROLLOUT, World};

use crate::common::{
    NEWEST, NOW, agent, facts, failed_over, planned, replanned, swapped, swapped_within, target,
    topology,
};

const AGENTS: &str = "[agents.corp]\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\"]\n";

fn server() -> TargetId {
    target("s1.corp.test")
}

fn asked() -> Ask {
    Ask {
        begin: NOW,
        person: Some(Duration::from_secs(600)),
        faults: BTreeMap::new(),
        seed: 1,
    }
}

/// A server of that topology, on which something is wrong, after the first rollout of it: a person is there for whatever is asked.
fn tried(text: &str, faults: &[Fault]) -> World {
    let (plan, known) = planned(&topology(text), "", |_| facts(None, None));
    let ask = Ask {
        faults: BTreeMap::from([(server(), faults.iter().copied().collect())]),
        ..asked()
    };
    let mut world = World::new(&plan, &known, ask);
    settles(&mut world);
    world
}

/// Until nothing happens by itself any more.
fn settles(world: &mut World) {
    world.run_until(world.now.plus(Duration::from_secs(86_400)), |_| {});
}

/// What the newest rollout came to on the server.
fn state(world: &World) -> &TargetState {
    let (_, rollout) = world.fleet.rollouts().last_key_value().unwrap();
    &rollout.work[&server()].state
}

/// The operator gives up the first try, writes something else, plans again and applies that.
fn replans(world: &mut World, text: &str) {
    let (rollout, _) = world.fleet.rollouts().last_key_value().unwrap();
    let skip = Order::Skip {
        target: server(),
        reason: "planned again".to_owned(),
    };
    world.order_of(*rollout, skip).unwrap();
    let plan = replanned(&topology(text), world.fleet.known());
    world.apply(&plan).unwrap();
    settles(world);
}

fn is_done(world: &World, what: &str) {
    assert!(
        matches!(state(world), TargetState::Done(_)),
        "{what}: {:?}",
        state(world)
    );
    assert_eq!(world.domains(&server()), ["corp.test"], "{what}");
    let known = &world.fleet.known()[&server()];
    let served: BTreeSet<_> = [server().home_domain().unwrap()].into();
    assert_eq!(known.domains, Some(served), "{what}");
}

/// The module demands a credential for a domain that is handed over: the advice is `directory = "ask"`, or the wizard.
#[test]
fn a_module_that_demands_a_credential_is_given_one_or_the_wizard_is_taken() {
    for (what, text) in [
        (
            "ask",
            format!("{AGENTS}[domain.\"corp.test\"]\ndirectory = \"ask\"\n"),
        ),
        ("wizard", format!("sign_in = \"wizard\"\n{AGENTS}")),
    ] {
        let mut world = tried(AGENTS, &[Fault::DomainCredentialDemanded]);
        let TargetState::Inconclusive(question) = state(&world) else {
            panic!("{:?}", state(&world));
        };
        assert!(question.contains("directory = \"ask\""), "{question}");
        assert!(question.contains("the wizard"), "{question}");
        assert!(world.domains(&server()).is_empty());
        // It shows a tenant and a running service: it serves nothing, and counts as nobody that does.
        assert_eq!(world.serving(&[server()]), 0);
        assert_eq!(
            world.fleet.rollouts()[&ROLLOUT].work[&server()].grade,
            Some(Grade::Installed)
        );
        replans(&mut world, &text);
        is_done(&world, what);
    }
}

/// What a failure says that nothing but another word in the topology mends: that word written, and planned again.
#[test]
fn what_a_failure_says_to_write_ends_done_where_it_is_planned_again() {
    let ask = "[domain.\"corp.test\"]\ndirectory = \"ask\"\npermissions = [\"basic-read\"]\n";
    let by = |sign_in: &str| format!("sign_in = \"{sign_in}\"\n{AGENTS}");
    let may_fix = |fix: &str| format!("{AGENTS}may_fix = [\"{fix}\"]\n");
    for (fault, first, said, then) in [
        (
            Fault::TokenNotTaken,
            by("token"),
            "sign_in = \"wizard\"",
            by("wizard"),
        ),
        (
            Fault::MfaDemanded,
            by("credential"),
            "an access token from a sign-in with multi-factor authentication",
            by("token"),
        ),
        (
            Fault::MfaDemanded,
            by("credential"),
            "or use the wizard",
            by("wizard"),
        ),
        (
            Fault::CredentialOfNobody,
            format!("{AGENTS}{ask}"),
            "directory = \"handover\"",
            AGENTS.to_owned(),
        ),
        (
            Fault::VaultDisabled,
            AGENTS.to_owned(),
            "list \"vaultsvc\" in may_fix and plan again",
            may_fix("vaultsvc"),
        ),
    ] {
        let mut world = tried(&first, &[fault]);
        let TargetState::Failed { failure, .. } = state(&world) else {
            panic!("{fault:?}: {:?}", state(&world));
        };
        let mut words = failure.findings.iter().map(|one| one.fix.clone());
        let known = failure.known.iter().map(|known| known.fix.clone());
        let told = words.any(|fix| fix.contains(said))
            || failure.what.contains(said)
            || known.into_iter().any(|fix| fix.contains(said));
        assert!(told, "{fault:?}: {failure:?}");
        replans(&mut world, &then);
        let state = state(&world);
        assert!(
            matches!(state, TargetState::Done(_)),
            "{fault:?}: {state:?}"
        );
        assert_eq!(world.domains(&server()), ["corp.test"], "{fault:?}");
        assert_eq!(world.serving(&[server()]), 1, "{fault:?}");
    }
}

/// The rights are refused behind a domain that was added: it is handed over, and its administrator gives them.
#[test]
fn a_registration_whose_rights_were_refused_is_gone_on_with_where_the_domain_is_handed_over() {
    let ask = "[domain.\"corp.test\"]\ndirectory = \"ask\"\npermissions = [\"basic-read\"]\n";
    let mut world = tried(
        &format!("{AGENTS}gmsa = \"svcEntraSync$\"\n{ask}"),
        &[Fault::PermissionsRefused],
    );
    assert!(
        matches!(state(&world), TargetState::Failed { .. }),
        "{:?}",
        state(&world)
    );
    assert_eq!(world.serving(&[server()]), 0);
    replans(&mut world, &format!("{AGENTS}gmsa = \"svcEntraSync$\"\n"));
    is_done(&world, "handed over");
}

/// Nobody has said what a person gave at the wizard, or somebody else registered it: `adopt = true` has it looked for, by either way.
#[test]
fn what_is_adopted_is_known_to_be_served() {
    // To add to one that serves takes it out of service, and it is alone.
    let alone = "[domain.\"corp.test\"]\nallow_outage = true\n";
    for sign_in in ["token", "wizard"] {
        let text = format!("sign_in = \"{sign_in}\"\n{alone}{AGENTS}");
        let (plan, known) = planned(&topology(&text), "", |_| facts(Some(agent(NEWEST)), None));
        let why = plan.targets[&server()].why.join("; ");
        assert!(why.contains("adopt = true"), "{why}");
        let mut world = World::new(&plan, &known, asked());
        settles(&mut world);
        assert!(matches!(state(&world), TargetState::Done(_)));
        assert!(world.domains(&server()).is_empty());
        let adopting = topology(&format!("{text}adopt = true\n"));
        let plan = replanned(&adopting, world.fleet.known());
        world.apply(&plan).unwrap();
        settles(&mut world);
        is_done(&world, sign_in);
    }
    let text = format!("sign_in = \"wizard\"\n{alone}{AGENTS}");
    let mut world = tried(&text, &[]);
    let known = &world.fleet.known()[&server()];
    assert_eq!(
        known.domains,
        Some(BTreeSet::new()),
        "a person gave it some"
    );
    let plan = replanned(
        &topology(&format!("{text}adopt = true\n")),
        world.fleet.known(),
    );
    world.apply(&plan).unwrap();
    settles(&mut world);
    is_done(&world, "registered at the wizard");
}

/// An abort ends a person's work at the wizard: what they did by then is unknown, and the next plan goes on with it.
#[test]
fn a_registration_that_an_abort_broke_off_is_gone_on_with() {
    let text = format!("sign_in = \"wizard\"\n{AGENTS}");
    let (plan, known) = planned(&topology(&text), "", |_| facts(None, None));
    let mut world = World::new(&plan, &known, asked());
    let waits = |world: &World| matches!(state(world), TargetState::AwaitingPerson { .. });
    while !waits(&world) {
        assert!(world.step(), "{:?}", state(&world));
    }
    world.order(Order::Abort).unwrap();
    settles(&mut world);
    assert!(world.is_over());
    assert!(world.domains(&server()).is_empty());
    let plan = replanned(&topology(&text), world.fleet.known());
    world.apply(&plan).unwrap();
    settles(&mut world);
    assert!(
        matches!(state(&world), TargetState::Done(_)),
        "{:?}",
        state(&world)
    );
    assert_eq!(world.domains(&server()), ["corp.test"]);
}

/// A server that was fenced is taken off, and installed anew as a staging server, as its own sentence says.
#[test]
fn a_server_that_was_fenced_comes_back_as_a_staging_server() {
    let (old, new) = (target("c1.corp.test"), target("c2.corp.test"));
    let (plan, known) = failed_over();
    let mut world = World::new(&plan, &known, asked());
    settles(&mut world);
    world.arrives(&old);
    settles(&mut world);
    assert!(world.is_over());
    let entry = |servers: &str, more: &str| {
        topology(&format!(
            "[connect.main]\nforests = [\"corp.test\"]\nservers = [{servers}]\n{more}pending_exports = {{ add = 5, update = 50 }}\nsettings = {{ sign_in = \"password-hash-sync\" }}\n"
        ))
    };
    let all = "\"c1.corp.test\", \"c2.corp.test\", \"c3.corp.test\"";
    let held = replanned(&entry(all, ""), world.fleet.known());
    let why = held.targets[&old].why.join("; ");
    assert!(
        held.targets[&old].left_out && why.contains("`retired`"),
        "{why}"
    );
    let stays = "\"c2.corp.test\", \"c3.corp.test\"";
    let off = |text: &Topology, world: &mut World| {
        let plan = replanned(text, world.fleet.known());
        world.apply(&plan).unwrap();
        for _ in 0..4 {
            settles(world);
            assert_ne!(world.is_active(&old), Some(true), "two were active");
            assert_eq!(world.is_active(&new), Some(true));
        }
        let (_, rollout) = world.fleet.rollouts().last_key_value().unwrap();
        let state = &rollout.work[&old].state;
        assert!(matches!(state, TargetState::Done(_)), "{state:?}");
    };
    off(&entry(stays, "retired = [\"c1.corp.test\"]\n"), &mut world);
    assert_eq!(world.is_active(&old), None, "Connect is off it");
    off(&entry(all, ""), &mut world);
    assert_eq!(world.is_active(&old), Some(false), "it is a staging server");
}

/// What somebody mends on the server, in its directory or at its network: the same work is retried, and ends done.
#[test]
fn what_is_mended_by_hand_ends_done_with_a_retry() {
    for fault in [
        Fault::RebootPending,
        Fault::InstallerRunning,
        Fault::ClockWrong,
        Fault::PolicyUnrestricted,
        Fault::InstallerBusy,
        Fault::SetupRefusesSystem,
        Fault::GmsaEncryption,
        Fault::LogonGivenByHand,
        Fault::RegistrationScriptsRefused,
        Fault::OtherJsonAssembly,
        Fault::DirectorySlow,
    ] {
        let mut world = tried(AGENTS, &[fault]);
        let failed = state(&world);
        assert!(
            matches!(
                failed,
                TargetState::Failed { .. } | TargetState::Inconclusive(_)
            ),
            "{fault:?}: {failed:?}"
        );
        world.set_faults(&server(), BTreeSet::new());
        let target = Some(server());
        world.order(Order::Retry { target }).unwrap();
        settles(&mut world);
        is_done(&world, &format!("{fault:?}"));
    }
}

/// What keeps a staging server from becoming active passes with its next cycle, or is mended: a retry, as it says.
#[test]
fn a_swap_is_retried_once_its_staging_server_is_fit() {
    for fault in [
        Fault::ExportsUnreadable,
        Fault::FullSyncDue,
        Fault::NextCycleFull,
        Fault::CycleOverdue,
    ] {
        let second = target("c2.corp.test");
        let (plan, known) = swapped();
        let faults = BTreeMap::from([(second.clone(), [fault].into())]);
        let mut world = World::new(&plan, &known, Ask { faults, ..asked() });
        settles(&mut world);
        assert_eq!(world.is_active(&second), Some(false), "{fault:?}");
        world.set_faults(&second, BTreeSet::new());
        let target = Some(second.clone());
        world.order(Order::Retry { target }).unwrap();
        settles(&mut world);
        assert_eq!(world.is_active(&second), Some(true), "{fault:?}");
        assert!(world.is_over(), "{fault:?}");
    }
}

/// What would be exported is meant: limits that are raised count in a new plan, and in no retry of the old one.
#[test]
fn raised_limits_of_pending_exports_count_once_they_are_planned_again() {
    let second = target("c2.corp.test");
    let (plan, known) = swapped();
    let faults = BTreeMap::from([(second.clone(), [Fault::DeletionsPending].into())]);
    let mut world = World::new(&plan, &known, Ask { faults, ..asked() });
    settles(&mut world);
    for _ in 0..2 {
        let state = &world.fleet.rollouts()[&ROLLOUT].work[&second].state;
        let TargetState::Failed { failure, .. } = state else {
            panic!("{state:?}");
        };
        let said = "or raise pending_exports in the topology where they are meant, and plan again";
        let fix = &failure.findings[0].fix;
        assert!(fix.contains(said), "{failure:?}");
        let target = Some(second.clone());
        world.order(Order::Retry { target }).unwrap();
        settles(&mut world);
    }
    assert_eq!(world.is_active(&second), Some(false));
    world.order(Order::Abort).unwrap();
    settles(&mut world);
    let (raised, _) = swapped_within("{ add = 5, update = 50, delete = 10 }");
    world.apply(&world.planned(&raised)).unwrap();
    settles(&mut world);
    assert_eq!(world.is_active(&second), Some(true));
    assert!(world.is_over());
}
