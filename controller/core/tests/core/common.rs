//! What the stories of this folder share: a document, the newest installers, the facts of a server that has these products.

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::recipe::Artifacts;
use controller_core::record::Record;
use controller_core::roster::Roster;
use controller_core::topology::{Document, Topology, parse};
use protocol::event::Event;
use protocol::facts::{ConnectFacts, Facts, HostFacts, ProvisioningAgentFacts, ServiceState};
use protocol::key::{PublicKey, SigningKey};
use protocol::signed::{ArtifactKind, ArtifactRef};
use protocol::step::Product;
use protocol::{
    Attempt, Digest, Epoch, EventIndex, Generation, RolloutId, StepIndex, TargetId, Timestamp,
    Version,
};

/// Newest version of the provisioning agent.
pub(crate) const AGENT: Version = Version::new(1, 1, 2505, 0);

/// Newest version of Connect Sync.
pub(crate) const CONNECT: Version = Version::new(2, 6, 92, 0);

/// Newest release of Entrain's own agent.
pub(crate) const NEXT_AGENT: Version = Version::new(0, 2, 0, 0);

/// A topology's or a policy's document.
pub(crate) fn document(text: impl Into<String>) -> Document {
    Document {
        file: "t.toml".to_owned(),
        text: text.into(),
    }
}

/// The newest installer of each product.
pub(crate) fn artifacts() -> Artifacts {
    let artifact = |product, kind, version| {
        let artifact = ArtifactRef {
            sha256: Digest::of(&[kind as u8]),
            chunks: Digest::ZERO,
            size: 1,
            kind,
            product,
            version,
        };
        (product, artifact)
    };
    Artifacts::from([
        artifact(Product::ProvisioningAgent, ArtifactKind::Exe, AGENT),
        artifact(Product::Connect, ArtifactKind::Msi, CONNECT),
    ])
}

/// Servers whose agents are of that version, and a newer release of it. Nobody but agents asks who signed that.
pub(crate) fn roster<'a>(agents: impl IntoIterator<Item = &'a TargetId>, version: &str) -> Roster {
    let mut roster = Roster::default();
    let now = Timestamp::from_millis(0);
    for target in agents {
        roster.apply(&enrolled(target, PublicKey::from_bytes([7; 32])), now);
        let seen = Record::AgentSeen {
            target: target.clone(),
            version: version.to_owned(),
        };
        roster.apply(&seen, now);
    }
    roster.apply(&released(NEXT_AGENT), now);
    roster
}

/// A release of Entrain's agent is added.
pub(crate) fn released(version: Version) -> Record {
    Record::ReleaseAdded {
        version,
        release: version.to_string(),
        files: Vec::new(),
        by: "root".to_owned(),
    }
}

/// A server in order, with these products.
pub(crate) fn facts(
    provisioning_agent: Option<ProvisioningAgentFacts>,
    connect: Option<ConnectFacts>,
) -> Facts {
    Facts {
        simulated: true,
        agent_version: "0".to_owned(),
        host: HostFacts {
            os: "Windows".to_owned(),
            build: 20348,
            domain: None,
            domain_controller: false,
            reboot_pending: false,
        },
        provisioning_agent,
        connect,
        unread: Vec::new(),
        console_open: false,
    }
}

/// A provisioning agent of an old version that serves, of the tenant of most stories.
pub(crate) fn old_agent() -> ProvisioningAgentFacts {
    ProvisioningAgentFacts {
        version: Some(Version::new(1, 1, 1373, 0)),
        tenant: "3f0c8a4e-0000-0000-0000-000000000000".parse().ok(),
        service: Some(ServiceState::Running),
        account: Some("A\\provAgentgMSA$".to_owned()),
        options: Some(protocol::ServiceOptions::default()),
        updater: None,
        owes_registration: None,
    }
}

/// A server with such an agent.
pub(crate) fn old() -> Facts {
    facts(Some(old_agent()), None)
}

/// Every server of a topology enrolls, with a key of its own: what a plan knows of them where they told these facts at that time, and the
/// records of it.
pub(crate) fn enroll(
    topology: &Topology,
    at: Timestamp,
    facts: impl Fn(&TargetId) -> Facts,
) -> (Fleetwide, Vec<Record>) {
    let all = topology.targets().into_iter().map(|target| {
        let key = SigningKey::generate().public();
        let known = Known {
            facts: Some((at, facts(&target))),
            ..Known::of(key.fingerprint())
        };
        let enrolls = enrolled(&target, key);
        ((target, known), enrolls)
    });
    all.unzip()
}

/// An event of a target's journal, as it comes into the controller's log.
pub(crate) fn told(target: &TargetId, index: u64, at: Timestamp, event: &Event) -> Record {
    Record::TargetEvent {
        target: target.clone(),
        epoch: Epoch(1),
        index: EventIndex(index),
        kind: event.kind(),
        at,
        body: String::from_utf8(event.to_body()).expect("a body is text"),
    }
}

/// A plan is applied, at once and by an operator, who accepts what cannot be undone.
pub(crate) fn applied(rollout: RolloutId, plan: &Plan) -> Record {
    Record::Applied {
        rollout,
        plan: plan.id(),
        by: "root".to_owned(),
        change: None,
        irreversible: u32::try_from(plan.irreversible.len()).expect("a few acts"),
        not_before: None,
    }
}

/// A target enrolls with a key.
pub(crate) fn enrolled(target: &TargetId, key: PublicKey) -> Record {
    Record::AgentEnrolled {
        target: target.clone(),
        key,
        epoch: Epoch(1),
        token: Digest::ZERO,
        by: "token".to_owned(),
        simulated: true,
    }
}

/// The plan that installs a provisioning agent on one server without a product, that server, and its key. A person signs in for it.
pub(crate) fn one_server(now: Timestamp) -> (Plan, TargetId, PublicKey) {
    let document = document(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n",
    );
    let (topology, _) = parse(&[document]);
    let target: TargetId = "s1.a.test".parse().expect("a name");
    let key = SigningKey::generate().public();
    let entry = Known {
        facts: Some((now, facts(None, None))),
        ..Known::of(key.fingerprint())
    };
    let plan = plan(Inputs::of(
        &topology,
        &Policy::default(),
        &Fleetwide::from([(target.clone(), entry)]),
        &artifacts(),
        Purpose::Install,
    ));
    (plan, target, key)
}

/// A step is begun, for the first time.
pub(crate) fn begins(generation: Generation, step: u16) -> Event {
    Event::StepBegun {
        generation,
        step: StepIndex(step),
        attempt: Attempt(1),
        kind: "a step".to_owned(),
    }
}
