//! `completiond top`: what a running server does, as figures that are drawn again and again, or printed.
//!
//! The text of the ops listener becomes samples ([`exposition`]), these a snapshot ([`reading`], [`snapshot`]), and two of them
//! a view ([`timeline`], [`between`], [`view`]). The view becomes lines ([`page`]), and the lines go to a screen ([`draw`],
//! [`live`]) or to standard output ([`printed`]), where the view itself goes as JSON.

mod between;
mod draw;
mod exposition;
mod figures;
mod histogram;
mod history;
mod live;
mod page;
mod printed;
mod reading;
mod server;
mod snapshot;
mod tables;
#[cfg(test)]
mod tests;
mod timeline;
mod view;
mod words;

use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::Exit;
use super::watch::screen::Screen;
use super::watch::{can_be_drawn_on, unable, until_interrupted};
use crate::config::read_duration;
use live::Watch;
use server::{OpsArgs, Server};

/// What `completiond top --help` says below the flags.
pub(super) const HELP: &str = "\
On a terminal the picture is drawn again at every interval. q, Esc and Ctrl-C leave it, with exit code 0; Tab and 1 2 3 \
choose a table, the arrow keys sort and scroll it, p holds the picture, ? says what the figures are. A server that goes \
away is waited for. Elsewhere, and with --once, one picture is printed. NO_COLOR is respected.

The figures are those of GET /metrics on the server's ops listener. In a cluster:
  kubectl port-forward pod/NAME 50053:50053
  completiond top --server 127.0.0.1:50053

Exit codes: 0 ok, 1 what answers has no figures, 2 usage, 4 not reachable, 130 interrupted (by a signal, or by Ctrl-C \
where no picture is drawn).";

/// The window of the live picture, where nothing is said and the interval is not longer.
const WINDOW: Duration = Duration::from_secs(10);

/// The flags of `completiond top`.
#[derive(Debug, Args)]
pub(super) struct TopArgs {
    #[command(flatten)]
    server: OpsArgs,
    /// How often the server is asked, from 200ms to 1m
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// How far back rates, shares and percentiles reach, up to 10m [default: 10s; with --json the interval]
    #[arg(long, value_name = "DURATION", value_parser = window, conflicts_with = "once")]
    window: Option<Duration>,
    /// Print one picture as text, of what happens in one interval
    #[arg(long)]
    once: bool,
    /// Print one line of JSON for each interval; with --once, one line
    #[arg(long)]
    json: bool,
}

/// Shows the server.
pub(super) fn run(args: &TopArgs) -> Result<(), Exit> {
    until_interrupted(top(args))
}

async fn top(args: &TopArgs) -> Result<(), Exit> {
    let server = args.server.connect().await?;
    let (name, every) = (args.server.server.as_str(), args.interval);
    match (args.json, args.once || !can_be_drawn_on()) {
        (true, _) if args.once => printed::once_json(&server, name, every).await,
        // From one scrape to the next, however late it comes.
        (true, _) => printed::json(&server, name, (every, args.window.unwrap_or(every / 2))).await,
        (false, true) => printed::once(&server, name, every).await,
        (false, false) => watched(args, &server).await,
    }
}

async fn watched(args: &TopArgs, server: &Server) -> Result<(), Exit> {
    let name = args.server.server.as_str();
    // What is wrong from the beginning is told as an error, and not on a screen.
    let first = server.scrape().await.map_err(|trouble| printed::failed(name, &trouble))?;
    let window = args.window.unwrap_or(WINDOW).max(args.interval);
    let watch = Watch::new(name, first, (args.interval, window), Instant::now());
    let (mut screen, typed) = Screen::enter().map_err(|error| unable(&error))?;
    let ask = async || server.scrape().await.map_err(|trouble| trouble.words());
    let shown = live::show(&mut screen.terminal, typed, watch, ask).await;
    drop(screen);
    shown.map_err(|error| unable(&error))
}

fn interval(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(200), Duration::from_secs(60), "must be from 200ms to 1m")
}

fn window(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(200), Duration::from_secs(600), "must be from 200ms to 10m")
}

fn within(text: &str, least: Duration, most: Duration, otherwise: &str) -> Result<Duration, String> {
    let duration = read_duration(text)?;
    if (least..=most).contains(&duration) { Ok(duration) } else { Err(otherwise.to_owned()) }
}
