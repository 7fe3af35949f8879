//! The processes of a world: its controller and its agents are started, killed, stopped, given other clocks and less disk, and lose
//! their power.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use agent_twin::{Moment, PowerCut, Profile};

use crate::{COPIES, World, clock_library, limited, program, text, until, with_clock};

impl World {
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
        if let Some(socket) = &self.socket {
            command.arg("--socket").arg(socket);
        }
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

    pub(crate) fn follow(&self, command: &mut Command, name: &str) {
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
    pub(crate) fn agents_stand(&self) -> bool {
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

    pub(crate) fn signal_agents(&self, signal: &str) {
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

    pub(crate) fn power(&self, target: &str) -> PathBuf {
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

    pub(crate) fn token(&self, whose: &[&str]) -> PathBuf {
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

    pub(crate) fn start_agents_in(
        &mut self,
        state: &str,
        servers: &[Profile],
        join: Option<&Path>,
    ) {
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
}
