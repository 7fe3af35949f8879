//! Servers that their administrators have frozen: they have refused, and not failed, so the rollout goes on around them.

use protocol::event::Freeze;
use protocol::{TargetId, Timestamp};

use crate::fleet::decide::Live;
use crate::fleet::state::Fleet;

/// Whether a freeze holds its server: up to its end, and where its agent is here until that says so, since it has a clock of its own.
pub(crate) fn holds(freeze: &Freeze, target: &TargetId, live: &Live, now: Timestamp) -> bool {
    now < freeze.until || live.connected.contains(target)
}

impl Fleet {
    /// The freeze that holds a server just now.
    pub(super) fn freeze_in_force(
        &self,
        target: &TargetId,
        live: &Live,
        now: Timestamp,
    ) -> Option<&Freeze> {
        let freeze = self.frozen.get(target);
        freeze.filter(|freeze| holds(freeze, target, live, now))
    }
}
