//! The benchmark: released programs on loopback, driven as an operator drives them; figures as JSON on stdout.
//! Asserted is the growth of an estate's time per server alone. `tests/run bench` builds the programs and runs it. Agents' journals lie in
//! memory-backed storage, the controller's store on disk. The programs know nothing of it: times are the log's own.
//!
//! A rollout's time goes from the moment at which the controller takes the order up to the end of the commit that stores
//! the last receipt. Its stages end when the last target has reached them, so that their shares add up.

mod estate;
mod fleet;
mod timeline;

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use fleet::{Fleet, Programs};

/// Rounds of a rollout, by number of agents: the fewer the agents, the more the noise weighs.
const fn rounds(agents: usize) -> usize {
    match agents {
        0..=9 => 20,
        10..=199 => 15,
        _ => 7,
    }
}

/// Fleets of the rollout figure.
const FLEETS: [usize; 3] = [1, 100, 1000];

/// The file that goes to all: its agents and its size.
const FILE: (usize, usize) = (40, 32 << 20);

/// Sizes of the estates that are planned and carried out in virtual time.
const ESTATES: [usize; 3] = [1_000, 10_000, 100_000];

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    let alone = arguments.next_if_eq("estates").is_some();
    let only: Vec<usize> = arguments
        .map(|count| count.parse())
        .collect::<Result<_, _>>()
        .context("usage: bench [AGENTS...] | bench estates [TARGETS...]; without words it runs everything")?;
    if alone {
        let sizes: &[usize] = if only.is_empty() { &ESTATES } else { &only };
        let growth = estate::growth(sizes)?;
        show(&json!({ "machine": machine(), "estates": growth.figures }))?;
        return grew_little(&growth.beyond);
    }
    let programs = Programs::beside_this_one()?;
    let fleets: &[usize] = if only.is_empty() { &FLEETS } else { &only };
    let mut rollouts = Vec::new();
    for &agents in fleets {
        say(&format!("verify-only rollouts on {agents} agents"));
        rollouts.push(rollout(&programs, agents)?);
    }
    let mut result = json!({
        "machine": machine(),
        "verify_only_rollout": rollouts,
    });
    let mut beyond = Vec::new();
    if only.is_empty() {
        say("one agent at rest");
        result["agent_at_rest"] = at_rest(&programs)?;
        say("a file to all");
        result["file_to_all"] = file_to_all(&programs)?;
        let growth = estate::growth(&ESTATES)?;
        result["estates"] = growth.figures;
        beyond = growth.beyond;
    }
    show(&result)?;
    grew_little(&beyond)
}

/// The figures are shown whatever they are; the run fails where something grows beyond what it may.
fn grew_little(beyond: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(beyond.is_empty(), "{}", beyond.join("; "));
    Ok(())
}

fn show(result: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, result)?;
    writeln!(out)?;
    Ok(())
}

/// Progress for whoever waits; the figures go to stdout.
fn say(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

fn machine() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|rest| rest.split_once(':'))
        .map_or("unknown", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    json!({ "processor": model, "cores": cores })
}

/// Least, middle and greatest.
fn spread(values: &mut [f64]) -> Value {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place among a few rounds"
        )]
        let place = ((values.len() - 1) as f64 * share).round() as usize;
        values[place]
    };
    json!({ "min": at(0.0), "p50": at(0.5), "max": at(1.0), "rounds": values.len() })
}

fn rollout(programs: &Programs, agents: usize) -> anyhow::Result<Value> {
    let mut fleet = Fleet::start(programs)?;
    let alone = fleet.controller_memory()?;
    fleet.swarm(agents, None)?;
    let connected = fleet.controller_memory()?;
    let hosts: Vec<String> = (1..=agents).map(fleet::registered_name).collect();
    let topology = fleet.topology(&hosts)?;
    let mut total = Vec::new();
    let mut shares: Vec<(&str, Vec<f64>)> = Vec::new();
    let mut cpu: Vec<(&str, Vec<f64>)> = vec![("controller", Vec::new()), ("agents", Vec::new())];
    for _ in 0..rounds(agents) {
        let plan = fleet.plan(&topology, &["--verify"])?;
        let before = fleet.processor_seconds()?;
        let from = fleet.log_length()?;
        fleet.apply(&plan)?;
        fleet.wait_until_over()?;
        let after = fleet.processor_seconds()?;
        let rows = fleet.log(from)?;
        let timeline = timeline::verification(&rows, &fleet.commits()?, agents)?;
        total.push(timeline.total);
        for (at, (stage, share)) in timeline.shares().into_iter().enumerate() {
            if shares.len() <= at {
                shares.push((stage, Vec::new()));
            }
            shares[at].1.push(share);
        }
        cpu[0].1.push((after.0 - before.0) * 1000.0);
        cpu[1].1.push((after.1 - before.1) * 1000.0);
    }
    let shares: serde_json::Map<String, Value> = shares
        .into_iter()
        .map(|(stage, mut values)| (stage.to_owned(), spread(&mut values)))
        .collect();
    let cpu: serde_json::Map<String, Value> = cpu
        .into_iter()
        .map(|(program, mut values)| (program.to_owned(), spread(&mut values)))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "bytes of one process")]
    let each = (connected.saturating_sub(alone)) as f64 / agents as f64 / 1024.0;
    Ok(json!({
        "agents": agents,
        "apply_to_last_stored_receipt_ms": spread(&mut total),
        "share_by_stage": shares,
        "processor_ms": cpu,
        "controller_pss_bytes": connected,
        "controller_kib_per_connected_agent": each,
    }))
}

/// One agent with nothing to do: the program as it is released, without models, and a swarm of one.
fn at_rest(programs: &Programs) -> anyhow::Result<Value> {
    let mut fleet = Fleet::start(programs)?;
    fleet.swarm(1, None)?;
    let swarm = fleet.agents_memory()?;
    let released = match programs.released() {
        Some(program) => {
            let mut fleet = Fleet::real(programs)?;
            fleet.released_agent(&program)?;
            Some(fleet.agents_memory()?)
        }
        None => None,
    };
    Ok(json!({ "released_agent_pss_bytes": released, "swarm_of_one_pss_bytes": swarm }))
}

/// An artifact that every agent of a rollout fetches, checks by chunk and writes.
fn file_to_all(programs: &Programs) -> anyhow::Result<Value> {
    let (agents, bytes) = FILE;
    let mut megabytes_per_second = Vec::new();
    for _ in 0..3 {
        let mut fleet = Fleet::start(programs)?;
        let names: Vec<String> = (1..=agents).map(fleet::bare_name).collect();
        let described = fleet.write("fleet.json", &fleet::bare_servers(&names))?;
        fleet.swarm(agents, Some(&described))?;
        fleet.add_artifact(bytes)?;
        let topology = fleet.topology(&names)?;
        let policy = fleet.write(
            "policy.toml",
            "[limit]\nfailures = \"1000\"\nin_flight = 1000\ncanary = 0\n",
        )?;
        let plan = fleet.plan(&topology, &["--policy", path(&policy)?])?;
        let from = fleet.log_length()?;
        fleet.apply(&plan)?;
        let seconds = fleet.wait_for(|rows| timeline::fetched(rows, agents), from)? / 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "a size in MiB")]
        let size = (agents * bytes) as f64 / f64::from(1 << 20);
        megabytes_per_second.push(size / seconds);
    }
    Ok(json!({
        "agents": agents,
        "file_bytes": bytes,
        "mib_per_second_to_all": spread(&mut megabytes_per_second),
    }))
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))
}
