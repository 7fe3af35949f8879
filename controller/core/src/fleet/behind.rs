//! Whoever waits behind one that is held: what would have to be lifted is what holds that one.

use protocol::{RolloutId, TargetId, Timestamp};

use crate::fleet::hold::{Cause, Hold, because};
use crate::fleet::live::Live;
use crate::fleet::state::{Fleet, Rollout, TargetState, Work};
use crate::fleet::turn::{Budget, Turn};

impl Hold {
    /// The hold of whoever waits for a target that is held itself; `what` says who that is and why it is waited for.
    pub(super) fn behind(cause: Cause, target: &TargetId, its: Self, what: &str) -> Self {
        let first = its.behind.unwrap_or_else(|| (target.clone(), its.cause));
        Self {
            behind: Some(first),
            ..Self::of(
                cause,
                format!("{what} is {}: {}", its.cause.word(), its.why),
            )
        }
    }

    /// The same hold, where whoever it waits for is held itself: it does not come by itself.
    pub(super) fn through(self, (target, its): (TargetId, Self)) -> Self {
        Self {
            why: format!(
                "{}; {target} is {}: {}",
                self.why,
                its.cause.word(),
                its.why
            ),
            in_turn: false,
            behind: its.behind.or(Some((target, its.cause))),
            cause: self.cause,
        }
    }
}

/// The first of these with what holds it, where something holds each of them.
pub(super) fn all_held<'a>(
    others: impl Iterator<Item = (&'a TargetId, Option<Hold>)>,
) -> Option<(TargetId, Hold)> {
    let mut first = None;
    for (target, its) in others {
        let its = its?;
        first.get_or_insert_with(|| (target.clone(), its));
    }
    first
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
        } else if let (None, Some(gate)) = (self.doubted.get(target), self.asked.get(target)) {
            self.permit_hold(target, gate, &self.gates, live, now)?
        } else {
            self.stands(target, work, (live, now))?
        };
        (!hold.in_turn).then_some(hold)
    }

    /// What holds a target in the middle of its work, whatever it asks for: it is doubted, away for so long that nobody counts on
    /// its return, stopped outside of a section, or a person is to do something.
    pub(super) fn stands(
        &self,
        target: &TargetId,
        work: &Work,
        (live, now): (&Live, Timestamp),
    ) -> Option<Hold> {
        if let Some(doubted) = self.doubted.get(target) {
            return because(Cause::Doubted, doubted.sentence(target));
        }
        if let Some(away) = work.away_in_words(target, live)
            && live
                .unreachable_from(target)
                .is_some_and(|from| now >= from)
        {
            let why = format!("{away}, in the middle of its work");
            return because(Cause::AwayAtWork, why);
        }
        if let Some(hold) = self.stands_still(target, (live, now))
            && !self.may_be_in_a_section(target, now)
        {
            return Some(hold);
        }
        match &work.state {
            TargetState::AwaitingPerson { text, .. } => {
                if let Some(stop) = self.must_stop(target, now) {
                    return Some(stop);
                }
                let why = format!("a person is to do something there: {}", text.title);
                because(Cause::AwaitsPerson, why)
            }
            TargetState::AwaitingSecret { wanted, .. } => {
                because(Cause::AwaitsSecret, format!("{wanted} is to be given"))
            }
            TargetState::Pending
            | TargetState::Offered
            | TargetState::Running { .. }
            | TargetState::Done(_)
            | TargetState::Failed { .. }
            | TargetState::Inconclusive(_)
            | TargetState::Refused(_)
            | TargetState::Skipped(_)
            | TargetState::Aborted
            | TargetState::Expired
            | TargetState::Unknown
            | TargetState::Resolved(_) => None,
        }
    }

    /// What holds a target that is in a section, or has leave for one.
    pub(super) fn stands_in_a_section(
        &self,
        target: &TargetId,
        at: (&Live, Timestamp),
    ) -> Option<Hold> {
        if let Some(hold) = self.goes_on_abandoned(target, at) {
            return Some(hold);
        }
        let open = self.open.get(target)?;
        let work = self.rollouts.get(&open.rollout)?.work.get(target)?;
        self.stands(target, work, at)
    }

    /// It is in a section as far as is told, or has leave for one.
    #[must_use]
    pub fn may_be_in_a_section(&self, target: &TargetId, now: Timestamp) -> bool {
        let gate = self.gates.get(target);
        gate.is_some_and(|gate| gate.lapses.is_none_or(|lapses| lapses > now))
    }

    /// A hold by a limit says what would have to be lifted where none of those that hold the places goes on by itself.
    pub(super) fn behind_places(
        &self,
        hold: Hold,
        (id, rollout): (RolloutId, &Rollout),
        target: &TargetId,
        at: (&Live, Timestamp),
        (turn, budget): (&Turn<'_>, &Budget<'_>),
    ) -> Hold {
        if !matches!(
            hold.cause,
            Cause::SiteFull | Cause::InFlight | Cause::MayYetFail
        ) {
            return hold;
        }
        let part = rollout.plan.targets.get(target);
        let part = part.filter(|_| hold.cause == Cause::SiteFull);
        let site = part.and_then(|part| part.site.as_deref());
        let look = || {
            let mut held = Vec::new();
            for (other, of) in self.active() {
                let own = other == id;
                if !own && (site.is_none() || !of.plan.kind.changes()) {
                    continue;
                }
                for holder in of.work.begun().chain(of.work.unheard_ones()) {
                    let (Some(work), Some(part)) =
                        (of.work.get(holder), of.plan.targets.get(holder))
                    else {
                        continue;
                    };
                    let here = site.is_none_or(|site| part.site.as_deref() == Some(site));
                    let its = if here && work.is_in_flight() && own {
                        self.stuck((other, of), holder, at, (turn, budget))
                    } else if here
                        && (work.is_in_flight() || own && site.is_none() && work.is_unheard())
                    {
                        // What holds a phase that is due in another rollout is not asked.
                        self.stands(holder, work, at)
                    } else {
                        continue;
                    };
                    held.push((holder, Some(its?)));
                }
            }
            all_held(held.into_iter())
        };
        match turn.blocked(site, look) {
            Some(first) => hold.through(first),
            None => hold,
        }
    }
}
