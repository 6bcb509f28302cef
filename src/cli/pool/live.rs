//! The live table: it asks again and again, draws what it knows, and obeys the keys. It knows no terminal in
//! particular, so that it can be watched by a test.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::Backend;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};

use super::draw::{draw, rows};
use super::table::Table;
use super::view::PoolView;
use crate::cli::watch::screen::Input;
use crate::cli::watch::{Freshness, REDRAW, keep_asking};

/// What is asked for: the pool, or why it is not known.
pub(super) type Answer = Result<PoolView, String>;

/// What the table shows, and what it was told since.
#[derive(Debug)]
pub(super) struct Watch {
    server: String,
    view: PoolView,
    taken: Instant,
    interval: Duration,
    /// Why there was no newer answer.
    trouble: Option<String>,
    /// The first row that is seen.
    top: usize,
}

impl Watch {
    /// Begins with the `view` that `server` gave at `now`.
    pub(super) fn new(server: &str, view: PoolView, interval: Duration, now: Instant) -> Self {
        Self { server: server.to_owned(), view, taken: now, interval, trouble: None, top: 0 }
    }

    fn told(&mut self, answer: Answer, now: Instant) {
        match answer {
            Ok(view) => {
                self.view = view;
                self.taken = now;
                self.trouble = None;
            }
            Err(why) => self.trouble = Some(why),
        }
    }

    fn freshness(&self, now: Instant) -> Freshness {
        Freshness::of(now.saturating_duration_since(self.taken), self.interval, self.trouble.as_deref())
    }

    fn table(&self, room: u16, now: Instant) -> Table {
        Table::of(&self.view, &self.server, &self.freshness(now), usize::from(room))
    }
}

/// Shows the table until it is left, or `typed` ends.
///
/// # Errors
/// The screen cannot be drawn on.
pub(super) async fn show<B: Backend>(
    terminal: &mut Terminal<B>,
    typed: mpsc::Receiver<Input>,
    watch: Watch,
    ask: impl AsyncFnMut() -> Answer,
) -> Result<(), B::Error> {
    let (told, answers) = mpsc::channel(1);
    let every = watch.interval;
    tokio::select! {
        shown = redraw(terminal, typed, watch, answers) => shown,
        () = keep_asking(every, ask, told) => Ok(()),
    }
}

async fn redraw<B: Backend>(
    terminal: &mut Terminal<B>,
    mut typed: mpsc::Receiver<Input>,
    mut watch: Watch,
    mut answers: mpsc::Receiver<Answer>,
) -> Result<(), B::Error> {
    let mut ticks = interval(REDRAW);
    loop {
        terminal.draw(|frame| {
            let table = watch.table(frame.area().width, Instant::now());
            draw(&table, watch.top, frame.area(), frame.buffer_mut());
        })?;
        tokio::select! {
            input = typed.recv() => match input {
                None | Some(Input::Quit) => return Ok(()),
                Some(Input::Resized | Input::Other(_)) => {}
                Some(Input::Scroll(scroll)) => {
                    let size = terminal.size()?;
                    let table = watch.table(size.width, Instant::now());
                    watch.top = rows(&table, size.height).scrolled(watch.top, scroll);
                }
            },
            Some(answer) = answers.recv() => watch.told(answer, Instant::now()),
            _ = ticks.tick() => {}
        }
    }
}
