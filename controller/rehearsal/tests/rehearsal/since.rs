//! What the rails ask by what came to be known since a plan was made, shown on logs in which that is broken: a version that was taken back
//! (G6), a domain in both tools (G7), what cannot be undone (G10).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::facts::Fleetwide;
use controller_core::fleet::Fleet;
use controller_core::plan::Plan;
use controller_core::record::Record;
use controller_core::tenant::{
    AgentSeen, Configuration, Job, Observation, Organization, Part, Units,
};
use protocol::Timestamp;
use protocol::facts::{ConnectFacts, ProvisioningAgentFacts, ServiceState};
use protocol::step::Product;
use rehearsal::{Ask, Asked, Rails, World};

use crate::common::{CONNECT, NEWEST, NOW, OLD, TENANT, agent, facts, planned, topology};

type Log = Vec<(Timestamp, Record)>;

const OTHER: &str = "3f0c8a4e-0000-0000-0000-000000000001";

/// A fleet that was brought to its end, with what its log holds.
struct Told {
    world: World,
    plan: Plan,
}

impl Told {
    /// Servers of provisioning agents, the first of an old version, one of another tenant, and a Connect server that is active, by their
    /// names.
    fn new(text: &str, read: Option<Observation>) -> Self {
        Self::paced(text, "", read)
    }

    /// The same with a policy.
    fn paced(text: &str, policy: &str, read: Option<Observation>) -> Self {
        let (plan, known): (Plan, Fleetwide) = planned(&topology(text), policy, |target| {
            if target.as_str().starts_with('o') {
                let other = ProvisioningAgentFacts {
                    tenant: OTHER.parse().ok(),
                    ..agent(NEWEST)
                };
                return facts(Some(other), None);
            }
            let connect = target.as_str().starts_with('c').then_some(ConnectFacts {
                version: Some(CONNECT),
                service: Some(ServiceState::Running),
                staging: Some(false),
                cycle_enabled: Some(true),
                suspended: Some(false),
            });
            // The second server has nothing yet, and a new one of Connect neither.
            let none = ["s2", "n"];
            let has =
                connect.is_none() && !none.iter().any(|name| target.as_str().starts_with(name));
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

/// What somebody reads of the tenant: a configuration of the domain that ends whose job has that status, and these agents.
fn left(status: &str, active: &[&str]) -> Observation {
    let tenant = TENANT.parse().expect("an id");
    let job = Job {
        template: "AD2AADProvisioning".to_owned(),
        status: status.to_owned(),
        quarantined: false,
        last_success: None,
    };
    let one = Configuration {
        name: "left.test".to_owned(),
        jobs: Part::Seen(vec![job]),
        domain: Part::Seen("left.test".to_owned()),
        guard: Part::Seen(None),
        units: Part::Seen(Units::Whole),
    };
    let agent = |machine: &&str| AgentSeen {
        machine: (*machine).to_owned(),
        status: "active".to_owned(),
    };
    Observation {
        configurations: Part::Seen(vec![one]),
        agents: Part::Seen(active.iter().map(agent).collect()),
        ..Observation::unseen_all(&tenant, NOW, "it was not asked for")
    }
}

impl Told {
    /// What the rails say where whoever read the tenant was shown that.
    fn where_read(&self, seen: &Observation) -> Result<Asked, String> {
        self.with(Rails::default(), &self.applied(), |record| {
            let mut record = record.clone();
            if let Record::TenantSeen { observation, .. } = &mut record {
                **observation = seen.clone();
            }
            Some(record)
        })
    }
}

#[test]
fn the_last_agent_of_a_domain_goes_once_no_configuration_of_it_is_at_work() {
    const ENDS: &str = "[agents.left]\ntenant = \"main\"\nserves = [\"left.test\"]\nhosts = []\nretired = [\"s1.left.test\"]\n[domain.\"left.test\"]\nallow_outage = true\n";
    let group = |name: &str, labels: &str| {
        format!(
            "{ENDS}[agents.b]\ntenant = \"main\"\nlabels = {{ {labels} }}\nserves = [\"b.test\"]\nhosts = [\"{name}.b.test\"]\n[domain.\"b.test\"]\nallow_outage = true\n"
        )
    };
    let first = "waves = [{ ring = \"first\" }, { rest = true }]\n";
    // Alone in its tenant; beside one that is given another domain before it goes; beside another tenant's.
    let other = format!(
        "[tenant.other]\nid = \"{OTHER}\"\n{}",
        group("o1", "").replace(
            "[agents.b]\ntenant = \"main\"",
            "[agents.b]\ntenant = \"other\""
        )
    );
    for text in [ENDS, &group("s2", "ring = \"first\""), &other] {
        let told = Told::paced(text, first, Some(left("Paused", &[])));
        assert!(told.holds().g10_at_work > 0, "{text}: {:?}", told.holds());
        for status in ["Active", "Quarantine"] {
            breaks(
                told.where_read(&left(status, &[])),
                "G10: s1.left.test is of the last agents of left.test, and its tenant has a configuration at work for it",
            );
        }
        // Whom the tenant lists as active and nobody here knows may serve it too.
        let strange = told.where_read(&left("Active", &["elsewhere.b.test"]));
        assert_eq!(strange.map(|asked| asked.g10_at_work), Ok(0), "{text}");
    }
    // So may one of which nobody knows what it serves.
    let told = Told::new(&group("s3", ""), Some(left("Active", &[])));
    assert_eq!(told.holds().g10_at_work, 0);
}

#[test]
fn synchronization_of_a_tenant_is_switched_on_by_a_plan_that_names_it() {
    let text = "[connect.main]\nforests = [\"corp.test\"]\nservers = [\"n1.corp.test\"]\nsettings = \"express\"\n";
    let read = |sync_enabled: bool| {
        let tenant = TENANT.parse().expect("an id");
        Observation {
            organization: Part::Seen(Organization {
                sync_enabled,
                last_sync: None,
            }),
            ..Observation::unseen_all(&tenant, NOW, "it was not asked for")
        }
    };
    let told = Told::new(text, Some(read(true)));
    assert!(told.holds().g10_switched_on > 0, "{:?}", told.holds());
    breaks(
        told.where_read(&read(false)),
        "G10: n1.corp.test switches synchronization of its tenant on, and no act of the plan names that",
    );
}
