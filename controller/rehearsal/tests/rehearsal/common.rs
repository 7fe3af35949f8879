//! What the stories of this folder share: plans over fleets of some size.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{
    Afterwards, Inputs, Plan, Purpose, failover, plan, swing, switch, transition,
};
use controller_core::policy;
use controller_core::recipe::Artifacts;
use controller_core::topology::{Document, Topology, check, parse};
use protocol::facts::{ConnectFacts, Facts, HostFacts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::{ArtifactKind, ArtifactRef};
use protocol::step::Product;
use protocol::{Digest, TargetId, Timestamp, Version};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
pub(crate) const NEWEST: Version = Version::new(1, 1, 2505, 0);
pub(crate) const CONNECT: Version = Version::new(2, 6, 92, 0);
pub(crate) const OLD: Version = Version::new(1, 1, 1373, 0);

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

/// An agent of that version that serves.
pub(crate) fn agent(version: Version) -> ProvisioningAgentFacts {
    ProvisioningAgentFacts {
        version: Some(version),
        tenant: TENANT.parse().ok(),
        service: Some(ServiceState::Running),
        account: Some("CORP\\provAgentgMSA$".to_owned()),
        options: Some(protocol::ServiceOptions::default()),
        updater: None,
        owes_registration: None,
    }
}

pub(crate) fn topology(text: &str) -> Topology {
    let document = Document {
        file: "t.toml".to_owned(),
        text: format!("[tenant.main]\nid = \"{TENANT}\"\n{text}"),
    };
    let (topology, mut findings) = parse(&[document]);
    findings.extend(check(&topology, None));
    let error = |finding: &controller_core::finding::Finding| {
        finding.severity == controller_core::finding::Severity::Error
    };
    assert!(!findings.iter().any(error), "{findings:?}");
    topology
}

/// What a topology and facts make of a policy.
pub(crate) fn planned(
    topology: &Topology,
    policy: &str,
    facts: impl Fn(&TargetId) -> Facts,
) -> (Plan, Fleetwide) {
    let document = Document {
        file: "p.toml".to_owned(),
        text: policy.to_owned(),
    };
    let (policy, findings) = policy::parse(&document);
    assert!(findings.is_empty(), "{findings:?}");
    let artifacts = artifacts();
    let mut known = Fleetwide::new();
    for target in topology.targets() {
        let entry = Known {
            facts: Some((NOW, facts(&target))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        known.insert(target, entry);
    }
    let plan = plan(Inputs::of(
        topology,
        &policy,
        &known,
        &artifacts,
        Purpose::Install,
    ));
    (plan, known)
}

/// What a topology makes of what is known by now.
pub(crate) fn replanned(topology: &Topology, known: &Fleetwide) -> Plan {
    let (policy, artifacts) = (policy::Policy::default(), artifacts());
    let inputs = Inputs::of(topology, &policy, known, &artifacts, Purpose::Install);
    plan(inputs)
}

fn artifacts() -> Artifacts {
    let artifact = |product, kind, version| ArtifactRef {
        sha256: Digest::of(&[kind as u8]),
        chunks: Digest::ZERO,
        size: 40 << 20,
        kind,
        product,
        version,
    };
    let (cloud_sync, connect) = (Product::ProvisioningAgent, Product::Connect);
    Artifacts::from([
        (cloud_sync, artifact(cloud_sync, ArtifactKind::Exe, NEWEST)),
        (connect, artifact(connect, ArtifactKind::Msi, CONNECT)),
    ])
}

/// Two Connect servers of an old version, of which the first is active, and the plan of a swing to the second. The second one may
/// have no Connect yet; and of the first it is taken off then, or it is upgraded.
pub(crate) fn swung(installs: bool, then: Afterwards) -> (Plan, Fleetwide) {
    let (one, two) = ("c1.corp.test", "c2.corp.test");
    let servers = match then {
        Afterwards::Upgrade => format!("servers = [\"{one}\", \"{two}\"]"),
        Afterwards::Remove => format!("servers = [\"{two}\"]\nretired = [\"{one}\"]"),
    };
    let topology = topology(&format!(
        "[connect.main]\nforests = [\"corp.test\"]\n{servers}\nsettings = {{ sign_in = \"password-hash-sync\", import = \"MigratedPolicy.json\" }}\npending_exports = {{ add = 5, update = 50 }}\n"
    ));
    let (_, known) = planned(&topology, "", |server| {
        let staging = server.as_str() == two;
        let connect = ConnectFacts {
            version: Some(Version::new(2, 5, 190, 0)),
            service: Some(ServiceState::Running),
            staging: Some(staging),
            cycle_enabled: Some(true),
            suspended: None,
        };
        facts(None, Some(connect).filter(|_| !(staging && installs)))
    });
    let (policy, artifacts) = (policy::Policy::default(), artifacts());
    let inputs = Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Install);
    let plan = swing(inputs, &target(two), then).expect("it may be planned");
    (plan, known)
}

/// Three Connect servers of the newest version, of which the first is active, and the plan by which the second becomes it.
pub(crate) fn swapped() -> (Plan, Fleetwide) {
    second(None)
}

/// The same servers, and the plan that asks each whether it is ready.
pub(crate) fn ready() -> (Plan, Fleetwide) {
    with_connect("", |inputs| {
        let purpose = Purpose::Preflight;
        Ok(plan(Inputs { purpose, ..inputs }))
    })
}

/// The same where the first is off.
pub(crate) fn failed_over() -> (Plan, Fleetwide) {
    second(Some("c1.corp.test"))
}

/// The same at a site that is open on Saturdays at night, and takes one server at a time.
pub(crate) fn swapped_at_night() -> (Plan, Fleetwide) {
    swapping(
        None,
        "[site.ams]\nwindow = { days = [\"Sat\"], from = \"22:00\", to = \"22:10\" }\nmax_in_flight = 1\n",
    )
}

fn second(off: Option<&str>) -> (Plan, Fleetwide) {
    swapping(off, "")
}

/// The same servers, and the plan by which their tenant moves to cloud sync.
pub(crate) fn moving() -> (Plan, Fleetwide) {
    with_connect("", |inputs| transition(inputs, &target("c1.corp.test")))
}

fn swapping(off: Option<&str>, text: &str) -> (Plan, Fleetwide) {
    let second = target("c2.corp.test");
    with_connect(text, |inputs| match off {
        Some(off) => failover(inputs, &second, &target(off)),
        None => switch(inputs, &second),
    })
}

/// Three Connect servers, of which the first is active, and the plan by which the second becomes it where it exports within these limits.
pub(crate) fn swapped_within(exports: &str) -> (Plan, Fleetwide) {
    let second = target("c2.corp.test");
    exporting("", exports, |inputs| switch(inputs, &second))
}

fn with_connect(
    text: &str,
    build: impl Fn(Inputs<'_>) -> Result<Plan, String>,
) -> (Plan, Fleetwide) {
    exporting(text, "{ add = 5, update = 50 }", build)
}

fn exporting(
    text: &str,
    exports: &str,
    build: impl Fn(Inputs<'_>) -> Result<Plan, String>,
) -> (Plan, Fleetwide) {
    let document = Document {
        file: "p.toml".to_owned(),
        text: text.to_owned(),
    };
    let (policy, findings) = policy::parse(&document);
    assert!(findings.is_empty(), "{findings:?}");
    let topology = topology(&format!(
        "[site.ams]\nzone = \"Europe/Amsterdam\"\n[connect.main]\nsite = \"ams\"\nforests = [\"corp.test\"]\nservers = [\"c1.corp.test\", \"c2.corp.test\", \"c3.corp.test\"]\npending_exports = {exports}\n",
    ));
    let (_, known) = planned(&topology, "", |server| {
        let connect = ConnectFacts {
            version: Some(CONNECT),
            service: Some(ServiceState::Running),
            staging: Some(!server.as_str().starts_with("c1")),
            cycle_enabled: Some(true),
            suspended: Some(false),
        };
        facts(None, Some(connect))
    });
    let inputs = Inputs {
        topology: &topology,
        policy: &policy,
        known: &known,
        artifacts: &Artifacts::new(),
        roster: None,
        release: None,
        beyond: controller_core::beyond::Beyond::NOTHING,
        purpose: Purpose::Verify,
        only: &std::collections::BTreeSet::new(),
    };
    let plan = build(inputs);
    (plan.expect("it may be planned"), known)
}

pub(crate) fn target(name: &str) -> TargetId {
    name.parse().unwrap()
}
