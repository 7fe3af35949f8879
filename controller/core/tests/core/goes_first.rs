//! Whoever serves and is to be taken out of service goes behind those of its rollout that are about to serve the same domain:
//! without them it would get no leave (G2). Nobody waits for one that will not come.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{
    Cause, Decision, Fleet, Lifter, Live, PERMIT_LIFE, Pulse, TargetView, UNREACHABLE_AFTER,
};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::{Order, Record};
use controller_core::topology::parse;
use protocol::event::{Event, Freeze, GmsaObject, Section};
use protocol::facts::ProvisioningAgentFacts;
use protocol::key::SigningKey;
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const ID: RolloutId = RolloutId(1);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const OLD: Version = Version::new(1, 1, 1373, 0);

fn name(text: &str) -> TargetId {
    text.parse().unwrap()
}

struct World {
    fleet: Fleet,
    live: Live,
    plan: Plan,
    now: Timestamp,
}

/// A server's provisioning agent, where it has one, and whether it is seen to serve, where it is heard.
type Is = (&'static str, Option<Version>, Option<bool>);

impl World {
    /// One domain with these servers, all of them here; the keys that its group has beside its hosts, and a policy.
    fn new(servers: &[Is], group: &str, text: &str) -> Self {
        let retires = |server: &&str| group.contains(*server);
        let hosts = servers.iter().map(|(server, ..)| *server);
        let hosts: Vec<&str> = hosts.filter(|server| !retires(server)).collect();
        Self::of(
            servers,
            &format!("[agents.a]\nserves = [\"a.test\"]\nhosts = {hosts:?}\n{group}\n"),
            text,
        )
    }

    fn of(servers: &[Is], groups: &str, text: &str) -> Self {
        let topology = format!("[tenant.main]\nid = \"{TENANT}\"\n{groups}");
        let (topology, findings) = parse(&[common::document(topology)]);
        assert!(findings.is_empty(), "{findings:?}");
        let text = format!("{text}\n[limit]\nfailures = \"20\"\nin_flight = 20\ncanary = 0\n");
        let (policy, findings) = policy::parse(&common::document(text));
        assert!(findings.is_empty(), "{findings:?}");
        let mut fleet = Fleet::new();
        let mut known = Fleetwide::new();
        let mut live = Live {
            began: NOW.minus(Duration::from_secs(3600)),
            ..Live::default()
        };
        for (server, version, serves) in servers {
            let target = name(server);
            let agent = version.map(|version| ProvisioningAgentFacts {
                version: Some(version),
                ..common::old_agent()
            });
            let key = SigningKey::generate().public();
            let of = Known {
                facts: Some((NOW, common::facts(agent, None))),
                ..Known::of(key.fingerprint())
            };
            fleet.apply(&common::enrolled(&target, key), None, NOW);
            known.insert(target.clone(), of);
            live.came(target.clone(), NOW.minus(Duration::from_secs(3600)));
            if let Some(serving) = *serves {
                let pulse = Pulse { serving, at: NOW };
                live.pulses.insert(target, pulse);
            }
        }
        let plan = plan(Inputs::of(
            &topology,
            &policy,
            &known,
            &common::artifacts(),
            Purpose::Install,
        ));
        fleet.apply(&common::applied(ID, &plan), Some(&plan), NOW);
        Self {
            fleet,
            live,
            plan,
            now: NOW,
        }
    }

    fn take(&mut self, record: &Record) {
        self.fleet.apply(record, Some(&self.plan), self.now);
    }

    /// Who is offered its work now, by name.
    fn offered(&self) -> Vec<String> {
        let decisions = self.fleet.decide(&self.live, self.now);
        let among_all = self.fleet.decide_among_all(&self.live, self.now);
        assert_eq!(decisions, among_all);
        let issued = decisions.into_iter().filter_map(|one| match one {
            Decision::Issue { target, .. } => Some(target.to_string()),
            Decision::Permit { .. }
            | Decision::Degraded { .. }
            | Decision::Unknown { .. }
            | Decision::Away { .. }
            | Decision::PassedOver { .. } => None,
        });
        let mut issued: Vec<String> = issued.collect();
        issued.sort();
        issued
    }

    fn hold(&self, server: &str) -> Option<(Cause, String)> {
        let hold = self.fleet.hold(ID, &name(server), &self.live, self.now);
        hold.map(|hold| (hold.cause, hold.why))
    }

    fn issue(&mut self, server: &str) -> Generation {
        let target = name(server);
        let generation = self.fleet.next_generation(&target);
        self.take(&Record::BundleIssued {
            rollout: ID,
            phase: self.plan.targets[&target].phases[0].phase,
            target,
            generation,
            bundle: BundleId(Digest::of(server.as_bytes())),
            expires: self.now.plus(Duration::from_secs(86_400)),
        });
        generation
    }

    fn skip(&mut self, server: &str) {
        self.take(&Record::Ordered {
            rollout: ID,
            order: Order::Skip {
                target: name(server),
                reason: "x".to_owned(),
            },
            by: "root".to_owned(),
        });
    }
}

/// It serves and is old; the other one is new and about to serve.
const TWO: [Is; 2] = [
    ("s1.a.test", Some(OLD), Some(true)),
    ("s2.a.test", None, Some(false)),
];

#[test]
fn the_only_one_that_serves_waits_for_the_one_that_is_about_to() {
    let world = World::new(&TWO, "", "");
    let (cause, why) = world.hold("s1.a.test").unwrap();
    assert_eq!(cause, Cause::OthersServeFirst);
    assert_eq!(
        why,
        "0 other agents are seen to serve a.test (by their own pulses; not seen in tenant), 1 must keep serving; more that serve lift it (G2); s2.a.test is to serve it too and goes first"
    );
    assert_eq!(world.offered(), ["s2.a.test"]);
    // Also while that one is under way, and until it serves.
    let mut world = World::new(&TWO, "", "");
    world.issue("s2.a.test");
    assert_eq!(world.offered(), [""; 0]);
    world
        .live
        .pulses
        .get_mut(&name("s2.a.test"))
        .unwrap()
        .serving = true;
    assert_eq!(world.offered(), ["s1.a.test"]);
}

#[test]
fn how_a_domain_is_served_just_now_is_counted_on_pulses_that_are_fresh() {
    let mut world = World::new(&TWO, "", "");
    let row = |world: &World| {
        let rows = world.fleet.serving(ID, &world.live, world.now);
        let [row] = rows.as_slice() else {
            panic!("one domain: {rows:?}")
        };
        (
            row.domain.to_string(),
            row.serving,
            row.servers,
            row.min_serving,
        )
    };
    let of = |serving| ("a.test".to_owned(), serving, 2, 1);
    assert_eq!(row(&world), of(1));
    world.now = NOW.plus(protocol::limits::FRESH_FACTS);
    assert_eq!(row(&world), of(1));
    world.now = world.now.plus(Duration::from_millis(1));
    assert_eq!(row(&world), of(0));
    assert!(
        world
            .fleet
            .serving(RolloutId(9), &world.live, NOW)
            .is_empty()
    );
}

#[test]
fn what_has_begun_waits_for_nobody_who_is_to_serve() {
    let mut world = World::new(&TWO, "", "");
    let generation = world.issue("s1.a.test");
    let target = name("s1.a.test");
    let ended = Event::RunFinished {
        generation,
        ending: protocol::signed::Ending::Completed,
        receipt: String::new(),
    };
    let record = common::told(&target, 1, NOW, &ended);
    world.take(&record);
    assert!(world.plan.targets[&target].phases.len() > 1);
    assert_eq!(world.offered(), ["s1.a.test", "s2.a.test"]);
}

#[test]
fn whoever_does_not_serve_or_leaves_enough_who_do_waits_for_nobody() {
    let both = ["s1.a.test", "s2.a.test"];
    for pulse in [Some(false), None] {
        let world = World::new(&[("s1.a.test", Some(OLD), pulse), TWO[1]], "", "");
        assert_eq!(world.offered(), both, "{pulse:?}");
    }
    let third = ("s3.a.test", Some(common::AGENT), Some(true));
    let world = World::new(&[TWO[0], TWO[1], third], "", "");
    assert!(
        world
            .plan
            .domains
            .values()
            .all(|part| part.min_serving == 2)
    );
    let offered = world.offered();
    assert!(
        !offered.contains(&"s1.a.test".to_owned()),
        "two of three must"
    );
}

/// One that nobody hears, that is frozen, that is at its end, that goes, or that has nothing to be done is not about to serve.
#[test]
fn nobody_waits_for_one_that_will_not_serve() {
    let silent = ("s2.a.test", None, None);
    let world = World::new(&[TWO[0], silent], "", "");
    assert_eq!(world.offered(), ["s1.a.test", "s2.a.test"]);

    let mut world = World::new(&TWO, "", "");
    let freeze = Event::Frozen(Freeze {
        until: NOW.plus(Duration::from_secs(3600)),
        by: "bob".to_owned(),
        why: "x".to_owned(),
    });
    let record = common::told(&name("s2.a.test"), 1, NOW, &freeze);
    world.take(&record);
    assert_eq!(world.offered(), ["s1.a.test"]);

    let mut world = World::new(&TWO, "", "");
    world.skip("s2.a.test");
    assert_eq!(world.offered(), ["s1.a.test"]);

    // Its agent is as new as is wanted, and does not run: it is looked at, and nothing is changed there.
    let down = ("s2.a.test", Some(common::AGENT), Some(false));
    let world = World::new(&[TWO[0], down], "", "");
    assert!(world.plan.targets[&name("s2.a.test")].is_read_only());
    assert!(world.offered().contains(&"s1.a.test".to_owned()));

    let leaves = ("s3.a.test", Some(OLD), Some(false));
    let serves = ("s2.a.test", Some(common::AGENT), Some(false));
    let world = World::new(&[TWO[0], serves, leaves], "retired = [\"s3.a.test\"]", "");
    assert!(world.plan.targets[&name("s3.a.test")].retires());
    assert!(world.offered().contains(&"s1.a.test".to_owned()));
}

const WAVES: &str = "waves = [{ ring = \"1\" }, { ring = \"2\" }, { rest = true }]\n";

fn rings() -> String {
    [("a", "s1", "1"), ("b", "t1", "2"), ("c", "s2", "3")]
        .map(|(group, server, ring)| {
            let domain = if group == "b" { "b" } else { "a" };
            format!("[agents.{group}]\nlabels = {{ ring = \"{ring}\" }}\nserves = [\"{domain}.test\"]\nhosts = [\"{server}.{domain}.test\"]\n")
        })
        .concat()
}

/// The wait would look as if it passed.
#[test]
fn nobody_waits_for_one_that_waits_for_others_itself() {
    let servers = [TWO[0], TWO[1], ("t1.b.test", Some(OLD), Some(true))];
    let world = World::of(&servers, &rings(), WAVES);
    assert_eq!(
        world.offered(),
        ["s1.a.test"],
        "the other one is in a later wave"
    );

    // It has begun while those before it were away, and goes on whatever wave is open now.
    let mut world = World::of(&servers, &rings(), WAVES);
    for away in ["s1.a.test", "t1.b.test"] {
        world
            .live
            .left(&name(away), NOW.minus(Duration::from_secs(3000)));
    }
    assert_eq!(world.offered(), ["s2.a.test"]);
    let generation = world.issue("s2.a.test");
    for back in ["s1.a.test", "t1.b.test"] {
        world.live.came(name(back), NOW);
        let pulse = Pulse {
            serving: true,
            at: NOW,
        };
        world.live.pulses.insert(name(back), pulse);
    }
    assert_eq!(world.hold("s1.a.test").unwrap().0, Cause::OthersServeFirst);
    // The same between two of its phases.
    let ended = Event::RunFinished {
        generation,
        ending: protocol::signed::Ending::Completed,
        receipt: String::new(),
    };
    let record = common::told(&name("s2.a.test"), 1, NOW, &ended);
    world.take(&record);
    assert_eq!(world.hold("s1.a.test").unwrap().0, Cause::OthersServeFirst);
}

// --- leave ---

const THREE: [Is; 3] = [
    ("s1.a.test", Some(OLD), Some(true)),
    ("s2.a.test", Some(OLD), Some(true)),
    ("s3.a.test", Some(OLD), Some(true)),
];

fn outage() -> Section {
    Section {
        outage: true,
        gmsa: None,
    }
}

impl World {
    /// It asks for leave of that kind, under a bundle that is open.
    fn asks(&mut self, server: &str, section: Section) {
        let generation = self.issue(server);
        let (step, attempt) = (StepIndex(0), Attempt(1));
        self.fleet
            .asks_permit(&name(server), generation, step, attempt, section);
    }

    /// Who is given leave now, with on what it rests that enough others serve; each is recorded.
    fn permits(&mut self) -> Vec<(String, Vec<String>)> {
        let mut given = Vec::new();
        for decision in self.fleet.decide(&self.live, self.now) {
            let Decision::Permit {
                target,
                gate,
                rests_on,
                ..
            } = decision
            else {
                continue;
            };
            let record = Record::PermitGiven {
                target: target.clone(),
                generation: gate.generation,
                step: gate.step,
                attempt: gate.attempt,
                section: gate.section,
                lapses: self.now.plus(PERMIT_LIFE),
                rests_on: rests_on.clone(),
            };
            self.take(&record);
            given.push((target.to_string(), rests_on));
        }
        given
    }

    /// The word for it, and more about it.
    fn shown(&self, server: &str) -> (String, String) {
        let view = self.fleet.view(ID, &self.live, self.now).unwrap();
        let mut rows = view.targets.into_iter();
        let row = rows.find(|row| row.target == name(server)).unwrap();
        (row.state, row.detail)
    }

    fn waits(&self, server: &str) -> (Cause, bool) {
        let asked = self.fleet.asked_now();
        let target = name(server);
        let gates = std::collections::BTreeMap::new();
        let hold = self
            .fleet
            .permit_hold(&target, &asked[&target], &gates, &self.live, self.now);
        let hold = hold.unwrap();
        (hold.cause, hold.in_turn)
    }
}

#[test]
fn of_those_that_ask_at_once_as_many_go_as_leave_enough_and_the_others_come_when_they_are_back() {
    let mut world = World::new(&THREE, "", "");
    for (server, ..) in THREE {
        world.asks(server, outage());
    }
    let given = world.permits();
    let rests_on = "2 other agents serve a.test (by their own pulses; not seen in tenant), 2 must";
    assert_eq!(given, [("s1.a.test".to_owned(), vec![rests_on.to_owned()])]);
    let row = world.fleet.why(&name("s2.a.test"), &world.live, world.now);
    let lifts = row.unwrap().lifts.unwrap();
    assert_eq!(lifts.cause, Cause::ServiceComesBack);
    let shown = world.shown("s2.a.test");
    assert_eq!(shown.0, "offered");
    assert!(
        shown.1.starts_with("waits for leave: 1 other agents"),
        "{shown:?}"
    );
    let view = world.fleet.view(ID, &world.live, world.now).unwrap();
    let waits = |row: &TargetView| (row.waits_for_leave, row.is_held());
    let waits: Vec<_> = view.targets.iter().map(waits).collect();
    assert_eq!(waits, [(false, false), (true, false), (true, false)]);
    // Leave that lapses is leave no more, from that very moment on.
    world.now = NOW.plus(PERMIT_LIFE).minus(Duration::from_millis(1));
    let fresh = |world: &mut World| {
        let now = world.now;
        world
            .live
            .pulses
            .values_mut()
            .for_each(|pulse| pulse.at = now);
    };
    fresh(&mut world);
    assert_eq!(world.permits(), []);
    world.now = NOW.plus(PERMIT_LIFE);
    fresh(&mut world);
    assert_eq!(world.permits().len(), 1);
}

/// Whoever is out of service and away comes back by nothing of its own.
#[test]
fn service_does_not_come_back_by_itself_where_all_who_are_out_are_away() {
    let mut world = World::new(&THREE, "", "");
    for server in ["s1.a.test", "s2.a.test"] {
        world.asks(server, outage());
    }
    assert_eq!(world.permits().len(), 1, "s1.a.test goes");
    let entered = Event::SectionEntered {
        generation: world.fleet.open(&name("s1.a.test")).unwrap().generation,
        step: StepIndex(0),
        section: outage(),
    };
    let record = common::told(&name("s1.a.test"), 1, NOW, &entered);
    world.take(&record);
    assert_eq!(world.shown("s2.a.test").0, "offered");
    world.live.left(&name("s1.a.test"), NOW);
    world.now = NOW.plus(UNREACHABLE_AFTER);
    let now = world.now;
    world
        .live
        .pulses
        .values_mut()
        .for_each(|pulse| pulse.at = now);
    let shown = world.shown("s2.a.test");
    assert_eq!(shown.0, "held");
    assert!(
        shown.1.contains("s1.a.test is unreachable: away since"),
        "{shown:?}"
    );
    let why = world.fleet.why(&name("s2.a.test"), &world.live, world.now);
    let lifts = why.unwrap().lifts.unwrap();
    assert_eq!(lifts.cause, Cause::ServiceComesBack);
    assert!(lifts.who.contains(&Lifter::Agent) && lifts.who.contains(&Lifter::Approvers));
    assert!(!lifts.who.contains(&Lifter::Work));
}

/// Too few serve: that passes while agents have not had the time to tell what they do, and needs somebody after that.
#[test]
fn too_few_that_serve_is_said_to_pass_only_where_it_does() {
    let mut world = World::new(&THREE, "", "");
    world.asks("s1.a.test", outage());
    world.live.pulses.clear();
    world.live.began = NOW;
    assert_eq!(world.waits("s1.a.test"), (Cause::ServiceComesBack, true));
    world.now = NOW
        .plus(protocol::limits::FRESH_FACTS)
        .minus(Duration::from_millis(1));
    assert_eq!(world.waits("s1.a.test"), (Cause::ServiceComesBack, true));
    for later in [Duration::ZERO, Duration::from_secs(3600)] {
        world.now = NOW.plus(protocol::limits::FRESH_FACTS).plus(later);
        assert_eq!(world.waits("s1.a.test"), (Cause::TooFewServe, false));
        let shown = world.shown("s1.a.test");
        assert_eq!(shown.0, "held");
        assert!(shown.1.starts_with("0 other agents"), "{shown:?}");
    }
}

/// Whoever has left its section, or has come, just now tells in a moment what its product does: nobody has to do anything. Whoever says
/// nothing is waited for no longer than a word counts.
#[test]
fn service_of_whoever_tells_soon_what_it_does_comes_by_itself() {
    const FRESH: Duration = protocol::limits::FRESH_FACTS;
    let mut world = World::new(&THREE, "", "");
    let goes_on = |world: &mut World, time: Duration| {
        world.now = world.now.plus(time);
        let now = world.now;
        let pulses = world.live.pulses.values_mut();
        pulses.for_each(|pulse| pulse.at = now);
    };
    goes_on(&mut world, Duration::from_secs(3600));
    world.asks("s1.a.test", outage());
    let other = name("s2.a.test");
    let left = Event::SectionLeft {
        generation: Generation(1),
        step: StepIndex(0),
        gmsa: None,
    };
    world.live.heard(&other, &left);
    assert_eq!(world.waits("s1.a.test"), (Cause::ServiceComesBack, true));
    assert_eq!(world.shown("s1.a.test").0, "offered");
    // Another one that it leaves before it has told gives it no more time.
    goes_on(&mut world, FRESH / 2);
    world.live.heard(&other, &left);
    assert_eq!(world.waits("s1.a.test"), (Cause::ServiceComesBack, true));
    goes_on(&mut world, FRESH / 2);
    assert_eq!(world.waits("s1.a.test"), (Cause::TooFewServe, false));
    world.live.left(&other, world.now);
    assert_eq!(world.waits("s1.a.test"), (Cause::TooFewServe, false));
    world.live.came(other.clone(), world.now);
    assert_eq!(world.waits("s1.a.test"), (Cause::ServiceComesBack, true));
    // It has told, and does not serve.
    let pulse = Pulse {
        serving: false,
        at: world.now,
    };
    world.live.pulses.insert(other, pulse);
    assert_eq!(world.waits("s1.a.test"), (Cause::TooFewServe, false));
}

/// Its session ended, or what it has journaled while it was away is not here yet: what it says it does may be of before.
#[test]
fn a_pulse_of_whoever_is_not_here_counts_for_nobody() {
    let serves = ("s2.a.test", Some(common::AGENT), Some(true));
    let mut world = World::new(&[TWO[0], serves], "", "");
    world.asks("s1.a.test", outage());
    let serving = |world: &World| world.fleet.serving(ID, &world.live, world.now)[0].serving;
    assert_eq!(serving(&world), 2);
    assert!(world.live.connected.remove(&name("s2.a.test")));
    assert_eq!(serving(&world), 1);
    assert_eq!(world.waits("s1.a.test").0, Cause::TooFewServe);
    assert_eq!(world.permits(), []);
    world.live.came(name("s2.a.test"), NOW);
    assert_eq!(world.permits().len(), 1);

    // Nor is it waited for as one that is about to serve, and one that nobody hears any more is not either.
    let mut world = World::new(&TWO, "", "");
    assert_eq!(world.hold("s1.a.test").unwrap().0, Cause::OthersServeFirst);
    assert!(world.live.connected.remove(&name("s2.a.test")));
    assert_eq!(world.offered(), ["s1.a.test"]);
    let mut world = World::new(&TWO, "", "");
    let stale = NOW.minus(protocol::limits::FRESH_FACTS + Duration::from_millis(1));
    world.live.pulses.get_mut(&name("s2.a.test")).unwrap().at = stale;
    assert!(world.offered().contains(&"s1.a.test".to_owned()));
}

/// What an agent asked for outlives the state that heard it, since it does not ask again while its session lasts.
#[test]
fn what_was_asked_for_is_taken_up_by_a_state_that_is_made_anew() {
    let mut world = World::new(&THREE, "", "");
    let gmsa = Some(GmsaObject {
        domain: "a.test".parse().unwrap(),
        name: None,
    });
    let section = Section {
        outage: false,
        gmsa,
    };
    world.asks("s1.a.test", section);
    let asked = world.fleet.asked_now();
    assert_eq!(
        asked.keys().collect::<BTreeSet<_>>(),
        [&name("s1.a.test")].into()
    );
    world.fleet.forget_asked(&name("s1.a.test"));
    assert_eq!(world.permits(), []);
    world.fleet.still_asked(asked);
    let given = world.permits();
    assert_eq!(
        given,
        [("s1.a.test".to_owned(), Vec::new())],
        "nothing goes out of service"
    );
    assert_eq!(world.permits(), [], "it has its leave");
}
