//! What targets are at, as they tell it beside their journals: of this moment, and of the step that is under way alone.

use std::collections::BTreeMap;

use protocol::event::Event;
use protocol::{Generation, RolloutId, StepIndex, TargetId};

use crate::driver::Core;

/// Progress of a target: not stored, the latest wins.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Step.
    pub step: StepIndex,
    /// Share done, in percent.
    pub percent: Option<u8>,
    /// What is going on.
    pub text: String,
}

impl Core {
    /// Notes what a target is at.
    pub fn progresses(&mut self, target: TargetId, generation: Generation, progress: Progress) {
        self.progress.insert(target, (generation, progress));
    }

    /// What a target was at is over where its run is, or another step has begun. Progress may come before the beginning of its step does.
    pub(super) fn is_past(&mut self, target: &TargetId, event: &Event) {
        let at = self.progress.get(target);
        let over = if let Event::StepBegun {
            generation, step, ..
        } = event
        {
            at.is_some_and(|(of, progress)| of != generation || progress.step != *step)
        } else {
            matches!(event, Event::RunFinished { .. })
        };
        if over {
            self.progress.remove(target);
        }
    }

    /// What the targets of a rollout are at: of the bundle that it has open there, and of the step that this is at.
    #[must_use]
    pub fn progress_in(&self, id: RolloutId) -> BTreeMap<TargetId, Progress> {
        let rollout = self.fleet.rollouts().get(&id);
        let current = |(target, (generation, progress)): (&TargetId, &(Generation, Progress))| {
            let open = self.fleet.open(target)?;
            let its = open.rollout == id && open.generation == *generation;
            let at = rollout?.work.get(target)?.state.step();
            (its && at == Some(progress.step)).then(|| (target.clone(), progress.clone()))
        };
        self.progress.iter().filter_map(current).collect()
    }
}
