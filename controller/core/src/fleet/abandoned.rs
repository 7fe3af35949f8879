//! Sections of runs for which nobody waits any more: the run was resolved, its agent's key was revoked or replaced, or its bundle ended
//! while it was away. Whoever is in such a section, or has leave for it, brings it to its end under its signed bundle, behind the end of
//! that as well, and a word of the controller does not reach it. So what it claims stays claimed (G2, G3): until its agent tells that it
//! has ended, until its bundle and the time of its step have, or until somebody says that the server is off.

use std::collections::BTreeMap;

use protocol::event::{GmsaChange, Section};
use protocol::{Generation, RolloutId, StepIndex, TargetId, Timestamp};

use crate::fleet::decide::{BUNDLE_LIFE, ended};
use crate::fleet::hold::{Cause, Hold};
use crate::fleet::live::Live;
use crate::fleet::state::{Fleet, Gate, TargetState};

/// How a run came to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// Somebody said what became of it.
    Resolved,
    /// The key of its agent was revoked or replaced: what that agent says is heard no more.
    KeyEnded,
    /// Its bundle ended while it was away: when it speaks of it, that run goes on.
    BundleEnded,
}

/// A section that a target may still be in though nobody waits for its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// The rollout of the run, where that is known.
    pub rollout: Option<RolloutId>,
    /// What it is in, or has leave for.
    pub gate: Gate,
    /// How it came to be so.
    pub how: GivenUp,
    /// What it claims is claimed until then.
    pub until: Timestamp,
}

impl Abandoned {
    /// What it claims, with what lifts it.
    fn sentence(&self, target: &TargetId) -> String {
        let claims = match (&self.gate.section.gmsa, self.gate.section.outage) {
            (Some(object), true) => format!(
                "it counts as out of service (G2) and as changing its gMSA in {} (G3)",
                object.domain
            ),
            (Some(object), false) => {
                format!("it counts as changing its gMSA in {} (G3)", object.domain)
            }
            (None, _) => "it counts as out of service (G2)".to_owned(),
        };
        let own = "its agent's word that it has left it, or ";
        let (how, told) = match self.how {
            GivenUp::Resolved => ("it was resolved", own),
            GivenUp::KeyEnded => ("its agent's key was revoked or replaced", ""),
            GivenUp::BundleEnded => ("its bundle ended", own),
        };
        let word = self.rollout.map_or_else(
            || format!("entrain agents revoke {target} --off"),
            |id| format!("entrain resolve {id} {target} --off --reason WHY"),
        );
        format!(
            "{how} while it was in a section or had leave for one, which it may still be at: {claims} until {}; {told}the word that the server is off or was looked at lifts it: `{word}`",
            self.until
        )
    }
}

impl Fleet {
    /// A run of a target is given up: the section that it is in, or has leave for, stays claimed. What it may have done to a gMSA
    /// object is told by nobody: whoever changes that next has somebody look (G3).
    pub(super) fn abandon(&mut self, target: &TargetId, how: GivenUp, now: Timestamp) {
        let Some(gate) = self.gates.remove(target) else {
            return;
        };
        let open = self.open.get(target);
        let open = open.filter(|open| open.generation == gate.generation);
        let step = self.open_step(target, gate.generation, gate.step);
        let limit = step.map(protocol::step::Step::time_limit);
        let bundle = open.map_or_else(|| now.plus(BUNDLE_LIFE.1), ended);
        // A section is brought to its end behind that of its bundle as well.
        // Leave that it has not taken up yet it may take up until that lapses.
        let enters = gate.lapses.unwrap_or(now).max(now);
        let until = bundle.max(limit.map_or(bundle, |limit| enters.plus(limit)));
        let abandoned = Abandoned {
            rollout: open.map(|open| open.rollout),
            gate: gate.clone(),
            how,
            until,
        };
        if let Some(object) = gate.section.gmsa {
            let change = GmsaChange {
                by: target.clone(),
                name: object.name.clone(),
                readers: None,
            };
            self.changed.insert(object, change);
        }
        // What its agent may still take up again is kept for that.
        let lost = &self.lost;
        let is_lost = |(of, generation): &(TargetId, Generation)| {
            let lost = lost.get(of);
            lost.is_some_and(|lost| lost.generation == *generation)
        };
        self.abandoned
            .retain(|whose, before| now < before.until || is_lost(whose));
        self.abandoned
            .insert((target.clone(), gate.generation), abandoned);
    }

    /// Somebody said that a server is off, or that nothing of a rollout's runs goes on there: what those claimed is free.
    pub(super) fn is_off(&mut self, target: &TargetId, rollout: Option<RolloutId>) {
        self.at_it.remove(target);
        let gate = self.gates.get(target).map(|gate| gate.generation);
        let open = self.open.get(target).map(|open| open.generation);
        // What it is in by a bundle that nobody here knows, of a life of the log that is lost, ends by no other word.
        if rollout.is_none() && gate != open {
            self.close_gate(target, None);
        }
        self.abandoned.retain(|(of, _), abandoned| {
            let named = rollout.is_none() || abandoned.rollout == rollout;
            of != target || !named
        });
    }

    /// The word that nothing goes on there is of a run that was given up before, and says nothing of what the target is at since.
    #[must_use]
    pub fn frees_alone(&self, id: RolloutId, target: &TargetId, off: bool, now: Timestamp) -> bool {
        let work = self.rollouts.get(&id);
        let work = work.and_then(|rollout| rollout.work.get(target));
        let waits = work.is_some_and(|work| {
            matches!(
                work.state,
                TargetState::Unknown | TargetState::Inconclusive(_)
            )
        });
        off && self.was_abandoned(id, target, now) && !waits
    }

    /// Its agent speaks of the run that its bundle has ended on: what it was in belongs to that run again.
    pub(super) fn takes_its_section_back(&mut self, target: &TargetId, generation: Generation) {
        let whose = (target.clone(), generation);
        let one = self.abandoned.get(&whose);
        if one.is_some_and(|one| one.how == GivenUp::BundleEnded)
            && let Some(one) = self.abandoned.remove(&whose)
        {
            self.gates.insert(target.clone(), one.gate);
        }
    }

    /// The agent itself tells that it has left the section of a run that was given up, of that step or whichever it was; `change` is what
    /// it did to its gMSA object.
    pub(super) fn told_its_end(
        &mut self,
        target: &TargetId,
        (generation, step): (Generation, Option<StepIndex>),
        change: Option<&GmsaChange>,
    ) {
        let key = (target.clone(), generation);
        if let Some(of) = self.abandoned.get_mut(&key)
            && let Some(earlier) = step.and_then(|step| of.gate.leaves_earlier(step))
        {
            if let Some((object, change)) = earlier.gmsa.zip(change) {
                self.changed.insert(object, change.clone());
            }
            return;
        }
        let abandoned = self.abandoned.get(&key);
        // That it has left an earlier one says nothing of the one that it has leave for since.
        if step.is_some_and(|step| abandoned.is_some_and(|of| of.gate.step != step)) {
            return;
        }
        let ended = self.abandoned.remove(&key);
        let object = ended.and_then(|ended| ended.gate.section.gmsa);
        if let Some((object, change)) = object.zip(change) {
            self.changed.insert(object, change.clone());
        }
    }

    /// It enters the section of a run that was given up: what it is in is what counts, for as long as before.
    pub(super) fn enters_all_the_same(
        &mut self,
        target: &TargetId,
        (generation, step): (Generation, StepIndex),
        section: &Section,
    ) -> bool {
        let abandoned = self.abandoned.get_mut(&(target.clone(), generation));
        let Some(abandoned) = abandoned else {
            return false;
        };
        abandoned.gate.section = section.clone();
        abandoned.gate.step = step;
        abandoned.gate.lapses = None;
        abandoned.gate.earlier = None;
        true
    }

    /// Who has leave for a section that it has not told of having entered, lapsed or not.
    pub fn with_leave(&self) -> impl Iterator<Item = &TargetId> {
        let leave = self.gates.iter().filter(|(_, gate)| gate.lapses.is_some());
        leave.map(|(target, _)| target)
    }

    /// Sections of runs that were given up and that somebody may still be in.
    pub(super) fn abandoned_at(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (&TargetId, &Abandoned)> {
        let all = self.abandoned.iter();
        let last = all.filter(move |(_, abandoned)| now < abandoned.until);
        last.map(|((target, _), abandoned)| (target, abandoned))
    }

    /// Tells whether a run of that rollout was given up in a section on a target.
    pub(super) fn was_abandoned(&self, id: RolloutId, target: &TargetId, now: Timestamp) -> bool {
        self.abandoned_of(id, target, now).is_some()
    }

    /// The section of a run of that rollout that was given up on a target and that its agent may still be in.
    fn abandoned_of(&self, id: RolloutId, target: &TargetId, now: Timestamp) -> Option<&Abandoned> {
        let mut all = self.abandoned_at(now);
        let own = all.find(|(of, abandoned)| *of == target && abandoned.rollout == Some(id));
        own.map(|(_, abandoned)| abandoned)
    }

    /// What a run of a target that was given up still claims, in a sentence with what lifts it; `None` where there is none.
    #[must_use]
    pub fn abandoned_sentence(&self, target: &TargetId, now: Timestamp) -> Option<String> {
        let mut all = self.abandoned_at(now);
        let (_, abandoned) = all.find(|(of, _)| *of == target)?;
        Some(abandoned.sentence(target))
    }

    /// The same of a run of that rollout alone.
    pub(super) fn abandoned_sentence_of(
        &self,
        id: RolloutId,
        target: &TargetId,
        now: Timestamp,
    ) -> Option<String> {
        let abandoned = self.abandoned_of(id, target, now)?;
        Some(abandoned.sentence(target))
    }

    /// What holds whoever waits for the section of a run that was given up. Whoever is back tells its end itself.
    pub(super) fn goes_on_abandoned(
        &self,
        target: &TargetId,
        (live, now): (&Live, Timestamp),
    ) -> Option<Hold> {
        let mut all = self.abandoned_at(now);
        let (_, abandoned) = all.find(|(of, _)| *of == target)?;
        let tells = abandoned.how != GivenUp::KeyEnded && live.connected.contains(target);
        let sentence = self.abandoned_sentence(target, now).filter(|_| !tells)?;
        Some(Hold::of(Cause::GivenUp, sentence))
    }

    /// Who may be in a section beside a target. Leave lapses when it was not used, by the wall clock and by the one that nobody sets;
    /// whoever is away may be in its section all the same, so it counts until it is back and says.
    pub(super) fn inside<'a>(
        &'a self,
        target: &'a TargetId,
        gates: &'a BTreeMap<TargetId, Gate>,
        (live, now): (&'a Live, Timestamp),
    ) -> impl Iterator<Item = (&'a TargetId, &'a Section)> {
        let last = gates.iter().filter(move |(other, gate)| {
            let holds = gate.lapses.is_none_or(|lapses| lapses > now);
            holds || live.under_leave.contains(*other) || !live.connected.contains(*other)
        });
        let last = last.map(|(other, gate)| (other, &gate.section));
        let given_up = self.abandoned_at(now);
        let given_up = given_up.map(|(other, abandoned)| (other, &abandoned.gate.section));
        last.chain(given_up)
            .filter(move |(other, _)| *other != target)
    }
}
