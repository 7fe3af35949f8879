//! Disks that are full as the system says it, on either side and in the middle of a rollout: nothing is acknowledged that is not
//! stored, each says where and what to do, and all goes on once there is room.

use e2e::rails::Rail;
use e2e::small_disk::{SmallDisk, alone};
use e2e::{World, server, serving, text, until};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// MiB of each disk.
const SIZE: u32 = 24;

fn said(world: &World) -> String {
    std::fs::read_to_string(world.path("serve.log")).expect("a log")
}

/// Orders something small over and over until the controller's disk is full; gives what it says then.
fn until_refused(world: &World, disk: &SmallDisk) -> String {
    disk.fill();
    let mut made = 0;
    until("the log takes no more", || {
        let out = world.path(&format!("token-{made}"));
        let arguments = ["token", "create", "--uses", "2", "--out"];
        let output = world.entrain(&[&arguments[..], &[out.to_str()?]].concat());
        if !output.status.success() {
            assert!(!out.exists(), "a token that was not stored was given out");
            return Some(text(&output));
        }
        made += 1;
        None
    })
}

/// The canary's run goes on as far as it may while nothing that it tells can be stored. Then there is room: nobody does anything
/// else, and all comes to its end.
#[test]
fn a_controller_whose_disk_is_full_in_the_middle_of_a_rollout_goes_on_by_itself() {
    if !alone("a_controller_whose_disk_is_full_in_the_middle_of_a_rollout_goes_on_by_itself") {
        return;
    }
    let mut world = World::new();
    world.enroll(&[server(A, &[]), serving(B), serving(C)]);
    world.add_artifact();
    world.kill_controller();
    let disk = SmallDisk::over(&world.path("controller"), SIZE);
    world.start_controller();
    world.all_report(3);
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    world.awaits_secret(A);
    let refused = until_refused(&world, &disk);
    let log = world.path("controller/log.sqlite").display().to_string();
    for part in ["could not store", &log, "is full", "make room there"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    // Whoever looks sees it, and an order is refused with the same words.
    let status = text(&world.entrain(&["status"]));
    assert!(
        status.contains("ALARM nothing is stored since") && status.contains("make room there"),
        "{status}"
    );
    let paused = world.entrain(&["pause", "r1"]);
    assert!(
        !paused.status.success() && text(&paused).contains("is full"),
        "{}",
        text(&paused)
    );
    // Neither a file nor a backup fits, and neither is left there half.
    let setup = world.write("other.bin", &"x".repeat(200_000));
    let model = ["--model", "provisioning-agent", "--version", "1.1.2600.0"];
    let add = ["artifact", "add", &setup, "--accept-terms"];
    let added = world.entrain(&[&add[..], &model].concat());
    let backup = world.path("controller/backup");
    let backed_up = world.entrain(&["backup", backup.to_str().expect("a path")]);
    for (what, refused) in [("artifact", &added), ("backup", &backed_up)] {
        let said = text(refused);
        let full = said.contains("is full") || said.contains("No space left");
        assert!(!refused.status.success() && full, "{what}: {said}");
    }
    assert!(!backup.exists(), "nothing of it is left");

    // What the canary does now, nobody stores: it is told that, and tells it again.
    let before = world.events();
    world.give_secrets(20);
    until("what it does is in its journal", || {
        world.journal(A).contains("secret-received").then_some(())
    });
    until("it was sent away with it", || {
        said(&world)
            .contains("a batch could not be stored")
            .then_some(())
    });
    assert_eq!(world.events(), before, "nothing of it is in the log");

    disk.free();
    world.all_done();
    let status = text(&world.entrain(&["status"]));
    assert!(!status.contains("nothing is stored"), "{status}");
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
    drop(disk);
}

/// What it acknowledged before it died on a full disk is there when it is started with room.
#[test]
fn a_controller_that_dies_on_a_full_disk_has_all_that_it_acknowledged() {
    if !alone("a_controller_that_dies_on_a_full_disk_has_all_that_it_acknowledged") {
        return;
    }
    let mut world = World::new();
    world.enroll(&[server(A, &[]), serving(B), serving(C)]);
    world.add_artifact();
    world.kill_controller();
    let disk = SmallDisk::over(&world.path("controller"), SIZE);
    world.start_controller();
    world.all_report(3);
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    world.awaits_secret(A);
    drop(until_refused(&world, &disk));
    let before = world.records();
    world.give_secrets(20);
    until("what it does is in its journal", || {
        world.journal(A).contains("secret-received").then_some(())
    });
    world.kill_controller();
    // It starts without room, and says what it cannot do; or it says why it does not.
    world.spawn_controller();
    until("it answers, or says what is full", || {
        let answers = world.entrain(&["status"]).status.success();
        (answers || said(&world).contains("make room there and start again")).then_some(())
    });
    world.kill_controller();
    disk.free();
    world.start_controller();
    let after = world.records();
    assert!(after.starts_with(&before), "what was stored is stored");
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
    drop(disk);
}

/// A server's disk is full: what is fetched does not fit, and its step says so; then its journal does not, and it does nothing
/// that stands in no journal. With room it goes on.
#[test]
fn a_server_whose_disk_is_full_says_so_and_does_nothing_that_is_not_journaled() {
    if !alone("a_server_whose_disk_is_full_says_so_and_does_nothing_that_is_not_journaled") {
        return;
    }
    let mut world = World::new();
    let servers = [server(A, &[]), serving(B), serving(C)];
    world.enroll(&servers);
    world.add_artifact();
    world.kill_agents();
    let disk = SmallDisk::over(&world.path("agents").join(A), 1);
    for one in &servers {
        world.start_agents(std::slice::from_ref(one), None);
    }
    world.all_report(3);
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    let detail = until("its step fails", || {
        let (state, detail) = world.state(A);
        (state == "failed").then_some(detail)
    });
    let place = world.path("agents").join(A).join("artifacts");
    let place = place.display().to_string();
    for part in [
        place.as_str(),
        "its disk is full",
        "make room there, then retry",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    assert!(world.changes(A).is_empty(), "nothing was installed");
    // The journal's disk was not left full of what does not fit.
    let place = std::path::Path::new(&place);
    let left = std::fs::read_dir(place).expect("the folder").count();
    assert_eq!(left, 0, "nothing half fetched is left");

    // Then not a word fits into the journal.
    disk.fill();
    let changes = world.changes(A);
    // The last block of a file has room for some words more.
    until("not a word fits", || {
        drop(world.entrain(&["retry", "r1"]));
        world.one_gave_up().then_some(())
    });
    let said = world.agents_give_up();
    for part in ["could not append to the journal", "its disk is full", A] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(world.changes(A), changes, "nothing without its journal");

    // Another disk, with room, and what was on the first.
    disk.free();
    let kept = world.path("kept");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(world.path("agents").join(A))
        .arg(&kept)
        .status();
    assert!(copied.is_ok_and(|status| status.success()));
    drop(disk);
    let place = world.path("agents").join(A);
    std::fs::remove_dir(&place).expect("nothing lies below the disk");
    std::fs::rename(kept, place).expect("it is put there");
    world.start_agents(&servers, None);
    world.all_report(3);
    world.give_secrets(20);
    until("it is tried again", || {
        let tried = world.entrain(&["retry", "r1"]).status.success();
        let state = world.state(A).0;
        (tried || !["failed", "refused"].contains(&state.as_str())).then_some(())
    });
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}
