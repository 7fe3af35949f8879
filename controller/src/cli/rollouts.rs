//! Orders to a rollout, and how one ended.

use anyhow::Context as _;
use controller_core::fleet::{RolloutView, TargetView};
use controller_core::record::Order;
use protocol::RolloutId;

use crate::cli::{exit, output};
use crate::http::client::Client;
use crate::http::types::{Done, Frame, OrderAsk};

pub(super) async fn newest(
    client: &Client,
    rollout: Option<RolloutId>,
) -> anyhow::Result<RolloutId> {
    if let Some(rollout) = rollout {
        return Ok(rollout);
    }
    let views: Vec<RolloutView> = client.get("/v1/rollouts").await?;
    views
        .last()
        .map(|view| view.rollout)
        .context("there is no rollout yet")
}

pub(super) fn code(frame: &Frame) -> u8 {
    let done = frame.view.targets.iter().all(TargetView::is_done);
    if done { exit::OK } else { exit::NOT_ALL_DONE }
}

/// The change number of a rollout, behind its own.
pub(super) fn under(change: Option<&str>) -> String {
    change.map_or_else(String::new, |change| format!(" ({change})"))
}

pub(super) fn ended(frame: &Frame) -> anyhow::Result<u8> {
    let counts: Vec<String> = frame
        .view
        .counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    output::print(&format!(
        "rollout {}{} is {}: {}",
        frame.view.rollout,
        under(frame.view.change.as_deref()),
        frame.view.standing(),
        counts.join(", ")
    ));
    if frame.view.overridden > 0 {
        output::print(&format!(
            "  {} of them BY OVERRIDE: entrain why TARGET says of what and by whom",
            frame.view.overridden
        ));
    }
    for target in frame.view.targets.iter().filter(|target| target.bad) {
        output::print(&format!(
            "  {}: {}: {}",
            target.target, target.state, target.detail
        ));
        if let Some(known) = target
            .failure
            .as_ref()
            .and_then(|failure| failure.known.as_ref())
        {
            output::print(&format!("    fix: {}", known.fix));
        }
    }
    Ok(code(frame))
}

pub(super) async fn order(client: &Client, rollout: RolloutId, order: Order) -> anyhow::Result<u8> {
    let done: Done = client
        .post(
            &format!("/v1/rollouts/{rollout}/orders"),
            &OrderAsk { order },
        )
        .await?;
    output::print(&done.done);
    Ok(exit::OK)
}
