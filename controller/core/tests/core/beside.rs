//! Cloud sync where the road leaves its main line: a server whose own domain its agents do not serve, rights that a wizard does not
//! give, edits of a configuration file that nobody wrote down, and options that must be equal on every agent.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be, and looks at some steps alone"
)]

use controller_core::drift::drift;
use controller_core::facts::{Fleetwide, Known};
use controller_core::finding::Severity;
use controller_core::plan::{Inputs, Plan, Purpose, TargetPlan, plan};
use controller_core::policy::Policy;
use controller_core::topology::{check, parse};
use protocol::facts::{Facts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::step::Step;
use protocol::{ServiceOptions, TargetId, Timestamp, Version};

use crate::common;
use crate::estate::{self, WIDE, World};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

fn target(name: &str) -> TargetId {
    name.parse().unwrap()
}

fn agent(version: Version, tenant: Option<&str>, options: Option<ServiceOptions>) -> Facts {
    let agent = ProvisioningAgentFacts {
        version: Some(version),
        tenant: tenant.map(|tenant| tenant.parse().unwrap()),
        service: Some(ServiceState::Running),
        account: Some("A\\provAgentgMSA$".to_owned()),
        options,
        updater: None,
        owes_registration: None,
    };
    common::facts(Some(agent), None)
}

fn text(tenant: &str, rest: &str, group: &str) -> String {
    format!(
        "[tenant.main]\nid = \"{TENANT}\"\n{tenant}\n{rest}\n[agents.a]\nserves = [\"b.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n{group}\n"
    )
}

fn planned(text: String, facts: &[(&str, Facts)], purpose: Purpose) -> Plan {
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let known: Fleetwide = facts
        .iter()
        .map(|(name, facts)| {
            let key = SigningKey::generate().public().fingerprint();
            let known = Known {
                facts: Some((NOW, facts.clone())),
                ..Known::of(key)
            };
            (target(name), known)
        })
        .collect();
    plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &common::artifacts(),
        purpose,
    ))
}

fn part(text: String, facts: Facts) -> TargetPlan {
    let plan = planned(text, &[("s1.a.test", facts)], Purpose::Install);
    plan.targets[&target("s1.a.test")].clone()
}

fn steps(part: &TargetPlan) -> impl Iterator<Item = &Step> {
    part.phases.iter().flat_map(|phase| &phase.steps)
}

/// A second group, so that the domain of the first one's servers may be written as asked.
const ASKED: &str = "[domain.\"a.test\"]\ndirectory = \"ask\"\n[agents.z]\nserves = [\"a.test\"]\nhosts = [\"z1.a.test\", \"z2.a.test\"]";

/// The planner's rule for the account is the agent's: a credential of a domain that is not served is asked for by nobody, so its
/// administrator makes the account.
#[test]
fn whoever_makes_the_account_of_a_domain_that_is_not_served_is_told_to() {
    for rest in ["", ASKED] {
        let part = part(text("", rest, ""), common::facts(None, None));
        let account = steps(&part).find_map(|step| match step {
            Step::Preflight(preflight) => Some(preflight.gmsa.clone()),
            _ => None,
        });
        let default: Option<protocol::GmsaName> = "provAgentgMSA$".parse().ok();
        assert_eq!(account.unwrap(), default, "{rest}: it is looked for");
        let people = part.people.join("\n");
        let makes = "the administrator of a.test, where provAgentgMSA$ lives, makes it there beforehand: entrain handover a.test";
        assert!(people.contains(makes), "{rest}: {people}");
        assert!(people.contains("handover DOMAIN"), "its rights: {people}");
    }
    // Where the domain is served with a credential, the product makes it.
    let served = text("", "[domain.\"a.test\"]\ndirectory = \"ask\"", "")
        .replace("[\"b.test\"]", "[\"a.test\", \"b.test\"]");
    let part = part(served, common::facts(None, None));
    assert!(!part.people.join("\n").contains("makes it there"));
}

#[test]
fn a_server_whose_name_does_not_tell_its_domain_is_named_to_the_administrator() {
    let mut facts = common::facts(None, None);
    let said = |facts: Facts| part(text("", "", ""), facts).people.join("\n");
    assert!(!said(facts.clone()).contains("--member"));
    facts.host.domain = "ad.test".parse().ok();
    let people = said(facts);
    assert!(people.contains("--member s1.a.test=ad.test"), "{people}");
}

#[test]
fn the_own_domain_of_a_host_may_be_written_for_its_owner() {
    let findings = |rest: &str| {
        let (topology, findings) = parse(&[common::document(text("", rest, ""))]);
        assert!(findings.is_empty(), "{findings:?}");
        let mut all = check(&topology, None);
        all.retain(|one| one.what.contains("served by no group"));
        all
    };
    assert!(findings("[domain.\"a.test\"]\nowner = \"ad@a.test\"").is_empty());
    let told = findings("[domain.\"a.test\"]\ndirectory = \"ask\"");
    let [asked] = told.as_slice() else {
        panic!("one remark")
    };
    assert!(asked.severity == Severity::Warning && asked.what.contains("only `owner` counts"));
    let told = findings("[domain.\"c.test\"]\nowner = \"ad@c.test\"");
    let [other] = told.as_slice() else {
        panic!("one remark")
    };
    assert_eq!(other.severity, Severity::Error);
}

/// A person at the wizard gives an account that was made beforehand no rights, whatever is written (1.11): on that road, and where
/// a policy on the server has the wizard take the cmdlets' place.
#[test]
fn rights_that_no_cmdlet_gives_are_an_administrators_work() {
    let domain = "[domain.\"b.test\"]\ndirectory = \"ask\"\npermissions = [\"basic-read\"]";
    for (sign_in, told) in [("wizard", true), ("token", false)] {
        let tenant = format!("sign_in = \"{sign_in}\"");
        let text = text(&tenant, domain, "gmsa = \"svcSync$\"");
        let part = part(text, common::facts(None, None));
        let people = part.people.join("\n");
        let by_hand = people.contains("each served domain (b.test) gives svcSync$ its rights");
        assert_eq!(by_hand, told, "{sign_in}: {people}");
        let wizard = steps(&part).find_map(|step| match step {
            Step::RegisterProvisioningAgent(register) => Some(register.wizard.clone()),
            Step::GuideProvisioningAgent(guide) => Some(guide.text.clone()),
            _ => None,
        });
        let last = wizard.unwrap().pages.pop().unwrap();
        assert!(
            last.lines[0].contains("gives svcSync$ no rights"),
            "{last:?}"
        );
    }
}

fn edited() -> ServiceOptions {
    ServiceOptions {
        proxy: "http://proxy.a.test:8080".parse().ok(),
        fips_exempt: true,
        ldap_timeout_millis: Some(60_000),
        ..ServiceOptions::default()
    }
}

/// A proxy that somebody set by hand is there after an upgrade, and what cannot be carried over is said (1.11 [R]).
#[test]
fn edits_by_hand_are_carried_over_an_upgrade_or_named() {
    let old = Version::new(1, 1, 977, 0);
    let newer = Version::new(1, 1, 1586, 0);
    let kept = ServiceOptions {
        ldap_timeout_millis: None,
        ..edited()
    };
    let of = |part: &TargetPlan| {
        let set = steps(part).find_map(|step| match step {
            Step::SetProvisioningAgentOptions(set) => Some(set.options.clone()),
            _ => None,
        });
        let verified = steps(part).find_map(|step| match step {
            Step::VerifyProvisioningAgent(verify) => Some(verify.options.clone()),
            _ => None,
        });
        (set, verified.unwrap())
    };
    let none = ServiceOptions::default;
    let other = "any other edit of AADConnectProvisioningAgent.exe.config may be lost";
    for (version, seen, carried, says, not) in [
        (old, Some(edited()), Some(kept.clone()), "may lose them", ""),
        (
            newer,
            Some(edited()),
            Some(kept.clone()),
            "keeps them since",
            other,
        ),
        (old, Some(none()), None, other, "was edited by hand"),
        (newer, Some(none()), None, "upgrade in place", "exe.config"),
        (old, None, None, "could not be read: a proxy", ""),
    ] {
        let facts = agent(version, Some(TENANT), seen.clone());
        let part = part(text("", "", ""), facts);
        let (set, verified) = of(&part);
        assert_eq!(set, carried, "{version} {seen:?}");
        let carried = carried.unwrap_or_default();
        assert_eq!(verified, carried);
        // What the service reaches, and is exempt from, is asked as the service has it.
        let asked = steps(&part).find_map(|step| match step {
            Step::Preflight(preflight) => Some(preflight.options.clone()),
            _ => None,
        });
        assert_eq!(asked, Some(carried));
        let why = part.why.join("\n");
        assert!(why.contains(says), "{version} {seen:?}: {why}");
        assert!(
            not.is_empty() || !why.contains(not),
            "{version} {seen:?}: {why}"
        );
    }
    // What is written goes before what is found, and an agent that is not upgraded is left as it is.
    let written = "options = { proxy = \"http://other.a.test:3128\" }";
    let part_of = |version, group| {
        part(
            text("", "", group),
            agent(version, Some(TENANT), Some(edited())),
        )
    };
    let (set, _) = of(&part_of(old, written));
    let proxy = set.unwrap().proxy.unwrap();
    assert_eq!(proxy.as_str(), "http://other.a.test:3128");
    assert_eq!(of(&part_of(common::AGENT, "")), (None, none()));
}

/// No registration starts a disabled service: the plan says that it is set to start beforehand, and asks for no secret in vain.
#[test]
fn a_disabled_service_is_set_to_start_before_it_is_registered() {
    const WORDS: &str =
        "its service is disabled: set to start with Windows before anything is asked for";
    for (account, state, says) in [
        (
            "NT SERVICE\\AADConnectProvisioningAgent",
            ServiceState::Disabled,
            true,
        ),
        (
            "NT SERVICE\\AADConnectProvisioningAgent",
            ServiceState::NotRunning,
            false,
        ),
        // One that is configured is started by a phase of its own.
        ("A\\operator", ServiceState::Disabled, false),
    ] {
        let mut facts = agent(common::AGENT, Some(TENANT), None);
        let own = facts.provisioning_agent.as_mut().unwrap();
        own.account = Some(account.to_owned());
        own.service = Some(state);
        let part = part(text("", "", ""), facts);
        let kinds: Vec<&str> = steps(&part).map(Step::kind).collect();
        let why = part.why.join("\n");
        assert_eq!(why.contains(WORDS), says, "{account} {state:?}: {why}");
        let starts = kinds.contains(&"start-provisioning-agent");
        assert_eq!(starts, account.starts_with("A\\"), "{kinds:?}");
        assert!(kinds.contains(&"register-provisioning-agent"), "{kinds:?}");
    }
}

/// The service goes through the proxy of its configuration file, whoever wrote it there: so do the questions beforehand, and the cmdlets,
/// which do not read that file.
#[test]
fn a_proxy_that_somebody_set_by_hand_is_that_of_the_questions_and_of_the_cmdlets() {
    let asked = |part: &TargetPlan| {
        let of = |step: &Step| match step {
            Step::Preflight(preflight) => Some(("preflight", preflight.options.proxy.clone())),
            Step::RegisterProvisioningAgent(register) => Some(("register", register.proxy.clone())),
            Step::AddDomains(add) => Some(("add", add.proxy.clone())),
            _ => None,
        };
        let all = steps(part).filter_map(of);
        all.map(|(what, proxy)| (what, proxy.map_or("".to_owned(), |proxy| proxy.to_string())))
            .collect::<Vec<_>>()
    };
    let (hand, other) = ("http://proxy.a.test:8080", "http://other.a.test:3128");
    let written = format!("adopt = true\noptions = {{ proxy = \"{other}\" }}");
    for (group, seen, proxy) in [
        ("adopt = true", Some(edited()), hand),
        (written.as_str(), Some(edited()), other),
        ("adopt = true", Some(ServiceOptions::default()), ""),
        ("adopt = true", None, ""),
    ] {
        let own = |account: &str, version| {
            let mut facts = agent(version, Some(TENANT), seen.clone());
            let own = facts.provisioning_agent.as_mut().unwrap();
            own.account = Some(account.to_owned());
            asked(&part(text("", "", group), facts))
        };
        let all = |kinds: &[&'static str]| -> Vec<(&'static str, String)> {
            kinds.iter().map(|one| (*one, proxy.to_owned())).collect()
        };
        // What is written is set before, with questions of its own.
        let found = |asked: Vec<(&'static str, String)>, last: &[&'static str]| {
            let behind = asked.len() - last.len();
            assert_eq!(asked[behind..], all(last), "{group} {seen:?}");
            assert!(asked.iter().all(|(_, own)| own == proxy), "{asked:?}");
        };
        found(
            own("A\\provAgentgMSA$", common::AGENT),
            &["preflight", "add"],
        );
        found(
            own("A\\operator", common::AGENT),
            &["preflight", "register"],
        );
        let old = Version::new(1, 1, 1586, 0);
        found(
            own("A\\operator", old),
            &["preflight", "preflight", "register"],
        );
    }
    // What a removal has left is no agent's, and whoever asks whether it is ready asks the same.
    let mut left = agent(common::AGENT, Some(TENANT), Some(edited()));
    let own = left.provisioning_agent.as_mut().unwrap();
    (own.version, own.service) = (None, None);
    let all = asked(&part(text("", "", ""), left));
    assert!(all.iter().all(|(_, proxy)| proxy.is_empty()), "{all:?}");
    let facts = agent(common::AGENT, Some(TENANT), Some(edited()));
    let plan = planned(
        text("", "", ""),
        &[("s1.a.test", facts)],
        Purpose::Preflight,
    );
    let all = asked(&plan.targets[&target("s1.a.test")]);
    assert_eq!(all, [("preflight", hand.to_owned())]);
}

fn millis(millis: Option<u32>) -> Facts {
    let options = ServiceOptions {
        ldap_timeout_millis: millis,
        ..ServiceOptions::default()
    };
    agent(common::AGENT, Some(TENANT), Some(options))
}

/// PV17: nobody wrote the options down, and they differ between agents of a domain.
#[test]
fn options_that_differ_between_agents_are_told_by_a_plan_and_as_drift() {
    let differ = [
        ("s1.a.test", millis(Some(60_000))),
        ("s2.a.test", millis(None)),
    ];
    let alike = [("s1.a.test", millis(None)), ("s2.a.test", millis(None))];
    let told = |facts: &[(&str, Facts)], group: &str, purpose| {
        let plan = planned(text("", "", group), facts, purpose);
        let mut warnings = plan.warnings.into_iter();
        warnings.find(|one| one.contains("registry options of the agents of b.test differ"))
    };
    for purpose in [Purpose::Install, Purpose::Verify] {
        let words = told(&differ, "", purpose).unwrap();
        assert!(
            words.contains("LDAP timeout of 60000 ms on s1.a.test; none on s2.a.test"),
            "{words}"
        );
        assert_eq!(told(&alike, "", purpose), None);
        let owned = "options = { ldap_timeout = \"60s\" }";
        assert_eq!(told(&differ, owned, purpose), None, "a plan sets it");
    }

    // A rollout has left three of one domain; then somebody changes one of them.
    let mut world = World::new();
    let all = ["s1.a.test", "s2.a.test", "s3.a.test"];
    let reports = |world: &mut World, name: &str, millis: Option<u32>| {
        let mut agent = estate::agent(common::AGENT);
        agent.options = Some(ServiceOptions {
            ldap_timeout_millis: millis,
            ..ServiceOptions::default()
        });
        world.reports(name, common::facts(Some(agent), None));
    };
    for name in all {
        reports(&mut world, name, None);
    }
    world.applies(1, Purpose::Verify, WIDE, &all);
    for name in all {
        world.is_done(1, name);
    }
    let odd = |world: &World| {
        let rows = drift(&world.fleet).into_iter();
        rows.filter(|row| row.what.starts_with("registry options"))
            .collect::<Vec<_>>()
    };
    assert_eq!(odd(&world), []);
    reports(&mut world, "s2.a.test", Some(60_000));
    let rows = odd(&world);
    let [row] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(row.target, target("s2.a.test"));
    assert_eq!(row.seen, "LDAP timeout of 60000 ms");
    assert_eq!(row.wanted, "equal on every agent of a.test");
    assert!(!row.planned && !row.accepted && row.mend.contains("topology"));
}
