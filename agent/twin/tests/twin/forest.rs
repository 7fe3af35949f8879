//! What a preflight tells of a forest beside its answers: the UPN suffixes that Connect's wizard asks about, and from when on a KDS
//! root key may be used.
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    reason = "a test looks at some events alone, and stops where something is not as it must be"
)]

use std::time::Duration;

use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::Event;
use protocol::step::{Cloud, DirectoryRights, Preflight, Product, ServedDomain, SignIn, Step};
use protocol::{DomainName, Timestamp};

use crate::common::{drive, target, tenant};

type Told = (DomainName, Option<Vec<String>>, Option<Timestamp>);

fn told(product: Product, gmsa: bool, census: bool, faults: &[Fault]) -> Vec<Told> {
    let mut twin = Twin::new(Profile {
        target: target(),
        installed: Installed::Nothing,
        person: None,
        faults: faults.iter().copied().collect(),
    });
    let domain = ServedDomain {
        name: "corp.contoso.com".parse().unwrap(),
        preferred_dcs: Vec::new(),
        rights: DirectoryRights::Handover,
        permissions: Vec::new(),
    };
    let step = Step::Preflight(Preflight {
        target: target(),
        product,
        present: false,
        cloud: Cloud::Commercial,
        tenant: tenant(),
        sign_in: SignIn::Wizard,
        domains: vec![domain],
        gmsa: gmsa.then(|| "svcEntraSync$".parse().unwrap()),
        own_rights: None,
        census,
        both_tools: Vec::new(),
        database: None,
        chosen: Vec::new(),
        demands_tls: false,
        stays: false,
        may_fix: Vec::new(),
        will_fix: Vec::new(),
        options: protocol::ServiceOptions::default(),
        proxy_signs_in: false,
        restarts: false,
        hosts: None,
        overridden: None,
    });
    let (_, journal, _) = drive(vec![step], &mut twin, None);
    let told = journal.into_iter().filter_map(|event| match event {
        Event::ForestRead {
            domain,
            suffixes,
            kds_usable_from,
            netbios,
            ..
        } => {
            // Both stand in the same cross references, and Connect's wizard takes the one.
            let told = suffixes.is_some() && product == Product::Connect;
            assert_eq!(netbios.is_some(), told, "{domain}");
            assert!(netbios.iter().all(|name| !name.is_empty()));
            Some((domain, suffixes, kds_usable_from))
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn a_preflight_of_connect_tells_the_suffixes_of_each_forest_once() {
    let told_of = told(Product::Connect, false, true, &[]);
    let [(domain, Some(suffixes), None)] = told_of.as_slice() else {
        panic!("{told_of:?}");
    };
    assert_eq!(domain.as_str(), "corp.contoso.com");
    assert_eq!(suffixes, &["contoso.com", "corp.contoso.com", "corp.local"]);
    // What this account may not read is not told as empty.
    let hidden = told(Product::Connect, false, true, &[Fault::DirectoryUnreadable]);
    assert_eq!(hidden, []);
}

#[test]
fn a_preflight_of_an_agent_tells_from_when_on_the_key_may_be_used() {
    // Where the product makes the account, it is asked each time; where somebody else does, once.
    for (gmsa, census, asked) in [
        (false, false, true),
        (true, true, true),
        (true, false, false),
    ] {
        let told_of = told(Product::ProvisioningAgent, gmsa, census, &[]);
        assert_eq!(
            told_of.len(),
            usize::from(asked),
            "{gmsa} {census}: {told_of:?}"
        );
    }
    let old = told(Product::ProvisioningAgent, true, true, &[]);
    let young = told(
        Product::ProvisioningAgent,
        true,
        true,
        &[Fault::KdsKeyYoung],
    );
    let from = |told: &[Told]| told[0].2.unwrap();
    assert!(from(&young) > from(&old).plus(Duration::from_secs(3600)));
    let hidden = told(Product::ProvisioningAgent, true, true, &[Fault::NoKdsKey]);
    let keys = hidden.iter().filter(|told| told.2.is_some());
    assert_eq!(keys.count(), 0, "none shown is not none there");
}

/// Users of cloud sync sign in by their suffixes too.
#[test]
fn a_preflight_before_an_agent_is_there_tells_the_suffixes() {
    let suffixes = |census: bool, faults: &[Fault]| -> Vec<Vec<String>> {
        let told_of = told(Product::ProvisioningAgent, true, census, faults);
        told_of.into_iter().filter_map(|told| told.1).collect()
    };
    let all = ["contoso.com", "corp.contoso.com", "corp.local"].map(ToOwned::to_owned);
    assert_eq!(suffixes(true, &[]), [all.to_vec()]);
    assert_eq!(suffixes(false, &[]), [[""; 0]; 0]);
    assert_eq!(suffixes(true, &[Fault::DirectoryUnreadable]), [[""; 0]; 0]);
}
