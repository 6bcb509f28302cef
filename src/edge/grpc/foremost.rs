//! The service that is called most stands before the others: its calls are not looked up among the routes, where each is handed
//! on in two more boxes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

/// A service, and the routes to all others.
#[derive(Clone, Debug)]
pub(super) struct Foremost<S> {
    first: S,
    others: Routes,
}

impl<S> Foremost<S> {
    pub(super) fn new(first: S, others: Routes) -> Self {
        Self { first, others: others.prepare() }
    }
}

impl<S> Service<Request<Body>> for Foremost<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer> + NamedService,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Services of tonic always are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        match is_of(S::NAME, request.uri().path()) {
            true => self.first.call(request),
            false => Box::pin(self.others.call(request)),
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Whether `path` is that of a method of `service`.
fn is_of(service: &str, path: &str) -> bool {
    let method = path.strip_prefix('/').and_then(|path| path.strip_prefix(service));
    method.is_some_and(|method| method.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_told_by_the_whole_name_of_its_service() {
        for (path, expected) in [
            ("/a.v1.Service/Method", true),
            ("/a.v1.Service/", true),
            ("/a.v1.Service", false),
            ("/a.v1.ServiceToo/Method", false),
            ("/b/a.v1.Service/Method", false),
            ("a.v1.Service/Method", false),
            ("", false),
        ] {
            assert_eq!(is_of("a.v1.Service", path), expected, "{path}");
        }
    }
}
