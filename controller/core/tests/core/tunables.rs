//! Registry options of agents that serve one domain: the same on all of them, or refused.

use controller_core::finding::Severity;
use controller_core::topology::{check, parse};
use proptest::prelude::*;

use crate::common;

/// What a group has written, and which domains it serves, by their bits.
#[derive(Debug, Clone)]
struct Group {
    timeout: Option<u8>,
    chasing: bool,
    proxy: Option<u8>,
    serves: u8,
    other_tenant: bool,
    retired: bool,
}

fn group() -> impl Strategy<Value = Group> {
    let timeout = proptest::option::of(30..32u8);
    let proxy = proptest::option::of(0..2u8);
    let all = (
        timeout,
        any::<bool>(),
        proxy,
        1..8u8,
        any::<bool>(),
        any::<bool>(),
    );
    all.prop_map(
        |(timeout, chasing, proxy, serves, other_tenant, retired)| Group {
            timeout,
            chasing,
            proxy,
            serves,
            other_tenant,
            retired,
        },
    )
}

fn written(groups: &[Group]) -> String {
    let mut text = String::new();
    for (name, id) in [("main", "3f0c8a4e"), ("other", "4f0c8a4e")] {
        text.push_str(&format!(
            "[tenant.{name}]\nid = \"{id}-0000-0000-0000-000000000000\"\n"
        ));
    }
    for (number, group) in groups.iter().enumerate() {
        let serves = (0..3).filter(|bit| group.serves & (1 << bit) != 0);
        let serves: Vec<String> = serves.map(|bit| format!("\"d{bit}.test\"")).collect();
        let tenant = if group.other_tenant { "other" } else { "main" };
        let (stays, goes) = if group.retired { ("", "s") } else { ("s", "") };
        let host = |list: &str| {
            if list.is_empty() {
                String::new()
            } else {
                format!("\"s{number}.d0.test\"")
            }
        };
        text.push_str(&format!(
            "[agents.g{number}]\ntenant = \"{tenant}\"\nserves = [{}]\nhosts = [{}]\nretired = [{}]\n[agents.g{number}.options]\nreferral_chasing = {}\n",
            serves.join(", "),
            host(stays),
            host(goes),
            group.chasing
        ));
        if let Some(seconds) = group.timeout {
            text.push_str(&format!("ldap_timeout = \"{seconds}s\"\n"));
        }
        if let Some(proxy) = group.proxy {
            text.push_str(&format!("proxy = \"http://p{proxy}.test:8080\"\n"));
        }
    }
    text
}

proptest! {
    #[test]
    fn a_pair_is_refused_where_it_shares_a_domain_and_a_tenant_and_differs(
        groups in proptest::collection::vec(group(), 2..5),
    ) {
        let (topology, findings) = parse(&[common::document(written(&groups))]);
        prop_assert!(findings.is_empty(), "{findings:?}");
        let refused: Vec<String> = check(&topology, None)
            .into_iter()
            .filter(|one| one.severity == Severity::Error && one.what.contains("registry options"))
            .map(|one| one.what)
            .collect();
        let mut wanted = 0;
        for (second, one) in groups.iter().enumerate() {
            for (first, other) in groups.iter().enumerate().take(second) {
                let differs = (one.timeout, one.chasing) != (other.timeout, other.chasing);
                let shares = one.serves & other.serves != 0
                    && one.other_tenant == other.other_tenant
                    && !one.retired
                    && !other.retired;
                if differs && shares {
                    wanted += 1;
                    let names = [format!("\"g{first}\""), format!("\"g{second}\"")];
                    let named = |what: &&String| names.iter().all(|name| what.contains(name));
                    prop_assert_eq!(refused.iter().filter(named).count(), 1, "{:?}", refused);
                }
            }
        }
        prop_assert_eq!(refused.len(), wanted, "{:?}", refused);
    }
}
