//! `entrain discover`: has a server of each domain ask its directory, then lists every server that anything names.

use controller_core::beyond::{self, Standing};
use controller_core::plan::Plan;
use controller_core::tenant::Read;

use crate::cli::output::{self, table};
use crate::cli::{exit, readiness};
use crate::http::client::Client;
use crate::http::types::{Discovered, Planned};

pub(super) async fn run(client: &Client, planned: &Planned, json: bool) -> anyhow::Result<u8> {
    let Some(plan) = planned.plan else {
        return Ok(exit::FINDINGS);
    };
    let stored: Plan = client.get(&format!("/v1/plans/{}", plan.0)).await?;
    let asks = |plan: &Plan| plan.waves.iter().any(|wave| !wave.is_empty());
    let mut silent = Vec::new();
    if asks(&stored) {
        let (_, frame) = readiness::asked(client, plan).await?;
        let rows = frame.view.targets.iter();
        let rows = rows.filter(|row| !row.is_done());
        silent.extend(rows.map(|row| {
            format!(
                "{} did not answer: {} {}",
                row.target, row.state, row.detail
            )
        }));
    }
    let mut found: Discovered = client.get("/v1/discovered").await?;
    let unlooked = beyond::unlooked(&stored, &found.asked, &found.tenants);
    found.unread.extend(unlooked);
    found.unread.extend(silent);
    let written = stored.targets.iter();
    let written = written.map(|(target, part)| (target, part.lane.as_str()));
    beyond::add_written(&mut found.servers, written);
    let unknown = found
        .servers
        .iter()
        .any(|row| row.state == Standing::Unknown);
    if json {
        output::json(&found)?;
    } else {
        print(&found);
    }
    Ok(if unknown { exit::FINDINGS } else { exit::OK })
}

fn print(found: &Discovered) {
    let rows: Vec<Vec<String>> = found
        .servers
        .iter()
        .map(|row| {
            let state = row.state.as_str().to_owned();
            let named_by = match row.named_by.join("; ") {
                none if none.is_empty() => "its enrollment alone".to_owned(),
                named => named,
            };
            vec![row.name.clone(), state, named_by]
        })
        .collect();
    output::print(&table(&["SERVER", "STATE", "NAMED BY"], &rows));
    for (domain, at, by) in &found.asked {
        output::print(&format!("{domain}: asked by {by} at {at}"));
    }
    for (domain, read) in &found.handed_in {
        output::print(&format!("{domain}: {}", read.attests()));
    }
    for (tenant, Read { at, by }) in &found.tenants {
        output::print(&format!("tenant {tenant}: read by {by} at {at}"));
    }
    for why in &found.unread {
        output::print(&format!("not read: {why}"));
    }
}
