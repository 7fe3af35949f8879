//! A product that is watched after it was changed: what its server tells meanwhile counts at that moment, and not at the end.
#![expect(
    clippy::unwrap_used,
    reason = "a story stops where something is not as it must be"
)]

use agent_twin::{Fault, Twin};
use e2e::{World, server, text, until};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const ELSEWHERE: &str = "77aa0000-0000-0000-0000-000000000000";

/// An hour: nobody waits for its end here.
const POLICY: &str = "soak = { cloud-sync = \"30 cycles\" }\n[limit]\nfailures = \"50\"\n";

/// Changes what a model is, as somebody at the server would.
fn change(world: &World, target: &str, from: &str, to: &str) {
    let path = world.path("agents").join(target).join("twin.json");
    let before = std::fs::read_to_string(&path).unwrap();
    let after = before.replace(from, to);
    assert_ne!(before, after, "{from} is there");
    serde_json::from_str::<Twin>(&after).unwrap();
    std::fs::write(&path, after).unwrap();
}

fn set_faults(world: &World, target: &str, faults: &[Fault]) {
    let path = world.path("agents").join(target).join("faults.json");
    std::fs::write(path, serde_json::to_vec(faults).unwrap()).unwrap();
}

#[test]
fn a_product_that_gets_worse_while_it_is_watched_fails_then_and_nothing_goes_behind_it() {
    let mut world = World::new();
    // A remark and no more; a model without any fault does not look for new ones.
    let remark = [Fault::NtlmAllowed];
    let servers = [server(A, &remark), server(B, &remark)];
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    let policy = world.write("soak.toml", POLICY);
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    let applied = world.entrain(&["apply", planned["plan"].as_str().unwrap()]);
    assert!(applied.status.success(), "{}", text(&applied));
    world.give_secrets(1);
    let says = |world: &World, what: &str, word: &str, text: &str| {
        until(what, || {
            let (state, detail) = world.state(A);
            (state == word && detail.contains(text)).then_some(())
        });
    };
    says(
        &world,
        "the canary is watched",
        "soaking",
        "is watched until",
    );

    // Its service stops. That may pass, so it is said and given a while; nobody asked, and no agent was restarted.
    set_faults(&world, A, &[Fault::NtlmAllowed, Fault::ServiceStopped]);
    let worse = "its service does not run: it has failed if that is so until";
    says(&world, "that it stopped is seen", "soaking", worse);
    set_faults(&world, A, &remark);
    until("that it is back is seen", || {
        let (state, detail) = world.state(A);
        (state == "soaking" && !detail.contains(worse)).then_some(())
    });

    // Somebody registers it elsewhere: nothing by itself explains that.
    world.kill_agents();
    change(&world, A, e2e::TENANT, ELSEWHERE);
    world.start_agents(&servers, None);
    let why = format!("while it was watched: it is registered with tenant {ELSEWHERE}");
    says(&world, "it fails at once", "failed", &why);
    until("the next one is held by it", || {
        let (state, detail) = world.state(B);
        (state == "held" && detail.contains("the canary")).then_some(())
    });
    assert!(world.changes(B).is_empty(), "nothing goes behind it");
    let rows = world.json(&["logs", "--json"]);
    let rows = rows.as_array().unwrap();
    let degraded = |row: &&serde_json::Value| row["record"]["record"] == "degraded";
    assert_eq!(rows.iter().filter(degraded).count(), 1);

    // A restart of the controller reads the same out of its log.
    world.kill_controller();
    world.start_controller();
    says(&world, "it is failed still", "failed", &why);

    // Mended and tried again it is proven first, and watched anew.
    world.kill_agents();
    change(&world, A, ELSEWHERE, e2e::TENANT);
    world.start_agents(&servers, None);
    world.all_report(2);
    let retried = world.entrain(&["retry", "r1", A]);
    assert!(retried.status.success(), "{}", text(&retried));
    says(&world, "it is watched anew", "soaking", "is watched until");
    assert!(world.changes(B).is_empty());
    world.nothing_lost_or_repeated(&[A, B]);
    let audited = world.audit();
    assert!(!audited.is_empty());
}
