//! Default rules of Connect, held against those of the tenant's other servers of the same version (CU04).
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::beyond::Beyond;
use controller_core::default_rules::finding;
use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Purpose, plan, render};
use controller_core::policy::Policy;
use controller_core::settings::{Settings, SettingsSeen};
use controller_core::topology::parse;
use protocol::event::Verdict;
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::settings::{ConnectSettings, Setting, SettingsPart, UnreadPart};
use protocol::step::Step;
use protocol::{Generation, TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const OLD: Version = Version::new(2, 5, 79, 0);

fn id(name: &str) -> TargetId {
    name.parse().unwrap()
}

fn one() -> TargetId {
    id("c1.a.test")
}

fn two() -> TargetId {
    id("c2.a.test")
}

/// Rules by their names, and the order of the default ones.
fn rules(all: &[(&str, &str)], order: &str) -> ConnectSettings {
    let rule = |(name, value): &(&str, &str)| Setting {
        part: SettingsPart::Rules,
        name: format!("inbound rule \"{name}\" of a.test"),
        value: (*value).to_owned(),
    };
    let order = Setting {
        part: SettingsPart::Rules,
        name: "order of the default rules".to_owned(),
        value: order.to_owned(),
    };
    let all = all.iter().map(rule).chain([order]);
    ConnectSettings::of(all.collect(), Vec::new())
}

fn seen(version: Option<Version>, settings: ConnectSettings) -> SettingsSeen {
    SettingsSeen {
        at: NOW,
        generation: Generation(1),
        version,
        settings,
    }
}

const JOIN: (&str, &str) = ("User Join", "default, enabled, sha256 aa");
const COMMON: (&str, &str) = ("User Common", "default, enabled, sha256 bb");
const OWN: (&str, &str) = ("Sales", "custom, precedence 50, enabled");

/// What is told of the first server beside the second.
fn told(own: SettingsSeen, other: Option<SettingsSeen>) -> (Verdict, String) {
    let mut settings = Settings::from([(one(), own)]);
    settings.extend(other.map(|other| (two(), other)));
    let finding = finding(&one(), OLD, [&two()], &settings).unwrap();
    (finding.verdict, finding.read)
}

/// What is told of two servers whose default rules are the same, or of which one was edited.
pub(crate) fn compared(same: bool) -> Verdict {
    let at = |join| seen(Some(OLD), rules(&[join, COMMON], "2 rules, sha256 1"));
    let edited = ("User Join", "default, enabled, sha256 cc");
    told(at(JOIN), Some(at(if same { JOIN } else { edited }))).0
}

#[test]
fn what_differs_is_named_and_what_cannot_be_compared_is_said() {
    let at = |settings| seen(Some(OLD), settings);
    let own = || at(rules(&[JOIN, COMMON, OWN], "2 rules, sha256 1"));
    // A rule of one's own is compared elsewhere.
    let (verdict, read) = told(own(), Some(at(rules(&[JOIN, COMMON], "2 rules, sha256 1"))));
    assert_eq!(verdict, Verdict::Pass, "{read}");
    assert!(read.starts_with("2 default rules of 2.5.79.0"), "{read}");
    let edited = ("User Join", "default, enabled, sha256 cc");
    let disabled = ("User Common", "default, disabled, sha256 bb");
    for (other, order, says) in [
        (
            vec![edited, COMMON],
            "1",
            "inbound rule \"User Join\" of a.test",
        ),
        (
            vec![JOIN, disabled],
            "1",
            "inbound rule \"User Common\" of a.test",
        ),
        (
            vec![JOIN],
            "3",
            "\"User Common\" of a.test (on c1.a.test alone)",
        ),
        (
            vec![JOIN, COMMON, ("Device", "default, enabled, sha256 dd")],
            "4",
            "\"Device\" of a.test (on c2.a.test alone)",
        ),
        (vec![JOIN, COMMON], "2", "their order of precedence"),
    ] {
        let other = at(rules(&other, &format!("2 rules, sha256 {order}")));
        let (verdict, read) = told(own(), Some(other));
        assert_eq!(verdict, Verdict::Fail, "{read}");
        assert!(read.contains(says), "{says}: {read}");
        let named = read.matches("rule \"").count() + read.matches("their order").count();
        assert_eq!(named, 1, "{read}");
    }
    let unread = |part| {
        let why = "the module names no ScopeFilter".to_owned();
        at(ConnectSettings::of(
            Vec::new(),
            vec![UnreadPart { part, why }],
        ))
    };
    let other_version = seen(
        Some(common::CONNECT),
        rules(&[edited, COMMON], "2 rules, sha256 1"),
    );
    let many: Vec<Setting> = (0..5_000)
        .map(|number| Setting {
            part: SettingsPart::Rules,
            name: format!("inbound rule \"{number:05}\" of a.test"),
            value: JOIN.1.to_owned(),
        })
        .collect();
    let cut = || at(ConnectSettings::of(many.clone(), Vec::new()));
    for (own, other, says) in [
        (
            own(),
            None,
            "no other Connect server of its tenant has told the settings of 2.5.79.0",
        ),
        (own(), Some(other_version), "no other Connect server"),
        (
            own(),
            Some(seen(None, own().settings)),
            "no other Connect server",
        ),
        (
            own(),
            Some(unread(SettingsPart::Rules)),
            "c2.a.test: its rules could not be read: the module names no ScopeFilter",
        ),
        (
            unread(SettingsPart::Rules),
            Some(own()),
            "its rules could not be read",
        ),
        (
            seen(Some(common::CONNECT), own().settings),
            Some(own()),
            "and is 2.5.79.0 by now",
        ),
        (cut(), Some(own()), "it has more rules than are carried"),
        (
            at(rules(&[OWN], "0 rules, sha256 1")),
            Some(own()),
            "it told no default rule",
        ),
    ] {
        let (verdict, read) = told(own, other);
        assert_eq!(verdict, Verdict::CannotTell, "{read}");
        assert!(read.contains(says), "{says}: {read}");
    }
    assert!(
        finding(&one(), OLD, [], &Settings::from([(one(), own())])).is_none(),
        "one alone is compared by a person"
    );
    let (verdict, read) = told(own(), Some(unread(SettingsPart::PasswordSync)));
    assert_eq!(
        (verdict, read.as_str()),
        (Verdict::CannotTell, "c2.a.test: it told no default rule")
    );
}

/// Whoever upgrades in place reads it in the plan, and on the page of what comes before the wizard.
#[test]
fn an_upgrade_says_how_its_default_rules_stand() {
    let text = |servers: &str| {
        format!(
            "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [{servers}]\n"
        )
    };
    let said = |servers: &str, purpose, settings: Settings| {
        let (topology, findings) = parse(&[common::document(text(servers))]);
        assert!(findings.is_empty(), "{findings:?}");
        let known = |target: TargetId| {
            let connect = ConnectFacts {
                version: Some(OLD),
                service: Some(ServiceState::Running),
                staging: Some(target == two()),
                cycle_enabled: Some(true),
                suspended: Some(false),
            };
            let known = Known {
                facts: Some((NOW, common::facts(None, Some(connect)))),
                ..Known::of(SigningKey::generate().public().fingerprint())
            };
            (target, known)
        };
        let known: Fleetwide = topology.targets().into_iter().map(known).collect();
        let beyond = Beyond {
            settings,
            ..Beyond::default()
        };
        let (policy, artifacts) = (Policy::default(), common::artifacts());
        let inputs = Inputs {
            beyond: &beyond,
            ..Inputs::of(&topology, &policy, &known, &artifacts, purpose)
        };
        plan(inputs)
    };
    let both = "\"c1.a.test\", \"c2.a.test\"";
    let at = |value| seen(Some(OLD), rules(&[JOIN, ("User Common", value)], "2 rules"));
    let settings = Settings::from([
        (one(), at(COMMON.1)),
        (two(), at("default, enabled, sha256 ee")),
    ]);
    let upgrades = said(both, Purpose::Install, settings.clone());
    let words = "CU04 warns: 2 default rules of 2.5.79.0";
    for server in [one(), two()] {
        let part = &upgrades.targets[&server];
        assert!(
            part.why.iter().any(|why| why.starts_with(words)),
            "{:?}",
            part.why
        );
        let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
        let page = steps.find_map(|step| {
            if let Step::GuideConnect(guide) = step {
                guide.text.pages.iter().find(|page| page.title == "Before")
            } else {
                None
            }
        });
        let last = page.unwrap().lines.last().unwrap();
        assert!(
            last.starts_with(words) && last.contains("\"User Common\""),
            "{last}"
        );
    }
    assert!(!render(&upgrades).contains("CU04 cannot tell"));
    let untold = said(both, Purpose::Install, Settings::new());
    let why = &untold.targets[&one()].why;
    assert!(why.iter().any(|why| why.contains("CU04 cannot tell: it never told its settings; entrain plan --verify or entrain preflight reads them, or a person compares")), "{why:?}");
    // One alone is compared by a person, and asked for nothing more.
    let alone = said("\"c1.a.test\"", Purpose::Install, settings.clone());
    assert!(!render(&alone).contains("CU04"));
    for (servers, purpose, reads) in [
        (both, Purpose::Preflight, true),
        (both, Purpose::Verify, true),
        ("\"c1.a.test\"", Purpose::Preflight, false),
        ("\"c1.a.test\"", Purpose::Verify, false),
    ] {
        let plan = said(servers, purpose, Settings::new());
        let part = &plan.targets[&one()];
        let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
        assert!(part.is_read_only());
        assert_eq!(
            steps.any(|step| *step == Step::ReadConnectSettings),
            reads,
            "{purpose:?}"
        );
    }
}
