//! The fold: what each record changes. Nothing is decided here.

mod heard;

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::{Event, Failure, GmsaChange, Section};
use protocol::key::PublicKey;
use protocol::signed::Phase;
use protocol::{
    BundleId, DomainName, Generation, Overridden, RolloutId, StepIndex, TargetId, Timestamp,
};

use crate::answered::{self, Answered};
use crate::calendar::SiteRule;
use crate::doubt::Doubted;
use crate::facts::Known;
use crate::fleet::abandoned::GivenUp;
use crate::fleet::decide::{BUNDLE_LIFE, ended};
use crate::fleet::state::{
    Earlier, Fleet, Gate, Open, Rollout, RolloutState, Stopped, TargetState, Work, covers,
};
use crate::fleet::table::WorkTable;
use crate::fleet::watch::Watched;
use crate::overrides::{Rule, Word};
use crate::plan::Plan;
use crate::record::{Order, Record};
use crate::tenant::Seen;

/// How many rollout numbers are left out after a restore: those that were given since the backup are among them.
const RESTORE_GAP: u32 = 1000;

/// The watch of a product, as it was before the bundle was issued that was to end it.
struct Watch {
    rollout: RolloutId,
    since: Timestamp,
    seen: Watched,
}

impl Fleet {
    /// Takes up one record. `plan` is the stored plan of an `Applied` record.
    pub fn apply(&mut self, record: &Record, plan: Option<&Plan>, now: Timestamp) {
        match record {
            Record::FleetFrozen { why, by } => {
                self.stopped = Some(Stopped {
                    by: by.clone(),
                    why: why.clone(),
                    since: now,
                });
            }
            Record::FleetThawed { .. } => self.stopped = None,
            Record::OverrideSaid {
                rule,
                target,
                by,
                asked,
                change,
                reason,
            } => {
                let word = Word {
                    by: by.clone(),
                    at: now,
                    reason: reason.clone(),
                    change: change.clone(),
                    asked: *asked,
                };
                self.overrides.said(target, *rule, word);
            }
            Record::OverrideWithdrawn { rule, target, by } => {
                self.overrides.withdrawn(target, *rule, by, now);
            }
            Record::OverrideUsed {
                rule,
                target,
                generation,
                used,
            } => {
                let used = (now, *generation, *used);
                if let Some(over) = self.overrides.used(target, *rule, used) {
                    self.went_under(target, *generation, *rule, &over);
                }
            }
            Record::TenantSeen { observation, by } => {
                let seen = Seen {
                    observation: (**observation).clone(),
                    by: by.clone(),
                };
                self.tenant_seen(seen, now);
            }
            Record::DirectoryAnswered { answers, by } => {
                let answered = Answered {
                    answers: (**answers).clone(),
                    by: by.clone(),
                };
                self.beyond.handed_in(&answered);
                answered::take(&mut self.answers, answered);
            }
            Record::Restored { .. } => self.restored(),
            Record::Met { target, generation } => {
                self.unmet.remove(target);
                let newest = self.generations.entry(target.clone()).or_default();
                *newest = (*newest).max(*generation);
            }
            Record::AgentDoubted {
                target,
                key,
                doubt,
                at,
            } => {
                let doubted = Doubted {
                    key: *key,
                    doubt: *doubt,
                    at: at.clone(),
                    since: now,
                };
                self.asked.remove(target);
                self.doubted.entry(target.clone()).or_insert(doubted);
            }
            Record::Begun { .. }
            | Record::TokenCreated { .. }
            | Record::JoinAsked { .. }
            | Record::JoinApproved { .. }
            | Record::CertificateIssued { .. }
            | Record::ArtifactAdded { .. }
            | Record::ReleaseAdded { .. }
            | Record::ReleaseWithdrawn { .. }
            | Record::PlanStored { .. } => {}
            Record::Attested {
                target,
                generation,
                step,
                by,
            } => {
                self.open.note(target, *generation, |open| {
                    open.attested = Some((*step, by.clone()));
                });
            }
            Record::AgentEnrolled { target, key, .. } => self.enrolled(target, *key),
            Record::AgentRevoked { target, .. } | Record::AgentReplaced { target, .. } => {
                self.gone(target, now)
            }
            Record::SaidOff { target, .. } => {
                self.modes.remove(target);
                self.beyond.said_off.insert(target.clone());
                self.is_off(target, None);
            }
            // What it told before that word is what is known of it again, since an agent tells only what has changed.
            Record::AgentSeen { target, .. } => {
                if self.beyond.said_off.remove(target)
                    && let Some((_, facts)) = self
                        .known
                        .get(target)
                        .and_then(|known| known.facts.as_ref())
                    && let Some(connect) = &facts.connect
                {
                    self.modes.insert(target.clone(), connect.mode());
                }
            }
            Record::Applied {
                rollout,
                plan: plan_id,
                by,
                change,
                irreversible,
                not_before,
            } => {
                if let Some(plan) = plan {
                    let rollout_state = Rollout {
                        plan_id: *plan_id,
                        plan: plan.clone(),
                        by: by.clone(),
                        change: change.clone(),
                        applied: now,
                        irreversible: *irreversible,
                        restored: None,
                        not_before: *not_before,
                        state: RolloutState::Running,
                        accepted: BTreeSet::new(),
                        read: BTreeMap::new(),
                        work: WorkTable::of(plan, now),
                        serves: serves(plan),
                    };
                    self.rollouts.insert(*rollout, rollout_state);
                    self.active.insert(*rollout);
                    self.retire(*rollout);
                    self.is_taken_over(*rollout, plan, now);
                }
            }
            Record::Ordered { rollout, order, .. } => {
                self.ordered(*rollout, order, now);
                self.active.insert(*rollout);
                self.retire(*rollout);
            }
            Record::BundleIssued {
                rollout,
                target,
                generation,
                phase,
                bundle,
                expires,
            } => {
                self.generations.insert(target.clone(), *generation);
                self.lets_go(*rollout, target, false);
                let work = self.rollouts.get(rollout);
                let work = work.and_then(|rollout| rollout.work.get(target));
                let (switching, anew) =
                    work.map_or((false, false), |work| (work.switching, work.anew));
                let at = work.map(|work| (work.phase, work.since));
                let assumed = at.and_then(|(phase, _)| self.assumes(*rollout, target, phase));
                let open = Open {
                    assumed,
                    since: at.map_or(now, |(_, since)| since),
                    rollout: *rollout,
                    generation: *generation,
                    bundle: *bundle,
                    phase: *phase,
                    expires: *expires,
                    accepted: false,
                    attested: None,
                    overridden: BTreeSet::new(),
                    switching,
                    anew,
                    again: false,
                };
                self.open.insert(target, open);
                self.ends_a_watch(*rollout, target);
                self.change(target, *generation, |work| work.anew = false);
                self.set(*rollout, target, TargetState::Offered, now);
                self.switches(*rollout, target);
            }
            Record::PermitGiven {
                target,
                generation,
                step,
                attempt,
                section,
                lapses,
                rests_on,
            } => {
                self.asked.remove(target);
                self.change(target, *generation, |work| {
                    let rests_on = rests_on.iter().map(|one| format!("leave: {one}"));
                    // What was given once more, since it had lapsed, is said once.
                    for one in rests_on {
                        if !work.said.contains(&one) {
                            work.said.push(one);
                        }
                    }
                });
                let mut gate = Gate {
                    generation: *generation,
                    step: *step,
                    attempt: *attempt,
                    section: section.clone(),
                    lapses: Some(*lapses),
                    earlier: None,
                };
                // Whoever is in a section of that run is in it until it tells that it has left: leave that is not used takes nothing of that
                // away. It began anew and asks once more, or asks for the next one while its word that it has left is on its way.
                let before = self.gates.get(target);
                let before = before.filter(|is| is.generation == *generation);
                if let Some((of, is)) = before.and_then(Gate::entered) {
                    if !(of == *step && covers(is, section)) {
                        gate.section.outage |= is.outage;
                        gate.section.gmsa = gate.section.gmsa.or_else(|| is.gmsa.clone());
                        gate.earlier = Some(Box::new(Earlier {
                            step: of,
                            section: is.clone(),
                            leave: (section.clone(), *lapses),
                        }));
                    } else {
                        gate.section = is.clone();
                    }
                    gate.lapses = None;
                }
                self.gates.insert(target.clone(), gate);
            }
            Record::Degraded {
                rollout,
                target,
                why,
            } => {
                if self.soaking(target).contains(rollout) {
                    let failure = Box::new(Failure::plain(why.clone()));
                    let step = protocol::StepIndex(0);
                    self.set(*rollout, target, TargetState::Failed { step, failure }, now);
                }
            }
            Record::WentUnknown { target, generation } => {
                let open = self.open.get(target);
                let aborted = |open: &Open| {
                    let rollout = self.rollouts.get(&open.rollout);
                    rollout.is_some_and(|rollout| rollout.state == RolloutState::Aborted)
                };
                let told = |open: &Open| {
                    let rollout = self.rollouts.get(&open.rollout);
                    let work = rollout.and_then(|rollout| rollout.work.get(target));
                    work.is_some_and(|work| work.state.is_terminal())
                };
                // It may be at work: whatever its bundle claims stays claimed, until that has ended and it is told once more, by
                // who has waited as long for it as for any other.
                let open = open.filter(|open| {
                    open.generation == *generation
                        && aborted(open)
                        && (now <= ended(open) || !told(open))
                });
                match open.map(|open| open.rollout) {
                    Some(rollout) => self.set(rollout, target, TargetState::Unknown, now),
                    None => self.close(target, *generation, TargetState::Unknown, now),
                }
            }
            Record::Away {
                rollout,
                target,
                since,
            } => {
                if let Some(rollout) = self.rollouts.get_mut(rollout) {
                    rollout.work.change(target, |work| work.away = *since);
                }
            }
            Record::PassedOver {
                rollout,
                target,
                away,
            } => {
                if let Some(rollout) = self.rollouts.get_mut(rollout) {
                    let pass = |work: &mut Work| work.passed_over = *away;
                    rollout.work.change(target, pass);
                }
            }
            Record::Withdrawn { target, generation } => {
                self.withdrawn(target, *generation, now);
            }
            Record::TargetEvent {
                target, at, body, ..
            } => {
                if let Some(event) = Event::from_body(body.as_bytes()) {
                    self.heard(target, &event, *at, now);
                }
            }
        }
    }

    /// What went on after the backup is unknown: nothing goes on before an operator says so and the agents have told it.
    fn restored(&mut self) {
        for rollout in self.rollouts.values_mut() {
            if rollout.state == RolloutState::Running {
                rollout.state = RolloutState::Paused;
            }
            rollout.is_restored();
            // Where they were since the backup nobody knows.
            rollout.work.change_all(|_, work| work.away = None);
        }
        self.asked.clear();
        // Whoever set a rule aside spoke of a moment that is gone.
        self.overrides.clear();
        self.unmet = self.known.keys().cloned().collect();
        let last = self.rollouts.keys().next_back().copied();
        self.used = RolloutId(
            last.unwrap_or_default()
                .max(self.used)
                .0
                .saturating_add(RESTORE_GAP),
        );
    }

    /// An open bundle that its agent has not accepted is taken back.
    fn withdrawn(&mut self, target: &TargetId, generation: Generation, now: Timestamp) {
        let open = self.open.get(target);
        let rollout = open.and_then(|open| self.rollouts.get(&open.rollout));
        let aborted = rollout.is_some_and(|one| one.state == RolloutState::Aborted);
        // What only stands still is offered again, when it goes on, under a number of its own.
        let state = if aborted {
            TargetState::Aborted
        } else {
            TargetState::Pending
        };
        let was = self.never_came(target, generation);
        self.close(target, generation, state, now);
        self.is_watched_on(target, was);
    }

    /// A bundle that an agent accepted and that is not in this log was issued after the backup: its run is taken up where
    /// its rollout is known, so that what was done is not done again.
    fn adopt(
        &mut self,
        target: &TargetId,
        (generation, bundle): (Generation, BundleId),
        (id, phase): (RolloutId, Phase),
        now: Timestamp,
    ) {
        let known = self.generations.get(target).copied().unwrap_or_default();
        if generation <= known {
            return;
        }
        self.generations.insert(target.clone(), generation);
        let place = self.rollouts.get(&id).and_then(|rollout| {
            let now_at = rollout.work.get(target)?.phase;
            rollout.plan.taken_up(target, phase, now_at)
        });
        let Some(place) = place else {
            return;
        };
        // What was open here before, in this rollout or another one, it has passed: whoever waits for that would wait for ever.
        let before = self.open.get(target);
        match before.map(|open| (open.generation, open.accepted)) {
            Some((passed, false)) => self.withdrawn(target, passed, now),
            Some((passed, true)) => self.close(target, passed, TargetState::Unknown, now),
            None => {}
        }
        let taken_up = |work: &mut Work| {
            work.phase = place;
            work.anew = false;
        };
        let rollout = self.rollouts.get_mut(&id);
        if rollout
            .and_then(|rollout| rollout.work.change(target, taken_up))
            .is_none()
        {
            return;
        }
        let open = Open {
            assumed: None,
            since: now,
            rollout: id,
            generation,
            bundle,
            phase,
            expires: now.plus(BUNDLE_LIFE.1),
            accepted: true,
            attested: None,
            overridden: BTreeSet::new(),
            switching: false,
            anew: false,
            again: false,
        };
        self.open.insert(target, open);
        self.set(id, target, TargetState::Offered, now);
        self.switches(id, target);
    }

    fn enrolled(&mut self, target: &TargetId, key: PublicKey) {
        self.unmet.remove(target);
        self.keys.insert(target.clone(), key);
        let key = key.fingerprint();
        let known = self.known.entry(target.clone()).or_insert(Known::of(key));
        if known.key != key {
            *known = Known::of(key);
        }
    }

    /// Ends what is open on a target without a word of its agent.
    fn close(
        &mut self,
        target: &TargetId,
        generation: Generation,
        state: TargetState,
        now: Timestamp,
    ) {
        let open = self.open.get(target);
        let Some(open) = open.filter(|open| open.generation == generation).cloned() else {
            return;
        };
        let rollout = open.rollout;
        if state == TargetState::Unknown {
            // Nobody has told that it has left its section, which it finishes behind that end as well.
            self.abandon(target, GivenUp::BundleEnded, now);
        } else if self
            .gates
            .get(target)
            .is_some_and(|gate| gate.generation == generation)
        {
            // What it is in by another bundle, of a life of the log that is lost, stays claimed until it tells that it has left it.
            self.close_gate(target, None);
        }
        self.open.remove(target);
        if open.accepted {
            self.tried(rollout, target);
        }
        self.asked.remove(target);
        if state == TargetState::Unknown {
            self.heard_out(target);
            self.lost.insert(target.clone(), open.clone());
            self.unheard(&open, target, now);
        } else {
            self.set(rollout, target, state, now);
        }
    }

    /// A bundle that takes the server out of staging mode is on its way to it.
    fn switches(&mut self, rollout: RolloutId, target: &TargetId) {
        let Some(rollout) = self.rollouts.get_mut(&rollout) else {
            return;
        };
        let part = rollout.plan.targets.get(target);
        rollout.work.change(target, |work| {
            if part.is_some_and(|part| part.switches_to_active_in(work.phase)) {
                work.switching = true;
            }
        });
    }

    /// The open bundle of that generation was not taken up: what it would have claimed is as it was before, and so is its place.
    /// Where it was to end a watch, gives that watch.
    fn never_came(&mut self, target: &TargetId, generation: Generation) -> Option<Watch> {
        let open = self.open.get(target);
        let open = open.filter(|open| open.generation == generation)?;
        let (switching, anew) = (open.switching, open.anew);
        let (rollout, since) = (open.rollout, open.since);
        let watched = self.verified_behind_a_watch(target).is_some();
        self.change(target, generation, |work| {
            work.switching = switching;
            work.anew = anew;
        });
        let work = self.rollouts.get(&rollout)?.work.get(target)?;
        watched.then(|| Watch {
            rollout,
            since,
            seen: work.watched.clone(),
        })
    }

    /// What was to end a watch was not taken up: the watch goes on as it was, with what was seen in it.
    fn is_watched_on(&mut self, target: &TargetId, was: Option<Watch>) {
        let Some(was) = was else { return };
        if let Some(rollout) = self.rollouts.get_mut(&was.rollout) {
            rollout.work.change(target, |work| {
                if work.state == TargetState::Pending {
                    work.since = was.since;
                    work.watched = was.seen;
                }
            });
        }
    }

    /// The open run of a target goes its way under an override.
    fn went_under(
        &mut self,
        target: &TargetId,
        generation: Generation,
        rule: Rule,
        over: &Overridden,
    ) {
        self.open.note(target, generation, |open| {
            open.overridden.insert(rule);
        });
        let said = format!("{rule} {}", over.sentence());
        self.change(target, generation, |work| {
            if !work.overridden.contains(&said) {
                work.overridden.push(said);
            }
        });
    }

    fn lets_go(&mut self, id: RolloutId, target: &TargetId, is: bool) {
        if let Some(rollout) = self.rollouts.get_mut(&id) {
            rollout.work.change(target, |work| work.let_go = is);
        }
    }

    /// What only waits to be offered anew is over where a later plan changes the server. Nothing is applied beside what goes on, but a
    /// log of an earlier release has it: there whoever refused had failed.
    fn is_taken_over(&mut self, by: RolloutId, plan: &Plan, now: Timestamp) {
        let waits = |target: &TargetId, rollout: &Rollout| {
            let work = rollout.work.get(target);
            work.is_some_and(|work| work.let_go && work.state == TargetState::Pending)
        };
        let changed = plan.targets.iter().filter(|(_, part)| !part.is_read_only());
        let mut over = Vec::new();
        for (target, _) in changed {
            let others = self.active().filter(|(id, _)| *id != by);
            let others = others.filter(|(_, rollout)| waits(target, rollout));
            over.extend(others.map(|(id, _)| (id, target.clone())));
        }
        for (id, target) in over {
            self.set(id, &target, TargetState::Aborted, now);
            self.retire(id);
        }
    }

    /// What came of an accepted bundle nobody has told: it may have changed the server.
    fn tried(&mut self, rollout: RolloutId, target: &TargetId) {
        if let Some(rollout) = self.rollouts.get_mut(&rollout) {
            rollout.work.change(target, |work| work.tried = true);
        }
    }

    /// A target that went unknown speaks of its bundle: it is heard, unless somebody has said since what became of it.
    fn found_again(&mut self, target: &TargetId, generation: Generation, now: Timestamp) {
        let unknown = |open: &Open| {
            let work = self.rollouts.get(&open.rollout);
            let work = work.and_then(|rollout| rollout.work.get(target));
            work.is_some_and(|work| work.state == TargetState::Unknown)
        };
        let open = self.open.get(target);
        let open = open.filter(|open| open.generation == generation && unknown(open));
        if let Some(rollout) = open.map(|open| open.rollout) {
            return self.set(rollout, target, TargetState::Offered, now);
        }
        let lost = self.lost.get(target);
        let lost = lost.filter(|open| open.generation == generation);
        // What was offered since is answered first: that says which of the two it is at.
        let Some(id) = lost.map(|lost| lost.rollout) else {
            return;
        };
        if self.open.contains_key(target) {
            return;
        }
        let work = self.rollouts.get(&id);
        let work = work.and_then(|rollout| rollout.work.get(target));
        let state = work.map(|work| &work.state);
        if state == Some(&TargetState::Pending) {
            return self.take_up(target, now);
        }
        let unknown = state == Some(&TargetState::Unknown);
        let lost = self.heard_out(target);
        if let Some(open) = lost.filter(|_| unknown) {
            self.takes_its_section_back(target, generation);
            self.set(id, target, TargetState::Offered, now);
            self.open.insert(target, open);
        }
    }

    /// The section of a step is left. Where leave for that of a later step was given before that was told, it is as it was given.
    fn leaves_section(
        &mut self,
        target: &TargetId,
        (generation, step): (Generation, StepIndex),
        change: Option<GmsaChange>,
    ) {
        let gate = self.gates.get_mut(target);
        let Some(gate) = gate.filter(|gate| gate.generation == generation) else {
            return;
        };
        // While one that was entered before is not told left, the word is of that one, whichever step has leave since.
        if let Some(earlier) = gate.leaves_earlier(step) {
            self.changed_in(target, &earlier, change);
        } else if gate.step == step {
            self.close_gate(target, change);
        }
    }

    /// Ends a section. What was done to a gMSA object in it is kept for whoever changes that object next (G3); where the
    /// target did not tell, that it did not.
    pub(super) fn close_gate(&mut self, target: &TargetId, change: Option<GmsaChange>) {
        let Some(gate) = self.gates.remove(target) else {
            return;
        };
        if gate.lapses.is_none() {
            self.changed_in(target, &gate.section, change);
        }
    }

    /// What was done to the gMSA object of a section that was entered; where the target did not tell, that it did not.
    fn changed_in(&mut self, target: &TargetId, section: &Section, change: Option<GmsaChange>) {
        let Some(object) = section.gmsa.clone() else {
            return;
        };
        let change = change.unwrap_or_else(|| GmsaChange {
            by: target.clone(),
            name: object.name.clone(),
            readers: None,
        });
        self.changed.insert(object, change);
    }

    fn gone(&mut self, target: &TargetId, now: Timestamp) {
        // Its key is refused from now on, whoever has it.
        self.doubted.remove(target);
        self.schedulers.forget(target);
        self.taken.forget(target);
        self.known.remove(target);
        self.keys.remove(target);
        self.receipts.remove(target);
        self.unmet.remove(target);
        self.frozen.remove(target);
        self.overrides.forget(target);
        self.at_it.remove(target);
        // It hears of that no more, and finishes what it is in all the same.
        self.abandon(target, GivenUp::KeyEnded, now);
        for ((of, _), one) in &mut self.abandoned {
            if of == target {
                one.how = GivenUp::KeyEnded;
            }
        }
        self.asked.remove(target);
        self.heard_out(target);
        if let Some(open) = self.open.remove(target) {
            if open.accepted {
                self.tried(open.rollout, target);
            }
            if let Some(rollout) = self.rollouts.get_mut(&open.rollout) {
                rollout.work.change(target, |work| work.agent_gone = true);
            }
            self.unheard(&open, target, now);
        }
    }

    /// The end of a run is not heard: what has become of it is unknown, but for what one of its steps has ended with.
    fn unheard(&mut self, open: &Open, target: &TargetId, now: Timestamp) {
        let work = self.rollouts.get(&open.rollout);
        let work = work.and_then(|rollout| rollout.work.get(target));
        if work.is_some_and(|work| work.state.is_bad()) {
            self.tried_again_at_its_end(open, target, now);
            self.active.insert(open.rollout);
            self.retire(open.rollout);
        } else {
            self.set(open.rollout, target, TargetState::Unknown, now);
        }
    }

    fn ordered(&mut self, rollout: RolloutId, order: &Order, now: Timestamp) {
        let Some(state) = self.rollouts.get_mut(&rollout) else {
            return;
        };
        match order {
            Order::Pause => state.state = RolloutState::Paused,
            Order::Resume { .. } => (state.state, state.restored) = (RolloutState::Running, None),
            Order::Abort => {
                state.state = RolloutState::Aborted;
                // What nobody has begun ends at once; what is under way ends at its next gate and says so itself. What another
                // rollout has open there is none of it.
                let open = &self.open;
                let own = |target: &TargetId| {
                    open.get(target).is_some_and(|open| open.rollout == rollout)
                };
                state.work.change_all(|target, work| {
                    if !work.state.is_terminal() && !own(target) {
                        work.state = TargetState::Aborted;
                        work.since = now;
                    }
                });
            }
            Order::AcceptDifference { difference, .. } => {
                state.accepted.insert(*difference);
            }
            Order::Retry { target } => self.try_again(rollout, target.as_ref(), now),
            Order::Limits {
                in_flight,
                failures,
                unreachable,
            } => {
                let limits = &mut state.plan.limits;
                limits.in_flight = in_flight.unwrap_or(limits.in_flight);
                limits.failures = failures.unwrap_or(limits.failures);
                if let Some(seconds) = unreachable {
                    limits.unreachable = Some(*seconds).filter(|seconds| *seconds > 0);
                    // Who is away for longer than that is found anew.
                    state.work.change_all(|_, work| work.passed_over = None);
                }
            }
            Order::SiteLimit { site, in_flight } => {
                let rules = &mut state.plan.sites;
                let rule = rules.entry(site.clone()).or_insert_with(SiteRule::none);
                rule.max_in_flight = Some(*in_flight);
            }
            Order::Skip { target, reason } => {
                if self
                    .open
                    .get(target)
                    .is_none_or(|open| open.rollout != rollout)
                {
                    self.hears_no_more(rollout, target);
                    self.set(rollout, target, TargetState::Skipped(reason.clone()), now);
                }
            }
            Order::Resolve {
                target,
                reason,
                off,
            } => self.says_what_became((rollout, target), (reason, *off), now),
        }
    }

    /// Somebody says what became of a target, and perhaps that nothing goes on there any more.
    fn says_what_became(
        &mut self,
        (id, target): (RolloutId, &TargetId),
        (reason, off): (&str, bool),
        now: Timestamp,
    ) {
        let of_before = self.frees_alone(id, target, off, now);
        let open = self.open.get(target);
        if !of_before && open.is_some_and(|open| open.rollout == id) {
            self.abandon(target, GivenUp::Resolved, now);
            self.open.remove(target);
            self.asked.remove(target);
        }
        if off {
            self.is_off(target, Some(id));
        }
        self.hears_no_more(id, target);
        if of_before {
            return;
        }
        self.set(id, target, TargetState::Resolved(reason.to_owned()), now);
    }

    /// Changes the work of the bundle that is open at `target`, if it has that generation.
    fn change(&mut self, target: &TargetId, generation: Generation, act: impl FnOnce(&mut Work)) {
        let open = self.open.get(target);
        let open = open.filter(|open| open.generation == generation);
        if let Some(rollout) = open.and_then(|open| self.rollouts.get_mut(&open.rollout)) {
            rollout.work.change(target, act);
        }
    }

    /// A rollout of which everything is at its end is asked no more.
    pub(super) fn retire(&mut self, id: RolloutId) {
        if self.rollouts.get(&id).is_none_or(Rollout::is_over) {
            self.active.remove(&id);
        }
    }

    pub(super) fn set(
        &mut self,
        rollout: RolloutId,
        target: &TargetId,
        state: TargetState,
        now: Timestamp,
    ) {
        let ends = state.is_terminal();
        self.active.insert(rollout);
        if let Some(rollout) = self.rollouts.get_mut(&rollout) {
            rollout.work.change(target, |work| {
                let watched = work.watched_on(&state);
                work.state = state;
                work.since = now;
                work.watched = watched;
            });
        }
        if ends {
            self.retire(rollout);
        }
    }

    fn moved(
        &mut self,
        target: &TargetId,
        generation: Generation,
        state: TargetState,
        now: Timestamp,
    ) {
        let goes_on = !state.is_terminal();
        self.change(target, generation, |work| {
            work.state = state;
            work.since = now;
        });
        if let Some(open) = self.open.get(target).filter(|_| goes_on) {
            self.active.insert(open.rollout);
        }
    }
}

/// Of each target the domains that it serves, or leaves for good.
fn serves(plan: &Plan) -> BTreeMap<TargetId, Vec<DomainName>> {
    let mut serves: BTreeMap<TargetId, Vec<DomainName>> = BTreeMap::new();
    for (domain, part) in &plan.domains {
        let all: BTreeSet<&TargetId> = part.servers.iter().chain(&part.leaving).collect();
        for target in all {
            let domains = serves.entry(target.clone()).or_default();
            domains.push(domain.clone());
        }
    }
    serves
}
