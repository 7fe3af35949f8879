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
use protocol::event::{Completion, Event, Failure, Grade};
use protocol::facts::{Facts, Owed, ProvisioningAgentFacts, ServiceState};
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
    let group = "serves = [\"a.test\"]\ngmsa = \"svcEntraSync$\"\n";
    written(sign_in, domain, group)
}

/// The same, with what is written of its group.
fn written(sign_in: &str, domain: &str, group: &str) -> Topology {
    let text = format!(
        "[tenant.main]\nid = \"{TENANT}\"\nsign_in = \"{sign_in}\"\n[domain.\"a.test\"]\ndirectory = \"ask\"\n{domain}\n[agents.a]\nhosts = [\"s1.a.test\"]\n{group}"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    topology
}

fn facts(version: Version, tenant: Option<&str>) -> Facts {
    facts_as(version, tenant, "A\\svcEntraSync$")
}

/// The same, where its service runs as that account.
fn facts_as(version: Version, tenant: Option<&str>, account: &str) -> Facts {
    let agent = ProvisioningAgentFacts {
        version: Some(version),
        tenant: tenant.map(|tenant| tenant.parse().unwrap()),
        service: Some(ServiceState::Running),
        account: Some(account.to_owned()),
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
        let (generation, step) = self.begins(plan);
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

    /// It fails on its way.
    fn fails(&mut self, plan: &Plan) {
        let (generation, step) = self.begins(plan);
        self.tells(&Event::StepFailed {
            generation,
            step,
            failure: Box::new(Failure::plain("Set-AADCloudSyncPermissions failed")),
        });
    }

    /// Its bundle is there.
    fn begins(&mut self, plan: &Plan) -> (Generation, StepIndex) {
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
        (generation, step)
    }
}

/// Whether a plan registers the agent by cmdlets.
fn registers(plan: &Plan) -> bool {
    let part = &plan.targets[&target()];
    let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
    steps.any(|step| matches!(step, Step::RegisterProvisioningAgent(_)))
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

const OTHERWISE: &str = "the preferred domain controllers of a.test are written otherwise";
const UNTOLD: &str = "which domain controllers the agent prefers in a.test cannot be told";

fn prefers(dc: &str) -> String {
    format!("{READ}\npreferred_dcs = [\"{dc}.a.test\"]")
}

/// The cmdlet is told them when it adds a domain, and one that is there is not added again: to register anew changes nothing of them.
#[test]
fn a_registration_anew_names_no_domain_controllers_for_a_domain_that_is_there() {
    let mut world = World::registered(&prefers("dc1"), false, Completion::Applied);
    let other = topology("token", &prefers("dc2"));
    let (_, said) = gives(&world.planned(&other));
    assert!(said.contains(OTHERWISE), "{said}");
    world.reports(facts_as(common::AGENT, Some(TENANT), "A\\operator"));
    let plan = world.planned(&other);
    assert!(registers(&plan), "{:?}", plan.targets[&target()].why);
    world.does(&plan, false, Completion::Applied);
    world.reports(facts(common::AGENT, Some(TENANT)));
    let (added, said) = gives(&world.planned(&other));
    assert!(added.is_none() && said.contains(OTHERWISE), "{said}");
    let (_, said) = gives(&world.planned(&topology("token", &prefers("dc1"))));
    assert!(said.contains("nothing is changed") && !said.contains(OTHERWISE));
    // Where a try failed behind its account nobody knows with which of them it added the domain.
    let mut world = World::new();
    let plan = world.planned(&topology("token", &prefers("dc1")));
    world.fails(&plan);
    let mut half = facts(common::AGENT, Some(TENANT));
    let agent = half.provisioning_agent.as_mut().unwrap();
    agent.owes_registration = Some(Owed::First);
    world.reports(half);
    let plan = world.planned(&other);
    assert!(registers(&plan), "{:?}", plan.targets[&target()].why);
    world.does(&plan, false, Completion::Applied);
    world.reports(facts(common::AGENT, Some(TENANT)));
    let (_, said) = gives(&world.planned(&other));
    assert!(said.contains(UNTOLD) && !said.contains(OTHERWISE), "{said}");
}

/// Somebody else may have added a domain that is adopted: with which domain controllers nobody has told.
#[test]
fn domain_controllers_of_a_domain_that_is_adopted_are_not_known() {
    let adopts = |dc: &str| {
        let group = "serves = [\"a.test\"]\ngmsa = \"svcEntraSync$\"\nadopt = true\n";
        written("token", &prefers(dc), group)
    };
    let mut world = World::new();
    world.reports(facts(common::AGENT, Some(TENANT)));
    let plan = world.planned(&adopts("dc1"));
    assert!(gives(&plan).0.is_some());
    world.does(&plan, false, Completion::Applied);
    for dc in ["dc1", "dc2"] {
        let (added, said) = gives(&world.planned(&adopts(dc)));
        assert!(added.is_none(), "{said}");
        assert!(
            said.contains(UNTOLD) && !said.contains(OTHERWISE),
            "{dc}: {said}"
        );
    }
    // One that an agent whose domains are known gets in addition was not there.
    let two = |dc: &str| {
        let group = "serves = [\"a.test\", \"b.test\"]\ngmsa = \"svcEntraSync$\"\n";
        let b = format!("{READ}\n[domain.\"b.test\"]\npreferred_dcs = [\"{dc}.b.test\"]");
        written("token", &b, group)
    };
    let mut world = World::registered(READ, false, Completion::Applied);
    let plan = world.planned(&two("dc1"));
    world.does(&plan, false, Completion::Applied);
    let (_, said) = gives(&world.planned(&two("dc1")));
    assert!(said.contains("nothing is changed"), "{said}");
    let (_, said) = gives(&world.planned(&two("dc2")));
    let words = "the preferred domain controllers of b.test are written otherwise";
    assert!(said.contains(words), "{said}");
}

/// Rights are an account's: another one has none of them, whoever has set it, and whoever was at the wizard may have chosen others.
#[test]
fn rights_that_another_account_was_given_are_not_those_of_the_one_that_is_there() {
    let of_b = |sign_in: &str| {
        let group = "serves = [\"a.test\"]\ngmsa = \"svcB$\"\n";
        written(sign_in, READ, group)
    };
    let now_b = || facts_as(common::AGENT, Some(TENANT), "A\\svcB$");
    for (by_hand, completion, told) in [
        (true, Some(Completion::SeenDone), false),
        (
            true,
            Some(Completion::Attested {
                by: "anna".to_owned(),
            }),
            false,
        ),
        // Somebody has set it, without Entrain.
        (false, None, false),
        // The cmdlets give the new one its own.
        (false, Some(Completion::Applied), true),
    ] {
        let mut world = World::registered(READ, false, Completion::Applied);
        if let Some(completion) = completion.clone() {
            let plan = world.planned(&of_b(if by_hand { "wizard" } else { "token" }));
            world.does(&plan, by_hand, completion);
        }
        world.reports(now_b());
        let (added, said) = gives(&world.planned(&of_b("token")));
        assert_eq!(added, None, "{completion:?}: {said}");
        assert_eq!(
            said.contains("cannot be told"),
            !told,
            "{completion:?}: {said}"
        );
        // The one that was given them has them still, where nobody was at the wizard.
        world.reports(facts(common::AGENT, Some(TENANT)));
        let (_, said) = gives(&world.planned(&topology("token", READ)));
        let before = completion.is_none();
        assert_eq!(
            !said.contains("cannot be told"),
            before,
            "{completion:?}: {said}"
        );
    }
    // Of an account that the topology does not name it is the one that the server shows.
    let unnamed = written("token", READ, "serves = [\"a.test\"]\n");
    let mut world = World::new();
    let plan = world.planned(&unnamed);
    world.does(&plan, false, Completion::Applied);
    for (account, told) in [
        ("A\\pGMSA_1a2b$", true),
        ("A\\PGMSA_1A2B$", true),
        ("A\\svcB$", false),
    ] {
        world.reports(facts_as(common::AGENT, Some(TENANT), account));
        let (_, said) = gives(&world.planned(&unnamed));
        assert_eq!(!said.contains("cannot be told"), told, "{account}: {said}");
    }
    // A guided registration that found all as it is to be changed nothing.
    let mut world = World::registered(READ, false, Completion::Applied);
    world.reports(facts_as(common::AGENT, Some(TENANT), "A\\operator"));
    let plan = world.planned(&topology("wizard", READ));
    world.does(&plan, true, Completion::AlreadySo);
    world.reports(facts(common::AGENT, Some(TENANT)));
    let (_, said) = gives(&world.planned(&topology("token", READ)));
    assert!(!said.contains("cannot be told"), "{said}");
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
    assert_eq!(given.preferred_dcs, Some(Vec::new()));
}
