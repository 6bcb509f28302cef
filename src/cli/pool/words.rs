//! How an endpoint is, in words that fit into a cell.

use super::view::{EndpointView, Failure, Left, Standing};
use crate::cli::watch::Share;
use crate::cli::watch::words::{NOTHING, bar, count, percent, time};

/// Whether an endpoint is asked.
pub(super) fn standing(standing: Standing) -> String {
    match standing {
        Standing::KeyRefused => "key refused".to_owned(),
        Standing::NoCredit => "no credit".to_owned(),
        Standing::Open { remaining: None } => "open".to_owned(),
        Standing::Open { remaining: Some(remaining) } => format!("open {}", time(remaining)),
        Standing::Held { remaining } => format!("held {}", time(remaining)),
        Standing::Probing => "probing".to_owned(),
        Standing::Full => "full".to_owned(),
        Standing::Ok => "ok".to_owned(),
    }
}

/// What runs, of how much may.
pub(super) fn in_flight(endpoint: &EndpointView) -> String {
    match endpoint.limit {
        Some(limit) => format!("{} of {limit}", endpoint.in_flight),
        None => endpoint.in_flight.to_string(),
    }
}

/// How many attempts failed, and their share of all.
pub(super) fn failed(endpoint: &EndpointView) -> String {
    match Share::of_count(endpoint.failed, endpoint.sent) {
        Some(share) if endpoint.failed > 0 => format!("{} ({})", count(endpoint.failed), percent(share)),
        _ => count(endpoint.failed),
    }
}

/// What is left of a limit: a bar with its share, or the number where the whole is not known.
pub(super) fn left(left: Option<Left>) -> String {
    match left {
        Some(Left { share: Some(share), .. }) => format!("{} {:>5}", bar(share, 5), percent(share)),
        Some(Left { remaining, share: None }) => count(remaining),
        None => NOTHING.to_owned(),
    }
}

/// How long ago a failure was, and what it was: where there is little room, that can be cut.
pub(super) fn failure(failure: Option<&Failure>) -> String {
    failure.map_or(NOTHING.to_owned(), |failure| format!("{} ago: {}", time(failure.age), failure.reason))
}
