//! The same story on real Windows code: the agent as a Windows service under Wine, a Linux controller, a real setup
//! executable that runs a real `msiexec /qn`, a PowerShell process, real registry and services. The products are stand-ins
//! (`tests/fixtures`). Run by `tests/run wine`, inside network and mount namespaces of its own, in which the cloud's sign-in
//! hosts and a domain controller are this machine.
#![expect(
    clippy::unwrap_used,
    reason = "a story stops where something is not as it must be"
)]

use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use e2e::samba::{ADMINISTRATOR, DOMAIN, Samba};
use e2e::signing::{Authority, Signer, Usage, VENDOR};
use e2e::{SECRET, TENANT, World, files, text, until, until_within};
use protocol::event::Event;

const TARGET: &str = "win-01.corp.contoso.test";

/// What the product's stand-in expects as its token; the suite's own secret is not the stand-in's.
const TOKEN: &str = "a token of nobody";

struct Wine {
    prefix: PathBuf,
    programs: PathBuf,
    /// Wine ends its services with its last program; this one waits for input that never comes.
    keeper: Option<std::process::Child>,
}

impl Drop for Wine {
    fn drop(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            drop(keeper.kill());
            drop(keeper.wait());
        }
        drop(self.command("wineserver").arg("-k").status());
    }
}

impl Wine {
    fn new(folder: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap();
        let programs = root.join("target/windows/x86_64-pc-windows-gnu/release");
        assert!(
            programs.join("entrain-agent.exe").exists(),
            "`tests/run wine` builds the Windows programs"
        );
        let mut wine = Self {
            prefix: folder.join("wine"),
            programs,
            keeper: None,
        };
        must(wine.run(&["wineboot", "-i"]), "wineboot");
        // A session that begins while the first one still ends gets services that wait for each other.
        must(
            wine.command("wineserver").arg("-w").output().unwrap(),
            "the end of wineboot",
        );
        let mut keeper = wine.command("wine");
        keeper
            .arg("cmd")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        wine.keeper = Some(keeper.spawn().unwrap());
        wine
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            .env("DISPLAY", "")
            .stdin(Stdio::null());
        command
    }

    /// Runs a Windows program. What it prints goes through a file: services that it starts inherit its handles, and a
    /// pipe would not end before they do.
    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// The same, with a line on its standard input.
    fn run_with(&self, arguments: &[&str], line: &str) -> Output {
        let input = self.prefix.with_extension("in");
        std::fs::write(&input, format!("{line}\n")).unwrap();
        let path = self.prefix.with_extension("out");
        let file = std::fs::File::create(&path).unwrap();
        let (out, error) = (Stdio::from(file.try_clone().unwrap()), Stdio::from(file));
        let status = self
            .command("wine")
            .args(arguments)
            .stdin(std::fs::File::open(&input).unwrap())
            .stdout(out)
            .stderr(error)
            .status()
            .unwrap();
        Output {
            status,
            stdout: std::fs::read(&path).unwrap(),
            stderr: Vec::new(),
        }
    }

    /// Ids of this prefix's processes that run the program, as Linux sees them.
    fn processes(&self, program: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let holds = |file: &str, text: &str| {
                std::fs::read(entry.path().join(file)).is_ok_and(|bytes| {
                    bytes
                        .windows(text.len())
                        .any(|window| window == text.as_bytes())
                })
            };
            if holds("cmdline", program) && holds("environ", self.prefix.to_str().unwrap()) {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        found
    }

    fn drive(&self, path: &str) -> PathBuf {
        self.prefix.join("drive_c").join(path)
    }

    fn put(&self, program: &str, path: &str) {
        let to = self.drive(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::remove_file(&to).ok();
        std::fs::copy(self.programs.join(program), to).unwrap();
    }

    /// Waits until Wine's service manager starts services: while it starts its own, it refuses with 1055.
    fn services_start(&self) {
        self.put("standin-service.exe", "ready.exe");
        must(
            self.run(&["sc", "create", "Ready", "binPath=", r"C:\ready.exe"]),
            "Ready",
        );
        until_within(Duration::from_secs(60), "services start", || {
            self.run(&["sc", "start", "Ready"])
                .status
                .success()
                .then_some(())
        });
    }

    fn registry(&self, key: &str, value: &str, kind: &str, data: &str) {
        let key = format!("HKLM\\{key}");
        must(
            self.run(&[
                "reg", "add", &key, "/v", value, "/t", kind, "/d", data, "/f",
            ]),
            &key,
        );
    }
}

fn must(output: Output, what: &str) -> Output {
    assert!(output.status.success(), "{what}: {}", text(&output));
    output
}

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

/// The agent's questions to a real domain controller, by the Windows program: what everyone is told, a sign-in over LDAPS
/// whose authority Windows trusts, and integrated sign-in, which Wine does not have and which is told as that.
fn asks_the_directory(wine: &Wine, agent: &str, samba: &Samba) {
    // A question that a busy machine answers too late is told as that, and asked again.
    let asked = until("the domain's DNS answers in time", || {
        let asked = wine.run(&[agent, "directory", DOMAIN, "--as", "nobody", "--json"]);
        let (verdict, read) = verdict(&asked, "PF22");
        let late = verdict == "cannot-tell" && read.contains("timed out");
        assert!(late || verdict == "pass", "{}", text(&asked));
        (!late).then_some(asked)
    });
    assert_eq!(verdict(&asked, "PF25").0, "pass", "{}", text(&asked));
    let own = wine.run(&[agent, "directory", DOMAIN, "--json"]);
    assert_eq!(verdict(&own, "PF46").0, "cannot-tell", "{}", text(&own));

    let (user, password) = ADMINISTRATOR;
    let arguments = [agent, "directory", DOMAIN, "--user", user, "--json"];
    let stranger = wine.run_with(&arguments, password);
    assert!(
        verdict(&stranger, "PF46").1.contains("certificate"),
        "{}",
        text(&stranger)
    );
    trust(&samba.authority());
    let known = wine.run_with(&arguments, password);
    assert_eq!(verdict(&known, "PF46").0, "pass", "{}", text(&known));
    assert_eq!(verdict(&known, "PF55").1, "CORP");
    let wrong = wine.run_with(&arguments, "not the password");
    assert!(
        verdict(&wrong, "PF46").1.contains("refused"),
        "{}",
        text(&wrong)
    );
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

/// A server as the product wants it (product facts 1.7).
fn windows_server(wine: &Wine) {
    let version = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion";
    wine.registry(
        version,
        "ProductName",
        "REG_SZ",
        "Windows Server 2022 Standard (Wine)",
    );
    wine.registry(version, "CurrentBuildNumber", "REG_SZ", "20348");
    wine.registry(version, "InstallationType", "REG_SZ", "Server");
    wine.registry(
        r"SYSTEM\CurrentControlSet\Control\ProductOptions",
        "ProductType",
        "REG_SZ",
        "ServerNT",
    );
    wine.registry(
        r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters",
        "Domain",
        "REG_SZ",
        "corp.contoso.test",
    );
    wine.registry(
        r"SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full",
        "Release",
        "REG_DWORD",
        "528449",
    );
    wine.registry(
        r"SOFTWARE\Microsoft\.NETFramework\v4.0.30319",
        "SchUseStrongCrypto",
        "REG_DWORD",
        "1",
    );
    // TLS 1.2 is left as Windows has it: the rollout may fix it.
    must(
        wine.run(&[
            "sc",
            "create",
            "VaultSvc",
            "binPath=",
            r"C:\windows\system32\svchost.exe",
            "start=",
            "demand",
        ]),
        "VaultSvc",
    );
}

/// The setup: the stand-in's program with the package appended, signed.
fn setup(wine: &Wine, folder: &Path, vendor: &Signer) -> PathBuf {
    for (program, name) in [
        ("standin-service.exe", "agent.exe"),
        ("standin-service.exe", "updater.exe"),
        ("standin-service.exe", "module.dll"),
    ] {
        std::fs::copy(wine.programs.join(program), folder.join(name)).unwrap();
    }
    let package = folder.join("inner.msi");
    let built = Command::new("wixl")
        .current_dir(folder)
        .args(["-a", "x64", "-o"])
        .arg(&package)
        .arg(fixture("product.wxs"))
        .output();
    must(built.unwrap(), "wixl");
    let inner = std::fs::read(&package).unwrap();
    let mut bytes = std::fs::read(wine.programs.join("standin-setup.exe")).unwrap();
    bytes.extend_from_slice(b"\0inner package\0");
    bytes.extend_from_slice(&(inner.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&inner);
    let unsigned = folder.join("unsigned.exe");
    std::fs::write(&unsigned, bytes).unwrap();
    vendor.sign(&unsigned, &folder.join("setup.exe"))
}

/// The package of Connect Sync, signed.
fn package(wine: &Wine, folder: &Path, vendor: &Signer) -> PathBuf {
    std::fs::copy(
        wine.programs.join("standin-engine.exe"),
        folder.join("engine.exe"),
    )
    .unwrap();
    let unsigned = folder.join("unsigned.msi");
    let built = Command::new("wixl")
        .current_dir(folder)
        .args(["-a", "x64", "-o"])
        .arg(&unsigned)
        .arg(fixture("connect.wxs"))
        .output();
    must(built.unwrap(), "wixl");
    vendor.sign(&unsigned, &folder.join("connect.msi"))
}

fn fixture(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    tests.join("fixtures").join(name)
}

fn add(world: &World, file: &Path) -> Output {
    let file = file.to_str().unwrap();
    let source = "built by the suite";
    world.entrain(&[
        "artifact",
        "add",
        file,
        "--accept-terms",
        "--source",
        source,
    ])
}

/// Connect Sync on the same server: a real package that is verified on both sides and put where a person finds it, a
/// person at the MSI and the wizard, and the end as the probes see it.
fn connect(world: &mut World, wine: &Wine, package: &Path) {
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

/// The setup fails as it does where a policy takes the right to log on as a service: the cause stands in the log of the
/// inner package alone, in UTF-16.
fn fails_as_the_product_does(world: &World, wine: &Wine, topology: &str) {
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
fn killed_while_the_setup_runs(world: &World, wine: &Wine) {
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
fn restarted(world: &World, wine: &Wine) {
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
fn taken_off(world: &World, wine: &Wine) {
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

/// The agent becomes another version by its launcher, which is the service all the while, and comes back from one that Windows
/// cannot even start.
fn upgraded(world: &World, wine: &Wine, topology: &str) {
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
    let second = wine.processes("entrain-agent.exe");
    assert_eq!(second.len(), 1, "one agent");
    assert_ne!(first, second);

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
/// script goes on, no installer is ended, and none begins beside another.
fn hangs_and_forks(world: &World, wine: &Wine, topology: &str, anchor: &Path) {
    let version = wine.drive("ProgramData/Entrain/versions/99.0.0.0");
    std::fs::copy(anchor, version.join("test-anchor.der")).unwrap();
    let patience = version.join("test-patience");
    std::fs::create_dir_all(&patience).unwrap();
    let within = |what: &str, millis: u32| {
        std::fs::write(patience.join(what), millis.to_string()).unwrap();
    };
    let asks = |what: &str| std::fs::write(wine.drive("standin").join(what), "").unwrap();
    let asks_no_more = |what: &str| {
        std::fs::remove_file(wine.drive("standin").join(what)).ok();
    };
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
    let none_of = |what: &str| {
        let left = wine.processes(what);
        assert!(left.is_empty(), "{what}: {left:?}");
    };
    for file in ["slow", "go", "running"] {
        asks_no_more(file);
    }
    let (left, behind, setup) = ("--left-by-powershell", "--behind", "ENVIRONMENTNAME=");

    asks("leaves");
    asks("mute");
    within("script-begins", 1500);
    let rollout = std::cell::RefCell::new(String::new());
    let why = fails(&|| *rollout.borrow_mut() = world.apply_and_name(topology));
    told(&why, &["PowerShell was started and never ran the script"]);
    none_of("powershell.exe");
    none_of(left);
    let rollout = rollout.into_inner();
    let rollout = rollout.split_whitespace().nth(1).unwrap().to_owned();
    let retry = || drop(must(world.entrain(&["retry", &rollout]), "retry"));

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
    drop(world.audit());
}

/// Listens as the sign-in hosts; answers nobody, which is all that a port probe asks.
fn listen(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .unwrap_or_else(|error| panic!("port {port}: {error}"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            drop(stream.read(&mut [0; 1]));
        }
    });
}

#[test]
fn the_agent_is_a_windows_service_and_installs_the_provisioning_agent() {
    listen(443);
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
    let setup = setup(&wine, folder.path(), &vendor);

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
    let agent = r"C:\ProgramData\Entrain\versions\1\entrain-agent.exe";
    let windows_join = format!("Z:{}", join.display()).replace('/', "\\");
    asks_the_directory(&wine, agent, &samba);
    let state = r"C:\ProgramData\Entrain\agent";
    must(
        wine.run(&[
            agent,
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

    let added = text(&must(add(&world, &setup), "artifact"));
    assert!(added.contains("provisioning agent 1.1.2505.0"), "{added}");
    let topology = world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.test\"]\nhosts = [\"{TARGET}\"]\nmay_fix = [\"tls12\"]\noptions = {{ proxy = \"http://proxy.corp.contoso.test:8080\", fips_exempt = true, ldap_timeout = \"60s\" }}\n"
        ),
    );
    fails_as_the_product_does(&world, &wine, &topology);
    killed_while_the_setup_runs(&world, &wine);
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
    let said = text(&world.entrain(&["logs"]));
    assert!(
        said.contains("Enabled of Client set to 1"),
        "what was fixed is told with its old value"
    );
    let record = world.audit();
    assert_eq!(
        record.matches("run-finished").count(),
        4,
        "a signed receipt of the run that failed, and three of those that did not"
    );
    assert!(!record.contains(TOKEN) && !record.contains(SECRET));
    let mut found = Vec::new();
    files(&wine.drive("ProgramData"), &mut |path| {
        let bytes = std::fs::read(path).unwrap();
        if bytes.windows(TOKEN.len()).any(|at| at == TOKEN.as_bytes()) {
            found.push(path.to_owned());
        }
    });
    assert!(found.is_empty(), "the token lies in {found:?}");

    restarted(&world, &wine);

    let package = package(&wine, folder.path(), &vendor);
    connect(&mut world, &wine, &package);

    taken_off(&world, &wine);

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

    upgraded(&world, &wine, &topology);

    hangs_and_forks(&world, &wine, &topology, &anchor);
}
