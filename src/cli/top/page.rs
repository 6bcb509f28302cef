//! The whole picture as lines of styled text: a pure function of what is known and of what was chosen by keys. The live screen
//! and plain text show the same lines.

use std::time::Duration;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::figures::{Figure, PastLine, figures};
use super::history::History;
use super::tables::Tab;
use super::view::{Continuity, View};
use super::words::{length, sparkline};
use crate::cli::watch::grid::{Cell, Column, cut, fit, line, width};
use crate::cli::watch::{Freshness, plain, words};

/// The width of the words before the figures, and the least and the most of a line of the past.
const LABEL: usize = 10;
const SHORTEST: usize = 8;
const LONGEST: usize = 60;

/// What is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) server: &'a str,
    pub(super) view: &'a View,
    pub(super) history: &'a History,
    /// How much of the past is drawn.
    pub(super) past: Duration,
    pub(super) freshness: &'a Freshness,
    /// How long the server has run; none: it does not tell.
    pub(super) uptime: Option<Duration>,
}

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) tab: Tab,
    /// The column by which each table is sorted.
    pub(super) sorted: [usize; 3],
    /// For how long the picture has been held.
    pub(super) paused: Option<Duration>,
}

impl Chosen {
    /// Busy ones first.
    pub(super) fn new() -> Self {
        Self { sorted: [1; 3], ..Self::default() }
    }

    pub(super) fn column(&self) -> usize {
        let at = Tab::ALL.iter().position(|tab| *tab == self.tab);
        at.and_then(|at| self.sorted.get(at)).copied().unwrap_or(0)
    }

    /// Sorts the table by the column that is so far to the right, or to the left.
    pub(super) fn sort(&mut self, by: isize) {
        let column = self.column();
        let last = self.tab.columns().len().saturating_sub(1);
        let moved = column.saturating_add_signed(by).min(last);
        let at = Tab::ALL.iter().position(|tab| *tab == self.tab);
        if let Some(sorted) = at.and_then(|at| self.sorted.get_mut(at)) {
            *sorted = moved;
        }
    }
}

/// The lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page {
    /// Whose figures these are, and how fresh.
    pub(super) head: Line<'static>,
    pub(super) figures: Vec<Line<'static>>,
    pub(super) tabs: Line<'static>,
    pub(super) titles: Line<'static>,
    pub(super) rows: Vec<Line<'static>>,
}

impl Page {
    /// The page in `room` cells; without a bound, without the past.
    pub(super) fn of(known: &Known<'_>, chosen: &Chosen, room: Option<usize>) -> Self {
        let column = chosen.column();
        let (titles, mut rows) = table(known.view, chosen.tab, column, room);
        if rows.is_empty() {
            rows.push(Line::styled("none so far", Style::new().add_modifier(Modifier::DIM)));
        }
        let mut page = Self {
            head: head(known, chosen, room.unwrap_or(usize::MAX)),
            figures: lines(known, room),
            tabs: tabs(chosen, room.unwrap_or(usize::MAX)),
            titles,
            rows,
        };
        if matches!(known.freshness, Freshness::Stale { .. }) {
            page.fade();
        }
        page
    }

    /// All that is known as text, with all tables.
    pub(super) fn text(known: &Known<'_>, room: Option<usize>) -> String {
        let chosen = Chosen::new();
        let page = Self::of(known, &chosen, room);
        let mut text = vec![page.head];
        text.extend(page.figures);
        for tab in Tab::ALL {
            let (titles, rows) = table(known.view, tab, 1, room);
            if !rows.is_empty() {
                text.extend([Line::default(), titles]);
                text.extend(rows);
            }
        }
        text.iter().map(|line| plain::written(line) + "\n").collect()
    }

    /// Figures that may no longer be true have no colour.
    fn fade(&mut self) {
        let faded = Style::new().add_modifier(Modifier::DIM);
        for line in self.figures.iter_mut().chain(&mut self.rows) {
            line.spans.iter_mut().for_each(|span| span.style = faded);
        }
    }
}

fn head(known: &Known<'_>, chosen: &Chosen, room: usize) -> Line<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    if let Some(stale) = known.freshness.told(known.server) {
        return Line::from(Span::styled(cut(&stale, room), bold.fg(Color::Red)));
    }
    let version = known.view.version.as_deref().unwrap_or_default();
    let mut spans = vec![Span::styled(format!("completiond {version} at {}", known.server), bold)];
    let news = match known.view.continuity {
        Continuity::Same => None,
        Continuity::Restarted => Some("restarted"),
        Continuity::AnotherServer => Some("another server answers"),
    };
    let alert = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
    let paused = chosen.paused.map(|since| format!("paused for {}", words::time(since)));
    spans.extend(paused.map(|text| Span::styled(text, alert)));
    spans.extend(news.map(|text| Span::styled(text, alert)));
    spans.push(Span::raw(match known.view.window_seconds {
        Some(seconds) => format!("the last {}", length(seconds)),
        None => "rates follow".to_owned(),
    }));
    spans.extend(known.uptime.map(|uptime| Span::raw(format!("up {}", words::time(uptime)))));
    if !known.history.is_empty() {
        spans.push(Span::raw(format!("graphs of {}", words::time(known.past))));
    }
    joined(spans, room)
}

/// Parts with a dot between them: the last ones go where there is no room, and the first is cut.
fn joined(parts: Vec<Span<'static>>, room: usize) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut taken = 0_usize;
    for part in parts {
        if spans.is_empty() {
            let text = cut(&part.content, room);
            taken = width(&text);
            spans.push(Span::styled(text, part.style));
        } else if taken.saturating_add(part.width() + 3) <= room {
            taken += part.width() + 3;
            spans.extend([Span::raw(" · "), part]);
        } else {
            break;
        }
    }
    Line::from(spans)
}

fn lines(known: &Known<'_>, room: Option<usize>) -> Vec<Line<'static>> {
    let figures = figures(known.view);
    // A sixth of the room is the past's, and what the words leave of theirs.
    let kept = room.map_or(0, |room| (room / 6).clamp(SHORTEST, LONGEST));
    let all = room.map_or(usize::MAX, |room| room.saturating_sub(LABEL));
    let words = |figure: &Figure| {
        let room = if figure.line.is_some() { all.saturating_sub(kept + 2) } else { all };
        joined(figure.words.clone(), room)
    };
    let words: Vec<Line<'static>> = figures.iter().map(words).collect();
    let beside_past = figures.iter().zip(&words).filter(|(figure, _)| figure.line.is_some());
    let widest = beside_past.map(|(_, words)| words.width()).max().unwrap_or(0);
    let cells = room.map_or(0, |room| room.saturating_sub(LABEL + 2 + widest).min(LONGEST));
    let lines = figures.iter().zip(words);
    lines.map(|(figure, words)| beside(figure, words, widest, past(known, figure.line, cells))).collect()
}

fn beside(figure: &Figure, words: Line<'static>, widest: usize, past: Option<Span<'static>>) -> Line<'static> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    let mut spans = vec![Span::styled(format!("{:<LABEL$}", figure.label), dim)];
    let padding = widest.saturating_sub(words.width()) + 2;
    spans.extend(words.spans);
    if let Some(past) = past {
        spans.extend([Span::raw(" ".repeat(padding)), past]);
    }
    Line::from(spans)
}

fn past(known: &Known<'_>, line: Option<PastLine>, cells: usize) -> Option<Span<'static>> {
    let line = line.filter(|_| cells >= SHORTEST)?;
    let values = known.history.cells(line.of, cells, known.past);
    let ceiling = values.iter().flatten().copied().fold(line.ceiling, f64::max);
    Some(Span::styled(sparkline(&values, ceiling), Style::new().fg(line.color)))
}

fn tabs(chosen: &Chosen, room: usize) -> Line<'static> {
    let mut spans = Vec::new();
    for (at, tab) in Tab::ALL.into_iter().enumerate() {
        let style = match tab == chosen.tab {
            true => Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED),
            false => Style::new().add_modifier(Modifier::DIM),
        };
        spans.extend([Span::styled(format!(" {} {} ", at + 1, tab.name()), style), Span::raw(" ")]);
    }
    let by = chosen.tab.columns().get(chosen.column()).map_or("", |column| column.title);
    let taken: usize = spans.iter().map(Span::width).sum();
    spans.push(Span::raw(cut(&format!(" sorted by {by}"), room.saturating_sub(taken))));
    Line::from(spans)
}

fn table(view: &View, tab: Tab, sorted: usize, room: Option<usize>) -> (Line<'static>, Vec<Line<'static>>) {
    let columns = tab.columns();
    let rows = tab.rows(view, sorted);
    let shown = fit(columns, &rows, room.unwrap_or(usize::MAX));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let title = |at: usize| {
        let style = if at == sorted { bold.fg(Color::Cyan) } else { bold };
        (columns.get(at).map_or("", |column: &Column| column.title).to_owned(), style)
    };
    let cell = |row: &[Cell], at: usize| row.get(at).cloned().unwrap_or_default();
    let titles = line(columns, &shown, title);
    (titles, rows.iter().map(|row| line(columns, &shown, |at| cell(row, at))).collect())
}
