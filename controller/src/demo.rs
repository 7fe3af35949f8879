//! The demo: a rollout over a simulated fleet, from the plan in words to proof. The servers are models; the controller, the
//! agents, the signatures and the transport are the real ones, in processes of their own. It leaves no files behind.

mod estate;
mod proof;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use controller_core::fleet::{Cause, TargetView};
use controller_core::record::Order;
use protocol::signed::ControllerKind;
use protocol::{RolloutId, TargetId};
use serde::Serialize;
use tokio::process::{Child, Command};

use crate::authority::{self, Settings};
use crate::cli::Show;
use crate::cli::{exit, follow};
use crate::http::client::Client;
use crate::http::types::{
    Agents, Applied, ApplyAsk, Checked, Done, Frame, LogRow, OfferAsk, OrderAsk, PlanAsk, Planned,
    Text, TokenAsk, TokenMade, Wanted,
};

/// Modelled seconds that pass in a real one.
const SPEED: u32 = 30;

/// How long anything of the demo may take before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What is said when somebody ends it early.
const INTERRUPTED: &str = "interrupted: its processes were ended, and everything was removed";

/// What the demo was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Prints JSON.
    pub json: bool,
    /// Leaves it running.
    pub keep: bool,
    /// A canary has a fault.
    pub fault: bool,
}

/// One thing that must be so.
#[derive(Debug, Clone, Serialize)]
struct Check {
    what: String,
    holds: bool,
    seen: String,
}

struct Demo {
    options: Options,
    agent: PathBuf,
    state: PathBuf,
    fleet: PathBuf,
    // Removed with everything in it when the demo ends, however it ends.
    _folder: tempfile::TempDir,
    controller: Child,
    agents: Vec<Child>,
    client: Client,
    checks: Vec<Check>,
    /// Digest of the trust root that was made: the record must be under this one.
    root: protocol::Digest,
    /// Every hold that was shown, as a sentence.
    held: RefCell<BTreeSet<String>>,
}

/// Runs the demo and gives its exit code.
///
/// # Errors
/// When a part cannot be started or does not answer.
pub async fn run(options: Options) -> anyhow::Result<u8> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let mut demo = Demo::start(options)?;
    let told = tokio::select! {
        told = demo.tell() => told,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!(INTERRUPTED)),
        _ = terminate.recv() => Err(anyhow::anyhow!(INTERRUPTED)),
        _ = hangup.recv() => Err(anyhow::anyhow!(INTERRUPTED)),
    };
    let code = match told.and_then(|()| demo.end()) {
        Ok(code) => code,
        Err(error) => {
            demo.stop().await;
            return Err(error);
        }
    };
    if options.keep {
        demo.say(&format!(
            "\nIt keeps running. In another terminal:\n  export ENTRAIN_STATE={}\n  entrain status; entrain agents; entrain logs; entrain plan {}\nCtrl-C ends it and removes everything.",
            demo.state.display(),
            demo.state.join("topology.toml").display()
        ));
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
    demo.stop().await;
    Ok(code)
}

/// The agent's program beside this one.
fn agent_program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("where this program lies cannot be told")?;
    let agent = own.with_file_name(format!("entrain-agent{}", std::env::consts::EXE_SUFFIX));
    if !agent.exists() {
        bail!(
            "{} is missing: build it with `cargo build --release`",
            agent.display()
        );
    }
    let help = std::process::Command::new(&agent).arg("--help").output()?;
    if !String::from_utf8_lossy(&help.stdout).contains("swarm") {
        bail!(
            "{} was built without models: build it with `cargo build --release -p agent --features twin`",
            agent.display()
        );
    }
    Ok(agent)
}

fn serve(state: &Path) -> anyhow::Result<Child> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(state.join("serve.log"))?;
    let own = std::env::current_exe()?;
    let child = Command::new(own)
        .arg("serve")
        .env("ENTRAIN_STATE", state)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn();
    child.context("the controller could not be started")
}

impl Demo {
    fn start(options: Options) -> anyhow::Result<Self> {
        let agent = agent_program()?;
        let folder = tempfile::Builder::new().prefix("entrain-demo-").tempdir()?;
        let (state, fleet) = (
            folder.path().join("controller"),
            folder.path().join("servers"),
        );
        std::fs::create_dir_all(&fleet)?;
        let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let settings = Settings {
            kind: ControllerKind::Simulated,
            address: port.to_string(),
            listen: port,
            certificate_seconds: None,
        };
        let passphrase = protocol::key::SigningKey::generate()
            .public()
            .fingerprint()
            .to_string();
        let root = authority::init(
            &state,
            &settings,
            &authority::RootKeys {
                root_key: &folder.path().join("root.pem"),
                passphrase: &passphrase,
                publisher: None,
                override_operators: 1,
            },
            crate::now(),
        )?;
        let controller = serve(&state)?;
        let client = Client::new(&state);
        Ok(Self {
            options,
            agent,
            state,
            fleet,
            _folder: folder,
            controller,
            agents: Vec::new(),
            client,
            checks: Vec::new(),
            root,
            held: RefCell::default(),
        })
    }

    fn say(&self, text: &str) {
        if !self.options.json {
            crate::cli::print(text);
        }
    }

    fn chapter(&self, title: &str) {
        self.say(&format!("\n== {title}  [{}]", estate::SIMULATED));
    }

    fn check(&mut self, what: &str, holds: bool, seen: impl Into<String>) {
        let seen = seen.into();
        let mark = if holds { "ok " } else { "NO " };
        self.say(&format!("  {mark} {what}: {seen}"));
        self.checks.push(Check {
            what: what.to_owned(),
            holds,
            seen,
        });
    }

    /// Waits until the controller answers.
    async fn answers(&self) -> anyhow::Result<()> {
        let mut waited = Duration::ZERO;
        while self
            .client
            .get::<crate::http::types::Status>("/v1/status")
            .await
            .is_err()
        {
            if waited > PATIENCE {
                bail!("the controller does not answer");
            }
            tokio::time::sleep(LOOK).await;
            waited += LOOK;
        }
        Ok(())
    }

    async fn wait<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut(&Client) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let mut waited = Duration::ZERO;
        loop {
            if let Some(found) = look(&self.client).await? {
                return Ok(found);
            }
            if waited > PATIENCE {
                bail!(
                    "{what}: it did not come to be within {} s",
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(LOOK).await;
            waited += LOOK;
        }
    }

    /// Starts one process of agents for each group of servers, and waits until all have reported.
    async fn enroll(&mut self) -> anyhow::Result<()> {
        let groups = estate::servers(self.options.fault);
        let count: usize = groups.iter().map(|(_, twins)| twins.len()).sum();
        let uses = u32::try_from(count)?;
        let made: TokenMade = self
            .client
            .post(
                "/v1/tokens",
                &TokenAsk {
                    target: None,
                    minutes: 5,
                    uses,
                },
            )
            .await?;
        let join = serde_json::to_vec(&made.join)?;
        for (name, twins) in groups {
            let file = self.fleet.join(format!("{name}.json"));
            std::fs::write(
                &file,
                serde_json::to_vec(&serde_json::json!({ "twins": twins }))?,
            )?;
            let log = std::fs::File::create(self.fleet.join(format!("{name}.log")))?;
            let mut child = Command::new(&self.agent)
                .args([
                    "swarm",
                    "--join",
                    "-",
                    "--speed",
                    &SPEED.to_string(),
                    "--state",
                ])
                .arg(&self.fleet)
                .arg("--fleet")
                .arg(&file)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(log)
                .kill_on_drop(true)
                .spawn()
                .context("the agents could not be started")?;
            let mut stdin = child.stdin.take().context("the agents take no input")?;
            tokio::io::AsyncWriteExt::write_all(&mut stdin, &join).await?;
            drop(stdin);
            self.agents.push(child);
        }
        self.wait(
            "every server is enrolled and has reported",
            async |client| {
                let agents: Agents = client.get("/v1/agents").await?;
                let ready = agents
                    .agents
                    .iter()
                    .filter(|agent| agent.connected && agent.facts.starts_with("build"))
                    .count();
                Ok((ready == count).then_some(()))
            },
        )
        .await?;
        self.say(&format!(
            "{count} servers in {} agent processes have enrolled and reported what they are.",
            self.agents.len()
        ));
        let bytes: Vec<u8> = (0..3_000_000_u32)
            .map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 24).unwrap_or(0))
            .collect();
        let file = self.fleet.join("setup.bin");
        for (product, version) in [
            ("provisioning-agent", "1.1.2505.0"),
            ("connect", "2.6.92.0"),
        ] {
            std::fs::write(&file, [bytes.as_slice(), product.as_bytes()].concat())?;
            let path =
                format!("/v1/artifacts?terms=true&source=demo&model={product}&version={version}");
            let _: Done = self.client.upload(&path, &file).await?;
        }
        Ok(())
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        self.say(estate::BANNER);
        self.answers().await?;
        self.enroll().await?;
        let plan = self.plan().await?;
        self.refuse().await?;
        let rollout = self.roll(&plan).await?;
        self.replay().await?;
        self.prove(rollout).await
    }

    fn ask(topology: &str) -> PlanAsk {
        PlanAsk {
            topology: vec![Text {
                file: "topology.toml".to_owned(),
                text: topology.to_owned(),
            }],
            policy: Some(Text {
                file: "policy.toml".to_owned(),
                text: estate::POLICY.to_owned(),
            }),
            wanted: Wanted::Topology(controller_core::plan::Purpose::Install),
            only: BTreeSet::new(),
        }
    }

    async fn plan(&mut self) -> anyhow::Result<String> {
        self.chapter("The plan, in words");
        std::fs::write(self.state.join("topology.toml"), estate::TOPOLOGY)?;
        let planned: Planned = self
            .client
            .post("/v1/plans", &Self::ask(estate::TOPOLOGY))
            .await?;
        let errors: Vec<String> = planned
            .findings
            .iter()
            .filter(|finding| finding.severity == "error")
            .map(|finding| format!("{}: {}", finding.place, finding.what))
            .collect();
        let Some(plan) = planned.plan else {
            bail!("the topology of the demo has errors: {}", errors.join("; "))
        };
        self.say(&planned.report);
        let told = |word: &&str| planned.report.contains(*word);
        let missing: Vec<&str> = estate::TOLD
            .into_iter()
            .filter(|word| !told(word))
            .collect();
        let seen = if missing.is_empty() {
            "tenants, forests, the child domain, Connect's two servers, steps and people".to_owned()
        } else {
            format!("not said: {}", missing.join("; "))
        };
        self.check("the plan says what it is about", missing.is_empty(), seen);
        Ok(plan.to_string())
    }

    /// What would break a rule is refused before anything is touched.
    async fn refuse(&mut self) -> anyhow::Result<()> {
        self.chapter("Refused");
        for (what, rule, topology) in estate::refused() {
            let checked: Checked = self.client.post("/v1/check", &Self::ask(&topology)).await?;
            let finding = checked
                .findings
                .iter()
                .find(|finding| finding.severity == "error" && finding.what.contains(rule));
            let seen = finding.map_or("NOT REFUSED".to_owned(), |finding| {
                format!("{}: {}", finding.place, finding.what)
            });
            self.check(what, finding.is_some(), seen);
        }
        Ok(())
    }

    /// Runs the rollout: a person gives the token when it is asked for, the controller is killed in the middle, and the
    /// fault is mended.
    async fn roll(&mut self, plan: &str) -> anyhow::Result<RolloutId> {
        self.chapter("The rollout");
        let applied: Applied = self
            .client
            .post(
                &format!("/v1/plans/{plan}/apply"),
                &ApplyAsk {
                    change: Some("CHG-DEMO".to_owned()),
                    irreversible: None,
                    off: None,
                    not_before: None,
                },
            )
            .await?;
        let rollout = applied.rollout;
        let person = tokio::spawn(estate::person(self.client.clone()));
        let some_done = |frame: &Frame| {
            frame
                .view
                .targets
                .iter()
                .any(|target| target.state == "done")
        };
        let frame = self.watch_shown(rollout, some_done).await?;
        let under_way = |frame: &Frame| {
            let targets = frame.view.targets.iter();
            let busy = |state: &str| !matches!(state, "pending" | "held" | "done");
            targets.filter(|target| busy(&target.state)).count()
        };
        let (busy, all) = (under_way(&frame), frame.view.targets.len());
        self.check(
            "the controller is killed in the middle",
            busy > 0,
            format!("{busy} of {all} servers under way"),
        );
        self.kill_controller().await?;
        if self.options.fault {
            let stuck = |frame: &Frame| {
                let healthy = frame
                    .view
                    .targets
                    .iter()
                    .filter(|target| !target.lane.ends_with(estate::FAULTY_LANE));
                let failed = frame
                    .view
                    .targets
                    .iter()
                    .any(|target| target.state == "failed");
                failed && healthy.clone().all(|target| target.state == "done")
            };
            let frame = self.watch_shown(rollout, stuck).await?;
            self.mend(rollout, &frame).await?;
        }
        let frame = self.watch_shown(rollout, |_| false).await?;
        person.abort();
        let done = frame
            .view
            .targets
            .iter()
            .filter(|target| target.state == "done")
            .count();
        let all = frame.view.targets.len();
        self.check(
            "every target is done",
            done == all,
            format!("{done} of {all}"),
        );
        Ok(rollout)
    }

    async fn watch_shown(
        &self,
        rollout: RolloutId,
        mut enough: impl FnMut(&Frame) -> bool,
    ) -> anyhow::Result<Frame> {
        let enough = |frame: &Frame| {
            // Behind a server at which people do what the plan has them do, others wait as planned.
            let planned = |target: &TargetView| {
                let root = target.lifts.as_ref().map(|lifts| lifts.root);
                matches!(root, Some(Cause::AwaitsPerson | Cause::AwaitsSecret))
            };
            let targets = frame.view.targets.iter();
            let held = targets.filter(|target| target.state == "held" && !planned(target));
            let sentences = held.map(|target| format!("{}: {}", target.target, target.detail));
            self.held.borrow_mut().extend(sentences);
            enough(frame)
        };
        if self.options.json {
            self.watch(rollout, enough).await
        } else {
            tokio::time::timeout(PATIENCE, follow(&self.client, rollout, Show::Live, enough))
                .await
                .context("the rollout is stuck")?
        }
    }

    async fn watch(
        &self,
        rollout: RolloutId,
        mut enough: impl FnMut(&Frame) -> bool,
    ) -> anyhow::Result<Frame> {
        self.wait("the rollout goes on", async |client| {
            // A controller that is just being restarted does not answer.
            let Ok(frame) = client
                .get::<Frame>(&format!("/v1/rollouts/{rollout}"))
                .await
            else {
                return Ok(None);
            };
            Ok((frame.view.state == "over" || enough(&frame)).then_some(frame))
        })
        .await
    }

    async fn kill_controller(&mut self) -> anyhow::Result<()> {
        self.say("\n  -- the controller is killed (SIGKILL) in the middle, and started again --");
        self.controller.kill().await?;
        self.controller = serve(&self.state)?;
        self.answers().await
    }

    /// The canary has stopped its group on a known cause; the others went on. The fault is mended and the target retried.
    async fn mend(&mut self, rollout: RolloutId, frame: &Frame) -> anyhow::Result<()> {
        let failed = frame
            .view
            .targets
            .iter()
            .find(|target| target.state == "failed")
            .context("nothing has failed")?;
        let known = failed
            .failure
            .as_ref()
            .and_then(|failure| failure.known.clone());
        let seen = known.as_ref().map_or(failed.detail.clone(), |known| {
            format!("{}: {}", known.id, known.cause)
        });
        self.say("");
        self.check(
            "the canary stopped on a known cause",
            known.is_some(),
            format!("{} on {}", seen, failed.target),
        );
        if let Some(known) = known {
            self.say(&format!("      fix: {}", known.fix));
        }
        for line in failed.failure.iter().flat_map(|failure| &failure.lines) {
            self.say(&format!("      log: {line}"));
        }
        let held = frame
            .view
            .targets
            .iter()
            .filter(|target| target.lane == failed.lane && target.state == "held")
            .count();
        self.check(
            "the rest of its group waits",
            held > 0,
            format!("{held} held"),
        );
        let done = frame
            .view
            .targets
            .iter()
            .filter(|target| target.state == "done")
            .count();
        self.check("the other groups went on", done > 0, format!("{done} done"));
        self.say("  -- the policy is mended on the server, and the target is retried --");
        std::fs::write(
            self.fleet.join(failed.target.as_str()).join("faults.json"),
            b"[]",
        )?;
        let order = OrderAsk {
            order: Order::Retry {
                target: Some(failed.target.clone()),
            },
        };
        let _: Done = self
            .client
            .post(&format!("/v1/rollouts/{rollout}/orders"), &order)
            .await?;
        Ok(())
    }

    /// An agent is offered an old bundle again, with a good signature.
    async fn replay(&mut self) -> anyhow::Result<()> {
        self.chapter("A replayed bundle");
        let target: TargetId = estate::REPLAYED.parse()?;
        let _: Done = self
            .client
            .post(
                &format!("/v1/simulated/offer/{target}"),
                &OfferAsk::default(),
            )
            .await?;
        let refusal = self
            .wait("the replay is refused", async |client| {
                let rows: Vec<LogRow> = client.get("/v1/log?limit=10000").await?;
                Ok(rows.into_iter().find_map(|row| match row.event {
                    Some(protocol::event::Event::BundleRefused { refusal, .. }) => {
                        Some(refusal.to_string())
                    }
                    Some(_) | None => None,
                }))
            })
            .await?;
        self.check(
            "the agent refuses it",
            refusal.contains("older than"),
            refusal,
        );
        Ok(())
    }

    async fn prove(&mut self, rollout: RolloutId) -> anyhow::Result<()> {
        self.chapter("Proof");
        let rows: Vec<LogRow> = self.client.get("/v1/log?limit=10000").await?;
        let frame: Frame = self.client.get(&format!("/v1/rollouts/{rollout}")).await?;
        for (what, holds, seen) in proof::serving(&rows, &frame) {
            self.check(&what, holds, seen);
        }
        let (holds, seen) = proof::one_active(&rows);
        self.check("never two Connect servers active", holds, seen);
        if !self.options.fault {
            let failures = proof::failures(&rows);
            self.check(
                "nothing failed",
                failures == 0,
                format!("{failures} failures"),
            );
            let held = self.held.take();
            let seen = held.first().map_or("none".to_owned(), String::clone);
            self.check(
                "nothing was held but for people's work",
                held.is_empty(),
                seen,
            );
        }
        let text = String::from_utf8(self.client.bytes("/v1/audit").await?.to_vec())?;
        match crate::audit::verify_file(&text) {
            Ok(proof) => {
                let receipts = u64::from(frame.view.targets.iter().map(|_| 1).sum::<u32>());
                let seen = format!(
                    "{} entries without a gap, {} events, {} bundles, {} receipts verified offline, under the trust root that was made",
                    proof.entries, proof.events, proof.bundles, proof.receipts
                );
                let holds = proof.receipts >= receipts
                    && proof.refused_receipts.is_empty()
                    && proof.trust_root == self.root;
                self.check("the record holds", holds, seen);
            }
            Err(error) => self.check("the record holds", false, error.to_string()),
        }
        let (line, altered) = proof::flip_one_byte(&text);
        match crate::audit::verify_file(&altered) {
            Err(broken) => {
                let seen = format!("flipped in line {line}; found: {broken}");
                self.check("one flipped byte is located", broken.line == line, seen);
            }
            Ok(_) => self.check("one flipped byte is located", false, "it was not noticed"),
        }
        Ok(())
    }

    fn end(&self) -> anyhow::Result<u8> {
        let failed = self.checks.iter().filter(|check| !check.holds).count();
        if self.options.json {
            let report = serde_json::json!({
                "simulated": "servers",
                "real": ["controller", "agents", "signatures", "transport"],
                "checks": self.checks,
                "holds": failed == 0,
            });
            crate::cli::print(&serde_json::to_string_pretty(&report)?);
        } else {
            let all = self.checks.len();
            self.say(&format!(
                "\n{} of {all} hold. [{}]",
                all - failed,
                estate::SIMULATED
            ));
        }
        Ok(verdict(&self.checks))
    }

    async fn stop(&mut self) {
        for agent in &mut self.agents {
            drop(agent.kill().await);
        }
        drop(self.controller.kill().await);
    }
}

/// The demo's exit code: one thing that does not hold is enough, and so is nothing that was looked at.
fn verdict(checks: &[Check]) -> u8 {
    let holds = !checks.is_empty() && checks.iter().all(|check| check.holds);
    if holds { exit::OK } else { exit::FAILED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_that_does_not_hold_fails_the_demo() {
        let check = |holds| Check {
            what: String::new(),
            holds,
            seen: String::new(),
        };
        assert_eq!(verdict(&[check(true), check(true)]), exit::OK);
        assert_eq!(verdict(&[check(true), check(false)]), exit::FAILED);
        assert_eq!(verdict(&[]), exit::FAILED);
    }
}
