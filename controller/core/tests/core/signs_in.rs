//! The day from which Connect stops on servers that sign in as an account, beside floors and ends of support.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::facts::{Fleetwide, Known};
use controller_core::versions::{Remark, SignsIn, VersionRow, Versions};
use protocol::facts::{ConnectFacts, ProvisioningAgentFacts, ServiceState};
use protocol::step::Product;
use protocol::{Digest, Fingerprint, TargetId, Timestamp, Version};

use crate::common;

const NEWEST: Version = Version::new(2, 6, 92, 0);

fn at(day: &str) -> Timestamp {
    format!("{day}T12:00:00Z").parse().unwrap()
}

fn server(name: &str, version: Version, connect: bool) -> (TargetId, Known) {
    let connect = connect.then_some(ConnectFacts {
        version: Some(version),
        service: None,
        staging: None,
        cycle_enabled: None,
        suspended: None,
    });
    let known = Known {
        facts: Some((at("2026-10-01"), common::facts(None, connect))),
        ..Known::of(Fingerprint(Digest::of(name.as_bytes())))
    };
    (name.parse().unwrap(), known)
}

/// The third deadline: days and source for whoever signs in as an account, and for whoever has not told it.
#[test]
fn the_day_of_an_identity_is_counted_down_for_each_server_that_it_may_stop() {
    let old = Version::new(2, 5, 76, 0);
    let known: Fleetwide = [
        server("account.a.test", NEWEST, true),
        server("application.a.test", NEWEST, true),
        server("none.a.test", NEWEST, false),
        server("old.a.test", old, true),
        server("untold.a.test", NEWEST, true),
    ]
    .into();
    let signs_in: SignsIn = [
        ("account.a.test", false),
        ("application.a.test", true),
        // What it told once says nothing any more.
        ("none.a.test", false),
        ("old.a.test", true),
    ]
    .map(|(name, application)| (name.parse().unwrap(), application))
    .into();
    let data = Versions::built_in();
    let rows = data.rows(&known, &signs_in, at("2027-03-31"));
    let of = |name: &str| -> &VersionRow {
        let own = |row: &&VersionRow| row.target.as_str() == name;
        rows.iter().find(own).unwrap()
    };
    let identity = |name: &str| -> Vec<&Remark> {
        let remarks = of(name).remarks.iter();
        remarks.filter(|one| one.what.contains("PV26")).collect()
    };
    assert_eq!(rows.len(), 4, "{rows:?}");
    for (name, begins) in [
        (
            "account.a.test",
            "signs in as an account (PV26): from 2027-04-07 ",
        ),
        (
            "untold.a.test",
            "as what it signs in is not told yet (PV26;",
        ),
    ] {
        let [one] = identity(name)[..] else {
            unreachable!("{rows:?}")
        };
        assert!(one.what.starts_with(begins), "{one:?}");
        assert_eq!((one.bears, one.days_left), (false, Some(6)), "{one:?}");
        assert_eq!(one.source, data.identity[0].source);
        assert_eq!(one.certainty, data.identity[0].certainty);
        // By days, among what else is so of it.
        let days: Vec<Option<i64>> = of(name).remarks.iter().map(|one| one.days_left).collect();
        let mut sorted = days.clone();
        sorted.sort_by_key(|days| days.unwrap_or(i64::MAX));
        assert_eq!(days, sorted, "{name}");
    }
    assert!(identity("application.a.test").is_empty() && identity("old.a.test").is_empty());
    // Servers stand in that order too: whose support has ended, then whose day comes.
    let order: Vec<&str> = rows.iter().map(|row| row.target.as_str()).collect();
    assert_eq!(
        order,
        [
            "old.a.test",
            "account.a.test",
            "untold.a.test",
            "application.a.test"
        ]
    );
    // Behind that day: it bears on whoever has told it.
    let rows = data.rows(&known, &signs_in, at("2027-04-09"));
    let said = |name: &str| {
        let row = rows.iter().find(|row| row.target.as_str() == name).unwrap();
        let own = row.remarks.iter().find(|one| one.what.contains("PV26"));
        let own = own.unwrap();
        (
            own.bears,
            own.days_left,
            own.what.contains("since 2027-04-07"),
        )
    };
    assert_eq!(said("account.a.test"), (true, Some(-3), true));
    assert_eq!(said("untold.a.test"), (false, Some(-3), true));
    // The agent of cloud sync has no part in it.
    assert!(rows.iter().all(|row| row.product == Product::Connect));
}

/// What is left of an agent that was taken off is a registry key; one that is there and tells no version may be anything, and stands first.
#[test]
fn an_agent_that_was_taken_off_has_no_row_and_one_that_cannot_be_read_has_the_first() {
    let agent = |service| {
        let left = ProvisioningAgentFacts {
            version: None,
            tenant: "3f0c8a4e-0000-0000-0000-000000000000".parse().ok(),
            service,
            account: None,
            options: None,
            updater: None,
            owes_registration: None,
        };
        let key = Fingerprint(Digest::of(b"it"));
        Known {
            facts: Some((at("2026-10-01"), common::facts(Some(left), None))),
            ..Known::of(key)
        }
    };
    let known: Fleetwide = [
        ("gone.a.test".parse().unwrap(), agent(None)),
        server("old.a.test", Version::new(2, 5, 76, 0), true),
        (
            "there.a.test".parse().unwrap(),
            agent(Some(ServiceState::Disabled)),
        ),
    ]
    .into();
    let rows = Versions::built_in().rows(&known, &SignsIn::new(), at("2027-03-31"));
    let shown: Vec<(&str, Option<Version>)> = rows
        .iter()
        .map(|row| (row.target.as_str(), row.version))
        .collect();
    let old = Version::new(2, 5, 76, 0);
    assert_eq!(shown, [("there.a.test", None), ("old.a.test", Some(old))]);
}
