//! Whether somebody held Connect's cycle before the wizard of an upgrade, as the agent's own journal tells it of a rollout. A retry behind the
//! wizard is another run of the same rollout, and finds the cycle off without knowing by whom.

use protocol::RolloutId;
use protocol::event::Event;

/// What a journal tells of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    /// The rollout of the bundle that was accepted last.
    newest: Option<RolloutId>,
    /// The rollout in which the cycle was held before the wizard, by the last word on it.
    before: Option<RolloutId>,
}

impl Held {
    /// Takes up an entry of the journal, in order.
    pub const fn hear(&mut self, event: &Event) {
        if let Event::BundleAccepted { rollout, .. } = event {
            self.newest = Some(*rollout);
        } else if let Event::CycleBeforeWizard { held, .. } = event {
            self.before = if *held { self.newest } else { None };
        }
    }

    /// True where the cycle was held before the wizard in the rollout of the bundle that was accepted last.
    #[must_use]
    pub fn before_the_wizard(&self) -> bool {
        self.before.is_some() && self.before == self.newest
    }
}

#[cfg(test)]
mod tests {
    use protocol::signed::Phase;
    use protocol::{BundleId, Digest, Generation, StepIndex};

    use super::*;

    fn accepted(rollout: u32) -> Event {
        Event::BundleAccepted {
            bundle: BundleId(Digest::ZERO),
            generation: Generation(1),
            rollout: RolloutId(rollout),
            phase: Phase::Register,
            change: None,
        }
    }

    fn told(held: bool) -> Event {
        Event::CycleBeforeWizard {
            generation: Generation(1),
            step: StepIndex(0),
            held,
        }
    }

    #[test]
    fn what_was_told_last_holds_for_every_run_of_its_rollout_and_for_no_other() {
        for (journal, held) in [
            (&[][..], false),
            (&[accepted(7)], false),
            (&[accepted(7), told(true)], true),
            (&[accepted(7), told(true), accepted(7)], true),
            (&[accepted(7), told(true), accepted(9)], false),
            (&[accepted(7), told(true), accepted(9), accepted(7)], true),
            (&[accepted(7), told(true), accepted(7), told(false)], false),
        ] {
            let mut is = Held::default();
            journal.iter().for_each(|event| is.hear(event));
            assert_eq!(is.before_the_wizard(), held, "{journal:?}");
        }
    }
}
