//! The report of a preflight for whoever a server belongs to: a part for each server with every finding, when it was read, which signed
//! receipt closes it, and who answers for its domains and its tenant by the topology. It goes into a new file; none is written over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use controller_core::topology::{Document, Topology, parse};
use protocol::TargetId;
use protocol::event::{Finding, Owner, Severity, Verdict};

use crate::cli::output::plain;
use crate::cli::readiness::{Report, Row, finding};
use crate::files;
use crate::http::types::PlanAsk;

/// Where reports go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// One new file for all servers.
    File(PathBuf),
    /// A new file for each server in a folder that is there.
    Folder(PathBuf),
}

impl Place {
    /// Where a path leads.
    ///
    /// # Errors
    /// When a file is there already.
    pub(crate) fn at(path: PathBuf) -> anyhow::Result<Self> {
        if path.is_dir() {
            return Ok(Self::Folder(path));
        }
        free(&path)?;
        Ok(Self::File(path))
    }

    /// Tells whether each of these servers can have its file.
    ///
    /// # Errors
    /// When one has one already.
    pub(crate) fn is_free<'a>(
        &self,
        servers: impl Iterator<Item = &'a TargetId>,
    ) -> anyhow::Result<()> {
        let Self::Folder(folder) = self else {
            return Ok(());
        };
        for server in servers {
            free(&of(folder, server))?;
        }
        Ok(())
    }

    /// Writes the report, and tells which files were made.
    ///
    /// # Errors
    /// When a file came there meanwhile, or the disk refuses.
    pub(crate) fn write(&self, report: &Report) -> anyhow::Result<Vec<PathBuf>> {
        match self {
            Self::File(path) => {
                let mut text: Vec<String> =
                    report.servers.iter().map(|row| part(row, report)).collect();
                text.extend(report.not_asked.iter().map(silent));
                files::write_private(path, plain(&text.join("\n")).as_bytes())?;
                Ok(vec![path.clone()])
            }
            Self::Folder(folder) => {
                let mut made = Vec::new();
                for row in &report.servers {
                    let path = of(folder, &row.target);
                    files::write_private(&path, plain(&part(row, report)).as_bytes())?;
                    made.push(path);
                }
                for one in &report.not_asked {
                    let path = of(folder, one.0);
                    files::write_private(&path, plain(&silent(one)).as_bytes())?;
                    made.push(path);
                }
                Ok(made)
            }
        }
    }
}

/// What is told of a server that did not answer, or was not asked.
fn silent((target, why): (&TargetId, &String)) -> String {
    format!("{target}: no answer ({why})\n")
}

fn of(folder: &Path, server: &TargetId) -> PathBuf {
    folder.join(format!("{server}.txt"))
}

/// Nobody is asked for a report that could not be written.
fn free(path: &Path) -> anyhow::Result<()> {
    files::free(path, "report", "Nobody was asked")
}

/// Who answers for what a server serves, by the topology: "domain corp.contoso.com" and "tenant main", each with a name.
pub(crate) type Owners = BTreeMap<String, String>;

/// Reads owners out of the documents of a plan.
pub(crate) fn topology(ask: &PlanAsk) -> Topology {
    let documents: Vec<Document> = ask.topology.iter().map(Document::from).collect();
    parse(&documents).0
}

/// Who answers for a server's domains and its tenant.
pub(crate) fn owners(topology: &Topology, target: &TargetId) -> Owners {
    let mut domains: BTreeSet<_> = target.home_domain().into_iter().collect();
    let mut tenants = BTreeSet::new();
    let groups = topology.agents.values();
    for group in groups.filter(|group| {
        let mut all = group.hosts.iter().chain(&group.retired);
        all.any(|(host, _)| host == target)
    }) {
        domains.extend(group.serves.iter().map(|(domain, _)| domain.clone()));
        tenants.insert(group.tenant.value.clone());
    }
    let entries = topology.connect.values();
    for entry in entries.filter(|entry| entry.members().any(|member| member == target)) {
        domains.extend(entry.forests.iter().map(|(forest, _)| forest.clone()));
        tenants.insert(entry.tenant.value.clone());
    }
    let mut owners = Owners::new();
    for domain in domains {
        let owner = topology.domains.get(&domain);
        if let Some(owner) = owner.and_then(|domain| domain.owner.clone()) {
            owners.insert(format!("domain {domain}"), owner);
        }
    }
    for tenant in tenants {
        let owner = topology.tenants.get(&tenant);
        if let Some(owner) = owner.and_then(|tenant| tenant.owner.clone()) {
            owners.insert(format!("tenant {tenant}"), owner);
        }
    }
    owners
}

/// A server's part.
fn part(row: &Row, report: &Report) -> String {
    let mut text = format!("{}: {}\n", row.target, row.head());
    match &row.receipt {
        Some(receipt) => text.push_str(&format!(
            "  answered at {}, to rollout {}\n  receipt {}: SHA-256 of what the server's agent signed, which stands in the record (entrain audit export FILE; entrain audit verify FILE)\n",
            receipt.at, receipt.rollout, receipt.receipt
        )),
        None => text.push_str(&format!(
            "  by rollout {}; no signed receipt closes these answers: {}\n",
            report.rollout, row.state
        )),
    }
    if row.owners.is_empty() {
        text.push_str("  the topology names nobody who answers for its domains or its tenant\n");
    }
    for (what, who) in &row.owners {
        text.push_str(&format!("  {what}: {who} answers for it\n"));
    }
    let mut findings: Vec<&Finding> = row.findings.iter().collect();
    findings.sort_by_key(|one| {
        let passes = one.verdict == Verdict::Pass;
        let severity = std::cmp::Reverse(one.severity);
        (passes, severity, one.owner as u8, one.id.clone())
    });
    for one in findings {
        if one.verdict == Verdict::Pass {
            let Finding { id, what, read, .. } = one;
            text.push_str(&format!(
                "  {:<11} {id} {what}\n              read: {read}\n",
                "pass"
            ));
        } else {
            text.push_str(&finding(one, row));
        }
    }
    for one in &row.unasked {
        text.push_str(&format!("  {:<11} {one}\n", "not asked"));
    }
    let untold = |one: &&Finding| one.verdict == Verdict::CannotTell;
    let notes = |one: &&Finding| one.verdict == Verdict::Fail && one.severity == Severity::Info;
    text.push_str(&format!(
        "  {} of {} probes pass; {} cannot tell, {} are notes\n",
        row.findings
            .iter()
            .filter(|one| one.verdict == Verdict::Pass)
            .count(),
        row.findings.len(),
        row.findings.iter().filter(untold).count(),
        row.findings.iter().filter(notes).count(),
    ));
    let network = |one: &Finding| one.owner == Owner::Network && one.verdict != Verdict::Pass;
    if row.findings.iter().any(network) && !row.network.is_empty() {
        text.push_str("  the network lets through, from this server\n");
        for line in &row.network {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text
}
