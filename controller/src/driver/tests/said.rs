//! What sessions are told of what an operator orders, held against a rule: whoever has a bundle open hears each word that stands for it
//! since, and of its end where it was ended without a word of its agent; and nobody hears what does not stand.

mod at_once;
mod leave;
mod progress;

use std::collections::BTreeMap;

use controller_core::facts::Fleetwide;
use controller_core::fleet::Consent;
use controller_core::plan::{Inputs, Plan, Purpose, failover, plan, switch};
use controller_core::policy::Policy;
use controller_core::recipe::Artifacts;
use controller_core::topology::{Document, Topology, parse};
use protocol::event::{Event, Failure};
use protocol::facts::{ConnectFacts, Facts, HostFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::secret::SecretKind;
use protocol::signed::{ArtifactKind, ArtifactRef, Ending, Phase};
use protocol::step::Product;
use protocol::task::TaskText;
use protocol::{
    Attempt, BundleId, Digest, Epoch, EventIndex, Generation, RolloutId, StepIndex, TargetId,
    Version,
};

use controller_core::record::{Order, Record};
use protocol::wire::latest::ControlDown;

use crate::authority;
use crate::disk::Disk;
use crate::driver::*;
use crate::session::Heard;

const FIRST: RolloutId = RolloutId(1);
const STEP: StepIndex = StepIndex(0);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const CONNECT: Version = Version::new(2, 6, 92, 0);

/// What stories begin with: a controller's keys and its log.
struct Base {
    authority: Arc<Authority>,
    store: Store,
    records: Vec<(Timestamp, Record)>,
    _folder: tempfile::TempDir,
}

/// A driver's state with nobody connected to it, and what it has said.
struct Story {
    core: Core,
    batch: Batch,
    told: BTreeMap<TargetId, u64>,
}

/// What stands for a target: its open bundle's number, and the words.
type Stands = BTreeMap<TargetId, (Generation, Vec<ControlDown>)>;

impl Base {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = authority::initialized(folder.path());
        let now = crate::now();
        let log = state.join("log.sqlite");
        let (store, _) = Store::open(&log, Some(Epoch(1)), now, Disk::InPlace).unwrap();
        Self {
            authority: Arc::new(Authority::open(&state).unwrap()),
            records: store.records().await.unwrap(),
            store,
            _folder: folder,
        }
    }

    async fn story(&self) -> Story {
        let (records, authority) = (self.records.clone(), Arc::clone(&self.authority));
        let core = rebuild(&self.store, records, authority, Arc::default(), None);
        Story {
            core: core.await.unwrap(),
            batch: Batch::new(crate::now()),
            told: BTreeMap::new(),
        }
    }
}

impl Story {
    fn take(&mut self, record: Record) {
        self.core.record(&mut self.batch, record);
    }

    fn tells(&mut self, target: &TargetId, event: &Event) {
        let index = self.told.entry(target.clone()).or_default();
        *index += 1;
        let record = Record::TargetEvent {
            target: target.clone(),
            epoch: Epoch(1),
            index: EventIndex(*index),
            kind: event.kind(),
            at: self.batch.now,
            body: String::from_utf8(event.to_body()).unwrap(),
        };
        self.take(record);
    }

    /// The same, as its session brings it.
    fn journals(&mut self, target: &TargetId, event: Event) {
        let index = self.told.entry(target.clone()).or_default();
        *index += 1;
        let first = EventIndex(*index);
        let heard = Heard {
            kind: event.kind(),
            at: self.batch.now,
            body: String::from_utf8(event.to_body()).unwrap(),
            event: Some(event),
            refused: None,
        };
        let (core, batch) = (&mut self.core, &mut self.batch);
        let taken = core.entries(batch, target, Epoch(1), first, vec![heard]);
        assert!(taken.is_some(), "they follow on what is stored");
    }

    /// A server enrolls, and is here with these facts.
    fn comes(&mut self, target: &TargetId, facts: Facts) {
        self.take(Record::AgentEnrolled {
            target: target.clone(),
            key: SigningKey::generate().public(),
            epoch: Epoch(1),
            token: Digest::ZERO,
            by: "token".to_owned(),
            simulated: true,
        });
        self.tells(target, &Event::FactsReported(Box::new(facts)));
        self.core.live.came(target.clone(), self.batch.now);
    }

    /// Issues what may be, and has it accepted by whoever is here.
    fn goes_on(&mut self) {
        self.core.decide(&mut self.batch);
        let known: Vec<TargetId> = self.core.fleet.known().keys().cloned().collect();
        for target in known {
            let open = self.core.fleet.open(&target).cloned();
            if let Some(open) = open.filter(|open| !open.accepted) {
                self.tells(
                    &target,
                    &Event::BundleAccepted {
                        bundle: open.bundle,
                        generation: open.generation,
                        rollout: open.rollout,
                        phase: open.phase,
                        change: None,
                    },
                );
            }
        }
    }

    /// A bundle of the first rollout is issued to whoever's turn has not come, and accepted.
    fn is_given_work(&mut self, target: &TargetId) {
        let issued = Record::BundleIssued {
            rollout: FIRST,
            target: target.clone(),
            generation: self.core.fleet.next_generation(target),
            phase: Phase::Prepare,
            bundle: BundleId(Digest::ZERO),
            expires: self.batch.now.plus(Duration::from_secs(3600)),
        };
        self.take(issued);
        self.goes_on();
    }

    fn generation(&self, target: &TargetId) -> Generation {
        self.core.fleet.open(target).expect("it is open").generation
    }

    fn ends(&mut self, target: &TargetId) {
        let generation = self.generation(target);
        self.tells(
            target,
            &Event::RunFinished {
                generation,
                ending: Ending::Completed,
                receipt: String::new(),
            },
        );
    }

    fn stands(&self) -> Stands {
        let all = self.core.fleet.known().keys();
        let open = all.filter_map(|target| {
            let open = self.core.fleet.open(target)?;
            let words = self.core.fleet.standing(target);
            Some((target.clone(), (open.generation, words)))
        });
        open.collect()
    }

    /// What was said since `before` stood is what the rule wants. Gives how many words that were.
    fn says_what_stands(&mut self, before: &Stands, what: &str) -> usize {
        let said = std::mem::take(&mut self.batch.words);
        let now = self.stands();
        for (target, (generation, words)) in before {
            let own = |word: &ControlDown| said.contains(&(target.clone(), word.clone()));
            match now.get(target).filter(|(open, _)| open == generation) {
                Some((_, stand)) => {
                    let mut new = stand.iter().filter(|word| !words.contains(word));
                    let unsaid = new.find(|word| !own(word));
                    assert_eq!(
                        unsaid, None,
                        "{what}: {target} does not hear of it: {said:?}"
                    );
                }
                None => {
                    let ends = ControlDown::Abort {
                        generation: *generation,
                    };
                    assert!(own(&ends), "{what}: {target} hears of no end: {said:?}");
                }
            }
        }
        for (target, word) in &said {
            let stands = now
                .get(target)
                .is_some_and(|(_, words)| words.contains(word));
            let ends = before.get(target).is_some_and(|(generation, _)| {
                let ends = ControlDown::Abort {
                    generation: *generation,
                };
                let open = now.get(target).is_some_and(|(open, _)| open == generation);
                *word == ends && !open
            });
            assert!(
                stands || ends,
                "{what}: {target} hears {word:?}, which does not stand"
            );
        }
        said.len()
    }
}

fn name(text: &str) -> TargetId {
    text.parse().unwrap()
}

fn facts(staging: Option<bool>) -> Facts {
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
        provisioning_agent: None,
        connect: staging.map(|staging| ConnectFacts {
            version: Some(CONNECT),
            service: Some(ServiceState::Running),
            staging: Some(staging),
            cycle_enabled: Some(true),
            suspended: Some(false),
        }),
        unread: Vec::new(),
        console_open: false,
    }
}

fn topology(text: &str) -> Topology {
    let document = Document {
        file: "t.toml".to_owned(),
        text: format!("[tenant.main]\nid = \"{TENANT}\"\n{text}"),
    };
    let (topology, findings) = parse(&[document]);
    assert!(findings.is_empty(), "{findings:?}");
    topology
}

fn artifacts() -> Artifacts {
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
    let agent = Version::new(1, 1, 2505, 0);
    Artifacts::from([
        artifact(Product::ProvisioningAgent, ArtifactKind::Exe, agent),
        artifact(Product::Connect, ArtifactKind::Msi, CONNECT),
    ])
}

/// A plan that is stored, and its number.
fn store(
    story: &mut Story,
    topology: &Topology,
    make: impl FnOnce(Inputs<'_>) -> Result<Plan, String>,
) -> protocol::PlanId {
    let known: Fleetwide = story.core.fleet.known().clone();
    let (policy, artifacts) = (Policy::default(), artifacts());
    let inputs = Inputs::of(topology, &policy, &known, &artifacts, Purpose::Install);
    let plan = make(inputs).unwrap();
    let id = plan.id();
    story.core.plans.insert(id, plan);
    id
}

fn apply(story: &mut Story, plan: protocol::PlanId, off: Option<TargetId>) -> RolloutId {
    let irreversible = u32::try_from(story.core.plans[&plan].irreversible.len()).unwrap();
    let consent = Consent {
        irreversible,
        off,
        ..Consent::default()
    };
    let applied = story
        .core
        .apply_plan(&mut story.batch, plan, consent, "root");
    applied.unwrap()
}

/// How far the first server is in its work.
const AT: [&str; 9] = [
    "pending",
    "offered",
    "accepted",
    "running",
    "awaiting person",
    "attested",
    "awaiting secret",
    "failed, its run goes on",
    "unknown since an abort",
];

/// How its rollout and the fleet stand.
const HOW: [&str; 4] = ["running", "paused", "aborted", "frozen"];

/// Two servers without a product, the first of them at that.
async fn at(base: &Base, state: &str, how: &str, here: bool) -> (Story, TargetId) {
    let mut story = base.story().await;
    let servers = ["s1.a.test", "s2.a.test"].map(name);
    for server in &servers {
        story.comes(server, facts(None));
    }
    let text = "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n";
    let plan = store(&mut story, &topology(text), |inputs| Ok(plan(inputs)));
    assert_eq!(apply(&mut story, plan, None), FIRST);
    let [target, _] = servers;
    match state {
        "pending" => {}
        "offered" => story.core.decide(&mut story.batch),
        _ => story.goes_on(),
    }
    if !matches!(state, "pending" | "offered" | "accepted") {
        let generation = story.generation(&target);
        story.tells(
            &target,
            &Event::StepBegun {
                generation,
                step: STEP,
                attempt: Attempt(1),
                kind: "a step".to_owned(),
            },
        );
        if let "awaiting person" | "attested" = state {
            let text = Box::new(TaskText {
                title: "wizard".to_owned(),
                why: "why".to_owned(),
                bring: Vec::new(),
                pages: Vec::new(),
                seen_by: "it".to_owned(),
            });
            let step = STEP;
            story.tells(
                &target,
                &Event::TaskOpened {
                    generation,
                    step,
                    text,
                },
            );
        } else if state == "awaiting secret" {
            story.tells(
                &target,
                &Event::SecretAsked {
                    generation,
                    step: STEP,
                    attempt: Attempt(1),
                    wanted: SecretKind::AccessToken {
                        tenant: TENANT.parse().unwrap(),
                    },
                    why: "why".to_owned(),
                },
            );
        } else if state == "failed, its run goes on" {
            story.tells(
                &target,
                &Event::StepFailed {
                    generation,
                    step: STEP,
                    failure: Box::new(Failure::plain("it broke".to_owned())),
                },
            );
        }
    }
    if state == "attested" {
        story
            .core
            .attest(&mut story.batch, &target, "root")
            .unwrap();
    }
    let order = match how {
        _ if state == "unknown since an abort" => Some(Order::Abort),
        "paused" => Some(Order::Pause),
        "aborted" => Some(Order::Abort),
        _ => None,
    };
    if let Some(order) = order {
        story
            .core
            .order(&mut story.batch, FIRST, order, "root")
            .unwrap();
    }
    if how == "frozen" {
        let (why, by) = ("why".to_owned(), "root".to_owned());
        let record = Record::FleetFrozen { why, by };
        story.core.stop_fleet(&mut story.batch, record);
    }
    if !here || state == "unknown since an abort" {
        let now = story.batch.now;
        story.core.left(&target, now);
    }
    if state == "unknown since an abort" {
        let generation = story.generation(&target);
        let target = target.clone();
        story.take(Record::WentUnknown { target, generation });
    }
    story.batch.words.clear();
    (story, target)
}

fn orders(target: &TargetId) -> Vec<Order> {
    let (target, reason) = (target.clone(), "why".to_owned());
    let resolve = |off| Order::Resolve {
        target: target.clone(),
        reason: reason.clone(),
        off,
    };
    vec![
        Order::Pause,
        Order::Resume {
            after_restore: false,
        },
        Order::Abort,
        Order::Retry { target: None },
        Order::Retry {
            target: Some(target.clone()),
        },
        resolve(false),
        resolve(true),
        Order::Skip {
            target: target.clone(),
            reason: reason.clone(),
        },
        Order::Limits {
            in_flight: Some(9),
            failures: None,
            unreachable: None,
        },
    ]
}

/// Every state of a target against every order: the page of orders says what becomes of it, and this what its session is told.
#[tokio::test]
async fn a_session_hears_what_stands_since_whatever_is_ordered() {
    let base = Base::new().await;
    let (mut given, mut words) = (0, 0);
    for state in AT {
        for how in HOW {
            for here in [true, false] {
                let (story, target) = at(&base, state, how, here).await;
                let orders = orders(&target);
                drop(story);
                for order in orders {
                    let what = format!("{state}, {how}, here: {here}, {order:?}");
                    let (mut story, _) = at(&base, state, how, here).await;
                    let before = story.stands();
                    let ordered = story.core.order(&mut story.batch, FIRST, order, "root");
                    given += usize::from(ordered.is_ok());
                    words += story.says_what_stands(&before, &what);
                }
                let (mut story, _) = at(&base, state, how, here).await;
                let before = story.stands();
                let (why, by) = ("why".to_owned(), "root".to_owned());
                let record = match how {
                    "frozen" => Record::FleetThawed { by },
                    _ => Record::FleetFrozen { why, by },
                };
                story.core.stop_fleet(&mut story.batch, record);
                words += story.says_what_stands(&before, &format!("{state}, {how}, all"));
                let (mut story, target) = at(&base, state, how, here).await;
                let before = story.stands();
                drop(story.core.attest(&mut story.batch, &target, "root"));
                words += story.says_what_stands(&before, &format!("{state}, {how}, attested"));
            }
        }
    }
    assert!(given > 200 && words > 200, "{given} orders, {words} words");
}

/// One server is active, one is at the wizard to take its place, and a third one takes it instead since the first is off: whoever is at
/// the wizard hears that its swap is over.
#[tokio::test]
async fn a_failover_tells_whoever_is_at_work_in_the_swap_that_it_ends() {
    let base = Base::new().await;
    for lost in [false, true] {
        let mut story = base.story().await;
        let [one, two, three] = ["c1.a.test", "c2.a.test", "c3.a.test"].map(name);
        for (server, staging) in [(&one, false), (&two, true), (&three, true)] {
            story.comes(server, facts(Some(staging)));
        }
        let text = "[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\", \"c2.a.test\", \"c3.a.test\"]\n";
        let topology = topology(text);
        let swap = store(&mut story, &topology, |inputs| switch(inputs, &two));
        let swap = apply(&mut story, swap, None);
        story.goes_on();
        assert_eq!(story.core.fleet.open(&two).unwrap().rollout, swap);
        if lost {
            // It is in the middle of its own half.
            assert!(story.core.fleet.open(&one).is_some());
        } else if story.core.fleet.open(&one).is_some() {
            story.ends(&one);
        }
        let now = story.batch.now;
        story.core.left(&one, now);
        story.batch.words.clear();
        let over = store(&mut story, &topology, |inputs| {
            failover(inputs, &three, &one)
        });
        let before = story.stands();
        let generation = story.generation(&two);
        apply(&mut story, over, Some(one.clone()));
        let ends = (two, ControlDown::Abort { generation });
        assert!(story.batch.words.contains(&ends), "{:?}", story.batch.words);
        story.says_what_stands(&before, "a failover");
    }
}

/// It cannot be read from the store, and its agent, which is here, does not have it: nobody could end it by any word.
#[tokio::test]
async fn a_bundle_that_cannot_be_offered_again_is_issued_anew_or_ends_with_its_rollout() {
    let base = Base::new().await;
    for how in HOW {
        let (mut story, target) = at(&base, "offered", how, true).await;
        let (core, batch) = (&mut story.core, &mut story.batch);
        let open = core.fleet.open(&target).cloned().unwrap();
        core.cannot_be_offered(batch, &target, open.bundle, "it is torn".to_owned());
        assert_eq!(core.fleet.open(&target), None, "{how}");
        assert!(core.refusals.iter().any(|one| one.why == "it is torn"));
        core.decide(batch);
        let anew = core.fleet.open(&target).map(|open| open.generation);
        let goes_on = how == "running";
        assert_eq!(anew, goes_on.then(|| open.generation.next()), "{how}");
        let state = core.fleet.rollouts()[&FIRST].work[&target].state.word();
        match how {
            "running" => assert_eq!(state, "offered"),
            "aborted" => assert_eq!(state, "aborted"),
            _ => assert_eq!(state, "pending", "{how}"),
        }
        // What was said of that bundle changes nothing of the next one, nor of one that was accepted.
        core.cannot_be_offered(batch, &target, open.bundle, "it is torn".to_owned());
        assert_eq!(core.fleet.open(&target).map(|open| open.generation), anew);
        let (mut story, target) = at(&base, "accepted", how, true).await;
        let bundle = story.core.fleet.open(&target).unwrap().bundle;
        let (core, batch) = (&mut story.core, &mut story.batch);
        core.cannot_be_offered(batch, &target, bundle, "it is torn".to_owned());
        assert!(core.fleet.open(&target).is_some());
    }
}
