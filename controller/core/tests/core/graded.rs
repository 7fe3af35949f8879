//! The grade that a tenant shows: what is settled by it, what it comes too early for, and whom it says nothing of.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Decision, Fleet, Live, TargetState, TargetView};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::{Order, Record};
use controller_core::tenant::{AgentSeen, Configuration, Observation, Part};
use controller_core::topology::parse;
use protocol::event::{Completion, Event, Grade};
use protocol::facts::{ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::Ending;
use protocol::{BundleId, Digest, RolloutId, StepIndex, TargetId, Timestamp};
use serde_json::json;

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const ID: RolloutId = RolloutId(1);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const MINUTE: Duration = Duration::from_secs(60);

fn target() -> TargetId {
    "s1.a.test".parse().unwrap()
}

struct World {
    fleet: Fleet,
    live: Live,
    now: Timestamp,
    plan: Plan,
    told: u64,
}

impl World {
    /// A server whose agent is installed and not registered yet, under a policy that needs that grade.
    fn new(need: &str) -> Self {
        Self::under(&format!("need = \"{need}\"\n"))
    }

    fn under(policy: &str) -> Self {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        let (policy, findings) = policy::parse(&common::document(policy.to_owned()));
        assert!(findings.is_empty(), "{findings:?}");
        let key = SigningKey::generate().public();
        let agent = ProvisioningAgentFacts {
            version: Some(common::AGENT),
            tenant: None,
            service: Some(ServiceState::Running),
            account: Some("A\\provAgentgMSA$".to_owned()),
            options: None,
            updater: None,
            owes_registration: None,
        };
        let known = Known {
            facts: Some((NOW, common::facts(Some(agent), None))),
            ..Known::of(key.fingerprint())
        };
        let plan = plan(Inputs::of(
            &topology,
            &policy,
            &Fleetwide::from([(target(), known)]),
            &common::artifacts(),
            Purpose::Install,
        ));
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                connected: [target()].into(),
                began: NOW.minus(60 * MINUTE),
                ..Live::default()
            },
            now: NOW,
            plan,
            told: 0,
        };
        world.take(&common::enrolled(&target(), key));
        world.take(&common::applied(ID, &world.plan));
        world
    }

    fn take(&mut self, record: &Record) {
        self.fleet.apply(record, Some(&self.plan), self.now);
    }

    fn tells(&mut self, event: &Event) {
        self.told += 1;
        let record = common::told(&target(), self.told, self.now, event);
        self.take(&record);
    }

    /// Every phase is issued and comes to its end; its own probes show that it is registered. How many were issued.
    fn works(&mut self) -> usize {
        self.works_as_far_as(Grade::Registered)
    }

    fn works_as_far_as(&mut self, grade: Grade) -> usize {
        let mut issued = 0;
        loop {
            let decisions = self.fleet.decide(&self.live, self.now);
            let [Decision::Issue { phase, .. }] = decisions.as_slice() else {
                return issued;
            };
            issued += 1;
            let generation = self.fleet.next_generation(&target());
            self.take(&Record::BundleIssued {
                rollout: ID,
                target: target(),
                generation,
                phase: self.plan.targets[&target()].phases[*phase].phase,
                bundle: BundleId(Digest::ZERO),
                expires: self.now.plus(60 * MINUTE),
            });
            self.tells(&Event::StepCompleted {
                generation,
                step: StepIndex(0),
                completion: Completion::Applied,
                summary: String::new(),
                grade: Some(grade),
            });
            self.tells(&Event::RunFinished {
                generation,
                ending: Ending::Completed,
                receipt: String::new(),
            });
        }
    }

    /// The tenant is read at that moment: its agents, and whether they synchronize.
    fn reads(&mut self, at: Timestamp, agents: &[(&str, &str)], synchronizes: bool) {
        let agent = |(machine, status): &(&str, &str)| AgentSeen {
            machine: (*machine).to_owned(),
            status: (*status).to_owned(),
        };
        let configuration: Configuration = serde_json::from_value(
            json!({ "name": "a.test", "jobs": { "seen": [{ "template": "AD2AADProvisioning", "status": "Active", "quarantined": false, "last_success": at }] } }),
        )
        .unwrap();
        let mut seen = Observation::unseen_all(&TENANT.parse().unwrap(), at, "not asked for");
        seen.agents = Part::Seen(agents.iter().map(agent).collect());
        if synchronizes {
            seen.configurations = Part::Seen(vec![configuration]);
        }
        self.sees(seen);
    }

    fn sees(&mut self, observation: Observation) {
        self.take(&Record::TenantSeen {
            observation: Box::new(observation),
            by: "anna".to_owned(),
        });
        assert!(self.fleet.rollouts()[&ID].work.is_counted_right());
    }

    fn state(&self) -> &TargetState {
        &self.fleet.rollouts()[&ID].work[&target()].state
    }

    fn row(&self) -> TargetView {
        let view = self.fleet.view(ID, &self.live, self.now);
        view.unwrap().targets.remove(0)
    }

    /// How the rollout stands, and whether anybody asks it.
    fn standing(&self) -> (String, usize) {
        let view = self.fleet.view(ID, &self.live, self.now).unwrap();
        (view.state, self.fleet.active().count())
    }
}

/// What nobody has seen is not claimed: work that lacks its grade alone is a question, until the tenant is read.
#[test]
fn the_grade_that_is_needed_is_settled_by_the_tenant_that_shows_it() {
    let mut world = World::new("active-in-tenant");
    let phases = world.plan.targets[&target()].phases.len();
    assert_eq!(world.works(), phases);
    let question = "the grade \"active in tenant\" is needed, seen was: registered; entrain tenant read brings what the tenant shows";
    assert_eq!(
        *world.state(),
        TargetState::Inconclusive(question.to_owned())
    );
    assert_eq!(world.row().phase, phases - 1, "its last phase is not done");
    let ended = world.now;
    world.now = world.now.plus(5 * MINUTE);
    // What was read before its end says nothing of it, and nor does one that lists somebody else, or it as inactive.
    world.reads(ended.minus(MINUTE), &[("s1.a.test", "active")], false);
    world.reads(ended, &[("s2.a.test", "active")], false);
    world.reads(ended, &[("s1.a.test", "inactive")], false);
    assert!(matches!(world.state(), TargetState::Inconclusive(_)));

    let before = world.row().since;
    world.reads(ended, &[("s1.a.test", "active")], false);
    assert_eq!(
        *world.state(),
        TargetState::Done(Some(Grade::ActiveInTenant))
    );
    let row = world.row();
    assert_eq!((row.phase, row.phases), (phases, phases));
    assert!(row.since > before, "it is done since it was seen");
    assert_eq!(
        row.detail,
        format!("active in tenant, as anna read it in the tenant at {ended}")
    );
    assert_eq!(row.rests_on, "");
    assert_eq!(world.standing(), ("over".to_owned(), 0));
    assert!(world.fleet.tasks(world.now).is_empty());
}

#[test]
fn a_grade_below_the_one_that_is_needed_settles_nothing_and_is_kept() {
    let mut world = World::new("syncing");
    world.works();
    world.now = world.now.plus(MINUTE);
    world.reads(world.now, &[("s1.a.test", "active")], false);
    assert!(matches!(world.state(), TargetState::Inconclusive(_)));
    assert_eq!(world.row().grade, Some(Grade::ActiveInTenant));
    assert_eq!(world.standing().0, "over", "nothing more happens by itself");
    world.now = world.now.plus(MINUTE);
    world.reads(world.now, &[("s1.a.test", "active")], true);
    assert!(
        matches!(world.state(), TargetState::Inconclusive(_)),
        "which domains it serves is not known"
    );
    let served = world.plan.targets[&target()].phases.iter();
    let served: BTreeSet<&str> = served
        .flat_map(|phase| &phase.steps)
        .map(protocol::step::Step::kind)
        .collect();
    assert!(served.contains("register-provisioning-agent"), "{served:?}");
}

/// Where the server's own probes were enough, the tenant raises what is known of it, and lowers nothing.
#[test]
fn what_is_done_is_raised_by_a_later_look_and_never_lowered() {
    let mut world = World::new("registered");
    world.works();
    assert_eq!(*world.state(), TargetState::Done(Some(Grade::Registered)));
    assert_eq!(
        world.row().rests_on,
        "by its own probes; not seen in tenant"
    );
    let since = world.row().since;
    world.now = world.now.plus(MINUTE);
    let seen = world.now;
    world.reads(seen, &[("s1.a.test", "active")], false);
    let done = TargetState::Done(Some(Grade::ActiveInTenant));
    assert_eq!(*world.state(), done);
    let row = world.row();
    assert_eq!((row.phase, row.since), (row.phases, since));
    assert_eq!(row.rests_on, "");
    world.now = world.now.plus(MINUTE);
    world.reads(world.now, &[("s1.a.test", "inactive")], false);
    world.reads(world.now, &[("s1.a.test", "active")], false);
    assert_eq!(*world.state(), done);
    assert!(
        world.row().detail.ends_with(&seen.to_string()),
        "the first look"
    );
    // Another tenant has a server of the same name.
    let mut world = World::new("registered");
    world.works();
    let mut other = Observation::unseen_all(
        &"77aa0000-0000-0000-0000-000000000000".parse().unwrap(),
        world.now,
        "",
    );
    other.agents = Part::Seen(vec![AgentSeen {
        machine: "s1.a.test".to_owned(),
        status: "active".to_owned(),
    }]);
    world.sees(other);
    assert_eq!(*world.state(), TargetState::Done(Some(Grade::Registered)));
}

/// What is under way, or ended in another way, is not settled by what the tenant shows.
#[test]
fn work_that_is_not_at_its_end_is_not_settled_by_a_look() {
    let mut world = World::new("active-in-tenant");
    let active: [(&str, &str); 1] = [("s1.a.test", "active")];
    world.reads(world.now, &active, false);
    assert_eq!(*world.state(), TargetState::Pending);
    assert_eq!(world.row().grade, None);
    let generation = world.fleet.next_generation(&target());
    world.take(&Record::BundleIssued {
        rollout: ID,
        target: target(),
        generation,
        phase: world.plan.targets[&target()].phases[0].phase,
        bundle: BundleId(Digest::ZERO),
        expires: world.now.plus(60 * MINUTE),
    });
    world.tells(&Event::StepInconclusive {
        generation,
        step: StepIndex(0),
        question: "is it there?".to_owned(),
    });
    world.tells(&Event::RunFinished {
        generation,
        ending: Ending::Inconclusive("is it there?".to_owned()),
        receipt: String::new(),
    });
    world.now = world.now.plus(MINUTE);
    world.reads(world.now, &active, false);
    let asked = TargetState::Inconclusive("is it there?".to_owned());
    assert_eq!(*world.state(), asked, "it lacks more than a grade");
}

/// What the tenant could not show is not asked of it.
#[test]
fn a_grade_that_the_servers_own_probes_show_is_not_waited_for_in_the_tenant() {
    let mut world = World::new("registered");
    world.works_as_far_as(Grade::Configured);
    let question = "the grade \"registered\" is needed, seen was: configured";
    assert_eq!(
        *world.state(),
        TargetState::Inconclusive(question.to_owned())
    );
    let mut world = World::new("configured");
    world.works_as_far_as(Grade::Configured);
    assert_eq!(*world.state(), TargetState::Done(Some(Grade::Configured)));
}

const SOAK: &str = "soak = { cloud-sync = \"10 cycles\" }\n";

impl World {
    /// Its product is watched from now on.
    fn soaks(before: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::under(SOAK);
        before(&mut world);
        let phases = world.plan.targets[&target()].phases.len();
        world.now = world.now.plus(MINUTE);
        assert_eq!(world.works(), phases - 1, "its last phase waits");
        assert_eq!(world.row().state, "soaking");
        world
    }

    /// The watch is over, and the look at its end finds all well on the server.
    fn soaked(&mut self) {
        self.now = self.now.plus(20 * MINUTE);
        assert_eq!(self.works(), 1);
    }

    /// The tenant is read at that moment, and its job is that.
    fn reads_job(&mut self, at: Timestamp, jobs: &serde_json::Value) {
        let configuration: Configuration =
            serde_json::from_value(json!({ "name": "a.test", "jobs": jobs })).unwrap();
        let mut seen = Observation::unseen_all(&TENANT.parse().unwrap(), at, "not asked for");
        seen.configurations = Part::Seen(vec![configuration]);
        self.sees(seen);
    }

    fn asks(&self) -> String {
        let TargetState::Inconclusive(question) = self.state() else {
            panic!("{:?}", self.state());
        };
        question.clone()
    }
}

fn ran(last: Option<Timestamp>) -> serde_json::Value {
    json!({ "seen": [{ "template": "AD2AADProvisioning", "status": "Active", "quarantined": false, "last_success": last }] })
}

/// Time alone proves no cycle: without access to the tenant that is said, and stops nothing.
#[test]
fn cycles_that_nobody_could_see_are_not_claimed() {
    let mut world = World::soaks(|_| ());
    assert!(
        !world.row().detail.contains("tenant"),
        "{}",
        world.row().detail
    );
    world.soaked();
    assert_eq!(*world.state(), TargetState::Done(Some(Grade::Registered)));
    assert_eq!(
        world.row().rests_on,
        "by its own probes; not seen in tenant; cycles while it soaked: not seen in tenant: nobody has read it"
    );
    // Whoever has read it was not shown its jobs.
    let mut world = World::soaks(|world| {
        let seen = Observation::unseen_all(&TENANT.parse().unwrap(), world.now, "403 Forbidden");
        world.sees(seen);
    });
    let read = NOW;
    world.soaked();
    assert_eq!(*world.state(), TargetState::Done(Some(Grade::Registered)));
    assert!(
        world.row().rests_on.ends_with(&format!(
            "not seen in tenant: when anna read it at {read}, its jobs were not shown: 403 Forbidden"
        )),
        "{}",
        world.row().rests_on
    );
    // A later look that shows a cycle since is said as well.
    let last = world.now;
    world.now = world.now.plus(MINUTE);
    world.reads_job(world.now, &ran(Some(last)));
    let says = format!("the job of a.test succeeded at {last}");
    assert!(
        world.row().rests_on.ends_with(&says),
        "{}",
        world.row().rests_on
    );
}

/// Whoever read the tenant before is asked for nothing in the night: the soak ends by time, and what was not seen is said.
#[test]
fn a_soak_that_nobody_looked_into_ends_by_time_whoever_read_the_tenant_before() {
    let mut world = World::soaks(|world| world.reads_job(NOW, &ran(Some(NOW))));
    let begun = world.now;
    let unseen =
        format!("not seen in tenant since it began to soak at {begun}: anna read it at {NOW} last");
    let detail = world.row().detail;
    assert!(
        detail.ends_with(&format!(
            "; a cycle of it is {unseen}; `entrain tenant read main` before its end would show it"
        )),
        "{detail}"
    );
    world.soaked();
    let done = TargetState::Done(Some(Grade::Registered));
    assert_eq!(*world.state(), done);
    let row = world.row();
    assert_eq!(row.phase, row.phases);
    assert_eq!(
        row.rests_on,
        format!("by its own probes; not seen in tenant; cycles while it soaked: {unseen}")
    );
    assert!(world.fleet.tasks(world.now).is_empty());
    assert_eq!(world.standing(), ("over".to_owned(), 0));
    // What a later look lacks is asked of nobody, and what it shows is said.
    world.now = world.now.plus(MINUTE);
    world.reads_job(world.now, &ran(None));
    assert_eq!(*world.state(), done);
    assert!(
        world.row().rests_on.ends_with(&unseen),
        "{}",
        world.row().rests_on
    );
    world.now = world.now.plus(MINUTE);
    world.reads_job(world.now, &ran(Some(begun.plus(MINUTE))));
    assert_eq!(*world.state(), done);
    let shown = format!("the job of a.test succeeded at {}", begun.plus(MINUTE));
    assert!(
        world.row().rests_on.ends_with(&shown),
        "{}",
        world.row().rests_on
    );
    // A policy that demands what the tenant alone shows asks for that, and for that alone.
    let mut world = World::under(&format!("need = \"active-in-tenant\"\n{SOAK}"));
    world.reads_job(NOW, &ran(Some(NOW)));
    world.now = world.now.plus(MINUTE);
    world.works();
    world.soaked();
    assert_eq!(
        world.asks(),
        "the grade \"active in tenant\" is needed, seen was: registered; entrain tenant read brings what the tenant shows"
    );
}

/// Where somebody reads the tenant while it soaks, the end asks for a reading that shows a cycle.
#[test]
fn a_cycle_of_the_soak_is_seen_in_a_tenant_that_is_read() {
    let mut world = World::soaks(|world| world.reads_job(NOW, &ran(Some(NOW))));
    let (begun, detail) = (world.now, world.row().detail);
    assert!(
        detail.ends_with("`entrain tenant read main` before its end would show it"),
        "{detail}"
    );
    // One that shows none is a question until another does.
    world.reads_job(begun, &ran(Some(NOW)));
    let detail = world.row().detail;
    assert!(
        detail.contains("is asked then")
            && detail.ends_with("`entrain tenant read main` before its end answers it"),
        "{detail}"
    );
    let last = begun.plus(4 * MINUTE);
    world.now = begun.plus(5 * MINUTE);
    world.reads_job(world.now, &ran(Some(last)));
    let read = world.now;
    assert!(!world.row().detail.contains("tenant"), "it is answered");
    world.soaked();
    assert_eq!(*world.state(), TargetState::Done(Some(Grade::Registered)));
    assert!(
        world.row().rests_on.ends_with(&format!(
            "cycles while it soaked: as anna read it in the tenant at {read}: the job of a.test succeeded at {last}"
        )),
        "{}",
        world.row().rests_on
    );
    assert!(world.fleet.tasks(world.now).is_empty());
}

/// A reading of the soak that shows no cycle asks a person; the next one may settle it, and a person may in any case.
#[test]
fn what_a_reading_does_not_tell_of_cycles_is_a_question_and_no_dead_end() {
    let mut world = World::soaks(|_| ());
    let begun = world.now;
    world.reads_job(begun, &ran(Some(NOW)));
    world.soaked();
    let phases = world.plan.targets[&target()].phases.len();
    let asks = world.asks();
    assert!(
        asks.contains(&format!(
            "as anna read the tenant at {begun}: the job of a.test succeeded at {NOW} last, before it began to soak at {begun}"
        )) && asks.contains("`entrain tenant read main`"),
        "{asks}"
    );
    // One of before, whose record comes late, answers nothing.
    world.reads_job(NOW, &ran(Some(NOW)));
    assert_eq!(world.asks(), asks);
    assert_eq!(
        (world.row().phase, world.row().rests_on.as_str()),
        (phases - 1, "")
    );
    assert_eq!(world.fleet.tasks(world.now).len(), 1);
    // What else is read meanwhile: each says what it lacks.
    let untold = [
        (ran(None), "never succeeded"),
        (ran(Some(begun.minus(MINUTE))), "before it began to soak"),
        (json!({ "not-seen": "503" }), "were not shown: 503"),
        (json!({ "seen": [] }), "no job that synchronizes"),
        (
            json!({ "seen": [{ "template": "AD2AADProvisioning", "status": "Quarantine", "quarantined": true, "last_success": begun.plus(MINUTE) }] }),
            "is in quarantine",
        ),
    ];
    for (jobs, lacks) in untold {
        world.now = world.now.plus(MINUTE);
        world.reads_job(world.now, &jobs);
        assert!(world.asks().contains(lacks), "{lacks}: {}", world.asks());
    }
    world.now = world.now.plus(MINUTE);
    let seen = Observation::unseen_all(&TENANT.parse().unwrap(), world.now, "timed out");
    world.sees(seen);
    assert!(world.asks().contains("timed out"), "{}", world.asks());

    let (asked, last) = (world.fleet.clone(), world.now);
    world.now = world.now.plus(MINUTE);
    world.reads_job(world.now, &ran(Some(last)));
    assert_eq!(*world.state(), TargetState::Done(Some(Grade::Registered)));
    let row = world.row();
    assert_eq!((row.phase, row.since), (phases, world.now));
    assert!(
        row.rests_on
            .ends_with(&format!("succeeded at {last}, after the look at its end")),
        "{}",
        row.rests_on
    );
    assert_eq!(world.standing(), ("over".to_owned(), 0));
    // It proves, and a later one takes nothing back.
    world.reads_job(world.now.plus(MINUTE), &ran(None));
    assert_eq!(*world.state(), TargetState::Done(Some(Grade::Registered)));

    for order in [
        Order::Skip {
            target: target(),
            reason: "seen in the portal".to_owned(),
        },
        Order::Resolve {
            target: target(),
            reason: "seen in the portal".to_owned(),
            off: false,
        },
        Order::Retry {
            target: Some(target()),
        },
    ] {
        world.fleet = asked.clone();
        assert_eq!(
            world.fleet.may_order(ID, &order, &world.live, world.now),
            Ok(())
        );
        let retried = matches!(order, Order::Retry { .. });
        world.take(&Record::Ordered {
            rollout: ID,
            order,
            by: "anna".to_owned(),
        });
        assert_eq!(*world.state() == TargetState::Pending, retried);
    }
    // A retry proves it and watches it anew, and asks anew.
    assert_eq!(world.works(), 1);
    assert_eq!(world.row().state, "soaking");
    let begun = world.now;
    world.now = begun.plus(2 * MINUTE);
    world.reads_job(world.now, &ran(Some(begun.plus(MINUTE))));
    world.soaked();
    assert_eq!(*world.state(), TargetState::Done(Some(Grade::Registered)));
}

/// What a soak lacks and what a grade lacks are asked together, and one reading may settle one of them alone.
#[test]
fn a_grade_and_a_cycle_that_were_not_seen_are_one_question() {
    let policy = format!("need = \"active-in-tenant\"\n{SOAK}");
    let mut world = World::under(&policy);
    world.now = world.now.plus(MINUTE);
    world.works();
    world.reads_job(world.now, &ran(Some(NOW)));
    world.soaked();
    let asks = world.asks();
    assert!(
        asks.contains("the grade \"active in tenant\" is needed")
            && asks.contains("; and whether cloud sync"),
        "{asks}"
    );
    world.now = world.now.plus(MINUTE);
    world.reads_job(world.now, &ran(Some(world.now)));
    let asks = world.asks();
    assert!(!asks.contains("whether cloud sync"), "{asks}");
    world.now = world.now.plus(MINUTE);
    world.reads(world.now, &[("s1.a.test", "active")], false);
    assert_eq!(
        *world.state(),
        TargetState::Done(Some(Grade::ActiveInTenant))
    );
}
