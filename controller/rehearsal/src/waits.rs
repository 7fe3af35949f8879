//! What a plan waits for while it is carried out: by cause, for how long anybody waited by it, and how many did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::fleet::Cause;
use protocol::{TargetId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::world::World;

/// Nobody asks more often than that what holds whom: what is over sooner says nothing of a plan's time.
const OFTEN: Duration = Duration::from_secs(60);

/// A cause by which servers waited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// Which.
    pub cause: Cause,
    /// For how long anybody did, in seconds, to a hundredth of the time that had passed.
    pub seconds: u64,
    /// How many servers.
    pub servers: usize,
}

/// The same as it is counted.
pub(crate) struct Waits {
    begin: Timestamp,
    /// When it was looked at last, and what held anybody then.
    since: Timestamp,
    causes: BTreeSet<Cause>,
    sums: BTreeMap<Cause, (Duration, BTreeSet<TargetId>)>,
}

impl Waits {
    pub(crate) const fn new(begin: Timestamp) -> Self {
        Self {
            begin,
            since: begin,
            causes: BTreeSet::new(),
            sums: BTreeMap::new(),
        }
    }

    /// Looks at what holds whom before the world goes on to `next`: where that is a while, or the last look was.
    pub(crate) fn look(&mut self, world: &World, next: Timestamp) {
        let now = world.now;
        let often = OFTEN.max(now.since(self.begin) / 100);
        if next.since(now) < often && now < self.since.plus(often) {
            return;
        }
        self.count(now);
        self.causes.clear();
        let view = world.fleet.view(world.rehearsed, &world.live, now);
        let rows = view.map(|view| view.targets).unwrap_or_default();
        for row in rows.into_iter().filter(|row| !row.terminal) {
            let Some(lifts) = row.lifts else { continue };
            self.causes.insert(lifts.cause);
            let (_, servers) = self.sums.entry(lifts.cause).or_default();
            servers.insert(row.target);
        }
    }

    fn count(&mut self, now: Timestamp) {
        let time = now.since(self.since);
        for cause in &self.causes {
            self.sums.entry(*cause).or_default().0 += time;
        }
        self.since = now;
    }

    /// What anybody waited for, the longest first.
    pub(crate) fn until(mut self, end: Timestamp) -> Vec<Waited> {
        self.count(end.max(self.since));
        let sums = self.sums.into_iter();
        let waited = sums.map(|(cause, (time, servers))| Waited {
            cause,
            seconds: time.as_secs(),
            servers: servers.len(),
        });
        let mut waited: Vec<Waited> = waited.filter(|one| one.seconds > 0).collect();
        waited.sort_by_key(|one| std::cmp::Reverse(one.seconds));
        waited
    }
}
