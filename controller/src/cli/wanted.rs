//! Which plan the arguments of a planning verb ask for.

use controller_core::plan::{Afterwards, Purpose};
use protocol::step::Fix;
use protocol::{TargetId, Version};

use crate::http::types::{UndoAsk, Wanted};

/// Of `plan`: what the topology says, or a release of Entrain's own agents.
pub(super) fn planned(release: Option<Version>, agents: bool, verify: bool) -> Wanted {
    match release {
        Some(release) => Wanted::Release(release),
        None if agents => Wanted::Topology(Purpose::Agents),
        None if verify => Wanted::Topology(Purpose::Verify),
        None => Wanted::Topology(Purpose::Install),
    }
}

/// Of `swing`.
pub(super) fn swing(server: TargetId, retire: bool) -> Wanted {
    let then = if retire {
        Afterwards::Remove
    } else {
        Afterwards::Upgrade
    };
    Wanted::Swing { server, then }
}

/// Of `undo`: one prerequisite, or all of them.
pub(super) fn undo(server: TargetId, fix: Option<Fix>, anyway: bool) -> Wanted {
    let fixes = fix.map_or_else(|| Fix::ALL.into(), |fix| [fix].into());
    Wanted::Undo(UndoAsk {
        server,
        fixes,
        anyway,
    })
}
