//! Who is at work when an order comes: whoever is here hears it at once, and whoever is away when it is back.

use protocol::{RolloutId, TargetId};
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
}

impl AtWork {
    /// Nobody is at work, as far as is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.told == 0 && self.away.is_empty()
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
        let parts: Vec<String> = told.into_iter().chain(away).collect();
        parts.join("; ")
    }
}

impl Fleet {
    /// Who is at work at this moment, in one rollout or in all.
    #[must_use]
    pub fn at_work(&self, rollout: Option<RolloutId>, live: &Live) -> AtWork {
        let mut at_work = AtWork::default();
        for (target, open) in self.open.iter() {
            if rollout.is_some_and(|id| open.rollout != id) {
                continue;
            }
            if !live.connected.contains(target) {
                at_work.away.push(target.clone());
            } else if open.accepted {
                at_work.told += 1;
            }
        }
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
            };
            assert_eq!(at_work.sentence(), said);
            assert_eq!(at_work.is_empty(), told + gone == 0);
        }
    }
}
