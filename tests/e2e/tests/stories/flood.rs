//! Many agents come back at once, with processes as they are: the controller is killed under them and started again, and stopped in
//! order and started again. Each comes back by few tries, nobody is refused, and nothing is lost.

use std::collections::BTreeMap;

use agent_twin::{Installed, Profile};
use e2e::relay::Faults;
use e2e::{TENANT, World, server, until_within};
use std::time::Duration;

/// As many as two processors bear in a test of a minute.
const AGENTS: usize = 300;

/// Connections that are begun for each agent that comes back, over all of them: one is answered, and what the system's socket buffers
/// lose of a flood may cost another.
const TRIES: usize = 3;

const PATIENCE: Duration = Duration::from_secs(180);

fn name(number: usize) -> String {
    format!("sync-{number:04}.corp.contoso.com")
}

fn connected(world: &World) -> usize {
    let status = world.json(&["status", "--json"]);
    let connected = status["connected"].as_u64().unwrap_or_default();
    usize::try_from(connected).expect("few")
}

/// How often each server was welcomed, by the agents' log.
fn welcomes(said: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in said.lines().filter(|line| line.contains(" welcomed ")) {
        // The last line may be half written.
        let Some((_, rest)) = line.split_once("target_name=") else {
            continue;
        };
        let target = rest.split_whitespace().next().unwrap_or_default();
        *counts.entry(target.to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn hundreds_of_agents_that_come_back_at_once_are_all_here_again() {
    let mut world = World::behind_a_relay(Faults::NONE, 7);
    let servers: Vec<Profile> = (0..AGENTS)
        .map(|number| Profile {
            installed: Installed::ProvisioningAgent {
                version: "1.1.2505.0".parse().expect("a version"),
                tenant: TENANT.parse().expect("a tenant"),
            },
            ..server(&name(number), &[])
        })
        .collect();
    let join = world.join_file(AGENTS);
    world.start_agents(&servers, Some(&join));
    until_within(PATIENCE, "everybody is here", || {
        (connected(&world) == AGENTS).then_some(())
    });
    // The controller knows of a session before its agent does.
    let all_know = |world: &World, before: &BTreeMap<String, usize>| {
        until_within(PATIENCE, "everybody knows it", || {
            let now = welcomes(&world.agents_said());
            let more = |(target, times): (&String, &usize)| {
                *times > before.get(target).copied().unwrap_or(0)
            };
            (now.len() == AGENTS && now.iter().all(more)).then_some(now)
        })
    };
    let mut known = all_know(&world, &BTreeMap::new());
    for in_order in [false, true] {
        let before = world.relay().dialled();
        if in_order {
            world.stop_controller();
        } else {
            world.kill_controller();
        }
        world.start_controller();
        until_within(PATIENCE, "everybody is back", || {
            (connected(&world) == AGENTS).then_some(())
        });
        let now = all_know(&world, &known);
        let several: Vec<_> = now
            .iter()
            .filter(|(target, times)| **times > known[*target] + 1)
            .collect();
        assert!(several.is_empty(), "one session for each life: {several:?}");
        known = now;
        let dialled = world.relay().dialled() - before;
        let how = if in_order { "stop" } else { "kill" };
        println!("after the {how}, {AGENTS} agents are back by {dialled} connections");
        assert!((AGENTS..=TRIES * AGENTS).contains(&dialled), "{dialled}");
        assert_eq!(world.refusals(), [], "nobody is refused");
    }
    let targets: Vec<String> = (0..AGENTS).map(name).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    world.nothing_lost(&targets);
}
