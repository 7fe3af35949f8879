//! How many servers of a site are under way in other rollouts. A site is one place with one line, whoever has work there, so its
//! limit counts them all; whoever only looks is no load.

use std::collections::BTreeMap;
use std::fmt;

use protocol::RolloutId;

use crate::fleet::state::Fleet;

/// What is under way at a site in other rollouts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Others {
    /// How many servers.
    pub(crate) count: u32,
    /// One of these rollouts.
    pub(crate) first: RolloutId,
    /// More than that one.
    pub(crate) several: bool,
}

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.several { " and others" } else { "" };
        write!(f, "{} of them in {}{more}", self.count, self.first)
    }
}

/// The same by site.
pub(crate) type Elsewhere = BTreeMap<String, Others>;

/// Adds servers of a rollout at a site.
pub(crate) fn add(elsewhere: &mut Elsewhere, site: &str, count: u32, of: RolloutId) {
    if count > 0 {
        let nobody = Others {
            count: 0,
            first: of,
            several: false,
        };
        let others = elsewhere.entry(site.to_owned()).or_insert(nobody);
        others.count += count;
        others.several |= others.first != of;
    }
}

impl Fleet {
    /// What is under way beside a rollout at each site of which it has a limit.
    pub(crate) fn elsewhere(&self, id: RolloutId) -> Elsewhere {
        let mut elsewhere = Elsewhere::new();
        let Some(rollout) = self.rollouts.get(&id) else {
            return elsewhere;
        };
        let limited = rollout.plan.sites.iter();
        let limited = limited.filter(|(_, rule)| rule.max_in_flight.is_some());
        for (site, _) in limited {
            for (other, of) in self.active() {
                if other != id && of.plan.kind.changes() {
                    let count = of.work.at_site().get(site).copied().unwrap_or_default();
                    add(&mut elsewhere, site, count, other);
                }
            }
        }
        elsewhere
    }
}
