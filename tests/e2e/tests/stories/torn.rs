//! The controller's log is damaged, removed or put back while it serves, in the middle of a rollout: it says so, invents nothing, and
//! a backup leads to the right end.
#![expect(
    clippy::unwrap_used,
    reason = "a story stops where something is not as it must be"
)]

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use e2e::rails::Rail;
use e2e::{World, server, serving, text, until};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// A frame of SQLite's side log, behind the file's header of 32 bytes.
const FRAME: usize = 24 + 4096;

/// Two servers whose rollout waits in its middle, with a backup of that moment.
fn in_the_middle() -> (World, String) {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), serving(B), serving(C)]);
    world.add_artifact();
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    world.awaits_secret(A);
    let folder = backup(&world, "backup");
    (world, folder)
}

fn backup(world: &World, name: &str) -> String {
    let folder = world.path(name).display().to_string();
    let done = world.entrain(&["backup", &folder]);
    assert!(done.status.success(), "{}", text(&done));
    folder
}

fn log(world: &World, end: &str) -> PathBuf {
    world.path(&format!("controller/log.sqlite{end}"))
}

/// What the controller says as it starts, and does not serve.
fn refuses_to_start(world: &World) -> String {
    let refused = world.entrain(&["serve"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    text(&refused)
}

/// The damaged state folder is moved away, and the backup is put in its place.
fn restores(world: &mut World, folder: &str) {
    world.kill_controller();
    std::fs::rename(world.path("controller"), world.path("damaged")).unwrap();
    let done = world.entrain(&["restore", folder]);
    assert!(done.status.success(), "{}", text(&done));
    world.start_controller();
    world.all_report(3);
}

/// All that is left to be done is done, and nothing of what was done before.
fn ends(world: &mut World) {
    let resumed = world.entrain(&["resume", "r1", "--after-restore"]);
    assert!(resumed.status.success(), "{}", text(&resumed));
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2]);
}

fn make_token(world: &World, name: &str) -> String {
    let out = world.path(name).display().to_string();
    text(&world.entrain(&["token", "create", "--uses", "2", "--out", &out]))
}

/// Damages a file where it lies; gives what it was.
fn tear(path: &Path, damage: impl Fn(&mut [u8])) -> Vec<u8> {
    let whole = std::fs::read(path).unwrap();
    let mut torn = whole.clone();
    damage(&mut torn);
    assert_ne!(whole, torn);
    put(path, &torn);
    whole
}

/// Writes over a file that somebody may have open.
fn put(path: &Path, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

/// Transactions that are in the side log's present life.
fn transactions(side: &Path) -> usize {
    let bytes = std::fs::read(side).unwrap_or_default();
    let Some((header, frames)) = bytes.split_at_checked(32) else {
        return 0;
    };
    let ends = |frame: &&[u8]| frame[8..16] == header[16..24] && frame[4..8] != [0; 4];
    frames.chunks_exact(FRAME).filter(ends).count()
}

/// Orders lie in the side log alone when the controller is killed. SQLite would read it up to the damage and say nothing: the pause
/// would never have been ordered.
#[test]
fn a_side_log_that_was_damaged_in_the_middle_is_named_and_no_order_is_forgotten() {
    let (mut world, folder) = in_the_middle();
    let paused = world.entrain(&["pause", "r1"]);
    assert!(paused.status.success(), "{}", text(&paused));
    let side = log(&world, "-wal");
    let mut made = 0;
    // Whoever is idle for a second settles the side log, and it begins anew.
    until("enough orders lie in it alone", || {
        for _ in 0..6 {
            made += 1;
            drop(make_token(&world, &format!("token-{made}")));
        }
        world.kill_controller();
        if transactions(&side) > 5 {
            return Some(());
        }
        world.start_controller();
        None
    });
    // Somewhere in the beginning, in the content, in a frame's header, and in the file's.
    for at in [32 + 24 + 100, 32 + FRAME + 2000, 32 + 2 * FRAME + 9, 20] {
        let whole = tear(&side, |bytes| bytes[at] ^= 0x20);
        let said = refuses_to_start(&world);
        for part in ["log.sqlite-wal was damaged at frame", "entrain restore"] {
            assert!(said.contains(part), "byte {at}: {part}: {said}");
        }
        put(&side, &whole);
    }
    // Nothing was touched meanwhile: whole again, it has every order.
    world.start_controller();
    let status = world.json(&["status", "--json"]);
    assert_eq!(status["rollouts"][0]["state"], "paused");
    // And from the backup, which does not have them, nothing begins before its operator says so.
    restores(&mut world, &folder);
    let status = world.json(&["status", "--json"]);
    assert_eq!(status["rollouts"][0]["state"], "paused");
    ends(&mut world);
}

/// What was being written when the power went was told to nobody: it is not there, and all goes on.
#[test]
fn a_side_log_that_was_cut_off_is_a_power_cut() {
    let (mut world, _) = in_the_middle();
    drop(make_token(&world, "token"));
    world.kill_controller();
    let side = log(&world, "-wal");
    let whole = std::fs::read(&side).unwrap();
    put(&side, &[whole.as_slice(), &[7; FRAME / 2]].concat());
    world.start_controller();
    world.all_report(3);
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2]);
}

/// Pages of the database are overwritten under a controller that serves. What it has in memory is right, and it goes on with it; the
/// next one starts with no state that it would have to guess.
#[test]
fn a_database_that_was_damaged_under_its_controller_is_refused_at_the_next_start() {
    let (mut world, folder) = in_the_middle();
    let path = log(&world, "");
    let pages = until("it has settled", || {
        let size = std::fs::metadata(&path).unwrap().len();
        let pages = usize::try_from(size).unwrap() / 4096;
        (pages > 8).then_some(pages)
    });
    tear(&path, |bytes| {
        bytes[2 * 4096..(pages / 2) * 4096].fill(0xa5)
    });
    world.give_secrets(20);
    until("the canary goes on, or it says that it cannot", || {
        let status = text(&world.entrain(&["status"]));
        let goes_on = world.state(A).0 != "awaiting secret";
        (goes_on || status.contains("ALARM nothing is stored since")).then_some(())
    });
    world.kill_controller();
    let said = refuses_to_start(&world);
    assert!(
        said.contains("log.sqlite") && said.contains("restore it from a backup"),
        "{said}"
    );
    restores(&mut world, &folder);
    ends(&mut world);
}

/// The files are removed, or others are put in their place, under a controller that serves: what it wrote from then on would go with
/// its process. It stores nothing more and says what still helps, and nothing is lost.
#[test]
fn a_log_that_is_removed_under_its_controller_can_still_be_saved() {
    for replaced in [false, true] {
        let (mut world, _) = in_the_middle();
        if replaced {
            // Somebody puts a copy in its place.
            let copy = world.path("copy");
            std::fs::copy(log(&world, ""), &copy).unwrap();
            std::fs::rename(copy, log(&world, "")).unwrap();
        } else {
            for end in ["", "-wal", "-shm"] {
                std::fs::remove_file(log(&world, end)).unwrap();
            }
        }
        let said = make_token(&world, "token");
        for part in ["could not store", "removed or replaced", "entrain backup"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!world.path("token").exists());
        let status = text(&world.entrain(&["status"]));
        assert!(status.contains("ALARM nothing is stored since"), "{status}");
        let before = world.records();
        let folder = backup(&world, "saved");
        if !replaced {
            world.kill_controller();
            let said = refuses_to_start(&world);
            assert!(said.contains("gone or empty"), "{said}");
        }
        restores(&mut world, &folder);
        let after = world.records();
        assert!(after.starts_with(&before), "nothing is lost");
        ends(&mut world);
    }
}
