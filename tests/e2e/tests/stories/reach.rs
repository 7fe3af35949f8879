//! An agent that is cut off in the middle of its work, in one life: it begins nothing that changes its server until its controller has
//! said that it goes on, whatever is ordered meanwhile. Processes as they are, with a relay between.

use std::time::Duration;

use agent_twin::Fault;
use e2e::relay::Faults;
use e2e::{TENANT, World, server, text, until, until_within};

const A: &str = "sync-01.corp.contoso.com";

/// The whole course at the speed of these stories, with a restart of Windows in it.
const COURSE: Duration = Duration::from_secs(180);

fn journal(world: &World) -> String {
    let path = world.path("agents").join(A).join("journal");
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

fn ordered(world: &World, arguments: &[&str]) -> String {
    let done = world.entrain(arguments);
    assert!(done.status.success(), "{}", text(&done));
    text(&done)
}

/// A fresh server on which Entrain may set what TLS 1.2 needs: its preflight has begun and looks, nothing is set yet, and the link is
/// cut. Its agent has come as far as it may by itself.
fn cut_off_in_its_preflight() -> World {
    let mut world = World::behind_a_relay(Faults::NONE, 7);
    // What a preflight reads takes some seconds.
    world.speed = 12;
    world.enroll(&[server(A, &[Fault::TlsOff])]);
    world.add_artifact();
    let topology = world.write(
        "fixes.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[site.ams]\nzone = \"UTC\"\nreboot = \"window\"\n[agents.corp]\nsite = \"ams\"\nserves = [\"corp.contoso.com\"]\nhosts = [\"{A}\"]\nmay_fix = [\"tls12\"]\n[domain.\"corp.contoso.com\"]\nallow_outage = true\n"
        ),
    );
    let days = controller_core::calendar::DAYS;
    let policy = world.write(
        "policy.toml",
        &format!("[site.ams]\nwindow = {{ days = {days:?}, from = \"00:00\", to = \"00:00\" }}\n"),
    );
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    ordered(
        &world,
        &["apply", planned["plan"].as_str().expect("a plan")],
    );
    until("its preflight has begun", || {
        let said = journal(&world);
        (said.contains("step-begun") && said.contains("\"preflight\"")).then_some(())
    });
    // Whoever is told that its controller goes does not wait half a minute for its silence.
    world.stop_controller();
    world.relay().cut();
    world.start_controller();
    until("its agent waits for a word", || {
        let said = world.agents_said();
        said.contains("a run waits for its controller")
            .then_some(())
    });
    assert!(world.changes(A).is_empty(), "{:?}", world.changes(A));
    world
}

/// The link is back, and everything that its agent has to say is here.
fn is_back(world: &World) {
    let welcomes = || world.agents_said().matches(" welcomed ").count();
    let before = welcomes();
    world.relay().mend();
    until("it is welcomed", || (welcomes() > before).then_some(()));
    world.all_report(1);
}

/// It goes on from where it was to the right end, and does nothing twice.
fn goes_on_to_its_end(mut world: World) {
    world.give_secrets(1);
    until_within(COURSE, "it is done", || world.are_done().then_some(()));
    let changes = world.changes(A);
    for change in ["set Enabled", "restart Windows", "install 1.1.2505.0"] {
        let times = changes.iter().filter(|one| *one == change).count();
        assert_eq!(times, 1, "{change}: {changes:?}");
    }
    let begun = journal(&world).matches("\"preflight\"").count();
    assert!(begun > 0, "its journal is whole");
    world.nothing_lost_or_repeated(&[A]);
    drop(world.audit());
}

#[test]
fn an_abort_that_is_ordered_while_its_agent_is_cut_off_ends_it_before_anything_is_done() {
    let world = cut_off_in_its_preflight();
    let said = ordered(&world, &["abort", "r1"]);
    let away = format!("{A} is away and may still be at work");
    assert!(said.contains(&away), "{said}");
    // Nobody knows what it is at: that is said, and neither that it has ended nor that it goes on.
    let (state, detail) = world.state(A);
    assert_eq!(state, "unreachable", "{detail}");
    assert!(detail.contains("away since"), "{detail}");
    assert!(world.changes(A).is_empty());
    is_back(&world);
    until("it has ended", || {
        (world.state(A).0 == "aborted").then_some(())
    });
    assert!(journal(&world).contains("run-finished"));
    assert!(world.changes(A).is_empty(), "{:?}", world.changes(A));
    world.nothing_lost_or_repeated(&[A]);
    drop(world.audit());
}

#[test]
fn a_pause_that_is_ordered_while_its_agent_is_cut_off_holds_it_until_it_is_resumed() {
    let world = cut_off_in_its_preflight();
    let said = ordered(&world, &["pause", "r1"]);
    let away = format!("{A} is away and may still be at work");
    assert!(said.contains(&away), "{said}");
    is_back(&world);
    let said = text(&world.entrain(&["status"]));
    assert!(said.contains("paused"), "{said}");
    // It hears the same once more, and is still held.
    ordered(&world, &["pause", "r1"]);
    assert!(world.changes(A).is_empty(), "{:?}", world.changes(A));
    assert!(!journal(&world).contains("run-finished"));
    ordered(&world, &["resume", "r1"]);
    goes_on_to_its_end(world);
}

#[test]
fn a_freeze_of_the_fleet_reaches_whoever_is_cut_off_when_it_is_back_and_says_who_has_heard_it() {
    let world = cut_off_in_its_preflight();
    let said = ordered(&world, &["freeze", "--all", "--why", "sign-ins fail"]);
    let away = format!("{A} is away and may still be at work");
    assert!(said.contains(&away), "{said}");
    let status = text(&world.entrain(&["status"]));
    assert!(status.contains("THE FLEET IS FROZEN"), "{status}");
    assert!(status.contains(&away), "{status}");
    let status = world.json(&["status", "--json"]);
    assert_eq!(status["at_work"]["told"], 0, "{status}");
    assert_eq!(status["at_work"]["away"][0], A, "{status}");
    is_back(&world);
    let status = world.json(&["status", "--json"]);
    assert_eq!(status["at_work"]["told"], 1, "{status}");
    assert_eq!(status["at_work"]["away"].as_array().map(Vec::len), Some(0));
    let status = text(&world.entrain(&["status"]));
    assert!(
        status.contains("1 server at work has been told") && !status.contains("is away"),
        "{status}"
    );
    assert!(world.changes(A).is_empty(), "{:?}", world.changes(A));
    ordered(&world, &["thaw", "--all"]);
    let status = world.json(&["status", "--json"]);
    assert!(status["at_work"].is_null(), "{status}");
    goes_on_to_its_end(world);
}

/// Nothing is ordered meanwhile: it goes on by itself when it is back.
#[test]
fn whoever_was_cut_off_goes_on_by_itself_when_it_is_back() {
    let world = cut_off_in_its_preflight();
    is_back(&world);
    goes_on_to_its_end(world);
}
