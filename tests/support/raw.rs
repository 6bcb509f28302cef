//! A gRPC call as bytes, for what no generated client would send, and for what it does not show of an answer.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tonic::Status;

use super::Seen;

/// The path of the unary method.
pub(crate) const COMPLETE: &str = "/completiond.v1.CompletionService/Complete";
/// The path of the streaming method.
pub(crate) const STREAM_COMPLETE: &str = "/completiond.v1.CompletionService/StreamComplete";

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) http_status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answered {
    /// The status, which must stand in the head of an answer that has nothing but a head.
    pub(crate) fn refused(&self) -> Seen {
        assert_eq!(self.http_status, 200, "{self:?}");
        assert!(self.body.is_empty() && self.trailers.is_none(), "the head was not all: {self:?}");
        Seen::of(&Status::from_header_map(&self.headers).unwrap_or_else(|| panic!("no status: {self:?}")))
    }
}

/// Sends `body` to `path` over a connection of its own.
pub(crate) async fn call(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answered {
    let stream = TcpStream::connect(address).await.unwrap();
    let connection = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = connection.await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    Answered { http_status: head.status.as_u16(), headers: head.headers, body: body.to_bytes(), trailers }
}

/// A message behind gRPC's five bytes.
pub(crate) fn framed(message: &[u8], is_compressed: u8) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(is_compressed);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(message);
    framed.freeze()
}

/// The same of a message of the contract.
pub(crate) fn encoded(message: &impl Message) -> Bytes {
    framed(&message.encode_to_vec(), 0)
}
