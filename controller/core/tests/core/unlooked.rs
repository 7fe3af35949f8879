//! What a plan that asks for servers leaves unasked is said, so that no list looks more complete than whoever was asked.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use controller_core::beyond::{Beyond, unlooked};
use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::tenant::Read;
use controller_core::topology::parse;
use protocol::{Digest, DomainName, Fingerprint, TargetId, TenantId, Timestamp};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const MAIN: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const OTHER: &str = "77aa0000-0000-0000-0000-000000000000";

/// Only a server of the first domain has told its facts.
fn asks(beyond: &Beyond) -> Plan {
    asks_of(&["s1.a.test"], beyond)
}

/// Those servers have told their facts.
fn asks_of(reported: &[&str], beyond: &Beyond) -> Plan {
    let text = format!(
        "[tenant.main]\nid = \"{MAIN}\"\n[tenant.other]\nid = \"{OTHER}\"\n[agents.near]\ntenant = \"main\"\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n[agents.far]\ntenant = \"other\"\nserves = [\"far.test\"]\nhosts = [\"s1.far.test\"]\n"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let tells = |server: &&str| {
        let known = Known {
            facts: Some((NOW, common::facts(None, None))),
            ..Known::of(Fingerprint(Digest::of(server.as_bytes())))
        };
        (server.parse().unwrap(), known)
    };
    let known: Fleetwide = reported.iter().map(tells).collect();
    let (policy, artifacts) = (Policy::default(), common::artifacts());
    let inputs = Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Discover);
    plan(Inputs { beyond, ..inputs })
}

fn domain(name: &str) -> DomainName {
    name.parse().unwrap()
}

fn read(tenants: &[&str]) -> BTreeMap<TenantId, Read> {
    let read = |tenant: &&str| {
        let by = "anna".to_owned();
        (tenant.parse().unwrap(), Read { at: NOW, by })
    };
    tenants.iter().map(read).collect()
}

#[test]
fn whoever_was_never_read_and_cannot_be_asked_is_said() {
    let plan = asks(Beyond::NOTHING);
    let words = unlooked(&plan, &[], &read(&[]));
    let [near, far, main, other] = &words[..] else {
        unreachable!("{words:?}")
    };
    assert_eq!(near, "a.test: no agent has read its directory");
    let none = "far.test: no agent has read its directory, and none can now: of the servers that are in it or work for it none is enrolled";
    assert!(far.starts_with(none), "{far}");
    for (said, name, id) in [(main, "main", MAIN), (other, "other", OTHER)] {
        assert!(
            said.starts_with(&format!("tenant {name} ({id}): it was never read")),
            "{said}"
        );
        assert!(
            said.ends_with(&format!("entrain tenant read {name} TOPOLOGY")),
            "{said}"
        );
    }
    // What was read, and is asked again now, is no matter of this.
    let by: TargetId = "s9.far.test".parse().unwrap();
    let asked = [
        (domain("a.test"), NOW, "s1.a.test".parse().unwrap()),
        (domain("far.test"), NOW, by),
    ];
    let words = unlooked(&plan, &asked, &read(&[MAIN, OTHER]));
    let [far] = &words[..] else {
        unreachable!("{words:?}")
    };
    assert!(
        far.starts_with("far.test: nobody asks its directory now: "),
        "{far}"
    );
    assert!(
        far.ends_with(&format!("as s9.far.test read it at {NOW}")),
        "{far}"
    );
    // One of another tenant stands for none of these.
    let words = unlooked(&plan, &asked, &read(&[OTHER]));
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[1].starts_with("tenant main "), "{words:?}");
}

/// Whoever would ask was said to be off.
#[test]
fn a_domain_whose_only_server_is_off_is_asked_by_nobody() {
    let off = Beyond {
        said_off: ["s1.a.test".parse().unwrap()].into(),
        ..Beyond::default()
    };
    let words = unlooked(&asks(&off), &[], &read(&[MAIN, OTHER]));
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(
        words[0].starts_with("a.test: ") && words[0].contains("none can now"),
        "{words:?}"
    );
    // Beside it another one asks.
    let plan = asks_of(&["s1.a.test", "s2.a.test"], &off);
    let words = unlooked(&plan, &[], &read(&[MAIN, OTHER]));
    assert_eq!(words[0], "a.test: no agent has read its directory");
    assert!(
        !plan.targets[&"s2.a.test".parse().unwrap()]
            .phases
            .is_empty()
    );
}
