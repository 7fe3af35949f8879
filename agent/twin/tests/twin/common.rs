//! What the stories of this folder share: a bundle of some steps, and how a run of it is driven on a model.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use agent_core::op::{Op, Outcome};
use agent_core::procedure::Host;
use agent_core::run::{Action, Conclusion, Leave, Run};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, GmsaChange};
use protocol::key::SigningKey;
use protocol::secret::{Secret, SecretKind};
use protocol::signed::{
    ArtifactKind, ArtifactRef, Assumed, Manifest, Phase, RoleKeys, Verified, sign, verify,
};
use protocol::step::{Product, Step};
use protocol::task::TaskText;
use protocol::{
    Digest, Generation, PlanId, RolloutId, StepIndex, TargetId, TenantId, Timestamp, Version,
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const NEWEST: Version = Version::new(1, 1, 2505, 0);
pub(crate) const CONNECT: Version = Version::new(2, 6, 92, 0);

/// Leave that came just now, as controllers give it.
pub(crate) fn leave(after: Option<GmsaChange>) -> Leave {
    Leave {
        after,
        lasts: Duration::from_secs(120),
        came: Duration::ZERO,
    }
}

pub(crate) fn tenant() -> TenantId {
    "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap()
}

/// A server with these faults, at whose wizards somebody of the tenant is.
pub(crate) fn server(installed: Installed, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed,
        person: Some(tenant()),
        faults: faults.iter().copied().collect(),
    })
}

/// One whose agent is registered and serves.
pub(crate) fn serving(faults: &[Fault]) -> Twin {
    let (version, tenant) = (NEWEST, tenant());
    server(Installed::ProvisioningAgent { version, tenant }, faults)
}

pub(crate) fn target() -> TargetId {
    "sync-01.corp.contoso.com".parse().unwrap()
}

pub(crate) fn text() -> TaskText {
    TaskText {
        title: "wizard".to_owned(),
        why: "sign-in".to_owned(),
        bring: Vec::new(),
        pages: Vec::new(),
        seen_by: "TenantID".to_owned(),
    }
}

/// A bundle of these steps, signed, and the role that its signature is good for.
pub(crate) fn manifest(steps: Vec<Step>) -> (Vec<u8>, RoleKeys) {
    manifest_on(None, steps)
}

/// The same, made on facts of that essence.
pub(crate) fn manifest_on(essence: Option<Digest>, steps: Vec<Step>) -> (Vec<u8>, RoleKeys) {
    let key = SigningKey::generate();
    let manifest = Manifest {
        format: 1,
        tenant: tenant(),
        target: target(),
        target_key: key.public().fingerprint(),
        generation: Generation(1),
        rollout: RolloutId(1),
        plan: PlanId(Digest::ZERO),
        change: None,
        phase: Phase::Prepare,
        issued: NOW,
        not_before: NOW,
        expires: NOW.plus(std::time::Duration::from_secs(86_400)),
        assumed: essence.map(|essence| Assumed { essence }),
        steps,
        artifacts: vec![
            ArtifactRef {
                sha256: Digest::of(b"setup"),
                chunks: Digest::ZERO,
                size: 5,
                kind: ArtifactKind::Exe,
                product: Product::ProvisioningAgent,
                version: NEWEST,
            },
            ArtifactRef {
                sha256: Digest::of(b"msi"),
                chunks: Digest::ZERO,
                size: 5,
                kind: ArtifactKind::Msi,
                product: Product::Connect,
                version: CONNECT,
            },
        ],
        approval: None,
    };
    (
        sign(&manifest, &[&key]).to_json(),
        RoleKeys {
            keys: vec![key.public()],
            threshold: 1,
        },
    )
}

/// Who signs the agent's releases in these tests.
pub(crate) static PUBLISHER: LazyLock<SigningKey> = LazyLock::new(SigningKey::generate);

/// A model whose agent that publisher may upgrade.
pub(crate) fn host() -> Host {
    let publisher = RoleKeys {
        keys: vec![PUBLISHER.public()],
        threshold: 1,
    };
    Host {
        publisher,
        ..Host::model("0")
    }
}

/// Drives a run on a twin. Before the action with number `cut` the agent dies and comes back with nothing but its journal.
pub(crate) fn drive(
    steps: Vec<Step>,
    twin: &mut Twin,
    cut: Option<usize>,
) -> (Conclusion, Vec<Event>, usize) {
    drive_with(steps, twin, cut, "value", |_, outcome| outcome)
}

/// The same with a secret of one's own, and with other outcomes than the twin's.
pub(crate) fn drive_with(
    steps: Vec<Step>,
    twin: &mut Twin,
    cut: Option<usize>,
    secret: &str,
    instead: impl Fn(&Op, Outcome) -> Outcome,
) -> (Conclusion, Vec<Event>, usize) {
    drive_beside(steps, twin, cut, secret, |_, _| {}, instead)
}

/// The same where something happens on the server beside the run, before an action.
pub(crate) fn drive_beside(
    steps: Vec<Step>,
    twin: &mut Twin,
    cut: Option<usize>,
    secret: &str,
    beside: impl Fn(&Action, &mut Twin),
    instead: impl Fn(&Op, Outcome) -> Outcome,
) -> (Conclusion, Vec<Event>, usize) {
    drive_bundle(manifest(steps), twin, cut, secret, beside, instead)
}

/// The same with a bundle that was made.
pub(crate) fn drive_bundle(
    bundle: (Vec<u8>, RoleKeys),
    twin: &mut Twin,
    cut: Option<usize>,
    secret: &str,
    beside: impl Fn(&Action, &mut Twin),
    instead: impl Fn(&Op, Outcome) -> Outcome,
) -> (Conclusion, Vec<Event>, usize) {
    drive_at_most(2000, bundle, twin, (cut, secret), beside, instead)
}

/// The same of a run that may take that many actions.
pub(crate) fn drive_at_most(
    most: usize,
    (bytes, role): (Vec<u8>, RoleKeys),
    twin: &mut Twin,
    (cut, secret): (Option<usize>, &str),
    beside: impl Fn(&Action, &mut Twin),
    instead: impl Fn(&Op, Outcome) -> Outcome,
) -> (Conclusion, Vec<Event>, usize) {
    drive_for(
        most,
        (bytes, role),
        twin,
        (cut, secret, None),
        beside,
        instead,
    )
}

/// The same where a person says of each piece of work, after some looks, that it is done.
pub(crate) fn drive_until_attested(
    steps: Vec<Step>,
    twin: &mut Twin,
    cut: Option<usize>,
    beside: impl Fn(&Action, &mut Twin),
) -> (Conclusion, Vec<Event>, usize) {
    const LOOKS: u32 = 8;
    let how = (cut, "value", Some(LOOKS));
    drive_for(2000, manifest(steps), twin, how, beside, |_, outcome| {
        outcome
    })
}

fn drive_for(
    most: usize,
    (bytes, role): (Vec<u8>, RoleKeys),
    twin: &mut Twin,
    (cut, secret, attests): (Option<usize>, &str, Option<u32>),
    beside: impl Fn(&Action, &mut Twin),
    instead: impl Fn(&Op, Outcome) -> Outcome,
) -> (Conclusion, Vec<Event>, usize) {
    let mut looks = 0;
    let mut at = StepIndex(0);
    let verified = || -> Verified<Manifest> { verify(&bytes, &role).unwrap() };
    let mut journal: Vec<Event> = Vec::new();
    let mut secrets: BTreeMap<SecretKind, Secret> = BTreeMap::new();
    let mut run = Run::new(verified(), host(), &[], NOW);
    let mut actions = 0;
    loop {
        let action = run
            .poll_action()
            .expect("a run that is not over has something to do");
        if Some(actions) == cut {
            secrets.clear();
            run = Run::new(verified(), host(), &journal, NOW);
            actions += 1;
            continue;
        }
        actions += 1;
        assert!(actions < most, "the run does not end");
        beside(&action, twin);
        match action {
            Action::Journal(event) => {
                if let Event::StepBegun { step, .. } = &event {
                    at = *step;
                }
                if matches!(event, Event::TaskOpened { .. }) {
                    looks = 0;
                }
                if let Event::SectionLeft { gmsa: None, .. } = &event {
                    assert!(is_inside(&journal), "it leaves what it did not enter");
                }
                journal.push(event);
            }
            Action::Perform { number, op } => {
                let (outcome, _) = twin.perform(&op, &secrets);
                run.handle_outcome(number, instead(&op, outcome), NOW);
                if let Op::Wait { .. } = op {
                    looks += 1;
                    if attests.is_some_and(|patience| looks >= patience) {
                        run.handle_attested(at, "anna".to_owned());
                    }
                }
            }
            Action::AskPermit { step, attempt, .. } => {
                run.handle_permit(step, attempt, leave(None), NOW)
            }
            Action::AskSecret { number, wanted, .. } => {
                let secret = Secret {
                    user: "admin".to_owned(),
                    value: secret.to_owned(),
                };
                secrets.insert(wanted.clone(), secret);
                run.handle_secret(number, &wanted, Ok(()), NOW);
            }
            Action::Finish(conclusion) => return (conclusion, journal, actions),
        }
    }
}

/// It has entered a section by its journal and not left it.
fn is_inside(journal: &[Event]) -> bool {
    let mut inside = false;
    for event in journal {
        inside |= matches!(event, Event::SectionEntered { .. });
        inside &= !matches!(event, Event::SectionLeft { .. });
    }
    inside
}
