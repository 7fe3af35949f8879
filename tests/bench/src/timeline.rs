//! What a rollout's log entries, and the ends of the commits that stored them, say about time. The log keeps milliseconds,
//! and of each entry the time at which the controller took it up.

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

/// A moment in milliseconds.
pub(crate) fn millis(text: &str) -> Option<f64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(at.as_duration().as_secs_f64() * 1000.0)
}

fn at(row: &Value) -> Option<f64> {
    millis(row["at"].as_str()?)
}

/// When the commit was over that stored this entry.
fn stored(row: &Value, commits: &[(f64, u64)]) -> Option<f64> {
    let index = row["index"].as_u64()?;
    let place = commits.partition_point(|(_, last)| *last < index);
    commits.get(place).map(|(at, _)| *at)
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
pub(crate) fn verification(
    rows: &[Value],
    commits: &[(f64, u64)],
    agents: usize,
) -> anyhow::Result<Timeline> {
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
    let ended = |row| stored(row, commits);
    let received = of_event(rows, "run-finished").filter_map(ended).collect();
    let mut ends = vec![
        (
            "bundles signed and stored",
            last(issued.filter_map(ended).collect(), "issued")?,
        ),
        (
            "bundles delivered, checked and journaled",
            last(journaled("bundle-accepted"), "accepted")?,
        ),
        (
            "steps carried out, receipts signed",
            last(journaled("run-finished"), "finished")?,
        ),
        ("receipts delivered and stored", last(received, "stored")?),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The time that a record carries is that of its turn's begin: what the commit behind it takes counts all the same.
    #[test]
    fn the_commits_own_time_counts() {
        let row = |index: u64, at: &str, is: Value| {
            let mut row = json!({ "index": index, "at": format!("2026-01-01T00:00:00.{at}Z") });
            row.as_object_mut()
                .unwrap()
                .extend(is.as_object().unwrap().clone());
            row
        };
        let event = |name: &str, at: &str| json!({ "event": { "event": name }, "record": { "is": { "at": format!("2026-01-01T00:00:00.{at}Z") } } });
        let rows = [
            row(7, "000", json!({ "record": { "record": "applied" } })),
            row(8, "000", json!({ "record": { "record": "bundle-issued" } })),
            row(9, "006", event("bundle-accepted", "004")),
            row(10, "006", event("run-finished", "005")),
        ];
        let begin = at(&rows[0]).unwrap();
        let commits = [(begin - 5.0, 6), (begin + 2.0, 8), (begin + 9.0, 10)];
        let timeline = verification(&rows, &commits, 1).unwrap();
        assert!((timeline.total - 9.0).abs() < 1e-3);
        let sum: f64 = timeline.shares().iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert!((timeline.shares()[0].1 - 2.0 / 9.0).abs() < 1e-3);
        assert!(verification(&rows, &commits[..2], 1).is_err(), "not stored");
    }
}
