//! What is done with the provisioning agent of cloud sync on the server.

use e2e::{TENANT, World, text, until};
use protocol::event::Event;

use crate::server::{Wine, must};
use crate::{TARGET, goes_on};

/// The setup fails as it does where a policy takes the right to log on as a service: the cause stands in the log of the
/// inner package alone, in UTF-16.
pub(crate) fn fails_as_the_product_does(world: &World, wine: &Wine, topology: &str) {
    std::fs::create_dir_all(wine.drive("standin")).unwrap();
    std::fs::write(wine.drive("standin/logon-right-missing"), "").unwrap();
    world.apply(topology);
    until("the setup fails", || {
        (world.state(TARGET).0 == "failed").then_some(())
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

/// The agent is taken off by the setup that Windows kept: its signature is checked before, and it is not run from elsewhere.
pub(crate) fn taken_off(world: &World, wine: &Wine) {
    let topology = world.write(
        "retired.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.test\"]\nhosts = []\nretired = [\"{TARGET}\"]\n"
        ),
    );
    let kept = wine.drive("ProgramData/Package Cache/{6a1d9a0e-6a39-4f6e-9e6e-5d6f0d0f7b10}/AADConnectProvisioningAgentSetup.exe");
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
    let query = wine.run(&["sc", "query", "AADConnectProvisioningAgent"]);
    assert!(!query.status.success(), "{}", text(&query));
    let listed = text(&wine.run(&[
        "reg",
        "query",
        r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
        "/s",
    ]));
    assert!(!listed.contains("Entra Provisioning Agent"), "{listed}");
    let calls = std::fs::read_to_string(wine.drive("standin/calls")).unwrap();
    assert_eq!(calls.matches("/uninstall").count(), 1, "{calls}");
    let why = text(&world.entrain(&["why", TARGET]));
    // What the cmdlets wrote after the setup is left, and told.
    assert!(why.contains("RM05"), "{why}");
    drop(world.audit());
}
