//! Rollout policy: how fast. A document of its own with its own digest.

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::Grade;
use protocol::{Digest, DomainName};
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use crate::finding::{Finding, Source};
use crate::topology::Document;
use crate::topology::reader::{At, Remarks, Table};

/// Which targets a wave takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selector {
    /// Those with all these labels.
    Labels(BTreeMap<String, String>),
    /// Those that serve, or synchronize, one of these domains.
    Domains(BTreeSet<DomainName>),
    /// All that no earlier wave took.
    Rest,
}

/// A bound on failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureLimit {
    /// This many targets.
    Count(u32),
    /// This share of all targets, rounded down, at least 1.
    Percent(u32),
}

impl FailureLimit {
    /// The limit for that many targets.
    #[must_use]
    pub fn of(self, targets: usize) -> u32 {
        let targets = u32::try_from(targets).unwrap_or(u32::MAX);
        match self {
            Self::Count(count) => count.max(1),
            Self::Percent(percent) => u32::try_from(u64::from(targets) * u64::from(percent) / 100)
                .unwrap_or(u32::MAX)
                .max(1),
        }
    }
}

/// How fast a rollout goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Digest of the document; zero for the defaults.
    pub digest: Digest,
    /// Waves in order; what none selects comes last.
    pub waves: Vec<Selector>,
    /// Failures at which nothing more is started.
    pub failures: FailureLimit,
    /// Targets that may be under way at once.
    pub in_flight: u32,
    /// Targets of each group that go first in a wave.
    pub canary: u32,
    /// Grade that a target must reach.
    pub need: Grade,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            digest: Digest::ZERO,
            waves: vec![Selector::Rest],
            failures: FailureLimit::Percent(5),
            in_flight: 25,
            canary: 1,
            need: Grade::Registered,
        }
    }
}

/// Parses a policy and gives all findings.
#[must_use]
pub fn parse(document: &Document) -> (Policy, Vec<Finding>) {
    let source = Source {
        file: &document.file,
        text: &document.text,
    };
    let mut remarks = Remarks {
        source,
        findings: Vec::new(),
    };
    let mut policy = Policy {
        digest: Digest::of(document.text.as_bytes()),
        ..Policy::default()
    };
    let (table, errors) = DeTable::parse_recoverable(&document.text);
    remarks.syntax(errors);
    let syntax = remarks.findings.len();
    let table = Table::new("", table.get_ref(), 0..0);
    read(table, &mut policy, &mut remarks);
    remarks.settle(syntax);
    (policy, remarks.findings)
}

fn read(mut document: Table<'_, '_>, policy: &mut Policy, remarks: &mut Remarks<'_>) {
    let waves = document.tables("waves", remarks);
    if !waves.is_empty() {
        policy.waves.clear();
    }
    for mut wave in waves {
        let rest = wave.flag("rest", remarks);
        let ring = wave.text("ring", remarks);
        let mut labels: BTreeMap<String, String> =
            wave.texts("labels", remarks).into_iter().collect();
        if let Some(ring) = ring {
            labels.insert("ring".to_owned(), ring.value);
        }
        let domains: BTreeSet<DomainName> = wave
            .list("domains", remarks)
            .into_iter()
            .map(|domain: At<DomainName>| domain.value)
            .collect();
        let range = wave.range().clone();
        wave.finish(remarks);
        match (rest, labels.is_empty(), domains.is_empty()) {
            (Some(true), true, true) => policy.waves.push(Selector::Rest),
            (None, false, true) => policy.waves.push(Selector::Labels(labels)),
            (None, true, false) => policy.waves.push(Selector::Domains(domains)),
            _ => remarks.error(
                &range,
                "a wave has labels, or domains, or is { rest = true }",
                "write { ring = \"1\" } or { domains = [\"corp.contoso.com\"] }",
            ),
        }
    }
    if let Some(mut limit) = document.table("limit", remarks) {
        if let Some(failures) = limit.text("failures", remarks) {
            let number = failures.value.strip_suffix('%').map_or_else(
                || failures.value.parse().map(FailureLimit::Count),
                |share| share.parse().map(FailureLimit::Percent),
            );
            match number {
                Ok(number) => policy.failures = number,
                Err(_) => remarks.error(
                    &failures.range,
                    "failures is a count or a share",
                    "write \"3\" or \"5%\"",
                ),
            }
        }
        if let Some(in_flight) = limit.number("in_flight", remarks) {
            if in_flight.value == 0 {
                remarks.error(
                    &in_flight.range,
                    "in_flight = 0 would never start anything",
                    "write 1 or more",
                );
            }
            policy.in_flight = in_flight.value.max(1);
        }
        if let Some(canary) = limit.number("canary", remarks) {
            policy.canary = canary.value;
        }
        limit.finish(remarks);
    }
    if let Some(need) = document.text("need", remarks) {
        match need.value.as_str() {
            "installed" => policy.need = Grade::Installed,
            "configured" => policy.need = Grade::Configured,
            "registered" => policy.need = Grade::Registered,
            other => {
                let what = format!("need: the grade \"{other}\" cannot be seen by this version");
                remarks.error(
                    &need.range,
                    what,
                    "write installed, configured or registered",
                );
            }
        }
    }
    document.finish(remarks);
}
