//! The world of the end-to-end stories: a controller and agents as processes of their own, driven by the programs that an
//! operator uses.

pub mod graph;
pub mod operators;
mod processes;
pub mod rails;
pub mod recipes;
pub mod relay;
mod releases;
pub mod samba;
pub mod signing;
pub mod small_disk;
mod told;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use agent_twin::{Fault, Installed, Profile};
use serde_json::Value;

/// How long a condition may take to come true before the story counts as stuck.
const PATIENCE: Duration = Duration::from_secs(90);

/// The tenant of the stories.
pub const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

/// The secret that is given: it must be found nowhere afterwards.
pub const SECRET: &str = "correct-horse-battery-staple";

/// What the domain's administrator gives: another person's, and it must be found nowhere either.
pub const CREDENTIAL: &str = "staple-battery-horse-correct";

/// The domain of the stories.
pub const DOMAIN: &str = "corp.contoso.com";

/// The folder of agents' copies.
pub const COPIES: &str = "copies";

/// Stands for the publisher's public key, which is made with the world.
const PUBLISHER: &str = "the publisher";

use crate::relay::{Faults, Relay};

/// A program of this workspace, beside the tests' own.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own program");
    let folder = own.ancestors().nth(2).expect("tests lie in deps");
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is missing: `tests/run` builds it",
        path.display()
    );
    path
}

/// Of which release a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// This one.
    Ours,
    /// The one before.
    Before,
}

impl Release {
    /// A program of it.
    ///
    /// # Panics
    /// When it was not built.
    #[must_use]
    pub fn program(self, name: &str) -> PathBuf {
        let ours = program(name);
        if self == Self::Ours {
            return ours;
        }
        let target = ours
            .ancestors()
            .nth(2)
            .expect("programs lie in a profile's folder");
        let path = target.join("before").join(name);
        assert!(
            path.exists(),
            "{} is missing: `tests/run unit` builds it",
            path.display()
        );
        path
    }
}

/// The library that shows a program another clock.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn clock_library() -> PathBuf {
    let path = format!(
        "/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1",
        std::env::consts::ARCH
    );
    assert!(Path::new(&path).exists(), "`tests/run` installs faketime");
    path.into()
}

/// Shows every file under a folder; what cannot be listed or is a link is left out.
pub fn files(folder: &Path, show: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files(&path, show);
        } else {
            show(&path);
        }
    }
}

/// Waits until `look` gives something.
///
/// # Panics
/// When it does not.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look)
}

/// The same, with a patience of its own.
///
/// # Panics
/// When it does not.
pub fn until_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < patience, "{what}: it did not come to be");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A server of a story, with nothing installed.
///
/// # Panics
/// When the name is none.
#[must_use]
pub fn server(name: &str, faults: &[Fault]) -> Profile {
    Profile {
        target: name.parse().expect("a DNS name"),
        installed: Installed::Nothing,
        person: None,
        faults: faults.iter().copied().collect(),
    }
}

/// A server of a story whose agent serves, and is older than what the suite installs.
///
/// # Panics
/// When the name is none.
#[must_use]
pub fn serving(name: &str) -> Profile {
    Profile {
        installed: Installed::ProvisioningAgent {
            version: "1.1.1373.0".parse().expect("a version"),
            tenant: TENANT.parse().expect("a tenant"),
        },
        ..server(name, &[])
    }
}

/// A controller and its agents.
#[derive(Debug)]
pub struct World {
    folder: tempfile::TempDir,
    port: u16,
    controller: Option<Child>,
    agents: Vec<Child>,
    environment: Vec<(String, String)>,
    /// Modelled seconds that pass in a real one; 0 lets no time pass.
    pub speed: u32,
    /// Size in KiB over which no file of a program that is started grows, as on a disk that is full.
    pub full_at: Option<u32>,
    /// The socket of operators on which the controller listens beside its own.
    socket: Option<PathBuf>,
    /// How far the clock of agents that are started is from what it is, as `faketime` spells it.
    pub clock: Option<&'static str>,
    /// The same of a controller that is started.
    pub controller_clock: Option<&'static str>,
    /// Whether the disk of agents that are started keeps nothing of a journal but what was flushed, when they end.
    pub flushed: bool,
    /// Name of the clock that agents follow which are started, while they run: [`World::set_clock`] sets it.
    pub clock_of_agents: Option<&'static str>,
    /// The same of a controller that is started.
    pub clock_of_controller: Option<&'static str>,
    /// Of which release the controller is, and the command line that drives it; those that are started next.
    pub controller_of: Release,
    /// Of which release the agents are that are started next.
    pub agents_of: Release,
    relay: Option<Relay>,
}

/// How many lines of each log are shown with a story that failed.
const LAST_LINES: usize = 40;

/// The same command, where no file may grow over that size; it hears of it as an error and not as a signal.
fn limited(command: &Command, kib: u32) -> Command {
    let mut limited = Command::new("bash");
    limited
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -S -f \"$1\"; shift; exec \"$@\"")
        .arg("limited")
        .arg(kib.to_string())
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            limited.env(name, value);
        }
    }
    limited
}

impl Drop for World {
    #[expect(
        clippy::print_stderr,
        reason = "a story that failed is told where its runner looks"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["serve.log", "agents.log"] {
                let said = std::fs::read_to_string(self.path(name)).unwrap_or_default();
                let lines: Vec<&str> = said.lines().collect();
                let last = lines.split_at(lines.len().saturating_sub(LAST_LINES)).1;
                eprintln!("-- the end of {name}:\n{}", last.join("\n"));
            }
            for shown in [&["agents", "list"][..], &["status"]] {
                let said = text(&self.entrain(shown));
                eprintln!("-- entrain {}:\n{said}", shown.join(" "));
            }
        }
        self.kill_agents();
        self.kill_controller();
    }
}

impl World {
    /// A simulated controller that runs.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        Self::with_environment(&[])
    }

    /// The same, with variables for every program of it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn with_environment(environment: &[(&str, &str)]) -> Self {
        Self::make(environment, None, &["--simulated"], Release::Ours)
    }

    /// A controller for real servers, which models of servers cannot join.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn for_real_servers() -> Self {
        Self::make(&[], None, &[], Release::Ours)
    }

    /// A simulated controller and agents of these releases.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn of(controller: Release, agents: Release) -> Self {
        let mut world = Self::make(&[], None, &["--simulated"], controller);
        world.agents_of = agents;
        world
    }

    /// A simulated controller that knows a publisher of agents, with variables for every program of it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn with_publisher(environment: &[(&str, &str)]) -> Self {
        let kind = ["--simulated", "--publisher", PUBLISHER];
        Self::make(environment, None, &kind, Release::Ours)
    }

    /// A simulated controller whose agents reach it by a link with such faults.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn behind_a_relay(faults: Faults, seed: u64) -> Self {
        Self::make(&[], Some((faults, seed)), &["--simulated"], Release::Ours)
    }

    fn make(
        environment: &[(&str, &str)],
        link: Option<(Faults, u64)>,
        kind: &[&str],
        controller_of: Release,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("a port").port();
        drop(socket);
        let mut world = Self {
            folder,
            port,
            controller: None,
            agents: Vec::new(),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            speed: 0,
            full_at: None,
            socket: None,
            clock: None,
            controller_clock: None,
            flushed: false,
            clock_of_agents: None,
            clock_of_controller: None,
            controller_of,
            agents_of: Release::Ours,
            relay: link.map(|(faults, seed)| Relay::to(port, faults, seed)),
        };
        let listen = format!("127.0.0.1:{port}");
        let dialled = world.relay.as_ref().map_or(port, Relay::port);
        let address = format!("127.0.0.1:{dialled}");
        let root = world.path("root.pem");
        let root = root.to_str().expect("a path");
        let kind: Vec<String> = kind
            .iter()
            .map(|word| match *word {
                PUBLISHER => world.publisher("publisher"),
                word => word.to_owned(),
            })
            .collect();
        let kind: Vec<&str> = kind.iter().map(String::as_str).collect();
        let init = [
            "init",
            "--address",
            &address,
            "--listen",
            &listen,
            "--root-key",
            root,
            "--passphrase-stdin",
        ];
        let made = world.entrain_with(&[&init, kind.as_slice()].concat(), b"a passphrase\n");
        assert!(made.status.success(), "{}", text(&made));
        world.start_controller();
        world
    }

    /// A path in the world's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The link between agents and controller.
    ///
    /// # Panics
    /// When this world has none of its own.
    #[must_use]
    pub fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("a world behind a relay")
    }

    /// The port on which the controller listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Runs `entrain` on this world's controller.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn entrain(&self, arguments: &[&str]) -> Output {
        self.entrain_with(arguments, b"")
    }

    /// The same, with standard input.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn entrain_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(arguments).spawn().expect("entrain runs");
        let mut stdin = child.stdin.take().expect("it has standard input");
        // A program that needs no input may be gone already.
        drop(std::io::Write::write_all(&mut stdin, input));
        drop(stdin);
        child.wait_with_output().expect("entrain ends")
    }

    /// The same, where no file may grow over so many KiB.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn entrain_full(&self, kib: u32, arguments: &[&str], input: &Path) -> Output {
        let mut command = limited(&self.command(arguments), kib);
        command.stdin(std::fs::File::open(input).expect("the input is there"));
        command.output().expect("entrain runs")
    }

    /// What the operator sees of refusals: who, what and why.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn refusals(&self) -> Vec<(String, String, String)> {
        let agents = self.json(&["agents", "list", "--json"]);
        let rows = agents["refusals"].as_array().expect("rows").iter();
        let word = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        rows.map(|row| (word(row, "who"), word(row, "what"), word(row, "why")))
            .collect()
    }

    /// Waits until the operator sees that this was refused, with such a reason.
    pub fn refused(&self, who: &str, what: &str, why: &str) {
        until(&format!("{what} of {who} is refused: {why}"), || {
            let rows = self.refusals();
            rows.iter()
                .any(|(a, b, c)| a == who && b == what && c.contains(why))
                .then_some(())
        });
    }

    /// Plans and applies, and gives what was printed.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn apply_and_name(&self, topology: &str) -> String {
        let planned = self.json(&["plan", topology, "--json"]);
        let plan = planned["plan"].as_str().expect("a plan").to_owned();
        let applied = self.entrain(&["apply", &plan]);
        assert!(applied.status.success(), "{}", text(&applied));
        text(&applied)
    }

    /// Waits until a certificate that was issued last has ended.
    ///
    /// # Panics
    /// When none was issued.
    pub fn certificate_ends(&self) {
        let rows = self.json(&["logs", "--json"]);
        let rows = rows.as_array().expect("rows").clone();
        let last = rows
            .iter()
            .rfind(|row| row["record"]["record"] == "certificate-issued")
            .expect("a certificate");
        let ends: protocol::Timestamp =
            serde_json::from_value(last["record"]["is"]["expires"].clone()).expect("a time");
        until("it has expired", || {
            (controller::now() > ends.plus(Duration::from_secs(1))).then_some(())
        });
    }

    /// `entrain` with these arguments, for whoever speaks with it while it runs.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.controller_of.program("entrain"));
        command
            .args(arguments)
            .env("ENTRAIN_STATE", self.path("controller"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `entrain` and gives its JSON.
    ///
    /// # Panics
    /// When it fails or prints none.
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.entrain(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Enrolls these servers and waits until all have reported their facts.
    pub fn enroll(&mut self, servers: &[Profile]) {
        // A token for one server without its name would wait for an operator.
        let join = self.join_file(servers.len().max(2));
        self.start_agents(servers, Some(&join));
        self.all_report(servers.len());
    }

    /// Waits until that many agents are connected and have reported.
    pub fn all_report(&self, count: usize) {
        until("every agent has reported", || {
            let agents = self.json(&["agents", "--json"]);
            let ready = agents["agents"].as_array()?.iter().filter(|agent| {
                agent["connected"] == true
                    && agent["facts"]
                        .as_str()
                        .is_some_and(|facts| facts.starts_with("build"))
            });
            (ready.count() == count).then_some(())
        });
    }

    /// Takes a stand-in for the provisioning agent's setup into the artifact store.
    ///
    /// # Panics
    /// When it is refused.
    pub fn add_artifact(&self) {
        let file = self.path("setup.bin");
        let bytes: Vec<u8> = (0..2_500_000_u32).map(|at| at.to_le_bytes()[1]).collect();
        std::fs::write(&file, bytes).expect("a file");
        let file = file.to_str().expect("a path");
        let arguments = [
            "artifact",
            "add",
            file,
            "--accept-terms",
            "--model",
            "provisioning-agent",
            "--version",
            "1.1.2505.0",
        ];
        let added = self.entrain(&arguments);
        assert!(added.status.success(), "{}", text(&added));
    }

    /// Writes a topology of one group and gives its path.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn topology(&self, hosts: &[&str]) -> String {
        let hosts: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [{}]\n",
            hosts.join(", ")
        );
        self.write("topology.toml", &text)
    }

    /// The same, of a domain where one must serve at each moment, and whose administrator gives a credential: steps change its gMSA.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn guarded(&self, hosts: &[&str]) -> String {
        let written = std::fs::read_to_string(self.topology(hosts)).expect("a topology");
        let domain = "[domain.\"corp.contoso.com\"]\nmin_serving = 1\ndirectory = \"ask\"\n";
        self.write("topology.toml", &format!("{written}{domain}"))
    }

    /// Writes a file and gives its path.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("a path").to_owned()
    }

    /// Plans and applies; gives nothing, since the stories have one rollout.
    ///
    /// # Panics
    /// When the plan is refused.
    pub fn apply(&self, topology: &str) {
        let policy = self.write("policy.toml", "[limit]\nfailures = \"50\"\n");
        let planned = self.json(&["plan", topology, "--policy", &policy, "--json"]);
        let plan = planned["plan"]
            .as_str()
            .unwrap_or_else(|| panic!("no plan: {planned}"));
        let applied = self.entrain(&["apply", plan]);
        assert!(applied.status.success(), "{}", text(&applied));
    }

    /// Two people give what is theirs, each so often, in the background: the suite's tenant to its servers, and the administrator of
    /// its domain to those that ask for one.
    pub fn give_secrets(&mut self, count: usize) {
        self.give(SECRET, count);
        if self.controller_of == Release::Ours {
            self.give_to(&["--domain", DOMAIN], CREDENTIAL, count);
        }
    }

    /// Gives this secret to whoever asks for the suite's tenant, in the background.
    pub fn give(&mut self, value: &str, count: usize) {
        // A program of the release before names nobody's secret.
        match self.controller_of {
            Release::Ours => self.give_to(&["--tenant", TENANT], value, count),
            Release::Before => self.give_to(&[], value, count),
        }
    }

    /// Gives this secret to whoever asks for what is so named, in the background.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn give_to(&mut self, named: &[&str], value: &str, count: usize) {
        self.give_of(("admin@contoso.com", value), named, count);
    }

    /// Gives this user's secret to whoever asks for what is so named, in the background.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn give_of(&mut self, (user, value): (&str, &str), named: &[&str], count: usize) {
        let count = count.to_string();
        let give = ["secret", "give", "--stdin", "--count", &count];
        let mut child = self
            .command(&[&give[..], named].concat())
            .spawn()
            .expect("it runs");
        let mut stdin = child.stdin.take().expect("standard input");
        std::io::Write::write_all(&mut stdin, format!("{user}\n{value}\n").as_bytes())
            .expect("it listens");
        self.agents.push(child);
    }

    /// The one rollout's frame.
    #[must_use]
    pub fn targets(&self) -> Vec<Value> {
        let status = self.json(&["status", "--json"]);
        let newest = status["rollouts"].as_array().and_then(|all| all.last());
        newest
            .and_then(|rollout| rollout["targets"].as_array().cloned())
            .unwrap_or_default()
    }

    /// State and detail of a target in the newest rollout.
    #[must_use]
    pub fn state(&self, target: &str) -> (String, String) {
        let found = self
            .targets()
            .into_iter()
            .find(|row| row["target"] == target)
            .unwrap_or_default();
        let field = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        (field("state"), field("detail"))
    }

    /// Waits until a target of the newest rollout waits for a secret.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn awaits_secret(&self, target: &str) {
        until(&format!("{target} waits for its secret"), || {
            (self.state(target).0 == "awaiting secret").then_some(())
        });
    }

    /// Waits until every target is done.
    pub fn all_done(&self) {
        until("every target is done", || self.are_done().then_some(()));
    }

    /// Whether every target of the newest rollout is done.
    ///
    /// # Panics
    /// When one has ended otherwise.
    #[must_use]
    pub fn are_done(&self) -> bool {
        let targets = self.targets();
        let ended = ["failed", "refused", "inconclusive"];
        let stuck = |target: &&Value| ended.iter().any(|end| target["state"] == *end);
        if let Some(stuck) = targets.iter().find(stuck) {
            panic!("it ended otherwise: {stuck}");
        }
        !targets.is_empty() && targets.iter().all(|target| target["state"] == "done")
    }
}

/// Gives a program another clock.
fn with_clock(command: &mut Command, offset: &str) {
    // Its program of that name would be the process that is killed, and ours would live on.
    command
        .env("LD_PRELOAD", clock_library())
        .env("FAKETIME", offset)
        // What measures how long something takes is left alone.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Everything that a program printed.
#[must_use]
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
