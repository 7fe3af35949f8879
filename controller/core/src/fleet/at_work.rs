//! Who is at work when an order comes: whoever is here hears it at once, and whoever is away when it is back.

use std::collections::BTreeSet;

use protocol::{RolloutId, TargetId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, Live};
use crate::words::few;

/// So many servers are named.
const NAMED: usize = 5;

/// The servers with an open bundle, by whether an order reaches them now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtWork {
    /// Servers that have accepted their bundle and are here: so many have been told.
    pub told: usize,
    /// Servers that are away, in the order of their names: each may be at work, also where it has not told that it accepted.
    pub away: Vec<TargetId>,
    /// Servers that may be in a section of a run that was given up, in the order of their names: no order reaches that, and nothing
    /// follows on it.
    #[serde(default)]
    pub given_up: Vec<TargetId>,
}

impl AtWork {
    /// Nobody is at work, as far as is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.told == 0 && self.away.is_empty() && self.given_up.is_empty()
    }

    /// The same in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.is_empty() {
            return "no server is at work".to_owned();
        }
        let told = match self.told {
            0 => None,
            1 => Some("1 server at work has been told".to_owned()),
            many => Some(format!("{many} servers at work have been told")),
        };
        let away = match self.away.as_slice() {
            [] => None,
            [one] => Some(format!(
                "{one} is away and may still be at work: it hears of this when it is back"
            )),
            many => Some(format!(
                "{} servers are away and may still be at work, and hear of this when they are back: {}",
                many.len(),
                few(many, NAMED)
            )),
        };
        let given_up = match self.given_up.as_slice() {
            [] => None,
            [one] => Some(format!(
                "{one} may be in a section of a run that was given up: that comes to its end whatever is ordered, and nothing follows on it"
            )),
            many => Some(format!(
                "{} servers may be in sections of runs that were given up: those come to their ends whatever is ordered, and nothing follows on them: {}",
                many.len(),
                few(many, NAMED)
            )),
        };
        let parts: Vec<String> = told.into_iter().chain(away).chain(given_up).collect();
        parts.join("; ")
    }
}

impl Fleet {
    /// Who is at work at this moment, in one rollout or in all.
    #[must_use]
    pub fn at_work(&self, rollout: Option<RolloutId>, live: &Live, now: Timestamp) -> AtWork {
        let mut at_work = AtWork::default();
        let asked = |of: Option<RolloutId>| rollout.is_none_or(|id| of == Some(id));
        let mut away = BTreeSet::new();
        for (target, open) in self
            .open
            .iter()
            .filter(|(_, open)| asked(Some(open.rollout)))
        {
            if !live.connected.contains(target) {
                away.insert(target);
            } else if open.accepted {
                at_work.told += 1;
            }
        }
        let given_up = self.abandoned_at(now);
        let given_up: BTreeSet<&TargetId> = given_up
            .filter(|(_, one)| asked(one.rollout))
            .map(|(target, _)| target)
            .collect();
        // Whoever went unknown may be at that run, and speak of it when it is back.
        let lost = self.lost.iter().filter(|(target, lost)| {
            let gone = !live.connected.contains(*target) && !given_up.contains(target);
            gone && asked(Some(lost.rollout))
        });
        away.extend(lost.map(|(target, _)| target));
        at_work.away = away.into_iter().cloned().collect();
        at_work.given_up = given_up.into_iter().cloned().collect();
        at_work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_of_an_order_and_who_does_not_is_said_in_numbers_and_names() {
        let away = |count: usize| {
            let names = (1..=count).map(|at| format!("s{at}.a.test").parse().unwrap());
            names.collect::<Vec<TargetId>>()
        };
        for (told, gone, said) in [
            (0, 0, "no server is at work"),
            (1, 0, "1 server at work has been told"),
            (2, 0, "2 servers at work have been told"),
            (
                0,
                1,
                "s1.a.test is away and may still be at work: it hears of this when it is back",
            ),
            (
                3,
                7,
                "3 servers at work have been told; 7 servers are away and may still be at work, and hear of this when they are back: s1.a.test, s2.a.test, s3.a.test, s4.a.test, s5.a.test and 2 more",
            ),
        ] {
            let at_work = AtWork {
                told,
                away: away(gone),
                given_up: Vec::new(),
            };
            assert_eq!(at_work.sentence(), said);
            assert_eq!(at_work.is_empty(), told + gone == 0);
        }
        for (count, said) in [
            (
                1,
                "s1.a.test may be in a section of a run that was given up: that comes to its end whatever is ordered, and nothing follows on it",
            ),
            (
                2,
                "2 servers may be in sections of runs that were given up: those come to their ends whatever is ordered, and nothing follows on them: s1.a.test, s2.a.test",
            ),
        ] {
            let at_work = AtWork {
                given_up: away(count),
                ..AtWork::default()
            };
            assert_eq!(at_work.sentence(), said);
            assert!(!at_work.is_empty());
        }
    }
}
