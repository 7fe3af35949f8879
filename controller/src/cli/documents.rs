//! The documents of an operator: topology and policy, checked, planned, and handed over.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail};
use controller_core::finding::Severity;
use controller_core::forest::Forests;
use controller_core::handover::Members;
use controller_core::plan::Purpose;
use controller_core::topology::Document;
use protocol::DomainName;

use crate::cli::args::Documents;
use crate::cli::{exit, output};
use crate::http::client::Client;
use crate::http::types::{Checked, FindingText, PlanAsk, Planned, Text, Wanted};

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

pub(super) fn ask(documents: &Documents, wanted: Wanted) -> anyhow::Result<PlanAsk> {
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
        wanted,
        only: BTreeSet::new(),
    })
}

pub(super) fn show(findings: &[FindingText]) {
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

pub(super) async fn check(
    client: &Client,
    documents: &Documents,
    json: bool,
) -> anyhow::Result<u8> {
    let checked: Checked = client
        .post(
            "/v1/check",
            &ask(documents, Wanted::Topology(Purpose::Install))?,
        )
        .await?;
    let errors = errors(&checked.findings);
    if json {
        output::json(&checked)?;
    } else {
        show(&checked.findings);
        output::print(&format!(
            "{}, {}",
            output::count(errors, "error"),
            output::count(checked.findings.len() - errors, "warning")
        ));
    }
    Ok(if errors > 0 { exit::FINDINGS } else { exit::OK })
}

/// Makes a plan that only asks, and shows what is wrong with its documents.
pub(super) async fn asking(client: &Client, ask: &PlanAsk, json: bool) -> anyhow::Result<Planned> {
    let planned: Planned = client.post("/v1/plans", ask).await?;
    if planned.plan.is_none() && json {
        output::json(&serde_json::json!({ "findings": planned.findings }))?;
    } else {
        show(&planned.findings);
    }
    Ok(planned)
}

/// Makes a plan and shows it.
pub(super) async fn plan(
    client: &Client,
    wanted: Wanted,
    documents: &Documents,
    json: bool,
) -> anyhow::Result<u8> {
    let ask = ask(documents, wanted)?;
    let planned: Planned = client.post("/v1/plans", &ask).await?;
    if json {
        output::json(&planned)?;
    } else {
        show(&planned.findings);
        output::print(&planned.report);
        if let Some(plan) = planned.plan
            && planned.alarms.is_empty()
            && !planned.nothing
        {
            let off = match &ask.wanted {
                Wanted::Failover { off, .. } => format!(" --off {off}"),
                Wanted::Topology(_)
                | Wanted::Release(_)
                | Wanted::Swap(_)
                | Wanted::Swing { .. }
                | Wanted::Eligible
                | Wanted::Move(_)
                | Wanted::Undo(_) => String::new(),
            };
            output::error(&format!(
                "\nentrain rehearse {0}   tells how that would go\nentrain apply {0}{off}      carries it out",
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

/// Prints what a domain's administrator is asked to do. It needs no controller; where one answers, what its agents have read of forests
/// counts too.
pub(super) async fn handover(
    client: &Client,
    domain: &DomainName,
    members: &Members,
    documents: &Documents,
    json: bool,
) -> anyhow::Result<u8> {
    let texts = read_topology(&documents.topology)?;
    let documents: Vec<Document> = texts.into_iter().map(Document::from).collect();
    let (topology, findings) = controller_core::topology::parse(&documents);
    let wrong: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    if !wrong.is_empty() {
        if json {
            output::json(&serde_json::json!({ "findings": wrong }))?;
        } else {
            output::error(&wrong.join("\n"));
        }
        return Ok(exit::FINDINGS);
    }
    let read: Forests = match client.get("/v1/forests").await {
        Ok(read) => read,
        Err(why) if topology.connect.is_empty() => {
            tracing::debug!("not asked what agents have read of forests: {why:#}");
            Forests::default()
        }
        // Where Connect takes a whole forest, that a domain is one of its trees may be known by a reading alone.
        Err(why) => {
            output::error(&format!(
                "what agents have read of forests does not count in this: {why:#}"
            ));
            Forests::default()
        }
    };
    match controller_core::handover::handover(&topology, &read, domain, members) {
        Ok(handover) if json => output::json(&handover)?,
        Ok(handover) => output::print(&handover.script),
        Err(why) => bail!("{why}"),
    }
    Ok(exit::OK)
}
