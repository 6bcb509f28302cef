//! The three tables: which columns each has, and what stands in them.

use std::cmp::Ordering;

use ratatui::style::{Color, Modifier, Style};

use super::figures::tone;
use super::histogram::Estimate;
use super::snapshot::Breaker;
use super::view::{EndpointRow, MethodRow, ModelRow, View};
use super::words::{known, known_rate, known_usd, number, seconds, share, usd};
use crate::cli::watch::grid::{Cell, Column};
use crate::cli::watch::words::NOTHING;

/// A table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tab {
    #[default]
    Models,
    Endpoints,
    Methods,
}

/// A cell, and what it is sorted by; what is not known comes last.
type Sortable = (Cell, Option<f64>);

const MODELS: [Column; 11] = [
    Column::text("MODEL").least(24),
    Column::number("CALLS/S").steady(7),
    Column::number("FAILED").steady(6),
    Column::number("P50").steady(6).goes(5),
    Column::number("P95").steady(6),
    Column::number("P99").steady(6).goes(4),
    Column::number("FIRST P95").goes(7),
    Column::number("IN/S").steady(5).goes(2),
    Column::number("OUT/S").steady(5).goes(6),
    Column::number("$/H").steady(6).goes(3),
    Column::number("$ TOTAL").goes(1),
];

const ENDPOINTS: [Column; 11] = [
    Column::text("ENDPOINT").least(24),
    Column::number("ATTEMPTS/S").steady(7),
    Column::number("FAILED").steady(6),
    Column::text("BREAKER").steady(7),
    Column::number("IN FLIGHT").goes(7),
    Column::number("RETRIES/S").goes(5),
    Column::number("FAILOVERS/S").goes(4),
    Column::number("HEDGES/S").goes(1),
    Column::number("REQUESTS LEFT").goes(2),
    Column::number("TOKENS LEFT").goes(6),
    Column::number("$/H").steady(6).goes(3),
];

const METHODS: [Column; 9] = [
    Column::text("RPC").least(16),
    Column::number("CALLS/S").steady(7),
    Column::number("FAILED").steady(6),
    Column::number("CANCELLED/S").goes(2),
    Column::number("P50").steady(6).goes(4),
    Column::number("P95").steady(6),
    Column::number("P99").steady(6).goes(5),
    Column::number("GATEWAY P95").goes(3),
    Column::number("SINCE START").goes(1),
];

impl Tab {
    pub(super) const ALL: [Self; 3] = [Self::Models, Self::Endpoints, Self::Methods];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Endpoints => "endpoints",
            Self::Methods => "rpcs",
        }
    }

    pub(super) fn next(self) -> Self {
        match self {
            Self::Models => Self::Endpoints,
            Self::Endpoints => Self::Methods,
            Self::Methods => Self::Models,
        }
    }

    pub(super) fn previous(self) -> Self {
        self.next().next()
    }

    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Models => &MODELS,
            Self::Endpoints => &ENDPOINTS,
            Self::Methods => &METHODS,
        }
    }

    /// The rows, sorted by a column: numbers with the largest first, names by the alphabet.
    pub(super) fn rows(self, view: &View, sorted: usize) -> Vec<Vec<Cell>> {
        let mut rows: Vec<Vec<Sortable>> = match self {
            Self::Models => view.models.iter().map(model).collect(),
            Self::Endpoints => view.endpoints.iter().map(endpoint).collect(),
            Self::Methods => view.methods.iter().map(method).collect(),
        };
        let key = |row: &[Sortable]| row.get(sorted).and_then(|(_, key)| *key);
        // They come by the alphabet, and stay so where they are equal.
        rows.sort_by(|one, other| match (key(one), key(other)) {
            (Some(one), Some(other)) => other.total_cmp(&one),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        });
        rows.into_iter().map(|row| row.into_iter().map(|(cell, _)| cell).collect()).collect()
    }
}

fn model(row: &ModelRow) -> Vec<Sortable> {
    vec![
        name(&row.model, "(default)"),
        rate(row.completions.per_second),
        failed(row.failed_share),
        time(row.duration_seconds.p50),
        time(row.duration_seconds.p95),
        time(row.duration_seconds.p99),
        time(row.time_to_first_chunk_seconds.p95),
        rate(row.input_tokens.per_second),
        rate(row.output_tokens.per_second),
        dollars(row.cost_usd.per_second),
        (quiet(usd(row.cost_usd.total)), Some(row.cost_usd.total)),
    ]
}

fn endpoint(row: &EndpointRow) -> Vec<Sortable> {
    let (word, style) = match row.breaker {
        Some(Breaker::Closed) => ("closed", Style::new().fg(Color::Green)),
        Some(Breaker::HalfOpen) => ("probing", Style::new().fg(Color::Yellow)),
        Some(Breaker::Open) => ("open", Style::new().fg(Color::Red)),
        None => (NOTHING, Style::new().add_modifier(Modifier::DIM)),
    };
    let worse = row.breaker.map(|breaker| match breaker {
        Breaker::Closed => 0.0,
        Breaker::HalfOpen => 1.0,
        Breaker::Open => 2.0,
    });
    vec![
        name(&row.endpoint, "(none)"),
        rate(row.attempts.per_second),
        failed(row.failed_share),
        ((word.to_owned(), style), worse),
        (quiet(known(row.in_flight)), row.in_flight),
        rate(row.retries.per_second),
        rate(row.failovers.per_second),
        rate(row.hedges.per_second),
        left(row.requests_left),
        left(row.tokens_left),
        dollars(row.cost_usd.per_second),
    ]
}

fn method(row: &MethodRow) -> Vec<Sortable> {
    vec![
        name(&row.method, "(none)"),
        rate(row.calls.per_second),
        failed(row.failed_share),
        rate(row.cancelled.per_second),
        time(row.duration_seconds.p50),
        time(row.duration_seconds.p95),
        time(row.duration_seconds.p99),
        time(row.gateway_overhead_seconds.p95),
        (quiet(number(row.calls.total)), Some(row.calls.total)),
    ]
}

fn name(name: &str, unnamed: &str) -> Sortable {
    let shown = if name.is_empty() { unnamed } else { name };
    ((shown.to_owned(), Style::new()), None)
}

fn rate(value: Option<f64>) -> Sortable {
    (quiet(known_rate(value)), value)
}

/// What is nearly used up comes first.
fn left(value: Option<f64>) -> Sortable {
    let style = if value == Some(0.0) { Style::new().fg(Color::Red) } else { Style::new() };
    let (text, quiet) = quiet(known(value));
    ((text, quiet.patch(style)), value.map(|left| -left))
}

fn failed(value: Option<f64>) -> Sortable {
    let (text, quiet) = quiet(share(value));
    ((text, tone(value).patch(quiet)), value)
}

fn time(value: Option<Estimate>) -> Sortable {
    (quiet(seconds(value)), value.map(Estimate::get))
}

/// Dollars an hour, of what is told by the second.
fn dollars(per_second: Option<f64>) -> Sortable {
    let hourly = per_second.map(|usd| usd * 3600.0);
    (quiet(known_usd(hourly)), hourly)
}

/// What is nothing is not looked at.
fn quiet(text: String) -> Cell {
    let style = if text == NOTHING { Style::new().add_modifier(Modifier::DIM) } else { Style::new() };
    (text, style)
}
