//! A controller that is backed up while it works, lost, and restored: what was done since is not done again.

use std::path::Path;
use std::process::Output;

use controller_core::record::Record;
use e2e::rails::Rail;
use e2e::{World, server, serving, text, until};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

fn backup(world: &World) -> String {
    let folder = world.path("backup").display().to_string();
    let done = world.entrain(&["backup", &folder]);
    assert!(done.status.success(), "{}", text(&done));
    folder
}

fn restore(world: &World, folder: &str) -> Output {
    world.entrain(&["restore", folder])
}

fn lose(world: &mut World) {
    world.kill_controller();
    std::fs::remove_dir_all(world.path("controller")).expect("it was there");
}

#[test]
fn what_was_done_after_the_backup_is_told_again_and_not_done_again() {
    let mut world = World::new();
    let servers = [server(A, &[]), server(B, &[])];
    world.enroll(&servers);
    world.add_artifact();
    let join = world.join_file(2);
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    world.awaits_secret(A);
    let folder = backup(&world);
    // The canary ends, and the other server does all of its work: the backup knows nothing of it.
    world.give_secrets(2);
    world.all_done();
    let changes = [world.changes(A), world.changes(B)];
    let events = world.events();
    lose(&mut world);

    let done = restore(&world, &folder);
    assert!(done.status.success(), "{}", text(&done));
    world.start_controller();
    world.all_done();
    assert_eq!([world.changes(A), world.changes(B)], changes);
    let told = world.events();
    assert!(
        events.iter().all(|event| told.contains(event)),
        "every event that was lost is here again"
    );
    world.nothing_lost_or_repeated(&[A, B]);
    let status = world.json(&["status", "--json"]);
    assert_eq!(status["rollouts"][0]["state"], "over");
    // The record holds, and says that these bundles were issued by a former life of the log.
    drop(world.audit());
    let file = world.path("audit.jsonl").display().to_string();
    let proof = world.json(&["audit", "verify", &file, "--json"]);
    assert_eq!(
        proof["receipts_of_lost_bundles"].as_u64(),
        Some(4),
        "{proof}"
    );

    // A token from before is void: nobody knows whether it was used since.
    world.start_agents(&[server(C, &[])], Some(&join));
    world.refused(C, "join", "token");

    // New rollouts are numbered apart from those that the lost log may have begun.
    let again = world.apply_and_name(&topology);
    assert!(again.contains("r1002"), "{again}");
}

#[test]
fn a_restored_controller_waits_for_its_operator_and_for_its_agents() {
    let mut world = World::new();
    let servers = [server(A, &[]), serving(B), serving(C)];
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    world.awaits_secret(A);
    let folder = backup(&world);
    world.kill_agents();
    lose(&mut world);
    let done = restore(&world, &folder);
    assert!(done.status.success(), "{}", text(&done));
    world.start_controller();
    // What was ordered since the backup is forgotten: whoever lets it go on says that they know.
    let plain = world.entrain(&["resume", "r1"]);
    let said = text(&plain);
    assert!(!plain.status.success(), "{said}");
    for part in [
        "since the backup is forgotten",
        "entrain resume r1 --after-restore",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let resume = |world: &World| {
        let done = world.entrain(&["resume", "r1", "--after-restore"]);
        assert!(done.status.success(), "{}", text(&done));
    };
    let status = world.json(&["status", "--json"]);
    assert_eq!(status["rollouts"][0]["state"], "paused");
    resume(&world);
    let why = text(&world.entrain(&["why", B]));
    assert!(why.contains("restored"), "{why}");
    world.start_agents(&servers, None);
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
    drop(world.audit());
}

/// The controller is lost with one server done, one out of service and two not begun; the backup knows of none of that. The one goes on
/// alone while there is no controller, and the restored one meets it there. There are places for the others, and none begins until the
/// operator says so; then each waits for those that must serve meanwhile, and what is left is done.
#[test]
fn a_rollout_that_went_on_after_the_backup_and_without_a_controller_is_ended_by_the_restored_one() {
    const D: &str = "sync-04.corp.contoso.com";
    let mut world = World::new();
    let servers = [server(A, &[]), serving(B), serving(C), serving(D)];
    let (second, others): (Vec<_>, Vec<_>) = servers
        .iter()
        .cloned()
        .partition(|server| server.target.as_str() == B);
    let join = world.join_file(4);
    world.start_agents(&others, Some(&join));
    world.all_report(3);
    // Its setup runs for half a minute.
    world.speed = 5;
    let join = world.join_file_of(B);
    world.start_agents(&second, Some(&join));
    world.all_report(4);
    world.add_artifact();
    let topology = world.topology(&[A, B, C, D]);
    let written = std::fs::read_to_string(&topology).expect("a topology");
    let domain = "[domain.\"corp.contoso.com\"]\nmin_serving = 3\n";
    let topology = world.write("topology.toml", &format!("{written}{domain}"));
    let policy = world.write(
        "policy.toml",
        "[limit]\nfailures = \"50\"\ncanary = 0\nin_flight = 1\n",
    );
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    let applied = world.entrain(&["apply", planned["plan"].as_str().expect("a plan")]);
    assert!(applied.status.success(), "{}", text(&applied));
    world.awaits_secret(A);
    let folder = backup(&world);
    world.give_secrets(1);
    until("the first one is done", || {
        (world.state(A).0 == "done").then_some(())
    });
    let is_out = |world: &World| {
        let said = world.journal(B);
        said.contains("section-entered") && !said.contains("section-left")
    };
    until("the second one is out of service", || {
        is_out(&world).then_some(())
    });
    let told = world.events();
    lose(&mut world);
    until("it goes on alone", || {
        (!world.changes(B).is_empty()).then_some(())
    });
    let alone = world.changes(B);

    let done = restore(&world, &folder);
    assert!(done.status.success(), "{}", text(&done));
    world.start_controller();
    world.all_report(4);
    let met = is_out(&world);
    assert!(met, "it is met where it is out of service");
    until("all of it is told again", || {
        let events = world.events();
        told.iter()
            .all(|event| events.contains(event))
            .then_some(())
    });
    let order = |world: &World, arguments: &[&str]| {
        let ordered = world.entrain(arguments);
        assert!(
            ordered.status.success(),
            "{arguments:?}: {}",
            text(&ordered)
        );
    };
    // There is room for all of them.
    order(&world, &["limits", "r1", "--in-flight", "4"]);
    let status = world.json(&["status", "--json"]);
    assert_eq!(status["rollouts"][0]["state"], "paused");
    let issued = |world: &World| {
        let records = world.records();
        let to = |record: &Record| matches!(record, Record::BundleIssued { target, .. } if [C, D].contains(&target.as_str()));
        records.iter().filter(|record| to(record)).count()
    };
    assert_eq!(
        issued(&world),
        0,
        "nobody begins before the operator says so"
    );
    order(&world, &["resume", "r1", "--after-restore"]);
    until("both others are at it", || {
        (issued(&world) >= 2).then_some(())
    });
    world.give_secrets(20);
    world.all_done();
    assert!(
        world.changes(B).starts_with(&alone),
        "what it had done stays"
    );
    world.nothing_lost_or_repeated(&[A, B, C, D]);
    world.rails_held(&[Rail::G2]);
    drop(world.audit());
}

#[test]
fn a_run_of_a_rollout_that_nobody_knows_any_more_ends_at_its_next_gate() {
    let mut world = World::new();
    let servers = [server(A, &[])];
    world.enroll(&servers);
    world.add_artifact();
    let folder = backup(&world);
    let topology = world.topology(&[A]);
    world.apply(&topology);
    world.awaits_secret(A);
    lose(&mut world);
    let done = restore(&world, &folder);
    assert!(done.status.success(), "{}", text(&done));
    world.start_controller();
    until("its run has ended", || {
        let events = world.events();
        events
            .iter()
            .any(|(_, _, event)| matches!(event, protocol::event::Event::RunFinished { ending, .. } if *ending == protocol::signed::Ending::Aborted))
            .then_some(())
    });
    // The next rollout finds the server as it is.
    world.apply(&topology);
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A]);
    drop(world.audit());
}

/// Its key went with the log, and what it did: it is turned away until it enrolls anew, and is no obstacle to the others.
#[test]
fn who_was_enrolled_after_the_backup_is_unknown_and_enrolls_anew() {
    let mut world = World::new();
    let servers = [server(A, &[]), server(B, &[])];
    world.enroll(&servers[..1]);
    world.add_artifact();
    let folder = backup(&world);
    let join = world.join_file_of(B);
    world.start_agents(&servers[1..], Some(&join));
    world.all_report(2);
    lose(&mut world);
    let done = restore(&world, &folder);
    assert!(done.status.success(), "{}", text(&done));
    assert!(text(&done).contains("enrolled since"), "{}", text(&done));
    world.start_controller();
    world.refused(B, "session", "does not know this agent's key");
    let events = world.events();
    assert!(events.iter().all(|(target, ..)| target == A), "{events:?}");
    // The other one goes on without it.
    until("the one of the backup is back", || {
        let agents = world.json(&["agents", "--json"]);
        let agents = agents["agents"].as_array()?.clone();
        (agents.len() == 1 && agents[0]["connected"] == true).then_some(())
    });
    world.kill_agents();
    let join = world.join_file_of(B);
    let enrolled = std::process::Command::new(e2e::program("entrain-agent"))
        .args(["enroll", "--new-key", "--name", B, "--state"])
        .arg(world.path("agents").join(B))
        .arg("--join")
        .arg(&join)
        .output()
        .expect("it runs");
    assert!(enrolled.status.success(), "{}", text(&enrolled));
    assert!(
        world
            .path("agents")
            .join(B)
            .join("before-1/journal")
            .exists()
    );
    world.start_agents(&servers, None);
    world.all_report(2);
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    world.give_secrets(20);
    world.all_done();
    drop(world.audit());
}

/// What its hello brings cannot be stored at first: it comes again, and nobody waits for it for ever.
#[test]
fn an_agent_whose_return_could_not_be_stored_is_met_when_it_can() {
    let mut world = World::new();
    let servers = [server(A, &[]), serving(B), serving(C)];
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    world.awaits_secret(A);
    let folder = backup(&world);
    world.kill_agents();
    lose(&mut world);
    let done = restore(&world, &folder);
    assert!(done.status.success(), "{}", text(&done));
    world.start_controller();
    let log = rusqlite::Connection::open(world.path("controller/log.sqlite")).expect("a log");
    let patience = log.busy_timeout(std::time::Duration::from_secs(10));
    patience.expect("it waits for the controller");
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON log WHEN NEW.body LIKE '%\"met\"%' BEGIN SELECT RAISE(ABORT, 'full'); END";
    log.execute(trigger, []).expect("a trigger");
    world.start_agents(&servers, None);
    until("it could not be stored", || {
        let said = std::fs::read_to_string(world.path("serve.log")).ok()?;
        said.contains("a batch could not be stored").then_some(())
    });
    log.execute("DROP TRIGGER full", []).expect("no trigger");
    let resumed = world.entrain(&["resume", "r1", "--after-restore"]);
    assert!(resumed.status.success(), "{}", text(&resumed));
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
    drop(world.audit());
}

/// The abort went with the log. The agent tells that its run was aborted: then no word lets the rollout go on.
#[test]
fn a_rollout_that_was_aborted_after_the_backup_does_not_carry_its_servers_on() {
    let mut world = World::new();
    let servers = [server(A, &[]), server(B, &[])];
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    world.awaits_secret(A);
    let folder = backup(&world);
    let aborted = world.entrain(&["abort", "r1"]);
    assert!(aborted.status.success(), "{}", text(&aborted));
    until("its run has ended", || {
        (world.state(A).0 == "aborted").then_some(())
    });
    let changes = world.changes(A);
    lose(&mut world);
    let done = restore(&world, &folder);
    assert!(done.status.success(), "{}", text(&done));
    for word in ["abort, skip, resolve, limits", "do not resume it"] {
        assert!(text(&done).contains(word), "{word}: {}", text(&done));
    }
    world.start_controller();
    until("the agents have told what came after", || {
        (world.state(A).0 == "aborted").then_some(())
    });
    // It is not carried on, whatever word is given: the one that had not begun would be.
    for words in [&["resume", "r1"][..], &["resume", "r1", "--after-restore"]] {
        let resumed = world.entrain(words);
        let said = text(&resumed);
        assert!(!resumed.status.success(), "{words:?}: {said}");
        for part in ["was aborted after the backup", A, "entrain abort r1"] {
            assert!(said.contains(part), "{words:?} {part}: {said}");
        }
    }
    let (_, why) = world.state(B);
    assert!(why.contains("since the controller was restored"), "{why}");
    assert!(why.contains("entrain resume r1 --after-restore"), "{why}");
    assert_eq!(world.state(A).0, "aborted");
    assert_eq!(world.changes(A), changes);
    assert!(world.changes(B).is_empty(), "it had not begun");
    // What the operator ordered is ordered again, and is the end.
    let again = world.entrain(&["abort", "r1"]);
    assert!(again.status.success(), "{}", text(&again));
    let status = world.json(&["status", "--json"]);
    assert_eq!(status["rollouts"][0]["state"], "over");
    world.nothing_lost_or_repeated(&[A, B]);
}

/// The backup has a bundle as open that its agent, which had just died, never accepted. By the time that the controller is lost the agent has
/// been through a later one, of a rollout that nobody knows any more: it takes up none that is older.
#[test]
fn a_bundle_that_its_agent_has_passed_since_the_backup_holds_nothing_up() {
    let mut world = World::new();
    let servers = [server(A, &[])];
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.topology(&[A]);
    let has = |world: &World, what: &str, is: fn(&Record) -> bool| {
        until(what, || world.records().iter().any(is).then_some(()));
    };
    let withdrawn: fn(&Record) -> bool = |record| matches!(record, Record::Withdrawn { .. });
    let order = |world: &World, arguments: &[&str]| {
        let ordered = world.entrain(arguments);
        assert!(
            ordered.status.success(),
            "{arguments:?}: {}",
            text(&ordered)
        );
    };
    // The controller has not noticed yet.
    world.kill_agents();
    world.apply(&topology);
    has(&world, "it is offered its bundle", |record| {
        matches!(record, Record::BundleIssued { .. })
    });
    let folder = backup(&world);
    order(&world, &["abort", "r1"]);
    world.start_agents(&servers, None);
    has(&world, "what it did not accept is withdrawn", withdrawn);
    world.apply(&topology);
    world.give_secrets(20);
    world.all_done();

    lose(&mut world);
    let done = restore(&world, &folder);
    assert!(done.status.success(), "{}", text(&done));
    world.start_controller();
    has(&world, "what it has passed is withdrawn", withdrawn);
    order(&world, &["abort", "r1"]);
    let status = world.json(&["status", "--json"]);
    assert_eq!(status["rollouts"][0]["state"], "over", "{status}");
    // Nothing stands in the way of the next one.
    let planned = world.json(&["plan", &topology, "--verify", "--json"]);
    order(
        &world,
        &["apply", planned["plan"].as_str().expect("a plan")],
    );
    world.all_done();
    world.nothing_lost_or_repeated(&[A]);
    drop(world.audit());
}

#[test]
fn a_backup_that_is_not_whole_restores_nothing() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    let folder = backup(&world);
    let again = world.entrain(&["backup", &folder]);
    assert!(text(&again).contains("there already"), "{}", text(&again));
    let occupied = restore(&world, &folder);
    assert!(
        text(&occupied).contains("is not empty"),
        "{}",
        text(&occupied)
    );
    lose(&mut world);
    let refused = |world: &World, why: &str| {
        let output = restore(world, &folder);
        assert!(!output.status.success());
        assert!(text(&output).contains(why), "{why}: {}", text(&output));
        assert!(!world.path("controller").exists(), "nothing is made");
        assert!(!world.path("controller.restoring").exists());
    };
    for name in ["log.sqlite", "keys/bundle.p8", "trust-root.json"] {
        let path = Path::new(&folder).join(name);
        let whole = std::fs::read(&path).expect("a file");
        let mut altered = whole.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        std::fs::write(&path, altered).expect("it is written");
        refused(&world, "altered");
        std::fs::remove_file(&path).expect("it is removed");
        refused(&world, "could not copy");
        std::fs::write(&path, whole).expect("it is written");
    }
    let list = Path::new(&folder).join("backup.json");
    let whole = std::fs::read(&list).expect("a file");
    std::fs::remove_file(&list).expect("it is removed");
    refused(&world, "not whole");
    std::fs::write(&list, whole).expect("it is written");
    let done = restore(&world, &folder);
    assert!(done.status.success(), "{}", text(&done));
    world.start_controller();
    world.all_report(1);
}
