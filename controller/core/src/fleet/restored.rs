//! A rollout of a log that was put back: what was ordered since the backup is forgotten, and no agent holds it. So it is held, and goes on by
//! a word of its own alone.

use std::collections::BTreeSet;

use protocol::{RolloutId, TargetId};

use crate::fleet::state::{Rollout, RolloutState, TargetState};
use crate::words::few;

/// So many servers are named.
const NAMED: usize = 5;

impl Rollout {
    /// The controller was restored: what was ordered of it since the backup is forgotten.
    pub(super) fn is_restored(&mut self) {
        // Of one that was put back twice, what was told since the first time counts as well.
        if self.state != RolloutState::Aborted && self.restored.is_none() {
            self.restored = Some(self.aborted().cloned().collect());
        }
    }

    /// An agent that was not heard of since a restore tells that its run was aborted, by an order that this log has not: it is held once more,
    /// where somebody had let it go on before that was told.
    pub(super) fn was_aborted_before(&mut self, target: &TargetId) {
        if self.state == RolloutState::Running {
            self.state = RolloutState::Paused;
            let others = self.aborted().filter(|other| *other != target);
            self.restored = Some(others.cloned().collect());
        }
    }

    fn aborted(&self) -> impl Iterator<Item = &TargetId> {
        let work = self.work.iter();
        let work = work.filter(|(_, work)| work.state == TargetState::Aborted);
        work.map(|(target, _)| target)
    }

    /// Whether it may go on.
    ///
    /// # Errors
    /// With the reason, where it is held since a restore: without a word for that, and while somebody tells that its run was aborted.
    pub(super) fn may_resume(&self, id: RolloutId, after_restore: bool) -> Result<(), String> {
        let Some(before) = &self.restored else {
            return Ok(());
        };
        let since: BTreeSet<&TargetId> = self
            .aborted()
            .filter(|target| !before.contains(*target))
            .collect();
        if !since.is_empty() {
            let since: Vec<&TargetId> = since.into_iter().collect();
            return Err(format!(
                "{id} was aborted after the backup that this controller was restored from, as {} told: the abort itself is forgotten, and a resume would carry on whoever had not begun. End it again: entrain abort {id}. Where the rest of it is to go on all the same, leave them out first (entrain skip {id} TARGET --reason WHY), then entrain resume {id} --after-restore",
                few(&since, NAMED)
            ));
        }
        if !after_restore {
            return Err(format!(
                "{id} is held since this controller was restored: what was ordered since the backup is forgotten (abort, skip, resolve, limits, override, freeze), and no agent holds it. Let its agents come back and tell what came after (entrain status, entrain why TARGET), give those orders again, then entrain resume {id} --after-restore"
            ));
        }
        Ok(())
    }

    /// That it is paused, with what lifts that.
    pub(super) fn paused(&self, id: RolloutId) -> String {
        if self.restored.is_some() {
            format!(
                "the rollout is paused since the controller was restored: orders that were given since the backup are forgotten; entrain resume {id} --after-restore lifts it, once they were given again"
            )
        } else {
            format!("the rollout is paused; entrain resume {id} lifts it")
        }
    }
}
