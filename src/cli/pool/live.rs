//! The live table: it asks again and again, draws what it knows, and obeys the keys. It knows no terminal in
//! particular, so that it can be watched by a test.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::Backend;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::draw::{draw, last_top, rows_seen};
use super::screen::{Input, Scroll};
use super::table::Table;
use super::view::{Freshness, PoolView};

/// The longest time between two pictures, so that ages move on while nothing else does.
const REDRAW: Duration = Duration::from_secs(1);

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

    fn scrolled(&mut self, scroll: Scroll, rows: usize, last: usize) {
        let top = self.top.min(last);
        self.top = match scroll {
            Scroll::Up => top.saturating_sub(1),
            Scroll::Down => top.saturating_add(1),
            Scroll::PageUp => top.saturating_sub(rows.max(1)),
            Scroll::PageDown => top.saturating_add(rows.max(1)),
            Scroll::Top => 0,
            Scroll::Bottom => last,
        }
        .min(last);
    }

    /// An answer that is merely late is not told at once: two more may be missing.
    fn freshness(&self, now: Instant) -> Freshness {
        let age = now.saturating_duration_since(self.taken);
        match &self.trouble {
            Some(why) => Freshness::Stale { age, why: why.clone() },
            None if age > self.interval.saturating_mul(3).max(REDRAW * 2) => {
                Freshness::Stale { age, why: "it is slow".to_owned() }
            }
            None => Freshness::Fresh,
        }
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

/// Asks at every interval; an answer that is slow delays the next question.
async fn keep_asking(every: Duration, mut ask: impl AsyncFnMut() -> Answer, told: mpsc::Sender<Answer>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, and the first answer is there already.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if told.send(ask().await).await.is_err() {
            return;
        }
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
                Some(Input::Resized) => {}
                Some(Input::Scroll(scroll)) => {
                    let size = terminal.size()?;
                    let table = watch.table(size.width, Instant::now());
                    watch.scrolled(scroll, rows_seen(&table, size.height), last_top(&table, size.height));
                }
            },
            Some(answer) = answers.recv() => watch.told(answer, Instant::now()),
            _ = ticks.tick() => {}
        }
    }
}
