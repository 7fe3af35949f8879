//! Rollout policy: how fast. A document of its own with its own digest.

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::Grade;
use protocol::{Digest, DomainName};
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use crate::finding::{Finding, Place, Severity, Source, nearest};
use crate::topology::reader::{At, Remarks, Table};
use crate::topology::{Document, Topology};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Digest of the document; zero for the defaults.
    pub digest: Digest,
    /// Waves in order; what none selects comes last.
    pub waves: Vec<Selector>,
    /// Where each of them is written.
    pub places: Vec<Place>,
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
            places: Vec::new(),
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

/// Finds waves that take nothing of a topology: a slip of the pen would silently put their servers last.
#[must_use]
pub fn check(policy: &Policy, topology: &Topology) -> Vec<Finding> {
    // What could not be read may be what a wave is for.
    if topology.gaps.text || topology.gaps.lists {
        return Vec::new();
    }
    let domains = topology.covered_domains();
    let groups = topology.agents.values().map(|group| &group.labels);
    let labels: Vec<&BTreeMap<String, String>> = groups
        .chain(topology.connect.values().map(|entry| &entry.labels))
        .collect();
    let mut findings = Vec::new();
    let mut add = |place: &Place, severity, what: String, fix: String| {
        findings.push(Finding {
            place: place.clone(),
            severity,
            what,
            fix,
        });
    };
    for (selector, place) in policy.waves.iter().zip(&policy.places) {
        match selector {
            Selector::Rest => {}
            Selector::Domains(named) => {
                for domain in named {
                    if domains.contains(domain) {
                        continue;
                    }
                    let meant = nearest(domain.as_str(), domains.iter().map(DomainName::as_str));
                    let fix = meant.map_or_else(
                        || "name a domain that the topology serves".to_owned(),
                        |meant| format!("did you mean \"{meant}\"?"),
                    );
                    let what =
                        format!("a wave is for {domain}, which nothing in the topology serves");
                    add(place, Severity::Error, what, fix);
                }
            }
            Selector::Labels(wanted) => {
                let takes = |labels: &&BTreeMap<String, String>| {
                    wanted
                        .iter()
                        .all(|(label, value)| labels.get(label) == Some(value))
                };
                if labels.iter().any(takes) {
                    continue;
                }
                let asked: Vec<String> = wanted
                    .iter()
                    .map(|(label, value)| format!("{label} = \"{value}\""))
                    .collect();
                let what = format!(
                    "nothing in the topology has the labels {}: the wave takes no server",
                    asked.join(", ")
                );
                let values = labels.iter().flat_map(|labels| labels.iter());
                let values = values.filter(|(label, _)| wanted.contains_key(*label));
                let there: BTreeSet<String> = values
                    .map(|(label, value)| format!("{label} = \"{value}\""))
                    .collect();
                let there: Vec<String> = there.into_iter().collect();
                let fix = if there.is_empty() {
                    "give a group these labels, or remove the wave".to_owned()
                } else {
                    format!("there is {}", there.join(", "))
                };
                add(place, Severity::Warning, what, fix);
            }
        }
    }
    findings
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
        let selector = match (rest, labels.is_empty(), domains.is_empty()) {
            (Some(true), true, true) => Selector::Rest,
            (None, false, true) => Selector::Labels(labels),
            (None, true, false) => Selector::Domains(domains),
            _ => {
                remarks.error(
                    &range,
                    "a wave has labels, or domains, or is { rest = true }",
                    "write { ring = \"1\" } or { domains = [\"corp.contoso.com\"] }",
                );
                continue;
            }
        };
        policy.waves.push(selector);
        policy.places.push(remarks.source.place(&range));
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
