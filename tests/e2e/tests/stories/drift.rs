//! What a rollout has left and what servers report later: told by `status --drift`, brought back by the next rollout.

use agent_twin::{Fault, Twin};
use e2e::{World, server, text, until};
use serde_json::Value;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";

fn rows(world: &World) -> Vec<Value> {
    let seen = world.json(&["status", "--drift", "--json"]);
    let untold = seen["untold"].as_array().expect("servers");
    assert!(seen["compared"].is_u64() && untold.iter().all(|one| one["why"].is_string()));
    seen["drift"].as_array().expect("rows").clone()
}

/// What does nothing is refused, or says that it does nothing.
fn words_in_the_wrong_state(world: &World, topology: &str) {
    let refused = |arguments: &[&str], why: &str| {
        let said = world.entrain(arguments);
        assert!(
            !said.status.success() && text(&said).contains(why),
            "{}",
            text(&said)
        );
    };
    refused(&["retry", "r1"], "r1 is over");
    refused(&["pause", "r1"], "r1 is over");
    refused(&["why", A, "--rollout", "r9"], "there is no rollout r9");
    // No waiting brings it.
    refused(&["watch", "r9"], "there is no rollout r9");
    refused(
        &["why", "sync-09.corp.contoso.com"],
        "does not wait for approval",
    );
    refused(&["apply", "b"], "give at least 6");
    let planned = world.json(&["plan", "--agents", topology, "--json"]);
    assert_eq!(planned["nothing"], true, "{planned}");
    let plan = planned["plan"].as_str().expect("a plan");
    refused(&["apply", plan], "there is nothing to apply");
    let shown = text(&world.entrain(&["plan", "--agents", topology]));
    assert!(
        shown.contains("  2 servers: ") && shown.contains("no release"),
        "{shown}"
    );
    assert!(!shown.contains("entrain apply"), "{shown}");
    let status = text(&world.entrain(&["status"]));
    for words in ["KIND", "APPLIED", "install"] {
        assert!(status.contains(words), "{words}: {status}");
    }
    let why = text(&world.entrain(&["why", A, "--rollout", "r1"]));
    assert!(why.contains("r1, wave 1"), "{why}");
}

/// Changes what a model is, as somebody at the server would.
fn change(world: &World, target: &str, from: &str, to: &str) {
    let path = world.path("agents").join(target).join("twin.json");
    let before = std::fs::read_to_string(&path).expect("a model");
    let after = before.replace(from, to);
    assert_ne!(before, after, "{from} is there");
    serde_json::from_str::<Twin>(&after).expect("it is a model still");
    std::fs::write(&path, after).expect("it is written");
}

#[test]
fn what_drifted_is_told_and_a_product_that_upgraded_itself_is_not_fought() {
    let mut world = World::new();
    let said = text(&world.entrain(&["status", "--drift"]));
    assert!(said.contains("no rollout has left anything yet"), "{said}");
    let servers = [server(A, &[]), server(B, &[])];
    world.enroll(&servers);
    let seen = world.json(&["status", "--drift", "--json"]);
    let untold = seen["untold"].as_array().map(Vec::len);
    assert_eq!(
        (untold, seen["compared"].as_u64()),
        (Some(2), Some(0)),
        "{seen}"
    );
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    world.give_secrets(2);
    world.all_done();
    assert_eq!(rows(&world), [Value::Null; 0], "all is as it was left");
    let said = text(&world.entrain(&["status", "--drift"]));
    assert!(said.contains("as the last rollout left it"), "{said}");
    words_in_the_wrong_state(&world, &topology);

    world.kill_agents();
    change(&world, A, "1.1.2505.0", "1.1.2600.0");
    change(
        &world,
        B,
        e2e::TENANT,
        "77aa0000-0000-0000-0000-000000000000",
    );
    world.start_agents(&servers, None);
    let seen = until("both are told", || {
        let rows = rows(&world);
        (rows.len() == 2).then_some(rows)
    });
    // What must be brought back comes first.
    assert_eq!(seen[0]["target"], B);
    assert_eq!(seen[0]["what"], "tenant");
    assert_eq!(seen[0]["accepted"], false);
    assert_eq!(seen[1]["target"], A);
    assert_eq!(seen[1]["seen"], "1.1.2600.0");
    assert_eq!(seen[1]["accepted"], true);
    let said = text(&world.entrain(&["status", "--drift"]));
    assert!(said.contains("accepted"), "{said}");
    // The next plan fights neither: one has a newer version, the other belongs to somebody else now.
    let planned = world.json(&["plan", &topology, "--json"]);
    assert!(planned["plan"].is_string(), "{planned}");
}

#[test]
fn a_service_that_stops_is_told_without_a_restart_of_the_agent() {
    let mut world = World::new();
    // A remark and no more; a model without any fault does not look for new ones.
    world.enroll(&[server(A, &[Fault::NtlmAllowed])]);
    world.add_artifact();
    let topology = world.topology(&[A]);
    world.apply(&topology);
    world.give_secrets(1);
    world.all_done();
    let faults = world.path("agents").join(A).join("faults.json");
    let stopped = serde_json::to_vec(&[Fault::ServiceStopped]).expect("JSON");
    std::fs::write(faults, stopped).expect("it is written");
    let seen = until("it is told", || {
        let rows = rows(&world);
        rows.iter().find(|row| row["what"] == "service").cloned()
    });
    assert_ne!(seen["seen"], "running");
}

/// A service that somebody disabled is told with who brings it back, a plan says that it does, and what was applied leaves it
/// as it was left.
#[test]
fn what_drifted_is_brought_back_by_a_plan_as_it_was_left() {
    let mut world = World::new();
    let servers = [server(A, &[]), server(B, &[])];
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    world.give_secrets(2);
    world.all_done();
    assert_eq!(rows(&world), [Value::Null; 0], "all is as it was left");

    world.kill_agents();
    let path = world.path("agents").join(A).join("twin.json");
    let before = std::fs::read_to_string(&path).expect("a model");
    let mut twin: Twin = serde_json::from_str(&before).expect("it is a model");
    twin.set_service(
        "AADConnectProvisioningAgent",
        protocol::facts::ServiceState::Disabled,
    );
    let after = serde_json::to_string(&twin).expect("JSON");
    std::fs::write(&path, after).expect("it is written");
    world.start_agents(&servers, None);
    let seen = until("it is told", || {
        let rows = rows(&world);
        (rows.len() == 1).then_some(rows)
    });
    assert_eq!(seen[0]["target"], A);
    assert_eq!(seen[0]["what"], "service");
    assert_eq!(seen[0]["seen"], "disabled");
    assert_eq!(seen[0]["planned"], true);
    let said = text(&world.entrain(&["status", "--drift"]));
    assert!(said.contains("sets it to start with Windows"), "{said}");
    assert!(said.contains("entrain plan TOPOLOGY"), "{said}");

    let planned = text(&world.entrain(&["plan", &topology]));
    assert!(planned.contains("its service is disabled"), "{planned}");
    world.apply(&topology);
    world.all_done();
    until("it is as it was left", || {
        rows(&world).is_empty().then_some(())
    });
}
