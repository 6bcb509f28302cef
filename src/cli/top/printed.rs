//! What is printed instead of drawn: one picture as text, and figures as JSON, a line for each scrape.

use std::time::{Duration, SystemTime};

use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::history::History;
use super::live::uptime;
use super::page::{Known, Page};
use super::server::{Server, Trouble};
use super::timeline::{News, Timeline};
use super::view::View;
use crate::cli::watch::{Freshness, room};
use crate::cli::{Exit, print, tell};

/// What a line of JSON has beside the figures.
#[derive(Serialize)]
struct Stamped<'a> {
    /// When the server was scraped, as RFC 3339.
    time: String,
    server: &'a str,
    #[serde(flatten)]
    view: View,
}

/// Tells why `server` has no figures, and what to do.
pub(super) fn failed(server: &str, trouble: &Trouble) -> Exit {
    let (advice, exit) = trouble.advice();
    tell(format_args!("{server} has no figures: {}", trouble.words()));
    tell(advice);
    exit
}

/// Scrapes twice, and gives what is known then.
async fn twice(server: &Server, name: &str, every: Duration) -> Result<View, Exit> {
    let mut timeline = Timeline::new(every);
    let first = server.scrape().await.map_err(|trouble| failed(name, &trouble))?;
    timeline.told(first, Instant::now());
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(100));
    progress.set_message(format!("counting what {name} does in {} ms", every.as_millis()));
    let told = async {
        loop {
            tokio::time::sleep(every).await;
            let scrape = server.scrape().await?;
            if timeline.told(scrape, Instant::now()) == News::New {
                return Ok(());
            }
        }
    };
    let told = told.await;
    progress.finish_and_clear();
    told.map_err(|trouble: Trouble| failed(name, &trouble))?;
    timeline.view().ok_or(Exit::Failed)
}

/// Prints one picture.
pub(super) async fn once(server: &Server, name: &str, every: Duration) -> Result<(), Exit> {
    let view = twice(server, name, every).await?;
    let (history, freshness) = (History::default(), Freshness::Fresh);
    let known = Known {
        server: name,
        view: &view,
        history: &history,
        past: Duration::ZERO,
        freshness: &freshness,
        uptime: uptime(&view),
    };
    print(&Page::text(&known, room()))
}

/// Prints one object.
pub(super) async fn once_json(server: &Server, name: &str, every: Duration) -> Result<(), Exit> {
    let view = twice(server, name, every).await?;
    line(name, view)
}

/// Prints an object for each scrape, until nobody reads them any more.
pub(super) async fn json(server: &Server, name: &str, (every, window): (Duration, Duration)) -> Result<(), Exit> {
    let mut timeline = Timeline::new(window);
    let first = server.scrape().await.map_err(|trouble| failed(name, &trouble))?;
    timeline.told(first, Instant::now());
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut is_away = false;
    loop {
        ticks.tick().await;
        match server.scrape().await {
            Ok(scrape) => {
                if is_away {
                    tell(format_args!("{name} answers again"));
                }
                is_away = false;
                if timeline.told(scrape, Instant::now()) == News::Known {
                    continue;
                }
            }
            Err(trouble) => {
                // Once for each time that it goes away.
                if !is_away {
                    tell(format_args!("{name} does not answer, still trying: {}", trouble.words()));
                }
                is_away = true;
                continue;
            }
        }
        if let Some(view) = timeline.view() {
            line(name, view)?;
        }
    }
}

fn line(server: &str, view: View) -> Result<(), Exit> {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let mut text = serde_json::to_string(&Stamped { time, server, view }).map_err(|_| Exit::Failed)?;
    text.push('\n');
    print(&text)
}
