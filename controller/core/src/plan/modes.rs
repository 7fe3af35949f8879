//! Who of an entry's Connect servers is active (G1), before one of them is to be, or is to leave that.

use protocol::TargetId;

use crate::active::{Modes, active};
use crate::plan::Inputs;
use crate::topology::ConnectEntry;

/// What every server of the entry is, but for `except` and those that were said to be off.
///
/// # Errors
/// With what is to be done, while one of them cannot be told: nothing is planned then (G1).
pub(super) fn modes_of(
    inputs: Inputs<'_>,
    entry: &ConnectEntry,
    except: Option<&TargetId>,
) -> Result<Modes, String> {
    let mut modes = Modes::new();
    for server in inputs.members(entry).filter(|one| Some(*one) != except) {
        let Some(facts) = inputs.reported(server) else {
            return Err(format!(
                "whether {server} is active cannot be told, since it has never reported (G1); enroll it, or take it out of `servers`"
            ));
        };
        if let Some(why) = facts.unread.first() {
            return Err(format!("what {server} is cannot be told (G1): {why}"));
        }
        let Some(connect) = &facts.connect else {
            continue;
        };
        if connect.mode().is_none() {
            return Err(format!(
                "whether {server} is active cannot be told (G1); see there that ADSync runs and that Get-ADSyncScheduler answers"
            ));
        }
        modes.insert(server.clone(), connect.mode());
    }
    Ok(modes)
}

/// The one that is active, or `None` where none is.
///
/// # Errors
/// Where several are.
pub(super) fn the_one_active(modes: &Modes) -> Result<Option<&TargetId>, String> {
    match active(modes).as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        [one, other, ..] => Err(format!(
            "{one} and {other} are both active (G1); set all but one to staging mode before anything else"
        )),
    }
}
