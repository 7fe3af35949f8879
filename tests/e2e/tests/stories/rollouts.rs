//! Stories with real processes on loopback.

use std::path::Path;
use std::process::Command;

use agent_twin::Fault;
use e2e::rails::Rail;
use e2e::{SECRET, World, files, program, server, serving, text, until};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// A world with servers that are enrolled, an artifact, and the topology's path.
fn prepared(hosts: &[&str], speed: u32) -> (World, String) {
    let mut world = World::new();
    world.speed = speed;
    let servers: Vec<_> = hosts.iter().map(|host| server(host, &[])).collect();
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.topology(hosts);
    (world, topology)
}

/// The same with a first one that is bare and others that serve, of which one must at each moment.
fn guarded(hosts: &[&str], speed: u32) -> (World, String) {
    let mut world = World::new();
    world.speed = speed;
    let (first, others) = hosts.split_first().expect("a host");
    let others = others.iter().map(|host| serving(host));
    let servers: Vec<_> = std::iter::once(server(first, &[])).chain(others).collect();
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.guarded(hosts);
    (world, topology)
}

#[test]
fn a_first_rollout_ends_in_signed_receipts_and_leaves_no_secret() {
    let (mut world, topology) = prepared(&[A, B, C], 0);
    world.apply(&topology);
    world.give_secrets(3);
    world.all_done();
    assert_eq!(world.state(A).1, "registered");
    world.nothing_lost_or_repeated(&[A, B, C]);
    let record = world.audit();
    assert_eq!(
        record.matches("run-finished").count(),
        9,
        "three phases on three servers"
    );
    let mut found = Vec::new();
    files(&world.path(""), &mut |path| {
        if let Ok(bytes) = std::fs::read(path)
            && bytes
                .windows(SECRET.len())
                .any(|window| window == SECRET.as_bytes())
        {
            found.push(path.to_owned());
        }
    });
    assert!(found.is_empty(), "the secret was written to {found:?}");
}

#[test]
fn every_altered_line_of_the_record_is_located() {
    let (mut world, topology) = prepared(&[A], 0);
    world.apply(&topology);
    world.give_secrets(1);
    world.all_done();
    let record = world.audit();
    let lines: Vec<&str> = record.lines().collect();
    for at in (0..lines.len()).step_by(7) {
        let mut altered: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        // One letter of the line's content becomes another one.
        let middle = altered[at].len() / 2;
        let place = (middle..altered[at].len())
            .find(|place| altered[at].as_bytes()[*place].is_ascii_alphanumeric())
            .unwrap();
        let other = if altered[at].as_bytes()[place] == b'a' {
            "b"
        } else {
            "a"
        };
        altered[at].replace_range(place..=place, other);
        let broken = controller::audit::verify_file(&altered.join("\n")).unwrap_err();
        // What an entry names by digest is found where the bytes fail to match it.
        assert!(
            broken.line == at + 1 || broken.line == at + 2,
            "altered line {}, found {broken}",
            at + 1
        );
    }
    let cut = lines[..lines.len() - 1].join("\n");
    assert!(
        controller::audit::verify_file(&cut)
            .unwrap_err()
            .what
            .contains("cut off")
    );
}

#[test]
fn a_controller_that_is_killed_again_and_again_loses_nothing() {
    let (mut world, topology) = guarded(&[A, B, C], 100);
    world.apply(&topology);
    world.give_secrets(20);
    for _ in 0..4 {
        let before = world.events().len();
        until("something happens", || {
            (world.events().len() > before + 3
                || world.targets().iter().all(|t| t["state"] == "done"))
            .then_some(())
        });
        world.kill_controller();
        world.start_controller();
        world.give_secrets(20);
    }
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

#[test]
fn agents_that_are_killed_again_and_again_repeat_nothing() {
    let (mut world, topology) = guarded(&[A, B, C], 100);
    world.apply(&topology);
    for _ in 0..5 {
        let before = world.events().len();
        world.give_secrets(20);
        until("something happens", || {
            (world.events().len() > before + 2
                || world.targets().iter().all(|t| t["state"] == "done"))
            .then_some(())
        });
        world.kill_agents();
        world.start_agents(&[server(A, &[]), serving(B), serving(C)], None);
    }
    // An answer to an agent that was just killed is lost with it: it asks again under a new key.
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

#[test]
fn a_canary_that_fails_holds_its_group_and_says_why() {
    let mut world = World::new();
    world.enroll(&[server(A, &[Fault::LogonRightMissing]), server(B, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    until("the canary fails", || {
        (world.state(A).0 == "failed").then_some(())
    });
    let (state, detail) = world.state(B);
    assert_eq!(state, "held");
    assert!(detail.contains(&format!("canary {A}")), "{detail}");
    let why = text(&world.entrain(&["why", A]));
    for part in ["KE01", "cause:", "fix:", "log:", "failed to start"] {
        assert!(why.contains(part), "{why}");
    }
    // Left out, the canary holds nobody any more.
    world.give_secrets(1);
    let skipped = world.entrain(&[
        "skip",
        "r1",
        A,
        "--reason",
        "its owner mends the policy next week",
    ]);
    assert!(skipped.status.success(), "{}", text(&skipped));
    until("the other is done", || {
        (world.state(B).0 == "done").then_some(())
    });
    let watched = world.entrain(&["watch", "r1"]);
    assert_eq!(watched.status.code(), Some(3), "{}", text(&watched));
}

#[test]
fn pause_holds_resume_goes_on_and_abort_ends() {
    let (mut world, topology) = prepared(&[A, B], 0);
    world.apply(&topology);
    world.awaits_secret(A);
    assert!(world.entrain(&["pause", "r1"]).status.success());
    assert!(world.state(B).1.contains("paused"));
    assert!(world.entrain(&["resume", "r1"]).status.success());
    world.give_secrets(1);
    until("the canary goes on", || {
        (world.state(A).0 == "done").then_some(())
    });
    world.awaits_secret(B);
    assert!(world.entrain(&["abort", "r1"]).status.success());
    until("the run ends at its gate", || {
        (world.state(B).0 == "aborted").then_some(())
    });
    assert_eq!(world.entrain(&["watch", "r1"]).status.code(), Some(3));
    drop(world.audit());
}

#[test]
fn join_tokens_are_good_once_and_for_their_controller() {
    let mut world = World::new();
    let join = world.path("named.json");
    let out = join.to_str().unwrap();
    assert!(
        world
            .entrain(&["token", "create", "--target", A, "--out", out])
            .status
            .success()
    );
    world.start_agents(&[server(A, &[])], Some(&join));
    world.all_report(1);
    let agent = |join: &Path, name: &str| {
        let state = world.path(&format!("state-{name}"));
        let arguments = ["enroll", "--name", name, "--state"];
        let output = Command::new(program("entrain-agent"))
            .args(arguments)
            .arg(state)
            .arg("--join")
            .arg(join)
            .output();
        let output = output.unwrap();
        (output.status.success(), text(&output))
    };
    let (ok, said) = agent(&join, B);
    assert!(!ok && said.contains("the join token was used"), "{said}");

    let other = World::new();
    let mut foreign: serde_json::Value =
        serde_json::from_slice(&std::fs::read(other.join_file(1)).unwrap()).unwrap();
    foreign["controller"] = serde_json::json!(format!("127.0.0.1:{}", world.port()));
    let path = world.write("foreign.json", &foreign.to_string());
    let (ok, said) = agent(Path::new(&path), B);
    assert!(!ok && said.contains("another trust root"), "{said}");

    let mut unknown: serde_json::Value =
        serde_json::from_slice(&std::fs::read(world.join_file(1)).unwrap()).unwrap();
    unknown["token"] = serde_json::json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let path = world.write("unknown.json", &unknown.to_string());
    let (ok, said) = agent(Path::new(&path), B);
    assert!(!ok && said.contains("not known"), "{said}");

    let made = world.entrain(&[
        "token",
        "create",
        "--minutes",
        "0",
        "--out",
        world.path("expired.json").to_str().unwrap(),
    ]);
    assert!(made.status.success());
    let (ok, said) = agent(&world.path("expired.json"), B);
    assert!(!ok && said.contains("expired"), "{said}");
    assert!(
        world.path("expired.json").exists(),
        "a join file that was not used is kept"
    );

    // The operator sees each of them, with its reason.
    let agents = world.json(&["agents", "list", "--json"]);
    let refused: Vec<String> = agents["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    for reason in ["was used", "not known", "expired"] {
        let named = |row: &&String| row.contains(reason) && row.contains(B);
        assert!(
            refused.iter().any(|row| named(&row)),
            "{reason}: {refused:?}"
        );
    }
}

#[test]
fn a_server_without_a_name_on_its_token_waits_for_an_operator() {
    let world = World::new();
    let join = world.path("join.json");
    assert!(
        world
            .entrain(&["token", "create", "--out", join.to_str().unwrap()])
            .status
            .success()
    );
    let mut enrolling = Command::new(program("entrain-agent"))
        .args(["enroll", "--name", A, "--state"])
        .arg(world.path("state"))
        .arg("--join")
        .arg(&join)
        .spawn()
        .unwrap();
    until("it waits", || {
        text(&world.entrain(&["agents"]))
            .contains("waits for approval")
            .then_some(())
    });
    let tasks = world.json(&["tasks", "--json"]);
    assert_eq!(tasks[0]["target"], A, "{tasks}");
    assert!(tasks[0]["work"]["approve"]["key"].is_string(), "{tasks}");
    let wrong = world.entrain(&["agents", "approve", A, "0123456789abcdef"]);
    assert!(text(&wrong).contains("another key"), "{}", text(&wrong));
    let short = world.entrain(&["agents", "approve", A, "1234"]);
    assert!(
        text(&short).contains("8 digits or more"),
        "{}",
        text(&short)
    );
    // Whoever asks anywhere sees that it waits, and with which key.
    for asked in [&["status"][..], &["tasks"], &["why", A]] {
        let said = text(&world.entrain(asked));
        assert!(
            said.contains("waits for approval since"),
            "{asked:?}: {said}"
        );
    }
    assert_eq!(world.json(&["status", "--json"])["tasks"], 1);
    let pending = world.json(&["agents", "--json"])["pending"][A]["key"].clone();
    let shown = text(&world.entrain(&["agents"]));
    assert!(
        shown.contains(pending.as_str().expect("a fingerprint")),
        "{shown}"
    );
    let said = text(&world.entrain(&["agents"]));
    let key = said
        .split("key ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let approved = world.entrain(&["agents", "approve", A, &key]);
    assert!(approved.status.success(), "{}", text(&approved));
    assert!(enrolling.wait().unwrap().success());
    assert!(!join.exists(), "the used join file is deleted");
    assert!(text(&world.entrain(&["agents"])).contains(A));
}

#[test]
fn a_revoked_agent_is_gone_at_once_and_stays_out() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    let revoked = world.entrain(&["agents", "revoke", A]);
    assert!(revoked.status.success(), "{}", text(&revoked));
    let log = world.path("agents.log");
    until("the agent is told", || {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("this agent was revoked")
            .then_some(())
    });
    world.kill_agents();
    std::fs::write(&log, "").unwrap();
    world.start_agents(&[server(A, &[])], None);
    until("it is refused again", || {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("refuses this agent")
            .then_some(())
    });
    assert_eq!(
        world.json(&["agents", "--json"])["agents"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn an_agent_whose_journal_went_back_is_held() {
    let (mut world, topology) = prepared(&[A], 0);
    let journal = world.path("agents").join(A).join("journal");
    let old = std::fs::read(&journal).unwrap();
    world.apply(&topology);
    world.give_secrets(1);
    world.all_done();
    world.kill_agents();
    std::fs::write(&journal, old).unwrap();
    let log = world.path("agents.log");
    world.start_agents(&[server(A, &[])], None);
    until("it is held", || {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("journal went back or forked")
            .then_some(())
    });
    // The controller shows it where an operator looks, and holds the server until somebody has looked.
    let alarm = |world: &World| {
        let status = world.json(&["status", "--json"]);
        status["alarms"][0].as_str().map(str::to_owned)
    };
    let said = until("the alarm", || alarm(&world));
    assert!(said.contains("a snapshot or a copy of its disk"), "{said}");
    assert!(said.contains(&format!("entrain agents replace {A}")));
    let agents = text(&world.entrain(&["agents"]));
    assert!(
        agents.contains("HELD") && agents.contains("ALARM"),
        "{agents}"
    );
    world.kill_controller();
    world.start_controller();
    assert_eq!(alarm(&world), Some(said), "it outlives the controller");
}

/// Two agents with one key: nobody can tell which of them is the server's. Both are held until the name is free and the one
/// that stays has a key of its own.
#[test]
fn of_an_agent_and_its_copy_both_are_held_with_an_alarm() {
    let (mut world, topology) = prepared(&[A, B], 0);
    world.start_copies(&[server(B, &[])]);
    let alarms = |world: &World| {
        let status = world.json(&["status", "--json"]);
        let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
        let alarms = alarms.iter().filter_map(|alarm| alarm.as_str());
        alarms.map(str::to_owned).collect::<Vec<String>>()
    };
    let said = until("both were seen", || alarms(&world).pop());
    assert!(said.starts_with(B), "{said}");
    assert!(said.contains("two agents with its key"), "{said}");
    assert!(said.contains("127.0.0.1 and 127.0.0.1"), "{said}");
    let told = || std::fs::read_to_string(world.path("agents.log")).unwrap();
    until("both are turned away", || {
        let refused = told().matches("the controller refuses this agent").count();
        (refused == 2).then_some(())
    });

    // Nothing goes to either, before and after a restart of the controller; the other server is served.
    world.apply(&topology);
    world.give_secrets(1);
    until("the other is done", || {
        (world.state(A).0 == "done").then_some(())
    });
    world.kill_controller();
    world.start_controller();
    assert_eq!(alarms(&world), std::slice::from_ref(&said));
    let (state, why) = world.state(B);
    assert_eq!(state, "held", "{why}");
    assert!(why.contains("two agents with its key"), "{why}");
    let why = text(&world.entrain(&["why", B]));
    assert!(why.contains("two agents with its key"), "{why}");
    assert!(world.changes(B).is_empty());

    // Freed and enrolled anew, it goes on; whoever has the old key stays out.
    world.kill_agents();
    let replaced = world.entrain(&["agents", "replace", B]);
    assert!(replaced.status.success(), "{}", text(&replaced));
    assert!(alarms(&world).is_empty(), "{:?}", alarms(&world));
    std::fs::remove_dir_all(world.path("agents").join(B)).unwrap();
    let join = world.join_file(2);
    world.start_agents(&[server(A, &[]), server(B, &[])], Some(&join));
    world.give_secrets(1);
    world.all_done();
    assert!(alarms(&world).is_empty(), "{:?}", alarms(&world));
}

#[test]
fn an_artifact_that_was_altered_at_the_controller_is_refused_by_the_agent() {
    let (world, topology) = prepared(&[A], 0);
    let artifacts = world.path("controller/artifacts");
    let file = std::fs::read_dir(&artifacts)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let file = file
        .into_iter()
        .find(|path| path.extension().is_none())
        .unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[1_500_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    world.apply(&topology);
    until("it is refused", || {
        (world.state(A).0 == "failed").then_some(())
    });
    let (_, detail) = world.state(A);
    assert!(
        detail.contains("chunk 1 does not have the digest"),
        "{detail}"
    );
    assert!(world.changes(A).is_empty());
}

#[test]
fn a_second_controller_on_the_same_state_and_an_altered_log_are_refused() {
    let mut world = World::new();
    let second = world.entrain(&["serve"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        text(&second).contains("another `entrain serve` runs"),
        "{}",
        text(&second)
    );
    world.kill_controller();
    let log = rusqlite::Connection::open(world.path("controller/log.sqlite")).unwrap();
    log.execute("UPDATE log SET at = at + 1 WHERE idx = 1", [])
        .unwrap();
    drop(log);
    let refused = world.entrain(&["serve"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(
        text(&refused).contains("altered or damaged at entry 1"),
        "{}",
        text(&refused)
    );
}

#[test]
fn a_bad_topology_gets_all_its_findings_at_once_and_starts_nothing() {
    let world = World::new();
    let topology = world.write(
        "bad.toml",
        &format!(
            r#"
[tenant.main]
id = "{tenant}"
[tenant.gov]
id = "77aa0000-0000-0000-0000-000000000000"
cloud = "us-government"
sign_in = "token"
[domain."corp.contosso.com"]
min_serving = 1
[domain."corp.contoso.com"]
min_serving = 9
[agents.corp]
tenant = "main"
serrves = ["x.y"]
serves = ["corp.contoso.com"]
hosts = ["a.corp.contoso.com", "a.corp.contoso.com"]
[agents.gov]
tenant = "gov"
serves = ["agency.test"]
hosts = ["a.corp.contoso.com"]
[connect.one]
tenant = "main"
forests = ["fabrikam.com", "legacy.local"]
servers = ["s1.fabrikam.com", "s2.fabrikam.com"]
settings = "express"
[connect.two]
tenant = "main"
forests = ["other.test"]
servers = ["s3.other.test"]
"#,
            tenant = e2e::TENANT
        ),
    );
    let checked = world.entrain(&["check", &topology]);
    assert_eq!(checked.status.code(), Some(2));
    let said = text(&checked);
    for part in [
        "bad.toml:14:1: error: unknown key \"serrves\"",
        "did you mean serves?",
        "bad.toml:7:11: error: signing in by token",
        "the domain corp.contosso.com is served by no group",
        "did you mean \"corp.contoso.com\"?",
        "min_serving = 9 of corp.contoso.com cannot be reached: 1 hosts serve it (G2)",
        "stands twice in the group",
        "a host belongs to one tenant (G9)",
        "two Connect entries",
        "express settings serve one forest",
        "a second active one would break G1",
        "no installer of the provisioning agent is in the artifact store",
        "entrain artifact how: where it comes from",
    ] {
        assert!(said.contains(part), "\"{part}\" is missing:\n{said}");
    }
    // A slip of the pen in the text hides nothing else.
    let slip = format!(
        "{}\n[site.ams\n",
        std::fs::read_to_string(&topology).unwrap()
    );
    let slip = text(&world.entrain(&["check", &world.write("slip.toml", &slip)]));
    for part in [
        "slip.toml:31:10: error: unclosed table",
        "fix: correct this line",
        "slip.toml:14:1: error: unknown key \"serrves\"",
        "stands twice in the group",
        "a host belongs to one tenant (G9)",
        "two Connect entries",
    ] {
        assert!(slip.contains(part), "\"{part}\" is missing:\n{slip}");
    }
    assert!(!slip.contains("is served by no group"), "{slip}");
    let planned = world.entrain(&["plan", &topology]);
    assert_eq!(planned.status.code(), Some(2));
    assert_eq!(
        world.json(&["status", "--json"])["rollouts"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn a_plan_on_facts_that_have_changed_is_refused_with_their_names() {
    let (mut world, topology) = prepared(&[A], 0);
    let planned = world.json(&["plan", &topology, "--json"]);
    let plan = planned["plan"].as_str().unwrap().to_owned();
    world.apply(&topology);
    world.give_secrets(1);
    world.all_done();
    let applied = world.entrain(&["apply", &plan]);
    assert_eq!(applied.status.code(), Some(1));
    assert!(
        text(&applied).contains(&format!("the facts of {A} have changed")),
        "{}",
        text(&applied)
    );
}

/// What is in the store needs nobody; for the rest a person is shown every click.
#[test]
fn how_an_installer_is_brought_is_shown_until_it_is_there() {
    let (world, _) = prepared(&[A], 0);
    let how = world.entrain(&["artifact", "how"]);
    let said = text(&how);
    assert!(how.status.success(), "{said}");
    for part in [
        "provisioning agent: it is there\n",
        "bring the installer of Connect Sync\n",
        "  [Admin center]\n    - sign in at the Microsoft Entra admin center: https://entra.microsoft.com\n",
        "entrain artifact add AzureADConnect.msi --accept-terms",
        "  ends when: the artifact store",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let rows = world.json(&["artifact", "how", "--json"]);
    assert_eq!(rows[0]["task"], serde_json::Value::Null);
    assert_eq!(rows[1]["task"]["pages"][0]["title"], "Admin center");
}

#[test]
fn an_installer_that_the_vendor_did_not_sign_is_not_taken_in() {
    let world = World::new();
    let file = world.write("setup.exe", "MZ is not enough");
    let added = world.entrain(&["artifact", "add", &file, "--accept-terms"]);
    assert_eq!(added.status.code(), Some(1));
    assert!(
        text(&added).contains("was not taken in"),
        "{}",
        text(&added)
    );
    let unaccepted = world.entrain(&["artifact", "add", &file]);
    assert!(
        text(&unaccepted).contains("terms must be accepted"),
        "{}",
        text(&unaccepted)
    );
    assert_eq!(
        std::fs::read_dir(world.path("controller/artifacts"))
            .unwrap()
            .count(),
        0,
        "nothing is left behind"
    );
}
