//! Servers that their administrators have frozen: they have refused, and not failed, so the rollout goes on around them.

use std::collections::BTreeMap;

use protocol::event::Freeze;
use protocol::{TargetId, Timestamp};

use crate::fleet::live::Live;
use crate::fleet::state::Fleet;

/// The freeze that holds a server just now: up to its end, and where its agent is here until that says so, since it has a clock of
/// its own.
pub(crate) fn in_force<'a>(
    frozen: &'a BTreeMap<TargetId, Freeze>,
    target: &TargetId,
    (live, now): (&Live, Timestamp),
) -> Option<&'a Freeze> {
    let freeze = frozen.get(target);
    freeze.filter(|freeze| now < freeze.until || live.connected.contains(target))
}

impl Fleet {
    /// The freeze that holds a server just now.
    pub(super) fn freeze_in_force(
        &self,
        target: &TargetId,
        live: &Live,
        now: Timestamp,
    ) -> Option<&Freeze> {
        in_force(&self.frozen, target, (live, now))
    }
}
