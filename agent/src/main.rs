//! The program `entrain-agent`. Everything is in the library; this only starts it.

use std::process::ExitCode;

/// A swarm is thousands of agents in one process: a fifth of its time went into the system's allocator. An agent alone, as it
/// is released, keeps that one.
#[cfg(feature = "twin")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    agent::cli::main(agent::VERSION)
}
