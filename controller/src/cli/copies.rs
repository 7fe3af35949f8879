//! Copies of a controller's folder: one is made, and one is put back.

use std::path::Path;

use protocol::Epoch;

use crate::backup;
use crate::cli::{exit, output};
use crate::http::client::Client;
use crate::http::types::{BackupAsk, Done};

/// Has the running controller copy its folder.
///
/// # Errors
/// As the controller says.
pub(super) async fn backup(client: &Client, folder: &Path) -> anyhow::Result<u8> {
    let folder = std::path::absolute(folder)?;
    let ask = BackupAsk {
        folder: folder.display().to_string(),
    };
    let done: Done = client.post("/v1/backup", &ask).await?;
    output::print(&done.done);
    Ok(exit::OK)
}

/// Makes a controller of a copy, and says what is to be thought of before it is started.
///
/// # Errors
/// As [`backup::restore`].
pub(super) fn restore(state: &Path, folder: &Path) -> anyhow::Result<u8> {
    let by = std::env::var("USER").unwrap_or_else(|_| "an operator".to_owned());
    let restored = backup::restore(folder, state, &by, Epoch::by_chance(), crate::now())?;
    output::print(&format!(
        "{} is the controller of {}, with {} entries of the log.\nAgents that were revoked or replaced since are known to it as before: revoke them again before it serves their network (`entrain agents revoke`). Agents that were enrolled since are unknown to it and are turned away, with all that they did: enroll them anew (`entrain-agent enroll --new-key`, with a new join file).\nThe controller that it was taken of must not run any more. Start this one with `entrain serve`; its agents come back by themselves and tell what came after. What operators ordered since is forgotten: abort, skip, resolve, limits and a freeze of the fleet. Rollouts are held. Before you resume one, let its agents come back and read in `entrain status` and `entrain why TARGET` what they told last: a rollout whose servers say \"aborted\" was aborted since, so abort it again (`entrain abort`) and do not resume it; one that ran when the backup was made may be over. Skip and resolve again, set limits and `freeze --all` again, then `entrain resume ROLLOUT --after-restore`.",
        state.display(),
        restored.made,
        restored.entries
    ));
    Ok(exit::OK)
}
