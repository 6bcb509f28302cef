//! The bodies of a call that was let in: every byte of the request is charged, and the response holds what was taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;

use super::admission::Charge;
use super::refusal::Refusal;
use super::rest::Rest;
use crate::count::Held;
use crate::domain::{Error, Reason};
use crate::telemetry::Metrics;

pin_project! {
    /// A request's body, every byte of which is charged, until its deadline.
    pub(super) struct Counted {
        // Always there until it is dropped.
        pub(super) body: Option<Body>,
        #[pin]
        pub(super) end: Sleep,
        // How long each message may take to arrive, where they have no end.
        pub(super) each: Option<Duration>,
        // Until when that is which has begun to arrive.
        #[pin]
        pub(super) unread: Option<Sleep>,
        pub(super) charge: Arc<Charge>,
        pub(super) refusal: Refusal,
        pub(super) metrics: Metrics,
        pub(super) rest: Rest,
    }

    impl PinnedDrop for Counted {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(body) = this.body.take() {
                this.rest.read_out(body);
            }
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut() else { return Poll::Ready(None) };
        // What was read is charged elsewhere: the next message has its own time.
        if !this.charge.has_bytes() {
            this.unread.set(None);
        }
        let Poll::Ready(frame) = Pin::new(body).poll_frame(context) else {
            if let (None, Some(each), true) = (&*this.unread, *this.each, this.charge.has_bytes()) {
                this.unread.set(Some(tokio::time::sleep(each)));
            }
            let of_message = this.unread.as_pin_mut().map(|unread| unread.poll(context));
            if !of_message.is_some_and(|unread| unread.is_ready()) {
                ready!(this.end.poll(context));
            }
            return Poll::Ready(Some(Err(this.refusal.status(&late()).into())));
        };
        let Some(frame) = frame.transpose()? else { return Poll::Ready(None) };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if let Err(error) = this.charge.take(u64::try_from(bytes).unwrap_or(u64::MAX)) {
            this.metrics.refused(error.reason);
            return Poll::Ready(Some(Err(this.refusal.status(&error).into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

pin_project! {
    /// A response's body, which holds what was taken for its call.
    pub(super) struct Holding {
        #[pin]
        pub(super) body: Body,
        pub(super) _charge: Arc<Charge>,
        pub(super) _stream: Held,
    }
}

impl HttpBody for Holding {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn late() -> Error {
    Error::new(Reason::DeadlineExceeded, "the deadline passed before the request had arrived")
}
