//! Work for people, and the secrets that they give.

use std::path::Path;

use anyhow::Context as _;
use controller_core::fleet::{TaskView, TaskWork};
use controller_core::roster::Joining;
use protocol::answers::DirectoryAnswers;
use protocol::task::TaskText;

use crate::cli::acts::{SecretAct, TasksAct};
use crate::cli::meant::Whose;
use crate::cli::secret::{self, Appointment};
use crate::cli::{exit, output};
use crate::http::client::Client;
use crate::http::types::{Agents, AskRow, Done};

/// A server that waits to be let in, as one more row of what people are to do: it belongs to no rollout.
fn approval(joining: &Joining) -> serde_json::Value {
    serde_json::json!({
        "target": joining.target,
        "since": joining.since,
        "work": { "approve": joining },
    })
}

/// Brings in what a domain controller answered to a workstation's questions, out of a file.
///
/// # Errors
/// Where the file cannot be read or is none of these, and as the controller says.
pub(super) async fn answers(client: &Client, file: &Path) -> anyhow::Result<u8> {
    let bytes =
        std::fs::read(file).with_context(|| format!("could not read {}", file.display()))?;
    let answers = DirectoryAnswers::read(&bytes).map_err(|why| {
        anyhow::anyhow!(
            "{} is no file of `entrain-agent directory --answers`: {why}",
            file.display()
        )
    })?;
    let done: Done = client.post("/v1/directories/answers", &answers).await?;
    output::print(&done.done);
    Ok(exit::OK)
}

pub(super) async fn tasks(
    client: &Client,
    act: Option<TasksAct>,
    json: bool,
) -> anyhow::Result<u8> {
    if let Some(TasksAct::Attest { target }) = act {
        let done: Done = client
            .post(&format!("/v1/targets/{target}/attest"), &())
            .await?;
        output::print(&done.done);
        return Ok(exit::OK);
    }
    let tasks: Vec<TaskView> = client.get("/v1/tasks").await?;
    let agents: Agents = client.get("/v1/agents").await?;
    if json {
        let waiting = agents.pending.values().map(approval);
        let open = tasks.iter().map(serde_json::to_value);
        let rows: Vec<_> = waiting.map(Ok).chain(open).collect::<Result<_, _>>()?;
        return output::json(&rows).map(|()| exit::OK);
    }
    if tasks.is_empty() && agents.pending.is_empty() {
        output::print("nothing waits for a person");
    }
    for joining in agents.pending.values() {
        output::print(&joining.sentence());
    }
    for task in tasks {
        match task.work {
            TaskWork::AtServer(text) => {
                output::print(&format!(
                    "{}: {} (since {})",
                    task.target, text.title, task.since
                ));
                if let Some(stop) = &task.stop {
                    output::print(&format!("  STOP: {stop}"));
                }
                below(&text);
            }
            TaskWork::GiveSecret(wanted) => {
                output::print(&format!(
                    "{}: {wanted} (since {})\n  entrain secret give {}",
                    task.target,
                    task.since,
                    wanted.option()
                ));
            }
            TaskWork::InDirectory(theirs) => {
                output::print(&format!(
                    "{}: {} has work to do (since {})",
                    task.target,
                    theirs.who(),
                    task.since
                ));
                for does in &theirs.does {
                    output::print(&format!("  - {does}"));
                }
                if let Some(prints) = theirs.prints() {
                    output::print(&format!("  {prints}"));
                }
                let ends = theirs.ends(task.rollout, &task.target);
                output::print(&format!("  ends when: {ends}"));
            }
            TaskWork::Answer(question) => {
                output::print(&format!(
                    "{}: {question}\n  then retry, skip or resolve",
                    task.target
                ));
            }
        }
    }
    Ok(exit::OK)
}

/// Work for a person at no server.
pub(super) fn show(text: &TaskText) {
    output::print(&text.title);
    below(text);
}

/// What stands below the title of work.
fn below(text: &TaskText) {
    output::print(&format!("  why: {}", text.why));
    for bring in &text.bring {
        output::print(&format!("  bring: {bring}"));
    }
    for page in &text.pages {
        output::print(&format!("  [{}]", page.title));
        for line in &page.lines {
            output::print(&format!("    - {line}"));
        }
    }
    output::print(&format!("  ends when: {}", text.seen_by));
}

pub(super) async fn secrets(client: &Client, act: SecretAct) -> anyhow::Result<u8> {
    match act {
        SecretAct::List { json } => {
            let asks: Vec<AskRow> = client.get("/v1/secrets").await?;
            if json.json {
                return output::json(&asks).map(|()| exit::OK);
            }
            if asks.is_empty() {
                output::print("no server asks for a secret");
            }
            for ask in asks {
                let wanted = ask
                    .wanted
                    .map_or("an ask that its agent did not sign".to_owned(), |wanted| {
                        wanted.to_string()
                    });
                output::print(&format!("{}  {wanted}", ask.target));
            }
        }
        SecretAct::Give {
            target,
            tenant,
            domain,
            stdin,
            count,
            minutes,
        } => {
            let whose = tenant.map(Whose::Tenant);
            let appointment = Appointment {
                target,
                whose: whose.or(domain.map(Whose::Domain)),
                stdin,
                count,
                minutes,
            };
            let all = secret::give(client, &appointment).await?;
            return Ok(if all { exit::OK } else { exit::FAILED });
        }
    }
    Ok(exit::OK)
}
