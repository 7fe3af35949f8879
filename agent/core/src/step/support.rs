//! Logs for whoever supports the product, collected by its own tools (product facts 1.9). They stay on the server: people's
//! data are in them.

use std::time::Duration;

use protocol::event::Completion;
use protocol::step::CollectSupport;
use serde_json::Value;

use crate::op::Script;
use crate::procedure::{Complete, Cx, Flow, Stop, fail};
use crate::step::{facts, report};

const COLLECT_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Collects, where the agent is registered: without a tenant in the registry the product's module asks for one and waits.
///
/// # Errors
/// While outcomes are missing, and when nothing was collected.
pub(super) fn collect(support: &CollectSupport, cx: &mut Cx<'_>) -> Flow<Complete> {
    let Some(agent) = facts::provisioning_agent(cx)?.told()? else {
        return fail("the provisioning agent is not on this server");
    };
    match agent.tenant {
        Some(tenant) if tenant == support.tenant => {}
        Some(other) => {
            return fail(format!(
                "the agent on this server is registered with another tenant, {other}; its logs were left alone"
            ));
        }
        None => {
            return fail(
                "the agent was never registered: the product's tools need a tenant; its setup's log stands in the receipt of the installation",
            );
        }
    }
    let input = serde_json::json!({});
    let lines = cx.script(Script::CollectSupport, input, Vec::new(), COLLECT_LIMIT)?;
    let made = lines.and_then(|lines| {
        let last = lines.last().cloned().unwrap_or_default();
        summary(&last).ok_or_else(|| {
            let why = last["error"]["message"].as_str();
            why.unwrap_or("the script did not say what it made")
                .to_owned()
        })
    });
    match made {
        Ok(summary) => Ok(Complete::new(Completion::Applied, summary)),
        Err(why) => {
            let failure = report::failure("the logs could not be collected", &why);
            Err(Stop::Failed(Box::new(failure)))
        }
    }
}

fn summary(line: &Value) -> Option<String> {
    let (path, digest) = (line["path"].as_str()?, line["sha256"].as_str()?);
    let size = match line["bytes"].as_u64()? {
        bytes @ 0..10_240 => format!("{bytes} bytes"),
        bytes @ 10_240..10_485_760 => format!("{} KiB", bytes / 1024),
        bytes => format!("{} MiB", bytes / 1_048_576),
    };
    Some(format!("{path} on the server, {size}, SHA-256 {digest}"))
}
