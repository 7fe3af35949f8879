//! Who is an agent.

use crate::cli::acts::{AgentsAct, TokenAct};
use crate::cli::exit;
use crate::cli::output::{self, table};
use crate::files;
use crate::http::client::Client;
use crate::http::types::{AgentRow, Agents, Done, TokenAsk, TokenMade};

pub(super) async fn agents(
    client: &Client,
    act: Option<AgentsAct>,
    json: bool,
) -> anyhow::Result<u8> {
    let (target, act) = match act {
        Some(AgentsAct::Approve { target, key }) => (target, format!("approve-{key}")),
        Some(AgentsAct::Replace { target }) => (target, "replace".to_owned()),
        Some(AgentsAct::Revoke { target, off: false }) => (target, "revoke".to_owned()),
        Some(AgentsAct::Revoke { target, off: true }) => (target, "revoke-off".to_owned()),
        Some(AgentsAct::List) | None => {
            let agents: Agents = client.get("/v1/agents").await?;
            if json {
                return output::json(&agents).map(|()| exit::OK);
            }
            let row = |agent: &AgentRow| {
                let here = match &agent.doubted {
                    Some(_) => "HELD",
                    None if agent.connected => "connected",
                    None => "away",
                };
                vec![
                    agent.target.to_string(),
                    here.to_owned(),
                    agent.version.clone().unwrap_or_else(|| "-".to_owned()),
                    agent.key[..16].to_owned(),
                    agent.facts.clone(),
                ]
            };
            let rows: Vec<Vec<String>> = agents.agents.iter().map(row).collect();
            output::print(&table(
                &["TARGET", "SESSION", "AGENT", "KEY", "FACTS"],
                &rows,
            ));
            for joining in agents.pending.values() {
                output::print(&joining.sentence());
            }
            for agent in &agents.agents {
                if let Some(doubted) = &agent.doubted {
                    output::print(&format!(
                        "ALARM {}: {}",
                        agent.target,
                        doubted.sentence(&agent.target)
                    ));
                }
                if let Some(freeze) = &agent.frozen {
                    output::print(&format!(
                        "{} is frozen until {} by {}: {}",
                        agent.target, freeze.until, freeze.by, freeze.why
                    ));
                }
            }
            for refused in &agents.refusals {
                output::print(&refused.sentence());
            }
            return Ok(exit::OK);
        }
    };
    let done: Done = client
        .post(&format!("/v1/agents/{target}/{act}"), &())
        .await?;
    output::print(&done.done);
    Ok(exit::OK)
}

/// Makes a join token and writes its join file.
pub(super) async fn token(client: &Client, act: TokenAct) -> anyhow::Result<u8> {
    let TokenAct::Create {
        target,
        minutes,
        uses,
        out,
    } = act;
    let ask = TokenAsk {
        target,
        minutes,
        uses,
    };
    // A token that cannot be written down is made for nobody.
    if let Some(path) = &out {
        files::free(path, "join file", "No token was made")?;
    }
    let made: TokenMade = client.post("/v1/tokens", &ask).await?;
    let text = serde_json::to_string_pretty(&made.join)?;
    match out {
        Some(path) => {
            files::write_private(&path, text.as_bytes())?;
            output::print(&format!(
                "{} is good until {}",
                path.display(),
                made.expires
            ));
        }
        None => output::print(&text),
    }
    Ok(exit::OK)
}
