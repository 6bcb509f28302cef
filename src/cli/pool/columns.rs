//! The columns of the table, and what stands in each.

use ratatui::style::{Color, Modifier, Style};

use super::view::{EndpointView, Standing};
use super::words;
use crate::cli::watch::grid::{Cell, Column};
use crate::cli::watch::words::{NOTHING, count, time};

/// The columns. Where there is no room, who an endpoint is and how it is stay.
pub(super) const COLUMNS: [Column; 9] = [
    Column::text("ENDPOINT").least(28),
    Column::text("STATE").steady(11),
    Column::number("IN FLIGHT").goes(7),
    Column::number("FIRST EVENT").goes(5),
    Column::number("SENT").steady(6).goes(1),
    Column::number("FAILED").steady(11).goes(4),
    Column::number("REQUESTS LEFT").goes(2),
    Column::number("TOKENS LEFT").goes(3),
    Column::text("LAST ERROR").least(24).goes(6),
];

/// What stands in them for `endpoint`.
pub(super) fn cells(endpoint: &EndpointView) -> Vec<Cell> {
    vec![
        (endpoint.name.clone(), Style::new()),
        (words::standing(endpoint.standing), tone(endpoint.standing)),
        (words::in_flight(endpoint), Style::new()),
        quiet(endpoint.first_event.map_or(NOTHING.to_owned(), time)),
        quiet(count(endpoint.sent)),
        quiet(words::failed(endpoint)),
        quiet(words::left(endpoint.requests)),
        quiet(words::left(endpoint.tokens)),
        quiet(words::failure(endpoint.failure.as_ref())),
    ]
}

/// The colour of a state: green goes, yellow waits, red needs somebody, or time.
fn tone(standing: Standing) -> Style {
    match standing {
        Standing::Ok => Style::new().fg(Color::Green),
        Standing::Full | Standing::Probing | Standing::Held { .. } => Style::new().fg(Color::Yellow),
        Standing::Open { .. } => Style::new().fg(Color::Red),
        Standing::KeyRefused | Standing::NoCredit => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

/// What is nothing is not looked at.
fn quiet(text: String) -> Cell {
    let style = if text == NOTHING { Style::new().add_modifier(Modifier::DIM) } else { Style::new() };
    (text, style)
}
