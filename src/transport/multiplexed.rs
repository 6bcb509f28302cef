//! The HTTP client for upstreams that are asked over HTTP/2: calls share connections.
//!
//! A call never waits for another one to end: where every connection has as many streams as the upstream or we allow, one
//! more is made. So there is no queue that nobody sees, but for a moment where an upstream lowers what it allows, and what
//! happens to a connection happens to a bounded number of calls. `shared` is such a connection.

mod shared;

use std::sync::Arc;

use http::header::HOST;
use http_body_util::BodyExt;

use self::shared::{Seat, Shared};
use super::counted::Counted;
use super::departure::Departing;
use super::host::Host;
use super::hosts::Hosts;
use super::{Incoming, Outgoing, Sending, TransportError, Trust};
use crate::count::Count;

/// How often a call asks again that an upstream has refused for want of room, in anger, or on a connection made for it.
const REFUSALS: usize = 3;
/// How often it does where connections end that others have used before: each time there is one less of them.
const MOVES: usize = 20;

/// The connections of a worker to all upstreams that are asked over HTTP/2.
#[derive(Debug)]
pub(super) struct Multiplexed {
    hosts: Hosts<Arc<Shared>>,
}

impl Multiplexed {
    /// No connections yet; `open` counts them.
    pub(super) fn new(trust: Trust, open: Count) -> Self {
        Self { hosts: Hosts::new(trust, open) }
    }

    /// Sends a request, on a connection that there is or on one more.
    pub(super) fn send(&self, outgoing: Outgoing) -> Sending {
        match self.hosts.at(outgoing.request.uri(), outgoing.connect_timeout) {
            Ok(host) => Box::pin(send(host, outgoing)),
            Err(error) => Box::pin(std::future::ready(Err(TransportError::Connect(error)))),
        }
    }
}

async fn send(host: Arc<Host<Arc<Shared>>>, outgoing: Outgoing) -> Result<Incoming, TransportError> {
    let Outgoing { mut request, departure, .. } = outgoing;
    // The address says it.
    request.headers_mut().remove(HOST);
    let (mut refusals, mut moves) = (0, 0);
    loop {
        let Seat { mut sender, place } = host.seat().await?;
        let (is_new, shared) = (place.is_new, Arc::clone(&place.shared));
        // Both directions hold the place: an upstream may answer before it has taken the whole request.
        let place = Arc::new(place);
        let body = |body| Counted::new(Departing::new(body, departure.clone()), Arc::clone(&place));
        let error = match sender.try_send_request(request.clone().map(body)).await {
            Ok(answer) => return Ok(answer.map(|body| Counted::new(body, place).map_err(lost).boxed_unsync())),
            Err(error) => error.into_error(),
        };
        let refusal = refusal(&error);
        match refusal {
            Some(Refusal::GoingAway | Refusal::Unwilling) => shared.is_left(),
            Some(Refusal::Full) => shared.is_full_now(),
            // A connection may have ended unseen. A body that was not asked for has not left, and without it there is no request.
            None if !departure.happened() && !request.body().is_empty() => {}
            None => return Err(lost(error)),
        }
        departure.did_not_happen();
        moves += 1;
        let is_passing = matches!(refusal, Some(Refusal::GoingAway)) || (refusal.is_none() && sender.is_closed());
        refusals += usize::from(is_new || !is_passing);
        if refusals > REFUSALS || moves > MOVES {
            return Err(lost(error));
        }
    }
}

/// Why an upstream has not begun with a call. It did nothing for it then, and by HTTP/2's own rules may be asked again.
enum Refusal {
    /// It was going away when the call came: so balancers end connections after a number of requests.
    GoingAway,
    /// The same, and not because its time had come.
    Unwilling,
    /// It had no room.
    Full,
}

/// The refusal that an error is; none: the upstream may have begun.
fn refusal(error: &hyper::Error) -> Option<Refusal> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>().filter(|error| error.is_remote()) {
            // A stream ends by a GOAWAY of the upstream only where its number is above the last that is taken.
            return match (error.is_go_away(), error.reason()) {
                (true, Some(h2::Reason::NO_ERROR)) => Some(Refusal::GoingAway),
                (true, _) => Some(Refusal::Unwilling),
                (false, Some(h2::Reason::REFUSED_STREAM)) => Some(Refusal::Full),
                (false, _) => None,
            };
        }
        source = cause.source();
    }
    None
}

fn lost(error: hyper::Error) -> TransportError {
    TransportError::Lost(error.into())
}

#[cfg(test)]
mod tests;
