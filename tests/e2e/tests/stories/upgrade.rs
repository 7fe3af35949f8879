//! Entrain's own agents are upgraded by a rollout: a real agent under its launcher, by a program of another version; one that
//! crashes, which its launcher takes back; and a fleet, by waves.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use agent_twin::Fault;
use e2e::{World, program, server, text, until};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// A launcher with the agent that it has started, in a process group of their own.
struct Launcher {
    child: Child,
}

impl Launcher {
    fn start(root: &Path) -> Self {
        let child = Command::new(program("entrain-launcher"))
            .arg(root)
            .process_group(0)
            .stdin(Stdio::null())
            .spawn();
        Self {
            child: child.expect("the launcher starts"),
        }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let killed = Command::new("bash")
            .args(["-c", "kill -KILL -- \"$1\"", "kill", &group])
            .status();
        drop((killed, self.child.wait()));
    }
}

/// Lays an agent down as a site does, enrolled and not started.
fn lay_down(world: &World) -> PathBuf {
    let root = world.path("root");
    let version = root.join("versions/1");
    std::fs::create_dir_all(&version).expect("a folder");
    let agent = version.join("entrain-agent");
    std::fs::copy(program("entrain-agent"), &agent).expect("a program");
    std::fs::write(root.join("current"), "1\n").expect("a file");
    let join = world.join_file_of(A);
    let enrolled = Command::new(&agent)
        .args(["enroll", "--name", A, "--join"])
        .arg(&join)
        .arg("--state")
        .arg(root.join("agent"))
        .output();
    let enrolled = enrolled.expect("it runs");
    assert!(enrolled.status.success(), "{}", text(&enrolled));
    root
}

fn version(world: &World, target: &str) -> String {
    let agents = world.json(&["agents", "list", "--json"]);
    let rows = agents["agents"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["target"] == target);
    let version = row.and_then(|row| row["version"].as_str());
    version.unwrap_or_default().to_owned()
}

fn plan_agents(world: &World, topology: &str) -> (String, String) {
    let planned = world.json(&["plan", "--agents", topology, "--json"]);
    let word = |name: &str| planned[name].as_str().expect("a text").to_owned();
    (word("plan"), word("report"))
}

fn apply(world: &World, plan: &str) {
    let applied = world.entrain(&["apply", plan]);
    assert!(applied.status.success(), "{}", text(&applied));
}

fn is(root: &Path, name: &str, wanted: &str) -> bool {
    std::fs::read_to_string(root.join(name)).is_ok_and(|text| text.trim() == wanted)
}

#[test]
fn a_real_agent_becomes_another_version_and_comes_back_from_one_that_crashes() {
    let world = World::with_publisher(&[]);
    let root = lay_down(&world);
    let launcher = Launcher::start(&root);
    until("it has reported", || {
        (version(&world, A) == agent::VERSION).then_some(())
    });
    let topology = world.topology(&[A]);

    // Without a release there is nothing to do, and what somebody else signed is none.
    let (_, report) = plan_agents(&world, &topology);
    assert!(report.contains("entrain release add"), "{report}");
    let next = program("standin-next-agent");
    let _public = world.publisher("thief");
    let refused = world.release("thief", "99.0.0", &next);
    assert!(!refused.status.success());
    let why = text(&refused);
    assert!(why.contains("0 valid signatures of 1 needed"), "{why}");

    let added = world.release("publisher", "99.0.0", &next);
    assert!(added.status.success(), "{}", text(&added));
    let again = world.release("publisher", "99.0.0.0", &next);
    assert!(
        text(&again).contains("a version never changes"),
        "{}",
        text(&again)
    );
    let (plan, report) = plan_agents(&world, &topology);
    assert!(report.contains("upgrade Entrain's own agents"), "{report}");
    apply(&world, &plan);
    world.all_done();
    assert_eq!(version(&world, A), "99.0.0");
    until("the launcher has ended the trial", || {
        (is(&root, "current", "99.0.0.0") && !root.join("previous").exists()).then_some(())
    });
    for gone in ["mark", "good", "given-up"] {
        assert!(!root.join(gone).exists(), "{gone}");
    }
    assert!(
        root.join("versions/1/entrain-agent").exists(),
        "it can be gone back to by hand"
    );

    // The next release cannot run: its launcher goes back to the version before, which tells why.
    let broken = world.path("broken");
    std::fs::write(&broken, "#!/bin/sh\nexit 1\n").expect("a file");
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let added = world.release("publisher", "100.0.0", &broken);
    assert!(added.status.success(), "{}", text(&added));
    let (plan, _) = plan_agents(&world, &topology);
    apply(&world, &plan);
    until("it has failed", || {
        (world.state(A).0 == "failed").then_some(())
    });
    let why = text(&world.entrain(&["why", A]));
    assert!(
        why.contains("version 100.0.0.0 was given up, and 99.0.0.0 runs again")
            && why.contains("it ended 3 times within 20 s of its start"),
        "{why}"
    );
    assert!(is(&root, "current", "99.0.0.0") && !root.join("previous").exists());
    assert!(!root.join("versions/1").exists(), "two versions are kept");
    assert_eq!(version(&world, A), "99.0.0");

    // What was begun is in the record, with nothing lost; and the server is as good as before.
    let record = world.audit();
    assert!(record.contains("the agent is 99.0.0.0, and its launcher keeps it"));
    world.nothing_lost_or_repeated(&[A]);
    drop(launcher);
    let launcher = Launcher::start(&root);
    until("it is back", || {
        let agents = world.json(&["agents", "list", "--json"]);
        (agents["agents"][0]["connected"] == true).then_some(())
    });
    drop(launcher);
}

#[test]
fn an_agent_that_no_launcher_started_says_so() {
    let world = World::with_publisher(&[]);
    let root = lay_down(&world);
    std::fs::remove_file(root.join("current")).expect("a file");
    let agent = Command::new(root.join("versions/1/entrain-agent"))
        .arg("run")
        .arg("--state")
        .arg(root.join("agent"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut agent = agent.expect("it starts");
    until("it has reported", || {
        (version(&world, A) == agent::VERSION).then_some(())
    });
    let added = world.release("publisher", "99.0.0", &program("standin-next-agent"));
    assert!(added.status.success(), "{}", text(&added));
    let (plan, _) = plan_agents(&world, &world.topology(&[A]));
    apply(&world, &plan);
    until("it has failed", || {
        (world.state(A).0 == "failed").then_some(())
    });
    let why = text(&world.entrain(&["why", A]));
    assert!(why.contains("replace its program by hand"), "{why}");
    drop((agent.kill(), agent.wait()));
}

#[test]
fn a_fleet_is_upgraded_by_waves_and_a_canary_that_goes_back_holds_the_others() {
    let mut world = World::with_publisher(&[]);
    world.enroll(&[
        server(A, &[Fault::NewAgentCrashes]),
        server(B, &[]),
        server(C, &[]),
    ]);
    let added = world.release("publisher", "99.0.0", &program("standin-next-agent"));
    assert!(added.status.success(), "{}", text(&added));
    let topology = world.topology(&[A, B, C]);
    let (plan, _) = plan_agents(&world, &topology);
    apply(&world, &plan);
    until("the canary has failed", || {
        (world.state(A).0 == "failed").then_some(())
    });
    let held = text(&world.entrain(&["why", B]));
    assert!(held.contains("canary"), "{held}");
    assert_eq!(version(&world, B), agent::VERSION);
    let faults = world.path("agents").join(A).join("faults.json");
    std::fs::write(faults, "[]").expect("a file");
    // Taken back: its rollout has an end, no plan has it any more, and one that had it is not applied.
    let unsaid = world.entrain(&["release", "withdraw", "99.0.0", "--reason", " "]);
    assert!(!unsaid.status.success() && text(&unsaid).contains("--reason"));
    let withdrawn = world.entrain(&["release", "withdraw", "99.0.0", "--reason", "it crashes"]);
    assert!(
        text(&withdrawn).contains("release 99.0.0.0 is withdrawn, and r1 with it is aborted"),
        "{}",
        text(&withdrawn)
    );
    let retried = world.entrain(&["retry", "r1", A]);
    assert!(!retried.status.success() && text(&retried).contains("aborted"));
    assert_eq!(world.state(B).0, "aborted");
    for refused in [
        world.entrain(&["apply", &plan]),
        world.entrain(&["plan", "--agents", "--release", "99.0.0", &topology]),
        world.entrain(&["release", "withdraw", "99.0.0", "--reason", "again"]),
    ] {
        let why = text(&refused);
        assert!(
            !refused.status.success()
                && why.contains("was withdrawn by")
                && why.contains("it crashes"),
            "{why}"
        );
    }
    let (_, report) = plan_agents(&world, &topology);
    assert!(report.contains("entrain release add"), "{report}");
    let listed = text(&world.entrain(&["release", "list"]));
    assert!(listed.contains("it crashes"), "{listed}");
    // A newer one goes to all of them, each once, whatever is newer still.
    for version in ["99.0.1", "100.0.0"] {
        let added = world.release("publisher", version, &program("standin-next-agent"));
        assert!(added.status.success(), "{}", text(&added));
    }
    let planned = world.json(&[
        "plan",
        "--agents",
        "--release",
        "99.0.1",
        &topology,
        "--json",
    ]);
    apply(&world, planned["plan"].as_str().expect("a plan"));
    world.all_done();
    for target in [A, B, C] {
        assert_eq!(version(&world, target), "99.0.1.0");
    }
    assert_eq!(world.changes(B), ["agent 99.0.1.0"]);
    // A controller that starts again knows all of it from its log.
    world.kill_controller();
    world.start_controller();
    assert_eq!(version(&world, C), "99.0.1.0");
    let planned = world.json(&[
        "plan",
        "--agents",
        "--release",
        "99.0.1",
        &topology,
        "--json",
    ]);
    let report = planned["report"].as_str().expect("a report");
    assert!(report.contains("its agent is 99.0.1.0 already"), "{report}");
}
