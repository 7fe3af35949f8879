//! A directory is asked which servers carry one of the products, and what it does not show is said.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{DiscoveredServer, Event};
use protocol::signed::Ending;
use protocol::step::{DiscoverServers, Product, Step};

use crate::common::{drive, target};

fn asked(faults: &[Fault]) -> (Vec<DiscoveredServer>, Vec<String>) {
    let mut twin = Twin::new(Profile {
        target: target(),
        installed: Installed::Nothing,
        person: None,
        faults: faults.iter().copied().collect(),
    });
    let step = Step::DiscoverServers(DiscoverServers {
        domains: vec!["corp.contoso.com".parse().unwrap()],
        preferred_dcs: std::collections::BTreeMap::new(),
        accounts: vec!["svcEntraSync$".parse().unwrap()],
    });
    assert!(step.is_read_only());
    let (conclusion, journal, _) = drive(vec![step], &mut twin, None);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert!(twin.changes.is_empty());
    let mut told = journal.into_iter().filter_map(|event| match event {
        Event::Discovered {
            servers, unread, ..
        } => Some((servers, unread)),
        _ => None,
    });
    told.next().unwrap()
}

#[test]
fn servers_are_named_by_what_the_products_leave_in_the_directory() {
    let (servers, unread) = asked(&[Fault::StrangeConnect]);
    let named: Vec<(&str, Product)> = servers
        .iter()
        .map(|server| (server.name.as_str(), server.product))
        .collect();
    assert_eq!(
        named,
        [
            ("old-sync-99", Product::Connect),
            ("sync-01.corp.contoso.com", Product::ProvisioningAgent),
            ("sync-01.corp.contoso.com", Product::ProvisioningAgent),
        ],
        "once for each account of the two that name it"
    );
    assert!(unread.is_empty(), "{unread:?}");
}

/// Whoever may retrieve a password by a group is named as whoever may by itself; a member of another domain is said.
#[test]
fn members_of_a_group_are_named_and_those_of_another_domain_said() {
    let (servers, unread) = asked(&[Fault::ReadersByGroup]);
    let names: std::collections::BTreeSet<&str> =
        servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["sync-01.corp.contoso.com", "sync-09"]
    );
    let by = servers
        .iter()
        .all(|server| server.source.ends_with("by Sync Hosts"));
    assert!(by, "{servers:?}");
    assert!(
        unread.len() == 2
            && unread
                .iter()
                .all(|why| why.contains("1 members of Sync Hosts are of another domain")),
        "{unread:?}"
    );
}

#[test]
fn what_the_servers_account_may_not_read_is_said_and_names_nobody() {
    for (fault, word) in [
        (Fault::DirectoryUnreadable, "could not sign in"),
        (Fault::DirectoryBlocked, "no answer"),
    ] {
        let (servers, unread) = asked(&[fault]);
        assert!(servers.is_empty());
        assert!(unread[0].contains(word), "{unread:?}");
    }
}
