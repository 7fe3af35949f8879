//! Runs that nobody waits for any more while their agents may be in a section: resolved, the key revoked or replaced, or the bundle
//! ended while the agent was away. What such a section claims (G2, G3) stays claimed until its agent tells that it has left it, its bundle and the time of its step have ended, or somebody says that the
//! server is off. And whoever is in a section and asks for it again, since its agent began anew, is not kept from finishing it.

use std::collections::BTreeMap;
use std::time::Duration;

use controller_core::fleet::{
    Cause, Decision, Fleet, Live, PERMIT_LIFE, Pulse, TargetView, UNREACHABLE_AFTER,
};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::{FailureLimit, Policy};
use controller_core::record::{Order, Record};
use controller_core::topology::parse;
use proptest::prelude::*;
use protocol::event::{Event, GmsaChange, GmsaObject, Section};
use protocol::key::SigningKey;
use protocol::signed::{Ending, Phase};
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, limits,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const FIRST: RolloutId = RolloutId(1);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
/// Its time is an hour: whoever is in it at the end of its bundle is in it for long behind that.
const STEP: StepIndex = StepIndex(1);
const LIMIT: Duration = Duration::from_secs(3600);
const LIFE: Duration = Duration::from_secs(1800);
/// How many of the four servers must serve.
const LEAST: usize = 2;

fn name(text: &str) -> TargetId {
    text.parse().expect("a name")
}

fn of(outage: bool) -> Section {
    Section {
        outage,
        gmsa: Some(GmsaObject {
            domain: "a.test".parse().expect("a domain"),
            name: None,
        }),
    }
}

/// What one life of an agent may do to its server, whatever the controller knows of it.
#[derive(Debug, Clone)]
struct Life {
    target: TargetId,
    generation: Generation,
    /// The section that it is in, and else the leave that it has.
    inside: Option<Section>,
    /// When the time of its step ends, where it is in its section.
    over: Timestamp,
    leave: Option<(Section, Timestamp)>,
    /// Its bundle's end.
    ends: Timestamp,
}

impl Life {
    /// What it does, or may begin by itself.
    fn may_do(&self, now: Timestamp) -> Option<&Section> {
        let leave = self.leave.as_ref();
        let leave = leave.filter(|(_, lapses)| now < (*lapses).min(self.ends));
        let leave = leave.map(|(section, _)| section);
        // A section that was entered is finished behind the end of its bundle as well.
        let inside = self.inside.as_ref();
        let inside = inside.filter(|_| now < self.ends.max(self.over));
        inside.or(leave)
    }
}

struct World {
    fleet: Fleet,
    /// What the log tells when it is read anew.
    log: Vec<(Timestamp, Record)>,
    live: Live,
    now: Timestamp,
    plan: Plan,
    targets: Vec<TargetId>,
    /// The life of each target's agent that is heard.
    lives: BTreeMap<TargetId, Life>,
    /// Lives of agents that are heard no more.
    unheard: Vec<Life>,
    /// What they have journaled while they were away.
    backlog: BTreeMap<TargetId, Vec<Event>>,
    told: u64,
}

impl World {
    /// Four old agents of one domain, all of them here and serving.
    fn new() -> Self {
        let topology = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\", \"s3.a.test\", \"s4.a.test\"]\n[domain.\"a.test\"]\nmin_serving = {LEAST}\n"
        );
        let (topology, findings) = parse(&[common::document(topology)]);
        assert!(findings.is_empty(), "{findings:?}");
        let (known, mut records) = common::enroll(&topology, NOW, |_| common::old());
        let mut live = Live {
            began: NOW.minus(LIFE),
            ..Live::default()
        };
        for target in known.keys() {
            live.came(target.clone(), NOW);
        }
        let policy = Policy {
            failures: FailureLimit::Count(8),
            in_flight: 8,
            ..Policy::default()
        };
        let artifacts = common::artifacts();
        let inputs = Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Install);
        let plan = plan(inputs);
        records.push(common::applied(FIRST, &plan));
        let mut world = Self {
            fleet: Fleet::new(),
            log: Vec::new(),
            live,
            now: NOW,
            plan,
            targets: known.into_keys().collect(),
            lives: BTreeMap::new(),
            unheard: Vec::new(),
            backlog: BTreeMap::new(),
            told: 0,
        };
        for record in records {
            world.take(record);
        }
        for part in world.plan.targets.values() {
            let step = &part.phases[0].steps[usize::from(STEP.0)];
            assert_eq!(step.time_limit(), LIMIT, "{step:?}");
        }
        world.pulses();
        world
    }

    fn take(&mut self, record: Record) {
        self.fleet.apply(&record, Some(&self.plan), self.now);
        self.log.push((self.now, record));
    }

    fn passes(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.pulses();
    }

    /// Everybody who is here tells whether it serves.
    fn pulses(&mut self) {
        for target in &self.targets {
            let out = |life: &&Life| life.target == *target;
            let mut all = self.lives.values().chain(&self.unheard);
            let inside = all.find(out).and_then(|life| life.inside.as_ref());
            let serving = !inside.is_some_and(|section| section.outage);
            if self.live.connected.contains(target) {
                let at = self.now;
                self.live
                    .pulses
                    .insert(target.clone(), Pulse { serving, at });
            }
        }
    }

    fn issue(&mut self, target: &TargetId) {
        if self.fleet.open(target).is_some() || !self.fleet.known().contains_key(target) {
            return;
        }
        let generation = self.fleet.next_generation(target);
        let bundle = BundleId(Digest::of(format!("{target}{generation}").as_bytes()));
        self.take(Record::BundleIssued {
            rollout: FIRST,
            target: target.clone(),
            generation,
            phase: Phase::Prepare,
            bundle,
            expires: self.now.plus(LIFE),
        });
        let life = Life {
            target: target.clone(),
            generation,
            inside: None,
            over: self.now,
            leave: None,
            ends: self.now.plus(LIFE),
        };
        // Whoever takes up another bundle has come to the end of the one before.
        self.lives.insert(target.clone(), life);
        self.tells(
            target,
            Event::BundleAccepted {
                bundle,
                generation,
                rollout: FIRST,
                phase: Phase::Prepare,
                change: None,
            },
        );
    }

    /// It journals something, which comes now or when it is back.
    fn tells(&mut self, target: &TargetId, event: Event) {
        if !self.live.connected.contains(target) {
            return self.backlog.entry(target.clone()).or_default().push(event);
        }
        self.told += 1;
        let record = common::told(target, self.told, self.now, &event);
        self.take(record);
    }

    fn asks(&mut self, target: &TargetId, section: Section) {
        if let Some(open) = self.fleet.open(target).cloned()
            && self.live.connected.contains(target)
        {
            self.fleet
                .asks_permit(target, open.generation, STEP, Attempt(1), section);
        }
    }

    /// Gives what leave the machine gives, and holds it against what everybody may be at.
    fn decides(&mut self) -> Vec<TargetId> {
        let mut given = Vec::new();
        loop {
            let decisions = self.fleet.decide(&self.live, self.now);
            let mut any = false;
            for decision in decisions {
                if let Decision::Unknown { target, generation } = decision {
                    any = true;
                    self.take(Record::WentUnknown { target, generation });
                } else if let Decision::Permit { target, gate, .. } = decision {
                    any = true;
                    self.is_lawful(&target, gate.generation, &gate.section);
                    let lapses = self.now.plus(PERMIT_LIFE);
                    if let Some(life) = self.lives.get_mut(&target) {
                        life.leave = Some((gate.section.clone(), lapses));
                    }
                    given.push(target.clone());
                    self.take(Record::PermitGiven {
                        target,
                        generation: gate.generation,
                        step: gate.step,
                        attempt: gate.attempt,
                        section: gate.section,
                        lapses,
                        rests_on: Vec::new(),
                    });
                }
            }
            if !any {
                return given;
            }
        }
    }

    /// G2 and G3 at the moment at which leave is given, as servers are and not as anybody believes.
    fn is_lawful(&self, target: &TargetId, generation: Generation, section: &Section) {
        let own = self.lives.get(target);
        let own = own.filter(|life| life.generation == generation);
        if own.is_some_and(|life| life.inside.as_ref() == Some(section)) {
            // It is in it: nothing begins.
            return;
        }
        let now = self.now;
        let all = self.lives.values().chain(&self.unheard);
        let busy = all.filter(|life| life.target != *target);
        let busy: Vec<(&TargetId, &Section)> = busy
            .filter_map(|life| Some((&life.target, life.may_do(now)?)))
            .collect();
        if section.gmsa.is_some() {
            let other = busy.iter().find(|(_, other)| other.gmsa.is_some());
            assert!(
                other.is_none(),
                "G3: {target} and {other:?} change one gMSA"
            );
        }
        if section.outage {
            let serves = |server: &&TargetId| {
                let out =
                    |(other, section): &(&TargetId, &Section)| other == server && section.outage;
                let pulse = self.live.pulses.get(*server);
                let seen = pulse.is_some_and(|pulse| {
                    pulse.serving && now.since(pulse.at) <= limits::FRESH_FACTS
                });
                *server != target && !busy.iter().any(out) && seen
            };
            let serving = self.targets.iter().filter(serves).count();
            assert!(
                serving >= LEAST,
                "G2: {serving} serve while {target} is out"
            );
        }
    }

    /// It uses its leave, where that is still good.
    fn enters(&mut self, target: &TargetId) {
        let now = self.now;
        // One that is heard no more uses what it was given before as well.
        for life in &mut self.unheard {
            let leave = life.leave.take_if(|_| life.target == *target);
            let leave = leave.filter(|(_, lapses)| now < (*lapses).min(life.ends));
            if let Some((section, _)) = leave {
                (life.inside, life.over) = (Some(section), now.plus(LIMIT));
            }
        }
        let Some(life) = self.lives.get_mut(target) else {
            return;
        };
        let leave = life.leave.take();
        let leave = leave.filter(|(_, lapses)| now < (*lapses).min(life.ends));
        let Some((section, _)) = leave else { return };
        life.over = now.plus(LIMIT);
        // It tells each of them: one that it is in once more may be narrower.
        life.inside = Some(section.clone());
        let generation = life.generation;
        self.tells(
            target,
            Event::SectionEntered {
                generation,
                step: STEP,
                section,
            },
        );
    }

    fn leaves_its_section(&mut self, target: &TargetId) {
        let Some(life) = self.lives.get_mut(target) else {
            return;
        };
        // Leave that it was given for the same section once more is used with it.
        life.leave = life.leave.take().filter(|_| life.inside.is_none());
        if life.inside.take().is_none() {
            return;
        }
        let generation = life.generation;
        let gmsa = Some(GmsaChange {
            by: target.clone(),
            name: None,
            readers: Some(Vec::new()),
        });
        self.tells(
            target,
            Event::SectionLeft {
                generation,
                step: STEP,
                gmsa,
            },
        );
    }

    fn ends_its_run(&mut self, target: &TargetId) {
        let Some(life) = self.lives.remove(target) else {
            return;
        };
        let generation = life.generation;
        self.tells(
            target,
            Event::RunFinished {
                generation,
                ending: Ending::Failed("x".to_owned()),
                receipt: String::new(),
            },
        );
    }

    fn goes(&mut self, target: &TargetId) {
        self.live.left(target, self.now);
        self.fleet.forget_asked(target);
    }

    fn comes(&mut self, target: &TargetId) {
        if !self.fleet.known().contains_key(target) {
            return;
        }
        for event in self.backlog.remove(target).unwrap_or_default() {
            self.told += 1;
            let record = common::told(target, self.told, self.now, &event);
            self.take(record);
        }
        self.live.came(target.clone(), self.now);
        self.pulses();
    }

    fn resolves(&mut self, target: &TargetId, off: bool) -> Result<(), String> {
        let order = Order::Resolve {
            target: target.clone(),
            reason: "somebody looked".to_owned(),
            off,
        };
        self.fleet.may_order(FIRST, &order, &self.live, self.now)?;
        let lost = self.lives.get(target);
        let lost = lost.is_some_and(|life| {
            let open = self.fleet.open(target);
            open.is_some_and(|open| open.generation == life.generation)
        });
        let given_up = self.row(target).detail.contains("--off");
        if off {
            // That word is true: whoever says it has looked.
            self.unheard.retain(|life| life.target != *target);
            let waits = matches!(self.row(target).state.as_str(), "unknown" | "inconclusive");
            if !given_up || waits || !lost {
                self.lives.remove(target);
                self.backlog.remove(target);
            }
        }
        self.take(Record::Ordered {
            rollout: FIRST,
            order,
            by: "root".to_owned(),
        });
        Ok(())
    }

    /// Its key ends; what its agent does goes on, and is told to nobody.
    fn loses_its_key(&mut self, target: &TargetId, replaced: bool) {
        let Some(known) = self.fleet.known().get(target) else {
            return;
        };
        let (key, by) = (known.key, "root".to_owned());
        let (target, of) = (target.clone(), target);
        self.take(if replaced {
            Record::AgentReplaced { target, by }
        } else {
            Record::AgentRevoked { target, key, by }
        });
        self.goes(of);
        self.backlog.remove(of);
        self.unheard.extend(self.lives.remove(of));
    }

    fn enrolls(&mut self, target: &TargetId) {
        if self.fleet.known().contains_key(target) {
            return;
        }
        self.take(common::enrolled(target, SigningKey::generate().public()));
        self.comes(target);
    }

    fn row(&self, target: &TargetId) -> TargetView {
        let view = self.fleet.view(FIRST, &self.live, self.now);
        let mut rows = view.expect("a rollout").targets.into_iter();
        rows.find(|row| row.target == *target).expect("a row")
    }

    /// What holds a target that asks for leave.
    fn held(&self, target: &TargetId, section: Section) -> String {
        let open = self.fleet.open(target).expect("it is open");
        let mut fleet = self.fleet.clone();
        fleet.asks_permit(target, open.generation, STEP, Attempt(1), section);
        let view = fleet.view(FIRST, &self.live, self.now).expect("a rollout");
        let mut rows = view.targets.into_iter();
        let row = rows.find(|row| row.target == *target).expect("a row");
        if row.detail == "leave is on its way" {
            return String::new();
        }
        let lifts = row.lifts.expect("something lifts it");
        format!("{}: {:?} {}", row.state, lifts.root, row.detail)
    }

    fn is_what_the_log_tells(&self) {
        let mut told = Fleet::new();
        for (at, record) in &self.log {
            let written = serde_json::to_vec(record).expect("JSON");
            let read: Record = serde_json::from_slice(&written).expect("a record");
            told.apply(&read, Some(&self.plan), *at);
        }
        told.still_asked(self.fleet.asked_now());
        let (live, now) = (&self.live, self.now);
        assert_eq!(
            told.view(FIRST, live, now),
            self.fleet.view(FIRST, live, now)
        );
        assert_eq!(told.decide(live, now), self.fleet.decide(live, now));
        assert_eq!(
            told.poll_timeout(live, now),
            self.fleet.poll_timeout(live, now)
        );
    }

    fn act(&mut self, what: u8, whom: u8) {
        let target = self.targets[usize::from(whom) % self.targets.len()].clone();
        match what % 19 {
            0 | 1 => self.issue(&target),
            2 => self.asks(&target, of(true)),
            3 => self.asks(&target, of(false)),
            4 | 5 => self.enters(&target),
            6 => self.leaves_its_section(&target),
            7 => self.ends_its_run(&target),
            8 => self.goes(&target),
            9 => self.comes(&target),
            10 => drop(self.resolves(&target, false)),
            11 => drop(self.resolves(&target, true)),
            12 => self.loses_its_key(&target, false),
            13 => self.loses_its_key(&target, true),
            14 => self.enrolls(&target),
            15 => self.passes(Duration::from_secs(u64::from(whom) * 20)),
            // It is away as its bundle ends, or it is not.
            16 | 17 => {
                let open = self.fleet.open(&target);
                let end = open.map(|open| open.expires.plus(limits::CLOCK_TOLERANCE));
                let end = end.map_or(self.now, |end| end.plus(Duration::from_secs(1)));
                self.now = self.now.max(end);
                self.pulses();
            }
            _ => self.pulses(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nobody_gets_leave_beside_whoever_may_be_at_it_whatever_was_said_of_its_run(
        acts in proptest::collection::vec((any::<u8>(), any::<u8>()), 1..120),
    ) {
        let mut world = World::new();
        for target in world.targets.clone() {
            world.issue(&target);
        }
        for (what, whom) in acts {
            world.act(what, whom);
            world.decides();
        }
        world.is_what_the_log_tells();
    }
}

/// One of the four is in its section, and away.
fn away_in_its_section() -> (World, TargetId, TargetId) {
    let mut world = World::new();
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.issue(&lost);
    world.issue(&other);
    world.asks(&lost, of(true));
    assert_eq!(world.decides(), std::slice::from_ref(&lost));
    world.enters(&lost);
    world.goes(&lost);
    world.passes(UNREACHABLE_AFTER);
    (world, lost, other)
}

#[test]
fn what_a_resolved_run_was_in_stays_claimed_until_its_agent_tells_its_end() {
    let (mut world, lost, other) = away_in_its_section();
    assert_eq!(world.resolves(&lost, false), Ok(()));
    let row = world.row(&lost);
    assert_eq!(row.state, "resolved");
    assert!(
        row.detail
            .contains("entrain resolve r1 s1.a.test --off --reason WHY"),
        "{}",
        row.detail
    );
    let held = world.held(&other, of(false));
    assert!(held.starts_with("held: GivenUp"), "{held}");
    assert!(held.contains("s1.a.test changes the same gMSA"), "{held}");
    // It has finished its section meanwhile, and says so when it is back.
    world.leaves_its_section(&lost);
    world.comes(&lost);
    assert_eq!(world.held(&other, of(false)), "");
    assert!(!world.row(&lost).detail.contains("--off"));
    world.is_what_the_log_tells();
}

/// One of the four is in its section, and away, as its bundle ends: entered, or by leave that it took up unheard.
fn away_at_the_end_of_its_bundle(heard: bool) -> (World, TargetId, TargetId) {
    let mut world = World::new();
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.issue(&lost);
    world.passes(LIFE.saturating_sub(Duration::from_secs(60)));
    world.issue(&other);
    world.asks(&lost, of(true));
    assert_eq!(world.decides(), std::slice::from_ref(&lost));
    if heard {
        world.enters(&lost);
        world.goes(&lost);
    } else {
        world.goes(&lost);
        world.enters(&lost);
    }
    world.now = NOW
        .plus(LIFE)
        .plus(limits::CLOCK_TOLERANCE)
        .plus(UNREACHABLE_AFTER);
    world.pulses();
    world.asks(&other, of(true));
    assert_eq!(world.decides(), [], "the first one is in its section still");
    assert_eq!(world.row(&lost).state, "unknown");
    (world, lost, other)
}

#[test]
fn what_it_was_in_as_its_bundle_ended_stays_claimed_until_its_agent_tells_its_end() {
    for heard in [true, false] {
        let (mut world, lost, other) = away_at_the_end_of_its_bundle(heard);
        let row = world.row(&lost);
        for words in [
            "its bundle ended while it was in a section",
            "out of service (G2)",
            "entrain resolve r1 s1.a.test --off --reason WHY",
        ] {
            assert!(row.detail.contains(words), "{words}: {}", row.detail);
        }
        let held = world.held(&other, of(false));
        assert!(held.starts_with("held: GivenUp"), "{held}");
        assert!(held.contains("s1.a.test changes the same gMSA"), "{held}");
        world.is_what_the_log_tells();
        // It is back in the middle of it, and tells of nothing but its step: the section is that run's again.
        if heard {
            let (generation, kind) = (world.lives[&lost].generation, String::new());
            let (step, attempt) = (STEP, Attempt(2));
            world.tells(
                &lost,
                Event::StepBegun {
                    generation,
                    step,
                    attempt,
                    kind,
                },
            );
        }
        world.comes(&lost);
        assert_eq!(
            world.row(&lost).state,
            if heard { "running" } else { "offered" }
        );
        assert!(!world.row(&lost).detail.contains("--off"));
        let held = world.held(&other, of(false));
        assert!(held.contains("s1.a.test changes the same gMSA"), "{held}");
        assert!(!held.contains("GivenUp"), "{held}");
        world.leaves_its_section(&lost);
        assert_eq!(world.held(&other, of(false)), "");
        world.is_what_the_log_tells();
    }
}

/// A try that is ordered meanwhile, and what a person says of it, take nothing of that away.
#[test]
fn what_it_was_in_as_its_bundle_ended_stays_claimed_whatever_is_ordered_of_it() {
    let target = || Some(name("s1.a.test"));
    let reason = || "why".to_owned();
    let orders = [
        (Order::Retry { target: target() }, true),
        (Order::Retry { target: None }, true),
        (
            Order::Skip {
                target: name("s1.a.test"),
                reason: reason(),
            },
            false,
        ),
        (
            Order::Resolve {
                target: name("s1.a.test"),
                reason: reason(),
                off: false,
            },
            false,
        ),
        (Order::Abort, true),
    ];
    for (order, heard) in orders {
        let (mut world, lost, other) = away_at_the_end_of_its_bundle(true);
        assert_eq!(
            world.fleet.may_order(FIRST, &order, &world.live, world.now),
            Ok(())
        );
        world.take(Record::Ordered {
            rollout: FIRST,
            order: order.clone(),
            by: "root".to_owned(),
        });
        world.decides();
        let asked = Attempt(1);
        let permits = |world: &World| {
            let mut fleet = world.fleet.clone();
            let open = fleet.open(&other).expect("it is open").generation;
            fleet.asks_permit(&other, open, STEP, asked, of(false));
            let given = fleet.decide(&world.live, world.now);
            given
                .iter()
                .any(|one| matches!(one, Decision::Permit { .. }))
        };
        assert!(!permits(&world), "{order:?}");
        assert!(world.row(&lost).detail.contains("--off"), "{order:?}");
        // It speaks, and is in its section as before.
        world.comes(&lost);
        let generation = world.lives[&lost].generation;
        let (step, kind) = (STEP, String::new());
        world.tells(
            &lost,
            Event::StepBegun {
                generation,
                step,
                attempt: Attempt(2),
                kind,
            },
        );
        let open = world.fleet.open(&lost);
        assert_eq!(
            open.is_some_and(|open| open.generation == generation),
            heard,
            "{order:?}"
        );
        assert!(!permits(&world), "{order:?}");
        world.leaves_its_section(&lost);
        let goes_on = !matches!(order, Order::Abort);
        assert_eq!(permits(&world), goes_on, "{order:?}");
        world.is_what_the_log_tells();
    }
}

/// Nothing waits for it for ever: its step's time ends, and whoever looked says so before.
#[test]
fn what_it_was_in_as_its_bundle_ended_is_free_once_its_time_is_over_or_it_is_said_to_be_off() {
    let (mut world, _, other) = away_at_the_end_of_its_bundle(true);
    let due = world.fleet.poll_timeout(&world.live, world.now);
    assert!(
        due.is_some_and(|due| due <= world.now.plus(LIMIT)),
        "{due:?}"
    );
    world.passes(LIMIT);
    assert_eq!(world.decides(), std::slice::from_ref(&other));
    world.is_what_the_log_tells();
    for retried in [false, true] {
        let (mut world, lost, other) = away_at_the_end_of_its_bundle(true);
        if retried {
            world.take(Record::Ordered {
                rollout: FIRST,
                order: Order::Retry { target: None },
                by: "root".to_owned(),
            });
        }
        // Whoever is here says itself what it is at.
        world.live.came(lost.clone(), world.now);
        assert!(world.resolves(&lost, true).is_err());
        world.goes(&lost);
        assert_eq!(world.resolves(&lost, true), Ok(()));
        assert_eq!(
            world.row(&lost).state,
            if retried { "pending" } else { "resolved" }
        );
        assert_eq!(world.decides(), std::slice::from_ref(&other));
        world.is_what_the_log_tells();
    }
}

/// Its time is over while it is away, and another section is given up meanwhile: when it speaks of it after all, it is in it again.
#[test]
fn what_it_was_in_as_its_bundle_ended_is_its_own_again_however_late_it_speaks() {
    let (mut world, lost, other) = away_at_the_end_of_its_bundle(true);
    world.passes(LIMIT);
    assert_eq!(world.decides(), std::slice::from_ref(&other));
    assert_eq!(world.fleet.abandoned_sentence(&lost, world.now), None);
    world.goes(&other);
    world.passes(UNREACHABLE_AFTER);
    assert_eq!(world.resolves(&other, false), Ok(()));
    let (generation, kind) = (world.lives[&lost].generation, String::new());
    world.tells(
        &lost,
        Event::StepBegun {
            generation,
            step: STEP,
            attempt: Attempt(2),
            kind,
        },
    );
    world.comes(&lost);
    assert_eq!(world.row(&lost).state, "running");
    let third = name("s3.a.test");
    world.issue(&third);
    let held = world.held(&third, of(false));
    assert!(held.contains("s1.a.test changes the same gMSA"), "{held}");
    world.is_what_the_log_tells();
}

/// It took its leave up unheard, and was resolved meanwhile: that it has entered claims nothing for longer than the leave did.
#[test]
fn what_is_entered_behind_a_resolve_is_claimed_no_longer_than_before() {
    let mut world = World::new();
    let (lost, other) = (name("s1.a.test"), name("s2.a.test"));
    world.issue(&lost);
    world.issue(&other);
    world.asks(&lost, of(true));
    assert_eq!(world.decides(), std::slice::from_ref(&lost));
    world.goes(&lost);
    world.enters(&lost);
    world.passes(UNREACHABLE_AFTER);
    assert_eq!(world.resolves(&lost, false), Ok(()));
    world.comes(&lost);
    let held = world.held(&other, of(false));
    assert!(held.contains("s1.a.test changes the same gMSA"), "{held}");
    world.goes(&lost);
    world.now = NOW.plus(LIFE).plus(limits::CLOCK_TOLERANCE).plus(LIMIT * 2);
    world.pulses();
    assert_eq!(world.held(&other, of(false)), "");
    world.is_what_the_log_tells();
}

/// Two servers may be in sections that nobody waits for: of the one it is said that it is off.
#[test]
fn that_one_server_is_off_says_nothing_of_another() {
    for for_good in [false, true] {
        let (mut world, lost, _) = away_in_its_section();
        assert_eq!(world.resolves(&lost, false), Ok(()));
        let fourth = name("s4.a.test");
        let out = Section {
            outage: true,
            gmsa: None,
        };
        world.issue(&fourth);
        world.asks(&fourth, out);
        assert_eq!(world.decides(), std::slice::from_ref(&fourth));
        world.enters(&fourth);
        world.goes(&fourth);
        world.passes(UNREACHABLE_AFTER);
        assert_eq!(world.resolves(&fourth, false), Ok(()));
        if for_good {
            let (target, by) = (lost.clone(), "root".to_owned());
            world.take(Record::SaidOff { target, by });
        } else {
            assert_eq!(world.resolves(&lost, true), Ok(()));
        }
        assert!(!world.row(&lost).detail.contains("--off"));
        let row = world.row(&fourth);
        assert!(row.detail.contains("--off"), "{}", row.detail);
        world.is_what_the_log_tells();
    }
}

#[test]
fn the_word_that_the_server_is_off_frees_it_whenever_it_is_said() {
    for before in [true, false] {
        let (mut world, lost, other) = away_in_its_section();
        if before {
            assert_eq!(world.resolves(&lost, false), Ok(()));
            let again = world.resolves(&lost, false);
            assert!(again.is_err_and(|why| why.contains("nothing to resolve")));
        }
        assert_ne!(world.held(&other, of(false)), "");
        assert_eq!(world.resolves(&lost, true), Ok(()));
        assert_eq!(world.row(&lost).state, "resolved");
        assert_eq!(world.held(&other, of(false)), "");
        // What it did to the object nobody has told: whoever changes it next has somebody look.
        world.asks(&other, of(false));
        let decisions = world.fleet.decide(&world.live, world.now);
        let after = decisions.iter().find_map(|one| match one {
            Decision::Permit { after, .. } => after.clone(),
            Decision::Issue { .. }
            | Decision::Degraded { .. }
            | Decision::Unknown { .. }
            | Decision::Away { .. }
            | Decision::PassedOver { .. } => None,
        });
        assert_eq!(
            after.map(|change| (change.by, change.readers)),
            Some((lost, None))
        );
        world.is_what_the_log_tells();
    }
}

/// The agent that could have told the end of the section is heard no more, and the one behind it knows nothing of it.
#[test]
fn a_key_that_ends_behind_a_resolve_leaves_nobody_who_tells_the_end() {
    for replaced in [false, true] {
        let (mut world, lost, other) = away_in_its_section();
        assert_eq!(world.resolves(&lost, false), Ok(()));
        let told = "its agent's word that it has left it";
        assert!(world.row(&lost).detail.contains(told));
        world.loses_its_key(&lost, replaced);
        let said = world.fleet.abandoned_sentence(&lost, world.now);
        assert!(said.is_some_and(|said| !said.contains(told)));
        world.enrolls(&lost);
        world.comes(&lost);
        let held = world.held(&other, of(false));
        assert!(held.starts_with("held: GivenUp"), "{held}");
        world.is_what_the_log_tells();
    }
}

#[test]
fn what_a_revoked_or_replaced_agent_was_in_stays_claimed_until_its_bundle_has_ended() {
    for replaced in [false, true] {
        let (mut world, lost, other) = away_in_its_section();
        world.loses_its_key(&lost, replaced);
        let row = world.row(&lost);
        assert_eq!(row.state, "unknown");
        assert!(row.detail.contains("--off"), "{}", row.detail);
        world.enrolls(&lost);
        let held = world.held(&other, of(false));
        assert!(held.starts_with("held: GivenUp"), "{held}");
        // It counts as out of service: with it two serve, and one would once another goes out.
        world.goes(&name("s4.a.test"));
        world.passes(UNREACHABLE_AFTER);
        let out = Section {
            outage: true,
            gmsa: None,
        };
        assert!(world.held(&other, out).starts_with("held: "));
        let end = NOW.plus(LIFE).plus(limits::CLOCK_TOLERANCE);
        let due = world.fleet.poll_timeout(&world.live, world.now);
        assert!(due.is_some_and(|due| due <= end), "{due:?}");
        world.now = end.plus(Duration::from_secs(3600));
        world.comes(&name("s4.a.test"));
        world.pulses();
        assert_eq!(world.held(&other, of(false)), "");
        world.is_what_the_log_tells();
    }
}

#[test]
fn that_a_server_is_off_for_good_frees_what_its_revoked_agent_was_in() {
    let (mut world, lost, other) = away_in_its_section();
    world.loses_its_key(&lost, false);
    assert_ne!(world.held(&other, of(false)), "");
    world.take(Record::SaidOff {
        target: lost.clone(),
        by: "root".to_owned(),
    });
    assert_eq!(world.held(&other, of(false)), "");
    assert!(!world.row(&lost).detail.contains("--off"));
    world.is_what_the_log_tells();
}

/// The new agent of that name is at its own work, of which that word says nothing.
#[test]
fn that_an_earlier_run_is_over_says_nothing_of_the_one_that_goes_on() {
    let (mut world, lost, other) = away_in_its_section();
    world.loses_its_key(&lost, true);
    world.enrolls(&lost);
    world.take(Record::Ordered {
        rollout: FIRST,
        order: Order::Retry { target: None },
        by: "root".to_owned(),
    });
    world.issue(&lost);
    assert_eq!(world.row(&lost).state, "offered");
    assert_ne!(world.held(&other, of(false)), "");
    let word = Order::Resolve {
        target: lost.clone(),
        reason: "somebody looked".to_owned(),
        off: true,
    };
    let answer = world.fleet.answer_to(FIRST, &word, &world.live, world.now);
    assert!(answer.contains("the same order once more"), "{answer}");
    assert_eq!(world.resolves(&lost, true), Ok(()));
    assert_eq!(world.row(&lost).state, "offered");
    assert_eq!(world.held(&other, of(false)), "");
    // Said once more it is of the run that it is at.
    let answer = world.fleet.answer_to(FIRST, &word, &world.live, world.now);
    assert_eq!(answer, "s1.a.test is resolved in r1, and said to be off");
    let again = world.resolves(&lost, true);
    assert!(again.is_err_and(|why| why.contains("is connected")));
    world.is_what_the_log_tells();
}

/// Its agent began anew in the middle of it, and asks: too few would serve beside it by now, which is no reason to leave it half done.
/// Leave that it does not use takes nothing of its claim away.
#[test]
fn whoever_asks_for_the_section_that_it_is_in_gets_leave_at_once_and_keeps_its_claim() {
    let mut world = World::new();
    let (first, other) = (name("s1.a.test"), name("s2.a.test"));
    for target in [&first, &other] {
        world.issue(target);
    }
    world.asks(&first, of(true));
    assert_eq!(world.decides(), std::slice::from_ref(&first));
    world.enters(&first);
    for target in ["s3.a.test", "s4.a.test"] {
        world.goes(&name(target));
    }
    world.passes(limits::FRESH_FACTS + Duration::from_secs(1));
    world.asks(&first, of(true));
    world.asks(&other, of(false));
    assert_eq!(world.decides(), std::slice::from_ref(&first));
    world.passes(PERMIT_LIFE + Duration::from_secs(1));
    let held = world.held(&other, of(false));
    assert!(held.contains("s1.a.test changes the same gMSA"), "{held}");
    let said = world.fleet.why(&first, &world.live, world.now);
    assert!(format!("{said:?}").contains("Running") || world.row(&first).state == "offered");
    world.leaves_its_section(&first);
    assert_eq!(world.held(&other, of(false)), "");
    // Once it is out of it, it asks like everybody.
    world.asks(&first, of(true));
    assert_eq!(
        world.decides(),
        std::slice::from_ref(&other),
        "the other one asked before"
    );
    world.is_what_the_log_tells();
}

#[test]
fn the_cause_says_who_lifts_it() {
    assert!(!Cause::GivenUp.is_in_turn());
    assert!(Cause::GivenUp.lifted_by().contains("entrain resolve --off"));
    assert!(Cause::GivenUp.rails().is_empty());
}

/// One step may be in a section and ask for another: the word that it has left the first, which comes behind the leave for the second, takes
/// nothing of that away, and no work of a person is shown outside of a section.
#[test]
fn a_word_that_the_section_before_was_left_takes_no_leave_of_the_same_step() {
    let mut world = World::new();
    let (first, other) = (name("s1.a.test"), name("s2.a.test"));
    world.issue(&first);
    world.issue(&other);
    world.asks(&first, of(false));
    assert_eq!(world.decides(), std::slice::from_ref(&first));
    world.enters(&first);
    let generation = world.fleet.open(&first).expect("it is open").generation;
    world
        .fleet
        .asks_permit(&first, generation, STEP, Attempt(1), of(true));
    assert_eq!(world.decides(), std::slice::from_ref(&first));
    let text = protocol::task::TaskText {
        title: "the wizard".to_owned(),
        why: String::new(),
        bring: Vec::new(),
        pages: Vec::new(),
        seen_by: String::new(),
    };
    world.tells(
        &first,
        Event::TaskOpened {
            generation,
            step: STEP,
            text: Box::new(text),
        },
    );
    assert_eq!(world.fleet.tasks(world.now).len(), 1);
    assert!(world.fleet.may_attest(&first, world.now).is_ok());
    world.leaves_its_section(&first);
    let held = world.held(&other, of(false));
    assert!(held.contains("s1.a.test changes the same gMSA"), "{held}");
    assert!(world.fleet.tasks(world.now).is_empty());
    assert!(world.fleet.may_attest(&first, world.now).is_err());
    world.is_what_the_log_tells();
}

/// Leave for the next step is given while the word that the section of the one before was left is on its way, or that word comes twice:
/// it ends that section and no other.
#[test]
fn a_section_that_is_told_left_late_takes_nothing_from_the_leave_for_the_next_step() {
    const NEXT: StepIndex = StepIndex(STEP.0 + 1);
    for given_up in [false, true] {
        let mut world = World::new();
        let (first, other) = (name("s1.a.test"), name("s2.a.test"));
        world.issue(&first);
        world.issue(&other);
        world.asks(&first, of(true));
        assert_eq!(world.decides(), std::slice::from_ref(&first));
        world.enters(&first);
        let generation = world.fleet.open(&first).expect("it is open").generation;
        let asks = |world: &mut World| {
            let section = of(true);
            world
                .fleet
                .asks_permit(&first, generation, NEXT, Attempt(1), section);
        };
        asks(&mut world);
        assert_eq!(world.decides(), std::slice::from_ref(&first));
        if given_up {
            world.goes(&first);
            world.passes(UNREACHABLE_AFTER);
            assert_eq!(world.resolves(&first, false), Ok(()));
            world.comes(&first);
        }
        world.leaves_its_section(&first);
        let held = world.held(&other, of(false));
        assert!(held.contains("s1.a.test changes the same gMSA"), "{held}");
        let entered = Event::SectionEntered {
            generation,
            step: NEXT,
            section: of(true),
        };
        let left = |step: StepIndex| Event::SectionLeft {
            generation,
            step,
            gmsa: None,
        };
        if !given_up {
            // It is leave like any other, that lapses where it is not made use of.
            let mut unused = world.fleet.clone();
            std::mem::swap(&mut unused, &mut world.fleet);
            let before = world.now;
            world.passes(PERMIT_LIFE);
            assert_eq!(world.held(&other, of(false)), "");
            world.fleet = unused;
            world.now = before;
        }
        world.tells(&first, entered);
        world.tells(&first, left(STEP));
        world.passes(PERMIT_LIFE);
        let held = world.held(&other, of(false));
        assert!(held.contains("s1.a.test changes the same gMSA"), "{held}");
        world.tells(&first, left(NEXT));
        assert_eq!(world.held(&other, of(false)), "");
        world.is_what_the_log_tells();
    }
}

/// What it did to the object in the section that it has left is told to whoever changes it next, as if its next leave had come later.
#[test]
fn what_was_changed_in_a_section_that_is_told_left_late_is_kept() {
    let mut world = World::new();
    let (first, other) = (name("s1.a.test"), name("s2.a.test"));
    world.issue(&first);
    world.issue(&other);
    world.asks(&first, of(true));
    world.decides();
    world.enters(&first);
    let generation = world.fleet.open(&first).expect("it is open").generation;
    let out = Section {
        outage: true,
        gmsa: None,
    };
    world
        .fleet
        .asks_permit(&first, generation, StepIndex(1), Attempt(1), out);
    world.decides();
    let object = of(true).gmsa.expect("an object");
    assert_eq!(world.fleet.last_change(&object), None);
    world.leaves_its_section(&first);
    let change = world.fleet.last_change(&object).expect("it was told");
    assert_eq!(
        (&change.by, change.readers.as_deref()),
        (&first, Some(&[][..]))
    );
    // The leave alone is for an outage.
    assert_eq!(world.held(&other, of(false)), "");
    world.is_what_the_log_tells();
}

/// The claim of a run that was given up is over when its time is: the word that the server is off is then of the run that goes on.
#[test]
fn the_word_that_a_server_is_off_is_not_taken_for_one_of_a_claim_that_is_over() {
    let (mut world, lost, _) = away_in_its_section();
    world.loses_its_key(&lost, true);
    world.enrolls(&lost);
    world.take(Record::Ordered {
        rollout: FIRST,
        order: Order::Retry { target: None },
        by: "root".to_owned(),
    });
    world.now = NOW.plus(LIFE * 20);
    world.pulses();
    assert_eq!(world.fleet.abandoned_sentence(&lost, world.now), None);
    world.issue(&lost);
    let connected = world.resolves(&lost, true);
    assert!(connected.is_err_and(|why| why.contains("is connected")));
    world.goes(&lost);
    world.passes(UNREACHABLE_AFTER);
    assert!(!world.fleet.frees_alone(FIRST, &lost, true, world.now));
    assert_eq!(world.resolves(&lost, true), Ok(()));
    assert_eq!(world.row(&lost).state, "resolved");
    world.is_what_the_log_tells();
}

/// Two rollouts have given up a run on one server: what each row says is about its own.
#[test]
fn a_row_tells_of_the_claim_of_its_own_rollout() {
    const SECOND: RolloutId = RolloutId(2);
    let (mut world, lost, _) = away_in_its_section();
    assert_eq!(world.resolves(&lost, false), Ok(()));
    let plan = world.plan.clone();
    world.take(common::applied(SECOND, &plan));
    let generation = world.fleet.next_generation(&lost);
    let lapses = world.now.plus(PERMIT_LIFE);
    world.take(Record::BundleIssued {
        rollout: SECOND,
        target: lost.clone(),
        generation,
        phase: Phase::Prepare,
        bundle: BundleId(Digest::of(b"second")),
        expires: world.now.plus(LIFE),
    });
    let out = Section {
        outage: true,
        gmsa: None,
    };
    world.take(Record::PermitGiven {
        target: lost.clone(),
        generation,
        step: STEP,
        attempt: Attempt(1),
        section: out,
        lapses,
        rests_on: Vec::new(),
    });
    let detail = |world: &World, id: RolloutId| {
        let view = world.fleet.view(id, &world.live, world.now);
        let mut rows = view.expect("a rollout").targets.into_iter();
        let row = rows.find(|row| row.target == lost).expect("a row");
        row.detail
    };
    assert!(!detail(&world, SECOND).contains("--off"));
    world.take(Record::Ordered {
        rollout: SECOND,
        order: Order::Resolve {
            target: lost.clone(),
            reason: "somebody looked".to_owned(),
            off: false,
        },
        by: "root".to_owned(),
    });
    for (id, own, claims) in [
        (FIRST, "entrain resolve r1 ", "changing its gMSA"),
        (SECOND, "entrain resolve r2 ", "out of service (G2) until"),
    ] {
        let detail = detail(&world, id);
        assert!(detail.contains(own) && detail.contains(claims), "{detail}");
    }
}
