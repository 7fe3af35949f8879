//! G8 at each offer over topologies as chance has them: tenants, domains, a Connect server or none, groups that serve several
//! of them, servers. What is right is told here by what was read alone, and not by the machine.
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
use controller_core::tenant::{Account, Configuration, Held, Observation, Organization, Part};
use controller_core::topology::parse;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protocol::event::Event;
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::{RolloutId, TargetId, TenantId, Timestamp};

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
}

fn written() -> impl Strategy<Value = Vec<Written>> {
    let groups = vec((1_u8..8, 1_usize..3), 1..3);
    let one = (any::<bool>(), vec(any::<bool>(), 1..=DOMAINS), groups);
    let one = one.prop_map(|(connect, domains, groups)| Written {
        connect,
        domains,
        groups,
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
        writeln!(text, "[tenant.t{tenant}]\nid = \"{}\"", TENANTS[tenant]).unwrap();
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
            let connect = is.then(|| ConnectFacts {
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
}

/// What somebody sees of a tenant: role and guest of the account, where one was named; how many configurations of each domain, where it
/// shows them.
#[derive(Debug, Clone)]
struct Reading {
    tenant: usize,
    operator: Option<(Held, bool)>,
    configurations: Option<Vec<usize>>,
}

fn reading() -> impl Strategy<Value = Reading> {
    let held = prop_oneof![
        Just(Held::Direct),
        Just(Held::ByGroup),
        Just(Held::Eligible),
        Just(Held::Not)
    ];
    let operator = option::of((held, any::<bool>()));
    let configurations = option::weighted(0.8, vec(0_usize..3, DOMAINS));
    let one = (0..TENANTS.len(), operator, configurations);
    one.prop_map(|(tenant, operator, configurations)| Reading {
        tenant,
        operator,
        configurations,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// G8 at each offer: of whatever topology, what was seen last of a tenant stops exactly those of its servers that it is about. What
    /// was not seen stops nobody, and of an account lifts nothing of what was.
    #[test]
    fn what_blocks_in_a_tenant_stops_those_whom_it_is_about_and_no_others(
        mut all in written(),
        readings in vec(reading(), 0..10),
    ) {
        // Whether units overlap is G7's.
        all.iter_mut().for_each(|written| written.domains.fill(false));
        let (mut world, plan) = World::new(&all, false);
        world.apply(&plan);
        let mut accounts: BTreeMap<usize, (Held, bool)> = BTreeMap::new();
        let mut several: BTreeSet<(usize, usize)> = BTreeSet::new();
        for one in readings.into_iter().map(Some).chain([None]) {
            let mut lawful = BTreeSet::new();
            for (tenant, written) in all.iter().enumerate() {
                let account = accounts.get(&tenant);
                let may = |least: &dyn Fn(Held) -> bool| {
                    account.is_none_or(|(held, guest)| !guest && least(*held))
                };
                if written.connect && may(&|held| held == Held::Direct) {
                    lawful.insert(connect(tenant));
                }
                for (group, served, hosts) in written.serves() {
                    let competes = served.iter().any(|domain| several.contains(&(tenant, *domain)));
                    if !competes && may(&|held| held != Held::Not) {
                        lawful.extend((0..hosts).map(|one| host(tenant, group, one)));
                    }
                }
            }
            prop_assert_eq!(world.issued(), lawful, "G8: {:?} {:?}", accounts, several);
            let Some(one) = one.filter(|one| one.tenant < all.len()) else {
                continue;
            };
            world.now = world.now.plus(Duration::from_secs(60));
            let (tenant, written) = (one.tenant, &all[one.tenant]);
            let mut seen = Observation::unseen_all(&id(tenant), world.now, "403");
            seen.organization = Part::Seen(Organization { sync_enabled: true, last_sync: None });
            if let Some((held, guest)) = one.operator {
                seen.operator = Part::Seen(Account {
                    user: "anna@contoso.com".to_owned(),
                    guest,
                    synchronized: false,
                    role: Part::Seen(held),
                    global: Part::Seen(Held::Not),
                    demands: Part::Seen(BTreeSet::new()),
                    may_demand: BTreeSet::new(),
                });
                accounts.insert(tenant, (held, guest));
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
