//! The table as lines of styled text: a pure function of the view. The live screen and plain text show the same lines.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::columns::{COLUMNS, cells};
use super::view::{EndpointView, PoolView, Standing};
use crate::cli::watch::grid::{Cell, Column, cut, fit, line, width};
use crate::cli::watch::{Freshness, Share, plain, words};

/// The lines of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    /// Whose pool it is, how fresh it is, and what the server has open; above the titles.
    pub(super) head: Vec<Line<'static>>,
    /// The titles of the columns.
    pub(super) titles: Line<'static>,
    /// A line for each endpoint.
    pub(super) rows: Vec<Line<'static>>,
}

impl Table {
    /// The table of `view`, which `server` told, in `room` cells.
    pub(super) fn of(view: &PoolView, server: &str, freshness: &Freshness, room: usize) -> Self {
        let rows: Vec<_> = view.endpoints.iter().map(cells).collect();
        let shown = fit(&COLUMNS, &rows, room);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let title = |column| (COLUMNS.get(column).map_or("", |column: &Column| column.title).to_owned(), bold);
        let cell = |row: &Vec<Cell>, column| row.get(column).cloned().unwrap_or_default();
        let mut table = Self {
            head: vec![first_line(view, server, freshness, room), sums(view, room)],
            titles: line(&COLUMNS, &shown, title),
            rows: rows.iter().map(|row| line(&COLUMNS, &shown, |column| cell(row, column))).collect(),
        };
        if matches!(freshness, Freshness::Stale { .. }) {
            table.fade();
        }
        table
    }

    /// The whole table as text.
    pub(super) fn text(&self) -> String {
        let empty = Line::default();
        let lines = self.head.iter().chain([&empty, &self.titles]).chain(&self.rows);
        lines.map(|line| plain::written(line) + "\n").collect()
    }

    /// Figures that may no longer be true have no colour.
    fn fade(&mut self) {
        let faded = Style::new().add_modifier(Modifier::DIM);
        for line in self.head.iter_mut().skip(1).chain(&mut self.rows) {
            for span in &mut line.spans {
                span.style = faded;
            }
        }
    }
}

/// Whose pool it is and how its endpoints are, for who is not well may stand below what the screen shows; or that all
/// of this is old.
fn first_line(view: &PoolView, server: &str, freshness: &Freshness, room: usize) -> Line<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    if let Some(stale) = freshness.told(server) {
        return Line::from(Span::styled(cut(&stale, room), bold.fg(Color::Red)));
    }
    let whose = cut(&format!("pool of {server}"), room);
    let left = room.saturating_sub(width(&whose));
    Line::from(vec![Span::styled(whose, bold), Span::raw(cut(&format!(" · {}", tally(&view.endpoints)), left))])
}

/// The sums, with the least important left out where there is no room.
fn sums(view: &PoolView, room: usize) -> Line<'static> {
    let calls = format!("{} {} in flight", view.calls, if view.calls == 1 { "call" } else { "calls" });
    let mut parts = vec![
        Span::raw(calls),
        Span::raw(format!("connections {} in, {} out", view.callers, view.providers)),
        Span::raw(format!("{} of requests", words::bytes(view.bytes))),
    ];
    parts.extend(view.retries.map(retry_budget));
    let together = |parts: &[Span<'_>]| parts.iter().map(|part| part.width() + 3).sum::<usize>().saturating_sub(3);
    while parts.len() > 1 && together(&parts) > room {
        parts.remove(1);
    }
    let mut spans = Vec::new();
    for part in parts {
        if !spans.is_empty() {
            spans.push(Span::raw(" · "));
        }
        spans.push(part);
    }
    Line::from(spans)
}

fn retry_budget(share: Share) -> Span<'static> {
    let style = match share.get() {
        low if low < 0.01 => Style::new().fg(Color::Red),
        low if low < 0.3 => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    };
    Span::styled(format!("retries {} {}", words::bar(share, 10), words::percent(share)), style)
}

/// How many endpoints are in which state, the worst first.
fn tally(endpoints: &[EndpointView]) -> String {
    let of = |state: fn(Standing) -> bool| endpoints.iter().filter(|endpoint| state(endpoint.standing)).count();
    let states = [
        (of(|it| it == Standing::KeyRefused), "key refused"),
        (of(|it| it == Standing::NoCredit), "no credit"),
        (of(|it| matches!(it, Standing::Open { .. })), "open"),
        (of(|it| matches!(it, Standing::Held { .. })), "held"),
        (of(|it| it == Standing::Probing), "probing"),
        (of(|it| it == Standing::Full), "full"),
        (of(|it| it == Standing::Ok), "ok"),
    ];
    let states = states.into_iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
    let states: Vec<String> = states.collect();
    if states.is_empty() { "no endpoints".to_owned() } else { states.join(", ") }
}
