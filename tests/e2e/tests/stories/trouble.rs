//! Orders to those who are away, and what is damaged at the controller: processes as they are, on loopback.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a story stops where something is not as it must be"
)]

use std::path::PathBuf;
use std::time::Duration;

use e2e::rails::Rail;
use e2e::{World, server, serving, text, until};
use protocol::event::{Completion, Event};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

fn enrolled() -> (World, String) {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    (world, topology)
}

/// The same with one that is bare and two that serve, of which one must at each moment.
fn guarded() -> (World, String) {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), serving(B), serving(C)]);
    world.add_artifact();
    let topology = world.guarded(&[A, B, C]);
    (world, topology)
}

/// The one artifact's file in the controller's store.
fn artifact(world: &World) -> PathBuf {
    let mut entries = std::fs::read_dir(world.path("controller/artifacts")).unwrap();
    entries
        .find_map(|entry| {
            let path = entry.unwrap().path();
            path.extension().is_none().then_some(path)
        })
        .unwrap()
}

fn succeeds(world: &World, arguments: &[&str]) {
    let output = world.entrain(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
}

#[test]
fn what_was_aborted_before_an_agent_took_it_is_never_begun() {
    let (mut world, topology) = enrolled();
    world.freeze_agents();
    world.apply(&topology);
    until("the canary's bundle is issued", || {
        (world.state(A).0 == "offered").then_some(())
    });
    succeeds(&world, &["abort", "r1"]);
    world.kill_agents();
    world.start_agents(&[server(A, &[]), server(B, &[])], None);
    until("it is withdrawn", || {
        (world.state(A).0 == "aborted" && world.state(B).0 == "aborted").then_some(())
    });
    world.all_report(2);
    assert!(world.changes(A).is_empty() && world.changes(B).is_empty());
    let accepted = |event: &Event| matches!(event, Event::BundleAccepted { .. });
    let events = world.events();
    assert!(!events.iter().any(|(_, _, event)| accepted(event)));
    // The next rollout is not in its way.
    world.apply(&topology);
    world.give_secrets(2);
    until("the second rollout ends", || {
        let over = |row: &serde_json::Value| row["state"] == "over";
        let rollouts = world.json(&["status", "--json"])["rollouts"].clone();
        rollouts.as_array()?.iter().all(over).then_some(())
    });
    assert_eq!(world.changes(A).len(), world.changes(B).len());
    world.nothing_lost_or_repeated(&[A, B]);
}

#[test]
fn a_target_that_nobody_can_reach_is_resolved_by_name_and_ends_when_it_is_back() {
    let (mut world, topology) = enrolled();
    world.apply(&topology);
    world.awaits_secret(A);
    let early = world.entrain(&["resolve", "r1", A, "--reason", "x"]);
    assert!(
        !early.status.success() && text(&early).contains("is connected"),
        "{}",
        text(&early)
    );
    world.kill_agents();
    until("it is unreachable", || {
        (world.state(A).0 == "unreachable").then_some(())
    });
    succeeds(
        &world,
        &["resolve", "r1", A, "--reason", "the server is scrap"],
    );
    let (state, detail) = world.state(A);
    assert_eq!(state, "resolved");
    assert!(detail.contains("the server is scrap"), "{detail}");
    world.start_agents(&[server(A, &[]), server(B, &[])], None);
    until("its run ends by itself", || {
        let events = world.events();
        let ended = |(target, _, event): &(String, u64, Event)| {
            target == A
                && matches!(event, Event::RunFinished { ending, .. } if *ending == protocol::signed::Ending::Aborted)
        };
        events.iter().any(ended).then_some(())
    });
    assert_eq!(world.state(A).0, "resolved", "the operator's word stands");
    world.nothing_lost_or_repeated(&[A]);
}

#[test]
fn an_abort_ends_at_once_without_an_agent_that_is_away_and_hears_it_when_it_is_back() {
    let (mut world, topology) = enrolled();
    world.apply(&topology);
    world.awaits_secret(A);
    world.kill_agents();
    until("it is unreachable", || {
        (world.state(A).0 == "unreachable").then_some(())
    });
    succeeds(&world, &["abort", "r1"]);
    // Its bundle is good for two weeks, and nobody waits for that.
    let watched = world.entrain(&["watch", "r1"]);
    let said = text(&watched);
    assert!(
        said.contains("rollout r1 is aborted, 1 unknown: 1 aborted, 1 unknown"),
        "{said}"
    );
    assert!(text(&world.entrain(&["status"])).contains("aborted, 1 unknown"));
    let (state, detail) = world.state(A);
    assert_eq!(state, "unknown");
    assert!(detail.contains("may be at work until"), "{detail}");
    world.start_agents(&[server(A, &[]), server(B, &[])], None);
    until("it has said what became of it", || {
        (world.state(A).0 == "aborted").then_some(())
    });
    let said = text(&world.entrain(&["watch", "r1"]));
    assert!(said.contains("rollout r1 is aborted: 2 aborted"), "{said}");
    world.nothing_lost_or_repeated(&[A]);
}

#[test]
fn a_change_number_stands_in_bundle_event_receipt_and_report() {
    const CHANGE: &str = "CHG0012345";
    let (mut world, topology) = enrolled();
    let policy = world.write("policy.toml", "[limit]\nfailures = \"50\"\n");
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    let plan = planned["plan"].as_str().unwrap().to_owned();
    succeeds(&world, &["apply", &plan, "--change", CHANGE]);
    world.give_secrets(2);
    let watched = text(&world.entrain(&["watch", "r1"]));
    assert!(
        watched.contains("rollout r1 (CHG0012345) is over: 2 done"),
        "{watched}"
    );
    assert!(text(&world.entrain(&["status"])).contains(CHANGE));
    assert!(text(&world.entrain(&["why", A])).contains("r1 (CHG0012345), wave 1"));

    let mut finished = 0;
    for (target, _, event) in world.events() {
        match event {
            Event::BundleAccepted { change, .. } => {
                assert_eq!(change.as_deref(), Some(CHANGE), "{target}");
            }
            Event::RunFinished { receipt, .. } => {
                finished += 1;
                let envelope = protocol::signed::Envelope::from_json(receipt.as_bytes()).unwrap();
                let payload = envelope.payload_bytes().unwrap();
                let receipt: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!(receipt["change"], CHANGE, "{target}");
            }
            _ => {}
        }
    }
    // What is signed, as whoever audits it reads it.
    let file = world.path("audit.jsonl").display().to_string();
    succeeds(&world, &["audit", "export", &file]);
    let proof = world.json(&["audit", "verify", &file, "--json"]);
    let under = &proof["changes"][CHANGE];
    assert_eq!(
        (&under["bundles"], &under["receipts"]),
        (&proof["bundles"], &proof["receipts"])
    );
    assert_eq!(under["receipts"], finished);
    assert!(text(&world.entrain(&["audit", "verify", &file])).contains(CHANGE));

    // Every entry of its trail, and nothing else.
    let all = world.json(&["logs", "--json"]);
    let trail = world.json(&["logs", "--change", CHANGE, "--json"]);
    let kinds = |rows: &serde_json::Value| -> Vec<String> {
        let rows = rows.as_array().unwrap().iter();
        let kind = |row: &serde_json::Value| row["record"]["record"].as_str().map(str::to_owned);
        rows.filter_map(kind).collect()
    };
    let of = |rows: &serde_json::Value, kind: &str| {
        kinds(rows).iter().filter(|one| *one == kind).count()
    };
    for kind in ["applied", "bundle-issued", "permit-given"] {
        assert!(of(&trail, kind) > 0, "{kind}");
        assert_eq!(of(&trail, kind), of(&all, kind), "{kind}");
    }
    assert_eq!(of(&trail, "agent-enrolled"), 0);
    let runs = |rows: &serde_json::Value| {
        let rows = rows.as_array().unwrap().iter();
        let of_run = |row: &&serde_json::Value| row["event"]["is"]["generation"].is_number();
        rows.filter(of_run).count()
    };
    assert_eq!(runs(&trail), runs(&all));
    assert!(kinds(&world.json(&["logs", "--change", "CHG2", "--json"])).is_empty());
}

#[test]
fn an_artifact_that_was_cut_off_at_the_controller_is_named() {
    let (world, topology) = enrolled();
    let file = artifact(&world);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..1_700_000]).unwrap();
    world.apply(&topology);
    let detail = until("the step fails", || {
        let (state, detail) = world.state(A);
        (state == "failed").then_some(detail)
    });
    assert!(
        detail.contains("damaged: 1700000 of 2500000 bytes"),
        "{detail}"
    );
    assert!(world.changes(A).is_empty());
}

/// Fails the canary's step once more, and says why.
fn fails_again(world: &World) -> String {
    let failures = || {
        let failed =
            |(_, _, event): &(String, u64, Event)| matches!(event, Event::StepFailed { .. });
        world.events().iter().filter(|event| failed(event)).count()
    };
    let before = failures();
    succeeds(world, &["retry", "r1"]);
    until("the step fails again", || {
        let (state, detail) = world.state(A);
        (failures() > before && state == "failed").then_some(detail)
    })
}

/// Whatever is done to the controller's copy, while it runs and while it is down, is refused by name, and nothing of it is
/// installed; the same file added again puts it right.
#[test]
fn an_artifact_that_was_altered_or_lost_at_the_controller_is_never_installed_until_it_is_added_again()
 {
    let (mut world, topology) = guarded();
    let file = artifact(&world);
    let list = file.with_extension("chunks");
    let (bytes, chunks) = (std::fs::read(&file).unwrap(), std::fs::read(&list).unwrap());
    let altered = |bytes: &[u8]| {
        let mut altered = bytes.to_vec();
        *altered.last_mut().unwrap() ^= 1;
        altered
    };
    let whole = || {
        std::fs::write(&file, &bytes).unwrap();
        std::fs::write(&list, &chunks).unwrap();
    };
    std::fs::remove_file(&file).unwrap();
    world.apply(&topology);
    let detail = until("the step fails", || {
        let (state, detail) = world.state(A);
        (state == "failed").then_some(detail)
    });
    let gone = "its copy in the artifact store is gone; add it again";
    assert!(detail.contains(gone), "{detail}");

    type Damage<'a> = (&'a dyn Fn(), &'a str);
    let of_list = format!(
        "damaged: {} of {} bytes; add it again",
        chunks.len() - 1,
        chunks.len()
    );
    let damages: [Damage<'_>; 5] = [
        (
            &|| std::fs::write(&file, altered(&bytes)).unwrap(),
            "chunk 2 does not have the digest that the signed bundle gives; it was discarded. The controller's copy was altered: add it again there",
        ),
        (
            &|| std::fs::write(&file, b"").unwrap(),
            "damaged: 0 of 2500000 bytes; add it again",
        ),
        (&|| std::fs::remove_file(&list).unwrap(), gone),
        (&|| std::fs::write(&list, &chunks[1..]).unwrap(), &of_list),
        (
            &|| std::fs::write(&list, altered(&chunks)).unwrap(),
            "the chunk list does not have the digest that the signed bundle gives",
        ),
    ];
    for (down, (damages, said)) in [true, false].into_iter().cycle().zip(damages) {
        whole();
        if down {
            world.kill_controller();
            damages();
            world.start_controller();
            world.all_report(3);
        } else {
            damages();
        }
        let detail = fails_again(&world);
        assert!(detail.contains(said), "down: {down}; {said}: {detail}");
        assert!(world.changes(A).is_empty() && world.changes(B).is_empty());
    }
    // What an operator is told to do.
    std::fs::remove_file(&file).unwrap();
    world.add_artifact();
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert_eq!(std::fs::read(&list).unwrap(), chunks);
    succeeds(&world, &["retry", "r1"]);
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

/// What an agent has of an artifact when it starts again is measured by the signed bundle: half of it goes on at its last
/// good chunk, and what was altered meanwhile is fetched anew.
#[test]
fn an_artifact_that_is_half_there_or_altered_when_its_agent_starts_again_is_fetched_anew() {
    let (mut world, topology) = guarded();
    let file = artifact(&world);
    let bytes = std::fs::read(&file).unwrap();
    let mut altered = bytes.clone();
    *altered.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &altered).unwrap();
    world.apply(&topology);
    until("the step fails", || {
        (world.state(A).0 == "failed").then_some(())
    });
    let at = |target: &str| {
        let name = file.file_name().unwrap();
        world
            .path("agents")
            .join(target)
            .join("artifacts")
            .join(name)
    };
    // Its two good chunks are kept, and not the third.
    let (half, whole) = (at(A).with_extension("part"), at(B));
    let kept = std::fs::read(&half).unwrap();
    assert_eq!(kept, bytes[..2 << 20]);
    assert!(!at(A).exists(), "what is not whole is not there");
    world.kill_agents();
    // While the agents are down: the first chunk of the half is altered, and the other server has a whole one that is not right.
    let mut torn = kept;
    torn[5] ^= 1;
    std::fs::write(&half, torn).unwrap();
    std::fs::create_dir_all(whole.parent().unwrap()).unwrap();
    std::fs::write(&whole, &altered).unwrap();
    world.add_artifact();
    world.start_agents(&[server(A, &[]), serving(B), serving(C)], None);
    world.all_report(3);
    succeeds(&world, &["retry", "r1"]);
    world.give_secrets(20);
    world.all_done();
    for target in [A, B] {
        let name = file.file_name().unwrap();
        let fetched = world
            .path("agents")
            .join(target)
            .join("artifacts")
            .join(name);
        assert_eq!(std::fs::read(fetched).unwrap(), bytes, "{target}");
    }
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

#[test]
fn a_plan_that_was_altered_in_the_store_is_not_taken_up() {
    let (mut world, topology) = enrolled();
    let planned = world.json(&["plan", &topology, "--json"]);
    assert!(planned["plan"].is_string());
    world.kill_controller();
    let store = rusqlite::Connection::open(world.path("controller/log.sqlite")).unwrap();
    let altered = store
        .execute(
            "UPDATE blob SET bytes = CAST(replace(CAST(bytes AS TEXT), 'sync-01', 'sync-66') AS BLOB)",
            [],
        )
        .unwrap();
    assert!(altered > 0);
    drop(store);
    let refused = world.entrain(&["serve"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused);
    assert!(
        said.contains("log.sqlite") && said.contains("altered"),
        "{said}"
    );
}

#[test]
fn a_refused_session_is_in_the_operators_view() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    succeeds(&world, &["agents", "revoke", A]);
    world.kill_agents();
    world.start_agents(&[server(A, &[])], None);
    until("its refusal is shown", || {
        let agents = world.json(&["agents", "--json"]);
        let rows = agents["refusals"].as_array()?.clone();
        rows.iter()
            .any(|row| row["what"] == "session" && row["who"] == A)
            .then_some(())
    });
    assert!(text(&world.entrain(&["agents"])).contains("revoked"));
}

#[test]
fn what_a_person_attested_reaches_an_agent_that_was_away_and_is_shown_as_attested() {
    let mut world = World::new();
    // Nobody comes to this server's wizard.
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    let topology = world.write(
        "wizard.toml",
        &format!(
            "[tenant.main]\nid = \"{}\"\nsign_in = \"wizard\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{A}\"]\n",
            e2e::TENANT
        ),
    );
    world.apply(&topology);
    until("the wizard waits for a person", || {
        let tasks = world.json(&["tasks", "list", "--json"]);
        (tasks.as_array()?.len() == 1).then_some(())
    });
    world.kill_agents();
    succeeds(&world, &["tasks", "attest", A]);
    world.start_agents(&[server(A, &[])], None);
    let by = until("the step is complete", || {
        let attested = |event: Event| {
            let Event::StepCompleted { completion, .. } = event else {
                return None;
            };
            let Completion::Attested { by } = completion else {
                return None;
            };
            Some(by)
        };
        let mut events = world.events().into_iter();
        events.find_map(|(_, _, event)| attested(event))
    });
    assert!(!by.is_empty());
    // No probe saw the registration, so the verification does not take a person's word for it.
    until("the verification says what it saw", || {
        let state = world.state(A).0;
        matches!(state.as_str(), "failed" | "inconclusive").then_some(())
    });
    world.nothing_lost_or_repeated(&[A]);
}

#[test]
fn a_replaced_server_enrolls_anew_and_its_old_key_stays_out() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    let key = |world: &World| world.json(&["agents", "list", "--json"])["agents"][0]["key"].clone();
    let old = key(&world);
    world.kill_agents();
    succeeds(&world, &["agents", "replace", A]);
    let kept = world.path("agents-before");
    std::fs::rename(world.path("agents"), &kept).unwrap();
    world.enroll(&[server(A, &[])]);
    assert_ne!(key(&world), old, "another key");
    world.kill_agents();
    std::fs::rename(world.path("agents"), world.path("agents-after")).unwrap();
    std::fs::rename(&kept, world.path("agents")).unwrap();
    world.start_agents(&[server(A, &[])], None);
    until("the old key is refused", || {
        let agents = world.json(&["agents", "list", "--json"]);
        let rows = agents["refusals"].as_array()?.clone();
        rows.iter()
            .any(|row| row["what"] == "session" && row["who"] == A)
            .then_some(())
    });
}

#[test]
fn what_was_fetched_before_is_kept_as_far_as_it_is_good() {
    let (mut world, topology) = enrolled();
    let file = artifact(&world);
    let bytes = std::fs::read(&file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    // One server has a good chunk and half of another, the other server nothing but garbage.
    let part = |target: &str, content: &[u8]| {
        let folder = world.path("agents").join(target).join("artifacts");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.part")), content).unwrap();
    };
    part(A, &bytes[..1_600_000]);
    part(B, &vec![7; 3_000_000]);
    world.apply(&topology);
    world.give_secrets(2);
    world.all_done();
    for target in [A, B] {
        let fetched = world
            .path("agents")
            .join(target)
            .join("artifacts")
            .join(&name);
        assert_eq!(std::fs::read(fetched).unwrap(), bytes, "{target}");
    }
    world.nothing_lost_or_repeated(&[A, B]);
}

#[test]
fn certificates_are_renewed_in_a_session_and_after_they_have_expired() {
    let mut world = World::new();
    world.kill_controller();
    let settings = world.path("controller/controller.json");
    let mut changed: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&settings).unwrap()).unwrap();
    // An agent looks after its certificate every 20 s; this one is due then, and ends soon after.
    changed["certificate_seconds"] = 30.into();
    std::fs::write(&settings, changed.to_string()).unwrap();
    world.start_controller();
    world.enroll(&[server(A, &[])]);
    let issued = |world: &World| {
        let rows = world.json(&["logs", "--json"]);
        let rows = rows.as_array().unwrap().clone();
        rows.into_iter()
            .filter(|row| row["record"]["record"] == "certificate-issued")
            .map(|row| row["record"]["is"]["expires"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = issued(&world).len();
    until("it is renewed while the session stands", || {
        (issued(&world).len() > first).then_some(())
    });
    // The controller is away for longer than the certificate lives; the agent runs on.
    let last = issued(&world).pop().unwrap();
    world.kill_controller();
    let ends: protocol::Timestamp = serde_json::from_value(last.into()).unwrap();
    until("it has expired", || {
        (controller::now() > ends.plus(Duration::from_secs(1))).then_some(())
    });
    world.start_controller();
    let before = issued(&world).len();
    until("the expired one is renewed", || {
        (issued(&world).len() > before).then_some(())
    });
    world.all_report(1);
    let agents = world.json(&["agents", "--json"]);
    assert_eq!(
        agents["agents"].as_array().unwrap().len(),
        1,
        "the same agent"
    );
}

/// The controller's files of the log.
fn log_files(world: &World) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| world.path(&format!("controller/log.sqlite{end}")))
}

#[test]
fn a_log_that_is_gone_or_cut_off_is_refused_by_name() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    world.kill_agents();
    world.kill_controller();
    let log = &log_files(&world)[0];
    {
        // Everything into the one file, as after a stop in order.
        let connection = rusqlite::Connection::open(log).unwrap();
        let done = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        done.unwrap();
    }
    let whole = std::fs::read(log).unwrap();
    for (what, bytes) in [
        ("gone", None),
        ("empty", Some(&whole[..0])),
        ("half", Some(&whole[..whole.len() / 2])),
    ] {
        for file in log_files(&world) {
            std::fs::remove_file(file).ok();
        }
        if let Some(bytes) = bytes {
            std::fs::write(log, bytes).unwrap();
        }
        let refused = world.entrain(&["serve"]);
        assert!(!refused.status.success(), "{what}");
        let said = text(&refused);
        assert!(said.contains("log.sqlite"), "{what}: {said}");
    }
    for file in log_files(&world) {
        std::fs::remove_file(file).ok();
    }
    std::fs::write(log, &whole).unwrap();
    world.start_controller();
    world.start_agents(&[server(A, &[])], None);
    world.all_report(1);
}
