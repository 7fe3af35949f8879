//! The cloud sync recipe over every cloud and way to sign in: what a plan holds, what people bring, and what is refused.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be, and looks at some steps alone"
)]

use controller_core::clouds::Clouds;
use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::recipe::Artifacts;
use controller_core::topology::{Document, check, parse, parse_by};
use protocol::facts::Facts;
use protocol::key::SigningKey;
use protocol::signed::{ArtifactKind, ArtifactRef};
use protocol::step::{Cloud, Product, SignIn, Step};
use protocol::{Digest, TargetId, Timestamp, Version};

use crate::common;

const HOST: &str = "s1.corp.test";

fn document(tenant: &str, rest: &str) -> Document {
    Document {
        file: "t.toml".to_owned(),
        text: format!(
            "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n{tenant}\n[agents.a]\nserves = [\"corp.test\"]\nhosts = [\"{HOST}\", \"s2.corp.test\"]\n{rest}\n"
        ),
    }
}

fn planned(document: Document, facts: &Facts, purpose: Purpose) -> Plan {
    let (topology, findings) = parse(&[document]);
    assert!(findings.is_empty(), "{findings:?}");
    assert!(check(&topology, None).is_empty());
    let known: Fleetwide = topology
        .targets()
        .into_iter()
        .map(|target| {
            let key = SigningKey::generate().public().fingerprint();
            let facts = Some((Timestamp::from_millis(0), facts.clone()));
            (
                target,
                Known {
                    facts,
                    ..Known::of(key)
                },
            )
        })
        .collect();
    let artifact = ArtifactRef {
        sha256: Digest::of(b"setup"),
        chunks: Digest::ZERO,
        size: 1,
        kind: ArtifactKind::Exe,
        product: Product::ProvisioningAgent,
        version: Version::new(1, 1, 2505, 0),
    };
    plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &Artifacts::from([(Product::ProvisioningAgent, artifact)]),
        purpose,
    ))
}

fn host() -> TargetId {
    HOST.parse().unwrap()
}

#[test]
fn each_cloud_is_installed_by_its_name_and_signed_in_to_by_a_way_that_it_has() {
    for (words, cloud, sign_in) in [
        ("", Cloud::Commercial, SignIn::Token),
        (
            "sign_in = \"credential\"",
            Cloud::Commercial,
            SignIn::Credential,
        ),
        ("sign_in = \"wizard\"", Cloud::Commercial, SignIn::Wizard),
        (
            "cloud = \"us-government\"",
            Cloud::UsGovernment,
            SignIn::Wizard,
        ),
        ("cloud = \"china\"", Cloud::China, SignIn::Wizard),
    ] {
        let facts = common::facts(None, None);
        let plan = planned(document(words, ""), &facts, Purpose::Install);
        let part = &plan.targets[&host()];
        let steps: Vec<&Step> = part.phases.iter().flat_map(|phase| &phase.steps).collect();
        let installs = steps.iter().any(|step| {
            matches!(step, Step::InstallProvisioningAgent(install) if install.cloud == cloud)
        });
        assert!(installs, "{words}: {steps:?}");
        let registers = steps.iter().any(|step| match step {
            Step::RegisterProvisioningAgent(register) => {
                register.sign_in == sign_in && register.cloud == cloud
            }
            Step::GuideProvisioningAgent(_) => sign_in == SignIn::Wizard,
            _ => false,
        });
        assert!(registers, "{words}: {steps:?}");
        let unverified = part.why.iter().any(|why| why.contains("unverified"));
        assert_eq!(unverified, cloud == Cloud::China, "{:?}", part.why);
    }
}

#[test]
fn a_way_that_the_cloud_does_not_have_is_refused_with_its_place() {
    for cloud in ["us-government", "china"] {
        let words = format!("cloud = \"{cloud}\"\nsign_in = \"token\"");
        let (_, findings) = parse(&[document(&words, "")]);
        let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("t.toml:4:") && told[0].contains(cloud),
            "{told:?}"
        );
        assert!(told[0].contains("wizard"), "{told:?}");
    }
}

#[test]
fn a_corrected_file_decides_which_way_is_chosen_and_which_is_refused() {
    let text = include_str!("../../../../deploy/data/clouds.toml");
    let (before, government) = text.split_once("[cloud.us-government.sign_in]").unwrap();
    let government = government
        .replacen("chosen     = \"wizard\"", "chosen     = \"credential\"", 1)
        .replacen("works = \"no\"", "works = \"yes\"", 1)
        .replacen(
            "wizard     = { works = \"yes\"",
            "wizard     = { works = \"no\"",
            1,
        );
    let clouds = format!("{before}[cloud.us-government.sign_in]{government}");
    let clouds = Clouds::parse(&clouds).unwrap();
    let read = |words: &str| {
        let words = format!("cloud = \"us-government\"\n{words}");
        parse_by(&[document(&words, "")], &clouds)
    };
    let sign_in = |words: &str| {
        let (topology, findings) = read(words);
        assert!(findings.is_empty(), "{findings:?}");
        topology.tenants["main"].sign_in
    };
    assert_eq!(sign_in(""), SignIn::Credential);
    assert_eq!(sign_in("sign_in = \"token\""), SignIn::Token);
    let (_, findings) = read("sign_in = \"wizard\"");
    let told = findings[0].to_string();
    assert!(
        told.contains("sign_in = \"credential\", or correct clouds.toml"),
        "{told}"
    );
}

/// A cloud may have several hosts of Microsoft Graph; which of them a tenant is of its topology says, by the names that the data have.
#[test]
fn a_tenant_may_choose_a_host_of_microsoft_graph_and_a_name_that_its_cloud_does_not_have_is_refused()
 {
    let read = |words: &str| parse_by(&[document(words, "")], Clouds::built_in());
    for (words, host) in [
        ("", "graph.microsoft.com"),
        ("cloud = \"us-government\"", "graph.microsoft.us"),
        (
            "cloud = \"us-government\"\ngraph = \"dod\"",
            "dod-graph.microsoft.us",
        ),
        ("cloud = \"china\"", "microsoftgraph.chinacloudapi.cn"),
    ] {
        let (topology, findings) = read(words);
        assert!(findings.is_empty(), "{words}: {findings:?}");
        assert_eq!(topology.tenants["main"].graph, host);
    }
    let (topology, findings) = read("graph = \"dod\"");
    let told = findings[0].to_string();
    assert!(
        told.contains("Microsoft Graph of commercial has no host of the name dod")
            && told.contains("write one of worldwide"),
        "{told}"
    );
    assert!(
        topology.tenants["main"].graph.is_empty(),
        "no other in its place"
    );
}

/// Whoever runs the network gets every host of every product that a plan's servers carry, by the tenant's cloud.
#[test]
fn the_network_is_told_what_each_tenant_needs() {
    let facts = common::facts(None, None);
    let plan = planned(
        document("cloud = \"us-government\"", ""),
        &facts,
        Purpose::Preflight,
    );
    let lines = Clouds::built_in().network(&plan);
    let agent = "main (us-government), provisioning agent, TCP 443: *.msappproxy.us, ";
    assert!(
        lines.iter().any(|line| line.starts_with(agent)),
        "{lines:?}"
    );
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("Connect") || line.contains("msappproxy.net"))
    );
    // What the product goes on without says so, and that no source names its hosts.
    // Each group and entry has its own, which together are all.
    let of_lanes = Clouds::built_in().network_by_lane(&plan);
    assert_eq!(of_lanes.len(), plan.lanes.len());
    assert_eq!(of_lanes.values().next(), Some(&lines));
    let optional = lines.iter().find(|line| line.contains("TCP 8080: "));
    let optional = optional.expect("the port of the vendor's page");
    assert!(
        optional.contains("[optional: ") && optional.contains("in no source"),
        "{optional}"
    );
    let plan = planned(document("", ""), &facts, Purpose::Preflight);
    let lines = Clouds::built_in().network(&plan);
    let zone = lines
        .iter()
        .find(|line| line.contains("*.cloudwebappproxy.net"));
    assert!(zone.expect("the zone").contains("a copy of 2023"));
    let plan = planned(
        document("cloud = \"china\"", ""),
        &facts,
        Purpose::Preflight,
    );
    let lines = Clouds::built_in().network(&plan);
    assert!(
        lines
            .iter()
            .all(|line| line.ends_with(" are in no source]")),
        "what is not the vendor's word says so: {lines:?}"
    );
}

/// From 1.1.2334.0 on the product gives an account that was made beforehand no rights (product facts 0.1, 1.6).
#[test]
fn whoever_makes_the_account_is_told_to_give_it_its_rights_afterwards() {
    let facts = common::facts(None, None);
    let ask = "[domain.\"corp.test\"]\ndirectory = \"ask\"";
    for (rest, own) in [("", true), ("gmsa = \"svcSync$\"", true), (ask, false)] {
        let plan = planned(document("", rest), &facts, Purpose::Install);
        let part = &plan.targets[&host()];
        let told = part
            .people
            .iter()
            .any(|one| one.contains("part 3 of entrain handover"));
        assert_eq!(told, own, "{rest}: {:?}", part.people);
        let looked = |plan: &Plan| {
            let phases = plan.targets[&host()].phases.clone();
            let mut steps = phases.into_iter().flat_map(|phase| phase.steps);
            steps.find_map(|step| match step {
                Step::VerifyProvisioningAgent(verify) => {
                    let rights = verify.own_rights.as_ref();
                    Some(rights.map(|rights| rights.replicates.len()))
                }
                _ => None,
            })
        };
        assert_eq!(looked(&plan), Some(own.then_some(1)), "{rest}");
        let verified = planned(document("", rest), &facts, Purpose::Verify);
        assert_eq!(looked(&verified), Some(own.then_some(1)), "{rest}");
    }
}

#[test]
fn nothing_is_planned_on_what_could_not_be_read() {
    let mut facts = common::facts(None, None);
    facts.unread =
        vec!["the service AADConnectProvisioningAgent could not be read: access denied".to_owned()];
    let plan = planned(document("", ""), &facts, Purpose::Install);
    let part = &plan.targets[&host()];
    assert!(part.phases.is_empty());
    assert!(
        part.why[0].starts_with("held: the service"),
        "{:?}",
        part.why
    );
    assert_ne!(facts.essence(), common::facts(None, None).essence());
    // To look at it is no act on it.
    let looked = planned(document("", ""), &facts, Purpose::Preflight);
    assert_eq!(looked.targets[&host()].phases.len(), 1);
}

/// What the file says otherwise than this program goes into the bundles; of what it says the same nothing does.
#[test]
fn a_corrected_file_goes_into_the_steps_of_the_cloud_that_it_corrects() {
    let text = include_str!("../../../../deploy/data/clouds.toml");
    let text = text
        .replacen("\"AzureChinaCloud\"", "\"AzureChina\"", 1)
        .replace("login.partner.microsoftonline.cn", "login.elsewhere.test");
    let corrected = Clouds::parse(&text).unwrap();
    let told = |cloud: &str, clouds: &Clouds| {
        let (topology, findings) =
            parse_by(&[document(&format!("cloud = \"{cloud}\""), "")], clouds);
        assert!(findings.is_empty(), "{findings:?}");
        let known: Fleetwide = topology
            .targets()
            .into_iter()
            .map(|target| {
                let known = Known {
                    facts: Some((Timestamp::from_millis(0), common::facts(None, None))),
                    ..Known::of(SigningKey::generate().public().fingerprint())
                };
                (target, known)
            })
            .collect();
        let plan = plan(Inputs::of(
            &topology,
            &Policy::default(),
            &known,
            &common::artifacts(),
            Purpose::Install,
        ));
        let part = plan.targets[&host()].clone();
        let steps: Vec<Step> = part
            .phases
            .into_iter()
            .flat_map(|phase| phase.steps)
            .collect();
        let environment = steps.iter().find_map(|step| match step {
            Step::InstallProvisioningAgent(install) => install.environment.clone(),
            _ => None,
        });
        let hosts = steps.iter().filter_map(|step| match step {
            Step::Preflight(preflight) => Some(preflight.hosts.clone()),
            _ => None,
        });
        let hosts: Vec<_> = hosts.collect();
        (environment, hosts, part.why.join("; "))
    };
    let (environment, hosts, why) = told("china", &corrected);
    assert_eq!(environment, "AzureChina".parse().ok());
    assert!(
        why.contains("ENVIRONMENTNAME=AzureChina, as the controller's clouds.toml"),
        "{why}"
    );
    assert!(!hosts.is_empty());
    for hosts in hosts {
        let names = hosts.unwrap().sign_in;
        assert_eq!(names, ["login.elsewhere.test".parse().unwrap()]);
    }
    for (cloud, clouds) in [("us-government", &corrected), ("china", Clouds::built_in())] {
        let (environment, hosts, _) = told(cloud, clouds);
        assert_eq!(environment, None, "{cloud}");
        assert!(
            !hosts.is_empty() && hosts.iter().all(Option::is_none),
            "{cloud}"
        );
    }
}
