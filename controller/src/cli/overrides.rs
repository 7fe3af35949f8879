//! Rules that operators set aside on one server.

use controller_core::overrides::Rule;
use protocol::TargetId;

use crate::cli::{exit, output};
use crate::http::client::Client;
use crate::http::types::{Done, OverrideAsk, WithdrawAsk};

/// What is said of a rule on a server.
pub(super) struct Said {
    pub(super) rule: Rule,
    pub(super) target: TargetId,
    pub(super) reason: Option<String>,
    pub(super) change: Option<String>,
}

/// Sets a rule aside, or takes that back.
///
/// # Errors
/// As the controller says.
pub(super) async fn set_aside(client: &Client, said: Said, withdraw: bool) -> anyhow::Result<u8> {
    let Said {
        rule,
        target,
        reason,
        change,
    } = said;
    let rule = rule.to_string();
    let done: Done = if withdraw {
        let ask = WithdrawAsk { rule, target };
        client.post("/v1/overrides/withdraw", &ask).await?
    } else {
        let ask = OverrideAsk {
            rule,
            target,
            reason: reason.unwrap_or_default(),
            change: change.unwrap_or_default(),
        };
        client.post("/v1/overrides", &ask).await?
    };
    output::print(&done.done);
    Ok(exit::OK)
}
