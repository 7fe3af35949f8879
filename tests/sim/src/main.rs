//! Whole fleets over the real link, in virtual time: one seed, one process, one thread. Both shells as they are, but for the
//! HTTP API: the controller's store, driver, sessions and authority; the agents' sessions, journals, guards and runs on models
//! of servers; quinn and rustls between them. Network, clock and chance are the simulation's.
//!
//!   sim SEED                       tells what the seed came to, as JSON
//!   sim SEED lose | double         breaks the log on purpose: it must be noticed
//!   sim SEED flood COUNT           tells how a fleet of that size comes back at once
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a seed came to is what the program is for"
)]

mod check;
mod controller;
mod estate;
mod flood;
mod network;
mod server;
mod story;
mod system;

use std::process::ExitCode;

use check::Tamper;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = || {
        eprintln!("sim SEED [lose | double | flood COUNT]");
        ExitCode::from(2)
    };
    let Some(seed) = arguments.first().and_then(|text| text.parse().ok()) else {
        return usage();
    };
    if arguments.get(1).is_some_and(|word| word == "flood") {
        let Some(agents) = arguments.get(2).and_then(|text| text.parse().ok()) else {
            return usage();
        };
        return said(seed, flood(seed, agents));
    }
    let broken = match arguments.get(1).map(String::as_str) {
        None => None,
        Some("lose") => Some(Tamper::Lose),
        Some("double") => Some(Tamper::Double),
        Some(other) => {
            eprintln!("\"{other}\" is no way to break a log");
            return ExitCode::from(2);
        }
    };
    said(seed, tell(seed, broken))
}

fn said(seed: u64, told: anyhow::Result<String>) -> ExitCode {
    match told {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("seed {seed}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// In memory, where there is such a place: what is simulated is not the disk's speed.
fn folder() -> std::io::Result<tempfile::TempDir> {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
}

fn tell(seed: u64, broken: Option<Tamper>) -> anyhow::Result<String> {
    let folder = folder()?;
    let told = story::tell(seed, folder.path(), broken)?;
    Ok(serde_json::to_string(&told)?)
}

fn flood(seed: u64, agents: usize) -> anyhow::Result<String> {
    let folder = folder()?;
    let told = flood::tell(seed, agents, folder.path())?;
    Ok(serde_json::to_string(&told)?)
}
