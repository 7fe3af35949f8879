//! Default rules of a tenant's Connect servers are read with the preflight of each, and held against each other (CU04).

use std::collections::BTreeSet;
use std::time::Duration;

use agent_twin::Fault;
use controller_core::fleet::Live;
use protocol::event::{Finding, Verdict};
use rehearsal::{Ask, World};

use crate::common::{NOW, ready, target};

/// What the preflight of the first server tells of its default rules, where the second server has that fault.
fn told(fault: Option<Fault>) -> Vec<Finding> {
    let (plan, known) = ready();
    let ask = Ask {
        begin: NOW,
        person: None,
        faults: [(
            target("c2.corp.test"),
            fault.into_iter().collect::<BTreeSet<_>>(),
        )]
        .into(),
        seed: 1,
    };
    let mut world = World::new(&plan, &known, ask);
    let end = NOW.plus(Duration::from_secs(86_400));
    world.run_until(end, |_| {});
    let one = target("c1.corp.test");
    assert!(world.changes(&one).is_empty(), "it only looks");
    let why = world
        .fleet
        .why(&one, &Live::default(), end)
        .expect("it was asked");
    let of_rules = |one: &Finding| one.id == "CU01" || one.id == "CU04";
    why.findings.into_iter().filter(of_rules).collect()
}

#[test]
fn a_rule_that_was_edited_on_one_of_two_servers_is_named() {
    let well = told(None);
    assert_eq!(well[0].id, "CU01");
    assert_eq!(
        (well[1].id.as_str(), well[1].verdict),
        ("CU04", Verdict::Pass),
        "{well:#?}"
    );
    for words in [
        "2 default rules of 2.6.92.0",
        "the same as those of c2.corp.test",
        "c3.corp.test",
    ] {
        assert!(well[1].read.contains(words), "{words}: {}", well[1].read);
    }
    let edited = told(Some(Fault::DefaultRuleEdited));
    assert_eq!(
        (edited[1].id.as_str(), edited[1].verdict),
        ("CU04", Verdict::Fail),
        "{edited:#?}"
    );
    assert!(!edited[1].blocks());
    for words in [
        "the same as those of c3.corp.test",
        "other than those of c2.corp.test",
        "outbound rule \"Out to AAD - User Join\" of tenant - AAD",
    ] {
        assert!(
            edited[1].read.contains(words),
            "{words}: {}",
            edited[1].read
        );
    }
    // A rule of one's own is no default one.
    let differs = told(Some(Fault::SettingsDiffer));
    assert_eq!(differs[1].verdict, Verdict::Pass, "{differs:#?}");
    let unread = told(Some(Fault::SettingsUnreadable));
    assert_eq!(unread[1].verdict, Verdict::Pass, "{unread:#?}");
    assert!(
        unread[1]
            .read
            .contains("c2.corp.test: its rules could not be read"),
        "{}",
        unread[1].read
    );
}
