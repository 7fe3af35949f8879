//! What the driver owns, and what is done to it: events taken in, decisions carried out, orders, and who is here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use controller_core::doubt::Doubt;
use controller_core::fleet::{
    Asking, Consent, Decision, Fleet, Live, Moment, PERMIT_LIFE, Pulse, Refusal, RolloutState,
    Saying, Unaccepted,
};
use controller_core::overrides::Rule;
use controller_core::plan::Plan;
use controller_core::record::{Order, Record};
use controller_core::roster::Roster;
use controller_core::versions::Versions;
use protocol::event::{Event, Section};
use protocol::key::PublicKey;
use protocol::limits;
use protocol::signed::Manifest;
use protocol::wire::close::Close;
use protocol::wire::latest::{ControlDown, Hello};
use protocol::{
    Attempt, BundleId, Digest, Epoch, EventIndex, Generation, PlanId, RolloutId, StepIndex,
    TargetId, Timestamp, Version,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::authority::Authority;
use crate::driver::Batch;
use crate::driver::felt::Felt;
use crate::driver::progress::Progress;
use crate::session::{Heard, Registry};
use crate::store::{Entry, Store, StoreError};

/// Somebody that was turned away, or a bundle that was refused. Not stored: whoever can reach the socket could fill the log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Refused {
    /// When, the last time.
    pub at: Timestamp,
    /// A target's name, or an address where no name is known.
    pub who: String,
    /// What was refused: `handshake`, `session`, `join`, `bundle` or `receipt`.
    pub what: String,
    /// The reason.
    pub why: String,
    /// How often.
    pub times: u32,
}

impl Refused {
    /// The refusal in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let times = if self.times > 1 {
            format!(", {} times", self.times)
        } else {
            String::new()
        };
        format!(
            "{} a {} of {} was refused{times}: {}",
            self.at, self.what, self.who, self.why
        )
    }
}

/// How many refusals are kept.
const REFUSALS: usize = 100;

/// A question for a secret that is open just now.
#[derive(Debug)]
pub struct OpenAsk {
    /// Who asks.
    pub target: TargetId,
    /// The signed ask.
    pub envelope: Vec<u8>,
    /// Where the sealed answer goes.
    pub answer: oneshot::Sender<protocol::wire::latest::SecretAnswer>,
}

/// An agent whose journal comes.
#[derive(Debug)]
struct CatchingUp {
    /// How far it goes.
    upto: EventIndex,
    /// Its newest generation.
    generation: Generation,
    /// What it says that its product does: it counts once the journal is here, in which it may be out of service.
    pulse: Option<Pulse>,
}

/// Everything that the driver owns.
#[derive(Debug)]
pub struct Core {
    /// Rollouts and claims.
    pub fleet: Fleet,
    /// Agents, tokens, artifacts.
    pub roster: Roster,
    /// This moment.
    pub live: Live,
    /// Stored plans.
    pub plans: BTreeMap<PlanId, Plan>,
    /// Epoch of the log.
    pub epoch: Epoch,
    /// Progress by target, and of which of its bundles that is.
    pub(super) progress: BTreeMap<TargetId, (Generation, Progress)>,
    /// Open questions for secrets.
    pub asks: BTreeMap<u64, OpenAsk>,
    /// What was refused lately, oldest first.
    pub refusals: VecDeque<Refused>,
    /// Nothing can be stored just now: since when, and why.
    pub unstored: Option<String>,
    /// Agents with a session of which not all is here that they have journaled. Nothing is decided about them on what they were
    /// before.
    catching_up: BTreeMap<TargetId, CatchingUp>,
    /// How old pulses are.
    felt: Felt,
    /// How old leave is that was given.
    leaves: Felt,
    next_ask: u64,
    authority: Arc<Authority>,
    sessions: Arc<Registry>,
}

/// Makes the state from the log's records.
///
/// # Errors
/// When a stored plan cannot be read.
pub(super) async fn rebuild(
    store: &Store,
    records: Vec<(Timestamp, Record)>,
    authority: Arc<Authority>,
    sessions: Arc<Registry>,
    versions: Option<Arc<Versions>>,
) -> Result<Core, StoreError> {
    let mut core = Core {
        fleet: Fleet::new(),
        roster: Roster::default(),
        live: Live {
            began: crate::now(),
            versions,
            ..Live::default()
        },
        plans: BTreeMap::new(),
        epoch: Epoch(0),
        progress: BTreeMap::new(),
        asks: BTreeMap::new(),
        refusals: VecDeque::new(),
        unstored: None,
        next_ask: 1,
        catching_up: BTreeMap::new(),
        felt: Felt::default(),
        leaves: Felt::default(),
        authority,
        sessions,
    };
    for (at, record) in records {
        if let Record::PlanStored { plan, .. } = &record {
            let bytes = store.blob_of("plan", plan.0).await?;
            let parsed = serde_json::from_slice(&bytes).map_err(|_| StoreError::Blob {
                path: store.path().to_owned(),
                what: "plan",
                digest: plan.0,
            })?;
            core.plans.insert(*plan, parsed);
        }
        core.fold(&record, at);
    }
    // When it was given nobody knows by the clock of this process.
    let now = Instant::now();
    let leave: Vec<TargetId> = core.fleet.with_leave().cloned().collect();
    for target in leave {
        core.gives_leave(&target, now);
    }
    Ok(core)
}

impl Core {
    /// What an operator must see at once.
    #[must_use]
    pub fn alarms(&self, now: Timestamp) -> Vec<String> {
        let unstored = self.unstored.iter().cloned();
        unstored.chain(self.fleet.alarms(now)).collect()
    }

    fn fold(&mut self, record: &Record, at: Timestamp) {
        if let Record::Begun { epoch } | Record::Restored { epoch, .. } = record {
            self.epoch = *epoch;
        }
        let mut applied = None;
        if let Record::Applied { plan, .. } = record {
            applied = self.plans.get(plan);
        }
        self.fleet.apply(record, applied, at);
        self.roster.apply(record, at);
    }

    /// Adds a record to the batch and takes it up.
    pub fn record(&mut self, batch: &mut Batch, record: Record) {
        self.fold(&record, batch.now);
        batch.entries.push(Entry {
            at: batch.now,
            record,
        });
    }

    /// The authority.
    #[must_use]
    pub fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authority)
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> Arc<Registry> {
        Arc::clone(&self.sessions)
    }

    /// Asks the machine what may be done, until it wants nothing more.
    pub(super) fn decide(&mut self, batch: &mut Batch) {
        loop {
            let decisions = self.fleet.decide(&self.live, batch.now);
            let before = batch.entries.len();
            for decision in decisions {
                self.carries_out(batch, decision);
            }
            // A decision that comes to nothing would come again for ever.
            if batch.entries.len() == before {
                return;
            }
        }
    }

    /// Records a decision, and says what it has to say once that is stored.
    fn carries_out(&mut self, batch: &mut Batch, decision: Decision) {
        let signed = self.signs(&decision, batch.now);
        let bundle = signed.as_ref().map(|(manifest, bytes)| {
            let bundle = BundleId(Digest::of(bytes));
            (manifest, bundle)
        });
        for record in decision.records(bundle, batch.now) {
            self.record(batch, record);
        }
        if let Some((manifest, bytes)) = signed {
            batch.keep(bytes.clone());
            let sessions = Arc::clone(&self.sessions);
            batch.then(move |stored| {
                if stored.is_ok() {
                    sessions.offer(&manifest.target, bytes);
                }
            });
        }
        if let Decision::Permit {
            target,
            gate,
            after,
            ..
        } = decision
        {
            self.gives_leave(&target, batch.begun);
            let given = ControlDown::PermitGiven {
                generation: gate.generation,
                step: gate.step,
                attempt: gate.attempt,
                lapses_millis: u64::try_from(PERMIT_LIFE.as_millis()).unwrap_or(u64::MAX),
                after,
            };
            self.say(batch, target, given);
        }
    }

    /// The bundle of an offer and its bytes, signed; `None` of what is no offer, and where nobody is enrolled to whom it could go.
    fn signs(&self, decision: &Decision, now: Timestamp) -> Option<(Manifest, Vec<u8>)> {
        let Decision::Issue {
            rollout,
            target,
            phase,
            ..
        } = decision
        else {
            return None;
        };
        let key = self.roster.agents().get(target)?.key.fingerprint();
        let manifest = self.fleet.manifest(*rollout, target, *phase, key, now)?;
        let bytes = self.authority.sign(&manifest);
        Some((manifest, bytes))
    }

    /// Leave lapses by both clocks: where the wall clock was set ahead, or has gone on while this process stood, its agent may make use of
    /// it all the same.
    fn gives_leave(&mut self, target: &TargetId, at: Instant) {
        self.leaves.came(target, at);
        self.live.under_leave.insert(target.clone());
    }

    /// When the next leave lapses by the clock that nobody sets, where somebody may wait for that.
    pub(super) fn leave_lapses(&self) -> Option<Instant> {
        let first = self.leaves.first().filter(|_| self.fleet.is_asked())?;
        Some(first + PERMIT_LIFE + Duration::from_millis(1))
    }

    fn say(&self, batch: &mut Batch, target: TargetId, word: ControlDown) {
        batch.words.push((target, word));
    }

    /// Repeats what stands for a target's rollout.
    fn say_standing(&self, batch: &mut Batch, target: &TargetId) {
        for word in self.standing(target) {
            self.say(batch, target.clone(), word);
        }
    }

    /// What an agent told has its rollout stand still (it was aborted by an order that a restored log has not): whoever is at work in it hears
    /// that as they would by an order.
    fn says_what_stands_still(&self, batch: &mut Batch, run: RolloutId) {
        let Some(rollout) = self.fleet.rollouts().get(&run) else {
            return;
        };
        if rollout.state != RolloutState::Paused {
            return;
        }
        for (target, _) in rollout.work.iter() {
            let its = self
                .fleet
                .open(target)
                .is_some_and(|open| open.rollout == run);
            if its {
                self.say_standing(batch, target);
            }
        }
    }

    /// A target has accepted its bundle: it has ignored orders for one that it had not accepted yet. That it goes on needs
    /// no word, which a burst to a whole fleet would feel.
    pub fn accepted(&self, batch: &mut Batch, target: &TargetId) {
        let mut stands = self.standing(target);
        stands.retain(|word| !matches!(word, ControlDown::Resume { .. }));
        if stands.is_empty() {
            return;
        }
        for word in stands {
            self.say(batch, target.clone(), word);
        }
        // Nothing of a batch is said that could not be stored, and it tells of no other acceptance: it hears what stands with its next
        // welcome.
        let (sessions, target) = (self.sessions(), target.clone());
        batch.then(move |stored| {
            if stored.is_err() {
                sessions.close(&target, Close::Stopping, "");
            }
        });
    }

    /// Lets everything stand still, or go on: every open run is told.
    pub fn stop_fleet(&mut self, batch: &mut Batch, record: Record) {
        self.record(batch, record);
        let open: Vec<TargetId> = self.roster.agents().keys().cloned().collect();
        for target in open {
            for word in self.standing(&target) {
                self.say(batch, target.clone(), word);
            }
        }
    }

    /// The orders that stand for a target's open bundle.
    #[must_use]
    pub fn standing(&self, target: &TargetId) -> Vec<ControlDown> {
        let Some(open) = self.fleet.open(target) else {
            return Vec::new();
        };
        let rollout = self.fleet.rollouts().get(&open.rollout);
        let mut words = Vec::new();
        match rollout.map(|rollout| rollout.state) {
            Some(RolloutState::Paused) => words.push(ControlDown::Pause {
                rollout: open.rollout,
            }),
            Some(RolloutState::Aborted) => words.push(ControlDown::Abort {
                generation: open.generation,
            }),
            Some(RolloutState::Running) if self.fleet.stopped().is_some() => {
                words.push(ControlDown::Pause {
                    rollout: open.rollout,
                });
            }
            Some(RolloutState::Running) => words.push(ControlDown::Resume {
                rollout: open.rollout,
            }),
            None => {}
        }
        if let Some((step, by)) = &open.attested {
            words.push(ControlDown::Attested {
                generation: open.generation,
                step: *step,
                by: by.clone(),
            });
        }
        words
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

    fn met(&mut self, batch: &mut Batch, target: &TargetId, generation: Generation) {
        let met = Record::Met {
            target: target.clone(),
            generation,
        };
        self.record(batch, met);
        // A run of a rollout that came after the backup is known to nobody here: it ends at its next gate.
        let known = self.fleet.open(target);
        if known.is_none_or(|open| open.generation != generation) {
            self.say(batch, target.clone(), ControlDown::Abort { generation });
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

    /// Notes that something was refused, for the operator.
    pub fn refused(&mut self, at: Timestamp, who: String, what: &str, why: String) {
        let same = |known: &Refused| known.who == who && known.what == what && known.why == why;
        // What happens again moves to the end, so that the list is in the order of time.
        let before = self.refusals.iter().position(same);
        let before = before.and_then(|at| self.refusals.remove(at));
        if self.refusals.len() == REFUSALS {
            self.refusals.pop_front();
        }
        self.refusals.push_back(Refused {
            at,
            who,
            what: what.to_owned(),
            why,
            times: before.map_or(0, |before| before.times).saturating_add(1),
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

    /// Begins a rollout, if its plan may be applied.
    ///
    /// # Errors
    /// With the reason, when it may not.
    pub fn apply_plan(
        &mut self,
        batch: &mut Batch,
        plan_id: PlanId,
        consent: Consent,
        by: &str,
    ) -> Result<RolloutId, Refusal> {
        let plan = self.plans.get(&plan_id).ok_or(Refusal::NoSuchPlan)?;
        let moment = Moment {
            live: &self.live,
            has_session: &|target| self.has_session(target),
            roster: Some(&self.roster),
            now: batch.now,
        };
        self.fleet.may_apply((plan_id, plan), &consent, moment)?;
        let id = self.fleet.next_rollout();
        // Whoever is at work in what ends so hears of it.
        for (rollout, order) in self.fleet.ends_elsewhere(plan, batch.now) {
            self.carry_out(batch, rollout, order, by);
        }
        for record in consent.records(id, plan_id, by) {
            self.record(batch, record);
        }
        Ok(id)
    }

    /// Carries out an operator's order, and says what it does.
    ///
    /// # Errors
    /// With the reason, when it cannot be.
    pub fn order(
        &mut self,
        batch: &mut Batch,
        id: RolloutId,
        order: Order,
        by: &str,
    ) -> Result<String, String> {
        self.fleet.may_order(id, &order, &self.live, batch.now)?;
        let answer = self.fleet.answer_to(id, &order, &self.live, batch.now);
        self.carry_out(batch, id, order, by);
        Ok(answer)
    }

    /// Records an order, and says it to every open run of its rollout.
    fn carry_out(&mut self, batch: &mut Batch, id: RolloutId, order: Order, by: &str) {
        let work = self.fleet.rollouts().get(&id).map(|rollout| &rollout.work);
        let open: Vec<(TargetId, Generation)> = work
            .into_iter()
            .flatten()
            .map(|(target, _)| target)
            .filter_map(|target| {
                self.fleet
                    .open(target)
                    .map(|open| (target.clone(), open.clone()))
            })
            .filter(|(_, open)| open.rollout == id)
            .map(|(target, open)| (target, open.generation))
            .collect();
        for (target, generation) in open {
            let word = match &order {
                Order::Pause => ControlDown::Pause { rollout: id },
                // Everything stands still: no order for one rollout changes that.
                Order::Resume { .. } if self.fleet.stopped().is_some() => continue,
                Order::Resume { .. } => ControlDown::Resume { rollout: id },
                Order::Abort => ControlDown::Abort { generation },
                Order::Retry { .. }
                | Order::Skip { .. }
                | Order::Limits { .. }
                | Order::SiteLimit { .. }
                | Order::AcceptDifference { .. } => continue,
                Order::Resolve {
                    target: named, off, ..
                } if *named == target && !self.fleet.frees_alone(id, &target, *off, batch.now) => {
                    ControlDown::Abort { generation }
                }
                Order::Resolve { .. } => continue,
            };
            self.say(batch, target, word);
        }
        self.record(
            batch,
            Record::Ordered {
                rollout: id,
                order,
                by: by.to_owned(),
            },
        );
    }

    /// Takes a release of the agent back, and aborts what is under way with it. Gives the rollouts that were aborted.
    ///
    /// # Errors
    /// With the reason: there is no such release, it was withdrawn before, or no reason is given.
    pub fn withdraw_release(
        &mut self,
        batch: &mut Batch,
        version: Version,
        reason: String,
        by: &str,
    ) -> Result<Vec<RolloutId>, String> {
        self.roster.release(Some(version))?;
        if reason.trim().is_empty() {
            return Err("why it is withdrawn is not said: --reason".to_owned());
        }
        let with_it: Vec<RolloutId> = self
            .fleet
            .rollouts()
            .iter()
            .filter(|(_, rollout)| {
                rollout.state != RolloutState::Aborted && rollout.plan.release() == Some(version)
            })
            .map(|(id, _)| *id)
            .collect();
        let by_whom = by.to_owned();
        self.record(
            batch,
            Record::ReleaseWithdrawn {
                version,
                reason,
                by: by_whom,
            },
        );
        // One that is over needs no order.
        let aborts = |id: &RolloutId| self.order(batch, *id, Order::Abort, by).is_ok();
        Ok(with_it.into_iter().filter(aborts).collect())
    }

    /// Takes an operator's word that a rule is set aside on a target, and says how that stands.
    ///
    /// # Errors
    /// With the reason, when it may not be.
    pub fn override_rule(
        &mut self,
        batch: &mut Batch,
        asking: Asking<'_>,
    ) -> Result<String, String> {
        let (rule, target) = (asking.rule, asking.target.clone());
        if let Saying::Before(stands) = self.fleet.may_override(asking, batch.now)? {
            return Ok(stands);
        }
        let asked = self.authority.override_operators();
        let said = Record::OverrideSaid {
            rule,
            target: target.clone(),
            by: asking.by.to_owned(),
            asked,
            change: asking.change.to_owned(),
            reason: asking.reason.to_owned(),
        };
        self.record(batch, said);
        let stands = self.fleet.override_of(rule, &target, batch.now);
        Ok(stands.map_or_else(String::new, |view| view.standing_sentence()))
    }

    /// Takes an override back.
    ///
    /// # Errors
    /// With the reason, when there is none.
    pub fn withdraw_override(
        &mut self,
        batch: &mut Batch,
        rule: Rule,
        target: TargetId,
        by: String,
    ) -> Result<String, String> {
        self.fleet.may_withdraw_override(rule, &target, batch.now)?;
        let done = format!(
            "the override of {rule} on {target} is withdrawn: what was let go under it goes on, and nothing more is"
        );
        self.record(batch, Record::OverrideWithdrawn { rule, target, by });
        Ok(done)
    }

    /// Says on behalf of a person that the step of a task is done.
    ///
    /// # Errors
    /// When no step on that target waits for a person, or nobody may go on with it.
    pub fn attest(&mut self, batch: &mut Batch, target: &TargetId, by: &str) -> Result<(), String> {
        if !self.roster.agents().contains_key(target) {
            return Err(format!(
                "{target} is not enrolled: entrain agents lists who is"
            ));
        }
        let (generation, step) = self.fleet.may_attest(target, batch.now)?;
        let attested = Record::Attested {
            target: target.clone(),
            generation,
            step,
            by: by.to_owned(),
        };
        self.record(batch, attested);
        self.say(
            batch,
            target.clone(),
            ControlDown::Attested {
                generation,
                step,
                by: by.to_owned(),
            },
        );
        Ok(())
    }

    /// The size in bytes of an accepted file with that digest: an installer, or a program of a release.
    #[must_use]
    pub fn stored_size(&self, sha256: &Digest) -> Option<u64> {
        let installer = self.roster.artifacts().get(sha256);
        installer
            .map(|artifact| artifact.artifact.size)
            .or_else(|| self.roster.program(sha256).map(|file| file.size))
    }
}
