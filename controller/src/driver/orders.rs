//! What operators order, and what is said of it to whoever is at work: at once, and again to whoever comes back.

use controller_core::fleet::{Asking, Consent, Moment, Refusal, RolloutState, Saying};
use controller_core::overrides::Rule;
use controller_core::record::{Order, Record};
use protocol::wire::close::Close;
use protocol::wire::latest::ControlDown;
use protocol::{Generation, PlanId, RolloutId, TargetId, Version};

use crate::driver::{Batch, Core};

impl Core {
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
        self.roster.may_withdraw(version, &reason)?;
        let with_it = self.fleet.with_release(version);
        let by_whom = by.to_owned();
        self.record(
            batch,
            Record::ReleaseWithdrawn {
                version,
                reason,
                by: by_whom,
            },
        );
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
    /// As [`controller_core::fleet::Fleet::may_attest`].
    pub fn attest(&mut self, batch: &mut Batch, target: &TargetId, by: &str) -> Result<(), String> {
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

    /// Repeats what stands for a target's rollout.
    pub(super) fn say_standing(&self, batch: &mut Batch, target: &TargetId) {
        for word in self.standing(target) {
            self.say(batch, target.clone(), word);
        }
    }

    /// What an agent told has its rollout stand still (it was aborted by an order that a restored log has not): whoever is at work in it hears
    /// that as they would by an order.
    pub(super) fn says_what_stands_still(&self, batch: &mut Batch, run: RolloutId) {
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
}
