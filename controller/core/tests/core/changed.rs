//! The world changes while a rollout runs: each guard rail that would be broken then holds, by its name, and lets go on what is right
//! again. Here is what is found when an offer is due, when one was made and nobody has accepted it yet, and when leave is asked for.
//! What tenants show (G7, G8) has its stories where it is read (`scopes.rs`, `probes.rs`).
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::sync::Arc;
use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Decision, Fleet, Lifts, Live, Pulse, Unaccepted};
use controller_core::overrides::Rule;
use controller_core::plan::{Inputs, Plan, Purpose, failover, plan, switch};
use controller_core::policy;
use controller_core::rails::Rail;
use controller_core::record::{Order, Record};
use controller_core::tenant::{
    AgentSeen, Configuration, Job, Observation, Organization, Part, Units,
};
use controller_core::topology::parse;
use controller_core::versions::Versions;
use protocol::event::{DiscoveredServer, Event, GmsaObject, Section};
use protocol::facts::{ConnectFacts, Facts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::settings::ConnectSettings;
use protocol::signed::Ending;
use protocol::step::{Product, Step};
use protocol::task::TaskText;
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const OTHER: &str = "77aa0000-0000-0000-0000-000000000000";
const OLD: Version = Version::new(2, 5, 79, 0);
const ID: RolloutId = RolloutId(1);
const STEP: StepIndex = StepIndex(1);
/// Another rollout of the same servers.
const BESIDE: RolloutId = RolloutId(2);

fn id(name: &str) -> TargetId {
    name.parse().unwrap()
}

fn agent(tenant: &str) -> Facts {
    let agent = ProvisioningAgentFacts {
        tenant: tenant.parse().ok(),
        ..common::old_agent()
    };
    common::facts(Some(agent), None)
}

/// A tenant with two Connect servers.
const TWO: &str =
    "[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\", \"c2.a.test\"]\n";

/// The first of them is active, and the other one staging.
fn first_active(server: &TargetId) -> Facts {
    connect(Some(common::CONNECT), Some(server.as_str() != "c1.a.test"))
}

fn connect(version: Option<Version>, staging: Option<bool>) -> Facts {
    let connect = ConnectFacts {
        version,
        service: Some(ServiceState::Running),
        staging,
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    common::facts(None, Some(connect))
}

struct World {
    fleet: Fleet,
    live: Live,
    plan: Plan,
    told: u64,
}

impl World {
    fn new(
        text: &str,
        facts: impl Fn(&TargetId) -> Facts,
        make: impl FnOnce(Inputs<'_>) -> Plan,
    ) -> Self {
        let text = format!("[tenant.main]\nid = \"{TENANT}\"\n{text}");
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        let limits = "[limit]\nfailures = \"9\"\nin_flight = 9\ncanary = 0\n";
        let (policy, findings) = policy::parse(&common::document(limits));
        assert!(findings.is_empty(), "{findings:?}");
        let mut known = Fleetwide::new();
        let mut records = Vec::new();
        for target in topology.targets() {
            let key = SigningKey::generate().public();
            let of = Known {
                facts: Some((NOW, facts(&target))),
                ..Known::of(key.fingerprint())
            };
            records.push(common::enrolled(&target, key));
            known.insert(target, of);
        }
        let artifacts = common::artifacts();
        let inputs = Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Install);
        let pulse = Pulse {
            serving: true,
            at: NOW,
        };
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                connected: known.keys().cloned().collect(),
                pulses: known.keys().map(|one| (one.clone(), pulse)).collect(),
                began: NOW.minus(Duration::from_secs(3600)),
                ..Live::default()
            },
            plan: make(inputs),
            told: 0,
        };
        for record in records {
            world.take(&record);
        }
        for target in known.keys() {
            world.reports(target.as_str(), facts(target));
        }
        world.take(&common::applied(ID, &world.plan));
        world
    }

    /// Three old agents that serve one domain.
    fn agents() -> Self {
        let text = "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\", \"s3.a.test\"]\n";
        Self::new(text, |_| agent(TENANT), plan)
    }

    /// A server on which a person installs the tenant's active Connect.
    fn installs() -> Self {
        let text = "[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\"]\nsettings = \"express\"\n";
        Self::new(text, |_| common::facts(None, None), plan)
    }

    /// The second server is to become active in place of the first, which is in staging mode by now: all is done that comes before.
    fn swaps() -> Self {
        let mut world = Self::new(TWO, first_active, |inputs| {
            switch(inputs, &id("c2.a.test")).unwrap()
        });
        for server in ["c2.a.test", "c1.a.test", "c1.a.test"] {
            world.runs(server);
        }
        world.reports("c1.a.test", connect(Some(common::CONNECT), Some(true)));
        world.runs("c2.a.test");
        world
    }

    fn take(&mut self, record: &Record) {
        self.fleet.apply(record, Some(&self.plan), NOW);
    }

    fn tells(&mut self, server: &str, event: &Event) {
        self.told += 1;
        self.take(&common::told(&id(server), self.told, NOW, event));
    }

    fn reports(&mut self, server: &str, facts: Facts) {
        self.tells(server, &Event::FactsReported(Box::new(facts)));
    }

    fn serves(&mut self, server: &str, serving: bool) {
        let pulse = Pulse { serving, at: NOW };
        self.live.pulses.insert(id(server), pulse);
    }

    fn issue(&mut self, rollout: RolloutId, server: &str) -> Generation {
        let target = id(server);
        let generation = self.fleet.next_generation(&target);
        let place = self.fleet.rollouts()[&rollout].work[&target].phase;
        self.take(&Record::BundleIssued {
            rollout,
            phase: self.plan.targets[&target].phases[place].phase,
            target,
            generation,
            bundle: BundleId(Digest::of(&generation.0.to_be_bytes())),
            expires: NOW.plus(Duration::from_secs(3600)),
        });
        generation
    }

    fn ends(&mut self, server: &str) {
        let generation = self.fleet.open(&id(server)).unwrap().generation;
        let ended = Event::RunFinished {
            generation,
            ending: Ending::Completed,
            receipt: String::new(),
        };
        self.tells(server, &ended);
    }

    /// A run from its beginning to its end; all servers tell the same settings.
    fn runs(&mut self, server: &str) {
        let target = id(server);
        let place = self.fleet.rollouts()[&ID].work[&target].phase;
        let steps = &self.plan.targets[&target].phases[place].steps;
        let reads = steps.contains(&Step::ReadConnectSettings);
        let generation = self.issue(ID, server);
        if reads {
            let read = Event::ConnectSettingsRead {
                generation,
                step: StepIndex(0),
                settings: Box::new(ConnectSettings::of(Vec::new(), Vec::new())),
            };
            self.tells(server, &read);
        }
        self.ends(server);
    }

    /// Its runs until a person is to take it out of staging mode.
    fn runs_up_to_the_wizard(&mut self, server: &str) {
        let part = self.plan.targets[&id(server)].clone();
        let place = |world: &Self| world.fleet.rollouts()[&ID].work[&id(server)].phase;
        while !part.switches_to_active_in(place(self)) {
            self.runs(server);
        }
    }

    /// It is offered its next phase just now.
    fn is_offered(&self, server: &str) -> bool {
        let decisions = self.fleet.decide(&self.live, NOW);
        decisions.iter().any(|one| {
            matches!(one, Decision::Issue { rollout: ID, target, .. } if *target == id(server))
        })
    }

    /// It asks for leave, and gets it.
    fn gets_leave(&mut self, server: &str, section: &Section) -> bool {
        let target = id(server);
        let generation = self.fleet.open(&target).unwrap().generation;
        let section = section.clone();
        self.fleet
            .asks_permit(&target, generation, STEP, Attempt(1), section);
        let decisions = self.fleet.decide(&self.live, NOW);
        decisions
            .iter()
            .any(|one| matches!(one, Decision::Permit { target: one, .. } if *one == target))
    }

    /// What is shown of it names the rail, what lifts that and who can.
    fn is_held_by(&self, rail: Rail, server: &str) {
        let why = self.fleet.why(&id(server), &self.live, NOW).unwrap();
        let lifts = why.lifts.unwrap();
        assert!(lifts.cause.rails().contains(&rail), "{rail}: {lifts:?}");
        assert_eq!(lifts, Lifts::from(lifts.cause));
        assert!(why.answer.contains(rail.as_str()), "{rail}: {}", why.answer);
    }

    /// An offer that is due waits while the world is so, and is made when it is as it was; and one that was made meanwhile is taken back
    /// and made anew.
    fn offer_holds(
        &mut self,
        rail: Rail,
        server: &str,
        spoil: impl Fn(&mut Self),
        mend: impl Fn(&mut Self),
    ) {
        assert!(self.is_offered(server), "{rail}: it could go on");
        spoil(self);
        assert!(!self.is_offered(server), "{rail}: it goes on all the same");
        self.is_held_by(rail, server);
        mend(self);
        assert!(self.is_offered(server), "{rail}: it does not go on again");
        let generation = self.issue(ID, server);
        let back = |world: &Self| {
            let (live, target) = (&world.live, id(server));
            let back = world.fleet.unaccepted(&target, Generation(0), live, NOW);
            back.unwrap()
        };
        assert!(matches!(back(self), Unaccepted::Offer(_)), "{rail}");
        spoil(self);
        assert_eq!(back(self), Unaccepted::Withdraw(generation), "{rail}");
        let target = id(server);
        self.take(&Record::Withdrawn { target, generation });
        self.is_held_by(rail, server);
        mend(self);
        assert!(self.is_offered(server), "{rail}: it is not made anew");
    }

    /// A person is at the wizard of a server: its bundle is open, and its task.
    fn opens_wizard(&mut self, server: &str) {
        self.opens_task(server, |step| matches!(step, Step::GuideConnect(_)));
    }

    /// A person is asked for something at the first step of that kind.
    fn opens_task(&mut self, server: &str, at: impl Fn(&Step) -> bool) {
        let generation = self.issue(ID, server);
        let target = id(server);
        let place = self.fleet.rollouts()[&ID].work[&target].phase;
        let steps = &self.plan.targets[&target].phases[place].steps;
        let step = steps.iter().position(at);
        let step = StepIndex(u16::try_from(step.unwrap()).unwrap());
        let text = Box::new(TaskText {
            title: "at the wizard".to_owned(),
            why: "the vendor leaves it to a person".to_owned(),
            bring: Vec::new(),
            pages: Vec::new(),
            seen_by: "the scheduler".to_owned(),
        });
        self.tells(
            server,
            &Event::TaskOpened {
                generation,
                step,
                text,
            },
        );
    }

    /// Whoever is at a wizard is told not to go on while the world is so, in every view, and goes on by itself when it is as it was, or
    /// under an override.
    fn wizard_waits(
        mut self,
        server: &str,
        spoil: impl Fn(&mut Self),
        mend: impl Fn(&mut Self),
        says: &str,
    ) {
        let target = id(server);
        // The installation is prepared before its wizard.
        while !self.is_at_a_wizard(server) {
            self.runs(server);
        }
        self.take(&common::applied(BESIDE, &self.plan));
        let skip = Order::Skip {
            target: target.clone(),
            reason: "it is in another rollout".to_owned(),
        };
        self.take(&Record::Ordered {
            rollout: BESIDE,
            order: skip,
            by: "anna".to_owned(),
        });
        self.opens_wizard(server);
        let stop = |world: &Self| world.fleet.tasks(NOW).remove(0).stop;
        let goes_on = |world: &Self, why: &str| {
            assert_eq!(stop(world), None, "{says}: {why}");
            let attests = world.fleet.may_attest(&target, NOW);
            assert!(attests.is_ok(), "{says}: {why}: {attests:?}");
            let view = world.fleet.view(ID, &world.live, NOW).unwrap();
            let row = view.targets.iter().find(|row| row.target == target);
            assert_ne!(row.unwrap().state, "held", "{says}: {why}");
            let alarms = world.fleet.alarms(NOW);
            assert!(
                !alarms.iter().any(|one| one.contains("do not go on")),
                "{alarms:?}"
            );
        };
        goes_on(&self, "all is well");
        spoil(&mut self);
        let told = stop(&self).expect("it is told to stop");
        assert!(
            told.contains("do not go on") && told.contains(says),
            "{told}"
        );
        let refused = self.fleet.may_attest(&target, NOW).unwrap_err();
        assert!(refused.contains(says), "{refused}");
        self.is_held_by(Rail::G1, server);
        let view = self.fleet.view(ID, &self.live, NOW).unwrap();
        let row = view.targets.iter().find(|row| row.target == target);
        assert_eq!(row.unwrap().state, "held");
        // What another rollout came to there is none of that.
        let view = self.fleet.view(BESIDE, &self.live, NOW).unwrap();
        let row = view.targets.iter().find(|row| row.target == target);
        assert_eq!(row.unwrap().state, "skipped");
        let alarms = self.fleet.alarms(NOW);
        let alarm = |one: &String| one.starts_with(server) && one.contains("do not go on");
        assert!(alarms.iter().any(alarm), "{alarms:?}");
        mend(&mut self);
        goes_on(&self, "it is right again");
        spoil(&mut self);
        assert!(stop(&self).is_some());
        self.take(&Record::OverrideSaid {
            rule: Rule::G1,
            target: target.clone(),
            by: "anna".to_owned(),
            asked: 1,
            change: "CHG1".to_owned(),
            reason: "the other one is off".to_owned(),
        });
        goes_on(&self, "it is overridden");
        let later = NOW.plus(Duration::from_secs(2 * 3600));
        assert!(
            self.fleet.may_attest(&target, later).is_err(),
            "its hour is over"
        );
    }

    fn is_at_a_wizard(&self, server: &str) -> bool {
        let target = id(server);
        let place = self.fleet.rollouts()[&ID].work[&target].phase;
        let steps = &self.plan.targets[&target].phases[place].steps;
        steps
            .iter()
            .any(|step| matches!(step, Step::GuideConnect(_)))
    }

    /// Leave is not given while the world is so, and is when it is as it was.
    fn leave_holds(
        &mut self,
        rail: Rail,
        server: &str,
        section: &Section,
        spoil: impl Fn(&mut Self),
        mend: impl Fn(&mut Self),
    ) {
        assert!(self.gets_leave(server, section), "{rail}: it could go on");
        spoil(self);
        assert!(!self.gets_leave(server, section), "{rail}: it gets leave");
        self.is_held_by(rail, server);
        mend(self);
        assert!(
            self.gets_leave(server, section),
            "{rail}: it gets none again"
        );
    }
}

fn outage() -> Section {
    Section {
        outage: true,
        gmsa: None,
    }
}

#[test]
fn g1_while_another_server_is_active_or_cannot_be_told_or_is_unknown_none_becomes_active() {
    for staging in [Some(false), None] {
        let mut world = World::swaps();
        world.offer_holds(
            Rail::G1,
            "c2.a.test",
            |world| world.reports("c1.a.test", connect(Some(common::CONNECT), staging)),
            |world| world.reports("c1.a.test", connect(Some(common::CONNECT), Some(true))),
        );
    }
    let names = |world: &mut World, servers: &[&str]| {
        let server = |name: &&str| DiscoveredServer {
            name: (*name).to_owned(),
            product: Product::Connect,
            source: "a description".to_owned(),
        };
        let told = Event::Discovered {
            generation: Generation(9),
            step: STEP,
            domain: "a.test".parse().unwrap(),
            servers: servers.iter().map(server).collect(),
            unread: Vec::new(),
        };
        world.tells("c1.a.test", &told);
    };
    for (mut world, server) in [
        (World::swaps(), "c2.a.test"),
        (World::installs(), "c1.a.test"),
    ] {
        world.offer_holds(
            Rail::G1,
            server,
            |world| names(world, &["OLD-99"]),
            |world| names(world, &[]),
        );
        world.issue(ID, server);
        let section = Section {
            outage: false,
            gmsa: None,
        };
        world.leave_holds(
            Rail::G1,
            server,
            &section,
            |world| names(world, &["OLD-99"]),
            |world| names(world, &[]),
        );
    }
}

/// A wizard may be open for days: whoever is at it is told at once not to go on, what they say does not count until it is right again,
/// and nobody has to order anything for it to go on.
#[test]
fn g1_at_an_open_wizard_nobody_goes_on_while_it_would_be_broken() {
    type Change = fn(&mut World);
    let stranger = |servers: &[&str]| {
        let server = |name: &&str| DiscoveredServer {
            name: (*name).to_owned(),
            product: Product::Connect,
            source: "a description".to_owned(),
        };
        Event::Discovered {
            generation: Generation(9),
            step: STEP,
            domain: "a.test".parse().unwrap(),
            servers: servers.iter().map(server).collect(),
            unread: Vec::new(),
        }
    };
    let found = stranger(&["OLD-99"]);
    let gone = stranger(&[]);
    let reports: [(Change, Change, &str); 2] = [
        (
            |world| world.reports("c1.a.test", connect(Some(common::CONNECT), Some(false))),
            |world| world.reports("c1.a.test", connect(Some(common::CONNECT), Some(true))),
            "c1.a.test is the tenant's active Connect server",
        ),
        (
            |world| world.reports("c1.a.test", connect(Some(common::CONNECT), None)),
            |world| world.reports("c1.a.test", connect(Some(common::CONNECT), Some(true))),
            "whether it is active cannot be told",
        ),
    ];
    let (spoil, mend) = (
        |world: &mut World| world.tells("c1.a.test", &found),
        |world: &mut World| world.tells("c1.a.test", &gone),
    );
    for (world, server) in [
        (World::swaps(), "c2.a.test"),
        (World::installs(), "c1.a.test"),
    ] {
        world.wizard_waits(server, spoil, mend, "OLD-99");
    }
    for (spoil, mend, says) in reports {
        World::swaps().wizard_waits("c2.a.test", spoil, mend, says);
    }
    // Who goes to staging mode makes nobody active, and may go on.
    let mut first = World::new(TWO, first_active, |inputs| {
        switch(inputs, &id("c2.a.test")).unwrap()
    });
    for server in ["c2.a.test", "c1.a.test"] {
        first.runs(server);
    }
    first.opens_wizard("c1.a.test");
    first.reports("c2.a.test", connect(Some(common::CONNECT), None));
    assert!(first.fleet.must_stop(&id("c1.a.test"), NOW).is_none());
    assert!(first.fleet.may_attest(&id("c1.a.test"), NOW).is_ok());
    // Nor does who is asked for something before the wizard.
    let mut before = World::installs();
    assert!(!before.is_at_a_wizard("c1.a.test"));
    before.opens_task("c1.a.test", |_| true);
    before.tells("c1.a.test", &found);
    assert!(before.fleet.must_stop(&id("c1.a.test"), NOW).is_none());
}

#[test]
fn g2_while_too_few_others_serve_nobody_goes_out_of_service() {
    let mut world = World::agents();
    world.issue(ID, "s1.a.test");
    world.leave_holds(
        Rail::G2,
        "s1.a.test",
        &outage(),
        |world| world.serves("s2.a.test", false),
        |world| world.serves("s2.a.test", true),
    );
    // One that said nothing for a minute is not known to serve.
    world.leave_holds(
        Rail::G2,
        "s1.a.test",
        &outage(),
        |world| {
            world.live.pulses.get_mut(&id("s2.a.test")).unwrap().at =
                NOW.minus(Duration::from_secs(61));
        },
        |world| world.serves("s2.a.test", true),
    );
}

#[test]
fn g3_while_another_server_changes_the_same_gmsa_nobody_does() {
    let section = Section {
        outage: false,
        gmsa: Some(GmsaObject {
            domain: "a.test".parse().unwrap(),
            name: None,
        }),
    };
    let mut world = World::agents();
    world.issue(ID, "s1.a.test");
    let generation = world.issue(ID, "s2.a.test");
    let entered = Event::SectionEntered {
        generation,
        step: STEP,
        section: section.clone(),
    };
    let left = Event::SectionLeft {
        generation,
        step: STEP,
        gmsa: None,
    };
    world.leave_holds(
        Rail::G3,
        "s1.a.test",
        &section,
        |world| world.tells("s2.a.test", &entered),
        |world| world.tells("s2.a.test", &left),
    );
}

#[test]
fn g4_a_server_that_is_no_longer_what_was_verified_does_not_become_active() {
    for version in [Some(OLD), None] {
        let mut world = World::swaps();
        world.offer_holds(
            Rail::G4,
            "c2.a.test",
            |world| world.reports("c2.a.test", connect(version, Some(true))),
            |world| world.reports("c2.a.test", connect(Some(common::CONNECT), Some(true))),
        );
    }
}

#[test]
fn g5_while_a_bundle_is_open_on_a_server_no_other_begins() {
    let mut world = World::agents();
    // Somebody else's rollout is on it.
    let second = RolloutId(2);
    world.take(&common::applied(second, &world.plan));
    assert!(world.is_offered("s1.a.test"));
    let generation = world.issue(second, "s1.a.test");
    assert!(!world.is_offered("s1.a.test"));
    let hold = world
        .fleet
        .hold(ID, &id("s1.a.test"), &world.live, NOW)
        .unwrap();
    assert_eq!(hold.cause.rails(), [Rail::G5]);
    assert!(hold.why.contains("(G5)"), "{}", hold.why);
    world.ends("s1.a.test");
    assert!(world.is_offered("s1.a.test"));
    assert!(world.fleet.next_generation(&id("s1.a.test")) > generation);
}

#[test]
fn g6_a_version_that_its_vendor_takes_back_is_brought_to_nobody_more() {
    let recalled = format!(
        "checked_on = \"2026-09-01\"\n[[release]]\nversion = \"{}\"\nrecalled = \"it breaks\"\nproduct = \"provisioning-agent\"\nsource = \"a page\"\ncertainty = \"vendor\"\n",
        common::AGENT
    );
    let recalled = Arc::new(Versions::parse(&recalled).unwrap());
    let spoil = |world: &mut World| world.live.versions = Some(Arc::clone(&recalled));
    let mend = |world: &mut World| world.live.versions = None;
    let mut world = World::agents();
    world.offer_holds(Rail::G6, "s1.a.test", spoil, mend);
    world.issue(ID, "s1.a.test");
    world.leave_holds(Rail::G6, "s1.a.test", &outage(), spoil, mend);
}

#[test]
fn g9_a_server_that_is_registered_elsewhere_by_now_is_left_as_it_is() {
    let spoil = |world: &mut World| world.reports("s1.a.test", agent(OTHER));
    let mend = |world: &mut World| world.reports("s1.a.test", agent(TENANT));
    let mut world = World::agents();
    world.offer_holds(Rail::G9, "s1.a.test", spoil, mend);
    assert!(world.is_offered("s2.a.test"), "the others go on");
    world.issue(ID, "s1.a.test");
    world.leave_holds(Rail::G9, "s1.a.test", &outage(), spoil, mend);
    // What was taken off leaves its tenant in the registry, and is no agent.
    let mut gone = agent(OTHER);
    let agent = gone.provisioning_agent.as_mut().unwrap();
    (agent.version, agent.service) = (None, None);
    world.reports("s1.a.test", gone);
    assert!(world.gets_leave("s1.a.test", &outage()));
}

/// Product facts 1.12: the configuration of a domain is disabled before its last agent goes.
#[test]
fn g10_the_last_agent_of_a_domain_waits_until_its_configuration_is_seen_to_be_disabled() {
    let job = |status: &str| Job {
        template: "AD2AADProvisioning".to_owned(),
        status: status.to_owned(),
        quarantined: false,
        last_success: None,
    };
    let of = |domain: &str, status: &str| Configuration {
        name: domain.to_owned(),
        jobs: Part::Seen(vec![job(status)]),
        domain: Part::Seen(domain.to_owned()),
        guard: Part::Seen(None),
        units: Part::Seen(Units::Whole),
    };
    let seen = |configurations| {
        let mut observation = Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403");
        observation.configurations = configurations;
        Record::TenantSeen {
            observation: Box::new(observation),
            by: "anna".to_owned(),
        }
    };
    let reads = |world: &mut World, status: &str| {
        world.take(&seen(Part::Seen(vec![of("A.test", status)])));
    };
    let ends = "[agents.a]\nserves = [\"a.test\"]\nhosts = []\nretired = [\"s1.a.test\"]\n";
    // A tenant that nobody reads shows nothing: whoever accepted the act was told so.
    let mut world = World::new(ends, |_| agent(TENANT), plan);
    assert!(world.plan.irreversible[0].contains("not seen in tenant: nobody has read it"));
    for at_work in ["Active", "Quarantine"] {
        world.offer_holds(
            Rail::G10,
            "s1.a.test",
            |world| reads(world, at_work),
            |world| reads(world, "Disabled"),
        );
    }
    // Whose account is shown less has seen nothing disabled, neither as a whole nor of that one.
    let unseen = Configuration {
        jobs: Part::NotSeen("403".to_owned()),
        ..of("a.test", "Active")
    };
    for less in [Part::NotSeen("403".to_owned()), Part::Seen(vec![unseen])] {
        reads(&mut world, "Disabled");
        world.take(&seen(less.clone()));
        assert!(world.is_offered("s1.a.test"), "{less:?}");
        reads(&mut world, "Active");
        world.take(&seen(less.clone()));
        assert!(!world.is_offered("s1.a.test"), "{less:?}");
    }
    for none in [
        Part::Seen(Vec::new()),
        Part::Seen(vec![of("b.test", "Active")]),
        // One that was in quarantine when it was switched off may show that still.
        Part::Seen(vec![Configuration {
            jobs: Part::Seen(vec![Job {
                quarantined: true,
                ..job("Paused")
            }]),
            ..of("a.test", "Paused")
        }]),
        // What a status does not tell stops nothing, and stands in the plan.
        Part::Seen(vec![of("a.test", "Enthusiastic")]),
    ] {
        reads(&mut world, "Active");
        assert!(!world.is_offered("s1.a.test"));
        world.take(&seen(none.clone()));
        assert!(world.is_offered("s1.a.test"), "{none:?}");
    }
    // Of two of one name, one that was not seen leaves both as they were.
    let unseen = Configuration {
        jobs: Part::NotSeen("403".to_owned()),
        ..of("a.test", "Active")
    };
    let two = |first: &str, second: &str| vec![of("a.test", first), of("a.test", second)];
    world.take(&seen(Part::Seen(two("Paused", "Active"))));
    assert!(!world.is_offered("s1.a.test"));
    world.take(&seen(Part::Seen(vec![unseen.clone(), unseen])));
    assert!(!world.is_offered("s1.a.test"));
    world.take(&seen(Part::Seen(two("Paused", "Disabled"))));
    assert!(world.is_offered("s1.a.test"));
    // Whom the tenant lists as active and nobody here knows may serve it; an agent that is gone, and its own, do not.
    for (machine, status, lifts) in [
        ("HR7", "active", true),
        ("HR7", "inactive", false),
        ("s1.a.test", "active", false),
    ] {
        let mut observation = Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403");
        observation.configurations = Part::Seen(vec![of("a.test", "Active")]);
        observation.agents = Part::Seen(vec![AgentSeen {
            machine: machine.to_owned(),
            status: status.to_owned(),
        }]);
        world.take(&Record::TenantSeen {
            observation: Box::new(observation),
            by: "anna".to_owned(),
        });
        assert_eq!(world.is_offered("s1.a.test"), lifts, "{machine} {status}");
    }
    reads(&mut world, "Disabled");
    // It has begun, and somebody switches the configuration on again.
    world.issue(ID, "s1.a.test");
    let section = Section {
        outage: true,
        gmsa: None,
    };
    world.leave_holds(
        Rail::G10,
        "s1.a.test",
        &section,
        |world| reads(world, "Active"),
        |world| reads(world, "Paused"),
    );
    // A plan that is made meanwhile says so.
    reads(&mut world, "Active");
    let beyond = world.fleet.beyond().clone();
    let planned = |text: &str| {
        let made = World::new(
            text,
            |_| agent(TENANT),
            |inputs| {
                plan(Inputs {
                    beyond: &beyond,
                    ..inputs
                })
            },
        );
        let why = &made.plan.targets[&id("s1.a.test")].why;
        why.iter()
            .any(|why| why.starts_with("held: configuration A.test of a.test is still at work"))
    };
    assert!(planned(ends));
    // Where others stay to serve it, or may do so by what a person gave them, it goes on for them.
    for stays in [
        "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s2.a.test\", \"s3.a.test\"]\nretired = [\"s1.a.test\"]\n",
        "[agents.a]\nserves = [\"a.test\"]\nhosts = []\nretired = [\"s1.a.test\"]\n[agents.b]\nserves = [\"b.test\"]\nhosts = [\"s2.a.test\", \"s3.a.test\"]\n",
    ] {
        assert!(!planned(stays), "{stays}");
        let mut world = World::new(stays, |_| agent(TENANT), plan);
        reads(&mut world, "Active");
        for _ in 0..9 {
            let others = ["s2.a.test", "s3.a.test"];
            for server in others
                .into_iter()
                .filter(|one| world.is_offered(one))
                .collect::<Vec<_>>()
            {
                world.runs(server);
            }
        }
        let why = world.fleet.why(&id("s1.a.test"), &world.live, NOW).unwrap();
        assert!(!why.answer.contains("still at work"), "{}", why.answer);
    }
}

#[test]
fn g10_what_a_tenant_shows_to_be_beyond_undoing_is_not_done_by_a_plan_that_does_not_name_it() {
    let reads = |world: &mut World, sync_enabled: bool| {
        let mut observation = Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403");
        observation.organization = Part::Seen(Organization {
            sync_enabled,
            last_sync: None,
        });
        world.take(&Record::TenantSeen {
            observation: Box::new(observation),
            by: "anna".to_owned(),
        });
    };
    let mut world = World::installs();
    assert!(world.plan.irreversible.is_empty());
    world.offer_holds(
        Rail::G10,
        "c1.a.test",
        |world| reads(world, false),
        |world| reads(world, true),
    );
    world.issue(ID, "c1.a.test");
    let section = Section {
        outage: false,
        gmsa: None,
    };
    world.leave_holds(
        Rail::G10,
        "c1.a.test",
        &section,
        |world| reads(world, false),
        |world| reads(world, true),
    );
    // Whoever reads it next and is not shown that is not the one who saw it.
    let mut world = World::installs();
    reads(&mut world, false);
    let later = NOW.plus(Duration::from_secs(2 * 3600));
    world.take(&Record::TenantSeen {
        observation: Box::new(Observation::unseen_all(
            &TENANT.parse().unwrap(),
            later,
            "403",
        )),
        by: "bert".to_owned(),
    });
    let hold = world
        .fleet
        .hold(ID, &id("c1.a.test"), &world.live, later)
        .unwrap();
    assert!(
        hold.why.contains("is off, as anna read it 2 hours ago"),
        "{}",
        hold.why
    );
    // Where the plan names it, and it was accepted, it goes.
    reads(&mut world, false);
    let text = "[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\"]\nsettings = \"express\"\n";
    let beyond = world.fleet.beyond().clone();
    let mut knows = World::new(
        text,
        |_| common::facts(None, None),
        |inputs| {
            plan(Inputs {
                beyond: &beyond,
                ..inputs
            })
        },
    );
    assert_eq!(knows.plan.irreversible.len(), 1);
    reads(&mut knows, false);
    assert!(knows.is_offered("c1.a.test"));
}

/// The second of two staging servers is to become active, and none is.
fn switches(make: impl FnOnce(Inputs<'_>) -> Plan) -> World {
    World::new(TWO, |_| connect(Some(common::CONNECT), Some(true)), make)
}

fn organization_is(sync_enabled: bool) -> Record {
    let mut observation = Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403");
    observation.organization = Part::Seen(Organization {
        sync_enabled,
        last_sync: None,
    });
    Record::TenantSeen {
        observation: Box::new(observation),
        by: "anna".to_owned(),
    }
}

#[test]
fn g10_a_swap_that_would_switch_synchronization_on_names_it_or_is_held() {
    let to_second = |inputs: Inputs<'_>| switch(inputs, &id("c2.a.test")).unwrap();
    let mut world = switches(to_second);
    assert!(world.plan.irreversible.is_empty());
    // What only looks goes on, whatever the tenant shows.
    world.take(&organization_is(false));
    world.runs_up_to_the_wizard("c2.a.test");
    world.take(&organization_is(true));
    world.offer_holds(
        Rail::G10,
        "c2.a.test",
        |world| world.take(&organization_is(false)),
        |world| world.take(&organization_is(true)),
    );
    // A plan that was made behind the reading names it, and its acceptance is asked for by number.
    world.take(&organization_is(false));
    let beyond = world.fleet.beyond().clone();
    let mut knows = switches(|inputs| {
        let beyond = &beyond;
        to_second(Inputs { beyond, ..inputs })
    });
    assert_eq!(
        knows.plan.irreversible.len(),
        1,
        "{:?}",
        knows.plan.irreversible
    );
    assert!(knows.plan.irreversible[0].contains("switched on"));
    knows.take(&organization_is(false));
    knows.runs_up_to_the_wizard("c2.a.test");
    assert!(knows.is_offered("c2.a.test"));
}

/// Where the active server is still there, it is not put into staging mode for a change that would then be held.
#[test]
fn g10_the_active_server_stays_while_its_successor_would_be_held() {
    let mut world = World::new(TWO, first_active, |inputs| {
        switch(inputs, &id("c2.a.test")).unwrap()
    });
    for server in ["c2.a.test", "c1.a.test"] {
        world.runs(server);
    }
    world.offer_holds(
        Rail::G10,
        "c1.a.test",
        |world| world.take(&organization_is(false)),
        |world| world.take(&organization_is(true)),
    );
}

/// Nobody synchronizes meanwhile: it is named and accepted by number, and what a tenant shows afterwards holds nothing.
#[test]
fn g10_a_failover_names_what_it_switches_on_and_is_held_by_no_later_reading() {
    let to_second =
        |inputs: Inputs<'_>| failover(inputs, &id("c2.a.test"), &id("c1.a.test")).unwrap();
    let mut world = World::new(TWO, first_active, to_second);
    assert!(world.plan.irreversible.is_empty());
    world.take(&organization_is(false));
    let beyond = world.fleet.beyond().clone();
    world.take(&Record::SaidOff {
        target: id("c1.a.test"),
        by: "root".to_owned(),
    });
    world.live.left(&id("c1.a.test"), NOW);
    world.runs_up_to_the_wizard("c2.a.test");
    let hold = world.fleet.hold(ID, &id("c2.a.test"), &world.live, NOW);
    assert!(world.is_offered("c2.a.test"), "{hold:?}");
    let knows = World::new(TWO, first_active, |inputs| {
        let beyond = &beyond;
        to_second(Inputs { beyond, ..inputs })
    });
    assert_eq!(
        knows.plan.irreversible.len(),
        1,
        "{:?}",
        knows.plan.irreversible
    );
}
