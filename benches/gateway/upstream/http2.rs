//! The same provider over HTTP/2, for who speaks that: by hyper, with as many streams on a connection as is usual.

use std::convert::Infallible;
use std::iter;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::answers::Answers;
use super::{Asked, Form};
use crate::Failure;
use crate::shapes::Delivery;

/// How a connection of HTTP/2 begins, as far as nothing else begins so.
pub(super) const PREFACE: &[u8] = b"PRI";
/// Streams on a connection.
const STREAMS: u32 = 100;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Serves until the client goes away.
pub(super) async fn serve(stream: TcpStream, answers: Arc<Answers>) -> Result<(), Failure> {
    let service = service_fn(move |request| answer(request, Arc::clone(&answers)));
    let mut server = Builder::new(TokioExecutor::new());
    server.max_concurrent_streams(STREAMS);
    Ok(server.serve_connection(TokioIo::new(stream), service).await?)
}

async fn answer(request: Request<Incoming>, answers: Arc<Answers>) -> Result<Response<Body>, Failure> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    let asked = Asked::of(path.as_bytes(), &body).ok_or("a request whose shape is not known")?;
    let (kind, body) = if asked.delivery == Delivery::Whole {
        let whole = Full::new(Bytes::copy_from_slice(answers.body(asked.form))).boxed_unsync();
        (if asked.form == Form::Message { "application/protobuf" } else { "application/json" }, whole)
    } else {
        ("text/event-stream", events(&asked, &answers)?)
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

fn events(asked: &Asked, answers: &Answers) -> Result<Body, Failure> {
    let Form::Json(wire) = asked.form else { return Err("a message comes whole".into()) };
    let parts = answers.events(wire).clone();
    let shape = asked.shape;
    if shape.pace.is_zero() {
        // A frame for each event, as over HTTP/1.1 each is a chunk.
        let piece = Bytes::copy_from_slice(parts.piece());
        let all = iter::once(Bytes::copy_from_slice(parts.beginning()))
            .chain(iter::repeat_n(piece, shape.events))
            .chain(iter::once(Bytes::copy_from_slice(parts.end())));
        return Ok(StreamBody::new(stream::iter(all.map(|data| Ok(Frame::data(data))))).boxed_unsync());
    }
    let begun = Instant::now() + shape.delay;
    // The first piece comes with the beginning, the end with the last one's successor.
    let pieces = stream::unfold((0, begun, parts), move |(sent, due, parts)| async move {
        if sent > shape.events {
            return None;
        }
        sleep_until(due).await;
        let data = match sent {
            0 => Bytes::from([parts.beginning(), parts.piece()].concat()),
            _ if sent == shape.events => Bytes::copy_from_slice(parts.end()),
            _ => Bytes::copy_from_slice(parts.piece()),
        };
        // The end follows the last piece at once.
        let next = if sent + 1 == shape.events { due } else { due + shape.pace };
        Some((Ok(Frame::data(data)), (sent + 1, next, parts)))
    });
    Ok(StreamBody::new(pieces).boxed_unsync())
}
