//! What the pages of a wizard ask of a person is what that person is told to bring, and what a page leaves out is said.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::topology::parse;
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::step::{Product, Step};
use protocol::task::TaskText;
use protocol::{TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// The plan for servers with these facts, where the newest setup of the provisioning agent has that version.
fn planned(text: &str, facts: &Facts, agent: Version) -> Plan {
    let text = format!("[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n{text}");
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let known: Fleetwide = topology
        .targets()
        .into_iter()
        .map(|target| {
            let key = SigningKey::generate().public().fingerprint();
            let known = Known {
                facts: Some((NOW, facts.clone())),
                ..Known::of(key)
            };
            (target, known)
        })
        .collect();
    let mut artifacts = common::artifacts();
    artifacts
        .get_mut(&Product::ProvisioningAgent)
        .unwrap()
        .version = agent;
    plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &artifacts,
        Purpose::Install,
    ))
}

/// The work for a person in a plan for one server, and what its people are told.
fn task(plan: &Plan) -> (TaskText, Vec<String>) {
    let (_, part) = plan.targets.first_key_value().unwrap();
    let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
    let text = steps.find_map(|step| match step {
        Step::GuideProvisioningAgent(guide) => Some(guide.text.clone()),
        Step::RegisterProvisioningAgent(register) => Some(register.wizard.clone()),
        Step::GuideConnect(guide) => Some(guide.text.clone()),
        _ => None,
    });
    (
        text.expect("there is work for a person"),
        part.people.clone(),
    )
}

fn page<'a>(text: &'a TaskText, title: &str) -> &'a [String] {
    let page = text.pages.iter().find(|page| page.title == title);
    &page.expect(title).lines
}

const OLDER: Version = Version::new(1, 1, 2334, 0);

fn agents(sign_in: &str, rights: &str, gmsa: &str) -> String {
    format!(
        "sign_in = \"{sign_in}\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n{gmsa}[domain.\"a.test\"]\ndirectory = \"{rights}\"\n"
    )
}

/// Whether somebody who administers the domain is to be at the wizard, without a doubt or as it may be, by what stands there of it.
fn demands(lines: &[String]) -> (bool, bool) {
    let of_domain = |line: &&String| line.contains("a.test");
    let said = |words: &str| {
        lines
            .iter()
            .filter(of_domain)
            .any(|line| line.contains(words))
    };
    (
        said("sign in as its administrator") || said("at the server"),
        said("where it asks"),
    )
}

#[test]
fn a_domain_that_is_handed_over_has_its_administrator_at_a_wizard_that_wants_one() {
    let nothing = common::facts(None, None);
    for sign_in in ["wizard", "token"] {
        // Before that version the wizard wants a credential, whatever was made beforehand.
        let (text, _) = task(&planned(&agents(sign_in, "handover", ""), &nothing, OLDER));
        let shown = page(&text, "Connect Active Directory");
        assert_eq!(demands(shown), (true, false), "{shown:?}");
        assert_eq!(demands(&text.bring), (true, false), "{:?}", text.bring);
        let words = |words: &str| text.bring.iter().any(|line| line.contains(words));
        assert!(words("entrain handover a.test"), "{:?}", text.bring);
        assert!(words("does not reach Entrain"), "{:?}", text.bring);
        // Since then it wants none where account and rights were supplied; the first agent of a domain may lack the rights.
        for gmsa in ["", "gmsa = \"svcEntraSync$\"\n"] {
            let text = agents(sign_in, "handover", gmsa);
            let (text, _) = task(&planned(&text, &nothing, common::AGENT));
            let shown = page(&text, "Connect Active Directory");
            let said = shown.join("; ");
            assert!(said.contains("1.1.2505.0") && demands(shown).1, "{said}");
            assert!(demands(&text.bring).1, "{:?}", text.bring);
        }
        // A credential that is asked for is given there at any version.
        for version in [OLDER, common::AGENT] {
            let (text, _) = task(&planned(&agents(sign_in, "ask", ""), &nothing, version));
            let shown = page(&text, "Connect Active Directory");
            assert_eq!(demands(shown), (true, false), "{shown:?}");
            let brings = text.bring.iter();
            let brings = brings.filter(|line| line.starts_with("a domain administrator of a.test"));
            assert_eq!(brings.count(), 1, "{:?}", text.bring);
        }
    }
    // The plan itself says it too, where the wizard is the way, and of no other.
    for (sign_in, at_wizard) in [("wizard", true), ("token", false)] {
        let plan = planned(&agents(sign_in, "handover", ""), &nothing, OLDER);
        let (_, people) = task(&plan);
        assert_eq!(demands(&people).0, at_wizard, "{people:?}");
    }
}

/// An agent that is there is newer than the setup: its own wizard is what a person meets.
#[test]
fn the_wizard_is_that_of_the_version_that_is_there() {
    let facts = common::facts(
        Some(protocol::facts::ProvisioningAgentFacts {
            version: Some(common::AGENT),
            tenant: None,
            service: Some(ServiceState::Running),
            account: Some("NT SERVICE\\AADConnectProvisioningAgent".to_owned()),
            options: None,
            updater: None,
            owes_registration: None,
        }),
        None,
    );
    let (text, _) = task(&planned(&agents("wizard", "handover", ""), &facts, OLDER));
    let shown = page(&text, "Connect Active Directory").join("; ");
    assert!(shown.contains("1.1.2505.0"), "{shown}");
}

const CONNECT: &str =
    "[connect.main]\nforests = [\"a.test\", \"b.test\"]\nservers = [\"c1.a.test\"]\n";

/// Whether single sign-on is imported nobody wrote: its page comes where it is, and wants somebody of each forest.
#[test]
fn whoever_an_import_may_ask_for_is_brought() {
    let nothing = common::facts(None, None);
    let wanted = |settings: &str| {
        let text =
            format!("{CONNECT}settings = {{ sign_in = \"password-hash-sync\", {settings} }}\n");
        let (text, _) = task(&planned(&text, &nothing, common::AGENT));
        let shown = text
            .pages
            .iter()
            .any(|page| page.title == "Enable single sign-on");
        let brings = text
            .bring
            .iter()
            .filter(|line| line.contains("Domain Administrator"));
        (shown, brings.cloned().collect::<Vec<String>>())
    };
    let import = "import = \"MigratedPolicy.json\"";
    let (shown, brings) = wanted(import);
    assert!(shown);
    assert_eq!(
        brings,
        [
            "where single sign-on was imported: a Domain Administrator of a.test",
            "where single sign-on was imported: a Domain Administrator of b.test",
        ]
    );
    assert_eq!(
        wanted(&format!("{import}, single_sign_on = false")),
        (false, Vec::new())
    );
    assert_eq!(
        wanted("source_anchor = \"managed\"").1,
        Vec::<String>::new()
    );
    let (shown, brings) = wanted(&format!("{import}, single_sign_on = true"));
    assert!(shown && brings.len() == 2, "{brings:?}");
}

/// Beside the start there is one more tick on the last page of express settings.
#[test]
fn express_settings_say_what_becomes_of_exchange_hybrid() {
    let nothing = common::facts(None, None);
    let of = |settings: &str| {
        let text = format!(
            "[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\"]\nsettings = {settings}\n"
        );
        task(&planned(&text, &nothing, common::AGENT)).0
    };
    let express = of("\"express\"");
    let shown = page(&express, "Ready to configure").join("; ");
    assert!(
        shown.contains("\"Exchange hybrid\"") && shown.contains("clear"),
        "{shown}"
    );
    // What it says to write instead is taken, and has the feature ticked by the custom way.
    let instead = "{ features = [\"exchange-hybrid\"] }";
    assert!(shown.contains(&format!("settings = {instead}")), "{shown}");
    let custom = of(instead);
    let ticks = page(&custom, "Optional features");
    assert!(
        ticks[0].contains("tick \"Exchange hybrid deployment\""),
        "{ticks:?}"
    );
}

/// It cannot be made a staging server before it runs, and whoever starts it has two active ones: what it says can be carried out.
#[test]
fn a_server_that_was_fenced_is_said_to_be_brought_back_by_a_new_installation() {
    let fenced = ConnectFacts {
        version: Some(common::CONNECT),
        service: Some(ServiceState::Disabled),
        staging: None,
        cycle_enabled: None,
        suspended: None,
    };
    let text = "[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\"]\n";
    let plan = planned(text, &common::facts(None, Some(fenced)), common::AGENT);
    let server: TargetId = "c1.a.test".parse().unwrap();
    let part = &plan.targets[&server];
    assert!(part.left_out);
    let why = part.why.join("; ");
    for words in ["retired", "anew", "second active server", "G1"] {
        assert!(why.contains(words), "{words}: {why}");
    }
    assert!(
        !why.contains("before its service is started again"),
        "{why}"
    );
}
