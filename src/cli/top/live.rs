//! The live picture: it asks again and again, draws what it knows, and obeys the keys. It knows no terminal in particular, so
//! that it can be watched by a test.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ratatui::Terminal;
use ratatui::backend::Backend;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};

use super::draw::{Below, draw, rows};
use super::history::History;
use super::page::{Chosen, Known, Page};
use super::server::Scrape;
use super::tables::Tab;
use super::timeline::Timeline;
use super::view::View;
use crate::cli::watch::screen::{Input, Other};
use crate::cli::watch::{Freshness, REDRAW, keep_asking};

/// What is asked for, or why it is not known.
pub(super) type Answer = Result<Scrape, String>;

/// How much of the past is drawn: minutes, and as many scrapes as a line has cells.
const PAST: Duration = Duration::from_secs(180);
const MOST_CELLS: u32 = 60;

/// What the picture shows, and what it was told since.
#[derive(Debug)]
pub(super) struct Watch {
    server: String,
    timeline: Timeline,
    interval: Duration,
    /// When the server answered last.
    answered: Instant,
    /// Why there was no newer answer.
    trouble: Option<String>,
    shown: Option<(View, History)>,
    /// Since when the picture is held.
    held: Option<Instant>,
    chosen: Chosen,
    top: usize,
    helps: bool,
}

impl Watch {
    /// Begins with what `server` answered at `now`.
    pub(super) fn new(server: &str, scrape: Scrape, (interval, window): (Duration, Duration), now: Instant) -> Self {
        let mut watch = Self {
            server: server.to_owned(),
            timeline: Timeline::new(window),
            interval,
            answered: now,
            trouble: None,
            shown: None,
            held: None,
            chosen: Chosen::new(),
            top: 0,
            helps: false,
        };
        watch.told(Ok(scrape), now);
        watch
    }

    fn told(&mut self, answer: Answer, now: Instant) {
        match answer {
            Ok(scrape) => {
                self.answered = now;
                self.trouble = None;
                self.timeline.told(scrape, now);
                if self.held.is_none() {
                    self.show_latest();
                }
            }
            Err(why) => self.trouble = Some(why),
        }
    }

    fn show_latest(&mut self) {
        self.shown = self.timeline.view().map(|view| (view, self.timeline.history().clone()));
    }

    fn pressed(&mut self, key: Other, now: Instant) {
        match key {
            Other::Next | Other::Previous | Other::Letter('1'..='3') => {
                self.chosen.tab = match key {
                    Other::Next => self.chosen.tab.next(),
                    Other::Previous => self.chosen.tab.previous(),
                    Other::Letter('1') => Tab::Models,
                    Other::Letter('2') => Tab::Endpoints,
                    _ => Tab::Methods,
                };
                self.top = 0;
            }
            Other::Left => self.chosen.sort(-1),
            Other::Right => self.chosen.sort(1),
            Other::Letter('?') => self.helps = !self.helps,
            Other::Letter('p') => {
                self.held = if self.held.is_some() { None } else { Some(now) };
                if self.held.is_none() {
                    self.show_latest();
                }
            }
            Other::Letter(_) => {}
        }
    }

    fn page(&self, room: u16, now: Instant) -> Option<Page> {
        let (view, history) = self.shown.as_ref()?;
        let age = now.saturating_duration_since(self.answered);
        let freshness = Freshness::of(age, self.interval, self.trouble.as_deref());
        let known = Known {
            server: &self.server,
            view,
            history,
            past: PAST.max(self.interval.saturating_mul(MOST_CELLS)),
            freshness: &freshness,
            uptime: uptime(view),
        };
        let chosen =
            Chosen { paused: self.held.map(|since| now.saturating_duration_since(since)), ..self.chosen.clone() };
        Some(Page::of(&known, &chosen, Some(usize::from(room))))
    }

    fn below(&self) -> Below {
        if self.helps { Below::Help } else { Below::Table { top: self.top } }
    }
}

/// How long the server has run, by the clock of this machine, which may be behind the server's.
pub(super) fn uptime(view: &View) -> Option<Duration> {
    let started = UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(view.start_time_seconds?).ok()?)?;
    Some(SystemTime::now().duration_since(started).unwrap_or_default())
}

/// Shows the picture until it is left, or `typed` ends.
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
            if let Some(page) = watch.page(frame.area().width, Instant::now()) {
                draw(&page, watch.below(), frame.area(), frame.buffer_mut());
            }
        })?;
        tokio::select! {
            input = typed.recv() => match input {
                None | Some(Input::Quit) => return Ok(()),
                Some(Input::Resized) => {}
                Some(Input::Other(key)) => watch.pressed(key, Instant::now()),
                Some(Input::Scroll(scroll)) => {
                    let size = terminal.size()?;
                    if let Some(page) = watch.page(size.width, Instant::now()) {
                        watch.top = rows(&page, size.height).scrolled(watch.top, scroll);
                    }
                }
            },
            Some(answer) = answers.recv() => watch.told(answer, Instant::now()),
            _ = ticks.tick() => {}
        }
    }
}
