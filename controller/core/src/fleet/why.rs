//! One answer to "why is this target where it is?": from which rollout, behind whom it waits, and what may be ordered.

use protocol::{RolloutId, TargetId, Timestamp};

use crate::fleet::hold::Cause;
use crate::fleet::live::Live;
use crate::fleet::state::{Fleet, Rollout, RolloutState, TargetState, Work};
use crate::fleet::table::Peers;
use crate::fleet::turn::Turn;
use crate::fleet::view::{TargetView, Why, sentence};
use crate::overrides::OverrideView;
use crate::plan::TargetPlan;
use crate::readiness::Readiness;
use crate::record::Order;
use crate::words::few;

/// So many of those that a target waits for are named.
const NAMED: usize = 5;

/// What stands for a reason in an order that is shown.
const REASON: &str = "WHY";

/// How much a rollout tells of a target; the greatest answers, of equal ones the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    /// It has work on it.
    works: bool,
    /// It is not at its end there, or has ended badly and nothing has made that good since.
    waits: bool,
    /// It changes it, and had begun to.
    changes: bool,
    /// It goes on.
    goes_on: bool,
}

/// One rollout that names a target.
struct Telling<'a> {
    weight: Weight,
    id: RolloutId,
    rollout: &'a Rollout,
    part: &'a TargetPlan,
    work: Option<&'a Work>,
    /// It has ended otherwise than done after it had begun, and nothing has made that good since.
    undone: bool,
}

impl Fleet {
    /// Why a target is where it is: one answer, from the rollout that waits for something there, before one that changes it, before one
    /// that only reads; of equal ones from the newest. What the others came to is named beside.
    #[must_use]
    pub fn why(&self, target: &TargetId, live: &Live, now: Timestamp) -> Option<Why> {
        self.why_in(None, target, live, now)
    }

    /// The same as far as that rollout tells it, where one is named.
    #[must_use]
    pub fn why_in(
        &self,
        of: Option<RolloutId>,
        target: &TargetId,
        live: &Live,
        now: Timestamp,
    ) -> Option<Why> {
        let overrides = self.overrides_of(target, now);
        let nothing = Why {
            overrides: overrides.iter().map(OverrideView::sentence).collect(),
            ..Why::of(target, String::new())
        };
        let named = self.tellings(of, target);
        let Some(chosen) = named.iter().max_by_key(|one| (one.weight, one.id)) else {
            let known = self.known.contains_key(target);
            let answer = match (self.doubted.get(target), of) {
                (_, Some(of)) if known => format!("{of} does not name it"),
                (Some(doubted), _) => doubted.sentence(target),
                (None, _) if known => "it is enrolled, and no rollout has it".to_owned(),
                (None, _) => return None,
            };
            let doubted = self.doubted.contains_key(target);
            return Some(Why {
                answer,
                lifts: doubted.then(|| Cause::Doubted.into()),
                ..nothing
            });
        };
        let (id, rollout) = (chosen.id, chosen.rollout);
        let beside = named.iter().filter(|one| {
            one.id != id && one.weight.works && (one.weight.goes_on || one.undone || one.id > id)
        });
        let told = beside.filter_map(|one| {
            let row = self.row_of(one.id, one.rollout, target, one.work?, (live, now));
            Some(sentence(one.id, one.rollout, &row))
        });
        let others = told.collect();
        let Some(work) = chosen.work else {
            return Some(Why {
                answer: format!("{id} does nothing on it: {}", chosen.part.why.join("; ")),
                others,
                ..nothing
            });
        };
        let row = self.row_of(id, rollout, target, work, (live, now));
        let (mut answer, done) = (sentence(id, rollout, &row), row.is_done());
        let mut orders = self.orders_of(id, target, &work.state, (live, now));
        if orders.is_empty() {
            let behind = self.behind_whom((id, rollout), target, &row, (live, now));
            answer.push_str(&behind.0);
            orders = behind.1;
        }
        let closed = self.receipts.get(target);
        let closed = closed.filter(|one| one.rollout == id);
        Some(Why {
            answer,
            attested: self.attested(id, target, &work.findings, now),
            findings: self.found((&rollout.plan, target, chosen.part), work, live, now),
            said: work.said.clone(),
            failure: row.failure,
            lifts: row.lifts,
            others,
            orders,
            receipt: closed.map(Readiness::named),
            unasked: closed.map_or_else(Vec::new, |one| one.asked.sentences()),
            done,
            ..nothing
        })
    }

    /// Each rollout that names a target, newest first, with how much it tells.
    fn tellings(&self, of: Option<RolloutId>, target: &TargetId) -> Vec<Telling<'_>> {
        let mut named = Vec::new();
        // A later rollout has brought it to where it was wanted.
        let mut made_good = false;
        for (id, rollout) in self.rollouts.iter().rev() {
            let Some(part) = rollout.plan.targets.get(target) else {
                continue;
            };
            let work = rollout.work.get(target);
            let state = work.map(|work| &work.state);
            let ended = rollout.state == RolloutState::Aborted && !self.open_in(*id, target);
            let goes_on = state.is_some_and(|state| !state.is_terminal()) && !ended;
            let done = matches!(state, Some(TargetState::Done(_)));
            let begun = work.is_some_and(|work| {
                let out = matches!(work.state, TargetState::Aborted | TargetState::Skipped(_));
                !out || work.has_begun() || work.tried
            });
            let undone = begun && !goes_on && !done && !made_good;
            let bad = state.is_some_and(TargetState::is_bad);
            let weight = Weight {
                works: work.is_some(),
                waits: goes_on || (undone && bad && rollout.state != RolloutState::Aborted),
                changes: begun && rollout.plan.kind.changes() && !part.is_read_only(),
                goes_on,
            };
            made_good |= done && rollout.plan.kind.changes_products();
            if of.is_none_or(|of| of == *id) {
                named.push(Telling {
                    weight,
                    id: *id,
                    rollout,
                    part,
                    work,
                    undone,
                });
            }
        }
        named
    }

    /// What may be ordered of a target that has ended badly, as it is typed.
    fn orders_of(
        &self,
        id: RolloutId,
        target: &TargetId,
        state: &TargetState,
        (live, now): (&Live, Timestamp),
    ) -> Vec<String> {
        if !state.is_bad() {
            return Vec::new();
        }
        let all = [
            (
                Order::Retry {
                    target: Some(target.clone()),
                },
                format!("entrain retry {id} {target}"),
            ),
            (
                Order::Skip {
                    target: target.clone(),
                    reason: REASON.to_owned(),
                },
                format!("entrain skip {id} {target} --reason {REASON}"),
            ),
            (
                Order::Resolve {
                    target: target.clone(),
                    reason: REASON.to_owned(),
                    off: false,
                },
                format!("entrain resolve {id} {target} --reason {REASON}"),
            ),
        ];
        let may = |(order, typed): (Order, String)| {
            let may = self.may_order(id, &order, live, now);
            may.is_ok().then_some(typed)
        };
        all.into_iter().filter_map(may).collect()
    }

    /// Who else of its wave or canaries a target waits for beside the one that its hold names, in words behind that; and what may be
    /// ordered of all of them.
    fn behind_whom(
        &self,
        (id, rollout): (RolloutId, &Rollout),
        target: &TargetId,
        row: &TargetView,
        at: (&Live, Timestamp),
    ) -> (String, Vec<String>) {
        let part = rollout.plan.targets.get(target);
        let wave = rollout.work.wave_of(target);
        let behind = row.lifts.as_ref().map(|lifts| lifts.cause);
        let behind = behind.is_some_and(|cause| {
            matches!(
                cause,
                Cause::WaveGoesOn
                    | Cause::WaveHeld
                    | Cause::WaveStopped
                    | Cause::CanaryGoesOn
                    | Cause::CanaryHeld
                    | Cause::CanaryStopped
            )
        });
        let (Some(part), Some(wave), true) = (part, wave, behind) else {
            return Default::default();
        };
        let turn = Turn::of(self, rollout, at);
        let waited_for = turn.waited_for(wave, &Peers::of(part));
        let shown = |other: &&TargetId| {
            let work = rollout.work.get(*other)?;
            Some((
                (*other).clone(),
                work,
                self.row_of(id, rollout, other, work, at),
            ))
        };
        // Whoever has failed waits for a word; the others may come by themselves.
        let mut all: Vec<_> = waited_for.iter().filter_map(shown).collect();
        let first = turn.waits(target, wave, part).cloned();
        all.sort_by_key(|(_, work, _)| !work.state.is_bad());
        let bad = all.iter().filter(|(_, work, _)| work.state.is_bad());
        let orders = bad
            .take(NAMED)
            .flat_map(|(other, work, _)| self.orders_of(id, other, &work.state, at))
            .collect();
        all.retain(|(other, ..)| Some(other) != first.as_ref());
        let words: Vec<String> = all
            .iter()
            .map(|(other, _, row)| format!("{other} is {}", row.state))
            .collect();
        let beside = match words.len() {
            0 => String::new(),
            many => format!("; it waits for {many} more: {}", few(&words, NAMED)),
        };
        (beside, orders)
    }
}
