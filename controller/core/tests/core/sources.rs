//! Who says so: the count of guard rail G2 and the grade of what is done name the source that they rest on, where they hold and
//! where they let go. A tenant that nobody read is *not seen in tenant*.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use controller_core::facts::Fleetwide;
use controller_core::fleet::{Decision, Fleet, Live, PERMIT_LIFE, Pulse};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::record::Record;
use controller_core::tenant::{AgentSeen, Observation, Part};
use controller_core::topology::parse;
use protocol::event::{Completion, Event, Grade, Section};
use protocol::key::SigningKey;
use protocol::signed::Ending;
use protocol::{Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const ROLLOUT: RolloutId = RolloutId(1);
const GENERATION: Generation = Generation(1);

fn target(name: &str) -> TargetId {
    name.parse().unwrap()
}

/// Two servers of one domain whose agents serve and are to be upgraded; the first one has its bundle.
struct World {
    fleet: Fleet,
    live: Live,
    plan: Plan,
    index: u64,
}

impl World {
    fn new() -> Self {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        let mut fleet = Fleet::new();
        let facts = Event::FactsReported(Box::new(common::old()));
        for name in ["s1.a.test", "s2.a.test"] {
            let key = SigningKey::generate().public();
            fleet.apply(&common::enrolled(&target(name), key), None, NOW);
            fleet.apply(&common::told(&target(name), 1, NOW, &facts), None, NOW);
        }
        let known: Fleetwide = fleet.known().clone();
        let plan = plan(Inputs::of(
            &topology,
            &Policy::default(),
            &known,
            &common::artifacts(),
            Purpose::Install,
        ));
        let live = Live {
            connected: [target("s1.a.test"), target("s2.a.test")].into(),
            began: NOW.minus(Duration::from_secs(3600)),
            ..Live::default()
        };
        let mut world = Self {
            fleet,
            live,
            plan,
            index: 1,
        };
        world.take(&common::applied(ROLLOUT, &world.plan));
        world.pulse("s1.a.test", true);
        world.pulse("s2.a.test", true);
        world.take(&Record::BundleIssued {
            rollout: ROLLOUT,
            target: target("s1.a.test"),
            generation: GENERATION,
            phase: world.plan.targets[&target("s1.a.test")].phases[0].phase,
            bundle: BundleId(Digest::ZERO),
            expires: NOW.plus(Duration::from_secs(86_400)),
        });
        world
    }

    fn take(&mut self, record: &Record) {
        self.fleet.apply(record, Some(&self.plan), NOW);
    }

    fn tells(&mut self, event: &Event) {
        self.index += 1;
        self.take(&common::told(&target("s1.a.test"), self.index, NOW, event));
    }

    fn pulse(&mut self, name: &str, serving: bool) {
        let pulse = Pulse { serving, at: NOW };
        self.live.pulses.insert(target(name), pulse);
    }

    /// Somebody reads the tenant, and may see its agents.
    fn reads(&mut self, agents: Part<Vec<AgentSeen>>) {
        let mut observation = Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403");
        observation.agents = agents;
        self.take(&Record::TenantSeen {
            observation: Box::new(observation),
            by: "anna".to_owned(),
        });
    }

    /// The first server asks for leave; what leave rests on, or else what holds it.
    fn asks(&mut self) -> Result<Vec<String>, String> {
        let section = Section {
            outage: true,
            gmsa: None,
        };
        let own = target("s1.a.test");
        self.fleet
            .asks_permit(&own, GENERATION, StepIndex(1), Attempt(1), section);
        let decisions = self.fleet.decide(&self.live, NOW).into_iter();
        let mut given = decisions.filter_map(|decision| match decision {
            Decision::Permit { rests_on, .. } => Some(rests_on),
            _ => None,
        });
        given.next().ok_or_else(|| self.row().0)
    }

    /// What an operator reads of the first server, and on what its grade rests.
    fn row(&self) -> (String, String) {
        let view = self.fleet.view(ROLLOUT, &self.live, NOW).unwrap();
        let mut rows = view.targets.into_iter();
        let row = rows.find(|row| row.target.as_str() == "s1.a.test").unwrap();
        (row.detail, row.rests_on)
    }
}

fn listed(status: &str) -> Part<Vec<AgentSeen>> {
    Part::Seen(vec![AgentSeen {
        machine: "S2".to_owned(),
        status: status.to_owned(),
    }])
}

#[test]
fn leave_says_on_what_it_rests_that_others_serve_and_what_holds_it_says_it_too() {
    let unread = || Part::NotSeen("403 (it takes OnPremisesPublishingProfiles)".to_owned());
    for (tenant, source) in [
        (None, "not seen in tenant".to_owned()),
        (
            Some(unread()),
            "not seen in tenant: 403 (it takes OnPremisesPublishingProfiles)".to_owned(),
        ),
        (
            Some(listed("active")),
            format!("the tenant listed 1 of them as active when anna read it at {NOW}"),
        ),
        // What it lists is as old as its reading: it is told, and a pulse counts all the same.
        (
            Some(listed("inactive")),
            format!("the tenant listed 0 of them as active when anna read it at {NOW}"),
        ),
    ] {
        let mut world = World::new();
        if let Some(agents) = tenant.clone() {
            world.reads(agents);
        }
        let given = world.asks().unwrap();
        let says = format!("1 other agents serve a.test (by their own pulses; {source}), 1 must");
        assert_eq!(given, std::slice::from_ref(&says));
        // It is in the log, and whoever asks why hears it.
        world.take(&Record::PermitGiven {
            target: target("s1.a.test"),
            generation: GENERATION,
            step: StepIndex(1),
            attempt: Attempt(1),
            section: Section {
                outage: true,
                gmsa: None,
            },
            lapses: NOW.plus(PERMIT_LIFE),
            rests_on: given,
        });
        let why = world.fleet.why(&target("s1.a.test"), &world.live, NOW);
        assert_eq!(why.unwrap().said, [format!("leave: {says}")]);

        let mut world = World::new();
        if let Some(agents) = tenant {
            world.reads(agents);
        }
        world.pulse("s2.a.test", false);
        let held = world.asks().unwrap_err();
        // Of nobody the tenant says anything.
        let none = source.replace("listed 1 of", "listed 0 of");
        let says = format!(
            "0 other agents are seen to serve a.test (by their own pulses; {none}), 1 must keep serving; more that serve lift it (G2)"
        );
        assert!(held.contains(&says), "{held}");
        assert!(!held.contains("verified"));
    }
}

#[test]
fn a_tenants_list_alone_lets_nobody_go() {
    let mut world = World::new();
    world.reads(listed("active"));
    world.live.pulses.remove(&target("s2.a.test"));
    assert!(world.asks().unwrap_err().contains("(G2)"));
}

#[test]
fn the_log_reads_leave_that_says_nothing_of_it() {
    let given = Record::PermitGiven {
        target: target("s1.a.test"),
        generation: GENERATION,
        step: StepIndex(1),
        attempt: Attempt(1),
        section: Section {
            outage: false,
            gmsa: None,
        },
        lapses: NOW,
        rests_on: Vec::new(),
    };
    let text = serde_json::to_string(&given).unwrap();
    assert!(!text.contains("rests_on"), "{text}");
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), given);
}

#[test]
fn a_grade_that_the_servers_own_probes_have_shown_is_not_seen_in_the_tenant() {
    let mut world = World::new();
    let phases = world.plan.targets[&target("s1.a.test")].phases.len();
    for phase in 0..phases {
        let generation = Generation(1 + u64::try_from(phase).unwrap());
        if phase > 0 {
            world.take(&Record::BundleIssued {
                rollout: ROLLOUT,
                target: target("s1.a.test"),
                generation,
                phase: world.plan.targets[&target("s1.a.test")].phases[phase].phase,
                bundle: BundleId(Digest::ZERO),
                expires: NOW.plus(Duration::from_secs(86_400)),
            });
        }
        world.tells(&Event::StepCompleted {
            generation,
            step: StepIndex(0),
            completion: Completion::AlreadySo,
            summary: String::new(),
            grade: Some(Grade::Registered),
        });
        world.tells(&Event::RunFinished {
            generation,
            ending: Ending::Completed,
            receipt: String::new(),
        });
    }
    let own = "by its own probes; not seen in tenant".to_owned();
    assert_eq!(world.row(), ("registered".to_owned(), own));
    let why = world.fleet.why(&target("s1.a.test"), &world.live, NOW);
    let answer = why.unwrap().answer;
    assert!(
        answer.ends_with("registered (by its own probes; not seen in tenant)"),
        "{answer}"
    );
    // What the tenant shows later is told with who read it, and when.
    world.reads(Part::Seen(vec![AgentSeen {
        machine: "s1.a.test".to_owned(),
        status: "active".to_owned(),
    }]));
    let (detail, rests_on) = world.row();
    assert!(
        detail.contains("as anna read it in the tenant at") && rests_on.is_empty(),
        "{detail} {rests_on}"
    );
}
