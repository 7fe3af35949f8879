//! What is known of this moment and is in no log: who is here, what their products do, whose leave may still be made use of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::event::Event;
use protocol::{TargetId, Timestamp, limits};

use crate::facts::Fleetwide;
use crate::fleet::away::Away;
use crate::plan::{self, Plan, TargetPlan};
use crate::versions::Versions;

/// What a target's provisioning agent was last seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Registered with a tenant, its service running.
    pub serving: bool,
    /// When that was.
    pub at: Timestamp,
}

/// How long a target must be away before others stop waiting for their turn behind it. After a restart of the controller
/// the agents need a while to come back.
pub const UNREACHABLE_AFTER: Duration = Duration::from_secs(300);

/// What is known of this moment and is not in the log.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Targets with a session.
    pub connected: BTreeSet<TargetId>,
    /// Latest pulses.
    pub pulses: BTreeMap<TargetId, Pulse>,
    /// Since when targets are away; those that were never here are away since `began`.
    pub away: Away,
    /// Since when anybody could connect.
    pub began: Timestamp,
    /// What is known of the products' versions, as it was read at the start; `None` where nobody asks for it.
    pub versions: Option<Arc<Versions>>,
    /// Since when those with a session have it.
    pub back: BTreeMap<TargetId, Timestamp>,
    /// Whose leave has not lapsed by the clock that nobody sets: where the wall clock was set ahead it may be made use of all the same
    /// (G2, G3).
    pub under_leave: BTreeSet<TargetId>,
    /// Who has told that it has left a section and not yet what its product does since; by its last word before that.
    pub to_tell: BTreeMap<TargetId, Timestamp>,
}

impl Live {
    /// A target has a session.
    pub fn came(&mut self, target: TargetId, now: Timestamp) {
        self.away.remove(&target);
        self.back.insert(target.clone(), now);
        self.connected.insert(target);
    }

    /// A target's session ended.
    pub fn left(&mut self, target: &TargetId, now: Timestamp) {
        self.connected.remove(target);
        self.back.remove(target);
        self.pulses.remove(target);
        self.to_tell.remove(target);
        self.away.insert(target.clone(), now);
    }

    /// A target tells that it has left a section: what it said before that is of before, and shows nothing of what came of the work. Its
    /// next pulse does.
    pub fn heard(&mut self, target: &TargetId, event: &Event) {
        if let Event::SectionLeft { .. } = event {
            let last = self.pulses.remove(target);
            self.to_tell
                .extend(last.map(|pulse| (target.clone(), pulse.at)));
        }
    }

    /// A target that is here says in a moment what its product does: it came just now, or has left a section just now. Whoever says
    /// nothing for longer than a word counts is waited for no more.
    pub(super) fn tells_soon(&self, target: &TargetId, now: Timestamp) -> bool {
        let since = [self.back.get(target), self.to_tell.get(target)];
        let since = since.into_iter().flatten().max();
        let soon = since.is_some_and(|since| now.since(*since) < limits::FRESH_FACTS);
        soon && self.connected.contains(target) && !self.pulses.contains_key(target)
    }

    /// What a target that is here was seen to do lately (G2); `None` where nobody knows: it is not here, not all that it has journaled
    /// is, or its agent says nothing any more.
    pub(super) fn serves(&self, target: &TargetId, now: Timestamp) -> Option<bool> {
        let pulse = self.pulses.get(target)?;
        let fresh = now.since(pulse.at) <= limits::FRESH_FACTS;
        (fresh && self.connected.contains(target)).then_some(pulse.serving)
    }

    /// Why what a part brings onto its server may not be brought any more (G6).
    #[must_use]
    pub fn refuses(&self, part: &TargetPlan, now: Timestamp) -> Option<String> {
        let versions = self.versions.as_ref()?;
        let recalled = versions.refuses(part.artifacts(), now);
        recalled.or_else(|| plan::breaks(part, versions))
    }

    /// Why a phase of a target may not begin by the versions that its plan's servers have (G4).
    pub(super) fn unfit(
        &self,
        plan: &Plan,
        at: (&TargetId, usize),
        known: &Fleetwide,
        now: Timestamp,
    ) -> Option<String> {
        plan::holds(plan, at, known, self.versions.as_ref()?, now)
    }

    /// Since when a target is away; `None` while it is here.
    #[must_use]
    pub fn away_since(&self, target: &TargetId) -> Option<Timestamp> {
        let here = self.connected.contains(target);
        let since = self.away.get(target).unwrap_or(&self.began);
        (!here).then_some(*since)
    }

    /// From when on a target that is away counts as silent where nothing is waited for any more: at once, but for those that have
    /// had no time to come since anybody could. `None` while it is here.
    pub(super) fn silent_at_once(&self, target: &TargetId) -> Option<Timestamp> {
        let since = self.away_since(target)?;
        let left = self.away.contains_key(target);
        Some(if left {
            since
        } else {
            since.plus(UNREACHABLE_AFTER)
        })
    }

    /// When a target counts as unreachable, if it stays away; `None` while it is here.
    #[must_use]
    pub fn unreachable_from(&self, target: &TargetId) -> Option<Timestamp> {
        let since = self.away_since(target)?;
        Some(since.plus(UNREACHABLE_AFTER))
    }
}
