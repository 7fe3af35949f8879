//! What the rails ask by what came to be known since a plan was made, shown on logs in which that is broken: a version that was taken back
//! (G6), a domain in both tools (G7), what cannot be undone (G10).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::facts::Fleetwide;
use controller_core::fleet::Fleet;
use controller_core::plan::Plan;
use controller_core::record::Record;
use controller_core::tenant::{Observation, Part};
use protocol::Timestamp;
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::step::Product;
use rehearsal::{Ask, Asked, Rails, World};

use crate::common::{CONNECT, NEWEST, NOW, OLD, TENANT, agent, facts, planned, topology};

type Log = Vec<(Timestamp, Record)>;

/// A fleet that was brought to its end, with what its log holds.
struct Told {
    world: World,
    plan: Plan,
}

impl Told {
    /// Servers of provisioning agents, the first of an old version, and a Connect server that is active, by their names.
    fn new(text: &str, read: Option<Observation>) -> Self {
        let (plan, known): (Plan, Fleetwide) = planned(&topology(text), "", |target| {
            let connect = target.as_str().starts_with('c').then_some(ConnectFacts {
                version: Some(CONNECT),
                service: Some(ServiceState::Running),
                staging: Some(false),
                cycle_enabled: Some(true),
                suspended: Some(false),
            });
            // The second server has nothing yet.
            let has = connect.is_none() && !target.as_str().starts_with("s2");
            facts(has.then(|| agent(OLD)), connect)
        });
        let ask = Ask {
            begin: NOW,
            person: Some(Duration::from_secs(600)),
            faults: BTreeMap::new(),
            seed: 1,
        };
        let mut world = World::with_tenants(&plan, &[], &known, ask);
        if let Some(read) = read {
            world.reads_tenant(read);
        }
        while world.step() && !world.is_over() {}
        Self { world, plan }
    }

    /// What the rails say of the log with that change, where the plan is this one.
    fn with(
        &self,
        rails: Rails,
        plan: &Plan,
        change: impl Fn(&Record) -> Option<Record>,
    ) -> Result<Asked, String> {
        let (mut fleet, mut rails) = (Fleet::new(), rails);
        let log: Log = self.world.log.clone();
        let changed = log
            .iter()
            .filter_map(|(at, record)| Some((at, change(record)?)));
        for (at, record) in changed {
            rails.stored(&fleet, &record, *at)?;
            let applied = matches!(record, Record::Applied { .. }).then_some(plan);
            fleet.apply(&record, applied, *at);
        }
        Ok(rails.asked)
    }

    fn holds(&self) -> Asked {
        let held = self.with(Rails::default(), &self.applied(), |record| {
            Some(record.clone())
        });
        held.unwrap_or_else(|why| panic!("{why}"))
    }

    /// The plan as it was applied.
    fn applied(&self) -> Plan {
        let mut log = self.world.log.iter();
        let plan = log.find_map(|(_, record)| self.world.plan_of(record));
        plan.unwrap_or(&self.plan).clone()
    }
}

fn breaks(held: Result<Asked, String>, says: &str) {
    let found = held.as_ref().is_err_and(|why| why.contains(says));
    assert!(found, "{says}: {held:?}");
}

const BOTH: &str = "[agents.a]\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\", \"s2.corp.test\"]\n[domain.\"corp.test\"]\nmin_serving = 1\n";

#[test]
fn a_version_that_was_taken_back_is_brought_nowhere() {
    let told = Told::new(BOTH, None);
    assert!(told.holds().g6 > 0);
    let whole = |record: &Record| Some(record.clone());
    let recalled = |version| {
        let mut rails = Rails::default();
        rails.recalls(BTreeSet::from([(Product::ProvisioningAgent, version)]));
        told.with(rails, &told.applied(), whole)
    };
    breaks(recalled(NEWEST), "which was taken back");
    assert!(recalled(OLD).is_ok(), "what is there is left as it is");
    // Nor is what is older than what is there.
    let mut older = told.applied();
    for part in older.targets.values_mut() {
        for artifact in part.phases.iter_mut().flat_map(|work| &mut work.artifacts) {
            artifact.version = protocol::Version::new(1, 1, 1, 0);
        }
    }
    breaks(
        told.with(Rails::default(), &older, whole),
        "is brought to 1.1.1.0",
    );
}

#[test]
fn a_domain_in_both_tools_is_configured_where_it_was_read_that_nothing_is_in_both() {
    let text = format!(
        "{BOTH}[connect.main]\nforests = [\"corp.test\"]\nservers = [\"c1.corp.test\"]\noverlap = {{ \"corp.test\" = \"pilot\" }}\n[connect.main.settings]\n"
    );
    let tenant = TENANT.parse().expect("an id");
    let read = Observation {
        configurations: Part::Seen(Vec::new()),
        ..Observation::unseen_all(&tenant, NOW, "it was not asked for")
    };
    let told = Told::new(&text, Some(read.clone()));
    assert!(told.holds().g7 > 0, "{:?}", told.holds());
    let reads = |seen: Option<Observation>| {
        told.with(Rails::default(), &told.applied(), move |record| {
            if let Record::TenantSeen { by, .. } = record {
                let (observation, by) = (Box::new(seen.clone()?), by.clone());
                return Some(Record::TenantSeen { observation, by });
            }
            Some(record.clone())
        })
    };
    breaks(reads(None), "in both tools: nobody has read it");
    let before = Observation {
        at: NOW.minus(Duration::from_secs(25 * 3600)),
        ..read.clone()
    };
    breaks(reads(Some(before)), "in both tools: it was read at");
    let unseen = Observation::unseen_all(&tenant, NOW, "403 Forbidden");
    breaks(reads(Some(unseen)), "403 Forbidden");
}

#[test]
fn what_cannot_be_undone_is_begun_where_it_was_accepted_by_its_number() {
    let text = "[agents.left]\nserves = [\"left.test\"]\nhosts = []\nretired = [\"s1.left.test\"]\n[domain.\"left.test\"]\nallow_outage = true\n";
    let told = Told::new(text, None);
    assert_eq!(told.applied().irreversible.len(), 1);
    assert!(told.holds().g10 > 0);
    let accepted = |number: u32| {
        move |record: &Record| {
            let mut record = record.clone();
            if let Record::Applied { irreversible, .. } = &mut record {
                *irreversible = number;
            }
            Some(record)
        }
    };
    breaks(
        told.with(Rails::default(), &told.applied(), accepted(0)),
        "1 acts cannot be undone, and 0 were accepted",
    );
    // One that its plan does not name.
    let mut silent = told.applied();
    silent.irreversible.clear();
    breaks(
        told.with(Rails::default(), &silent, accepted(0)),
        "no act of the plan names it",
    );
}
