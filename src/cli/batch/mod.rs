//! `completiond batch`: a file of requests in, a file of results out, in the same order.
//!
//! The input is read once to count it ([`plan`]) and once more while it is asked ([`feed`]); each line is an [`item`] in
//! one of two formats. Results go into the [`journal`] and from there into the [`output`], which is there only when it is
//! complete. [`run`] is the loop. Nothing of inputs and results is held but what is under way.

mod chat;
mod faults;
mod feed;
mod figures;
mod interrupts;
mod item;
mod journal;
mod keeper;
mod lines;
mod outage;
mod output;
mod patience;
mod plan;
mod progress;
mod raw;
mod run;
mod slots;
mod stop;
mod summary;
#[cfg(test)]
mod tests;
mod told;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::client::{Connection, ServerArgs};
use super::settings::ConfigArgs;
use super::{Exit, print_json, runtime, tell};
use crate::config::read_duration;
use feed::Feed;
use figures::Tally;
use interrupts::Interrupts;
use journal::{Journal, Settings, Unusable};
use plan::Plan;
use progress::Progress;
use run::{Run, Terms, Work};
use stop::Stop;
use summary::Summary;

/// What `completiond batch --help` says below the flags.
pub(super) const HELP: &str = "\
Each line of the input is an item, in one of three forms; empty lines are skipped:
  {\"custom_id\": \"a\", \"request\": {\"prompt\": \"Why is the sky blue?\"}}
  {\"prompt\": \"Why is the sky blue?\"}
  {\"custom_id\": \"a\", \"method\": \"POST\", \"url\": \"/v1/chat/completions\", \"body\": {...}}

Each line of the output is an item's result, in the order of the input:
  {\"custom_id\": \"a\", \"id\": \"...\", \"response\": {...}}
  {\"custom_id\": \"a\", \"id\": \"...\", \"status\": {\"code\": \"...\", \"reason\": \"...\", \"message\": \"...\"}}

Until it is complete, results are kept in OUT.jsonl.partial. After an interruption of any kind the same command goes on \
from there: what has a result is not asked again.

Exit codes: 0 all answered, 1 some failed, or the output could not be written, 2 usage, 3 configuration, 4 not \
reachable, 130 interrupted.";

/// The flags of `completiond batch`.
#[derive(Debug, Args)]
pub(super) struct BatchArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// The requests, one in each line
    #[arg(value_name = "IN.jsonl")]
    input: PathBuf,
    /// Where the results go, one in each line
    #[arg(long, short, value_name = "OUT.jsonl")]
    output: PathBuf,
    /// How many requests run at a time, at most 100
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    max_concurrency: u16,
    /// The model for every line, in place of its own [default: the line's, else the server's]
    #[arg(long, short)]
    model: Option<String>,
    /// How often an item is asked again that failed for a while: rate limits, overload, a provider that is down
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=100))]
    retries: u32,
    /// How long a server that goes away is waited for, from 0 to 24h
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = patience)]
    reconnect_for: Duration,
    /// Ask again what failed in an output that is there, and keep the rest of it
    #[arg(long, conflicts_with = "overwrite")]
    retry_failed: bool,
    /// Replace an output that is there
    #[arg(long)]
    overwrite: bool,
    /// Print the summary as JSON, on standard output
    #[arg(long)]
    json: bool,
}

fn patience(text: &str) -> Result<Duration, String> {
    let read = read_duration(text)?;
    if read <= Duration::from_secs(24 * 3600) { Ok(read) } else { Err("must be at most 24h".to_owned()) }
}

/// Runs a batch.
pub(super) fn run(config: &ConfigArgs, args: &BatchArgs) -> Result<(), Exit> {
    let journal_path = output::beside(&args.output, ".partial");
    let mut work = None;
    let done = batch(config, args, &journal_path, &mut work);
    let tally = done.map_err(|stop| {
        let kept = work.as_ref().map(|work: &Work| work.tally.done());
        stop.tell(&args.input, &journal_path, kept)
    })?;
    if tally.failed == 0 { Ok(()) } else { Err(Exit::Failed) }
}

fn batch(config: &ConfigArgs, args: &BatchArgs, path: &Path, work: &mut Option<Work>) -> Result<Tally, Stop> {
    check(args)?;
    let mut plan = Plan::survey(&args.input).map_err(|error| Stop::Usage(file_told(&args.input, &error)))?;
    let mut journal = Journal::open(path)?;
    let mut tally = Tally::default();
    go_on(args, &mut plan, &mut tally, &mut journal)?;
    let before = tally.done();
    if before > 0 {
        tell(format_args!("{before} of {} items have a result already", plan.items().len()));
    }
    let work = work.insert(Work { plan, tally, again: 0 });
    let total = u64::try_from(work.plan.items().len()).unwrap_or(u64::MAX);
    let mut progress = Progress::start(total, before);
    let journal = if work.plan.left() == 0 { Ok(journal) } else { asked(config, args, work, &mut progress, journal) };
    let took = progress.end();
    let unwritten = |error: std::io::Error| Stop::file(&args.output, &error);
    output::write(journal?, &work.plan, &args.output).map_err(unwritten)?;
    let summary = Summary { tally: &work.tally, before, again: work.again, took, output: &args.output };
    tell(summary.text());
    if args.json {
        print_json(&summary.json()).map_err(Stop::Told)?;
    }
    Ok(work.tally.clone())
}

fn asked(
    config: &ConfigArgs,
    args: &BatchArgs,
    work: &mut Work,
    progress: &mut Progress,
    journal: Journal,
) -> Result<Journal, Stop> {
    let terms = Terms { concurrency: args.max_concurrency, retries: args.retries, patience: args.reconnect_for };
    let feed = Feed::open(&args.input, args.model.clone().unwrap_or_default())?;
    runtime().map_err(Stop::Told)?.block_on(async {
        let mut interrupts = Interrupts::listen().map_err(|error| Stop::Failed(format!("no signals: {error}")))?;
        let connection = tokio::select! {
            connection = Connection::open(&args.server, config) => connection.map_err(Stop::Told)?,
            () = interrupts.come() => return Err(Stop::Interrupted),
        };
        Run::new(terms, &connection, work, progress, feed, journal, interrupts).run().await
    })
}

/// Whether the command makes sense, before anything is touched.
fn check(args: &BatchArgs) -> Result<(), Stop> {
    let usage = |what: String| Err(Stop::Usage(what));
    if args.input.as_os_str() == "-" || args.output.as_os_str() == "-" {
        return usage("a batch needs files: what is interrupted could not go on from a pipe".to_owned());
    }
    let (input, output) = (args.input.display(), args.output.display());
    match std::fs::metadata(&args.input) {
        Err(error) => return usage(file_told(&args.input, &error)),
        Ok(found) if !found.is_file() => return usage(format!("{input} is no file; a batch has to read it twice")),
        Ok(_) => {}
    }
    let is_there = args.output.exists();
    if args.output.file_name().is_none() || (is_there && !args.output.is_file()) {
        return usage(format!("{output} is no name for a file"));
    }
    if is_there && same(&args.input, &args.output) {
        return usage(format!("{output} is the input"));
    }
    for own in [output::beside(&args.output, ".partial"), output::draft(&args.output)] {
        if same(&args.input, &own) {
            return usage(format!("{input} is what a batch keeps beside {output}: give it another name"));
        }
    }
    match (is_there, args.retry_failed, args.overwrite) {
        (true, false, false) => usage(format!(
            "{output} is there already: --retry-failed asks again what failed in it, --overwrite replaces it"
        )),
        (false, true, _) => {
            usage(format!("{output} is not there: --retry-failed needs the output of an earlier batch"))
        }
        _ => Ok(()),
    }
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn file_told(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Reads what an earlier run has left in the journal, or begins it.
fn go_on(args: &BatchArgs, plan: &mut Plan, tally: &mut Tally, journal: &mut Journal) -> Result<(), Stop> {
    let found = journal.read(|record, at| {
        if plan.settle(record.line, record.hash, at)? {
            tally.add(&record.figures);
        }
        Ok::<_, Stop>(())
    })?;
    if found.unreadable > 0 {
        tell(format_args!("{} lines of the journal cannot be read: their items are asked again", found.unreadable));
    }
    let settings = Settings::new(args.model.clone().unwrap_or_default(), args.retry_failed);
    // What has no result yet binds nobody.
    if let Some(earlier) = found.settings.filter(|_| tally.done() > 0) {
        fits(&earlier, &settings, journal.path())?;
        if found.taken_over || !args.retry_failed {
            return Ok(());
        }
    }
    if plan.left() < plan.items().len() {
        // What is there of a taking over that was interrupted is done anew: the output is still there.
        *plan = Plan::survey(&args.input).map_err(|error| Stop::file(&args.input, &error))?;
        *tally = Tally::default();
    }
    journal.begin(&settings).map_err(Unusable::from)?;
    if args.retry_failed {
        let taken = output::take_over(&args.input, &args.output, plan, tally, journal);
        // Of an output that is another one nothing shall stay.
        return taken.inspect_err(|_| journal.discard());
    }
    Ok(())
}

/// Whether a batch can go on with these settings.
fn fits(earlier: &Settings, settings: &Settings, journal: &Path) -> Result<(), Stop> {
    let told =
        |model: &str| if model.is_empty() { "without --model".to_owned() } else { format!("with --model {model}") };
    if earlier.retries_failed != settings.retries_failed {
        return Err(Stop::Usage(match earlier.retries_failed {
            true => "the batch that was interrupted had --retry-failed: give it again to go on".to_owned(),
            false => "the batch that was interrupted has to be finished first, without --retry-failed".to_owned(),
        }));
    }
    if earlier.model != settings.model {
        let model = told(&earlier.model);
        return Err(Stop::Usage(format!(
            "the batch that was interrupted was begun {model}: go on so, or delete {} to ask everything anew",
            journal.display()
        )));
    }
    Ok(())
}
