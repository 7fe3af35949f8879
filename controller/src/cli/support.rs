//! `entrain support`: has provisioning agents' logs collected on their servers, and says where they lie.

use std::collections::BTreeMap;
use std::path::PathBuf;

use controller_core::fleet::Why;
use controller_core::plan::{Plan, Purpose};
use protocol::TargetId;
use serde::Serialize;

use crate::cli::args::Documents;
use crate::cli::documents::{ask, asking};
use crate::cli::{exit, output, readiness};
use crate::http::client::Client;
use crate::http::types::{PlanAsk, Wanted};

/// What became of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Where each server's logs lie, with size and digest.
    collected: BTreeMap<TargetId, String>,
    /// Servers whose logs were not collected, and why.
    not_collected: BTreeMap<TargetId, String>,
}

pub(super) async fn run(
    client: &Client,
    servers: Vec<TargetId>,
    topology: PathBuf,
    json: bool,
) -> anyhow::Result<u8> {
    let documents = Documents {
        topology,
        policy: None,
    };
    let ask = PlanAsk {
        only: servers.into_iter().collect(),
        ..ask(&documents, Wanted::Topology(Purpose::Support))?
    };
    let Some(plan) = asking(client, &ask, json).await?.plan else {
        return Ok(exit::FINDINGS);
    };
    let stored: Plan = client.get(&format!("/v1/plans/{}", plan.0)).await?;
    let mut report = Report::default();
    let about = |target: &TargetId| ask.only.is_empty() || ask.only.contains(target);
    for (target, part) in &stored.targets {
        if part.phases.is_empty() && about(target) {
            let why = part.why.join("; ");
            report.not_collected.insert(target.clone(), why);
        }
    }
    if stored.waves.iter().any(|wave| !wave.is_empty()) {
        let (applied, frame) = readiness::asked(client, plan).await?;
        for row in &frame.view.targets {
            let rollout = applied.rollout;
            let path = format!("/v1/targets/{}/why?rollout={rollout}", row.target);
            let why: Why = client.get(&path).await?;
            match why.said.last() {
                Some(said) if row.is_done() => {
                    report.collected.insert(row.target.clone(), said.clone());
                }
                _ => {
                    let away = if row.connected { "" } else { "; it is away" };
                    let why = format!("{}: {}{away}", row.state, row.detail);
                    report.not_collected.insert(row.target.clone(), why);
                }
            }
        }
    }
    if json {
        output::json(&report)?;
    } else {
        for (target, said) in &report.collected {
            output::print(&format!("{target}: {said}"));
        }
        for (target, why) in &report.not_collected {
            output::print(&format!("{target}: not collected ({why})"));
        }
    }
    Ok(
        match (report.collected.is_empty(), report.not_collected.is_empty()) {
            (false, true) => exit::OK,
            _ => exit::NOT_ALL_DONE,
        },
    )
}
