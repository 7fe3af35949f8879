//! The program `entrain-agent`. Everything is in the library; this only starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::cli::main()
}
