//! What one person gives goes to the tenant or the domain that it is for, and to no other (guard rail G9): with two tenants and a domain's
//! administrator asked for at once, each answer is named, and what was not named stays open.

use std::io::BufRead as _;
use std::process::Stdio;

use e2e::{SECRET, TENANT, World, server, text};
use protocol::event::Event;
use protocol::secret::SecretKind;

/// Of the first tenant, whose domain asks for its administrator as well.
const A: &str = "sync-01.corp.contoso.com";

/// Of the other tenant.
const B: &str = "sync-01.fabrikam.com";

const OTHER: &str = "77aa0000-0000-0000-0000-000000000000";

fn topology(world: &World) -> String {
    world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\nsign_in = \"credential\"\n[tenant.other]\nid = \"{OTHER}\"\nsign_in = \"credential\"\n\
             [domain.\"corp.contoso.com\"]\ndirectory = \"ask\"\n\
             [agents.corp]\ntenant = \"main\"\nserves = [\"corp.contoso.com\"]\nhosts = [\"{A}\"]\n\
             [agents.fabrikam]\ntenant = \"other\"\nserves = [\"fabrikam.com\"]\nhosts = [\"{B}\"]\n"
        ),
    )
}

/// Which server has received what, in the log's order.
fn received(world: &World) -> Vec<(String, SecretKind)> {
    let events = world.events().into_iter();
    let got = events.filter_map(|(target, _, event)| {
        let Event::SecretReceived { wanted, .. } = event else {
            return None;
        };
        Some((target, wanted))
    });
    got.collect()
}

/// Gives one secret, and what was said.
fn gives(world: &World, named: &[&str]) -> (bool, String) {
    let give = [&["secret", "give", "--stdin", "--count", "1"], named].concat();
    let done = world.entrain_with(&give, format!("admin@contoso.com\n{SECRET}\n").as_bytes());
    let said = text(&done);
    assert!(!said.contains(SECRET), "it is repeated");
    (done.status.success(), said)
}

/// Gives a secret until it has said that both of these servers' questions stay open, and ends it then.
fn leaves_open(world: &World, named: &[&str]) -> String {
    let give = [&["secret", "give", "--stdin"], named].concat();
    let mut child = world
        .command(&give)
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("standard input");
    let given = format!("admin@contoso.com\n{SECRET}\n");
    std::io::Write::write_all(&mut stdin, given.as_bytes()).expect("it listens");
    drop(stdin);
    let stderr = child.stderr.take().expect("standard error");
    let mut said = String::new();
    for line in std::io::BufReader::new(stderr).lines() {
        said.push_str(&line.expect("a line"));
        said.push('\n');
        if said.contains(A) && said.contains(B) {
            break;
        }
    }
    drop(child.kill());
    drop(child.wait());
    said
}

#[test]
fn what_one_person_gives_answers_no_other_tenant_and_no_domain() {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[])]);
    world.add_artifact();
    world.apply(&topology(&world));
    world.awaits_secret(A);
    world.awaits_secret(B);
    // Two kinds are open: which of them is meant is not guessed.
    let (all, said) = gives(&world, &[]);
    assert!(!all, "{said}");
    for tenant in [TENANT, OTHER] {
        let command = format!("entrain secret give --stdin --tenant {tenant}");
        assert!(said.contains(&command), "{command}: {said}");
    }
    assert_eq!(received(&world), []);
    // By its name in the plan: its server alone is answered, and asks for the domain's administrator then.
    let (all, said) = gives(&world, &["--tenant", "main"]);
    assert!(all, "{said}");
    let main = SecretKind::TenantCredential {
        tenant: TENANT.parse().expect("an id"),
    };
    let domain = SecretKind::DomainCredential {
        domain: "corp.contoso.com".parse().expect("a name"),
    };
    e2e::until("the domain's administrator is asked for", || {
        let asks = world.json(&["secret", "list", "--json"]);
        let wanted = asks.as_array()?.iter().map(|ask| ask["wanted"].clone());
        let wanted = wanted.filter_map(|wanted| serde_json::from_value(wanted).ok());
        let wanted: Vec<SecretKind> = wanted.collect();
        wanted.contains(&domain).then_some(())
    });
    assert_eq!(received(&world), [(A.to_owned(), main.clone())]);
    // Whoever goes on giving that tenant's answers neither, and says how each is named.
    let said = leaves_open(&world, &["--tenant", TENANT]);
    for option in ["--domain corp.contoso.com", &format!("--tenant {OTHER}")] {
        let command = format!("entrain secret give {option}");
        assert!(said.contains(&command), "{command}: {said}");
    }
    assert_eq!(received(&world).len(), 1);
    let tasks = text(&world.entrain(&["tasks"]));
    assert!(
        tasks.contains("entrain secret give --domain corp.contoso.com"),
        "{tasks}"
    );
    let (all, said) = gives(&world, &["--domain", "corp.contoso.com"]);
    assert!(all, "{said}");
    let (all, said) = gives(&world, &["--tenant", OTHER]);
    assert!(all, "{said}");
    world.all_done();
    let other = SecretKind::TenantCredential {
        tenant: OTHER.parse().expect("an id"),
    };
    let all = received(&world);
    assert_eq!(all.len(), 3, "{all:?}");
    for (target, kind) in [(A, main), (A, domain), (B, other)] {
        assert!(all.contains(&(target.to_owned(), kind)), "{all:?}");
    }
}
