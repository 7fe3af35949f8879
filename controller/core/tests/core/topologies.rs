//! G7 and G8 at each offer and at each leave over topologies as chance has them: tenants, domains in one tool or in both, groups that serve
//! several of them, servers. What is right is told here by what was read alone, and not by the machine.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use controller_core::finding::{Finding, Severity};
use controller_core::fleet::{Decision, Fleet, Live};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::Record;
use controller_core::tenant::{
    Account, Configuration, Held, Observation, Organization, Part, Units,
};
use controller_core::topology::{check, parse};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use protocol::event::{Event, Section};
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::settings::{ConnectSettings, Setting, SettingsPart};
use protocol::signed::Phase;
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, TenantId, Timestamp,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const ID: RolloutId = RolloutId(1);
const TENANTS: [&str; 2] = [
    "11111111-0000-0000-0000-000000000000",
    "22222222-0000-0000-0000-000000000000",
];

/// Domains of a tenant, at most.
const DOMAINS: usize = 3;

/// What topologies with a domain in both tools are to have.
const WITH: [&str; 7] = [
    "a domain of the forest",
    "a domain of a further tree",
    "a domain that both are meant to take",
    "several Connect servers",
    "express settings",
    "settings that are not written",
    "units",
];

/// Where a domain lies, seen from its tenant's Connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lies {
    Outside,
    Forest,
    /// In a further tree of the forest, whose name does not tell that.
    Tree,
}

/// What is written of the settings of Connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settings {
    /// All of the forest.
    Express,
    Unwritten,
    /// All of it, otherwise than by express settings.
    Custom,
    /// A unit of the first domain that lies in the forest, or all of that.
    Units(bool),
}

/// What is written down of one tenant.
#[derive(Debug, Clone)]
struct Written {
    /// How many Connect servers it has, over one forest.
    servers: usize,
    settings: Settings,
    /// Of each domain where it lies, and whether it is said that both tools take it.
    domains: Vec<(Lies, bool)>,
    /// Groups: which domains they serve, as bits, and how many hosts they have.
    groups: Vec<(u8, usize)>,
    /// Its agents are signed in by user name and password.
    credential: bool,
}

fn written() -> impl Strategy<Value = Vec<Written>> {
    let groups = vec((1_u8..8, 1_usize..3), 1..3);
    let lies = prop_oneof![
        3 => Just(Lies::Outside),
        3 => Just(Lies::Forest),
        1 => Just(Lies::Tree),
    ];
    let domains = vec((lies, prop::bool::weighted(0.4)), 1..=DOMAINS);
    let settings = prop_oneof![
        1 => Just(Settings::Express),
        3 => Just(Settings::Unwritten),
        1 => Just(Settings::Custom),
        3 => prop::bool::weighted(0.2).prop_map(Settings::Units),
    ];
    let servers = prop_oneof![2 => Just(0_usize), 3 => Just(1), 2 => Just(2)];
    let one = (servers, settings, domains, groups, any::<bool>());
    let one = one.prop_map(|(servers, settings, domains, groups, credential)| Written {
        servers,
        settings,
        domains,
        groups,
        credential,
    });
    vec(one, 1..=TENANTS.len())
}

impl Written {
    fn name(&self, tenant: usize, domain: usize) -> String {
        match self.domains[domain].0 {
            Lies::Forest => format!("d{domain}.f{tenant}.test"),
            Lies::Tree => format!("d{domain}.y{tenant}.test"),
            Lies::Outside => format!("d{domain}.x{tenant}.test"),
        }
    }

    /// Groups by number, each with the domains that it serves.
    fn serves(&self) -> impl Iterator<Item = (usize, Vec<usize>, usize)> {
        let groups = self.groups.iter().enumerate();
        groups.map(|(group, (bits, hosts))| {
            let of = |domain: &usize| bits & (1 << domain) != 0;
            let served: Vec<usize> = (0..self.domains.len()).filter(of).collect();
            // A group serves something.
            let served = if served.is_empty() { vec![0] } else { served };
            (group, served, *hosts)
        })
    }

    /// The domain is in both tools.
    fn is_shared(&self, domain: usize) -> bool {
        self.servers > 0 && self.domains[domain].0 != Lies::Outside
    }

    /// What of it a property is to meet: where a domain that agents serve is in both tools.
    fn has(&self) -> impl Iterator<Item = &'static str> {
        let mut shared = self.serves().flat_map(|(_, served, _)| served);
        let shared: BTreeSet<usize> = shared.by_ref().filter(|one| self.is_shared(*one)).collect();
        let is = |lies: Lies| shared.iter().any(|one| self.domains[*one].0 == lies);
        let all = [
            is(Lies::Forest),
            is(Lies::Tree),
            shared.iter().any(|one| self.domains[*one].1),
            self.servers > 1,
            self.settings == Settings::Express && self.servers == 1,
            self.settings == Settings::Unwritten,
            self.settings == Settings::Units(false),
        ];
        let any = !shared.is_empty();
        let all = WITH.into_iter().zip(all);
        all.filter_map(move |(what, is)| (any && is).then_some(what))
    }
}

fn id(tenant: usize) -> TenantId {
    TENANTS[tenant].parse().unwrap()
}

fn host(tenant: usize, group: usize, host: usize) -> String {
    format!("h{host}.g{group}.t{tenant}.test")
}

/// A Connect server of a tenant: the first is the active one.
fn connect(tenant: usize, server: usize) -> String {
    format!("c{server}.f{tenant}.test")
}

/// A tenant's Connect entry.
fn entry(tenant: usize, written: &Written) -> String {
    let servers: Vec<String> = (0..written.servers)
        .map(|server| connect(tenant, server))
        .collect();
    let settings = match written.settings {
        // One server alone is installed so.
        Settings::Express if servers.len() == 1 => "settings = \"express\"".to_owned(),
        Settings::Unwritten => String::new(),
        Settings::Express | Settings::Custom => {
            "settings = { sign_in = \"password-hash-sync\" }".to_owned()
        }
        Settings::Units(whole) => {
            let mut own = (0..written.domains.len()).filter(|domain| written.is_shared(*domain));
            let first = own.next().map(|domain| written.name(tenant, domain));
            let unit = unit(&first.unwrap_or_else(|| format!("f{tenant}.test")), 0);
            let (_, root) = unit.split_once(',').unwrap();
            let unit = if whole { root } else { &unit };
            format!("settings = {{ units = {{ \"f{tenant}.test\" = [{unit:?}] }} }}")
        }
    };
    let all = 0..written.domains.len();
    let meant = all.filter(|domain| written.is_shared(*domain) && written.domains[*domain].1);
    let meant: Vec<String> = meant
        .map(|domain| format!("{:?} = \"pilot\"", written.name(tenant, domain)))
        .collect();
    let trees = if written.domains.iter().any(|(lies, _)| *lies == Lies::Tree) {
        format!("trees = {{ \"f{tenant}.test\" = [\"y{tenant}.test\"] }}\n")
    } else {
        String::new()
    };
    format!(
        "[connect.c{tenant}]\ntenant = \"t{tenant}\"\nforests = [\"f{tenant}.test\"]\nservers = {servers:?}\n{trees}overlap = {{ {} }}\n{settings}\n",
        meant.join(", ")
    )
}

fn text(all: &[Written]) -> String {
    let mut text = String::new();
    for (tenant, written) in all.iter().enumerate() {
        let sign_in = if written.credential {
            "credential"
        } else {
            "token"
        };
        writeln!(
            text,
            "[tenant.t{tenant}]\nid = \"{}\"\nsign_in = \"{sign_in}\"",
            TENANTS[tenant]
        )
        .unwrap();
        let mut all: BTreeSet<usize> = BTreeSet::new();
        for (group, served, hosts) in written.serves() {
            let names: Vec<String> = (0..hosts).map(|one| host(tenant, group, one)).collect();
            let domains = served.iter().map(|domain| written.name(tenant, *domain));
            let domains: Vec<String> = domains.collect();
            writeln!(
                text,
                "[agents.t{tenant}g{group}]\ntenant = \"t{tenant}\"\nserves = {domains:?}\nhosts = {names:?}"
            )
            .unwrap();
            all.extend(served);
        }
        for domain in all {
            let name = written.name(tenant, domain);
            writeln!(text, "[domain.{name:?}]\nallow_outage = true").unwrap();
        }
        if written.servers > 0 {
            text.push_str(&entry(tenant, written));
        }
    }
    text
}

struct World {
    fleet: Fleet,
    live: Live,
    now: Timestamp,
    told: u64,
}

impl World {
    /// Every server is here, with nothing of cloud sync on it; Connect is on its servers, of which the first is active, or on none. `None`
    /// where `check` refuses what is written.
    fn new(all: &[Written], installed: bool) -> Option<(Self, Plan)> {
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                began: NOW.minus(Duration::from_secs(86_400)),
                ..Live::default()
            },
            now: NOW,
            told: 0,
        };
        let (topology, findings) = parse(&[common::document(text(all))]);
        assert!(findings.is_empty(), "{findings:?}");
        let found = check(&topology, None);
        let errors = found.iter().filter(|one| one.severity == Severity::Error);
        let errors: Vec<&Finding> = errors.collect();
        if !errors.is_empty() {
            let why = "as it is written Connect takes all of";
            assert!(
                errors.iter().all(|one| one.what.contains(why)),
                "{errors:?}: {}",
                text(all)
            );
            return None;
        }
        for target in topology.targets() {
            let is = installed && target.as_str().starts_with('c');
            let connect = is.then_some(ConnectFacts {
                version: Some(common::CONNECT),
                service: Some(ServiceState::Running),
                staging: Some(!target.as_str().starts_with("c0")),
                cycle_enabled: Some(true),
                suspended: Some(false),
            });
            let facts: Facts = common::facts(None, connect);
            world.take(common::enrolled(&target, SigningKey::generate().public()));
            world.tells(&target, &Event::FactsReported(Box::new(facts)));
            world.live.connected.insert(target);
        }
        let policy = "[limit]\nfailures = \"50\"\nin_flight = 50\ncanary = 0\n";
        let (policy, findings) = policy::parse(&common::document(policy));
        assert!(findings.is_empty(), "{findings:?}");
        let plan = plan(Inputs::of(
            &topology,
            &policy,
            world.fleet.known(),
            &common::artifacts(),
            Purpose::Install,
        ));
        Some((world, plan))
    }

    fn apply(&mut self, plan: &Plan) {
        let record = common::applied(ID, plan);
        self.fleet.apply(&record, Some(plan), self.now);
    }

    fn take(&mut self, record: Record) {
        self.fleet.apply(&record, None, self.now);
    }

    fn tells(&mut self, target: &TargetId, event: &Event) {
        self.told += 1;
        self.take(common::told(target, self.told, self.now, event));
    }

    fn reads(&mut self, observation: Observation) {
        self.take(Record::TenantSeen {
            observation: Box::new(observation),
            by: "anna".to_owned(),
        });
    }

    fn issued(&self) -> BTreeSet<String> {
        let decisions = self.fleet.decide(&self.live, self.now);
        let target = |one: Decision| match one {
            Decision::Issue { target, .. } => Some(target.to_string()),
            Decision::Permit { .. }
            | Decision::Degraded { .. }
            | Decision::Unknown { .. }
            | Decision::Away { .. }
            | Decision::PassedOver { .. } => None,
        };
        decisions.into_iter().filter_map(target).collect()
    }

    /// Who gets leave where each server was offered its phase before, has begun with it, and asks just now: for a section in which nothing
    /// goes out of service and no gMSA object is changed, so that no other rail is asked.
    fn permitted(&self, plan: &Plan) -> BTreeSet<String> {
        let (mut fleet, mut told) = (self.fleet.clone(), self.told);
        for (target, part) in &plan.targets {
            let Some(work) = part.phases.first() else {
                continue;
            };
            let generation = fleet.next_generation(target);
            let bundle = BundleId(Digest::of(target.as_str().as_bytes()));
            let offered = Record::BundleIssued {
                rollout: ID,
                target: target.clone(),
                generation,
                phase: work.phase,
                bundle,
                expires: self.now.plus(Duration::from_secs(86_400)),
            };
            fleet.apply(&offered, None, self.now);
            let accepted = Event::BundleAccepted {
                bundle,
                generation,
                rollout: ID,
                phase: work.phase,
                change: None,
            };
            let begun = Event::StepBegun {
                generation,
                step: StepIndex(0),
                attempt: Attempt(1),
                kind: work.steps[0].kind().to_owned(),
            };
            for event in [accepted, begun] {
                told += 1;
                fleet.apply(
                    &common::told(target, told, self.now, &event),
                    None,
                    self.now,
                );
            }
            let section = Section {
                outage: false,
                gmsa: None,
            };
            fleet.asks_permit(target, generation, StepIndex(0), Attempt(1), section);
        }
        let decisions = fleet.decide(&self.live, self.now);
        let target = |one: Decision| match one {
            Decision::Permit { target, .. } => Some(target.to_string()),
            Decision::Issue { .. }
            | Decision::Degraded { .. }
            | Decision::Unknown { .. }
            | Decision::Away { .. }
            | Decision::PassedOver { .. } => None,
        };
        decisions.into_iter().filter_map(target).collect()
    }
}

// --- G7 ---

/// A unit of a domain, by its number: one, another in it, a third in it, and one beside them.
fn unit(domain: &str, number: usize) -> String {
    let parts: Vec<String> = domain.split('.').map(|part| format!("DC={part}")).collect();
    let unit = [
        "OU=People",
        "ou=LABS,ou=people",
        "OU=Clerks,OU=People",
        "OU=Others",
    ][number];
    format!("{unit},{}", parts.join(","))
}

/// What a configuration takes of its domain.
#[derive(Debug, Clone, Copy)]
enum Takes {
    /// There is none of that domain.
    Nothing,
    /// It was not shown.
    Unseen,
    /// That unit.
    Unit(usize),
}

/// Something that happens while agents wait to configure their domains.
#[derive(Debug, Clone)]
enum Happens {
    /// Somebody reads a tenant: what the configuration of each domain takes, or nothing of any.
    Reads(usize, Option<Vec<Takes>>),
    /// A Connect server tells what it takes of each domain: people less their labs, or the others.
    Tells(usize, usize, Vec<bool>),
    /// So many times seven hours pass.
    Passes(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let tenant = 0..TENANTS.len();
    let takes = prop_oneof![
        Just(Takes::Nothing),
        Just(Takes::Unseen),
        (0_usize..4).prop_map(Takes::Unit),
        (0_usize..4).prop_map(Takes::Unit),
    ];
    let takes = option::weighted(0.8, vec(takes, DOMAINS));
    let tells = vec(any::<bool>(), DOMAINS);
    prop_oneof![
        2 => (tenant.clone(), takes).prop_map(|(tenant, takes)| Happens::Reads(tenant, takes)),
        3 => (tenant, 0_usize..2, tells)
            .prop_map(|(tenant, server, tells)| Happens::Tells(tenant, server, tells)),
        1 => (1_u64..3).prop_map(Happens::Passes),
    ]
}

fn configurations(written: &Written, tenant: usize, takes: &[Takes]) -> Vec<Configuration> {
    let domains = takes.iter().take(written.domains.len()).enumerate();
    let all = domains.filter_map(|(domain, takes)| {
        let name = written.name(tenant, domain);
        let units = match takes {
            Takes::Nothing => return None,
            Takes::Unseen => Part::NotSeen("403".to_owned()),
            Takes::Unit(number) => Part::Seen(Units::Named([unit(&name, *number)].into())),
        };
        Some(Configuration {
            name: format!("of {domain}"),
            jobs: Part::Seen(Vec::new()),
            domain: Part::Seen(name),
            guard: Part::Seen(None),
            units,
        })
    });
    all.collect()
}

/// What a Connect server tells of those domains that lie in its forest, in whichever tree.
fn connectors(written: &Written, tenant: usize, people: &[bool]) -> ConnectSettings {
    let forest = format!("f{tenant}.test");
    let mut lines = vec![
        (format!("connector {forest}"), "AD"),
        (format!("connector {forest}, object types"), "user"),
        ("connector tenant - AAD".to_owned(), "Extensible2"),
        ("partition default of tenant - AAD".to_owned(), "selected"),
    ];
    let domains = people.iter().take(written.domains.len()).enumerate();
    for (domain, people) in domains.filter(|(domain, _)| written.is_shared(*domain)) {
        let name = written.name(tenant, domain);
        let container =
            |number: usize| format!("container {} of {name} of {forest}", unit(&name, number));
        lines.push((format!("partition {name} of {forest}"), "selected"));
        lines.push((container(if *people { 0 } else { 3 }), "included"));
        lines.push((container(1), "excluded"));
    }
    let setting = |(name, value): (String, &str)| Setting {
        part: SettingsPart::Connectors,
        name,
        value: value.to_owned(),
    };
    ConnectSettings::of(lines.into_iter().map(setting).collect(), Vec::new())
}

/// What was told last of a server or a tenant, and when.
type Read<K, V> = BTreeMap<K, (V, Timestamp)>;

/// What is right of G7, by what was read alone.
struct Lawful<'a> {
    all: &'a [Written],
    /// What configurations take, by tenant.
    read: Read<usize, Vec<Takes>>,
    /// What Connect takes, by tenant and server.
    told: Read<(usize, usize), Vec<bool>>,
}

impl Lawful<'_> {
    /// A domain is in one tool, or each of its Connect servers is known to take nothing of what agents do.
    fn is(&self, (tenant, domain): (usize, usize), now: Timestamp) -> bool {
        let lately = |at: Timestamp| now.since(at) <= hours(24);
        let written = &self.all[tenant];
        if !written.is_shared(domain) {
            return true;
        }
        let Some((takes, _)) = self.read.get(&tenant).filter(|(_, at)| lately(*at)) else {
            return false;
        };
        let Takes::Unit(number) = takes[domain] else {
            return matches!(takes[domain], Takes::Nothing);
        };
        (0..written.servers).all(|server| {
            let told = self.told.get(&(tenant, server));
            let people = told.filter(|(_, at)| lately(*at));
            people.is_some_and(|(people, _)| {
                if people[domain] {
                    [1, 3].contains(&number)
                } else {
                    number != 3
                }
            })
        })
    }

    /// Who may configure its domains.
    fn hosts(&self, now: Timestamp) -> BTreeSet<String> {
        let mut lawful = BTreeSet::new();
        for (tenant, written) in self.all.iter().enumerate() {
            for (group, served, hosts) in written.serves() {
                if served.iter().all(|domain| self.is((tenant, *domain), now)) {
                    lawful.extend((0..hosts).map(|one| host(tenant, group, one)));
                }
            }
        }
        lawful
    }
}

const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

/// G7 at each offer and each leave, along a course. Gives how often an agent that serves a domain in both tools might configure it.
fn holds_g7(
    all: &[Written],
    (mut world, mut plan): (World, Plan),
    course: Vec<Happens>,
) -> Result<u32, TestCaseError> {
    // The agents are on their servers, and their registrations are due.
    for part in plan.targets.values_mut() {
        let phases = &mut part.phases;
        let due = phases.iter().position(|work| work.phase == Phase::Register);
        phases.drain(..due.unwrap_or(0));
    }
    world.apply(&plan);
    let mut lawful = Lawful {
        all,
        read: BTreeMap::new(),
        told: BTreeMap::new(),
    };
    let unread = lawful.hosts(NOW);
    let mut went = 0;
    for one in course.into_iter().map(Some).chain([None]) {
        let may = lawful.hosts(world.now);
        let (read, told) = (&lawful.read, &lawful.told);
        // Connect is there, and only looked at.
        let mut issued = world.issued();
        issued.retain(|server| server.starts_with('h'));
        prop_assert_eq!(&issued, &may, "G7: {:?} {:?}", read, told);
        let mut permitted = world.permitted(&plan);
        permitted.retain(|server| server.starts_with('h'));
        prop_assert_eq!(&permitted, &may, "G7 at leave: {:?} {:?}", read, told);
        went += u32::try_from(may.difference(&unread).count()).unwrap();
        match one {
            Some(Happens::Reads(tenant, takes)) if tenant < all.len() => {
                let mut seen = Observation::unseen_all(&id(tenant), world.now, "403");
                match takes {
                    Some(takes) => {
                        let configurations = configurations(&all[tenant], tenant, &takes);
                        seen.configurations = Part::Seen(configurations);
                        lawful.read.insert(tenant, (takes, world.now));
                    }
                    None => drop(lawful.read.remove(&tenant)),
                }
                world.reads(seen);
            }
            Some(Happens::Tells(tenant, server, people))
                if tenant < all.len() && server < all[tenant].servers =>
            {
                let settings = connectors(&all[tenant], tenant, &people);
                let event = Event::ConnectSettingsRead {
                    generation: Generation(1),
                    step: StepIndex(0),
                    settings: Box::new(settings),
                };
                world.tells(&connect(tenant, server).parse().unwrap(), &event);
                lawful.told.insert((tenant, server), (people, world.now));
            }
            Some(Happens::Passes(count)) => world.now = world.now.plus(hours(7 * count)),
            Some(Happens::Reads(..) | Happens::Tells(..)) | None => {}
        }
    }
    Ok(went)
}

/// G7 at each offer and each leave: of whatever topology that `check` lets pass, an agent configures its domains exactly while each of them
/// that is in both tools is known by what was read within a day to be in one scope alone.
#[test]
fn agents_configure_their_domains_only_while_none_is_in_both_scopes() {
    const CASES: u32 = 256;
    let config = |cases| ProptestConfig {
        source_file: Some(file!()),
        ..ProptestConfig::with_cases(cases)
    };
    // The same draws each time: what they meet does not depend on chance. Behind them others each time.
    let chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let same = TestRunner::new_with_rng(config(CASES), chance);
    let met = met_by(same);
    met_by(TestRunner::new(config(CASES / 2)));
    println!("of {CASES} topologies: {met:?}");
    let least = |what: &str| match what {
        LET_PASS => CASES / 2,
        WENT => 100,
        _ => 3,
    };
    let all = WITH.into_iter().chain([LET_PASS, WENT]);
    let seldom: Vec<&str> = all
        .filter(|what| met.get(what).is_none_or(|times| *times < least(what)))
        .collect();
    assert!(seldom.is_empty(), "too seldom: {seldom:?} of {met:?}");
}

/// Topologies that `check` lets pass.
const LET_PASS: &str = "let pass";

/// Agents of domains in both tools that might configure them.
const WENT: &str = "went on";

/// How often a runner meets what.
fn met_by(mut runner: TestRunner) -> BTreeMap<&'static str, u32> {
    let met: RefCell<BTreeMap<&str, u32>> = RefCell::default();
    let meets = |what, times| *met.borrow_mut().entry(what).or_default() += times;
    let ran = runner.run(&(written(), vec(happens(), 0..12)), |(all, course)| {
        // What is refused is never planned.
        let Some(world) = World::new(&all, true) else {
            return Ok(());
        };
        meets(LET_PASS, 1);
        all.iter()
            .flat_map(Written::has)
            .for_each(|what| meets(what, 1));
        meets(WENT, holds_g7(&all, world, course)?);
        Ok(())
    });
    if let Err(broken) = ran {
        panic!("{broken}");
    }
    met.into_inner()
}

// --- G8 ---

/// When a tenant was synchronized last, as a reading of it shows.
#[derive(Debug, Clone, Copy)]
enum Synchronized {
    Never,
    /// A minute ago.
    Lately,
    /// A day ago.
    Before,
}

/// What somebody sees of a tenant, so many minutes after whoever looked before: role and guest of the account, where one was named, and
/// whether a policy demands more of it than a password; when the tenant was synchronized last, where it shows that; how many
/// configurations of each domain, where it shows them.
#[derive(Debug, Clone)]
struct Reading {
    tenant: usize,
    minutes: u64,
    operator: Option<(Held, bool, bool)>,
    synchronized: Option<Synchronized>,
    configurations: Option<Vec<usize>>,
}

fn reading() -> impl Strategy<Value = Reading> {
    let held = prop_oneof![
        Just(Held::Direct),
        Just(Held::ByGroup),
        Just(Held::Eligible),
        Just(Held::Not)
    ];
    let operator = option::of((held, any::<bool>(), any::<bool>()));
    let synchronized = prop_oneof![
        Just(Synchronized::Never),
        Just(Synchronized::Lately),
        Just(Synchronized::Before)
    ];
    let synchronized = option::weighted(0.7, synchronized);
    let configurations = option::weighted(0.8, vec(0_usize..3, DOMAINS));
    let one = (
        0..TENANTS.len(),
        1_u64..90,
        operator,
        synchronized,
        configurations,
    );
    one.prop_map(
        |(tenant, minutes, operator, synchronized, configurations)| Reading {
            tenant,
            minutes,
            operator,
            synchronized,
            configurations,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// G8 at each offer and each leave, of each probe of a tenant that blocks (PF61, PF62, PF65, PF66; PF67 is G7's): of whatever topology, what
    /// was seen last of a tenant stops exactly those of its servers that it is about. What was not seen stops nobody, and of an account and of
    /// the tenant's last synchronization lifts nothing of what was.
    #[test]
    fn what_blocks_in_a_tenant_stops_those_whom_it_is_about_and_no_others(
        mut all in written(),
        readings in vec(reading(), 0..10),
    ) {
        // Whether units overlap is G7's.
        for written in &mut all {
            written.domains.fill((Lies::Outside, false));
            (written.servers, written.settings) = (written.servers.min(1), Settings::Express);
        }
        let (mut world, plan) = World::new(&all, false).unwrap();
        world.apply(&plan);
        let mut accounts: BTreeMap<usize, (Held, bool, bool)> = BTreeMap::new();
        // Tenants that somebody synchronizes whose servers are none of the topology's.
        let mut elsewhere: BTreeSet<usize> = BTreeSet::new();
        let mut synchronized: BTreeMap<usize, Synchronized> = BTreeMap::new();
        let mut several: BTreeSet<(usize, usize)> = BTreeSet::new();
        for one in readings.into_iter().map(Some).chain([None]) {
            let mut lawful = BTreeSet::new();
            for (tenant, written) in all.iter().enumerate() {
                let account = accounts.get(&tenant);
                let may = |least: &dyn Fn(Held) -> bool| {
                    account.is_none_or(|(held, guest, _)| !guest && least(*held))
                };
                // Whoever signs in at a wizard, or elsewhere for a token, meets what is demanded.
                let demanded = written.credential && account.is_some_and(|(.., demands)| *demands);
                if written.servers > 0
                    && !elsewhere.contains(&tenant)
                    && may(&|held| held == Held::Direct)
                {
                    lawful.insert(connect(tenant, 0));
                }
                for (group, served, hosts) in written.serves() {
                    let competes = served.iter().any(|domain| several.contains(&(tenant, *domain)));
                    if !competes && !demanded && may(&|held| held != Held::Not) {
                        lawful.extend((0..hosts).map(|one| host(tenant, group, one)));
                    }
                }
            }
            prop_assert_eq!(&world.issued(), &lawful, "G8: {:?} {:?} {:?}", accounts, several, elsewhere);
            let permitted = world.permitted(&plan);
            prop_assert_eq!(permitted, lawful, "G8 at leave: {:?} {:?} {:?}", accounts, several, elsewhere);
            let Some(one) = one.filter(|one| one.tenant < all.len()) else {
                continue;
            };
            world.now = world.now.plus(Duration::from_secs(60 * one.minutes));
            let (tenant, written) = (one.tenant, &all[one.tenant]);
            let mut seen = Observation::unseen_all(&id(tenant), world.now, "403");
            let ago = |seconds| Some(world.now.minus(Duration::from_secs(seconds)));
            if let Some(is) = one.synchronized {
                let last_sync = match is {
                    Synchronized::Never => None,
                    Synchronized::Lately => ago(60),
                    Synchronized::Before => ago(86_400),
                };
                seen.organization = Part::Seen(Organization { sync_enabled: true, last_sync });
                synchronized.insert(tenant, is);
            }
            elsewhere.remove(&tenant);
            // When it was seen last it had just been synchronized; no server here is active, and cloud sync, whose jobs are shown, did not do it.
            let lately = matches!(synchronized.get(&tenant), Some(Synchronized::Lately));
            if lately && one.configurations.is_some() {
                elsewhere.insert(tenant);
            }
            if let Some((held, guest, demands)) = one.operator {
                let policies = demands.then(|| "more than a password".to_owned());
                seen.operator = Part::Seen(Account {
                    user: "anna@contoso.com".to_owned(),
                    guest,
                    synchronized: false,
                    role: Part::Seen(held),
                    global: Part::Seen(Held::Not),
                    demands: Part::Seen(policies.into_iter().collect()),
                    may_demand: BTreeSet::new(),
                });
                accounts.insert(tenant, (held, guest, demands));
            }
            several.retain(|(of, _)| *of != tenant);
            if let Some(counts) = one.configurations {
                let counts = counts.into_iter().take(written.domains.len()).enumerate();
                let mut configurations = Vec::new();
                for (domain, count) in counts {
                    if count > 1 {
                        several.insert((tenant, domain));
                    }
                    configurations.extend((0..count).map(|number| Configuration {
                        name: format!("{number} of {domain}"),
                        jobs: Part::Seen(Vec::new()),
                        domain: Part::Seen(written.name(tenant, domain)),
                        guard: Part::Seen(None),
                        units: Part::NotSeen("403".to_owned()),
                    }));
                }
                seen.configurations = Part::Seen(configurations);
            }
            world.reads(seen);
        }
    }
}
