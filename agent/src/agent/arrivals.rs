//! What a session brings, and what is said in it.

use protocol::event::Event;
use protocol::wire::latest::{ControlUp, EventsDown, Welcome};
use protocol::{EventIndex, limits};

use super::{Agent, AgentError, now};
use crate::session::{Inbound, Session};

impl Agent {
    pub(super) async fn arrived(&mut self, inbound: Inbound) -> Result<(), AgentError> {
        match inbound {
            Inbound::Welcomed { welcome, session } => self.welcomed(&welcome, session)?,
            Inbound::Offer { envelope, answer } => self.offer(envelope, answer).await?,
            Inbound::Control { word, came } => self.control(word, came.elapsed())?,
            Inbound::Acknowledged(EventsDown::Acknowledged { index }) => {
                self.journal.acknowledged(index);
                self.stored = self.stored.max(index);
                self.prove(index);
                self.publish()?;
                self.ask_leave();
                if self.left_section.take_if(|left| *left <= index).is_some() {
                    self.pulse();
                }
            }
            Inbound::Lost(ended) => {
                if self.session.take().is_some() {
                    tracing::info!(target_name = %self.state.target, why = %ended, "the session ended");
                } else {
                    // Told once, and again when it is another reason: it is tried over and over.
                    let why = ended.to_string();
                    if self.unreached.as_ref() == Some(&why) {
                        tracing::debug!(target_name = %self.state.target, %why, "no session");
                    } else {
                        tracing::warn!(target_name = %self.state.target, %why, "no session with the controller");
                        self.unreached = Some(why);
                    }
                }
                self.link.send_replace(None);
                // As after a start: what stands for its rollout is said with the next welcome, and heard before it goes on.
                if let Some(run) = &mut self.run {
                    self.held_by_rollout = true;
                    run.out_of_reach();
                }
                // It is asked again after the next welcome.
                self.asks_leave = None;
                // It is offered again after the next welcome, if it still is to be.
                self.superseding = None;
                // Nobody has looked meanwhile, perhaps for days.
                self.lives.forget();
            }
        }
        Ok(())
    }

    fn welcomed(&mut self, welcome: &Welcome, session: Session) -> Result<(), AgentError> {
        let stored = welcome.stored;
        let ours = self.journal.chain_at(stored.index)?;
        if stored.epoch != self.journal.head().epoch || ours != Some(stored.chain) {
            // The controller decides the same from our hello; this is the second line.
            tracing::error!(target_name = %self.state.target, "the controller has stored another journal than this one");
            session.connection.close(
                protocol::wire::close::Close::RolledBack,
                "the journals differ",
            );
            return Ok(());
        }
        let difference = now().as_millis() - welcome.now_millis;
        if difference.unsigned_abs()
            > u64::from(limits::CLOCK_TOLERANCE.subsec_millis())
                + limits::CLOCK_TOLERANCE.as_secs() * 1000
        {
            tracing::warn!(
                seconds = difference / 1000,
                "this server's clock differs from the controller's"
            );
        }
        tracing::info!(target_name = %self.state.target, stored = %stored.index, "welcomed");
        self.unreached = None;
        (self.sent, self.stored) = (stored.index, stored.index);
        // The answer to what was stored may have been lost with a session.
        self.prove(stored.index);
        if self.trial.is_some() && !self.restated {
            // Something of this life must be stored, whatever the server shows and its run waits for.
            self.restated = true;
            let event = self.frozen.clone().map_or(Event::Thawed, Event::Frozen);
            self.journal(&event);
        }
        self.link.send_replace(Some(session.connection.clone()));
        self.session = Some(session);
        self.publish()?;
        let now = self.now();
        if let Some(run) = &mut self.run {
            run.ask_again(now);
        }
        self.pulse();
        self.look_around();
        Ok(())
    }

    /// An event of this life is stored, so that the controller can be reached and understands what this version says.
    pub(super) fn prove(&mut self, stored: EventIndex) {
        if self.trial.is_none_or(|begun| stored <= begun) {
            return;
        }
        match self.exec.prove() {
            Ok(()) => {
                tracing::info!(target_name = %self.state.target, version = %self.host.agent_version, "this version has proved itself");
                self.trial = None;
            }
            // The next event and the next pulse are other tries.
            Err(error) => {
                tracing::error!(%error, "the launcher could not be told that this version works")
            }
        }
    }

    /// Says something on the control stream. What is lost with the session is asked again after the next welcome.
    pub(super) fn say(&self, word: ControlUp) {
        if let Some(session) = &self.session
            && session.control.try_send(word).is_err()
        {
            tracing::debug!(target_name = %self.state.target, "the control stream is full or gone");
        }
    }

    /// Asks for the leave that the run waits for, once all that was journaled before is stored.
    pub(super) fn ask_leave(&mut self) {
        let stored = self.stored;
        if let Some((_, ask)) = self.asks_leave.take_if(|(behind, _)| *behind <= stored) {
            self.say(ask);
        }
    }
}
