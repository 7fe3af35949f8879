//! G7 and G8 at each offer and at each leave over topologies as chance has them: tenants, domains in one tool or in both, groups that serve
//! several of them, servers. What is right is told here by what was read alone, and not by the machine.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use controller_core::fleet::{Decision, Fleet, Live};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::Record;
use controller_core::tenant::{
    Account, Configuration, Held, Observation, Organization, Part, Units,
};
use controller_core::topology::parse;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
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

/// What is written down of one tenant.
#[derive(Debug, Clone)]
struct Written {
    /// It has a Connect server, over one forest.
    connect: bool,
    /// Of each domain whether it lies in that forest.
    domains: Vec<bool>,
    /// Groups: which domains they serve, as bits, and how many hosts they have.
    groups: Vec<(u8, usize)>,
    /// Its agents are signed in by user name and password.
    credential: bool,
}

fn written() -> impl Strategy<Value = Vec<Written>> {
    let groups = vec((1_u8..8, 1_usize..3), 1..3);
    let domains = vec(any::<bool>(), 1..=DOMAINS);
    let one = (any::<bool>(), domains, groups, any::<bool>());
    let one = one.prop_map(|(connect, domains, groups, credential)| Written {
        connect,
        domains,
        groups,
        credential,
    });
    vec(one, 1..=TENANTS.len())
}

impl Written {
    fn name(&self, tenant: usize, domain: usize) -> String {
        if self.domains[domain] {
            format!("d{domain}.f{tenant}.test")
        } else {
            format!("d{domain}.x{tenant}.test")
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
        self.connect && self.domains[domain]
    }
}

fn id(tenant: usize) -> TenantId {
    TENANTS[tenant].parse().unwrap()
}

fn host(tenant: usize, group: usize, host: usize) -> String {
    format!("h{host}.g{group}.t{tenant}.test")
}

fn connect(tenant: usize) -> String {
    format!("c.f{tenant}.test")
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
        for (group, served, hosts) in written.serves() {
            let names: Vec<String> = (0..hosts).map(|one| host(tenant, group, one)).collect();
            let domains = served.iter().map(|domain| written.name(tenant, *domain));
            let domains: Vec<String> = domains.collect();
            writeln!(
                text,
                "[agents.t{tenant}g{group}]\ntenant = \"t{tenant}\"\nserves = {domains:?}\nhosts = {names:?}"
            )
            .unwrap();
        }
        if written.connect {
            writeln!(
                text,
                "[connect.c{tenant}]\ntenant = \"t{tenant}\"\nforests = [\"f{tenant}.test\"]\nservers = [{:?}]\nsettings = \"express\"",
                connect(tenant)
            )
            .unwrap();
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
    /// Every server is here, with nothing of cloud sync on it; Connect is on its servers, active, or not.
    fn new(all: &[Written], installed: bool) -> (Self, Plan) {
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
        for target in topology.targets() {
            let is = installed && target.as_str().starts_with('c');
            let connect = is.then_some(ConnectFacts {
                version: Some(common::CONNECT),
                service: Some(ServiceState::Running),
                staging: Some(false),
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
        (world, plan)
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
    Tells(usize, Vec<bool>),
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
        2 => (tenant, tells).prop_map(|(tenant, tells)| Happens::Tells(tenant, tells)),
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

/// What a Connect server tells of those domains that lie in its forest.
fn connectors(written: &Written, tenant: usize, people: &[bool]) -> ConnectSettings {
    let forest = format!("f{tenant}.test");
    let mut lines = vec![
        (format!("connector {forest}"), "AD"),
        (format!("connector {forest}, object types"), "user"),
        ("connector tenant - AAD".to_owned(), "Extensible2"),
        ("partition default of tenant - AAD".to_owned(), "selected"),
    ];
    let domains = people.iter().take(written.domains.len()).enumerate();
    for (domain, people) in domains.filter(|(domain, _)| written.domains[*domain]) {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// G7 at each offer and each leave: of whatever topology, an agent configures its domains exactly while each of them that is in both tools is known by
    /// what was read within a day to be in one scope alone.
    #[test]
    fn agents_configure_their_domains_only_while_none_is_in_both_scopes(
        all in written(),
        course in vec(happens(), 0..12),
    ) {
        let (mut world, mut plan) = World::new(&all, true);
        // The agents are on their servers, and their registrations are due.
        for part in plan.targets.values_mut() {
            let due = part.phases.iter().position(|work| work.phase == Phase::Register);
            part.phases.drain(..due.unwrap_or(0));
        }
        world.apply(&plan);
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let mut read: BTreeMap<usize, (Vec<Takes>, Timestamp)> = BTreeMap::new();
        let mut told: BTreeMap<usize, (Vec<bool>, Timestamp)> = BTreeMap::new();
        for one in course.into_iter().map(Some).chain([None]) {
            let (now, lately) = (world.now, |now: Timestamp, at: Timestamp| now.since(at) <= hours(24));
            let is_lawful = |tenant: usize, domain: usize| {
                if !all[tenant].is_shared(domain) {
                    return true;
                }
                let Some((takes, _)) = read.get(&tenant).filter(|(_, at)| lately(now, *at)) else {
                    return false;
                };
                let Takes::Unit(number) = takes[domain] else {
                    return matches!(takes[domain], Takes::Nothing);
                };
                let Some((people, _)) = told.get(&tenant).filter(|(_, at)| lately(now, *at)) else {
                    return false;
                };
                if people[domain] { [1, 3].contains(&number) } else { number != 3 }
            };
            let mut lawful = BTreeSet::new();
            for (tenant, written) in all.iter().enumerate() {
                for (group, served, hosts) in written.serves() {
                    if served.iter().all(|domain| is_lawful(tenant, *domain)) {
                        lawful.extend((0..hosts).map(|one| host(tenant, group, one)));
                    }
                }
            }
            // Connect is there, and only looked at.
            let mut issued = world.issued();
            issued.retain(|server| server.starts_with('h'));
            prop_assert_eq!(&issued, &lawful, "G7: {:?} {:?}", read, told);
            let mut permitted = world.permitted(&plan);
            permitted.retain(|server| server.starts_with('h'));
            prop_assert_eq!(permitted, lawful, "G7 at leave: {:?} {:?}", read, told);
            match one {
                Some(Happens::Reads(tenant, takes)) if tenant < all.len() => {
                    let mut seen = Observation::unseen_all(&id(tenant), world.now, "403");
                    match takes {
                        Some(takes) => {
                            let configurations = configurations(&all[tenant], tenant, &takes);
                            seen.configurations = Part::Seen(configurations);
                            read.insert(tenant, (takes, world.now));
                        }
                        None => drop(read.remove(&tenant)),
                    }
                    world.reads(seen);
                }
                Some(Happens::Tells(tenant, people)) if tenant < all.len() && all[tenant].connect => {
                    let settings = connectors(&all[tenant], tenant, &people);
                    let event = Event::ConnectSettingsRead {
                        generation: Generation(1),
                        step: StepIndex(0),
                        settings: Box::new(settings),
                    };
                    world.tells(&connect(tenant).parse().unwrap(), &event);
                    told.insert(tenant, (people, world.now));
                }
                Some(Happens::Passes(count)) => world.now = world.now.plus(hours(7 * count)),
                Some(Happens::Reads(..) | Happens::Tells(..)) | None => {}
            }
        }
    }
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
        all.iter_mut().for_each(|written| written.domains.fill(false));
        let (mut world, plan) = World::new(&all, false);
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
                if written.connect
                    && !elsewhere.contains(&tenant)
                    && may(&|held| held == Held::Direct)
                {
                    lawful.insert(connect(tenant));
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
