//! What surrounds every call, whatever the upstream: one service, read from top to bottom.

mod answers;
mod call;
mod deadline;
mod flight;
mod heartbeat;
mod quota;
mod replays;
mod routing;
mod tally;

pub use answers::Reuse;
pub use call::{Call, Events, Keep, Nothing, Reply};
pub use replays::{Elsewhere, Replays};
pub use tally::{Spared, Tallied, Tally};

use std::time::Duration;

use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::domain::Error;
use crate::route::{Router, Tables};
use crate::store::Quotas;

/// The bounds that hold for every call.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a call may take, whatever its caller allows.
    pub total: Duration,
    /// The silence after which a stream's caller is told that the call is alive.
    pub heartbeat: Duration,
}

/// The pipeline: a call in, events out. A unary answer is a stream that ends at once.
pub type Pipeline = BoxCloneSyncService<Call, Reply, Error>;

/// The answers that are there already, for all workers.
#[derive(Clone, Debug)]
pub struct Ready {
    /// By what is asked.
    pub reuse: Reuse,
    /// By the callers' own ids.
    pub replays: Replays,
    /// What callers have used of what they may.
    pub quotas: Quotas,
}

/// Builds the pipeline over `router`, with the answers that are `ready`.
pub fn pipeline(router: Router, tables: Tables, ready: Ready, settings: Settings) -> Pipeline {
    let stack = ServiceBuilder::new()
        // Outermost, so that everything below it is inside the caller's time, and ends with it.
        .layer(deadline::Deadlines::new(settings.total))
        // Inside the deadline, which is no sign of life; outside the route, whose silence it speaks into.
        .layer(heartbeat::Heartbeats::new(settings.heartbeat))
        // Inside what is each caller's own: an answer that is made for several is nobody's deadline.
        .layer(replays::Replaying::new(ready.replays, settings.total))
        // Inside the ids: a call that is sent again is none, and has no part in what its caller may use. Outside the cache: a
        // hit is a request, too.
        .layer(quota::Limits::new(ready.quotas))
        // Inside the ids, so that a call that is sent again finds the answer that it was given.
        .layer(answers::Reusing::new(ready.reuse, tables, settings.total))
        .service(routing::Routing::new(router));
    BoxCloneSyncService::new(stack)
}
