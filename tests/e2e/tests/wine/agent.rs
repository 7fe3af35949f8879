//! What the agent itself does under Windows: asks a domain, becomes another version, and bears children that do not end.

use std::path::Path;
use std::process::{Command, Output};

use e2e::samba::{ADMINISTRATOR, DOMAIN, Samba};
use e2e::{World, text, until};
use protocol::event::Event;

use crate::server::{Wine, must};
use crate::{TARGET, TOKEN, goes_on};

/// The agent's questions to a real domain controller, by the Windows program: what everyone is told, a sign-in over LDAPS
/// whose authority Windows trusts, and integrated sign-in, which Wine does not have and which is told as that.
pub(crate) fn asks_the_directory(wine: &Wine, agent: &str, samba: &Samba) {
    let as_nobody = [agent, "directory", DOMAIN, "--as", "nobody", "--json"];
    let asked = in_time(&["PF22", "PF25"], || wine.run(&as_nobody));
    for id in ["PF22", "PF25"] {
        assert_eq!(verdict(&asked, id).0, "pass", "{id}: {}", text(&asked));
    }
    let own = in_time(&["PF46"], || {
        wine.run(&[agent, "directory", DOMAIN, "--json"])
    });
    assert_eq!(verdict(&own, "PF46").0, "cannot-tell", "{}", text(&own));

    let (user, password) = ADMINISTRATOR;
    let arguments = [agent, "directory", DOMAIN, "--user", user, "--json"];
    let with = |password: &str| {
        let ask = || wine.run_with(&arguments, password);
        in_time(&["PF46"], ask)
    };
    let stranger = with(password);
    assert!(
        verdict(&stranger, "PF46").1.contains("certificate"),
        "{}",
        text(&stranger)
    );
    trust(&samba.authority());
    let known = with(password);
    assert_eq!(verdict(&known, "PF46").0, "pass", "{}", text(&known));
    assert_eq!(verdict(&known, "PF55").1, "CORP");
    let wrong = with("not the password");
    assert!(
        verdict(&wrong, "PF46").1.contains("refused"),
        "{}",
        text(&wrong)
    );
}

/// Questions that a busy machine answers too late are told as that, and asked again.
fn in_time(ids: &[&str], ask: impl Fn() -> Output) -> Output {
    until("the domain answers in time", || {
        let asked = ask();
        let words = ["timed out", "no answer within", "deadline has elapsed"];
        let late = ids.iter().any(|id| {
            let (verdict, read) = verdict(&asked, id);
            verdict == "cannot-tell" && words.iter().any(|word| read.contains(word))
        });
        (!late).then_some(asked)
    })
}

/// Verdict and reading of a probe.
fn verdict(output: &Output, id: &str) -> (String, String) {
    let said = text(output);
    let from = said.find("[\n").or_else(|| said.find("[\r\n"));
    let until = said.rfind(']');
    let rows = from.zip(until).and_then(|(from, until)| {
        serde_json::from_str::<Vec<serde_json::Value>>(&said[from..=until]).ok()
    });
    let rows = rows.unwrap_or_else(|| panic!("no answer: {said}"));
    let row = rows.iter().find(|row| row["id"] == id);
    let row = row.unwrap_or_else(|| panic!("{id} was not asked: {said}"));
    let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    (word("verdict"), word("read"))
}

/// Makes Windows trust an authority: Wine takes its roots from this file, which is replaced in this story's own mount
/// namespace alone.
fn trust(authority: &Path) {
    let mounted = Command::new("mount")
        .arg("--bind")
        .arg(authority)
        .arg("/etc/ssl/certs/ca-certificates.crt")
        .output();
    must(mounted.unwrap(), "mount");
}

/// The agent becomes another version by its launcher, which is the service all the while, and comes back from one that Windows
/// cannot even start.
pub(crate) fn upgraded(world: &World, wine: &Wine, topology: &str) {
    let platform = "windows-x86_64";
    let rolls_out = |version: &str, program: &Path| {
        let added = world.release_for(platform, "publisher", version, program);
        must(added, "release");
        let planned = world.json(&["plan", "--agents", topology, "--json"]);
        let plan = planned["plan"].as_str().unwrap().to_owned();
        must(world.entrain(&["apply", &plan]), "apply");
    };
    let version = || {
        let agents = world.json(&["agents", "--json"]);
        agents["agents"][0]["version"].as_str().unwrap().to_owned()
    };
    let current = || std::fs::read_to_string(wine.drive("ProgramData/Entrain/current")).unwrap();
    let on_trial = || wine.drive("ProgramData/Entrain/previous").exists();
    let first = wine.processes("entrain-agent.exe");
    rolls_out("99.0.0", &wine.programs.join("standin-next-agent.exe"));
    until("the new version is done", || {
        let (state, detail) = world.state(TARGET);
        assert_ne!(state, "failed", "{detail}");
        (state == "done").then_some(())
    });
    assert_eq!(version(), "99.0.0");
    until("it is kept", || (!on_trial()).then_some(()));
    assert_eq!(current(), "99.0.0.0");
    // The one that gave way may still be ending.
    until("one agent runs, and not the first", || {
        let second = wine.processes("entrain-agent.exe");
        (second.len() == 1 && first != second).then_some(())
    });

    let broken = world.path("broken.exe");
    std::fs::write(&broken, "this is no program").unwrap();
    rolls_out("100.0.0", &broken);
    until("the broken version has failed", || {
        (world.state(TARGET).0 == "failed").then_some(())
    });
    let why = text(&world.entrain(&["why", TARGET]));
    assert!(
        why.contains("version 100.0.0.0 was given up, and 99.0.0.0 runs again"),
        "{why}"
    );
    assert_eq!(
        (version().as_str(), current().as_str()),
        ("99.0.0", "99.0.0.0")
    );
    let query = text(&wine.run(&["sc", "query", "EntrainAgent"]));
    assert!(query.contains("RUNNING"), "{query}");
}

/// A PowerShell that never runs its script, one that prints without end, a setup that hangs, and one that hands its work to
/// another process and ends before that one does: each step ends within its time with the word that is true, nothing of a
/// script goes on, no installer is ended, and none begins beside another. Then the run goes on to its end: the agent is registered.
pub(crate) fn hangs_and_forks(world: &mut World, wine: &Wine, topology: &str, anchor: &Path) {
    // The registry key that a removal left names the tenant: the installed agent counts as one that serves, and is the only one.
    let written = std::fs::read_to_string(topology).unwrap();
    let alone = "[domain.\"corp.contoso.test\"]\nallow_outage = true\n";
    let topology = world.write("alone.toml", &format!("{written}{alone}"));
    before_its_end(world, wine, &topology, anchor);
    until("a secret is asked for", || {
        (goes_on(world) == "awaiting secret").then_some(())
    });
    // A module that has upgraded itself to one that signs nobody in by a token: what a person gave is used for nothing.
    asks(wine, "no-token");
    world.give(TOKEN, 1);
    until("what the module lacks is told", || {
        (world.state(TARGET).0 == "failed").then_some(())
    });
    let why = text(&world.entrain(&["why", TARGET]));
    for part in [
        "the module has changed since it was asked (Connect-AADCloudSyncAzureAD of this version takes no -AccessToken)",
        "nobody is signed in",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    // Asked again, it is found before anybody is asked.
    let retried = world.events().len();
    retry(world);
    until("it is found beforehand", || {
        let mut since = world.events().into_iter().skip(retried);
        let ended = |event: &Event| matches!(event, Event::RunFinished { .. });
        since.any(|(_, _, event)| ended(&event)).then_some(())
    });
    let asked = |(_, _, event): (String, u64, Event)| matches!(event, Event::SecretAsked { .. });
    assert!(!world.events().into_iter().skip(retried).any(asked));
    let why = text(&world.entrain(&["why", TARGET]));
    assert!(why.contains("does not take what Entrain calls"), "{why}");
    asks_no_more(wine, "no-token");
    let retried = world.events().len();
    retry(world);
    until("a secret is asked for once more", || {
        let mut since = world.events().into_iter().skip(retried);
        since.any(asked).then_some(())
    });
    world.give(TOKEN, 1);
    until("it is registered", || {
        (goes_on(world) == "done").then_some(())
    });
    assert_eq!(world.state(TARGET).1, "registered");
}

fn asks(wine: &Wine, what: &str) {
    std::fs::write(wine.drive("standin").join(what), "").unwrap();
}

fn asks_no_more(wine: &Wine, what: &str) {
    std::fs::remove_file(wine.drive("standin").join(what)).ok();
}

/// Orders the newest rollout to try again what has failed.
pub(crate) fn retry(world: &World) {
    let status = world.json(&["status", "--json"]);
    let newest = status["rollouts"].as_array().and_then(|all| all.last());
    let rollout = format!("r{}", newest.unwrap()["rollout"]);
    must(world.entrain(&["retry", &rollout]), "retry");
}

/// All of it until the setup has ended and the registration's turn comes.
fn before_its_end(world: &World, wine: &Wine, topology: &str, anchor: &Path) {
    let version = wine.drive("ProgramData/Entrain/versions/99.0.0.0");
    std::fs::copy(anchor, version.join("test-anchor.der")).unwrap();
    let patience = version.join("test-patience");
    std::fs::create_dir_all(&patience).unwrap();
    let within = |what: &str, millis: u32| {
        std::fs::write(patience.join(what), millis.to_string()).unwrap();
    };
    let (asks, asks_no_more) = (|what| asks(wine, what), |what| asks_no_more(wine, what));
    let fails = |begins: &dyn Fn()| {
        let before = world.events().len();
        begins();
        until("the run ends", || {
            let mut since = world.events().into_iter().skip(before);
            let ended = |event: &Event| matches!(event, Event::RunFinished { .. });
            since.any(|(_, _, event)| ended(&event)).then_some(())
        });
        assert_eq!(world.state(TARGET).0, "failed");
        text(&world.entrain(&["why", TARGET]))
    };
    let told = |why: &str, parts: &[&str]| {
        for part in parts {
            assert!(why.contains(part), "{part}: {why}");
        }
    };
    // None of them ends by itself; one that was ended may take a moment to be gone.
    let none_of = |what: &str| {
        until(&format!("no {what} is left"), || {
            wine.processes(what).is_empty().then_some(())
        });
    };
    for file in ["slow", "go", "running"] {
        asks_no_more(file);
    }
    let (left, behind, setup) = ("--left-by-powershell", "--behind", "ENVIRONMENTNAME=");

    asks("leaves");
    asks("mute");
    within("script-begins", 1500);
    let why = fails(&|| world.apply(topology));
    told(&why, &["PowerShell was started and never ran the script"]);
    none_of("powershell.exe");
    none_of(left);
    let retry = || retry(world);

    asks_no_more("mute");
    std::fs::remove_file(patience.join("script-begins")).unwrap();
    asks("floods");
    let why = fails(&retry);
    told(
        &why,
        &["PowerShell printed more than any script of ours does"],
    );
    none_of(left);
    asks_no_more("floods");

    // What it left behind holds its output open, and what it said counts: the setup's turn comes.
    within("installer-ends", 2000);
    asks("slow");
    let why = fails(&retry);
    let ends = "did not end within 2 s and was not ended, since half of it is no product";
    told(&why, &[ends, ".exe (process "]);
    none_of(left);
    asks_no_more("leaves");
    assert_eq!(wine.processes(setup).len(), 1, "it goes on");
    let still = [
        "the installer of an earlier try still runs",
        ".exe (process ",
    ];
    told(&fails(&retry), &still);
    assert_eq!(wine.processes(setup).len(), 1, "none beside it");
    let gives_up = || {
        asks("give-up");
        until("the setup has ended", || {
            wine.processes(setup).is_empty().then_some(())
        });
        asks_no_more("give-up");
    };
    gives_up();
    asks_no_more("slow");

    asks("hands-on");
    let why = fails(&retry);
    let ends = "it ended (exit code 0), and what it had begun did not within 2 s";
    told(&why, &[ends, ".exe (process "]);
    assert_eq!(wine.processes(behind).len(), 1, "it goes on");
    told(&fails(&retry), &still);
    gives_up();

    // With patience its end is waited for, and is what counts.
    std::fs::remove_file(patience.join("installer-ends")).unwrap();
    let calls = || std::fs::read_to_string(wine.drive("standin/calls")).unwrap();
    let before = calls().lines().count();
    retry();
    until("the first has ended, and the second is waited for", || {
        let note = std::fs::read(wine.drive("ProgramData/Entrain/agent/installer.json")).ok()?;
        let note: serde_json::Value = serde_json::from_slice(&note).ok()?;
        let running = note["running"].as_array()?;
        (running.len() == 1 && running[0]["pid"] != note["pid"]).then_some(())
    });
    until("the controller has heard of it", || {
        (goes_on(world) == "running").then_some(())
    });
    let product = wine.drive("Program Files/Microsoft Azure AD Connect Provisioning Agent/AADConnectProvisioningAgent.exe");
    assert!(!product.exists());
    asks("go");
    until("the second has ended too, and it is installed", || {
        let note = wine.drive("ProgramData/Entrain/agent/installer.json");
        (product.exists() && !note.exists()).then_some(())
    });
    assert_eq!(calls().lines().count(), before + 2, "{}", calls());
}
