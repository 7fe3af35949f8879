//! The fleet machine as a model: random operations, invariants after each. A failing list of operations is kept by
//! proptest and printed.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be, and looks at some records alone"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::drift::drift;
use controller_core::fleet::{
    Decision, Fleet, Live, PERMIT_LIFE, Pulse, RolloutState, TargetState, UNREACHABLE_AFTER,
    Unaccepted,
};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::{FailureLimit, Policy, Selector, Soak};
use controller_core::record::{Order, Record};
use controller_core::roster::Roster;
use controller_core::topology::{check, parse};
use proptest::prelude::*;
use protocol::event::{Event, Failure, Freeze, GmsaObject, Grade, Section};
use protocol::facts::ServiceState;
use protocol::signed::{Ending, Phase};
use protocol::{
    Attempt, BundleId, Digest, Epoch, Generation, RolloutId, StepIndex, TargetId, Timestamp,
    Version,
};

use crate::common;

const TOPOLOGY: &str = r#"
[tenant.main]
id = "3f0c8a4e-0000-0000-0000-000000000000"
[agents.a]
labels = { ring = "1" }
serves = ["a.test"]
hosts = ["h1.a.test", "h2.a.test", "h3.a.test", "h4.a.test"]
[agents.b]
serves = ["b.test"]
hosts = ["h1.b.test", "h2.b.test", "h3.b.test"]
[agents.both]
serves = ["a.test", "b.test"]
hosts = ["h1.c.test"]
retired = ["h2.c.test"]
[domain."a.test"]
min_serving = 4
[domain."b.test"]
min_serving = 2
"#;

/// The servers of each domain, and how many must keep serving it.
const DOMAINS: [(&str, &[&str], usize); 2] = [
    (
        "a.test",
        &[
            "h1.a.test",
            "h2.a.test",
            "h3.a.test",
            "h4.a.test",
            "h1.c.test",
        ],
        4,
    ),
    (
        "b.test",
        &["h1.b.test", "h2.b.test", "h3.b.test", "h1.c.test"],
        2,
    ),
];

/// Goes for good: it is not among those that must keep serving.
const LEAVING: &str = "h2.c.test";

struct Sim {
    fleet: Fleet,
    /// What the log tells, entry by entry as it is written and read again.
    told: Fleet,
    roster: [Roster; 2],
    /// The highest failure limit that there was.
    failures: u32,
    live: Live,
    log: Vec<(Timestamp, Record)>,
    plan: Plan,
    now: Timestamp,
    targets: Vec<TargetId>,
    index: BTreeMap<TargetId, u64>,
    generations: BTreeMap<TargetId, Generation>,
    /// Frozen by their administrators, and not met since a restore: as the events say, and not as the machine does.
    frozen: BTreeSet<TargetId>,
    unmet: BTreeSet<TargetId>,
    /// The whole fleet was frozen.
    still: bool,
    /// The leave that each target got and has not told of since: it may be in that section, or enter it, until it lapses.
    leave: BTreeMap<TargetId, (Generation, Section, Timestamp)>,
    /// Sections that targets are in, whatever the controller knows of it.
    inside: BTreeMap<TargetId, Section>,
    /// In which run each entered the last one.
    entered: BTreeMap<TargetId, Generation>,
    /// Whose product has told that it is worse, or was started anew.
    worse: BTreeSet<TargetId>,
    /// What each target has journaled and not yet told: it comes with its return.
    backlog: BTreeMap<TargetId, Vec<Event>>,
}

impl Sim {
    fn new(failures: u32, in_flight: u32) -> Self {
        Self::soaking(failures, in_flight, 0)
    }

    /// The same where each product is watched for so many cycles.
    fn soaking(failures: u32, in_flight: u32, cycles: u32) -> Self {
        let document = common::document(TOPOLOGY.to_owned());
        let (topology, findings) = parse(&[document]);
        assert!(findings.is_empty() && check(&topology, None).is_empty());
        let now = Timestamp::from_millis(1_790_000_000_000);
        let targets: Vec<TargetId> = topology.targets().into_iter().collect();
        // Serving, and older than what is wanted: every target is upgraded, which is an outage.
        let (known, enrolled) = common::enroll(&topology, now, |_| common::old());
        let mut log: Vec<_> = enrolled.into_iter().map(|record| (now, record)).collect();
        let policy = Policy {
            failures: FailureLimit::Count(failures),
            in_flight,
            soak: Soak {
                cloud_sync: cycles,
                connect: cycles,
            },
            waves: vec![
                Selector::Labels(BTreeMap::from([("ring".to_owned(), "1".to_owned())])),
                Selector::Rest,
            ],
            ..Policy::default()
        };
        let purpose = Purpose::Install;
        let plan = plan(Inputs::of(
            &topology,
            &policy,
            &known,
            &common::artifacts(),
            purpose,
        ));
        let applied = common::applied(RolloutId(1), &plan);
        log.push((now, applied));
        let live = Live {
            connected: targets.iter().cloned().collect(),
            pulses: targets
                .iter()
                .map(|target| {
                    (
                        target.clone(),
                        Pulse {
                            serving: true,
                            at: now,
                        },
                    )
                })
                .collect(),
            began: now,
            ..Live::default()
        };
        let mut sim = Self {
            fleet: Fleet::new(),
            told: Fleet::new(),
            roster: [Roster::default(), Roster::default()],
            failures,
            live,
            log: Vec::new(),
            plan,
            now,
            targets,
            index: BTreeMap::new(),
            generations: BTreeMap::new(),
            frozen: BTreeSet::new(),
            unmet: BTreeSet::new(),
            still: false,
            leave: BTreeMap::new(),
            entered: BTreeMap::new(),
            inside: BTreeMap::new(),
            worse: BTreeSet::new(),
            backlog: BTreeMap::new(),
        };
        for (_, record) in log {
            sim.take(record);
        }
        sim
    }

    fn take(&mut self, record: Record) {
        self.fleet.apply(&record, Some(&self.plan), self.now);
        self.roster[0].apply(&record, self.now);
        let written = serde_json::to_vec(&record).unwrap();
        let read: Record = serde_json::from_slice(&written).unwrap();
        self.told.apply(&read, Some(&self.plan), self.now);
        self.roster[1].apply(&read, self.now);
        self.log.push((self.now, record));
    }

    /// Whatever an operator sees is what the log tells. What is asked for just now is not in it: a controller keeps that.
    fn is_what_is_told_by(&self, told: &Fleet) {
        let mut told = told.clone();
        told.still_asked(self.fleet.asked_now());
        let (live, now) = (&self.live, self.now);
        assert!(told.rollouts().keys().eq(self.fleet.rollouts().keys()));
        for id in self.fleet.rollouts().keys() {
            assert_eq!(told.view(*id, live, now), self.fleet.view(*id, live, now));
        }
        for target in &self.targets {
            assert_eq!(
                told.why(target, live, now),
                self.fleet.why(target, live, now)
            );
            assert_eq!(told.open(target), self.fleet.open(target));
        }
        assert_eq!(told.tasks(now), self.fleet.tasks(now));
        assert_eq!(told.alarms(now), self.fleet.alarms(now));
        assert_eq!(told.overrides(now), self.fleet.overrides(now));
        assert_eq!(told.left_behind(), self.fleet.left_behind());
        assert_eq!(told.stopped(), self.fleet.stopped());
        let seen = |fleet: &Fleet| format!("{:?}", drift(fleet));
        assert_eq!(seen(&told), seen(&self.fleet));
        assert_eq!(told.decide(live, now), self.fleet.decide(live, now));
    }

    /// Failed, unknown and under way together are never more than a limit that there was.
    fn failures_are_bounded(&self) {
        let (begun, bad) = self.begun();
        let most = self.failures;
        assert!(
            begun + bad <= most,
            "{bad} failed and {begun} under way of {most}"
        );
    }

    /// A target journals something; the controller hears of it now, or when the target is back.
    fn journals(&mut self, target: &TargetId, event: &Event) {
        match event {
            Event::SectionEntered {
                generation,
                section,
                ..
            } => {
                self.entered.insert(target.clone(), *generation);
                self.inside.insert(target.clone(), section.clone());
            }
            Event::SectionLeft { .. } | Event::RunFinished { .. } => {
                self.inside.remove(target);
            }
            _ => {}
        }
        if self.live.connected.contains(target) {
            self.event(target, event);
        } else {
            let backlog = self.backlog.entry(target.clone()).or_default();
            backlog.push(event.clone());
        }
    }

    fn event(&mut self, target: &TargetId, event: &Event) {
        let index = self.index.entry(target.clone()).or_insert(0);
        *index += 1;
        let record = common::told(target, *index, self.now, event);
        self.take(record);
    }

    fn begun(&self) -> (u32, u32) {
        let work = &self.fleet.rollouts()[&RolloutId(1)].work;
        // Whoever nobody waits for is no more under way, and counts as failed.
        let begun = work.values().filter(|work| {
            !work.state.is_terminal()
                && !work.is_passed_over()
                && (work.state != TargetState::Pending || work.holds_a_place())
        });
        let bad = work
            .values()
            .filter(|work| work.state.is_bad() || work.is_passed_over());
        (
            u32::try_from(begun.count()).unwrap(),
            u32::try_from(bad.count()).unwrap(),
        )
    }

    /// Lets the machine decide until it wants nothing more, and holds each decision against the rules.
    fn decide(&mut self) {
        loop {
            let decisions = self.fleet.decide(&self.live, self.now);
            let among_all = self.fleet.decide_among_all(&self.live, self.now);
            assert_eq!(
                decisions, among_all,
                "whoever is here is all that can go on"
            );
            if decisions.is_empty() {
                return self.nobody_is_forgotten();
            }
            for decision in decisions {
                match decision {
                    Decision::Issue {
                        rollout,
                        target,
                        phase,
                        ..
                    } => self.issue(rollout, &target, phase),
                    Decision::Permit { target, gate, .. } => {
                        assert!(!self.frozen.contains(&target), "{target} is frozen");
                        assert!(!self.still, "the fleet is frozen");
                        // It asks for what it is in: nothing begins.
                        let again = self.inside.get(&target) == Some(&gate.section)
                            && self.entered.get(&target) == Some(&gate.generation);
                        assert!(
                            again || self.unmet.is_empty(),
                            "leave, and somebody is not heard of since the restore"
                        );
                        assert!(
                            self.live.connected.contains(&target),
                            "leave for {target}, which is away"
                        );
                        if !again {
                            self.leave_is_lawful(&target, &gate.section);
                        }
                        self.leave.insert(
                            target.clone(),
                            (
                                gate.generation,
                                gate.section.clone(),
                                self.now.plus(PERMIT_LIFE),
                            ),
                        );
                        let permit = Record::PermitGiven {
                            target,
                            generation: gate.generation,
                            step: gate.step,
                            attempt: gate.attempt,
                            section: gate.section,
                            lapses: self.now.plus(PERMIT_LIFE),
                            rests_on: Vec::new(),
                        };
                        self.take(permit);
                    }
                    Decision::Degraded {
                        rollout,
                        target,
                        why,
                    } => {
                        let work = &self.fleet.rollouts()[&rollout].work[&target];
                        let phase = self.plan.targets[&target].phases[work.phase].phase;
                        let watched = work.state == TargetState::Pending && phase == Phase::Soak;
                        assert!(watched, "{target} is not watched");
                        assert!(self.worse.contains(&target), "{target} has told nothing");
                        self.take(Record::Degraded {
                            rollout,
                            target: target.clone(),
                            why,
                        });
                        let state = &self.fleet.rollouts()[&rollout].work[&target].state;
                        assert_eq!(state.word(), "failed");
                    }
                    Decision::Unknown { target, generation } => {
                        assert!(
                            !self.live.connected.contains(&target),
                            "{target} is here and says itself what becomes of it"
                        );
                        self.take(Record::WentUnknown { target, generation });
                    }
                    Decision::Away {
                        rollout,
                        target,
                        since,
                    } => {
                        let here = self.live.connected.contains(&target);
                        assert_eq!(since.is_none(), here, "{target}");
                        self.take(Record::Away {
                            rollout,
                            target,
                            since,
                        });
                    }
                    Decision::PassedOver {
                        rollout,
                        target,
                        away,
                    } => {
                        let here = self.live.connected.contains(&target);
                        assert_eq!(away.is_none(), here, "{target}");
                        let limits = self.fleet.rollouts()[&rollout].plan.limits;
                        if let Some(since) = away {
                            let waits = limits.deadline().unwrap();
                            assert!(self.now >= since.plus(waits), "{target} is waited for");
                        }
                        self.take(Record::PassedOver {
                            rollout,
                            target,
                            away,
                        });
                    }
                }
            }
        }
    }

    /// Whoever is pending when the machine wants nothing more is held by something: the counts by which it finds whose turn it
    /// is leave nobody out.
    fn nobody_is_forgotten(&self) {
        assert!(self.live.away.is_indexed_right(), "who is away");
        for (id, rollout) in self.fleet.rollouts() {
            assert!(rollout.work.is_counted_right(), "the counts of {id}");
            let pending = rollout
                .work
                .iter()
                .filter(|(_, work)| work.state == TargetState::Pending);
            for (target, _) in pending {
                let hold = self.fleet.hold(*id, target, &self.live, self.now);
                assert!(hold.is_some(), "{target} may begin, and nobody lets it");
            }
        }
    }

    fn issue(&mut self, rollout: RolloutId, target: &TargetId, phase: usize) {
        let work = &self.fleet.rollouts()[&rollout].work;
        let entering = work[target].phase == 0 && work[target].receipts == 0;
        let enters = !work[target].holds_a_place();
        assert!(
            self.fleet.open(target).is_none(),
            "G5: two runs on {target}"
        );
        assert!(self.live.connected.contains(target));
        assert!(!self.frozen.contains(target), "{target} is frozen");
        assert!(!self.still, "the fleet is frozen");
        assert!(
            !self.unmet.contains(target),
            "{target} is not heard of since the restore"
        );
        if entering {
            let away = |other: &TargetId| {
                let from = self.live.unreachable_from(other);
                let frozen = self.frozen.contains(other);
                // Nobody waits for one that is not what the plan read: it waits for a plan of its own.
                let is = self.fleet.known().get(other);
                let is = is.and_then(|known| known.facts.as_ref());
                let planned = self.plan.targets[other].essence;
                let otherwise = is
                    .zip(planned)
                    .is_some_and(|((_, facts), planned)| facts.essence() != planned);
                if work[other].is_untouched() && !work[other].tried && otherwise {
                    return true;
                }
                work[other].is_untouched() && from.is_some_and(|from| self.now >= from)
                    || work[other].is_passed_over()
                    || frozen
                        && !work[other].state.is_terminal()
                        && !self.fleet.may_be_in_a_section(other, self.now)
            };
            let waves = &self.plan.waves;
            let own = waves.iter().position(|wave| wave.contains(target)).unwrap();
            for other in waves.iter().take(own).flatten() {
                assert!(
                    work[other].state.is_settled() || away(other),
                    "{target} before {other}, which is in an earlier wave"
                );
            }
            let lane = &self.plan.targets[target].lane;
            let canary = waves[own]
                .iter()
                .filter(|other| *other == target || !away(other))
                .find(|other| self.plan.targets[*other].lane == *lane)
                .unwrap();
            assert!(
                canary == target || work[canary].state.is_settled(),
                "{target} before its canary"
            );
        }
        let generation = self.fleet.next_generation(target);
        let before = self.generations.insert(target.clone(), generation);
        assert!(
            before.is_none_or(|before| before < generation),
            "G5: the generation of {target} fell"
        );
        let issued = Record::BundleIssued {
            rollout,
            target: target.clone(),
            generation,
            phase: self.plan.targets[target].phases[phase].phase,
            bundle: BundleId(Digest::of(format!("{target}{generation}").as_bytes())),
            expires: self.now.plus(Duration::from_secs(3600)),
        };
        self.take(issued);
        let (begun, bad) = self.begun();
        let limits = self.fleet.rollouts()[&rollout].plan.limits;
        // What is tried again needs a place like whoever begins.
        if enters {
            assert!(begun <= limits.in_flight, "{begun} under way");
            assert!(
                begun + bad <= limits.failures,
                "{bad} failed and {begun} under way"
            );
        }
    }

    fn act(&mut self, what: u8, whom: u8) {
        let target = self.targets[usize::from(whom) % self.targets.len()].clone();
        let (step, attempt) = (StepIndex(0), Attempt(1));
        let open = self.fleet.open(&target).cloned();
        let order = |order| Record::Ordered {
            rollout: RolloutId(1),
            order,
            by: "root".to_owned(),
        };
        let finish = |ending| {
            |generation| Event::RunFinished {
                generation,
                ending,
                receipt: String::new(),
            }
        };
        match (what % 27, open) {
            (0, Some(open)) if !open.accepted => {
                let accepted = Event::BundleAccepted {
                    bundle: open.bundle,
                    generation: open.generation,
                    rollout: open.rollout,
                    phase: open.phase,
                    change: None,
                };
                self.journals(&target, &accepted);
            }
            (1, Some(open)) => {
                let gmsa = Some(GmsaObject {
                    domain: "a.test".parse().unwrap(),
                    name: None,
                });
                let section = Section { outage: true, gmsa };
                self.fleet
                    .asks_permit(&target, open.generation, step, attempt, section);
            }
            (2, Some(open)) => {
                let section = Section {
                    outage: true,
                    gmsa: None,
                };
                self.fleet
                    .asks_permit(&target, open.generation, step, attempt, section);
            }
            (3, _) => {
                // It enters the section, if its leave is still good where it is.
                let good = self
                    .leave
                    .get(&target)
                    .filter(|(.., lapses)| *lapses > self.now);
                if let Some((generation, section, _)) = good.cloned() {
                    self.leave.remove(&target);
                    self.journals(
                        &target,
                        &Event::SectionEntered {
                            generation,
                            step,
                            section,
                        },
                    );
                }
            }
            (4, Some(open)) => {
                let grade = Some(Grade::Registered);
                let completion = protocol::event::Completion::Applied;
                let generation = open.generation;
                let summary = String::new();
                for event in [
                    Event::StepCompleted {
                        generation,
                        step,
                        completion,
                        summary,
                        grade,
                    },
                    Event::SectionLeft {
                        generation,
                        step,
                        gmsa: None,
                    },
                    finish(Ending::Completed)(generation),
                ] {
                    self.journals(&target, &event);
                }
                self.leave.remove(&target);
            }
            (5, Some(open)) => {
                let failure = Box::new(Failure::plain("x"));
                let generation = open.generation;
                let failed = Event::StepFailed {
                    generation,
                    step,
                    failure,
                };
                self.journals(&target, &failed);
                self.journals(&target, &finish(Ending::Failed("x".to_owned()))(generation));
                self.leave.remove(&target);
            }
            (6, _) if self.live.connected.contains(&target) => {
                self.live.left(&target, self.now);
                self.fleet.forget_asked(&target);
            }
            // The session begins when all that was journaled is here.
            (7, _) => {
                for event in self.backlog.remove(&target).unwrap_or_default() {
                    self.event(&target, &event);
                }
                self.live.came(target, self.now);
            }
            (8, _) => self.take(order(Order::Pause)),
            (9, _) => self.take(order(Order::Resume {
                after_restore: false,
            })),
            (10, _) => self.take(order(Order::Retry { target: None })),
            (11, _) => self.take(order(Order::Skip {
                target,
                reason: "x".to_owned(),
            })),
            // Once in a long list: it ends the rollout.
            (14, _) if whom.is_multiple_of(16) => self.take(order(Order::Abort)),
            (15, _) if !self.live.connected.contains(&target) => {
                self.take(order(Order::Resolve {
                    target,
                    reason: "x".to_owned(),
                    off: false,
                }));
            }
            (16, Some(open))
                if self.fleet.rollouts()[&RolloutId(1)].state == RolloutState::Aborted =>
            {
                let generation = open.generation;
                self.take(Record::Withdrawn { target, generation });
            }
            (21, _) => {
                self.still = true;
                let (why, by) = ("x".to_owned(), "root".to_owned());
                self.take(Record::FleetFrozen { why, by });
            }
            (22, _) => {
                self.still = false;
                let by = "root".to_owned();
                self.take(Record::FleetThawed { by });
            }
            (23, _) => {
                let failures = 1 + u32::from(whom) % 3;
                self.failures = self.failures.max(failures);
                self.take(order(Order::Limits {
                    in_flight: Some(1 + u32::from(whom) % 5),
                    failures: Some(failures),
                    unreachable: whom.is_multiple_of(4).then_some(u32::from(whom) % 3 * 1800),
                }));
            }
            (17, _) => {
                self.frozen.insert(target.clone());
                let freeze = Freeze {
                    until: self.now.plus(Duration::from_secs(7200)),
                    by: "anna".to_owned(),
                    why: "x".to_owned(),
                };
                self.event(&target, &Event::Frozen(freeze));
            }
            (18, _) => {
                self.frozen.remove(&target);
                self.event(&target, &Event::Thawed);
            }
            (19, _) if whom.is_multiple_of(8) => {
                self.unmet = self.targets.iter().cloned().collect();
                self.take(Record::Restored {
                    epoch: Epoch(2),
                    parent: Epoch(1),
                    made: self.now,
                    by: "root".to_owned(),
                });
                let state = self.fleet.rollouts()[&RolloutId(1)].state;
                assert_ne!(state, RolloutState::Running, "nothing goes on by itself");
            }
            (20, _) => {
                self.unmet.remove(&target);
                let generation = self.generations.get(&target).copied().unwrap_or_default();
                self.take(Record::Met { target, generation });
            }
            // What an agent tells between its runs, and does not tell within one.
            (24..=25, None) => {
                let mut told = common::old();
                if let Some(agent) = &mut told.provisioning_agent {
                    agent.version = Some(Version::new(1, 1, 9999, 0));
                    if what % 27 == 24 {
                        agent.service = Some(ServiceState::NotRunning);
                        self.worse.insert(target.clone());
                    }
                }
                self.journals(&target, &Event::FactsReported(Box::new(told)));
            }
            (26, None) => {
                let product = protocol::step::Product::ProvisioningAgent;
                self.worse.insert(target.clone());
                self.journals(&target, &Event::ServiceRestarted { product });
            }
            (12, _) => self.now = self.now.plus(Duration::from_secs(1200)),
            (13, _) => {
                for target in &self.targets {
                    // Now and then one is down for another reason.
                    let down = whom.is_multiple_of(4)
                        && *target == self.targets[usize::from(whom / 4) % self.targets.len()];
                    let serving = !down
                        && !self
                            .inside
                            .get(target)
                            .is_some_and(|section| section.outage);
                    let pulse = Pulse {
                        serving,
                        at: self.now,
                    };
                    if self.live.connected.contains(target) {
                        self.live.pulses.insert(target.clone(), pulse);
                    }
                }
            }
            _ => {}
        }
    }

    /// Whoever is away when its rollout was aborted keeps nobody waiting for its end, and what it may be at stays claimed.
    fn nothing_is_waited_for_after_an_abort(&self) {
        let rollout = &self.fleet.rollouts()[&RolloutId(1)];
        if rollout.state != RolloutState::Aborted {
            return;
        }
        for (target, work) in &rollout.work {
            // Nobody retries what was aborted, as these lists do: what is pending then was offered to nobody.
            let open = self.fleet.open(target).is_some();
            let away = open && self.live.away.contains_key(target);
            assert!(
                work.state.is_terminal() || !away,
                "{target} is away and keeps an aborted rollout from its end"
            );
        }
    }

    /// G2 and G3 at the moment at which leave is given, as the targets themselves know it.
    fn leave_is_lawful(&self, target: &TargetId, section: &Section) {
        let granted = self
            .leave
            .iter()
            .filter(|(_, (.., lapses))| *lapses > self.now);
        let granted = granted.map(|(other, (_, section, _))| (other, section));
        let busy: Vec<(&TargetId, &Section)> = self
            .inside
            .iter()
            .chain(granted)
            .filter(|(other, _)| *other != target)
            .collect();
        if let Some(object) = &section.gmsa {
            let same = busy
                .iter()
                .find(|(_, other)| other.gmsa.as_ref() == Some(object));
            assert!(same.is_none(), "G3: {target} and {same:?} change one gMSA");
        }
        if !section.outage {
            return;
        }
        for (domain, servers, minimum) in DOMAINS {
            let leaves = target.as_str() == LEAVING;
            if !servers.contains(&target.as_str()) && !leaves {
                continue;
            }
            // Who goes later still serves while somebody who stays is out.
            let later = (!leaves).then_some(LEAVING);
            let serving = servers.iter().chain(&later).filter(|server| {
                let server: TargetId = server.parse().unwrap();
                let out = busy
                    .iter()
                    .any(|(other, section)| **other == server && section.outage);
                let pulse = self.live.pulses.get(&server);
                let seen = pulse.is_some_and(|pulse| {
                    pulse.serving && self.now.since(pulse.at) <= Duration::from_secs(60)
                });
                server != *target && !out && seen
            });
            let serving = serving.count();
            assert!(
                serving >= minimum,
                "G2: {serving} serve {domain} while {target} is out, {minimum} must"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_after_each_operation_and_the_log_tells_the_same(
        failures in 1_u32..8,
        in_flight in 1_u32..8,
        cycles in prop_oneof![Just(0_u32), Just(10)],
        acts in proptest::collection::vec((any::<u8>(), any::<u8>()), 1..120),
    ) {
        let mut sim = Sim::soaking(failures, in_flight, cycles);
        sim.decide();
        for (what, whom) in acts {
            sim.act(what, whom);
            sim.decide();
            let not_over = !sim.fleet.rollouts()[&RolloutId(1)].is_over();
            prop_assert_eq!(sim.fleet.active().count() == 1, not_over, "what is asked is what is not over");
            sim.nothing_is_waited_for_after_an_abort();
            sim.failures_are_bounded();
            sim.is_what_is_told_by(&sim.told);
        }
        let mut replayed = Fleet::new();
        for (at, record) in &sim.log {
            replayed.apply(record, Some(&sim.plan), *at);
        }
        sim.is_what_is_told_by(&replayed);
        let [heard, read] = &sim.roster;
        prop_assert_eq!(format!("{heard:?}"), format!("{read:?}"));
    }
}

/// Targets that the machine wants to offer work just now.
fn offered(sim: &Sim) -> Vec<&str> {
    let decisions = sim.fleet.decide(&sim.live, sim.now);
    let issued = decisions.iter().filter_map(|decision| match decision {
        Decision::Issue { target, .. } => Some(target),
        _ => None,
    });
    let known = |target: &TargetId| sim.targets.iter().find(|known| *known == target);
    issued.filter_map(known).map(TargetId::as_str).collect()
}

#[test]
fn nobody_waits_for_a_target_that_cannot_be_reached_and_it_has_its_turn_when_it_comes() {
    let mut sim = Sim::new(8, 8);
    assert_eq!(offered(&sim), ["h1.a.test"], "the canary of the first wave");
    let canary = sim.targets[0].clone();
    sim.live.left(&canary, sim.now);
    assert_eq!(offered(&sim), [""; 0], "it may be back at once");
    let due = sim.fleet.poll_timeout(&sim.live, sim.now);
    assert_eq!(due, Some(sim.now.plus(UNREACHABLE_AFTER)));
    sim.now = sim.now.plus(UNREACHABLE_AFTER);
    assert_eq!(offered(&sim), ["h2.a.test"], "another is the canary");
    // The whole first wave is away: the second goes on.
    for target in sim.targets.clone() {
        if target.as_str().ends_with(".a.test") && target != canary {
            sim.live.left(&target, sim.now);
        }
    }
    sim.now = sim.now.plus(UNREACHABLE_AFTER);
    assert_eq!(offered(&sim), ["h1.b.test", "h1.c.test"]);
    sim.live.came(canary, sim.now);
    assert_eq!(offered(&sim), ["h1.a.test"], "back in its turn");
}

#[test]
fn a_resolved_target_gets_no_leave_for_what_it_asked_before() {
    let mut sim = Sim::new(8, 8);
    sim.decide();
    let target = sim.targets[0].clone();
    let open = sim.fleet.open(&target).cloned().unwrap();
    let section = Section {
        outage: true,
        gmsa: None,
    };
    sim.take(Record::Ordered {
        rollout: RolloutId(1),
        order: Order::Pause,
        by: "root".to_owned(),
    });
    let (step, attempt) = (StepIndex(0), Attempt(1));
    sim.fleet
        .asks_permit(&target, open.generation, step, attempt, section);
    sim.take(Record::Ordered {
        rollout: RolloutId(1),
        order: Order::Resolve {
            target: target.clone(),
            reason: "the server is scrap".to_owned(),
            off: false,
        },
        by: "root".to_owned(),
    });
    assert!(sim.fleet.decide(&sim.live, sim.now).is_empty());
    let work = &sim.fleet.rollouts()[&RolloutId(1)].work[&target];
    assert_eq!(work.state.word(), "resolved");
}

#[test]
fn what_a_probe_could_not_tell_is_resolved_by_a_person() {
    let mut sim = Sim::new(3, 7);
    sim.decide();
    let target = sim.targets[0].clone();
    let generation = sim.fleet.open(&target).unwrap().generation;
    let order = Order::Resolve {
        target: target.clone(),
        reason: "looked at it".to_owned(),
        off: false,
    };
    let refused = sim
        .fleet
        .may_order(RolloutId(1), &order, &sim.live, sim.now);
    assert!(refused.unwrap_err().contains("is connected"));
    sim.event(
        &target,
        &Event::StepInconclusive {
            generation,
            step: StepIndex(0),
            question: "is it there?".to_owned(),
        },
    );
    let ended = Event::RunFinished {
        generation,
        ending: Ending::Inconclusive("is it there?".to_owned()),
        receipt: String::new(),
    };
    sim.event(&target, &ended);
    assert_eq!(
        sim.fleet
            .may_order(RolloutId(1), &order, &sim.live, sim.now),
        Ok(())
    );
    sim.take(Record::Ordered {
        rollout: RolloutId(1),
        order,
        by: "root".to_owned(),
    });
    let work = &sim.fleet.rollouts()[&RolloutId(1)].work[&target];
    assert_eq!(work.state, TargetState::Resolved("looked at it".to_owned()));
}

/// A person may have been at a wizard when it was aborted: that this is not known is read where it is asked what became of it.
#[test]
fn what_an_abort_has_ended_in_the_middle_says_what_is_not_known() {
    let mut sim = Sim::new(3, 7);
    let (target, generation) = accepted(&mut sim);
    sim.event(
        &target,
        &Event::StepInconclusive {
            generation,
            step: StepIndex(0),
            question: "what was done by then is not known".to_owned(),
        },
    );
    let ended = Event::RunFinished {
        generation,
        ending: Ending::Aborted,
        receipt: String::new(),
    };
    sim.event(&target, &ended);
    let work = &sim.fleet.rollouts()[&RolloutId(1)].work[&target];
    assert_eq!(work.state, TargetState::Aborted);
    assert_eq!(work.said, ["what was done by then is not known"]);
}

/// The world after the canary has accepted its bundle.
fn accepted(sim: &mut Sim) -> (TargetId, Generation) {
    sim.decide();
    let target = sim.targets[0].clone();
    let open = sim.fleet.open(&target).cloned().unwrap();
    let accepted = Event::BundleAccepted {
        bundle: open.bundle,
        generation: open.generation,
        rollout: open.rollout,
        phase: open.phase,
        change: None,
    };
    sim.event(&target, &accepted);
    (target, open.generation)
}

fn word(sim: &Sim, target: &TargetId) -> &'static str {
    sim.fleet.rollouts()[&RolloutId(1)].work[target]
        .state
        .word()
}

#[test]
fn whoever_can_speak_is_not_called_unknown_and_whoever_speaks_late_is_heard() {
    let mut sim = Sim::new(8, 8);
    let (target, generation) = accepted(&mut sim);
    let end = sim.fleet.open(&target).unwrap().expires;
    sim.now = end.plus(Duration::from_secs(3600));
    sim.decide();
    assert_eq!(
        word(&sim, &target),
        "offered",
        "it is here and says itself when it ends"
    );
    // The controller was down: nobody has had time to come back.
    sim.live = Live {
        began: sim.now,
        ..Live::default()
    };
    sim.decide();
    assert_eq!(word(&sim, &target), "offered");
    let due = sim.fleet.poll_timeout(&sim.live, sim.now);
    assert!(due.is_some_and(|due| due > sim.now), "{due:?}");
    sim.now = sim.now.plus(UNREACHABLE_AFTER).plus(Duration::from_secs(1));
    sim.decide();
    assert_eq!(word(&sim, &target), "unknown");
    // It had finished long before, and tells so.
    let grade = Some(Grade::Registered);
    let completion = protocol::event::Completion::Applied;
    let (step, summary) = (StepIndex(0), String::new());
    sim.event(
        &target,
        &Event::StepCompleted {
            generation,
            step,
            completion,
            summary,
            grade,
        },
    );
    let ended = Event::RunFinished {
        generation,
        ending: Ending::Completed,
        receipt: String::new(),
    };
    sim.event(&target, &ended);
    assert!(
        matches!(word(&sim, &target), "pending" | "done"),
        "{}",
        word(&sim, &target)
    );
}

#[test]
fn what_was_resolved_stays_so_when_it_speaks() {
    let mut sim = Sim::new(8, 8);
    let (target, generation) = accepted(&mut sim);
    sim.take(Record::WentUnknown {
        target: target.clone(),
        generation,
    });
    let order = Order::Resolve {
        target: target.clone(),
        reason: "scrap".to_owned(),
        off: false,
    };
    sim.take(Record::Ordered {
        rollout: RolloutId(1),
        order,
        by: "root".to_owned(),
    });
    let ended = Event::RunFinished {
        generation,
        ending: Ending::Completed,
        receipt: String::new(),
    };
    sim.event(&target, &ended);
    assert_eq!(word(&sim, &target), "resolved");
}

#[test]
fn what_was_not_accepted_when_everything_stood_still_is_withdrawn_and_offered_anew() {
    for still in [
        Record::FleetFrozen {
            why: "x".to_owned(),
            by: "root".to_owned(),
        },
        Record::Ordered {
            rollout: RolloutId(1),
            order: Order::Pause,
            by: "root".to_owned(),
        },
    ] {
        let mut sim = Sim::new(8, 8);
        sim.decide();
        let target = sim.targets[0].clone();
        let open = sim.fleet.open(&target).cloned().unwrap();
        let again = sim
            .fleet
            .unaccepted(&target, Generation(0), &sim.live, sim.now);
        assert_eq!(again, Some(Unaccepted::Offer(open.bundle)));
        sim.take(still.clone());
        let back = sim
            .fleet
            .unaccepted(&target, Generation(0), &sim.live, sim.now);
        assert_eq!(back, Some(Unaccepted::Withdraw(open.generation)));
        sim.take(Record::Withdrawn {
            target: target.clone(),
            generation: open.generation,
        });
        assert_eq!(word(&sim, &target), "pending");
        assert!(offered(&sim).is_empty());
        let by = "root".to_owned();
        sim.take(Record::FleetThawed { by: by.clone() });
        sim.take(Record::Ordered {
            rollout: RolloutId(1),
            order: Order::Resume {
                after_restore: false,
            },
            by,
        });
        assert_eq!(offered(&sim), [target.as_str()]);
    }
}

#[test]
fn a_section_that_was_entered_after_the_backup_counts() {
    let mut sim = Sim::new(8, 8);
    let (target, generation) = accepted(&mut sim);
    sim.take(Record::Restored {
        epoch: Epoch(2),
        parent: Epoch(1),
        made: sim.now,
        by: "root".to_owned(),
    });
    let object = GmsaObject {
        domain: "a.test".parse().unwrap(),
        name: None,
    };
    let section = Section {
        outage: false,
        gmsa: Some(object),
    };
    let step = StepIndex(0);
    sim.event(
        &target,
        &Event::SectionEntered {
            generation,
            step,
            section: section.clone(),
        },
    );
    for target in sim.targets.clone() {
        let generation = sim.fleet.next_generation(&target);
        let generation = Generation(generation.0 - 1);
        sim.take(Record::Met { target, generation });
    }
    sim.take(Record::Ordered {
        rollout: RolloutId(1),
        order: Order::Resume {
            after_restore: false,
        },
        by: "root".to_owned(),
    });
    let second = sim.targets[5].clone();
    let bundle = BundleId(Digest::of(b"second"));
    let issued = Record::BundleIssued {
        rollout: RolloutId(1),
        phase: sim.plan.targets[&second].phases[0].phase,
        target: second.clone(),
        generation: Generation(9),
        bundle,
        expires: sim.now.plus(Duration::from_secs(3600)),
    };
    sim.take(issued);
    sim.fleet
        .asks_permit(&second, Generation(9), step, Attempt(1), section);
    let leave = |sim: &Sim| {
        let decisions = sim.fleet.decide(&sim.live, sim.now);
        decisions
            .iter()
            .any(|one| matches!(one, Decision::Permit { .. }))
    };
    assert!(!leave(&sim), "two would change one gMSA");
    // The run is over, also where nobody knows of its bundle: then it is in no section.
    let ended = Event::RunFinished {
        generation,
        ending: Ending::Completed,
        receipt: String::new(),
    };
    sim.event(&target, &ended);
    assert!(leave(&sim));
}

/// Leave was given and its target went away: it may have entered its section, and nobody else changes the same account
/// before it is back, however long ago its leave has lapsed.
#[test]
fn leave_of_whoever_went_away_counts_until_it_is_back() {
    let mut sim = Sim::new(8, 8);
    let (first, generation) = accepted(&mut sim);
    let section = Section {
        outage: false,
        gmsa: Some(GmsaObject {
            domain: "a.test".parse().unwrap(),
            name: None,
        }),
    };
    let step = StepIndex(0);
    sim.fleet
        .asks_permit(&first, generation, step, Attempt(1), section.clone());
    sim.decide();
    assert!(sim.leave.contains_key(&first), "it has leave");
    sim.live.left(&first, sim.now);
    sim.now = sim.now.plus(PERMIT_LIFE + Duration::from_secs(1));
    let second = sim.targets[5].clone();
    let issued = Record::BundleIssued {
        rollout: RolloutId(1),
        phase: sim.plan.targets[&second].phases[0].phase,
        target: second.clone(),
        generation: Generation(9),
        bundle: BundleId(Digest::of(b"second")),
        expires: sim.now.plus(Duration::from_secs(3600)),
    };
    sim.take(issued);
    sim.fleet
        .asks_permit(&second, Generation(9), step, Attempt(1), section);
    let leave = |sim: &Sim| {
        let decisions = sim.fleet.decide(&sim.live, sim.now);
        decisions
            .iter()
            .any(|one| matches!(one, Decision::Permit { .. }))
    };
    assert!(
        !leave(&sim),
        "G3: nobody knows whether the first one is inside"
    );
    sim.live.came(first, sim.now);
    assert!(leave(&sim), "it is back, and did not use its leave in time");
}

/// A person's word on what became of a server that is away takes no leave back: its agent may have entered before that lapsed, and
/// be at it still.
#[test]
fn leave_of_whoever_is_resolved_counts_until_its_bundle_has_ended() {
    let mut sim = Sim::new(8, 8);
    let (first, generation) = accepted(&mut sim);
    let section = Section {
        outage: false,
        gmsa: Some(GmsaObject {
            domain: "a.test".parse().unwrap(),
            name: None,
        }),
    };
    let step = StepIndex(0);
    sim.fleet
        .asks_permit(&first, generation, step, Attempt(1), section.clone());
    sim.decide();
    let lapses = sim.now.plus(PERMIT_LIFE);
    let end = sim.fleet.open(&first).unwrap().expires;
    sim.live.left(&first, sim.now);
    let order = Order::Resolve {
        target: first,
        reason: "its network is off".to_owned(),
        off: false,
    };
    assert_eq!(
        sim.fleet
            .may_order(RolloutId(1), &order, &sim.live, sim.now),
        Ok(())
    );
    sim.take(Record::Ordered {
        rollout: RolloutId(1),
        order,
        by: "root".to_owned(),
    });
    let second = sim.targets[5].clone();
    sim.take(Record::BundleIssued {
        rollout: RolloutId(1),
        phase: sim.plan.targets[&second].phases[0].phase,
        target: second.clone(),
        generation: Generation(9),
        bundle: BundleId(Digest::of(b"second")),
        expires: sim.now.plus(Duration::from_secs(3 * 3600)),
    });
    sim.fleet
        .asks_permit(&second, Generation(9), step, Attempt(1), section);
    let leave = |sim: &Sim| {
        let decisions = sim.fleet.decide(&sim.live, sim.now);
        decisions
            .iter()
            .any(|one| matches!(one, Decision::Permit { .. }))
    };
    assert!(!leave(&sim), "G3: the first one may enter still");
    sim.now = lapses;
    assert!(!leave(&sim), "G3: it may have entered");
    sim.now = end;
    assert!(!leave(&sim), "its clock may be behind");
    let due = sim.fleet.poll_timeout(&sim.live, sim.now).unwrap();
    sim.now = sim.now.plus(Duration::from_secs(2 * 3600));
    assert!(due <= sim.now, "it is looked at again by then");
    assert!(leave(&sim), "nobody waits for it to come back");
}

#[test]
fn one_word_ends_one_wait() {
    let mut sim = Sim::new(8, 8);
    let (target, generation) = accepted(&mut sim);
    let step = StepIndex(0);
    let text = Box::new(protocol::task::TaskText {
        title: "look".to_owned(),
        why: String::new(),
        bring: Vec::new(),
        pages: Vec::new(),
        seen_by: String::new(),
    });
    sim.event(
        &target,
        &Event::TaskOpened {
            generation,
            step,
            text: text.clone(),
        },
    );
    let (by, named) = ("anna".to_owned(), target.clone());
    sim.take(Record::Attested {
        target: named,
        generation,
        step,
        by,
    });
    assert!(sim.fleet.open(&target).unwrap().attested.is_some());
    sim.event(
        &target,
        &Event::TaskOpened {
            generation,
            step,
            text,
        },
    );
    assert!(
        sim.fleet.open(&target).unwrap().attested.is_none(),
        "the next wait has its own word"
    );
}

#[test]
fn what_shows_too_low_a_grade_is_tried_again_at_its_last_phase() {
    let mut sim = Sim::new(8, 8);
    let (target, mut generation) = accepted(&mut sim);
    let phases = sim.plan.targets[&target].phases.len();
    for _ in 0..phases {
        let ended = Event::RunFinished {
            generation,
            ending: Ending::Completed,
            receipt: String::new(),
        };
        sim.event(&target, &ended);
        sim.decide();
        let open = sim.fleet.open(&target);
        generation = open.map_or(generation, |open| open.generation);
    }
    assert_eq!(word(&sim, &target), "inconclusive");
    let retry = Order::Retry {
        target: Some(target.clone()),
    };
    sim.take(Record::Ordered {
        rollout: RolloutId(1),
        order: retry,
        by: "root".to_owned(),
    });
    sim.decide();
    assert_eq!(word(&sim, &target), "offered");
}

#[test]
fn what_is_done_is_not_skipped() {
    let mut sim = Sim::new(8, 8);
    let (target, generation) = accepted(&mut sim);
    sim.take(Record::WentUnknown {
        target: target.clone(),
        generation,
    });
    let order = |target: &TargetId| Order::Skip {
        target: target.clone(),
        reason: "x".to_owned(),
    };
    assert_eq!(
        sim.fleet
            .may_order(RolloutId(1), &order(&target), &sim.live, sim.now),
        Ok(())
    );
    sim.take(Record::Ordered {
        rollout: RolloutId(1),
        order: order(&target),
        by: "root".to_owned(),
    });
    let again = sim
        .fleet
        .may_order(RolloutId(1), &order(&target), &sim.live, sim.now);
    assert!(again.unwrap_err().contains("nothing to skip"));
}
