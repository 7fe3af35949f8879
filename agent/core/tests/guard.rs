//! What the guard lets through, and why it refuses what it refuses: one bundle, and each way in which it can be wrong.
#![expect(
    clippy::unwrap_used,
    reason = "what the test itself makes is well formed"
)]

use std::time::Duration;

use agent_core::guard::{Answer, Standing, consider};
use protocol::key::SigningKey;
use protocol::refusal::Refusal;
use protocol::signed::{
    AgentRelease, Approval, ApprovalProof, ArtifactKind, ArtifactRef, ControllerKind,
    Document as _, Envelope, Manifest, Phase, ReleaseFile, Role, RoleKeys, TrustRoot, sign,
};
use protocol::step::{
    BothTools, Cloud, DiscoverServers, ExportLimits, InstallProvisioningAgent, Preflight, Product,
    ReviewConnectExports, SignIn, Step, UpgradeAgent, VerifyProvisioningAgent,
};
use protocol::{
    BundleId, Digest, Generation, Overridden, PlanId, RolloutId, TargetId, Timestamp, Version,
    limits, merkle,
};

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    bundle: SigningKey,
    approver: SigningKey,
    agent: SigningKey,
    target: TargetId,
    root: TrustRoot,
    newest: Option<(Generation, BundleId)>,
    open: Option<Generation>,
    frozen: Option<Timestamp>,
    now: Timestamp,
}

const fn nobody() -> RoleKeys {
    RoleKeys {
        keys: Vec::new(),
        threshold: 0,
    }
}

impl World {
    fn new() -> Self {
        let (bundle, approver) = (SigningKey::generate(), SigningKey::generate());
        let role = |key: &SigningKey, threshold| RoleKeys {
            keys: vec![key.public()],
            threshold,
        };
        let root = TrustRoot {
            format: 1,
            version: 1,
            kind: ControllerKind::Simulated,
            issued: NOW,
            expires: NOW.plus(HOUR * 48),
            roles: Role {
                root: role(&SigningKey::generate(), 1),
                bundle: role(&bundle, 1),
                approver: nobody(),
                publisher: nobody(),
            },
            authority: Vec::new(),
            override_operators: 1,
        };
        Self {
            bundle,
            approver,
            agent: SigningKey::generate(),
            target: "sync-01.corp.contoso.com".parse().unwrap(),
            root,
            newest: None,
            open: None,
            frozen: None,
            now: NOW,
        }
    }

    /// The root asks for an approval from now on.
    fn demand_approval(&mut self) {
        self.root.roles.approver = RoleKeys {
            keys: vec![self.approver.public()],
            threshold: 1,
        };
    }

    fn manifest(&self) -> Manifest {
        let artifact = Digest::of(b"setup");
        Manifest {
            format: 1,
            tenant: "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap(),
            target: self.target.clone(),
            target_key: self.agent.public().fingerprint(),
            generation: Generation(7),
            rollout: RolloutId(1),
            plan: PlanId(Digest::of(b"plan")),
            change: None,
            phase: Phase::Prepare,
            issued: NOW,
            not_before: NOW,
            expires: NOW.plus(HOUR),
            assumed: None,
            steps: vec![Step::InstallProvisioningAgent(InstallProvisioningAgent {
                artifact,
                cloud: Cloud::Commercial,
                at_least: Version::new(1, 1, 2505, 0),
                environment: None,
            })],
            artifacts: vec![ArtifactRef {
                sha256: artifact,
                chunks: Digest::ZERO,
                size: 5,
                kind: ArtifactKind::Exe,
                product: Product::ProvisioningAgent,
                version: Version::new(1, 1, 2505, 0),
            }],
            approval: None,
        }
    }

    fn approved(&self, mut manifest: Manifest, change: impl FnOnce(&mut Approval)) -> Manifest {
        let leaves = [manifest.leaf(), Digest::of(b"the work of another target")];
        let mut approval = Approval {
            format: 1,
            plan: manifest.plan,
            work: merkle::root(&leaves),
            issued: NOW,
            expires: NOW.plus(HOUR),
        };
        change(&mut approval);
        let envelope = sign(&approval, &[&self.approver]).to_json();
        manifest.approval = Some(ApprovalProof {
            approval: String::from_utf8(envelope).unwrap(),
            proof: merkle::prove(&leaves, 0).unwrap(),
        });
        manifest
    }

    fn consider_bytes(&self, envelope: &[u8]) -> Answer {
        let key = self.agent.public();
        consider(
            envelope,
            &Standing {
                frozen: self.frozen,
                target: &self.target,
                key: &key,
                root: &self.root,
                newest: self.newest,
                open: self.open,
                now: self.now,
            },
        )
    }

    fn consider(&self, manifest: &Manifest) -> Answer {
        self.consider_bytes(&sign(manifest, &[&self.bundle]).to_json())
    }

    fn refusal(&self, manifest: &Manifest) -> Refusal {
        match self.consider(manifest) {
            Answer::Refuse(refusal) => refusal,
            other @ (Answer::Accept(_) | Answer::AcceptedBefore | Answer::Supersede { .. }) => {
                panic!("{other:?}")
            }
        }
    }
}

#[test]
fn a_bundle_in_order_is_accepted() {
    let world = World::new();
    assert!(matches!(
        world.consider(&world.manifest()),
        Answer::Accept(_)
    ));
}

#[test]
fn a_signature_of_another_key_or_changed_bytes_are_refused() {
    let world = World::new();
    let stranger = sign(&world.manifest(), &[&SigningKey::generate()]).to_json();
    assert!(matches!(
        world.consider_bytes(&stranger),
        Answer::Refuse(Refusal::Signature(_))
    ));
    let good = sign(&world.manifest(), &[&world.bundle]).to_json();
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(
            matches!(
                world.consider_bytes(&changed),
                Answer::Refuse(Refusal::Signature(_))
            ),
            "byte {at} was changed and nobody noticed"
        );
    }
    for length in 0..good.len() {
        assert!(matches!(
            world.consider_bytes(&good[..length]),
            Answer::Refuse(Refusal::Signature(_))
        ));
    }
}

#[test]
fn a_bundle_for_another_server_or_another_key_of_this_one_is_refused() {
    let world = World::new();
    let mut other = world.manifest();
    other.target = "sync-02.corp.contoso.com".parse().unwrap();
    assert!(matches!(
        world.refusal(&other),
        Refusal::OtherTarget { meant } if meant == other.target
    ));
    let mut other = world.manifest();
    other.target_key = SigningKey::generate().public().fingerprint();
    assert!(matches!(world.refusal(&other), Refusal::OtherKey { .. }));
}

#[test]
fn a_generation_never_falls_and_never_changes_its_content() {
    let mut world = World::new();
    let manifest = world.manifest();
    let bytes = sign(&manifest, &[&world.bundle]).to_json();
    world.newest = Some((Generation(7), BundleId(Digest::of(&bytes))));
    assert!(matches!(
        world.consider_bytes(&bytes),
        Answer::AcceptedBefore
    ));
    let mut changed = manifest.clone();
    changed.change = Some("CHG1".to_owned());
    assert!(matches!(
        world.refusal(&changed),
        Refusal::OtherContent { .. }
    ));
    world.newest = Some((Generation(8), BundleId(Digest::ZERO)));
    assert!(matches!(
        world.refusal(&manifest),
        Refusal::OlderGeneration { .. }
    ));
}

#[test]
fn a_bundle_out_of_date_is_refused_and_a_clock_may_be_a_little_off() {
    let mut world = World::new();
    let manifest = world.manifest();
    world.now = manifest.expires.plus(Duration::from_millis(1));
    assert!(matches!(
        world.refusal(&manifest),
        Refusal::OutOfDate { .. }
    ));
    world.now = NOW.minus(limits::CLOCK_TOLERANCE);
    assert!(matches!(world.consider(&manifest), Answer::Accept(_)));
    world.now = world.now.minus(Duration::from_millis(1));
    assert!(matches!(
        world.refusal(&manifest),
        Refusal::OutOfDate { .. }
    ));
    // Each is good for the whole of its last moment.
    world.now = manifest.expires;
    assert!(matches!(world.consider(&manifest), Answer::Accept(_)));
    world.now = NOW;
    world.root.expires = NOW;
    assert!(matches!(world.consider(&manifest), Answer::Accept(_)));
    world.root.expires = NOW.minus(Duration::from_millis(1));
    assert!(matches!(world.refusal(&manifest), Refusal::RootExpired(_)));
}

#[test]
fn an_unknown_step_is_refused_by_its_name() {
    let world = World::new();
    let json = serde_json::to_string(&world.manifest()).unwrap();
    let json = json.replace("install-provisioning-agent", "run-this-script");
    let mut envelope = Envelope::new(Manifest::PAYLOAD_TYPE, json.as_bytes());
    envelope.sign(&world.bundle).unwrap();
    assert!(matches!(
        world.consider_bytes(&envelope.to_json()),
        Answer::Refuse(Refusal::UnknownStep(kind)) if kind == "run-this-script"
    ));
}

#[test]
fn what_is_over_a_limit_is_refused() {
    let world = World::new();
    let mut none = world.manifest();
    none.steps.clear();
    assert!(matches!(world.refusal(&none), Refusal::OverLimit(_)));
    let mut many = world.manifest();
    many.steps = vec![Step::ReportFacts; limits::MAX_STEPS + 1];
    assert!(matches!(world.refusal(&many), Refusal::OverLimit(_)));
    many.steps = vec![Step::ReportFacts; limits::MAX_STEPS];
    assert!(matches!(world.consider(&many), Answer::Accept(_)));
    let mut large = world.manifest();
    large.artifacts[0].size = limits::MAX_ARTIFACT_BYTES + 1;
    assert!(matches!(world.refusal(&large), Refusal::OverLimit(_)));
    large.artifacts[0].size = limits::MAX_ARTIFACT_BYTES;
    assert!(matches!(world.consider(&large), Answer::Accept(_)));

    let of_artifacts = |count: usize| {
        let mut manifest = world.manifest();
        manifest.artifacts = vec![manifest.artifacts[0].clone(); count];
        manifest
    };
    assert!(matches!(
        world.consider(&of_artifacts(limits::MAX_ARTIFACTS)),
        Answer::Accept(_)
    ));
    for count in [limits::MAX_ARTIFACTS + 1, 3 * limits::MAX_ARTIFACTS] {
        let refusal = world.refusal(&of_artifacts(count));
        assert!(matches!(refusal, Refusal::OverLimit(_)), "{count}");
    }
    let of_domains = |count: usize| {
        let domains = (0..count).map(|number| format!("d{number}.test").parse().unwrap());
        let mut manifest = world.manifest();
        manifest.steps = vec![Step::DiscoverServers(DiscoverServers {
            domains: domains.collect(),
            preferred_dcs: std::collections::BTreeMap::new(),
            accounts: Vec::new(),
        })];
        manifest
    };
    assert!(matches!(
        world.consider(&of_domains(limits::MAX_DOMAINS)),
        Answer::Accept(_)
    ));
    for count in [limits::MAX_DOMAINS + 1, 2 * limits::MAX_DOMAINS] {
        let refusal = world.refusal(&of_domains(count));
        assert!(matches!(refusal, Refusal::OverLimit(_)), "{count}");
    }
    // Each organizational unit is a question of its own.
    let of_units = |count: usize| {
        let mut manifest = world.manifest();
        let both = BothTools {
            domain: "a.test".parse().unwrap(),
            units: (0..count)
                .map(|number| format!("OU={number},DC=a,DC=test"))
                .collect(),
            connect_goes: false,
        };
        manifest.steps = vec![Step::Preflight(Preflight {
            target: manifest.target.clone(),
            product: Product::ProvisioningAgent,
            present: false,
            cloud: Cloud::Commercial,
            tenant: manifest.tenant.clone(),
            sign_in: SignIn::Wizard,
            domains: Vec::new(),
            gmsa: None,
            own_rights: None,
            census: false,
            both_tools: vec![both],
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
            overridden: None,
        })];
        manifest
    };
    assert!(matches!(
        world.consider(&of_units(limits::MAX_DOMAINS)),
        Answer::Accept(_)
    ));
    let refusal = world.refusal(&of_units(limits::MAX_DOMAINS + 1));
    assert!(matches!(refusal, Refusal::OverLimit(_)), "{refusal:?}");
    // So is each host.
    let of_hosts = |count: usize| {
        let mut manifest = of_units(0);
        let names = (0..count).map(|number| format!("h{number}.test").parse().unwrap());
        if let Step::Preflight(preflight) = &mut manifest.steps[0] {
            preflight.hosts = Some(Box::new(protocol::ProbedHosts {
                revocation: names.collect(),
                ..protocol::ProbedHosts::default()
            }));
        }
        manifest
    };
    assert!(matches!(
        world.consider(&of_hosts(limits::MAX_PROBED_HOSTS)),
        Answer::Accept(_)
    ));
    let refusal = world.refusal(&of_hosts(limits::MAX_PROBED_HOSTS + 1));
    assert!(matches!(refusal, Refusal::OverLimit(_)), "{refusal:?}");
}

#[test]
fn a_step_installs_what_its_bundle_carries_for_that_product() {
    let world = World::new();
    let mut missing = world.manifest();
    missing.artifacts.clear();
    assert!(matches!(
        world.refusal(&missing),
        Refusal::OtherArtifact { .. }
    ));
    let mut other = world.manifest();
    other.artifacts[0].product = Product::Connect;
    assert!(matches!(
        world.refusal(&other),
        Refusal::OtherArtifact { .. }
    ));
}

#[test]
fn a_bundle_is_of_one_tenant() {
    let world = World::new();
    let mut other = world.manifest();
    other.tenant = "77aa0000-0000-0000-0000-000000000000".parse().unwrap();
    let verify = VerifyProvisioningAgent {
        tenant: world.manifest().tenant,
        at_least: Version::new(1, 0, 0, 0),
        gmsa: None,
        own_rights: None,
        options: protocol::ServiceOptions::default(),
        soaked_seconds: None,
    };
    other.steps.push(Step::VerifyProvisioningAgent(verify));
    assert!(matches!(world.refusal(&other), Refusal::OtherTenant { .. }));
}

#[test]
fn a_frozen_server_takes_nothing_new() {
    let mut world = World::new();
    let until = NOW.plus(HOUR);
    world.frozen = Some(until);
    let manifest = world.manifest();
    assert_eq!(world.refusal(&manifest), Refusal::Frozen { until });
    world.frozen = None;
    assert!(matches!(world.consider(&manifest), Answer::Accept(_)));
}

#[test]
fn one_bundle_at_a_time() {
    let mut world = World::new();
    world.open = Some(Generation(6));
    assert!(matches!(
        world.refusal(&world.manifest()),
        Refusal::Busy { open } if open == Generation(6)
    ));
}

/// A server whose place another one took is fenced whatever it was in; nothing else comes between.
#[test]
fn a_fence_ends_the_run_that_is_open_and_nothing_else_does() {
    let mut world = World::new();
    let mut fence = world.manifest();
    fence.artifacts.clear();
    fence.steps = vec![Step::FenceConnect, Step::ReportFacts];
    assert!(matches!(world.consider(&fence), Answer::Accept(_)));
    world.open = Some(Generation(6));
    assert!(matches!(
        world.consider(&fence),
        Answer::Supersede { open, fence: waits } if open == Generation(6) && waits.steps == fence.steps
    ));
    let busy = |manifest: &Manifest| {
        let refusal = world.refusal(manifest);
        assert!(matches!(refusal, Refusal::Busy { .. }), "{refusal:?}");
    };
    for steps in [
        vec![Step::ReportFacts],
        vec![Step::FenceConnect, Step::VerifyConnectRemoved],
    ] {
        let mut other = fence.clone();
        other.steps = steps;
        busy(&other);
    }
    // It is held to everything else that a bundle is held to.
    let until = NOW.plus(HOUR);
    world.frozen = Some(until);
    assert_eq!(world.refusal(&fence), Refusal::Frozen { until });
}

#[test]
fn where_the_root_names_approvers_their_word_must_cover_this_very_work() {
    let mut world = World::new();
    world.demand_approval();
    let refused = |manifest: &Manifest| {
        assert!(matches!(world.refusal(manifest), Refusal::NotApproved(_)));
    };
    let manifest = world.manifest();
    refused(&manifest);
    let approved = world.approved(manifest.clone(), |_| {});
    assert!(matches!(world.consider(&approved), Answer::Accept(_)));
    let mut other_work = approved.clone();
    other_work.artifacts[0].size += 1;
    refused(&other_work);
    refused(&world.approved(manifest.clone(), |approval| {
        approval.plan = PlanId(Digest::of(b"another plan"));
    }));
    refused(&world.approved(manifest.clone(), |approval| {
        approval.expires = NOW.minus(Duration::from_millis(1));
    }));
    let last = world.approved(manifest.clone(), |approval| approval.expires = NOW);
    assert!(matches!(world.consider(&last), Answer::Accept(_)));
    refused(&world.approved(manifest.clone(), |approval| approval.work = Digest::ZERO));
    // Whoever holds the controller's key is no approver.
    let mut own = approved;
    let approval = Approval {
        format: 1,
        plan: own.plan,
        work: merkle::root(&[own.leaf()]),
        issued: NOW,
        expires: NOW.plus(HOUR),
    };
    let envelope = sign(&approval, &[&world.bundle]).to_json();
    own.approval = Some(ApprovalProof {
        approval: String::from_utf8(envelope).unwrap(),
        proof: merkle::prove(&[own.leaf()], 0).unwrap(),
    });
    refused(&own);
    // Work that only reads needs no approval.
    let mut reads = manifest;
    reads.steps = vec![Step::ReportFacts];
    assert!(matches!(world.consider(&reads), Answer::Accept(_)));
}

/// What a staging server would export is counted, and operators let it pass.
fn overridden(until: Timestamp) -> Step {
    Step::ReviewConnectExports(ReviewConnectExports {
        limits: ExportLimits {
            add: 0,
            update: 0,
            delete: 0,
        },
        max_age_minutes: 120,
        overridden: Some(Overridden {
            by: vec!["anna".to_owned(), "bob".to_owned()],
            reason: "the deletions are meant".to_owned(),
            change: "CHG1".to_owned(),
            until,
        }),
    })
}

#[test]
fn where_the_root_names_approvers_an_override_needs_their_word_too() {
    let mut world = World::new();
    let mut plain = world.manifest();
    plain.steps = vec![overridden(NOW.plus(HOUR))];
    assert!(matches!(world.consider(&plain), Answer::Accept(_)));
    world.demand_approval();
    // Also where the step itself only reads: other work waits for what it says.
    assert!(matches!(world.refusal(&plain), Refusal::NotApproved(_)));
    let mut before = plain.clone();
    *before.steps[0].overridden_mut().unwrap() = None;
    let mut added = world.approved(before, |_| {});
    assert!(matches!(world.consider(&added), Answer::Accept(_)));
    added.steps = plain.steps.clone();
    assert!(matches!(world.refusal(&added), Refusal::NotApproved(_)));
    let approved = world.approved(plain, |_| {});
    assert!(matches!(world.consider(&approved), Answer::Accept(_)));
}

#[test]
fn no_agent_follows_an_override_for_which_nobody_answers_or_that_is_longer_than_an_hour() {
    let world = World::new();
    let with = |change: &dyn Fn(&mut Overridden)| {
        let mut manifest = world.manifest();
        let mut step = overridden(NOW.plus(limits::OVERRIDE_LIFE));
        change(step.overridden_mut().unwrap().as_mut().unwrap());
        manifest.steps = vec![step];
        manifest
    };
    assert!(matches!(world.consider(&with(&|_| {})), Answer::Accept(_)));
    let second = Duration::from_secs(1);
    let changes: [&dyn Fn(&mut Overridden); 4] = [
        &|over| over.until = over.until.plus(second),
        &|over| over.by.clear(),
        &|over| over.by = vec!["x".to_owned(); limits::MAX_OVERRIDERS + 1],
        &|over| over.reason = "x".repeat(limits::MAX_OVERRIDE_CHARS + 1),
    ];
    for change in changes {
        let refusal = world.refusal(&with(change));
        assert!(matches!(refusal, Refusal::OverLimit(_)), "{refusal}");
    }
    // As many as can sign, and as many characters as a view shows, are followed; characters, and not bytes.
    let most: [&dyn Fn(&mut Overridden); 2] = [
        &|over| over.by = vec!["x".to_owned(); limits::MAX_OVERRIDERS],
        &|over| over.reason = "\u{e9}".repeat(limits::MAX_OVERRIDE_CHARS),
    ];
    for change in most {
        assert!(matches!(world.consider(&with(change)), Answer::Accept(_)));
    }
}

#[test]
fn what_is_wrong_with_a_signature_is_told_with_its_causes() {
    let world = World::new();
    let Answer::Refuse(Refusal::Signature(why)) = world.consider_bytes(b"{") else {
        panic!("half a document has no signature");
    };
    // What was read, and behind it what the reader of it said.
    assert!(
        why.contains(": ") && why.contains("EOF while parsing"),
        "{why}"
    );
}

/// Also under a bundle that is in order: a stolen controller cannot make an agent.
#[test]
fn what_replaces_the_agent_is_signed_by_its_publisher_and_is_what_the_step_says() {
    let mut world = World::new();
    let publisher = SigningKey::generate();
    world.root.roles.publisher = RoleKeys {
        keys: vec![publisher.public()],
        threshold: 1,
    };
    let version = Version::new(0, 9, 0, 0);
    let carried = |by: &SigningKey, of: Version, size: u64| {
        let release = AgentRelease {
            format: 1,
            version: of,
            issued: NOW,
            files: vec![ReleaseFile {
                platform: AgentRelease::this_platform(),
                sha256: Digest::of(b"agent"),
                chunks: Digest::ZERO,
                size,
            }],
        };
        let release = String::from_utf8(sign(&release, &[by]).to_json()).unwrap();
        let mut manifest = world.manifest();
        manifest.artifacts.clear();
        manifest.steps = vec![
            Step::ReportFacts,
            Step::UpgradeAgent(UpgradeAgent { version, release }),
        ];
        manifest
    };
    let most = limits::MAX_AGENT_BYTES;
    for size in [5, most] {
        let good = carried(&publisher, version, size);
        assert!(matches!(world.consider(&good), Answer::Accept(_)), "{size}");
    }
    for size in [most + 1, 2 * most] {
        let refusal = world.refusal(&carried(&publisher, version, size));
        assert!(matches!(refusal, Refusal::OverLimit(_)), "{refusal}");
    }
    for other in [Version::new(0, 8, 0, 0), Version::new(0, 9, 0, 1)] {
        let refusal = world.refusal(&carried(&publisher, other, 5));
        let says = format!("of version {other}, and the step of 0.9.0.0");
        assert!(
            matches!(&refusal, Refusal::Release(why) if why.contains(&says)),
            "{refusal}"
        );
    }
    // Whoever signs bundles is no publisher.
    for thief in [&world.bundle, &SigningKey::generate()] {
        let refusal = world.refusal(&carried(thief, version, 5));
        assert!(matches!(refusal, Refusal::Release(_)), "{refusal}");
    }
}
