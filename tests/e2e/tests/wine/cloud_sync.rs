//! What is done with the provisioning agent of cloud sync on the server.

use std::path::Path;

use e2e::{TENANT, World, text, until};
use protocol::event::{Event, Finding, Verdict};

use crate::installers::add;
use crate::server::{Wine, must};
use crate::{TARGET, goes_on};

/// The setup fails as it does where a policy takes the right to log on as a service: the cause stands in the log of the
/// inner package alone, in UTF-16.
pub(crate) fn fails_as_the_product_does(world: &World, wine: &Wine, topology: &str) {
    std::fs::create_dir_all(wine.drive("standin")).unwrap();
    std::fs::write(wine.drive("standin/logon-right-missing"), "").unwrap();
    // What is set before the setup waits for a restart of Windows, to which the server's owner sees here: what it forgets is gone then.
    world.apply(topology);
    until("the look stops", || {
        (world.state(TARGET).0 == "failed").then_some(())
    });
    let why = text(&world.entrain(&["why", TARGET]));
    assert!(why.contains("PF19"), "{why}");
    let forgotten = r"HKLM\SOFTWARE\Entrain\RestartRequired";
    must(wine.run(&["reg", "delete", forgotten, "/f"]), "the restart");
    must(world.entrain(&["retry", "r1"]), "retry");
    until("the setup fails", || {
        let why = text(&world.entrain(&["why", TARGET]));
        let failed = world.state(TARGET).0 == "failed";
        (failed && why.contains("exit code")).then_some(())
    });
    let why = text(&world.entrain(&["why", TARGET]));
    for part in [
        "exit code 1603",
        "Log on as a service",
        "Error 1920",
        "fix:",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    std::fs::remove_file(wine.drive("standin/logon-right-missing")).unwrap();
}

/// The agent is killed while the setup runs. The setup outlives it, the next life of the agent waits for it and finds that
/// it has done its work; it is not run again.
pub(crate) fn killed_while_the_setup_runs(world: &World, wine: &Wine) {
    std::fs::write(wine.drive("standin/slow"), "").unwrap();
    must(world.entrain(&["retry", "r1"]), "retry");
    until("the setup runs", || {
        wine.drive("standin/running").exists().then_some(())
    });
    let killed = wine.processes("entrain-agent.exe");
    must(
        wine.run(&["taskkill", "/f", "/im", "entrain-agent.exe"]),
        "taskkill",
    );
    until("another agent has taken the step up again", || {
        let again = |(_, _, event): (String, u64, Event)| matches!(event, Event::StepBegun { attempt, kind, .. } if attempt.0 == 2 && kind == "install-provisioning-agent");
        let now = wine.processes("entrain-agent.exe");
        let another = !now.is_empty() && now.iter().all(|process| !killed.contains(process));
        (another && world.events().into_iter().any(again)).then_some(())
    });
    std::fs::write(wine.drive("standin/go"), "").unwrap();
    until("its secret is due", || {
        let state = goes_on(world);
        (state == "awaiting secret").then_some(())
    });
    let calls = std::fs::read_to_string(wine.drive("standin/calls")).unwrap();
    assert_eq!(
        calls.lines().count(),
        2,
        "one that failed, one that did its work: {calls}"
    );
}

/// Windows waits for a restart, and the site's rule lets the agent do it: once, after leave, and the run goes on by itself
/// in the agent's next life.
pub(crate) fn restarted(world: &World, wine: &Wine) {
    wine.registry(
        r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending",
        "asked",
        "REG_DWORD",
        "1",
    );
    let topology = world.write(
        "restarted.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[site.ams]\nzone = \"UTC\"\nreboot = \"window\"\n[agents.corp]\nsite = \"ams\"\nserves = [\"corp.contoso.test\"]\nhosts = [\"{TARGET}\"]\noptions = {{ ldap_timeout = \"90s\" }}\n[domain.\"corp.contoso.test\"]\nallow_outage = true\n"
        ),
    );
    let days = controller_core::calendar::DAYS;
    let policy = world.write(
        "window.toml",
        &format!("[site.ams]\nwindow = {{ days = {days:?}, from = \"00:00\", to = \"00:00\" }}\n"),
    );
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    let plan = planned["plan"].as_str().unwrap();
    must(world.entrain(&["apply", plan]), "apply");
    until("it is restarted, and done", || {
        let state = goes_on(world);
        (state == "done").then_some(())
    });
    let calls = std::fs::read_to_string(wine.drive("standin/restarts")).unwrap();
    assert_eq!(calls.lines().count(), 1, "{calls}");
    let again = |(_, _, event): (String, u64, Event)| matches!(event, Event::StepBegun { attempt, kind, .. } if attempt.0 == 2 && kind == "restart-server");
    assert!(world.events().into_iter().any(again), "in its next life");
    let seen = |(_, _, event): (String, u64, Event)| matches!(event, Event::StepCompleted { summary, .. } if summary == "Windows was restarted, and waits for no other restart");
    assert!(world.events().into_iter().any(seen));
}

/// The three entries of the product, as Windows lists them (product facts 1.3).
pub(crate) const ENTRIES: [&str; 3] = [
    "Microsoft Entra Connect Agent Updater",
    "Microsoft Entra Provisioning Agent",
    "Microsoft Entra Provisioning Agent Package",
];

/// What Windows lists of the product.
pub(crate) fn entries(wine: &Wine) -> Vec<String> {
    let mut listed = wine.listed("Microsoft Entra Provisioning Agent");
    listed.extend(wine.listed("Agent Updater"));
    listed.sort();
    listed
}

/// A later version is run over the one that is there: nobody signs in, and what stood in the service's file stays, also what a
/// person has written there by hand.
pub(crate) fn upgraded_in_place(world: &World, wine: &Wine, setup: &Path) {
    assert_eq!(entries(wine), ENTRIES);
    let installed = wine.drive("Program Files/Microsoft Azure AD Connect Provisioning Agent/AADConnectProvisioningAgent.exe");
    let configuration = installed.with_extension("exe.config");
    let edited = std::fs::read_to_string(&configuration).unwrap();
    let edited = edited.replace("</configuration>", "<!-- by hand --></configuration>");
    std::fs::write(&configuration, &edited).unwrap();
    let before = std::fs::read(&installed).unwrap();
    let added = text(&must(add(world, setup), "artifact"));
    assert!(added.contains("provisioning agent 1.1.2512.0"), "{added}");
    let topology = world.write(
        "upgraded.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.test\"]\nhosts = [\"{TARGET}\"]\noptions = {{ proxy = \"http://proxy.corp.contoso.test:8080\", fips_exempt = true, ldap_timeout = \"90s\" }}\n[domain.\"corp.contoso.test\"]\nallow_outage = true\n"
        ),
    );
    let events = world.events().len();
    world.apply(&topology);
    until("it is upgraded, and done", || {
        let state = goes_on(world);
        assert_ne!(state, "awaiting secret", "an upgrade asks for no sign-in");
        (state == "done").then_some(())
    });
    assert_eq!(world.state(TARGET).1, "registered");
    assert_ne!(
        std::fs::read(&installed).unwrap(),
        before,
        "another program"
    );
    assert_eq!(std::fs::read_to_string(&configuration).unwrap(), edited);
    assert_eq!(entries(wine), ENTRIES, "each once");
    until("the new version is reported", || {
        let facts = world.json(&["agents", "--json"]).to_string();
        facts.contains("1.1.2512.0").then_some(())
    });
    for name in ["AADConnectProvisioningAgent", "AzureADConnectAgentUpdater"] {
        let query = text(&wine.run(&["sc", "query", name]));
        assert!(query.contains("RUNNING"), "{name}: {query}");
    }
    let probed = |(_, _, event): (String, u64, Event)| {
        if let Event::Probed { findings, .. } = event {
            return Some(findings);
        }
        None
    };
    let since = world.events().into_iter().skip(events);
    let findings: Vec<Finding> = since.filter_map(probed).flatten().collect();
    let passed = |id: &str| {
        let mut all = findings.iter();
        all.any(|finding| finding.id == id && finding.verdict == Verdict::Pass)
    };
    for probe in ["PV03", "PV05", "PV16", "PV20"] {
        assert!(passed(probe), "{probe}");
    }
    let calls = std::fs::read_to_string(wine.drive("standin/calls")).unwrap();
    assert_eq!(calls.lines().count(), 3, "{calls}");
    drop(world.audit());
}

/// The agent is taken off by the setup that Windows kept: its signature is checked before, and it is not run from elsewhere. What
/// its packages are is taken off by their product codes then, so that nothing of the product works.
pub(crate) fn taken_off(world: &World, wine: &Wine) {
    let topology = world.write(
        "retired.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.test\"]\nhosts = []\nretired = [\"{TARGET}\"]\n"
        ),
    );
    let kept = wine.drive("ProgramData/Package Cache/{6a1d9a0e-6a39-4f6e-9e6e-5d6f0d0f7b11}/AADConnectProvisioningAgentSetup.exe");
    let bytes = std::fs::read(&kept).unwrap();
    let mut altered = bytes.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    std::fs::write(&kept, altered).unwrap();
    let planned = world.json(&["plan", &topology, "--json"]);
    let plan = planned["plan"].as_str().unwrap();
    let applied = must(
        world.entrain(&["apply", plan, "--irreversible", "1"]),
        "apply",
    );
    let begun = text(&applied);
    let rollout = begun.split_whitespace().nth(1).unwrap();
    until("an altered setup is not run", || {
        (world.state(TARGET).0 == "failed").then_some(())
    });
    let why = text(&world.entrain(&["why", TARGET]));
    assert!(why.contains("was refused"), "{why}");
    let agent = wine.drive("Program Files/Microsoft Azure AD Connect Provisioning Agent/AADConnectProvisioningAgent.exe");
    assert!(!agent.exists(), "its package went by its product code");
    assert_eq!(entries(wine), ENTRIES[2..], "and the updater's by its own");
    // The bundle's own entry is left, until its setup is whole again.
    std::fs::write(&kept, bytes).unwrap();
    let before = world.events().len();
    must(world.entrain(&["retry", rollout]), "retry");
    until("it is gone", || {
        let (state, detail) = world.state(TARGET);
        let ended = matches!(state.as_str(), "failed" | "refused" | "inconclusive");
        let again = world.events().into_iter().skip(before);
        let over = again.filter(|(_, _, event)| matches!(event, Event::RunFinished { .. }));
        assert!(
            !ended || over.count() == 0,
            "{state}: {detail}\n{}",
            text(&world.entrain(&["why", TARGET]))
        );
        (state == "done").then_some(())
    });
    gone(world, wine);
    let calls = std::fs::read_to_string(wine.drive("standin/calls")).unwrap();
    assert_eq!(calls.matches("/uninstall").count(), 1, "{calls}");
    drop(world.audit());
}

/// Nothing works of the product any more. What its packages did not bring is left, and told: the service's edited file in its folder,
/// what the cmdlets wrote into its key, its traces.
pub(crate) fn gone(world: &World, wine: &Wine) {
    for name in ["AADConnectProvisioningAgent", "AzureADConnectAgentUpdater"] {
        let query = wine.run(&["sc", "query", name]);
        assert!(!query.status.success(), "{}", text(&query));
    }
    assert_eq!(entries(wine), [""; 0]);
    let why = text(&world.entrain(&["why", TARGET]));
    for left in ["RM04", "RM05", "RM06"] {
        assert!(why.contains(left), "{left}: {why}");
    }
}

/// The whole bundle this time: its own setup takes the agent along, and the updater, which that leaves, goes by its product code.
pub(crate) fn taken_off_by_its_setup(world: &World, wine: &Wine) {
    assert_eq!(entries(wine), ENTRIES);
    let topology = world.path("retired.toml").display().to_string();
    let planned = world.json(&["plan", &topology, "--json"]);
    let plan = planned["plan"].as_str().unwrap();
    let events = world.events().len();
    must(
        world.entrain(&["apply", plan, "--irreversible", "1"]),
        "apply",
    );
    until("it is gone", || (goes_on(world) == "done").then_some(()));
    gone(world, wine);
    let said = |(_, _, event): (String, u64, Event)| matches!(event, Event::StepCompleted { summary, .. } if summary == "taken off: Microsoft Entra Provisioning Agent Package, Microsoft Entra Connect Agent Updater");
    assert!(world.events().into_iter().skip(events).any(said));
    drop(world.audit());
}

/// A text of Windows' own kind, whose variables it replaces, in the place of a number (REG_EXPAND_SZ).
const TLS_SERVER: &str =
    r"SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server";
const ODD: &str = "%TLS_SERVER%";

/// Lays it where the rollout may set a prerequisite.
pub(crate) fn an_odd_value(wine: &Wine) {
    wine.registry(TLS_SERVER, "Enabled", "REG_EXPAND_SZ", ODD);
}

/// What was set as a prerequisite is put back, beside products that are there: the text with its type, and what was not there is gone.
pub(crate) fn put_back(world: &World, wine: &Wine) {
    let read = |key: &str| {
        let key = format!("HKLM\\{key}");
        text(&wine.run(&["reg", "query", &key, "/v", "Enabled"]))
    };
    let client = TLS_SERVER.replace("Server", "Client");
    for key in [TLS_SERVER, &client] {
        assert!(read(key).contains("0x1"), "{}", read(key));
    }
    let topology = world.path("retired.toml").display().to_string();
    // What is installed needs it: that is put aside by whoever says so.
    let refused = world.entrain(&["undo", TARGET, &topology, "--json"]);
    let needed = "needs what was set: retire it first, or say --anyway";
    assert!(!refused.status.success() && text(&refused).contains(needed));
    let planned = world.json(&["undo", TARGET, &topology, "--anyway", "--json"]);
    let plan = planned["plan"].as_str().unwrap();
    must(world.entrain(&["apply", plan]), "apply");
    until("it is put back", || {
        (goes_on(world) == "done").then_some(())
    });
    let server = read(TLS_SERVER);
    let mut words = server.lines().filter(|line| line.contains("Enabled"));
    let words: Vec<&str> = words.next().unwrap().split_whitespace().collect();
    assert_eq!(words, ["Enabled", "REG_EXPAND_SZ", ODD]);
    assert!(!read(&client).contains("0x1"), "{}", read(&client));
    drop(world.audit());
}
