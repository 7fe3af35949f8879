//! Disks that are full and folders that cannot be written, on either side: a clear error, and nothing half done.

use e2e::rails::Rail;
use e2e::{World, files, program, server, serving, text, until};
use protocol::event::Event;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// Names of the files below a folder of the world that stand for something half written.
fn half_written(world: &World, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    files(&world.path(folder), &mut |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.contains("part") || name.contains("new") || name.contains("tmp") {
            found.push(path.display().to_string());
        }
    });
    found
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_nothing_is_begun() {
    let world = World::new();
    let passphrase = world.write("passphrase", "a passphrase\n");
    let run = |program_name: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program(program_name))
            .args(arguments)
            .env("ENTRAIN_STATE", "/proc/entrain")
            .stdin(std::fs::File::open(&passphrase).expect("a file"))
            .output()
            .expect("it runs");
        assert!(!output.status.success());
        text(&output)
    };
    let key = world.path("unused.pem");
    let key_path = key.to_str().expect("a path");
    let arguments = ["init", "--address", "127.0.0.1:1", "--root-key", key_path];
    let said = run(
        "entrain",
        &[&arguments[..], &["--passphrase-stdin"]].concat(),
    );
    assert!(said.contains("/proc/entrain"), "{said}");
    assert!(!key.exists(), "no key without a state to go with it");
    let join = world.join_file(2);
    let said = run(
        "entrain-agent",
        &[
            "enroll",
            "--state",
            "/proc/entrain",
            "--join",
            join.to_str().expect("a path"),
            "--name",
            A,
        ],
    );
    assert!(said.contains("/proc/entrain"), "{said}");
    assert!(join.exists(), "the token was not used");
}

#[test]
fn a_controller_whose_disk_is_full_says_so_and_keeps_what_it_had() {
    let mut world = World::new();
    world.kill_controller();
    world.full_at = Some(600);
    world.start_controller();

    let setup = world.write("setup.bin", &"x".repeat(2_000_000));
    let arguments = ["artifact", "add", &setup, "--accept-terms"];
    let model = ["--model", "provisioning-agent", "--version", "1.1.2505.0"];
    let added = world.entrain(&[&arguments[..], &model].concat());
    assert!(!added.status.success());
    let said = text(&added);
    assert!(
        said.contains("artifact") && said.contains("too large"),
        "{said}"
    );
    assert_eq!(half_written(&world, "controller/artifacts"), [""; 0]);

    let mut made = 0;
    let refused = until("the log takes no more", || {
        let out = world.path(&format!("token-{made}"));
        let arguments = ["token", "create", "--uses", "2", "--out"];
        let output = world.entrain(&[&arguments[..], &[out.to_str()?]].concat());
        if !output.status.success() {
            assert!(!out.exists(), "a token that was not stored was given out");
            return Some(text(&output));
        }
        made += 1;
        None
    });
    assert!(refused.contains("could not store"), "{refused}");
    // The file fits, but that it was taken in cannot be stored: then it was not.
    let setup = world.write("small.bin", &"x".repeat(200_000));
    let arguments = ["artifact", "add", &setup, "--accept-terms"];
    let added = world.entrain(&[&arguments[..], &model].concat());
    assert!(!added.status.success());
    assert!(text(&added).contains("could not store"), "{}", text(&added));
    let kept = std::fs::read_dir(world.path("controller/artifacts")).expect("the folder");
    assert_eq!(kept.count(), 0, "nothing is left behind");
    let seen = world.json(&["status", "--json"]);
    assert_eq!(seen["kind"], "simulated", "it still answers");

    world.kill_controller();
    world.full_at = None;
    world.start_controller();
    let rows = world.json(&["logs", "--json"]);
    let stored = rows.as_array().expect("rows").iter();
    let tokens = stored.filter(|row| row["record"]["record"] == "token-created");
    assert_eq!(
        tokens.count(),
        made,
        "what was said is stored, and nothing else"
    );
}

#[test]
fn what_agents_have_asked_for_outlives_a_commit_that_failed() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    world.kill_controller();
    world.full_at = Some(1200);
    world.start_controller();
    world.all_report(1);
    let topology = world.topology(&[A]);
    world.apply(&topology);
    let waits = |world: &World| world.state(A).0 == "awaiting secret";
    until("it waits for its secret", || waits(&world).then_some(()));
    until("the log takes no more", || {
        let out = world.path("token");
        let arguments = ["token", "create", "--uses", "2", "--out"];
        let output = world.entrain(&[&arguments[..], &[out.to_str()?]].concat());
        (!output.status.success()).then_some(())
    });
    assert!(waits(&world), "{:?}", world.state(A));
    let asks = world.json(&["secret", "list", "--json"]);
    assert_eq!(asks.as_array().expect("asks").len(), 1);
    world.free_disk();
    world.give_secrets(1);
    world.all_done();
    world.nothing_lost_or_repeated(&[A]);
    let asked = |(_, _, event): &(String, u64, Event)| matches!(event, Event::SecretAsked { .. });
    let asked = world.events().iter().filter(|event| asked(event)).count();
    assert_eq!(asked, 1, "its session went on");
}

#[test]
fn an_agent_whose_disk_is_full_fails_its_step_and_leaves_nothing_half_written() {
    let mut world = World::new();
    world.full_at = Some(1000);
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A]);
    world.apply(&topology);
    let detail = until("the step fails", || {
        let (state, detail) = world.state(A);
        (state == "failed").then_some(detail)
    });
    let why = text(&world.entrain(&["why", A]));
    assert!(
        detail.contains("could not write") && why.contains("artifacts"),
        "{detail}\n{why}"
    );
    assert!(world.changes(A).is_empty(), "nothing was installed");

    // With room again the same rollout goes on.
    world.kill_agents();
    world.full_at = None;
    world.start_agents(&[server(A, &[])], None);
    world.all_report(1);
    let rollout = world.json(&["status", "--json"])["rollouts"][0]["rollout"].clone();
    let rollout = rollout
        .as_str()
        .map_or_else(|| rollout.to_string(), ToOwned::to_owned);
    let retried = world.entrain(&["retry", &rollout, A]);
    assert!(retried.status.success(), "{}", text(&retried));
    world.give_secrets(1);
    world.all_done();
    world.nothing_lost_or_repeated(&[A]);
}

#[test]
fn an_agent_that_cannot_journal_stops_before_it_acts_and_goes_on_afterwards() {
    let mut world = World::new();
    let servers = [server(A, &[]), serving(B), serving(C)];
    world.enroll(&servers);
    world.kill_agents();
    world.full_at = Some(5);
    for one in &servers {
        world.start_agents(std::slice::from_ref(one), None);
    }
    world.all_report(3);
    world.add_artifact();
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    let said = world.agents_give_up();
    assert!(said.contains("could not append to the journal"), "{said}");
    assert!(world.changes(A).is_empty() && world.changes(B).is_empty());

    world.full_at = None;
    world.start_agents(&servers, None);
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

/// The disk fills up once its setup has run, while its product is out of service. It does nothing that it cannot journal, and nobody
/// else goes out of service meanwhile; with room it comes back into service and goes on.
#[test]
fn an_agent_whose_disk_fills_up_in_its_section_goes_on_in_it_when_there_is_room() {
    let mut world = World::new();
    let servers = [serving(A), serving(B)];
    // So much fits for now, and what does not is an error of the write.
    world.full_at = Some(10_000);
    // Its setup runs for some seconds.
    world.speed = 8;
    let join = world.join_file(2);
    for one in &servers {
        world.start_agents(std::slice::from_ref(one), Some(&join));
    }
    world.all_report(2);
    world.add_artifact();
    let topology = world.guarded(&[A, B]);
    world.apply(&topology);
    until("its setup has changed something", || {
        let entered = world.journal(A).contains("section-entered");
        (entered && !world.changes(A).is_empty()).then_some(())
    });
    let size = |name: &str| {
        let path = world.path("agents").join(A).join(name);
        std::fs::metadata(path).expect("a file").len()
    };
    assert!(size("twin.json") < size("journal"), "its model has room");
    world.fill_agents_disk(0, size("journal"));
    let before = world.journal(A);
    let said = world.agents_give_up();
    assert!(said.contains("could not append to the journal"), "{said}");
    assert!(!before.contains("section-left"), "{before}");
    assert_eq!(world.journal(A), before, "not a word more");
    let changes = world.changes(A);
    assert!(!world.journal(B).contains("section-entered"));

    (world.full_at, world.speed) = (None, 0);
    world.start_agents(&servers, None);
    world.give_secrets(20);
    world.all_done();
    assert!(
        world.changes(A).starts_with(&changes),
        "what was done stays"
    );
    world.nothing_lost_or_repeated(&[A, B]);
    world.rails_held(&[Rail::G2]);
}

#[test]
fn what_cannot_be_written_in_full_is_not_there() {
    let world = World::new();
    let passphrase = world.write("passphrase", "a passphrase\n");
    let passphrase = std::path::Path::new(&passphrase);
    let state = world.path("second");
    let key = world.path("second.pem");
    let arguments = [
        "init",
        "--state",
        state.to_str().expect("a path"),
        "--address",
        "127.0.0.1:1",
        "--passphrase-stdin",
        "--root-key",
        key.to_str().expect("a path"),
    ];
    let failed = world.entrain_full(0, &arguments, passphrase);
    assert!(!failed.status.success());
    assert!(
        text(&failed).contains("could not write"),
        "{}",
        text(&failed)
    );
    assert!(!key.exists(), "no root key of a state that is not there");
    // With room again the same command does it.
    let done = world.entrain_full(1000, &arguments, passphrase);
    assert!(done.status.success(), "{}", text(&done));

    let token = world.path("token.json");
    let out = token.to_str().expect("a path");
    let failed = world.entrain_full(0, &["token", "create", "--out", out], passphrase);
    assert!(
        !failed.status.success() && !token.exists(),
        "{}",
        text(&failed)
    );

    let record = world.path("record.jsonl");
    let out = record.to_str().expect("a path");
    assert!(world.entrain(&["audit", "export", out]).status.success());
    let before = std::fs::read(&record).expect("the record");
    let failed = world.entrain_full(0, &["audit", "export", out], passphrase);
    assert!(!failed.status.success(), "{}", text(&failed));
    assert_eq!(std::fs::read(&record).expect("the record"), before);
    assert_eq!(half_written(&world, ""), [""; 0]);
}
