//! The world of the end-to-end stories: a controller and agents as processes of their own, driven by the programs that an
//! operator uses.

pub mod graph;
pub mod rails;
pub mod relay;
pub mod samba;
pub mod signing;
pub mod small_disk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use agent_twin::{Fault, Installed, Moment, PowerCut, Profile, Twin};
use controller_core::record::Record;
use protocol::event::Event;
use serde_json::Value;

/// How long a condition may take to come true before the story counts as stuck.
const PATIENCE: Duration = Duration::from_secs(90);

/// The tenant of the stories.
pub const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

/// The secret that is given: it must be found nowhere afterwards.
pub const SECRET: &str = "correct-horse-battery-staple";

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

    /// Makes a publisher's key of that name, and gives the file of its public half.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn publisher(&self, name: &str) -> String {
        let (key, public) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.pub")),
        );
        let (key, public) = (
            key.to_str().expect("a path"),
            public.to_str().expect("a path"),
        );
        let key = [
            "release",
            "key",
            "--key",
            key,
            "--public",
            public,
            "--passphrase-stdin",
        ];
        let made = self.entrain_with(&key, b"publisher's passphrase\n");
        assert!(made.status.success(), "{}", text(&made));
        public.to_owned()
    }

    /// Has that publisher sign a program for this platform as a release, and brings it to the controller.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn release(&self, publisher: &str, version: &str, program: &Path) -> Output {
        let platform = protocol::signed::AgentRelease::this_platform();
        self.release_for(&platform, publisher, version, program)
    }

    /// The same for another platform.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn release_for(
        &self,
        platform: &str,
        publisher: &str,
        version: &str,
        program: &Path,
    ) -> Output {
        let signed = self.signed(platform, publisher, version, program);
        let file = program.to_str().expect("a path");
        self.entrain(&["release", "add", &signed, file])
    }

    /// Has that publisher sign a program as a release, and gives the release's file.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn signed(&self, platform: &str, publisher: &str, version: &str, program: &Path) -> String {
        let key = self.path(&format!("{publisher}.pem"));
        let out = self.path(&format!("{publisher}-{version}.release"));
        let (key, out) = (key.to_str().expect("a path"), out.to_str().expect("a path"));
        let file = program.to_str().expect("a path");
        let named = format!("{platform}={file}");
        let sign = [
            "release",
            "sign",
            "--version",
            version,
            "--program",
            &named,
            "--key",
            key,
            "--out",
            out,
            "--passphrase-stdin",
        ];
        let signed = self.entrain_with(&sign, b"publisher's passphrase\n");
        assert!(signed.status.success(), "{}", text(&signed));
        out.to_owned()
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

    /// Starts the controller and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start_controller(&mut self) {
        self.spawn_controller();
        until("the controller answers", || {
            self.entrain(&["status"]).status.success().then_some(())
        });
    }

    /// Starts the controller.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn_controller(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("serve.log"))
            .expect("a log");
        let mut command = self.command(&["serve"]);
        if let Some(kib) = self.full_at {
            command = limited(&command, kib);
            command.stdin(Stdio::null());
        }
        if let Some(offset) = self.controller_clock {
            with_clock(&mut command, offset);
        }
        if let Some(name) = self.clock_of_controller {
            self.follow(&mut command, name);
        }
        command.stdout(Stdio::null()).stderr(log);
        self.controller = Some(command.spawn().expect("the controller starts"));
    }

    /// Sets the clock of that name so far from what it is, as `faketime` spells it: whoever follows it sees that at once. What
    /// measures how long something takes goes on as it did.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn set_clock(&self, name: &str, offset: &str) {
        let path = self.path(name);
        let beside = path.with_extension("new");
        // Whole, or not at all: it is read at each look at the clock.
        std::fs::write(&beside, offset).expect("a file");
        std::fs::rename(beside, path).expect("it is put there");
    }

    fn follow(&self, command: &mut Command, name: &str) {
        if !self.path(name).exists() {
            self.set_clock(name, "+0");
        }
        command
            .env("LD_PRELOAD", clock_library())
            .env("FAKETIME_TIMESTAMP_FILE", self.path(name))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }

    /// Whether the controller was killed by another than this world.
    ///
    /// # Panics
    /// When it has ended by itself.
    pub fn controller_was_killed(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        let Some(child) = &mut self.controller else {
            return true;
        };
        let Some(ended) = child.try_wait().expect("a child") else {
            return false;
        };
        assert!(ended.signal().is_some(), "the controller gave up: {ended}");
        self.controller = None;
        true
    }

    /// Gives the running controller room on its disk again.
    ///
    /// # Panics
    /// When there is no controller.
    pub fn free_disk(&mut self) {
        self.full_at = None;
        let controller = self.controller.as_ref().expect("a controller");
        let done = Command::new("prlimit")
            .args(["--fsize=unlimited", "--pid"])
            .arg(controller.id().to_string())
            .output();
        let done = done.expect("prlimit runs");
        assert!(done.status.success(), "{}", text(&done));
    }

    /// Kills the controller, SIGKILL.
    pub fn kill_controller(&mut self) {
        if let Some(mut child) = self.controller.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Lets no file of a running process of agents, which was started with [`World::full_at`], grow over so many bytes from now on.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn fill_agents_disk(&self, number: usize, bytes: u64) {
        let done = Command::new("prlimit")
            .arg(format!("--fsize={bytes}"))
            .arg("--pid")
            .arg(self.agents[number].id().to_string())
            .output();
        let done = done.expect("prlimit runs");
        assert!(done.status.success(), "{}", text(&done));
    }

    /// Whether a process of agents has ended by itself.
    ///
    /// # Panics
    /// When a process cannot be asked.
    pub fn one_gave_up(&mut self) -> bool {
        let ended = |child: &mut Child| child.try_wait().expect("a child").is_some();
        self.agents.iter_mut().any(ended)
    }

    /// Stops the controller in order, SIGTERM: it tells everybody that it goes.
    ///
    /// # Panics
    /// When it cannot be stopped, or gives up.
    pub fn stop_controller(&mut self) {
        let mut child = self.controller.take().expect("a controller");
        let stopped = Command::new("bash")
            .args(["-c", "kill -TERM \"$1\"", "stop", &child.id().to_string()])
            .status();
        assert!(stopped.is_ok_and(|status| status.success()));
        let ended = child.wait().expect("a child");
        assert!(ended.success(), "{ended}");
    }

    /// Waits until a process of agents has ended by itself, kills the others, and gives what all wrote, of all lives.
    ///
    /// # Panics
    /// When none ends, or one ends well.
    pub fn agents_give_up(&mut self) -> String {
        let ended = until("the agents give up", || {
            let ended = |child: &mut Child| child.try_wait().expect("a child");
            self.agents.iter_mut().find_map(ended)
        });
        assert!(!ended.success(), "they ended as if all were well");
        self.kill_agents();
        std::fs::read_to_string(self.path("agents.log")).expect("a log")
    }

    /// The agents' log, of all lives.
    ///
    /// # Panics
    /// When no agent was started.
    #[must_use]
    pub fn agents_said(&self) -> String {
        std::fs::read_to_string(self.path("agents.log")).expect("a log")
    }

    /// What lies in an agent's journal, as text: words of it can be looked for.
    #[must_use]
    pub fn journal(&self, target: &str) -> String {
        let path = self.path("agents").join(target).join("journal");
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    /// Stops every process of agents where it is, SIGSTOP: their connections stand, and nobody answers.
    ///
    /// # Panics
    /// When one cannot be stopped.
    pub fn freeze_agents(&self) {
        self.signal_agents("STOP");
    }

    /// No thread of theirs runs: whoever is in a call of the system comes to its end first.
    fn agents_stand(&self) -> bool {
        let stands = |agent: &Child| {
            let threads = std::fs::read_dir(format!("/proc/{}/task", agent.id()));
            threads.expect("its threads").flatten().all(|thread| {
                let said = std::fs::read_to_string(thread.path().join("stat"));
                let said = said.unwrap_or_default();
                let state = said.rsplit(") ").next().unwrap_or_default();
                state.starts_with('T')
            })
        };
        self.agents.iter().all(stands)
    }

    fn signal_agents(&self, signal: &str) {
        for agent in &self.agents {
            let kill = format!("kill -{signal} \"$1\"");
            let sent = Command::new("bash")
                .args(["-c", &kill, "signal", &agent.id().to_string()])
                .status();
            assert!(sent.is_ok_and(|status| status.success()));
        }
    }

    /// Kills one process of agents, SIGKILL. Those after it move up.
    pub fn kill_one(&mut self, number: usize) {
        let mut killed = self.agents.remove(number);
        drop(killed.kill());
        drop(killed.wait());
    }

    /// Kills one process of agents, SIGKILL, and starts it again with these servers.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn kill_agent(&mut self, number: usize, servers: &[Profile]) {
        let mut killed = self.agents.swap_remove(number);
        drop(killed.kill());
        drop(killed.wait());
        self.start_agents(servers, None);
        // The others keep their numbers.
        let last = self.agents.len() - 1;
        self.agents.swap(number, last);
    }

    /// Has a server lose its power at each moment of each of these kinds of step, once, and once at each change.
    ///
    /// # Panics
    /// When that cannot be written.
    pub fn cut_power(&self, target: &str, steps: &[&str]) {
        let cuts = steps.iter().flat_map(|step| {
            Moment::ALL.map(|at| PowerCut {
                step: (*step).to_owned(),
                at,
                came: Vec::new(),
            })
        });
        let cuts: Vec<PowerCut> = cuts.collect();
        let bytes = serde_json::to_vec(&cuts).expect("JSON");
        // Whole, or not at all: an agent reads it at each step.
        let beside = self.path("power.json");
        std::fs::write(&beside, bytes).expect("a file");
        std::fs::rename(beside, self.power(target)).expect("it is put there");
    }

    /// The power cuts that are still to come; those at changes are so always, and know what they have come at.
    ///
    /// # Panics
    /// When none was ever to come.
    #[must_use]
    pub fn cuts_left(&self, target: &str) -> Vec<PowerCut> {
        let bytes = std::fs::read(self.power(target)).expect("its cuts");
        serde_json::from_slice(&bytes).expect("power cuts")
    }

    fn power(&self, target: &str) -> PathBuf {
        self.path("agents").join(target).join("power.json")
    }

    /// Whether the agents' process has ended by itself. What is left of it is gone then, and of who gives secrets.
    ///
    /// # Panics
    /// When a process cannot be asked.
    pub fn power_was_lost(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        let aborted = |child: &mut Child| {
            let status = child.try_wait().expect("a child");
            status.is_some_and(|status| status.signal().is_some())
        };
        let lost = self.agents.iter_mut().any(aborted);
        if lost {
            self.kill_agents();
        }
        lost
    }

    /// Stops every process of agents in order, SIGTERM: they say that they go.
    ///
    /// # Panics
    /// When one cannot be stopped.
    pub fn stop_agents(&mut self) {
        for mut child in self.agents.drain(..) {
            let stopped = Command::new("bash")
                .args(["-c", "kill -TERM \"$1\"", "stop", &child.id().to_string()])
                .status();
            assert!(stopped.is_ok_and(|status| status.success()));
            drop(child.wait());
        }
    }

    /// Kills every process of agents, SIGKILL.
    pub fn kill_agents(&mut self) {
        for mut child in self.agents.drain(..) {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Makes a join file good for `uses`.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn join_file(&self, uses: usize) -> PathBuf {
        self.token(&["--uses", &uses.to_string()])
    }

    /// Makes a join file good for that server.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn join_file_of(&self, target: &str) -> PathBuf {
        self.token(&["--target", target])
    }

    fn token(&self, whose: &[&str]) -> PathBuf {
        let path = self.path(&format!(
            "join-{}.json",
            protocol::key::SigningKey::generate().public().fingerprint()
        ));
        let out = path.to_str().expect("a path");
        let made = self.entrain(&[&["token", "create", "--out", out], whose].concat());
        assert!(made.status.success(), "{}", text(&made));
        path
    }

    /// Starts one process of agents for these servers.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_agents(&mut self, servers: &[Profile], join: Option<&Path>) {
        self.start_agents_in("agents", servers, join);
    }

    /// Copies the folder of each of these agents as it lies there, and starts one process of agents over the copies.
    ///
    /// # Panics
    /// When they cannot be copied or started.
    pub fn start_copies(&mut self, servers: &[Profile]) {
        for server in servers {
            self.copy_disk(server.target.as_str(), COPIES);
        }
        self.start_copied(servers);
    }

    /// Starts agents on what [`World::copy_disk`] has copied into [`COPIES`].
    ///
    /// # Panics
    /// When they cannot be started.
    pub fn start_copied(&mut self, servers: &[Profile]) {
        self.start_agents_in(COPIES, servers, None);
    }

    /// Copies the folder of an agent into that folder of the world, as it lies there: nobody writes meanwhile.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn copy_disk(&self, target: &str, into: &str) {
        let folder = self.path(into);
        std::fs::create_dir_all(&folder).expect("a folder");
        self.signal_agents("STOP");
        until("they stand still", || self.agents_stand().then_some(()));
        let from = self.path("agents").join(target);
        let copied = Command::new("cp").arg("-a").arg(from).arg(&folder).status();
        self.signal_agents("CONT");
        assert!(copied.is_ok_and(|status| status.success()));
    }

    /// Puts the folder of an agent that is not running back to what [`World::copy_disk`] has copied.
    ///
    /// # Panics
    /// When there is no such copy.
    pub fn put_disk_back(&self, target: &str, from: &str) {
        let place = self.path("agents").join(target);
        std::fs::remove_dir_all(&place).expect("its folder");
        std::fs::rename(self.path(from).join(target), place).expect("a copy");
    }

    fn start_agents_in(&mut self, state: &str, servers: &[Profile], join: Option<&Path>) {
        // Another process may not have read its own yet.
        let first = servers.first().expect("a server").target.as_str();
        let fleet = self.path(&format!("fleet-{first}.json"));
        let twins = serde_json::json!({ "twins": servers });
        std::fs::write(&fleet, serde_json::to_vec(&twins).expect("JSON")).expect("a file");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("agents.log"))
            .expect("a log");
        let mut command = Command::new(self.agents_of.program("entrain-agent"));
        if let Some(offset) = self.clock {
            with_clock(&mut command, offset);
        }
        if let Some(name) = self.clock_of_agents {
            self.follow(&mut command, name);
        }
        if self.flushed {
            command
                .env("LD_PRELOAD", program("libcut.so"))
                .env("ENTRAIN_TEST_FLUSHED", "1");
        }
        command
            .arg("swarm")
            .arg("--state")
            .arg(self.path(state))
            .arg("--fleet")
            .arg(&fleet)
            .args(["--speed", &self.speed.to_string()]);
        if let Some(join) = join {
            command.arg("--join").arg(join);
        }
        if let Some(kib) = self.full_at {
            command = limited(&command, kib);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.agents.push(command.spawn().expect("the agents start"));
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

    /// Gives the suite's secret to whoever asks, in the background.
    pub fn give_secrets(&mut self, count: usize) {
        self.give(SECRET, count);
    }

    /// Gives this secret to whoever asks, in the background.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn give(&mut self, value: &str, count: usize) {
        let count = count.to_string();
        let mut child = self
            .command(&["secret", "give", "--stdin", "--count", &count])
            .spawn()
            .expect("it runs");
        let mut stdin = child.stdin.take().expect("standard input");
        std::io::Write::write_all(
            &mut stdin,
            format!("admin@contoso.com\n{value}\n").as_bytes(),
        )
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

    /// Exports the record, verifies it offline, and gives its text.
    ///
    /// # Panics
    /// When it does not hold.
    #[must_use]
    pub fn audit(&self) -> String {
        let file = self.path("audit.jsonl");
        let path = file.to_str().expect("a path");
        let exported = self.entrain(&["audit", "export", path]);
        assert!(exported.status.success(), "{}", text(&exported));
        let verified = self.entrain(&["audit", "verify", path]);
        assert!(verified.status.success(), "{}", text(&verified));
        std::fs::read_to_string(&file).expect("the export is there")
    }

    /// Every event of the log in order, with its target's name.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn events(&self) -> Vec<(String, u64, Event)> {
        let event = |record: Record| {
            let Record::TargetEvent {
                target,
                index,
                body,
                ..
            } = record
            else {
                return None;
            };
            Some((
                target.to_string(),
                index.0,
                Event::from_body(body.as_bytes())?,
            ))
        };
        self.records().into_iter().filter_map(event).collect()
    }

    /// Every record of the log in order.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let rows = self.json(&["logs", "--json"]);
        let record = |row: &Value| serde_json::from_value(row["record"].clone()).ok();
        let rows = rows.as_array().expect("rows");
        rows.iter().filter_map(record).collect()
    }

    /// What was changed on a server, from the model itself.
    ///
    /// # Panics
    /// When there is no such model.
    #[must_use]
    pub fn changes(&self, target: &str) -> Vec<String> {
        self.changes_of(&self.path("agents").join(target))
    }

    /// The same of the copy that [`World::start_copies`] has made of it.
    ///
    /// # Panics
    /// When there is no such model.
    #[must_use]
    pub fn changes_of_copy(&self, target: &str) -> Vec<String> {
        self.changes_in(COPIES, target)
    }

    /// The same of what [`World::copy_disk`] has copied into that folder.
    ///
    /// # Panics
    /// When there is no such model.
    #[must_use]
    pub fn changes_in(&self, folder: &str, target: &str) -> Vec<String> {
        self.changes_of(&self.path(folder).join(target))
    }

    fn changes_of(&self, folder: &Path) -> Vec<String> {
        // A model is kept from its first change on.
        let Ok(bytes) = std::fs::read(folder.join("twin.json")) else {
            return Vec::new();
        };
        let twin: Twin = serde_json::from_slice(&bytes).expect("a model");
        twin.changes
    }

    /// Asserts that no event was lost or counted twice, and that no change was made twice on a server.
    ///
    /// # Panics
    /// When one was.
    pub fn nothing_lost_or_repeated(&self, targets: &[&str]) {
        self.nothing_lost(targets);
        for target in targets {
            let changes = self.changes(target);
            let once: BTreeSet<&String> = changes.iter().collect();
            assert_eq!(
                once.len(),
                changes.len(),
                "{target} was changed twice: {changes:?}"
            );
        }
    }

    /// Asserts that no event was lost or counted twice, and that nobody was taken for somebody else.
    ///
    /// # Panics
    /// When one was.
    pub fn nothing_lost(&self, targets: &[&str]) {
        self.nothing_lost_but_doubted(targets, &[]);
    }

    /// The same, where these were doubted, and nobody else. Whoever was replaced has begun another journal.
    ///
    /// # Panics
    /// When an event was lost or counted twice, or another one was doubted.
    pub fn nothing_lost_but_doubted(&self, targets: &[&str], doubted: &[&str]) {
        let mut journals: BTreeMap<(String, u64), Vec<u64>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut keys: BTreeMap<String, usize> = BTreeMap::new();
        for record in self.records() {
            if let Record::AgentRevoked { target, .. } | Record::AgentReplaced { target, .. } =
                &record
            {
                *keys.entry(target.to_string()).or_insert(1) += 1;
            }
            if let Record::TargetEvent {
                target,
                epoch,
                index,
                ..
            } = record
            {
                let journal = journals.entry((target.to_string(), epoch.0)).or_default();
                journal.push(index.0);
            } else if let Record::AgentDoubted { target, .. } = record {
                seen.insert(target.to_string());
            }
        }
        let doubted: BTreeSet<String> = doubted.iter().map(|one| (*one).to_owned()).collect();
        assert_eq!(
            seen, doubted,
            "who was taken for a copy of itself, or to have gone back"
        );
        for target in targets {
            let own = journals.iter().filter(|((whose, _), _)| whose == target);
            let most = keys.get(*target).copied().unwrap_or(1);
            assert!(
                own.clone().count() <= most,
                "{target} has begun another journal"
            );
            for ((_, epoch), indexes) in own {
                let expected: Vec<u64> = (1..=indexes.len() as u64).collect();
                assert_eq!(*indexes, expected, "{target}, journal {epoch}");
            }
        }
        self.rails_held(&[]);
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
