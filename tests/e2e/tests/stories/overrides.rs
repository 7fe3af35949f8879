//! Operators set one rule aside on one server: what had stopped it goes on, and everything says who did that.

use agent_twin::Fault;
use e2e::{World, server, text, until};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const WHY: &str = "memory comes on Monday";

fn says(world: &World, arguments: &[&str]) -> (bool, String) {
    let said = world.entrain(arguments);
    (said.status.success(), text(&said))
}

#[test]
fn a_server_that_a_finding_has_stopped_goes_on_by_override_and_everything_says_so() {
    let mut world = World::new();
    world.enroll(&[server(A, &[Fault::LittleMemory]), server(B, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    until("its preflight has stopped it", || {
        let (state, detail) = world.state(A);
        (state == "failed" && detail.contains("PF07")).then_some(())
    });
    assert!(world.changes(A).is_empty());
    // What has no override, and what is not said whole.
    let over = |rule: &str, change: &str| {
        says(
            &world,
            &[
                "override", rule, "--target", A, "--reason", WHY, "--change", change,
            ],
        )
    };
    for (rule, way) in [
        ("G5", "abort its rollout"),
        ("G9", "belongs to one tenant"),
        ("signatures", "trust root"),
        ("G77", "what may be overridden is"),
    ] {
        let (done, said) = over(rule, "CHG1");
        assert!(!done && said.contains(way), "{rule}: {said}");
    }
    let (done, said) = says(&world, &["override", "G8", "--target", A, "--reason", WHY]);
    assert!(!done && said.contains("--change"), "{said}");
    let (done, said) = over("G4", "CHG1");
    assert!(!done && said.contains("is held by G4"), "{said}");

    let (done, said) = over("G8", "CHG0042117");
    assert!(done && said.contains("is OVERRIDDEN until"), "{said}");
    let (done, said) = over("G8", "CHG0042117");
    assert!(done && said.contains("no longer"), "{said}");
    let (_, status) = says(&world, &["status"]);
    for part in ["OVERRIDE G8", A, "CHG0042117", WHY, "let nothing through"] {
        assert!(status.contains(part), "{part}: {status}");
    }
    assert!(says(&world, &["retry", "r1", A]).0);
    world.give_secrets(2);
    world.all_done();
    assert!(!world.changes(A).is_empty());
    world.nothing_lost_or_repeated(&[A, B]);

    let (_, status) = says(&world, &["status"]);
    assert!(
        status.contains("let through: an offer in run") && status.contains("1 BY OVERRIDE"),
        "{status}"
    );
    let (_, why) = says(&world, &["why", A]);
    for part in ["OVERRIDDEN", "G8", "CHG0042117", WHY] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let (_, other) = says(&world, &["why", B]);
    assert!(!other.contains("OVERRID"), "{other}");
    let log = world.json(&["logs", "--json"]).to_string();
    for part in [
        "override-said",
        "override-used",
        "G8 OVERRIDDEN: it went on although PF07",
    ] {
        assert!(log.contains(part), "{part} is not in the log");
    }
    let (_, watched) = says(&world, &["watch", "r1"]);
    assert!(watched.contains("1 of them BY OVERRIDE"), "{watched}");
    let record = world.audit();
    let file = world.write("override.audit", &record);
    let (held, proof) = says(&world, &["audit", "verify", &file]);
    assert!(held && proof.contains("set G8 aside"), "{proof}");

    let (done, said) = says(&world, &["override", "G8", "--target", A, "--withdraw"]);
    assert!(done && said.contains("withdrawn"), "{said}");
    let (_, status) = says(&world, &["status"]);
    assert!(!status.contains("OVERRIDE G8"), "{status}");
    assert!(status.contains("1 BY OVERRIDE"), "{status}");
}

/// Two people, each under an account of their own: one alone is not enough, whatever accounts they share.
#[test]
fn an_override_takes_as_many_operators_as_the_trust_root_asks_for() {
    const ONE: u32 = 40_001;
    const OTHER: u32 = 40_002;
    let (mut world, operators) = World::with_operators(2);
    world.enroll(&[server(A, &[Fault::LittleMemory]), server(B, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    until("its preflight has stopped it", || {
        let (state, detail) = world.state(A);
        (state == "failed" && detail.contains("PF07")).then_some(())
    });
    let word = [
        "override",
        "G8",
        "--target",
        A,
        "--reason",
        WHY,
        "--change",
        "CHG0042117",
    ];
    let says = |account: u32| {
        let said = operators.entrain(account, true, &word);
        (said.status.success(), text(&said))
    };
    // Who names a state folder means the controller on it, whatever the environment says of the machine's operators.
    let own = world
        .command(&["status"])
        .env("ENTRAIN_SOCKET", "/nowhere/api.sock")
        .output();
    assert!(own.is_ok_and(|own| own.status.success()));
    // Who is not of the group is told whose socket it is.
    let stranger = operators.entrain(40_003, false, &["status"]);
    let said = text(&stranger);
    assert!(!stranger.status.success(), "{said}");
    assert!(said.contains("members of that socket's group"), "{said}");

    // The controller's own account and the machine's administrator may be anybody.
    let (done, said) = says(0);
    assert!(!done && said.contains("an account of your own"), "{said}");
    let shared = world.entrain(&word);
    assert!(!shared.status.success(), "{}", text(&shared));
    let status = text(&world.entrain(&["status"]));
    assert!(!status.contains("OVERRIDE"), "{status}");

    let (done, said) = says(ONE);
    assert!(done && said.contains("1 of 2"), "{said}");
    let (_, said) = says(ONE);
    assert!(!said.contains("is OVERRIDDEN"), "{said}");
    let retried = operators.entrain(ONE, true, &["retry", "r1", A]);
    assert!(retried.status.success(), "{}", text(&retried));
    until("one word has let nothing through", || {
        let (state, detail) = world.state(A);
        (state == "failed" && detail.contains("PF07")).then_some(())
    });
    assert!(world.changes(A).is_empty());

    let (done, said) = says(OTHER);
    assert!(done && said.contains("is OVERRIDDEN until"), "{said}");
    let retried = operators.entrain(OTHER, true, &["retry", "r1", A]);
    assert!(retried.status.success(), "{}", text(&retried));
    world.give_secrets(2);
    world.all_done();
    let log = text(&world.entrain(&["logs"]));
    for name in ["uid 40001", "uid 40002"] {
        assert!(log.contains(name), "{name}: {log}");
    }
    drop(world.audit());
}
