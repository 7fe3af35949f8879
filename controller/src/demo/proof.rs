//! What the log proves about a rollout: computed from its entries, not from what was shown while it ran.

use std::collections::{BTreeMap, BTreeSet};

use protocol::TargetId;
use protocol::event::Event;
use protocol::step::Product;

use crate::http::types::{Frame, LogRow};
use controller_core::plan::lane;
use controller_core::record::Record;

fn events(rows: &[LogRow]) -> impl Iterator<Item = (&TargetId, &Event)> {
    rows.iter().filter_map(|row| {
        let Record::TargetEvent { target, .. } = &row.record else {
            return None;
        };
        row.event.as_ref().map(|event| (target, event))
    })
}

/// For each domain: how many served at the start, the lowest count since, and the minimum it must keep.
pub(super) fn serving(rows: &[LogRow], frame: &Frame) -> Vec<(String, bool, String)> {
    let mut serving: BTreeSet<TargetId> = BTreeSet::new();
    let mut out: BTreeSet<TargetId> = BTreeSet::new();
    let mut lowest: BTreeMap<String, usize> = BTreeMap::new();
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut applied = false;
    let mut members: BTreeMap<String, BTreeSet<TargetId>> = BTreeMap::new();
    for target in &frame.view.targets {
        for domain in frame
            .view
            .domains
            .iter()
            .filter(|domain| serves(&target.target, &target.lane, domain.domain.as_str()))
        {
            members
                .entry(domain.domain.to_string())
                .or_default()
                .insert(target.target.clone());
        }
    }
    let count =
        |serving: &BTreeSet<TargetId>, out: &BTreeSet<TargetId>, of: &BTreeSet<TargetId>| {
            of.iter()
                .filter(|target| serving.contains(*target) && !out.contains(*target))
                .count()
        };
    let minimum = |name: &str| {
        let domain = frame
            .view
            .domains
            .iter()
            .find(|domain| domain.domain.as_str() == name);
        domain.map_or(usize::MAX, |domain| {
            usize::try_from(domain.min_serving).unwrap_or(usize::MAX)
        })
    };
    for row in rows {
        if matches!(row.record, Record::Applied { .. }) {
            applied = true;
            for (domain, of) in &members {
                first.insert(domain.clone(), count(&serving, &out, of));
            }
        }
        if let (Record::TargetEvent { target, .. }, Some(event)) = (&row.record, &row.event) {
            if let Event::FactsReported(facts) = event {
                if facts
                    .provisioning_agent
                    .as_ref()
                    .is_some_and(|agent| agent.serves())
                {
                    serving.insert(target.clone());
                } else {
                    serving.remove(target);
                }
            }
            if matches!(event, Event::SectionEntered { section, .. } if section.outage) {
                out.insert(target.clone());
            }
            if matches!(event, Event::SectionLeft { .. }) {
                out.remove(target);
            }
        }
        if applied {
            for (domain, of) in &members {
                let now = count(&serving, &out, of);
                // A domain that nobody served is held to its minimum from the moment at which it has reached it.
                if now >= minimum(domain) || lowest.contains_key(domain) {
                    let low = lowest.entry(domain.clone()).or_insert(now);
                    *low = (*low).min(now);
                }
            }
        }
    }
    let line = |domain: &controller_core::fleet::DomainView| {
        let name = domain.domain.to_string();
        let (first, low) = (
            first.get(&name).copied().unwrap_or(0),
            lowest.get(&name).copied().unwrap_or(0),
        );
        let now = members.get(&name).map_or(0, |of| count(&serving, &out, of));
        let minimum = minimum(&name);
        if first == 0 {
            let seen = format!(
                "none served at the start, {now} of {} now; since there were {minimum}, never fewer than {low}, minimum {minimum}",
                domain.servers
            );
            let holds = now == domain.servers && low >= minimum;
            (format!("{name} came into service"), holds, seen)
        } else {
            let seen =
                format!("{first} served at the start, never fewer than {low}, minimum {minimum}");
            (format!("{name} kept serving"), low >= minimum, seen)
        }
    };
    frame.view.domains.iter().map(line).collect()
}

/// A server of a group serves the domains below its own home domain; the demo's groups are made so.
fn serves(target: &TargetId, lane: &str, domain: &str) -> bool {
    let home = target
        .home_domain()
        .map(|home| home.to_string())
        .unwrap_or_default();
    lane::is_of(lane, Product::ProvisioningAgent)
        && (domain == home || domain.ends_with(&format!(".{home}")))
}

/// Whether more than one Connect server was ever reported as active at once.
pub(super) fn one_active(rows: &[LogRow]) -> (bool, String) {
    let mut active: BTreeSet<&TargetId> = BTreeSet::new();
    let mut most = 0;
    for (target, event) in events(rows) {
        if let Event::FactsReported(facts) = event {
            match facts.connect.as_ref().and_then(|connect| connect.staging) {
                Some(false) => active.insert(target),
                Some(true) | None => active.remove(target),
            };
            most = most.max(active.len());
        }
    }
    (most == 1, format!("at most {most} at any moment"))
}

/// Steps that failed.
pub(super) fn failures(rows: &[LogRow]) -> usize {
    events(rows)
        .filter(|(_, event)| matches!(event, Event::StepFailed { .. }))
        .count()
}

/// Flips one bit in the middle of an entry of the record; gives its line and the altered text.
pub(super) fn flip_one_byte(text: &str) -> (usize, String) {
    let lines: Vec<&str> = text.lines().collect();
    let middle = lines.len() / 2;
    let entry = |line: &&str| line.contains("\"line\":\"entry\"") && line.contains("target-event");
    let line = (middle..lines.len())
        .find(|at| lines.get(*at).is_some_and(entry))
        .unwrap_or(1);
    let mut altered: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    // A digit of the time that the agent journaled: still a well-formed line.
    let target = &mut altered[line];
    if let Some(at) = target.find("\\\"at\\\":\\\"20") {
        let digit = at + "\\\"at\\\":\\\"2".len();
        target.replace_range(digit..=digit, "1");
    }
    (line + 1, altered.join("\n"))
}
