//! Every state of a target against every order of an operator: what becomes of it, or why not. The page under
//! `deploy/docs` is this table; `UPDATE_DOCS=1` writes it anew.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Decision, Fleet, Live, RolloutState};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::record::{Order, Record};
use controller_core::topology::parse;
use controller_core::versions::Versions;
use protocol::event::{Completion, Event, Failure, Grade, Section};
use protocol::facts::{ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::refusal::Refusal;
use protocol::secret::SecretKind;
use protocol::signed::Ending;
use protocol::task::TaskText;
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const ROLLOUT: RolloutId = RolloutId(1);
const STEP: StepIndex = StepIndex(0);
const DAY: Duration = Duration::from_secs(86_400);

/// The states, in the order in which a target may come to them.
const STATES: [&str; 14] = [
    "pending",
    "offered",
    "running",
    "awaiting person",
    "awaiting secret",
    "done",
    "failed",
    "inconclusive",
    "refused",
    "skipped",
    "aborted",
    "expired",
    "unknown",
    "resolved",
];

fn target() -> TargetId {
    "s1.a.test".parse().unwrap()
}

fn orders() -> Vec<(&'static str, Order)> {
    vec![
        ("pause", Order::Pause),
        ("resume", Order::Resume),
        ("abort", Order::Abort),
        (
            "retry TARGET",
            Order::Retry {
                target: Some(target()),
            },
        ),
        ("retry", Order::Retry { target: None }),
        (
            "skip",
            Order::Skip {
                target: target(),
                reason: "why".to_owned(),
            },
        ),
        (
            "resolve",
            Order::Resolve {
                target: target(),
                reason: "why".to_owned(),
            },
        ),
        (
            "limits",
            Order::Limits {
                in_flight: Some(9),
                failures: None,
                unreachable: None,
            },
        ),
    ]
}

struct World {
    fleet: Fleet,
    live: Live,
    plan: Plan,
    index: u64,
    generation: u64,
    now: Timestamp,
}

impl World {
    /// One server whose agent is old: an upgrade in two phases.
    fn new() -> Self {
        let document = common::document(format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n[domain.\"a.test\"]\nallow_outage = true\n"
        ));
        let (topology, findings) = parse(&[document]);
        assert!(findings.is_empty(), "{findings:?}");
        let agent = ProvisioningAgentFacts {
            version: Some(Version::new(1, 1, 1373, 0)),
            tenant: TENANT.parse().ok(),
            service: Some(ServiceState::Running),
            account: Some("A\\provAgentgMSA$".to_owned()),
            options: Some(protocol::ServiceOptions::default()),
        };
        let key = SigningKey::generate().public();
        let entry = Known {
            key: key.fingerprint(),
            facts: Some((NOW, common::facts(Some(agent), None))),
            domains: None,
        };
        let plan = plan(Inputs::of(
            &topology,
            &Policy::default(),
            &Fleetwide::from([(target(), entry)]),
            &common::artifacts(),
            Purpose::Install,
        ));
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                connected: [target()].into(),
                began: NOW,
                ..Live::default()
            },
            plan,
            index: 0,
            generation: 0,
            now: NOW,
        };
        world.take(common::enrolled(&target(), key));
        world.take(common::applied(ROLLOUT, &world.plan));
        world
    }

    fn take(&mut self, record: Record) {
        self.fleet.apply(&record, Some(&self.plan), self.now);
    }

    fn say(&mut self, event: &Event) {
        self.index += 1;
        self.take(common::told(&target(), self.index, self.now, event));
    }

    fn order(&mut self, order: &Order) {
        self.take(Record::Ordered {
            rollout: ROLLOUT,
            order: order.clone(),
            by: "root".to_owned(),
        });
    }

    fn issue(&mut self, phase: usize) {
        self.generation += 1;
        self.take(Record::BundleIssued {
            rollout: ROLLOUT,
            target: target(),
            generation: Generation(self.generation),
            phase: self.plan.targets[&target()].phases[phase].phase,
            bundle: BundleId(Digest::of(&self.generation.to_be_bytes())),
            expires: self.now.plus(DAY),
        });
    }

    fn begin(&mut self, phase: usize) {
        self.issue(phase);
        let generation = Generation(self.generation);
        self.say(&Event::BundleAccepted {
            bundle: BundleId(Digest::of(&self.generation.to_be_bytes())),
            generation,
            rollout: ROLLOUT,
            phase: self.plan.targets[&target()].phases[phase].phase,
        });
        self.say(&Event::StepBegun {
            generation,
            step: STEP,
            attempt: Attempt(1),
            kind: "preflight".to_owned(),
        });
    }

    fn finish(&mut self, ending: Ending) {
        self.say(&Event::RunFinished {
            generation: Generation(self.generation),
            ending,
            receipt: String::new(),
        });
    }

    /// A target in that state.
    fn at(state: &str) -> Self {
        let mut world = Self::new();
        let generation = Generation(1);
        match state {
            "pending" => {}
            "offered" => world.issue(0),
            "skipped" | "aborted" => {}
            "refused" => {
                world.issue(0);
                let bundle = BundleId(Digest::of(&1_u64.to_be_bytes()));
                let refusal = Refusal::OverLimit("65 steps".to_owned());
                world.say(&Event::BundleRefused { bundle, refusal });
            }
            _ => world.begin(0),
        }
        match state {
            "awaiting person" => world.say(&Event::TaskOpened {
                generation,
                step: STEP,
                text: Box::new(TaskText {
                    title: "wizard".to_owned(),
                    why: "why".to_owned(),
                    bring: Vec::new(),
                    pages: Vec::new(),
                    seen_by: "it".to_owned(),
                }),
            }),
            "awaiting secret" => world.say(&Event::SecretAsked {
                generation,
                step: STEP,
                attempt: Attempt(1),
                wanted: SecretKind::AccessToken {
                    tenant: TENANT.parse().unwrap(),
                },
                why: "why".to_owned(),
            }),
            "done" => {
                world.finish(Ending::Completed);
                world.begin(1);
                world.say(&Event::StepCompleted {
                    generation: Generation(2),
                    step: STEP,
                    completion: Completion::AlreadySo,
                    summary: "verified".to_owned(),
                    grade: Some(Grade::Registered),
                });
                world.finish(Ending::Completed);
            }
            "failed" => {
                world.say(&Event::StepFailed {
                    generation,
                    step: STEP,
                    failure: Box::new(Failure::plain("it broke".to_owned())),
                });
                world.finish(Ending::Failed("it broke".to_owned()));
            }
            "inconclusive" => {
                world.say(&Event::StepInconclusive {
                    generation,
                    step: STEP,
                    question: "is it?".to_owned(),
                });
                world.finish(Ending::Inconclusive("is it?".to_owned()));
            }
            "skipped" => world.order(&Order::Skip {
                target: target(),
                reason: "why".to_owned(),
            }),
            "aborted" => world.order(&Order::Abort),
            "expired" => world.finish(Ending::Expired),
            "unknown" | "resolved" => {
                world.leave();
                world.take(Record::WentUnknown {
                    target: target(),
                    generation,
                });
            }
            _ => {}
        }
        if state == "resolved" {
            world.order(&Order::Resolve {
                target: target(),
                reason: "why".to_owned(),
            });
        }
        assert_eq!(world.word(), state);
        world
    }

    fn leave(&mut self) {
        self.live.left(&target(), self.now);
    }

    fn word(&self) -> &'static str {
        self.fleet.rollouts()[&ROLLOUT].work[&target()].state.word()
    }

    fn rollout(&self) -> RolloutState {
        self.fleet.rollouts()[&ROLLOUT].state
    }

    /// What the order does, in a cell.
    fn cell(mut self, order: &Order) -> String {
        if let Err(why) = self.fleet.may_order(ROLLOUT, order, &self.live) {
            let why = why
                .replace(target().as_str(), "it")
                .replace("r1", "the rollout");
            return format!("no: {why}");
        }
        let (before, stood) = (self.word(), self.rollout());
        self.order(order);
        let mut said = Vec::new();
        if self.rollout() != stood {
            said.push(format!("rollout {:?}", self.rollout()).to_lowercase());
        }
        if self.word() != before {
            said.push(format!("**{}**", self.word()));
        }
        // A run that is under way hears of it, and ends at its next gate.
        if self.rollout() == RolloutState::Aborted && self.fleet.open(&target()).is_some() {
            said.push("**aborted** at its next gate".to_owned());
        }
        if matches!(order, Order::Limits { .. }) {
            said.push("other limits".to_owned());
        }
        if said.is_empty() {
            "as it is".to_owned()
        } else {
            said.join(", ")
        }
    }
}

fn page() -> String {
    let mut out = String::from(
        "# Orders

What each order of an operator does to a target, by the state that the target is in; or why it is not taken. The rollout runs, and
the target is connected, but for *unknown* and *resolved*, where it is away. `retry` without a target is for all that failed.
An order that is given twice does nothing more. `abort` ends a rollout from everywhere: what is under way ends at its next
gate, and what is away is *unknown* at once and until it says what became of it. This page is written by the test that holds the machine
against it.

| State |",
    );
    for (name, _) in orders() {
        write!(out, " `{name}` |").unwrap();
    }
    out.push_str("\n| --- |");
    out.push_str(&" --- |".repeat(orders().len()));
    for state in STATES {
        write!(out, "\n| {state} |").unwrap();
        for (_, order) in orders() {
            write!(out, " {} |", World::at(state).cell(&order)).unwrap();
        }
    }
    out.push('\n');
    out
}

#[test]
fn the_page_of_orders_is_what_the_machine_does() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/orders.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page(), "UPDATE_DOCS=1 writes the page anew");
}

#[test]
fn an_order_that_is_given_twice_does_nothing_more() {
    for state in STATES {
        for (name, order) in orders() {
            let mut world = World::at(state);
            if world.fleet.may_order(ROLLOUT, &order, &world.live).is_err() {
                continue;
            }
            world.order(&order);
            let once = format!("{:?}", world.fleet);
            if world.fleet.may_order(ROLLOUT, &order, &world.live).is_ok() {
                world.order(&order);
                assert_eq!(format!("{:?}", world.fleet), once, "{name} at {state}");
            }
        }
    }
}

/// Whatever the target was at, and whether its agent is here or away for good.
#[test]
fn abort_ends_from_everywhere() {
    for state in STATES {
        for paused in [false, true] {
            for away in [false, true] {
                let mut world = World::at(state);
                if world.rollout() == RolloutState::Aborted {
                    continue;
                }
                if paused {
                    world.order(&Order::Pause);
                }
                let may = world.fleet.may_order(ROLLOUT, &Order::Abort, &world.live);
                // What is over has nothing left to be ended.
                assert_eq!(
                    may.is_err(),
                    matches!(state, "done" | "skipped" | "resolved"),
                    "abort at {state}"
                );
                world.order(&Order::Abort);
                if away {
                    world.leave();
                    world.now = world.now.plus(30 * DAY);
                    for decision in world.fleet.decide(&world.live, world.now) {
                        let Decision::Unknown { target, generation } = decision else {
                            panic!("an aborted rollout wants {decision:?}");
                        };
                        world.take(Record::WentUnknown { target, generation });
                    }
                } else if world
                    .fleet
                    .open(&target())
                    .is_some_and(|open| open.accepted)
                {
                    world.finish(Ending::Aborted);
                } else if let Some(open) = world.fleet.open(&target()) {
                    let generation = open.generation;
                    world.take(Record::Withdrawn {
                        target: target(),
                        generation,
                    });
                }
                let over = world.fleet.rollouts()[&ROLLOUT].is_over();
                assert!(
                    over,
                    "{state}, paused {paused}, away {away}: {}",
                    world.word()
                );
                assert!(world.fleet.decide(&world.live, world.now).is_empty());
            }
        }
    }
}

/// A rollout that stands still goes on with what it was at, and one that was aborted with nothing.
#[test]
fn a_paused_rollout_begins_nothing_and_an_aborted_one_never_again() {
    let mut world = World::at("pending");
    world.order(&Order::Pause);
    assert!(world.fleet.decide(&world.live, world.now).is_empty());
    world.order(&Order::Resume);
    assert_eq!(world.fleet.decide(&world.live, world.now).len(), 1);
    for state in STATES {
        let mut world = World::at(state);
        world.order(&Order::Abort);
        for (name, order) in orders() {
            let may = world.fleet.may_order(ROLLOUT, &order, &world.live);
            let after = matches!(name, "abort" | "skip" | "resolve");
            assert!(may.is_err() || after, "{name} after an abort at {state}");
        }
    }
}

/// What the vendor took back after the plan was made is neither begun nor put to work (G6); somebody else's word holds nothing.
#[test]
fn a_version_that_is_recalled_after_the_plan_holds_at_each_action() {
    let recalled = |certainty: &str| {
        let text = format!(
            "checked_on = \"2026-10-06\"\n[[release]]\nproduct = \"provisioning-agent\"\nversion = \"{}\"\nrecalled = \"it breaks\"\nsource = \"a page\"\ncertainty = \"{certainty}\"\n",
            common::AGENT
        );
        Some(Arc::new(Versions::parse(&text).unwrap()))
    };
    let section = Section {
        outage: true,
        gmsa: None,
    };
    for (certainty, holds) in [("vendor", true), ("secondary", false)] {
        let mut world = World::new();
        world.live.versions = recalled(certainty);
        let hold = world.fleet.hold(ROLLOUT, &target(), &world.live, world.now);
        assert_eq!(hold.is_some(), holds, "{hold:?}");
        if let Some(hold) = hold {
            assert!(
                hold.why.contains("recalled: it breaks (a page) (G6)"),
                "{hold:?}"
            );
            assert!(!hold.in_turn);
        }
        let offered = world.fleet.decide(&world.live, world.now);
        assert_eq!(offered.is_empty(), holds, "{offered:?}");

        // It was offered before: the agent gets no leave.
        world.begin(0);
        let generation = Generation(1);
        world
            .fleet
            .asks_permit(&target(), generation, STEP, Attempt(1), section.clone());
        let permitted = world.fleet.decide(&world.live, world.now);
        assert_eq!(permitted.is_empty(), holds, "{permitted:?}");
        world.live.versions = None;
        let permitted = world.fleet.decide(&world.live, world.now);
        assert!(matches!(permitted[..], [Decision::Permit { .. }]));
    }
}
