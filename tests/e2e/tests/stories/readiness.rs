//! `entrain preflight` as its user sees it: every server is asked, nothing is changed, and the answers are signed.

use agent_twin::{Fault, Installed, Profile};
use e2e::{TENANT, World, server, text, until};
use protocol::Version;

const READY: &str = "sync-01.corp.contoso.com";
const SPOILED: &str = "sync-02.corp.contoso.com";
const UNKNOWN: &str = "sync-03.corp.contoso.com";

#[test]
fn every_server_says_whether_it_is_ready_and_who_mends_what() {
    let mut world = World::new();
    let faults = [Fault::VaultDisabled, Fault::NoRecycleBin];
    world.enroll(&[server(READY, &[]), server(SPOILED, &faults)]);
    // No installer is in the store yet: that is no matter for whoever asks whether servers are ready.
    let topology = world.topology(&[READY, SPOILED, UNKNOWN]);
    let asked = world.entrain(&["preflight", &topology, "--json"]);
    assert_eq!(asked.status.code(), Some(2), "{}", text(&asked));
    let report: serde_json::Value =
        serde_json::from_slice(&asked.stdout).unwrap_or_else(|_| panic!("{}", text(&asked)));
    let servers = report["servers"].as_array().expect("servers");
    assert_eq!(servers.len(), 2, "{report}");
    let why = report["not_asked"][UNKNOWN].as_str().unwrap_or_default();
    assert!(why.contains("not enrolled"), "{report}");
    assert_eq!(servers[0]["target"], READY);
    assert_eq!(servers[0]["ready"], true);
    assert_eq!(servers[1]["ready"], false);
    let findings = servers[1]["findings"].as_array().expect("findings");
    let found = |id: &str| findings.iter().find(|one| one["id"] == id);
    let vault = found("PF14").expect("PF14 was asked");
    assert_eq!(vault["owner"], "server");
    assert_eq!(vault["read"], "Disabled");
    assert_eq!(found("PF59").expect("PF59 was asked")["owner"], "directory");
    assert!(world.changes(READY).is_empty() && world.changes(SPOILED).is_empty());

    let said = text(&world.entrain(&["preflight", &topology]));
    for words in [
        "sync-01.corp.contoso.com: ready",
        "sync-02.corp.contoso.com: not ready, 1 to mend first",
        "the server's owner: set the service VaultSvc to Manual",
        "the directory's administrator: have the forest's administrator enable it",
        "answered: 2, ready: 1;",
    ] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
    let record = world.audit();
    assert_eq!(record.matches("run-finished").count(), 4, "signed receipts");

    // Nobody is asked whether Connect may move where there is none: that is no good answer.
    let nobody = world.entrain(&["preflight", "--transition", &topology]);
    assert_eq!(nobody.status.code(), Some(1), "{}", text(&nobody));
    assert!(text(&nobody).contains("there is nobody to ask"));
}

/// The report of a preflight is for whoever a server belongs to: what is run and shown is restricted to that server, its file says by
/// which signed receipt, and no file that is there is written over.
#[test]
fn a_report_for_a_servers_owner_names_the_receipt_and_overwrites_nothing() {
    let mut world = World::new();
    let faults = [Fault::VaultDisabled, Fault::NoRecycleBin];
    world.enroll(&[server(READY, &[]), server(SPOILED, &faults)]);
    let plain = world.topology(&[READY, SPOILED, UNKNOWN]);
    let written = std::fs::read_to_string(&plain).expect("the topology");
    let topology = world.write(
        "owned.toml",
        &format!("{written}\n[domain.\"corp.contoso.com\"]\nowner = \"the directory team\"\n"),
    );
    let path = world.write("taken.txt", "somebody's own");
    let refused = world.entrain(&["preflight", "--report", &path, &topology]);
    assert!(!refused.status.success(), "{}", text(&refused));
    assert!(
        text(&refused).contains("is there already"),
        "{}",
        text(&refused)
    );
    assert!(
        text(&refused).contains("Nobody was asked"),
        "{}",
        text(&refused)
    );
    assert_eq!(
        std::fs::read_to_string(&path).expect("it"),
        "somebody's own"
    );
    assert!(!world.audit().contains("run-finished"), "nobody was asked");

    let file = format!("{path}.new");
    let only = [
        "preflight",
        "--server",
        SPOILED,
        "--report",
        &file,
        &topology,
        "--json",
    ];
    let asked = world.entrain(&only);
    assert_eq!(asked.status.code(), Some(2), "{}", text(&asked));
    let report: serde_json::Value =
        serde_json::from_slice(&asked.stdout).unwrap_or_else(|_| panic!("{}", text(&asked)));
    let servers = report["servers"].as_array().expect("servers");
    assert_eq!(servers.len(), 1, "{report}");
    assert_eq!(report["not_asked"], serde_json::json!({}), "{report}");
    assert_eq!(servers[0]["target"], SPOILED);
    assert_eq!(
        servers[0]["owners"]["domain corp.contoso.com"],
        "the directory team"
    );
    let receipt = servers[0]["receipt"]["receipt"]
        .as_str()
        .expect("a receipt");
    let at = servers[0]["receipt"]["at"].as_str().expect("a time");
    let handed = std::fs::read_to_string(&file).expect("the report");
    for words in [
        "sync-02.corp.contoso.com: not ready, 1 to mend first",
        &format!("answered at {at}"),
        &format!("receipt {receipt}"),
        "domain corp.contoso.com: the directory team answers for it",
        "blocks      PF14",
        "warns       PF59",
        "pass        PF03",
    ] {
        assert!(handed.contains(words), "{words} is missing:\n{handed}");
    }
    assert!(
        !handed.contains(READY) && !handed.contains(UNKNOWN),
        "{handed}"
    );
    let all = servers[0]["findings"].as_array().expect("findings");
    for one in all {
        let id = one["id"].as_str().expect("an id");
        assert!(handed.contains(id), "{id} is missing:\n{handed}");
    }
    // Whoever has the record can see that this is what the server's agent signed.
    let record = world.audit();
    let envelopes = record.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        envelope(&line)
    });
    let digests: Vec<String> = envelopes
        .map(|signed| protocol::Digest::of(signed.as_bytes()).to_string())
        .collect();
    assert!(
        digests.iter().any(|one| one == receipt),
        "{receipt}: {digests:?}"
    );
    assert_eq!(
        record.matches("run-finished").count(),
        1,
        "the other was not asked"
    );

    // A folder gets a file for each server that answered, and again none is written over.
    let folder = format!("{path}.d");
    std::fs::create_dir(&folder).expect("a folder");
    let both = ["preflight", "--report", &folder, &topology];
    let asked = world.entrain(&both);
    assert_eq!(asked.status.code(), Some(2), "{}", text(&asked));
    for name in [READY, SPOILED] {
        let own = std::fs::read_to_string(format!("{folder}/{name}.txt")).expect("its report");
        assert!(own.starts_with(&format!("{name}: ")), "{own}");
    }
    let runs = world.audit().matches("run-finished").count();
    let again = world.entrain(&both);
    assert_ne!(again.status.code(), Some(2), "nobody was asked");
    let said = text(&again);
    for words in [READY, "no report is written over", "Nobody was asked"] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
    assert_eq!(world.audit().matches("run-finished").count(), runs);
    let stranger = world.entrain(&[
        "preflight",
        "--server",
        "sync-09.corp.contoso.com",
        &topology,
    ]);
    assert!(
        text(&stranger).contains("is no server of this topology"),
        "{}",
        text(&stranger)
    );
}

/// The receipt's envelope in an entry of the record, where one carries it; the body of an event is JSON in a text.
fn envelope(value: &serde_json::Value) -> Option<String> {
    if let Some(receipt) = value.get("receipt").and_then(|one| one.as_str()) {
        return Some(receipt.to_owned());
    }
    let fields = value.as_object().into_iter().flatten().map(|(_, one)| one);
    let rows = value.as_array().into_iter().flatten();
    let body = value.as_str().filter(|body| body.starts_with('{'));
    let body: Option<serde_json::Value> = body.and_then(|body| serde_json::from_str(body).ok());
    fields.chain(rows).chain(&body).find_map(envelope)
}

/// A plan names the newest preflight of each server by its signed receipt; and what the server's own account was not told is attested by
/// somebody who signed in, under a name and for that domain alone.
#[test]
fn a_plan_names_each_preflight_and_what_somebody_attests_of_the_domain() {
    let mut world = World::new();
    let faults = [Fault::VaultDisabled];
    let untold = [Fault::DirectoryUnreadable];
    world.enroll(&[server(READY, &untold), server(SPOILED, &faults)]);
    world.add_artifact();
    let topology = world.topology(&[READY, SPOILED]);
    let planned = |world: &World| world.json(&["plan", &topology, "--json"]);
    let standing = |world: &World, name: &str| planned(world)["readiness"][name].clone();
    assert_eq!(standing(&world, READY)["is"], "not-read");
    let asked = world.entrain(&["preflight", &topology, "--json"]);
    let report: serde_json::Value =
        serde_json::from_slice(&asked.stdout).unwrap_or_else(|_| panic!("{}", text(&asked)));
    let ready = standing(&world, READY);
    assert_eq!(ready["is"], "ready", "{ready}");
    let by = format!("r{}", ready["by"]["rollout"]);
    assert_eq!(report["rollout"], by.as_str());
    let named = |all: &serde_json::Value, words: &str| {
        let all = all.as_array().cloned().unwrap_or_default();
        all.iter()
            .any(|one| one.as_str().is_some_and(|one| one.contains(words)))
    };
    assert!(named(&ready["untold"], "PF46"), "{ready}");
    let blocked = standing(&world, SPOILED);
    assert_eq!(blocked["is"], "blocked");
    assert!(named(&blocked["blocks"], "PF14"), "{blocked}");
    assert!(named(&blocked["blocks"], "the server's owner"), "{blocked}");
    let warnings = planned(&world)["warnings"].clone();
    assert!(named(&warnings, "sync-02.corp.contoso.com was not ready"));

    // The file of `entrain-agent directory --answers`, as somebody who may read the domain got it.
    let findings = report["servers"][0]["findings"].as_array().cloned();
    let question = findings.unwrap_or_default().into_iter().find(|one| {
        one["id"] == "PF46"
            && one["what"]
                .as_str()
                .is_some_and(|what| what.contains("(corp."))
    });
    let mut answer = question.expect("PF46 was asked");
    let what = answer["what"].as_str().unwrap_or_default();
    answer["what"] = what.replace(" (corp.contoso.com)", "").into();
    answer["verdict"] = "pass".into();
    answer["read"] = "88".into();
    let now = ready["by"]["at"].clone();
    let file = |domain: &str| {
        let document = serde_json::json!({
            "format": 1, "domain": domain, "at": now, "asked_as": "CORP\\dominic",
            "agent_version": "0", "answers": [answer],
        });
        world.write(&format!("{domain}.json"), &document.to_string())
    };
    let other = world.entrain(&["attest", "--directory", &file("emea.corp.contoso.com")]);
    assert!(other.status.success(), "{}", text(&other));
    assert!(named(&standing(&world, READY)["untold"], "PF46"));
    let own = world.entrain(&["attest", "--directory", &file("corp.contoso.com")]);
    assert!(own.status.success(), "{}", text(&own));
    let ready = standing(&world, READY);
    assert!(!named(
        &ready["untold"],
        "PF46 (schema of the forest (corp.contoso.com)"
    ));
    assert!(
        named(&ready["attested"], "read as CORP\\dominic"),
        "{ready}"
    );
    let said = text(&world.entrain(&["why", READY]));
    assert!(
        said.contains("probed by no agent: as it should be: 88"),
        "{said}"
    );
    let broken = world.write("broken.json", "{\"format\":1,\"password\":\"x\"}");
    let refused = world.entrain(&["attest", "--directory", &broken]);
    assert!(!refused.status.success() && text(&refused).contains("is no file of"));
}

/// What only the domain's administrator can mend is shown as their work, and ends by the probes of the next preflight.
#[test]
fn work_for_a_domains_administrator_is_a_task_that_probes_end() {
    let mut world = World::new();
    world.enroll(&[server(READY, &[Fault::GmsaWithoutServer])]);
    world.add_artifact();
    let topology = world.write(
        "handover.toml",
        &format!(
            "[tenant.main]\nid = \"{}\"\n[domain.\"corp.contoso.com\"]\nowner = \"ad-corp@contoso.com\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{READY}\"]\n",
            e2e::TENANT
        ),
    );
    assert!(text(&world.entrain(&["tasks"])).contains("nothing waits"));
    world.apply(&topology);
    until("the preflight has stopped it", || {
        (world.state(READY).0 == "failed").then_some(())
    });
    let said = text(&world.entrain(&["tasks"]));
    for words in [
        "sync-01.corp.contoso.com: the administrator of corp.contoso.com (ad-corp@contoso.com) has work to do",
        "- PF50, the gMSA names this server",
        "entrain handover corp.contoso.com TOPOLOGY prints",
        "part 2",
        "ends when: these probes pass when they are asked anew (entrain retry r1 sync-01.corp.contoso.com",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let skip = world.entrain(&["skip", "r1", READY, "--reason", "another month"]);
    assert!(skip.status.success(), "{}", text(&skip));
    let said = text(&world.entrain(&["tasks"]));
    assert!(said.contains("nothing waits"), "{said}");
}

/// What `may_fix` let Entrain set is put back by a plan of its own: once, and under a product only where that is said.
#[test]
fn what_was_set_as_a_prerequisite_is_put_back() {
    let mut world = World::new();
    world.enroll(&[server(SPOILED, &[Fault::VaultDisabled])]);
    world.add_artifact();
    let topology = world.write(
        "fixes.toml",
        &format!(
            "[tenant.main]\nid = \"{}\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{SPOILED}\"]\nmay_fix = [\"vaultsvc\"]\n",
            e2e::TENANT
        ),
    );
    world.apply(&topology);
    world.awaits_secret(SPOILED);
    assert!(
        world
            .changes(SPOILED)
            .contains(&"enable VaultSvc".to_owned())
    );
    let stopped = world.entrain(&["abort", "r1"]);
    assert!(stopped.status.success(), "{}", text(&stopped));
    until("its run ends", || {
        (world.state(SPOILED).0 == "aborted").then_some(())
    });
    let refused = world.entrain(&["undo", SPOILED, &topology]);
    assert!(
        text(&refused).contains("the provisioning agent is on sync-02.corp.contoso.com"),
        "{}",
        text(&refused)
    );
    let undone = || {
        let plan = world.json(&["undo", SPOILED, "--anyway", "--json", &topology]);
        assert_eq!(plan["warnings"].as_array().map(Vec::len), Some(2), "{plan}");
        let plan = plan["plan"].as_str().expect("a plan").to_owned();
        let applied = world.entrain(&["apply", &plan, "--watch"]);
        assert!(applied.status.success(), "{}", text(&applied));
        text(&world.entrain(&["why", SPOILED]))
    };
    let said = undone();
    assert!(
        said.contains("VaultSvc put back from Manual to Disabled"),
        "{said}"
    );
    let said = undone();
    assert!(said.contains("nothing of it is noted"), "{said}");
    let changes = world.changes(SPOILED);
    let disabled = changes.iter().filter(|one| *one == "disable VaultSvc");
    assert_eq!(disabled.count(), 1, "{changes:?}");
}

/// `entrain support`: logs are collected where an agent is registered, and whoever asks is told where they lie and what was not
/// collected.
#[test]
fn logs_are_collected_on_their_servers_and_everyone_else_is_named() {
    let mut world = World::new();
    let registered = |name, faults: &[Fault]| Profile {
        installed: Installed::ProvisioningAgent {
            version: Version::new(1, 1, 2334, 0),
            tenant: e2e::TENANT.parse().expect("an id"),
        },
        ..server(name, faults)
    };
    world.enroll(&[
        registered(READY, &[]),
        registered(SPOILED, &[Fault::ToolsMissing]),
        server(UNKNOWN, &[]),
    ]);
    let topology = world.topology(&[READY, SPOILED, UNKNOWN]);
    let one = world.entrain(&["support", "--server", READY, &topology]);
    assert!(one.status.success(), "{}", text(&one));
    let said = text(&one);
    assert!(
        said.contains("sync-01.corp.contoso.com: C:\\ProgramData\\Entrain\\support"),
        "{said}"
    );
    assert!(
        said.contains("3320 KiB, SHA-256 ") && !said.contains(SPOILED),
        "{said}"
    );

    let all = world.entrain(&["support", &topology, "--json"]);
    assert_eq!(all.status.code(), Some(3), "{}", text(&all));
    let report: serde_json::Value =
        serde_json::from_slice(&all.stdout).unwrap_or_else(|_| panic!("{}", text(&all)));
    assert!(report["collected"][READY].is_string(), "{report}");
    let why = |name: &str| {
        report["not_collected"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        why(SPOILED).contains("AADCloudSyncTools was not loaded"),
        "{report}"
    );
    assert!(
        why(UNKNOWN).contains("no registered provisioning agent"),
        "{report}"
    );
    assert!(
        world.changes(READY).is_empty(),
        "nothing of the product is changed"
    );

    let stranger = world.entrain(&["support", "--server", "s9.corp.contoso.com", &topology]);
    assert!(!stranger.status.success());
    assert!(
        text(&stranger).contains("is no server of this topology"),
        "{}",
        text(&stranger)
    );
}

/// A server that carries both products is asked about both, whatever stops the first: what is to be mended is told at once, and by one
/// signed receipt.
#[test]
fn a_server_with_both_products_is_asked_about_both() {
    let mut world = World::new();
    world.enroll(&[Profile {
        target: READY.parse().expect("a server"),
        installed: Installed::Connect {
            version: Version::new(2, 6, 92, 0),
            staging: false,
        },
        person: None,
        faults: [Fault::VaultDisabled, Fault::ConsoleOpen].into(),
    }]);
    world.all_report(1);
    let topology = world.write(
        "both.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{READY}\"]\n[connect.main]\nforests = [\"corp.contoso.com\"]\nservers = [\"{READY}\"]\noverlap = {{ \"corp.contoso.com\" = \"pilot\" }}\n"
        ),
    );
    let asked = world.entrain(&["preflight", &topology, "--json"]);
    let report: serde_json::Value =
        serde_json::from_slice(&asked.stdout).unwrap_or_else(|_| panic!("{}", text(&asked)));
    let server = &report["servers"][0];
    assert_eq!(server["ready"], false, "{report}");
    assert!(server["unasked"].is_null(), "{server}");
    let findings = server["findings"].as_array().expect("findings");
    let verdict = |id: &str| {
        let found = findings.iter().find(|one| one["id"] == id);
        found.map(|one| one["verdict"].as_str().unwrap_or_default().to_owned())
    };
    for (id, said) in [("PF14", "fail"), ("PF41", "pass"), ("PF73", "fail")] {
        assert_eq!(verdict(id).as_deref(), Some(said), "{id}: {server}");
    }
    let said = text(&world.entrain(&["preflight", &topology]));
    assert!(said.contains("not ready, 2 to mend first"), "{said}");
    let why = text(&world.entrain(&["why", READY]));
    assert!(why.contains("PF14") && why.contains("PF73"), "{why}");
}
