//! What is said to whoever is at work, so that their runs go on, stand still or end: by an order at once, and again to whoever comes back.
//! A shell carries these words to their agents, and decides none of them.

use protocol::wire::latest::ControlDown;
use protocol::{Generation, RolloutId, TargetId, Timestamp};

use crate::fleet::state::{Fleet, Open, RolloutState};
use crate::record::Order;

impl Fleet {
    /// The words that an order says to the open runs of its rollout: to be asked before its record is folded, which closes some of them.
    #[must_use]
    pub fn words_of(
        &self,
        id: RolloutId,
        order: &Order,
        now: Timestamp,
    ) -> Vec<(TargetId, ControlDown)> {
        let word = |(target, open): (&TargetId, &Open)| {
            let generation = open.generation;
            let word = match order {
                Order::Pause => ControlDown::Pause { rollout: id },
                // Everything stands still: no order for one rollout changes that.
                Order::Resume { .. } if self.stopped.is_some() => return None,
                Order::Resume { .. } => ControlDown::Resume { rollout: id },
                Order::Abort => ControlDown::Abort { generation },
                Order::Resolve {
                    target: named, off, ..
                } if named == target && !self.frees_alone(id, target, *off, now) => {
                    ControlDown::Abort { generation }
                }
                Order::Resolve { .. }
                | Order::Retry { .. }
                | Order::Skip { .. }
                | Order::Limits { .. }
                | Order::SiteLimit { .. }
                | Order::AcceptDifference { .. } => return None,
            };
            Some((target.clone(), word))
        };
        self.runs_in(id).filter_map(word).collect()
    }

    /// The words that stand for a target's open run.
    #[must_use]
    pub fn standing(&self, target: &TargetId) -> Vec<ControlDown> {
        let Some(open) = self.open.get(target) else {
            return Vec::new();
        };
        let (rollout, generation) = (open.rollout, open.generation);
        let mut words = Vec::new();
        match self.rollouts.get(&rollout).map(|rollout| rollout.state) {
            Some(RolloutState::Aborted) => words.push(ControlDown::Abort { generation }),
            Some(RolloutState::Paused) => words.push(ControlDown::Pause { rollout }),
            Some(RolloutState::Running) if self.stopped.is_some() => {
                words.push(ControlDown::Pause { rollout });
            }
            Some(RolloutState::Running) => words.push(ControlDown::Resume { rollout }),
            None => {}
        }
        if let Some((step, by)) = &open.attested {
            words.push(ControlDown::Attested {
                generation,
                step: *step,
                by: by.clone(),
            });
        }
        words
    }

    /// What stands for each open run of a rollout that has come to a standstill by what an agent told (it was aborted by an order that a
    /// restored log has not): whoever is at work in it hears that as they would by an order. Nothing where it runs or was aborted.
    #[must_use]
    pub fn words_of_a_standstill(&self, id: RolloutId) -> Vec<(TargetId, ControlDown)> {
        let rollout = self.rollouts.get(&id);
        if rollout.is_none_or(|rollout| rollout.state != RolloutState::Paused) {
            return Vec::new();
        }
        let words = |(target, _): (&TargetId, &Open)| {
            let words = self.standing(target).into_iter();
            let own = target.clone();
            words.map(move |word| (own.clone(), word))
        };
        self.runs_in(id).flat_map(words).collect()
    }

    /// The words for an agent whose session begins; `newest` is the newest generation that it has accepted.
    #[must_use]
    pub fn words_of_welcome(&self, target: &TargetId, newest: Generation) -> Vec<ControlDown> {
        let mut words = Vec::new();
        if self.is_over_for(target, newest) {
            words.push(ControlDown::Abort { generation: newest });
        }
        words.extend(self.standing(target));
        words
    }

    /// The word for an agent that was not heard of since a restore, once its journal is here: a run of a rollout that came after the backup is
    /// known to nobody here, and ends at its next gate.
    #[must_use]
    pub fn word_once_met(&self, target: &TargetId, newest: Generation) -> Option<ControlDown> {
        let end = ControlDown::Abort { generation: newest };
        (!self.has_open(target, newest)).then_some(end)
    }

    /// Whether the run of that bundle is closed here, so that it ends at its agent as well: the bundle ran out, or somebody resolved it. One
    /// that went unknown is heard. After a restore that is known once the agent's journal is here.
    fn is_over_for(&self, target: &TargetId, generation: Generation) -> bool {
        !self.unmet.contains(target)
            && !self.is_lost(target, generation)
            && !self.has_open(target, generation)
    }

    fn has_open(&self, target: &TargetId, generation: Generation) -> bool {
        let open = self.open.get(target);
        open.is_some_and(|open| open.generation == generation)
    }

    /// The open runs of a rollout.
    fn runs_in(&self, id: RolloutId) -> impl Iterator<Item = (&TargetId, &Open)> {
        let work = self.rollouts.get(&id).map(|rollout| rollout.work.iter());
        let open = |(target, _)| Some((target, self.open.get(target)?));
        let open = work.into_iter().flatten().filter_map(open);
        open.filter(move |(_, open)| open.rollout == id)
    }
}
