//! What must be refused, with its reason in the operator's view: bundles, certificates, agents and logs that are not what
//! they should be. Processes as they are, on loopback.
#![expect(
    clippy::unwrap_used,
    reason = "a story stops where something is not as it must be"
)]

use controller::http::client::Client;
use controller::http::types::{Done, OfferAsk};
use e2e::{World, server, text, until};
use protocol::digest::Digest;
use protocol::key::SigningKey;
use protocol::signed::{Document as _, Envelope, Manifest};
use serde_json::{Value, json};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";

/// Two servers, one rollout that is done.
fn rolled_out() -> (World, String) {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    world.give_secrets(2);
    world.all_done();
    (world, topology)
}

fn store(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.path("controller/log.sqlite")).unwrap()
}

/// The last bundle that was issued to a target: its envelope, and what it says.
fn last_bundle(world: &World, target: &str) -> (String, Value) {
    let rows = world.json(&["logs", "--json"]);
    let rows = rows.as_array().unwrap().clone();
    let issued = rows.iter().rfind(|row| {
        row["record"]["record"] == "bundle-issued" && row["record"]["is"]["target"] == target
    });
    let digest: Digest =
        serde_json::from_value(issued.unwrap()["record"]["is"]["bundle"].clone()).unwrap();
    let bytes: Vec<u8> = store(world)
        .query_row(
            "SELECT bytes FROM blob WHERE digest = ?1",
            [digest.as_bytes()],
            |row| row.get(0),
        )
        .unwrap();
    let payload = Envelope::from_json(&bytes)
        .unwrap()
        .payload_bytes()
        .unwrap();
    (
        String::from_utf8(bytes).unwrap(),
        serde_json::from_slice(&payload).unwrap(),
    )
}

fn signed(manifest: &Value, key: &SigningKey) -> String {
    let payload = serde_json::to_vec(manifest).unwrap();
    let mut envelope = Envelope::new(Manifest::PAYLOAD_TYPE, &payload);
    envelope.sign(key).unwrap();
    String::from_utf8(envelope.to_json()).unwrap()
}

/// Puts an envelope before a target, as a stolen or broken controller would.
fn offer(world: &World, target: &str, envelope: Option<&str>) {
    let client = Client::new(&world.path("controller"));
    let ask = OfferAsk {
        envelope: envelope.map(ToOwned::to_owned),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done: Done = runtime
        .unwrap()
        .block_on(client.post(&format!("/v1/simulated/offer/{target}"), &ask))
        .unwrap();
    assert_eq!(done.done, "offered");
}

#[test]
fn a_bundle_that_is_not_in_order_is_refused_and_the_operator_sees_why() {
    let (world, _topology) = rolled_out();
    let key = std::fs::read(world.path("controller/keys/bundle.p8")).unwrap();
    let key = SigningKey::from_pkcs8(&key).unwrap();
    let before = world.changes(A);
    let (envelope_of_b, _) = last_bundle(&world, B);
    let (_, own) = last_bundle(&world, A);
    let mut next = own.clone();
    next["generation"] = json!(own["generation"].as_u64().unwrap() + 1);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut manifest = next.clone();
        change(&mut manifest);
        signed(&manifest, &key)
    };
    let expired = changed(&|manifest| {
        for name in ["issued", "not_before", "expires"] {
            manifest[name] = json!("2020-01-01T00:00:00.000Z");
        }
    });
    let unknown = changed(&|manifest| manifest["steps"][0]["kind"] = json!("run-this-script"));
    let cases = [
        (envelope_of_b, "is for another target"),
        (expired, "out of date"),
        (unknown, "run-this-script"),
        (signed(&next, &SigningKey::generate()), "signature"),
    ];
    for (envelope, why) in cases {
        offer(&world, A, Some(&envelope));
        world.refused(A, "bundle", why);
    }
    offer(&world, A, None);
    world.refused(A, "bundle", "older than");
    assert_eq!(world.changes(A), before, "nothing was done");
    world.nothing_lost_or_repeated(&[A, B]);
}

#[test]
fn a_certificate_of_another_authority_is_refused_and_shown() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    let mut other = World::new();
    other.enroll(&[server(A, &[])]);
    world.kill_agents();
    other.kill_agents();
    // The other agent has come to know this controller, and shows what its own authority gave it.
    let (here, there) = (world.path("agents").join(A), other.path("agents").join(A));
    std::fs::copy(here.join("trust-root.json"), there.join("trust-root.json")).unwrap();
    let identity = there.join("identity.json");
    let mut changed: Value = serde_json::from_slice(&std::fs::read(&identity).unwrap()).unwrap();
    changed["controller"] = json!(format!("127.0.0.1:{}", world.port()));
    std::fs::write(&identity, changed.to_string()).unwrap();
    other.start_agents(&[server(A, &[])], None);
    world.refused("127.0.0.1", "handshake", "certificate");
}

#[test]
fn a_revoked_agent_renews_nothing() {
    let mut world = World::new();
    world.kill_controller();
    let settings = world.path("controller/controller.json");
    let mut changed: Value = serde_json::from_slice(&std::fs::read(&settings).unwrap()).unwrap();
    changed["certificate_seconds"] = 3.into();
    std::fs::write(&settings, changed.to_string()).unwrap();
    world.start_controller();
    world.enroll(&[server(A, &[])]);
    world.kill_agents();
    let revoked = world.entrain(&["agents", "revoke", A]);
    assert!(revoked.status.success(), "{}", text(&revoked));
    world.certificate_ends();
    world.start_agents(&[server(A, &[])], None);
    until("its renewal is refused", || {
        let rows = world.refusals();
        rows.iter()
            .any(|(_, what, why)| what == "renewal" && why.contains("revoked"))
            .then_some(())
    });
    let agents = world.json(&["agents", "list", "--json"]);
    assert_eq!(agents["agents"].as_array().unwrap().len(), 0);
}

#[test]
fn a_log_that_went_back_is_noticed_by_its_agents() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A]);
    world.apply(&topology);
    world.awaits_secret(A);
    world.kill_agents();
    world.kill_controller();
    // The last entries are gone, as after a restore: those from the first bundle on.
    let cut = store(&world)
        .execute(
            "DELETE FROM log WHERE idx >= (SELECT min(idx) FROM log WHERE body LIKE '%bundle-issued%')",
            [],
        )
        .unwrap();
    assert!(cut > 1);
    world.start_controller();
    world.start_agents(&[server(A, &[])], None);
    world.refused(A, "session", "cut off or restored");
    let before = world.changes(A);
    let status = world.json(&["agents", "list", "--json"]);
    assert_eq!(
        status["agents"][0]["connected"], false,
        "it is not given work"
    );
    assert_eq!(world.changes(A), before);
}

#[test]
fn an_altered_bundle_is_named_on_either_side() {
    let mut world = World::new();
    let servers = [server(A, &[]), server(B, &[])];
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.topology(&[A]);
    world.freeze_agents();
    world.apply(&topology);
    until("the bundle is issued", || {
        (world.state(A).0 == "offered").then_some(())
    });
    world.kill_agents();
    world.kill_controller();
    let alter = |from: &str, to: &str| {
        let query = "UPDATE blob SET bytes = CAST(replace(CAST(bytes AS TEXT), ?1, ?2) AS BLOB) WHERE CAST(bytes AS TEXT) LIKE '%signatures%'";
        assert!(store(&world).execute(query, [from, to]).unwrap() > 0);
    };
    alter("signatures", "signaturez");
    world.start_controller();
    world.start_agents(&servers, None);
    world.refused(A, "bundle", "was altered");
    until("the others are welcome", || {
        let agents = world.json(&["agents", "list", "--json"]);
        let rows = agents["agents"].as_array()?.clone();
        rows.iter()
            .all(|row| row["connected"] == true)
            .then_some(())
    });
    assert!(world.changes(A).is_empty());

    // Mended from a backup, it goes on; now the server's own copy is altered.
    world.kill_agents();
    world.kill_controller();
    let query = "UPDATE blob SET bytes = CAST(replace(CAST(bytes AS TEXT), 'signaturez', 'signatures') AS BLOB)";
    store(&world).execute(query, []).unwrap();
    world.start_controller();
    world.start_agents(&servers, None);
    world.awaits_secret(A);
    world.kill_agents();
    let folder = world.path("agents").join(A).join("bundles");
    let newest = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max()
        .unwrap();
    let whole = std::fs::read(&newest).unwrap();
    let mut altered = whole.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    std::fs::write(&newest, &altered).unwrap();
    let before = world.changes(A);
    let log = world.path("agents.log");
    std::fs::write(&log, "").unwrap();
    world.start_agents(&servers, None);
    until("it is named", || {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains("it is not the bundle that was accepted")
            .then_some(())
    });
    assert_eq!(world.changes(A), before);

    world.kill_agents();
    std::fs::write(&newest, &whole).unwrap();
    world.start_agents(&servers, None);
    // An answer to its former life is lost with that.
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A]);
}

/// Its agent names it and ends; the other server of the same process, and the rollout, go on.
#[test]
fn an_altered_journal_stops_its_own_agent_and_no_other() {
    let (mut world, topology) = rolled_out();
    world.kill_agents();
    let journal = world.path("agents").join(A).join("journal");
    let mut altered = std::fs::read(&journal).unwrap();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    std::fs::write(&journal, &altered).unwrap();
    let (before, log) = (world.changes(A), world.path("agents.log"));
    std::fs::write(&log, "").unwrap();
    world.start_agents(&[server(A, &[]), server(B, &[])], None);
    let said = until("it is named", || {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains("was altered at event").then_some(said)
    });
    assert!(said.contains(A), "{said}");
    let planned = world.json(&["plan", &topology, "--verify", "--json"]);
    let plan = planned["plan"].as_str().unwrap();
    let applied = world.entrain(&["apply", plan]);
    assert!(applied.status.success(), "{}", text(&applied));
    until("the other is verified once more", || {
        (world.state(B).0 == "done").then_some(())
    });
    assert_ne!(world.state(A).0, "done", "nobody could look at it");
    assert_eq!(std::fs::read(&journal).unwrap(), altered, "nothing is lost");
    assert_eq!(world.changes(A), before);
}

/// Two rollouts go side by side on other servers; on the same one the second is refused by name. One may begin later.
#[test]
fn a_second_rollout_on_the_same_server_is_refused_by_name() {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[])]);
    world.add_artifact();
    let plan = |hosts: &[&str]| {
        let topology = world.topology(hosts);
        let planned = world.json(&["plan", &topology, "--json"]);
        planned["plan"].as_str().unwrap().to_owned()
    };
    let (first, both, other) = (plan(&[A]), plan(&[A, B]), plan(&[B]));
    // A preflight that goes on there stands in nobody's way; one in the past is none.
    let refused = world.entrain(&["apply", &first, "--at", "2020-01-01T00:00+00:00"]);
    assert!(
        text(&refused).contains("is in the past"),
        "{}",
        text(&refused)
    );
    let later = world.entrain(&[
        "apply",
        &first,
        "--at",
        &controller::now()
            .plus(std::time::Duration::from_secs(86_400))
            .to_string(),
    ]);
    assert!(
        text(&later).contains("rollout r1 begins at"),
        "{}",
        text(&later)
    );
    let refused = world.entrain(&["apply", &both]);
    assert!(!refused.status.success());
    assert!(
        text(&refused).contains(&format!("r1 is not over on {A}")),
        "{}",
        text(&refused)
    );
    let side_by_side = world.entrain(&["apply", &other]);
    assert!(side_by_side.status.success(), "{}", text(&side_by_side));
    assert!(world.entrain(&["abort", "r1"]).status.success());
    let again = world.entrain(&["apply", &first]);
    assert!(again.status.success(), "{}", text(&again));
}
