//! What the gateway costs, measured against the least that a proxy can cost: `just bench`.
//!
//! One program in several roles, each a process of its own: the upstream, the reference, a stand-in for a collector, and the
//! measuring itself, which starts the others and the real `completiond`. What is measured how stands in
//! `docs/benchmarks.md`. Nothing here asserts a time.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table for whoever runs it")]

mod alternatives;
mod arguments;
mod collector;
mod cores;
mod figures;
mod load;
mod measuring;
mod plot;
mod process;
mod production;
mod reference;
mod report;
mod samples;
mod shapes;
mod training;
mod upstream;
mod workers;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Role};

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What went wrong, for a person to read.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if training::is_on()
        && arguments.role.is_some()
        && let Err(error) = training::ends_when_told()
    {
        eprintln!("gateway benchmark: {error}");
    }
    let done = match arguments.role {
        Some(Role::Upstream { listen, threads }) => upstream::run(listen, threads),
        Some(Role::Reference { listen, upstream, threads }) => reference::run(listen, upstream, threads),
        Some(Role::Collector { listen }) => collector::run(listen),
        // `cargo test --all-targets` runs it without the flag that `cargo bench` has: there is nothing to test.
        None if !arguments.bench => Ok(()),
        None => measuring::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway benchmark: {error}");
            ExitCode::FAILURE
        }
    }
}
