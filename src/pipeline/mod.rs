//! What surrounds every call, whatever the upstream: one service, read from top to bottom.

mod call;
mod deadline;
mod heartbeat;
mod routing;

pub use call::{Call, Events, Reply};

use std::time::Duration;

use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::domain::Error;
use crate::route::Router;

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

/// Builds the pipeline over `router`.
pub fn pipeline(router: Router, settings: Settings) -> Pipeline {
    let stack = ServiceBuilder::new()
        // Outermost, so that everything below it is inside the caller's time, and ends with it.
        .layer(deadline::Deadlines::new(settings.total))
        // Inside the deadline, which is no sign of life; outside the route, whose silence it speaks into.
        .layer(heartbeat::Heartbeats::new(settings.heartbeat))
        .service(routing::Routing::new(router));
    BoxCloneSyncService::new(stack)
}
