//! `entrain preflight`: asks every server of a topology whether it is ready, waits for the answers, and prints for each
//! server what is to be mended and by whom. The runs change nothing; their receipts are signed like all others.

use std::collections::BTreeMap;

use controller_core::answered::Attested;
use controller_core::fleet::Why;
use controller_core::plan::Plan;
use controller_core::readiness::mends;
use protocol::event::{Finding, Owner, Severity, Verdict};
use protocol::{PlanId, TargetId};
use serde::Serialize;

use crate::cli::{Show, exit, follow, output};
use crate::http::client::Client;
use crate::http::types::{Applied, ApplyAsk, Frame, Planned};

/// What servers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Whether they are ready.
    Ready,
    /// Whether their tenants may move to cloud sync.
    Eligible,
}

impl Asked {
    const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Eligible => "eligible",
        }
    }
}

/// What one server answered.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The server.
    target: TargetId,
    /// True when nothing stops it; false also when it gave no answer.
    ready: bool,
    /// Its state in the rollout.
    state: String,
    /// Why there is no answer, where there is none.
    detail: String,
    /// All answers.
    findings: Vec<Finding>,
    /// What people attest of those that could not be told.
    attested: Vec<Attested>,
}

/// What all servers answered.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The rollout whose receipts hold the answers.
    rollout: String,
    /// What each tenant answered when it was read last, by its name in the topology: sentences.
    tenants: BTreeMap<String, Vec<String>>,
    /// Servers, by name.
    servers: Vec<Row>,
    /// What the network must let through for them, a line each.
    network: Vec<String>,
    /// Servers that were not asked, and why.
    not_asked: BTreeMap<TargetId, String>,
}

/// Carries out a plan that only asks, and reports.
pub(crate) async fn run(
    client: &Client,
    planned: &Planned,
    asked_for: Asked,
    json: bool,
) -> anyhow::Result<u8> {
    let Some(plan) = planned.plan else {
        return Ok(exit::FINDINGS);
    };
    let warnings = planned.warnings.iter();
    for warning in warnings.filter(|_| asked_for == Asked::Eligible) {
        output::error(&format!("WARNING {warning}"));
    }
    let stored: Plan = client.get(&format!("/v1/plans/{}", plan.0)).await?;
    if stored.targets.is_empty() {
        // Nobody was asked, and that is no good answer.
        anyhow::bail!(
            "there is nobody to ask: the topology has {}",
            match asked_for {
                Asked::Ready => "no servers",
                Asked::Eligible => "no [connect.…] entry with servers",
            }
        );
    }
    let (applied, frame) = asked(client, plan).await?;
    let mut report = Report {
        rollout: applied.rollout.to_string(),
        tenants: BTreeMap::new(),
        servers: Vec::new(),
        network: planned.network.clone(),
        not_asked: BTreeMap::new(),
    };
    let tenants = stored.tenants.values();
    report
        .tenants
        .extend(tenants.map(|part| (part.wants.name.clone(), part.said.clone())));
    let left_out = stored.targets.iter().filter(|(_, part)| part.left_out);
    report
        .not_asked
        .extend(left_out.map(|(target, part)| (target.clone(), part.why.join("; "))));
    for target in &frame.view.targets {
        let why: Why = client
            .get(&format!("/v1/targets/{}/why", target.target))
            .await?;
        if why.findings.is_empty() {
            report.not_asked.insert(
                target.target.clone(),
                format!("{}: {}", target.state, target.detail),
            );
            continue;
        }
        report.servers.push(Row {
            target: target.target.clone(),
            ready: target.state == "done" && !why.findings.iter().any(Finding::blocks),
            state: target.state.clone(),
            detail: target.detail.clone(),
            findings: why.findings,
            attested: why.attested,
        });
    }
    if json {
        output::json(&report)?;
    } else {
        output::print(&text(&report, asked_for));
    }
    let stopped = stored.tenants.values().any(|part| part.blocks);
    let ready = !stopped && report.servers.iter().all(|row| row.ready);
    Ok(if !ready {
        exit::FINDINGS
    } else if report.not_asked.is_empty() {
        exit::OK
    } else {
        exit::NOT_ALL_DONE
    })
}

/// Applies a plan that only reads, and waits until whoever is here has answered.
pub(super) async fn asked(client: &Client, plan: PlanId) -> anyhow::Result<(Applied, Frame)> {
    let applied: Applied = client
        .post(&format!("/v1/plans/{}/apply", plan.0), &ApplyAsk::default())
        .await?;
    let frame = follow(client, applied.rollout, Show::Bars, |frame| {
        let over = |target: &controller_core::fleet::TargetView| {
            // Who is away delays nobody.
            target.terminal || target.state == "held" || !target.connected
        };
        frame.view.targets.iter().all(over)
    })
    .await?;
    Ok((applied, frame))
}

fn text(report: &Report, asked: Asked) -> String {
    let mut text = String::new();
    for (name, said) in &report.tenants {
        text.push_str(&format!("tenant {name}\n"));
        for line in said {
            text.push_str(&format!("  {line}\n"));
        }
    }
    let word = asked.word();
    for row in &report.servers {
        let blocks = row.findings.iter().filter(|one| one.blocks()).count();
        let untold = |one: &&Finding| one.verdict == Verdict::CannotTell;
        let untold = row.findings.iter().filter(untold).count();
        let head = match (row.ready, asked) {
            // A move is taken back with much work: what nobody has looked at is not called good.
            (true, Asked::Eligible) if untold > 0 => {
                format!("{word} as far as it tells, {untold} to look at")
            }
            (true, _) => word.to_owned(),
            (false, _) => format!("not {word}, {blocks} to mend first"),
        };
        text.push_str(&format!("{}: {head}\n", row.target));
        let mut open: Vec<&Finding> = row
            .findings
            .iter()
            .filter(|one| one.verdict != Verdict::Pass && one.severity > Severity::Info)
            .collect();
        open.sort_by_key(|one| {
            (
                std::cmp::Reverse(one.severity),
                one.owner as u8,
                one.id.clone(),
            )
        });
        for finding in open {
            let how = match (finding.blocks(), finding.verdict) {
                (true, _) => "blocks",
                (false, Verdict::CannotTell) => "cannot tell",
                (false, _) => "warns",
            };
            text.push_str(&format!(
                "  {how:<11} {} {}\n              read: {}; wanted: {}\n              {}: {}\n",
                finding.id,
                finding.what,
                finding.read,
                finding.wanted,
                mends(finding.owner),
                finding.fix
            ));
            let attested = row.attested.iter();
            let mut own = attested.filter(|one| {
                one.id == finding.id
                    && one.what == finding.what
                    && finding.verdict == Verdict::CannotTell
            });
            if let Some(one) = own.next() {
                text.push_str(&format!("              {}\n", one.sentence));
            }
        }
        let passed = row.findings.iter();
        let passed = passed.filter(|one| one.verdict == Verdict::Pass).count();
        text.push_str(&format!(
            "  {passed} of {} probes pass\n",
            row.findings.len()
        ));
    }
    // Whoever runs the network needs the whole list, also where one host alone did not answer.
    let network = |one: &Finding| one.owner == Owner::Network && one.verdict != Verdict::Pass;
    let findings = report.servers.iter().flat_map(|row| &row.findings);
    if findings.into_iter().any(network) && !report.network.is_empty() {
        text.push_str("the network lets through, from each server\n");
        for line in &report.network {
            text.push_str(&format!("  {line}\n"));
        }
    }
    for (target, why) in &report.not_asked {
        text.push_str(&format!("{target}: no answer ({why})\n"));
    }
    text.push_str(&format!(
        "answered: {}, {word}: {}; the signed receipts are those of rollout {}",
        report.servers.len(),
        report.servers.iter().filter(|row| row.ready).count(),
        report.rollout
    ));
    text
}
