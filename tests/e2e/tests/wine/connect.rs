//! What is done with Connect Sync on the server: by a person at the package and the wizard, seen by the agent.

use std::path::{Path, PathBuf};

use e2e::{TENANT, World, text, until};
use protocol::event::Event;

use crate::installers::add;
use crate::server::{Wine, must};
use crate::{TARGET, goes_on};

/// A location that somebody chose, as the package takes it in place of the wizard's tick: the service alone tells it.
const ELSEWHERE: &str = r"INSTALLDIR=C:\Tools\Connect\Bin";

/// Connect Sync on the same server: a real package that is verified on both sides and put where a person finds it, a
/// person at the MSI and the wizard, and the end as the probes see it.
pub(crate) fn connect(world: &mut World, wine: &Wine, package: &Path) {
    let bytes = std::fs::read(package).unwrap();
    let flipped = package.with_file_name("flipped.msi");
    let mut altered = bytes.clone();
    // Within the cabinet, which is the largest stream.
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    std::fs::write(&flipped, altered).unwrap();
    let refused = add(world, &flipped);
    assert!(
        !refused.status.success() && text(&refused).contains("not accepted"),
        "{}",
        text(&refused)
    );
    let added = text(&must(add(world, package), "artifact"));
    assert!(added.contains("2.6.92.0"), "{added}");
    for value in [
        "MachineAccessRestriction",
        "MachineLaunchRestriction",
        "DefaultLaunchPermission",
    ] {
        wine.registry(r"Software\Microsoft\Ole", value, "REG_BINARY", "00");
    }
    let topology = world.write(
        "connect.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"corp.contoso.test\"]\nservers = [\"{TARGET}\"]\nsettings = \"express\"\n"
        ),
    );
    let wizard = installed(world, wine, &topology, &bytes);
    becomes_active_again(world, &wizard, &topology);
    drop(world.audit());
}

/// It is installed: the agent brings the package, and a person runs it and the wizard to its end. Gives the wizard's folder.
fn installed(world: &World, wine: &Wine, topology: &str, bytes: &[u8]) -> PathBuf {
    world.apply(topology);
    until("the package waits for a person", || {
        goes_on(world);
        let tasks = world.json(&["tasks", "list", "--json"]);
        (tasks.as_array()?.len() == 1).then_some(())
    });
    let staged = wine.drive("ProgramData/Entrain/staged/AzureADConnect.msi");
    assert_eq!(std::fs::read(staged).unwrap(), bytes, "the very bytes");
    // What the person does: the package, then the wizard to its end.
    let path = r"C:\ProgramData\Entrain\staged\AzureADConnect.msi";
    must(
        wine.run(&["msiexec", "/i", path, "/qn", ELSEWHERE]),
        "msiexec",
    );
    let wizard = wine.drive("ProgramData/AADConnect");
    std::fs::create_dir_all(&wizard).unwrap();
    std::fs::write(wizard.join("configured"), "").unwrap();
    until("the installation is seen and verified", || {
        let state = goes_on(world);
        (state == "done").then_some(())
    });
    assert_eq!(world.state(TARGET).1, "configured");
    wizard
}

/// The same once more, behind everything that was done on the server.
pub(crate) fn installed_again(world: &World, wine: &Wine, package: &Path) {
    let topology = world.path("connect.toml").display().to_string();
    installed(world, wine, &topology, &std::fs::read(package).unwrap());
}

/// Somebody has put the server into staging mode; it is taken out of it after what it would export was counted.
fn becomes_active_again(world: &World, wizard: &Path, topology: &str) {
    let tick = wizard.join("staging");
    std::fs::write(&tick, "").unwrap();
    until("the mode is reported", || {
        let verified = must(
            world.entrain(&["plan", topology, "--verify", "--json"]),
            "plan",
        );
        let plan: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
        must(
            world.entrain(&["apply", plan["plan"].as_str().unwrap()]),
            "apply",
        );
        until("it is verified", || {
            (world.state(TARGET).0 == "done").then_some(())
        });
        let agents = world.json(&["agents", "--json"]).to_string();
        agents.contains("2.6.92.0 staging").then_some(())
    });
    let limits = format!(
        "{}pending_exports = {{ add = 1, update = 5 }}\n",
        std::fs::read_to_string(topology).unwrap()
    );
    let topology = world.write("swap.toml", &limits);
    let planned = world.json(&["swap", TARGET, &topology, "--json"]);
    let plan = planned["plan"].as_str().unwrap();
    must(world.entrain(&["apply", plan]), "apply");
    until("a person is asked for", || {
        goes_on(world);
        let tasks = world.json(&["tasks", "list", "--json"]);
        (tasks.as_array()?.len() == 1).then_some(())
    });
    std::fs::remove_file(tick).unwrap();
    until("it is seen active", || {
        (world.state(TARGET).0 == "done").then_some(())
    });
    let why = text(&world.entrain(&["why", TARGET]));
    assert!(why.contains("active"), "{why}");
}

/// A later version on the same server: its bytes are staged before the appointment, the package runs within it, the wizard after it,
/// and the server stays what it was. Without a fresh export of the settings nothing is begun.
pub(crate) fn upgraded_in_place(world: &World, wine: &Wine, package: &Path) {
    let bytes = std::fs::read(package).unwrap();
    let added = text(&must(add(world, package), "artifact"));
    assert!(added.contains("2.6.93.0"), "{added}");
    let staged = wine.drive("ProgramData/Entrain/staged/AzureADConnect.msi");
    let before = std::fs::read(&staged).unwrap();
    let begun = world.apply_and_name(&world.path("connect.toml").display().to_string());
    let rollout = begun.split_whitespace().nth(1).unwrap();
    until("without an export nothing is begun", || {
        (world.state(TARGET).0 == "failed").then_some(())
    });
    let why = text(&world.entrain(&["why", TARGET]));
    assert!(why.contains("PF74"), "{why}");
    assert_eq!(std::fs::read(&staged).unwrap(), before, "nothing is staged");
    let wizard = wine.drive("ProgramData/AADConnect");
    std::fs::write(
        wizard.join("Applied-SynchronizationPolicy-20261127.JSON"),
        "{}",
    )
    .unwrap();
    let events = world.events().len();
    must(world.entrain(&["retry", rollout]), "retry");
    until("the upgrade waits for a person", || {
        let ended = |event: &Event| matches!(event, Event::StepFailed { .. });
        let mut since = world.events().into_iter().skip(events);
        assert!(
            !since.any(|(_, _, event)| ended(&event)),
            "{}",
            text(&world.entrain(&["why", TARGET]))
        );
        let tasks = world.json(&["tasks", "list", "--json"]);
        (tasks.as_array()?.len() == 1).then_some(())
    });
    assert_eq!(
        std::fs::read(&staged).unwrap(),
        bytes,
        "before the appointment"
    );
    let version = || {
        let agents = world.json(&["agents", "--json"]);
        agents["agents"][0]["facts"].as_str().unwrap().to_owned()
    };
    assert!(version().contains("2.6.92.0"), "{}", version());
    // The appointment: the package puts the new engine in the old one's place; the module answers again at the wizard's end.
    std::fs::remove_file(wizard.join("configured")).unwrap();
    let path = r"C:\ProgramData\Entrain\staged\AzureADConnect.msi";
    must(
        wine.run(&["msiexec", "/i", path, "/qn", ELSEWHERE]),
        "msiexec",
    );
    assert_eq!(
        wine.listed("Connect Sync"),
        ["Microsoft Entra Connect Sync"]
    );
    let (state, detail) = world.state(TARGET);
    assert_eq!(state, "awaiting person", "{detail}");
    std::fs::write(wizard.join("configured"), "").unwrap();
    until("the upgrade is seen and verified", || {
        (goes_on(world) == "done").then_some(())
    });
    until("what it is now is reported", || {
        version().contains("2.6.93.0 active").then_some(())
    });
    let query = text(&wine.run(&["sc", "query", "ADSync"]));
    assert!(query.contains("RUNNING"), "{query}");
    drop(world.audit());
}

/// A person takes it off at its wizard; what is left is told.
pub(crate) fn taken_off(world: &World, wine: &Wine) {
    let topology = world.write(
        "connect-retired.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"corp.contoso.test\"]\nservers = []\nretired = [\"{TARGET}\"]\n"
        ),
    );
    let planned = world.json(&["plan", &topology, "--json"]);
    let plan = planned["plan"].as_str().unwrap();
    let applied = world.entrain(&["apply", plan, "--irreversible", "1"]);
    must(applied, "apply");
    until("a person is asked for", || {
        goes_on(world);
        let tasks = world.json(&["tasks", "list", "--json"]);
        (tasks.as_array()?.len() == 1).then_some(())
    });
    let engine = wine.drive("Tools/Connect/Bin/miiserver.exe");
    assert!(engine.exists(), "it is the person's to do");
    // The wizard's Remove takes its configuration back and its package off.
    let wizard = wine.drive("ProgramData/AADConnect");
    std::fs::remove_file(wizard.join("configured")).unwrap();
    let path = r"C:\ProgramData\Entrain\staged\AzureADConnect.msi";
    must(
        wine.run(&["msiexec", "/x", path, "/qn", ELSEWHERE]),
        "msiexec",
    );
    until("it is seen gone, and verified", || {
        (goes_on(world) == "done").then_some(())
    });
    assert!(!engine.exists());
    assert!(wine.listed("Connect Sync").is_empty());
    let query = wine.run(&["sc", "query", "ADSync"]);
    assert!(!query.status.success(), "{}", text(&query));
    // The export and the wizard's own files are left, and told.
    let why = text(&world.entrain(&["why", TARGET]));
    assert!(why.contains("CR04"), "{why}");
    drop(world.audit());
}
