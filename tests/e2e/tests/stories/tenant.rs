//! What a tenant shows is read with a token that goes nowhere else, kept as somebody's observation, and raises the grade of what
//! was done. The service is a stand-in that keeps state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use controller::graph::{Clock, Graph, GraphError};
use controller_core::beyond::Beyond;
use controller_core::facts::Fleetwide;
use controller_core::tenant::{Held, Part, Wants, WantsConnect, findings};
use e2e::graph::{Account, Application, Details, StandIn, Tenant, guard, managed, respond};
use e2e::{SECRET, TENANT, World, files, server, text, until};
use protocol::event::{Finding, Verdict};
use protocol::step::SignIn;
use protocol::{TenantId, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";

fn shown(agents: &[(&str, &str)]) -> Tenant {
    let agent = |(machine, status): &(&str, &str)| ((*machine).to_owned(), (*status).to_owned());
    Tenant {
        id: TENANT.to_owned(),
        token: SECRET.to_owned(),
        agents: agents.iter().map(agent).collect(),
        domains: vec![("corp.contoso.com".to_owned(), true)],
        configurations: vec![("corp.contoso.com".to_owned(), None, false)],
        ..Tenant::default()
    }
}

fn time() -> String {
    // Seconds are enough, and what lies a little ahead is as fresh.
    let now = controller::now().plus(std::time::Duration::from_secs(5));
    now.to_string()
}

#[test]
fn a_rollout_that_needs_the_tenants_word_is_done_when_the_tenant_says_it() {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    let policy = world.write(
        "need.toml",
        "need = \"active-in-tenant\"\n[limit]\nfailures = \"50\"\n",
    );
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    let plan = planned["plan"].as_str().expect("a plan");
    let applied = world.entrain(&["apply", plan]);
    assert!(applied.status.success(), "{}", text(&applied));
    world.give_secrets(2);
    until("the canary waits for the tenant's word", || {
        (world.state(A).0 == "inconclusive").then_some(())
    });
    assert!(
        world.state(A).1.contains("entrain tenant read"),
        "{:?}",
        world.state(A)
    );
    assert_eq!(world.state(B).0, "held", "nothing goes behind it");

    // The tenant knows the one by its short name, and a third that nobody knows here.
    let graph = StandIn::start(shown(&[
        ("SYNC-01", "active"),
        (B, "inactive"),
        ("other-99", "active"),
    ]));
    let port = graph.port.to_string();
    let read = ["tenant", "read", "main", &topology, "--stand-in", &port];
    let token = format!("{SECRET}\n");
    let wrong = world.entrain_with(&read, b"another\n");
    assert!(
        !wrong.status.success() && text(&wrong).contains("nothing was seen"),
        "{}",
        text(&wrong)
    );
    let done = world.entrain_with(&read, token.as_bytes());
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(world.state(A).0, "done");
    assert!(
        world.state(A).1.starts_with("active in tenant, as "),
        "{:?}",
        world.state(A)
    );
    until("the other waits for it too", || {
        (world.state(B).0 == "inconclusive").then_some(())
    });
    let done = world.entrain_with(&read, token.as_bytes());
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(
        world.state(B).0,
        "inconclusive",
        "the tenant calls it inactive"
    );
    let said = text(&world.entrain(&["tenant", "show"]));
    for words in [
        "TN01",
        "other-99: active in the tenant, and no server of this fleet",
        "sync-02.corp.contoso.com: the tenant calls its agent inactive",
        "PV12",
        "corp.contoso.com: 1 active agents in the tenant",
        "PV14",
        "has not succeeded within 15 minutes",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Its list has two pages.
    let asked = graph.tenant.lock().expect("it").asked.clone();
    assert!(
        asked.iter().any(|path| path.contains("$skiptoken=2")),
        "{asked:?}"
    );

    {
        let mut tenant = graph.tenant.lock().expect("it");
        tenant.agents = vec![
            (A.to_owned(), "active".to_owned()),
            (B.to_owned(), "active".to_owned()),
        ];
        tenant.configurations[0].1 = Some(time());
        let name = tenant.configurations[0].0.clone();
        tenant.statuses.insert(name, "Paused".to_owned());
    }
    // A job that somebody paused has succeeded a moment ago, and synchronizes nothing.
    let done = world.entrain_with(&read, token.as_bytes());
    assert!(done.status.success(), "{}", text(&done));
    let said = text(&world.entrain(&["tenant", "show"]));
    assert!(
        said.contains("its job is not at work: its status is Paused"),
        "{said}"
    );
    assert!(
        !world.state(A).1.starts_with("syncing"),
        "{:?}",
        world.state(A)
    );
    {
        let mut tenant = graph.tenant.lock().expect("it");
        tenant.statuses.clear();
        tenant.busy = 2;
    }
    let done = world.entrain_with(&read, token.as_bytes());
    assert!(done.status.success(), "{}", text(&done));
    world.all_done();
    assert!(
        world.state(B).1.starts_with("syncing, as "),
        "{:?}",
        world.state(B)
    );
    // The same after a restart: it is in the log.
    world.kill_controller();
    world.start_controller();
    assert!(
        world.state(B).1.starts_with("syncing, as "),
        "{:?}",
        world.state(B)
    );
    drop(world.audit());
    let mut found = Vec::new();
    files(&world.path(""), &mut |path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        if bytes
            .windows(SECRET.len())
            .any(|at| at == SECRET.as_bytes())
        {
            found.push(path.to_owned());
        }
    });
    assert!(found.is_empty(), "the token was written to {found:?}");
}

/// Takes a stand-in for Connect's installer into the artifact store.
fn add_connect(world: &World) {
    let add = [
        "artifact",
        "add",
        &world.write("connect.msi", "model"),
        "--accept-terms",
        "--model",
        "connect",
        "--version",
        "2.6.92.0",
    ]
    .map(ToOwned::to_owned);
    let add: Vec<&str> = add.iter().map(String::as_str).collect();
    let added = world.entrain(&add);
    assert!(added.status.success(), "{}", text(&added));
}

#[test]
fn the_plan_says_before_the_wizard_which_names_users_will_have() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    add_connect(&world);
    let topology = world.write(
        "topology.toml",
        &format!("[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"corp.contoso.com\"]\nservers = [\"{A}\"]\nsettings = \"express\"\n"),
    );
    let report = || text(&world.entrain(&["plan", &topology]));
    let said = report();
    assert!(
        said.contains("is not known (entrain tenant read)"),
        "{said}"
    );
    let graph = StandIn::start(shown(&[]));
    let port = graph.port.to_string();
    let read = |domains: &[(&str, bool)]| {
        graph.tenant.lock().expect("it").domains = domains
            .iter()
            .map(|(name, is)| ((*name).to_owned(), *is))
            .collect();
        let read = ["tenant", "read", "main", &topology, "--stand-in", &port];
        let done = world.entrain_with(&read, format!("{SECRET}\n").as_bytes());
        assert!(done.status.success(), "{}", text(&done));
    };
    read(&[("contoso.onmicrosoft.com", true)]);
    let said = report();
    assert!(
        said.contains("corp.contoso.com is no domain of the tenant"),
        "{said}"
    );
    // The tenant was never synchronized: that begins, and cannot be undone.
    assert!(
        said.contains("directory synchronization is switched on for it for the first time"),
        "{said}"
    );
    read(&[("corp.contoso.com", false)]);
    assert!(report().contains("was added to the tenant and is not verified"));
    read(&[("contoso.com", true)]);
    assert!(report().contains("corp.contoso.com is a verified domain of the tenant"));
}

#[test]
fn a_stand_in_and_a_token_of_another_tenant_are_refused() {
    let world = World::new();
    let topology = world.topology(&[A]);
    let claims = r#"{"tid":"77aa0000-0000-0000-0000-000000000000","exp":4102444800}"#;
    let encoded: String = base64(claims);
    let token = format!("e30.{encoded}.x\n");
    let refused = world.entrain_with(&["tenant", "read", "main", &topology], token.as_bytes());
    assert!(
        text(&refused).contains("it was sent nowhere"),
        "{}",
        text(&refused)
    );
    let refused = world.entrain_with(&["tenant", "read", "mainn", &topology], b"x\n");
    assert!(
        text(&refused).contains("did you mean main?"),
        "{}",
        text(&refused)
    );
}

/// Base64 for URLs, without padding.
fn base64(plain: &str) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for three in plain.as_bytes().chunks(3) {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            let sign = bits >> (18 - 6 * at) & 63;
            out.push(char::from(SIGNS[usize::try_from(sign).expect("six bits")]));
        }
    }
    out
}

/// A token that says so of itself: nobody verifies its signature here.
fn token(tenant: &str, audience: &str, minutes: u64) -> String {
    let ends = controller::now().plus(std::time::Duration::from_secs(minutes * 60));
    let claims = serde_json::json!({
        "tid": tenant, "aud": audience, "scp": "user_impersonation", "exp": ends.as_millis() / 1000,
    });
    format!("e30.{}.not-looked-at", base64(&claims.to_string()))
}

#[test]
fn a_token_that_cannot_be_meant_is_refused_before_it_is_sealed() {
    const REGISTRATION: &str = "https://proxy.cloudwebappproxy.net/registerapp";
    const OTHER: &str = "77aa0000-0000-0000-0000-000000000000";
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A]);
    world.apply(&topology);
    world.awaits_secret(A);
    let says = |token: &str, minutes: &str| {
        let give = [
            "secret", "give", "--stdin", "--count", "1", "--for", minutes,
        ];
        let mut child = world
            .command(&give)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut stdin = child.stdin.take().expect("standard input");
        let text = format!("admin@contoso.com\n{token}\n");
        std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("it listens");
        drop(stdin);
        let stderr = child.stderr.take().expect("standard error");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stderr));
        let said = lines.next().expect("it says something").expect("a line");
        // It would stay open for others.
        drop(child.kill());
        drop(child.wait());
        assert!(!said.contains(token), "it is repeated");
        said
    };
    for (token, minutes, why) in [
        (token(OTHER, REGISTRATION, 60), "5", "is of tenant 77aa0000"),
        (token(TENANT, REGISTRATION, 60), "90", "lapses at"),
        (token(TENANT, REGISTRATION, 0), "5", "lapsed at"),
    ] {
        let said = says(&token, minutes);
        assert!(
            said.contains(why) && said.contains("was not answered"),
            "{why}: {said}"
        );
        assert_eq!(world.state(A).0, "awaiting secret");
    }
    // What is doubtful of a token is said, and it is the service that judges it.
    let doubtful = token(TENANT, "https://graph.microsoft.com", 60);
    let text_in = format!("admin@contoso.com\n{doubtful}\n");
    let give = ["secret", "give", "--stdin", "--count", "1"];
    let said = text(&world.entrain_with(&give, text_in.as_bytes()));
    assert!(
        said.contains("warning: PF63: it is for https://graph.microsoft.com (aud)"),
        "{said}"
    );
    assert!(!said.contains(&doubtful), "it is repeated");
    world.all_done();
}

/// Everything is in order in this tenant.
fn in_order() -> Tenant {
    let mut tenant = shown(&[(A, "active"), (B, "active")]);
    tenant.configurations[0].1 = Some(time());
    tenant.sync_enabled = true;
    tenant.last_sync = Some(time());
    tenant.accounts = vec![Account {
        name: "anna@contoso.com".to_owned(),
        groups: vec!["g1".to_owned(), "g2".to_owned(), "g3".to_owned()],
        role: (
            vec![
                "x".to_owned(),
                "y".to_owned(),
                "anna-contoso-com".to_owned(),
            ],
            Vec::new(),
        ),
        ..Account::default()
    }];
    tenant.sync_accounts = vec!["s1".to_owned(), "s2".to_owned(), "s3".to_owned()];
    tenant
}

fn policy(users: serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "displayName": "MFA for all", "state": "enabled",
        "conditions": { "users": users, "applications": { "includeApplications": ["All"] } },
        "grantControls": { "builtInControls": ["mfa"] },
    })
}

/// Who holds the role of Connect servers is a user, an application or a group: the first two are named. And whoever is no Hybrid
/// Identity Administrator may be a Global one.
#[tokio::test]
async fn applications_of_connect_servers_are_named_and_a_global_administrator_is_seen() {
    let mut tenant = in_order();
    tenant.sync_accounts = ["app-1", "server-S1", "g9"].map(ToOwned::to_owned).to_vec();
    tenant.accounts[0].role = (Vec::new(), Vec::new());
    tenant.accounts[0].global = true;
    let stand_in = StandIn::start(tenant);
    let graph = Graph::loopback(stand_in.port, SECRET.to_owned());
    let seen = graph
        .observe(&id(), Some("anna@contoso.com"), controller::now())
        .await;
    let named = seen.applications.seen().map(Vec::as_slice);
    assert_eq!(named, Some(["Connect 1".to_owned()].as_slice()));
    let users = seen.connect_accounts.seen().map(Vec::len);
    assert_eq!(
        (users, seen.sync_accounts.seen().map(|all| all.members)),
        (Some(1), Some(3))
    );
    let account = seen.operator.seen().expect("an account");
    assert_eq!(account.role.seen(), Some(&Held::Not));
    assert_eq!(account.global.seen(), Some(&Held::Direct));
}

/// An application is let in by the role, by the app role, or by both; each is found, over all pages, and counts once. One that was given another
/// app role is none of Connect.
#[tokio::test]
async fn applications_are_found_by_both_ways_in_which_they_are_let_in() {
    let mut tenant = in_order();
    tenant.has_connect = true;
    let brought = |id: &str, by_role, by_app_role| Application {
        id: id.to_owned(),
        name: format!("our own {id}"),
        by_role,
        by_app_role,
    };
    tenant.applications = vec![
        managed("OLD-99"),
        brought("b1", true, true),
        brought("b2", true, false),
        brought("b3", false, true),
        brought("b4", false, false),
        managed("OLD-98"),
    ];
    tenant.sync_accounts = vec!["server-S1".to_owned()];
    let stand_in = StandIn::start(tenant);
    let graph = Graph::loopback(stand_in.port, SECRET.to_owned());
    let seen = graph.observe(&id(), None, NOW).await;
    let shown: Vec<(String, Option<&str>)> = seen
        .identities()
        .map(|one| (one.shown(), one.server))
        .collect();
    let mut named: Vec<&str> = shown.iter().filter_map(|(_, server)| *server).collect();
    named.sort_unstable();
    assert_eq!(named, ["OLD-98", "OLD-99", "S1"], "{shown:?}");
    let mut nameless: Vec<&str> = shown
        .iter()
        .filter(|(_, server)| server.is_none())
        .map(|(shown, _)| shown.as_str())
        .collect();
    nameless.sort_unstable();
    assert_eq!(
        nameless,
        [
            "application our own b1",
            "application our own b2",
            "application our own b3"
        ]
    );
    assert_eq!(seen.sync_accounts.seen().map(|all| all.members), Some(3));
    // A tenant that never had Connect has no application of it; one that may not be read is not seen.
    stand_in.tenant.lock().expect("it").has_connect = false;
    let seen = graph.observe(&id(), None, NOW).await;
    assert_eq!(seen.assigned, Part::Seen(Vec::new()));
    stand_in.tenant.lock().expect("it").has_connect = true;
    for forbidden in ["appRoleAssignedTo", "(appId="] {
        stand_in.tenant.lock().expect("it").forbidden = vec![forbidden.to_owned()];
        let seen = graph.observe(&id(), None, NOW).await;
        let Part::NotSeen(why) = seen.assigned else {
            panic!("it was seen")
        };
        assert!(why.contains("(it takes Application.Read.All)"), "{why}");
    }
}

/// A clock on which waiting takes no time, and that keeps how long was waited.
#[derive(Default)]
struct AtOnce(Mutex<Vec<u64>>);

impl Clock for AtOnce {
    fn now(&self) -> std::time::SystemTime {
        std::time::SystemTime::UNIX_EPOCH
    }

    fn sleep(&self, how_long: std::time::Duration) -> controller::graph::Pause<'_> {
        self.0.lock().expect("it").push(how_long.as_secs());
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_busy_service_is_waited_for_as_long_as_it_says_and_no_longer_than_the_bound() {
    let stand_in = StandIn::start(shown(&[(A, "active")]));
    let clock = Arc::new(AtOnce::default());
    let graph = Graph::loopback(stand_in.port, SECRET.to_owned())
        .with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let after = |status: u16, said: &str| (status, format!("Retry-After: {said}\r\n"));
    let date = "Thu, 01 Jan 1970 00:02:00 GMT";
    stand_in.tenant.lock().expect("it").refusals = [
        after(429, "315"),
        after(503, "90"),
        after(504, date),
        (503, String::new()),
    ]
    .into();
    let seen = graph.observe(&id(), None, NOW).await;
    assert!(seen.agents.seen().is_some(), "{:?}", seen.agents);
    assert_eq!(*clock.0.lock().expect("it"), [315, 90, 120, 40]);
    // The next reading has all of the patience again; what asks for more than is left is not seen, and says why.
    clock.0.lock().expect("it").clear();
    stand_in.tenant.lock().expect("it").refusals =
        [after(429, "600"), after(503, "301"), after(429, "300")].into();
    let seen = graph.observe(&id(), None, NOW).await;
    let Part::NotSeen(why) = &seen.organization else {
        panic!("it was seen")
    };
    for words in [
        "503",
        "asks to wait 301 s",
        "300 s are left",
        "read the tenant again later",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    assert!(
        seen.agents.seen().is_some(),
        "what is left was enough for that"
    );
    assert_eq!(*clock.0.lock().expect("it"), [600, 300]);
    // It is not asked without end, however little it asks for.
    clock.0.lock().expect("it").clear();
    let each = (0..100).map(|_| after(429, "0"));
    stand_in.tenant.lock().expect("it").refusals = each.collect();
    assert!(matches!(
        graph.get("/v1.0/domains").await,
        Err(GraphError::Busy { .. })
    ));
    assert_eq!(clock.0.lock().expect("it").len(), 9);
}

/// What the tenant answers to the probes, by what a plan wants of it.
async fn probed(tenant: Tenant) -> BTreeMap<String, Finding> {
    let stand_in = StandIn::start(tenant);
    let graph = Graph::loopback(stand_in.port, SECRET.to_owned());
    let seen = graph
        .observe(&id(), Some("anna@contoso.com"), controller::now())
        .await;
    let entry = WantsConnect {
        trees: Vec::new(),
        read: std::collections::BTreeSet::new(),
        name: "main".to_owned(),
        forests: vec!["fabrikam.com".parse().expect("a domain")],
        servers: Vec::new(),
        gone: Vec::new(),
    };
    let wants = Wants {
        name: "main".to_owned(),
        sign_in: Some(SignIn::Credential),
        agent: Some(protocol::Version::new(1, 1, 2505, 0)),
        hashes: std::collections::BTreeSet::new(),
        serves: ["corp.contoso.com".parse().expect("a domain")].into(),
        connect: vec![entry],
    };
    let found = findings(&seen, &wants, &Fleetwide::new(), Beyond::NOTHING);
    // Of those that stand twice, the one of cloud sync.
    let found = found
        .into_iter()
        .rev()
        .map(|one| (one.finding.id.clone(), one.finding));
    found.collect()
}

#[tokio::test]
async fn each_probe_of_the_tenant_passes_and_fails_by_what_the_service_answers() {
    let found = probed(in_order()).await;
    for id in ["PF61", "PF62", "PF64", "PF65", "PF68", "PF69", "PV15"] {
        assert_eq!(found[id].verdict, Verdict::Pass, "{:?}", found[id]);
    }
    type Change = fn(&mut Tenant);
    let changes: [(&str, Change); 13] = [
        ("PF61", |one| one.accounts[0].role.0.truncate(2)),
        ("PF61", |one| one.accounts[0].guest = true),
        ("PF61", |one| one.accounts[0].synchronized = true),
        ("PF62", |one| one.security_defaults = true),
        ("PF62", |one| {
            one.policies = vec![policy(serde_json::json!({ "includeGroups": ["g3"] }))]
        }),
        ("PF62", |one| {
            let mut terms = policy(serde_json::json!({ "includeUsers": ["All"] }));
            terms["grantControls"] =
                serde_json::json!({ "builtInControls": [], "termsOfUse": ["t1"] });
            one.policies = vec![terms];
        }),
        ("PF62", |one| {
            let mut factor = policy(serde_json::json!({ "includeUsers": ["All"] }));
            factor["grantControls"] =
                serde_json::json!({ "builtInControls": [], "customAuthenticationFactors": ["c1"] });
            one.policies = vec![factor];
        }),
        ("PF64", |one| one.sync_enabled = false),
        ("PF65", |one| {
            one.configurations.push(one.configurations[0].clone())
        }),
        // Its last one of three pages is another one's.
        ("PF68", |one| {
            one.sync_accounts = (0..20).map(|at| at.to_string()).collect()
        }),
        ("PF69", |one| {
            one.policies = vec![policy(serde_json::json!({ "includeUsers": ["All"] }))]
        }),
        ("PF69", |one| {
            let users =
                serde_json::json!({ "includeUsers": ["All"], "excludeUsers": ["s1", "s2"] });
            one.policies = vec![policy(users)];
        }),
        ("PV15", |one| {
            let domain = (
                "Domain".to_owned(),
                r#"{"domain":"corp.contoso.com"}"#.to_owned(),
            );
            let details = Details {
                secrets: vec![domain, guard(false)],
                units: Vec::new(),
            };
            one.details.insert("corp.contoso.com".to_owned(), details);
        }),
    ];
    for (id, change) in changes {
        let mut tenant = in_order();
        change(&mut tenant);
        // "Too many requests" is waited out.
        tenant.busy = 3;
        let found = probed(tenant).await;
        assert_eq!(found[id].verdict, Verdict::Fail, "{:?}", found[id]);
    }
    // What is not looked at is not told, and an application is caught by no policy for users.
    let everybody = || policy(serde_json::json!({ "includeUsers": ["All"] }));
    let mut by_code = everybody();
    by_code["conditions"]["authenticationFlows"] =
        serde_json::json!({ "transferMethods": "deviceCodeFlow" });
    let mut tenant = in_order();
    tenant.policies = vec![by_code];
    let found = probed(tenant).await;
    for id in ["PF62", "PF69"] {
        assert_eq!(found[id].verdict, Verdict::CannotTell, "{:?}", found[id]);
    }
    for (holders, verdict) in [
        (["app-1", "app-2"], Verdict::Pass),
        (["app-1", "server-S1"], Verdict::Fail),
        (["app-1", "g9"], Verdict::Fail),
    ] {
        let mut tenant = in_order();
        tenant.policies = vec![everybody()];
        tenant.sync_accounts = holders.map(ToOwned::to_owned).to_vec();
        let found = probed(tenant).await;
        assert_eq!(found["PF69"].verdict, verdict, "{:?}", found["PF69"]);
    }
    // Where it is not shown what they are, each may be an application.
    for path in ["/users/server-S1", "/servicePrincipals/app-1"] {
        let mut tenant = in_order();
        tenant.policies = vec![everybody()];
        tenant.sync_accounts = vec!["app-1".to_owned()];
        if path.contains("server") {
            tenant.sync_accounts.push("server-S1".to_owned());
        }
        tenant.forbidden = vec![path.to_owned()];
        let found = probed(tenant).await;
        assert_eq!(
            found["PF69"].verdict,
            Verdict::CannotTell,
            "{path}: {:?}",
            found["PF69"]
        );
    }
    // Held by a group, or to be activated.
    for (active, eligible) in [
        (vec!["g3".to_owned()], Vec::new()),
        (Vec::new(), vec!["g2".to_owned()]),
    ] {
        let mut tenant = in_order();
        tenant.accounts[0].role = (active, eligible);
        assert_eq!(probed(tenant).await["PF61"].verdict, Verdict::Pass);
    }
}

#[tokio::test]
async fn what_a_token_may_not_read_cannot_be_told_names_its_permission_and_blocks_nothing() {
    for (path, id, permission) in [
        ("/users/", "PF61", "User.Read.All"),
        ("/roleManagement/", "PF61", "RoleManagement.Read.Directory"),
        ("/conditionalAccess/", "PF62", "Policy.Read.All"),
        ("identitySecurityDefaults", "PF62", "Policy.Read.All"),
        ("/organization", "PF64", "Organization.Read.All"),
        ("/secrets", "PF65", "Synchronization.Read.All"),
        ("/servicePrincipals?", "PF65", "Application.Read.All"),
        ("/roleManagement/", "PF68", "RoleManagement.Read.Directory"),
        ("/conditionalAccess/", "PF69", "Policy.Read.All"),
        ("/secrets", "PV15", "Synchronization.Read.All"),
    ] {
        let mut tenant = in_order();
        tenant.forbidden = vec![path.to_owned()];
        let found = probed(tenant).await;
        let finding = &found[id];
        assert_eq!(finding.verdict, Verdict::CannotTell, "{path}: {finding:?}");
        assert!(finding.read.contains(permission), "{path}: {finding:?}");
        assert!(found.values().all(|one| !one.blocks()), "{path}");
    }
}

#[test]
fn a_domain_in_both_tools_waits_for_scopes_that_are_read_and_disjoint() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    add_connect(&world);
    let topology = world.write(
        "topology.toml",
        &format!("[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{A}\"]\n[connect.main]\nforests = [\"contoso.com\"]\nservers = []\nretired = [\"{B}\"]\n"),
    );
    world.apply(&topology);
    let held = |says: &str| {
        until(says, || {
            let (state, detail) = world.state(A);
            (state == "held" && detail.contains("(G7") && detail.contains(says)).then_some(())
        });
    };
    held("not seen in tenant: nobody has read it");
    let stand_in = StandIn::start(in_order());
    let port = stand_in.port.to_string();
    let read = || {
        let read = [
            "tenant",
            "read",
            "main",
            &topology,
            "--stand-in",
            &port,
            "--operator",
            "anna@contoso.com",
        ];
        let done = world.entrain_with(&read, format!("{SECRET}\n").as_bytes());
        assert!(done.status.success(), "{}", text(&done));
    };
    // It takes all of the domain, and what the Connect server takes is not known.
    read();
    held("whether sync-02.corp.contoso.com has Connect is not known");
    let said = text(&world.entrain(&["tenant", "show"]));
    for words in [
        "operator        anna@contoso.com",
        "3 accounts of Connect servers",
        "PF67 cannot tell",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = text(&world.entrain(&["plan", &topology]));
    assert!(
        said.contains("as ") && said.contains("read it at") && said.contains("PF67 cannot tell"),
        "{said}"
    );
    // Without a configuration it is in nobody's scope yet.
    stand_in.tenant.lock().expect("it").configurations.clear();
    read();
    world.awaits_secret(A);
    world.give_secrets(1);
    until("it is done", || (world.state(A).0 == "done").then_some(()));
}

fn id() -> TenantId {
    TENANT.parse().expect("a tenant")
}

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

#[tokio::test]
async fn what_may_not_be_read_is_told_and_no_list_leads_the_token_away() {
    let mut tenant = shown(&[(A, "active"), (B, "active"), ("c", "active")]);
    tenant.forbidden = vec!["/organization".to_owned(), "/synchronization/".to_owned()];
    tenant.leads_away = true;
    let stand_in = StandIn::start(tenant);
    let graph = Graph::loopback(stand_in.port, SECRET.to_owned());
    let seen = graph.observe(&id(), None, NOW).await;
    let Part::NotSeen(why) = seen.organization else {
        panic!("it was seen")
    };
    assert!(
        why.contains("403") && why.contains("Insufficient privileges"),
        "{why}"
    );
    let Part::NotSeen(why) = seen.agents else {
        panic!("it was seen")
    };
    assert!(why.contains("at another host"), "{why}");
    let configurations = seen.configurations.seen().expect("they were");
    assert!(matches!(&configurations[0].jobs, Part::NotSeen(why) if why.contains("403")));
    assert!(!format!("{graph:?}").contains(SECRET));
}

/// A server with a certificate for `localhost` under a root of its own.
async fn tls(tenant: Tenant) -> (u16, rustls::RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a server");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let tenant = Arc::new(Mutex::new(tenant));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else {
                    break;
                };
                head.push(char::from(byte));
            }
            let answer = respond(&tenant, &head, &format!("https://localhost:{port}"));
            drop(stream.write_all(&answer).await);
            drop(stream.shutdown().await);
        }
    });
    (port, roots)
}

#[tokio::test]
async fn the_service_is_known_by_its_certificate_and_pages_come_over_tls() {
    let (port, roots) = tls(shown(&[(A, "active"), (B, "active"), ("c", "active")])).await;
    let at = ("localhost", port);
    let graph = Graph::new(at, roots, None, SECRET.to_owned()).expect("a client");
    let seen = graph.observe(&id(), None, NOW).await;
    assert_eq!(seen.agents.seen().expect("they were").len(), 3);
    // Under roots that do not know it, no word is said to it.
    let (_, others) = tls(shown(&[])).await;
    let stranger = Graph::new(at, others, None, SECRET.to_owned()).expect("a client");
    let refused = stranger
        .get("/v1.0/domains")
        .await
        .expect_err("it is not known");
    assert!(
        matches!(refused, GraphError::Unreachable { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_proxy_connects_through_or_says_why_not() {
    let (port, roots) = tls(shown(&[(A, "active")])).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let proxy = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut lets_through = true;
        while let Ok((mut inside, _)) = listener.accept().await {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                let Ok(byte) = inside.read_u8().await else {
                    break;
                };
                head.push(char::from(byte));
            }
            assert!(
                head.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1")),
                "{head}"
            );
            if !lets_through {
                let no = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
                drop(inside.write_all(no).await);
                continue;
            }
            lets_through = false;
            let mut outside = tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .expect("it is there");
            drop(
                inside
                    .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await,
            );
            drop(tokio::io::copy_bidirectional(&mut inside, &mut outside).await);
        }
    });
    let proxy = format!("http://127.0.0.1:{proxy}")
        .parse()
        .expect("a proxy");
    let graph =
        Graph::new(("localhost", port), roots, Some(proxy), SECRET.to_owned()).expect("a client");
    let page = graph.get("/v1.0/domains").await.expect("through the proxy");
    assert_eq!(page["value"][0]["id"], "corp.contoso.com");
    let refused = graph.get("/v1.0/domains").await.expect_err("it says no");
    assert!(refused.to_string().contains("407"), "{refused}");
}

#[test]
fn servers_that_nobody_knows_here_are_found_and_stand_in_the_way_of_an_active_one() {
    let mut world = World::new();
    let strange = server(A, &[agent_twin::Fault::StrangeConnect]);
    world.enroll(&[strange, server(B, &[])]);
    let topology = world.write(
        "topology.toml",
        &format!("[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{A}\", \"{B}\", \"sync-09.corp.contoso.com\"]\n"),
    );
    let found = world.entrain(&["discover", &topology, "--json"]);
    assert_eq!(found.status.code(), Some(2), "{}", text(&found));
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let state = |name: &str| {
        let mut rows = found["servers"].as_array().expect("rows").iter();
        let row = rows.find(|row| row["name"] == name);
        row.map(|row| row["state"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(state("old-sync-99").as_deref(), Some("unknown"), "{found}");
    assert_eq!(state(A).as_deref(), Some("known"), "{found}");
    assert_eq!(
        state("sync-09.corp.contoso.com").as_deref(),
        Some("not enrolled"),
        "{found}"
    );
    let shown = text(&world.entrain(&["discover", &topology]));
    assert!(
        shown.contains("old-sync-99") && shown.contains("the description of MSOL_1"),
        "{shown}"
    );
    assert!(world.changes(A).is_empty(), "it only reads");

    // Somebody who may read more signs in and hands on what was shown: it stands beside, as that person's.
    let now = &found["asked"][0][1];
    let document = serde_json::json!({
        "format": 1, "domain": "corp.contoso.com", "at": now, "asked_as": "CORP\\dominic",
        "agent_version": "0", "answers": [],
        "servers": { "named": [
            { "name": "HID-SYNC-98", "product": "connect", "source": "the description of MSOL_2" },
            { "name": "old-sync-99", "product": "connect", "source": "the description of MSOL_1" },
        ] },
    });
    let file = world.write("servers.json", &document.to_string());
    let taken = world.entrain(&["attest", "--directory", &file]);
    assert!(taken.status.success(), "{}", text(&taken));
    let found = world.entrain(&["discover", &topology, "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let mut rows = found["servers"].as_array().expect("rows").iter();
    let row = rows.find(|row| row["name"] == "hid-sync-98");
    let row = row.unwrap_or_else(|| panic!("it is not named: {found}"));
    assert_eq!(row["state"], "unknown");
    let by = row["named_by"].to_string();
    assert!(
        by.contains("Connect Sync: the description of MSOL_2 in corp.contoso.com, attested by")
            && by.contains("read as CORP\\\\dominic at")
            && by.contains("probed by no agent"),
        "{by}"
    );
    let shown = text(&world.entrain(&["discover", &topology]));
    assert!(shown.contains("corp.contoso.com: attested by"), "{shown}");
}

/// A token as Microsoft Graph takes it: for that address, with these rights lent by a person.
fn token_for(audience: &str, scopes: &str) -> String {
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = serde_json::json!({ "tid": TENANT, "aud": audience, "scp": scopes, "exp": 4_000_000_000_i64 });
    let head = part(serde_json::json!({ "alg": "none" }));
    format!("{head}.{}.c2lnbmF0dXJl", part(claims))
}

/// A server that an application names, let in by the app role alone, is found, stands in the way of an active one, and is left over once it
/// is written as gone. What the token does not name is said before anything is asked.
#[test]
fn an_application_of_a_server_that_nobody_knows_is_found_and_stands_in_the_way() {
    let mut world = World::new();
    world.enroll(&[server(B, &[])]);
    add_connect(&world);
    let written = |more: &str| {
        format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"corp.contoso.com\"]\nservers = [\"{B}\"]\nsettings = \"express\"\n{more}"
        )
    };
    let topology = world.write("topology.toml", &written(""));
    let scopes = "Application.Read.All Organization.Read.All Domain.Read.All User.Read.All RoleManagement.Read.Directory Policy.Read.All Group.ReadWrite.All";
    let token = token_for("https://graph.microsoft.com", scopes);
    let mut tenant = in_order();
    tenant.token.clone_from(&token);
    tenant.sync_accounts.clear();
    tenant.has_connect = true;
    tenant.applications = vec![managed("OLD-99")];
    let stand_in = StandIn::start(tenant);
    let port = stand_in.port.to_string();
    let read = |topology: &str, token: &str| {
        let read = ["tenant", "read", "main", topology, "--stand-in", &port];
        world.entrain_with(&read, format!("{token}\n").as_bytes())
    };
    // For another cloud's address, it goes nowhere; by its application's id it may be for any.
    let dod = world.write(
        "dod.toml",
        &written("").replace(
            &format!("id = \"{TENANT}\""),
            &format!("id = \"{TENANT}\"\ncloud = \"us-government\"\ngraph = \"dod\""),
        ),
    );
    let refused = read(&dod, &token);
    let said = text(&refused);
    assert!(!refused.status.success(), "{said}");
    for words in [
        "https://graph.microsoft.com (aud)",
        "https://dod-graph.microsoft.us",
        "sent nowhere",
        "dod, gcc-high",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(stand_in.tenant.lock().expect("it").asked.is_empty());
    let done = read(&topology, &token);
    let said = text(&done);
    assert!(done.status.success(), "{said}");
    for words in [
        "the token does not name OnPremisesPublishingProfiles.ReadWrite.All",
        "the token does not name Synchronization.Read.All: jobs, secrets and schema of configurations may not be read; not seen then: PF65",
        "may more than is read here (Group.ReadWrite.All)",
        "1 application of Connect servers, 1 with the name of one",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    for words in ["does not name Application.Read.All", "GroupMember", &token] {
        assert!(!said.contains(words), "{words}: {said}");
    }
    let shown = text(&world.entrain(&["discover", &topology]));
    assert!(
        shown.contains("old-99")
            && shown.contains("application ConnectSyncProvisioning_OLD-99_3ac06f5648e4 in tenant"),
        "{shown}"
    );
    let planned = text(&world.entrain(&["plan", &topology]));
    assert!(
        planned.contains("OLD-99")
            && planned.contains(
                "the application ConnectSyncProvisioning_OLD-99_3ac06f5648e4 of its tenant"
            ),
        "{planned}"
    );
    // Said to be gone it stands in nobody's way, and what it left is named.
    let topology = world.write(
        "topology.toml",
        &written("gone = [\"old-99.corp.contoso.com\"]\n"),
    );
    world.apply(&topology);
    let shown = text(&world.entrain(&["tenant", "show"]));
    for words in [
        "PV39 blocks",
        "old-99.corp.contoso.com: left in the tenant: application ConnectSyncProvisioning_OLD-99_3ac06f5648e4",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    stand_in.tenant.lock().expect("it").applications.clear();
    assert!(read(&topology, &token).status.success());
    let shown = text(&world.entrain(&["tenant", "show"]));
    assert!(!shown.contains("PV39"), "it passes: {shown}");
}

#[tokio::test]
async fn a_token_of_another_tenant_shows_nothing_of_this_one() {
    let mut tenant = shown(&[(A, "active")]);
    tenant.id = "77aa0000-0000-0000-0000-000000000000".to_owned();
    let stand_in = StandIn::start(tenant);
    let graph = Graph::loopback(stand_in.port, SECRET.to_owned());
    let seen = graph.observe(&id(), None, NOW).await;
    assert!(seen.agents.seen().is_none() && seen.domains.seen().is_none());
    let Part::NotSeen(why) = seen.agents else {
        panic!("it was seen")
    };
    assert!(why.contains("the token is of tenant 77aa0000"), "{why}");
}
