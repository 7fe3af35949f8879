//! Who has left, by name and by time: a decision asks for those that left lately, or whose time comes next, and looks at none of
//! the thousands who are away for long.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Deref};
use std::time::Duration;

use protocol::{TargetId, Timestamp};

/// Since when targets are away. It is read as the map that it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Away {
    since: BTreeMap<TargetId, Timestamp>,
    by_time: BTreeMap<Timestamp, BTreeSet<TargetId>>,
}

impl Deref for Away {
    type Target = BTreeMap<TargetId, Timestamp>;

    fn deref(&self) -> &Self::Target {
        &self.since
    }
}

impl Away {
    /// A target has left.
    pub fn insert(&mut self, target: TargetId, since: Timestamp) {
        self.remove(&target);
        let then = self.by_time.entry(since).or_default();
        then.insert(target.clone());
        self.since.insert(target, since);
    }

    /// A target is back.
    pub fn remove(&mut self, target: &TargetId) {
        let Some(since) = self.since.remove(target) else {
            return;
        };
        if let Some(then) = self.by_time.get_mut(&since) {
            then.remove(target);
            if then.is_empty() {
                self.by_time.remove(&since);
            }
        }
    }

    /// Who left less than that time ago, the first first.
    pub fn within(&self, time: Duration, now: Timestamp) -> impl Iterator<Item = &TargetId> {
        let lately = (Bound::Excluded(now.minus(time)), Bound::Unbounded);
        self.by_time.range(lately).flat_map(|(_, then)| then)
    }

    /// The next moment at which somebody is away for as long.
    #[must_use]
    pub fn next_for(&self, time: Duration, now: Timestamp) -> Option<Timestamp> {
        let lately = (Bound::Excluded(now.minus(time)), Bound::Unbounded);
        let (since, _) = self.by_time.range(lately).next()?;
        Some(since.plus(time))
    }

    /// Both ways say the same. For tests.
    #[must_use]
    pub fn is_indexed_right(&self) -> bool {
        let by_name = self.since.iter().map(|(target, since)| (*since, target));
        let all: BTreeSet<_> = by_name.collect();
        let by_time = self.by_time.iter();
        let by_time =
            by_time.flat_map(|(since, then)| then.iter().map(move |target| (*since, target)));
        by_time.eq(all) && self.by_time.values().all(|then| !then.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn whoever_left_lately_is_found_and_whose_time_comes_next() {
        let mut away = Away::default();
        let name = |text: &str| text.parse::<TargetId>().unwrap();
        for (target, minutes) in [("a.test", 9), ("b.test", 5), ("c.test", 3), ("d.test", 3)] {
            away.insert(name(target), NOW.minus(MINUTE * minutes));
            assert!(away.is_indexed_right());
        }
        let within = |away: &Away, minutes: u32| -> Vec<String> {
            let found = away.within(MINUTE * minutes, NOW);
            found.map(ToString::to_string).collect()
        };
        assert_eq!(
            within(&away, 5),
            ["c.test", "d.test"],
            "five minutes are over"
        );
        assert_eq!(within(&away, 6), ["b.test", "c.test", "d.test"]);
        let next = |away: &Away, minutes: u32| away.next_for(MINUTE * minutes, NOW);
        assert_eq!(next(&away, 5), Some(NOW.plus(MINUTE * 2)));
        assert_eq!(next(&away, 3), None, "it has come");
        // Whoever leaves again is away since then alone.
        away.insert(name("a.test"), NOW);
        away.remove(&name("c.test"));
        away.remove(&name("c.test"));
        assert!(away.is_indexed_right());
        assert_eq!(within(&away, 4), ["d.test", "a.test"]);
        assert_eq!(away.len(), 3);
    }
}
