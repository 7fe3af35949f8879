//! What agents read of a forest and plans tell people of: UPN suffixes beside the tenant's domains, before the wizard asks about
//! them, and from when on a KDS root key may be used.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be, and looks at some steps alone"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use controller_core::beyond::Beyond;
use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Fleet, TaskWork};
use controller_core::plan::{Inputs, Plan, Purpose, plan, render};
use controller_core::policy::Policy;
use controller_core::record::Record;
use controller_core::tenant::{DomainSeen, Observation, Part};
use controller_core::topology::parse;
use protocol::event::Event;
use protocol::key::SigningKey;
use protocol::signed::Phase;
use protocol::step::Step;
use protocol::task::TaskText;
use protocol::{BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const CONNECT: &str = "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\n";
const PAGE: &str = "Microsoft Entra sign-in configuration";

fn observation(domains: Part<Vec<DomainSeen>>) -> Observation {
    fn not_asked<T>() -> Part<T> {
        Part::NotSeen("not asked".to_owned())
    }
    Observation {
        tenant: TENANT.parse().unwrap(),
        at: NOW,
        agents: not_asked(),
        configurations: not_asked(),
        organization: not_asked(),
        domains,
        operator: not_asked(),
        sync_accounts: not_asked(),
        connect_accounts: not_asked(),
        applications: not_asked(),
        assigned: not_asked(),
        earlier: BTreeMap::new(),
    }
}

fn read(suffixes: Option<&[&str]>, more: u32, kds_usable_from: Option<Timestamp>) -> Event {
    let suffixes = suffixes.map(|all| all.iter().map(|name| (*name).to_owned()).collect());
    Event::ForestRead {
        generation: Generation(1),
        step: StepIndex(0),
        domain: "a.test".parse().unwrap(),
        suffixes,
        more,
        kds_usable_from,
        netbios: None,
    }
}

/// What the fleet makes of these events and of what somebody read in the tenant.
fn fleet(events: &[Event], domains: Option<Vec<DomainSeen>>) -> Fleet {
    let target: TargetId = "s1.a.test".parse().unwrap();
    let mut fleet = Fleet::new();
    let key = SigningKey::generate().public();
    fleet.apply(&common::enrolled(&target, key), None, NOW);
    for (index, event) in (1..).zip(events) {
        fleet.apply(&common::told(&target, index, NOW, event), None, NOW);
    }
    if let Some(domains) = domains {
        let seen = Record::TenantSeen {
            observation: Box::new(observation(Part::Seen(domains))),
            by: "anna".to_owned(),
        };
        fleet.apply(&seen, None, NOW);
    }
    fleet
}

fn planned(rest: &str, beyond: &Beyond) -> Plan {
    let text = format!("[tenant.main]\nid = \"{TENANT}\"\n{rest}");
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let known = |target: TargetId| {
        let known = Known {
            facts: Some((NOW, common::facts(None, None))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (target, known)
    };
    let known: Fleetwide = topology.targets().into_iter().map(known).collect();
    let (policy, artifacts) = (Policy::default(), common::artifacts());
    plan(Inputs {
        beyond,
        ..Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Install)
    })
}

/// The person's work at the wizard of Connect.
fn guide(plan: &Plan) -> TaskText {
    let phases = plan.targets.values().flat_map(|part| &part.phases);
    let guide = phases
        .flat_map(|phase| &phase.steps)
        .find_map(|step| match step {
            Step::GuideConnect(guide) => Some(guide.text.clone()),
            _ => None,
        });
    guide.unwrap()
}

/// The lines of one of its pages.
fn lines(text: &TaskText, title: &str) -> Vec<String> {
    let page = text.pages.iter().find(|page| page.title == title).unwrap();
    page.lines.clone()
}

/// The lines of the wizard's page about users' names.
fn page(plan: &Plan) -> Vec<String> {
    lines(&guide(plan), PAGE)
}

#[test]
fn each_suffix_of_the_forest_stands_before_the_wizard_as_the_tenant_has_it() {
    let domain = |name: &str, verified| DomainSeen {
        name: name.to_owned(),
        verified,
    };
    let suffixes = [
        "a.test",
        "contoso.com",
        "eu.contoso.com",
        "fabrikam.com",
        "legacy.local",
        "old",
    ];
    let fleet = fleet(
        &[read(Some(&suffixes), 0, None)],
        Some(vec![
            domain("contoso.com", true),
            domain("fabrikam.com", false),
        ]),
    );
    for settings in ["settings = \"express\"", "settings = {}"] {
        let plan = planned(&format!("{CONNECT}{settings}\n"), fleet.beyond());
        let lines = page(&plan);
        for (name, words) in [
            (
                "contoso.com",
                "is a verified domain of the tenant, as anna read it at",
            ),
            // A verified domain brings those below it along.
            (
                "eu.contoso.com",
                "is a verified domain of the tenant, as anna read it at",
            ),
            (
                "fabrikam.com",
                "was added to the tenant and is not verified: put the TXT record",
            ),
            ("a.test", "is no domain of the tenant: add it"),
            ("legacy.local", "is no domain of the tenant: add it"),
            (
                "old",
                "can be no domain of a tenant: give its users another suffix",
            ),
        ] {
            let line = lines
                .iter()
                .find(|line| line.starts_with(&format!("{name} ")));
            let line = line.unwrap_or_else(|| panic!("{name} is missing: {lines:#?}"));
            assert!(line.contains(words), "{line}");
            let mends = !words.contains("is a verified");
            assert_eq!(line.contains("onmicrosoft.com"), mends, "{line}");
            assert_eq!(plan.warnings.contains(line), mends, "{:?}", plan.warnings);
            assert!(plan.targets.values().any(|part| part.why.contains(line)));
        }
        let read = format!("these are the UPN suffixes of a.test, as s1.a.test read them at {NOW}");
        assert!(lines.contains(&read), "{lines:#?}");
    }
}

#[test]
fn what_nobody_read_is_not_seen_and_what_is_left_out_is_counted() {
    let entry = format!("{CONNECT}settings = {{}}\n");
    let has = |plan: &Plan, words: &str| {
        let lines = page(plan);
        assert!(
            lines.iter().any(|line| line.contains(words)),
            "{words}: {lines:#?}"
        );
    };
    let nothing = planned(&entry, Beyond::NOTHING);
    has(
        &nothing,
        "whether a.test is a verified domain of the tenant is not known",
    );
    has(
        &nothing,
        "the other UPN suffixes of a.test are not seen: entrain preflight",
    );
    assert!(
        !page(&nothing)
            .iter()
            .any(|line| line.starts_with("these are"))
    );
    // The directory was read, and nobody read the tenant.
    let directory = fleet(&[read(Some(&["a.test", "contoso.com"]), 7, None)], None);
    let plan = planned(&entry, directory.beyond());
    has(
        &plan,
        "whether contoso.com is a verified domain of the tenant is not known",
    );
    has(&plan, "7 more UPN suffixes of a.test are not told");
    assert!(
        plan.warnings
            .iter()
            .all(|warning| !warning.contains("contoso.com"))
    );
    // A later look that could not read them takes nothing back, and one that could counts.
    let events = [
        read(Some(&["a.test"]), 0, None),
        read(None, 0, Some(NOW)),
        read(Some(&["a.test", "new.test"]), 0, None),
    ];
    for (count, name) in [(2, "a.test"), (3, "new.test")] {
        let fleet = fleet(&events[..count], None);
        has(
            &planned(&entry, fleet.beyond()),
            &format!("whether {name} is"),
        );
    }
}

/// Whoever reads the tenant next and is not shown its domains has not seen them again.
#[test]
fn a_suffix_is_as_old_as_the_reading_that_saw_the_domains() {
    let domains = vec![DomainSeen {
        name: "a.test".to_owned(),
        verified: true,
    }];
    let mut fleet = fleet(&[read(Some(&["a.test"]), 0, None)], Some(domains));
    let narrow = Record::TenantSeen {
        observation: Box::new(Observation {
            at: NOW.plus(Duration::from_secs(60)),
            ..observation(Part::NotSeen("403".to_owned()))
        }),
        by: "bert".to_owned(),
    };
    fleet.apply(&narrow, None, NOW);
    let plan = planned(&format!("{CONNECT}settings = {{}}\n"), fleet.beyond());
    let words = format!("a.test is a verified domain of the tenant, as anna read it at {NOW}");
    assert!(page(&plan).contains(&words), "{:#?}", page(&plan));
}

/// Whoever is synchronized by an agent signs in by a suffix as well: what the tenant has not verified is said before.
#[test]
fn an_agents_plan_says_which_suffixes_the_tenant_has_not_verified() {
    let group = "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n";
    let told = [read(Some(&["a.test", "corp.local", "new.test"]), 0, None)];
    let domains = || {
        let domain = |(name, verified): (&str, bool)| DomainSeen {
            name: name.to_owned(),
            verified,
        };
        [("a.test", true), ("new.test", false)].map(domain).to_vec()
    };
    let why = |told: &[Event], domains: Option<Vec<DomainSeen>>| {
        let fleet = fleet(told, domains);
        let plan = planned(group, fleet.beyond());
        let part = plan.targets.values().next().unwrap();
        let of_suffixes = part
            .why
            .iter()
            .filter(|why| why.contains("onmicrosoft.com"));
        of_suffixes.cloned().collect::<Vec<_>>()
    };
    let said = why(&told, Some(domains()));
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("a.test: corp.local is no domain of the tenant")
            && said[0].contains("before users who have it are synchronized"),
        "{said:?}"
    );
    assert!(
        said[1].contains("new.test was added to the tenant and is not verified"),
        "{said:?}"
    );
    // What nobody has read says nothing.
    assert_eq!(why(&told, None), [""; 0]);
    assert_eq!(why(&[], Some(domains())), [""; 0]);
}

#[test]
fn the_ten_hours_of_a_root_key_are_shown_as_the_earliest_start() {
    let group = "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n";
    let later = NOW.plus(Duration::from_secs(8 * 3600));
    for (key, words) in [
        (None, "a KDS root key of a.test's forest whose ten hours are over: when it was made is not seen".to_owned()),
        (Some(NOW), format!("no KDS root key: that of a.test's forest is usable since {NOW}, as s1.a.test read it")),
        (Some(later), format!("earliest start of a registration in a.test: {later}, when the ten hours")),
    ] {
        let fleet = fleet(&[read(None, 0, key)], None);
        let said = render(&planned(group, fleet.beyond()));
        assert!(said.contains(&words), "{words}\n{said}");
    }
    // Whoever registers nothing waits for no key.
    let plan = planned(&format!("{CONNECT}settings = {{}}\n"), Beyond::NOTHING);
    assert!(!render(&plan).contains("KDS"));
}

/// The name under which an Enterprise Administrator may sign in is the directory's, and never one that was guessed from the forest's.
#[test]
fn the_netbios_name_is_shown_as_it_was_read_and_not_guessed() {
    let told = |netbios: Option<&str>| Event::ForestRead {
        generation: Generation(1),
        step: StepIndex(0),
        domain: "a.test".parse().unwrap(),
        suffixes: None,
        more: 0,
        kds_usable_from: None,
        netbios: netbios.map(str::to_owned),
    };
    for (settings, title) in [
        ("settings = \"express\"", "Connect to AD DS"),
        ("settings = {}", "Connect your directories"),
    ] {
        let shown = |told: &[Event]| {
            let fleet = fleet(told, None);
            let plan = planned(&format!("{CONNECT}{settings}\n"), fleet.beyond());
            lines(&guide(&plan), title).join("\n")
        };
        let unread = shown(&[]);
        assert!(
            unread.contains("the NetBIOS name of a.test is not read") && !unread.contains("A\\"),
            "{unread}"
        );
        // An agent of an earlier release does not tell it, and takes nothing back.
        let read = shown(&[told(Some("CORP")), told(None)]);
        let words = format!("the NetBIOS name of a.test is CORP, as s1.a.test read it at {NOW}");
        assert!(
            read.contains(&words) && !read.contains("not read"),
            "{read}"
        );
    }
}

/// The rollout's own preflight reads the forest when the plan is made already: whoever comes to the wizard sees what it read.
#[test]
fn a_page_shows_what_was_read_since_it_was_planned() {
    let target: TargetId = "s1.a.test".parse().unwrap();
    let mut fleet = fleet(&[], None);
    let plan = planned(&format!("{CONNECT}settings = {{}}\n"), fleet.beyond());
    let text = guide(&plan);
    let applied = common::applied(RolloutId(1), &plan);
    fleet.apply(&applied, Some(&plan), NOW);
    let issued = Record::BundleIssued {
        rollout: RolloutId(1),
        target: target.clone(),
        generation: Generation(1),
        phase: Phase::Register,
        bundle: BundleId(Digest::ZERO),
        expires: NOW,
    };
    fleet.apply(&issued, None, NOW);
    let opened = Event::TaskOpened {
        generation: Generation(1),
        step: StepIndex(1),
        text: Box::new(text.clone()),
    };
    fleet.apply(&common::told(&target, 1, NOW, &opened), None, NOW);
    let shown = |fleet: &Fleet| {
        let task = fleet.tasks(NOW).remove(0);
        match task.work {
            TaskWork::AtServer(text) => *text,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(shown(&fleet), text, "nothing was read since");
    let read = Event::ForestRead {
        generation: Generation(1),
        step: StepIndex(0),
        domain: "a.test".parse().unwrap(),
        suffixes: Some(vec!["a.test".to_owned(), "new.test".to_owned()]),
        more: 0,
        kds_usable_from: None,
        netbios: Some("CORP".to_owned()),
    };
    fleet.apply(&common::told(&target, 2, NOW, &read), None, NOW);
    let domains = vec![DomainSeen {
        name: "a.test".to_owned(),
        verified: true,
    }];
    let seen = Record::TenantSeen {
        observation: Box::new(observation(Part::Seen(domains))),
        by: "anna".to_owned(),
    };
    fleet.apply(&seen, None, NOW);
    let now = shown(&fleet);
    let names = lines(&now, PAGE);
    for words in [
        "a.test is a verified domain of the tenant",
        "new.test is no domain of the tenant: add it",
        "these are the UPN suffixes of a.test",
        "each UPN suffix in use",
    ] {
        assert_eq!(
            names.iter().filter(|line| line.starts_with(words)).count(),
            1,
            "{words}: {names:#?}"
        );
    }
    for gone in ["are not seen", "is not known"] {
        assert!(!names.iter().any(|line| line.contains(gone)), "{names:#?}");
    }
    let directories = lines(&now, "Connect your directories").join("\n");
    assert!(
        directories.contains("is CORP") && directories.ends_with("Next"),
        "{directories}"
    );
    assert_eq!(now.pages.len(), text.pages.len());
}
