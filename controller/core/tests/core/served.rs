//! Which domains an agent serves, as the fleet's own steps made it serve them: kept, forgotten, and never guessed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::Fleet;
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::record::Record;
use controller_core::tenant::{Configuration, Job, Observation, Part, Units};
use controller_core::topology::{Topology, parse};
use protocol::event::{Completion, Event, Failure, Grade};
use protocol::facts::{Facts, Owed, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::{Ending, Phase};
use protocol::step::{SignIn, Step};
use protocol::{
    BundleId, Digest, DomainName, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const GENERATION: Generation = Generation(1);

fn target() -> TargetId {
    "s1.a.test".parse().unwrap()
}

fn facts(tenant: Option<&str>) -> Facts {
    facts_as(tenant, "A\\provAgentgMSA$")
}

/// The same, where its service runs as that account.
fn facts_as(tenant: Option<&str>, account: &str) -> Facts {
    let agent = ProvisioningAgentFacts {
        version: Some(common::AGENT),
        tenant: tenant.map(|tenant| tenant.parse().unwrap()),
        service: Some(ServiceState::Running),
        account: Some(account.to_owned()),
        options: None,
        updater: None,
        owes_registration: None,
    };
    common::facts(Some(agent), None)
}

struct World {
    fleet: Fleet,
    index: u64,
    /// The step that serves.
    step: StepIndex,
}

impl World {
    /// A server whose agent is installed and is being registered, for two domains.
    fn new() -> Self {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [\"a.test\", \"b.test\"]\nhosts = [\"s1.a.test\"]\n"
        );
        let (topology, _) = parse(&[common::document(text)]);
        let key = SigningKey::generate().public();
        let known = Known {
            facts: Some((NOW, facts(None))),
            ..Known::of(key.fingerprint())
        };
        let plan = plan(Inputs::of(
            &topology,
            &Policy::default(),
            &Fleetwide::from([(target(), known)]),
            &common::artifacts(),
            Purpose::Install,
        ));
        let mut world = Self {
            fleet: Fleet::new(),
            index: 0,
            step: StepIndex(1),
        };
        world
            .fleet
            .apply(&common::enrolled(&target(), key), None, NOW);
        let applied = common::applied(RolloutId(1), &plan);
        world.fleet.apply(&applied, Some(&plan), NOW);
        let issued = Record::BundleIssued {
            rollout: RolloutId(1),
            target: target(),
            generation: GENERATION,
            phase: Phase::Register,
            bundle: BundleId(Digest::ZERO),
            expires: NOW.plus(std::time::Duration::from_secs(86_400)),
        };
        world.fleet.apply(&issued, None, NOW);
        world
    }

    fn tells(&mut self, event: &Event) {
        self.index += 1;
        let record = common::told(&target(), self.index, NOW, event);
        self.fleet.apply(&record, None, NOW);
    }

    fn reports(&mut self, facts: Facts) {
        self.tells(&Event::FactsReported(Box::new(facts)));
    }

    fn registers(&mut self, completion: Completion) {
        self.tells(&Event::StepCompleted {
            generation: GENERATION,
            step: self.step,
            completion,
            summary: String::new(),
            grade: Some(Grade::Registered),
        });
    }

    fn domains(&self) -> Option<BTreeSet<DomainName>> {
        self.fleet.known()[&target()].domains.clone()
    }
}

fn both() -> Option<BTreeSet<DomainName>> {
    Some(
        ["a.test", "b.test"]
            .map(|name| name.parse().unwrap())
            .into(),
    )
}

#[test]
fn a_registration_that_was_carried_out_says_what_is_served() {
    let by = "anna".to_owned();
    for done in [Completion::Applied, Completion::Attested { by }] {
        let mut world = World::new();
        assert_eq!(world.domains(), None);
        world.registers(done);
        assert_eq!(world.domains(), both());
    }
}

/// A person registered it at the wizard: a probe sees tenant and account, and no domain. Nobody has said which it was given: the plan says
/// that, and opens the same wizard again, which takes the agent out of service, only where its group has them looked for.
#[test]
fn what_a_person_gave_at_the_wizard_is_not_known_before_somebody_says_it() {
    let mut world = World::new();
    world.registers(Completion::SeenDone);
    world.reports(facts(Some(TENANT)));
    assert_eq!(world.domains(), Some(BTreeSet::new()));
    let planned = |sign_in: &str, adopt: &str| {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\nsign_in = \"{sign_in}\"\n[agents.a]\nserves = [\"a.test\", \"b.test\"]\nhosts = [\"s1.a.test\"]\n{adopt}"
        );
        let (topology, _) = parse(&[common::document(text)]);
        let plan = plan(Inputs::of(
            &topology,
            &Policy::default(),
            world.fleet.known(),
            &common::artifacts(),
            Purpose::Install,
        ));
        let domain: DomainName = "a.test".parse().unwrap();
        assert_eq!(plan.domains[&domain].running, [target()]);
        let part = &plan.targets[&target()];
        let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
        let asked = steps.find_map(|step| match step {
            Step::AddDomains(add) => Some(add.domains.len()),
            _ => None,
        });
        (asked, part.why.join("; "))
    };
    let (asked, said) = planned("wizard", "");
    assert_eq!(asked, None, "{said}");
    let words = "not known, since nobody has said what it was given at the wizard";
    assert!(
        said.contains(words) && said.contains("verified but for its domains"),
        "{said}"
    );
    let (asked, said) = planned("wizard", "adopt = true\n");
    assert_eq!(asked, Some(2), "{said}");
    assert!(said.contains("not known to serve a.test, b.test"), "{said}");
    // The cmdlets look by themselves, and add nothing that is there.
    let (asked, said) = planned("token", "");
    assert_eq!(asked, Some(2), "{said}");
}

/// It failed on its way, or an earlier try came to its end unheard: a later step looks there before it adds.
#[test]
fn what_a_broken_registration_added_is_looked_for_by_a_later_step() {
    let mut world = World::new();
    world.registers(Completion::AlreadySo);
    assert_eq!(world.domains(), Some(BTreeSet::new()));
    let mut world = World::new();
    world.tells(&Event::StepFailed {
        generation: GENERATION,
        step: StepIndex(1),
        failure: Box::new(Failure::plain("Add-AADCloudSyncADDomain failed")),
    });
    assert_eq!(world.domains(), Some(BTreeSet::new()));
}

impl World {
    /// The steps of the next plan for the server, with its reasons, where the topology writes that of its tenant and of its domain.
    fn planned(&self, tenant: &str, domain: &str) -> (Vec<Step>, String) {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n{tenant}[agents.a]\nserves = [\"a.test\", \"b.test\"]\nhosts = [\"s1.a.test\"]\n[domain.\"a.test\"]\n{domain}"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        let plan = plan(Inputs::of(
            &topology,
            &Policy::default(),
            self.fleet.known(),
            &common::artifacts(),
            Purpose::Install,
        ));
        let part = &plan.targets[&target()];
        let steps = part.phases.iter().flat_map(|phase| &phase.steps);
        (steps.cloned().collect(), part.why.join("; "))
    }
}

/// For how many domains a step registers the agent, or adds some to it; by a person, where that is so.
fn looks_for(step: &Step) -> Option<(usize, bool)> {
    match step {
        Step::RegisterProvisioningAgent(register) => Some((register.domains.len(), false)),
        Step::AddDomains(add) => Some((add.domains.len(), add.sign_in == SignIn::Wizard)),
        Step::GuideProvisioningAgent(guide) => Some((guide.domains.len(), true)),
        _ => None,
    }
}

/// It stopped between its account and its domains, as cannot tell, since the module demanded a credential or an abort broke it off: the server
/// shows a tenant, an account and a running service then. By neither way of the advice is that taken for whole.
#[test]
fn a_registration_that_stopped_without_an_answer_is_gone_on_with_by_the_next_plan() {
    let mut world = World::new();
    world.tells(&Event::StepInconclusive {
        generation: GENERATION,
        step: StepIndex(1),
        question: "the module demands a credential to add the domain".to_owned(),
    });
    world.reports(facts(Some(TENANT)));
    assert_eq!(world.domains(), Some(BTreeSet::new()));
    for (tenant, domain, by_hand) in [
        ("", "directory = \"ask\"\n", false),
        ("", "", false),
        ("sign_in = \"wizard\"\n", "", true),
    ] {
        let (steps, why) = world.planned(tenant, domain);
        let looks: Vec<(usize, bool)> = steps.iter().filter_map(looks_for).collect();
        assert_eq!(looks, [(2, by_hand)], "{why}");
        assert!(!why.contains("Entrain did not register it"), "{why}");
        assert!(!why.contains("verified but for its domains"), "{why}");
    }
}

/// Its agent knows better than what was heard of it, also in another life of the controller: it is registered again, by either way, and counts
/// for no domain. One that was configured before may serve what it served.
#[test]
fn an_agent_that_tells_of_a_registration_that_was_broken_off_is_registered_again() {
    for (owed, sign_in, by_hand) in [
        (Owed::First, "token", false),
        (Owed::First, "wizard", true),
        (Owed::Anew, "token", false),
    ] {
        let mut world = World::new();
        let mut half = facts(Some(TENANT));
        let agent = half.provisioning_agent.as_mut().unwrap();
        agent.owes_registration = Some(owed);
        assert_eq!(agent.serves(), owed == Owed::Anew);
        world.reports(half);
        assert_eq!(world.domains(), None, "nobody heard of it");
        let (steps, why) = world.planned(&format!("sign_in = \"{sign_in}\"\n"), "");
        let looks: Vec<(usize, bool)> = steps.iter().filter_map(looks_for).collect();
        assert_eq!(looks, [(2, by_hand)], "{why}");
        let adds = steps.iter().any(|step| matches!(step, Step::AddDomains(_)));
        assert!(!adds, "its account may be half set: {why}");
        assert!(why.contains("has not come to its end"), "{why}");
        assert!(!why.contains("somebody else"), "{why}");
    }
}

/// Whoever brings the rest to its end has made it good: nothing is looked for any more.
#[test]
fn a_registration_that_stopped_is_made_good_by_whoever_ends_it() {
    for failed in [true, false] {
        let mut world = World::new();
        let (generation, step) = (GENERATION, StepIndex(1));
        world.tells(&if failed {
            Event::StepFailed {
                generation,
                step,
                failure: Box::new(Failure::plain("Add-AADCloudSyncADDomain failed")),
            }
        } else {
            Event::StepInconclusive {
                generation,
                step,
                question: "aborted".to_owned(),
            }
        });
        world.reports(facts(Some(TENANT)));
        let (steps, _) = world.planned("sign_in = \"wizard\"\n", "");
        assert_eq!(steps.iter().filter_map(looks_for).count(), 1, "{failed}");
        world.registers(Completion::Applied);
        let (steps, why) = world.planned("sign_in = \"wizard\"\n", "");
        assert_eq!(steps.iter().filter_map(looks_for).count(), 0, "{why}");
        assert_eq!(world.domains(), both());
    }
}

#[test]
fn an_agent_that_was_taken_off_or_registered_elsewhere_is_forgotten_and_one_that_cannot_be_read_is_not()
 {
    let registered = || {
        let mut world = World::new();
        world.registers(Completion::Applied);
        world.reports(facts(Some(TENANT)));
        assert_eq!(world.domains(), both());
        world
    };
    let mut unread = facts(None);
    unread.unread = vec!["the tenant could not be read".to_owned()];
    let mut world = registered();
    world.reports(unread);
    assert_eq!(world.domains(), both());
    for other in [
        facts(None),
        facts(Some("77aa0000-0000-0000-0000-000000000000")),
        common::facts(None, None),
    ] {
        let mut world = registered();
        world.reports(other);
        assert_eq!(world.domains(), None);
    }
}

impl World {
    /// The same, registered for one domain, and a rollout that is to add the other one.
    fn adding() -> Self {
        let mut world = Self::new();
        world.registers(Completion::Applied);
        world.reports(facts(Some(TENANT)));
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [\"a.test\", \"b.test\", \"c.test\"]\nhosts = [\"s1.a.test\"]\n"
        );
        let (topology, _) = parse(&[common::document(text)]);
        let plan = plan(Inputs::of(
            &topology,
            &Policy::default(),
            world.fleet.known(),
            &common::artifacts(),
            Purpose::Install,
        ));
        let applied = common::applied(RolloutId(2), &plan);
        world.fleet.apply(&applied, Some(&plan), NOW);
        let phases = &plan.targets[&target()].phases;
        let adds = |step: &Step| matches!(step, Step::AddDomains(_));
        let places = phases.iter().enumerate();
        let mut places =
            places.filter_map(|(phase, work)| Some((phase, work.steps.iter().position(adds)?)));
        let (phase, step) = places.next().expect("a domain is added");
        let ends = |generation| Event::RunFinished {
            generation,
            ending: Ending::Completed,
            receipt: String::new(),
        };
        world.tells(&ends(GENERATION));
        for (place, work) in phases.iter().enumerate().take(phase + 1) {
            let generation = world.fleet.next_generation(&target());
            let issued = Record::BundleIssued {
                rollout: RolloutId(2),
                target: target(),
                generation,
                phase: work.phase,
                bundle: BundleId(Digest::ZERO),
                expires: NOW.plus(std::time::Duration::from_secs(86_400)),
            };
            world.fleet.apply(&issued, None, NOW);
            if place < phase {
                world.tells(&ends(generation));
            }
        }
        world.step = StepIndex(u16::try_from(step).unwrap());
        world
    }
}

#[test]
fn a_domain_that_was_added_is_served_beside_those_before_and_one_that_could_not_be_is_not() {
    let mut all = both().unwrap();
    let mut world = World::adding();
    assert_eq!(world.domains(), both());
    let (generation, step) = (world.fleet.open(&target()).unwrap().generation, world.step);
    world.tells(&Event::StepFailed {
        generation,
        step,
        failure: Box::new(Failure::plain("Add-AADCloudSyncADDomain failed")),
    });
    assert_eq!(world.domains(), both());
    let mut world = World::adding();
    world.tells(&Event::StepCompleted {
        generation,
        step,
        completion: Completion::Applied,
        summary: String::new(),
        grade: None,
    });
    all.insert("c.test".parse().unwrap());
    assert_eq!(world.domains(), Some(all));
}

/// Somebody else registered it: which domains it has nobody has told, and nothing is added before the group says that it may be.
#[test]
fn an_agent_that_somebody_else_registered_gets_the_domains_that_its_group_adopts() {
    let key = SigningKey::generate().public();
    let mut fleet = Fleet::new();
    fleet.apply(&common::enrolled(&target(), key), None, NOW);
    let reported = Event::FactsReported(Box::new(facts(Some(TENANT))));
    fleet.apply(&common::told(&target(), 1, NOW, &reported), None, NOW);
    let planned = |fleet: &Fleet, adopt: &str| {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [\"a.test\", \"b.test\"]\nhosts = [\"s1.a.test\"]\n{adopt}"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        plan(Inputs::of(
            &topology,
            &Policy::default(),
            fleet.known(),
            &common::artifacts(),
            Purpose::Install,
        ))
    };
    let plain = planned(&fleet, "");
    let part = &plain.targets[&target()];
    assert!(part.is_read_only(), "{part:?}");
    let why = part.why.join("; ");
    assert!(
        why.contains("adopt = true") && why.contains("verified but for its domains"),
        "{why}"
    );
    let adopting = planned(&fleet, "adopt = true\n");
    let part = &adopting.targets[&target()];
    let why = part.why.join("; ");
    assert!(why.contains("not known to serve a.test, b.test"), "{why}");
    assert!(!why.contains("adopt = true"), "{why}");
    let mut places = part.phases.iter().enumerate();
    let (phase, work) = places
        .find(|(_, work)| work.phase == Phase::Register)
        .unwrap();
    let step = work
        .steps
        .iter()
        .position(|step| matches!(step, Step::AddDomains(add) if add.domains.len() == 2));
    let step = StepIndex(u16::try_from(step.unwrap()).unwrap());
    assert_eq!(phase, 0, "nothing stands before it");
    let applied = common::applied(RolloutId(1), &adopting);
    fleet.apply(&applied, Some(&adopting), NOW);
    let issued = Record::BundleIssued {
        rollout: RolloutId(1),
        target: target(),
        generation: GENERATION,
        phase: Phase::Register,
        bundle: BundleId(Digest::ZERO),
        expires: NOW.plus(std::time::Duration::from_secs(86_400)),
    };
    fleet.apply(&issued, None, NOW);
    let completed = Event::StepCompleted {
        generation: GENERATION,
        step,
        completion: Completion::Applied,
        summary: String::new(),
        grade: None,
    };
    fleet.apply(&common::told(&target(), 2, NOW, &completed), None, NOW);
    assert_eq!(fleet.known()[&target()].domains, both());
    let again = planned(&fleet, "adopt = true\n");
    let part = &again.targets[&target()];
    assert!(part.is_read_only(), "{part:?}");
    assert!(
        part.why
            .join("; ")
            .contains("registered: verified, nothing is changed")
    );
}

/// A topology of these groups.
fn topology(groups: &str) -> Topology {
    let text = format!("[tenant.main]\nid = \"{TENANT}\"\n{groups}");
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    topology
}

/// A server that is known to serve these domains.
fn other(domains: &[&str]) -> Known {
    Known {
        facts: Some((NOW, facts(Some(TENANT)))),
        domains: Some(domains.iter().map(|one| one.parse().unwrap()).collect()),
        ..Known::of(SigningKey::generate().public().fingerprint())
    }
}

impl World {
    /// A server that is enrolled, and reports that.
    fn reporting(facts: Facts) -> Self {
        let mut world = Self {
            fleet: Fleet::new(),
            index: 0,
            step: StepIndex(1),
        };
        let key = SigningKey::generate().public();
        world
            .fleet
            .apply(&common::enrolled(&target(), key), None, NOW);
        world.reports(facts);
        world
    }

    /// What is planned of a topology, with what is known of other servers.
    fn plans(&self, groups: &str, others: &[(&str, Known)]) -> Plan {
        let (topology, policy, artifacts) =
            (topology(groups), Policy::default(), common::artifacts());
        let mut known = self.fleet.known().clone();
        for (name, other) in others {
            known.insert(name.parse().unwrap(), other.clone());
        }
        plan(Inputs {
            beyond: self.fleet.beyond(),
            ..Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Install)
        })
    }

    /// Whatever was open is over, and the next plan registers the agent, which ends so; without a completion it fails.
    fn registers_anew(&mut self, rollout: u32, groups: &str, completion: Option<Completion>) {
        let ends = |generation, ending| Event::RunFinished {
            generation,
            ending,
            receipt: String::new(),
        };
        if let Some(generation) = self.fleet.open(&target()).map(|open| open.generation) {
            self.tells(&ends(generation, Ending::Completed));
        }
        let plan = self.plans(groups, &[]);
        let work = &plan.targets[&target()].phases[0];
        let place = work.steps.iter().position(|step| {
            matches!(
                step,
                Step::RegisterProvisioningAgent(_) | Step::GuideProvisioningAgent(_)
            )
        });
        let step = StepIndex(u16::try_from(place.expect("it is registered")).unwrap());
        let applied = common::applied(RolloutId(rollout), &plan);
        self.fleet.apply(&applied, Some(&plan), NOW);
        let generation = self.fleet.next_generation(&target());
        let issued = Record::BundleIssued {
            rollout: RolloutId(rollout),
            target: target(),
            generation,
            phase: work.phase,
            bundle: BundleId(Digest::ZERO),
            expires: NOW.plus(std::time::Duration::from_secs(86_400)),
        };
        self.fleet.apply(&issued, None, NOW);
        self.tells(&match &completion {
            Some(completion) => Event::StepCompleted {
                generation,
                step,
                completion: completion.clone(),
                summary: String::new(),
                grade: Some(Grade::Registered),
            },
            None => Event::StepFailed {
                generation,
                step,
                failure: Box::new(Failure::plain("Add-AADCloudSyncADDomain failed")),
            },
        });
        let ending = match completion {
            Some(_) => Ending::Completed,
            None => Ending::Failed("Add-AADCloudSyncADDomain failed".to_owned()),
        };
        self.tells(&ends(generation, ending));
        self.reports(facts(Some(TENANT)));
    }
}

const ONE: &str = "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n";

/// The cmdlets and the wizard only add: what an agent was given before it is set anew stays on it. The last agent of a domain that no
/// `serves` names any more is that still (G10).
#[test]
fn a_registration_that_is_set_anew_takes_no_domain_from_the_agent() {
    let by = "anna".to_owned();
    for done in [
        Some(Completion::Applied),
        Some(Completion::Attested { by }),
        Some(Completion::SeenDone),
        Some(Completion::AlreadySo),
        None,
    ] {
        let mut world = World::new();
        world.registers(Completion::Applied);
        world.reports(facts_as(Some(TENANT), "A\\operator"));
        world.registers_anew(2, ONE, done.clone());
        assert_eq!(world.domains(), both(), "{done:?}");

        let job = Job {
            template: "AD2AADProvisioning".to_owned(),
            status: "Active".to_owned(),
            quarantined: false,
            last_success: None,
        };
        let configuration = Configuration {
            name: "b.test".to_owned(),
            jobs: Part::Seen(vec![job]),
            domain: Part::Seen("b.test".to_owned()),
            guard: Part::Seen(None),
            units: Part::Seen(Units::Whole),
        };
        let mut observation = Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403");
        observation.configurations = Part::Seen(vec![configuration]);
        let seen = Record::TenantSeen {
            observation: Box::new(observation),
            by: "anna".to_owned(),
        };
        world.fleet.apply(&seen, None, NOW);
        let retires = "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s2.a.test\"]\nretired = [\"s1.a.test\"]\n";
        let plan = world.plans(retires, &[("s2.a.test", other(&["a.test"]))]);
        let [act] = plan.irreversible.as_slice() else {
            panic!("{done:?}: {:?}", plan.irreversible)
        };
        let words = "b.test: its last provisioning agent is taken off (s1.a.test)";
        assert!(act.starts_with(words), "{act}");
        let why = plan.targets[&target()].why.join("; ");
        assert!(
            why.contains("configuration b.test of b.test is still at work"),
            "{done:?}: {why}"
        );
    }
}

/// Somebody else registered it, and its account is set anew, or its group adopts it: what it was given beside that nobody has told.
#[test]
fn what_somebody_else_gave_an_agent_stays_untold_when_entrain_registers_it_anew() {
    let mut old = facts(Some(TENANT));
    old.provisioning_agent.as_mut().unwrap().version = Some(Version::new(1, 1, 1586, 0));
    let strange = |world: &World| {
        let plan = world.plans(ONE, &[]);
        let mut own = plan.warnings.into_iter();
        own.find(|one| one.starts_with("s1.a.test: registered by somebody else"))
    };
    let may_serve = |world: &World| {
        let ends = format!(
            "{ONE}[agents.b]\nserves = [\"b.test\"]\nhosts = []\nretired = [\"s2.b.test\"]\n"
        );
        let plan = world.plans(&ends, &[("s2.b.test", other(&["b.test"]))]);
        plan.irreversible.join("; ")
    };
    let words = "whether s1.a.test serves it too is not known";
    for done in [Some(Completion::Applied), Some(Completion::SeenDone), None] {
        let mut world = World::reporting(facts_as(Some(TENANT), "A\\operator"));
        world.registers_anew(1, ONE, done.clone());
        assert!(may_serve(&world).contains(words), "{done:?}");
        world.reports(old.clone());
        assert!(strange(&world).is_some(), "{done:?}");
        // It is taken off, and registered by Entrain alone: nothing else is on it.
        world.reports(common::facts(None, None));
        world.reports(facts(None));
        world.registers_anew(2, ONE, Some(Completion::Applied));
        let said = may_serve(&world);
        assert!(!said.contains(words), "{done:?}: {said}");
        world.reports(old.clone());
        assert_eq!(strange(&world), None, "{done:?}");
    }
    // What it shows in the middle of Entrain's own registration is nobody else's.
    let mut world = World::new();
    world.reports(facts(Some(TENANT)));
    world.registers(Completion::Applied);
    world.reports(old);
    assert_eq!(strange(&world), None);
}
