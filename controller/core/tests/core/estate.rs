//! A fleet that the stories of this folder order about: several rollouts beside each other, and each event by its name.

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::beyond::Beyond;
use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Decision, Fleet, Hold, Live, TargetView, Work};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::{Order, Record};
use controller_core::topology::{Topology, parse};
use protocol::event::{Completion, Event, Failure, Freeze, Grade, Section};
use protocol::facts::{Facts, ProvisioningAgentFacts};
use protocol::key::SigningKey;
use protocol::signed::Ending;
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version,
};

use crate::common;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// Four agents of an old version at a site, and two elsewhere.
const TOPOLOGY: &str = r#"
[tenant.main]
id = "3f0c8a4e-0000-0000-0000-000000000000"
[site.ams]
zone = "UTC"
reboot = "never"
[agents.a]
site = "ams"
serves = ["a.test"]
hosts = ["s1.a.test", "s2.a.test", "s3.a.test", "s4.a.test"]
[agents.b]
serves = ["b.test"]
hosts = ["t1.b.test", "t2.b.test"]
[domain."a.test"]
allow_outage = true
[domain."b.test"]
allow_outage = true
"#;

/// Nobody is a canary, and no limit is in the way.
pub(crate) const WIDE: &str = "[limit]\nfailures = \"20\"\nin_flight = 20\ncanary = 0\n";

pub(crate) fn name(text: &str) -> TargetId {
    text.parse().expect("a name")
}

pub(crate) fn id(number: u32) -> RolloutId {
    RolloutId(number)
}

pub(crate) fn agent(version: Version) -> ProvisioningAgentFacts {
    ProvisioningAgentFacts {
        version: Some(version),
        ..common::old_agent()
    }
}

pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) live: Live,
    pub(crate) now: Timestamp,
    topology: Topology,
    known: Fleetwide,
    told: u64,
}

impl World {
    /// All of them are here.
    pub(crate) fn new() -> Self {
        let (topology, findings) = parse(&[common::document(TOPOLOGY)]);
        assert!(findings.is_empty(), "{findings:?}");
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                began: NOW.minus(DAY),
                ..Live::default()
            },
            now: NOW,
            known: Fleetwide::new(),
            told: 0,
            topology,
        };
        for target in world.topology.targets() {
            world.enrolls(&target);
            world.live.came(target, NOW);
        }
        world
    }

    /// With one rollout that upgrades them all.
    pub(crate) fn upgrading(policy: &str) -> Self {
        let mut world = Self::new();
        world.applies(1, Purpose::Install, policy, &[]);
        world
    }

    /// A server enrolls with a key of its own and tells that its agent is old.
    pub(crate) fn enrolls(&mut self, target: &TargetId) {
        let key = SigningKey::generate().public();
        self.take(common::enrolled(target, key));
        let facts = common::old();
        let of = Known {
            facts: Some((self.now, facts.clone())),
            ..Known::of(key.fingerprint())
        };
        self.known.insert(target.clone(), of);
        self.reports(target.as_str(), facts);
    }

    /// What the next plan knows of a server.
    pub(crate) fn knows(&mut self, target: &str, facts: Facts) {
        let known = self.known.get_mut(&name(target));
        known.expect("it is enrolled").facts = Some((self.now, facts));
    }

    pub(crate) fn plan_of(&self, purpose: Purpose, policy: &str, only: &[&str]) -> Plan {
        let (policy, findings) = policy::parse(&common::document(policy));
        assert!(findings.is_empty(), "{findings:?}");
        let only: BTreeSet<TargetId> = only.iter().map(|one| name(one)).collect();
        plan(Inputs {
            topology: &self.topology,
            policy: &policy,
            known: &self.known,
            artifacts: &common::artifacts(),
            roster: None,
            release: None,
            beyond: Beyond::NOTHING,
            purpose,
            only: &only,
        })
    }

    pub(crate) fn applies(&mut self, rollout: u32, purpose: Purpose, policy: &str, only: &[&str]) {
        let plan = self.plan_of(purpose, policy, only);
        self.begins(rollout, &plan);
    }

    pub(crate) fn begins(&mut self, rollout: u32, plan: &Plan) {
        let applied = common::applied(id(rollout), plan);
        self.fleet.apply(&applied, Some(plan), self.now);
    }

    pub(crate) fn take(&mut self, record: Record) {
        self.fleet.apply(&record, None, self.now);
        for rollout in self.fleet.rollouts().values() {
            assert!(rollout.work.is_counted_right());
        }
    }

    pub(crate) fn tells(&mut self, target: &str, event: &Event) {
        self.told += 1;
        let record = common::told(&name(target), self.told, self.now, event);
        self.take(record);
    }

    pub(crate) fn reports(&mut self, target: &str, facts: Facts) {
        self.tells(target, &Event::FactsReported(Box::new(facts)));
    }

    pub(crate) fn order(&mut self, rollout: u32, order: Order) -> Result<(), String> {
        self.fleet
            .may_order(id(rollout), &order, &self.live, self.now)?;
        self.take(Record::Ordered {
            rollout: id(rollout),
            order,
            by: "root".to_owned(),
        });
        Ok(())
    }

    pub(crate) fn retry(&mut self, rollout: u32, target: &str) -> Result<(), String> {
        let target = Some(name(target));
        self.order(rollout, Order::Retry { target })
    }

    /// Carries out what the machine wants, until it wants nothing more. Who was offered something, in order.
    pub(crate) fn issues(&mut self) -> Vec<String> {
        let mut offered = Vec::new();
        loop {
            let decisions = self.fleet.decide(&self.live, self.now);
            assert_eq!(decisions, self.fleet.decide_among_all(&self.live, self.now));
            if decisions.is_empty() {
                return offered;
            }
            for decision in decisions {
                offered.extend(self.carry_out(decision));
            }
        }
    }

    fn carry_out(&mut self, decision: Decision) -> Option<String> {
        let record = match decision {
            Decision::Issue {
                rollout,
                target,
                phase,
                ..
            } => {
                let generation = self.fleet.next_generation(&target);
                let plan = &self.fleet.rollouts()[&rollout].plan;
                let phase = plan.targets[&target].phases[phase].phase;
                self.take(Record::BundleIssued {
                    rollout,
                    target: target.clone(),
                    generation,
                    phase,
                    bundle: bundle(&target, generation),
                    expires: self.now.plus(DAY),
                });
                return Some(target.to_string());
            }
            Decision::Unknown { target, generation } => Record::WentUnknown { target, generation },
            Decision::Away {
                rollout,
                target,
                since,
            } => Record::Away {
                rollout,
                target,
                since,
            },
            Decision::PassedOver {
                rollout,
                target,
                away,
            } => Record::PassedOver {
                rollout,
                target,
                away,
            },
            Decision::Degraded {
                rollout,
                target,
                why,
            } => Record::Degraded {
                rollout,
                target,
                why,
            },
            Decision::Permit { .. } => panic!("nobody asks for leave"),
        };
        self.take(record);
        None
    }

    pub(crate) fn generation(&self, target: &str) -> Generation {
        self.fleet
            .open(&name(target))
            .expect("it is open")
            .generation
    }

    /// It accepts what it was offered.
    pub(crate) fn accepts(&mut self, target: &str) {
        let open = self.fleet.open(&name(target)).expect("it is open").clone();
        let accepted = Event::BundleAccepted {
            bundle: open.bundle,
            generation: open.generation,
            rollout: open.rollout,
            phase: open.phase,
            change: None,
        };
        self.tells(target, &accepted);
    }

    /// It accepts what it was offered, and begins the first step that changes anything, or the first of all.
    pub(crate) fn works(&mut self, target: &str) {
        self.accepts(target);
        let generation = self.generation(target);
        let step = self.changing(target);
        self.tells(target, &begun(generation, step));
    }

    /// The first step of its open bundle that changes anything.
    pub(crate) fn changing(&self, target: &str) -> StepIndex {
        let target = name(target);
        let open = self.fleet.open(&target).expect("it is open");
        let rollout = &self.fleet.rollouts()[&open.rollout];
        let phase = rollout.work[&target].phase;
        let steps = &rollout.plan.targets[&target].phases[phase].steps;
        let at = steps.iter().position(|step| !step.is_read_only());
        StepIndex(u16::try_from(at.unwrap_or_default()).expect("a few steps"))
    }

    /// The step that it is at ends, and nothing is told of the next one.
    pub(crate) fn completes(&mut self, target: &str) {
        let generation = self.generation(target);
        let step = self.changing(target);
        self.tells(
            target,
            &Event::StepCompleted {
                generation,
                step,
                completion: Completion::Applied,
                summary: "it is through".to_owned(),
                grade: None,
            },
        );
    }

    /// It enters a section that takes its product out of service.
    pub(crate) fn enters(&mut self, target: &str) {
        let generation = self.generation(target);
        let step = self.changing(target);
        let section = Section {
            outage: true,
            gmsa: None,
        };
        self.tells(
            target,
            &Event::SectionEntered {
                generation,
                step,
                section,
            },
        );
    }

    pub(crate) fn breaks(&mut self, target: &str) {
        let generation = self.generation(target);
        let step = self.changing(target);
        self.tells(
            target,
            &Event::StepFailed {
                generation,
                step,
                failure: Box::new(Failure::plain("it broke".to_owned())),
            },
        );
    }

    pub(crate) fn cannot_tell(&mut self, target: &str) {
        let generation = self.generation(target);
        self.tells(
            target,
            &Event::StepInconclusive {
                generation,
                step: StepIndex(0),
                question: "is it so?".to_owned(),
            },
        );
    }

    pub(crate) fn finishes(&mut self, target: &str, ending: Ending) {
        let generation = self.generation(target);
        self.tells(
            target,
            &Event::RunFinished {
                generation,
                ending,
                receipt: String::new(),
            },
        );
    }

    /// Its open run comes to its end, with the grade that is needed.
    pub(crate) fn ends(&mut self, target: &str) {
        let graded = Event::StepCompleted {
            generation: self.generation(target),
            step: StepIndex(0),
            completion: protocol::event::Completion::AlreadySo,
            summary: String::new(),
            grade: Some(Grade::Registered),
        };
        self.tells(target, &graded);
        self.finishes(target, Ending::Completed);
    }

    /// Its open run breaks off in the middle of a change.
    pub(crate) fn fails(&mut self, target: &str) {
        self.works(target);
        self.breaks(target);
        self.finishes(target, Ending::Failed("it broke".to_owned()));
    }

    /// Every phase of its work in a rollout comes to its end; others are offered what they may be.
    pub(crate) fn is_done(&mut self, rollout: u32, target: &str) {
        self.issues();
        while self.word(rollout, target) != "done" {
            self.accepts(target);
            self.ends(target);
            self.issues();
        }
    }

    pub(crate) fn leaves(&mut self, target: &str) {
        self.live.left(&name(target), self.now);
    }

    pub(crate) fn comes(&mut self, target: &str) {
        self.live.came(name(target), self.now);
    }

    pub(crate) fn freezes(&mut self, target: &str, until: Timestamp) {
        let freeze = Freeze {
            until,
            by: "anna".to_owned(),
            why: "month's end".to_owned(),
        };
        self.tells(target, &Event::Frozen(freeze));
    }

    pub(crate) fn work(&self, rollout: u32, target: &str) -> &Work {
        &self.fleet.rollouts()[&id(rollout)].work[&name(target)]
    }

    pub(crate) fn word(&self, rollout: u32, target: &str) -> &'static str {
        self.work(rollout, target).state.word()
    }

    pub(crate) fn row(&self, rollout: u32, target: &str) -> TargetView {
        let view = self.fleet.view(id(rollout), &self.live, self.now);
        let mut rows = view.expect("it is there").targets.into_iter();
        let target = name(target);
        rows.find(|row| row.target == target).expect("it has it")
    }

    pub(crate) fn hold(&self, rollout: u32, target: &str) -> Hold {
        let hold = self
            .fleet
            .hold(id(rollout), &name(target), &self.live, self.now);
        hold.expect("it is held")
    }
}

pub(crate) fn bundle(target: &TargetId, generation: Generation) -> BundleId {
    BundleId(Digest::of(format!("{target}{generation}").as_bytes()))
}

pub(crate) fn begun(generation: Generation, step: StepIndex) -> Event {
    Event::StepBegun {
        generation,
        step,
        attempt: Attempt(1),
        kind: "upgrade-provisioning-agent".to_owned(),
    }
}
