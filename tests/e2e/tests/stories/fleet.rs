//! Many agents at once, and one of several that is killed: processes as they are, on loopback.

use agent_twin::Profile;
use e2e::rails::Rail;
use e2e::{World, server, serving, until};

const LAST: &str = "z.corp.contoso.com";
const SERVERS: [&str; 3] = [
    "sync-01.corp.contoso.com",
    "sync-02.corp.contoso.com",
    "sync-03.corp.contoso.com",
];

/// More than there are places for offers that are under way.
fn three_hundred() -> (Vec<String>, Vec<Profile>) {
    let names = (0..300).map(|number| format!("a{number:03}.corp.contoso.com"));
    let names: Vec<String> = names.collect();
    let servers = names.iter().map(|name| server(name, &[])).collect();
    (names, servers)
}

#[test]
fn agents_that_do_not_answer_keep_nobody_from_its_offer() {
    let mut world = World::new();
    let (names, silent) = three_hundred();
    world.enroll(&silent);
    world.freeze_agents();
    let join = world.join_file(2);
    world.start_agents(&[server(LAST, &[])], Some(&join));
    until("the last one has reported", || {
        let agents = world.json(&["agents", "list", "--json"]);
        let rows = agents["agents"].as_array()?.clone();
        let last = rows.iter().find(|row| row["target"] == LAST)?.clone();
        (last["facts"].as_str()?.starts_with("build")).then_some(())
    });
    let hosts: Vec<&str> = names.iter().map(String::as_str).chain([LAST]).collect();
    let topology = world.topology(&hosts);
    let plan = world.json(&["plan", &topology, "--verify", "--json"]);
    let plan = plan["plan"].as_str().expect("a plan").to_owned();
    assert!(world.entrain(&["apply", &plan]).status.success());
    // Nothing is installed there, which is what it finds.
    until("the last one has answered", || {
        (world.state(LAST).0 == "failed").then_some(())
    });
    let ended = world.targets().into_iter();
    let ended = ended.filter(|target| target["terminal"] == true).count();
    assert_eq!(
        ended, 1,
        "the others say nothing, and nothing is said of them"
    );
}

/// Three hundred agents lose their controller at the same moment, and dial it again when it is back.
#[test]
fn a_fleet_that_comes_back_at_once_is_all_there_and_goes_on() {
    let mut world = World::new();
    let (names, servers) = three_hundred();
    world.enroll(&servers);
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let topology = world.topology(&hosts);
    let plan = world.json(&["plan", &topology, "--verify", "--json"]);
    let plan = plan["plan"].as_str().expect("a plan").to_owned();
    assert!(world.entrain(&["apply", &plan]).status.success());
    world.kill_controller();
    world.start_controller();
    // Nothing is installed there, which is what each finds.
    until("every target has answered", || {
        let targets = world.targets();
        let failed = |target: &serde_json::Value| target["state"] == "failed";
        (targets.len() == names.len() && targets.iter().all(failed)).then_some(())
    });
    let agents = world.json(&["agents", "list", "--json"]);
    let rows = agents["agents"].as_array().expect("a list");
    assert!(rows.iter().all(|row| row["connected"] == true));
    let record = world.audit();
    let receipts = record.matches("run-finished").count();
    assert_eq!(receipts, names.len(), "each answered once, and no more");
}

#[test]
fn one_agent_of_several_is_killed_again_and_again_and_the_others_go_on() {
    let mut world = World::new();
    world.speed = 200;
    let servers = [
        server(SERVERS[0], &[]),
        serving(SERVERS[1]),
        serving(SERVERS[2]),
    ];
    for (name, server) in SERVERS.iter().zip(&servers) {
        let join = world.join_file(2);
        world.start_agents(std::slice::from_ref(server), Some(&join));
        // Its file of servers is read before the next one is written.
        until("it has reported", || {
            let agents = world.json(&["agents", "list", "--json"]);
            let rows = agents["agents"].as_array()?.clone();
            let own = rows.iter().find(|row| row["target"] == *name)?.clone();
            (own["facts"].as_str()?.starts_with("build")).then_some(())
        });
    }
    world.add_artifact();
    let topology = world.guarded(&SERVERS);
    world.apply(&topology);
    world.give_secrets(20);
    for round in 1..=4 {
        until("the killed one is under way", || {
            let events = world.events();
            let own = events.iter().filter(|(target, ..)| target == SERVERS[1]);
            (own.count() > round).then_some(())
        });
        world.kill_agent(1, &servers[1..2]);
    }
    world.all_done();
    world.nothing_lost_or_repeated(&SERVERS);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

/// The example of models belongs to the smallest example of a topology: one server is installed on, the other upgraded.
#[test]
fn the_example_of_models_carries_the_smallest_topology_to_its_end() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let text = std::fs::read_to_string(examples.join("models.json")).expect("an example");
    let fleet: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let twins: Vec<Profile> = serde_json::from_value(fleet["twins"].clone()).expect("models");
    let mut world = World::new();
    world.enroll(&twins);
    world.add_artifact();
    let topology = examples.join("minimal.toml");
    world.apply(topology.to_str().expect("a path"));
    world.give_secrets(1);
    world.all_done();
    let plan = world.targets();
    assert_eq!(plan.len(), twins.len());
    for twin in &twins {
        assert!(!world.changes(twin.target.as_str()).is_empty(), "{plan:?}");
    }
}
