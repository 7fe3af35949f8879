//! The command line: parses arguments, calls the API, prints. Data goes to standard output, everything else to standard
//! error; every read verb has `--json`.

mod acts;
mod agents;
mod args;
mod artifacts;
mod copies;
mod discover;
mod documents;
mod init;
mod log;
mod meant;
mod output;
mod overrides;
mod parse;
mod passphrase;
mod people;
mod planned;
mod readiness;
mod releases;
mod report;
mod rollouts;
mod secret;
mod status;
mod support;
mod tenant;
mod verbs;
mod wanted;
mod watch;

pub(crate) use output::print;
pub use watch::{Show, follow};

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::args::Arguments;

/// Exit codes.
pub mod exit {
    /// It was done, or is so.
    pub const OK: u8 = 0;
    /// It could not be done; standard error says why.
    pub const FAILED: u8 = 1;
    /// A document has errors; nothing was started. Wrong arguments end the same way.
    pub const FINDINGS: u8 = 2;
    /// A watched rollout ended, and not every target is done.
    pub const NOT_ALL_DONE: u8 = 3;
}

/// Parses arguments, runs, and prints an error with its causes.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("ENTRAIN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(arguments.verb.log_level()));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let code = match runtime {
        Ok(runtime) => runtime.block_on(verbs::run(arguments)),
        Err(error) => Err(error.into()),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::error(&format!("entrain: {error:#}"));
            ExitCode::from(exit::FAILED)
        }
    }
}
