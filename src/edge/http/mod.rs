//! The second face on the same pipeline, for who cannot speak gRPC: `POST /stream` by plain HTTP, and gRPC-Web for browsers.
//!
//! A call by plain HTTP is `StreamComplete` in other clothes. [`convert`] makes a message of the contract of its body, and from
//! there it takes the way of every call: `edge/grpc/admission` has let it in on its headers, `edge/grpc/streaming` begins it, and
//! the pipeline answers. [`answer`] writes the events as text or as an event stream, and [`refused`] a failure as JSON. gRPC-Web is
//! translated by tonic-web before the admission. [`origins`] says which pages may call, and [`apart`] that none may call operators' rpcs. Nothing here knows `tonic::Status`.

mod answer;
mod apart;
mod beside;
mod convert;
mod media;
mod origins;
mod refused;
mod stream;

pub use origins::Origins;

pub(super) use apart::Apart;
pub(super) use beside::Beside;
pub(super) use stream::PlainStream;

use std::convert::Infallible;
use std::pin::Pin;

use http::Response;
use tonic::body::Body;

/// Where a completion is streamed by plain HTTP.
const STREAM: &str = "/stream";
/// What the admission and the calls know it as: the same bounds hold for it.
const STANDS_FOR: &str = "/completiond.v1.CompletionService/StreamComplete";
/// The header with the server's id of a call.
const REQUEST_ID: &str = "x-request-id";

/// An answer to come.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;
