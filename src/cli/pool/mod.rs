//! `completiond pool`: how the endpoints of a running server are, as a table that is drawn again and again, or once.
//!
//! A message of the admin listener becomes a view ([`convert`]), the view becomes lines ([`table`]), and the lines go to
//! a screen ([`draw`], [`live`]) or to standard output.

mod columns;
mod convert;
mod draw;
mod live;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod words;

use std::time::{Duration, SystemTime};

use clap::Args;
use tokio::time::Instant;

use super::watch::screen::Screen;
use super::watch::{Freshness, can_be_drawn_on, room, unable, until_interrupted};
use super::{Exit, json, print, print_json};
use crate::config::read_duration;
use live::Watch;
use server::{AdminArgs, Server, failed};
use table::Table;

/// What `completiond pool --help` says below the flags.
pub(super) const HELP: &str = "\
On a terminal the table is drawn again at every interval. q, Esc and Ctrl-C leave it, with exit code 0; the arrow \
keys, PgUp, PgDn, Home and End scroll. A server that goes away is waited for. Elsewhere, and with --once or --json, the \
pool is printed once. NO_COLOR is respected.

States:
  ok           asked like any other
  full         as many attempts run as may
  probing      one call at a time tries whether it is well again
  held         its provider asked to be left alone for so much longer
  open         it fails, so calls go elsewhere for a while
  key refused  its provider does not take the key
  no credit    the provider's account needs credit

Exit codes: 0 ok, 1 the call failed, 2 usage, 4 not reachable, 130 interrupted (by a signal, or before there is a \
table).";

/// The flags of `completiond pool`.
#[derive(Debug, Args)]
pub(super) struct PoolArgs {
    #[command(flatten)]
    server: AdminArgs,
    /// How often the table is drawn, from 100ms to 1h
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print the table once, as text
    #[arg(long)]
    once: bool,
    /// Print the pool once, as JSON with the field names of the contract
    #[arg(long)]
    json: bool,
}

/// Shows the pool.
pub(super) fn run(args: &PoolArgs) -> Result<(), Exit> {
    until_interrupted(pool(args))
}

async fn pool(args: &PoolArgs) -> Result<(), Exit> {
    let server = args.server.connect().await?;
    let response = server.ask().await.map_err(|status| failed(&status))?;
    if args.json {
        return print_json(&json::of("GetPoolResponse", &response));
    }
    let view = convert::view(&response, SystemTime::now());
    if args.once || !can_be_drawn_on() {
        let table = Table::of(&view, &args.server.server, &Freshness::Fresh, room().unwrap_or(usize::MAX));
        return print(&table.text());
    }
    let watch = Watch::new(&args.server.server, view, args.interval, Instant::now());
    watched(watch, &server).await
}

async fn watched(watch: Watch, server: &Server) -> Result<(), Exit> {
    let (mut screen, typed) = Screen::enter().map_err(|error| unable(&error))?;
    let ask = async || match server.ask().await {
        Ok(response) => Ok(convert::view(&response, SystemTime::now())),
        Err(status) => Err(server::why(&status)),
    };
    let shown = live::show(&mut screen.terminal, typed, watch, ask).await;
    drop(screen);
    shown.map_err(|error| unable(&error))
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = read_duration(text)?;
    if (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&interval) {
        Ok(interval)
    } else {
        Err("must be from 100ms to 1h".to_owned())
    }
}
