//! The table as lines of styled text: a pure function of the view. The live screen and plain text show the same lines.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::columns::{self, Column, GAP, Widths, width};
use super::view::{EndpointView, Freshness, PoolView, Share, Standing};
use super::words;

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
        let widths = columns::fit(&view.endpoints, room);
        let mut table = Self {
            head: vec![first_line(view, server, freshness, room), sums(view, room)],
            titles: line(&widths, |column| (column.title().to_owned(), Style::new().add_modifier(Modifier::BOLD))),
            rows: view.endpoints.iter().map(|endpoint| line(&widths, |column| column.cell(endpoint))).collect(),
        };
        if matches!(freshness, Freshness::Stale { .. }) {
            table.fade();
        }
        table
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
    match freshness {
        Freshness::Fresh => {
            let whose = cut(&format!("pool of {server}"), room);
            let left = room.saturating_sub(width(&whose));
            Line::from(vec![Span::styled(whose, bold), Span::raw(cut(&format!(" · {}", tally(&view.endpoints)), left))])
        }
        Freshness::Stale { age, why } => {
            // How old the figures are matters more than why.
            let age = format!("{server} does not answer: figures of {} ago, still trying", words::time(*age));
            let text = if why.is_empty() { age } else { format!("{age} ({why})") };
            Line::from(Span::styled(cut(&text, room), bold.fg(Color::Red)))
        }
    }
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

fn line(widths: &Widths, cell: impl Fn(Column) -> (String, Style)) -> Line<'static> {
    let mut spans = Vec::new();
    for (at, (column, room)) in widths.iter().enumerate() {
        let (text, style) = cell(*column);
        let text = cut(&text, *room);
        let padding = " ".repeat(room.saturating_sub(width(&text)));
        let gap = " ".repeat(if at == 0 { 0 } else { GAP });
        if column.is_numeric() {
            spans.extend([Span::raw(gap + &padding), Span::styled(text, style)]);
        } else {
            spans.extend([Span::raw(gap), Span::styled(text, style), Span::raw(padding)]);
        }
    }
    Line::from(spans)
}

/// `text` in at most `room` cells; what is cut ends with a mark.
fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = 1;
    for letter in text.chars() {
        taken += width(letter.encode_utf8(&mut [0; 4]));
        if taken > room {
            break;
        }
        kept.push(letter);
    }
    if room > 0 {
        kept.push('…');
    }
    kept
}
