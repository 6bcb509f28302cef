//! One who calls: a server over gRPC, or over HTTP the upstream itself or one that speaks as it does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tonic::Streaming;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};

use super::raw::Raw;
use crate::Failure;
use crate::production::CALLER_KEY;
use crate::shapes::{Delivery, SERIAL, Shape, Wire, to_gateway, to_upstream};

/// Connections to a server, which calls take in turns.
const CONNECTIONS: usize = 4;
/// How long a connection over HTTP may be idle and be used again. Servers close theirs after five seconds and more, and a call that
/// begins in that moment would be lost.
const IDLE: Duration = Duration::from_secs(2);

/// Makes one kind of call. Clones have the same connections.
#[derive(Clone)]
pub(crate) struct Caller(Arc<Inner>);

struct Inner {
    way: Way,
    message: Bytes,
    delivery: Delivery,
    /// Where each request has a number of its own.
    serial: Option<usize>,
    calls: AtomicUsize,
}

enum Way {
    Grpc { channels: Vec<Channel>, path: PathAndQuery },
    Http(Box<Http>),
}

struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Told {
    /// When the first message came, or the first bytes of the body.
    pub(crate) first: Instant,
    /// Messages, or pieces of the body.
    pub(crate) messages: usize,
    /// The last one.
    pub(crate) last: Bytes,
}

impl Caller {
    /// Calls the gateway.
    pub(crate) fn of_gateway(
        server: SocketAddr,
        wire: Wire,
        shape: Shape,
        delivery: Delivery,
    ) -> Result<Self, Failure> {
        let path = match delivery {
            Delivery::Whole => "/completiond.v1.CompletionService/Complete",
            Delivery::Stream => "/completiond.v1.CompletionService/StreamComplete",
        };
        Self::over_grpc(server, PathAndQuery::from_static(path), to_gateway(wire, shape), delivery)
    }

    /// Calls the reference.
    pub(crate) fn of_reference(
        server: SocketAddr,
        wire: Wire,
        shape: Shape,
        delivery: Delivery,
    ) -> Result<Self, Failure> {
        let method = match delivery {
            Delivery::Whole => "Call",
            Delivery::Stream => "Stream",
        };
        let path = PathAndQuery::try_from(format!("/reference/{method}{}", wire.path()))?;
        Self::over_grpc(server, path, to_upstream(wire, shape, delivery), delivery)
    }

    /// Calls the upstream.
    pub(crate) fn of_upstream(
        upstream: SocketAddr,
        wire: Wire,
        shape: Shape,
        delivery: Delivery,
    ) -> Result<Self, Failure> {
        Self::over_http(upstream, HeaderMap::new(), wire, (shape, delivery))
    }

    /// Calls a server that is asked as the upstream is, with some headers of its own.
    pub(crate) fn over_http(
        server: SocketAddr,
        mut headers: HeaderMap,
        wire: Wire,
        (shape, delivery): (Shape, Delivery),
    ) -> Result<Self, Failure> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
        let uri = format!("http://{server}{}", wire.path()).parse()?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let way = Way::Http(Box::new(Http { client, uri, headers }));
        Ok(Self::over(way, to_upstream(wire, shape, delivery), delivery))
    }

    fn over_grpc(server: SocketAddr, path: PathAndQuery, message: Bytes, delivery: Delivery) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(format!("http://{server}"))?.tcp_nodelay(true);
        let channels = (0..CONNECTIONS).map(|_| endpoint.connect_lazy()).collect();
        Ok(Self::over(Way::Grpc { channels, path }, message, delivery))
    }

    fn over(way: Way, message: Bytes, delivery: Delivery) -> Self {
        Self(Arc::new(Inner { way, message, delivery, serial: None, calls: AtomicUsize::new(0) }))
    }

    /// The same, but no request is like another.
    pub(crate) fn never_the_same(self) -> Result<Self, Failure> {
        let mut inner = Arc::into_inner(self.0).ok_or("a caller that calls already")?;
        let serial = inner.message.windows(SERIAL.len()).position(|window| window == SERIAL.as_bytes());
        inner.serial = Some(serial.ok_or("a request without room for a number")?);
        Ok(Self(Arc::new(inner)))
    }

    /// Calls once, and waits for the whole answer.
    pub(crate) async fn call(&self) -> Result<Told, Failure> {
        let inner = &self.0;
        let call = inner.calls.fetch_add(1, Ordering::Relaxed);
        let message = inner.message(call);
        match (&inner.way, inner.delivery) {
            (Way::Grpc { channels, path }, delivery) => {
                let channel = channels.get(call % CONNECTIONS).ok_or("no connections")?;
                let mut grpc = Grpc::new(channel.clone());
                grpc.ready().await?;
                over_grpc(grpc, path.clone(), message, delivery).await
            }
            (Way::Http(http), _) => http.call(message).await,
        }
    }
}

impl Caller {
    /// Begins a stream, and returns it when its first message has come.
    pub(crate) async fn begin(&self) -> Result<Streaming<Bytes>, Failure> {
        let inner = &self.0;
        let Way::Grpc { channels, path } = &inner.way else { return Err("only a server has streams".into()) };
        let call = inner.calls.fetch_add(1, Ordering::Relaxed);
        let mut grpc = Grpc::new(channels.get(call % CONNECTIONS).ok_or("no connections")?.clone());
        grpc.ready().await?;
        let request = shown(inner.message(call))?;
        let mut stream = grpc.server_streaming(request, path.clone(), Raw).await?.into_inner();
        stream.message().await?.ok_or("a stream without a message")?;
        Ok(stream)
    }

    /// Calls once over HTTP, and returns the body of the answer.
    pub(crate) async fn body(&self) -> Result<Bytes, Failure> {
        let Way::Http(http) = &self.0.way else { return Err("only over HTTP there are bodies".into()) };
        Ok(http.ask(self.0.message(0)).await?.into_body().collect().await?.to_bytes())
    }
}

impl Inner {
    fn message(&self, call: usize) -> Bytes {
        let Some(at) = self.serial else { return self.message.clone() };
        let mut message = self.message.to_vec();
        if let Some(place) = message.get_mut(at..at + SERIAL.len()) {
            place.copy_from_slice(format!("{call:0width$}", width = SERIAL.len()).as_bytes());
        }
        message.into()
    }
}

/// The message with the caller's key, which the reference does not look at.
fn shown(message: Bytes) -> Result<tonic::Request<Bytes>, Failure> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {CALLER_KEY}").parse()?);
    Ok(request)
}

async fn over_grpc(
    mut grpc: Grpc<Channel>,
    path: PathAndQuery,
    message: Bytes,
    delivery: Delivery,
) -> Result<Told, Failure> {
    let request = shown(message)?;
    if delivery == Delivery::Whole {
        let last = grpc.unary(request, path, Raw).await?.into_inner();
        return Ok(Told { first: Instant::now(), messages: 1, last });
    }
    let mut stream = grpc.server_streaming(request, path, Raw).await?.into_inner();
    let mut last = stream.message().await?.ok_or("a stream without a message")?;
    let (first, mut messages) = (Instant::now(), 1);
    while let Some(message) = stream.message().await? {
        (last, messages) = (message, messages + 1);
    }
    Ok(Told { first, messages, last })
}

impl Http {
    async fn ask(&self, body: Bytes) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = self.client.request(request).await?;
        if !answer.status().is_success() {
            return Err(format!("a server said {}", answer.status()).into());
        }
        Ok(answer)
    }

    async fn call(&self, body: Bytes) -> Result<Told, Failure> {
        let mut body = self.ask(body).await?.into_body();
        let (mut first, mut messages, mut last) = (None, 0, Bytes::new());
        while let Some(frame) = body.frame().await {
            if let Ok(piece) = frame?.into_data() {
                first.get_or_insert_with(Instant::now);
                (last, messages) = (piece, messages + 1);
            }
        }
        Ok(Told { first: first.ok_or("an answer without a body")?, messages, last })
    }
}
