//! The columns of the table: what stands in each, how wide each is, and which are left out where there is no room.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::view::{EndpointView, Standing};
use super::words;

/// A column, in the order in which they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Endpoint,
    State,
    InFlight,
    FirstEvent,
    Sent,
    Failed,
    Requests,
    Tokens,
    LastError,
}

/// The columns that are shown, each with its width.
pub(super) type Widths = Vec<(Column, usize)>;

/// What stands between two columns.
pub(super) const GAP: usize = 2;

const ALL: [Column; 9] = [
    Column::Endpoint,
    Column::State,
    Column::InFlight,
    Column::FirstEvent,
    Column::Sent,
    Column::Failed,
    Column::Requests,
    Column::Tokens,
    Column::LastError,
];

/// What goes first where there is no room. Who it is and how it is stay.
const DISPENSABLE: [Column; 7] = [
    Column::Sent,
    Column::Requests,
    Column::Tokens,
    Column::Failed,
    Column::FirstEvent,
    Column::LastError,
    Column::InFlight,
];

impl Column {
    /// The word above it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Endpoint => "ENDPOINT",
            Self::State => "STATE",
            Self::InFlight => "IN FLIGHT",
            Self::FirstEvent => "FIRST EVENT",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Requests => "REQUESTS LEFT",
            Self::Tokens => "TOKENS LEFT",
            Self::LastError => "LAST ERROR",
        }
    }

    /// What stands in it for `endpoint`.
    pub(super) fn cell(self, endpoint: &EndpointView) -> (String, Style) {
        match self {
            Self::Endpoint => (endpoint.name.clone(), Style::new()),
            Self::State => (words::standing(endpoint.standing), tone(endpoint.standing)),
            Self::InFlight => (words::in_flight(endpoint), Style::new()),
            Self::FirstEvent => quiet(endpoint.first_event.map_or(words::NOTHING.to_owned(), words::time)),
            Self::Sent => quiet(words::count(endpoint.sent)),
            Self::Failed => quiet(words::failed(endpoint)),
            Self::Requests => quiet(words::left(endpoint.requests)),
            Self::Tokens => quiet(words::left(endpoint.tokens)),
            Self::LastError => quiet(words::failure(endpoint.failure.as_ref())),
        }
    }

    /// Whether what stands in it ends at its right side, as numbers do.
    pub(super) fn is_numeric(self) -> bool {
        matches!(self, Self::InFlight | Self::FirstEvent | Self::Sent | Self::Failed | Self::Requests | Self::Tokens)
    }

    /// The width that it keeps, so that the table does not jump while it is watched.
    fn steady(self) -> usize {
        match self {
            Self::State => 11,
            Self::Sent => 6,
            Self::Failed => 11,
            _ => 0,
        }
    }

    /// The width with which it still says something.
    fn least(self, natural: usize) -> usize {
        match self {
            Self::Endpoint => natural.min(28),
            Self::LastError => natural.min(24),
            _ => natural,
        }
    }
}

/// The columns that have room in `room` cells: the less important are left out; what is left of the room goes to errors
/// first, so that they are whole, and to names last.
pub(super) fn fit(endpoints: &[EndpointView], room: usize) -> Widths {
    let natural = |column: Column| {
        let cells = endpoints.iter().map(|endpoint| width(&column.cell(endpoint).0));
        cells.max().unwrap_or(0).max(width(column.title())).max(column.steady())
    };
    let natural = ALL.map(|column| (column, natural(column)));
    let mut shown: Widths = natural.iter().map(|(column, width)| (*column, column.least(*width))).collect();
    for dropped in DISPENSABLE {
        if total(&shown) <= room {
            break;
        }
        shown.retain(|(column, _)| *column != dropped);
    }
    let missing = total(&shown).saturating_sub(room);
    for (column, natural) in natural.iter().rev() {
        let free = room.saturating_sub(total(&shown));
        if let Some((_, width)) = shown.iter_mut().find(|(other, _)| other == column) {
            *width = (*natural).min(width.saturating_add(free));
        }
    }
    // Where even these have no room, a beginning of the name is still more than nothing.
    if let Some((Column::Endpoint, width)) = shown.first_mut() {
        *width = (*width).min(width.saturating_sub(missing).max(8));
    }
    shown
}

/// How many cells a text takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

fn total(widths: &Widths) -> usize {
    widths.iter().map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
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
fn quiet(text: String) -> (String, Style) {
    let style = if text == words::NOTHING { Style::new().add_modifier(Modifier::DIM) } else { Style::new() };
    (text, style)
}
