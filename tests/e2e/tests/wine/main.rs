//! The same story on real Windows code: the agent as a Windows service under Wine, a Linux controller, a real setup
//! executable that runs a real `msiexec /qn`, a PowerShell process, real registry and services. The products are stand-ins
//! (`tests/fixtures`). Run by `tests/run wine`, inside network and mount namespaces of its own, in which the cloud's sign-in
//! hosts and a domain controller are this machine.
#![expect(
    clippy::unwrap_used,
    reason = "a story stops where something is not as it must be"
)]

mod agent;
mod cloud_sync;
mod connect;
mod credential;
mod installers;
mod server;
mod transition;
mod wizard;

use std::process::Command;

use e2e::rails::Rail;
use e2e::recipes::{Ran, Story};
use e2e::samba::{ADMINISTRATOR, Samba};
use e2e::signing::{Authority, Usage, VENDOR};
use e2e::{SECRET, TENANT, World, files, text, until};

use crate::installers::{Build, add, fixture, package, setup};
use crate::server::{Wine, listen, must, proxy, windows_server};

const TARGET: &str = "win-01.corp.contoso.test";

/// What the product's stand-in expects as its token; the suite's own secret is not the stand-in's.
const TOKEN: &str = "a token of nobody";
/// What it expects of the tenant's administrator where a credential signs in.
const PASSWORD: &str = "a password of nobody";
/// What somebody gives who does not know it.
const WRONG: &str = "a password of somebody else";

/// Each that somebody gives here.
const SECRETS: [&str; 5] = [TOKEN, PASSWORD, WRONG, ADMINISTRATOR.1, SECRET];

/// The state of the server in the newest rollout, which has not come to a stop.
fn goes_on(world: &World) -> String {
    let (state, detail) = world.state(TARGET);
    assert!(
        !matches!(state.as_str(), "failed" | "refused" | "inconclusive"),
        "{state}: {detail}\n{}",
        text(&world.entrain(&["why", TARGET]))
    );
    state
}

#[test]
fn the_agent_is_a_windows_service_and_installs_the_provisioning_agent() {
    listen(443);
    proxy(8080);
    let folder = tempfile::tempdir().unwrap();
    let samba = Samba::start(folder.path());
    let authority = Authority::new(folder.path(), "root");
    let (anchor, vendor) = (
        authority.anchor(),
        authority.certify(VENDOR, Usage::CodeSigning),
    );
    // The controller and the agent believe this root alone, by the feature `test-anchors`.
    let mut world = World::with_publisher(&[("ENTRAIN_TEST_ANCHOR", anchor.to_str().unwrap())]);
    let wine = Wine::new(folder.path());
    let shim = folder.path().join("bcryptprimitives.dll");
    let built = Command::new("x86_64-w64-mingw32-gcc")
        .arg("-shared")
        .arg("-o")
        .arg(&shim)
        .arg(fixture("bcryptprimitives.c"))
        .arg("-ladvapi32")
        .output();
    must(built.unwrap(), "the shim");
    std::fs::copy(&shim, wine.drive("windows/system32/bcryptprimitives.dll")).unwrap();
    wine.put(
        "standin-powershell.exe",
        "windows/system32/WindowsPowerShell/v1.0/powershell.exe",
    );
    // Wine has a program of that name, which does nothing, and prefers its own.
    wine.put("standin-shutdown.exe", "windows/system32/shutdown.exe");
    let overrides = r"HKCU\Software\Wine\DllOverrides";
    let native = ["/v", "shutdown.exe", "/d", "native", "/f"];
    let added = wine.run(&[&["reg", "add", overrides], &native[..]].concat());
    must(added, "the override");
    windows_server(&wine);
    wine.services_start();
    let first = setup(&wine, folder.path(), &vendor, Build::First);
    let next = setup(&wine, folder.path(), &vendor, Build::Next);
    let respun = setup(&wine, folder.path(), &vendor, Build::Respun);
    let mut ran = Ran::default();

    // The layout that an installer makes: a launcher, one version, and its state.
    wine.put(
        "entrain-launcher.exe",
        "ProgramData/Entrain/entrain-launcher.exe",
    );
    std::fs::write(wine.drive("ProgramData/Entrain/current"), "1").unwrap();
    wine.put(
        "entrain-launcher.exe",
        "ProgramData/Entrain/entrain-launcher.exe",
    );
    wine.put(
        "entrain-agent.exe",
        "ProgramData/Entrain/versions/1/entrain-agent.exe",
    );
    std::fs::copy(
        &anchor,
        wine.drive("ProgramData/Entrain/versions/1/test-anchor.der"),
    )
    .unwrap();

    // It looks for the end of a person's work more often than it would.
    let patience = wine.drive("ProgramData/Entrain/versions/1/test-patience");
    std::fs::create_dir_all(&patience).unwrap();
    std::fs::write(patience.join("waits"), "2000").unwrap();

    let join = world.path("join.json");
    let token = world.entrain(&[
        "token",
        "create",
        "--target",
        TARGET,
        "--out",
        join.to_str().unwrap(),
    ]);
    must(token, "token");
    let program = r"C:\ProgramData\Entrain\versions\1\entrain-agent.exe";
    let windows_join = format!("Z:{}", join.display()).replace('/', "\\");
    agent::asks_the_directory(&wine, program, &samba);
    let state = r"C:\ProgramData\Entrain\agent";
    must(
        wine.run(&[
            program,
            "enroll",
            "--state",
            state,
            "--join",
            &windows_join,
            "--name",
            TARGET,
        ]),
        "enroll",
    );
    assert!(!join.exists(), "the used join file is deleted");
    let binary = r"C:\ProgramData\Entrain\entrain-launcher.exe";
    must(
        wine.run(&[
            "sc",
            "create",
            "EntrainAgent",
            "binPath=",
            binary,
            "start=",
            "auto",
        ]),
        "create",
    );
    must(wine.run(&["sc", "start", "EntrainAgent"]), "start");
    world.all_report(1);

    let added = text(&must(add(&world, &first), "artifact"));
    assert!(added.contains("provisioning agent 1.1.2505.0"), "{added}");
    let topology = world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.test\"]\nhosts = [\"{TARGET}\"]\nmay_fix = [\"tls12\"]\noptions = {{ proxy = \"http://proxy.corp.contoso.test:8080\", fips_exempt = true, ldap_timeout = \"60s\" }}\n"
        ),
    );
    cloud_sync::an_odd_value(&wine);
    cloud_sync::fails_as_the_product_does(&world, &wine, &topology);
    cloud_sync::killed_while_the_setup_runs(&world, &wine);
    world.give(TOKEN, 1);
    until("the rollout ends", || {
        let state = goes_on(&world);
        (state == "done").then_some(())
    });

    assert_eq!(world.state(TARGET).1, "registered");
    for name in [
        "AADConnectProvisioningAgent",
        "AzureADConnectAgentUpdater",
        "EntrainAgent",
    ] {
        let query = text(&wine.run(&["sc", "query", name]));
        assert!(query.contains("RUNNING"), "{name}: {query}");
    }
    let installed = wine.drive("Program Files/Microsoft Azure AD Connect Provisioning Agent/AADConnectProvisioningAgent.exe");
    assert!(installed.exists());
    // Options stand in the service's own file and key, and what stood in the file before is kept.
    let configuration = std::fs::read_to_string(installed.with_extension("exe.config")).unwrap();
    for part in [
        "proxyaddress=\"http://proxy.corp.contoso.test:8080\"",
        "<enforceFIPSPolicy enabled=\"false\"/>",
        "</configuration>\r\n",
    ] {
        assert!(configuration.contains(part), "{part}: {configuration}");
    }
    let options =
        r"HKLM\SOFTWARE\Microsoft\Azure AD Connect Agents\Azure AD Connect Provisioning Agent";
    let value = text(&wine.run(&[
        "reg",
        "query",
        options,
        "/v",
        "LdapConnectionTimeoutInMilliseconds",
    ]));
    assert!(value.contains("60000"), "{value}");
    let kept = wine.drive("ProgramData/Entrain/agent/kept");
    let kept: Vec<_> = std::fs::read_dir(kept).unwrap().collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let said = text(&world.entrain(&["logs", "--json"]));
    assert!(
        said.contains("Enabled of Client set to 1 (was "),
        "what was fixed is told with its old value"
    );
    let record = world.audit();
    assert_eq!(
        record.matches("run-finished").count(),
        5,
        "a signed receipt of the two runs that failed, and three of those that did not"
    );
    assert!(!record.contains(TOKEN) && !record.contains(SECRET));
    holds_no_secret(&wine);

    ran.told(Story::Installed, &world);

    cloud_sync::restarted(&world, &wine);
    ran.told(Story::Changed, &world);

    cloud_sync::upgraded_in_place(&world, &wine, &next);
    ran.told(Story::Upgraded, &world);

    let first = package(&wine, folder.path(), &vendor, Build::First);
    let next_connect = package(&wine, folder.path(), &vendor, Build::Next);
    connect::connect(&mut world, &wine, &first);
    ran.told(Story::ConnectInstalled, &world);
    connect::upgraded_in_place(&world, &wine, &next_connect);
    ran.told(Story::ConnectUpgraded, &world);
    connect::taken_off(&world, &wine);
    ran.told(Story::ConnectTakenOff, &world);

    cloud_sync::taken_off(&world, &wine);
    ran.told(Story::TakenOff, &world);

    // The service stops when it is told to, and comes back with the same identity.
    let connected = || {
        let agents = world.json(&["agents", "--json"]);
        agents["agents"][0]["connected"] == true
    };
    must(wine.run(&["sc", "stop", "EntrainAgent"]), "stop");
    until("the stopped agent is away", || (!connected()).then_some(()));
    must(wine.run(&["sc", "start", "EntrainAgent"]), "start");
    until("the started agent is back", || connected().then_some(()));
    // A killed agent is started again by the launcher, which stays.
    let killed = until("one agent runs, and the stopped one is gone", || {
        let now = wine.processes("entrain-agent.exe");
        (now.len() == 1).then_some(now)
    });
    must(
        wine.run(&["taskkill", "/f", "/im", "entrain-agent.exe"]),
        "taskkill",
    );
    until("another agent runs", || {
        let now = wine.processes("entrain-agent.exe");
        (!now.is_empty() && now.iter().all(|process| !killed.contains(process))).then_some(())
    });
    until("the killed agent is back", || connected().then_some(()));

    agent::upgraded(&world, &wine, &topology);
    ran.told(Story::OwnAgent, &world);

    agent::hangs_and_forks(&mut world, &wine, &topology, &anchor);
    ran.told(Story::Hung, &world);
    cloud_sync::taken_off_by_its_setup(&world, &wine);
    ran.told(Story::TakenOffBySetup, &world);

    wizard::installed_with_a_restart(&world, &wine);
    ran.told(Story::Guided, &world);
    wizard::taken_off_with_a_restart(&world, &wine);
    ran.told(Story::TakenOffAndRestarted, &world);
    wizard::installed_beside_somebody(&world, &wine, &respun);
    ran.told(Story::BesideSomebody, &world);

    cloud_sync::taken_off_by_its_setup(&world, &wine);
    credential::registered_by_credentials(&mut world, &wine);
    ran.told(Story::ByCredentials, &world);
    cloud_sync::taken_off_by_its_setup(&world, &wine);
    connect::installed_again(&world, &wine, &next_connect);
    ran.told(Story::ConnectInstalledAgain, &world);
    transition::moved(&world, &wine, &respun);
    ran.told(Story::Moved, &world);

    cloud_sync::put_back(&world, &wine);
    ran.told(Story::PutBack, &world);
    ran.holds();

    // Agents were killed and replaced, scripts and setups hung, and each run came to its right end.
    world.nothing_lost(&[TARGET]);
    world.rails_held(&[Rail::G1, Rail::G2, Rail::G5, Rail::G9]);
    let record = world.audit();
    for secret in SECRETS {
        assert!(!record.contains(secret), "{secret} stands in the record");
    }
    holds_no_secret(&wine);
}

/// No secret lies below the folder in which the agent and the products keep what is theirs.
fn holds_no_secret(wine: &Wine) {
    let mut found = Vec::new();
    files(&wine.drive("ProgramData"), &mut |path| {
        let bytes = std::fs::read(path).unwrap();
        let holds = |secret: &&str| {
            let secret = secret.as_bytes();
            bytes.windows(secret.len()).any(|at| at == secret)
        };
        if SECRETS.iter().any(holds) {
            found.push(path.to_owned());
        }
    });
    assert!(found.is_empty(), "a secret lies in {found:?}");
}
