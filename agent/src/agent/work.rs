//! What the run wants is carried out, in its order, and its receipt written when it is over.

use std::sync::Arc;

use agent_core::op::{Op, Outcome};
use agent_core::run::{Action, Conclusion, Run};
use protocol::event::Event;
use protocol::secret::SecretKind;
use protocol::signed::{Ending, Receipt, sign};
use protocol::wire::latest::{ControlUp, EventsUp};
use protocol::{BundleId, Digest, Generation, StepIndex, causes};
use tokio::sync::oneshot;

use super::{Agent, AgentError, Report, now};
use crate::artifact::{self, Wanted};
use crate::beside::EndsWithRun;
use crate::exec::Secrets;

struct Progress {
    step: StepIndex,
    text: String,
    percent: Option<u8>,
}

impl Agent {
    /// Carries out what the run wants, in its order: what is to be journaled is on disk before what comes behind it. A
    /// glance alone is answered on the spot and does not wait for the disk, so that a step of glances is written and sent
    /// in one go.
    pub(super) async fn carry_out(&mut self) -> Result<(), AgentError> {
        while let Some(action) = self.run.as_mut().and_then(Run::poll_action) {
            match action {
                Action::Journal(event) => {
                    let index = self.journal(&event);
                    if let Event::SectionLeft { .. } = event {
                        self.left_section = Some(index);
                        self.sections_left += 1;
                    }
                    let of = |step: &StepIndex| {
                        let run = self.run.as_ref()?;
                        run.manifest().steps.get(usize::from(step.0))
                    };
                    if let Event::StepBegun { step, .. } = &event {
                        of(step).inspect(|step| self.exec.begun(step));
                    } else if let Event::StepCompleted { step, .. } = &event {
                        of(step).inspect(|step| self.exec.ended(step));
                    }
                }
                Action::Perform {
                    number,
                    op: Op::SecretsFit { secrets },
                } => {
                    let now = self.now();
                    let good = |kind: &SecretKind| {
                        let secret = self.secrets.get(kind);
                        secret.is_some_and(|secret| !kind.has_lapsed(secret, now))
                    };
                    let fit = secrets.iter().all(good);
                    self.outcome(number, Outcome::Exists(fit));
                }
                Action::Perform { number, op } if op.is_glance() => {
                    let (outcome, _) = self.exec.perform(&op, &Secrets::new()).await;
                    self.outcome(number, outcome);
                }
                Action::Perform { number, op } => {
                    self.publish()?;
                    // The disk may have taken its time.
                    let now = self.now();
                    let run = self.run.as_mut();
                    if run.is_some_and(|run| run.may_perform(number, now)) {
                        self.perform(number, op).await;
                    } else {
                        tracing::warn!(target_name = %self.state.target, "leave has lapsed before anything was done by it; it is asked for again");
                    }
                }
                Action::AskPermit {
                    step,
                    attempt,
                    section,
                } => {
                    self.publish()?;
                    let generation = self.run.as_ref().map_or(Generation(0), Run::generation);
                    let ask = ControlUp::PermitAsked {
                        generation,
                        step,
                        attempt,
                        section,
                    };
                    self.asks_leave = Some((self.journal.head().index, ask));
                    self.ask_leave();
                }
                Action::AskSecret {
                    number,
                    step,
                    attempt,
                    wanted,
                } => {
                    self.publish()?;
                    self.ask_secret(number, step, attempt, wanted);
                }
                Action::Finish(conclusion) => self.finish(conclusion).await,
            }
        }
        self.tell_waiting();
        self.publish()
    }

    /// Gives the run an outcome. A step may end with it and the next one begin: a freeze that was set meanwhile comes first.
    pub(super) fn outcome(&mut self, number: u64, outcome: Outcome) {
        self.look_at_freeze();
        let now = self.now();
        if let Some(run) = &mut self.run {
            run.handle_outcome(number, outcome, now);
        }
    }

    /// Tells that nothing begins while the agent is cut off, once.
    fn tell_waiting(&mut self) {
        let waits = self
            .run
            .as_ref()
            .filter(|run| run.waits_for_its_controller());
        if let Some(run) = waits.filter(|_| !self.told_waiting) {
            tracing::info!(target_name = %self.state.target, generation = %run.generation(), "a run waits for its controller: nothing more begins while it is cut off");
        }
        self.told_waiting = waits.is_some();
    }

    fn progress(&self, progress: Progress) {
        let Some(run) = &self.run else { return };
        let Some(session) = &self.session else { return };
        let Progress {
            step,
            text,
            percent,
        } = progress;
        let up = EventsUp::Progress {
            generation: run.generation(),
            step,
            percent,
            text,
        };
        // The latest wins, and none at all does no harm.
        drop(session.events.try_send(up));
    }

    pub(super) async fn perform(&mut self, number: u64, op: Op) {
        let Some(run) = &self.run else { return };
        let generation = run.generation();
        let step = run.current_step().map_or(StepIndex(0), |(step, _)| step);
        if let Some(text) = announce(&op) {
            self.progress(Progress {
                step,
                text,
                percent: None,
            });
        }
        let exec = Arc::clone(&self.exec);
        let mut secrets = Secrets::new();
        let wanted = op.secrets();
        let named = self
            .secrets
            .iter()
            .filter(|(kind, _)| wanted.contains(kind));
        secrets.extend(named.map(|(kind, secret)| (kind.clone(), secret.clone())));
        let folder = self.state.folder().to_owned();
        let link = self.link.subscribe();
        let reports = self.reports.0.clone();
        let speed = self.speed;
        let progress = self.session.as_ref().map(|session| session.events.clone());
        // An installer goes on: half of it is no product.
        let wanted = Wanted::by(&op);
        let ends_with_run = matches!(op, Op::Script { .. }) || wanted.is_some();
        let part = wanted.map(|wanted| artifact::part(&folder, &wanted.sha256));
        // A run that was broken off still looks at the server: what it was at before ends here.
        if ends_with_run {
            self.beside.end().await;
        }
        let (alive, over) = oneshot::channel::<()>();
        let task = self.tasks.spawn(async move {
            let _alive = alive;
            let outcome = if let Some(wanted) = wanted {
                let told = std::sync::atomic::AtomicU8::new(0);
                let tell = |percent: u8| {
                    // Every tenth at most: progress must not crowd out facts.
                    if percent / 10 > told.swap(percent, std::sync::atomic::Ordering::Relaxed) / 10
                        && let Some(events) = &progress
                    {
                        let text = "fetching the artifact".to_owned();
                        let up = EventsUp::Progress {
                            generation,
                            step,
                            percent: Some(percent),
                            text,
                        };
                        drop(events.try_send(up));
                    }
                };
                match (artifact::fetch(&folder, &wanted, link, tell).await, &op) {
                    (Ok(path), Op::Fetch { artifact }) => {
                        match exec.accept_artifact(&path, artifact) {
                            Ok(()) => Outcome::Done,
                            Err(why) => Outcome::Failed(why),
                        }
                    }
                    // Its publisher has signed these very bytes.
                    (Ok(_), _) => Outcome::Done,
                    (Err(error), _) => Outcome::Failed(causes(&error)),
                }
            } else {
                let (outcome, time) = exec.perform(&op, &secrets).await;
                // A model of a server answers at once and says how long it would have taken.
                if let Some(real) = time.checked_div(speed.0)
                    && !real.is_zero()
                {
                    tokio::time::sleep(real).await;
                }
                outcome
            };
            let replaced = matches!(op, Op::SwitchAgent { .. }) && outcome == Outcome::Done;
            let report = if replaced {
                Report::Replaced
            } else {
                Report::Outcome {
                    generation,
                    number,
                    outcome,
                }
            };
            drop(reports.send(report).await);
        });
        if ends_with_run {
            self.beside.begins(EndsWithRun {
                number,
                task,
                over,
                part,
            });
        }
    }

    pub(super) async fn finish(&mut self, conclusion: Conclusion) {
        let Some(run) = self.run.take() else {
            return;
        };
        self.secrets.clear();
        if !run.only_reads() {
            self.lives.forget();
        }
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
        self.asks_leave = None;
        // One that is still under way is of a step that was given up: it must not go on beside the next try.
        self.beside.end().await;
        let manifest = run.manifest();
        // Nobody tries these again: what has come of them in an earlier life goes as well.
        if matches!(conclusion.ending, Ending::Aborted | Ending::Expired) {
            for wanted in &manifest.artifacts {
                artifact::forget(&artifact::part(self.state.folder(), &wanted.sha256));
            }
        }
        let head = self.journal.head();
        let receipt = Receipt {
            format: 1,
            simulated: self.host.simulated,
            target: self.state.target.clone(),
            tenant: manifest.tenant.clone(),
            bundle: BundleId(manifest.digest()),
            generation: manifest.generation,
            rollout: manifest.rollout,
            plan: manifest.plan,
            phase: manifest.phase,
            change: manifest.change.clone(),
            begun: self.run_begun.0,
            ended: now(),
            ending: conclusion.ending.clone(),
            grade: conclusion.grade,
            steps: conclusion.steps,
            epoch: head.epoch,
            first_event: self.run_begun.1,
            last_event: head.index,
            chain: head.chain,
            previous: self.previous_receipt,
            agent_version: self.host.agent_version.clone(),
        };
        let envelope = sign(&receipt, &[&self.state.key]).to_json();
        self.previous_receipt = Digest::of(&envelope);
        let generation = manifest.generation;
        let receipt = String::from_utf8(envelope).expect("JSON is UTF-8");
        self.journal(&Event::RunFinished {
            generation,
            ending: conclusion.ending,
            receipt,
        });
        tracing::info!(target_name = %self.state.target, %generation, "a run ended");
    }
}

/// What an operation looks like to somebody who watches; nothing for the quick ones.
fn announce(op: &Op) -> Option<String> {
    match op {
        Op::Fetch { .. } => Some("fetching the artifact".to_owned()),
        Op::Install { .. } => Some("the setup runs".to_owned()),
        Op::RestartService { name } => Some(format!("restarting {name}")),
        Op::RestartServer => Some("Windows restarts".to_owned()),
        Op::FetchRelease { .. } => Some("fetching the agent's new version".to_owned()),
        Op::SwitchAgent { version, .. } => Some(format!("the agent becomes {version}")),
        Op::Uninstall { program, .. } => Some(format!("taking off {}", program.name)),
        Op::AwaitInstaller => Some("waiting for an installer that was begun before".to_owned()),
        Op::Script { script, .. } => Some(format!("PowerShell: {script:?}")),
        Op::Wait { time } => Some(format!("looking again in {} s", time.as_secs())),
        Op::Machine
        | Op::Registry { .. }
        | Op::RegistryKey { .. }
        | Op::SetRegistry { .. }
        | Op::ClearRegistry { .. }
        | Op::RequireRestart
        | Op::Service { .. }
        | Op::ServiceAge { .. }
        | Op::EnableService { .. }
        | Op::AutomateService { .. }
        | Op::DisableService { .. }
        | Op::FileText { .. }
        | Op::ConnectExport
        | Op::ReplaceText { .. }
        | Op::FileVersion { .. }
        | Op::Programs { .. }
        | Op::PathExists { .. }
        | Op::Stage { .. }
        | Op::SecretsFit { .. }
        | Op::Launcher
        | Op::MeasureLog { .. }
        | Op::ReadLog { .. }
        | Op::Reach { .. }
        | Op::ReachThrough { .. }
        | Op::LookThrough { .. }
        | Op::ReachByDatagram { .. }
        | Op::ReachByRpc { .. }
        | Op::Search(_)
        | Op::Census(_)
        | Op::LargeGroups(_)
        | Op::FindDomainControllers { .. } => None,
    }
}
