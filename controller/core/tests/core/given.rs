//! What the cmdlets gave an agent of its domains, and what is written of them later: rights that are missing are brought, what cannot
//! be brought or told is said (product facts 1.6).
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::facts::Fleetwide;
use controller_core::fleet::Fleet;
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::record::Record;
use controller_core::topology::{Topology, parse};
use protocol::event::{Completion, Event, Grade};
use protocol::facts::{Facts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::Phase;
use protocol::step::{Permission, Step};
use protocol::task::TaskText;
use protocol::{BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

fn target() -> TargetId {
    "s1.a.test".parse().unwrap()
}

/// One domain, with what is written of it.
fn topology(sign_in: &str, domain: &str) -> Topology {
    let text = format!(
        "[tenant.main]\nid = \"{TENANT}\"\nsign_in = \"{sign_in}\"\n[domain.\"a.test\"]\ndirectory = \"ask\"\n{domain}\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\ngmsa = \"svcEntraSync$\"\n"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    topology
}

fn facts(version: Version, tenant: Option<&str>) -> Facts {
    let agent = ProvisioningAgentFacts {
        version: Some(version),
        tenant: tenant.map(|tenant| tenant.parse().unwrap()),
        service: Some(ServiceState::Running),
        account: Some("A\\svcEntraSync$".to_owned()),
        options: Some(protocol::ServiceOptions::default()),
        updater: None,
        owes_registration: None,
    };
    common::facts(Some(agent), None)
}

struct World {
    fleet: Fleet,
    index: u64,
    generation: Generation,
    rollout: u32,
}

impl World {
    /// A server whose agent is installed, and not registered.
    fn new() -> Self {
        let mut world = Self {
            fleet: Fleet::new(),
            index: 0,
            generation: Generation(0),
            rollout: 0,
        };
        let key = SigningKey::generate().public();
        world
            .fleet
            .apply(&common::enrolled(&target(), key), None, NOW);
        world.reports(facts(common::AGENT, None));
        world
    }

    /// The same, registered by a token with what is written of its domain, in that way.
    fn registered(domain: &str, by_hand: bool, completion: Completion) -> Self {
        let mut world = Self::new();
        let plan = world.planned(&topology("token", domain));
        world.does(&plan, by_hand, completion);
        world.reports(facts(common::AGENT, Some(TENANT)));
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

    fn planned(&self, topology: &Topology) -> Plan {
        let (policy, artifacts) = (Policy::default(), common::artifacts());
        let known: &Fleetwide = self.fleet.known();
        plan(Inputs {
            beyond: self.fleet.beyond(),
            ..Inputs::of(topology, &policy, known, &artifacts, Purpose::Install)
        })
    }

    /// The plan's registration, or its addition of domains, comes to its end.
    fn does(&mut self, plan: &Plan, by_hand: bool, completion: Completion) {
        self.rollout += 1;
        self.generation = self.generation.next();
        let (rollout, generation, step) = (RolloutId(self.rollout), self.generation, StepIndex(1));
        self.fleet
            .apply(&common::applied(rollout, plan), Some(plan), NOW);
        let issued = Record::BundleIssued {
            rollout,
            target: target(),
            generation,
            phase: Phase::Register,
            bundle: BundleId(Digest::ZERO),
            expires: NOW.plus(std::time::Duration::from_secs(86_400)),
        };
        self.fleet.apply(&issued, None, NOW);
        if by_hand {
            let text = TaskText {
                title: "do it at the wizard".to_owned(),
                why: String::new(),
                bring: Vec::new(),
                pages: Vec::new(),
                seen_by: String::new(),
            };
            self.tells(&Event::TaskOpened {
                generation,
                step,
                text: Box::new(text),
            });
        }
        self.tells(&Event::StepCompleted {
            generation,
            step,
            completion,
            summary: String::new(),
            grade: Some(Grade::Registered),
        });
    }
}

/// The rights that a plan gives in a.test, and what it says.
fn gives(plan: &Plan) -> (Option<Vec<Permission>>, String) {
    let part = &plan.targets[&target()];
    let steps = part.phases.iter().flat_map(|phase| &phase.steps);
    let mut added = steps.filter_map(|step| {
        let Step::AddDomains(add) = step else {
            return None;
        };
        Some(add.domains[0].permissions.clone())
    });
    (added.next(), part.why.join("\n"))
}

const READ: &str = "permissions = [\"basic-read\"]";
const MORE: &str = "permissions = [\"basic-read\", \"user-group-create-delete\"]";

#[test]
fn a_right_that_is_written_later_is_given_and_then_nothing_is_changed() {
    let mut world = World::registered(READ, false, Completion::Applied);
    let (added, said) = gives(&world.planned(&topology("token", READ)));
    assert_eq!(added, None, "{said}");
    assert!(said.contains("nothing is changed"), "{said}");
    let plan = world.planned(&topology("token", MORE));
    let (added, said) = gives(&plan);
    let all = vec![Permission::BasicRead, Permission::UserGroupCreateDelete];
    assert_eq!(added, Some(all));
    assert!(
        said.contains("was not given user-group-create-delete in a.test"),
        "{said}"
    );
    let people = &plan.targets[&target()].people;
    assert!(people.iter().any(|one| one.contains(
        "password of a domain administrator of a.test, which each server asks for anew"
    )));
    assert!(
        !people.iter().any(|one| one.contains("part 3")),
        "the work gives them: {people:?}"
    );
    world.does(&plan, false, Completion::Applied);
    let (added, said) = gives(&world.planned(&topology("token", MORE)));
    assert_eq!(added, None, "{said}");
}

/// A wizard gives no rights, and of an earlier try that ended unheard nobody knows what it gave: it cannot be told, and is said.
#[test]
fn what_nobody_saw_given_cannot_be_told() {
    for (by_hand, completion) in [
        (true, Completion::Applied),
        (
            true,
            Completion::Attested {
                by: "anna".to_owned(),
            },
        ),
        (false, Completion::AlreadySo),
    ] {
        let world = World::registered(READ, by_hand, completion.clone());
        let (_, said) = gives(&world.planned(&topology("token", READ)));
        // A registration whose end was unheard has its domains looked for anew.
        if completion != Completion::AlreadySo {
            assert!(said.contains("cannot be told"), "{completion:?}: {said}");
        }
    }
    // Another agent on the server was given nothing by these steps.
    let mut world = World::registered(READ, false, Completion::Applied);
    world.reports(common::facts(None, None));
    assert!(!world.fleet.beyond().given.contains_key(&target()));
}

#[test]
fn where_the_wizard_signs_in_the_domains_administrator_gives_what_is_missing() {
    let world = World::registered(READ, false, Completion::Applied);
    let (added, said) = gives(&world.planned(&topology("wizard", MORE)));
    assert_eq!(added, None);
    assert!(
        said.contains("the wizard gives no rights") && said.contains("entrain handover a.test"),
        "{said}"
    );
}

/// No cmdlet changes the controllers of a domain that is there.
#[test]
fn other_domain_controllers_are_said_and_not_brought() {
    let one = "preferred_dcs = [\"dc1.a.test\"]";
    let world = World::registered(one, false, Completion::Applied);
    let (added, said) = gives(&world.planned(&topology("token", one)));
    assert!(
        added.is_none() && said.contains("nothing is changed"),
        "{said}"
    );
    for other in ["preferred_dcs = [\"dc2.a.test\", \"dc1.a.test\"]", READ] {
        let (_, said) = gives(&world.planned(&topology("token", other)));
        let told =
            said.contains("the preferred domain controllers of a.test are written otherwise");
        assert!(told, "{other}: {said}");
    }
}

/// The product gives rights on a clean installation alone (product facts 1.6 [P]).
#[test]
fn an_upgrade_names_the_rights_that_people_add_by_hand() {
    let upgraded = |domain: &str| {
        let mut world = World::registered(domain, false, Completion::Applied);
        world.reports(facts(Version::new(1, 1, 1586, 0), Some(TENANT)));
        let plan = world.planned(&topology("token", domain));
        plan.targets[&target()].people.join("\n")
    };
    let people = upgraded(MORE);
    let words = "gives svcEntraSync$ the rights UserGroupCreateDelete by hand in a.test: part 3 of entrain handover DOMAIN";
    assert!(people.contains(words), "{people}");
    let people = upgraded(READ);
    assert!(people.contains("it is written for no domain"), "{people}");
    // An installation gives what is written.
    let mut fresh = World::new();
    fresh.reports(common::facts(None, None));
    let plan = fresh.planned(&topology("token", MORE));
    let people = plan.targets[&target()].people.join("\n");
    assert!(!people.contains("after the upgrade"), "{people}");
}

/// The rights of password writeback switch nothing on (product facts 1.4, 1.5 [R]): who does is said where they are planned, however they
/// are given, when they are given.
#[test]
fn who_switches_the_writeback_of_passwords_on_is_said_where_it_is_planned() {
    const SWITCH: &str = "A Global Administrator does, on a server of an agent: Set-AADCloudSyncPasswordWritebackConfiguration -Enable $true";
    let writes = |set: &str| format!("permissions = [\"basic-read\", \"{set}\"]");
    let fresh = |sign_in: &str, domain: &str| {
        let mut world = World::new();
        world.reports(common::facts(None, None));
        let plan = world.planned(&topology(sign_in, domain));
        plan.targets[&target()].people.join("\n")
    };
    for sign_in in ["token", "wizard"] {
        for set in ["password-writeback", "all"] {
            let people = fresh(sign_in, &writes(set));
            assert!(people.contains(SWITCH), "{sign_in} {set}: {people}");
            assert!(people.contains("written back (a.test)"), "{people}");
        }
        let people = fresh(sign_in, READ);
        assert!(!people.contains("written back"), "{people}");
    }
    // Where they are given to an agent that is there, and not once they are.
    let more = writes("password-writeback");
    let world = World::registered(READ, false, Completion::Applied);
    let plan = world.planned(&topology("token", &more));
    assert!(plan.targets[&target()].people.join("\n").contains(SWITCH));
    let world = World::registered(&more, false, Completion::Applied);
    let plan = world.planned(&topology("token", &more));
    assert!(!plan.targets[&target()].people.join("\n").contains(SWITCH));
}

#[test]
fn what_a_registration_gave_is_kept_by_domain() {
    let world = World::registered(MORE, false, Completion::Applied);
    let given = &world.fleet.beyond().given[&target()][&"a.test".parse().unwrap()];
    assert_eq!(
        given.permissions,
        [Permission::BasicRead, Permission::UserGroupCreateDelete].into()
    );
    assert!(given.preferred_dcs.is_empty());
}
