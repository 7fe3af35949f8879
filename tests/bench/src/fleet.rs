//! A controller and a swarm of agents as processes, driven by the operator's own program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

/// How long anything may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// How long a rollout goes on before anybody looks.
const UNWATCHED: Duration = Duration::from_secs(1);

/// How long an agent is left alone before its memory is looked at: a few of its pulses.
const AT_REST: Duration = Duration::from_secs(60);

const TENANT: &str = "11111111-1111-1111-1111-111111111111";

/// Name of a server of `swarm --count`.
pub(crate) fn registered_name(number: usize) -> String {
    format!("twin-{number:04}.swarm.test")
}

/// Name of a server on which nothing is installed.
pub(crate) fn bare_name(number: usize) -> String {
    format!("bare-{number:04}.swarm.test")
}

/// A fleet's file of servers on which nothing is installed.
pub(crate) fn bare_servers(names: &[String]) -> String {
    let twin = |name: &String| json!({ "target": name, "installed": "nothing", "person": null });
    json!({ "twins": names.iter().map(twin).collect::<Vec<_>>() }).to_string()
}

/// The programs that are measured.
#[derive(Debug)]
pub(crate) struct Programs {
    controller: PathBuf,
    agent: PathBuf,
}

impl Programs {
    /// Those in the folder of this program.
    pub(crate) fn beside_this_one() -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let place = |name: &str| {
            let path = own.with_file_name(name);
            ensure!(
                path.exists(),
                "{} is missing: cargo build --release",
                path.display()
            );
            Ok(path)
        };
        Ok(Self {
            controller: place("entrain")?,
            agent: place("entrain-agent")?,
        })
    }
}

impl Programs {
    /// The agent as it is released, where `tests/run bench` has laid it down beside the others.
    pub(crate) fn released(&self) -> Option<PathBuf> {
        let path = self.agent.with_file_name("entrain-agent-released");
        path.exists().then_some(path)
    }
}

/// A controller with its agents; ends with its owner and leaves nothing.
pub(crate) struct Fleet<'a> {
    programs: &'a Programs,
    disk: tempfile::TempDir,
    memory: tempfile::TempDir,
    controller: Child,
    agents: Option<Child>,
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for child in self.agents.iter_mut().chain([&mut self.controller]) {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl<'a> Fleet<'a> {
    /// Makes a simulated controller and waits until it answers.
    pub(crate) fn start(programs: &'a Programs) -> anyhow::Result<Self> {
        Self::make(programs, &["--simulated"])
    }

    /// The same for real servers: an agent as it is released meets no other.
    pub(crate) fn real(programs: &'a Programs) -> anyhow::Result<Self> {
        Self::make(programs, &[])
    }

    fn make(programs: &'a Programs, kind: &[&str]) -> anyhow::Result<Self> {
        let disk = tempfile::tempdir()?;
        let memory = tempfile::tempdir_in("/dev/shm").context("no memory-backed storage")?;
        let port = std::net::UdpSocket::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let address = format!("127.0.0.1:{port}");
        let key = disk.path().join("root.pem");
        let mut made = command(programs, disk.path())
            .args(["init", "--address", &address, "--listen", &address])
            .args(kind)
            .arg("--root-key")
            .arg(&key)
            .arg("--passphrase-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        if let Some(mut input) = made.stdin.take() {
            input.write_all(b"a passphrase\n")?;
        }
        ensure!(made.wait()?.success(), "`entrain init` failed");
        let log = std::fs::File::create(disk.path().join("serve.log"))?;
        let controller = command(programs, disk.path())
            .arg("serve")
            // Its log tells when each commit was over.
            .env("ENTRAIN_LOG", "warn,controller::store=debug")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let fleet = Self {
            programs,
            disk,
            memory,
            controller,
            agents: None,
        };
        fleet.until("the controller answers", || {
            Ok(fleet.run(&["status", "--json"]).is_ok().then_some(()))
        })?;
        Ok(fleet)
    }

    /// Starts the agents and waits until all have reported.
    pub(crate) fn swarm(&mut self, count: usize, described: Option<&Path>) -> anyhow::Result<()> {
        let join = self.disk.path().join("join.json");
        let uses = (count + 2).to_string();
        let out = join.to_str().context("a path is UTF-8")?;
        self.run(&["token", "create", "--uses", &uses, "--out", out])?;
        let mut swarm = Command::new(&self.programs.agent);
        swarm
            .arg("swarm")
            .arg("--state")
            .arg(self.memory.path())
            .arg("--join")
            .arg(&join)
            .args(["--speed", "0"]);
        match described {
            Some(path) => swarm.arg("--fleet").arg(path),
            None => swarm.args(["--count", &count.to_string()]),
        };
        let log = std::fs::File::create(self.disk.path().join("swarm.log"))?;
        self.agents = Some(swarm.stdout(Stdio::null()).stderr(log).spawn()?);
        self.until("every agent has reported", || {
            let agents = self.json(&["agents", "--json"])?;
            let ready = agents["agents"].as_array().map_or(0, |agents| {
                let reported = |agent: &&Value| {
                    agent["connected"] == true
                        && agent["facts"]
                            .as_str()
                            .is_some_and(|facts| facts.starts_with("build"))
                };
                agents.iter().filter(reported).count()
            });
            Ok((ready == count).then_some(()))
        })
    }

    /// Enrolls and starts one agent as it is released, and waits until it is welcomed and has been quiet for a while.
    pub(crate) fn released_agent(&mut self, program: &Path) -> anyhow::Result<()> {
        let join = self.disk.path().join("join.json");
        let out = join.to_str().context("a path is UTF-8")?;
        let name = registered_name(1);
        self.run(&["token", "create", "--target", &name, "--out", out])?;
        let state = self.memory.path().join("agent");
        let enrolled = Command::new(program)
            .arg("enroll")
            .arg("--state")
            .arg(&state)
            .args(["--name", &name, "--join"])
            .arg(&join)
            .output()?;
        ensure!(
            enrolled.status.success(),
            "{}",
            String::from_utf8_lossy(&enrolled.stderr)
        );
        let log = std::fs::File::create(self.disk.path().join("agent.log"))?;
        let mut agent = Command::new(program);
        agent.arg("run").arg("--state").arg(&state);
        self.agents = Some(agent.stdout(Stdio::null()).stderr(log).spawn()?);
        self.until("the agent is welcomed", || {
            let agents = self.json(&["agents", "--json"])?;
            Ok((agents["agents"][0]["connected"] == true).then_some(()))
        })?;
        std::thread::sleep(AT_REST);
        Ok(())
    }

    /// Takes a file of that size into the artifact store.
    pub(crate) fn add_artifact(&self, bytes: usize) -> anyhow::Result<()> {
        let file = self.disk.path().join("setup.bin");
        // Not all alike, so that nothing on the way may shorten it.
        let mut state = 1_u64;
        let content: Vec<u8> = (0..bytes)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state.to_le_bytes()[7]
            })
            .collect();
        std::fs::write(&file, content)?;
        let file = file.to_str().context("a path is UTF-8")?;
        let model = ["--model", "provisioning-agent", "--version", "1.1.2505.0"];
        self.run(
            &[
                ["artifact", "add", file, "--accept-terms"].as_slice(),
                &model,
            ]
            .concat(),
        )
        .map(drop)
    }

    /// Writes a file and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.disk.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Writes a topology of one group and gives its path. The product makes the account itself and gives it its rights, so that a
    /// verification looks at the server alone and asks no directory.
    pub(crate) fn topology(&self, hosts: &[String]) -> anyhow::Result<PathBuf> {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[domain.\"swarm.test\"]\ndirectory = \"ask\"\n[agents.all]\nserves = [\"swarm.test\"]\nhosts = {hosts:?}\n"
        );
        self.write("topology.toml", &text)
    }

    /// Makes a plan and gives its name.
    pub(crate) fn plan(&self, topology: &Path, more: &[&str]) -> anyhow::Result<String> {
        let topology = topology.to_str().context("a path is UTF-8")?;
        let planned = self.json(&[["plan", topology, "--json"].as_slice(), more].concat())?;
        let plan = planned["plan"]
            .as_str()
            .with_context(|| format!("no plan: {planned}"))?;
        Ok(plan.to_owned())
    }

    /// Applies a plan.
    pub(crate) fn apply(&self, plan: &str) -> anyhow::Result<()> {
        self.run(&["apply", plan]).map(drop)
    }

    /// Waits until no rollout is under way; the first look is late, since looking would weigh on what is measured.
    pub(crate) fn wait_until_over(&self) -> anyhow::Result<()> {
        std::thread::sleep(UNWATCHED);
        self.until("the rollout is over", || {
            let status = self.json(&["status", "--json"])?;
            let rollouts = status["rollouts"]
                .as_array()
                .context("a list of rollouts")?;
            Ok(rollouts
                .iter()
                .all(|rollout| rollout["state"] == "over")
                .then_some(()))
        })
    }

    /// Waits until the log's entries from `from` on give something.
    pub(crate) fn wait_for<T>(
        &self,
        mut look: impl FnMut(&[Value]) -> anyhow::Result<Option<T>>,
        from: u64,
    ) -> anyhow::Result<T> {
        self.until("the log says so", || look(&self.log(from)?))
    }

    /// Number of the next entry of the log.
    pub(crate) fn log_length(&self) -> anyhow::Result<u64> {
        let rows = self.log(1)?;
        Ok(rows
            .last()
            .and_then(|row| row["index"].as_u64())
            .unwrap_or(0)
            + 1)
    }

    /// The log's entries from one on.
    pub(crate) fn log(&self, from: u64) -> anyhow::Result<Vec<Value>> {
        let rows = self.json(&["logs", "--json", "--from", &from.to_string()])?;
        rows.as_array().cloned().context("the log is a list")
    }

    /// When each commit of the controller's store was over, in milliseconds, with the last entry that it stored.
    pub(crate) fn commits(&self) -> anyhow::Result<Vec<(f64, u64)>> {
        let log = std::fs::read_to_string(self.disk.path().join("serve.log"))?;
        let commit = |line: &str| {
            let (at, rest) = line.split_once(' ')?;
            let (_, last) = rest.split_once("committed last=")?;
            Some((crate::timeline::millis(at)?, last.trim().parse().ok()?))
        };
        Ok(log.lines().filter_map(commit).collect())
    }

    /// Proportional set size of the controller, in bytes.
    pub(crate) fn controller_memory(&self) -> anyhow::Result<u64> {
        memory(self.controller.id())
    }

    /// Proportional set size of the process of the agents, in bytes.
    pub(crate) fn agents_memory(&self) -> anyhow::Result<u64> {
        memory(self.agents.as_ref().context("no agents")?.id())
    }

    /// Processor time of controller and agents so far, in seconds.
    pub(crate) fn processor_seconds(&self) -> anyhow::Result<(f64, f64)> {
        let agents = self.agents.as_ref().context("no agents")?;
        Ok((processor(self.controller.id())?, processor(agents.id())?))
    }

    fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.run(arguments)?)?)
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let output = command(self.programs, self.disk.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            bail!("`entrain {}` failed: {said}", arguments.join(" "));
        }
        Ok(output.stdout)
    }

    fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(found) = look()? {
                return Ok(found);
            }
            std::thread::sleep(LOOK);
        }
        bail!(
            "waited {PATIENCE:?} until {what}; the programs' own words lie in {}",
            self.disk.path().display()
        )
    }
}

fn command(programs: &Programs, state: &Path) -> Command {
    let mut command = Command::new(&programs.controller);
    command.env("ENTRAIN_STATE", state.join("state"));
    command
}

fn memory(process: u32) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .context("the kernel tells no Pss")?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

fn processor(process: u32) -> anyhow::Result<f64> {
    /// Ticks of a second in `/proc`, as Linux fixes them for programs.
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in brackets may hold blanks.
    let (_, rest) = text.rsplit_once(')').context("an odd stat file")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || -> anyhow::Result<f64> {
        Ok(fields.next().context("an odd stat file")?.parse::<f64>()?)
    };
    Ok((ticks()? + ticks()?) / TICKS)
}
