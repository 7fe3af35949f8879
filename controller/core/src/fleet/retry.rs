//! Another try of what failed: who is tried again, from where, and what becomes of the run that is not over yet.

use protocol::refusal::Refusal;
use protocol::signed::Phase;
use protocol::{BundleId, RolloutId, TargetId, Timestamp};

use crate::fleet::state::{Fleet, Open, Rollout, RolloutState, TargetState, Work};
use crate::plan::Plan;

impl Fleet {
    /// Tries a target again, or all that failed. Whose run has not come to its end yet is tried again when it has.
    pub(super) fn try_again(&mut self, id: RolloutId, target: Option<&TargetId>, now: Timestamp) {
        let Some(rollout) = self.rollouts.get_mut(&id) else {
            return;
        };
        let tried: Vec<TargetId> = rollout
            .work
            .iter()
            .filter(|(of, work)| target.is_none_or(|target| target == *of) && work.state.is_bad())
            .map(|(of, _)| of.clone())
            .collect();
        let ends: Vec<(TargetId, protocol::Generation)> = tried
            .iter()
            .filter_map(|of| {
                let open = self.open.get(of).filter(|open| open.rollout == id)?;
                Some((of.clone(), open.generation))
            })
            .collect();
        let (plan, lost) = (&rollout.plan, &self.lost);
        let again = |of: &TargetId, work: &mut Work| {
            if !ends.iter().any(|(ending, _)| ending == of) {
                let bad = work.state.is_bad();
                tried_again(plan, (of, target.is_some()), work, now);
                // It may be at the run that it went unknown with, and then takes its place again.
                work.unheard |= bad && lost.get(of).is_some_and(|lost| lost.rollout == id);
            }
        };
        match target {
            Some(target) => drop(rollout.work.change(target, |work| again(target, work))),
            None => rollout.work.change_all(again),
        }
        // What they have told since they failed was held against nothing.
        for target in tried {
            self.compare_again(id, &target);
        }
        for (target, generation) in ends {
            self.open
                .note(&target, generation, |open| open.again = true);
        }
    }

    /// The run of a target has ended of which another try was ordered before that: where it came to nothing, that is due.
    pub(super) fn tried_again_at_its_end(
        &mut self,
        open: &Open,
        target: &TargetId,
        now: Timestamp,
    ) {
        let rollout = self.rollouts.get(&open.rollout);
        let goes_on = rollout.is_some_and(|rollout| rollout.state != RolloutState::Aborted);
        if open.again && goes_on {
            self.try_again(open.rollout, Some(target), now);
        }
    }

    /// The run that a target went unknown with goes on after all, and another try of it was ordered meanwhile: it is heard to its
    /// end, and tried again then.
    pub(super) fn take_up(&mut self, target: &TargetId, now: Timestamp) {
        let Some(lost) = self.heard_out(target) else {
            return;
        };
        let Some(rollout) = self.rollouts.get_mut(&lost.rollout) else {
            return;
        };
        let plan = &rollout.plan;
        rollout.work.change(target, |work| {
            if let Some(place) = plan.taken_up(target, lost.phase, work.phase) {
                work.phase = place;
            }
            work.anew = false;
        });
        self.takes_its_section_back(target, lost.generation);
        let (rollout, again) = (lost.rollout, true);
        self.open.insert(target, Open { again, ..lost });
        self.set(rollout, target, TargetState::Offered, now);
    }

    /// Whether what a target has refused was offered while it was still at the run that it went unknown with: no failure, that
    /// run is heard again.
    pub(super) fn is_still_at_it(
        &self,
        target: &TargetId,
        bundle: BundleId,
        refusal: &Refusal,
    ) -> bool {
        let Refusal::Busy { open: at } = refusal else {
            return false;
        };
        let open = self.open.get(target);
        let open = open.filter(|open| open.bundle == bundle && !open.accepted);
        open.zip(self.lost.get(target))
            .is_some_and(|(open, lost)| lost.generation == *at && lost.rollout == open.rollout)
    }

    /// The first rollout beside `but` that changes a server and is not over there, or begins there again when a run has ended.
    pub(super) fn at_work_on(
        &self,
        target: &TargetId,
        but: Option<RolloutId>,
    ) -> Option<RolloutId> {
        let changes = |id: RolloutId, rollout: &Rollout| {
            let part = rollout.plan.targets.get(target);
            rollout.state != RolloutState::Aborted
                && Some(id) != but
                && part.is_some_and(|part| !part.is_read_only())
        };
        let under_way = |(id, rollout): &(RolloutId, &Rollout)| {
            let work = rollout.work.get(target);
            changes(*id, rollout) && work.is_some_and(|work| !work.state.is_terminal())
        };
        let again = || {
            let open = self.open.get(target).filter(|open| open.again)?;
            let rollout = self.rollouts.get(&open.rollout)?;
            changes(open.rollout, rollout).then_some(open.rollout)
        };
        let first = self.active().find(under_way);
        first.map(|(id, _)| id).or_else(again)
    }

    /// Whether a target, or all that failed, may be tried again beside what other rollouts do.
    pub(super) fn may_try_again(
        &self,
        id: RolloutId,
        rollout: &Rollout,
        target: Option<&TargetId>,
    ) -> Result<(), String> {
        let changes = |of: &TargetId| {
            let part = rollout.plan.targets.get(of);
            part.is_some_and(|part| !part.is_read_only())
        };
        let bad = rollout.work.iter().filter(|(of, work)| {
            target.is_none_or(|target| target == *of) && work.state.is_bad() && changes(of)
        });
        let taken = bad
            .map(|(of, _)| of)
            .find_map(|of| Some((of, self.at_work_on(of, Some(id))?)));
        match taken {
            None => Ok(()),
            Some((of, other)) => Err(format!(
                "{other} is not over on {of}, and two works on one server do not go together: wait for its end there, or skip {of} here{}",
                if target.is_some() {
                    ""
                } else {
                    " and retry the others by name"
                }
            )),
        }
    }

    /// A person has said what became of it: its run is heard no more, and ends at its next gate when its agent is back.
    pub(super) fn hears_no_more(&mut self, id: RolloutId, target: &TargetId) {
        if self.lost.get(target).is_some_and(|lost| lost.rollout == id) {
            self.heard_out(target);
        }
    }

    /// Nothing more is to come of the run that a target went unknown with, or it is open again.
    pub(super) fn heard_out(&mut self, target: &TargetId) -> Option<Open> {
        let lost = self.lost.remove(target)?;
        if let Some(rollout) = self.rollouts.get_mut(&lost.rollout) {
            rollout.work.change(target, |work| work.unheard = false);
        }
        Some(lost)
    }

    /// Another try of a target is ordered, and its run has not come to its end yet.
    #[must_use]
    pub(crate) fn again_at_its_end(&self, id: RolloutId, target: &TargetId) -> bool {
        let open = self.open.get(target);
        open.is_some_and(|open| open.rollout == id && open.again)
    }
}

/// Whoever failed begins anew where it was; whoever waits since settings differ, and is named, reads them once more.
fn tried_again(plan: &Plan, (target, named): (&TargetId, bool), work: &mut Work, now: Timestamp) {
    let waits = named && work.state == TargetState::Pending;
    let reads = plan.reads_again(target, work.phase).filter(|_| waits);
    if let Some(phase) = reads {
        work.phase = phase;
        work.since = now;
    } else if work.state.is_bad() {
        // Whoever failed while it was watched is proven anew first: nobody waits for the end of another watch to
        // hear that nothing was mended.
        let part = plan.targets.get(target);
        let soaks = part.and_then(|part| part.phases.get(work.phase));
        let soaks = soaks.is_some_and(|phase| phase.phase == Phase::Soak);
        *work = Work {
            phase: work.phase - usize::from(soaks && work.phase > 0),
            grade: work.grade,
            tried: work.tried,
            // Of servers that wait for each other's phases none goes without the other.
            anew: !plan
                .waits
                .iter()
                .any(|wait| wait.target == *target || wait.other == *target),
            // A person may still be at the wizard that the try before has opened.
            switching: work.switching,
            overridden: work.overridden.clone(),
            ..Work::fresh(now)
        };
    }
}
