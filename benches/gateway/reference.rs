//! The reference: the least that a proxy can be. Frozen: when it changes, no figure can be compared with an earlier one.
//!
//! A tonic server that makes one pooled HTTP/1.1 request for each call and copies bytes: the call's message is the body, the
//! body of the answer is the message, and of a stream each event is one. It knows no JSON, no limits and no telemetry.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tonic::Status;
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tower::Service;

use crate::Failure;
use crate::load::raw::Raw;
use crate::workers;

/// Serves until the process is ended.
pub(crate) fn run(listen: SocketAddr, upstream: SocketAddr, threads: usize) -> Result<(), Failure> {
    workers::serve(listen, threads, move |mut connections| async move {
        let proxy = Proxy::to(upstream);
        let incoming = arriving(move |context| connections.poll_recv(context));
        let served = tonic::transport::Server::builder().serve_with_incoming(proxy, incoming).await;
        if let Err(error) = served {
            eprintln!("reference: {error}");
        }
    })
}

/// The connections as tonic takes them.
fn arriving(
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Option<std::net::TcpStream>>,
) -> impl Stream<Item = std::io::Result<tokio::net::TcpStream>> {
    futures_util::stream::poll_fn(move |context| poll(context).map(|next| next.map(tokio::net::TcpStream::from_std)))
}

/// The proxy of one worker. Clones have the same connections.
#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: SocketAddr,
}

impl Proxy {
    fn to(upstream: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector), upstream }
    }

    async fn ask(&self, path: &str, body: Bytes) -> Result<Response<Incoming>, Status> {
        let uri = Uri::builder().scheme("http").authority(self.upstream.to_string()).path_and_query(path).build();
        let request = Request::post(uri.map_err(unavailable)?).header("content-type", "application/json");
        let request = request.body(Full::new(body)).map_err(unavailable)?;
        self.client.request(request).await.map_err(unavailable)
    }
}

fn unavailable(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

impl tonic::server::NamedService for Proxy {
    const NAME: &'static str = "reference";
}

impl Service<Request<Body>> for Proxy {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// `/reference/Call/PATH` and `/reference/Stream/PATH`: what stands behind is the path at the upstream.
    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let way = Way { proxy: self.clone(), path: request.uri().path().to_owned() };
        Box::pin(async move {
            let mut grpc = Grpc::new(Raw);
            Ok(if way.path.starts_with("/reference/Stream") {
                grpc.server_streaming(way, request).await
            } else {
                grpc.unary(way, request).await
            })
        })
    }
}

struct Way {
    proxy: Proxy,
    path: String,
}

impl Way {
    fn upstream_path(&self) -> &str {
        let rest = self.path.strip_prefix("/reference/Stream").or_else(|| self.path.strip_prefix("/reference/Call"));
        rest.unwrap_or_default()
    }
}

impl UnaryService<Bytes> for Way {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (proxy, path) = (self.proxy.clone(), self.upstream_path().to_owned());
        Box::pin(async move {
            let answer = proxy.ask(&path, request.into_inner()).await?;
            let body = answer.into_body().collect().await.map_err(unavailable)?;
            Ok(tonic::Response::new(body.to_bytes()))
        })
    }
}

impl ServerStreamingService<Bytes> for Way {
    type Response = Bytes;
    type ResponseStream = Events;
    type Future = BoxFuture<'static, Result<tonic::Response<Events>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (proxy, path) = (self.proxy.clone(), self.upstream_path().to_owned());
        Box::pin(async move {
            let answer = proxy.ask(&path, request.into_inner()).await?;
            Ok(tonic::Response::new(Events { body: answer.into_body(), begun: BytesMut::new() }))
        })
    }
}

/// The events of an answer, cut where an empty line stands.
struct Events {
    body: Incoming,
    begun: BytesMut,
}

impl Stream for Events {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(end) = end_of_event(&this.begun) {
                return Poll::Ready(Some(Ok(this.begun.split_to(end).freeze())));
            }
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(more) = frame.into_data() {
                        this.begun.extend_from_slice(&more);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(unavailable(error)))),
                None => return Poll::Ready(None),
            }
        }
    }
}

fn end_of_event(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2)
}
