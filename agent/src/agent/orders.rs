//! What others order: the controller what a run is to do, the administrator of the server that nothing begins.

use std::time::Duration;

use agent_core::run::Leave;
use protocol::event::Event;
use protocol::signed::verify_root_update;
use protocol::wire::latest::ControlDown;

use super::{Agent, AgentError, now};
use crate::freeze;

impl Agent {
    /// Hears a word that came so long ago.
    pub(super) fn control(&mut self, word: ControlDown, came: Duration) -> Result<(), AgentError> {
        let now = self.now();
        match word {
            ControlDown::PermitGiven {
                generation,
                step,
                attempt,
                lapses_millis,
                after,
            } => {
                // Leave that comes to a frozen server is not used.
                self.look_at_freeze();
                if let Some(run) = self.run_of(generation) {
                    let lasts = Duration::from_millis(lapses_millis);
                    let leave = Leave { after, lasts, came };
                    run.handle_permit(step, attempt, leave, now);
                }
            }
            ControlDown::Pause { rollout } => {
                self.refuse_waiting(|waits| waits.rollout == rollout);
                if let Some(run) = &mut self.run
                    && run.manifest().rollout == rollout
                {
                    self.held_by_rollout = true;
                    run.pause();
                }
            }
            ControlDown::Resume { rollout } => {
                self.look_at_freeze();
                if let Some(run) = &mut self.run
                    && run.manifest().rollout == rollout
                {
                    self.held_by_rollout = false;
                    // The server's own administrator comes before the rollout's operator.
                    if self.frozen.is_none() {
                        run.resume(now);
                    }
                }
            }
            ControlDown::Abort { generation } => {
                self.refuse_waiting(|waits| waits.generation == generation);
                if let Some(run) = self.run_of(generation) {
                    run.abort(now);
                }
            }
            ControlDown::Attested {
                generation,
                step,
                by,
            } => {
                if let Some(run) = self.run_of(generation) {
                    run.handle_attested(step, by);
                }
            }
            ControlDown::Certificate(issued) => {
                self.state.renewed(crate::enroll::certificate(&issued))?;
                self.follow_certificate();
                tracing::info!(target_name = %self.state.target, "the certificate was renewed");
            }
            ControlDown::Root { envelope } => match verify_root_update(&envelope, &self.state.root)
            {
                Ok(root) => {
                    self.state.repin(&envelope, root.into_inner())?;
                    self.host.publisher = self.state.root.roles.publisher.clone();
                    if let Some(run) = &mut self.run {
                        run.trust(self.host.publisher.clone());
                    }
                }
                Err(error) => tracing::error!(%error, "a newer trust root was refused"),
            },
            ControlDown::Welcome(_) => tracing::debug!("a second welcome was ignored"),
        }
        Ok(())
    }

    /// Takes up what the server's administrator has set or lifted. A run waits at its next gate meanwhile.
    pub(super) fn look_at_freeze(&mut self) {
        let at = now();
        let frozen = freeze::read(self.state.folder(), at);
        if freeze::is_told(frozen.as_ref(), self.frozen.as_ref(), at) {
            return;
        }
        match &frozen {
            Some(freeze) => {
                tracing::warn!(target_name = %self.state.target, until = %freeze.until, by = %freeze.by, why = %freeze.why, "this server is frozen");
                self.journal(&Event::Frozen(freeze.clone()));
            }
            None => {
                tracing::info!(target_name = %self.state.target, "this server is frozen no more");
                self.journal(&Event::Thawed);
            }
        }
        self.frozen = frozen;
        let now = self.now();
        if let Some(run) = &mut self.run {
            if self.frozen.is_some() {
                run.pause();
            } else if !self.held_by_rollout {
                run.resume(now);
            }
        }
    }
}
