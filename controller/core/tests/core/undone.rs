//! Guard rails G6 and G10 as properties: whatever is written down, whatever servers report, whatever is known of versions and
//! whenever that changes, no plan and no decision brings an older version or one that its vendor took back, and none does
//! what cannot be undone without that it was said and accepted.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::finding::{Finding, Severity};
use controller_core::fleet::{Decision, Fleet, Live, PERMIT_LIFE, Pulse};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::recipe::Artifacts;
use controller_core::record::Record;
use controller_core::tenant::{Observation, Organization, Part};
use controller_core::topology::{Available, Topology, check, installable, parse};
use controller_core::versions::Versions;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::event::{Event, Section};
use protocol::facts::{ConnectFacts, Facts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::{ArtifactKind, ArtifactRef, Ending};
use protocol::step::{Product, Step};
use protocol::{
    Attempt, BundleId, Digest, DomainName, Generation, RolloutId, StepIndex, TargetId, Timestamp,
    Version,
};

use crate::common;

/// A day in September 2026.
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const ROLLOUT: RolloutId = RolloutId(1);
const DOMAINS: usize = 2;
const HOSTS: u8 = 6;

/// Versions of each product, oldest first.
const AGENTS: [Version; 4] = [
    Version::new(1, 1, 1373, 0),
    Version::new(1, 1, 2102, 0),
    Version::new(1, 1, 2334, 0),
    Version::new(1, 1, 2505, 0),
];
const CONNECTS: [Version; 4] = [
    Version::new(2, 5, 79, 0),
    Version::new(2, 6, 79, 0),
    Version::new(2, 6, 84, 0),
    Version::new(2, 6, 92, 0),
];

fn version(product: Product, number: usize) -> Version {
    match product {
        Product::ProvisioningAgent => AGENTS[number % 4],
        Product::Connect => CONNECTS[number % 4],
    }
}

fn product(connect: bool) -> Product {
    if connect {
        Product::Connect
    } else {
        Product::ProvisioningAgent
    }
}

/// What a server reports: the version of its agent, and that and the mode of its Connect.
type Reported = (Option<usize>, Option<(usize, Option<bool>)>);

/// Something that is known of a version.
#[derive(Debug, Clone)]
struct Row {
    connect: bool,
    number: usize,
    kind: RowKind,
    vendor: bool,
    past: bool,
}

#[derive(Debug, Clone, Copy)]
enum RowKind {
    Recalled,
    Ended,
    Floor,
}

impl Row {
    /// Whether this row alone takes a version away now: its vendor says so, and its day has come; or anybody says that it was taken back.
    fn ends(&self, of: Product, what: Version) -> bool {
        let own = version(product(self.connect), self.number);
        // That a version was taken back counts whoever says so.
        let sure = self.vendor || matches!(self.kind, RowKind::Recalled);
        let is = product(self.connect) == of && sure;
        is && match self.kind {
            RowKind::Recalled => own == what,
            RowKind::Ended => own == what && self.past,
            RowKind::Floor => what < own && self.past,
        }
    }
}

fn ended(rows: &[Row], product: Product, version: Version) -> bool {
    rows.iter().any(|row| row.ends(product, version))
}

/// The rows as a document. One release is one row: of several, the first is written.
fn known_of_versions(rows: &[Row]) -> (Versions, Vec<Row>) {
    let mut text = "checked_on = \"2026-09-01\"\n".to_owned();
    let (mut released, mut written) = (BTreeSet::new(), Vec::new());
    for row in rows {
        let (product, version) = (
            product(row.connect),
            version(product(row.connect), row.number),
        );
        let name = match product {
            Product::ProvisioningAgent => "provisioning-agent",
            Product::Connect => "connect",
        };
        let day = if row.past { "2026-01-31" } else { "2027-01-31" };
        let what = match row.kind {
            RowKind::Floor => format!(
                "[[floor]]\nat_least = \"{version}\"\nfrom = \"{day}\"\neffect = \"it stops\"\n"
            ),
            RowKind::Recalled | RowKind::Ended if !released.insert((product, version)) => continue,
            RowKind::Recalled => {
                format!("[[release]]\nversion = \"{version}\"\nrecalled = \"it breaks\"\n")
            }
            RowKind::Ended => {
                format!("[[release]]\nversion = \"{version}\"\nend_of_support = \"{day}\"\n")
            }
        };
        let certainty = if row.vendor { "vendor" } else { "secondary" };
        writeln!(
            text,
            "{what}product = \"{name}\"\nsource = \"a page\"\ncertainty = \"{certainty}\""
        )
        .unwrap();
        written.push(row.clone());
    }
    (Versions::parse(&text).unwrap(), written)
}

fn artifacts(newest: [Option<usize>; 2]) -> Artifacts {
    let artifact = |(connect, number): (bool, Option<usize>)| {
        let (product, number) = (product(connect), number?);
        let artifact = ArtifactRef {
            sha256: Digest::of(&[u8::from(connect)]),
            chunks: Digest::ZERO,
            size: 1,
            kind: if connect {
                ArtifactKind::Msi
            } else {
                ArtifactKind::Exe
            },
            product,
            version: version(product, number),
        };
        Some((product, artifact))
    };
    [false, true]
        .into_iter()
        .zip(newest)
        .filter_map(artifact)
        .collect()
}

fn host(number: u8) -> TargetId {
    format!("h{}.a.test", number % HOSTS).parse().unwrap()
}

/// Hosts by name, each once; of two lists the second loses what the first has.
fn lists(first: &[u8], second: &[u8]) -> (Vec<String>, Vec<String>) {
    let name = |number: &u8| host(*number).to_string();
    let first: BTreeSet<String> = first.iter().map(name).collect();
    let second: BTreeSet<String> = second.iter().map(name).collect();
    let rest = second.difference(&first).cloned().collect();
    (first.into_iter().collect(), rest)
}

/// Of each domain who serves it and who goes; of Connect who stays and who goes; the versions that are asked for.
#[derive(Debug, Clone)]
struct Written {
    groups: Vec<(usize, Vec<u8>, Vec<u8>)>,
    connect: Option<(Vec<u8>, Vec<u8>)>,
    wanted: [Option<usize>; 2],
}

impl Written {
    fn topology(&self) -> Topology {
        let mut text = format!("[tenant.main]\nid = \"{TENANT}\"\n");
        let names = ["provisioning-agent", "connect"];
        if self.wanted.iter().any(Option::is_some) {
            writeln!(text, "[product]").unwrap();
        }
        for (connect, (name, wanted)) in
            [false, true].into_iter().zip(names.iter().zip(self.wanted))
        {
            if let Some(wanted) = wanted {
                let wanted = version(product(connect), wanted);
                writeln!(text, "{name} = {{ at_least = \"{wanted}\" }}").unwrap();
            }
        }
        for (number, (domain, hosts, retired)) in self.groups.iter().enumerate() {
            let (hosts, retired) = lists(hosts, retired);
            writeln!(
                text,
                "[agents.g{number}]\nserves = [\"d{}.test\"]\nhosts = {hosts:?}\nretired = {retired:?}",
                domain % DOMAINS
            )
            .unwrap();
        }
        for domain in 0..DOMAINS {
            writeln!(
                text,
                "[domain.\"d{domain}.test\"]\nmin_serving = 1\nallow_outage = true"
            )
            .unwrap();
        }
        if let Some((servers, retired)) = &self.connect {
            let (servers, retired) = lists(servers, retired);
            writeln!(
                text,
                "[connect.main]\nforests = [\"f.test\"]\nservers = {servers:?}\nretired = {retired:?}\nsettings = {{ sign_in = \"password-hash-sync\" }}"
            )
            .unwrap();
        }
        parse(&[common::document(text)]).0
    }
}

fn facts((agent, connect): &Reported) -> Facts {
    let agent = agent.map(|number| ProvisioningAgentFacts {
        version: Some(version(Product::ProvisioningAgent, number)),
        ..common::old_agent()
    });
    let connect = connect.map(|(number, staging)| ConnectFacts {
        version: Some(version(Product::Connect, number)),
        service: Some(ServiceState::Running),
        staging,
        cycle_enabled: Some(true),
        suspended: Some(false),
    });
    common::facts(agent, connect)
}

fn fleetwide(reported: &[Reported]) -> Fleetwide {
    let entry = |(number, reported): (u8, &Reported)| {
        let known = Known {
            facts: Some((NOW, facts(reported))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (host(number), known)
    };
    (0_u8..).zip(reported).map(entry).collect()
}

fn refuses(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}

/// The version that a server reported of a product.
fn there(known: &Fleetwide, target: &TargetId, product: Product) -> Option<Version> {
    let (_, facts) = known[target].facts.as_ref()?;
    match product {
        Product::ProvisioningAgent => facts.provisioning_agent.as_ref()?.version,
        Product::Connect => facts.connect.as_ref()?.version,
    }
}

/// G6 of a plan: no file in it is older than what is there.
fn never_older(plan: &Plan, known: &Fleetwide) -> Result<(), TestCaseError> {
    for (target, part) in &plan.targets {
        for artifact in part.artifacts() {
            let there = there(known, target, artifact.product);
            prop_assert!(
                there.is_none_or(|there| there < artifact.version),
                "G6: {} of {:?} onto {target}, which has {there:?}",
                artifact.version,
                artifact.product
            );
        }
    }
    Ok(())
}

/// What cannot be undone of a plan, told from its steps alone.
fn beyond_undoing(
    plan: &Plan,
    topology: &Topology,
    known: &Fleetwide,
    off: bool,
) -> BTreeSet<String> {
    let steps = |target: &TargetId, is: fn(&Step) -> bool| {
        let part = plan.targets.get(target);
        let phases = part.into_iter().flat_map(|part| &part.phases);
        phases.flat_map(|phase| &phase.steps).any(is)
    };
    let mut acts = BTreeSet::new();
    let groups = || topology.agents.values();
    let domains: BTreeSet<&DomainName> = groups()
        .flat_map(|group| group.serves.iter().map(|(domain, _)| domain))
        .collect();
    for domain in domains {
        let of =
            || groups().filter(|group| group.serves.iter().any(|(served, _)| served == domain));
        let stays = of().any(|group| !group.hosts.is_empty());
        let goes = of().flat_map(|group| &group.retired).any(|(host, _)| {
            let removes = |step: &Step| matches!(step, Step::RemoveProvisioningAgent(_));
            steps(host, removes) && there(known, host, Product::ProvisioningAgent).is_some()
        });
        if !stays && goes {
            acts.insert(format!("{domain}: its last provisioning agent"));
        }
    }
    for entry in topology.connect.values() {
        let goes = entry
            .retired
            .iter()
            .any(|(server, _)| steps(server, |step| matches!(step, Step::GuideConnectRemoval(_))));
        if entry.servers.is_empty() && goes {
            acts.insert("tenant main: its last Connect server".to_owned());
        }
        let begins = entry.servers.iter().any(|(server, _)| {
            let part = plan.targets.get(server);
            part.is_some_and(|part| part.makes_active())
        });
        if off && begins {
            acts.insert("tenant main: directory synchronization".to_owned());
        }
    }
    acts
}

/// A rollout of a plan, in which servers do whatever happens.
struct Sim<'a> {
    fleet: Fleet,
    live: Live,
    plan: &'a Plan,
    now: Timestamp,
    index: BTreeMap<TargetId, u64>,
    /// What is known of versions just now.
    rows: Vec<Row>,
    accepted: bool,
    /// Decisions that let something be changed.
    let_go: usize,
}

impl<'a> Sim<'a> {
    fn new(plan: &'a Plan, accepted: u32) -> Self {
        let mut sim = Self {
            fleet: Fleet::new(),
            live: Live {
                began: NOW.minus(Duration::from_secs(86_400)),
                ..Live::default()
            },
            plan,
            now: NOW,
            index: BTreeMap::new(),
            rows: Vec::new(),
            accepted: accepted as usize >= plan.irreversible.len(),
            let_go: 0,
        };
        for target in plan.targets.keys() {
            let key = SigningKey::generate().public();
            sim.take(&common::enrolled(target, key));
            sim.live.connected.insert(target.clone());
        }
        let mut applied = common::applied(ROLLOUT, plan);
        if let Record::Applied { irreversible, .. } = &mut applied {
            *irreversible = accepted;
        }
        sim.take(&applied);
        sim.pulses();
        sim
    }

    fn take(&mut self, record: &Record) {
        self.fleet.apply(record, Some(self.plan), self.now);
    }

    fn tells(&mut self, target: &TargetId, event: &Event) {
        let index = self.index.entry(target.clone()).or_insert(0);
        *index += 1;
        let told = common::told(target, *index, self.now, event);
        self.take(&told);
    }

    fn pulses(&mut self) {
        let at = self.now;
        for target in self.plan.targets.keys() {
            self.live
                .pulses
                .insert(target.clone(), Pulse { serving: true, at });
        }
    }

    /// What G6 and G10 say of what a decision would let a server do.
    fn is_lawful(&self, target: &TargetId) -> Result<(), TestCaseError> {
        let part = &self.plan.targets[target];
        for artifact in part.artifacts() {
            prop_assert!(
                !ended(&self.rows, artifact.product, artifact.version),
                "G6: {} onto {target}, and its vendor has ended it: {:?}",
                artifact.version,
                self.rows
            );
        }
        prop_assert!(
            self.accepted,
            "G10: {target} goes on, and nobody accepted {:?}",
            self.plan.irreversible
        );
        Ok(())
    }

    fn decide(&mut self) -> Result<(), TestCaseError> {
        loop {
            let decisions = self.fleet.decide(&self.live, self.now);
            if decisions.is_empty() {
                return Ok(());
            }
            for decision in decisions {
                match decision {
                    Decision::Issue { target, phase, .. } => {
                        let work = &self.plan.targets[&target].phases[phase];
                        if !work.is_read_only() {
                            self.is_lawful(&target)?;
                            self.let_go += 1;
                        }
                        let issued = Record::BundleIssued {
                            rollout: ROLLOUT,
                            generation: self.fleet.next_generation(&target),
                            phase: work.phase,
                            bundle: BundleId(Digest::ZERO),
                            expires: self.now.plus(Duration::from_secs(86_400)),
                            target,
                        };
                        self.take(&issued);
                    }
                    Decision::Permit { target, gate, .. } => {
                        self.is_lawful(&target)?;
                        self.let_go += 1;
                        let given = Record::PermitGiven {
                            target,
                            generation: gate.generation,
                            step: gate.step,
                            attempt: gate.attempt,
                            section: gate.section,
                            lapses: self.now.plus(PERMIT_LIFE),
                            rests_on: Vec::new(),
                        };
                        self.take(&given);
                    }
                    Decision::Away {
                        rollout,
                        target,
                        since,
                    } => self.take(&Record::Away {
                        rollout,
                        target,
                        since,
                    }),
                    Decision::PassedOver {
                        rollout,
                        target,
                        away,
                    } => self.take(&Record::PassedOver {
                        rollout,
                        target,
                        away,
                    }),
                    Decision::Degraded {
                        rollout,
                        target,
                        why,
                    } => {
                        self.take(&Record::Degraded {
                            rollout,
                            target,
                            why,
                        });
                    }
                    Decision::Unknown { target, generation } => {
                        self.take(&Record::WentUnknown { target, generation });
                    }
                }
            }
        }
    }

    fn act(&mut self, what: u8, whom: u8, of_versions: &[Vec<Row>]) {
        let targets: Vec<&TargetId> = self.plan.targets.keys().collect();
        let target = targets[usize::from(whom) % targets.len()].clone();
        let open = self.fleet.open(&target).cloned();
        let finished = |generation, ending| Event::RunFinished {
            generation,
            ending,
            receipt: String::new(),
        };
        match (what % 7, open) {
            // Somebody puts another file beside the controller's state.
            (0, _) => {
                let rows = &of_versions[usize::from(whom) % of_versions.len()];
                let (versions, written) = known_of_versions(rows);
                self.live.versions = Some(Arc::new(versions));
                self.rows = written;
            }
            (1, _) => {
                self.now = self.now.plus(Duration::from_secs(30));
                self.pulses();
            }
            (2, Some(open)) if !open.accepted => {
                let accepted = Event::BundleAccepted {
                    bundle: open.bundle,
                    generation: open.generation,
                    rollout: open.rollout,
                    phase: open.phase,
                    change: None,
                };
                self.tells(&target, &accepted);
            }
            (3, Some(open)) => {
                let section = Section {
                    outage: true,
                    gmsa: None,
                };
                let (step, attempt) = (StepIndex(0), Attempt(1));
                self.fleet
                    .asks_permit(&target, open.generation, step, attempt, section);
            }
            (4 | 5, Some(open)) => {
                let ended = finished(open.generation, Ending::Completed);
                self.tells(&target, &ended);
            }
            (6, Some(open)) => {
                let ended = finished(open.generation, Ending::Failed("x".to_owned()));
                self.tells(&target, &ended);
            }
            (_, None) | (2..=6, Some(_)) | (7.., _) => {}
        }
    }
}

fn written() -> impl Strategy<Value = Written> {
    let hosts = || vec(0_u8..HOSTS, 0..3);
    (
        vec((0..DOMAINS, hosts(), hosts()), 0..3),
        proptest::option::of((hosts(), hosts())),
        [
            proptest::option::of(0_usize..4),
            proptest::option::of(0_usize..4),
        ],
    )
        .prop_map(|(groups, connect, wanted)| Written {
            groups,
            connect,
            wanted,
        })
}

fn reported() -> impl Strategy<Value = Vec<Reported>> {
    let agent = proptest::option::of(0_usize..4);
    let connect = proptest::option::of((0_usize..4, any::<Option<bool>>()));
    vec((agent, connect), usize::from(HOSTS))
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let kind = prop_oneof![
        Just(RowKind::Recalled),
        Just(RowKind::Ended),
        Just(RowKind::Floor)
    ];
    let row = (
        any::<bool>(),
        0_usize..4,
        kind,
        any::<bool>(),
        any::<bool>(),
    );
    let row = row.prop_map(|(connect, number, kind, vendor, past)| Row {
        connect,
        number,
        kind,
        vendor,
        past,
    });
    vec(row, 0..4)
}

/// What a tenant shows of its switch.
fn seen(enabled: bool) -> Record {
    let mut observation = Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403");
    observation.organization = Part::Seen(Organization {
        sync_enabled: enabled,
        last_sync: None,
    });
    Record::TenantSeen {
        observation: Box::new(observation),
        by: "anna".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nothing_older_ended_or_beyond_undoing_is_done_that_was_not_said_and_accepted(
        written in written(),
        reported in reported(),
        newest in [proptest::option::of(0_usize..4), proptest::option::of(0_usize..4)],
        of_versions in vec(rows(), 1..4),
        switched in any::<Option<bool>>(),
        accepts in 0_u32..4,
        acts in vec((any::<u8>(), any::<u8>()), 0..60),
    ) {
        let topology = written.topology();
        let (artifacts, known) = (artifacts(newest), fleetwide(&reported));
        let available = Available(
            artifacts.iter().map(|(product, artifact)| (*product, artifact.version)).collect(),
        );
        let (versions, now_known) = known_of_versions(&of_versions[0]);
        let told = installable(&topology, &available, &versions, NOW);
        for (product, newest) in &available.0 {
            let asked = match product {
                Product::ProvisioningAgent => !topology.agents.is_empty(),
                Product::Connect => !topology.connect.is_empty(),
            };
            let refused = told.iter().any(|finding| {
                finding.severity == Severity::Error && finding.what.contains(product.as_str())
            });
            prop_assert_eq!(refused, asked && ended(&now_known, *product, *newest), "G6: {:?}", told);
        }
        // What `check` refuses is never planned.
        if refuses(&check(&topology, Some(&available))) || refuses(&told) {
            return Ok(());
        }
        let mut fleet = Fleet::new();
        if let Some(switched) = switched {
            fleet.apply(&seen(switched), None, NOW);
        }
        let plan = plan(Inputs {
            beyond: fleet.beyond(),
            ..Inputs::of(&topology, &Policy::default(), &known, &artifacts, Purpose::Install)
        });
        never_older(&plan, &known)?;
        let due = beyond_undoing(&plan, &topology, &known, switched == Some(false));
        prop_assert_eq!(plan.irreversible.len(), due.len(), "G10: {:?}, and due: {:?}", plan.irreversible, due);
        for act in &due {
            prop_assert!(plan.irreversible.iter().any(|said| said.starts_with(act.as_str())), "G10: {act} is not said");
        }
        if plan.targets.is_empty() {
            return Ok(());
        }
        let mut sim = Sim::new(&plan, accepts);
        sim.decide()?;
        for (what, whom) in acts {
            sim.act(what, whom, &of_versions);
            sim.decide()?;
        }
    }
}

/// The rules above would hold of a machine that lets nothing go: what is lawful goes.
#[test]
fn what_was_said_and_accepted_goes() {
    let written = Written {
        groups: vec![(0, Vec::new(), vec![0])],
        connect: None,
        wanted: [None, None],
    };
    let topology = written.topology();
    let known = fleetwide(&[(Some(3), None)]);
    let artifacts = artifacts([Some(3), None]);
    let plan = plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &artifacts,
        Purpose::Install,
    ));
    assert_eq!(plan.irreversible.len(), 1);
    let mut accepted = Sim::new(&plan, 1);
    accepted.decide().unwrap();
    assert_eq!(accepted.let_go, 1);
    let mut other = Sim::new(&plan, 0);
    other.decide().unwrap();
    assert_eq!(other.let_go, 0);
    let hold = other.fleet.hold(ROLLOUT, &host(0), &other.live, NOW);
    let why = hold.unwrap().why;
    for words in [
        "1 acts of its plan cannot be undone, and 0 were accepted",
        "--irreversible 1",
        "(G10)",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    // And once it is under way, leave is held by it as well.
    let generation = Generation(1);
    let issued = Record::BundleIssued {
        rollout: ROLLOUT,
        target: host(0),
        generation,
        phase: plan.targets[&host(0)].phases[0].phase,
        bundle: BundleId(Digest::ZERO),
        expires: NOW.plus(Duration::from_secs(3600)),
    };
    for (sim, gets) in [(&mut accepted, 2), (&mut other, 0)] {
        sim.take(&issued);
        sim.act(3, 0, &[]);
        sim.decide().unwrap();
        assert_eq!(sim.let_go, gets);
    }
}

/// Work that was to read alone asks no leave; an agent that asks for it all the same gets none that nobody accepted.
#[test]
fn leave_for_what_was_to_read_alone_is_held_like_any_other() {
    let written = Written {
        groups: vec![(1, Vec::new(), vec![0]), (0, Vec::new(), vec![3])],
        connect: None,
        wanted: [None, None],
    };
    let topology = written.topology();
    let known = fleetwide(&[(None, None), (None, None), (None, None), (Some(0), None)]);
    let artifacts = artifacts([Some(0), None]);
    let plan = plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &artifacts,
        Purpose::Install,
    ));
    assert!(plan.targets[&host(0)].is_read_only() && plan.irreversible.len() == 1);
    for (accepted, leaves) in [(0, 0), (1, 1)] {
        let mut sim = Sim::new(&plan, accepted);
        sim.decide().unwrap();
        let before = sim.let_go;
        sim.act(3, 0, &[]);
        sim.decide().unwrap();
        assert_eq!(sim.let_go - before, leaves);
    }
}
