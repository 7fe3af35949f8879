//! Bundles that a controller offers: taken, refused, or kept until the run that is open has ended.

use agent_core::guard::{self, Answer, Standing};
use agent_core::run::Run;
use protocol::event::Event;
use protocol::refusal::Refusal;
use protocol::signed::{Manifest, Verified};
use protocol::wire::latest::BundleAnswer;
use protocol::{BundleId, Digest, Generation, RolloutId, causes};
use tokio::sync::oneshot;

use super::{Agent, AgentError, now};

/// A fence that is good, and waits for the end of the run that is open.
#[derive(Debug)]
pub(super) struct Superseding {
    pub(super) envelope: Vec<u8>,
    pub(super) generation: Generation,
    pub(super) rollout: RolloutId,
    /// Generation of the run that it waits for.
    pub(super) open: Generation,
}

/// What an offer comes to.
enum Offered {
    Answered(BundleAnswer),
    /// What is under way ends first.
    Waits(Superseding),
}

impl Agent {
    /// Takes up a fence for which the run that was open has ended by now.
    pub(super) async fn supersede(&mut self) -> Result<(), AgentError> {
        if self.run.is_none()
            && let Some((waits, answer)) = self.superseding.take()
        {
            self.offer(waits.envelope, answer).await?;
        }
        Ok(())
    }

    /// A fence that waits is not to begin: its rollout was aborted, or is paused. It is refused for the run that it waits for, whose end
    /// nobody else waits for.
    pub(super) fn refuse_waiting(&mut self, is: impl FnOnce(&Superseding) -> bool) {
        let Some((waits, answer)) = self.superseding.take_if(|(waits, _)| is(waits)) else {
            return;
        };
        let refusal = Refusal::Busy { open: waits.open };
        let refused = self.refuse(&waits.envelope, refusal);
        drop(answer.send(refused));
    }

    /// Takes up what is offered, and answers it; what has no answer yet waits for the end of what is under way.
    pub(super) async fn offer(
        &mut self,
        envelope: Vec<u8>,
        answer: oneshot::Sender<BundleAnswer>,
    ) -> Result<(), AgentError> {
        let answered = self.offered(&envelope);
        // Store, then say.
        self.carry_out().await?;
        match answered {
            Offered::Answered(answered) => drop(answer.send(answered)),
            Offered::Waits(waits) => self.superseding = Some((waits, answer)),
        }
        Ok(())
    }

    /// Answers an offer, or ends what is under way first: then there is no answer yet.
    fn offered(&mut self, envelope: &[u8]) -> Offered {
        self.look_at_freeze();
        let public = self.state.key.public();
        let standing = Standing {
            target: &self.state.target,
            key: &public,
            root: &self.state.root,
            newest: self.newest,
            open: self.run.as_ref().map(Run::generation),
            frozen: self.frozen.as_ref().map(|freeze| freeze.until),
            now: now(),
        };
        let refusal = match guard::consider(envelope, &standing) {
            Answer::AcceptedBefore => return Offered::Answered(BundleAnswer::Accepted),
            Answer::Refuse(refusal) => refusal,
            Answer::Supersede { open, fence } => {
                tracing::warn!(target_name = %self.state.target, generation = %open, "a run ends, since this server is to be fenced");
                let now = self.now();
                if let Some(run) = &mut self.run {
                    run.abort(now);
                }
                return Offered::Waits(Superseding {
                    envelope: envelope.to_vec(),
                    generation: fence.generation,
                    rollout: fence.rollout,
                    open,
                });
            }
            Answer::Accept(manifest) => match self.state.keep_bundle(manifest.generation, envelope)
            {
                Ok(()) => {
                    self.begin(*manifest);
                    return Offered::Answered(BundleAnswer::Accepted);
                }
                Err(error) => Refusal::CannotStore(causes(&error)),
            },
        };
        Offered::Answered(self.refuse(envelope, refusal))
    }

    /// Journals a refusal, and tells it.
    fn refuse(&mut self, envelope: &[u8], refusal: Refusal) -> BundleAnswer {
        tracing::warn!(target_name = %self.state.target, %refusal, "a bundle was refused");
        let bundle = BundleId(Digest::of(envelope));
        let text = refusal.to_string();
        self.journal(&Event::BundleRefused { bundle, refusal });
        BundleAnswer::Refused(text)
    }

    fn begin(&mut self, manifest: Verified<Manifest>) {
        let bundle = BundleId(manifest.digest());
        let (generation, rollout, phase) = (manifest.generation, manifest.rollout, manifest.phase);
        let index = self.journal(&Event::BundleAccepted {
            bundle,
            generation,
            rollout,
            phase,
            change: manifest.change.clone(),
        });
        self.newest = Some((generation, bundle));
        self.held_by_rollout = false;
        let now = self.now();
        self.run_begun = (now, index);
        let run = Run::new(manifest, self.host.clone(), &[], now);
        let run = run
            .standing_since(self.stood.since())
            .behind_a_held_cycle(self.held.before_the_wizard());
        if !run.only_reads() {
            self.lives.forget();
        }
        self.run = Some(run);
    }
}
