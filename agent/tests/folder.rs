//! An agent's folder: what is taken up of it at a start, and by how many.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agent::agent::{Agent, AgentError, Speed};
use agent::exec::Exec;
use agent::journal::Journal;
use agent::state::{CertificateFile, Lock, State};
use protocol::event::Event;
use protocol::key::SigningKey;
use protocol::signed::{ControllerKind, Manifest, Phase, Role, RoleKeys, TrustRoot, sign};
use protocol::step::Step;
use protocol::{BundleId, Digest, Epoch, Generation, PlanId, RolloutId, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn only(key: &SigningKey) -> RoleKeys {
    RoleKeys {
        keys: vec![key.public()],
        threshold: 1,
    }
}

/// A root in which that key signs bundles.
fn root(version: u32, bundle: &SigningKey, own: &SigningKey) -> TrustRoot {
    let nobody = RoleKeys {
        keys: Vec::new(),
        threshold: 0,
    };
    TrustRoot {
        format: 1,
        version,
        kind: ControllerKind::Simulated,
        issued: NOW,
        expires: NOW.plus(Duration::from_secs(86_400)),
        roles: Role {
            root: only(own),
            bundle: only(bundle),
            approver: nobody.clone(),
            publisher: nobody,
        },
        authority: Vec::new(),
        override_operators: 1,
    }
}

/// The folder of an enrolled agent with a bundle that it has accepted and not finished; gives the one who signs roots.
fn enrolled(folder: &Path) -> SigningKey {
    let (owner, bundle) = (SigningKey::generate(), SigningKey::generate());
    let target = "sync-01.corp.contoso.com".parse().unwrap();
    let key = State::prepare(folder, &target, "127.0.0.1:1").unwrap();
    let pinned = sign(&root(1, &bundle, &owner), &[&owner]).to_json();
    let certificate = CertificateFile {
        chain: Vec::new(),
        renew_after: NOW,
        expires: NOW,
    };
    State::keep_enrollment(folder, &pinned, &certificate).unwrap();
    let manifest = Manifest {
        format: 1,
        tenant: "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap(),
        target,
        target_key: key.public().fingerprint(),
        generation: Generation(1),
        rollout: RolloutId(1),
        plan: PlanId(Digest::ZERO),
        change: None,
        phase: Phase::Prepare,
        issued: NOW,
        not_before: NOW,
        expires: NOW.plus(Duration::from_secs(86_400)),
        assumed: None,
        steps: vec![Step::ReportFacts],
        artifacts: Vec::new(),
        approval: None,
    };
    let envelope = sign(&manifest, &[&bundle]).to_json();
    let state = State::open(folder).unwrap();
    state.keep_bundle(Generation(1), &envelope).unwrap();
    let mut journal = Journal::open(&folder.join("journal"), || Epoch(7)).unwrap();
    let accepted = Event::BundleAccepted {
        bundle: BundleId(Digest::of(&envelope)),
        generation: Generation(1),
        rollout: RolloutId(1),
        phase: Phase::Prepare,
        change: None,
    };
    journal.append(&accepted, NOW);
    journal.sync().unwrap();
    owner
}

fn open(folder: &Path) -> Result<Agent, AgentError> {
    let exec = Exec::this_server(folder, "0.1.0");
    Agent::open(State::open(folder).unwrap(), exec, Speed(0))
}

/// A newer root names another key for bundles while a run is under way: that run goes on after a start, as it does without one.
#[test]
fn a_bundle_that_was_accepted_is_taken_up_whoever_signs_bundles_by_now() {
    let folder = tempfile::tempdir().unwrap();
    let owner = enrolled(folder.path());
    assert!(open(folder.path()).is_ok());
    let newer = root(2, &SigningKey::generate(), &owner);
    let envelope = sign(&newer, &[&owner]).to_json();
    let mut state = State::open(folder.path()).unwrap();
    state.repin(&envelope, newer).unwrap();
    let opened = open(folder.path());
    assert!(opened.is_ok(), "{opened:?}");
    // Other bytes than those that were accepted are none.
    let other = sign(&root(3, &owner, &owner), &[&owner]).to_json();
    state.keep_bundle(Generation(1), &other).unwrap();
    let refused = open(folder.path()).unwrap_err();
    assert!(refused.to_string().contains("not the bundle"), "{refused}");
}

#[test]
fn a_second_agent_on_one_folder_ends_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    enrolled(folder.path());
    let first = Lock::take(folder.path()).unwrap();
    let second = Command::new(env!("CARGO_BIN_EXE_entrain-agent"))
        .arg("run")
        .arg("--state")
        .arg(folder.path())
        .output()
        .unwrap();
    // Its launcher knows the number.
    assert_eq!(second.status.code(), Some(75));
    let said = String::from_utf8(second.stderr).unwrap();
    let name = folder.path().display().to_string();
    for part in ["another agent runs", &name, "end that process"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    drop(first);
}
