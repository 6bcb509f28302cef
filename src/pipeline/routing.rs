//! The innermost service: what decides, repeats or looks at events is the router, a plain function.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::Service;

use super::{Call, Reply};
use crate::domain::Error;
use crate::route::{Asked, Router};

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
            let Call { id, request, delivery, previous_attempts, ledger, trace, .. } = call;
            let asked = Asked { id, request, delivery, previous_attempts, ledger, trace };
            router.route(asked).await.map(Reply::new)
        })
    }
}
