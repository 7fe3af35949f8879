//! A rule is set aside on one target for an hour: each rule with and without, by as many operators as are asked for, and
//! nothing else with it.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Asking, Decision, Fleet, Gate, Live, Pulse, Saying, Unaccepted};
use controller_core::overrides::{Rule, Standing, Used};
use controller_core::plan::{Inputs, Plan, Purpose, plan, switch};
use controller_core::policy;
use controller_core::record::{Order, Record};
use controller_core::topology::{Topology, parse};
use proptest::prelude::*;
use protocol::event::{Event, Failure, GmsaChange, GmsaObject, Section};
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::{PublicKey, SigningKey};
use protocol::settings::ConnectSettings;
use protocol::signed::{Ending, Manifest};
use protocol::step::Step;
use protocol::{Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const ID: RolloutId = RolloutId(1);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
/// Closed at the moment at which these stories begin, a Monday.
const CLOSED: &str =
    "[site.ams]\nwindow = { days = [\"Sat\"], from = \"22:00\", to = \"04:00\" }\n";

/// The same, open for less than an hour more.
const OPEN: &str = "[site.ams]\nwindow = { days = [\"Mon\"], from = \"14:00\", to = \"15:00\" }\n";

fn id(name: &str) -> TargetId {
    name.parse().unwrap()
}

fn connect(staging: bool) -> Facts {
    let connect = ConnectFacts {
        version: Some(common::CONNECT),
        service: Some(ServiceState::Running),
        staging: Some(staging),
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    common::facts(None, Some(connect))
}

#[derive(Clone)]
struct World {
    fleet: Fleet,
    live: Live,
    now: Timestamp,
    keys: BTreeMap<TargetId, PublicKey>,
    plans: Vec<Plan>,
    log: Vec<(Timestamp, Record)>,
    told: u64,
}

impl World {
    fn of(topology: &Topology, facts: impl Fn(&TargetId) -> Facts) -> (Self, Fleetwide) {
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live::default(),
            now: NOW,
            keys: BTreeMap::new(),
            plans: Vec::new(),
            log: Vec::new(),
            told: 0,
        };
        let mut known = Fleetwide::new();
        for target in topology.targets() {
            let key = SigningKey::generate().public();
            let of = Known {
                facts: Some((NOW, facts(&target))),
                ..Known::of(key.fingerprint())
            };
            known.insert(target.clone(), of);
            world.take(common::enrolled(&target, key));
            world.tells(&target, &Event::FactsReported(Box::new(facts(&target))));
            world.keys.insert(target, key);
        }
        world.live = Live {
            connected: known.keys().cloned().collect(),
            began: NOW.minus(HOUR),
            ..Live::default()
        };
        (world, known)
    }

    /// Four agents of one site that serve one domain, all of them old and here.
    fn agents(policy: &str) -> Self {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[site.ams]\nzone = \"UTC\"\nreboot = \"never\"\n[agents.a]\nsite = \"ams\"\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\", \"s3.a.test\", \"s4.a.test\"]\n"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        let policy = format!("{policy}\n[limit]\nfailures = \"9\"\nin_flight = 9\ncanary = 0\n");
        let (policy, findings) = policy::parse(&common::document(policy));
        assert!(findings.is_empty(), "{findings:?}");
        let (mut world, known) = Self::of(&topology, |_| common::old());
        let artifacts = common::artifacts();
        let inputs = Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Install);
        world.apply(plan(inputs));
        world.serve();
        world
    }

    /// The first server is the tenant's active one; one rollout makes the second active in its place, another one the third.
    fn connects() -> Self {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\", \"c2.a.test\", \"c3.a.test\"]\n"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        let facts = |target: &TargetId| connect(target.as_str() != "c1.a.test");
        let (mut world, known) = Self::of(&topology, facts);
        let artifacts = common::artifacts();
        for server in ["c2.a.test", "c3.a.test"] {
            let inputs = Inputs {
                topology: &topology,
                policy: &policy::Policy::default(),
                known: &known,
                artifacts: &artifacts,
                roster: None,
                release: None,
                beyond: controller_core::beyond::Beyond::NOTHING,
                purpose: Purpose::Verify,
                only: &BTreeSet::new(),
            };
            world.apply(switch(inputs, &id(server)).unwrap());
        }
        world
    }

    fn apply(&mut self, plan: Plan) {
        let rollout = self.fleet.next_rollout();
        self.plans.push(plan.clone());
        self.take(common::applied(rollout, &plan));
    }

    fn take(&mut self, record: Record) {
        let plan = self.plans.last();
        self.fleet.apply(&record, plan, self.now);
        self.log.push((self.now, record));
    }

    fn tells(&mut self, target: &TargetId, event: &Event) {
        self.told += 1;
        self.take(common::told(target, self.told, self.now, event));
    }

    /// Everybody is seen to serve just now.
    fn serve(&mut self) {
        let pulse = Pulse {
            serving: true,
            at: self.now,
        };
        let all = self.live.connected.iter();
        self.live.pulses = all.map(|target| (target.clone(), pulse)).collect();
    }

    /// An operator says it, as the driver takes it: what stands already is not recorded.
    fn says(&mut self, rule: Rule, target: &str, by: &str, asked: u32) -> Result<Saying, String> {
        let target = id(target);
        let asking = Asking {
            rule,
            target: &target,
            by,
            reason: "the desk agreed",
            change: "CHG1",
        };
        let saying = self.fleet.may_override(asking, self.now)?;
        if saying == Saying::New {
            self.take(Record::OverrideSaid {
                rule,
                target,
                by: by.to_owned(),
                asked,
                change: "CHG1".to_owned(),
                reason: "the desk agreed".to_owned(),
            });
        }
        Ok(saying)
    }

    fn overrides(&mut self, rule: Rule, target: &str) {
        assert_eq!(self.says(rule, target, "anna", 1), Ok(Saying::New));
    }

    fn withdraws(&mut self, rule: Rule, target: &str) {
        let target = id(target);
        let may = self.fleet.may_withdraw_override(rule, &target, self.now);
        assert_eq!(may, Ok(()));
        let by = "bob".to_owned();
        self.take(Record::OverrideWithdrawn { rule, target, by });
    }

    fn used(&mut self, rules: &BTreeSet<Rule>, target: &TargetId, of: (Generation, Used)) {
        for rule in rules {
            self.take(Record::OverrideUsed {
                rule: *rule,
                target: target.clone(),
                generation: of.0,
                used: of.1,
            });
        }
    }

    /// Carries out what is decided; gives whom it offered something and who got leave, with what was overridden.
    fn decide(&mut self) -> Vec<(String, Vec<Rule>)> {
        let mut done = Vec::new();
        for decision in self.fleet.decide(&self.live, self.now) {
            let (target, rules) = match decision {
                Decision::Issue {
                    rollout,
                    target,
                    phase,
                    overridden,
                } => {
                    let generation = self.fleet.next_generation(&target);
                    let plan = &self.fleet.rollouts()[&rollout].plan;
                    let phase = plan.targets[&target].phases[phase].phase;
                    self.take(Record::BundleIssued {
                        rollout,
                        target: target.clone(),
                        generation,
                        phase,
                        bundle: BundleId(Digest::of(target.as_str().as_bytes())),
                        expires: self.now.plus(HOUR * 24),
                    });
                    self.used(&overridden, &target, (generation, Used::Offer));
                    (target, overridden)
                }
                Decision::Permit {
                    target,
                    gate,
                    after: _,
                    overridden,
                    rests_on: _,
                } => {
                    self.take(Record::PermitGiven {
                        target: target.clone(),
                        generation: gate.generation,
                        step: gate.step,
                        attempt: gate.attempt,
                        section: gate.section,
                        lapses: self.now.plus(MINUTE * 2),
                        rests_on: Vec::new(),
                    });
                    self.used(&overridden, &target, (gate.generation, Used::Leave));
                    (target, overridden)
                }
                Decision::Degraded { .. }
                | Decision::Unknown { .. }
                | Decision::Away { .. }
                | Decision::PassedOver { .. } => continue,
            };
            done.push((target.to_string(), rules.into_iter().collect()));
        }
        done
    }

    fn hold(&self, rollout: RolloutId, target: &str) -> String {
        let hold = self.fleet.hold(rollout, &id(target), &self.live, self.now);
        hold.map(|hold| hold.why).unwrap_or_default()
    }

    fn asks(&mut self, target: &str, section: Section) {
        let target = id(target);
        let generation = self.fleet.open(&target).unwrap().generation;
        self.fleet
            .asks_permit(&target, generation, StepIndex(1), Attempt(1), section);
    }

    /// It is in its section.
    fn enters(&mut self, target: &str, section: Section) {
        let target = id(target);
        let generation = self.fleet.open(&target).unwrap().generation;
        let entered = Event::SectionEntered {
            generation,
            step: StepIndex(1),
            section,
        };
        self.tells(&target, &entered);
    }

    fn ends(&mut self, target: &str) {
        let target = id(target);
        let open = self.fleet.open(&target).unwrap();
        let (generation, rollout) = (open.generation, open.rollout);
        let of = &self.fleet.rollouts()[&rollout];
        let phase = of.work[&target].phase;
        let work = &of.plan.targets[&target].phases[phase];
        if work.steps.contains(&Step::ReadConnectSettings) {
            // All of them tell the same, so that nothing but the rules of these stories holds them.
            let read = Event::ConnectSettingsRead {
                generation,
                step: StepIndex(0),
                settings: Box::new(ConnectSettings::of(Vec::new(), Vec::new())),
            };
            self.tells(&target, &read);
        }
        let finished = Event::RunFinished {
            generation,
            ending: Ending::Completed,
            receipt: String::new(),
        };
        self.tells(&target, &finished);
    }

    fn manifest(&self, rollout: RolloutId, target: &str, phase: usize) -> Manifest {
        let target = id(target);
        let key = self.keys[&target].fingerprint();
        let manifest = self.fleet.manifest(rollout, &target, phase, key, self.now);
        manifest.unwrap()
    }

    /// The kinds of steps in a bundle that carry an override.
    fn carries(&self, rollout: RolloutId, target: &str, phase: usize) -> Vec<&'static str> {
        let manifest = self.manifest(rollout, target, phase);
        let steps = manifest.steps.iter();
        let over = steps.filter(|step| step.overridden().is_some());
        over.map(Step::kind).collect()
    }
}

fn outage() -> Section {
    Section {
        outage: true,
        gmsa: None,
    }
}

fn object() -> GmsaObject {
    GmsaObject {
        domain: "a.test".parse().unwrap(),
        name: "svc$".parse().ok(),
    }
}

fn change() -> Section {
    Section {
        outage: false,
        gmsa: Some(object()),
    }
}

#[test]
fn a_closed_site_is_entered_by_the_one_server_for_which_that_is_said_and_for_an_hour() {
    let mut world = World::agents(CLOSED);
    assert!(world.decide().is_empty());
    assert!(world.hold(ID, "s2.a.test").contains("site ams"));
    world.overrides(Rule::Window, "s2.a.test");
    let ends = world.now.plus(HOUR);
    let due = world.fleet.poll_timeout(&world.live, world.now);
    assert_eq!(due, Some(ends), "its end is looked at");
    let mut late = world.clone();
    // The last moment, and the end.
    world.now = ends.minus(Duration::from_millis(1));
    assert_eq!(
        world.decide(),
        [("s2.a.test".to_owned(), vec![Rule::Window])]
    );
    assert!(world.hold(ID, "s1.a.test").contains("site ams"));
    late.now = ends;
    assert!(late.decide().is_empty());
    assert!(late.hold(ID, "s2.a.test").contains("site ams"));

    // Leave in a closed site too.
    world.serve();
    world.asks("s2.a.test", outage());
    assert_eq!(
        world.decide(),
        [("s2.a.test".to_owned(), vec![Rule::Window])]
    );
    // What its agent has not accepted by then is withdrawn, and not offered under a rule that holds again.
    let target = id("s2.a.test");
    let back = |world: &World| {
        world
            .fleet
            .unaccepted(&target, Generation(0), &world.live, world.now)
    };
    assert!(matches!(back(&world), Some(Unaccepted::Offer(_))));
    world.now = ends;
    assert!(matches!(back(&world), Some(Unaccepted::Withdraw(_))));
}

/// What was issued while the site was open is not offered under a later override without a word in the record: it is withdrawn, and
/// issued anew.
#[test]
fn an_offer_that_only_an_override_lets_through_is_recorded_as_one() {
    let mut world = World::agents(OPEN);
    let target = id("s2.a.test");
    assert!(world.decide().iter().any(|(name, _)| name == "s2.a.test"));
    world.now = world.now.plus(HOUR);
    let back = |world: &World| {
        world
            .fleet
            .unaccepted(&target, Generation(0), &world.live, world.now)
    };
    assert!(matches!(back(&world), Some(Unaccepted::Withdraw(_))));
    world.overrides(Rule::Window, "s2.a.test");
    assert!(matches!(back(&world), Some(Unaccepted::Withdraw(_))));
}

#[test]
fn leave_that_too_few_would_serve_through_is_given_to_that_one() {
    let mut world = World::agents("");
    assert_eq!(world.decide().len(), 4);
    world.enters("s1.a.test", outage());
    for target in ["s2.a.test", "s3.a.test"] {
        world.asks(target, outage());
    }
    assert!(world.decide().is_empty());
    world.overrides(Rule::G2, "s3.a.test");
    assert_eq!(world.decide(), [("s3.a.test".to_owned(), vec![Rule::G2])]);
    assert!(world.decide().is_empty(), "s2 waits");
    // After its hour it is asked like everybody else's.
    let mut late = World::agents("");
    late.decide();
    late.enters("s1.a.test", outage());
    late.overrides(Rule::G2, "s3.a.test");
    late.now = late.now.plus(HOUR);
    late.serve();
    late.asks("s3.a.test", outage());
    assert!(late.decide().is_empty());
}

#[test]
fn a_gmsa_is_changed_beside_another_one_and_nothing_need_be_readable_first() {
    let mut world = World::agents("");
    world.decide();
    world.enters("s1.a.test", change());
    world.asks("s2.a.test", change());
    world.asks("s3.a.test", change());
    assert!(world.decide().is_empty());
    let mut after = world.clone();
    world.overrides(Rule::G3, "s2.a.test");
    assert_eq!(world.decide(), [("s2.a.test".to_owned(), vec![Rule::G3])]);
    assert!(world.decide().is_empty(), "s3 waits");

    // The other one is through: what it changed is to be readable first, unless that is overridden too.
    let target = id("s1.a.test");
    let generation = after.fleet.open(&target).unwrap().generation;
    let left = Event::SectionLeft {
        generation,
        step: StepIndex(1),
        gmsa: Some(GmsaChange {
            by: target.clone(),
            name: object().name,
            readers: None,
        }),
    };
    after.tells(&target, &left);
    let permitted = |world: &World| {
        let decisions = world.fleet.decide(&world.live, world.now).into_iter();
        let permits = decisions.filter_map(|decision| match decision {
            Decision::Permit {
                target,
                after,
                overridden,
                ..
            } => Some((target.to_string(), after.is_some(), overridden)),
            Decision::Issue { .. }
            | Decision::Degraded { .. }
            | Decision::Unknown { .. }
            | Decision::Away { .. }
            | Decision::PassedOver { .. } => None,
        });
        permits.collect::<Vec<_>>()
    };
    let plain = ("s2.a.test".to_owned(), true, BTreeSet::new());
    assert_eq!(permitted(&after), [plain]);
    after.overrides(Rule::G3, "s2.a.test");
    let over = ("s2.a.test".to_owned(), false, BTreeSet::from([Rule::G3]));
    assert_eq!(permitted(&after), [over]);
}

#[test]
fn a_second_server_becomes_active_where_g1_is_overridden_and_only_that_one() {
    let mut world = World::connects();
    // All is done that comes before, but nobody has seen the active one in staging mode.
    for _ in 0..6 {
        world.decide();
        for server in ["c1.a.test", "c2.a.test", "c3.a.test"] {
            if world.fleet.open(&id(server)).is_some() {
                world.ends(server);
            }
        }
    }
    assert!(world.decide().is_empty());
    let second = RolloutId(2);
    assert!(world.hold(ID, "c2.a.test").contains("would break G1"));
    let mut late = world.clone();
    late.overrides(Rule::G1, "c2.a.test");
    late.now = late.now.plus(HOUR);
    assert!(late.hold(ID, "c2.a.test").contains("would break G1"));
    world.overrides(Rule::G1, "c2.a.test");
    assert_eq!(world.decide(), [("c2.a.test".to_owned(), vec![Rule::G1])]);
    assert!(world.hold(second, "c3.a.test").contains("would break G1"));
}

#[test]
fn what_the_agent_asks_itself_travels_in_the_steps_arguments() {
    let mut world = World::agents("");
    let plain = world.manifest(ID, "s1.a.test", 0);
    world.overrides(Rule::G8, "s1.a.test");
    assert_eq!(world.carries(ID, "s1.a.test", 0), ["preflight"]);
    assert!(world.carries(ID, "s2.a.test", 0).is_empty());
    let manifest = world.manifest(ID, "s1.a.test", 0);
    let over = manifest.steps.iter().find_map(Step::overridden).unwrap();
    assert_eq!(
        (&over.by[..], &*over.change),
        (&["anna".to_owned()][..], "CHG1")
    );
    assert_eq!(over.until, NOW.plus(HOUR));
    // An approval covers the arguments: one of the plan does not cover this.
    assert_ne!(manifest.leaf(), plain.leaf());
    world.withdraws(Rule::G8, "s1.a.test");
    assert_eq!(world.manifest(ID, "s1.a.test", 0), plain);

    let mut swap = World::connects();
    let carried = |world: &World| {
        let phases = world.plans[0].targets[&id("c2.a.test")].phases.len();
        let carried = (0..phases).map(|phase| world.carries(ID, "c2.a.test", phase));
        carried.collect::<Vec<_>>().concat()
    };
    assert!(carried(&swap).is_empty());
    swap.overrides(Rule::G4, "c2.a.test");
    let review = "review-connect-exports";
    assert_eq!(carried(&swap), [review, review]);
    assert!(swap.carries(RolloutId(2), "c3.a.test", 0).is_empty());
    swap.now = swap.now.plus(HOUR);
    assert!(carried(&swap).is_empty());
}

#[test]
fn a_finding_that_has_stopped_a_server_is_passed_by_an_override_and_a_retry() {
    let mut world = World::agents("");
    let target = id("s1.a.test");
    assert_eq!(world.decide().len(), 4);
    let generation = world.fleet.open(&target).unwrap().generation;
    let failed = Event::StepFailed {
        generation,
        step: StepIndex(0),
        failure: Box::new(Failure::plain("PF07: little memory")),
    };
    world.tells(&target, &failed);
    let finished = Event::RunFinished {
        generation,
        ending: Ending::Failed("preflight".to_owned()),
        receipt: String::new(),
    };
    world.tells(&target, &finished);
    world.overrides(Rule::G8, "s1.a.test");
    assert!(world.decide().is_empty(), "a retry is an order of its own");
    world.take(Record::Ordered {
        rollout: ID,
        order: Order::Retry {
            target: Some(target.clone()),
        },
        by: "anna".to_owned(),
    });
    assert_eq!(world.decide(), [("s1.a.test".to_owned(), vec![Rule::G8])]);
    // Taken back before the agent has accepted it: it does not run so.
    let mut taken = world.clone();
    taken.withdraws(Rule::G8, "s1.a.test");
    let offer = taken
        .fleet
        .unaccepted(&target, generation, &taken.live, taken.now);
    assert!(matches!(offer, Some(Unaccepted::Withdraw(_))), "{offer:?}");

    // It is in every view, and stays in the rollout's when the hour is over.
    world.now = world.now.plus(HOUR * 3);
    let view = world.fleet.view(ID, &world.live, world.now).unwrap();
    assert_eq!(view.overridden, 1);
    let row = view.targets.iter().find(|row| row.target == target);
    let why = world.fleet.why(&target, &world.live, world.now).unwrap();
    for said in [&row.unwrap().detail, &why.answer] {
        for part in ["OVERRIDDEN", "G8", "anna", "CHG1", "the desk agreed"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert_eq!(why.overrides.len(), 1);
    let over = &why.overrides[0];
    assert!(
        over.contains("was overridden until") && over.contains("an offer in run"),
        "{over}"
    );
    assert!(world.fleet.overrides(world.now).is_empty(), "and is over");
}

#[test]
fn as_many_different_operators_say_it_as_are_asked_for() {
    let mut world = World::agents(CLOSED);
    let target = "s1.a.test";
    assert_eq!(world.says(Rule::Window, target, "anna", 2), Ok(Saying::New));
    assert!(world.decide().is_empty());
    for said in [
        world.hold(ID, target),
        world.fleet.overrides(world.now)[0].sentence(),
    ] {
        assert!(
            said.contains("1 of 2 operators") && said.contains("anna"),
            "{said}"
        );
    }
    // The same person once more is the same word.
    world.now = world.now.plus(MINUTE);
    let records = world.log.len();
    let again = world.says(Rule::Window, target, "anna", 2);
    assert!(matches!(again, Ok(Saying::Before(said)) if said.contains("1 of 2")));
    assert_eq!(world.log.len(), records);
    // Nor does a log that holds it twice count it twice.
    let twice = world.log.last().unwrap().1.clone();
    let mut doubled = world.clone();
    doubled.take(twice);
    assert!(doubled.decide().is_empty());
    // For another change it is another thing.
    let named = id(target);
    let other = Asking {
        rule: Rule::Window,
        target: &named,
        by: "bob",
        reason: "r",
        change: "CHG2",
    };
    let refused = world.fleet.may_override(other, world.now).unwrap_err();
    assert!(refused.contains("CHG1"), "{refused}");

    // A word counts for an hour; the hour of the override begins with the last that is needed.
    let mut late = world.clone();
    late.now = NOW.plus(HOUR);
    let view = late.fleet.override_of(Rule::Window, &named, late.now);
    let view = view.unwrap();
    assert_eq!(view.standing, Standing::Over);
    let said = view.sentence();
    for words in [
        "was not overridden: anna alone had said so until",
        "it let nothing through",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(late.says(Rule::Window, target, "bob", 2), Ok(Saying::New));
    assert!(late.decide().is_empty());
    assert!(
        late.fleet.overrides(late.now)[0]
            .sentence()
            .contains("(bob)")
    );
    world.now = NOW.plus(HOUR).minus(MINUTE);
    assert_eq!(world.says(Rule::Window, target, "bob", 2), Ok(Saying::New));
    let view = world.fleet.overrides(world.now).remove(0);
    assert_eq!(view.standing, Standing::InForce);
    assert_eq!(view.until, world.now.plus(HOUR));
    assert!(view.sentence().contains("anna and bob"));
    // A third one makes it no longer.
    world.now = world.now.plus(MINUTE);
    assert!(matches!(
        world.says(Rule::Window, target, "carol", 2),
        Ok(Saying::Before(_))
    ));
    assert_eq!(world.decide().len(), 1);
    // A root that asks for more meanwhile asks it of this one too.
    let mut more = World::agents(CLOSED);
    more.says(Rule::Window, target, "anna", 3).unwrap();
    more.says(Rule::Window, target, "bob", 2).unwrap();
    assert!(more.decide().is_empty());
}

#[test]
fn what_was_taken_back_lets_nothing_through_and_may_be_said_anew() {
    let mut world = World::agents(CLOSED);
    let target = "s1.a.test";
    world.overrides(Rule::Window, target);
    world.withdraws(Rule::Window, target);
    assert!(world.decide().is_empty());
    let named = id(target);
    let nothing = world
        .fleet
        .may_withdraw_override(Rule::Window, &named, world.now);
    assert!(nothing.unwrap_err().contains("nothing to withdraw"));
    world.overrides(Rule::Window, target);
    assert_eq!(world.decide().len(), 1);
    // A half word is taken back too, and counts no more.
    let mut half = World::agents(CLOSED);
    half.says(Rule::Window, target, "anna", 2).unwrap();
    half.withdraws(Rule::Window, target);
    half.says(Rule::Window, target, "bob", 2).unwrap();
    assert!(half.decide().is_empty());
    // Neither a restored log nor a server that comes back with another key has one.
    for record in [
        Record::Restored {
            epoch: protocol::Epoch(2),
            parent: protocol::Epoch(1),
            made: NOW,
            by: "root".to_owned(),
        },
        Record::AgentReplaced {
            target: named.clone(),
            by: "root".to_owned(),
        },
    ] {
        let mut world = World::agents(CLOSED);
        world.overrides(Rule::Window, target);
        world.take(record);
        assert!(world.fleet.overrides(world.now).is_empty());
    }
}

#[test]
fn a_clock_that_was_put_back_makes_no_hour_longer() {
    let mut world = World::agents(CLOSED);
    world.overrides(Rule::Window, "s1.a.test");
    world.now = NOW.minus(MINUTE);
    assert!(world.decide().is_empty());
}

#[test]
fn what_cannot_be_overridden_is_refused_with_what_the_way_is() {
    for (rule, says) in [
        ("G5", "wait for the run's end"),
        ("g6", "a corrected versions.toml"),
        ("G9", "a server belongs to one tenant"),
        ("G10", "entrain apply --irreversible N"),
        ("signatures", "signed under its trust root"),
        ("Signature", "signed under its trust root"),
        ("G11", "G1, G2, G3, G4, G7, G8, window"),
        ("", "G1, G2, G3, G4, G7, G8, window"),
    ] {
        let refused = rule.parse::<Rule>().unwrap_err();
        assert!(refused.contains(says), "{rule}: {refused}");
    }
    for rule in Rule::ALL {
        assert_eq!(rule.as_str().to_uppercase().parse(), Ok(rule));
        assert_eq!(rule.as_str().to_lowercase().parse(), Ok(rule));
        let spelled = serde_json::to_value(rule).unwrap();
        assert_eq!(spelled, rule.as_str().to_lowercase());
    }
}

#[test]
fn an_override_needs_something_to_hold_a_reason_and_a_change() {
    let mut world = World::agents("");
    for (rule, target, says) in [
        (Rule::G2, "x.a.test", "not enrolled"),
        (Rule::G1, "s1.a.test", "held by G1"),
        (Rule::G4, "s1.a.test", "held by G4"),
        (Rule::Window, "s1.a.test", "held by window"),
    ] {
        let refused = world.says(rule, target, "anna", 1).unwrap_err();
        assert!(refused.contains(says), "{rule}: {refused}");
    }
    let target = id("s1.a.test");
    let long = "x".repeat(301);
    for (reason, change, says) in [
        (" ", "CHG1", "--reason"),
        ("why", "", "--change"),
        (long.as_str(), "CHG1", "at most 300"),
        ("two\nlines", "CHG1", "plain text"),
    ] {
        let asking = Asking {
            rule: Rule::G8,
            target: &target,
            by: "anna",
            reason,
            change,
        };
        let refused = world.fleet.may_override(asking, world.now).unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
    let most = "x".repeat(300);
    let asking = Asking {
        rule: Rule::G8,
        target: &target,
        by: "anna",
        reason: &most,
        change: "CHG1",
    };
    assert_eq!(world.fleet.may_override(asking, world.now), Ok(Saying::New));
    world.take(Record::Ordered {
        rollout: ID,
        order: Order::Skip {
            target,
            reason: "later".to_owned(),
        },
        by: "anna".to_owned(),
    });
    let refused = world.says(Rule::G8, "s1.a.test", "anna", 1).unwrap_err();
    assert!(refused.contains("no rollout has work left"), "{refused}");
}

#[test]
fn a_replay_of_the_log_has_the_same_overrides() {
    let mut world = World::agents(CLOSED);
    world.overrides(Rule::Window, "s1.a.test");
    world.decide();
    world.now = world.now.plus(MINUTE);
    world.says(Rule::G8, "s2.a.test", "anna", 2).unwrap();
    world.now = world.now.plus(MINUTE);
    world.says(Rule::G2, "s3.a.test", "anna", 1).unwrap();
    world.withdraws(Rule::G2, "s3.a.test");
    let mut again = Fleet::new();
    for (at, record) in &world.log {
        // As it is stored, and as it is read.
        let stored = serde_json::to_string(record).unwrap();
        let record: Record = serde_json::from_str(&stored).unwrap();
        again.apply(&record, world.plans.last(), *at);
    }
    for later in [
        Duration::ZERO,
        HOUR.saturating_sub(MINUTE * 2),
        HOUR,
        HOUR * 2,
    ] {
        let now = world.now.plus(later);
        assert_eq!(again.overrides(now), world.fleet.overrides(now));
        let due = |fleet: &Fleet| fleet.poll_timeout(&world.live, now);
        assert_eq!(due(&again), due(&world.fleet));
        for target in &world.live.connected {
            let why = |fleet: &Fleet| fleet.why(target, &world.live, now);
            assert_eq!(why(&again), why(&world.fleet));
        }
    }
}

/// Everything that is asked about one target: whether it may begin, whether it gets leave, what its bundle would carry.
fn answers(world: &World, target: &TargetId) -> Vec<String> {
    let mut answers = Vec::new();
    for (rollout, of) in world.fleet.rollouts() {
        if !of.work.contains_key(target) {
            continue;
        }
        let hold = world.fleet.hold(*rollout, target, &world.live, world.now);
        answers.push(format!("{rollout} {hold:?}"));
        // And leave, beside somebody who is out of service and changes the same object.
        for section in [outage(), change()] {
            let gate = |target: &TargetId| {
                let open = world.fleet.open(target);
                Gate {
                    generation: open.map(|open| open.generation).unwrap_or_default(),
                    step: StepIndex(1),
                    attempt: Attempt(1),
                    section: section.clone(),
                    lapses: None,
                    earlier: None,
                }
            };
            let mut others = world.live.connected.iter();
            let beside = others.find(|other| *other != target);
            let gates = beside.map(|other| (other.clone(), gate(other)));
            let gates: BTreeMap<TargetId, Gate> = gates.into_iter().collect();
            let (live, now) = (&world.live, world.now);
            let hold = world
                .fleet
                .permit_hold(target, &gate(target), &gates, live, now);
            answers.push(format!("leave {hold:?}"));
        }
        for phase in 0..of.plan.targets[target].phases.len() {
            let carried = world.carries(*rollout, target.as_str(), phase);
            answers.push(format!("{phase} {carried:?}"));
        }
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// One rule on one target: all others are answered as before, and of that target's answers those of that rule alone
    /// change.
    #[test]
    fn an_override_of_one_rule_on_one_target_changes_nothing_else(
        swap in any::<bool>(),
        rule in 0_usize..7,
        target in 0_usize..4,
        steps in proptest::collection::vec((0_usize..4, any::<bool>()), 0..8),
    ) {
        let mut world = if swap { World::connects() } else { World::agents(CLOSED) };
        let targets: Vec<TargetId> = world.live.connected.iter().cloned().collect();
        // Somewhere on the way.
        for (at, ends) in steps {
            world.decide();
            let one = &targets[at % targets.len()];
            if ends && world.fleet.open(one).is_some() {
                world.ends(one.as_str());
            }
        }
        let (rule, target) = (Rule::ALL[rule], targets[target % targets.len()].clone());
        let asked = |world: &World| -> BTreeMap<TargetId, Vec<String>> {
            targets.iter().map(|one| (one.clone(), answers(world, one))).collect()
        };
        let before = asked(&world);
        let mut never = world.clone();
        if world.says(rule, target.as_str(), "anna", 1).is_err() {
            return Ok(());
        }
        let after = asked(&world);
        for one in &targets {
            if *one != target {
                prop_assert_eq!(&before[one], &after[one]);
            }
        }
        for (was, is) in before[&target].iter().zip(&after[&target]) {
            if was == is {
                continue;
            }
            let of_that_rule = match rule {
                Rule::G1 => was.contains("G1"),
                Rule::G2 => was.contains("(G2)"),
                Rule::G3 => was.contains("(G3)"),
                Rule::G4 => is.contains("review-connect-exports"),
                Rule::G7 => was.contains("(G7"),
                Rule::G8 => is.contains("preflight"),
                Rule::Window => was.contains("site ams"),
            };
            prop_assert!(of_that_rule, "{} on {}: {} became {}", rule, target, was, is);
        }
        // When its hour is over, all is as if nobody had said it.
        world.now = world.now.plus(HOUR);
        never.now = world.now;
        prop_assert_eq!(asked(&never), asked(&world));
    }
}

/// What let it through stays with the work, whatever becomes of its try.
#[test]
fn another_try_tells_what_an_earlier_one_went_under() {
    let mut world = World::agents(CLOSED);
    world.overrides(Rule::Window, "s1.a.test");
    assert!(!world.decide().is_empty());
    let target = id("s1.a.test");
    let went_under = |world: &World| world.fleet.rollouts()[&ID].work[&target].overridden.clone();
    let before = went_under(&world);
    assert_eq!(before.len(), 1);
    let generation = world.fleet.open(&target).unwrap().generation;
    let failed = Event::RunFinished {
        generation,
        ending: Ending::Failed("x".to_owned()),
        receipt: String::new(),
    };
    world.tells(&target, &failed);
    world.take(Record::Ordered {
        rollout: ID,
        order: Order::Retry {
            target: Some(target.clone()),
        },
        by: "anna".to_owned(),
    });
    assert_eq!(went_under(&world), before);
}
