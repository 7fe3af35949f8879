//! What each verb does.

use std::io::BufRead as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use controller_core::drift::DriftRow;
use controller_core::fleet::{TaskView, TaskWork, Why};
use controller_core::plan::Purpose;
use controller_core::record::Order;
use controller_core::topology::json_schema;
use controller_core::versions::{Certainty, Remark};
use protocol::RolloutId;
use protocol::event::Verdict;
use protocol::signed::ControllerKind;
use tokio::sync::watch;

use crate::authority::{self, Settings};
use crate::cli::args::{
    AgentsAct, Arguments, ArtifactAct, AuditAct, Documents, SecretAct, TasksAct, TokenAct, Verb,
};
use crate::cli::output::{self, table};
use crate::cli::secret::{self, Appointment};
use crate::cli::{Show, exit, follow, readiness};
use crate::http::client::Client;
use crate::http::types::{
    Agents, Applied, ApplyAsk, Artifacts, AskRow, BackupAsk, Checked, Done, FindingText, Frame,
    FreezeAsk, LogRow, OrderAsk, PlanAsk, Planned, Status, Text, TokenAsk, TokenMade, VersionsSeen,
};
use crate::{app, audit, backup, demo, files};

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let state = arguments.state;
    let client = Client::new(&state);
    match arguments.verb {
        Verb::Init {
            address,
            listen,
            root_key,
            passphrase_stdin,
            simulated,
        } => {
            let kind = if simulated {
                ControllerKind::Simulated
            } else {
                ControllerKind::Real
            };
            let passphrase = passphrase(passphrase_stdin)?;
            let settings = Settings {
                kind,
                address,
                listen,
                certificate_seconds: None,
            };
            let root = authority::init(&state, &settings, &root_key, &passphrase, crate::now())?;
            output::print(&format!(
                "initialized {} ({})\ntrust root  {root}\nroot key    {}: take it offline now; `serve` never needs it",
                state.display(),
                kind.as_str(),
                root_key.display()
            ));
            Ok(exit::OK)
        }
        Verb::Serve => serve(&state).await,
        Verb::Check { documents, json } => check(&client, &documents, json.json).await,
        Verb::Schema => output::json(&json_schema()).map(|()| exit::OK),
        Verb::Plan {
            documents,
            verify,
            json,
        } => {
            let purpose = if verify {
                Purpose::Verify
            } else {
                Purpose::Install
            };
            plan(&client, &documents, purpose, json.json).await
        }
        Verb::Handover {
            domain,
            documents,
            json,
        } => {
            let texts = read_topology(&documents.topology)?;
            let document = |text: Text| controller_core::topology::Document {
                file: text.file,
                text: text.text,
            };
            let documents: Vec<_> = texts.into_iter().map(document).collect();
            let (topology, findings) = controller_core::topology::parse(&documents);
            let wrong = findings
                .iter()
                .filter(|finding| finding.severity == controller_core::finding::Severity::Error);
            let wrong: Vec<String> = wrong.map(ToString::to_string).collect();
            if !wrong.is_empty() {
                if json.json {
                    output::json(&serde_json::json!({ "findings": wrong }))?;
                } else {
                    output::error(&wrong.join("\n"));
                }
                return Ok(exit::FINDINGS);
            }
            match controller_core::handover::handover(&topology, &domain) {
                Ok(handover) if json.json => output::json(&handover)?,
                Ok(handover) => output::print(&handover.script),
                Err(why) => bail!("{why}"),
            }
            Ok(exit::OK)
        }
        Verb::Preflight { documents, json } => {
            let ask = ask(&documents, Purpose::Preflight)?;
            let planned: Planned = client.post("/v1/plans", &ask).await?;
            if planned.plan.is_none() && json.json {
                output::json(&serde_json::json!({ "findings": planned.findings }))?;
            } else {
                show(&planned.findings);
            }
            readiness::run(&client, &planned, json.json).await
        }
        Verb::Apply {
            plan,
            change,
            watch,
        } => {
            let applied: Applied = client
                .post(&format!("/v1/plans/{plan}/apply"), &ApplyAsk { change })
                .await?;
            output::print(&format!(
                "rollout {} has begun; entrain watch {0}",
                applied.rollout
            ));
            if watch {
                ended(&follow(&client, applied.rollout, Show::Live, |_| false).await?)
            } else {
                Ok(exit::OK)
            }
        }
        Verb::Watch { rollout, json } => {
            let rollout = newest(&client, rollout).await?;
            let screen = if json.json { Show::Json } else { Show::Live };
            let frame = follow(&client, rollout, screen, |_| false).await?;
            if json.json {
                Ok(code(&frame))
            } else {
                ended(&frame)
            }
        }
        Verb::Status {
            versions: true,
            json,
            ..
        } => versions(&client, json.json).await,
        Verb::Status {
            drift: true, json, ..
        } => drift(&client, json.json).await,
        Verb::Status { json, .. } => status(&client, json.json).await,
        Verb::Why { target, json } => {
            let why: Why = client.get(&format!("/v1/targets/{target}/why")).await?;
            if json.json {
                output::json(&why)?;
            } else {
                output::print(&explain(&why));
            }
            Ok(exit::OK)
        }
        Verb::Tasks { act, json } => tasks(&client, act, json).await,
        Verb::Secret { act } => secrets(&client, act).await,
        Verb::Limits {
            rollout,
            in_flight,
            failures,
        } => {
            let limits = Order::Limits {
                in_flight,
                failures,
            };
            order(&client, rollout, limits).await
        }
        Verb::Freeze { why, .. } => {
            let done: Done = client.post("/v1/freeze", &FreezeAsk { why }).await?;
            output::print(&done.done);
            Ok(exit::OK)
        }
        Verb::Thaw { .. } => {
            let done: Done = client.post("/v1/thaw", &()).await?;
            output::print(&done.done);
            Ok(exit::OK)
        }
        Verb::Pause { rollout } => order(&client, rollout, Order::Pause).await,
        Verb::Resume { rollout } => order(&client, rollout, Order::Resume).await,
        Verb::Abort { rollout } => order(&client, rollout, Order::Abort).await,
        Verb::Retry { rollout, target } => order(&client, rollout, Order::Retry { target }).await,
        Verb::Skip {
            rollout,
            target,
            reason,
        } => order(&client, rollout, Order::Skip { target, reason }).await,
        Verb::Resolve {
            rollout,
            target,
            reason,
        } => order(&client, rollout, Order::Resolve { target, reason }).await,
        Verb::Token {
            act:
                TokenAct::Create {
                    target,
                    minutes,
                    uses,
                    out,
                },
        } => {
            let made: TokenMade = client
                .post(
                    "/v1/tokens",
                    &TokenAsk {
                        target,
                        minutes,
                        uses,
                    },
                )
                .await?;
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
        Verb::Agents { act, json } => agents(&client, act, json).await,
        Verb::Artifact { act } => artifact(&client, act).await,
        Verb::Audit { act } => record(&client, act).await,
        Verb::Logs { from, json } => logs(&client, from, json.json).await,
        Verb::Backup { folder } => {
            let folder = std::path::absolute(&folder)?;
            let ask = BackupAsk {
                folder: folder.display().to_string(),
            };
            let done: Done = client.post("/v1/backup", &ask).await?;
            output::print(&done.done);
            Ok(exit::OK)
        }
        Verb::Restore { folder } => {
            let by = std::env::var("USER").unwrap_or_else(|_| "an operator".to_owned());
            let restored = backup::restore(&folder, &state, &by, app::new_epoch(), crate::now())?;
            output::print(&format!(
                "{} is the controller of {}, with {} entries of the log.\nAgents that were revoked or replaced since are known to it as before: revoke them again before it serves their network (`entrain agents revoke`).\nThe controller that it was taken of must not run any more. Start this one with `entrain serve`; its agents come back by themselves and tell what came after. Rollouts are held: `entrain status` shows them, `entrain resume` goes on.",
                state.display(),
                restored.made,
                restored.entries
            ));
            Ok(exit::OK)
        }
        Verb::Doctor { json } => doctor(&client, json.json).await,
        Verb::Demo { json, keep, fault } => {
            demo::run(demo::Options {
                json,
                keep,
                fault: fault != "none",
            })
            .await
        }
    }
}

fn passphrase(from_stdin: bool) -> anyhow::Result<String> {
    if from_stdin {
        let line = std::io::stdin().lock().lines().next().transpose()?;
        return line
            .filter(|line| !line.is_empty())
            .context("standard input has no passphrase");
    }
    let first = rpassword::prompt_password("passphrase for the root key: ")?;
    if first.is_empty() {
        bail!("an empty passphrase would leave the root key open");
    }
    if first != rpassword::prompt_password("once more: ")? {
        bail!("the two differ; nothing was made");
    }
    Ok(first)
}

async fn serve(state: &Path) -> anyhow::Result<u8> {
    let (stop, stopped) = watch::channel(false);
    let mut running = app::start(state, stopped).await?;
    output::print(&format!("listening at {}", running.address));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stopped_by_itself = tokio::select! {
        _ = terminate.recv() => false,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            false
        }
        () = running.first_end() => true,
    };
    stop.send_replace(true);
    running.ended().await;
    if stopped_by_itself {
        bail!("the controller stopped by itself; its log says why");
    }
    Ok(exit::OK)
}

/// Reads a topology's file, or every TOML file of a folder.
pub(crate) fn read_topology(path: &Path) -> anyhow::Result<Vec<Text>> {
    let read = |path: &Path| -> anyhow::Result<Text> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read {}", path.display()))?;
        Ok(Text {
            file: path.display().to_string(),
            text,
        })
    };
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    let entries =
        std::fs::read_dir(path).with_context(|| format!("could not read {}", path.display()))?;
    let mut paths: Vec<_> = entries
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    if paths.is_empty() {
        bail!("{} holds no .toml file", path.display());
    }
    paths.iter().map(|path| read(path)).collect()
}

fn ask(documents: &Documents, purpose: Purpose) -> anyhow::Result<PlanAsk> {
    let policy = match &documents.policy {
        Some(path) => Some(Text {
            file: path.display().to_string(),
            text: std::fs::read_to_string(path)
                .with_context(|| format!("could not read {}", path.display()))?,
        }),
        None => None,
    };
    Ok(PlanAsk {
        topology: read_topology(&documents.topology)?,
        policy,
        purpose,
    })
}

fn show(findings: &[FindingText]) {
    for finding in findings {
        let mut text = format!("{}: {}: {}", finding.place, finding.severity, finding.what);
        if !finding.fix.is_empty() {
            text.push_str(&format!("\n    fix: {}", finding.fix));
        }
        output::error(&text);
    }
}

fn errors(findings: &[FindingText]) -> usize {
    findings
        .iter()
        .filter(|finding| finding.severity == "error")
        .count()
}

async fn check(client: &Client, documents: &Documents, json: bool) -> anyhow::Result<u8> {
    let checked: Checked = client
        .post("/v1/check", &ask(documents, Purpose::Install)?)
        .await?;
    let errors = errors(&checked.findings);
    if json {
        output::json(&checked)?;
    } else {
        show(&checked.findings);
        output::print(&format!(
            "{errors} errors, {} warnings",
            checked.findings.len() - errors
        ));
    }
    Ok(if errors > 0 { exit::FINDINGS } else { exit::OK })
}

async fn plan(
    client: &Client,
    documents: &Documents,
    purpose: Purpose,
    json: bool,
) -> anyhow::Result<u8> {
    let planned: Planned = client.post("/v1/plans", &ask(documents, purpose)?).await?;
    if json {
        output::json(&planned)?;
    } else {
        show(&planned.findings);
        output::print(&planned.report);
        if let Some(plan) = planned.plan
            && planned.alarms.is_empty()
        {
            output::error(&format!(
                "\nentrain apply {}   carries it out",
                plan.0.short()
            ));
        }
    }
    Ok(if planned.plan.is_none() || !planned.alarms.is_empty() {
        exit::FINDINGS
    } else {
        exit::OK
    })
}

async fn newest(client: &Client, rollout: Option<RolloutId>) -> anyhow::Result<RolloutId> {
    if let Some(rollout) = rollout {
        return Ok(rollout);
    }
    let views: Vec<controller_core::fleet::RolloutView> = client.get("/v1/rollouts").await?;
    views
        .last()
        .map(|view| view.rollout)
        .context("there is no rollout yet")
}

fn code(frame: &Frame) -> u8 {
    let done = frame
        .view
        .targets
        .iter()
        .all(|target| target.state == "done");
    if done { exit::OK } else { exit::NOT_ALL_DONE }
}

fn ended(frame: &Frame) -> anyhow::Result<u8> {
    let counts: Vec<String> = frame
        .view
        .counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    output::print(&format!(
        "rollout {} is {}: {}",
        frame.view.rollout,
        frame.view.state,
        counts.join(", ")
    ));
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

async fn status(client: &Client, json: bool) -> anyhow::Result<u8> {
    let status: Status = client.get("/v1/status").await?;
    if json {
        return output::json(&status).map(|()| exit::OK);
    }
    output::print(&format!(
        "{} controller {}, trust root {}\n{} agents, {} connected, {} tasks for people",
        status.kind,
        status.version,
        status.trust_root,
        status.agents,
        status.connected,
        status.tasks
    ));
    if let Some(order) = &status.frozen {
        output::print(&format!(
            "THE FLEET IS FROZEN since {} by {}: {}\nentrain thaw --all lifts it",
            order.since, order.by, order.why
        ));
    }
    for alarm in &status.alarms {
        output::print(&format!("ALARM {alarm}"));
    }
    let row = |view: &controller_core::fleet::RolloutView| {
        let counts: Vec<String> = view
            .counts
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        vec![
            view.rollout.to_string(),
            view.state.clone(),
            view.by.clone(),
            view.applied.to_string(),
            counts.join(", "),
        ]
    };
    let rows: Vec<Vec<String>> = status.rollouts.iter().map(row).collect();
    if !rows.is_empty() {
        output::print(&table(
            &["ROLLOUT", "STATE", "BY", "SINCE", "TARGETS"],
            &rows,
        ));
    }
    Ok(exit::OK)
}

async fn drift(client: &Client, json: bool) -> anyhow::Result<u8> {
    let seen: Vec<DriftRow> = client.get("/v1/drift").await?;
    if json {
        return output::json(&seen).map(|()| exit::OK);
    }
    if seen.is_empty() {
        output::print("everything is as the last rollout left it");
        return Ok(exit::OK);
    }
    let row = |row: &DriftRow| {
        vec![
            row.target.to_string(),
            row.product.as_str().to_owned(),
            row.what.clone(),
            row.wanted.clone(),
            row.seen.clone(),
            if row.accepted {
                "accepted".to_owned()
            } else {
                format!("drifted since {}", row.rollout)
            },
        ]
    };
    let rows: Vec<Vec<String>> = seen.iter().map(row).collect();
    let head = ["SERVER", "PRODUCT", "WHAT", "AS LEFT", "AS IT IS", ""];
    output::print(&table(&head, &rows));
    if seen.iter().any(|row| !row.accepted) {
        output::print("\nentrain plan TOPOLOGY shows what would bring it back");
    }
    Ok(exit::OK)
}

async fn versions(client: &Client, json: bool) -> anyhow::Result<u8> {
    let seen: VersionsSeen = client.get("/v1/versions").await?;
    if json {
        return output::json(&seen).map(|()| exit::OK);
    }
    let left = |remark: &Remark| match remark.days_left {
        None if remark.bears => "now".to_owned(),
        None => String::new(),
        Some(days) if days < 0 => format!("{} days ago", -days),
        Some(days) => format!("{days} days left"),
    };
    let mut rows = Vec::new();
    for row in &seen.rows {
        let version = row
            .version
            .map_or("not readable".to_owned(), |one| one.to_string());
        let mut head = [
            row.target.to_string(),
            row.product.as_str().to_owned(),
            version,
        ];
        if row.remarks.is_empty() {
            rows.push([&head[..], &[String::new(), String::new()]].concat());
        }
        for remark in &row.remarks {
            let what = match remark.certainty {
                Certainty::Vendor => remark.what.clone(),
                Certainty::Secondary => format!("{} [{}]", remark.what, remark.source),
            };
            rows.push([&head[..], &[left(remark), what]].concat());
            // The server is named once.
            head.fill(String::new());
        }
    }
    let head = ["SERVER", "PRODUCT", "VERSION", "WHEN", "WHAT"];
    output::print(&table(&head, &rows));
    output::print(&format!(
        "{} servers and products; the data were checked on {}",
        seen.rows.len(),
        seen.checked_on
    ));
    Ok(exit::OK)
}

fn explain(why: &Why) -> String {
    let mut text = format!("{}: {}", why.target, why.answer);
    if let Some(failure) = &why.failure {
        if let Some(known) = &failure.known {
            text.push_str(&format!(
                "\n  cause: {}\n  fix:   {}",
                known.cause, known.fix
            ));
        }
        for line in &failure.lines {
            text.push_str(&format!("\n  log:   {line}"));
        }
    }
    for finding in why
        .findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Pass)
    {
        text.push_str(&format!(
            "\n  {} {}: {} (wanted: {})",
            finding.id, finding.what, finding.read, finding.wanted
        ));
        if !finding.fix.is_empty() {
            text.push_str(&format!("\n    fix ({:?}): {}", finding.owner, finding.fix));
        }
    }
    for said in &why.said {
        text.push_str(&format!("\n  said:  {said}"));
    }
    for refusal in &why.refusals {
        text.push_str(&format!("\n  {refusal}"));
    }
    text
}

async fn tasks(client: &Client, act: Option<TasksAct>, json: bool) -> anyhow::Result<u8> {
    if let Some(TasksAct::Attest { target }) = act {
        let done: Done = client
            .post(&format!("/v1/targets/{target}/attest"), &())
            .await?;
        output::print(&done.done);
        return Ok(exit::OK);
    }
    let tasks: Vec<TaskView> = client.get("/v1/tasks").await?;
    if json {
        return output::json(&tasks).map(|()| exit::OK);
    }
    if tasks.is_empty() {
        output::print("nothing waits for a person");
    }
    for task in tasks {
        match task.work {
            TaskWork::AtServer(text) => {
                output::print(&format!(
                    "{}: {} (since {})\n  why: {}",
                    task.target, text.title, task.since, text.why
                ));
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
            TaskWork::GiveSecret(wanted) => {
                output::print(&format!(
                    "{}: {wanted} (since {})\n  entrain secret give",
                    task.target, task.since
                ));
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

async fn secrets(client: &Client, act: SecretAct) -> anyhow::Result<u8> {
    match act {
        SecretAct::List { json } => {
            let asks: Vec<AskRow> = client.get("/v1/secrets").await?;
            if json.json {
                return output::json(&asks).map(|()| exit::OK);
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
            stdin,
            count,
        } => {
            secret::give(
                client,
                &Appointment {
                    target,
                    stdin,
                    count,
                },
            )
            .await?;
        }
    }
    Ok(exit::OK)
}

async fn order(client: &Client, rollout: RolloutId, order: Order) -> anyhow::Result<u8> {
    let done: Done = client
        .post(
            &format!("/v1/rollouts/{rollout}/orders"),
            &OrderAsk { order },
        )
        .await?;
    output::print(&done.done);
    Ok(exit::OK)
}

async fn agents(client: &Client, act: Option<AgentsAct>, json: bool) -> anyhow::Result<u8> {
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
            let row = |agent: &crate::http::types::AgentRow| {
                let here = if agent.connected { "connected" } else { "away" };
                vec![
                    agent.target.to_string(),
                    here.to_owned(),
                    agent.key[..16].to_owned(),
                    agent.facts.clone(),
                ]
            };
            let rows: Vec<Vec<String>> = agents.agents.iter().map(row).collect();
            output::print(&table(&["TARGET", "SESSION", "KEY", "FACTS"], &rows));
            for (target, waiting) in agents.pending {
                output::print(&format!(
                    "{target} waits for approval, key {} ({}): entrain agents approve {target} KEY",
                    waiting.key.fingerprint(),
                    waiting.machine
                ));
            }
            for agent in &agents.agents {
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

/// Escapes a text for a query.
fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if keep(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

async fn artifact(client: &Client, act: ArtifactAct) -> anyhow::Result<u8> {
    match act {
        ArtifactAct::Add {
            file,
            accept_terms,
            source,
            model,
            version,
        } => {
            let mut path = format!(
                "/v1/artifacts?terms={accept_terms}&source={}",
                escape(&source)
            );
            if let (Some(model), Some(version)) = (model, version) {
                let model = serde_json::to_value(model)?;
                path.push_str(&format!(
                    "&model={}&version={version}",
                    model.as_str().unwrap_or_default()
                ));
            }
            let done: Done = client
                .upload(&path, &file)
                .await
                .with_context(|| format!("{} was not taken in", file.display()))?;
            output::print(&done.done);
        }
        ArtifactAct::List { json } => {
            let artifacts: Artifacts = client.get("/v1/artifacts").await?;
            if json.json {
                return output::json(&artifacts).map(|()| exit::OK);
            }
            let row = |artifact: &controller_core::roster::Artifact| {
                vec![
                    artifact.artifact.product.as_str().to_owned(),
                    artifact.artifact.version.to_string(),
                    artifact.artifact.sha256.short(),
                    artifact
                        .signer
                        .clone()
                        .unwrap_or_else(|| "model".to_owned()),
                    artifact.terms_accepted_by.clone(),
                    artifact.added.to_string(),
                    artifact.source.clone(),
                ]
            };
            let rows: Vec<Vec<String>> = artifacts.artifacts.iter().map(row).collect();
            output::print(&table(
                &[
                    "PRODUCT", "VERSION", "SHA256", "SIGNER", "TERMS BY", "ADDED", "SOURCE",
                ],
                &rows,
            ));
        }
    }
    Ok(exit::OK)
}

async fn record(client: &Client, act: AuditAct) -> anyhow::Result<u8> {
    match act {
        AuditAct::Export { file } => {
            let bytes = client.bytes("/v1/audit").await?;
            files::replace(&file, &bytes)?;
            output::print(&format!(
                "{} lines in {}",
                bytes.iter().filter(|byte| **byte == b'\n').count(),
                file.display()
            ));
            Ok(exit::OK)
        }
        AuditAct::Verify {
            file,
            trust_root,
            json,
        } => {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("could not read {}", file.display()))?;
            let proof = audit::verify_file(&text)
                .with_context(|| format!("{} does not hold", file.display()))?;
            if let Some(wanted) = trust_root
                && wanted != proof.trust_root
            {
                bail!("the file is under another trust root, {}", proof.trust_root);
            }
            if json.json {
                output::json(&proof)?;
            } else {
                output::print(&format!(
                    "holds ({}): {} entries, {} events, {} bundles, {} receipts; trust root {}",
                    proof.kind,
                    proof.entries,
                    proof.events,
                    proof.bundles,
                    proof.receipts,
                    proof.trust_root
                ));
            }
            for refused in &proof.refused_receipts {
                output::error(&format!("a receipt that does not hold, {refused}"));
            }
            let holds = proof.refused_receipts.is_empty();
            Ok(if holds { exit::OK } else { exit::FAILED })
        }
    }
}

/// Entries that are asked for at once.
const LOG_PAGE: u32 = 5000;

async fn logs(client: &Client, from: u64, json: bool) -> anyhow::Result<u8> {
    let mut next = from;
    let mut all = Vec::new();
    loop {
        let page: Vec<LogRow> = client
            .get(&format!("/v1/log?from={next}&limit={LOG_PAGE}"))
            .await?;
        let Some(last) = page.last() else { break };
        next = last.index + 1;
        if json {
            all.extend(page);
            continue;
        }
        for row in page {
            let what = match &row.event {
                Some(event) => serde_json::to_string(event)?,
                None => serde_json::to_string(&row.record)?,
            };
            let short: String = what.chars().take(160).collect();
            output::print(&format!("{:>6}  {}  {short}", row.index, row.at));
        }
    }
    if json {
        output::json(&all)?;
    }
    Ok(exit::OK)
}

async fn doctor(client: &Client, json: bool) -> anyhow::Result<u8> {
    let status: Status = client.get("/v1/status").await?;
    let wanted = link::WANTED_SOCKET_BUFFER;
    let capped = status.buffers.0 < wanted || status.buffers.1 < wanted;
    let mut remarks = Vec::new();
    if capped {
        remarks.push(format!(
            "the system caps UDP buffers at {} and {} bytes; {wanted} were asked for: sysctl -w net.core.rmem_max={wanted} net.core.wmem_max={wanted}",
            status.buffers.0, status.buffers.1
        ));
    }
    if json {
        return output::json(&serde_json::json!({ "remarks": remarks, "buffers": status.buffers }))
            .map(|()| exit::OK);
    }
    output::print(&format!(
        "the controller answers ({}, {})",
        status.kind, status.version
    ));
    for remark in &remarks {
        output::print(remark);
    }
    if remarks.is_empty() {
        output::print("nothing to mend was found");
    }
    Ok(exit::OK)
}
