//! A domain in both tools (guard rail G7): its scopes are told by the tenant and by the Connect servers, compared unit by unit, and
//! what is not probed disjoint is not configured.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use controller_core::fleet::{Asking, Cause, Decision, Fleet, Live, Unaccepted};
use controller_core::overrides::Rule;
use controller_core::plan::{Inputs, Plan, Purpose, plan, render};
use controller_core::policy;
use controller_core::record::Record;
use controller_core::scope::{Dn, FRESH, Scope, of_connect};
use controller_core::tenant::{Configuration, Observation, Part, Units};
use controller_core::topology::{check, parse};
use proptest::prelude::*;
use protocol::event::{Completion, Event, Grade, Section};
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::{PublicKey, SigningKey};
use protocol::settings::{ConnectSettings, Setting, SettingsPart, UnreadPart};
use protocol::signed::Phase;
use protocol::step::Step;
use protocol::{
    Attempt, BundleId, Digest, DomainName, Generation, RolloutId, StepIndex, TargetId, Timestamp,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const ID: RolloutId = RolloutId(1);

/// One agent that is to serve the domain, and one Connect server of its forest.
const TOPOLOGY: &str = r#"
[tenant.main]
id = "3f0c8a4e-0000-0000-0000-000000000000"
[agents.a]
serves = ["emea.a.test"]
hosts = ["s1.a.test"]
[connect.main]
forests = ["a.test"]
servers = ["c1.a.test"]
"#;

fn id(name: &str) -> TargetId {
    name.parse().unwrap()
}

fn domain() -> DomainName {
    "emea.a.test".parse().unwrap()
}

// --- names and trees ---

/// A tree of units: of each but the first the one above it, and how each of two tools lists it.
type Tree = Vec<(usize, Option<bool>, Option<bool>)>;

fn tree() -> impl Strategy<Value = Tree> {
    let node = (any::<prop::sample::Index>(), listed(), listed());
    prop::collection::vec(node, 1..14).prop_map(|nodes| {
        let mut tree = Tree::new();
        for (number, (above, one, other)) in nodes.into_iter().enumerate() {
            let above = if number == 0 { 0 } else { above.index(number) };
            tree.push((above, one, other));
        }
        tree
    })
}

fn listed() -> impl Strategy<Value = Option<bool>> {
    prop_oneof![4 => Just(None), 2 => Just(Some(true)), 1 => Just(Some(false))]
}

/// The name of a unit; names of siblings begin alike, so that letters alone tell nothing.
fn name(tree: &Tree, node: usize) -> String {
    if node == 0 {
        return "DC=emea,DC=a,DC=test".to_owned();
    }
    let escaped = if node.is_multiple_of(3) { r"\," } else { "" };
    let last = "x".repeat(node);
    format!("OU=u{escaped}{last},{}", name(tree, tree[node].0))
}

fn scope(
    tree: &Tree,
    of: impl Fn(usize) -> Option<bool>,
    write: impl Fn(String) -> String,
) -> Scope {
    let mut scope = Scope::default();
    for node in 0..tree.len() {
        let at = Dn::read(&write(name(tree, node))).unwrap();
        match of(node) {
            Some(true) => drop(scope.included.insert(at)),
            Some(false) => drop(scope.excluded.insert(at)),
            None => {}
        }
    }
    scope
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn two_scopes_are_disjoint_exactly_when_no_object_could_be_in_both(tree in tree()) {
        // What lies in a unit, by going up from it: this knows nothing of names.
        let holds = |of: &dyn Fn(usize) -> Option<bool>, node: usize| {
            let mut at = node;
            loop {
                match of(at) {
                    Some(is) => return is,
                    None if at == 0 => return false,
                    None => at = tree[at].0,
                }
            }
        };
        let (first, second) = (|node: usize| tree[node].1, |node: usize| tree[node].2);
        let both = (0..tree.len()).any(|node| holds(&first, node) && holds(&second, node));
        let one = scope(&tree, first, |name| name);
        let other = scope(&tree, second, |name| name.to_uppercase());
        prop_assert_eq!(one.overlap(&other).is_some(), both);
        prop_assert_eq!(one.overlap(&other), other.overlap(&one));
        if let Some(at) = one.overlap(&other) {
            prop_assert!(one.holds(at) && other.holds(at));
        }
        for node in 0..tree.len() {
            let below = Dn::read(&format!("CN=Anna,{}", name(&tree, node))).unwrap();
            prop_assert_eq!(one.holds(&below), holds(&first, node));
        }
    }
}

// --- what a Connect server tells ---

fn connectors(lines: &[(&str, &str)]) -> ConnectSettings {
    let setting = |(name, value): &(&str, &str)| Setting {
        part: SettingsPart::Connectors,
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    ConnectSettings::of(lines.iter().map(setting).collect(), Vec::new())
}

const CONNECTOR: [(&str, &str); 4] = [
    ("connector a.test", "AD"),
    ("connector a.test, object types", "user"),
    ("connector tenant - AAD", "Extensible2"),
    ("partition default of tenant - AAD", "selected"),
];

/// Connect takes this unit of the domain, less another one.
fn takes(unit: &str) -> ConnectSettings {
    let unit = format!("container {unit} of emea.a.test of a.test");
    let mut lines = CONNECTOR.to_vec();
    lines.extend([
        ("partition emea.a.test of a.test", "selected"),
        (unit.as_str(), "included"),
        (
            "container OU=Labs,OU=People,DC=emea,DC=a,DC=test of emea.a.test of a.test",
            "excluded",
        ),
        // Of the domain above, whose root is no ancestor of objects of this one.
        ("partition a.test of a.test", "selected"),
        ("container DC=a,DC=test of a.test of a.test", "included"),
    ]);
    connectors(&lines)
}

#[test]
fn a_servers_units_are_those_of_the_domain_itself() {
    let told = of_connect(&takes("OU=People,DC=emea,DC=a,DC=test"), &domain()).unwrap();
    let holds = |name: &str| told.holds(&Dn::read(name).unwrap());
    assert!(holds("CN=x,ou=people,DC=EMEA,DC=a,DC=test"));
    assert!(!holds("CN=x,OU=Labs,OU=People,DC=emea,DC=a,DC=test"));
    assert!(!holds("CN=x,OU=Others,DC=emea,DC=a,DC=test"));
    // A domain that no partition is selected of is in nobody's scope.
    let none = of_connect(&connectors(&CONNECTOR), &domain()).unwrap();
    assert_eq!(none, Scope::default());
}

#[test]
fn what_a_server_tells_in_another_form_cannot_be_told() {
    let mut whole = CONNECTOR.to_vec();
    whole.push(("partition emea.a.test of a.test", "selected"));
    let mut strange = whole.clone();
    strange.push(("container OU=People of elsewhere", "included"));
    let mut no_name = whole.clone();
    no_name.push(("container People of emea.a.test of a.test", "included"));
    let unread = ConnectSettings::of(
        Vec::new(),
        vec![UnreadPart {
            part: SettingsPart::Connectors,
            why: "no ContainerInclusionList".to_owned(),
        }],
    );
    let mut many = takes("OU=People,DC=emea,DC=a,DC=test");
    many.beyond = 7;
    for (settings, says) in [
        (connectors(&whole), "is selected and names no unit"),
        (
            connectors(&strange),
            "cannot be read: OU=People of elsewhere",
        ),
        (connectors(&no_name), "no name of a unit: People"),
        (unread, "no ContainerInclusionList"),
        (many, "more units than are carried"),
    ] {
        let why = of_connect(&settings, &domain()).unwrap_err();
        assert!(why.contains(says), "{says}: {why}");
    }
}

// --- the planner and the machine ---

struct World {
    fleet: Fleet,
    live: Live,
    keys: BTreeMap<TargetId, PublicKey>,
    topology: String,
    now: Timestamp,
    told: u64,
}

fn connect() -> Facts {
    let connect = ConnectFacts {
        version: Some(common::CONNECT),
        service: Some(ServiceState::Running),
        staging: Some(false),
        cycle_enabled: Some(true),
        suspended: None,
    };
    common::facts(None, Some(connect))
}

impl World {
    fn new() -> Self {
        Self::of(TOPOLOGY)
    }

    fn of(topology: &str) -> Self {
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live::default(),
            keys: BTreeMap::new(),
            topology: topology.to_owned(),
            now: NOW,
            told: 0,
        };
        for (server, facts) in [
            ("s1.a.test", common::facts(None, None)),
            ("c1.a.test", connect()),
        ] {
            let (target, key) = (id(server), SigningKey::generate().public());
            world.take(common::enrolled(&target, key));
            world.tells(&target, &Event::FactsReported(Box::new(facts)));
            world.live.connected.insert(target.clone());
            world.keys.insert(target, key);
        }
        world.live.began = NOW.minus(FRESH);
        world
    }

    fn take(&mut self, record: Record) {
        self.fleet.apply(&record, None, self.now);
    }

    fn tells(&mut self, target: &TargetId, event: &Event) {
        self.told += 1;
        self.take(common::told(target, self.told, self.now, event));
    }

    /// The tenant is read: these units of the domain are taken by its configuration, where it has one.
    fn reads(&mut self, configurations: Part<Vec<Configuration>>) {
        let mut observation = Observation::unseen_all(&TENANT.parse().unwrap(), self.now, "403");
        observation.configurations = configurations;
        let by = "anna".to_owned();
        self.take(Record::TenantSeen {
            observation: Box::new(observation),
            by,
        });
    }

    fn connect_tells(&mut self, settings: ConnectSettings) {
        let event = Event::ConnectSettingsRead {
            generation: Generation(1),
            step: StepIndex(0),
            settings: Box::new(settings),
        };
        self.tells(&id("c1.a.test"), &event);
    }

    fn plan(&self, purpose: Purpose) -> Plan {
        let (topology, findings) = parse(&[common::document(self.topology.clone())]);
        assert!(findings.is_empty(), "{findings:?}");
        let policy = common::document("[limit]\ncanary = 0\n");
        let (policy, findings) = policy::parse(&policy);
        assert!(findings.is_empty(), "{findings:?}");
        plan(Inputs {
            beyond: self.fleet.beyond(),
            ..Inputs::of(
                &topology,
                &policy,
                self.fleet.known(),
                &common::artifacts(),
                purpose,
            )
        })
    }

    fn apply(&mut self) {
        let mut plan = self.plan(Purpose::Install);
        // The agent is on the server, and its registration is due.
        let part = plan.targets.get_mut(&id("s1.a.test")).unwrap();
        part.phases.remove(0);
        let record = common::applied(ID, &plan);
        self.fleet.apply(&record, Some(&plan), self.now);
    }

    /// The agent is registered for its domain, by the bundle that is due.
    fn registers(&mut self) {
        let target = id("s1.a.test");
        self.take(Record::BundleIssued {
            rollout: ID,
            target: target.clone(),
            generation: Generation(1),
            phase: Phase::Register,
            bundle: BundleId(Digest::ZERO),
            expires: self.now.plus(FRESH),
        });
        let done = Event::StepCompleted {
            generation: Generation(1),
            step: StepIndex(1),
            completion: Completion::Applied,
            summary: String::new(),
            grade: Some(Grade::Registered),
        };
        self.tells(&target, &done);
    }

    fn hold(&self) -> Option<String> {
        let hold = self
            .fleet
            .hold(ID, &id("s1.a.test"), &self.live, self.now)?;
        assert!(!hold.in_turn);
        Some(hold.why)
    }

    fn issues(&self) -> bool {
        let issues = |one: &Decision| matches!(one, Decision::Issue { target, .. } if *target == id("s1.a.test"));
        self.fleet.decide(&self.live, self.now).iter().any(issues)
    }

    fn held_by(&self, says: &str) {
        let why = self.hold().unwrap();
        assert!(why.contains(says) && why.contains("(G7"), "{says}: {why}");
        assert!(!self.issues());
    }
}

fn configuration(units: Part<Units>) -> Part<Vec<Configuration>> {
    Part::Seen(vec![Configuration {
        name: "EMEA".to_owned(),
        jobs: Part::Seen(Vec::new()),
        domain: Part::Seen("emea.a.test".to_owned()),
        guard: Part::Seen(None),
        units,
    }])
}

fn unit(name: &str) -> Part<Vec<Configuration>> {
    configuration(Part::Seen(Units::Named([name.to_owned()].into())))
}

const PEOPLE: &str = "OU=People,DC=emea,DC=a,DC=test";
const LABS: &str = "ou=LABS,ou=people,dc=emea,dc=a,dc=test";
const CLERKS: &str = "OU=Clerks,OU=People,DC=emea,DC=a,DC=test";

#[test]
fn check_says_what_will_be_asked() {
    let (topology, _) = parse(&[common::document(TOPOLOGY)]);
    let found = check(&topology, None);
    let told = found.iter().find(|one| one.what.contains("(G7)")).unwrap();
    assert!(
        told.fix.contains("asked before the domain is configured"),
        "{told:?}"
    );
}

#[test]
fn a_domain_in_both_tools_is_configured_only_where_its_units_were_probed_disjoint() {
    let mut world = World::new();
    world.apply();
    world.held_by("not seen in tenant");
    world.held_by("entrain tenant read main lifts it");
    world.reads(Part::NotSeen(
        "403 (it takes Application.Read.All)".to_owned(),
    ));
    world.held_by("it takes Application.Read.All");
    world.reads(configuration(Part::NotSeen("403".to_owned())));
    world.held_by("the scope of configuration EMEA was not seen: 403");
    world.reads(configuration(Part::Seen(Units::Groups)));
    world.held_by("scoped by groups");
    world.reads(unit(LABS));
    world.held_by("c1.a.test never told what it synchronizes");
    world.connect_tells(ConnectSettings::untold("no module"));
    world.held_by("no module");
    world.connect_tells(takes(PEOPLE));
    // Connect leaves that unit out: nobody's object is in both.
    assert_eq!(world.hold(), None);
    assert!(world.issues());
    for (overlaps, at) in [
        (unit(CLERKS), "below ou=clerks,ou=people"),
        (unit("DC=emea,DC=a,DC=test"), "below ou=people"),
        (configuration(Part::Seen(Units::Whole)), "below ou=people"),
    ] {
        world.reads(overlaps);
        world.held_by(at);
        world.held_by("Domain and OU filtering");
    }
    // An answer that is older than a day says nothing of today.
    world.reads(unit(LABS));
    assert!(world.issues());
    world.now = NOW.plus(FRESH).plus(Duration::from_secs(1));
    world.held_by("24 hours ago, which is too long ago; entrain tenant read main");
    world.reads(unit(LABS));
    world.held_by("what c1.a.test synchronizes was read 24 hours ago");
    world.connect_tells(takes(PEOPLE));
    assert!(world.issues());
}

/// What was read since the offer holds it as well: it is taken back while nobody has accepted it, and gets no leave where somebody has.
#[test]
fn units_that_overlap_by_now_hold_what_was_offered_and_let_it_go_on_once_they_do_not() {
    let mut world = World::new();
    world.connect_tells(takes(PEOPLE));
    world.reads(unit(LABS));
    world.apply();
    let target = id("s1.a.test");
    world.take(Record::BundleIssued {
        rollout: ID,
        target: target.clone(),
        generation: Generation(1),
        phase: Phase::Register,
        bundle: BundleId(Digest::ZERO),
        expires: NOW.plus(FRESH),
    });
    let back = |world: &World| {
        let back = world
            .fleet
            .unaccepted(&target, Generation(0), &world.live, world.now);
        back.unwrap()
    };
    let gets_leave = |world: &mut World| {
        let section = Section {
            outage: false,
            gmsa: None,
        };
        let (generation, step) = (Generation(1), StepIndex(1));
        world
            .fleet
            .asks_permit(&target, generation, step, Attempt(1), section);
        let decisions = world.fleet.decide(&world.live, world.now);
        decisions
            .iter()
            .any(|one| matches!(one, Decision::Permit { .. }))
    };
    assert!(matches!(back(&world), Unaccepted::Offer(_)));
    assert!(gets_leave(&mut world));
    world.reads(unit(CLERKS));
    assert_eq!(back(&world), Unaccepted::Withdraw(Generation(1)));
    assert!(!gets_leave(&mut world));
    let why = world.fleet.why(&target, &world.live, world.now).unwrap();
    assert_eq!(why.lifts.map(|lifts| lifts.cause), Some(Cause::InBoth));
    assert!(why.answer.contains("(G7"), "{}", why.answer);
    world.reads(unit(LABS));
    assert!(matches!(back(&world), Unaccepted::Offer(_)));
    assert!(gets_leave(&mut world));
}

#[test]
fn a_domain_without_a_configuration_is_in_nobodys_scope_yet() {
    let mut world = World::new();
    world.reads(Part::Seen(Vec::new()));
    let said = render(&world.plan(Purpose::Install));
    assert!(
        said.contains("no configuration is of emea.a.test yet"),
        "{said}"
    );
    world.apply();
    assert!(world.issues());
    // One whose domain was not seen may be of it.
    let Part::Seen(mut all) = unit(LABS) else {
        unreachable!()
    };
    all[0].domain = Part::NotSeen("403".to_owned());
    world.reads(Part::Seen(all));
    world.held_by("which domain configuration EMEA is of was not seen");
}

#[test]
fn the_plan_says_what_holds_and_a_verification_reads_what_connect_takes() {
    let mut world = World::new();
    let said = render(&world.plan(Purpose::Install));
    for words in [
        "not seen in tenant: nobody has read it (entrain tenant read main)",
        "held: emea.a.test is in both tools, and whether their units are disjoint cannot be told",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    world.connect_tells(takes(PEOPLE));
    world.reads(unit(CLERKS));
    let said = render(&world.plan(Purpose::Install));
    for words in [
        "as anna read it at",
        "PF67 blocks",
        "held: emea.a.test is in both tools: an object below ou=clerks",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    world.reads(unit(LABS));
    assert!(render(&world.plan(Purpose::Install)).contains("in units that are disjoint"));
    let verify = world.plan(Purpose::Verify);
    let steps = &verify.targets[&id("c1.a.test")].phases[0].steps;
    assert!(steps.contains(&Step::ReadConnectSettings), "{steps:?}");
}

#[test]
fn a_server_that_only_a_directory_names_has_a_scope_that_nobody_knows() {
    let mut world = World::new();
    world.connect_tells(takes(PEOPLE));
    world.reads(unit(LABS));
    world.apply();
    assert!(world.issues());
    let event = Event::Discovered {
        generation: Generation(1),
        step: StepIndex(0),
        domain: "a.test".parse().unwrap(),
        servers: vec![protocol::event::DiscoveredServer {
            name: "old-99".to_owned(),
            product: protocol::step::Product::Connect,
            source: "the description of MSOL_1".to_owned(),
        }],
        unread: Vec::new(),
    };
    world.tells(&id("s1.a.test"), &event);
    world.held_by("what old-99 synchronizes is not known");
}

/// Another tree of a forest has a name of its own, and shows by a reading alone: one that came after the plan counts as one before it does.
#[test]
fn a_tree_that_is_read_after_its_plan_was_made_puts_the_domain_into_both_tools() {
    let lists = |world: &mut World, by: &str, domain: &str, names: &[&str]| {
        let event = Event::ForestRead {
            generation: Generation(1),
            step: StepIndex(0),
            domain: domain.parse().unwrap(),
            suffixes: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            more: 0,
            kds_usable_from: None,
            netbios: None,
        };
        world.tells(&id(by), &event);
    };
    let mut world = World::of(&TOPOLOGY.replace("emea.a.test", "fab.test"));
    world.apply();
    assert!(world.issues());
    lists(&mut world, "c1.a.test", "a.test", &["a.test"]);
    assert!(world.issues());
    lists(&mut world, "c1.a.test", "a.test", &["a.test", "fab.test"]);
    world.held_by("fab.test is in both tools");
    world.held_by("not seen in tenant");
    // It is the rule that holds it: whoever may say so has it pass.
    let target = id("s1.a.test");
    let asking = Asking {
        rule: Rule::G7,
        target: &target,
        by: "root",
        reason: "a pilot by rules of Connect",
        change: "CHG1",
    };
    assert!(world.fleet.may_override(asking, world.now).is_ok());
    // What users have as suffixes stands there too: its own forest, read later, has no such root.
    lists(&mut world, "s1.a.test", "fab.test", &["fab.test"]);
    assert!(world.issues());
    // So it is where the plan itself had read it as a tree.
    let mut world = World::of(&TOPOLOGY.replace("emea.a.test", "fab.test"));
    lists(&mut world, "c1.a.test", "a.test", &["a.test", "fab.test"]);
    world.apply();
    world.held_by("fab.test is in both tools");
    lists(&mut world, "s1.a.test", "fab.test", &["fab.test"]);
    assert!(world.issues());
    // One that is written needs no reading, and none takes it away.
    let written = TOPOLOGY.replace("emea.a.test", "fab.test");
    let mut world = World::of(&format!(
        "{written}trees = {{ \"a.test\" = [\"fab.test\"] }}\n"
    ));
    lists(&mut world, "s1.a.test", "fab.test", &["fab.test"]);
    world.apply();
    world.held_by("fab.test is in both tools");
}

#[test]
fn an_override_lets_it_through_for_that_server_alone() {
    let mut world = World::new();
    world.connect_tells(takes(PEOPLE));
    world.reads(unit(CLERKS));
    world.apply();
    assert!(!world.issues());
    let says = |world: &mut World, target: &str| {
        let target = id(target);
        let asking = Asking {
            rule: Rule::G7,
            target: &target,
            by: "root",
            reason: "a pilot by rules of Connect",
            change: "CHG1",
        };
        world.fleet.may_override(asking, world.now)?;
        world.take(Record::OverrideSaid {
            rule: Rule::G7,
            target,
            by: "root".to_owned(),
            asked: 1,
            change: "CHG1".to_owned(),
            reason: "a pilot by rules of Connect".to_owned(),
        });
        Ok::<_, String>(())
    };
    assert!(says(&mut world, "c1.a.test").is_err());
    says(&mut world, "s1.a.test").unwrap();
    let decisions = world.fleet.decide(&world.live, world.now);
    let passed = |one: &Decision| matches!(one, Decision::Issue { overridden, .. } if overridden.contains(&Rule::G7));
    assert!(decisions.iter().any(passed), "{decisions:?}");
}

#[test]
fn what_overlaps_after_the_work_is_an_alarm() {
    let mut world = World::new();
    world.connect_tells(takes(PEOPLE));
    world.reads(unit(LABS));
    world.apply();
    assert!(world.fleet.alarms(world.now).is_empty());
    world.reads(unit(CLERKS));
    // Nobody was made to serve it yet: the hold says it.
    assert!(world.fleet.alarms(world.now).is_empty());
    world.reads(unit(LABS));
    world.registers();
    assert!(world.fleet.alarms(world.now).is_empty());
    world.reads(unit(CLERKS));
    let alarms = world.fleet.alarms(world.now);
    assert!(
        alarms[0].contains("G7: emea.a.test of tenant main: an object below ou=clerks"),
        "{alarms:?}"
    );
    world.reads(unit(LABS));
    assert!(world.fleet.alarms(world.now).is_empty());
}

/// Something that happens while the agent waits to configure a domain that is in both tools.
#[derive(Debug, Clone)]
enum Happens {
    /// Somebody reads the tenant: units of its configuration by number, or nothing of it.
    Reads(Option<usize>),
    /// A Connect server tells which units it takes.
    Tells(bool),
    /// So many times seven hours pass.
    Passes(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        proptest::option::of(0_usize..4).prop_map(Happens::Reads),
        any::<bool>().prop_map(Happens::Tells),
        (1_u64..3).prop_map(Happens::Passes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// G7 at each offer: a domain in both tools is configured exactly while both scopes were read within a day and are disjoint,
    /// whatever was read before, and in whatever order.
    #[test]
    fn a_domain_in_both_tools_is_configured_only_while_both_were_read_lately_and_are_disjoint(
        course in prop::collection::vec(happens(), 0..16),
    ) {
        const OTHERS: &str = "OU=Others,DC=emea,DC=a,DC=test";
        const UNITS: [&str; 4] = [PEOPLE, LABS, CLERKS, OTHERS];
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let mut world = World::new();
        world.apply();
        let mut tenant: Option<(usize, Timestamp)> = None;
        let mut connect: Option<(bool, Timestamp)> = None;
        prop_assert!(!world.issues());
        for one in course {
            match one {
                Happens::Reads(Some(number)) => {
                    world.reads(unit(UNITS[number]));
                    tenant = Some((number, world.now));
                }
                Happens::Reads(None) => {
                    world.reads(Part::NotSeen("403".to_owned()));
                    tenant = None;
                }
                Happens::Tells(people) => {
                    world.connect_tells(takes(if people { PEOPLE } else { OTHERS }));
                    connect = Some((people, world.now));
                }
                Happens::Passes(count) => world.now = world.now.plus(hours(7 * count)),
            }
            let lately = |at: Timestamp| world.now.since(at) <= hours(24);
            let lawful = match (tenant, connect) {
                (Some((number, read)), Some((people, told))) => {
                    // Connect takes a unit less its labs.
                    let disjoint = if people { [1, 3].contains(&number) } else { number != 3 };
                    disjoint && lately(read) && lately(told)
                }
                _ => false,
            };
            prop_assert_eq!(world.issues(), lawful, "G7: {:?} {:?}", tenant, connect);
        }
    }
}
