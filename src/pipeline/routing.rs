//! The innermost service: what decides, repeats or looks at events is the router, a plain function.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tower::Service;

use super::{Call, Reply};
use crate::domain::Error;
use crate::route::{Asked, Router};

/// Stands for no deadline: the layer above always sets one, years before this.
const NO_DEADLINE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Hands calls to the router.
#[derive(Clone, Debug)]
pub(super) struct Routing {
    router: Router,
}

impl Routing {
    pub(super) fn new(router: Router) -> Self {
        Self { router }
    }
}

impl Service<Call> for Routing {
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let router = self.router.clone();
        Box::pin(async move {
            let Call {
                id,
                caller: _,
                request,
                delivery,
                received,
                patience,
                previous_attempts,
                ledger,
                trace,
                keep: _,
            } = call;
            let deadline = patience.and_then(|patience| received.checked_add(patience));
            let deadline = deadline.unwrap_or(received + NO_DEADLINE);
            let asked = Asked { id, request, delivery, deadline, previous_attempts, ledger, trace };
            router.route(asked).await.map(Reply::new)
        })
    }
}
