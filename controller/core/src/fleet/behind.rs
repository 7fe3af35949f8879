//! Whoever waits behind one that is held: what would have to be lifted is what holds that one.

use protocol::{RolloutId, TargetId, Timestamp};

use crate::fleet::decide::Live;
use crate::fleet::hold::{Cause, Hold};
use crate::fleet::state::{Fleet, Rollout, TargetState};
use crate::fleet::turn::{Budget, Turn};

impl Hold {
    /// The hold of whoever waits for a target that is held itself; `what` says who that is and why it is waited for.
    pub(super) fn behind(cause: Cause, target: &TargetId, its: Self, what: &str) -> Self {
        let first = its.behind.unwrap_or_else(|| (target.clone(), its.cause));
        Self {
            behind: Some(first),
            ..Self::of(cause, format!("{what} is held: {}", its.why))
        }
    }
}

impl Fleet {
    /// What holds a target that others wait for; `None` where it goes on, has ended, or goes on by itself.
    pub(super) fn stuck(
        &self,
        (id, rollout): (RolloutId, &Rollout),
        target: &TargetId,
        (live, now): (&Live, Timestamp),
        (turn, budget): (&Turn<'_>, &Budget<'_>),
    ) -> Option<Hold> {
        let work = rollout.work.get(target)?;
        if work.state.is_terminal() {
            return None;
        }
        let hold = if work.state == TargetState::Pending {
            let wave = rollout.work.wave_of(target)?;
            self.hold_in(id, rollout, target, (live, now), (turn, wave, budget))?
        } else if let Some(doubted) = self.doubted.get(target) {
            Hold::of(Cause::Doubted, doubted.sentence(target))
        } else if let Some(gate) = self.asked.get(target) {
            self.permit_hold(target, gate, &self.gates, live, now)?
        } else {
            let since = live.away_since(target)?;
            let from = live.unreachable_from(target)?;
            let why = format!("away since {since}, in the middle of its work");
            Some(Hold::of(Cause::Away, why)).filter(|_| now >= from)?
        };
        (!hold.in_turn).then_some(hold)
    }
}
