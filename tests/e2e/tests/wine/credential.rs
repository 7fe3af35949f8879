//! Cloud sync where people give user names and passwords: a Hybrid Identity Administrator's for the tenant, and a domain administrator's,
//! with whose the product makes its account, adds the domain and sets its permissions (product facts 1.4).

use e2e::samba::ADMINISTRATOR;
use e2e::{TENANT, World, text, until};
use protocol::event::Event;
use protocol::secret::SecretKind;

use crate::agent::retry;
use crate::cloud_sync::{ENTRIES, entries};
use crate::server::Wine;
use crate::wizard::{ACCOUNT, DOMAIN, ended, lines};
use crate::{PASSWORD, TARGET, WRONG, goes_on};

/// It is installed, and registered with both. The domain's is shown to the real domain controller before anybody signs in, and none of the two
/// is used where one is not right.
pub(crate) fn registered_by_credentials(world: &mut World, wine: &Wine) {
    assert_eq!(entries(wine), [""; 0]);
    let topology = world.write(
        "credential.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\nsign_in = \"credential\"\n[agents.corp]\nserves = [\"{DOMAIN}\"]\nhosts = [\"{TARGET}\"]\n[domain.\"{DOMAIN}\"]\nallow_outage = true\ndirectory = \"ask\"\npermissions = [\"basic-read\"]\n"
        ),
    );
    let since = world.events().len();
    let mut seen = since;
    world.apply(&topology);
    let (user, password) = ADMINISTRATOR;
    for (tenant, domain, says) in [(PASSWORD, WRONG, "PF53"), (WRONG, password, "AADSTS50126")] {
        seen = gives(world, tenant, (user, domain), seen);
        let over = |event: &Event| matches!(event, Event::RunFinished { .. });
        seen = comes(world, "it is refused", seen, over);
        assert_eq!(world.state(TARGET).0, "failed");
        let why = text(&world.entrain(&["why", TARGET]));
        assert!(why.contains(says), "{why}");
        assert!(!why.contains(WRONG), "{why}");
        retry(world);
    }
    gives(world, PASSWORD, ADMINISTRATOR, seen);
    until("it is registered", || {
        (goes_on(world) == "done").then_some(())
    });
    assert_eq!(world.state(TARGET).1, "registered");
    let asked = world.events().into_iter().skip(since);
    let asked = asked.filter_map(|(_, _, event)| wanted(&event));
    let (tenant, domain) = (TENANT.parse().unwrap(), DOMAIN.parse().unwrap());
    let each = [
        SecretKind::TenantCredential { tenant },
        SecretKind::DomainCredential { domain },
    ];
    let each = [&each[..]; 3].concat();
    assert_eq!(asked.collect::<Vec<_>>(), each);
    assert_eq!(ended(world, since, "install-provisioning-agent").len(), 1);
    assert_eq!(ended(world, since, "register-provisioning-agent").len(), 1);
    assert_eq!(entries(wine), ENTRIES);
    let services = r"HKLM\SYSTEM\CurrentControlSet\Services\AADConnectProvisioningAgent";
    let account = text(&wine.run(&["reg", "query", services, "/v", "ObjectName"]));
    assert!(account.contains(ACCOUNT), "{account}");
    assert_eq!(lines(wine, "permissions"), [format!("BasicRead {DOMAIN}")]);
    drop(world.audit());
}

/// The secret that is asked for, where one is.
fn wanted(event: &Event) -> Option<SecretKind> {
    if let Event::SecretAsked { wanted, .. } = event {
        return Some(wanted.clone());
    }
    None
}

/// Waits for such an event behind the first so many, and gives how many there are up to it.
fn comes(world: &World, what: &str, seen: usize, is: impl Fn(&Event) -> bool) -> usize {
    until(what, || {
        let at = world
            .events()
            .iter()
            .skip(seen)
            .position(|(_, _, event)| is(event));
        at.map(|at| seen + at + 1)
    })
}

/// Both people give theirs, once the server asks.
fn gives(world: &mut World, tenant: &str, domain: (&str, &str), seen: usize) -> usize {
    let seen = comes(world, "a secret is asked for", seen, |event| {
        wanted(event).is_some()
    });
    world.give(tenant, 1);
    world.give_of(domain, &["--domain", DOMAIN], 1);
    seen
}
