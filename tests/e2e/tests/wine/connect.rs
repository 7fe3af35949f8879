//! What is done with Connect Sync on the server: by a person at the package and the wizard, seen by the agent.

use std::path::Path;

use e2e::{TENANT, World, text, until};

use crate::installers::add;
use crate::server::{Wine, must};
use crate::{TARGET, goes_on};

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
    world.apply(&topology);
    until("the package waits for a person", || {
        goes_on(world);
        let tasks = world.json(&["tasks", "list", "--json"]);
        (tasks.as_array()?.len() == 1).then_some(())
    });
    let staged = wine.drive("ProgramData/Entrain/staged/AzureADConnect.msi");
    assert_eq!(std::fs::read(staged).unwrap(), bytes, "the very bytes");
    // What the person does: the package, then the wizard to its end.
    let path = r"C:\ProgramData\Entrain\staged\AzureADConnect.msi";
    must(wine.run(&["msiexec", "/i", path, "/qn"]), "msiexec");
    let wizard = wine.drive("ProgramData/AADConnect");
    std::fs::create_dir_all(&wizard).unwrap();
    std::fs::write(wizard.join("configured"), "").unwrap();
    until("the installation is seen and verified", || {
        let state = goes_on(world);
        (state == "done").then_some(())
    });
    assert_eq!(world.state(TARGET).1, "configured");
    becomes_active_again(world, &wizard, &topology);
    drop(world.audit());
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
