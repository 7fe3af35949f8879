//! Cloud sync in the clouds in which no cmdlet signs in: the setup by the agent, the wizard by a person. On the way the setup ends with
//! each of the exit codes that are no failure and no plain success (product facts 1.2): 3010, 1618 and 1638.

use std::path::Path;
use std::process::Stdio;

use e2e::{TENANT, World, text, until};
use protocol::event::{Completion, Event};

use crate::cloud_sync::{ENTRIES, entries, gone};
use crate::server::{Wine, must};
use crate::{TARGET, goes_on};

/// The wizard, where the package lays it and the person's pages look for it.
const WIZARD: &str = r"C:\Program Files\Microsoft Azure AD Connect Provisioning Agent\AADConnectProvisioningAgentWizard.exe";

/// What a person chooses at its first page: cloud sync, or the other one.
pub(crate) const CLOUD_SYNC: &str =
    "HR-driven provisioning (Workday and SuccessFactors) / Microsoft Entra Connect cloud sync";
const ON_PREMISES: &str = "On-premises application provisioning";

/// The account that the task tells the person to enter.
pub(crate) const ACCOUNT: &str = r"CORP\provAgentgMSA$";

pub(crate) const DOMAIN: &str = "corp.contoso.test";

/// A story's wish of the stand-ins, until it is dropped.
struct Asked<'a>(&'a Wine, &'static str);

impl<'a> Asked<'a> {
    fn new(wine: &'a Wine, what: &'static str) -> Self {
        std::fs::write(wine.drive("standin").join(what), "").unwrap();
        Self(wine, what)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        drop(std::fs::remove_file(self.0.drive("standin").join(self.1)));
    }
}

pub(crate) fn lines(wine: &Wine, file: &str) -> Vec<String> {
    let read = std::fs::read_to_string(wine.drive("standin").join(file));
    let read = read.unwrap_or_default();
    read.lines().map(ToOwned::to_owned).collect()
}

/// How each step of that kind ended since, in order.
pub(crate) fn ended(world: &World, since: usize, kind: &str) -> Vec<(Completion, String)> {
    let (mut now, mut ended) = (String::new(), Vec::new());
    for (_, _, event) in world.events().into_iter().skip(since) {
        if let Event::StepBegun { kind, .. } = event {
            now = kind;
        } else if let Event::StepCompleted {
            completion,
            summary,
            ..
        } = event
            && now == kind
        {
            ended.push((completion, summary));
        }
    }
    ended
}

/// Waits until one person is asked for something, and gives what.
fn asked_for(world: &World) -> String {
    until("a person is asked for", || {
        goes_on(world);
        let tasks = world.json(&["tasks", "list", "--json"]);
        let tasks = tasks.as_array()?;
        (tasks.len() == 1).then(|| tasks[0].to_string())
    })
}

/// What the person at the wizard does, page by page.
pub(crate) fn at_the_wizard(wine: &Wine, pages: &[&str]) -> std::process::Output {
    wine.run_with(&[WIZARD], &pages.join("\n"))
}

/// The person at the wizard: one that stops before its end, or takes the other product, leaves the task open. The agent sees the end by
/// itself, and nobody attests anything.
fn registers(world: &World, wine: &Wine, since: usize) {
    let task = asked_for(world);
    assert!(task.contains("register the provisioning agent"), "{task}");
    let entered = [CLOUD_SYNC, TENANT, ACCOUNT, DOMAIN, "Confirm", "Exit"];
    let mut other = entered;
    other[0] = ON_PREMISES;
    for pages in [&entered[..4], &other] {
        let left = at_the_wizard(wine, pages);
        assert!(!left.status.success(), "{}", text(&left));
    }
    let (state, detail) = world.state(TARGET);
    assert_eq!(state, "awaiting person", "{detail}");
    must(at_the_wizard(wine, &entered), "the wizard");
    until("it is seen and verified", || {
        (goes_on(world) == "done").then_some(())
    });
    assert_eq!(world.state(TARGET).1, "registered");
    let guided = ended(world, since, "guide-provisioning-agent");
    let [(Completion::SeenDone, seen)] = guided.as_slice() else {
        panic!("not seen by the agent: {guided:?}")
    };
    assert!(seen.contains(ACCOUNT) && seen.contains(TENANT), "{seen}");
    assert_eq!(lines(wine, "domains"), [DOMAIN]);
    let query = text(&wine.run(&["sc", "query", "AADConnectProvisioningAgent"]));
    assert!(query.contains("RUNNING"), "{query}");
    assert_eq!(entries(wine), ENTRIES);
}

/// The topology in that cloud, beside the lines of a site.
fn topology(world: &World, cloud: &str, site: &str) -> String {
    let at = if site.is_empty() {
        ""
    } else {
        "site = \"ams\"\n"
    };
    world.write(
        &format!("{cloud}.toml"),
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\ncloud = \"{cloud}\"\n{site}[agents.corp]\n{at}serves = [\"{DOMAIN}\"]\nhosts = [\"{TARGET}\"]\n[domain.\"{DOMAIN}\"]\nallow_outage = true\n"
        ),
    )
}

/// In the US Government cloud, at a site whose rule for restarts is its window: a setup that asks for a restart by its exit code alone
/// gets one by the agent, and the run goes on behind it, to the person at the wizard.
pub(crate) fn installed_with_a_restart(world: &World, wine: &Wine) {
    let patience = wine.drive("ProgramData/Entrain/versions/99.0.0.0/test-patience");
    std::fs::write(patience.join("waits"), "2000").unwrap();
    // What the stories before have asked for.
    for file in ["hands-on", "running", "go"] {
        drop(std::fs::remove_file(wine.drive("standin").join(file)));
    }
    let (calls, restarts) = (lines(wine, "calls").len(), lines(wine, "restarts").len());
    let site = "[site.ams]\nzone = \"UTC\"\nreboot = \"window\"\n";
    let topology = topology(world, "us-government", site);
    let policy = world.path("window.toml").display().to_string();
    let since = world.events().len();
    let wish = Asked::new(wine, "wants-restart");
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    must(
        world.entrain(&["apply", planned["plan"].as_str().unwrap()]),
        "apply",
    );
    asked_for(world);
    drop(wish);
    let calls = lines(wine, "calls").split_off(calls);
    let [call] = calls.as_slice() else {
        panic!("the setup is run once: {calls:?}")
    };
    assert!(
        call.contains("\"ENVIRONMENTNAME=AzureUSGovernment\""),
        "{call}"
    );
    let installed = ended(world, since, "install-provisioning-agent");
    let says = "version 1.1.2512.0 installed; Windows asks for a restart";
    assert!(
        matches!(installed.as_slice(), [(Completion::Applied, said)] if said == says),
        "{installed:?}"
    );
    assert_eq!(lines(wine, "restarts").len(), restarts + 1);
    let no_more = "Windows was restarted, and waits for no other restart";
    let restarted = ended(world, since, "restart-server");
    let done = |(how, said): &&(Completion, String)| *how == Completion::Applied && said == no_more;
    assert_eq!(restarted.iter().filter(done).count(), 1, "{restarted:?}");
    registers(world, wine, since);
    drop(world.audit());
}

/// Taken off at a site whose rule is that somebody is asked: the removal wants a restart, a person restarts Windows, and what is left
/// is looked for behind it.
pub(crate) fn taken_off_with_a_restart(world: &World, wine: &Wine) {
    let topology = world.write(
        "retired-and-restarted.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\ncloud = \"us-government\"\n[site.ams]\nzone = \"UTC\"\nreboot = \"ask\"\n[agents.corp]\nsite = \"ams\"\nserves = [\"{DOMAIN}\"]\nhosts = []\nretired = [\"{TARGET}\"]\n"
        ),
    );
    let since = world.events().len();
    let wish = Asked::new(wine, "wants-restart");
    let planned = world.json(&["plan", &topology, "--json"]);
    let plan = planned["plan"].as_str().unwrap();
    must(
        world.entrain(&["apply", plan, "--irreversible", "1"]),
        "apply",
    );
    let task = asked_for(world);
    drop(wish);
    assert!(task.contains("restart Windows on"), "{task}");
    assert_eq!(entries(wine), [""; 0]);
    let restarts = lines(wine, "restarts").len();
    let shutdown = r"C:\windows\system32\shutdown.exe";
    let order = ["/r", "/t", "60", "/d", "p:4:2", "/c", "by its owner"];
    must(wine.run(&[&[shutdown], &order[..]].concat()), "the restart");
    until("it is gone", || (goes_on(world) == "done").then_some(()));
    assert_eq!(lines(wine, "restarts").len(), restarts + 1);
    gone(world, wine);
    let removed = ended(world, since, "remove-provisioning-agent");
    assert!(
        matches!(removed.as_slice(), [(Completion::Applied, said)] if said.contains("Windows asks for a restart")),
        "{removed:?}"
    );
    let restarted = ended(world, since, "restart-server");
    assert_eq!(restarted.len(), 2, "before it and behind it: {restarted:?}");
    drop(world.audit());
}

/// In the cloud in China, while somebody else installs the product by hand: Windows Installer is at work when the agent's setup comes to
/// its package (1618), so it is run again until that has ended; then the same product is there in a newer version (1638), which is looked
/// for and taken as installed.
pub(crate) fn installed_beside_somebody(world: &World, wine: &Wine, by_hand: &Path) {
    let topology = topology(world, "china", "");
    let since = world.events().len();
    let before = lines(wine, "calls").len();
    for file in ["running", "go", "holding", "let-go"] {
        drop(std::fs::remove_file(wine.drive("standin").join(file)));
    }
    let slow = Asked::new(wine, "slow");
    world.apply(&topology);
    until("the setup runs", || {
        goes_on(world);
        wine.drive("standin/running").exists().then_some(())
    });
    // The preflight has found no other installation. Now one begins.
    drop(slow);
    let holds = Asked::new(wine, "holds");
    let setup = format!("Z:{}", by_hand.display()).replace('/', "\\");
    let somebody = wine
        .command("wine")
        .args([&setup, "/quiet", "/norestart", "/log"])
        .args([r"C:\standin\by-hand.log", "ENVIRONMENTNAME=AzureChinaCloud"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut somebody = somebody.unwrap();
    until("another installation is under way", || {
        wine.drive("standin/holding").exists().then_some(())
    });
    drop(holds);
    let go = Asked::new(wine, "go");
    // That of the agent, that of somebody, and that of the agent once more.
    until("the setup is run again", || {
        goes_on(world);
        (lines(wine, "calls").len() >= before + 3).then_some(())
    });
    let installed = |ours: &World| ended(ours, since, "install-provisioning-agent");
    assert!(installed(world).is_empty(), "{:?}", installed(world));
    let let_go = Asked::new(wine, "let-go");
    assert!(somebody.wait().unwrap().success());
    asked_for(world);
    drop((go, let_go));
    let called = lines(wine, "calls").split_off(before);
    assert!(
        called
            .iter()
            .all(|call| call.contains("\"ENVIRONMENTNAME=AzureChinaCloud\"")),
        "{called:?}"
    );
    let log = wine.drive("ProgramData/Entrain/agent/logs/provisioning-agent-setup.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("msiexec /i ended with 1638"), "{log}");
    let installed = installed(world);
    assert!(
        matches!(installed.as_slice(), [(_, said)] if said.contains("version 1.1.2512.0 ")),
        "{installed:?}"
    );
    registers(world, wine, since);
    drop(world.audit());
}
