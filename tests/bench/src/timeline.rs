//! What a rollout's log entries say about time. The log keeps milliseconds.

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// When the last target reached each stage, in milliseconds since the rollout was applied.
pub(crate) struct Timeline {
    pub(crate) total: f64,
    ends: Vec<(&'static str, f64)>,
}

impl Timeline {
    /// Each stage's share of the whole: the time from the end of the stage before to its own.
    pub(crate) fn shares(&self) -> Vec<(&'static str, f64)> {
        let mut before = 0.0_f64;
        let mut shares = Vec::new();
        for (stage, end) in &self.ends {
            let share = if self.total > 0.0 {
                (end - before) / self.total
            } else {
                0.0
            };
            shares.push((*stage, share));
            before = *end;
        }
        shares
    }
}

/// Milliseconds.
fn at(row: &Value) -> Option<f64> {
    let at: jiff::Timestamp = row["at"].as_str()?.parse().ok()?;
    Some(at.as_duration().as_secs_f64() * 1000.0)
}

fn of_event<'a>(rows: &'a [Value], event: &'a str) -> impl Iterator<Item = &'a Value> {
    rows.iter()
        .filter(move |row| row["event"]["event"] == event)
}

fn applied(rows: &[Value]) -> anyhow::Result<f64> {
    rows.iter()
        .find(|row| row["record"]["record"] == "applied")
        .and_then(at)
        .context("the log says nothing of an apply")
}

/// The stages of a verify-only rollout. What an agent journaled carries the agent's time, which here is of the same clock.
pub(crate) fn verification(rows: &[Value], agents: usize) -> anyhow::Result<Timeline> {
    let begun = applied(rows)?;
    let last = |times: Vec<f64>, stage: &str| {
        ensure!(
            times.len() >= agents,
            "{} of {agents} targets reached {stage}",
            times.len()
        );
        Ok(times.into_iter().fold(begun, f64::max) - begun)
    };
    let journaled = |name: &str| -> Vec<f64> {
        let times = of_event(rows, name).map(|row| &row["record"]["is"]);
        times.filter_map(at).collect()
    };
    let issued = rows
        .iter()
        .filter(|row| row["record"]["record"] == "bundle-issued");
    let stored = of_event(rows, "run-finished").filter_map(at).collect();
    let mut ends = vec![
        (
            "bundles signed and stored",
            last(issued.filter_map(at).collect(), "issued")?,
        ),
        (
            "bundles delivered, checked and journaled",
            last(journaled("bundle-accepted"), "accepted")?,
        ),
        (
            "steps carried out, receipts signed",
            last(journaled("run-finished"), "finished")?,
        ),
        ("receipts delivered and stored", last(stored, "stored")?),
    ];
    // Stages overlap; a later one never ends before an earlier one.
    for place in 1..ends.len() {
        ends[place].1 = ends[place].1.max(ends[place - 1].1);
    }
    let total = ends[ends.len() - 1].1;
    Ok(Timeline { total, ends })
}

/// Milliseconds from the first install step's begin to the end of the last one, once all have ended.
pub(crate) fn fetched(rows: &[Value], agents: usize) -> anyhow::Result<Option<f64>> {
    let install = |row: &&Value| row["event"]["is"]["step"] == 1;
    if let Some(failed) = of_event(rows, "step-failed").next() {
        anyhow::bail!("a step failed: {failed}");
    }
    let ended: Vec<f64> = of_event(rows, "step-completed")
        .filter(install)
        .filter_map(at)
        .collect();
    if ended.len() < agents {
        return Ok(None);
    }
    let begun = of_event(rows, "step-begun")
        .filter(install)
        .filter_map(at)
        .fold(f64::INFINITY, f64::min);
    Ok(Some(ended.into_iter().fold(0.0, f64::max) - begun))
}
