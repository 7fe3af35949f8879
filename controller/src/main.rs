//! The program `entrain`. Everything is in the library; this only starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    controller::cli::main()
}
