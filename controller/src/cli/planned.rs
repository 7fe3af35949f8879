//! A plan that is made already: rehearsed, and carried out.

use crate::cli::rollouts::ended;
use crate::cli::{Show, exit, follow, output};
use crate::http::client::Client;
use crate::http::types::{Applied, ApplyAsk, RehearseAsk, Rehearsed};

/// Carries a plan out on models, and tells how that went.
///
/// # Errors
/// As the controller says.
pub(super) async fn rehearse(
    client: &Client,
    plan: &str,
    ask: &RehearseAsk,
    json: bool,
) -> anyhow::Result<u8> {
    let rehearsed: Rehearsed = client
        .post(&format!("/v1/plans/{plan}/rehearse"), ask)
        .await?;
    if json {
        output::json(&rehearsed.rehearsal)?;
    } else {
        output::print(rehearsed.report.trim_end());
    }
    Ok(exit::OK)
}

/// Carries a plan out, and watches it where that is asked.
///
/// # Errors
/// As the controller says.
pub(super) async fn apply(
    client: &Client,
    plan: &str,
    ask: &ApplyAsk,
    watch: bool,
) -> anyhow::Result<u8> {
    let applied: Applied = client.post(&format!("/v1/plans/{plan}/apply"), ask).await?;
    let begins = ask
        .not_before
        .map_or_else(|| "has begun".to_owned(), |at| format!("begins at {at}"));
    output::print(&format!(
        "rollout {} {begins}; entrain watch {0}",
        applied.rollout
    ));
    if watch {
        ended(&follow(client, applied.rollout, Show::Live, |_| false).await?)
    } else {
        Ok(exit::OK)
    }
}
