//! The HTTP client of the hot path, for upstreams that are asked over HTTP/1.1: a connection belongs to one call at a time.
//!
//! The call that has a connection keeps it going itself (`line`), so nothing is handed from task to task. When the call is over the
//! next one has the connection, and what nobody has is looked after by one task for all.

mod line;

use std::sync::{Arc, Once, Weak};
use std::time::Duration;

use http::Request;
use http::header::HOST;
use http::uri::PathAndQuery;
use tokio::time::{Instant, interval};

use self::line::{Line, Sent};
use super::departure::Departing;
use super::host::Host;
use super::host_header::host_header;
use super::hosts::Hosts;
use super::{Incoming, Outgoing, Sending, TransportError, Trust};
use crate::count::Count;

/// How often it is looked whether connections that nobody has were closed by their peers, or are old.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many are kept for as long as an unused connection is kept, and how long those beyond are: what a burst leaves behind takes
/// memory here and at the provider.
const STANDBY: usize = 8;
const SURPLUS_IDLE: Duration = Duration::from_secs(10);
/// How long an old one may take to end as TLS wants it.
const PARTING: Duration = Duration::from_secs(5);

/// How often a call moves to another connection because its own has ended before the request was begun with.
const MOVES: usize = 3;

/// The connections of a worker to all upstreams that are asked over HTTP/1.1.
#[derive(Debug)]
pub(super) struct Exclusive {
    lines: Arc<Lines>,
}

#[derive(Debug)]
struct Lines {
    hosts: Hosts<Box<Line>>,
    /// Whether somebody looks after what nobody has.
    tended: Once,
}

impl Exclusive {
    /// No connections yet; `open` counts them.
    pub(super) fn new(trust: Trust, open: Count) -> Self {
        Self { lines: Arc::new(Lines { hosts: Hosts::new(trust, open), tended: Once::new() }) }
    }

    /// Sends a request, on a connection that nobody has or on one more.
    pub(super) fn send(&self, outgoing: Outgoing) -> Sending {
        Box::pin(send(Arc::clone(&self.lines), outgoing))
    }
}

async fn send(lines: Arc<Lines>, outgoing: Outgoing) -> Result<Incoming, TransportError> {
    lines.tended.call_once(|| drop(tokio::spawn(tend(Arc::downgrade(&lines)))));
    let Outgoing { request, departure, connect_timeout, .. } = outgoing;
    let host = lines.hosts.at(request.uri(), connect_timeout).map_err(TransportError::Connect)?;
    let mut request = addressed(request).map(|body| Sent::new(Departing::new(body, departure)));
    let mut moves = 0;
    loop {
        let mut error = match host.seat().await?.send(request).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        moves += 1;
        // A connection may have ended unseen. What comes back from it was not begun with; what does not may have been.
        match error.take_message() {
            Some(unsent) if moves <= MOVES => request = unsent,
            _ => return Err(TransportError::Lost(error.into_error().into())),
        }
    }
}

/// As HTTP/1.1 wants it: the path alone in the first line, and the host in its header.
fn addressed<Body>(mut request: Request<Body>) -> Request<Body> {
    let path = request.uri().path_and_query().cloned();
    let address = std::mem::replace(request.uri_mut(), path.unwrap_or(PathAndQuery::from_static("/")).into());
    if !request.headers().contains_key(HOST)
        && let Some(host) = host_header(&address)
    {
        request.headers_mut().insert(HOST, host);
    }
    request
}

/// Looks after the connections that nobody has, as long as there is somebody to have them.
async fn tend(lines: Weak<Lines>) {
    let mut look = interval(LOOK_EVERY);
    loop {
        look.tick().await;
        let Some(lines) = lines.upgrade() else { return };
        for host in lines.hosts.all() {
            for old in host.part(Instant::now()) {
                // TLS says that it ends. Nobody has to wait for that.
                tokio::spawn(tokio::time::timeout(PARTING, old.end()));
            }
        }
    }
}

impl Host<Box<Line>> {
    /// Forgets connections that have ended, and gives those out that nobody has used for too long.
    fn part(&self, now: Instant) -> impl Iterator<Item = Box<Line>> + use<> {
        let mut state = self.state();
        state.made.retain_mut(|line| line.is_still_free());
        // The first are those that were used least of late.
        let surplus = state.made.len().saturating_sub(STANDBY);
        let mut old: Vec<_> =
            state.made.extract_if(..surplus, |line| line.is_older(SURPLUS_IDLE.min(self.idle), now)).collect();
        old.extend(state.made.extract_if(.., |line| line.is_older(self.idle, now)));
        old.into_iter()
    }
}

#[cfg(test)]
mod tests;
