//! What a Connect server is asked before its wizard, and which settings its cloud takes: domains of a forest of chosen units, an
//! installer that demands the settings of TLS 1.2, express settings.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::readiness::Asked;
use controller_core::recipe::connect;
use controller_core::topology::{Document, check, parse};
use protocol::facts::ConnectFacts;
use protocol::key::SigningKey;
use protocol::signed::{StepEnding, StepRecord};
use protocol::step::{Preflight, Step};
use protocol::{Attempt, StepIndex, TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn document(cloud: &str, settings: &str) -> Document {
    common::document(format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\ncloud = \"{cloud}\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\"]\n{settings}\n"
    ))
}

/// The plan of a server without Connect.
fn planned(cloud: &str, settings: &str) -> Plan {
    let (topology, findings) = parse(&[document(cloud, settings)]);
    assert!(findings.is_empty(), "{findings:?}");
    let known = Known {
        facts: Some((NOW, common::facts(None, None))),
        ..Known::of(SigningKey::generate().public().fingerprint())
    };
    let known = Fleetwide::from([(target(), known)]);
    plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &common::artifacts(),
        Purpose::Install,
    ))
}

fn target() -> TargetId {
    "c1.a.test".parse().unwrap()
}

fn preflight(plan: &Plan) -> Preflight {
    let part = &plan.targets[&target()];
    let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
    let preflight = steps.find_map(|step| match step {
        Step::Preflight(preflight) => Some(preflight.clone()),
        _ => None,
    });
    preflight.unwrap_or_else(|| panic!("no preflight: {part:?}"))
}

#[test]
fn a_forest_of_chosen_units_is_asked_in_the_domains_of_these_units() {
    let asked = |settings: &str| {
        let preflight = preflight(&planned("commercial", settings));
        let names: Vec<String> = preflight
            .domains
            .iter()
            .map(|domain| domain.name.to_string())
            .collect();
        (names, preflight.chosen.len())
    };
    // A forest that is read whole is looked through by the server.
    let root = || "a.test".to_owned();
    assert_eq!(asked("settings = \"express\""), (vec![root()], 0));
    assert_eq!(asked("settings = {}"), (vec![root()], 0));
    let units = "settings = { units = { \"a.test\" = [\"OU=People,DC=a,DC=test\", \"OU=People,DC=EMEA,DC=a,DC=test\", \"OU=More,DC=emea,DC=a,DC=test\"] } }";
    assert_eq!(asked(units), (vec![root(), "emea.a.test".to_owned()], 1));
}

#[test]
fn an_installer_of_the_versions_that_demand_tls_settings_has_them_demanded() {
    let (topology, _) = parse(&[document("commercial", "settings = {}")]);
    let (entry, tenant) = (&topology.connect["main"], &topology.tenants["main"]);
    let facts = common::facts(None, None);
    for (version, demands) in [
        (Version::new(2, 3, 19, 9), false),
        (Version::new(2, 3, 20, 0), true),
        (Version::new(2, 4, 129, 0), true),
        (Version::new(2, 4, 131, 0), false),
        (Version::new(2, 6, 92, 0), false),
    ] {
        let steps = connect::readiness(entry, tenant, &target(), &facts, Some(version));
        let [Step::Preflight(preflight)] = steps.as_slice() else {
            panic!("{steps:?}");
        };
        assert_eq!(preflight.demands_tls, demands, "{version}");
    }
}

/// What an upgrade alone needs is asked as that where one may be meant: not of a server that is as new as what would be installed.
#[test]
fn a_server_that_is_as_new_as_the_installer_is_told_to_stay() {
    let (topology, _) = parse(&[document("commercial", "settings = {}")]);
    let (entry, tenant) = (&topology.connect["main"], &topology.tenants["main"]);
    let (old, new) = (Version::new(2, 5, 190, 0), Version::new(2, 6, 92, 0));
    for (there, newest, stays) in [
        (Some(Some(new)), Some(new), true),
        (Some(Some(new)), Some(old), true),
        (Some(Some(old)), Some(new), false),
        (Some(Some(new)), None, false),
        (Some(None), Some(new), false),
        (None, Some(new), false),
    ] {
        let connect = there.map(|version| ConnectFacts {
            version,
            service: None,
            staging: None,
            cycle_enabled: None,
            suspended: None,
        });
        let facts = common::facts(None, connect);
        let steps = connect::readiness(entry, tenant, &target(), &facts, newest);
        let [Step::Preflight(preflight)] = steps.as_slice() else {
            panic!("{steps:?}");
        };
        assert_eq!(preflight.stays, stays, "{there:?} {newest:?}");
        // An agent that knows nothing of it is not asked to.
        let written = serde_json::to_value(preflight).unwrap();
        assert_eq!(written.get("stays").is_some(), stays);
    }
}

/// What was asked as of an upgrade told more than what would be asked of a server that stays; the other way round it told less.
#[test]
fn a_server_that_stays_was_asked_enough_as_one_that_is_upgraded() {
    let (topology, _) = parse(&[document("commercial", "settings = {}")]);
    let (entry, tenant) = (&topology.connect["main"], &topology.tenants["main"]);
    let (old, new) = (Version::new(2, 5, 190, 0), Version::new(2, 6, 92, 0));
    let connect = ConnectFacts {
        version: Some(old),
        service: None,
        staging: None,
        cycle_enabled: None,
        suspended: None,
    };
    let facts = common::facts(None, Some(connect));
    let asks = |newest| {
        let steps = connect::readiness(entry, tenant, &target(), &facts, Some(newest));
        let [Step::Preflight(preflight)] = steps.as_slice() else {
            panic!("{steps:?}");
        };
        preflight.clone()
    };
    let (upgraded, stays) = (asks(new), asks(old));
    let asked = |preflight: &Preflight| {
        let step = Step::Preflight(preflight.clone());
        let record = StepRecord {
            step: StepIndex(0),
            kind: step.kind().to_owned(),
            ending: StepEnding::Applied,
            attempts: Attempt(1),
            summary: String::new(),
        };
        Asked::of(&[step], &[record])
    };
    assert_eq!(asked(&upgraded).differs(&stays), None);
    let told = asked(&stays).differs(&upgraded);
    assert_eq!(told.unwrap(), "whether it is upgraded was another one");
}

#[test]
fn express_settings_install_nothing_where_the_vendor_goes_on_with_custom_ones() {
    let express = "settings = \"express\"";
    let warned = |cloud: &str| {
        let (topology, _) = parse(&[document(cloud, express)]);
        let said = check(&topology, None);
        let said = said.iter().map(ToString::to_string);
        said.filter(|one| one.contains("express settings")).count()
    };
    let why = |cloud: &str| {
        let part = planned(cloud, express).targets[&target()].clone();
        (part.left_out, part.why.join("\n"))
    };
    assert_eq!((warned("us-government"), warned("commercial")), (1, 0));
    let (left_out, said) = why("us-government");
    assert!(
        left_out && said.contains("AzureInstance") && said.contains("settings = { }"),
        "{said}"
    );
    assert!(!why("commercial").0);
    let custom = planned("us-government", "settings = {}");
    assert!(!custom.targets[&target()].left_out);
    // Whether the wizard finds out the other cloud is said on the page that shows before it signs anybody in.
    let china = planned("china", express);
    let steps = china.targets[&target()].phases.iter();
    let text = steps
        .flat_map(|phase| &phase.steps)
        .find_map(|step| match step {
            Step::GuideConnect(guide) => Some(guide.text.clone()),
            _ => None,
        })
        .unwrap();
    let page = |title: &str| {
        let mut pages = text.pages.iter();
        let page = pages.find(|page| page.title == title).unwrap();
        page.lines.join("\n")
    };
    assert!(page("Welcome").contains("unverified"));
    assert!(page("Connect to Microsoft Entra ID").contains("assigned directly"));
}
