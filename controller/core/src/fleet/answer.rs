//! What an operator is told of an order that is taken: what it does, of how many, and where it changes nothing.

use protocol::{RolloutId, TargetId, Timestamp};

use crate::fleet::Live;
use crate::fleet::state::{Fleet, RolloutState};
use crate::record::Order;
use crate::words::few;

/// So many servers are named.
const NAMED: usize = 5;

impl Fleet {
    /// The answer to an order that may be carried out, in a sentence, before it is.
    #[must_use]
    pub fn answer_to(&self, id: RolloutId, order: &Order, live: &Live, now: Timestamp) -> String {
        let heard = || {
            let at_work = self.at_work(Some(id), live, now);
            let said = (!at_work.is_empty()).then(|| format!("; {}", at_work.sentence()));
            said.unwrap_or_default()
        };
        let rollout = self.rollouts.get(&id);
        let state = rollout.map(|rollout| rollout.state);
        match order {
            Order::Pause if state == Some(RolloutState::Paused) => {
                format!("{id} was paused already; entrain resume {id} lifts it")
            }
            Order::Pause => format!(
                "{id} is paused: nothing new begins in it, and what is under way waits at its next gate{}; entrain resume {id} lifts it",
                heard()
            ),
            Order::Resume { .. } => {
                let frozen = self.stopped.as_ref().map_or(
                    "",
                    |_| "; the fleet is frozen, so nothing begins before entrain thaw --all",
                );
                if state == Some(RolloutState::Paused) {
                    format!("{id} goes on{frozen}")
                } else {
                    format!("{id} was not paused, and nothing is changed{frozen}")
                }
            }
            Order::Abort if state == Some(RolloutState::Aborted) => {
                format!("{id} was aborted already")
            }
            Order::Abort => format!(
                "{id} is aborted: nothing new begins in it, and what is under way ends at its next gate{}",
                heard()
            ),
            Order::Retry { target: None } => {
                let work = rollout.into_iter().flat_map(|rollout| rollout.work.iter());
                let bad: Vec<&TargetId> = work
                    .filter(|(_, work)| work.state.is_bad())
                    .map(|(target, _)| target)
                    .collect();
                match bad.len() {
                    0 => format!("nothing in {id} has failed: there is nothing to retry"),
                    1 => format!("retry of 1 server in {id}: {}", few(&bad, NAMED)),
                    many => format!("retry of {many} servers in {id}: {}", few(&bad, NAMED)),
                }
            }
            Order::Retry {
                target: Some(target),
            } => {
                let work = rollout.and_then(|rollout| rollout.work.get(target));
                if work.is_some_and(|work| work.state.is_bad()) {
                    format!("retry of {target} in {id}")
                } else {
                    format!("the settings of {target} are read once more in {id}")
                }
            }
            Order::Skip { target, .. } => format!("{target} is left out of {id}"),
            Order::Resolve { target, off, .. } if self.frees_alone(id, target, *off, now) => {
                format!(
                    "what an earlier run of {id} claimed on {target} is free; what {target} is at since goes on, and the same order once more resolves it"
                )
            }
            Order::Resolve { target, off, .. } => {
                let off = if *off { ", and said to be off" } else { "" };
                format!("{target} is resolved in {id}{off}")
            }
            Order::Limits {
                in_flight,
                failures,
                unreachable,
            } => {
                let mut limits = Vec::new();
                if let Some(most) = in_flight {
                    limits.push(format!("at most {most} under way at once"));
                }
                if let Some(most) = failures {
                    limits.push(format!("nothing more starts at {most} failures"));
                }
                if unreachable.is_some() {
                    limits.push("another time for which whoever is away is waited for".to_owned());
                }
                format!("{id}: {}", limits.join(", "))
            }
            Order::SiteLimit { site, in_flight } => {
                format!("{id}: at most {in_flight} under way at once at {site}")
            }
            Order::AcceptDifference { difference, .. } => {
                format!("the difference {difference} is approved for {id}")
            }
        }
    }
}
