//! A link that is cut for hours, with processes as they are: both sides' clocks go on by hours while nothing gets through. What is told
//! of whoever is away is so, nobody waits longer than their policy says, and what was under way comes to its right end.

use agent_twin::Profile;
use controller_core::record::Record;
use e2e::rails::Rail;
use e2e::relay::Faults;
use e2e::{World, server, serving, text, until};
use protocol::event::Event;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// The clock of everybody.
const CLOCK: &str = "clock";

/// Certificates of agents end while the link is cut.
const LIFE: u32 = 3 * 3600;

/// The first server is behind the relay, the others reach the controller without.
fn far_and_near(servers: &[Profile], speed: u32) -> World {
    let mut world = World::behind_a_relay(Faults::NONE, 7);
    world.speed = speed;
    world.kill_controller();
    let settings = world.path("controller/controller.json");
    let bytes = std::fs::read(&settings).expect("its settings");
    let mut changed: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    changed["certificate_seconds"] = LIFE.into();
    std::fs::write(&settings, changed.to_string()).expect("a file");
    (world.clock_of_controller, world.clock_of_agents) = (Some(CLOCK), Some(CLOCK));
    world.start_controller();
    let (far, near) = servers.split_at(1);
    let join = world.join_file_of(A);
    world.start_agents(far, Some(&join));
    let join = world.join_file(2);
    let bytes = std::fs::read(&join).expect("a join file");
    let mut direct: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    direct["controller"] = format!("127.0.0.1:{}", world.port()).into();
    std::fs::write(&join, direct.to_string()).expect("a file");
    world.start_agents(near, Some(&join));
    world.all_report(servers.len());
    world.add_artifact();
    world
}

fn apply(world: &World, hosts: &[&str], policy: &str) {
    let topology = world.guarded(hosts);
    let policy = world.write("policy.toml", policy);
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    let applied = world.entrain(&["apply", planned["plan"].as_str().expect("a plan")]);
    assert!(applied.status.success(), "{}", text(&applied));
}

fn is_here(world: &World, target: &str) -> bool {
    let agents = world.json(&["agents", "list", "--json"]);
    let mut rows = agents["agents"].as_array().expect("rows").iter();
    rows.any(|row| row["target"] == target && row["connected"] == true)
}

/// One is cut off in the middle of its work, and another waits behind it. An hour is less than the policy waits, six are more: then the
/// others go on around it. It comes back after its certificate has ended, and all is done.
#[test]
fn whoever_is_cut_off_for_hours_is_waited_for_as_long_as_the_policy_says() {
    let servers = [server(A, &[]), serving(B), serving(C)];
    let mut world = far_and_near(&servers, 0);
    apply(
        &world,
        &[A, B, C],
        "[limit]\nfailures = \"50\"\ncanary = 0\nin_flight = 1\nunreachable = \"2h\"\n",
    );
    world.awaits_secret(A);
    world.relay().cut();
    until("it is away", || {
        (world.state(A).0 == "unreachable").then_some(())
    });
    world.set_clock(CLOCK, "+1h");
    // Whatever is ordered makes the controller look at what is due.
    for order in ["pause", "resume"] {
        let ordered = world.entrain(&[order, "r1"]);
        assert!(ordered.status.success(), "{}", text(&ordered));
    }
    let detail = world.state(A).1;
    assert!(
        detail.contains("away since") && !detail.contains("go on around it"),
        "{detail}"
    );
    assert!(world.changes(B).is_empty() && world.changes(C).is_empty());

    world.set_clock(CLOCK, "+6h");
    let detail = until("the others go on around it", || {
        let detail = world.state(A).1;
        detail.contains("go on around it").then_some(detail)
    });
    assert!(detail.contains("away since"), "{detail}");
    world.give_secrets(20);
    until("the others are done", || {
        let done = |name: &str| world.state(name).0 == "done";
        (done(B) && done(C)).then_some(())
    });
    let (state, detail) = world.state(A);
    assert!(
        state == "unreachable" && detail.contains("go on around it"),
        "{state}: {detail}"
    );
    assert!(
        world
            .changes(A)
            .iter()
            .all(|change| !change.contains("regist")),
        "{:?}",
        world.changes(A)
    );

    world.relay().mend();
    until("it is back", || is_here(&world, A).then_some(()));
    let said = world.agents_said();
    assert!(said.contains("the certificate has expired"), "{said}");
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
    let waited = waited(&world);
    let hours = |seconds: u64| seconds / 3600;
    assert!(
        waited.len() == 1 && waited.iter().all(|seconds| hours(*seconds) >= 2),
        "{waited:?}"
    );
}

/// Seconds from when somebody left to when nobody waited for it any more, each time that it came to that.
fn waited(world: &World) -> Vec<u64> {
    let rows = world.json(&["logs", "--json"]);
    let waited = |row: &serde_json::Value| {
        let at: protocol::Timestamp = serde_json::from_value(row["at"].clone()).ok()?;
        let record: Record = serde_json::from_value(row["record"].clone()).ok()?;
        let Record::PassedOver { away, .. } = record else {
            return None;
        };
        away.map(|since| at.since(since).as_secs())
    };
    let rows = rows.as_array().expect("rows").iter();
    rows.filter_map(waited).collect()
}

/// One is out of service when it is cut off, and finishes by itself. For hours nobody can tell, so the other one, whose turn it is, gets
/// no leave; it goes when the first one has told.
#[test]
fn what_was_begun_under_leave_counts_for_hours_until_its_agent_tells() {
    let world = far_and_near(&[serving(A), serving(B)], 20);
    apply(
        &world,
        &[A, B],
        "[limit]\nfailures = \"50\"\ncanary = 0\nin_flight = 1\nunreachable = \"2h\"\n",
    );
    let told = |world: &World, target: &str, wanted: fn(&Event) -> bool| {
        let events = world.events();
        events
            .iter()
            .any(|(whose, _, event)| whose == target && wanted(event))
    };
    let entered = |event: &Event| matches!(event, Event::SectionEntered { .. });
    let left = |event: &Event| matches!(event, Event::SectionLeft { .. });
    until("the first one is out of service", || {
        told(&world, A, entered).then_some(())
    });
    world.relay().cut();
    assert!(!told(&world, A, left), "it is in its section");
    until("it has finished by itself", || {
        world.journal(A).contains("section-left").then_some(())
    });
    until("it is away", || {
        (world.state(A).0 == "unreachable").then_some(())
    });
    world.set_clock(CLOCK, "+6h");
    until(
        "the other one goes on around it, and waits for leave",
        || {
            let (state, detail) = world.state(B);
            let waits = state == "held" || detail.contains("waits for leave");
            (waits && world.journal(B).contains("step-begun")).then_some(())
        },
    );
    assert!(!world.journal(B).contains("section-entered"));
    assert!(!told(&world, A, left), "nobody has heard of it yet");
    world.relay().mend();
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B]);
    world.rails_held(&[Rail::G2]);
}
