//! `entrain preflight`: asks every server of a topology whether it is ready, waits for the answers, and prints for each
//! server what is to be mended and by whom. The runs change nothing; their receipts are signed like all others.

use std::collections::BTreeMap;

use controller_core::answered::Attested;
use controller_core::fleet::Why;
use controller_core::plan::Plan;
use controller_core::readiness::{Named, mends};
use protocol::event::{Finding, Owner, Severity, Verdict};
use protocol::{PlanId, TargetId};
use serde::Serialize;

use crate::cli::report::{self, Owners, Place};
use crate::cli::{Show, exit, follow, output};
use crate::http::client::Client;
use crate::http::types::{Applied, ApplyAsk, Frame, PlanAsk, Planned};

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
    pub(super) target: TargetId,
    /// True when nothing stops it; false also when it gave no answer.
    ready: bool,
    /// Its state in the rollout.
    pub(super) state: String,
    /// Why there is no answer, where there is none.
    detail: String,
    /// All answers.
    pub(super) findings: Vec<Finding>,
    /// What people attest of those that could not be told.
    attested: Vec<Attested>,
    /// The signed receipt that closes them: when it came, of which rollout, and its digest. A question about a move has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receipt: Option<Named>,
    /// What was to be asked of it and was not, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unasked: Vec<String>,
    /// Who answers for its domains and its tenant, as the topology says.
    #[serde(skip_serializing_if = "Owners::is_empty")]
    pub(super) owners: Owners,
    /// What the network must let through for it, a line each.
    #[serde(skip)]
    pub(super) network: Vec<String>,
}

impl Row {
    fn untold(&self) -> usize {
        let untold = |one: &&Finding| one.verdict == Verdict::CannotTell;
        self.findings.iter().filter(untold).count()
    }

    /// Whether it is ready, in words.
    pub(super) fn head(&self) -> String {
        if self.ready {
            Asked::Ready.word().to_owned()
        } else {
            self.mended(Asked::Ready)
        }
    }

    fn mended(&self, asked: Asked) -> String {
        let blocks = self.findings.iter().filter(|one| one.blocks()).count();
        let and = if self.unasked.is_empty() {
            ""
        } else {
            ", and not all was asked"
        };
        format!("not {}, {blocks} to mend first{and}", asked.word())
    }
}

/// What all servers answered.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The rollout whose receipts hold the answers.
    pub(super) rollout: String,
    /// What each tenant answered when it was read last, by its name in the topology: sentences.
    tenants: BTreeMap<String, Vec<String>>,
    /// Servers, by name.
    pub(super) servers: Vec<Row>,
    /// What the network must let through for them, a line each.
    pub(super) network: Vec<String>,
    /// Servers that were not asked, and why.
    pub(super) not_asked: BTreeMap<TargetId, String>,
}

/// Carries out a plan that only asks, and reports: on the standard output, and into new files where that is wanted.
pub(crate) async fn run(
    client: &Client,
    planned: &Planned,
    (asked_for, ask): (Asked, &PlanAsk),
    into: Option<Place>,
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
    let about = |target: &TargetId| ask.only.is_empty() || ask.only.contains(target);
    if let Some(into) = &into {
        into.is_free(stored.targets.keys().filter(|target| about(target)))?;
    }
    let topology = report::topology(ask);
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
    let left_out = left_out.filter(|(target, _)| about(target));
    report
        .not_asked
        .extend(left_out.map(|(target, part)| (target.clone(), part.why.join("; "))));
    for target in frame.view.targets.iter().filter(|row| about(&row.target)) {
        let why: Why = client
            .get(&format!(
                "/v1/targets/{}/why?rollout={}",
                target.target, applied.rollout
            ))
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
            ready: why.is_ready(),
            state: target.state.clone(),
            detail: target.detail.clone(),
            findings: why.findings,
            attested: why.attested,
            receipt: why.receipt,
            unasked: why.unasked,
            owners: report::owners(&topology, &target.target),
            network: stored
                .targets
                .get(&target.target)
                .and_then(|part| planned.network_by_lane.get(&part.lane))
                .cloned()
                .unwrap_or_default(),
        });
    }
    if json {
        output::json(&report)?;
    } else {
        output::print(&text(&report, asked_for));
    }
    for path in into
        .iter()
        .map(|into| into.write(&report))
        .collect::<Result<Vec<_>, _>>()?
        .concat()
    {
        output::error(&format!("the report is in {}", path.display()));
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
            target.terminal || target.is_held() || !target.connected
        };
        frame.view.targets.iter().all(over)
    })
    .await?;
    Ok((applied, frame))
}

/// What does not pass, with who mends it, and what people attest of it.
pub(super) fn finding(finding: &Finding, row: &Row) -> String {
    let how = match (finding.blocks(), finding.verdict, finding.severity) {
        (true, ..) => "blocks",
        (false, Verdict::CannotTell, _) => "cannot tell",
        (false, _, Severity::Info) => "note",
        (false, _, Severity::Warn | Severity::Block) => "warns",
    };
    let mut text = format!(
        "  {how:<11} {} {}\n              read: {}; wanted: {}\n              {}: {}\n",
        finding.id,
        finding.what,
        finding.read,
        finding.wanted,
        mends(finding.owner),
        finding.fix
    );
    let attested = row.attested.iter();
    let mut own = attested.filter(|one| {
        one.id == finding.id && one.what == finding.what && finding.verdict == Verdict::CannotTell
    });
    if let Some(one) = own.next() {
        text.push_str(&format!("              {}\n", one.sentence));
    }
    text
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
        let untold = row.untold();
        let head = match (row.ready, asked) {
            // A move is taken back with much work: what nobody has looked at is not called good.
            (true, Asked::Eligible) if untold > 0 => {
                format!("{word} as far as it tells, {untold} to look at")
            }
            (true, _) => word.to_owned(),
            (false, _) => row.mended(asked),
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
        for one in open {
            text.push_str(&finding(one, row));
        }
        for one in &row.unasked {
            text.push_str(&format!("  {:<11} {one}\n", "not asked"));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What an agent did not come to is no part of "so many to mend first", and is said on the screen and in the file.
    #[test]
    fn what_was_not_asked_is_told_beside_what_was() {
        let row = Row {
            target: "s1.a.test".parse().unwrap(),
            ready: false,
            state: "failed".to_owned(),
            detail: String::new(),
            findings: Vec::new(),
            attested: Vec::new(),
            receipt: None,
            unasked: vec!["what Connect Sync needs was not asked".to_owned()],
            owners: Owners::new(),
            network: Vec::new(),
        };
        assert_eq!(
            row.head(),
            "not ready, 0 to mend first, and not all was asked"
        );
        let report = Report {
            rollout: "r1".to_owned(),
            tenants: BTreeMap::new(),
            servers: vec![row],
            network: Vec::new(),
            not_asked: BTreeMap::new(),
        };
        let line = "  not asked   what Connect Sync needs was not asked\n";
        let shown = text(&report, Asked::Ready);
        assert!(shown.contains(line), "{shown}");
        let folder = tempfile::tempdir().unwrap();
        let into = Place::at(folder.path().to_owned()).unwrap();
        let made = into.write(&report).unwrap();
        let written = std::fs::read_to_string(&made[0]).unwrap();
        assert!(written.contains(line), "{written}");
    }

    /// Whoever a silent server belongs to asks for its file as well.
    #[test]
    fn a_folder_gets_a_file_for_each_server_that_did_not_answer_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let target: TargetId = "s1.a.test".parse().unwrap();
        let report = Report {
            rollout: "r1".to_owned(),
            tenants: BTreeMap::new(),
            servers: Vec::new(),
            network: Vec::new(),
            not_asked: BTreeMap::from([(target, "held: it is away".to_owned())]),
        };
        let into = Place::at(folder.path().to_owned()).unwrap();
        let made = into.write(&report).unwrap();
        assert_eq!(made, [folder.path().join("s1.a.test.txt")]);
        let text = std::fs::read_to_string(&made[0]).unwrap();
        assert_eq!(text, "s1.a.test: no answer (held: it is away)\n");
    }
}
