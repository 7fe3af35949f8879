//! What operators order, and what is said of it to whoever is at work: at once, and again to whoever comes back.

use controller_core::fleet::{Asking, Consent, Moment, Refusal, Saying};
use controller_core::overrides::Rule;
use controller_core::record::{Order, Record};
use protocol::wire::close::Close;
use protocol::wire::latest::ControlDown;
use protocol::{PlanId, RolloutId, TargetId, Version};

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
        for (target, word) in self.fleet.words_of(id, &order, batch.now) {
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
            self.say_standing(batch, &target);
        }
    }

    /// A target has accepted its bundle: it has ignored orders for one that it had not accepted yet. That it goes on needs
    /// no word, which a burst to a whole fleet would feel.
    pub fn accepted(&self, batch: &mut Batch, target: &TargetId) {
        let mut stands = self.fleet.standing(target);
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

    /// Repeats what stands for a target's rollout.
    pub(super) fn say_standing(&self, batch: &mut Batch, target: &TargetId) {
        for word in self.fleet.standing(target) {
            self.say(batch, target.clone(), word);
        }
    }

    /// What an agent told may have its rollout stand still: whoever is at work in it hears that as they would by an order.
    pub(super) fn says_what_stands_still(&self, batch: &mut Batch, run: RolloutId) {
        for (target, word) in self.fleet.words_of_a_standstill(run) {
            self.say(batch, target, word);
        }
    }
}
