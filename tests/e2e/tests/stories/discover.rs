//! What `discover` did not see is said beside what it lists: where nobody could look, nothing looks complete.

use e2e::graph::{StandIn, Tenant};
use e2e::{SECRET, TENANT, World, server, text};
use serde_json::Value;

const A: &str = "sync-01.corp.contoso.com";

/// Exit code of one that found servers that nobody knows here.
const FINDINGS: i32 = 2;

fn written(more: &str) -> String {
    format!(
        "[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{A}\"]\n{more}"
    )
}

fn discover(world: &World, topology: &str) -> (Option<i32>, Value) {
    let found = world.entrain(&["discover", topology, "--json"]);
    let json = serde_json::from_slice(&found.stdout);
    let json = json.unwrap_or_else(|why| panic!("{why}: {}", text(&found)));
    (found.status.code(), json)
}

/// Each line of what was not read that is about this.
fn unread(found: &Value, about: &str) -> Vec<String> {
    let lines = found["unread"].as_array().expect("lines").iter();
    let lines = lines.map(|line| line.as_str().unwrap_or_default().to_owned());
    lines.filter(|line| line.contains(about)).collect()
}

fn row<'a>(found: &'a Value, name: &str) -> Option<&'a Value> {
    let mut rows = found["servers"].as_array().expect("rows").iter();
    rows.find(|row| row["name"] == name)
}

#[test]
fn a_tenant_that_was_never_read_and_a_domain_that_nobody_can_ask_are_said() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    let far =
        "[agents.far]\nserves = [\"far.fabrikam.com\"]\nhosts = [\"sync-01.far.fabrikam.com\"]\n";
    let topology = world.write("topology.toml", &written(far));
    let (code, found) = discover(&world, &topology);
    assert_eq!(code, Some(0), "nobody unknown was named: {found}");
    let [tenant] = &unread(&found, "tenant main")[..] else {
        panic!("its tenant was never read: {found}");
    };
    assert!(
        tenant.contains(TENANT) && tenant.contains("entrain tenant read main"),
        "{tenant}"
    );
    let [domain] = &unread(&found, "far.fabrikam.com")[..] else {
        panic!("nobody asks that domain: {found}");
    };
    assert!(domain.contains("no agent"), "{domain}");
    // The other one was asked, and stands as that.
    assert_eq!(found["asked"][0][0], "corp.contoso.com", "{found}");
    assert!(unread(&found, "corp.contoso.com").is_empty(), "{found}");
    let shown = text(&world.entrain(&["discover", &topology]));
    for line in [tenant, domain] {
        assert!(shown.contains(&format!("not read: {line}")), "{shown}");
    }
}

#[test]
fn an_agent_that_a_tenant_named_stays_named_where_a_narrower_reading_may_not_see_the_list() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    let topology = world.write("topology.toml", &written(""));
    let stand_in = StandIn::start(Tenant {
        id: TENANT.to_owned(),
        token: SECRET.to_owned(),
        agents: ["SYNC-01", "OTHER-99"]
            .map(|name| (name.to_owned(), "active".to_owned()))
            .into(),
        domains: vec![("corp.contoso.com".to_owned(), true)],
        ..Tenant::default()
    });
    let port = stand_in.port.to_string();
    let read = |world: &World| {
        let ask = ["tenant", "read", "main", &topology, "--stand-in", &port];
        let done = world.entrain_with(&ask, format!("{SECRET}\n").as_bytes());
        assert!(done.status.success(), "{}", text(&done));
    };
    read(&world);
    let (code, found) = discover(&world, &topology);
    assert_eq!(code, Some(FINDINGS), "{found}");
    assert_eq!(
        row(&found, "other-99").expect("it is named")["state"],
        "unknown"
    );
    assert!(
        unread(&found, "tenant main").is_empty(),
        "it was read: {found}"
    );
    assert!(unread(&found, "provisioning agents").is_empty(), "{found}");

    let forbidden = "onPremisesPublishingProfiles".to_owned();
    stand_in
        .tenant
        .lock()
        .expect("it")
        .forbidden
        .push(forbidden);
    read(&world);
    let (code, found) = discover(&world, &topology);
    assert_eq!(
        code,
        Some(FINDINGS),
        "nobody has seen that it is gone: {found}"
    );
    let other = row(&found, "other-99").unwrap_or_else(|| panic!("it is gone: {found}"));
    assert_eq!(other["state"], "unknown", "{other}");
    let by = other["named_by"].to_string();
    assert!(
        by.contains("active in tenant") && by.contains("read it at"),
        "{by}"
    );
    let [line] = &unread(&found, "provisioning agents")[..] else {
        panic!("that list was not seen: {found}");
    };
    assert!(
        line.contains("OnPremisesPublishingProfiles.ReadWrite.All"),
        "{line}"
    );

    // Whoever sees the list again takes away who is not in it.
    let mut tenant = stand_in.tenant.lock().expect("it");
    tenant.forbidden.clear();
    tenant.agents.retain(|(name, _)| name == "SYNC-01");
    drop(tenant);
    read(&world);
    let (code, found) = discover(&world, &topology);
    assert_eq!(code, Some(0), "{found}");
    assert!(row(&found, "other-99").is_none(), "{found}");
    assert!(unread(&found, "provisioning agents").is_empty(), "{found}");
}
