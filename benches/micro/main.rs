//! How many instructions the parts of a call take: `just micro`, docs/benchmarks.md.
//!
//! This program only does the work of one benchmark: `measure.py` beside it runs it under callgrind, which counts what happens
//! inside of [`measured`], and holds the counts to `budget.toml`. Nothing here knows valgrind or what was counted.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "names and numbers for the script that counts")]

mod calls;
mod conversions;
mod decoding;
mod encoding;
mod lines;
mod round;
mod samples;

use std::hint::black_box;
use std::process::ExitCode;

use round::Round;

/// The server's own.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What went wrong, for a person to read.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A name, and what makes the work ready.
type Benchmark = (&'static str, fn() -> Result<Round, Failure>);

/// All of them, in the order of a call's way.
const BENCHMARKS: [Benchmark; 13] = [
    ("request_to_domain", conversions::request),
    ("encode_prompt_openai", || encoding::encode("openai", samples::prompt())),
    ("encode_prompt_anthropic", || encoding::encode("anthropic", samples::prompt())),
    ("encode_tools_openai", || encoding::encode("openai", samples::tools())),
    ("encode_tools_anthropic", || encoding::encode("anthropic", samples::tools())),
    ("decode_event_openai", || decoding::event("openai")),
    ("decode_event_anthropic", || decoding::event("anthropic")),
    ("decode_answer_openai", || decoding::answer("openai")),
    ("decode_answer_anthropic", || decoding::answer("anthropic")),
    ("answer_to_response", conversions::response),
    ("call_whole", calls::whole),
    ("call_stream", calls::stream),
    ("log_line", lines::log_line),
];

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("--list") => {
            BENCHMARKS.iter().for_each(|(name, _)| println!("{name}"));
            Ok(())
        }
        // `cargo bench` runs it by itself, where nothing is counted.
        None | Some("--bench") => {
            println!("nothing is counted here; `just micro` runs each benchmark under callgrind");
            Ok(())
        }
        Some(name) => run(name),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("micro benchmark: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One round to warm up, and one that is counted. Tells over how many times the count is to be shared.
fn run(name: &str) -> Result<(), Failure> {
    let (_, prepare) =
        BENCHMARKS.iter().find(|(known, _)| *known == name).ok_or("no such benchmark; --list names them")?;
    let mut round = prepare()?;
    round.work()?;
    measured(&mut round)?;
    println!("{}", round.times());
    Ok(())
}

/// What callgrind counts is what happens until this returns. It finds it by its name, so it is a function of its own, and what
/// it calls comes back to it.
#[inline(never)]
fn measured(round: &mut Round) -> Result<(), Failure> {
    let done = round.work();
    black_box(&done);
    done
}
