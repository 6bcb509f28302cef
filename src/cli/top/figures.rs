//! The figures of the whole server, one line each: what it is called, its words with the most important first, and which line of
//! the past stands beside it.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::histogram::Percentiles;
use super::history::Point;
use super::view::View;
use super::words::{bytes, known, known_rate, known_usd, number, percentiles, share, usd};
use crate::cli::watch::words::NOTHING;

/// A line of figures.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) label: &'static str,
    /// The first stays; of the others, the last goes first where there is no room.
    pub(super) words: Vec<Span<'static>>,
    pub(super) line: Option<PastLine>,
}

/// What is drawn of the past.
#[derive(Clone, Copy, Debug)]
pub(super) struct PastLine {
    pub(super) of: fn(&Point) -> Option<f64>,
    /// The top of the line is at this, or at the highest value where that is higher.
    pub(super) ceiling: f64,
    pub(super) color: Color,
}

/// From which share of failed calls on it is bad, and from which busy share on calls wait.
const MANY_FAILED: f64 = 0.05;
const BUSY: f64 = 0.8;

/// All lines, the most important first.
pub(super) fn figures(view: &View) -> Vec<Figure> {
    let line = |of, ceiling, color| Some(PastLine { of, ceiling, color });
    let figure = |label, words, line| Figure { label, words, line };
    vec![
        figure("calls", calls(view), line(|it| it.calls, 0.0, Color::Cyan)),
        figure("failed", failed(view), line(|it| it.failed_share, MANY_FAILED, Color::Red)),
        figure("duration", spread(&view.calls.duration_seconds), line(|it| it.duration, 0.0, Color::Cyan)),
        figure("to first", spread(&view.time_to_first_chunk_seconds), line(|it| it.first_chunk, 0.0, Color::Cyan)),
        figure("tokens", tokens(view), line(|it| it.output_tokens, 0.0, Color::Cyan)),
        figure("cost", cost(view), line(|it| it.usd, 0.0, Color::Green)),
        figure("cache", cache(view), line(|it| it.hit_share, 1.0, Color::Green)),
        figure("gateway", spread(&view.gateway_overhead_seconds), None),
        figure("process", process(view), line(|it| it.busy, 1.0, Color::Yellow)),
    ]
}

fn main(text: String) -> Span<'static> {
    Span::styled(text, Style::new().add_modifier(Modifier::BOLD))
}

fn spread(of: &Percentiles) -> Vec<Span<'static>> {
    percentiles(of).map(Span::raw).into()
}

fn calls(view: &View) -> Vec<Span<'static>> {
    let calls = &view.calls;
    let mut words = vec![main(format!("{}/s", known_rate(calls.ended.per_second)))];
    words.push(Span::raw(format!("{} in flight", known(calls.in_flight))));
    if calls.refused.total > 0.0 {
        let style = match calls.refused.recent {
            Some(some) if some > 0.0 => Style::new().fg(Color::Red),
            _ => Style::new(),
        };
        let (rate, total) = (known_rate(calls.refused.per_second), number(calls.refused.total));
        words.push(Span::styled(format!("{rate}/s refused, {total} in all"), style));
    }
    words.push(Span::raw(format!("{} since start", number(calls.ended.total))));
    words.extend(calls.request_bytes_in_flight.map(|held| Span::raw(format!("{} of requests", bytes(held)))));
    words
}

fn failed(view: &View) -> Vec<Span<'static>> {
    let calls = &view.calls;
    let mut words =
        vec![Span::styled(share(calls.failed_share), tone(calls.failed_share).add_modifier(Modifier::BOLD))];
    let mut statuses: Vec<(&str, f64)> =
        calls.statuses.iter().map(|(status, count)| (status.as_str(), *count)).collect();
    statuses.retain(|(status, _)| *status != "OK");
    statuses.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    words.push(Span::raw(format!("{}/s", known_rate(calls.failed.per_second))));
    words.extend(statuses.into_iter().map(|(status, count)| Span::raw(format!("{} {status}", number(count)))));
    words
}

fn tokens(view: &View) -> Vec<Span<'static>> {
    let (input, output) = (view.tokens.input, view.tokens.output);
    vec![
        main(format!("{}/s in, {}/s out", known_rate(input.per_second), known_rate(output.per_second))),
        Span::raw(format!("{} and {} since start", number(input.total), number(output.total))),
    ]
}

fn cost(view: &View) -> Vec<Span<'static>> {
    let cost = &view.cost;
    let mut words = vec![
        main(format!("{}/min", known_usd(cost.usd_per_minute))),
        Span::raw(format!("{}/h", known_usd(cost.usd_per_hour))),
        Span::raw(format!("{} since start", usd(cost.usd.total))),
    ];
    if cost.unpriced_attempts.total > 0.0 {
        let text = format!("{} attempts without a price", number(cost.unpriced_attempts.total));
        words.push(Span::styled(text, Style::new().fg(Color::Yellow)));
    }
    if cost.estimated_usd_total > 0.0 {
        words.push(Span::raw(format!("of it {} estimated", usd(cost.estimated_usd_total))));
    }
    words
}

fn cache(view: &View) -> Vec<Span<'static>> {
    let cache = &view.cache;
    let answered = cache.hits.total + cache.coalesced.total + cache.replayed.total;
    if answered + cache.misses.total <= 0.0 {
        return vec![Span::styled("not asked yet", Style::new().add_modifier(Modifier::DIM))];
    }
    vec![
        main(format!("{} hits", share(cache.hit_share))),
        Span::raw(format!("{}/h saved", known_usd(cache.saved_usd_per_hour))),
        Span::raw(format!("{} since start", usd(cache.saved_usd.total))),
    ]
}

fn process(view: &View) -> Vec<Span<'static>> {
    let process = &view.process;
    let busy = match process.busiest_worker_share {
        Some(share) if share > BUSY => Style::new().fg(Color::Red),
        _ => Style::new(),
    };
    let workers = format!("{} {}", process.workers, if process.workers == 1 { "worker" } else { "workers" });
    let mut words = vec![
        main(process.resident_memory_bytes.map_or(NOTHING.to_owned(), bytes)),
        Span::styled(format!("{workers} {} busy", share(process.busy_share)), busy),
        Span::styled(format!("busiest {}", share(process.busiest_worker_share)), busy),
    ];
    if process.lost_records.total > 0.0 {
        let text = format!("{} records lost", number(process.lost_records.total));
        words.push(Span::styled(text, Style::new().fg(Color::Red)));
    }
    words
}

/// The colour of a share of failed calls: none, some, many.
pub(super) fn tone(failed: Option<f64>) -> Style {
    match failed {
        Some(many) if many > MANY_FAILED => Style::new().fg(Color::Red),
        Some(some) if some > 0.0 => Style::new().fg(Color::Yellow),
        Some(_) => Style::new().fg(Color::Green),
        None => Style::new(),
    }
}
