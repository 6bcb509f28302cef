//! What a person types: one file for each subcommand.
//!
//! Output goes to standard output, everything else to standard error; colours only where a terminal reads it.

mod batch;
mod check;
mod client;
mod complete;
mod distrust;
mod key;
mod local;
mod models;
mod pool;
mod prices;
mod render;
mod serve;
mod settings;
mod tokens;
mod top;
mod watch;

pub use check::Report;

use std::io::Write as _;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::Problems;
use crate::proto::json;
use settings::{ConfigArgs, ListenArgs};

/// What a command ends with, beside success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// The call, or the server, failed.
    Failed = 1,
    /// The configuration is wrong.
    Configuration = 3,
    /// The server is not reachable.
    Unreachable = 4,
    /// Interrupted.
    Interrupted = 130,
    /// Whoever reads what is printed has gone, and has read enough.
    Unread = 0,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Failed => 1,
            Exit::Configuration => 3,
            Exit::Unreachable => 4,
            Exit::Interrupted => 130,
            Exit::Unread => 0,
        })
    }
}

/// Language model completions as a gRPC service.
///
/// Without a command it serves. Exit codes: 0 ok, 1 the call failed, 2 usage, 3 configuration, 4 not reachable,
/// 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "completiond", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until told to stop (the default)
    Serve(ListenArgs),
    /// Ask for a completion and stream the answer to the terminal
    Complete(complete::CompleteArgs),
    /// Answer a file of requests, and go on after an interruption
    #[command(after_long_help = batch::HELP)]
    Batch(batch::BatchArgs),
    /// List the models that can be asked for
    Models(models::ModelsArgs),
    /// Watch the pool of a running server: how each endpoint is
    #[command(after_long_help = pool::HELP)]
    Pool(pool::PoolArgs),
    /// Watch a running server: calls, errors, latency, tokens, cost
    #[command(after_long_help = top::HELP)]
    Top(top::TopArgs),
    /// Show what models cost, or put a newer price table over your own
    Prices(prices::PricesArgs),
    /// Count the tokens of a prompt, and what it would cost
    Tokens(tokens::TokensArgs),
    /// Make a key for a caller, or the hash of one
    Key(key::KeyArgs),
    /// Say what a configuration would do, or what is wrong with it
    Check {
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        listen: ListenArgs,
    },
}

/// Runs what the process's arguments say.
pub fn run() -> ExitCode {
    let matches = <Arguments as CommandFactory>::command().get_matches();
    let parsed = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let Arguments { config, listen: before, command } = parsed;
    let command = command.unwrap_or(Command::Serve(ListenArgs::default()));
    if let (true, Some(why)) = (names_a_file(&matches), command.reads_no_file()) {
        usage(&why);
    }
    let done = match command {
        Command::Serve(listen) => serve::run(&config, &listen.or(before)),
        Command::Complete(args) => complete::run(&config, &args),
        Command::Batch(args) => batch::run(&config, &args),
        Command::Models(args) => models::run(&config, &args),
        Command::Prices(args) => prices::run(&config, &args),
        Command::Tokens(args) => tokens::run(&config, &args),
        Command::Pool(args) => pool::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Key(args) => key::run(&args),
        Command::Check { json, listen } => run_check(&config, &listen.or(before), json),
    };
    done.map_or_else(ExitCode::from, |()| ExitCode::SUCCESS)
}

/// Whether `--config` was typed. Its environment variable is there for other commands as well, and says nothing to this one.
fn names_a_file(matches: &ArgMatches) -> bool {
    let typed = |matches: &ArgMatches| matches.value_source("config") == Some(ValueSource::CommandLine);
    typed(matches) || matches.subcommand().is_some_and(|(_, of_command)| typed(of_command))
}

impl Command {
    /// Why a configuration would be left unread; none: it is read.
    fn reads_no_file(&self) -> Option<String> {
        let of_server = |key: &str| {
            format!(
                "--config says nothing here: a running server is asked, and has read its own. Name it with --server, as \
                 `{key}` of its configuration has it"
            )
        };
        let server = match self {
            Self::Serve(_) | Self::Check { .. } | Self::Prices(_) => None,
            Self::Key(_) => {
                return Some("--config says nothing here: keys are made without a configuration".to_owned());
            }
            Self::Pool(_) => return Some(of_server("admin_listen")),
            Self::Top(_) => return Some(of_server("ops_listen")),
            Self::Complete(args) => args.server.server.as_ref(),
            Self::Batch(args) => args.server.server.as_ref(),
            Self::Models(args) => args.server.server.as_ref(),
            Self::Tokens(args) => args.server.server.as_ref(),
        };
        server.map(|server| {
            format!(
                "--config says nothing here: {server} is asked (--server, or COMPLETIOND_SERVER), and has read its own. Leave \
                 one of both out; without a server, one inside this process reads the configuration"
            )
        })
    }
}

fn run_check(config: &ConfigArgs, listen: &ListenArgs, json: bool) -> Result<(), Exit> {
    let report = Report::of(&config.load(listen).map(|loaded| loaded.config));
    if json {
        print_json(&report)?;
    } else {
        print(&report.text())?;
    }
    if report.is_ok() { Ok(()) } else { Err(Exit::Configuration) }
}

/// Prints to standard output.
///
/// # Errors
/// Nobody reads it any more, or it is full: nothing more is done for it.
fn print(text: &str) -> Result<(), Exit> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| unwritten(&error))
}

/// What it means that standard output does not take what is printed.
fn unwritten(error: &std::io::Error) -> Exit {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Exit::Unread;
    }
    tell(format_args!("standard output does not take it: {error}"));
    Exit::Failed
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Exit> {
    let mut text = serde_json::to_string_pretty(value).map_err(|_| Exit::Failed)?;
    text.push('\n');
    print(&text)
}

/// Tells on standard error.
fn tell(text: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Tells what is wrong with a configuration.
fn tell_problems(problems: Problems) -> Exit {
    let report = Report::of(&Err(problems)).text();
    tell(report.trim_end());
    Exit::Configuration
}

/// A runtime on this thread: the server's workers have their own.
fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        tell(format_args!("no runtime: {error}"));
        Exit::Failed
    })
}

/// Ends the command as any wrong use of it does, with the usage of the subcommand that was typed.
fn usage(what: &str) -> ! {
    let mut command = <Arguments as CommandFactory>::command();
    let typed = command.get_matches_mut().subcommand_name().map(str::to_owned);
    let command = match typed {
        Some(name) => command.find_subcommand(&name).cloned().unwrap_or(command),
        None => command,
    };
    command.bin_name("completiond").error(clap::error::ErrorKind::ValueValidation, what).exit()
}
