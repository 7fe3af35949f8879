//! The record: exported, verified, and read.

use anyhow::{Context as _, bail};
use controller_core::trail::Trail;

use crate::cli::acts::AuditAct;
use crate::cli::{exit, output};
use crate::http::client::Client;
use crate::http::types::LogRow;
use crate::{audit, files};

pub(super) async fn record(client: &Client, act: AuditAct) -> anyhow::Result<u8> {
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
            for (change, of) in proof.changes.iter().filter(|_| !json.json) {
                output::print(&format!(
                    "{change}: {}, {}",
                    output::count(of.bundles, "bundle"),
                    output::count(of.receipts, "receipt")
                ));
            }
            for said in proof.overrides.iter().filter(|_| !json.json) {
                output::print(&format!("OVERRIDE {said}"));
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

pub(super) async fn logs(
    client: &Client,
    from: u64,
    change: Option<String>,
    json: bool,
) -> anyhow::Result<u8> {
    // Which runs are of a change shows from the log's first entry on.
    let mut next = if change.is_some() { 1 } else { from };
    let named = change.clone();
    let mut trail = change.map(Trail::of);
    let mut none = true;
    let mut all = Vec::new();
    loop {
        let page: Vec<LogRow> = client
            .get(&format!("/v1/log?from={next}&limit={LOG_PAGE}"))
            .await?;
        let Some(last) = page.last() else { break };
        next = last.index + 1;
        let mut shown = |row: &LogRow| {
            let own = trail.as_mut().is_none_or(|trail| trail.has(&row.record));
            own && row.index >= from
        };
        let page = page.into_iter().filter(|row| shown(row));
        if json {
            all.extend(page);
            continue;
        }
        for row in page {
            none = false;
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
    } else if none {
        output::print(
            match &named {
                Some(change) => format!("nothing in the log is of the change {change}"),
                None => format!("the log has no entry {from} yet"),
            }
            .as_str(),
        );
    }
    Ok(exit::OK)
}
