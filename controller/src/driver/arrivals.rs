//! Agents as they come, tell and go: who counts as here, what they have journaled, what they ask for, and whom nobody believes any more.

use controller_core::doubt::Doubt;
use controller_core::fleet::{PERMIT_LIFE, Pulse, RolloutState, Unaccepted};
use controller_core::record::Record;
use protocol::event::{Event, Section};
use protocol::key::PublicKey;
use protocol::limits;
use protocol::wire::close::Close;
use protocol::wire::latest::Hello;
use protocol::{Attempt, BundleId, Epoch, EventIndex, Generation, StepIndex, TargetId, Timestamp};
use tokio::time::Instant;

use crate::driver::{Batch, Core, OpenAsk};
use crate::session::Heard;
use crate::store::Entry;

/// An agent whose journal comes.
#[derive(Debug)]
pub(super) struct CatchingUp {
    /// How far it goes.
    upto: EventIndex,
    /// Its newest generation.
    generation: Generation,
    /// What it says that its product does: it counts once the journal is here, in which it may be out of service.
    pulse: Option<Pulse>,
}

impl Core {
    /// Notes an agent with a session: at once where all that it has journaled is here, and else when that has come.
    /// Gives the bundle that is to be offered again.
    pub fn arrived(&mut self, batch: &mut Batch, hello: &Hello) -> Option<BundleId> {
        let known = self.roster.agents().get(&hello.target);
        let said = hello.agent_version.chars();
        let version: String = said.take(limits::MAX_VERSION_CHARS).collect();
        // That one is back which was said to be off shows in no event, where its facts are the same as before.
        let off = self.fleet.beyond().said_off.contains(&hello.target);
        if known.is_some_and(|agent| off || agent.version.as_ref() != Some(&version)) {
            let target = hello.target.clone();
            self.record(batch, Record::AgentSeen { target, version });
        }
        let stored = self.roster.agents().get(&hello.target);
        if stored.is_some_and(|agent| agent.head.index >= hello.head.index) {
            return self.here(batch, &hello.target, hello.generation);
        }
        // An older session of it may still count as here: what it was then is what nothing may rest on.
        self.left(&hello.target, batch.now);
        let one = CatchingUp {
            upto: hello.head.index,
            generation: hello.generation,
            pulse: None,
        };
        self.catching_up.insert(hello.target.clone(), one);
        None
    }

    /// Whether a target has a session, also one whose journal is not all here yet.
    #[must_use]
    pub fn has_session(&self, target: &TargetId) -> bool {
        self.live.connected.contains(target) || self.catching_up.contains_key(target)
    }

    /// A session ended: what the target asked for it asks again when it is back.
    pub fn left(&mut self, target: &TargetId, now: Timestamp) {
        self.catching_up.remove(target);
        self.live.left(target, now);
        self.fleet.forget_asked(target);
        self.progress.remove(target);
        self.asks.retain(|_, ask| ask.target != *target);
    }

    fn here(
        &mut self,
        batch: &mut Batch,
        target: &TargetId,
        generation: Generation,
    ) -> Option<BundleId> {
        let caught_up = self.catching_up.remove(target);
        if self.fleet.unmet().contains(target) {
            self.met(batch, target, generation);
        }
        // What has come may have opened a run here again: it waits for this word since its start.
        self.say_standing(batch, target);
        self.live.came(target.clone(), batch.now);
        if let Some(pulse) = caught_up.and_then(|one| one.pulse) {
            self.live.pulses.insert(target.clone(), pulse);
        }
        match self
            .fleet
            .unaccepted(target, generation, &self.live, batch.now)
        {
            Some(Unaccepted::Offer(bundle)) => Some(bundle),
            Some(Unaccepted::Withdraw(generation)) => {
                let target = target.clone();
                self.record(batch, Record::Withdrawn { target, generation });
                None
            }
            None => None,
        }
    }

    fn met(&mut self, batch: &mut Batch, target: &TargetId, generation: Generation) {
        let met = Record::Met {
            target: target.clone(),
            generation,
        };
        self.record(batch, met);
        if let Some(word) = self.fleet.word_once_met(target, generation) {
            self.say(batch, target.clone(), word);
        }
    }

    /// Stores a target's events: those that are new and follow on what is stored. Gives the last index that counts as
    /// stored, or `None` when the entries do not follow; and the bundle that is to be offered again, where these were the
    /// last that the target had journaled before its session.
    pub fn entries(
        &mut self,
        batch: &mut Batch,
        target: &TargetId,
        epoch: Epoch,
        first: EventIndex,
        entries: Vec<Heard>,
    ) -> Option<(EventIndex, Option<BundleId>)> {
        let agent = self.roster.agents().get(target)?;
        let head = agent.head;
        if head.epoch != epoch || first.0 > head.index.0 + 1 {
            return None;
        }
        let known = usize::try_from(head.index.0 + 1 - first.0).unwrap_or(usize::MAX);
        let mut index = EventIndex(head.index.0.max(first.0.saturating_sub(1)));
        for entry in entries.into_iter().skip(known) {
            index = index.next();
            if let Some((what, why)) = entry.refused {
                self.refused(batch.now, target.to_string(), what, why);
            }
            let record = Record::TargetEvent {
                target: target.clone(),
                epoch,
                index,
                kind: entry.kind,
                at: entry.at,
                body: entry.body,
            };
            // As the fold would, which had to read the body again.
            self.roster.apply(&record, batch.now);
            if let Some(event) = &entry.event {
                let run = self.fleet.open(target).map(|open| open.rollout);
                let before = run.and_then(|run| Some(self.fleet.rollouts().get(&run)?.state));
                self.fleet.heard(target, event, entry.at, batch.now);
                if let Some(run) = run.filter(|_| before == Some(RolloutState::Running)) {
                    self.says_what_stands_still(batch, run);
                }
                self.live.heard(target, event);
                self.is_past(target, event);
                // One that was kept until its journal is here is no younger than the section that has ended in it.
                if let Event::SectionLeft { .. } = event
                    && let Some(one) = self.catching_up.get_mut(target)
                {
                    one.pulse = None;
                }
            }
            batch.entries.push(Entry {
                at: batch.now,
                record,
            });
        }
        let reached = index.max(head.index);
        let mut resend = None;
        if let Some(one) = self.catching_up.get(target)
            && reached >= one.upto
        {
            resend = self.here(batch, target, one.generation);
        }
        Some((reached, resend))
    }

    /// The stored bytes of a bundle cannot be read: its agent does not have it, and no word ends what is not there. It is withdrawn; what
    /// it was to do is issued anew where its rollout goes on.
    pub fn cannot_be_offered(
        &mut self,
        batch: &mut Batch,
        target: &TargetId,
        bundle: BundleId,
        why: String,
    ) {
        self.refused(batch.now, target.to_string(), "bundle", why);
        let open = self.fleet.open(target);
        let open = open.filter(|open| open.bundle == bundle && !open.accepted);
        if let Some(generation) = open.map(|open| open.generation) {
            let target = target.clone();
            self.record(batch, Record::Withdrawn { target, generation });
        }
    }

    /// Notes that an agent is not the only one with its key, or not the one that it was, and closes its session. `at` is
    /// where that was seen. An agent with another key under the same name is none of it.
    pub fn doubted(
        &mut self,
        batch: &mut Batch,
        (target, key): (&TargetId, PublicKey),
        doubt: Doubt,
        at: Vec<String>,
    ) {
        let enrolled = self.roster.agents().get(target);
        let same = enrolled.is_some_and(|agent| agent.key == key);
        if !same || self.fleet.doubted().contains_key(target) {
            return;
        }
        tracing::error!(%target, at = at.join(" and "), "{}", doubt.what());
        let record = Record::AgentDoubted {
            target: target.clone(),
            key: key.fingerprint(),
            doubt,
            at,
        };
        self.record(batch, record);
        self.left(target, batch.now);
        let (sessions, target) = (self.sessions(), target.clone());
        batch.then(move |stored| match stored {
            Ok(()) => sessions.close(&target, Close::RolledBack, doubt.what()),
            // It counts as gone here: it comes again, and is looked at again.
            Err(_) => sessions.close(&target, Close::Stopping, ""),
        });
    }

    /// Notes what a target's product does: of whoever is here, and else once its journal is here.
    pub fn pulse(&mut self, target: &TargetId, serving: bool, batch: &Batch) {
        let at = batch.now;
        let pulse = Pulse { serving, at };
        if let Some(one) = self.catching_up.get_mut(target) {
            one.pulse = Some(pulse);
        } else if self.live.connected.contains(target) {
            self.live.pulses.insert(target.clone(), pulse);
        } else {
            return;
        }
        self.felt.came(target, batch.begun);
    }

    /// Forgets pulses that are too old to count by the clock that nobody sets, and leave that has lapsed by it; the core looks at the
    /// other one.
    pub(super) fn fade(&mut self, now: Instant) {
        for target in self.leaves.older_than(PERMIT_LIFE, now) {
            self.live.under_leave.remove(&target);
        }
        for target in self.felt.older_than(limits::FRESH_FACTS, now) {
            self.live.pulses.remove(&target);
            if let Some(one) = self.catching_up.get_mut(&target) {
                one.pulse = None;
            }
        }
    }

    /// An agent asks for leave.
    pub fn permit_asked(
        &mut self,
        target: &TargetId,
        generation: Generation,
        step: StepIndex,
        attempt: Attempt,
        section: Section,
    ) {
        self.fleet
            .asks_permit(target, generation, step, attempt, section);
    }

    /// Opens a question for a secret.
    pub fn ask_opened(&mut self, ask: OpenAsk) -> u64 {
        let id = self.next_ask;
        self.next_ask += 1;
        self.asks.retain(|_, open| open.target != ask.target);
        self.asks.insert(id, ask);
        id
    }
}
