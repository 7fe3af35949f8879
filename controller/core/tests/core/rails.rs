//! The planner's guard rails as properties over random topologies and random facts: whatever is written down and whatever
//! the servers report, a plan that comes out breaks none of G1, G8 and G9.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use controller_core::facts::{Fleetwide, Known};
use controller_core::finding::Severity;
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::topology::{Document, Topology, check, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::facts::{ConnectFacts, Facts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::step::Step;
use protocol::{TargetId, TenantId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANTS: [&str; 3] = [
    "11111111-0000-0000-0000-000000000000",
    "22222222-0000-0000-0000-000000000000",
    // Described by no topology: a host that is registered there is a stranger's.
    "33333333-0000-0000-0000-000000000000",
];

fn tenant(number: u8) -> TenantId {
    TENANTS[usize::from(number) % 3].parse().unwrap()
}

/// A group or a Connect entry: its tenant, its hosts, and whether settings are express.
type Entry = (bool, Vec<u8>, bool);

/// What a server reports: version of the agent, its tenant, and the mode of its Connect.
type Reported = (Option<(bool, Option<u8>)>, Option<(bool, Option<bool>)>);

fn host(number: u8) -> String {
    format!("h{}.a.test", number % 8)
}

fn topology(groups: &[Entry], entries: &[Entry]) -> Topology {
    let mut text = String::new();
    for (name, id) in ["t0", "t1"].iter().zip(TENANTS) {
        writeln!(text, "[tenant.{name}]\nid = \"{id}\"").unwrap();
    }
    let hosts = |numbers: &[u8]| -> Vec<String> { numbers.iter().copied().map(host).collect() };
    for (number, (second, numbers, _)) in groups.iter().enumerate() {
        writeln!(
            text,
            "[agents.g{number}]\ntenant = \"t{}\"\nserves = [\"d{number}.test\"]\nhosts = {:?}",
            u8::from(*second),
            hosts(numbers)
        )
        .unwrap();
    }
    for (number, (second, numbers, express)) in entries.iter().enumerate() {
        let settings = if *express {
            "\"express\""
        } else {
            "{ sign_in = \"password-hash-sync\" }"
        };
        writeln!(
            text,
            "[connect.c{number}]\ntenant = \"t{}\"\nforests = [\"f{number}.test\"]\nservers = {:?}\nsettings = {settings}",
            u8::from(*second),
            hosts(numbers)
        )
        .unwrap();
    }
    let document = Document {
        file: "t.toml".to_owned(),
        text,
    };
    parse(&[document]).0
}

fn facts((agent, connect): &Reported) -> Facts {
    let version = |newest: bool, product: &[Version; 2]| product[usize::from(newest)];
    let agents = [Version::new(1, 1, 1373, 0), Version::new(1, 1, 2505, 0)];
    let connects = [Version::new(2, 4, 0, 0), Version::new(2, 6, 92, 0)];
    let agent = agent.map(|(newest, registered)| ProvisioningAgentFacts {
        version: Some(version(newest, &agents)),
        tenant: registered.map(tenant),
        service: Some(ServiceState::Running),
        account: Some("A\\provAgentgMSA$".to_owned()),
        options: Some(protocol::ServiceOptions::default()),
        updater: None,
        owes_registration: None,
    });
    let connect = connect.map(|(newest, staging)| ConnectFacts {
        version: Some(version(newest, &connects)),
        service: Some(ServiceState::Running),
        staging,
        cycle_enabled: Some(true),
        suspended: Some(false),
    });
    common::facts(agent, connect)
}

/// The tenant that a step configures, where it names one.
fn configures(step: &Step) -> Option<&TenantId> {
    match step {
        Step::Preflight(preflight) => Some(&preflight.tenant),
        Step::RegisterProvisioningAgent(register) => Some(&register.tenant),
        Step::AddDomains(add) => Some(&add.tenant),
        Step::GuideProvisioningAgent(guide) => Some(&guide.tenant),
        Step::VerifyProvisioningAgent(verify) => Some(&verify.tenant),
        Step::RemoveProvisioningAgent(remove) => Some(&remove.tenant),
        Step::StartProvisioningAgent(start) => Some(&start.tenant),
        Step::GuideTransition(guide) => Some(&guide.tenant),
        Step::ReportFacts
        | Step::DiscoverServers(_)
        | Step::CollectSupport(_)
        | Step::RestartServer(_)
        | Step::UpgradeAgent(_)
        | Step::CheckTransition
        | Step::UndoFixes(_)
        | Step::AwaitFullSync(_)
        | Step::InstallProvisioningAgent(_)
        | Step::StageConnect(_)
        | Step::GuideConnect(_)
        | Step::VerifyConnect(_)
        | Step::ReviewConnectExports(_)
        | Step::ReadConnectSettings
        | Step::FenceConnect
        | Step::SetProvisioningAgentOptions(_)
        | Step::GuideConnectRemoval(_)
        | Step::VerifyConnectRemoved
        | Step::VerifyProvisioningAgentRemoved(_) => None,
    }
}

fn holds(plan: &Plan, known: &Fleetwide) -> Result<(), TestCaseError> {
    let mut becoming: BTreeMap<&TenantId, &TargetId> = BTreeMap::new();
    for (target, part) in &plan.targets {
        let reported = known[target].facts.as_ref().map(|(_, facts)| facts);
        let agent = reported.and_then(|facts| facts.provisioning_agent.as_ref());
        let registered = agent.and_then(|agent| agent.tenant.as_ref());
        let of_agents = part.lane.starts_with("agents.");
        if of_agents && registered.is_some_and(|registered| *registered != part.tenant) {
            prop_assert!(part.is_read_only(), "G9: {target} is registered elsewhere");
        }
        for step in part.phases.iter().flat_map(|phase| &phase.steps) {
            let named = configures(step);
            prop_assert!(
                named.is_none_or(|named| *named == part.tenant),
                "G9: a step on {target} names another tenant"
            );
        }
        for phase in &part.phases {
            let changes = !phase.steps.iter().all(Step::is_read_only);
            // A removal asks the little that it needs itself.
            let first = &phase.steps[0];
            let asks = matches!(first, Step::Preflight(_) | Step::RemoveProvisioningAgent(_));
            prop_assert!(
                !changes || asks,
                "G8: a phase changes {target} before its preflight"
            );
        }
        if part.makes_active() {
            let other = becoming.insert(&part.tenant, target);
            prop_assert!(
                other.is_none(),
                "G1: {target} and {other:?} both become active"
            );
        }
    }
    for (tenant, becomes) in becoming {
        for (target, part) in &plan.targets {
            let connect = known[target]
                .facts
                .as_ref()
                .and_then(|(_, facts)| facts.connect.as_ref());
            let may_be_active = connect.is_some_and(|connect| connect.staging != Some(true));
            let same = part.tenant == *tenant && part.lane.starts_with("connect.");
            prop_assert!(
                !(same && may_be_active),
                "G1: {becomes} would become active beside {target}"
            );
        }
    }
    Ok(())
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    vec((any::<bool>(), vec(0_u8..8, 1..4), any::<bool>()), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_plan_breaks_a_guard_rail(
        groups in entries(),
        connect in entries(),
        reported in vec((
            any::<Option<(bool, Option<u8>)>>(),
            any::<Option<(bool, Option<bool>)>>(),
        ), 8),
    ) {
        let topology = topology(&groups, &connect);
        let refused = check(&topology, None)
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        // What `check` refuses is never planned.
        if refused {
            return Ok(());
        }
        let mut known = Fleetwide::new();
        for (number, reported) in (0_u8..).zip(&reported) {
            let entry = Known {
                key: SigningKey::generate().public().fingerprint(),
                facts: Some((NOW, facts(reported))),
                domains: None,
                owes: false,
                without: controller_core::facts::Without::default(),
            };
            known.insert(host(number).parse().unwrap(), entry);
        }
        let plan = plan(Inputs::of(&topology, &Policy::default(), &known, &common::artifacts(), Purpose::Install));
        holds(&plan, &known)?;
    }
}
