//! A fetch that is aborted in its middle, with processes as they are, over a line that is slow: it ends, nothing of it is left on the
//! server, and what comes behind it fetches anew and ends well.

use e2e::relay::Faults;
use e2e::{World, server, text, until};

const A: &str = "sync-01.corp.contoso.com";

/// The stand-in for a setup takes ten seconds on it.
const SLOW: Faults = Faults {
    bytes_per_second: 1_000_000,
    ..Faults::NONE
};

/// How the abort finds the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finds {
    /// At it.
    There,
    /// On a link that is cut, and mended behind the abort.
    CutOff,
    /// Ended, and started again behind the abort.
    Killed,
}

/// Names and sizes of what an agent keeps of artifacts.
fn kept(world: &World) -> Vec<(String, u64)> {
    let place = world.path("agents").join(A).join("artifacts");
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let entry = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        // It may be renamed, or go, between the two.
        entry.metadata().ok().map(|about| (name, about.len()))
    };
    entries.filter_map(entry).collect()
}

fn ordered(world: &World, arguments: &[&str]) -> String {
    let done = world.entrain(arguments);
    assert!(done.status.success(), "{}", text(&done));
    text(&done)
}

fn story(finds: Finds) {
    let mut world = World::behind_a_relay(Faults::NONE, 7);
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A]);
    world.relay().becomes(SLOW);
    world.apply(&topology);
    let half = until("some of it has come", || {
        let kept = kept(&world);
        kept.into_iter().find(|(_, bytes)| *bytes > 0)
    });
    assert!(half.0.ends_with(".part"), "{half:?} is in its middle");
    if finds == Finds::CutOff {
        world.relay().cut();
    } else if finds == Finds::Killed {
        world.kill_agents();
    }
    let said = ordered(&world, &["abort", "r1"]);
    assert!(said.contains("ends at its next gate"), "{said}");
    world.relay().mend();
    if finds == Finds::Killed {
        assert_eq!(kept(&world).len(), 1, "what has come lies there");
        world.start_agents(&[server(A, &[])], None);
    }
    until("its run has ended", || {
        (world.state(A).0 == "aborted").then_some(())
    });
    let left = kept(&world);
    assert!(left.is_empty(), "{finds:?}: {left:?} is left of it");
    assert!(world.changes(A).is_empty());

    world.relay().becomes(Faults::NONE);
    world.give_secrets(1);
    world.apply(&topology);
    world.all_done();
    let kept = kept(&world);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let (name, bytes) = &kept[0];
    assert!(!name.ends_with(".part"), "{name} is whole");
    let whole = std::fs::metadata(world.path("setup.bin")).expect("the setup");
    assert_eq!(*bytes, whole.len());
    world.nothing_lost_or_repeated(&[A]);
    drop(world.audit());
}

#[test]
fn a_fetch_that_is_aborted_while_its_bytes_flow_ends_and_leaves_nothing() {
    story(Finds::There);
}

#[test]
fn a_fetch_that_is_aborted_while_the_link_is_cut_ends_and_leaves_nothing() {
    story(Finds::CutOff);
}

#[test]
fn a_fetch_that_is_aborted_while_its_agent_is_down_ends_and_leaves_nothing() {
    story(Finds::Killed);
}
