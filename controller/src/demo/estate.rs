//! The estate of the demo: its servers, its topology and policy, and what is refused.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_twin::{Fault, Installed, Profile};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use link::seal;
use protocol::Digest;
use protocol::secret::{Sealed, Secret, SecretAsk, SecretKind};
use protocol::signed::Envelope;

use crate::http::client::Client;
use crate::http::types::{AskRow, Done, SecretGiven};

pub(super) const BANNER: &str = "\
Entrain demo
  SIMULATED: the Windows servers, their domains and tenants, the people who sign in
  REAL:      the controller, the agents, the signatures, the journals, QUIC with mutual TLS";

pub(super) const SIMULATED: &str =
    "servers simulated; controller, agents, signatures, transport real";

/// The group whose canary has the fault.
pub(super) const FAULTY_LANE: &str = "tailspin";

/// The target that is offered an old bundle again.
pub(super) const REPLAYED: &str = "ams-sync-01.corp.contoso.com";

pub(super) const POLICY: &str = r#"
waves = [{ ring = "0" }, { ring = "1" }]
limit = { failures = "8", in_flight = 8, canary = 1 }
need  = "registered"
"#;

const MAIN: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const GOV: &str = "77aa0000-0000-0000-0000-000000000000";

pub(super) const TOPOLOGY: &str = r#"
[product]
provisioning-agent = { at_least = "1.1.2505.0" }
connect            = { at_least = "2.6.92.0" }

[tenant.main]
id     = "3f0c8a4e-0000-0000-0000-000000000000"
change = "required"
[tenant.gov]
id    = "77aa0000-0000-0000-0000-000000000000"
cloud = "us-government"

# A child domain, served by its parent's agents.
[agents.ams]
tenant = "main"
labels = { ring = "1" }
serves = ["corp.contoso.com", "emea.corp.contoso.com"]
hosts  = ["ams-sync-01.corp.contoso.com", "ams-sync-02.corp.contoso.com", "ams-sync-03.corp.contoso.com"]

# Another forest, whose agents serve already and are upgraded in place.
[agents.woodgrove]
tenant = "main"
labels = { ring = "1" }
serves = ["woodgrove.test"]
hosts  = ["wg-sync-01.woodgrove.test", "wg-sync-02.woodgrove.test", "wg-sync-03.woodgrove.test"]

[agents.tailspin]
tenant = "main"
labels = { ring = "1" }
serves = ["tailspin.test"]
hosts  = ["ts-sync-01.tailspin.test", "ts-sync-02.tailspin.test"]

[agents.agency]
tenant = "gov"
labels = { ring = "0" }
serves = ["agency.test"]
hosts  = ["gov-sync-01.agency.test", "gov-sync-02.agency.test"]

# Connect over two forests: an active and a staging server that are installed already.
[connect.main]
tenant   = "main"
labels   = { ring = "1" }
forests  = ["fabrikam.com", "legacy.local"]
servers  = ["fab-sync-01.fabrikam.com", "fab-sync-02.fabrikam.com"]
settings = { sign_in = "password-hash-sync", source_anchor = "managed" }
"#;

/// What the plan must say in words.
pub(super) const TOLD: [&str; 8] = [
    "77aa0000-0000-0000-0000-000000000000 (us-government)",
    "3f0c8a4e-0000-0000-0000-000000000000 (commercial)",
    "emea.corp.contoso.com (a child of corp.contoso.com)",
    "2 servers over fabrikam.com, legacy.local",
    "is there (staging): verified, nothing is changed",
    "is there (active): verified, nothing is changed",
    "steps: ",
    "people bring",
];

/// The servers, group by group.
pub(super) fn servers(fault: bool) -> Vec<(&'static str, Vec<Profile>)> {
    let twin = |name: &str, installed: Installed, person: Option<&str>, faults: &[Fault]| Profile {
        target: name.parse().expect("the demo's names are well formed"),
        installed,
        person: person.map(|tenant| tenant.parse().expect("the demo's tenants are well formed")),
        faults: faults.iter().copied().collect::<BTreeSet<_>>(),
    };
    let old = || Installed::ProvisioningAgent {
        version: "1.1.1373.0".parse().expect("a version"),
        tenant: MAIN.parse().expect("a tenant"),
    };
    let connect = |staging| Installed::Connect {
        version: "2.6.92.0".parse().expect("a version"),
        staging,
    };
    let faults: &[Fault] = if fault {
        &[Fault::LogonRightMissing]
    } else {
        &[]
    };
    let nothing = |name: &str| twin(name, Installed::Nothing, None, &[]);
    vec![
        (
            "ams",
            vec![
                nothing("ams-sync-01.corp.contoso.com"),
                nothing("ams-sync-02.corp.contoso.com"),
                nothing("ams-sync-03.corp.contoso.com"),
            ],
        ),
        (
            "woodgrove",
            vec![
                twin("wg-sync-01.woodgrove.test", old(), None, &[]),
                twin("wg-sync-02.woodgrove.test", old(), None, &[]),
                twin("wg-sync-03.woodgrove.test", old(), None, &[]),
            ],
        ),
        (
            "tailspin",
            vec![
                twin("ts-sync-01.tailspin.test", Installed::Nothing, None, faults),
                nothing("ts-sync-02.tailspin.test"),
            ],
        ),
        (
            "agency",
            vec![
                twin(
                    "gov-sync-01.agency.test",
                    Installed::Nothing,
                    Some(GOV),
                    &[],
                ),
                twin(
                    "gov-sync-02.agency.test",
                    Installed::Nothing,
                    Some(GOV),
                    &[],
                ),
            ],
        ),
        (
            "fabrikam",
            vec![
                twin("fab-sync-01.fabrikam.com", connect(false), None, &[]),
                twin("fab-sync-02.fabrikam.com", connect(true), None, &[]),
            ],
        ),
    ]
}

/// Topologies that would break a rule: what, the rule, the text.
pub(super) fn refused() -> Vec<(&'static str, &'static str, String)> {
    let second = TOPOLOGY.replace(
        "settings = { sign_in = \"password-hash-sync\", source_anchor = \"managed\" }",
        "settings = \"express\"",
    );
    let other = TOPOLOGY.replace(
        "\"gov-sync-02.agency.test\"",
        "\"gov-sync-02.agency.test\", \"wg-sync-01.woodgrove.test\"",
    );
    vec![
        ("a second active Connect server", "G1", second),
        ("a host of the other tenant", "G9", other),
    ]
}

/// What the modelled people give: each their own, to what asks for that tenant or that domain (G9).
fn secret_of(wanted: &SecretKind) -> Secret {
    let (user, value) = match wanted {
        SecretKind::AccessToken { tenant } => ("hybrid.admin", format!("a token for {tenant}")),
        SecretKind::TenantCredential { tenant } => {
            ("hybrid.admin", format!("a password of {tenant}"))
        }
        SecretKind::DomainCredential { domain } => {
            ("administrator", format!("a password of {domain}"))
        }
    };
    Secret {
        user: user.to_owned(),
        value,
    }
}

/// The modelled people, who have signed in elsewhere: to every agent that asks goes what is for its tenant or its domain.
pub(super) async fn person(client: Client) {
    loop {
        // A controller that is being restarted does not answer; the agents ask again after their next welcome.
        if let Ok(asks) = client.get::<Vec<AskRow>>("/v1/secrets").await {
            for ask in asks {
                if let Some(sealed) = seal_for(&ask) {
                    let path = format!("/v1/secrets/{}", ask.ask);
                    drop(client.post::<Done>(&path, &SecretGiven { sealed }).await);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

fn seal_for(ask: &AskRow) -> Option<Sealed> {
    let payload = Envelope::from_json(ask.envelope.as_bytes())
        .ok()?
        .payload_bytes()
        .ok()?;
    let document: SecretAsk = serde_json::from_slice(&payload).ok()?;
    let key = BASE64_STANDARD.decode(&document.key).ok()?;
    let plain = serde_json::to_vec(&secret_of(&document.wanted)).ok()?;
    let (encapsulated, ciphertext) =
        seal::seal(&key, &Digest::of(ask.envelope.as_bytes()), &plain).ok()?;
    Some(Sealed {
        encapsulated: BASE64_STANDARD.encode(encapsulated),
        ciphertext: BASE64_STANDARD.encode(ciphertext),
    })
}
