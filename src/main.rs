//! The command.

use std::process::ExitCode;

fn main() -> ExitCode {
    completiond::cli::run()
}
