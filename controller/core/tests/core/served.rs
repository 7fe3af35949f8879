//! Which domains an agent serves, as the fleet's own steps made it serve them: kept, forgotten, and never guessed.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::Fleet;
use controller_core::plan::{Inputs, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::record::Record;
use controller_core::topology::parse;
use protocol::event::{Completion, Event, Failure, Grade};
use protocol::facts::{Facts, Owed, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::{Ending, Phase};
use protocol::step::{SignIn, Step};
use protocol::{
    BundleId, Digest, DomainName, Generation, RolloutId, StepIndex, TargetId, Timestamp,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const GENERATION: Generation = Generation(1);

fn target() -> TargetId {
    "s1.a.test".parse().unwrap()
}

fn facts(tenant: Option<&str>) -> Facts {
    let agent = ProvisioningAgentFacts {
        version: Some(common::AGENT),
        tenant: tenant.map(|tenant| tenant.parse().unwrap()),
        service: Some(ServiceState::Running),
        account: Some("A\\provAgentgMSA$".to_owned()),
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
