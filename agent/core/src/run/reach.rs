//! A run whose agent has no session. Nobody can tell it to stop meanwhile, so it finishes what it is in and begins nothing
//! that changes the server: an order that is given while it is cut off still holds for all that was not begun.

use protocol::Timestamp;
use protocol::step::Step;

use super::{Run, Stage, Waiting};
use crate::procedure::Want;

/// It does something to the server, or asks a person to.
pub(super) const fn touches(want: &Want) -> bool {
    match want {
        Want::Op(op) => op.changes(),
        Want::Task(_) => true,
        Want::Permit(_)
        | Want::Leave(_)
        | Want::Secret { .. }
        | Want::Findings(_)
        | Want::Servers { .. }
        | Want::Forest { .. }
        | Want::Settings(_)
        | Want::Export(_)
        | Want::CycleBeforeWizard { .. }
        | Want::Facts(_) => false,
    }
}

impl Run {
    /// The session has ended. Until [`Self::resume`] no step begins that changes the server, and one that is under way, has
    /// changed nothing yet and is in no section waits before the first thing that it would do. What has begun goes on: half of it
    /// is worse than either end, and a section keeps others from theirs. Steps that only look go on as well.
    ///
    /// To be called again does no harm. A pause that is heard after the next welcome leaves it as it is: what was held is held
    /// until it is resumed.
    pub const fn out_of_reach(&mut self) {
        self.out_of_reach = true;
    }

    /// Whether it waits for nothing but that word.
    #[must_use]
    pub fn waits_for_its_controller(&self) -> bool {
        let held = matches!(self.stage, Stage::At(_)) && self.waiting == Waiting::Nothing;
        self.out_of_reach && held
    }

    /// Somebody says that it goes on. What was held within its step has used none of the step's own time, and its bundle may
    /// have ended meanwhile. It looks anew at what it goes by: that may be days old, and nothing was done yet.
    pub(super) fn back_in_reach(&mut self, now: Timestamp) {
        let within = match self.stage {
            Stage::At(at) if self.waits_for_its_controller() && self.begun => Some(at),
            Stage::At(_) | Stage::Assuming | Stage::Reporting | Stage::Over => None,
        };
        self.out_of_reach = false;
        if let Some(at) = within {
            self.procedure = self.procedure_from_the_start(at, now);
            self.step_begun = now;
            self.handle_timeout(now);
        }
    }

    /// The next step changes the server, and nobody could say that it is not to begin.
    pub(super) fn may_not_begin(&self, at: usize) -> bool {
        self.out_of_reach && self.changes_at(at)
    }

    /// The step that is under way would begin with its work here, and nobody could say that it is not to.
    pub(super) fn may_not_touch(&self, at: usize, want: &Want) -> bool {
        let inside = self.section.is_some() || self.left_unfinished();
        self.may_not_begin(at) && !self.touched && !inside && touches(want)
    }

    fn changes_at(&self, at: usize) -> bool {
        let step = self.manifest.steps.get(at);
        !step.is_some_and(Step::is_read_only)
    }
}
