//! What the public listener serves: gRPC, and beside it this face, told apart by what a request says it is.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, ORIGIN};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::Cors;
use uuid::Uuid;

use super::{Answer, Origins, STANDS_FOR, STREAM, refused};
use crate::callers::LedgerView;
use crate::domain::{CallId, Error, Reason};
use crate::edge::grpc::{Failure, Refusal, Unread};
use crate::telemetry::Metrics;

/// gRPC by `G`, and what this face serves beside it: gRPC-Web by `G` too, and `POST /stream` by `P`. Both are behind the admission.
#[derive(Clone)]
pub(in crate::edge) struct Beside<G, P> {
    grpc: G,
    // Shared: each stream has a clone of the service, and nearly all of them are gRPC.
    rest: Arc<Rest<G, P>>,
}

struct Rest<G, P> {
    other: Other<G, P>,
    /// The same, telling browsers who may call.
    told: Cors<Other<G, P>>,
    origins: Origins,
    metrics: Metrics,
    unread: Unread,
}

/// A service that is behind the admission.
pub(in crate::edge) trait Behind:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer> + Clone + Send + 'static
{
}

impl<S> Behind for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer> + Clone + Send + 'static
{
}

impl<G: Behind, P: Behind> Beside<G, P> {
    /// Pages of `origins` may call.
    pub(in crate::edge) fn new((grpc, plain): (G, P), origins: Origins, metrics: Metrics, unread: Unread) -> Self {
        let other = Other { grpc: grpc.clone(), plain, unread: unread.clone() };
        let told = origins.layer().layer(other.clone());
        Self { grpc, rest: Arc::new(Rest { other, told, origins, metrics, unread }) }
    }
}

impl<G: Behind, P: Behind> Service<Request<Incoming>> for Beside<G, P> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.grpc.poll_ready(context)
    }

    fn call(&mut self, request: Request<Incoming>) -> Answer {
        let mut request = request.map(Body::new);
        // No page sends this type without having asked, and it is not allowed to any, but for one whose name was led to this
        // server (DNS rebinding), which asks nobody. Such a page has no certificate for that name, and so speaks HTTP/1.1. A
        // proxy that has translated gRPC-Web passes the origin on over HTTP/2, and has looked at it itself.
        let rest = &*self.rest;
        let by_no_page = request.version() >= Version::HTTP_2 || rest.origins.allow(request.headers());
        if is_grpc(request.headers()) && by_no_page {
            return self.grpc.call(request);
        }
        let id = CallId::new(Uuid::now_v7());
        request.extensions_mut().insert(id);
        if !rest.origins.allow(request.headers()) {
            return unread(request, &rest.unread, |path| stranger(&rest.metrics, (id, path), NOT_LISTED));
        }
        match request.headers().contains_key(ORIGIN) {
            true => Box::pin(rest.told.clone().oneshot(request)),
            false => rest.other.clone().call(request),
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let said = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    said.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// What is no gRPC.
#[derive(Clone)]
struct Other<G, P> {
    grpc: G,
    plain: P,
    unread: Unread,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// A call by gRPC-Web.
    GrpcWeb,
    /// A completion, streamed by plain HTTP.
    Stream,
    /// That by a method other than POST.
    OtherMethod,
    /// That by a version of HTTP in which an answer that is cut off looks complete.
    TooOld,
    /// A method of the contract, by something that is neither gRPC nor gRPC-Web.
    OtherType,
    /// What is not here.
    Nothing,
}

impl Asked {
    fn by<B>(request: &Request<B>) -> Self {
        let (path, is_post) = (request.uri().path(), request.method() == Method::POST);
        let said = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let is_method = path.starts_with("/completiond.") || path.starts_with("/grpc.");
        match said {
            // All that tonic-web knows.
            b"application/grpc-web"
            | b"application/grpc-web+proto"
            | b"application/grpc-web-text"
            | b"application/grpc-web-text+proto" => {
                if is_post {
                    Self::GrpcWeb
                } else {
                    Self::OtherMethod
                }
            }
            _ if path != STREAM => {
                if is_method {
                    Self::OtherType
                } else {
                    Self::Nothing
                }
            }
            _ if !is_post => Self::OtherMethod,
            _ if request.version() < Version::HTTP_11 => Self::TooOld,
            _ => Self::Stream,
        }
    }

    /// What is told where there is nothing to serve.
    const fn refusal(self) -> (StatusCode, &'static str) {
        match self {
            Self::OtherMethod => (StatusCode::METHOD_NOT_ALLOWED, "this is served by POST alone"),
            Self::TooOld => (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "this needs HTTP/1.1 or HTTP/2: an answer that is cut off would look complete over HTTP/1.0",
            ),
            Self::OtherType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "this is called by gRPC or gRPC-Web, with `content-type: application/grpc` or `application/grpc-web+proto`; \
                 POST /stream takes plain HTTP",
            ),
            _ => (
                StatusCode::NOT_FOUND,
                "nothing is here: completions are streamed by POST /stream, and everything else is gRPC or gRPC-Web",
            ),
        }
    }
}

impl<G: Behind, P: Behind> Service<Request<Body>> for Other<G, P> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Answer {
        let id = request.extensions().get().copied().unwrap_or_else(|| CallId::new(Uuid::now_v7()));
        match Asked::by(&request) {
            Asked::GrpcWeb => Box::pin(GrpcWebLayer::new().layer(self.grpc.clone()).oneshot(request)),
            Asked::Stream => {
                *request.uri_mut() = standing_for(request.uri());
                let answer = self.plain.clone().oneshot(request);
                Box::pin(async move {
                    let Ok(answer) = answer.await;
                    // Who is not let in is told so in gRPC's words.
                    Ok(Failure::in_head(answer.headers()).map_or(answer, |failure| refused::answer(&failure, id)))
                })
            }
            asked => unread(request, &self.unread, |_| not_served(asked, id)),
        }
    }
}

/// What a page is told that may not call.
const NOT_LISTED: &str =
    "pages of this origin may not call this server; `web.origins` of its configuration lists those that may";

/// The answer to a page that may not call, which is counted and noted.
pub(super) fn stranger(metrics: &Metrics, (id, path): (CallId, &str), why: &'static str) -> Response<Body> {
    let error = Error::new(Reason::PermissionDenied, why);
    metrics.refused(error.reason);
    let refusal = Refusal { id, view: LedgerView::WithoutEndpoints };
    refusal.note(&error, path);
    refused::answer(&refusal.failure(&error), id)
}

/// The answer to a request whose body is of no use.
pub(super) fn unread(request: Request<Body>, unread: &Unread, answer: impl FnOnce(&str) -> Response<Body>) -> Answer {
    let (answer, unread) = (answer(request.uri().path()), unread.clone());
    Box::pin(async move {
        unread.read_a_little(request.into_body()).await;
        Ok(answer)
    })
}

/// The method that `/stream` stands for, with the same query.
fn standing_for(uri: &Uri) -> Uri {
    let query = uri.query().map(|query| format!("{STANDS_FOR}?{query}"));
    query.and_then(|path| path.parse().ok()).unwrap_or_else(|| Uri::from_static(STANDS_FOR))
}

fn not_served(asked: Asked, id: CallId) -> Response<Body> {
    let (status, message) = asked.refusal();
    let error = Error::new(Reason::MethodUnknown, message);
    let refusal = Refusal { id, view: LedgerView::WithoutEndpoints };
    let mut response = refused::answer_as(status, &refusal.failure(&error), id);
    if asked == Asked::OtherMethod {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str, content_type: &str, version: Version) -> Asked {
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, content_type).version(version);
        Asked::by(&request.body(()).unwrap())
    }

    #[test]
    fn what_is_asked_is_told_by_type_path_method_and_version() {
        const METHOD: &str = "/completiond.v1.CompletionService/Complete";
        for (method, path, content_type, expected) in [
            ("POST", METHOD, "application/grpc-web+proto", Asked::GrpcWeb),
            ("POST", "/anything", "application/grpc-web-text", Asked::GrpcWeb),
            ("GET", METHOD, "application/grpc-web", Asked::OtherMethod),
            ("POST", METHOD, "application/grpc-web+json", Asked::OtherType),
            ("POST", METHOD, "application/json", Asked::OtherType),
            ("POST", "/stream", "application/json", Asked::Stream),
            ("POST", "/stream?model=x", "", Asked::Stream),
            ("GET", "/stream", "", Asked::OtherMethod),
            ("OPTIONS", "/stream", "", Asked::OtherMethod),
            ("POST", "/stream/", "", Asked::Nothing),
            ("GET", "/", "", Asked::Nothing),
        ] {
            assert_eq!(asked(method, path, content_type, Version::HTTP_11), expected, "{method} {path} {content_type}");
        }
        assert_eq!(asked("POST", "/stream", "text/plain", Version::HTTP_10), Asked::TooOld);
    }

    #[test]
    fn what_is_grpc_is_told_by_its_type_alone() {
        let is = |said: &'static str| is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(said))]));
        assert!(is("application/grpc") && is("application/grpc+proto") && is("application/grpc;charset=x"));
        assert!(!is("application/grpc-web") && !is("application/grpcx") && !is("text/plain") && !is(""));
    }

    #[test]
    fn what_is_asked_in_the_address_stays() {
        assert_eq!(standing_for(&Uri::from_static("http://server/stream?model=a")).query(), Some("model=a"));
        assert_eq!(standing_for(&Uri::from_static("/stream")).path(), STANDS_FOR);
    }
}
