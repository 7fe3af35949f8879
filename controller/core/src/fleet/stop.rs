//! Who must stop in the middle of their work, and who stands still there.
//!
//! Whoever is at a wizard of Connect for days is told at once when the world has changed so that going on would break G1: what was asked
//! when the work was offered is asked for as long as it is open. When it is right again, the task goes on by itself.

use std::collections::BTreeSet;

use protocol::step::{ConnectWork, Step};
use protocol::{StepIndex, TargetId, Timestamp};

use crate::fleet::decide::{frozen, still};
use crate::fleet::hold::{Cause, Hold, because};
use crate::fleet::live::Live;
use crate::fleet::overriding::Passed;
use crate::fleet::state::{Fleet, RolloutState, TargetState};
use crate::overrides::Rule;
use crate::plan::TargetPlan;

/// Whether that step has a person make a server active, or move its tenant away.
fn claims(part: &TargetPlan, phase: usize, step: StepIndex) -> bool {
    let steps = part.phases.get(phase).map(|work| work.steps.as_slice());
    let step = steps.and_then(|steps| steps.get(usize::from(step.0)));
    match step {
        Some(Step::GuideConnect(guide)) => matches!(
            guide.work,
            ConnectWork::InstallActive | ConnectWork::SwitchToActive
        ),
        Some(step) => matches!(step, Step::GuideTransition(_)),
        None => false,
    }
}

impl Fleet {
    /// Why whoever is at the wizard of a target must not go on just now (G1); `None` where nobody is, or may. An override lets it go on, as
    /// it lets the offer.
    #[must_use]
    pub fn must_stop(&self, target: &TargetId, now: Timestamp) -> Option<Hold> {
        let open = self.open.get(target)?;
        let rollout = self.rollouts.get(&open.rollout)?;
        let (work, part) = (rollout.work.get(target)?, rollout.plan.targets.get(target)?);
        let TargetState::AwaitingPerson { step, .. } = &work.state else {
            return None;
        };
        if !claims(part, work.phase, *step) {
            return None;
        }
        let hold = self.active_claim(open.rollout, target, part, &BTreeSet::new());
        let mut passed = Passed::new();
        let hold = self.let_pass(Rule::G1, hold, target, now, &mut passed);
        hold.err().map(|mut hold| {
            hold.why = format!(
                "do not go on at its wizard, close it without making anything active: {}",
                hold.why
            );
            hold
        })
    }

    /// The same of every target, as sentences that somebody must read now.
    pub(super) fn stops(&self, now: Timestamp) -> impl Iterator<Item = String> {
        let stop = move |target: &TargetId| {
            let hold = self.must_stop(target, now)?;
            Some(format!("{target}: {}", hold.why))
        };
        self.open.keys().filter_map(stop)
    }

    /// What has a target that is in the middle of its work stop at its next gate, and stay there: everything stands still, its
    /// rollout is paused, or its administrator has frozen it.
    pub(super) fn stands_still(&self, target: &TargetId, at: (&Live, Timestamp)) -> Option<Hold> {
        let open = self.open.get(target)?;
        if let Some(order) = &self.stopped {
            return because(Cause::FleetFrozen, still(order));
        }
        let rollout = self.rollouts.get(&open.rollout)?;
        if rollout.state == RolloutState::Paused {
            return because(Cause::Paused, rollout.paused(open.rollout));
        }
        let freeze = self.freeze_in_force(target, at.0, at.1)?;
        because(Cause::ServerFrozen, frozen(freeze))
    }
}
