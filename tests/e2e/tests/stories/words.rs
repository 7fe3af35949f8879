//! An operator's words that change nothing: each on a controller that runs, with what it prints looked at.
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use e2e::{World, program, server, text, until};
use serde_json::Value;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";

#[test]
fn whoever_watches_sees_the_end_though_the_controller_was_killed_in_between() {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    let seen = world.path("watched");
    let shown = world.path("bars");
    let watching = |out: &std::path::Path| {
        let mut command = Command::new(program("entrain"));
        command
            .env("ENTRAIN_STATE", world.path("controller"))
            .args(["watch", "r1"])
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(out).unwrap())
            .stderr(Stdio::null());
        command
    };
    let mut lines = watching(&seen).spawn().unwrap();
    // On a terminal it draws bars.
    let mut bars = Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command"])
        .arg(format!("{} watch r1", program("entrain").display()))
        .arg(&shown)
        .env("ENTRAIN_STATE", world.path("controller"))
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let says = |file: &std::path::Path, what: &str| {
        until(what, || {
            let said = std::fs::read(file).ok()?;
            String::from_utf8_lossy(&said).contains(what).then_some(())
        });
    };
    says(&seen, "awaiting secret");
    says(&shown, "awaiting secret");
    world.kill_controller();
    world.start_controller();
    world.give_secrets(2);
    world.all_done();
    assert!(lines.wait().unwrap().success());
    assert!(bars.wait().unwrap().success());
    let said = std::fs::read_to_string(&seen).unwrap();
    assert!(said.contains("rollout r1 is over: 2 done"), "{said}");
    for target in [A, B] {
        let done = said
            .lines()
            .any(|line| line.contains(target) && line.contains("done"));
        assert!(done, "{target}: {said}");
    }
    let drawn = String::from_utf8_lossy(&std::fs::read(&shown).unwrap()).into_owned();
    assert!(drawn.contains('\u{1b}') && drawn.contains("###"), "{drawn}");
    // One that was over before ends at once, and tells by its code whether all is done.
    let again = world.entrain(&["watch", "r1"]);
    assert!(again.status.success(), "{}", text(&again));
}

#[test]
fn what_reads_says_what_is_so() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    let artifacts = world.json(&["artifact", "list", "--json"]);
    let artifact = &artifacts["artifacts"][0];
    assert_eq!(artifact["artifact"]["product"], "provisioning-agent");
    for part in ["source", "terms_accepted_by", "added"] {
        let value = artifact[part].as_str().unwrap_or_default();
        assert!(!value.is_empty(), "{part}: {artifact}");
    }
    let table = text(&world.entrain(&["artifact", "list"]));
    for head in ["TERMS BY", "ADDED", "SOURCE", "model"] {
        assert!(table.contains(head), "{head}: {table}");
    }
    let doctor = world.json(&["doctor", "--json"]);
    assert!(doctor["remarks"].is_array() && doctor["buffers"].is_array());
    let said = text(&world.entrain(&["doctor"]));
    assert!(said.contains("the controller answers (simulated"), "{said}");
    let schema: Value = serde_json::from_slice(&world.entrain(&["schema"]).stdout).unwrap();
    assert!(schema["$schema"].is_string() && schema["properties"]["agents"].is_object());
    // Whoever may not open the socket may not order anything.
    let socket = std::fs::metadata(world.path("controller/api.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    world.kill_controller();
    let gone = world.entrain(&["status"]);
    let said = text(&gone);
    assert!(
        !gone.status.success() && said.contains("entrain serve"),
        "{said}"
    );
}

/// What cannot be is told before anybody is asked for a passphrase, and nothing is made.
#[test]
fn a_root_key_that_cannot_lie_there_is_refused_before_a_passphrase_is_asked_for() {
    let world = World::new();
    let state = world.path("another");
    let there = std::path::PathBuf::from(world.write("there.pem", "somebody's"));
    for (root_key, why) in [
        (state.join("root.pem"), "must not lie inside"),
        (there.clone(), "is there already"),
        (world.path("nowhere").join("root.pem"), "is not there"),
    ] {
        let made = Command::new(program("entrain"))
            .env("ENTRAIN_STATE", &state)
            .args(["init", "--address", "127.0.0.1:1", "--root-key"])
            .arg(&root_key)
            .arg("--passphrase-stdin")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = text(&made);
        assert!(!made.status.success() && said.contains(why), "{said}");
        assert!(!state.exists(), "{said}");
    }
    assert_eq!(std::fs::read_to_string(there).unwrap(), "somebody's");
}

#[test]
fn a_record_under_another_trust_root_is_told() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    let record = world.audit();
    let file = world.write("record", &record);
    let proof = world.json(&["audit", "verify", &file, "--json"]);
    let root = proof["trust_root"].as_str().unwrap().to_owned();
    let right = world.entrain(&["audit", "verify", &file, "--trust-root", &root]);
    assert!(right.status.success(), "{}", text(&right));
    let wrong = "0".repeat(64);
    let other = world.entrain(&["audit", "verify", &file, "--trust-root", &wrong]);
    let said = text(&other);
    assert!(
        !other.status.success() && said.contains("another trust root"),
        "{said}"
    );
}

#[test]
fn an_answer_that_was_lost_is_given_again_and_a_replaced_server_begins_anew_in_its_own_folder() {
    let world = World::new();
    let token = |name: &str| {
        let join = world.path(name);
        let made = world.entrain(&[
            "token",
            "create",
            "--target",
            A,
            "--out",
            join.to_str().unwrap(),
        ]);
        assert!(made.status.success(), "{}", text(&made));
        join
    };
    let state = world.path("state");
    let enroll = |join: &std::path::Path, more: &[&str]| {
        let output = Command::new(program("entrain-agent"))
            .args(["enroll", "--name", A, "--state"])
            .arg(&state)
            .arg("--join")
            .arg(join)
            .args(more)
            .output()
            .unwrap();
        (output.status.success(), text(&output))
    };
    let key = || world.json(&["agents", "list", "--json"])["agents"][0]["key"].clone();
    // The answer never arrived: there is a key, no certificate, and the join file still lies there.
    let join = token("join.json");
    let kept = std::fs::read(&join).unwrap();
    let (ok, said) = enroll(&join, &[]);
    assert!(ok && !join.exists(), "{said}");
    let first = key();
    std::fs::remove_file(state.join("certificate.json")).unwrap();
    std::fs::write(&join, kept).unwrap();
    let (ok, said) = enroll(&join, &[]);
    assert!(ok && state.join("certificate.json").exists(), "{said}");
    assert_eq!(key(), first);
    let rows = world.json(&["logs", "--json"]);
    let enrolled = rows.as_array().unwrap().iter();
    let enrolled = enrolled.filter(|row| row["record"]["record"] == "agent-enrolled");
    assert_eq!(enrolled.count(), 1);

    let replaced = world.entrain(&["agents", "replace", A]);
    assert!(replaced.status.success(), "{}", text(&replaced));
    let join = token("again.json");
    let (ok, said) = enroll(&join, &[]);
    assert!(!ok && said.contains("--new-key"), "{said}");
    let (ok, said) = enroll(&join, &["--new-key"]);
    assert!(ok, "{said}");
    assert_ne!(key(), first);
    assert!(state.join("before-1/identity.json").exists());
}
