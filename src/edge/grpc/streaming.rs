//! The call behind the other face: it begins on the headers, its message is read from the body in whatever form that has, and
//! it is answered by events or a failure. It takes the same way as `StreamComplete`, and does not know how it is written.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

use super::calls::Completions;
use super::convert;
use super::failure::Failure;
use super::told::Told;
use super::watched::Watched;
use crate::domain::{Error, Reason};
use crate::pipeline::Call;
use crate::proto;
use crate::protocol::Delivery;
use crate::telemetry::Rpc;

/// Streams answers to callers that do not speak gRPC.
#[derive(Clone, Debug)]
pub(in crate::edge) struct Streaming {
    completions: Completions,
    max_request_bytes: usize,
}

/// The events of an answer.
#[derive(Debug)]
pub(in crate::edge) struct Events(Watched);

impl Streaming {
    /// Bodies may have this many bytes.
    pub(super) const fn new(completions: Completions, max_request_bytes: usize) -> Self {
        Self { completions, max_request_bytes }
    }

    /// Streams an answer to the request that `read` finds in the body. Where there is nothing to read it by, the body stays
    /// unread, and that is the answer.
    ///
    /// # Errors
    /// There will be no answer.
    pub(in crate::edge) async fn stream<Read>(
        &self,
        request: http::Request<Body>,
        read: Result<Read, Error>,
    ) -> Result<Events, Failure>
    where
        Read: FnOnce(&[u8]) -> Result<proto::CompleteRequest, Error>,
    {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(MetadataMap::from_headers(head.headers), head.extensions, ());
        let mut told = self.completions.begin(&head, Rpc::PlainStreamComplete);
        let begun = async {
            let (call, until) = self.taken_in((&head, body), read, Delivery::Stream, &mut told).await?;
            Ok((self.completions.reply(call).await?, until))
        };
        match self.completions.unless_ended(begun).await {
            Ok((reply, until)) => Ok(Events(self.completions.watch.send(reply, told, until))),
            Err(error) => Err(told.status(error).into()),
        }
    }

    /// Answers such a request whole, as `Complete` does.
    ///
    /// # Errors
    /// There is no answer.
    pub(in crate::edge) async fn whole<Read>(
        &self,
        request: http::Request<Body>,
        read: Result<Read, Error>,
    ) -> Result<proto::CompleteResponse, Failure>
    where
        Read: FnOnce(&[u8]) -> Result<proto::CompleteRequest, Error>,
    {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(MetadataMap::from_headers(head.headers), head.extensions, ());
        let mut told = self.completions.begin(&head, Rpc::PlainComplete);
        let made = async {
            let (call, _) = self.taken_in((&head, body), read, Delivery::Whole, &mut told).await?;
            self.completions.whole(call).await
        };
        match self.completions.unless_ended(made).await {
            Ok(answer) => {
                told.completed_whole(&answer);
                Ok(convert::response(answer, told.view))
            }
            Err(error) => Err(told.status(error).into()),
        }
    }

    /// The call that a request is, and when its caller waits no longer.
    async fn taken_in<Read>(
        &self,
        (head, body): (&Request<()>, Body),
        read: Result<Read, Error>,
        delivery: Delivery,
        told: &mut Told,
    ) -> Result<(Call, Option<Instant>), Error>
    where
        Read: FnOnce(&[u8]) -> Result<proto::CompleteRequest, Error>,
    {
        let arrival = self.completions.arrival(head)?;
        let message = read?(&self.gathered(body).await?)?;
        let call = self.completions.take_in(message, delivery, arrival, told)?;
        Ok((call, arrival.deadline()))
    }

    /// The whole body; each of its bytes is charged by the admission as it arrives.
    async fn gathered(&self, mut body: Body) -> Result<Bytes, Error> {
        let mut gathered = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|status| unread(&status))?.into_data() else { continue };
            if gathered.len().saturating_add(data.len()) > self.max_request_bytes {
                let message =
                    format!("the body is larger than this server's limit of {} bytes", self.max_request_bytes);
                return Err(Error::new(Reason::RequestTooLarge, message));
            }
            gathered.extend_from_slice(&data);
        }
        Ok(gathered.freeze())
    }
}

/// Why a body was not read to its end: the admission says it by a status, the connection in other ways.
fn unread(status: &Status) -> Error {
    match status.code() {
        Code::DeadlineExceeded => Error::new(Reason::DeadlineExceeded, status.message().to_owned()),
        Code::Unavailable => Error::new(Reason::Overloaded, status.message().to_owned()),
        _ => Error::new(Reason::Cancelled, "the body broke off before its end"),
    }
}

impl Stream for Events {
    type Item = Result<proto::StreamCompleteResponse, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(Pin::new(&mut self.0).poll_next(context));
        Poll::Ready(event.map(|event| event.map_err(Failure::from)))
    }
}
