//! Every state of a target against every order of an operator: what becomes of it, or why not. The page under
//! `deploy/docs` is this table; `UPDATE_DOCS=1` writes it anew.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use controller_core::doubt::Doubt;
use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{
    Asking, Cause, Decision, Fleet, Live, RolloutState, Saying, TargetView, TaskWork,
    UNREACHABLE_AFTER,
};
use controller_core::overrides::Rule;
use controller_core::plan::{Inputs, Plan, Purpose, plan, switch};
use controller_core::policy::{Policy, Soak};
use controller_core::recipe::PhaseWork;
use controller_core::record::{Order, Record};
use controller_core::topology::parse;
use controller_core::versions::Versions;
use protocol::event::{Completion, Event, Failure, Freeze, GmsaObject, Grade, Section};
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::key::{PublicKey, SigningKey};
use protocol::refusal::Refusal;
use protocol::secret::SecretKind;
use protocol::settings::{ConnectSettings, Setting, SettingsPart};
use protocol::signed::{Ending, Phase};
use protocol::step::Step;
use protocol::task::TaskText;
use protocol::{
    Attempt, BundleId, Digest, Epoch, Generation, RolloutId, StepIndex, TargetId, Timestamp,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const ROLLOUT: RolloutId = RolloutId(1);
const OTHER: RolloutId = RolloutId(2);
const ANEW: RolloutId = RolloutId(3);
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

/// What else an operator sees of a target, with the word that is shown for it.
const SHOWN: [(&str, &str); 13] = [
    ("held", "held"),
    ("soaking", "soaking"),
    ("frozen", "held"),
    ("restarting", "unreachable"),
    ("lost at an abort", "unknown"),
    ("paused", "held"),
    ("scheduled", "pending"),
    ("passed over", "unreachable"),
    ("doubted", "held"),
    ("not met", "held"),
    ("ending", "failed"),
    ("at another's work", "held"),
    ("in a section with a person", "awaiting person"),
];

/// Every row of the page.
fn rows() -> impl Iterator<Item = &'static str> {
    let shown = SHOWN.into_iter().map(|(name, _)| name);
    STATES.into_iter().chain(shown)
}

fn gmsa() -> GmsaObject {
    GmsaObject {
        domain: "a.test".parse().unwrap(),
        name: None,
    }
}

fn target() -> TargetId {
    "s1.a.test".parse().unwrap()
}

fn orders() -> Vec<(&'static str, Order)> {
    vec![
        ("pause", Order::Pause),
        (
            "resume",
            Order::Resume {
                after_restore: false,
            },
        ),
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
                off: false,
            },
        ),
        (
            "resolve --off",
            Order::Resolve {
                target: target(),
                reason: "why".to_owned(),
                off: true,
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
        (
            "limits --site",
            Order::SiteLimit {
                site: "ams".to_owned(),
                in_flight: 9,
            },
        ),
        (
            "accept",
            Order::AcceptDifference {
                difference: Digest::ZERO,
                reason: "why".to_owned(),
            },
        ),
    ]
}

/// What is ordered upon a server, and not upon a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Override,
    Frozen,
    Thawed,
    FreezeAll,
    ThawAll,
    Withdraw,
    Attest,
    Secret,
    Revoke,
    Replace,
    Apply,
}

const ACTS: [(&str, Act); 11] = [
    ("override G2", Act::Override),
    ("override --withdraw", Act::Withdraw),
    ("entrain-agent freeze", Act::Frozen),
    ("entrain-agent thaw", Act::Thawed),
    ("freeze --all", Act::FreezeAll),
    ("thaw --all", Act::ThawAll),
    ("tasks attest", Act::Attest),
    ("secret give", Act::Secret),
    ("agents revoke", Act::Revoke),
    ("agents replace", Act::Replace),
    ("apply", Act::Apply),
];

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
        Self::under(&Policy::default())
    }

    /// The same, watched before it is verified once more.
    fn watched() -> Self {
        Self::under(&Policy {
            soak: Soak {
                cloud_sync: 5,
                connect: 5,
            },
            ..Policy::default()
        })
    }

    fn under(policy: &Policy) -> Self {
        Self::beginning(policy, None)
    }

    /// The same server with Connect in staging mode, in a swap that makes it the active one in place of another: their settings were
    /// read and differ, and it is tried once more since.
    fn swap(policy: &Policy, not_before: Option<Timestamp>) -> Self {
        let document = common::document(format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\", \"s1.a.test\"]\n"
        ));
        let (topology, findings) = parse(&[document]);
        assert!(findings.is_empty(), "{findings:?}");
        let active: TargetId = "c1.a.test".parse().unwrap();
        let keys = [&active, &target()].map(|server| {
            let key = SigningKey::generate().public();
            (server.clone(), key)
        });
        let known = keys.iter().map(|(server, key)| {
            let connect = ConnectFacts {
                version: Some(common::CONNECT),
                service: Some(ServiceState::Running),
                staging: Some(*server != active),
                cycle_enabled: Some(true),
                suspended: Some(false),
            };
            let entry = Known {
                facts: Some((NOW, common::facts(None, Some(connect)))),
                ..Known::of(key.fingerprint())
            };
            (server.clone(), entry)
        });
        let known: Fleetwide = known.collect();
        let artifacts = common::artifacts();
        let inputs = Inputs::of(&topology, policy, &known, &artifacts, Purpose::Verify);
        let plan = switch(inputs, &target()).unwrap();
        let mut world = Self::of(plan, &keys, not_before);
        for (server, rules) in [(&active, "precedence 50"), (&target(), "precedence 51")] {
            let phases = &world.plan.targets[server].phases;
            let reads = |work: &PhaseWork| {
                let mut steps = work.steps.iter();
                steps.any(|step| matches!(step, Step::ReadConnectSettings))
            };
            let phase = phases.iter().position(reads).unwrap();
            world.generation += 1;
            let generation = Generation(world.generation);
            world.take(Record::BundleIssued {
                rollout: ROLLOUT,
                target: server.clone(),
                generation,
                phase: phases[phase].phase,
                bundle: BundleId(Digest::of(&world.generation.to_be_bytes())),
                expires: NOW.plus(DAY),
            });
            let setting = Setting {
                part: SettingsPart::Rules,
                name: "inbound rule \"Sales\"".to_owned(),
                value: rules.to_owned(),
            };
            let settings = ConnectSettings::of(vec![setting], Vec::new());
            world.index += 1;
            world.take(common::told(
                server,
                world.index,
                NOW,
                &Event::ConnectSettingsRead {
                    generation,
                    step: STEP,
                    settings: Box::new(settings),
                },
            ));
            let ending = if *server == active {
                Ending::Completed
            } else {
                Ending::Failed("it broke".to_owned())
            };
            world.index += 1;
            world.take(common::told(
                server,
                world.index,
                NOW,
                &Event::RunFinished {
                    generation,
                    ending,
                    receipt: String::new(),
                },
            ));
        }
        world.order(&Order::Retry {
            target: Some(target()),
        });
        // Each of the two waits for what is one difference.
        let stands = world.fleet.differences(ROLLOUT);
        let digests: BTreeSet<Digest> = stands.iter().map(|one| one.digest).collect();
        assert_eq!(digests.len(), 1);
        world
    }

    fn beginning(policy: &Policy, not_before: Option<Timestamp>) -> Self {
        let document = common::document(format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[site.ams]\n[agents.a]\nsite = \"ams\"\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n[domain.\"a.test\"]\nallow_outage = true\n"
        ));
        let (topology, findings) = parse(&[document]);
        assert!(findings.is_empty(), "{findings:?}");
        let key = SigningKey::generate().public();
        let entry = Known {
            facts: Some((NOW, common::old())),
            ..Known::of(key.fingerprint())
        };
        let plan = plan(Inputs::of(
            &topology,
            policy,
            &Fleetwide::from([(target(), entry)]),
            &common::artifacts(),
            Purpose::Install,
        ));
        Self::of(plan, &[(target(), key)], not_before)
    }

    /// That plan is applied to these servers, who are here.
    fn of(plan: Plan, keys: &[(TargetId, PublicKey)], not_before: Option<Timestamp>) -> Self {
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                connected: keys.iter().map(|(server, _)| server.clone()).collect(),
                began: NOW,
                ..Live::default()
            },
            plan,
            index: 0,
            generation: 0,
            now: NOW,
        };
        for (server, key) in keys {
            world.take(common::enrolled(server, *key));
        }
        let mut applied = common::applied(ROLLOUT, &world.plan);
        if let Record::Applied { not_before: at, .. } = &mut applied {
            *at = not_before;
        }
        world.take(applied);
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
        self.issue_of(ROLLOUT, phase);
    }

    fn issue_of(&mut self, rollout: RolloutId, phase: usize) {
        self.generation += 1;
        self.take(Record::BundleIssued {
            rollout,
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
            change: None,
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
        let world = match state {
            "soaking" => Self::watched(),
            "passed over" => Self::under(&waits_for_a_day()),
            "scheduled" => Self::beginning(&Policy::default(), Some(NOW.plus(DAY))),
            _ => Self::new(),
        };
        world.comes_to(state)
    }

    /// The server of a swap whose settings differ in that state; `None` where no server of a swap comes to it.
    fn of_swap_at(state: &str) -> Option<Self> {
        let world = match state {
            "soaking" => return None,
            "passed over" => Self::swap(&waits_for_a_day(), None),
            "scheduled" => Self::swap(&Policy::default(), Some(NOW.plus(DAY))),
            _ => Self::swap(&Policy::default(), None),
        };
        Some(world.comes_to(state))
    }

    fn comes_to(self, state: &str) -> Self {
        let mut world = self;
        let generation = Generation(world.generation + 1);
        match state {
            "pending" | "frozen" | "paused" | "scheduled" | "doubted" | "not met" => {}
            "at another's work" => {}
            "held" => {
                world.leave();
                world.now = world.now.plus(UNREACHABLE_AFTER);
            }
            "offered" => world.issue(0),
            "skipped" | "aborted" => {}
            "refused" => {
                world.issue(0);
                let bundle = BundleId(Digest::of(&world.generation.to_be_bytes()));
                let refusal = Refusal::OverLimit("65 steps".to_owned());
                world.say(&Event::BundleRefused { bundle, refusal });
            }
            _ => world.begin(0),
        }
        if state == "in a section with a person" {
            let section = Section {
                outage: true,
                gmsa: Some(gmsa()),
            };
            world.say(&Event::SectionEntered {
                generation,
                step: STEP,
                section,
            });
        }
        match state {
            "awaiting person" | "in a section with a person" => world.say(&Event::TaskOpened {
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
                for phase in 1..world.plan.targets[&target()].phases.len() {
                    world.finish(Ending::Completed);
                    world.begin(phase);
                }
                world.say(&Event::StepCompleted {
                    generation: Generation(world.generation),
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
            "soaking" => {
                let plan = world.plan.clone();
                let phases = plan.targets[&target()].phases.iter().enumerate();
                for (at, _) in phases.take_while(|(_, work)| work.phase != Phase::Soak) {
                    if at > 0 {
                        world.begin(at);
                    }
                    world.finish(Ending::Completed);
                }
            }
            "frozen" => world.say(&frozen()),
            "restarting" => {
                world.say(&Event::StepBegun {
                    generation,
                    step: STEP,
                    attempt: Attempt(1),
                    kind: "restart-server".to_owned(),
                });
                world.leave();
            }
            "lost at an abort" => {
                world.leave();
                world.order(&Order::Abort);
                world.decide();
            }
            "paused" => world.order(&Order::Pause),
            "passed over" => {
                world.leave();
                world.now = world.now.plus(DAY);
                world.decide();
            }
            "doubted" => world.take(Record::AgentDoubted {
                key: world.fleet.known()[&target()].key,
                target: target(),
                doubt: Doubt::Forked,
                at: vec!["10.0.0.1".to_owned()],
            }),
            "not met" => {
                world.take(Record::Restored {
                    epoch: Epoch(2),
                    parent: Epoch(1),
                    made: NOW,
                    by: "root".to_owned(),
                });
                world.order(&Order::Resume {
                    after_restore: true,
                });
            }
            "ending" => world.say(&Event::StepFailed {
                generation,
                step: STEP,
                failure: Box::new(Failure::plain("it broke".to_owned())),
            }),
            "at another's work" => {
                // That one stands still meanwhile, so that nothing is asked of it here.
                world.take(common::applied(OTHER, &world.plan));
                world.issue_of(OTHER, 0);
                world.take(Record::Ordered {
                    rollout: OTHER,
                    order: Order::Pause,
                    by: "root".to_owned(),
                });
            }
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
                off: false,
            });
        }
        match SHOWN.into_iter().find(|(name, _)| *name == state) {
            Some((_, word)) => assert_eq!(world.row().state, word, "{state}"),
            None => assert_eq!(world.word(), state),
        }
        world
    }

    /// Records whoever goes unknown, or is waited for no more.
    fn decide(&mut self) {
        for decision in self.fleet.decide(&self.live, self.now) {
            if let Decision::Unknown { target, generation } = decision {
                self.take(Record::WentUnknown { target, generation });
            } else if let Decision::PassedOver {
                rollout,
                target,
                away,
            } = decision
            {
                self.take(Record::PassedOver {
                    rollout,
                    target,
                    away,
                });
            }
        }
    }

    fn row(&self) -> TargetView {
        let view = self.fleet.view(ROLLOUT, &self.live, self.now);
        let mut rows = view.unwrap().targets.into_iter();
        rows.find(|row| row.target == target()).unwrap()
    }

    /// Whether that may be ordered upon the server.
    fn may(&self, act: Act) -> Result<(), String> {
        match act {
            Act::Override => {
                let target = target();
                let asking = Asking {
                    rule: Rule::G2,
                    target: &target,
                    by: "root",
                    reason: "why",
                    change: "CHG1",
                };
                match self.fleet.may_override(asking, self.now)? {
                    Saying::New => Ok(()),
                    Saying::Before(stands) => Err(stands),
                }
            }
            Act::Withdraw => self
                .fleet
                .may_withdraw_override(Rule::G2, &target(), self.now),
            // Its own administrator asks nobody.
            Act::Frozen | Act::Thawed => Ok(()),
            Act::FreezeAll => self.fleet.may_freeze(),
            Act::ThawAll => self.fleet.may_thaw(),
            Act::Attest => self.fleet.may_attest(&target(), self.now).map(|_| ()),
            Act::Secret => {
                let tasks = self.fleet.tasks(self.now);
                let asks = tasks
                    .iter()
                    .any(|task| matches!(task.work, TaskWork::GiveSecret(_)));
                asks.then_some(())
                    .ok_or("it asks for none just now".to_owned())
            }
            Act::Apply => match self.fleet.works_on(&self.plan) {
                None => Ok(()),
                Some((id, server)) => Err(format!("{id} changes {server} and is not over there")),
            },
            Act::Revoke | Act::Replace => {
                let known = self.fleet.known().contains_key(&target());
                known.then_some(()).ok_or("it is not enrolled".to_owned())
            }
        }
    }

    fn act(&mut self, act: Act) {
        let (target, by) = (target(), "root".to_owned());
        let generation = Generation(self.generation);
        let record = match act {
            Act::Override => Record::OverrideSaid {
                rule: Rule::G2,
                target,
                by,
                asked: 1,
                change: "CHG1".to_owned(),
                reason: "why".to_owned(),
            },
            Act::Withdraw => Record::OverrideWithdrawn {
                rule: Rule::G2,
                target,
                by,
            },
            Act::Frozen => return self.say(&frozen()),
            Act::Thawed => return self.say(&Event::Thawed),
            Act::FreezeAll => Record::FleetFrozen {
                why: "why".to_owned(),
                by,
            },
            Act::ThawAll => Record::FleetThawed { by },
            Act::Attest => {
                let (generation, step) = self.fleet.may_attest(&target, self.now).unwrap();
                Record::Attested {
                    target,
                    generation,
                    step,
                    by,
                }
            }
            Act::Secret => {
                return self.say(&Event::SecretReceived {
                    generation,
                    step: STEP,
                    wanted: SecretKind::AccessToken {
                        tenant: TENANT.parse().unwrap(),
                    },
                });
            }
            Act::Revoke => Record::AgentRevoked {
                key: self.fleet.known()[&target].key,
                target,
                by,
            },
            Act::Replace => Record::AgentReplaced { target, by },
            Act::Apply => common::applied(ANEW, &self.plan),
        };
        self.take(record);
    }

    /// What that does to the target, in a cell.
    fn done(mut self, act: Act) -> String {
        // What is to be lifted stands.
        if act == Act::Thawed {
            self.act(Act::Frozen);
        } else if act == Act::ThawAll {
            self.act(Act::FreezeAll);
        } else if act == Act::Withdraw && self.may(Act::Override).is_ok() {
            self.act(Act::Override);
        }
        if let Err(why) = self.may(act) {
            return format!("no: {}", plain(&why));
        }
        let before = self.row();
        self.act(act);
        let after = self.row();
        let gate = "goes on to its next gate";
        let open = self.fleet.open(&target());
        let runs = !after.terminal && open.is_some_and(|open| open.rollout == ROLLOUT);
        let mut said = Vec::new();
        if after.state != before.state {
            said.push(format!("**{}**", after.state));
        } else if after.detail.contains(gate) && !before.detail.contains(gate) {
            said.push("waits at its next gate".to_owned());
        } else if before.detail.contains(gate) && !after.detail.contains(gate) {
            said.push("goes on".to_owned());
        } else if act == Act::FreezeAll && runs {
            said.push("waits at its next gate".to_owned());
        } else if act == Act::ThawAll && runs {
            said.push("goes on".to_owned());
        }
        match act {
            Act::Override => said.push("G2 lets it pass for an hour".to_owned()),
            Act::Withdraw => said.push("G2 holds again".to_owned()),
            Act::Attest => said.push("its own probe looks, and then that word counts".to_owned()),
            Act::Apply => said.push("a rollout of its own, beside this one".to_owned()),
            Act::Frozen
            | Act::Thawed
            | Act::FreezeAll
            | Act::ThawAll
            | Act::Secret
            | Act::Revoke
            | Act::Replace => {}
        }
        if said.is_empty() {
            return "as it is".to_owned();
        }
        said.join(", ")
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

    fn tried_again_at_its_end(&self) -> bool {
        let open = self.fleet.open(&target());
        open.is_some_and(|open| open.rollout == ROLLOUT && open.again)
    }

    /// What the order does, in a cell.
    fn cell(mut self, order: &Order) -> String {
        if let Err(why) = self.fleet.may_order(ROLLOUT, order, &self.live, self.now) {
            return format!("no: {}", plain(&why));
        }
        let (before, stood) = (self.word(), self.rollout());
        self.order(order);
        if *order == Order::Abort {
            self.decide();
        }
        let mut said = Vec::new();
        if self.rollout() != stood {
            said.push(format!("rollout {:?}", self.rollout()).to_lowercase());
        }
        if self.word() != before {
            said.push(format!("**{}**", self.word()));
        }
        // A run that is under way hears of it, and ends at its next gate.
        let here = self.live.connected.contains(&target());
        let own = self
            .fleet
            .open(&target())
            .filter(|open| open.rollout == ROLLOUT);
        let terminal = self.fleet.rollouts()[&ROLLOUT].work[&target()]
            .state
            .is_terminal();
        if self.rollout() == RolloutState::Aborted && here && own.is_some() && !terminal {
            said.push("**aborted** at its next gate".to_owned());
        }
        if matches!(order, Order::Retry { .. }) && self.tried_again_at_its_end() {
            said.push("**pending** once its run has ended".to_owned());
        }
        if let Order::SiteLimit { site, in_flight } = order {
            let rule = &self.fleet.rollouts()[&ROLLOUT].plan.sites[site];
            assert_eq!(rule.max_in_flight, Some(*in_flight));
            said.push("another limit of its site".to_owned());
        }
        if matches!(order, Order::Limits { .. }) {
            said.push("other limits".to_owned());
        }
        if let Order::AcceptDifference { difference, .. } = order {
            let accepted = &self.fleet.rollouts()[&ROLLOUT].accepted;
            assert!(accepted.contains(difference));
            said.push("that difference is approved".to_owned());
        }
        if said.is_empty() {
            "as it is".to_owned()
        } else {
            said.join(", ")
        }
    }
}

fn waits_for_a_day() -> Policy {
    Policy {
        unreachable: Some(86_400),
        ..Policy::default()
    }
}

/// The approval of the difference that stands between the servers of a swap.
fn approval(world: &World) -> Order {
    let stands = world.fleet.differences(ROLLOUT);
    Order::AcceptDifference {
        difference: stands[0].digest,
        reason: "it is meant".to_owned(),
    }
}

/// The server's administrator has frozen it.
fn frozen() -> Event {
    Event::Frozen(Freeze {
        until: NOW.plus(30 * DAY),
        by: "anna".to_owned(),
        why: "why".to_owned(),
    })
}

/// A reason as the page says it.
fn plain(why: &str) -> String {
    why.replace(target().as_str(), "it")
        .replace("r1", "the rollout")
}

fn table(out: &mut String, names: &[&str], cell: impl Fn(&str, usize) -> String) {
    out.push_str("\n| State |");
    for name in names {
        write!(out, " `{name}` |").unwrap();
    }
    out.push_str("\n| --- |");
    out.push_str(&" --- |".repeat(names.len()));
    for state in rows() {
        write!(out, "\n| {state} |").unwrap();
        for column in 0..names.len() {
            write!(out, " {} |", cell(state, column)).unwrap();
        }
    }
    out.push('\n');
}

fn page() -> String {
    let mut out = String::from(
        "# Orders

What each order of an operator does to a target, by the state that the target is in; or why it is not taken. The rollout runs, and
the target is connected, but for *unknown*, *resolved*, *held*, *restarting*, *lost at an abort* and *passed over*, where it is away. `retry` without a target is for all that failed.
The last thirteen rows are what is shown of a target beside its state: *held* (here: its agent is away before anything was offered to it), *soaking* (its product is watched),
*frozen* (by its own administrator, before anything was offered to it), *restarting* (away in the middle of a restart of Windows), *lost at an abort* (away when its rollout was aborted;
its bundle may be at work), *paused* and *scheduled* (its rollout is, before anything was offered to it), *passed over* (away in the middle of its work for longer than its rollout waits), *doubted* (its agent
was copied, or its disk was put back), *not met* (not heard of since the controller was restored), *ending* (a step has failed, and its run has not ended yet), *at another's work* (another rollout
has a bundle open on it) and *in a section with a person* (somebody is at a wizard while a gMSA and an outage are claimed: an abort ends that too, and what was done by then counts as unknown). What is ordered upon a server that two rollouts change is refused by the name of the other one.
An order that is given twice does nothing more. `abort` ends a rollout from everywhere: what is under way ends at its next
gate, and what is away is *unknown* at once and until it says what became of it. Whoever may be in a section when its run is resolved, its agent revoked or replaced, or its bundle ends while it is away,
counts as out of service and as changing its gMSA (G2, G3) until its agent has told that it has left it, its bundle and the time of its step have ended, or `resolve --off` says that the server is off or was looked at; that word
is taken as well of a run that was given up before, and then says nothing of what the target is at since. `why` tells of such a claim. This page is written by the test that holds the machine
against it.

## Upon a rollout

`accept` approves one difference of settings between two Connect servers (G4), which a rollout has or has not, whatever its targets are at: of a digest that does not stand, and of
one that does, in a swap whose other server waits since their settings differ. No server of a swap soaks.
",
    );
    let orders = orders();
    let mut names: Vec<&str> = orders.iter().map(|(name, _)| *name).collect();
    names.push("accept (a swap's difference)");
    table(&mut out, &names, |state, column| match orders.get(column) {
        Some((_, order)) => World::at(state).cell(order),
        None => World::of_swap_at(state).map_or_else(
            || "does not occur".to_owned(),
            |world| {
                let approval = approval(&world);
                world.cell(&approval)
            },
        ),
    });
    out.push_str(
        "
## Upon a server

`entrain-agent freeze` and `thaw` are its own administrator's, at the server; both thaws are for what was frozen before, and `override --withdraw` for what was set aside before. `override` is shown with G2, and each rule is asked for in the same way. `release withdraw`
is `abort` for each rollout that brings that release, and `agents approve` is for a server that is none of the fleet yet. `apply` is of another plan that changes that server, whichever verb has made it
(`plan`, `swap`, `failover`, `swing`, `transition`, `undo`); one that only reads is applied beside any. `agents revoke --off` is `agents revoke`, with the word that the server is off for good: of Connect there (G1), and of what a revoked agent was in (G2, G3). `restore` makes every server
*not met*, `tenant read` settles what its questions ask, and the other verbs are upon no target.
",
    );
    let names = ACTS.map(|(name, _)| name);
    table(&mut out, &names, |state, column| {
        World::at(state).done(ACTS[column].1)
    });
    out
}

/// What is said of a server a second time changes nothing more either.
#[test]
fn what_is_ordered_upon_a_server_twice_does_nothing_more() {
    for state in rows() {
        for (name, act) in ACTS {
            let mut world = World::at(state);
            if world.may(act).is_err() {
                continue;
            }
            world.act(act);
            let once = format!("{:?}", world.fleet);
            if world.may(act).is_ok() {
                world.act(act);
                assert_eq!(format!("{:?}", world.fleet), once, "{name} at {state}");
            }
        }
    }
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

/// An approval lifts the hold that the difference was, and no second one says more.
#[test]
fn an_approved_difference_holds_no_more_and_is_approved_once() {
    let mut held = 0;
    for state in rows() {
        let Some(mut world) = World::of_swap_at(state) else {
            continue;
        };
        let order = approval(&world);
        let other: TargetId = "c1.a.test".parse().unwrap();
        let differs = |world: &World| {
            let hold = world.fleet.hold(ROLLOUT, &other, &world.live, world.now);
            hold.is_some_and(|hold| hold.cause == Cause::SettingsDiffer)
        };
        let may = world
            .fleet
            .may_order(ROLLOUT, &order, &world.live, world.now);
        assert_eq!(
            may.is_err(),
            matches!(state, "aborted" | "lost at an abort"),
            "{state}: {may:?}"
        );
        if may.is_err() {
            continue;
        }
        held += usize::from(differs(&world));
        world.order(&order);
        assert!(!differs(&world), "{state}");
        let once = format!("{:?}", world.fleet);
        world.order(&order);
        assert_eq!(format!("{:?}", world.fleet), once, "{state}");
    }
    assert!(held > 0, "the difference holds somewhere before");
}

#[test]
fn an_order_that_is_given_twice_does_nothing_more() {
    for state in rows() {
        for (name, order) in orders() {
            let mut world = World::at(state);
            if world
                .fleet
                .may_order(ROLLOUT, &order, &world.live, world.now)
                .is_err()
            {
                continue;
            }
            world.order(&order);
            let once = format!("{:?}", world.fleet);
            if world
                .fleet
                .may_order(ROLLOUT, &order, &world.live, world.now)
                .is_ok()
            {
                world.order(&order);
                assert_eq!(format!("{:?}", world.fleet), once, "{name} at {state}");
            }
        }
    }
}

/// Whatever the target was at, and whether its agent is here or away for good.
#[test]
fn abort_ends_from_everywhere() {
    for state in rows() {
        for paused in [false, true] {
            for away in [false, true] {
                let mut world = World::at(state);
                if world.rollout() == RolloutState::Aborted {
                    continue;
                }
                if paused {
                    world.order(&Order::Pause);
                }
                let may = world
                    .fleet
                    .may_order(ROLLOUT, &Order::Abort, &world.live, world.now);
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
                // What it claimed is free again, and what was done to the gMSA by then is not known.
                if state == "in a section with a person" && !away {
                    assert!(!world.fleet.may_be_in_a_section(&target(), world.now));
                    let change = world.fleet.last_change(&gmsa()).unwrap();
                    assert_eq!((&change.by, &change.readers), (&target(), &None));
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
    world.order(&Order::Resume {
        after_restore: false,
    });
    assert_eq!(world.fleet.decide(&world.live, world.now).len(), 1);
    for state in STATES {
        let mut world = World::at(state);
        world.order(&Order::Abort);
        for (name, order) in orders() {
            let may = world
                .fleet
                .may_order(ROLLOUT, &order, &world.live, world.now);
            let after = matches!(name, "abort" | "skip" | "resolve" | "resolve --off");
            assert!(may.is_err() || after, "{name} after an abort at {state}");
        }
    }
}

/// What was taken back after the plan was made is neither begun nor put to work, whoever says so (G6); that its support has ended holds
/// nothing where somebody else says it.
#[test]
fn a_version_that_is_recalled_after_the_plan_holds_at_each_action() {
    let recalled = |what: &str, certainty: &str| {
        let text = format!(
            "checked_on = \"2026-10-06\"\n[[release]]\nproduct = \"provisioning-agent\"\nversion = \"{}\"\n{what} = \"it breaks\"\nsource = \"a page\"\ncertainty = \"{certainty}\"\n",
            common::AGENT
        );
        Some(Arc::new(Versions::parse(&text).unwrap()))
    };
    let section = Section {
        outage: true,
        gmsa: None,
    };
    for (what, certainty, holds) in [
        ("recalled", "vendor", true),
        ("recalled", "secondary", true),
        ("retired", "vendor", true),
        ("retired", "secondary", false),
    ] {
        let mut world = World::new();
        world.live.versions = recalled(what, certainty);
        let hold = world.fleet.hold(ROLLOUT, &target(), &world.live, world.now);
        assert_eq!(hold.is_some(), holds, "{hold:?}");
        if let Some(hold) = hold {
            assert!(
                hold.why
                    .contains(&format!("{what}: it breaks (a page) (G6)")),
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

#[test]
fn a_limit_of_nothing_and_no_limit_at_all_are_no_order() {
    let world = World::new();
    let may = |in_flight, failures, unreachable| {
        let order = Order::Limits {
            in_flight,
            failures,
            unreachable,
        };
        world
            .fleet
            .may_order(ROLLOUT, &order, &world.live, world.now)
    };
    let none = may(None, None, None).unwrap_err();
    assert!(none.starts_with("no limit was given"), "{none}");
    for zero in [
        may(Some(0), None, None),
        may(None, Some(0), None),
        may(Some(0), Some(1), None),
        may(Some(1), Some(0), None),
    ] {
        assert!(zero.unwrap_err().starts_with("a limit of 0"));
    }
    // Of being away 0 means that nobody is given up.
    for good in [
        may(Some(1), None, None),
        may(None, Some(1), None),
        may(None, None, Some(0)),
    ] {
        assert_eq!(good, Ok(()));
    }
}

/// The controller's own start is no word of an agent's: since when somebody is away is told as what is known of it.
#[test]
fn whoever_did_not_come_since_the_controller_started_is_not_told_to_have_left_then() {
    let mut world = World::at("running");
    let (began, left) = (NOW.plus(DAY), NOW.plus(DAY + UNREACHABLE_AFTER));
    let live = Live {
        began,
        ..Live::default()
    };
    world.now = left;
    world.live = live.clone();
    let says = |world: &World| {
        let detail = world.row().detail;
        let (_, since) = detail.split_once("away since ").unwrap();
        since.to_owned()
    };
    let unknown = format!("the controller started at {began}, or longer");
    assert_eq!(says(&world), unknown);
    // A session of this life ended.
    world.live.came(target(), began);
    world.live.left(&target(), left);
    assert_eq!(says(&world), left.to_string());
    // The log knows it from the life before.
    world.live = live;
    world.take(Record::Away {
        rollout: ROLLOUT,
        target: target(),
        since: Some(NOW),
    });
    assert_eq!(says(&world), NOW.to_string());
}

/// An order says what it does, and of how many; one that changes nothing says that, and is taken all the same.
#[test]
fn an_order_that_changes_nothing_says_so() {
    let again = |name: &str| matches!(name, "pause" | "resume" | "abort" | "retry");
    let nothing = [
        "was paused already",
        "was not paused",
        "was aborted already",
        "nothing in r1 has failed",
    ];
    for state in rows() {
        for (name, order) in orders().into_iter().filter(|(name, _)| again(name)) {
            let mut world = World::at(state);
            if world
                .fleet
                .may_order(ROLLOUT, &order, &world.live, world.now)
                .is_err()
            {
                continue;
            }
            let answer = world
                .fleet
                .answer_to(ROLLOUT, &order, &world.live, world.now);
            let before = (world.rollout(), world.word());
            world.order(&order);
            let same = (world.rollout(), world.word()) == before;
            let says = nothing.iter().any(|one| answer.contains(one));
            // Another try of what has not ended yet waits for that.
            let later = name == "retry" && state == "ending";
            assert_eq!(says, same && !later, "{name} at {state}: {answer}");
        }
    }
    let mut world = World::at("failed");
    let all = Order::Retry { target: None };
    assert_eq!(
        world.fleet.answer_to(ROLLOUT, &all, &world.live, world.now),
        "retry of 1 server in r1: s1.a.test"
    );
    world.order(&all);
    assert_eq!(
        world.fleet.answer_to(ROLLOUT, &all, &world.live, world.now),
        "nothing in r1 has failed: there is nothing to retry"
    );
}
